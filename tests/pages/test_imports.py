"""The pages of imports: upload, preview, progress, result, and the way to them and back to the contacts."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from crm import tenancy
from crm.audit_sentences import sentence_of
from crm.imports import begin, run
from crm.models import AuditEntry, Contact, ContactImport, Membership
from tests.conftest import Company

Sessions = Callable[[Membership], Client]
FILE = "Nome;Fone;Contato extra\n<b>Ana</b>;(11) 98765-4321;11 3234-5678\nBia;12;\n"
HTMX = {"HX-Request": "true", "HX-Target": "import-progress"}


def uploaded(browser: Client, content: str = FILE) -> str:
    """Upload a file; return the address that it leads to."""
    file = SimpleUploadedFile("my <list>.csv", content.encode())
    answer = browser.post("/contacts/import/", {"file": file})
    assert answer.status_code == 302, answer.content
    return str(answer["Location"])


def said(**changed: str) -> dict[str, str]:
    """What the preview's form sends."""
    return {"column_0": "name", "column_1": "phone", "column_2": "", "region": "BR", "rule": "fill"} | changed


def only(company: Company) -> ContactImport:
    """The company's import."""
    with tenancy.inside(company.id):
        return ContactImport.objects.get()


def test_the_preview_shows_what_the_columns_are_and_what_would_happen(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.manager)
    page = browser.get(uploaded(browser)).content.decode()
    assert "2 rows. Nothing is imported yet." in page
    assert "my &lt;list&gt;.csv" in page
    assert "&lt;b&gt;Ana&lt;/b&gt;" in page
    assert "<b>Ana" not in page
    assert '<option value="phone" selected>' in page
    assert "Fone: This is not a valid phone number." in page
    assert "+55 11 98765-4321" in page
    with tenancy.inside(ours.id):
        assert Contact.objects.count() == 1


def test_another_choice_is_previewed_and_kept_and_a_start_starts(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    path = uploaded(browser)
    answer = browser.post(path, said(column_2="phone", region="US", rule="skip"), headers={"HX-Request": "true"})
    page = answer.content.decode()
    assert "<b>Ana" not in page
    assert page.count("This is not a valid phone number.") == 3, "In the United States none of the three is one."
    found = only(ours)
    assert (found.columns, found.region, found.rule) == (["name", "phone", "phone"], "US", "skip")
    assert browser.post(path, said(column_2="phone") | {"start": "1"})["Location"] == path
    found = only(ours)
    assert (found.status, found.started_by_id) == ("running", ours.admin.user_id)
    page = browser.get(path).content.decode()
    assert '<progress class="import-bar" max="2" value="0"' in page
    assert "You may leave this page" in page
    assert browser.get(path, headers=HTMX).content.decode().startswith('<div id="import-progress"')
    assert run._step(ours.id, found.pk)
    answer = browser.get(path, headers=HTMX)
    assert (answer["HX-Retarget"], answer["HX-Reswap"]) == ("#import", "outerHTML")
    result = answer.content.decode()
    assert "The import is done" in result
    assert f"/contacts/?import={found.pk}" in result
    assert f"/contacts/import/{found.pk}/refused.csv" in result
    report = b"".join(browser.get(f"{path}refused.csv").streaming_content).decode()  # type: ignore[attr-defined]
    assert "3,Fone: This is not a valid phone number.,Bia,12," in report
    page = browser.get("/contacts/import/").content.decode()
    assert "1 made, 0 merged, 1 refused" in page
    with tenancy.inside(ours.id):
        [entry] = AuditEntry.objects.filter(action="contacts.imported")
    assert sentence_of(entry, {}).startswith(f"{ours.admin.user.email} imported contacts from my <list>.csv: 1 made")


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ({"column_2": "name"}, "Two columns are said to be the same."),
        ({"column_1": "", "start": "1"}, "Say which column has the phone numbers or the e-mails."),
        ({"region": "XX"}, "Select a valid choice."),
        ({"rule": "guess"}, "Select a valid choice."),
        ({"column_0": "nonsense"}, "Select a valid choice."),
    ],
    ids=str,
)
def test_what_cannot_be_is_said_and_starts_nothing(
    ours: Company, client_of: Sessions, typed: dict[str, str], sentence: str
) -> None:
    browser = client_of(ours.manager)
    page = browser.post(uploaded(browser), said(**typed)).content.decode()
    assert sentence in page
    assert only(ours).status == "uploaded"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "This file is empty."),
        (b"PK\x03\x04\x00\x00xlsx", "Save your sheet as CSV"),
        (b"Name,Phone\n", "This file has no rows with contacts."),
        (b"x" * (begin.MOST_BYTES + 1), "larger than 32 MB"),
    ],
    ids=["empty", "xlsx", "headings only", "large"],
)
def test_what_is_no_file_of_contacts_is_said_beside_it(
    ours: Company, client_of: Sessions, content: bytes, sentence: str
) -> None:
    file = SimpleUploadedFile("list.csv", content)
    page = client_of(ours.manager).post("/contacts/import/", {"file": file}).content.decode()
    assert sentence in page.partition('class="bad-why"')[2]


def test_a_file_is_discarded_and_an_import_canceled(ours: Company, client_of: Sessions, monkeypatch: Any) -> None:
    monkeypatch.setattr(begin, "PART_ROWS", 1)
    browser = client_of(ours.manager)
    path = uploaded(browser)
    page = browser.post(f"{path}cancel/", follow=True).content.decode()
    assert "The file is deleted; nothing was imported." in page
    assert browser.get(path).status_code == 404
    path = uploaded(browser)
    browser.post(path, said() | {"start": "1"})
    assert run._step(ours.id, only(ours).pk)
    page = browser.post(f"{path}cancel/", follow=True).content.decode()
    assert "The import was canceled" in page
    assert browser.post(f"{path}continue/").status_code == 409


def test_reps_find_no_way_in(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.rep)
    path = uploaded(client_of(ours.manager))
    for answer in (browser.get("/contacts/import/"), browser.get(path), browser.post(f"{path}cancel/")):
        assert answer.status_code == 403
    assert browser.get("/contacts/export.csv").status_code == 403
