"""How a request to the REST API says who is asking: a bearer token, or the pages' session with CSRF."""

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import authentication, exceptions, permissions
from rest_framework.request import Request

from crm import audit
from crm.access import member_of_session, member_of_token
from crm.accounts import SecondFactorRequired, lacks_second_factor


class TokenAuthentication(authentication.BaseAuthentication):
    """`Authorization: Bearer ctc_…`."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return (user, member), or None when the request carries no bearer token."""
        kind, _space, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() != "bearer":
            return None
        member = member_of_token(token.strip())
        if member is None:
            raise exceptions.AuthenticationFailed(_("This token is wrong, revoked, or its member is not active."))
        request._request.member = member  # type: ignore[attr-defined]
        return member.user, member

    def authenticate_header(self, request: Request) -> str:
        """What a 401 asks for."""
        return "Bearer"


class SessionAuthentication(authentication.SessionAuthentication):
    """The pages' session; unsafe methods need the CSRF token."""

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        """Return (user, member), or None when nobody is signed in. Raises: SecondFactorRequired."""
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        member = member_of_session(request._request)
        if member is not None and lacks_second_factor(request._request, member):
            audit.note_refusal(member, f"{request.method} {request.path}", SecondFactorRequired.code)
            raise SecondFactorRequired
        request._request.member = member  # type: ignore[attr-defined]
        return user, member


class IsMember(permissions.BasePermission):
    """Somebody is asking, and they belong to an organization."""

    message = _("You are not a member of any organization.")

    def has_permission(self, request: Request, view: Any) -> bool:
        """A request whose authentication found no membership has no rows to see."""
        return getattr(request._request, "member", None) is not None
