"""Sessions of a member who was made inactive stay ended when they are active again."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("crm", "0008_accounts")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="sessions_ended_at",
            field=models.DateTimeField(
                help_text="Sessions that are older open this membership no more, even if it is active again.", null=True
            ),
        ),
    ]
