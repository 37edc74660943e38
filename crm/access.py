"""Who is asking, and one row for them: a foreign row is missing, never forbidden."""

import hashlib
from datetime import timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from crm import tenancy
from crm.errors import NotAllowed, NotFound
from crm.models import ApiToken, Contact, DoNotCall, Membership, Opportunity, Role, User

TOKEN_PREFIX = "ctc"  # noqa: S105 - says what kind of secret follows


def memberships_of(user: User) -> list[Membership]:
    """Return `user`'s active memberships of active organizations, by the organization's name."""
    with tenancy.signing_in(user.pk):
        return list(
            Membership.objects.filter(is_active=True, organization__is_active=True)
            .select_related("organization", "user")
            .order_by("organization__name", "id")
        )


def member_of_session(user: User, organization_id: str | None) -> Membership | None:
    """Return `user`'s membership of the organization that the session chose, or else of the first; None without any."""
    members = memberships_of(user)
    chosen = [member for member in members if str(member.organization_id) == organization_id]
    return next(iter(chosen or members), None)


def token_digest(token: str) -> str:
    """Return what is kept of a token: SHA-256 in hex. A token has 256 random bits, so no salt or stretching is due."""
    return hashlib.sha256(token.encode()).hexdigest()


def member_of_token(token: str) -> Membership | None:
    """Return the membership that a bearer token stands for, or None.

    The token names its organization, so that even this look-up happens inside one.
    """
    prefix, _, rest = token.partition("_")
    organization, _, secret = rest.partition("_")
    try:
        organization_id = UUID(hex=organization)
    except ValueError:
        return None
    if prefix != TOKEN_PREFIX or not secret:
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


def get_contact(member: Membership, contact_id: UUID) -> Contact:
    """Return a contact that `member` may see, with its numbers. Raises: NotFound."""
    found = Contact.objects.filter(pk=contact_id, organization=member.organization).prefetch_related("numbers").first()
    if found is None:
        raise NotFound
    return found


def get_opportunity(member: Membership, opportunity_id: UUID) -> Opportunity:
    """Return an opportunity that `member` may see. Raises: NotFound."""
    found = Opportunity.objects.filter(pk=opportunity_id, organization=member.organization).first()
    if found is None:
        raise NotFound
    return found


def get_number_not_to_call(member: Membership, listed_id: UUID) -> DoNotCall:
    """Return a row of the organization's do-not-call list. Raises: NotFound."""
    found = DoNotCall.objects.filter(pk=listed_id, organization=member.organization).first()
    if found is None:
        raise NotFound
    return found
