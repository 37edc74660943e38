"""What somebody tried and got through with once, and does not any more."""

from collections.abc import Callable
from typing import Any

import pytest

from calls.models import CallLog, CallStatus, JournalEntry
from calls.services.hangup import hang_up
from crm import tenancy
from integrations.twilio import words
from tests.calls.driving import check, let_pass
from tests.conftest import Company, World, eventually, read_call, read_journal


def test_the_page_starts_no_call_to_nobody(ours: Company, client_of: Callable[..., Any]) -> None:
    answer = client_of(ours.rep).post("/calls/start/", {})
    assert answer.status_code == 400
    assert "whom to call" in answer.content.decode()
    with tenancy.inside(ours.id):
        assert not CallLog.objects.exists()


@pytest.mark.parametrize("key", ["a\x00b", "x" * 201, "line\nbreak"])
def test_an_idempotency_key_is_text_of_bounded_length(
    ours: Company, client_of: Callable[..., Any], api_of: Callable[..., Any], key: str
) -> None:
    page = client_of(ours.rep).post("/calls/start/", {"contact": str(ours.contact.pk), "key": key})
    assert page.status_code in (400, 422, 503)
    if "\n" not in key:  # which no header can carry
        answer = api_of(ours.rep).post("calls/", {"contact": str(ours.contact.pk)}, **{"Idempotency-Key": key})
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["code"] == "bad_idempotency_key"


def test_a_body_that_is_too_large_or_too_deep_is_an_ordinary_error(ours: Company, api_of: Callable[..., Any]) -> None:
    client = api_of(ours.rep).client
    for body, status in (("[" * 20_000, 400), ('{"to": "' + "1" * 3_000_000 + '"}', 413)):
        answer = client.post("/api/v1/calls/", data=body, content_type="application/json")
        assert answer.status_code == status
        assert answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize("sid", ["../../x?y=", "RE" + "0" * 80, "RE", "", "re" + "0" * 32])
def test_a_recording_sid_that_is_none_is_no_news(sid: str) -> None:
    assert words.recording_callback({"RecordingSid": sid, "RecordingStatus": "completed"}) == []
    assert not [one for one in words.dial_callback({"RecordingSid": sid}) if isinstance(one, words.RecordingNews)]


def test_a_rep_is_free_again_when_twilio_does_not_know_the_call(world: World, company: Company) -> None:
    world.twilio.phone(company.rep.phone_number, does="manual")
    call_id = world.call(company)
    # As after a restart of the simulator, or a call that was deleted at Twilio.
    with tenancy.inside(company.id):
        accepted = JournalEntry.objects.get(call_id=call_id, kind="accepted")
        JournalEntry.objects.filter(call_id=call_id, kind="accepted").update(
            payload={**accepted.payload, "sid": "CA" + "0" * 32}
        )
        CallLog.objects.filter(pk=call_id).update(call_sid="CA" + "0" * 32)
    hang_up(member=company.rep, call_id=call_id)
    assert read_call(company, call_id).is_live, "one 404 proves nothing"
    let_pass(company, call_id, 190)
    check(company, call_id)
    assert read_call(company, call_id).status == CallStatus.FAILED


def test_the_panel_says_whose_phone_rings_though_no_worker_runs(
    world: World, company: Company, client_of: Callable[..., Any]
) -> None:
    world.twilio.phone(company.contact_number, does="manual")
    call_id = world.call(company)
    eventually(lambda: any(entry.kind == "contact" for entry in read_journal(company, call_id)))
    assert read_call(company, call_id).stage != "ringing_contact"
    page = client_of(company.rep).get("/calls/live/", headers={"HX-Request": "true"}).content.decode()
    assert f"Ringing {company.contact.name}" in page
    hang_up(member=company.rep, call_id=call_id)


def test_a_leg_sid_that_is_none_is_not_kept() -> None:
    sid = "CA" + "1" * 32
    [news] = words.leg_callback(words.CONTACT, {"CallSid": "x" * 80, "ParentCallSid": sid, "CallStatus": "ringing"})
    assert isinstance(news, words.LegNews)
    assert (news.call_sid, news.parent_call_sid) == (None, sid)
