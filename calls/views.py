"""The live panel, and what its buttons do: start, hang up, wrap up, put away."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from calls.errors import CallIsOver
from calls.panel_page import caller_id_for, show_panel
from calls.services.hangup import hang_up
from calls.services.phone import start_test_call
from calls.services.start import start_call
from crm.errors import AppError, NotFound
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
            caller_id=caller_id_for(request),
            record=request.POST.get("record") == "on" if "may_record" in request.POST else None,
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
        return show_panel(request, error)
    request.session.pop("dismissed_call", None)
    return show_panel(request) if request.htmx else redirect("call", call_id)


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
        return show_panel(request, error)
    return show_panel(request) if request.htmx else redirect("call", call_id)


@page
@require_GET
def live(request: Any) -> HttpResponse:
    """Answer the live panel; nothing at all (204) while it is as the page has `seen` it."""
    return show_panel(request)


@page
@require_POST
def dismiss(request: Any) -> HttpResponse:
    """Put a call that is over out of sight, on every page of this session."""
    request.session["dismissed_call"] = request.POST.get("call", "")[:36]
    return show_panel(request) if request.htmx else redirect("home")
