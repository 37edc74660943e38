"""The CRM core's app: registers the tenancy check and the grants that follow a migration."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models.signals import post_migrate


class CrmConfig(AppConfig):
    """Organizations, members, contacts."""

    name = "crm"

    def ready(self) -> None:
        """Register what needs the models loaded."""
        from crm import openapi  # noqa: F401 - registers itself
        from crm.tenancy import check_role, grant_to_application_role

        register(check_role, Tags.database)
        post_migrate.connect(grant_to_application_role, sender=self)
