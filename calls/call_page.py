"""What the page of one call tells: its journal with what each entry changed, and where its recording is."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from calls import journal, sentences
from calls.models import CallLog, CallStatus, JournalEntry, Recording, RecordingStatus
from calls.rules.explain import Told, Word, explain
from integrations.twilio.words import News, timestamp

# How long after its end a call's page waits for the recording.
RECORDING_COMES = timedelta(minutes=10)


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
