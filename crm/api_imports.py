"""The REST endpoints that take contacts in from a file, and give them out as one: for managers and admins."""

from typing import Any
from uuid import UUID

from django.http import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm import exports, queries, tenancy
from crm.access import require_manager
from crm.api import KeysetPages, WhateverIsAccepted
from crm.countries import CODES
from crm.doors import in_organization, member_of
from crm.imports import begin
from crm.imports.access import get_import, imports
from crm.imports.headings import Column
from crm.models import ContactImport, ImportRule


class ImportSerializer(serializers.ModelSerializer[ContactImport]):
    """A file of contacts: how its columns are read, and how far it has come. Counts are rows."""

    started_by = serializers.UUIDField(source="started_by_id", allow_null=True)
    headings = serializers.ListField(child=serializers.CharField())
    columns = serializers.ListField(child=serializers.ChoiceField(choices=Column.choices, allow_blank=True))

    class Meta:
        model = ContactImport
        fields = [
            *("id", "file_name", "status", "headings", "columns", "region", "rule", "started_by"),
            *("total", "processed", "made", "merged", "unchanged", "refused"),
            *("created_at", "started_at", "finished_at", "forgotten_at"),
        ]
        read_only_fields = fields


class UploadSerializer(serializers.Serializer[Any]):
    """A CSV file."""

    file = serializers.FileField()


class ColumnsSerializer(serializers.Serializer[Any]):
    """How it is read: what each of its columns is (empty: left out), the country, and what becomes of duplicates."""

    columns = serializers.ListField(
        child=serializers.ChoiceField(choices=Column.choices, allow_blank=True),
        max_length=begin.MOST_COLUMNS,
        required=False,
    )
    region = serializers.ChoiceField(
        choices=[(code, code) for code in CODES], required=False, help_text="ISO 3166, of numbers without their own."
    )
    rule = serializers.ChoiceField(choices=ImportRule.choices, required=False)


class ImportList(generics.GenericAPIView[ContactImport]):
    """The organization's imports."""

    serializer_class = ImportSerializer
    pagination_class = KeysetPages
    filter_backends = []
    parser_classes = [MultiPartParser]

    @extend_schema(operation_id="contact_imports_list", responses=ImportSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List them, the newest first."""
        require_manager(member_of(request))
        page = self.paginate_queryset(imports(member_of(request)))
        return self.get_paginated_response(ImportSerializer(page, many=True).data)

    @extend_schema(operation_id="contact_imports_upload", request=UploadSerializer, responses={201: ImportSerializer})
    def post(self, request: Request) -> Response:
        """Take in a file of at most 32 MB and recognise its columns. Nothing is imported before `start/`."""
        require_manager(member_of(request))
        given = UploadSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        file = given.validated_data["file"]
        if file.size > begin.MOST_BYTES:
            raise begin.FileTooLarge(field="file")
        importing = begin.upload(member=member_of(request), file_name=file.name, content=file.read())
        return Response(ImportSerializer(importing).data, status=status.HTTP_201_CREATED)


class ImportDetail(generics.GenericAPIView[ContactImport]):
    """One import."""

    serializer_class = ImportSerializer
    pagination_class = None
    parser_classes = [JSONParser]

    @extend_schema(operation_id="contact_imports_retrieve")
    @in_organization
    def get(self, request: Request, import_id: UUID) -> Response:
        """Return how far it is."""
        found = get_import(member_of(request), import_id)
        require_manager(member_of(request))
        return Response(ImportSerializer(found).data)

    @extend_schema(operation_id="contact_imports_configure", request=ColumnsSerializer(partial=True))
    @in_organization
    def patch(self, request: Request, import_id: UUID) -> Response:
        """Say how it is read, before it starts."""
        member, found = member_of(request), get_import(member_of(request), import_id)
        require_manager(member)
        given = ColumnsSerializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        said = {"columns": found.columns} | given.validated_data
        return Response(ImportSerializer(begin.configure(member=member, import_id=import_id, **said)).data)

    @extend_schema(operation_id="contact_imports_cancel", responses={204: None})
    def delete(self, request: Request, import_id: UUID) -> Response:
        """End it, and what was imported stays; or throw the file away, if it has not started."""
        begin.cancel(member=member_of(request), import_id=import_id)
        return Response(status=status.HTTP_204_NO_CONTENT)


class ImportStart(generics.GenericAPIView[ContactImport]):
    """The start of an import."""

    serializer_class = ImportSerializer
    pagination_class = None

    @extend_schema(operation_id="contact_imports_start", request=None, responses={202: ImportSerializer})
    def post(self, request: Request, import_id: UUID) -> Response:
        """Have the workers import it; ask for it again to learn how far it is."""
        importing = begin.start(member=member_of(request), import_id=import_id)
        with tenancy.inside(importing.organization_id):
            return Response(ImportSerializer(importing).data, status=status.HTTP_202_ACCEPTED)


class ImportRefused(generics.GenericAPIView[ContactImport]):
    """What an import has refused."""

    serializer_class = ImportSerializer
    pagination_class = None
    content_negotiation_class = WhateverIsAccepted

    @extend_schema(operation_id="contact_imports_refused", responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request, import_id: UUID) -> HttpResponseBase:
        """Send the refused rows as CSV, each with its number in the file and why; for a month."""
        return exports.export_refused(member_of(request), import_id)


class ExportSerializer(serializers.Serializer[Any]):
    """Which contacts."""

    search = serializers.CharField(required=False, allow_blank=True, default="", max_length=200)

    def get_fields(self) -> dict[str, Any]:
        """Add the one whose name Python keeps for itself."""
        return super().get_fields() | {"import": serializers.UUIDField(required=False)}


class ContactExport(generics.GenericAPIView[Any]):
    """Contacts as a file."""

    serializer_class = ExportSerializer
    pagination_class = None
    content_negotiation_class = WhateverIsAccepted

    @extend_schema(
        operation_id="contacts_export",
        parameters=[
            OpenApiParameter("search", str, description="Part of a name, a company or a number."),
            OpenApiParameter("import", OpenApiTypes.UUID, description="Only those of this imported file."),
        ],
        responses={(200, "text/csv"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> HttpResponseBase:
        """Send them as CSV that the import recognises again. The export is written into the audit."""
        member = member_of(request)
        require_manager(member)
        asked = ExportSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        search, imported = asked.validated_data["search"], asked.validated_data.get("import")
        with tenancy.inside(member.organization_id):
            rows = queries.contacts(member, search=search, imported=imported and get_import(member, imported).pk)
        filters = {"search": search, "import": str(imported or "")}
        return exports.export_contacts(member, rows, filters=filters)
