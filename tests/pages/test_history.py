"""The history: what narrows it, what is wrong with that, what opens beside it, and who hears what."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from calls.models import CallRules, DueCall, Recording
from crm import audit, tenancy
from crm.models import Contact
from tests.conftest import phone
from tests.crm.rows import make_recording

HTMX = {"HX-Request": "true", "HX-Target": "history"}


def listed(client, **filters):
    """The ids of the calls that the page shows."""
    return [row.call.pk for row in client.get("/calls/", filters).context["rows"]]


def test_each_filter_narrows_the_list_to_what_it_says(ours, client_of, make_call):
    """Two calls that differ in everything."""
    other = phone()
    with tenancy.inside(ours.id):
        contact = Contact.objects.create(name="Zé da Água")
    done = {"disposition": "interested", "duration_seconds": 150, "recording_sid": "RE" + "1" * 32}
    one = make_call(status="completed", **done)
    two = make_call(
        status="busy",
        unanswered_by="contact",
        direction="inbound",
        user=ours.rep2.user,
        contact=contact,
        to_number=other,
        from_number=other,
        duration_seconds=0,
    )
    live = make_call(status="ringing", stage="ringing_agent", user=ours.manager.user)
    missed = make_call(status="no-answer", unanswered_by="agent", user=ours.admin.user, ago=3 * 86400)
    today = timezone.localdate()
    client = client_of(ours.manager)
    assert listed(client) == [missed.pk, live.pk, two.pk, one.pk]
    for filters, expected in (
        ({"user": ours.rep2.user.pk}, [two]),
        ({"number": other[-6:]}, [two]),
        ({"number": f"({other[3:5]}) {other[5:10]}-{other[10:]}"}, [two]),
        ({"direction": "inbound"}, [two]),
        ({"status": "busy"}, [two]),
        ({"disposition": "interested"}, [one]),
        ({"has_recording": "true"}, [one]),
        ({"has_recording": "false", "status": "busy"}, [two]),
        ({"duration_min": "2:30"}, [one]),
        ({"duration_min": "151"}, []),
        ({"duration_max": "2:29", "status": "busy"}, [two]),
        ({"duration_min": "1:00", "duration_max": "2:29"}, []),
        ({"until": today - timedelta(days=1)}, [missed]),
        ({"since": today - timedelta(days=1), "status": "no-answer"}, []),
        ({"since": today, "until": today, "status": "completed"}, [one]),
        ({"search": "zé da á"}, [two]),
        ({"search": "Z"}, [two]),
        ({"search": other[-7:]}, [two]),
        ({"search": "100%_"}, []),
        ({"show": "missed"}, [missed]),
        ({"show": "no-reply"}, [two]),
        ({"show": "live"}, [live]),
        ({"show": "needs-outcome"}, [two]),
        ({"show": "needs-outcome", "user": ours.rep2.user.pk}, [two]),
        ({"show": "live", "status": "completed"}, []),
    ):
        assert listed(client, **filters) == [call.pk for call in expected], filters


def test_a_test_call_is_in_no_list_and_owes_no_outcome(ours, client_of, make_call):
    """Nobody talked on it."""
    make_call(status="completed", is_test=True)
    assert listed(client_of(ours.manager)) == listed(client_of(ours.rep), show="needs-outcome") == []


@pytest.mark.parametrize(
    ("filters", "sentence"),
    [
        ({"status": "never"}, "Select a valid choice"),
        ({"user": "somebody"}, "Select a valid choice"),
        ({"since": "yesterday"}, "Enter a valid date"),
        ({"since": "0001-01-01"}, "greater than or equal to"),
        ({"until": "9999-12-31"}, "less than or equal to"),
        ({"since": "2026-02-02", "until": "2026-02-01"}, "This is before the first day."),
        ({"duration_min": "long"}, "Write minutes and seconds, such as 2:30."),
        ({"duration_min": "²"}, "Write minutes and seconds"),
        ({"duration_min": "3:00", "duration_max": "2:59"}, "This is shorter than the other."),
        ({"number": "Ana"}, "This has no digit in it."),
        ({"search": "x" * 101}, "at most 100 characters"),
        ({"search": "\x00"}, "Null characters are not allowed"),
    ],
)
def test_a_bad_value_is_told_beside_its_field_and_narrows_nothing(ours, client_of, make_call, filters, sentence):
    """And the other filters hold."""
    name = list(filters)[-1]
    one, _two = make_call(status="completed", duration_seconds=9), make_call(status="busy")
    client = client_of(ours.manager)
    wrong = {name: filters[name]} if len(filters) == 1 else filters
    answer = client.get("/calls/", {"direction": "outbound", **wrong})
    beside = answer.content.decode().split(f'id="id_{name}_error"')[1].split("</p>")[0]
    assert sentence in beside
    assert answer.context["form"].fields["direction"] is not None
    if len(filters) == 1:
        assert len(answer.context["rows"]) == 2
        other = {"duration_max": "0:09", "status": "completed"} if name != "status" else {"has_recording": "false"}
        assert one.pk in listed(client, **(other | wrong))
    part = client.get("/calls/", {"direction": "outbound", **wrong}, headers=HTMX).content.decode()
    assert sentence in part.split(f'id="id_{name}_error" hx-swap-oob="true"')[1].split("</p>")[0]


def test_a_number_of_seconds_that_no_call_lasts_is_no_error(ours, client_of):
    """PostgreSQL's integer is as long as it is."""
    assert listed(client_of(ours.rep), duration_min="999999999:00", duration_max="999999999:00:00") == []


