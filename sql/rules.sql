--
-- rules.sql: whether a move keeps the agreed rules, what is done if not, and the exceptions that were agreed to.
--
-- Rules are rows of the model; what they are applied to comes as arguments, so that a trigger on any table can ask.
--

CREATE TABLE revacct_data.override (
    override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    key text NOT NULL,
    subject text NOT NULL CHECK (subject <> '' AND octet_length(subject) <= 1024),
    reason text NOT NULL CHECK (btrim(reason) <> ''),
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    approved_by text,
    approved_at timestamptz,
    CONSTRAINT nobody_excuses_themselves CHECK (approved_by <> requested_by),
    CONSTRAINT approved_by_somebody CHECK ((approved_by IS NULL) = (approved_at IS NULL))
);
CREATE INDEX ON revacct_data.override (subject);
COMMENT ON TABLE revacct_data.override IS 'Exceptions from rules, for one subject each. Rows come from request_override() and approve_override().';
COMMENT ON SEQUENCE revacct_data.override_override_id_seq IS 'Numbers of exceptions.';
COMMENT ON COLUMN revacct_data.override.override_id IS 'The number of the exception.';
COMMENT ON COLUMN revacct_data.override.kind IS 'The kind of definition the rule is: transition, field_rule, policy, lifecycle or code.';
COMMENT ON COLUMN revacct_data.override.key IS 'Its key.';
COMMENT ON COLUMN revacct_data.override.subject IS 'The key of the subject, as it is given to check_move().';
COMMENT ON COLUMN revacct_data.override.reason IS 'Why.';
COMMENT ON COLUMN revacct_data.override.requested_by IS 'The session''s user who asked for it.';
COMMENT ON COLUMN revacct_data.override.requested_at IS 'When it was asked for.';
COMMENT ON COLUMN revacct_data.override.approved_by IS 'The session''s user who agreed to it, somebody else; NULL: nobody yet.';
COMMENT ON COLUMN revacct_data.override.approved_at IS 'When it was agreed to.';

CREATE FUNCTION request_override(rule_kind text, rule_key text, subject text, reason text)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    number bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM revacct_data.version AS v WHERE v.version_id = _in_force(rule_kind, rule_key, clock_timestamp()) AND v.action = 'define') THEN
        RAISE EXCEPTION '% "%" is not in force', rule_kind, rule_key USING ERRCODE = 'undefined_object';
    END IF;
    INSERT INTO revacct_data.override (kind, key, subject, reason, requested_by, requested_at)
    VALUES (rule_kind, rule_key, subject, reason, session_user, clock_timestamp())
    RETURNING override_id INTO number;
    RETURN number;
END $$;
COMMENT ON FUNCTION request_override(text, text, text, text) IS
'Asks for an exception from a rule for one subject, with a reason, and returns its number. rule_kind, rule_key: as check_move() reports them. It counts once somebody else has agreed: approve_override().
Errors: undefined_object (42704), check_violation (23514).';

