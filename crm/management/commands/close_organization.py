"""`manage.py close_organization ORGANIZATION [--open]`: nobody of it gets in, or they do again."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.errors import AppError
from crm.organizations import find_organization, set_active


class Command(BaseCommand):
    """Close an organization, or open it again."""

    help = (
        "Close an organization: its members' sessions and tokens get nowhere, so no call is made; callbacks of its"
        " calls are still recorded. Nothing is deleted. With --open it is as it was."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """ORGANIZATION, --open."""
        parser.add_argument("organization", help="short name or id")
        parser.add_argument("--open", action="store_true", help="open it again")

    def handle(self, *args: Any, **options: Any) -> None:
        """Do it; doing it again changes nothing."""
        try:
            organization = find_organization(options["organization"])
        except AppError as error:
            raise CommandError(str(error)) from error
        changed = set_active(organization, is_active=options["open"])
        state = "open" if options["open"] else "closed"
        self.stdout.write(f"{organization.name} is {state}{'' if changed else ' already'}.")
