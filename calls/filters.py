"""What the list of calls can be narrowed by: one set of filters for the REST list, the page and the file."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.db.models.functions import ExtractHour, ExtractIsoWeekDay
from django_filters.fields import IsoDateTimeField

from calls import queries
from calls.models import LIVE, CallLog, CallStatus, Direction, Disposition, Party
from crm.contacts import UnknownTimeZone, time_zones
from crm.numbers import digits_in
from crm.search import SHORTEST

LONGEST_SEARCH = 100
LONGEST_CALL = 2**31 - 1  # seconds that PostgreSQL's integer holds


class MomentField(IsoDateTimeField):
    """A time with any offset, as UTC; one that UTC cannot hold, before the year 1 or after 9999, is none."""

    def to_python(self, value: Any) -> datetime | None:
        """Read it. Raises: ValidationError."""
        moment: datetime | None = super().to_python(value)
        try:
            return moment.astimezone(UTC) if moment else None
        except OverflowError as error:
            raise ValidationError(self.error_messages["invalid"], code="invalid") from error


class MomentFilter(django_filters.IsoDateTimeFilter):
    """By a time."""

    field_class = MomentField


class TrueOrFalseField(forms.NullBooleanField):
    """`true` or `false`; anything else is an error and not taken for no filter at all."""

    widget = forms.TextInput

    def to_python(self, value: Any) -> bool | None:  # type: ignore[override]  # as NullBooleanField itself
        """Read it; None when it is empty. Raises: ValidationError."""
        found = super().to_python(value)
        if found is None and value:
            message = forms.ChoiceField.default_error_messages["invalid_choice"]
            raise ValidationError(message, code="invalid_choice", params={"value": value})
        return found


class TrueOrFalseFilter(django_filters.BooleanFilter):
    """By yes or no."""

    field_class = TrueOrFalseField


class SecondsFilter(django_filters.NumberFilter):
    """By whole seconds of talk time."""

    field_class = forms.IntegerField

    def __init__(self, lookup_expr: str) -> None:
        limits = {"min_value": 0, "max_value": LONGEST_CALL}
        super().__init__(field_name="duration_seconds", lookup_expr=lookup_expr, **limits)

    def get_max_validator(self) -> None:
        """The limits above are the field's own."""


def known_zone(name: str) -> None:
    """Raises: ValidationError unless there is such a time zone."""
    if name not in time_zones():
        raise ValidationError(UnknownTimeZone.message, code=UnknownTimeZone.code)


class CallFilter(django_filters.FilterSet):
    """Filters of `GET /api/v1/calls/`; times are ISO 8601, durations seconds of talk time."""

    status = django_filters.MultipleChoiceFilter(choices=CallStatus.choices)
    direction = django_filters.ChoiceFilter(choices=Direction.choices)
    contact = django_filters.UUIDFilter(field_name="contact_id")
    user = django_filters.UUIDFilter(field_name="user_id")
    number = django_filters.CharFilter(
        method="by_number", max_length=LONGEST_SEARCH, help_text="Part of the contact's number or of the caller ID."
    )
    disposition = django_filters.MultipleChoiceFilter(choices=Disposition.choices)
    is_live = TrueOrFalseFilter(method="by_life", help_text="Whether the call is under way.")
    needs_outcome = TrueOrFalseFilter(
        method="by_debt", help_text="Whether the call is over and its rep has not said how it went."
    )
    unanswered_by = django_filters.MultipleChoiceFilter(choices=Party.choices)
    duration_min = SecondsFilter("gte")
    duration_max = SecondsFilter("lte")
    has_recording = TrueOrFalseFilter(field_name="recording_sid", lookup_expr="isnull", exclude=True)
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    weekday = django_filters.ChoiceFilter(
        choices=[(str(day), str(day)) for day in range(1, 8)],
        method="by_clock",
        help_text="The day of the week that the call was started on in `zone`, from Monday, 1.",
    )
    hour = django_filters.ChoiceFilter(
        choices=[(str(hour), str(hour)) for hour in range(24)],
        method="by_clock",
        help_text="The hour of the day that the call was started in, by the clocks of `zone`.",
    )
    zone = django_filters.CharFilter(
        method="of_clocks",
        validators=[known_zone],
        help_text="Whose clocks `weekday` and `hour` are read off, such as America/Sao_Paulo; UTC unless it is said.",
    )
    is_test = TrueOrFalseFilter()
    search = django_filters.CharFilter(
        method="by_name_or_number", help_text="Part of the contact's name, or of either number, as typed."
    )

    class Meta:
        model = CallLog
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[CallLog]) -> QuerySet[CallLog]:
        """Leave test calls out unless they are asked for."""
        wanted = self.form.cleaned_data["is_test"]
        return super().filter_queryset(queryset).filter(is_test=bool(wanted))

    def by_name_or_number(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """Match the contact's name, or part of either number as typed; of “Rua 9”, the 9 is no part of a number."""
        digits = digits_in(value)
        if len(digits) < SHORTEST and any(letter.isalpha() for letter in value):
            digits = ""
        return queries.matching(queryset, name=value, digits=digits)

    def by_number(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """Match part of either number; what has no digit in it is no number's part."""
        digits = digits_in(value)
        return queries.matching(queryset, digits=digits) if digits else queryset.none()

    def by_life(self, queryset: QuerySet[CallLog], name: str, value: bool) -> QuerySet[CallLog]:
        """Match the calls that are under way, or those that are over."""
        return queryset.filter(status__in=LIVE) if value else queryset.exclude(status__in=LIVE)

    def by_clock(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """Match the calls that were started at this hour, or on this day of the week, by the zone's clocks."""
        zone = ZoneInfo(self.form.cleaned_data.get("zone") or "UTC")
        part: Any = ExtractHour if name == "hour" else ExtractIsoWeekDay
        return queryset.alias(**{name: part("created_at", tzinfo=zone)}).filter(**{name: int(value)})

    def of_clocks(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """A zone alone narrows nothing."""
        return queryset

    def by_debt(self, queryset: QuerySet[CallLog], name: str, value: bool) -> QuerySet[CallLog]:
        """Match the calls whose outcome is owed, or all the others."""
        return queryset.filter(queries.OWED) if value else queryset.exclude(queries.OWED)
