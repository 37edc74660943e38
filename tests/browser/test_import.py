"""A manager brings a list in, looks at what was refused, sees the contacts of that list, and takes them out again."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Download, Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, log_in
from tests.browser.test_settings import pictures

pytestmark = [pytest.mark.browser, pytest.mark.stack]


def lines_of(download: Download) -> list[list[str]]:
    """A CSV file that was downloaded."""
    with Path(download.path()).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def looked_at(page: Page, name: str) -> None:
    """Hold the page to what every page is held to, and keep its picture."""
    pictures(page, name)
    assert [one["id"] for one in Axe().run(page).response["violations"]] == []


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_manager_imports_a_list_and_exports_it(
    open_page: Callable[..., Page], demo: Stack, tmp_path: Path, viewport: dict[str, Any]
) -> None:
    width = viewport["width"]
    rows = [
        f"Pessoa {width} {n:04};Padaria {n % 7};{n % 100:02} {n};11 9{width:04}-{n:04};Rua A" for n in range(1, 2000)
    ]
    bad = f"Pessoa {width} errada;Padaria;x;12;Rua B"
    file = tmp_path / f"lista-{width}.csv"
    file.write_bytes("\r\n".join(["Nome;Empresa;Código;WhatsApp pessoal;Rua", *rows, bad]).encode("cp1252"))

    page = open_page(demo.web_url, viewport=viewport)
    log_in(page, demo, "manager@aurora.example")
    main = page.get_by_role("main")
    expect(main.get_by_role("link", name="Export")).to_be_visible()
    main.get_by_role("link", name="Import", exact=True).click()
    expect(page.get_by_role("heading", name="Import contacts")).to_be_visible()
    page.get_by_label("CSV file").set_input_files(file)
    page.get_by_role("button", name="Upload and preview").click()

    expect(page.get_by_role("heading", name=file.name)).to_be_visible()
    expect(main).to_contain_text("2,000 rows. Nothing is imported yet.")
    expect(page.get_by_label("Nome", exact=True)).to_have_value("name")
    expect(main).to_contain_text("There is neither a phone number nor an e-mail.")
    looked_at(page, "import-preview-wrong")
    page.get_by_label("WhatsApp pessoal").select_option("Phone")
    expect(main).to_contain_text(f"+55 11 9{width:04}-0001")
    looked_at(page, "import-preview")
    page.get_by_role("button", name="Import 2,000 rows").click()

    over = page.get_by_role("heading", name="The import is done")
    expect(page.get_by_role("progressbar", name="Rows that are done").or_(over)).to_be_visible()
    pictures(page, "import-progress")
    expect(over).to_be_visible()
    looked_at(page, "import-result")
    with page.expect_download() as report:
        page.get_by_role("link", name="Download the refused rows").click()
    heading, refused = lines_of(report.value)
    assert heading[:3] == ["Row", "Why it was refused", "Nome"]
    assert refused[:2] == ["2001", "WhatsApp pessoal: This is not a valid phone number."]
    assert ";".join(refused[2:]) == bad

    page.get_by_role("link", name="Show these contacts").click()
    expect(main).to_contain_text(f"Only contacts of the imported file {file.name}.")
    expect(main).to_contain_text(f"Pessoa {width} 0001")
    looked_at(page, "import-contacts")
    page.get_by_label("Search contacts").fill(f"{width} 0007")
    expect(main).to_contain_text(f"Pessoa {width} 0007")
    expect(main).not_to_contain_text(f"Pessoa {width} 0001")
    with page.expect_download() as export:
        main.get_by_role("link", name="Export").click()
    heading, one = lines_of(export.value)
    assert heading[:5] == ["Name", "Company", "E-mail", "Phone 1", "Label 1"]
    assert one[:4] == [f"Pessoa {width} 0007", "Padaria 0", "", f"'+55119{width:04}0007"]

    page.go_back()
    expect(over).to_be_visible()
    page.get_by_role("link", name="Import another file").click()
    expect(main.get_by_role("link", name=file.name)).to_be_visible()
    looked_at(page, "imports")
