"""Who is listening: the pages' session, by the pages' rules."""

from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest, parse_cookie

from calls.live.hub import Listener
from crm.access import member_of_session
from crm.accounts import lacks_second_factor
from crm.sessions import SessionStore


def listener_of(cookies: str) -> Listener | None:
    """Return whom a browser's cookies stand for now, or None if no page would show them a call."""
    close_old_connections()  # as before each request: one that the server has closed is not used again
    request = HttpRequest()
    request.COOKIES = parse_cookie(cookies)
    request.session = SessionStore(request.COOKIES.get(settings.SESSION_COOKIE_NAME))
    user = get_user(request)
    if not user.is_authenticated:
        return None
    request.user = user
    member = member_of_session(request)
    if member is None or lacks_second_factor(request, member):
        return None
    return Listener(member.organization_id, member.user_id, member.sees_whole_team)
