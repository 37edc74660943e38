"""`docs/states.md` is true: each of its rows is played for real, under each of the simulator's switches."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from django.db import models

from calls.errors import CallIsOver
from calls.models import CallLog, CallStatus, LegStatus, Party, Stage
from calls.services.hangup import hang_up
from calls.services.start import start_call
from integrations.twilio import errors
from tests.calls.plays import ORDER, PLAYS, Played, play_all
from tests.conftest import World

DOCUMENT = Path(__file__).parents[2] / "docs" / "states.md"
NOTHING, CONTACTS_SECONDS = "–", "contact's seconds"
FIELDS = ("status", "stage", "unanswered_by", "ended_by", "error_code")
TIMES = ("started_at", "answered_at", "ended_at")
COLUMNS = ("outcome", *FIELDS, *TIMES, "duration_seconds", "agent leg", "contact leg")

# The simulator's switches, at what is not their default (integrations/simulator/README.md).
SWITCHES = {
    "agent_left_child_status": "no-answer",
    "dial_duration_on_no_answer": "zero",
    "media_range": "range",
    "in_progress_callback": "before_twiml",
    "webhook_retry": "after_a_second",
}
NONE, ALL = "none", "all"
SETTINGS: dict[str, dict[str, str]] = {NONE: {}, **{name: {name: value} for name, value in SWITCHES.items()}}
SETTINGS[ALL] = SWITCHES


@dataclass(frozen=True)
class Row:
    """One outcome as the document has it: its name and its cells by column."""

    outcome: str
    cells: dict[str, str]
    again: bool  # the same outcome as the row before, with another code

    def matters(self, switch: str) -> bool:
        """Can this switch make a difference to this outcome? The document says so under "The switches"."""
        if self.again:
            return False
        contact, talked = self.cells["contact leg"], self.cells["duration_seconds"] == CONTACTS_SECONDS
        return {
            "agent_left_child_status": " or " in contact,
            "dial_duration_on_no_answer": contact != NOTHING and not talked,
            "media_range": talked,
            "in_progress_callback": self.cells["agent leg"] == "completed",
            "webhook_retry": self.cells["error_code"] == "11200",
        }[switch]


def read_document() -> dict[str, Row]:
    """Read every table whose first column is `outcome`; a row with several error codes stands for one row of each."""
    rows: dict[str, Row] = {}
    inside = False
    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if not cells:
            inside = False
        elif cells[0] == "outcome":
            assert tuple(cells) == COLUMNS
            inside = True
        elif inside and not re.fullmatch(r"[-:]+", cells[0]):
            assert len(cells) == len(COLUMNS), line
            row = dict(zip(COLUMNS[1:], cells[1:], strict=True))
            codes = row["error_code"].split(", ")
            for number, code in enumerate(codes):
                name = f"{cells[0]}: {code}" if len(codes) > 1 else cells[0]
                assert name not in rows, f"{name} is there twice"
                rows[name] = Row(name, row | {"error_code": code}, again=number > 0)
    return rows


ROWS = read_document()
PLAYED = [
    (setting, name)
    for setting in SETTINGS
    for name, row in ROWS.items()
    if name in PLAYS and (setting == NONE or (setting == ALL and not row.again) or row.matters(setting))
]
Batches = Callable[[str], dict[str, Played]]


@pytest.fixture(scope="module")
def batches(_world: World) -> Batches:
    """`batches("all")`: what came of every row under these switches, played when it is first asked for."""
    played: dict[str, dict[str, Played]] = {}

    def of(setting: str) -> dict[str, Played]:
        if setting not in played:
            before = _world.twilio.ask("GET", "switches")
            _world.twilio.ask("PUT", "switches", SETTINGS[setting])
            try:
                names = {name for its, name in PLAYED if its == setting}
                played[setting] = play_all(_world, {name: play for name, play in PLAYS.items() if name in names})
            finally:
                _world.twilio.ask("PUT", "switches", before)
        return played[setting]

    return of


def dates(*texts: str | None) -> set[datetime]:
    """Twilio's RFC 2822 dates, those that are there."""
    return {parsedate_to_datetime(text).astimezone(UTC) for text in texts if text}


def event(played: Played, role: str, *words: str) -> set[datetime]:
    """The `Timestamp` of each status callback that Twilio sent of a leg with one of these words, also of a lost one."""
    sid = played.legs_at_twilio[role]["sid"]
    said = [one["params"] for one in played.webhooks if one["call_sid"] == sid and one["kind"] == "status"]
    return dates(*(params["Timestamp"] for params in said if params["CallStatus"] in words))


FINAL = ("completed", "busy", "no-answer", "failed", "canceled")


