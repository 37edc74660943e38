"""Cancel and Hang up: a member ends what lives, and is not named for what was over, refused, or went on."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from calls.errors import CallIsOver
from calls.models import JournalEntry
from calls.services.hangup import hang_up
from crm import tenancy
from integrations.twilio.errors import TwilioRejected, TwilioUnconfirmed
from tests.calls.driving import apply, check, dropped, due, kinds, let_pass, over_at_twilio, quick, rest
from tests.calls.test_no_news import at_twilio, sweep_until_settled
from tests.conftest import Company, World, callbacks_of, eventually, read_call

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    ("rep", "contact", "expected"),
    [
        ({"does": "no-answer"}, {}, ("no-answer", "agent", "system")),
        ({"does": "busy"}, {}, ("busy", "agent", "agent")),
        ({}, {"does": "no-answer"}, ("no-answer", "contact", "system")),
        ({}, {"does": "answer", "after": 1, "talk": 5}, ("completed", None, "contact")),
    ],
    ids=["rep no-answer", "rep busy", "contact no-answer", "talked"],
)
def test_a_call_that_was_over_at_twilio_was_not_ended_by_who_pressed_the_button_later(
    quiet: World, company: Company, rep: dict[str, Any], contact: dict[str, Any], expected: tuple[str | None, ...]
) -> None:
    quick(company)
    if rep:
        quiet.twilio.phone(company.rep.phone_number, **rep)
    if contact:
        quiet.twilio.phone(company.contact_number, **contact)
    quiet.twilio.faults(*dropped(company, "status", "recording", "action"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    assert apply(company, call_id).is_live
    let_pass(company, call_id, 30)
    hang_up(member=company.rep, call_id=call_id)
    assert "hang-up in vain" in kinds(company, call_id)
    sweep_until_settled(company, call_id)
    row = read_call(company, call_id)
    assert (row.status, row.unanswered_by, row.ended_by) == expected


def test_a_call_whose_end_is_stored_and_not_applied_yet_is_over(quiet: World, company: Company) -> None:
    quick(company)
    quiet.twilio.phone(company.contact_number, does="no-answer")
    call_id = quiet.call(company)
    eventually(lambda: "dial" in callbacks_of(company, call_id).kinds, what="the action")
    over_at_twilio(company, quiet)
    assert read_call(company, call_id).is_live
    with pytest.raises(CallIsOver):
        hang_up(member=company.rep, call_id=call_id)
    row = read_call(company, call_id)
    assert (row.status, row.unanswered_by, row.ended_by) == ("no-answer", "contact", "system")


@pytest.mark.parametrize(
    ("status", "code", "error"), [(400, 20001, TwilioRejected), (500, 20500, TwilioUnconfirmed)], ids=["400", "500"]
)
def test_a_hang_up_that_twilio_did_not_do_did_not_end_the_conversation(
    quiet: World, company: Company, status: int, code: int, error: type[Exception]
) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=60)
    call_id = quiet.call(company)
    eventually(lambda: apply(company, call_id).stage == "talking", what="they talk")
    quiet.twilio.faults(rest(company, "update", "status", status=status, code=code, times=None))
    with pytest.raises(error):
        hang_up(member=company.rep, call_id=call_id)
    assert apply(company, call_id).stage == "talking"
    over_at_twilio(company, quiet)
    row = apply(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "contact")


def test_a_hang_up_whose_answer_never_came_is_done_by_the_sweeper(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=3000)
    call_id = quiet.call(company)
    eventually(lambda: apply(company, call_id).stage == "talking", what="they talk")
    quiet.twilio.faults(rest(company, "update", "cut-before"))
    with pytest.raises(TwilioUnconfirmed):
        hang_up(member=company.rep, call_id=call_id)
    note = due(call_id)
    assert note is not None
    assert note.due_at is not None
    assert note.due_at <= timezone.now() + timedelta(seconds=10)
    make_older(company, call_id, 11)
    check(company, call_id)
    over_at_twilio(company, quiet)
    row = apply(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "member")


def test_a_hang_up_that_twilio_refuses_again_and_again_hides_no_answer(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=3000)
    unheard = dropped(company, "status")
    quiet.twilio.faults(*unheard)
    call_id = quiet.call(company)
    eventually(lambda: "key" in callbacks_of(company, call_id).kinds, what="the key")
    eventually(lambda: "contact in-progress" in at_twilio(quiet, company), what="they talk")
    quiet.twilio.faults(
        rest(company, "update", "cut-before"), rest(company, "update", "error-500", times=None), *unheard
    )
    with pytest.raises(TwilioUnconfirmed):
        hang_up(member=company.rep, call_id=call_id)
    assert apply(company, call_id).stage == "ringing_contact"
    make_older(company, call_id, 61)
    assert check(company, call_id).stage == "talking"
    quiet.twilio.faults()
    make_older(company, call_id, 61)
    check(company, call_id)
    over_at_twilio(company, quiet)
    sweep_until_settled(company, call_id)
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "member")


def make_older(company: Company, call_id: Any, seconds: float) -> None:
    """Let time pass for the wish as well, whose time is in what it says."""
    let_pass(company, call_id, seconds)
    with tenancy.inside(company.id):
        entry = JournalEntry.objects.get(call_id=call_id, kind="hang-up")
        asked = datetime.fromisoformat(entry.payload["at"]) - timedelta(seconds=seconds)
        JournalEntry.objects.filter(call_id=call_id, kind="hang-up").update(
            payload=entry.payload | {"at": asked.isoformat()}
        )


def test_of_two_clicks_the_first_ends_the_call_and_the_second_takes_nothing_back(
    quiet: World, company: Company
) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=600)
    call_id = quiet.call(company)
    eventually(lambda: apply(company, call_id).stage == "talking", what="they talk")
    quiet.twilio.faults(*dropped(company, "status", "action"))
    hang_up(member=company.rep, call_id=call_id)
    if read_call(company, call_id).is_live:
        hang_up(member=company.rep, call_id=call_id)
    over_at_twilio(company, quiet)
    sweep_until_settled(company, call_id)
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "member")
    assert "hang-up in vain" not in kinds(company, call_id)


def test_one_404_ends_no_conversation(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=60)
    call_id = quiet.call(company)
    eventually(lambda: apply(company, call_id).stage == "talking", what="they talk")
    quiet.twilio.faults(rest(company, "update", "status", status=404, code=20404, times=1))
    hang_up(member=company.rep, call_id=call_id)
    assert apply(company, call_id).stage == "talking"
    over_at_twilio(company, quiet)
    row = apply(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "contact")


def test_two_404s_count_only_with_nothing_heard_in_between(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=3000)
    quiet.twilio.faults(*dropped(company, "status"))
    call_id = quiet.call(company)
    eventually(lambda: "key" in callbacks_of(company, call_id).kinds, what="the key")
    unknown = rest(company, "fetch", "status", status=404, code=20404, times=1)
    for _ in range(2):
        quiet.twilio.faults(*dropped(company, "status"), unknown)
        looks_until(company, call_id, "not found")
        quiet.twilio.faults(*dropped(company, "status"))
        looks_until(company, call_id, "agent leg")
        let_pass(company, call_id, 1800)
    assert kinds(company, call_id).count("not found") == 2
    assert read_call(company, call_id).is_live
    quiet.twilio.faults(*dropped(company, "status"), unknown | {"times": None})
    for _ in range(4):
        looks_until(company, call_id, "not found")
    assert read_call(company, call_id).status == "failed", "Twilio does not know it, twice, minutes apart"


def looks_until(company: Company, call_id: Any, kind: str) -> None:
    """Let the sweeper look when it is due, until it has noted this once more or the call is over."""
    before = kinds(company, call_id).count(kind)
    for _ in range(6):
        note = due(call_id)
        if note is None or kinds(company, call_id).count(kind) > before:
            return
        let_pass(company, call_id, 601)
        check(company, call_id)
