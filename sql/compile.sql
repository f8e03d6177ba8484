--
-- compile.sql: from approved definitions to the kernel's values, and the checks of a change that is to come into force.
--
-- A value depends on the rows, model_at and known_at, whose defaults are now, and on nothing else: so it is the same on every
-- server that holds them. compiled.c keeps what a call site compiled as long as nothing can have changed.
--

-- The stages of a lifecycle with their marks: a stage has its own, and those of the retired stages that are counted as it.
CREATE FUNCTION _stage_marks(lifecycle text, at timestamptz, known timestamptz)
RETURNS TABLE (stage text, stage_no int, category text, marks text)
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- From the lifecycle's own stages to when they are in force, one by one: the planner knows nothing of how few are, and would
    -- otherwise begin with all that is in force. Hence coalesce() and OFFSET, here and below.
    WITH RECURSIVE place (key, former, stage, stage_no, category) AS (
        SELECT i.key, i.key, s.stage, s.stage_no, s.category
        FROM revacct_data.stage AS s
             CROSS JOIN LATERAL (SELECT i.key FROM revacct_data.validity AS i
                                 WHERE i.version_id = s.version_id AND coalesce(i.valid @> $2, false) AND coalesce(i.recorded @> $3, false) OFFSET 0) AS i
        WHERE s.lifecycle = $1
        UNION
        SELECT p.key, v.key, p.stage, p.stage_no, p.category
        FROM place AS p JOIN revacct_data.version AS v ON v.kind = 'stage' AND v.successor = p.former
             CROSS JOIN LATERAL (SELECT FROM revacct_data.validity AS i
                                 WHERE i.version_id = v.version_id AND coalesce(i.valid @> $2, false) AND coalesce(i.recorded @> $3, false) OFFSET 0) AS i
    )
    SELECT p.stage, p.stage_no, p.category, string_agg(n.number::text, ' ' ORDER BY p.former <> p.key, n.number)
    FROM place AS p JOIN revacct_data.numbering AS n ON n.kind = 'stage' AND n.key = p.former
    GROUP BY p.stage, p.stage_no, p.category;
END;
COMMENT ON FUNCTION _stage_marks(text, timestamptz, timestamptz) IS 'The stages of a lifecycle in force at an instant, as on record at another, with their marks and those of retired stages that are counted as them.';

CREATE FUNCTION _not_in_force(kind text, key text, at timestamptz)
RETURNS void
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION '% "%" is not in force', kind, key
        USING ERRCODE = 'undefined_object',
              DETAIL = CASE WHEN EXISTS (SELECT FROM revacct_data.validity AS i WHERE i.kind = $1 AND i.key = $2)
                            THEN format('It is in force at other times than %s.', at) ELSE 'No approved change defines it.' END,
              HINT = 'The view glossary shows what is in force, model_history what was, and open_changes what is proposed.';
END $$;
COMMENT ON FUNCTION _not_in_force(text, text, timestamptz) IS 'Refuses to compile what is not in force.';

CREATE FUNCTION _business_calendar(name text, model_at timestamptz, known_at timestamptz)
RETURNS business_calendar
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    at constant timestamptz := coalesce(model_at, _now());
    c revacct_data.calendar;
BEGIN
    SELECT d.* INTO c
    FROM revacct_data.validity AS i JOIN revacct_data.calendar AS d USING (version_id)
    WHERE i.kind = 'calendar' AND i.key = object_key(name) AND i.valid @> at AND i.recorded @> coalesce(known_at, 'infinity');
    IF NOT FOUND THEN
        PERFORM _not_in_force('calendar', object_key(name), at);
    END IF;
    RETURN business_calendar(c.calendar, c.time_zone, c.hours, c.shifts, c.breaks, c.holidays, c.known_until);
END $$;
COMMENT ON FUNCTION _business_calendar(text, timestamptz, timestamptz) IS 'What business_calendar(name, model_at, known_at) compiles. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION _lifecycle(name text, model_at timestamptz, known_at timestamptz)
RETURNS lifecycle
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    at constant timestamptz := coalesce(model_at, _now());
    known constant timestamptz := coalesce(known_at, 'infinity');
    l revacct_data.lifecycle;
    s record;
BEGIN
    SELECT d.* INTO l
    FROM revacct_data.validity AS i JOIN revacct_data.lifecycle AS d USING (version_id)
    WHERE i.kind = 'lifecycle' AND i.key = object_key(name) AND i.valid @> at AND i.recorded @> known;
    IF NOT FOUND THEN
        PERFORM _not_in_force('lifecycle', object_key(name), at);
    END IF;

    WITH stage AS (
        SELECT m.*, array_position('{open, active, won, lost, no_decision, recycled, churned}', m.category) AS category_no
        FROM _stage_marks(name, at, known) AS m
    )
    SELECT array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'open') AS open,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'active') AS active,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'won') AS won,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'lost') AS lost,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'no_decision') AS no_decision,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'recycled') AS recycled,
           array_agg(t.stage ORDER BY t.stage_no) FILTER (WHERE t.category = 'churned') AS churned,
           array_agg(t.marks ORDER BY t.category_no, t.stage_no) AS marks
    INTO s FROM stage AS t;
    IF cardinality(s.won) > 1 THEN
        RAISE EXCEPTION 'lifecycle "%" has more than one stage of category won', name
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('They are %s.', array_to_string(s.won, ', ')),
                  HINT = 'Keep one of them. What comes after it is a lifecycle of its own.';
    END IF;

    RETURN lifecycle(l.lifecycle, stages => coalesce(s.open, '{}'), active => coalesce(s.active, '{}'), won => s.won[1], lost => coalesce(s.lost, '{}'),
        no_decision => coalesce(s.no_decision, '{}'), recycled => coalesce(s.recycled, '{}'), churned => coalesce(s.churned, '{}'), marks => coalesce(s.marks, '{}'),
        skip => l.skip, attempt => l.attempt, within => l.within, times => l.times, visits => l.visits, unknown => l.unknown, time_zone => l.time_zone,
        calendar => CASE WHEN l.calendar IS NOT NULL THEN _business_calendar(l.calendar, at, known_at) END);
