"""No news at all: every outcome is found by asking, within the repair interval, and no more than that is asked."""

import errno
import time
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.core.files.storage import FileSystemStorage
from django.utils import timezone

from calls.models import DueCall
from calls.reconcile import sweep
from calls.reconcile.ask import check_call
from calls.services.hangup import hang_up
from crm import tenancy
from tests.calls.driving import (
    apply,
    check,
    dropped,
    due,
    kinds,
    let_pass,
    over_at_twilio,
    quick,
    rest,
    send_callback,
    stored_state,
)
from tests.calls.plays import PLAYS
from tests.calls.test_dead import strange_fact
from tests.conftest import Company, World, callbacks_of, eventually, make_company, read_call

# What Twilio may lose: everything but the requests that carry TwiML back.
CALLBACKS = ("status", "action", "recording")
# A row is right this long after the call's end, in seconds: the first silence (60), the callbacks' window (15) before
# Twilio's list counts, and, where a list without a child must be empty three times, 2 + 4 s more. With room for the
# seconds that a check itself takes.
REPAIR_SECONDS = 60 + 15 + 10


def asked(world: World, company: Company) -> Counter[str]:
    """What Twilio was asked with a company's credentials, by operation."""
    found = world.twilio.ask("GET", f"asked?account_sid={company.account_sid}")["asked"]
    return Counter(entry["operation"] for entry in found)


def sweep_until_settled(company: Company, call_id: UUID, *, most: int = 12) -> float:
    """Do what the sweeper and workers do, without waiting; return after how many seconds of theirs the row was final.

    Each wait is skipped, so that the next look is always due.
    """
    passed = 0.0
    final_after = None
    for _ in range(most):
        note = due(call_id)
        if note is None:
            break
        wait = max(0.0, (note.due_at - timezone.now()).total_seconds()) + 0.5
        let_pass(company, call_id, wait)
        passed += wait
        if not check(company, call_id).is_live and final_after is None:
            final_after = passed
    return passed if final_after is None else final_after


# --- every outcome ---

# Of the plays of plays.py, whatever they lose there: status, unanswered_by, ended_by, the last words of both legs,
# error_code. Twilio's REST API does not say who hung up first; that the contact did shows in the legs' times, as the
# rep's leg outlives theirs. The rep, only <Dial>'s action tells: the audit finds that one (test_audit.py).
Row = tuple[str, str | None, str | None, str, str | None, int | None]
ROWS: dict[str, Row] = {
    "rep does not answer": ("no-answer", "agent", "system", "no-answer", None, None),
    "rep is busy": ("busy", "agent", "agent", "busy", None, None),
    "rep declines": ("busy", "agent", "agent", "busy", None, None),
    "rep cannot be reached": ("failed", "agent", "system", "failed", None, None),
    "rep presses no key": ("no-answer", "agent", "system", "completed", None, None),
    "rep hangs up before the key": ("no-answer", "agent", "agent", "completed", None, None),
    "rep's voicemail hears the prompt out": ("no-answer", "agent", "system", "completed", None, None),
    "rep's voicemail hangs up before the key": ("no-answer", "agent", "agent", "completed", None, None),
    "contact does not answer": ("no-answer", "contact", "system", "completed", "no-answer", None),
    "contact is busy": ("busy", "contact", "contact", "completed", "busy", None),
    "contact declines": ("busy", "contact", "contact", "completed", "busy", None),
    "contact cannot be reached": ("failed", "contact", "system", "completed", "failed", None),
    "Twilio does not call the contact: 13227": ("failed", "contact", "system", "completed", "failed", 13227),
    "contact hangs up first": ("completed", None, "contact", "completed", "completed", None),
    "rep hangs up first": ("completed", None, None, "completed", "completed", None),
    "contact's voicemail answers": ("completed", None, "contact", "completed", "completed", None),
    "no key is asked for, contact hangs up first": ("completed", None, "contact", "completed", "completed", None),
    "rep hangs up while the contact's phone rings": ("canceled", None, "agent", "completed", "canceled", None),
    "member cancels before the rep answers": ("canceled", None, "member", "canceled", None, None),
    "member cancels while the rep hears the prompt": ("canceled", None, "member", "completed", None, None),
    "member cancels while the contact's phone rings": ("canceled", None, "member", "completed", "canceled", None),
    "member ends the conversation": ("completed", None, "member", "completed", "completed", None),
    "TwiML unreachable": ("failed", None, "system", "completed", None, 11200),
    "TwiML unreachable, the fallback is not": ("failed", None, "system", "completed", None, 11200),
}


