"""Makes `.venv` and installs a lock file into it, unless that is done already; runs under the system's own Python.

    python3 crm/local/install.py {local,dev}

The stamp that says what is installed is written last and holds the lock's digest: an interrupted run starts over, a
warm one takes no time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
VENV = PROJECT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
#: Each lock file, and those that it contains.
CONTAINS = {"local": ["local"], "dev": ["dev", "local"]}


class InstallFailed(Exception):
    """The installation cannot be finished; the message says why, in one line."""


def main() -> int:
    """Return 0 when the lock is installed."""
    if len(sys.argv) != 2 or sys.argv[1] not in CONTAINS:
        print(f"usage: python3 crm/local/install.py {{{','.join(CONTAINS)}}}", file=sys.stderr)
        return 2
    name = sys.argv[1]
    try:
        with alone():
            if not installed(name):
                install(name)
    except InstallFailed as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Wait until no other run installs: two at once would leave a mixture."""
    folder = PROJECT / ".data"
    folder.mkdir(mode=0o700, exist_ok=True)
    with open(folder / "install.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def install(name: str) -> None:
    """Bring `.venv` to the state of the lock. Raises: InstallFailed."""
    if not usable():
        make_venv()
    for part in CONTAINS:
        stamp(part).unlink(missing_ok=True)
    print(f"Installing requirements/{name}.txt into .venv …", file=sys.stderr)
    pip = [str(PYTHON), "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-input"]
    command = [*pip, "--require-hashes", "-r", str(lock_file(name))]
    if status := subprocess.call(command, stdout=sys.stderr):
        raise InstallFailed(f"pip ended with status {status}; nothing is marked as installed, so run it again.")
    for part in CONTAINS[name]:
        stamp(part).write_text(wanted(part))


def make_venv() -> None:
    """Create `.venv`, over a half-made one if need be. Raises: InstallFailed."""
    if find_spec("venv") is None or find_spec("ensurepip") is None:
        raise InstallFailed(f"{sys.executable} cannot make virtual environments: apt-get install python3-venv.")
    print(f"Making .venv with Python {sys.version.split()[0]} …", file=sys.stderr)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV], stdout=sys.stderr):
        raise InstallFailed(f"{sys.executable} -m venv failed: see above.")


def usable() -> bool:
    """Say whether `.venv` is whole: a Python that is new enough, with pip."""
    code = f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"
    try:
        return subprocess.run([PYTHON, "-c", code], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def installed(name: str) -> bool:
    """Say whether the stamp is that of the present lock and of the present Python."""
    return PYTHON.exists() and stamp(name).exists() and stamp(name).read_text() == wanted(name)


def wanted(name: str) -> str:
    """Return what the stamp of a finished installation says."""
    digest = hashlib.sha256(lock_file(name).read_bytes()).hexdigest()
    return f"{digest} {os.path.realpath(PYTHON)}\n"


def lock_file(name: str) -> Path:
    """Return the lock's path."""
    return PROJECT / "requirements" / f"{name}.txt"


def stamp(name: str) -> Path:
    """Return the stamp's path."""
    return VENV / f".installed-{name}"


if __name__ == "__main__":
    sys.exit(main())
