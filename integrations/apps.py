"""The outside world's app."""

from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    """An organization's Twilio account."""

    name = "integrations"
