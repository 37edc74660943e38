"""The house's lines, read off the source: who imports whom, and who asks for tenants' rows."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm.tenancy import tenant_models

PROJECT = Path(__file__).resolve().parent.parent
APPS = ("crm", "calls", "integrations")
SIMULATOR = "integrations.simulator"


def name_of(path: Path) -> str:
    """The module's dotted name."""
    parts = path.relative_to(PROJECT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {name_of(path): path for app in APPS for path in sorted((PROJECT / app).rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(), str(path)) for name, path in SOURCES.items()}


def imports(module: str) -> Iterator[str]:
    """Every name that `module` imports, inside functions too: `from a import b` is `a` and `a.b`."""
    is_package = SOURCES[module].name == "__init__.py"
    for node in ast.walk(TREES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")
                above = above[: len(above) - node.level + is_package]
                base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    """Whether `name` is one of `packages` or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def culprits(*forbidden: str, but: tuple[str, ...] = (), among: tuple[str, ...] = APPS) -> dict[str, list[str]]:
    """The modules `among` these that import what is forbidden, `but` those that may."""
    found = {
        module: sorted({name for name in imports(module) if within(name, *forbidden)})
        for module in SOURCES
        if within(module, *among) and not within(module, *but)
    }
    return {module: names for module, names in found.items() if names}


def test_the_walk_sees_imports_of_every_form() -> None:
    assert within("integrations.simulator.config", *imports("integrations.simulator.control"))
    assert "calls.reconcile.apply" in set(imports("calls.services.begin"))
    assert "crm.starting.refuse_unsafe_start" in set(imports("crm.celery")), "It is imported inside a function."


def test_only_one_folder_knows_twilios_package() -> None:
    assert culprits("twilio", but=("integrations.twilio",)) == {}


def test_the_simulator_and_we_know_nothing_of_each_other() -> None:
    others = tuple(name for name in SOURCES if not within(name, SIMULATOR) and name not in APPS)
    assert culprits(*others, "crm", "calls", "django", "twilio", among=(SIMULATOR,)) == {}
    assert culprits(SIMULATOR, but=(SIMULATOR,)) == {}


def test_imports_point_one_way() -> None:
    assert culprits("calls", "integrations", among=("crm",)) == {}
    assert culprits("calls", among=("integrations",)) == {}


def test_tests_are_imported_by_nothing() -> None:
    assert culprits("tests", "pytest") == {}


@pytest.mark.parametrize("entry", ["api", "views", "tasks", "webhooks", "admin", "urls", "page_urls", "webhook_urls"])
def test_whoever_is_asked_first_leaves_the_network_and_the_sql_to_others(entry: str) -> None:
    twilio = ("integrations.twilio.client", "integrations.twilio.line", "integrations.twilio.media")
    network = ("requests", "urllib3", "urllib.request", "http.client", "redis", *twilio)
    for app in APPS:
        if f"{app}.{entry}" in SOURCES:
            assert culprits(*network, among=(f"{app}.{entry}",)) == {}


def test_a_task_is_a_shell_around_reconcile() -> None:
    allowed = ("celery", "calls.reconcile")
    assert [name for name in imports("calls.tasks") if not within(name, *allowed)] == []
    for node in TREES["calls.tasks"].body:
        if isinstance(node, ast.FunctionDef):
            assert len(node.body) == 2, f"{node.name}: a docstring and one line."


def test_nothing_imports_the_tasks() -> None:
    assert culprits("calls.tasks") == {}


def test_the_rules_are_pure() -> None:
    frameworks = ("django", "rest_framework", "celery", "requests", "psycopg", "crm", "calls.models", "time", "random")
    assert culprits(*frameworks, among=("calls.rules", "integrations.twilio.words")) == {}


# Modules of these names fetch or write tenants' rows; all others ask them.
ROOMS = {"access", "queries", "services", "reconcile", "journal", "audio", "instructions", "panel", "management"}
ROOMS |= {"audit", "do_not_call", "organizations", "members", "invitations", "contacts", "imports", "exports", "sample"}
ROOMS |= {"saved_views"}
MANAGERS = {"objects", "_base_manager", "_default_manager"}


def test_tenants_rows_are_reached_through_the_rooms_for_it() -> None:
    models = {model.__name__ for model in tenant_models()}
    found = {
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        if not (set(module.split(".")) & (ROOMS | {"migrations"})) and module != "crm.tenancy"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in MANAGERS
        and isinstance(node.value, ast.Name)
        and node.value.id in models
    }
    assert found == set()


def test_nobody_else_sets_the_organization_or_goes_around_the_walls() -> None:
    # Those that may: the walls themselves, the function that stores a callback, and those that search by an index.
    search = {"crm.migrations.0012_search", "calls.migrations.0017_search"}
    allowed = {"crm.tenancy", "calls.migrations.0003_store_callback", "calls.migrations.0005_fair_and_dead", *search}
    for module, path in SOURCES.items():
        text = path.read_text()
        if module not in allowed:
            assert "app.organization_id" not in text, module
            assert "app.user_id" not in text, module
        if module not in search:
            assert "SECURITY DEFINER" not in text, module
        assert 'using("owner")' not in text, module


def test_every_module_says_what_belongs_in_it() -> None:
    silent = [
        module
        for module, tree in TREES.items()
        if tree.body and not ast.get_docstring(tree) and not module.endswith(".migrations.0001_initial")
    ]
    assert silent == []


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert not {name.rpartition(".")[2] for name in SOURCES} & {"utils", "helpers", "common", "misc", "manager"}


def test_exceptions_are_never_caught_unnamed() -> None:
    found = [
        f"{module}:{node.lineno}"
        for module, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert found == []
