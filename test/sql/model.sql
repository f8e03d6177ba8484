--
-- model: how people agree on definitions, and what they are told when it is not done so.
--
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET client_min_messages = warning;
\set VERBOSITY default
\set SHOW_CONTEXT never

-- Ana drafts and proposes, Ben signs for sales, Cleo is the council.
DROP ROLE IF EXISTS regress_ana, regress_ben, regress_cleo;
CREATE ROLE regress_ana;
CREATE ROLE regress_ben;
CREATE ROLE regress_cleo;
SELECT grant_access('steward', 'regress_ana'), grant_access('reader', 'regress_ben'), grant_access('council', 'regress_cleo');
SELECT grant_access('king', 'regress_ben');
SET SESSION AUTHORIZATION regress_ana;
SELECT register_party('ana', 'person'), register_party('ben', 'person'), register_party('marketing', 'team'), register_party('sales', 'team');
SELECT register_party('sales', 'person');
SELECT link_login('ben', 'regress_ana');
RESET SESSION AUTHORIZATION;
SELECT link_login('ana', 'regress_ana'), link_login('ben', 'regress_ben');
SELECT link_login('zoe', 'regress_cleo');
SET SESSION AUTHORIZATION regress_ben;
SELECT register_party('zoe', 'person');

-- A change: drafted, proposed, signed
SET SESSION AUTHORIZATION regress_ana;
SELECT define_program('fair');
SELECT propose_change();
SELECT draft_change('Who we are');
SELECT propose_change();
SELECT assign('ben', 'approver', 'party', 'sales');
SET SESSION AUTHORIZATION regress_ben;
SELECT assign('ben', 'approver', 'party', 'marketing', change => 1);
SELECT propose_change(1);
SELECT withdraw_change(1);
SET SESSION AUTHORIZATION regress_ana;
SELECT propose_change();
SELECT assign('ana', 'approver', 'party', 'sales', change => 1);
SELECT approve(1);
SET SESSION AUTHORIZATION regress_ben;
SELECT approve(1);
SET SESSION AUTHORIZATION regress_cleo;
SELECT change_no, sign_for, rationale, proposed_by FROM awaiting_my_signoff;
SELECT reject(1, '');
SELECT approve(1);
SELECT approve(1);
SELECT approve(99);

-- A model
SET SESSION AUTHORIZATION regress_ana;
SELECT draft_change('Inbound', effective_at => '2020-01-01');
SELECT draft_change('Inbound', effective_at => '2020-01-01', retroactive => true);
SELECT draft_change('Inbound, once more');
SELECT define_lifecycle('inbound');
SELECT withdraw_change(3);
SELECT define_calendar('sales', 'Europe/Berlin', '{mon-fri 09:00-17:00}');
SELECT define_lifecycle('inbound', 'From arrival to customer', calendar => 'sales');
SELECT define_stage('inbound', 'lead', 10), define_stage('inbound', 'mql', 20), define_stage('inbound', 'sql', 30, is_pipeline => true, max_age => '14 days'), define_stage('inbound', 'won', 40, 'won'), define_stage('inbound', 'lost', 50, 'lost');
SELECT define_transition('inbound', NULL, 'lead', 'enter'), define_transition('inbound', 'lead', 'mql'), define_transition('inbound', 'mql', 'sql'), define_transition('inbound', 'sql', 'lost', 'exit', code_list => 'loss_reason', enforcement => 'refuse');
SELECT define_code('loss_reason', 'price'), define_code('loss_reason', 'rival', requires => '{competitor}');
SELECT define_sla('speed_to_lead', start => '{lead}', stop => '{touch_out}', target => '4 hours', calendar => 'sales', lifecycle => 'inbound'), define_step('speed_to_lead', '80%', 'owner');
SELECT assign('sales', 'accountable', 'stage', 'inbound/sql', share => 0.4), assign('marketing', 'accountable', 'stage', 'inbound/sql', share => 0.6);
SELECT propose_change();
SELECT change_no, status, definition_count, signed, waiting_for FROM open_changes;
SET SESSION AUTHORIZATION regress_ben;
SELECT approve(2);
SELECT approve(2);
SET SESSION AUTHORIZATION regress_cleo;
SELECT sign_for FROM awaiting_my_signoff ORDER BY 1;
SELECT approve(2, 'As discussed');
SET SESSION AUTHORIZATION regress_ben;
SELECT lifecycle('inbound');
SELECT sla('speed_to_lead');
SELECT business_calendar('sales');
SELECT kind, name, terms, owners FROM glossary ORDER BY kind COLLATE "C", name COLLATE "C";
SELECT kind, name, version_no, change_no, signed FROM explain_definition(sla('speed_to_lead')) ORDER BY 1, 2;
SELECT object_kind, object_name, role, party, share_pct FROM ownership ORDER BY 1, 2, 3, 4;

-- What is not in force
SELECT lifecycle('outbound');
SELECT lifecycle('inbound', model_at => '2019-12-31');
SELECT sla('speed_to_lead', model_at => '2019-12-31');
SELECT business_calendar('support');

-- What a definition cannot say. Each is tried on a draft of its own.
SET SESSION AUTHORIZATION regress_ana;
CREATE FUNCTION pg_temp.attempt(statements text) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    PERFORM draft_change('An attempt', '2021-01-01', retroactive => true);
    EXECUTE statements;
    RETURN propose_change();
