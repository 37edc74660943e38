"""`manage.py delete_organization ORGANIZATION`: all of it, with a report."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError

from calls.services.erase import erase
from crm.errors import AppError
from crm.organizations import find_organization


class Command(BaseCommand):
    """Delete a closed organization."""

    help = (
        "Delete a closed organization completely: calls, journal, recordings with their files, contacts, members,"
        " credentials, and the users who belong to no other. It prints what was deleted, and can be stopped and run"
        " again. What Twilio keeps (calls, recordings) is in the organization's own Twilio account and stays there."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ORGANIZATION, --yes."""
        parser.add_argument("organization", help="short name or id")
        parser.add_argument("--yes", metavar="NAME", default="", help="its name, instead of being asked for it")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask once, then delete and report."""
        try:
            organization = find_organization(options["organization"])
        except AppError as error:
            raise CommandError(str(error)) from error
        typed = options["yes"] or input(f"This cannot be undone. Type the organization's name ({organization.name}): ")
        if typed != organization.name:
            raise CommandError("That is not its name. Nothing was deleted.")
        try:
            for what, count in erase(organization):
                self.stdout.write(f"{count:>10,}  {what}")
        except AppError as error:
            raise CommandError(str(error)) from error
        except IntegrityError as error:  # a callback came in between
            raise CommandError("Something of it was still being written. Run this again.") from error
        self.stdout.write(f"{organization.name} is deleted.")
