-- Large values: what is promised works, what is beyond is refused, and summaries stay small.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(47);

-- Journeys
CREATE TEMP TABLE long AS SELECT journey(1 + i % 3, '2025-01-01'::timestamptz + i * interval '1 minute') AS j FROM generate_series(1, 100000) i;
SELECT is(mark_count(j), 100000, '100,000 marks') FROM long;
SELECT ok(j::text::journey = j, 'as text and back') FROM long;
SELECT is((SELECT count(*) FROM long, marks(j)), 100000::bigint, 'as rows');
SELECT is(entered(funnel_conversion(j, lifecycle('l', stages => '{a, b, c}'), '2026-01-01'), 'c'), 1::bigint, 'a funnel of it') FROM long;
SELECT is(visits(stage_velocity(j, lifecycle('l', stages => '{a, b, c}'), '2026-01-01'), 'a'), 33333::bigint, 'velocity of it') FROM long;
CREATE TEMP TABLE longest AS SELECT journey(1, '2025-01-01'::timestamptz + i * interval '1 second') AS j FROM generate_series(1, 1048576) i;
SELECT is(mark_count(j), 1048576, '1,048,576 marks') FROM longest;
SELECT lives_ok($$ SELECT rollup(j) FROM (SELECT j FROM longest UNION ALL SELECT j FROM longest) t $$, 'twice the same are no more');
SELECT throws_ok($$ SELECT journey(1, '2025-01-01'::timestamptz + i * interval '1 second') FROM generate_series(1, 1048577) i $$, '54000', 'a journey holds at most 1048576 marks', 'one more is too many');
SELECT throws_ok($$ SELECT rollup(j) FROM (SELECT j FROM longest UNION ALL SELECT '{1@2024-01-01T00:00:00Z}') t $$, '54000', 'a journey holds at most 1048576 marks', 'also by union');
SELECT throws_ok($$ SELECT journey_pack(7, j) FROM (SELECT j FROM longest UNION ALL SELECT '{1@2024-01-01T00:00:00Z}') t $$, '54000', 'a journey holds at most 1048576 marks', 'also in a pack');
SELECT throws_ok($$ SELECT journey_pack(7, 1, '2025-01-01'::timestamptz + i * interval '1 second') FROM generate_series(1, 1048577) i $$, '54000', 'a journey holds at most 1048576 marks', 'also in a pack of events');
SELECT throws_ok($$ SELECT ('{' || string_agg('1@2025-01-01T00:00:00.' || lpad(i::text, 6, '0') || 'Z', ',') || ', 1@2025-01-01T00:00:01Z, 1@2025-01-01T00:00:01.' || string_agg('5Z, 1@2025-01-01T00:00:01.5', '') FILTER (WHERE i < 50000) || 'Z}')::journey
                    FROM generate_series(0, 999999) i $$, '54000', 'a journey holds at most 1048576 marks', 'also as text');
-- Many journeys of one subject are sorted now and then, not at each: that would take hours.
CREATE TEMP TABLE short AS SELECT i, journey(1, '2025-01-01'::timestamptz + i * interval '1 second') AS j FROM generate_series(1, 2200000) i GROUP BY i;
SELECT throws_ok($$ SELECT journey_pack(7, j ORDER BY i) FROM short $$, '54000', 'a journey holds at most 1048576 marks', 'or of many journeys');
SELECT is(mark_count(journey_pack(7, j)), 1048576::bigint, 'repetitions do not count') FROM (SELECT j FROM short WHERE i <= 1048576 UNION ALL SELECT j FROM short WHERE i <= 1048576) t;
DROP TABLE short;
SELECT lives_ok($$ SELECT journey(1, '2025-01-01'::timestamptz + (i % 1048576) * interval '1 second') FROM generate_series(1, 1100000) i $$, 'repetitions do not count');
SELECT is(ARRAY[subjects(b), started(b), running(b)], ARRAY[1, 1, 1]::bigint[], 'one clock, however often it is started') FROM (SELECT sla_breach(j, sla('s', start => '{a}', stop => '{b}', target => '1000 hours'), '2025-01-20') AS b FROM longest) t;
DROP TABLE longest;

