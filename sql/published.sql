--
-- published.sql: any figure again, as it was known then, under the definitions in force then; restated; published and verified.
--
-- A figure is a function of three times: as_of, up to which the world is looked at; known_at, up to which the record of it
-- counts; model_at, whose definitions are meant. Facts and definitions both keep when they were recorded, so every figure
-- can be computed again. Without known_at, journeys are those of the last refresh; with it, the ledger is folded again.
--

CREATE FUNCTION journeys(known_at timestamptz DEFAULT NULL)
RETURNS TABLE (subject_id bigint, journey journey)
LANGUAGE plpgsql STABLE SECURITY DEFINER ROWS 100000
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF NOT _sees_all() THEN
        PERFORM _demand_access('{analyst, steward, council}', 'read journeys');
    END IF;
    IF known_at IS NULL THEN
        RETURN QUERY SELECT j.subject_id, j.journey FROM revacct_data.journey AS j;
    ELSE
        RETURN QUERY SELECT f.subject_id, f.journey FROM _fold(NULL, known_at) AS f;
    END IF;
END $$;
COMMENT ON FUNCTION journeys(timestamptz) IS
'The journeys of all subjects, for any aggregate and any definition: as of the last refresh (known_at NULL), or folded from what was recorded by known_at, corrections and identities as they were known then. For those who see all.
Errors: insufficient_privilege (42501).';

CREATE FUNCTION _code_numbers_shown_as(list text, code text, model_at timestamptz, known_at timestamptz)
RETURNS bigint[]
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.array_agg(g.number::bigint)
    FROM revacct_data.numbering AS g
    WHERE g.kind = 'code' AND (revacct._key_names(g.key))[1] = list
      AND coalesce(revacct.counted_as('code', g.key, model_at, known_at), g.key) = revacct.object_key(list, code);
END;
COMMENT ON FUNCTION _code_numbers_shown_as(text, text, timestamptz, timestamptz) IS 'The numbers of a code and of the retired ones that are shown as it, at model_at (NULL: now), as on record at known_at (NULL: now).';

CREATE FUNCTION _judged(
    lifecycle text, model_at timestamptz, at_event boolean, known_at timestamptz, model_known_at timestamptz, segment text, lead_source text, owner text)
RETURNS TABLE (valid_from timestamptz, definition lifecycle, subject_id bigint, entered_on date, journey journey, time_zone text)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    -- of stages that were ever agreed, as on record then
    stage_marks constant int[] := ARRAY(SELECT g.number FROM revacct_data.numbering AS g
                                        WHERE g.kind = 'stage' AND (_key_names(g.key))[1] = _judged.lifecycle
                                          AND EXISTS (SELECT FROM revacct_data.validity AS i WHERE i.kind = g.kind AND i.key = g.key AND lower(i.recorded) <= coalesce(model_known_at, 'infinity')));
    segment_marks constant int[] := _field_marks('segment_set');
    source_marks constant int[] := _field_marks('lead_source_set');
    owner_marks constant int[] := _field_marks('assigned');
    segment_numbers constant bigint[] := _code_numbers_shown_as('segment', _judged.segment, _judged.model_at, _judged.model_known_at);
    source_numbers constant bigint[] := _code_numbers_shown_as('lead_source', _judged.lead_source, _judged.model_at, _judged.model_known_at);
    owner_number constant bigint := (SELECT p.party_no FROM revacct_data.party AS p WHERE p.party = _judged.owner);
    one lifecycle;
    since timestamptz[];
    definitions lifecycle[];
    zones text[];
    bound timestamptz;
