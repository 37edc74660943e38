"""An organization's Twilio account is stored or replaced, and its secrets are sealed anew."""

import re
from uuid import UUID

from django.apps import apps
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy, vault
from crm.errors import AppError
from crm.models import Membership, Organization
from crm.numbers import to_e164
from integrations.access import callback_credentials
from integrations.models import SECRETS, TwilioAccount

ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")
API_KEY_SID = re.compile(r"SK[0-9a-f]{32}")
# HTTP's Basic authentication carries nothing else for certain (RFC 7617 §2); Twilio's are 32 hexadecimal digits.
SECRET = re.compile(r"[!-~]{1,128}")
# Part of the host that Twilio is asked at: one label, whatever regions and edges there will be.
PLACE = re.compile(r"[a-z]{2}[a-z0-9-]{0,17}|")
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
        replaced = bool(auth_token and not account.has("auth_token", auth_token))
        replaced |= bool(api_key_secret) or api_key_sid != account.api_key_sid
        if auth_token and not account.has("auth_token", auth_token):
            account.seal("auth_token", auth_token)
            account.seal("next_auth_token", "")
            account.signed_at = account.next_signed_at = None
        _set_api_key(account, api_key_sid, api_key_secret)
        if replaced:  # what was found out about other secrets says nothing of these
            account.checks, account.checked_at = [], None
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
        due = Organization.objects.filter(pk=organization.pk)
        (due if replaced else due.filter(next_check_at=None)).update(next_check_at=timezone.now())
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
