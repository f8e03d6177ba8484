--
-- sla: SLAs, what is refused, text forms, clocks, summaries; and the business clock of velocity.
--
\encoding UTF8
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- The name
SELECT sla(NULL, start => '{created}', stop => '{replied}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('', start => '{created}', stop => '{replied}', target => '1 hour');
\echo :SQLSTATE
SELECT sla(repeat('n', 256), start => '{created}', stop => '{replied}', target => '1 hour');
SELECT sla_name(sla(repeat('n', 255), start => '{created}', stop => '{replied}', target => '1 hour')) = repeat('n', 255) AS longest_name_is_fine;

-- Names of marks
SELECT sla('none', start => '{}', stop => '{replied}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('none', start => '{created}', target => '1 hour');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('none', start => NULL, stop => '{replied}', target => '1 hour');
SELECT sla('none', start => '{created}', stop => NULL, target => '1 hour');
SELECT sla('null', start => '{created, NULL}', stop => '{replied}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('null', start => '{created}', stop => '{replied}', promise => '{NULL}', target => '1 hour');
SELECT sla('empty', start => '{created, ""}', stop => '{replied}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('long', start => ARRAY[repeat('m', 256)], stop => '{replied}', target => '1 hour');
-- Roles that contradict each other
SELECT sla('roles', start => '{created}', stop => '{replied}', pause => '{both}', resume => '{both}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('roles', start => '{created}', stop => '{replied, both}', reset => '{both}', target => '1 hour');
SELECT sla('roles', start => '{created}', stop => '{replied, both}', cancel => '{both}', target => '1 hour');
SELECT sla('roles', start => '{created}', stop => '{replied}', reset => '{both}', cancel => '{both}', target => '1 hour');
SELECT sla('roles', start => '{created}', stop => '{replied}', cancel => '{created}', target => '1 hour');
\set VERBOSITY default
SELECT sla('roles', start => '{created, touched}', stop => '{touched}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('roles', start => '{created, touched}', stop => '{touched}', target => '1 hour', reopen => 'ignore');
SELECT sla('roles', start => '{created, touched}', stop => '{touched}', target => '1 hour', reopen => 'restart');
-- others go together
SELECT sla('roles', start => '{created, parked}', stop => '{replied}', pause => '{parked}', reset => '{created}', segment => '{parked, created}', owner => '{replied}', promise => '{parked}', target => '1 hour');

-- Numbers of marks: of lists, else of a lifecycle's stages, else in order of appearance
SELECT sla('numbered', start => '{a, b}', stop => '{c, a2}', pause => '{d}', resume => '{b, e}', reset => '{f}', cancel => '{g}', segment => '{h}', owner => '{i}', promise => '{j, d}', phases => '{one until k, two until c, three}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=7 3, " replied = 20   21 ", never used=9}', target => '1 hour');
SELECT sla('staged', start => '{lead}', stop => '{won, called}', marks => '{called=100}', target => '1 hour',
           lifecycle => lifecycle('l', stages => '{lead, mql}', won => 'won', lost => '{lost}', marks => '{1, 2, 3 30, 4}'));
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1}', target => '1 hour');
\echo :SQLSTATE
SELECT sla('staged', start => '{lead}', stop => '{called}', lifecycle => lifecycle('l', stages => '{lead, mql}'), target => '1 hour');
\set VERBOSITY terse
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, =2}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=0}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=-2}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=32768}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=99999999999999999999}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=two}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=2;3}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=2 2}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=2, created=3}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=2 1}', target => '1 hour');
SELECT sla('listed', start => '{created}', stop => '{replied}', marks => '{created=1, replied=2, NULL}', target => '1 hour');
SELECT sla('staged', start => '{a}', stop => '{b}', lifecycle => lifecycle('l', stages => '{a, b}', marks => '{1 5, 2 5}', skip => 'strict'), target => '1 hour');
\set VERBOSITY default

-- Target
SELECT sla('target', start => '{created}', stop => '{replied}');
\echo :SQLSTATE
SELECT sla('target', start => '{created}', stop => '{replied}', target => '0');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('target', start => '{created}', stop => '{replied}', target => '-1 hour');
SELECT sla('target', start => '{created}', stop => '{replied}', target => '1 day -24 hours');
SELECT sla('target', start => '{created}', stop => '{replied}', target => '1 month');
SELECT sla('target', start => '{created}', stop => '{replied}', target => '2147483647 days');
SELECT sla('target', start => '{created}', stop => '{replied}', target => '1 month', calendar => 'c: time_zone UTC');
\set VERBOSITY default
SELECT sla('target', start => '{created}', stop => '{replied}', target => '1 day', calendar => 'c: time_zone UTC');
\echo :SQLSTATE
SELECT sla('target', start => '{created}', stop => '{replied}', target => '2 days 00:00:00.000001');
SELECT sla('target', start => '{created}', stop => '{replied}', target => '48 hours', calendar => 'c: time_zone UTC');
SELECT sla('target', start => '{created}', stop => '{replied}', promise => '{promised}');

-- Words and numbers
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', reopen => 'reopen');
\echo :SQLSTATE
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', change => 'Carry');
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', max_clocks => 2, beyond => 'error');
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', reopen => NULL);
\echo :SQLSTATE
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', beyond => 'breach');
\set VERBOSITY terse
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', change => NULL);
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', beyond => NULL);
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', max_clocks => 0);
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', max_clocks => -1);
SELECT sla('words', start => '{created}', stop => '{replied}', target => '1 hour', version => repeat('v', 256));
\set VERBOSITY default

-- Warnings
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{0.5, 1}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{0}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{-0.5}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{80}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{NaN}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{Infinity}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{0.1234567}');
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{NULL}');
\echo :SQLSTATE
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => array_agg(i * 0.05)) FROM generate_series(1, 17) i;
\echo :SQLSTATE
\set VERBOSITY default
SELECT sla('warnings', start => '{created}', stop => '{replied}', target => '1 hour', warnings => '{0.999999, 0.5, 0.000001, 0.50}');

-- Escalations
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{80%}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{""}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{80% to}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{80 to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{0% to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{-5% to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{5.% to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{12.34567% to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{10000.0001% to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breached to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach 4 hours to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + 04:00 to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + 4 weeks to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + -4 hours to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + 9999999999999 hours to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => ARRAY['80% to ' || repeat('r', 256)]);
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{NULL}');
\echo :SQLSTATE
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => array_agg(i || '% to owner')) FROM generate_series(1, 33) i;
\echo :SQLSTATE
\set VERBOSITY default
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + 1 day to owner}', calendar => 'c: time_zone UTC');
\echo :SQLSTATE
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour', escalations => '{breach + 1 day to owner}');
SELECT sla('steps', start => '{created}', stop => '{replied}', target => '1 hour',
           escalations => '{ 99.9900%  to  owner to be , 10000% to a, breach to b, breach+90 minutes to c, breach - 1 hours 1 second 1 microsecond to d, breach + 0 hours to e}');

-- When it applies, and to whom
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', valid => 'empty');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', valid => '(2025-03-03 00:00+00, 2025-03-03 00:00:00.000001+00)');
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', valid => '[infinity,)');
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', valid => '(,-infinity]');
\set VERBOSITY default
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', segments => '{1}');
\echo :SQLSTATE
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', owners => '{1}');
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', segment => '{tier}', segments => '{}');
\set VERBOSITY terse
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', owner => '{owner}', owners => '{}');
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', segment => '{tier}', segments => '{1, NULL}');
\echo :SQLSTATE
SELECT sla('valid', start => '{created}', stop => '{replied}', target => '1 hour', segment => '{tier}', segments => array_agg(i)) FROM generate_series(1::bigint, 65537) i;
\echo :SQLSTATE
\set VERBOSITY default

-- Phases
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned}');
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing, human}');
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned, ""}');
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned, routing}');
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned, acceptance until assigned, human}');
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned, total}');
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => '{routing until assigned, NULL}');
\echo :SQLSTATE
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => array_agg('p' || i || CASE WHEN i < 17 THEN ' until m' || i ELSE '' END)) FROM generate_series(1, 17) i;
\echo :SQLSTATE
SELECT sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => array_agg('p' || i || CASE WHEN i < 16 THEN ' until m' || i ELSE '' END)) IS NOT NULL AS sixteen_phases FROM generate_series(1, 16) i;
\set VERBOSITY default

