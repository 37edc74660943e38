"""What workers do: each task is the function that it names, for the calls that its message stands for."""

from celery import shared_task

from calls.reconcile import apply, ask, media
from calls.reconcile import sweep as sweeper


@shared_task(name="calls.apply_callbacks")
def apply_callbacks(items: list[list[str]]) -> None:
    """Fold what was stored into the rows of these (organization, call)."""
    sweeper.attempt(apply.apply_callbacks, items)


@shared_task(name="calls.check_call")
def check_call(items: list[list[str]]) -> None:
    """Ask Twilio what these (organization, call) still lack."""
    sweeper.attempt(ask.check_call, items)


@shared_task(name="calls.store_recording")
def store_recording(items: list[list[str]]) -> None:
    """Fetch the media of these (organization, call)."""
    sweeper.attempt(media.store_recordings, items)


@shared_task(name="calls.sweep")
def sweep() -> None:
    """Find the calls that are due."""
    sweeper.sweep()