def at_twilio(world: World, company: Company) -> set[str]:
    """The legs that are live at Twilio, as `test_outcomes` names moments to act at."""
    state = world.twilio.ask("GET", "state")
    mine = [one for one in state["calls"]["live"] if one["account_sid"] == company.account_sid]
    states = {f"{'contact' if one['parent_call_sid'] else 'agent'} {one['status']}" for one in mine}
    if "agent ringing" in states:
        states.add("ringing_agent")
    answered = [one["answered_at"] for one in mine if one["parent_call_sid"] and one["status"] == "in-progress"]
    now = datetime.fromisoformat(state["now"])
    # Of less than a second there would be no recording.
    if any(now - datetime.fromisoformat(one) >= timedelta(seconds=2) for one in answered):
        states.add("talking")
    return states


@dataclass
class Silent:
    """A call that nobody told us of."""

    company: Company
    call_id: UUID
    seconds: float = 0.0  # from its end at Twilio until its row was final


def begin(world: World, name: str, rules: list[dict[str, Any]]) -> Silent:
    """Make an organization whose callbacks are all lost, set its phones, and click; act if somebody does."""
    play, company = PLAYS[name], make_company("Silent")
    company.connect(ring_seconds=play.ring_seconds, confirms_with_key=play.confirms_with_key)
    world.twilio.knows(company)
    world.twilio.phone(company.rep.phone_number, **play.rep)
    world.twilio.phone(company.contact_number, **play.contact)
    of_account = {"account": company.account_sid, "times": None}
    lost = [{"on": "webhook", "do": "drop", "match": {"kind": kind}} for kind in {*play.lost, *CALLBACKS}]
    rules += [{**rule, **of_account} for rule in (*lost, *play.faults)]
    world.twilio.faults(*rules)
    call = Silent(company, world.call(company))
    if play.act is not None:
        eventually(lambda: play.at in at_twilio(world, company), what=f"{name}: {play.at}")
        hang_up(member=company.rep, call_id=call.call_id)
    return call


@pytest.fixture(scope="module")
def silent(_world: World) -> dict[str, Silent]:
    """A call for each of ROWS, side by side, without a single callback; as it stands after the sweeper's looks."""
    rules: list[dict[str, Any]] = []
    calls = {name: begin(_world, name, rules) for name in ROWS}
    for call in calls.values():
        over_at_twilio(call.company, _world, seconds=30)
        call.seconds = sweep_until_settled(call.company, call.call_id)
    _world.twilio.faults()
    return calls


@pytest.mark.stack
@pytest.mark.parametrize("name", ROWS)
def test_an_outcome_that_nobody_told_us_of_is_asked_for(quiet: World, silent: dict[str, Silent], name: str) -> None:
    call = silent[name]
    told = callbacks_of(call.company, call.call_id).kinds
    assert told <= {"answer", "bridge", "key", "fallback"}, "no callback came, only requests for TwiML"
    row = read_call(call.company, call.call_id)
    legs = {leg["role"]: leg for leg in stored_state(call.company, call.call_id)["legs"]}
    words = [legs[role]["status"] if role in legs else None for role in ("agent", "contact")]
    assert (row.status, row.unanswered_by, row.ended_by, *words, row.error_code) == ROWS[name]
    assert row.stage == "ended"
    if row.status == "completed":
        assert row.duration_seconds == legs["contact"]["duration_seconds"]
        assert row.answered_at == legs["contact"]["answered_at"]
        assert row.recording_sid, "its recording was asked for too"
        assert row.recording_url
    print(f"final after {call.seconds:.0f} s")  # noqa: T201
    assert call.seconds <= REPAIR_SECONDS
    assert due(call.call_id) is None, "nothing is owed any more"


# --- the load ---


