"""The REST endpoints of what hangs on a call: its callbacks and its recordings."""

from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from calls import access, audio, queries
from calls.models import DeletedWhy, JournalEntry, JournalSource, Recording
from calls.reconcile.retention import delete_recording
from crm import tenancy
from crm.access import require_admin
from crm.api import KeysetPages, WhateverIsAccepted
from crm.doors import in_organization, member_of
from integrations.twilio.words import timestamp


class CallbackSerializer(serializers.ModelSerializer[JournalEntry]):
    """One request that Twilio made for the call, verbatim."""

    id = serializers.CharField(source="digest")
    event_at = serializers.SerializerMethodField()

    class Meta:
        model = JournalEntry
        fields = ["id", "kind", "event_at", "received_at", "applied_at", "payload"]
        read_only_fields = fields

    @extend_schema_field(OpenApiTypes.DATETIME)
    def get_event_at(self, entry: JournalEntry) -> Any:
        """When it happened by Twilio's clock; null where Twilio does not say."""
        return timestamp(entry.payload.get("Timestamp"))


class CallbackPages(KeysetPages):
    """Callbacks come in order of arrival."""

    ordering = ("received_at", "digest")


class CallCallbacks(generics.GenericAPIView[JournalEntry]):
    """The journal of one call."""

    serializer_class = CallbackSerializer
    pagination_class = CallbackPages
    filter_backends = []

    @extend_schema(operation_id="calls_callbacks", responses=CallbackSerializer(many=True))
    @in_organization
    def get(self, request: Request, call_id: UUID) -> Response:
        """List the callbacks, in order of arrival."""
        call = access.get_call(member_of(request), call_id)
        page = self.paginate_queryset(queries.journal(call).filter(source=JournalSource.CALLBACK))
        return self.get_paginated_response(CallbackSerializer(page, many=True).data)


class RecordingSerializer(serializers.ModelSerializer[Recording]):
    """A recording; `url` is ours and null until the media is in our storage."""

    call = serializers.UUIDField(source="call_id")
    url = serializers.SerializerMethodField()

    class Meta:
        model = Recording
        fields = [
            "id",
            "call",
            "recording_sid",
            "status",
            "duration_seconds",
            "channels",
            "started_at",
            "error_code",
            "media_bytes",
            "media_sha256",
            "stored_at",
            "deleted_at",
            "deleted_why",
            "url",
        ]
        read_only_fields = fields

    def get_url(self, recording: Recording) -> str | None:
        """Where the audio is played from."""
        return f"/api/v1/recordings/{recording.pk}/audio" if recording.is_playable else None


class RecordingPages(KeysetPages):
    """Recordings come oldest first."""

    ordering = "id"


class CallRecordings(generics.GenericAPIView[Recording]):
    """The recordings of one call."""

    serializer_class = RecordingSerializer
    pagination_class = RecordingPages
    filter_backends = []

    @extend_schema(operation_id="calls_recordings", responses=RecordingSerializer(many=True))
    @in_organization
    def get(self, request: Request, call_id: UUID) -> Response:
        """List the recordings, oldest first."""
        call = access.get_call(member_of(request), call_id)
        page = self.paginate_queryset(queries.recordings(call))
        return self.get_paginated_response(RecordingSerializer(page, many=True).data)


class RecordingDetail(generics.GenericAPIView[Recording]):
    """One recording."""

    serializer_class = RecordingSerializer
    pagination_class = None

    @extend_schema(operation_id="recordings_retrieve")
    @in_organization
    def get(self, request: Request, recording_id: UUID) -> Response:
        """Return it; a deleted one as its tombstone."""
        return Response(RecordingSerializer(access.get_recording(member_of(request), recording_id)).data)

    @extend_schema(operation_id="recordings_delete", responses={204: None})
    def delete(self, request: Request, recording_id: UUID) -> Response:
        """Delete its media here and at Twilio: for admins. Its tombstone stays."""
        member = member_of(request)
        with tenancy.inside(member.organization_id):
            recording = access.get_recording(member, recording_id)
            require_admin(member)
        delete_recording(member.organization_id, recording.pk, why=DeletedWhy.MEMBER, by=member)
        return Response(status=status.HTTP_204_NO_CONTENT)


class RecordingAudio(APIView):
    """The player's source."""

    content_negotiation_class = WhateverIsAccepted

    @extend_schema(
        operation_id="recordings_audio",
        parameters=[OpenApiParameter("download", bool, description="Send it as a file.")],
        responses={(200, "audio/wav"): OpenApiTypes.BINARY, (206, "audio/wav"): OpenApiTypes.BINARY},
    )
    def get(self, request: Request, recording_id: UUID) -> HttpResponseBase:
        """Stream the audio from our storage; one `Range` of bytes is honoured. With `download` it is sent as a file.

        Each play and each download is written down. The organization's rules say which role may do which.
        """
        member = member_of(request)
        http: HttpRequest = request._request
        as_file = "download" in http.GET
        with tenancy.inside(member.organization_id):
            recording = access.get_audio(member, recording_id, as_file=as_file)
            (audio.note_download if as_file else audio.note_play)(member=member, recording=recording)
        # Outside: a stream goes on long after any transaction has ended.
        wanted, only_if = http.headers.get("Range", ""), http.headers.get("If-Range", "")
        return audio.stream(recording, wanted, only_if=only_if, as_file=as_file)