-- 64 steps, everything at one instant: tied marks are read in stage order, so the last step is reached
CREATE TEMP TABLE tied AS
SELECT (SELECT journey(1 + i % 64, '2025-01-01', i) FROM generate_series(0, 99999) i) AS j,
       (SELECT array_agg('s' || i ORDER BY i) FROM generate_series(1, 64) i) AS names;
SELECT is((SELECT array_agg(entered ORDER BY stage_no) FROM stages(f)), array_fill(1::bigint, ARRAY[64]), '64 steps of 100,000 marks at one instant, ' || skip)
FROM (SELECT skip, funnel_conversion(j, lifecycle('tied', stages => names, skip => skip), '2025-01-02') AS f FROM tied, unnest('{impute, any, strict}'::text[]) skip GROUP BY skip) t ORDER BY skip;
SELECT is((SELECT count(*) FROM stages(f) WHERE entered = 1), 1::bigint, 'strictly later is only one of them, ' || skip)
FROM (SELECT skip, funnel_conversion(j, lifecycle('tied', stages => names, skip => skip, times => 'increasing'), '2025-01-02') AS f FROM tied, unnest('{any, strict}'::text[]) skip GROUP BY skip) t ORDER BY skip;
SELECT is(current_stage(j, lifecycle('tied', stages => names), '2025-01-01'), 's64', 'and the current stage is the last') FROM tied;

-- Clocks: 100,000 marks that start, pause and resume one clock, or start and stop a third as many
SELECT results_eq($$ SELECT elapsed, paused FROM long, sla_clocks(j, sla('s', start => '{a}', stop => '{b}', pause => '{c}', resume => '{d}', marks => '{a=2, b=9, c=3, d=1}', target => '10000 hours'), '2025-03-11 10:40') $$,
    $$ SELECT interval '66666 minutes', interval '33333 minutes' $$, 'one clock of 33,333 pauses');
SELECT is((SELECT ARRAY[count(*), count(DISTINCT clock_no), sum(extract(epoch FROM elapsed))::bigint] FROM long, sla_clocks(j, sla('s', start => '{a}', stop => '{b}', marks => '{a=1, b=2}', target => '1 hour', reopen => 'restart'), '2026-01-01')), ARRAY[33333, 33333, 33333 * 60]::bigint[], '33,333 clocks');
SELECT is((SELECT ARRAY[started(b), met(b)] FROM (SELECT sla_breach(j, sla('s', start => '{a}', stop => '{b}', marks => '{a=1, b=2}', target => '1 hour', reopen => 'restart'), '2026-01-01') AS b FROM long) t), ARRAY[33333, 33333]::bigint[], 'in a summary');

-- Definitions: 1,024 policies, 65,536 values, 100,000 dates
CREATE TEMP TABLE large AS
SELECT (SELECT sla(array_agg(sla('s', start => '{a}', stop => '{b}', segment => '{c}', target => i * interval '1 hour', segments => ARRAY[i]))) FROM generate_series(1::bigint, 1024) i) AS policies,
       (SELECT sla('s', start => '{a}', stop => '{b}', segment => '{c}', target => '1 hour', segments => array_agg(i)) FROM generate_series(1::bigint, 65536) i) AS segments,
       (SELECT business_calendar('c', 'UTC', '{mon-sun 00:00-24:00}', holidays => array_agg('1900-01-01'::date + 2 * i)) FROM generate_series(0, 99999) i) AS dates;
