"""What must be in order before a process serves a request, runs a task, or lets a command read rows."""

import sys

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

# The tag of a system check that stops a process which is about to start; apps register theirs with it.
STARTING = "starting"

# Commands of `manage.py` that read no tenant's row: who builds, checks or migrates may be the owner, or without a
# database. `runserver` loads crm.wsgi, which looks for itself.
WITHOUT_ROWS = frozenset(
    {
        *("check", "collectstatic", "compilemessages", "diffsettings", "findstatic", "help", "makemessages"),
        *("makemigrations", "migrate", "optimizemigration", "runserver", "sendtestemail", "showmigrations"),
        *("spectacular", "sqlmigrate", "squashmigrations", "startapp", "startproject", "version"),
    }
)


def refuse_unsafe_start() -> None:
    """Stop a starting process whose keys or database role are not safe. Raises: ImproperlyConfigured.

    Now and not at the first call, which would fail in front of a rep.
    """
    from crm.tenancy import refuse_unsafe_role  # needs the settings

    problems = [problem for problem in run_checks(tags=[STARTING]) if problem.is_serious()]
    if problems:
        raise ImproperlyConfigured(
            "\n".join(f"{problem.id}: {problem.msg} {problem.hint or ''}" for problem in problems)
        )
    refuse_unsafe_role()


def refuse_unsafe_command(words: list[str]) -> None:
    """End `manage.py` with a sentence before it reads rows under a role that could read every tenant's."""
    command = words[0] if words else "help"
    if command.startswith("-") or command in WITHOUT_ROWS or {"-h", "--help"} & set(words):
        return
    try:
        django.setup()
        refuse_unsafe_start()
    except ImproperlyConfigured as problem:
        sys.exit(str(problem))
