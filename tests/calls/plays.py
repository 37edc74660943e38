"""Every way in which a call can end, as a play for the simulated phones: who does what, and what goes wrong meanwhile.

What the row must say afterwards is not written here but in `docs/states.md`, which test_states.py holds to these.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from django.test import override_settings
from django.utils import timezone

from calls.errors import CallInProgress
from calls.models import CallLog
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from crm import tenancy
from crm.errors import AppError
from tests.calls.driving import apply, check, due, let_pass
from tests.conftest import Company, Twilio, World, callbacks_of, eventually, make_company, read_call, read_journal

PATIENCE = 90.0  # real seconds for a whole batch
MOST_LOOKS = 15  # the sweeper's looks after which a call whose phones are silent must owe nothing
AT_ONCE = "at once"  # before anything that Twilio says is applied
NOBODY_LISTENS = "http://127.0.0.1:9"  # the discard service's port, where nothing answers
ORDER = ("queued", "ringing_agent", "ringing_contact", "talking", "ended")

REP: Mapping[str, Any] = {"does": "answer", "after": 0.5, "press": "1", "press_after": 0.5}
CONTACT: Mapping[str, Any] = {"does": "answer", "after": 1, "talk": 8}
NEVER: Mapping[str, Any] = {"does": "manual"}
CUT = {"on": "create", "do": "cut-after"}  # Twilio makes the call, and its answer never arrives
Act = Callable[["Played"], object]


@dataclass(frozen=True)
class Play:
    """What phones and people do and what is lost on the way. Seconds are the simulator's."""

    rep: Mapping[str, Any] = field(default_factory=lambda: REP)
    contact: Mapping[str, Any] = field(default_factory=lambda: CONTACT)
    confirms_with_key: bool = True
    ring_seconds: int = 5
    lost: tuple[str, ...] = ()  # kinds of webhook that never arrive
    faults: tuple[Mapping[str, Any], ...] = ()  # what else goes wrong in the organization's account
    calls_per_second: float = 0
    unreachable: bool = False  # nothing listens at Twilio's address when the call is started
    told: str = ""  # a callback that comes after the phones are silent
    at: str = ""  # the stage, or the state of a leg, at which `act` is done
    act: Act | None = None
    is_test: bool = False  # of the rep's own phone


@dataclass
class Played:
    """A call of a batch, and what Twilio itself would say of it."""

    name: str
    play: Play
    company: Company
    call_id: UUID
    second: str = ""  # what a second click said while the first call lived
    acted: bool = False
    settled: bool = False  # Twilio has no more to say, and we have nothing more to do
    stages: list[str] = field(default_factory=list)
    legs_at_twilio: dict[str, dict[str, Any]] = field(default_factory=dict)
    webhooks: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> CallLog:
        """The call's row as it stands."""
        return read_call(self.company, self.call_id)

    def legs(self) -> dict[str, Any]:
        """Its legs by role."""
        with tenancy.inside(self.company.id):
            return {leg.role: leg for leg in self.row().legs.all()}

    def steps(self, *kinds: str) -> list[datetime]:
        """When our own clock noted these kinds of step."""
        entries = read_journal(self.company, self.call_id)
        return [datetime.fromisoformat(one.payload["at"]) for one in entries if one.kind in kinds]


def member_hangs_up(played: Played) -> None:
    """Somebody presses Cancel or Hang up in the page."""
    hang_up(member=played.company.rep, call_id=played.call_id)


def member_hangs_up_before_the_rep_answers(played: Played) -> None:
    """The wish is there before the phone is picked up, however busy the machine is."""
    member_hangs_up(played)
    twilio, number = Twilio(settings.TWILIO_API_BASE_URL), played.company.rep.phone_number.replace("+", "%2B")
    eventually(lambda: twilio.ask("GET", f"phones/{number}")["state"] == "ringing", what="the rep's phone rings")
    twilio.ask("POST", f"phones/{number}/answer")


def member_ends_the_talk(played: Played) -> None:
    """The same, once they have talked for some seconds of Twilio's clock."""
    twilio, answered_at = Twilio(settings.TWILIO_API_BASE_URL), played.row().answered_at
    assert answered_at is not None

    def talked() -> bool:
        return datetime.fromisoformat(twilio.ask("GET", "state")["now"]) - answered_at >= timedelta(seconds=3)

    eventually(talked, what="they have talked")
    member_hangs_up(played)


def nothing_is_heard(played: Played) -> None:
    """Time passes, and the sweeper comes as often as it is due, until the row is over."""
    for _ in range(MOST_LOOKS):
        if not played.row().is_live:
            break
        _look(played)


