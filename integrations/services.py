"""Writes to the organization's Twilio account."""

import re

from django.utils.translation import gettext_lazy as _

from crm import tenancy
from crm.errors import AppError
from crm.models import Organization
from crm.numbers import to_e164
from integrations.models import TwilioAccount

ACCOUNT_SID = re.compile(r"AC[0-9a-f]{32}")
# HTTP's Basic authentication carries nothing else for certain (RFC 7617 §2); Twilio's are 32 hexadecimal digits.
AUTH_TOKEN = re.compile(r"[!-~]{1,128}")


class BadCredentials(AppError):
    """What was typed cannot be a Twilio account."""

    code = "bad_credentials"
    message = _("An account SID is AC and 32 hexadecimal digits.")


class BadAuthToken(BadCredentials):
    """What was typed cannot be an auth token."""

    message = _("An auth token is up to 128 letters, digits and signs, without spaces or accents.")


def connect_twilio(
    *, organization: Organization, account_sid: str, auth_token: str, default_caller_id: str, **rules: object
) -> TwilioAccount:
    """Store or replace `organization`'s Twilio account; an empty `auth_token` keeps the one that is there.

    `rules`: confirms_with_key, records_calls, ring_seconds. Raises: BadCredentials, InvalidNumber.
    """
    if not ACCOUNT_SID.fullmatch(account_sid):
        raise BadCredentials(field="account_sid")
    if auth_token and not AUTH_TOKEN.fullmatch(auth_token):
        raise BadAuthToken(field="auth_token")
    number = to_e164(default_caller_id, region=organization.region)
    with tenancy.inside(organization.pk):
        account = TwilioAccount.objects.first() or TwilioAccount(organization=organization)
        account.account_sid = account_sid
        account.default_caller_id = number
        for name, value in rules.items():
            setattr(account, name, value)
        if auth_token:
            account.set_auth_token(auth_token)
        elif not account.sealed_auth_token:
            raise BadCredentials(_("Enter the account's auth token."), field="auth_token")
        account.full_clean(exclude=["organization"])
        account.save()
    return account
