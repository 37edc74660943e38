"""Some rows' people become contacts, or part of those that are there, in a handful of statements."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone
from uuid_utils.compat import uuid7

from crm.contacts import MOST_NUMBERS
from crm.imports.rows import Person, Reason
from crm.models import Contact, ContactImport, ContactNumber, ImportedContact, ImportRule

FIELDS = ("name", "company", "email", "time_zone", "owner_id")


@dataclass(slots=True)
class Outcome:
    """What became of them."""

    made: int = 0
    merged: int = 0
    unchanged: int = 0
    refused: dict[int, list[Reason]] = field(default_factory=dict)


def known(people: Iterable[Person]) -> tuple[dict[str, UUID], dict[str, UUID]]:
    """Return which contact has each of their numbers, and each of their e-mails: the oldest where several do."""
    numbers = {number for person in people for number in person.numbers}
    emails = {person.email for person in people if person.email}
    by_number = ContactNumber.objects.filter(number__in=numbers).order_by("number", "contact_id").distinct("number")
    by_email = Contact.objects.filter(email__in=emails).order_by("email", "pk").distinct("email")
    return dict(by_number.values_list("number", "contact_id")), dict(by_email.values_list("email", "pk"))


def merge(importing: ContactImport, people: Sequence[Person], *, owners: set[UUID]) -> Outcome:
    """Write people down as contacts, by the import's rule, inside of its organization and a transaction.

    A person is the contact with their first number that some contact has, or else with their e-mail; rows of the same
    file find each other in the same way. Contacts that exist are locked first, in the order of their ids, and read
    then, so that what others change meanwhile is kept. No rule takes a number away, or lets anybody be called again.
    `owners` are those to whom a contact may be given.
    """
    merger = _Merger(importing, owners)
    merger.load(people)
    for person in people:
        merger.take(person)
    merger.write()
    return merger.outcome


class _Merger:
    def __init__(self, importing: ContactImport, owners: set[UUID]) -> None:
        self.outcome = Outcome()
        self._import, self._owners, self._now = importing, owners, timezone.now()
        self._by_number: dict[str, UUID] = {}
        self._by_email: dict[str, UUID] = {}
        self._contacts: dict[UUID, Contact] = {}
        self._numbers: dict[UUID, dict[str, ContactNumber]] = {}
        self._new: set[UUID] = set()
        self._changed: set[UUID] = set()
        self._named: set[UUID] = set()
        self._relabeled: list[ContactNumber] = []

    def load(self, people: Iterable[Person]) -> None:
        """Lock and read the contacts that the people may be."""
        self._by_number, self._by_email = known(people)
        ids = {*self._by_number.values(), *self._by_email.values()}
        rows = Contact.objects.filter(pk__in=ids).order_by("pk").select_for_update(no_key=True)
        self._contacts = {contact.pk: contact for contact in rows}
        self._numbers = {pk: {} for pk in self._contacts}
        for one in ContactNumber.objects.filter(contact__in=self._contacts):
            self._numbers[one.contact_id][one.number] = one

    def take(self, person: Person) -> None:
        """Make the person's contact, or merge them with theirs."""
        found = next((self._by_number[one] for one in person.numbers if one in self._by_number), None)
        found = found or self._by_email.get(person.email)
        contact = self._contacts.get(found) if found else None
        if person.owner_id and person.owner_id not in self._owners and not self._keeps_owner(contact, person):
            self.outcome.refused[person.row] = [(None, "not_an_owner")]
        elif contact is None:
            self._make(person)
        elif self._import.rule != ImportRule.SKIP and len({*self._numbers[contact.pk], *person.numbers}) > max(
            MOST_NUMBERS, len(self._numbers[contact.pk])
        ):
            self.outcome.refused[person.row] = [(None, "too_many_numbers")]
        else:
            self._merge(contact, person)

    def _keeps_owner(self, contact: Contact | None, person: Person) -> bool:
        """Whether the contact's owner stays as it is: who left since may stay, and nobody who has left becomes one."""
        if contact is None:
            return False
        return contact.owner_id == person.owner_id or (
            self._import.rule != ImportRule.OVERWRITE
            and (self._import.rule == ImportRule.SKIP or contact.owner_id is not None)
        )

    def _make(self, person: Person) -> None:
        contact = Contact(
            id=uuid7(),
            organization_id=self._import.organization_id,
            name=person.shown_name,
            company=person.company,
            email=person.email,
            owner_id=person.owner_id,
            time_zone=person.time_zone,
            do_not_call_since=self._now if person.do_not_call else None,
        )
        self._contacts[contact.pk], self._numbers[contact.pk] = contact, {}
        self._new.add(contact.pk)
        self._named.add(contact.pk)
        self._add_numbers(contact, person.numbers)
        self._note_email(contact)
        self.outcome.made += 1

    def _merge(self, contact: Contact, person: Person) -> None:
        before = [getattr(contact, name) for name in (*FIELDS, "do_not_call_since")]
        if person.do_not_call and contact.do_not_call_since is None:
            contact.do_not_call_since = self._now
        more = False
        if self._import.rule != ImportRule.SKIP:
            for name in FIELDS:
                said = getattr(person, name)
                if said and (self._import.rule == ImportRule.OVERWRITE or not getattr(contact, name)):
                    setattr(contact, name, said)
            more = self._add_numbers(contact, person.numbers)
            self._note_email(contact)
        changed = before != [getattr(contact, name) for name in (*FIELDS, "do_not_call_since")]
        if changed:
            self._changed.add(contact.pk)
        self._named.add(contact.pk)
        if changed or more:
            self.outcome.merged += 1
        else:
            self.outcome.unchanged += 1

    def _add_numbers(self, contact: Contact, numbers: dict[str, str]) -> bool:
        """Add numbers behind those that are there, and labels to those that lack one; whether anything is new."""
        there = self._numbers[contact.pk]
        position, more = max((one.position for one in there.values()), default=-1), False
        for number, label in numbers.items():
            one = there.get(number)
            if one is None:
                position += 1
                there[number] = ContactNumber(
                    organization_id=contact.organization_id,
                    contact_id=contact.pk,
                    number=number,
                    label=label,
                    position=position,
                )
                self._by_number.setdefault(number, contact.pk)
                more = True
            elif label and label != one.label and (not one.label or self._import.rule == ImportRule.OVERWRITE):
                one.label = label
                self._relabeled.append(one)
                more = True
        return more

    def _note_email(self, contact: Contact) -> None:
        if contact.email:
            self._by_email.setdefault(contact.email, contact.pk)

    def write(self) -> None:
        """Write it all down."""
        changed = [self._contacts[pk] for pk in sorted(self._changed - self._new)]
        for contact in changed:
            contact.updated_at = self._now
        Contact.objects.bulk_create(self._contacts[pk] for pk in sorted(self._new))
        if changed:
            columns = [name.removesuffix("_id") for name in FIELDS]
            Contact.objects.bulk_update(changed, [*columns, "do_not_call_since", "updated_at"])
        numbers = [one for theirs in self._numbers.values() for one in theirs.values() if one._state.adding]
        old = {one.pk: one for one in self._relabeled if not one._state.adding}
        ContactNumber.objects.bulk_create(numbers)
        if old:
            ContactNumber.objects.bulk_update(old.values(), ["label"])
        ImportedContact.objects.bulk_create(
            (
                ImportedContact(
                    organization_id=self._import.organization_id, contact_import_id=self._import.pk, contact_id=pk
                )
                for pk in sorted(self._named)
            ),
            ignore_conflicts=True,
        )
