"""Two walls between organizations, each tried with the other one taken away."""

import os
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import IntegrityError, ProgrammingError, connections, models, transaction
from django.db.models import QuerySet

from calls.models import CallLog, JournalEntry
from crm import tenancy
from crm.access import CHOSEN, member_of_session, memberships_of
from crm.local.folder import Memory
from crm.models import Contact, ContactNumber, Membership, Opportunity, Organization, User
from crm.tenancy import MemberKey, NoOrganization, OtherOrganization, TenantKey, TenantRow, tenant_keys, tenant_models
from tests.conftest import Company
from tests.crm.rows import make_call, one_of_each

MODELS = tenant_models()
KEYS = [(model, *key) for model in MODELS for key in tenant_keys(model)]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def table(model: Any) -> str:
    """The table's name."""
    return str(model._meta.db_table)


def ask(statement: str, *values: Any, alias: str = "default") -> list[tuple[Any, ...]]:
    """Run one statement past Django's managers, as the application's role unless told otherwise."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall()) if cursor.description else []


def organizations_seen(model: Any, alias: str = "default") -> set[UUID]:
    """The organizations whose rows a bare SELECT on a table returns."""
    return {row[0] for row in ask(f"SELECT DISTINCT organization_id FROM {table(model)}", alias=alias)}


def unwalled(model: Any) -> QuerySet[Any]:
    """Every row that the database lets through: Django's own queryset, without our manager."""
    return QuerySet(model)


def setting() -> str:
    """The organization that the database session believes in; empty for none."""
    return ask("SELECT current_setting('app.organization_id', true)")[0][0] or ""


def key_of(row: Any) -> dict[str, Any]:
    """What finds this row again."""
    names = ("call_id", "digest") if isinstance(row, JournalEntry) else ("id",)
    return {name: getattr(row, name) for name in names}


@contextmanager
def without_row_level_security(*tables: str) -> Iterator[None]:
    """Take the first wall away from some tables; nobody else uses this worker's test database meanwhile."""
    try:
        for name in tables:
            ask(f"ALTER TABLE {name} DISABLE ROW LEVEL SECURITY", alias="owner")
        yield
    finally:
        for name in tables:
            ask(f"ALTER TABLE {name} ENABLE ROW LEVEL SECURITY", alias="owner")


# The cast is complete, and the schema is what the walls are made of


def test_every_tenant_table_is_tried_here(ours: Company) -> None:
    assert set(one_of_each(ours)) == set(MODELS)


@every_model
def test_a_tenant_table_has_its_policies_and_another_owner(model: type[TenantRow]) -> None:
    app = connections["default"].settings_dict["USER"]
    [(protected, owned)] = ask(
        "SELECT relrowsecurity, pg_has_role(%s, relowner, 'MEMBER') FROM pg_class WHERE oid = %s::regclass",
        app,
        table(model),
    )
    assert (protected, owned) == (True, False)
    policies = {
        name: (command, using or "", check or "")
        for name, command, using, check in ask(
            "SELECT policyname, cmd, qual, with_check FROM pg_policies"
            " WHERE tablename = %s AND permissive = 'PERMISSIVE'",
            table(model),
        )
    }
    command, using, check = policies.pop("tenant")
    assert command == "ALL"
    assert using == check
    assert using.startswith("(organization_id = ")
    assert "app.organization_id" in using
    if model is Membership:
        command, using, check = policies.pop("own_memberships")
        assert (command, check) == ("SELECT", "")
        assert "app.user_id" in using
    assert not policies, "Policies add up: one more is one more door."


@every_model
def test_the_application_may_not_pass_the_policies_by_emptying_a_table(model: type[TenantRow]) -> None:
    app = connections["default"].settings_dict["USER"]
    for privilege in ("TRUNCATE", "REFERENCES", "TRIGGER"):
        assert ask("SELECT has_table_privilege(%s, %s, %s)", app, table(model), privilege) == [(False,)]


def test_only_the_sweepers_list_names_an_organization_without_a_policy() -> None:
    bare = ask(
        "SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE a.attname = 'organization_id' AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity"
    )
    assert {name for (name,) in bare} <= {"calls_duecall", "crm_dueimport"}


