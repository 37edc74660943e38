"""The WSGI application that the web server loads; it refuses to start under an unsafe database role."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "crm.settings")

application = get_wsgi_application()

from crm.tenancy import refuse_unsafe_role  # noqa: E402 - needs the configured applications

refuse_unsafe_role()
