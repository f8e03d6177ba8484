-- Escalations: which are due, by the policy alone; which were raised, once and for all. Several sessions at once and the notifications: test/isolation.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(118);

-- A clock of 8 hours that starts on Monday at 09:00. Tests say what their SLA has beside.
CREATE FUNCTION pg_temp.support(steps text[], target interval DEFAULT '8 hours', name text DEFAULT 'support', version text DEFAULT '', valid tstzrange DEFAULT NULL, segments bigint[] DEFAULT NULL,
                                change text DEFAULT 'carry', reopen text DEFAULT 'resume', calendar business_calendar DEFAULT NULL) RETURNS sla LANGUAGE SQL AS $$
    SELECT sla($3, start => '{created}', stop => '{replied}', pause => '{waiting}', resume => '{answered}', reset => '{reset}', cancel => '{spam}', segment => '{tier}', promise => '{promised}',
               target => $2, escalations => $1, version => $4, valid => $5, segments => $6, change => $7, reopen => $8, calendar => $9) $$;
-- '9 created, 9.5 tier=2': what happened at which hour of 2025-03-03
CREATE FUNCTION pg_temp.at(hour numeric) RETURNS timestamptz LANGUAGE SQL AS $$ SELECT '2025-03-03'::timestamptz + $1 * interval '1 hour' $$;
CREATE FUNCTION pg_temp.ticket(happened text) RETURNS journey LANGUAGE SQL AS $$
    SELECT journey(mark(pg_temp.support('{}'), m[2]), pg_temp.at(m[1]::numeric), m[3]::bigint)
    FROM regexp_split_to_table($1, ', *') part, regexp_match(part, '^([0-9.]+) (\w+)(?:=(-?\d+))?$') m $$;
-- the steps that are due at an hour, by what they say
CREATE FUNCTION pg_temp.due(happened text, agreed sla, hour numeric, later interval DEFAULT '0') RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(step, ', ' ORDER BY step_no), '') FROM escalations(pg_temp.ticket($1), $2, pg_temp.at($3) + $4) WHERE is_due $$;
-- those that are raised by one call
CREATE FUNCTION pg_temp.raise(subject text, happened text, agreed sla, hour numeric) RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(step, ', '), '') FROM raise_escalations($1, pg_temp.ticket($2), $3, pg_temp.at($4)) $$;
CREATE TEMP TABLE ladder AS
SELECT pg_temp.support('{50% to owner, 80% to owner, breach - 30 minutes to lead, 100% to lead, breach to manager, breach + 4 hours to director, 250% to board}') AS s;
CREATE TEMP TABLE office AS
SELECT pg_temp.support('{50% to owner, breach to manager, breach + 4 hours to director}', calendar => business_calendar('office', 'UTC', '{mon-fri 09:00-17:00}')) AS s;

-- The ladder
SELECT results_eq($$ SELECT clock_no, counting_since, step_no, step, recipient, raise_at, is_due FROM ladder, escalations(pg_temp.ticket('9 created'), s, pg_temp.at(9)) ORDER BY step_no $$,
    $$ SELECT 1, pg_temp.at(9), n, step, recipient, pg_temp.at(hour), false
       FROM (VALUES (1, '50% to owner', 'owner', 13), (2, '80% to owner', 'owner', 15.4), (3, 'breach - 30 minutes to lead', 'lead', 16.5), (4, '100% to lead', 'lead', 17), (5, 'breach to manager', 'manager', 17),
                    (6, 'breach + 4 hours to director', 'director', 21), (7, '250% to board', 'board', 29)) AS t(n, step, recipient, hour) $$, 'all steps of an open clock, with what is to come');
SELECT is(pg_temp.due('9 created', s, hour, later), expected, 'due at ' || hour || ' + ' || later)
FROM ladder, (VALUES (1, 13, interval '-1 microsecond', ''), (2, 13, '0', '50% to owner'), (3, 15.4, '-1 microsecond', '50% to owner'), (4, 15.4, '0', '50% to owner, 80% to owner'),
                     (5, 16.5, '-1 microsecond', '50% to owner, 80% to owner'), (6, 16.5, '0', '50% to owner, 80% to owner, breach - 30 minutes to lead'),
                     (7, 17, '0', '50% to owner, 80% to owner, breach - 30 minutes to lead'), (8, 17, '1 microsecond', '50% to owner, 80% to owner, breach - 30 minutes to lead, 100% to lead, breach to manager'),
                     (9, 21, '-1 microsecond', '50% to owner, 80% to owner, breach - 30 minutes to lead, 100% to lead, breach to manager'),
                     (10, 21, '0', '50% to owner, 80% to owner, breach - 30 minutes to lead, 100% to lead, breach to manager, breach + 4 hours to director'),
                     (11, 29, '0', '50% to owner, 80% to owner, breach - 30 minutes to lead, 100% to lead, breach to manager, breach + 4 hours to director, 250% to board')) AS t(n, hour, later, expected) ORDER BY n;
