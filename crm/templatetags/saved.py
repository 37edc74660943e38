"""`{% saved_views "calls" %}`: a member's own views of a page, and the form that saves one more."""

from typing import Any

from django import template
from django.urls import reverse

from crm.models import Membership
from crm.saved_views import LONGEST_NAME, normalised, views_of

register = template.Library()


def shown(member: Membership, page: str, query: str) -> dict[str, Any]:
    """Return what the part shows: the views with which of them is open, and what would be saved."""
    query = normalised(query)
    return {
        "page": str(page),
        "address": reverse(page),
        "query": query,
        "views": [(one, one.query == query) for one in views_of(member, page)],
        "longest": LONGEST_NAME,
    }


@register.inclusion_tag("parts/saved_views.html", takes_context=True)
def saved_views(context: Any, page: str) -> dict[str, Any]:
    """Show the part for the page whose address the request has; inside of the organization."""
    request = context["request"]
    return {"csrf_token": context.get("csrf_token"), **shown(request.member, page, request.GET.urlencode())}
