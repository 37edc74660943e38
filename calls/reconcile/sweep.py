"""Hand out the calls that wait to whichever worker comes: the oldest of each organization in turn.

The sweeper's list in the database is the queue; a message of the broker only says that there is something in it. So it
does not matter which messages were lost or repeated, and an organization with ten thousand calls that wait delays
another's by one call at most, because each turn takes one of each.
"""

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Count, F, Min, Q, Sum
from django.db.models.functions import Least
from django.utils import timezone

from calls.models import DueCall
from calls.reconcile.apply import APPLY, LOOK, apply_callbacks
from calls.reconcile.ask import check_call
from calls.reconcile.dead import described
from crm import tenancy, wake
from integrations.services.rotate import note_callbacks

logger = logging.getLogger(__name__)

# A worker's turn; what is left is handed to whoever is free next, so that nothing else waits long behind it.
TURN = 10.0
# A call that a worker has taken to ask Twilio is due again after this long, should the worker die.
LEASE = timedelta(seconds=60)
# A fact of the call is not applied: a worker should come now, or it failed and waits aside.
UNAPPLIED = Q(unapplied_since__isnull=False) | Q(aside_since__isnull=False)

# Hops from one organization to the next along the index, however many rows each has.
ORGANIZATIONS = """
WITH RECURSIVE waiting AS (
    (SELECT organization_id FROM calls_duecall WHERE {condition} ORDER BY organization_id LIMIT 1)
    UNION ALL
    SELECT (
        SELECT organization_id FROM calls_duecall WHERE {condition} AND organization_id > waiting.organization_id
        ORDER BY organization_id LIMIT 1
    ) FROM waiting WHERE waiting.organization_id IS NOT NULL
) SELECT organization_id FROM waiting WHERE organization_id IS NOT NULL
"""


def apply_waiting() -> int:
    """Apply the facts that no worker has applied, one call of each organization per round; return how many calls.

    Asks nothing of Twilio: what has to be asked is due, and another task's.
    """
    return _in_turns(APPLY, "unapplied_since IS NOT NULL", _apply_oldest)


def look_at_due() -> int:
    """Bring the calls that are due up to date, asking Twilio and fetching media; return how many calls."""
    return _in_turns(LOOK, "due_at <= now()", _look_at_oldest)


def _in_turns(task: str, condition: str, take_one: Callable[[UUID], bool]) -> int:
    count, until = 0, time.monotonic() + TURN
    while organizations := _organizations(condition):
        before = count
        for organization_id in organizations:
            count += take_one(organization_id)
            if time.monotonic() > until:
                wake.after_commit(task)
                return count
        if count == before:  # other workers have what is left
            break
    return count


def _organizations(condition: str) -> list[UUID]:
    """The organizations for which something waits, in no order: nobody comes first each time."""
    with connection.cursor() as cursor:
        cursor.execute(ORGANIZATIONS.format(condition=condition))
        found = [row[0] for row in cursor.fetchall()]
    random.shuffle(found)
    return found


def _apply_oldest(organization_id: UUID) -> bool:
    """Apply what waits longest in this organization and in no other worker's hands; False if there is nothing."""
    waiting = DueCall.objects.filter(organization_id=organization_id, unapplied_since__isnull=False)
    with tenancy.inside(organization_id):
        due = waiting.select_for_update(skip_locked=True).order_by("unapplied_since").first()
        if due is not None:
            attempt(apply_callbacks, organization_id, due.call_id)
    if due is not None:
        note_callbacks(organization_id)
    return due is not None


def _look_at_oldest(organization_id: UUID) -> bool:
    """Take the call that is due longest, so that no other worker does, and check it; False if there is none.

    A price that can wait for hours comes after all that somebody may be waiting for.
    """
    with transaction.atomic():
        overdue = DueCall.objects.filter(organization_id=organization_id, due_at__lte=timezone.now())
        oldest = overdue.select_for_update(skip_locked=True).order_by("due_at")
        due = oldest.filter(only_price=False).first() or oldest.first()
        if due is None:
            return False
        DueCall.objects.filter(pk=due.pk).update(due_at=timezone.now() + LEASE)
    attempt(check_call, organization_id, due.call_id)
    return True


def attempt(work: Callable[[UUID, UUID], object], organization_id: UUID, call_id: UUID) -> bool:
    """Run `work` for a call; should it fail, the call is due again later, and no other call is held up by it.

    Catches every exception, because whatever is wrong is wrong with this call: it is logged, and noted on the
    sweeper's list where the operator sees it.
    """
    try:
        work(organization_id, call_id)
    except Exception as error:
        logger.exception("Call %s could not be settled", call_id)
        note_failure(organization_id, call_id, error)
        return False
    DueCall.objects.filter(pk=call_id, failures__gt=0).update(failures=0, last_error="")
    return True


def note_failure(organization_id: UUID, call_id: UUID, error: Exception) -> None:
    """Make a call due again, later with each failure; the facts that waited for a worker wait aside until then."""
    now = timezone.now()
    due, _ = DueCall.objects.get_or_create(
        call_id=call_id, defaults={"organization_id": organization_id, "due_at": now}
    )
    wait = timedelta(seconds=min(5 * 2 ** min(due.failures, 10), 3600))
    DueCall.objects.filter(pk=call_id).update(
        failures=F("failures") + 1,
        last_error=described(error),
        due_at=now + wait,
        aside_since=Least("aside_since", "unapplied_since"),  # PostgreSQL's, which leaves out what is null
        unapplied_since=None,
    )


@dataclass(frozen=True, slots=True)
class Backlog:
    """How far reconcile is behind, over all organizations. Unapplied is also what failed and waits; dead is apart."""

    oldest_unapplied_seconds: float
    unapplied_calls: int
    overdue_calls: int
    live_calls: int
    failing_calls: int
    dead_letters: int


def backlog() -> Backlog:
    """Read the sweeper's list, which has no policy and tells nothing of a call but this."""
    now = timezone.now()
    found = DueCall.objects.aggregate(
        oldest=Min(Least("unapplied_since", "aside_since")),
        unapplied=Count("pk", filter=UNAPPLIED),
        overdue=Count("pk", filter=Q(due_at__lte=now)),
        live=Count("pk", filter=Q(is_live=True)),
        failing=Count("pk", filter=Q(failures__gt=0)),
        dead=Sum("dead", default=0),
    )
    return Backlog(
        oldest_unapplied_seconds=max(0.0, (now - found["oldest"]).total_seconds()) if found["oldest"] else 0.0,
        unapplied_calls=found["unapplied"],
        overdue_calls=found["overdue"],
        live_calls=found["live"],
        failing_calls=found["failing"],
        dead_letters=found["dead"],
    )