SELECT is(pg_temp.due('9 created', pg_temp.support('{12.5% to a, 0.0001% to b, breach - 8 hours to c, breach - 9 hours to d}'), 9), 'breach - 8 hours to c, breach - 9 hours to d', 'what is to be told at once, or before the clock started');
SELECT is(pg_temp.due('9 created', pg_temp.support('{12.5% to a, 0.0001% to b}'), 10), '12.5% to a, 0.0001% to b', 'parts of a percent');
SELECT is(pg_temp.due('9 created', pg_temp.support('{}'), 99), '', 'a policy without steps');
SELECT results_eq($$ SELECT step, raise_at, is_due FROM office, escalations(pg_temp.ticket('13 created'), s, pg_temp.at(20)) ORDER BY step_no $$,
    $$ VALUES ('50% to owner', pg_temp.at(17), true), ('breach to manager', pg_temp.at(24 + 13), false), ('breach + 4 hours to director', pg_temp.at(24 + 17), false) $$, 'in office hours: half is used up when the office closes');
SELECT results_eq($$ SELECT step, raise_at, is_due FROM office, escalations(pg_temp.ticket('9 created'), s, pg_temp.at(24 + 9)) ORDER BY step_no $$,
    $$ VALUES ('50% to owner', pg_temp.at(13), true), ('breach to manager', pg_temp.at(24 + 9), false), ('breach + 4 hours to director', pg_temp.at(24 + 13), false) $$, 'all of it at closing time: breached only when work could have gone on');
SELECT is(pg_temp.due('9 created', s, 24 + 9, '1 microsecond'), '50% to owner, breach to manager', 'and then it is') FROM office;

-- Whose clocks
SELECT is(pg_temp.due(happened, s, 99), '', 'nothing is due, ever: ' || why)
FROM ladder, (VALUES (1, '9 created, 12 replied', 'stopped before'), (2, '9 created, 18 replied', 'stopped after'), (3, '9 created, 18 spam', 'cancelled'), (4, '9 created, 12 waiting', 'paused before'),
                     (5, '9 created, 12 waiting, 30 replied', 'stopped while paused'), (6, '9 tier=1, 10 replied', 'never started'), (7, '100 created', 'not started yet')) AS t(n, happened, why) ORDER BY n;
SELECT is_empty($$ SELECT * FROM ladder, escalations(pg_temp.ticket('9 created, 12 replied'), s, pg_temp.at(13)) $$, 'an ended clock has no steps at all');
SELECT is((SELECT count(*) FROM ladder, escalations(pg_temp.ticket('9 created, 12 replied'), s, pg_temp.at(11))), 7::bigint, 'as long as it is open it has: a stop to come does not exist');
SELECT results_eq($$ SELECT raise_at, is_due FROM escalations(pg_temp.ticket('9 created, 12 waiting'), pg_temp.support('{37.5% to a, 38% to b, breach to c}'), pg_temp.at(50)) ORDER BY step_no $$,
    $$ VALUES (pg_temp.at(12), true), (NULL, false), (NULL, false) $$, 'paused: what was reached is due, exactly at the pause too, and when the rest will be is not known');
SELECT results_eq($$ SELECT raise_at, is_due FROM escalations(pg_temp.ticket('9 created, 12 waiting, 20 answered'), pg_temp.support('{25% to a, 50% to b, breach to c}'), pg_temp.at(20.5)) ORDER BY step_no $$,
    $$ VALUES (pg_temp.at(11), true), (pg_temp.at(21), false), (pg_temp.at(25), false) $$, 'resumed: known again, and later by the pause');
