"""`manage.py create_token EMAIL ORGANIZATION`: make an API token for a member and print it once."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm import audit, tenancy
from crm.access import memberships_of
from crm.models import User
from crm.services import create_token


class Command(BaseCommand):
    """Print a bearer token bound to one membership; only its digest is kept."""

    help = "Make an API token for one member of one organization. It is printed once and kept only as a digest."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """EMAIL, ORGANIZATION (its short name or id), --name."""
        parser.add_argument("email")
        parser.add_argument("organization", help="short name or id")
        parser.add_argument("--name", default="", help="what the token is for")

    def handle(self, *args: Any, **options: Any) -> None:
        """Find the membership, make the token, print it."""
        user = User.objects.filter(email__iexact=options["email"], is_active=True).first()
        wanted = options["organization"]
        members = memberships_of(user) if user else []
        member = next((m for m in members if wanted in (m.organization.slug, str(m.organization_id))), None)
        if member is None:
            raise CommandError(f"{options['email']} is not an active member of an organization called {wanted}.")
        with tenancy.inside(member.organization_id):
            token = create_token(member=member, name=options["name"])
            audit.note(None, audit.TOKEN_CREATED, member=member.user.email, name=options["name"])
        self.stdout.write(token)
