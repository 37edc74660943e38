"""Who decides on recordings, how long they are kept, who may play them, and what is left of a deleted one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0009_rules_and_counts"),
        ("crm", "0006_audit"),
    ]

    operations = [
        migrations.AddField(
            model_name="callrules",
            name="may_download",
            field=models.CharField(
                choices=[("rep", "Rep"), ("manager", "Manager"), ("admin", "Admin")],
                default="manager",
                max_length=10,
                verbose_name="who may download recordings",
            ),
        ),
        migrations.AddField(
            model_name="callrules",
            name="may_play",
            field=models.CharField(
                choices=[("rep", "Rep"), ("manager", "Manager"), ("admin", "Admin")],
                default="rep",
                max_length=10,
                verbose_name="who may play recordings",
            ),
        ),
        migrations.AddField(
            model_name="callrules",
            name="recording_days",
            field=models.PositiveIntegerField(
                blank=True,
                help_text="Empty: until somebody deletes it.",
                null=True,
                verbose_name="days that a recording is kept",
            ),
        ),
        migrations.AddField(
            model_name="callrules",
            name="rep_decides_recording",
            field=models.BooleanField(
                default=False,
                help_text="Else it is as the Twilio account is set up.",
                verbose_name="rep decides whether to record",
            ),
        ),
        migrations.AddField(
            model_name="recording",
            name="deleted_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="recording",
            name="deleted_why",
            field=models.CharField(
                blank=True,
                choices=[
                    ("retention", "Kept as long as your organization keeps recordings"),
                    ("member", "Deleted by an admin"),
                ],
                db_default="",
                default="",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="recording",
            name="gone_at_twilio_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddIndex(
            model_name="recording",
            index=models.Index(
                condition=models.Q(("gone_at_twilio_at__isnull", True)),
                fields=["organization", "created_at"],
                name="recordings_to_delete",
            ),
        ),
    ]
