"""People's accounts, as allauth keeps them: who may have one, where e-mails lead, and how second factors are held."""

import logging
import time
from smtplib import SMTPException
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit
from uuid import UUID

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.models import EmailAddress
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import ValidationError
from django.core.mail.message import sanitize_address
from django.db import connection, transaction
from django.shortcuts import render
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy, vault
from crm.access import SINCE, memberships_of
from crm.errors import AppError
from crm.models import Membership, User, lowered

logger = logging.getLogger(__name__)

# What a sealed value of allauth's belongs to. Its hooks do not say whose it is.
SECRETS: dict[str, Any] = {"owner": "users", "table": "mfa_authenticator", "column": "data"}
SEALED = ("secret", "seed")
# What goes wrong when an e-mail is handed over; an address that no mail server takes is a UnicodeError.
NOT_SENT = (SMTPException, OSError, UnicodeError)
# The session's note of the second factors that were set up in it.
PROVED = "second_factors_set_up"


class MailNotSent(AppError):
    """The mail server refused an e-mail, or cannot be reached."""

    code = "mail_not_sent"
    status = 503
    message = _("The e-mail could not be sent. Try again in a few minutes, or tell whoever runs this server.")


class SecondFactorRequired(AppError):
    """The organization lets nobody in who has logged in with a password alone."""

    code = "second_factor_required"
    status = 403
    message = _("Your organization requires a second factor: set one up under your name, “Second factor”.")


class Accounts(DefaultAccountAdapter):
    """Accounts begin with an invitation; what e-mails link to is the public address, never the one of a request."""

    error_messages = DefaultAccountAdapter.error_messages | {
        "email_password_mismatch": _("E-mail and password do not match. Check both and try again."),
        "too_many_login_attempts": _(
            "Too many wrong passwords. Wait five minutes, or choose another password by e-mail."
        ),
    }

    def is_open_for_signup(self, request: Any) -> bool:
        """Nobody makes an account by themselves."""
        return False

    def _get_login_attempts_cache_key(self, request: Any, **credentials: Any) -> str:
        """Count tries by the address that is tried, however the request names this host."""
        return lowered(str(credentials.get("email", "")))

    def clean_email(self, email: str) -> str:
        """Refuse what no mail server can be asked to deliver to. Raises: ValidationError."""
        if not is_deliverable(email):
            raise ValidationError(_("This is not an e-mail address."))
        return email

    def reauthenticate(self, user: Any, password: str) -> bool:
        """Believe a password again, but not of somebody who has a second factor: that is asked for then."""
        return not has_second_factor(user) and bool(super().reauthenticate(user, password))

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The ways to prove oneself again: the second factor, or the password where there is none."""
        methods: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        factors = [one for one in methods if one["id"] != "reauthenticate"]
        return factors or methods

    def send_confirmation_mail(self, request: Any, emailconfirmation: Any, signup: bool) -> None:
        """Send the e-mail that verifies an address; one that could not be sent leaves no change under way."""
        try:
            super().send_confirmation_mail(request, emailconfirmation, signup)
        except ImmediateHttpResponse:
            if not emailconfirmation.email_address.primary:
                emailconfirmation.email_address.delete()
            raise

    def is_ajax(self, request: Any) -> bool:
        """Pages are for people, whatever the request calls itself; programs have the REST API."""
        return False

    def get_reset_password_from_key_url(self, key: str) -> str:
        """The address in the e-mail that lets somebody choose another password."""
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
        return settings.PUBLIC_BASE_URL + path.replace("UID-KEY", quote(key))

    def get_email_confirmation_url(self, request: Any, emailconfirmation: Any) -> str:
        """The address in the e-mail that verifies an address."""
        return settings.PUBLIC_BASE_URL + reverse("account_confirm_email", args=[emailconfirmation.key])

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send one of allauth's e-mails; a mail server that fails is told to whoever asked for it."""
        site = SimpleNamespace(name=gettext("Click-to-call CRM"), domain=urlsplit(settings.PUBLIC_BASE_URL).netloc)
        message = self.render_mail(
            template_prefix, email, {"request": self.request, "email": email} | context | {"current_site": site}
        )
        try:
            message.send()
        except NOT_SENT as error:
            logger.error("The mail server did not take an e-mail (%s): %s", template_prefix, type(error).__name__)
            page = render(self.request, "error.html", {"error": MailNotSent()}, status=MailNotSent.status)
            raise ImmediateHttpResponse(page) from error

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Tell somebody of what was done to their account; what is done stays done if no e-mail can say so."""
        try:
            super().send_notification_mail(*args, **kwargs)
        except ImmediateHttpResponse:
            logger.warning("Nobody was told by e-mail of a change to their account")


class SecondFactors(DefaultMFAAdapter):
    """Second factors: sealed at rest, and kept while an organization requires one."""

    def encrypt(self, text: str) -> str:
        """Seal a secret with the newest key."""
        return vault.seal(text, **SECRETS)

    def decrypt(self, encrypted_text: str) -> str:
        """Open what `encrypt` made. Raises: SealBroken."""
        return vault.unseal(encrypted_text, **SECRETS)

    def can_delete_authenticator(self, authenticator: Any) -> bool:
        """Whether nobody requires this person to have it."""
        return not any(member.organization.requires_mfa for member in memberships_of(authenticator.user))


def proved_by_setting_up(sender: Any, request: Any, user: Any, authenticator: Any, **kwargs: Any) -> None:
    """Count the session in which a second factor was set up as one that has proved it."""
    request.session[PROVED] = [*request.session.get(PROVED, []), authenticator.pk]


def note_log_in(sender: Any, request: Any, user: Any, **kwargs: Any) -> None:
    """Have the session remember when it began."""
    request.session[SINCE] = time.time()


def lacks_second_factor(request: Any, member: Membership) -> bool:
    """Whether `member`'s organization requires a second factor that this session has not proved."""
    if not member.organization.requires_mfa:
        return False
    records = get_authentication_records(request, member.user)
    proved = {record.get("id") for record in records if record.get("method") == "mfa"}
    # By which one: another that was set up since says nothing of this session.
    factors = Authenticator.objects.filter(user_id=member.user_id).values_list("pk", "type")
    has_any = any(kind == Authenticator.Type.TOTP for _, kind in factors)
    return not (has_any and {pk for pk, _ in factors} & (proved | set(request.session.get(PROVED, []))))


