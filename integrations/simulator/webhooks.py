"""Delivery of webhooks: signed, with Twilio's time-outs, retries and redirects, each attempt logged."""

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urljoin

import aiohttp
from yarl import URL

from .clock import rfc2822
from .faults import Faults
from .signature import sign, signed_url
from .state import Call, World, new_sid

log = logging.getLogger(__name__)

REDIRECTS = 10
LOGGED_BODY = 20_000
# Connection overrides in a URL's fragment: name -> (lowest, highest, default), milliseconds but for `rc`.
# https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides
OVERRIDES = {"ct": (100, 10_000, 5_000), "rt": (100, 15_000, 15_000), "tt": (100, 15_000, 15_000), "rc": (0, 5, 1)}


@dataclass
class Policy:
    """How long one webhook may take and what is tried again; real milliseconds, as HTTP has no simulated time."""

    ct: int
    rt: int
    tt: int
    rc: int
    retry_on: frozenset[str]

    @classmethod
    def of(cls, url: str) -> "Policy":
        """Read the fragment of `url`; what is absent or out of range falls back to the default."""
        given = dict(parse_qsl(url.partition("#")[2]))
        values = {}
        for name, (lowest, highest, default) in OVERRIDES.items():
            text = given.get(name, "")
            value = int(text) if text.isascii() and text.isdigit() else default
            values[name] = value if lowest <= value <= highest else default
        policies = {part.strip().lower() for part in given.get("rp", "ct").split(",")} & {
            "ct",
            "rt",
            "4xx",
            "5xx",
            "all",
        }
        if "all" in policies:
            policies = {"ct", "rt", "4xx", "5xx"}
        return cls(**values, retry_on=frozenset(policies or {"ct"}))


