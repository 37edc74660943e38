"""What the operator does with whole organizations: make one, close it, open it again."""

import secrets
from dataclasses import dataclass, field

from django.core.exceptions import ValidationError
from django.core.validators import validate_email, validate_slug
from django.db import transaction
from phonenumbers import SUPPORTED_REGIONS

from crm import audit, tenancy
from crm.accounts import vouch_for_email
from crm.errors import AppError, InvalidNumber
from crm.models import Membership, Organization, Role, User, lowered
from crm.numbers import to_e164


class BadOrganization(AppError):
    """Something that no organization can have."""

    code = "bad_organization"


@dataclass(frozen=True, slots=True)
class Created:
    """A new organization with its first admin; `password` is empty when that user was there before."""

    organization: Organization
    admin: Membership
    password: str = field(repr=False)


def create_organization(*, name: str, slug: str, region: str, email: str, phone: str = "") -> Created:
    """Make an organization and its first admin, who may be a user already. All or nothing.

    Raises: BadOrganization for a name, short name, country or address that cannot be, or a short name that is taken.
    """
    region, email = region.upper(), lowered(email)
    try:
        validate_slug(slug)
        validate_email(email)
    except ValidationError as error:
        raise BadOrganization(" ".join(error.messages)) from error
    if len(email) > 254:
        raise BadOrganization("An e-mail address has 254 characters at most.")
    if not name.strip() or len(name) > 200 or len(slug) > 50 or region not in SUPPORTED_REGIONS:
        raise BadOrganization("An organization has a name, a short name of up to 50 letters and a country such as BR.")
    try:
        number = to_e164(phone, region=region) if phone else ""
    except InvalidNumber as error:
        raise BadOrganization(f"{phone} is not a telephone number of {region}.") from error
    if Organization.objects.filter(slug=slug).exists():
        raise BadOrganization(f"There is an organization called {slug} already.")
    password = ""
    with transaction.atomic():
        organization = Organization.objects.create(name=name.strip(), slug=slug, region=region)
        user = User.objects.filter(email=email).first()
        if user is None:
            password = secrets.token_urlsafe(15)
            user = User.objects.create_user(email, password)
            vouch_for_email(user)
        with tenancy.inside(organization.pk):
            admin = Membership.objects.create(user=user, role=Role.ADMIN, phone_number=number)
            audit.note(None, audit.MEMBER_ADDED, member=email, role=Role.ADMIN.value)
    return Created(organization, admin, password)


def find_organization(name: str) -> Organization:
    """Return the organization with this short name or id. Raises: BadOrganization."""
    found = Organization.objects.filter(slug=name).first()
    if found is None:
        try:
            found = Organization.objects.filter(pk=name).first()
        except ValidationError:
            found = None
    if found is None:
        raise BadOrganization(f"There is no organization called {name}.")
    return found


def set_active(organization: Organization, *, is_active: bool) -> bool:
    """Close an organization or open it again; whether that changed anything.

    Nobody of a closed one gets in, with a session or a token, so no call is made; callbacks of its calls are recorded.
    """
    with tenancy.inside(organization.pk):
        other = Organization.objects.filter(pk=organization.pk).exclude(is_active=is_active)
        changed = bool(other.update(is_active=is_active))
        if changed:
            audit.note(None, audit.ORGANIZATION_CHANGED, is_active=is_active, before={"is_active": not is_active})
    return changed
