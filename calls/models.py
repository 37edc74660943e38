"""The call log, its legs, the journal of facts, recordings and who played them."""

from django.db import models
from django.db.models import Q, Value
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from crm.models import Contact, Opportunity, Role, User
from crm.tenancy import MemberKey, TenantKey, TenantModel, TenantRow


class CallStatus(models.TextChoices):
    """Twilio's words, about the conversation and not about a leg."""

    QUEUED = "queued", _("Queued")
    INITIATED = "initiated", _("Starting")
    RINGING = "ringing", _("Ringing")
    IN_PROGRESS = "in-progress", _("In progress")
    COMPLETED = "completed", _("Completed")
    BUSY = "busy", _("Busy")
    NO_ANSWER = "no-answer", _("No answer")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Canceled")


LIVE = ("queued", "initiated", "ringing", "in-progress")


class LegStatus(models.TextChoices):
    """Twilio's words about one leg, and one for a word that Twilio has never documented."""

    QUEUED = "queued", _("Queued")
    INITIATED = "initiated", _("Starting")
    RINGING = "ringing", _("Ringing")
    IN_PROGRESS = "in-progress", _("Connected")
    COMPLETED = "completed", _("Completed")
    BUSY = "busy", _("Busy")
    NO_ANSWER = "no-answer", _("No answer")
    FAILED = "failed", _("Failed")
    CANCELED = "canceled", _("Canceled")
    UNKNOWN = "unknown", _("Unknown")


class Stage(models.TextChoices):
    """Whose phone it is about."""

    QUEUED = "queued", _("Queued")
    RINGING_AGENT = "ringing_agent", _("Ringing the rep")
    RINGING_CONTACT = "ringing_contact", _("Ringing the contact")
    TALKING = "talking", _("Talking")
    ENDED = "ended", _("Ended")


class Direction(models.TextChoices):
    """Who called whom."""

    INBOUND = "inbound", _("Inbound")
    OUTBOUND = "outbound", _("Outbound")


class Party(models.TextChoices):
    """Who did not answer, who ended it. `member`: somebody pressed Hang up in the page or the API."""

    AGENT = "agent", _("Rep")
    CONTACT = "contact", _("Contact")
    MEMBER = "member", _("Hang-up button")
    SYSTEM = "system", _("Network")


WEEK = 0b1111111


class CallRules(TenantModel):
    """What the organization allows before a call is made. No row: the defaults below."""

    allowed_countries = models.JSONField(
        _("countries"), default=list, blank=True, help_text=_("ISO 3166; empty: the organization's own only.")
    )
    allows_costly_numbers = models.BooleanField(
        _("premium, shared-cost and personal numbers, satellites"), default=False
    )
    calls_from = models.TimeField(_("calls from"), null=True, blank=True, help_text=_("At the contact's clock."))
    calls_until = models.TimeField(_("calls until"), null=True, blank=True)
    days = models.PositiveSmallIntegerField(default=WEEK, help_text="A bit for each day, Monday the lowest.")
    member_per_minute = models.PositiveIntegerField(_("calls of a member in a minute"), default=10)
    member_per_day = models.PositiveIntegerField(_("calls of a member in a day"), default=300)
    organization_per_minute = models.PositiveIntegerField(_("calls of all in a minute"), default=60)
    organization_per_day = models.PositiveIntegerField(_("calls of all in a day"), default=5000)
    number_per_day = models.PositiveIntegerField(_("calls of one number in a day"), default=30)
    concurrent = models.PositiveIntegerField(_("calls at the same time"), default=50)
    rep_decides_recording = models.BooleanField(
        _("rep decides whether to record"), default=False, help_text=_("Else it is as the Twilio account is set up.")
    )
    recording_days = models.PositiveIntegerField(
        _("days that a recording is kept"), null=True, blank=True, help_text=_("Empty: until somebody deletes it.")
    )
    may_play = models.CharField(_("who may play recordings"), max_length=10, choices=Role.choices, default=Role.REP)
    may_download = models.CharField(
        _("who may download recordings"), max_length=10, choices=Role.choices, default=Role.MANAGER
    )
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("rules of calling")
        verbose_name_plural = _("rules of calling")
        constraints = [
            models.UniqueConstraint(fields=["organization"], name="one_set_of_rules_per_organization"),
            models.CheckConstraint(condition=Q(days__lte=WEEK), name="a_week_has_seven_days"),
        ]


