"""Follow-ups, notes, and how opportunities went from stage to stage."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0012_search"),
    ]

    operations = [
        migrations.CreateModel(
            name="FollowUp",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("due_at", models.DateTimeField(verbose_name="due")),
                ("text", models.CharField(blank=True, max_length=500, verbose_name="what to do")),
                ("done_at", models.DateTimeField(null=True)),
                (
                    "call_id",
                    models.UUIDField(help_text="After which call it was written down; one each at most.", null=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "contact",
                    crm.tenancy.TenantKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.contact"
                    ),
                ),
                (
                    "opportunity",
                    crm.tenancy.TenantKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="crm.opportunity",
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
                    "owner",
                    crm.tenancy.MemberKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="owner",
                    ),
                ),
            ],
            options={
                "verbose_name": "follow-up",
                "verbose_name_plural": "follow-ups",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        condition=models.Q(("done_at", None)),
                        fields=["organization", "owner", "due_at", "id"],
                        name="follow_ups_by_due",
                    ),
                    models.Index(fields=["organization", "contact", "-id"], name="follow_ups_of_a_contact"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "call_id"), name="one_follow_up_per_call")
                ],
            },
        ),
        migrations.CreateModel(
            name="Note",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("text", models.TextField(verbose_name="note")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("updated_at", models.DateTimeField(auto_now=True)),
                (
                    "author",
                    crm.tenancy.MemberKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="author",
                    ),
                ),
                (
                    "contact",
                    crm.tenancy.TenantKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.contact"
                    ),
                ),
                (
                    "opportunity",
                    crm.tenancy.TenantKey(
                        blank=True,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to="crm.opportunity",
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
            ],
            options={
                "verbose_name": "note",
                "verbose_name_plural": "notes",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["organization", "contact", "-id"], name="notes_of_a_contact")],
            },
        ),
        migrations.CreateModel(
            name="StageChange",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("before", models.CharField(blank=True, max_length=60)),
                ("after", models.CharField(blank=True, max_length=60)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "by",
                    crm.tenancy.MemberKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "opportunity",
                    crm.tenancy.TenantKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="stage_changes", to="crm.opportunity"
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
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(fields=["organization", "opportunity", "-id"], name="stages_of_an_opportunity")
                ],
            },
        ),
        Protect("StageChange"),
        Protect("Note"),
        Protect("FollowUp"),
    ]
