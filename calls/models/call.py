"""The call log and its legs."""

from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calls.models.fence import money
from crm.models import Contact, Opportunity, User
from crm.tenancy import MemberKey, TenantKey, TenantModel


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


class Disposition(models.TextChoices):
    """What the rep says became of the call: first what came to no conversation, then how one went."""

    NO_ANSWER = "no_answer", _("No answer")
    BUSY = "busy", _("Busy")
    VOICEMAIL = "voicemail", _("Left voicemail")
    WRONG_NUMBER = "wrong_number", _("Wrong number")
    INTERESTED = "interested", _("Interested")
    NOT_INTERESTED = "not_interested", _("Not interested")
    CALL_BACK = "call_back", _("Call back")
    MEETING = "meeting", _("Meeting booked")
    DO_NOT_CALL = "do_not_call", _("Do not call")


NOT_CONNECTED = (Disposition.NO_ANSWER, Disposition.BUSY, Disposition.VOICEMAIL, Disposition.WRONG_NUMBER)


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
    price = money(null=True, help_text=_("Of its legs together, once all are known. Recordings are not in it."))
    price_unit = models.CharField(max_length=3, null=True, help_text="ISO 4217.")
    # Its part of the spend of `charged_on`: reserved when it starts, its price in the end.
    charge = money(null=True)
    charged_on = models.DateField(null=True)
    minute_rate = money(null=True, help_text="What a minute is taken to cost until the price is known; frozen.")
    notes = models.TextField(_("notes"), blank=True)
    disposition = models.CharField(_("outcome"), max_length=40, blank=True, choices=Disposition.choices)
    rings_for_seconds = models.PositiveSmallIntegerField(default=30)
    is_recorded = models.BooleanField(default=True, help_text=_("Frozen when the call starts."))
    language = models.CharField(max_length=10, default="en", help_text=_("What the rep is spoken to in."))
    # Of the rep's own phone, which is both numbers, and of nobody else's: no contact is dialled, nothing is recorded.
    is_test = models.BooleanField(default=False, db_default=False)
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
            models.Index(fields=["organization", "created_at"], name="calls_of_some_days"),
            models.Index(
                fields=["organization", "-id"],
                condition=Q(disposition="", stage="ended", is_test=False),
                name="calls_whose_outcome_is_owed",
            ),
            models.Index(fields=["organization", "-id"], condition=Q(status__in=LIVE), name="calls_under_way"),
            GinIndex(
                fields=["organization", "to_number", "from_number"],
                opclasses=["uuid_ops", "gin_trgm_ops", "gin_trgm_ops"],
                name="calls_by_part_of_a_number",
            ),
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
    price = money(null=True)
    price_unit = models.CharField(max_length=3, null=True, help_text="ISO 4217.")

    class Meta(TenantModel.Meta):
        ordering = ["role"]
        constraints = [
            models.UniqueConstraint(fields=["call", "role"], name="one_leg_per_role"),
            models.UniqueConstraint(fields=["organization", "call_sid"], name="one_leg_per_sid"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.status}"
