--
-- journey: marks, their order, text forms, comparison, questions.
--
SET search_path = revacct, public;

-- Nothing
SELECT journey(1, at) IS NULL AS no_rows FROM (SELECT now() AS at WHERE false) e;
SELECT journey(NULL, '2025-01-01') IS NULL AS no_mark, journey(1, NULL) IS NULL AS no_time, journey(NULL, NULL, 1, 1) IS NULL AS neither;
SELECT subject, journey(mark, at::timestamptz) FILTER (WHERE mark < 9)
FROM (VALUES (1, NULL, '2025-01-01 00:00+00'), (1, 2, NULL), (2, NULL, NULL), (2, 3, '2025-01-01 00:00+00'), (3, 9, '2025-01-01 00:00+00')) AS e(subject, mark, at)
GROUP BY subject ORDER BY subject;
SELECT rollup(j) IS NULL AS no_rows FROM (SELECT NULL::journey AS j WHERE false) e;
SELECT rollup(NULL::journey) IS NULL AS only_null;
SELECT rollup(j) FROM (VALUES (NULL::journey), ('{1@2025-01-01T00:00:00Z}'), (NULL)) AS t(j);
SELECT mark_count(NULL::journey), first_at(NULL), last_at(NULL), (SELECT count(*) FROM marks(NULL)) AS marks;

-- Out of range
SELECT journey(-1, '2025-01-01');
\echo :SQLSTATE
SELECT journey(32768, '2025-01-01');
SELECT journey(1, 'infinity');
\echo :SQLSTATE
SELECT journey(1, '-infinity');
SELECT journey(NULL, 'infinity') IS NULL AS ignored;
SELECT journey(m, '2025-01-01 00:00+00') FROM unnest('{0, 30, 31, 255, 256, 32767}'::int[]) m;

-- Values and sequence numbers; a set: what is repeated is there once, and order of arrival is nothing
CREATE TEMP TABLE events (subject int, at timestamptz, mark int, value bigint, seq bigint);
INSERT INTO events VALUES
    (1, '2025-01-31 09:00+00', 1, NULL, NULL), (1, '2025-02-03 10:30:00.5+00', 2, 1500, 77), (1, '2025-02-03 10:30:00.5+00', 2, 1500, 77),
    (2, '2025-01-01 00:00+00', 3, NULL, 2), (2, '2025-01-01 00:00+00', 1, NULL, 3), (2, '2025-01-01 00:00+00', 2, NULL, NULL),
    (2, '2025-01-01 00:00+00', 1, NULL, NULL), (2, '2025-01-01 00:00+00', 1, -5, NULL), (2, '2025-01-01 00:00+00', 1, 0, NULL),
    (3, '294276-12-31 23:59:59.999999+00', 5, 9223372036854775807, -9223372036854775808),
    (3, '4714-11-24 00:00:00+00 BC', 5, -9223372036854775808, 9223372036854775807), (3, '0001-12-31 00:00:00+00 BC', 6, 0, 0);
SELECT subject, journey(mark, at) FROM events GROUP BY subject ORDER BY subject;
SELECT subject, journey(mark, at, value) FROM events GROUP BY subject ORDER BY subject;
SELECT subject, journey(mark, at, value, seq) FROM events GROUP BY subject ORDER BY subject;
CREATE TEMP TABLE journeys AS SELECT subject, journey(mark, at, value, seq) AS j FROM events GROUP BY subject;
SELECT bool_and(a.j = b.j AND a.j::text = b.j::text) AS order_of_rows_is_nothing
FROM journeys a JOIN (SELECT subject, journey(mark, at, value, seq ORDER BY at DESC, seq, value DESC) AS j FROM events GROUP BY subject) b USING (subject);

