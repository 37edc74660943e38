"""A child process that cannot outlive us: the parent's side of `watchdog.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from signal import SIGTERM, Signals

from crm.local import watchdog

#: What a well-behaved program gets: a second and a half to end by itself, then SIGKILL to its whole group.
DEFAULT_PLAN: watchdog.Plan = ((SIGTERM, 1.5),)

STEP_SECONDS = 0.02


class LocalError(Exception):
    """Something on this machine keeps the project from running; the message says what and what to do."""


class ChildFailed(LocalError):
    """A child ended, or did not answer; the message ends with the tail of its log."""


def tail(log: Path, *, lines: int = 25) -> str:
    """Return the last lines of a log, indented, for an error message."""
    try:
        text = log.read_text(errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    | {line}" for line in text.splitlines()[-lines:])


class Child:
    """One program in a session of its own, its output in a log file, guarded by a watchdog until `stop()`."""

    def __init__(
        self,
        name: str,
        command: Sequence[str | Path],
        *,
        folder: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        owner: tuple[int, int] | None = None,
        plan: watchdog.Plan = DEFAULT_PLAN,
    ) -> None:
        """Start `command`; it logs to `folder/logs/NAME.log`, its number is in `folder/run/NAME.pid` while it lives."""
        self.name = name
        self.plan = plan
        self.log = folder / "logs" / f"{name}.log"
        self.pid_file = folder / "run" / f"{name}.pid"
        for path in (self.log, self.pid_file):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists():
            self.log.replace(self.log.with_suffix(".old.log"))
        lifeline, self._lifeline = os.pipe()
        guarded = [sys.executable, "-I", "-S", watchdog.__file__, "--parent", str(os.getpid())]
        guarded += ["--lifeline", str(lifeline), "--pid-file", str(self.pid_file), "--plan", watchdog.write_plan(plan)]
        if owner is not None:
            guarded += ["--owner", f"{owner[0]}:{owner[1]}"]
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self._watchdog = subprocess.Popen(
                [*guarded, "--", *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=descriptor,
                stderr=subprocess.STDOUT,
                pass_fds=(lifeline,),
                start_new_session=True,
                env=None if env is None else dict(env),
                cwd=cwd,
            )
        except OSError:
            os.close(self._lifeline)
            raise
        finally:
            os.close(descriptor)
            os.close(lifeline)

    def poll(self) -> int | None:
        """Return the exit status, or None while the program runs."""
        return self._watchdog.poll()

    @property
    def pid(self) -> int | None:
        """Return the program's process number (not its watchdog's), None once it has ended."""
        try:
            return int(self.pid_file.read_text().split()[0])
        except (FileNotFoundError, IndexError):
            return None

    def failed(self, what: str) -> ChildFailed:
        """Make the error that says `what` went wrong with this child, with its log's tail."""
        return ChildFailed(f"{self.name} {what}; the end of {self.log}:\n{tail(self.log)}")

    def wait_until(self, ready: Callable[[], bool], *, seconds: float) -> None:
        """Return when `ready()` is true. Raises: ChildFailed, if the program ends before or the time is over."""
        until = time.monotonic() + seconds
        while not ready():
            if self.poll() is not None:
                raise self.failed(f"ended with status {self.poll()}")
            if time.monotonic() > until:
                raise self.failed(f"was not ready within {seconds:.0f} s")
            time.sleep(STEP_SECONDS)

    def wait_end(self, *, seconds: float) -> None:
        """Return when the program has ended well. Raises: ChildFailed."""
        try:
            status = self._watchdog.wait(seconds)
        except subprocess.TimeoutExpired:
            raise self.failed(f"took longer than {seconds:.0f} s") from None
        finally:
            self.stop()
        if status:
            raise self.failed(f"ended with status {status}")

    def ask_to_stop(self) -> None:
        """Begin the end without waiting for it, so that several can end side by side."""
        if self._lifeline >= 0:
            self._watchdog.terminate()  # a fork of ours may hold the pipe open
            os.close(self._lifeline)
            self._lifeline = -1

    def stop(self) -> None:
        """End the program and everything in its group; returns when it is gone."""
        self.ask_to_stop()
        self._watchdog.wait()


def stop_all(children: Sequence[Child]) -> None:
    """End these children side by side."""
    for child in children:
        child.ask_to_stop()
    for child in children:
        child.stop()


def stop_process(pid: int, plan: watchdog.Plan) -> None:
    """End a process that is not our child, step by step; returns when it is gone."""
    born = watchdog.fingerprint(pid)
    for number, seconds in [*plan, (Signals.SIGKILL, 2.0)]:
        if born is None or watchdog.fingerprint(pid) != born:
            break
        os.kill(pid, number)
        until = time.monotonic() + seconds
        while watchdog.fingerprint(pid) == born and time.monotonic() < until:
            time.sleep(STEP_SECONDS)


def stop_orphans(folder: Path, plans: Mapping[str, watchdog.Plan]) -> list[str]:
    """End what an earlier run left in `folder` after even its watchdogs were killed; return the names.

    A number in a pid file is only believed if the process that bears it now was born when the file says: numbers are
    reused, and the file may be older than the machine's last start. Call it only while holding the folder's lock.
    """
    ended = []
    for pid_file in sorted((folder / "run").glob("*.pid")):
        try:
            pid, _, born = pid_file.read_text().strip().partition(" ")
        except FileNotFoundError:  # its watchdog was just ending it
            continue
        if pid.isdigit() and born and watchdog.fingerprint(int(pid)) == born:
            stop_process(int(pid), plans.get(pid_file.stem, DEFAULT_PLAN))
            watchdog.end_group(int(pid))
            ended.append(pid_file.stem)
        pid_file.unlink(missing_ok=True)
    return ended
