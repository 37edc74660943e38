"""Where a page's saved views are kept and deleted; htmx gets the part that shows them back."""

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST

from crm import tenancy
from crm.models import SavedView
from crm.pages import page
from crm.saved_views import delete_view, save_view
from crm.templatetags.saved import shown


@page
@require_POST
def save(request: Any) -> HttpResponse:
    """Keep what the posted `page` is narrowed to by `query`, under `name`."""
    posted = {name: request.POST.get(name, "") for name in ("page", "name", "query")}
    view = save_view(member=request.member, **posted)
    return _answer(request, view.page, view.query)


@page
@require_POST
def delete(request: Any, view_id: UUID) -> HttpResponse:
    """Delete one; the page stays as it is narrowed."""
    view = delete_view(member=request.member, view_id=view_id)
    return _answer(request, view.page, request.POST.get("query", ""))


def _answer(request: Any, name: str, query: str) -> HttpResponse:
    with tenancy.inside(request.member.organization_id):
        context = shown(request.member, SavedView.Page(name), query)
    if request.htmx:
        return render(request, "parts/saved_views.html", context)
    return redirect(reverse(name) + (f"?{context['query']}" if context["query"] else ""))
