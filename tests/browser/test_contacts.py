"""A rep writes a contact down from a number that was typed, and what it may buy."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, log_in
from tests.browser.test_settings import pictures

pytestmark = [pytest.mark.browser, pytest.mark.stack]


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_a_rep_writes_a_contact_and_an_opportunity(
    open_page: Callable[..., Page], demo: Stack, viewport: dict[str, Any]
) -> None:
    number = f"+55 11 98765-{viewport['width']:04}"
    page = open_page(demo.web_url, viewport=viewport)
    log_in(page, demo, "rep@aurora.example")
    main = page.get_by_role("main")
    expect(main.get_by_role("link", name="New contact", exact=True)).to_be_visible()
    page.get_by_label("Search contacts").fill(number)
    found = main.get_by_role("link", name="New contact with this number")
    expect(found).to_be_visible()
    pictures(page, "contacts-typed")
    found.click()
    expect(page.get_by_label("Number 1")).to_have_value(number)
    page.get_by_label("Name").fill("Beatriz Ramos")
    page.get_by_label("Company").fill("Forno & Farinha")
    page.get_by_label("Number 2").fill("12")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Number 2")).to_have_accessible_description(
        "This is no phone number. Write it with its area code."
    )
    pictures(page, "contact-wrong")
    page.get_by_label("Number 2").fill("")
    page.get_by_label("Do not call").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Beatriz Ramos")).to_be_visible()
    expect(main).to_contain_text("Do not call since")
    page.get_by_role("link", name="New opportunity").click()
    page.get_by_label("Title").fill("Three deck ovens for the new shop")
    page.get_by_label("Stage").fill("proposal sent")
    page.get_by_label("Amount").fill("48500")
    page.get_by_role("button", name="Save").click()
    expect(main).to_contain_text("48,500.00")
    pictures(page, "opportunity")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(page.get_by_label("Amount")).to_have_value("48500.00")
    page.get_by_label("Stage").fill("won")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#timeline")).to_contain_text("proposal sent → won")
    main.get_by_role("link", name="Beatriz Ramos").first.click()
    expect(page.get_by_role("heading", name="Beatriz Ramos")).to_be_visible()
    pictures(page, "contact")
    page.get_by_role("link", name="Edit", exact=True).click()
    expect(main).to_contain_text("Only an admin lets this contact be called again.")
    pictures(page, "contact-edit")
