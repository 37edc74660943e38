"""What happens around a view: callbacks take a short way, and pages learn for which organization their user is here."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from crm.access import member_of_session

WEBHOOKS = "/webhooks/twilio"


class CallbackMiddleware:
    """Take Twilio's callbacks past everything that is for pages: sessions, languages, CSRF, CSP.

    The outermost middleware. A callback is judged by its signature alone, and a third of what Django spends on one
    request is spent in those (measured by `make bench`).
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info.startswith(WEBHOOKS + "/"):
            try:
                match = resolve(request.path_info.removeprefix(WEBHOOKS), urlconf="calls.webhook_urls")
            except Resolver404:
                return self.get_response(request)
            request.resolver_match = match
            return match.func(request, *match.args, **match.kwargs)
        return self.get_response(request)


class MemberMiddleware:
    """Set `request.member` before a page's view runs: a membership, or None.

    Only pages that need a log-in pay for the look-up; the API's views authenticate by themselves, and callbacks
    carry their organization in the path.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Look the membership up, in the organization that the session chose."""
        request.member = None
        if getattr(view, "login_required", True) and request.user.is_authenticated:
            request.member = member_of_session(request.user, request.session.get("organization"))