@dataclass
class Answer:
    """What came back; if nothing, `status` is None and `trouble` "ct" (no connection), "rt" (no answer) or "drop"."""

    url: str
    method: str
    params: dict[str, str]
    status: int | None = None
    body: str = ""
    content_type: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    trouble: str = ""
    redirects: int = 0

    @property
    def ok(self) -> bool:
        """Whether it is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    def outcome(self) -> str:
        """The word of the retry policy for it: "", "ct", "rt", "4xx" or "5xx"."""
        if self.status is None:
            return self.trouble
        return f"{self.status // 100}xx" if self.status >= 400 else ""


class Courier:
    """Sends webhooks and keeps the log of all attempts (`world.requests` and each call's events)."""

    def __init__(self, world: World, faults: Faults) -> None:
        self.world = world
        self.faults = faults
        self._tasks: set[asyncio.Task[Any]] = set()
        self._session: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Open the client; one connection for each request, as a reused one may be closed by the other side."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": "TwilioProxy/1.1", "Accept": "*/*"},
            auto_decompress=True,
        )

    async def close(self) -> None:
        """Drop what is under way and close the client."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def post_soon(self, call: Call, kind: str, url: str, method: str, params: dict[str, str]) -> None:
        """Send a callback in the background: order is not guaranteed, a failure is a 15003 warning."""
        under_way, account_sid = self.world.webhooks_under_way, call.account.sid
        under_way[account_sid] += 1
        task = asyncio.create_task(self._post(call, kind, url, method, params))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: under_way.subtract([account_sid]))

    async def _post(self, call: Call, kind: str, url: str, method: str, params: dict[str, str]) -> None:
        answer = await self.send(call, kind, url, method, params)
        if not answer.ok:
            self.warn(call, 15003, answer)

    def warn(self, call: Call, code: int, answer: Answer) -> None:
        """Write `code` about `answer` into the Debugger."""
        what = f"HTTP {answer.status}" if answer.status else f"no answer ({answer.trouble})"
        self.world.notify(
            call,
            code,
            detail=f"Got {what} from {answer.url}",
            request_method=answer.method,
            request_url=answer.url,
            request_variables=urlencode(answer.params),
            response_body=answer.body[:LOGGED_BODY],
            response_headers=urlencode(answer.headers),
        )

    async def send(self, call: Call, kind: str, url: str, method: str, params: dict[str, str]) -> Answer:
        """Send one webhook with its retries and return the last answer; never raises for what the network does."""
        fault = self.faults.webhook(kind, url, params)
        if fault is not None and fault.do == "drop":
            entry = self._log(call, kind, url, method, params, {"error": "dropped by a fault", "attempt": 0})
            lost = Answer(url.split("#", 1)[0], method, params, trouble="drop")
            call.events.append(self._event(entry, lost, 0))
            return lost
        if fault is not None and fault.do == "delay":
            await self.world.clock.sleep(fault.seconds)
        answer = await self._deliver(call, kind, url, method, params)
        if fault is not None and fault.do == "repeat":
            for _ in range(fault.copies - 1):
                answer = await self._deliver(call, kind, url, method, params)
        return answer

    async def _deliver(self, call: Call, kind: str, url: str, method: str, params: dict[str, str]) -> Answer:
        policy = Policy.of(url)
        deadline = time.monotonic() + policy.tt / 1000
        token = new_sid("")
        for attempt in range(1, policy.rc + 2):
            answer = await self._follow(call, kind, url, method, params, policy, deadline, attempt, token)
            if attempt > policy.rc or answer.outcome() not in policy.retry_on:
                break
            if self.world.switches["webhook_retry"] == "after_a_second":
                await asyncio.sleep(1)  # a real one, as all of this
            if time.monotonic() >= deadline:
                break
        return answer

    async def _follow(
        self,
        call: Call,
        kind: str,
        url: str,
        method: str,
        params: dict[str, str],
        policy: Policy,
        deadline: float,
        attempt: int,
        token: str,
    ) -> Answer:
        """One attempt with its redirects; 301, 302 and 303 go on as GET without parameters."""
        for hop in range(REDIRECTS + 1):
            answer = await self._request(call, kind, url, method, params, policy, deadline, attempt, token)
            answer.redirects = hop
            location = answer.headers.get("location")
            if answer.status not in (301, 302, 303, 307, 308) or not location:
                return answer
            url = urljoin(url.split("#", 1)[0], location)
            if answer.status in (301, 302, 303):
                method, params = "GET", {}
        answer.redirects = REDIRECTS + 1
        self.world.notify(call, 11215, detail=answer.url, request_url=answer.url, request_method=answer.method)
        return answer

    async def _request(
        self,
        call: Call,
        kind: str,
        url: str,
        method: str,
        params: dict[str, str],
        policy: Policy,
        deadline: float,
        attempt: int,
        token: str,
    ) -> Answer:
        if self._session is None:
            raise RuntimeError("The courier has not been started.")
        target = url.split("#", 1)[0]
        if method == "GET" and params:
            target += ("&" if "?" in target else "?") + urlencode(params)
        signature = sign(call.account.auth_token, target, params if method == "POST" else {})
        entry = self._log(
            call, kind, target, method, params, {"attempt": attempt, "signature": signature, "token": token}
        )
        answer = Answer(target, method, params)
        began = time.monotonic()
        headers = {"X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": token}
        body = None
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded; charset=UTF-8"
            body = urlencode(params).encode()
        limit = aiohttp.ClientTimeout(
            total=max(0.001, deadline - began), sock_connect=policy.ct / 1000, sock_read=policy.rt / 1000
        )
        try:
            async with self._session.request(
                method, URL(target, encoded=True), data=body, headers=headers, timeout=limit, allow_redirects=False
            ) as response:
                answer.body = (await response.read()).decode(response.get_encoding(), "replace")
                answer.status = response.status
                answer.content_type = response.headers.get("Content-Type", "")
                answer.headers = {name.lower(): value for name, value in response.headers.items()}
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as problem:
            answer.trouble, entry["error"] = "ct", _words(problem)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as problem:
            answer.trouble, entry["error"] = "rt", _words(problem)
        milliseconds = round((time.monotonic() - began) * 1000)
        entry.update(status=answer.status, body=answer.body[:LOGGED_BODY], milliseconds=milliseconds, done=True)
        call.events.append(self._event(entry, answer, milliseconds))
        self.world.touch()
        log.info("%s %s %s -> %s (%d ms)", kind, method, target, answer.status or answer.trouble, milliseconds)
        return answer

    def _log(
        self, call: Call, kind: str, url: str, method: str, params: Mapping[str, str], more: dict[str, Any]
    ) -> dict[str, Any]:
        entry = {
            "id": self.world.counts["webhooks"],
            "call_sid": call.sid,
            "account_sid": call.account.sid,
            "kind": kind,
            "method": method,
            "url": url,
            "signed_url": signed_url(url),
            "params": dict(params),
            "sent_at": self.world.clock.now().isoformat(),
            "status": None,
            "body": "",
            "error": None,
            "milliseconds": None,
            "done": "attempt" in more and more["attempt"] == 0,
            **more,
        }
        self.world.counts["webhooks"] += 1
        self.world.requests.append(entry)
        self.world.touch()
        return entry

    def _event(self, entry: dict[str, Any], answer: Answer, milliseconds: int) -> dict[str, Any]:
        """The attempt as `/Calls/{sid}/Events` shows it."""
        return {
            "request": {"method": answer.method, "url": answer.url, "parameters": _snake(answer.params)},
            "response": {
                "response_code": answer.status,
                "request_duration": milliseconds,
                "content_type": answer.content_type or None,
                "response_body": answer.body[:LOGGED_BODY],
                "date_created": rfc2822(self.world.clock.now()),
            },
        }


def _words(problem: BaseException) -> str:
    return f"{type(problem).__name__}: {problem}"[:300]


def _snake(params: Mapping[str, str]) -> dict[str, str]:
    """Parameter names as Call Events write them: `CallSid` becomes `call_sid`."""
    return {"".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_"): v for name, v in params.items()}
