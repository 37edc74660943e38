"""The Celery application: how workers are configured, and that they refuse an unsafe database role."""

import logging
import os
import sys

from celery import Celery
from celery.signals import beat_init, worker_init
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

logger = logging.getLogger(__name__)

app = Celery("crm")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_unsafe_role(**kwargs: object) -> None:
    """Stop the process before its first task if the database role could read every tenant.

    Celery logs whatever exception a signal's receiver raises, and starts all the same; only an exit ends it.
    """
    from crm.tenancy import refuse_unsafe_role

    try:
        refuse_unsafe_role()
    except ImproperlyConfigured as problem:
        logger.critical("%s", problem)
        sys.exit(1)
