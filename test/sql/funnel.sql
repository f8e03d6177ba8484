--
-- funnel: how far subjects come.
--
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';

CREATE TEMP TABLE defined AS
SELECT lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{junk}', no_decision => '{silent}', recycled => '{nurture}', churned => '{gone}') AS l;
CREATE TEMP TABLE histories (n int, amount numeric, j journey);
INSERT INTO histories VALUES
    (1, 100, '{1@2025-01-01T00:00:00Z, 2@2025-01-03T00:00:00Z, 3@2025-01-06T00:00:00Z, 4@2025-01-10T00:00:00Z}'),
    (2, 250.5, '{1@2025-01-01T00:00:00Z, 4@2025-01-08T12:00:00Z}'),
    (3, NULL, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z, 5@2025-01-04T00:00:00Z}'),
    (4, -20.0001, '{1@2025-01-02T00:00:00Z, 2@2025-01-04T00:00:00Z, 1@2025-01-05T00:00:00Z, 2@2025-01-06T00:00:00Z, 6@2025-01-07T00:00:00Z}'),
    (5, 7, '{2@2025-01-02T00:00:00Z, 7@2025-01-03T00:00:00Z, 1@2025-01-20T00:00:00Z}'),
    (6, 0, '{1@2025-01-30T00:00:00Z, 0@2025-01-30T00:00:00Z}'),
    (7, 12, '{3@2025-01-05T00:00:00Z, 8@2025-01-06T00:00:00Z}'),
    (8, 9, '{5@2025-01-01T00:00:00Z}'),
    (9, 3, '{1@2025-02-02T00:00:00Z, 2@2025-02-03T00:00:00Z}');

-- Nothing
SELECT funnel_conversion(j, l, '2025-01-31') IS NULL AS no_rows FROM histories, defined WHERE false;
SELECT funnel_conversion(NULL::journey, l, '2025-01-31') IS NULL AS no_journey, funnel_conversion(NULL::journey, l, '2025-01-31', 5) IS NULL AS with_amount,
       funnel_conversion(NULL::journey_pack, l, '2025-01-31') IS NULL AS no_pack, rollup(NULL::funnel_summary) IS NULL AS no_summary FROM defined;
SELECT n, subjects(funnel_conversion(j, l, '2025-01-31') FILTER (WHERE n > 1)) FROM (SELECT n, j FROM histories WHERE n < 3 UNION ALL SELECT 3, NULL) h, defined GROUP BY n ORDER BY n;
SELECT (SELECT count(*) FROM stages(NULL::funnel_summary)) AS rows, entered(NULL::funnel_summary, 'lead'), conversion_rate(NULL, 'lead'), subjects(NULL::funnel_summary), as_of(NULL::funnel_summary);

-- Refused
SELECT funnel_conversion(j, NULL, '2025-01-31') FROM histories;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, NULL) FROM histories, defined;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, 'infinity') FROM histories, defined;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, '-infinity') FROM histories, defined;
SELECT funnel_conversion(j, l, '2025-01-31', 1.00001) FROM histories, defined;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, '2025-01-31', -0.00001) FROM histories, defined;
SELECT funnel_conversion(j, l, '2025-01-31', 'NaN') FROM histories, defined;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, '2025-01-31', 'infinity') FROM histories, defined;
SELECT funnel_conversion(j, l, '2025-01-31', '-infinity') FROM histories, defined;
SELECT funnel_conversion(j, l, '2025-01-31', 922337203685477.5808) FROM histories, defined;
\echo :SQLSTATE
SELECT funnel_conversion(j, l, '2025-01-31', 1e30) FROM histories, defined;
-- zeros behind the fourth decimal are no fifth decimal, and the largest amount can be added up
SELECT stage_no, amount_entered, amount_converted FROM stages((SELECT funnel_conversion(j, l, '2025-01-31', 1.23450000) FROM histories, defined WHERE n = 1));
SELECT stage_no, amount_entered FROM stages((SELECT funnel_conversion(j, l, '2025-01-31', 922337203685477.5807) FROM histories, defined WHERE n < 4));

