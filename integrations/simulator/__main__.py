"""`python -m integrations.simulator`: the command line."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from pathlib import Path
from typing import Any

from .config import SAMPLE_ACCOUNT
from .server import Server, write_ready_file

DESCRIPTION = """\
A Twilio that runs on this machine: the 2010-04-01 REST API for voice, TwiML, signed callbacks, recordings with
real audio, and a web page on which a person answers the phones. It rings nobody and costs nothing.
"""
EPILOG = """\
Configuration (all keys optional):
  {"accounts": [{"sid": "AC…", "auth_token": "…", "secondary_auth_token": "…", "friendly_name": "…",
                 "type": "Full|Trial", "status": "active", "numbers": ["+15005550006"], "without_voice": [],
                 "verified": ["+15005550010"], "api_keys": {"SK…": "secret"}, "cps": 0}],
   "phones": {"+15005550020": {"does": "answer", "after": 1, "press": "1", "press_after": 0.5, "talk": 8}},
   "default_phone": {"does": "answer"},
   "switches": {"media_range": "range"}}

A phone does one of: answer, no-answer, busy, reject, fail, voicemail, manual. Times are seconds of the simulator's
clock. "talk" counts from the bridge, "hang_up_after" from the phone's own answer; "error" is a Twilio code that
calling it raises. Without --config there is one sample account, and every phone waits for a person at the page.

Examples:
  python -m integrations.simulator
  python -m integrations.simulator --port 0 --speed 20 --config phones.json --ready-file ready.json

Clients: point the REST client's base URL at the address printed at the start. Control API: GET /simulator/state.
"""


def arguments() -> argparse.ArgumentParser:
    """The command line's options."""
    parser = argparse.ArgumentParser(
        prog="python -m integrations.simulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s; keep it local)"
    )
    parser.add_argument("--port", type=int, default=8001, help="port, 0 for any free one (default: %(default)s)")
    parser.add_argument("--config", type=Path, metavar="FILE.json", help="accounts, phones and switches; see below")
    parser.add_argument(
        "--speed", type=float, default=1.0, metavar="N", help="run the simulator's clock N times faster (default: 1)"
    )
    parser.add_argument("--ready-file", type=Path, metavar="F", help='write {"url": …} to F once it listens')
    parser.add_argument(
        "--log-level", default="warning", choices=("debug", "info", "warning", "error"), help="(default: %(default)s)"
    )
    return parser


def main() -> int:
    """Run until SIGTERM or SIGINT; 0 on a clean end, 2 on a wrong option, 1 if the port is taken."""
    parser = arguments()
    options = parser.parse_args()
    if not 0.01 <= options.speed <= 10_000:
        parser.error("--speed must be between 0.01 and 10000")
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    settings = None
    if options.config is not None:
        try:
            settings = json.loads(options.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as problem:
            parser.error(f"--config: {problem}")
    try:
        server = Server(settings, host=options.host, port=options.port, speed=options.speed)
    except ValueError as problem:
        parser.error(f"--config: {problem}")
    try:
        asyncio.run(run(server, options, sample=settings is None))
    except OSError as problem:
        print(f"Cannot listen on {options.host}:{options.port}: {problem}", file=sys.stderr)
        return 1
    return 0


async def run(server: Server, options: Any, *, sample: bool) -> None:
    """Start, say where, and wait for a signal."""
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    try:
        await server.start()
        print(f"Simulated Twilio on {server.url} (phones: {server.url}/ ; clock: {options.speed:g}x)")
        if sample:
            print(f"Sample account {SAMPLE_ACCOUNT['sid']}, auth token {SAMPLE_ACCOUNT['auth_token']}")
            print(f"  own number {SAMPLE_ACCOUNT['numbers'][0]}, verified {SAMPLE_ACCOUNT['verified'][0]}")
        sys.stdout.flush()
        if options.ready_file is not None:
            write_ready_file(options.ready_file, server.url)
        await over.wait()
    finally:
        await server.stop()


if __name__ == "__main__":
    sys.exit(main())
