"""A TCP line between our processes and a server, which can refuse, fall silent, be cut, and watch what passes.

So a process can be killed at a named point ("its COMMIT was sent and the answer is not there yet") without a hook in
the code that is tested: the point is what stands on the wire.
"""

import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

UP, DOWN = "up", "down"  # towards the server, and its answers
LONGEST = 512  # bytes of a marker; so much of what has passed is kept, should one be torn apart


class Torn(Exception):
    """This connection is to be cut now."""


@dataclass
class Watch:
    """Waits for `steps`, one after the other on one connection; then `act(near_port)` runs while the bytes are held.

    `act` gets the port of our process' end, which tells whose it is, and says whether the bytes go on; if not, both
    ends are cut. Each watch strikes once.
    """

    steps: list[tuple[str, bytes]]
    act: Callable[[int], bool]
    skip: int = 0  # let so many pass before
    struck: threading.Event = field(default_factory=threading.Event)
    error: BaseException | None = None

    def wait(self, seconds: float = 30) -> None:
        """Return when it has struck and acted. Raises: what `act` raised, AssertionError."""
        if not self.struck.wait(seconds):
            raise AssertionError(f"{self.steps} did not pass within {seconds} s")
        if self.error is not None:
            raise self.error


class _Link:
    """One connection through the line."""

    def __init__(self, line: "Line", near: socket.socket, near_port: int) -> None:
        self.line, self.near, self.near_port = line, near, near_port
        self.far: socket.socket | None = None
        self.kept = {UP: b"", DOWN: b""}
        self.progress: Counter[int] = Counter()  # steps passed, by watch

    def run(self) -> None:
        """Pass bytes until one end is closed or the line is cut."""
        try:
            self.line.open.wait()
            self.far = socket.create_connection(self.line.target, timeout=5)
            self.far.settimeout(None)
            for end in (self.near, self.far):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            downward = threading.Thread(target=self._pump, args=(self.far, self.near, DOWN), daemon=True)
            downward.start()
            self._pump(self.near, self.far, UP)
            downward.join()
        except OSError:
            pass
        finally:
            self.cut()

    def _pump(self, source: socket.socket, sink: socket.socket, direction: str) -> None:
        try:
            while data := source.recv(65536):
                self.line.open.wait()
                self.line.look(self, direction, data)
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except (OSError, Torn):
            self.cut()

    def cut(self) -> None:
        """Reset both ends."""
        self.line.forget(self)
        for end in (self.near, self.far):
            if end is not None:
                with suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)  # wakes whoever reads from it
                end.close()


class Line:
    """Listens on a port of its own and passes everything on to `target`, both ways."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.open = threading.Event()
        self.open.set()
        self.counts: Counter[bytes] = Counter()
        self._counted: list[tuple[str, bytes]] = []
        self._watches: list[Watch] = []
        self._links: set[_Link] = set()
        self._lock = threading.Lock()
        self._server = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._server.getsockname()[1]
        self._serve()

    # --- what goes wrong ---

    def refuse(self) -> None:
        """Refuse connections from now on, as a server that has ended; those that there are, are reset."""
        self._end_server()
        self._server = socket.socket()
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._server.bind(("127.0.0.1", self.port))  # and does not listen: the port stays ours
        self.cut()

    def silence(self) -> None:
        """Accept connections and bytes, and pass nothing on."""
        self.open.clear()

    def restore(self) -> None:
        """Be an ordinary line again; what was held in silence goes on."""
        self.open.set()
        try:
            self._server.getsockname()
            listening = self._server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        except OSError:
            listening = 0
        if not listening:
            self._server.listen(128)
            self._serve()

    def cut(self) -> None:
        """Reset every connection."""
        with self._lock:
            links = list(self._links)
        for link in links:
            link.cut()

    # --- what is watched ---

    def watch(self, *steps: tuple[str, bytes], act: Callable[[int], bool], skip: int = 0) -> Watch:
        """Have `act` run once, when these markers have passed on one connection, before the last one goes on.

        The first `skip` times they go on as if nobody watched.
        """
        watch = Watch(list(steps), act, skip)
        with self._lock:
            self._watches.append(watch)
        return watch

    def count(self, direction: str, marker: bytes) -> None:
        """Count in `counts` how often `marker` came, whether it went on or not."""
        with self._lock:
            self._counted.append((direction, marker))

    def look(self, link: _Link, direction: str, data: bytes) -> None:
        """Count and watch what is about to pass. Raises: Torn, if it shall not."""
        before = link.kept[direction]
        seen = before + data
        link.kept[direction] = seen[-LONGEST:]
        found: list[Watch] = []
        with self._lock:
            for way, marker in self._counted:
                if way == direction:
                    self.counts[marker] += _fresh(seen, marker, len(before))
            for watch in self._watches:
                done, end = link.progress[id(watch)], 0
                while done < len(watch.steps) and watch.steps[done][0] == direction:
                    at = _first_fresh(seen, watch.steps[done][1], max(end, 0), len(before))
                    if at < 0:
                        break
                    end, done = at, done + 1
                if done == len(watch.steps):
                    done = 0
                    if watch.skip:
                        watch.skip -= 1
                    else:
                        found.append(watch)
                link.progress[id(watch)] = done
            for watch in found:
                self._watches.remove(watch)
        for watch in found:
            try:
                goes_on = watch.act(link.near_port)
            except BaseException as error:  # noqa: BLE001  handed to whoever waits
                watch.error, goes_on = error, False
            watch.struck.set()
            if not goes_on:
                raise Torn

    # --- the machinery ---

    def _serve(self) -> None:
        self._thread = threading.Thread(target=self._accept, args=(self._server,), daemon=True)
        self._thread.start()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                near, address = server.accept()
            except OSError:
                return
            link = _Link(self, near, address[1])
            with self._lock:
                self._links.add(link)
            threading.Thread(target=link.run, daemon=True).start()

    def forget(self, link: _Link) -> None:
        """A connection is over."""
        with self._lock:
            self._links.discard(link)

    def _end_server(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join(10)

    def close(self) -> None:
        """End the line and every connection through it."""
        self.open.set()
        self._end_server()
        self.cut()


def _fresh(seen: bytes, marker: bytes, old: int) -> int:
    """How often `marker` ends after the first `old` bytes, which were looked at before."""
    count, at = 0, -1
    while (at := seen.find(marker, at + 1)) >= 0:
        count += at + len(marker) > old
    return count


def _first_fresh(seen: bytes, marker: bytes, start: int, old: int) -> int:
    """Where the first `marker` from `start` on ends that was not complete before; -1 if there is none."""
    at = start - 1
    while (at := seen.find(marker, at + 1)) >= 0:
        if at + len(marker) > old:
            return at + len(marker)
    return -1
