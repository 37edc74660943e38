"""How every call begins, whatever it is for: the row, committed, and only then Twilio."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection
from django.utils import timezone

from calls import addresses, errors, journal
from calls.models import CallLog, DueCall, JournalSource
from calls.panel import why_busy
from calls.reconcile.apply import apply_callbacks
from calls.rules.owed import UNCONFIRMED_FIRST
from crm import audit, tenancy
from crm.models import Membership
from integrations.access import Credentials, credentials
from integrations.services.findings import note_refused
from integrations.twilio import client
from integrations.twilio.errors import TwilioNotConnected, TwilioRejected, TwilioUnconfirmed, TwilioUnreachable

logger = logging.getLogger(__name__)

IDEMPOTENCY_HOURS = 24


def begin_call(
    *,
    member: Membership,
    row: Callable[[Membership, Credentials], CallLog],
    request: Mapping[str, object],
    idempotency_key: str | None,
    refused: Mapping[str, object],
) -> tuple[UUID, bool]:
    """Have `row` pass the gate and return a row, commit that, and ask Twilio; return its id and whether it is new.

    The row exists, committed, before Twilio is asked, so a callback that overtakes Twilio's answer finds it. A time-out
    leaves the call unconfirmed and is never dialled again: callbacks or the reconciler settle it. The same
    `idempotency_key` with the same `request` returns the same call for 24 hours. `row` is given the member as the
    database has them now. `refused` is what the audit keeps of a refusal.

    Raises: CallNotAllowed, CallInProgress, IdempotencyKeyReused, BadIdempotencyKey, TwilioNotConnected, TwilioRejected,
    TwilioUnreachable, and what `row` raises.
    """
    if idempotency_key is not None and not (idempotency_key.isprintable() and 0 < len(idempotency_key) <= 200):
        raise errors.BadIdempotencyKey
    account = credentials(member.organization_id)
    digest = hashlib.sha256(json.dumps(request, default=str, sort_keys=True).encode()).hexdigest()
    try:
        with tenancy.inside(member.organization_id):
            earlier = _earlier(member, idempotency_key, digest)
            if earlier is not None:
                return earlier.pk, False
            if account is None:
                raise TwilioNotConnected
            call = row(_still_active(member), account)
            call.idempotency_key, call.request_digest = idempotency_key, digest
            call.save(force_insert=True)
            DueCall.objects.create(
                call_id=call.pk,
                organization_id=call.organization_id,
                due_at=timezone.now() + UNCONFIRMED_FIRST,
                is_live=True,
            )
    except errors.CallNotAllowed as refusal:
        audit.note_refusal(member, "call", refusal.code, **refused)
        raise
    except IntegrityError as error:
        return _lost_race(member, idempotency_key, digest, error), False
    _ask_twilio(call, account)
    return call.pk, True


def _still_active(member: Membership) -> Membership:
    """Return `member` anew, and locked until the call is committed: whoever was deactivated since the request was
    authenticated starts no call, and whoever is now is deactivated after it. Raises: NoLongerMember.

    A lock that clicks share: those of an impatient rep wait for each other only where they are counted.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM crm_membership WHERE id = %s FOR SHARE", [member.pk])
    active = Membership.objects.filter(is_active=True, user__is_active=True, organization__is_active=True)
    found: Membership | None = active.select_related("user", "organization").filter(pk=member.pk).first()
    if found is None:
        raise errors.NoLongerMember
    return found


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
            answer_url=address("answer" if account.confirms_with_key or call.is_test else "bridge"),
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
    if isinstance(refusal, TwilioRejected):
        note_refused(account, refusal)
    if refusal is not None:
        refusal.details = {"call": str(call.pk)}
        raise refusal
