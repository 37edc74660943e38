"""The ASGI application: one stream of events for each browser, and a health check."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error as DatabaseFailed

from calls.live.door import listener_of
from calls.live.hub import BEAT, Full, Hub, Listener
from calls.live.listen import listen

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# A quiet stream says so many seconds apart that it lives; static/live-worker.js gives up on one that does not.
BEATS = 15.0
# Nothing is told on the strength of a look at the session that is older than this.
TRUSTED_FOR = 2.0
RETRY = b"retry: 2000\n\n"
# Each has a connection to the database.
THREADS = 2


class Live:
    """`GET` of LIVE_URL's path is the stream, `GET /healthz` says whether the database is heard."""

    def __init__(self) -> None:
        self.path = urlsplit(settings.LIVE_URL).path or "/"
        self.hub = Hub()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="door")
        self._ending = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Speak ASGI: https://asgi.readthedocs.io/en/latest/specs/www.html"""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._end)
        listening = asyncio.create_task(listen(self.hub))
        listening.add_done_callback(self._heard_nothing_more)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening
        self._threads.shutdown(wait=False, cancel_futures=True)
        await send({"type": "lifespan.shutdown.complete"})

    def _heard_nothing_more(self, listening: asyncio.Task[None]) -> None:
        if not listening.cancelled() and (error := listening.exception()):
            logger.critical("Nothing is heard any more, and so this process ends", exc_info=error)
            self._end()

    def _end(self) -> None:
        """End the streams, and then as the server does on its other signal: it would wait for them for ever."""
        self._ending.set()
        signal.raise_signal(signal.SIGINT)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        if scope["path"] == "/healthz":
            await say(send, *((200, "ok") if self.hub.is_listening else (503, "The database is not heard.")))
        elif scope["path"] != self.path:
            await say(send, 404, "There is nothing here.")
        elif scope["method"] != "GET":
            await say(send, 405, "Only GET.")
        elif headers.get("origin", settings.PUBLIC_BASE_URL) != settings.PUBLIC_BASE_URL:
            await say(send, 403, "Only pages of this CRM may listen.")
        else:
            await self._admit(headers.get("cookie", ""), receive, send)

    async def _admit(self, cookies: str, receive: Receive, send: Send) -> None:
        if not self.hub.is_listening:
            await say(send, 503, "The database is not heard.")
            return
        try:
            listener = await self._look(cookies)
            if listener is None:
                await say(send, 401, "Log in first.")
                return
            stream = self.hub.add(listener)
        except DatabaseFailed:
            await say(send, 503, "The database does not answer.")
            return
        except Full as full:
            await say(send, 429 if full.args == ("member",) else 503, "Too many streams are open.")
            return
        try:
            await self._tell(stream, cookies, receive, send)
        finally:
            self.hub.remove(stream)

    async def _look(self, cookies: str) -> Listener | None:
        return await asyncio.get_running_loop().run_in_executor(self._threads, listener_of, cookies)

    async def _tell(self, stream: Any, cookies: str, receive: Receive, send: Send) -> None:
        """Tell a browser what concerns it until it goes, we end, or it may not hear any more."""
        await send({"type": "http.response.start", "status": 200, "headers": headers_of(b"text/event-stream")})
        await send({"type": "http.response.body", "body": RETRY, "more_body": True})
        clock = asyncio.get_running_loop().time
        looked_at = clock()
        gone = asyncio.create_task(left(receive))
        ending = asyncio.create_task(self._ending.wait())
        try:
            while not (gone.done() or ending.done()):
                filled = asyncio.create_task(stream.filled())
                await asyncio.wait({filled, gone, ending}, timeout=BEATS, return_when=asyncio.FIRST_COMPLETED)
                filled.cancel()
                if clock() - looked_at > TRUSTED_FOR:
                    looked_at = clock()
                    if await self._look(cookies) != stream.listener:
                        break  # gone, or another now: the browser comes again, and is looked at anew
                told = b"".join(stream.take()) or BEAT
                await send({"type": "http.response.body", "body": told, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        except DatabaseFailed:
            logger.warning("A stream ends: its session cannot be looked at")
            await send({"type": "http.response.body", "body": b""})
        finally:
            gone.cancel()
            ending.cancel()


async def left(receive: Receive) -> None:
    """Return when the browser has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def headers_of(kind: bytes) -> list[tuple[bytes, bytes]]:
    """Return an answer's headers: for our own pages alone, kept by nobody, passed on by proxies as it comes."""
    return [
        (b"content-type", kind),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        (b"x-content-type-options", b"nosniff"),
        (b"access-control-allow-origin", settings.PUBLIC_BASE_URL.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


async def say(send: Send, status: int, sentence: str) -> None:
    """Answer with a sentence."""
    headers = headers_of(b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{sentence}\n".encode()})
