"""End a call that somebody no longer wants."""

from datetime import datetime
from uuid import UUID

from django.utils import timezone

from calls import access, journal, queries
from calls.errors import CallIsOver
from calls.models import CallLog, DueCall, JournalSource
from calls.reconcile.apply import apply_callbacks
from calls.reconcile.ask import note_not_found
from calls.rules import known as rules
from crm import tenancy
from crm.models import Membership
from integrations.access import Credentials, credentials
from integrations.twilio import client
from integrations.twilio.errors import UNKNOWN_CALL, TwilioNotConnected, TwilioRejected, TwilioUnreachable
from integrations.twilio.words import AGENT, HangupAsked


def hang_up(*, member: Membership, call_id: UUID) -> None:
    """End both legs of a live call, whatever state it is in; Twilio's callbacks tell how it ended.

    A call whose start is unconfirmed has no SID to end: the wish is kept, and the answering leg's TwiML hangs up. What
    ended nothing is noted as such, so that the row does not say that the member ended what was over already.

    Raises: NotFound, CallIsOver, TwilioNotConnected, TwilioRejected, TwilioUnreachable, TwilioUnconfirmed.
    """
    with tenancy.inside(member.organization_id):
        access.get_call(member, call_id)
    account = credentials(member.organization_id)
    if DueCall.objects.filter(pk=call_id, unapplied_since__isnull=False).exists():
        apply_callbacks(member.organization_id, call_id, ask=False)  # by what nobody has applied yet it may be over
    with tenancy.inside(member.organization_id):
        # Locked, so that no fact can end the call between our look and our wish.
        call = CallLog.objects.select_for_update(no_key=True).get(pk=call_id)
        if not call.is_live:
            raise CallIsOver
        asked_at = timezone.now()
        journal.record_ours(call, "hang-up", at=asked_at.isoformat(), by=str(member.user_id))
    if account is None:
        _note_in_vain(call, asked_at)
        raise TwilioNotConnected
    try:
        if call.call_sid:
            _end(call, account, call.call_sid, asked_at)
    finally:
        apply_callbacks(call.organization_id, call.pk)  # also if it raised: then the sweeper ends the call


def _end(call: CallLog, account: Credentials, sid: str, asked_at: datetime) -> None:
    """Ask Twilio. An answer that did not come leaves the wish: it may have been done, or else the sweeper does it."""
    try:
        resource = client.end_call(account, sid)
    except TwilioUnreachable:
        _note_in_vain(call, asked_at)
        raise
    except TwilioRejected as refusal:
        _note_in_vain(call, asked_at)
        if refusal.twilio_code != UNKNOWN_CALL:
            raise
        note_not_found(call)
        return
    if resource is None:  # it was over already
        _note_in_vain(call, asked_at)
        return
    with tenancy.inside(call.organization_id):
        for kind, said in journal.leg_facts(AGENT, resource):
            journal.record(call, JournalSource.POLL, kind, said)


def _note_in_vain(call: CallLog, asked_at: datetime) -> None:
    """Note that a wish ended nothing, unless an earlier one is why: of two clicks the first ends the call."""
    with tenancy.inside(call.organization_id):
        earlier = rules.fold(
            one
            for one in journal.news_of(queries.journal(call).filter(source=JournalSource.OURS))
            if not isinstance(one, HangupAsked) or one.at < asked_at
        )
        if not earlier.is_hung_up:
            journal.record_ours(call, "hang-up in vain", asked_at=asked_at.isoformat())
