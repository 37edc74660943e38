"""Every page that a link leads to, as a person meets it: no violation that axe-core finds, no jump, no dead end."""

import re
from collections import deque
from collections.abc import Callable, Iterator
from typing import Literal
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import resolve
from playwright.sync_api import Page, Request, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, fits, log_in, picture, stack_on, until
from tests.crm.test_accounts import code_for
from tests.crm.test_every_url import ADDRESSES, LINK, OPEN, STEP

pytestmark = pytest.mark.browser

ADMIN, REP = "admin@aurora.example", "rep2@aurora.example"
# The most that things may move by themselves while a page loads; browsers' makers call 0.1 good.
MOST_SHIFT = 0.05
SHIFTS = """addEventListener("DOMContentLoaded", () => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const one of list.getEntries()) if (!one.hadRecentInput) window.shifted += one.value;
  }).observe({ type: "layout-shift", buffered: true });
});"""
# A link in a picture, too, whose `href` is no text.
HREFS = "(all) => all.map((one) => new URL(one.getAttribute('href'), document.baseURI).href)"
# Addresses without a page of their own, and why.
POSTED = "a form is posted to it, and it answers with another page"
NO_PAGE = {
    "account/password/set/": "for those without a password, whom nothing here makes",
    "account/second-factor/confirm/": "asked after the password, where a second factor is set up: allauth's own form",
    "account/second-factor/recovery-codes/download/": "a file",
    "calls/live/": "a part of every page",
    "calls/<uuid:call_id>/player/": "a part of a row",
    "calls/<uuid:call_id>/hangup/": POSTED,
    "calls/<uuid:call_id>/outcome/": POSTED,
    "calls/live/dismiss/": POSTED,
    "calls/start/": POSTED,
    "contacts/export.csv": "a file",
    "contacts/import/<uuid:import_id>/": "there is none in the sample; test_import.py looks at it",
    "contacts/import/<uuid:import_id>/cancel/": POSTED,
    "contacts/import/<uuid:import_id>/continue/": POSTED,
    "contacts/import/<uuid:import_id>/refused.csv": "a file",
    "do-not-call/<uuid:listed_id>/remove/": POSTED,
    "do-not-call/import/": POSTED,
    "members/invitations/<uuid:invitation_id>/": POSTED,
    "organization/switch/": POSTED,
    "phone/test/": POSTED,
    "profile/leave/": POSTED,
    "calls/<uuid:call_id>/note/": POSTED,
    "follow-ups/<uuid:follow_up_id>/delete/": POSTED,
    "follow-ups/<uuid:follow_up_id>/done/": POSTED,
    "notes/<uuid:note_id>/delete/": POSTED,
    "runs/": POSTED,
    "runs/<uuid:run_id>/end/": POSTED,
    "runs/<uuid:run_id>/next/": POSTED,
    "runs/<uuid:run_id>/skip/": POSTED,
    "saved-views/": POSTED,
    "saved-views/<uuid:view_id>/delete/": POSTED,
    "twilio/next-token/": POSTED,
    "twilio/promote/": POSTED,
    "twilio/verify/": POSTED,
}
BEHIND_A_SECOND_FACTOR = {
    "account/second-factor/app/remove/",
    "account/second-factor/recovery-codes/",
    "account/second-factor/recovery-codes/new/",
}
PLAIN = str.maketrans("/:<>", "-___")
# What stands in the link of an e-mail, of no e-mail.
DEAD_LINKS = ("invitations/made_up/", "account/password/reset/1a-made-up/", "account/email/verify/made-up/")


@pytest.fixture(scope="module")
def past() -> Iterator[Stack]:
    """The demo with its 90 days of sample calls."""
    stack = stack_on("past", history=True)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def problems_of(page: Page) -> list[str]:
    """What is wrong with the page that is open, a line each."""
    found = [
        f"{one['id']} ({one['impact']}): {node['html'][:160]} {node['failureSummary'][:300]}"
        for one in Axe().run(page).response["violations"]
        for node in one["nodes"][:3]
    ]
    if not fits(page):
        found.append("wider than the window")
    if page.locator("h1").count() != 1:
        found.append(f"{page.locator('h1').count()} headings of the first level")
    shifted = page.evaluate("window.shifted")
    if shifted > MOST_SHIFT:
        found.append(f"things moved by {shifted:.3f}")
    return found


def route_of(address: str) -> str:
    """The pattern of the URLconf."""
    return resolve(urlsplit(address).path).route


def links_of(page: Page) -> list[str]:
    """The addresses on this site that the page's links lead to, in order, without downloads."""
    found = page.eval_on_selector_all("a[href]:not([download])", HREFS)
    here = urlsplit(page.url)
    return [one for one in found if urlsplit(one)[:2] == here[:2]]