@pytest.fixture
def silence(quiet: World, company: Company) -> World:
    """No callback reaches us, and the two talk for hours."""
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=100_000)
    rule = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None}
    quiet.twilio.faults(*[rule | {"match": {"kind": kind}} for kind in CALLBACKS])
    return quiet


def talking(world: World, company: Company) -> UUID:
    """A call that is under way and of which we know no more than that its TwiML was fetched."""
    call_id = world.call(company)
    eventually(lambda: "talking" in at_twilio(world, company), what="the two to talk")
    apply(company, call_id)
    return call_id


@pytest.mark.stack
def test_a_silent_call_is_asked_about_at_doubling_intervals_over_its_whole_life(
    silence: World, company: Company
) -> None:
    call_id = talking(silence, company)
    before = asked(silence, company).total()
    waits: list[int] = []
    questions: list[int] = []
    passed = 0.0
    while passed < 4 * 3600:  # <Dial>'s longest call
        note = due(call_id)
        assert note is not None, "a live call is always due some time"
        wait = (note.due_at - timezone.now()).total_seconds() + 0.5
        # A sweeper that comes too early asks nothing.
        let_pass(company, call_id, wait - 30)
        check(company, call_id)
        assert asked(silence, company).total() == before + sum(questions), (waits, wait)
        let_pass(company, call_id, 30)
        passed += wait
        assert check(company, call_id).is_live
        waits.append(round(wait))
        questions.append(asked(silence, company).total() - before - sum(questions))
    assert read_call(company, call_id).stage == "talking"
    print(f"{sum(questions)} questions in {passed:.0f} s, after {waits}: {questions}")  # noqa: T201
    # The first question brings news, so the second wait is as long; then they double, and end at every ten minutes.
    expected = [60, 60, 120, 240, 480] + [600] * (len(waits) - 5)
    assert all(abs(wait - right) <= 3 for wait, right in zip(waits, expected, strict=True)), waits
    assert questions == [2] * len(waits), "the agent leg, and the list of its children"
    assert sum(questions) <= 60
    assert asked(silence, company)["create"] == 1


@pytest.mark.stack
def test_the_load_grows_with_live_calls_and_not_with_ended_ones(silence: World, company: Company) -> None:
    """Three ended and three live calls, each asked about once an interval by a sweeper that looks at everything."""
    live: list[tuple[Company, UUID]] = []
    ended: list[tuple[Company, UUID]] = []
    for _ in range(3):
        other = make_company("Busy")
        silence.twilio.knows(other)
        silence.twilio.phone(other.rep.phone_number, does="busy", after=0)
        ended.append((other, silence.call(other)))
        over_at_twilio(other, silence)
        apply(*ended[-1])
        sweep_until_settled(*ended[-1])
        assert read_call(*ended[-1]).status == "busy"
    for _ in range(3):
        other = make_company("Live")
        silence.twilio.knows(other)
        silence.twilio.phone(other.rep.phone_number, does="manual")
        live.append((other, silence.call(other)))
        eventually(lambda c=other: "agent ringing" in at_twilio(silence, c))
        apply(*live[-1])
        connect_patiently(other)
    calls = live + ended
    before = [asked(silence, company) for company, _ in calls]
    for one in calls:
        let_pass(*one, 61)
        check_call(one[0].id, one[1])
        check_call(one[0].id, one[1])  # woken twice, as two workers may be
    more = [asked(silence, company) - earlier for (company, _), earlier in zip(calls, before, strict=True)]
    assert more == [Counter(fetch=1)] * 3 + [Counter()] * 3
    with_notes = set(DueCall.objects.filter(pk__in=[one[1] for one in calls]).values_list("pk", flat=True))
    assert with_notes == {one[1] for one in live}, "an ended call is not even on the sweeper's list"


def connect_patiently(company: Company) -> None:
    """Ring for two minutes."""
    company.connect(ring_seconds=120)


# --- lists that lag behind, and legs that never end ---


