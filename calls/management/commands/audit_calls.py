"""`manage.py audit_calls`: find callbacks that never came, without waiting for the night."""

from argparse import ArgumentParser, ArgumentTypeError
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from calls.reconcile.audit import LOOK_BACK, NO_ACCOUNT, SETTLED, Audit, audit_calls
from crm.models import Organization


def moment(text: str) -> datetime:
    """Read a date, or a date and time; UTC where it names no zone."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(f"{text} is no date such as 2026-11-21 or 2026-11-21T18:00.") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Command(BaseCommand):
    """Audit every active organization, or one, and print a line for each."""

    help = (
        "Compare the callbacks that Twilio says it made (Call Events) with those that we have, for each ended call "
        f"that was not audited yet and has been quiet for {SETTLED.seconds // 60} minutes. A lost one is written into "
        "the call's journal under its name, logged, and applied. Beat does the same every night; running it again adds "
        "nothing. Fails if an organization could not be audited to the end."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """--organization SLUG, --since DATE."""
        parser.add_argument("--organization", metavar="SLUG", help="only this one (its short name)")
        parser.add_argument(
            "--since",
            type=moment,
            metavar="DATE",
            help=f"calls begun since then (UTC; default: {LOOK_BACK.days} days ago; Twilio keeps 30 days)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Audit each organization until nothing is due or Twilio refuses, and say what came of it."""
        organizations = Organization.objects.filter(is_active=True).order_by("slug")
        if options["organization"]:
            organizations = organizations.filter(slug=options["organization"])
            if not organizations.exists():
                raise CommandError(f"There is no active organization called {options['organization']}.")
        troubled = [one.slug for one in organizations if not self._audit(one, options["since"])]
        if troubled:
            raise CommandError(f"Not audited to the end: {', '.join(troubled)}.")

    def _audit(self, organization: Organization, since: datetime | None) -> bool:
        found = Audit(owing=True)
        while found.owing:
            more = audit_calls(organization.pk, since=since)
            found = replace(more, calls=found.calls + more.calls, lost=found.lost + more.lost)
        line = f"{organization.slug}: {found.calls} calls audited, {found.lost} lost callbacks found"
        self.stdout.write(f"{line}; {found.trouble}" if found.trouble else line)
        return not found.trouble or found.trouble == NO_ACCOUNT
