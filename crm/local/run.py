"""`python -m crm.local.run -- COMMAND …`: run any command with the local services and keys in its environment."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from crm.local import services
from crm.local.child import LocalError
from crm.local.folder import FolderInUse, default_data_dir
from crm.local.services import Services
from crm.local.stack import environment

EPILOG = """\
The command sees DATABASE_URL, DATABASE_OWNER_URL, CELERY_BROKER_URL and every other setting of the project; what
the environment already says stays as it is.

Examples:
  python -m crm.local.run -- python manage.py shell
  python -m crm.local.run --fresh --migrate -- python manage.py check
"""


def main() -> int:
    """Run the command; return its status."""
    parser = argparse.ArgumentParser(
        prog="python -m crm.local.run",
        description="Run a command with PostgreSQL, Valkey and keys of its own; a demo that is running is joined.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--fresh", action="store_true", help="in a new data folder that is removed afterwards")
    parser.add_argument("--migrate", action="store_true", help="bring the database up to date before")
    parser.add_argument("--data-dir", type=Path, metavar="D", help="(default: the demo's)")
    parser.add_argument("command", nargs="+", help="after `--`")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(143))
    try:
        with chosen(fresh=options.fresh, data_dir=options.data_dir) as found:
            return run(found, options.command, migrate=options.migrate)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


@contextlib.contextmanager
def chosen(*, fresh: bool, data_dir: Path | None) -> Iterator[Services]:
    """Run the services that were asked for, or join those that run already."""
    if fresh:
        with services.temporary(durable=True) as found:
            yield found
        return
    try:
        runs = services.start(data_dir)
    except FolderInUse:
        yield services.joined((data_dir or default_data_dir()).absolute())
        return
    try:
        yield runs.services
    finally:
        runs.stop()


def run(found: Services, command: list[str], *, migrate: bool) -> int:
    """Run `command` in the foreground: it has the terminal, and Ctrl-C is its own affair."""
    ours = environment(found, web_url="http://127.0.0.1:8000", twilio_url=os.environ.get("TWILIO_API_BASE_URL", ""))
    env = ours | found.environment() | {name: value for name, value in os.environ.items() if name in ours and value}
    if migrate:
        migration = [sys.executable, "manage.py", "migrate", "--database", "owner", "-v0"]
        status = subprocess.run(migration, env=env, check=False).returncode
        if status:
            return status
    child = subprocess.Popen(command, env=env)
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue
    finally:
        if child.poll() is None:
            child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(2)
            child.kill()
            child.wait()


if __name__ == "__main__":
    sys.exit(main())
