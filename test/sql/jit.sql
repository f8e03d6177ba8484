--
-- jit: compiled expressions call the same functions, whatever else in the process has their names.
--
-- A session of its own: pg_regress gives one to each file. Without LLVM, jit = on compiles nothing, and the comparison holds.
--
SET search_path = revacct, public;
SET max_parallel_workers_per_gather = 0;
CREATE TEMP TABLE events AS
SELECT i % 200 AS subject, 1 + (i * 7) % 5 AS mark, '2025-01-01'::timestamptz + ((i * 37) % 5000) * interval '1 hour' AS at, (i % 3)::bigint AS value, i::bigint AS seq
FROM generate_series(1, 3000) i;
CREATE TEMP TABLE defined AS SELECT lifecycle('jit', stages => '{a, b, c}', won => 'd', lost => '{e}', attempt => 'all', within => '60 days') AS l;
CREATE TEMP TABLE results (jit text, what text, result text);

CREATE TEMP VIEW answers AS
WITH journeys AS (SELECT subject, journey(mark, at) AS j, journey(mark, at, value, seq) AS full_j, sum(value) AS amount FROM events GROUP BY subject),
     packs AS (SELECT journey_pack(subject, mark, at) AS p FROM events GROUP BY subject % 3),
     funnels AS (SELECT funnel_conversion(j, l, '2025-06-01', amount) AS f FROM journeys, defined GROUP BY subject % 3),
     velocities AS (SELECT stage_velocity(j, l, '2025-06-01') AS v FROM journeys, defined GROUP BY subject % 3)
SELECT 'journeys' AS what, md5(string_agg(full_j::text, ',' ORDER BY subject)) AS result FROM journeys
UNION ALL SELECT 'rollup of journeys', rollup(j)::text FROM journeys WHERE subject < 5
UNION ALL SELECT 'entered', md5(string_agg(entered(j, l, 'b')::text, ',' ORDER BY subject)) FROM journeys, defined
UNION ALL SELECT 'current_stage', string_agg(current_stage(j, l, '2025-03-01'), ',' ORDER BY subject) FROM journeys, defined
UNION ALL SELECT 'mark', sum(mark(l, 'd'))::text FROM journeys, defined
UNION ALL SELECT 'comparison', count(*)::text FROM journeys a JOIN journeys b ON a.j < b.j
UNION ALL SELECT 'pack', md5(rollup(p)::text) FROM packs
UNION ALL SELECT 'funnel of journeys', md5(rollup(f)::text) FROM funnels
UNION ALL SELECT 'funnel of packs', funnel_conversion(p, l, '2025-06-01')::text FROM packs, defined
UNION ALL SELECT 'strict funnel', funnel_conversion(j, lifecycle('strict', stages => '{a, b, c}', skip => 'strict'), '2025-06-01')::text FROM journeys
UNION ALL SELECT 'velocity of journeys', md5(rollup(v)::text) FROM velocities
UNION ALL SELECT 'velocity of packs', md5(stage_velocity(p, l, '2025-06-01')::text) FROM packs, defined
UNION ALL SELECT 'attempts', md5(string_agg(a::text, ',' ORDER BY subject, attempt_no, stage_no)) FROM journeys, defined, funnel_attempts(j, l, '2025-06-01') a
UNION ALL SELECT 'spans', md5(string_agg(s::text, ',' ORDER BY subject, attempt_no, visit_no)) FROM journeys, defined, stage_spans(j, l, '2025-06-01') s
UNION ALL SELECT 'stages', string_agg(s::text, ',' ORDER BY stage_no) FROM (SELECT rollup(f) AS f FROM funnels) t, stages(f) s
UNION ALL SELECT 'wilson', sum((wilson(subject, 200)).low)::text FROM journeys;

-- compiled first: functions are looked up by name when they are first called that way
SET jit = on;
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SET jit_optimize_above_cost = 0;
INSERT INTO results SELECT 'on', what, result FROM answers;
SET jit = off;
INSERT INTO results SELECT 'off', what, result FROM answers;
SELECT what, a.result = b.result AS same FROM results a JOIN results b USING (what) WHERE a.jit = 'on' AND b.jit = 'off' ORDER BY what;
SELECT count(*) FILTER (WHERE result IS NULL) AS empty, count(*) AS all FROM results;