END $$;
COMMENT ON FUNCTION _lifecycle(text, timestamptz, timestamptz) IS 'What lifecycle(name, model_at, known_at) compiles. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION _mark_names(policy revacct_data.policy)
RETURNS text[]
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- as they come first: numbers are given in this order
    SELECT coalesce(array_agg(n.name ORDER BY n.no), '{}')
    FROM (SELECT u.name, min(u.no) AS no
          FROM unnest(policy.start || policy.stop || policy.pause || policy.resume || policy.reset || policy.cancel || policy.segment || policy.owner
                      || policy.promise || ARRAY(SELECT nullif(split_part(p.phase, ' until ', 2), '') FROM unnest(policy.phases) AS p (phase)))
               WITH ORDINALITY AS u (name, no)
          WHERE u.name IS NOT NULL GROUP BY u.name) AS n;
END;
COMMENT ON FUNCTION _mark_names(revacct_data.policy) IS 'The stages and kinds of events by which the clock of a policy goes.';

CREATE FUNCTION _stage_number(lifecycle text, name text, known timestamptz)
RETURNS int
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT n.number FROM revacct_data.numbering AS n
    WHERE n.kind = 'stage' AND n.key = revacct.object_key($1, $2)
      AND EXISTS (SELECT FROM revacct_data.validity AS i WHERE i.kind = 'stage' AND i.key = n.key AND lower(i.recorded) <= $3);
END;
COMMENT ON FUNCTION _stage_number(text, text, timestamptz) IS 'The mark of a stage that was on record at an instant, retired or not.';

CREATE FUNCTION _code_numbers(list text, code text, at timestamptz, known timestamptz, but text[] DEFAULT '{}')
RETURNS bigint[]
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    RETURN ARRAY(
        WITH RECURSIVE former (key) AS (
            SELECT object_key(list, code)
            UNION
            SELECT v.key
            FROM former AS f JOIN revacct_data.version AS v ON v.kind = 'code' AND v.successor = f.key JOIN revacct_data.validity AS i USING (version_id)
            WHERE i.valid @> at AND i.recorded @> known AND NOT v.key = ANY (but)
        )
        SELECT n.number::bigint FROM former AS f JOIN revacct_data.numbering AS n ON n.kind = 'code' AND n.key = f.key ORDER BY 1);
END $$;
COMMENT ON FUNCTION _code_numbers(text, text, timestamptz, timestamptz, text[]) IS 'The numbers of a code and of the retired ones that are counted as it, but for some, and those that are counted as it through them.';

CREATE FUNCTION _named_since(policy text, name text)
RETURNS timestamptz
LANGUAGE plpgsql STABLE PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    -- The names are those of _mark_names(), which called for each version would make an SLA a third slower to compile.
    RETURN (
        SELECT min(lower(i.recorded))
        FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id)
        WHERE p.policy = _named_since.policy
          AND (name = ANY (p.start || p.stop || p.pause || p.resume || p.reset || p.cancel || p.segment || p.owner || p.promise)
               OR EXISTS (SELECT FROM unnest(p.phases) AS phase (phase) WHERE phase.phase LIKE '% until %' AND split_part(phase.phase, ' until ', 2) = name)));
END $$;
COMMENT ON FUNCTION _named_since(text, text) IS 'Since when a policy goes by a name. The name means the stage of that name if there was one on record then, and a kind of event if not, for ever.';

CREATE FUNCTION _sla(name text, model_at timestamptz, known_at timestamptz)
RETURNS sla
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    known constant timestamptz := coalesce(known_at, 'infinity');
    p revacct_data.policy;
    held tstzrange;
    counted_at timestamptz;
    numbers text[];
    agreed sla;