-- Many names
SELECT mark(sla('many', start => array_agg('m' || i ORDER BY i), stop => '{replied}', target => '1 hour'), 'replied') FROM generate_series(1, 1023) i;
SELECT sla('many', start => array_agg('m' || i), stop => '{replied}', target => '1 hour') FROM generate_series(1, 1024) i;
\echo :SQLSTATE

-- The number of a mark, the value of a promise, the name
CREATE TEMP TABLE agreed AS SELECT sla('first reply', start => '{created}', stop => '{replied}', pause => '{waiting}', target => '1 hour', marks => '{created=7 3, replied=20, waiting=4}') AS s;
SELECT name, mark(s, name) FROM agreed, unnest('{created, replied, waiting, NULL}'::text[]) WITH ORDINALITY AS t(name, n) ORDER BY n;
SELECT mark(s, 'nonsense') FROM agreed;
\echo :SQLSTATE
\set VERBOSITY terse
SELECT mark(s, 'Created') FROM agreed;
SELECT mark(s, 'create') FROM agreed;
SELECT mark(s, '') FROM agreed;
\set VERBOSITY default
SELECT mark(NULL::sla, 'created') IS NULL AND sla_name(NULL) IS NULL AND promise_value(NULL) IS NULL AND fingerprint(NULL::sla) IS NULL AS null_of_null;
SELECT promise_value('1970-01-01 00:00:00.000001+00') AS one, promise_value('2025-03-03 12:00+01') AS noon, promise_value('4714-11-24 00:00+00 BC') AS least;
SELECT promise_value('infinity');
\echo :SQLSTATE
SELECT promise_value('294276-12-31');
\echo :SQLSTATE
SELECT sla_name(s) FROM agreed;

-- Several policies in one SLA: one for which neither could give way to the other is refused, whatever their order
CREATE FUNCTION pg_temp.policy(version text, target interval DEFAULT '4 hours', valid tstzrange DEFAULT NULL, segments bigint[] DEFAULT NULL, owners bigint[] DEFAULT NULL, calendar business_calendar DEFAULT NULL, name text DEFAULT 's') RETURNS sla
LANGUAGE SQL AS $$ SELECT sla($7, start => '{created}', stop => '{replied}', segment => '{tier}', owner => '{owner}', promise => '{promised}', target => $2, version => $1, valid => $3, segments => $4, owners => $5, calendar => $6) $$;
SELECT sla(ARRAY[pg_temp.policy('one'), pg_temp.policy('two')]);
\echo :SQLSTATE
SELECT sla(ARRAY[pg_temp.policy('one', valid => '[,2025-03-03 12:00+00]'), pg_temp.policy('two', valid => '[2025-03-03 12:00+00,)')]);
\set VERBOSITY terse
SELECT sla(ARRAY[pg_temp.policy('one'), pg_temp.policy('one')]);
SELECT sla(ARRAY[pg_temp.policy('one'), pg_temp.policy('two', NULL)]);
SELECT sla(ARRAY[pg_temp.policy('one', segments => '{1, 2}'), pg_temp.policy('two', segments => '{2, 3}')]);
SELECT sla(ARRAY[pg_temp.policy('one', owners => '{1, 2}'), pg_temp.policy('two', segments => '{2}'), pg_temp.policy('three', owners => '{2}')]);
SELECT sla(ARRAY[pg_temp.policy('one', segments => '{1}', owners => '{1, 2}'), pg_temp.policy('two', segments => '{1, 2}', owners => '{2}')]);
\set VERBOSITY default
-- these could not be
SELECT sla(ARRAY[pg_temp.policy('later', valid => '[2025-03-03 12:00+00,)'), pg_temp.policy('all one', segments => '{1}', owners => '{1}'), pg_temp.policy('owners', owners => '{2, 1}'), pg_temp.policy('segments', segments => '{2}'),
                 pg_temp.policy('earlier', valid => '[,2025-03-03 12:00+00)'), pg_temp.policy('all two', segments => '{1}', owners => '{2}'), pg_temp.policy('segment', segments => '{1}')]);
-- what they must agree in
SELECT sla(ARRAY[pg_temp.policy('one', segments => '{1}'), pg_temp.policy('two', name => 'other')]);
\echo :SQLSTATE
\set VERBOSITY terse
SELECT sla(ARRAY[pg_temp.policy('one', segments => '{1}'), sla('s', start => '{created}', stop => '{replied}', segment => '{tier}', owner => '{owner}', promise => '{promised}', target => '1 hour', reopen => 'restart')]);
SELECT sla(ARRAY[pg_temp.policy('one', segments => '{1}'), sla('s', start => '{created}', stop => '{replied}', segment => '{tier}', owner => '{owner}', target => '1 hour')]);
SELECT sla(array_agg(pg_temp.policy(i::text, segments => ARRAY[i]))) FROM generate_series(1::bigint, 1025) i;
\echo :SQLSTATE
\set VERBOSITY default
SELECT sla(array_agg(pg_temp.policy(i::text, segments => ARRAY[i]))) IS NOT NULL AS many_policies FROM generate_series(1::bigint, 1024) i;
-- NULLs are left out; of nothing there is nothing; of one it is the same
SELECT sla(NULL::sla[]) IS NULL AND sla('{}'::sla[]) IS NULL AND sla(ARRAY[NULL, NULL]::sla[]) IS NULL AS nothing, sla(ARRAY[NULL, s, NULL]) = s AS one FROM agreed;
-- SLAs of several policies can be joined again
SELECT sla(ARRAY[sla(ARRAY[pg_temp.policy('a', segments => '{1}'), pg_temp.policy('b', segments => '{2}')]), pg_temp.policy('c')]) = sla(ARRAY[pg_temp.policy('c'), pg_temp.policy('b', segments => '{2}'), pg_temp.policy('a', segments => '{1}')]) AS joined_again;

-- The text form: all there is, the same under every setting, and read back
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
CREATE TEMP TABLE slas (n int, s sla);
INSERT INTO slas VALUES
    (1, sla('first reply', start => '{created}', stop => '{replied}', target => '8 hours')),
    (2, sla('everything', start => '{created}', stop => '{replied, closed}', pause => '{waiting}', resume => '{answered}', reset => '{again}', cancel => '{spam}', segment => '{tier}', owner => '{owner}', promise => '{promised}',
            marks => '{created=1, replied=2 20, closed=3, waiting=4, answered=5, again=6, spam=7, tier=8, owner=9, promised=10, assigned=11, accepted=12}', target => '1 hour 2 minutes 3.000004 seconds',
            calendar => business_calendar('support', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00}', holidays => '{2025-12-25}'), warnings => '{0.9, 0.5}', escalations => '{80% to owner, breach + 4 hours to director}', version => 'v1',
            valid => '[2025-01-01 00:00+00, 2026-01-01 00:00:00.25+00)', segments => '{3, -1, 9223372036854775807, -9223372036854775808}', owners => '{7}', reopen => 'restart', change => 'restart',
            phases => '{routing until assigned, acceptance until accepted, human}', max_clocks => 3, beyond => 'breach')),
    (3, sla(' quoted; "name": ', start => ARRAY['a,b', 'c;d', 'e:f', 'g"h', 'i=j', '=', 'k=1', 'l''m', E'tab\there', E'new\nline', 'policy', 'until'], stop => '{日本, "🙂"}', target => '1 hour')),
    (4, sla('recipients', start => '{created}', stop => '{replied}', target => '1 hour', version => ' target none, "x" ', escalations => ARRAY['80% to a, b; "c"', '90% to  d', 'breach to to to e'])),
    (5, sla('phases', start => '{created}', stop => '{replied}', target => '1 hour', phases => ARRAY[' a, "b"; until "x", y', 'c until until z', 'd until'])),
    (6, sla('promised only', start => '{created}', stop => '{replied}', promise => '{promised}', warnings => '{}')),
    (7, sla('nested calendar', start => '{created}', stop => '{replied}', target => '1 hour',
            calendar => calendar_union('"a, ""b""": time_zone UTC; hours mon 09:00-17:00', calendar_intersection('c: time_zone UTC; hours tue 09:00-17:00', '"d; e": time_zone Europe/Berlin; hours tue 09:00-17:00')))),
    (8, sla('to the last instant', start => '{created}', stop => '{replied}', target => '1 hour', valid => '[4714-11-24 00:00+00 BC, 294276-12-31 23:59:59.999999+00)')),
    (9, sla(ARRAY[pg_temp.policy('a', calendar => 'x: time_zone UTC; hours mon 09:00-17:00'), pg_temp.policy('b', segments => '{1}', calendar => 'y: time_zone UTC; hours mon 09:00-17:00'), pg_temp.policy('c', segments => '{2}', calendar => 'x: time_zone UTC; hours mon 09:00-17:00')]));
