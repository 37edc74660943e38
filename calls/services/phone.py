"""Check a member's phone by a test call to it."""

from uuid import UUID

from django.utils import translation

from calls import errors
from calls.models import CallLog, Direction
from calls.services import gate
from calls.services.begin import begin_call
from calls.services.start import caller_id_of
from crm.models import Membership
from integrations.access import Credentials


def start_test_call(*, member: Membership, idempotency_key: str | None = None) -> tuple[UUID, bool]:
    """Ring `member`'s own phone and ask for a key; return the call's id and whether it is a new call.

    A call log like every other, but that nobody else is ever dialled: it begins as every call does (`begin_call`), and
    the limits count it. Once the key is pressed the member's `phone_checked_at` says so.

    Raises: CallNotAllowed, CallInProgress, IdempotencyKeyReused, BadIdempotencyKey, TwilioNotConnected, TwilioRejected,
    TwilioUnreachable.
    """
    return begin_call(
        member=member,
        row=_row,
        request={"test": True},
        idempotency_key=idempotency_key,
        refused={"to": member.phone_number, "test": True},
    )


def _row(member: Membership, account: Credentials) -> CallLog:
    """Pass the gate and return the row to insert."""
    if not member.phone_number:
        raise errors.NoPhone
    reserved = gate.refuse_test(member)
    return CallLog(
        user=member.user,
        direction=Direction.OUTBOUND,
        from_number=caller_id_of(member, account),
        to_number=member.phone_number,
        agent_number=member.phone_number,
        rings_for_seconds=account.ring_seconds,
        is_recorded=False,
        is_test=True,
        language=translation.get_language() or "en",
        **reserved,
    )
