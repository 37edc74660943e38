"""Calling one contact after the other: a list as it was when it began, and how far its member has come."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from calls.models.call import CallLog
from crm.models import Contact, User
from crm.tenancy import MemberKey, TenantKey, TenantModel


class EntryState(models.TextChoices):
    """What became of one contact of a run."""

    WAITING = "waiting", _("Waiting")
    CALLED = "called", _("Called")
    SKIPPED = "skipped", _("Skipped")
    REFUSED = "refused", _("Not callable")


class Run(TenantModel):
    """A member's calls through a list; it outlives log-outs until the list is through, or somebody ends it."""

    user = MemberKey(User, on_delete=models.CASCADE, related_name="+")
    total = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        verbose_name = _("run")
        verbose_name_plural = _("runs")
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="run_is_addressed_with_its_organization"),
            models.UniqueConstraint(
                fields=["organization", "user"], condition=Q(ended_at=None), name="one_active_run_per_member"
            ),
        ]
        indexes = [models.Index(fields=["organization", "user", "-id"], name="runs_of_a_member")]

    def __str__(self) -> str:
        return f"{self.total}"


class RunEntry(TenantModel):
    """One contact of a run, at its place."""

    run = TenantKey(Run, on_delete=models.CASCADE, related_name="entries")
    position = models.PositiveIntegerField()
    contact = TenantKey(Contact, on_delete=models.CASCADE, related_name="+")
    state = models.CharField(max_length=8, choices=EntryState.choices, default=EntryState.WAITING)
    reason = models.CharField(max_length=60, blank=True, help_text="The code of why it could not be called.")
    call = TenantKey(CallLog, on_delete=models.SET_NULL, null=True, related_name="+")
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["run", "position"], name="one_contact_per_place_in_a_run"),
            models.UniqueConstraint(fields=["run", "contact"], name="a_run_has_a_contact_once"),
        ]
        indexes = [models.Index(fields=["organization", "run", "state", "position"], name="entries_of_a_run")]

    def __str__(self) -> str:
        return f"{self.position} {self.state}"