SELECT n, s FROM slas ORDER BY n;
SELECT n, fingerprint(s) FROM slas ORDER BY n;
SELECT n FROM slas WHERE s::text::sla::text <> s::text OR s::text::sla <> s OR fingerprint(s::text::sla) <> fingerprint(s);
-- names that begin or end with a blank
-- white space around a name would be lost in text
SELECT sla('s', start => ARRAY[' created'], stop => ARRAY['replied'], target => '1 hour');
SELECT sla('s', start => ARRAY['created'], stop => ARRAY['replied', ' '], target => '1 hour');
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

-- One SLA, however it is written: names in a role, marks, values, warnings and policies in any order, repeated or not; defaults said or not
CREATE TEMP TABLE written (n int, one sla, other sla);
INSERT INTO written VALUES
    (1, sla('s', start => '{a, b}', stop => '{c, d}', target => '1 hour', marks => '{a=1, b=2, c=3, d=4 5}'), sla('s', start => '{b, a, b}', stop => '{d, c}', target => '1 hour', marks => '{d=5 04, c=3, b=2, a=1}')),
    (2, sla('s', start => '{a}', stop => '{b}', target => '1 hour'), sla('s', start => '{a}', stop => '{b}', target => '60 minutes', marks => '{b=2, a=1}')),
    (3, sla('s', start => '{a}', stop => '{b}', target => '1 hour'), sla('s', '{a}', '{b}', '{}', '{}', NULL, NULL, NULL, NULL, NULL, NULL, NULL, '01:00', NULL, '{0.8}', NULL, NULL, NULL, NULL, NULL, 'resume', 'carry', NULL, NULL, 'ignore')),
    (4, sla('s', start => '{a}', stop => '{b}', target => '1 hour', warnings => '{0.5, 0.9}'), sla('s', start => '{a}', stop => '{b}', target => '1 hour', warnings => '{0.900, 0.5, 0.9}')),
    (5, sla('s', start => '{a}', stop => '{b}', target => '24 hours'), sla('s', start => '{a}', stop => '{b}', target => '1 day')),
    (6, sla('s', start => '{a}', stop => '{b}', segment => '{c}', owner => '{d}', target => '1 hour', segments => '{1, 2}', owners => '{3, 4}'), sla('s', start => '{a}', stop => '{b}', segment => '{c}', owner => '{d}', target => '1 hour', segments => '{2, 1, 2}', owners => '{4, 3, 3}')),
    (7, sla('s', start => '{a}', stop => '{b}', target => '1 hour'), sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '(,)')),
    (8, sla('s', start => '{a}', stop => '{b}', target => '1 hour'), sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '[-infinity, infinity]')),
    (9, sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '[2025-03-03 00:00+00, 2025-03-04 00:00+00)'), sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '(2025-03-02 23:59:59.999999+00, 2025-03-03 23:59:59.999999+00]')),
    (10, sla('s', start => '{a}', stop => '{b}', target => '1 hour', max_clocks => 2), sla('s', start => '{a}', stop => '{b}', target => '1 hour', max_clocks => 2, beyond => 'ignore')),
    (11, sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{50% to x, breach + 1 hour to y}'), sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{50.0%  to  x, breach+60 minutes to y}')),
    (12, sla('s', start => '{a}', stop => '{b}', target => '1 hour', lifecycle => lifecycle('l', stages => '{a, b}')), sla('s', start => '{a}', stop => '{b}', target => '1 hour', lifecycle => lifecycle('m', stages => '{a, b, c}'))),
    (13, sla(ARRAY[pg_temp.policy('a', segments => '{1}', calendar => 'x: time_zone UTC'), pg_temp.policy('b', owners => '{1}', calendar => 'y: time_zone UTC'), pg_temp.policy('c')]),
         sla(ARRAY[pg_temp.policy('c'), pg_temp.policy('b', owners => '{1}', calendar => 'y: time_zone UTC'), pg_temp.policy('a', segments => '{1}', calendar => 'x: time_zone UTC')])),
    (14, sla('s', start => '{a}', stop => '{b}', target => '1 hour', change => 'restart', calendar => 'x: time_zone UTC; hours mon 09:00-17:00'),
         ' "s" :marks  b = 2 , a=1;stop "b"; change restart ; start a; policy  target  60 minutes,calendar 2,warnings  0.80; calendars "y: time_zone UTC", "x: hours mon 09:00-12:00 12:00-17:00; time_zone UTC" ');
SELECT n FROM written WHERE one <> other OR NOT one = other OR one::text <> other::text OR fingerprint(one) <> fingerprint(other) OR sla_hash(one) <> sla_hash(other);
-- Whatever differs makes another
SELECT count(DISTINCT fingerprint(s)) AS different, count(*) AS slas
FROM (VALUES (sla('s', start => '{a}', stop => '{b}', target => '1 hour')), (sla('t', start => '{a}', stop => '{b}', target => '1 hour')), (sla('s', start => '{b}', stop => '{a}', target => '1 hour')),
             (sla('s', start => '{a}', stop => '{c}', target => '1 hour')), (sla('s', start => '{a}', stop => '{b}', pause => '{c}', target => '1 hour')), (sla('s', start => '{a}', stop => '{b}', resume => '{c}', target => '1 hour')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', marks => '{a=1, b=2, c=3}')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', marks => '{a=1, b=2 3}')),
             (sla('s', start => '{a}', stop => '{b}', target => '01:00:00.000001')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', calendar => 'c: time_zone UTC')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', warnings => '{}')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', warnings => '{0.8, 0.9}')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{80% to x, 90% to y}')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{90% to y, 80% to x}')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{breach to x}')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{100% to x}')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', version => 'v')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '[2025-03-03 00:00+00,)')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', valid => '(,2025-03-03 00:00+00)')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', reopen => 'restart')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', reopen => 'ignore')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', change => 'restart')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', max_clocks => 1)), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', max_clocks => 1, beyond => 'breach')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', phases => '{x}')), (sla('s', start => '{a}', stop => '{b}', target => '1 hour', phases => '{x until a, y}')),
             (sla('s', start => '{a}', stop => '{b}', target => '1 hour', phases => '{x until b, y}'))) AS t(s);
-- SLAs can be grouped and joined
SELECT s, count(*) FROM (SELECT one FROM written WHERE n IN (2, 5) UNION ALL SELECT other FROM written WHERE n = 2) t(s) GROUP BY s ORDER BY s::text;
SELECT count(*) AS pairs FROM slas x JOIN slas y ON x.s = y.s;

