-- What PostgreSQL may do with the functions behind the aggregates, and what anybody may who calls them directly.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(94);
\ir shared/states.sql

CREATE TEMP TABLE before AS
SELECT kind, half, md5(journey_send(j)) || md5(j::text) AS j, md5(p::text) AS p, md5(f::text) AS f, md5(v::text) AS v, md5(b::text) AS b, pg_column_size(j) AS sj, pg_column_size(p) AS sp, pg_column_size(f) AS sf, pg_column_size(v) AS sv, pg_column_size(b) AS sb FROM states;
CREATE TEMP VIEW now_ AS
SELECT kind, half, md5(journey_send(j)) || md5(j::text) AS j, md5(p::text) AS p, md5(f::text) AS f, md5(v::text) AS v, md5(b::text) AS b, pg_column_size(j) AS sj, pg_column_size(p) AS sp, pg_column_size(f) AS sf, pg_column_size(v) AS sv, pg_column_size(b) AS sb FROM states;

SELECT ok(least(met(b), breached(b), running(b), paused(b), cancelled(b), at_risk(b), overdue(b)) > 0 AND (SELECT bool_and(started > 0) AND count(*) = 2 FROM policies(b)) AND (SELECT bool_and(sum_seconds > 0) AND count(*) = 3 FROM phases(b)),
    'clocks of every status, policy and phase are among them') FROM truth WHERE kind = 'clocks';

-- NULLs
SELECT is(_journey_combine(NULL, NULL), NULL, 'NULL and NULL: journey');
SELECT is(_journey_add_journey(NULL, NULL), NULL, 'NULL and NULL: rollup of journeys');
SELECT is(_pack_combine(NULL, NULL)::text, NULL, 'NULL and NULL: pack');
SELECT is(_pack_add_pack(NULL, NULL)::text, NULL, 'NULL and NULL: rollup of packs');
SELECT is(_funnel_add_summary(NULL, NULL)::text, NULL, 'NULL and NULL: funnel');
SELECT is(_velocity_add_summary(NULL, NULL)::text, NULL, 'NULL and NULL: velocity');
SELECT is(_breach_add_summary(NULL, NULL)::text, NULL, 'NULL and NULL: breaches');
SELECT is(_journey_add_mark(NULL, NULL, NULL)::text, NULL, 'NULL and nothing: mark');
SELECT is(_pack_add_event(NULL, 1, NULL, now())::text, NULL, 'NULL and nothing: event');
SELECT is(_funnel_add_journey(NULL, NULL, NULL, NULL)::text, NULL, 'NULL and nothing: funnel');
SELECT is(_velocity_add_journey(NULL, NULL, NULL, NULL)::text, NULL, 'NULL and nothing: velocity');
SELECT is(_breach_add_journey(NULL, NULL, NULL, NULL)::text, NULL, 'NULL and nothing: breaches');
SELECT is(_breach_add_pack(NULL, NULL, NULL, NULL)::text, NULL, 'NULL and nothing: breaches of packs');
SELECT throws_ok($$ SELECT _breach_add_journey(b, '{1@2025-01-01T00:00:00Z}', NULL, as_of) FROM states, defined WHERE kind = 'clocks' $$, '22004', 'the SLA must not be NULL', 'a journey needs an SLA');
SELECT throws_ok($$ SELECT _breach_add_pack(b, (SELECT journey_pack(1, 1, '2025-01-01')), s, NULL) FROM states, defined WHERE kind = 'clocks' $$, '22004', 'as_of must not be NULL', 'and a time');
SELECT is(_journey_final(NULL)::text || _pack_final(NULL)::text || _funnel_final(NULL)::text || _velocity_final(NULL)::text || _breach_final(NULL)::text, NULL, 'no state, no result');
SELECT ok(_journey_combine(NULL, j)::text = j::text AND _journey_combine(j, NULL)::text = j::text AND _journey_add_journey(j, NULL)::text = j::text, 'NULL adds nothing, ' || kind) FROM states WHERE half = 1 AND j IS NOT NULL ORDER BY kind;
SELECT ok(_pack_combine(NULL, p)::text = p::text AND _pack_combine(p, NULL)::text = p::text AND _pack_add_pack(p, NULL)::text = p::text, 'NULL adds nothing, ' || kind) FROM states WHERE half = 1 AND p IS NOT NULL ORDER BY kind;
SELECT ok(_funnel_add_summary(NULL, f)::text = f::text AND _funnel_add_summary(f, NULL)::text = f::text AND _funnel_add_journey(f, NULL, NULL, NULL)::text = f::text, 'NULL adds nothing, ' || kind) FROM states WHERE half = 1 AND f IS NOT NULL ORDER BY kind;
SELECT ok(_velocity_add_summary(NULL, v)::text = v::text AND _velocity_add_summary(v, NULL)::text = v::text AND _velocity_add_journey(v, NULL, NULL, NULL)::text = v::text, 'NULL adds nothing, ' || kind) FROM states WHERE half = 1 AND v IS NOT NULL ORDER BY kind;
SELECT ok(_breach_add_summary(NULL, b)::text = b::text AND _breach_add_summary(b, NULL)::text = b::text AND _breach_add_journey(b, NULL, NULL, NULL)::text = b::text AND _breach_add_pack(b, NULL, NULL, NULL)::text = b::text, 'NULL adds nothing, ' || kind) FROM states WHERE half = 1 AND b IS NOT NULL ORDER BY kind;

