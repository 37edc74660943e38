"""A rep's morning: home, a list called through with outcomes and follow-ups, and what is left to do afterwards."""

from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, log_in
from tests.browser.test_settings import pictures

pytestmark = [pytest.mark.browser, pytest.mark.stack]
# Each begins without a call of before in the panel.
MEMBERS = {1: ("rep", "+5511955500101"), 2: ("rep2", "+5511955500102"), 3: ("manager", "+5511955500103")}
ENGLISH = {
    "labels": ("E-mail", "Password", "Log in"),
    "today": "Today",
    "nothing due": "Nothing is due today",
    "contacts": "Contacts",
    "search": "Search contacts",
    "owner": "Owner",
    "me": "Me",
    "four": "4 contacts",
    "begin": "Call these one after the other",
    "run": "Calls one after the other",
    "call": "Call",
    "panel": "Your call",
    "note": "Note",
    "saved": "Saved",
    "how": "How did it go?",
    "interested": "Interested",
    "call back": "Call back",
    "tomorrow": "Tomorrow",
    "pick": "Pick a day",
    "day": "Day",
    "what": "What to do",
    "next": "Save & call next",
    "save": "Save",
    "result": "See the result",
    "over": "These calls are over.",
    "refused": "do-not-call list",
    "done": "Mark as done",
    "coming": "Coming up",
    "dismiss": "Dismiss",
}
PORTUGUESE = {
    "labels": ("E-mail", "Senha", "Entrar"),
    "today": "Hoje",
    "nothing due": "Nada para hoje",
    "contacts": "Contatos",
    "search": "Buscar contatos",
    "owner": "Responsável",
    "me": "Eu",
    "four": "4 contatos",
    "begin": "Ligar para estes, um após o outro",
    "run": "Ligações em sequência",
    "call": "Ligar para",
    "panel": "Sua ligação",
    "note": "Nota",
    "saved": "Salvo",
    "how": "Como foi?",
    "interested": "Interessado",
    "call back": "Ligar de novo",
    "tomorrow": "Amanhã",
    "pick": "Escolher um dia",
    "day": "Dia",
    "what": "O que fazer",
    "next": "Salvar e ligar para o próximo",
    "save": "Salvar",
    "result": "Ver o resultado",
    "over": "Estas ligações terminaram.",
    "refused": "lista de não ligar",
    "done": "Marcar como feito",
    "coming": "Próximos",
    "dismiss": "Dispensar",
}


def prepare(page: Page, demo: Stack, tag: str, count: int) -> str:
    """Make four contacts of a member's, the second not to be called; phones that answer and talk for two seconds.

    Returns the member's e-mail.
    """
    name, own_phone = MEMBERS[count]
    email = f"{name}@aurora.example"
    token = next(member["api_token"] for member in demo.sample["members"] if member["email"] == email)
    headers = {"Authorization": f"Bearer {token}"}
    me = page.request.get(f"{demo.web_url}/api/v1/me/", headers=headers).json()["user"]
    phones = f"{demo.simulator_url}/simulator/phones"
    page.request.put(
        f"{phones}/{quote(own_phone)}", data={"does": "answer", "after": 1, "press": "1", "press_after": 1}
    )
    for place, name in enumerate(("Alba", "Beto", "Celia", "Dora")):
        number = f"+55119876{count}{place:04}"[:14]
        made = page.request.post(
            f"{demo.web_url}/api/v1/contacts/",
            headers=headers,
            data={"name": f"{tag} {name}", "owner": me, "do_not_call": name == "Beto", "numbers": [{"number": number}]},
        )
        assert made.ok, made.text()
        page.request.put(f"{phones}/{quote(number)}", data={"does": "answer", "after": 1, "talk": 2})
    return email