-- Text that is no SLA
SELECT ''::sla;
\echo :SQLSTATE
SELECT 's: marks a=1, b=2; start a; stop b'::sla;
SELECT 's: marks a=1, b=2; start a; stop b; policy target 1 fortnight'::sla;
SELECT 's: marks a=1, b=2; start a; stop b; policy target 1 hour, calendar 1'::sla;
SELECT 's: marks a=1, b=2; start a; stop b; calendars nonsense; policy target 1 hour, calendar 1'::sla;
SELECT 's: start a; marks a=1, b=2; stop b; policy target 1 hour'::sla;
\echo :SQLSTATE
-- the SQLSTATE of many: 22P02 where it cannot be read, 22023 where what was read makes no sense, 54000 for what is too much
CREATE FUNCTION pg_temp.outcome(written text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN written::sla::text; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$;
SELECT written, pg_temp.outcome(written) FROM (VALUES
    (1, 's'), (2, 's:'), (3, ': marks a=1, b=2; start a; stop b; policy target 1 hour'), (4, 's: marks a=1, b=2; start a; stop b; policy'), (5, 's: marks a=1, b=2; start a; stop b; policy target'),
    (6, 's: marks a=1, b=2; start a; stop b; policy target none'), (7, 's: marks a=1, b=2; start a; stop b; policy target 0 hours'), (8, 's: marks a=1, b=2; start a; stop b; policy target -1 hours'),
    (9, 's: marks a=1, b=2; start a; stop b; policy target 01:00'), (10, 's: marks a=1, b=2; start a; stop b; policy target 9999999999999 hours'), (11, 's: marks a=1, b=2; start a; stop b; policy target 1 hour; '),
    (12, 's: marks a=1, b=2; start a; stop b; policy target 1 hour,'), (13, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, colour red'), (14, 's: marks a=1, b=2; start a; stop b; colour red; policy target 1 hour'),
    (15, 's: marks a=1, b=2; start a; start a; stop b; policy target 1 hour'), (16, 's: marks a=1, b=2; start a; stop b; reopen maybe; policy target 1 hour'), (17, 's: marks a=1, b=2; start a; stop b; reopen resume, ignore; policy target 1 hour'),
    (18, 's: marks a=1, b=2; start a; stop b; beyond breach; policy target 1 hour'), (19, 's: marks a=1, b=2; start a; stop b; max_clocks 0; policy target 1 hour'), (20, 's: marks a=1, b=2; start a; stop b; max_clocks 2x; policy target 1 hour'),
    (21, 's: marks a=1, b=2; start a; stop b; max_clocks 4294967298; policy target 1 hour'), (22, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, calendar 0'), (23, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, from 2025-03-03'),
    (24, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, "from 2025-03-03T00:00:00Z", "before 2025-03-03T00:00:00Z"'), (25, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, segments 1'),
    (26, 's: marks a=1, b=2, c=3; start a; stop b; segment c; policy target 1 hour, segments'), (27, 's: marks a=1, b=2, c=3; start a; stop b; segment c; policy target 1 hour, segments 1 x'),
    (28, 's: marks a=1, b=2, c=3; start a; stop b; segment c; policy target 1 hour, segments 9223372036854775808'), (29, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, warnings 1.5'),
    (30, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, warnings 0.0'), (31, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, warnings 0.1234567'), (32, 's: marks a=1, b=2; start a; stop b; policy target 1 hour, step 80%'),
    (33, 's: marks a=1, b=2; start a; stop b; phases x, y; policy target 1 hour'), (34, 's: marks a=1, a=2; start a; stop a; policy target 1 hour'), (35, 's: marks a=1, b=1; start a; stop b; policy target 1 hour'),
    (36, 's: marks a=1, b=2; start a; stop b; policy target 1 hour; policy target 2 hours'),
    (37, 's: marks a=1, b=2; start a; stop b; calendars "c: time_zone UTC"; policy calendar 1, target 1 day'), (38, 's: marks a=1, b=2; start a; stop b; calendars "c: time_zone UTC"; policy target 1 day, calendar 1'),
    (39, 's: marks a=1, b=2; start a; stop b; calendars "c: time_zone UTC"; policy calendar 1, target 1 hour, step breach + 1 day to x')) AS t(n, written) ORDER BY n;
-- nothing is read twice
SELECT written, pg_temp.outcome('s: marks a=1, b=2, c=3; start a; stop b; segment c; owner c; promise c; calendars "x: time_zone UTC"; policy target 1 hour, ' || written) FROM (VALUES
    (1, 'target 2 hours'), (2, 'version v, version w'), (3, 'segments 1, segments 2'), (4, 'owners 1, owners 2'), (5, 'warnings 0.5, warnings 0.6'), (6, 'calendar 1, calendar 1'),
    (7, '"from 2025-03-03T00:00:00Z", "from 2025-03-04T00:00:00Z"')) AS t(n, written) ORDER BY n;
-- what text can make can be kept
SELECT pg_temp.outcome('s: marks a=1, b=2, c=3; start a; stop b; segment c; policy target 1 hour, segments ' || string_agg(i::text, ' ')) AS too_many_values FROM generate_series(1, 65537) i;

-- Clocks: what marks do. Histories are written as 'hour mark', on Monday 2025-03-03 or another day of that March, with =value and #seq.
CREATE FUNCTION pg_temp.at(hour text) RETURNS timestamptz LANGUAGE SQL AS $$ SELECT ('2025-03-' || CASE WHEN hour ~ ' ' THEN hour ELSE '03 ' || hour END || '+00')::timestamptz $$;
CREATE FUNCTION pg_temp.history(s sla, happened text) RETURNS journey LANGUAGE SQL AS $$
    SELECT journey(mark(s, m[2]), pg_temp.at(m[1]), CASE WHEN m[3] ~ ':' THEN promise_value(pg_temp.at(m[3])) ELSE m[3]::bigint END, m[4]::bigint)
    FROM regexp_split_to_table(happened, ', ') part, regexp_match(part, '^((?:\d\d )?\d\d:\d\d) (\w+)(?:=([-\d: ]+))?(?:#(\d+))?$') m $$;
CREATE FUNCTION pg_temp.short(at timestamptz) RETURNS text LANGUAGE SQL AS $$ SELECT regexp_replace(to_char(at, 'DD HH24:MI'), '^03 ', '') $$;
CREATE FUNCTION pg_temp.clocks(s sla, happened text, as_of text) RETURNS TABLE (n int, status text, started text, due text, breach text, ended text, "by" text, elapsed interval, paused interval, target interval) LANGUAGE SQL AS $$
    SELECT clock_no, status, pg_temp.short(started_at), pg_temp.short(due_at), pg_temp.short(breach_at), pg_temp.short(ended_at), ended_by, elapsed, paused, target
    FROM sla_clocks(pg_temp.history(s, happened), s, pg_temp.at(as_of)) $$;
CREATE FUNCTION pg_temp.reply(target interval DEFAULT '4 hours', calendar business_calendar DEFAULT NULL, reopen text DEFAULT 'resume', change text DEFAULT 'carry', max_clocks int DEFAULT NULL, beyond text DEFAULT 'ignore',
                              version text DEFAULT '', valid tstzrange DEFAULT NULL, segments bigint[] DEFAULT NULL, owners bigint[] DEFAULT NULL, phases text[] DEFAULT '{}', escalations text[] DEFAULT '{}', warnings numeric[] DEFAULT '{0.8}') RETURNS sla
LANGUAGE SQL AS $$
    SELECT sla('reply', start => '{created, parked}', stop => '{replied}', pause => '{waiting, parked}', resume => '{answered}', reset => '{again}', cancel => '{spam}', segment => '{tier}', owner => '{owner}', promise => '{promised}',
               marks => '{created=1, replied=2, waiting=3, answered=4, again=5, spam=6, tier=7, owner=8, promised=9, parked=10, assigned=11, accepted=12}',
               target => $1, calendar => $2, reopen => $3, change => $4, max_clocks => $5, beyond => $6, version => $7, valid => $8, segments => $9, owners => $10, phases => $11, escalations => $12, warnings => $13) $$;
-- start, stop
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 11:00 replied', '12:00');
-- marks later than as_of do not exist
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 11:00 replied', '10:00');
-- without a clock other marks do nothing; a second start does nothing
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '08:00 replied, 08:10 waiting, 08:20 answered, 08:30 again, 08:40 spam, 09:00 created, 10:00 created', '12:00');
-- pause and resume, twice each: stands still for two hours
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 09:30 answered, 10:00 waiting, 10:30 waiting, 12:00 answered, 12:30 answered', '13:00');
-- paused: nobody knows when it will be due
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 waiting', '20:00');
-- stopped while paused, before and after the target was reached
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 waiting, 20:00 replied', '21:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 14:00 waiting, 20:00 replied', '21:00');
-- cancelled while paused: as if nothing more happened, it would never be due
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 waiting, 11:00 spam', '12:00');
-- paused at the very instant at which the target was reached: due, not breached, and never will be if nothing happens
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 13:00 waiting', '20:00');
-- and resumed: breached from there on
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 13:00 waiting, 15:00 answered', '16:00');
-- reset: ends as reset, and a new one begins
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 11:00 again', '12:00');
-- cancel: a start after it always opens a new clock; also when what came before was stopped already
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 spam, 11:00 created', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 replied, 10:30 spam, 11:00 created', '12:00');
-- reopen: the same clock goes on, as if it had stood still (which is no pause); a new one; nothing
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 replied, 11:00 created', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(reopen => 'restart'), '09:00 created, 10:00 replied, 11:00 created', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(reopen => 'ignore'), '09:00 created, 10:00 replied, 11:00 created', '12:00');
-- stopped while paused and reopened, it runs
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 waiting, 10:30 replied, 11:00 created', '12:00');

-- Tied marks, in the order of their roles, whatever their numbers: a start and a stop, a pause and a resume; but a sequence is obeyed
CREATE TEMP TABLE tied AS SELECT sla('tied', start => '{created}', stop => '{replied}', pause => '{waiting}', resume => '{answered}', reset => '{again}', marks => '{again=1, replied=2, answered=3, waiting=4, created=5}', target => '4 hours') AS s;
SELECT c.* FROM tied, pg_temp.clocks(s, '09:00 replied, 09:00 created', '12:00') c;
SELECT c.* FROM tied, pg_temp.clocks(s, '09:00 created, 10:00 answered, 10:00 waiting', '12:00') c;
SELECT c.* FROM tied, pg_temp.clocks(s, '09:00 created, 10:00 answered#1, 10:00 waiting#2', '12:00') c;
-- a reset comes before a stop, which ends the new clock at once; those without a sequence come first
SELECT c.* FROM tied, pg_temp.clocks(s, '09:00 created, 10:00 replied, 10:00 again', '12:00') c;
SELECT c.* FROM tied, pg_temp.clocks(s, '09:00 created, 10:00 answered#1, 10:00 waiting', '12:00') c;
SELECT * FROM pg_temp.clocks(pg_temp.reply(segments => '{2}'), '09:00 created, 09:00 tier=2', '12:00');
-- A mark with several roles: opens and pauses; or, when a clock is open, pauses
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 parked, 10:00 answered', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 parked', '12:00');
-- follow-up: each touch ends one clock and opens the next, three clocks at most; the first touch only opens one
SELECT * FROM pg_temp.clocks(sla('follow-up', start => '{accepted, touched}', stop => '{touched}', target => '2 hours', reopen => 'restart', max_clocks => 3), '09:00 touched, 10:00 touched, 13:00 touched, 14:00 touched, 15:00 touched', '16:00');
-- more than that are breached at once; a cancellation begins to count anew; a reset counts
SELECT * FROM pg_temp.clocks(pg_temp.reply(reopen => 'restart', max_clocks => 1, beyond => 'breach'), '09:00 created, 10:00 replied, 11:00 created, 12:00 spam, 13:00 created', '14:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(max_clocks => 2), '09:00 created, 10:00 again, 11:00 again, 12:00 created', '13:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(max_clocks => 1), '09:00 created, 10:00 replied, 10:30 spam, 11:00 created', '12:00');
-- reopened by resume, it is no second clock
SELECT * FROM pg_temp.clocks(pg_temp.reply(max_clocks => 1), '09:00 created, 10:00 replied, 11:00 created', '12:00');

