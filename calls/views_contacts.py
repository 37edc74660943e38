"""Pages about contacts and opportunities: whom to call, what is known of them, and the forms to write it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_http_methods

from calls import panel as panels
from calls import queries as call_queries
from crm import access, contacts, queries
from crm.doors import in_organization
from crm.errors import AppError, InvalidNumber
from crm.forms_contacts import ContactForm, OpportunityForm
from crm.imports.access import get_import
from crm.models import Contact, Membership
from crm.numbers import for_display, to_e164
from crm.pages import is_part, page, place_in

PAGE_ROWS = 50
TIMELINE_ROWS = 20
shown_and_posted = require_http_methods(["GET", "HEAD", "POST"])


@page
@require_GET
@in_organization
def contact_list(request: Any) -> HttpResponse:
    """List the organization's contacts with a call button beside each number; `q` searches, `after` pages.

    A whole number that none of them has can be called as well. `import` shows those of an imported file only.
    """
    search = request.GET.get("q", "").strip()
    number = _typed_number(request.member, search)
    after = place_in(request, "after")
    imported = place_in(request, "import")
    rows = queries.contacts(request.member, search=search, number=number, imported=imported)
    shown = list(_behind(rows, after)[: PAGE_ROWS + 1])
    is_nobodys = bool(number) and not after and not rows.filter(numbers__number=number).exists()
    context = {
        "search": search,
        "imported": get_import(request.member, imported) if imported else None,
        "typed": number if is_nobodys else None,
        "contacts": shown[:PAGE_ROWS],
        "after": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }
    part = is_part(request, "contacts") or is_part(request, "more-contacts")
    return render(request, "contacts/_rows.html" if part else "contacts/list.html", context)


def _typed_number(member: Membership, search: str) -> str | None:
    """The E.164 number that was typed or pasted whole, if it is one."""
    if any(letter.isalpha() for letter in search):
        return None
    try:
        return to_e164(search, region=member.organization.region)
    except InvalidNumber:
        return None


def _behind(rows: QuerySet[Contact], contact_id: UUID | None) -> QuerySet[Contact]:
    """Rows by name behind one contact; all of them if it is gone."""
    last = rows.filter(pk=contact_id).first() if contact_id else None
    return rows.filter(Q(name__gt=last.name) | Q(name=last.name, pk__gt=last.pk)) if last else rows


@page
@require_GET
@in_organization
def contact(request: Any, contact_id: UUID) -> HttpResponse:
    """Show a contact's numbers, and the calls with them that the member may see."""
    found = access.get_contact(request.member, contact_id)
    rows = list(call_queries.calls(request.member).filter(contact=found)[: TIMELINE_ROWS + 1])
    context = {
        "contact": found,
        "opportunities": list(queries.opportunities(request.member, contact_id=found.pk)),
        "rows": [panels.row_of(one) for one in rows[:TIMELINE_ROWS]],
        "has_more": len(rows) > TIMELINE_ROWS,
        "ready": panels.readiness(request.member),
        "section": "contacts",
    }
    return render(request, "contacts/contact.html", context)


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
            contacts.create_opportunity(member=request.member, contact=found.pk, **form.cleaned_data)
        except AppError as error:
            form.explain(error)
        else:
            messages.success(request, _("Saved."))
            return redirect("contact", contact_id)
    return render(request, "contacts/opportunity.html", _context(request, form) | {"contact": found})


@page
@shown_and_posted
@in_organization
def opportunity(request: Any, opportunity_id: UUID) -> HttpResponse:
    """Show an opportunity with its contact's numbers; a POST changes it, in what this member changed."""
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
            return redirect("contact", found.contact_id)
    shown = {"opportunity": found, "contact": access.get_contact(request.member, found.contact_id)}
    return render(request, "contacts/opportunity.html", _context(request, form) | shown)


def _owners(member: Membership) -> list[Membership]:
    return list(access.possible_owners(member))


def _context(request: Any, form: Any) -> dict[str, Any]:
    return {"form": form, "ready": panels.readiness(request.member), "section": "contacts"}
