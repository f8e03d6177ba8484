--
-- lifecycle: definitions, what is refused, text forms, marks of stages.
--
\encoding UTF8
SET search_path = revacct, public;

-- The name
SELECT lifecycle(NULL, stages => '{a}');
\echo :SQLSTATE
SELECT lifecycle('', stages => '{a}');
\echo :SQLSTATE
SELECT lifecycle(repeat('n', 256), stages => '{a}');
SELECT length(lifecycle(repeat('n', 255), stages => '{a}')::text) > 255 AS longest_name_is_fine;

-- Stages
SELECT lifecycle('none', stages => '{}');
SELECT lifecycle('none', stages => NULL);
SELECT lifecycle('only the end', stages => '{}', won => 'won', lost => '{lost}');
SELECT lifecycle('twice', stages => '{lead, mql, lead}');
SELECT lifecycle('twice', stages => '{lead}', lost => '{lead}');
SELECT lifecycle('twice', stages => '{lead}', won => 'lead');
SELECT lifecycle('empty', stages => ARRAY['lead', '']);
SELECT lifecycle('long', stages => ARRAY[repeat('s', 256)]);
SELECT lifecycle('null', stages => ARRAY['lead', NULL]);
\echo :SQLSTATE
SELECT lifecycle('null', stages => '{lead}', churned => ARRAY[NULL]);
SELECT lifecycle('won and active', stages => '{lead}', active => '{onboarding}', won => 'customer');
\echo :SQLSTATE
-- two won stages can only be written as text
SELECT 'two won: stages lead; won customer, champion'::lifecycle;
SELECT 'two won: stages lead; won customer; won champion'::lifecycle;
SELECT lifecycle('65 open', stages => array_agg('s' || i)) FROM generate_series(1, 65) i;
\echo :SQLSTATE
SELECT lifecycle('64 and won', stages => array_agg('s' || i), won => 'won') FROM generate_series(1, 64) i;
SELECT mark(lifecycle('63 and won', stages => array_agg('s' || i), won => 'won'), 'won') FROM generate_series(1, 63) i;
SELECT mark(lifecycle('64 steps, 192 ends', stages => array_agg('s' || i) FILTER (WHERE i <= 64),
                      lost => array_agg('s' || i) FILTER (WHERE i > 64)), 's256')
FROM generate_series(1, 256) i;
SELECT lifecycle('257 stages', stages => '{a}', lost => array_agg('s' || i)) FROM generate_series(1, 256) i;
\echo :SQLSTATE

-- Marks
SELECT lifecycle('too few', stages => '{lead, mql}', marks => '{1}');
SELECT lifecycle('too many', stages => '{lead, mql}', marks => '{1, 2, 3}');
SELECT lifecycle('no marks', stages => '{lead, mql}', marks => '{1, ""}');
SELECT lifecycle('none at all', stages => '{lead, mql}', marks => '{}');
SELECT lifecycle('a null', stages => '{lead, mql}', marks => '{1, NULL}');
SELECT lifecycle('zero', stages => '{lead, mql}', marks => '{0, 1}');
SELECT lifecycle('negative', stages => '{lead, mql}', marks => '{-1, 1}');
SELECT lifecycle('large', stages => '{lead, mql}', marks => '{32768, 1}');
SELECT lifecycle('larger', stages => '{lead, mql}', marks => '{99999999999999999999, 1}');
SELECT lifecycle('words', stages => '{lead, mql}', marks => '{one, 1}');
SELECT lifecycle('commas', stages => '{lead, mql}', marks => '{"1,5", 2}');
SELECT lifecycle('repeated', stages => '{lead, mql}', marks => '{1 2 1, 3}');
SELECT lifecycle('shared', stages => '{lead, mql}', marks => '{1 5, 2 5}');
SELECT lifecycle('shared', stages => '{lead, mql}', marks => '{1 5, 2 5}', skip => 'any');
SELECT lifecycle('shared', stages => '{lead, mql}', marks => '{1 5, 2 5}', skip => 'strict', step_within => '{NULL, 3 days}');
SELECT lifecycle('shared with won', stages => '{lead, mql}', won => 'won', marks => '{1, 2, 2}', skip => 'strict');
SELECT lifecycle('shared with lost', stages => '{lead, mql}', lost => '{lost}', marks => '{1, 2, 1}', skip => 'strict');
SELECT lifecycle('shared', stages => '{lead, mql}', marks => '{1 5, 2 5}', skip => 'strict');
SELECT lifecycle('any order', stages => '{lead, mql}', lost => '{lost}', marks => '{32767 1,  7 5 6 , 300}');
-- without lists the stage numbered n is mark n, and saying so is the same definition
SELECT lifecycle('same', stages => '{a, b}', marks => '{1, 2}')::text = lifecycle('same', stages => '{a, b}')::text AS same,
       fingerprint(lifecycle('same', stages => '{a, b}', marks => '{ 1,02}')) = fingerprint(lifecycle('same', stages => '{a, b}')) AS same_fingerprint;

