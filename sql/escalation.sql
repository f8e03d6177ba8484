--
-- escalation.sql: which escalations are due, and the record of those that were raised.
--
-- What is due is computed from values: a journey, an SLA, an instant. That somebody was told is a fact, which no
-- computation can know; it is recorded once, by the key of the table.
--

CREATE TABLE revacct_data.escalation (
    sla text NOT NULL,
    subject text NOT NULL CHECK (octet_length(subject) <= 1024),
    counting_since timestamptz NOT NULL,
    step text NOT NULL,
    recipient text NOT NULL,
    raise_at timestamptz,
    raised_at timestamptz NOT NULL,
    raised_by text NOT NULL,
    sla_fingerprint text NOT NULL,
    PRIMARY KEY (sla, subject, counting_since, step)
);
COMMENT ON TABLE revacct_data.escalation IS 'Escalations that were raised: each step once for each time a clock counts from zero. Rows come from raise_escalations().';
COMMENT ON COLUMN revacct_data.escalation.sla IS 'The name of the SLA; its versions share it.';
COMMENT ON COLUMN revacct_data.escalation.subject IS 'The key of the subject, as it was given.';
COMMENT ON COLUMN revacct_data.escalation.counting_since IS 'Since when the clock counts: its start, or its last restart.';
COMMENT ON COLUMN revacct_data.escalation.step IS 'The step of the policy, such as: breach + 4 hours to director.';
COMMENT ON COLUMN revacct_data.escalation.recipient IS 'The role or party the step goes to.';
COMMENT ON COLUMN revacct_data.escalation.raise_at IS 'When it was to be raised; NULL if that could not be said.';
COMMENT ON COLUMN revacct_data.escalation.raised_at IS 'When it was raised.';
COMMENT ON COLUMN revacct_data.escalation.raised_by IS 'The session''s user who raised it.';
COMMENT ON COLUMN revacct_data.escalation.sla_fingerprint IS 'The definition by which it was due.';
SELECT pg_catalog.pg_extension_config_dump('revacct_data.escalation', '');

CREATE FUNCTION escalations_due(subject text, journey journey, sla sla, as_of timestamptz)
RETURNS TABLE (
    clock_no int, counting_since timestamptz, step_no int, step text, recipient text, raise_at timestamptz)
LANGUAGE SQL STABLE PARALLEL SAFE COST 100 ROWS 1
BEGIN ATOMIC
    SELECT due.clock_no, due.counting_since, due.step_no, due.step, due.recipient, due.raise_at
    FROM revacct.escalations(journey, sla, as_of) AS due
    WHERE due.is_due
      AND NOT EXISTS (
        SELECT FROM revacct_data.escalation AS raised
        WHERE raised.sla = revacct.sla_name(escalations_due.sla) AND raised.subject = escalations_due.subject
          AND raised.counting_since = due.counting_since AND raised.step = due.step);
END;
COMMENT ON FUNCTION escalations_due(text, journey, sla, timestamptz) IS
'The escalation steps of a subject''s open clocks that are due as of an instant and have not been raised yet. Needs SELECT on revacct_data.escalation. Source: docs/semantics.md, 9.';

CREATE FUNCTION raise_escalations(subject text, journey journey, sla sla, as_of timestamptz)
RETURNS SETOF revacct_data.escalation
LANGUAGE plpgsql VOLATILE COST 1000 ROWS 1
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    raised revacct_data.escalation;
    payload text;
BEGIN
    -- Of two runs at once, the second waits for the first, finds the key taken, and raises nothing.
    FOR raised IN
        INSERT INTO revacct_data.escalation
            (sla, subject, counting_since, step, recipient, raise_at, raised_at, raised_by, sla_fingerprint)
        SELECT sla_name(raise_escalations.sla), raise_escalations.subject, due.counting_since, due.step, due.recipient,
               due.raise_at, clock_timestamp(), session_user, fingerprint(raise_escalations.sla)
        FROM escalations_due(raise_escalations.subject, journey, raise_escalations.sla, as_of) AS due
        ORDER BY due.clock_no, due.step_no
        ON CONFLICT DO NOTHING
        RETURNING *
    LOOP
        payload := json_build_object(
            'sla', raised.sla, 'subject', raised.subject, 'step', raised.step, 'recipient', raised.recipient,
            'counting_since', raised.counting_since, 'raise_at', raised.raise_at)::text;
        -- A notification holds less than 8,000 bytes, which names full of control characters would pass.
        IF octet_length(payload) >= 8000 THEN
            payload := json_build_object('counting_since', raised.counting_since, 'raise_at', raised.raise_at)::text;
        END IF;
        PERFORM pg_notify('revacct_escalation', payload);
        RETURN NEXT raised;
    END LOOP;
END $$;
COMMENT ON FUNCTION raise_escalations(text, journey, sla, timestamptz) IS
'Records the escalations that are due for a subject, each once however often and however many at a time this is called, and returns those that were recorded. Each is announced to listeners on the channel revacct_escalation, as JSON, when the transaction commits. Needs SELECT and INSERT on revacct_data.escalation. Source: docs/semantics.md, 9.';
