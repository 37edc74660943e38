"""Seal every secret with the newest key, so that an old one can be taken out of FIELD_ENCRYPTION_KEYS."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from crm.accounts import reseal_second_factors
from crm.models import Organization
from crm.vault import SealBroken
from integrations.services.connect import reseal_secrets


class Command(BaseCommand):
    """`manage.py reseal_secrets`."""

    help = (
        "Seals every organization's secrets, and people's second factors, with the first of FIELD_ENCRYPTION_KEYS."
        " To replace a key: put the new one"
        " first and restart all processes, run this, take the old one out, restart. It may run while everything else"
        " does, be stopped and run again: what is done is skipped. The exit status is 1 while a secret is left that"
        " none of the keys opens."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Go through all organizations, one short transaction each."""
        organizations = secrets = 0
        unreadable = []
        for organization_id in Organization.objects.order_by("pk").values_list("pk", flat=True).iterator():
            try:
                done = reseal_secrets(organization_id)
            except SealBroken as broken:
                unreadable.append(organization_id)
                self.stderr.write(f"{organization_id}: {broken}")
                continue
            organizations += bool(done)
            secrets += done
            if done and organizations % 100 == 0:
                self.stdout.write(f"{organizations} organizations …")
        self.stdout.write(f"{secrets} secrets of {organizations} organizations sealed anew.")
        try:
            self.stdout.write(f"{reseal_second_factors()} secrets of second factors sealed anew.")
        except SealBroken as broken:
            raise CommandError(f"A second factor: {broken}") from broken
        if unreadable:
            raise CommandError(
                f"{len(unreadable)} organizations have secrets that none of the keys opens: add their key, or have"
                " their admins enter them again."
            )
