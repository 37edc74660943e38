"""Pages about contacts and opportunities: whom to call, what is known of them, and the forms to write it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods, require_safe

from calls import panel as panels
from calls.contact_filters import ContactFilterForm
from calls.services.run import MOST_CONTACTS
from calls.timeline import KINDS, timeline
from crm import access, contacts, exports, queries, tenancy
from crm.access import require_manager
from crm.doors import in_organization
from crm.errors import AppError
from crm.forms_contacts import ContactForm, OpportunityForm
from crm.forms_follow_ups import NoteForm
from crm.imports.access import get_import
from crm.models import Contact, Membership
from crm.numbers import for_display
from crm.pages import is_part, page, place_in
from crm.views_follow_ups import follow_up_form

PAGE_ROWS = 50
TIMELINE_ROWS = 20
shown_and_posted = require_http_methods(["GET", "HEAD", "POST"])


@page
@require_GET
@in_organization
def contact_list(request: Any) -> HttpResponse:
    """List contacts with a call button beside each number; `q` searches, other filters narrow, `after` pages.

    A whole number that none of them has can be called as well. `import` shows those of an imported file only.
    """
    member = request.member
    form = _filters(request)
    after = place_in(request, "after")
    rows = form.contacts()
    shown = list(_behind(rows, after)[: PAGE_ROWS + 1])
    number = form.number if not after else None
    asked = request.GET.copy()
    asked.pop("after", None)
    context = {
        "form": form,
        "search": form.search,
        "imported": form.imported,
        "typed": number if number and not queries.has_number(member, number) else None,
        "contacts": shown[:PAGE_ROWS],
        "after": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "asked": asked,
        "counted": rows.values("pk")[: MOST_CONTACTS + 1].count() if not after else None,
        "most": MOST_CONTACTS,
        "ready": panels.readiness(member),
        "section": "contacts",
    }
    part = is_part(request, "contacts") or is_part(request, "more-contacts")
    return render(request, "contacts/_rows.html" if part else "contacts/list.html", context)


@page
@require_safe
def export(request: Any) -> Any:
    """Send the contacts that the page with the same filters shows, for managers and admins."""
    require_manager(request.member)
    with tenancy.inside(request.member.organization_id):
        form = _filters(request)
        rows = form.contacts()
    return exports.export_contacts(request.member, rows, filters=form.said())


def _filters(request: Any) -> ContactFilterForm:
    member = request.member
    form = ContactFilterForm(request.GET, member=member, owners=_owners(member), stages=queries.stages(member))
    if imported := form.imported_id:
        form.imported = get_import(member, imported)
    return form


def _behind(rows: QuerySet[Contact], contact_id: UUID | None) -> QuerySet[Contact]:
    """Rows by name behind one contact; all of them if it is gone."""
    last = rows.filter(pk=contact_id).first() if contact_id else None
    return rows.filter(Q(name__gt=last.name) | Q(name=last.name, pk__gt=last.pk)) if last else rows


@page
@require_GET
@in_organization
def contact(request: Any, contact_id: UUID) -> HttpResponse:
    """Show a contact's numbers, its opportunities, what is to be done, and all that was, as far as the member sees."""
    found = access.get_contact(request.member, contact_id)
    due = queries.follow_ups(request.member, contact_id=found.pk).filter(done_at=None)
    context = _story(request, contact_id=found.pk) | {
        "contact": found,
        "opportunities": list(queries.opportunities(request.member, contact_id=found.pk)),
        "follow_ups": list(due[:TIMELINE_ROWS]),
        "note_form": NoteForm(),
        "follow_up_form": follow_up_form(request.member, found),
    }
    return render(request, "contacts/_lines.html" if is_part(request, "older") else "contacts/contact.html", context)


def _story(request: Any, **about: UUID) -> dict[str, Any]:
    """What a page with a timeline needs: `kind` narrows it, `before` pages."""
    kind = request.GET.get("kind", "")
    kind = kind if kind in KINDS else ""
    before = place_in(request, "before")
    lines = timeline(request.member, kind=kind, before=before, most=TIMELINE_ROWS + 1, **about)
    return {
        "lines": lines[:TIMELINE_ROWS],
        "older": lines[TIMELINE_ROWS - 1].id if len(lines) > TIMELINE_ROWS else None,
        "kind": kind,
        "kinds": KINDS.items(),
        "is_newest": before is None,
        "now": timezone.now(),
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }


@page
@shown_and_posted
@in_organization
def new_contact(request: Any) -> HttpResponse:
    """Make a contact; `number` is one that was typed before."""
    number = request.GET.get("number", "").replace(" ", "+", 1)[:40]  # a plus in an address is a space
    form = ContactForm(
        request.POST if request.method == "POST" else None,
        member=request.member,
        owners=_owners(request.member),
        number=for_display(number),
    )
    if form.is_valid():
        try:
            made = contacts.create_contact(member=request.member, **form.said())
        except AppError as error:
            form.explain(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("contact", made.pk)
    return render(request, "contacts/edit.html", _context(request, form))


@page
@shown_and_posted
@in_organization
def edit_contact(request: Any, contact_id: UUID) -> HttpResponse:
    """Change a contact, in what this member changed."""
    found = access.get_contact(request.member, contact_id)
    posted = request.POST if request.method == "POST" else None
    form = ContactForm(posted, member=request.member, owners=_owners(request.member), contact=found)
    if form.is_valid():
        try:
            contacts.change_contact(member=request.member, contact_id=contact_id, **form.changes())
        except AppError as error:
            form.explain(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("contact", contact_id)
    return render(request, "contacts/edit.html", _context(request, form) | {"contact": found})


@page
@shown_and_posted
@in_organization
def new_opportunity(request: Any, contact_id: UUID) -> HttpResponse:
    """Make an opportunity of a contact."""
    found = access.get_contact(request.member, contact_id)
    posted = request.POST if request.method == "POST" else None
    form = OpportunityForm(posted, member=request.member, owners=_owners(request.member))
    if form.is_valid():
        try:
            made = contacts.create_opportunity(member=request.member, contact=found.pk, **form.cleaned_data)
        except AppError as error:
            form.explain(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("opportunity", made.pk)
    return render(request, "contacts/edit_opportunity.html", _context(request, form) | {"contact": found})


@page
@require_GET
@in_organization
def opportunity(request: Any, opportunity_id: UUID) -> HttpResponse:
    """Show an opportunity with its contact's numbers, what is to be done, and its own timeline."""
    found = access.get_opportunity(request.member, opportunity_id)
    whose = access.get_contact(request.member, found.contact_id)
    due = queries.follow_ups(request.member, opportunity_id=found.pk).filter(done_at=None)
    context = _story(request, opportunity_id=found.pk) | {
        "opportunity": found,
        "contact": whose,
        "follow_ups": list(due[:TIMELINE_ROWS]),
        "note_form": NoteForm(opportunity=found.pk),
        "follow_up_form": follow_up_form(request.member, whose, opportunity=found.pk),
    }
    part = is_part(request, "older")
    return render(request, "contacts/_lines.html" if part else "contacts/opportunity.html", context)


@page
@shown_and_posted
@in_organization
def edit_opportunity(request: Any, opportunity_id: UUID) -> HttpResponse:
    """Change an opportunity, in what this member changed."""
    found = access.get_opportunity(request.member, opportunity_id)
    posted = request.POST if request.method == "POST" else None
    form = OpportunityForm(posted, member=request.member, owners=_owners(request.member), opportunity=found)
    if form.is_valid():
        try:
            contacts.change_opportunity(member=request.member, opportunity_id=opportunity_id, **form.changes())
        except AppError as error:
            form.explain(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("opportunity", opportunity_id)
    shown = {"opportunity": found, "contact": access.get_contact(request.member, found.contact_id)}
    return render(request, "contacts/edit_opportunity.html", _context(request, form) | shown)


def _owners(member: Membership) -> list[Membership]:
    return list(access.possible_owners(member))


def _context(request: Any, form: Any) -> dict[str, Any]:
    return {"form": form, "ready": panels.readiness(request.member), "section": "contacts"}