-- Words
SELECT lifecycle('words', stages => '{a}', skip => 'loose');
\echo :SQLSTATE
SELECT lifecycle('words', stages => '{a}', skip => 'IMPUTE');
SELECT lifecycle('words', stages => '{a}', attempt => 'worst');
SELECT lifecycle('words', stages => '{a}', times => 'decreasing');
SELECT lifecycle('words', stages => '{a}', visits => 'some');
SELECT lifecycle('words', stages => '{a}', unknown => 'ignore');
SELECT lifecycle('words', stages => '{a}', time_zone => 'Mars/Olympus');
SELECT lifecycle('words', stages => '{a}', time_zone => '');
SELECT lifecycle('null', stages => '{a}', skip => NULL);
\echo :SQLSTATE
SELECT lifecycle('null', stages => '{a}', attempt => NULL);
SELECT lifecycle('null', stages => '{a}', times => NULL);
SELECT lifecycle('null', stages => '{a}', visits => NULL);
SELECT lifecycle('null', stages => '{a}', unknown => NULL);
SELECT lifecycle('null means UTC', stages => '{a}', time_zone => NULL);

-- Windows
SELECT lifecycle('negative', stages => '{a, b}', within => '-1 day');
SELECT lifecycle('negative', stages => '{a, b}', within => '1 month -1 day');
SELECT lifecycle('negative', stages => '{a, b}', within => '1 day -1 second');
SELECT lifecycle('negative', stages => '{a, b}', step_within => '{NULL, -00:00:01}');
SELECT lifecycle('too few', stages => '{a, b}', step_within => '{1 day}');
SELECT lifecycle('too many', stages => '{a, b}', lost => '{c}', step_within => '{1 day, 1 day, 1 day}');
SELECT lifecycle('none', stages => '{a, b}', step_within => '{}');
-- the first is ignored, so it may be anything
SELECT lifecycle('first', stages => '{a, b}', step_within => '{-1 day, 1 day}')::text =
       lifecycle('first', stages => '{a, b}', step_within => '{NULL, 1 day}')::text AS first_is_ignored;
SELECT lifecycle('zero', stages => '{a, b}', within => '0', step_within => '{NULL, 0}');
SELECT lifecycle('parts', stages => '{a, b, c}', won => 'd', within => '1 year 2 months 3 days 04:05:06.000007',
                 step_within => '{NULL, 1 month, 2 days, 00:00:03}');
SELECT lifecycle('out of reach', stages => '{a, b}', within => '200000000 days');
SELECT lifecycle('out of reach', stages => '{a, b}', step_within => '{NULL, 2000000000 days}');

-- Ranges
SELECT lifecycle('empty', stages => '{a}', entry_range => 'empty');
SELECT lifecycle('empty', stages => '{a}', entry_range => '[2025-01-01 00:00+00, 2025-01-01 00:00+00)');
SELECT lifecycle('empty in microseconds', stages => '{a}', entry_range => '(2025-01-01 00:00+00, 2025-01-01 00:00:00.000001+00)');
SELECT lifecycle('after the last instant', stages => '{a}', entry_range => '(294276-12-31 23:59:59.999999+00,)');
SELECT lifecycle('one instant', stages => '{a}', entry_range => '[2025-01-01 00:00+00, 2025-01-01 00:00+00]');
SELECT lifecycle('all', stages => '{a}', entry_range => '(,)')::text = lifecycle('all', stages => '{a}')::text AS unbounded,
       lifecycle('all', stages => '{a}', entry_range => '[-infinity, infinity]')::text = lifecycle('all', stages => '{a}')::text AS infinite;
