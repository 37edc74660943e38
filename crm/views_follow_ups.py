"""Pages on which members write notes and follow-ups of a contact, change them, and have them done."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from crm import access, follow_ups, notes, queries
from crm.doors import in_organization
from crm.errors import AppError
from crm.forms_follow_ups import FollowUpForm, NoteForm
from crm.models import Contact, FollowUp, Membership
from crm.pages import explain_beside, page

shown_and_posted = require_http_methods(["GET", "HEAD", "POST"])


def follow_up_form(
    member: Membership,
    contact: Contact,
    data: Any = None,
    *,
    follow_up: FollowUp | None = None,
    opportunity: UUID | None = None,
) -> FollowUpForm:
    """Return the form of a new follow-up, or of one that there is."""
    return FollowUpForm(
        data,
        member=member,
        owners=list(access.possible_owners(member)) if member.sees_whole_team else [],
        opportunities=list(queries.opportunities(member, contact_id=contact.pk)[:100]),
        follow_up=follow_up,
        opportunity=opportunity,
    )


def _back(contact_id: UUID, opportunity_id: UUID | None) -> HttpResponse:
    """Go to where it was written."""
    if opportunity_id:
        return redirect("opportunity", opportunity_id)
    return redirect("contact", contact_id)


@page
@shown_and_posted
@in_organization
def new_follow_up(request: Any, contact_id: UUID) -> HttpResponse:
    """Write a follow-up of a contact down."""
    contact = access.get_contact(request.member, contact_id)
    form = follow_up_form(request.member, contact, request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = follow_ups.create_follow_up(member=request.member, contact=contact.pk, **form.said())
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return _back(contact.pk, made.opportunity_id)
    return render(request, "contacts/follow_up.html", {"form": form, "contact": contact, "section": "contacts"})


@page
@shown_and_posted
@in_organization
def follow_up(request: Any, follow_up_id: UUID) -> HttpResponse:
    """Change a follow-up."""
    found = access.get_follow_up(request.member, follow_up_id)
    posted = request.POST if request.method == "POST" else None
    form = follow_up_form(request.member, found.contact, posted, follow_up=found)
    if form.is_valid():
        try:
            follow_ups.change_follow_up(member=request.member, follow_up_id=follow_up_id, **form.said())
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return _back(found.contact_id, None)
    context = {"form": form, "contact": found.contact, "follow_up": found, "section": "contacts"}
    return render(request, "contacts/follow_up.html", context)


@page
@require_POST
@in_organization
def follow_up_done(request: Any, follow_up_id: UUID) -> HttpResponse:
    """Say that it is done, or with `done=no` that it is not."""
    changed = follow_ups.change_follow_up(
        member=request.member, follow_up_id=follow_up_id, done=request.POST.get("done") != "no"
    )
    return _followed(request, changed.contact_id)


@page
@require_POST
@in_organization
def delete_follow_up(request: Any, follow_up_id: UUID) -> HttpResponse:
    """Take it back."""
    contact_id = access.get_follow_up(request.member, follow_up_id).contact_id
    follow_ups.delete_follow_up(member=request.member, follow_up_id=follow_up_id)
    return _followed(request, contact_id)


def _followed(request: Any, contact_id: UUID) -> HttpResponse:
    """Have the page's lists follow; or go to the contact, without a script."""
    if not request.htmx:
        return redirect("contact", contact_id)
    return HttpResponse(status=204, headers={"HX-Trigger": "call-changed"})


@page
@shown_and_posted
@in_organization
def new_note(request: Any, contact_id: UUID) -> HttpResponse:
    """Write a note of a contact, or of one of its opportunities, down."""
    contact = access.get_contact(request.member, contact_id)
    form = NoteForm(request.POST if request.method == "POST" else None)
    if form.is_valid():
        try:
            made = notes.create_note(member=request.member, contact=contact.pk, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return _back(contact.pk, made.opportunity_id)
    return render(request, "contacts/note.html", {"form": form, "contact": contact, "section": "contacts"})


@page
@shown_and_posted
@in_organization
def note(request: Any, note_id: UUID) -> HttpResponse:
    """Say a note otherwise."""
    found = access.get_note(request.member, note_id)
    form = NoteForm(request.POST if request.method == "POST" else None, text=found.text)
    if form.is_valid():
        try:
            notes.change_note(member=request.member, note_id=note_id, text=form.cleaned_data["text"])
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return _back(found.contact_id, found.opportunity_id)
    context = {"form": form, "contact": found.contact, "note": found, "section": "contacts"}
    return render(request, "contacts/note.html", context)


@page
@require_POST
@in_organization
def delete_note(request: Any, note_id: UUID) -> HttpResponse:
    """Take it back."""
    found = access.get_note(request.member, note_id)
    notes.delete_note(member=request.member, note_id=note_id)
    return _back(found.contact_id, found.opportunity_id)
