"""Bring recordings home: from Twilio's media address to our storage, a part at a time, and whole or not at all."""

import io
import logging
import random
import secrets
import time
from enum import Enum, auto
from typing import IO, Any, cast
from uuid import UUID

from django.core.files import File
from django.core.files.storage import storages
from django.utils import timezone

from calls.models import DueCall, Recording, RecordingStatus
from calls.reconcile.apply import apply_callbacks, note_question_in_vain
from calls.reconcile.parts import Joined
from crm import tenancy
from crm.errors import AppError
from integrations.access import Credentials, credentials
from integrations.twilio.errors import TwilioRejected
from integrations.twilio.media import Media, recording_media

logger = logging.getLogger(__name__)

# One visit downloads for so long; with a worker's turn before and the joining after it, still within a task's limit.
VISIT_SECONDS = 20.0
# What is in memory at a time, and what a worker that is killed loses at most.
PART_BYTES = 4 * 1024 * 1024


class Visit(Enum):
    """What came of looking after one recording."""

    STORED = auto()
    FURTHER = auto()  # its time is over, and it got further: the next visit should come at once
    BROKEN_OFF = auto()  # it got further until the line broke: the next one comes soon, but not in a circle
    IN_VAIN = auto()
    OVERTAKEN = auto()  # another worker is at it


class Overtaken(Exception):
    """Another worker has changed the recording's row since we read it."""


def store_recordings(organization_id: UUID, call_id: UUID) -> int | None:
    """Fetch the media of a call's completed recordings that we do not have yet, for VISIT_SECONDS.

    What is not whole by then is due again: at once where this visit got further, later where it was in vain. Twilio
    may ask to be left in peace (429): then no more of the call is asked for, and its seconds are returned.
    """
    with tenancy.inside(organization_id):
        owed = list(
            Recording.objects.filter(call_id=call_id, status=RecordingStatus.COMPLETED, stored_at=None, deleted_at=None)
        )
    if not owed:
        return None
    account = credentials(organization_id)
    random.shuffle(owed)  # should the time not be enough for all, none is always the last
    began, ends, pause = time.monotonic(), set(), None
    for number, recording in enumerate(owed):
        left = began + VISIT_SECONDS - time.monotonic()
        if account is None or pause:
            ends.add(Visit.IN_VAIN)
        elif left > 0:
            try:
                ends.add(_visit(account, recording, time.monotonic() + left / (len(owed) - number)))
            except TwilioRejected as refusal:
                ends.add(Visit.IN_VAIN)
                pause = refusal.retry_after_seconds
    if ends & {Visit.FURTHER, Visit.BROKEN_OFF}:
        DueCall.objects.filter(pk=call_id).update(asked=0)
    elif Visit.IN_VAIN in ends:
        note_question_in_vain(call_id)
    apply_callbacks(organization_id, call_id, ask=Visit.FURTHER in ends and not pause)
    return pause


def _visit(account: Credentials, recording: Recording, until: float) -> Visit:
    """Download until `until`, or to the end; join the parts when all are there and there is time.

    The row says which parts there are and is only ever changed by whoever has read its latest word, so that two
    workers never mix theirs; a file that no row names is nobody's, and removed with the parts. Raises: TwilioRejected
    when Twilio says how long to wait; that comes instead of media, so nothing was kept.
    """
    before, furthest, outcome = recording.media_parts, recording.media_furthest, Visit.FURTHER
    try:
        if not _is_whole(recording):
            _download(account, recording, until)
        if _is_whole(recording) and time.monotonic() < until:
            return _join(recording)
    except AppError as trouble:
        logger.warning("Recording %s could not be fetched: %s", recording.pk, trouble.code)
        if isinstance(trouble, TwilioRejected) and trouble.retry_after_seconds:
            raise
        outcome = Visit.BROKEN_OFF
    except Overtaken:
        return Visit.OVERTAKEN
    # Whoever sends the whole each time, and never in time, would otherwise be asked in a circle.
    continued = recording.media_parts[: len(before)] == before and len(recording.media_parts) > len(before)
    return outcome if continued or recording.media_furthest > furthest or _is_whole(recording) else Visit.IN_VAIN


