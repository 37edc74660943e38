"""What workers do for the CRM's core."""

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from crm import accounts, audit
from crm.imports import run
from crm.models import Organization


@shared_task(name="crm.forget_audit")
def forget_audit() -> None:
    """Forget what every organization's audit holds that is older than AUDIT_DAYS."""
    before = timezone.now() - timedelta(days=settings.AUDIT_DAYS)
    for organization_id in Organization.objects.filter(is_active=True).values_list("pk", flat=True).iterator():
        audit.forget(organization_id, before=before)


@shared_task(name="crm.forget_expired")
def forget_expired() -> None:
    """Forget sessions and counts of log-in tries that are over."""
    accounts.forget_expired()


@shared_task(name="crm.import_contacts")
def import_contacts() -> None:
    """Go on with the imports that are due."""
    run.import_due()
