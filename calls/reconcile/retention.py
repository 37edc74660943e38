"""Recordings that are kept no longer: gone from our storage and at Twilio, with a tombstone that says when and why."""

import logging
import time
from datetime import timedelta
from uuid import UUID

from django.core.files.storage import storages
from django.db.models import Q
from django.utils import timezone

from calls import queries
from calls.models import CallLog, DeletedWhy, Recording, RecordingStatus
from crm import audit, tenancy
from crm.errors import AppError
from crm.models import Membership, Organization
from integrations.access import credentials
from integrations.twilio import client

logger = logging.getLogger(__name__)

BATCH = 100


def delete_due(*, seconds: float) -> int:
    """Delete what every organization keeps no longer, for about so long; return how many were deleted.

    Also at Twilio what could not be deleted there before: where Twilio refuses one, the organization's others wait for
    the next run, as does what is left.
    """
    count, until = 0, time.monotonic() + seconds
    for organization_id in Organization.objects.order_by("?").values_list("pk", flat=True).iterator():
        for recording_id in _due(organization_id):
            if time.monotonic() > until:
                return count
            was_here, is_gone = delete_recording(organization_id, recording_id, why=DeletedWhy.RETENTION)
            count += was_here
            if not is_gone:
                break
    return count


def _due(organization_id: UUID) -> list[UUID]:
    with tenancy.inside(organization_id):
        days = queries.rules().recording_days
        due = Q(deleted_at__isnull=False)
        if days is not None:
            due |= Q(created_at__lt=timezone.now() - timedelta(days=days))
        found = Recording.objects.filter(due, gone_at_twilio_at=None, status=RecordingStatus.COMPLETED)
        return list(found.order_by("created_at").values_list("pk", flat=True)[:BATCH])


def delete_recording(
    organization_id: UUID, recording_id: UUID, *, why: DeletedWhy, by: Membership | None = None
) -> tuple[bool, bool]:
    """Delete a recording's media here, then at Twilio; whether it was still here, and whether it is gone there.

    Asked again, it goes on where it stopped. Outside of any transaction.

    The files go first: should the process die then, the row still names them and they are deleted once more.
    """
    with tenancy.inside(organization_id):
        recording = Recording.objects.filter(pk=recording_id).first()
    if recording is None:
        return False, True
    was_here = recording.deleted_at is None
    if was_here:
        for name in (recording.media_name, *(part[0] for part in recording.media_parts)):
            if name:
                storages["recordings"].delete(name)
        with tenancy.inside(organization_id):
            was_here = bool(
                Recording.objects.filter(pk=recording_id, deleted_at=None).update(
                    deleted_at=timezone.now(), deleted_why=why, media_name="", media_parts=[]
                )
            )
            if was_here:
                CallLog.objects.filter(pk=recording.call_id, recording_sid=recording.recording_sid).update(
                    recording_url=None
                )
                said = {"recording": str(recording_id), "call": str(recording.call_id), "why": str(why)}
                audit.note(by, audit.RECORDING_DELETED, **said)
    return was_here, _delete_at_twilio(organization_id, recording)


def _delete_at_twilio(organization_id: UUID, recording: Recording) -> bool:
    if recording.gone_at_twilio_at is not None:
        return True
    try:
        account = credentials(organization_id)
        if account is None:
            return False
        client.delete_recording(account, recording.recording_sid)
    except AppError as trouble:
        logger.warning("Recording %s could not be deleted at Twilio (%s)", recording.pk, trouble.code)
        return False
    with tenancy.inside(organization_id):
        Recording.objects.filter(pk=recording.pk).update(gone_at_twilio_at=timezone.now())
    return True
