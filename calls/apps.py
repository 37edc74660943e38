"""Everything about a call."""

from django.apps import AppConfig


class CallsConfig(AppConfig):
    """Start, TwiML, callbacks, reconcile, history, recordings."""

    name = "calls"
