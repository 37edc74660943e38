"""Fold a call's journal into its row."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from calls import journal, queries
from calls.models import CallLog, DueCall, JournalEntry, JournalSource, Leg, Recording, RecordingStatus
from calls.reconcile import charge, dead
from calls.rules import known as rules
from calls.rules import spend
from calls.rules.outcome import Outcome, outcome
from calls.rules.owed import LAST_LOOK, Situation, fetches_media, next_look, owes_only_price, questions
from crm import tenancy, wake
from crm.models import Membership

logger = logging.getLogger(__name__)

APPLY, LOOK = "calls.apply", "calls.look"
LEG_FIELDS = ["call_sid", "parent_call_sid", "status", "started_at", "answered_at", "ended_at"]
LEG_FIELDS += ["duration_seconds", "sip_response_code", "price", "price_unit"]


def apply_callbacks(organization_id: UUID, call_id: UUID, *, ask: bool = True) -> Situation | None:
    """Fold everything known of a call into its row, legs and recordings; return where it stands, None if it is gone.

    All facts are folded anew each time, so it does not matter which of them were applied before, by whom, or in which
    order they came. The sweeper's note is locked first, as by whoever stores a callback, so that one which is being
    stored meanwhile renews the note after us; then the call's row, so that two workers take turns. With `ask`, a
    worker is woken at once to ask Twilio for what is missing, or to fetch media. A fact that cannot be applied is set
    aside, and the others go on without it (calls/reconcile/dead.py).
    """
    with tenancy.inside(organization_id):
        due = _note(organization_id, call_id)
        call = CallLog.objects.select_for_update(no_key=True).filter(pk=call_id).first()
        if call is None:
            due.delete()
            return None
        everything = list(queries.journal(call))
        entries: Sequence[JournalEntry] = [entry for entry in everything if not dead.is_aside(entry)]
        try:
            with transaction.atomic():
                saved = _save(call, entries)
        except dead.PASSING:
            raise
        except Exception:  # noqa: BLE001  one fact is wrong, or all are right and something else is: then it raises again
            call.refresh_from_db()
            entries = dead.without_culprits(call, entries, _save)
            saved = _save(call, entries)
        fresh = [entry.digest for entry in entries if entry.applied_at is None]
        if fresh:
            JournalEntry.objects.filter(call_id=call.pk, digest__in=fresh).update(
                applied_at=timezone.now(), failures=0, last_error="", retry_at=None
            )
        situation = _situation(call, due, entries, saved)
        at_once = ask and bool(questions(situation) or fetches_media(situation))
        applied = {entry.digest for entry in entries}
        aside = [entry for entry in everything if entry.digest not in applied]
        _schedule(call, situation, aside, at_once=at_once)
        if situation.media_owed and not fetches_media(situation):
            for one in filter(_is_owed, saved.recordings):
                logger.error("Call %s: recording %s was never fetched, and is given up", call.pk, one.recording_sid)
        if any(spend.unpriced(saved.known)) and next_look(situation) is None:
            logger.error("Call %s: Twilio named no price within %s, and is not asked again", call.pk, LAST_LOOK)
        if at_once:
            wake.after_commit(LOOK)
    return situation


def _note(organization_id: UUID, call_id: UUID) -> DueCall:
    """Lock the sweeper's note of this call, made first where there is none.

    Without it nothing would hold back a callback that is stored after we have read the journal, and settling the call
    would remove the note that came with it.
    """
    while (locked := DueCall.objects.select_for_update().filter(pk=call_id).first()) is None:
        # There is none, or whoever held it has settled the call meanwhile, and removed it.
        note = DueCall(call_id=call_id, organization_id=organization_id, due_at=timezone.now())
        DueCall.objects.bulk_create([note], ignore_conflicts=True)
    return locked


@dataclass(frozen=True, slots=True)
class _Saved:
    known: rules.Known
    outcome: Outcome
    recordings: Sequence[Recording]


def _save(call: CallLog, entries: Sequence[JournalEntry]) -> _Saved:
    """Fold entries and write what they amount to."""
    known = journal.known_of(call, entries)
    # Before the call's row: whoever starts another call locks the member, and then may wait for that row.
    _note_checked_phone(call, known)
    _save_legs(call, known)
    recordings = _save_recordings(call, known)
    return _Saved(known, _save_call(call, known, recordings), recordings)


def _note_checked_phone(call: CallLog, known: rules.Known) -> None:
    """Tell the member that their phone works once its key was pressed in a test call, if it still is that phone.

    The time is that of the click, which no fact changes, and the latest stays: so that any order of the facts, of two
    calls too, ends in the same.
    """
    if not (call.is_test and known.key_pressed):
        return
    older = Q(phone_checked_at=None) | Q(phone_checked_at__lt=call.created_at)
    Membership.objects.filter(older, user=call.user_id, phone_number=call.agent_number).update(
        phone_checked_at=call.created_at
    )


def _save_call(call: CallLog, known: rules.Known, recordings: Sequence[Recording]) -> Outcome:
    over = fold_into(call, known, recordings)
    call.save()
    return over


def fold_into(call: CallLog, known: rules.Known, recordings: Sequence[Recording]) -> Outcome:
    """Set what facts amount to on a call's row, which the caller saves; nothing is written but its day's money."""
    over = outcome(known)
    if not call.is_live and over.status != call.status:
        # Should two sources ever contradict each other: what a manager has read stays, and somebody is told.
        logger.error("Call %s is %s, but its facts now say %s", call.pk, call.status, over.status)
    else:
        call.status, call.stage = over.status, over.stage
        call.unanswered_by, call.ended_by = over.unanswered_by, over.ended_by
        call.answered_at, call.ended_at = over.answered_at, over.ended_at
        call.duration_seconds = over.duration_seconds
        call.error_code, call.error_message = over.error_code, over.error_message
    call.started_at = over.started_at
    call.confirmed = known.agent.call_sid is not None
    call.call_sid = known.agent.call_sid
    main = min((one for one in recordings if one.status != RecordingStatus.ABSENT), key=_begun, default=None)
    if main is not None:
        call.recording_sid, call.recording_duration = main.recording_sid, main.duration_seconds
        call.recording_url = f"/api/v1/recordings/{main.pk}/audio" if main.is_playable else None
    charge.settle(call, known, over)  # before the row changes: see there
    return over


def _save_legs(call: CallLog, known: rules.Known) -> None:
    Leg.objects.bulk_create(
        legs_of(call, known), update_conflicts=True, unique_fields=["call", "role"], update_fields=LEG_FIELDS
    )


def legs_of(call: CallLog, known: rules.Known) -> list[Leg]:
    """Return the rows of the legs that anything is known of, unsaved."""
    return [
        Leg(
            organization_id=call.organization_id,
            call_id=call.pk,
            role=role,
            call_sid=leg.call_sid,
            parent_call_sid=leg.parent_call_sid,
            status=leg.status,
            started_at=leg.initiated_at or leg.ringing_at or leg.answered_at,
            answered_at=leg.answered_at,
            ended_at=leg.ended_at,
            duration_seconds=leg.duration_seconds,
            sip_response_code=leg.sip_response_code,
            price=leg.price and leg.price.amount,
            price_unit=leg.price and leg.price.unit,
        )
        for role, leg in ((Leg.LegRole.AGENT, known.agent), (Leg.LegRole.CONTACT, known.contact))
        if leg != rules.Leg()
    ]


def _save_recordings(call: CallLog, known: rules.Known) -> Sequence[Recording]:
    """Write what is known of the call's recordings; return them as they stand, oldest first."""
    if not known.recordings:
        return []
    rows = {row.recording_sid: row for row in queries.recordings(call)}
    for sid, found in known.recordings.items():
        row = rows.get(sid) or Recording(organization_id=call.organization_id, call_id=call.pk, recording_sid=sid)
        values = recording_values(found)
        is_new = sid not in rows
        if is_new or any(getattr(row, name) != value for name, value in values.items()):
            rows[sid] = row
            for name, value in values.items():
                setattr(row, name, value)
            # Only what facts say: another worker may be bringing its media home, and writes the rest.
            row.save(update_fields=None if is_new else values)
    return sorted(rows.values(), key=lambda row: row.pk)


