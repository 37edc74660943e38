"""Recordings come home whole or not at all, whatever happens on the way, and nobody has to be told of them."""

import hashlib
import io
import itertools
import socket
import struct
import threading
import wave
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import pytest
from django.core.files.storage import storages
from django.db import connection

from calls.models import DueCall, Recording
from calls.reconcile.media import store_recordings
from crm import tenancy
from integrations.access import credentials
from integrations.twilio.errors import TwilioUnconfirmed
from integrations.twilio.media import recording_media
from tests.calls.driving import apply, check, due, let_pass, over_at_twilio, send_callback
from tests.calls.test_reconcile import dropped, live_calls, rest
from tests.conftest import Company, World, eventually, make_company, read_call

pytestmark = pytest.mark.stack
RATE = 8000  # the simulator's recordings: 8 kHz, 16 bits


def recordings(company: Company, call_id: UUID) -> list[Recording]:
    with tenancy.inside(company.id):
        return list(Recording.objects.filter(call_id=call_id).order_by("id"))


def recording(company: Company, call_id: UUID) -> Recording:
    (one,) = recordings(company, call_id)
    return one


def files(company: Company, call_id: UUID) -> list[str]:
    """Every file of a call in our storage."""
    root = Path(storages["recordings"].path(f"{company.id}/{call_id}"))
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def media(one: Recording) -> bytes:
    with storages["recordings"].open(one.media_name, "rb") as stored:
        return bytes(stored.read())


def talked(world: World, company: Company, seconds: float = 6) -> UUID:
    """A call that was talked, and is over at Twilio with its recording; nothing of it is applied."""
    world.twilio.phone(company.contact_number, does="answer", after=1, talk=seconds)
    call_id = world.call(company)
    over_at_twilio(company, world)
    return call_id


def hold_whole(one: Recording, company: Company, call_id: UUID) -> None:
    """The row and the file agree, and the file is the only one."""
    body = media(one)
    assert (one.media_bytes, one.media_sha256) == (len(body), hashlib.sha256(body).hexdigest())
    with wave.open(io.BytesIO(body)) as sound:
        assert (sound.getnchannels(), sound.getframerate()) == (2, RATE)
        assert sound.getnframes() == RATE * (one.duration_seconds or 0) > 0
    assert len(files(company, call_id)) == 1


def test_media_is_stored_whole_with_both_channels_and_its_digest(quiet: World, company: Company) -> None:
    call_id = talked(quiet, company)
    row = check(company, call_id)
    one = recording(company, call_id)
    hold_whole(one, company, call_id)
    assert (one.status, one.channels, one.stored_at is not None) == ("completed", 2, True)
    assert (row.recording_sid, row.recording_duration) == (one.recording_sid, one.duration_seconds)
    assert row.recording_url == f"/api/v1/recordings/{one.pk}/audio"
    assert "twilio" not in row.recording_url
    assert due(call_id) is None


@pytest.mark.parametrize(
    "fault",
    [
        {"do": "status", "status": 404, "code": 20404},
        {"do": "error-500"},
        {"do": "cut-before"},
        {"do": "refuse-429"},
    ],
    ids=["not there yet", "error", "cut", "too many"],
)
def test_media_that_does_not_come_is_owed_and_fetched_later(
    quiet: World, company: Company, fault: dict[str, Any]
) -> None:
    quiet.twilio.faults(rest(company, "media", times=2, **fault))
    call_id = talked(quiet, company)
    for failed in (1, 2):
        row = check(company, call_id)
        assert (row.status, row.recording_url) == ("completed", None)
        assert recording(company, call_id).stored_at is None
        assert files(company, call_id) == []
        note = due(call_id)
        assert note is not None
        assert note.asked == failed, "the next attempt waits longer"
        let_pass(company, call_id, 3)
    assert check(company, call_id).recording_url
    hold_whole(recording(company, call_id), company, call_id)
    assert due(call_id) is None


