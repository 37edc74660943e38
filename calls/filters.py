"""What the list of calls can be narrowed by."""

from datetime import UTC, datetime
from typing import Any

import django_filters
from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Q, QuerySet
from django_filters.fields import IsoDateTimeField

from calls.models import CallLog, CallStatus, Direction
from crm.numbers import digits_in


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


class CallFilter(django_filters.FilterSet):
    """Filters of `GET /api/v1/calls/`; times are ISO 8601, durations seconds."""

    status = django_filters.MultipleChoiceFilter(choices=CallStatus.choices)
    direction = django_filters.ChoiceFilter(choices=Direction.choices)
    contact = django_filters.UUIDFilter(field_name="contact_id")
    user = django_filters.UUIDFilter(field_name="user_id")
    has_recording = TrueOrFalseFilter(field_name="recording_sid", lookup_expr="isnull", exclude=True)
    created_after = MomentFilter(field_name="created_at", lookup_expr="gte")
    created_before = MomentFilter(field_name="created_at", lookup_expr="lt")
    is_test = TrueOrFalseFilter()
    search = django_filters.CharFilter(method="by_name_or_number")

    class Meta:
        model = CallLog
        fields: list[str] = []

    def filter_queryset(self, queryset: QuerySet[CallLog]) -> QuerySet[CallLog]:
        """Leave test calls out unless they are asked for."""
        wanted = self.form.cleaned_data["is_test"]
        return super().filter_queryset(queryset).filter(is_test=bool(wanted))

    def by_name_or_number(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """Match the contact's name, or part of either number as typed."""
        matches = Q(contact__name__icontains=value)
        digits = digits_in(value)
        if digits:
            matches |= Q(to_number__contains=digits) | Q(from_number__contains=digits)
        return queryset.filter(matches)