# What runs with the owner's rights, past every policy: it must hold itself to the organization that is set.
SEARCHES = ("calls_search", "crm_search_contacts")


def test_nothing_in_the_schema_runs_with_the_owners_rights_but_the_searches() -> None:
    # A view, and a function marked SECURITY DEFINER, read past every policy.
    assert ask("SELECT viewname FROM pg_views WHERE schemaname = 'public'") == []
    assert ask(
        "SELECT p.proname, has_function_privilege('public', p.oid, 'EXECUTE'), p.proconfig::text FROM pg_proc p"
        " JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prosecdef AND n.nspname = 'public' ORDER BY 1"
    ) == [(name, False, '{"search_path=pg_catalog, pg_temp"}') for name in SEARCHES]


@pytest.mark.parametrize("function", SEARCHES)
def test_a_search_finds_the_organizations_own_rows_and_without_one_none(
    ours: Company, theirs: Company, function: str
) -> None:
    digits = theirs.contact_number[-4:]
    with tenancy.inside(ours.id):
        ContactNumber.objects.create(contact=ours.contact, number=theirs.contact_number)
    for company in (ours, theirs):
        make_call(company, to_number=theirs.contact_number, from_number=theirs.contact_number)
    search = f"SELECT {function}(%s, %s, 1000)"
    for text, part in (("%Contact of%", None), ("%Contact of%", f"%{digits}%"), (None, f"%{digits}%"), ("%", "%")):
        for company in (ours, theirs):
            with tenancy.inside(company.id):
                found = {row[0] for row in ask(search, text, part)}
                own = set((CallLog if function == "calls_search" else Contact).objects.values_list("pk", flat=True))
                assert found == own, (text, part)
        assert ask(search, text, part) == []


def test_every_reference_between_tenants_rows_is_a_composite_key() -> None:
    from django.apps import apps

    for model in apps.get_models():
        tenant = issubclass(model, TenantRow)
        for field in [*model._meta.local_fields, *model._meta.local_many_to_many]:
            target = field.remote_field.model if field.remote_field else None
            if not isinstance(target, type):
                continue
            name = f"{model.__name__}.{field.name}"
            if issubclass(target, TenantRow):
                assert tenant, f"{name}: a table without a policy points at a tenant's row."
                assert isinstance(field, TenantKey), name
            elif target is User and tenant and model is not Membership:
                assert isinstance(field, MemberKey), f"{name}: a user is in an organization only as its member."


@pytest.mark.parametrize(("model", "name", "column", "target", "columns"), KEYS, ids=[key[1] for key in KEYS])
def test_the_database_refuses_a_reference_into_another_organization(
    ours: Company, theirs: Company, model: Any, name: str, column: str, target: str, columns: tuple[str, str]
) -> None:
    row, foreign = one_of_each(ours)[model], one_of_each(theirs)
    assert getattr(row, column) is not None, "The row must hold a reference, or the test proves nothing."
    stranger = getattr(foreign[model], column)
    where = " AND ".join(f"{field} = %s" for field in key_of(row))
    if not model._meta.related_objects:  # theirs would clash with the copy of its reference before the key is asked
        ask(f"DELETE FROM {table(model)} WHERE organization_id = %s", theirs.id, alias="owner")
    # As the owner, whom no policy holds: only the key is left to refuse it.
    with pytest.raises(IntegrityError) as refused:
        ask(f"UPDATE {table(model)} SET {column} = %s WHERE {where}", stranger, *key_of(row).values(), alias="owner")
    assert refused.value.__cause__.diag.constraint_name == name  # type: ignore[union-attr]
    # Nor may the row itself move away from what it refers to.
    with pytest.raises(IntegrityError, match="_same_tenant"):
        ask(
            f"UPDATE {table(model)} SET organization_id = %s WHERE {where}",
            theirs.id,
            *key_of(row).values(),
            alias="owner",
        )


# Nobody is anywhere: nothing is seen


@every_model
def test_without_an_organization_the_database_shows_no_row(ours: Company, model: type[TenantRow]) -> None:
    one_of_each(ours)
    assert ours.id in organizations_seen(model, alias="owner")
    assert ask(f"SELECT count(*) FROM {table(model)}") == [(0,)]
    with transaction.atomic():
        assert ask(f"SELECT count(*) FROM {table(model)}") == [(0,)]


