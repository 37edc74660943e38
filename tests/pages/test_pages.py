"""Every page renders for whoever may see it, in both languages, and is missing for everybody else."""

from uuid import uuid4

import pytest
from django.test import Client
from django.utils import timezone

from calls.live.door import listener_of
from calls.models import DueCall, JournalEntry, Recording
from crm import tenancy
from crm.models import Contact, ContactNumber, Membership, User
from tests.conftest import phone

LANGUAGES = {"en": "Contacts", "pt-br": "Contatos"}


@pytest.fixture
def full_call(ours, make_call):
    """A completed call with a journal, a leg and a stored recording."""
    call = make_call(status="completed", duration_seconds=271, agent="completed", ended_by="contact")
    with tenancy.inside(ours.id):
        Recording.objects.create(
            call=call, recording_sid="RE" + "0" * 32, status="completed", stored_at=call.ended_at, media_name="x.wav"
        )
        JournalEntry.objects.create(
            organization_id=ours.id,
            call=call,
            digest="d",
            source="callback",
            kind="agent",
            payload={"CallStatus": "completed", "Timestamp": "Sat, 21 Nov 2026 04:46:00 +0000"},
            received_at=call.ended_at,
        )
    return call


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("path", ["/contacts/", "/contacts/{contact}/", "/calls/", "/calls/{call}/", "/calls/live/"])
def test_every_page_speaks_both_languages(ours, client_of, full_call, path, language):
    """One page of each kind."""
    address = path.format(contact=ours.contact.pk, call=full_call.pk)
    for member in (ours.rep, ours.manager, ours.admin):
        answer = client_of(member).get(address, headers={"Accept-Language": language})
        assert answer.status_code == 200
        assert answer["Content-Language"] == language
        assert "no-store" in answer["Cache-Control"]
        if "live" not in path:
            assert LANGUAGES[language] in answer.content.decode()


def test_pages_hold_nothing_that_the_content_security_policy_refuses(ours, client_of, full_call):
    """No inline script, style or handler: a browser would drop it without a word."""
    for path in ("/login/", "/contacts/", "/calls/", f"/calls/{full_call.pk}/", f"/contacts/{ours.contact.pk}/"):
        client = Client() if path == "/login/" else client_of(ours.rep)
        page = client.get(path).content.decode()
        assert "<style" not in page
        assert " style=" not in page
        assert "<script>" not in page
        assert " onclick=" not in page
        assert "hx-on" not in page


def test_the_first_address_is_home_and_leads_strangers_to_the_log_in(ours, client_of):
    """With the way back kept."""
    assert "Today" in client_of(ours.rep).get("/").content.decode()
    assert Client().get("/calls/")["Location"] == "/login/?next=/calls/"


def test_a_cookie_that_no_database_can_hold_is_no_session(ours):
    cookie = 'sessionid="' + "\\000" * 32 + '"'
    assert Client(headers={"cookie": cookie}).get("/contacts/").status_code == 302
    assert listener_of(cookie) is None


def test_a_person_logs_in_and_out(ours):
    """With e-mail and password; a wrong one is told in words."""
    ours.rep.user.set_password("a-long-pass-phrase")
    ours.rep.user.save()
    client = Client()
    wrong = client.post("/login/", {"login": ours.rep.user.email, "password": "wrong"})
    assert "do not match" in wrong.content.decode()
    right = client.post("/login/", {"login": ours.rep.user.email, "password": "a-long-pass-phrase"})
    assert right["Location"] == "/"
    assert client.post("/logout/")["Location"] == "/login/"
    assert client.get("/contacts/").status_code == 302


def test_every_number_has_a_labelled_call_button(ours, client_of):
    """Each with a key of its own."""
    with tenancy.inside(ours.id):
        ContactNumber.objects.create(contact=ours.contact, number="+551132345678", position=1)
    page = client_of(ours.rep).get("/contacts/").content.decode()
    assert 'aria-label="Call Contact of Ours on +55 11 3234-5678"' in page
    keys = [part.split('"')[0] for part in page.split('name="key" value="')[1:]]
    assert len(set(keys)) == len(keys) == 2


def test_search_finds_names_and_fragments_of_numbers(ours, client_of):
    """As typed; htmx gets the rows only."""
    client = client_of(ours.rep)
    htmx = {"HX-Request": "true", "HX-Target": "contacts"}
    found = client.get("/contacts/", {"q": ours.contact_number[-5:]}, headers=htmx).content.decode()
    assert "Contact of Ours" in found
    assert "<html" not in found
    page = client.get("/contacts/", {"q": "<nobody>"}).content.decode()
    assert "Nobody matches “&lt;nobody&gt;”" in page


