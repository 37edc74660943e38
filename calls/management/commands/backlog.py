"""Say how far the reconciler is behind."""

import json
from dataclasses import asdict

from django.core.management.base import BaseCommand

from calls.reconcile.sweep import backlog


class Command(BaseCommand):
    """For the operator and for monitoring: one JSON object."""

    help = (
        "Print as JSON how long the oldest unapplied callback has waited (seconds), how many calls have unapplied "
        "callbacks, are overdue to be looked at, live, or fail, and how many callbacks are dead. One that failed and "
        "waits for its next try is unapplied. See dead_letters."
    )

    def handle(self, *args: object, **options: object) -> None:
        """Print it."""
        self.stdout.write(json.dumps(asdict(backlog())))