-- Breaches: strictly more than the target
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 13:00 replied', '14:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 13:01 replied', '14:00');
-- untouched past its target: breached, not running; whatever follows
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created', '14:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 14:00 spam', '15:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 14:00 replied, 20:00 created', '21:00');
-- with a calendar, 09:00 to 17:00: work after closing time on the due day is in time; still open, it is breached when the office opens
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00'), '09:00 created, 20:00 replied', '04 09:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00'), '09:00 created', '04 09:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00'), '09:00 created', '04 10:00');
-- over the weekend of 8 March; a pause outside of hours does nothing to elapsed
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00'), '07 16:00 created, 07 18:00 waiting, 10 08:00 answered', '10 10:00');
-- a calendar that never opens
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'never: time_zone UTC'), '09:00 created', '31 09:00');

-- Policies: owners and segments before owners before segments before neither
CREATE TEMP TABLE ranks AS
SELECT sla(ARRAY[pg_temp.reply(version => 'neither'), pg_temp.reply(version => 'segment', segments => '{1}'), pg_temp.reply(version => 'owner', owners => '{7}'), pg_temp.reply(version => 'both', segments => '{1}', owners => '{7}')]) AS s;
SELECT happened, version, policy_no, segment, owner
FROM ranks, unnest('{09:00 created, "08:00 tier=1, 09:00 created", "08:00 owner=7, 09:00 created", "08:00 tier=1, 08:00 owner=7, 09:00 created", "08:00 tier=2, 08:00 owner=8, 09:00 created", "08:00 tier=1, 08:30 tier, 09:00 created"}'::text[]) WITH ORDINALITY AS t(happened, n),
     sla_clocks(pg_temp.history(s, happened), s, pg_temp.at('10:00')) ORDER BY n;
-- valid is half-open; carry: what has elapsed is compared with the new target. Four hours until noon, two hours from then on: breached by the change
SELECT * FROM pg_temp.clocks(sla(ARRAY[pg_temp.reply(valid => '[,2025-03-03 12:00+00)'), pg_temp.reply('2 hours', valid => '[2025-03-03 12:00+00,)')]), '09:00 created', '12:00');
SELECT * FROM pg_temp.clocks(sla(ARRAY[pg_temp.reply(valid => '[,2025-03-03 12:00+00)'), pg_temp.reply('2 hours', valid => '[2025-03-03 12:00+00,)')]), '10:00 created', '12:00');
-- eight hours from then on
SELECT * FROM pg_temp.clocks(sla(ARRAY[pg_temp.reply(valid => '[,2025-03-03 12:00+00)'), pg_temp.reply('8 hours', valid => '[2025-03-03 12:00+00,)')]), '09:00 created', '14:00');
-- but a breach is a fact
SELECT * FROM pg_temp.clocks(sla(ARRAY[pg_temp.reply(valid => '[,2025-03-03 14:00+00)'), pg_temp.reply('8 hours', valid => '[2025-03-03 14:00+00,)')]), '09:00 created', '15:00');
-- each piece by the calendar then in force: seven hours of wall time until midnight, then office hours
SELECT * FROM pg_temp.clocks(sla(ARRAY[pg_temp.reply('12 hours', valid => '[,2025-03-04 00:00+00)'), pg_temp.reply('12 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00', valid => '[2025-03-04 00:00+00,)')]), '17:00 created', '04 10:00');
-- restart: counts from zero with the new segment, and with the new owner; not with a promise
SELECT * FROM pg_temp.clocks(pg_temp.reply(change => 'restart'), '09:00 created, 11:00 tier=1, 12:00 tier=1', '13:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(change => 'restart'), '09:00 created, 11:00 owner=1, 12:00 owner', '13:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(change => 'restart'), '09:00 created, 11:00 promised=18:00', '13:00');
-- it sets elapsed back, not the wall times
SELECT elapsed, elapsed_wall, paused, remaining FROM pg_temp.reply(change => 'restart') s, sla_clocks(pg_temp.history(s, '09:00 created, 09:30 waiting, 10:00 answered, 11:00 tier=1'), s, pg_temp.at('13:00'));
-- covered from noon on: counted from the start, by that calendar, and not restarted by that
SELECT * FROM pg_temp.clocks(pg_temp.reply(change => 'restart', valid => '[2025-03-03 12:00+00,)'), '09:00 created', '12:30');
SELECT * FROM pg_temp.clocks(pg_temp.reply('2 hours', valid => '[2025-03-03 12:00+00,)'), '09:00 created', '12:30');
-- ended before: not covered, no row
SELECT * FROM pg_temp.clocks(pg_temp.reply(valid => '[2025-03-03 12:00+00,)'), '09:00 created, 11:00 replied', '12:30');
-- lapsed: the last one stays in force
SELECT * FROM pg_temp.clocks(pg_temp.reply(valid => '[,2025-03-03 12:00+00)'), '09:00 created', '12:30');
SELECT * FROM pg_temp.clocks(pg_temp.reply(segments => '{1}'), '08:00 tier=1, 09:00 created, 10:00 tier=2', '12:30');
-- what happens after its end does not change it, but a reopening does
SELECT version, segment, target, status FROM sla(ARRAY[pg_temp.reply(version => 'one', segments => '{1}'), pg_temp.reply('30 minutes', version => 'two', segments => '{2}')]) s, sla_clocks(pg_temp.history(s, '08:00 tier=1, 09:00 created, 10:00 replied, 11:00 tier=2'), s, pg_temp.at('12:00'));
SELECT version, segment, target, status FROM sla(ARRAY[pg_temp.reply(version => 'one', segments => '{1}'), pg_temp.reply('30 minutes', version => 'two', segments => '{2}')]) s, sla_clocks(pg_temp.history(s, '08:00 tier=1, 09:00 created, 10:00 replied, 11:00 tier=2, 12:00 created'), s, pg_temp.at('12:00'));

