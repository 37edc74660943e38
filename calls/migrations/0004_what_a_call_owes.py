"""What the sweeper and the operator must know of a call: since when it waits, what failed, whether it was audited."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0003_store_callback"),
    ]

    operations = [
        migrations.AddField(
            model_name="calllog",
            name="audited_at",
            field=models.DateTimeField(help_text="Twilio's own record of its requests was compared.", null=True),
        ),
        migrations.AddField(
            model_name="duecall",
            name="dead",
            field=models.PositiveSmallIntegerField(
                db_default=0, default=0, help_text="How many facts could not be applied for good."
            ),
        ),
        migrations.AddField(
            model_name="duecall",
            name="unapplied_since",
            field=models.DateTimeField(help_text="When the oldest fact came that no worker applied.", null=True),
        ),
        migrations.AddField(
            model_name="journalentry",
            name="failures",
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="journalentry",
            name="last_error",
            field=models.CharField(db_default="", default="", max_length=200),
        ),
        migrations.AddField(
            model_name="journalentry",
            name="retry_at",
            field=models.DateTimeField(null=True),
        ),
        migrations.AlterField(
            model_name="duecall",
            name="due_at",
            field=models.DateTimeField(),
        ),
        migrations.AlterField(
            model_name="journalentry",
            name="source",
            field=models.CharField(
                choices=[
                    ("callback", "Callback"),
                    ("poll", "Asked Twilio"),
                    ("ours", "Our own step"),
                    ("audit", "Nightly audit"),
                ],
                max_length=8,
            ),
        ),
        migrations.AddIndex(
            model_name="duecall",
            index=models.Index(
                condition=models.Q(("unapplied_since__isnull", False)),
                fields=["organization_id", "unapplied_since"],
                name="calls_unapplied",
            ),
        ),
        migrations.AddIndex(
            model_name="duecall",
            index=models.Index(fields=["organization_id", "due_at"], name="calls_due_fairly"),
        ),
    ]
