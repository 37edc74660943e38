"""When the audit last began to ask about a call: one that cannot be asked about must not keep it from the others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0007_aside_since"),
    ]

    operations = [
        migrations.AddField(
            model_name="calllog",
            name="audit_tried_at",
            field=models.DateTimeField(null=True),
        ),
    ]
