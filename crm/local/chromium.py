"""`python -m crm.local.chromium`: prints the path of a Chromium, installing one where that is allowed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
MAC = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
HOW = (
    "No Chromium for the browser tests: install one (Debian: apt-get install chromium), set CHROMIUM=/path/to/it, "
    "or run everything else with `make test CHROMIUM=none`."
)


def find(environ: Mapping[str, str] = os.environ) -> str | None:
    """Return the Chromium that the environment names, or the first on the path that runs."""
    candidates = [environ["CHROMIUM"]] if environ.get("CHROMIUM") else [*NAMES, MAC]
    for candidate in candidates:
        path = shutil.which(candidate, path=environ.get("PATH"))
        if path and _runs(path):
            return path
    return None


def _runs(path: str) -> bool:
    """Say whether this is more than a stub: Ubuntu's package only points at a snap, which containers cannot run."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def install() -> None:
    """Install the package, if this is a system with apt and we may; a failure is left to `find` to notice."""
    apt = shutil.which("apt-get")
    if apt is None:
        return
    prefix: list[str] = []
    if os.geteuid() != 0:
        sudo = shutil.which("sudo")
        if sudo is None or subprocess.run([sudo, "-n", "true"], capture_output=True, check=False).returncode:
            return
        prefix = [sudo, "-n"]
    print("Installing Chromium for the browser tests (apt-get install chromium) …", file=sys.stderr)
    environment = [*prefix, "env", "DEBIAN_FRONTEND=noninteractive", apt, "-qq"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run([*environment, *arguments], stdout=sys.stderr, stdin=subprocess.DEVNULL, check=False)


def main() -> int:
    """Print the path (nothing for CHROMIUM=none); 1 if there is none and none can be installed."""
    if os.environ.get("CHROMIUM") == "none":
        return 0
    found = find()
    if found is None and not os.environ.get("CHROMIUM"):
        install()
        found = find()
    if found is None:
        print(HOW, file=sys.stderr)
        return 1
    print(Path(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
