"""The page of the rules: what an admin changes there, what is refused beside its field, and whose change counts."""

from collections.abc import Callable
from datetime import time
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from calls import queries
from calls.forms import CARDS
from calls.models import CallRules
from calls.services.rules import set_rules
from crm import audit, tenancy
from crm.models import AuditEntry, Membership
from tests.conftest import Company

Sessions = Callable[[Membership], Client]


class Typed(HTMLParser):
    """The form as a browser would send it untouched: what is checked, chosen or filled in, hidden fields included."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.values: dict[str, list[str]] = {}
        self.select = ""
        self.feed(page.partition('<form method="post" action="/rules/"')[2].partition("</form>")[0])

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        """Read an input, or the chosen option of a select."""
        said = dict(attributes)
        if tag == "select":
            self.select = said["name"]
        elif tag == "option" and "selected" in said:
            self.values.setdefault(self.select, []).append(said["value"])
        elif tag == "input" and (said.get("type") != "checkbox" or "checked" in said):
            self.values.setdefault(said["name"], []).append(said.get("value") or "")


def opened(browser: Client) -> dict[str, list[str]]:
    """The page's form, as it was opened."""
    return Typed(browser.get("/rules/").content.decode()).values


def sent(browser: Client, form: dict[str, list[str]], **changes: Any) -> str:
    """Save it with some fields changed; return the page that comes."""
    return browser.post("/rules/", form | changes, follow=True).content.decode()


def rules_of(company: Company) -> CallRules:
    """The rules as they stand."""
    with tenancy.inside(company.id):
        return queries.rules()


def entries_of(company: Company) -> list[AuditEntry]:
    """What the audit says of changed rules."""
    with tenancy.inside(company.id):
        return list(audit.entries(company.admin).filter(action=audit.RULES_CHANGED))


def test_every_rule_has_a_field_and_a_hint(ours: Company, client_of: Sessions) -> None:
    fields = {name: field for *_, fields in CARDS for name, field in fields.items()}
    ours_alone = {"id", "organization", "updated_at", "requires_outcome_since"}
    assert set(fields) == {field.name for field in CallRules._meta.get_fields()} - ours_alone
    assert [name for name, field in fields.items() if not field.help_text and name != "days"] == []
    page = client_of(ours.admin).get("/rules/").content.decode()
    for name in fields:
        assert f'name="{name}"' in page