BEGIN
    -- What must be the same in all versions of a clock is that of the last.
    SELECT d.* INTO p
    FROM revacct_data.validity AS i JOIN revacct_data.policy AS d USING (version_id)
    WHERE i.kind = 'policy' AND i.key = object_key(name) AND i.recorded @> known AND (model_at IS NULL OR i.valid @> model_at) AND d.start IS NOT NULL
    ORDER BY lower(i.valid) DESC LIMIT 1;
    SELECT i.valid INTO held FROM revacct_data.validity AS i WHERE i.version_id = p.version_id AND i.recorded @> known ORDER BY lower(i.valid) DESC LIMIT 1;
    IF p.version_id IS NULL THEN
        PERFORM _not_in_force('policy', object_key(name), coalesce(model_at, _now()));
    END IF;
    -- Retired segments count as their successors at that time: now, or when the last version was in force last.
    counted_at := coalesce(model_at, greatest(lower(held), least(_now(), known, upper(held) - interval '1 microsecond')));
    -- A clock goes by a stage's own mark: what a retired stage is counted as does not start or stop clocks that were agreed without it.
    numbers := ARRAY(
        SELECT m.name || '=' || coalesce(_stage_number(p.lifecycle, m.name, _named_since(p.policy, m.name)), event.number)
        FROM unnest(_mark_names(p)) WITH ORDINALITY AS m (name, no)
             LEFT JOIN revacct_data.numbering AS event ON event.kind = 'event' AND event.key = object_key(m.name)
        ORDER BY m.no);

    WITH policy AS MATERIALIZED (
        SELECT d.*, i.valid, (SELECT v.version_no FROM revacct_data.version AS v WHERE v.version_id = d.version_id) AS version_no,
               -- what of it is in the value
               ROW(d.target, d.calendar, d.warnings, d.start, d.stop, d.pause, d.resume, d.reset, d.cancel, d.segment, d.owner, d.promise, d.reopen, d.on_change,
                       d.phases, d.max_clocks, d.beyond)::text AS content
        FROM revacct_data.policy AS d
             CROSS JOIN LATERAL (SELECT i.valid FROM revacct_data.validity AS i
                 WHERE i.version_id = d.version_id AND coalesce(i.recorded @> known, false) AND (model_at IS NULL OR i.valid @> model_at) OFFSET 0) AS i
        WHERE d.policy = name AND d.start IS NOT NULL
    ), special AS MATERIALIZED (
        SELECT d.*, i.valid, (SELECT v.version_no FROM revacct_data.version AS v WHERE v.version_id = d.version_id) AS version_no,
               CASE WHEN d.segment IS NOT NULL THEN _code_numbers('segment', d.segment, counted_at, known) END AS segment_nos, party.party_no AS owner_no
        FROM revacct_data.policy_target AS d
             CROSS JOIN LATERAL (SELECT i.valid FROM revacct_data.validity AS i
                 WHERE i.version_id = d.version_id AND coalesce(i.recorded @> known, false) AND (model_at IS NULL OR i.valid @> model_at) OFFSET 0) AS i
             LEFT JOIN revacct_data.party ON party.party = d.owner
        WHERE d.policy = name
    ), step AS MATERIALIZED (
        SELECT d.due || ' to ' || d.recipient AS step, i.valid
        FROM revacct_data.policy_step AS d
             CROSS JOIN LATERAL (SELECT i.valid FROM revacct_data.validity AS i
                 WHERE i.version_id = d.version_id AND coalesce(i.recorded @> known, false) AND (model_at IS NULL OR i.valid @> model_at) OFFSET 0) AS i
        WHERE d.policy = name
    ), calendar AS MATERIALIZED (
        SELECT d.calendar, i.valid, business_calendar(d.calendar, d.time_zone, d.hours, d.shifts, d.breaks, d.holidays, d.known_until) AS value
        FROM revacct_data.calendar AS d
             CROSS JOIN LATERAL (SELECT i.valid FROM revacct_data.validity AS i
                 WHERE i.version_id = d.version_id AND coalesce(i.recorded @> known, false) AND (model_at IS NULL OR i.valid @> model_at) OFFSET 0) AS i
        WHERE d.calendar IN (SELECT policy.calendar FROM policy UNION ALL SELECT special.calendar FROM special)
    ), bound (at) AS (
        SELECT model_at WHERE model_at IS NOT NULL
        UNION
        SELECT edge.at
        FROM (SELECT policy.valid FROM policy UNION ALL SELECT special.valid FROM special UNION ALL SELECT step.valid FROM step UNION ALL SELECT calendar.valid FROM calendar) AS part,
             LATERAL (VALUES (lower(part.valid)), (upper(part.valid))) AS edge (at)
        WHERE model_at IS NULL AND edge.at IS NOT NULL
    ), piece AS (
        SELECT b.at AS since, lead(b.at) OVER (ORDER BY b.at) AS until FROM bound AS b
    ), term AS (
        SELECT piece.since, piece.until, policy.content, policy.warnings, t.*, c.value AS hours,
               ARRAY(SELECT step.step FROM step WHERE step.valid @> piece.since ORDER BY step.step COLLATE "C") AS steps,
               policy.start, policy.stop, policy.pause, policy.resume, policy.reset, policy.cancel, policy.segment, policy.owner, policy.promise,
               policy.reopen, policy.on_change, policy.phases, policy.max_clocks, policy.beyond
        FROM piece JOIN policy ON policy.valid @> piece.since
             CROSS JOIN LATERAL (
                 SELECT policy.target, policy.calendar, policy.version_no, NULL::bigint[] AS segment_nos, NULL::bigint AS owner_no
                 WHERE policy.target IS NOT NULL OR policy.promise <> '{}'
                 UNION ALL
                 SELECT special.target, coalesce(special.calendar, policy.calendar), special.version_no,
                        -- a retired segment counts as its successor, but while it has a target of its own
                        CASE WHEN cardinality(special.segment_nos) = 1 THEN special.segment_nos
                             WHEN special.segment IS NOT NULL THEN _code_numbers('segment', special.segment, counted_at, known, ARRAY(
                                 SELECT object_key('segment', o.segment) FROM special AS o
                                 WHERE o.segment <> special.segment AND o.owner_no IS NOT DISTINCT FROM special.owner_no AND o.valid @> piece.since)) END,
                        special.owner_no
                 FROM special WHERE special.valid @> piece.since) AS t
             LEFT JOIN calendar AS c ON c.calendar = t.calendar AND c.valid @> piece.since
    ), content AS (
        SELECT t.since, t.until,
               array_agg(ROW(t.content, t.target, t.version_no, t.segment_nos, t.owner_no, fingerprint(t.hours), t.steps)::text
                         ORDER BY t.segment_nos NULLS FIRST, t.owner_no NULLS FIRST) AS terms
        FROM term AS t GROUP BY t.since, t.until
    ), run AS (
        -- Times in which the same is in force, one after the other, are one.
        SELECT c.since, c.until, count(*) FILTER (WHERE c.is_new) OVER (ORDER BY c.since) AS no
        FROM (SELECT c.*, (lag(c.terms) OVER w, lag(c.until) OVER w) IS DISTINCT FROM (c.terms, c.since) AS is_new FROM content AS c WINDOW w AS (ORDER BY c.since)) AS c
    ), period AS (
        SELECT min(r.since) AS since, CASE WHEN model_at IS NULL THEN tstzrange(min(r.since), CASE WHEN count(r.until) = count(*) THEN max(r.until) END) END AS valid
        FROM run AS r GROUP BY r.no
    )
    SELECT sla(array_agg(sla(
               name, start => t.start, stop => t.stop, pause => t.pause, resume => t.resume, reset => t.reset, cancel => t.cancel,
               segment => t.segment, owner => t.owner, promise => t.promise, marks => numbers, target => t.target,
               calendar => CASE WHEN t.calendar IS NOT NULL AND t.hours IS NULL THEN _business_calendar(t.calendar, t.since, known_at) ELSE t.hours END,
               warnings => t.warnings, escalations => t.steps, version => t.version_no::text, valid => period.valid,
               segments => t.segment_nos, owners => CASE WHEN t.owner_no IS NOT NULL THEN ARRAY[t.owner_no] END,
               reopen => t.reopen, change => t.on_change, phases => t.phases, max_clocks => t.max_clocks, beyond => t.beyond)))
    INTO agreed
    FROM period JOIN term AS t USING (since);
    IF agreed IS NULL THEN
        RAISE EXCEPTION 'SLA "%" has no target', name
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Give define_sla() a target or a promise, or define_sla_target() one for a segment or an owner.';
    END IF;
    RETURN agreed;
