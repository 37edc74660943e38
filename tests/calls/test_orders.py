"""Every outcome's own facts, as the plays left them: in every order, with every loss and repeat."""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from calls import journal, tasks
from calls.models import CallLog, CallStatus, JournalEntry, JournalSource, Stage
from calls.reconcile.apply import apply_callbacks
from calls.rules import known as rules
from calls.rules.outcome import Outcome, outcome
from crm import tenancy
from integrations.twilio import words
from integrations.twilio.words import FINAL
from tests.calls.driving import live_calls, send_callback, stored_state
from tests.calls.plays import ORDER, PLAYS, Played, play_all
from tests.calls.test_rules import PROGRESS, Fact, last_write_wins, walk
from tests.conftest import Company, World, read_journal

ORDERS = int(os.environ.get("CALLBACK_ORDERS", "3"))  # how many random orders of each outcome's facts
# Printed, so that a run can be had again; random by default.
SEED = int(os.environ.get("CALLBACK_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)

# One refusal and one failed <Dial> stand for all: they differ in nothing but the code.
NAMES = [
    name
    for name in PLAYS
    if not name.startswith(("Twilio refuses the start", "Twilio does not call the contact")) or name.endswith("21219")
]
# Requests for TwiML: stored before they are answered, so whatever we ask or do afterwards comes after them.
REQUESTS = ("answer", "bridge", "key", "dial", "fallback")


@dataclass(frozen=True)
class Step:
    """What came to a call's journal in one transaction: a callback, a step of ours, or all that one look found."""

    entries: tuple[JournalEntry, ...]

    @property
    def is_callback(self) -> bool:
        """It may be late, doubled or lost."""
        return self.entries[0].source == JournalSource.CALLBACK

    @property
    def binds(self) -> bool:
        """Whether what we ask and do later follows from it: not from news that is on its way meanwhile."""
        entry = self.entries[0]
        return not self.is_callback or entry.kind in REQUESTS or entry.payload.get("CallStatus") in FINAL

    @property
    def is_wish(self) -> bool:
        """Whether what Twilio tells later follows from it."""
        return self.entries[0].kind in ("hang-up", "given up", "refused")

    def __str__(self) -> str:
        return ", ".join(f"{one.kind} {one.payload.get('CallStatus', '')}".strip() for one in self.entries)


@dataclass(frozen=True)
class Recorded:
    """What came of a call in a play: its journal in order of arrival, and the row that it left."""

    steps: list[Step]
    row: CallLog

    @classmethod
    def of(cls, played: Played) -> "Recorded":
        """Read a journal; answers that came together are of one look: between two, time has passed."""
        steps: list[Step] = []
        for entry in read_journal(played.company, played.call_id):
            last = steps[-1].entries[-1] if steps else None
            together = last is not None and entry.received_at - last.received_at < timedelta(seconds=0.5)
            if last is not None and together and last.source == entry.source == JournalSource.POLL:
                steps[-1] = Step((*steps[-1].entries, entry))
            else:
                steps.append(Step((entry,)))
        return cls(steps, played.row())

    @property
    def known(self) -> rules.Known:
        """What its row says of it before any fact."""
        return rules.Known(is_test=self.row.is_test or None)

    def needs(self) -> list[set[int]]:
        """Of each step, the numbers of those without which it cannot come."""
        return [
            {index for index, one in enumerate(self.steps[:number]) if (one.is_wish if step.is_callback else one.binds)}
            for number, step in enumerate(self.steps)
        ]

    def facts(self) -> list[Fact]:
        """The steps that say something of the legs, read by the production code, each with a name of its own.

        A recording has a lattice of its own (test_rules.py): nothing of a leg depends on it.
        """
        facts = [
            Fact(
                f"{number} {step}",
                tuple(journal.news_of(step.entries)),
                frozenset(f"{index} {self.steps[index]}" for index in needs),
            )
            for number, (step, needs) in enumerate(zip(self.steps, self.needs(), strict=True))
        ]
        silent = {fact.name for fact in facts if all(isinstance(one, words.RecordingNews) for one in fact.news)}
        return [fact.after(*(fact.needs - silent)) for fact in facts if fact.name not in silent]


@pytest.fixture(scope="module")
def recorded(_world: World) -> dict[str, Recorded]:
    """The facts of every outcome, from a play of each."""
    batch: dict[str, Played] = play_all(_world, {name: PLAYS[name] for name in NAMES})
    return {name: Recorded.of(played) for name, played in batch.items()}


# --- the lattice ---


@pytest.mark.stack
@pytest.mark.parametrize("name", NAMES)
def test_an_outcomes_facts_come_to_the_same_along_every_path(recorded: dict[str, Recorded], name: str) -> None:
    """Every set of them has one state whichever came last, and the full set is the row, which agrees with Twilio's word
    (test_states.py holds each of its cells against Twilio's own resources)."""
    facts = [fact.after() for fact in recorded[name].facts()]
    steps = sum(1 for _ in walk(facts, recorded[name].known))
    assert steps == len(facts) * 2 ** (len(facts) - 1)
    over = outcome(rules.fold((one for fact in facts for one in fact.news), recorded[name].known))
    row = recorded[name].row
    fields = ("status", "stage", "unanswered_by", "ended_by", "duration_seconds", "answered_at", "ended_at")
    assert {field: getattr(over, field) for field in fields} == {field: getattr(row, field) for field in fields}


@pytest.mark.stack
@pytest.mark.parametrize("name", NAMES)
def test_no_reader_sees_an_outcomes_status_go_back(recorded: dict[str, Recorded], name: str) -> None:
    """Over every set of its facts that can be there, and every one that can come next."""
    seen: dict[int, Outcome] = {}
    kept = []  # so that no id is used twice

    def told(known: rules.Known) -> Outcome:
        return seen.setdefault(id(known), outcome(known))

    for before, after, fact in walk(recorded[name].facts(), recorded[name].known):
        kept += [before, after]
        follows(told(before), told(after), fact.name)


def follows(one: Any, two: Any, why: str) -> None:
    """Fail unless a reader may see `two`, a row or an outcome, after `one`."""
    assert PROGRESS[one.status] <= PROGRESS[two.status], f"{one.status}, then {two.status}: {why}"
    assert ORDER.index(one.stage) <= ORDER.index(two.stage), f"{one.stage}, then {two.stage}: {why}"
    if one.status in FINAL:
        assert (two.status, two.unanswered_by) == (one.status, one.unanswered_by), why


@pytest.mark.stack
@pytest.mark.parametrize(
    "name", ["contact hangs up first", "rep hangs up first", "contact is busy", "member cancels before the rep answers"]
)
def test_the_walk_over_recorded_facts_finds_a_status_that_the_last_write_wins(
    recorded: dict[str, Recorded], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = [fact.after() for fact in recorded[name].facts()]
    monkeypatch.setitem(rules.LEG_JOINS, "status", last_write_wins)
    with pytest.raises(AssertionError, match=r"another order|said twice"):
        list(walk(facts))


# --- random orders, through the real views, tables and tasks ---


class Replay:
    """Facts of one play, said again to new calls of a company, whose SIDs are their own."""

    def __init__(self, company: Company, recorded: Recorded) -> None:
        self.company, self.steps, self.needs = company, recorded.steps, recorded.needs()
        self.is_test, self.is_recorded = recorded.row.is_test, recorded.row.is_recorded
        self._known: dict[frozenset[int], dict[str, Any]] = {}

    def lose(self, chance: random.Random) -> set[int]:
        """Choose callbacks that never come, and with them what only came because of them."""
        told = [number for number, step in enumerate(self.steps) if step.is_callback]
        lost = set(chance.sample(told, min(len(told), chance.choice([0, 0, 1, 2, 4]))))
        for number, needs in enumerate(self.needs):
            if needs & lost:
                lost.add(number)
        return lost

    def shuffled(self, kept: set[int], chance: random.Random) -> list[int]:
        """An order in which these could come, some of them twice."""
        waiting, order = set(kept), []
        while waiting:
            ready = sorted(number for number in waiting if not self.needs[number] & waiting)
            number = chance.choice(ready)
            waiting.discard(number)
            order.append(number)
        for number in chance.choices(order, k=chance.randrange(4)) if order else []:
            if self.steps[number].is_callback:
                order.insert(chance.randrange(order.index(number), len(order)) + 1, number)
        return order

    def expected(self, kept: set[int]) -> dict[str, Any]:
        """What these amount to in Twilio's own order, each once: what arrived decides, and not how."""
        key = frozenset(kept)
        if key not in self._known:
            self._known[key] = self.say(sorted(kept), lambda: False)
        return self._known[key]

    def say(self, order: list[int], now: Callable[[], bool]) -> dict[str, Any]:
        """Have them come in this order, a worker at work whenever `now`; what is stored in the end."""
        ((_, call_id),) = live_calls(1, self.company, is_test=self.is_test, is_recorded=self.is_recorded)
        fresh: dict[str, str] = {}
        rows = [self._row(call_id)]

        def renamed(value: Any) -> Any:
            is_sid = isinstance(value, str) and value[:2] in ("CA", "RE") and len(value) == 34
            return fresh.setdefault(value, value[:2] + uuid4().hex) if is_sid else value

        for number in order:
            said = [
                (one, {name: renamed(value) for name, value in one.payload.items()})
                for one in self.steps[number].entries
            ]
            if self.steps[number].is_callback:
                [(entry, params)] = said
                params |= {"AccountSid": self.company.account_sid}
                assert send_callback(self.company, call_id, entry.kind, params).status_code in (200, 204)
            else:
                with tenancy.inside(self.company.id):
                    for entry, payload in said:
                        journal.record(rows[0], JournalSource(entry.source), entry.kind, payload)
            if now():
                apply_callbacks(self.company.id, call_id, ask=False)
                rows.append(self._row(call_id))
        apply_callbacks(self.company.id, call_id, ask=False)  # also what no callback woke a worker for
        tasks.apply()
        rows.append(self._row(call_id))
        for one, two in pairwise(rows):
            follows(one, two, "a reader in between")
        return stored_state(self.company, call_id)

    def _row(self, call_id: UUID) -> CallLog:
        with tenancy.inside(self.company.id):
            return CallLog.objects.get(pk=call_id)


@pytest.fixture(scope="module", autouse=True)
def _say_the_seed() -> None:
    print(f"CALLBACK_SEED={SEED} CALLBACK_ORDERS={ORDERS}")  # noqa: T201  to play the same orders again


@pytest.mark.stack
@pytest.mark.timeout(120 + ORDERS)
@pytest.mark.parametrize("name", NAMES)
def test_random_orders_of_an_outcomes_facts_end_in_the_same_row(
    recorded: dict[str, Recorded], ours: Company, name: str
) -> None:
    replay = Replay(ours, recorded[name])
    chance = random.Random(f"{SEED} {name}")
    everything = set(range(len(replay.steps)))
    row = recorded[name].row
    whole = replay.expected(everything)
    assert (whole["status"], whole["ended_by"], whole["error_code"]) == (row.status, row.ended_by, row.error_code)
    for number in range(ORDERS):
        kept = everything - replay.lose(chance)
        order = replay.shuffled(kept, chance)
        told = replay.say(order, lambda: chance.random() < 0.3)
        assert told == replay.expected(kept), (
            f"order {number} of seed {SEED}: {'; '.join(str(replay.steps[one]) for one in order)}"
        )


def test_every_status_and_stage_has_its_place_in_the_orders() -> None:
    assert set(PROGRESS) == set(CallStatus.values)
    assert set(ORDER) == set(Stage.values)
