"""The ASGI application of live updates, a process of its own; it refuses to start with unsafe keys or database role."""

import os

import django
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")
django.setup()

from crm.starting import refuse_unsafe_start  # noqa: E402 - needs the configured applications

refuse_unsafe_start()
application = import_string("calls.live.app.Live")()
