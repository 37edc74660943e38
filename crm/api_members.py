"""The REST endpoints of the organization, its members and its invitations."""

from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from crm import access, invitations, members, queries
from crm.api import KeysetPages
from crm.doors import in_organization, member_of
from crm.models import Invitation, Membership, Organization, Role


class OrganizationSerializer(serializers.ModelSerializer[Organization]):
    """The organization that the token or the session is for."""

    name = serializers.CharField(max_length=200)
    region = serializers.CharField(max_length=2, help_text="ISO 3166; how numbers without a country code are read.")
    requires_mfa = serializers.BooleanField(help_text="Whether members need a second factor to log in to the pages.")

    class Meta:
        model = Organization
        fields = ["id", "name", "slug", "region", "requires_mfa", "created_at"]
        read_only_fields = ["id", "slug", "created_at"]


class OrganizationDetail(generics.GenericAPIView[Organization]):
    """The organization itself."""

    serializer_class = OrganizationSerializer
    pagination_class = None

    @extend_schema(operation_id="organization_retrieve")
    def get(self, request: Request) -> Response:
        """Return it."""
        return Response(OrganizationSerializer(member_of(request).organization).data)

    @extend_schema(operation_id="organization_update")
    def patch(self, request: Request) -> Response:
        """Change its name, country, or whether members need a second factor. Admins only."""
        access.require_admin(member_of(request))
        given = OrganizationSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = members.change_organization(by=member_of(request), **given.validated_data)
        return Response(OrganizationSerializer(changed).data)


class MemberSerializer(serializers.ModelSerializer[Membership]):
    """Who is, or was, a member."""

    user = serializers.UUIDField(source="user_id", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    role = serializers.ChoiceField(choices=Role.choices)
    phone_number = serializers.CharField(max_length=40, allow_blank=True, help_text="Rung first on every call.")
    caller_id = serializers.CharField(
        max_length=40, allow_blank=True, help_text="What their contacts see; empty for the organization's."
    )
    is_active = serializers.BooleanField()
    has_second_factor = serializers.BooleanField(read_only=True)

    class Meta:
        model = Membership
        fields = [
            *("id", "user", "email", "name", "role", "phone_number", "phone_checked_at", "caller_id"),
            *("is_active", "has_second_factor", "created_at"),
        ]
        read_only_fields = ["id", "phone_checked_at", "created_at"]


class MemberPages(KeysetPages):
    """Members come as they joined."""

    ordering = "id"


class MemberList(generics.GenericAPIView[Membership]):
    """The organization's members."""

    serializer_class = MemberSerializer
    pagination_class = MemberPages
    filter_backends = []

    @extend_schema(operation_id="members_list", responses=MemberSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List them, also those who are not active any more. Managers and admins."""
        access.require_manager(member_of(request))
        page = self.paginate_queryset(queries.members(member_of(request)))
        return self.get_paginated_response(MemberSerializer(page, many=True).data)


class MemberDetail(generics.GenericAPIView[Membership]):
    """One member."""

    serializer_class = MemberSerializer
    pagination_class = None

    @extend_schema(operation_id="members_retrieve")
    @in_organization
    def get(self, request: Request, member_id: UUID) -> Response:
        """Return one member. Managers and admins."""
        access.get_member(member_of(request), member_id)
        access.require_manager(member_of(request))
        return self._shown(request, member_id)

    @extend_schema(operation_id="members_update")
    @in_organization
    def patch(self, request: Request, member_id: UUID) -> Response:
        """Change a role, a phone, a caller ID, or end a membership at once: `is_active`. Admins only.

        Who is made inactive is logged out, their tokens are revoked, and their calls end as they would have.
        """
        access.get_member(member_of(request), member_id)
        access.require_admin(member_of(request))
        given = MemberSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        members.change_member(by=member_of(request), member_id=member_id, **given.validated_data)
        return self._shown(request, member_id)

    def _shown(self, request: Request, member_id: UUID) -> Response:
        return Response(MemberSerializer(queries.members(member_of(request)).get(pk=member_id)).data)


class InvitationSerializer(serializers.ModelSerializer[Invitation]):
    """An invitation that nobody has accepted yet; its link is in the e-mail only."""

    email = serializers.CharField(max_length=254)
    role = serializers.ChoiceField(choices=Role.choices, default=Role.REP)
    invited_by = serializers.UUIDField(source="invited_by_id", read_only=True, allow_null=True)

    class Meta:
        model = Invitation
        fields = ["id", "email", "role", "invited_by", "created_at", "sent_at", "expires_at"]
        read_only_fields = ["id", "created_at", "sent_at", "expires_at"]


class InvitationList(generics.GenericAPIView[Invitation]):
    """The organization's open invitations."""

    serializer_class = InvitationSerializer
    pagination_class = KeysetPages
    filter_backends = []

    @extend_schema(operation_id="invitations_list", responses=InvitationSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List them, the newest first. Admins only."""
        access.require_admin(member_of(request))
        page = self.paginate_queryset(access.open_invitations(member_of(request)))
        return self.get_paginated_response(InvitationSerializer(page, many=True).data)

    @extend_schema(operation_id="invitations_create", responses={201: InvitationSerializer})
    def post(self, request: Request) -> Response:
        """Send somebody an invitation by e-mail, good for a week; an earlier one of theirs ends. Admins only."""
        access.require_admin(member_of(request))
        given = InvitationSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = invitations.invite(by=member_of(request), **given.validated_data)
        return Response(InvitationSerializer(made).data, status=status.HTTP_201_CREATED)


class InvitationDetail(generics.GenericAPIView[Invitation]):
    """One open invitation."""

    serializer_class = InvitationSerializer
    pagination_class = None

    @extend_schema(operation_id="invitations_withdraw", responses={204: None})
    @in_organization
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        """Withdraw it: its link leads nowhere any more. Admins only."""
        access.get_invitation(member_of(request), invitation_id)
        invitations.withdraw(by=member_of(request), invitation_id=invitation_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationSend(generics.GenericAPIView[Invitation]):
    """One open invitation's e-mail."""

    serializer_class = InvitationSerializer
    pagination_class = None

    @extend_schema(operation_id="invitations_send", request=None)
    def post(self, request: Request, invitation_id: UUID) -> Response:
        """Send it again, with a new link and another week; the old link ends. Admins only."""
        in_organization(_found)(request, invitation_id)
        sent = invitations.send_again(by=member_of(request), invitation_id=invitation_id)
        return Response(InvitationSerializer(sent).data)


def _found(request: Request, invitation_id: UUID) -> Invitation:
    return access.get_invitation(member_of(request), invitation_id)
