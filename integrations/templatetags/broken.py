"""The banner on top of every page while the organization's calls cannot work."""

from typing import Any

from django import template

from crm import tenancy
from crm.models import Role
from integrations.access import account_of
from integrations.trouble import trouble_of

register = template.Library()


@register.inclusion_tag("parts/broken.html", takes_context=True)
def broken(context: Any) -> dict[str, Any]:
    """Say what is wrong with the organization's Twilio account, if anything: one query, and nothing is asked."""
    member = getattr(context.get("request"), "member", None)
    if member is None:
        return {}
    with tenancy.inside(member.organization_id):
        account = account_of(member.organization_id)
    return {"trouble": trouble_of(account), "is_admin": member.role == Role.ADMIN}