BEGIN
    IF at_event THEN
        -- the versions of the lifecycle, each from its time on
        FOR bound IN
            SELECT DISTINCT lower(i.valid)
            FROM revacct_data.validity AS i
            WHERE i.recorded @> coalesce(model_known_at, 'infinity') AND NOT lower_inf(i.valid)
              AND ((i.kind = 'lifecycle' AND i.key = object_key(_judged.lifecycle)) OR (i.kind = 'stage' AND (_key_names(i.key))[1] = _judged.lifecycle)
                   OR (i.kind = 'calendar' AND i.key IN (SELECT object_key(l.calendar) FROM revacct_data.lifecycle AS l WHERE l.lifecycle = _judged.lifecycle)))
            ORDER BY 1
        LOOP
            CONTINUE WHEN NOT EXISTS (SELECT FROM revacct_data.validity AS i JOIN revacct_data.lifecycle AS l USING (version_id)
                                      WHERE l.lifecycle = _judged.lifecycle AND i.valid @> bound AND i.recorded @> coalesce(model_known_at, 'infinity'));
            since := since || bound;
            definitions := definitions || _lifecycle(_judged.lifecycle, bound, model_known_at);
            zones := zones || _zone_of(_judged.lifecycle, bound, model_known_at);
        END LOOP;
        IF since IS NULL THEN
            PERFORM _not_in_force('lifecycle', object_key(_judged.lifecycle), _now());
        END IF;
    ELSE
        one := _lifecycle(_judged.lifecycle, model_at, model_known_at);
        zones := ARRAY[_zone_of(_judged.lifecycle, coalesce(model_at, _now()), model_known_at)];
    END IF;

    RETURN QUERY
    WITH subject AS (
        SELECT j.subject_id, j.journey, CASE WHEN since IS NULL THEN 1 ELSE greatest(width_bucket(_first_at(j.journey, stage_marks), since), 1) END AS no
        FROM journeys(_judged.known_at) AS j
        WHERE (_judged.segment IS NULL OR _last_value(j.journey, segment_marks) = ANY (segment_numbers))
          AND (_judged.lead_source IS NULL OR _first_value(j.journey, source_marks) = ANY (source_numbers))
          AND (_judged.owner IS NULL OR _last_value(j.journey, owner_marks) = owner_number)
          AND (since IS NULL OR _first_at(j.journey, stage_marks) IS NOT NULL)
    ), judged AS (
        SELECT s.*, CASE WHEN since IS NULL THEN one ELSE definitions[s.no] END AS definition FROM subject AS s
    )
    SELECT since[j.no], j.definition, j.subject_id, (entered(j.journey, j.definition) AT TIME ZONE zones[j.no])::date, j.journey, zones[j.no]
    FROM judged AS j WHERE entered(j.journey, j.definition) IS NOT NULL;
END $$;
COMMENT ON FUNCTION _judged(text, timestamptz, boolean, timestamptz, timestamptz, text, text, text) IS
'The journeys of the subjects that entered a lifecycle, each with the definition that judges it and since when that is in force. model_at: in force when, NULL: now; at_event: when the subject entered, the first for those before it. model_known_at: as on record when; NULL: now.';