def test_a_number_that_no_contact_has_can_be_typed_and_called(ours, client_of):
    """As people write it; one that a contact has is that contact's."""
    client = client_of(ours.rep)
    typed = client.get("/contacts/", {"q": "(011) 3234-5678"}).content.decode()
    assert 'aria-label="Call +55 11 3234-5678"' in typed
    assert 'name="to" value="+551132345678"' in typed
    assert 'name="contact"' not in typed
    known = client.get("/contacts/", {"q": f"0{ours.contact_number[3:]}"}).content.decode()
    assert f'name="contact" value="{ours.contact.pk}"' in known
    assert "No contact of yours" not in known
    for nobody in ("1234", "Ana 1132345678", "+55 11 3234-56789012"):
        assert 'name="to"' not in client.get("/contacts/", {"q": nobody}).content.decode()


def test_a_fragment_that_is_a_local_number_too_hides_nobody(ours, client_of):
    """The contact in New York is found by what was typed; the number in Rio that it also is can still be called."""
    with tenancy.inside(ours.id):
        abroad = Contact.objects.create(name="Ana of New York")
        ContactNumber.objects.create(contact=abroad, number="+12125551234")
    client = client_of(ours.rep)
    page = client.get("/contacts/", {"q": "2125551234"}).content.decode()
    assert f'name="contact" value="{abroad.pk}"' in page
    assert 'name="to" value="+552125551234"' in page
    assert page.count("No contact of yours has this number") == 1
    with tenancy.inside(ours.id):
        ContactNumber.objects.create(contact=ours.contact, number="+552125551234")
    page = client.get("/contacts/", {"q": "2125551234"}).content.decode()
    assert f'name="contact" value="{abroad.pk}"' in page
    assert f'name="contact" value="{ours.contact.pk}"' in page
    assert "No contact of yours" not in page


def test_contacts_come_in_pages_without_a_gap(ours, client_of, monkeypatch):
    """Two of the same name on both sides of a page's end."""
    monkeypatch.setattr("calls.views_contacts.PAGE_ROWS", 2)
    with tenancy.inside(ours.id):
        for _ in range(4):
            Contact.objects.create(name="Same Name")
    client, seen, after = client_of(ours.rep), [], None
    for _ in range(3):
        answer = client.get("/contacts/", {"after": after} if after else {})
        seen += [contact.pk for contact in answer.context["contacts"]]
        after = answer.context["after"]
    assert after is None
    assert len(seen) == len(set(seen)) == 5


def test_empty_pages_say_what_to_do_next(ours, client_of):
    """Contacts, calls, and a contact without calls."""
    client = client_of(ours.rep)
    assert "No calls yet" in client.get("/calls/").content.decode()
    assert "Nothing of this kind yet" in client.get(f"/contacts/{ours.contact.pk}/?kind=call").content.decode()
    with tenancy.inside(ours.id):
        ours.opportunity.delete()
        ours.contact.delete()
    assert "No contacts yet" in client.get("/contacts/").content.decode()


def test_foreign_rows_are_missing(ours, theirs, client_of, make_call):
    """Another organization's, and another rep's call."""
    foreign = make_call(company=theirs, status="completed", duration_seconds=1)
    colleagues = make_call(user=ours.rep2.user, status="completed", duration_seconds=1)
    client = client_of(ours.rep)
    for path in (
        f"/contacts/{theirs.contact.pk}/",
        f"/calls/{foreign.pk}/",
        f"/calls/{colleagues.pk}/",
        f"/calls/{uuid4()}/",
    ):
        answer = client.get(path)
        assert answer.status_code == 404
        assert "There is nothing here" in answer.content.decode()
    assert client.post(f"/calls/{foreign.pk}/hangup/").status_code == 404
    assert client_of(ours.manager).get(f"/calls/{colleagues.pk}/").status_code == 200
    assert str(colleagues.pk) not in client.get("/calls/").content.decode()
    assert str(colleagues.pk) in client_of(ours.manager).get("/calls/").content.decode()


def test_history_pages_and_counts_with_a_cap(ours, client_of, make_call, monkeypatch):
    """Older calls by key."""
    monkeypatch.setattr("calls.views_history.PAGE_ROWS", 2)
    monkeypatch.setattr("calls.views_history.COUNTED", 2)
    made = [make_call(status="completed", duration_seconds=5) for _ in range(3)]
    client = client_of(ours.rep)
    first = client.get("/calls/")
    assert first.context["count"] == "2+"
    older = client.get("/calls/", {"before": first.context["before"]})
    shown = [row.call.pk for answer in (first, older) for row in answer.context["rows"]]
    assert shown == [call.pk for call in reversed(made)]


def test_a_calls_page_shows_legs_journal_and_player(ours, client_of, full_call):
    """Everything that is known."""
    page = client_of(ours.rep).get(f"/calls/{full_call.pk}/").content.decode()
    assert "4:31" in page
    assert "2026-11-21 04:46:00 UTC" in page
    assert '<audio controls preload="none" src="/api/v1/recordings/' in page
    assert 'hx-trigger="every 1s"' not in page.split('id="call"')[1].split(">")[0]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"is_recorded": False}, "Not recorded (recording is off)"),
        ({"ago": 10}, "Processing…"),
        ({"ago": 3600}, "Nothing was recorded"),
    ],
)
def test_a_call_without_a_recording_says_why(ours, client_of, make_call, values, sentence):
    """Three reasons."""
    call = make_call(status="completed", duration_seconds=3, **values)
    assert sentence in client_of(ours.rep).get(f"/calls/{call.pk}/").content.decode()


