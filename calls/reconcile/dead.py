"""Facts that cannot be applied: set aside, tried again later and later, dead in the end, and never thrown away.

Whatever is wrong with one callback must not hold up the others of its call: the rep would stay locked. So the facts
that nobody applied yet are tried one by one, and only the culprits wait.
"""

import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import QuerySet
from django.utils import timezone

from calls.models import CallLog, DueCall, JournalEntry
from crm import tenancy

logger = logging.getLogger(__name__)

# Tries before a fact is dead, and the wait after the first, which doubles: over ten minutes in all.
MOST_FAILURES = 8
FIRST_WAIT = timedelta(seconds=5)
# Not the fact's fault.
PASSING = (OperationalError, InterfaceError)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A fact that could not be applied for good, and what is wrong with it."""

    organization_id: UUID
    call_id: UUID
    digest: str
    source: str
    kind: str
    received_at: datetime
    failures: int
    last_error: str


def is_dead(entry: JournalEntry) -> bool:
    """It was tried often enough."""
    return entry.failures >= MOST_FAILURES


def is_aside(entry: JournalEntry) -> bool:
    """It failed, and its next try is not due yet or will never be."""
    return is_dead(entry) or (entry.retry_at is not None and entry.retry_at > timezone.now())


def without_culprits(
    call: CallLog, entries: Sequence[JournalEntry], save: Callable[[CallLog, Sequence[JournalEntry]], object]
) -> list[JournalEntry]:
    """Return the entries that `save` can take together; the others are set aside.

    Each fact that nobody applied yet is tried on top of those that were, and the try is undone.
    """
    good = [entry for entry in entries if entry.applied_at is not None]
    for entry in entries:
        if entry.applied_at is not None:
            continue
        try:
            with transaction.atomic():
                save(call, [*good, entry])
                transaction.set_rollback(True)
        except PASSING:
            raise
        except Exception as error:  # noqa: BLE001  whatever it is, it is kept with the fact
            _set_aside(entry, error)
        else:
            good.append(entry)
        call.refresh_from_db()
    return sorted(good, key=lambda entry: (entry.received_at, entry.digest))


def _set_aside(entry: JournalEntry, error: Exception) -> None:
    entry.failures += 1
    entry.last_error = described(error)
    entry.retry_at = None if is_dead(entry) else timezone.now() + FIRST_WAIT * 2 ** (entry.failures - 1)
    JournalEntry.objects.filter(call_id=entry.call_id, digest=entry.digest).update(
        failures=entry.failures, last_error=entry.last_error, retry_at=entry.retry_at
    )
    fate = "is dead" if is_dead(entry) else "is tried again later"
    logger.error("Call %s: %s %s %s: %s", entry.call_id, entry.source, entry.kind, fate, entry.last_error)


def described(error: Exception) -> str:
    """Say what kind of error it was and where; its own text is left out, because it may quote a payload."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    constraint = getattr(getattr(error.__cause__, "diag", None), "constraint_name", None)
    return f"{type(error).__name__}{f' ({constraint})' if constraint else ''}{place}"[:200]


def dead_letters(organization_id: UUID | None = None, call_id: UUID | None = None) -> Iterator[DeadLetter]:
    """Yield the dead facts of one organization, one call, or of all: the sweeper's list knows which calls have any."""
    marked = DueCall.objects.filter(dead__gt=0).order_by("organization_id", "call_id")
    if organization_id is not None:
        marked = marked.filter(organization_id=organization_id)
    if call_id is not None:
        marked = marked.filter(call_id=call_id)
    for due in marked.iterator():
        with tenancy.inside(due.organization_id):
            entries = list(_dead_of(due.call_id))
        for entry in entries:
            yield DeadLetter(
                organization_id=due.organization_id,
                call_id=due.call_id,
                digest=entry.digest,
                source=entry.source,
                kind=entry.kind,
                received_at=entry.received_at,
                failures=entry.failures,
                last_error=entry.last_error,
            )


def _dead_of(call_id: UUID) -> QuerySet[JournalEntry]:
    return JournalEntry.objects.filter(call_id=call_id, failures__gte=MOST_FAILURES).order_by("received_at", "digest")


def revive(organization_id: UUID, call_id: UUID, digest: str | None = None) -> int:
    """Give a call's dead facts, or the one with this digest, all their tries again; return how many there were.

    A worker applies them as if they had just come: the caller wakes one.
    """
    with tenancy.inside(organization_id):
        DueCall.objects.select_for_update().filter(pk=call_id, organization_id=organization_id).first()
        dead = _dead_of(call_id)
        if digest is not None:
            dead = dead.filter(digest=digest)
        count: int = JournalEntry.objects.filter(
            call_id=call_id, digest__in=list(dead.values_list("digest", flat=True))
        ).update(failures=0, last_error="", retry_at=None)
        if count:
            DueCall.objects.filter(pk=call_id).update(unapplied_since=timezone.now(), failures=0, last_error="")
    return count
