"""Members: invitations, phones that a test call has checked, and organizations that require a second factor."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import crm.tenancy
from crm.tenancy import Protect

ROLES = [("rep", "Rep"), ("manager", "Manager"), ("admin", "Admin")]


class Migration(migrations.Migration):
    dependencies = [("crm", "0006_audit")]

    operations = [
        migrations.AddField(
            model_name="membership",
            name="phone_checked_at",
            field=models.DateTimeField(
                help_text="When its owner last answered a test call on this phone; empty for another number.", null=True
            ),
        ),
        migrations.AddField(
            model_name="organization",
            name="requires_mfa",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="Members who log in with a password alone get in only after they have set one up.",
                verbose_name="requires a second factor",
            ),
        ),
        migrations.CreateModel(
            name="Invitation",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("email", models.EmailField(max_length=254, verbose_name="e-mail")),
                ("role", models.CharField(choices=ROLES, default="rep", max_length=10, verbose_name="role")),
                ("digest", models.CharField(max_length=64, unique=True)),
                (
                    "language",
                    models.CharField(default="en", help_text="Of the e-mail, when it is sent again.", max_length=10),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("expires_at", models.DateTimeField()),
                (
                    "sent_at",
                    models.DateTimeField(help_text="Empty: the mail server has not taken it.", null=True),
                ),
                ("accepted_at", models.DateTimeField(null=True)),
                ("withdrawn_at", models.DateTimeField(null=True)),
                (
                    "invited_by",
                    crm.tenancy.MemberKey(
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="invited by",
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
                "verbose_name": "invitation",
                "verbose_name_plural": "invitations",
                "abstract": False,
                "base_manager_name": "objects",
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("accepted_at", None), ("withdrawn_at", None)),
                        fields=("organization", "email"),
                        name="one_open_invitation_per_email",
                    )
                ],
            },
        ),
        Protect("Invitation"),
    ]
