"""The journal of facts, and the sweeper's list."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from calls.models.call import CallLog
from crm.tenancy import TenantKey, TenantRow


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
    only_price = models.BooleanField(
        default=False, db_default=False, help_text=_("Nothing but the price is still to come.")
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
