"""What members want to turn to again, and when: write it down, change it, have it done."""

from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import access, tenancy
from crm.contacts import NotAnOwner
from crm.errors import AppError, NotAllowed, NotFound
from crm.models import FollowUp, Membership

LONGEST_TEXT = 500
# A follow-up of a day without a time is due when the day's work begins.
MORNING = time(9)
FARTHEST = timedelta(days=3653)


class BadFollowUp(AppError):
    """A day that nobody will see, or one for another contact's opportunity."""

    code = "bad_follow_up"


def on_day(day: date, at: time | None = None) -> datetime:
    """Return that day at that time, or in the morning, in the zone of whoever is asking."""
    return timezone.make_aware(datetime.combine(day, at or MORNING))


def in_days(days: int) -> datetime:
    """Return the morning of the day that is so many days from today, in the zone of whoever is asking."""
    return on_day(timezone.localdate() + timedelta(days=days))


def end_of_today() -> datetime:
    """Return when tomorrow begins, in the zone of whoever is asking."""
    return on_day(timezone.localdate() + timedelta(days=1), time.min)


def create_follow_up(
    *, member: Membership, contact: UUID, due_at: datetime, call_id: UUID | None = None, **fields: Any
) -> FollowUp:
    """Write down that `member` (or `owner`, a user's id) turns to a contact again; `text` and `opportunity` if said.

    The second one that is written down after the same `call_id` replaces the first, unless that is done.
    Raises: NotFound, BadFollowUp, NotAnOwner, NotAllowed.
    """
    with tenancy.inside(member.organization_id):
        try:
            found = access.get_contact(member, contact)
        except NotFound as error:
            raise NotFound(_("You have no such contact."), field="contact") from error
        earlier = access.follow_up_after(member, call_id) if call_id else None
        if earlier is not None and earlier.done_at is not None:  # over, and another one is wanted
            earlier.call_id = None
            earlier.save(update_fields=["call_id", "updated_at"])
            earlier = None
        row = earlier or FollowUp(organization=member.organization, contact=found, call_id=call_id)
        _apply(member, row, ({} if earlier else {"owner": member.user_id}) | fields | {"due_at": due_at})
        row.save()
        return row


def change_follow_up(*, member: Membership, follow_up_id: UUID, **changes: Any) -> FollowUp:
    """Change `due_at`, `text`, `opportunity`, `owner` or `done`; what is left out stays.

    A rep changes their own and keeps it; managers change the team's and may give it to somebody else.
    Raises: NotFound, BadFollowUp, NotAnOwner, NotAllowed.
    """
    with tenancy.inside(member.organization_id):
        row = access.get_follow_up(member, follow_up_id, for_update=True)
        _apply(member, row, changes)
        columns = [{"done": "done_at"}.get(name, name) for name in changes]
        row.save(update_fields=[*columns, "updated_at"])
        return row


def delete_follow_up(*, member: Membership, follow_up_id: UUID) -> None:
    """Take it back. Raises: NotFound."""
    with tenancy.inside(member.organization_id):
        access.get_follow_up(member, follow_up_id, for_update=True).delete()


def _apply(member: Membership, row: FollowUp, fields: dict[str, Any]) -> None:
    if "due_at" in fields:
        row.due_at = fields["due_at"]
        if not timezone.now() - FARTHEST < row.due_at < timezone.now() + FARTHEST:
            raise BadFollowUp(_("Choose a day within ten years."), field="due_at")
    if "text" in fields:
        row.text = fields["text"].strip()
        if len(row.text) > LONGEST_TEXT or "\x00" in row.text:
            raise BadFollowUp(_("A follow-up has 500 letters at most."), field="text")
    if "owner" in fields:
        _set_owner(member, row, fields["owner"])
    if "done" in fields:
        row.done_at = (row.done_at or timezone.now()) if fields["done"] else None
    if "opportunity" in fields:
        row.opportunity_id = access.opportunity_of(member, row.contact_id, fields["opportunity"])


def _set_owner(member: Membership, row: FollowUp, user_id: UUID | None) -> None:
    if user_id != member.user_id and user_id != row.owner_id:
        if not member.sees_whole_team:
            raise NotAllowed(_("Only managers write follow-ups down for somebody else."), field="owner")
        if not access.possible_owners(member).filter(user=user_id).exists():
            raise NotAnOwner(field="owner")
    row.owner_id = user_id
