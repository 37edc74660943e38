"""The REST endpoints of contacts and opportunities."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from crm import access, contacts, queries
from crm.api import KeysetPages
from crm.doors import in_organization, member_of
from crm.models import Contact, ContactNumber, Opportunity


class NumberSerializer(serializers.ModelSerializer[ContactNumber]):
    """One of a contact's numbers."""

    class Meta:
        model = ContactNumber
        fields = ["number", "label"]
        read_only_fields = fields


class ContactSerializer(serializers.ModelSerializer[Contact]):
    """A contact with its numbers, the default first."""

    organization = serializers.UUIDField(source="organization_id")
    owner = serializers.UUIDField(source="owner_id", allow_null=True)
    numbers = NumberSerializer(many=True)

    class Meta:
        model = Contact
        fields = [
            *("id", "organization", "name", "company", "email", "owner", "time_zone", "do_not_call_since"),
            *("numbers", "created_at", "updated_at"),
        ]
        read_only_fields = fields


class NumberInputSerializer(serializers.Serializer[Any]):
    """A number as people write it; kept as E.164."""

    number = serializers.CharField(max_length=40)
    label = serializers.CharField(max_length=40, required=False, allow_blank=True, default="")  # type: ignore[assignment]

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Each has its number, also in a request that changes only some of a contact."""
        if "number" not in attrs:
            raise serializers.ValidationError({"number": self.fields["number"].error_messages["required"]}, "required")
        return attrs


class ContactInputSerializer(serializers.Serializer[Any]):
    """What a member says of a contact."""

    name = serializers.CharField(max_length=200)
    company = serializers.CharField(max_length=200, required=False, allow_blank=True)
    email = serializers.EmailField(max_length=254, required=False, allow_blank=True)
    owner = serializers.UUIDField(required=False, allow_null=True, help_text="The user of an active member.")
    time_zone = serializers.CharField(
        max_length=40, required=False, allow_blank=True, help_text="IANA's name; empty: the number's own."
    )
    do_not_call = serializers.BooleanField(
        required=False, help_text="Every member may say that a contact is not to be called; only admins take it back."
    )
    numbers = NumberInputSerializer(
        many=True, required=False, help_text="All of them, at most ten; the first is called by default."
    )


class ContactPages(KeysetPages):
    """Contacts come by name."""

    ordering = ("name", "id")


class ContactList(generics.GenericAPIView[Contact]):
    """The contacts that I may call."""

    serializer_class = ContactSerializer
    pagination_class = ContactPages
    filter_backends = []

    @extend_schema(operation_id="contacts_list", responses=ContactSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List them by name; `search` matches a name, a company or part of a number."""
        rows = queries.contacts(member_of(request), search=request.query_params.get("search", ""))
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(ContactSerializer(page, many=True).data)

    @extend_schema(operation_id="contacts_create", request=ContactInputSerializer, responses={201: ContactSerializer})
    @in_organization
    def post(self, request: Request) -> Response:
        """Make one."""
        given = ContactInputSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = contacts.create_contact(member=member_of(request), **given.validated_data)
        return Response(ContactSerializer(made).data, status=status.HTTP_201_CREATED)


class ContactDetail(generics.GenericAPIView[Contact]):
    """One contact."""

    serializer_class = ContactSerializer
    pagination_class = None

    @extend_schema(operation_id="contacts_retrieve")
    @in_organization
    def get(self, request: Request, contact_id: UUID) -> Response:
        """Return it with its numbers."""
        return Response(ContactSerializer(access.get_contact(member_of(request), contact_id)).data)

    @extend_schema(operation_id="contacts_update", request=ContactInputSerializer(partial=True))
    @in_organization
    def patch(self, request: Request, contact_id: UUID) -> Response:
        """Change what is sent; `numbers` replaces them all."""
        access.get_contact(member_of(request), contact_id)
        given = ContactInputSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = contacts.change_contact(member=member_of(request), contact_id=contact_id, **given.validated_data)
        return Response(ContactSerializer(changed).data)


class OpportunitySerializer(serializers.ModelSerializer[Opportunity]):
    """A deal that calls are made for."""

    organization = serializers.UUIDField(source="organization_id", read_only=True)
    contact = serializers.UUIDField(source="contact_id")
    owner = serializers.UUIDField(
        source="owner_id", required=False, allow_null=True, help_text="The user of an active member."
    )
    amount = serializers.DecimalField(max_digits=14, decimal_places=2, min_value=0, required=False, allow_null=True)

    class Meta:
        model = Opportunity
        fields = ["id", "organization", "contact", "title", "stage", "amount", "owner", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]

    def said(self) -> dict[str, Any]:
        """Return what was sent, as the services name it."""
        return {name.removesuffix("_id"): value for name, value in self.validated_data.items()}


class OpportunityFilterSerializer(serializers.Serializer[Any]):
    """What the list is narrowed by."""

    contact = serializers.UUIDField(required=False, help_text="Only this contact's.")


class OpportunityList(generics.GenericAPIView[Opportunity]):
    """The organization's opportunities."""

    serializer_class = OpportunitySerializer
    pagination_class = KeysetPages
    filter_backends = []

    @extend_schema(
        operation_id="opportunities_list",
        parameters=[OpportunityFilterSerializer],
        responses=OpportunitySerializer(many=True),
    )
    @in_organization
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        asked = OpportunityFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        rows = queries.opportunities(member_of(request), contact_id=asked.validated_data.get("contact"))
        return self.get_paginated_response(OpportunitySerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(
        operation_id="opportunities_create", request=OpportunitySerializer, responses={201: OpportunitySerializer}
    )
    @in_organization
    def post(self, request: Request) -> Response:
        """Make one for a contact."""
        given = OpportunitySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = contacts.create_opportunity(member=member_of(request), **given.said())
        return Response(OpportunitySerializer(made).data, status=status.HTTP_201_CREATED)


class OpportunityDetail(generics.GenericAPIView[Opportunity]):
    """One opportunity."""

    serializer_class = OpportunitySerializer
    pagination_class = None

    @extend_schema(operation_id="opportunities_retrieve")
    @in_organization
    def get(self, request: Request, opportunity_id: UUID) -> Response:
        """Return it."""
        return Response(OpportunitySerializer(access.get_opportunity(member_of(request), opportunity_id)).data)

    @extend_schema(operation_id="opportunities_update", request=OpportunitySerializer(partial=True))
    @in_organization
    def patch(self, request: Request, opportunity_id: UUID) -> Response:
        """Change what is sent."""
        access.get_opportunity(member_of(request), opportunity_id)
        given = OpportunitySerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = contacts.change_opportunity(member=member_of(request), opportunity_id=opportunity_id, **given.said())
        return Response(OpportunitySerializer(changed).data)
