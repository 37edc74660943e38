"""Serve a recording from our storage, a range at a time, and write down who listened."""

from collections.abc import Iterator
from datetime import timedelta
from typing import IO

from django.core.files.storage import storages
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from calls.models import Play, Recording
from crm.errors import NotFound
from crm.models import Membership

CHUNK_BYTES = 64 * 1024
# A player asks for many ranges of one recording; within this time they are one play.
ONE_PLAY = timedelta(minutes=1)


class NotStoredYet(NotFound):
    """The row is there, the media is not."""

    code = "recording_not_stored"
    message = _("This recording is still being processed.")


def note_play(*, member: Membership, recording: Recording) -> None:
    """Write down that `member` plays `recording`."""
    recent = Play.objects.filter(recording=recording, user=member.user, played_at__gte=timezone.now() - ONE_PLAY)
    if recording.stored_at and not recent.exists():
        Play.objects.create(recording=recording, user=member.user)


def stream(recording: Recording, wanted: str) -> HttpResponseBase:
    """Answer `recording`'s audio: 200 whole, 206 one range of bytes, 416 a range beyond its end.

    `wanted` is the request's Range header; anything but one range of bytes is ignored, as RFC 9110 §14.2 allows.
    Raises: NotStoredYet.
    """
    if not recording.stored_at:
        raise NotStoredYet
    size = recording.media_bytes or 0
    span = _span(wanted, size)
    if span is None:
        return HttpResponse(status=416, headers={"Content-Range": f"bytes */{size}"})
    first, last = span
    media = storages["recordings"].open(recording.media_name, "rb")
    partial = span != (0, size - 1) or wanted.replace(" ", "").lower() in ("bytes=0-", f"bytes=0-{size - 1}")
    headers = {
        "Content-Type": "audio/wav",
        "Content-Length": str(last - first + 1),
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-store",
        "Content-Disposition": f'inline; filename="{recording.recording_sid}.wav"',
    }
    if partial:
        headers["Content-Range"] = f"bytes {first}-{last}/{size}"
    span_of_media = _Span(media, first, last - first + 1)
    return StreamingHttpResponse(span_of_media, status=206 if partial else 200, headers=headers)


def _span(wanted: str, size: int) -> tuple[int, int] | None:
    """The first and last byte to send; the whole when no single range of bytes is asked for; None beyond the end."""
    unit, _equals, ranges = wanted.partition("=")
    first, dash, last = ranges.strip().partition("-")
    whole = (0, size - 1)
    if (
        unit.strip().lower() != "bytes"
        or not dash
        or not all(p == "" or (p.isascii() and p.isdigit()) for p in (first, last))
    ):
        return whole
    if not first and not last:
        return whole
    if not first:
        return (max(size - int(last), 0), size - 1) if int(last) else None
    start, end = int(first), int(last) if last else size - 1
    if end < start:
        return whole
    return (start, min(end, size - 1)) if start < size else None


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