def dialled_and_left(world: World, company: Company, **contact: str) -> UUID:
    """A call whose rep pressed the key and left, as callbacks tell; Twilio's list knows of no other leg."""
    world.twilio.phone(company.rep.phone_number, does="manual")
    connect_patiently(company)
    world.twilio.faults(*dropped(company, *CALLBACKS))
    call_id = world.call(company)
    agent = {"CallSid": str(read_call(company, call_id).call_sid)}
    facts = [("answer", agent | {"CallStatus": "in-progress"}), ("key", agent | {"Digits": "1"})]
    if contact:
        facts.append(("contact", {"CallSid": "CA" + "c" * 32, "ParentCallSid": agent["CallSid"], **contact}))
    for kind, said in (*facts, ("agent", agent | {"CallStatus": "completed", "CallDuration": "9"})):
        assert send_callback(company, call_id, kind, said).status_code in (200, 204)
    stage = "talking" if contact.get("CallStatus") == "in-progress" else "ringing_contact"
    assert apply(company, call_id).stage == stage
    return call_id


@pytest.mark.stack
def test_a_list_without_the_contacts_leg_is_not_believed_for_three_minutes(quiet: World, company: Company) -> None:
    call_id = dialled_and_left(quiet, company)
    assert 180 <= sweep_until_settled(company, call_id) < 300
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("canceled", "agent")


@pytest.mark.stack
def test_a_list_without_the_contacts_leg_is_believed_the_third_time(quiet: World, company: Company) -> None:
    call_id = dialled_and_left(quiet, company)
    let_pass(company, call_id, 200)
    assert [check(company, call_id).status for _ in range(3)] == ["ringing", "ringing", "canceled"]


@pytest.mark.stack
def test_a_contacts_leg_that_never_ends_at_twilio_has_ended_with_the_agents(silence: World, company: Company) -> None:
    call_id = talking(silence, company)
    over = {"CallSid": str(read_call(company, call_id).call_sid), "CallStatus": "completed", "CallDuration": "30"}
    assert send_callback(company, call_id, "agent", over).status_code == 204
    apply(company, call_id)
    assert 180 <= sweep_until_settled(company, call_id, most=15) < 600
    row = read_call(company, call_id)
    assert (row.status, row.stage, row.ended_by) == ("completed", "ended", None)
    assert "presumed over" in kinds(company, call_id)


@pytest.mark.stack
@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        ({"CallStatus": "ringing"}, ("presumed over", "canceled")),
        ({"CallStatus": "in-progress"}, ("presumed over", "completed")),
        ({}, ("given up", "failed")),
    ],
    ids=["was rung", "talked", "nobody knows"],
)
def test_a_contacts_leg_that_cannot_be_asked_about_has_ended_with_the_agents_if_there_was_one(
    quiet: World, company: Company, contact: dict[str, str], expected: tuple[str, str]
) -> None:
    call_id = dialled_and_left(quiet, company, **contact)
    quiet.twilio.faults(rest(company, "list", "status", status=503, times=None), *dropped(company, *CALLBACKS))
    assert 20 * 60 <= sweep_until_settled(company, call_id, most=30) < 45 * 60
    steps = [kind for kind in kinds(company, call_id) if kind in ("presumed over", "given up")]
    assert (*steps, read_call(company, call_id).status) == expected


@pytest.mark.stack
def test_two_who_talk_are_given_up_only_when_no_call_lasts_so_long(silence: World, company: Company) -> None:
    call_id = talking(silence, company)
    let_pass(company, call_id, 61)
    assert check(company, call_id).stage == "talking"
    silence.twilio.faults(rest(company, "any", "status", status=503, times=None), *dropped(company, *CALLBACKS))
    for hour in range(1, 6):
        let_pass(company, call_id, 3550)
        assert check(company, call_id).is_live, hour
    let_pass(company, call_id, 601)
    row = check(company, call_id)
    assert (row.status, due(call_id)) == ("failed", None)
    # What it cost is asked for all the same.
    silence.twilio.faults(*dropped(company, *CALLBACKS))
    silence.twilio.ask("POST", f"phones/{company.rep.phone_number.replace('+', '%2B')}/hangup")

    def priced() -> bool:
        ended = silence.twilio.ask("GET", "state")["calls"]["recent"]
        prices = [one["price"] for one in ended if one["account_sid"] == company.account_sid]
        return len(prices) == 2 and all(prices)

    eventually(priced, what="Twilio's prices")
    for _ in range(5):
        note = DueCall.objects.filter(pk=call_id).first()
        if note is None:
            break
        assert note.due_at
        let_pass(company, call_id, (note.due_at - timezone.now()).total_seconds() + 1)
        row = check(company, call_id)
    assert not DueCall.objects.filter(pk=call_id).exists()
    assert (row.status, row.error_message, row.charge) == ("failed", "unconfirmed", row.price)
    assert row.price is not None
    assert 0 < row.price < 1


