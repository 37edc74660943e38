"""The REST endpoints of calls: the list, one call, and what can be done to it."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from calls import access, queries
from calls.filters import CallFilter
from calls.models import CallLog, Leg
from calls.sentences import error_sentence
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from calls.services.wrap_up import LONGEST_NOTE, wrap_up
from crm import tenancy
from crm.api import KeysetPages
from crm.doors import in_organization, member_of

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    description="Up to 200 characters. The same key with the same body answers the same call, for 24 hours.",
)


class LegSerializer(serializers.ModelSerializer[Leg]):
    """One of a call's two legs; times in UTC, durations in seconds."""

    class Meta:
        model = Leg
        fields = [
            "role",
            "call_sid",
            "parent_call_sid",
            "status",
            "started_at",
            "answered_at",
            "ended_at",
            "duration_seconds",
            "sip_response_code",
            "price",
            "price_unit",
        ]
        read_only_fields = fields


class CallSerializer(serializers.ModelSerializer[CallLog]):
    """A call log; `duration_seconds` is talk time, `status` is the conversation's and not a leg's."""

    organization = serializers.UUIDField(source="organization_id")
    contact = serializers.UUIDField(source="contact_id", allow_null=True)
    opportunity = serializers.UUIDField(source="opportunity_id", allow_null=True)
    user = serializers.UUIDField(source="user_id", allow_null=True)
    error_message = serializers.SerializerMethodField()
    legs = LegSerializer(many=True)

    class Meta:
        model = CallLog
        fields = [
            "id",
            "organization",
            "contact",
            "opportunity",
            "user",
            "direction",
            "is_test",
            "status",
            "stage",
            "confirmed",
            "from_number",
            "to_number",
            "call_sid",
            "parent_call_sid",
            "started_at",
            "answered_at",
            "ended_at",
            "duration_seconds",
            "unanswered_by",
            "ended_by",
            "error_code",
            "error_message",
            "recording_url",
            "recording_sid",
            "recording_duration",
            "price",
            "price_unit",
            "notes",
            "disposition",
            "created_at",
            "updated_at",
            "legs",
        ]
        read_only_fields = fields

    def get_error_message(self, call: CallLog) -> str:
        """A sentence with cause and fix, in the language of the request."""
        return error_sentence(call)


class StartSerializer(serializers.Serializer[Any]):
    """What to call: a contact, a number, or one of a contact's numbers."""

    contact = serializers.UUIDField(required=False, allow_null=True)
    to = serializers.CharField(required=False, allow_blank=True, max_length=40)
    opportunity = serializers.UUIDField(required=False, allow_null=True)
    caller_id = serializers.CharField(required=False, allow_blank=True, max_length=40)
    record = serializers.BooleanField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """One of `contact` and `to` there must be."""
        if not attrs.get("contact") and not attrs.get("to"):
            raise ValidationError({"to": "Say whom to call: a contact, a number, or both."}, code="required")
        return attrs


class WrapUpSerializer(serializers.ModelSerializer[CallLog]):
    """How a conversation went."""

    notes = serializers.CharField(allow_blank=True, max_length=LONGEST_NOTE, trim_whitespace=False)

    class Meta:
        model = CallLog
        fields = ["disposition", "notes"]


class MyCalls(generics.GenericAPIView[CallLog]):
    """The calls that I may see, and what they can be narrowed by."""

    serializer_class = CallSerializer
    filterset_class = CallFilter
    pagination_class = KeysetPages

    def get_queryset(self) -> Any:
        """A rep's own calls, or the team's."""
        if getattr(self, "swagger_fake_view", False):  # the OpenAPI document is made without a member
            return QuerySet(CallLog).none()
        return queries.calls(member_of(self.request))


class CallList(MyCalls):
    """The calls that I may see, and the button that starts one."""

    @extend_schema(operation_id="calls_list", responses=CallSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List calls, newest first."""
        page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
        return self.get_paginated_response(CallSerializer(page, many=True).data)

    @extend_schema(
        operation_id="calls_start",
        parameters=[IDEMPOTENCY_KEY],
        request=StartSerializer,
        responses={201: CallSerializer},
        filters=False,
    )
    def post(self, request: Request) -> Response:
        """Ring my phone, then the contact's. Answers as soon as Twilio has taken the call, or did not answer in time.

        Not inside a transaction: the service commits the row before it asks Twilio.
        """
        wanted = StartSerializer(data=request.data)
        wanted.is_valid(raise_exception=True)
        key = request.headers.get("Idempotency-Key") or None
        member = member_of(request)
        call_id, created = start_call(
            member=member,
            contact_id=wanted.validated_data.get("contact"),
            to=wanted.validated_data.get("to", ""),
            opportunity_id=wanted.validated_data.get("opportunity"),
            caller_id=wanted.validated_data.get("caller_id", ""),
            record=wanted.validated_data.get("record"),
            idempotency_key=key,
        )
        return _started(member, call_id, created)


class TestCall(generics.GenericAPIView[CallLog]):
    """The button that checks my phone."""

    serializer_class = CallSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(
        operation_id="me_test_call", parameters=[IDEMPOTENCY_KEY], request=None, responses={201: CallSerializer}
    )
    def post(self, request: Request) -> Response:
        """Ring my own phone, and nobody else's; when a key is pressed there, it is checked.

        Not inside a transaction: the service commits the row before it asks Twilio.
        """
        member = member_of(request)
        key = request.headers.get("Idempotency-Key") or None
        return _started(member, *start_test_call(member=member, idempotency_key=key))


def _started(member: Any, call_id: UUID, created: bool) -> Response:
    headers = {} if created else {"Idempotency-Replayed": "true"}
    return Response(_call(member, call_id), status=status.HTTP_201_CREATED, headers=headers)


def _call(member: Any, call_id: UUID) -> Any:
    with tenancy.inside(member.organization_id):
        return CallSerializer(access.get_call(member, call_id)).data


class CallDetail(generics.GenericAPIView[CallLog]):
    """One call."""

    serializer_class = CallSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(operation_id="calls_retrieve")
    def get(self, request: Request, call_id: UUID) -> Response:
        """Return the call as it stands."""
        return Response(_call(member_of(request), call_id))

    @extend_schema(operation_id="calls_wrap_up", request=WrapUpSerializer(partial=True), responses=CallSerializer)
    def patch(self, request: Request, call_id: UUID) -> Response:
        """Write down how it went: `disposition` once it is over (“do_not_call” marks the contact), `notes` always."""
        _call(member_of(request), call_id)
        given = WrapUpSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        wrap_up(member=member_of(request), call_id=call_id, **given.validated_data)
        return Response(_call(member_of(request), call_id))


class CallHangup(generics.GenericAPIView[CallLog]):
    """The hang-up button."""

    serializer_class = CallSerializer
    pagination_class = None
    filter_backends = []

    @extend_schema(operation_id="calls_hangup", request=None, responses=CallSerializer)
    def post(self, request: Request, call_id: UUID) -> Response:
        """End both legs, whatever state they are in. Not inside a transaction: it asks Twilio."""
        member = member_of(request)
        hang_up(member=member, call_id=call_id)
        return Response(_call(member, call_id))