CREATE FUNCTION approve_override(override bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    asked revacct_data.override;
BEGIN
    PERFORM _demand_access('{steward, council}', 'approve overrides');
    SELECT * INTO asked FROM revacct_data.override AS o WHERE o.override_id = override FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no override %', override USING ERRCODE = 'undefined_object';
    ELSIF asked.approved_by IS NOT NULL THEN
        RAISE EXCEPTION 'override % is approved already', override
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('By %s.', asked.approved_by);
    ELSIF asked.requested_by = session_user THEN
        RAISE EXCEPTION 'who asked for an override cannot approve it' USING ERRCODE = 'insufficient_privilege';
    END IF;
    UPDATE revacct_data.override SET approved_by = session_user, approved_at = clock_timestamp() WHERE override_id = override;
END $$;
COMMENT ON FUNCTION approve_override(bigint) IS
'Agrees to an exception that somebody else asked for. For stewards and the council.
Errors: insufficient_privilege (42501), undefined_object (42704), object_not_in_prerequisite_state (55000).';

CREATE FUNCTION check_move(
    lifecycle text, from_stage text, to_stage text, fields jsonb DEFAULT '{}', codes text[] DEFAULT '{}', before jsonb DEFAULT '{}',
    links text[] DEFAULT '{}', subject text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS TABLE (rule_kind text, rule_key text, enforcement text, overridden boolean, message text)
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, revacct, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    moment constant timestamptz := coalesce(check_move.at, _now());
BEGIN
    -- From the rows of the lifecycle to when they are in force: see _stage_marks().
    RETURN QUERY
    WITH process AS MATERIALIZED (
        SELECT l.*, i.key
        FROM revacct_data.lifecycle AS l
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i WHERE i.version_id = l.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i
        WHERE l.lifecycle = check_move.lifecycle
    ), stage AS MATERIALIZED (
        SELECT s.*, (array_position('{open, won, active, lost, no_decision, recycled, churned}', s.category), s.stage_no) AS place
        FROM revacct_data.stage AS s
             CROSS JOIN LATERAL (SELECT FROM revacct_data.validity AS i WHERE i.version_id = s.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i
        WHERE s.lifecycle = check_move.lifecycle
    ), destination AS MATERIALIZED (
        SELECT s.* FROM stage AS s WHERE s.stage = check_move.to_stage
    ), move AS MATERIALIZED (
        SELECT t.*, i.key
        FROM revacct_data.transition AS t
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i WHERE i.version_id = t.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i
        WHERE t.lifecycle = check_move.lifecycle
    ), this_move AS (
        SELECT m.* FROM move AS m WHERE m.to_stage = check_move.to_stage AND m.from_stage IS NOT DISTINCT FROM check_move.from_stage
    ), code AS MATERIALIZED (
        SELECT c.*, i.key
        FROM revacct_data.code AS c
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i WHERE i.version_id = c.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i
        WHERE c.list IN (SELECT m.code_list FROM this_move AS m
                         UNION ALL
                         SELECT r.code_list FROM revacct_data.field_rule AS r WHERE r.subject_kind IN (SELECT p.subject_kind FROM process AS p))
    ), rule AS MATERIALIZED (
        SELECT r.*, i.key, check_move.fields -> r.field AS value, threshold.place,
               -- a rule from an open stage on holds for those after it; one at an exit for that exit; one without a stage for all that is no exit
               CASE WHEN r.at_stage IS NULL THEN d.category IN ('open', 'won', 'active')
                    WHEN threshold.category IN ('open', 'won', 'active') THEN d.category IN ('open', 'won', 'active') AND d.place >= threshold.place
                    ELSE d.stage = r.at_stage END AS is_due
        FROM process AS p JOIN revacct_data.field_rule AS r ON r.subject_kind = p.subject_kind AND (r.lifecycle IS NULL OR r.lifecycle = p.lifecycle)
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i WHERE i.version_id = r.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i
             LEFT JOIN destination AS d ON true
             LEFT JOIN stage AS threshold ON threshold.stage = r.at_stage
    ), breach (rule_kind, rule_key, enforcement, message) AS (
        SELECT 'lifecycle', revacct.object_key(check_move.lifecycle), 'refuse', format('lifecycle "%s" is not in force', check_move.lifecycle)
        WHERE NOT EXISTS (SELECT FROM process)
        UNION ALL
        SELECT 'lifecycle', p.key, p.enforcement, format('"%s" is no stage of "%s"', check_move.to_stage, p.lifecycle)
        FROM process AS p WHERE NOT EXISTS (SELECT FROM destination)
        UNION ALL
        SELECT 'lifecycle', p.key, p.enforcement,
               CASE WHEN check_move.from_stage IS NULL THEN format('entering at "%s" is not agreed', check_move.to_stage)
                    ELSE format('a move from "%s" to "%s" is not agreed', check_move.from_stage, check_move.to_stage) END
        FROM process AS p, destination
        -- who stays has not moved, and only the rules on fields are asked
        WHERE EXISTS (SELECT FROM move) AND NOT EXISTS (SELECT FROM this_move) AND check_move.from_stage IS DISTINCT FROM check_move.to_stage
        UNION ALL
        SELECT 'transition', m.key, m.enforcement, format('the move needs %s', m.guard)
        FROM this_move AS m WHERE NOT revacct.condition_holds(m.guard, check_move.fields)
        UNION ALL
        SELECT 'transition', m.key, m.enforcement, format('the move needs %s of the list %s', m.min_codes, m.code_list)
        FROM this_move AS m, destination AS d
        WHERE m.min_codes > (SELECT count(DISTINCT c.code) FROM code AS c
                             WHERE c.list = m.code_list AND c.code = ANY (coalesce(check_move.codes, '{}')) AND (c.applies_to IS NULL OR c.applies_to = d.category))
        UNION ALL
        SELECT 'transition', m.key, m.enforcement, format('"%s" is no code of the list %s', given.code, m.code_list)
        FROM this_move AS m, unnest(check_move.codes) AS given (code)
        WHERE m.code_list IS NOT NULL AND NOT EXISTS (SELECT FROM code AS c WHERE c.list = m.code_list AND c.code = given.code)
        UNION ALL
        SELECT 'code', c.key, m.enforcement, format('the code "%s" needs the field %s', c.code, needed.field)
        FROM this_move AS m JOIN code AS c ON c.list = m.code_list AND c.code = ANY (coalesce(check_move.codes, '{}')), unnest(c.requires) AS needed (field)
        WHERE coalesce(check_move.fields ->> needed.field, '') = ''
        UNION ALL
        SELECT 'field_rule', r.key, r.enforcement, format('the field %s must be given', r.field)
        FROM rule AS r WHERE r.rule = 'required' AND r.is_due AND coalesce(r.value #>> '{}', '') = ''
        UNION ALL
        SELECT 'field_rule', r.key, r.enforcement, format('%s cannot be the value of the field %s', r.value, r.field)
        FROM rule AS r
        WHERE r.rule = 'domain' AND r.value <> 'null'
          AND ((r.code_list IS NOT NULL AND NOT EXISTS (SELECT FROM code AS c WHERE c.list = r.code_list AND c.code = r.value #>> '{}'))
               OR NOT revacct.condition_holds(r.condition, check_move.fields))
        UNION ALL
        SELECT 'field_rule', r.key, r.enforcement, format('the field %s cannot change', r.field)
        FROM rule AS r
        WHERE r.rule = 'immutable' AND coalesce(check_move.before -> r.field, 'null') <> 'null' AND check_move.fields ? r.field
          AND r.value <> check_move.before -> r.field
        UNION ALL
        SELECT 'field_rule', r.key, r.enforcement, format('a link to %s must be there', r.field)
        FROM rule AS r WHERE r.rule = 'association' AND r.is_due AND NOT r.field = ANY (coalesce(check_move.links, '{}'))
        UNION ALL
        SELECT 'policy', i.key, p.enforcement, format('"%s" demands %s', p.policy, p.demands)
        FROM revacct_data.policy AS p
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i WHERE i.version_id = p.version_id AND coalesce(i.valid @> moment, false) AND upper_inf(i.recorded) OFFSET 0) AS i,
             destination AS d
        WHERE p.kind = 'hygiene' AND (p.lifecycle IS NULL OR p.lifecycle = check_move.lifecycle) AND d.category IN ('open', 'active')
          AND revacct.condition_holds(p.applies, check_move.fields) AND NOT revacct.condition_holds(p.demands, check_move.fields)
    )
    SELECT b.rule_kind, b.rule_key, b.enforcement,
           EXISTS (SELECT FROM revacct_data.override AS o
                   WHERE o.kind = b.rule_kind AND o.key = b.rule_key AND o.subject = check_move.subject AND o.approved_by IS NOT NULL),
           b.message
    FROM breach AS b
    ORDER BY b.rule_kind, b.rule_key, b.message;
END $$;
COMMENT ON FUNCTION check_move(text, text, text, jsonb, text[], jsonb, text[], text, timestamptz) IS
'The rules that a move of a subject breaks, a row each; none: all is well. from_stage: NULL on the way in. fields: the subject''s, after the move; before: those before it. codes: those given with it, such as loss reasons. links: the roles it is linked by, such as account. subject: its key, to find overrides by. at: whose rules, NULL: now''s. enforcement: flag or refuse. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION enforce_move(
    lifecycle text, from_stage text, to_stage text, fields jsonb DEFAULT '{}', codes text[] DEFAULT '{}', before jsonb DEFAULT '{}',
    links text[] DEFAULT '{}', subject text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    refused record;
    broken bigint;
BEGIN
    SELECT b.*, count(*) OVER () AS broken INTO refused
    FROM check_move(lifecycle, from_stage, to_stage, fields, codes, before, links, subject, at) AS b
    WHERE b.enforcement = 'refuse' AND NOT b.overridden LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%', refused.message
            USING ERRCODE = 'check_violation',
                  DETAIL = format('The rule is %s "%s"; rules broken: %s.', refused.rule_kind, refused.rule_key, refused.broken),
                  HINT = format('Mend it, or ask for an exception: SELECT request_override(%L, %L, %L, ''why'').', refused.rule_kind, refused.rule_key, coalesce(subject, 'subject'));
    END IF;
END $$;
COMMENT ON FUNCTION enforce_move(text, text, text, jsonb, text[], jsonb, text[], text, timestamptz) IS
'Refuses a move that breaks a rule whose enforcement is refuse, unless it was overridden for the subject; to be called by a trigger. Arguments: as check_move().
Errors: check_violation (23514), naming the first of the rules.';

CREATE FUNCTION matching_codes(list text, fields jsonb, at timestamptz DEFAULT NULL)
RETURNS SETOF text
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER ROWS 1
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT c.code
    FROM revacct_data.code AS c JOIN revacct_data.validity AS i USING (version_id)
    WHERE c.list = matching_codes.list AND i.valid @> coalesce(matching_codes.at, revacct._now()) AND upper_inf(i.recorded)
      AND c.condition IS NOT NULL AND revacct.condition_holds(c.condition, fields)
    ORDER BY c.code_no, c.code COLLATE "C";
END;
COMMENT ON FUNCTION matching_codes(text, jsonb, timestamptz) IS
'The codes of a list whose condition the fields of a subject fulfil, in the order of the list: its segments, as agreed at an instant (NULL: now). Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION counted_as(kind text, key text, model_at timestamptz DEFAULT NULL, known_at timestamptz DEFAULT NULL)
RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE step (key, action, successor) AS (
        SELECT v.key, v.action, v.successor
        FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
        WHERE i.kind = counted_as.kind AND i.key = counted_as.key AND i.valid @> coalesce(model_at, revacct._now()) AND i.recorded @> coalesce(known_at, 'infinity')
        UNION
        SELECT v.key, v.action, v.successor
        FROM step AS s JOIN revacct_data.validity AS i ON i.kind = counted_as.kind AND i.key = s.successor JOIN revacct_data.version AS v USING (version_id)
        WHERE i.valid @> coalesce(model_at, revacct._now()) AND i.recorded @> coalesce(known_at, 'infinity')
    )
    SELECT s.key FROM step AS s WHERE s.action = 'define';
END;
COMMENT ON FUNCTION counted_as(text, text, timestamptz, timestamptz) IS
'The key of the definition as which one is counted at model_at (NULL: now), as on record at known_at (NULL: now): its own while it is in force, once it is retired its successor''s, and so on; NULL when there is none. Runs with its owner''s rights: readers have none on the tables.';