def refuses(code: int) -> dict[str, Any]:
    """Twilio answers `POST /Calls` with an error."""
    status = {20003: 401, 70051: 401, 20404: 404, 20429: 429, 10004: 429, 20005: 403, 10001: 403}.get(code, 400)
    return {"on": "create", "do": "status", "status": status, "code": code}


# Codes of twilio/facts.md §5: what `POST /Calls` can be refused with, and what the debugger says of a failed <Dial>.
REFUSALS = (10001, 10004, 20003, 20005, 20008, 20404, 20429, 21201, 21202, 21203, 21205, 21206, 21208, 21209, 21210)
REFUSALS += (21211, 21212, 21213, 21214, 21215, 21216, 21217, 21218, 21219, 22005, 70051, 573002, 573005)
DIAL_FAILURES = (13214, 13223, 13224, 13225, 13227, 13247, 21219, 573002, 573005)
STATUS = ("status", "recording")  # the callbacks that only tell

PLAYS: dict[str, Play] = {
    # The rep is not reached.
    "rep does not answer": Play(rep={"does": "no-answer"}),
    "rep is busy": Play(rep={"does": "busy"}),
    "rep declines": Play(rep={"does": "reject"}),
    "rep cannot be reached": Play(rep={"does": "fail"}),
    "rep presses no key": Play(rep=REP | {"press": ""}),
    "rep hangs up before the key": Play(rep=REP | {"press": "", "hang_up_after": 3}),
    "rep's voicemail hears the prompt out": Play(rep={"does": "voicemail", "talk": 60}),
    "rep's voicemail hangs up before the key": Play(rep={"does": "voicemail", "talk": 4}),
    # The contact is not reached.
    "contact does not answer": Play(contact={"does": "no-answer"}),
    "contact is busy": Play(contact={"does": "busy"}),
    "contact declines": Play(contact={"does": "reject"}),
    "contact cannot be reached": Play(contact={"does": "fail"}),
    **{f"Twilio does not call the contact: {code}": Play(contact={"error": code}) for code in DIAL_FAILURES},
    # They talk.
    "contact hangs up first": Play(),
    "rep hangs up first": Play(rep=REP | {"talk": 6}, contact=CONTACT | {"talk": 300}),
    "contact's voicemail answers": Play(contact={"does": "voicemail", "talk": 8}),
    "no key is asked for, contact hangs up first": Play(rep=REP | {"press": ""}, confirms_with_key=False),
    "no key is asked for, rep's voicemail answers": Play(
        rep={"does": "voicemail", "talk": 12}, contact=CONTACT | {"talk": 300}, confirms_with_key=False
    ),
    # Somebody does not wait.
    "rep hangs up between the key and the contact's phone": Play(
        rep=REP | {"hang_up_after": 6},
        faults=({"on": "webhook", "do": "delay", "seconds": 15, "match": {"kind": "gather"}},),
        told="key",
    ),
    "rep hangs up while the contact's phone rings": Play(
        rep=REP | {"hang_up_after": 10}, contact=NEVER, ring_seconds=120
    ),
    "member cancels while the call is queued": Play(calls_per_second=0.001, at=AT_ONCE, act=member_hangs_up),
    "member cancels before the rep answers": Play(rep=NEVER, ring_seconds=120, at="agent ringing", act=member_hangs_up),
    "member cancels while the rep hears the prompt": Play(
        # The end of the wait for a key is told late, so that there is time to act on a busy machine.
        rep=REP | {"press": ""},
        faults=({"on": "webhook", "do": "delay", "seconds": 20, "match": {"kind": "gather"}},),
        at="agent in-progress",
        act=member_hangs_up,
    ),
    "member cancels while the contact's phone rings": Play(
        contact=NEVER, ring_seconds=120, at="contact ringing", act=member_hangs_up
    ),
    "member ends the conversation": Play(contact=CONTACT | {"talk": 300}, at="talking", act=member_ends_the_talk),
    "member cancels an unconfirmed start, rep answers": Play(
        # The callbacks come late, or the first of them would tell the SID in time to cancel the ringing.
        rep=NEVER,
        ring_seconds=120,
        faults=(CUT, {"on": "webhook", "do": "delay", "seconds": 30, "match": {"kind": "status"}}),
        at=AT_ONCE,
        act=member_hangs_up_before_the_rep_answers,
    ),
    # Twilio does not reach us.
    "TwiML unreachable": Play(lost=("twiml", "fallback")),
    "TwiML unreachable, the fallback is not": Play(lost=("twiml",)),
    "TwiML after the key unreachable": Play(lost=("gather", "fallback")),
    "TwiML after the key unreachable, the fallback is not": Play(lost=("gather",)),
    "TwiML after the talk unreachable, rep hangs up first": Play(
        rep=REP | {"talk": 6}, contact=CONTACT | {"talk": 300}, lost=("action", "fallback")
    ),
    # We do not reach Twilio.
    **{f"Twilio refuses the start: {code}": Play(faults=(refuses(code),)) for code in REFUSALS},
    "Twilio cannot be connected to": Play(unreachable=True),
    "unconfirmed start, settled by callbacks": Play(faults=(CUT,)),
    "unconfirmed start, settled by Twilio's list": Play(rep={"does": "no-answer"}, faults=(CUT,), lost=STATUS),
    "unconfirmed start, settled by neither": Play(faults=({"on": "create", "do": "cut-before"},)),
    # Nothing is heard.
    "stale: rep does not answer": Play(rep={"does": "no-answer"}, lost=STATUS),
    "stale: TwiML unreachable": Play(lost=(*STATUS, "twiml", "fallback")),
    "stale: contact does not answer": Play(contact={"does": "no-answer"}, lost=(*STATUS, "action")),
    "stale: contact cannot be reached": Play(contact={"does": "fail"}, lost=(*STATUS, "action")),
    "stale: contact hangs up first": Play(lost=(*STATUS, "action")),
    "stale: rep hangs up first": Play(rep=REP | {"talk": 6}, contact=CONTACT | {"talk": 300}, lost=(*STATUS, "action")),
    "queued too long": Play(calls_per_second=0.001, at=AT_ONCE, act=nothing_is_heard),
    "Twilio no longer knows the call": Play(
        rep={"does": "no-answer"},
        ring_seconds=60,
        faults=({"on": "fetch", "do": "status", "status": 404, "code": 20404},),
        at="agent ringing",
        act=nothing_is_heard,
    ),
    # A test call.
    "test: rep presses a key": Play(is_test=True),
    "test: rep presses a key, no other call asks for one": Play(is_test=True, confirms_with_key=False),
    "test: rep does not answer": Play(is_test=True, rep={"does": "no-answer"}),
    "test: rep is busy": Play(is_test=True, rep={"does": "busy"}),
    "test: rep cannot be reached": Play(is_test=True, rep={"does": "fail"}),
    "test: rep hangs up before the key": Play(is_test=True, rep=REP | {"press": "", "hang_up_after": 3}),
    "test: rep's voicemail hears the prompt out": Play(is_test=True, rep={"does": "voicemail", "talk": 60}),
    "test: rep's voicemail answers, no other call asks for a key": Play(
        is_test=True, rep={"does": "voicemail", "talk": 60}, confirms_with_key=False
    ),
    "test: member cancels before the rep answers": Play(
        is_test=True, rep=NEVER, ring_seconds=120, at="agent ringing", act=member_hangs_up
    ),
    "test: TwiML unreachable": Play(is_test=True, lost=("twiml", "fallback")),
    "test: unconfirmed start, settled by callbacks": Play(is_test=True, faults=(CUT,)),
    "test: unconfirmed start, settled by neither": Play(is_test=True, faults=({"on": "create", "do": "cut-before"},)),
    "test: stale, rep presses a key": Play(is_test=True, lost=STATUS),
    "test: stale, rep hangs up before the key": Play(
        is_test=True, rep=REP | {"press": "", "hang_up_after": 3}, lost=STATUS
    ),
}


