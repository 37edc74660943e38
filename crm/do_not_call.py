"""The organization's do-not-call list: one number, or a file of them."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field

from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy
from crm.errors import AppError, InvalidNumber
from crm.models import DoNotCall, Membership
from crm.numbers import to_e164

MOST_BYTES = 2 * 1024 * 1024
MOST_NUMBERS = 100_000  # ten seconds of a server's work
MOST_SHOWN = 100
BATCH = 5_000
# Of a heading, its words; "Phone Number" and "telefone_celular" are two each.
PHONES = frozenset(
    {
        *("phone", "phones", "telephone", "tel", "mobile", "cell", "cellphone", "fone"),
        *("telefone", "telefones", "celular", "móvel", "whatsapp"),
    }
)
NUMBERS = frozenset({"number", "numbers", "numero", "número", "números"})
# What may stand beside a phone, and it is still one; "customer number" and "number of employees" may be anything.
WHOSE = frozenset(
    {
        *("home", "work", "business", "office", "main", "primary", "other", "contact", "customer", "value", "e164"),
        *("de", "do", "residencial", "comercial", "fixo", "principal", "outro", "contato", "cliente"),
    }
)
HEADED_WITHIN = 5  # rows: a title may come before
DELIMITERS = ",;\t"


class FileTooLarge(AppError):
    """More than one request should do."""

    code = "file_too_large"
    status = 413
    message = _("This file is larger than 2 MB. Split it and import the parts.")


class NotATable(AppError):
    """No text, or nothing in it."""

    code = "not_a_csv"
    message = _("This is not a CSV file with numbers. Save your sheet as CSV and try again.")


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
    cells = list(_cells(_text(content)))
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


def _text(content: bytes) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    first = _first_line(text)
    if first.lower().startswith("sep="):  # Excel's own
        text = text[len(first) :]
    if "\x00" in text or not text.strip():  # a spreadsheet's own format, an image, nothing
        raise NotATable(field="file")
    return text


def _first_line(text: str) -> str:
    """As the reader of tables has it: an old Mac's lines end with a carriage return alone."""
    return io.StringIO(text, newline="").readline()


def _cells(text: str) -> Iterator[tuple[int, str]]:
    """Each row's numbers as they were typed, with the row's number in the file; empty ones are left out.

    Raises: NotATable also where several columns have no heading that says which of them is meant, and where a quote
    that is never closed has swallowed lines.
    """
    delimiter = max(DELIMITERS, key=_first_line(text).count)
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise NotATable(field="file") from error
    if any("\n" in cell.strip() or "\r" in cell.strip() for cells in rows for cell in cells):
        raise NotATable(_("A quotation mark in this file is never closed. Correct it and try again."), field="file")
    begins, columns = _heading(rows)
    for row, cells in enumerate(rows[begins:], begins + 1):
        for column in columns:
            if column < len(cells) and (cell := _plain(cells[column])):
                yield row, cell


def _heading(rows: list[list[str]]) -> tuple[int, list[int]]:
    """Where the numbers begin, and in which columns. Raises: NotATable."""
    for is_heading in (_says_number, _names_number):
        for row, cells in enumerate(rows[:HEADED_WITHIN]):
            named = [place for place, cell in enumerate(cells) if is_heading(_words(cell))]
            if len(named) == 1 or (named and is_heading is _says_number):
                return row + 1, named
    if max(map(len, rows), default=0) > 1:
        raise NotATable(
            _("This file has several columns. Write “number” above the one with the numbers."), field="file"
        )
    return 0, [0]


def _words(cell: str) -> set[str]:
    """A heading's words without case, signs and numerals: of "Phone 2 (work)", phone and work."""
    spaced = "".join(letter if letter.isalnum() else " " for letter in cell.lower())
    return {word.rstrip("0123456789") or word for word in spaced.split() if not word.isdecimal()}


def _says_number(words: set[str]) -> bool:
    """Whether a heading says that there are telephone numbers below, and nothing else."""
    return bool(words) and (words <= NUMBERS or (bool(words & PHONES) and words <= PHONES | NUMBERS | WHOSE))


def _names_number(words: set[str]) -> bool:
    """Whether numbers are among what a heading says: it counts where no other says more."""
    return bool(words & (PHONES | NUMBERS))


def _plain(cell: str) -> str:
    """A cell without the formula by which sheets keep a number a text: ="+5511…"."""
    cell = cell.strip()
    return cell[2:-1].strip() if cell.startswith('="') and cell.endswith('"') else cell.lstrip("'")
