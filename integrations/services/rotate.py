"""Twilio's next auth token beside the one in use, until the old one can go."""

import logging
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy
from crm.errors import AppError
from crm.models import Membership, Organization
from crm.vault import SealBroken
from integrations.access import callback_credentials
from integrations.models import TwilioAccount
from integrations.services.connect import BadAuthToken, BadCredentials, refuse_bad_token
from integrations.services.findings import NOTE_SECONDS

logger = logging.getLogger(__name__)

# What Twilio signed with the old token may still be tried again when the first one with the new token has come.
PROMOTION_OVERLAP = timedelta(minutes=5)


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


def set_next_token(*, organization: Organization, next_auth_token: str, by: Membership | None = None) -> TwilioAccount:
    """Store Twilio's secondary token beside the one in use: both are accepted from now on. Empty forgets it.

    Raises: BadAuthToken; BadCredentials when no account is connected.
    """
    if next_auth_token:
        refuse_bad_token(next_auth_token, field="auth_token")
    with tenancy.inside(organization.pk):
        account = _locked()
        if account.next_signed_at is not None and not account.has("next_auth_token", next_auth_token):
            raise TokenInUse
        if account.has("auth_token", next_auth_token):
            raise BadAuthToken(_("This is the token that is in use already."), field="auth_token")
        if not account.has("next_auth_token", next_auth_token):
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
    # What was found out about the old token is of no use, and what about the next one is now about this.
    followed = [one | {"check": "account"} for one in account.checks if one["check"] == "next_token"]
    others = [one for one in account.checks if one["check"] not in ("account", "next_token")]
    account.checks = followed + others
    account.save()
    Organization.objects.filter(pk=account.organization_id).update(next_check_at=timezone.now())
    audit.note(by, audit.TWILIO_PROMOTED)


def _locked() -> TwilioAccount:
    account = TwilioAccount.objects.select_for_update().first()
    if account is None:
        raise BadCredentials(_("Connect the account first."), code="twilio_not_connected")
    return account


def note_signed(organization_id: UUID, token: str) -> None:
    """Note that Twilio signed with this token: for the first time ever, or for the first time with the next one.

    Whoever judged the signature may have remembered tokens that were replaced since: only what is stored now counts.
    """
    with tenancy.inside(organization_id):
        account = TwilioAccount.objects.select_for_update(skip_locked=True).first()
        if account is None:  # somebody is changing it
            return
        column = "next_signed_at" if account.has("next_auth_token", token) else "signed_at"
        stored = "next_auth_token" if column == "next_signed_at" else "auth_token"
        if getattr(account, column) is None and account.has(stored, token):
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
