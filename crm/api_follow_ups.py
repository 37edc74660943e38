"""The REST endpoints of follow-ups and notes."""

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from crm import access, follow_ups, notes, queries
from crm.api import KeysetPages
from crm.doors import in_organization, member_of
from crm.models import FollowUp, Note

OPEN, DUE, DONE = "open", "due", "done"


class FollowUpSerializer(serializers.ModelSerializer[FollowUp]):
    """That somebody turns to a contact again, and when; `call` is the one after which it was written down."""

    organization = serializers.UUIDField(source="organization_id", read_only=True)
    contact = serializers.UUIDField(source="contact_id")
    opportunity = serializers.UUIDField(source="opportunity_id", required=False, allow_null=True)
    owner = serializers.UUIDField(
        source="owner_id", required=False, help_text="The user of an active member; yourself unless you are a manager."
    )
    text = serializers.CharField(max_length=follow_ups.LONGEST_TEXT, required=False, allow_blank=True)
    call = serializers.UUIDField(source="call_id", read_only=True, allow_null=True)

    class Meta:
        model = FollowUp
        fields = [
            *("id", "organization", "contact", "opportunity", "owner", "due_at", "text", "done_at", "call"),
            *("created_at", "updated_at"),
        ]
        read_only_fields = ["id", "done_at", "created_at", "updated_at"]

    def said(self) -> dict[str, Any]:
        """Return what was sent, as the services name it."""
        return {name.removesuffix("_id"): value for name, value in self.validated_data.items()}


class FollowUpChangeSerializer(FollowUpSerializer):
    """What can be changed of a follow-up."""

    done = serializers.BooleanField(required=False, write_only=True)

    class Meta(FollowUpSerializer.Meta):
        fields = ["opportunity", "owner", "due_at", "text", "done"]


class FollowUpFilterSerializer(serializers.Serializer[Any]):
    """What the list is narrowed by."""

    contact = serializers.UUIDField(required=False, help_text="Only this contact's.")
    opportunity = serializers.UUIDField(required=False, help_text="Only this opportunity's.")
    owner = serializers.UUIDField(required=False, help_text="Only this user's.")
    state = serializers.ChoiceField(
        choices=[OPEN, DUE, DONE], required=False, help_text="`open`: not done; `due`: open, and its time has come."
    )


class FollowUpPages(KeysetPages):
    """Follow-ups come by due time."""

    ordering = ("due_at", "id")