# --- 429 ---


def too_many(company: Company, on: str, **more: Any) -> dict[str, Any]:
    """Twilio refuses questions of this company."""
    return {"on": on, "do": "refuse-429", "account": company.account_sid, "times": None, **more}


@pytest.mark.stack
def test_a_429_that_says_how_long_to_wait_is_taken_at_its_word(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="busy", after=0)
    drop = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None}
    quiet.twilio.faults(drop, too_many(company, "fetch", retry_after=900))
    connect_patiently(company)
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    before = asked(quiet, company)
    let_pass(company, call_id, 61)
    assert check(company, call_id).is_live
    assert asked(quiet, company) - before == Counter(fetch=1), "one question: not tried again, and no other asked"
    note = due(call_id)
    assert note is not None
    assert 890 <= (note.due_at - timezone.now()).total_seconds() <= 901
    quiet.twilio.faults(drop)
    let_pass(company, call_id, 901)
    assert check(company, call_id).status == "busy"


@pytest.mark.stack
def test_a_429_without_a_time_is_tried_twice_more_and_then_left_for_longer_each_time(
    quiet: World, company: Company
) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="manual")
    connect_patiently(company)
    call_id = quiet.call(company)
    eventually(lambda: callbacks_of(company, call_id).count == 2, what="the rep's phone to ring, and both to be told")
    assert apply(company, call_id).status == "ringing"
    quiet.twilio.faults(too_many(company, "any"))
    before = asked(quiet, company).total()
    waits = []
    for number in range(1, 4):
        note = due(call_id)
        assert note is not None
        waits.append((note.due_at - timezone.now()).total_seconds())
        let_pass(company, call_id, waits[-1] + 0.5)
        began = time.monotonic()
        assert check(company, call_id).is_live
        assert time.monotonic() - began < 5
        assert asked(quiet, company).total() <= before + 3 * number
    print(f"{asked(quiet, company).total() - before} questions, waits {[round(wait) for wait in waits]}")  # noqa: T201
    assert waits == sorted(waits)
    assert len(set(map(round, waits))) == 3


@pytest.mark.stack
def test_what_was_answered_before_a_429_is_kept(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="busy", after=0)
    drop = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None}
    muted = [drop | {"match": {"kind": kind}} for kind in CALLBACKS]
    quiet.twilio.faults(*muted, too_many(company, "list", retry_after=120))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 61)
    assert check(company, call_id).is_live
    assert {leg["role"]: leg["status"] for leg in stored_state(company, call_id)["legs"]} == {"agent": "completed"}
    before = asked(quiet, company)
    quiet.twilio.faults(*muted)
    let_pass(company, call_id, 121)
    assert check(company, call_id).status == "busy"
    assert (asked(quiet, company) - before)["fetch"] == 0, "the agent leg's last word is known"


@pytest.mark.stack
def test_a_twilio_that_asks_for_days_is_asked_again_within_the_hour(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="busy", after=0)
    drop = {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None}
    quiet.twilio.faults(drop, too_many(company, "fetch", retry_after=10**6))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 61)
    check(company, call_id)
    note = due(call_id)
    assert note is not None
    assert (note.due_at - timezone.now()).total_seconds() <= 3600
    with tenancy.inside(company.id):
        assert callbacks_of(company, call_id).count == 0


# --- who cannot be asked, or does not understand ---


@pytest.mark.stack
@pytest.mark.parametrize("fault", [{"status": 401, "code": 20003}, {"status": 503}], ids=["401", "503"])
def test_a_call_that_cannot_be_asked_about_frees_its_rep(quiet: World, company: Company, fault: dict[str, Any]) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="no-answer")
    quiet.twilio.faults(rest(company, "fetch", "status", times=None, **fault), *dropped(company, "status"))
    quick(company)
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    assert sweep_until_settled(company, call_id, most=30) < 45 * 60
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("failed", "system")


