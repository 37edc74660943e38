"""Pages about calling through a list: begin it, go on with it, see what became of it."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_POST

from calls import access, queries
from calls import panel as panels
from calls.contact_filters import ContactFilterForm
from calls.models import EntryState
from calls.panel_page import show_panel, start_next
from calls.services.run import MOST_CONTACTS, begin_run, end_run, skip
from crm import queries as crm_queries
from crm import tenancy
from crm.access import possible_owners
from crm.doors import in_organization
from crm.errors import NotFound
from crm.pages import page

PAGE_ROWS = 100


@page
@require_POST
@in_organization
def begin(request: Any) -> HttpResponse:
    """Take down whom a list's filters leave, and show them: the first is called by a press there."""
    member = request.member
    form = ContactFilterForm(
        request.POST, member=member, owners=list(possible_owners(member)), stages=crm_queries.stages(member)
    )
    run = begin_run(member=member, contact_ids=form.ids(MOST_CONTACTS))
    return redirect("run", run.pk)


@page
@require_GET
@in_organization
def run(request: Any, run_id: UUID) -> HttpResponse:
    """Show a run's contacts in order, what became of each, and why some could not be called."""
    found = access.get_run(request.member, run_id)
    counts = queries.counts_of(found)
    entry = queries.next_entry(found) if found.ended_at is None else None
    first = max(_number(request.GET.get("from", "")) or (entry.position - 5 if entry else 1), 1)
    shown = list(queries.entries(found).filter(position__gte=first)[: PAGE_ROWS + 1])
    context = {
        "run": found,
        "counts": [(state, counts[state]) for state in EntryState],
        "settled": found.total - counts[EntryState.WAITING],
        "next": entry,
        "entries": shown[:PAGE_ROWS],
        "earlier": max(first - PAGE_ROWS, 1) if first > 1 else None,
        "later": first + PAGE_ROWS if len(shown) > PAGE_ROWS else None,
        "is_mine": found.user_id == request.member.user_id,
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }
    return render(request, "calls/run.html", context)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0


@page
@require_POST
def next_call(request: Any, run_id: UUID) -> HttpResponse:
    """Call the next one and answer the panel. Outside of any transaction: Twilio is asked."""
    return start_next(request, run_id)


@page
@require_POST
def skip_one(request: Any, run_id: UUID) -> HttpResponse:
    """Pass over the contact that the page showed as the next."""
    try:
        entry_id = UUID(request.POST.get("entry", ""))
    except ValueError as error:
        with tenancy.inside(request.member.organization_id):
            access.own_run(request.member, run_id)
        raise NotFound from error
    skip(member=request.member, run_id=run_id, entry_id=entry_id)
    return show_panel(request) if request.htmx else redirect("run", run_id)


@page
@require_POST
def end(request: Any, run_id: UUID) -> HttpResponse:
    """Call nobody else of it."""
    end_run(member=request.member, run_id=run_id)
    return show_panel(request) if request.htmx else redirect("run", run_id)
