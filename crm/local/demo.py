"""`python -m crm.local.demo`: the whole project on this machine, with nothing installed."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from crm.local import services, watchdog
from crm.local.child import LocalError
from crm.local.folder import FolderInUse, default_data_dir, write_private
from crm.local.once import CallFailed, Once
from crm.local.stack import LIVE_PORT, SIMULATOR_PORT, WEB_PORT, Stack

DESCRIPTION = """\
Starts PostgreSQL and Valkey (from wheels, in a data folder of this checkout), migrates, loads sample data, and runs
web, live updates, worker, beat and a simulated Twilio, until Ctrl-C. Rings nobody and costs nothing.
"""
EPILOG = """\
Environment: DATABASE_URL with DATABASE_OWNER_URL, and CELERY_BROKER_URL, replace the servers started here;
TWILIO_API_BASE_URL replaces the simulator (PUBLIC_BASE_URL is then where Twilio reaches the web server).

Examples:
  make demo
  make demo ARGS="--once"
  make demo ARGS="--ready-file /tmp/demo.json --web-port 9000"
"""


class Ended(BaseException):
    """Somebody asked us to end; not an error, so nothing that handles errors catches it."""


def say(line: str) -> None:
    """Tell the person at the terminal what is happening; standard output is for results."""
    print(line, file=sys.stderr, flush=True)


def arguments() -> argparse.ArgumentParser:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m crm.local.demo",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="play one complete call, print it as one JSON line, and end: 0 if it completed",
    )
    parser.add_argument(
        "--ready-file", type=Path, metavar="F", help="when everything answers, write addresses and log-ins to F as JSON"
    )
    parser.add_argument("--web-port", type=int, default=WEB_PORT, metavar="P", help="(default: %(default)s; 0: any)")
    parser.add_argument(
        "--simulator-port", type=int, default=SIMULATOR_PORT, metavar="P", help="(default: %(default)s; 0: any)"
    )
    parser.add_argument("--live-port", type=int, default=LIVE_PORT, metavar="P", help="(default: %(default)s; 0: any)")
    parser.add_argument("--data-dir", type=Path, metavar="D", help="(default: .data, or a folder of your user's)")
    parser.add_argument(
        "--end-with", type=int, metavar="PID", help="end when this process does; make's own, for `make demo`"
    )
    return parser


def main() -> int:
    """Run the demo; 0 after a call that completed, or when asked to end, 1 if something failed."""
    options = arguments().parse_args()
    _end_on_signals()
    if options.end_with:
        threading.Thread(target=_end_with, args=(options.end_with,), daemon=True).start()
    try:
        return run(options)
    except Ended:
        say("Ended.")
        return 0
    except LocalError as error:
        say(f"\n{error}")
        return 1


def run(options: argparse.Namespace) -> int:
    """Start everything, then play a call or stay."""
    data_dir = (options.data_dir or default_data_dir()).absolute()
    began = time.monotonic()
    say(f"Starting PostgreSQL and Valkey in {data_dir} …")
    try:
        runs = services.start(options.data_dir)
    except FolderInUse:
        note = data_dir / "demo.json"
        if not (options.once and note.exists()):
            raise
        say("A demo already runs here: the call is played there.")
        return _once(json.loads(note.read_text()))
    stack = Stack(
        runs.services,
        web_port=options.web_port or None,
        simulator_port=options.simulator_port or None,
        live_port=options.live_port or None,
        history=not options.once,
        say=say,
    )
    try:
        stack.start()
        ready = ready_information(stack)
        notes = [data_dir / "demo.json", *([options.ready_file.absolute()] if options.ready_file else [])]
        with _notes(notes, ready):
            say(f"Everything answers after {time.monotonic() - began:.1f} s.")
            if options.once:
                try:
                    return _once(ready)
                except CallFailed:
                    say(stack.tails())
                    raise
            print(summary(ready), flush=True)
            stack.watch(runs.children)
            return 0
    finally:
        _ignore_signals()  # the end is bounded in time; a second Ctrl-C must not cut it short
        say("Stopping …")
        stack.stop()
        runs.stop()


def ready_information(stack: Stack) -> dict[str, Any]:
    """Return what a script needs in order to drive the demo."""
    return {
        "web_url": stack.web_url,
        "live_url": stack.live_url,
        "simulator_url": stack.simulator_url,
        "simulated": stack.simulated,
        "database_url": stack.services.database_url,
        "owner_url": stack.services.owner_url,
        "broker_url": stack.services.broker_url,
        "members": stack.sample["members"],
        "organizations": stack.sample["organizations"],
        "contacts": stack.sample["contacts"],
        "pid": os.getpid(),
    }


def _once(ready: dict[str, Any]) -> int:
    """Play one call at a demo that answers, and print the contract's line."""
    simulator_url = ready["simulator_url"] if ready["simulated"] else None
    played = Once(web_url=ready["web_url"], simulator_url=simulator_url, say=say).play(ready)
    print(json.dumps(played), flush=True)
    return 0


