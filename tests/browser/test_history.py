"""A manager finds a call among two thousand, listens to it beside the list, and keeps the view."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, fits, log_in, until
from tests.browser.test_settings import pictures

pytestmark = [pytest.mark.browser, pytest.mark.stack]
MANAGER = "manager@aurora.example"
SIZES = pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
SOUND = "(player) => player.querySelector('audio')"


@pytest.fixture(scope="module")
def past(demo: Stack) -> Stack:
    """The demo with ninety days of calls, some with a recording."""
    demo.manage("load_sample", "--history")
    return demo


def open_history(open_page: Callable[..., Page], demo: Stack, viewport: dict[str, Any], query: str = "") -> Page:
    """Log in as the sample's manager and come to the list."""
    page = open_page(f"{demo.web_url}/calls/{query}", viewport=viewport)
    log_in(page, demo, MANAGER)
    expect(page.get_by_role("heading", name="The team's calls")).to_be_visible()
    return page


def rows(page: Page) -> Any:
    """The calls that are listed."""
    return page.locator("#calls > li")


@SIZES
def test_a_manager_narrows_the_list_opens_a_call_and_listens(
    open_page: Callable[..., Page], past: Stack, viewport: dict[str, Any]
) -> None:
    page = open_history(open_page, past, viewport)
    expect(page.locator("#count")).to_have_text("1,000+")
    pictures(page, "history")

    # Filters go into the address as they are chosen, and the list follows.
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Recording").select_option("Recorded")
    expect(page).to_have_url(re.compile(r"/calls/\?has_recording=true$"))
    expect(page.locator("#count")).not_to_have_text("1,000+")
    page.get_by_label("Talk time from").fill("soon")
    page.get_by_label("Talk time from").press("Tab")
    expect(page.get_by_label("Talk time from")).to_have_accessible_description(
        "Write minutes and seconds, such as 2:30."
    )
    pictures(page, "history-wrong")
    page.get_by_label("Talk time from").fill("0:05")
    page.get_by_label("Talk time from").press("Tab")
    expect(page).to_have_url(re.compile(r"\?has_recording=true&duration_min=0%3A05$"))
    expect(page.get_by_label("Talk time from")).to_have_accessible_description("")

    # A search keeps the focus while it is typed.
    name = rows(page).first.locator(".row-title").inner_text()
    search = page.get_by_label("Search calls")
    search.press_sequentially(name)
    expect(page).to_have_url(re.compile(r"\?search="))
    expect(rows(page).first.locator(".row-title")).to_have_text(name)
    expect(search).to_be_focused()
    expect(search).to_have_value(name)
    narrowed = page.url

    # The drawer has an address of its own; Escape leads back to the row.
    row = rows(page).first.locator(".row-title")
    row.click()
    drawer = page.get_by_role("dialog")
    expect(drawer.get_by_role("heading", name=f"Call with {name}")).to_be_visible()
    expect(page).to_have_url(re.compile(r"&call=[0-9a-f-]{36}$"))
    expect(drawer.get_by_role("heading", name="Journal")).to_be_visible()
    pictures(page, "history-drawer")
    deep = page.url
    page.keyboard.press("Escape")
    expect(drawer).to_be_hidden()
    expect(row).to_be_focused()
    expect(page).to_have_url(narrowed)
    row.click()
    expect(drawer.get_by_role("heading", name=f"Call with {name}")).to_be_visible()
    page.go_back()
    expect(drawer).to_be_hidden()
    expect(page).to_have_url(narrowed)
    expect(search).to_have_value(name)

    # It opens from its link, and plays.
    page.goto(deep)
    expect(drawer.get_by_role("heading", name=f"Call with {name}")).to_be_visible()
    player = drawer.locator("[data-player]")
    listen(page, player)
    pictures(page, "history-player")
    drawer.get_by_role("button", name="Close").click()
    expect(drawer).to_be_hidden()
    expect(page).to_have_url(narrowed)
    rows(page).first.locator(".row-title").click()
    expect(drawer.locator(".listeners")).to_contain_text("Marta Manager")
    assert fits(page)