END $$;
COMMENT ON FUNCTION _sla(text, timestamptz, timestamptz) IS 'What sla(name, model_at, known_at) compiles. Runs with its owner''s rights: readers have none on the tables.';

-- What people call. A literal of unknown type would be read as the value itself, lifecycle 'inbound', if there were no function
-- that takes just that: hence the forms for unknown.

CREATE FUNCTION business_calendar(name text, model_at timestamptz)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION business_calendar(text, timestamptz) IS
'The agreed calendar of a name: the version in force at model_at (NULL: now).
Errors: undefined_object (42704) when none is in force then.';

CREATE FUNCTION business_calendar(name text)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION business_calendar(text) IS 'The agreed calendar of a name, the version in force now.';

CREATE FUNCTION business_calendar(name varchar)
RETURNS business_calendar
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT revacct.business_calendar(name::text);
END;
COMMENT ON FUNCTION business_calendar(varchar) IS 'The agreed calendar of a name: for a varchar, which would be read as the value itself.';

CREATE FUNCTION business_calendar(name unknown)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_compiled_literal'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION business_calendar(unknown) IS 'The agreed calendar of a name, the version in force now: for a literal, which has no type yet.';

CREATE FUNCTION lifecycle(name text, model_at timestamptz, known_at timestamptz DEFAULT NULL)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION lifecycle(text, timestamptz, timestamptz) IS
'The agreed lifecycle of a name, with its stages: what was in force at model_at (NULL: now), as it was on record at known_at (NULL: now). The marks of retired stages count as their successors''. Name the argument: lifecycle(''inbound'', model_at => ''2026-01-01'').
Errors: undefined_object (42704) when none is in force then.';

CREATE FUNCTION lifecycle(name text)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION lifecycle(text) IS 'The agreed lifecycle of a name, with its stages, as in force now.';

CREATE FUNCTION lifecycle(name varchar)
RETURNS lifecycle
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT revacct.lifecycle(name::text);
END;
COMMENT ON FUNCTION lifecycle(varchar) IS 'The agreed lifecycle of a name: for a varchar, which would be read as the value itself.';

CREATE FUNCTION lifecycle(name unknown)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_compiled_literal'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION lifecycle(unknown) IS 'The agreed lifecycle of a name, with its stages, as in force now: for a literal, which has no type yet.';

CREATE FUNCTION sla(name text, model_at timestamptz, known_at timestamptz DEFAULT NULL)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sla(text, timestamptz, timestamptz) IS
'The agreed SLA of a name. model_at NULL: every version in its own time, so that a clock is judged by what was agreed then, and not at all before anything was. model_at given: what was in force then, for all times. Both as on record at known_at (NULL: now). Name the argument: sla(''speed_to_lead'', model_at => now()).
Errors: undefined_object (42704) when none is in force.';

