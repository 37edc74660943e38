"""Pages on which a rep says how a call went, and goes on to the next."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from calls import access
from calls.forms_wrap_up import WrapUpForm
from calls.panel_page import start_next
from calls.services.wrap_up import BadOutcome, wrap_up
from crm import tenancy
from crm.pages import page

PLACES = ("panel", "page", "home")


@page
@require_http_methods(["GET", "HEAD", "POST"])
def outcome(request: Any, call_id: UUID) -> HttpResponse:
    """Keep how a call went, from its page, the panel or home; htmx gets the form back. A GET is the form.

    What is refused is answered by its sentence alone, so that the form keeps what was entered.

    With `then=next`, the next contact of the run is called once the outcome is committed; the answer is the panel.
    Outside of any transaction: Twilio is asked.
    """
    if request.method != "POST":
        return _form(request, call_id)
    form = WrapUpForm(request.POST)
    if not form.is_valid():
        raise BadOutcome(form.sentence)
    wrap_up(member=request.member, call_id=call_id, **form.said())
    if request.POST.get("then") == "next":
        return start_next(request, request.POST.get("run", ""))
    if not request.htmx:
        return redirect("call", call_id)
    response = _form(request, call_id, is_saved=True)
    response["HX-Trigger"] = "call-changed"
    return response


@page
@require_POST
def note(request: Any, call_id: UUID) -> HttpResponse:
    """Keep the note of a call while it is being typed."""
    notes = request.POST["notes"].replace("\r\n", "\n") if "notes" in request.POST else None
    wrap_up(member=request.member, call_id=call_id, notes=notes)
    return HttpResponse(_("Saved"), content_type="text/plain; charset=utf-8")


def _form(request: Any, call_id: UUID, **said: Any) -> HttpResponse:
    place = request.POST.get("place") or request.GET.get("place", "")
    with tenancy.inside(request.member.organization_id):
        call = access.get_call(request.member, call_id)
        context = {"call": call, "place": place if place in PLACES else "page"} | said
        return render(request, "calls/_wrap_up.html", context)
