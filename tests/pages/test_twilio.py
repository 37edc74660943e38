"""The set-up page: connected, verified and rotated by an admin in a browser's session, against the simulated Twilio."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from crm import tenancy
from crm.models import Membership
from integrations.access import account_of
from integrations.models import TwilioAccount
from tests.conftest import Company, World

Sessions = Callable[[Membership], Client]
HTMX = {"HX-Request": "true"}


def typed(company: Company, **changes: Any) -> dict[str, Any]:
    """What an admin types to connect the account."""
    plain = {"account_sid": company.account_sid, "auth_token": company.auth_token, "ring_seconds": "30"}
    return plain | {"default_caller_id": company.number, "records_calls": "on"} | changes


def forget_account(company: Company) -> None:
    """Leave the organization as one that has not connected anything."""
    with tenancy.inside(company.id):
        TwilioAccount.objects.all().delete()


def test_an_admin_connects_from_nothing(world: World, company: Company, client_of: Sessions) -> None:
    forget_account(company)
    browser = client_of(company.admin)
    empty = browser.get("/twilio/").content.decode()
    assert "Account info" in empty
    assert "Verification" not in empty
    page = browser.post("/twilio/", typed(company), follow=True).content.decode()
    assert "Saved." in page
    assert "The account is active." in page
    assert "The caller ID is a number of this account." in page
    assert "Not verified yet" in page
    assert company.auth_token not in page
    with tenancy.inside(company.id):
        account = account_of(company.id)
        assert account
        assert (account.records_calls, account.confirms_with_key) == (True, False)


def test_the_set_up_says_what_is_left(world: World, company: Company, client_of: Sessions) -> None:
    """Nothing is called done that nobody has seen done."""
    browser = client_of(company.admin)

    def steps() -> list[str]:
        page = browser.get("/twilio/").content.decode()
        listed = page.split('<ol class="findings">')[1].split("</ol>")[0]
        return re.findall(r'href="#([a-z]+)-title".*?<span class="muted">(.*?)</span>', listed)

    browser.post("/twilio/", typed(company, auth_token="wrong"))
    assert steps()[0] == ("account", "does not work")
    browser.post("/twilio/", typed(company))
    assert steps() == [("account", "done"), ("numbers", "done"), ("test", "to do"), ("webhook", "to do")]
    assert "2 of 4 done" in browser.get("/twilio/").content.decode()
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.admin.pk).update(phone_checked_at=timezone.now())
        TwilioAccount.objects.update(signed_at=timezone.now())
    assert {said for _, said in steps()} == {"done"}
    assert "Everything is set up" in browser.get("/twilio/").content.decode()


def test_a_wrong_token_is_saved_and_never_says_success(world: World, company: Company, client_of: Sessions) -> None:
    page = client_of(company.admin).post("/twilio/", typed(company, auth_token="wrong"), follow=True).content.decode()
    assert "Twilio did not accept" in page
    assert "20003" in page
    assert "The account is active." not in page


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"account_sid": "AC1"}, "AC and 32 hexadecimal digits"),
        ({"auth_token": "a b"}, "An auth token is up to 128"),
        ({"default_caller_id": "123"}, "not a valid phone number"),
        ({"api_key_sid": "SK1"}, "An API key&#x27;s SID is SK"),
        ({"region": "ie1"}, "A region is a word"),
        ({"ring_seconds": "500"}, "120"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_beside_its_field(
    ours: Company, client_of: Sessions, changes: dict[str, str], said: str
) -> None:
    answer = client_of(ours.admin).post("/twilio/", typed(ours, **changes))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert said in page
    assert 'class="bad-why"' in page or 'role="alert"' in page
    assert ours.auth_token not in page
    assert "Saved." not in page


def test_the_token_is_replaced_on_the_page(world: World, company: Company, client_of: Sessions) -> None:
    browser = client_of(company.admin)
    refused = browser.post("/twilio/next-token/", {"auth_token": "wrong"}).content.decode()
    assert "20003" in refused
    tokens = {"auth_token": company.auth_token, "secondary_auth_token": "the-next"}
    world.twilio.ask("POST", "accounts", company.account() | tokens)
    page = browser.post("/twilio/next-token/", {"auth_token": "the-next"}, follow=True).content.decode()
    assert "Both tokens are accepted." in page
    page = browser.post("/twilio/promote/", follow=True).content.decode()
    assert "Twilio has not signed with the next token yet." in page
    page = browser.post("/twilio/next-token/", {"forget": "1"}, follow=True).content.decode()
    assert "create a secondary auth token" in page


def test_only_admins_see_the_way_there(ours: Company, client_of: Sessions) -> None:
    assert 'href="/twilio/"' in client_of(ours.admin).get("/contacts/").content.decode()
    for member in (ours.rep, ours.manager):
        browser = client_of(member)
        assert 'href="/twilio/"' not in browser.get("/contacts/").content.decode()
        assert browser.get("/twilio/").status_code == 403


def test_what_is_saved_and_does_not_work_is_no_success(world: World, company: Company, client_of: Sessions) -> None:
    page = client_of(company.admin).post("/twilio/", typed(company, auth_token="0" * 32), follow=True).content.decode()
    assert "Saved, but it does not work yet" in page
    assert "Saved." not in page


def test_a_twilio_that_is_away_is_said_and_nothing_is_lost(ours: Company, client_of: Sessions, settings: Any) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"
    page = client_of(ours.admin).post("/twilio/", typed(ours), follow=True).content.decode()
    assert "Saved." in page
    assert "Twilio cannot be reached right now" in page