SELECT ok(policies::text::sla = policies AND segments::text::sla = segments AND dates::text::business_calendar = dates, 'as text and back') FROM large;
SELECT is((SELECT ARRAY[count(*), sum(started), max(policy_no) FILTER (WHERE breached = 1), max(policy_no) FILTER (WHERE running = 1)] FROM policies(b)), ARRAY[1024, 1024, 48, 1024]::numeric[], '1,024 policies: those of up to 48 hours are breached after 49')
FROM (SELECT sla_breach(j, policies, '2025-03-03 01:00') AS b FROM large, (SELECT ('{1@2025-03-01T00:00:00Z, 3@2025-03-01T00:00:00Z=' || i || '}')::journey AS j FROM generate_series(1, 1024) i) h GROUP BY large.policies) t;
SELECT is((SELECT count(*) FROM sla_clocks('{1@2025-03-01T00:00:00Z, 3@2025-03-01T00:00:00Z=65536}', segments, '2025-03-02')) - (SELECT count(*) FROM sla_clocks('{1@2025-03-01T00:00:00Z, 3@2025-03-01T00:00:00Z=65537}', segments, '2025-03-02')), 1::bigint, '65,536 segments, and no other') FROM large;
SELECT is(business_time(dates, '1900-01-01', '1900-01-01'::timestamptz + interval '200000 days'), 100000 * interval '24 hours', '100,000 holidays') FROM large;

-- Packs
CREATE TEMP TABLE parts AS
SELECT part, journey_pack(subject, mark, at) AS p
FROM (SELECT i % 4 AS part, i AS subject, 1 + m AS mark, '2025-01-01'::timestamptz + ((i * 7919::bigint) % 100000 + m * 100) * interval '1 minute' AS at FROM generate_series(1, 1000000) i, generate_series(0, 1) m) e GROUP BY part;
CREATE TEMP TABLE whole AS SELECT rollup(p) AS p FROM parts;
SELECT is(ARRAY[subject_count(p), mark_count(p)], ARRAY[1000000, 2000000]::bigint[], 'a pack of 1,000,000 subjects') FROM whole;
SELECT is((SELECT ARRAY[sum(subject_count(p)), sum(mark_count(p))] FROM parts), (SELECT ARRAY[subject_count(p), mark_count(p)]::numeric[] FROM whole), 'the sum of its parts');
SELECT is((SELECT ARRAY[count(*), sum(mark_count(journey)), count(DISTINCT subject)] FROM whole, unpack(p)), ARRAY[1000000, 2000000, 1000000]::bigint[], 'can be unpacked');
CREATE TEMP TABLE asked AS SELECT lifecycle('l', stages => '{a, b}') AS l, '2026-01-01'::timestamptz AS as_of;
SELECT is((SELECT funnel_conversion(p, l, as_of)::text FROM whole, asked), (SELECT rollup(f)::text FROM (SELECT funnel_conversion(p, l, as_of) AS f FROM parts, asked GROUP BY part) t), 'the funnel of the whole is the funnel of its parts');
SELECT ok(pg_column_size(p) < 12 * 1000000, 'in less than 12 bytes a subject') FROM whole;

