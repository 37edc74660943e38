"""Whatever is lost, late, doubled or raced for: the row ends as it should, and nothing stays unapplied unseen."""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db import connection
from django.utils import timezone

from calls import journal
from calls.addresses import callback_url
from calls.models import DueCall, JournalEntry
from calls.reconcile import sweep as sweeper
from calls.reconcile.apply import apply_callbacks
from calls.services.start import start_call
from crm import tenancy, wake
from integrations.access import credentials
from integrations.twilio import client
from integrations.twilio.errors import TwilioUnreachable
from tests.calls.driving import (
    apply,
    check,
    dropped,
    due,
    kinds,
    let_pass,
    live_calls,
    over_at_twilio,
    own_queue,
    quick,
    rest,
    send_callback,
    stored_state,
    unapplied_without_a_note,
)
from tests.conftest import Company, World, at_once, callbacks_of, eventually, make_company, read_call, read_journal

ROUNDS = int(os.environ.get("RACE_ROUNDS", "60"))
SEED = int(os.environ.get("CALLBACK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)


# --- lost callbacks ---


@pytest.mark.stack
@pytest.mark.parametrize("lost", [("status", "recording"), ("status", "recording", "action")], ids=["status", "action"])
def test_a_call_whose_callbacks_are_all_lost_still_ends_right(
    quiet: World, company: Company, lost: tuple[str, ...]
) -> None:
    quiet.twilio.faults(*dropped(company, *lost))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    assert {entry.kind for entry in callbacks_of(company, call_id).entries} <= {"answer", "key", "dial", "fallback"}
    row = apply(company, call_id)
    assert (row.status, row.stage) != ("completed", "talking")
    # Not yet due: nothing is asked before the silence has lasted.
    check(company, call_id)
    assert "agent leg" not in kinds(company, call_id)
    let_pass(company, call_id, 61)
    assert due(call_id).due_at <= timezone.now()  # type: ignore[union-attr]  # it is live, so it is due some time
    row = check(company, call_id)
    assert (row.status, row.stage, row.ended_by) == ("completed", "ended", "contact")
    assert row.duration_seconds in range(19, 23)
    legs = {leg["role"]: leg for leg in stored_state(company, call_id)["legs"]}
    assert (legs["agent"]["status"], legs["contact"]["status"]) == ("completed", "completed")
    assert row.answered_at == legs["contact"]["answered_at"]
    # The recording that nobody told us of.
    let_pass(company, call_id, 6)
    row = check(company, call_id)
    assert row.recording_url
    assert due(call_id) is None


@pytest.mark.stack
@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ({"does": "busy"}, ("busy", "contact", "contact")),
        ({"does": "no-answer"}, ("no-answer", "contact", "system")),
        ({"does": "fail"}, ("failed", "contact", "system")),
    ],
)
def test_a_contact_who_was_not_reached_is_known_without_a_single_status_callback(
    quiet: World, company: Company, contact: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    quick(company)
    quiet.twilio.phone(company.contact_number, **contact)
    quiet.twilio.faults(*dropped(company, "status", "action"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 61)
    row = check(company, call_id)
    assert (row.status, row.unanswered_by, row.ended_by) == expected


@pytest.mark.stack
def test_a_rep_who_did_not_answer_is_known_without_callbacks(quiet: World, company: Company) -> None:
    quick(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    quiet.twilio.faults(*dropped(company, "status"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 61)
    row = check(company, call_id)
    assert (row.status, row.unanswered_by, row.ended_by) == ("no-answer", "agent", "system")
    assert due(call_id) is None


@pytest.mark.stack
def test_a_live_call_without_news_is_asked_for_again_and_again_but_ever_less(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", talk=3000)
    quiet.twilio.faults(*dropped(company, "status"))
    call_id = quiet.call(company)
    eventually(lambda: "key" in callbacks_of(company, call_id).kinds, what="the key")

    def both_talk() -> bool:
        live = quiet.twilio.ask("GET", "state")["calls"]["live"]
        return [one["status"] for one in live if one["account_sid"] == company.account_sid] == ["in-progress"] * 2

    eventually(both_talk, what="the contact answers")
    let_pass(company, call_id, 61)
    row = check(company, call_id)
    assert (row.status, row.stage) == ("in-progress", "talking")  # known from Twilio's answer alone
    waits = []
    for _ in range(4):
        note = due(call_id)
        assert note is not None
        waits.append((note.due_at - timezone.now()).total_seconds())
        let_pass(company, call_id, waits[-1] + 0.5)
        assert check(company, call_id).is_live
    assert waits == sorted(waits)
    # 60 s after the news that the question brought, then 120, 240 and 480 later.
    assert [round(wait, -1) for wait in waits] == [60, 120, 240, 480]


@pytest.mark.stack
def test_a_call_queued_too_long_is_canceled(quiet: World, company: Company) -> None:
    # One call a second, and the simulator's clock: the second one waits in Twilio's queue.
    quiet.twilio.ask("POST", "accounts", company.account() | {"cps": 0.001})
    quiet.call(company, company.rep2)
    call_id = quiet.call(company)
    let_pass(company, call_id, 55)
    assert check(company, call_id).status == "queued"
    let_pass(company, call_id, 6)
    row = check(company, call_id)
    assert (row.status, row.ended_by) == ("canceled", "system")
    assert start_call(member=company.rep, contact_id=company.contact.pk)[1], "the rep is free again"


# --- an unconfirmed start ---


@pytest.mark.stack
def test_a_call_whose_start_was_never_answered_is_found_by_its_callbacks(quiet: World, company: Company) -> None:
    quiet.twilio.faults(rest(company, "create", "cut-after"))
    call_id = quiet.call(company)
    assert "unconfirmed" in kinds(company, call_id)
    over_at_twilio(company, quiet)
    row = apply(company, call_id)
    assert row.confirmed
    assert (row.status, row.ended_by) == ("completed", "contact")
    assert len(quiet.twilio.calls_made(company)) == 1


@pytest.mark.stack
def test_a_call_whose_start_was_never_answered_is_found_in_twilios_list(quiet: World, company: Company) -> None:
    quick(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    quiet.twilio.faults(rest(company, "create", "cut-after"), *dropped(company, "status"))
    call_id = quiet.call(company)
    (made,) = quiet.twilio.calls_made(company)
    over_at_twilio(company, quiet)
    assert not check(company, call_id).confirmed  # too early to ask
    let_pass(company, call_id, 21)
    row = check(company, call_id)
    assert (row.confirmed, row.call_sid) == (True, made["sid"])
    assert (row.status, row.unanswered_by) == ("no-answer", "agent")
    assert len(quiet.twilio.calls_made(company)) == 1


def share_a_phone(company: Company) -> None:
    """The manager is called at the rep's phone."""
    company.manager.phone_number = company.rep.phone_number
    with tenancy.inside(company.id):
        company.manager.save(update_fields=["phone_number"])


@pytest.mark.stack
def test_two_lost_starts_to_one_phone_each_find_their_own_call(quiet: World, company: Company) -> None:
    quick(company)
    share_a_phone(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    cut = rest(company, "create", "cut-after", times=2)
    quiet.twilio.faults(cut, *dropped(company, "status"))
    first = quiet.call(company)
    second = quiet.call(company, company.manager)
    over_at_twilio(company, quiet)
    asked = quiet.twilio.ask("GET", f"requests?account_sid={company.account_sid}")["requests"]
    for call_id in (second, first):
        let_pass(company, call_id, 21)
        sid = check(company, call_id).call_sid
        assert {str(call_id) in one["url"] for one in asked if one["call_sid"] == sid} == {True}


@pytest.mark.stack
def test_two_lost_starts_that_twilio_has_not_dialled_yet_are_told_apart_by_what_we_asked_for(
    quiet: World, company: Company
) -> None:
    """Of a queued call Twilio's record has `POST /Calls` alone: our addresses are among its parameters."""
    share_a_phone(company)
    quiet.twilio.ask("POST", "accounts", company.account() | {"cps": 0.001})
    quiet.call(company, company.rep2)  # goes first
    quiet.twilio.faults(rest(company, "create", "cut-after", times=2))
    theirs: dict[UUID, str] = {}
    before = {one["sid"] for one in quiet.twilio.calls_made(company)}
    for member in (company.rep, company.manager):
        call_id = quiet.call(company, member)
        (theirs[call_id],) = {one["sid"] for one in quiet.twilio.calls_made(company)} - before - {*theirs.values()}
    for call_id, sid in reversed(theirs.items()):
        let_pass(company, call_id, 21)
        assert check(company, call_id).call_sid == sid


@pytest.mark.stack
def test_a_lost_start_of_which_twilio_has_no_record_is_recognized_at_the_second_look(
    quiet: World, company: Company
) -> None:
    quick(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    silent = [rest(company, "events", "error-500", times=None), *dropped(company, "status")]
    quiet.twilio.faults(rest(company, "create", "cut-after"), *silent)
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 21)
    assert not check(company, call_id).confirmed, "its record may yet come"
    assert "not found" not in kinds(company, call_id)
    let_pass(company, call_id, 180)
    row = check(company, call_id)
    assert [row.call_sid] == [made["sid"] for made in quiet.twilio.calls_made(company)]
    assert row.status == "no-answer"


@pytest.mark.stack
def test_a_call_without_a_record_that_may_be_either_of_two_lost_starts_is_neither(
    quiet: World, company: Company
) -> None:
    quick(company)
    share_a_phone(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    lost = [rest(company, "create", "cut-before"), rest(company, "create", "cut-after")]
    quiet.twilio.faults(*lost, rest(company, "events", "error-500", times=None), *dropped(company, "status"))
    never, made = quiet.call(company), quiet.call(company, company.manager)
    over_at_twilio(company, quiet)
    for seconds in (21, 181):
        for call_id in (never, made):
            let_pass(company, call_id, seconds)
            assert not check(company, call_id).confirmed
            assert "not found" not in kinds(company, call_id)
    quiet.twilio.faults()
    for call_id in (never, made):
        let_pass(company, call_id, 601)
        check(company, call_id)
    assert [read_call(company, call_id).confirmed for call_id in (never, made)] == [False, True]


@pytest.mark.stack
def test_a_strangers_call_to_the_same_phone_is_not_taken_for_the_lost_one(quiet: World, company: Company) -> None:
    quiet.twilio.faults(rest(company, "create", "cut-before"), *dropped(company, "status", "twiml"))
    call_id = quiet.call(company)
    account = credentials(company.id)
    assert account is not None
    another = callback_url(company.id, uuid4(), "agent")
    client.place_call(
        account,
        to=company.rep.phone_number,
        from_number=company.number,
        answer_url=another,
        fallback_url=another,
        status_url=another,
    )
    over_at_twilio(company, quiet)
    for _ in range(2):
        let_pass(company, call_id, 201)
        row = check(company, call_id)
    assert (row.status, row.error_message, row.call_sid) == ("failed", "unconfirmed", None)


@pytest.mark.stack
def test_an_earlier_call_to_the_same_phone_is_not_taken_for_the_lost_one(quiet: World, company: Company) -> None:
    quick(company)
    quiet.twilio.phone(company.rep.phone_number, does="busy")
    earlier = quiet.call(company)
    over_at_twilio(company, quiet)
    assert apply(company, earlier).status == "busy"
    quiet.twilio.faults(rest(company, "create", "cut-before"))
    call_id = quiet.call(company)
    let_pass(company, call_id, 21)
    assert check(company, call_id).call_sid is None
    assert "not found" in kinds(company, call_id)


@pytest.mark.stack
@pytest.mark.parametrize("fault", ["cut-before", "error-500"])
def test_a_call_that_twilio_never_made_is_given_up_after_two_empty_answers_minutes_apart(
    quiet: World, company: Company, fault: str
) -> None:
    quiet.twilio.faults(rest(company, "create", fault))
    call_id = quiet.call(company)
    let_pass(company, call_id, 21)
    assert check(company, call_id).is_live
    assert kinds(company, call_id).count("not found") == 1
    let_pass(company, call_id, 100)
    assert check(company, call_id).is_live, "two answers within two minutes prove nothing"
    let_pass(company, call_id, 100)
    row = check(company, call_id)
    assert (row.status, row.ended_by, row.error_message, row.confirmed) == ("failed", "system", "unconfirmed", False)
    assert due(call_id) is None
    assert not quiet.twilio.calls_made(company), "it was never dialled again"
    quiet.twilio.faults()
    assert start_call(member=company.rep, contact_id=company.contact.pk)[1], "the rep is free again"
    # Its phone rings all the same, much later: that is written down, and the leg is hung up.
    sid = "CA" + uuid4().hex
    answer = send_callback(company, call_id, "answer", {"CallSid": sid, "CallStatus": "in-progress"})
    assert (answer.status_code, b"<Hangup" in answer.content, b"<Dial" in answer.content) == (200, True, False)
    send_callback(company, call_id, "agent", {"CallSid": sid, "CallStatus": "completed", "CallDuration": "2"})
    late = apply(company, call_id)
    assert (late.status, late.error_message, late.call_sid, late.confirmed) == ("failed", "unconfirmed", sid, True)
    assert due(call_id) is None


@pytest.mark.stack
@pytest.mark.parametrize("error", [{"status": 500}, {"status": 404, "code": 20404}], ids=["500", "404"])
def test_twilios_errors_are_not_empty_answers(quiet: World, company: Company, error: dict[str, int]) -> None:
    quiet.twilio.faults(rest(company, "create", "cut-before"), rest(company, "list", "status", times=None, **error))
    call_id = quiet.call(company)
    for seconds in (21, 180, 600):
        let_pass(company, call_id, seconds)
        assert check(company, call_id).is_live
    assert "not found" not in kinds(company, call_id)
    # By now a leg that asked for its TwiML would be hung up (calls/instructions.py): nobody can be talking.
    let_pass(company, call_id, 600)
    assert check(company, call_id).status == "failed"
    assert start_call(member=company.rep, contact_id=company.contact.pk)[1]


@pytest.mark.stack
def test_two_empty_answers_count_only_minutes_apart_however_late_the_first_one_came(
    quiet: World, company: Company
) -> None:
    quiet.twilio.faults(rest(company, "create", "cut-before"), rest(company, "list", "error-500", times=1))
    call_id = quiet.call(company)
    let_pass(company, call_id, 21)
    check(company, call_id)  # an error
    let_pass(company, call_id, 180)
    check(company, call_id)  # the first empty answer, when the second was due
    assert kinds(company, call_id).count("not found") == 1
    let_pass(company, call_id, 10)
    assert check(company, call_id).is_live
    let_pass(company, call_id, 180)
    assert check(company, call_id).status == "failed"


@pytest.mark.stack
def test_a_live_call_that_twilio_no_longer_knows_does_not_hold_the_rep_for_ever(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="manual")
    quiet.twilio.faults(rest(company, "fetch", "status", status=404, code=20404, times=None))
    call_id = quiet.call(company)
    eventually(lambda: apply(company, call_id).status == "ringing", what="the rep's phone to ring")
    # Asked twice; how long the first wait and the second are, the rules say.
    for _ in range(2):
        assert read_call(company, call_id).is_live
        let_pass(company, call_id, 185)
        check(company, call_id)
    assert read_call(company, call_id).status == "failed"


# --- the sweeper ---


@pytest.fixture
def only_ours() -> None:
    """Take the calls of earlier tests off the sweeper's list."""
    DueCall.objects.all().delete()


@pytest.mark.stack
def test_callbacks_whose_wake_ups_were_lost_are_applied_when_the_sweeper_has_come(
    quiet: World, company: Company, only_ours: None
) -> None:
    """No worker runs, so nothing but the sweeper's list knows of them."""
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    assert read_call(company, call_id).is_live
    assert callbacks_of(company, call_id).count >= 11
    note = due(call_id)
    assert note is not None
    assert note.unapplied_since is not None
    assert sweeper.apply_waiting() >= 1  # an earlier test's call may still have something to say
    note = due(call_id)
    assert note is not None
    assert (note.unapplied_since, note.is_live) == (None, False)
    assert note.due_at <= timezone.now(), "its recording is owed"
    assert read_call(company, call_id).status == "completed"
    assert sweeper.look_at_due() >= 1
    row = read_call(company, call_id)
    assert (row.status, bool(row.recording_url)) == ("completed", True)
    assert due(call_id) is None


@pytest.mark.parametrize(
    ("take", "does"), [(sweeper.apply_waiting, "apply_callbacks"), (sweeper.look_at_due, "check_call")]
)
def test_workers_that_come_at_once_get_each_call_once(
    only_ours: None, take: Callable[[], int], does: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = live_calls(120)
    DueCall.objects.update(unapplied_since=timezone.now())
    work, taken = getattr(sweeper, does), []

    def noted(organization_id: UUID, call_id: UUID) -> None:
        taken.append(call_id)
        work(organization_id, call_id)

    monkeypatch.setattr(sweeper, does, noted)
    assert not at_once(*[take] * 4)
    ours = {call_id for _, call_id in made}
    assert sorted(one for one in taken if one in ours) == sorted(ours)


def test_prices_are_asked_for_after_what_somebody_may_wait_for(
    only_ours: None, ours: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [call_id for _, call_id in live_calls(6, ours)]
    now = timezone.now()
    for minutes, call_id in enumerate(made):
        DueCall.objects.filter(pk=call_id).update(only_price=minutes > 2, due_at=now - timedelta(minutes=minutes))
    taken: list[UUID] = []
    monkeypatch.setattr(sweeper, "check_call", lambda _, call_id: taken.append(call_id))
    sweeper.look_at_due()
    assert taken == [made[number] for number in (2, 1, 0, 5, 4, 3)]


def test_what_a_worker_took_and_did_not_finish_is_due_again_within_a_minute(only_ours: None) -> None:
    [(_, call_id)] = live_calls(1)
    seen = []

    class Killed(BaseException):
        """As a process that ends in the middle."""

    def killed(organization_id: UUID, call_id: UUID) -> None:
        seen.append((organization_id, call_id))
        raise Killed

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(sweeper, "check_call", killed)
        sweeper.look_at_due()
    note = due(call_id)
    assert note is not None
    assert note.due_at is not None
    assert timedelta(seconds=50) < note.due_at - timezone.now() <= sweeper.LEASE
    assert sweeper.look_at_due() == 0
    DueCall.objects.filter(pk=call_id).update(due_at=timezone.now())
    assert sweeper.look_at_due() == 1


def test_each_organization_has_its_turn_whatever_waits_for_another(only_ours: None) -> None:
    many, few = make_company("Many"), make_company("Few")
    live_calls(50, many)
    live_calls(2, few)
    order: list[UUID] = []
    DueCall.objects.update(unapplied_since=timezone.now())
    DueCall.objects.filter(organization_id=few.id).update(unapplied_since=timezone.now() + timedelta(seconds=9))
    with pytest.MonkeyPatch.context() as patch:

        def noted(organization_id: UUID, call_id: UUID) -> None:
            if organization_id in (many.id, few.id):
                order.append(organization_id)
            apply_callbacks(organization_id, call_id)

        patch.setattr(sweeper, "apply_callbacks", noted)
        sweeper.apply_waiting()
    assert len(order) == 52
    assert set(order[:2]) == set(order[2:4]) == {many.id, few.id}


def test_a_worker_hands_on_what_is_left_when_its_turn_is_over(only_ours: None) -> None:
    live_calls(3)
    DueCall.objects.update(unapplied_since=timezone.now())
    assert wake.flush(5)
    with pytest.MonkeyPatch.context() as patch, own_queue() as messages:
        patch.setattr(sweeper, "TURN", 0.0)
        for _ in range(3):
            done = sweeper.apply_waiting()
            assert wake.flush(5)
            assert [done, *messages()] == [1, "calls.apply"]


# --- late and racing callbacks ---


@pytest.mark.stack
def test_a_late_callback_puts_a_settled_call_back_on_the_list(quiet: World, company: Company) -> None:
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    row = check(company, call_id)
    assert (row.status, due(call_id)) == ("completed", None)
    before = stored_state(company, call_id)
    late = {"CallSid": str(row.call_sid), "CallStatus": "ringing", "Timestamp": "Mon, 04 May 2037 12:00:00 +0000"}
    assert send_callback(company, call_id, "agent", late).status_code == 204
    note = due(call_id)
    assert note is not None
    assert note.unapplied_since is not None
    check(company, call_id)
    assert due(call_id) is None
    assert stored_state(company, call_id) == before


def settled_call() -> tuple[Company, UUID, str]:
    """A call that ended long ago and owes nothing: no note of it on the sweeper's list."""
    ((company, call_id),) = live_calls(1)
    sid = "CA" + uuid4().hex
    send_callback(company, call_id, "agent", {"CallSid": sid, "CallStatus": "busy", "CallDuration": "0"})
    apply(company, call_id)
    assert due(call_id) is None
    return company, call_id, sid


def test_a_callback_stored_while_its_call_is_being_settled_is_never_left_without_a_note() -> None:
    company, call_id, sid = settled_call()
    done = threading.Event()
    missed: list[int] = []

    def keep_applying() -> None:
        while not done.is_set():
            apply_callbacks(company.id, call_id, ask=False)

    def keep_storing() -> None:
        try:
            for number in range(ROUNDS):
                said = {"CallSid": sid, "CallStatus": "busy", "Timestamp": f"round {number}"}
                assert send_callback(company, call_id, "agent", said).status_code == 204
                with tenancy.inside(company.id):
                    if unapplied_without_a_note():
                        missed.append(number)
        finally:
            done.set()

    assert not at_once(keep_applying, keep_applying, keep_storing)
    assert missed == []
    apply(company, call_id)
    with tenancy.inside(company.id):
        assert not JournalEntry.objects.filter(call_id=call_id, applied_at=None).exists()
    assert due(call_id) is None


def test_a_settled_call_that_is_applied_again_holds_a_callback_back_until_it_is_done() -> None:
    """The same race, one step at a time: the callback waits for the worker, and then leaves its note."""
    company, call_id, sid = settled_call()
    stored = threading.Event()

    def store() -> None:
        send_callback(company, call_id, "agent", {"CallSid": sid, "CallStatus": "busy", "Timestamp": "late"})
        stored.set()
        connection.close()

    with tenancy.inside(company.id):
        apply_callbacks(company.id, call_id, ask=False)
        thread = threading.Thread(target=store)
        thread.start()
        # It is held back: another connection sees it wait for our lock.
        eventually(lambda: _somebody_waits_for_us() or stored.is_set(), seconds=10)
        assert not stored.is_set()
    thread.join(10)
    assert due(call_id) is not None
    with tenancy.inside(company.id):
        assert JournalEntry.objects.filter(call_id=call_id, applied_at=None).count() == 1
        assert unapplied_without_a_note() == 0


def _somebody_waits_for_us() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))"
        )
        return bool(cursor.fetchone()[0])


@pytest.mark.stack
def test_whatever_callbacks_are_lost_asking_twilio_ends_in_the_same_row(quiet: World, company: Company) -> None:
    """Half of the status callbacks and the action lost, at random: what is told and what is asked for agree."""
    chance = random.Random(SEED)
    words = ["initiated", "ringing", "in-progress", "completed"]
    rules = [
        {
            "on": "webhook",
            "do": "drop",
            "account": company.account_sid,
            "times": 1,
            "match": {"kind": "status", "CallStatus": word},
        }
        for word in chance.sample(words, 2)
    ]
    quiet.twilio.faults(*rules, *dropped(company, "action"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    apply(company, call_id)
    for _ in range(3):
        let_pass(company, call_id, 61)
        check(company, call_id)
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "contact"), f"seed {SEED}"
    assert row.duration_seconds in range(19, 23)


# --- a broker, a Twilio, and a database that are not there ---


@pytest.mark.stack
def test_a_call_that_could_not_be_asked_about_is_asked_about_later(quiet: World, company: Company) -> None:
    quick(company)
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    quiet.twilio.faults(*dropped(company, "status"), rest(company, "fetch", "error-500", times=2))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    for _ in range(2):
        let_pass(company, call_id, 200)
        assert check(company, call_id).is_live
        assert due(call_id) is not None
    let_pass(company, call_id, 400)
    assert check(company, call_id).status == "no-answer"


@pytest.mark.stack
def test_a_start_that_cannot_reach_twilio_fails_at_once_and_frees_the_rep(
    quiet: World, company: Company, settings: Any
) -> None:
    simulator = settings.TWILIO_API_BASE_URL
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:9"
    began = time.monotonic()
    with pytest.raises(TwilioUnreachable) as refusal:
        quiet.call(company)
    assert time.monotonic() - began < 5
    row = read_call(company, UUID(refusal.value.details["call"]))
    assert (row.status, row.ended_by, row.error_message) == ("failed", "system", "twilio_unreachable")
    assert due(row.pk) is None
    settings.TWILIO_API_BASE_URL = simulator
    assert start_call(member=company.rep, contact_id=company.contact.pk)[1]


def test_a_fact_is_the_same_whatever_the_order_of_its_parameters() -> None:
    one = {"a": "1", "b": "2"}
    said = journal.written(one)
    assert journal.digest("agent", said) == journal.digest("agent", journal.written(dict(reversed(one.items()))))
    assert journal.digest("agent", said) != journal.digest("contact", said)
    assert json.dumps(one) != json.dumps(dict(reversed(one.items())))


def test_a_repeated_callback_is_one_entry_and_wakes_nobody() -> None:
    company, call_id, sid = settled_call()
    said = {"CallSid": sid, "CallStatus": "busy", "CallDuration": "0"}
    count = len(read_journal(company, call_id))
    assert send_callback(company, call_id, "agent", said).status_code == 204
    assert len(read_journal(company, call_id)) == count
    assert due(call_id) is None
