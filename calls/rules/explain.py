"""The journal told: what each entry changed, and whose word each field of the call holds. Pure; no Django, no I/O.

The entries are folded one after another in order of arrival, with the fold that makes the row, and the states between
are compared. A field holds what the entry said that changed it last: of a fact, that is the first to say its value.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

from calls.rules.known import RECORDING_ORDER, STATUS_ORDER, Known, fold, furthest, join
from calls.rules.outcome import ENDED, Outcome, outcome
from integrations.twilio.words import FINAL, News

# What the row makes of facts that stand in it under another name: told once, under the row's.
SAME = {
    "started_at": ("agent.initiated_at", "agent.ringing_at", "agent.answered_at"),
    "answered_at": ("contact.answered_at",),
    "ended_at": ("contact.ended_at", "agent.ended_at", "given_up_at"),
    "duration_seconds": ("contact.duration_seconds", "dial_seconds"),
    "error_code": ("contact.error_code", "agent.error_code", "phone_error"),
}
# <Dial>'s action and the contact leg's callbacks speak of the same thing; `outcome` prefers one of them.
DIAL_STATUS, CONTACT_STATUS = "dial_status", "contact.status"
DIAL_SECONDS, CONTACT_SECONDS = "dial_seconds", "contact.duration_seconds"
# Of these the row is made; they are told before what is known of the legs.
ROW = tuple(field.name for field in fields(Outcome))
LAST_WORDS = FINAL | (set(RECORDING_ORDER) - set(STATUS_ORDER))


@dataclass(frozen=True, slots=True)
class Word:
    """What one entry says of one field.

    `field` is the row's (`status`), a leg's (`agent.status`), a recording's (`recordings.RE….status`) or another fact
    (`key_pressed`). `won`: the call holds this value, and holds it from this entry. `overruled_by` is the index of the
    entry whose word `stands` instead; an earlier step on the way to the present one was not overruled.
    """

    field: str
    before: Any
    after: Any
    changed: bool = True
    won: bool = False
    overruled_by: int | None = None
    stands: Any = None


@dataclass(frozen=True, slots=True)
class Told:
    """What one entry did. No `words`: it `said` only what was known, or nothing about the call's state at all."""

    words: tuple[Word, ...] = ()
    said: bool = False


def explain(
    entries: Sequence[Sequence[News] | None], *, settled: str | None = None, is_test: bool = False
) -> list[Told]:
    """Tell of each entry, in order of arrival, what it changed and what became of its word.

    None stands for an entry that is not applied: it says nothing yet. `settled` is the row's final status, if it has
    one: what contradicts it later is told as overruled, because a row that is final keeps its status.
    """
    known = Known(is_test=is_test or None)
    row = outcome(known)
    state = _state(known, row)
    holders: dict[str, int] = {}
    told: list[list[Word]] = []
    for index, news in enumerate(entries):
        said = fold(news or ())
        known = join(known, said)
        told.append([])
        row, refused = _kept(row, outcome(known), settled)
        if refused is not None:
            told[index].append(Word("status", row.status, refused, changed=False))
        before, state = state, _state(known, row)
        for field in sorted(before.keys() | state.keys(), key=_place):
            if before.get(field) != state.get(field):
                told[index].append(Word(field, before.get(field), state.get(field)))
                holders[field] = index
        told[index] += [
            Word(field, state[field], value, changed=False)
            for field, value in _facts(said).items()
            if state[field] != value
        ]
    rivals = _rivals(known)
    return [
        Told(
            words=_brief([_judged(word, index, state, holders, rivals) for word in words]),
            said=bool(_facts(fold(entries[index] or ()))),
        )
        for index, words in enumerate(told)
    ]


def _kept(row: Outcome, now: Outcome, settled: str | None) -> tuple[Outcome, str | None]:
    """Return what the row says after a fact, and the status that it did not take because another was final."""
    if row.is_final and row.status == settled and now.status != settled:
        return replace(row, started_at=now.started_at), now.status
    return now, None


def _judged(word: Word, index: int, state: dict[str, Any], holders: dict[str, int], rivals: dict[str, str]) -> Word:
    """Say whether the word stands, and if not, whose does."""
    field, value = word.field, word.after
    rival = rivals.get(field)
    if rival is not None and state.get(field) == value:
        return replace(word, overruled_by=holders[rival], stands=state[rival])
    if word.changed and holders[field] == index:
        return replace(word, won=True)
    if word.changed and _is_a_step(field, value):
        return word
    return replace(word, overruled_by=holders.get(field), stands=state.get(field))


def _is_a_step(field: str, value: Any) -> bool:
    """A status on the way, which the next one follows; nobody was wrong."""
    return field == "stage" or (field.rpartition(".")[2] in ("status", DIAL_STATUS) and value not in LAST_WORDS)


def _rivals(known: Known) -> dict[str, str]:
    """Facts that lost against another field's: the loser's name and the winner's."""
    lost: dict[str, str] = {}
    leg, dial = known.contact.status, known.dial_status
    if leg in FINAL and dial in FINAL and leg != dial:
        winner = furthest(STATUS_ORDER)(leg, dial)
        lost |= {DIAL_STATUS: CONTACT_STATUS} if winner == leg else {CONTACT_STATUS: DIAL_STATUS}
    if known.contact.duration_seconds is not None and known.dial_seconds not in (None, known.contact.duration_seconds):
        lost[DIAL_SECONDS] = CONTACT_SECONDS
    return lost


def _brief(words: list[Word]) -> tuple[Word, ...]:
    """Leave out what another word of the same entry says already."""
    by_field = {word.field: word for word in words}
    doubled = {
        fact
        for field, facts in SAME.items()
        for fact in facts
        if field in by_field
        and fact in by_field
        and replace(by_field[field], field=fact, before=by_field[fact].before) == by_field[fact]
    }
    if "stage" in by_field and by_field["stage"].after == ENDED and "status" in by_field:
        doubled.add("stage")
    return tuple(word for word in words if word.field not in doubled)


def _place(field: str) -> tuple[int, str, bool, str]:
    """The row's fields in their order, then each leg's and recording's, its status first."""
    whose, _dot, part = field.rpartition(".")
    return (ROW.index(field) if field in ROW else len(ROW), whose, part != "status", part)


def _state(known: Known, row: Outcome) -> dict[str, Any]:
    """Everything that a call holds, by field."""
    return {name: value for name in ROW if (value := getattr(row, name)) not in (None, "")} | _facts(known)


def _facts(known: Known) -> dict[str, Any]:
    """What is known, leaf by leaf; what nobody has said is left out."""
    found: dict[str, Any] = {}
    for field in fields(Known):
        value = getattr(known, field.name)
        if field.name == "recordings":
            for sid, recording in value.items():
                found |= _leaves(f"recordings.{sid}", recording)
        elif is_dataclass(value):
            found |= _leaves(field.name, value)
        elif value is not None:
            found[field.name] = value
    return found


def _leaves(name: str, part: Any) -> dict[str, Any]:
    return {f"{name}.{field.name}": value for field in fields(part) if (value := getattr(part, field.name)) is not None}
