"""What every page shares: who may switch to where, errors as sentences, and nothing kept in a cache."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from uuid import UUID

from django import forms
from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.cache import patch_cache_control, patch_vary_headers
from django.utils.translation import gettext as _

from crm import audit
from crm.access import memberships_of_session
from crm.accounts import SecondFactorRequired, has_second_factor
from crm.errors import AppError, NotAllowed


def live_updates(request: HttpRequest) -> dict[str, str]:
    """Tell every template where live updates come from; empty: from nowhere."""
    return {"live_url": settings.LIVE_URL}


def page(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Ask for a member, answer an `AppError` with its sentence, and keep every tenant's page out of caches.

    The outermost decorator: what it does happens outside of any organization. A page and htmx's part of it share an
    address, hence `Vary`.
    """

    @wraps(view)
    def shown(request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.shut_out is not None:
            request.memberships = memberships_of_session(request)
            audit.note_refusal(request.shut_out, f"{request.method} {request.path}", SecondFactorRequired.code)
            context = {"has_second_factor": has_second_factor(request.user)}
            return render(request, "second_factor.html", context, status=403)
        if request.member is None:
            raise PermissionDenied(_("You are not a member of any organization. Ask an admin to invite you."))
        if not request.htmx:
            request.memberships = memberships_of_session(request)
        try:
            response = view(request, *args, **kwargs)
        except AppError as error:
            if isinstance(error, NotAllowed):
                audit.note_refusal(request.member, f"{request.method} {request.path}", error.code)
            response = explain(request, error)
        patch_cache_control(response, private=True, no_store=True)
        patch_vary_headers(response, ["HX-Request"])
        return response

    return shown


def explain(request: Any, error: AppError) -> HttpResponse:
    """Answer with the error's sentence: a page for a person, bare text for the script that shows it."""
    if request.htmx:
        return HttpResponse(str(error.message), content_type="text/plain; charset=utf-8", status=error.status)
    name = "404.html" if error.status == 404 else "error.html"
    return render(request, name, {"error": error}, status=error.status)


def explain_beside(form: forms.Form, error: AppError) -> None:
    """Put an error's sentence beside the field that it is about, or above the form, with Twilio's code."""
    sentence = str(error.message)
    if error.twilio_code:
        sentence += " " + _("Twilio code %(code)s") % {"code": error.twilio_code} + "."
    form.add_error(error.field if error.field in form.fields else None, sentence)


def is_part(request: HttpRequest, target: str) -> bool:
    """Does htmx ask for the part of the page with the id `target` only?"""
    htmx: Any = request.htmx  # type: ignore[attr-defined]
    return bool(htmx) and htmx.target == target


def place_in(request: HttpRequest, name: str) -> UUID | None:
    """Return the id behind which a list goes on; None at its beginning, and for what is no id."""
    try:
        return UUID(request.GET.get(name, ""))
    except ValueError:
        return None