def _download(account: Credentials, recording: Recording, until: float) -> None:
    """Keep what comes until `until` as parts. Raises: AppError, with what came before it kept; Overtaken."""
    known: dict[str, Any] = {"version": recording.media_version, "total": recording.media_total}
    with recording_media(account, recording.recording_sid, after=_kept(recording), **known) as media:
        if media is None:
            return
        if media.start == 0:
            _start_over(recording, media)
        part, trouble, at_end = io.BytesIO(), None, False
        try:
            for piece in media.body:
                part.write(piece)
                if part.tell() >= PART_BYTES:
                    _keep(recording, part)
                    part = io.BytesIO()
                if time.monotonic() >= until:
                    break
            else:
                at_end = media.ends_by_itself
        except AppError as broke_off:
            trouble = broke_off
        if part.tell():
            _keep(recording, part)
        if trouble:
            raise trouble
        if at_end and recording.media_total is None:
            # A part says how long the whole is, and may itself have been cut where only the line's end ends it.
            _note(recording, media_total=_kept(recording) if media.total is None else media.total)


def _start_over(recording: Recording, media: Media) -> None:
    """Forget the parts of other media, or of a Twilio that sends the whole each time."""
    old = recording.media_parts
    if old:
        logger.info("Recording %s starts over after %d bytes", recording.pk, _kept(recording))
        _note(recording, media_parts=[])
        for name, _ in old:
            storages["recordings"].delete(name)
    recording.media_version, recording.media_total = media.version, media.total  # written with the first part


def _keep(recording: Recording, part: io.BytesIO) -> None:
    """Add a part to those that we have: first the file, then the row."""
    kept, size = _kept(recording), part.tell()
    wanted = f"{_folder(recording)}/{kept}-{secrets.token_hex(4)}.part"
    try:
        name = storages["recordings"].save(wanted, File(part))
    except FileNotFoundError:  # whoever was first removes the folder, right now
        raise Overtaken from None
    try:
        _note(
            recording,
            media_parts=[*recording.media_parts, [name, size]],
            media_version=recording.media_version,
            media_total=recording.media_total,
            media_furthest=max(recording.media_furthest, kept + size),
        )
    except Overtaken:
        storages["recordings"].delete(name)
        raise


def _join(recording: Recording) -> Visit:
    """Make one file of the parts; the row names it once it is whole, and then nothing else of the recording stays.

    Two workers may be at it: each writes a file of its own, the row takes the first, and the other is removed.
    """
    storage, size = storages["recordings"], _kept(recording)
    wanted = f"{_folder(recording)}/{secrets.token_hex(4)}.wav"
    with Joined(storage, recording.media_parts) as joined:
        try:
            name = storage.save(wanted, File(cast("IO[bytes]", joined), name=wanted))
            whole = joined.digested == storage.size(name) == size
        except FileNotFoundError:  # a part: removed by whoever was first, or lost
            name, whole = wanted, False
        except BaseException:
            storage.delete(wanted)
            raise
    if not whole:
        storage.delete(name)
        logger.warning("Recording %s: its parts are not what was kept", recording.pk)
        _note(recording, media_parts=[], media_total=None)
        return Visit.IN_VAIN
    try:
        _note(
            recording,
            media_name=name,
            media_bytes=size,
            media_sha256=joined.digest.hexdigest(),
            media_parts=[],
            stored_at=timezone.now(),
        )
    except Overtaken:
        storage.delete(name)
        raise
    for other in storage.listdir(_folder(recording))[1]:
        if f"{_folder(recording)}/{other}" != name:
            storage.delete(f"{_folder(recording)}/{other}")
    return Visit.STORED


def _note(recording: Recording, **values: Any) -> None:
    """Write to the row, if nobody else has since we read it. Raises: Overtaken."""
    with tenancy.inside(recording.organization_id):
        unchanged = Recording.objects.filter(
            pk=recording.pk, stored_at=None, deleted_at=None, media_parts=recording.media_parts
        )
        if not unchanged.update(**values):
            raise Overtaken
    for field, value in values.items():
        setattr(recording, field, value)


def _kept(recording: Recording) -> int:
    return sum(size for _, size in recording.media_parts)


def _is_whole(recording: Recording) -> bool:
    return bool(recording.media_parts) and _kept(recording) == recording.media_total


def _folder(recording: Recording) -> str:
    return f"{recording.organization_id}/{recording.call_id}/{recording.pk}"
