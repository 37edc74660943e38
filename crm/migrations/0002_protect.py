"""Row-level security and composite keys for every tenant table of this app."""

from django.db import migrations

from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]

    operations = [
        Protect("Membership"),
        Protect("Contact"),
        Protect("ContactNumber"),
        Protect("Opportunity"),
        Protect("ApiToken"),
    ]
