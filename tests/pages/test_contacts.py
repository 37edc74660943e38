"""The pages on which contacts and opportunities are written: filled in without a script, errors beside their fields."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calls.models import CallLog
from crm import tenancy
from crm.models import Contact, ContactNumber, Membership, Opportunity
from tests.conftest import Company

Sessions = Callable[[Membership], Client]
MOBILE = "+5511987654321"


def shown_in(page: str) -> dict[str, str]:
    """What a browser would send back of a page's own form, untouched."""
    form = page.partition("<main")[2].partition('<form method="post"')[2].partition("</form>")[0]
    sent = {}
    for tag in re.findall(r"<input[^>]*>", form):
        said = dict(re.findall(r'([\w-]+)="([^"]*)"', tag))
        if said.get("type") != "checkbox" or " checked" in tag:
            sent[said["name"]] = unescape(said.get("value", "on" if said.get("type") == "checkbox" else ""))
    for name, options in re.findall(r'<select name="([^"]*)"[^>]*>(.*?)</select>', form, re.DOTALL):
        chosen = re.findall(r'<option value="([^"]*)" selected', options)
        sent[name] = unescape(chosen[0]) if chosen else ""
    return sent


def why(page: str) -> list[str]:
    """What is said beside fields."""
    return [unescape(said) for said in re.findall(r'class="bad-why" id="([^"]*)"', page)]


def contact_of(company: Company) -> tuple[Contact, list[tuple[str, str]]]:
    """The company's contact and its numbers, as they stand."""
    with tenancy.inside(company.id):
        found = Contact.objects.get(pk=company.contact.pk)
        return found, list(ContactNumber.objects.filter(contact=found).values_list("number", "label"))


def test_a_new_contact_is_written_without_a_script_and_opens(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.rep)
    listed = browser.get("/contacts/").content.decode()
    assert 'href="/contacts/new/"' in listed
    empty = shown_in(browser.get("/contacts/new/").content.decode())
    assert empty["owner"] == str(ours.rep.user_id)
    typed = {"name": "Ana <b>", "number_0": "", "number_1": "(11) 98765-4321", "label_1": "mobile", "number_2": ""}
    answer = browser.post("/contacts/new/", empty | typed, follow=True)
    page = answer.content.decode()
    assert "Ana &lt;b&gt;" in page
    assert "Saved." in page
    assert "+55 11 98765-4321" in page
    assert "Rep of Ours" in page
    with tenancy.inside(ours.id):
        [number] = ContactNumber.objects.filter(contact__name="Ana <b>")
        assert (number.number, number.label, number.contact.owner_id) == (MOBILE, "mobile", ours.rep.user_id)


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"name": ""}, "name", "Enter the contact&#x27;s name."),
        ({"name": "a\x00b"}, "name", "Null characters are not allowed."),
        ({"email": "nobody"}, "email", "Enter a valid email address."),
        ({"number_2": "12"}, "number_2", "Write it with its area code."),
        ({"number_0": MOBILE, "number_2": "(11) 98765-4321"}, "number_2", "this number twice"),
        ({"number_0": "", "label_0": "mobile"}, "number_0", "Enter the number, or remove its label."),
        ({"owner": "x"}, "owner", "Select a valid choice."),
        ({"time_zone": "Mars/Olympus"}, "time_zone", "Select a valid choice."),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_saved(
    ours: Company, client_of: Sessions, typed: dict[str, str], field: str, said: str
) -> None:
    browser = client_of(ours.rep)
    before = contact_of(ours)[0].updated_at
    for path in ("/contacts/new/", f"/contacts/{ours.contact.pk}/edit/"):
        sent = shown_in(browser.get(path).content.decode())
        page = browser.post(path, sent | {"name": "Somebody"} | typed).content.decode()
        assert why(page) == [f"id_{field}_error"]
        assert said in page.partition('class="bad-why"')[2]
        assert "Nothing was saved." in page
    with tenancy.inside(ours.id):
        assert Contact.objects.count() == 1
    assert contact_of(ours)[0].updated_at == before


def test_editing_sends_back_only_what_was_changed(ours: Company, client_of: Sessions) -> None:
    """A page that was opened before a colleague's change does not take it back."""
    path = f"/contacts/{ours.contact.pk}/edit/"
    mine, theirs = client_of(ours.rep), client_of(ours.rep2)
    opened = shown_in(mine.get(path).content.decode())
    theirs.post(path, opened | {"company": "Theirs now", "number_1": MOBILE})
    assert mine.post(path, opened | {"email": "mine@example.com"}).status_code == 302
    found, numbers = contact_of(ours)
    assert (found.company, found.email) == ("Theirs now", "mine@example.com")
    assert numbers == [(ours.contact_number, ""), (MOBILE, "")]


