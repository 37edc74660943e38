"""Pages that are about nobody's calls: in and out, the organization, the language."""

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_http_methods, require_POST
from django.views.i18n import set_language

from crm.access import CHOSEN, memberships_of_session
from crm.errors import NotFound
from crm.pages import explain


@require_POST
def switch_organization(request: Any) -> HttpResponse:
    """Work in another of one's own organizations from now on, also from one that lets nobody in yet."""
    wanted = request.POST.get("organization")
    if wanted not in [str(member.organization_id) for member in memberships_of_session(request)]:
        return explain(request, NotFound())
    request.session[CHOSEN] = wanted
    return redirect("home")


@login_not_required
@require_http_methods(["GET", "HEAD", "POST"])
def switch_language(request: HttpRequest) -> Any:
    """Keep the chosen language in a cookie, signed in or not, and go back to the same page."""
    return set_language(request)
