"""The addresses that a call's callbacks come to: they carry our organization and call, and nothing to dial."""

from uuid import UUID

from django.conf import settings
from django.urls import reverse


def callback_url(organization_id: UUID, call_id: UUID, kind: str) -> str:
    """Return the public address of one kind of callback of one call, without a fragment."""
    path = reverse("callback", kwargs={"organization_id": organization_id, "call_id": call_id, "kind": kind})
    return settings.PUBLIC_BASE_URL + path