SELECT is_empty($$ SELECT * FROM escalations(pg_temp.ticket('9 created'), pg_temp.support('{50% to a}', valid => '[2026-01-01,)'), pg_temp.at(99)) $$, 'no policy in force, no steps');
SELECT results_eq($$ SELECT clock_no, counting_since, step FROM escalations(pg_temp.ticket('9 created, 10 reset, 11 replied, 12 created'), pg_temp.support('{50% to a}', reopen => 'restart'), pg_temp.at(13)) $$,
    $$ VALUES (3, pg_temp.at(12), '50% to a') $$, 'of three clocks the one that is open');
SELECT results_eq($$ SELECT step, recipient FROM escalations(pg_temp.ticket('9 created, 10 tier=2'), sla(ARRAY[pg_temp.support('{50% to anybody}'), pg_temp.support('{50% to a to b}', segments => '{2}')]), pg_temp.at(13)) $$,
    $$ VALUES ('50% to a to b', 'a to b') $$, 'the steps of the policy in force now');
SELECT results_eq($$ SELECT raise_at, is_due FROM escalations(pg_temp.ticket('9 created, 10 promised=' || promise_value(pg_temp.at(12))), pg_temp.support('{50% to a, breach to b, breach + 1 hour to c}'), pg_temp.at(12.5)) ORDER BY step_no $$,
    $$ VALUES (pg_temp.at(10.5), true), (pg_temp.at(12), true), (pg_temp.at(13), false) $$, 'a promise is the target');
SELECT results_eq($$ SELECT clock_no, step, raise_at, is_due FROM escalations('{1@2025-03-03T09:00:00Z, 2@2025-03-03T10:00:00Z, 1@2025-03-03T11:00:00Z}', sla('support', start => '{created}', stop => '{replied}', target => '8 hours',
                            escalations => '{50% to a, breach to b, breach + 1 hour to c}', reopen => 'restart', max_clocks => 1, beyond => 'breach'), pg_temp.at(11)) ORDER BY step_no $$,
    $$ VALUES (2, '50% to a', pg_temp.at(15), false), (2, 'breach to b', pg_temp.at(11), true), (2, 'breach + 1 hour to c', pg_temp.at(20), false) $$, 'a clock too many is breached at once, and that is told at once');
SELECT results_eq($$ SELECT step, raise_at, is_due FROM escalations(pg_temp.ticket('9 created, 18 promised=' || promise_value(pg_temp.at(29))), pg_temp.support('{50% to a, breach to b, breach + 1 hour to c}'), pg_temp.at(18)) ORDER BY step_no $$,
    $$ VALUES ('50% to a', pg_temp.at(19), false), ('breach to b', pg_temp.at(17), true), ('breach + 1 hour to c', pg_temp.at(30), false) $$, 'a breach stays one when more time is promised, the other steps are of the new target');
SELECT throws_ok($$ SELECT * FROM ladder, escalations(pg_temp.ticket('9 created'), s, 'infinity') $$, '22008', NULL, 'an endless as_of is refused');

-- Raised once
CREATE TEMP TABLE returned AS SELECT r.*, clock_timestamp() AS no_later FROM ladder, raise_escalations('T-1', pg_temp.ticket('9 created'), s, pg_temp.at(16)) r;
SELECT results_eq($$ SELECT sla, subject, counting_since, step, recipient, raise_at, raised_by, sla_fingerprint FROM returned ORDER BY raise_at $$,
    $$ SELECT 'support', 'T-1', pg_temp.at(9), step, 'owner', pg_temp.at(hour), session_user::text COLLATE "default", fingerprint(s) FROM ladder, (VALUES ('50% to owner', 13), ('80% to owner', 15.4)) t(step, hour) $$, 'raise_escalations returns what it raised');
