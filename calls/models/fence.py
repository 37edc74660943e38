"""The rules of calling, and what is counted to keep them: calls and money."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from crm.models import Role
from crm.tenancy import TenantModel

WEEK = 0b1111111


def money(**options: Any) -> "models.DecimalField[Any, Any]":
    """A column for what something costs, as precise as Twilio's prices."""
    return models.DecimalField(max_digits=14, decimal_places=5, **options)


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
    daily_spend_cap = models.DecimalField(
        _("spending in a day"),
        max_digits=11,
        decimal_places=2,
        null=True,
        blank=True,
        default=Decimal(200),
        db_default=Decimal(200),
        help_text=_("In the currency of the Twilio account; empty: no limit."),
    )
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
    requires_outcome = models.BooleanField(
        _("outcome before the next call"), default=False, db_default=False, help_text=_("Of whoever made the call.")
    )
    requires_outcome_since = models.DateTimeField(null=True, help_text="Of calls from then on.")
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


class DaySpend(TenantModel):
    """What the calls of a day (UTC) cost: prices, and what is reserved for those that have none yet.

    Each call's part of it is its `charge`, written in the same transaction: taken by a conditional update in the one
    that inserts the call, and given back or replaced by the price in those that fold its facts.
    """

    day = models.DateField()
    amount = money(default=0)
    unit = models.CharField(max_length=3, blank=True, help_text="ISO 4217; empty until the first price.")

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["organization", "day"], name="one_spend_per_day")]


class MinuteRate(TenantModel):
    """The most that a minute of a leg to a country cost on a day (UTC): what the next one is taken to cost."""

    country = models.CharField(max_length=2, blank=True, help_text="ISO 3166; empty for a satellite.")
    is_costly = models.BooleanField(help_text="Premium, shared-cost, personal or satellite.")
    day = models.DateField()
    amount = money()

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "country", "is_costly", "day"], name="one_rate_per_destination_and_day"
            )
        ]
