--
-- calendar: when a team is open; what is refused, text forms, questions.
--
\encoding UTF8
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- The name
SELECT business_calendar(NULL, 'UTC', '{}');
\echo :SQLSTATE
SELECT business_calendar('', 'UTC', '{}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar(repeat('n', 256), 'UTC', '{}');
\set VERBOSITY default
SELECT business_calendar(repeat('n', 255), 'UTC', '{}')::text = repeat('n', 255) || ': time_zone UTC' AS longest_name_is_fine;

-- The time zone
SELECT business_calendar('zone', NULL, '{}');
\echo :SQLSTATE
SELECT business_calendar('zone', '', '{}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar('zone', 'Mars/Olympus', '{}');
SELECT business_calendar('zone', ' UTC', '{}');
SELECT business_calendar('zone', '../../../../etc/passwd', '{}');
-- what differs from machine to machine, or counts leap seconds
SELECT business_calendar('zone', 'localtime', '{}');
SELECT business_calendar('zone', 'posixrules', '{}');
SELECT business_calendar('zone', 'FOO5BAR', '{}');
SELECT business_calendar('zone', '<-03>3<-02>', '{}');
SELECT business_calendar('zone', 'FOO5ÄÖÜ', '{}');
SELECT business_calendar('zone', 'foo5bar,M3.2.0,M11.1.0', '{}'), business_calendar('zone', 'est5edt', '{}'), business_calendar('zone', 'etc/gmt+5', '{}');
SELECT business_calendar('zone', 'right/Europe/Berlin', '{}');
SELECT business_calendar('zone', 'europe/BERLIN', '{}');
\set VERBOSITY default

-- Hours
SELECT business_calendar('hours', 'UTC', NULL);
\echo :SQLSTATE
SELECT business_calendar('hours', 'UTC', '{mon 09:00-17:00, NULL}');
\echo :SQLSTATE
SELECT business_calendar('hours', 'UTC', '{""}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar('hours', 'UTC', '{mon}');
SELECT business_calendar('hours', 'UTC', '{09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{2025-03-03 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mo 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mond 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mondays 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{montue 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{"mon, tue 09:00-17:00"}');
SELECT business_calendar('hours', 'UTC', '{mon- 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon - fri 09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00-12:00 tue 09:00-12:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00}');
SELECT business_calendar('hours', 'UTC', '{mon 9:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09-17}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00 - 17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00-17:00;}');
SELECT business_calendar('hours', 'UTC', '{mon 09:60-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00:60-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00-24:00:01}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00-25:00}');
SELECT business_calendar('hours', 'UTC', '{mon 24:00-09:00}');
SELECT business_calendar('hours', 'UTC', '{mon -09:00-17:00}');
SELECT business_calendar('hours', 'UTC', '{mon 09:00-17:00:00.1234567}');
\set VERBOSITY default

-- Shifts and breaks
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{NULL}');
\echo :SQLSTATE
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{mon 09:00-17:00}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{2025-02-28}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{2025-02-29 09:00-17:00}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{2025-2-28 09:00-17:00}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{28.02.2025 09:00-17:00}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{2025-02-28..2025-02-27 09:00-17:00}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{2025-02-27 .. 2025-02-28 09:00-17:00}');
SELECT business_calendar('shifts', 'UTC', '{}', shifts => '{infinity 09:00-17:00}');
\set VERBOSITY default
SELECT business_calendar('breaks', 'UTC', '{}', breaks => '{NULL}');
SELECT business_calendar('breaks', 'UTC', '{}', breaks => '{12:00-13:00}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar('breaks', 'UTC', '{}', breaks => '{2025-03-03..fri 12:00-13:00}');
\set VERBOSITY default

-- Holidays, and until when they are known
SELECT business_calendar('holidays', 'UTC', '{}', holidays => '{2025-12-25, NULL}');
\echo :SQLSTATE
SELECT business_calendar('holidays', 'UTC', '{}', holidays => '{infinity}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_calendar('holidays', 'UTC', '{}', holidays => '{2025-12-25, -infinity}');
SELECT business_calendar('holidays', 'UTC', '{}', known_until => '-infinity');
\set VERBOSITY default

-- A calendar without rows, without options, with NULL for options
SELECT business_calendar('never', 'UTC', '{}');
SELECT business_calendar('never', 'UTC', '{}', shifts => NULL, breaks => NULL, holidays => NULL, known_until => NULL);

-- Dates are those of the years 1 to 9999
SELECT business_calendar('dates', 'UTC', '{}', shifts => '{0001-01-01 09:00-17:00, 9999-12-31 22:00-06:00}', breaks => '{0001-01-01..0001-01-03 12:00-13:00}',
                         holidays => '{0001-01-02, 9999-12-30}', known_until => '9999-12-31');
\set VERBOSITY terse
SELECT business_calendar('dates', 'UTC', '{}', shifts => '{0000-12-31 09:00-17:00}');
SELECT business_calendar('dates', 'UTC', '{}', shifts => '{10000-01-01 09:00-17:00}');
SELECT business_calendar('dates', 'UTC', '{}', breaks => '{-0001-12-31 09:00-17:00}');
SELECT business_calendar('dates', 'UTC', '{}', holidays => '{0001-12-31 BC}');
SELECT business_calendar('dates', 'UTC', '{}', holidays => '{10000-01-01}');
SELECT business_calendar('dates', 'UTC', '{}', known_until => '10000-01-01');
\set VERBOSITY default

-- Limits: 100,000 dates, 1,440 rows on a day, 64 parts, 4 levels
SELECT length(business_calendar('dates', 'UTC', '{}', holidays => array_agg('1900-01-01'::date + i))::text) AS one_range FROM generate_series(1, 100000) i;
SELECT business_calendar('dates', 'UTC', '{}', holidays => array_agg('1900-01-01'::date + i)) FROM generate_series(1, 100001) i;
\echo :SQLSTATE
SELECT business_calendar('dates', 'UTC', '{}', shifts => '{0001-01-01..0274-10-16 09:00-17:00}');
SELECT business_calendar('dates', 'UTC', '{}', shifts => '{0001-01-01..0274-10-17 09:00-17:00}');
SELECT business_calendar('dates', 'UTC', '{}', breaks => '{0001-01-01..0200-01-01 09:00-17:00, 0300-01-01..0500-01-01 09:00-17:00}');
CREATE FUNCTION pg_temp.seconds(n int) RETURNS text[] LANGUAGE SQL AS $$
    SELECT array_agg('mon ' || '00:00'::time + i * interval '59 seconds' || '-' || '00:00:01'::time + i * interval '59 seconds') FROM generate_series(1, n) i $$;
SELECT business_time(business_calendar('rows', 'UTC', pg_temp.seconds(1440)), '2025-03-03', '2025-03-04') AS a_second_a_row;
SELECT business_calendar('rows', 'UTC', pg_temp.seconds(1441));
\echo :SQLSTATE
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.nested(levels int) RETURNS business_calendar LANGUAGE plpgsql AS $$
DECLARE
    c business_calendar := business_calendar('0', 'UTC', '{}');
BEGIN
    FOR i IN 1 .. levels LOOP
        c := CASE WHEN i % 2 = 1 THEN calendar_union(c, business_calendar(i::text, 'UTC', '{}')) ELSE calendar_intersection(c, business_calendar(i::text, 'UTC', '{}')) END;
    END LOOP;
    RETURN c;
END $$;
SELECT pg_temp.nested(4)::text::business_calendar = pg_temp.nested(4) AS four_levels;
SELECT pg_temp.nested(5);
\echo :SQLSTATE
CREATE FUNCTION pg_temp.union_of(parts int) RETURNS business_calendar LANGUAGE plpgsql AS $$
DECLARE
    c business_calendar := business_calendar('1', 'UTC', '{}');
BEGIN
    FOR i IN 2 .. parts LOOP
        c := calendar_union(c, business_calendar(i::text, 'UTC', '{}'));
    END LOOP;
    RETURN c;
END $$;
SELECT pg_temp.union_of(64)::text::business_calendar = pg_temp.union_of(64) AS sixty_four_parts;
SELECT pg_temp.union_of(65);
\set SHOW_CONTEXT errors

-- The text form: all there is, the same under every setting, and read back
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
CREATE TEMP TABLE calendars (n int, c business_calendar);
INSERT INTO calendars VALUES
    (1, business_calendar('support', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-14:00}', holidays => '{2025-12-25, 2025-12-26}')),
    (2, business_calendar('everything', 'Asia/Kathmandu', '{mon wed fri-sun 09:00-17:30, tue 22:00-06:00}', shifts => '{2025-12-24 09:00-12:00, 2025-12-27..2025-12-31 10:00-14:00}',
                          breaks => '{2025-03-03 14:00-16:00, mon-fri 12:00-13:00, 2025-03-04 14:00-16:00}', holidays => '{2025-12-26, 2026-01-01, 2025-12-25}', known_until => '2026-12-31')),
    (3, business_calendar('around the clock', 'UTC', '{mon-sun 00:00-24:00}')),
    (4, business_calendar('to the microsecond', 'UTC', '{mon 09:00:00.000001-09:00:00.5 10:00:30-11:00:00.25}')),
    (5, business_calendar('36 hours', 'UTC', '{mon 00:00-00:00 12:00-12:00}')),
    (6, business_calendar('quoted; "name": ,', 'UTC', '{mon 09:00-17:00}')),
    (7, business_calendar(' Ω – ünï 日本 ', 'UTC', '{mon 09:00-17:00}')),
    (8, business_calendar('union of', 'UTC', '{mon 09:00-17:00}')),
    (9, business_calendar('known for ever', 'UTC', '{mon 09:00-17:00}', holidays => '{2025-12-25}', known_until => 'infinity')),
    (10, business_calendar('known for a while', 'UTC', '{mon 09:00-17:00}', known_until => '2025-12-31')),
    (11, business_calendar('a shift beats the holiday', 'UTC', '{mon 09:00-17:00}', shifts => '{2025-12-25 10:00-12:00}', holidays => '{2025-12-24, 2025-12-25}'));
INSERT INTO calendars SELECT 12, calendar_union(a.c, b.c) FROM calendars a, calendars b WHERE a.n = 3 AND b.n = 8;
INSERT INTO calendars SELECT 13, calendar_intersection(a.c, calendar_union(b.c, calendar_intersection(d.c, a.c))) FROM calendars a, calendars b, calendars d WHERE a.n = 3 AND b.n = 6 AND d.n = 10;
SELECT n, c FROM calendars ORDER BY n;
SELECT n, fingerprint(c) FROM calendars ORDER BY n;
SELECT n FROM calendars WHERE c::text::business_calendar::text <> c::text OR c::text::business_calendar <> c OR fingerprint(c::text::business_calendar) <> fingerprint(c);
RESET timezone;
RESET datestyle;
RESET intervalstyle;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- One calendar, however it is written
CREATE TEMP TABLE written (n int, one business_calendar, other business_calendar);
INSERT INTO written VALUES
    (1, business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}'), business_calendar('c', 'UTC', '{fri 09:00-17:00, mon 09:00-17:00, wed-thu 09:00-17:00, tue 09:00-17:00}')),
    (2, business_calendar('c', 'UTC', '{mon 09:00-17:00}'), business_calendar('c', 'UTC', '{mon 12:00-17:00 09:00-11:00, mon 10:00-12:00}')),
    (3, business_calendar('c', 'UTC', '{mon 00:00-24:00}'), business_calendar('c', 'UTC', '{mon 00:00-00:00}')),
    (4, business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}'), business_calendar('c', 'UTC', '{Monday-FRIDAY   09:00:00-17:00:00.000000}')),
    (5, business_calendar('c', 'UTC', '{sat-mon 09:00-17:00}'), business_calendar('c', 'UTC', '{mon sat-sun 09:00-17:00}')),
    (6, business_calendar('c', 'UTC', '{mon 22:00-06:00}'), business_calendar('c', 'UTC', '{mon 22:00-24:00 23:00-06:00}')),
    (7, business_calendar('c', 'UTC', '{}', shifts => '{2025-12-24..2025-12-26 09:00-17:00}'),
        business_calendar('c', 'UTC', '{}', shifts => '{2025-12-26 09:00-17:00, 2025-12-24..2025-12-25 12:00-17:00, 2025-12-24..2025-12-25 09:00-12:00}')),
    (8, business_calendar('c', 'UTC', '{}', breaks => '{mon-tue 12:00-13:00, 2025-12-24 12:00-14:00}'),
        business_calendar('c', 'UTC', '{}', breaks => '{2025-12-24 13:00-14:00, tue mon 12:00-13:00, 2025-12-24 12:00-13:00}')),
    (9, business_calendar('c', 'UTC', '{}', holidays => '{2025-12-25, 2025-12-26}'), 'c: time_zone UTC; holidays 2025-12-26, 2025-12-25..2025-12-26, 2025-12-25'),
    (10, business_calendar('c', 'UTC', '{}', holidays => '{2025-12-25, 2025-12-26}'), business_calendar('c', 'UTC', '{}', holidays => '{2025-12-26, 2025-12-25}', known_until => '2025-12-26')),
    (11, business_calendar('c', 'UTC', '{}'), business_calendar('c', 'UTC', '{}', known_until => 'infinity')),
    (12, business_calendar('c', 'UTC', '{}'), 'c: time_zone UTC; known_until infinity'),
    (13, business_calendar('c', 'Europe/Berlin', '{}'), business_calendar('c', 'EUROPE/berlin', '{}')),
    (14, business_calendar('c', 'UTC', '{mon 09:00-12:00 13:00-17:00}', known_until => '2025-12-31'), ' "c" :hours  "mon 09:00-12:00" ,mon 13:00-17:00;known_until 2025-12-31 ; time_zone   "UTC" '),
    (15, business_calendar('c', 'UTC', '{}', shifts => '{2025-12-25 09:00-17:00}', holidays => '{2025-12-25, 2025-12-26}'),
         business_calendar('c', 'UTC', '{}', shifts => '{2025-12-25 09:00-17:00}', holidays => '{2025-12-26}'));
SELECT n FROM written WHERE one <> other OR NOT one = other OR one::text <> other::text OR fingerprint(one) <> fingerprint(other) OR business_calendar_hash(one) <> business_calendar_hash(other);
-- Whatever differs makes another
SELECT count(DISTINCT fingerprint(c)) AS different, count(*) AS calendars
FROM (VALUES (business_calendar('c', 'UTC', '{mon 09:00-17:00}')), (business_calendar('d', 'UTC', '{mon 09:00-17:00}')), (business_calendar('c', 'Europe/London', '{mon 09:00-17:00}')),
             (business_calendar('c', 'UTC', '{mon 09:00-17:00:00.000001}')), (business_calendar('c', 'UTC', '{tue 09:00-17:00}')), (business_calendar('c', 'UTC', '{mon 09:00-17:00}', known_until => '2025-12-31')),
             (business_calendar('c', 'UTC', '{mon 09:00-17:00}', breaks => '{mon 18:00-19:00}')), (business_calendar('c', 'UTC', '{mon 09:00-17:00}', breaks => '{2025-03-03 18:00-19:00}')),
             (business_calendar('c', 'UTC', '{mon 09:00-17:00}', shifts => '{2025-03-03 09:00-17:00}')), (business_calendar('c', 'UTC', '{mon 09:00-17:00}', holidays => '{2025-12-31}')),
             (business_calendar('c', 'UTC', '{mon 09:00-17:00}', holidays => '{2025-12-31}', known_until => 'infinity'))) AS t(c);

-- Unions and intersections: order, repetition and nesting of the same operation are nothing, nesting of the other is not
CREATE TEMP TABLE team AS
SELECT business_calendar('a', 'UTC', '{mon 09:00-17:00}') AS a, business_calendar('b', 'UTC', '{mon 13:00-21:00}') AS b, business_calendar('c', 'UTC', '{tue 09:00-17:00}') AS c;
SELECT calendar_union(a, b) = calendar_union(b, a) AS commutes, calendar_union(a, calendar_union(b, c)) = calendar_union(calendar_union(a, b), c) AS associates,
       calendar_union(a, a) = a AS idempotent, calendar_union(calendar_union(a, b), calendar_union(b, c)) = calendar_union(calendar_union(a, b), c) AS repeated,
       calendar_union(a, calendar_intersection(a, b)) = a AS absorbs FROM team;
SELECT calendar_intersection(a, b) = calendar_intersection(b, a) AS commutes, calendar_intersection(a, calendar_intersection(b, c)) = calendar_intersection(calendar_intersection(a, b), c) AS associates,
       calendar_intersection(a, a) = a AS idempotent, calendar_intersection(a, b) = calendar_union(a, b) AS same_as_union FROM team;
SELECT calendar_union(a, NULL) IS NULL AND calendar_union(NULL, a) IS NULL AND calendar_intersection(a, NULL) IS NULL AND calendar_intersection(NULL, a) IS NULL AS null_of_null FROM team;
SELECT 'union of: calendars "a: time_zone UTC; hours mon 09:00-17:00"'::business_calendar = a AS union_of_one FROM team;
SELECT ('union of: calendars "c: time_zone UTC; hours tue 09:00-17:00", "union of: calendars ""a: time_zone UTC; hours mon 09:00-17:00"", ""b: time_zone UTC; hours mon 13:00-21:00"""')::business_calendar
       = calendar_union(calendar_union(a, b), c) AS union_of_union FROM team;
-- Calendars can be grouped and joined
SELECT c, count(*) FROM (SELECT a FROM team UNION ALL SELECT b FROM team UNION ALL SELECT a::text::business_calendar FROM team) AS t(c) GROUP BY c ORDER BY c::text;
SELECT count(*) AS pairs FROM calendars x JOIN calendars y ON x.c = y.c;

-- Text that is no calendar
SELECT ''::business_calendar;
\echo :SQLSTATE
SELECT 'c'::business_calendar;
SELECT 'c:'::business_calendar;
SELECT ': time_zone UTC'::business_calendar;
SELECT 'c: hours mon 09:00-17:00'::business_calendar;
SELECT 'c: time_zone'::business_calendar;
SELECT 'c: time_zone Mars/Olympus'::business_calendar;
\echo :SQLSTATE
SELECT 'c: time_zone UTC, CET'::business_calendar;
SELECT 'c: time_zone UTC; '::business_calendar;
SELECT 'c: time_zone UTC; colour red'::business_calendar;
SELECT 'c: time_zone UTC; time_zone CET'::business_calendar;
SELECT 'c: time_zone UTC; hours'::business_calendar;
SELECT 'c: time_zone UTC; hours mon 09:00-17:00,'::business_calendar;
SELECT 'c: time_zone UTC; hours mon 09:00-17:00; hours tue 09:00-17:00'::business_calendar;
SELECT 'c: time_zone UTC; hours "mon 09:00-17:00'::business_calendar;
SELECT 'c: time_zone UTC; holidays 2025-12-26..2025-12-25'::business_calendar;
\echo :SQLSTATE
SELECT 'c: time_zone UTC; holidays 2025-12-25 26'::business_calendar;
SELECT 'c: time_zone UTC; holidays 0001-01-01..9999-12-31'::business_calendar;
\echo :SQLSTATE
SELECT 'c: time_zone UTC; known_until 2025-12-25, 2025-12-26'::business_calendar;
SELECT 'union of: calendars'::business_calendar;
\echo :SQLSTATE
SELECT 'union of: calendars a'::business_calendar;
SELECT 'union of: calendars "a: time_zone UTC"; hours mon 09:00-17:00'::business_calendar;
SELECT 'difference of: calendars "a: time_zone UTC", "b: time_zone UTC"'::business_calendar;

-- Questions: NULLs and infinite times
CREATE TEMP TABLE defined AS
SELECT business_calendar('office', 'UTC', '{mon-fri 09:00-12:00 13:00-17:00}') AS office, business_calendar('never', 'UTC', '{}') AS never, business_calendar('always', 'UTC', '{mon-sun 00:00-24:00}') AS always;
SELECT business_time(office, '2025-03-03', NULL) IS NULL AND business_time(office, NULL, '2025-03-03') IS NULL AND business_time(NULL, '2025-03-03', '2025-03-04') IS NULL
       AND business_add(office, '2025-03-03', NULL) IS NULL AND business_add(office, NULL, '1 hour') IS NULL AND business_add(NULL, '2025-03-03', '1 hour') IS NULL
       AND next_open(office, NULL) IS NULL AND next_open(NULL, '2025-03-03') IS NULL AND is_open(office, NULL) IS NULL AND is_open(NULL, '2025-03-03') IS NULL
       AND beyond_horizon(office, NULL) IS NULL AND beyond_horizon(NULL, '2025-03-03') IS NULL AND fingerprint(NULL::business_calendar) IS NULL AS null_of_null,
       (SELECT count(*) FROM open_intervals(office, '2025-03-03', NULL)) + (SELECT count(*) FROM open_intervals(office, NULL, '2025-03-03'))
       + (SELECT count(*) FROM open_intervals(NULL, '2025-03-03', '2025-03-04')) AS no_rows
FROM defined;
SELECT business_time(office, 'infinity', '2025-03-03') FROM defined;
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_time(office, '2025-03-03', '-infinity') FROM defined;
SELECT business_add(office, 'infinity', '0') FROM defined;
SELECT next_open(office, '-infinity') FROM defined;
SELECT is_open(office, 'infinity') FROM defined;
SELECT beyond_horizon(office, 'infinity') FROM defined;
SELECT o.* FROM defined, open_intervals(office, '-infinity', '2025-03-03') o;
SELECT o.* FROM defined, open_intervals(office, '2025-03-03', 'infinity') o;
\set VERBOSITY default
-- an amount has no days and no months, and not even some that cancel out
SELECT business_add(office, '2025-03-03', '1 day') FROM defined;
\echo :SQLSTATE
\set VERBOSITY terse
SELECT business_add(office, '2025-03-03', '1 month') FROM defined;
SELECT business_add(office, '2025-03-03', '1 year') FROM defined;
SELECT business_add(office, '2025-03-03', '1 day -24 hours') FROM defined;
\set VERBOSITY default

-- Never open: nothing ever, and soon; always open: wall time
SELECT business_time(never, '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999') AS nothing, business_add(never, '2025-03-03', '1 microsecond') AS forward, business_add(never, '2025-03-03', '-1 microsecond') AS backward,
       business_add(never, '2025-03-03', '0') AS by_nothing, next_open(never, '2025-03-03') AS next, is_open(never, '2025-03-03') AS open, beyond_horizon(never, '294276-12-31') AS beyond,
       (SELECT count(*) FROM open_intervals(never, '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999')) AS intervals FROM defined;
SELECT business_time(always, '2025-01-01', '2026-01-01') AS a_year, business_add(always, '2025-01-01', '8760 hours') AS one_later, next_open(always, '2025-01-01 12:34:56.789') AS now,
       (SELECT count(*) FROM open_intervals(always, '4714-11-24 00:00 BC', '294276-12-31 23:59:59.999999')) AS intervals FROM defined;

-- Half-open rows; 2025-03-03 is a Monday
SELECT at, is_open(office, at::timestamptz) AS open, next_open(office, at::timestamptz) AS next
FROM defined, unnest('{2025-03-03 08:59:59.999999, 2025-03-03 09:00, 2025-03-03 11:59:59.999999, 2025-03-03 12:00, 2025-03-07 16:59:59.999999, 2025-03-07 17:00}'::text[]) AS at ORDER BY at::timestamptz;
-- Differences: negative backwards, hours and less however long
SELECT from_at, to_at, business_time(office, from_at::timestamptz, to_at::timestamptz) AS there, business_time(office, to_at::timestamptz, from_at::timestamptz) AS back
FROM defined, (VALUES (1, '2025-03-03 09:00', '2025-03-03 09:00'), (2, '2025-03-03 08:00', '2025-03-03 09:00'), (3, '2025-03-03 08:00', '2025-03-03 18:00'), (4, '2025-03-03 11:30', '2025-03-03 13:30'),
                      (5, '2025-03-07 16:00', '2025-03-10 10:00'), (6, '2025-03-08 12:00', '2025-03-09 12:00'), (7, '2025-03-03 09:00:00.000001', '2025-03-03 09:00:00.5'), (8, '2025-01-01', '2026-01-01')) AS t(n, from_at, to_at) ORDER BY n;
-- Sums: forward to a closing time, not to the next opening; backward to an opening, not to a closing time before it
SELECT at, amount, business_add(office, at::timestamptz, amount::interval)
FROM defined, (VALUES (1, '2025-03-03 09:00', '0'), (2, '2025-03-08 12:00', '0'), (3, '2025-03-03 09:00', '3 hours'), (4, '2025-03-03 09:00', '3 hours 1 microsecond'), (5, '2025-03-07 16:00', '1 hour'),
                      (6, '2025-03-07 16:00', '1 hour 1 microsecond'), (7, '2025-03-08 12:00', '7 hours'), (8, '2025-03-03 09:00', '70 hours'), (9, '2025-03-03 10:00', '-1 hour'),
                      (10, '2025-03-03 10:00', '-01:00:00.000001'), (11, '2025-03-08 12:00', '-7 hours'), (12, '2025-03-17 09:00', '-70 hours')) AS t(n, at, amount) ORDER BY n;
-- Intervals: clipped; none backwards; neighbours that touch are one
SELECT o.* FROM defined, open_intervals(office, '2025-03-07 16:30', '2025-03-10 09:15') o;
SELECT count(*) AS none FROM defined, open_intervals(office, '2025-03-03 12:00', '2025-03-03 12:00') o;
SELECT count(*) AS none FROM defined, open_intervals(office, '2025-03-04', '2025-03-03') o;
SELECT o.* FROM open_intervals(business_calendar('c', 'UTC', '{mon 22:00-24:00, tue 00:00-02:00 02:00-03:00}'), '2025-03-01', '2025-03-08') o;

-- Rows over midnight belong to the day they start on, also from Sunday to Monday; equal times are 24 hours
SELECT o.* FROM open_intervals(business_calendar('night', 'UTC', '{mon 22:00-06:00, sun 22:00-06:00}'), '2025-03-02', '2025-03-09') o;
SELECT o.* FROM open_intervals(business_calendar('24 hours', 'UTC', '{wed 09:00-09:00}'), '2025-03-02', '2025-03-09') o;
-- Shifts replace the rows that start on a date: Monday's night still ends on Tuesday, Tuesday's does not begin
SELECT o.* FROM open_intervals(business_calendar('shift', 'UTC', '{mon tue 22:00-06:00}', shifts => '{2025-03-04 10:00-12:00, 2025-03-04 11:00-13:00}'), '2025-03-02', '2025-03-09') o;
-- Holidays close the whole day: Monday's night ends at midnight, Tuesday's does not begin
SELECT o.* FROM open_intervals(business_calendar('holiday', 'UTC', '{mon tue wed 22:00-06:00}', holidays => '{2025-03-04}'), '2025-03-02', '2025-03-09') o;
-- A date with a shift is no holiday: Monday's night runs into it
SELECT o.* FROM open_intervals(business_calendar('both', 'UTC', '{mon tue wed 22:00-06:00}', shifts => '{2025-03-04 10:00-12:00}', holidays => '{2025-03-04}'), '2025-03-02', '2025-03-09') o;
-- A shift that runs into a holiday ends at midnight
SELECT o.* FROM open_intervals(business_calendar('eve', 'UTC', '{}', shifts => '{2025-03-03 22:00-06:00}', holidays => '{2025-03-04}'), '2025-03-02', '2025-03-09') o;
-- Breaks are taken away from everything, shifts too; over midnight like rows; what is closed anyway stays so
SELECT o.* FROM open_intervals(business_calendar('breaks', 'UTC', '{mon 08:00-17:00}', shifts => '{2025-03-04 08:00-17:00}', breaks => '{mon-fri 12:00-13:00, 2025-03-04 16:00-16:30, mon 23:00-09:00, sun 00:00-24:00}'), '2025-03-02', '2025-03-09') o;
-- and from a holiday's evening into the next day
SELECT o.* FROM open_intervals(business_calendar('breaks', 'UTC', '{tue wed 00:00-24:00}', breaks => '{tue 22:00-06:00}', holidays => '{2025-03-04}'), '2025-03-02', '2025-03-09') o;

-- Clock changes, Europe/Berlin in 2025: 30 March has 23 hours, 26 October 25
CREATE TEMP TABLE berlin AS
SELECT business_calendar('all day', 'Europe/Berlin', '{sun 00:00-24:00}') AS all_day, business_calendar('skipped', 'Europe/Berlin', '{sun 02:00-03:00}') AS at_two, business_calendar('half past', 'Europe/Berlin', '{sun 02:30-03:30}') AS half_past;
SELECT from_at, business_time(all_day, from_at::timestamptz, to_at::timestamptz) AS all_day, business_time(at_two, from_at::timestamptz, to_at::timestamptz) AS at_two, business_time(half_past, from_at::timestamptz, to_at::timestamptz) AS half_past
FROM berlin, (VALUES ('2025-03-30 00:00+01', '2025-03-31 00:00+02'), ('2025-10-26 00:00+02', '2025-10-27 00:00+01'), ('2025-11-02 00:00+01', '2025-11-03 00:00+01')) AS t(from_at, to_at) ORDER BY from_at::timestamptz;
-- 02:00-03:00 is skipped in March and comes twice in a row in October; 02:30-03:30 loses its first half, and is open twice
SELECT 'at two' AS calendar, o.* FROM berlin, open_intervals(at_two, '2025-03-30', '2025-03-31') o UNION ALL SELECT 'at two', o.* FROM berlin, open_intervals(at_two, '2025-10-26', '2025-10-27') o
UNION ALL SELECT 'half past', o.* FROM berlin, open_intervals(half_past, '2025-03-30', '2025-03-31') o UNION ALL SELECT 'half past', o.* FROM berlin, open_intervals(half_past, '2025-10-26', '2025-10-27') o ORDER BY 1, 2;
SELECT business_add(at_two, '2025-10-26 00:00+00', '90 minutes') AS in_the_second_one, next_open(at_two, '2025-03-30 00:00+00') AS a_week_later FROM berlin;
-- a half hour at a time (Lord Howe), at midnight (São Paulo), and a day that there never was (Apia, 2011-12-30)
SELECT business_time(business_calendar('howe', 'Australia/Lord_Howe', '{sun 00:00-24:00}'), '2025-04-05 13:00+00', '2025-04-06 13:30+00') AS longer_by_half_an_hour,
       (SELECT array_agg(opens_at || ' ' || closes_at) FROM open_intervals(business_calendar('paulo', 'America/Sao_Paulo', '{sun 00:00-09:00}'), '2018-11-03', '2018-11-05')) AS begins_at_one,
       business_time(business_calendar('apia', 'Pacific/Apia', '{fri 00:00-24:00}'), '2011-12-29', '2012-01-01') AS no_friday;

-- A union and an intersection, each part in its own zone: Berlin works 08:00-16:00 UTC, New York 14:00-22:00
CREATE TEMP TABLE offices AS
SELECT business_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-17:00}', holidays => '{2025-03-05}', known_until => '2025-03-06') AS berlin, business_calendar('new york', 'America/New_York', '{mon-fri 09:00-17:00}') AS new_york;
SELECT o.* FROM offices, open_intervals(calendar_union(berlin, new_york), '2025-03-03', '2025-03-06') o;
SELECT o.* FROM offices, open_intervals(calendar_intersection(berlin, new_york), '2025-03-03', '2025-03-06') o;
SELECT business_time(berlin, a, b) AS berlin, business_time(new_york, a, b) AS new_york, business_time(calendar_union(berlin, new_york), a, b) AS either, business_time(calendar_intersection(berlin, new_york), a, b) AS both_of_them,
       business_time(calendar_union(berlin, new_york), a, b) = business_time(berlin, a, b) + business_time(new_york, a, b) - business_time(calendar_intersection(berlin, new_york), a, b) AS adds_up
FROM offices, (VALUES ('2025-01-01'::timestamptz, '2026-01-01'::timestamptz)) AS t(a, b);

-- The horizon is a local date; a union or an intersection has that of any part; without holidays there is none
SELECT at, beyond_horizon(berlin, at::timestamptz) AS berlin, beyond_horizon(new_york, at::timestamptz) AS new_york, beyond_horizon(calendar_union(new_york, berlin), at::timestamptz) AS either, beyond_horizon(calendar_intersection(berlin, new_york), at::timestamptz) AS both_of_them
FROM offices, unnest('{2025-03-06 22:59:59.999999+00, 2025-03-06 23:00+00}'::text[]) AS at ORDER BY at::timestamptz;
SELECT beyond_horizon(business_calendar('c', 'UTC', '{}', holidays => '{2025-12-26, 2025-12-25}'), '2025-12-26 23:59:59.999999') AS last_holiday, beyond_horizon(business_calendar('c', 'UTC', '{}', holidays => '{2025-12-26, 2025-12-25}'), '2025-12-27') AS the_day_after,
       beyond_horizon(business_calendar('c', 'UTC', '{}', holidays => '{2025-12-26}', known_until => 'infinity'), '294276-12-31') AS known_for_ever, beyond_horizon(business_calendar('c', 'UTC', '{}', known_until => '0001-01-01'), '2025-01-01') AS known_until_then;
-- beyond it, times are worked out as if there were no more holidays
SELECT business_time(c, '2025-12-25', '2025-12-26') AS in_2025, business_time(c, '2026-12-25', '2026-12-26') AS in_2026, beyond_horizon(c, '2026-12-25') FROM (SELECT business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}', holidays => '{2025-12-25}') AS c) t;

-- Far away: before the first clock change its first offset holds (Berlin's local mean time, 53:28 ahead), after the last one its rule
SELECT next_open(c, '0001-01-01 BC') AS before_christ, next_open(c, '1000-01-01') AS middle_ages, next_open(c, '3000-01-01') AS a_winter, next_open(c, '3000-07-01') AS a_summer, next_open(c, '200000-07-01') AS far_off
FROM (SELECT business_calendar('c', 'Europe/Berlin', '{mon-sun 09:00-17:00}') AS c) t;
-- 400 years are 20,871 weeks
SELECT business_time(office, '1000-01-01', '1400-01-01') AS of_old, business_time(office, '2400-03-01', '2800-03-01') AS to_come, business_time(office, '10000-01-01', '10400-01-01') AS far_off,
       business_add(office, '4000-01-01', '730485 hours') AS four_centuries, business_add(office, '294276-12-31', '1000000 hours') AS out_of_time FROM defined;
-- dates at both ends of the calendar
SELECT next_open(c, '0001-01-01 BC') AS first, business_add(c, '0001-01-02', '1 hour') AS second, next_open(c, '9999-12-31 18:00') AS after_all, business_time(c, '4714-11-24 BC', '294276-01-01') AS all_there_is
FROM (SELECT business_calendar('c', 'UTC', '{}', shifts => '{0001-01-01 09:00-17:00, 9999-12-31 09:00-17:00}') AS c) t;
-- at both ends of time
SELECT is_open(always, '294276-12-31 23:59:59.999999') AS last, is_open(always, '4714-11-24 BC') AS first, next_open(always, '4714-11-24 BC') AS open_at_the_first,
       business_add(always, '294276-12-31', '1 hour') AS an_hour, business_add(always, '294276-12-31', '24 hours') AS one_too_many, business_add(always, '4714-11-24 01:00 BC', '-1 hour') AS back, business_add(always, '4714-11-24 01:00 BC', '-1 hour -1 microsecond') AS one_too_far FROM defined;
-- between which there can be more than an interval holds
SELECT business_time(always, '4714-11-24 BC', '294276-12-31') FROM defined;
\echo :SQLSTATE
SELECT business_time(always, '294276-12-31', '4714-11-24 BC') FROM defined;
SELECT business_time(office, '294276-12-31', '4714-11-24 BC') = -business_time(office, '4714-11-24 BC', '294276-12-31') AS mirrored FROM defined;
