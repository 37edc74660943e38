"""A client that is cheaper than what it measures: a process without Django that fires requests made beforehand.

Started by `bench.callbacks` as a script of its own. It reads one JSON object from its standard input, makes and signs
every request, says "ready", waits for a line, fires, and prints one JSON object. Each connection has one request under
way at a time, as each of pgbench's clients has one statement.
"""

import base64
import hashlib
import hmac
import json
import select
import socket
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

AGENT_STATUSES = ("initiated", "ringing", "in-progress", "completed")
CONTACT_STATUSES = AGENT_STATUSES
CALLS_AT_ONCE = 100  # a call's callbacks are this many requests apart: in life seconds pass between them
END = b"\r\n\r\n"


def main() -> None:
    """Make, say "ready", wait for the word, fire, tell."""
    order = json.loads(sys.stdin.readline())
    requests = [get(order)] if order["path"] else list(signed_callbacks(order))
    print("ready", flush=True)
    sys.stdin.readline()
    began_cpu = time.process_time()
    told = fire(
        (order["host"], order["port"]),
        requests,
        clients=order["clients"],
        seconds=order["seconds"],
        expect=order["expect"],
    )
    told["cpu_seconds"] = time.process_time() - began_cpu
    print(json.dumps(told), flush=True)


def get(order: dict[str, Any]) -> bytes:
    """Return a GET without a body, for the rungs of the ladder that are no callbacks."""
    return f"GET {order['path']} HTTP/1.1\r\nHost: {order['host']}\r\n\r\n".encode()


def status_params(account_sid: str, call: dict[str, str], leg: str, number: int, status: str) -> dict[str, str]:
    """Return what Twilio sends with a status callback, field by field as captured from it."""
    child = leg == "contact"
    params = {
        "CallSid": call["contact_sid"] if child else call["agent_sid"],
        "AccountSid": account_sid,
        "From": "+551130000000",
        "To": "+5511912345678",
        "Caller": "+551130000000",
        "Called": "+5511912345678",
        "CallStatus": status,
        "ApiVersion": "2010-04-01",
        "Direction": "outbound-dial" if child else "outbound-api",
    }
    if child:
        params["ParentCallSid"] = call["agent_sid"]
    else:
        for side in ("From", "To", "Caller", "Called"):
            params |= {f"{side}City": "", f"{side}State": "", f"{side}Zip": "", f"{side}Country": "BR"}
    params |= {
        "CallbackSource": "call-progress-events",
        "Timestamp": "Tue, 18 Nov 2025 14:03:27 +0000",
        "SequenceNumber": str(number),
    }
    if status == "completed":
        params |= {"CallDuration": "42", "Duration": "1", "SipResponseCode": "200"}
    return params


def callbacks_of_calls(order: dict[str, Any]) -> Iterator[tuple[dict[str, str], str, dict[str, str]]]:
    """Yield (call, leg, params): each call's eight status callbacks, many calls side by side."""
    events = [("agent", number, status) for number, status in enumerate(AGENT_STATUSES)]
    events += [("contact", number, status) for number, status in enumerate(CONTACT_STATUSES)]
    calls = order["calls"]
    for start in range(0, len(calls), CALLS_AT_ONCE):
        for leg, number, status in events:
            for call in calls[start : start + CALLS_AT_ONCE]:
                yield call, leg, status_params(order["account_sid"], call, leg, number, status)


def sign(auth_token: str, url: str, params: dict[str, str]) -> str:
    """Return X-Twilio-Signature (twilio.com/docs/usage/security), computed without the package that will check it."""
    text = url + "".join(name + params[name] for name in sorted(params))
    return base64.b64encode(hmac.new(auth_token.encode(), text.encode(), hashlib.sha1).digest()).decode()


def signed_callbacks(order: dict[str, Any]) -> Iterator[bytes]:
    """Yield whole requests, with the headers that Twilio's proxy sends."""
    for call, leg, params in callbacks_of_calls(order):
        path = call["path"] + leg
        body = urlencode(params)
        yield (
            f"POST {path} HTTP/1.1\r\n"
            f"Host: {order['host']}\r\n"
            "User-Agent: TwilioProxy/1.1\r\n"
            "Accept: */*\r\n"
            "Content-Type: application/x-www-form-urlencoded; charset=UTF-8\r\n"
            f"Content-Length: {len(body)}\r\n"
            "I-Twilio-Idempotency-Token: 6f1c0f10-7b1e-4f0a-9d53-0d9c6b1f4a77\r\n"
            f"X-Twilio-Signature: {sign(order['auth_token'], order['origin'] + path, params)}\r\n"
            "\r\n"
            f"{body}"
        ).encode()


def fire(
    address: tuple[str, int], requests: list[bytes], *, clients: int, seconds: float, expect: int
) -> dict[str, Any]:
    """Send the requests over keep-alive connections until the time or they are over; wait for every answer.

    A single request is repeated, several are each sent once. Answers must come without a body, or with all of it in
    one piece. Returns counts by status, the latencies of the expected answers (ms) and the time to the last one.
    """
    repeat = len(requests) == 1
    good = b"HTTP/1.1 %d " % expect
    statuses: Counter[str] = Counter()
    latencies: list[float] = []
    poll = select.epoll() if hasattr(select, "epoll") else None
    connections = {}
    for _ in range(clients):
        connection = socket.create_connection(address, timeout=30)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[connection.fileno()] = connection
        if poll is not None:
            poll.register(connection, select.EPOLLIN)
    following = iter(requests)
    sent_at: dict[int, float] = {}
    clock = time.perf_counter
    began = ended = clock()
    until = began + seconds

    def send(number: int) -> None:
        request = requests[0] if repeat else next(following, None)
        if request is not None:
            sent_at[number] = clock()
            connections[number].sendall(request)

    for number in connections:
        send(number)
    while sent_at:
        ready = [number for number, _ in poll.poll(30)] if poll is not None else _readable(connections)
        if not ready:
            break
        for number in ready:
            answer = connections[number].recv(65536)
            now = clock()
            if number not in sent_at:
                continue
            took = now - sent_at.pop(number)
            if answer.startswith(good) and END in answer:
                statuses[str(expect)] += 1
                latencies.append(took)
                ended = now
            else:
                statuses[answer[9:12].decode(errors="replace") or "cut off"] += 1
            if now < until and answer:
                send(number)
    statuses["no answer"] += len(sent_at)
    for connection in connections.values():
        connection.close()
    latencies.sort()
    return {
        "seconds": ended - began,
        "statuses": {status: count for status, count in statuses.items() if count},
        "ran_dry": not repeat and ended < until - 0.05,
        "p50": 1000 * quantile(latencies, 0.50),
        "p95": 1000 * quantile(latencies, 0.95),
        "p99": 1000 * quantile(latencies, 0.99),
    }


def _readable(connections: dict[int, socket.socket]) -> list[int]:
    return select.select(list(connections), [], [], 30)[0]


def quantile(ordered: list[float], part: float) -> float:
    """Return the value below which `part` of an ordered list lies; 0 for an empty one."""
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


if __name__ == "__main__":
    main()
