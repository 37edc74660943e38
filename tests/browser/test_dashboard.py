"""A manager looks at the figures of the sample's 90 days, and at who is on a call right now."""

from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, fits, log_in, picture, stack_on

pytestmark = [pytest.mark.browser, pytest.mark.stack]
MANAGER, REP, REP_PHONE = "manager@aurora.example", "rep@aurora.example", "+5511955500101"
PORTUGUESE = ("E-mail", "Senha", "Entrar")
CONTACT = "Ana Souza"


@pytest.fixture(scope="module")
def past() -> Iterator[Stack]:
    """The demo, with its 90 days of calls."""
    stack = stack_on("past", history=True)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_manager_reads_the_figures(open_page: Callable[..., Page], past: Stack, viewport: dict[str, int]) -> None:
    page = open_page(past.web_url, viewport=viewport)
    log_in(page, past, MANAGER)
    page.get_by_role("navigation", name="Main").get_by_role("link", name="Dashboard").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()
    expect(page.locator(".figure")).to_have_count(4)
    expect(page.locator(".columns .plot")).to_be_visible()
    assert fits(page)
    picture(page, f"dashboard-top-{viewport['width']}")
    picture(page.locator("main"), f"dashboard-{viewport['width']}")
    page.emulate_media(color_scheme="dark")
    picture(page.locator("main"), f"dashboard-dark-{viewport['width']}")
    page.emulate_media(color_scheme="light")

    page.get_by_role("navigation", name="Period").get_by_role("link", name="90 days").click()
    expect(page.locator(".as-table tbody tr")).to_have_count(90)
    assert fits(page)

    day = page.locator("section", has=page.get_by_role("heading", name="Calls by day"))
    table = day.get_by_role("table")
    expect(table).to_be_hidden()
    day.get_by_text("Show as a table").click()
    expect(table).to_be_visible()
    expect(table.get_by_role("row")).to_have_count(91)
    assert fits(page)

    reps = page.locator("section", has=page.get_by_role("heading", name="By rep"))
    figure = reps.get_by_role("row", name="Rita Rep").get_by_role("link").first
    said = figure.inner_text()
    figure.click()
    expect(page.get_by_role("heading", name="The team's calls")).to_be_visible()
    expect(page.locator("#count")).to_have_text(said)


def test_a_figure_is_printed_with_its_table(open_page: Callable[..., Page], past: Stack) -> None:
    page = open_page(past.web_url, language="pt-BR")
    log_in(page, past, MANAGER, labels=PORTUGUESE)
    expect(page.locator("#panel[data-seen]")).to_be_attached()
    page.goto(f"{past.web_url}/dashboard/?days=90")
    table = page.locator(".as-table table")
    expect(table).to_be_hidden()
    page.emulate_media(media="print", color_scheme="dark")
    expect(table).to_be_visible()
    expect(page.locator("header.top")).to_be_hidden()
    # Dark letters on white paper, whatever the screen's theme.
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(23, 33, 29)"


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_board_follows_a_call_from_its_ring_to_its_end(
    open_page: Callable[..., Page], past: Stack, viewport: dict[str, int]
) -> None:
    board = open_page(past.web_url, viewport=viewport)
    log_in(board, past, MANAGER)
    board.get_by_role("navigation", name="Main").get_by_role("link", name="Live", exact=True).click()
    expect(board.get_by_text("Nobody is on a call right now.")).to_be_visible()

    rep = open_page(past.web_url)
    log_in(rep, past, REP)
    rep.goto(f"{past.web_url}/contacts/?q=Ana+Souza")
    rep.get_by_role("button", name=f"Call {CONTACT} on +55 21 95550-0201").first.click()
    line = board.locator(".board-row", has_text="Rita Rep")
    expect(line).to_contain_text(CONTACT)
    expect(line).to_contain_text("Ringing the rep")
    expect(board.get_by_text("On a call: 1 of 4")).to_be_visible()
    clock = line.locator(".clock")
    before = clock.inner_text()
    expect(clock).not_to_have_text(before)
    board.emulate_media(color_scheme="dark")
    picture(board, f"board-{viewport['width']}")
    assert fits(board)

    mine = open_page(f"{past.simulator_url}/phone/{REP_PHONE}")
    mine.get_by_role("button", name="Answer").click()
    expect(rep.locator("#panel-status")).to_contain_text("Press a key on your phone")
    mine.get_by_role("button", name="1", exact=True).click()
    expect(line).to_contain_text("Ringing the contact")
    rep.get_by_role("complementary", name="Your call").get_by_role("button", name="Cancel").click()
    expect(line).to_contain_text("Free")
    expect(board.get_by_text("Nobody is on a call right now.")).to_be_visible()