@contextlib.contextmanager
def _notes(paths: list[Path], ready: dict[str, Any]) -> Iterator[None]:
    """Keep these files, readable by us alone, for as long as everything answers."""
    try:
        for path in paths:
            write_private(path, json.dumps(ready, indent=1) + "\n")
        yield
    finally:
        for path in paths:
            path.unlink(missing_ok=True)


def summary(ready: dict[str, Any]) -> str:
    """Return what the person at the terminal reads when everything answers."""
    lines = ["", f"  Web        {ready['web_url']}/"]
    if ready["simulated"]:
        lines.append(f"  Phones     {ready['simulator_url']}/")
    else:
        lines.append(f"  Twilio     {ready['simulator_url']}")
    lines += [f"  API        {ready['web_url']}/api/v1/docs/", f"  Live       {ready['live_url']}", ""]
    names = {organization["id"]: organization["name"] for organization in ready["organizations"]}
    for organization, name in names.items():
        lines.append(f"  {name}")
        members = [member for member in ready["members"] if member["organization"] == organization]
        widths = [max((len(str(member.get(key) or "-")) for member in members), default=0) for key in COLUMNS]
        for member in members:
            cells = (str(member.get(key) or "-").ljust(width) for key, width in zip(COLUMNS, widths, strict=True))
            lines.append("    " + "  ".join(cells).rstrip())
        lines.append("")
    lines.append("  (role, e-mail, password, phone, API token)")
    if ready["simulated"]:
        lines += [
            "",
            f"  Play a call: log in as a rep at {ready['web_url']}/ and click a contact's number; in a second tab,",
            f"  at {ready['simulator_url']}/ , answer the rep's phone, press 1, then answer the contact's.",
        ]
    return "\n".join([*lines, "", "  Ctrl-C ends everything.", ""])


COLUMNS = ("role", "email", "password", "phone", "api_token")


# --- the end --------------------------------------------------------------------------------------------------------


def _end_on_signals() -> None:
    """Turn the signals that ask for an end into one exception, once."""

    def end(number: int, frame: object) -> NoReturn:
        _ignore_signals()
        raise Ended

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup stays in force
            signal.signal(number, end)


def _ignore_signals() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _end_with(pid: int) -> None:
    """End when process `pid` does, or when it was interrupted alone.

    GNU make that is sent SIGINT (not by Ctrl-C, which reaches us too) puts the signal back to its default and waits for
    its children, telling them nothing; in `/proc` that shows as a signal that it no longer catches.
    """
    born = watchdog.fingerprint(pid)
    caught = _catches_interrupts(pid)
    while watchdog.fingerprint(pid) == born and _catches_interrupts(pid) == caught:
        time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGTERM)


def _catches_interrupts(pid: int) -> bool:
    """Say whether a process has a handler for SIGINT; False where there is no /proc."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) & 1 << (signal.SIGINT - 1))


if __name__ == "__main__":
    sys.exit(main())
