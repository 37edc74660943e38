"""The folder that keeps one checkout's data on this machine: where it may be, who may enter it, what it remembers."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import pwd
import secrets
import socket
import subprocess
import sys
import tempfile
from base64 import urlsafe_b64encode
from pathlib import Path
from typing import Self

from crm.local.child import LocalError

PROJECT = Path(__file__).resolve().parents[2]
NAME = "click-to-call-crm"
HOST = "127.0.0.1"
ATTEMPTS = 20


class FolderInUse(LocalError):
    """Another process, `holder`, runs its services in this data folder."""

    def __init__(self, data_dir: Path, holder: int | None) -> None:
        who = "Another process" if holder is None else f"Process {holder}"
        super().__init__(f"{who} already runs its services in {data_dir}: end it, or name another --data-dir.")
        self.holder = holder


def unprivileged() -> tuple[int, int] | None:
    """Return the servers' user and group; None means ourselves. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    for name in ("nobody", "daemon"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise LocalError(
        "PostgreSQL does not run as root, and there is no user “nobody” here to run it as: use an ordinary user."
    )


def succeeds(owner: tuple[int, int] | None, *command: str | Path) -> bool:
    """Say whether the servers' user can run this command."""
    try:
        done = subprocess.run(
            list(map(str, command)),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            user=None if owner is None else owner[0],
            group=None if owner is None else owner[1],
            extra_groups=None if owner is None else [],
        )
    except OSError:
        return False
    return done.returncode == 0


def take_named(folder: Path) -> None:
    """Make a folder that somebody named ours. Raises: LocalError, if it cannot be, or holds something else."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "lock").exists():
        raise LocalError(f"{folder} is not empty and not a data folder of this project: name another.")
    if not take(folder):
        raise LocalError(f"{folder} cannot hold the data: it must be ours, writable, and for root open to “nobody”.")


def take(folder: Path) -> bool:
    """Create `folder` if need be; say whether it is ours, private, writable and within the servers' user's reach.

    Root's folder can be entered by others (the servers run as another user) but not listed.
    """
    mode = 0o711 if os.geteuid() == 0 else 0o700
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        folder.chmod(mode)
        if folder.stat().st_mode & 0o777 != mode:  # a file system without modes: PostgreSQL would refuse it
            return False
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError:
        return False
    return succeeds(unprivileged(), "/bin/sh", "-c", 'cd "$1"', "sh", folder)


def default_data_dir(project: Path = PROJECT) -> Path:
    """Return the folder that keeps this checkout's data: `.data/` in it (git ignores it), wherever that can work.

    Else, because the checkout is read-only, or root's and below a folder that is closed to the servers' user: the
    user's cache folder, or for root a folder of its own in `/var/tmp`. Nobody's folder is opened for it.
    """
    name = f"{NAME}-{hashlib.sha256(str(project).encode()).hexdigest()[:12]}"
    cache = Path("/var/tmp") if os.geteuid() == 0 else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")  # noqa: S108
    candidates = [project / ".data", cache / name]
    for folder in candidates:
        if take(folder):
            return folder
    raise LocalError(f"Neither {candidates[0]} nor {candidates[1]} can hold the data: name a folder with --data-dir.")


def free_port(preferred: int | None = None) -> int:
    """Return `preferred` if nobody has that port, else one that is free now."""
    with Reservation(preferred) as reservation:
        return reservation.port


class Reservation:
    """A port on which nobody listens, and which no other process of this project takes until `close()`.

    Two demos that start together would otherwise both find 8000 free, and granian (SO_REUSEPORT) would let them share
    it. The mark is an abstract Unix socket: like a port it belongs to the network namespace, and it ends with us.
    """

    def __init__(self, preferred: int | None = None) -> None:
        candidates = [preferred] if preferred else []
        for port in [*candidates, *[0] * ATTEMPTS]:
            found = _silent(port)
            if found and self._mark(found):
                self.port = found
                return
        raise LocalError(f"There is no free port on {HOST}.")

    def _mark(self, port: int) -> bool:
        self._socket = socket.socket(socket.AF_UNIX)
        if not sys.platform.startswith("linux"):
            return True
        try:
            self._socket.bind(f"\0{NAME}-port-{port}")
        except OSError:
            self._socket.close()
            return False
        return True

    def close(self) -> None:
        """Leave the port to whoever wants it."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _silent(port: int) -> int | None:
    """Return `port`, or any port for 0, if nobody listens there; connections of a former listener do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Write a file that only we may read, at once: a reader sees the old text or the new, never a part."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


class Memory:
    """The passwords, keys and ports of one data folder, in a file that only we may read."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "secrets.json"
        self._kept: dict[str, str] = json.loads(self._path.read_text()) if self._path.exists() else {}

    def secret(self, name: str) -> str:
        """Return this secret, made at first use."""
        if name not in self._kept:
            self.keep(name, secrets.token_urlsafe(48))
        return self._kept[name]

    def encryption_keys(self) -> str:
        """Return `FIELD_ENCRYPTION_KEYS`: one key, made at first use; what it encrypted is lost with this file."""
        if "field_encryption_keys" not in self._kept:
            self.keep("field_encryption_keys", f"local1:{urlsafe_b64encode(secrets.token_bytes(32)).decode()}")
        return self._kept["field_encryption_keys"]

    def port(self, name: str) -> int:
        """Return the port that this server had the last time, or another if somebody took it."""
        port = free_port(int(self._kept.get(f"{name}_port", 0)) or None)
        self.keep(f"{name}_port", str(port))
        return port

    def keep(self, name: str, value: str) -> None:
        if self._kept.get(name) != value:
            self._kept[name] = value
            write_private(self._path, json.dumps(self._kept, indent=1))


def lock(data_dir: Path) -> int:
    """Hold the folder for this process; the kernel lets go when the process ends, however it ends."""
    descriptor = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(descriptor, 32).decode()
        os.close(descriptor)
        raise FolderInUse(data_dir, int(holder) if holder.isdigit() else None) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def let_go(descriptor: int) -> None:
    """Undo `lock`, even if a fork of ours still holds the descriptor."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    os.close(descriptor)


def temporary_folder() -> Path:
    """Make a folder for throw-away data that the servers' user can reach."""
    for parent in dict.fromkeys((Path(tempfile.gettempdir()), Path("/var/tmp"), Path("/tmp"))):  # noqa: S108
        try:
            folder = Path(tempfile.mkdtemp(prefix=f"{NAME}-tmp-", dir=parent))
        except OSError:
            continue
        if take(folder):
            return folder
        folder.rmdir()
    raise LocalError("There is no folder for temporary data that PostgreSQL's user can reach: set TMPDIR.")
