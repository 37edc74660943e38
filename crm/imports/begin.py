"""Take a file in, say what would become of it, and start or end what becomes of it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import chain, islice
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import audit, tenancy, wake
from crm.access import require_manager
from crm.errors import AppError
from crm.imports.access import get_import, owners, parts
from crm.imports.headings import REPEATED, Column, guessed, heading_row, recognized
from crm.imports.merge import known
from crm.imports.rows import Person, Reader, Reason
from crm.models import ContactImport, DueImport, ImportPart, ImportStatus, Membership
from crm.tables import HEADED_WITHIN, NotATable, plain, rows_of, text_of

IMPORT = "crm.import_contacts"  # the task
MOST_BYTES = 32 * 1024 * 1024
MOST_ROWS = 200_000
MOST_COLUMNS = 200
MOST_HEADING = 100  # letters
PART_ROWS = 500
GUESSED_FROM = 50  # rows
# What nobody starts is deleted after a day; the refused rows of what was imported are people's data, and go too.
ABANDONED_AFTER = timedelta(days=1)
FORGOTTEN_AFTER = timedelta(days=30)


class FileTooLarge(AppError):
    """More than a table of contacts is."""

    code = "file_too_large"
    status = 413
    message = _("This file is larger than 32 MB. Split it and import the parts.")


class TooManyRows(AppError):
    """The same, in rows."""

    code = "too_many_rows"
    status = 413
    message = _("This file has more than 200,000 rows. Split it and import the parts.")


class NothingInIt(AppError):
    """Headings, and nothing below them."""

    code = "no_rows"
    message = _("This file has no rows with contacts.")


class NothingToFind(AppError):
    """Contacts without a number and an e-mail are found by nobody, and would be made again by the next import."""

    code = "no_phone_or_email"
    message = _("Say which column has the phone numbers or the e-mails.")


class ColumnTwice(AppError):
    """A contact has one of these."""

    code = "column_twice"
    message = _("Two columns are said to be the same. Only phones and their labels can be in several.")


class WrongColumns(AppError):
    """Not what the file has."""

    code = "wrong_columns"
    message = _("Say of each column of the file what it is.")


class AlreadyStarted(AppError):
    """It runs, or it is over."""

    code = "import_started"
    status = 409
    message = _("This import was started already.")


def upload(*, member: Membership, file_name: str, content: bytes) -> ContactImport:
    """Keep a file in parts and recognise its columns; nothing is imported before `start`. For managers and admins.

    The worker may be another machine: all of it goes into the database. Raises: FileTooLarge, NotATable, TooManyRows.
    """
    require_manager(member)
    if len(content) > MOST_BYTES:
        raise FileTooLarge(field="file")
    rows = enumerate(_checked(text_of(content)), 1)
    first = list(islice(rows, max(GUESSED_FROM, HEADED_WITHIN)))
    width = max((len(cells) for _row, cells in first), default=0)
    headed = heading_row([cells for _row, cells in first])
    region = member.organization.region
    if headed is None:
        columns = guessed([cells for _row, cells in first if any(cells)], region=region)
        headings, body = [""] * width, first
    else:
        headings = [cell[:MOST_HEADING] for cell in first[headed][1]]
        headings += [""] * (width - len(headings))
        columns, body = recognized(headings), first[headed + 1 :]
    with tenancy.inside(member.organization_id):
        importing = ContactImport(
            organization_id=member.organization_id,
            started_by=member.user,
            file_name=audit.storable(file_name),
            headings=headings,
            columns=columns,
            region=region,
            total=0,
        )
        importing.save()
        importing.total = _keep(importing, chain(body, rows))
        if not importing.total:
            raise NothingInIt(field="file")
        importing.save(update_fields=["total"])
        due_at = timezone.now() + ABANDONED_AFTER
        DueImport.objects.create(import_id=importing.pk, organization_id=member.organization_id, due_at=due_at)
    return importing


def _checked(text: str) -> Iterator[list[str]]:
    """Rows with stripped cells. Raises: NotATable for too many columns, and where an open quote swallows rows."""
    last: list[str] = []
    for last in rows_of(text):
        if len(last) > MOST_COLUMNS:
            raise NotATable(_("This file has more than 200 columns. Leave out those that nobody needs."), field="file")
        yield [cell.strip() for cell in last]
    if last and "\n" in last[-1].strip() and not text.rstrip().endswith('"'):
        raise NotATable(_("A quotation mark in this file is never closed. Correct it and try again."), field="file")


def _keep(importing: ContactImport, rows: Iterator[tuple[int, list[str]]]) -> int:
    """Write the rows down that are not empty, in parts; return how many. Raises: TooManyRows."""
    filled, total, position = ([row, cells] for row, cells in rows if any(cells)), 0, 0
    while some := list(islice(filled, PART_ROWS)):
        total += len(some)
        if total > MOST_ROWS:
            raise TooManyRows(field="file")
        ImportPart.objects.create(contact_import=importing, position=position, rows=some)
        position += 1
    return total


def configure(
    *, member: Membership, import_id: UUID, columns: Sequence[str], region: str | None = None, rule: str | None = None
) -> ContactImport:
    """Say what the columns are, before the start. Raises: AlreadyStarted, WrongColumns, ColumnTwice."""
    with tenancy.inside(member.organization_id):
        importing = _to_start(member, import_id)
        if len(columns) != len(importing.headings) or not set(columns) <= set(Column.values):
            raise WrongColumns(field="columns")
        single = [column for column in columns if column not in REPEATED]
        if len(single) != len(set(single)):
            raise ColumnTwice(field="columns")
        importing.columns = list(columns)
        importing.region, importing.rule = region or importing.region, rule or importing.rule
        importing.save(update_fields=["columns", "region", "rule"])
    return importing


def start(*, member: Membership, import_id: UUID) -> ContactImport:
    """Have the workers import it. Raises: AlreadyStarted, NothingToFind."""
    with tenancy.inside(member.organization_id):
        importing = _to_start(member, import_id)
        if not {Column.PHONE, Column.EMAIL} & set(importing.columns):
            raise NothingToFind(field="columns")
        now = timezone.now()
        importing.status, importing.started_at = ImportStatus.RUNNING, now
        importing.started_by_id = member.user_id
        importing.save(update_fields=["status", "started_at", "started_by"])
        DueImport.objects.filter(pk=import_id).update(due_at=now, failures=0, last_error="")
        wake.after_commit(IMPORT)
    return importing


def _to_start(member: Membership, import_id: UUID) -> ContactImport:
    importing = _locked(member, import_id)
    if importing.status != ImportStatus.UPLOADED:
        raise AlreadyStarted
    return importing


def _locked(member: Membership, import_id: UUID) -> ContactImport:
    """Return the import, in nobody else's hands: first its note, as the workers lock it. Raises: NotFound."""
    importing = get_import(member, import_id)
    require_manager(member)
    DueImport.objects.select_for_update().filter(pk=import_id).first()
    importing.refresh_from_db()
    return importing


