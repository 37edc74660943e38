"""A recording's audio: ranges as players ask for them, who may hear it, and who is written down."""

import hashlib
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.core.files.storage import storages
from django.test import Client
from django.utils import timezone

from calls.models import Play, Recording
from crm import tenancy
from crm.models import Membership
from tests.conftest import Api, Company
from tests.crm.rows import make_call, make_recording

ApiOf = Callable[[Membership], Api]
# More than two of the chunks that are read at a time, and no two places alike.
MEDIA = b"RIFF" + b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(5000)) + b"end"
SIZE = len(MEDIA)


@pytest.fixture
def recording(ours: Company) -> Recording:
    """A recording of the rep's call, in our storage."""
    return make_recording(make_call(ours, status="completed", stage="ended"), MEDIA)


def listen(member: Membership, recording: Recording, **headers: str) -> Any:
    """Ask for the audio; the body is read to its end."""
    answer = Api(member).get(f"recordings/{recording.pk}/audio", headers=headers)
    answer.body = answer.getvalue()
    answer.close()
    return answer


def plays(company: Company) -> list[Play]:
    """Who listened, as it was written down."""
    with tenancy.inside(company.id):
        return list(Play.objects.order_by("id"))


def test_the_whole_is_sent_when_no_range_is_asked_for(ours: Company, recording: Recording) -> None:
    answer = listen(ours.rep, recording)
    assert (answer.status_code, answer.body == MEDIA) == (200, True)
    assert (answer["Content-Type"], answer["Content-Length"], answer["Accept-Ranges"]) == (
        "audio/wav",
        str(SIZE),
        "bytes",
    )
    assert "Content-Range" not in answer
    assert answer["Cache-Control"] == "private, no-store"
    assert answer["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("asked", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-99", 0, 99),
        ("bytes=100-199", 100, 199),
        ("bytes=65535-65536", 65535, 65536),  # over the edge of a chunk
        ("bytes=0-", 0, SIZE - 1),
        (f"bytes=0-{SIZE - 1}", 0, SIZE - 1),
        (f"bytes=0-{SIZE}", 0, SIZE - 1),
        ("bytes=1000-", 1000, SIZE - 1),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE - 1),
        (f"bytes=5-{SIZE + 1000}", 5, SIZE - 1),
        ("bytes=5-" + "9" * 30, 5, SIZE - 1),
        ("bytes=-3", SIZE - 3, SIZE - 1),
        (f"bytes=-{SIZE}", 0, SIZE - 1),
        (f"bytes=-{SIZE * 2}", 0, SIZE - 1),
        ("BYTES=10-20", 10, 20),
        ("bytes= 10-20 ", 10, 20),
    ],
)
def test_one_range_is_answered_with_just_its_bytes(
    ours: Company, recording: Recording, asked: str, first: int, last: int
) -> None:
    answer = listen(ours.rep, recording, Range=asked)
    assert answer.status_code == 206
    assert answer["Content-Range"] == f"bytes {first}-{last}/{SIZE}"
    assert answer["Content-Length"] == str(last - first + 1)
    assert answer.body == MEDIA[first : last + 1]


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE}", f"bytes={SIZE * 9}-", "bytes=-0"])
def test_a_range_beyond_the_end_is_416_with_the_size(ours: Company, recording: Recording, asked: str) -> None:
    answer = listen(ours.rep, recording, Range=asked)
    assert (answer.status_code, answer["Content-Range"], answer.body) == (416, f"bytes */{SIZE}", b"")


# RFC 9110 §14.2: a server may ignore a Range header; what cannot be understood is ignored.
@pytest.mark.parametrize(
    "asked",
    [
        "",
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "bytes=5-2",
        "bytes=--5",
        "bytes=1-2-3",
        "bytes=+1-2",
        "bytes=1_0-20",
        "bytes=١-٢",
        "bytes=0-1,5-9",
        "bytes=0-0,-1",
        "lines=0-10",
        "0-10",
    ],
)
def test_a_malformed_or_multiple_range_is_answered_with_the_whole(
    ours: Company, recording: Recording, asked: str
) -> None:
    answer = listen(ours.rep, recording, Range=asked)
    assert (answer.status_code, answer.body == MEDIA) == (200, True)


@pytest.mark.parametrize("only_if", ['"abc"', 'W/"abc"', "Sat, 01 Aug 2026 10:00:00 GMT", "*", "x"])
def test_a_range_of_something_else_is_answered_with_the_whole(
    ours: Company, recording: Recording, only_if: str
) -> None:
    """RFC 9110 §13.1.5: a player that goes on with an earlier download gets the whole if it is not the same."""
    for asked in ("bytes=0-99", f"bytes={SIZE * 9}-"):
        answer = listen(ours.rep, recording, **{"Range": asked, "If-Range": only_if})
        assert (answer.status_code, answer.body == MEDIA) == (200, True)


