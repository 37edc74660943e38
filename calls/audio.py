"""Serve a recording from our storage, a range at a time, and write down who listened."""

import logging
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import IO

from django.core.files.storage import storages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls.models import Play, Recording
from crm import audit
from crm.errors import NotFound
from crm.models import Membership

logger = logging.getLogger(__name__)

CHUNK_BYTES = 64 * 1024
# A player asks for many ranges of one recording; within this time they are one play.
ONE_PLAY = timedelta(minutes=1)


class NotStoredYet(NotFound):
    """The row is there, the media is not."""

    code = "recording_not_stored"
    message = _("This recording is still being processed.")


class RecordingDeleted(NotFound):
    """It was there, and its tombstone is."""

    code = "recording_deleted"
    status = 410
    message = _("This recording was deleted.")


class RecordingGone(NotFound):
    """The row is there, its media no longer."""

    code = "recording_gone"
    message = _("This recording is missing from our storage. Ask your operator to look for it.")


def note_play(*, member: Membership, recording: Recording) -> None:
    """Write down that `member` plays `recording`."""
    recent = Play.objects.filter(recording=recording, user=member.user, played_at__gte=timezone.now() - ONE_PLAY)
    if recording.is_playable and not recent.exists():
        Play.objects.create(recording=recording, user=member.user)
        audit.note(member, audit.RECORDING_PLAYED, recording=str(recording.pk), call=str(recording.call_id))


def note_download(*, member: Membership, recording: Recording) -> None:
    """Write down that `member` takes `recording` away as a file."""
    if recording.is_playable:
        audit.note(member, audit.RECORDING_DOWNLOADED, recording=str(recording.pk), call=str(recording.call_id))


def stream(recording: Recording, wanted: str, *, only_if: str = "", as_file: bool = False) -> HttpResponseBase:
    """Answer `recording`'s audio: 200 whole, 206 one range of bytes, 416 a range beyond its end.

    `wanted` is the request's Range header; anything but one range of bytes is ignored, as RFC 9110 §14.2 allows.
    `only_if` is its If-Range header: a range of something else than what we have is ignored too (§13.1.5).
    Raises: NotStoredYet, RecordingDeleted, RecordingGone.
    """
    if recording.deleted_at:
        raise RecordingDeleted(details={"deleted_at": recording.deleted_at.isoformat(), "why": recording.deleted_why})
    if not recording.stored_at:
        raise NotStoredYet
    size = recording.media_bytes or 0
    tag = f'"{recording.media_sha256}"'
    span = _span(wanted, size) if only_if in ("", tag) else None
    if span is not None and span[0] >= size:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span or (0, size - 1)
    try:
        media = storages["recordings"].open(recording.media_name, "rb")
    except FileNotFoundError as error:
        logger.error("Recording %s is not in our storage any more", recording.pk)
        raise RecordingGone from error
    headers = {
        "Content-Type": "audio/wav",
        "Content-Length": str(last - first + 1),
        "Accept-Ranges": "bytes",
        "ETag": tag,
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'{"attachment" if as_file else "inline"}; filename="{recording.recording_sid}.wav"',
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    chunks = _Span(media, first, last - first + 1)
    return StreamingHttpResponse(chunks, status=200 if span is None else 206, headers=headers)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """The first and last byte of the one range that is asked for, maybe beyond the end; None to ignore it."""
    unit, _equals, ranges = wanted.partition("=")
    first, dash, last = ranges.strip().partition("-")
    if unit.strip().lower() != "bytes" or not dash or not (first or last):
        return None
    if not all(text == "" or (text.isascii() and text.isdigit()) for text in (first, last)):
        return None
    if not first:
        count = _position(last)
        return (max(size - count, 0) if count else size, size - 1)
    start, end = _position(first), _position(last) if last else sys.maxsize
    return (start, min(end, size - 1)) if start <= end else None


def _position(digits: str) -> int:
    """Read digits, however many: Python refuses to read more than some thousands, and no file is that long."""
    digits = digits.lstrip("0")
    return int(digits or "0") if len(digits) < 19 else sys.maxsize


class _Span:
    """`length` bytes of `media` from `first` on, in chunks.

    Not a generator: closing one that was never started, as after a HEAD or when the browser has left, closes no file.
    """

    def __init__(self, media: IO[bytes], first: int, length: int) -> None:
        self._media, self._first, self._left = media, first, length

    def __iter__(self) -> Iterator[bytes]:
        self._media.seek(self._first)
        while self._left > 0 and (chunk := self._media.read(min(CHUNK_BYTES, self._left))):
            self._left -= len(chunk)
            yield chunk

    def close(self) -> None:
        """Let the file go; the server calls it at the end of every response."""
        self._media.close()
