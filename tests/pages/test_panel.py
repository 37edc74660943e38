"""The live panel says whose phone is ringing, how it ended, and what went wrong."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from calls.models import CallLog, DueCall, JournalEntry, Leg
from crm import tenancy
from crm.models import Membership
from integrations.models import TwilioAccount
from tests.conftest import Api

HTMX = {"HX-Request": "true", "HX-Target": "panel"}

LIVE = [
    ({"status": "queued"}, "Queued"),
    ({"status": "queued", "confirmed": False}, "Queued"),
    ({"status": "queued", "confirmed": False, "ago": 6}, "Checking with Twilio whether the call was made…"),
    ({"status": "initiated", "stage": "ringing_agent", "agent": "initiated"}, "Calling your phone +55 11"),
    ({"status": "ringing", "stage": "ringing_agent", "agent": "ringing"}, "pick up to be connected"),
    (
        {"status": "ringing", "stage": "ringing_agent", "agent": "in-progress"},
        "Press a key on your phone to call Contact of Ours",
    ),
    ({"status": "ringing", "stage": "ringing_contact"}, "Ringing Contact of Ours…"),
]
OVER = [
    ({"status": "completed", "duration_seconds": 271}, "Ended · 4:31 talk"),
    ({"status": "no-answer", "unanswered_by": "agent", "agent": "no-answer"}, "You didn&#x27;t answer"),
    ({"status": "no-answer", "unanswered_by": "agent", "agent": "completed"}, "no key was pressed"),
    (
        {"status": "no-answer", "unanswered_by": "agent", "agent": "completed", "ended_by": "agent"},
        "You hung up before Contact of Ours was called",
    ),
    ({"status": "no-answer", "unanswered_by": "contact"}, "Contact of Ours didn&#x27;t answer"),
    ({"status": "busy", "unanswered_by": "contact"}, "Contact of Ours was busy"),
    ({"status": "busy", "unanswered_by": "agent"}, "Your phone was busy"),
    ({"status": "canceled"}, "Canceled"),
    ({"status": "failed", "error_code": 21211}, "Failed: Twilio says that this is not a valid phone number"),
    ({"status": "failed"}, "Failed"),
]


TEST = {"is_test": True}
LIVE += [
    (TEST | {"status": "queued"}, "Queued"),
    (TEST | {"status": "initiated", "stage": "ringing_agent", "agent": "initiated"}, "Calling your phone +55 11"),
    (TEST | {"status": "initiated", "stage": "ringing_agent", "agent": "initiated"}, "pick up and press a key"),
    (TEST | {"status": "ringing", "stage": "ringing_agent", "agent": "ringing"}, "Your phone is ringing"),
    (TEST | {"status": "ringing", "stage": "ringing_agent", "agent": "in-progress"}, "You answered: press a key"),
    (TEST | {"status": "in-progress", "stage": "ringing_agent", "agent": "in-progress"}, "Your phone works"),
    (TEST | {"status": "ringing", "stage": "ringing_agent", "agent": "completed"}, "Asking Twilio how the test call"),
]
OVER += [
    (TEST | {"status": "completed", "duration_seconds": 0}, "Your phone works"),
    (TEST | {"status": "no-answer", "unanswered_by": "agent", "agent": "no-answer"}, "You didn&#x27;t answer"),
    (TEST | {"status": "no-answer", "unanswered_by": "agent", "agent": "completed"}, "no key was pressed"),
    (
        TEST | {"status": "no-answer", "unanswered_by": "agent", "agent": "completed", "ended_by": "agent"},
        "You hung up before you pressed a key",
    ),
    (TEST | {"status": "busy", "unanswered_by": "agent"}, "Your phone was busy"),
    (TEST | {"status": "canceled"}, "Canceled"),
]


@pytest.mark.parametrize(("values", "sentence"), LIVE)
def test_a_live_call_says_whose_phone_rings(ours, client_of, make_call, values, sentence):
    """And asks again in a second."""
    make_call(**values)
    panel = client_of(ours.rep).get("/calls/live/", headers=HTMX).content.decode()
    assert sentence in panel
    assert 'hx-trigger="every 1s"' in panel
    assert "Cancel" in panel


@pytest.mark.parametrize(("values", "sentence"), OVER)
def test_a_call_that_is_over_says_how_and_asks_no_more(ours, client_of, make_call, values, sentence):
    """It stays until it is dismissed."""
    call = make_call(**values)
    client = client_of(ours.rep)
    panel = client.get("/calls/live/", headers=HTMX).content.decode()
    assert sentence in panel
    assert "every 1s" not in panel
    dismissed = client.post("/calls/live/dismiss/", {"call": call.pk}, headers=HTMX).content.decode()
    assert "data-shown" not in dismissed
    assert sentence not in client.get("/calls/live/", headers=HTMX).content.decode()


def test_a_conversation_shows_its_clock_and_that_it_is_recorded(ours, client_of, make_call):
    """Counted from the contact's answer."""
    answered_at = timezone.now() - timedelta(seconds=134)
    make_call(status="in-progress", stage="talking", answered_at=answered_at)
    panel = client_of(ours.rep).get("/calls/live/", headers=HTMX).content.decode()
    assert "Connected" in panel
    assert ">02:14<" in panel or ">02:15<" in panel
    assert "REC" in panel
    assert "Hang up" in panel