SELECT results_eq('SELECT * FROM revacct_data.escalation ORDER BY raise_at', 'SELECT sla, subject, counting_since, step, recipient, raise_at, raised_at, raised_by, sla_fingerprint FROM returned ORDER BY raise_at', 'and has recorded just that');
SELECT ok(bool_and(raised_at > now() AND raised_at <= no_later), 'raised_at is the time of the clock on the wall, not of the transaction') FROM returned;
SELECT is(pg_temp.raise('T-1', '9 created', s, 16), '', 'a second call raises nothing') FROM ladder;
SELECT is((SELECT count(*) FROM ladder, escalations_due('T-1', pg_temp.ticket('9 created'), s, pg_temp.at(16))), 0::bigint, 'and nothing is left to raise');
SELECT is(pg_temp.due('9 created', s, 16), '50% to owner, 80% to owner', 'escalations() knows nothing of that') FROM ladder;
SELECT results_eq($$ SELECT clock_no, counting_since, step_no, step, recipient, raise_at FROM ladder, escalations_due('T-1', pg_temp.ticket('9 created'), s, pg_temp.at(16.5)) $$,
    $$ VALUES (1, pg_temp.at(9), 3, 'breach - 30 minutes to lead', 'lead', pg_temp.at(16.5)) $$, 'half an hour later there is one more');
SELECT is((SELECT count(*) FROM revacct_data.escalation), 2::bigint, 'looking records nothing');
SELECT is(pg_temp.raise('T-1', '9 created', s, 29), 'breach - 30 minutes to lead, 100% to lead, breach to manager, breach + 4 hours to director, 250% to board', 'after a night all the rest at once') FROM ladder;
SELECT is(pg_temp.raise('T-1', '9 created', s, 12), '', 'an earlier as_of takes nothing back') FROM ladder;
SELECT is(pg_temp.raise('T-2', '9 created', s, 13), '50% to owner', 'another subject is another matter') FROM ladder;
SELECT is(pg_temp.raise('t-2', '9 created', s, 13) || pg_temp.raise('T-2 ', '9 created', s, 13) || pg_temp.raise('', '9 created', s, 13), '50% to owner50% to owner50% to owner', 'so is each other spelling') FROM ladder;
SELECT is(pg_temp.raise('late', '9 created, 14 replied', s, 15), '', 'what nobody raised before the clock ended is not raised later') FROM ladder;
CREATE TEMP TABLE queue AS SELECT 'Q-' || i AS subject, pg_temp.ticket(CASE WHEN i % 2 = 1 THEN '9 created' ELSE '9 created, 10 replied' END) AS j FROM generate_series(1, 4) i;
SELECT results_eq($$ SELECT r.subject, r.step FROM queue q, ladder, raise_escalations(q.subject, j, s, pg_temp.at(13)) r ORDER BY 1 $$, $$ VALUES ('Q-1', '50% to owner'), ('Q-3', '50% to owner') $$, 'a whole queue in one query');
SELECT results_eq($$ SELECT n, (r).subject FROM (SELECT n, raise_escalations('twice', pg_temp.ticket('9 created'), s, pg_temp.at(13)) AS r FROM ladder, generate_series(1, 3) n) t $$, $$ VALUES (1, 'twice') $$, 'three calls in one query raise once');
SELECT is(pg_temp.raise('double', '9 created', pg_temp.support('{50% to a, 50% to a}'), 13), '50% to a', 'a step that is written twice is raised once');
SAVEPOINT undone;
SELECT is(pg_temp.raise('undone', '9 created', s, 13), '50% to owner', 'raised, and taken back') FROM ladder;
ROLLBACK TO undone;
SELECT is((SELECT string_agg(step, ', ') FROM ladder, escalations_due('undone', pg_temp.ticket('9 created'), s, pg_temp.at(13))), '50% to owner', 'what was rolled back was not raised');

-- Raised again when the clock counts from zero again, and only then
CREATE FUNCTION pg_temp.twice(subject text, before text, after text, agreed sla, agreed_later sla DEFAULT NULL) RETURNS text LANGUAGE SQL AS $$
    SELECT pg_temp.raise($1, $2, $4, 13.5) || ' | ' || pg_temp.raise($1, $2 || $3, coalesce($5, $4), 99) $$;