END $$;
SELECT pg_temp.attempt($$SELECT define_stage('inbound', '', 60)$$);
SELECT pg_temp.attempt($$SELECT define_stage('inbound', 'sal ', 60)$$);
SELECT pg_temp.attempt($$SELECT define_stage('inbound', 'sal', 20)$$);
SELECT pg_temp.attempt($$SELECT define_stage('inbound', 'sold', 60, 'won')$$);
SELECT pg_temp.attempt($$SELECT define_stage('outbound', 'call', 10)$$);
SELECT pg_temp.attempt($$SELECT define_lifecycle('inbound', skip => 'hop')$$);
SELECT pg_temp.attempt($$SELECT define_calendar('sales', 'Europe/Bärlin', '{mon-fri 09:00-17:00}')$$);
SELECT pg_temp.attempt($$SELECT define_calendar('sales', 'Europe/Berlin', '{monday to friday}')$$);
SELECT pg_temp.attempt($$SELECT define_transition('inbound', 'sql', 'sal')$$);
SELECT pg_temp.attempt($$SELECT define_sla('reply', '{lead}', '{touchout}', '1 hour', lifecycle => 'inbound')$$);
SELECT pg_temp.attempt($$SELECT define_sla('reply', '{lead}', '{touch_out}', '1 day', calendar => 'sales', lifecycle => 'inbound')$$);
SELECT pg_temp.attempt($$SELECT define_sla('reply', '{lead}', '{touch_out}', '1 hour', kind => 'route')$$);
SELECT pg_temp.attempt($$SELECT define_step('speed_to_lead', 'sometimes', 'owner')$$);
SELECT pg_temp.attempt($$SELECT define_sla_target('speed_to_lead', '1 hour', segment => 'big')$$);
SELECT pg_temp.attempt($$SELECT define_metric('win_rate', 'Won over all')$$);
SELECT pg_temp.attempt($$SELECT assign('ana', 'accountable', 'stage', 'inbound/sql', share => 0.1)$$);
SELECT pg_temp.attempt($$SELECT assign('sales', 'member', 'party', 'marketing'), assign('marketing', 'member', 'party', 'sales')$$);
SELECT pg_temp.attempt($$SELECT retire('stage', 'inbound/sal')$$);
SELECT pg_temp.attempt($$SELECT retire('calendar', 'sales')$$);
SELECT pg_temp.attempt($$SELECT retire('stage', 'inbound/mql', successor => 'inbound/lead')$$);

-- Two that do not know of each other, and one that comes before what is agreed
SELECT draft_change('Answer in two hours', '2022-01-01', retroactive => true) AS two,
       define_sla('speed_to_lead', start => '{lead}', stop => '{touch_out}', target => '2 hours', calendar => 'sales', lifecycle => 'inbound') \gset
SELECT propose_change();
SELECT draft_change('Answer in three hours', '2022-01-01', retroactive => true) AS three,
       define_sla('speed_to_lead', start => '{lead}', stop => '{touch_out}', target => '3 hours', calendar => 'sales', lifecycle => 'inbound') \gset
SELECT propose_change();
SET SESSION AUTHORIZATION regress_cleo;
SELECT approve(:two);
SELECT approve(:three);
SELECT reject(:three, 'Too slow');
SET SESSION AUTHORIZATION regress_ana;
SELECT redraft(:three, '2021-06-01', retroactive => true) AS again \gset
SELECT propose_change();
SELECT withdraw_change(:again);
SELECT withdraw_change(:two);
SELECT redraft(:three, '2021-06-01', '2021-09-01', retroactive => true) AS again \gset
SELECT propose_change() = :again AS proposed;
SET SESSION AUTHORIZATION regress_cleo;
SELECT approve(:again);
SELECT version_no, terms, valid_from::date, valid_until::date FROM explain_definition(sla('speed_to_lead')) WHERE kind = 'policy' ORDER BY valid_from;
SELECT kind, name, action, terms_before, terms_after, effective_at::date, effective_until::date, signed FROM model_history WHERE change_no > 2 ORDER BY change_no;

-- Rules
SELECT rule_kind, rule_key, enforcement, message FROM check_move('inbound', 'lead', 'sql');
SELECT rule_kind, rule_key, enforcement, message FROM check_move('inbound', 'sql', 'lost', codes => '{rival}');
SELECT enforce_move('inbound', 'lead', 'sql');
SELECT enforce_move('inbound', 'sql', 'lost', subject => 'lead 7');
SELECT enforce_move('inbound', 'sql', 'lost', codes => '{prize}', subject => 'lead 7');
SET SESSION AUTHORIZATION regress_ben;
SELECT request_override('transition', 'inbound/sql/lost', 'lead 7', 'They never said why');
SELECT request_override('transition', 'inbound/sql/won', 'lead 7', 'They never said why');
SELECT approve_override(1);
SET SESSION AUTHORIZATION regress_ana;
SELECT approve_override(1);
SELECT approve_override(1);
SELECT request_override('code', 'loss_reason/rival', 'lead 8', 'Whose, they would not say');
SELECT approve_override(2);
SELECT enforce_move('inbound', 'sql', 'lost', subject => 'lead 7');
SELECT enforce_move('inbound', 'sql', 'lost', codes => '{rival}', subject => 'lead 8');

-- There is no other way.
SET SESSION AUTHORIZATION regress_ben;
SELECT count(*) FROM revacct_data.stage;
UPDATE revacct_data.change SET status = 'approved';
SET SESSION AUTHORIZATION regress_ana;
SELECT count(*) FROM revacct_data.stage;
DELETE FROM revacct_data.stage;
SELECT _put_in_force(1);
RESET SESSION AUTHORIZATION;
UPDATE revacct_data.change SET status = 'approved';
TRUNCATE revacct_data.signoff;

DROP FUNCTION pg_temp.attempt(text);
SELECT revoke_access('steward', 'regress_ana'), revoke_access('reader', 'regress_ben'), revoke_access('council', 'regress_cleo');
SELECT revoke_access('council', 'regress_cleo');
DROP ROLE regress_ana, regress_ben, regress_cleo;
