"""What members do with contacts and opportunities: make them and change them, each only in what was said."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any
from uuid import UUID
from zoneinfo import available_timezones

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from crm import access, tenancy
from crm.errors import AppError, InvalidNumber, NotAllowed, NotFound
from crm.models import Contact, ContactNumber, Membership, Opportunity, Role, StageChange, lowered
from crm.numbers import to_e164

MOST_NUMBERS = 10
Typed = Iterable[Mapping[str, str]]


class NumberTwice(AppError):
    """A contact has a number once."""

    code = "number_twice"
    message = _("This contact has this number twice. Remove one of the two.")


class TooManyNumbers(AppError):
    """More than a person has."""

    code = "too_many_numbers"
    message = _("A contact has ten numbers at most. Remove those that nobody calls.")


class NumbersChanged(AppError):
    """Somebody else was faster, and what they entered would be gone."""

    code = "numbers_changed"
    status = 409
    message = _("Somebody else has changed these numbers meanwhile. Reload the page and make your change again.")


class UnknownTimeZone(AppError):
    """No name of IANA's."""

    code = "unknown_time_zone"
    message = _("There is no such time zone. Write one as America/Sao_Paulo, or leave it empty.")


class NotAnOwner(AppError):
    """Nobody who works here."""

    code = "not_an_owner"
    message = _("The owner must be an active member of your organization.")


@cache
def time_zones() -> frozenset[str]:
    """Return IANA's names, as this machine knows them."""
    return frozenset(available_timezones())


def create_contact(*, member: Membership, numbers: Typed = (), **fields: Any) -> Contact:
    """Make a contact of `name`, `company`, `email`, `owner` (a user's id), `time_zone`, `do_not_call` and `numbers`.

    A number is `{"number", "label"}`, as people write it in the organization's country; the first is the default.
    Raises: InvalidNumber, NumberTwice, TooManyNumbers, NotAnOwner, UnknownTimeZone.
    """
    with tenancy.inside(member.organization_id):
        contact = Contact(organization=member.organization)
        _apply(member, contact, fields)
        contact.save()
        _set_numbers(contact, _read(member, numbers))
        return access.get_contact(member, contact.pk)


def change_contact(*, member: Membership, contact_id: UUID, seen: Typed | None = None, **changes: Any) -> Contact:
    """Change what is said of a contact, the same fields as above; what is left out stays, also if others change it now.

    `numbers` replaces them all; with `seen`, only while they are still those. Who may not be called keeps their
    numbers until an admin takes one away: without it, nothing would be left to refuse.
    Raises: NotFound, NotAllowed, NumbersChanged, and what `create_contact` raises.
    """
    with tenancy.inside(member.organization_id):
        contact = access.get_contact(member, contact_id, for_update=True)
        if "numbers" in changes:
            numbers = _read(member, changes.pop("numbers"))
            current = {row.number: row.label for row in contact.numbers.all()}
            if seen is not None and not _are(member, seen, current):
                raise NumbersChanged(field="numbers")
            if contact.do_not_call_since and current.keys() - numbers and member.role != Role.ADMIN:
                raise NotAllowed(
                    _("This contact may not be called. Only an admin takes a number of theirs away."), field="numbers"
                )
            _set_numbers(contact, numbers)
        _apply(member, contact, changes)
        columns = [{"do_not_call": "do_not_call_since"}.get(name, name) for name in changes]
        contact.save(update_fields=[*columns, "updated_at"])
        return access.get_contact(member, contact.pk)


def _apply(member: Membership, contact: Contact, fields: dict[str, Any]) -> None:
    for name in ("name", "company"):
        if name in fields:
            setattr(contact, name, fields[name])
    if "email" in fields:
        contact.email = lowered(fields["email"])
    if "owner" in fields:
        _set_owner(member, contact, fields["owner"])
    if "time_zone" in fields:
        contact.time_zone = fields["time_zone"]
        if contact.time_zone and contact.time_zone not in time_zones():
            raise UnknownTimeZone(field="time_zone")
    if fields.get("do_not_call") and contact.do_not_call_since is None:
        contact.do_not_call_since = timezone.now()
    elif fields.get("do_not_call") is False and contact.do_not_call_since is not None:
        if member.role != Role.ADMIN:
            raise NotAllowed(_("Only an admin lets this contact be called again."), field="do_not_call")
        contact.do_not_call_since = None


def _set_owner(member: Membership, row: Contact | Opportunity, user_id: UUID | None) -> None:
    """Who owned it and left since may stay; nobody who has left becomes an owner."""
    if user_id not in (None, row.owner_id) and not access.possible_owners(member).filter(user=user_id).exists():
        raise NotAnOwner(field="owner")
    row.owner_id = user_id


def _read(member: Membership, typed: Typed) -> dict[str, str]:
    """E.164 numbers with their labels, in the order given."""
    numbers: dict[str, str] = {}
    for place, one in enumerate(typed):
        field = f"numbers.{place}.number"
        try:
            number = to_e164(one["number"], region=member.organization.region)
        except InvalidNumber as error:
            raise InvalidNumber(_("This is no phone number. Write it with its area code."), field=field) from error
        if number in numbers:
            raise NumberTwice(field=field)
        numbers[number] = one.get("label", "")
    if len(numbers) > MOST_NUMBERS:
        raise TooManyNumbers(field="numbers")
    return numbers


def _are(member: Membership, seen: Typed, current: dict[str, str]) -> bool:
    try:
        return list(_read(member, seen).items()) == list(current.items())
    except AppError:
        return False


def _set_numbers(contact: Contact, numbers: dict[str, str]) -> None:
    ContactNumber.objects.filter(contact=contact).exclude(number__in=numbers).delete()
    for position, (number, label) in enumerate(numbers.items()):
        ContactNumber.objects.update_or_create(
            contact=contact, number=number, defaults={"label": label, "position": position}
        )


def create_opportunity(*, member: Membership, contact: UUID, **fields: Any) -> Opportunity:
    """Make an opportunity of a contact: `title`, `stage`, `amount`, `owner`. Raises: NotFound, NotAnOwner."""
    with tenancy.inside(member.organization_id):
        opportunity = Opportunity(organization=member.organization)
        _apply_to_opportunity(member, opportunity, fields | {"contact": contact})
        opportunity.save()
        return opportunity


def change_opportunity(*, member: Membership, opportunity_id: UUID, **changes: Any) -> Opportunity:
    """Change what is said of an opportunity; what is left out stays, and a new stage is written into its history.

    Raises: NotFound, NotAnOwner.
    """
    with tenancy.inside(member.organization_id):
        opportunity = access.get_opportunity(member, opportunity_id, for_update=True)
        before = opportunity.stage
        _apply_to_opportunity(member, opportunity, changes)
        opportunity.save(update_fields=[*changes, "updated_at"])
        if opportunity.stage != before:
            StageChange.objects.create(
                opportunity=opportunity, by_id=member.user_id, before=before, after=opportunity.stage
            )
        return opportunity


def _apply_to_opportunity(member: Membership, opportunity: Opportunity, fields: dict[str, Any]) -> None:
    for name in ("title", "stage", "amount"):
        if name in fields:
            setattr(opportunity, name, fields[name])
    if "owner" in fields:
        _set_owner(member, opportunity, fields["owner"])
    if "contact" in fields:
        try:
            opportunity.contact_id = access.get_contact(member, fields["contact"]).pk
        except NotFound as error:
            raise NotFound(_("You have no such contact."), field="contact") from error
