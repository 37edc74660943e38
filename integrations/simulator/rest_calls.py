"""REST handlers for calls: create, fetch, list, update, delete, events and notifications."""

import re
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from multidict import MultiDictProxy

from .clock import rfc2822
from .engine import LONGEST_CALL_SECONDS, Engine, Order
from .errors import TwilioError, error, not_found
from .legs import Source
from .paging import date_filter, page
from .phones import E164
from .represent import call_json, notification_json
from .state import Account, Call, Callback, World

LONGEST_TWIML = 4000
EVENTS = frozenset({"initiated", "ringing", "answered", "completed"})
# What REST says where a phone was given an error of `<Dial>`.
REST_CODES = {13214: 21210, 13223: 21211, 13224: 21211, 13225: 21216, 13227: 21215, 13247: 21210}
Form = MultiDictProxy[Any]


def text_of(form: Form, name: str) -> str:
    """A form field as text, "" if absent."""
    value = form.get(name, "")
    return value if isinstance(value, str) else ""


def method_of(form: Form, name: str) -> str:
    """An HTTP method field, POST by default. Raises TwilioError 21209."""
    method = text_of(form, name).upper() or "POST"
    if method not in ("GET", "POST"):
        raise error(21209, method)
    return method


def whole_of(form: Form, name: str, default: int, highest: int, code: int) -> int:
    """A whole number of seconds from 1 to `highest`. Raises TwilioError `code`."""
    text = text_of(form, name)
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= highest):
        raise error(code, f"{name} {text}" if code == 20001 else text)
    return int(text)


