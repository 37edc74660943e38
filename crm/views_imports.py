"""Contacts in and out of the house as pages, for managers and admins: upload, preview, progress, result; export."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from crm import exports, tenancy
from crm.access import require_manager
from crm.doors import in_organization
from crm.errors import AppError
from crm.forms_imports import ColumnsForm, UploadForm
from crm.imports import begin
from crm.imports.access import get_import, imports
from crm.models import ContactImport, ImportStatus
from crm.pages import explain_beside, is_part, page

PAST_ROWS = 20
PEOPLE_SHOWN = 5
REFUSED_SHOWN = 10
shown_and_posted = require_http_methods(["GET", "HEAD", "POST"])


@page
@shown_and_posted
def imports_page(request: Any) -> HttpResponse:
    """Show the imports so far and the form for another file; a POST takes one in and leads to its preview."""
    require_manager(request.member)
    posted = request.method == "POST"
    form = UploadForm(request.POST, request.FILES) if posted else UploadForm()
    if posted and form.is_valid():
        file = form.cleaned_data["file"]
        try:
            if file.size > begin.MOST_BYTES:
                raise begin.FileTooLarge(field="file")
            importing = begin.upload(member=request.member, file_name=file.name, content=file.read())
        except AppError as error:
            explain_beside(form, error)
        else:
            return redirect("contact-import", importing.pk)
    with tenancy.inside(request.member.organization_id):
        past = list(imports(request.member)[:PAST_ROWS])
    return render(request, "imports/list.html", {"form": form, "imports": past, "section": "contacts"})


@page
@shown_and_posted
@in_organization
def one_import(request: Any, import_id: UUID) -> HttpResponse:
    """Show an import as far as it is: its preview, its progress or its result.

    A POST says what the columns are; with `start`, it begins.
    """
    importing = get_import(request.member, import_id)
    require_manager(request.member)
    form, context = None, {"importing": importing, "section": "contacts"}
    if importing.status == ImportStatus.UPLOADED:
        posted = request.POST if request.method == "POST" else None
        form = ColumnsForm(posted, importing=importing, examples=begin.sample(importing).examples)
        if posted is not None and form.is_valid():
            try:
                importing = begin.configure(member=request.member, import_id=import_id, **form.said())
                if "start" in posted:
                    begin.start(member=request.member, import_id=import_id)
                    return redirect("contact-import", import_id)
            except AppError as error:
                form.add_error(None, str(error.message))
        return render(request, "imports/preview.html", context | _previewed(importing, form))
    if is_part(request, "import-progress"):
        if importing.status == ImportStatus.RUNNING:
            return render(request, "imports/_progress.html", context)
        answer = render(request, "imports/_result.html", context)
        answer["HX-Retarget"], answer["HX-Reswap"] = "#import", "outerHTML"
        return answer
    return render(request, "imports/import.html", context)


def _previewed(importing: ContactImport, form: ColumnsForm) -> dict[str, Any]:
    told = begin.sample(importing)
    headings = [one or _("Column %(place)s") % {"place": place} for place, one in enumerate(importing.headings, 1)]
    refused = [(row, exports.why_of(reasons, headings)) for row, reasons in told.refused[:REFUSED_SHOWN]]
    return {
        "importing": importing,
        "form": form,
        "told": told,
        "people": told.people[:PEOPLE_SHOWN],
        "refused": refused,
        "more_refused": len(told.refused) - len(refused),
    }


@page
@require_POST
def cancel(request: Any, import_id: UUID) -> HttpResponse:
    """End an import, or throw a file away that was not imported. The page asks before."""
    if begin.cancel(member=request.member, import_id=import_id):
        return redirect("contact-import", import_id)
    messages.success(request, _("The file is deleted; nothing was imported."))
    return redirect("import-contacts")


@page
@require_POST
def go_on(request: Any, import_id: UUID) -> HttpResponse:
    """Try again where an error has stopped an import."""
    begin.go_on(member=request.member, import_id=import_id)
    return redirect("contact-import", import_id)


@page
@require_safe
def refused_rows(request: Any, import_id: UUID) -> Any:
    """Send the rows that were refused."""
    return exports.export_refused(request.member, import_id)