SELECT lifecycle('open', stages => '{a}', entry_range => '[2025-01-01 00:00+01,)');
SELECT lifecycle('open', stages => '{a}', entry_range => '(,2025-01-01 00:00+01)');

-- The text form: all there is, the same under every setting, and read back
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
CREATE TEMP TABLE definitions (n int, l lifecycle);
INSERT INTO definitions VALUES
    (1, lifecycle('inbound', stages => '{lead, mql, sql}', won => 'customer', lost => '{disqualified}', recycled => '{nurture}')),
    (2, lifecycle('everything', stages => '{a, b}', won => 'c', lost => '{d, e}', no_decision => '{f}', recycled => '{g}', churned => '{h}',
                  marks => '{1, 2 20, 3, 4, 5, 6, 7, 8}', skip => 'strict', attempt => 'all', within => '1 mon 2 days 00:00:00.5',
                  step_within => '{NULL, NULL, 1 week}', times => 'increasing',
                  entry_range => '[2025-01-01 00:00+00, 2025-02-01 00:00:00.25+00)', visits => 'last', unknown => 'count',
                  time_zone => 'Europe/Berlin')),
    (3, lifecycle('customers', stages => '{}', active => '{onboarding, live}', churned => '{gone}', visits => 'cumulative')),
    (4, lifecycle('quoted; "name":', stages => ARRAY[' blank ', 'with, comma', 'with "quotes"', 'stages', 'won', 'a:b', 'c;d', E'tab\there', 'x''y', E'back\\slash'],
                  won => E'new\nline')),
    (5, lifecycle('Ω – ünï', stages => '{日本, "🙂"}', attempt => 'first', skip => 'any')),
    (6, lifecycle('zones', stages => '{a}', time_zone => 'europe/berlin')),
    (7, lifecycle('last instant', stages => '{a}', entry_range => '[2025-01-01 00:00+00, 294276-12-31 23:59:59.999999+00]')),
    (8, lifecycle('first instant', stages => '{a}', entry_range => '[4714-11-24 00:00:00+00 BC, 4714-11-24 00:00:00+00 BC]'));
SELECT n, l FROM definitions ORDER BY n;
SELECT n, fingerprint(l) FROM definitions ORDER BY n;
SELECT n, l::text::lifecycle::text = l::text AS same_text, fingerprint(l::text::lifecycle) = fingerprint(l) AS same_fingerprint
FROM definitions ORDER BY n;
SELECT CAST('inbound: stages lead, mql' AS lifecycle);
RESET timezone;
RESET datestyle;
RESET intervalstyle;

-- Text that is no lifecycle
SELECT ''::lifecycle;
\echo :SQLSTATE
SELECT 'inbound'::lifecycle;
SELECT 'inbound:'::lifecycle;
SELECT 'inbound: stages'::lifecycle;
SELECT 'inbound: stages a,'::lifecycle;
SELECT 'inbound: stages a; '::lifecycle;
SELECT 'inbound: stages "a'::lifecycle;
SELECT 'inbound: stages a: b'::lifecycle;
SELECT 'inbound: stages a; colour red'::lifecycle;
SELECT 'inbound: stages a; skip impute, any'::lifecycle;
SELECT 'inbound: stages a; skip loose'::lifecycle;
SELECT 'inbound: won b; stages a'::lifecycle;
SELECT 'inbound: stages a; stages b'::lifecycle;
SELECT 'inbound: stages a; within soon'::lifecycle;
SELECT 'inbound: stages a; within 99999999999 days'::lifecycle;
SELECT 'inbound: stages a; within -3 days'::lifecycle;
SELECT 'inbound: stages a; entry_from yesterday'::lifecycle;
SELECT 'inbound: stages a; entry_from "2025-02-30T00:00:00Z"'::lifecycle;
SELECT 'inbound: stages a, b; step_within 1 days'::lifecycle;

-- The mark of a stage
CREATE TEMP TABLE defined AS
SELECT lifecycle('inbound', stages => '{lead, mql}', won => 'customer', lost => '{junk}') AS l,
       lifecycle('inbound', stages => '{lead, mql}', won => 'customer', lost => '{junk}', unknown => 'count') AS counting,
       lifecycle('inbound', stages => '{lead, mql}', won => 'customer', lost => '{junk}', marks => '{40 10, 20, 30, 7}') AS listed;
