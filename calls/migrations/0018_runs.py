"""Runs through lists, and outcomes that an organization insists on."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("calls", "0017_search"),
        ("crm", "0013_follow_ups"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="callrules",
            name="requires_outcome",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Of whoever made the call.",
                verbose_name="outcome before the next call",
            ),
        ),
        migrations.AddField(
            model_name="callrules",
            name="requires_outcome_since",
            field=models.DateTimeField(help_text="Of calls from then on.", null=True),
        ),
        migrations.CreateModel(
            name="Run",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("total", models.PositiveIntegerField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
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
                (
                    "user",
                    crm.tenancy.MemberKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "verbose_name": "run",
                "verbose_name_plural": "runs",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="RunEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("called", "Called"),
                            ("skipped", "Skipped"),
                            ("refused", "Not callable"),
                        ],
                        default="waiting",
                        max_length=8,
                    ),
                ),
                (
                    "reason",
                    models.CharField(blank=True, help_text="The code of why it could not be called.", max_length=60),
                ),
                ("settled_at", models.DateTimeField(null=True)),
                (
                    "call",
                    crm.tenancy.TenantKey(
                        null=True, on_delete=django.db.models.deletion.SET_NULL, related_name="+", to="calls.calllog"
                    ),
                ),
                (
                    "contact",
                    crm.tenancy.TenantKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.contact"
                    ),
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
                (
                    "run",
                    crm.tenancy.TenantKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="entries", to="calls.run"
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddIndex(
            model_name="run",
            index=models.Index(fields=["organization", "user", "-id"], name="runs_of_a_member"),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                fields=("organization", "id"), name="run_is_addressed_with_its_organization"
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                condition=models.Q(("ended_at", None)),
                fields=("organization", "user"),
                name="one_active_run_per_member",
            ),
        ),
        migrations.AddIndex(
            model_name="runentry",
            index=models.Index(fields=["organization", "run", "state", "position"], name="entries_of_a_run"),
        ),
        migrations.AddConstraint(
            model_name="runentry",
            constraint=models.UniqueConstraint(fields=("run", "position"), name="one_contact_per_place_in_a_run"),
        ),
        migrations.AddConstraint(
            model_name="runentry",
            constraint=models.UniqueConstraint(fields=("run", "contact"), name="a_run_has_a_contact_once"),
        ),
        Protect("Run"),
        Protect("RunEntry"),
    ]
