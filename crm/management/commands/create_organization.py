"""`manage.py create_organization NAME SLUG EMAIL`: an organization with its first admin."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.errors import AppError
from crm.organizations import create_organization


class Command(BaseCommand):
    """Make an organization; a new admin's password is printed once."""

    help = (
        "Make an organization and its first admin. A user with that e-mail becomes its admin as well; a new one gets a"
        " password, which is printed once."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """NAME, SLUG, EMAIL, --region, --phone."""
        parser.add_argument("name", help='such as "Aurora Móveis"')
        parser.add_argument("slug", help="short name, such as aurora")
        parser.add_argument("email", help="of its first admin")
        parser.add_argument("--region", default="BR", help="country, two letters (default: %(default)s)")
        parser.add_argument("--phone", default="", help="the admin's own, rung first on every call")

    def handle(self, *args: Any, **options: Any) -> None:
        """Make it and say what to do next."""
        given = {name: options[name] for name in ("name", "slug", "email", "region", "phone")}
        try:
            made = create_organization(**given)
        except AppError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{made.organization.name} ({made.organization.slug}), {made.organization.pk}")
        self.stdout.write(f"Admin: {made.admin.user.email}")
        self.stdout.write(f"Password: {made.password}" if made.password else "They log in with the password they have.")
        self.stdout.write("Next, the admin connects Twilio: log in, and follow “Settings” at the top.")