class FollowUpList(generics.GenericAPIView[FollowUp]):
    """The follow-ups that I may see: a rep's own, the team's for managers and admins."""

    serializer_class = FollowUpSerializer
    pagination_class = FollowUpPages
    filter_backends = []

    @extend_schema(
        operation_id="follow_ups_list",
        parameters=[FollowUpFilterSerializer],
        responses=FollowUpSerializer(many=True),
    )
    @in_organization
    def get(self, request: Request) -> Response:
        """List them by due time."""
        asked = FollowUpFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        rows = queries.follow_ups(
            member_of(request), contact_id=said.get("contact"), opportunity_id=said.get("opportunity")
        )
        rows = _narrowed(rows, said.get("owner"), said.get("state"))
        return self.get_paginated_response(FollowUpSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(operation_id="follow_ups_create", request=FollowUpSerializer, responses={201: FollowUpSerializer})
    @in_organization
    def post(self, request: Request) -> Response:
        """Write one down; without `owner` it is mine."""
        given = FollowUpSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        made = follow_ups.create_follow_up(member=member_of(request), **given.said())
        return Response(FollowUpSerializer(made).data, status=status.HTTP_201_CREATED)


def _narrowed(rows: QuerySet[FollowUp], owner: UUID | None, state: str | None) -> QuerySet[FollowUp]:
    rows = rows.filter(owner=owner) if owner else rows
    if state:
        rows = rows.filter(done_at__isnull=state != DONE)
    return rows.filter(due_at__lte=timezone.now()) if state == DUE else rows


class FollowUpDetail(generics.GenericAPIView[FollowUp]):
    """One follow-up: its owner's, or the team's for managers and admins."""

    serializer_class = FollowUpSerializer
    pagination_class = None

    @extend_schema(operation_id="follow_ups_retrieve")
    @in_organization
    def get(self, request: Request, follow_up_id: UUID) -> Response:
        """Return it."""
        return Response(FollowUpSerializer(access.get_follow_up(member_of(request), follow_up_id)).data)

    @extend_schema(operation_id="follow_ups_update", request=FollowUpChangeSerializer(partial=True))
    @in_organization
    def patch(self, request: Request, follow_up_id: UUID) -> Response:
        """Change what is sent; `done` says that it is, or that it is not."""
        access.get_follow_up(member_of(request), follow_up_id)
        given = FollowUpChangeSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        changed = follow_ups.change_follow_up(member=member_of(request), follow_up_id=follow_up_id, **given.said())
        return Response(FollowUpSerializer(changed).data)

    @extend_schema(operation_id="follow_ups_delete", responses={204: None})
    @in_organization
    def delete(self, request: Request, follow_up_id: UUID) -> Response:
        """Take it back."""
        follow_ups.delete_follow_up(member=member_of(request), follow_up_id=follow_up_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class NoteSerializer(serializers.ModelSerializer[Note]):
    """Something worth knowing about a contact, or one of its opportunities."""

    organization = serializers.UUIDField(source="organization_id", read_only=True)
    contact = serializers.UUIDField(source="contact_id")
    opportunity = serializers.UUIDField(source="opportunity_id", required=False, allow_null=True)
    author = serializers.UUIDField(source="author_id", read_only=True, allow_null=True)
    text = serializers.CharField(max_length=notes.LONGEST_TEXT)

    class Meta:
        model = Note
        fields = ["id", "organization", "contact", "opportunity", "author", "text", "created_at", "updated_at"]
        read_only_fields = ["id", "created_at", "updated_at"]


class NoteChangeSerializer(serializers.Serializer[Any]):
    """What can be changed of a note."""

    text = serializers.CharField(max_length=notes.LONGEST_TEXT)


class NoteFilterSerializer(serializers.Serializer[Any]):
    """What the list is narrowed by."""

    contact = serializers.UUIDField(required=False, help_text="Only this contact's.")
    opportunity = serializers.UUIDField(required=False, help_text="Only this opportunity's.")


class NoteList(generics.GenericAPIView[Note]):
    """The organization's notes."""

    serializer_class = NoteSerializer
    pagination_class = KeysetPages
    filter_backends = []

    @extend_schema(operation_id="notes_list", parameters=[NoteFilterSerializer], responses=NoteSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        asked = NoteFilterSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        said = asked.validated_data
        rows = queries.notes(member_of(request), contact_id=said.get("contact"), opportunity_id=said.get("opportunity"))
        return self.get_paginated_response(NoteSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(operation_id="notes_create", request=NoteSerializer, responses={201: NoteSerializer})
    @in_organization
    def post(self, request: Request) -> Response:
        """Write one."""
        given = NoteSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = {name.removesuffix("_id"): value for name, value in given.validated_data.items()}
        made = notes.create_note(member=member_of(request), **said)
        return Response(NoteSerializer(made).data, status=status.HTTP_201_CREATED)


class NoteDetail(generics.GenericAPIView[Note]):
    """One note; its author and admins change it."""

    serializer_class = NoteSerializer
    pagination_class = None

    @extend_schema(operation_id="notes_retrieve")
    @in_organization
    def get(self, request: Request, note_id: UUID) -> Response:
        """Return it."""
        return Response(NoteSerializer(access.get_note(member_of(request), note_id)).data)

    @extend_schema(operation_id="notes_update", request=NoteChangeSerializer)
    @in_organization
    def patch(self, request: Request, note_id: UUID) -> Response:
        """Say it otherwise."""
        access.get_note(member_of(request), note_id)
        given = NoteChangeSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        changed = notes.change_note(member=member_of(request), note_id=note_id, **given.validated_data)
        return Response(NoteSerializer(changed).data)

    @extend_schema(operation_id="notes_delete", responses={204: None})
    @in_organization
    def delete(self, request: Request, note_id: UUID) -> Response:
        """Take it back."""
        notes.delete_note(member=member_of(request), note_id=note_id)
        return Response(status=status.HTTP_204_NO_CONTENT)
