"""The list of calls as a file."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.http import HttpResponseBase, StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request

from calls import queries
from calls.api import MyCalls
from crm import audit, tenancy
from crm.api import WhateverIsAccepted
from crm.doors import member_of
from crm.models import Membership
from crm.tables import BYTE_ORDER_MARK, line_of, lines_of

CHUNK = 2000
FILTERS = set(MyCalls.filterset_class.base_filters)


class CallExport(MyCalls):
    """The same calls as a file."""

    content_negotiation_class = WhateverIsAccepted
    pagination_class = None  # type: ignore[assignment]  # one file, no pages

    @extend_schema(operation_id="calls_export", responses={(200, "text/csv"): OpenApiTypes.STR}, filters=True)
    def get(self, request: Request) -> HttpResponseBase:
        """Send what the same filters find as CSV, newest first: a rep's own calls, the team's for managers and admins.

        UTF-8 with a byte order mark, commas, a line of names. Times are UTC in ISO 8601, numbers E.164, durations
        seconds. A text that a spreadsheet would take for a formula, a number with its plus too, begins with an
        apostrophe. Who exported what, and how many calls, is written into the audit.
        """
        member = member_of(request)
        with tenancy.inside(member.organization_id):
            rows = self.filter_queryset(self.get_queryset())
            params = {name: request.query_params.getlist(name) for name in FILTERS & request.query_params.keys()}
            said = {name: audit.storable(", ".join(values)) for name, values in params.items()}
            audit.note(member, audit.CALLS_EXPORTED, filters=said, count=rows.order_by().count())
        headers = {"Content-Disposition": 'attachment; filename="calls.csv"', "Cache-Control": "private, no-store"}
        file = _file(member, queries.exported(rows))
        return StreamingHttpResponse(file, content_type="text/csv; charset=utf-8", headers=headers)


def _file(member: Membership, rows: Any) -> Iterator[str]:
    """The file, some rows at a time: each look is a short transaction, and none is open while the client reads."""
    yield BYTE_ORDER_MARK + line_of(queries.EXPORTED)
    last: UUID | None = None
    while True:
        with tenancy.inside(member.organization_id):
            found = list(rows.filter(pk__lt=last)[:CHUNK] if last else rows[:CHUNK])
        if found:
            yield lines_of([_cell(value) for value in row] for row in found)
        if len(found) < CHUNK:
            return
        last = found[-1][0]


def _cell(value: Any) -> Any:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if isinstance(value, datetime) else value
