-- Who may do what: every access level by every action; by membership; what is taken away, and what is not. All in one transaction, which is rolled back.
-- What it takes to agree on something, and attempts to go round that: approval.sql.
SET client_min_messages = warning;
SET search_path = public, revacct;

-- What somebody does, as the session's user, and what comes of it: 'ok', a value if the statement gives one, or the SQLSTATE.
CREATE FUNCTION pg_temp.login(who text) RETURNS text LANGUAGE SQL AS $$ SELECT CASE $1 WHEN 'postgres' THEN $1 ELSE 'revacct_test_' || $1 END $$;
CREATE FUNCTION pg_temp.does(who text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text := '';
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', pg_temp.login(who));
        IF what ~ '^\s*SELECT' AND what !~ ';' THEN EXECUTE what INTO result; ELSE EXECUTE what; END IF;
        SET LOCAL SESSION AUTHORIZATION DEFAULT;
        RETURN coalesce(nullif(result, ''), 'ok');
    EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END $$;
-- The same, and it never was; a value is ok.
CREATE FUNCTION pg_temp.would(who text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    BEGIN
        result := pg_temp.does(who, what);
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN CASE WHEN result ~ '^[0-9A-Z]{5}$' THEN result ELSE 'ok' END;
    END;
END $$;
CREATE FUNCTION pg_temp.no(why text) RETURNS bigint LANGUAGE SQL STABLE SECURITY DEFINER AS $$ SELECT max(change_id) FROM revacct_data.change WHERE rationale = $1 $$;

BEGIN;
SELECT plan(764);
-- The extension belongs to somebody who is no superuser; root is one, and was named to nothing.
CREATE ROLE revacct_test_owner; CREATE ROLE revacct_test_root SUPERUSER; CREATE ROLE revacct_test_nobody; CREATE ROLE revacct_test_reader; CREATE ROLE revacct_test_analyst; CREATE ROLE revacct_test_steward;
CREATE ROLE revacct_test_council; CREATE ROLE revacct_test_loader; CREATE ROLE revacct_test_other;
DROP EXTENSION revacct;
SELECT format('GRANT CREATE ON DATABASE %I TO revacct_test_owner', current_database()) \gexec
SELECT is(pg_temp.does('owner', 'CREATE EXTENSION revacct'), 'ok', 'the extension is installed by somebody who is no superuser');
SELECT is(pg_temp.does('owner', format('SELECT grant_access(%L, %L)', level, 'revacct_test_' || level)), 'ok', 'who grants ' || level) FROM unnest('{reader, analyst, steward, council, loader}'::text[]) AS l (level);
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('steward', 'revacct_test_other') $$), 'ok', 'and steward to another');

-- A model to ask for, a proposal for the council to sign, exceptions to agree to, a draft
SELECT is(pg_temp.does('other', $$ SELECT register_party('dora', 'person'), register_party('sales', 'team'); SELECT draft_change('Model');
    SELECT define_lifecycle('deal'), define_stage('deal', 'a', 1), define_stage('deal', 'b', 2), define_transition('deal', 'a', 'b'), define_calendar('hours', 'UTC', '{mon-fri 09:00-17:00}'),
           define_sla('speed', start => '{created}', stop => '{touch_out}', target => '1 hour', calendar => 'hours'); SELECT propose_change() $$), 'ok', 'a model is proposed');
SELECT is(pg_temp.does('council', $$ SELECT approve(pg_temp.no('Model')) $$), 'approved', 'and approved');
SELECT is(pg_temp.does('other', $$ SELECT draft_change('Proposal'); SELECT define_code('a', 'b'); SELECT propose_change() $$), 'ok', 'something waits for the council');
SELECT is(pg_temp.does('other', $$ SELECT draft_change('Draft'); SELECT define_code('a', 'c') $$), 'ok', 'something is drafted');
SELECT is(pg_temp.does('other', $$ SELECT request_override('transition', 'deal/a/b', 'lead 1', 'why') $$), '1', 'an exception is asked for');

