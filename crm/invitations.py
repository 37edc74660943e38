"""How somebody joins an organization: an admin's e-mail, its link, and what whoever follows it does."""

import logging
import secrets
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.mail import send_mail
from django.core.validators import validate_email
from django.db import IntegrityError
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from crm import access, audit, tenancy
from crm.accounts import NOT_SENT, MailNotSent, is_deliverable, vouch_for_email
from crm.errors import AppError, InvalidNumber
from crm.models import Invitation, Membership, Organization, Role, User, lowered
from crm.numbers import to_e164

logger = logging.getLogger(__name__)

VALID_FOR = timedelta(days=7)
MOST_A_DAY = 200
SENT_AGAIN_AFTER = timedelta(minutes=1)


class BadInvitation(AppError):
    """An address or a role that nobody can be invited with."""

    code = "bad_invitation"


class AlreadyMember(AppError):
    """Whoever has this address belongs to the organization, or did."""

    code = "already_member"
    status = 409
    message = _("This person is a member already. If they left, make them active again.")


class WasMember(AppError):
    """Whoever was shut out comes back by an admin's hand only."""

    code = "was_member"
    status = 409
    message = _("You were a member before. Ask an admin to make you active again.")


class TooManyInvitations(AppError):
    """A stolen session must not become a mass mailer."""

    code = "limit_reached"
    status = 429
    message = _("Your organization has sent too many invitations for now. Try again later.")


class InvitationGone(AppError):
    """The link is of no invitation that is open."""

    code = "invitation_gone"
    status = 410
    message = _("This invitation was used or withdrawn, or it is older than a week. Ask for another.")


class WrongPerson(AppError):
    """The link is somebody else's."""

    code = "wrong_person"
    status = 403
    message = _("This invitation is for another address. Log out, and follow its link again.")


class HasAccount(AppError):
    """There is an account for this address: its owner logs in to join."""

    code = "has_account"
    status = 409
    message = _("There is an account with this address. Log in to join.")


class BadPassword(AppError):
    """Too easy to guess."""

    code = "bad_password"


def invite(*, by: Membership, email: str, role: str) -> Invitation:
    """Invite somebody by e-mail, in the language of whoever invites; an open invitation of theirs is renewed.

    The invitation is there even when its e-mail could not be sent, and can be sent again.
    Raises: NotAllowed, BadInvitation, AlreadyMember, TooManyInvitations, MailNotSent.
    """
    access.require_admin(by)
    email = lowered(email.strip())
    try:
        validate_email(email)
    except ValidationError as error:
        raise BadInvitation(_("This is not an e-mail address."), field="email") from error
    if len(email) > 254 or not is_deliverable(email):
        raise BadInvitation(_("This is not an e-mail address."), field="email")
    if role not in Role.values:
        raise BadInvitation(_("There is no such role."), field="role")
    token, digest = _new_token(by.organization_id)
    now = timezone.now()
    with tenancy.inside(by.organization_id):
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)  # one invitation at a time
        if access.members_of(by).filter(user__email=email).exists():
            raise AlreadyMember(field="email")
        _count(by, Invitation.objects.filter(email=email).order_by("-id").first())
        Invitation.objects.filter(email=email, accepted_at=None, withdrawn_at=None).update(withdrawn_at=now)
        invitation = Invitation.objects.create(
            email=email,
            role=role,
            invited_by=by.user,
            digest=digest,
            language=translation.get_language() or "en",
            expires_at=now + VALID_FOR,
            sent_at=now,
        )
        audit.note(by, audit.MEMBER_INVITED, member=email, role=role)
    _send(by, invitation, token)
    return invitation


def send_again(*, by: Membership, invitation_id: UUID) -> Invitation:
    """Send an open invitation once more, with a new link and another week; the old link ends.

    Raises: NotAllowed, NotFound, TooManyInvitations within a minute, MailNotSent.
    """
    access.require_admin(by)
    token, digest = _new_token(by.organization_id)
    now = timezone.now()
    with tenancy.inside(by.organization_id):
        Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        invitation = access.get_invitation(by, invitation_id, for_update=True)
        _count(by, invitation)
        invitation.digest, invitation.expires_at, invitation.sent_at = digest, now + VALID_FOR, now
        invitation.save(update_fields=["digest", "expires_at", "sent_at"])
        audit.note(by, audit.MEMBER_INVITED, member=invitation.email, role=invitation.role)
    _send(by, invitation, token)
    return invitation


