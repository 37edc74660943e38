"""Saved views, and an index by which the audit tells who listened to a call."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [("crm", "0010_contact_imports")]

    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(fields=["organization", "action", "-id"], name="audit_by_action"),
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("page", models.CharField(choices=[("calls", "Calls"), ("contacts", "Contacts")], max_length=10)),
                ("name", models.CharField(max_length=60, verbose_name="name")),
                ("query", models.CharField(help_text="Of the page's address, normalised.", max_length=1000)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
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
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "saved view",
                "verbose_name_plural": "saved views",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "user", "page", "name"), name="a_member_has_a_view_of_a_name_once"
                    )
                ],
            },
        ),
        Protect("SavedView"),
    ]
