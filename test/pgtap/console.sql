-- The console: what people read of the model, without any right on its tables, in whatever session; and which rows made a value.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
SELECT plan(322);

-- Held cursors outlive a transaction, so nothing here is in one; and roles are the server's.
DROP ROLE IF EXISTS console_ana, console_ben, console_cleo, console_bi;
CREATE ROLE console_ana;   -- steward, of marketing
CREATE ROLE console_ben;   -- reader, who signs for sales
CREATE ROLE console_cleo;  -- council
CREATE ROLE console_bi;    -- reader
\o /dev/null
SELECT grant_access('steward', 'console_ana'), grant_access('reader', 'console_ben'), grant_access('council', 'console_cleo'), grant_access('reader', 'console_bi');
SET SESSION AUTHORIZATION console_ana;
SELECT register_party('ana', 'person', 'Ana Blum'), register_party('ben', 'person', 'Ben Okoro'), register_party('marketing', 'team', 'Marketing'), register_party('sales', 'team', 'Sales'), register_party('desk', 'queue', 'Desk');
RESET SESSION AUTHORIZATION;
SELECT link_login('ana', 'console_ana'), link_login('ben', 'console_ben');

SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('Who we are');
SELECT assign('ben', 'approver', 'party', 'sales'), assign('ana', 'member', 'party', 'marketing'), assign('ben', 'pool', 'party', 'desk', weight => 2.5, capacity => 7);
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(1);

-- One of each kind, with everything that is said in words.
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('As agreed in December', '2025-01-01', retroactive => true);
SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31', 'Whose hours');
SELECT define_lifecycle('inbound', 'From arrival on', within => '1 year 2 mons 3 days 04:05:06.5', calendar => 'office', enforcement => 'refuse');
SELECT define_code('journey', 'early', 'Early'), define_code('loss_reason', 'price', 'Too dear', applies_to => 'lost', requires => '{quote, rival}', meaning => 'They say so'), define_code('loss_reason', 'discount', parent => 'price'), define_code('segment', 'big', 'Big', condition => '{"size": "l"}'),
       define_code('event', 'segmented');
SELECT define_stage('inbound', 'lead', 10, meaning => 'Wrote to us', journey_place => 'early'), define_stage('inbound', 'sal', 15), define_stage('inbound', 'sql', 20, is_pipeline => true, forecast_category => 'commit', probability => 0.125, max_age => '14 days 90 minutes'),
       define_stage('inbound', 'won', 30, 'won', probability => 1), define_stage('inbound', 'lost', 40, 'lost');
SELECT define_transition('inbound', NULL, 'lead', 'enter', 'created'), define_transition('inbound', 'sql', 'lost', 'exit', guard => '{"b": 1, "aa": ["x"]}', code_list => 'loss_reason', min_codes => 2, enforcement => 'refuse');
SELECT define_field_rule('lead', 'amount', 'source', source => 'crm', priority => 1), define_field_rule('lead', 'amount', 'required', lifecycle => 'inbound', at_stage => 'sql', meaning => 'No deal without'),
       define_field_rule('lead', 'reason', 'domain', code_list => 'loss_reason', condition => '{"reason": {"given": true}}', enforcement => 'refuse');
SELECT define_sla('answer', '{lead}', '{touch_out}', '90 minutes', 'office', 'First touch', lifecycle => 'inbound', pause => '{paused}', resume => '{resumed}', segment => '{segmented}', phases => '{routing until assigned, human}');
SELECT define_sla_target('answer', '1 hour', segment => 'big'), define_step('answer', '80%', 'owner'), define_step('answer', 'breach + 1 hour', 'sales', 'reassign');
SELECT define_sla('again', '{lost}', '{reopened}', '60 days', kind => 'recycle', lifecycle => 'inbound', to_stage => 'lead', max_times => 2), define_route('big ones', 'desk', 1, '{"segment": "big"}', 'weighted'),
       define_hygiene('close date', '{"close": {"given": true}}', lifecycle => 'inbound');
SELECT define_metric('win rate', 'How many buy', numerator => 'won', denominator => 'leads', population => 'inbound leads', basis => 'cohort', lifecycle => 'inbound', at_stage => 'lead', to_stage => 'won', time_window => '30 days', params => '{"p": 1}', min_n => 5),
       define_target('win rate', '2025-01-01', '2025-04-01', 0.120, scope => 'sales', floor => 0.1, stretch => 0.20), define_program('fair', 'experiment', 'See people', codes => '{"segment": "big"}', arms => '{a, b}', status => 'planned');
SELECT assign('marketing', 'accountable', 'stage', 'inbound/sql', share => 0.6), assign('sales', 'accountable', 'stage', 'inbound/sql', share => 0.4), assign('sales', 'accountable', 'metric', 'win rate'), assign('marketing', 'informed', 'policy', 'answer');
SELECT propose_change();
RESET SESSION AUTHORIZATION;
\o

