"""The operator's commands: an organization is made, closed, opened and deleted, and no other notices."""

from io import StringIO
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from django.core.management import CommandError, call_command
from django.db import connections
from django.test import Client

from calls.models import Recording
from calls.services.erase import erase
from crm import tenancy
from crm.access import memberships_of
from crm.models import Membership, Organization, Role, User
from tests.calls.test_webhooks import post, said_of
from tests.conftest import Api, Company, callbacks_of
from tests.crm.rows import make_call, one_of_each


def run(*words: str, **options: Any) -> str:
    """Run a command; return what it prints."""
    said = StringIO()
    call_command(*words, stdout=said, stderr=said, **options)
    return said.getvalue()


def rows_of(company: Company) -> dict[str, int]:
    """How many rows each table has of an organization, as the owner of the schema counts them."""
    found = {}
    with connections["owner"].cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE column_name = 'organization_id' AND table_schema = 'public' ORDER BY 1"
        )
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE organization_id = %s', [company.id])
            found[table] = cursor.fetchone()[0]
    return found


def slug() -> str:
    """A short name that is free."""
    return f"new-{Organization.objects.count()}-{User.objects.count()}"


def test_an_organization_is_made_with_its_admin_who_logs_in() -> None:
    name = slug()
    said = run("create_organization", "Nova Loja", name, f"Admin@{name}.example", region="br", phone="(11) 98765-4321")
    [password] = [line.removeprefix("Password: ") for line in said.splitlines() if line.startswith("Password: ")]
    browser = Client()
    answer = browser.post("/login/", {"login": f"admin@{name}.example", "password": password})
    assert answer.status_code == 302
    assert "Nova Loja" in browser.get("/contacts/").content.decode()
    [member] = memberships_of(User.objects.get(email=f"admin@{name}.example"))
    assert (member.role, member.phone_number, member.organization.region) == (Role.ADMIN, "+5511987654321", "BR")


def test_a_user_who_is_there_becomes_admin_of_another_one_and_keeps_the_password(ours: Company) -> None:
    said = run("create_organization", "Second", slug(), ours.rep.user.email)
    assert "Password:" not in said
    assert len(memberships_of(ours.rep.user)) == 2


@pytest.mark.parametrize(
    "words",
    [
        ["", "free", "a@b.example"],
        ["Name", "not a slug", "a@b.example"],
        ["Name", "free", "not an address"],
        ["Name", "free", "a@b.example", "--region", "XX"],
        ["Name", "free", "a@b.example", "--phone", "12"],
        ["Name", "x" * 51, "a@b.example"],
    ],
    ids=str,
)
def test_what_no_organization_can_have_makes_none(words: list[str]) -> None:
    before = Organization.objects.count(), User.objects.count()
    with pytest.raises(CommandError):
        run("create_organization", *words)
    assert (Organization.objects.count(), User.objects.count()) == before


def test_a_short_name_is_taken_once(ours: Company) -> None:
    with pytest.raises(CommandError, match="already"):
        run("create_organization", "Again", ours.organization.slug, "somebody@new.example")
    assert not User.objects.filter(email="somebody@new.example").exists()


def test_of_a_closed_organization_nobody_gets_in_and_callbacks_are_recorded(ours: Company, client_of: Any) -> None:
    call = make_call(ours)
    browser, machine = client_of(ours.admin), Api(ours.rep)
    assert "is closed" in run("close_organization", ours.organization.slug)
    assert "already" in run("close_organization", str(ours.id))
    assert browser.get("/contacts/").status_code == 403
    assert machine.post("calls/", {"contact": str(ours.contact.pk)}).status_code == 401
    assert post(ours, call.pk, "agent", said_of(ours, call)).status_code == 204
    assert callbacks_of(ours, call.pk).count == 1
    run("close_organization", ours.organization.slug, open=True)
    assert browser.get("/contacts/").status_code == 200
    assert machine.get("me/").status_code == 200


def test_an_organization_is_deleted_to_its_last_row_and_file_and_no_other_is(ours: Company, theirs: Company) -> None:
    rows = one_of_each(ours)
    one_of_each(theirs)
    with tenancy.inside(theirs.id):
        Membership.objects.create(user=ours.rep2.user, role=Role.REP)
    before, media = rows_of(theirs), rows[Recording].media_name
    assert media
    assert storages["recordings"].exists(media)
    run("close_organization", ours.organization.slug)
    said = run("delete_organization", ours.organization.slug, yes=ours.organization.name)
    assert "is deleted" in said
    assert set(rows_of(ours).values()) == {0}
    assert not Organization.objects.filter(pk=ours.id).exists()
    assert not storages["recordings"].exists(media)
    assert rows_of(theirs) == before
    left = {member.user.email: User.objects.filter(pk=member.user_id).exists() for member in (ours.rep, ours.rep2)}
    assert left == {ours.rep.user.email: False, ours.rep2.user.email: True}, "Who is a member elsewhere stays."
    for table, count in (("CallLog", 1), ("Membership", 4)):
        assert f"{count}  {table}" in said


def test_a_deletion_that_was_stopped_leaves_nobody_behind(ours: Company) -> None:
    one_of_each(ours)
    run("close_organization", ours.organization.slug)
    for what, _count in erase(Organization.objects.get(pk=ours.id)):
        if what == "Membership":  # and then somebody pressed Ctrl-C
            break
    left = storages["recordings"].save(f"{ours.id}/a-part-that-nobody-names", ContentFile(b"x"))
    run("delete_organization", ours.organization.slug, yes=ours.organization.name)
    assert set(rows_of(ours).values()) == {0}
    assert not storages["recordings"].exists(left)
    people = [member.user_id for member in (ours.rep, ours.rep2, ours.manager, ours.admin)]
    assert not User.objects.filter(pk__in=people).exists()


def test_an_open_one_or_a_wrong_name_deletes_nothing(ours: Company) -> None:
    one_of_each(ours)
    before = rows_of(ours)
    with pytest.raises(CommandError, match="Close the organization first"):
        run("delete_organization", ours.organization.slug, yes=ours.organization.name)
    run("close_organization", ours.organization.slug)
    with pytest.raises(CommandError, match="not its name"):
        run("delete_organization", ours.organization.slug, yes="Another")
    with pytest.raises(CommandError, match="no organization called"):
        run("delete_organization", "nobody", yes="nobody")
    assert rows_of(ours) == before | {"crm_auditentry": before["crm_auditentry"] + 1}, "That it was closed is audited."
