"""The addresses that Twilio calls: the organization in the path says whose token signs and whose rows are meant."""

from django.urls import re_path

from calls.journal import CALLBACKS
from calls.webhooks import callback

UUID = r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}"
KINDS = "|".join(CALLBACKS)

urlpatterns = [
    re_path(
        rf"^(?P<organization_id>{UUID})/calls/(?P<call_id>{UUID})/(?P<kind>{KINDS})$",
        callback,
        name="callback",
    ),
]
