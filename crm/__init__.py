"""The Django project and the CRM core: tenancy, users, organizations, members, contacts, opportunities."""

from crm.celery import app as celery_app

__all__ = ["celery_app"]
