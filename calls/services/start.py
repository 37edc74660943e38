"""Start a call: the gate, the row, then Twilio."""

import hashlib
import json
import logging
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone, translation

from calls import addresses, errors, journal, queries
from calls.models import CallLog, Direction, DueCall, JournalSource
from calls.panel import why_busy
from calls.reconcile.apply import apply_callbacks
from calls.rules.owed import UNCONFIRMED_FIRST
from calls.services import gate
from crm import access, audit, tenancy
from crm.errors import InvalidNumber
from crm.models import Contact, Membership, Opportunity
from crm.numbers import to_e164
from integrations.access import Credentials, credentials, may_call_from
from integrations.twilio import client
from integrations.twilio.errors import TwilioNotConnected, TwilioRejected, TwilioUnconfirmed, TwilioUnreachable

logger = logging.getLogger(__name__)

IDEMPOTENCY_HOURS = 24


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

    The row exists, committed, before Twilio is asked, so a callback that overtakes Twilio's answer finds it. A time-out
    leaves the call unconfirmed and is never dialled again: callbacks or the reconciler settle it. The same
    `idempotency_key` with the same request returns the same call for 24 hours. `record` is the rep's decision, where
    the organization leaves it to them; what is decided is frozen on the call.

    Raises: NotFound, CallNotAllowed, CallInProgress, IdempotencyKeyReused, BadIdempotencyKey,
    TwilioNotConnected, TwilioRejected,
    TwilioUnreachable, InvalidNumber.
    """
    if idempotency_key is not None and not (idempotency_key.isprintable() and 0 < len(idempotency_key) <= 200):
        raise errors.BadIdempotencyKey
    account = credentials(member.organization_id)
    request: dict[str, object] = {
        "contact": contact_id,
        "to": to,
        "opportunity": opportunity_id,
        "caller_id": caller_id,
    }
    request |= {} if record is None else {"record": record}
    digest = hashlib.sha256(json.dumps(request, default=str, sort_keys=True).encode()).hexdigest()
    try:
        with tenancy.inside(member.organization_id):
            earlier = _earlier(member, idempotency_key, digest)
            if earlier is not None:
                return earlier.pk, False
            if account is None:
                raise TwilioNotConnected
            call = _insert(member, account, contact_id, to, opportunity_id, caller_id, record, idempotency_key, digest)
    except errors.CallNotAllowed as refusal:
        audit.note_refusal(member, "call", refusal.code, contact=contact_id and str(contact_id), to=audit.storable(to))
        raise
    except IntegrityError as error:
        return _lost_race(member, idempotency_key, digest, error), False
    _ask_twilio(call, account)
    return call.pk, True


def _earlier(member: Membership, key: str | None, digest: str) -> CallLog | None:
    """The call that this key has already started, if any; a key older than a day is free again."""
    if key is None:
        return None
    mine = CallLog.objects.filter(user=member.user, idempotency_key=key)
    mine.filter(created_at__lt=timezone.now() - timedelta(hours=IDEMPOTENCY_HOURS)).update(idempotency_key=None)
    earlier = mine.first()
    if earlier is not None and earlier.request_digest != digest:
        raise errors.IdempotencyKeyReused(details={"call": str(earlier.pk)})
    return earlier


def _insert(
    member: Membership,
    account: Credentials,
    contact_id: UUID | None,
    to: str,
    opportunity_id: UUID | None,
    caller_id: str,
    record: bool | None,
    key: str | None,
    digest: str,
) -> CallLog:
    """Pass the gate and write the row, with the sweeper's note of it."""
    contact = access.get_contact(member, contact_id) if contact_id else None
    opportunity = access.get_opportunity(member, opportunity_id) if opportunity_id else None
    number = _number(member, contact, to)
    if not member.phone_number:
        raise errors.NoPhone
    from_number = _caller_id(member, account, caller_id)
    if record is not None and record != account.records_calls and not queries.rules().rep_decides_recording:
        raise errors.RecordingIsFixed(field="record")
    gate.refuse(member, contact, number)
    call = CallLog.objects.create(
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
        idempotency_key=key,
        request_digest=digest,
    )
    DueCall.objects.create(
        call_id=call.pk,
        organization_id=call.organization_id,
        due_at=timezone.now() + UNCONFIRMED_FIRST,
        is_live=True,
    )
    return call


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


def _caller_id(member: Membership, account: Credentials, wanted: str) -> str:
    """The number that the contact sees: the one asked for, the member's own, or the organization's.

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


def _lost_race(member: Membership, key: str | None, digest: str, error: IntegrityError) -> UUID:
    """A constraint refused the row: the same click won elsewhere, or the member has a live call."""
    with tenancy.inside(member.organization_id):
        earlier = _earlier(member, key, digest)
        if earlier is not None:
            return earlier.pk
        refusal = why_busy(member)
    if not refusal.details and "one_live_call_per_member" not in str(error):
        raise error
    raise refusal from error


def _ask_twilio(call: CallLog, account: Credentials) -> None:
    """`POST /Calls` once, outside any transaction, and put what came of it into the journal."""

    def address(kind: str) -> str:
        return addresses.callback_url(call.organization_id, call.pk, kind)

    refusal: TwilioRejected | TwilioUnreachable | None = None
    # Until we know better. Whatever is raised, the journal tells that Twilio was asked.
    fact: tuple[str, dict[str, Any]] = ("unconfirmed", {})
    try:
        resource = client.place_call(
            account,
            to=call.agent_number,
            from_number=call.from_number,
            answer_url=address("answer" if account.confirms_with_key else "bridge"),
            fallback_url=address("fallback"),
            status_url=address("agent"),
        )
        fact = ("accepted", resource)
    except TwilioUnconfirmed:
        logger.warning("Call %s is unconfirmed: Twilio's answer did not come, or cannot be read", call.pk)
    except (TwilioRejected, TwilioUnreachable) as error:
        refusal = error
        fact = ("refused", {"code": error.twilio_code, "message": error.code})
    finally:
        with tenancy.inside(call.organization_id):
            if fact[0] == "accepted":
                journal.record(call, JournalSource.POLL, *fact)
            else:
                journal.record_ours(call, fact[0], **fact[1])
    apply_callbacks(call.organization_id, call.pk)
    if refusal is not None:
        refusal.details = {"call": str(call.pk)}
        raise refusal
