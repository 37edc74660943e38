"""Bring recordings home: from Twilio's media address to our storage, whole or not at all."""

import hashlib
import logging
import secrets
import tempfile
from uuid import UUID

from django.core.files import File
from django.core.files.storage import storages
from django.utils import timezone

from calls.models import Recording, RecordingStatus
from calls.reconcile.apply import apply_callbacks, note_question_in_vain
from crm import tenancy
from crm.errors import AppError
from integrations.access import Credentials, credentials
from integrations.twilio import client

logger = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024


def store_recordings(organization_id: UUID, call_id: UUID) -> None:
    """Fetch the media of a call's completed recordings that we do not have yet; what fails is due again later."""
    with tenancy.inside(organization_id):
        owed = list(Recording.objects.filter(call_id=call_id, status=RecordingStatus.COMPLETED, stored_at=None))
    account = credentials(organization_id)
    if not owed or account is None:
        return
    stored = [_store(account, recording) for recording in owed]
    if not all(stored):
        note_question_in_vain(call_id)
    apply_callbacks(organization_id, call_id, ask=False)


def _store(account: Credentials, recording: Recording) -> bool:
    """Fetch, check and keep one recording's media; whether it is in our storage now.

    Two workers may be at it: each writes a file of its own, and the row takes the first one that is whole. The other,
    and what a worker left that died before it could say so, is removed: the row decides, not the file.
    """
    folder = f"{recording.organization_id}/{recording.call_id}/{recording.pk}"
    storage = storages["recordings"]
    try:
        with client.recording_media(account, recording.recording_sid) as media, tempfile.TemporaryFile() as copy:
            if media is None:
                return False
            digest, size = hashlib.sha256(), 0
            for chunk in media.iter_content(CHUNK_BYTES):
                digest.update(chunk)
                size += copy.write(chunk)
            expected = media.headers.get("Content-Length")
            if not size or (expected and int(expected) != size):
                logger.warning("Recording %s came with %d of %s bytes", recording.pk, size, expected)
                return False
            copy.seek(0)
            name = storage.save(f"{folder}/{secrets.token_hex(4)}.wav", File(copy))
    except AppError as trouble:
        logger.warning("Recording %s could not be fetched: %s", recording.pk, trouble.code)
        return False
    with tenancy.inside(recording.organization_id):
        ours = Recording.objects.filter(pk=recording.pk, stored_at=None).update(
            media_name=name, media_bytes=size, media_sha256=digest.hexdigest(), stored_at=timezone.now()
        )
    if not ours:
        storage.delete(name)
        return True
    for other in storage.listdir(folder)[1]:
        if f"{folder}/{other}" != name:
            storage.delete(f"{folder}/{other}")
    return True
