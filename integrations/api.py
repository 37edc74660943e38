"""The REST endpoints of an organization's Twilio account: for its admins. Secrets go in and never come out."""

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from crm import tenancy
from crm.access import require_admin
from crm.doors import in_organization, member_of
from crm.models import Membership
from integrations import access, checks
from integrations.models import Number, TwilioAccount
from integrations.services.connect import connect_twilio, refuse_bad_token
from integrations.services.rotate import promote_token, set_next_token
from integrations.twilio.errors import TwilioNotConnected


class FindingSerializer(serializers.Serializer[Any]):
    """One finding of a verification."""

    check = serializers.CharField()
    result = serializers.ChoiceField(["ok", "warning", "failed", "unknown"])
    code = serializers.CharField()
    sentence = serializers.CharField()
    twilio_code = serializers.IntegerField(allow_null=True)


class TwilioSerializer(serializers.ModelSerializer[TwilioAccount]):
    """The account without its secrets; `verified_by_webhook_at` is when a signature of it was first found valid."""

    has_next_auth_token = serializers.SerializerMethodField()
    has_api_key_secret = serializers.SerializerMethodField()
    checks = serializers.SerializerMethodField()
    webhook_address = serializers.SerializerMethodField()
    verified_by_webhook_at = serializers.DateTimeField(source="signed_at", allow_null=True)
    last_rejected_why = serializers.SerializerMethodField()

    class Meta:
        model = TwilioAccount
        fields = [
            "account_sid",
            "has_next_auth_token",
            "api_key_sid",
            "has_api_key_secret",
            "region",
            "edge",
            "default_caller_id",
            "confirms_with_key",
            "records_calls",
            "ring_seconds",
            "checks",
            "checked_at",
            "webhook_address",
            "verified_by_webhook_at",
            "next_signed_at",
            "last_callback_at",
            "last_rejected_at",
            "last_rejected_why",
            "updated_at",
        ]
        read_only_fields = fields

    def get_has_next_auth_token(self, account: TwilioAccount) -> bool:
        """Whether a second token is accepted."""
        return bool(account.sealed_next_auth_token)

    def get_has_api_key_secret(self, account: TwilioAccount) -> bool:
        """Whether REST requests are made with an API key."""
        return bool(account.sealed_api_key_secret)

    @extend_schema_field(FindingSerializer(many=True))
    def get_checks(self, account: TwilioAccount) -> Any:
        """What the last verification found, worded in the language of the request."""
        return FindingSerializer(checks.worded(account.checks), many=True).data

    def get_webhook_address(self, account: TwilioAccount) -> str:
        """Where all of this organization's callbacks come to."""
        return webhook_address(account)

    def get_last_rejected_why(self, account: TwilioAccount) -> str:
        """Why the last refused callback was refused."""
        return checks.refusal_of(account.last_rejected_why)


def webhook_address(account: TwilioAccount) -> str:
    """Return where all callbacks of an organization come to, without the part that names a call."""
    return f"{settings.PUBLIC_BASE_URL}/webhooks/twilio/{account.organization_id}/"


class ConnectSerializer(serializers.Serializer[Any]):
    """What connects an account; a secret that is left out stays as it is."""

    account_sid = serializers.CharField(max_length=34)
    auth_token = serializers.CharField(max_length=128, required=False, allow_blank=True, write_only=True)
    api_key_sid = serializers.CharField(max_length=34, required=False, allow_blank=True)
    api_key_secret = serializers.CharField(max_length=128, required=False, allow_blank=True, write_only=True)
    region = serializers.CharField(max_length=8, required=False, allow_blank=True)
    edge = serializers.CharField(max_length=20, required=False, allow_blank=True)
    default_caller_id = serializers.CharField(max_length=40)
    confirms_with_key = serializers.BooleanField(required=False)
    records_calls = serializers.BooleanField(required=False)
    ring_seconds = serializers.IntegerField(min_value=5, max_value=120, required=False)


