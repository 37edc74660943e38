"""What the columns of a file are, by their headings in English and Portuguese, or else by what stands in them."""

import unicodedata
from collections.abc import Sequence

from django.db import models
from django.utils.translation import gettext_lazy as _

from crm.errors import InvalidNumber
from crm.numbers import to_e164
from crm.tables import HEADED_WITHIN, NUMBERS, PHONES, says_number, words_of


class Column(models.TextChoices):
    """What a column says of a contact."""

    NONE = "", _("Leave out")
    NAME = "name", _("Name")
    FIRST_NAME = "first_name", _("First name")
    LAST_NAME = "last_name", _("Last name")
    COMPANY = "company", _("Company")
    EMAIL = "email", _("E-mail")
    PHONE = "phone", _("Phone")
    PHONE_LABEL = "phone_label", _("Label of a phone")
    OWNER = "owner", _("Owner's e-mail")
    TIME_ZONE = "time_zone", _("Time zone")
    DO_NOT_CALL = "do_not_call", _("Do not call")


#: A contact has several of these.
REPEATED = frozenset({Column.NONE, Column.PHONE, Column.PHONE_LABEL})

# Headings as `_key` makes them: without accents, signs and numerals.
_HEADINGS: dict[Column, str] = {
    Column.NAME: "name, full name, contact, contact name, display name, client, client name, customer, customer name,"
    " lead, lead name, person, nome, nome completo, contato, nome do contato, cliente, nome do cliente, pessoa",
    Column.FIRST_NAME: "first name, firstname, first, given name, primeiro nome, prenome",
    Column.LAST_NAME: "last name, lastname, last, surname, family name, sobrenome, ultimo nome, apelido",
    Column.COMPANY: "company, company name, organization, organisation, organization name, account, account name,"
    " business, business name, employer, empresa, nome da empresa, razao social, nome fantasia, companhia, organizacao",
    Column.EMAIL: "e mail, email, mail, e mail address, email address, e mail value, email value, primary email,"
    " work email, business email, correio eletronico, endereco de e mail, endereco de email, e mail principal,"
    " email principal, e mail do contato, email do contato",
    Column.OWNER: "owner, contact owner, owner email, owner e mail, owner s e mail, owner s email, assigned to,"
    " assignee, sales rep, account owner, responsavel, proprietario, dono, vendedor, e mail do responsavel,"
    " email do responsavel, e mail do vendedor, email do vendedor",
    Column.TIME_ZONE: "time zone, timezone, tz, fuso, fuso horario",
    Column.DO_NOT_CALL: "do not call, do not call since, dnc, do not contact, no call, opt out, blocked, nao ligar,"
    " nao ligar desde, nao chamar, nao contatar, nao perturbe, nao perturbar, bloqueado",
}
_KNOWN = {key.strip(): column for column, keys in _HEADINGS.items() for key in keys.split(",")}
_LABELS = frozenset({"label", "labels", "etiqueta", "rotulo"})


def _key(heading: str) -> str:
    apart = unicodedata.normalize("NFKD", heading.lower())
    return " ".join(
        "".join(sign if sign.isalpha() else " " for sign in apart if not unicodedata.combining(sign)).split()
    )


def _column_of(heading: str) -> Column:
    words = words_of(heading)
    if words and set(_key(heading).split()) & _LABELS:
        return Column.PHONE_LABEL if words <= PHONES | NUMBERS | _LABELS | {"rótulo", "do", "de", "of"} else Column.NONE
    return Column.PHONE if says_number(words) else _KNOWN.get(_key(heading), Column.NONE)


def recognized(headings: Sequence[str]) -> list[str]:
    """Return what each column is; of a name or an e-mail the first column counts, of phones all.

    A heading that says "number" and nothing else is a phone only where no other is: it may be a house's.
    """
    columns = [_column_of(heading) for heading in headings]
    if any(column == Column.PHONE and words_of(said) & PHONES for said, column in zip(headings, columns, strict=True)):
        columns = [
            Column.NONE if column == Column.PHONE and words_of(said) <= NUMBERS else column
            for said, column in zip(headings, columns, strict=True)
        ]
    found: list[str] = []
    for column in columns:
        found.append(Column.NONE if column not in REPEATED and column in found else column)
    return [str(column) for column in found]


def heading_row(rows: Sequence[Sequence[str]]) -> int | None:
    """Return which of the first rows is the headings': the one that says most; None if none says anything."""
    known = [sum(map(bool, recognized(row))) for row in rows[:HEADED_WITHIN]]
    best = max(known, default=0)
    return known.index(best) if best else None


def guessed(rows: Sequence[Sequence[str]], *, region: str) -> list[str]:
    """Return what the columns of a file without headings are: numbers, e-mails, and the first that is neither."""
    width = max(map(len, rows), default=0)
    columns = [Column.NONE] * width
    for place in range(width):
        cells = [row[place] for row in rows if place < len(row) and row[place]]
        if cells and 2 * sum("@" in cell for cell in cells) > len(cells) and Column.EMAIL not in columns:
            columns[place] = Column.EMAIL
        elif cells and 2 * sum(_is_number(cell, region) for cell in cells) > len(cells):
            columns[place] = Column.PHONE
        elif any(sign.isalpha() for cell in cells for sign in cell) and Column.NAME not in columns:
            columns[place] = Column.NAME
    return [str(column) for column in columns]


def _is_number(cell: str, region: str) -> bool:
    try:
        return bool(to_e164(cell, region=region))
    except InvalidNumber:
        return False
