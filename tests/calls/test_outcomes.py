"""Every way in which a call can end, played for real by the simulated phones: what its row and legs say.

All calls of a batch ring at the same time, each in an organization of its own; each test then looks at one of them.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from calls.errors import CallInProgress, CallIsOver
from calls.models import CallLog, JournalEntry
from calls.services.hangup import hang_up
from calls.services.start import start_call
from crm import tenancy
from integrations.services import connect_twilio
from tests.calls.driving import apply, check, due
from tests.conftest import Company, World, make_company, read_call

pytestmark = pytest.mark.stack

REP = {"does": "answer", "after": 0.5, "press": "1", "press_after": 0.5}
CONTACT = {"does": "answer", "after": 1, "talk": 8}
NEVER = {"does": "manual"}
PATIENCE = 40.0  # real seconds for a whole batch
Act = Callable[["Played"], object]


@dataclass
class Play:
    """What the phones and people do, and what the row must say afterwards. Seconds are the simulator's."""

    status: str
    unanswered_by: str | None
    ended_by: str | None
    legs: tuple[str | None, str | None]  # the agent's and the contact's last word
    rep: dict[str, Any] = field(default_factory=lambda: dict(REP))
    contact: dict[str, Any] = field(default_factory=lambda: dict(CONTACT))
    talked: int = 0
    error_code: int | None = None
    confirms_with_key: bool = True
    lost: tuple[str, ...] = ()  # kinds of webhook that never arrive
    at: str = ""  # the stage at which `act` is done, or a leg's state
    act: Act | None = None


@dataclass
class Played:
    """A call of a batch."""

    name: str
    play: Play
    company: Company
    call_id: UUID
    second: str = ""  # what a second click said while the first call lived
    acted: bool = False
    stages: list[str] = field(default_factory=list)

    def row(self) -> CallLog:
        return read_call(self.company, self.call_id)

    def legs(self) -> dict[str, Any]:
        with tenancy.inside(self.company.id):
            return {leg.role: leg for leg in self.row().legs.all()}


def member_hangs_up(played: Played) -> None:
    hang_up(member=played.company.rep, call_id=played.call_id)


PLAYS = {
    "rep does not answer": Play("no-answer", "agent", "system", ("no-answer", None), rep={"does": "no-answer"}),
    "rep is busy": Play("busy", "agent", "agent", ("busy", None), rep={"does": "busy"}),
    "rep rejects": Play("busy", "agent", "agent", ("busy", None), rep={"does": "reject"}),
    "rep cannot be reached": Play("failed", "agent", "system", ("failed", None), rep={"does": "fail"}),
    "rep's voicemail answers": Play(
        "no-answer", "agent", "system", ("completed", None), rep={"does": "voicemail", "talk": 60}
    ),
    "rep's voicemail hangs up early": Play(
        "no-answer", "agent", "agent", ("completed", None), rep={"does": "voicemail", "talk": 4}
    ),
    "rep presses no key": Play("no-answer", "agent", "system", ("completed", None), rep=REP | {"press": ""}),
    "rep hangs up before the key": Play(
        "no-answer", "agent", "agent", ("completed", None), rep=REP | {"press": "", "hang_up_after": 3}
    ),
    "contact does not answer": Play(
        "no-answer", "contact", "system", ("completed", "no-answer"), contact={"does": "no-answer"}
    ),
    "contact is busy": Play("busy", "contact", "contact", ("completed", "busy"), contact={"does": "busy"}),
    "contact rejects": Play("busy", "contact", "contact", ("completed", "busy"), contact={"does": "reject"}),
    "contact cannot be reached": Play("failed", "contact", "system", ("completed", "failed"), contact={"does": "fail"}),
    # 21215 at REST is 13227 in a <Dial>: the country is not enabled (twilio.com/docs/api/errors/13227).
    "contact's country is not enabled": Play(
        "failed", "contact", "system", ("completed", "failed"), contact={"error": 21215}, error_code=13227
    ),
    "contact's voicemail answers": Play(
        "completed", None, "contact", ("completed", "completed"), contact={"does": "voicemail", "talk": 8}, talked=8
    ),
    "contact hangs up first": Play("completed", None, "contact", ("completed", "completed"), talked=8),
    "rep hangs up first": Play(
        "completed",
        None,
        "agent",
        ("completed", "completed"),
        rep=REP | {"talk": 6},
        contact=CONTACT | {"talk": None},
        talked=6,
    ),
    "nobody presses a key where none is asked for": Play(
        "completed",
        None,
        "contact",
        ("completed", "completed"),
        rep=REP | {"press": ""},
        confirms_with_key=False,
        talked=8,
    ),
    "member hangs up before the rep answers": Play(
        "canceled", None, "member", ("canceled", None), rep=NEVER, at="ringing_agent", act=member_hangs_up
    ),
    "member hangs up while the rep hears the prompt": Play(
        "canceled",
        None,
        "member",
        ("completed", None),
        rep=REP | {"press": ""},
        at="agent in-progress",
        act=member_hangs_up,
    ),
    "member hangs up while the contact rings": Play(
        "canceled", None, "member", ("completed", "canceled"), contact=NEVER, at="contact ringing", act=member_hangs_up
    ),
    "member hangs up while they talk": Play(
        "completed",
        None,
        "member",
        ("completed", "completed"),
        contact=CONTACT | {"talk": 300},
        at="talking",
        act=member_hangs_up,
    ),
    "our TwiML never arrives": Play(
        "failed", None, "system", ("completed", None), lost=("twiml", "fallback"), error_code=11200
    ),
    "our TwiML does not arrive, the fallback does": Play(
        "failed", None, "system", ("completed", None), lost=("twiml",), error_code=11200
    ),
}
LEAVES = {"rep": REP | {"hang_up_after": 5}, "contact": NEVER}
# Twilio has said either word for a child whose parent hangs up (facts §3): the same outcome for both.
CANCELED_OR_NOT = {
    word: {
        f"rep leaves while the contact rings: {word}": Play("canceled", None, "agent", ("completed", word), **LEAVES),
        f"member hangs up while the contact rings: {word}": Play(
            "canceled",
            None,
            "member",
            ("completed", word),
            contact=NEVER,
            at="contact ringing",
            act=member_hangs_up,
        ),
    }
    for word in ("canceled", "no-answer")
}


