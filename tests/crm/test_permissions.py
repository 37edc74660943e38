"""Who may ask what: every cell of docs/permissions.md is asked, and a new address fails until it is in the table."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from calls.models import CallLog, Recording
from crm.models import Membership
from tests.conftest import Api, Company
from tests.crm.rows import make_call, make_recording, one_of_each
from tests.crm.test_every_url import CALLBACK, EVERY, METHODS, NOWHERE, ROWS, Address, ask

TABLE = Path(__file__).parents[2] / "docs/permissions.md"
WHO = ("nobody", "rep", "manager", "admin", "a colleague's", "another organization's")
MEMBERS_BY_TABLE = [address for address in EVERY if address.kind not in (CALLBACK, NOWHERE)]
ASKED = tuple(method for method in METHODS if method != "HEAD")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    method: str
    route: str
    statuses: tuple[str, ...]

    def __str__(self) -> str:
        return f"| {self.method} | `/{self.route}` | {' | '.join(self.statuses)} |"


def rows() -> Iterator[Row]:
    """The table as it is written down."""
    for line in TABLE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| ") and cells[0] in METHODS:
            yield Row(cells[0], cells[1].strip("`").removeprefix("/"), tuple(cells[2:]))


WRITTEN = list(rows())


def answers(
    method: str, address: Address, ours: Company, theirs: Company, client_of: Callable[[Membership], Client]
) -> tuple[str, ...]:
    """What each of WHO is answered; a dash where the address names no row that could be somebody else's.

    Nothing where there is no such method. An empty body is sent, so 400 and 302 say that the role itself was no
    hindrance. Rows are made anew for each, as some of the answers delete one.
    """
    kinds = {ROWS[name] for name in address.parameters if name in ROWS}

    def client(member: Membership) -> Client:
        return Api(member).client if address.is_api else client_of(member)

    def told(who: Client, *, of: Company, **instead: Any) -> str:
        known = (one_of_each(of) | {type(row): row for row in instead.values()}) if kinds else {}
        path = address.of(known) if address.parameters else reverse(address.name)
        return str(ask(who, method, path).status_code)

    if told(client(theirs.admin), of=theirs) == "405":
        return ()
    said = [told(Client(), of=ours), *(told(client(one), of=ours) for one in (ours.rep, ours.manager, ours.admin))]
    colleagues = "–"
    if {CallLog, Recording} & kinds:
        call = make_call(ours, ours.rep2, status="completed", stage="ended")
        colleagues = told(client(ours.rep), of=ours, call=call, recording=make_recording(call, b"RIFF of a colleague"))
    strangers = told(client(ours.admin), of=theirs) if kinds else "–"
    return (*said, colleagues, strangers)


@pytest.mark.parametrize("address", MEMBERS_BY_TABLE, ids=lambda address: address.route)
def test_everybody_is_answered_as_the_table_says(
    ours: Company,
    theirs: Company,
    client_of: Callable[[Membership], Client],
    settings: Any,
    request: pytest.FixtureRequest,
    address: Address,
) -> None:
    """`make permissions` writes what is answered into the table instead, to be read before it is committed."""
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"  # nobody is called
    asked = [Row(method, address.route, answers(method, address, ours, theirs, client_of)) for method in ASKED]
    found = [row for row in asked if row.statuses]
    if request.config.getoption("--write-permissions"):
        write(address, found)
        return
    written = "\n".join(str(row) for row in WRITTEN if row.route == address.route)
    assert written == "\n".join(map(str, found)), "Run `make permissions`, and read what it changes."


def write(address: Address, found: list[Row]) -> None:
    """Put an address's lines where they belong in the table."""
    lines = [line for line in TABLE.read_text().splitlines() if f"| `/{address.route}` |" not in line]
    title = "## REST" if address.is_api else "## Pages"
    first = lines.index(title) + 4
    last = next((place for place in range(first, len(lines)) if not lines[place].startswith("| ")), len(lines))
    cells = {line: [cell.strip(" `") for cell in line.split("|")] for line in (*lines[first:last], *map(str, found))}
    lines[first:last] = sorted(cells, key=lambda line: (cells[line][2], ASKED.index(cells[line][1])))
    TABLE.write_text("\n".join(lines) + "\n")


def test_the_table_names_no_address_in_vain() -> None:
    assert {row.route for row in WRITTEN} <= {address.route for address in MEMBERS_BY_TABLE}
    heads = re.findall(r"^\| method \| address \| (.*) \|$", TABLE.read_text(), re.MULTILINE)
    assert heads
    assert {tuple(cell.strip() for cell in head.split("|")) for head in heads} == {WHO}
