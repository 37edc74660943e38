"""What the list of calls can be narrowed by."""

import django_filters
from django.db.models import Q, QuerySet

from calls.models import CallLog, CallStatus, Direction
from crm.numbers import digits_in


class CallFilter(django_filters.FilterSet):
    """Filters of `GET /api/v1/calls/`; times are ISO 8601, durations seconds."""

    status = django_filters.MultipleChoiceFilter(choices=CallStatus.choices)
    direction = django_filters.ChoiceFilter(choices=Direction.choices)
    contact = django_filters.UUIDFilter(field_name="contact_id")
    user = django_filters.UUIDFilter(field_name="user_id")
    has_recording = django_filters.BooleanFilter(field_name="recording_sid", lookup_expr="isnull", exclude=True)
    created_after = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="gte")
    created_before = django_filters.IsoDateTimeFilter(field_name="created_at", lookup_expr="lt")
    search = django_filters.CharFilter(method="by_name_or_number")

    class Meta:
        model = CallLog
        fields: list[str] = []

    def by_name_or_number(self, queryset: QuerySet[CallLog], name: str, value: str) -> QuerySet[CallLog]:
        """Match the contact's name, or part of either number as typed."""
        matches = Q(contact__name__icontains=value)
        digits = digits_in(value)
        if digits:
            matches |= Q(to_number__contains=digits) | Q(from_number__contains=digits)
        return queryset.filter(matches)