def test_numbers_that_a_colleague_has_changed_meanwhile_are_not_overwritten(ours: Company, client_of: Sessions) -> None:
    path = f"/contacts/{ours.contact.pk}/edit/"
    browser = client_of(ours.rep)
    opened = shown_in(browser.get(path).content.decode())
    client_of(ours.rep2).post(path, opened | {"number_1": MOBILE})
    page = browser.post(path, opened | {"number_1": "+551132345678"}).content.decode()
    assert "Somebody else has changed these numbers meanwhile." in page
    assert contact_of(ours)[1] == [(ours.contact_number, ""), (MOBILE, "")]


def test_numbers_are_reordered_labelled_and_removed(ours: Company, client_of: Sessions) -> None:
    path, browser = f"/contacts/{ours.contact.pk}/edit/", client_of(ours.rep)
    typed = {"number_0": MOBILE, "label_0": "mobile", "number_1": ours.contact_number, "label_1": "office"}
    browser.post(path, shown_in(browser.get(path).content.decode()) | typed)
    assert contact_of(ours)[1] == [(MOBILE, "mobile"), (ours.contact_number, "office")]
    browser.post(path, shown_in(browser.get(path).content.decode()) | {"number_0": "", "label_0": ""})
    assert contact_of(ours)[1] == [(ours.contact_number, "office")]


def test_there_are_always_empty_rows_for_more_numbers_up_to_ten(ours: Company, client_of: Sessions) -> None:
    path, browser = f"/contacts/{ours.contact.pk}/edit/", client_of(ours.rep)

    def rows() -> int:
        return browser.get(path).content.decode().count('name="number_')

    assert rows() == 3
    with tenancy.inside(ours.id):
        for place in range(1, 10):
            ContactNumber.objects.create(contact=ours.contact, number=f"+5511987650{place:03}", position=place)
    assert rows() == 10


def test_do_not_call_is_set_by_all_and_taken_back_by_admins(ours: Company, client_of: Sessions) -> None:
    path = f"/contacts/{ours.contact.pk}/edit/"
    rep, admin = client_of(ours.rep), client_of(ours.admin)
    opened = shown_in(rep.get(path).content.decode())
    assert "do_not_call" not in opened
    rep.post(path, opened | {"do_not_call": "on"})
    assert contact_of(ours)[0].do_not_call_since is not None
    assert "Do not call since" in rep.get(f"/contacts/{ours.contact.pk}/").content.decode()
    page = rep.get(path).content.decode()
    assert "Only an admin lets this contact be called again." in page
    rep.post(path, shown_in(page) | {"initial-do_not_call": "True"})
    refused = rep.post(path, shown_in(page) | {"number_0": ""}).content.decode()
    assert "Only an admin takes a number of theirs away." in refused
    assert contact_of(ours)[0].do_not_call_since is not None
    opened = shown_in(admin.get(path).content.decode())
    assert opened.pop("do_not_call") == "on"
    admin.post(path, opened)
    assert contact_of(ours)[0].do_not_call_since is None


def test_a_number_that_no_contact_has_leads_to_a_new_contact_with_it(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.rep)
    page = browser.get("/contacts/", {"q": "(11) 98765-4321"}).content.decode()
    [link] = re.findall(r'href="(/contacts/new/\?number=[^"]*)"', page)
    assert "New contact with this number" in page
    for address in (link, f"/contacts/new/?number={MOBILE}"):
        assert shown_in(browser.get(address).content.decode())["number_0"] == "+55 11 98765-4321"
    rubbish = browser.get("/contacts/new/", {"number": '"><b>\x00' + "x" * 100}).content.decode()
    assert "<b>" not in rubbish.partition("<main")[2]


def test_an_opportunity_is_written_shown_and_changed(ours: Company, client_of: Sessions) -> None:
    browser, home = client_of(ours.rep), f"/contacts/{ours.contact.pk}/"
    path = f"{home}opportunities/new/"
    assert f'href="{path}"' in browser.get(home).content.decode()
    opened = shown_in(browser.get(path).content.decode())
    assert opened["owner"] == str(ours.rep.user_id)
    typed = {"title": "Ovens <i>", "stage": "proposal", "amount": "1234567.5"}
    page = browser.post(path, opened | typed, follow=True).content.decode()
    for said in ("Ovens &lt;i&gt;", "proposal", "1,234,567.50", "Saved."):
        assert said in page
    browser.cookies["django_language"] = "pt-br"
    assert "1.234.567,50" in browser.get(home).content.decode().replace("\xa0", ".")
    browser.cookies["django_language"] = "en"
    with tenancy.inside(ours.id):
        deal = Opportunity.objects.get(title="Ovens <i>")
    shown = f"/opportunities/{deal.pk}/"
    assert f'href="{shown}"' in browser.get(home).content.decode()
    path = f"{shown}edit/"
    assert f'href="{path}"' in page
    opened = shown_in(browser.get(path).content.decode())
    assert opened["amount"] == "1234567.50"
    client_of(ours.rep2).post(path, opened | {"amount": "2"})
    assert browser.post(path, opened | {"stage": "won", "owner": ""})["Location"] == shown
    assert "proposal → won" in browser.get(shown).content.decode()
    with tenancy.inside(ours.id):
        deal.refresh_from_db()
        assert (deal.stage, str(deal.amount), deal.owner_id) == ("won", "2.00", None)