SELECT s, mark(l, s) AS number, mark(counting, s) AS counting, mark(listed, s) AS first_of_list
FROM defined, unnest('{lead, mql, customer, junk, NULL}'::text[]) WITH ORDINALITY AS t(s, n) ORDER BY n;
SELECT mark(l, 'nonsense') FROM defined;
\echo :SQLSTATE
SELECT mark(l, 'Lead') FROM defined;
SELECT mark(l, 'lea') FROM defined;
SELECT mark(l, '') FROM defined;
SELECT mark(counting, 'nonsense') AS unknown, mark(counting, '') AS empty FROM defined;
SELECT mark(NULL::lifecycle, 'lead') IS NULL AS no_lifecycle, mark(l, NULL) IS NULL AS no_stage, fingerprint(NULL::lifecycle) IS NULL AS no_fingerprint FROM defined;

-- One definition, one fingerprint; anything that differs, another
SELECT count(DISTINCT fingerprint(l)) AS different, count(*) AS definitions
FROM (VALUES (lifecycle('a', stages => '{x, y}')), (lifecycle('b', stages => '{x, y}')), (lifecycle('a', stages => '{y, x}')),
             (lifecycle('a', stages => '{x}', won => 'y')), (lifecycle('a', stages => '{x}', lost => '{y}')),
             (lifecycle('a', stages => '{x, y}', skip => 'any')), (lifecycle('a', stages => '{x, y}', attempt => 'all')),
             (lifecycle('a', stages => '{x, y}', within => '1 day')), (lifecycle('a', stages => '{x, y}', within => '24 hours')),
             (lifecycle('a', stages => '{x, y}', within => '0')),
             (lifecycle('a', stages => '{x, y}', step_within => '{NULL, 1 day}')),
             (lifecycle('a', stages => '{x, y}', times => 'increasing')), (lifecycle('a', stages => '{x, y}', visits => 'first')),
             (lifecycle('a', stages => '{x, y}', unknown => 'count')), (lifecycle('a', stages => '{x, y}', time_zone => 'Europe/Paris')),
             (lifecycle('a', stages => '{x, y}', marks => '{2, 1}')),
             (lifecycle('a', stages => '{x, y}', entry_range => '[2025-01-01 00:00+00,)'))) AS t(l);
SELECT count(DISTINCT fingerprint(l)) AS one
FROM (VALUES (lifecycle('a', stages => '{x, y}')), (lifecycle('a', stages => '{x, y}', active => NULL)),
             (lifecycle('a', stages => '{x, y}', skip => 'impute', attempt => 'best', times => 'nondecreasing', visits => 'all')),
             (lifecycle('a', stages => '{x, y}', time_zone => 'utc')), (' a :  stages x,"y" ;skip impute'::lifecycle)) AS t(l);

-- An entry range in which no instant lies is refused however it is written; names that differ from machine to machine, too
SELECT lifecycle('w', stages => '{a}', entry_range => tstzrange('infinity', NULL));
SELECT lifecycle('w', stages => '{a}', entry_range => tstzrange(NULL, '-infinity'));
SELECT lifecycle('w', stages => '{a}', entry_range => '[-infinity, infinity]');
SELECT lifecycle('w', stages => '{a}', time_zone => 'localtime');
SELECT lifecycle('w', stages => '{a}', time_zone => 'posixrules');
SELECT lifecycle('w', stages => '{a}', time_zone => 'FOO5BAR');
SELECT lifecycle('w', stages => '{a}', won => '{b}');
-- What says nothing makes no other definition
SELECT fingerprint(lifecycle('w', stages => '{a, b}', step_within => '{NULL, NULL}')) = fingerprint(lifecycle('w', stages => '{a, b}')) AS none_set,
       fingerprint('w: stages a, b; step_within 3 days, 3 days'::lifecycle) = fingerprint(lifecycle('w', stages => '{a, b}', step_within => '{NULL, 3 days}')) AS first_ignored;
-- Nothing is read twice
SELECT 'w: stages a, b; within 1 seconds 5 microseconds'::lifecycle;
SELECT 'w: stages a, b; skip strict; skip any'::lifecycle;
-- Definitions can be grouped
SELECT l, count(*) FROM (VALUES (lifecycle('w', stages => '{a}')), (lifecycle('w', stages => '{a}')), (lifecycle('v', stages => '{a}'))) AS v(l) GROUP BY l ORDER BY l::text;