@every_model
def test_without_an_organization_no_manager_answers(ours: Company, model: Any) -> None:
    row = one_of_each(ours)[model]
    for manager in (model.objects, model._base_manager, model._default_manager):
        with pytest.raises(NoOrganization):
            manager.count()
    with pytest.raises(NoOrganization):
        model.objects.filter(**key_of(row)).first()
    with pytest.raises(NoOrganization):
        model.objects.bulk_create([row])
    with pytest.raises(NoOrganization):
        model.objects.get_or_create(**key_of(row))


@every_model
def test_without_an_organization_a_row_in_hand_leads_nowhere(ours: Company, model: Any) -> None:
    row = one_of_each(ours)[model]
    for field in model._meta.local_fields:
        if isinstance(field, TenantKey) and not isinstance(field, MemberKey):
            with pytest.raises(NoOrganization):
                getattr(row, field.name)
    for related in model._meta.related_objects:
        if related.get_accessor_name():
            with pytest.raises(NoOrganization):
                getattr(row, related.get_accessor_name()).count()
    for act in (row.refresh_from_db, row.save, row.delete):
        with pytest.raises(NoOrganization):
            act()
    assert ours.id in organizations_seen(model, alias="owner")


# The first wall alone: PostgreSQL


@every_model
def test_row_level_security_alone_shows_one_organizations_rows(
    ours: Company, theirs: Company, model: type[TenantRow]
) -> None:
    for company in (ours, theirs):
        one_of_each(company)
    for company in (ours, theirs):
        with tenancy.inside(company.id):
            assert organizations_seen(model) == {company.id}
            assert {row.organization_id for row in unwalled(model)} == {company.id}


@every_model
def test_row_level_security_alone_refuses_to_write_a_foreign_row(ours: Company, theirs: Company, model: Any) -> None:
    own, foreign = one_of_each(ours)[model], one_of_each(theirs)[model]
    where = " AND ".join(f"{field} = %s" for field in key_of(own))
    if model.is_append_only:
        with pytest.raises(ProgrammingError, match="permission denied"), tenancy.inside(ours.id):
            unwalled(model).filter(**key_of(foreign)).update(organization=ours.id)
    with tenancy.inside(ours.id):
        if not model.is_append_only:
            assert unwalled(model).filter(**key_of(foreign)).update(organization=ours.id) == 0
        assert ask(f"DELETE FROM {table(model)} WHERE {where} RETURNING 1", *key_of(foreign).values()) == []
    change = f"UPDATE {table(model)} SET organization_id = %s WHERE {where}"
    refusal = "permission denied" if model.is_append_only else "row-level security"
    with pytest.raises(ProgrammingError, match=refusal), tenancy.inside(ours.id):
        ask(change, theirs.id, *key_of(own).values())
    copy = f"INSERT INTO {table(model)} SELECT (jsonb_populate_record(t, %s::jsonb)).* FROM {table(model)} t"
    with pytest.raises(ProgrammingError, match="row-level security"), tenancy.inside(ours.id):
        ask(copy, f'{{"organization_id": "{theirs.id}"}}')
    assert {ours.id, theirs.id} <= organizations_seen(model, alias="owner")


# The second wall alone: Django


@every_model
def test_the_managers_alone_show_one_organizations_rows(ours: Company, theirs: Company, model: Any) -> None:
    for company in (ours, theirs):
        one_of_each(company)
    with without_row_level_security(table(model)):
        assert {ours.id, theirs.id} <= organizations_seen(model), "The first wall is down."
        with tenancy.inside(ours.id):
            for manager in (model.objects, model._base_manager, model._default_manager):
                assert {row.organization_id for row in manager.all()} == {ours.id}
        with pytest.raises(NoOrganization):
            model.objects.count()


