"""The 2010-04-01 REST API as routes: authentication, faults, error bodies and headers around the handlers."""

import asyncio
import base64
import binascii
import hmac
import logging
import time
from collections.abc import Awaitable, Callable

from aiohttp import web

from .engine import Engine
from .errors import TwilioError, error, not_found
from .faults import Fault, Faults
from .rest_calls import CallHandlers
from .rest_recordings import NumberHandlers, RecordingHandlers
from .state import API_VERSION, Account, World, new_sid

log = logging.getLogger(__name__)

Handler = Callable[[web.Request, Account], Awaitable[web.StreamResponse]]
HANG_SECONDS = 300.0  # real seconds that a fault "timeout" keeps the socket open at most
CALL_SID = "CA[0-9a-fA-F]{32}"


class Rest:
    """Adds the routes to an application. `closing` ends requests that a fault keeps waiting."""

    def __init__(self, world: World, engine: Engine, faults: Faults) -> None:
        self.world = world
        self.engine = engine
        self.faults = faults
        self.closing = asyncio.Event()

    def add_routes(self, app: web.Application) -> None:
        """Register every resource."""
        calls = CallHandlers(self.world, self.engine)
        recordings = RecordingHandlers(self.world, self.engine)
        numbers = NumberHandlers(self.world)
        account = f"/{API_VERSION}/Accounts/{{account}}"
        call = account + "/Calls/{sid:" + CALL_SID + "}"
        one_recording = "/Recordings/{recording:RE[0-9a-fA-F]{32}}"
        call_recording = call + "/Recordings/{recording:RE[0-9a-fA-F]{32}|Twilio\\.CURRENT}.json"
        routes: list[tuple[str, str, str, Handler]] = [
            ("GET", f"/{API_VERSION}/Accounts.json", "account", numbers.accounts),
            ("GET", f"/{API_VERSION}/Accounts/{{account:[^/]+}}.json", "account", numbers.account),
            ("POST", account + "/Calls.json", "create", calls.create),
            ("GET", account + "/Calls.json", "list", calls.list),
            ("GET", call + ".json", "fetch", calls.fetch),
            ("POST", call + ".json", "update", calls.update),
            ("DELETE", call + ".json", "delete", calls.delete),
            ("GET", call + "/Events.json", "events", calls.events),
            ("GET", call + "/Notifications.json", "notifications", calls.notifications),
            ("GET", call + "/Notifications/{note}.json", "notifications", calls.notification),
            ("GET", account + "/Notifications.json", "notifications", calls.notifications),
            ("GET", account + "/Notifications/{note}.json", "notifications", calls.notification),
            ("GET", call + "/Recordings.json", "recordings", recordings.list),
            ("POST", call + "/Recordings.json", "recordings", recordings.create),
            ("GET", call_recording, "recordings", recordings.fetch),
            ("POST", call_recording, "recordings", recordings.update),
            ("DELETE", call_recording, "recordings", recordings.delete),
            ("GET", account + "/Recordings.json", "recordings", recordings.list),
            ("GET", account + one_recording + ".json", "recordings", recordings.fetch),
            ("DELETE", account + one_recording + ".json", "recordings", recordings.delete),
            ("GET", account + one_recording + "{extension:(\\.wav|\\.mp3)?}", "media", recordings.media),
            ("GET", account + "/IncomingPhoneNumbers.json", "numbers", numbers.incoming),
            ("GET", account + "/IncomingPhoneNumbers/{number}.json", "numbers", numbers.incoming_one),
            ("POST", account + "/IncomingPhoneNumbers/{number}.json", "numbers", numbers.incoming_one),
            ("GET", account + "/OutgoingCallerIds.json", "numbers", numbers.caller_ids),
            ("GET", account + "/OutgoingCallerIds/{number}.json", "numbers", numbers.caller_id),
            ("DELETE", account + "/OutgoingCallerIds/{number}.json", "numbers", numbers.caller_id),
        ]
        known: set[str] = set()
        for method, path, operation, handler in routes:
            app.router.add_route(method, path, self._endpoint(operation, handler))
            known.add(path)
        for path in sorted(known):
            app.router.add_route("*", path, self._endpoint("any", self._wrong_method))
        app.router.add_route("*", f"/{API_VERSION}/{{rest:.*}}", self._endpoint("any", self._nothing))

    def _endpoint(self, operation: str, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            began = time.monotonic()
            if operation == "create":
                self.world.counts["create_requests"] += 1
            try:
                response = await self._answer(request, operation, handler)
            except TwilioError as problem:
                response = web.json_response(problem.body(), status=problem.status)
                if problem.retry_after is not None:
                    response.headers["Retry-After"] = str(problem.retry_after)
                if problem.status == 401:
                    response.headers["WWW-Authenticate"] = 'Basic realm="Twilio API"'
                log.info("%s %s -> %d %d", request.method, request.path, problem.status, problem.code)
            if not response.prepared:
                response.headers["Twilio-Request-Id"] = new_sid("RQ")
                response.headers["Twilio-Request-Duration"] = f"{time.monotonic() - began:.3f}"
                response.headers["Twilio-Concurrent-Requests"] = "1"
                response.headers["X-Home-Region"] = "us1"
            return response

        return handle

    async def _answer(self, request: web.Request, operation: str, handler: Handler) -> web.StreamResponse:
        account = self._authenticate(request)
        self.world.asked.append(
            {"account_sid": account.sid, "operation": operation, "method": request.method, "path": request.path}
        )
        if account.status != "active" and operation != "account":
            raise error(20005)
        fault = self.faults.rest(operation, account.sid)
        if fault is None:
            return await handler(request, account)
        early = await self._before(fault, request)
        if early is not None:
            return early
        response = await handler(request, account)
        if fault.do == "cut-after":
            return self._cut(request)
        await self._hang(request)
        return response

    async def _before(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        """Apply a fault that keeps the request from being processed; None if it strikes afterwards."""
        if fault.do == "refuse-429":
            refusal = error(20429)
            refusal.retry_after = fault.retry_after
            raise refusal
        if fault.do == "error-500":
            raise error(20500)
        if fault.do == "status":
            code = fault.code or {429: 20429, 500: 20500, 503: 20503}.get(fault.status, 20500)
            raise TwilioError(code, fault.message or error(code, request.path).message, fault.status)
        if fault.do == "cut-before":
            return self._cut(request)
        if fault.do == "timeout":
            await self._hang(request)
            return self._cut(request)
        return None

    def _cut(self, request: web.Request) -> web.Response:
        """Close the socket without a byte of an answer."""
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)

    async def _hang(self, request: web.Request) -> None:
        """Say nothing until the client gives up."""
        ends_at = time.monotonic() + HANG_SECONDS
        while time.monotonic() < ends_at and not self.closing.is_set():
            if request.transport is None or request.transport.is_closing():
                return
            await asyncio.sleep(0.05)

    def _authenticate(self, request: web.Request) -> Account:
        """The account whose credentials came along and whose resources are asked for. Raises TwilioError 20003."""
        user, password = _basic(request.headers.get("Authorization", ""))
        named = request.match_info.get("account")
        refused = error(20003, detail="Your AccountSid or AuthToken was incorrect.")
        account = self.world.accounts.get(user)
        if account is not None:
            expected = [account.auth_token, account.secondary_auth_token]
        else:  # a standard API key: everything but the account itself
            account = next((a for a in self.world.accounts.values() if user in a.api_keys), None)
            is_account_itself = request.path.removesuffix(".json").count("/") < 4
            expected = [] if account is None or is_account_itself else [account.api_keys[user]]
        fitting = [one for one in expected if one and hmac.compare_digest(one.encode(), password.encode())]
        if account is None or not fitting:
            raise refused
        if named is not None and named != account.sid:
            raise refused
        return account

    async def _nothing(self, request: web.Request, account: Account) -> web.Response:
        raise not_found(request.path)

    async def _wrong_method(self, request: web.Request, account: Account) -> web.Response:
        raise error(20004)


def _basic(header: str) -> tuple[str, str]:
    """User and password of a Basic header, empty if it is none."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        text = base64.b64decode(encoded, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    user, _, password = text.partition(":")
    return user, password
