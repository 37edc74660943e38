"""The operator's admin: credentials go in, and never come out."""

import secrets

import pytest
from django.db import IntegrityError
from django.test import Client

from calls.models import CallLog
from crm import tenancy
from crm.access import member_of_token
from crm.models import AuditEntry, Membership, Organization, User
from crm.services import create_token
from integrations.access import credentials
from integrations.models import TwilioAccount
from tests.conftest import Company, phone
from tests.crm.rows import make_call


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
    kept = operator.post(page_of(ours), form_of(ours, ring_seconds="40"))
    assert kept.status_code == 302, kept.context["errors"] if kept.context else kept
    now = credentials(ours.id)
    assert now is not None
    assert (now.ring_seconds, now.auth_token) == (40, ours.auth_token)
    replaced = operator.post(page_of(ours), form_of(ours, auth_token="another-token"))
    assert replaced.status_code == 302
    now = credentials(ours.id)
    assert now is not None
    assert now.auth_token == "another-token"


def test_another_account_needs_its_token_and_waits_until_the_calls_are_over(operator: Client, ours: Company) -> None:
    another = {"account_sid": "AC" + "b" * 32}
    for more in ({}, {"auth_token": "its-own"}):
        if more:
            call = make_call(ours)
        answer = operator.post(page_of(ours), form_of(ours, **another, **more))
        assert answer.status_code == 200
        assert answer.context["errors"]
    with tenancy.inside(ours.id):
        CallLog.objects.filter(pk=call.pk).update(status="completed", stage="ended")
    ours.connect(api_key_sid="SK" + "a" * 32, api_key_secret="of-the-old-account")
    assert operator.post(page_of(ours), form_of(ours, **another, auth_token="its-own")).status_code == 302
    now = credentials(ours.id)
    assert now is not None
    assert (now.account_sid, now.auth_token, now.api_key_secret) == ("AC" + "b" * 32, "its-own", "")


def test_the_operator_changes_members_as_their_admins_would(operator: Client, ours: Company) -> None:
    token = create_token(member=ours.rep)
    fields = form_of(ours)
    place = next(name.split("-")[2] for name, value in fields.items() if value == str(ours.rep.pk))
    admin = next(name.split("-")[2] for name, value in fields.items() if value == str(ours.admin.pk))
    kept = operator.post(page_of(ours), fields | {f"-1-{admin}-role": "rep"})
    assert "last admin" in kept.content.decode()
    gone = {name: value for name, value in fields.items() if name != f"-1-{place}-is_active"}
    gone |= {f"-1-{place}-user": str(ours.rep2.user_id)}
    assert operator.post(page_of(ours), gone | {"name": "Renamed"}).status_code == 302
    with tenancy.inside(ours.id):
        row = Membership.objects.get(pk=ours.rep.pk)
        assert (row.is_active, row.user_id) == (False, ours.rep.user_id)
        assert row.sessions_ended_at is not None
        said = {entry.action: entry.details for entry in AuditEntry.objects.filter(who="")}
    assert member_of_token(token) is None
    assert said["member.changed"] == {"member": ours.rep.user.email, "is_active": False, "before": {"is_active": True}}
    assert said["organization.changed"]["name"] == "Renamed"


def test_a_country_that_is_none_is_refused(operator: Client, ours: Company) -> None:
    answer = operator.post(page_of(ours), form_of(ours) | {"region": "zz"})
    assert answer.status_code == 200
    assert operator.post(page_of(ours), form_of(ours) | {"region": "br"}).status_code == 302
    assert Organization.objects.get(pk=ours.id).region == "BR"


def test_a_malformed_account_changes_nothing(operator: Client, ours: Company) -> None:
    for wrong in ({"account_sid": "ACnothex"}, {"default_caller_id": "12"}, {"auth_token": "seña"}):
        answer = operator.post(page_of(ours), form_of(ours, **({"auth_token": "x"} | wrong)))
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


# People


def new_person(email: str) -> dict[str, str]:
    """The page on which the operator makes a user, filled in."""
    return {"email": email, "name": "A person", "usable_password": "false", "password1": "", "password2": ""}


def test_an_address_in_other_letters_is_the_same_person(operator: Client, ours: Company) -> None:
    known = ours.rep.user.email
    for same in (
        known,
        known.upper(),
        known.title(),
        known.partition("@")[0].swapcase() + "@" + known.partition("@")[2],
    ):
        answer = operator.post("/admin/crm/user/add/", new_person(same))
        assert answer.status_code == 200, same
        assert answer.context["adminform"].form.errors["email"], same
    assert User.objects.filter(email__iexact=known).count() == 1
    assert (
        operator.post(f"/admin/crm/user/{ours.admin.user_id}/change/", {"email": known.upper(), "name": "Somebody"})
        .context["adminform"]
        .form.errors["email"]
    )


def test_a_new_person_is_written_down_in_small_letters_and_signs_in_however_they_type(operator: Client) -> None:
    tag = secrets.token_hex(6)
    made = operator.post("/admin/crm/user/add/", new_person(f"Mixed-{tag}@Example.COM"))
    assert made.status_code == 302
    user = User.objects.get(email=f"mixed-{tag}@example.com")
    user.set_password("a long pass phrase")
    user.email = f"MIXED-{tag}@example.com"
    user.save()
    for typed in (f"mixed-{tag}@example.com", f"MIXED-{tag}@EXAMPLE.com"):
        answer = Client().post("/login/", {"login": typed, "password": "a long pass phrase"})
        assert answer.status_code == 302, typed


def test_the_database_too_refuses_an_address_in_other_letters(ours: Company) -> None:
    with pytest.raises(IntegrityError, match="one_user_per_email_whatever_its_case"):
        User.objects.filter(pk=ours.rep.user_id).update(email=ours.admin.user.email.upper())


def test_nobody_is_deleted_not_even_many_at_once(operator: Client, ours: Company) -> None:
    person = ours.rep.user
    assert operator.get(f"/admin/crm/user/{person.pk}/delete/").status_code == 403
    assert operator.post(f"/admin/crm/user/{person.pk}/delete/", {"post": "yes"}).status_code == 403
    assert "delete_selected" not in operator.get("/admin/crm/user/").content.decode()
    operator.post("/admin/crm/user/", {"action": "delete_selected", "_selected_action": str(person.pk), "post": "yes"})
    assert User.objects.filter(pk=person.pk).exists()
