"""The page of the numbers that nobody may call: seen and added to by all, imported and taken off by admins."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from crm import tenancy
from crm.do_not_call import MOST_BYTES, add_number
from crm.models import DoNotCall, Membership
from tests.conftest import Company

Sessions = Callable[[Membership], Client]
NUMBER, SHOWN = "+5511987654321", "+55 11 98765-4321"


def listed(company: Company) -> list[str]:
    """The organization's list."""
    with tenancy.inside(company.id):
        return sorted(DoNotCall.objects.values_list("number", flat=True))


def row_of(company: Company, number: str = NUMBER) -> DoNotCall:
    """A number that is listed."""
    return add_number(member=company.rep, number=number, reason="asked us to")[0]


def imported(browser: Client, content: bytes, **others: Any) -> str:
    """Send a file; return the page."""
    file = SimpleUploadedFile("list.csv", content, content_type="text/csv")
    answer = browser.post("/do-not-call/import/", {"file": file} | others)
    assert answer.status_code == 200
    return answer.content.decode()


def test_every_member_adds_a_number_as_they_write_it(ours: Company, client_of: Sessions) -> None:
    for member in (ours.rep, ours.manager, ours.admin):
        browser = client_of(member)
        typed = {"number": "(11) 98765-4321", "reason": "<b>asked</b> us"}
        page = browser.post("/do-not-call/", typed, follow=True).content.decode()
        assert f"{SHOWN} is on the list {'now' if member == ours.rep else 'already'}." in page
        assert "&lt;b&gt;asked&lt;/b&gt; us · Rep of Ours" in page
    assert listed(ours) == [NUMBER]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"number": "12"}, "This is not a valid phone number."),
        ({"number": ""}, "This field is required."),
        ({"number": "1" * 41}, "at most 40 characters"),
        ({"number": NUMBER, "reason": "x" * 201}, "at most 200 characters"),
        ({"number": "+55\x0011987654321"}, "Null characters are not allowed."),
    ],
    ids=str,
)
def test_what_is_no_number_is_said_beside_its_field(
    ours: Company, client_of: Sessions, typed: dict[str, str], said: str
) -> None:
    page = client_of(ours.rep).post("/do-not-call/", typed).content.decode()
    assert said in page.partition('class="bad-why"')[2]
    assert listed(ours) == []


def test_the_list_is_the_organizations_own_newest_first_and_searched_by_number(
    ours: Company, theirs: Company, client_of: Sessions
) -> None:
    for number in (NUMBER, "+551132345678"):
        row_of(ours, number)
    row_of(theirs, "+5521955500201")
    browser = client_of(ours.rep)
    page = browser.get("/do-not-call/").content.decode()
    assert page.index("+55 11 3234-5678") < page.index(SHOWN)
    assert "95550-0201" not in page
    htmx = {"HX-Request": "true", "HX-Target": "listed"}
    found = browser.get("/do-not-call/", {"q": "8765-43"}, headers=htmx).content.decode()
    assert SHOWN in found
    assert "3234-5678" not in found
    assert "<html" not in found
    for nothing in ("000000", "<nobody>"):
        page = browser.get("/do-not-call/", {"q": nothing}).content.decode()
        assert "No number on the list matches" in page
        assert "<nobody>" not in page


def test_the_list_comes_in_pages_without_a_gap(ours: Company, client_of: Sessions, monkeypatch: Any) -> None:
    monkeypatch.setattr("crm.views_do_not_call.PAGE_ROWS", 2)
    for last in range(5):
        row_of(ours, f"+551198765432{last}")
    browser, seen, before = client_of(ours.rep), [], None
    for _ in range(3):
        answer = browser.get("/do-not-call/", {"before": before} if before else {})
        seen += [row.number for row in answer.context["rows"]]
        before = answer.context["before"]
    assert (before, seen) == (None, sorted(listed(ours), reverse=True))
    assert browser.get("/do-not-call/", {"before": "x"}).status_code == 200


def test_an_empty_list_says_what_to_do(ours: Company, client_of: Sessions) -> None:
    assert "import a file of them" in client_of(ours.admin).get("/do-not-call/").content.decode()
    assert "An admin can import a whole file." in client_of(ours.rep).get("/do-not-call/").content.decode()


def test_a_member_finds_the_list_and_only_an_admin_the_rest(ours: Company, client_of: Sessions) -> None:
    row = row_of(ours)
    for member in (ours.rep, ours.manager):
        browser = client_of(member)
        assert 'href="/do-not-call/"' in browser.get("/contacts/").content.decode()
        page = browser.get("/do-not-call/").content.decode()
        assert "Import a file" not in page
        assert "Remove" not in page
        assert 'href="/audit/"' not in page
        assert browser.post(f"/do-not-call/{row.pk}/remove/").status_code == 403
        assert browser.post("/do-not-call/import/").status_code == 403
    assert listed(ours) == [NUMBER]


def test_an_admin_takes_a_number_off_and_no_stranger_does(ours: Company, theirs: Company, client_of: Sessions) -> None:
    row = row_of(ours)
    assert client_of(theirs.admin).post(f"/do-not-call/{row.pk}/remove/").status_code == 404
    browser = client_of(ours.admin)
    assert browser.get(f"/do-not-call/{row.pk}/remove/").status_code == 405, "A link that is followed removes nothing."
    page = browser.post(f"/do-not-call/{row.pk}/remove/", follow=True).content.decode()
    assert f"{SHOWN} may be called again." in page
    assert listed(ours) == []
    assert browser.post(f"/do-not-call/{row.pk}/remove/").status_code == 404


def test_a_file_is_imported_with_a_report_of_every_row(ours: Company, client_of: Sessions) -> None:
    row_of(ours)
    rows = ["nome;telefone", "João;(11) 98765-4321", "Zé;(11) 3234-5678", "Zé;(11) 3234-5678", "Ana;=1+1", "Eva;<i>"]
    browser = client_of(ours.admin)
    page = imported(browser, "\r\n".join(rows).encode("latin-1"), reason="asked us to")
    facts = page.partition('id="told-title"')[2]
    assert [part.partition("<")[0] for part in facts.split("<dd>")[1:4]] == ["1", "2", "2"]
    assert '<span class="muted">Row 5</span> <span class="code">=1+1</span>' in facts
    assert "&lt;i&gt;" in facts
    assert listed(ours) == ["+551132345678", NUMBER]


def test_of_many_rows_that_are_no_numbers_the_first_are_shown(ours: Company, client_of: Sessions) -> None:
    page = imported(client_of(ours.admin), b"x\n" * 500)
    assert "And 400 more." in page
    assert page.count('class="code">x<') == 100


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"1" * (MOST_BYTES + 1), "larger than 2 MB"),
        (b"", "This file is empty."),
        (b"PK\x03\x04\x00\x00xlsx", "Save your sheet as CSV"),
        (b"a,b\n11987654321,+5511987654321\n", "Write “number” above"),
    ],
    ids=["large", "empty", "xlsx", "which column"],
)
def test_what_is_no_list_is_said_beside_the_file(ours: Company, client_of: Sessions, content: bytes, said: str) -> None:
    page = imported(client_of(ours.admin), content)
    assert said in page.partition('class="bad-why"')[2]
    assert "The file is imported" not in page
    assert listed(ours) == []


def test_no_file_is_said_too(ours: Company, client_of: Sessions) -> None:
    assert "Choose a file." in client_of(ours.admin).post("/do-not-call/import/").content.decode()