def moments(played: Played, cell: str) -> set[datetime]:
    """The moments that a cell of the document stands for: one, or two where Twilio's callback and resource differ.

    Both have full seconds, and a callback may be fired in the second after the event.
    """
    if cell == "our clock":
        return set(played.steps("refused", "given up"))
    role, what = cell.split()
    leg = played.legs_at_twilio[role]
    return {
        "created": lambda: dates(leg["date_created"]),
        "dialled": lambda: event(played, role, "initiated"),
        "answered": lambda: event(played, role, "in-progress") | dates(leg["start_time"]),
        "ended": lambda: event(played, role, *FINAL) | dates(leg["end_time"]),
    }[what]()


def cell_of(value: Any) -> str:
    """A field of a row as the document writes it."""
    return NOTHING if value is None else str(value)


def differences(row: CallLog, expected: Row, played: Played, switches: dict[str, str]) -> list[str]:
    """Every cell that is not as the document has it."""
    cells, wrong = expected.cells, []
    found = {name: cell_of(getattr(row, name)) for name in FIELDS}
    legs = played.legs()
    for role in ("agent", "contact"):
        found[f"{role} leg"] = cell_of(legs[role].status if role in legs else None)
    for name, value in found.items():
        wanted = cells[name]
        if " or " in wanted:
            assert wanted == "canceled or no-answer"
            wanted = switches["agent_left_child_status"]
        if value != wanted:
            wrong.append(f"{name} is {value}, not {wanted}")
    for name in TIMES:
        value = getattr(row, name)
        if not (value is None if cells[name] == NOTHING else value in moments(played, cells[name])):
            wrong.append(f"{name} is {value}, not {cells[name]}")
    seconds = row.duration_seconds
    if cells["duration_seconds"] == CONTACTS_SECONDS:
        talked = int(played.legs_at_twilio["contact"]["duration"])
        # The agent leg's seconds hold the prompt and the ringing too.
        fits = seconds == talked and 0 < talked < int(played.legs_at_twilio["agent"]["duration"])
    else:
        fits = cell_of(seconds) == cells["duration_seconds"]
    if not fits:
        wrong.append(f"duration_seconds is {seconds}, not {cells['duration_seconds']}")
    return wrong


@pytest.mark.stack
@pytest.mark.parametrize(("setting", "name"), PLAYED)
def test_the_row_says_what_the_document_says(batches: Batches, setting: str, name: str) -> None:
    played = batches(setting)[name]
    assert played.settled, f"It still owes something: {played.stages}"
    switches = {"agent_left_child_status": "canceled"} | SETTINGS[setting]
    row = played.row()
    assert not differences(row, ROWS[name], played, switches)
    told = [getattr(row, one) for one in TIMES if ROWS[name].cells[one] not in (NOTHING, "our clock")]
    assert told == sorted(told)
    assert played.stages == sorted(played.stages, key=ORDER.index), "a stage never goes back"


@pytest.mark.stack
@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if name in PLAYS and not row.again])
def test_a_rep_has_one_call_at_a_time_and_is_free_after_each_outcome(batches: Batches, name: str) -> None:
    played = batches(NONE)[name]
    if played.row().started_at is not None:  # else it was over before somebody could click again
        assert played.second == str(played.call_id), "a second click while the first call lives is refused"
    with pytest.raises(CallIsOver):
        hang_up(member=played.company.rep, call_id=played.call_id)
    another, new = start_call(member=played.company.rep, contact_id=played.company.contact.pk)
    assert new
    assert another != played.call_id


def test_every_row_is_played_and_every_play_has_a_row() -> None:
    assert sorted(ROWS) == sorted(PLAYS)


def test_every_switch_of_the_simulator_is_played(world: World) -> None:
    switches = world.twilio.ask("GET", "switches")
    assert set(switches) == set(SWITCHES)
    assert not set(switches.items()) & set(SWITCHES.items()), "played at what is not the default"
    for switch in SWITCHES:
        assert f"`{switch}`" in DOCUMENT.read_text(encoding="utf-8")


def test_every_error_that_we_explain_has_a_row() -> None:
    told = {int(row.cells["error_code"]) for row in ROWS.values() if row.cells["error_code"] != NOTHING}
    instructions = {code for code, cause in errors.CAUSES.items() if cause is errors.INSTRUCTIONS}
    assert set(errors.CAUSES) - instructions <= told
    assert told & instructions == {11200}


@pytest.mark.parametrize(
    ("column", "words"),
    [
        ("status", CallStatus),
        ("stage", Stage),
        ("unanswered_by", Party),
        ("ended_by", Party),
        ("agent leg", LegStatus),
        ("contact leg", LegStatus),
    ],
)
def test_the_document_uses_the_rows_own_words(column: str, words: type[models.TextChoices]) -> None:
    used = {word for row in ROWS.values() for word in row.cells[column].split(" or ")}
    assert used <= {*words.values, NOTHING}
