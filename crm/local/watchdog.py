"""One guardian per server: runs a command, and stops it as soon as the process that asked for it is gone.

Run as a program of its own (`python -I -S watchdog.py …`), so only the standard library. The parent holds the write
end of a pipe (the *lifeline*) and nobody else does: however the parent ends, `kill -9` included, the kernel closes it
and the watchdog reads end-of-file. The pipe exists before the server does: at no moment is the server alone.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

Plan = Sequence[tuple[signal.Signals, float]]

STEP_SECONDS = 0.01


def fingerprint(pid: int) -> str | None:
    """Describe the process of this number so that no successor fits; None if there is none, or a zombie."""
    if not sys.platform.startswith("linux"):
        command = ["ps", "-o", "stat=,lstart=", "-p", str(pid)]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        state, _, born = told.stdout.strip().partition(" ")
        return born.strip() if born and not state.startswith("Z") else None
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        boot = "unknown"
    # The command's name, in brackets, may hold spaces: count after the last bracket (proc(5): 3 state, 22 starttime).
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def write_plan(plan: Plan) -> str:
    """Spell a plan for the command line: `INT:1.5,QUIT:0.3`."""
    return ",".join(f"{number.name.removeprefix('SIG')}:{seconds}" for number, seconds in plan)


def read_plan(text: str) -> Plan:
    """Read what `write_plan` wrote."""
    steps = [step.partition(":") for step in text.split(",")]
    return [(signal.Signals[f"SIG{name}"], float(seconds)) for name, _, seconds in steps]


def end_group(pid: int) -> None:
    """Kill what a session leader left behind; its number stays taken as long as any member of its group lives."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # macOS answers EPERM for a group of zombies
        return


def stop(child: subprocess.Popen[bytes], plan: Plan) -> None:
    """Signal the child step by step until it ends, then kill whatever remains of its group."""
    for number, seconds in [*plan, (signal.SIGKILL, 1.0)]:
        if child.poll() is not None:
            break
        child.send_signal(number)
        until = time.monotonic() + seconds
        while child.poll() is None and time.monotonic() < until:
            time.sleep(STEP_SECONDS)
    end_group(child.pid)


def guard(
    command: list[str], *, parent: int, lifeline: int, pid_file: Path, plan: Plan, owner: tuple[int, int] | None
) -> int:
    """Run `command` in a session of its own until it or the parent ends; return its status, 0 if it was stopped."""
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker)
    asked: list[int] = []
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda number, frame: asked.append(number))
    selector = selectors.DefaultSelector()
    selector.register(wake, selectors.EVENT_READ)
    selector.register(lifeline, selectors.EVENT_READ)
    if hasattr(os, "pidfd_open"):
        # A fork of the parent may hold a copy of the pipe: look at the parent itself as well.
        try:
            selector.register(os.pidfd_open(parent), selectors.EVENT_READ)
        except ProcessLookupError:
            return 0
        except OSError:  # a sandbox without this system call: the pipe is enough
            pass
    if os.getppid() != parent:
        return 0
    child = subprocess.Popen(
        command,
        start_new_session=True,
        umask=0o077,
        user=None if owner is None else owner[0],
        group=None if owner is None else owner[1],
        extra_groups=None if owner is None else [],
    )
    described = f"{child.pid} {fingerprint(child.pid)}\n"
    pid_file.write_text(described)
    orphaned = False
    while child.poll() is None and not orphaned and not asked:
        for key, _ in selector.select():
            if key.fd == wake:
                os.read(wake, 512)
            else:
                orphaned = True
    ended_alone = child.poll() is not None
    stop(child, plan)
    if pid_file.exists() and pid_file.read_text() == described:  # else a successor is already running
        pid_file.unlink(missing_ok=True)
    status: int | None = child.returncode
    if not ended_alone or status is None:
        return 0
    return status if status >= 0 else 128 - status


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parent", type=int, required=True, help="stop when this process is gone")
    parser.add_argument("--lifeline", type=int, required=True, help="stop at end-of-file of this descriptor")
    parser.add_argument(
        "--pid-file", type=Path, required=True, help="where the command's process number is kept while it lives"
    )
    parser.add_argument(
        "--plan", type=read_plan, required=True, help="signals and seconds of grace, e.g. INT:1.5,QUIT:0.3"
    )
    parser.add_argument("--owner", help="run the command as this UID:GID")
    parser.add_argument("command", nargs="+")
    args = parser.parse_args()
    owner = None
    if args.owner:
        uid, _, gid = args.owner.partition(":")
        owner = (int(uid), int(gid))
    return guard(
        args.command, parent=args.parent, lifeline=args.lifeline, pid_file=args.pid_file, plan=args.plan, owner=owner
    )


if __name__ == "__main__":
    sys.exit(main())