@every_model
def test_the_managers_alone_refuse_to_write_a_foreign_row(ours: Company, theirs: Company, model: Any) -> None:
    own, foreign = one_of_each(ours)[model], one_of_each(theirs)[model]
    with without_row_level_security(table(model)):
        for write in (
            foreign.save,
            foreign.delete,
            lambda: model.objects.bulk_create([foreign], ignore_conflicts=True),
            lambda: model.objects.filter(**key_of(own)).update(organization=theirs.organization),
            lambda: model.objects.filter(**key_of(own)).update(organization_id=theirs.id),
        ):
            with pytest.raises(OtherOrganization), tenancy.inside(ours.id):
                write()
        with pytest.raises(model.DoesNotExist), tenancy.inside(ours.id):
            foreign.refresh_from_db()
        with tenancy.inside(ours.id):
            assert model.objects.filter(**key_of(foreign)).delete()[0] == 0
            own.organization_id = theirs.id
            with pytest.raises(OtherOrganization):
                own.save()
        seen = unwalled(model).filter(**key_of(foreign)).get()
        assert seen.organization_id == theirs.id


def test_a_foreign_row_is_missing_for_a_reference_even_without_the_first_wall(ours: Company, theirs: Company) -> None:
    number = one_of_each(ours)[ContactNumber]
    number.contact_id = theirs.contact.pk
    with without_row_level_security("crm_contact"), tenancy.inside(ours.id), pytest.raises(Contact.DoesNotExist):
        _ = number.contact


def test_deleting_a_contact_takes_no_other_organizations_rows_along(ours: Company, theirs: Company) -> None:
    for company in (ours, theirs):
        one_of_each(company)
    with tenancy.inside(ours.id):
        call = CallLog.objects.get()
        Contact.objects.all().delete()
        assert not ContactNumber.objects.exists()
        assert not Opportunity.objects.exists()
        call.refresh_from_db()
        assert (call.contact_id, call.opportunity_id) == (None, None)
    with tenancy.inside(theirs.id):
        assert Contact.objects.count() == ContactNumber.objects.count() == Opportunity.objects.count() == 1
        assert CallLog.objects.get().contact_id == theirs.contact.pk


# The setting stays where it was made


def test_the_organization_is_left_with_the_block(ours: Company) -> None:
    with tenancy.inside(ours.id):
        assert setting() == str(ours.id)
        assert tenancy.current_organization_id() == ours.id
    assert setting() == ""
    assert ask("SELECT count(*) FROM crm_contact") == [(0,)]
    with pytest.raises(NoOrganization):
        tenancy.current_organization_id()


def test_the_organization_is_left_with_an_exception_and_its_writes_are_undone(ours: Company) -> None:
    def write_and_fail() -> None:
        Contact.objects.create(name="Never kept")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), tenancy.inside(ours.id):
        write_and_fail()
    assert setting() == ""
    with tenancy.inside(ours.id):
        assert not Contact.objects.filter(name="Never kept").exists()


def test_the_organization_is_left_when_the_database_itself_refused(ours: Company) -> None:
    with pytest.raises(ProgrammingError), tenancy.inside(ours.id):
        ask("SELECT nothing FROM nowhere")
    assert setting() == ""
    assert ask("SELECT count(*) FROM crm_contact") == [(0,)]


@pytest.mark.parametrize("fails", [False, True])
def test_a_block_in_an_open_transaction_leaves_it_as_it_was(ours: Company, theirs: Company, fails: bool) -> None:
    with transaction.atomic():
        with ExitStack() as stack:
            if fails:
                stack.enter_context(pytest.raises(ZeroDivisionError))
            with tenancy.inside(ours.id):
                assert organizations_seen(Contact) == {ours.id}
                if fails:
                    raise ZeroDivisionError
        assert setting() == ""
        assert organizations_seen(Contact) == set()
        with tenancy.inside(theirs.id):
            assert organizations_seen(Contact) == {theirs.id}
    assert setting() == ""


@pytest.mark.parametrize("fails", [False, True])
def test_the_same_organization_may_be_entered_again_and_stays_until_the_outer_end(ours: Company, fails: bool) -> None:
    with tenancy.inside(ours.id):
        with ExitStack() as stack:
            if fails:
                stack.enter_context(pytest.raises(ZeroDivisionError))
            with tenancy.inside(ours.id):
                Contact.objects.create(name="Inner")
                if fails:
                    raise ZeroDivisionError
        assert setting() == str(ours.id)
        assert Contact.objects.filter(name="Inner").exists() is not fails
        assert organizations_seen(Contact) == {ours.id}


