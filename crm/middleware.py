"""What happens around a view: pages learn for which organization their user is here."""

from collections.abc import Callable
from typing import Any
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from crm.access import member_of_session
from crm.accounts import lacks_second_factor
from crm.contacts import time_zones

ZONE_COOKIE = "zone"


class MemberMiddleware:
    """Set `request.member` before a page's view runs: a membership, or None.

    `request.shut_out` is one whose organization requires a second factor that this session has not proved.
    Only pages that need a log-in pay for the look-up; the API's views authenticate by themselves, and callbacks
    carry their organization in the path.

    Days and times on pages are those of the reader's own zone, which static/app.js tells in a cookie; the API speaks
    UTC.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with timezone.override(None):  # a thread serves one reader after another
            return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        """Look the membership up, in the organization that the session chose."""
        request.member = request.shut_out = None
        if getattr(view, "login_required", True) and request.user.is_authenticated:
            zone = unquote(request.COOKIES.get(ZONE_COOKIE, ""))
            if zone in time_zones():
                timezone.activate(ZoneInfo(zone))
            member = member_of_session(request)
            if member is not None and lacks_second_factor(request, member):
                request.shut_out = member
            else:
                request.member = member
