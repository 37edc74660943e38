"""How pages answer with the live panel, go on with a run, and know which caller ID their reader has chosen."""

from typing import Any
from uuid import UUID, uuid4

from django.http import HttpResponse
from django.shortcuts import redirect, render

from calls import panel as panels
from calls import queries
from calls.reconcile.apply import apply_callbacks
from calls.services.run import call_next
from crm import tenancy
from crm.errors import AppError, NotFound
from crm.models import Membership

CALLER_ID = "caller_id"


def show_panel(request: Any, error: AppError | None = None) -> HttpResponse:
    """Answer the live panel, with what went wrong; nothing at all (204) while it is as the page has `seen` it."""
    _catch_up(request.member)
    with tenancy.inside(request.member.organization_id):
        found = panels.panel(request.member, dismissed=request.session.get("dismissed_call"))
        if error is not None:
            found = panels.refused(found, error)
        elif request.GET.get("seen") == found.seen:
            return HttpResponse(status=204)
        response = render(request, "calls/_panel.html", {"panel": found})
    if request.method == "POST" or "seen" in request.GET:
        response["HX-Trigger"] = "call-changed"  # lists of calls that are open follow
    if error is not None:
        response.status_code = error.status
        response["X-Swap"] = "yes"  # static/app.js: an error, and yet the page to show
    return response


def start_next(request: Any, run_id: str | UUID) -> HttpResponse:
    """Call a run's next contact and answer the panel, wherever the press came from. Outside of any transaction."""
    try:
        wanted = UUID(str(run_id))
    except ValueError as error:
        raise NotFound from error
    refused = None
    try:
        call_id = call_next(
            member=request.member,
            run_id=wanted,
            key=request.POST.get("key", "")[:100] or uuid4().hex,
            caller_id=caller_id_for(request),
        )
    except AppError as error:
        if not request.htmx or error.status == 404:
            raise
        refused = error
    else:
        if not request.htmx:
            return redirect("call", call_id) if call_id else redirect("run", wanted)
    response = show_panel(request, refused)
    response["HX-Retarget"], response["HX-Reswap"] = "#panel", "outerHTML"
    return response


def caller_id_for(request: Any) -> str:
    """Return which number to call from: the one that was pressed, which the session remembers, or the one it remembers.

    In the session, and so of one person in one browser: on the phone of a second desk another may be right. One that
    the organization has no more gives way to the member's own.
    """
    chosen = request.POST.get(CALLER_ID, "")[:40]
    with tenancy.inside(request.member.organization_id):
        mine = panels.caller_ids(request.member)
    if chosen in mine:
        request.session[CALLER_ID] = chosen
    return chosen or next((one for one in mine if one == request.session.get(CALLER_ID)), "")


def _catch_up(member: Membership) -> None:
    """Apply what no worker has applied yet: with the broker down, the panel still says whose phone rings."""
    with tenancy.inside(member.organization_id):
        call = queries.live_call(member)
        waiting = call is not None and queries.journal(call).filter(applied_at=None).exists()
    if call is not None and waiting:
        apply_callbacks(member.organization_id, call.pk)
