"""The two walls between organizations, and the only doors in them.

Wall one is PostgreSQL's row-level security: every tenant table has a policy on `app.organization_id`, which is set
for one transaction by `inside()`; the application's role owns nothing and may not bypass it. Wall two is Django's:
the managers of tenant models filter by the same organization and raise where none is set. Each holds without the
other. References between tenant tables are composite keys, so that the database refuses one that crosses tenants.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, connections, models, router, transaction
from django.db.migrations.operations.base import Operation
from uuid_utils.compat import uuid7


class NoOrganization(RuntimeError):
    """A tenant's row was asked for while no organization is set."""


class OtherOrganization(RuntimeError):
    """A row of one organization was about to be written inside another."""


@dataclass(frozen=True)
class _Scope:
    organization_id: UUID | None = None
    user_id: UUID | None = None


_NOWHERE = _Scope()
_scope: ContextVar[_Scope] = ContextVar("tenancy_scope", default=_NOWHERE)


def current_organization_id() -> UUID:
    """Return the organization that is set. Raises: NoOrganization."""
    organization_id = _scope.get().organization_id
    if organization_id is None:
        raise NoOrganization("No organization is set: enter one with tenancy.inside().")
    return organization_id


@contextmanager
def inside(organization_id: UUID) -> Iterator[None]:
    """Run the block in one transaction that sees `organization_id`'s rows and no others.

    The setting is local to the transaction, so nothing leaks to the next user of a pooled or persistent connection.
    Entering again for the same organization opens a savepoint. Raises: OtherOrganization for another one.
    """
    outer = _scope.get().organization_id
    if outer is not None and outer != organization_id:
        raise OtherOrganization("Leave one organization before entering another.")
    with _scoped(_Scope(organization_id=organization_id)):
        yield


@contextmanager
def signing_in(user_id: UUID) -> Iterator[None]:
    """Run the block in one transaction that sees `user_id`'s own memberships, wherever, and nothing else."""
    if _scope.get().organization_id is not None:
        raise OtherOrganization("A user signs in outside of every organization.")
    with _scoped(_Scope(user_id=user_id)):
        yield


@contextmanager
def _scoped(scope: _Scope) -> Iterator[None]:
    previous = _scope.get()
    inner = connections[DEFAULT_DB_ALIAS].in_atomic_block
    if inner and scope == previous:  # the transaction has the setting already
        with transaction.atomic():
            yield
        return
    with transaction.atomic():
        _set_local(scope)
        token = _scope.set(scope)
        try:
            yield
        finally:
            _scope.reset(token)  # before the commit: hooks that run after it are in no organization
    if inner:
        # A rollback restores the setting by itself; a released savepoint keeps its own until the transaction ends.
        _set_local(previous)


def _set_local(scope: _Scope) -> None:
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(
            "SELECT set_config('app.organization_id', %s, true), set_config('app.user_id', %s, true)",
            [str(scope.organization_id or ""), str(scope.user_id or "")],
        )


class TenantQuerySet(models.QuerySet[Any]):
    """Rows of the organization that is set; refuses to move one to another."""

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        objs = list(objs)
        for row in objs:
            row.refuse_other_organization()
        return super().bulk_create(objs, *args, **kwargs)

    def update(self, **values: Any) -> int:
        if {"organization", "organization_id"} & values.keys():
            raise OtherOrganization("A row never changes its organization.")
        return super().update(**values)


class TenantManager(models.Manager.from_queryset(TenantQuerySet)):  # type: ignore[misc]
    """The second wall: filters by the organization that is set and raises where there is none."""

    def get_queryset(self) -> TenantQuerySet:
        return super().get_queryset().filter(organization_id=current_organization_id())

    def none(self) -> TenantQuerySet:
        """No rows at all, which is nobody's secret: the OpenAPI document is made with it."""
        return TenantQuerySet(self.model, using=self._db).none()


class MembershipManager(TenantManager):
    """Like every tenant's rows, but a user who is signing in sees their own memberships everywhere."""

    def get_queryset(self) -> TenantQuerySet:
        scope = _scope.get()
        if scope.user_id is None:
            return super().get_queryset()
        return TenantQuerySet(self.model, using=self._db).filter(user_id=scope.user_id)