def test_another_organization_may_not_be_entered_from_within_one(ours: Company, theirs: Company) -> None:
    with tenancy.inside(ours.id):
        with pytest.raises(OtherOrganization), tenancy.inside(theirs.id):
            pytest.fail("entered")
        with pytest.raises(OtherOrganization), tenancy.signing_in(theirs.rep.user_id):
            pytest.fail("entered")
        assert organizations_seen(Contact) == {ours.id}


def test_another_thread_is_in_no_organization(ours: Company) -> None:
    told: dict[str, Any] = {}

    def look() -> None:
        try:
            told["seen"] = organizations_seen(Contact)
            with pytest.raises(NoOrganization):
                Contact.objects.count()
            told["refused"] = True
        finally:
            connections["default"].close()

    with tenancy.inside(ours.id):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
    assert told == {"seen": set(), "refused": True}


def test_what_runs_after_the_commit_is_in_no_organization(ours: Company) -> None:
    told: list[object] = []

    def hook() -> None:
        told.append(organizations_seen(Contact))
        with pytest.raises(NoOrganization):
            Contact.objects.count()
        told.append("refused")

    with tenancy.inside(ours.id):
        transaction.on_commit(hook)
    assert told == [set(), "refused"]


# Signing in


@pytest.fixture
def twice(ours: Company, theirs: Company) -> User:
    """A user who is a rep of ours and an admin of theirs."""
    with tenancy.inside(theirs.id):
        Membership.objects.create(user=ours.rep.user, role="admin")
    return ours.rep.user


def test_somebody_who_signs_in_sees_their_own_memberships_and_nothing_else(
    ours: Company, theirs: Company, twice: User
) -> None:
    one_of_each(ours)
    with tenancy.signing_in(twice.pk):
        assert {row.organization_id for row in Membership.objects.all()} == {ours.id, theirs.id}
        assert ask("SELECT DISTINCT user_id FROM crm_membership") == [(twice.pk,)]
        for model in set(MODELS) - {Membership}:
            assert organizations_seen(model) == set()
            with pytest.raises(NoOrganization):
                model.objects.count()
    assert ask("SELECT count(*) FROM crm_membership") == [(0,)]


def test_signing_in_shows_memberships_but_changes_none(twice: User) -> None:
    with tenancy.signing_in(twice.pk):
        assert Membership.objects.update(role="admin") == 0
        row = Membership.objects.first()
        for write in (row.save, row.delete):
            with pytest.raises(NoOrganization):
                write()


def test_signing_in_shows_only_the_users_own_memberships_without_the_first_wall(twice: User) -> None:
    with without_row_level_security("crm_membership"), tenancy.signing_in(twice.pk):
        assert {row.user_id for row in Membership.objects.all()} == {twice.pk}


def session_of(user: User, organization_id: UUID) -> Any:
    """A request of a signed-in user whose session chose this organization."""
    return SimpleNamespace(user=user, session={CHOSEN: str(organization_id)})


def test_a_user_of_two_organizations_is_in_the_one_that_the_session_chose(
    ours: Company, theirs: Company, twice: User
) -> None:
    assert [member.organization_id for member in memberships_of(twice)] == [ours.id, theirs.id]  # by name
    for company, role in ((ours, "rep"), (theirs, "admin")):
        member = member_of_session(session_of(twice, company.id))
        assert member is not None
        assert (member.organization_id, member.role) == (company.id, role)
    elsewhere = member_of_session(session_of(theirs.rep.user, ours.id))
    assert elsewhere is not None
    assert elsewhere.organization_id == theirs.id


def test_an_inactive_membership_or_organization_is_no_way_in(ours: Company, theirs: Company, twice: User) -> None:
    with tenancy.inside(ours.id):
        Membership.objects.filter(user=twice).update(is_active=False)
    assert [member.organization_id for member in memberships_of(twice)] == [theirs.id]
    Organization.objects.filter(pk=theirs.id).update(is_active=False)
    assert memberships_of(twice) == []
    assert member_of_session(session_of(twice, ours.id)) is None


# The role


@contextmanager
def the_application_connects_as(user: str, password: str) -> Iterator[None]:
    """Have the default connection of this thread sign in as another role."""
    usual = connections["default"]
    other = usual.copy()
    other.settings_dict |= {"USER": user, "PASSWORD": password}
    connections["default"] = other
    try:
        yield
    finally:
        other.close()
        connections["default"] = usual