-- Text: the same under every setting, and read back, in any order and any spacing
SET timezone = 'America/St_Johns';
SET datestyle = 'SQL, DMY';
SET intervalstyle = 'iso_8601';
SELECT subject, j FROM journeys ORDER BY subject;
SELECT bool_and(j::text::journey = j) AS round_trip FROM journeys;
SELECT bool_and(j::text::journey::text = j::text) AS same_text FROM journeys;
RESET timezone;
RESET datestyle;
RESET intervalstyle;
SELECT CAST(' { 2@2025-02-03T10:30:00.50Z = 1}' AS journey);
SELECT '  { 2@2025-02-03T10:30:00.500Z=-15#7,1@2025-01-31T09:00:00Z  , 2@2025-02-03T10:30:00.5Z=-15#7 }  '::journey;
SELECT '{1@2000-01-01T00:00:00Z, 1@1999-12-31T23:59:59.999999Z, 1@0000-02-29T00:00:00Z, 1@-4713-11-24T00:00:00Z, 1@294276-12-31T23:59:59.999999Z}'::journey;
SELECT ''::journey;
\echo :SQLSTATE
SELECT '{}'::journey;
SELECT '{1}'::journey;
SELECT '{1@2025-01-31}'::journey;
SELECT '{1@2025-01-31 09:00:00}'::journey;
SELECT '{1@2025-01-31T09:00:00}'::journey;
SELECT '{1@2025-01-31T09:00:00+01}'::journey;
SELECT '{1@2025-02-29T09:00:00Z}'::journey;
SELECT '{1@2025-13-01T09:00:00Z}'::journey;
SELECT '{1@2025-01-31T24:00:00Z}'::journey;
SELECT '{1@2025-01-31T09:00:60Z}'::journey;
SELECT '{1@2025-01-31T09:00:00.1234567Z}'::journey;
SELECT '{1@294277-01-01T00:00:00Z}'::journey;
SELECT '{1@-4714-01-01T00:00:00Z}'::journey;
SELECT '{1@infinity}'::journey;
SELECT '{-1@2025-01-31T09:00:00Z}'::journey;
SELECT '{32768@2025-01-31T09:00:00Z}'::journey;
SELECT '{1@2025-01-31T09:00:00Z=}'::journey;
SELECT '{1@2025-01-31T09:00:00Z=1.5}'::journey;
SELECT '{1@2025-01-31T09:00:00Z=9223372036854775808}'::journey;
SELECT '{1@2025-01-31T09:00:00Z#1=1}'::journey;
SELECT '{1@2025-01-31T09:00:00Z,}'::journey;
SELECT '{1@2025-01-31T09:00:00Z} x'::journey;
SELECT '{1@2025-01-31T09:00:00Z'::journey;

-- Rows
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SELECT subject, m.* FROM journeys, marks(j) WITH ORDINALITY AS m(at, mark, value, seq, n) ORDER BY subject, n;
SELECT subject, mark_count(j), first_at(j), last_at(j) FROM journeys ORDER BY subject;
SELECT subject, journey(m.mark, m.at, m.value, m.seq) = j AS unfolded_and_folded FROM journeys, marks(j) m GROUP BY subject, j ORDER BY subject;

-- Union
SELECT rollup(j) FROM (VALUES ('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'::journey), ('{2@2025-01-02T00:00:00Z, 3@2025-01-01T12:00:00Z=4}'),
                              ('{1@2025-01-01T00:00:00Z#1}')) AS t(j);

-- Comparison: grouping, sorting, joining
CREATE TEMP TABLE twins (n int, j journey);
INSERT INTO twins SELECT subject, j FROM journeys;
INSERT INTO twins SELECT subject + 10, j::text::journey FROM journeys WHERE subject < 3;
INSERT INTO twins VALUES (20, '{1@2025-01-31T09:00:00Z}'), (21, '{1@2025-01-31T09:00:00Z=0}'), (22, '{1@2025-01-31T09:00:00Z#0}'), (23, NULL);
SELECT count(DISTINCT j) AS distinct_journeys FROM twins;
SELECT array_agg(n ORDER BY n) AS same FROM twins GROUP BY j ORDER BY 1;
SELECT array_agg(n ORDER BY n) FROM (SELECT n, rank() OVER (ORDER BY j) AS r FROM twins) t GROUP BY r HAVING count(*) > 1 ORDER BY 1;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT a.n, b.n FROM twins a JOIN twins b ON a.j = b.j AND a.n < b.n;
SELECT a.n, b.n FROM twins a JOIN twins b ON a.j = b.j AND a.n < b.n ORDER BY 1, 2;
SET enable_hashjoin = off;
RESET enable_mergejoin;
EXPLAIN (COSTS OFF) SELECT a.n, b.n FROM twins a JOIN twins b ON a.j = b.j;
SELECT a.n, b.n FROM twins a JOIN twins b ON a.j = b.j AND a.n < b.n ORDER BY 1, 2;
RESET enable_hashjoin;
RESET enable_nestloop;
SELECT bool_and((a.j < b.j) = (journey_cmp(a.j, b.j) < 0) AND (a.j <= b.j) = (journey_cmp(a.j, b.j) <= 0)
                AND (a.j > b.j) = (journey_cmp(a.j, b.j) > 0) AND (a.j >= b.j) = (journey_cmp(a.j, b.j) >= 0)
                AND (a.j = b.j) = (journey_cmp(a.j, b.j) = 0) AND (a.j <> b.j) = (journey_cmp(a.j, b.j) <> 0)
                AND journey_cmp(a.j, b.j) = -journey_cmp(b.j, a.j)
                AND (a.j <> b.j OR journey_hash(a.j) = journey_hash(b.j) AND journey_hash_extended(a.j, 7) = journey_hash_extended(b.j, 7))) AS consistent,
       count(*) AS pairs