def valid_url(url: str) -> bool:
    """Whether Twilio could ask `url`: http or https and a host without underscores."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and "_" not in str(parts.hostname)


def normal_number(text: str) -> str:
    """A phone number without the spaces and marks that people write."""
    return re.sub(r"[ ().-]", "", text)


class CallHandlers:
    """The Calls resource and what hangs below it."""

    def __init__(self, world: World, engine: Engine) -> None:
        self.world = world
        self.engine = engine

    def find(self, request: web.Request, account: Account) -> Call:
        """The call in the path. Raises TwilioError 20404, also for another account's call."""
        call = self.world.calls.get(request.match_info["sid"])
        if call is None or call.account is not account:
            raise not_found(request.path)
        return call

    async def create(self, request: web.Request, account: Account) -> web.Response:
        """POST Calls: 201 and the call, `queued`."""
        form = await request.post()
        order, warnings = self._order(form, account)
        call = self.engine.call(account, order)
        self.world.counts["calls_created"] += 1
        for code, detail in warnings:
            self.world.notify(call, code, detail=detail)
        body = call_json(call)
        call.events.append(
            {
                "request": {
                    "method": "POST",
                    "url": f"{self.world.base_url}{body['uri']}",
                    "parameters": {_snake(name): value for name, value in form.items()} | {"account_sid": account.sid},
                },
                "response": {
                    "response_code": 201,
                    "request_duration": 50,
                    "content_type": "application/json",
                    "response_body": f'{{"sid": "{call.sid}"}}',
                    "date_created": rfc2822(self.world.clock.now()),
                },
            }
        )
        return web.json_response(body, status=201)

    def _order(self, form: Form, account: Account) -> tuple[Order, list[tuple[int, str]]]:
        """Validate POST Calls as Twilio does; return the order and warnings for the Debugger."""
        to, from_ = normal_number(text_of(form, "To")), normal_number(text_of(form, "From"))
        if not to:
            raise error(21201)
        if not from_:
            raise error(21213)
        if not E164.fullmatch(to):
            raise error(21211, text_of(form, "To"))
        source = self._source(form)
        if source is None:
            raise error(21205, "Url parameter is required.")
        if not E164.fullmatch(from_):
            raise error(21212, text_of(form, "From"))
        if not account.owns(from_):
            raise error(21210, from_)
        if account.type == "Trial" and to not in account.verified:
            raise error(21219, to)
        code = self.world.phone(to).error
        if code is not None:
            raise error(REST_CODES.get(code, code), to)
        digits = text_of(form, "SendDigits")
        if not re.fullmatch(r"[0-9*#wW]*", digits):
            raise error(21206, digits)
        warnings: list[tuple[int, str]] = []
        fallback = text_of(form, "FallbackUrl")
        order = Order(
            to=to,
            from_=from_,
            source=source,
            fallback=Source(fallback, method_of(form, "FallbackMethod")) if valid_url(fallback) else Source(),
            callback=self._callback(form, warnings),
            timeout=whole_of(form, "Timeout", 60, 600, 21208),
            time_limit=whole_of(form, "TimeLimit", LONGEST_CALL_SECONDS, 86_400, 20001),
        )
        if text_of(form, "Record").lower() == "true":
            order.record = recording_callback(form)
            order.record_channels = 2 if text_of(form, "RecordingChannels") == "dual" else 1
            order.record_track = text_of(form, "RecordingTrack") or "both"
        order.detect_machine = text_of(form, "MachineDetection")
        if order.detect_machine not in ("", "Enable", "DetectMessageEnd"):
            raise error(20001, f"Invalid MachineDetection: {order.detect_machine}")
        later = text_of(form, "AsyncAmdStatusCallback")
        if text_of(form, "AsyncAmd").lower() == "true" and valid_url(later):
            order.detection_callback = Source(later, method_of(form, "AsyncAmdStatusCallbackMethod"))
        return order, warnings

    def _source(self, form: Form) -> Source | None:
        """Where instructions are: Url beats Twiml; None if neither is there. Raises TwilioError."""
        url, twiml, application = (text_of(form, name) for name in ("Url", "Twiml", "ApplicationSid"))
        method = method_of(form, "Method")
        if url:
            if not valid_url(url):
                raise error(21205, f"Url is not a valid URL: {url}")
            return Source(url, method)
        if twiml:
            if len(twiml) > LONGEST_TWIML:
                raise error(20001, f"Twiml is longer than {LONGEST_TWIML} characters.")
            return Source(twiml=twiml)
        if application:
            raise error(21218, application)  # this Twilio has no TwiML applications
        return None

    def _callback(self, form: Form, warnings: list[tuple[int, str]]) -> Callback:
        """The status callback. `StatusCallbackEvent` is a repeated field: words joined by spaces subscribe none."""
        url = text_of(form, "StatusCallback")
        if not url:
            return Callback()
        if not valid_url(url):
            warnings.append((21609, url))
            return Callback()
        given = [value for value in form.getall("StatusCallbackEvent", []) if isinstance(value, str)]
        wrong = [value for value in given if value not in EVENTS]
        if wrong:
            warnings.append((21626, ", ".join(wrong)))
        events = EVENTS & set(given) if given else frozenset({"completed"})
        return Callback(url, method_of(form, "StatusCallbackMethod"), frozenset(events))

    async def fetch(self, request: web.Request, account: Account) -> web.Response:
        """GET one call."""
        return web.json_response(call_json(self.find(request, account)))

    async def list(self, request: web.Request, account: Account) -> web.Response:
        """GET Calls with the documented filters."""
        query = request.query
        simple = (("To", "to"), ("From", "from_"), ("Status", "status"), ("ParentCallSid", "parent_sid"))

        def fits(call: Call) -> bool:
            return (
                call.account is account
                and all(not query.get(name) or getattr(call, field) == query[name] for name, field in simple)
                and date_filter(query, "StartTime", call.start_time)
                and date_filter(query, "EndTime", call.ended_at)
            )

        found = [call for call in self.world.calls.values() if fits(call)]
        return page(request, self.world, "calls", found, "CA", call_json)

    async def update(self, request: web.Request, account: Account) -> web.Response:
        """POST one call: end it, cancel it, or send it to other instructions."""
        call = self.find(request, account)
        form = await request.post()
        status = text_of(form, "Status")
        leg = self.engine.live.get(call.sid)
        if status not in ("", "canceled", "completed"):
            raise error(20001, f"Invalid Status: {status}")
        if leg is None or call.over:
            raise error(21220, "Call is not in-progress. Cannot redirect.")
        waiting = call.status in ("queued", "ringing")
        callback = text_of(form, "StatusCallback")
        if valid_url(callback):
            call.callback.url, call.callback.method = callback, method_of(form, "StatusCallbackMethod")
        fallback = text_of(form, "FallbackUrl")
        if valid_url(fallback):
            leg.fallback = Source(fallback, method_of(form, "FallbackMethod"))
        if status:
            if waiting:
                leg.end("canceled")
            elif status == "completed":
                leg.end("completed")
        else:
            source = self._source(form)
            if source is not None and waiting:
                raise error(21220, "Call is not in-progress. Cannot redirect.")
            if source is not None:
                leg.redirect(source)
        return web.json_response(call_json(call))

    async def delete(self, request: web.Request, account: Account) -> web.Response:
        """DELETE an ended call and its events; its recordings stay."""
        call = self.find(request, account)
        if not call.over:
            raise TwilioError(20409, "The call is still in progress and cannot be deleted.", 409)
        del self.world.calls[call.sid]
        self.world.touch()
        return web.Response(status=204)

    async def events(self, request: web.Request, account: Account) -> web.Response:
        """GET the requests made for a call, oldest first."""
        call = self.find(request, account)
        return page(request, self.world, "events", call.events, "", dict)

    async def notifications(self, request: web.Request, account: Account) -> web.Response:
        """GET the Debugger's lines, of one call or of the account."""
        call = self.find(request, account) if "sid" in request.match_info else None
        found = [
            note
            for note in self.world.notifications.values()
            if note.account is account
            and (call is None or note.call_sid == call.sid)
            and request.query.get("Log", note.log) == note.log
            and date_filter(request.query, "MessageDate", note.at)
        ]
        of_call = call is not None
        return page(
            request, self.world, "notifications", found, "NO", lambda note: notification_json(note, of_call=of_call)
        )

    async def notification(self, request: web.Request, account: Account) -> web.Response:
        """GET one line of the Debugger with its request and response."""
        note = self.world.notifications.get(request.match_info["note"])
        call_sid = request.match_info.get("sid")
        if note is None or note.account is not account or call_sid not in (None, note.call_sid):
            raise not_found(request.path)
        return web.json_response(notification_json(note, of_call=call_sid is not None, whole=True))


def recording_callback(form: Form) -> Callback:
    """The recording callback in a form; `RecordingStatusCallbackEvent` may be repeated or joined by spaces."""
    url = text_of(form, "RecordingStatusCallback")
    if not valid_url(url):
        return Callback()
    given = " ".join(str(value) for value in form.getall("RecordingStatusCallbackEvent", [])).split()
    events = frozenset(given) or frozenset({"completed"})
    return Callback(url, method_of(form, "RecordingStatusCallbackMethod"), events)


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