-- Callers free what a send function returns: arrays, rows and binary replication do. Of each type a small and a large value, as stored.
CREATE FUNCTION pg_temp.sent(kind text, literal text, send text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE good boolean;
BEGIN
    EXECUTE format('CREATE TEMP TABLE sent AS SELECT %L::%s AS v', literal, kind);
    EXECUTE format('SELECT position(%1$s(v) IN array_send(ARRAY[v, v])) > 0 AND position(%1$s(v) IN record_send(ROW(v, v))) > 0 AND %1$s(v) = %1$s(v) FROM sent', send) INTO good;
    DROP TABLE sent;
    RETURN good;
END $$;
CREATE TEMP VIEW sendable AS
SELECT v.kind, size, CASE size WHEN 'small' THEN v.small ELSE v.large END AS literal
FROM defined, (SELECT funnel_conversion(j, l, as_of) AS f, stage_velocity(j, l, as_of) AS v, journey_pack(subject, j) AS p, rollup(j) AS j FROM journeys, defined) AS many,
     (SELECT funnel_conversion(j, l, as_of) AS f, stage_velocity(j, l, as_of) AS v, journey_pack(7, j) AS p, j FROM (SELECT '{1@2025-01-01T00:00:00Z}'::journey AS j) AS t, defined GROUP BY j) AS one,
     LATERAL (VALUES ('lifecycle', lifecycle('l', stages => '{a}')::text, lifecycle('l', stages => ARRAY(SELECT 'stage ' || i FROM generate_series(1, 60) i))::text),
                     ('business_calendar', business_calendar('o', 'UTC', '{mon 09:00-17:00}')::text, business_calendar('o', 'UTC', '{mon 09:00-17:00}', holidays => ARRAY(SELECT '2025-01-01'::date + 7 * i FROM generate_series(1, 200) i))::text),
                     ('sla', sla('s', start => '{a}', stop => '{b}', target => '1 hour')::text, sla('s', start => ARRAY(SELECT 'mark ' || i FROM generate_series(1, 60) i), stop => '{b}', target => '1 hour')::text),
                     ('journey', one.j::text, many.j::text), ('journey_pack', one.p::text, many.p::text), ('funnel_summary', one.f::text, many.f::text), ('velocity_summary', one.v::text, many.v::text),
                     ('breach_summary', (SELECT sla_breach(t.j, sla('s', start => '{a}', stop => '{b}', target => '1 hour'), as_of) FROM (SELECT '{1@2025-01-01T00:00:00Z}'::journey AS j) AS t)::text, (SELECT b::text FROM truth WHERE kind = 'clocks'))) AS v (kind, small, large),
     unnest('{small, large}'::text[]) AS size;
SELECT ok(pg_temp.sent(kind, literal, (SELECT t.typsend::regproc::text FROM pg_type AS t WHERE t.oid = kind::regtype)), 'sent in arrays and rows: a ' || size || ' ' || kind) FROM sendable ORDER BY kind, size;

CREATE TEMP TABLE dealt (n int, l lifecycle, c business_calendar, s sla) PARTITION BY HASH (l, c, s);
CREATE TEMP TABLE dealt_0 PARTITION OF dealt FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE dealt_1 PARTITION OF dealt FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO dealt SELECT n, lifecycle('l' || n, stages => '{a}'), business_calendar('o', 'UTC', '{mon 09:00-17:00}'), sla('s', start => '{a}', stop => '{b}', target => '1 hour') FROM generate_series(1, 50) n;
SELECT is((SELECT ARRAY[count(DISTINCT tableoid), count(*)] FROM dealt) || (SELECT count(*) FROM dealt WHERE l = lifecycle('l7', stages => '{a}')), '{2, 50, 1}', 'definitions can be keys of hash partitions');

-- States kept in a table can be read like finished values
CREATE TABLE kept AS SELECT _journey_add_mark(_journey_add_mark(NULL, 2, '2025-01-02'), 1, '2025-01-01') AS j;
SELECT is(j::text, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', 'a state as text') FROM kept;
SELECT is(ARRAY[mark_count(j)::text, first_at(j)::text, last_at(j)::text, entered(j, l, 'a')::text, current_stage(j, l, '2025-01-01')],
          ARRAY['2', '2025-01-01 00:00:00+00', '2025-01-02 00:00:00+00', '2025-01-01 00:00:00+00', 'a'], 'questions to a state') FROM kept, defined;
SELECT results_eq($$ SELECT mark FROM kept, marks(j) $$, ARRAY[1, 2], 'marks of a state');
SELECT is(journey_send(j), journey_send('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'), 'a state is sent as what it means') FROM kept;
SELECT ok(j = '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}' AND NOT j <> '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'
          AND journey_hash(j) = journey_hash('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'), 'a state equals what it means') FROM kept;
SELECT ok(j = _journey_add_mark(_journey_add_mark(NULL, 1, '2025-01-01'), 2, '2025-01-02'), 'states of the same marks are equal') FROM kept;
SELECT is(rollup(j)::text, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', 'states can be rolled up') FROM (SELECT j FROM kept UNION ALL SELECT j FROM kept) t;
SELECT is(funnel_conversion(j, l, as_of)::text, funnel_conversion(j::text::journey, l, as_of)::text, 'a funnel of states') FROM kept, defined;
SELECT is(stage_velocity(j, l, as_of)::text, stage_velocity(j::text::journey, l, as_of)::text, 'velocity of states') FROM kept, defined;
SELECT is((SELECT string_agg(a::text, ',') FROM funnel_attempts(j, l, as_of) a), (SELECT string_agg(a::text, ',') FROM funnel_attempts(j::text::journey, l, as_of) a), 'attempts of a state') FROM kept, defined;
SELECT is((SELECT string_agg(a::text, ',') FROM stage_spans(j, l, as_of) a), (SELECT string_agg(a::text, ',') FROM stage_spans(j::text::journey, l, as_of) a), 'spans of a state') FROM kept, defined;
SELECT is(journey_pack(7, j)::text, journey_pack(7, j::text::journey)::text, 'a pack of states') FROM kept;
SELECT bag_eq($$ SELECT subject, journey::text FROM states, unpack(p) WHERE kind = 'events' AND p IS NOT NULL $$, $$ SELECT subject::text, j::text FROM journeys $$, 'a state of a pack can be unpacked');
SELECT is((SELECT ARRAY[sum(subject_count(p)), sum(mark_count(p))] FROM states WHERE kind = 'events'), (SELECT ARRAY[subject_count(p)::numeric, mark_count(p)::numeric] FROM truth WHERE kind = 'events'), 'and be counted');
SELECT is((SELECT rollup(p)::text FROM states WHERE kind = 'events'), (SELECT p::text FROM truth WHERE kind = 'events'), 'and be rolled up');
SELECT is((SELECT rollup(f)::text FROM states WHERE kind = 'amounts'), (SELECT f::text FROM truth WHERE kind = 'amounts'), 'states of funnels can be rolled up');
SELECT is((SELECT rollup(v)::text FROM states WHERE kind = 'visits'), (SELECT v::text FROM truth WHERE kind = 'visits'), 'states of velocity can be rolled up');
SELECT is((SELECT rollup(b)::text FROM states WHERE kind = 'clocks'), (SELECT b::text FROM truth WHERE kind = 'clocks'), 'states of breaches can be rolled up');
SELECT is(breach_summary_send(b), breach_summary_send(b::text::breach_summary), 'a state is sent as what it means, ' || kind) FROM states WHERE half = 1 AND b IS NOT NULL ORDER BY kind;
SELECT is(ARRAY[subjects(b), started(b), met(b), breached(b), running(b), paused(b), cancelled(b), at_risk(b), overdue(b), not_covered(b), beyond_horizon(b)]::text || breach_rate(b) || breach_rate_low(b) || breach_rate_high(b) || elapsed_quantile(b, 0.3) || overdue_quantile(b, 0.3)
              || fingerprint(b) || as_of(b) || sla(b)::text || (SELECT string_agg(p::text, ',') FROM policies(b) p) || (SELECT string_agg(p::text, ',') FROM phases(b) p),
          ARRAY[subjects(c), started(c), met(c), breached(c), running(c), paused(c), cancelled(c), at_risk(c), overdue(c), not_covered(c), beyond_horizon(c)]::text || breach_rate(c) || breach_rate_low(c) || breach_rate_high(c) || elapsed_quantile(c, 0.3) || overdue_quantile(c, 0.3)
              || fingerprint(c) || as_of(c) || sla(c)::text || (SELECT string_agg(p::text, ',') FROM policies(c) p) || (SELECT string_agg(p::text, ',') FROM phases(c) p), 'all that a state of breaches says, ' || kind)
FROM (SELECT kind, b, b::text::breach_summary AS c FROM states WHERE half = 1 AND b IS NOT NULL) t ORDER BY kind;
SELECT is((SELECT string_agg(s::text, ',') FROM stages(business_clock(v)) s), (SELECT string_agg(s::text, ',') FROM stages(business_clock(v::text::velocity_summary)) s), 'the business clock of a state') FROM states WHERE kind = 'both clocks' AND half = 1;
SELECT is((SELECT string_agg(c::text, ',') FROM sla_clocks(j, s, as_of) c) || (SELECT string_agg(c::text, ',') FROM sla_phases(j, s, as_of) c), (SELECT string_agg(c::text, ',') FROM sla_clocks(j::text::journey, s, as_of) c) || (SELECT string_agg(c::text, ',') FROM sla_phases(j::text::journey, s, as_of) c), 'clocks of a state') FROM kept, defined;
SELECT is(sla_breach(j, s, as_of)::text, sla_breach(j::text::journey, s, as_of)::text, 'breaches of states') FROM kept, defined GROUP BY kept.j, s, as_of;
SELECT is((SELECT string_agg(s::text, ',') FROM stages(f) s), (SELECT string_agg(s::text, ',') FROM stages(f::text::funnel_summary) s), 'stages of a state') FROM states WHERE kind = 'amounts' AND half = 1;
SELECT is(ARRAY[entered(f, 'a'), observed(f, 'b'), imputed(f, 'b'), converted(f, 'a'), lost(f, 'b'), in_progress(f, 'c'), expired(f, 'a'), subjects(f), attempts(f), recycled_attempts(f), unknown_marks(f)],
          (SELECT ARRAY[entered(g, 'a'), observed(g, 'b'), imputed(g, 'b'), converted(g, 'a'), lost(g, 'b'), in_progress(g, 'c'), expired(g, 'a'), subjects(g), attempts(g), recycled_attempts(g), unknown_marks(g)] FROM (SELECT f::text::funnel_summary AS g) t),
          'numbers of a state') FROM states WHERE kind = 'amounts' AND half = 1;
SELECT is(fingerprint(f) || as_of(f) || lifecycle(f)::text, fingerprint(g) || as_of(g) || lifecycle(g)::text, 'the definition of a state') FROM (SELECT f, f::text::funnel_summary AS g FROM states WHERE kind = 'plain' AND half = 1) t;
SELECT is((SELECT string_agg(s::text, ',') FROM stages(v) s) || (SELECT string_agg(s::text, ',') FROM survival_curve(v, 'a') s), (SELECT string_agg(s::text, ',') FROM stages(v::text::velocity_summary) s) || (SELECT string_agg(s::text, ',') FROM survival_curve(v::text::velocity_summary, 'a') s), 'stages and curve of a state')
FROM states WHERE kind = 'since' AND half = 1;
SELECT is(ARRAY[visits(v, 'a')::text, pending(v, 'a')::text, exits(v, 'a')::text, median(v, 'a')::text, fingerprint(v), as_of(v)::text, lifecycle(v)::text, subjects(v)::text, restricted_mean(v, 'a', '1 day')::text],
          ARRAY[visits(w, 'a')::text, pending(w, 'a')::text, exits(w, 'a')::text, median(w, 'a')::text, fingerprint(w), as_of(w)::text, lifecycle(w)::text, subjects(w)::text, restricted_mean(w, 'a', '1 day')::text], 'numbers of a state')
FROM (SELECT v, v::text::velocity_summary AS w FROM states WHERE kind = 'since' AND half = 1) t;

-- Direct calls do not write into somebody's value
DO $$ BEGIN
    PERFORM _journey_add_mark(j, 1, '2025-01-01'), _journey_add_journey(j, '{1@2025-01-01T00:00:00Z}'), _journey_combine(j, j), _journey_final(j) FROM states WHERE j IS NOT NULL;
    PERFORM _pack_combine(p, p), _pack_final(p) FROM states WHERE p IS NOT NULL;
    PERFORM _pack_add_pack(p, p) FROM states WHERE kind IN ('numbers', 'texts', 'packs');
    PERFORM _pack_add_event(p, 1, 1, '2025-01-01') FROM states WHERE kind = 'events' AND p IS NOT NULL;
    PERFORM _pack_add_journey(p, 1, '{1@2025-01-01T00:00:00Z}'), _pack_add_journey(p, 'x', '{1@2025-01-01T00:00:00Z}') FROM states WHERE kind IN ('numbers', 'texts', 'packs');
    PERFORM _funnel_add_journey(f, '{1@2025-01-01T00:00:00Z}', l, as_of), _funnel_add_journey(f, '{1@2025-01-01T00:00:00Z}', l, as_of, 5), _funnel_add_pack(f, (SELECT journey_pack(1, 1, '2025-01-01')), l, as_of),
            _funnel_add_summary(f, f), _funnel_final(f) FROM states, defined WHERE f IS NOT NULL;
    PERFORM _velocity_add_journey(v, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', l, as_of), _velocity_add_pack(v, (SELECT journey_pack(1, 1, '2025-01-01')), l, as_of), _velocity_add_summary(v, v), _velocity_final(v)
        FROM states, defined WHERE v IS NOT NULL AND kind NOT IN ('since', 'both clocks');
    PERFORM _velocity_add_journey(v, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', l, as_of, '2025-02-01'), _velocity_add_summary(v, v), _velocity_final(v) FROM states, defined WHERE kind = 'since';
    PERFORM _velocity_add_journey(v, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', business_l, as_of), _velocity_add_summary(v, v), _velocity_final(v), business_clock(v) FROM states, defined WHERE kind = 'both clocks';
    PERFORM _breach_add_journey(b, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', s, as_of), _breach_add_pack(b, (SELECT journey_pack(1, 1, '2025-01-01')), s, as_of), _breach_add_summary(b, b), _breach_final(b) FROM states, defined WHERE b IS NOT NULL;
END $$;
SELECT set_eq('SELECT * FROM now_', 'SELECT * FROM before', 'states in a table are as they were');
SELECT is(md5(string_agg(concat(kind, j::text, p::text, f::text, v::text, b::text), ',' ORDER BY kind, f::text, v::text)),
          (SELECT md5(string_agg(concat(kind, j, p, f, v, b), ',' ORDER BY kind, f, v)) FROM (SELECT kind, j::text AS j, p::text AS p, f::text AS f, v::text AS v, b::text AS b FROM truth) t), 'finished values can be read twice') FROM truth;

-- FILTER, DISTINCT, joins
SELECT is((SELECT journey(mark, at) FILTER (WHERE mark = 1)::text FROM events), (SELECT journey(mark, at)::text FROM events WHERE mark = 1), 'FILTER');
SELECT is((SELECT journey(DISTINCT mark, at)::text FROM events), (SELECT rollup(j)::text FROM journeys), 'DISTINCT');
SELECT is((SELECT rollup(DISTINCT j)::text FROM (SELECT j FROM journeys UNION ALL SELECT j FROM journeys) t), (SELECT rollup(j)::text FROM journeys), 'DISTINCT journeys');
SELECT is((SELECT funnel_conversion(j, l, as_of)::text FROM (SELECT subject, journey(mark, at) AS j FROM events GROUP BY subject) a JOIN (SELECT DISTINCT subject FROM events) b USING (subject), defined),
    (SELECT f::text FROM truth WHERE kind = 'plain'), 'an aggregate of an aggregate of a join');
SELECT results_eq($$ SELECT subject, (SELECT journey(mark, at)::text FROM events e WHERE e.subject = j.subject) FROM journeys j ORDER BY subject $$,
    $$ SELECT subject, j::text FROM journeys ORDER BY subject $$, 'a correlated aggregate');
-- What a distributed planner asks of the catalog, beside what catalog.sql says of everything: every aggregate of the extension can be sent to another
-- server and run there by anybody.
CREATE TEMP VIEW aggregates AS
SELECT p.oid::regprocedure AS signature, p.pronargs, a.* FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid WHERE e.extname = 'revacct';
SELECT is_empty($$ SELECT signature FROM aggregates WHERE pronargs = 0 $$, 'every aggregate has an argument');
SELECT is_empty($$ SELECT signature, f.oid::regprocedure FROM aggregates a JOIN pg_proc f ON f.oid IN (a.aggfnoid, a.aggtransfn, a.aggcombinefn, a.aggfinalfn)
                   WHERE NOT has_function_privilege('public', f.oid, 'EXECUTE') OR f.prosecdef OR f.provolatile <> 'i' OR f.proparallel <> 's' $$, 'anybody may run it and what stands behind it, which is pure');
SELECT is_empty($$ SELECT signature, f.oid::regprocedure FROM aggregates a JOIN pg_proc f ON f.oid IN (a.aggtransfn, a.aggcombinefn, a.aggfinalfn)
                   WHERE f.prorettype <> a.aggtranstype OR f.proargtypes[0] <> a.aggtranstype OR f.oid = a.aggcombinefn AND f.proargtypes[1] <> a.aggtranstype $$, 'a state is of one type from the first row to the result');

SELECT * FROM finish();
ROLLBACK;
