"""`python -m crm.local.clean`: ends what runs in this checkout's data folder, and removes the folder."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path

from crm.local.child import LocalError, stop_orphans
from crm.local.folder import FolderInUse, default_data_dir, let_go, lock
from crm.local.services import PLANS

END_SECONDS = 10.0


def clean(folder: Path) -> None:
    """Remove `folder` with everything that runs in it. Raises: LocalError, if its owner does not end."""
    until = time.monotonic() + END_SECONDS
    while True:
        try:
            held = lock(folder)
        except FolderInUse as error:
            if error.holder is None or time.monotonic() > until:
                raise
            os.kill(error.holder, signal.SIGTERM)  # it holds the lock, so the number is surely its own
            time.sleep(0.5)
        else:
            break
    stop_orphans(folder, PLANS)
    shutil.rmtree(folder)
    let_go(held)


def main() -> int:
    """Clean the default data folder."""
    try:
        folder = default_data_dir()
        clean(folder)
    except LocalError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Removed {folder}.", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
