"""Writes to the organization's Twilio account. Nothing here asks Twilio: that is `checks`, and before or after."""

import logging
import re
import threading
import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.apps import apps
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy
from crm.errors import AppError
from crm.models import Membership, Organization
from crm.numbers import to_e164
from integrations import vault
from integrations.access import callback_credentials
from integrations.models import SECRETS, Number, TwilioAccount
from integrations.vault import SealBroken

logger = logging.getLogger(__name__)

ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")
API_KEY_SID = re.compile(r"SK[0-9a-f]{32}")
# HTTP's Basic authentication carries nothing else for certain (RFC 7617 §2); Twilio's are 32 hexadecimal digits.
SECRET = re.compile(r"[!-~]{1,128}")
# Part of the host that Twilio is asked at: one label, whatever regions and edges there will be.
PLACE = re.compile(r"[a-z]{2}[a-z0-9-]{0,17}|")
# What Twilio signed with the old token may still be tried again when the first one with the new token has come.
PROMOTION_OVERLAP = timedelta(minutes=5)
# So often at most is it written down that callbacks come, or are refused, per organization.
NOTE_SECONDS = 1.0
CHECKED_EVERY, CHECK_LEASE = timedelta(days=1), timedelta(minutes=30)
LIVE = ("queued", "initiated", "ringing", "in-progress")


class BadCredentials(AppError):
    """What was typed cannot be a Twilio account."""

    code = "bad_credentials"
    message = _("An account SID is AC and 32 hexadecimal digits.")


class BadAuthToken(BadCredentials):
    """What was typed cannot be an auth token."""

    message = _("An auth token is up to 128 letters, digits and signs, without spaces or accents.")


class BadApiKey(BadCredentials):
    """What was typed cannot be an API key."""

    message = _("An API key's SID is SK and 32 hexadecimal digits, and its secret has no spaces or accents.")


class BadPlace(BadCredentials):
    """What was typed cannot be a region with its edge."""

    code = "bad_region"
    message = _(
        "A region is a word of Twilio's such as ie1, with an edge such as dublin; the United States need neither."
    )


class CallsUnderWay(AppError):
    """Another account would take the live calls' callbacks away."""

    code = "calls_under_way"
    status = 409
    message = _("Calls of this organization are under way. Replace the account when they are over.")


class NoNextToken(AppError):
    """There is nothing to promote."""

    code = "no_next_token"
    status = 409
    message = _("There is no next auth token. Enter Twilio's secondary token first.")


class TokenInUse(AppError):
    """Twilio signs with the next token already: without it every callback would be refused."""

    code = "token_in_use"
    status = 409
    message = _("Twilio signs with the next token already. Drop the old one first; then another can follow.")


class NotPromoted(AppError):
    """Twilio still signs with the old token: dropping it would refuse every callback."""

    code = "token_not_promoted"
    status = 409
    message = _(
        "Twilio has not signed with the next token yet. Promote it in Twilio's console and make a call;"
        " the old token is then dropped by itself."
    )


