"""Media comes in parts, over as many visits as it takes, from a media host that may do anything but what it should."""

import hashlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from django.conf import settings as django_settings
from django.core.files.storage import storages
from django.db import connection, connections
from django.utils import timezone
from kombu import Connection

from calls import journal
from calls.models import CallLog, DueCall, JournalSource, Recording
from calls.reconcile import media as module
from calls.reconcile.ask import check_call
from calls.reconcile.media import store_recordings
from calls.reconcile.parts import Joined
from crm import tenancy, wake
from crm.celery import app
from integrations.models import TwilioAccount
from integrations.twilio import media
from tests.calls.driving import apply, due, let_pass, send_callback
from tests.calls.test_reconcile import live_calls
from tests.calls.test_webhooks import somebody_waits_for_a_lock
from tests.conftest import eventually, read_call

ROOT = Path(__file__).parents[2]
ROUNDS = int(os.environ.get("MEDIA_ROUNDS", "5"))  # how many recordings are fetched from a host with random whims
SEED = int(os.environ.get("MEDIA_SEED", "0")) or random.SystemRandom().randrange(1, 2**32)
BLOCK = 1 << 20
_pattern = b"".join(hashlib.sha512(n.to_bytes(4, "big")).digest() for n in range(BLOCK // 64))


def sound(size: int, first: int = 0) -> Iterator[bytes]:
    """`size` bytes from `first` on, no two places of which are alike; at most a block in memory."""
    place, end = first, size
    while place < end:
        number, offset = divmod(place, BLOCK)
        block = number.to_bytes(8, "big") + _pattern[8:]
        piece = block[offset : min(BLOCK, offset + end - place)]
        yield piece
        place += len(piece)


class Host(ThreadingHTTPServer):
    """A media host: as it should be until a test sets something else."""

    daemon_threads = True

    def __init__(self) -> None:
        self.size = 300_000
        self.salt = 0  # other media differ in it
        self.version: dict[str, str] = {"ETag": '"one"'}
        self.ranges = True
        self.heeds_if_range = True
        self.length: int | None = None  # what it says, if that is not true
        self.framing = "length"  # or "chunked", or "close"
        self.cut_after: int | None = None  # bytes of a body
        self.stalls_after: int | None = None
        self.drips: tuple[int, float] | None = None  # bytes at a time, and the pause after them
        self.statuses: Iterator[int] = iter(())  # answered before anything else
        self.retry_after: int | None = None  # and said with them
        self.seen: list[dict[str, str]] = []
        self.sent: list[int] = []
        self.open = threading.Event()  # ends what stalls
        super().__init__(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server_port}"

    def asked(self) -> list[str | None]:
        """The ranges that were asked for."""
        return [seen.get("range") for seen in self.seen]

    def body(self, first: int = 0) -> Iterator[bytes]:
        """The media from `first` on."""
        for piece in sound(self.size, first):
            yield piece.translate(bytes(byte ^ self.salt for byte in range(256))) if self.salt else piece

    def digest(self) -> str:
        """SHA-256 of the media."""
        whole = hashlib.sha256()
        for piece in self.body():
            whole.update(piece)
        return whole.hexdigest()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are no error here."""

    def stop(self) -> None:
        """Let go of whoever waits, and end."""
        self.open.set()
        self.shutdown()
        self.thread.join()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request for media."""

    server: Host
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer as the host was told to."""
        host = self.server
        headers = {name.lower(): value for name, value in self.headers.items()}
        host.seen.append(headers)
        number = len(host.sent)
        host.sent.append(0)
        self.close_connection = True
        if status := next(host.statuses, None):
            self.send_response(status)
            self.send_header("Content-Length", "0")
            if host.retry_after is not None:
                self.send_header("Retry-After", str(host.retry_after))
            self.end_headers()
            return
        version = next(iter(host.version.values()), None)
        asked = headers.get("range") if host.ranges else None
        if host.heeds_if_range and headers.get("if-range", version) != version:
            asked = None
        first = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if first >= host.size:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{host.size}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {first}-{host.size - 1}/{host.length or host.size}")
        for name, value in host.version.items():
            self.send_header(name, value)
        if host.framing == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif host.framing == "length":
            self.send_header("Content-Length", str((host.length or host.size) - first))
        self.end_headers()
        with suppress(OSError):
            self._send(first, number)

    def _send(self, first: int, number: int) -> None:
        host = self.server
        cut_after, stalls_after = host.cut_after, host.stalls_after
        for piece in host.body(first):
            while piece:
                ends = [len(piece)] if host.drips is None else [host.drips[0]]
                ends += [most - host.sent[number] for most in (cut_after, stalls_after) if most is not None]
                now, piece = piece[: min(ends)], piece[min(ends) :]
                if now:
                    framed = b"%x\r\n%s\r\n" % (len(now), now) if host.framing == "chunked" else now
                    self.wfile.write(framed)
                    host.sent[number] += len(now)
                if host.sent[number] == cut_after:
                    return
                if host.sent[number] == stalls_after:
                    host.open.wait(30)
                    stalls_after = None
                if host.drips:
                    host.open.wait(host.drips[1])
                    self._refuse_the_gone()
        if host.framing == "chunked":
            self.wfile.write(b"0\r\n\r\n")

    def _refuse_the_gone(self) -> None:
        """Raise OSError when whoever asked has closed the line."""
        with suppress(BlockingIOError):
            if not self.connection.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK):
                raise BrokenPipeError

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def host(settings: Any) -> Iterator[Host]:
    """Twilio's media, for this process."""
    one = Host()
    settings.TWILIO_API_BASE_URL = one.url
    try:
        yield one
    finally:
        one.stop()


class Owed:
    """A call that is over, and whose recording we do not have yet."""

    def __init__(self, count: int = 1) -> None:
        ((self.company, self.call_id),) = live_calls(1)
        sid, child = "CA" + uuid4().hex, "CA" + uuid4().hex
        agent = {"CallSid": sid}
        contact = {"CallSid": child, "ParentCallSid": sid, "CallStatus": "completed", "CallDuration": "20"}
        action = {"CallStatus": "in-progress", "DialCallStatus": "completed", "DialBridged": "true"}
        action |= {"DialCallSid": child, "DialCallDuration": "20"}
        done = {"RecordingStatus": "completed", "RecordingDuration": "20", "RecordingChannels": "2"}
        facts = [
            ("key", agent | {"CallStatus": "in-progress", "Digits": "1"}),
            ("contact", contact | {"CallStatus": "in-progress", "Timestamp": format_datetime(timezone.now())}),
            ("contact", contact),
            ("dial", agent | action),
            ("agent", agent | {"CallStatus": "completed", "CallDuration": "30"}),
            *[("recording", agent | done | {"RecordingSid": "RE" + uuid4().hex}) for _ in range(count)],
        ]
        for kind, said in facts:
            assert send_callback(self.company, self.call_id, kind, said).status_code in (200, 204)
        with tenancy.inside(self.company.id):  # all is known but the media: nothing else is asked for
            call = CallLog.objects.get(pk=self.call_id)
            for role, leg in (("agent", sid), ("contact", child)):
                price = {"sid": leg, "price": "-0.01", "price_unit": "USD"}
                journal.record(call, JournalSource.POLL, f"{role} price", price)
        assert apply(self.company, self.call_id).status == "completed"

    def visit(self) -> None:
        """Do what a worker does whose turn it is."""
        store_recordings(self.company.id, self.call_id)

    def look(self) -> None:
        """Do what a worker does that finds the call on the sweeper's list."""
        check_call(self.company.id, self.call_id)

    def wait(self, most: timedelta) -> int:
        """Let the sweeper work for so long, which passes at once; return how often it looked."""
        passed, looks = timedelta(0), 0
        while (note := due(self.call_id)) is not None and note.due_at is not None:
            wait = max(timedelta(0), note.due_at - timezone.now())
            if passed + wait > most:
                let_pass(self.company, self.call_id, (most - passed).total_seconds())
                break
            let_pass(self.company, self.call_id, wait.total_seconds())
            passed, looks = passed + wait, looks + 1
            self.look()
        return looks

    @property
    def rows(self) -> list[Recording]:
        """Its recordings as they stand."""
        with tenancy.inside(self.company.id):
            return list(Recording.objects.filter(call_id=self.call_id).order_by("id"))

    @property
    def row(self) -> Recording:
        """Its recording as it stands."""
        (one,) = self.rows
        return one

    @property
    def kept(self) -> int:
        """How many bytes its parts have."""
        return sum(size for _, size in self.row.media_parts)

    @property
    def note(self) -> DueCall:
        """The sweeper's note of it."""
        note = due(self.call_id)
        assert note is not None
        return note

    def files(self) -> list[str]:
        """Every file of it in our storage."""
        storage, found = storages["recordings"], []
        folder = f"{self.company.id}/{self.call_id}"
        with suppress(FileNotFoundError):
            for one in storage.listdir(folder)[0]:
                found += [f"{folder}/{one}/{name}" for name in storage.listdir(f"{folder}/{one}")[1]]
        return sorted(found)

    def hold_parts(self) -> None:
        """Nothing can be played yet, and our storage has just the parts that the row names."""
        one = self.row
        assert (one.stored_at, one.media_name, one.media_sha256) == (None, "", "")
        assert read_call(self.company, self.call_id).recording_url is None
        assert self.files() == sorted(name for name, _ in one.media_parts)
        assert [storages["recordings"].size(name) for name, _ in one.media_parts] == [n for _, n in one.media_parts]

    def hold_whole(self, host: Host) -> None:
        """The row names one file, which is the host's media, and there is no other."""
        one, digest, size = self.row, hashlib.sha256(), 0
        assert one.stored_at is not None
        assert (self.files(), one.media_parts) == ([one.media_name], [])
        with storages["recordings"].open(one.media_name, "rb") as stored:
            for piece in stored.chunks():
                digest.update(piece)
                size += len(piece)
        assert (one.media_bytes, one.media_sha256) == (size, digest.hexdigest()) == (host.size, host.digest())
        assert read_call(self.company, self.call_id).recording_url
        assert due(self.call_id) is None


@pytest.fixture
def owed(host: Host) -> Owed:
    """One recording that is owed; our time-outs and parts are smaller than in production, and nothing else is."""
    return Owed()


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts of 64 KiB instead of 4 MiB."""
    monkeypatch.setattr(module, "PART_BYTES", 64 * 1024)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second per visit instead of 20, and 0.3 s of silence instead of 5."""
    monkeypatch.setattr(module, "VISIT_SECONDS", 0.5)
    monkeypatch.setattr(media, "READ_SECONDS", 0.3)


# --- resumed ---


VERSIONS = [
    ({"ETag": '"one"', "Last-Modified": "Mon, 04 May 2026 12:00:00 GMT"}, '"one"'),
    ({"Last-Modified": "Mon, 04 May 2026 12:00:00 GMT"}, "Mon, 04 May 2026 12:00:00 GMT"),
    ({"ETag": 'W/"one"'}, None),
    ({"ETag": '"' + "x" * 300 + '"'}, None),
    ({}, None),
]


@pytest.mark.parametrize(("version", "if_range"), VERSIONS, ids=["etag", "date", "weak", "too long", "neither"])
def test_what_was_cut_is_continued_and_no_byte_is_asked_for_twice(
    host: Host, owed: Owed, version: dict[str, str], if_range: str | None
) -> None:
    host.version, host.cut_after = version, 70_000
    for kept in (70_000, 140_000, 210_000, 280_000):
        owed.visit()
        assert owed.kept == kept
        owed.hold_parts()
        assert (owed.row.media_total, owed.row.media_version) == (host.size, if_range or "")
        assert owed.note.asked == 0, "A visit that got further is not in vain,"
        wait = owed.note.due_at - timezone.now()
        assert timedelta(0) < wait <= timedelta(seconds=1), "but a line that breaks is not asked in a circle."
    owed.visit()
    owed.hold_whole(host)
    assert host.asked() == [None, *[f"bytes={kept}-" for kept in (70_000, 140_000, 210_000, 280_000)]]
    assert {seen.get("if-range") for seen in host.seen[1:]} == {if_range}
    assert sum(host.sent) == host.size


def test_a_visit_in_vain_between_two_others_costs_nothing_but_time(host: Host, owed: Owed) -> None:
    host.cut_after, host.statuses = 100_000, iter([404, 0, 404, 503, 404, 0, 429])
    for expected in ((0, 1), (100_000, 0), (100_000, 1), (100_000, 2), (100_000, 3), (200_000, 0), (200_000, 1)):
        owed.visit()
        assert (owed.kept, owed.note.asked) == expected
        owed.hold_parts()
    owed.visit()
    owed.hold_whole(host)


def test_any_storage_of_djangos_will_do(host: Host, settings: Any, small_parts: None) -> None:
    """Nothing but save, open, size, delete and listdir: here, one that has no folder on a disk."""
    memory = {"BACKEND": "django.core.files.storage.InMemoryStorage"}
    settings.STORAGES = django_settings.STORAGES | {"recordings": memory}
    owed = Owed()
    host.cut_after = 200_000
    owed.visit()
    owed.hold_parts()
    assert all(65_536 <= size < 131_072 for _, size in owed.row.media_parts[:-1])
    owed.visit()
    owed.hold_whole(host)


def test_joined_parts_read_like_one_file_from_any_place(host: Host, owed: Owed, small_parts: None) -> None:
    """Storages measure what they are given, read it in their own pieces, and some begin again."""
    host.cut_after = host.size - 1
    owed.visit()
    whole = b"".join(host.body())[:-1]
    with Joined(storages["recordings"], owed.row.media_parts) as joined:
        assert joined.seek(0, 2) == joined.tell() == joined.size == len(whole)
        assert joined.read(10) == b""
        for place, length in ((0, 10), (65_530, 100), (len(whole) - 3, 100), (65_536, 65_536), (5, 0), (7, 300_000)):
            joined.seek(place)
            found = joined.read(length)
            assert whole[place : place + length].startswith(found)
            assert bool(found) == bool(length)
        joined.seek(0)
        assert joined.readall() == whole
        joined.seek(100)
        assert joined.readall() == whole[100:]
        assert (joined.digested, joined.digest.digest()) == (len(whole), hashlib.sha256(whole).digest())


# --- slow ---


def test_a_visit_ends_when_its_time_is_over_and_the_next_is_due_at_once(host: Host, owed: Owed, hasty: None) -> None:
    host.drips = (1000, 0.05)
    assert wake.flush(5)
    with Connection(app.conf.broker_url) as reader, reader.SimpleQueue("twilio") as queue:
        queue.clear()  # what earlier tests would have asked
        began = time.monotonic()
        owed.visit()
        took = time.monotonic() - began
        assert wake.flush(5)
        message = queue.get(timeout=5)
        message.ack()
        assert message.headers["task"] == "calls.look"
    assert 0.5 <= took < 5, "A whole chunk of 64 KiB would have taken longer than three seconds."
    assert 0 < owed.kept < 15_000
    owed.hold_parts()
    assert (owed.note.asked, owed.note.due_at <= timezone.now()) == (0, True)
    kept = owed.kept
    owed.visit()
    assert owed.kept > kept
    host.drips = None
    owed.visit()
    owed.hold_whole(host)


@pytest.mark.parametrize("after", [0, 5000])
def test_a_line_that_falls_silent_is_left(host: Host, owed: Owed, hasty: None, after: int) -> None:
    host.stalls_after = after
    began = time.monotonic()
    owed.visit()
    assert time.monotonic() - began < 5
    assert (owed.kept, owed.note.asked) == (after, 0 if after else 1)
    owed.hold_parts()
    host.stalls_after = None
    owed.visit()
    owed.hold_whole(host)
    assert host.asked() == [None, f"bytes={after}-" if after else None]


def test_a_slow_recording_takes_no_more_than_its_share_of_a_visit(host: Host, hasty: None) -> None:
    owed = Owed(count=3)
    host.drips = (1000, 0.02)
    began = time.monotonic()
    owed.visit()
    assert time.monotonic() - began < 5
    assert [bool(row.media_parts) for row in owed.rows] == [True] * 3


# --- starting over ---


def test_a_host_that_knows_no_ranges_sends_it_all_again(host: Host, owed: Owed, small_parts: None) -> None:
    host.ranges, host.cut_after = False, 200_000
    owed.visit()
    owed.hold_parts()
    assert (owed.kept, owed.note.asked) == (200_000, 0)
    for vain in (1, 2):
        owed.visit()
        owed.hold_parts()
        assert (owed.kept, owed.note.asked) == (200_000, vain), "Not one byte further: the next visit comes later."
    host.cut_after = None
    owed.visit()
    owed.hold_whole(host)


CHANGES: dict[str, Callable[[Host], Any]] = {
    "another etag": lambda host: host.version.update(ETag='"two"'),
    "another etag, If-Range not heeded": lambda host: (
        host.version.update(ETag='"two"'),
        setattr(host, "heeds_if_range", False),
    ),
    "longer": lambda host: (host.version.clear(), setattr(host, "size", 310_000)),
    "shorter": lambda host: (host.version.clear(), setattr(host, "size", 250_000)),
    "shorter than what we have": lambda host: (host.version.clear(), setattr(host, "size", 90_000)),
    "as long as what we have": lambda host: (host.version.clear(), setattr(host, "size", 100_000)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_media_that_has_changed_is_fetched_from_the_beginning(host: Host, owed: Owed, change: str) -> None:
    host.cut_after = 100_000
    owed.visit()
    assert owed.kept == 100_000
    host.salt, host.cut_after = 1, None
    CHANGES[change](host)
    owed.visit()
    owed.hold_whole(host)
    assert host.asked()[:2] == [None, "bytes=100000-"]


def test_a_host_whose_media_changes_each_time_is_asked_less_and_less(host: Host, owed: Owed) -> None:
    host.cut_after = 100_000
    for number in range(4):
        host.version["ETag"] = f'"{number}"'
        owed.visit()
        assert (owed.kept, owed.note.asked) == (100_000, number)
        owed.hold_parts()


def test_a_part_that_our_storage_has_lost_is_fetched_again(host: Host, owed: Owed, small_parts: None) -> None:
    for lose in (lambda name: storages["recordings"].delete(name), lambda name: cut_file(name)):
        host.cut_after = 200_000
        owed.visit()
        lose(owed.row.media_parts[1][0])
        host.cut_after = None
        owed.visit()
        assert (owed.row.stored_at, owed.row.media_parts, owed.note.asked) == (None, [], 1)
    owed.visit()
    owed.hold_whole(host)


def cut_file(name: str) -> None:
    """Take the last byte of a stored file."""
    path = Path(storages["recordings"].path(name))
    path.write_bytes(path.read_bytes()[:-1])


# --- never whole ---


@pytest.mark.parametrize("length", [300_001, 10**12, 10**17])
def test_media_shorter_than_its_length_is_never_stored(host: Host, owed: Owed, length: int) -> None:
    host.length = length
    for _ in range(4):
        owed.visit()
        owed.hold_parts()
    assert owed.note.asked >= 1, "It is asked for less and less."


@pytest.mark.parametrize(
    "broken",
    [
        "Content-Length: 0",
        "Content-Encoding: gzip",
        "Content-Type: text/html; charset=utf-8",
        "Content-Type: Application/JSON",
        "Content-Type: application/xml",
        "Content-Type: application/xhtml+xml",
    ],
)
def test_no_bytes_or_coded_ones_or_a_page_are_no_media(host: Host, owed: Owed, broken: str) -> None:
    name, _, value = broken.partition(": ")
    if name == "Content-Length":
        host.statuses = iter([200, 200])
    else:
        host.version = {name: value}
    for vain in (1, 2):
        owed.visit()
        assert (owed.files(), owed.kept, owed.note.asked) == ([], 0, vain)


def test_media_without_a_length_is_whole_when_its_last_chunk_has_come(host: Host, owed: Owed) -> None:
    host.framing, host.cut_after = "chunked", 100_000
    owed.visit()
    assert (owed.kept, owed.row.media_total) == (100_000, None)
    owed.hold_parts()
    host.cut_after = None
    owed.visit()
    owed.hold_whole(host)
    assert host.asked() == [None, "bytes=100000-"]


def test_media_whose_end_cannot_be_told_from_a_cut_is_never_whole(host: Host, owed: Owed) -> None:
    host.framing = "close"
    owed.visit()
    owed.hold_parts()
    assert owed.kept == host.size
    host.framing = "length"
    owed.visit()
    owed.hold_whole(host)


# --- refused ---


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What the operator is told."""
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_media_refused_over_a_long_weekend_comes_home_once_the_credentials_are_mended(
    host: Host, owed: Owed, caplog: pytest.LogCaptureFixture
) -> None:
    host.statuses = itertools.repeat(401)
    looks = owed.wait(timedelta(days=3, hours=12))
    assert len(host.seen) == looks <= 100
    assert owed.row.stored_at is None
    host.statuses = iter(())
    assert owed.wait(timedelta(hours=4)) == 1
    owed.hold_whole(host)
    assert errors(caplog) == []


def test_media_that_never_comes_is_given_up_after_a_month_and_somebody_is_told(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    owed = Owed(count=2)
    host.statuses = itertools.repeat(404)
    owed.wait(timedelta(minutes=20))
    let_pass(owed.company, owed.call_id, timedelta(days=30).total_seconds())
    asked = len(host.seen)
    assert asked >= 20
    assert errors(caplog) == []
    owed.look()
    assert len(host.seen) == asked
    assert due(owed.call_id) is None
    told = errors(caplog)
    assert len(told) == 2
    for recording in owed.rows:
        assert [str(owed.call_id) in one for one in told if recording.recording_sid in one] == [True]


def test_media_that_is_heard_of_after_a_month_is_fetched_although_it_is_not_there_at_first(
    host: Host, owed: Owed, caplog: pytest.LogCaptureFixture
) -> None:
    """As when a dead letter is replayed: what it tells is old, and new to us."""
    let_pass(owed.company, owed.call_id, timedelta(days=40).total_seconds())
    host.statuses = iter([404, 401, 503])
    assert owed.wait(timedelta(minutes=1)) == 4
    owed.hold_whole(host)
    assert errors(caplog) == []


def test_an_organization_without_twilio_is_looked_at_less_and_less(host: Host, owed: Owed) -> None:
    with tenancy.inside(owed.company.id):
        TwilioAccount.objects.all().delete()
    for vain in (1, 2, 3):
        owed.look()
        assert owed.note.asked == vain
        assert owed.note.due_at > timezone.now() + timedelta(seconds=2**vain - 1)
    assert host.seen == []


@pytest.mark.parametrize(("said", "heeded"), [(1800, 1800), (10**6, 3600)], ids=["half an hour", "days"])
def test_a_429_that_says_how_long_to_wait_leaves_the_calls_media_alone(host: Host, said: int, heeded: int) -> None:
    owed = Owed(count=3)
    host.statuses, host.retry_after = itertools.repeat(429), said
    owed.look()
    assert len(host.seen) == 1, "No other recording of the call is asked for."
    assert owed.note.asked == 1
    assert heeded - 10 <= (owed.note.due_at - timezone.now()).total_seconds() <= heeded
    host.statuses = iter(())
    assert owed.wait(timedelta(seconds=heeded - 20)) == 0
    assert owed.wait(timedelta(seconds=21)) == 1
    assert [row.stored_at is not None for row in owed.rows] == [True] * 3
    assert due(owed.call_id) is None


def test_a_429_is_heeded_although_another_recording_got_further(host: Host, hasty: None) -> None:
    owed = Owed(count=2)
    host.drips, host.retry_after = (1000, 0.05), 900
    host.statuses = iter([0, 429])
    owed.look()
    assert sorted(bool(row.media_parts) for row in owed.rows) == [False, True]
    assert owed.note.asked == 0
    assert 890 <= (owed.note.due_at - timezone.now()).total_seconds() <= 900


@pytest.mark.parametrize("said", [None, 0])
def test_a_429_that_does_not_say_how_long_to_wait_is_like_any_other_refusal(
    host: Host, owed: Owed, said: int | None
) -> None:
    host.statuses, host.retry_after = iter([429]), said
    owed.look()
    assert timedelta(0) < owed.note.due_at - timezone.now() <= timedelta(seconds=2)


def test_only_a_429_is_taken_at_its_word(host: Host, owed: Owed) -> None:
    host.statuses, host.retry_after = iter([503]), 1800
    owed.look()
    assert timedelta(0) < owed.note.due_at - timezone.now() <= timedelta(seconds=2)


# --- large, many, killed ---


def test_media_larger_than_memory_needs_no_more_than_a_few_parts_of_it(host: Host, owed: Owed) -> None:
    """64 MiB, 35 minutes of two channels, in parts of 4 MiB as in production: at most four of them at a time."""
    host.size, host.cut_after = 64 * BLOCK, 40 * BLOCK
    tracemalloc.start()
    try:
        owed.visit()
        owed.visit()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 4 * module.PART_BYTES
    owed.hold_whole(host)


def together(count: int, work: Callable[[], None]) -> None:
    """Run `work` in so many threads at once; raise what one of them raised."""
    barrier, raised = threading.Barrier(count), []

    def run() -> None:
        try:
            barrier.wait(10)
            work()
        except BaseException as error:  # noqa: BLE001  handed to the test
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert raised == []


@pytest.mark.parametrize("from_the", ["beginning", "middle", "end"])
def test_workers_on_the_same_recording_leave_one_whole_file(
    host: Host, owed: Owed, small_parts: None, from_the: str
) -> None:
    """Whoever is overtaken stops, so one of them gets to the end; at the end, they join the same parts."""
    host.size = 1_000_000
    if from_the == "middle":
        host.cut_after = 300_000
        owed.visit()
        host.cut_after = None
    elif from_the == "end":
        host.drips, host.cut_after = None, 999_999
        owed.visit()
        host.cut_after = None
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "VISIT_SECONDS", 1e-9)
            owed.visit()
    together(4, owed.visit)
    owed.hold_whole(host)


@pytest.mark.parametrize("cut_after", [None, 100_000])
def test_media_that_changes_between_two_workers_is_not_mixed(
    host: Host, owed: Owed, small_parts: None, cut_after: int | None
) -> None:
    """The second one starts over, so the parts of the first are gone; the first must not bring them back."""
    host.stalls_after = 200_000
    slow = threading.Thread(target=together, args=(1, owed.visit))
    slow.start()
    eventually(lambda: owed.kept >= 131_072)
    host.stalls_after, host.salt, host.version, host.cut_after = None, 1, {"ETag": '"two"'}, cut_after
    owed.visit()
    host.open.set()
    slow.join(20)
    if cut_after:
        owed.hold_parts()
        assert (owed.kept, owed.row.media_version) == (cut_after, '"two"')
        host.cut_after = None
        owed.visit()
    owed.hold_whole(host)


def test_a_fact_that_is_applied_while_a_part_comes_takes_nothing_of_it_back(host: Host, owed: Owed) -> None:
    """Whoever applies it has read the recording's row before the part was noted, and writes it afterwards."""
    host.cut_after = 100_000
    owed.visit()
    one, sid = owed.row, str(read_call(owed.company, owed.call_id).call_sid)
    said = {"CallSid": sid, "RecordingSid": one.recording_sid, "RecordingStatus": "completed"}
    assert send_callback(owed.company, owed.call_id, "recording", said | {"RecordingDuration": "21"}).status_code == 204
    parts = [*one.media_parts, ["another.part", 5]]
    slow = threading.Thread(target=together, args=(1, lambda: apply(owed.company, owed.call_id)))
    with tenancy.inside(owed.company.id):
        Recording.objects.filter(pk=one.pk).update(media_parts=parts, media_furthest=100_005)
        slow.start()
        eventually(somebody_waits_for_a_lock, what="the fact waits for the row")
    slow.join(20)
    after = owed.row
    assert (after.duration_seconds, after.media_parts, after.media_furthest) == (21, parts, 100_005)


WORKER = """
import sys, django
django.setup()
from uuid import UUID
from calls.reconcile import media
media.PART_BYTES = 65536
media.store_recordings(UUID(sys.argv[1]), UUID(sys.argv[2]))
"""


@pytest.mark.parametrize("at", ["a part", "the last byte"])
def test_a_worker_that_is_killed_loses_its_last_part_at_most(host: Host, owed: Owed, at: str, tmp_path: Path) -> None:
    """By SIGKILL, while the host waits in the middle of the media."""
    host.stalls_after = 200_000 if at == "a part" else host.size - 1
    database, name = os.environ["DATABASE_URL"].rpartition("/")[0], connections["default"].settings_dict["NAME"]
    environment = os.environ | {
        "DATABASE_URL": f"{database}/{name}",
        "TWILIO_API_BASE_URL": host.url,
        "PUBLIC_BASE_URL": django_settings.PUBLIC_BASE_URL,
        "DJANGO_SETTINGS_MODULE": "crm.settings",
    }
    command = [sys.executable, "-c", WORKER, str(owed.company.id), str(owed.call_id)]
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        before = host.stalls_after - 65_536
        eventually(lambda: owed.kept > before or worker.poll() is not None, seconds=40, what="all parts but the last")
        assert worker.poll() is None, (tmp_path / "log").read_text()
    finally:
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    kept = owed.kept
    assert before < kept <= host.stalls_after
    owed.hold_parts()
    host.stalls_after = None
    owed.visit()
    owed.hold_whole(host)
    assert host.asked() == [None, f"bytes={kept}-"]


def test_what_nobody_names_is_removed_with_the_parts(host: Host, owed: Owed) -> None:
    """What a worker leaves that is killed after it wrote a file, and before the row could name it."""
    host.cut_after = 100_000
    owed.visit()
    folder = f"{owed.company.id}/{owed.call_id}/{owed.row.pk}"
    for name in ("100000-dead.part", "dead.wav"):
        path = Path(storages["recordings"].path(f"{folder}/{name}"))
        path.write_bytes(b"RIFF half of it")
    host.cut_after = None
    owed.visit()
    owed.hold_whole(host)


def test_a_part_that_was_cut_where_only_the_lines_end_ends_it_is_not_the_end(host: Host, small_parts: None) -> None:
    owed = Owed()
    for host.framing, host.cut_after in (("chunked", 20_000), ("close", 70_000)):
        owed.visit()
        assert owed.row.stored_at is None
    host.framing, host.cut_after = "length", None
    owed.visit()
    owed.hold_whole(host)


def test_random_cuts_and_whims_of_the_host_end_in_the_same_file(host: Host, small_parts: None) -> None:
    """Forty visits at most, each with another trouble; the last ones without."""
    chance = random.Random(SEED)
    for _ in range(ROUNDS):
        owed = Owed()
        host.size = chance.randrange(1, 600_000)
        for number in itertools.count():
            calm = number > 12
            host.cut_after = None if calm else chance.choice([None, chance.randrange(host.size + 1)])
            host.ranges = calm or chance.random() < 0.8
            host.heeds_if_range = chance.random() < 0.8
            host.framing = "length" if calm else chance.choice(["length", "length", "chunked", "close"])
            host.statuses = iter([] if calm else [chance.choice([0, 0, 0, 404, 500, 429, 403])])
            if chance.random() < 0.1:
                host.salt += 1
                host.version = {"ETag": f'"{host.salt}"'}
            owed.visit()
            if owed.row.stored_at:
                break
            owed.hold_parts()
            assert number < 40, f"seed {SEED}"
        owed.hold_whole(host)
