"""The red banner: on every page of every member while the organization's calls cannot work, and gone when they can."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, connections
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm import tenancy
from crm.models import Membership, Organization
from integrations import checks
from integrations.access import account_of, credentials
from integrations.models import TwilioAccount
from integrations.services.findings import claim_check, note_refused, save_checks
from integrations.services.rotate import promote_token, set_next_token
from integrations.trouble import trouble_of
from integrations.twilio.errors import TwilioRejected
from tests.conftest import Api, Company, World, phone
from tests.pages.test_twilio import forget_account, typed

Sessions = Callable[[Membership], Client]
PAGES = (
    "/contacts/",
    "/calls/",
    "/do-not-call/",
    "/contacts/{contact}/",
    "/contacts/00000000-0000-7000-8000-000000000000/",
    "/twilio/",
    "/rules/",
    "/audit/",
)
FOR_MEMBERS = PAGES[:4]
BROKEN = "Calls do not work at the moment."


def revoke(world: World, company: Company, token: str = "another-token") -> None:
    """Replace the token at Twilio, and there alone."""
    world.twilio.ask("POST", "accounts", company.account() | {"auth_token": token})


def shown(browser: Client, company: Company, path: str) -> str:
    """A page's banner."""
    page = browser.get(path.format(contact=company.contact.pk)).content.decode()
    return page.partition('<div id="broken">')[2].partition('<div id="stuck"')[0].removesuffix("</div>\n").strip()


def call(company: Company, member: Membership) -> Any:
    """Click, over REST."""
    return Api(member).post("calls/", {"contact": str(company.contact.pk)})


def test_a_revoked_token_shows_on_every_page_from_the_first_refused_call_until_it_is_mended(
    world: World, company: Company, theirs: Company, client_of: Sessions
) -> None:
    checks.verify(company.id)
    everybody = [client_of(one) for one in (company.rep, company.rep2, company.manager, company.admin)]
    assert [shown(one, company, "/contacts/") for one in everybody] == [""] * 4
    revoke(world, company)
    answer = call(company, company.rep)
    assert (answer.status_code, answer.json()["errors"][0]["twilio_code"]) == (422, 20003)
    for browser in everybody:
        for path in FOR_MEMBERS:
            assert BROKEN in shown(browser, company, path)
    rep, admin = everybody[0], everybody[-1]
    assert "ask one of them" in shown(rep, company, "/contacts/")
    assert "20003" not in shown(rep, company, "/contacts/")
    for path in PAGES:
        banner = shown(admin, company, path)
        assert "Twilio does not accept the stored credentials." in banner
        assert "Twilio code 20003" in banner
        assert 'href="/twilio/"' in banner
    assert shown(client_of(theirs.admin), theirs, "/contacts/") == ""

    admin.post("/twilio/", typed(company, auth_token="still-wrong"))
    assert BROKEN in shown(rep, company, "/contacts/")
    page = admin.post("/twilio/", typed(company, auth_token="another-token"), follow=True).content.decode()
    assert BROKEN not in page
    assert "The account is active." in page
    for browser in everybody:
        assert shown(browser, company, "/contacts/") == ""
    assert call(company, company.rep).status_code == 201


def test_the_one_who_clicked_sees_the_banner_with_the_refusal(
    world: World, company: Company, client_of: Sessions
) -> None:
    revoke(world, company)
    typed_call = {"contact": str(company.contact.pk), "to": company.contact_number}
    answer = client_of(company.rep).post("/calls/start/", typed_call, headers={"HX-Request": "true"})
    assert '<div id="broken" hx-swap-oob="innerHTML">' in answer.content.decode()
    assert BROKEN in answer.content.decode()


def test_a_refusal_has_the_account_verified_at_once_which_takes_back_what_was_a_passing_fault(
    world: World, company: Company, client_of: Sessions
) -> None:
    checks.verify(company.id)
    world.twilio.faults({"on": "create", "do": "status", "status": 401, "code": 20003})
    assert call(company, company.rep).status_code == 422
    assert BROKEN in shown(client_of(company.rep), company, "/contacts/")
    while (claimed := claim_check()) != company.id:  # other tests' are due as well
        assert claimed
    checks.verify(company.id)
    assert shown(client_of(company.rep), company, "/contacts/") == ""


@pytest.mark.parametrize(
    ("at", "said"),
    [
        ({"status": "suspended"}, "The account is suspended or closed."),
        ({"auth_token": "replaced"}, "Twilio does not accept the stored credentials."),
        ({"numbers": []}, "The account has no number that can call."),
        ({"type": "Trial"}, ""),
    ],
    ids=str,
)
def test_what_a_verification_finds_broken_is_the_banner(
    world: World, company: Company, client_of: Sessions, at: dict[str, Any], said: str
) -> None:
    world.twilio.ask("POST", "accounts", company.account() | at)
    checks.verify(company.id)
    banner = shown(client_of(company.admin), company, "/calls/")
    assert said in banner
    assert bool(said) == bool(banner)
    due = Organization.objects.get(pk=company.id).next_check_at
    with tenancy.inside(company.id):
        account = account_of(company.id)
    assert account
    assert account.checked_at
    assert due
    assert (due - account.checked_at).total_seconds() == (3600 if said else 86400)


def test_a_suspended_account_refuses_a_call_and_shows(world: World, company: Company, client_of: Sessions) -> None:
    world.twilio.ask("POST", "accounts", company.account() | {"status": "suspended"})
    assert call(company, company.rep).json()["errors"][0]["twilio_code"] == 20005
    banner = shown(client_of(company.admin), company, "/calls/")
    assert "The account is suspended or closed." in banner
    assert "Twilio code 20005" in banner


