"""Wakes workers, by task name and after commit; a broker in trouble never reaches whoever asked.

The broker is a wake-up and not a store: a message says that there is work, the database says which. So nothing is
published by the thread that serves a click or a callback: one thread per process sends each task's name at once, and
again once in GATHER_SECONDS while more comes. What is lost here, the sweeper finds.
"""

import atexit
import logging
import os
import threading
import time

from django.db import transaction
from kombu.exceptions import KombuError

from crm.celery import app

logger = logging.getLogger(__name__)

GATHER_SECONDS = 0.05


class _Publisher:
    """The tasks that wait to be published, and the thread that does it."""

    def __init__(self) -> None:
        self.start_afresh()

    def start_afresh(self) -> None:
        """Forget everything, as a forked child must: its parent publishes what waits, and may have held the lock."""
        self._waiting: set[str] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._idle = True

    def add(self, task: str) -> None:
        """Have `task` published; returns at once, whatever the broker does."""
        with self._changed:
            if task in self._waiting:
                return
            self._waiting.add(task)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._publish_forever, name="wake", daemon=True)
                self._thread.start()
            if self._idle:
                self._changed.notify_all()

    def flush(self, seconds: float) -> bool:
        """Wait until everything was handed to the broker or given up; False if that took longer than `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: self._idle and not self._waiting, timeout=seconds)

    def _publish_forever(self) -> None:
        while True:
            with self._changed:
                self._idle = not self._waiting
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                self._idle = False
                taken, self._waiting = self._waiting, set()
            for task in sorted(taken):
                self._publish(task)
            time.sleep(GATHER_SECONDS)  # the first goes at once; under load, the next message stands for many

    def _publish(self, task: str) -> None:
        try:
            app.send_task(task, ignore_result=True)
        except _broker_errors() as error:
            # Time-outs are bounded by the settings, and the message may even have arrived.
            logger.warning("The broker took no wake-up for %s: %s", task, type(error).__name__)


def _broker_errors() -> tuple[type[BaseException], ...]:
    """Everything that a broker in trouble raises: kombu wraps only some of it, and each transport has its own."""
    connection = app.connection_for_write()  # names a transport; connects to nothing
    return (OSError, KombuError, *connection.connection_errors, *connection.channel_errors)


_publisher = _Publisher()
os.register_at_fork(after_in_child=_publisher.start_afresh)
atexit.register(_publisher.flush, 1.0)


def after_commit(task: str) -> None:
    """Have a worker run `task` once the current transaction has committed."""
    transaction.on_commit(lambda: _publisher.add(task))


def flush(seconds: float) -> bool:
    """Wait until no wake-up waits in this process; False if `seconds` were not enough."""
    return _publisher.flush(seconds)
