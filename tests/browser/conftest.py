"""The demo's stack on a database of its own, at a person's pace, and browsers to use it with."""

import logging
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, expect, sync_playwright

from crm.local.services import Services
from crm.local.stack import Stack

CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
logger = logging.getLogger(__name__)
PATIENCE = 20_000  # milliseconds until a page must show something; other tests run beside it
# How htmx logs a request that a newer one has replaced; one that failed is logged as htmx:sendError as well.
REPLACED = ("htmx:afterRequest", "htmx:sendAbort")
TALKED = re.compile("0:0[3-9]|0:[1-5][0-9]")  # three seconds or more: one of them alone may pass between two looks
PHONE, DESK = {"width": 375, "height": 812}, {"width": 1440, "height": 900}


def stack_on(name: str, *, history: bool = False) -> Stack:
    """A stack that has not started, on a new database and a folder of this name."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0")
    database = f"{name}_{worker}"
    # Not Django's connection: Playwright runs an event loop in this thread, and Django refuses to block one.
    with psycopg.connect(os.environ["DATABASE_OWNER_URL"], autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
    folder = Path(os.environ["STATIC_ROOT"]).parent / name
    folder.mkdir(exist_ok=True)

    def on_this_database(url: str) -> str:
        return f"{url.rpartition('/')[0]}/{database}"

    broker = os.environ["CELERY_BROKER_URL"].rpartition("/")[0]
    stack = Stack(
        Services(
            on_this_database(os.environ["DATABASE_URL"]),
            on_this_database(os.environ["DATABASE_OWNER_URL"]),
            f"{broker}/{8 + int(worker.removeprefix('gw'))}",
            folder,
        ),
        web_port=None,
        simulator_port=None,
        history=history,
        live_port=None,
    )
    stack.environment |= {
        "PUBLIC_BASE_URL": stack.web_url,
        "LIVE_URL": stack.live_url,
        "RECORDINGS_ROOT": str(folder / "recordings"),
        "STATIC_ROOT": str(folder / "static"),
    }
    return stack


@pytest.fixture(scope="module")
def demo() -> Iterator[Stack]:
    """Web, worker, beat, simulator and sample data, as `make demo` starts them."""
    stack = stack_on("demo")
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """`open_page(address)`: a browser of its own; what a page logs as an error fails the test, but of `quiet` paths."""
    errors: list[str] = []

    def at(address: str, *, viewport: Any = DESK, language: str = "en", quiet: str = "\n") -> Page:
        context = browser.new_context(viewport=viewport, locale=language)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))

        def note(said: ConsoleMessage) -> None:
            is_old = said.text.startswith(REPLACED)
            if said.type == "error" and not is_old and quiet not in (said.location or {}).get("url", ""):
                errors.append(f"{page.url}: {said.text}")

        page.on("console", note)
        page.goto(address)
        return page

    yield at
    for context in browser.contexts:
        context.close()
    assert errors == []


def log_in(
    page: Page,
    demo: Stack,
    email: str,
    *,
    labels: tuple[str, str, str] = ("E-mail", "Password", "Log in"),
    first: str = "/contacts/",
) -> None:
    """Fill the log-in form as a sample member; where no other page was asked for, `first` opens."""
    if page.url.endswith("?next=/"):
        page.goto(f"{demo.web_url}{first}")
    password = next(member["password"] for member in demo.sample["members"] if member["email"] == email)
    page.get_by_label(labels[0]).fill(email)
    page.get_by_label(labels[1]).fill(password)
    page.get_by_role("button", name=labels[2]).click()


def eventually_written(read: Callable[[], str | None]) -> str:
    """Ask until there is something to read; fail after PATIENCE."""
    deadline = time.monotonic() + PATIENCE / 1000
    while (found := read()) is None:
        assert time.monotonic() < deadline, "Nothing was written."
        time.sleep(0.1)
    return found


UNTIL = """(one, [patience]) => new Promise((done, failed) => {{
  const end = performance.now() + patience;
  const look = () => {{
    if (({condition})(one)) done();
    else if (performance.now() > end) failed("Never true.");
    else setTimeout(look, 50);
  }};
  look();
}})"""


def until(one: Locator, condition: str) -> None:
    """Wait until a function of the element, in JavaScript, is true.

    Playwright's own waiting evaluates strings, which the pages' Content Security Policy refuses.
    """
    one.evaluate(UNTIL.format(condition=condition), [PATIENCE])


WIDE = """() => {
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= width) return [];
  const reach = (one) => one.getBoundingClientRect().right;
  const wide = [...document.body.querySelectorAll("*")].filter((one) => reach(one) > width + 0.5);
  return ["wider than " + width + ":", ...wide.map((one) => one.outerHTML.slice(0, 120))];
}"""


def fits(page: Page) -> bool:
    """Whether nothing on the page is wider than the window; what is, is logged."""
    wide = page.evaluate(WIDE)
    if wide:
        logger.warning("%s", "\n".join(wide))
    return not wide


def picture(page: Page | Locator, name: str) -> None:
    """Keep a screenshot of a page, or of a part at its full height, in the folder that SCREENSHOTS names, if any."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png", caret="initial")  # hiding it needs an inline style
