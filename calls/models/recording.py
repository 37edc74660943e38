"""Recordings, and who played them."""

from django.db import models
from django.db.models import Q, Value
from django.utils.translation import gettext_lazy as _

from calls.models.call import CallLog
from crm.models import User
from crm.tenancy import MemberKey, TenantKey, TenantModel


class RecordingStatus(models.TextChoices):
    """Twilio's words for a recording."""

    IN_PROGRESS = "in-progress", _("Recording")
    COMPLETED = "completed", _("Recorded")
    ABSENT = "absent", _("Nothing was recorded")
    FAILED = "failed", _("Failed")


class DeletedWhy(models.TextChoices):
    """Why a recording's media is gone."""

    RETENTION = "retention", _("Kept as long as your organization keeps recordings")
    MEMBER = "member", _("Deleted by an admin")


class Recording(TenantModel):
    """A recording of a conversation; played from our storage only."""

    call = TenantKey(CallLog, on_delete=models.CASCADE, related_name="recordings")
    recording_sid = models.CharField(max_length=34)
    status = models.CharField(max_length=12, choices=RecordingStatus.choices, default=RecordingStatus.IN_PROGRESS)
    duration_seconds = models.PositiveIntegerField(null=True)
    channels = models.PositiveSmallIntegerField(null=True)
    started_at = models.DateTimeField(null=True)
    error_code = models.PositiveIntegerField(null=True)
    media_name = models.CharField(max_length=200, blank=True, help_text=_("Its name in our storage."))
    media_bytes = models.PositiveBigIntegerField(null=True)
    media_sha256 = models.CharField(max_length=64, blank=True)
    stored_at = models.DateTimeField(null=True)
    # The tombstone: the media is gone from our storage, and at Twilio since `gone_at_twilio_at`.
    deleted_at = models.DateTimeField(null=True)
    deleted_why = models.CharField(max_length=10, blank=True, default="", db_default="", choices=DeletedWhy.choices)
    gone_at_twilio_at = models.DateTimeField(null=True)
    # While the media is being fetched: the parts that we have, each with its name in our storage and its bytes; which
    # media they are of (its ETag or date of modification, and how long it is); and the furthest that any visit came.
    media_parts = models.JSONField(default=list, db_default=Value([], models.JSONField()))
    media_version = models.CharField(max_length=200, blank=True, default="", db_default="")
    media_total = models.PositiveBigIntegerField(null=True)
    media_furthest = models.PositiveBigIntegerField(default=0, db_default=0)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        ordering = ["id"]
        verbose_name = _("recording")
        verbose_name_plural = _("recordings")
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="recording_is_addressed_with_its_organization"),
            models.UniqueConstraint(fields=["organization", "recording_sid"], name="one_row_per_recording_sid"),
        ]
        indexes = [
            models.Index(
                fields=["organization", "created_at"],
                name="recordings_to_delete",
                condition=Q(gone_at_twilio_at__isnull=True),
            )
        ]

    def __str__(self) -> str:
        return self.recording_sid

    @property
    def is_playable(self) -> bool:
        """Whether its media is in our storage."""
        return self.stored_at is not None and self.deleted_at is None


class Play(TenantModel):
    """Somebody listened to a recording."""

    recording = TenantKey(Recording, on_delete=models.CASCADE, related_name="plays")
    user = MemberKey(User, on_delete=models.PROTECT, related_name="+")
    played_at = models.DateTimeField(auto_now_add=True)

    class Meta(TenantModel.Meta):
        indexes = [models.Index(fields=["organization", "recording", "-played_at"], name="plays_of_a_recording")]

    def __str__(self) -> str:
        return f"{self.user_id} {self.played_at}"
