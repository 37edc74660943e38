"""allauth's accounts: everybody's e-mail address counts as verified, and there is a cache for all processes."""

from django.db import migrations

CACHE = """
CREATE TABLE crm_cache (cache_key varchar(255) PRIMARY KEY, value text NOT NULL, expires timestamptz NOT NULL);
CREATE INDEX crm_cache_expires ON crm_cache (expires);
"""
# Whoever could log in so far still can.
VERIFIED = """
INSERT INTO account_emailaddress (email, verified, "primary", user_id)
SELECT email, true, true, id FROM crm_user ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [
        ("crm", "0007_members"),
        ("account", "0009_emailaddress_unique_primary_email"),
        ("mfa", "0003_authenticator_type_uniq"),
    ]

    operations = [
        migrations.RunSQL(CACHE, "DROP TABLE crm_cache"),
        migrations.RunSQL(VERIFIED, migrations.RunSQL.noop),
    ]