def walk(page: Page, stack: Stack, *paths: str) -> tuple[set[str], dict[str, list[str]]]:
    """Follow every link from these pages, one of each kind of page; what kinds there are, and what is wrong where."""
    waiting, routes, wrong = deque(stack.web_url + path for path in paths), set[str](), dict[str, list[str]]()
    while waiting:
        route = route_of(address := waiting.popleft())
        if route in routes | NO_PAGE.keys() or route.startswith(("admin/", "api/")) or ADDRESSES[route] == OPEN:
            continue
        answer = page.goto(address)
        assert answer is not None, address
        assert answer.status == 200, f"{address}: {answer.status}"
        expect(page.locator("#panel[data-seen]")).to_be_attached()
        wrong[address] = problems_of(page)
        picture(page, f"page-{route.translate(PLAIN)}-{page.evaluate('innerWidth')}")
        routes |= {route, route_of(page.url)}
        waiting.extend(links_of(page))
    return routes, wrong


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("viewport", "scheme"), [(DESK, "light"), (PHONE, "dark")], ids=["desk", "phone"])
def test_every_page_is_for_everyone(
    open_page: Callable[..., Page], past: Stack, viewport: dict[str, int], scheme: Literal["light", "dark"]
) -> None:
    page = open_page("about:blank", viewport=viewport, quiet="/invitations/made_up/")
    page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
    page.add_init_script(SHIFTS)
    is_machines = ("api/", "healthz", "webhooks/", "^api")
    routes = {one for one, kind in ADDRESSES.items() if kind in (OPEN, STEP, LINK) and not one.startswith(is_machines)}
    wrong = {}
    for path in (*(one for one in routes if ADDRESSES[one] == OPEN), *DEAD_LINKS):
        page.goto(f"{past.web_url}/{path}")
        wrong[path] = problems_of(page)
    page.goto(f"{past.web_url}/login/")
    log_in(page, past, ADMIN)
    expect(page.locator("#panel[data-seen]")).to_be_attached()
    [opportunity, *_] = page.request.get(f"{past.web_url}/api/v1/opportunities/").json()["results"]
    contact = f"/contacts/{opportunity['contact']}/"
    page.goto(f"{past.web_url}{contact}")
    page.get_by_text("Write a note").click()
    page.get_by_role("textbox", name="Note").fill("Worth knowing")
    page.get_by_role("button", name="Save the note").click()
    expect(page.get_by_role("main")).to_contain_text("Worth knowing")
    more_paths = (contact, f"{contact}notes/new/", f"{contact}follow-ups/new/", f"/opportunities/{opportunity['id']}/")
    found, more = walk(page, past, "/", *more_paths)
    page.goto(f"{past.web_url}/contacts/")
    page.get_by_role("button", name="Call these one after the other").click()
    expect(page).to_have_url(re.compile("/runs/"))
    found, more = found | {route_of(page.url)}, more | {page.url: problems_of(page)}
    page.get_by_role("main").get_by_role("button", name="End the run").click()
    expect(page.get_by_role("main")).to_contain_text("These calls are over.")
    assert not told(wrong | more), told(wrong | more)
    unseen = {route for route in ADDRESSES if not route.startswith(is_machines)} - routes - found
    known = NO_PAGE.keys() | BEHIND_A_SECOND_FACTOR
    assert unseen == known, "\n".join(sorted(unseen ^ known))


@pytest.mark.timeout(600)
def test_every_page_that_a_second_factor_opens_is_for_everyone(open_page: Callable[..., Page], past: Stack) -> None:
    """A rep's other pages as well, as these lead to them."""
    page = open_page(f"{past.web_url}/login/", viewport=PHONE)
    page.add_init_script(SHIFTS)
    log_in(page, past, REP)
    expect(page.locator("#panel[data-seen]")).to_be_attached()
    set_up_second_factor(page, past)
    found, wrong = walk(page, past, "/account/second-factor/")
    assert not told(wrong), told(wrong)
    assert found >= BEHIND_A_SECOND_FACTOR


def told(wrong: dict[str, list[str]]) -> str:
    """What is wrong where, as text; empty if nothing is."""
    return "\n".join(f"{path}\n  " + "\n  ".join(said) for path, said in wrong.items() if said)


def set_up_second_factor(page: Page, stack: Stack) -> None:
    """With the password once more, and as with an authenticator app."""
    page.goto(f"{stack.web_url}/account/second-factor/app/")
    [password] = [one["password"] for one in stack.sample["members"] if one["email"] == REP]
    page.get_by_label("Password").fill(password)
    page.locator("main form button").click()
    expect(page).to_have_url(re.compile("/app/$"))
    secret = page.get_by_label("secret").input_value()
    page.get_by_label("Code").fill(code_for(secret))
    page.locator("main form button").click()
    expect(page).not_to_have_url(re.compile("/app/"))


def test_what_is_wrong_with_a_page_is_found(open_page: Callable[..., Page], past: Stack) -> None:
    """The test above can fail."""
    page = open_page("about:blank")
    page.add_init_script(SHIFTS)
    page.goto(f"{past.web_url}/login/")
    assert problems_of(page) == []
    page.evaluate("""() => {
      const more = "<h1>Twice</h1><img src='/static/favicon.svg'><p id='pale'>Pale</p>";
      document.querySelector("main").insertAdjacentHTML("afterbegin", more);
      document.getElementById("pale").style.cssText = "color: #ddd; background: #eee; width: 3000px; height: 500px";
    }""")
    until(page.locator("body"), f"() => window.shifted > {MOST_SHIFT}")
    found = "\n".join(problems_of(page))
    for said in ("image-alt", "color-contrast", "wider than the window", "2 headings", "things moved"):
        assert said in found


def test_the_first_page_is_small_and_comes_from_here_alone(open_page: Callable[..., Page], past: Stack) -> None:
    """Under 150 KB over the wire with nothing in the cache, the log-in's page and the first one behind it together."""
    page = open_page("about:blank")
    requests: list[Request] = []
    page.on("requestfinished", lambda one: requests.append(one))
    page.goto(f"{past.web_url}/login/")
    log_in(page, past, ADMIN)
    expect(page.locator("#panel[data-seen]")).to_be_attached()
    assert {urlsplit(one.url)[:2] for one in requests} == {urlsplit(past.web_url)[:2]}
    sizes = {
        one.url: sum(one.sizes()[part] for part in ("responseBodySize", "responseHeadersSize")) for one in requests
    }
    assert 10_000 < sum(sizes.values()) < 150_000, sizes
