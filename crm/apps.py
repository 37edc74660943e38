"""The CRM core's app: registers the checks and the grants that follow a migration."""

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate


class CrmConfig(AppConfig):
    """Organizations, members, contacts."""

    name = "crm"

    def ready(self) -> None:
        """Register what needs the models loaded."""
        from allauth.account.signals import password_changed, password_reset
        from allauth.mfa.signals import authenticator_added

        from crm import openapi  # noqa: F401 - registers itself
        from crm.accounts import forget_pending_address, note_log_in, proved_by_setting_up
        from crm.starting import STARTING
        from crm.tenancy import check_role, grant_to_application_role
        from crm.vault import check_keys

        register(check_role, Tags.database)
        register(check_keys, Tags.security, STARTING)
        user_logged_in.connect(note_log_in)
        password_changed.connect(forget_pending_address)
        password_reset.connect(forget_pending_address)
        authenticator_added.connect(proved_by_setting_up)
        post_migrate.connect(grant_to_application_role, sender=self)
