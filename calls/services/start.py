"""Start a call to a contact or a number: whom, from which number, and may they be called."""

from uuid import UUID

from django.utils import translation

from calls import errors, queries
from calls.models import CallLog, Direction
from calls.services import gate
from calls.services.begin import begin_call
from crm import access, audit
from crm.errors import InvalidNumber
from crm.models import Contact, Membership, Opportunity
from crm.numbers import to_e164
from integrations.access import Credentials, may_call_from


def start_call(
    *,
    member: Membership,
    contact_id: UUID | None = None,
    to: str = "",
    opportunity_id: UUID | None = None,
    caller_id: str = "",
    record: bool | None = None,
    idempotency_key: str | None = None,
) -> tuple[UUID, bool]:
    """Ring `member`'s phone, then bridge to the contact; return the call's id and whether it is a new call.

    It begins as every call does (`begin_call`). `record` is the rep's decision, where the organization leaves it to
    them; what is decided is frozen on the call.

    Raises: NotFound, CallNotAllowed, OutcomeOwed, CallInProgress, IdempotencyKeyReused, BadIdempotencyKey,
    TwilioNotConnected, TwilioRejected,
    TwilioUnreachable, InvalidNumber.
    """
    request: dict[str, object] = {
        "contact": contact_id,
        "to": to,
        "opportunity": opportunity_id,
        "caller_id": caller_id,
    }
    request |= {} if record is None else {"record": record}
    return begin_call(
        member=member,
        row=lambda active, account: _row(active, account, contact_id, to, opportunity_id, caller_id, record),
        request=request,
        idempotency_key=idempotency_key,
        refused={"contact": contact_id and str(contact_id), "to": audit.storable(to)},
    )


def _row(
    member: Membership,
    account: Credentials,
    contact_id: UUID | None,
    to: str,
    opportunity_id: UUID | None,
    caller_id: str,
    record: bool | None,
) -> CallLog:
    """Pass the gate and return the row to insert."""
    contact = access.get_contact(member, contact_id) if contact_id else None
    opportunity = access.get_opportunity(member, opportunity_id) if opportunity_id else None
    number = _number(member, contact, to)
    if not member.phone_number:
        raise errors.NoPhone
    _refuse_debtor(member)
    from_number = caller_id_of(member, account, caller_id)
    if record is not None and record != account.records_calls and not queries.rules().rep_decides_recording:
        raise errors.RecordingIsFixed(field="record")
    reserved = gate.refuse(member, contact, number)
    return CallLog(
        contact=contact,
        opportunity=_matching(opportunity, contact),
        user=member.user,
        direction=Direction.OUTBOUND,
        from_number=from_number,
        to_number=number,
        agent_number=member.phone_number,
        rings_for_seconds=account.ring_seconds,
        is_recorded=account.records_calls if record is None else record,
        language=translation.get_language() or "en",
        **reserved,
    )


def _refuse_debtor(member: Membership) -> None:
    """Hold the member to what their organization asks: an outcome for each call. Raises: OutcomeOwed."""
    rules = queries.rules()
    if rules.requires_outcome:
        owed = queries.needing_outcome(member, since=rules.requires_outcome_since).first()
        if owed is not None:
            raise errors.OutcomeOwed(details={"call": str(owed.pk)})


def _matching(opportunity: Opportunity | None, contact: Contact | None) -> Opportunity | None:
    if opportunity is not None and contact is not None and opportunity.contact_id != contact.pk:
        raise errors.CallNotAllowed(code="not_the_contacts_opportunity", field="opportunity")
    return opportunity


def _number(member: Membership, contact: Contact | None, to: str) -> str:
    """The E.164 number to ring: the contact's default, or the one asked for if it is the contact's."""
    number = _e164(member, to, "to") if to else ""
    if contact is None:
        if not number:
            raise errors.NobodyToCall(field="to")
        return number
    own = [one.number for one in contact.numbers.all()]
    if not own:
        raise errors.ContactHasNoNumber(field="contact")
    if number and number not in own:
        raise errors.NotTheContactsNumber(field="to")
    return number or own[0]


def caller_id_of(member: Membership, account: Credentials, wanted: str = "") -> str:
    """Return the number that the contact sees: the one asked for, the member's own, or the organization's.

    A member's own that the account no longer has gives way to the organization's. Raises: CallerIdNotOwned for one that
    was asked for.
    """
    if wanted:
        number = _e164(member, wanted, "caller_id")
        if number != account.default_caller_id and not may_call_from(number):
            raise errors.CallerIdNotOwned(field="caller_id")
        return number
    return member.caller_id if member.caller_id and may_call_from(member.caller_id) else account.default_caller_id


def _e164(member: Membership, typed: str, field: str) -> str:
    try:
        return to_e164(typed, region=member.organization.region)
    except InvalidNumber as error:
        raise InvalidNumber(field=field) from error
