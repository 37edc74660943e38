"""Which number a contact sees: one of the account's, chosen at call time, the member's own, or the organization's."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from crm import tenancy
from crm.models import Membership, Organization
from integrations import checks
from integrations.access import account_of, numbers_of
from tests.conftest import Api, Company, World, make_company, read_call


def owns(world: World, company: Company, **numbers: Any) -> None:
    """Give the account numbers at Twilio, and have them imported."""
    world.twilio.ask("POST", "accounts", company.account() | numbers)
    checks.verify(company.id)


def start(company: Company, **more: str) -> Any:
    """Start a call over REST."""
    return Api(company.rep).post("calls/", {"contact": str(company.contact.pk), **more})


def set_own(company: Company, number: str) -> None:
    """Give the rep a caller ID of their own."""
    with tenancy.inside(company.id):
        Membership.objects.filter(pk=company.rep.pk).update(caller_id=number)


OTHER, MUTE, FOREIGN = "+551133330001", "+551133330002", "+551133330003"


def unique(number: str) -> str:
    """The number as this test's own: a number is one organization's."""
    return f"{number[:6]}{timezone.now().microsecond:06}{number[-1]}"[:13]


def test_one_of_the_accounts_numbers_may_be_chosen_for_a_call(world: World, company: Company) -> None:
    other = unique(OTHER)
    owns(world, company, numbers=[company.number, other])
    answer = start(company, caller_id=other)
    assert answer.status_code == 201, answer.content
    assert answer.json()["from_number"] == other
    [made] = world.twilio.calls_made(company)
    assert made["from"] == other


@pytest.mark.parametrize("which", ["without a voice", "foreign"])
def test_no_other_number_is_shown(world: World, company: Company, which: str) -> None:
    mute, foreign = unique(MUTE), unique(FOREIGN)
    stranger = make_company("Stranger")
    owns(world, stranger, verified=[foreign])
    owns(world, company, without_voice=[mute])
    refused = start(company, caller_id=mute if which == "without a voice" else foreign)
    assert (refused.status_code, refused.json()["errors"][0]["attr"]) == (422, "caller_id"), refused.content
    assert world.twilio.calls_made(company) == []


def test_a_member_has_a_number_of_their_own_while_the_account_has_it(world: World, company: Company) -> None:
    own = unique(OTHER)
    owns(world, company, verified=[own])
    set_own(company, own)
    first = start(company)
    assert first.json()["from_number"] == own
    Api(company.rep).post(f"calls/{first.json()['id']}/hangup/")
    owns(world, company)
    with tenancy.inside(company.id):
        assert [one.number for one in numbers_of(company.id)] == [company.number]
    assert (
        Api(company.rep2).post("calls/", {"contact": str(company.contact.pk)}).json()["from_number"] == company.number
    )


def test_accounts_are_verified_anew_each_day_by_a_task(world: World, company: Company) -> None:
    Organization.objects.update(next_check_at=None)
    with tenancy.inside(company.id):
        Organization.objects.filter(pk=company.id).update(next_check_at=timezone.now() - timedelta(seconds=1))
    nothing_connected = Organization.objects.create(name="Bare", slug=f"bare-{company.id}")
    nothing_connected.next_check_at = timezone.now() - timedelta(days=1)
    nothing_connected.save()
    assert checks.verify_due(seconds=10) == 2
    with tenancy.inside(company.id):
        account = account_of(company.id)
        assert account
        assert account.checked_at
        due = Organization.objects.get(pk=company.id).next_check_at
    assert due
    assert timedelta(hours=23) < due - timezone.now() < timedelta(hours=25)
    assert Organization.objects.get(pk=nothing_connected.pk).next_check_at is None
    assert checks.verify_due(seconds=10) == 0


def test_a_verification_that_fails_holds_up_no_other(world: World, company: Company, settings: Any) -> None:
    Organization.objects.update(next_check_at=None)
    other = make_company("Other")
    world.twilio.knows(other)
    for which, one in enumerate((other, company)):
        at = timezone.now() - timedelta(minutes=1 + which)
        Organization.objects.filter(pk=one.id).update(next_check_at=at)
    world.twilio.ask("POST", "accounts", company.account() | {"auth_token": "replaced"})
    assert checks.verify_due(seconds=10) == 2
    for one, result in ((company, "failed"), (other, "ok")):
        with tenancy.inside(one.id):
            account = account_of(one.id)
            assert account
            assert account.checks[0]["result"] == result


def test_a_call_keeps_the_number_it_was_started_with(world: World, company: Company) -> None:
    other = unique(OTHER)
    owns(world, company, numbers=[company.number, other])
    call = start(company, caller_id=other).json()
    company.connect()
    assert read_call(company, call["id"]).from_number == other