-- Everything by everybody
CREATE TEMP TABLE may (n int, what text, nobody text, reader text, analyst text, steward text, council text, loader text, owner text, root text);
INSERT INTO may VALUES
    --                                                                                            nobody   reader   analyst  steward  council  loader   owner    root
    (1,  $$ SELECT * FROM revacct.glossary $$,                                                   '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (2,  $$ SELECT * FROM revacct.open_changes $$,                                               '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (3,  $$ SELECT * FROM revacct.awaiting_my_signoff $$,                                        '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (4,  $$ SELECT * FROM revacct.change_contents $$,                                            '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (5,  $$ SELECT * FROM revacct.model_history $$,                                              '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (6,  $$ SELECT * FROM revacct.ownership $$,                                                  '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (7,  $$ SELECT * FROM revacct.decided_changes $$,                                            '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (10, $$ SELECT revacct.lifecycle('deal') $$,                                                 '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (11, $$ SELECT revacct.lifecycle('deal'::text, model_at => now() + interval '1 day') $$,     '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (12, $$ SELECT revacct.sla('speed') $$,                                                      '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (13, $$ SELECT revacct.business_calendar('hours') $$,                                        '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (14, $$ SELECT revacct.lifecycle('none') $$,                                                 '42501', '42704', '42704', '42704', '42704', '42704', '42704', '42704'),
    (15, $$ SELECT * FROM revacct.explain_definition(revacct.lifecycle('deal')) $$,              '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (16, $$ SELECT * FROM revacct.explain_definition(revacct.sla('speed')) $$,                   '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (17, $$ SELECT * FROM revacct.explain_definition(revacct.business_calendar('hours')) $$,     '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (18, $$ SELECT * FROM revacct.check_move('deal', 'b', 'a') $$,                               '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (19, $$ SELECT revacct.enforce_move('deal', 'a', 'b') $$,                                    '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (20, $$ SELECT revacct.counted_as('stage', 'deal/a') $$,                                     '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (21, $$ SELECT revacct.mark('deal', 'a') $$,                                                 '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (22, $$ SELECT * FROM revacct.matching_codes('segment', '{}') $$,                            '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (30, $$ SELECT revacct.draft_change('why') $$,                                               '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (31, $$ SELECT revacct.draft_change('why'); SELECT revacct.define_code('x', 'y') $$,         '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (32, $$ SELECT revacct.draft_change('why'); SELECT revacct.retire('stage', 'deal/a') $$,     '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (33, $$ SELECT revacct.draft_change('why'); SELECT revacct.use_template('b2b_inbound') $$,   '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (34, $$ SELECT revacct.draft_change('why'); SELECT revacct.withdraw_change() $$,             '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (35, $$ SELECT revacct.redraft(pg_temp.no('Model')) $$,                                      '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (36, $$ SELECT revacct.define_code('x', 'y', change => pg_temp.no('Draft')) $$,              '42501', '42501', '42501', '42501', '42501', '42501', '42501', '42501'),
    (42, $$ SELECT revacct.draft_change('why'); SELECT revacct.define_code('x', 'y'); SELECT revacct.undraft('code', 'x/y') $$,
                                                                                                 '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (43, $$ SELECT revacct.undraft('code', 'a/c', pg_temp.no('Draft')) $$,                       '42501', '42501', '42501', '42501', '42501', '42501', '42501', '42501'),
    (37, $$ SELECT revacct.draft_change('why'); SELECT revacct.define_code('x', 'y'); SELECT revacct.propose_change() $$,
                                                                                                 '42501', '42501', '42501', 'ok',    'ok',    '42501', '42501', '42501'),
    (38, $$ SELECT revacct.propose_change(pg_temp.no('Draft')) $$,                               '42501', '42501', '42501', 'ok',    'ok',    '42501', '42501', '42501'),
    (39, $$ SELECT revacct.approve(pg_temp.no('Proposal')) $$,                                   '42501', '42501', '42501', '42501', 'ok',    '42501', '42501', '42501'),
    (40, $$ SELECT revacct.reject(pg_temp.no('Proposal'), 'why') $$,                             '42501', '42501', '42501', '42501', 'ok',    '42501', '42501', '42501'),
    (41, $$ SELECT revacct.withdraw_change(pg_temp.no('Proposal')) $$,                           '42501', '42501', '42501', '42501', '42501', '42501', '42501', '42501'),
    (50, $$ SELECT revacct.register_party('somebody', 'person') $$,                              '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (51, $$ SELECT revacct.register_party('sales', 'team', 'Sales') $$,                          '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (52, $$ SELECT revacct.link_login('dora', 'revacct_test_nobody') $$,                         '42501', '42501', '42501', '42501', '42501', '42501', 'ok',    'ok'),
    (53, $$ SELECT revacct.link_login('dora', NULL) $$,                                          '42501', '42501', '42501', '42501', '42501', '42501', 'ok',    'ok'),
    (54, $$ SELECT revacct.grant_access('council', session_user::regrole) $$,                    '42501', '42501', '42501', '42501', '42501', '42501', 'ok',    'ok'),
    (55, $$ SELECT revacct.revoke_access('reader', 'revacct_test_reader') $$,                    '42501', '42501', '42501', '42501', '42501', '42501', 'ok',    'ok'),
    (60, $$ SELECT revacct.request_override('transition', 'deal/a/b', 'lead 2', 'why') $$,       '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (61, $$ SELECT revacct.approve_override(1) $$,                                               '42501', '42501', '42501', 'ok',    'ok',    '42501', '42501', '42501'),
    (62, $$ SELECT revacct.approve_override(revacct.request_override('transition', 'deal/a/b', 'lead 2', 'why')) $$,
                                                                                                 '42501', '42501', '42501', '42501', '42501', '42501', '42501', '42501'),
    (70, $$ SELECT nextval('revacct_data.change_change_id_seq') $$,                              '42501', '42501', '42501', '42501', '42501', '42501', 'ok',    'ok'),
    (71, $$ CREATE FUNCTION revacct.f() RETURNS int LANGUAGE SQL AS 'SELECT 1' $$,               '42501', '42501', '42501', '42501', '42501', '42501', '42501', 'ok'),
    (72, $$ CREATE TABLE revacct_data.t () $$,                                                   '42501', '42501', '42501', '42501', '42501', '42501', '42501', 'ok'),
    (100, $$ SELECT * FROM revacct.funnel $$,                                                      '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (101, $$ SELECT * FROM revacct.stage_velocity $$,                                              '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (102, $$ SELECT * FROM revacct.sla_results $$,                                                 '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (103, $$ SELECT * FROM revacct.sla_status $$,                                                  '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (104, $$ SELECT * FROM revacct.event_log $$,                                                   '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (105, $$ SELECT * FROM revacct.exceptions $$,                                                  '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (106, $$ SELECT * FROM revacct.source_conflicts $$,                                            '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (107, $$ SELECT * FROM revacct.metric_catalog $$,                                              '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (108, $$ SELECT * FROM revacct.published_figures $$,                                           '42501', 'ok',    'ok',    'ok',    'ok',    '42501', 'ok',    'ok'),
    (109, $$ SELECT * FROM revacct.rejected_facts $$,                                              '42501', 'ok',    'ok',    'ok',    'ok',    'ok',    'ok',    'ok'),
    (110, $$ SELECT revacct.map_source('crm') $$,                                                  '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (111, $$ SELECT revacct.record_event('crm', 'lead', 'L', 'created', source_key => 'k') $$,     '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (112, $$ SELECT revacct.record_link('crm', 'lead', 'L', 'account', 'account', 'A') $$,         '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (113, $$ SELECT revacct.record_money('crm', 'cost', '2025-01-01', 1, 'EUR', source_key => 'k') $$, '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (114, $$ SELECT revacct.record_commitment('crm', 'promise', 'x', 'dora', source_key => 'k') $$, '42501', '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501'),
    (115, $$ SELECT * FROM revacct.load('crm') $$,                                                 '42501', '42501', '42501', '42704', '42704', '42704', '42501', '42501'),
    (116, $$ SELECT * FROM revacct.refresh(false) $$,                                              '42501', '42501', 'ok',    'ok',    'ok',    'ok',    '42501', '42501'),
    (117, $$ SELECT * FROM revacct.rebuild_journeys() $$,                                          '42501', '42501', '42501', 'ok',    'ok',    '42501', '42501', '42501'),
    (118, $$ SELECT * FROM revacct.check_journeys() $$,                                            '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501', 'ok'),
    (119, $$ SELECT revacct.set_minimum_group(7) $$,                                               '42501', '42501', '42501', '42501', 'ok',    '42501', '42501', '42501'),
    (120, $$ SELECT * FROM revacct.journeys() $$,                                                  '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501', 'ok'),
    (121, $$ SELECT * FROM revacct.funnel_of('deal') $$,                                           '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501', 'ok'),
    (122, $$ SELECT * FROM revacct.velocity_of('deal') $$,                                         '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501', 'ok'),
    (123, $$ SELECT * FROM revacct.breaches_of('speed') $$,                                        '42501', '42501', '0A000', '0A000', '0A000', '42501', '42501', '0A000'),
    (124, $$ SELECT * FROM revacct.metric_value('none', NULL) $$,                                  '42501', '42501', '42704', '42704', '42704', '42501', '42501', '42704'),
    (125, $$ SELECT * FROM revacct.restate('none', NULL, now(), now()) $$,                         '42501', '42501', '42704', '42704', '42704', '42501', '42501', '42704'),
    (126, $$ SELECT revacct.publish('none', NULL) $$,                                              '42501', '42501', '42501', '42704', '42704', '42501', '42501', '42501'),
    (127, $$ SELECT * FROM revacct.verify_published() $$,                                          '42501', '42501', 'ok',    'ok',    'ok',    '42501', '42501', 'ok'),
    (128, $$ SELECT * FROM revacct.check_mapping('crm') $$,                                         '42501', '42501', '42704', '42704', '42704', '42704', '42501', '42704');
CREATE TEMP VIEW everybody AS
SELECT may.n, may.what, w.m, w.who, w.expected
FROM may, LATERAL (VALUES (1, 'nobody', nobody), (2, 'reader', reader), (3, 'analyst', analyst), (4, 'steward', steward), (5, 'council', council), (6, 'loader', loader), (7, 'owner', owner), (8, 'root', root)) AS w (m, who, expected);
SELECT is(pg_temp.would(who, what), expected, who || ': ' || what) FROM everybody ORDER BY n, m;
SELECT is_empty($$ SELECT relname FROM pg_class WHERE relnamespace = 'revacct'::regnamespace AND relkind IN ('v', 'm') EXCEPT SELECT substring(what FROM 'FROM revacct\.(\w+) $') FROM may $$, 'all views are among that');
SELECT is_empty($$ SELECT DISTINCT proname FROM pg_proc p WHERE pronamespace = 'revacct'::regnamespace AND proname !~ '^_' AND (provolatile = 'v' OR prosecdef)
    AND proname NOT IN (SELECT (regexp_matches(what, 'revacct\.(\w+)', 'g'))[1] FROM may)
    AND proname NOT LIKE 'define\_%' AND (prosecdef OR proname !~ '^(map|draft)_') AND proname NOT IN ('assign', 'unassign', 'raise_escalations') $$, 'and so are all functions that write or read tables, but for those that fill drafts, adapters, which call map_source(), and escalations');

-- Tables
CREATE TEMP TABLE relation AS SELECT c.oid::regclass AS name, relkind, relname = 'escalation' AS is_log, coalesce(obj_description(c.oid), '') LIKE 'Derived: %' AS is_derived, (SELECT quote_ident(attname) FROM pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND attidentity = '' AND attgenerated = '' ORDER BY attnum LIMIT 1) AS col
FROM pg_class c WHERE relnamespace = 'revacct_data'::regnamespace AND relkind IN ('r', 'v', 'm', 'p');
SELECT ok((SELECT count(*) FROM relation) >= 24, 'there are tables');
SELECT is_empty(format($q$ SELECT name, result FROM (SELECT name, pg_temp.would(%L, format('SELECT count(*) FROM %%s', name)) AS result FROM relation) AS a WHERE result <> %L $q$, who, expected), who || ' reads each table: ' || expected)
FROM (VALUES ('nobody', '42501'), ('reader', '42501'), ('analyst', 'ok'), ('steward', 'ok'), ('council', 'ok'), ('loader', '42501'), ('owner', 'ok'), ('root', 'ok')) AS w (who, expected);
SELECT is_empty(format($q$ SELECT name, result FROM (SELECT name, pg_temp.would(%L, format(%L, name, col)) AS result FROM relation WHERE relkind = 'r' AND NOT (is_log AND %L) AND NOT (is_derived AND %L)) AS a WHERE result <> %L $q$,
    who, what, expected <> '42501', who = 'owner' AND expected <> '42501', expected), who || ': ' || what || ' on each table: ' || expected)
FROM (VALUES (1, 'INSERT INTO %s DEFAULT VALUES', '55000'), (2, 'UPDATE %s SET %s = DEFAULT', '55000'), (3, 'DELETE FROM %s', '55000'), (4, 'TRUNCATE %s CASCADE', '42501')) AS v (n, what, owners),
     LATERAL (VALUES (1, 'nobody', '42501'), (2, 'reader', '42501'), (3, 'analyst', '42501'), (4, 'steward', '42501'), (5, 'council', '42501'), (6, 'loader', '42501'), (7, 'owner', owners), (8, 'root', '55000')) AS w (m, who, expected)
ORDER BY m, n;

SELECT is_empty(format($q$ SELECT name, result FROM (SELECT name, pg_temp.would('owner', format(%L, name, col)) AS result FROM relation WHERE is_derived) AS a WHERE result <> '42501' $q$, what), 'owner: ' || what || ' on what is derived: not even granted')
FROM (VALUES (1, 'INSERT INTO %s DEFAULT VALUES'), (2, 'UPDATE %s SET %s = DEFAULT'), (3, 'DELETE FROM %s')) AS v (n, what) ORDER BY n;

-- Exceptions: who asked does not agree, and once is enough
SELECT is(pg_temp.does('steward', 'SELECT approve_override(0)'), '42704', 'there must be one to agree to');
SELECT is(pg_temp.does('other', 'SELECT approve_override(1)'), '42501', 'who asked for it does not agree to it');
SELECT is(pg_temp.does('steward', 'SELECT approve_override(1)'), 'ok', 'another does');
SELECT is(pg_temp.does('council', 'SELECT approve_override(1)'), '55000', 'once');
SELECT is((SELECT requested_by || ' ' || approved_by FROM revacct_data.override), 'revacct_test_other revacct_test_steward', 'and it is known who');
SELECT is(pg_temp.would('reader', 'SELECT ' || what), expected, what)
FROM (VALUES (1, 'request_override(''transition'', ''deal/x'', ''lead 1'', ''why'')', '42704'), (2, 'request_override(''transition'', ''deal/a/b'', '''', ''why'')', '23514'), (3, 'request_override(''transition'', ''deal/a/b'', ''lead 1'', '' '')', '23514')) AS t (n, what, expected) ORDER BY n;

-- Signing is for owners, whatever their level: of a reader and a loader too
SELECT is(pg_temp.does('owner', $$ SELECT link_login('dora', 'revacct_test_loader') $$), 'ok', 'dora logs in as loader');
SELECT is(pg_temp.does('other', $$ SELECT draft_change('Dora''s'); SELECT assign('dora', 'accountable', 'stage', 'deal/a', change => pg_temp.no('Dora''s')); SELECT propose_change(pg_temp.no('Dora''s')) $$), 'ok', 'and is to own something');
SELECT is(pg_temp.does('council', 'SELECT string_agg(sign_for, '', '') FROM awaiting_my_signoff WHERE change_no = pg_temp.no(''Dora''''s'')'), 'council', 'nobody owns it yet, so the council is asked for itself');
SELECT is(pg_temp.does('council', 'SELECT approve(pg_temp.no(''Dora''''s''))'), 'proposed', 'and agrees, but not for her');
SELECT is(pg_temp.would('council', 'SELECT approve(pg_temp.no(''Dora''''s''))'), '42501', 'however often');
SELECT is(pg_temp.would('loader', 'SELECT approve(pg_temp.no(''Dora''''s''))'), 'ok', 'she does');
SELECT is(pg_temp.does('owner', $$ SELECT link_login('dora', 'revacct_test_reader') $$), 'ok', 'dora logs in as reader');
SELECT is(pg_temp.does('reader', 'SELECT sign_for FROM awaiting_my_signoff'), 'dora', 'a reader is asked');
SELECT is(pg_temp.would('reader', 'SELECT approve(pg_temp.no(''Dora''''s''))'), 'ok', 'and signs');
SELECT is(pg_temp.would('loader', 'SELECT approve(pg_temp.no(''Dora''''s''))'), '42501', 'and the former login does not');
SELECT is(pg_temp.does('owner', $$ SELECT link_login('dora', NULL) $$), 'ok', 'dora logs in no more');
SELECT is(pg_temp.would('council', 'SELECT approve(pg_temp.no(''Dora''''s''))'), 'ok', 'then the council agrees for her');

-- Membership, direct and by many steps; and without inheritance, which takes a SET ROLE to use schemas, but gives the level
CREATE ROLE revacct_test_team; CREATE ROLE revacct_test_division IN ROLE revacct_test_team; CREATE ROLE revacct_test_unit IN ROLE revacct_test_division;
CREATE ROLE revacct_test_member IN ROLE revacct_test_team; CREATE ROLE revacct_test_far IN ROLE revacct_test_unit; CREATE ROLE revacct_test_plain NOINHERIT IN ROLE revacct_test_team;
SELECT $$ SELECT revacct.draft_change('why'); SELECT revacct.define_code('x', 'y'); SELECT revacct.propose_change() $$ AS propose \gset
SELECT is(pg_temp.would(who, :'propose'), '42501', who || ' proposes nothing while the team may not') FROM unnest('{team, member, far, plain}'::text[]) AS w (who);
SELECT is(pg_temp.does('owner', format('SELECT grant_access(%L, %L)', level, 'revacct_test_team')), 'ok', 'the team is made ' || level) FROM unnest('{steward, council}'::text[]) AS l (level);
SELECT is(pg_temp.would(who, what), CASE who WHEN 'plain' THEN '42501' ELSE 'ok' END, who || ' by membership: ' || what)
FROM unnest('{team, member, far, plain}'::text[]) WITH ORDINALITY AS w (who, m),
     unnest(ARRAY['SELECT count(*) FROM revacct.glossary', 'SELECT count(*) FROM revacct_data.party', 'SELECT revacct.register_party(''x'', ''team'')', :'propose', 'SELECT revacct.approve(pg_temp.no(''Proposal''))'])
     WITH ORDINALITY AS a (what, n) ORDER BY m, n;
SELECT is(pg_temp.would('plain', 'SET LOCAL ROLE revacct_test_team; ' || :'propose'), 'ok', 'plain proposes once it is the team, as plain');
SELECT is(pg_temp.would('far', 'SET LOCAL ROLE revacct_test_far; ' || :'propose'), 'ok', 'roles that are set do not matter');
GRANT revacct_test_nobody TO revacct_test_team;
SELECT is(pg_temp.would('nobody', :'propose'), '42501', 'membership does not go the other way');
REVOKE revacct_test_division FROM revacct_test_unit;
SELECT is(pg_temp.would('far', :'propose'), '42501', 'and is over when it is over');
SELECT is(pg_temp.does('owner', $$ SELECT revoke_access('steward', 'revacct_test_team') $$), 'ok', 'the team is no steward any more');
SELECT is(pg_temp.would('member', :'propose'), 'ok', 'but still the council');
SELECT is(pg_temp.does('owner', $$ SELECT revoke_access('council', 'revacct_test_team') $$), 'ok', 'no more');
SELECT is(pg_temp.would('member', :'propose'), '42501', 'so nothing');
SELECT is(pg_temp.does('owner', $$ SELECT revoke_access('council', 'revacct_test_member') $$), '42704', 'what a role has by membership is not taken from it');
-- A superuser has a level only if he is named, or a member by name
SELECT is(pg_temp.would('root', :'propose'), '42501', 'a superuser proposes nothing');
GRANT revacct_test_steward TO revacct_test_root;
SELECT is(pg_temp.would('root', :'propose'), 'ok', 'unless as a member');
REVOKE revacct_test_steward FROM revacct_test_root;

-- What is taken away is what no other level gives: for every set of levels, and each of them, the same as if it had never been granted
CREATE FUNCTION pg_temp.privileges(who text) RETURNS text LANGUAGE SQL AS $$
    SELECT string_agg(d.object || '=' || d.privileges, ' ' ORDER BY d.object)
    FROM (SELECT c.oid::regclass::text AS object, string_agg(p, ',' ORDER BY p) AS privileges FROM pg_class c, unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]) AS p
          WHERE relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND relkind IN ('r', 'v') AND has_table_privilege('revacct_test_' || $1, c.oid, p) GROUP BY 1
          UNION ALL
          SELECT n.nspname, string_agg(p, ',' ORDER BY p) FROM pg_namespace n, unnest('{USAGE, CREATE}'::text[]) AS p WHERE nspname ~ '^revacct' AND has_schema_privilege('revacct_test_' || $1, n.oid, p) GROUP BY 1
          UNION ALL
          SELECT 'level', string_agg(level, ',' ORDER BY level) FROM revacct_data.access WHERE db_role = 'revacct_test_' || $1 GROUP BY 1) AS d $$;
CREATE FUNCTION pg_temp.left_over(levels text[], taken text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE level text; result text;
BEGIN
    BEGIN
        CREATE ROLE revacct_test_one; CREATE ROLE revacct_test_two;
        FOREACH level IN ARRAY levels LOOP
            EXECUTE format('SELECT grant_access(%L, ''revacct_test_one'')', level);
            IF level <> taken THEN EXECUTE format('SELECT grant_access(%L, ''revacct_test_two'')', level); END IF;
        END LOOP;
        IF pg_temp.privileges('one') = coalesce(pg_temp.privileges('two'), '') THEN RAISE EXCEPTION 'the levels are not even recorded'; END IF;
        PERFORM revoke_access(taken, 'revacct_test_one');
        result := CASE WHEN pg_temp.privileges('one') IS DISTINCT FROM pg_temp.privileges('two') THEN pg_temp.privileges('one') ELSE '' END;
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
CREATE TEMP TABLE sets AS SELECT n, ARRAY(SELECT l.level FROM unnest('{reader, analyst, steward, council, loader}'::text[]) WITH ORDINALITY AS l (level, i) WHERE n & (1 << (i::int - 1)) > 0 ORDER BY (i * 3 + n) % 5) AS levels FROM generate_series(1, 31) AS n;
SELECT is((SELECT count(*) FROM sets, unnest(levels)), 80::bigint, 'eighty ways to take a level away');
SELECT is_empty(format($$ SELECT levels, result FROM (SELECT levels, pg_temp.left_over(levels, %L) AS result FROM sets WHERE %L = ANY (levels)) AS a WHERE result <> '' $$, taken, taken), 'without ' || taken || ', as if it had never been granted')
FROM unnest('{reader, analyst, steward, council, loader}'::text[]) AS t (taken);
-- The administrator has what he has by himself
CREATE FUNCTION pg_temp.for_a_moment(level text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before constant text := pg_temp.privileges('owner'); result text;
BEGIN
    BEGIN
        result := pg_temp.does('owner', format('SELECT grant_access(%L, ''revacct_test_owner''), revoke_access(%L, ''revacct_test_owner'')', level, level));
        IF result = 'ok' AND pg_temp.privileges('owner') IS DISTINCT FROM before THEN result := coalesce(pg_temp.privileges('owner'), 'nothing at all'); END IF;
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
SELECT is(pg_temp.for_a_moment(level), 'ok', 'once he was ' || level || ', the administrator has what he had') FROM unnest('{reader, analyst, steward, council, loader}'::text[]) AS l (level);
-- Privileges that he gave directly are not taken away
SELECT is(pg_temp.does('owner', $$ GRANT USAGE ON SCHEMA revacct TO revacct_test_nobody; GRANT SELECT ON revacct.glossary TO revacct_test_nobody $$), 'ok', 'he may let others read without a level');
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('analyst', 'revacct_test_nobody'), revoke_access('analyst', 'revacct_test_nobody') $$), 'ok', 'one of whom gets a level, and loses it');
SELECT is(pg_temp.would('nobody', 'SELECT count(*) FROM revacct.glossary'), 'ok', 'and reads as before');
SELECT is(pg_temp.would('nobody', 'SELECT count(*) FROM revacct.ownership'), '42501', 'nothing else');

-- What cannot be granted
SELECT is(pg_temp.would('owner', 'SELECT ' || what), expected, what)
FROM (VALUES (1, 'grant_access(''boss'', ''revacct_test_reader'')', '22023'), (2, 'grant_access(NULL, ''revacct_test_reader'')', '22023'), (3, 'grant_access('''', ''revacct_test_reader'')', '22023'), (4, 'grant_access(''Reader'', ''revacct_test_reader'')', '22023'),
             (5, 'grant_access(''reader'', ''revacct_test_unheard_of'')', '42704'), (6, 'grant_access(''reader'', NULL)', '42704'), (7, 'grant_access(''reader'', 0::regrole)', '42704'), (8, 'grant_access(''reader'', 999999999::regrole)', '42704'),
             (9, 'grant_access(''reader'', ''public'')', '42704'), (10, 'revoke_access(''council'', ''revacct_test_reader'')', '42704'), (11, 'revoke_access(''boss'', ''revacct_test_reader'')', '42704'), (12, 'revoke_access(NULL, ''revacct_test_reader'')', '42704'),
             (13, 'revoke_access(''reader'', ''revacct_test_unheard_of'')', '42704'), (14, 'revoke_access(''reader'', NULL)', '42704'), (15, 'revoke_access(''reader'', 999999999::regrole)', '42704'), (16, 'link_login(''nobody'', ''revacct_test_reader'')', '42704'),
             (17, 'link_login(NULL, ''revacct_test_reader'')', '42704'), (18, 'link_login(''sales'', ''revacct_test_reader'')', '23514'), (19, 'link_login(''dora'', ''revacct_test_unheard_of'')', '42704'), (20, 'link_login(''dora'', 999999999::regrole)', '42704')) AS t (n, what, expected) ORDER BY n;
SELECT is(pg_temp.would('steward', 'SELECT ' || what), expected, what)
FROM (VALUES (1, 'register_party('''', ''person'')', '23514'), (2, 'register_party('' x'', ''person'')', '23514'), (3, 'register_party(NULL, ''person'')', '23502'), (4, 'register_party(''x'', ''robot'')', '23514'), (5, 'register_party(''x'', NULL)', '23502'),
             (6, 'register_party(''sales'', ''person'')', '22023'), (7, 'register_party(repeat(''x'', 201), ''person'')', '23514')) AS t (n, what, expected) ORDER BY n;
-- Granting twice is granting once; names of roles may be anything
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('reader', 'revacct_test_reader'), grant_access('reader', 'revacct_test_reader') $$), 'ok', 'granted again');
SELECT is((SELECT string_agg(level || ' by ' || granted_by, ', ') FROM revacct_data.access WHERE db_role = 'revacct_test_reader'), 'reader by revacct_test_owner', 'it is the same, and known by whom');
CREATE ROLE "revacct_test_Odd ""name"", public";
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('council', '"revacct_test_Odd ""name"", public"') $$), 'ok', 'a role of an odd name');
SELECT is(pg_temp.would('Odd "name", public', :'propose'), 'ok', 'can what others can');
SELECT is(pg_temp.would('nobody', 'SELECT count(*) FROM revacct.ownership'), '42501', 'and gives nobody else anything');
SELECT is(pg_temp.does('owner', $$ SELECT revoke_access('council', '"revacct_test_Odd ""name"", public"') $$), 'ok', 'and loses it');
SELECT is(pg_temp.privileges('Odd "name", public'), NULL, 'whole');

SELECT * FROM finish();
ROLLBACK;
