-- What the demo prints. Try these in psql, and change them.
\pset footer off
\pset null '-'

\echo
\echo '1. The funnel: how many entered each stage and what became of them; rates with their 95 % limits'
\echo

WITH company AS (
    SELECT funnel_conversion(journey, inbound, as_of) AS funnel
    FROM lead, model
)
SELECT stage, entered, imputed, converted, lost, in_progress,
       round(100 * conversion_rate, 1) AS "rate %",
       round(100 * rate_low, 1) AS "low %",
       round(100 * rate_high, 1) AS "high %",
       mean_days_to_convert AS "days to convert"
FROM company, stages(funnel)
ORDER BY stage_no;

\echo '2. From the first stage to the sale, by segment: leads that are still open count as not (yet) won'
\echo

WITH by_segment AS (
    SELECT segment, funnel_conversion(journey, inbound, as_of, amount) AS funnel
    FROM lead, model
    GROUP BY segment
)
SELECT segment, top.entered AS leads, sale.entered AS won,
       round(100 * rate::numeric, 1) AS "rate %",
       round(100 * low::numeric, 1) AS "low %",
       round(100 * high::numeric, 1) AS "high %",
       nullif(sale.amount_entered, 0) AS "amount won"
FROM by_segment,
     stages(funnel) AS top,
     stages(funnel) AS sale,
     wilson(sale.entered, top.entered)
WHERE top.stage_no = 1 AND sale.category = 'won'
ORDER BY segment;

\echo '3. Velocity, in days: the median of finished visits forgets those who still wait; Kaplan-Meier does not'
\echo '   (a dash: fewer than that share have left the stage)'
\echo

WITH company AS (
    SELECT stage_velocity(journey, inbound, as_of) AS velocity
    FROM lead, model
), naive AS (
    SELECT stage, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM duration)) / 86400 AS finished_days
    FROM lead, model, stage_spans(journey, inbound, as_of)
    WHERE left_at IS NOT NULL
    GROUP BY stage
)
SELECT stage, visits, pending,
       round(finished_days::numeric, 2) AS "naive median",
       median_days AS median,
       median_low_days AS low,
       median_high_days AS high,
       p25_days AS p25,
       p75_days AS p75
FROM company, stages(velocity) JOIN naive USING (stage)
ORDER BY stage_no;

-- The lead with the longest history.
SELECT lead_id FROM lead ORDER BY mark_count(journey) DESC, lead_id LIMIT 1 \gset

\echo '4. One lead, number' :lead_id '(the longest history): its attempts, and which of them the funnel counts'
\echo

SELECT attempt_no, counted, outcome, stage, imputed, status, entered_at, converted_at, repeats, regresses
FROM lead, model, funnel_attempts(journey, inbound, as_of)
WHERE lead_id = :lead_id
ORDER BY attempt_no, stage_no;

\echo '   ... and its visits, one after the other: these are what velocity measures'
\echo

SELECT attempt_no, visit_no, stage, entered_at, left_at, exit, duration
FROM lead, model, stage_spans(journey, inbound, as_of)
WHERE lead_id = :lead_id
ORDER BY attempt_no, visit_no;

\echo '5. Stored summaries roll up: the quarters, out of the funnels kept for each month and segment'
\echo

WITH quarterly AS (
    SELECT to_char(month, 'YYYY "Q"Q') AS quarter,
           count(*) AS "stored funnels",
           sum(pg_column_size(funnel)) AS bytes,
           rollup(funnel) AS funnel
    FROM funnel_by_month
    GROUP BY quarter
)
SELECT quarter, "stored funnels", bytes, top.entered AS leads, sale.entered AS won, top.in_progress AS "open in the first stage"
FROM quarterly, stages(funnel) AS top, stages(funnel) AS sale
WHERE top.stage_no = 1 AND sale.category = 'won'
ORDER BY quarter;

\echo '   ... and all of them together are the funnel of the journeys themselves, to the letter'
\echo

SELECT (SELECT rollup(funnel) FROM funnel_by_month)::text
     = (SELECT funnel_conversion(journey, inbound, as_of, amount) FROM lead, model)::text AS "rollup = direct";

\echo '6. The follow-up SLA by segment: a lead that nobody worked on is breached once its time is up, not left out'
\echo

WITH by_segment AS (
    SELECT segment, sla_breach(journey, follow_up, as_of) AS follow_ups
    FROM lead, model
    GROUP BY segment
)
SELECT segment, started, met, breached, running, overdue,
       round(100 * breach_rate, 1) AS "breached %",
       median_hours AS "median hours",
       median_overdue_hours AS "median hours late"
FROM by_segment, policies(follow_ups)
ORDER BY segment;

\echo '   ... and the worklist behind it: who is due next, in hours of the clock'
\echo

