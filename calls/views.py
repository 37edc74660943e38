"""The live panel, and what its buttons do: start, hang up, wrap up, put away."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from calls import access, queries
from calls import panel as panels
from calls.errors import CallIsLive, CallIsOver
from calls.reconcile.apply import apply_callbacks
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from calls.services.wrap_up import BadOutcome, wrap_up
from crm import tenancy
from crm.errors import AppError, NotFound
from crm.models import Membership
from crm.pages import page


def _is_id(text: str | None) -> bool:
    try:
        return bool(UUID(text or ""))
    except ValueError:
        return False


@page
@require_POST
def start(request: Any) -> HttpResponse:
    """Ring the member's phone, then the contact's; answer the panel. Outside of any transaction: Twilio is asked.

    The form's `key` makes a second click of the same button the same call.
    """
    contact_id, opportunity_id = (request.POST.get(name, "") for name in ("contact", "opportunity"))
    if any(text and not _is_id(text) for text in (contact_id, opportunity_id)):
        raise NotFound
    return _started(
        request,
        lambda key: start_call(
            member=request.member,
            contact_id=UUID(contact_id) if contact_id else None,
            to=request.POST.get("to", ""),
            opportunity_id=UUID(opportunity_id) if opportunity_id else None,
            idempotency_key=key,
        ),
    )


@page
@require_POST
def test_phone(request: Any) -> HttpResponse:
    """Ring the member's own phone and ask for a key; answer the panel. Outside of any transaction, as above."""
    return _started(request, lambda key: start_test_call(member=request.member, idempotency_key=key))


def _started(request: Any, begin: Callable[[str | None], tuple[UUID, bool]]) -> HttpResponse:
    try:
        call_id, _created = begin(request.POST.get("key", "")[:200] or None)
    except AppError as error:
        if not request.htmx:
            raise
        return _panel(request, error)
    request.session.pop("dismissed_call", None)
    return _panel(request) if request.htmx else redirect("call", call_id)


@page
@require_POST
def hangup(request: Any, call_id: UUID) -> HttpResponse:
    """End a call, whatever its state; one that is over already is what was wanted. Outside of any transaction."""
    try:
        hang_up(member=request.member, call_id=call_id)
    except CallIsOver:
        pass
    except AppError as error:
        if not request.htmx or error.status == 404:
            raise
        return _panel(request, error)
    return _panel(request) if request.htmx else redirect("call", call_id)


@page
@require_POST
def outcome(request: Any, call_id: UUID) -> HttpResponse:
    """Keep how a call went, from its page or from the panel; htmx gets the form back."""
    error = None
    try:
        wrap_up(
            member=request.member,
            call_id=call_id,
            disposition=request.POST.get("disposition", ""),
            notes=request.POST.get("notes", "").replace("\r\n", "\n"),
        )
    except (BadOutcome, CallIsLive) as refused:
        if not request.htmx:
            raise
        error = str(refused.message)
    if not request.htmx:
        return redirect("call", call_id)
    with tenancy.inside(request.member.organization_id):
        call = access.get_call(request.member, call_id)
    context = {"call": call, "place": request.POST.get("place", "")[:5], "is_saved": error is None, "wrong": error}
    response = render(request, "calls/_wrap_up.html", context)
    if error is None:
        response["HX-Trigger"] = "call-changed"  # lists that are open follow
    return response


@page
@require_GET
def live(request: Any) -> HttpResponse:
    """Answer the live panel; nothing at all (204) while it is as the page has `seen` it."""
    return _panel(request)


@page
@require_POST
def dismiss(request: Any) -> HttpResponse:
    """Put a call that is over out of sight, on every page of this session."""
    request.session["dismissed_call"] = request.POST.get("call", "")[:36]
    return _panel(request) if request.htmx else redirect("contacts")


def _panel(request: Any, error: AppError | None = None) -> HttpResponse:
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


def _catch_up(member: Membership) -> None:
    """Apply what no worker has applied yet: with the broker down, the panel still says whose phone rings."""
    with tenancy.inside(member.organization_id):
        call = queries.live_call(member)
        waiting = call is not None and queries.journal(call).filter(applied_at=None).exists()
    if call is not None and waiting:
        apply_callbacks(member.organization_id, call.pk)
