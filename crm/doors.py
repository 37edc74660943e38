"""The decorator by which a page or an API handler enters its member's organization."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.core.exceptions import PermissionDenied
from django.utils.translation import gettext as _

from crm import tenancy
from crm.models import Membership


def member_of(request: Any) -> Membership:
    """Return the member whom a page's or the API's request was authenticated as.

    Raises: PermissionDenied when a signed-in user belongs to no organization.
    """
    if request.member is None:
        raise PermissionDenied(_("You are not a member of any organization. Ask an admin to invite you."))
    return request.member


def in_organization(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Run `handler(…, request, …)` inside the organization of `request.member`, in one transaction.

    For handlers that only touch the database. One that talks to Twilio, or streams, calls services which enter and
    leave by themselves: no network inside a transaction.
    """

    @wraps(handler)
    def inside(*args: Any, **kwargs: Any) -> Any:
        request = args[0] if hasattr(args[0], "member") else args[1]
        with tenancy.inside(member_of(request).organization_id):
            return handler(*args, **kwargs)

    return inside
