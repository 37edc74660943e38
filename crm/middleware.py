"""What happens around a view: pages learn for which organization their user is here."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse

from crm.access import member_of_session


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