def begin(world: World, name: str, play: Play) -> Played:
    """Make an organization, set its phones, and click."""
    company = make_company("Played")
    connect_twilio(
        organization=company.organization,
        account_sid=company.account_sid,
        auth_token="",
        default_caller_id=company.number,
        ring_seconds=120 if play.act else 5,
        confirms_with_key=play.confirms_with_key,
    )
    world.twilio.knows(company)
    world.twilio.phone(company.rep.phone_number, **play.rep)
    world.twilio.phone(company.contact_number, **play.contact)
    if play.lost:
        rules = [rule for rule in world.twilio.ask("GET", "faults")["faults"] if rule.pop("struck", 0) is not None]
        rules += [
            {"on": "webhook", "do": "drop", "account": company.account_sid, "times": None, "match": {"kind": kind}}
            for kind in play.lost
        ]
        world.twilio.faults(*rules)
    played = Played(name, play, company, world.call(company))
    try:
        start_call(member=company.rep, contact_id=company.contact.pk)
    except CallInProgress as refusal:
        played.second = refusal.details["call"]
    return played


def drive(played: Played) -> bool:
    """Do what workers and people would do now; whether the call is over and owes nothing but its recording."""
    with tenancy.inside(played.company.id):
        fresh = JournalEntry.objects.filter(call_id=played.call_id, applied_at=None).exists()
    if fresh:
        apply(played.company, played.call_id)
    note = due(played.call_id)
    if note is not None and note.due_at <= timezone.now():
        check(played.company, played.call_id)
    row = played.row()
    if not played.stages or played.stages[-1] != row.stage:
        played.stages.append(row.stage)
    legs = played.legs()
    states = {row.stage} | {f"{role} {leg.status}" for role, leg in legs.items()}
    if played.play.act is not None and not played.acted and played.play.at in states:
        played.acted = True
        played.play.act(played)
    over = all(leg.status in ("completed", "busy", "no-answer", "failed", "canceled") for leg in legs.values())
    explained = played.play.error_code is None or row.error_code is not None
    return not row.is_live and over and explained


