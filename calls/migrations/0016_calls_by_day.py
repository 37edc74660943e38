"""Find the calls of some days, for figures and lists; calls are made and callbacks stored while the index is built."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("calls", "0015_live")]

    operations = [
        AddIndexConcurrently(
            model_name="calllog",
            index=models.Index(fields=["organization", "created_at"], name="calls_of_some_days"),
        ),
    ]