def test_before_twilio_is_connected_everybody_is_told_whose_turn_it_is(ours: Company, client_of: Sessions) -> None:
    forget_account(ours)
    assert "has not connected Twilio yet" in shown(client_of(ours.rep), ours, "/contacts/")
    banner = shown(client_of(ours.admin), ours, "/contacts/")
    assert "Calls do not work yet." in banner
    assert 'href="/twilio/"' in banner


def test_a_twilio_that_is_away_is_no_reason_for_alarm(ours: Company, client_of: Sessions, settings: Any) -> None:
    settings.TWILIO_API_BASE_URL = "http://127.0.0.1:1"
    assert call(ours, ours.rep).status_code == 503
    checks.verify(ours.id)
    assert shown(client_of(ours.rep), ours, "/contacts/") == ""


def test_a_number_that_twilio_refuses_is_that_calls_trouble_alone(
    world: World, company: Company, client_of: Sessions
) -> None:
    world.twilio.faults({"on": "create", "do": "status", "status": 400, "code": 21211})
    assert call(company, company.rep).status_code == 422
    assert shown(client_of(company.rep), company, "/contacts/") == ""


def test_what_twilio_said_of_a_replaced_token_is_forgotten(ours: Company) -> None:
    old = credentials(ours.id)
    assert old
    ours.connect(auth_token="the-next-token")
    note_refused(old, TwilioRejected(20003, 401))
    save_checks(old, [{"check": "account", "result": "ok", "code": "account_active", "twilio_code": None}])
    with tenancy.inside(ours.id):
        account = account_of(ours.id)
    assert account
    assert (account.checks, account.checked_at) == ([], None)


def test_of_many_refused_calls_the_first_is_written_down(ours: Company) -> None:
    used = credentials(ours.id)
    assert used

    def refuse(_number: int) -> None:
        try:
            note_refused(used, TwilioRejected(20003, 401))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as several:
        list(several.map(refuse, range(8)))
    with tenancy.inside(ours.id):
        account = account_of(ours.id)
        assert account
        assert [one["code"] for one in account.checks] == ["twilio_credentials_rejected"]
        TwilioAccount.objects.update(checks=[*account.checks, {"check": "origin", "result": "ok", "code": "x"}])
    assert trouble_of(account)


def test_the_banner_is_one_query_of_a_page_and_none_of_anything_else(ours: Company, client_of: Sessions) -> None:
    browser, api = client_of(ours.admin), Api(ours.admin)

    def asked(get: Callable[[], Any]) -> int:
        with CaptureQueriesContext(connection) as queries:
            get()
        return sum('FROM "integrations_twilioaccount"' in one["sql"] for one in queries.captured_queries)

    assert asked(lambda: browser.get("/do-not-call/")) == 1
    assert asked(lambda: browser.get("/audit/")) == 1
    assert asked(lambda: browser.get("/calls/live/", headers={"HX-Request": "true"})) == 0
    assert asked(lambda: api.get("calls/")) == 0
    assert asked(lambda: Client().get("/login/")) == 0
    assert asked(lambda: Client().get("/healthz")) == 0


def test_a_rotation_is_no_trouble_while_the_next_token_works(
    world: World, company: Company, client_of: Sessions
) -> None:
    following = "next" * 8
    checks.verify(company.id)
    set_next_token(organization=company.organization, next_auth_token=following)
    revoke(world, company, following)  # promoted at Twilio
    checks.verify(company.id)
    assert call(company, company.rep).status_code == 201
    assert shown(client_of(company.admin), company, "/contacts/") == ""
    promote_token(organization=company.organization, now=True)
    assert shown(client_of(company.admin), company, "/contacts/") == ""
    assert Organization.objects.get(pk=company.id).next_check_at <= timezone.now()  # type: ignore[operator]


def test_other_credentials_over_rest_take_the_banner_down(world: World, company: Company, client_of: Sessions) -> None:
    revoke(world, company)
    checks.verify(company.id)
    assert BROKEN in shown(client_of(company.rep), company, "/contacts/")
    body = {"account_sid": company.account_sid, "auth_token": "another-token", "default_caller_id": company.number}
    assert Api(company.admin).put("twilio/", body).status_code == 200
    assert shown(client_of(company.rep), company, "/contacts/") == ""
    assert Organization.objects.get(pk=company.id).next_check_at <= timezone.now()  # type: ignore[operator]


def test_what_is_known_to_be_broken_stays_so_while_twilio_is_away(
    world: World, company: Company, client_of: Sessions, settings: Any
) -> None:
    revoke(world, company)
    checks.verify(company.id)
    works, settings.TWILIO_API_BASE_URL = settings.TWILIO_API_BASE_URL, "http://127.0.0.1:9"
    checks.verify(company.id)
    settings.TWILIO_API_BASE_URL = works
    assert BROKEN in shown(client_of(company.rep), company, "/contacts/")
    again = Organization.objects.get(pk=company.id).next_check_at
    assert again is not None
    assert again < timezone.now() + timedelta(hours=2)


def test_what_only_some_calls_fail_on_is_shown_in_the_set_up_alone(
    world: World, company: Company, client_of: Sessions
) -> None:
    world.twilio.ask("POST", "accounts", company.account() | {"numbers": [phone()]})
    found = checks.verify(company.id)
    assert "caller_id_unknown" in [one["code"] for one in found]
    assert shown(client_of(company.rep), company, "/contacts/") == ""
    assert "caller ID" in client_of(company.admin).get("/twilio/").content.decode()