class TenantRow(models.Model):
    """A row that belongs to one organization; its migration must run `Protect` on it."""

    #: The application's role adds rows and reads them, and may not change any; a policy says which it may delete.
    is_append_only: ClassVar[bool] = False

    # No index of its own: every tenant table has one that begins with it.
    organization = models.ForeignKey(
        "crm.Organization", on_delete=models.PROTECT, related_name="+", editable=False, db_index=False
    )

    objects = TenantManager()

    class Meta:
        abstract = True
        # `call.contact`, refresh_from_db() and save() go through the base manager: they must meet the wall too.
        base_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if self.organization_id is None:
            self.organization_id = current_organization_id()
        self.refuse_other_organization()
        super().save(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> tuple[int, dict[str, int]]:
        # Django's fast path for one row uses no manager at all.
        self.refuse_other_organization()
        return super().delete(*args, **kwargs)

    def refuse_other_organization(self) -> None:
        """Raises OtherOrganization or NoOrganization unless this row belongs where we are."""
        if self.organization_id != current_organization_id():
            raise OtherOrganization("This row belongs to another organization.")


class TenantModel(TenantRow):
    """A tenant's row with an id of its own, which is ordered by time."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)

    class Meta(TenantRow.Meta):
        abstract = True


class TenantKey(models.ForeignKey):
    """A reference to a tenant's row; `Protect` makes the database hold it as (organization, id)."""

    columns: tuple[str, str] = ("organization_id", "id")

    def __init__(self, to: Any, **kwargs: Any) -> None:
        kwargs["db_constraint"] = False
        super().__init__(to, **kwargs)

    def deconstruct(self) -> Any:
        name, path, args, kwargs = super().deconstruct()
        kwargs.pop("db_constraint", None)
        return name, path, args, kwargs


class MemberKey(TenantKey):
    """A reference to a user, bound to their membership of the row's organization."""

    columns = ("organization_id", "user_id")


POLICY = "organization_id = nullif((SELECT current_setting('app.organization_id', true)), '')::uuid"
OWN_MEMBERSHIPS = "user_id = nullif((SELECT current_setting('app.user_id', true)), '')::uuid"


class Protect(Operation):
    """Put a tenant model's table behind row-level security and bind its references to its organization.

    The composite keys come first: added after a forced policy they would be valid without having seen a row.
    """

    reversible = True

    def __init__(self, model: str) -> None:
        self.model = model

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        return type(self).__name__, [], {"model": self.model}

    def describe(self) -> str:
        return f"Protect {self.model} with row-level security and composite keys"

    def state_forwards(self, app_label: str, state: Any) -> None:
        """The policy is no part of Django's state."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model)
        if not router.allow_migrate_model(schema_editor.connection.alias, model):
            return
        table = model._meta.db_table
        for name, column, target, columns in tenant_keys(model):
            schema_editor.execute(
                f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (organization_id, {column})"
                f" REFERENCES {target} ({', '.join(columns)})"
            )
        schema_editor.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        schema_editor.execute(f"CREATE POLICY tenant ON {table} USING ({POLICY}) WITH CHECK ({POLICY})")
        if table == "crm_membership":
            schema_editor.execute(f"CREATE POLICY own_memberships ON {table} FOR SELECT USING ({OWN_MEMBERSHIPS})")

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        model = to_state.apps.get_model(app_label, self.model)
        table = model._meta.db_table
        schema_editor.execute(f"DROP POLICY IF EXISTS own_memberships ON {table}")
        schema_editor.execute(f"DROP POLICY tenant ON {table}")
        schema_editor.execute(f"ALTER TABLE {table} DISABLE ROW LEVEL SECURITY")
        for name, *_ in tenant_keys(model):
            schema_editor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")


def tenant_keys(model: Any) -> list[tuple[str, str, str, tuple[str, str]]]:
    """Return `(constraint name, column, target table, target columns)` of each composite key of `model`."""
    keys = []
    for field in model._meta.local_fields:
        if isinstance(field, TenantKey):
            member = isinstance(field, MemberKey)
            target = "crm_membership" if member else field.remote_field.model._meta.db_table
            keys.append((f"{model._meta.db_table}_{field.column}_same_tenant", field.column, target, field.columns))
    return keys


def tenant_models() -> list[type[TenantRow]]:
    """Return every concrete tenant model of the project."""
    from django.apps import apps

    return [model for model in apps.get_models() if issubclass(model, TenantRow)]


def append_only_tables() -> list[str]:
    """Return the tables that the application's role can only add to."""
    return [model._meta.db_table for model in tenant_models() if model.is_append_only]


# Whoever has just brought 100,000 rows into these has them analysed, which PostgreSQL 17 lets others do than the owner.
FILLED_AT_ONCE = ("crm_contact", "crm_contactnumber", "crm_importedcontact")


def grant_to_application_role(using: str, **kwargs: Any) -> None:
    """After migrations: let the application's role read and write every table, and own none."""
    connection = connections[using]
    role = connection.ops.quote_name(settings.DATABASES[DEFAULT_DB_ALIAS]["USER"])
    if settings.DATABASES[using]["USER"] == settings.DATABASES[DEFAULT_DB_ALIAS]["USER"]:
        return
    with connection.cursor() as cursor:
        cursor.execute(f"GRANT USAGE ON SCHEMA public TO {role}")
        cursor.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
        cursor.execute(f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
        # Those of ours that run as their owner are nobody else's.
        cursor.execute(
            "SELECT oid::regprocedure FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
            " AND pg_has_role(current_user, proowner, 'MEMBER')"
        )
        for (function,) in cursor.fetchall():
            cursor.execute(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")
        present = connection.introspection.table_names(cursor)
        for table in append_only_tables():
            if table in present:  # not while migrations are taken back
                cursor.execute(f"REVOKE UPDATE, TRUNCATE ON {table} FROM {role}")
        if connection.pg_version >= 170000:  # type: ignore[attr-defined]
            for table in set(FILLED_AT_ONCE) & set(present):
                cursor.execute(f"GRANT MAINTAIN ON {table} TO {role}")


def check_role(app_configs: Any = None, databases: Any = None, **kwargs: Any) -> list[CheckMessage]:
    """The system check: the application's role must be unable to see past the policies."""
    if DEFAULT_DB_ALIAS not in (databases or []):
        return []
    tables = [model._meta.db_table for model in tenant_models()]
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute("SELECT rolname, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        role, superuser, bypasses = cursor.fetchone()
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind IN ('r', 'p')"
            " AND pg_has_role(current_user, relowner, 'MEMBER')",
            [tables],
        )
        owned = [name for (name,) in cursor.fetchall()]
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind IN ('r', 'p') AND NOT relrowsecurity",
            [tables],
        )
        bare = [name for (name,) in cursor.fetchall()]
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname = ANY(%s) AND relkind = 'r'"
            " AND has_table_privilege(oid, 'UPDATE, TRUNCATE')",
            [append_only_tables()],
        )
        mutable = [name for (name,) in cursor.fetchall()]
    hint = "Point DATABASE_URL at a role that owns nothing, and DATABASE_OWNER_URL at the owner, for migrations only."
    problems: list[CheckMessage] = []
    if superuser:
        problems.append(Error(f"The database role {role} is a superuser.", hint=hint, id="crm.E001"))
    if bypasses:
        problems.append(Error(f"The database role {role} may bypass row-level security.", hint=hint, id="crm.E002"))
    if owned:
        problems.append(
            Error(f"The database role {role} owns tenant tables: {', '.join(owned)}.", hint=hint, id="crm.E003")
        )
    if bare:
        problems.append(Error(f"Tables without row-level security: {', '.join(bare)}.", id="crm.E004"))
    if mutable and not problems:  # or it may because of those
        problems.append(
            Error(
                f"The database role {role} may change what only grows: {', '.join(mutable)}.", hint=hint, id="crm.E005"
            )
        )
    return problems


def refuse_unsafe_role() -> None:
    """Stop a starting process if `check_role` finds anything. Raises: ImproperlyConfigured."""
    problems = check_role(databases=[DEFAULT_DB_ALIAS])
    connections[DEFAULT_DB_ALIAS].close()
    if problems:
        raise ImproperlyConfigured(
            "\n".join(f"{problem.id}: {problem.msg} {problem.hint or ''}" for problem in problems)
        )
