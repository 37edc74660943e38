"""Who is asking, and one row for them: a foreign row is missing, never forbidden."""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import tenancy
from crm.errors import NotAllowed, NotFound
from crm.models import (
    ApiToken,
    Contact,
    DoNotCall,
    FollowUp,
    Invitation,
    Membership,
    Note,
    Opportunity,
    Role,
    User,
)

TOKEN_PREFIX = "ctc"  # noqa: S105 - says what kind of secret follows


# The session's own notes: the organization that was chosen, and when its user logged in (seconds since 1970).
CHOSEN, SINCE = "organization", "logged_in_at"


def memberships_of(user: User) -> list[Membership]:
    """Return `user`'s active memberships of active organizations, by the organization's name."""
    with tenancy.signing_in(user.pk):
        return list(
            Membership.objects.filter(is_active=True, organization__is_active=True)
            .select_related("organization", "user")
            .order_by("organization__name", "id")
        )


def memberships_of_session(request: Any) -> list[Membership]:
    """Return the memberships that the session of a signed-in user opens: not one that has ended it since."""
    since = request.session.get(SINCE, 0)
    return [
        member
        for member in memberships_of(request.user)
        if member.sessions_ended_at is None or member.sessions_ended_at.timestamp() < since
    ]


def member_of_session(request: Any) -> Membership | None:
    """Return the membership in the organization that the session chose, or else in the first; None without any."""
    members = memberships_of_session(request)
    chosen = [member for member in members if str(member.organization_id) == request.session.get(CHOSEN)]
    return next(iter(chosen or members), None)


def token_digest(token: str) -> str:
    """Return what is kept of a token: SHA-256 in hex. A token has 256 random bits, so no salt or stretching is due."""
    return hashlib.sha256(token.encode()).hexdigest()


def organization_of_token(token: str) -> UUID | None:
    """Return the organization that `{its id in hex}_{secret}` names, whether or not that exists; None for rubbish."""
    organization, _found, secret = token.partition("_")
    try:
        return UUID(hex=organization) if secret else None
    except ValueError:
        return None


def member_of_token(token: str) -> Membership | None:
    """Return the membership that a bearer token stands for, or None.

    The token names its organization, so that even this look-up happens inside one.
    """
    prefix, _found, rest = token.partition("_")
    organization_id = organization_of_token(rest)
    if prefix != TOKEN_PREFIX or organization_id is None:
        return None
    now = timezone.now()
    with tenancy.inside(organization_id):
        found = (
            ApiToken.objects.filter(
                digest=token_digest(token),
                revoked_at=None,
                membership__is_active=True,
                membership__user__is_active=True,
                membership__organization__is_active=True,
            )
            .select_related("membership__organization", "membership__user")
            .first()
        )
        if found is None:
            return None
        stale = Q(last_used_at=None) | Q(last_used_at__lt=now - timedelta(minutes=1))
        ApiToken.objects.filter(stale, pk=found.pk).update(last_used_at=now)
        return found.membership


def require_admin(member: Membership) -> None:
    """Raises: NotAllowed for everybody but the organization's admins."""
    if member.role != Role.ADMIN:
        raise NotAllowed


def require_manager(member: Membership) -> None:
    """Raises: NotAllowed for reps."""
    if not member.is_at_least(Role.MANAGER):
        raise NotAllowed


def get_contact(member: Membership, contact_id: UUID, *, for_update: bool = False) -> Contact:
    """Return a contact that `member` may see, with its numbers. Raises: NotFound."""
    rows = Contact.objects.filter(organization=member.organization).prefetch_related("numbers")
    found = (rows.select_for_update(no_key=True) if for_update else rows).filter(pk=contact_id).first()
    if found is None:
        raise NotFound
    return found


def get_opportunity(member: Membership, opportunity_id: UUID, *, for_update: bool = False) -> Opportunity:
    """Return an opportunity that `member` may see. Raises: NotFound."""
    rows = Opportunity.objects.filter(organization=member.organization)
    found = (rows.select_for_update(no_key=True) if for_update else rows).filter(pk=opportunity_id).first()
    if found is None:
        raise NotFound
    return found


