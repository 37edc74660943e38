"""Whatever goes wrong at once, a call's row ends as Twilio's own legs say, and nothing of it is left to be done."""

import os
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from django.utils import timezone

from calls.errors import CallInProgress, CallIsOver
from calls.models import CallLog
from calls.services.hangup import hang_up
from calls.services.start import start_call
from crm import tenancy
from crm.errors import AppError
from tests.calls.driving import apply, check, due, kinds, let_pass
from tests.conftest import Company, World, make_company, read_call

ROUNDS = int(os.environ.get("STORM_ROUNDS", "12"))
SEED = int(os.environ.get("STORM_SEED", "20261121"))  # of the first call; each next one has the next
AT_ONCE = 12  # calls side by side
PATIENCE = 30.0  # real seconds for the phones of so many
STORMY_LOOKS, CALM_LOOKS = 5, 40  # the sweeper's, once the phones are silent
GIVEN_UP = {"given up", "presumed over"}
# What Twilio is asked for what a call needs to end; the rest may fail for ever.
NEEDED = {"create", "fetch", "list"}

pytestmark = [pytest.mark.stack, pytest.mark.timeout(60 + 10 * ROUNDS)]

ANSWERS: Mapping[str, Any] = {"does": "answer", "after": 0.5, "press": "1", "press_after": 0.5}
REPS: Sequence[Mapping[str, Any]] = (
    *[ANSWERS] * 12,
    ANSWERS | {"press": ""},
    ANSWERS | {"press": "", "hang_up_after": 3},
    *[ANSWERS | {"hang_up_after": seconds} for seconds in (4, 6, 9)],
    *[{"does": does} for does in ("no-answer", "busy", "reject", "fail", "voicemail")],
)
CONTACTS: Sequence[Mapping[str, Any]] = (
    *[{"does": "answer", "after": 1, "talk": talk} for talk in (1, 2, 3, 4, 5, 6, 7, 8)],
    *[{"does": does} for does in ("no-answer", "busy", "reject", "fail", "voicemail")],
    {"error": 13227},
)
STAGES = ("queued", "ringing_agent", "ringing_contact", "talking")
WEBHOOKS = (*["status"] * 6, "action", "action", "recording", "twiml", "gather", "fallback")
UNTOLD = ("status", "action", "recording")
ASKED = ("fetch", "fetch", "list", "list", "recordings", "notifications", "events", "media", "update")
ANSWERED: Sequence[Mapping[str, Any]] = (
    {"do": "error-500"},
    {"do": "status", "status": 503},
    {"do": "status", "status": 404, "code": 20404},
    {"do": "status", "status": 408},
    {"do": "refuse-429"},
    {"do": "refuse-429", "retry_after": 300},
    {"do": "cut-before"},
    {"do": "cut-after"},
)


@dataclass
class Storm:
    """One call, what its phones do, and what goes wrong."""

    seed: int
    company: Company
    rep: Mapping[str, Any]
    contact: Mapping[str, Any]
    confirms_with_key: bool
    early_looks: int  # of the sweeper's, while the phones ring
    unwanted_at: str  # the stage at which somebody presses Hang up
    faults: list[dict[str, Any]]
    call_id: UUID = field(default_factory=lambda: UUID(int=0))
    is_silent: bool = False
    legs: dict[str, dict[str, Any]] = field(default_factory=dict)  # at Twilio, by role
    is_recorded: bool = False  # Twilio has a recording

    def row(self) -> CallLog:
        """The call's row as it stands."""
        return read_call(self.company, self.call_id)


def brew(seed: int) -> Storm:
    """Choose everything at once, so that a seed is the same storm wherever it is played."""
    chance, company = random.Random(seed), make_company("Storm")
    faults: list[dict[str, Any]] = []
    if chance.random() < 0.2:
        faults.append({"on": "create", **chance.choice(ANSWERED)})
    if chance.random() < 0.3:  # nobody tells us anything
        faults += [{"on": "webhook", "do": "drop", "match": {"kind": kind}, "times": None} for kind in UNTOLD]
    for _ in range(chance.randrange(4)):
        kind, match = chance.choice(WEBHOOKS), {}
        if kind == "status" and chance.random() < 0.5:
            match = {"CallStatus": chance.choice(["initiated", "ringing", "in-progress", "completed"])}
        rule: dict[str, Any] = {"on": "webhook", "match": {"kind": kind, **match}}
        rule |= chance.choice(
            [{"do": "drop"}, {"do": "drop"}, {"do": "repeat", "copies": 3}, {"do": "delay", "seconds": 12}]
        )
        faults.append(rule | {"times": chance.choice([1, 2, None])})
    for _ in range(chance.randrange(4)):
        faults.append({"on": chance.choice(ASKED), "times": chance.choice([1, 2, 4, None]), **chance.choice(ANSWERED)})
    return Storm(
        seed,
        company,
        rep=chance.choice(REPS),
        contact=chance.choice(CONTACTS),
        confirms_with_key=chance.random() < 0.8,
        early_looks=chance.choice([0, 0, 1, 3]),
        unwanted_at=chance.choice(["", "", "", *STAGES]),
        faults=[rule | {"account": company.account_sid} for rule in faults],
    )


