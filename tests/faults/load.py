"""Twilio's callbacks at a steady pace, whatever the answers do: a process of its own, so that nothing else slows it.

Reads one JSON object from its standard input (as `bench.load`, with `rate` per second), says "ready", waits for a line,
fires until the next line or the last callback, and prints one JSON list: of each callback sent, in the order of
`bench.load.callbacks_of_calls`, the status (0: no answer) and the milliseconds since it was due to be sent, so that
whoever waits for a free connection is counted.
"""

import json
import queue
import socket
import sys
import threading
import time
from contextlib import suppress
from typing import Any

from bench.load import signed_callbacks

CLIENTS = 48


def main() -> None:
    """Make, say "ready", wait for the word, fire, tell."""
    order = json.loads(sys.stdin.readline())
    requests = list(signed_callbacks(order))
    print("ready", flush=True)  # noqa: T201
    sys.stdin.readline()
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
    print(json.dumps(fire((order["host"], order["port"]), requests, order["rate"], stop)), flush=True)  # noqa: T201


def fire(
    address: tuple[str, int], requests: list[bytes], rate: float, stop: threading.Event
) -> list[tuple[int, float]]:
    """Send request number n at n / rate seconds from now over whichever connection is free, until `stop`."""
    told: list[tuple[int, float]] = [(0, 0.0)] * len(requests)
    waiting: queue.Queue[tuple[int, float] | None] = queue.Queue()

    def client() -> None:
        connection: socket.socket | None = None
        while (job := waiting.get()) is not None:
            number, due = job
            status = 0
            with suppress(OSError):
                connection = connection or _connected(address)
                connection.sendall(requests[number])
                answer = connection.recv(65536)
                status = int(answer[9:12]) if answer else 0
            told[number] = (status, 1000 * (time.perf_counter() - due))
            if status != 204 and connection is not None:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    clients = [threading.Thread(target=client) for _ in range(CLIENTS)]
    for thread in clients:
        thread.start()
    began = time.perf_counter() + 0.1
    sent = 0
    for number in range(len(requests)):
        due = began + number / rate
        if stop.is_set():
            break
        sent += 1
        time.sleep(max(0.0, due - time.perf_counter()))
        waiting.put((number, due))
    for _ in clients:
        waiting.put(None)
    for thread in clients:
        thread.join()
    return told[:sent]


def _connected(address: tuple[str, int]) -> socket.socket:
    connection = socket.create_connection(address, timeout=10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def quantile(told: list[Any], part: float) -> float:
    """The milliseconds below which `part` of the answers stayed."""
    took = sorted(milliseconds for _, milliseconds in told)
    return float(took[min(len(took) - 1, int(part * len(took)))])


if __name__ == "__main__":
    main()
