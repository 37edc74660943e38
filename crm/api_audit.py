"""The REST endpoints of the audit: for admins."""

from collections.abc import Iterator
from typing import Any
from uuid import UUID

import django_filters
from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response

from crm import audit, tenancy
from crm.access import require_admin
from crm.api import KeysetPages, WhateverIsAccepted
from crm.doors import member_of
from crm.models import AuditEntry, Membership
from crm.tables import BYTE_ORDER_MARK, line_of, lines_of

CHUNK = 1000
FILTERS = {"action", "who", "user", "since", "until"}
COLUMNS = ("at", "who", "action", "details")


class EntrySerializer(serializers.ModelSerializer[AuditEntry]):
    """One thing that somebody did, or was refused; `user` is empty for the system."""

    user = serializers.UUIDField(source="user_id", allow_null=True)

    class Meta:
        model = AuditEntry
        fields = ["id", "at", "user", "who", "action", "details"]
        read_only_fields = fields


class EntryFilter(django_filters.FilterSet):
    """What the entries can be narrowed by; times with their offset."""

    action = django_filters.ChoiceFilter(choices=[(one, one) for one in audit.ACTIONS])
    who = django_filters.CharFilter(lookup_expr="icontains", max_length=254)
    user = django_filters.UUIDFilter(field_name="user_id")
    since = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="gte")
    until = django_filters.IsoDateTimeFilter(field_name="at", lookup_expr="lt")

    class Meta:
        model = AuditEntry
        fields: list[str] = []


class _Entries(generics.GenericAPIView[AuditEntry]):
    serializer_class = EntrySerializer
    pagination_class = KeysetPages
    filterset_class = EntryFilter

    def get_queryset(self) -> Any:
        """The organization's entries, newest first."""
        if getattr(self, "swagger_fake_view", False):
            return audit.no_entries()
        return audit.entries(member_of(self.request))


class AuditList(_Entries):
    """Who did what."""

    @extend_schema(operation_id="audit_list", responses=EntrySerializer(many=True))
    def get(self, request: Request) -> Response:
        """List what was done and refused, newest first."""
        member = member_of(request)
        require_admin(member)
        with tenancy.inside(member.organization_id):
            page = self.paginate_queryset(self.filter_queryset(self.get_queryset()))
            return self.get_paginated_response(EntrySerializer(page, many=True).data)


class AuditExport(_Entries):
    """The same as a file."""

    content_negotiation_class = WhateverIsAccepted

    @extend_schema(operation_id="audit_export", responses={(200, "text/csv"): OpenApiTypes.STR})
    def get(self, request: Request) -> HttpResponseBase:
        """Send what the same filters find as CSV, newest first. The export is an entry itself."""
        member = member_of(request)
        require_admin(member)
        with tenancy.inside(member.organization_id):
            rows = self.filter_queryset(self.get_queryset())
            said = {name: audit.storable(request.query_params[name]) for name in FILTERS & request.query_params.keys()}
            audit.note(member, audit.EXPORTED, filters=said)
        headers = {"Content-Disposition": 'attachment; filename="audit.csv"', "Cache-Control": "private, no-store"}
        return StreamingHttpResponse(_lines(member, rows), content_type="text/csv; charset=utf-8", headers=headers)


def _lines(member: Membership, rows: Any) -> Iterator[str]:
    """The file, some rows at a time: each look is a short transaction, and none is open while the client reads."""
    yield BYTE_ORDER_MARK + line_of(COLUMNS)
    last: UUID | None = None
    while True:
        with tenancy.inside(member.organization_id):
            found = list(rows.filter(pk__lt=last)[:CHUNK] if last else rows[:CHUNK])
        yield lines_of((one.at.isoformat(), one.who, one.action, _said(one)) for one in found)
        if len(found) < CHUNK:
            return
        last = found[-1].pk


def _said(entry: AuditEntry) -> str:
    return "; ".join(f"{name}: {value}" for name, value in entry.details.items())
