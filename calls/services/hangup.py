"""End a call that somebody no longer wants."""

from uuid import UUID

from calls import access, journal
from calls.errors import CallIsOver
from calls.models import CallLog, JournalSource
from calls.reconcile.apply import apply_callbacks
from crm import tenancy
from crm.models import Membership
from integrations.access import credentials
from integrations.twilio import client
from integrations.twilio.errors import UNKNOWN_CALL, TwilioNotConnected, TwilioRejected


def hang_up(*, member: Membership, call_id: UUID) -> None:
    """End both legs of a live call, whatever state it is in; Twilio's callbacks tell how it ended.

    A call whose start is unconfirmed has no SID to end: the wish is kept, and the answering leg's TwiML hangs up.

    Raises: NotFound, CallIsOver, TwilioNotConnected, TwilioRejected, TwilioUnreachable, TwilioUnconfirmed.
    """
    with tenancy.inside(member.organization_id):
        access.get_call(member, call_id)
        # Locked, so that no fact can end the call between our look and our wish.
        call = CallLog.objects.select_for_update(no_key=True).get(pk=call_id)
        if not call.is_live:
            raise CallIsOver
        journal.record_ours(call, "hang-up", by=str(member.user_id))
    account = credentials(member.organization_id)
    if account is None:
        raise TwilioNotConnected
    if call.call_sid:
        resource, unknown = None, False
        try:
            resource = client.end_call(account, call.call_sid)
        except TwilioRejected as refusal:
            if refusal.twilio_code != UNKNOWN_CALL:
                raise
            unknown = True
        with tenancy.inside(member.organization_id):
            if resource is not None:
                journal.record(call, JournalSource.POLL, "agent leg", resource)
            if unknown:  # nothing can end what Twilio does not have; the rep is free again
                journal.record_ours(call, "given up")
    apply_callbacks(call.organization_id, call.pk)