class Cable:
    """A TCP line to the simulated Twilio that breaks after so many bytes of an answer, now and then."""

    def __init__(self, url: str) -> None:
        self.target = (urlsplit(url).hostname or "", urlsplit(url).port or 0)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}"
        self.cut_after: int | None = None  # bytes of the answer; None lets everything through
        self.politely = True  # with FIN, or else with a reset
        self.asked: list[bytes] = []  # the requests, as they were sent
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self.server.accept()
            except OSError:
                return
            with near, socket.create_connection(self.target) as far:
                self.asked.append(b"")
                upward = threading.Thread(target=self._pump, args=(near, far, None), daemon=True)
                upward.start()
                self._pump(far, near, self.cut_after)
                if self.cut_after is not None and not self.politely:
                    near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close() resets
                for end in (near, far):
                    with suppress(OSError):
                        end.shutdown(socket.SHUT_RD)
                upward.join(10)

    def _pump(self, source: socket.socket, sink: socket.socket, most: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while data := source.recv(65536):
                if sink.getpeername() == self.target:
                    self.asked[-1] += data
                let_through = data if most is None else data[: max(0, most - passed)]
                sink.sendall(let_through)
                passed += len(let_through)
                if len(let_through) < len(data):
                    return
            sink.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self.server.shutdown(socket.SHUT_RDWR)
        self.server.close()
        self.thread.join(10)


@pytest.fixture
def cable(quiet: World, settings: Any) -> Iterator[Cable]:
    """This process asks Twilio over a line that can break."""
    line = Cable(settings.TWILIO_API_BASE_URL)
    settings.TWILIO_API_BASE_URL = line.url
    try:
        yield line
    finally:
        line.close()


@pytest.fixture(params=["full", "range"])
def media_range(request: pytest.FixtureRequest, quiet: World) -> Iterator[str]:
    """Whether Twilio's media answers `Range`: nobody has written it down, so both."""
    quiet.twilio.ask("PUT", "switches", {"media_range": request.param})
    yield request.param
    quiet.twilio.ask("PUT", "switches", {"media_range": "full"})


@pytest.mark.parametrize("politely", [True, False], ids=["closed", "reset"])
@pytest.mark.parametrize("cut_after", [600, 20_000, 100_000])
def test_a_body_that_breaks_off_is_continued_or_fetched_again(
    quiet: World, company: Company, cable: Cable, media_range: str, politely: bool, cut_after: int
) -> None:
    """With fewer bytes than Content-Length said: 6 s of two channels are 192,044 bytes."""
    call_id = talked(quiet, company)
    assert apply(company, call_id).status == "completed"
    cable.cut_after, cable.politely = cut_after, politely
    store_recordings(company.id, call_id)
    one = recording(company, call_id)
    kept = sum(size for _, size in one.media_parts)
    assert kept < cut_after
    assert politely or cut_after == 600 or kept  # a reset may overtake what was sent just before
    assert (one.stored_at, one.media_name, len(files(company, call_id))) == (None, "", len(one.media_parts))
    note = due(call_id)
    assert note is not None
    assert note.asked == (0 if kept else 1), "Only a visit that brought nothing makes the next one wait longer."
    cable.cut_after = None
    let_pass(company, call_id, 3)
    assert check(company, call_id).recording_url
    assert (f"Range: bytes={kept}-".encode() in cable.asked[-1]) == bool(kept)
    assert (b"If-Range: " in cable.asked[-1]) == (media_range == "range" and kept > 0)
    hold_whole(recording(company, call_id), company, call_id)
    assert due(call_id) is None


def test_one_recording_that_twilio_does_not_have_holds_up_no_other(quiet: World, company: Company) -> None:
    call_id = talked(quiet, company)
    apply(company, call_id)
    with tenancy.inside(company.id):
        # Older than the real one, so it is fetched first: Twilio knows no such recording.
        Recording.objects.create(
            id=UUID(int=uuid4().int >> 100), call_id=call_id, recording_sid="RE" + uuid4().hex, status="completed"
        )
    store_recordings(company.id, call_id)
    assert [one.stored_at is not None for one in recordings(company, call_id)] == [False, True]


def test_a_recording_that_nobody_told_of_is_found_by_asking(quiet: World, company: Company) -> None:
    quiet.twilio.faults(*dropped(company, "recording", "action"))
    call_id = talked(quiet, company)
    let_pass(company, call_id, 16)
    row = check(company, call_id)
    assert (row.status, row.recording_sid) == ("completed", None)
    let_pass(company, call_id, 6)
    assert check(company, call_id).recording_url
    hold_whole(recording(company, call_id), company, call_id)


def test_a_recording_that_twilio_lost_is_asked_for_less_and_less(quiet: World, company: Company) -> None:
    quiet.twilio.faults(*dropped(company, "recording", "action"), rest(company, "recordings", "error-500", times=None))
    call_id = talked(quiet, company)
    let_pass(company, call_id, 16)
    check(company, call_id)
    asked = []
    for seconds in (6, 15, 40, 240):
        let_pass(company, call_id, seconds)
        check(company, call_id)
        note = due(call_id)
        assert note is not None
        asked.append(note.asked)
    assert asked == [1, 2, 3, 4]


def test_nothing_is_asked_for_where_nothing_is_recorded(quiet: World, company: Company) -> None:
    company.connect(records_calls=False)
    call_id = talked(quiet, company)
    row = check(company, call_id)
    assert (row.status, recordings(company, call_id), due(call_id)) == ("completed", [], None)


def test_an_absent_recording_is_no_recording(quiet: World, company: Company) -> None:
    """Twilio says `absent` where there was less than a second of sound."""
    for _ in range(10):
        call_id = talked(quiet, company, seconds=0.2)
        row = check(company, call_id)
        if not row.duration_seconds:  # else the simulator's clock, which runs ten times as fast, ran over a second
            break
        store_recordings(company.id, call_id)
    one = recording(company, call_id)
    assert (one.status, one.stored_at) == ("absent", None)
    assert (row.recording_sid, row.recording_url) == (None, None)
    assert due(call_id) is None


def recorded(status: str, sid: str) -> dict[str, str]:
    """What a recording callback of this status says."""
    said = {"RecordingSid": sid, "RecordingStatus": status, "ErrorCode": "0"}
    if status == "completed":
        said |= {"RecordingDuration": "20", "RecordingChannels": "2"}
    return said | {"RecordingStartTime": "Mon, 04 May 2026 12:00:15 +0000"}


def test_of_two_recordings_the_conversations_is_the_one_that_began_first_whichever_was_told_first() -> None:
    ((company, call_id),) = live_calls(1)
    agent, sids = {"CallSid": "CA" + uuid4().hex}, []
    for sid, second in (("RE" + "a" * 32, "20"), ("RE" + "0" * 32, ""), ("RE" + "f" * 32, "15")):
        said = agent | recorded("completed", sid)
        said["RecordingStartTime"] = second and f"Mon, 04 May 2026 12:00:{second} +0000"
        assert send_callback(company, call_id, "recording", said).status_code == 204
        sids.append(apply(company, call_id).recording_sid)
    assert sids == ["RE" + "a" * 32, "RE" + "a" * 32, "RE" + "f" * 32]


# The orders in which `in-progress` (0), the last word (1), the dial action (2) and the contact's end (3) may come.
ORDERS = [
    *itertools.permutations(range(4)),
    (1, 2, 3),  # `in-progress` was lost
    (0, 0, 2, 1, 1, 3, 1),
    (2, 3, 1, 1, 0, 0, 2),
    (1, 1, 0, 3, 0, 2),
]


@pytest.mark.parametrize("last", ["completed", "absent"])
def test_recording_callbacks_may_come_before_the_action_after_the_end_and_twice(last: str) -> None:
    rows = []
    for order in ORDERS:
        ((company, call_id),) = live_calls(1)
        sid, child, its = "CA" + uuid4().hex, "CA" + uuid4().hex, "RE" + uuid4().hex
        agent = {"CallSid": sid}
        send_callback(company, call_id, "key", agent | {"CallStatus": "in-progress", "Digits": "1"})
        dialled = {"DialCallStatus": "completed", "DialBridged": "true", "DialCallSid": child, "DialCallDuration": "20"}
        if last == "completed":
            dialled |= {"RecordingSid": its, "RecordingDuration": "20"}
        four = [
            ("recording", agent | recorded("in-progress", its)),
            ("recording", agent | recorded(last, its)),
            ("dial", agent | {"CallStatus": "in-progress"} | dialled),
            ("contact", {"CallSid": child, "ParentCallSid": sid, "CallStatus": "completed", "CallDuration": "20"}),
        ]
        seen = []
        for number in order:
            kind, params = four[number]
            assert send_callback(company, call_id, kind, params).status_code in (200, 204)
            apply(company, call_id)
            seen += [one.status for one in recordings(company, call_id)]
        assert seen == sorted(seen, key=["in-progress", last].index), "A recording's status never goes backwards."
        one, row = recording(company, call_id), apply(company, call_id)
        assert one.recording_sid == its
        rows.append((one.status, one.duration_seconds, one.channels, one.started_at, row.status, row.duration_seconds))
    assert len(set(rows)) == 1
    assert rows[0][0] == last


@pytest.mark.parametrize("settled", ["was asked for", "was given up"])
def test_a_recording_callback_that_comes_hours_late_still_counts(quiet: World, company: Company, settled: str) -> None:
    """The delayed callback is the simulator's own, sent by hand: Twilio itself would have lost it after 15 seconds."""
    quiet.twilio.faults(*dropped(company, "recording", "action"))
    call_id = talked(quiet, company)
    sid = read_call(company, call_id).call_sid or ""
    (told,) = [
        one for one in quiet.twilio.ask("GET", "state")["recordings"] if one["account_sid"] == company.account_sid
    ]
    let_pass(company, call_id, 16)
    if settled == "was asked for":
        check(company, call_id)
        let_pass(company, call_id, 6)
        assert check(company, call_id).recording_url
        before = recording(company, call_id)
    else:
        apply(company, call_id)
        DueCall.objects.filter(pk=call_id).delete()
        assert recordings(company, call_id) == []
    let_pass(company, call_id, 7200)
    done = {"RecordingSid": told["sid"], "RecordingStatus": "completed", "RecordingDuration": str(told["duration"])}
    for late in (recorded("in-progress", told["sid"]), done):
        assert send_callback(company, call_id, "recording", {"CallSid": sid} | late).status_code == 204
    assert check(company, call_id).recording_url
    one = recording(company, call_id)
    hold_whole(one, company, call_id)
    if settled == "was asked for":
        assert (one.media_name, one.stored_at) == (before.media_name, before.stored_at), "It was fetched once."
    let_pass(company, call_id, 16)  # the dial action was lost too, so Twilio is asked for the legs
    check(company, call_id)
    assert due(call_id) is None


def test_two_workers_that_fetch_the_same_recording_leave_one_whole_file(quiet: World, company: Company) -> None:
    call_id = talked(quiet, company)
    apply(company, call_id)
    together = threading.Barrier(4)
    raised: list[BaseException] = []

    def fetch() -> None:
        try:
            together.wait(10)
            store_recordings(company.id, call_id)
        except BaseException as error:  # noqa: BLE001  handed to the test
            raised.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert raised == []
    hold_whole(recording(company, call_id), company, call_id)
    assert due(call_id) is None


def test_what_a_worker_left_that_died_is_removed(quiet: World, company: Company) -> None:
    call_id = talked(quiet, company)
    apply(company, call_id)
    one = recording(company, call_id)
    left = Path(storages["recordings"].path(f"{company.id}/{call_id}/{one.pk}/dead.wav"))
    left.parent.mkdir(parents=True)
    left.write_bytes(b"RIFF half of it")
    store_recordings(company.id, call_id)
    hold_whole(recording(company, call_id), company, call_id)


class _Server(HTTPServer):
    seen: list[dict[str, str]]


@contextmanager
def http_server(answer: Any) -> Iterator[_Server]:
    """A small server for what the simulated Twilio cannot do: `answer(handler)` answers each GET."""

    class Handler(BaseHTTPRequestHandler):
        server: _Server

        def do_GET(self) -> None:
            self.server.seen.append({name.lower(): value for name, value in self.headers.items()})
            answer(self)

        def log_message(self, *args: Any) -> None:
            pass

    with _Server(("127.0.0.1", 0), Handler) as server:
        server.seen = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def test_a_redirect_to_a_media_host_is_followed_without_our_credentials(
    ours: Company, settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The simulator redirects nobody, so two small servers do: Twilio's, and a media host of another name."""
    # Neither may come from the machine: a .netrc would add credentials for the new host.
    (tmp_path / ".netrc").write_text("machine localhost login somebody password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))

    def sound(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "4")
        handler.end_headers()
        handler.wfile.write(b"RIFF")

    with http_server(sound) as host:

        def redirect(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(307)
            handler.send_header("Location", f"http://localhost:{host.server_port}/media.wav?signed=1")
            handler.send_header("Content-Length", "0")
            handler.end_headers()

        with http_server(redirect) as twilio:
            settings.TWILIO_API_BASE_URL = f"http://127.0.0.1:{twilio.server_port}"
            account = credentials(ours.id)
            assert account is not None
            with recording_media(account, "RE" + "0" * 32) as answer:
                assert answer is not None
                assert (answer.start, answer.total, b"".join(answer.body)) == (0, 4, b"RIFF")
            # The rest of a recording is asked for behind the same redirect.
            with recording_media(account, "RE" + "0" * 32, after=2, version='"1"') as answer:
                assert answer is not None
                assert answer.start == 0, "It knows no ranges."
            for number, ranged in ((0, [None, None]), (1, ["bytes=2-", '"1"'])):
                assert twilio.seen[number]["authorization"].startswith("Basic ")
                assert not {"authorization", "cookie"} & set(host.seen[number])
                assert [host.seen[number].get(name) for name in ("range", "if-range")] == ranged


def test_a_length_that_the_body_does_not_keep_is_no_media(ours: Company, settings: Any) -> None:
    def short(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"RIFF")
        handler.close_connection = True

    with http_server(short) as twilio:
        settings.TWILIO_API_BASE_URL = f"http://127.0.0.1:{twilio.server_port}"
        account = credentials(ours.id)
        assert account is not None

        def fetch() -> None:
            with recording_media(account, "RE" + "0" * 32) as answer:
                assert answer is not None
                list(answer.body)

        with pytest.raises(TwilioUnconfirmed):
            fetch()
        # What is compressed on the way would have another length than what is stored.
        assert twilio.seen[0]["accept-encoding"] == "identity"


def test_no_media_is_asked_for_with_another_organizations_credentials(quiet: World, company: Company) -> None:
    call_id = talked(quiet, company)
    apply(company, call_id)
    other = make_company("Other")
    store_recordings(other.id, call_id)
    assert eventually(lambda: recording(company, call_id).stored_at is None)