def test_a_rep_sees_their_own_whatever_they_ask_for(ours, theirs, client_of, make_call):
    """And is not asked whose calls; nobody sees another organization's."""
    own = make_call(status="completed")
    make_call(status="completed", user=ours.rep2.user)
    foreign = make_call(company=theirs, status="completed")
    client = client_of(ours.rep)
    assert 'name="user"' not in client.get("/calls/").content.decode()
    assert listed(client, user=ours.rep2.user.pk) == [own.pk]
    for member in (ours.rep, ours.manager, ours.admin):
        for search in ("Contact of", theirs.contact_number[1:], theirs.contact_number[-4:]):
            assert foreign.pk not in listed(client_of(member), search=search)
    page = client_of(ours.manager).get("/calls/").content.decode()
    assert theirs.rep.user.email not in page
    assert ours.rep2.user.email in page


def test_pages_and_refreshes_keep_the_filters_and_the_count_its_cap(ours, client_of, make_call, monkeypatch):
    """Older, newest, a call that changes, the file and the chips."""
    monkeypatch.setattr("calls.views_history.PAGE_ROWS", 2)
    monkeypatch.setattr("calls.views_history.COUNTED", 2)
    made = [make_call(status="busy") for _ in range(3)]
    make_call(status="completed")
    client = client_of(ours.rep)
    first = client.get("/calls/", {"status": "busy", "number": "", "before": "x"})
    page = first.content.decode()
    assert first.context["count"] == "2+"
    assert 'id="count" class="count" aria-live="polite">2+<' in page
    assert 'hx-get="/calls/?status=busy" hx-trigger="call-changed from:body"' in page
    assert 'href="/api/v1/calls/export.csv?status=busy"' in page
    assert 'href="/calls/?status=busy&amp;show=missed"' in page
    assert f'href="?{first.context["older"]}"'.replace("&", "&amp;") in page
    older = client.get(f"/calls/?{first.context['older']}")
    shown = [row.call.pk for answer in (first, older) for row in answer.context["rows"]]
    assert shown == [call.pk for call in reversed(made)]
    assert "call-changed" not in older.content.decode()
    assert 'href="/calls/?status=busy">Newest' in older.content.decode()
    renewed = client.get("/calls/?status=busy", headers=HTMX | {"HX-Target": "found"})
    assert renewed.content.decode().startswith('<div id="found"')
    assert 'id="count" class="count" aria-live="polite" hx-swap-oob="true">2+<' in renewed.content.decode()
    assert "HX-Push-Url" not in renewed


def test_the_address_is_what_was_asked_without_what_was_not(ours, client_of):
    """A step of its own for a choice, none for a letter that is typed."""
    client = client_of(ours.manager)
    asked = {"search": "ana", "status": "busy", "user": "", "show": ""}
    chosen = client.get("/calls/", asked, headers=HTMX | {"HX-Trigger-Name": "status"})
    assert chosen["HX-Push-Url"] == "/calls/?search=ana&status=busy"
    typed = client.get("/calls/", asked, headers=HTMX | {"HX-Trigger-Name": "search"})
    assert typed["HX-Replace-Url"] == "/calls/?search=ana&status=busy"
    assert "HX-Push-Url" not in typed
    assert client.get("/calls/", {"user": ""}, headers=HTMX)["HX-Push-Url"] == "/calls/"


def test_a_chip_that_is_chosen_is_marked_and_takes_itself_back(ours, client_of):
    """The other filters stay."""
    page = client_of(ours.manager).get("/calls/", {"show": "missed", "status": "busy"}).content.decode()
    chip = page.split('id="chip-missed"')[1].split(">")[0]
    assert 'href="/calls/?status=busy" aria-current="true"' in chip
    assert 'aria-current="true"' not in page.split('id="chip-live"')[1].split(">")[0]
    assert '<input type="hidden" name="show" value="missed" form="filters">' in page


def test_nothing_found_says_how_to_clear_the_filters(ours, client_of, make_call):
    """Unlike a history without any call."""
    client = client_of(ours.rep)
    assert "No calls yet" in client.get("/calls/").content.decode()
    make_call(status="busy")
    page = client.get("/calls/", {"search": "nobody"}).content.decode()
    assert "No call matches these filters" in page
    assert '<a class="button primary" href="/calls/">Clear the filters</a>' in page


