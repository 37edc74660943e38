"""Find the calls of some days, for figures and lists."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("calls", "0015_live")]

    operations = [
        migrations.AddIndex(
            model_name="calllog",
            index=models.Index(fields=["organization", "created_at"], name="calls_of_some_days"),
        ),
    ]
