"""Calls by which members check their own phones."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0012_spend"),
    ]

    operations = [
        migrations.AddField(
            model_name="calllog",
            name="is_test",
            field=models.BooleanField(db_default=False, default=False),
        ),
    ]