SELECT is(pg_temp.twice('restart', '9 created', ', 14 tier=2', pg_temp.support('{50% to a}', change => 'restart')), '50% to a | 50% to a', 'again after a restart');
SELECT results_eq($$ SELECT counting_since, raise_at FROM revacct_data.escalation WHERE subject = 'restart' ORDER BY 1 $$, $$ VALUES (pg_temp.at(9), pg_temp.at(13)), (pg_temp.at(14), pg_temp.at(18)) $$, 'which has its own count');
SELECT is(pg_temp.twice('carry', '9 created', ', 14 tier=2', pg_temp.support('{50% to a}')), '50% to a | ', 'not again when what elapsed is carried over');
SELECT is(pg_temp.twice('promised', '9 created', ', 14 promised=' || promise_value(pg_temp.at(20)), pg_temp.support('{50% to a}', change => 'restart')), '50% to a | ', 'a promise restarts nothing');
SELECT is(pg_temp.twice('reset', '9 created', ', 14 reset', pg_temp.support('{50% to a}')), '50% to a | 50% to a', 'again after a reset');
SELECT is(pg_temp.twice('resumed', '9 created', ', 14 replied, 20 created', pg_temp.support('{50% to a}')), '50% to a | ', 'not again for a clock that goes on after a stop');
SELECT is(pg_temp.twice('reopened', '9 created', ', 14 replied, 20 created', pg_temp.support('{50% to a}', reopen => 'restart')), '50% to a | 50% to a', 'again for a new clock after a stop');
SELECT is(pg_temp.twice('cancelled', '9 created', ', 14 spam, 20 created', pg_temp.support('{50% to a}')), '50% to a | 50% to a', 'again for a new clock after a cancellation');
SELECT is(pg_temp.twice('paused', '9 created', ', 14 waiting, 20 answered', pg_temp.support('{50% to a}')), '50% to a | ', 'not again after a pause');

-- New versions: policies of one SLA, or another definition with the same name
CREATE TEMP TABLE versions AS
SELECT change, sla(ARRAY[pg_temp.support('{50% to a}', version => 'old', valid => '[,2025-03-03 14:00+00)', change => change),
                         pg_temp.support('{50% to a, 50% to b, breach to a}', version => 'new', valid => '[2025-03-03 14:00+00,)', change => change)]) AS s FROM unnest('{carry, restart}'::text[]) change;
SELECT is(pg_temp.twice('version', '9 created', '', s), '50% to a | 50% to b, breach to a', 'a new version in force: its new steps, not the old one again') FROM versions WHERE change = 'carry';
SELECT is(pg_temp.twice('version restarts', '9 created', '', s), '50% to a | 50% to a, 50% to b, breach to a', 'unless the version restarts the clock') FROM versions WHERE change = 'restart';
SELECT is(pg_temp.twice('redefined', '9 created', '', pg_temp.support('{50% to a}'), pg_temp.support('{50% to a, 80% to a}', '6 hours')), '50% to a | 80% to a', 'a changed definition of the same name: only what is new');
SELECT results_eq($$ SELECT step, raise_at, sla_fingerprint FROM revacct_data.escalation WHERE subject = 'redefined' ORDER BY 1 $$,
    $$ VALUES ('50% to a', pg_temp.at(13), fingerprint(pg_temp.support('{50% to a}'))), ('80% to a', pg_temp.at(13.8), fingerprint(pg_temp.support('{50% to a, 80% to a}', '6 hours'))) $$, 'each with the definition it was raised by');
SELECT is(pg_temp.twice('spelled', '9 created', '', pg_temp.support('{breach - 240 minutes to a, 50% to a}'), pg_temp.support('{breach - 4 hours to a, 50.0%  to  a}')), 'breach - 4 hours to a, 50% to a | ', 'another spelling of a step is the same step');
SELECT is(pg_temp.twice('recipient', '9 created', '', pg_temp.support('{50% to a}'), pg_temp.support('{50% to b}')), '50% to a | 50% to b', 'another recipient is told too');
SELECT is(pg_temp.twice('renamed', '9 created', '', pg_temp.support('{50% to a}'), pg_temp.support('{50% to a}', name => 'Support')), '50% to a | 50% to a', 'another name is another SLA');

-- NULLs and keys
SELECT is((SELECT count(*) FROM raise_escalations('null', NULL, pg_temp.support('{50% to a}'), pg_temp.at(13))), 0::bigint, 'no journey: nothing to raise');
SELECT is((SELECT count(*) FROM raise_escalations('null', pg_temp.ticket('9 created'), NULL, pg_temp.at(13))), 0::bigint, 'no SLA: nothing to raise');
SELECT is((SELECT count(*) FROM raise_escalations('null', pg_temp.ticket('9 created'), pg_temp.support('{50% to a}'), NULL)), 0::bigint, 'no as_of: nothing to raise');
SELECT is((SELECT count(*) FROM escalations_due('null', NULL, pg_temp.support('{50% to a}'), pg_temp.at(13))) + (SELECT count(*) FROM escalations_due('null', pg_temp.ticket('9 created'), NULL, pg_temp.at(13)))
        + (SELECT count(*) FROM escalations_due('null', pg_temp.ticket('9 created'), pg_temp.support('{50% to a}'), NULL)), 0::bigint, 'nor is anything due');
