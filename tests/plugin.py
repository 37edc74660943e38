"""Loaded before Django's settings: brings PostgreSQL and Valkey up for the whole run, and bars the outside world."""

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crm.local import services

LOOPBACK = ("127.", "::1", "localhost")
SETTINGS = {
    "SECRET_KEY": "only-for-tests-and-long-enough-for-the-deployment-checks-0123456789",
    "FIELD_ENCRYPTION_KEYS": "t1:dGVzdHMgdXNlIHRoaXMga2V5IG9mIDMyIGJ5dGVzISE=",
    "PUBLIC_BASE_URL": "http://127.0.0.1:8000",
    "ALLOWED_HOSTS": "127.0.0.1,testserver",
}


class NotLoopback(RuntimeError):
    """A test tried to reach another machine."""


def only_loopback() -> None:
    """Refuse every connection that leaves this machine, from this process and whatever it imports."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> Any:
        if isinstance(address, tuple) and not str(address[0]).startswith(LOOPBACK):
            raise NotLoopback(f"Tests stay on this machine; {address[0]} is not on it.")
        return connect(self, address)

    socket.socket.connect = guarded  # type: ignore[method-assign]


def pytest_addoption(parser: pytest.Parser) -> None:
    """`make permissions`."""
    parser.addoption(
        "--write-permissions", action="store_true", help="write docs/permissions.md instead of comparing with it"
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests() -> Iterator[None]:
    """Set the environment that crm.settings reads, before pytest-django reads it."""
    only_loopback()
    # A background job of a shell ignores Ctrl-C, and so would everything that the tests start and interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    if worker is None:
        started = _running.enter_context(services.temporary())
        os.environ.update(started.environment())
        os.environ["CRM_TESTS_FOLDER"] = str(started.data_dir)
    else:
        # Each worker process has a database of the broker to itself, as it has a test database.
        base = os.environ["CELERY_BROKER_URL"].rpartition("/")[0]
        os.environ["CELERY_BROKER_URL"] = f"{base}/{int(worker.removeprefix('gw')) + 1}"
    folder = Path(os.environ["CRM_TESTS_FOLDER"]) / (worker or "main")
    folder.mkdir(mode=0o700, exist_ok=True)
    os.environ.update(SETTINGS, STATIC_ROOT=str(folder / "static"), RECORDINGS_ROOT=str(folder / "recordings"))
    return (yield)


_running = contextlib.ExitStack()


def pytest_unconfigure() -> None:
    """Stop what was started here."""
    _running.close()
