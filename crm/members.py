"""What an organization's admins do with its members, and members with themselves."""

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _
from phonenumbers import SUPPORTED_REGIONS

from crm import access, audit, tenancy
from crm.errors import AppError, InvalidNumber, NotAllowed
from crm.models import ApiToken, AuditEntry, Invitation, Membership, Organization, Role
from crm.numbers import to_e164

# Each call rings one's own phone, so whoever changes it all day has everybody rung. Admins change others' as they like.
PHONE_CHANGES, PHONE_CHANGES_WITHIN = 5, timedelta(hours=24)


class LastAdmin(AppError):
    """Somebody must be able to let others in."""

    code = "last_admin"
    status = 409
    message = _("This is the organization's last admin. Make somebody else an admin first.")


class BadMember(AppError):
    """Something that no member can be given."""

    code = "bad_member"


class BadName(AppError):
    """A name that is none, or too long."""

    code = "bad_name"
    message = _("A name has 1 to 200 letters.")


class PhoneChangedTooOften(AppError):
    """More phones than anybody has."""

    code = "limit_reached"
    status = 429
    message = _(
        "You have changed your phone five times within a day. Try again tomorrow, or ask an admin to change it."
    )


def change_member(*, by: Membership, member_id: UUID, **changes: Any) -> Membership:
    """Change a member's `role`, `is_active`, `phone_number` or `caller_id`; what is left out stays.

    Who is made inactive is out at once: their sessions here and their tokens end and never come back, and their calls
    are not touched. Of two admins who take the role from each other, the second is refused: each change waits for
    the rows of all admins. Raises: NotAllowed, NotFound, LastAdmin, BadMember, InvalidNumber.
    """
    access.require_admin(by)
    with tenancy.inside(by.organization_id):
        admins = _locked_admins(by.organization_id)
        if by.pk not in admins:  # taken away while this waited
            raise NotAllowed
        return _change(access.get_member(by, member_id, for_update=True), by, admins, changes)


def change_member_as_operator(*, member: Membership, **changes: Any) -> Membership:
    """The same for the operator, who is nobody's member. Raises: LastAdmin, BadMember, InvalidNumber."""
    with tenancy.inside(member.organization_id):
        admins = _locked_admins(member.organization_id)
        return _change(access.get_member(member, member.pk, for_update=True), None, admins, changes)


def _locked_admins(organization_id: UUID) -> list[UUID]:
    rows = access.admins_of(organization_id).select_for_update(of=("self",), no_key=True)
    return [admin.pk for admin in rows]


def _change(member: Membership, by: Membership | None, admins: list[UUID], changes: dict[str, Any]) -> Membership:
    before = {name: getattr(member, name) for name in changes}
    _apply(member, changes)
    loses_admin = member.role != Role.ADMIN or not member.is_active
    if loses_admin and admins == [member.pk]:
        raise LastAdmin
    changed = {name: getattr(member, name) for name in changes if getattr(member, name) != before[name]}
    if not changed:
        return member
    if changed.get("is_active") is False:
        member.sessions_ended_at = timezone.now()
        ApiToken.objects.filter(membership=member, revoked_at=None).update(revoked_at=member.sessions_ended_at)
    if loses_admin:  # nobody comes back, or brings others, by what they sent before
        sent = Invitation.objects.filter(invited_by=member.user_id, accepted_at=None, withdrawn_at=None)
        sent.update(withdrawn_at=timezone.now())
    member.save(update_fields=[*changed, "phone_checked_at", "sessions_ended_at"])
    was = {name: before[name] for name in changed}
    audit.note(by, audit.MEMBER_CHANGED, member=member.user.email, **changed, before=was)
    return member


def _apply(member: Membership, changes: dict[str, Any]) -> None:
    if "role" in changes:
        if changes["role"] not in Role.values:
            raise BadMember(_("There is no such role."), field="role")
        member.role = changes["role"]
    if "is_active" in changes:
        member.is_active = changes["is_active"]
    if "phone_number" in changes:
        _set_phone(member, changes["phone_number"])
    if "caller_id" in changes:
        member.caller_id = _caller_id(member, changes["caller_id"])


