"""How often one number is called in a day."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0010_recording_rules"),
    ]

    operations = [
        migrations.AddField(
            model_name="callrules",
            name="number_per_day",
            field=models.PositiveIntegerField(default=30, verbose_name="calls of one number in a day"),
        ),
        migrations.AlterField(
            model_name="callcount",
            name="subject",
            field=models.UUIDField(help_text="A user, the organization itself, or a number's UUID of version 5."),
        ),
    ]
