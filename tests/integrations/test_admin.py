"""The operator's admin: credentials go in, and never come out."""

import secrets

import pytest
from django.test import Client

from crm import tenancy
from crm.models import Membership, Organization, User
from integrations.access import credentials
from integrations.models import TwilioAccount
from tests.conftest import Company, phone


@pytest.fixture
def operator() -> Client:
    """An operator's browser: staff, and a member of nothing."""
    client = Client()
    client.force_login(User.objects.create_superuser(f"operator-{secrets.token_hex(6)}@ops.example"))
    return client


def form_of(company: Company, **account: str) -> dict[str, str]:
    """The organization's page as a browser would send it back, with `account` filled in."""
    with tenancy.inside(company.id):
        row = TwilioAccount.objects.get()
        members = list(Membership.objects.all())
    # Django calls a formset after the name by which its rows are reached from the parent; ours have none.
    fields = {
        "name": company.organization.name,
        "slug": company.organization.slug,
        "region": "BR",
        "is_active": "on",
        "-1-TOTAL_FORMS": str(len(members)),
        "-1-INITIAL_FORMS": str(len(members)),
        "-2-TOTAL_FORMS": "1",
        "-2-INITIAL_FORMS": "1",
        "-2-0-id": str(row.pk),
        "-2-0-organization": str(company.id),
        "-2-0-account_sid": row.account_sid,
        "-2-0-default_caller_id": row.default_caller_id,
        "-2-0-ring_seconds": "30",
        "-2-0-auth_token": "",
    }
    for place, member in enumerate(members):
        fields |= {
            f"-1-{place}-id": str(member.pk),
            f"-1-{place}-organization": str(company.id),
            f"-1-{place}-user": str(member.user_id),
            f"-1-{place}-role": member.role,
            f"-1-{place}-phone_number": member.phone_number,
            f"-1-{place}-is_active": "on",
        }
    return fields | {f"-2-0-{name}": value for name, value in account.items()}


def page_of(company: Company) -> str:
    return f"/admin/crm/organization/{company.id}/change/"


def test_the_organizations_page_never_shows_its_token(operator: Client, ours: Company) -> None:
    page = operator.get(page_of(ours)).content.decode()
    assert ours.account_sid in page
    assert ours.auth_token not in page
    with tenancy.inside(ours.id):
        assert TwilioAccount.objects.get().sealed_auth_token not in page


def test_an_empty_token_keeps_the_stored_one_and_another_replaces_it(operator: Client, ours: Company) -> None:
    kept = operator.post(page_of(ours), form_of(ours, account_sid="AC" + "b" * 32))
    assert kept.status_code == 302, kept.context["errors"] if kept.context else kept
    now = credentials(ours.id)
    assert now is not None
    assert (now.account_sid, now.auth_token) == ("AC" + "b" * 32, ours.auth_token)
    replaced = operator.post(page_of(ours), form_of(ours, auth_token="another-token"))
    assert replaced.status_code == 302
    now = credentials(ours.id)
    assert now is not None
    assert now.auth_token == "another-token"


def test_a_malformed_account_changes_nothing(operator: Client, ours: Company) -> None:
    for wrong in ({"account_sid": "ACnothex"}, {"default_caller_id": "12"}):
        answer = operator.post(page_of(ours), form_of(ours, auth_token="x", **wrong))
        assert answer.status_code == 200
        assert answer.context["errors"]
    now = credentials(ours.id)
    assert now is not None
    assert (now.account_sid, now.auth_token) == (ours.account_sid, ours.auth_token)


def test_a_new_organization_is_followed_by_its_members_and_account(operator: Client) -> None:
    slug = f"new-{secrets.token_hex(6)}"
    made = operator.post(
        "/admin/crm/organization/add/", {"name": "New", "slug": slug, "region": "BR", "is_active": "on"}
    )
    organization = Organization.objects.get(slug=slug)
    assert made["Location"] == f"/admin/crm/organization/{organization.pk}/change/"
    assert operator.get(made["Location"]).status_code == 200


def test_the_page_of_one_organization_shows_no_other(operator: Client, ours: Company, theirs: Company) -> None:
    page = operator.get(page_of(ours)).content.decode()
    assert theirs.account_sid not in page
    assert theirs.rep.phone_number not in page


def test_members_of_an_organization_do_not_enter_the_admin(client_of, ours: Company) -> None:  # type: ignore[no-untyped-def]
    answer = client_of(ours.admin).get(page_of(ours))
    assert answer.status_code == 302
    assert phone() not in answer["Location"]
    assert answer["Location"].startswith("/admin/login/")
