"""Writes to the CRM core's rows."""

import secrets

from crm import tenancy
from crm.access import TOKEN_PREFIX, token_digest
from crm.models import ApiToken, Membership


def create_token(*, member: Membership, name: str = "") -> str:
    """Make a bearer token bound to `member` and return it: the only time that anybody sees it."""
    token = f"{TOKEN_PREFIX}_{member.organization_id.hex}_{secrets.token_urlsafe(32)}"
    with tenancy.inside(member.organization_id):
        ApiToken.objects.create(membership=member, name=name, digest=token_digest(token))
    return token
