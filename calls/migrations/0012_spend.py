"""What calls cost, the day's money, and what is left of it."""

from decimal import Decimal

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0011_number_per_day"),
        ("crm", "0007_members"),
    ]

    operations = [
        migrations.AddField(
            model_name="calllog",
            name="charge",
            field=models.DecimalField(decimal_places=5, max_digits=14, null=True),
        ),
        migrations.AddField(
            model_name="calllog",
            name="charged_on",
            field=models.DateField(null=True),
        ),
        migrations.AddField(
            model_name="calllog",
            name="minute_rate",
            field=models.DecimalField(
                decimal_places=5,
                help_text="What a minute is taken to cost until the price is known; frozen.",
                max_digits=14,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="calllog",
            name="price",
            field=models.DecimalField(
                decimal_places=5,
                help_text="Of its legs together, once all are known. Recordings are not in it.",
                max_digits=14,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="calllog",
            name="price_unit",
            field=models.CharField(help_text="ISO 4217.", max_length=3, null=True),
        ),
        migrations.AddField(
            model_name="callrules",
            name="daily_spend_cap",
            field=models.DecimalField(
                blank=True,
                db_default=Decimal("200"),
                decimal_places=2,
                default=Decimal("200"),
                help_text="In the currency of the Twilio account; empty: no limit.",
                max_digits=11,
                null=True,
                verbose_name="spending in a day",
            ),
        ),
        migrations.AddField(
            model_name="duecall",
            name="only_price",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Nothing but the price is still to come."
            ),
        ),
        migrations.AddField(
            model_name="leg",
            name="price",
            field=models.DecimalField(decimal_places=5, max_digits=14, null=True),
        ),
        migrations.AddField(
            model_name="leg",
            name="price_unit",
            field=models.CharField(help_text="ISO 4217.", max_length=3, null=True),
        ),
        migrations.CreateModel(
            name="DaySpend",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("day", models.DateField()),
                ("amount", models.DecimalField(decimal_places=5, default=0, max_digits=14)),
                (
                    "unit",
                    models.CharField(blank=True, help_text="ISO 4217; empty until the first price.", max_length=3),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="crm.organization",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [models.UniqueConstraint(fields=("organization", "day"), name="one_spend_per_day")],
            },
        ),
        migrations.CreateModel(
            name="MinuteRate",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("country", models.CharField(blank=True, help_text="ISO 3166; empty for a satellite.", max_length=2)),
                ("is_costly", models.BooleanField(help_text="Premium, shared-cost, personal or satellite.")),
                ("day", models.DateField()),
                ("amount", models.DecimalField(decimal_places=5, max_digits=14)),
                (
                    "organization",
                    models.ForeignKey(
                        db_index=False,
                        editable=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="crm.organization",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "country", "is_costly", "day"), name="one_rate_per_destination_and_day"
                    )
                ],
            },
        ),
        Protect("DaySpend"),
        Protect("MinuteRate"),
    ]