# One call beside the list


def test_the_drawer_is_the_calls_page_without_its_frame(ours, client_of, make_call):
    """And missing for whoever may not see the call."""
    call = make_call(status="completed", duration_seconds=9, agent="completed")
    drawer = {"HX-Request": "true", "HX-Target": "drawer-body"}
    part = client_of(ours.rep).get(f"/calls/{call.pk}/", headers=drawer).content.decode()
    assert part.startswith('<article id="call"')
    assert "Journal" in part
    assert client_of(ours.rep2).get(f"/calls/{call.pk}/", headers=drawer).status_code == 404


def test_managers_see_who_listened_downloaded_and_deleted(ours, client_of, api_of, make_call):
    """By the audit; a rep is not told."""
    call = make_call(status="completed", duration_seconds=9)
    other = make_call(status="completed", duration_seconds=9)
    recording, elsewhere = make_recording(call, b"RIFF one"), make_recording(other, b"RIFF two")
    path = f"/calls/{call.pk}/"
    assert "Who listened" not in client_of(ours.manager).get(path).content.decode()
    for member, address in (
        (ours.rep, f"recordings/{recording.pk}/audio"),
        (ours.admin, f"recordings/{recording.pk}/audio?download"),
        (ours.rep2, f"recordings/{recording.pk}/audio"),
        (ours.manager, f"recordings/{elsewhere.pk}/audio"),
    ):
        answer = api_of(member).get(address)
        assert answer.status_code == (404 if member is ours.rep2 else 200)
        answer.close()
    listeners = client_of(ours.manager).get(path).context["listeners"]
    assert [(one.who, one.what) for one in listeners] == [
        ("Admin of Ours", audit.RECORDING_DOWNLOADED),
        ("Rep of Ours", audit.RECORDING_PLAYED),
    ]
    assert "Who listened" not in client_of(ours.rep).get(path).content.decode()
    assert api_of(ours.admin).delete(f"recordings/{recording.pk}/").status_code == 204
    assert client_of(ours.manager).get(path).context["listeners"][0].what == audit.RECORDING_DELETED
    assert "Admin of Ours" in client_of(ours.rep).get(path).content.decode().split("Deleted on")[1].split("</p>")[0]


def test_opening_a_call_is_not_listening_to_it(ours, client_of, make_call):
    """The player asks for nothing before it is pressed."""
    call = make_call(status="completed", duration_seconds=9)
    make_recording(call, b"RIFF")
    assert '<audio controls preload="none"' in client_of(ours.manager).get(f"/calls/{call.pk}/").content.decode()


# Listen


def test_listen_brings_the_player_and_a_download_for_whoever_may(ours, client_of, make_call):
    """By the rules of the organization."""
    call = make_call(status="completed", duration_seconds=9, recording_url="/api/v1/recordings/x/audio")
    make_recording(call, b"RIFF")
    listen = f'hx-get="/calls/{call.pk}/player/"'
    assert listen in client_of(ours.rep).get("/calls/").content.decode()
    with tenancy.inside(ours.id):
        CallRules.objects.create(may_play="rep", may_download="manager")
    path = f"/calls/{call.pk}/player/"
    assert "data-player" in client_of(ours.rep).get(path).content.decode()
    assert "Download" not in client_of(ours.rep).get(path).content.decode()
    assert "Download" in client_of(ours.manager).get(path).content.decode()
    with tenancy.inside(ours.id):
        CallRules.objects.update(may_play="manager")
    part = client_of(ours.rep).get(path).content.decode()
    assert "Your role may not play recordings." in part
    assert "data-player" not in part
    assert "/audio" not in part


def test_a_row_without_a_recording_has_nothing_to_press(ours, client_of, make_call):
    """There is nothing to hear."""
    make_call(status="completed", duration_seconds=9)
    assert "/player/" not in client_of(ours.rep).get("/calls/").content.decode()


@pytest.mark.parametrize(
    ("recording", "sentence"),
    [
        ({"status": "absent"}, "Nothing was recorded"),
        ({"status": "failed"}, "The recording failed at Twilio."),
        ({"status": "completed"}, "Processing…"),
    ],
)
def test_each_way_of_not_being_playable_has_its_own_words(ours, client_of, make_call, recording, sentence):
    """Beside a call that is watched."""
    call = make_call(status="completed", duration_seconds=9)
    with tenancy.inside(ours.id):
        Recording.objects.create(call=call, recording_sid=f"RE{uuid4().hex}", **recording)
    DueCall.objects.create(call_id=call.pk, organization_id=ours.id, due_at=timezone.now())
    assert sentence in client_of(ours.rep).get(f"/calls/{call.pk}/player/").content.decode()