def listen(page: Page, player: Any) -> None:
    """Play, faster, step, mute and pause, with buttons and keys."""
    player.get_by_role("button", name="Play").click()
    until(player, f"(player) => ({SOUND})(player).currentTime > 0.3")
    assert player.evaluate(f"(player) => !({SOUND})(player).paused")
    player.get_by_label("Speed").select_option("1.5×")
    assert player.evaluate(f"(player) => ({SOUND})(player).playbackRate") == 1.5
    player.get_by_role("button", name="Pause").click()
    expect(player.get_by_role("button", name="Play")).to_be_visible()
    player.get_by_role("button", name="5 seconds back").click()
    expect(player.locator("[data-elapsed]")).to_have_text("0:00")
    page.keyboard.press("l")
    expect(player.locator("[data-elapsed]")).to_have_text("0:05")
    page.keyboard.press("j")
    expect(player.locator("[data-elapsed]")).to_have_text("0:00")
    page.keyboard.press("m")
    expect(player.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("m")
    expect(player.get_by_role("button", name="Mute")).to_have_attribute("aria-pressed", "false")
    player.get_by_label("Position").fill("3")
    expect(player.locator("[data-elapsed]")).to_have_text("0:03")


@SIZES
def test_listen_plays_in_the_row_one_at_a_time_at_the_speed_of_last_time(
    open_page: Callable[..., Page], past: Stack, viewport: dict[str, Any]
) -> None:
    page = open_history(open_page, past, viewport, "?has_recording=true")
    buttons = page.get_by_role("button", name=re.compile("^Listen to the call with"))
    buttons.nth(0).click()
    first = rows(page).locator("[data-player]").nth(0)
    until(first, f"(player) => ({SOUND})(player).currentTime > 0.1")
    first.get_by_label("Speed").select_option("2×")
    pictures(page, "history-listen")
    buttons.nth(1).click()
    second = rows(page).locator("[data-player]").nth(1)
    until(second, f"(player) => ({SOUND})(player).currentTime > 0.1")
    assert second.evaluate(f"(player) => ({SOUND})(player).playbackRate") == 2
    expect(first.get_by_role("button", name="Play")).to_be_visible()
    page.get_by_label("Search calls").focus()
    page.keyboard.press("k")
    assert second.evaluate(f"(player) => !({SOUND})(player).paused"), (
        "A letter that is typed is no key of the player's."
    )
    page.get_by_label("Search calls").fill("")
    page.get_by_role("heading", name="The team's calls").click()
    page.keyboard.press("k")
    expect(second.get_by_role("button", name="Play")).to_be_visible()
    buttons.nth(1).click()
    expect(second).to_be_hidden()
    page.reload()
    buttons.nth(0).click()
    expect(first.get_by_label("Speed")).to_have_value("2")


@SIZES
def test_chips_and_saved_views_lead_to_the_same_list_again(
    open_page: Callable[..., Page], past: Stack, viewport: dict[str, Any]
) -> None:
    page = open_history(open_page, past, viewport)
    chips = page.get_by_role("navigation", name="Kinds of calls")
    chips.get_by_role("link", name="No reply").click()
    expect(page).to_have_url(re.compile(r"\?show=no-reply$"))
    expect(chips.get_by_role("link", name="No reply")).to_have_attribute("aria-current", "true")
    page.locator("summary", has_text="Filters").click()
    page.get_by_label("Status").select_option("Busy")
    expect(page).to_have_url(re.compile(r"\?status=busy&show=no-reply$"))
    counted = page.locator("#count").inner_text()

    name = f"Busy {viewport['width']}"
    page.locator("summary", has_text="Views").click()
    page.get_by_label("Save these filters as").fill(name)
    pictures(page, "history-views")
    page.get_by_role("button", name="Save", exact=True).click()
    saved = page.get_by_role("navigation", name="Saved views").get_by_role("link", name=name)
    expect(saved).to_have_attribute("aria-current", "true")
    page.go_back()
    expect(page).to_have_url(re.compile(r"\?show=no-reply$"))
    expect(page.get_by_label("Status")).to_have_value("")
    page.goto(f"{past.web_url}/calls/")
    saved.click()
    expect(page).to_have_url(re.compile(r"\?show=no-reply&status=busy$"))
    expect(page.locator("#count")).to_have_text(counted)
    expect(page.get_by_label("Status")).to_have_value("busy")
    expect(chips.get_by_role("link", name="No reply")).to_have_attribute("aria-current", "true")

    with page.expect_download() as downloading:
        page.get_by_role("link", name="Export CSV").click()
    lines = downloading.value.path().read_text(encoding="utf-8-sig").splitlines()
    assert lines[0].startswith("id,created_at,")
    assert len(lines) - 1 >= 50

    page.locator("summary", has_text="Views").click()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name=f"Delete the view {name}").click()
    expect(saved).to_have_count(0)
    page.get_by_label("Search calls").fill("nobody at all")
    expect(page.get_by_role("main")).to_contain_text("No call matches these filters")
    pictures(page, "history-nothing")
    page.get_by_role("main").get_by_role("link", name="Clear the filters").last.click()
    expect(page).to_have_url(re.compile(r"/calls/$"))
    expect(page.locator("#count")).to_have_text("1,000+")
