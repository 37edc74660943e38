"""An admin sets the organization up: rules, numbers not to call, the audit of it, and a token that is revoked."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, fits, log_in, picture

pytestmark = [pytest.mark.browser, pytest.mark.stack]
ADMIN, REP = "admin@aurora.example", "rep@aurora.example"
NEW_TOKEN = "0123456789abcdef" * 2
FILE = "name;phone\nAna;+55 11 9{:04}-1234\nBruno;twelve\nCarla;=1+1\n"


def pictures(page: Page, name: str) -> None:
    """The page in light and dark; nothing of it may be wider than the window."""
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        picture(page.locator("body"), f"{name}-{(page.viewport_size or {})['width']}-{scheme}")
    page.emulate_media(color_scheme="light")
    assert fits(page)


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_an_admin_walks_through_the_settings(
    open_page: Callable[..., Page], demo: Stack, viewport: dict[str, Any]
) -> None:
    page = open_page(demo.web_url, viewport=viewport)
    log_in(page, demo, ADMIN)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Settings").click()
    settings = page.get_by_role("navigation", name="Settings")
    expect(settings.get_by_role("link", name="Twilio")).to_have_attribute("aria-current", "page")
    pictures(page, "twilio")

    settings.get_by_role("link", name="Rules").click()
    expect(page.get_by_role("heading", name="Rules of calling")).to_be_visible()
    pictures(page, "rules")
    page.get_by_label("Calls at the same time").fill(str(viewport["width"]))
    page.get_by_label("Calls from").fill("09:00")
    page.get_by_label("Calls until").fill("09:00")
    page.get_by_text("choose").click()
    page.get_by_label("Portugal").check()
    page.get_by_role("button", name="Save the rules").click()
    expect(page.get_by_role("main")).to_contain_text("These hours would allow no call.")
    pictures(page, "rules-wrong")
    page.get_by_label("Calls until").fill("20:00")
    page.get_by_role("button", name="Save the rules").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    expect(page.get_by_label("Calls until")).to_have_value(re.compile("^20:00"))
    expect(page.locator("summary", has_text="Portugal")).to_be_visible()
    # The hours of the day are no other test's business.
    page.get_by_label("Calls from").fill("")
    page.get_by_label("Calls until").fill("")
    with page.expect_response(lambda answer: answer.request.method == "GET"):
        page.get_by_role("button", name="Save the rules").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")

    settings.get_by_role("link", name="Do not call").click()
    expect(page.get_by_role("heading", name="Do not call")).to_be_visible()
    pictures(page, "do-not-call-before")
    content = FILE.format(viewport["width"]).encode()
    page.get_by_label("CSV file").set_input_files({"name": "list.csv", "mimeType": "text/csv", "buffer": content})
    page.get_by_role("button", name="Import").click()
    told = page.get_by_role("status")
    expect(told).to_contain_text("The file is imported")
    expect(told).to_contain_text("Row 3 twelve")
    listed = page.locator("#listed > li").first
    number = f"+55 11 9{viewport['width']:04}-1234"
    expect(listed).to_contain_text(number)
    listed.locator("summary").click()
    expect(listed).to_contain_text("Calls to this number are allowed again.")
    pictures(page, "do-not-call")
    page.get_by_label("Search numbers").fill("99999999")
    expect(page.locator("#listed")).to_contain_text("No number on the list matches")
    page.get_by_label("Search numbers").fill("1234")
    expect(listed).to_contain_text(number)
    listed.locator("summary").click()
    page.get_by_role("button", name="Remove from the list").click()
    expect(page.get_by_role("status")).to_contain_text(f"{number} may be called again.")

    settings.get_by_role("link", name="Audit").click()
    lines = page.locator("#lines > li")
    expect(lines.first).to_contain_text(f"took {number} off the do-not-call list")
    expect(page.locator("#lines")).to_contain_text("Portugal")
    lines.first.locator("summary").click()
    pictures(page, "audit")
    page.get_by_label("What").select_option(label="Do-not-call file imported")
    page.get_by_role("button", name="Show", exact=True).click()
    expect(lines.first).to_contain_text("imported numbers not to call: 1 added, 2 left out")
    assert "zone=" in page.url
    pictures(page, "audit-narrowed")


def test_a_revoked_token_shows_on_every_page_until_an_admin_mends_it(
    open_page: Callable[..., Page], demo: Stack
) -> None:
    [aurora] = [one for one in demo.sample["organizations"] if "aurora" in one["name"].lower()]
    admin, rep = open_page(demo.web_url), open_page(demo.web_url, viewport=PHONE)
    log_in(admin, demo, ADMIN)
    log_in(rep, demo, REP)
    account = {"sid": aurora["account_sid"], "auth_token": NEW_TOKEN, "numbers": aurora["numbers"]}
    rep.request.post(f"{demo.simulator_url}/simulator/accounts", data=account)
    [token] = [one["api_token"] for one in demo.sample["members"] if one["email"] == REP]
    contact = next(one for one in demo.sample["contacts"] if one["organization"] == aurora["id"])
    said = rep.request.post(
        f"{demo.web_url}/api/v1/calls/", data={"contact": contact["id"]}, headers={"Authorization": f"Bearer {token}"}
    )
    assert '"twilio_code":20003' in said.text()
    rep.reload()
    expect(rep.locator("#broken")).to_contain_text("ask one of them")
    expect(rep.locator("#broken")).to_be_in_viewport(ratio=1)
    pictures(rep, "broken-rep")
    admin.reload()
    expect(admin.locator("#broken")).to_contain_text("Twilio code 20003")
    pictures(admin, "broken-admin")
    admin.get_by_role("link", name="Open the Twilio set-up").click()
    expect(admin.locator("#broken")).to_contain_text("Twilio code 20003")
    pictures(admin, "broken-twilio")
    checked = admin.locator("#twilio").element_handle()
    admin.get_by_role("button", name="Verify again").click()
    checked.wait_for_element_state("hidden")  # replaced by the answer, which would empty a field that is filled before
    expect(admin.locator("#broken")).to_contain_text("Twilio code 20003")
    admin.get_by_label("Auth token (optional)", exact=True).fill(NEW_TOKEN)
    admin.get_by_role("button", name="Save and verify").click()
    expect(admin.locator("#broken")).to_have_text("")
    rep.reload()
    expect(rep.locator("#broken")).to_have_text("")
