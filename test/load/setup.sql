--
-- setup.sql: who is there, what they agreed, and what was landed before the load begins. Run by load.py in an empty database, as its superuser.
--
-- crm is the system that people write to one by one; it begins with the history of 20,000 opportunities. erp is one whose table of events grows, and is
-- loaded again and again. Times are relative to now, so that clocks are open and come due while the load runs.
--

CREATE EXTENSION revacct CASCADE;
CREATE ROLE load_writer LOGIN;
CREATE ROLE load_analyst LOGIN;
CREATE ROLE load_steward LOGIN;
CREATE ROLE load_council LOGIN;
CREATE ROLE load_reader LOGIN;
SELECT grant_access('loader', 'load_writer'), grant_access('analyst', 'load_analyst'), grant_access('steward', 'load_steward'), grant_access('council', 'load_council'),
       grant_access('reader', 'load_reader');
GRANT USAGE ON SCHEMA revacct, revacct_data TO load_analyst;
GRANT SELECT, INSERT ON revacct_data.escalation TO load_analyst;

-- What readers expect of what they read: an error ends them, and the test tells it.
CREATE FUNCTION demand(good boolean, what text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF good IS NOT TRUE THEN
        RAISE EXCEPTION 'inconsistent: %', what;
    END IF;
END $$;

-- How long the steps of refresh() took
CREATE TABLE refreshes (at timestamptz NOT NULL DEFAULT clock_timestamp(), step text, row_count bigint, seconds numeric);
GRANT SELECT, INSERT ON refreshes TO load_analyst;

-- ---- the model -------------------------------------------------------------------------------------------------------------------------------------

SET SESSION AUTHORIZATION load_steward;
SELECT register_party('owner ' || n, 'person') FROM generate_series(1, 12) AS n;
SELECT draft_change('How we sell', effective_at => '1980-01-01', retroactive => true);
SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-18:00}', holidays => '{2025-12-25, 2025-12-26, 2026-01-01}'),
       define_lifecycle('opportunity', 'From a deal that sales opened to its end', subject_kind => 'opportunity', calendar => 'office'),
       define_stage('opportunity', 'discovery', 10), define_stage('opportunity', 'evaluation', 20), define_stage('opportunity', 'proposal', 30, is_pipeline => true),
       define_stage('opportunity', 'negotiation', 40, is_pipeline => true), define_stage('opportunity', 'won', 50, 'won'), define_stage('opportunity', 'lost', 60, 'lost'),
       define_stage('opportunity', 'no_decision', 70, 'no_decision'),
       define_transition('opportunity', NULL, 'discovery', 'enter'), define_transition('opportunity', 'discovery', 'evaluation'), define_transition('opportunity', 'evaluation', 'proposal'),
       define_transition('opportunity', 'proposal', 'negotiation'), define_transition('opportunity', 'negotiation', 'won');
SELECT define_transition('opportunity', step.from_stage, ending.to_stage, 'exit')
FROM unnest('{discovery, evaluation, proposal, negotiation}'::text[]) AS step (from_stage), unnest('{lost, no_decision}'::text[]) AS ending (to_stage);
SELECT define_sla('first_touch', start => '{discovery}', stop => '{touch_out}', cancel => '{lost, no_decision}', target => '4 hours', calendar => 'office', lifecycle => 'opportunity',
                  phases => '{routing until assigned, human}'),
       define_step('first_touch', '80%', 'owner'), define_step('first_touch', 'breach', 'manager'),
       define_sla('evaluated', start => '{evaluation}', stop => '{proposal, won, lost, no_decision}', pause => '{on_hold}', resume => '{touch_in}', target => '30 days', lifecycle => 'opportunity'),
       define_metric('win_rate', 'Of the deals decided, how many are won', lifecycle => 'opportunity', to_stage => 'won'), assign('owner 1', 'accountable', 'metric', 'win_rate'),
       define_code('event', 'on_hold');
SELECT define_code('lead_source', code) FROM unnest('{web,event,partner,referral,cold}'::text[]) AS code;
SELECT propose_change();
SET SESSION AUTHORIZATION load_council;
SELECT approve(1);
RESET SESSION AUTHORIZATION;
SELECT link_login('owner 3', 'load_reader');

-- ---- what was landed -------------------------------------------------------------------------------------------------------------------------------

CREATE TABLE landed (
    source text, subject_key text, event text, occurred_at timestamptz, source_key text, stage text, field text, code text, party text, amount numeric
);
CREATE VIEW crm_events AS
SELECT 'opportunity' AS subject_kind, subject_key, event, occurred_at, source_key, CASE WHEN event = 'stage_entered' THEN 'opportunity' END AS lifecycle, stage, field, code, party, amount,
       CASE WHEN field = 'amount' THEN 'EUR' END AS currency