def click(world: World, storm: Storm) -> str:
    """Set the phones and click, twice; return what is wrong with that."""
    company = storm.company
    company.connect(ring_seconds=5, confirms_with_key=storm.confirms_with_key)
    world.twilio.knows(company)
    world.twilio.phone(company.rep.phone_number, **storm.rep)
    world.twilio.phone(company.contact_number, **storm.contact)
    try:
        storm.call_id, _ = start_call(member=company.rep, contact_id=company.contact.pk)
    except AppError as refusal:
        storm.call_id = UUID(refusal.details["call"])
        return "a refused call lives" if storm.row().is_live else ""
    if not storm.row().is_live:
        return ""
    try:
        start_call(member=company.rep, contact_id=company.contact.pk)
    except CallInProgress:
        return ""
    return "two calls at once"


def look(storm: Storm) -> bool:
    """Let time pass until the sweeper's next look, and let it look; False when it has no reason to."""
    note = due(storm.call_id)
    if note is None:
        return False
    assert note.due_at is not None, "nothing here is dead"
    wait = max(timedelta(0), note.due_at - timezone.now()) + timedelta(milliseconds=100)
    let_pass(storm.company, storm.call_id, wait.total_seconds())
    check(storm.company, storm.call_id)
    return True


def live(world: World, storms: Sequence[Storm]) -> None:
    """Apply what comes, look too early and hang up, until no phone, recording or webhook of theirs is under way."""
    deadline = time.monotonic() + PATIENCE
    while not all(storm.is_silent for storm in storms) and time.monotonic() < deadline:
        for storm in storms:
            row = apply(storm.company, storm.call_id)
            if row.is_live and row.stage == storm.unwanted_at:
                storm.unwanted_at = ""
                with suppress(AppError, CallIsOver):
                    hang_up(member=storm.company.rep, call_id=storm.call_id)
            if row.is_live and storm.early_looks and row.stage != "queued":
                storm.early_looks -= 1
                look(storm)
        state = world.twilio.ask("GET", "state")
        busy = {one["account_sid"] for one in state["calls"]["live"]} | set(state["webhooks_under_way"])
        busy |= {one["account_sid"] for one in state["recordings"] if one["status"] not in ("completed", "absent")}
        of_account = {storm.company.account_sid: storm for storm in storms}
        for one in state["calls"]["recent"]:
            if one["account_sid"] in of_account:
                role = "contact" if one["parent_call_sid"] else "agent"
                of_account[one["account_sid"]].legs[role] = one
        recorded = {one["account_sid"] for one in state["recordings"] if one["status"] == "completed"}
        for account, storm in of_account.items():
            storm.is_silent, storm.is_recorded = account not in busy, account in recorded
        time.sleep(0.05)


def words_of_twilio(storm: Storm) -> set[str]:
    """What the row may say of a call whose legs ended like this."""
    agent, contact = storm.legs.get("agent"), storm.legs.get("contact")
    if agent is None:
        return {"failed"}
    if contact is None:
        return {"no-answer", "canceled", "failed"} if agent["status"] == "completed" else {agent["status"]}
    if contact["status"] not in ("no-answer", "canceled"):
        return {contact["status"]}
    outlived = datetime.fromisoformat(agent["ended_at"]) - datetime.fromisoformat(contact["ended_at"])
    if abs(outlived) < timedelta(seconds=2):  # who left first, only <Dial>'s action tells
        return {"no-answer", "canceled"}
    return {"no-answer" if outlived > timedelta(0) else "canceled"}


def wrong_with(world: World, storm: Storm) -> list[str]:
    """What should not be, once the storm is over and time has passed."""
    row, steps, wrong = storm.row(), set(kinds(storm.company, storm.call_id)), []
    if row.is_live or row.stage != "ended" or row.duration_seconds is None:
        wrong.append(f"it is {row.status}, {row.stage}, for {row.duration_seconds} s")
    if steps & GIVEN_UP:
        if not NEEDED & {rule["on"] for rule in storm.faults}:
            wrong.append(f"it was given up, and Twilio says {words_of_twilio(storm)}")
    elif row.status not in words_of_twilio(storm):
        wrong.append(f"it is {row.status} and not {words_of_twilio(storm)}")
    if row.status == "completed" and storm.is_recorded and not row.recording_url:
        wrong.append("its recording is not ours")
    if (note := due(storm.call_id)) is not None:
        wrong.append(f"it is due at {note.due_at}, asked {note.asked} times, {note.last_error or 'without an error'}")
    if len(world.twilio.calls_made(storm.company)) > 1:
        wrong.append("Twilio was asked for two calls")
    with tenancy.inside(storm.company.id):
        if CallLog.objects.count() != 1:
            wrong.append("there are two rows")
    return wrong


def test_a_call_ends_as_twilios_legs_say_whatever_goes_wrong_at_once(quiet: World) -> None:
    wrong: list[str] = []
    for first in range(SEED, SEED + ROUNDS, AT_ONCE):
        storms = [brew(seed) for seed in range(first, min(first + AT_ONCE, SEED + ROUNDS))]
        quiet.twilio.faults(*[rule for storm in storms for rule in storm.faults])
        clicked = {storm.seed: click(quiet, storm) for storm in storms}
        live(quiet, storms)
        for storm in storms:
            for _ in range(STORMY_LOOKS):
                look(storm)
        quiet.twilio.faults()
        for storm in storms:
            for _ in range(CALM_LOOKS):
                if not look(storm):
                    break
            found = [what for what in (clicked[storm.seed], *wrong_with(quiet, storm)) if what]
            if not storm.is_silent:
                found.append("its phones are not silent")
            steps = kinds(storm.company, storm.call_id)
            wrong += [f"STORM_SEED={storm.seed} STORM_ROUNDS=1: {what}; {storm.faults}; {steps}" for what in found]
    assert wrong == [], "\n".join(wrong)
