"""One row of a file as a contact, by the rules of crm/contacts.py; or why it is refused."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _

from crm.contacts import MOST_NUMBERS, time_zones
from crm.errors import InvalidNumber
from crm.imports.headings import Column
from crm.models import Contact, ContactNumber, lowered
from crm.numbers import for_display, to_e164
from crm.tables import NUMBERS, PHONES, WHOSE, plain, words_of

#: Which column is at fault, or None for the whole row; and why, a key of `sentence`.
Reason = tuple[int | None, str]

# Whoever may have said that they are not to be called is not: everything but these means it.
_MAY_BE_CALLED = frozenset({"", "0", "-", "–", "no", "n", "false", "f", "não", "nao", "falso", "n/a", "null", "none"})
_BETWEEN_NUMBERS = re.compile(r":::|[;,|\n\r]+")
_NUMERAL = re.compile(r"\d+")


@dataclass(slots=True)
class Person:
    """What a row says; what is empty says nothing. Numbers are E.164, with their labels, the first one first."""

    row: int
    name: str = ""
    company: str = ""
    email: str = ""
    time_zone: str = ""
    owner_id: UUID | None = None
    do_not_call: bool = False
    numbers: dict[str, str] = field(default_factory=dict)

    @property
    def shown_name(self) -> str:
        """What a new contact is called, also where the file has no name for it."""
        return self.name or self.company or self.email or for_display(next(iter(self.numbers)))


def sentence(code: str) -> str:
    """Say a reason in the reader's language."""
    said = {
        "invalid_number": _("This is not a valid phone number."),
        "too_many_numbers": _("A contact has ten numbers at most. Remove those that nobody calls."),
        "invalid_email": _("This is not a valid e-mail address."),
        "too_long": _("This is too long."),
        "unknown_time_zone": _("There is no such time zone. Write one as America/Sao_Paulo, or leave it empty."),
        "not_an_owner": _("No active member of your organization has this e-mail."),
        "nothing_to_find": _("There is neither a phone number nor an e-mail."),
    }
    return said.get(code, code)


class Reader:
    """Reads rows whose columns are known; `owners` are the organization's members by e-mail, former ones too."""

    def __init__(
        self, headings: Sequence[str], columns: Sequence[str], *, region: str, owners: Mapping[str, UUID]
    ) -> None:
        self._columns, self._region, self._owners = columns, region, owners
        self._labels = _labels(headings, columns)

    def read(self, row: int, cells: Sequence[str]) -> Person | list[Reason]:
        """Return the row's person, or everything that is wrong with it."""
        person, reasons = Person(row), list[Reason]()
        names: dict[str, str] = {}
        for place, (column, cell) in enumerate(zip(self._columns, cells, strict=False)):
            said = plain(cell)
            if column in (Column.NONE, Column.PHONE_LABEL) or not said:
                continue
            if column == Column.PHONE:
                reasons += self._add_numbers(person, place, said, cells)
            elif column in (Column.NAME, Column.FIRST_NAME, Column.LAST_NAME):
                names[column] = " ".join(said.split())
            elif column == Column.DO_NOT_CALL:
                person.do_not_call = said.lower() not in _MAY_BE_CALLED
            elif why := self._set(person, column, said):
                reasons.append((place, why))
        first, last = names.get(Column.FIRST_NAME, ""), names.get(Column.LAST_NAME, "")
        whole = names.get(Column.NAME, "")
        # "Nome" beside "Sobrenome" is the first one.
        person.name = whole if first or not last or whole.endswith(last) else f"{whole} {last}".strip()
        person.name = person.name or f"{first} {last}".strip()
        if _wrong(Contact, "name", person.name):
            reasons.append((self._place_of_name(), "too_long"))
        if len(person.numbers) > MOST_NUMBERS:
            reasons.append((None, "too_many_numbers"))
        if not reasons and not person.numbers and not person.email:
            reasons.append((None, "nothing_to_find"))
        return reasons or person

    def _place_of_name(self) -> int | None:
        named = (Column.NAME, Column.FIRST_NAME, Column.LAST_NAME)
        return next((place for place, column in enumerate(self._columns) if column in named), None)

    def _set(self, person: Person, column: str, said: str) -> str | None:
        """Take a cell over; return what is wrong with it."""
        if column == Column.OWNER:
            person.owner_id = self._owners.get(lowered(said))
            return None if person.owner_id else "not_an_owner"
        if column == Column.TIME_ZONE:
            person.time_zone = said
            return None if said in time_zones() else "unknown_time_zone"
        said = lowered(said) if column == Column.EMAIL else " ".join(said.split())
        setattr(person, column, said)
        return _wrong(Contact, column, said)

    def _add_numbers(self, person: Person, place: int, said: str, cells: Sequence[str]) -> list[Reason]:
        """Take over the numbers of a cell, which may be several; return what is wrong with them."""
        label, label_place = self._labels[place]
        if label_place is not None:
            label = " ".join(plain(cells[label_place]).split()) if label_place < len(cells) else ""
            if _wrong(ContactNumber, "label", label):
                return [(label_place, "too_long")]
        for one in filter(None, map(str.strip, _BETWEEN_NUMBERS.split(said))):
            try:
                number = to_e164(plain(one), region=self._region)
            except InvalidNumber:
                return [(place, "invalid_number")]
            person.numbers[number] = person.numbers.get(number) or label
        return []


def _wrong(model: Any, name: str, said: str) -> str | None:
    """Return what the model's column says against a text, if anything."""
    try:
        if said:
            model._meta.get_field(name).run_validators(said)
    except ValidationError as error:
        codes = {one.code for one in error.error_list}
        return "invalid_email" if "invalid" in codes else "too_long"
    return None


def _labels(headings: Sequence[str], columns: Sequence[str]) -> dict[int, tuple[str, int | None]]:
    """Return for each phone's column its label, or the column where that stands: of the same numeral, or just behind.

    A heading is a label itself where it says more than "phone": Mobile, Celular, Phone (work).
    """
    found: dict[int, tuple[str, int | None]] = {}
    labels = {place: _numeral(headings[place]) for place, one in enumerate(columns) if one == Column.PHONE_LABEL}
    for place, column in enumerate(columns):
        if column == Column.PHONE:
            same = (one for one, numeral in labels.items() if numeral and numeral == _numeral(headings[place]))
            behind = place + 1 if labels.get(place + 1) == "" else None
            label_place = next(same, behind)
            found[place] = ("" if label_place is not None else _own_label(headings[place]), label_place)
    return found


def _numeral(heading: str) -> str:
    found = _NUMERAL.search(heading)
    return found.group() if found else ""


_SAYS_LITTLE = NUMBERS | (WHOSE - {"home", "work", "business", "office", "residencial", "comercial", "fixo"})
_SAYS_LITTLE |= {"phone", "phones", "telephone", "tel", "fone", "telefone", "telefones"}


def _own_label(heading: str) -> str:
    words = words_of(heading)
    return "" if not words & (PHONES | NUMBERS | WHOSE) or words <= _SAYS_LITTLE else heading.strip()[:40]
