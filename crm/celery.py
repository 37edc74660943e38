"""The Celery application: how workers are configured, and that they refuse an unsafe database role."""

import os

from celery import Celery
from celery.signals import beat_init, worker_init

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

app = Celery("crm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_unsafe_role(**kwargs: object) -> None:
    """Stop the process before its first task if the database role could read every tenant."""
    from crm.tenancy import refuse_unsafe_role

    refuse_unsafe_role()
