"""The history of calls, and everything that is known of one."""

import hashlib
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.http import urlencode
from django.views.decorators.http import require_GET

from calls import access, call_page, queries, sentences
from calls import panel as panels
from calls.filters import CallFilter
from calls.forms_history import CHIPS, HistoryForm
from crm.access import members_of
from crm.doors import in_organization
from crm.pages import is_part, page, place_in

PAGE_ROWS = 50
COUNTED = 1000
# What htmx asks for of the list's page: all below the filters, or the rows alone when a call has changed.
PARTS = {"history": "calls/_history.html", "found": "calls/_found.html"}


@page
@require_GET
@in_organization
def calls(request: Any) -> HttpResponse:
    """List calls, newest first: a rep's own, the team's for managers and admins; `before` pages by id.

    Filters are in the address. What is wrong with one stands beside it, and narrows nothing.
    """
    member = request.member
    people = [one.user for one in members_of(member).order_by("user__name", "user__email")]
    form = HistoryForm(request.GET, people=people if member.sees_whole_team else None)
    form.is_valid()
    filters = form.filters()
    rows = CallFilter(filters, queryset=queries.calls(member)).qs
    counted = rows.order_by().values("pk")[: COUNTED + 1].count()
    before = place_in(request, "before")
    shown = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    asked, last = form.address(), shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None
    chosen = form.cleaned_data.get("show", "")
    context = {
        "form": form,
        "asked": asked,
        "is_narrowed": bool(filters),
        "chips": [
            (key, name, key == chosen, form.address(show="" if key == chosen else key))
            for key, (name, _filter) in CHIPS.items()
        ],
        "show": chosen,
        "rows": [panels.row_of(one) for one in shown[:PAGE_ROWS]],
        "before": last,
        "older": _joined(asked, urlencode({"before": last})) if last else "",
        "is_first": before is None,
        "count": number_format(min(counted, COUNTED), force_grouping=True) + "+" * (counted > COUNTED),
        "export": f"{reverse('api-calls-export')}?{filters.urlencode()}",
        "part": next((one for one in PARTS if is_part(request, one)), ""),
        "ready": panels.readiness(member),
        "section": "calls",
    }
    response = render(request, PARTS.get(context["part"], "calls/list.html"), context)
    if context["part"] == "history":
        # As typed or chosen, without the empty fields; a search that is still typed makes no entry of its own.
        is_typing = request.htmx.trigger_name == "search"
        response["HX-Replace-Url" if is_typing else "HX-Push-Url"] = _address(reverse("calls"), asked)
    return response


def _joined(*queries_: str) -> str:
    return "&".join(filter(None, queries_))


def _address(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


@page
@require_GET
@in_organization
def call(request: Any, call_id: UUID) -> HttpResponse:
    """Show everything known of one call; its main part refreshes itself until nothing more will come.

    The history's drawer is that part, too.
    """
    found = access.get_call(request.member, call_id)
    entries = list(queries.journal(found))
    recordings = list(queries.recordings(found))
    listeners = call_page.heard(request.member, found)
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
        "listeners": listeners if request.member.sees_whole_team else [],
        "polls": more_comes,
        "seen": seen,
        "ready": ready,
        "place": "call",
        "section": "calls",
    } | call_page.recordings(request.member, found, recordings, listeners)
    is_alone = is_part(request, "call") or is_part(request, "drawer-body")
    return render(request, "calls/_call.html" if is_alone else "calls/call.html", context)


@page
@require_GET
@in_organization
def player(request: Any, call_id: UUID) -> HttpResponse:
    """Answer a call's recordings with their player, or why there is none: what *Listen* puts below a row."""
    found = access.get_call(request.member, call_id)
    recordings = list(queries.recordings(found))
    listeners = call_page.heard(request.member, found) if any(one.deleted_at for one in recordings) else []
    context = {"call": found, "row": panels.row_of(found), "place": "row"}
    context |= call_page.recordings(request.member, found, recordings, listeners)
    return render(request, "calls/_recordings.html", context)