def _count(by: Membership, earlier: Invitation | None) -> None:
    """Raises: TooManyInvitations where this address was written to a moment ago, or too many were in a day."""
    now = timezone.now()
    if earlier is not None and earlier.sent_at is not None and earlier.sent_at > now - SENT_AGAIN_AFTER:
        raise TooManyInvitations(_("It was sent a moment ago. Wait a minute."))
    if audit.entries(by).filter(action=audit.MEMBER_INVITED, at__gt=now - timedelta(days=1)).count() >= MOST_A_DAY:
        raise TooManyInvitations


def withdraw(*, by: Membership, invitation_id: UUID) -> None:
    """End an open invitation: its link leads nowhere from now on. Raises: NotAllowed, NotFound."""
    access.require_admin(by)
    with tenancy.inside(by.organization_id):
        invitation = access.get_invitation(by, invitation_id, for_update=True)
        invitation.withdrawn_at = timezone.now()
        invitation.save(update_fields=["withdrawn_at"])
        audit.note(by, audit.INVITATION_WITHDRAWN, member=invitation.email)


def accept(
    *, token: str, user: User | None = None, name: str = "", password: str = "", phone_number: str = ""
) -> Membership:
    """Make whoever holds the link a member: `user` if they are logged in, else a new account with this password.

    The link was sent to the address, so it is verified. All or nothing, and of two clicks only one counts.
    Who is a member by now is one. Raises: InvitationGone, WrongPerson, HasAccount, BadPassword, InvalidNumber,
    WasMember.
    """
    organization_id = access.organization_of_token(token)
    if organization_id is None:
        raise InvitationGone
    try:
        with tenancy.inside(organization_id):
            invitation = access.invitation_of_token(token, for_update=True)
            if invitation is None:
                raise InvitationGone
            if user is None:
                user = _new_user(invitation.email, name, password)
            elif user.email != invitation.email:
                raise WrongPerson
            member = Membership.objects.filter(user=user).select_related("organization").first()
            if member is not None and not member.is_active:
                raise WasMember
            invitation.accepted_at = timezone.now()
            invitation.save(update_fields=["accepted_at"])
            if member is not None:
                return member
            region = invitation.organization.region
            number = to_e164(phone_number, region=region) if phone_number.strip() else ""
            member = Membership.objects.create(user=user, role=invitation.role, phone_number=number)
            audit.note(member, audit.MEMBER_JOINED, role=member.role)
    except InvalidNumber as error:
        raise InvalidNumber(field="phone_number") from error
    except IntegrityError as error:
        if "email" in str(error):  # another tab made the account a moment ago
            raise HasAccount from error
        raise
    return member


def _new_user(email: str, name: str, password: str) -> User:
    if User.objects.filter(email=email).exists():
        raise HasAccount
    user = User(email=email, name=" ".join(name.replace("\x00", "").split())[:200])
    try:
        validate_password(password, user)
    except ValidationError as error:
        raise BadPassword(" ".join(error.messages), field="password") from error
    user.set_password(password)
    user.save()
    vouch_for_email(user)
    return user


def _new_token(organization_id: UUID) -> tuple[str, str]:
    token = f"{organization_id.hex}_{secrets.token_urlsafe(32)}"
    return token, access.token_digest(token)


def _send(by: Membership, invitation: Invitation, token: str) -> None:
    """Send the e-mail, outside of any transaction; take back that it was sent if it was not. Raises: MailNotSent."""
    context: dict[str, object] = {
        "organization": by.organization.name,
        "who": str(by.user),
        "address": settings.PUBLIC_BASE_URL + reverse("invitation", args=[token]),
        "days": VALID_FOR.days,
    }
    with translation.override(invitation.language):
        context["role"] = invitation.get_role_display()
        subject = " ".join(render_to_string("members/invitation_subject.txt", context).split())
        body = render_to_string("members/invitation.txt", context)
    try:
        send_mail(subject, body, None, [invitation.email])
    except NOT_SENT as error:
        logger.error("The mail server did not take an invitation: %s", type(error).__name__)
        with tenancy.inside(by.organization_id):
            Invitation.objects.filter(pk=invitation.pk, digest=invitation.digest).update(sent_at=None)
        raise MailNotSent(
            _("The invitation is there, but its e-mail could not be sent. Send it again in a few minutes.")
        ) from error