def connect_twilio(
    *,
    organization: Organization,
    account_sid: str,
    default_caller_id: str,
    by: Membership | None = None,
    auth_token: str = "",
    api_key_sid: str = "",
    api_key_secret: str = "",
    region: str = "",
    edge: str = "",
    **rules: object,
) -> TwilioAccount:
    """Store or replace `organization`'s Twilio account; an empty secret keeps the one that is there.

    `rules`: confirms_with_key, records_calls, ring_seconds. An empty `api_key_sid` forgets the key. Another account is
    another history: its token must come along, and no call may be under way. Raises: BadCredentials, BadAuthToken,
    BadApiKey, BadPlace, InvalidNumber, CallsUnderWay.
    """
    if not ACCOUNT_SID.fullmatch(account_sid):
        raise BadCredentials(field="account_sid")
    if auth_token:
        refuse_bad_token(auth_token, field="auth_token")
    if api_key_sid and not API_KEY_SID.fullmatch(api_key_sid):
        raise BadApiKey(field="api_key_sid")
    if api_key_secret and not SECRET.fullmatch(api_key_secret):
        raise BadApiKey(field="api_key_secret")
    if not PLACE.fullmatch(region) or not PLACE.fullmatch(edge) or bool(region) != bool(edge):
        raise BadPlace(field="edge" if region and not edge else "region")
    number = to_e164(default_caller_id, region=organization.region)
    with tenancy.inside(organization.pk):
        Organization.objects.select_for_update(no_key=True).get(pk=organization.pk)  # there may be no row yet
        account = TwilioAccount.objects.select_for_update().first() or TwilioAccount(organization=organization)
        _replace_account(account, account_sid, has_token=bool(auth_token))
        account.default_caller_id = number
        account.region, account.edge = region, edge
        for name, value in rules.items():
            setattr(account, name, value)
        if auth_token and not _has(account, "auth_token", auth_token):
            account.seal("auth_token", auth_token)
            account.seal("next_auth_token", "")
            account.signed_at = account.next_signed_at = None
        _set_api_key(account, api_key_sid, api_key_secret)
        account.full_clean(exclude=["organization"])
        account.save()
        audit.note(
            by,
            audit.TWILIO_CONNECTED,
            account_sid=account_sid,
            caller_id=number,
            api_key_sid=api_key_sid,
            new_auth_token=bool(auth_token),
            new_api_key_secret=bool(api_key_secret),
            **rules,
        )
        Organization.objects.filter(pk=organization.pk, next_check_at=None).update(next_check_at=timezone.now())
    callback_credentials.forget(organization.pk)
    return account


def refuse_while_calls_live(account_sid: str) -> None:
    """Raises: CallsUnderWay when the organization that is set has another account than this one, and live calls."""
    has_another = TwilioAccount.objects.exclude(account_sid=account_sid).exists()
    if has_another and apps.get_model("calls", "CallLog").objects.filter(status__in=LIVE).exists():
        raise CallsUnderWay(field="account_sid")


def _replace_account(account: TwilioAccount, account_sid: str, *, has_token: bool) -> None:
    if account_sid != account.account_sid:
        if account.account_sid:
            refuse_while_calls_live(account_sid)
        account.account_sid = account_sid
        account.checks, account.checked_at = [], None
        account.signed_at = account.next_signed_at = account.last_callback_at = None
        account.last_rejected_at, account.last_rejected_why = None, ""
        account.sealed_auth_token = account.sealed_next_auth_token = ""
        account.api_key_sid = account.sealed_api_key_secret = ""
    if not has_token and not account.sealed_auth_token:
        raise BadCredentials(_("Enter the account's auth token."), field="auth_token")


def _has(account: TwilioAccount, secret: str, value: str) -> bool:
    """Whether this is the secret that is stored; one that no key of ours opens is to be replaced by whatever it was."""
    try:
        return account.secret(secret) == value
    except SealBroken:
        return False


def _set_api_key(account: TwilioAccount, api_key_sid: str, api_key_secret: str) -> None:
    if api_key_secret and not api_key_sid:
        raise BadApiKey(_("This secret needs the SID of its API key."), field="api_key_sid")
    if api_key_sid != account.api_key_sid:
        if api_key_sid and not api_key_secret:
            raise BadApiKey(_("Enter the API key's secret."), field="api_key_secret")
        account.api_key_sid, account.sealed_api_key_secret = api_key_sid, ""
    if api_key_secret:
        account.seal("api_key_secret", api_key_secret)


def refuse_bad_token(token: str, *, field: str) -> None:
    """Raises: BadAuthToken for what no request to Twilio can carry."""
    if not SECRET.fullmatch(token):
        raise BadAuthToken(field=field)


def set_next_token(*, organization: Organization, next_auth_token: str, by: Membership | None = None) -> TwilioAccount:
    """Store Twilio's secondary token beside the one in use: both are accepted from now on. Empty forgets it.

    Raises: BadAuthToken; BadCredentials when no account is connected.
    """
    if next_auth_token:
        refuse_bad_token(next_auth_token, field="auth_token")
    with tenancy.inside(organization.pk):
        account = _locked()
        if account.next_signed_at is not None and not _has(account, "next_auth_token", next_auth_token):
            raise TokenInUse
        if _has(account, "auth_token", next_auth_token):
            raise BadAuthToken(_("This is the token that is in use already."), field="auth_token")
        if not _has(account, "next_auth_token", next_auth_token):
            account.seal("next_auth_token", next_auth_token)
            account.next_signed_at = None
            account.save()
            audit.note(by, audit.TWILIO_NEXT_TOKEN if next_auth_token else audit.TWILIO_TOKEN_FORGOTTEN)
    callback_credentials.forget(organization.pk)
    return account


