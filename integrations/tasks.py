"""What workers do for an organization's connection to Twilio: the task is the function that it names."""

from celery import shared_task

from integrations.checks import verify_due

SECONDS = 10.0  # live calls are asked about by the same workers


@shared_task(name="integrations.verify")
def verify() -> None:
    """Verify accounts and refresh their numbers, once a day each."""
    verify_due(seconds=SECONDS)