SELECT is((SELECT count(*) FROM escalations(NULL, pg_temp.support('{50% to a}'), pg_temp.at(13))) + (SELECT count(*) FROM escalations(pg_temp.ticket('9 created'), NULL, pg_temp.at(13)))
        + (SELECT count(*) FROM escalations(pg_temp.ticket('9 created'), pg_temp.support('{50% to a}'), NULL)), 0::bigint, 'nor are there steps');
CREATE TEMP TABLE before AS SELECT * FROM revacct_data.escalation;
SELECT throws_ok($$ SELECT pg_temp.raise(NULL, '9 created', pg_temp.support('{50% to a}'), 13) $$, '23502', NULL, 'a subject without a key is refused');
SELECT throws_ok($$ SELECT raise_escalations(subject, pg_temp.ticket('9 created'), s, pg_temp.at(13)) FROM ladder, (VALUES ('short'), (repeat('x', 1025))) t(subject) $$, '23514', NULL, 'a key of more than 1024 bytes is refused');
SELECT throws_ok($$ SELECT pg_temp.raise(repeat('é', 513), '9 created', s, 13) FROM ladder $$, '23514', NULL, 'bytes, not characters');
SELECT set_eq('SELECT * FROM revacct_data.escalation', 'SELECT * FROM before', 'refused as a whole, and nothing is lost');
SELECT is(pg_temp.raise('short', '9 created', s, 13), '50% to owner', 'what came with it can be raised without it') FROM ladder;
SELECT is(pg_temp.raise(repeat('é', 512), '9 created', s, 13) || pg_temp.raise(repeat('é', 512), '9 created', s, 13), '50% to owner', '1024 bytes, once') FROM ladder;
SELECT is((SELECT count(*) FROM raise_escalations(repeat(E'\\', 1024), pg_temp.ticket('9 created'), pg_temp.support(ARRAY['50% to ' || repeat('"', 255)], name => repeat('"', 255)), pg_temp.at(13))), 1::bigint, 'the longest names, of what JSON must escape');
SELECT lives_ok($$ SELECT raise_escalations(repeat(E'\x01', 1024), pg_temp.ticket('9 created'), pg_temp.support(ARRAY['50% to ' || repeat(E'\x01', 255)], name => repeat(E'\x01', 255)), pg_temp.at(13)) $$, 'and of what it must escape at length');
SELECT is(pg_temp.raise(E'a\tb\n''; DROP TABLE x; --"\\', '9 created', s, 13), '50% to owner', 'a key is a key') FROM ladder;
SELECT is((SELECT count(*) FROM revacct_data.escalation WHERE subject = E'a\tb\n''; DROP TABLE x; --"\\'), 1::bigint, 'kept as it was given');

-- Somebody else's schema comes first in the caller's search path
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.bite(VARIADIC anyarray) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'bitten'; END $$;
DO $do$
DECLARE
    signature text;
BEGIN
    FOREACH signature IN ARRAY ARRAY[
        'escalations(journey, sla, timestamptz) RETURNS TABLE (clock_no int, counting_since timestamptz, step_no int, step text, recipient text, raise_at timestamptz, is_due boolean)',
        'escalations_due(text, journey, sla, timestamptz) RETURNS TABLE (clock_no int, counting_since timestamptz, step_no int, step text, recipient text, raise_at timestamptz)',
        'sla_name(sla) RETURNS text', 'fingerprint(sla) RETURNS text', 'clock_timestamp() RETURNS timestamptz', 'pg_notify(text, text) RETURNS void',
        'json_build_object(text, text, text, text, text, text, text, text, text, timestamptz, text, timestamptz) RETURNS json',
        'equal(text, text) RETURNS boolean', 'equal(timestamptz, timestamptz) RETURNS boolean']
    LOOP
        EXECUTE 'CREATE FUNCTION hostile.' || signature || ' LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION ''bitten''; END $$';
    END LOOP;
