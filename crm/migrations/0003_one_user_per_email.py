"""One user per e-mail address, whatever its case: rows hold it in small letters."""

import django.db.models.functions
from django.db import migrations, models


class Migration(migrations.Migration):
    """Two accounts that differ only in case stop here, named by PostgreSQL: rename or merge one, and migrate again."""

    dependencies = [("crm", "0002_protect")]

    operations = [
        migrations.AddConstraint(
            model_name="user",
            constraint=models.UniqueConstraint(
                django.db.models.functions.Lower("email"), name="one_user_per_email_whatever_its_case"
            ),
        ),
        migrations.RunSQL(
            "UPDATE crm_user SET email = lower(email) WHERE email <> lower(email)", migrations.RunSQL.noop
        ),
    ]
