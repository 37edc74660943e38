"""The REST endpoint of an organization's rules of calling."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from calls import queries
from calls.models import CallRules
from calls.services.rules import LIMITS, MOST, MOST_DAYS, set_rules
from crm.access import require_admin
from crm.doors import in_organization, member_of

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
            "rep_decides_recording",
            "recording_days",
            "may_play",
            "may_download",
            *LIMITS,
            "updated_at",
        ]
        read_only_fields = ["updated_at"]
        extra_kwargs = {name: {"min_value": 0, "max_value": MOST} for name in LIMITS} | {
            "recording_days": {"min_value": 1, "max_value": MOST_DAYS}
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