def opportunity_of(member: Membership, contact_id: UUID, opportunity_id: UUID | None) -> UUID | None:
    """Return the id of this contact's opportunity; None where none is meant. Raises: NotFound for another's."""
    if opportunity_id is None:
        return None
    if not Opportunity.objects.filter(organization=member.organization, contact=contact_id, pk=opportunity_id).exists():
        raise NotFound(_("This contact has no such opportunity."), field="opportunity")
    return opportunity_id


def get_follow_up(member: Membership, follow_up_id: UUID, *, for_update: bool = False) -> FollowUp:
    """Return a follow-up that `member` may see: a rep's own, or the team's. Raises: NotFound."""
    rows = FollowUp.objects.filter(organization=member.organization)
    rows = rows if member.sees_whole_team else rows.filter(owner=member.user_id)
    rows = rows.select_for_update(no_key=True) if for_update else rows.select_related("contact", "owner", "opportunity")
    found = rows.filter(pk=follow_up_id).first()
    if found is None:
        raise NotFound
    return found


def follow_up_after(member: Membership, call_id: UUID) -> FollowUp | None:
    """Return what was written down after this call, if anything; who may see the call may see it."""
    return FollowUp.objects.filter(organization=member.organization, call_id=call_id).first()


def is_follow_up(follow_up_id: UUID) -> bool:
    """Whether the organization that is set has this follow-up, whosever it is."""
    return FollowUp.objects.filter(pk=follow_up_id).exists()


def get_note(member: Membership, note_id: UUID, *, for_update: bool = False) -> Note:
    """Return a note, which every member may read. Raises: NotFound."""
    rows = Note.objects.filter(organization=member.organization)
    rows = rows.select_for_update(no_key=True) if for_update else rows.select_related("contact", "author")
    found = rows.filter(pk=note_id).first()
    if found is None:
        raise NotFound
    return found


def possible_owners(member: Membership) -> QuerySet[Membership]:
    """Return whoever contacts and opportunities can be given to: the organization's active members, by name."""
    rows = members_of(member).filter(is_active=True, user__is_active=True)
    return rows.order_by("user__name", "user__email")


def get_number_not_to_call(member: Membership, listed_id: UUID) -> DoNotCall:
    """Return a row of the organization's do-not-call list. Raises: NotFound."""
    found = DoNotCall.objects.filter(pk=listed_id, organization=member.organization).first()
    if found is None:
        raise NotFound
    return found


def members_of(member: Membership) -> QuerySet[Membership]:
    """Return everybody who is or was a member of `member`'s organization."""
    return Membership.objects.filter(organization=member.organization).select_related("user", "organization")


def admins_of(organization_id: UUID) -> QuerySet[Membership]:
    """Return the admins who can log in, always in the same order: whoever locks them all waits, and never crosses."""
    return Membership.objects.filter(
        organization_id=organization_id, role=Role.ADMIN, is_active=True, user__is_active=True
    ).order_by("id")


def get_member(member: Membership, member_id: UUID, *, for_update: bool = False) -> Membership:
    """Return a member of `member`'s organization, also one who is not active. Raises: NotFound."""
    rows = members_of(member).select_for_update(of=("self",), no_key=True) if for_update else members_of(member)
    found = rows.filter(pk=member_id).first()
    if found is None:
        raise NotFound
    return found


def open_invitations(member: Membership) -> QuerySet[Invitation]:
    """Return the invitations that nobody has accepted or withdrawn, also those whose week is over."""
    rows = Invitation.objects.filter(organization=member.organization, accepted_at=None, withdrawn_at=None)
    return rows.select_related("invited_by").order_by("-id")


def get_invitation(member: Membership, invitation_id: UUID, *, for_update: bool = False) -> Invitation:
    """Return an open invitation of `member`'s organization. Raises: NotFound."""
    rows = open_invitations(member)
    found = (rows.select_for_update(of=("self",), no_key=True) if for_update else rows).filter(pk=invitation_id).first()
    if found is None:
        raise NotFound
    return found


def invitation_of_token(token: str, *, for_update: bool = False) -> Invitation | None:
    """Return the open invitation with this link, inside its organization; None if it ended or the organization did."""
    rows = Invitation.objects.filter(
        digest=token_digest(token),
        accepted_at=None,
        withdrawn_at=None,
        expires_at__gt=timezone.now(),
        organization__is_active=True,
    ).select_related("organization", "invited_by")
    return (rows.select_for_update(of=("self",), no_key=True) if for_update else rows).first()