CREATE FUNCTION _asked_model(model_at text, period daterange)
RETURNS timestamptz
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    moment timestamptz;
BEGIN
    -- before anything is said about what is there
    IF NOT _sees_all() THEN
        PERFORM _demand_access('{analyst, steward, council}', 'read the ledger');
    END IF;
    IF isempty(period) THEN
        RAISE EXCEPTION 'the period is empty' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF model_at IN ('current', 'at event') THEN
        RETURN NULL;
    END IF;
    BEGIN
        moment := model_at::timestamptz;
    EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow THEN
        moment := NULL;
    END;
    IF moment IS NULL OR NOT isfinite(moment) THEN
        RAISE EXCEPTION 'model_at is no time: %', coalesce(model_at, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is ''current'', ''at event'', or a time such as ''2025-03-01 00:00+00''.';
    END IF;
    RETURN moment;
END $$;
COMMENT ON FUNCTION _asked_model(text, daterange) IS 'The time that model_at means; NULL: current, or at event. Refuses who does not see all, what is no time, and an empty period.';

CREATE FUNCTION funnel_of(
    lifecycle text, as_of timestamptz DEFAULT NULL, known_at timestamptz DEFAULT NULL, model_at text DEFAULT 'current', period daterange DEFAULT NULL,
    segment text DEFAULT NULL, lead_source text DEFAULT NULL, owner text DEFAULT NULL)
RETURNS TABLE (valid_from timestamptz, definition lifecycle, funnel funnel_summary)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
BEGIN
    moment := _asked_model(model_at, period);
    RETURN QUERY
    SELECT min(j.valid_from), j.definition, funnel_conversion(j.journey, j.definition, coalesce(funnel_of.as_of, funnel_of.known_at, statement_timestamp()))
    FROM _judged(funnel_of.lifecycle, moment, funnel_of.model_at = 'at event', funnel_of.known_at, CASE WHEN funnel_of.model_at <> 'current' THEN funnel_of.known_at END, funnel_of.segment, funnel_of.lead_source, funnel_of.owner) AS j
    WHERE funnel_of.period IS NULL OR j.entered_on <@ funnel_of.period
    GROUP BY j.definition ORDER BY 1;
END $$;
COMMENT ON FUNCTION funnel_of(text, timestamptz, timestamptz, text, daterange, text, text, text) IS
'How far subjects came, from the ledger, as in SELECT stages(funnel) FROM funnel_of(''inbound''). as_of: up to when the world is looked at; NULL: known_at, or now. known_at: what was recorded by then, of facts and of definitions; NULL: what the last refresh knows. model_at: current definitions, those in force at a time, or at event: those in force when each subject entered the lifecycle, which gives a row for each. period: the days, in the lifecycle''s time zone, in which they entered it. segment, lead_source, owner: as the reports show them. For those who see all.
Errors: undefined_object (42704), invalid_parameter_value (22023), insufficient_privilege (42501).';

CREATE FUNCTION velocity_of(
    lifecycle text, as_of timestamptz DEFAULT NULL, known_at timestamptz DEFAULT NULL, model_at text DEFAULT 'current', period daterange DEFAULT NULL,
    segment text DEFAULT NULL, lead_source text DEFAULT NULL, owner text DEFAULT NULL)
RETURNS TABLE (valid_from timestamptz, definition lifecycle, velocity velocity_summary)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    moment timestamptz;
BEGIN
    moment := _asked_model(model_at, period);
    RETURN QUERY
    SELECT min(j.valid_from), j.definition, stage_velocity(j.journey, j.definition, coalesce(velocity_of.as_of, velocity_of.known_at, statement_timestamp()))
    FROM _judged(velocity_of.lifecycle, moment, velocity_of.model_at = 'at event', velocity_of.known_at, CASE WHEN velocity_of.model_at <> 'current' THEN velocity_of.known_at END, velocity_of.segment, velocity_of.lead_source, velocity_of.owner) AS j
    WHERE velocity_of.period IS NULL OR j.entered_on <@ velocity_of.period
    GROUP BY j.definition ORDER BY 1;
END $$;
COMMENT ON FUNCTION velocity_of(text, timestamptz, timestamptz, text, daterange, text, text, text) IS
'How long subjects stayed in each stage, from the ledger. Arguments and errors: as funnel_of(). For those who see all.';

CREATE FUNCTION breaches_of(
    policy text, as_of timestamptz DEFAULT NULL, known_at timestamptz DEFAULT NULL, model_at text DEFAULT 'at event', period daterange DEFAULT NULL,
    segment text DEFAULT NULL, lead_source text DEFAULT NULL, owner text DEFAULT NULL)
RETURNS TABLE (definition sla, breaches breach_summary)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    agreed sla;
    process text;
    moment timestamptz;
BEGIN
    moment := _asked_model(model_at, period);
    agreed := _sla(policy, CASE model_at WHEN 'current' THEN _now() ELSE moment END, CASE WHEN model_at <> 'current' THEN known_at END);
    SELECT p.lifecycle INTO process FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id) WHERE p.policy = breaches_of.policy ORDER BY lower(i.recorded) DESC, lower(i.valid) DESC LIMIT 1;
    IF process IS NULL THEN
        RAISE EXCEPTION 'SLA "%" is of no lifecycle', policy
            USING ERRCODE = 'feature_not_supported', HINT = 'Read journeys() with sla_breach(): which subjects it is about is yours to say.';
    END IF;
    RETURN QUERY
    SELECT agreed, sla_breach(j.journey, agreed, coalesce(breaches_of.as_of, breaches_of.known_at, statement_timestamp()))
    FROM _judged(process, moment, breaches_of.model_at = 'at event', breaches_of.known_at, CASE WHEN breaches_of.model_at <> 'current' THEN breaches_of.known_at END,
                 breaches_of.segment, breaches_of.lead_source, breaches_of.owner) AS j
    WHERE breaches_of.period IS NULL OR j.entered_on <@ breaches_of.period;
END $$;
COMMENT ON FUNCTION breaches_of(text, timestamptz, timestamptz, text, daterange, text, text, text) IS
'Whether an agreed time was kept, from the ledger. policy: an SLA of a lifecycle. model_at: at event judges every clock by the version in force when it mattered; current and a time judge all by one. Other arguments and errors: as funnel_of(). For those who see all.';

CREATE FUNCTION _zone_of(lifecycle text, model_at timestamptz, known_at timestamptz)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT l.time_zone FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id)
    WHERE l.lifecycle = _zone_of.lifecycle AND i.valid @> model_at AND i.recorded @> coalesce(known_at, 'infinity');
END;
COMMENT ON FUNCTION _zone_of(text, timestamptz, timestamptz) IS 'The time zone in which the periods of a lifecycle are counted: in force at model_at, as on record at known_at (NULL: now).';

-- Metrics

CREATE FUNCTION _metric_value(
    metric text, period daterange, segment text, lead_source text, owner text, as_of timestamptz, known_at timestamptz, model_at timestamptz, at_event boolean, model_known_at timestamptz,
    OUT value numeric, OUT numerator bigint, OUT denominator bigint, OUT n bigint, OUT pending bigint, OUT low numeric, OUT high numeric,
    OUT metric_version bigint, OUT definition_fingerprint text)
RETURNS record
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    at constant timestamptz := coalesce(model_at, _now());
    m revacct_data.metric;
