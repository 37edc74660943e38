"""The WSGI application that the web server loads; it refuses to start with unsafe keys or database role."""

import os

from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

_pages = get_wsgi_application()  # configures the applications, which comes first
application = import_string("calls.webhooks.Callbacks")(_pages)

from crm.starting import refuse_unsafe_start  # noqa: E402 - needs the configured applications

refuse_unsafe_start()
