"""A next token and an API key beside the token, what verifications found, and the numbers that calls may come from."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

from crm.tenancy import Protect


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0004_caller_ids_and_checks"),
        ("integrations", "0002_protect"),
    ]

    operations = [
        migrations.AddField(
            model_name="twilioaccount",
            name="api_key_sid",
            field=models.CharField(blank=True, db_default="", default="", max_length=34, verbose_name="API key SID"),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="checked_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="checks",
            field=models.JSONField(
                db_default=models.Value([], models.JSONField()),
                default=list,
                editable=False,
                help_text="What the last verification found.",
            ),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="edge",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Twilio's name of it, such as dublin.",
                max_length=20,
                verbose_name="edge",
            ),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="last_callback_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="last_rejected_at",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="last_rejected_why",
            field=models.CharField(blank=True, db_default="", default="", editable=False, max_length=200),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="next_signed_at",
            field=models.DateTimeField(
                editable=False,
                help_text="When Twilio first signed with the next token: it was promoted there.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="region",
            field=models.CharField(
                blank=True,
                db_default="",
                default="",
                help_text="Twilio's name of it, such as ie1; empty for the United States.",
                max_length=8,
                verbose_name="region",
            ),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="sealed_api_key_secret",
            field=models.TextField(blank=True, db_default="", default="", editable=False),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="sealed_next_auth_token",
            field=models.TextField(
                blank=True,
                db_default="",
                default="",
                editable=False,
                help_text="The token that Twilio will sign with after its promotion.",
            ),
        ),
        migrations.AddField(
            model_name="twilioaccount",
            name="signed_at",
            field=models.DateTimeField(
                editable=False, help_text="When this account's signature was first found valid.", null=True
            ),
        ),
        migrations.CreateModel(
            name="Number",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.CharField(help_text="E.164", max_length=16, verbose_name="number")),
                (
                    "kind",
                    models.CharField(
                        choices=[("incoming", "Twilio number"), ("verified", "Verified caller ID")], max_length=10
                    ),
                ),
                ("sid", models.CharField(max_length=34)),
                ("name", models.CharField(blank=True, max_length=200, verbose_name="name")),
                ("has_voice", models.BooleanField(verbose_name="can call")),
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
            ],
            options={
                "verbose_name": "number",
                "verbose_name_plural": "numbers",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["organization", "number"], name="numbers_of_an_organization")],
                "constraints": [models.UniqueConstraint(fields=("number",), name="a_number_is_one_organizations")],
            },
        ),
        Protect("Number"),
    ]
