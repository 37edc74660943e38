"""The phones' web page in a real browser: a person plays a whole call by hand, with the mouse and with the keyboard."""

import shutil

import pytest
from playwright.sync_api import Page, expect, sync_playwright

pytestmark = pytest.mark.browser
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def open_page(simulator):
    """Open pages of the simulator at a width; whatever a page logs as an error fails the test."""
    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])

        def open_at(path: str, width: int) -> Page:
            page = browser.new_page(viewport={"width": width, "height": 900})
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
            page.goto(simulator.url + path)
            return page

        yield open_at
        browser.close()
    assert errors == []


def fits(page: Page) -> bool:
    """Whether neither the page nor a card on it is wider than the window."""
    return page.evaluate(
        "[document.documentElement, ...document.querySelectorAll('.phone')].every(e => e.scrollWidth <= e.clientWidth)"
    )


def test_a_person_plays_a_call_on_two_pages(desk, open_page):
    desk.phones(agent={"does": "manual"}, contact={"does": "manual"})
    desk.app.says("/pressed", "<Redirect>/twiml</Redirect>")
    desk.bridge(timeout="600")
    ask = '<Gather numDigits="1" action="/pressed" timeout="600"><Say>Press 1 to be connected</Say></Gather>'
    agent, everybody = open_page(f"/phone/{desk.agent}", 375), open_page("/", 1440)
    call = desk.call(desk.app.says("/ask", ask), timeout=600)

    expect(agent.get_by_role("status")).to_have_text("Ringing")
    expect(agent.locator(".detail")).to_have_text(f"Call from {desk.own}")
    expect(agent.locator("[aria-live]")).to_contain_text("ringing")
    assert fits(agent)
    agent.get_by_role("button", name="Answer").click()
    expect(agent.locator(".heard li")).to_have_text("Press 1 to be connected")
    agent.get_by_role("button", name="Hang up").focus()
    agent.keyboard.press("1")

    contact = everybody.get_by_role("article", name=f"Phone {desk.contact}")
    contact.get_by_role("button", name="Answer").click()
    expect(contact.locator(".detail")).to_contain_text(f"Talking with {desk.agent}")
    assert fits(everybody)
    contact.get_by_role("button", name="Hang up").click()
    expect(contact.get_by_role("status")).to_have_text("Idle")
    assert desk.ended(call.sid).status == "completed"
    assert desk.at("/action")[0]["DialBridged"] == "true"

    action = agent.locator("#log details").filter(has_text="DialBridged")
    action.locator("summary").click()
    expect(action.locator("pre")).to_contain_text("DialBridged: true")
