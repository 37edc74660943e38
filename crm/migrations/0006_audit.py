"""Who did what, in a table that the application's role can only add to; the database keeps it for a month."""

import django.db.models.deletion
import uuid_utils.compat
from django.db import migrations, models

from crm.tenancy import Protect

# Beside the tenant's policy: of an organization that is open, a month of entries stays, whoever asks.
KEEP = """
CREATE POLICY kept ON crm_auditentry AS RESTRICTIVE FOR DELETE USING (
    at < now() - interval '30 days'
    OR NOT EXISTS (SELECT FROM crm_organization WHERE crm_organization.id = organization_id AND is_active)
)
"""


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0005_do_not_call"),
    ]

    operations = [
        migrations.CreateModel(
            name="AuditEntry",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("at", models.DateTimeField(auto_now_add=True)),
                (
                    "user_id",
                    models.UUIDField(help_text="No reference: who is gone has done it all the same.", null=True),
                ),
                ("who", models.CharField(help_text="The e-mail at that time; empty for the system.", max_length=254)),
                ("action", models.CharField(max_length=40)),
                ("details", models.JSONField(default=dict)),
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
                "verbose_name": "audit entry",
                "verbose_name_plural": "audit entries",
                "abstract": False,
                "base_manager_name": "objects",
                "indexes": [models.Index(fields=["organization", "-id"], name="audit_newest_first")],
            },
        ),
        Protect("AuditEntry"),
        migrations.RunSQL(KEEP, "DROP POLICY kept ON crm_auditentry"),
    ]