def cancel(*, member: Membership, import_id: UUID) -> bool:
    """End an import: what was imported stays. One that has not started is deleted; return whether it is still there."""
    with tenancy.inside(member.organization_id):
        importing = _locked(member, import_id)
        if importing.status == ImportStatus.UPLOADED:
            importing.delete()
            DueImport.objects.filter(pk=import_id).delete()
            return False
        if importing.status in (ImportStatus.RUNNING, ImportStatus.FAILED):
            end(importing, ImportStatus.CANCELED, by=member)
    return True


def end(importing: ContactImport, status: ImportStatus, *, by: Membership | None) -> None:
    """Write down that an import is over; what it did not read is deleted, unless it may be tried again."""
    now = timezone.now()
    importing.status, importing.finished_at = status, now
    importing.save(update_fields=["status", "finished_at"])
    if status != ImportStatus.FAILED:
        ImportPart.objects.filter(contact_import=importing, done_at=None).delete()
    DueImport.objects.filter(pk=importing.pk).update(due_at=now + FORGOTTEN_AFTER)
    said = {name: getattr(importing, name) for name in ("made", "merged", "unchanged", "refused")}
    audit.note(by, audit.CONTACTS_IMPORTED, file=importing.file_name, status=str(status), **said)


def go_on(*, member: Membership, import_id: UUID) -> ContactImport:
    """Try again where an error has stopped an import. Raises: AlreadyStarted."""
    with tenancy.inside(member.organization_id):
        importing = _locked(member, import_id)
        if importing.status != ImportStatus.FAILED or importing.forgotten_at:
            raise AlreadyStarted
        importing.status, importing.finished_at = ImportStatus.RUNNING, None
        importing.save(update_fields=["status", "finished_at"])
        DueImport.objects.filter(pk=import_id).update(due_at=timezone.now(), failures=0, last_error="")
        wake.after_commit(IMPORT)
    return importing


@dataclass(slots=True)
class Sample:
    """What would become of the first rows."""

    rows: int = 0
    numbers: int = 0
    new: int = 0
    known: int = 0
    people: list[Person] = field(default_factory=list)
    refused: list[tuple[int, list[Reason]]] = field(default_factory=list)
    examples: list[list[str]] = field(default_factory=list)


def sample(importing: ContactImport) -> Sample:
    """Read the first rows as the import would, inside of the organization."""
    part = parts(importing).first()
    told = Sample(examples=[[] for _heading in importing.headings])
    if part is None:
        return told
    reader = reader_of(importing, owners(importing.organization_id)[0])
    for row, cells in part.rows:
        told.rows += 1
        read = reader.read(row, cells)
        if isinstance(read, Person):
            told.people.append(read)
            told.numbers += len(read.numbers)
        else:
            told.refused.append((row, read))
        for place, cell in enumerate(cells[: len(told.examples)]):
            if cell and len(told.examples[place]) < 3 and plain(cell)[:60] not in told.examples[place]:
                told.examples[place].append(plain(cell)[:60])
    by_number, by_email = known(told.people)
    seen_numbers, seen_emails = set(by_number), set(by_email)
    for person in told.people:
        is_known = bool(seen_numbers & person.numbers.keys()) or person.email in seen_emails
        told.known, told.new = told.known + is_known, told.new + (not is_known)
        seen_numbers |= person.numbers.keys()
        seen_emails |= {person.email} - {""}
    return told


def reader_of(importing: ContactImport, owners: Mapping[str, UUID]) -> Reader:
    """Return what reads this import's rows."""
    return Reader(importing.headings, importing.columns, region=importing.region, owners=owners)