def play_all(world: World, plays: Mapping[str, Play]) -> dict[str, Played]:
    """Play them side by side, each in an organization of its own, until each has ended and owes nothing.

    No worker runs: callbacks are applied as they come, and time passes for a call as soon as Twilio has no more to say.
    What is not over in time fails its own test.
    """
    deadline = time.monotonic() + PATIENCE
    batch: dict[str, Played] = {}
    rules: list[dict[str, Any]] = []
    try:
        # Those that somebody must act upon come first, while the machine has little else to do.
        for name, play in sorted(plays.items(), key=lambda item: item[1].act is None):
            batch[name] = played = _begin(world, name, play, rules)
            while play.act and not played.acted and played.row().is_live and time.monotonic() < deadline:
                _apply_fresh([played])
                time.sleep(0.02)
            _apply_fresh(batch.values())
        waiting = list(batch.values())
        while waiting and time.monotonic() < deadline:
            _apply_fresh(waiting)
            for played in _silent(world, waiting):
                _settle(played)
            waiting = [played for played in waiting if not played.settled]
            time.sleep(0.1)
        _ask_twilio(world, batch.values())
    finally:
        world.twilio.faults()
    return batch


def _begin(world: World, name: str, play: Play, rules: list[dict[str, Any]]) -> Played:
    """Make an organization, set its phones and what goes wrong, and click; twice."""
    company = make_company("Played")
    company.connect(ring_seconds=play.ring_seconds, confirms_with_key=play.confirms_with_key)
    world.twilio.ask("POST", "accounts", company.account() | {"cps": play.calls_per_second})
    world.twilio.phone(company.rep.phone_number, **play.rep)
    world.twilio.phone(company.contact_number, **play.contact)
    if play.calls_per_second:  # another call goes first
        world.twilio.phone(company.rep2.phone_number, does="busy")
        start_call(member=company.rep2, contact_id=company.contact.pk)
    of_account = {"account": company.account_sid, "times": None}
    lost = [{"on": "webhook", "do": "drop", "match": {"kind": kind}} for kind in play.lost]
    if lost or play.faults:
        rules += [{**rule, **of_account} for rule in (*lost, *play.faults)]
        world.twilio.faults(*rules)
    try:
        with override_settings(**{"TWILIO_API_BASE_URL": NOBODY_LISTENS} if play.unreachable else {}):
            if play.is_test:
                call_id, _ = start_test_call(member=company.rep)
            else:
                call_id, _ = start_call(member=company.rep, contact_id=company.contact.pk)
    except AppError as refusal:  # there is no call, and its row says so
        return Played(name, play, company, UUID(refusal.details["call"]))
    played = Played(name, play, company, call_id)
    try:
        start_call(member=company.rep, contact_id=company.contact.pk)
    except CallInProgress as refusal:
        played.second = refusal.details["call"]
    if play.act is not None and play.at == AT_ONCE:
        played.acted = True
        play.act(played)
    return played


