"""Since when facts wait that failed and are not dead yet: no worker is to apply them now, but the operator sees them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0006_media_in_parts"),
    ]

    operations = [
        migrations.AddField(
            model_name="duecall",
            name="aside_since",
            field=models.DateTimeField(
                help_text="When the oldest fact came that failed, and waits for its next try.", null=True
            ),
        ),
    ]