def play_all(world: World, plays: dict[str, Play]) -> dict[str, Played]:
    """Play them side by side until each is over."""
    deadline = time.monotonic() + PATIENCE
    batch = {}
    for name, play in plays.items():
        batch[name] = begin(world, name, play)
        while play.act and not batch[name].acted and time.monotonic() < deadline:
            drive(batch[name])  # now: the phones do not wait for the others to be called
            time.sleep(0.02)
    waiting = list(batch.values())
    while waiting and time.monotonic() < deadline:
        waiting = [played for played in waiting if not drive(played)]
        time.sleep(0.02)
    return batch  # what is not over by now fails its own test


@pytest.fixture(scope="module")
def batch(_world: World) -> Iterator[dict[str, Played]]:
    """All of PLAYS, played."""
    try:
        yield play_all(_world, PLAYS)
    finally:
        _world.twilio.faults()


@pytest.fixture(scope="module")
def left(_world: World) -> Iterator[dict[str, Played]]:
    """The rep left while the contact's phone rang, with each of Twilio's words for it."""
    played: dict[str, Played] = {}
    try:
        for word, plays in CANCELED_OR_NOT.items():
            _world.twilio.ask("PUT", "switches", {"agent_left_child_status": word})
            played |= play_all(_world, plays)
        yield played
    finally:
        _world.twilio.ask("PUT", "switches", {"agent_left_child_status": "canceled"})


def hold_to_its_word(played: Played) -> None:
    """Compare a call with its Play."""
    play, row, legs = played.play, played.row(), played.legs()
    assert (row.status, row.stage) == (play.status, "ended"), played.stages
    assert (row.unanswered_by, row.ended_by) == (play.unanswered_by, play.ended_by)
    assert (getattr(legs.get("agent"), "status", None), getattr(legs.get("contact"), "status", None)) == play.legs
    assert row.error_code == play.error_code
    if play.talked:
        # Twilio cuts both ends to the second; the simulator's clock runs ten times as fast as the machine.
        assert play.talked - 1 <= (row.duration_seconds or 0) <= play.talked + 2
        assert row.duration_seconds == legs["contact"].duration_seconds < legs["agent"].duration_seconds
    elif play.status != "completed":
        assert row.duration_seconds == 0
    assert (row.answered_at is not None) is (play.status == "completed")
    order = ("queued", "ringing_agent", "ringing_contact", "talking", "ended")
    assert played.stages == sorted(played.stages, key=order.index)
    assert played.second == str(played.call_id), "a second click while the first call lives is refused"
    if "contact" in legs:
        assert legs["contact"].parent_call_sid == legs["agent"].call_sid == row.call_sid
    with pytest.raises(CallIsOver):
        hang_up(member=played.company.rep, call_id=played.call_id)
    another, new = start_call(member=played.company.rep, contact_id=played.company.contact.pk)
    assert new
    assert another != played.call_id, "the rep is free again"


@pytest.mark.parametrize("name", PLAYS)
def test_the_row_says_what_happened(batch: dict[str, Played], name: str) -> None:
    hold_to_its_word(batch[name])


@pytest.mark.parametrize("name", [name for plays in CANCELED_OR_NOT.values() for name in plays])
def test_a_rep_who_leaves_while_the_contact_rings_is_told_from_a_contact_who_does_not_answer(
    left: dict[str, Played], name: str
) -> None:
    hold_to_its_word(left[name])


def test_a_contact_is_never_rung_before_the_rep_has_agreed(batch: dict[str, Played], world: World) -> None:
    for name in ("rep's voicemail answers", "rep presses no key", "rep hangs up before the key", "rep does not answer"):
        number = batch[name].company.contact_number
        calls = world.twilio.ask("GET", "state")["calls"]
        assert not [one for one in calls["live"] + calls["recent"] if one["to"] == number], name


def test_the_rep_is_told_why_nobody_is_at_the_other_end(batch: dict[str, Played], world: World) -> None:
    said = {
        "contact does not answer": "did not answer",
        "contact is busy": "is busy",
        "contact cannot be reached": "could not be reached",
        "rep presses no key": "No key was pressed",
        "our TwiML does not arrive, the fallback does": "something went wrong",
    }
    calls = world.twilio.ask("GET", "state")["calls"]
    heard = {one["sid"]: " ".join(one["heard"]) for one in calls["live"] + calls["recent"]}
    for name, sentence in said.items():
        assert sentence in heard[str(batch[name].row().call_sid)]