def _apply_fresh(batch: Iterable[Played]) -> None:
    """Apply what has come for these calls, and let people do what they wait for."""
    of_id = {played.call_id: played for played in batch}
    with connections["owner"].cursor() as cursor:  # who sees the journals of all organizations at once
        cursor.execute(
            "SELECT DISTINCT call_id FROM calls_journalentry WHERE applied_at IS NULL AND call_id = ANY(%s)",
            [list(of_id)],
        )
        fresh = [of_id[found] for (found,) in cursor.fetchall()]
    for played in fresh:
        row = apply(played.company, played.call_id)
        if not played.stages or played.stages[-1] != row.stage:
            played.stages.append(row.stage)
        if played.play.act is not None and not played.acted and played.play.at in _states(played):
            played.acted = True
            played.play.act(played)


def _states(played: Played) -> set[str]:
    """The call's stage and the states of its legs, as a play names them."""
    return {played.row().stage} | {f"{role} {leg.status}" for role, leg in played.legs().items()}


def _silent(world: World, waiting: Iterable[Played]) -> list[Played]:
    """The calls of which Twilio has no more to say: no leg or recording lives, and every webhook was answered."""
    state = world.twilio.ask("GET", "state")
    live = {one["account_sid"] for one in state["calls"]["live"]}
    live |= {one["account_sid"] for one in state["recordings"] if one["status"] not in ("completed", "absent")}
    live |= set(state["webhooks_under_way"])
    silent = []
    for played in waiting:
        account, told = played.company.account_sid, played.play.told
        if account in live:
            continue
        played.webhooks = world.twilio.ask("GET", f"requests?account_sid={account}")["requests"]
        if told and told not in callbacks_of(played.company, played.call_id).kinds:
            continue
        if all(one["done"] for one in played.webhooks):
            silent.append(played)
    return silent


def _ask_twilio(world: World, batch: Iterable[Played]) -> None:
    """Keep what Twilio itself says of the legs of these calls."""
    calls = world.twilio.ask("GET", "state")["calls"]
    of_sid = {str(played.row().call_sid): played for played in batch}
    for one in calls["live"] + calls["recent"]:
        for role, sid in (("agent", one["sid"]), ("contact", one["parent_call_sid"])):
            if sid in of_sid:
                of_sid[sid].legs_at_twilio[role] = one


def _look(played: Played) -> bool:
    """Let time pass until the sweeper's next look at this call, and let it look; False when it has no reason to."""
    note = due(played.call_id)
    if note is None:
        return False
    wait = max(timedelta(0), note.due_at - timezone.now()) + timedelta(milliseconds=100)
    let_pass(played.company, played.call_id, wait.total_seconds())
    check(played.company, played.call_id)
    return True


def _settle(played: Played) -> None:
    """Apply the last of it, and let the sweeper look until it has nothing more to do here."""
    _apply_fresh([played])
    for _ in range(MOST_LOOKS):
        if not _look(played):
            played.settled = True
            break