BEGIN
    SELECT d.* INTO m
    FROM revacct_data.metric AS d JOIN revacct_data.validity AS i USING (version_id)
    WHERE d.metric = _metric_value.metric AND i.valid @> at AND i.recorded @> coalesce(_metric_value.model_known_at, 'infinity');
    IF NOT FOUND THEN
        PERFORM _not_in_force('metric', object_key(_metric_value.metric), at);
    ELSIF m.measure <> 'count' OR m.basis NOT IN ('cohort', 'event') OR m.lifecycle IS NULL OR m.to_stage IS NULL OR (m.basis = 'cohort' AND m.at_stage IS NULL) THEN
        RAISE EXCEPTION 'metric "%" is not one that is computed from its definition', _metric_value.metric
            USING ERRCODE = 'feature_not_supported',
                  DETAIL = 'Computed are counts of a lifecycle: of the cohort that entered at_stage in the period, how many reached to_stage; and of those decided in the period, how many by entering to_stage.',
                  HINT = 'Define its lifecycle, at_stage, to_stage and basis.';
    END IF;
    SELECT v.version_no INTO metric_version FROM revacct_data.version AS v WHERE v.version_id = m.version_id;

    WITH judged AS MATERIALIZED (
        SELECT j.definition, j.subject_id, j.journey, j.time_zone
        FROM _judged(m.lifecycle, _metric_value.model_at, _metric_value.at_event, _metric_value.known_at, _metric_value.model_known_at, _metric_value.segment, _metric_value.lead_source, _metric_value.owner) AS j
    ), attempt AS (
        SELECT a.subject_id, a.attempt_no, a.outcome, a.ended_at, a.time_zone,
               bool_or(a.stage = m.at_stage) AS was_there, bool_or(a.stage = m.to_stage) AS came_there,
               -- who passed a stage unseen entered it when seen beyond it
               coalesce(min(a.entered_at) FILTER (WHERE a.stage = m.at_stage), min(a.entered_at) FILTER (WHERE a.stage_no > a.at_no)) AS entered_at,
               min(a.entered_at) FILTER (WHERE a.stage = m.to_stage) AS came_at
        FROM (SELECT j.subject_id, j.time_zone, f.*, min(f.stage_no) FILTER (WHERE f.stage = m.at_stage) OVER (PARTITION BY j.subject_id, f.attempt_no) AS at_no
              FROM judged AS j, funnel_attempts(j.journey, j.definition, _metric_value.as_of) AS f
              -- a period that is over stays as it was, whatever attempt counts later
              WHERE f.counted OR m.basis = 'event') AS a
        GROUP BY a.subject_id, a.attempt_no, a.outcome, a.ended_at, a.time_zone
    ), counted AS (
        SELECT a.subject_id, CASE WHEN m.basis = 'cohort' THEN (a.entered_at AT TIME ZONE a.time_zone)::date ELSE (a.ended_at AT TIME ZONE a.time_zone)::date END AS day,
               CASE WHEN m.basis = 'cohort' THEN a.came_there AND (m.time_window IS NULL OR a.came_at <= a.entered_at + m.time_window)
                    ELSE a.came_there AND a.outcome = 'won' END AS is_hit,
               m.basis = 'cohort' AND a.outcome = 'in_progress' AND NOT a.came_there
                   AND (m.time_window IS NULL OR a.entered_at + m.time_window > _metric_value.as_of) AS is_pending
        FROM attempt AS a
        WHERE (m.at_stage IS NULL OR a.was_there)
          AND (m.basis = 'cohort'
               OR a.outcome = ANY (CASE m.params ->> 'outcomes' WHEN 'narrow' THEN '{won, lost}'::text[] ELSE '{won, lost, no_decision}'::text[] END))
    )
    SELECT count(*) FILTER (WHERE c.is_hit), count(*), count(DISTINCT c.subject_id), count(*) FILTER (WHERE c.is_pending), (SELECT string_agg(DISTINCT fingerprint(j.definition), ' ') FROM judged AS j)
    INTO numerator, denominator, n, pending, definition_fingerprint
    FROM counted AS c WHERE _metric_value.period IS NULL OR c.day <@ _metric_value.period;
    IF denominator > 0 THEN
        value := round(numerator::numeric / denominator, 6);
        SELECT round(w.low::numeric, 6), round(w.high::numeric, 6) INTO low, high FROM wilson(numerator, denominator) AS w;
    END IF;
END $$;
COMMENT ON FUNCTION _metric_value(text, daterange, text, text, text, timestamptz, timestamptz, timestamptz, boolean, timestamptz) IS 'What metric_value() gives, with the time of the record of the model apart.';

