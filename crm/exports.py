"""Contacts as a CSV file that the import recognises again, and the rows that an import has refused."""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import Count, Max, QuerySet
from django.http import StreamingHttpResponse
from django.utils.translation import gettext as _

from crm import audit, tenancy
from crm.access import require_manager
from crm.imports.access import get_import, parts
from crm.imports.rows import sentence
from crm.models import Contact, ContactImport, ContactNumber, Membership
from crm.tables import BYTE_ORDER_MARK, line_of

CHUNK = 1000
FIELDS = ("name", "company", "email", "owner__email", "time_zone", "do_not_call_since")


def export_contacts(member: Membership, rows: QuerySet[Contact], *, filters: dict[str, str]) -> StreamingHttpResponse:
    """Send contacts in the order in which they were made; written down in the audit, with the filters they are left by.

    For managers and admins: a whole address book leaves the house with it. Raises: NotAllowed.
    """
    require_manager(member)
    with tenancy.inside(member.organization_id):
        rows = rows.prefetch_related(None).order_by("pk")
        counts = ContactNumber.objects.order_by().values("contact").annotate(count=Count("pk"))
        most = counts.aggregate(most=Max("count"))["most"] or 1
        said = {name: audit.storable(value) for name, value in filters.items() if value}
        audit.note(member, audit.CONTACTS_EXPORTED, **said)
    headings = [_("Name"), _("Company"), _("E-mail")]
    for place in range(1, most + 1):
        headings += [_("Phone %(place)s") % {"place": place}, _("Label %(place)s") % {"place": place}]
    headings += [_("Owner"), _("Time zone"), _("Do not call since")]
    return _file("contacts.csv", _contact_lines(member, rows, headings, most))


def _contact_lines(member: Membership, rows: QuerySet[Contact], headings: list[str], most: int) -> Iterator[str]:
    """The file, some rows at a time: each look is a short transaction, and none is open while the client reads."""
    yield BYTE_ORDER_MARK + line_of(headings)
    last: UUID | None = None
    values = rows.values_list("pk", *FIELDS)
    while True:
        numbers: dict[UUID, list[str]] = defaultdict(list)
        with tenancy.inside(member.organization_id):
            found = list(values.filter(pk__gt=last)[:CHUNK] if last else values[:CHUNK])
            theirs = ContactNumber.objects.filter(contact__in=[row[0] for row in found])
            for contact_id, *number in theirs.values_list("contact_id", "number", "label"):
                numbers[contact_id] += number
        yield "".join(line_of(_cells(row, numbers[row[0]], most)) for row in found)
        if len(found) < CHUNK:
            return
        last = found[-1][0]


def _cells(row: tuple[Any, ...], numbers: list[str], most: int) -> list[str]:
    _pk, name, company, email, owner, zone, since = row
    numbers = [*numbers, *[""] * (2 * most)][: 2 * most]
    return [name, company, email, *numbers, owner, zone, since.date().isoformat() if since else ""]


def export_refused(member: Membership, import_id: UUID) -> StreamingHttpResponse:
    """Send the rows that an import has refused, as they were, each with its number and why; written down in the audit.

    Raises: NotFound, NotAllowed.
    """
    with tenancy.inside(member.organization_id):
        importing = get_import(member, import_id)
        require_manager(member)
        said = {"refused_rows_of": importing.file_name, "import": str(importing.pk), "count": importing.refused}
        audit.note(member, audit.CONTACTS_EXPORTED, **said)
    headings = [one or _("Column %(place)s") % {"place": place} for place, one in enumerate(importing.headings, 1)]
    return _file("refused.csv", _refused_lines(importing, headings, [_("Row"), _("Why it was refused")]))


def _refused_lines(importing: ContactImport, headings: list[str], first: list[str]) -> Iterator[str]:
    yield BYTE_ORDER_MARK + line_of([*first, *headings])
    last = -1
    while True:
        with tenancy.inside(importing.organization_id):
            part = parts(importing).filter(position__gt=last).exclude(refused=[]).first()
        if part is None:
            return
        yield "".join(line_of([row, why_of(reasons, headings), *cells]) for row, cells, reasons in part.refused)
        last = part.position


def why_of(reasons: Any, headings: list[str]) -> str:
    """Say all that is wrong with a row: which column, and what."""
    return " ".join(
        sentence(code) if place is None else f"{headings[place]}: {sentence(code)}" for place, code in reasons
    )


def _file(name: str, lines: Iterator[str]) -> StreamingHttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return StreamingHttpResponse(lines, content_type="text/csv; charset=utf-8", headers=headers)
