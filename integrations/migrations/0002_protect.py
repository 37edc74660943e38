"""Row-level security and composite keys for every tenant table of this app."""

from django.db import migrations

from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [("integrations", "0001_initial"), ("crm", "0002_protect")]

    operations = [
        Protect("TwilioAccount"),
    ]
