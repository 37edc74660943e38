"""The Celery application: how workers are configured, and that they refuse unsafe keys or database role."""

import logging
import os
import sys
from typing import Any

from celery import Celery
from celery.app.amqp import AMQP
from celery.signals import beat_init, worker_init
from django.core.exceptions import ImproperlyConfigured
from kombu import Connection

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 1


class SteadyConnection(Connection):
    """Tries each second to get the broker back.

    Celery's own pauses grow by two seconds each time, up to half a minute, and no setting bounds them: after a broker
    was away for a minute, its workers would come back a quarter of one later.
    """

    def ensure_connection(self, *args: Any, **options: Any) -> Any:
        """Wait for the broker, as Celery's workers do."""
        steady = {"interval_start": RECONNECT_SECONDS, "interval_step": 0, "interval_max": RECONNECT_SECONDS}
        return super().ensure_connection(*args, **(steady | options))


class SteadyAMQP(AMQP):
    """Celery's connections to the broker, ours instead of kombu's."""

    Connection = SteadyConnection


app = Celery("crm", amqp=SteadyAMQP)
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@worker_init.connect
@beat_init.connect
def refuse_unsafe_start(**kwargs: object) -> None:
    """Stop the process before its first task if its keys are none or its role could read every tenant.

    Celery logs whatever exception a signal's receiver raises, and starts all the same; only an exit ends it.
    """
    from crm.starting import refuse_unsafe_start

    try:
        refuse_unsafe_start()
    except ImproperlyConfigured as problem:
        logger.critical("%s", problem)
        sys.exit(1)
