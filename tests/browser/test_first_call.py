"""From an empty database to a recorded call, as somebody new would: the operator's one command, then pages only."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import PHONE, TALKED, eventually_written, fits, picture, stack_on

pytestmark = [pytest.mark.browser, pytest.mark.stack]
SID, TOKEN, OTHER_SID, OTHER_TOKEN = "AC" + "1" * 32, "a" * 32, "AC" + "2" * 32, "b" * 32
NUMBER, ADMIN_PHONE, REP_PHONE, CUSTOMER = "+551130000001", "+5511955500901", "+5511955500902", "+5521955500903"
ADMIN, REP, PASSWORD = "ana@nova.example", "rui@nova.example", "uma-frase-bem-comprida"


@pytest.fixture(scope="module")
def mails() -> str:
    """The folder's name that e-mails are written to, one file each."""
    return "mails"


@pytest.fixture(scope="module")
def empty(mails: str) -> Iterator[Stack]:
    """Everything runs, and the database holds no row of anybody's; Twilio knows two accounts."""
    stack = stack_on("empty")
    stack.environment["EMAIL_URL"] = f"filemail:///{stack.services.data_dir / mails}"
    stack.sample = {"organizations": []}
    try:
        stack.prepare()
        for name in ("web", "worker", "asker", "beat", "simulator"):
            stack.launch(name)
        for name in list(stack.children):
            stack.wait_ready(name)
        for sid, token, numbers in ((SID, TOKEN, [NUMBER]), (OTHER_SID, OTHER_TOKEN, ["+551130000002"])):
            account: dict[str, Any] = {"sid": sid, "auth_token": token, "numbers": numbers, "verified": []}
            account |= {"friendly_name": "Nova", "type": "Full", "status": "active"}
            request = urllib.request.Request(
                f"{stack.simulator_url}/simulator/accounts",
                data=json.dumps(account).encode(),
                headers={"Content-Type": "application/json"},
            )
            urllib.request.urlopen(request, timeout=10).close()
        yield stack
    finally:
        stack.stop()


def link_to(folder: Path, address: str) -> str:
    """The invitation's link in the e-mail to this address."""

    def written() -> str | None:
        for file in folder.glob("*.log"):
            text = file.read_text().replace("=\n", "")
            if f"To: {address}" in text and (found := re.search(r"http://\S+/invitations/\S+", text)):
                return found[0]
        return None

    return eventually_written(written)


