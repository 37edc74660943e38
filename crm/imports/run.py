"""What workers do with imports: some rows of one organization after another's, each in a transaction of its own.

The list of due imports in the database is the queue, and a message of the broker only says that there is something in
it: whoever dies, what was written down is kept together with how far it came, and the next wake-up goes on from there.
"""

import logging
import time
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, F, OuterRef
from django.utils import timezone

from crm import tenancy, wake
from crm.imports.access import owners, parts
from crm.imports.begin import IMPORT, end, reader_of
from crm.imports.merge import merge
from crm.imports.rows import Person
from crm.models import ContactImport, DueImport, ImportStatus, Membership, Organization

logger = logging.getLogger(__name__)

TURN = 1.0  # seconds of a worker; what is left is handed to whoever is free next, so that nothing waits long behind it
MOST_FAILURES = 6
COUNTED_AFTER = (0, 3, 15, 63)  # parts; after the last in any case
ASIDE = timedelta(hours=1)


def import_due() -> int:
    """Look at the imports that are due, a part of each organization's in turn; return how many parts were done."""
    count, until = 0, time.monotonic() + TURN
    while waiting := _waiting():
        before = count
        for organization_id, import_id in waiting:
            count += _attempt(organization_id, import_id)
            if time.monotonic() > until:
                wake.after_commit(IMPORT)
                return count
        if count == before:  # other workers have what is left
            break
    return count


def _waiting() -> list[tuple[UUID, UUID]]:
    """The oldest due import of each open organization; who waits longest comes first."""
    due = DueImport.objects.filter(due_at__lte=timezone.now())
    older = due.filter(organization_id=OuterRef("organization_id"), pk__lt=OuterRef("pk"))
    is_open = Organization.objects.filter(pk=OuterRef("organization_id"), is_active=True)
    rows = due.filter(~Exists(older), Exists(is_open)).order_by("due_at")
    return list(rows.values_list("organization_id", "pk")[:100])


def _attempt(organization_id: UUID, import_id: UUID) -> bool:
    """Do one part; should it fail, the import is due again later, and no other is held up by it.

    Catches every exception, because whatever is wrong is wrong with this import: it is logged, and noted.
    """
    try:
        return _step(organization_id, import_id)
    except Exception as error:
        logger.exception("Import %s could not go on", import_id)
        _note_failure(organization_id, import_id, error)
        return False


def _step(organization_id: UUID, import_id: UUID) -> bool:
    """Do one part of an import that runs, or forget what is kept no longer; False if another worker is at it.

    One worker at a time in an organization: two imports of the same number would not see each other's contact.
    """
    with tenancy.inside(organization_id):
        with connection.cursor() as cursor:
            lock = "SELECT pg_try_advisory_xact_lock(hashtext('imports'), hashtext(%s))"
            cursor.execute(lock, [str(organization_id)])
            if not cursor.fetchone()[0]:
                return False
        due = DueImport.objects.filter(pk=import_id, due_at__lte=timezone.now()).select_for_update().first()
        importing = ContactImport.objects.filter(pk=import_id).first() if due else None
        if due is None:
            return False
        if importing is None:
            due.delete()
        elif importing.status == ImportStatus.RUNNING:
            _import_part(importing)
            DueImport.objects.filter(pk=import_id, failures__gt=0).update(failures=0, last_error="")
        else:
            _forget(importing, due)
    return True


def _import_part(importing: ContactImport) -> None:
    part = parts(importing).filter(done_at=None).first()
    # Who has left the organization since has started it all the same.
    member = Membership.objects.select_related("user", "organization").filter(user=importing.started_by_id).first()
    if part is None:
        end(importing, ImportStatus.DONE, by=member)
        return
    by_email, may_own = owners(importing.organization_id)
    reader, cells_of = reader_of(importing, by_email), dict[int, list[str]]()
    people, refused = [], {}
    for row, cells in part.rows:
        cells_of[row] = cells
        read = reader.read(row, cells)
        if isinstance(read, Person):
            people.append(read)
        else:
            refused[row] = read
    outcome = merge(importing, people, owners=may_own)
    refused |= outcome.refused
    part.rows, part.done_at = [], timezone.now()
    part.refused = [[row, cells_of[row], refused[row]] for row in sorted(refused)]
    part.save(update_fields=["rows", "refused", "done_at"])
    importing.made += outcome.made
    importing.merged += outcome.merged
    importing.unchanged += outcome.unchanged
    importing.refused += len(refused)
    importing.save(update_fields=["made", "merged", "unchanged", "refused"])
    if importing.processed >= importing.total:
        end(importing, ImportStatus.DONE, by=member)
        transaction.on_commit(_count_rows)
    else:
        if part.position in COUNTED_AFTER:
            transaction.on_commit(_count_rows)
        DueImport.objects.filter(pk=importing.pk).update(due_at=timezone.now())


def _count_rows() -> None:
    """Have PostgreSQL count what is in the tables, as it does by itself a minute later.

    While it takes an organization with 100,000 contacts for a new one with none, it plans each search of theirs, and
    each check of a reference, as a walk through all of them. Without the right to (before 17), this does nothing.
    """
    with connection.cursor() as cursor:
        for table in tenancy.FILLED_AT_ONCE:
            cursor.execute(f"ANALYZE {table}")


def _forget(importing: ContactImport, due: DueImport) -> None:
    """Delete what nobody has started, and the rows that were refused a month ago."""
    due.delete()
    if importing.status == ImportStatus.UPLOADED:
        importing.delete()
        return
    parts(importing).delete()
    importing.forgotten_at = timezone.now()
    importing.save(update_fields=["forgotten_at"])


def _note_failure(organization_id: UUID, import_id: UUID, error: Exception) -> None:
    """Make it due again, later with each failure; after some, it stops until somebody tries again."""
    with tenancy.inside(organization_id):
        due = DueImport.objects.filter(pk=import_id).select_for_update().first()
        if due is None:
            return
        wait = timedelta(seconds=min(5 * 2**due.failures, 600))
        said = f"{type(error).__name__}: {error}"[:500].replace("\x00", "")
        DueImport.objects.filter(pk=import_id).update(
            failures=F("failures") + 1, last_error=said, due_at=timezone.now() + wait
        )
        importing = ContactImport.objects.filter(pk=import_id, status=ImportStatus.RUNNING).first()
        if importing is not None and due.failures + 1 >= MOST_FAILURES:
            end(importing, ImportStatus.FAILED, by=None)