@pytest.fixture
def superuser() -> Iterator[psycopg.Connection]:
    """The superuser of the server that this test run started."""
    folder = Path(os.environ["CRM_TESTS_FOLDER"])
    if not (folder / "postgres").exists():
        pytest.skip("The database server is somebody else's: its superuser is not ours to use.")
    known = connections["default"].settings_dict
    with psycopg.connect(
        host=known["HOST"],
        port=known["PORT"],
        dbname=known["NAME"],
        user="postgres",
        password=Memory(folder).secret("postgres"),
        autocommit=True,
    ) as connection:
        yield connection


def findings() -> list[str | None]:
    """What the system check says of the default connection."""
    return [problem.id for problem in tenancy.check_role(databases=["default"])]


def test_the_applications_own_role_is_accepted() -> None:
    assert findings() == []
    tenancy.refuse_unsafe_role()


def test_a_superuser_is_refused(superuser: psycopg.Connection) -> None:
    with the_application_connects_as("postgres", superuser.info.password):
        assert {"crm.E001", "crm.E003"} <= set(findings())
        with pytest.raises(ImproperlyConfigured, match="superuser"):
            tenancy.refuse_unsafe_role()


@pytest.mark.parametrize(("rights", "code"), [("BYPASSRLS", "crm.E002"), ("IN ROLE {owner}", "crm.E003")])
def test_a_role_that_may_bypass_the_policies_or_act_as_the_owner_is_refused(
    superuser: psycopg.Connection, rights: str, code: str
) -> None:
    role = f"probe_{os.getpid()}"
    owner = connections["owner"].settings_dict["USER"]
    superuser.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'probe' {rights.format(owner=owner)}")
    try:
        with the_application_connects_as(role, "probe"):
            assert findings() == [code]
    finally:
        superuser.execute(f"DROP ROLE {role}")


def test_the_owner_of_the_tables_is_refused() -> None:
    owner = connections["owner"].settings_dict
    with the_application_connects_as(owner["USER"], owner["PASSWORD"]):
        [problem] = tenancy.check_role(databases=["default"])
        assert problem.id == "crm.E003"
        for model in MODELS:
            assert table(model) in problem.msg


@every_model
def test_a_table_whose_policies_are_off_is_refused(model: type[TenantRow]) -> None:
    with without_row_level_security(table(model)):
        assert findings() == ["crm.E004"]
        with pytest.raises(ImproperlyConfigured, match=table(model)):
            tenancy.refuse_unsafe_role()
    assert findings() == []


@pytest.mark.parametrize(
    "start",
    [
        ["-c", "import crm.wsgi"],
        ["-m", "celery", "-A", "crm", "worker", "-l", "ERROR"],
        ["-m", "celery", "-A", "crm", "beat", "-l", "ERROR", "--schedule", "{folder}/schedule"],
        ["manage.py", "create_token", "nobody@example.com", "nowhere"],
        ["manage.py", "shell", "-c", "print('inside')"],
    ],
    ids=["web", "worker", "beat", "a command of ours", "a command of Django's"],
)
def test_no_process_starts_with_the_owners_role(tmp_path: Path, start: list[str]) -> None:
    owner = connections["owner"].settings_dict
    secret = urllib.parse.quote(owner["PASSWORD"], safe="")
    url = f"postgresql://{owner['USER']}:{secret}@{owner['HOST']}:{owner['PORT']}/{owner['NAME']}"
    ended = subprocess.run(
        [sys.executable, *(word.format(folder=tmp_path) for word in start)],
        env=os.environ | {"DATABASE_URL": url},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode != 0
    assert "crm.E003" in ended.stderr
    assert "inside" not in ended.stdout
    assert owner["PASSWORD"] not in ended.stderr


def test_no_call_is_found_by_its_id_from_within_another_organization(ours: Company, theirs: Company) -> None:
    call = make_call(theirs)
    with tenancy.inside(ours.id):
        assert not CallLog.objects.filter(pk=call.pk).exists()
        assert not models.QuerySet(CallLog).filter(pk=call.pk).exists()