@pytest.mark.stack
@pytest.mark.parametrize("is_found", [True, False], ids=["found", "lost"])
def test_a_token_that_no_key_opens_is_a_question_in_vain(
    quiet: World, company: Company, settings: Any, is_found: bool
) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="busy", after=0)
    quiet.twilio.faults(*dropped(company, "status"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    keys, settings.FIELD_ENCRYPTION_KEYS = settings.FIELD_ENCRYPTION_KEYS, ["other:" + "A" * 43]
    for vain, seconds in ((1, 61), (2, 121)):
        let_pass(company, call_id, seconds)
        assert sweep.attempt(check_call, company.id, call_id)
        note = due(call_id)
        assert note is not None
        assert (note.asked, note.failures) == (vain, 0)
    if is_found:
        settings.FIELD_ENCRYPTION_KEYS = keys
    let_pass(company, call_id, 1100)
    assert check(company, call_id).status == ("busy" if is_found else "failed")


@pytest.mark.stack
def test_a_404_to_another_question_does_not_say_that_the_call_is_gone(silence: World, company: Company) -> None:
    call_id = talking(silence, company)
    silence.twilio.faults(
        rest(company, "list", "status", status=404, code=20404, times=None), *dropped(company, *CALLBACKS)
    )
    for _ in range(3):
        let_pass(company, call_id, 601)
        assert check(company, call_id).is_live
    assert "not found" not in kinds(company, call_id)


@pytest.mark.stack
def test_a_debugger_that_never_answers_hides_no_leg_and_no_end(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=5)
    quiet.twilio.faults(*dropped(company, *CALLBACKS), rest(company, "notifications", "error-500", times=None))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    let_pass(company, call_id, 61)
    check(company, call_id)
    legs = {leg["role"]: leg["status"] for leg in stored_state(company, call_id)["legs"]}
    assert legs == {"agent": "completed", "contact": "completed"}
    # Three minutes of silence; without a last word it would be twenty.
    assert sweep_until_settled(company, call_id, most=30) < 400
    row = read_call(company, call_id)
    assert (row.status, row.ended_by) == ("completed", "contact")
    assert not {"given up", "presumed over"} & {*kinds(company, call_id)}


@pytest.mark.stack
def test_one_lost_callback_of_the_contacts_answer_is_asked_for(quiet: World, company: Company) -> None:
    quiet.twilio.faults(*dropped(company, "status", CallStatus="in-progress", url="/contact"))
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    row = apply(company, call_id)
    assert (row.status, row.answered_at) == ("completed", None)
    let_pass(company, call_id, 16)
    assert check(company, call_id).answered_at is not None


@pytest.mark.stack
def test_a_fact_that_nobody_can_read_does_not_keep_twilio_from_being_asked(quiet: World, company: Company) -> None:
    quiet.twilio.phone(company.rep.phone_number, does="answer", after=1, press="", hang_up_after=2)
    quiet.twilio.faults(*dropped(company, "gather", *CALLBACKS))
    call_id = quiet.call(company)
    strange_fact(company, read_call(company, call_id))
    over_at_twilio(company, quiet)
    sweep_until_settled(company, call_id, most=30)
    row = read_call(company, call_id)
    assert (row.status, row.unanswered_by) == ("no-answer", "agent")


@pytest.mark.stack
def test_what_fails_again_and_again_waits_longer_each_time(
    quiet: World, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    quiet.twilio.phone(company.contact_number, does="answer", after=1, talk=5)
    call_id = quiet.call(company)
    over_at_twilio(company, quiet)
    apply(company, call_id)

    def is_full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FileSystemStorage, "_save", is_full)
    waits = []
    for _ in range(4):
        sweep.attempt(check_call, company.id, call_id)
        note = due(call_id)
        assert note is not None
        assert note.last_error.startswith("OSError")
        waits.append(round((note.due_at - timezone.now()).total_seconds()))
        let_pass(company, call_id, waits[-1] + 1)
    assert waits == [5, 10, 20, 40]
    monkeypatch.undo()
    assert sweep.attempt(check_call, company.id, call_id)
    assert read_call(company, call_id).recording_url
    assert due(call_id) is None
