"""Where the time of one callback goes: one after another, in this process, without HTTP; the parts and the whole."""

import io
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from bench.load import callbacks_of_calls, signed_callbacks
from bench.stage import Company
from calls import journal, webhooks
from crm import wake
from crm.wsgi import application
from integrations.access import callback_credentials

REPEATS = 5


class Spent(NamedTuple):
    """Microseconds for one: of this thread's processor time, and of the clock's."""

    computing: float
    passing: float


def environ_of(request: bytes) -> dict[str, Any]:
    """Return the WSGI environment that a server makes of these bytes."""
    head, _, body = request.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {name.upper().replace("-", "_"): value for name, _, value in (line.partition(": ") for line in lines)}
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SCRIPT_NAME": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": headers.pop("CONTENT_TYPE"),
        "CONTENT_LENGTH": headers.pop("CONTENT_LENGTH"),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
    }
    return environ | {f"HTTP_{name}": value for name, value in headers.items()}


def each(work: Callable[[Any], object], things: Sequence[Any]) -> Spent:
    """Return the medians over chunks of the microseconds that `work` takes for one of `things`."""
    chunk = max(1, len(things) // REPEATS)
    took = []
    for start in range(0, chunk * REPEATS, chunk):
        some = things[start : start + chunk]
        began, began_computing = time.perf_counter(), time.thread_time()
        for thing in some:
            work(thing)
        computed, passed = time.thread_time() - began_computing, time.perf_counter() - began
        took.append(Spent(1e6 * computed / len(some), 1e6 * passed / len(some)))
    return Spent(statistics.median(one.computing for one in took), statistics.median(one.passing for one in took))


def measure(company: Company, *, callbacks: int) -> dict[str, Any]:
    """Return the processor time of this thread for a callback and its parts, and how long it waited for PostgreSQL.

    Processor time, because whoever else computes on this machine stretches the clock's. What no part explains is the
    rest: finding the callback, its identifiers, the reply.
    """

    def whole(request: bytes) -> None:
        statuses: list[str] = []
        response = application(environ_of(request), lambda status, headers: statuses.append(status))
        if list(response):
            raise RuntimeError("A callback was answered with a body")
        if statuses != ["204 No Content"]:
            raise RuntimeError(f"A callback was answered {statuses}")

    def fresh() -> tuple[list[bytes], list[tuple[dict[str, str], str, dict[str, str]]]]:
        order = company.order(company.ring(-(-callbacks // 8))) | {"host": "127.0.0.1"}
        return list(signed_callbacks(order)), list(callbacks_of_calls(order))

    requests, _ = fresh()
    whole(requests[0])
    entire = each(whole, requests[1:])
    total = entire.computing - each(environ_of, requests).computing

    requests, meant = fresh()
    wsgi = [environ_of(request) for request in requests]
    forms: list[Any] = []
    reading = each(lambda environ: forms.append(webhooks._form(environ)), wsgi)
    remembered = each(lambda _: callback_credentials.get(company.id), forms)
    pairs = list(zip(wsgi, forms, strict=False))
    checking = each(lambda pair: webhooks._signer(pair[0], company.id, pair[1]), pairs)
    digesting = each(lambda form: journal.digest("agent", journal.written(form)), forms)
    to_store = [
        (UUID(call["path"].split("/")[5]), call["agent_sid"], leg, form)
        for (call, leg, _), form in zip(meant, forms, strict=False)
    ]
    storing = each(lambda one: webhooks._store(company.id, *one), to_store)
    waking = each(lambda _: wake.after_commit(webhooks.APPLY), to_store)
    wake.flush(5)

    parts = {
        "read and parse the form": reading.computing,
        "the account, from this process's memory": remembered.computing,
        "check the signature": checking.computing - remembered.computing,
        "write as JSON, digest": digesting.computing,
        "ask the SQL function, read its answer": storing.computing - digesting.computing,
        "hand the wake-up to the publisher": waking.computing,
    }
    parts["the rest: address, identifiers, reply"] = total - sum(parts.values())
    return {"microseconds": total, "parts": parts, "waiting": max(0.0, entire.passing - entire.computing)}