-- What a query says in a session of somebody's, with other settings; errors are an answer too.
CREATE FUNCTION said(login text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    EXECUTE query INTO answer;
    RESET SESSION AUTHORIZATION;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
-- The rows of a view, as somebody sees them; is_this: a NULL of its type.
CREATE FUNCTION seen(login text, is_this anyelement, settings text DEFAULT '{}') RETURNS SETOF anyelement LANGUAGE plpgsql AS $$
DECLARE
    view constant text := (SELECT format('%I.%I', nspname, typname) FROM pg_type JOIN pg_namespace AS n ON n.oid = typnamespace WHERE pg_type.oid = pg_typeof(is_this));
    former constant jsonb := (SELECT jsonb_object_agg(key, current_setting(key)) FROM jsonb_each_text(settings::jsonb));
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    PERFORM set_config(key, value, false) FROM jsonb_each_text(settings::jsonb);
    RETURN QUERY EXECUTE format('SELECT * FROM %s', view);
    PERFORM pg_catalog.set_config(key, value, false) FROM pg_catalog.jsonb_each_text(former);
    RESET SESSION AUTHORIZATION;
END $$;

-- Before anybody has signed
SELECT results_eq($$SELECT change_no, status, rationale, raised_by, proposed_by, proposed_at IS NOT NULL, effective_at, retroactive_count, definition_count, signed, waiting_for FROM seen('console_bi', NULL::open_changes)$$,
    $$VALUES (2::bigint, 'proposed', 'As agreed in December', 'console_ana', 'console_ana', true, '2025-01-01'::timestamptz, 1, 31::bigint, NULL, 'marketing, sales, council')$$, 'open_changes: a proposal');
SELECT is(coalesce((SELECT string_agg(change_no || ' ' || sign_for || ' ' || rationale, ', ' ORDER BY sign_for) FROM seen(login, NULL::awaiting_my_signoff)), 'nothing'), expected, 'awaiting_my_signoff of ' || login) FROM (VALUES
    ('console_ana', 'nothing'), ('console_ben', '2 sales As agreed in December'), ('console_cleo', '2 council As agreed in December, 2 marketing As agreed in December'), ('console_bi', 'nothing')) AS t (login, expected);
SELECT is_empty($$SELECT * FROM seen('console_bi', NULL::glossary)$$, 'glossary: nothing is agreed yet, but who we are');
SELECT is(said('console_ben', 'SELECT approve(2)'), 'proposed', 'one of two signs');
SELECT results_eq($$SELECT signed, waiting_for FROM seen('console_bi', NULL::open_changes)$$, $$VALUES ('sales (console_ben)', 'marketing, council')$$, 'open_changes: who signed, who did not');
SELECT is_empty($$SELECT * FROM seen('console_ben', NULL::awaiting_my_signoff)$$, 'awaiting_my_signoff: what is signed waits no more');
SELECT is(said('console_cleo', 'SELECT approve(2)'), 'approved', 'the other signs');
SELECT is_empty($$SELECT * FROM seen('console_bi', NULL::open_changes)$$, 'open_changes: what is approved is not open');

-- What is agreed, in words
CREATE TEMP TABLE words (kind text, name text, meaning text, terms text, owners text);
INSERT INTO words VALUES
    ('calendar', 'office', 'Whose hours', 'open mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00; in Europe/Berlin; shifts 2025-12-24 09:00-12:00; breaks 2025-01-06 12:00-13:00; holidays 2025-12-25, 2025-12-26; known until 2025-12-31', NULL),
    ('lifecycle', 'inbound', 'From arrival on', 'of a lead; skipped stages: impute; attempt: best; within 14 months 3 days 4 hours 5 minutes 6.5 seconds; visits: all; hours of office; other moves: refuse', NULL),
    ('code', 'journey/early', NULL, 'Early', NULL), ('code', 'loss_reason/price', 'They say so', 'Too dear; explains lost; needs quote, rival', NULL), ('code', 'loss_reason/discount', NULL, 'discount; part of price', NULL),
    ('code', 'segment/big', NULL, 'Big; if {"size": "l"}', NULL), ('code', 'event/segmented', NULL, 'segmented', NULL),
    ('stage', 'inbound/lead', 'Wrote to us', 'open; buyer journey: early; place 10', NULL), ('stage', 'inbound/sal', NULL, 'open; place 15', NULL),
    ('stage', 'inbound/sql', NULL, 'open; pipeline; forecast: commit; wins with 12.5 %; stalled after 14 days 1 hour 30 minutes; place 20', 'marketing (60 %), sales (40 %)'),
    ('stage', 'inbound/won', NULL, 'won; wins with 100 %; place 30', NULL), ('stage', 'inbound/lost', NULL, 'lost; place 40', NULL),
    ('transition', 'inbound//lead', NULL, 'enter to lead; on created; else flag', NULL), ('transition', 'inbound/sql/lost', NULL, 'exit from sql to lost; if {"b": 1, "aa": ["x"]}; with 2 of loss_reason; else refuse', NULL),
    ('field_rule', 'lead/amount/source/crm', NULL, 'source; from crm with priority 1; else flag', NULL), ('field_rule', 'lead/amount/required/inbound/sql', 'No deal without', 'required; in inbound; from sql on; else flag', NULL),
    ('field_rule', 'lead/reason/domain', NULL, 'domain; one of loss_reason; such that {"reason": {"given": true}}; else refuse', NULL),
    ('policy', 'answer', 'First touch', 'sla; of inbound; from lead; to touch_out; within 1 hour 30 minutes; in the hours of office; paused by paused; resumed by resumed; segment told by segmented; phases: routing until assigned, human; else flag', NULL),
    ('policy_target', 'answer/big/', NULL, 'within 1 hour; for segment big', NULL), ('policy_step', 'answer/80%/owner', NULL, '80%: notify owner', NULL), ('policy_step', 'answer/breach + 1 hour/sales', NULL, 'breach + 1 hour: reassign sales', NULL),
    ('policy', 'again', NULL, 'recycle; of inbound; from lost; to reopened; within 60 days; to lead; at most 2 times; else flag', NULL), ('policy', 'big ones', NULL, 'route; priority 1; if {"segment": "big"}; weighted to desk; else flag', NULL),
    ('policy', 'close date', NULL, 'hygiene; of inbound; demands {"close": {"given": true}}; else flag', NULL),
    ('metric', 'win rate', 'How many buy', 'won; over leads; of inbound leads; by count; per cohort; in inbound; from lead; to won; within 30 days; with {"p": 1}; in rate; higher is better; from 5 subjects on', 'sales'),
    ('target', 'win rate/sales/2025-01-01/2025-04-01', NULL, '0.12; floor 0.1; stretch 0.2; for sales; from 2025-01-01 until before 2025-04-01', NULL),
    ('program', 'fair', 'See people', 'experiment; planned; codes {"segment": "big"}; arms a, b', NULL);
SELECT bag_eq($$SELECT kind, name, meaning, terms, owners FROM seen('console_bi', NULL::glossary)$$, 'SELECT * FROM words', 'glossary: every kind, in words');
SELECT is((SELECT array_agg(DISTINCT (version_no, valid_from, valid_until, change_no, retroactive_count)::text) FROM seen('console_bi', NULL::glossary)), ARRAY['(1,"2025-01-01 00:00:00+00",,2,1)'], 'glossary: which version, since when, by which change');
SELECT bag_eq($$SELECT object_kind, object_name, role, party, party_label, party_kind, share_pct, weight, capacity, valid_from = '2025-01-01', valid_until, change_no FROM seen('console_bi', NULL::ownership)$$, $$VALUES
    ('party', 'sales', 'approver', 'ben', 'Ben Okoro', 'person', NULL::numeric, NULL::numeric, NULL::int, false, NULL::timestamptz, 1::bigint), ('party', 'marketing', 'member', 'ana', 'Ana Blum', 'person', NULL, NULL, NULL, false, NULL, 1),
    ('party', 'desk', 'pool', 'ben', 'Ben Okoro', 'person', NULL, 2.5, 7, false, NULL, 1), ('stage', 'inbound/sql', 'accountable', 'marketing', 'Marketing', 'team', 60, NULL, NULL, true, NULL, 2),
    ('stage', 'inbound/sql', 'accountable', 'sales', 'Sales', 'team', 40, NULL, NULL, true, NULL, 2), ('metric', 'win rate', 'accountable', 'sales', 'Sales', 'team', NULL, NULL, NULL, true, NULL, 2),
    ('policy', 'answer', 'informed', 'marketing', 'Marketing', 'team', NULL, NULL, NULL, true, NULL, 2)$$, 'ownership');

-- More changes: agreed, open, rejected, withdrawn
CREATE TEMP TABLE moment AS SELECT 'the first' AS name, clock_timestamp() AS at, lifecycle('inbound') AS l, sla('answer') AS s, business_calendar('office') AS c;
\o /dev/null
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('Less stages, quicker', '2025-07-01', retroactive => true);
SELECT retire('stage', 'inbound/sal', 'inbound/sql'), define_sla('answer', '{lead}', '{touch_out}', '1 hour', 'office', 'First touch', lifecycle => 'inbound', pause => '{paused}', resume => '{resumed}', segment => '{segmented}', phases => '{routing until assigned, human}'),
       define_code('loss_reason', 'timing', 'Later'), retire('program', 'fair'), unassign('marketing', 'informed', 'policy', 'answer'), define_stage('inbound', 'lead', 10, meaning => 'Wrote to us, or called', journey_place => 'early');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(3);
SET SESSION AUTHORIZATION console_ben;
SELECT approve(3);
SET SESSION AUTHORIZATION console_ben;
SELECT draft_change('An idea of mine'), define_code('loss_reason', 'weather', 'Rain');
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('The stage of us both', '2099-01-01');
SELECT define_stage('inbound', 'sql', 20, is_pipeline => true), unassign('marketing', 'accountable', 'stage', 'inbound/sql'), assign('marketing', 'responsible', 'stage', 'inbound/sql');
SELECT propose_change();
SELECT draft_change('Nobody wants this'), define_code('loss_reason', 'greed');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT reject(6, 'No');
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('I neither'), define_code('loss_reason', 'fear');
SELECT propose_change();
SELECT withdraw_change(7);
RESET SESSION AUTHORIZATION;
\o
INSERT INTO moment SELECT 'the second', clock_timestamp(), lifecycle('inbound'), sla('answer'), business_calendar('office');

SELECT bag_eq($$SELECT change_no, kind, name, action, meaning_before, meaning_after, terms_before, terms_after FROM seen('console_bi', NULL::change_contents) WHERE change_no >= 3$$, $$VALUES
    (3::bigint, 'stage', 'inbound/sal', 'retire', NULL, NULL, 'open; place 15', 'retired, counted as inbound/sql'), (3, 'code', 'loss_reason/timing', 'define', NULL, NULL, NULL, 'Later'),
    (3, 'policy', 'answer', 'amend', 'First touch', 'First touch', 'sla; of inbound; from lead; to touch_out; within 1 hour 30 minutes; in the hours of office; paused by paused; resumed by resumed; segment told by segmented; phases: routing until assigned, human; else flag',
        'sla; of inbound; from lead; to touch_out; within 1 hour; in the hours of office; paused by paused; resumed by resumed; segment told by segmented; phases: routing until assigned, human; else flag'),
    (3, 'program', 'fair', 'retire', 'See people', NULL, 'experiment; planned; codes {"segment": "big"}; arms a, b', 'retired'),
    (3, 'stage', 'inbound/lead', 'amend', 'Wrote to us', 'Wrote to us, or called', 'open; buyer journey: early; place 10', 'open; buyer journey: early; place 10'),
    (3, 'responsibility', 'marketing/informed/policy/answer', 'retire', NULL, NULL, 'marketing is informed of policy answer', 'retired'),
    (4, 'code', 'loss_reason/weather', 'define', NULL, NULL, NULL, 'Rain'),
    (5, 'stage', 'inbound/sql', 'amend', NULL, NULL, 'open; pipeline; forecast: commit; wins with 12.5 %; stalled after 14 days 1 hour 30 minutes; place 20', 'open; pipeline; place 20'),
    (5, 'responsibility', 'marketing/accountable/stage/inbound/sql', 'retire', NULL, NULL, 'marketing is accountable of stage inbound/sql; share 60 %', 'retired'),
    (5, 'responsibility', 'marketing/responsible/stage/inbound/sql', 'define', NULL, NULL, NULL, 'marketing is responsible of stage inbound/sql'),
    (6, 'code', 'loss_reason/greed', 'define', NULL, NULL, NULL, 'greed'), (7, 'code', 'loss_reason/fear', 'define', NULL, NULL, NULL, 'fear')$$, 'change_contents: agreed, drafted, proposed, rejected, withdrawn');
SELECT bag_eq($$SELECT change_no, status, raised_by, proposed_by, effective_at, retroactive_count, definition_count, signed, waiting_for FROM seen('console_bi', NULL::open_changes)$$, $$VALUES
    (4::bigint, 'draft', 'console_ben', NULL, NULL::timestamptz, 0, 1::bigint, NULL, NULL), (5, 'proposed', 'console_ana', 'console_ana', '2099-01-01', 0, 3, NULL, 'marketing, sales')$$, 'open_changes: drafts and proposals, and no other');
SELECT bag_eq($$SELECT change_no, status, rationale, raised_by, proposed_by, proposed_at IS NOT NULL AS proposed, decided_at IS NOT NULL AS decided, effective_at = '2025-07-01' AS effective, effective_until, retroactive_count, signed FROM seen('console_bi', NULL::decided_changes) WHERE change_no >= 3$$, $$VALUES
    (3::bigint, 'approved', 'Less stages, quicker', 'console_ana', 'console_ana', true, true, true, NULL::timestamptz, 1, 'marketing (console_cleo), sales (console_ben), council (console_cleo)'),
    (6, 'rejected', 'Nobody wants this', 'console_ana', 'console_ana', true, true, NULL, NULL, 0, 'rejected: council (console_cleo): No'), (7, 'withdrawn', 'I neither', 'console_ana', 'console_ana', true, true, NULL, NULL, 0, NULL)$$, 'decided_changes: what became of the others, and why');
SELECT is((SELECT string_agg(DISTINCT change_no || ' ' || status, ', ') FROM seen('console_bi', NULL::change_contents)), '1 approved, 2 approved, 3 approved, 4 draft, 5 proposed, 6 rejected, 7 withdrawn', 'change_contents: where each stands');
SELECT is(coalesce((SELECT string_agg(change_no || ' ' || sign_for, ', ') FROM seen(login, NULL::awaiting_my_signoff)), 'nothing'), expected, 'awaiting_my_signoff of ' || login) FROM (VALUES
    ('console_ana', 'nothing'), ('console_ben', '5 sales'), ('console_cleo', '5 marketing'), ('console_bi', 'nothing')) AS t (login, expected);
SELECT bag_eq($$SELECT change_no, kind, name, action, version_no, terms_before, terms_after, effective_at, effective_until, retroactive_count, rationale, raised_by, proposed_by, signed
        FROM seen('console_bi', NULL::model_history) WHERE agreed_at >= (SELECT at FROM moment WHERE name = 'the first')$$,
    $$SELECT c.change_no, c.kind, c.name, c.action, e.version_no, c.terms_before, c.terms_after, '2025-07-01'::timestamptz AS effective_at, NULL::timestamptz AS effective_until, 1 AS retroactive_count,
             'Less stages, quicker' AS rationale, 'console_ana' AS raised_by, 'console_ana' AS proposed_by, 'marketing (console_cleo), sales (console_ben), council (console_cleo)' AS signed
      FROM change_contents AS c JOIN (VALUES ('inbound/sal', 2), ('loss_reason/timing', 1), ('answer', 2), ('fair', 2), ('inbound/lead', 2), ('marketing/informed/policy/answer', 2)) AS e (name, version_no) ON e.name = c.name
      WHERE c.change_no = 3$$, 'model_history: what changed since a date');
SELECT is((SELECT string_agg(change_no || ': ' || n, ', ' ORDER BY change_no) FROM (SELECT change_no, count(*) AS n FROM seen('console_bi', NULL::model_history) GROUP BY change_no) AS t), '1: 3, 2: 31, 3: 6', 'model_history: approved changes, and no other');
SELECT is((SELECT string_agg(DISTINCT signed, '; ') FROM seen('console_bi', NULL::model_history) WHERE change_no = 2), 'marketing (console_cleo), sales (console_ben), council (console_cleo)', 'model_history: who signed');
SELECT bag_eq($$SELECT name, version_no, valid_from, meaning FROM seen('console_bi', NULL::glossary) WHERE change_no = 3$$, $$VALUES ('answer', 2, '2025-07-01'::timestamptz, 'First touch'), ('loss_reason/timing', 1, '2025-07-01', NULL),
    ('inbound/lead', 2, '2025-07-01', 'Wrote to us, or called')$$, 'glossary: what is amended');
SELECT is((SELECT string_agg(DISTINCT role, ', ') FROM seen('console_bi', NULL::ownership)), 'accountable, approver, member, pool', 'ownership: not what has ended');
SELECT is_empty($$SELECT * FROM seen('console_bi', NULL::glossary) WHERE name IN ('inbound/sal', 'fair', 'loss_reason/weather', 'loss_reason/greed', 'loss_reason/fear')$$, 'glossary: not what is retired, drafted, rejected or withdrawn');

-- No right on any table, in any session
SELECT is((SELECT count(*) FROM pg_class AS c WHERE relnamespace = 'revacct_data'::regnamespace AND relkind IN ('r', 'v', 'S') AND has_table_privilege('console_bi', c.oid, 'SELECT')), 0::bigint, 'the reader has no right on any table');
SELECT alike(said('console_bi', 'SELECT count(*) FROM revacct_data.' || t), '42501 %', 'and reads none: ' || t) FROM unnest('{version, stage, signoff, wording, reference}'::text[]) AS t;
CREATE TEMP TABLE session (settings text);
INSERT INTO session VALUES ('{"timezone": "Pacific/Kiritimati"}'), ('{"timezone": "America/St_Johns", "datestyle": "SQL, MDY"}'), ('{"datestyle": "German"}'), ('{"datestyle": "Postgres, DMY", "intervalstyle": "sql_standard"}'),
    ('{"intervalstyle": "iso_8601"}'), ('{"intervalstyle": "postgres_verbose", "extra_float_digits": "-10"}'), ('{"search_path": ""}'), ('{"search_path": "pg_temp, public"}'), ('{"lc_numeric": "C", "bytea_output": "escape", "standard_conforming_strings": "off"}'),
    ('{"enable_hashjoin": "off", "enable_mergejoin": "off", "enable_seqscan": "off"}'), ('{"jit": "on", "jit_above_cost": "0"}');
-- What a search path could hide behind: our own names, elsewhere.
CREATE TABLE public.validity (version_id bigint); CREATE TABLE public.version (version_id bigint); CREATE FUNCTION public.object_key(text, text) RETURNS text LANGUAGE sql AS 'SELECT ''forged''';
SELECT is_empty(format('(SELECT * FROM seen(%1$L, NULL::%2$I, %3$L) EXCEPT ALL SELECT * FROM seen(%1$L, NULL::%2$I)) UNION ALL (SELECT * FROM seen(%1$L, NULL::%2$I) EXCEPT ALL SELECT * FROM seen(%1$L, NULL::%2$I, %3$L))', login, view, settings),
    view || ' is the same under ' || settings)
FROM session, (VALUES ('glossary', 'console_bi'), ('open_changes', 'console_bi'), ('awaiting_my_signoff', 'console_ben'), ('change_contents', 'console_bi'), ('model_history', 'console_bi'), ('ownership', 'console_bi'), ('decided_changes', 'console_bi')) AS v (view, login);
SELECT cmp_ok((SELECT count(*) FROM seen(login, NULL::awaiting_my_signoff, settings)), '=', 1::bigint, 'there is something to compare: ' || settings) FROM session, (VALUES ('console_ben')) AS v (login) LIMIT 1;

-- As tools ask
SELECT line.of_tap
FROM (VALUES ('glossary', 'console_bi', 26), ('open_changes', 'console_bi', 2), ('awaiting_my_signoff', 'console_ben', 1), ('change_contents', 'console_bi', 46), ('model_history', 'console_bi', 40), ('ownership', 'console_bi', 6)) AS v (view, login, n),
    LATERAL (VALUES
        (is(said('console_bi', format('SELECT count(*) FROM (SELECT * FROM %I LIMIT 0) AS t', view)), '0', view || ' LIMIT 0')),
        (is(said('console_bi', format('SELECT count(*) FROM %I WHERE false', view)), '0', view || ' WHERE false')),
        (is(said(login, format('WITH q AS (SELECT * FROM %1$I ORDER BY 1, 2, 3) SELECT count(*) FROM q', view)), n::text, view || ' in a CTE')),
        (is(said(login, format('WITH q AS MATERIALIZED (SELECT * FROM %1$I) SELECT count(*) FROM (SELECT * FROM q OFFSET 0) AS t WHERE 1 = 1', view)), n::text, view || ' in a materialized CTE')),
        (is(said(login, format('SELECT count(*) FROM (SELECT DISTINCT * FROM %1$I) AS t CROSS JOIN LATERAL (SELECT 1) AS one', view)), n::text, view || ' joined, distinct')),
        (is(said(login, format('SELECT string_agg(attname, '','' ORDER BY attnum) FROM pg_attribute WHERE attrelid = %L::regclass AND atttypid IN (''interval''::regtype, ''jsonb''::regtype, ''oid''::regtype)', view)), NULL, view || ' has plain columns'))) AS line (of_tap);

\o /dev/null
SET SESSION AUTHORIZATION console_ben;
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT kind || ' ' || name AS name FROM glossary ORDER BY kind COLLATE "C", name COLLATE "C";
DECLARE mine CURSOR WITH HOLD FOR SELECT change_no, sign_for FROM awaiting_my_signoff;
COMMIT;
RESET SESSION AUTHORIZATION;
FETCH FIRST FROM held \gset first_
FETCH LAST FROM held \gset last_
FETCH ABSOLUTE 3 FROM held \gset third_
FETCH NEXT FROM mine \gset my_
CLOSE ALL;
\o
SELECT is(:'first_name' || ', ' || :'third_name' || ', ' || :'last_name', 'calendar office, code journey/early, transition inbound/sql/lost', 'a cursor WITH HOLD, to and fro, after its transaction');
SELECT is(:'my_change_no' || ' ' || :'my_sign_for', '5 sales', 'what waits for me, in a cursor WITH HOLD');
SET plan_cache_mode = force_generic_plan;
SET SESSION AUTHORIZATION console_bi;
PREPARE of_kind(text) AS SELECT count(*) AS n FROM glossary WHERE kind = $1;
PREPARE since(timestamptz) AS SELECT count(*) AS n FROM model_history WHERE agreed_at >= $1;
PREPARE value AS SELECT lifecycle('inbound')::text AS l;
EXECUTE of_kind('code') \gset before_
EXECUTE value \gset before_
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION console_ana;
\o /dev/null
SELECT draft_change('One more'), define_code('loss_reason', 'distance'), define_stage('inbound', 'trial', 25);
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(8);
\o
SET SESSION AUTHORIZATION console_bi;
EXECUTE of_kind('code') \gset after_
EXECUTE since('2000-01-01') \gset since_
EXECUTE value \gset after_
RESET SESSION AUTHORIZATION;
RESET plan_cache_mode;
SELECT is(:'before_n' || ' ' || :'after_n' || ' ' || :'since_n', '6 7 42', 'prepared statements see what is agreed in between');
SELECT ok(:'before_l' NOT LIKE '%trial%' AND :'after_l' LIKE '%stages lead, sql, trial; %', 'and compile it');

--
-- Which rows made a value
--

CREATE FUNCTION explained(value lifecycle) RETURNS text LANGUAGE sql AS $$SELECT string_agg(format('%s %s v%s', kind, name, version_no), ', ' ORDER BY kind COLLATE "C", name COLLATE "C", version_no) FROM explain_definition(value)$$;
CREATE FUNCTION explained(value sla) RETURNS text LANGUAGE sql AS $$SELECT string_agg(format('%s %s v%s', kind, name, version_no), ', ' ORDER BY kind COLLATE "C", name COLLATE "C", version_no) FROM explain_definition(value)$$;
CREATE FUNCTION explained(value business_calendar) RETURNS text LANGUAGE sql AS $$SELECT string_agg(format('%s %s v%s', kind, name, version_no), ', ' ORDER BY kind COLLATE "C", name COLLATE "C", version_no) FROM explain_definition(value)$$;
CREATE TEMP TABLE explanation AS SELECT
    'calendar office v1, lifecycle inbound v1, stage inbound/lead v1, stage inbound/lost v1, stage inbound/sal v1, stage inbound/sql v1, stage inbound/won v1' AS first,
    'calendar office v1, lifecycle inbound v1, stage inbound/lead v2, stage inbound/lost v1, stage inbound/sal v2, stage inbound/sql v1, stage inbound/won v1' AS second,
    'calendar office v1, lifecycle inbound v1, stage inbound/lead v2, stage inbound/lost v1, stage inbound/sal v2, stage inbound/sql v1, stage inbound/trial v1, stage inbound/won v1' AS third;
SELECT is(explained(lifecycle('inbound')), third, 'a lifecycle, as of now') FROM explanation;
SELECT is(explained(lifecycle('inbound', model_at => '2025-08-01')), second, 'as of before') FROM explanation;
SELECT is(explained(lifecycle('inbound', model_at => '2025-06-30')), first, 'as of the beginning') FROM explanation;
SELECT isnt(l, lifecycle('inbound'), 'what was compiled before a retroactive change is another value') FROM moment;
SELECT is(explained(l), CASE name WHEN 'the first' THEN first ELSE second END, 'and explained by the rows on record then: ' || name) FROM moment, explanation;
SELECT is(explained(lifecycle('inbound', model_at => '2025-08-01', known_at => at)), first, 'the same by its times') FROM moment, explanation WHERE name = 'the first';
SELECT results_eq($$SELECT kind, name, terms, version_no, change_no, rationale, valid_from, valid_until, agreed_at = (SELECT max(agreed_at) FROM model_history WHERE change_no = x.change_no), proposed_by, signed FROM explain_definition(lifecycle('inbound')) AS x
        WHERE name IN ('inbound/sal', 'inbound/won') ORDER BY name$$,
    $$VALUES ('stage', 'inbound/sal', 'retired, counted as inbound/sql', 2, 3::bigint, 'Less stages, quicker', '2025-07-01'::timestamptz, NULL::timestamptz, true, 'console_ana', 'marketing (console_cleo), sales (console_ben), council (console_cleo)'),
             ('stage', 'inbound/won', 'won; wins with 100 %; place 30', 1, 2, 'As agreed in December', '2025-01-01', NULL, true, 'console_ana', 'marketing (console_cleo), sales (console_ben), council (console_cleo)')$$, 'with what they say, by which change, who proposed and who signed');
-- What a summary carries
CREATE TEMP TABLE journeys AS SELECT journey(mark(lifecycle('inbound', model_at => '2025-01-01'), stage), at) AS j FROM (VALUES ('lead', '2025-02-01'::timestamptz), ('sal', '2025-02-02'), ('won', '2025-03-01')) AS e (stage, at);
SELECT is(explained(lifecycle(funnel_conversion(j, (SELECT lifecycle('inbound')), '2025-12-01'))), third, 'the definition of a funnel') FROM journeys, explanation GROUP BY third;
SELECT is(explained(lifecycle(stage_velocity(j, (SELECT lifecycle('inbound', model_at => '2025-02-01')), '2025-12-01'))), first, 'the definition of a velocity') FROM journeys, explanation GROUP BY first;
SELECT is(explained(sla(sla_breach(j, (SELECT sla('answer', model_at => '2025-02-01')), '2025-12-01'))), 'calendar office v1, policy answer v1, policy_step answer/80%/owner v1, policy_step answer/breach + 1 hour/sales v1, policy_target answer/big/ v1', 'the definition of clocks') FROM journeys;
-- SLAs
SELECT is(explained(sla('answer')), 'calendar office v1, policy answer v1, policy answer v2, policy_step answer/80%/owner v1, policy_step answer/breach + 1 hour/sales v1, policy_target answer/big/ v1', 'an SLA, every version in its own time');
SELECT is(explained(sla('answer', model_at => now())), 'calendar office v1, policy answer v2, policy_step answer/80%/owner v1, policy_step answer/breach + 1 hour/sales v1, policy_target answer/big/ v1', 'as of now');
SELECT is(explained(s), 'calendar office v1, policy answer v1, policy_step answer/80%/owner v1, policy_step answer/breach + 1 hour/sales v1, policy_target answer/big/ v1', 'as it was known before the second version') FROM moment WHERE name = 'the first';
SELECT results_eq($$SELECT version_no, valid_from, valid_until FROM explain_definition(sla('answer')) WHERE kind = 'policy' ORDER BY 1$$, $$VALUES (1, '2025-01-01'::timestamptz, '2025-07-01'::timestamptz), (2, '2025-07-01', NULL)$$, 'each version in its time');
-- Calendars
\o /dev/null
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('New hours', '2025-10-01', retroactive => true), define_calendar('office', 'Europe/Berlin', '{mon-fri 08:00-16:00}');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(9);
RESET SESSION AUTHORIZATION;
\o
SELECT is(explained(business_calendar('office')), 'calendar office v2', 'a calendar, as of now');
SELECT is(explained(business_calendar('office', '2025-09-30')), 'calendar office v1', 'as of before');
SELECT is(explained(c), 'calendar office v1', 'as it was known before') FROM moment WHERE name = 'the second';
SELECT is(explained(l), second, 'a lifecycle in the hours of before') FROM moment, explanation WHERE name = 'the second';
SELECT is(explained(lifecycle('inbound')), replace(third, 'office v1', 'office v2'), 'a lifecycle in the hours of now') FROM explanation;
SELECT is(explained(sla('answer')), 'calendar office v1, calendar office v2, policy answer v1, policy answer v2, policy_step answer/80%/owner v1, policy_step answer/breach + 1 hour/sales v1, policy_target answer/big/ v1', 'an SLA in the hours of both');
-- What the model never gave
SELECT is(explained(lifecycle('inbound', stages => '{lead, sql}', won => 'won', lost => '{lost}')), NULL, 'a lifecycle of the same name, made by hand');
SELECT is(explained(lifecycle('other', stages => '{lead}')), NULL, 'of another name');
SELECT is(explained(sla('answer', start => '{lead}', stop => '{touch_out}', target => '1 hour')), NULL, 'an SLA made by hand');
SELECT is(explained(business_calendar('office', 'UTC', '{mon 09:00-10:00}')), NULL, 'a calendar made by hand');
SELECT is(explained(calendar_union(business_calendar('office'), business_calendar('office', '2025-02-01'))), NULL, 'a calendar made of two');
SELECT is(explained(NULL::lifecycle) IS NULL AND explained(NULL::sla) IS NULL AND explained(NULL::business_calendar) IS NULL, true, 'no value');
-- By hand, but the same: the model gives it.
SELECT is(explained(lifecycle::text::lifecycle), replace(third, 'office v1', 'office v2'), 'a value that came as text') FROM explanation, (SELECT lifecycle('inbound') AS lifecycle) AS t;
-- An SLA of stages: compiled between two that were retired, it is the model's too.
\o /dev/null
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('A path', '2025-01-01', retroactive => true), define_lifecycle('path'), define_stage('path', 'a', 1), define_stage('path', 'b', 2), define_stage('path', 'c', 3), define_stage('path', 'd', 4), define_sla('on', '{c}', '{d}', '1 hour', lifecycle => 'path');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(10);
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('Without a', '2025-02-01', retroactive => true), retire('stage', 'path/a', 'path/c');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(11);
RESET SESSION AUTHORIZATION;
CREATE TEMP TABLE between_ AS SELECT sla('on') AS s, lifecycle('path') AS l;
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('Without b', '2025-03-01', retroactive => true), retire('stage', 'path/b', 'path/c');
SELECT propose_change();
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(12);
RESET SESSION AUTHORIZATION;
\o
SELECT is(explained(l), 'lifecycle path v1, stage path/a v2, stage path/b v1, stage path/c v1, stage path/d v1', 'a lifecycle compiled between two stages that were retired') FROM between_;
SELECT alike(explained(s), 'policy on v1%', 'an SLA compiled between two stages that were retired') FROM between_;
SELECT alike(explained(sla('on')), 'policy on v1%', 'and after both');

-- By whom, and in what session, makes no difference
SELECT is(said('console_bi', 'SELECT count(*) || '' '' || min(terms) FROM explain_definition(lifecycle(''inbound''))'), '8 lost; place 40', 'a reader is told');
CREATE FUNCTION told(settings text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    former constant jsonb := (SELECT jsonb_object_agg(key, current_setting(key)) FROM jsonb_each_text(settings::jsonb));
    answer text;
BEGIN
    PERFORM set_config(key, value, false) FROM jsonb_each_text(settings::jsonb);
    SELECT string_agg(pg_catalog.concat_ws('|', kind, name, terms, version_no, change_no, rationale, extract(epoch FROM valid_from), extract(epoch FROM valid_until), extract(epoch FROM agreed_at), proposed_by, signed), E'\n' ORDER BY kind COLLATE "C", name COLLATE "C", version_no) INTO answer
    FROM (SELECT * FROM revacct.explain_definition(revacct.lifecycle('inbound')) UNION ALL SELECT * FROM revacct.explain_definition(revacct.sla('answer')) UNION ALL SELECT * FROM revacct.explain_definition(revacct.business_calendar('office'))) AS t;
    PERFORM pg_catalog.set_config(key, value, false) FROM pg_catalog.jsonb_each_text(former);
    RETURN answer;
END $$;
SELECT ok(told(settings) = told('{}') AND told('{}') LIKE '%stalled after 14 days 1 hour 30 minutes%', 'explain_definition is the same under ' || settings) FROM session;

-- Whoever signs sees everything: of any two definitions that differ in a column, the words differ.
CREATE TEMP TABLE naming (kind text, names text[]);     -- what is in the key
INSERT INTO naming VALUES ('calendar', '{calendar}'), ('lifecycle', '{lifecycle}'), ('stage', '{lifecycle, stage}'), ('transition', '{lifecycle, from_stage, to_stage}'), ('code', '{list, code}'),
    ('field_rule', '{subject_kind, field, rule, source, lifecycle, at_stage}'), ('policy', '{policy}'), ('policy_target', '{policy, segment, owner}'), ('policy_step', '{policy, due, recipient}'),
    ('metric', '{metric}'), ('target', '{metric, scope, period_start, period_end}'), ('program', '{program}'), ('responsibility', '{party, role, object_kind, object}');
CREATE TEMP TABLE form (kind text, function text, arguments jsonb);     -- arguments as SQL
INSERT INTO form VALUES
    ('calendar', 'define_calendar', '{"calendar": "''c''", "time_zone": "''UTC''", "hours": "''{mon 09:00-17:00}''"}'),
    ('lifecycle', 'define_lifecycle', '{"lifecycle": "''l''"}'),
    ('stage', 'define_stage', '{"lifecycle": "''l''", "stage": "''s''", "stage_no": "1"}'),
    ('transition', 'define_transition', '{"lifecycle": "''l''", "from_stage": "''s''", "to_stage": "''t''", "code_list": "''x''", "min_codes": "1"}'),
    ('code', 'define_code', '{"list": "''x''", "code": "''y''", "label": "''y''"}'),
    ('field_rule', 'define_field_rule', '{"subject_kind": "''lead''", "field": "''f''", "rule": "''domain''", "code_list": "''x''", "condition": "''{\"a\": 1}''"}'),
    ('policy', 'define_sla', '{"policy": "''p''", "start": "''{created}''", "lifecycle": "''l''"}'),
    ('policy', 'define_route', '{"policy": "''r''", "to_party": "''sales''", "priority": "1"}'),
    ('policy', 'define_hygiene', '{"policy": "''h''", "demands": "''{\"a\": 1}''"}'),
    ('policy_target', 'define_sla_target', '{"policy": "''p''", "segment": "''g''", "target": "''1 hour''"}'),
    ('policy_step', 'define_step', '{"policy": "''p''", "due": "''80%''", "recipient": "''owner''"}'),
    ('metric', 'define_metric', '{"metric": "''m''", "meaning": "''as it says''", "lifecycle": "''l''"}'),
    ('target', 'define_target', '{"metric": "''m''", "period_start": "''2025-01-01''", "period_end": "''2026-01-01''", "value": "1"}'),
    ('program', 'define_program', '{"program": "''g''"}'),
    ('responsibility', 'assign', '{"party": "''sales''", "role": "''accountable''", "object_kind": "''lifecycle''", "object": "''l''"}');
CREATE TEMP TABLE alteration (function text, col text, becomes text, besides jsonb);   -- besides: arguments of both
INSERT INTO alteration (function, col, becomes) VALUES
    ('define_calendar', 'time_zone', '''Europe/Berlin'''), ('define_calendar', 'hours', '''{mon 09:00-17:00, tue 09:00-10:00}'''), ('define_calendar', 'shifts', '''{2025-01-05 10:00-12:00}'''), ('define_calendar', 'breaks', '''{mon 12:00-13:00}'''),
    ('define_calendar', 'known_until', '''2027-12-31'''), ('define_calendar', 'meaning', '''ours'''),
    ('define_lifecycle', 'meaning', '''another'''), ('define_lifecycle', 'subject_kind', '''opportunity'''), ('define_lifecycle', 'skip', '''any'''), ('define_lifecycle', 'attempt', '''last'''), ('define_lifecycle', 'within', '''30 days'''),
    ('define_lifecycle', 'times', '''increasing'''), ('define_lifecycle', 'visits', '''cumulative'''), ('define_lifecycle', 'unknown', '''count'''), ('define_lifecycle', 'time_zone', '''Europe/Berlin'''), ('define_lifecycle', 'calendar', '''c'''),
    ('define_lifecycle', 'enforcement', '''refuse'''),
    ('define_stage', 'stage_no', '2'), ('define_stage', 'category', '''lost'''), ('define_stage', 'meaning', '''another'''), ('define_stage', 'journey_place', '''early'''), ('define_stage', 'is_pipeline', 'true'), ('define_stage', 'forecast_category', '''commit'''),
    ('define_stage', 'probability', '0'), ('define_stage', 'max_age', '''1 day'''),
    ('define_transition', 'direction', '''back'''), ('define_transition', 'trigger_kind', '''created'''), ('define_transition', 'guard', '''{"a": 1}'''), ('define_transition', 'code_list', '''z'''), ('define_transition', 'min_codes', '2'), ('define_transition', 'enforcement', '''refuse'''),
    ('define_code', 'label', '''why'''), ('define_code', 'parent', '''w'''), ('define_code', 'code_no', '0'), ('define_code', 'applies_to', '''lost'''), ('define_code', 'requires', '''{rival}'''), ('define_code', 'condition', '''{"a": 1}'''), ('define_code', 'meaning', '''another'''),
    ('define_field_rule', 'code_list', '''z'''), ('define_field_rule', 'condition', '''{"a": 2}'''), ('define_field_rule', 'enforcement', '''refuse'''), ('define_field_rule', 'meaning', '''another'''),
    ('define_sla', 'kind', '''follow_up'''), ('define_sla', 'meaning', '''another'''), ('define_sla', 'lifecycle', '''k'''), ('define_sla', 'start', '''{created, assigned}'''), ('define_sla', 'stop', '''{touch_out}'''), ('define_sla', 'pause', '''{paused}'''),
    ('define_sla', 'resume', '''{resumed}'''), ('define_sla', 'reset', '''{reopened}'''), ('define_sla', 'cancel', '''{merged}'''), ('define_sla', 'segment', '''{field_set}'''), ('define_sla', 'owner', '''{assigned}'''), ('define_sla', 'promise', '''{meeting_set}'''),
    ('define_sla', 'target', '''1 hour'''), ('define_sla', 'calendar', '''c'''), ('define_sla', 'warnings', '''{}'''), ('define_sla', 'reopen', '''restart'''), ('define_sla', 'on_change', '''restart'''), ('define_sla', 'phases', '''{first until touch_out, last}'''),
    ('define_sla', 'max_clocks', '1'), ('define_sla', 'beyond', '''breach'''), ('define_sla', 'enforcement', '''refuse'''),
    ('define_route', 'to_party', '''desk'''), ('define_route', 'priority', '0'), ('define_route', 'applies', '''{"a": 1}'''), ('define_route', 'method', '''weighted'''), ('define_hygiene', 'demands', '''{"a": 2}'''), ('define_hygiene', 'applies', '''{"a": 1}'''),
    ('define_hygiene', 'lifecycle', '''k'''), ('define_hygiene', 'enforcement', '''refuse'''),
    ('define_sla_target', 'target', '''2 hours'''), ('define_sla_target', 'calendar', '''c'''), ('define_step', 'action', '''reassign'''),
    ('define_metric', 'meaning', '''another'''), ('define_metric', 'unit', '''EUR'''), ('define_metric', 'better', '''lower'''), ('define_metric', 'population', '''all'''), ('define_metric', 'numerator', '''won'''), ('define_metric', 'denominator', '''all'''),
    ('define_metric', 'measure', '''amount'''), ('define_metric', 'basis', '''cohort'''), ('define_metric', 'lifecycle', '''k'''), ('define_metric', 'at_stage', '''s'''), ('define_metric', 'to_stage', '''t'''), ('define_metric', 'time_window', '''1 day'''),
    ('define_metric', 'params', '''{}'''), ('define_metric', 'min_n', '5'),
    ('define_target', 'value', '0'), ('define_target', 'floor', '0'), ('define_target', 'stretch', '2'),
    ('define_program', 'kind', '''training'''), ('define_program', 'meaning', '''another'''), ('define_program', 'parent', '''q'''), ('define_program', 'codes', '''{"x": "y"}'''), ('define_program', 'arms', '''{a, b}'''), ('define_program', 'status', '''ended'''),
    ('assign', 'share', '0.25');
INSERT INTO alteration VALUES
    ('assign', 'weight', '2', '{"role": "''pool''", "object_kind": "''party''", "object": "''desk''"}'), ('assign', 'capacity', '1', '{"role": "''pool''", "object_kind": "''party''", "object": "''desk''"}'),
    ('define_field_rule', 'priority', '2', '{"rule": "''source''", "source": "''crm''", "priority": "1", "code_list": "NULL", "condition": "NULL"}'),
    -- one day for another, and one more; a time that looks alike
    ('define_calendar', 'holidays', '''{2025-12-26}''', '{"holidays": "''{2025-12-25}''"}'), ('define_calendar', 'holidays', '''{2025-12-25, 2025-12-26}''', '{"holidays": "''{2025-12-25}''"}'),
    ('define_lifecycle', 'within', '''30 days''', '{"within": "''1 month''"}'), ('define_lifecycle', 'within', '''24 hours''', '{"within": "''1 day''"}'), ('define_stage', 'max_age', '''00:00:00.000002''', '{"max_age": "''00:00:00.000001''"}'),
    ('define_stage', 'probability', '0.123457', '{"probability": "0.123456"}'), ('assign', 'share', '0.123457', '{"share": "0.123456"}'), ('define_target', 'value', '1.0000000001', '{}'),
    ('define_sla', 'to_stage', '''t''', '{"kind": "''recycle''", "to_stage": "''s''"}'), ('define_sla', 'max_times', '2', '{"kind": "''recycle''", "to_stage": "''s''", "max_times": "1"}'), ('define_sla', 'warnings', '''{0.5, 0.8}''', '{}'),
    ('define_sla', 'warnings', '''{0.801}''', '{}'), ('define_transition', 'code_list', '''z''', '{"min_codes": "0"}'), ('define_transition', 'min_codes', '0', '{}'), ('define_metric', 'params', '''{"a": 1.0}''', '{"params": "''{\"a\": 1.5}''"}');
-- The words of a draft, before and after; only the column may differ, else the test is wrong.
CREATE FUNCTION wording_differs(kind text, function text, arguments jsonb, col text, becomes text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    form jsonb;
    words text[];
    content jsonb;
    contents jsonb[];
    former text[];
BEGIN
    FOREACH form IN ARRAY ARRAY[arguments, arguments || jsonb_build_object(col, becomes)] LOOP
        SET SESSION AUTHORIZATION console_ana;
        SELECT draft_change('a test') INTO number;
        EXECUTE format('SELECT %s(%s, change => %s)', function, (SELECT string_agg(format('%I => %s', key, value), ', ') FROM jsonb_each_text(form)), number);
        RESET SESSION AUTHORIZATION;
        EXECUTE format('SELECT to_jsonb(t) - ''version_id'' FROM revacct_data.%I AS t JOIN revacct_data.version USING (version_id) WHERE change_id = $1', kind) INTO content USING number;
        contents := contents || content;
        SELECT ARRAY[meaning_after, terms_after] INTO words FROM change_contents WHERE change_no = number;
        IF former IS NULL THEN former := words; END IF;
    END LOOP;
    IF (SELECT array_agg(a.key ORDER BY a.key) FROM jsonb_each(contents[1]) AS a JOIN jsonb_each(contents[2]) AS b USING (key) WHERE a.value <> b.value) IS DISTINCT FROM ARRAY[col] THEN
        RETURN format('%s and %s', contents[1], contents[2]);
    END IF;
    RETURN CASE WHEN former = words OR former IS NOT DISTINCT FROM words THEN 'both say: ' || words::text ELSE 'differ' END;
END $$;
SELECT is(wording_differs(kind, function, arguments || coalesce(besides, '{}'), col, becomes), 'differ', format('words tell of %s.%s: %s%s', kind, col, becomes, ' beside ' || nullif(besides::text, '{}')))
FROM form JOIN alteration USING (function) ORDER BY kind COLLATE "C", function, col COLLATE "C", becomes COLLATE "C";
SELECT is_empty($$SELECT n.kind || '.' || a.attname FROM naming AS n JOIN pg_attribute AS a ON a.attrelid = ('revacct_data.' || n.kind)::regclass
    WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'version_id' AND a.attname <> ALL (n.names) AND NOT EXISTS (SELECT FROM alteration JOIN form AS f USING (function) WHERE (f.kind, col) = (n.kind, a.attname))$$, 'every column was altered');
SELECT set_eq('SELECT kind FROM naming', $$SELECT relname FROM pg_class WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r' AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = pg_class.oid AND attname = 'version_id')
    AND relname NOT IN ('version', 'validity')$$, 'of every kind');

-- And what would end that was agreed for later
\o /dev/null
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('For later', '2090-01-01') AS n \gset
SELECT define_code('loss_reason', 'later', 'Later', change => :n), propose_change(:n);
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(:n);
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('For later still', '2095-06-30 12:30:00+00') AS n \gset
SELECT define_code('loss_reason', 'later', 'Later still', change => :n), propose_change(:n);
SET SESSION AUTHORIZATION console_cleo;
SELECT approve(:n);
SET SESSION AUTHORIZATION console_ana;
SELECT draft_change('over all', NULL, 'infinity') AS over_all, draft_change('for good', '2050-01-01') AS for_good, draft_change('until then', '2050-01-01', '2090-01-01') AS until_then, draft_change('for a while', '2050-01-01', '2091-01-01') AS for_a_while,
       draft_change('from then on', '2090-01-01', 'infinity') AS from_then, draft_change('after all', '2097-01-01') AS after_all, draft_change('no longer', '2050-01-01', 'infinity') AS no_longer \gset
SELECT define_code('loss_reason', 'later', 'x', change => c) FROM unnest(ARRAY[:over_all, :for_good, :until_then, :for_a_while, :from_then, :after_all, :no_longer]) AS c;
SELECT propose_change(:no_longer), withdraw_change(:no_longer);
RESET SESSION AUTHORIZATION;
\o
SELECT is(replaced_later, expected, 'replaced_later: ' || rationale)
FROM (VALUES (1, 'For later', NULL), (2, 'over all', 'version 1 from 2090-01-01 00:00, version 2 from 2095-06-30 12:30'), (3, 'for good', 'version 1 from 2090-01-01 00:00, version 2 from 2095-06-30 12:30'), (4, 'until then', NULL),
    (5, 'for a while', 'version 1 from 2090-01-01 00:00'), (6, 'from then on', 'version 2 from 2095-06-30 12:30'), (7, 'after all', NULL), (8, 'no longer', NULL)) AS t (n, rationale, expected)
    LEFT JOIN LATERAL (SELECT c.replaced_later FROM revacct_data.change AS d JOIN seen('console_bi', NULL::change_contents, '{"timezone": "Asia/Tokyo", "datestyle": "German"}') AS c ON c.change_no = d.change_id WHERE d.rationale = t.rationale) AS c ON true ORDER BY n;

SELECT * FROM finish();
DROP OWNED BY console_ana, console_ben, console_cleo, console_bi;
DROP ROLE console_ana, console_ben, console_cleo, console_bi;
