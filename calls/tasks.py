"""What workers do: each task is the function that it names. The database says what waits.

Messages carry no work, but for the audit's: where it goes on, and whether it owes a look at what it left out. Should
that one be lost, the next night's begins anew.
"""

from celery import shared_task

from calls.reconcile import audit, retention, sweep

RETENTION_SECONDS = 20.0


@shared_task(name="calls.apply")
def apply() -> None:
    """Apply the facts that wait."""
    sweep.apply_waiting()


@shared_task(name="calls.look")
def look() -> None:
    """Ask Twilio what calls lack, and fetch their recordings."""
    sweep.look_at_due()


@shared_task(name="calls.audit")
def audit_next(after: str = "", owing: bool = False) -> None:
    """Compare a piece of one organization's calls with Twilio's record of its requests, and pass on to the next."""
    audit.audit_next(after, owing=owing)


@shared_task(name="calls.retention")
def delete_old_recordings() -> None:
    """Delete the recordings that their organizations keep no longer."""
    retention.delete_due(seconds=RETENTION_SECONDS)