CREATE FUNCTION sla(name text)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_compiled'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sla(text) IS 'The agreed SLA of a name, every version in its own time.';

CREATE FUNCTION sla(name varchar)
RETURNS sla
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT revacct.sla(name::text);
END;
COMMENT ON FUNCTION sla(varchar) IS 'The agreed SLA of a name: for a varchar, which would be read as the value itself.';

CREATE FUNCTION sla(name unknown)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_compiled_literal'
LANGUAGE C STABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sla(unknown) IS 'The agreed SLA of a name, every version in its own time: for a literal, which has no type yet.';

CREATE FUNCTION mark(lifecycle text, name text)
RETURNS int
LANGUAGE plpgsql STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    number int;
BEGIN
    IF name IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT n.number INTO number
    FROM revacct_data.numbering AS n
    WHERE (n.kind = 'stage' AND n.key = object_key(lifecycle, name) AND EXISTS (SELECT FROM revacct_data.validity AS i WHERE i.kind = n.kind AND i.key = n.key))
       OR (n.kind = 'event' AND n.key = object_key(name))
    ORDER BY n.kind DESC LIMIT 1;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no stage "%" of lifecycle "%", and no such kind of event', name, coalesce(lifecycle, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Stages and kinds of events have marks once a change that names them is approved.';
    END IF;
    RETURN number;
END $$;
COMMENT ON FUNCTION mark(text, text) IS
'The mark of a stage of an agreed lifecycle, be it in force or retired, or else of a kind of event; to be folded into a journey. NULL for NULL. lifecycle NULL: of a kind of event. An unknown name is an error (22023). Runs with its owner''s rights: readers have none on the tables.';

-- Coming into force

CREATE FUNCTION _give_numbers(change bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    new record;
BEGIN
    FOR new IN
        SELECT 1 AS part, v.version_id, 0::bigint AS no, v.kind, v.key
        FROM revacct_data.version AS v WHERE v.change_id = change AND v.kind = 'stage'
        UNION ALL
        SELECT 2, v.version_id, 0, CASE c.list WHEN 'event' THEN 'event' ELSE 'code' END, CASE c.list WHEN 'event' THEN object_key(c.code) ELSE v.key END
        FROM revacct_data.version AS v JOIN revacct_data.code AS c USING (version_id) WHERE v.change_id = change
        UNION ALL
        SELECT 3, v.version_id, m.no, 'event', object_key(m.name)
        FROM revacct_data.version AS v JOIN revacct_data.policy AS p USING (version_id), unnest(_mark_names(p)) WITH ORDINALITY AS m (name, no)
        WHERE v.change_id = change
          AND NOT EXISTS (SELECT FROM revacct_data.validity AS s WHERE s.kind = 'stage' AND s.key = object_key(p.lifecycle, m.name) AND lower(s.recorded) <= _named_since(p.policy, m.name))
        ORDER BY part, version_id, no
    LOOP
        INSERT INTO revacct_data.numbering (kind, key, number)
        SELECT new.kind, new.key, coalesce(max(n.number), 0) + 1 FROM revacct_data.numbering AS n WHERE n.is_mark = (new.kind <> 'code')
        ON CONFLICT (kind, key) DO NOTHING;
    END LOOP;
END $$;
COMMENT ON FUNCTION _give_numbers(bigint) IS 'Numbers the stages, kinds of events and codes that a change brings, in their order.';

CREATE FUNCTION _known_events()
RETURNS text[]
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
RETURN '{created, stage_entered, field_set, assigned, offered, accepted, rejected, expired, touch_out, touch_in, auto_reply, meeting_set, meeting_held,
          meeting_no_show, disposition_set, recycled, reopened, merged, paused, resumed, escalated, feedback, asset_used, asset_shared, training_done, coached,
          tool_used, service_opened, service_closed, survey, referral, exposed, override, segment_set, lead_source_set}'::text[];
COMMENT ON FUNCTION _known_events() IS 'The kinds of events that everybody knows. Others are codes of the list event.';

