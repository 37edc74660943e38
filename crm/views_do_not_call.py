"""The page of the numbers that nobody may call: every member sees it and adds to it, admins import and take off."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from crm import access, do_not_call, queries, tenancy
from crm.doors import in_organization
from crm.errors import AppError
from crm.forms import ImportForm, ListNumberForm
from crm.models import Role
from crm.numbers import digits_in, for_display
from crm.pages import explain_beside, is_part, page, place_in

PAGE_ROWS = 50


@page
@require_http_methods(["GET", "HEAD", "POST"])
def listed(request: Any) -> HttpResponse:
    """Show the list, newest first: `q` searches a number, `before` pages by id. A POST lists one more."""
    if request.method != "POST":
        return _shown(request)
    form = ListNumberForm(request.POST)
    if form.is_valid():
        try:
            row, is_new = do_not_call.add_number(member=request.member, **form.cleaned_data)
        except AppError as error:
            explain_beside(form, error)
        else:
            said = _("%(number)s is on the list now.") if is_new else _("%(number)s is on the list already.")
            messages.success(request, said % {"number": for_display(row.number)})
            return redirect("do-not-call")
    return _shown(request, form=form)


@page
@require_POST
def import_file(request: Any) -> HttpResponse:
    """List every number of a CSV file, and report on its rows: for admins."""
    access.require_admin(request.member)
    form = ImportForm(request.POST, request.FILES)
    told = None
    if form.is_valid():
        try:
            file = form.cleaned_data["file"]
            if file.size > do_not_call.MOST_BYTES:
                raise do_not_call.FileTooLarge(field="file")
            told = do_not_call.import_numbers(
                member=request.member, content=file.read(), reason=form.cleaned_data["reason"]
            )
        except AppError as error:
            explain_beside(form, error)
    return _shown(request, import_form=None if told else form, told=told)


@page
@require_POST
@in_organization
def remove(request: Any, listed_id: UUID) -> HttpResponse:
    """Take a number off the list: for admins. The page asks before."""
    row = access.get_number_not_to_call(request.member, listed_id)
    access.require_admin(request.member)
    do_not_call.take_off(member=request.member, row=row)
    messages.success(request, _("%(number)s may be called again.") % {"number": for_display(row.number)})
    return redirect("do-not-call")


def _shown(
    request: Any,
    *,
    form: ListNumberForm | None = None,
    import_form: ImportForm | None = None,
    told: do_not_call.Imported | None = None,
) -> HttpResponse:
    search = request.GET.get("q", "").strip()
    with tenancy.inside(request.member.organization_id):
        rows = queries.numbers_not_to_call(request.member, search=search).select_related("added_by")
        if search and not digits_in(search):
            rows = rows.none()
        before = place_in(request, "before")
        shown = list((rows.filter(pk__lt=before) if before else rows)[: PAGE_ROWS + 1])
    context = {
        "search": search,
        "rows": shown[:PAGE_ROWS],
        "before": shown[PAGE_ROWS - 1].pk if len(shown) > PAGE_ROWS else None,
        "is_admin": request.member.role == Role.ADMIN,
        "form": form or ListNumberForm(),
        "import_form": import_form or ImportForm(),
        "told": told,
        "more_invalid": told.invalid - len(told.first_invalid) if told else 0,
        "section": "settings" if request.member.role == Role.ADMIN else "contacts",
    }
    part = is_part(request, "listed") or is_part(request, "more-listed")
    return render(request, "do_not_call/_rows.html" if part else "do_not_call/list.html", context)
