"""List the facts that could not be applied, and replay them."""

from argparse import ArgumentParser
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError

from calls.reconcile import dead
from calls.reconcile.apply import APPLY
from crm import wake
from crm.models import Organization


class Command(BaseCommand):
    """For the operator: which callbacks could not be applied, why, and once more."""

    help = (
        "List the facts that could not be applied: a callback is tried for some ten minutes and then kept as dead, "
        "with its error. --replay gives them all their tries again; workers apply them as if they had just come."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Which, and what to do with them."""
        parser.add_argument("--organization", metavar="SLUG", help="only this organization's")
        parser.add_argument("--call", metavar="ID", help="only this call's")
        parser.add_argument("--digest", help="only this one of that call's, as the list names it")
        parser.add_argument("--replay", action="store_true", help="replay what is listed")

    def handle(self, *args: object, **options: object) -> None:
        """Print a line each. Raises: CommandError for an unknown organization or digest, or a malformed id."""
        call_id, digest = _id(options.get("call")), options.get("digest")
        letters = list(dead.dead_letters(_organization(options.get("organization")), call_id))
        if digest is not None:
            if call_id is None:
                raise CommandError("--digest names one of a call's facts: say which call with --call.")
            letters = [one for one in letters if one.digest == digest]
            if not letters:
                raise CommandError(f"There is no dead fact {digest!r} of this call.")
        for one in letters:
            self.stdout.write(
                f"{one.received_at:%Y-%m-%d %H:%M:%S}  {one.organization_id}  {one.call_id}  {one.digest}"
                f"  {one.source} {one.kind}: {one.last_error}"
            )
        if not letters:
            self.stdout.write("No dead letters.")
            return
        if not options.get("replay"):
            self.stdout.write(f"{len(letters)} dead; once their cause is mended: --replay")
            return
        count = sum(dead.revive(one.organization_id, one.call_id, one.digest) for one in letters)
        wake.after_commit(APPLY)
        self.stdout.write(f"{count} replayed.")


def _organization(slug: object) -> UUID | None:
    if slug is None:
        return None
    found = Organization.objects.filter(slug=slug).first()
    if found is None:
        raise CommandError(f"There is no organization {slug!r}.")
    return found.pk


def _id(typed: object) -> UUID | None:
    try:
        return None if typed is None else UUID(str(typed))
    except ValueError:
        raise CommandError(f"{typed!r} is not a call's id.") from None