CREATE VIEW revacct_data.reference AS
    SELECT version_id, 'calendar' AS kind, revacct.object_key(calendar) AS key FROM revacct_data.lifecycle WHERE calendar IS NOT NULL
    UNION ALL SELECT version_id, 'lifecycle', revacct.object_key(lifecycle) FROM revacct_data.stage
    UNION ALL SELECT version_id, 'code', revacct.object_key('journey', journey_place) FROM revacct_data.stage WHERE journey_place IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, from_stage) FROM revacct_data.transition WHERE from_stage IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, to_stage) FROM revacct_data.transition
    UNION ALL SELECT version_id, 'code', revacct.object_key(list, parent) FROM revacct_data.code WHERE parent IS NOT NULL
    UNION ALL SELECT version_id, 'lifecycle', revacct.object_key(lifecycle) FROM revacct_data.field_rule WHERE lifecycle IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, at_stage) FROM revacct_data.field_rule WHERE at_stage IS NOT NULL
    UNION ALL SELECT version_id, 'calendar', revacct.object_key(calendar) FROM revacct_data.policy WHERE calendar IS NOT NULL
    UNION ALL SELECT version_id, 'lifecycle', revacct.object_key(lifecycle) FROM revacct_data.policy WHERE lifecycle IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, to_stage) FROM revacct_data.policy WHERE to_stage IS NOT NULL
    UNION ALL
    SELECT p.version_id, 'code', revacct.object_key('event', m.name)
    FROM revacct_data.policy AS p, unnest(revacct._mark_names(p)) AS m (name)
    WHERE m.name <> ALL (revacct._known_events())
      AND revacct._stage_number(p.lifecycle, m.name, revacct._named_since(p.policy, m.name)) IS NULL
    UNION ALL SELECT version_id, 'code', revacct.object_key('event', trigger_kind) FROM revacct_data.transition WHERE trigger_kind <> ALL (revacct._known_events())
    UNION ALL
    SELECT p.version_id, 'stage', revacct.object_key(p.lifecycle, m.name)
    FROM revacct_data.policy AS p, unnest(revacct._mark_names(p)) AS m (name)
    WHERE revacct._stage_number(p.lifecycle, m.name, revacct._named_since(p.policy, m.name)) IS NOT NULL
    UNION ALL SELECT version_id, 'policy', revacct.object_key(policy) FROM revacct_data.policy_target
    UNION ALL SELECT version_id, 'code', revacct.object_key('segment', segment) FROM revacct_data.policy_target WHERE segment IS NOT NULL
    UNION ALL SELECT version_id, 'calendar', revacct.object_key(calendar) FROM revacct_data.policy_target WHERE calendar IS NOT NULL
    UNION ALL SELECT version_id, 'policy', revacct.object_key(policy) FROM revacct_data.policy_step
    UNION ALL SELECT version_id, 'lifecycle', revacct.object_key(lifecycle) FROM revacct_data.metric WHERE lifecycle IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, at_stage) FROM revacct_data.metric WHERE at_stage IS NOT NULL
    UNION ALL SELECT version_id, 'stage', revacct.object_key(lifecycle, to_stage) FROM revacct_data.metric WHERE to_stage IS NOT NULL
    UNION ALL SELECT version_id, 'metric', revacct.object_key(metric) FROM revacct_data.target
    UNION ALL SELECT version_id, 'program', revacct.object_key(parent) FROM revacct_data.program WHERE parent IS NOT NULL
    UNION ALL SELECT p.version_id, 'code', revacct.object_key(c.list, c.code) FROM revacct_data.program AS p, jsonb_each_text(p.codes) AS c (list, code)
    UNION ALL SELECT version_id, object_kind, object FROM revacct_data.responsibility WHERE object_kind NOT IN ('party', 'code_list', 'field', 'account')
    UNION ALL SELECT version_id, kind, successor FROM revacct_data.version WHERE successor IS NOT NULL;
COMMENT ON VIEW revacct_data.reference IS 'Which version refers to which definition, which must be in force all the while.';
COMMENT ON COLUMN revacct_data.reference.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.reference.kind IS 'The kind of what it refers to.';
COMMENT ON COLUMN revacct_data.reference.key IS 'The key of what it refers to.';

CREATE FUNCTION _check_change(change bigint)
RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong record;
    since constant timestamptz := (SELECT c.effective_at FROM revacct_data.change AS c WHERE c.change_id = change);
    compiled record;
    reason text;
    details text;
    hint text;
    state text;
