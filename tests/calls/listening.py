"""A browser's end of the stream of live updates, without a browser."""

import contextlib
import http.client
import json
import socket
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.test import Client

from tests.conftest import eventually


@dataclass(frozen=True)
class Event:
    """One event, and when it was here (seconds since 1970)."""

    kind: str
    data: dict[str, Any]
    at: float


class Ear:
    """One open stream: what it was told, in order, until it ends."""

    def __init__(self, url: str, client: Client | None = None, *, origin: str | None = None, cookie: str = "") -> None:
        """Ask for the stream with the session of `client`; `status` is the answer's."""
        address = urlsplit(url)
        cookies = client.cookies if client else {}
        if settings.SESSION_COOKIE_NAME in cookies:
            cookie = f"{settings.SESSION_COOKIE_NAME}={cookies[settings.SESSION_COOKIE_NAME].value}"
        self.connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        headers = {"Cookie": cookie} | ({"Origin": origin} if origin else {})
        self.connection.request("GET", address.path, headers=headers)
        self._socket = self.connection.sock
        self.answer = self.connection.getresponse()
        self.status, self.said = self.answer.status, ""
        self.events: list[Event] = []
        self.ended_at: float | None = None
        if self.status == 200:
            self._thread = threading.Thread(target=self._read, daemon=True)
            self._thread.start()
        else:
            self.said = f"{self.status} {self.answer.read().decode()}"
            self._end()

    def _read(self) -> None:
        kind = ""
        try:
            while line := self.answer.readline().decode():
                name, _, value = line.rstrip("\n").partition(": ")
                if name == "event":
                    kind = value
                elif name.startswith("data") and kind != "beat":
                    self.events.append(Event(kind, json.loads(value or "{}"), time.time()))
        except (OSError, http.client.HTTPException, ValueError):
            pass
        self.ended_at = time.time()

    @property
    def calls(self) -> list[str]:
        """The ids of the calls that it was told of."""
        return [event.data["call"] for event in self.events if event.kind == "call"]

    @property
    def syncs(self) -> int:
        """How often it was told to fetch everything."""
        return sum(event.kind == "sync" for event in self.events)

    def in_place(self) -> "Ear":
        """Wait until the stream has begun."""
        assert self.status == 200, self.said
        eventually(lambda: self.syncs, what="the first sync")
        return self

    def close(self) -> None:
        """Go away, as a browser does that is closed."""
        if self.status == 200:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._thread.join(10)
            self._end()

    def _end(self) -> None:
        self.answer.close()
        self.connection.close()
