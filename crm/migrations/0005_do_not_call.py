"""Contacts and numbers that are not to be called, and a contact's own time zone."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0004_caller_ids_and_checks"),
    ]

    operations = [
        migrations.AddField(
            model_name="contact",
            name="do_not_call_since",
            field=models.DateTimeField(blank=True, null=True, verbose_name="do not call since"),
        ),
        migrations.AddField(
            model_name="contact",
            name="time_zone",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="IANA's name; empty: the number's own.",
                max_length=40,
                verbose_name="time zone",
            ),
        ),
        migrations.CreateModel(
            name="DoNotCall",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.CharField(help_text="E.164", max_length=16, verbose_name="number")),
                ("reason", models.CharField(blank=True, max_length=200, verbose_name="reason")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "added_by",
                    crm.tenancy.MemberKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="added by",
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
                "verbose_name": "number not to call",
                "verbose_name_plural": "numbers not to call",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(fields=("organization", "number"), name="a_number_is_listed_once")
                ],
            },
        ),
        Protect("DoNotCall"),
    ]