END $do$;
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.equal);
CREATE OPERATOR hostile.= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.equal);
CREATE DOMAIN hostile.text AS pg_catalog.text CHECK (hostile.bite(0));
CREATE FUNCTION pg_temp.there(query text, OUT said text, OUT path text) LANGUAGE plpgsql SET search_path = hostile, pg_catalog, revacct, revacct_data AS $$
BEGIN
    EXECUTE query INTO said;
    path := current_setting('search_path');
EXCEPTION WHEN OTHERS THEN
    said := SQLERRM;
END $$;
SELECT is((pg_temp.there(query)).said, 'bitten', 'the trap works: ' || query)
FROM (VALUES (1, $$ SELECT count(*) FROM escalations(NULL::journey, NULL::sla, NULL::timestamptz) $$), (2, $$ SELECT count(*) FROM escalations_due('a'::pg_catalog.text, NULL::journey, NULL::sla, NULL::timestamptz) $$),
             (3, $$ SELECT sla_name(NULL::sla) $$), (4, $$ SELECT fingerprint(NULL::sla) $$), (5, $$ SELECT clock_timestamp() $$), (6, $$ SELECT pg_notify('a', 'b') $$),
             (7, $$ SELECT json_build_object('a', 'b'::pg_catalog.text, 'a', 'b'::pg_catalog.text, 'a', 'b'::pg_catalog.text, 'a', 'b'::pg_catalog.text, 'a', now(), 'a', now()) $$),
             (8, $$ SELECT 'a'::pg_catalog.text = 'a'::pg_catalog.text $$), (9, $$ SELECT now() = now() $$), (10, $$ SELECT 1::text $$)) AS t(n, query) ORDER BY n;
CREATE TABLE hostage AS SELECT pg_temp.ticket('9 created') AS j, s, pg_temp.at(13) AS as_of FROM ladder;
SELECT is(pg_temp.there($$ SELECT string_agg(step, ', ') FROM public.hostage, revacct.escalations_due('there', j, s, as_of) $$), ROW('50% to owner'::text, 'hostile, pg_catalog, revacct, revacct_data'::text), 'escalations_due calls what it was made of');
SELECT is(pg_temp.there($$ SELECT string_agg(step, ', ') FROM public.hostage, revacct.raise_escalations('there', j, s, as_of) $$), ROW('50% to owner'::text, 'hostile, pg_catalog, revacct, revacct_data'::text), 'so does raise_escalations, and the path stays');
SELECT results_eq($$ SELECT sla, sla_fingerprint FROM revacct_data.escalation WHERE subject = 'there' $$, $$ SELECT sla_name(s), fingerprint(s) FROM ladder $$, 'and that is what it recorded');

