"""How far the fetching of a recording's media is: the parts that are kept, and which media they are of."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0005_fair_and_dead"),
    ]

    operations = [
        migrations.AddField(
            model_name="recording",
            name="media_furthest",
            field=models.PositiveBigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="recording",
            name="media_parts",
            field=models.JSONField(db_default=models.Value([], models.JSONField()), default=list),
        ),
        migrations.AddField(
            model_name="recording",
            name="media_total",
            field=models.PositiveBigIntegerField(null=True),
        ),
        migrations.AddField(
            model_name="recording",
            name="media_version",
            field=models.CharField(blank=True, db_default="", default="", max_length=200),
        ),
    ]
