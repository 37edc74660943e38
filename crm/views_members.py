"""The pages about the organization, its members, oneself, and the one that an invitation leads to."""

from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.contrib.auth.decorators import login_not_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from crm import access, invitations, queries, tenancy
from crm import members as services
from crm.accounts import MailNotSent, has_second_factor
from crm.errors import AppError, InvalidNumber
from crm.forms import InviteForm, JoinForm, MemberForm, OrganizationForm, ProfileForm
from crm.models import Invitation, User
from crm.pages import explain, explain_beside, page

PAGES_OF_METHODS = ["GET", "HEAD", "POST"]


@page
@require_http_methods(PAGES_OF_METHODS)
def members(request: Any) -> HttpResponse:
    """List the members; for admins also who is invited, and a form to invite."""
    access.require_manager(request.member)
    form = InviteForm(request.POST if request.method == "POST" else None)
    if request.method == "POST":
        access.require_admin(request.member)
        if form.is_valid():
            try:
                made = invitations.invite(by=request.member, **form.cleaned_data)
            except MailNotSent as error:
                messages.error(request, str(error.message))
                return redirect("members")
            except AppError as error:
                explain_beside(form, error)
            else:
                messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": made.email})
                return redirect("members")
    is_admin = request.member.is_at_least("admin")
    with tenancy.inside(request.member.organization_id):
        context = {
            "members": list(queries.members(request.member)),
            "invitations": list(access.open_invitations(request.member)) if is_admin else [],
            "form": form if is_admin else None,
            "section": "settings",
        }
    return render(request, "members/list.html", context)


@page
@require_http_methods(PAGES_OF_METHODS)
def member(request: Any, member_id: UUID) -> HttpResponse:
    """Show one member to an admin; a POST changes them, or with `is_active` lets them in or out."""
    with tenancy.inside(request.member.organization_id):
        shown = access.get_member(request.member, member_id)
        access.require_admin(request.member)
        numbers = services.numbers_to_call_from(request.member.organization_id)
    form = MemberForm(request.POST if request.method == "POST" else None, member=shown, numbers=numbers)
    if "is_active" in request.POST:
        try:
            wanted = request.POST["is_active"] == "yes"
            services.change_member(by=request.member, member_id=member_id, is_active=wanted)
        except AppError as error:
            messages.error(request, str(error.message))
        return redirect("member", member_id)
    if form.is_valid():
        try:
            services.change_member(by=request.member, member_id=member_id, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("member", member_id)
    context = {"shown": shown, "form": form, "is_oneself": shown.pk == request.member.pk, "section": "settings"}
    return render(request, "members/member.html", context)


@page
@require_POST
def invitation(request: Any, invitation_id: UUID) -> HttpResponse:
    """Send an open invitation again, or withdraw it."""
    with tenancy.inside(request.member.organization_id):
        access.get_invitation(request.member, invitation_id)
    if "withdraw" in request.POST:
        invitations.withdraw(by=request.member, invitation_id=invitation_id)
        return redirect("members")
    try:
        sent = invitations.send_again(by=request.member, invitation_id=invitation_id)
    except (MailNotSent, invitations.TooManyInvitations) as error:
        messages.error(request, str(error.message))
    else:
        messages.success(request, _("An invitation is on its way to %(email)s.") % {"email": sent.email})
    return redirect("members")


@page
@require_http_methods(PAGES_OF_METHODS)
def organization(request: Any) -> HttpResponse:
    """Show the organization to an admin; a POST changes it."""
    access.require_admin(request.member)
    form = OrganizationForm(
        request.POST if request.method == "POST" else None, organization=request.member.organization
    )
    if form.is_valid():
        try:
            services.change_organization(by=request.member, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("organization")
    return render(request, "members/organization.html", {"form": form, "section": "settings"})


@page
@require_http_methods(PAGES_OF_METHODS)
def profile(request: Any) -> HttpResponse:
    """Show a member what is theirs: name, phone, and the way to password, e-mail and second factor."""
    own = {"name": request.user.name, "phone_number": request.member.phone_number}
    form = ProfileForm(request.POST if request.method == "POST" else None, initial=own)
    if form.is_valid():
        try:
            services.change_profile(member=request.member, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            messages.success(request, _("Saved."))
            return redirect("profile")
    context = {"form": form, "has_second_factor": has_second_factor(request.user), "section": "profile"}
    return render(request, "members/profile.html", context)


@page
@require_POST
def leave(request: Any) -> HttpResponse:
    """Leave the organization, unless that would leave it without an admin."""
    try:
        services.leave(request.member)
    except AppError as error:
        messages.error(request, str(error.message))
        return redirect("profile")
    return redirect("home")


@login_not_required
@require_http_methods(PAGES_OF_METHODS)
def accept(request: Any, token: str) -> HttpResponse:
    """Show what an invitation is to, and let whoever holds its link join; nothing happens before they say so."""
    user = request.user if request.user.is_authenticated else None
    form = JoinForm(request.POST if request.method == "POST" and user is None else None)
    try:
        found = _invitation(token)
        has_account = User.objects.filter(email=found.email).exists()
        joins = request.method == "POST" and (user is not None or (not has_account and form.is_valid()))
        if joins:
            return _joined(request, token, user, form)
    except (invitations.BadPassword, InvalidNumber) as error:
        explain_beside(form, error)
    except AppError as error:
        return explain(request, error)
    context = {
        "invitation": found,
        "form": form,
        "has_account": has_account,
        "is_somebody_else": user is not None and user.email != found.email,
        "here": request.path,
    }
    response = render(request, "members/accept.html", context)
    patch_cache_control(response, private=True, no_store=True)
    return response


def _invitation(token: str) -> Invitation:
    organization_id = access.organization_of_token(token)
    if organization_id is not None:
        with tenancy.inside(organization_id):
            found = access.invitation_of_token(token)
        if found is not None:
            return found
    raise invitations.InvitationGone


def _joined(request: Any, token: str, user: User | None, form: forms.Form) -> HttpResponse:
    typed = {} if user is not None else form.cleaned_data
    joined = invitations.accept(token=token, user=user, **typed)
    if user is None:
        login(request, joined.user, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session[access.CHOSEN] = str(joined.organization_id)
    return redirect("home")