def test_an_organization_comes_from_nothing_to_a_recorded_call(
    open_page: Callable[..., Page], empty: Stack, mails: str
) -> None:
    said = empty.manage("create_organization", "Nova Vendas", "nova", ADMIN, "--region", "BR")
    password = next(line.removeprefix("Password: ") for line in said.splitlines() if line.startswith("Password: "))

    # The admin logs in: nothing is connected, and the page says what to do.
    admin = open_page(empty.web_url)
    admin.get_by_label("E-mail").fill(ADMIN)
    admin.get_by_label("Password").fill(password)
    admin.get_by_role("button", name="Log in").click()
    expect(admin.get_by_role("main")).to_contain_text("Twilio is not connected yet")
    admin.get_by_role("navigation", name="Main").get_by_role("link", name="Settings").click()

    # What is wrong is said with its fix, and never called a success.
    admin.get_by_label("Account SID").fill("AC123")
    admin.get_by_label("Auth token").first.fill(TOKEN)
    admin.get_by_label("Caller ID").first.fill("(11) 3000-0001")
    save = admin.get_by_role("button", name="Save and verify")
    save.click()
    expect(admin.locator(".bad-why").first).to_be_visible()
    admin.get_by_label("Account SID").fill(SID)
    admin.get_by_label("Auth token").first.fill(OTHER_TOKEN)
    save.click()
    findings = admin.locator("#checks-title ~ .findings")
    expect(findings.locator(".failed").first).to_contain_text("20003")
    expect(findings.locator("li", has_text="Account").first).to_have_class("failed")
    admin.get_by_label("Auth token").first.fill(TOKEN)
    save.click()
    expect(findings.locator("li", has_text="Account").first).to_have_class("ok")
    expect(findings).to_contain_text("Not verified yet")
    expect(admin.locator("[aria-labelledby=numbers-title]")).to_contain_text("+55 11 3000-0001")
    picture(admin.locator("body"), "set-up")

    # The admin's own phone, checked by a test call.
    admin.goto(f"{empty.web_url}/profile/")
    admin.get_by_label("Name").fill("Ana Nova")
    admin.get_by_role("textbox", name="Phone").fill("11 95550-0901")
    admin.get_by_role("button", name="Save").click()
    expect(admin.locator("#phone-checked")).to_contain_text("not checked yet")
    admin.get_by_role("button", name="Test call to my phone").click()
    phone = open_page(f"{empty.simulator_url}/phone/{quote(ADMIN_PHONE)}")
    phone.get_by_role("button", name="Answer").click()
    expect(admin.locator("#panel-status")).to_contain_text("You answered: press a key")
    phone.get_by_role("button", name="1", exact=True).click()
    expect(admin.locator("#panel-status")).to_contain_text("Your phone works")
    expect(admin.locator("#phone-checked")).to_contain_text("checked on")
    admin.goto(f"{empty.web_url}/twilio/")
    expect(findings).to_contain_text("Verified: Twilio's signature was valid")

    # A rep is invited, follows the link on a telephone, and joins.
    admin.get_by_role("navigation", name="Settings").get_by_role("link", name="Members").click()
    admin.get_by_label("E-mail").fill(REP)
    admin.get_by_role("button", name="Send the invitation").click()
    expect(admin.get_by_role("status")).to_contain_text(f"on its way to {REP}")
    picture(admin.locator("body"), "members")
    rep = open_page(link_to(empty.services.data_dir / mails, REP), viewport=PHONE)
    expect(rep.get_by_role("heading", name="Join Nova Vendas")).to_be_visible()
    assert fits(rep)
    rep.get_by_label("Your name").fill("Rui Vendedor")
    rep.get_by_label("Your phone").fill("11 95550-0902")
    rep.get_by_label("Choose a password").fill("12345678")
    rep.get_by_role("button", name="Join").click()
    expect(rep.locator(".bad-why").first).to_be_visible()
    rep.get_by_label("Choose a password").fill(PASSWORD)
    rep.get_by_role("button", name="Join").click()
    rep.get_by_role("link", name="Find a contact").click()
    expect(rep.get_by_role("main")).to_contain_text("No contacts yet")
    assert fits(rep)

    # The first call, to a number that is typed; it is recorded, and the admin finds it.
    rep.get_by_label("Search contacts").fill("(21) 95550-0903")
    rep.get_by_role("button", name="Call +55 21 95550-0903").click()
    mine, theirs = (open_page(f"{empty.simulator_url}/phone/{quote(one)}") for one in (REP_PHONE, CUSTOMER))
    status = rep.locator("#panel-status")
    mine.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Press a key on your phone")
    mine.get_by_role("button", name="1", exact=True).click()
    theirs.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Connected")
    expect(status).to_contain_text(TALKED)
    rep.get_by_role("complementary", name="Your call").get_by_role("button", name="Hang up").click()
    expect(status).to_contain_text("Ended")
    admin.goto(f"{empty.web_url}/calls/")
    calls = admin.locator("#calls > li")
    expect(calls).to_have_count(1)  # the test call is no conversation
    calls.get_by_role("link").first.click()
    expect(admin.get_by_role("button", name="Play")).to_be_visible()

    # And who did all that is in the audit.
    admin.goto(f"{empty.web_url}/audit/")
    for sentence in ("saved the Twilio account", f"invited {REP}", "joined as: Rep"):
        expect(admin.get_by_role("main")).to_contain_text(sentence)