def has_second_factor(user: User) -> bool:
    """Whether somebody has set up a second factor."""
    return Authenticator.objects.filter(user_id=user.pk, type=Authenticator.Type.TOTP).exists()


def vouch_for_email(user: User) -> None:
    """Count `user`'s e-mail address, and no other of theirs, as verified.

    An operator typed it, or its owner followed a link that was sent there.
    """
    EmailAddress.objects.filter(user=user).exclude(email=user.email).delete()
    EmailAddress.objects.update_or_create(user=user, email=user.email, defaults={"verified": True, "primary": True})


def take_second_factor(user: User) -> None:
    """Delete somebody's second factor and their recovery codes, so that the password lets them in; for the operator."""
    Authenticator.objects.filter(user_id=user.pk).delete()
    for member in memberships_of(user):
        with tenancy.inside(member.organization_id):
            audit.note(None, audit.SECOND_FACTOR_TAKEN, member=user.email)


def forget_pending_address(sender: Any, user: User, **kwargs: Any) -> None:
    """End a change of address that is under way, once the password is another: an intruder may have begun it."""
    EmailAddress.objects.filter(user=user, verified=False, primary=False).delete()


def is_deliverable(email: str) -> bool:
    """Whether a mail server can be asked to deliver to this address: its domain has a form in ASCII."""
    try:
        return bool(sanitize_address(email, "utf-8"))
    except (UnicodeError, ValueError):
        return False


def forget_account(user_id: UUID) -> None:
    """Delete what allauth keeps of somebody."""
    EmailAddress.objects.filter(user_id=user_id).delete()
    Authenticator.objects.filter(user_id=user_id).delete()


def forget_expired() -> int:
    """Delete sessions that are over and counts of tries that count no more; return how many tries there were."""
    SessionStore.clear_expired()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM crm_cache WHERE expires < now()")
        return int(cursor.rowcount)


def reseal_second_factors() -> int:
    """Seal second factors with the newest key where another one did; return how many secrets there were.

    A short transaction each, so it may run beside everything else, and again: what is done is skipped.
    Raises: SealBroken when no key of ours opens one.
    """
    done = 0
    for key in Authenticator.objects.order_by("pk").values_list("pk", flat=True).iterator():
        with transaction.atomic():
            row = Authenticator.objects.select_for_update().filter(pk=key).first()
            stale = [name for name in SEALED if row and name in row.data and not vault.is_current(row.data[name])]
            if row and stale:
                row.data |= {name: vault.seal(vault.unseal(row.data[name], **SECRETS), **SECRETS) for name in stale}
                row.save(update_fields=["data"])
                done += len(stale)
    return done
