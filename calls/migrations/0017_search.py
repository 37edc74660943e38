"""Fragments of a call's numbers are found by an index; so are calls under way, and those whose outcome is owed."""

import django.contrib.postgres.indexes
from django.db import migrations, models

# As crm_search_contacts, which says why.
CREATE = """
CREATE FUNCTION calls_search(the_text text, the_digits text, the_most integer) RETURNS SETOF uuid
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY EXECUTE '
        SELECT id FROM (
            (SELECT id FROM public.calls_calllog WHERE organization_id = $1 AND to_number LIKE $3 LIMIT $4)
            UNION
            (SELECT id FROM public.calls_calllog WHERE organization_id = $1 AND from_number LIKE $3 LIMIT $4)
            UNION
            (SELECT one.id FROM public.crm_contact whose JOIN public.calls_calllog one ON one.contact_id = whose.id
             WHERE whose.organization_id = $1 AND one.organization_id = $1 AND whose.name ILIKE $2 LIMIT $4)
        ) found LIMIT $4'
    USING nullif(current_setting('app.organization_id', true), '')::uuid, the_text, the_digits, the_most;
END
$$;
REVOKE ALL ON FUNCTION calls_search FROM PUBLIC
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0016_calls_by_day"), ("crm", "0012_search")]

    operations = [
        migrations.AddIndex(
            model_name="calllog",
            index=models.Index(
                condition=models.Q(("disposition", ""), ("is_test", False), ("stage", "ended")),
                fields=["organization", "-id"],
                name="calls_whose_outcome_is_owed",
            ),
        ),
        migrations.AddIndex(
            model_name="calllog",
            index=models.Index(
                condition=models.Q(("status__in", ("queued", "initiated", "ringing", "in-progress"))),
                fields=["organization", "-id"],
                name="calls_under_way",
            ),
        ),
        migrations.AddIndex(
            model_name="calllog",
            index=django.contrib.postgres.indexes.GinIndex(
                fields=["organization", "to_number", "from_number"],
                name="calls_by_part_of_a_number",
                opclasses=["uuid_ops", "gin_trgm_ops", "gin_trgm_ops"],
            ),
        ),
        migrations.RunSQL(CREATE, "DROP FUNCTION calls_search"),
    ]
