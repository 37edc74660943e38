"""The outside world's app."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from crm.starting import STARTING


class IntegrationsConfig(AppConfig):
    """An organization's Twilio account."""

    name = "integrations"

    def ready(self) -> None:
        """Have the keys looked at before the first secret is."""
        from integrations.vault import check_keys

        register(check_keys, Tags.security, STARTING)