def recording_values(found: rules.Recording) -> dict[str, Any]:
    """Return what facts say of a recording, by its row's columns."""
    values: dict[str, Any] = {
        "duration_seconds": found.duration_seconds,
        "channels": found.channels,
        "started_at": found.started_at,
        "error_code": found.error_code,
    }
    if found.status in RecordingStatus.values:
        values["status"] = found.status
    return values


def _begun(recording: Recording) -> tuple[bool, Any, str]:
    """The conversation's recording is the one that began first, whichever we heard of first."""
    return recording.started_at is None, recording.started_at, recording.recording_sid


def _situation(call: CallLog, due: DueCall, entries: Sequence[JournalEntry], saved: _Saved) -> Situation:
    told = [one for one in entries if one.source != JournalSource.OURS and one.kind not in journal.PRICES]
    news = any(entry.applied_at is None for entry in told)
    last_news: datetime = max((entry.received_at for entry in told), default=call.created_at)
    return Situation(
        known=saved.known,
        outcome=saved.outcome,
        created_at=call.created_at,
        last_news_at=max(last_news, call.created_at),
        now=timezone.now(),
        asked=0 if news else due.asked,
        ring_seconds=call.rings_for_seconds,
        recording_expected=call.is_recorded,
        media_owed=any(map(_is_owed, saved.recordings)),
    )


def _is_owed(recording: Recording) -> bool:
    return recording.status == RecordingStatus.COMPLETED and recording.stored_at is recording.deleted_at is None


def _schedule(call: CallLog, situation: Situation, aside: Sequence[JournalEntry], *, at_once: bool) -> None:
    """Say when the sweeper should come again; a call that owes nothing leaves its list, unless it has dead facts."""
    look = timezone.now() if at_once else next_look(situation)
    moments = [moment for moment in (look, *(entry.retry_at for entry in aside)) if moment is not None]
    dead_facts = sum(dead.is_dead(entry) for entry in aside)
    note = DueCall.objects.filter(pk=call.pk)
    if not moments and not dead_facts:
        note.delete()
        return
    note.update(
        due_at=min(moments, default=None),
        is_live=call.is_live,
        asked=situation.asked,
        only_price=not aside and owes_only_price(situation),
        unapplied_since=None,
        aside_since=min((entry.received_at for entry in aside if not dead.is_dead(entry)), default=None),
        dead=dead_facts,
    )


def note_question_in_vain(call_id: UUID) -> None:
    """Count a question that brought nothing, so that the next one waits longer."""
    DueCall.objects.filter(pk=call_id).update(asked=F("asked") + 1)