CREATE FUNCTION metric_value(
    metric text, period daterange, segment text DEFAULT NULL, lead_source text DEFAULT NULL, owner text DEFAULT NULL, as_of timestamptz DEFAULT NULL,
    known_at timestamptz DEFAULT NULL, model_at text DEFAULT 'current',
    OUT value numeric, OUT numerator bigint, OUT denominator bigint, OUT n bigint, OUT pending bigint, OUT low numeric, OUT high numeric,
    OUT metric_version bigint, OUT definition_fingerprint text)
RETURNS record
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    moment timestamptz;
BEGIN
    moment := _asked_model(model_at, period);
    SELECT m.* INTO value, numerator, denominator, n, pending, low, high, metric_version, definition_fingerprint
    FROM _metric_value(metric, period, segment, lead_source, owner, coalesce(as_of, known_at, statement_timestamp()), known_at, moment, model_at = 'at event',
                       CASE WHEN model_at <> 'current' THEN known_at END) AS m;
END $$;
COMMENT ON FUNCTION metric_value(text, daterange, text, text, text, timestamptz, timestamptz, text) IS
'An agreed metric over a period, from its definition and the ledger. Of basis cohort: of the attempts that count for the lifecycle and entered at_stage in the period (those that passed it unseen, when they were seen beyond), the share that reached to_stage, within time_window if there is one; pending may still. Of basis event: of all attempts decided in the period that were at at_stage, the share won by entering to_stage; decided are won, lost and no_decision, or won and lost with the parameter {"outcomes": "narrow"}. value is numerator / denominator, NULL when there is nothing to divide by; n: how many subjects these are; low, high: Wilson limits, 95 %. period: days in the lifecycle''s time zone; NULL: all. Other arguments: as funnel_of(). For those who see all.
Errors: undefined_object (42704), feature_not_supported (0A000), invalid_parameter_value (22023), insufficient_privilege (42501). Source: docs/facts.md.';

CREATE FUNCTION restate(
    metric text, period daterange, model_a timestamptz, model_b timestamptz, as_of timestamptz DEFAULT NULL, known_at timestamptz DEFAULT NULL)
RETURNS TABLE (step_no int, cause text, change_no bigint, model_at timestamptz, value numeric, numerator bigint, denominator bigint, difference numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    moment constant timestamptz := coalesce(as_of, known_at, statement_timestamp());
    processes text[];
    piece record;
    now_is record;
    last_value numeric;
    last_prints text;
    later constant boolean := model_b >= model_a;
BEGIN
    PERFORM _asked_model('current', period);
    IF model_a IS NULL OR model_b IS NULL OR NOT isfinite(model_a) OR NOT isfinite(model_b) THEN
        RAISE EXCEPTION 'model_a and model_b are times' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT * INTO now_is FROM _metric_value(metric, period, NULL, NULL, NULL, moment, known_at, model_a, false, NULL);
    step_no := 1;
    cause := 'as stated under the model of model_a';
    model_at := model_a;
    value := now_is.value;
    numerator := now_is.numerator;
    denominator := now_is.denominator;
    RETURN NEXT;
    last_value := value;
    last_prints := concat_ws(' ', now_is.metric_version, now_is.definition_fingerprint);
    processes := ARRAY(SELECT DISTINCT d.lifecycle FROM revacct_data.metric AS d JOIN revacct_data.validity AS i USING (version_id)
                       WHERE d.metric = metric AND i.valid && tstzrange(least(model_a, model_b), greatest(model_a, model_b), '[]') AND upper_inf(i.recorded));
    -- one change after the other, in the order of their times, as they lie between the two
    FOR piece IN
        SELECT lower(i.valid) AS at, string_agg(DISTINCT c.rationale, '; ') AS rationale, max(c.change_id) AS change_no
        FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) JOIN revacct_data.change AS c USING (change_id)
        WHERE upper_inf(i.recorded)
          AND ((i.kind IN ('lifecycle', 'stage') AND (_key_names(i.key))[1] = ANY (processes)) OR (i.kind = 'metric' AND i.key = object_key(metric))
               OR (i.kind = 'calendar' AND i.key IN (SELECT object_key(l.calendar) FROM revacct_data.lifecycle AS l WHERE l.lifecycle = ANY (processes))))
          AND lower(i.valid) > least(model_a, model_b) AND lower(i.valid) <= greatest(model_a, model_b)
        GROUP BY lower(i.valid)
        ORDER BY CASE WHEN later THEN lower(i.valid) END, lower(i.valid) DESC
    LOOP
        -- back in time, a change is undone: what was in force just before it
        model_at := CASE WHEN later THEN piece.at ELSE greatest(model_b, piece.at - interval '1 microsecond') END;
        SELECT * INTO now_is FROM _metric_value(metric, period, NULL, NULL, NULL, moment, known_at, model_at, false, NULL);
        CONTINUE WHEN concat_ws(' ', now_is.metric_version, now_is.definition_fingerprint) = last_prints;
        step_no := step_no + 1;
        cause := CASE WHEN later THEN '' ELSE 'without: ' END || piece.rationale;
        change_no := piece.change_no;
        value := now_is.value;
        numerator := now_is.numerator;
        denominator := now_is.denominator;
        difference := value - last_value;
        RETURN NEXT;
        last_value := value;
        last_prints := concat_ws(' ', now_is.metric_version, now_is.definition_fingerprint);
    END LOOP;
    step_no := step_no + 1;
    cause := 'as restated under the model of model_b';
    change_no := NULL;
    model_at := model_b;
    SELECT m.value, m.numerator, m.denominator INTO value, numerator, denominator FROM _metric_value(metric, period, NULL, NULL, NULL, moment, known_at, model_b, false, NULL) AS m;
    difference := value - last_value;
    RETURN NEXT;