class CallCount(TenantModel):
    """How many calls somebody started in a minute or a day (UTC): the fence around the money.

    Counted in the transaction that inserts the call, by one conditional update each.
    """

    class Window(models.TextChoices):
        MINUTE = "minute"
        DAY = "day"

    subject = models.UUIDField(help_text="A user, the organization itself, or a number's UUID of version 5.")
    window = models.CharField(max_length=6, choices=Window.choices)
    starts_at = models.DateTimeField()
    count = models.PositiveIntegerField(default=0)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "subject", "window", "starts_at"], name="one_count_per_subject_and_window"
            )
        ]


class CallLog(TenantModel):
    """One conversation. The row exists before Twilio is asked; what it says is a fold over its journal."""

    contact = TenantKey(Contact, on_delete=models.SET_NULL, null=True, related_name="calls", verbose_name=_("contact"))
    opportunity = TenantKey(Opportunity, on_delete=models.SET_NULL, null=True, related_name="calls")
    user = MemberKey(User, on_delete=models.PROTECT, null=True, related_name="+", verbose_name=_("rep"))
    direction = models.CharField(max_length=8, choices=Direction.choices, default=Direction.OUTBOUND)
    status = models.CharField(_("status"), max_length=12, choices=CallStatus.choices, default=CallStatus.QUEUED)
    stage = models.CharField(max_length=16, choices=Stage.choices, default=Stage.QUEUED)
    confirmed = models.BooleanField(default=False, help_text=_("Twilio is known to have made this call."))
    from_number = models.CharField(_("from"), max_length=16, help_text=_("The caller ID."))
    to_number = models.CharField(_("to"), max_length=16, help_text=_("The contact's number."))
    agent_number = models.CharField(max_length=16, blank=True, help_text=_("The rep's phone, rung first."))
    call_sid = models.CharField(max_length=34, null=True)
    parent_call_sid = models.CharField(max_length=34, null=True)
    started_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    duration_seconds = models.PositiveIntegerField(_("talk time"), null=True)
    unanswered_by = models.CharField(max_length=8, choices=Party.choices, null=True)
    ended_by = models.CharField(max_length=8, choices=Party.choices, null=True)
    error_code = models.PositiveIntegerField(null=True)
    error_message = models.CharField(max_length=500, blank=True)
    recording_url = models.CharField(max_length=100, null=True)
    recording_sid = models.CharField(max_length=34, null=True)
    recording_duration = models.PositiveIntegerField(null=True)
    notes = models.TextField(_("notes"), blank=True)
    disposition = models.CharField(max_length=40, blank=True)
    rings_for_seconds = models.PositiveSmallIntegerField(default=30)
    is_recorded = models.BooleanField(default=True, help_text=_("Frozen when the call starts."))
    language = models.CharField(max_length=10, default="en", help_text=_("What the rep is spoken to in."))
    idempotency_key = models.CharField(max_length=200, null=True)
    request_digest = models.CharField(max_length=64, blank=True)
    audited_at = models.DateTimeField(null=True, help_text=_("Twilio's own record of its requests was compared."))
    # When the audit last began to ask about it: a call that cannot be asked about has its next turn after the others.
    audit_tried_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("call")
        verbose_name_plural = _("calls")
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="call_is_addressed_with_its_organization"),
            models.UniqueConstraint(
                fields=["organization", "user"],
                condition=Q(status__in=LIVE, direction="outbound"),
                name="one_live_call_per_member",
            ),
            models.UniqueConstraint(
                fields=["organization", "user", "idempotency_key"], name="one_call_per_idempotency_key"
            ),
            models.UniqueConstraint(fields=["organization", "call_sid"], name="one_call_per_sid"),
        ]
        indexes = [
            models.Index(fields=["organization", "-id"], name="calls_newest_first"),
            models.Index(fields=["organization", "user", "-id"], name="calls_of_a_rep"),
            models.Index(fields=["organization", "contact", "-id"], name="calls_of_a_contact"),
        ]

    def __str__(self) -> str:
        return f"{self.to_number} {self.status}"

    @property
    def is_live(self) -> bool:
        """The conversation is not over."""
        return self.status in LIVE