@pytest.mark.parametrize(
    ("viewport", "language", "count"),
    [(DESK, "en", 1), (PHONE, "en", 2), (DESK, "pt-BR", 3)],
    ids=["desk", "phone", "portuguese"],
)
def test_a_rep_calls_through_a_list(
    open_page: Callable[..., Page], demo: Stack, viewport: dict[str, Any], language: str, count: int
) -> None:
    say: dict[str, Any] = ENGLISH if language == "en" else PORTUGUESE
    tag, shot = f"Rota{count}", f"{language}-"
    page = open_page(demo.web_url, viewport=viewport, language=language)
    email = prepare(page, demo, tag, count)
    log_in(page, demo, email, labels=say["labels"], first="/")
    main, panel = page.get_by_role("main"), page.get_by_role("complementary", name=say["panel"])
    expect(page.get_by_role("heading", name=say["today"], exact=True)).to_be_visible()
    expect(main).to_contain_text(say["nothing due"])
    pictures(page, f"{shot}home-before")

    page.get_by_role("navigation").get_by_role("link", name=say["contacts"]).click()
    page.get_by_label(say["search"]).fill(tag)
    expect(page.locator("#contacts > .row")).to_have_count(4)
    page.get_by_label(say["owner"]).select_option(label=say["me"])
    expect(page.locator("#start-run")).to_contain_text(say["four"])
    pictures(page, f"{shot}contacts-filtered")
    page.get_by_role("button", name=say["begin"]).click()
    expect(page.get_by_role("heading", name=say["run"])).to_be_visible()
    page.evaluate("() => { window.stayed = true; }")

    panel.get_by_role("button", name=f"{say['call']} {tag} Alba").click()
    expect(panel.locator(".panel-who")).to_contain_text("Alba")
    panel.get_by_label(say["note"]).fill("Has two shops")
    expect(panel.locator(".note-state")).to_have_text(say["saved"])
    expect(panel.get_by_text(say["how"])).to_be_visible()
    expect(panel.get_by_label(say["note"])).to_have_value("Has two shops")
    panel.get_by_label(say["interested"], exact=True).check()
    panel.get_by_label(say["tomorrow"], exact=True).check()
    panel.get_by_label(say["what"]).fill(f"{tag}: send the offer")
    pictures(page, f"{shot}wrap-up")
    panel.get_by_role("button", name=say["next"]).click()

    # Beto asked not to be called: his turn is passed over.
    expect(panel.locator(".panel-who")).to_contain_text("Celia")
    expect(panel.locator(".run-strip")).to_contain_text("Dora")
    expect(panel.get_by_text(say["how"])).to_be_visible()
    panel.get_by_label(say["call back"], exact=True).check()
    panel.get_by_label(say["pick"], exact=True).check()
    panel.get_by_label(say["day"], exact=True).fill(date.today().isoformat())
    panel.get_by_label(say["what"]).fill(f"{tag}: ring again")
    panel.get_by_role("button", name=say["next"]).click()

    expect(panel.locator(".panel-who")).to_contain_text("Dora")
    expect(panel.get_by_text(say["how"])).to_be_visible()
    panel.get_by_label(say["interested"], exact=True).check()
    panel.get_by_role("button", name=say["save"], exact=True).click()
    expect(panel.locator(".saved")).to_be_visible()
    assert page.evaluate("() => window.stayed"), "The page was loaded anew during the run."
    panel.get_by_role("link", name=say["result"]).click()
    expect(main).to_contain_text(say["over"])
    expect(main.locator(".run-row", has_text="Beto")).to_contain_text(say["refused"])
    expect(main.locator(".run-row", has_text="Alba")).to_contain_text(say["interested"])
    pictures(page, f"{shot}run-result")

    size = panel.locator("#panel-size")
    size.click()  # a pill, so that it covers nothing
    expect(panel.locator(".panel-buttons")).to_be_hidden()
    page.reload()
    expect(panel.locator("#panel-status")).not_to_be_empty()
    expect(panel.locator(".panel-buttons")).to_be_hidden()
    size.click()
    panel.get_by_role("button", name=say["dismiss"]).click()
    expect(panel.locator("#panel-status")).to_have_text("")
    page.locator("a.brand").click()
    due = main.locator(".follow-up-row", has_text=f"{tag}: ring again")
    expect(due).to_be_visible()
    expect(due.get_by_role("button", name=f"{tag} Celia")).to_be_visible()
    expect(main.locator(".owed-row", has_text=tag)).to_have_count(0)
    pictures(page, f"{shot}home-after")
    due.get_by_role("button", name=say["done"]).click()
    expect(due).to_have_count(0)
    main.get_by_text(say["coming"]).click()
    expect(main.locator(".coming")).to_contain_text(f"{tag}: send the offer")
    main.locator(".coming").get_by_role("link", name=f"{tag} Alba").click()
    timeline = page.locator("#timeline")
    expect(timeline).to_contain_text(f"{tag}: send the offer")
    expect(timeline.locator(".call-row")).to_have_count(1)
    pictures(page, f"{shot}contact-timeline")
