"""The sweeper's list as the queue: since when a call's facts wait, whether it lives; the webhook's function says so."""

from importlib import import_module

from django.db import migrations, models

BEFORE = import_module("calls.migrations.0003_store_callback").CREATE.replace("CREATE", "CREATE OR REPLACE", 1)
AFTER = """
CREATE OR REPLACE FUNCTION calls_store_callback(
    the_organization uuid, the_call uuid, the_agent_sid text, the_digest text, the_kind text, the_payload jsonb
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    known_sid text;
BEGIN
    -- Local to this transaction: the policies below let us see this organization's rows and no others.
    PERFORM set_config('app.organization_id', the_organization::text, true);
    -- The sweeper's note is locked first, as reconcile locks it: the journal's reference to the call holds back whoever
    -- writes the call's SID, and if that one held the note already, each would wait for the other.
    PERFORM 1 FROM calls_duecall WHERE call_id = the_call AND organization_id = the_organization FOR UPDATE;
    SELECT call_sid INTO known_sid FROM calls_calllog WHERE id = the_call;
    IF NOT FOUND THEN
        RETURN 'unknown call';
    END IF;
    -- Until Twilio has answered our request the row has no SID: the signed callback may be the first to tell it.
    IF known_sid <> the_agent_sid THEN
        RETURN 'foreign sid';
    END IF;
    -- <Dial> names one number, so a call has one contact's leg: what names another is not of this call.
    IF the_kind IN ('contact', 'dial') THEN
        PERFORM 1 FROM calls_leg WHERE call_id = the_call AND role = 'contact'
            AND call_sid <> nullif(the_payload->>(CASE the_kind WHEN 'contact' THEN 'CallSid' ELSE 'DialCallSid' END), '');
        IF FOUND THEN
            RETURN 'foreign sid';
        END IF;
    END IF;
    INSERT INTO calls_journalentry (organization_id, call_id, digest, source, kind, payload, received_at)
    VALUES (the_organization, the_call, the_digest, 'callback', the_kind, the_payload, now())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'repeat';
    END IF;
    -- A note that was settled meanwhile comes back; one that is there says since when something waits.
    INSERT INTO calls_duecall (call_id, organization_id, due_at, asked, failures, last_error, unapplied_since)
    VALUES (the_call, the_organization, now() + interval '60 seconds', 0, 0, '', now())
    ON CONFLICT (call_id) DO UPDATE SET unapplied_since = EXCLUDED.unapplied_since
    WHERE calls_duecall.unapplied_since IS NULL;
    RETURN 'stored';
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0004_what_a_call_owes")]

    operations = [
        migrations.AddField(
            model_name="duecall",
            name="is_live",
            field=models.BooleanField(db_default=False, default=False, help_text="The conversation is not over."),
        ),
        migrations.AlterField(
            model_name="duecall",
            name="due_at",
            field=models.DateTimeField(help_text="Empty: nothing but dead facts keep this note.", null=True),
        ),
        migrations.RunSQL(AFTER, BEFORE),
    ]