CREATE TEMP TABLE summary AS SELECT funnel_conversion(j, l, '2025-01-31', amount) AS s FROM histories, defined;
SELECT entered(s, 'nonsense') FROM summary;
\echo :SQLSTATE
SELECT observed(s, '') FROM summary;
SELECT lost(s, 'junk') FROM summary;
\echo :SQLSTATE
SELECT conversion_rate(s, 'nurture') FROM summary;
SELECT conversion_rate(s, 'lead', of => 'asked') FROM summary;
\echo :SQLSTATE
SELECT conversion_rate_low(s, 'lead', confidence => 0) FROM summary;
\echo :SQLSTATE
SELECT conversion_rate_high(s, 'lead', confidence => 1) FROM summary;
SELECT conversion_rate_high(s, 'lead', confidence => 'NaN') FROM summary;
SELECT stage FROM summary, stages(s, 0);
SELECT stage FROM summary, stages(s, 1);
SELECT stage FROM summary, stages(s, -0.5);
SELECT stage FROM summary, stages(s, 95);
SELECT conversion_rate(s, 'lead', of => NULL) IS NULL AS null_of, conversion_rate_low(s, 'lead', confidence => NULL) IS NULL AS null_confidence FROM summary;

-- Rows, and the same numbers one by one
\x on
SELECT t.* FROM summary, stages(s) t ORDER BY stage_no;
\x off
SELECT stage, rate_low, rate_high, decided_low, decided_high FROM summary, stages(s, 0.5) ORDER BY stage_no;
SELECT subjects(s), attempts(s), recycled_attempts(s), unknown_marks(s), as_of(s), fingerprint(s), lifecycle(s) FROM summary;
SELECT stage, entered(s, stage), observed(s, stage), imputed(s, stage), converted(s, stage), lost(s, stage), in_progress(s, stage), expired(s, stage)
FROM summary, unnest('{lead, mql, sql, customer}'::text[]) WITH ORDINALITY AS t(stage, n) ORDER BY n;
SELECT stage, round(conversion_rate(s, stage)::numeric, 12) AS rate, round(conversion_rate_low(s, stage)::numeric, 12) AS low, round(conversion_rate_high(s, stage)::numeric, 12) AS high,
       round(conversion_rate(s, stage, of => 'decided')::numeric, 12) AS decided, round(conversion_rate_low(s, stage, of => 'decided', confidence => 0.8)::numeric, 12) AS decided_low
FROM summary, unnest('{lead, mql, sql, customer}'::text[]) WITH ORDINALITY AS t(stage, n) ORDER BY n;

-- What is behind them
SELECT n, a.* FROM histories, defined, funnel_attempts(j, l, '2025-01-31') a ORDER BY n, attempt_no, stage_no;
SELECT count(*) FROM defined, funnel_attempts(NULL, l, '2025-01-31');

-- as_of is inclusive; marks after it do not exist
SELECT at, entered(s, 'lead') AS lead, entered(s, 'mql') AS mql, entered(s, 'customer') AS customer, unknown_marks(s)
FROM (VALUES ('2024-12-31'::timestamptz), ('2025-01-01'), ('2025-01-03 00:00-00:00:01'), ('2025-01-03'), ('2025-01-09 23:59:59.999999'), ('2025-01-10'), ('2025-12-31')) AS t(at),
     LATERAL (SELECT funnel_conversion(j, l, at) AS s FROM histories, defined) f ORDER BY at;

-- An empty funnel has a row for each step
SELECT stage_no, stage, category, entered, lost, expired, conversion_rate, rate_low, decided_rate, mean_days_to_convert, timed_count, amount_entered, amount_rate, amount_n_effective
FROM stages((SELECT funnel_conversion(j, l, '2020-01-01') FROM histories, defined)) ORDER BY stage_no;

