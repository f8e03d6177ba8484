--
-- pack: many journeys in one value.
--
\encoding UTF8
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

-- Nothing
SELECT journey_pack(s, j) IS NULL AS no_rows FROM (SELECT 1::bigint AS s, NULL::journey AS j WHERE false) e;
SELECT journey_pack(NULL::bigint, '{1@2025-01-01T00:00:00Z}'::journey) IS NULL AS no_number, journey_pack(NULL::text, '{1@2025-01-01T00:00:00Z}'::journey) IS NULL AS no_text,
       journey_pack(1, NULL::journey) IS NULL AS no_journey, journey_pack(NULL, 1, now()) IS NULL AS no_subject,
       journey_pack(1, NULL, now()) IS NULL AS no_mark, journey_pack(1, 1, NULL) IS NULL AS no_time, rollup(NULL::journey_pack) IS NULL AS no_pack;
SELECT subject_count(NULL), mark_count(NULL::journey_pack), (SELECT count(*) FROM unpack(NULL)) AS rows;

-- Out of range
SELECT journey_pack(1, -1, '2025-01-01');
\echo :SQLSTATE
SELECT journey_pack(1, 32768, '2025-01-01');
SELECT journey_pack(1, 1, 'infinity');
\echo :SQLSTATE
SELECT journey_pack(1, NULL, 'infinity') IS NULL AS ignored;

-- Order: numbers first, in order, then text by its bytes; what is no plain number is text
CREATE TEMP TABLE subjects (subject text);
INSERT INTO subjects VALUES ('10'), ('9'), ('-1'), ('0'), ('9223372036854775807'), ('-9223372036854775808'), ('9223372036854775808'), ('007'), ('+5'), ('-0'),
    (''), (' 7'), ('a'), ('B'), ('ab'), ('lead-1'), ('lead-10'), ('lead-2'), ('Ω'), ('🙂'), ('1.0'), (E'new\nline');
CREATE TEMP TABLE packs AS SELECT journey_pack(subject, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z=3}'::journey) AS p FROM subjects;
SELECT subject_count(p), mark_count(p) FROM packs;
SELECT u.* FROM packs, unpack(p) WITH ORDINALITY AS u(subject, journey, n) ORDER BY n;

-- Journeys of one subject are united; text and number of one subject are one subject
SELECT u.* FROM (SELECT journey_pack(s, j) AS p
                 FROM (VALUES ('7', '{1@2025-01-01T00:00:00Z}'::journey), ('7', '{2@2025-01-01T00:00:00Z}'), ('7', '{1@2025-01-01T00:00:00Z}'), ('x', '{3@2025-01-01T00:00:00Z}')) AS t(s, j)) p,
     unpack(p) WITH ORDINALITY AS u(subject, journey, n) ORDER BY n;
SELECT u.* FROM (SELECT rollup(p) AS p
                 FROM (SELECT journey_pack('7'::text, '{1@2025-01-01T00:00:00Z}'::journey) AS p UNION ALL SELECT NULL UNION ALL
                       SELECT journey_pack(7, '{2@2025-01-02T00:00:00.000001Z#1}'::journey) UNION ALL SELECT journey_pack(8, 3, '2025-01-03') UNION ALL
                       SELECT journey_pack(7, 3, '2025-01-03')) parts) p,
     unpack(p) WITH ORDINALITY AS u(subject, journey, n) ORDER BY n;

-- Straight from events, or by way of journeys: the same value
CREATE TEMP TABLE events AS
SELECT (i * 7919) % 101 - 50 AS subject, i % 6 AS mark, '2025-01-01'::timestamptz + ((i * 31) % 997) * interval '1 hour' AS at FROM generate_series(1, 2000) i;
SELECT e.p::text = j.p::text AS same, subject_count(e.p), mark_count(e.p), mark_count(e.p) = (SELECT count(*) FROM (SELECT DISTINCT * FROM events) d) AS all_marks
FROM (SELECT journey_pack(subject, mark, at) AS p FROM events) e,
     (SELECT journey_pack(subject, j) AS p FROM (SELECT subject, journey(mark, at) AS j FROM events GROUP BY subject) t) j;
SELECT rollup(p)::text = (SELECT journey_pack(subject, mark, at)::text FROM events) AS any_partition
FROM (SELECT journey_pack(subject, mark, at) AS p FROM events GROUP BY mark % 3, subject % 2) t;
SELECT journey_pack(subject, mark, at ORDER BY at DESC)::text = journey_pack(subject, mark, at ORDER BY mark, at)::text AS any_order FROM events;

-- A pack says what its journeys say
SELECT p.f::text = j.f::text AS same_funnel, p.v::text = j.v::text AS same_velocity
FROM (SELECT funnel_conversion(p, l, '2025-02-01') AS f, stage_velocity(p, l, '2025-02-01') AS v
      FROM (SELECT journey_pack(subject, mark, at) AS p FROM events) t, (SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}') AS l) d) p,
     (SELECT funnel_conversion(j, l, '2025-02-01') AS f, stage_velocity(j, l, '2025-02-01') AS v
      FROM (SELECT subject, journey(mark, at) AS j FROM events GROUP BY subject) t, (SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}') AS l) d) j;

-- Text form: hexadecimal digits of the bytes
SELECT journey_pack(1, 1, '2025-01-01');
SELECT (journey_pack(1, 1, '2025-01-01')::text)::journey_pack::text = journey_pack(1, 1, '2025-01-01')::text AS round_trip;
SELECT bool_and(p::text::journey_pack::text = p::text) AS round_trip FROM packs;
SELECT ''::journey_pack;
\echo :SQLSTATE
SELECT 'pack'::journey_pack;
SELECT '\x0'::journey_pack;
SELECT '\xzz'::journey_pack;
SELECT '\x'::journey_pack;
\echo :SQLSTATE
SELECT '\x01'::journey_pack;
SELECT '\x2901010102'::journey_pack;
SELECT '\x2a01010102'::journey_pack;
\echo :SQLSTATE
SELECT '\x81'::journey_pack;