def test_an_admin_changes_rules_and_the_audit_says_what_they_were(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    page = sent(
        browser,
        opened(browser),
        days=["0", "1", "2", "3", "4"],
        calls_from="09:00",
        calls_until="20:00",
        allowed_countries=["BR", "PT"],
        allows_costly_numbers="on",
        member_per_day="40",
        recording_days="30",
        may_download="admin",
    )
    assert "Saved. The rules count from the next call on." in page
    assert "Brazil, Portugal" in page
    rules = rules_of(ours)
    assert (rules.days, rules.calls_from, rules.calls_until) == (0b11111, time(9), time(20))
    assert (rules.allowed_countries, rules.allows_costly_numbers) == (["BR", "PT"], True)
    assert (rules.member_per_day, rules.recording_days, rules.may_download) == (40, 30, "admin")
    assert (rules.member_per_minute, rules.may_play) == (10, "rep")
    [entry] = entries_of(ours)
    assert entry.details["before"] == {
        **{"days": 0b1111111, "calls_from": None, "calls_until": None, "allowed_countries": []},
        **{"allows_costly_numbers": False, "member_per_day": 300, "recording_days": None, "may_download": "manager"},
    }
    assert entry.details["member_per_day"] == 40


def test_a_page_that_is_saved_untouched_changes_nothing(ours: Company, client_of: Sessions) -> None:
    set_rules(organization=ours.organization, calls_from=time(9, 0, 30), days=0b1100000, allowed_countries=["BR"])
    before, browser = rules_of(ours), client_of(ours.admin)
    assert "Nothing was changed." in sent(browser, opened(browser))
    assert vars(rules_of(ours)).keys() == vars(before).keys()
    for field in CallRules._meta.get_fields():
        assert getattr(rules_of(ours), field.name) == getattr(before, field.name), field.name
    assert len(entries_of(ours)) == 1


def test_two_admins_who_opened_the_page_do_not_take_each_others_change_back(ours: Company, client_of: Sessions) -> None:
    one, two = client_of(ours.admin), client_of(ours.admin)
    mine, theirs = opened(one), opened(two)
    assert "Saved." in sent(one, mine, calls_until="18:00")
    assert "Saved." in sent(two, theirs, member_per_day="7", rep_decides_recording="on")
    rules = rules_of(ours)
    assert (rules.calls_until, rules.member_per_day, rules.rep_decides_recording) == (time(18), 7, True)


def test_a_country_more_does_not_forbid_the_own_one(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    form = opened(browser)
    assert form["allowed_countries"] == ["BR"]
    sent(browser, form, allowed_countries=[*form["allowed_countries"], "PT"])
    assert rules_of(ours).allowed_countries == ["BR", "PT"]
    sent(browser, opened(browser), allowed_countries=[])
    assert rules_of(ours).allowed_countries == [], "Their own."


def test_what_was_typed_beside_an_error_is_saved_with_the_next_try(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    wrong = {"concurrent": "many", "allowed_countries": ["BR", "PT"], "days": ["0"], "calls_until": "18:00"}
    again = Typed(sent(browser, opened(browser), **wrong)).values
    assert "Saved." in sent(browser, again, concurrent="5")
    rules = rules_of(ours)
    assert (rules.concurrent, rules.allowed_countries, rules.days) == (5, ["BR", "PT"], 1)
    assert rules.calls_until == time(18)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"days": []}, "Choose at least one day."),
        ({"days": ["7"]}, "7 is not one of the available choices"),
        ({"calls_from": "25:00"}, "Enter a valid time."),
        ({"calls_from": "09:00", "calls_until": "09:00"}, "These hours would allow no call."),
        ({"calls_until": "00:00"}, "These hours would allow no call."),
        ({"allowed_countries": ["BR", "ZZ"]}, "ZZ is not one of the available choices"),
        ({"concurrent": "-1"}, "greater than or equal to 0"),
        ({"concurrent": "1000001"}, "less than or equal to 1000000"),
        ({"concurrent": ""}, "This field is required."),
        ({"concurrent": "many"}, "Enter a whole number."),
        ({"recording_days": "0"}, "greater than or equal to 1"),
        ({"may_play": "owner"}, "owner is not one of the available choices"),
    ],
    ids=str,
)
def test_what_is_wrong_is_said_beside_its_field_and_changes_nothing(
    ours: Company, client_of: Sessions, changes: dict[str, Any], said: str
) -> None:
    browser = client_of(ours.admin)
    page = sent(browser, opened(browser), **changes)
    assert said in page.partition('class="bad-why"')[2]
    assert "Nothing was saved." in page
    assert rules_of(ours).updated_at is None
    assert entries_of(ours) == []


def test_the_rules_are_for_admins(ours: Company, client_of: Sessions) -> None:
    for member in (ours.rep, ours.manager):
        browser = client_of(member)
        assert browser.get("/rules/").status_code == 403
        assert browser.post("/rules/", {"concurrent": "1"}).status_code == 403
        assert 'href="/rules/"' not in browser.get("/contacts/").content.decode()
    assert rules_of(ours).updated_at is None


def test_another_organizations_rules_stay_theirs(ours: Company, theirs: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    sent(browser, opened(browser), concurrent="3")
    assert (rules_of(ours).concurrent, rules_of(theirs).concurrent) == (3, 50)


@pytest.mark.parametrize(
    ("language", "words"),
    [("en", ("Monday", "Portugal", "<summary>Brazil ")), ("pt-br", ("Segunda-feira", "Alemanha", "<summary>Brasil "))],
)
def test_days_and_countries_are_named_in_the_readers_language(
    ours: Company, client_of: Sessions, language: str, words: tuple[str, ...]
) -> None:
    page = client_of(ours.admin).get("/rules/", headers={"Accept-Language": language}).content.decode()
    for word in words:
        assert word in page


def test_the_page_says_whether_calls_are_recorded(ours: Company, client_of: Sessions) -> None:
    browser = client_of(ours.admin)
    assert "Calls are recorded." in browser.get("/rules/").content.decode()
    ours.connect(records_calls=False)
    assert "Calls are not recorded." in browser.get("/rules/").content.decode()
    assert 'aria-current="page">Rules</a>' in browser.get("/rules/").content.decode()


def test_a_form_from_elsewhere_changes_nothing(ours: Company, client_of: Sessions) -> None:
    guarded = Client(enforce_csrf_checks=True)
    guarded.cookies = client_of(ours.admin).cookies
    for path in ("/rules/", "/do-not-call/", "/do-not-call/import/"):
        assert guarded.post(path, {"number": "+5511987654321"}).status_code == 403
    assert rules_of(ours).updated_at is None
