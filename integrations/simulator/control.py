"""The control API under `/simulator/`: what a test, a demo or the page does that Twilio has no API for."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .config import add_account, read_number, read_switches
from .engine import Engine
from .faults import Faults, read_faults
from .legs import Leg
from .phones import read_behaviour
from .represent import call_json, recording_json
from .state import Account, Call, World

RECENT = 200
PUSH_SECONDS = 0.1  # real seconds between two pushes to the page at least
HEARTBEAT_SECONDS = 15.0


@dataclass
class Problem(Exception):
    """A mistake of the client: a status and a sentence."""

    status: int
    message: str


def guarded(handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> Any:
    """Answer mistakes as `{"error": sentence}`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except Problem as problem:
            return web.json_response({"error": problem.message}, status=problem.status)
        except ValueError as problem:
            return web.json_response({"error": str(problem)}, status=400)

    return handle


async def json_of(request: web.Request) -> Any:
    """The JSON body, `{}` if there is none. Raises ValueError."""
    text = await request.text()
    if not text.strip():
        return {}
    try:
        return json.loads(text)
    except ValueError as problem:
        raise ValueError(f"The body is not JSON: {problem}") from problem


class Control:
    """Handlers of the control API. It has no password: it is for the machine it runs on."""

    def __init__(self, world: World, engine: Engine, faults: Faults, closing: asyncio.Event) -> None:
        self.world = world
        self.engine = engine
        self.faults = faults
        self.closing = closing

    def add_routes(self, app: web.Application) -> None:
        """Register the control API."""
        for method, path, handler in (
            ("GET", "/simulator/state", self.state),
            ("GET", "/simulator/events", self.events),
            ("GET", "/simulator/requests", self.requests),
            ("DELETE", "/simulator/requests", self.forget_requests),
            ("GET", "/simulator/asked", self.asked),
            ("GET", "/simulator/accounts", self.accounts),
            ("POST", "/simulator/accounts", self.put_account),
            ("GET", "/simulator/phones/{number}", self.phone),
            ("PUT", "/simulator/phones/{number}", self.put_phone),
            ("DELETE", "/simulator/phones/{number}", self.forget_phone),
            ("PUT", "/simulator/default-phone", self.put_default_phone),
            ("POST", "/simulator/phones/{number}/{act:answer|press|hangup|reject|busy|call}", self.act),
            ("GET", "/simulator/switches", self.switches),
            ("PUT", "/simulator/switches", self.put_switches),
            ("GET", "/simulator/faults", self.list_faults),
            ("PUT", "/simulator/faults", self.put_faults),
        ):
            app.router.add_route(method, path, guarded(handler))
        app.router.add_route("*", "/simulator/{rest:.*}", guarded(self.nothing))

    async def nothing(self, request: web.Request) -> web.Response:
        """Anything else."""
        raise Problem(404, f"There is no {request.method} {request.path}.")

    # What there is

    async def state(self, request: web.Request) -> web.Response:
        """Everything the page shows."""
        return web.json_response(self.snapshot())

    def snapshot(self) -> dict[str, Any]:
        """Accounts without tokens, calls (newest first), phones, switches and counts."""
        world = self.world
        calls = sorted(world.calls.values(), key=lambda call: world.order[call.sid], reverse=True)
        live = [call for call in calls if not call.over]
        numbers = {*world.phones, *(call.handset for call in calls[:RECENT])}
        return {
            "version": world.version,
            "now": world.clock.now().isoformat(),
            "speed": world.clock.speed,
            "base_url": world.base_url,
            "accounts": [account_state(account) for account in world.accounts.values()],
            "calls": {
                "live": [self.call_state(call) for call in live],
                "recent": [self.call_state(call) for call in calls if call.over][:RECENT],
            },
            "phones": {number: self.phone_state(number) for number in sorted(numbers)},
            "default_phone": world.default_phone.as_json(),
            "switches": world.switches,
            "faults": [fault.as_json() for fault in self.faults.rules],
            "recordings": [recording_json(world, r, of_call=False) for r in world.recordings.values()][-RECENT:],
            "requests": list(world.requests)[-RECENT:],
            "webhooks_under_way": +world.webhooks_under_way,
            "counts": {
                "create_requests": world.counts["create_requests"],
                "calls_created": world.counts["calls_created"],
                "calls": len(world.calls),
                "live": len(live),
                "recordings": len(world.recordings),
                "notifications": len(world.notifications),
                "webhooks": world.counts["webhooks"],
            },
        }

    def call_state(self, call: Call) -> dict[str, Any]:
        """A call as REST shows it, and what only the simulator knows."""
        shown = call_json(call)
        del shown["subresource_uris"]
        times = {"dialled_at": call.dialled_at, "answered_at": call.answered_at, "ended_at": call.ended_at}
        return shown | {
            "handset": call.handset,
            "heard": call.heard,
            "gathering": call.gathering,
            "bridged_with": call.bridged_with,
            "sip_code": call.sip_code,
            **{name: None if moment is None else moment.isoformat() for name, moment in times.items()},
        }

    def phone_state(self, number: str) -> dict[str, Any]:
        """One phone: its behaviour and the legs at it."""
        legs = [leg.call for leg in self.engine.live.values() if leg.call.handset == number]
        ringing = [call for call in legs if call.status == "ringing" and call.direction != "inbound"]
        talking = [call for call in legs if call.status == "in-progress" or call.direction == "inbound"]
        return {
            "number": number,
            "behaviour": self.world.phone(number).as_json(),
            "state": "in call" if talking else "ringing" if ringing else "idle",
            "calls": [self.call_state(call) for call in (talking + ringing)],
        }

    async def requests(self, request: web.Request) -> web.Response:
        """Every webhook attempt, oldest first; filters `call_sid`, `account_sid`, `kind`, `since` (an id)."""
        query = request.query
        since = query.get("since", "0")
        if not since.isdigit():
            raise Problem(400, '"since" must be the id of a request.')
        found = [
            entry
            for entry in self.world.requests
            if all(query.get(name, entry[name]) == entry[name] for name in ("call_sid", "account_sid", "kind"))
            and entry["id"] >= int(since)
        ]
        return web.json_response({"requests": found})

    async def asked(self, request: web.Request) -> web.Response:
        """Every REST request with an account's credentials, oldest first; filters `account_sid`, `operation`."""
        found = [
            entry
            for entry in self.world.asked
            if all(request.query.get(name, entry[name]) == entry[name] for name in ("account_sid", "operation"))
        ]
        return web.json_response({"asked": found})

    async def forget_requests(self, request: web.Request) -> web.Response:
        """Empty the log of webhooks."""
        self.world.requests.clear()
        self.world.touch()
        return web.json_response({"requests": []})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the whole state at once and after each change."""
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        try:
            while not self.closing.is_set():
                changed = self.world.changed
                await response.write(f"event: state\ndata: {json.dumps(self.snapshot())}\n\n".encode())
                await asyncio.sleep(PUSH_SECONDS)
                waits = [asyncio.create_task(event.wait()) for event in (changed, self.closing)]
                _, pending = await asyncio.wait(waits, timeout=HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                for task in pending:
                    task.cancel()
        except (ConnectionError, asyncio.CancelledError):
            pass  # the page is gone, or the simulator ends
        return response

    # What can be changed

    async def accounts(self, request: web.Request) -> web.Response:
        """The accounts, without tokens."""
        return web.json_response({"accounts": [account_state(a) for a in self.world.accounts.values()]})

    async def put_account(self, request: web.Request) -> web.Response:
        """Add or replace an account."""
        return web.json_response(account_state(add_account(self.world, await json_of(request))), status=201)

    async def phone(self, request: web.Request) -> web.Response:
        """One phone."""
        return web.json_response(self.phone_state(read_number(request.match_info["number"])))

    async def put_phone(self, request: web.Request) -> web.Response:
        """Set how a phone behaves from its next call on."""
        number = read_number(request.match_info["number"])
        self.world.phones[number] = read_behaviour(await json_of(request))
        self.world.touch()
        return web.json_response(self.phone_state(number))

    async def forget_phone(self, request: web.Request) -> web.Response:
        """Let a phone behave as unlisted ones do."""
        number = read_number(request.match_info["number"])
        self.world.phones.pop(number, None)
        self.world.touch()
        return web.json_response(self.phone_state(number))

    async def put_default_phone(self, request: web.Request) -> web.Response:
        """Set how unlisted phones behave from their next call on."""
        self.world.default_phone = read_behaviour(await json_of(request))
        self.world.touch()
        return web.json_response(self.world.default_phone.as_json())

    async def switches(self, request: web.Request) -> web.Response:
        """The switches."""
        return web.json_response(self.world.switches)

    async def put_switches(self, request: web.Request) -> web.Response:
        """Change the switches that are named."""
        self.world.switches.update(read_switches(await json_of(request)))
        self.world.touch()
        return web.json_response(self.world.switches)

    async def list_faults(self, request: web.Request) -> web.Response:
        """The faults and how often each has struck."""
        return web.json_response({"faults": [fault.as_json() for fault in self.faults.rules]})

    async def put_faults(self, request: web.Request) -> web.Response:
        """Replace all faults; an empty list clears them."""
        self.faults.rules = read_faults(await json_of(request))
        self.world.touch()
        return web.json_response({"faults": [fault.as_json() for fault in self.faults.rules]})

    async def act(self, request: web.Request) -> web.Response:
        """What a person does with a phone; 409 if the phone is not in the state for it."""
        number, act = read_number(request.match_info["number"]), request.match_info["act"]
        given = await json_of(request)
        if not isinstance(given, dict):
            raise Problem(400, "The body is an object.")
        if act == "call":
            to = given.get("to")
            if not isinstance(to, str):
                raise Problem(400, 'The body is {"to": number}.')
            call = self.engine.inbound(number, read_number(to))
            if call is None:
                raise Problem(404, f"No account owns {to}.")
            return web.json_response(self.phone_state(number))
        keys = given.get("digits", "")
        if act == "press" and not (isinstance(keys, str) and keys and set(keys) <= set("0123456789*#")):
            raise Problem(400, 'The body is {"digits": keys}, each of 0-9, * and #.')
        wanted = given.get("call_sid")
        legs = [
            leg
            for leg in self.engine.live.values()
            if leg.call.handset == number and wanted in (None, leg.call.sid) and leg.call.direction != ""
        ]
        deeds: dict[str, Callable[[Leg], bool]] = {
            "answer": lambda leg: leg.pick_up(),
            "press": lambda leg: leg.press(keys),
            "hangup": lambda leg: leg.hang_up(),
            "reject": lambda leg: leg.call.status == "ringing" and leg.refuse("busy", 486),
            "busy": lambda leg: leg.call.status == "ringing" and leg.refuse("busy", 486),
        }
        if not any(deeds[act](leg) for leg in legs):
            state = self.phone_state(number)["state"]
            raise Problem(409, f"{number} cannot {act} now: it is {state}.")
        return web.json_response(self.phone_state(number))


def account_state(account: Account) -> dict[str, Any]:
    """An account without its secrets."""
    return {
        "sid": account.sid,
        "friendly_name": account.friendly_name,
        "type": account.type,
        "status": account.status,
        "numbers": list(account.numbers),
        "verified": list(account.verified),
        "cps": account.cps,
    }
