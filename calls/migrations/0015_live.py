"""Triggers that notify of each change of a call which pages show: ids alone, once per transaction and call."""

from django.db import migrations

# PostgreSQL sends equal notifications of one transaction once: after its commit, and never after a rollback.
CREATE = """
CREATE FUNCTION calls_notify_pages() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    the_call uuid;
    the_user uuid;
BEGIN
    -- The trigger's arguments are the columns that no page shows: a change of these alone is nobody's news.
    IF TG_OP = 'UPDATE' AND to_jsonb(OLD) - TG_ARGV = to_jsonb(NEW) - TG_ARGV THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'calls_calllog' THEN
        the_call := NEW.id;
        the_user := NEW.user_id;
    ELSE
        -- The policy lets us see the call: who writes a part of it is inside its organization.
        the_call := NEW.call_id;
        SELECT user_id INTO the_user FROM calls_calllog WHERE id = the_call;
    END IF;
    PERFORM pg_notify(
        'calls', json_build_object('organization', NEW.organization_id, 'user', the_user, 'call', the_call)::text
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER notify_pages AFTER INSERT OR UPDATE ON calls_calllog FOR EACH ROW
    EXECUTE FUNCTION calls_notify_pages(
        'updated_at', 'audited_at', 'audit_tried_at', 'charge', 'charged_on', 'minute_rate', 'request_digest'
    );
CREATE TRIGGER notify_pages AFTER INSERT OR UPDATE ON calls_leg FOR EACH ROW
    EXECUTE FUNCTION calls_notify_pages('price', 'price_unit');
CREATE TRIGGER notify_pages AFTER INSERT OR UPDATE ON calls_recording FOR EACH ROW
    EXECUTE FUNCTION calls_notify_pages(
        'media_name', 'media_bytes', 'media_sha256', 'media_parts', 'media_version', 'media_total', 'media_furthest',
        'gone_at_twilio_at'
    );
-- A hang-up that was asked for, and the like. What Twilio says is news once it is applied: its intake pays for one
-- comparison, and for nothing else.
CREATE TRIGGER notify_pages AFTER INSERT ON calls_journalentry FOR EACH ROW WHEN (NEW.source = 'ours')
    EXECUTE FUNCTION calls_notify_pages();
"""

DROP = """
DROP TRIGGER notify_pages ON calls_journalentry;
DROP TRIGGER notify_pages ON calls_recording;
DROP TRIGGER notify_pages ON calls_leg;
DROP TRIGGER notify_pages ON calls_calllog;
DROP FUNCTION calls_notify_pages;
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0014_outcomes")]

    operations = [migrations.RunSQL(CREATE, DROP)]