def test_a_recording_that_nobody_fetches_any_more_is_not_called_processing(ours, client_of, make_call):
    """Given up after a month: the sweeper's note is gone."""
    call = make_call(status="completed", duration_seconds=3)
    with tenancy.inside(ours.id):
        Recording.objects.create(call=call, recording_sid="RE" + "1" * 32, status="completed")
    note = DueCall.objects.create(call_id=call.pk, organization_id=ours.id, due_at=timezone.now())
    client = client_of(ours.rep)
    assert "Processing…" in client.get(f"/calls/{call.pk}/").content.decode()
    note.delete()
    page = client.get(f"/calls/{call.pk}/").content.decode()
    assert "Processing…" not in page
    assert "It is not asked for any more." in page


def test_a_live_calls_page_refreshes_itself_and_says_nothing_twice(ours, client_of, make_call):
    """204 while nothing has changed, so that what the reader opened stays open."""
    call = make_call(status="ringing", stage="ringing_contact")
    client = client_of(ours.rep)
    page = client.get(f"/calls/{call.pk}/")
    assert f"?seen={page.context['seen']}" in page.content.decode()
    htmx = {"HX-Request": "true", "HX-Target": "call"}
    assert client.get(f"/calls/{call.pk}/", {"seen": page.context["seen"]}, headers=htmx).status_code == 204
    part = client.get(f"/calls/{call.pk}/", {"seen": "older"}, headers=htmx).content.decode()
    assert "<article" in part
    assert "<html" not in part


def test_a_failed_call_names_cause_and_twilios_code(ours, client_of, make_call):
    """21211 is Twilio's for an invalid number."""
    call = make_call(status="failed", error_code=21211)
    page = client_of(ours.rep).get(f"/calls/{call.pk}/").content.decode()
    assert "not a valid phone number" in page
    assert "Twilio code 21211" in page


def test_members_of_several_organizations_switch_between_their_own(ours, theirs, client_of):
    """And into no other."""
    client = client_of(ours.rep)
    assert "switch-organization" not in client.get("/contacts/").content.decode()
    assert client.post("/organization/switch/", {"organization": theirs.id}).status_code == 404
    with tenancy.inside(theirs.id):
        Membership.objects.create(user=ours.rep.user, role="rep", phone_number=phone())
    assert theirs.organization.name in client.get("/contacts/").content.decode()
    assert client.post("/organization/switch/", {"organization": theirs.id})["Location"] == "/"
    assert "Contact of Theirs" in client.get("/contacts/").content.decode()


def test_the_language_is_chosen_before_and_after_the_log_in():
    """And the reader stays on the page."""
    client = Client()
    answer = client.post("/language/", {"language": "pt-br", "next": "/login/?next=/calls/"})
    assert answer["Location"] == "/login/?next=/calls/"
    assert "Entrar" in client.get("/login/").content.decode()


def test_a_user_without_organization_is_told_so_and_an_operator_shown_the_admin():
    """Instead of an empty page."""
    user = User.objects.create_user(f"{uuid4()}@nowhere.example")
    client = Client()
    client.force_login(user)
    answer = client.get("/contacts/")
    assert answer.status_code == 403
    assert "Ask an admin to invite you" in answer.content.decode()
    assert "/admin/" not in answer.content.decode()
    User.objects.filter(pk=user.pk).update(is_staff=True)
    assert 'href="/admin/"' in client.get("/contacts/").content.decode()


def test_times_are_those_of_the_readers_own_zone(ours, client_of, full_call):
    """The browser's zone comes in a cookie, as JavaScript encodes it; one that no zone has leaves UTC."""
    with tenancy.inside(ours.id):
        type(full_call).objects.filter(pk=full_call.pk).update(ended_at="2026-05-03T01:46:00Z")
    client = client_of(ours.rep)
    for cookie, shown in (
        ("", "2026-05-03 01:46:00 UTC"),
        ("America%2FSao_Paulo", "2026-05-02 22:46:00 -03"),
        ("Asia/Tokyo", "2026-05-03 10:46:00 JST"),
        ("../../etc/passwd", "2026-05-03 01:46:00 UTC"),
    ):
        client.cookies["zone"] = cookie
        page = client.get(f"/calls/{full_call.pk}/").content.decode()
        assert f'<time datetime="2026-05-03T01:46:00+00:00" data-style="long">{shown}</time>' in page


def test_the_api_speaks_utc_whatever_zone_the_reader_is_in(ours, client_of, full_call):
    """The cookie is for pages."""
    client = client_of(ours.rep)
    client.cookies["zone"] = "Asia/Tokyo"
    client.get("/calls/")
    assert client.get(f"/api/v1/calls/{full_call.pk}/").json()["created_at"].endswith("Z")
