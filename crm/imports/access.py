"""Imports for a member: whoever may see one, and their rows."""

from uuid import UUID

from django.db.models import QuerySet

from crm.errors import NotFound
from crm.models import ContactImport, ImportPart, Membership


def imports(member: Membership) -> QuerySet[ContactImport]:
    """Return the organization's imports, newest first."""
    return ContactImport.objects.filter(organization=member.organization).select_related("started_by").order_by("-id")


def get_import(member: Membership, import_id: UUID) -> ContactImport:
    """Return one of them. Raises: NotFound."""
    found = imports(member).filter(pk=import_id).first()
    if found is None:
        raise NotFound
    return found


def parts(importing: ContactImport) -> QuerySet[ImportPart]:
    """Return an import's parts, in the order of the file."""
    return ImportPart.objects.filter(contact_import=importing).order_by("position")


def owners(organization_id: UUID) -> tuple[dict[str, UUID], set[UUID]]:
    """Return the users who are or were members, by their e-mails; and those to whom a contact may be given."""
    rows = Membership.objects.filter(organization=organization_id).select_related("user")
    by_email = {one.user.email: one.user_id for one in rows}
    return by_email, {one.user_id for one in rows if one.is_active and one.user.is_active}