def promote_token(*, organization: Organization, now: bool = False, by: Membership | None = None) -> TwilioAccount:
    """Drop the old token: the next one is the token from now on.

    Only when Twilio has signed with the next one, or else the callbacks of the old one would be refused; with `now`
    whoever asks answers for that. Raises: NoNextToken, NotPromoted.
    """
    with tenancy.inside(organization.pk):
        account = _locked()
        if not account.sealed_next_auth_token:
            raise NoNextToken
        if account.next_signed_at is None and not now:
            raise NotPromoted
        _promote(account, by)
    callback_credentials.forget(organization.pk)
    return account


def _promote(account: TwilioAccount, by: Membership | None = None) -> None:
    following = account.secret("next_auth_token")
    if not following:
        raise NoNextToken
    account.seal("auth_token", following)
    account.seal("next_auth_token", "")
    account.signed_at, account.next_signed_at = account.next_signed_at, None
    account.save()
    audit.note(by, audit.TWILIO_PROMOTED)


def _locked() -> TwilioAccount:
    account = TwilioAccount.objects.select_for_update().first()
    if account is None:
        raise BadCredentials(_("Connect the account first."), code="twilio_not_connected")
    return account


def save_checks(organization_id: UUID, account_sid: str, checks: list[dict[str, Any]]) -> None:
    """Keep what a verification found, unless the account was replaced meanwhile; the next one is due in a day."""
    now = timezone.now()
    with tenancy.inside(organization_id):
        TwilioAccount.objects.filter(account_sid=account_sid).update(checks=checks, checked_at=now)
        Organization.objects.filter(pk=organization_id).update(next_check_at=now + CHECKED_EVERY)


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


def note_signed(organization_id: UUID, token: str) -> None:
    """Note that Twilio signed with this token: for the first time ever, or for the first time with the next one.

    Whoever judged the signature may have remembered tokens that were replaced since: only what is stored now counts.
    """
    with tenancy.inside(organization_id):
        account = TwilioAccount.objects.select_for_update(skip_locked=True).first()
        if account is None:  # somebody is changing it
            return
        column = "next_signed_at" if _has(account, "next_auth_token", token) else "signed_at"
        stored = "next_auth_token" if column == "next_signed_at" else "auth_token"
        if getattr(account, column) is None and _has(account, stored, token):
            TwilioAccount.objects.filter(pk=account.pk).update(**{column: timezone.now()})
    callback_credentials.forget(organization_id)


def note_callbacks(organization_id: UUID) -> None:
    """Note that callbacks came; drop a token that Twilio replaced PROMOTION_OVERLAP ago. For who applies callbacks."""
    now = timezone.now()
    with tenancy.inside(organization_id):
        due = TwilioAccount.objects.filter(
            Q(last_callback_at=None)
            | Q(last_callback_at__lt=now - timedelta(seconds=NOTE_SECONDS))
            | Q(next_signed_at__lt=now - PROMOTION_OVERLAP) & ~Q(sealed_next_auth_token="")
        )
        account = due.select_for_update(skip_locked=True).first()
        if account is None:
            return
        account.last_callback_at = now
        account.save(update_fields=["last_callback_at"])
        if account.next_signed_at and account.next_signed_at < now - PROMOTION_OVERLAP:
            try:
                _promote(account)
            except SealBroken:
                logger.exception("The next auth token of organization %s cannot be opened", organization_id)


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


def reseal_secrets(organization_id: UUID) -> int:
    """Seal an organization's secrets with the first key where another one did; return how many there were.

    One short transaction, so it may run beside everything else, and again: what is done is skipped. Raises: SealBroken
    when no key of ours opens one.
    """
    with tenancy.inside(organization_id):
        account = TwilioAccount.objects.select_for_update().first()
        stale = [
            name
            for name in SECRETS
            if account and (sealed := getattr(account, f"sealed_{name}")) and not vault.is_current(sealed)
        ]
        if account and stale:
            for name in stale:
                account.seal(name, account.secret(name))
            account.save(update_fields=[f"sealed_{name}" for name in stale])
    return len(stale)
