"""Fragments of contacts' names and numbers are found by an index, within one organization."""

import django.contrib.postgres.indexes
from django.db import migrations

# The index is on the organization as well, so that another one's rows cost nothing. The function is the owner's, whom
# the policies do not bind: LIKE is not leakproof, and where they bind it is tried on every row of the organization
# before any index. So it holds itself to the organization that is set, and finds nothing where none is.
CREATE = """
CREATE FUNCTION crm_search_contacts(the_text text, the_digits text, the_most integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- Planned anew each time: how many rows match depends on the fragment.
    RETURN QUERY EXECUTE '
        SELECT id FROM (
            (SELECT id FROM public.crm_contact WHERE organization_id = $1 AND name ILIKE $2 LIMIT $4)
            UNION
            (SELECT id FROM public.crm_contact WHERE organization_id = $1 AND company ILIKE $2 LIMIT $4)
            UNION
            (SELECT contact_id FROM public.crm_contactnumber WHERE organization_id = $1 AND number LIKE $3 LIMIT $4)
        ) found LIMIT $4'
    USING nullif(current_setting('app.organization_id', true), '')::uuid, the_text, the_digits, the_most;
END
$$;
REVOKE ALL ON FUNCTION crm_search_contacts FROM PUBLIC
"""


class Migration(migrations.Migration):
    dependencies = [("crm", "0011_saved_views")]

    operations = [
        migrations.RunSQL(
            "CREATE EXTENSION IF NOT EXISTS pg_trgm; CREATE EXTENSION IF NOT EXISTS btree_gin", migrations.RunSQL.noop
        ),
        migrations.AddIndex(
            model_name="contact",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["organization", "name", "company"],
                name="contacts_by_part_of_a_name",
                opclasses=["uuid_ops", "gin_trgm_ops", "gin_trgm_ops"],
            ),
        ),
        migrations.AddIndex(
            model_name="contactnumber",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["organization", "number"],
                name="contacts_by_part_of_a_number",
                opclasses=["uuid_ops", "gin_trgm_ops"],
            ),
        ),
        migrations.RunSQL(CREATE, "DROP FUNCTION crm_search_contacts"),
    ]