FROM twins a, twins b WHERE a.j IS NOT NULL AND b.j IS NOT NULL;
CREATE UNIQUE INDEX ON journeys (j);
SET enable_seqscan = off;
EXPLAIN (COSTS OFF) SELECT subject FROM journeys WHERE j = '{1@2025-01-31T09:00:00Z, 2@2025-02-03T10:30:00.5Z=1500#77}';
SELECT subject FROM journeys WHERE j = '{1@2025-01-31T09:00:00Z, 2@2025-02-03T10:30:00.5Z=1500#77}';
INSERT INTO journeys VALUES (9, '{2@2025-02-03T10:30:00.5Z=1500#77, 1@2025-01-31T09:00:00Z}');
RESET enable_seqscan;
CREATE TEMP TABLE parted (j journey) PARTITION BY HASH (j);
CREATE TEMP TABLE parted_0 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMP TABLE parted_1 PARTITION OF parted FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parted SELECT j FROM twins;
SELECT count(*) AS rows FROM parted WHERE j = '{1@2025-01-31T09:00:00Z}';

-- Where is it, and since when?
CREATE TEMP TABLE defined AS
SELECT lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{junk}') AS l,
       lifecycle('inbound', stages => '{lead, mql, sql}', marks => '{3, 2 9, 1}') AS reversed;
CREATE TEMP TABLE histories (n int, j journey);
INSERT INTO histories VALUES
    (1, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z, 1@2025-01-03T00:00:00Z, 5@2025-01-04T00:00:00Z}'),
    (2, '{1@2025-01-01T00:00:00Z, 2@2025-01-01T00:00:00Z, 3@2025-01-01T00:00:00Z}'),
    (3, '{1@2025-01-01T00:00:00Z#3, 2@2025-01-01T00:00:00Z#2, 3@2025-01-01T00:00:00Z#1}'),
    (4, '{1@2025-01-01T00:00:00Z, 3@2025-01-01T00:00:00Z#1, 2@2025-01-01T00:00:00Z#1}'),
    (5, '{0@2025-01-01T00:00:00Z, 77@2025-01-02T00:00:00Z, 9@2025-01-03T00:00:00Z, 32767@2025-01-04T00:00:00Z}');
SELECT n, current_stage(j, l, '2024-12-31 23:59:59.999999+00') AS before, current_stage(j, l, '2025-01-01') AS first, current_stage(j, l, '2025-01-02') AS second,
       current_stage(j, l, '2025-01-03 12:00+00') AS third, current_stage(j, l, 'infinity') AS last, current_stage(j, l, '-infinity') AS never
FROM histories, defined ORDER BY n;
SELECT n, current_stage(j, reversed, '2025-01-01') AS first, current_stage(j, reversed, 'infinity') AS last FROM histories, defined ORDER BY n;
SELECT n, entered(j, l, 'lead') AS lead, entered(j, l, 'mql') AS mql, entered(j, l, 'customer') AS customer, entered(j, l, 'junk') AS junk
FROM histories, defined ORDER BY n;
SELECT n, entered(j, reversed, 'mql') AS mql FROM histories, defined ORDER BY n;
SELECT entered(j, l, 'nonsense') FROM histories, defined;
\echo :SQLSTATE
SELECT entered(NULL, l, 'lead') IS NULL, entered(j, NULL, 'lead') IS NULL, entered(j, l, NULL) IS NULL,
       current_stage(NULL, l, now()) IS NULL, current_stage(j, NULL, now()) IS NULL, current_stage(j, l, NULL) IS NULL
FROM histories, defined WHERE n = 1;
