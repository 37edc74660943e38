"""What is told of one call, on its page and in the history's drawer: its recordings, who heard them, its journal."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from calls import journal, queries, sentences
from calls.models import CallLog, CallStatus, JournalEntry, Recording, RecordingStatus
from calls.rules.explain import Told, Word, explain
from crm import audit
from crm.models import Membership
from integrations.twilio.words import News, timestamp

# How long after its end a call's page waits for the recording.
RECORDING_COMES = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Shown:
    """A recording, how it stands, and who deleted it.

    `state`: playable, forbidden (this role may not play it), deleted, absent, failed, recording, processing, lost.
    """

    recording: Recording
    state: str
    deleted_by: str = ""


@dataclass(frozen=True, slots=True)
class Heard:
    """Somebody had to do with a recording: `what` is one of the audit's actions."""

    who: str
    what: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that a journal entry says: what it was before, what it became, and whose word stands if not this."""

    label: str
    after: sentences.Shown
    before: sentences.Shown | None = None
    won: bool = False
    overruled_by: "Entry | None" = None
    stands: sentences.Shown | None = None


@dataclass(slots=True)
class Entry:
    """A journal entry with the time that it happened at, what it changed, and what became of its word."""

    entry: JournalEntry
    number: int
    title: str
    status: str
    event_at: datetime | None
    parameters: list[tuple[str, sentences.Shown]]
    is_news: bool
    lines: list[Line] = field(default_factory=list)


def recordings(member: Membership, call: CallLog, rows: list[Recording], listeners: list[Heard]) -> dict[str, Any]:
    """Return what the part with a call's recordings shows to `member`: each with its state, and what may be done."""
    rules = queries.rules()
    may_play, is_watched = member.is_at_least(rules.may_play), queries.is_watched(call)
    deleted_by = next((one.who for one in listeners if one.what == audit.RECORDING_DELETED), "")
    return {
        "recordings": [
            Shown(one, _state(call, one, may_play=may_play, is_watched=is_watched), deleted_by) for one in rows
        ],
        "may_download": may_play and member.is_at_least(rules.may_download),
        "no_recording": "" if rows else no_recording(call),
    }


def _state(call: CallLog, one: Recording, *, may_play: bool, is_watched: bool) -> str:
    if one.deleted_at:
        return "deleted"
    if one.stored_at:
        return "playable" if may_play else "forbidden"
    if one.status in (RecordingStatus.ABSENT, RecordingStatus.FAILED):
        return str(one.status)
    if one.status == RecordingStatus.IN_PROGRESS and call.is_live:
        return "recording"
    return "processing" if is_watched else "lost"


def heard(member: Membership, call: CallLog) -> list[Heard]:
    """Return who played, downloaded or deleted its recordings, by the audit, newest first."""
    entries = queries.heard(call)
    people = audit.people(member) if entries else {}
    return [
        Heard(str(people.get(one.user_id) or one.who) if one.user_id else _("The system"), one.action, one.at)
        for one in entries
    ]


def told(call: CallLog, entries: list[JournalEntry]) -> list[Entry]:
    """Tell the entries: each with what it changed when they are folded in order of arrival."""
    settled = None if call.is_live else call.status
    told = explain([_news(call, one) for one in entries], settled=settled, is_test=call.is_test)
    shown = [_entry(number, entry, one) for number, (entry, one) in enumerate(zip(entries, told, strict=True), start=1)]
    for one, about in zip(shown, told, strict=True):
        one.lines = [_line(word, shown) for word in about.words]
    return shown


def _news(call: CallLog, entry: JournalEntry) -> list[News] | None:
    """What an entry says; None while the call does not know it. A note of a kind that is no news says nothing."""
    if entry.applied_at is None:
        return None
    if not journal.is_heard(call, entry):
        return []
    try:
        return journal.news_of([entry])
    except (LookupError, TypeError, ValueError):
        return []


def _entry(number: int, entry: JournalEntry, told: Told) -> Entry:
    said = entry.payload
    return Entry(
        entry=entry,
        number=number,
        title=sentences.entry_title(entry.source, entry.kind),
        status=sentences.entry_status(said),
        event_at=_event_at(said),
        parameters=[(name, sentences.parameter_value(value)) for name, value in sorted(said.items())],
        is_news=told.said,
    )


def _event_at(said: dict[str, Any]) -> datetime | None:
    """When it happened: by Twilio's clock where it says so, by ours for a step of our own."""
    try:
        return timestamp(str(said.get("Timestamp") or "")) or datetime.fromisoformat(str(said.get("at")))
    except ValueError:
        return None


def _line(word: Word, entries: list[Entry]) -> Line:
    def shown(value: Any) -> sentences.Shown:
        return sentences.field_value(word.field, value)

    overruled = word.overruled_by is not None
    return Line(
        label=sentences.field_label(word.field),
        before=shown(word.before) if word.changed and word.before is not None else None,
        after=shown(word.after),
        won=word.won,
        overruled_by=entries[word.overruled_by] if word.overruled_by is not None else None,
        stands=shown(word.stands) if overruled else None,
    )


def polls(call: CallLog, recordings: list[Recording]) -> bool:
    """Will more come soon? While the call lives, and until its recording can be played."""
    if call.is_live:
        return True
    if not _is_fresh(call):
        return False
    if not recordings:
        return _recording_may_come(call)
    return any(
        not one.stored_at and one.status in (RecordingStatus.IN_PROGRESS, RecordingStatus.COMPLETED)
        for one in recordings
    )


def _is_fresh(call: CallLog) -> bool:
    return timezone.now() - (call.ended_at or call.created_at) < RECORDING_COMES


def _recording_may_come(call: CallLog) -> bool:
    return call.is_recorded and call.status == CallStatus.COMPLETED and _is_fresh(call)


def no_recording(call: CallLog) -> str:
    if call.is_test:
        return _("A test call is not recorded.")
    if not call.is_recorded:
        return _("Not recorded (recording is off)")
    if call.is_live:
        return _("The recording comes after the call.")
    if _recording_may_come(call):
        return _("Processing…")
    return _("Nothing was recorded")