class Leg(TenantModel):
    """One Twilio call: the agent leg is the parent, the contact leg the child that `<Dial>` made."""

    class LegRole(models.TextChoices):
        """Whose phone."""

        AGENT = "agent", _("Rep")
        CONTACT = "contact", _("Contact")

    call = TenantKey(CallLog, on_delete=models.CASCADE, related_name="legs")
    role = models.CharField(max_length=8, choices=LegRole.choices)
    call_sid = models.CharField(max_length=34, null=True)
    parent_call_sid = models.CharField(max_length=34, null=True)
    status = models.CharField(max_length=12, choices=LegStatus.choices, null=True)
    started_at = models.DateTimeField(null=True)
    answered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    duration_seconds = models.PositiveIntegerField(null=True)
    sip_response_code = models.PositiveIntegerField(null=True)

    class Meta(TenantModel.Meta):
        ordering = ["role"]
        constraints = [
            models.UniqueConstraint(fields=["call", "role"], name="one_leg_per_role"),
            models.UniqueConstraint(fields=["organization", "call_sid"], name="one_leg_per_sid"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.status}"


class JournalSource(models.TextChoices):
    """Where a fact comes from."""

    CALLBACK = "callback", _("Callback")
    POLL = "poll", _("Asked Twilio")
    OURS = "ours", _("Our own step")
    AUDIT = "audit", _("Nightly audit")


class JournalEntry(TenantRow):
    """One fact, kept verbatim: a callback from Twilio, Twilio's answer to a question, or a step of our own.

    The primary key is (call, digest of what was said), so a repeat is the same row, at whatever hour it comes.
    """

    pk = models.CompositePrimaryKey("call_id", "digest")
    # Written many times a second: its primary key leads with the call, and the call's key vouches for the organization.
    organization = models.ForeignKey(
        "crm.Organization", on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    call = TenantKey(CallLog, on_delete=models.CASCADE, related_name="journal", db_index=False)
    digest = models.CharField(max_length=32)
    source = models.CharField(max_length=8, choices=JournalSource.choices)
    kind = models.CharField(max_length=16)
    payload = models.JSONField()
    received_at = models.DateTimeField()
    applied_at = models.DateTimeField(null=True)
    # One that cannot be applied is set aside and tried again later and later, until it is dead.
    failures = models.PositiveSmallIntegerField(default=0, db_default=0)
    last_error = models.CharField(max_length=200, default="", db_default="")
    retry_at = models.DateTimeField(null=True)

    class Meta(TenantRow.Meta):
        verbose_name = _("journal entry")
        verbose_name_plural = _("journal entries")

    def __str__(self) -> str:
        return f"{self.source} {self.kind}"


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


class DueCall(models.Model):
    """A call that somebody must look at again, and when: the sweeper's list, and the only table of calls without a
    policy. It tells that a call exists, and nothing of it.
    """

    call_id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organization_id = models.UUIDField()
    due_at = models.DateTimeField(null=True, help_text=_("Empty: nothing but dead facts keep this note."))
    is_live = models.BooleanField(default=False, db_default=False, help_text=_("The conversation is not over."))
    asked = models.PositiveSmallIntegerField(default=0)
    failures = models.PositiveSmallIntegerField(default=0)
    last_error = models.CharField(max_length=500, blank=True)
    unapplied_since = models.DateTimeField(null=True, help_text=_("When the oldest fact came that no worker applied."))
    aside_since = models.DateTimeField(
        null=True, help_text=_("When the oldest fact came that failed, and waits for its next try.")
    )
    dead = models.PositiveSmallIntegerField(
        default=0, db_default=0, help_text=_("How many facts could not be applied for good.")
    )

    class Meta:
        verbose_name = _("due call")
        verbose_name_plural = _("due calls")
        indexes = [
            models.Index(
                fields=["organization_id", "unapplied_since"],
                name="calls_unapplied",
                condition=Q(unapplied_since__isnull=False),
            ),
            models.Index(fields=["organization_id", "due_at"], name="calls_due_fairly"),
        ]

    def __str__(self) -> str:
        return str(self.call_id)