def test_a_download_that_broke_off_goes_on_with_the_same_recording(ours: Company, recording: Recording) -> None:
    tag = listen(ours.rep, recording)["ETag"]
    answer = listen(ours.rep, recording, **{"Range": "bytes=100-", "If-Range": tag})
    assert (answer.status_code, answer["ETag"], answer.body) == (206, tag, MEDIA[100:])


@pytest.mark.parametrize("accept", ["audio/*", "audio/wav", "audio/webm, video/*;q=0.9", "text/html", "x", "*/*", ""])
def test_a_player_may_accept_what_it_likes(ours: Company, recording: Recording, accept: str) -> None:
    answer = listen(ours.rep, recording, Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "audio/wav")
    missing = listen(ours.rep, make_recording(make_call(ours, status="completed", stage="ended")), Accept=accept)
    assert (missing.status_code, missing["Content-Type"]) == (404, "application/json")


@pytest.mark.parametrize("length", [4300, 5000, 60_000])
def test_a_number_longer_than_any_file_is_ignored_or_beyond_the_end_and_no_error(
    ours: Company, recording: Recording, length: int
) -> None:
    for asked in (f"bytes={'9' * length}-", f"bytes=0-{'9' * length}", f"bytes=-{'9' * length}"):
        assert listen(ours.rep, recording, Range=asked).status_code in (200, 206, 416)


def test_the_stream_outlives_the_organization_that_it_was_found_in(ours: Company, recording: Recording) -> None:
    answer = Api(ours.rep).get(f"recordings/{recording.pk}/audio")
    assert answer.streaming
    with pytest.raises(tenancy.NoOrganization):
        tenancy.current_organization_id()
    parts = list(answer.streaming_content)
    answer.close()
    assert len(parts) > 2
    assert b"".join(parts) == MEDIA


def test_a_head_request_or_a_browser_that_leaves_keeps_no_file_open(ours: Company, recording: Recording) -> None:
    # An unclosed file is a ResourceWarning, and warnings are errors here.
    client = Api(ours.rep).client
    for ask in (client.head, client.get):
        answer = ask(f"/api/v1/recordings/{recording.pk}/audio")
        assert (answer.status_code, answer["Content-Length"]) == (200, str(SIZE)) if ask == client.get else True
        answer.close()
        del answer


# Who may, and who is written down


def test_a_play_is_written_down_once_per_minute_and_listener(ours: Company, recording: Recording) -> None:
    for member in (ours.rep, ours.rep, ours.manager):
        listen(member, recording)
        listen(member, recording, Range="bytes=100-")
    assert [(play.recording_id, play.user_id) for play in plays(ours)] == [
        (recording.pk, ours.rep.user_id),
        (recording.pk, ours.manager.user_id),
    ]
    with tenancy.inside(ours.id):
        Play.objects.update(played_at=timezone.now() - timedelta(seconds=61))
    listen(ours.rep, recording)
    assert len(plays(ours)) == 3


def test_two_recordings_are_two_plays(ours: Company, recording: Recording) -> None:
    other = make_recording(make_call(ours, status="completed", stage="ended"), MEDIA)
    for one in (recording, other):
        listen(ours.rep, one)
    assert len(plays(ours)) == 2


def test_a_recording_that_is_not_stored_yet_says_so_and_counts_no_play(ours: Company) -> None:
    pending = make_recording(make_call(ours, status="completed", stage="ended"))
    answer = listen(ours.rep, pending)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "recording_not_stored"
    assert plays(ours) == []


@pytest.mark.parametrize("who", ["a stranger's admin", "another rep", "nobody"])
def test_whoever_may_not_see_the_call_does_not_hear_it(
    ours: Company, theirs: Company, recording: Recording, who: str
) -> None:
    if who == "nobody":
        answer = Client().get(f"/api/v1/recordings/{recording.pk}/audio")
        assert answer.status_code == 401
    else:
        answer = listen(theirs.admin if who == "a stranger's admin" else ours.rep2, recording)
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "not_found"
    assert plays(ours) == plays(theirs) == []


@pytest.mark.parametrize("role", ["manager", "admin"])
def test_managers_and_admins_hear_the_teams_recordings(ours: Company, recording: Recording, role: str) -> None:
    assert listen(getattr(ours, role), recording).body == MEDIA


def test_a_file_that_is_gone_from_our_storage_is_an_error_with_a_code(ours: Company, recording: Recording) -> None:
    storages["recordings"].delete(recording.media_name)
    answer = listen(ours.rep, recording)
    assert answer.status_code == 404
    assert answer.json()["errors"][0]["code"] == "recording_gone"
