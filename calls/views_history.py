"""The history of calls, and everything that is known of one."""

import hashlib
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.utils.formats import number_format
from django.views.decorators.http import require_GET

from calls import access, call_page, queries, sentences
from calls import panel as panels
from crm.doors import in_organization
from crm.pages import is_part, page, place_in

PAGE_ROWS = 50
COUNTED = 1000


@page
@require_GET
@in_organization
def calls(request: Any) -> HttpResponse:
    """List calls, newest first: a rep's own, the team's for managers and admins; `before` pages by id."""
    rows = queries.conversations(request.member)
    counted = rows.values("pk")[: COUNTED + 1].count()
    before = place_in(request, "before")
    shown = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    context = {
        "rows": [panels.row_of(one) for one in shown[:PAGE_ROWS]],
        "before": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "is_first": before is None,
        "count": number_format(min(counted, COUNTED), force_grouping=True) + "+" * (counted > COUNTED),
        "ready": panels.readiness(request.member),
        "section": "calls",
    }
    return render(request, "calls/list.html", context)


@page
@require_GET
@in_organization
def call(request: Any, call_id: UUID) -> HttpResponse:
    """Show everything known of one call; its main part refreshes itself until nothing more will come."""
    found = access.get_call(request.member, call_id)
    entries = list(queries.journal(found))
    recordings = list(queries.recordings(found))
    ready = panels.readiness(request.member)
    told = [
        *(
            found.updated_at,
            ready.blocked,
            ready.busy,
            [(one.status, one.stored_at, one.deleted_at) for one in recordings],
        ),
        [(one.digest, one.applied_at, one.failures) for one in entries],
    ]
    seen = hashlib.sha256(repr(told).encode()).hexdigest()[:16]
    more_comes = call_page.polls(found, recordings)
    if more_comes and request.htmx and request.GET.get("seen") == seen:
        return HttpResponse(status=204)
    context = {
        "call": found,
        "row": panels.row_of(found),
        "error": sentences.error_sentence(found),
        "legs": list(found.legs.all()),
        "journal": call_page.told(found, entries),
        "recordings": recordings,
        "is_watched": queries.is_watched(found),
        "may_play": request.member.is_at_least(queries.rules().may_play),
        "no_recording": "" if recordings else call_page.no_recording(found),
        "polls": more_comes,
        "seen": seen,
        "ready": ready,
        "section": "calls",
    }
    return render(request, "calls/_call.html" if is_part(request, "call") else "calls/call.html", context)
