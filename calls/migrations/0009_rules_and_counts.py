"""The rules before a dial, and the counts that fence the money."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0008_audit_tried_at"),
        ("crm", "0005_do_not_call"),
    ]

    operations = [
        migrations.CreateModel(
            name="CallCount",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("subject", models.UUIDField(help_text="A user, or the organization itself.")),
                ("window", models.CharField(choices=[("minute", "Minute"), ("day", "Day")], max_length=6)),
                ("starts_at", models.DateTimeField()),
                ("count", models.PositiveIntegerField(default=0)),
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
                        fields=("organization", "subject", "window", "starts_at"),
                        name="one_count_per_subject_and_window",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="CallRules",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "allowed_countries",
                    models.JSONField(
                        blank=True,
                        default=list,
                        help_text="ISO 3166; empty: the organization's own only.",
                        verbose_name="countries",
                    ),
                ),
                (
                    "allows_costly_numbers",
                    models.BooleanField(
                        default=False, verbose_name="premium, shared-cost and personal numbers, satellites"
                    ),
                ),
                (
                    "calls_from",
                    models.TimeField(
                        blank=True, help_text="At the contact's clock.", null=True, verbose_name="calls from"
                    ),
                ),
                ("calls_until", models.TimeField(blank=True, null=True, verbose_name="calls until")),
                (
                    "days",
                    models.PositiveSmallIntegerField(default=127, help_text="A bit for each day, Monday the lowest."),
                ),
                (
                    "member_per_minute",
                    models.PositiveIntegerField(default=10, verbose_name="calls of a member in a minute"),
                ),
                ("member_per_day", models.PositiveIntegerField(default=300, verbose_name="calls of a member in a day")),
                (
                    "organization_per_minute",
                    models.PositiveIntegerField(default=60, verbose_name="calls of all in a minute"),
                ),
                (
                    "organization_per_day",
                    models.PositiveIntegerField(default=5000, verbose_name="calls of all in a day"),
                ),
                ("concurrent", models.PositiveIntegerField(default=50, verbose_name="calls at the same time")),
                ("updated_at", models.DateTimeField(auto_now=True)),
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
                "verbose_name": "rules of calling",
                "verbose_name_plural": "rules of calling",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("organization",), name="one_set_of_rules_per_organization"),
                    models.CheckConstraint(condition=models.Q(("days__lte", 127)), name="a_week_has_seven_days"),
                ],
            },
        ),
        Protect("CallRules"),
        Protect("CallCount"),
    ]
