"""What was found out about an account is kept with it: verifications, refusals, its numbers."""

import threading
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from crm import tenancy
from crm.models import Organization
from integrations.access import Credentials, credentials
from integrations.models import Number, TwilioAccount
from integrations.twilio.errors import BREAKS_CALLS, TwilioRejected

# So often at most is it written down that callbacks come, or are refused, per organization.
NOTE_SECONDS = 1.0
CHECKED_EVERY, DOUBTFUL_CHECKED_EVERY, CHECK_LEASE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=30)


def save_checks(asked: Credentials, checks: list[dict[str, Any]]) -> None:
    """Keep what a verification of these credentials found, unless they were replaced meanwhile.

    What could not be found out does not take back what was broken. The next one is due in a day; where something is
    broken or unknown, in an hour.
    """
    now = timezone.now()
    with tenancy.inside(asked.organization_id):
        account = _locked_as(asked)
        if account is not None:
            broken = {one["check"]: one for one in account.checks if one["result"] == "failed"}
            found = [broken.get(one["check"], one) if one["result"] == "unknown" else one for one in checks]
            account.checks, account.checked_at = found, now
            account.save(update_fields=["checks", "checked_at"])
            is_sure = all(one["result"] in ("ok", "warning") for one in found)
            due_at = now + (CHECKED_EVERY if is_sure else DOUBTFUL_CHECKED_EVERY)
            Organization.objects.filter(pk=asked.organization_id).update(next_check_at=due_at)


def note_refused(used: Credentials, refusal: TwilioRejected) -> None:
    """Keep with the account that Twilio refused a real call for its credentials, so that every page says so.

    A verification is due at once, which confirms it or takes it back. Nothing where they were replaced meanwhile, or
    are known to be broken.
    """
    if refusal.code not in BREAKS_CALLS:
        return
    check = check_of(used)
    found = {"check": check, "result": "failed", "code": refusal.code, "twilio_code": refusal.twilio_code}
    with tenancy.inside(used.organization_id):
        account = _locked_as(used)
        if account is None or any(one["check"] == check and one["result"] == "failed" for one in account.checks):
            return
        account.checks = [found, *(one for one in account.checks if one["check"] != check)]
        account.save(update_fields=["checks"])
        Organization.objects.filter(pk=used.organization_id).update(next_check_at=timezone.now())


def check_of(used: Credentials | TwilioAccount) -> str:
    """Return the check of the secret that requests to Twilio carry."""
    has_next = used.sealed_next_auth_token if isinstance(used, TwilioAccount) else used.next_auth_token
    return "api_key" if used.api_key_sid else "next_token" if has_next else "account"


def _locked_as(used: Credentials) -> TwilioAccount | None:
    """Lock the account if it has the secrets still that Twilio was asked with; what it says of others is nothing."""
    account = TwilioAccount.objects.select_for_update(no_key=True).first()
    now = credentials(used.organization_id)
    names = ("account_sid", "auth_token", "next_auth_token", "api_key_sid", "api_key_secret")
    return account if now and all(getattr(now, name) == getattr(used, name) for name in names) else None


def claim_check() -> UUID | None:
    """Take the organization whose verification is due longest, so that no other worker does; None if none is.

    Should the worker die, it is due again after CHECK_LEASE.
    """
    now = timezone.now()
    with transaction.atomic():
        due = Organization.objects.filter(is_active=True, next_check_at__lte=now).order_by("next_check_at")
        found = due.select_for_update(skip_locked=True).first()
        if found is None:
            return None
        Organization.objects.filter(pk=found.pk).update(next_check_at=now + CHECK_LEASE)
    return found.pk


def save_numbers(organization_id: UUID, account_sid: str, listed: list[dict[str, Any]]) -> list[str]:
    """Make the organization's numbers those that Twilio has just listed for this account, as `client.fetch_numbers`.

    Returns those that are another organization's here, which stay there. Nothing changes when the account was replaced
    meanwhile.
    """
    wanted = {one["number"]: one for one in listed}
    fields = ("kind", "sid", "name", "has_voice")
    with tenancy.inside(organization_id):
        if not TwilioAccount.objects.filter(account_sid=account_sid).exists():
            return []
        kept = {one.number: one for one in Number.objects.all()}
        same = {
            number
            for number, one in kept.items()
            if number in wanted and all(getattr(one, name) == wanted[number][name] for name in fields)
        }
        Number.objects.exclude(number__in=same).delete()
        fresh = [
            Number(organization_id=organization_id, number=number, **{name: wanted[number][name] for name in fields})
            for number in sorted(set(wanted) - same)  # in one order, or two organizations could wait for each other
        ]
        Number.objects.bulk_create(fresh, batch_size=1000, ignore_conflicts=True)
        ours = set(Number.objects.values_list("number", flat=True))
    return sorted(set(wanted) - ours)


def forget_check(organization_id: UUID) -> None:
    """There is nothing to verify: not before an account is connected."""
    Organization.objects.filter(pk=organization_id).update(next_check_at=None)


class _Refusals:
    """When a refused callback was last written down, per organization; in this process's memory, and bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._noted: OrderedDict[UUID, float] = OrderedDict()

    def is_due(self, organization_id: UUID) -> bool:
        now = time.monotonic()
        with self._lock:
            if now - self._noted.get(organization_id, -NOTE_SECONDS) < NOTE_SECONDS:
                return False
            self._noted[organization_id] = now
            self._noted.move_to_end(organization_id)
            if len(self._noted) > 10_000:
                self._noted.popitem(last=False)
            return True


_refusals = _Refusals()


def note_rejected(organization_id: UUID, why: str) -> None:
    """Note that a callback for this organization was refused, and why: at most one in a second in each process."""
    if _refusals.is_due(organization_id):
        with tenancy.inside(organization_id):
            TwilioAccount.objects.update(last_rejected_at=timezone.now(), last_rejected_why=why[:200])