-- Privileges
CREATE ROLE revacct_test_nobody;
CREATE ROLE revacct_test_reader;
CREATE ROLE revacct_test_writer;
CREATE ROLE revacct_test_adder;
CREATE ROLE revacct_test_outsider;
GRANT USAGE ON SCHEMA revacct TO revacct_test_nobody, revacct_test_reader, revacct_test_writer, revacct_test_adder, revacct_test_outsider;
GRANT USAGE ON SCHEMA revacct_data TO revacct_test_reader, revacct_test_writer, revacct_test_adder;
GRANT SELECT ON revacct_data.escalation TO revacct_test_reader, revacct_test_writer, revacct_test_outsider;
GRANT INSERT ON revacct_data.escalation TO revacct_test_writer, revacct_test_adder, revacct_test_outsider;
GRANT SELECT ON hostage TO PUBLIC;
CREATE TEMP TABLE calls AS SELECT 'SELECT string_agg(step, '', '') FROM hostage, ' || call AS query, fn
FROM (VALUES ('escalations', 'escalations(j, s, as_of) WHERE is_due'), ('escalations_due', 'escalations_due(''role'', j, s, as_of)'), ('raise_escalations', 'raise_escalations(''role'', j, s, as_of)')) t(fn, call);
GRANT SELECT ON calls TO PUBLIC;
SELECT ok(NOT has_schema_privilege('public', 'revacct_data', 'USAGE') AND NOT has_table_privilege('public', 'revacct_data.escalation', 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER'), 'PUBLIC may nothing');
TRUNCATE before;
INSERT INTO before SELECT * FROM revacct_data.escalation;

SET LOCAL ROLE revacct_test_nobody;
SELECT lives_ok(query, 'what is due by the policy anybody can ask') FROM calls WHERE fn = 'escalations';
SELECT throws_ok(query, '42501', NULL, 'what is due and not raised: not without a right to the table') FROM calls WHERE fn = 'escalations_due';
SELECT throws_ok(query, '42501', NULL, 'raising: not without a right to the table') FROM calls WHERE fn = 'raise_escalations';
SET LOCAL ROLE revacct_test_reader;
SELECT results_eq(query, $$ VALUES ('50% to owner') $$, 'who may read sees what is due and not raised') FROM calls WHERE fn = 'escalations_due';
SELECT throws_ok(query, '42501', NULL, 'but cannot raise') FROM calls WHERE fn = 'raise_escalations';
SET LOCAL ROLE revacct_test_adder;
SELECT throws_ok(query, '42501', NULL, 'who may only add cannot: raising reads') FROM calls WHERE fn = 'raise_escalations';
SET LOCAL ROLE revacct_test_outsider;
SELECT throws_ok(query, '42501', NULL, 'nor who may not use the schema') FROM calls WHERE fn = 'raise_escalations';
RESET ROLE;
SELECT set_eq('SELECT * FROM revacct_data.escalation', 'SELECT * FROM before', 'nothing is recorded of what was refused');
SET LOCAL ROLE revacct_test_writer;
SELECT results_eq(query, $$ VALUES ('50% to owner') $$, 'who may read and add can raise') FROM calls WHERE fn = 'raise_escalations';
SELECT results_eq(query, $$ VALUES (NULL::text) $$, 'once') FROM calls WHERE fn = 'raise_escalations';
SELECT throws_ok('DELETE FROM revacct_data.escalation', '42501', NULL, 'and can take nothing back');
SELECT throws_ok('UPDATE revacct_data.escalation SET raised_at = now()', '42501', NULL, 'nor change it');
RESET ROLE;
SELECT results_eq($$ SELECT raised_by FROM revacct_data.escalation WHERE subject = 'role' $$, 'SELECT session_user::text COLLATE "default"', 'raised_by is who is logged in, whatever role he plays');

-- The owner of a database, who is no superuser, has what an owner has, and can pass it on
DROP TABLE hostage, ladder, office, versions, queue;
DROP SCHEMA hostile CASCADE;
DROP FUNCTION pg_temp.support, pg_temp.ticket, pg_temp.due, pg_temp.raise, pg_temp.twice;
DROP EXTENSION revacct;
SELECT is_empty($$ SELECT nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL SELECT relname FROM pg_class WHERE relname ~ '^escalation' $$, 'dropped: the record is gone with its schema');
DROP SCHEMA IF EXISTS revacct;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO revacct_test_reader', current_database()); END $$;
SET LOCAL ROLE revacct_test_reader;
CREATE EXTENSION revacct CASCADE;
CREATE TEMP TABLE call AS SELECT $$ SELECT step FROM revacct.raise_escalations('own', '{1@2025-03-03T09:00:00Z}', revacct.sla('support', start => '{created}', stop => '{replied}', target => '8 hours', escalations => '{50% to a, breach to b}'), '2025-03-03 $$ AS query;
SELECT results_eq(query || $$13:00+00')$$, $$ VALUES ('50% to a') $$, 'who installed it can raise') FROM call;
GRANT USAGE ON SCHEMA revacct, revacct_data TO revacct_test_adder;
GRANT SELECT, INSERT ON revacct_data.escalation TO revacct_test_adder;
GRANT SELECT ON call TO PUBLIC;
SELECT ok(has_schema_privilege('revacct_test_adder', 'revacct_data', 'USAGE') AND has_table_privilege('revacct_test_adder', 'revacct_data.escalation', 'SELECT') AND has_table_privilege('revacct_test_adder', 'revacct_data.escalation', 'INSERT'),
    'and let others');
SET LOCAL ROLE revacct_test_adder;
SELECT lives_ok(query || $$18:00+00')$$, 'who then can') FROM call;
SET LOCAL ROLE revacct_test_reader;
SELECT lives_ok($$ UPDATE revacct_data.escalation SET subject = 'own-1'; DELETE FROM revacct_data.escalation $$, 'the owner can keep house in it');
SELECT lives_ok('DROP EXTENSION revacct', 'and drop it all');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