def test_the_panel_is_sent_again_only_when_something_has_changed(ours, client_of, make_call):
    """So that a screen reader is not told the same every second."""
    call = make_call(status="ringing", stage="ringing_contact")
    client = client_of(ours.rep)
    first = client.get("/calls/live/", headers=HTMX)
    seen = first.context["panel"].seen
    assert client.get("/calls/live/", {"seen": seen}, headers=HTMX).status_code == 204
    with tenancy.inside(ours.id):
        CallLog.objects.filter(pk=call.pk).update(status="in-progress", stage="talking", answered_at=timezone.now())
    assert client.get("/calls/live/", {"seen": seen}, headers=HTMX).status_code == 200


def test_an_idle_panel_asks_now_and_then_and_tells_the_page_when_it_has_changed(ours, client_of, make_call):
    """A call that began in another tab, or through the API, shows up; and the open list of calls follows."""
    client = client_of(ours.rep)
    idle = client.get("/calls/live/", headers=HTMX)
    assert 'hx-trigger="every 10s, visibilitychange from:document"' in idle.content.decode()
    assert "HX-Trigger" not in idle
    seen = idle.context["panel"].seen
    assert client.get("/calls/live/", {"seen": seen}, headers=HTMX).status_code == 204
    make_call(status="ringing", stage="ringing_contact")
    begun = client.get("/calls/live/", {"seen": seen}, headers=HTMX)
    assert "Ringing Contact of Ours…" in begun.content.decode()
    assert begun["HX-Trigger"] == "call-changed"
    assert 'hx-trigger="call-changed from:body"' in client.get("/calls/").content.decode()


def test_a_refused_click_is_not_shown_under_the_last_calls_name(ours, client_of, make_call):
    """Two minutes after a call with somebody, another's button is refused before there is a row."""
    make_call(status="completed", duration_seconds=3)
    client = client_of(ours.rep)
    assert "Contact of Ours" in client.get("/calls/live/", headers=HTMX).content.decode()
    panel = start(client, ours, to="+551132345678").content.decode()
    assert "not one of the contact" in panel
    assert "The call was not started" in panel
    assert "Contact of Ours" not in panel


def test_a_panel_shows_only_ones_own_recent_call(ours, client_of, make_call):
    """Not a colleague's, even to a manager, and not yesterday's."""
    make_call(status="ringing", stage="ringing_contact", user=ours.rep2.user)
    make_call(status="completed", duration_seconds=1, ago=660)
    for member in (ours.rep, ours.manager):
        assert "data-shown" not in client_of(member).get("/calls/live/", headers=HTMX).content.decode()


def start(client, company, **more):
    """Press the contact's call button."""
    form = {"contact": company.contact.pk, "to": company.contact_number, "key": str(uuid4())}
    return client.post("/calls/start/", form | more, headers=HTMX)


def test_a_member_without_a_phone_is_told_before_and_after_the_click(ours, client_of):
    """422, and the sentence of the error."""
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(phone_number="")
    client = client_of(ours.rep)
    page = client.get("/contacts/").content.decode()
    assert "There is no phone on your profile" in page
    assert "disabled data-blocked" in page
    answer = start(client, ours)
    assert answer.status_code == 422
    assert answer["X-Swap"] == "yes"
    assert 'role="alert">There is no phone on your profile' in answer.content.decode()


def test_an_organization_without_twilio_is_told_to_ask_its_admin(ours, client_of):
    """409, and the button says so beforehand."""
    with tenancy.inside(ours.id):
        TwilioAccount.objects.all().delete()
    client = client_of(ours.rep)
    assert "has not connected Twilio yet" in client.get("/contacts/").content.decode()
    answer = start(client, ours)
    assert answer.status_code == 409
    assert "has not connected Twilio yet" in answer.content.decode()


def test_a_second_call_is_refused_beside_the_first(ours, client_of, make_call):
    """The panel keeps showing the first, and every button is disabled with the reason."""
    make_call(status="ringing", stage="ringing_contact")
    client = client_of(ours.rep)
    assert "You are on another call" in client.get("/contacts/").content.decode()
    answer = start(client, ours)
    panel = answer.content.decode()
    assert answer.status_code == 409
    assert "You are on another call" in panel
    assert "Ringing Contact of Ours…" in panel


