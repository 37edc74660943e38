"""Delete an organization completely: its rows, its recordings, and the people who were nowhere else."""

from collections.abc import Iterator
from graphlib import TopologicalSorter
from uuid import UUID

from django.core.files.storage import storages
from django.db import connection, models

from calls.models import DueCall, Recording
from crm import tenancy
from crm.accounts import forget_account
from crm.errors import AppError
from crm.models import DueImport, Membership, Organization, User
from crm.tenancy import MemberKey, TenantRow, tenant_models


class StillOpen(AppError):
    """Somebody may be working in it."""

    code = "organization_is_open"
    status = 409
    message = "Close the organization first: manage.py close_organization."


def erase(organization: Organization) -> Iterator[tuple[str, int]]:
    """Delete everything of a closed organization; yield what was deleted and how many, as it happens.

    Each table is a transaction of its own, so it may be stopped and run again. Its recordings at Twilio are its own
    account's and stay there. Raises: StillOpen.
    """
    if Organization.objects.filter(pk=organization.pk, is_active=True).exists():
        raise StillOpen
    yield "recordings' files", _erase_media(organization.pk)
    for due in (DueCall, DueImport):
        yield due.__name__, due.objects.filter(organization_id=organization.pk).delete()[0]
    for model in _dependants_first():
        if model is Membership:
            yield from _erase_people(organization.pk)
            continue
        with tenancy.inside(organization.pk):
            count = _erase_rows(model, organization_id=organization.pk)
        yield model.__name__, count
    yield "files that no row named", _erase_folder(str(organization.pk))
    yield "Organization", _erase_rows(Organization, id=organization.pk)


def _erase_rows(model: type[models.Model], **where: UUID) -> int:
    """Delete without Django's look at what refers to the rows: nothing does any more, and the database would say so."""
    [(column, value)] = where.items()
    with connection.cursor() as cursor:
        cursor.execute(f'DELETE FROM "{model._meta.db_table}" WHERE "{column}" = %s', [value])  # noqa: S608 - names of ours
        return cursor.rowcount


def _dependants_first() -> list[type[TenantRow]]:
    """Every tenant's tables, so that nothing refers to what is deleted."""
    ours = tenant_models()
    graph: dict[type[TenantRow], set[type[TenantRow]]] = {model: set() for model in ours}
    for model in ours:
        for key in model._meta.local_fields:
            target = Membership if isinstance(key, MemberKey) else key.related_model
            if isinstance(key, models.ForeignKey) and target in graph and target is not model:
                graph[target].add(model)  # comes after what refers to it
    return list(TopologicalSorter(graph).static_order())


def _erase_media(organization_id: UUID) -> int:
    storage, count = storages["recordings"], 0
    with tenancy.inside(organization_id):
        named = list(Recording.objects.values_list("media_name", "media_parts"))
    for name, parts in named:
        for one in (name, *(part[0] for part in parts)):
            if one:
                storage.delete(one)
                count += 1
    return count


def _erase_folder(folder: str) -> int:
    """Delete what a worker that died, or is still at it, has left in the organization's folder."""
    storage, count = storages["recordings"], 0
    try:
        folders, names = storage.listdir(folder)
    except FileNotFoundError:
        return 0
    for name in names:
        storage.delete(f"{folder}/{name}")
        count += 1
    return count + sum(_erase_folder(f"{folder}/{name}") for name in folders)


def _erase_people(organization_id: UUID) -> list[tuple[str, int]]:
    """Delete the memberships, and with them, in one transaction, the users who are members nowhere else.

    Who is, or was, an operator stays.
    """
    with tenancy.inside(organization_id):
        users = list(Membership.objects.values_list("user_id", flat=True))
    only_here = []
    for user in User.objects.filter(pk__in=users, is_staff=False, logentry=None):
        with tenancy.signing_in(user.pk):
            if not Membership.objects.exclude(organization_id=organization_id).exists():
                only_here.append(user.pk)
    with tenancy.inside(organization_id):
        members = _erase_rows(Membership, organization_id=organization_id)
        for user_id in only_here:
            for link in (User.groups.through, User.user_permissions.through):
                _erase_rows(link, user_id=user_id)
            forget_account(user_id)
            _erase_rows(User, id=user_id)
    return [("Membership", members), ("User", len(only_here))]
