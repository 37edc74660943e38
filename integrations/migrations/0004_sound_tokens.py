"""No account is without its token, and no next token has signed that is not there."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0006_audit"),
        ("integrations", "0003_rotation_checks_numbers"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="twilioaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(("sealed_auth_token", ""), _negated=True), name="there_is_an_auth_token"
            ),
        ),
        migrations.AddConstraint(
            model_name="twilioaccount",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("next_signed_at", None), models.Q(("sealed_next_auth_token", ""), _negated=True), _connector="OR"
                ),
                name="only_a_next_token_that_is_there_has_signed",
            ),
        ),
    ]