-- Ways of skipping, kinds of attempts
SELECT skip, array_agg(entered || '/' || observed || '/' || imputed || '/' || converted || '/' || lost || '/' || in_progress ORDER BY stage_no) AS "entered/observed/imputed/converted/lost/in_progress"
FROM unnest('{impute, any, strict}'::text[]) AS o(skip),
     LATERAL (SELECT funnel_conversion(j, lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{junk, silent}', recycled => '{nurture}', churned => '{gone}', skip => skip), '2025-01-31') AS s FROM histories) f,
     stages(s) GROUP BY skip ORDER BY skip;
SELECT attempt, attempts(s), array_agg(entered ORDER BY stage_no) AS entered, array_agg(in_progress ORDER BY stage_no) AS in_progress
FROM unnest('{first, last, best, all}'::text[]) AS o(attempt),
     LATERAL (SELECT funnel_conversion(j, lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{junk, silent}', recycled => '{nurture}', churned => '{gone}', attempt => attempt), '2025-01-31') AS s FROM histories) f,
     stages(s) GROUP BY attempt, s::text, attempts(s) ORDER BY attempt;
SELECT entry_range, attempts(s), array_agg(entered ORDER BY stage_no) AS entered
FROM (VALUES ('[2025-01-02 00:00+00, 2025-01-20 00:00+00)'::tstzrange), ('(2025-01-02 00:00+00, 2025-01-20 00:00+00]'), ('[2030-01-01 00:00+00,)')) AS o(entry_range),
     LATERAL (SELECT funnel_conversion(j, lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{junk, silent}', recycled => '{nurture}', churned => '{gone}', entry_range => entry_range), '2025-01-31') AS s FROM histories) f,
     stages(s) GROUP BY entry_range, attempts(s) ORDER BY entry_range;

-- Lists of marks; one mark for two steps of a strict funnel
SELECT stage, entered, converted FROM stages((SELECT funnel_conversion(j, lifecycle('lists', stages => '{first, second}', won => 'won', marks => '{1 2, 3, 4}'), '2025-01-31') FROM histories));
SELECT stage, entered, converted
FROM stages((SELECT funnel_conversion('{7@2025-01-01T00:00:00Z, 7@2025-01-02T00:00:00Z}'::journey, lifecycle('twice', stages => '{first, second, third}', marks => '{7, 7, 7 8}', skip => 'strict'), '2025-01-31')));

-- Windows are inclusive to the microsecond
SELECT at, outcome, status FROM (VALUES ('{1@2025-01-01T00:00:00Z, 2@2025-01-08T00:00:00Z}'::journey, 'inside'), ('{1@2025-01-01T00:00:00Z, 2@2025-01-08T00:00:00.000001Z}', 'late')) AS t(j, at),
     funnel_attempts(j, lifecycle('week', stages => '{a, b}', within => '7 days'), '2025-01-08 00:00:00.000001+00') WHERE stage = 'a' ORDER BY at;
SELECT as_of, status, ended_at FROM unnest('{2025-01-08 00:00+00, 2025-01-08 00:00:00.000001+00}'::timestamptz[]) AS t(as_of),
     funnel_attempts('{1@2025-01-01T00:00:00Z}', lifecycle('week', stages => '{a, b}', within => '7 days'), as_of) ORDER BY as_of;
-- a month after the last of January is the last of February, at the same local time
SELECT zone, entry, ended_at
FROM (VALUES ('UTC', '{1@2025-01-31T23:30:00Z}'::journey), ('Europe/Berlin', '{1@2025-01-31T23:30:00Z}'), ('America/New_York', '{1@2025-01-31T23:30:00Z}'),
             ('UTC', '{1@2024-01-31T12:00:00Z}'), ('Europe/Berlin', '{1@2025-03-01T12:00:00Z}')) AS t(zone, entry),
     funnel_attempts(entry, lifecycle('month', stages => '{a, b}', within => '1 month', time_zone => zone), '2030-01-01') ORDER BY zone, entry;
-- across the changes of the clock (Berlin 2025-03-30 and 2025-10-26) a day has 23 or 25 hours, and 24 hours are 24 hours
SELECT zone, w AS within, entry, ended_at
FROM (VALUES ('{1@2025-03-29T11:00:00Z}'::journey), ('{1@2025-03-29T01:30:00Z}'), ('{1@2025-10-25T10:00:00Z}'), ('{1@2025-10-25T00:30:00Z}')) AS e(entry),
     (VALUES ('UTC', '1 day'::interval), ('Europe/Berlin', '1 day'), ('Europe/Berlin', '24:00:00'), ('Europe/Berlin', '1 day 02:00:00')) AS z(zone, w),
     funnel_attempts(entry, lifecycle('clock', stages => '{a, b}', within => w, time_zone => zone), '2030-01-01') ORDER BY entry, zone, w;
-- whatever the session's zone is
SET timezone = 'America/New_York';
SELECT ended_at = '2025-03-30 10:00+00' AS same FROM funnel_attempts('{1@2025-03-29T11:00:00Z}', lifecycle('clock', stages => '{a, b}', within => '1 day', time_zone => 'Europe/Berlin'), '2030-01-01');
SET timezone = 'UTC';
-- windows that reach past the end of time never close
SELECT w AS within, zone, outcome, ended_at
FROM (VALUES ('200000000 days'::interval), ('110000000 days'), ('213503983 days'), ('2147483647 days'), ('178000000 years'), ('100000000 days 900000000 hours')) AS w(w), (VALUES ('UTC'), ('Europe/Berlin')) AS z(zone),
     funnel_attempts('{1@2025-01-01T00:00:00Z}', lifecycle('endless', stages => '{a, b}', within => w, time_zone => zone), '2030-01-01') ORDER BY w, zone;
SELECT w AS within, skip, entered(funnel_conversion('{1@2025-01-01T00:00:00Z, 2@2025-06-01T00:00:00Z}'::journey, lifecycle('endless', stages => '{a, b}', skip => skip, step_within => ARRAY[NULL, w]), '2030-01-01'), 'b') AS b
FROM (VALUES ('110000000 days'::interval), ('213503983 days')) AS w(w), (VALUES ('impute'), ('strict')) AS s(skip) GROUP BY w, skip ORDER BY w, skip;

-- Text form
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET extra_float_digits = -10;
SELECT md5(s::text) FROM summary;
SELECT s::text::funnel_summary::text = s::text AS round_trip, (SELECT rollup(s) FROM summary)::text = s::text AS rolled_up FROM summary;
SELECT funnel_conversion('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'::journey, lifecycle('ab', stages => '{a, b}'), '2025-01-31 00:00+00');
SELECT ''::funnel_summary;
\echo :SQLSTATE
SELECT '\x'::funnel_summary;
\echo :SQLSTATE
SELECT '\x02'::funnel_summary;
\echo :SQLSTATE
SELECT '\x81'::funnel_summary;

-- A won mark right after a won mark is the same deal saved again; after another stage it is another attempt
SELECT attempt_no, outcome, stage, imputed FROM funnel_attempts('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z, 2@2025-01-03T00:00:00Z}', lifecycle('again', stages => '{a}', won => 'w', lost => '{l}'), '2025-02-01 00:00+00') ORDER BY 1, 3;
SELECT attempt_no, outcome, stage, imputed FROM funnel_attempts('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z, 3@2025-01-03T00:00:00Z, 2@2025-01-04T00:00:00Z}', lifecycle('again', stages => '{a}', won => 'w', lost => '{l}'), '2025-02-01 00:00+00') ORDER BY 1, 3;
-- The effective number of amounts is exact however large one that is not in it
SELECT stage, amount_entered, amount_n_effective FROM (SELECT funnel_conversion(j::journey, lifecycle('n', stages => '{a, b, c}', skip => 'any'), '2025-02-01 00:00+00', amount) AS f
    FROM (VALUES ('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', 10), ('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}', 200), ('{1@2025-01-01T00:00:00Z, 3@2025-01-02T00:00:00Z}', 12000000000)) AS v(j, amount)) AS x, stages(f) ORDER BY stage_no;
-- Microseconds have shapes, too: a funnel over journeys is the sum of its rows
WITH j AS (SELECT i, journey(m, timestamptz '2025-01-01 00:00:00.000001+00' + i * interval '1 day 1 microsecond' + m * m * interval '3 days 7 microseconds') AS j FROM generate_series(1, 200) AS i, generate_series(1, 3) AS m WHERE i % 3 >= m - 1 GROUP BY i),
l AS (SELECT lifecycle('us', stages => '{a, b, c}', within => '20 days') AS l)
SELECT s.stage, s.entered = r.entered AS entered, s.converted = r.converted AS converted, s.expired = r.expired AS expired, s.in_progress = r.in_progress AS in_progress
FROM (SELECT stages.* FROM (SELECT funnel_conversion(j, l, '2025-06-01 00:00+00') AS f FROM j, l) AS f, stages(f)) AS s
JOIN (SELECT stage, count(*) AS entered, count(*) FILTER (WHERE status = 'converted') AS converted, count(*) FILTER (WHERE status = 'expired') AS expired, count(*) FILTER (WHERE status = 'in_progress') AS in_progress
      FROM j, l, funnel_attempts(j, l, '2025-06-01 00:00+00') WHERE counted GROUP BY stage) AS r USING (stage) ORDER BY stage_no;