BEGIN
    -- What is referred to is in force as long as what refers to it; a retired one's successor, when it was named.
    SELECT i.kind, i.key, r.kind AS of_kind, r.key AS of_key INTO wrong
    FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) JOIN revacct_data.reference AS r USING (version_id)
         JOIN revacct_data.change AS c USING (change_id)
    WHERE upper_inf(i.recorded) AND (v.action = 'define' OR lower(i.valid) = c.effective_at)
      AND (v.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = r.kind AND t.key = r.key))
      AND NOT coalesce((
            SELECT CASE WHEN v.action = 'retire' THEN range_agg(o.valid) @> lower(i.valid) ELSE range_agg(o.valid) @> i.valid END
            FROM revacct_data.validity AS o JOIN revacct_data.version AS ov USING (version_id)
            WHERE o.kind = r.kind AND o.key = r.key AND upper_inf(o.recorded)
              AND (ov.action = 'define' OR (v.action = 'retire' AND ov.successor IS NOT NULL))), false)
    ORDER BY 1, 2, 3, 4 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" refers to % "%", which is not in force all the while', wrong.kind, wrong.key, wrong.of_kind, wrong.of_key
            USING ERRCODE = 'foreign_key_violation',
                  HINT = 'Define what is missing in the same change, for the same time; or retire what refers to it.';
    END IF;

    SELECT v.kind, v.key, v.successor INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.change AS c USING (change_id)
    WHERE v.successor IS NOT NULL AND upper_inf(i.recorded) AND lower(i.valid) = c.effective_at
      -- by however many steps
      AND EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = v.kind)
      AND counted_as(v.kind, v.key, lower(i.valid)) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" would be counted as nothing', wrong.kind, wrong.key
            USING ERRCODE = 'check_violation', DETAIL = format('Its successor, "%s", is not in force, and is not counted as anything that is.', wrong.successor);
    END IF;

    SELECT l.kind, l.key, l.code_list INTO wrong
    FROM (SELECT v.change_id, v.kind, v.key, i.valid, coalesce(t.code_list, f.code_list) AS code_list
          FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id)
               LEFT JOIN revacct_data.transition AS t USING (version_id) LEFT JOIN revacct_data.field_rule AS f USING (version_id)
          WHERE upper_inf(i.recorded) AND v.kind IN ('transition', 'field_rule') AND v.action = 'define') AS l
    WHERE l.code_list IS NOT NULL
      AND (l.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = 'code' AND starts_with(t.key, object_key(l.code_list) || '/')))
      AND NOT coalesce((SELECT range_agg(i.valid) @> l.valid
                        FROM revacct_data.code AS c JOIN revacct_data.validity AS i USING (version_id)
                        WHERE c.list = l.code_list AND upper_inf(i.recorded)), false)
    ORDER BY 1, 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" refers to the list "%", which has not codes all the while', wrong.kind, wrong.key, wrong.code_list
            USING ERRCODE = 'foreign_key_violation', HINT = format('Define them in the same change: SELECT define_code(%L, ...).', wrong.code_list);
    END IF;

    SELECT v.key, r.object INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.responsibility AS r USING (version_id)
    WHERE v.change_id = change AND r.object_kind = 'party' AND NOT EXISTS (SELECT FROM revacct_data.party AS p WHERE object_key(p.party) = r.object)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'responsibility "%" is for a party that is not registered', wrong.key
            USING ERRCODE = 'foreign_key_violation', HINT = format('Register it: SELECT register_party(%L, ''team'').', wrong.object);
    END IF;

    SELECT i.key, o.key AS other, s.stage_no INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.stage AS s USING (version_id)
         JOIN revacct_data.stage AS os ON os.lifecycle = s.lifecycle AND os.stage_no = s.stage_no AND os.stage <> s.stage
         JOIN revacct_data.validity AS o ON o.version_id = os.version_id
    WHERE v.change_id = change AND upper_inf(i.recorded) AND upper_inf(o.recorded) AND i.valid && o.valid
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'stages "%" and "%" have the same place', wrong.key, wrong.other
            USING ERRCODE = 'unique_violation', DETAIL = format('stage_no is %s for both.', wrong.stage_no);
    END IF;

    SELECT i.key INTO wrong
    FROM revacct_data.validity AS i JOIN revacct_data.metric AS m USING (version_id)
    WHERE upper_inf(i.recorded)
      AND NOT coalesce((
            SELECT range_agg(o.valid) @> i.valid
            FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS o USING (version_id)
            WHERE r.role = 'accountable' AND r.object_kind = 'metric' AND r.object = i.key AND upper_inf(o.recorded)), false)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'metric "%" has no accountable party', wrong.key
            USING ERRCODE = 'check_violation',
                  HINT = format('Assign one in the same change: SELECT assign(''party'', ''accountable'', ''metric'', %L).', wrong.key);
    END IF;

    SELECT r.object_kind, r.object, sum(r.share) AS share INTO wrong
    FROM (SELECT DISTINCT t.object_kind, t.object, lower(ti.valid) AS at
          FROM revacct_data.version AS tv JOIN revacct_data.responsibility AS o USING (version_id)
               JOIN revacct_data.responsibility AS t ON t.object_kind = o.object_kind AND t.object = o.object
               JOIN revacct_data.validity AS ti ON ti.version_id = t.version_id AND upper_inf(ti.recorded)
          WHERE tv.change_id = change) AS moment
         JOIN revacct_data.responsibility AS r USING (object_kind, object)
         JOIN revacct_data.validity AS i ON i.version_id = r.version_id AND upper_inf(i.recorded) AND i.valid @> moment.at
    GROUP BY r.object_kind, r.object, moment.at HAVING sum(r.share) > 1
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the shares of % "%" are more than the whole', wrong.object_kind, wrong.object
            USING ERRCODE = 'check_violation', DETAIL = format('They add up to %s.', wrong.share);
    END IF;

    -- Nothing is a part of itself, by however many steps: teams, reporting lines, codes, programs.
    WITH RECURSIVE part (kind, child, parent, valid) AS (
        SELECT 'party ' || r.role, object_key(r.party), r.object, i.valid
        FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id)
        WHERE r.role IN ('member', 'manager') AND upper_inf(i.recorded)
        UNION ALL
        SELECT 'code', i.key, object_key(c.list, c.parent), i.valid
        FROM revacct_data.code AS c JOIN revacct_data.validity AS i USING (version_id) WHERE c.parent IS NOT NULL AND upper_inf(i.recorded)
        UNION ALL
        SELECT 'program', i.key, object_key(p.parent), i.valid
        FROM revacct_data.program AS p JOIN revacct_data.validity AS i USING (version_id) WHERE p.parent IS NOT NULL AND upper_inf(i.recorded)
    ), above (kind, child, ancestor, valid) AS (
        SELECT p.kind, p.child, p.parent, p.valid FROM part AS p
        UNION
        SELECT a.kind, a.child, p.parent, a.valid * p.valid
        FROM above AS a JOIN part AS p ON p.kind = a.kind AND p.child = a.ancestor AND p.valid && a.valid
        WHERE a.child <> a.ancestor
    )
    SELECT a.kind, a.child INTO wrong FROM above AS a WHERE a.child = a.ancestor ORDER BY 1, 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" would be above itself', split_part(wrong.kind, ' ', 1), wrong.child USING ERRCODE = 'check_violation';
    END IF;

    SELECT v.kind, v.key INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id)
         LEFT JOIN revacct_data.policy_target AS t USING (version_id) LEFT JOIN revacct_data.policy_step AS s USING (version_id)
         JOIN revacct_data.policy AS p ON p.policy = coalesce(t.policy, s.policy) AND p.start IS NULL
         JOIN revacct_data.validity AS pi ON pi.version_id = p.version_id AND upper_inf(pi.recorded) AND pi.valid && i.valid
    WHERE v.kind IN ('policy_target', 'policy_step') AND upper_inf(i.recorded)
      AND (v.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS c WHERE c.change_id = change AND c.version_id = p.version_id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" is of a policy that has no clock', wrong.kind, wrong.key
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Targets and steps are of what define_sla() defines.';
    END IF;

    -- The kernel judges definitions: all that the change touches must compile, from the start of its period on whenever something of it changes.
    FOR compiled IN
        WITH changed AS (
            -- every version of what it defines or retires: a retirement over what begins later replaces nothing that is in force when it begins
            SELECT w.version_id FROM revacct_data.version AS v JOIN revacct_data.version AS w USING (kind, key) WHERE v.change_id = change
        ), touched (kind, name) AS (
            SELECT 'lifecycle', l.lifecycle FROM changed AS v JOIN revacct_data.lifecycle AS l USING (version_id)
            UNION
            SELECT 'lifecycle', s.lifecycle FROM changed AS v JOIN revacct_data.stage AS s USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy AS p USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy_target AS p USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy_step AS p USING (version_id)
            UNION
            SELECT 'calendar', c.calendar FROM changed AS v JOIN revacct_data.calendar AS c USING (version_id)
        ), affected (kind, name) AS (
            SELECT t.kind, t.name FROM touched AS t
            UNION
            SELECT 'lifecycle', l.lifecycle FROM touched AS t JOIN revacct_data.lifecycle AS l ON t.kind = 'calendar' AND l.calendar = t.name
            UNION
            SELECT 'policy', p.policy FROM touched AS t JOIN revacct_data.policy AS p ON (t.kind = 'calendar' AND p.calendar = t.name) OR (t.kind = 'lifecycle' AND p.lifecycle = t.name)
            UNION
            SELECT 'policy', p.policy FROM touched AS t JOIN revacct_data.policy_target AS p ON t.kind = 'calendar' AND p.calendar = t.name
        ), moment (kind, name, at) AS (
            SELECT a.kind, a.name, since FROM affected AS a
            UNION
            SELECT a.kind, a.name, edge.at
            FROM affected AS a
                 -- what it is compiled of begins or ends
                 CROSS JOIN LATERAL (
                     SELECT i.valid FROM revacct_data.validity AS i WHERE i.kind = a.kind AND i.key = object_key(a.name) AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.stage AS s JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'lifecycle' AND s.lifecycle = a.name AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.policy_target AS t JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'policy' AND t.policy = a.name AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.policy_step AS t JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'policy' AND t.policy = a.name AND upper_inf(i.recorded)) AS part
                 CROSS JOIN LATERAL (VALUES (lower(part.valid)), (upper(part.valid))) AS edge (at)
            WHERE edge.at > since
        )
        -- an SLA as a whole, too, be it in force or not any more
        SELECT a.kind, a.name, NULL::timestamptz AS at FROM affected AS a
        WHERE a.kind = 'policy' AND EXISTS (SELECT FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id)
                                            WHERE p.policy = a.name AND p.start IS NOT NULL AND upper_inf(i.recorded))
        UNION ALL
        SELECT m.kind, m.name, m.at
        FROM moment AS m
        WHERE EXISTS (SELECT FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) LEFT JOIN revacct_data.policy AS p USING (version_id)
                      WHERE i.kind = m.kind AND i.key = object_key(m.name) AND i.valid @> m.at AND upper_inf(i.recorded) AND v.action = 'define'
                        AND (m.kind <> 'policy' OR p.start IS NOT NULL))
        ORDER BY 1, 2, 3
    LOOP
        BEGIN
            CASE compiled.kind
                WHEN 'lifecycle' THEN PERFORM _lifecycle(compiled.name, compiled.at, NULL);
                WHEN 'calendar' THEN PERFORM _business_calendar(compiled.name, compiled.at, NULL);
                WHEN 'policy' THEN PERFORM _sla(compiled.name, compiled.at, NULL);
            END CASE;
        EXCEPTION WHEN invalid_parameter_value OR null_value_not_allowed OR program_limit_exceeded OR undefined_object THEN
            GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
            RAISE EXCEPTION '%', reason
                USING ERRCODE = state,
                      DETAIL = concat_ws(' ', nullif(details, ''), format('So %s "%s" would not compile %s.', compiled.kind, compiled.name, coalesce('at ' || compiled.at, 'with its versions taken together'))),
                      HINT = coalesce(nullif(hint, ''), 'Define what does not go together in the same change.');
        END;
    END LOOP;
END $$;
COMMENT ON FUNCTION _check_change(bigint) IS
'All that must hold once a change is in force: references, places of stages, owners of metrics, shares, no circles; and that the kernel compiles it.';
