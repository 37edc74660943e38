"""The function that stores a callback: one round trip and one commit, inside the organization that the path names."""

from django.db import migrations

CREATE = """
CREATE FUNCTION calls_store_callback(
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
    INSERT INTO calls_journalentry (organization_id, call_id, digest, source, kind, payload, received_at)
    VALUES (the_organization, the_call, the_digest, 'callback', the_kind, the_payload, now())
    ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        RETURN 'repeat';
    END IF;
    -- A note that was settled meanwhile comes back; one that is there is renewed if it is later than this.
    INSERT INTO calls_duecall (call_id, organization_id, due_at, asked, failures, last_error)
    VALUES (the_call, the_organization, now() + interval '5 seconds', 0, 0, '')
    ON CONFLICT (call_id) DO UPDATE SET due_at = EXCLUDED.due_at, asked = 0
    WHERE calls_duecall.due_at > EXCLUDED.due_at OR calls_duecall.asked > 0;
    RETURN 'stored';
END
$$
"""


class Migration(migrations.Migration):
    dependencies = [("calls", "0002_protect")]

    operations = [migrations.RunSQL(CREATE, "DROP FUNCTION calls_store_callback")]