SELECT lead_id, lead.segment, status, started_at, due_at, elapsed, remaining
FROM lead, model, sla_clocks(journey, follow_up, as_of)
WHERE status = 'running'
ORDER BY due_at, lead_id
LIMIT 5;

\echo '7. A model that is agreed: nora drafts and proposes it, paul signs for sales, which is to own a part of it; nobody signs their own'
\echo

\set QUIET on
\o /dev/null
SET client_min_messages = warning;
DROP ROLE IF EXISTS nora, otto, paul;
CREATE ROLE nora LOGIN;
CREATE ROLE otto LOGIN;
CREATE ROLE paul LOGIN;
SELECT grant_access('steward', 'nora'), grant_access('council', 'otto'), grant_access('reader', 'paul');

SET SESSION AUTHORIZATION nora;
SELECT register_party('sales', 'team'), register_party('paul', 'person');
RESET SESSION AUTHORIZATION;
SELECT link_login('paul', 'paul');
SET SESSION AUTHORIZATION nora;
SELECT draft_change('Who signs for sales'), assign('paul', 'approver', 'party', 'sales'), propose_change();
SET SESSION AUTHORIZATION otto;
SELECT approve(1);

SET SESSION AUTHORIZATION nora;
SELECT draft_change('Start from the template', effective_at => '2025-01-01', retroactive => true), use_template('b2b_inbound'),
       assign('sales', 'accountable', 'stage', 'inbound/sal'), assign('sales', 'accountable', 'policy', 'lead_acceptance'), propose_change();
SET SESSION AUTHORIZATION paul;
\o
SELECT * FROM awaiting_my_signoff;
SELECT approve(2) AS "paul signs";
SET SESSION AUTHORIZATION otto;
SELECT approve(2) AS "otto signs for the council, for what nobody owns yet";
SELECT name, meaning, terms, owners, version_no FROM glossary WHERE kind IN ('stage', 'policy') ORDER BY kind, name;
SELECT lifecycle('inbound');
RESET SESSION AUTHORIZATION;

\echo '8. The same leads through the ledger: mapped, loaded, refreshed, and read as BI tools read them'
\echo

\set QUIET on
\o /dev/null
SET client_min_messages = warning;
GRANT SELECT ON event, lead_source, web_stage TO nora;
CREATE SCHEMA IF NOT EXISTS mapped AUTHORIZATION nora;
SET SESSION AUTHORIZATION nora;
CREATE OR REPLACE VIEW mapped.events AS
SELECT DISTINCT 'lead' AS subject_kind, lead_id::text AS subject_key, 'stage_entered' AS event, at AS occurred_at, concat_ws('/', 'event', lead_id, stage, extract(epoch FROM at)) AS source_key,
       'web_leads' AS lifecycle, stage, NULL AS field, NULL AS code, NULL::numeric AS amount, NULL AS currency
FROM event
UNION ALL
SELECT 'lead', lead_id::text, 'field_set', created_at, concat_ws('/', 'lead', lead_id, 'segment'), NULL, NULL, 'segment', segment, NULL, NULL FROM lead_source
UNION ALL
SELECT 'lead', lead_id::text, 'field_set', created_at, concat_ws('/', 'lead', lead_id, 'amount'), NULL, NULL, 'amount', NULL, amount, 'USD' FROM lead_source WHERE amount IS NOT NULL;
SELECT draft_change('Leads as the web shop has them', effective_at => (SELECT date_trunc('year', min(at)) FROM event), retroactive => true), define_lifecycle('web_leads', 'From the form to the customer');
SELECT define_stage('web_leads', stage, stage_no, category, is_pipeline => is_pipeline) FROM web_stage;
SELECT propose_change();
SET SESSION AUTHORIZATION otto;
SELECT approve(3);
SET SESSION AUTHORIZATION nora;
SELECT map_source('shop', events => 'mapped.events');
\o
SELECT * FROM load('shop');
SELECT * FROM load('shop');
SELECT step, row_count FROM refresh(progress => false);
SELECT period, sum(entered) AS leads, sum(converted) AS went_on, sum(lost) AS lost, sum(in_progress) AS open, round(sum(converted)::numeric / sum(entered), 3) AS rate, sum(amount_entered) AS amount
FROM funnel WHERE lifecycle = 'web_leads' AND stage_no = 1 GROUP BY period ORDER BY period LIMIT 6;

RESET SESSION AUTHORIZATION;
\echo '   ... the same numbers that the journeys of section 1 give, up to the last lead'
\echo

SELECT (SELECT sum(entered) FROM funnel WHERE lifecycle = 'web_leads') = (SELECT sum(entered) FROM (SELECT funnel_conversion(journey, inbound, as_of) AS funnel FROM lead, model) AS f, stages(funnel)) AS "views = journeys";