FROM landed WHERE source = 'crm';
CREATE VIEW erp_events AS
SELECT 'opportunity' AS subject_kind, subject_key, event, occurred_at, source_key, CASE WHEN event = 'stage_entered' THEN 'opportunity' END AS lifecycle, stage, field, code, party, amount,
       CASE WHEN field = 'amount' THEN 'EUR' END AS currency
FROM landed WHERE source = 'erp';
ALTER TABLE landed OWNER TO load_writer;
ALTER VIEW crm_events OWNER TO load_writer;
ALTER VIEW erp_events OWNER TO load_writer;

-- Between 0 and 1, of a number and a what-for
CREATE FUNCTION chance(n bigint, what int) RETURNS float8 LANGUAGE SQL IMMUTABLE
RETURN (hashint8extended(n, what) & 1048575) / 1048576.0::float8;

INSERT INTO landed
WITH opportunity AS MATERIALIZED (
    SELECT s, began, began + chance(s, 1) * '20 days'::interval AS t1, began + (20 * chance(s, 1) + 30 * chance(s, 2)) * '1 day'::interval AS t2,
           began + (20 * chance(s, 1) + 30 * chance(s, 2) + 30 * chance(s, 3)) * '1 day'::interval AS t3, chance(s, 4) AS far, chance(s, 5) AS how
    FROM (SELECT s, now() - '730 days'::interval * (1 - s / 20000.0) AS began FROM generate_series(1, 20000) AS s) AS o
)
SELECT 'crm', 'O' || s, e.event, e.at, 's' || s || '/' || e.k, e.stage, e.field, e.code, e.party, e.amount
FROM opportunity, LATERAL (VALUES
    (1, began, 'created', NULL, NULL, NULL, NULL, NULL),
    (2, began, 'assigned', NULL, NULL, NULL, 'owner ' || 1 + floor(12 * chance(s, 6)), NULL),
    (3, began, 'field_set', NULL, 'lead_source', ('{web,event,partner,referral,cold}'::text[])[1 + floor(5 * chance(s, 7))::int], NULL, NULL),
    (4, began, 'stage_entered', 'discovery', NULL, NULL, NULL, NULL),
    (5, began + 3 * chance(s, 8) * '1 day'::interval, 'touch_out', NULL, NULL, NULL, NULL, NULL),
    (6, began + 4 * chance(s, 9) * '1 day'::interval, 'touch_in', NULL, NULL, NULL, NULL, NULL),
    (7, CASE WHEN far > 0.2 THEN t1 END, 'stage_entered', 'evaluation', NULL, NULL, NULL, NULL),
    (8, CASE WHEN far > 0.1 THEN t1 END, 'field_set', NULL, 'amount', NULL, NULL, round((1000 + 90000 * chance(s, 10))::numeric, 2)),
    (9, CASE WHEN far > 0.2 THEN t1 + 5 * chance(s, 11) * '1 day'::interval END, 'touch_out', NULL, NULL, NULL, NULL, NULL),
    (10, CASE WHEN far > 0.4 THEN t2 END, 'stage_entered', 'proposal', NULL, NULL, NULL, NULL),
    (11, CASE WHEN far > 0.4 THEN t2 + 5 * chance(s, 12) * '1 day'::interval END, 'touch_in', NULL, NULL, NULL, NULL, NULL),
    (12, CASE WHEN far > 0.5 THEN t2 + 6 * chance(s, 13) * '1 day'::interval END, 'touch_out', NULL, NULL, NULL, NULL, NULL),
    (13, CASE WHEN far > 0.6 THEN t3 END, 'stage_entered', 'negotiation', NULL, NULL, NULL, NULL),
    (14, CASE WHEN how < 0.8 THEN CASE WHEN far > 0.6 THEN t3 WHEN far > 0.4 THEN t2 WHEN far > 0.2 THEN t1 ELSE began END + 20 * chance(s, 14) * '1 day'::interval END, 'stage_entered',
         CASE WHEN far > 0.7 THEN 'won' WHEN how < 0.5 THEN 'lost' ELSE 'no_decision' END, NULL, NULL, NULL, NULL)
) AS e (k, at, event, stage, field, code, party, amount)
WHERE e.at <= now();
INSERT INTO landed
SELECT 'erp', 'O' || 1 + n % 2000, CASE n % 3 WHEN 0 THEN 'field_set' WHEN 1 THEN 'touch_in' ELSE 'touch_out' END, now() - '700 days'::interval * chance(n, 15), 'e' || n, NULL,
       CASE n % 3 WHEN 0 THEN 'amount' END, NULL, NULL, CASE n % 3 WHEN 0 THEN round((50000 * chance(n, 16))::numeric, 2) END
FROM generate_series(1, 10000) AS n;

SET SESSION AUTHORIZATION load_writer;
SELECT map_source('crm', 'crm_events'), map_source('erp', 'erp_events');
SELECT source, l.* FROM unnest('{crm,erp}'::text[]) AS source, load(source) AS l;
SELECT step, row_count, seconds FROM refresh(false);
RESET SESSION AUTHORIZATION;