END $$;
COMMENT ON FUNCTION restate(text, daterange, timestamptz, timestamptz, timestamptz, timestamptz) IS
'The same metric over the same facts under the definitions in force at two times, as on record now, and what made the difference: a row for the first, one for each change between the two that made the definition another, with the difference it makes, and one for the second, whose difference is what remains (none). For those who see all.
Errors: as metric_value().';

-- Publishing

CREATE TABLE revacct_data.published (
    published_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    metric text NOT NULL,
    metric_version bigint NOT NULL,
    period daterange,
    segment text,
    lead_source text,
    owner text,
    value numeric(9, 6),
    numerator bigint NOT NULL,
    denominator bigint NOT NULL,
    n bigint NOT NULL,
    pending bigint NOT NULL,
    low numeric(9, 6),
    high numeric(9, 6),
    as_of timestamptz NOT NULL,
    known_at timestamptz NOT NULL,
    model_at timestamptz NOT NULL,
    definition_fingerprint text,
    note text,
    published_by text NOT NULL,
    published_at timestamptz NOT NULL,
    fingerprint text NOT NULL
);
COMMENT ON TABLE revacct_data.published IS 'Figures that were published, frozen with all it takes to compute them again.';
COMMENT ON SEQUENCE revacct_data.published_published_id_seq IS 'Numbers of published figures.';
COMMENT ON COLUMN revacct_data.published.published_id IS 'Its number.';
COMMENT ON COLUMN revacct_data.published.metric IS 'The metric.';
COMMENT ON COLUMN revacct_data.published.metric_version IS 'Its version.';
COMMENT ON COLUMN revacct_data.published.period IS 'The days it is about.';
COMMENT ON COLUMN revacct_data.published.segment IS 'The segment; NULL: all.';
COMMENT ON COLUMN revacct_data.published.lead_source IS 'The lead source; NULL: all.';
COMMENT ON COLUMN revacct_data.published.owner IS 'The owner; NULL: all.';
COMMENT ON COLUMN revacct_data.published.value IS 'What was published: numerator / denominator.';
COMMENT ON COLUMN revacct_data.published.numerator IS 'What was counted.';
COMMENT ON COLUMN revacct_data.published.denominator IS 'Over what.';
COMMENT ON COLUMN revacct_data.published.n IS 'Of how many subjects.';
COMMENT ON COLUMN revacct_data.published.pending IS 'How many were not decided.';
COMMENT ON COLUMN revacct_data.published.low IS 'The lower limit, 95 %.';
COMMENT ON COLUMN revacct_data.published.high IS 'The upper limit, 95 %.';
COMMENT ON COLUMN revacct_data.published.as_of IS 'Up to when the world was looked at.';
COMMENT ON COLUMN revacct_data.published.known_at IS 'Up to when the record counted, of facts and of definitions.';
COMMENT ON COLUMN revacct_data.published.model_at IS 'Whose definitions were meant.';
COMMENT ON COLUMN revacct_data.published.definition_fingerprint IS 'The fingerprint of the lifecycle.';
COMMENT ON COLUMN revacct_data.published.note IS 'What was written beside it.';
COMMENT ON COLUMN revacct_data.published.published_by IS 'The session''s user who published it.';
COMMENT ON COLUMN revacct_data.published.published_at IS 'When.';
COMMENT ON COLUMN revacct_data.published.fingerprint IS 'The fingerprint of the figure and of what it was computed from.';

CREATE FUNCTION _figure_fingerprint(p revacct_data.published)
RETURNS text
LANGUAGE SQL IMMUTABLE
BEGIN ATOMIC
    -- whatever the session's time zone and date style
    SELECT pg_catalog.left(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(pg_catalog.jsonb_build_array(
        p.metric, p.metric_version, pg_catalog.lower(p.period), pg_catalog.upper(p.period), p.segment, p.lead_source, p.owner, p.value::numeric(9, 6), p.numerator, p.denominator, p.n, p.pending, p.low, p.high,
        (extract(epoch FROM p.as_of) * 1000000)::bigint, (extract(epoch FROM p.known_at) * 1000000)::bigint, (extract(epoch FROM p.model_at) * 1000000)::bigint,
        p.definition_fingerprint)::text, 'UTF8')), 'hex'), 16);