def test_an_unreachable_twilio_is_told_as_an_alert(ours, client_of, settings):
    """503; nothing listens on port 9 of this machine."""
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:9"
    answer = start(client_of(ours.rep), ours)
    assert answer.status_code == 503
    assert "Twilio cannot be reached right now" in answer.content.decode()


def test_wrong_ids_and_numbers_are_refused_in_words(ours, theirs, client_of):
    """A foreign contact, no id at all, somebody else's number."""
    client = client_of(ours.rep)
    assert start(client, ours, contact=theirs.contact.pk).status_code == 404
    assert start(client, ours, contact="nonsense").status_code == 404
    assert "not one of the contact" in start(client, ours, to="+551132345678").content.decode()


def test_without_htmx_an_error_is_a_page(ours, client_of):
    """For whoever has no script."""
    with tenancy.inside(ours.id):
        Membership.objects.filter(pk=ours.rep.pk).update(phone_number="")
    answer = client_of(ours.rep).post("/calls/start/", {"contact": ours.contact.pk})
    assert answer.status_code == 422
    assert "This did not work" in answer.content.decode()


def test_hanging_up_a_call_that_is_over_is_no_error(ours, client_of, make_call):
    """It is what was wanted."""
    call = make_call(status="completed", duration_seconds=3)
    answer = client_of(ours.rep).post(f"/calls/{call.pk}/hangup/", headers=HTMX)
    assert answer.status_code == 200
    assert "Ended · 0:03 talk" in answer.content.decode()
    assert client_of(ours.rep).get(f"/calls/{call.pk}/hangup/").status_code == 405


def note(company, call, kind, *, source="ours", ago=0, payload=None):
    """An entry in the call's journal, `ago` seconds old, applied."""
    at = timezone.now() - timedelta(seconds=ago)
    with tenancy.inside(company.id):
        JournalEntry.objects.create(
            organization_id=company.id,
            call=call,
            digest=uuid4().hex,
            source=source,
            kind=kind,
            payload=payload or {"at": at.isoformat()},
            received_at=at,
            applied_at=at,
        )


def due_in(call, seconds):
    """Say when the sweeper looks at the call again."""
    at = timezone.now() + timedelta(seconds=seconds)
    DueCall.objects.update_or_create(
        call_id=call.pk, defaults={"organization_id": call.organization_id, "due_at": at, "asked": 1}
    )


UNCONFIRMED = {"status": "queued", "confirmed": False, "ago": 30}
STUCK = [
    (UNCONFIRMED, [], 14, "Twilio has not confirmed your last call to Contact of Ours. We ask again in about 20 s."),
    (UNCONFIRMED, ["not found"], 170, "We ask again in about 3 min. If Twilio does not know the call then either"),
    (UNCONFIRMED, [], None, "We are asking again now."),
    (UNCONFIRMED, ["hang-up"], 170, "You canceled your last call to Contact of Ours, but Twilio has not confirmed"),
    ({"status": "in-progress", "stage": "talking"}, ["hang-up"], 40, "has not confirmed the end of your last call"),
    ({"status": "ringing", "stage": "ringing_contact", "ago": 90}, [], 25, "nothing new of your last call"),
]


@pytest.mark.parametrize(("values", "notes", "due", "sentence"), STUCK)
def test_a_stuck_call_says_why_and_when_twilio_is_asked_again(ours, client_of, make_call, values, notes, due, sentence):
    """In the panel, above the page, and where a second call is refused; with a button where ending helps."""
    call = make_call(**values)
    for kind in notes:
        note(ours, call, kind, ago=10)
    if due:
        due_in(call, due)
    client = client_of(ours.rep)
    for path in ("/contacts/", f"/contacts/{ours.contact.pk}/", "/calls/", "/calls/live/"):
        page = client.get(path).content.decode()
        assert "You cannot start another call yet." in page, path
        assert sentence in page, path
        offers = f'action="/calls/{call.pk}/hangup/"' in page.split('id="stuck"')[1].split("{% block")[0]
        assert offers or (not call.confirmed and "hang-up" in notes), path
    assert sentence in client.get("/calls/live/").content.decode().split('id="stuck"')[0], "In the panel itself."
    refusal = start(client, ours)
    assert refusal.status_code == 409
    assert sentence in refusal.content.decode().split('role="alert">')[1].split("</p>")[0]
    page = client.post("/calls/start/", {"contact": ours.contact.pk})
    assert page.status_code == 409
    assert sentence in page.content.decode()
    assert f'href="/calls/{call.pk}/"' in page.content.decode()
    answer = Api(ours.rep).post("calls/", {"contact": str(ours.contact.pk)})
    [told] = answer.json()["errors"]
    assert (told["code"], told["call"]) == ("call_in_progress", str(call.pk))
    assert sentence in told["detail"]