def _set_phone(member: Membership, typed: str) -> None:
    number = _e164(member, typed, "phone_number") if typed.strip() else ""
    if number != member.phone_number:
        member.phone_number, member.phone_checked_at = number, None


def _caller_id(member: Membership, typed: str) -> str:
    if not typed.strip():
        return ""
    number = _e164(member, typed, "caller_id")
    if number not in numbers_to_call_from(member.organization_id):
        raise BadMember(_("Your Twilio account has no such number that can call."), field="caller_id")
    return number


def _e164(member: Membership, typed: str, field: str) -> str:
    try:
        return to_e164(typed, region=member.organization.region)
    except InvalidNumber as error:
        raise InvalidNumber(field=field) from error


def numbers_to_call_from(organization_id: UUID) -> list[str]:
    """Return the numbers that the organization's calls may come from; the core knows only by name who has them."""
    numbers: QuerySet[Any] = import_string("integrations.access.numbers_of")(organization_id)
    return [one.number for one in numbers if one.has_voice]


def leave(member: Membership) -> None:
    """Leave the organization of one's own accord, as if an admin had made one inactive. Raises: LastAdmin."""
    with tenancy.inside(member.organization_id):
        admins = _locked_admins(member.organization_id)
        _change(access.get_member(member, member.pk, for_update=True), member, admins, {"is_active": False})


def change_profile(*, member: Membership, **changes: Any) -> Membership:
    """Change one's own `name` (everywhere) or `phone_number` (in this organization).

    Raises: BadName, InvalidNumber, PhoneChangedTooOften.
    """
    with tenancy.inside(member.organization_id):
        member = access.get_member(member, member.pk, for_update=True)
        if "name" in changes:
            member.user.name = _name(changes["name"])
            member.user.save(update_fields=["name"])
        if "phone_number" in changes:
            before = member.phone_number
            _set_phone(member, changes["phone_number"])
            if member.phone_number != before:
                _refuse_phone_change(member)
                member.save(update_fields=["phone_number", "phone_checked_at"])
                details = {"phone_number": member.phone_number, "before": {"phone_number": before}}
                audit.note(member, audit.MEMBER_CHANGED, member=member.user.email, **details)
    return member


def _refuse_phone_change(member: Membership) -> None:
    """Count the changes that the audit knows; the membership's row is locked, so no two count at the same time."""
    since = timezone.now() - PHONE_CHANGES_WITHIN
    mine = AuditEntry.objects.filter(user_id=member.user_id, action=audit.MEMBER_CHANGED, at__gt=since)
    if mine.filter(details__has_key="phone_number", details__member=member.user.email).count() >= PHONE_CHANGES:
        raise PhoneChangedTooOften(field="phone_number", details={"limit": "phone_changes_per_day"})


def change_organization(*, by: Membership, **changes: Any) -> Organization:
    """Change the organization's `name`, `region` (its country) or `requires_mfa`; what is left out stays.

    Raises: NotAllowed, BadName, BadMember.
    """
    access.require_admin(by)
    with tenancy.inside(by.organization_id):
        organization = Organization.objects.select_for_update(no_key=True).get(pk=by.organization_id)
        before = {name: getattr(organization, name) for name in changes}
        if "name" in changes:
            organization.name = _name(changes["name"])
        if "region" in changes:
            organization.region = str(changes["region"]).strip().upper()
            if organization.region not in SUPPORTED_REGIONS:
                raise BadMember(_("No country has this code."), field="region")
        if "requires_mfa" in changes:
            organization.requires_mfa = changes["requires_mfa"]
        changed = {name: getattr(organization, name) for name in changes if getattr(organization, name) != before[name]}
        if changed:
            organization.save(update_fields=list(changed))
            was = {name: before[name] for name in changed}
            audit.note(by, audit.ORGANIZATION_CHANGED, **changed, before=was)
    return organization


def _name(typed: str) -> str:
    name = " ".join(str(typed).replace("\x00", "").split())
    if not 1 <= len(name) <= 200:
        raise BadName(field="name")
    return name
