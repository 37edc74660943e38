"""The organization's do-not-call list: one number, or a file of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy
from crm.errors import AppError, InvalidNumber
from crm.models import DoNotCall, Membership
from crm.numbers import to_e164
from crm.tables import HEADED_WITHIN, NotATable, names_number, plain, rows_of, says_number, text_of, words_of

MOST_BYTES = 2 * 1024 * 1024
MOST_NUMBERS = 100_000  # ten seconds of a server's work
MOST_SHOWN = 100
BATCH = 5_000


class FileTooLarge(AppError):
    """More than one request should do."""

    code = "file_too_large"
    status = 413
    message = _("This file is larger than 2 MB. Split it and import the parts.")


@dataclass(slots=True)
class Imported:
    """What became of a file: how many rows were added, were there before, and the first that are no numbers."""

    added: int = 0
    already: int = 0
    invalid: int = 0
    first_invalid: list[dict[str, object]] = field(default_factory=list)


def add_number(*, member: Membership, number: str, reason: str = "") -> tuple[DoNotCall, bool]:
    """List a number, as people write it in the organization's country; whether it is new. Raises: InvalidNumber."""
    try:
        listed = to_e164(number, region=member.organization.region)
    except InvalidNumber as error:
        raise InvalidNumber(field="number") from error
    with tenancy.inside(member.organization_id):
        row, is_new = DoNotCall.objects.get_or_create(
            number=listed, defaults={"reason": reason, "added_by": member.user}
        )
        if is_new:
            audit.note(member, audit.NUMBER_LISTED, number=listed)
    return row, is_new


def take_off(*, member: Membership, row: DoNotCall) -> None:
    """Take a number off the list, inside the organization."""
    row.delete()
    audit.note(member, audit.NUMBER_TAKEN_OFF, number=row.number)


def import_numbers(*, member: Membership, content: bytes, reason: str = "") -> Imported:
    """List every number of a CSV file: of the columns that are headed as such, or else of the only one.

    UTF-8, or what Excel saves in the west (Windows-1252); comma, semicolon or tab. A row that is no number is told of
    and left out; the others count. All are added in one transaction. Raises: FileTooLarge, NotATable.
    """
    if len(content) > MOST_BYTES:
        raise FileTooLarge(field="file")
    cells = list(_cells(text_of(content)))
    if len(cells) > MOST_NUMBERS:
        raise FileTooLarge(
            _("This file has more than 100,000 rows with numbers. Split it and import the parts."), field="file"
        )
    told, numbers = Imported(), dict[str, None]()
    for row, cell in cells:
        try:
            number = to_e164(cell, region=member.organization.region)
        except InvalidNumber:
            told.invalid += 1
            if len(told.first_invalid) < MOST_SHOWN:
                told.first_invalid.append({"row": row, "value": cell[:40]})
            continue
        if number in numbers:
            told.already += 1
        numbers[number] = None
    with tenancy.inside(member.organization_id):
        before = DoNotCall.objects.count()
        fresh = [
            DoNotCall(organization_id=member.organization_id, number=number, reason=reason, added_by=member.user)
            for number in numbers
        ]
        DoNotCall.objects.bulk_create(fresh, batch_size=BATCH, ignore_conflicts=True)
        told.added = DoNotCall.objects.count() - before
        audit.note(member, audit.NUMBERS_IMPORTED, added=told.added, invalid=told.invalid)
    told.already += len(numbers) - told.added
    return told


def _cells(text: str) -> Iterator[tuple[int, str]]:
    """Each row's numbers as they were typed, with the row's number in the file; empty ones are left out.

    Raises: NotATable also where several columns have no heading that says which of them is meant, and where a quote
    that is never closed has swallowed lines.
    """
    rows = list(rows_of(text))
    if any("\n" in cell.strip() or "\r" in cell.strip() for cells in rows for cell in cells):
        raise NotATable(_("A quotation mark in this file is never closed. Correct it and try again."), field="file")
    begins, columns = _heading(rows)
    for row, cells in enumerate(rows[begins:], begins + 1):
        for column in columns:
            if column < len(cells) and (cell := plain(cells[column])):
                yield row, cell


def _heading(rows: list[list[str]]) -> tuple[int, list[int]]:
    """Where the numbers begin, and in which columns. Raises: NotATable."""
    for is_heading in (says_number, names_number):
        for row, cells in enumerate(rows[:HEADED_WITHIN]):
            named = [place for place, cell in enumerate(cells) if is_heading(words_of(cell))]
            if len(named) == 1 or (named and is_heading is says_number):
                return row + 1, named
    if max(map(len, rows), default=0) > 1:
        raise NotATable(
            _("This file has several columns. Write “number” above the one with the numbers."), field="file"
        )
    return 0, [0]
