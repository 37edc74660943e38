"""A rep clicks, answers, presses a key, talks and listens to the recording: two browsers, every part real."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from crm.local.stack import Stack
from tests.browser.conftest import DESK, PHONE, TALKED, fits, log_in, picture

pytestmark = [pytest.mark.browser, pytest.mark.stack]
REP, REP_PHONE = "rep@aurora.example", "+5511955500101"
CONTACT, CONTACT_PHONE = "Ana Souza", "+5521955500201"
SEEK = """() => new Promise((done) => {
  const player = document.querySelector("audio");
  player.addEventListener("seeked", () => done(player.currentTime));
  player.currentTime = 2;
})"""


def test_a_rep_plays_a_whole_call_in_two_tabs(open_page: Callable[..., Page], demo: Stack) -> None:
    page = open_page(demo.web_url)
    log_in(page, demo, REP)
    mine, theirs = (open_page(f"{demo.simulator_url}/phone/{number}") for number in (REP_PHONE, CONTACT_PHONE))
    status = page.locator("#panel-status")

    page.get_by_role("button", name=f"Call {CONTACT} on +55 21 95550-0201").first.click()
    expect(status).to_contain_text("Calling your phone +55 11 95550-0101")
    mine.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text(f"Press a key on your phone to call {CONTACT}")
    mine.get_by_role("button", name="1", exact=True).click()
    expect(status).to_contain_text(f"Ringing {CONTACT}")
    picture(page, "live-panel")

    page.reload()  # the panel survives, and so does the other page's
    expect(status).to_contain_text(f"Ringing {CONTACT}")
    expect(page.get_by_role("button", name="Call Bruno Lima on +55 11 95550-0202").first).to_be_disabled()
    theirs.get_by_role("button", name="Answer").click()
    expect(status).to_contain_text("Connected")
    expect(status).to_contain_text("REC")
    expect(status).to_contain_text(TALKED)
    page.get_by_role("link", name="Open call").click()
    expect(page.get_by_role("heading", name=f"Call with {CONTACT}")).to_be_visible()
    page.get_by_role("complementary", name="Your call").get_by_role("button", name="Hang up").click()

    expect(status).to_contain_text("Ended")
    wrap_up = page.get_by_role("complementary", name="Your call")
    expect(wrap_up.get_by_text("How did it go?")).to_be_visible()
    wrap_up.get_by_label("Note").fill("Wants two sofas")
    player = page.get_by_role("button", name="Play")
    expect(player).to_be_visible()  # it appears by itself once the recording is here
    wrap_up.get_by_label("Interested", exact=True).check()
    wrap_up.get_by_role("button", name="Save").click()
    expect(wrap_up.locator(".saved")).to_contain_text("Saved.")
    page.reload()
    expect(page.locator("#outcome-title ~ div").get_by_label("Interested", exact=True)).to_be_checked()
    expect(page.locator("#outcome-title ~ div").get_by_label("Note")).to_have_value("Wants two sofas")
    expect(player).to_be_visible()  # it appears by itself once the recording is here
    expect(page.locator("#legs-title ~ .legs")).to_contain_text("Contact's phone")
    journal = page.locator(".journal > li")
    assert journal.count() >= 13
    answered = journal.filter(has_text="Contact's phone: status callback").filter(has_text="Ringing → Connected")
    expect(answered).to_contain_text("Contact answered")
    expect(answered.locator(".won").first).to_be_visible()
    picture(page.locator("#call"), "call-journal")
    address = page.url
    # The player seeks: the browser asks for a range, and plays from there.
    # In one promise: Playwright's own polling would need eval, which the page's CSP refuses.
    player.click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    assert page.evaluate(SEEK) >= 2
    picture(page, "call")

    page.goto(f"{demo.web_url}/calls/")
    expect(page.get_by_role("main")).to_contain_text(CONTACT)
    picture(page, "history")
    assert fits(page)

    narrow = open_page(demo.web_url, viewport={"width": 320, "height": 640})
    log_in(narrow, demo, REP)
    narrow.goto(address)
    expect(narrow.locator(".facts").first).to_be_visible()
    assert fits(narrow)

    mobile = open_page(demo.web_url, viewport=PHONE, language="pt-BR")
    log_in(mobile, demo, REP, labels=("E-mail", "Senha", "Entrar"))
    mobile.goto(address)
    expect(mobile.locator(".journal")).to_contain_text("Telefone do contato: aviso de status")
    mobile.locator("#panel-size").click()  # out of the way: the outcome of the call is still to be written there
    mobile.locator(".journal details").last.locator("summary").click()
    expect(mobile.locator(".journal .parameters").last).to_contain_text("RecordingStatus")
    assert fits(mobile)
    picture(mobile.locator("#call"), "call-journal-phone")


def test_a_rep_cancels_while_the_own_phone_rings(open_page: Callable[..., Page], demo: Stack) -> None:
    page = open_page(demo.web_url, viewport=PHONE)
    log_in(page, demo, "rep2@aurora.example")
    page.get_by_role("button", name="Call Carla Dias").first.click()
    status = page.locator("#panel-status")
    expect(status).to_contain_text("Calling your phone")
    assert fits(page)
    picture(page, "live-panel-phone")
    page.get_by_role("complementary", name="Your call").get_by_role("button", name="Cancel").click()
    expect(status).to_contain_text("Canceled")
    expect(page.get_by_role("button", name="Call Carla Dias").first).to_be_enabled()


def test_another_tab_follows_a_call_and_its_history_too(open_page: Callable[..., Page], demo: Stack) -> None:
    page = open_page(demo.web_url)
    log_in(page, demo, "admin@aurora.example")
    page.goto(f"{demo.web_url}/calls/")
    rows = page.locator("#calls > li")
    before = rows.count()
    other = page.context.new_page()
    other.goto(f"{demo.web_url}/contacts/")
    other.get_by_role("button", name="Call Bruno Lima").first.click()
    expect(other.locator("#panel-status")).to_contain_text("Calling your phone")
    # Nobody touches the first tab.
    expect(page.locator("#panel-status")).to_contain_text("Calling your phone")
    expect(rows).to_have_count(before + 1)
    other.get_by_role("complementary", name="Your call").get_by_role("button", name="Cancel").click()
    expect(rows.first).to_contain_text("Canceled")


def test_every_page_fits_and_speaks_portuguese(open_page: Callable[..., Page], demo: Stack) -> None:
    for viewport in (PHONE, DESK):
        page = open_page(demo.web_url, viewport=viewport, language="pt-BR")
        log_in(page, demo, "admin@aurora.example", labels=("E-mail", "Senha", "Entrar"))
        expect(page.get_by_role("heading", name="Contatos")).to_be_visible()
        assert fits(page)
        picture(page, f"contacts-{viewport['width']}")
        page.goto(f"{demo.web_url}/calls/")
        expect(page.locator("html")).to_have_attribute("lang", "pt-br")
        picture(page, f"history-{viewport['width']}")
        assert fits(page)
        for path in ("profile", "twilio"):
            page.goto(f"{demo.web_url}/{path}/")
            expect(page.get_by_role("button", name="Ligação de teste para o meu telefone")).to_be_visible()
            picture(page, f"{path}-{viewport['width']}")
            assert fits(page)


def test_a_rep_with_a_stuck_call_is_told_why_and_ends_it(open_page: Callable[..., Page], demo: Stack) -> None:
    faults = f"{demo.simulator_url}/simulator/faults"
    page = open_page(demo.web_url, viewport=PHONE, language="pt-BR")
    log_in(page, demo, "manager@aurora.example", labels=("E-mail", "Senha", "Entrar"))
    page.request.put(faults, data=[{"on": "create", "do": "cut-before"}])
    try:
        page.get_by_role("button", name="Ligar para Bruno Lima").first.click()
        stuck = page.locator("#stuck")
        expect(stuck).to_contain_text("A Twilio não confirmou sua última ligação para Bruno Lima")
    finally:
        page.request.put(faults, data=[])
    expect(page.locator("#panel")).to_contain_text("A Twilio não confirmou")
    assert fits(page)
    picture(page, "stuck-phone")
    page.set_viewport_size(DESK)
    picture(page, "stuck-desk")
    stuck.get_by_role("button", name="Encerrar essa ligação").click()
    expect(stuck).to_contain_text("Você cancelou sua última ligação")
    expect(stuck.get_by_role("button")).to_have_count(0)
    page.reload()
    expect(stuck).to_contain_text("Você cancelou sua última ligação")
