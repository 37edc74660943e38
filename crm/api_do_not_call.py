"""The REST endpoints of the do-not-call list."""

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers, status
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from crm import access, do_not_call, queries
from crm.api import KeysetPages
from crm.doors import in_organization, member_of
from crm.models import DoNotCall


class ListedSerializer(serializers.ModelSerializer[DoNotCall]):
    """A number that nobody of the organization may call."""

    added_by = serializers.UUIDField(source="added_by_id", allow_null=True, read_only=True)
    number = serializers.CharField(max_length=40)

    class Meta:
        model = DoNotCall
        fields = ["id", "number", "reason", "added_by", "created_at"]
        read_only_fields = ["id", "added_by", "created_at"]


class FileSerializer(serializers.Serializer[Any]):
    """A CSV file, and why its numbers are listed."""

    file = serializers.FileField()
    reason = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")


class InvalidRowSerializer(serializers.Serializer[Any]):
    """A row that is no number."""

    row = serializers.IntegerField()
    value = serializers.CharField()


class ImportedSerializer(serializers.Serializer[Any]):
    """What became of a file's rows."""

    added = serializers.IntegerField()
    already = serializers.IntegerField()
    invalid = serializers.IntegerField()
    first_invalid = InvalidRowSerializer(many=True)


class DoNotCallList(generics.GenericAPIView[DoNotCall]):
    """The organization's do-not-call list."""

    serializer_class = ListedSerializer
    pagination_class = KeysetPages
    filter_backends = []

    @extend_schema(operation_id="do_not_call_list", responses=ListedSerializer(many=True))
    @in_organization
    def get(self, request: Request) -> Response:
        """List the numbers, the newest first; `search` matches part of one."""
        rows = queries.numbers_not_to_call(member_of(request), search=request.query_params.get("search", ""))
        return self.get_paginated_response(ListedSerializer(self.paginate_queryset(rows), many=True).data)

    @extend_schema(operation_id="do_not_call_add", request=ListedSerializer, responses={201: ListedSerializer})
    def post(self, request: Request) -> Response:
        """List a number; 200 when it was listed already."""
        given = ListedSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row, is_new = do_not_call.add_number(member=member_of(request), **given.validated_data)
        return Response(ListedSerializer(row).data, status=201 if is_new else 200)


class DoNotCallDetail(generics.GenericAPIView[DoNotCall]):
    """One number of the list."""

    serializer_class = ListedSerializer
    pagination_class = None

    @extend_schema(operation_id="do_not_call_remove", responses={204: None})
    @in_organization
    def delete(self, request: Request, listed_id: UUID) -> Response:
        """Take it off the list: for admins."""
        row = access.get_number_not_to_call(member_of(request), listed_id)
        access.require_admin(member_of(request))
        do_not_call.take_off(member=member_of(request), row=row)
        return Response(status=status.HTTP_204_NO_CONTENT)


class DoNotCallImport(generics.GenericAPIView[DoNotCall]):
    """A file of numbers."""

    serializer_class = FileSerializer
    pagination_class = None
    parser_classes = [MultiPartParser]

    @extend_schema(operation_id="do_not_call_import", request=FileSerializer, responses=ImportedSerializer)
    def post(self, request: Request) -> Response:
        """Import a CSV file of at most 2 MB: for admins. What is no number is told of and left out."""
        access.require_admin(member_of(request))
        given = FileSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        file, reason = given.validated_data["file"], given.validated_data["reason"]
        if file.size > do_not_call.MOST_BYTES:
            raise do_not_call.FileTooLarge(field="file")
        told = do_not_call.import_numbers(member=member_of(request), content=file.read(), reason=reason)
        return Response(ImportedSerializer(told).data)
