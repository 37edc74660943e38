"""The addresses that a call's callbacks come to: they carry our organization and call, and nothing to dial."""

from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.urls import reverse

from calls.journal import CALLBACKS

# The organization in the path says whose token signs and whose rows are meant.
WEBHOOKS = "webhooks/twilio/"  # as crm/urls.py says
_UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
CALLBACK = rf"(?P<organization_id>{_UUID})/calls/(?P<call_id>{_UUID})/(?P<kind>{'|'.join(CALLBACKS)})"


def callback_url(organization_id: UUID, call_id: UUID, kind: str) -> str:
    """Return the public address of one kind of callback of one call, without a fragment."""
    path = reverse("callback", kwargs={"organization_id": organization_id, "call_id": call_id, "kind": kind})
    return settings.PUBLIC_BASE_URL + path


def names_call(url: object, organization_id: UUID, call_id: UUID) -> bool:
    """Whether this address, as Twilio recorded it, is one of this call's; the host may have been another then."""
    ours = urlsplit(callback_url(organization_id, call_id, "agent")).path.rpartition("/")[0]
    return urlsplit(str(url or "")).path.rpartition("/")[0] == ours
