"""A member's own caller ID, and when an organization's connections are looked at again: all of them now."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0003_one_user_per_email"),
    ]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="caller_id",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="E.164; what this member's contacts see. Empty for the organization's.",
                max_length=16,
                verbose_name="caller ID",
            ),
        ),
        migrations.AddField(
            model_name="organization",
            name="next_check_at",
            field=models.DateTimeField(
                db_index=True,
                editable=False,
                help_text="When its connections to the outside are looked at again.",
                null=True,
            ),
        ),
        migrations.RunSQL("UPDATE crm_organization SET next_check_at = now()", migrations.RunSQL.noop),
    ]
