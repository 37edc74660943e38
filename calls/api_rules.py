"""The REST endpoint of an organization's rules of calling."""

from datetime import UTC, datetime, time, timedelta
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from calls import queries
from calls.models import CallRules, DaySpend
from calls.services.rules import LIMITS, MOST, MOST_DAYS, MOST_SPEND, set_rules
from crm.access import require_admin
from crm.doors import in_organization, member_of
from crm.errors import NotAllowed
from crm.models import Role

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class DaysField(serializers.MultipleChoiceField):
    """The days on which calls are made, by name; a bit each in the row."""

    def to_representation(self, value: Any) -> Any:
        """Name them, in order."""
        return [name for place, name in enumerate(DAYS) if value >> place & 1]

    def to_internal_value(self, data: Any) -> Any:
        """Read their names."""
        return sum(1 << DAYS.index(name) for name in super().to_internal_value(data))


class RulesSerializer(serializers.ModelSerializer[CallRules]):
    """What is refused before a call is made; times at the contact's clock, limits per minute and day (UTC)."""

    allowed_countries = serializers.ListField(child=serializers.CharField(max_length=2), max_length=300)
    days = DaysField(choices=DAYS, allow_empty=False)

    class Meta:
        model = CallRules
        fields = [
            "allowed_countries",
            "allows_costly_numbers",
            "calls_from",
            "calls_until",
            "days",
            "requires_outcome",
            "rep_decides_recording",
            "recording_days",
            "may_play",
            "may_download",
            *LIMITS,
            "daily_spend_cap",
            "updated_at",
        ]
        read_only_fields = ["updated_at"]
        extra_kwargs = {name: {"min_value": 0, "max_value": MOST} for name in LIMITS} | {
            "recording_days": {"min_value": 1, "max_value": MOST_DAYS},
            "daily_spend_cap": {"min_value": 0, "max_value": MOST_SPEND},
        }


class Rules(generics.GenericAPIView[CallRules]):
    """The organization's rules of calling."""

    serializer_class = RulesSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(operation_id="rules_retrieve", responses=RulesSerializer)
    @in_organization
    def get(self, request: Request) -> Response:
        """Return them: every member may know why a call is refused."""
        return Response(RulesSerializer(queries.rules()).data)

    @extend_schema(operation_id="rules_update", request=RulesSerializer(partial=True), responses=RulesSerializer)
    def patch(self, request: Request) -> Response:
        """Change some of them: for admins. They count from the next call on."""
        require_admin(member_of(request))
        given = RulesSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        rules = set_rules(organization=member_of(request).organization, by=member_of(request), **given.validated_data)
        return Response(RulesSerializer(rules).data)


class SpendSerializer(serializers.Serializer[Any]):
    """Where today's money stands (UTC): prices, and what calls without one are taken to cost. Without recordings."""

    day = serializers.DateField()
    resets_at = serializers.DateTimeField(help_text="When the next day begins.")
    spent = serializers.DecimalField(max_digits=14, decimal_places=5)
    unit = serializers.CharField(allow_null=True, help_text="ISO 4217; null until Twilio has named a price.")
    daily_spend_cap = serializers.DecimalField(max_digits=11, decimal_places=2, allow_null=True)


class Spend(generics.GenericAPIView[DaySpend]):
    """What today's calls cost."""

    serializer_class = SpendSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(operation_id="spend_retrieve", responses=SpendSerializer)
    @in_organization
    def get(self, request: Request) -> Response:
        """Return it beside the limit: for managers and admins."""
        if not member_of(request).is_at_least(Role.MANAGER):
            raise NotAllowed
        today, cap = queries.spent_today(), queries.rules().daily_spend_cap
        resets_at = datetime.combine(today.day + timedelta(days=1), time.min, UTC)
        shown = {"day": today.day, "resets_at": resets_at, "spent": today.amount, "unit": today.unit}
        return Response(SpendSerializer(shown | {"daily_spend_cap": cap}).data)