-- Summaries: exact up to 4,096 distinct durations a stage, binned beyond; never larger than that
CREATE FUNCTION pg_temp.velocity(durations int, step interval) RETURNS velocity_summary LANGUAGE SQL AS $$
    SELECT stage_velocity(j, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01')
    FROM (SELECT ('{1@2000-01-01T00:00:00Z, 2@' || to_char('2000-01-01'::timestamp + (i % $1) * $2 + ((i * 7919) % 1000000) * interval '1 microsecond' * ($1 > 4096)::int, 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z}')::journey AS j FROM generate_series(1, greatest($1, 5000)) i) t $$;
CREATE TEMP TABLE sizes AS SELECT n, v, pg_column_size(v::text::velocity_summary) AS size FROM (SELECT n, pg_temp.velocity(n, '1 day 00:00:07.123457') AS v FROM unnest('{1, 4096, 4097, 60000}'::int[]) n) t;
SELECT is((SELECT array_agg(relative_error > 0 ORDER BY n) FROM sizes, stages(v)), '{f,f,t,t}', 'exact with 4,096 durations, binned with 4,097');
SELECT ok((SELECT size FROM sizes WHERE n = 4096) <= 64 * 1024, '4,096 exact durations: at most 64 KB a stage, are ' || (SELECT size FROM sizes WHERE n = 4096));
SELECT ok((SELECT max(size) FROM sizes WHERE n > 4096) <= 16 * 1024, 'binned: at most 16 KB a stage, are ' || (SELECT max(size) FROM sizes WHERE n > 4096));
SELECT is((SELECT array_agg(visits(v, 'a') ORDER BY n) FROM sizes), '{5000,5000,5000,60000}', 'nobody is forgotten');
SELECT is((SELECT rollup(v)::text FROM (SELECT v FROM sizes ORDER BY n) t), (SELECT rollup(v)::text FROM (SELECT v FROM sizes ORDER BY n DESC) t), 'merged in any order');
CREATE FUNCTION pg_temp.breach(durations int, step interval) RETURNS breach_summary LANGUAGE SQL AS $$
    SELECT sla_breach(j, sla('one', start => '{a}', stop => '{b}', target => '1 microsecond'), '2200-01-01')
    FROM (SELECT ('{1@2000-01-01T00:00:00Z, 2@' || to_char('2000-01-01 00:00:00.000002'::timestamp + (i % $1) * $2 + ((i * 7919) % 1000000) * interval '1 microsecond' * ($1 > 4096)::int, 'YYYY-MM-DD"T"HH24:MI:SS.US') || 'Z}')::journey AS j FROM generate_series(1, greatest($1, 5000)) i) t $$;
CREATE TEMP TABLE breach_sizes AS SELECT n, b, pg_column_size(b::text::breach_summary) AS size FROM (SELECT n, pg_temp.breach(n, '1 day 00:00:07.123457') AS b FROM unnest('{1, 4096, 4097, 60000}'::int[]) n) t;
SELECT ok((SELECT size FROM breach_sizes WHERE n = 4096) <= 2 * 64 * 1024, '4,096 exact durations, elapsed and overdue: at most 128 KB a policy, are ' || (SELECT size FROM breach_sizes WHERE n = 4096));
SELECT ok((SELECT max(size) FROM breach_sizes WHERE n > 4096) <= 2 * 16 * 1024, 'binned: at most 32 KB a policy, are ' || (SELECT max(size) FROM breach_sizes WHERE n > 4096));
SELECT is((SELECT array_agg(ARRAY[started(b), breached(b)] ORDER BY n) FROM breach_sizes), '{{5000,5000},{5000,5000},{5000,5000},{60000,60000}}', 'every clock is counted');
SELECT is((SELECT rollup(b)::text FROM (SELECT b FROM breach_sizes ORDER BY n) t), (SELECT rollup(b)::text FROM (SELECT b FROM breach_sizes ORDER BY n DESC) t), 'breaches merged in any order');
SELECT cmp_ok(abs(extract(epoch FROM elapsed_quantile(b, 0.5)) / extract(epoch FROM 30000 * interval '1 day 00:00:07.123457') - 1), '<=', 0.0101, 'a binned median is within 1 %') FROM breach_sizes WHERE n = 60000;

-- What was slow, or took much memory, by the square of what it was given
SELECT is(entered(j, lifecycle('w', stages => '{a}', marks => ARRAY[array_to_string(ARRAY(SELECT generate_series(1, 32766)), ' ')]), 'a'), NULL, 'the first of 32,766 marks, among 400,000 that are another')
FROM (SELECT journey(32767, '2025-01-01'::timestamptz + i * interval '1 second') AS j FROM generate_series(1, 400000) i) t;
SELECT is(ARRAY[entered(j, l, 'a'), entered(j, l, 'b'), entered(j, l, 'c')], '{2025-01-01 00:00+00, 2025-01-01 00:00+00, 2025-01-03 00:00+00}', 'a mark that several stages share is of each of them')
FROM (SELECT lifecycle('s', stages => '{a, b}', won => 'c', marks => '{1 2, 2 3, 4}', skip => 'strict') AS l, '{2@2025-01-01T00:00:00Z, 3@2025-01-02T00:00:00Z, 4@2025-01-03T00:00:00Z}'::journey AS j) t;
SELECT throws_ok($$ SELECT funnel_conversion('{1@2025-01-01T00:00:00Z}', lifecycle('l', stages => '{a}'), '2026-01-01', 1e200) $$, '22003', 'an amount is out of range', 'amounts are bounded');

SELECT * FROM finish();
ROLLBACK;
