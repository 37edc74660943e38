"""The WSGI application that the web server loads; it refuses to start with unsafe keys or database role."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

application = get_wsgi_application()

from crm.starting import refuse_unsafe_start  # noqa: E402 - needs the configured applications

refuse_unsafe_start()