@pytest.mark.parametrize(
    ("typed", "field"),
    [
        ({"title": ""}, "title"),
        ({"title": "a\x00b"}, "title"),
        ({"stage": "x" * 61}, "stage"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1.234"}, "amount"),
        ({"amount": "a lot"}, "amount"),
        ({"owner": "x"}, "owner"),
    ],
    ids=str,
)
def test_a_bad_opportunity_is_told_beside_its_field(
    ours: Company, client_of: Sessions, typed: dict[str, str], field: str
) -> None:
    browser = client_of(ours.rep)
    for path in (f"/contacts/{ours.contact.pk}/opportunities/new/", f"/opportunities/{ours.opportunity.pk}/edit/"):
        sent = shown_in(browser.get(path).content.decode()) | {"title": "A deal"} | typed
        assert why(browser.post(path, sent).content.decode()) == [f"id_{field}_error"]
    with tenancy.inside(ours.id):
        assert Opportunity.objects.count() == 1


def test_an_opportunitys_page_has_a_call_button_for_each_number(ours: Company, client_of: Sessions) -> None:
    page = client_of(ours.rep).get(f"/opportunities/{ours.opportunity.pk}/").content.decode()
    assert f'name="to" value="{ours.contact_number}"' in page
    assert f'name="opportunity" value="{ours.opportunity.pk}"' in page
    contacts = client_of(ours.rep).get(f"/contacts/{ours.contact.pk}/").content.decode()
    assert f'name="opportunity" value="{ours.opportunity.pk}"' not in contacts


def test_a_call_from_an_opportunitys_page_is_the_opportunitys(
    company: Company, theirs: Company, client_of: Sessions
) -> None:
    said = {"contact": str(company.contact.pk), "to": company.contact_number}
    browser = client_of(company.rep)
    for wrong in ("x", str(theirs.opportunity.pk)):
        assert browser.post("/calls/start/", said | {"opportunity": wrong}).status_code == 404
    assert browser.post("/calls/start/", said | {"opportunity": str(company.opportunity.pk)}).status_code == 302
    with tenancy.inside(company.id):
        assert CallLog.objects.get().opportunity_id == company.opportunity.pk


def test_who_may_not_be_called_has_no_button_that_works(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.rep)
    pages = ("/contacts/", f"/contacts/{ours.contact.pk}/", f"/opportunities/{ours.opportunity.pk}/")
    for since in (None, timezone.now()):
        with tenancy.inside(ours.id):
            Contact.objects.filter(pk=ours.contact.pk).update(do_not_call_since=since)
        for path in pages:
            page = browser.get(path).content.decode()
            assert ('disabled data-blocked title="Do not call since' in page) is (since is not None)
            assert ("Do not call since" in page) is (since is not None)


def test_an_owner_who_left_stays_until_somebody_else_is_chosen(ours: Company, client_of: Sessions) -> None:
    with tenancy.inside(ours.id):
        Contact.objects.filter(pk=ours.contact.pk).update(owner=ours.rep2.user)
        Membership.objects.filter(pk=ours.rep2.pk).update(is_active=False)
    path, browser = f"/contacts/{ours.contact.pk}/edit/", client_of(ours.rep)
    opened: dict[str, Any] = shown_in(browser.get(path).content.decode())
    assert opened["owner"] == str(ours.rep2.user_id)
    assert browser.post(path, opened | {"company": "Kept"}).status_code == 302
    assert contact_of(ours)[0].owner_id == ours.rep2.user_id


def test_empty_states_say_what_to_do_next(ours: Company, client_of: Sessions) -> None:
    with tenancy.inside(ours.id):
        Opportunity.objects.all().delete()
    assert "No opportunities yet" in client_of(ours.rep).get(f"/contacts/{ours.contact.pk}/").content.decode()
    with tenancy.inside(ours.id):
        ours.contact.delete()
    assert client_of(ours.rep).get("/contacts/").content.decode().count('href="/contacts/new/"') == 2
