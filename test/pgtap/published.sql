-- Figures again: as it was known then, under the definitions in force then; restated; published, and verified whatever comes later.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
SELECT plan(180);

-- What is recorded when is the point, so nothing here is in one transaction; and roles are the server's.
DROP ROLE IF EXISTS published_ana, published_cleo, published_load, published_lab, published_bi;
CREATE ROLE published_ana; CREATE ROLE published_cleo; CREATE ROLE published_load; CREATE ROLE published_lab; CREATE ROLE published_bi;
\o /dev/null
SELECT grant_access(substring(r FROM '^\w+'), ('published_' || substring(r FROM '\w+$'))::regrole) FROM unnest('{steward ana, council cleo, loader load, analyst lab, reader bi}'::text[]) AS r;
CREATE FUNCTION agree(rationale text, what text, at timestamptz, until timestamptz DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    draft bigint;
BEGIN
    SET LOCAL SESSION AUTHORIZATION published_ana;
    draft := draft_change(rationale, effective_at => at, effective_until => until, retroactive => true);
    EXECUTE 'SELECT ' || what;
    PERFORM propose_change(draft);
    SET LOCAL SESSION AUTHORIZATION published_cleo;
    IF approve(draft) <> 'approved' THEN RAISE EXCEPTION 'the council does not suffice'; END IF;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
END $$;
SET SESSION AUTHORIZATION published_ana;
SELECT register_party('board', 'team');
RESET SESSION AUTHORIZATION;
SELECT agree('Begun', $$ define_lifecycle('p', 'Process', time_zone => 'Europe/Berlin'), define_stage('p', 'lead', 10), define_stage('p', 'qualified', 20), define_stage('p', 'won', 40, 'won'), define_stage('p', 'lost', 50, 'lost'), define_stage('p', 'none', 60, 'no_decision'),
    define_code('segment', 'small'), define_code('segment', 'mid'), define_code('segment', 'tiny'), define_code('lead_source', 'web'),
    define_sla('touch', start => '{lead}', stop => '{touch_out}', target => '30 days', lifecycle => 'p', meaning => 'x') $$, '2024-01-01');
SELECT agree('Proposals', $$ define_stage('p', 'proposal', 30, is_pipeline => true) $$, '2024-07-01');
SELECT agree('Ninety days, and faster', $$ define_lifecycle('p', 'Process', time_zone => 'Europe/Berlin', within => '90 days'), define_sla('touch', start => '{lead}', stop => '{touch_out}', target => '10 days', lifecycle => 'p', meaning => 'x') $$, '2025-01-01');
SELECT agree('Metrics', $$ define_metric('lead to won', 'x', basis => 'cohort', lifecycle => 'p', at_stage => 'lead', to_stage => 'won'), define_metric('in 60 days', 'x', basis => 'cohort', lifecycle => 'p', at_stage => 'lead', to_stage => 'won', time_window => '60 days'),
    define_metric('qualified to won', 'x', basis => 'cohort', lifecycle => 'p', at_stage => 'qualified', to_stage => 'won'),
    define_metric('win rate', 'x', basis => 'event', lifecycle => 'p', to_stage => 'won'), define_metric('win rate of qualified', 'x', basis => 'event', lifecycle => 'p', at_stage => 'qualified', to_stage => 'won'),
    define_metric('narrow win rate', 'x', basis => 'event', lifecycle => 'p', to_stage => 'won', params => '{"outcomes": "narrow"}'),
    define_metric('of many', 'x', basis => 'cohort', lifecycle => 'p', at_stage => 'lead', to_stage => 'won', min_n => 1000), define_metric('of some', 'x', basis => 'cohort', lifecycle => 'p', at_stage => 'lead', to_stage => 'won', min_n => 20),
    define_metric('in words', 'x', basis => 'snapshot', lifecycle => 'p', at_stage => 'lead', to_stage => 'won');
    SELECT assign('board', 'accountable', 'metric', m) FROM unnest('{lead to won, in 60 days, qualified to won, win rate, win rate of qualified, narrow win rate, of many, of some, in words}'::text[]) AS m $$, '2024-01-01');

-- Two hundred subjects, one every three days from October 2023 on, each with a way of its own: some never at lead, some pass a stage unseen.
CREATE TABLE subject AS SELECT i, 'S' || i AS s, '2023-10-01 22:30+00'::timestamptz + i * interval '3 days' AS since FROM generate_series(1, 200) AS i;
CREATE TABLE fact AS
SELECT s || '/' || no AS k, s, 'stage_entered' AS ev, since + no * (3 + i % 17) * interval '1 day' AS at, stage, NULL::text AS field, NULL::text AS code, NULL::text AS party
FROM subject, unnest(CASE i % 8 WHEN 0 THEN '{lead}' WHEN 1 THEN '{lead, qualified}' WHEN 2 THEN '{lead, qualified, won}' WHEN 3 THEN '{lead, proposal, won}' WHEN 4 THEN '{qualified, lost}' WHEN 5 THEN '{lead, none}' WHEN 6 THEN '{lead, won}' ELSE '{qualified, proposal, won}' END::text[]) WITH ORDINALITY AS w (stage, no)
UNION ALL SELECT s || '/seg', s, 'field_set', since, NULL, 'segment', ('{small, mid, tiny}'::text[])[i % 4], NULL FROM subject WHERE i % 4 > 0
UNION ALL SELECT s || '/src', s, 'field_set', since, NULL, 'lead_source', 'web', NULL FROM subject WHERE i % 3 = 0
UNION ALL SELECT s || '/own', s, 'assigned', since, NULL, NULL, NULL, ('{ann, bob}'::text[])[i % 3] FROM subject WHERE i % 3 > 0
UNION ALL SELECT s || '/touch', s, 'touch_out', since + (3 + i % 17 + i % 4 * 9) * interval '1 day', NULL, NULL, NULL, NULL FROM subject WHERE i % 5 > 0;
CREATE VIEW events AS SELECT 'lead'::text AS subject_kind, s AS subject_key, ev AS event, at AS occurred_at, k AS source_key, CASE WHEN stage IS NOT NULL THEN 'p' END AS lifecycle, stage, field, code, party FROM fact;
GRANT SELECT ON events TO published_load;
SET SESSION AUTHORIZATION published_load;
SELECT map_source('crm', events => 'events'), load('crm'), refresh(false);
RESET SESSION AUTHORIZATION;
\o
CREATE FUNCTION said(login text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    EXECUTE query INTO answer;
    RESET SESSION AUTHORIZATION;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- The same rows in the same order; summaries have no equality but that of their bytes.
CREATE FUNCTION same(a text, b text, what text) RETURNS text LANGUAGE SQL AS $$ SELECT results_eq(format('SELECT q::text FROM (%s) AS q', a), format('SELECT q::text FROM (%s) AS q', b), what) $$;
SELECT '2025-06-15 12:00+00' AS moment \gset
SELECT clock_timestamp() AS known_0 \gset

-- ---- whose definitions, and up to when ---------------------------------------------------------------------------------------

CREATE VIEW j AS SELECT s.i, s.s, s.since, (SELECT min(at) FROM fact AS f WHERE f.s = s.s AND stage IS NOT NULL) AS entered_at, n.journey FROM subject AS s JOIN revacct_data.subject AS u ON u.subject_key = s.s JOIN revacct_data.journey AS n USING (subject_id);
SELECT is((SELECT count(*) FROM j), 200::bigint, 'two hundred journeys');
SELECT same(format($$ SELECT valid_from, definition, funnel FROM funnel_of('p', as_of => %L) $$, :'moment'), format($$ SELECT NULL::timestamptz, lifecycle('p'), funnel_conversion(journey, lifecycle('p'), %L) FROM j $$, :'moment'), 'funnel_of: the current definition, one row');
SELECT same(format($$ SELECT definition, funnel FROM funnel_of('p', as_of => %L, model_at => %L) $$, :'moment', at), format($$ SELECT lifecycle('p', model_at => %1$L), funnel_conversion(journey, lifecycle('p', model_at => %1$L), %2$L) FROM j $$, at, :'moment'), 'funnel_of: the definition of ' || at)
FROM unnest('{2024-01-01 00:00+00, 2024-06-30 23:59:59+00, 2024-07-01 00:00+00, 2025-03-01 00:00+01}'::text[]) AS at;
SELECT is((SELECT count(DISTINCT funnel::text) FROM unnest('{2024-03-01, 2024-08-01, 2025-03-01}'::text[]) AS at, funnel_of('p', as_of => :'moment', model_at => at)), 3::bigint, 'of which there are three');
CREATE VIEW era AS
SELECT lower(e) AS valid_from, lifecycle('p', model_at => lower(e)) AS definition, CASE WHEN lower(e) = '2024-01-01' THEN tstzrange(NULL, upper(e)) ELSE e END AS during FROM unnest(ARRAY['[2024-01-01 00:00+00,2024-07-01 00:00+00)', '[2024-07-01 00:00+00,2025-01-01 00:00+00)', '[2025-01-01 00:00+00,)']::tstzrange[]) AS e;
SELECT same(format($$ SELECT * FROM funnel_of('p', as_of => %L, model_at => 'at event') $$, :'moment'),
    format($$ SELECT valid_from, definition, funnel_conversion(journey, definition, %L) FROM era JOIN j ON entered_at <@ during GROUP BY 1, 2 ORDER BY 1 $$, :'moment'), 'funnel_of: at event, a row for each version, those before the first in the first');
SELECT ok((SELECT count(*) > 5 FROM j WHERE entered_at < '2024-01-01'), 'of which there are some');
SELECT same(format($$ SELECT * FROM velocity_of('p', as_of => %L, model_at => 'at event') $$, :'moment'), format($$ SELECT valid_from, definition, stage_velocity(journey, definition, %L) FROM era JOIN j ON entered_at <@ during GROUP BY 1, 2 ORDER BY 1 $$, :'moment'), 'velocity_of: at event');
SELECT same(format($$ SELECT definition, velocity FROM velocity_of('p', as_of => %L) $$, :'moment'), format($$ SELECT lifecycle('p'), stage_velocity(journey, lifecycle('p'), %L) FROM j $$, :'moment'), 'velocity_of: the current definition');
SELECT same(format($$ SELECT * FROM breaches_of('touch', as_of => %L) $$, :'moment'), format($$ SELECT sla('touch'), sla_breach(journey, sla('touch'), %L) FROM j $$, :'moment'), 'breaches_of: every clock by the version in force when it mattered');
SELECT same(format($$ SELECT * FROM breaches_of('touch', as_of => %L, model_at => %L) $$, :'moment', at), format($$ SELECT sla('touch', model_at => %1$L), sla_breach(journey, sla('touch', model_at => %1$L), %2$L) FROM j $$, at, :'moment'), 'breaches_of: all by the version of ' || at) FROM unnest('{2024-03-01 00:00+00, 2025-03-01 00:00+00}'::text[]) AS at;
SELECT is((SELECT count(DISTINCT breaches::text) FROM unnest('{at event, current, 2024-03-01}'::text[]) AS at, breaches_of('touch', as_of => :'moment', model_at => at)), 3::bigint, 'which are three figures');
-- up to when
SELECT same(format($$ SELECT funnel FROM funnel_of('p', as_of => %L) $$, at), format($$ SELECT funnel_conversion(journey, lifecycle('p'), %L) FROM j $$, at), 'as of ' || at) FROM unnest('{2023-01-01 00:00+00, 2024-02-29 12:00+00, 2025-06-15 12:00+00}'::text[]) AS at;
-- which subjects
SELECT same(format($$ SELECT funnel FROM funnel_of('p', as_of => %L, %s) $$, :'moment', filter), format($$ SELECT funnel_conversion(journey, lifecycle('p'), %L) FROM j WHERE %s $$, :'moment', condition), 'funnel_of: ' || filter)
FROM (VALUES ($$period => '[2024-02-01,2024-03-01)'$$, $$(entered_at AT TIME ZONE 'Europe/Berlin')::date BETWEEN '2024-02-01' AND '2024-02-29'$$), ($$segment => 'mid'$$, 'i % 4 = 2'), ($$lead_source => 'web'$$, 'i % 3 = 0'), ($$owner => 'bob'$$, 'i % 3 = 2'),
    ($$period => '[2024-02-01,2024-09-01)', segment => 'small', owner => 'ann'$$, $$(entered_at AT TIME ZONE 'Europe/Berlin')::date BETWEEN '2024-02-01' AND '2024-08-31' AND i % 4 = 1 AND i % 3 = 1$$)) AS f (filter, condition);
SELECT is((SELECT count(*) FROM funnel_of('p', segment => 'no such')), 0::bigint, 'of a segment that there is not, nothing');
SELECT is(left(said('published_lab', 'SELECT * FROM ' || call), 5), expected, call)
FROM (VALUES ($$funnel_of('none')$$, '42704'), ($$funnel_of('p', model_at => 'whenever')$$, '22023'), ($$funnel_of('p', model_at => 'infinity')$$, '22023'), ($$funnel_of('p', model_at => NULL)$$, '22023'), ($$funnel_of('p', period => 'empty')$$, '22023'), ($$funnel_of('p', model_at => '2023-06-01')$$, '42704'),
    ($$breaches_of('none')$$, '42704'), ($$velocity_of('p', model_at => '')$$, '22023'), ($$metric_value('none', NULL)$$, '42704'), ($$metric_value('in words', NULL)$$, '0A000'), ($$metric_value('win rate', 'empty')$$, '22023'), ($$restate('win rate', NULL, NULL, now())$$, '22023'),
    ($$restate('win rate', NULL, '-infinity', now())$$, '22023')) AS c (call, expected);

-- ---- metrics against counting --------------------------------------------------------------------------------------------------

-- When each subject was where, from the facts; who passed a stage unseen was there when seen beyond it.
CREATE TABLE way AS
SELECT s.i, s.s, coalesce(min(at) FILTER (WHERE stage = 'lead'), min(at) FILTER (WHERE stage IN ('qualified', 'proposal', 'won'))) AS lead_at, coalesce(min(at) FILTER (WHERE stage = 'qualified'), min(at) FILTER (WHERE stage IN ('proposal', 'won'))) AS qualified_at,
       min(at) FILTER (WHERE stage = 'won') AS won_at, min(at) FILTER (WHERE stage IN ('won', 'lost', 'none')) AS ended_at, max(stage) FILTER (WHERE stage IN ('won', 'lost', 'none')) AS ending
FROM subject AS s JOIN fact AS f USING (s) WHERE f.at <= '2025-06-15 12:00+00' GROUP BY 1, 2;
CREATE TABLE month AS SELECT daterange(m::date, (m + interval '1 month')::date) AS period FROM generate_series('2023-10-01'::timestamp, '2025-07-01', '1 month') AS m UNION ALL VALUES ('[2024-01-01,2025-01-01)'::daterange), (NULL), ('[,2024-03-15)'), ('[2024-11-11,)');
CREATE FUNCTION in_period(at timestamptz, period daterange) RETURNS boolean LANGUAGE SQL AS $$ SELECT period IS NULL OR (at AT TIME ZONE 'Europe/Berlin')::date <@ period $$;
-- under the definition without a window of its own
CREATE TABLE brute AS
SELECT 'lead to won' AS metric, period, count(won_at) AS numerator, count(*) AS denominator FROM month JOIN way ON lead_at IS NOT NULL AND in_period(lead_at, period) GROUP BY 2
UNION ALL SELECT 'in 60 days', period, count(*) FILTER (WHERE won_at <= lead_at + interval '60 days'), count(*) FROM month JOIN way ON lead_at IS NOT NULL AND in_period(lead_at, period) GROUP BY 2
UNION ALL SELECT 'qualified to won', period, count(won_at), count(*) FROM month JOIN way ON qualified_at IS NOT NULL AND in_period(qualified_at, period) GROUP BY 2
UNION ALL SELECT 'win rate', period, count(won_at), count(*) FROM month JOIN way ON ended_at IS NOT NULL AND in_period(ended_at, period) GROUP BY 2
UNION ALL SELECT 'narrow win rate', period, count(won_at), count(*) FROM month JOIN way ON ending IN ('won', 'lost') AND in_period(ended_at, period) GROUP BY 2
UNION ALL SELECT 'win rate of qualified', period, count(won_at), count(*) FROM month JOIN way ON ended_at IS NOT NULL AND qualified_at IS NOT NULL AND in_period(ended_at, period) GROUP BY 2;
SELECT ok((SELECT count(DISTINCT (numerator, denominator)) > 8 FROM brute AS b WHERE b.metric = m), 'there is something to count: ' || m) FROM (SELECT DISTINCT metric FROM brute) AS b (m) ORDER BY m;
SELECT set_eq(format($$ SELECT period, v.numerator, v.denominator, v.value, v.n FROM month, metric_value(%L, period, as_of => %L, model_at => '2024-08-01 00:00+00') AS v $$, metric, :'moment'),
    format($$ SELECT period, coalesce(numerator, 0) AS a, coalesce(denominator, 0) AS b, round(numerator::numeric / nullif(denominator, 0), 6) AS c, coalesce(denominator, 0) AS d FROM month LEFT JOIN (SELECT * FROM brute WHERE metric = %L) AS b USING (period) WHERE period IS NOT NULL
              UNION ALL SELECT period, numerator, denominator, round(numerator::numeric / denominator, 6), denominator FROM brute WHERE metric = %1$L AND period IS NULL $$, metric), metric || ': month by month as counted from the facts')
FROM (SELECT DISTINCT metric FROM brute) AS m ORDER BY metric;
SELECT is((SELECT sum(numerator) || ' ' || sum(denominator) FROM month, metric_value('win rate', period, as_of => :'moment', model_at => '2024-08-01 00:00+00') WHERE isfinite(lower(period)) AND upper(period) - lower(period) < 32), (SELECT numerator || ' ' || denominator FROM metric_value('win rate', NULL, as_of => :'moment', model_at => '2024-08-01 00:00+00')),
    'the months add up to the whole');
SELECT same(format($$ SELECT low, high FROM metric_value('win rate', NULL, as_of => %L, model_at => '2024-08-01') $$, :'moment'), $$ SELECT round(w.low::numeric, 6), round(w.high::numeric, 6) FROM brute, wilson(numerator, denominator) AS w WHERE metric = 'win rate' AND period IS NULL $$, 'with Wilson limits');
SELECT is((SELECT pending FROM metric_value('lead to won', NULL, as_of => :'moment', model_at => '2024-08-01')), (SELECT count(*) FROM way WHERE lead_at IS NOT NULL AND ended_at IS NULL), 'pending may still');
SELECT is((SELECT pending FROM metric_value('in 60 days', NULL, as_of => :'moment', model_at => '2024-08-01')), (SELECT count(*) FROM way WHERE lead_at > '2025-06-15 12:00+00'::timestamptz - interval '60 days' AND ended_at IS NULL), 'within the window');
SELECT is((SELECT numerator || '/' || denominator FROM metric_value('lead to won', '[2024-01-01,2025-01-01)', segment => 'mid', owner => 'bob', as_of => :'moment', model_at => '2024-08-01')),
    (SELECT count(won_at) || '/' || count(*) FROM way WHERE in_period(lead_at, '[2024-01-01,2025-01-01)') AND i % 4 = 2 AND i % 3 = 2), 'of one segment and owner');
SELECT same($$ SELECT value IS NULL, numerator, denominator, low IS NULL FROM metric_value('win rate', '[2010-01-01,2010-02-01)') $$, $$ VALUES (true, 0::bigint, 0::bigint, true) $$, 'nothing to divide by: no value');

-- ---- published ------------------------------------------------------------------------------------------------------------------

SELECT is(left(said(w, $$ SELECT publish('win rate', NULL) $$), 5), '42501', w || ' does not publish') FROM unnest('{published_lab, published_bi, published_load}'::text[]) AS w;
SELECT is(said('published_ana', $$ SELECT publish('of many', NULL) $$), '23514 metric "of many" is not shown for so few', 'a figure of fewer than min_n is refused');
SELECT is(said('published_ana', $$ SELECT publish('of some', '[2024-02-01,2024-03-01)') $$), '23514 metric "of some" is not shown for so few', 'in a period, too');
SELECT is(left(said('published_ana', $$ SELECT publish('win rate', NULL, as_of => now() + interval '1 day') $$), 5), '22023', 'no figure of the future');
SELECT is(left(said('published_ana', $$ SELECT publish('none', NULL) $$), 5), '42704', 'nor of a metric that there is not');
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT is(left(said('published_ana', $$ SELECT publish('win rate', NULL) $$), 5), '25000', 'nor from an old snapshot');
ROLLBACK;
SELECT is((SELECT count(*) FROM published_figures), 0::bigint, 'nothing was published yet');
SET SESSION AUTHORIZATION published_ana;
SELECT is(publish(m, p, segment => s, as_of => '2025-06-15 12:00+00', note => 'first'), n, format('published: %s, %s, %s', m, p, s)) FROM (VALUES (1::bigint, 'lead to won', '[2024-01-01,2024-07-01)'::daterange, NULL), (2, 'win rate', '[2024-07-01,2025-01-01)', NULL), (3, 'in 60 days', NULL, NULL), (4, 'lead to won', NULL, 'small'), (5, 'lead to won', NULL, 'tiny'),
    (6, 'win rate', '[2010-01-01,2010-02-01)', NULL), (7, 'of some', '[2024-01-01,2025-01-01)', NULL)) AS p (n, m, p, s) ORDER BY n;
RESET SESSION AUTHORIZATION;
SELECT same($$ SELECT p.published_no, p.value, p.numerator, p.denominator, p.n, p.pending, p.low, p.high, p.metric_version, p.definition_fingerprint FROM published_figures AS p ORDER BY 1 $$,
    $$ SELECT p.published_no, v.* FROM published_figures AS p, metric_value(p.metric, daterange(p.period_start, p.period_end, '[]'), segment => p.segment, as_of => p.as_of) AS v ORDER BY 1 $$, 'they are what metric_value() gives');
SELECT same($$ SELECT metric, period_start, period_end, as_of, published_by, note FROM published_figures WHERE published_no IN (2, 3) ORDER BY 1 $$, $$ VALUES ('in 60 days', NULL::date, NULL::date, '2025-06-15 12:00+00'::timestamptz, 'published_ana', 'first'), ('win rate', '2024-07-01', '2024-12-31', '2025-06-15 12:00+00', 'published_ana', 'first') $$, 'with all it takes to compute them again');
SELECT ok((SELECT bool_and(known_at <= published_at AND known_at > :'known_0' AND model_at = known_at) FROM published_figures), 'known at the time of publishing');
-- what is wrong with the figures of everybody, and with those of a segment
CREATE FUNCTION verdict(segments boolean DEFAULT false) RETURNS text LANGUAGE SQL AS $$
    SELECT string_agg(v.published_no || ': ' || coalesce(problem, 'the same'), ', ' ORDER BY v.published_no) FROM verify_published() AS v JOIN published_figures AS p USING (published_no) WHERE (identical_count = 0 OR problem IS NOT NULL) AND (p.segment IS NOT NULL) = segments $$;
SELECT is(concat(verdict(), verdict(true)), '', 'verified at once: all the same');
SELECT same($$ SELECT published_no, identical_count, distinct_values FROM verify_published() $$, $$ SELECT generate_series(1, 7)::bigint, 1, 1::bigint $$, 'a row each');

-- ---- as known then -----------------------------------------------------------------------------------------------------------------

-- What is asked after each step, as known then: by the functions that take known_at, under definitions in force then.
CREATE FUNCTION breaches(known_at timestamptz) RETURNS TABLE (name text, figure text) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY SELECT 'breaches ' || m, md5(string_agg(f::text, ',')) FROM unnest('{at event, 2025-03-01 00:00+00}'::text[]) AS m, breaches_of('touch', '2025-06-15 12:00+00', known_at, m) AS f GROUP BY m;
EXCEPTION WHEN undefined_object THEN
    RETURN QUERY SELECT 'breaches', SQLERRM;
END $$;
CREATE FUNCTION figures(known_at timestamptz) RETURNS TABLE (name text, figure text) LANGUAGE SQL AS $$
    SELECT 'funnel ' || coalesce(g, '') || m, md5(string_agg(f::text, ',' ORDER BY f::text)) FROM unnest('{at event, 2024-03-01 00:00+00, 2025-03-01 00:00+00}'::text[]) AS m, unnest('{small, mid, tiny, NULL}'::text[]) AS g, funnel_of('p', '2025-06-15 12:00+00', known_at, m, segment => g) AS f GROUP BY g, m
    UNION ALL SELECT 'velocity ' || m, md5(string_agg(f::text, ',' ORDER BY f::text)) FROM unnest('{at event, 2025-03-01 00:00+00}'::text[]) AS m, velocity_of('p', '2025-06-15 12:00+00', known_at, m) AS f GROUP BY m
    UNION ALL SELECT name, figure FROM breaches(known_at)
    UNION ALL SELECT m || ' ' || a, v::text FROM unnest('{lead to won, win rate, in 60 days}'::text[]) AS m, unnest('{2024-03-01 00:00+00, 2025-03-01 00:00+00}'::text[]) AS a, metric_value(m, NULL, as_of => '2025-06-15 12:00+00', known_at => known_at, model_at => a) AS v $$;
CREATE TABLE snapshot (step int, what text, known_at timestamptz, name text, figure text);
CREATE FUNCTION step(no int, what text) RETURNS bigint LANGUAGE SQL AS $$
    WITH t AS MATERIALIZED (SELECT clock_timestamp() AS known_at), s AS (INSERT INTO snapshot SELECT step.no, step.what, t.known_at, f.* FROM t, figures(t.known_at) AS f RETURNING 1) SELECT count(*) FROM s $$;
SELECT ok(step(0, 'as loaded') > 15, 'figures are taken');
SELECT same(format($$ SELECT funnel FROM funnel_of('p', %1$L, known_at => %2$L) $$, :'moment', :'known_0'), format($$ SELECT funnel FROM funnel_of('p', %1$L) $$, :'moment'), 'the ledger folded again gives what the journeys give');
\o /dev/null
SET SESSION AUTHORIZATION published_load;
SELECT record_event('crm', 'lead', 'S48', 'stage_entered', '2024-04-01', lifecycle => 'p', stage => 'won'), record_event('crm', 'lead', 'S12', 'touch_out', '2023-11-20'), record_event('crm', 'lead', 'S1000', 'stage_entered', '2024-05-05', lifecycle => 'p', stage => 'lead');
RESET SESSION AUTHORIZATION;
SELECT step(1, 'events that came late');
SET SESSION AUTHORIZATION published_load;
SELECT record_event('crm', 'lead', 'S10', 'stage_entered', '2024-02-02', lifecycle => 'p', stage => 'lost', corrects => 'S10/3'), record_event('crm', 'lead', 'S26', 'retracted', '2024-02-02', corrects => 'S26/3', source_key => 'S26/no'), record_event('crm', 'lead', 'S1', 'field_set', '2024-02-02', field => 'segment', code => 'mid', corrects => 'S1/seg');
RESET SESSION AUTHORIZATION;
SELECT step(2, 'corrections');
SET SESSION AUTHORIZATION published_load;
SELECT record_link('crm', 'lead', 'S16', 'same_as', 'lead', 'S18'), record_link('crm', 'lead', 'S24', 'same_as', 'lead', 'S1000', source_key => 'one');
RESET SESSION AUTHORIZATION;
SELECT step(3, 'who is the same as whom');
SELECT agree('Seven days then', $$ define_lifecycle('p', 'Process', time_zone => 'Europe/Berlin', within => '7 days'), define_sla('touch', start => '{lead}', stop => '{touch_out}', target => '5 days', lifecycle => 'p', meaning => 'x') $$, '2024-02-01', '2024-06-01');
SELECT step(4, 'a change for what was');
SET SESSION AUTHORIZATION published_load;
SELECT record_link('crm', 'lead', 'S24', 'same_as', 'lead', 'S32', source_key => 'one'), record_event('crm', 'lead', 'S26', 'stage_entered', '2024-01-10', lifecycle => 'p', stage => 'won', corrects => 'S26/no');
RESET SESSION AUTHORIZATION;
SELECT step(5, 'links and corrections said otherwise');
SELECT agree('No more tiny', $$ retire('code', 'segment/tiny', successor => 'segment/small') $$, '2025-02-01', 'infinity');
SELECT step(6, 'a code that is another now');
SELECT agree('No more proposals', $$ retire('stage', 'p/proposal', successor => 'p/qualified') $$, '2025-02-01');
SELECT step(7, 'a stage that is no more');
SELECT agree('New names', $$ define_code('segment', 'mid', 'Midsize'), define_stage('p', 'qualified', 20, meaning => 'Better understood') $$, '2024-03-01', '2024-04-01');
SELECT step(8, 'other words');
SET SESSION AUTHORIZATION published_ana;
SELECT refresh(false);
SELECT publish('lead to won', '[2024-01-01,2024-07-01)', as_of => '2025-06-15 12:00+00', note => 'again'), publish('win rate', '[2024-07-01,2025-01-01)', note => 'again');
RESET SESSION AUTHORIZATION;
\o
SELECT isnt_empty(format($$ SELECT FROM snapshot AS a JOIN snapshot AS b USING (name) WHERE b.step = %1$s AND a.step = %1$s - 1 AND a.figure IS DISTINCT FROM b.figure $$, step), what || ': figures are others then') FROM (SELECT DISTINCT step, what FROM snapshot WHERE step BETWEEN 1 AND 5) AS s ORDER BY step;
SELECT is_empty(format($$ SELECT s.name, s.figure, f.figure FROM snapshot AS s FULL JOIN figures(%L) AS f USING (name) WHERE s.step = %s AND s.figure IS DISTINCT FROM f.figure $$, known_at, step), what || ': as known then, every figure is what it was') FROM (SELECT DISTINCT step, what, known_at FROM snapshot) AS s ORDER BY step;
-- each by itself, as known before and after
CREATE FUNCTION won(since_step int, filter text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format($q$ SELECT sum(s.entered) || ' ' || sum(s.converted) FROM funnel_of('p', '2025-06-15 12:00+00', known_at => %L, model_at => '2024-08-01 00:00+00' %s) AS f, stages(f.funnel) AS s WHERE s.stage = 'lead' $q$, (SELECT max(known_at) FROM snapshot WHERE step = since_step), filter) INTO answer;
    RETURN answer;
END $$;
SELECT is(split_part(won(0), ' ', 1)::int, (SELECT count(*)::int FROM way WHERE lead_at IS NOT NULL OR i % 8 = 4), 'as loaded: everybody entered');
SELECT is(split_part(won(1), ' ', 1)::int - split_part(won(0), ' ', 1)::int, 1, 'one who was heard of later is one more');
SELECT is(split_part(won(1), ' ', 2)::int - split_part(won(0), ' ', 2)::int, 1, 'a win that was told later is one more');
SELECT is(split_part(won(3), ' ', 1)::int - split_part(won(2), ' ', 1)::int, -2, 'twice two who are the same are two less');
SELECT is(split_part(won(5), ' ', 1)::int - split_part(won(3), ' ', 1)::int, 0, 'and as many when it is said of another');
SELECT is((SELECT count(DISTINCT (metric_value('lead to won', NULL, as_of => :'moment', known_at => known_at, model_at => '2024-03-01 00:00+00')).numerator) FROM snapshot WHERE step IN (3, 4)), 2::bigint, 'a change for what was counts once it is on record, not before');
SELECT is((SELECT count(DISTINCT (metric_value('lead to won', NULL, as_of => :'moment', known_at => known_at, model_at => '2024-08-01 00:00+00')).numerator) FROM snapshot WHERE step IN (3, 4)), 1::bigint, 'and only for its time');
-- known_at without as_of: the world up to then
SELECT same(format($$ SELECT funnel FROM funnel_of('p', known_at => %L) $$, known_at), format($$ SELECT funnel FROM funnel_of('p', as_of => %1$L, known_at => %1$L) $$, known_at), 'without as_of, up to known_at') FROM snapshot WHERE step = 2 LIMIT 1;
SELECT is((SELECT count(*) FROM journeys('2000-01-01')), 0::bigint, 'before anything was recorded there was nothing');
SELECT set_eq($$ SELECT subject_id, journey FROM journeys(clock_timestamp()) $$, $$ SELECT subject_id, journey FROM journeys() $$, 'as known now is as of the last refresh');

-- ---- verified ------------------------------------------------------------------------------------------------------------------------

SELECT is(verdict(), NULL, 'after all that, every figure that was published is the same');
SELECT is(verdict(true), NULL, 'and those of segments');
SELECT results_eq($$ SELECT published_no, distinct_values FROM verify_published() WHERE metric IN ('lead to won', 'win rate') ORDER BY 1 $$, $$ VALUES (1::bigint, 2::bigint), (2, (SELECT count(DISTINCT value) FROM published_figures WHERE published_no IN (2, 9))), (4, 1), (5, 1), (6, 1), (8, 2), (9, (SELECT count(DISTINCT value) FROM published_figures WHERE published_no IN (2, 9))) $$, 'but two values are published of the same');
SELECT is(left(said('published_' || w, 'SELECT count(*) FROM verify_published()'), 5), e, 'verify_published() for ' || w) FROM (VALUES ('lab', '9'), ('ana', '9'), ('cleo', '9'), ('bi', '42501'), ('load', '42501')) AS t (w, e);
SELECT is(said('published_bi', 'SELECT count(*) FROM published_figures'), '9', 'readers read what was published');
-- whatever the session
CREATE FUNCTION verdict_in(zone text, style text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('timezone', zone, true), set_config('datestyle', style, true);
    RETURN verdict();
END $$;
SELECT is(verdict_in(zone, style), NULL, format('verified in %s, %s', zone, style)) FROM unnest('{Asia/Kolkata, America/Chicago, Asia/Kathmandu}'::text[]) AS zone, unnest(ARRAY['SQL, DMY', 'German', 'Postgres, MDY']) AS style;
SET timezone = 'Asia/Kolkata'; SET datestyle = 'SQL, DMY';
SELECT said('published_ana', $$ SELECT publish('lead to won', '[2024-01-01,2024-07-01)', as_of => '2025-06-15 12:00+00', note => 'elsewhere') $$) AS elsewhere \gset
SET timezone = 'UTC'; SET datestyle = 'ISO, MDY';
SELECT is(:'elsewhere'::text, '10', 'published in another session');
SELECT is(verdict(), NULL, 'it verifies here');
SELECT is((SELECT count(DISTINCT (value, numerator, metric_version, definition_fingerprint)) FROM published_figures WHERE published_no IN (8, 10)), 1::bigint, 'and is the same figure');

-- What was tampered with, by somebody who can
CREATE FUNCTION tampered(what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    found text;
BEGIN
    BEGIN
        SET LOCAL session_replication_role = replica;
        EXECUTE what;
        SET LOCAL session_replication_role = origin;
        found := verdict();
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN found;
    END;
END $$;
SELECT alike(tampered(what), expected, 'found: ' || what)
FROM (VALUES (1, $$ UPDATE revacct_data.event SET mark = (SELECT number FROM revacct_data.numbering WHERE key = 'p/won') WHERE source_key = 'S41/2' $$, '%1: the facts are others%'),
             (2, $$ UPDATE revacct_data.event SET occurred_at = occurred_at + interval '1 year' WHERE source_key = 'S40/1' $$, '%1: the facts are others%'),
             (3, $$ DELETE FROM revacct_data.event WHERE source_key = 'S40/1' $$, '%1: the facts are others%'),
             (4, $$ UPDATE revacct_data.event SET recorded_at = now() WHERE source_key = 'S40/1' $$, '%1: the facts are others%'),
             (5, $$ UPDATE revacct_data.correction SET recorded_at = '2020-01-01' WHERE source_key = 'S26/3' $$, '%the facts are others%'),
             (6, $$ INSERT INTO revacct_data.event SELECT subject_id, '2024-01-05', '2024-01-05', load_id, value, seq, (SELECT number FROM revacct_data.numbering WHERE key = 'p/won'), source_no, 'forged' FROM revacct_data.event WHERE source_key = 'S41/1' $$, '%the facts are others%'),
             (7, $$ UPDATE revacct_data.subject_link SET recorded = tstzrange('2020-01-01', NULL) WHERE role = 'same_as' AND source_key <> 'one' $$, '%the facts are others%'),
             (8, $$ UPDATE revacct_data.published SET value = 0.9 WHERE published_id = 1 $$, '1: the figure is not what was published'),
             (9, $$ UPDATE revacct_data.published SET numerator = numerator + 1 WHERE published_id = 1; UPDATE revacct_data.published AS p SET fingerprint = _figure_fingerprint(p) WHERE published_id = 1 $$, '1: the facts are others'),
             (10, $$ UPDATE revacct_data.published SET as_of = as_of - interval '1 year' WHERE published_id = 1 $$, '1: the figure is not what was published'),
             (11, $$ UPDATE revacct_data.published SET metric = 'narrow win rate' WHERE published_id = 2 $$, '2: %'),
             (12, $$ UPDATE revacct_data.published SET metric = 'of nothing' WHERE published_id = 2 $$, '2: it cannot be computed: %'),
             (13, $$ UPDATE revacct_data.stage SET category = 'open' WHERE stage = 'won' $$, '%the definition is another one%'),
             (14, $$ UPDATE revacct_data.metric SET to_stage = 'qualified' WHERE metric = 'lead to won' $$, '%1: the facts are others%'),
             (15, $$ DELETE FROM revacct_data.validity WHERE kind = 'stage' AND key = 'p/qualified' $$, '%1: the definition is another one%')) AS t (n, what, expected) ORDER BY n;
SELECT is(verdict(), NULL, 'and without that, all is well again');
SELECT is(left(said(w, what), 5), e, w || ': ' || what) FROM unnest(ARRAY['UPDATE revacct_data.published SET value = 1', 'DELETE FROM revacct_data.published', 'INSERT INTO revacct_data.published DEFAULT VALUES', 'TRUNCATE revacct_data.published', 'UPDATE revacct_data.event SET mark = 1', 'DELETE FROM revacct_data.event']) AS what,
    (VALUES ('postgres', '55000'), ('published_ana', '42501'), ('published_cleo', '42501'), ('published_load', '42501')) AS t (w, e);

-- ---- restated -------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION restated(metric text, a timestamptz, b timestamptz, as_of timestamptz DEFAULT '2025-06-15 12:00+00') RETURNS TABLE (steps int, changes text, value_a numeric, value_b numeric, total numeric, remainder numeric) LANGUAGE SQL AS $$
    SELECT count(*)::int, string_agg(cause, ' | ' ORDER BY step_no) FILTER (WHERE change_no IS NOT NULL), (array_agg(value ORDER BY step_no))[1], (array_agg(value ORDER BY step_no DESC))[1], sum(difference), (array_agg(difference ORDER BY step_no DESC))[1] FROM restate(metric, NULL, a, b, as_of) $$;
CREATE TABLE span AS SELECT m, a, b FROM unnest('{lead to won, win rate}'::text[]) AS m, unnest('{2024-01-15 00:00+00, 2024-02-15 00:00+00, 2024-06-15 00:00+00, 2024-08-01 00:00+00, 2025-01-15 00:00+00, 2025-03-01 00:00+00}'::timestamptz[]) AS a, unnest('{2024-01-15 00:00+00, 2024-02-15 00:00+00, 2024-06-15 00:00+00, 2024-08-01 00:00+00, 2025-01-15 00:00+00, 2025-03-01 00:00+00}'::timestamptz[]) AS b;
CREATE TABLE restatement AS SELECT s.*, r.*, va.value AS by_a, vb.value AS by_b FROM span AS s, restated(m, a, b) AS r, metric_value(m, NULL, as_of => '2025-06-15 12:00+00', model_at => a::text) AS va, metric_value(m, NULL, as_of => '2025-06-15 12:00+00', model_at => b::text) AS vb;
SELECT is_empty($$ SELECT m, a, b, value_a, by_a, value_b, by_b FROM restatement WHERE (value_a, value_b) IS DISTINCT FROM (by_a, by_b) $$, 'restate: from what metric_value() gives under the one, to what it gives under the other');
SELECT is_empty($$ SELECT m, a, b, total, value_b - value_a FROM restatement WHERE total IS DISTINCT FROM value_b - value_a $$, 'the differences add up');
SELECT is_empty($$ SELECT m, a, b, changes, remainder FROM restatement WHERE remainder <> 0 $$, 'and no difference is without a change that made it');
SELECT is_empty($$ SELECT m, a, b, steps FROM restatement WHERE a = b AND (steps, total) <> (2, 0) $$, 'none between a time and itself');
SELECT ok((SELECT bool_or(value_a <> value_b) AND max(steps) >= 5 FROM restatement), 'there are differences, by several changes');
SELECT is_empty($$ SELECT m, a, b, changes FROM restatement AS r WHERE a < b AND steps <> (SELECT steps FROM restatement AS o WHERE (o.m, o.a, o.b) = (r.m, r.b, r.a)) $$, 'back in time there are as many steps');
SELECT is((SELECT changes FROM restatement WHERE m = 'lead to won' AND a = '2024-06-15 00:00+00' AND b = '2025-03-01 00:00+00'), 'Proposals | Ninety days, and faster | No more proposals', 'one after the other');
SELECT is((SELECT changes FROM restatement WHERE m = 'lead to won' AND b = '2024-06-15 00:00+00' AND a = '2025-03-01 00:00+00'), 'without: No more proposals | without: Ninety days, and faster | without: Proposals', 'and back');
SELECT is((SELECT changes FROM restatement WHERE m = 'lead to won' AND a = '2024-01-15 00:00+00' AND b = '2024-02-15 00:00+00'), 'Seven days then', 'a change for some time');
SELECT matches((SELECT changes FROM restatement WHERE m = 'lead to won' AND a = '2024-02-15 00:00+00' AND b = '2024-06-15 00:00+00'), '^(Begun|.*Seven days then)$', 'whose end makes a difference too');
SET timezone = 'Asia/Kolkata'; SET datestyle = 'SQL, DMY';
SELECT same($$ SELECT steps, changes, value_a, value_b FROM restated('lead to won', '2024-06-30 22:00+00', '2024-07-01 01:00+00') $$, $$ SELECT 3, 'Proposals'::text, v.value, w.value FROM metric_value('lead to won', NULL, as_of => '2025-06-15 12:00+00', model_at => '2024-06-01 00:00+00') AS v, metric_value('lead to won', NULL, as_of => '2025-06-15 12:00+00', model_at => '2024-08-01 00:00+00') AS w $$, 'whatever the zone and date style of the session');
SET timezone = 'UTC'; SET datestyle = 'ISO, MDY';

-- ---- what is no more ---------------------------------------------------------------------------------------------------------------------

\o /dev/null
SELECT agree('It is over', $$ retire('policy', 'touch'), retire('lifecycle', 'p');
    SELECT retire('metric', m) FROM unnest('{lead to won, in 60 days, qualified to won, win rate, win rate of qualified, narrow win rate, of many, of some, in words}'::text[]) AS m $$, '2025-10-01', 'infinity');
\o
SELECT is(left(said('published_lab', $$ SELECT * FROM funnel_of('p') $$), 5), '42704', 'a process that is over has no current definition');
SELECT is(verdict(), NULL, 'what was published of it verifies');
SELECT is_empty(format($$ SELECT s.name, s.figure, f.figure FROM snapshot AS s FULL JOIN figures(%L) AS f USING (name) WHERE s.step = %s AND s.figure IS DISTINCT FROM f.figure AND s.name NOT LIKE 'breaches%%' $$, known_at, step), what || ': and figures are as known then') FROM (SELECT DISTINCT step, what, known_at FROM snapshot WHERE step IN (0, 5)) AS s ORDER BY step;

SELECT is_empty(format($$ SELECT s.name, s.figure, f.figure FROM snapshot AS s LEFT JOIN breaches(%L) AS f USING (name) WHERE s.step = %s AND s.name LIKE 'breaches%%' AND s.figure IS DISTINCT FROM f.figure $$, known_at, step), what || ': and breaches') FROM (SELECT DISTINCT step, what, known_at FROM snapshot WHERE step IN (0, 5)) AS s ORDER BY step;

SELECT * FROM finish();