END;
COMMENT ON FUNCTION _figure_fingerprint(revacct_data.published) IS 'The fingerprint of a figure and of what it was computed from.';

CREATE FUNCTION publish(
    metric text, period daterange, segment text DEFAULT NULL, lead_source text DEFAULT NULL, owner text DEFAULT NULL, as_of timestamptz DEFAULT NULL, note text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    -- what is recorded later than this cannot change the figure
    horizon constant timestamptz := _horizon();
    figure revacct_data.published;
    minimum int;
BEGIN
    PERFORM _demand_access('{steward, council}', 'publish figures'), _asked_model('current', period);
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'figures are published in read committed transactions'
            USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This one is %s.', current_setting('transaction_isolation')),
                  HINT = 'An older snapshot would not see what is on record already.';
    ELSIF as_of > horizon THEN
        RAISE EXCEPTION 'as_of is in the future' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The ledger is complete up to %s.', horizon);
    END IF;
    SELECT NULL::bigint, metric, m.metric_version, period, segment, lead_source, owner, m.value, m.numerator, m.denominator, m.n, m.pending, m.low, m.high, coalesce(as_of, horizon), horizon, horizon,
           m.definition_fingerprint, note, session_user, clock_timestamp(), ''
    INTO figure
    FROM _metric_value(metric, period, segment, lead_source, owner, coalesce(as_of, horizon), horizon, horizon, false, horizon) AS m;
    SELECT d.min_n INTO minimum FROM revacct_data.metric AS d JOIN revacct_data.version AS v USING (version_id) WHERE d.metric = metric AND v.version_no = figure.metric_version;
    -- a group too small to be open to everybody is not published either
    IF num_nonnulls(segment, lead_source, owner) > 0 THEN
        minimum := greatest(minimum, (SELECT coalesce(max(r.minimum_group), 5) FROM revacct_data.report_setting AS r));
    END IF;
    IF figure.n < minimum THEN
        RAISE EXCEPTION 'metric "%" is not shown for so few', metric
            USING ERRCODE = 'check_violation', DETAIL = format('There are %s; it takes %s.', figure.n, minimum);
    END IF;
    INSERT INTO revacct_data.published
        (metric, metric_version, period, segment, lead_source, owner, value, numerator, denominator, n, pending, low, high, as_of, known_at, model_at, definition_fingerprint, note,
         published_by, published_at, fingerprint)
    VALUES (figure.metric, figure.metric_version, figure.period, figure.segment, figure.lead_source, figure.owner, figure.value, figure.numerator, figure.denominator, figure.n, figure.pending,
            figure.low, figure.high, figure.as_of, figure.known_at, figure.model_at, figure.definition_fingerprint, figure.note, figure.published_by, figure.published_at,
            _figure_fingerprint(figure))
    RETURNING published_id INTO figure.published_id;
    RETURN figure.published_id;
END $$;
COMMENT ON FUNCTION publish(text, daterange, text, text, text, timestamptz, text) IS
'Computes a metric from all that is on record and freezes the figure, with all it takes to compute it again; returns its number. as_of: up to when the world is looked at; NULL: now. Loads that are under way are not in it. Published figures are never altered: publish it again. For stewards and the council.
Errors: as metric_value(); check_violation (23514) for fewer than the metric''s min_n; invalid_transaction_state (25000).';

CREATE FUNCTION verify_published()
RETURNS TABLE (published_no bigint, metric text, period_start date, period_end date, value numeric, recomputed_value numeric, identical_count int, distinct_values bigint, problem text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    figure revacct_data.published;
    again record;
    redone revacct_data.published;
BEGIN
    IF NOT _sees_all() THEN
        PERFORM _demand_access('{analyst, steward, council}', 'verify published figures');
    END IF;
    FOR figure IN SELECT p.* FROM revacct_data.published AS p ORDER BY p.published_id LOOP
        redone := figure;
        problem := NULL;
        BEGIN
            SELECT m.* INTO again
            FROM _metric_value(figure.metric, figure.period, figure.segment, figure.lead_source, figure.owner, figure.as_of, figure.known_at, figure.model_at, false, figure.known_at) AS m;
            redone.value := again.value;
            redone.numerator := again.numerator;
            redone.denominator := again.denominator;
            redone.n := again.n;
            redone.pending := again.pending;
            redone.low := again.low;
            redone.high := again.high;
            redone.metric_version := again.metric_version;
            redone.definition_fingerprint := again.definition_fingerprint;
            recomputed_value := again.value;
            IF _figure_fingerprint(figure) <> figure.fingerprint THEN
                problem := 'the figure is not what was published';
            ELSIF again.metric_version IS DISTINCT FROM figure.metric_version OR again.definition_fingerprint IS DISTINCT FROM figure.definition_fingerprint THEN
                problem := 'the definition is another one';
            ELSIF _figure_fingerprint(redone) <> figure.fingerprint THEN
                problem := 'the facts are others';
            END IF;
        EXCEPTION WHEN undefined_object OR feature_not_supported THEN
            recomputed_value := NULL;
            problem := 'it cannot be computed: ' || SQLERRM;
        END;
        published_no := figure.published_id;
        metric := figure.metric;
        period_start := lower(figure.period);
        period_end := upper(figure.period) - 1;
        value := figure.value;
        identical_count := CASE WHEN problem IS NULL THEN 1 ELSE 0 END;
        distinct_values := (SELECT count(DISTINCT coalesce(o.value::text, '')) FROM revacct_data.published AS o
                            WHERE o.metric = figure.metric AND (o.period, o.segment, o.lead_source, o.owner) IS NOT DISTINCT FROM (figure.period, figure.segment, figure.lead_source, figure.owner));
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION verify_published() IS
'Computes every published figure again, from the facts and definitions as they were on record then, a row each. identical_count: 1 when everything is the same, 0 if not, and problem says what is not. distinct_values: how many values are published for the same metric, period and group; it should be 1. The reporting-consistency rate is avg(identical_count). For those who see all.
Errors: insufficient_privilege (42501).';

CREATE VIEW published_figures AS
    SELECT p.published_id AS published_no, p.metric, p.metric_version, lower(p.period) AS period_start, upper(p.period) - 1 AS period_end,
           to_char(lower(p.period), 'YYYY-MM-DD') || ' to ' || to_char(upper(p.period) - 1, 'YYYY-MM-DD') AS period, p.segment, p.lead_source, p.owner,
           p.value, p.numerator, p.denominator, p.n, p.pending, p.low, p.high, p.as_of, p.known_at, p.model_at, p.definition_fingerprint, p.note, p.published_by, p.published_at, p.fingerprint
    FROM revacct_data.published AS p;
COMMENT ON VIEW published_figures IS 'Figures that were published, a row each, never altered. verify_published() computes them again.';
COMMENT ON COLUMN published_figures.published_no IS 'Its number.';
COMMENT ON COLUMN published_figures.metric IS 'The metric.';
COMMENT ON COLUMN published_figures.metric_version IS 'The version of the metric. Not to be summed.';
COMMENT ON COLUMN published_figures.period_start IS 'The first day it is about; NULL: from the beginning.';
COMMENT ON COLUMN published_figures.period_end IS 'The last day it is about; NULL: to the end.';
COMMENT ON COLUMN published_figures.period IS 'Both as text; NULL: it has no beginning or no end.';
COMMENT ON COLUMN published_figures.segment IS 'The segment; NULL: all.';
COMMENT ON COLUMN published_figures.lead_source IS 'The lead source; NULL: all.';
COMMENT ON COLUMN published_figures.owner IS 'The owner; NULL: all.';
COMMENT ON COLUMN published_figures.value IS 'What was published: numerator / denominator, 0 to 1; NULL when there is nothing to divide by. Not to be summed.';
COMMENT ON COLUMN published_figures.numerator IS 'What was counted.';
COMMENT ON COLUMN published_figures.denominator IS 'Over what.';
COMMENT ON COLUMN published_figures.n IS 'Of how many subjects.';
COMMENT ON COLUMN published_figures.pending IS 'How many were not decided.';
COMMENT ON COLUMN published_figures.low IS 'The lower limit, 95 %. Not to be summed.';
COMMENT ON COLUMN published_figures.high IS 'The upper limit, 95 %. Not to be summed.';
COMMENT ON COLUMN published_figures.as_of IS 'Up to when the world was looked at.';
COMMENT ON COLUMN published_figures.known_at IS 'Up to when the record counted, of facts and of definitions.';
COMMENT ON COLUMN published_figures.model_at IS 'Whose definitions were meant.';
COMMENT ON COLUMN published_figures.definition_fingerprint IS 'The fingerprint of the lifecycle.';
COMMENT ON COLUMN published_figures.note IS 'What was written beside it.';
COMMENT ON COLUMN published_figures.published_by IS 'Who published it.';
COMMENT ON COLUMN published_figures.published_at IS 'When.';
COMMENT ON COLUMN published_figures.fingerprint IS 'The fingerprint of the figure and of what it was computed from.';
