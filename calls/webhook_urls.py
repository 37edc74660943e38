"""The addresses that Twilio calls, as Django's handler finds them."""

from django.urls import re_path

from calls.addresses import CALLBACK
from calls.webhooks import callback

urlpatterns = [re_path(f"^{CALLBACK}$", callback, name="callback")]
