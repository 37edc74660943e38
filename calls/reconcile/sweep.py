"""Find the calls that somebody must look at, whatever happened to their wake-ups."""

import logging
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from calls.models import DueCall
from calls.reconcile.apply import CHECK
from crm import wake

logger = logging.getLogger(__name__)

CLAIM = 50
MOST = 2000
# A claimed call whose worker died is due again after this long; above what one check can take.
LEASE = timedelta(seconds=60)


def sweep() -> int:
    """Hand every due call to a worker; return how many. Any number of sweepers may run at once.

    Reads only the table of due calls, which has no policy: each worker then enters the call's organization.
    """
    count = 0
    while count < MOST:
        with transaction.atomic():
            due = list(
                DueCall.objects.select_for_update(skip_locked=True)
                .filter(due_at__lte=timezone.now())
                .order_by("due_at")[:CLAIM]
            )
            DueCall.objects.filter(pk__in=[one.pk for one in due]).update(due_at=timezone.now() + LEASE)
            for one in due:
                wake.after_commit(CHECK, str(one.organization_id), str(one.call_id))
        count += len(due)
        if len(due) < CLAIM:
            break
    return count


def attempt(work: Callable[[UUID, UUID], object], items: list[list[str]]) -> None:
    """Run `work` for each (organization, call); one that fails is noted, due again later, and stops no other.

    The only place that catches every exception: it records the failure on the sweeper's list, goes on with the other
    calls, and raises at the end, so that the worker's log and its failure count show it.
    """
    failed: list[Exception] = []
    for organization_id, call_id in items:
        try:
            work(UUID(organization_id), UUID(call_id))
        except Exception as error:
            logger.exception("Call %s could not be settled", call_id)
            note_failure(UUID(organization_id), UUID(call_id), error)
            failed.append(error)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(items)} calls could not be settled", failed)


def note_failure(organization_id: UUID, call_id: UUID, error: Exception) -> None:
    """Make a call due again, later with each failure. The error's text is kept out: it may quote a payload."""
    now = timezone.now()
    due, _ = DueCall.objects.get_or_create(
        call_id=call_id, defaults={"organization_id": organization_id, "due_at": now}
    )
    wait = timedelta(seconds=min(5 * 2 ** min(due.failures, 10), 3600))
    DueCall.objects.filter(pk=call_id).update(
        failures=F("failures") + 1, last_error=type(error).__name__, due_at=now + wait
    )