-- Promises: the promised instant instead of the target; the last one counts; without a value it is taken back
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 promised=18:00', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '08:00 promised=20:00, 09:00 created, 10:00 promised=10:30', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 promised=18:00, 11:00 promised', '12:00');
-- of two at one instant the one with the larger value
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '09:00 created, 10:00 promised=18:00, 10:00 promised=11:00', '10:30');
-- from the instant the clock counts from
SELECT * FROM pg_temp.clocks(pg_temp.reply(change => 'restart'), '09:00 created, 11:00 tier=1, 11:30 promised=13:00', '12:00');
-- in business time; before the start: breached from the start
SELECT * FROM pg_temp.clocks(pg_temp.reply('8 hours', 'office: time_zone UTC; hours mon-fri 09:00-17:00'), '16:00 created, 16:00 promised=04 12:00', '20:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(), '08:00 promised=07:30, 09:00 created, 10:00 replied', '12:00');
-- no target: covered only while there is a promise, which stays with the clock when it is taken back
SELECT * FROM pg_temp.clocks(pg_temp.reply(NULL), '09:00 created', '12:00');
SELECT * FROM pg_temp.clocks(pg_temp.reply(NULL), '09:00 created, 10:00 promised=18:00, 11:00 promised', '12:00');
SELECT status, due_at, target FROM sla_clocks('{1@2025-03-03T09:00:00Z, 9@2025-03-03T10:00:00Z=9223372036854775807}', pg_temp.reply(), '2025-03-03 12:00+00');
SELECT * FROM sla_clocks('{1@2025-03-03T09:00:00Z, 9@2025-03-03T10:00:00Z=-9223372036854775808}', pg_temp.reply(), '2025-03-03 12:00+00');
\echo :SQLSTATE

-- All columns: running and at risk, breached and open
\x on
SELECT c.* FROM pg_temp.reply(version => 'v1', warnings => '{0.9, 0.5}') s, sla_clocks(pg_temp.history(s, '08:00 tier=1, 08:00 owner=2, 09:00 created, 09:30 waiting, 10:30 answered'), s, pg_temp.at('12:00')) c;
SELECT c.* FROM pg_temp.reply() s, sla_clocks(pg_temp.history(s, '09:00 created, 10:00 waiting, 10:30 answered'), s, pg_temp.at('15:00')) c;
\x off
-- at risk from the smallest warning on, also while paused; not when breached, not when ended, not without warnings
SELECT happened, as_of, warnings, status, at_risk
FROM (VALUES (1, '09:00 created', '10:59', '{0.9, 0.5}'::numeric[]), (2, '09:00 created', '11:00', '{0.9, 0.5}'), (3, '09:00 created, 11:30 waiting', '12:00', '{0.9, 0.5}'), (4, '09:00 created', '14:00', '{0.9, 0.5}'),
             (5, '09:00 created, 11:30 replied', '12:00', '{0.9, 0.5}'), (6, '09:00 created', '13:00', '{}')) AS t(n, happened, as_of, warnings),
     LATERAL (SELECT pg_temp.reply(warnings => t.warnings) AS s) a, sla_clocks(pg_temp.history(s, happened), s, pg_temp.at(as_of)) ORDER BY n;
-- beyond the horizon, which is 4 March: the end of the clock, or its being due while it runs
SELECT happened, as_of, status, pg_temp.short(due_at) AS due, beyond_horizon
FROM (VALUES (1, '04 10:00 created', '04 12:00'), (2, '04 14:00 created', '04 15:00'), (3, '04 14:00 created, 04 15:00 waiting', '04 16:00'), (4, '04 14:00 created, 04 15:00 replied', '05 12:00'), (5, '04 14:00 created, 05 09:30 replied', '05 12:00')) AS t(n, happened, as_of),
     LATERAL (SELECT pg_temp.reply(calendar => 'office: time_zone UTC; hours mon-fri 09:00-17:00; known_until 2025-03-04') AS s) a, sla_clocks(pg_temp.history(s, happened), s, pg_temp.at(as_of)) ORDER BY n;

-- Nothing of nothing, and what is refused
SELECT (SELECT count(*) FROM sla_clocks(NULL, s, now())) AS no_journey, (SELECT count(*) FROM sla_clocks('{1@2025-03-03T09:00:00Z}', NULL, now())) AS no_sla, (SELECT count(*) FROM sla_clocks('{1@2025-03-03T09:00:00Z}', s, NULL)) AS no_as_of,
       (SELECT count(*) FROM sla_phases(NULL, s, now())) AS no_phases, (SELECT count(*) FROM escalations(NULL, s, now())) AS no_steps, (SELECT count(*) FROM sla_clocks('{99@2025-03-03T09:00:00Z, 32767@2025-03-03T09:00:00Z}', s, '2025-03-04')) AS not_its_business
FROM pg_temp.reply() s;
SELECT * FROM sla_clocks('{1@2025-03-03T09:00:00Z}', pg_temp.reply(), 'infinity');
\echo :SQLSTATE
SELECT * FROM sla_phases('{1@2025-03-03T09:00:00Z}', pg_temp.reply(), '-infinity');
SELECT * FROM escalations('{1@2025-03-03T09:00:00Z}', pg_temp.reply(), 'infinity');

-- Phases add up
CREATE TEMP TABLE phased AS SELECT pg_temp.reply('8 hours', change => 'restart', phases => '{routing until assigned, acceptance until accepted, human}') AS s;
CREATE FUNCTION pg_temp.phases(happened text, as_of text) RETURNS TABLE (clock_no int, phase_no int, phase text, elapsed interval) LANGUAGE SQL AS $$
    SELECT p.* FROM phased, sla_phases(pg_temp.history(s, happened), s, pg_temp.at(as_of)) p $$;
SELECT * FROM pg_temp.phases('09:00 created, 10:00 assigned, 12:00 accepted, 13:00 replied', '14:00');
-- the phases it has been in so far; what stands still counts for none
SELECT * FROM pg_temp.phases('09:00 created, 10:00 assigned, 10:30 waiting', '14:00');
-- touched without having been accepted: was waiting for acceptance
SELECT * FROM pg_temp.phases('09:00 created, 10:00 assigned, 13:00 replied', '14:00');
-- a phase that is passed over has no row, and nothing goes back; one that lasts no time has
SELECT * FROM pg_temp.phases('09:00 created, 11:00 accepted, 12:00 assigned, 13:00 replied', '14:00');
SELECT * FROM pg_temp.phases('09:00 created, 11:00 assigned, 11:00 accepted, 13:00 replied', '14:00');
-- before the start nothing; a restart begins with the first one; so does each clock
SELECT * FROM pg_temp.phases('08:00 accepted, 09:00 created, 10:00 assigned, 11:00 tier=1', '14:00');
SELECT * FROM pg_temp.phases('09:00 created, 10:00 assigned, 11:00 again, 13:00 replied', '14:00');
-- without phases no rows
SELECT count(*) AS none FROM pg_temp.reply() s, sla_phases(pg_temp.history(s, '09:00 created'), s, pg_temp.at('12:00'));

-- Escalations: percentages are of the target, hours of the clock; a step at the target is due when more has elapsed, others when as much has
CREATE FUNCTION pg_temp.steps(happened text, as_of text, calendar business_calendar DEFAULT NULL) RETURNS TABLE (clock_no int, since text, step_no int, step text, recipient text, raise text, is_due boolean) LANGUAGE SQL AS $$
    SELECT e.clock_no, pg_temp.short(e.counting_since), e.step_no, e.step, e.recipient, pg_temp.short(e.raise_at), e.is_due
    FROM pg_temp.reply(change => 'restart', calendar => $3, escalations => '{50% to owner, breach - 30 minutes to coach, 100% to lead, breach to manager, breach + 4 hours to director}') s, escalations(pg_temp.history(s, $1), s, pg_temp.at($2)) e $$;
SELECT * FROM pg_temp.steps('09:00 created', '13:00');
SELECT * FROM pg_temp.steps('09:00 created', '13:01');
-- in business time: what comes at the target or later is raised when the office is open
SELECT * FROM pg_temp.steps('13:00 created', '17:00', 'office: time_zone UTC; hours mon-fri 09:00-17:00');
-- paused: what was not reached is not known; a restart counts anew; an ended clock has none
SELECT * FROM pg_temp.steps('09:00 created, 11:30 waiting', '20:00');
SELECT * FROM pg_temp.steps('09:00 created, 12:00 tier=1', '13:00');
SELECT count(*) AS none FROM pg_temp.steps('09:00 created, 18:00 replied', '20:00');
-- four hours until 14:00, eight from then on: breached at 13:00 for good, half of the new target is reached as soon as it is in force, all of it is still to come
SELECT step, pg_temp.short(raise_at) AS raise, is_due
FROM sla(ARRAY[pg_temp.reply(valid => '[,2025-03-03 14:00+00)'), pg_temp.reply('8 hours', valid => '[2025-03-03 14:00+00,)', escalations => '{50% to owner, breach to manager, breach + 1 hour to director}')]) s, escalations(pg_temp.history(s, '09:00 created'), s, pg_temp.at('15:00'));

-- Summaries: nothing, and what is refused
SELECT sla_breach(j, pg_temp.reply(), '2025-03-04') IS NULL AS no_rows FROM (SELECT NULL::journey AS j WHERE false) e;
SELECT sla_breach(NULL::journey, s, '2025-03-04') IS NULL AS no_journey, sla_breach(NULL::journey_pack, s, '2025-03-04') IS NULL AS no_pack, rollup(NULL::breach_summary) IS NULL AS no_summary FROM pg_temp.reply() s GROUP BY s;
SELECT (SELECT count(*) FROM policies(NULL)) AS policies, (SELECT count(*) FROM phases(NULL)) AS phases, started(NULL) IS NULL AND breach_rate(NULL) IS NULL AND breach_rate_low(NULL) IS NULL AND elapsed_quantile(NULL, 0.5) IS NULL
       AND subjects(NULL::breach_summary) IS NULL AND as_of(NULL::breach_summary) IS NULL AND sla(NULL::breach_summary) IS NULL AND fingerprint(NULL::breach_summary) IS NULL AS null_of_null;
SELECT sla_breach('{1@2025-03-03T09:00:00Z}'::journey, NULL, '2025-03-04');
\echo :SQLSTATE
SELECT sla_breach('{1@2025-03-03T09:00:00Z}'::journey, pg_temp.reply(), NULL);
SELECT sla_breach('{1@2025-03-03T09:00:00Z}'::journey, pg_temp.reply(), 'infinity');
\echo :SQLSTATE
SELECT sla_breach('{1@2025-03-03T09:00:00Z, 9@2025-03-03T10:00:00Z=-9223372036854775808}'::journey, pg_temp.reply(), '2025-03-04');
\echo :SQLSTATE

-- What is counted: two policies, phases, as of 16:00
CREATE TEMP TABLE tickets (n int, happened text);
INSERT INTO tickets VALUES
    (1, '09:00 created, 09:15 assigned, 09:45 accepted, 10:00 replied'), -- met in 1 hour
    (2, '09:00 created, 10:00 accepted, 15:00 replied'), -- breached: 6 hours
    (3, '09:00 created, 09:30 assigned'), -- breached and open: 7 hours
    (4, '14:00 created'), -- running: 2 hours
    (5, '09:00 created, 12:30 waiting'), -- paused, and at risk: 3.5 hours
    (6, '09:00 created, 10:00 spam'), -- cancelled after 1 hour
    (7, '09:00 tier=1, 09:00 created, 10:30 replied'), -- met in 1.5 hours of 2
    (8, '09:00 tier=1, 09:00 created'), -- breached and open: 7 hours of 2
    (9, '08:00 replied'), -- no clock
    (10, '09:00 tier=2, 09:00 created'); -- not covered
CREATE TEMP TABLE support AS
SELECT sla(ARRAY[pg_temp.reply(version => 'all others', segments => '{0}', phases => '{routing until assigned, acceptance until accepted, human}'),
                 pg_temp.reply('2 hours', version => 'gold', segments => '{1}', valid => '[2025-01-01 00:00+00,)', phases => '{routing until assigned, acceptance until accepted, human}')]) AS s;
CREATE TEMP TABLE summary AS
SELECT sla_breach(pg_temp.history(s, CASE WHEN happened ~ 'tier' THEN happened ELSE '08:00 tier=0, ' || happened END), s, pg_temp.at('16:00')) AS b FROM tickets, support;
SELECT subjects(b), started(b), met(b), breached(b), running(b), paused(b), cancelled(b), at_risk(b), overdue(b), not_covered(b), beyond_horizon(b) FROM summary;
SELECT breach_rate(b), round(breach_rate_low(b)::numeric, 6) AS low, round(breach_rate_high(b)::numeric, 6) AS high, breach_rate_low(b, 0.8) > breach_rate_low(b) AS narrower, (SELECT rate FROM wilson(3, 5)) AS of_five FROM summary;
-- quantiles: stopped after 1, 1.5 and 6 hours, others open after 1, 2, 3.5, 7 and 7; past the target by 2 hours, and by 3 and 5 so far
SELECT elapsed_quantile(b, 0), elapsed_quantile(b, 0.1) AS p10, elapsed_quantile(b, 0.5) AS p50, elapsed_quantile(b, 0.9) AS p90, overdue_quantile(b, 0.3) AS overdue_p30, overdue_quantile(b, 0.5) AS overdue_p50 FROM summary;
\x on
SELECT p.* FROM summary, policies(b) p ORDER BY policy_no;
\x off
SELECT rate_low, rate_high FROM summary, policies(b, 0.8) WHERE policy_no = 1;
SELECT p.* FROM summary, phases(b) p ORDER BY phase_no;
SELECT sla(b) = s AS same_sla, fingerprint(b) = fingerprint(s) AS same_fingerprint, as_of(b) FROM summary, support;
SELECT elapsed_quantile(b, 1.1) FROM summary;
\echo :SQLSTATE
SELECT overdue_quantile(b, -0.1) FROM summary;
SELECT breach_rate_low(b, 1) FROM summary;
\echo :SQLSTATE
SELECT * FROM summary, policies(b, 0);
-- text, packs, parts: the same bytes
SELECT b::text::breach_summary::text = b::text AS read_back FROM summary;
SELECT (SELECT rollup(part)::text FROM (SELECT sla_breach(pg_temp.history(s, CASE WHEN happened ~ 'tier' THEN happened ELSE '08:00 tier=0, ' || happened END), s, pg_temp.at('16:00')) AS part FROM tickets, support GROUP BY n % 3) t) = b::text AS of_parts,
       (SELECT sla_breach(pack, s, pg_temp.at('16:00'))::text FROM (SELECT journey_pack(n, pg_temp.history(s, CASE WHEN happened ~ 'tier' THEN happened ELSE '08:00 tier=0, ' || happened END)) AS pack FROM tickets, support) p, support) = b::text AS of_packs FROM summary;
-- an empty summary: all policies, no rates, no quantiles; without phases only the total
SELECT started(b), breach_rate(b) IS NULL AND breach_rate_low(b) IS NULL AND elapsed_quantile(b, 0.5) IS NULL AND overdue_quantile(b, 0.5) IS NULL AS undecided, (SELECT count(*) FROM policies(b)) AS policies, (SELECT array_agg(p) FROM phases(b) p) AS phases
FROM (SELECT sla_breach('{2@2025-03-03T09:00:00Z}'::journey, pg_temp.reply(), '2025-03-04') AS b) t;
SELECT ''::breach_summary;
\echo :SQLSTATE
SELECT '\x01'::breach_summary;
\echo :SQLSTATE
SELECT '\x02'::breach_summary;
\echo :SQLSTATE

-- What must not be added up is not: another SLA, another time
CREATE TEMP TABLE parts AS
SELECT n, sla_breach(j, s, as_of) AS b, s, as_of, j, journey_pack(n, j) AS p
FROM (VALUES (1, pg_temp.reply(), '2025-03-04 00:00+00'::timestamptz), (2, pg_temp.reply('5 hours'), '2025-03-04 00:00+00'), (3, pg_temp.reply(), '2025-03-05 00:00+00')) AS t(n, s, as_of), (VALUES ('{1@2025-03-03T09:00:00Z}'::journey)) AS h(j) GROUP BY n, s, as_of, j;
SELECT n, fingerprint(b) FROM parts ORDER BY n;
SELECT rollup(b ORDER BY n) FROM parts WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT rollup(b ORDER BY n) FROM parts WHERE n IN (1, 3);
\echo :SQLSTATE
SELECT sla_breach(j, s, '2025-03-04 00:00+00' ORDER BY n) FROM parts WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT sla_breach(j, s, as_of ORDER BY n) FROM parts WHERE n IN (1, 3);
\echo :SQLSTATE
SELECT sla_breach(p, s, '2025-03-04 00:00+00' ORDER BY n) FROM parts WHERE n IN (1, 2);
\echo :SQLSTATE
SELECT subjects(rollup(b)), started(rollup(b)) FROM (SELECT b FROM parts WHERE n = 1 UNION ALL SELECT NULL UNION ALL SELECT b::text::breach_summary FROM parts WHERE n = 1) t;

-- Velocity in business time: a lifecycle with a calendar
CREATE TEMP TABLE deals AS
SELECT lifecycle('deals', stages => '{new, demo}', won => 'won', lost => '{lost}', calendar => business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}', holidays => '{2025-03-05}')) AS l,
       lifecycle('deals', stages => '{new, demo}', won => 'won', lost => '{lost}') AS wall;
SELECT l FROM deals;
SELECT l::text::lifecycle = l AS read_back, fingerprint(l) <> fingerprint(wall) AS another, lifecycle('deals', stages => '{new, demo}', won => 'won', lost => '{lost}', calendar => NULL) = wall AS null_is_none,
       l = lifecycle('deals', stages => '{new, demo}', won => 'won', lost => '{lost}', calendar => 'office: hours mon-fri 09:00-12:00 12:00-17:00; time_zone europe/berlin; holidays 2025-03-05; known_until 2025-03-05') AS however_written FROM deals;
SELECT 'deals: stages new; calendar'::lifecycle;
\echo :SQLSTATE
SELECT 'deals: stages new; calendar "office: time_zone UTC", "other: time_zone UTC"'::lifecycle;
-- from Monday 16:00 to Tuesday 10:00 in Berlin, over the holiday to Thursday, and from Thursday on
CREATE TEMP TABLE history AS SELECT '{1@2025-03-03T15:00:00Z, 2@2025-03-04T09:00:00Z, 1@2025-03-06T09:00:00Z}'::journey AS j;
SELECT visit_no, stage, exit, duration, business_duration FROM history, deals, stage_spans(j, l, '2025-03-06 12:00+00') ORDER BY visit_no;
SELECT visit_no, business_duration FROM history, deals, stage_spans(j, wall, '2025-03-06 12:00+00') ORDER BY visit_no;
CREATE TEMP TABLE velocity AS SELECT stage_velocity(j, l, '2025-03-06 12:00+00') AS v, stage_velocity(j, wall, '2025-03-06 12:00+00') AS wall FROM history, deals GROUP BY l, wall;
SELECT stage, visits, pending, forward, back, median_days, last_observed_days FROM velocity, stages(v) ORDER BY stage_no;
SELECT stage, visits, pending, forward, back, median_days, last_observed_days FROM velocity, stages(business_clock(v)) ORDER BY stage_no;
SELECT median(v, 'new') AS wall, median(business_clock(v), 'new') AS business, survival_at(v, 'demo', '1 day') AS still_there, survival_at(business_clock(v), 'demo', '8 hours') AS after_eight_business_hours, lifecycle(business_clock(v)) = l AS same_lifecycle FROM velocity, deals;
SELECT v::text::velocity_summary::text = v::text AND business_clock(v)::text::velocity_summary::text = business_clock(v)::text AS read_back, business_clock(business_clock(v))::text = business_clock(v)::text AS idempotent, business_clock(NULL) IS NULL AS null_of_null FROM velocity;
SELECT business_clock(wall) FROM velocity;
\echo :SQLSTATE
-- one clock does not merge with both
SELECT rollup(x) FROM (SELECT v FROM velocity UNION ALL SELECT business_clock(v) FROM velocity) t(x);
\echo :SQLSTATE
SELECT log_rank(ARRAY[v, business_clock(v)], 'new') FROM velocity;
\echo :SQLSTATE
SELECT rollup(x) FROM (SELECT v FROM velocity UNION ALL SELECT wall FROM velocity) t(x);
\echo :SQLSTATE
SELECT visits(rollup(x), 'new') FROM (SELECT business_clock(v) FROM velocity UNION ALL SELECT business_clock(v) FROM velocity) t(x);
-- observed since Monday 16:30 in Berlin: the first visit enters late, at the age of half an hour, and is at risk after two as the other is
CREATE TEMP TABLE since AS SELECT stage_velocity(j, l, '2025-03-06 12:00+00', '2025-03-03 15:30+00') AS v FROM history, deals;
SELECT age, at_risk, events, censored FROM since, survival_curve(business_clock(v), 'new') ORDER BY age;
-- a visit without business time, from Saturday to Sunday, observed since in between
CREATE TEMP TABLE weekend AS SELECT stage_velocity('{1@2025-03-08T10:00:00Z, 2@2025-03-09T20:00:00Z}'::journey, l, '2025-03-10 12:00+00', '2025-03-09 00:00+00') AS v FROM deals;
SELECT v::text::velocity_summary::text = v::text AS read_back FROM weekend;

-- What does not fit in 64 bits is refused or as far away as can be, never wrapped around
SELECT c.status FROM sla('s', start => '{a}', stop => '{b}', promise => '{p}') AS s,
    (SELECT journey(m, t::timestamptz, v) AS j
     FROM (VALUES (1, '4000-01-01 00:00+00 BC', NULL::bigint), (3, '4000-01-01 00:00+00 BC', promise_value('294246-01-01 00:00+00'))) AS x(m, t, v)) AS one,
    sla_clocks(j, s, '3999-01-01 00:00+00 BC') AS c;
SELECT step, is_due, raise_at
FROM escalations('{1@2025-01-01T00:00:00Z}', sla('s', start => '{a}', stop => '{b}', target => '2000000000 hours', escalations => '{10000% to x, 200% to y, 500% to z}'), '2025-01-01 00:00:01+00');
-- A breach step judges the present count: what was breached before the restart was told; what was breached since stays due, whatever is promised later
SELECT as_of, e.raise_at, e.is_due
FROM sla('s', start => '{a}', stop => '{b}', segment => '{s}', promise => '{q}', target => '1 hour', change => 'restart', escalations => '{breach to m}') AS s,
    (SELECT journey(m, t::timestamptz, v) AS j
     FROM (VALUES (1, '2025-01-01 00:00+00', NULL::bigint), (3, '2025-01-01 02:00+00', 5), (4, '2025-01-01 04:00+00', promise_value('2025-01-01 02:30+00')),
                  (4, '2025-01-01 05:00+00', promise_value('2025-01-02 00:00+00'))) AS x(m, t, v)) AS one,
    (VALUES ('2025-01-01 01:30+00'::timestamptz), ('2025-01-01 02:30+00'), ('2025-01-01 03:30+00'), ('2025-01-01 04:10+00'), ('2025-01-01 05:10+00')) AS v(as_of),
    escalations(j, s, as_of) AS e
ORDER BY as_of;
SELECT 'x: marks a=1, b=2; start a; stop b; policy version, version x, target 8 hours'::sla;