class NextTokenSerializer(serializers.Serializer[Any]):
    """Twilio's secondary auth token."""

    auth_token = serializers.CharField(max_length=128, write_only=True)


class PromoteSerializer(serializers.Serializer[Any]):
    """Whether to drop the old token although Twilio has not signed with the next one yet."""

    now = serializers.BooleanField(default=False)


class CallerIdSerializer(serializers.ModelSerializer[Number]):
    """A number that calls may come from."""

    class Meta:
        model = Number
        fields = ["number", "kind", "name", "has_voice"]
        read_only_fields = fields


class _Admins(generics.GenericAPIView[Any]):
    """What only the organization's admins may do."""

    pagination_class = None
    filter_backends = []

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse everybody else before the handler."""
        super().initial(request, *args, **kwargs)
        require_admin(member_of(request))


def _shown(member: Membership) -> Response:
    with tenancy.inside(member.organization_id):
        account = access.account_of(member.organization_id)
        if account is None:
            raise TwilioNotConnected
        return Response(TwilioSerializer(account).data)


class Twilio(_Admins):
    """The organization's Twilio account."""

    serializer_class = TwilioSerializer

    @extend_schema(operation_id="twilio_retrieve", responses=TwilioSerializer)
    def get(self, request: Request) -> Response:
        """Return it; 409 `twilio_not_connected` before there is one."""
        return _shown(member_of(request))

    @extend_schema(operation_id="twilio_connect", request=ConnectSerializer, responses=TwilioSerializer)
    def put(self, request: Request) -> Response:
        """Connect an account, or change it. Nothing is asked of Twilio: `verify/` does."""
        given = ConnectSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        member = member_of(request)
        connect_twilio(organization=member.organization, by=member, **given.validated_data)
        return _shown(member)


class Verify(_Admins):
    """Is the account ready to call?"""

    serializer_class = TwilioSerializer

    @extend_schema(operation_id="twilio_verify", request=None, responses=TwilioSerializer)
    def post(self, request: Request) -> Response:
        """Ask Twilio, without placing a call; import the account's numbers."""
        member = member_of(request)
        checks.verify(member.organization_id)
        return _shown(member)


class NextToken(_Admins):
    """A second token beside the one in use."""

    serializer_class = NextTokenSerializer

    @extend_schema(operation_id="twilio_next_token", request=NextTokenSerializer, responses=TwilioSerializer)
    def put(self, request: Request) -> Response:
        """Accept Twilio's secondary token as well, once Twilio has."""
        given = NextTokenSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        member, token = member_of(request), given.validated_data["auth_token"]
        refuse_bad_token(token, field="auth_token")
        checks.try_token(member.organization_id, token)
        set_next_token(organization=member.organization, next_auth_token=token, by=member)
        return _shown(member)

    @extend_schema(operation_id="twilio_forget_next_token", responses={204: None})
    def delete(self, request: Request) -> Response:
        """Forget it again."""
        member = member_of(request)
        set_next_token(organization=member.organization, next_auth_token="", by=member)
        return Response(status=status.HTTP_204_NO_CONTENT)


class Promote(_Admins):
    """The end of a rotation."""

    serializer_class = PromoteSerializer

    @extend_schema(operation_id="twilio_promote", request=PromoteSerializer, responses=TwilioSerializer)
    def post(self, request: Request) -> Response:
        """Drop the old token. It happens by itself some minutes after Twilio first signed with the new one."""
        given = PromoteSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        member = member_of(request)
        promote_token(organization=member.organization, now=given.validated_data["now"], by=member)
        return _shown(member)


class Numbers(_Admins):
    """The numbers that calls may come from."""

    serializer_class = CallerIdSerializer

    @extend_schema(operation_id="twilio_numbers", responses=CallerIdSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List what the last verification found; it is repeated every day."""
        return Response(CallerIdSerializer(access.numbers_of(member_of(request).organization_id), many=True).data)
