"""Contact imports: files in parts, whom they were about, and the workers' list; e-mail addresses in small letters."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect

# As imports look them up, and as contacts are written from now on.
LOWERED = "UPDATE crm_contact SET email = lower(email) WHERE email <> lower(email)"


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0009_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="ContactImport",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("file_name", models.CharField(max_length=200, verbose_name="file")),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("uploaded", "Not started"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("canceled", "Canceled"),
                            ("failed", "Stopped by an error"),
                        ],
                        default="uploaded",
                        max_length=8,
                    ),
                ),
                ("headings", models.JSONField(help_text="Of the file's columns.")),
                ("columns", models.JSONField(help_text="What each column is: values of crm.imports.headings.Column.")),
                (
                    "region",
                    models.CharField(
                        help_text="Of numbers without a country code.", max_length=2, verbose_name="country"
                    ),
                ),
                (
                    "rule",
                    models.CharField(
                        choices=[
                            ("skip", "Leave the contact as it is"),
                            ("fill", "Fill in what the contact lacks"),
                            ("overwrite", "Overwrite the contact with what the file says"),
                        ],
                        default="fill",
                        max_length=9,
                        verbose_name="duplicates",
                    ),
                ),
                ("total", models.PositiveIntegerField(help_text="Rows that are not empty, without the heading.")),
                ("made", models.PositiveIntegerField(default=0)),
                ("merged", models.PositiveIntegerField(default=0)),
                ("unchanged", models.PositiveIntegerField(default=0)),
                ("refused", models.PositiveIntegerField(default=0)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("forgotten_at", models.DateTimeField(help_text="When the refused rows were deleted.", null=True)),
            ],
            options={
                "verbose_name": "import",
                "verbose_name_plural": "imports",
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="DueImport",
            fields=[
                (
                    "import_id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("organization_id", models.UUIDField()),
                ("due_at", models.DateTimeField()),
                ("failures", models.PositiveSmallIntegerField(default=0)),
                ("last_error", models.CharField(blank=True, max_length=500)),
            ],
            options={
                "verbose_name": "due import",
                "verbose_name_plural": "due imports",
            },
        ),
        migrations.CreateModel(
            name="ImportedContact",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.CreateModel(
            name="ImportPart",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("position", models.PositiveIntegerField()),
                (
                    "rows",
                    models.JSONField(
                        help_text="[[number of the row in the file, [cell, …]], …]; empty when they are done."
                    ),
                ),
                (
                    "refused",
                    models.JSONField(
                        default=list, help_text="The same, each with its reasons: [[column or null, code], …]."
                    ),
                ),
                ("done_at", models.DateTimeField(null=True)),
            ],
            options={
                "abstract": False,
                "base_manager_name": "objects",
            },
        ),
        migrations.AddIndex(
            model_name="contact",
            index=models.Index(fields=["organization", "email"], name="contacts_by_email"),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.organization",
            ),
        ),
        migrations.AddField(
            model_name="contactimport",
            name="started_by",
            field=crm.tenancy.MemberKey(
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to=settings.AUTH_USER_MODEL,
                verbose_name="started by",
            ),
        ),
        migrations.AddIndex(
            model_name="dueimport",
            index=models.Index(fields=["due_at"], name="imports_by_due"),
        ),
        migrations.AddIndex(
            model_name="dueimport",
            index=models.Index(fields=["organization_id", "import_id"], name="due_imports_of_one"),
        ),
        migrations.AddField(
            model_name="importedcontact",
            name="contact",
            field=crm.tenancy.TenantKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.contact"
            ),
        ),
        migrations.AddField(
            model_name="importedcontact",
            name="contact_import",
            field=crm.tenancy.TenantKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="crm.contactimport"
            ),
        ),
        migrations.AddField(
            model_name="importedcontact",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.organization",
            ),
        ),
        migrations.AddField(
            model_name="importpart",
            name="contact_import",
            field=crm.tenancy.TenantKey(
                db_index=False,
                on_delete=django.db.models.deletion.CASCADE,
                related_name="parts",
                to="crm.contactimport",
            ),
        ),
        migrations.AddField(
            model_name="importpart",
            name="organization",
            field=models.ForeignKey(
                db_index=False,
                editable=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="crm.organization",
            ),
        ),
        migrations.AddConstraint(
            model_name="contactimport",
            constraint=models.UniqueConstraint(
                fields=("organization", "id"), name="import_is_addressed_with_its_organization"
            ),
        ),
        migrations.AddConstraint(
            model_name="importedcontact",
            constraint=models.UniqueConstraint(
                fields=("organization", "contact_import", "contact"), name="a_contact_is_once_in_an_import"
            ),
        ),
        migrations.AddConstraint(
            model_name="importpart",
            constraint=models.UniqueConstraint(
                fields=("organization", "contact_import", "position"), name="one_part_at_each_place_of_an_import"
            ),
        ),
        Protect("ContactImport"),
        Protect("ImportPart"),
        Protect("ImportedContact"),
        migrations.RunSQL(LOWERED, migrations.RunSQL.noop),
    ]
