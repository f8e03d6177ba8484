--
-- merge_errors: what must not be added up is not.
--
SET search_path = revacct, public;
SET timezone = 'Australia/Eucla';
SET datestyle = 'SQL, MDY';

CREATE TEMP TABLE parts (n int, l lifecycle, as_of timestamptz, since timestamptz, j journey);
INSERT INTO parts VALUES
    (1, lifecycle('a', stages => '{x, y}'), '2025-02-01 00:00+00', '2025-01-01 00:00+00', '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'),
    (2, lifecycle('b', stages => '{x, y}'), '2025-02-01 00:00+00', '2025-01-01 00:00+00', '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'),
    (3, lifecycle('a', stages => '{x, y}'), '2025-02-02 00:00+00', '2025-01-01 00:00+00', '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'),
    (4, lifecycle('a', stages => '{x, y}'), '2025-02-01 00:00+00', '2025-01-01 00:00:00.5+00', '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'),
    (5, lifecycle('a', stages => '{x, y}'), '2025-02-01 00:00+00', NULL, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'),
    (6, lifecycle('a', stages => '{x, y}', attempt => 'first'), '2025-02-01 00:00+00', '2025-01-01 00:00+00', '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}');
CREATE TEMP TABLE summaries AS
SELECT n, funnel_conversion(j, l, as_of) AS f, stage_velocity(j, l, as_of, since) AS v, journey_pack(n, j) AS p FROM parts GROUP BY n;
SELECT n, fingerprint(f), fingerprint(v), lifecycle(f)::text = lifecycle(v)::text AS same_definition FROM summaries ORDER BY n;

-- another definition
SELECT rollup(f ORDER BY n) FROM summaries WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT rollup(v ORDER BY n) FROM summaries WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT rollup(f ORDER BY n) FROM summaries WHERE n IN (1, 6);
SELECT funnel_conversion(j, l, '2025-02-01' ORDER BY n) FROM parts WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT stage_velocity(j, l, '2025-02-01' ORDER BY n) FROM parts WHERE n IN (1, 2);
SELECT funnel_conversion(p, l, '2025-02-01' ORDER BY n) FROM parts JOIN summaries USING (n) WHERE n IN (1, 2);
SELECT stage_velocity(p, l, '2025-02-01' ORDER BY n) FROM parts JOIN summaries USING (n) WHERE n IN (1, 2);
SELECT (log_rank(array_agg(v ORDER BY n), 'x')).df FROM summaries WHERE n IN (1, 2);
\echo :SQLSTATE
-- another time
SELECT rollup(f ORDER BY n) FROM summaries WHERE n IN (1, 3);
\echo :SQLSTATE
SELECT rollup(v ORDER BY n) FROM summaries WHERE n IN (1, 3);
\echo :SQLSTATE
SELECT funnel_conversion(j, l, as_of ORDER BY n) FROM parts WHERE n IN (1, 3);
\echo :SQLSTATE
SELECT stage_velocity(j, l, as_of ORDER BY n) FROM parts WHERE n IN (1, 3);
SELECT funnel_conversion(p, l, as_of ORDER BY n) FROM parts JOIN summaries USING (n) WHERE n IN (1, 3);
-- another beginning
SELECT rollup(v ORDER BY n) FROM summaries WHERE n IN (1, 4);
\echo :SQLSTATE
SELECT rollup(v ORDER BY n) FROM summaries WHERE n IN (1, 5);
\echo :SQLSTATE
SELECT rollup(v ORDER BY n) FROM summaries WHERE n IN (4, 5);
SELECT stage_velocity(j, l, as_of, since ORDER BY n) FROM parts WHERE n IN (1, 4);
SELECT stage_velocity(j, l, as_of, since ORDER BY n) FROM parts WHERE n IN (1, 5);
\echo :SQLSTATE
-- a NULL is no summary, and the same is the same however it was made
SELECT subjects(rollup(f)) AS subjects, entered(rollup(f), 'x') AS entered FROM (SELECT f FROM summaries WHERE n IN (1, 4, 5) UNION ALL SELECT NULL) t;
SELECT subjects(rollup(v)) AS subjects, visits(rollup(v), 'x') AS visits FROM (SELECT v FROM summaries WHERE n IN (1) UNION ALL SELECT NULL UNION ALL SELECT v::text::velocity_summary FROM summaries WHERE n = 1) t;
-- amounts in one part only are no hindrance
SELECT stage, entered, amount_entered, amount_converted
FROM stages((SELECT rollup(f) FROM (SELECT f FROM summaries WHERE n = 1 UNION ALL SELECT funnel_conversion(j, l, as_of, 12.5) FROM parts WHERE n = 1) t)) ORDER BY stage_no;
-- an error in one group says so, and leaves nothing behind
BEGIN;
SAVEPOINT before;
SELECT rollup(f) FROM summaries;
ROLLBACK TO before;
SELECT count(*) FROM summaries;
COMMIT;
