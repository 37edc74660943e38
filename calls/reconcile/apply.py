"""Fold a call's journal into its row."""

import logging
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import F
from django.utils import timezone

from calls import journal, queries
from calls.models import CallLog, DueCall, JournalEntry, JournalSource, Leg, Recording, RecordingStatus
from calls.rules import known as rules
from calls.rules.outcome import Outcome, outcome
from calls.rules.owed import Situation, next_look, questions
from crm import tenancy, wake

logger = logging.getLogger(__name__)

CHECK, STORE = "calls.check_call", "calls.store_recording"


def apply_callbacks(organization_id: UUID, call_id: UUID, *, ask: bool = True) -> Situation | None:
    """Fold everything known of a call into its row, legs and recordings; return where it stands, None if it is gone.

    All facts are folded anew each time, so it does not matter which of them were applied before, by whom, or in which
    order they came. The call's row is locked, so two workers take turns; the sweeper's note of it too, so that a
    callback which is being stored meanwhile renews the note after us. With `ask`, a worker is woken at once to ask
    Twilio for what is missing, or to fetch media.
    """
    with tenancy.inside(organization_id):
        call = CallLog.objects.select_for_update(no_key=True).filter(pk=call_id).first()
        if call is None:
            DueCall.objects.filter(pk=call_id).delete()
            return None
        due = _note(call)
        entries = list(queries.journal(call))
        known = rules.fold(journal.news_of(entries))
        fresh = [entry.digest for entry in entries if entry.applied_at is None]
        _save_legs(call, known)
        _save_recordings(call, known)
        over = _save_call(call, known)
        JournalEntry.objects.filter(call_id=call.pk, digest__in=fresh).update(applied_at=timezone.now())
        situation = _situation(call, due, entries, known, over)
        _schedule(call, situation)
        if ask and questions(situation):
            wake.after_commit(CHECK, str(organization_id), str(call_id))
        if ask and situation.media_owed:
            wake.after_commit(STORE, str(organization_id), str(call_id))
    return situation


def _note(call: CallLog) -> DueCall:
    """Lock the sweeper's note of this call, made first where there is none.

    Without it nothing would hold back a callback that is stored after we have read the journal, and settling the call
    would remove the note that came with it.
    """
    note = DueCall(call_id=call.pk, organization_id=call.organization_id, due_at=timezone.now())
    DueCall.objects.bulk_create([note], ignore_conflicts=True)
    return DueCall.objects.select_for_update().get(pk=call.pk)


def _save_call(call: CallLog, known: rules.Known) -> Outcome:
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
    main = Recording.objects.filter(call=call).exclude(status=RecordingStatus.ABSENT).order_by("id").first()
    if main is not None:
        call.recording_sid, call.recording_duration = main.recording_sid, main.duration_seconds
        call.recording_url = f"/api/v1/recordings/{main.pk}/audio" if main.stored_at else None
    call.save()
    return over


def _save_legs(call: CallLog, known: rules.Known) -> None:
    for role, leg in ((Leg.LegRole.AGENT, known.agent), (Leg.LegRole.CONTACT, known.contact)):
        if leg == rules.Leg():
            continue
        Leg.objects.update_or_create(
            call=call,
            role=role,
            defaults={
                "call_sid": leg.call_sid,
                "parent_call_sid": leg.parent_call_sid,
                "status": leg.status,
                "started_at": leg.initiated_at or leg.ringing_at or leg.answered_at,
                "answered_at": leg.answered_at,
                "ended_at": leg.ended_at,
                "duration_seconds": leg.duration_seconds,
                "sip_response_code": leg.sip_response_code,
            },
        )


def _save_recordings(call: CallLog, known: rules.Known) -> None:
    for sid, found in known.recordings.items():
        values: dict[str, Any] = {
            "duration_seconds": found.duration_seconds,
            "channels": found.channels,
            "started_at": found.started_at,
            "error_code": found.error_code,
        }
        if found.status in RecordingStatus.values:
            values["status"] = found.status
        Recording.objects.update_or_create(call=call, recording_sid=sid, defaults=values)


def _situation(
    call: CallLog, due: DueCall, entries: list[JournalEntry], known: rules.Known, over: Outcome
) -> Situation:
    told = [entry for entry in entries if entry.source != JournalSource.OURS]
    news = any(entry.applied_at is None for entry in told)
    last_news: datetime = max((entry.received_at for entry in told), default=call.created_at)
    return Situation(
        known=known,
        outcome=over,
        created_at=call.created_at,
        last_news_at=max(last_news, call.created_at),
        now=timezone.now(),
        asked=0 if news else due.asked,
        ring_seconds=call.rings_for_seconds,
        recording_expected=call.is_recorded,
        media_owed=Recording.objects.filter(call=call, status=RecordingStatus.COMPLETED, stored_at=None).exists(),
    )


def _schedule(call: CallLog, situation: Situation) -> None:
    """Say when the sweeper should come again; a call that owes nothing leaves its list."""
    look = next_look(situation)
    if look is None:
        DueCall.objects.filter(pk=call.pk).delete()
        return
    DueCall.objects.filter(pk=call.pk).update(due_at=look, asked=situation.asked, failures=0, last_error="")


def note_question_in_vain(call_id: UUID) -> None:
    """Count a question that brought nothing, so that the next one waits longer."""
    DueCall.objects.filter(pk=call_id).update(asked=F("asked") + 1)
