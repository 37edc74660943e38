"""The live panel says whose phone is ringing, how it ended, and what went wrong."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from calls.models import CallLog
from crm import tenancy
from crm.models import Membership
from integrations.models import TwilioAccount

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


def test_a_panel_shows_only_ones_own_recent_call(ours, client_of, make_call):
    """Not a colleague's, even to a manager, and not yesterday's."""
    make_call(status="ringing", stage="ringing_contact", user=ours.rep2.user)
    make_call(status="completed", duration_seconds=1, ago=180)
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