AS_THEY_SHOULD_BE = [
    ({"status": "queued", "confirmed": False}, []),
    ({"status": "ringing", "stage": "ringing_contact", "ago": 30}, []),
    ({"status": "in-progress", "stage": "talking", "ago": 1800, "agent": "in-progress"}, []),
    ({"status": "in-progress", "stage": "talking", "ago": 1800}, ["hang-up"]),
    ({"status": "completed", "duration_seconds": 5}, ["hang-up"]),
]


@pytest.mark.parametrize(("values", "notes"), AS_THEY_SHOULD_BE)
def test_a_call_that_is_as_it_should_be_is_not_called_stuck(ours, client_of, make_call, values, notes):
    """Just started, ringing, a long conversation without news, hung up this second, over."""
    call = make_call(**values)
    for kind in notes:
        note(ours, call, kind)
    client = client_of(ours.rep)
    for path in ("/contacts/", "/calls/live/"):
        assert "You cannot start another call yet." not in client.get(path).content.decode()
    if values["status"] != "completed":
        assert "You are on another call" in start(client, ours).content.decode()


def test_a_conversation_of_which_a_leg_is_over_is_stuck(ours, client_of, make_call):
    """Talking, says the row; but the contact's phone is down for minutes."""
    call = make_call(status="in-progress", stage="talking", ago=300)
    with tenancy.inside(ours.id):
        Leg.objects.create(call=call, role="contact", status="completed", ended_at=timezone.now())
    assert "nothing new of your last call" in client_of(ours.rep).get("/calls/live/").content.decode()


def test_the_wait_is_told_in_steps(ours, client_of, make_call):
    """The panel is not sent again each second because a number in it has changed."""
    call = make_call(**UNCONFIRMED)
    due_in(call, 29)
    client = client_of(ours.rep)
    seen = client.get("/calls/live/", headers=HTMX).context["panel"].seen
    due_in(call, 25)
    assert client.get("/calls/live/", {"seen": seen}, headers=HTMX).status_code == 204
    due_in(call, 15)
    assert "about 20 s" in client.get("/calls/live/", {"seen": seen}, headers=HTMX).content.decode()


def test_ending_an_unconfirmed_call_says_what_it_still_waits_for(ours, client_of, make_call):
    """Through the offered button: nothing at Twilio can be ended, and the rep is told so."""
    call = make_call(**UNCONFIRMED)
    client = client_of(ours.rep)
    panel = client.post(f"/calls/{call.pk}/hangup/", headers=HTMX).content.decode()
    assert "You canceled your last call to Contact of Ours" in panel
    assert "We ask again in about" in panel or "We are asking again now" in panel
    assert "Ending the call…" in panel


def test_a_stuck_call_is_told_in_portuguese(ours, client_of, make_call):
    """The same sentence."""
    make_call(**UNCONFIRMED)
    page = client_of(ours.rep).get("/contacts/", headers={"Accept-Language": "pt-br"}).content.decode()
    assert "A Twilio não confirmou sua última ligação para Contact of Ours." in page
    assert "Encerrar essa ligação" in page


def test_a_test_call_has_a_page_without_a_contact(ours, client_of, make_call):
    """It says what became of it, and offers no second call to one's own phone as if that were somebody's."""
    call = make_call(is_test=True, status="completed", duration_seconds=0, agent="completed")
    page = client_of(ours.rep).get(f"/calls/{call.pk}/").content.decode()
    assert '<h1 id="call-title">Test call</h1>' in page
    assert "Phone works" in page
    assert "A test call is not recorded." in page
    for word in ("Call again", "Talk time", "Contact answered", "Call with"):
        assert word not in page
    assert client_of(ours.rep2).get(f"/calls/{call.pk}/").status_code == 404


def test_the_set_up_page_ends_with_a_test_call(ours, client_of):
    """With the phone, when it was checked, and the button; without a phone there is none to press."""
    client = client_of(ours.admin)
    page = client.get("/twilio/").content.decode()
    assert "not checked yet" in page
    assert 'action="/phone/test/"' in page
    with tenancy.inside(ours.id):
        mine = Membership.objects.filter(pk=ours.admin.pk)
        mine.update(phone_checked_at=timezone.now())
    page = client.get("/twilio/").content.decode()
    assert "checked on <time" in page
    with tenancy.inside(ours.id):
        mine.update(phone_number="")
    page = client.get("/twilio/").content.decode()
    assert "There is no phone on your profile yet." in page
    assert "disabled data-blocked" in page.split('action="/phone/test/"')[1]
