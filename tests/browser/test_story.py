"""A morning of three people who have never seen it: a call, its outcome, the manager who listens, the admin's new rule.

`make pictures` takes the README's pictures from here.
"""

from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import PHONE, TALKED, log_in, picture, stack_on, until

pytestmark = [pytest.mark.browser, pytest.mark.stack]
REP, MANAGER, ADMIN = "rep@aurora.example", "manager@aurora.example", "admin@aurora.example"
REP_PHONE, CONTACT, CONTACT_PHONE = "+5511955500101", "Ana Souza", "+5521955500201"


@pytest.fixture(scope="module")
def morning() -> Iterator[Stack]:
    """The demo with its 90 days of sample calls."""
    stack = stack_on("morning", history=True)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def call(page: Page, mine: Page, theirs: Page, *, name: str) -> None:
    """Press Call beside the contact, answer on both phones and talk for some seconds; the rep's page shows it."""
    status = page.locator("#panel-status")
    page.get_by_role("button", name=f"Call {CONTACT} on").first.click()
    expect(status).to_contain_text("Calling your phone")
    mine.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Press a key on your phone")
    mine.get_by_role("button", name="1", exact=True).click()
    expect(status).to_contain_text(f"Ringing {CONTACT}")
    theirs.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Connected")
    expect(status).to_contain_text(TALKED)
    picture(page, name)
    page.get_by_role("complementary", name="Your call").get_by_role("button", name="Hang up").click()
    expect(status).to_contain_text("Ended")


@pytest.mark.timeout(300)
def test_a_call_is_made_written_up_found_and_heard_and_the_next_is_not_recorded(
    open_page: Callable[..., Page], morning: Stack
) -> None:
    rep = open_page(morning.web_url)
    log_in(rep, morning, REP, first="/")
    expect(rep.get_by_role("heading", name="Today")).to_be_visible()
    picture(rep, "home")
    rep.get_by_role("link", name="Find a contact").click()
    rep.get_by_label("Search contacts").fill("ana sou")
    rep.get_by_role("link", name=CONTACT).click()
    expect(rep.get_by_role("heading", name=CONTACT)).to_be_visible()
    mine, theirs = (open_page(f"{morning.simulator_url}/phone/{quote(one)}") for one in (REP_PHONE, CONTACT_PHONE))
    call(rep, mine, theirs, name="live-panel")

    panel = rep.get_by_role("complementary", name="Your call")
    panel.get_by_label("Interested", exact=True).check()
    panel.get_by_label("Note").fill("Wants two sofas by May")
    panel.get_by_label("Tomorrow").check()
    panel.get_by_label("What to do").fill("Send the offer")
    picture(rep, "wrap-up")
    panel.get_by_role("button", name="Save", exact=True).click()
    expect(rep.get_by_role("main")).to_contain_text("Send the offer")
    expect(rep.get_by_role("main")).to_contain_text("Wants two sofas by May")
    panel.get_by_role("button", name="Dismiss").click()

    manager = open_page(morning.web_url)
    log_in(manager, morning, MANAGER)
    manager.get_by_role("navigation", name="Main").get_by_role("link", name="Calls").click()
    manager.get_by_label("Search calls").fill("ana souza")
    first = manager.locator("#calls > li").first
    expect(first).to_contain_text("Interested")
    expect(first).to_contain_text("Rita Rep")
    first.get_by_role("link", name=CONTACT).click()
    drawer = manager.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name=f"Call with {CONTACT}")).to_be_visible()
    drawer.get_by_role("button", name="Play").click()
    until(drawer.locator("audio"), "(audio) => audio.currentTime > 0.2")
    picture(manager, "history")
    manager.goto(f"{morning.web_url}/dashboard/")
    expect(manager.get_by_role("heading", name="Best hour to call")).to_be_visible()
    picture(manager, "dashboard")
    manager.emulate_media(color_scheme="dark")
    picture(manager, "dashboard-dark")
    phone = open_page(morning.web_url, viewport=PHONE, language="pt-BR")
    log_in(phone, morning, MANAGER, labels=("E-mail", "Senha", "Entrar"))
    phone.goto(f"{morning.web_url}/calls/")
    expect(phone.locator("#calls > li").first).to_contain_text(CONTACT)
    picture(phone, "history-phone")

    admin = open_page(morning.web_url)
    log_in(admin, morning, ADMIN)
    admin.get_by_role("navigation", name="Main").get_by_role("link", name="Settings").click()
    admin.get_by_label("Record calls").uncheck()
    picture(admin, "set-up")
    admin.get_by_role("button", name="Save and verify").click()
    expect(admin.get_by_role("status")).to_contain_text("Saved.")
    call(rep, mine, theirs, name="not-recorded")
    expect(rep.locator("#panel-status")).not_to_contain_text("REC")
    panel.get_by_role("link", name="Open call").click()
    expect(rep.get_by_role("region", name="Recording")).to_contain_text("Not recorded (recording is off)")
