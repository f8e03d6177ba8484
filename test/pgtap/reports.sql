-- What BI tools and people read: the reports against the kernel, and who sees what.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
SELECT plan(494);

-- Refreshes and session authorizations are several transactions, so nothing here is in one; and roles are the server's.
DROP ROLE IF EXISTS reports_ana, reports_cleo, reports_lab, reports_load, reports_bi, reports_ann, reports_bob, reports_max, reports_top, reports_eve, reports_gil, reports_nobody, reports_admin;
CREATE ROLE reports_ana;   -- steward
CREATE ROLE reports_cleo;  -- council
CREATE ROLE reports_lab;   -- analyst
CREATE ROLE reports_load;  -- loader
CREATE ROLE reports_bi;    -- reader, whom no party logs in as
CREATE ROLE reports_ann;   -- reader, member of north, and of the guild
CREATE ROLE reports_bob;   -- reader, member of north
CREATE ROLE reports_max;   -- reader, manager of north, member of the board
CREATE ROLE reports_top;   -- reader, manager of the board
CREATE ROLE reports_eve;   -- reader, member of south
CREATE ROLE reports_gil;   -- reader, manager of the person eve
CREATE ROLE reports_nobody;
\o /dev/null
SELECT grant_access('steward', 'reports_ana'), grant_access('council', 'reports_cleo'), grant_access('analyst', 'reports_lab'), grant_access('loader', 'reports_load');
SELECT grant_access('reader', ('reports_' || r)::regrole) FROM unnest('{bi, ann, bob, max, top, eve, gil}'::text[]) AS r;
GRANT CREATE ON SCHEMA public TO reports_load, reports_bi, reports_lab;
SET SESSION AUTHORIZATION reports_ana;
SELECT register_party(p, 'person') FROM unnest('{ann, bob, max, top, eve, gil}'::text[]) AS p;
SELECT register_party(p, 'team') FROM unnest('{north, south, board, guild}'::text[]) AS p;
RESET SESSION AUTHORIZATION;
SELECT link_login(p, ('reports_' || p)::regrole) FROM unnest('{ann, bob, max, top, eve, gil}'::text[]) AS p;

SET SESSION AUTHORIZATION reports_ana;
SELECT draft_change('As agreed', effective_at => '2024-01-01', retroactive => true);
SELECT assign('ann', 'member', 'party', 'north'), assign('bob', 'member', 'party', 'north'), assign('ann', 'member', 'party', 'guild'), assign('max', 'manager', 'party', 'north'),
       assign('max', 'member', 'party', 'board'), assign('top', 'manager', 'party', 'board'), assign('eve', 'member', 'party', 'south'), assign('gil', 'manager', 'party', 'eve');
SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}');
SELECT define_lifecycle('deals', 'Deals', calendar => 'office', time_zone => 'Europe/Berlin'), define_stage('deals', 'lead', 10), define_stage('deals', 'qualified', 20),
       define_stage('deals', 'proposal', 30, is_pipeline => true), define_stage('deals', 'delivery', 35), define_stage('deals', 'won', 40, 'won'), define_stage('deals', 'lost', 50, 'lost'), define_stage('deals', 'parked', 60, 'recycled');
SELECT define_transition('deals', 'lead', 'qualified');
SELECT define_lifecycle('orders', 'Orders', time_zone => 'UTC'), define_stage('orders', 'placed', 1), define_stage('orders', 'paid', 2, 'won');
SELECT define_code('segment', c) FROM unnest('{small, mid, tiny}'::text[]) AS c;
SELECT define_code('lead_source', c) FROM unnest('{web, fair}'::text[]) AS c;
SELECT define_sla('first touch', start => '{lead}', stop => '{touch_out}', pause => '{paused}', resume => '{resumed}', cancel => '{lost}', target => '2 days', lifecycle => 'deals', meaning => 'Call soon', owner => '{assigned}',
                  segment => '{segment_set}');
SELECT define_sla_target('first touch', '1 day', segment => 'mid');
SELECT define_sla('to proposal', start => '{lead}', stop => '{proposal}', target => '20 days', lifecycle => 'deals', meaning => 'Offer soon');
SELECT propose_change();
SET SESSION AUTHORIZATION reports_cleo;
SELECT approve(max(change_no)) FROM open_changes;
SET SESSION AUTHORIZATION reports_ana;
SELECT draft_change('No more tiny ones', effective_at => '2025-06-01', retroactive => true), retire('code', 'segment/tiny', successor => 'segment/small');
SELECT propose_change();
SET SESSION AUTHORIZATION reports_cleo;
SELECT approve(max(change_no)) FROM open_changes;

-- Facts. i says what becomes of a deal; the last ten are under way now.
SET SESSION AUTHORIZATION reports_load;
CREATE TABLE fact (k text, deal text, ev text, at timestamptz, stage text, field text, code text, party text, amount numeric, currency text, corrects text);
CREATE TABLE deal AS
SELECT i, 'D' || i AS deal, CASE WHEN i <= 60 THEN '2024-12-31 23:30+00'::timestamptz + (i % 20) * interval '5 days' ELSE date_trunc('second', now()) - (i - 60) * interval '5 hours' END AS since
FROM generate_series(1, 70) AS i;
INSERT INTO fact
SELECT deal || '/' || no, deal, 'stage_entered', since + no * interval '6 days', stage
FROM deal, unnest(CASE WHEN i > 60 THEN '{lead}' WHEN i % 6 = 0 THEN '{lead}' WHEN i % 6 = 1 THEN '{lead, qualified}' WHEN i % 6 = 2 THEN '{lead, proposal, lost}' WHEN i % 6 = 3 THEN '{lead, qualified, proposal, delivery, won}'
                       WHEN i % 6 = 4 THEN '{lead, qualified, parked, lead, qualified}' ELSE '{qualified, won}' END::text[]) WITH ORDINALITY AS s (stage, no);
INSERT INTO fact SELECT deal || '/seg', deal, 'field_set', since, NULL, 'segment', ('{small, mid, tiny}'::text[])[i % 4] FROM deal WHERE i % 4 > 0;
INSERT INTO fact SELECT deal || '/seg2', deal, 'field_set', since + interval '1 hour', NULL, 'segment', 'mid' FROM deal WHERE i % 7 = 0;
INSERT INTO fact SELECT deal || '/src', deal, 'field_set', since, NULL, 'lead_source', ('{web, fair}'::text[])[i % 3] FROM deal WHERE i % 3 > 0;
INSERT INTO fact SELECT deal || '/src2', deal, 'field_set', since + interval '1 hour', NULL, 'lead_source', 'fair' FROM deal WHERE i % 5 = 0;
INSERT INTO fact SELECT deal || '/own', deal, 'assigned', since, NULL, NULL, NULL, ('{ann, bob, max, eve, north, guild}'::text[])[i % 7] FROM deal WHERE i % 7 > 0;
INSERT INTO fact SELECT deal || '/own2', deal, 'assigned', since + interval '2 hours', NULL, NULL, NULL, 'south' FROM deal WHERE i % 10 = 0;
INSERT INTO fact SELECT deal || '/amt', deal, 'field_set', since, NULL, 'amount', NULL, NULL, i * 100.25, 'EUR' FROM deal WHERE i % 2 = 0;
INSERT INTO fact SELECT deal || '/amt2', deal, 'field_set', since + interval '1 hour', NULL, 'amount', NULL, NULL, i * 10.01, CASE WHEN i % 4 = 0 THEN 'USD' ELSE 'EUR' END FROM deal WHERE i % 6 = 2;
INSERT INTO fact SELECT deal || '/touch', deal, 'touch_out', since + (i % 5) * interval '15 hours' + interval '6 days' FROM deal WHERE i <= 60 AND i % 4 <> 3;
INSERT INTO fact SELECT deal || '/pause', deal, 'paused', since + interval '6 days 1 hour' FROM deal WHERE i % 8 = 3 AND i <= 60;
INSERT INTO fact SELECT deal || '/lead', deal, 'stage_entered', since + interval '1 minute', 'lead' FROM deal WHERE i > 60;
DELETE FROM fact WHERE at > clock_timestamp();
INSERT INTO fact SELECT deal || '/pause', deal, 'paused', since + interval '2 minutes' FROM deal WHERE i IN (63, 67);
-- corrected: the deal was not won, but lost; and one owner was a mistake
INSERT INTO fact SELECT 'D3/no', 'D3', 'stage_entered', at, 'lost', NULL, NULL, NULL, NULL, NULL, k FROM fact WHERE deal = 'D3' AND stage = 'won';
INSERT INTO fact SELECT 'D10/no', 'D10', 'retracted', at, NULL, NULL, NULL, NULL, NULL, NULL, k FROM fact WHERE k = 'D10/own2';
CREATE VIEW events AS SELECT 'opportunity'::text AS subject_kind, deal AS subject_key, ev AS event, at AS occurred_at, k AS source_key, CASE WHEN stage IS NOT NULL THEN 'deals' END AS lifecycle,
    stage, field, code, party, amount, currency, corrects FROM fact;
SELECT map_source('crm', events => 'events'), load('crm');
-- two deals are one
SELECT record_event('erp', 'opportunity', 'X1', 'stage_entered', '2025-01-20', lifecycle => 'deals', stage => 'won'), record_link('erp', 'opportunity', 'X1', 'same_as', 'opportunity', 'D1', to_source => 'crm');
SELECT refresh(false);
RESET SESSION AUTHORIZATION;
\o

-- What a query says in a session of somebody's; errors are an answer too.
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
CREATE FUNCTION rows_of(login text, query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    RETURN QUERY EXECUTE format('SELECT q::text FROM (%s) AS q', query);
    RESET SESSION AUTHORIZATION;
END $$;

-- ---- values --------------------------------------------------------------------------------------------------------------

-- The dimensions by hand, from the facts as they were meant.
CREATE TABLE dim AS
WITH counted AS (SELECT * FROM fact AS f WHERE ev <> 'retracted' AND NOT EXISTS (SELECT FROM fact AS c WHERE c.corrects = f.k))
SELECT s.subject_id, d.deal, date_trunc('month', (SELECT min(at) FROM counted AS f WHERE f.deal = d.deal AND stage IS NOT NULL) AT TIME ZONE 'Europe/Berlin')::date AS period_start,
       (SELECT replace(code, 'tiny', 'small') FROM counted AS f WHERE f.deal = d.deal AND field = 'segment' ORDER BY at DESC LIMIT 1) AS segment,
       (SELECT code FROM counted AS f WHERE f.deal = d.deal AND field = 'lead_source' ORDER BY at LIMIT 1) AS lead_source,
       (SELECT party FROM counted AS f WHERE f.deal = d.deal AND ev = 'assigned' ORDER BY at DESC LIMIT 1) AS owner,
       (SELECT currency FROM counted AS f WHERE f.deal = d.deal AND field = 'amount' ORDER BY at DESC LIMIT 1) AS currency,
       (SELECT amount FROM counted AS f WHERE f.deal = d.deal AND field = 'amount' ORDER BY at DESC LIMIT 1) AS amount,
       j.journey
FROM deal AS d JOIN revacct_data.subject AS s ON s.subject_key = d.deal LEFT JOIN revacct_data.journey AS j USING (subject_id);
SELECT as_of FROM revacct_data.refreshed \gset
SELECT format('%L::timestamptz', :'as_of') AS as_of \gset
SELECT is((SELECT count(*) FROM dim WHERE journey IS NULL OR period_start IS NULL), 0::bigint, 'every deal has a journey');
SELECT is((SELECT count(*) FROM revacct_data.journey), 70::bigint, 'and the one of two systems is one');
SELECT ok((SELECT count(DISTINCT period_start) >= 5 AND bool_or(segment IS NULL) AND bool_or(lead_source IS NULL) AND bool_or(owner IS NULL) AND bool_or(currency IS NULL) AND count(DISTINCT currency) = 2 FROM dim), 'there is something to group');
SELECT ok(EXISTS (SELECT FROM dim, fact WHERE fact.deal = dim.deal AND stage IS NOT NULL AND date_trunc('month', at) < period_start), 'somebody entered in the evening of the last day of a month, which in Berlin is the next');
-- The three reports, each by the kernel's function on the journeys, for those who see all; both ways.
SELECT 'period_start, to_char(period_start, ''YYYY-MM''), segment, lead_source, owner, currency' AS dims \gset
SELECT bag_eq($$ SELECT period_start, period, segment, lead_source, owner, currency, stage_no, stage, category, entered, observed, imputed, converted, lost, no_decision, recycled, churned, in_progress, expired, conversion_rate,
        rate_low, rate_high, decided_rate, timed_count, mean_days_to_convert, subjects FROM funnel WHERE lifecycle = 'deals' $$,
    format($$ SELECT %s, s.stage_no, s.stage, s.category, s.entered, s.observed, s.imputed, s.converted, s.lost, s.no_decision, s.recycled, s.churned, s.in_progress, s.expired, s.conversion_rate::numeric(9, 6), s.rate_low::numeric(9, 6),
        s.rate_high::numeric(9, 6), s.decided_rate::numeric(9, 6), s.timed_count, s.mean_days_to_convert::numeric(12, 2), n
        FROM (SELECT period_start, segment, lead_source, owner, currency, count(*) AS n, funnel_conversion(journey, lifecycle('deals'), %s) AS f FROM dim GROUP BY 1, 2, 3, 4, 5) AS g, stages(f) AS s $$, :'dims', :'as_of'),
    'funnel: what funnel_conversion() gives for each group, a row for each stage');
SELECT bag_eq($$ SELECT period_start, segment, lead_source, owner, currency, stage, amount_entered, amount_converted, amount_lost FROM funnel WHERE lifecycle = 'deals' $$,
    format($$ SELECT period_start, segment, lead_source, owner, currency, s.stage, s.amount_entered::numeric(18, 2), s.amount_converted::numeric(18, 2), s.amount_lost::numeric(18, 2)
        FROM (SELECT period_start, segment, lead_source, owner, currency, funnel_conversion(journey, lifecycle('deals'), %s, amount) AS f FROM dim WHERE currency IS NOT NULL GROUP BY 1, 2, 3, 4, 5) AS g, stages(f) AS s
        UNION ALL SELECT DISTINCT period_start, segment, lead_source, owner, currency, stage, NULL::numeric, NULL::numeric, NULL::numeric FROM dim, unnest('{lead, qualified, proposal, delivery, won}'::text[]) AS stage WHERE currency IS NULL $$, :'as_of'),
    'funnel: the amounts of those that have one');
SELECT bag_eq($$ SELECT period_start, period, segment, lead_source, owner, currency, stage_no, stage, category, visits, pending, moved_forward, skipped, moved_back, repeated, won, lost, no_decision, recycled, churned, median_days,
        median_low_days, median_high_days, p25_days, p75_days, p90_days, last_observed_days, business_median_days, subjects FROM stage_velocity WHERE lifecycle = 'deals' $$,
    format($$ SELECT %s, s.stage_no, s.stage, s.category, s.visits, s.pending, s.forward, s.skip, s.back, s.repeat, s.won, s.lost, s.no_decision, s.recycled, s.churned, s.median_days::numeric(12, 2), s.median_low_days::numeric(12, 2),
        s.median_high_days::numeric(12, 2), s.p25_days::numeric(12, 2), s.p75_days::numeric(12, 2), s.p90_days::numeric(12, 2), s.last_observed_days::numeric(12, 2), b.median_days::numeric(12, 2) AS business, n
        FROM (SELECT period_start, segment, lead_source, owner, currency, count(*) AS n, stage_velocity(journey, lifecycle('deals'), %s) AS f FROM dim GROUP BY 1, 2, 3, 4, 5) AS g, stages(f) AS s
             JOIN LATERAL stages(business_clock(f)) AS b USING (stage_no) $$, :'dims', :'as_of'),
    'stage_velocity: what stage_velocity() gives for each group, in business time too');
SELECT bag_eq($$ SELECT policy, period_start, period, segment, lead_source, owner, currency, policy_no, policy_version, target_seconds, started, met, breached, running, paused, cancelled, at_risk, overdue, decided, breach_rate,
        rate_low, rate_high, median_hours, p90_hours, median_overdue_hours, subjects FROM sla_results $$,
    format($$ SELECT p, %s, s.policy_no, s.version, extract(epoch FROM s.target)::bigint, s.started, s.met, s.breached, s.running, s.paused, s.cancelled, s.at_risk, s.overdue, s.met + s.breached, s.breach_rate::numeric(9, 6),
        s.rate_low::numeric(9, 6), s.rate_high::numeric(9, 6), s.median_hours::numeric(12, 2), s.p90_hours::numeric(12, 2), s.median_overdue_hours::numeric(12, 2), n
        FROM (SELECT p, period_start, segment, lead_source, owner, currency, count(*) AS n, sla_breach(journey, sla(p), %s) AS f FROM dim, unnest('{first touch, to proposal}'::text[]) AS p GROUP BY 1, 2, 3, 4, 5, 6) AS g, policies(f) AS s $$, :'dims', :'as_of'),
    'sla_results: what sla_breach() gives for each group');
SELECT bag_eq($$ SELECT policy, source, subject_kind, subject_key, period_start, period, segment, lead_source, owner, clock_no, status, started_at, due_at, target_seconds, elapsed_seconds, remaining_seconds, overdue_seconds, fraction_used,
        at_risk_count, breach_count, policy_version FROM sla_status $$,
    format($$ SELECT p, 'crm' AS s, 'opportunity' AS o, deal, period_start, to_char(period_start, 'YYYY-MM'), dim.segment, lead_source, dim.owner, k.clock_no, k.status, k.started_at, k.due_at, extract(epoch FROM k.target)::bigint AS t, extract(epoch FROM k.elapsed)::bigint AS e,
        CASE WHEN k.status <> 'breached' THEN extract(epoch FROM k.remaining)::bigint END AS r, extract(epoch FROM k.overdue)::bigint AS d, k.fraction_used::numeric(9, 6), k.at_risk::int, (k.status = 'breached')::int AS b, k.version
        FROM dim, unnest('{first touch, to proposal}'::text[]) AS p, sla_clocks(journey, sla(p), %s) AS k WHERE k.ended_at IS NULL AND k.status <> 'cancelled' $$, :'as_of'),
    'sla_status: the open clocks of sla_clocks(), by the same segments as sla_results');
SELECT ok(bool_or(status = 'running') AND bool_or(status = 'paused') AND bool_or(status = 'breached') AND bool_or(at_risk_count = 1), 'sla_status: clocks of every sort are open') FROM sla_status;
SELECT results_eq($$ SELECT policy, sum(breached - (CASE WHEN false THEN 0 ELSE 0 END)), sum(overdue), sum(running), sum(paused), sum(at_risk) FROM sla_results GROUP BY 1 ORDER BY 1 $$,
    $$ SELECT policy, (SELECT sum(breached) FROM sla_results AS r WHERE r.policy = s.policy), sum(breach_count)::numeric, sum((status = 'running')::int)::numeric, sum((status = 'paused')::int)::numeric, sum(at_risk_count)::numeric FROM sla_status AS s GROUP BY 1 ORDER BY 1 $$,
    'sla_status adds up to sla_results');
SELECT is((SELECT array_agg(DISTINCT definition_fingerprint) FROM funnel WHERE lifecycle = 'deals'), ARRAY[fingerprint(lifecycle('deals'))], 'funnel says by which definition');
SELECT is((SELECT array_agg(DISTINCT definition_fingerprint) FROM stage_velocity WHERE lifecycle = 'deals'), ARRAY[fingerprint(lifecycle('deals'))], 'stage_velocity too');
SELECT is((SELECT array_agg(DISTINCT definition_fingerprint) FROM (SELECT * FROM sla_results WHERE policy = 'first touch') AS r), ARRAY[fingerprint(sla('first touch'))], 'and sla_results');
SELECT is((SELECT array_agg(DISTINCT as_of) FROM (SELECT as_of FROM funnel UNION SELECT as_of FROM stage_velocity UNION SELECT as_of FROM sla_results UNION SELECT as_of FROM sla_status) AS v), ARRAY[:as_of], 'all as of the last refresh');
-- no empty object
SELECT is_empty($$ SELECT period, segment, lead_source, owner, currency, count(*), min(stage_no), max(stage_no) FROM funnel WHERE lifecycle = 'deals' GROUP BY 1, 2, 3, 4, 5 HAVING (count(*), count(DISTINCT stage), count(entered)) <> (5, 5, 5) $$,
    'funnel: each group has a row for each stage');
SELECT is_empty($$ SELECT period, segment, lead_source, owner, currency, count(*) FROM stage_velocity WHERE lifecycle = 'deals' GROUP BY 1, 2, 3, 4, 5 HAVING (count(*), count(DISTINCT stage), count(visits)) <> (4, 4, 4) $$, 'stage_velocity: for each stage that one stays in');
SELECT ok((SELECT count(*) > 0 FROM funnel WHERE lifecycle = 'deals' AND stage = 'delivery' AND entered = 0 AND conversion_rate IS NULL), 'a stage that nobody entered has 0, and no rate');
-- what adds up
SELECT is_empty($$ SELECT * FROM funnel WHERE converted + lost + in_progress + expired <> entered OR observed + imputed <> entered OR no_decision + recycled + churned > lost $$, 'converted + lost + in progress + expired = entered');
SELECT is_empty($$ SELECT * FROM sla_results WHERE met + breached + running + paused + cancelled <> started OR decided <> met + breached OR at_risk > running + paused OR overdue > breached $$, 'met + breached + running + paused + cancelled = started');
SELECT is_empty($$ SELECT * FROM stage_velocity WHERE pending + moved_forward + skipped + moved_back + repeated + won + lost + no_decision + recycled + churned <> visits $$, 'every visit ends one way or is pending');
SELECT ok((SELECT sum(started) > 60 AND sum(met) > 0 AND sum(breached) > 0 AND sum(running) > 0 AND sum(paused) > 0 AND sum(cancelled) > 0 AND sum(at_risk) > 0 FROM sla_results), 'of each there is something');

-- exceptions: the moves that break a rule now
SELECT bag_eq($$ SELECT subject_key, from_stage, to_stage, source_key, rule_kind, enforcement FROM exceptions WHERE lifecycle = 'deals' AND from_stage = 'lead' AND to_stage = 'proposal' $$,
    $$ SELECT deal, 'lead' AS f, 'proposal' AS t, k, 'lifecycle' AS r, 'flag' AS e FROM fact WHERE stage = 'proposal' AND split_part(k, '/', 2) = '2' $$, 'exceptions: a move that is flagged, each time it was made');
SELECT bag_eq($$ SELECT subject_key, event, coalesce(stage, code, party, amount::text), source_key, corrects, counted_count FROM event_log WHERE source = 'crm' $$,
    $$ SELECT deal, CASE WHEN field IS NOT NULL THEN field || '_set' ELSE ev END AS e, coalesce(stage, code, party, amount::numeric(18, 2)::text) AS v, k, corrects, (k NOT IN (SELECT corrects FROM fact WHERE corrects IS NOT NULL))::int FROM fact $$,
    'event_log: every event, corrected ones too');

-- ---- rows: one's own -------------------------------------------------------------------------------------------------------

CREATE TABLE sees (login text, owners text[]);
INSERT INTO sees VALUES ('ann', '{ann, north, guild}'), ('bob', '{bob, north}'), ('max', '{max, north, ann, bob, board}'), ('top', '{top, board, max, north, ann, bob}'), ('eve', '{eve, south}'), ('gil', '{gil, eve}'), ('bi', '{}');
SELECT ok((SELECT count(DISTINCT owner) = 7 FROM dim WHERE deal IN (SELECT subject_key FROM sla_status)), 'clocks of everybody are open');
SELECT bag_eq(format($$ SELECT r FROM rows_of(%L, 'SELECT DISTINCT subject_key FROM sla_status') AS r $$, 'reports_' || login),
    format($$ SELECT ROW(deal)::text FROM dim WHERE owner = ANY (%L) AND deal IN (SELECT subject_key FROM sla_status) $$, owners), 'sla_status: ' || login || ' sees the subjects of ' || owners::text) FROM sees;
SELECT bag_eq(format($$ SELECT r FROM rows_of(%L, 'SELECT source_key FROM event_log WHERE source = ''crm''') AS r $$, 'reports_' || login),
    format($$ SELECT ROW(k)::text FROM fact JOIN dim USING (deal) WHERE owner = ANY (%L) $$, owners), 'event_log: ' || login || ' sees all that happened to these, and nothing else') FROM sees;
SELECT bag_eq(format($$ SELECT r FROM rows_of(%L, 'SELECT source_key, rule_key FROM exceptions WHERE source = ''crm''') AS r $$, 'reports_' || login),
    format($$ SELECT ROW(source_key, rule_key)::text FROM exceptions JOIN dim ON deal = subject_key WHERE source = 'crm' AND owner = ANY (%L) $$, owners), 'exceptions: ' || login || ' sees these subjects''') FROM sees;
SELECT ok((SELECT bool_and(EXISTS (SELECT FROM exceptions JOIN dim ON deal = subject_key WHERE owner = o)) FROM unnest('{ann, bob, max, eve}'::text[]) AS o), 'and there are some of each');
SELECT is((SELECT owner FROM dim WHERE deal = 'D1'), 'ann', 'D1, which the other system calls X1, is of ann');
SELECT is(said('reports_' || login, $$ SELECT count(*) FROM event_log WHERE source = 'erp' $$), CASE WHEN 'ann' = ANY (owners) THEN '1' ELSE '0' END, 'what another system says of the same subject: ' || login) FROM sees;
SELECT is(said('reports_' || w, 'SELECT count(*) FROM ' || v), said('postgres', 'SELECT count(*) FROM ' || v), w || ' sees all of ' || v)
FROM unnest('{lab, ana, cleo}'::text[]) AS w, unnest('{funnel, stage_velocity, sla_results, sla_status, event_log, exceptions, source_conflicts, rejected_facts}'::text[]) AS v;
SELECT is(said('reports_' || login, 'SELECT count(*) FROM source_conflicts') || said('reports_' || login, 'SELECT count(*) FROM rejected_facts'), '00', login || ' sees no conflicts, nor what was rejected') FROM sees;
-- by membership, and what SET ROLE does not change
GRANT reports_lab TO reports_bob; GRANT reports_max TO reports_bi;
SELECT is(said('reports_bob', 'SELECT count(*) FROM event_log'), said('postgres', 'SELECT count(*) FROM event_log'), 'a member of the analysts sees all');
SELECT is(said('reports_bi', 'SELECT count(*) FROM event_log'), '0', 'who may act as another is not that person');
REVOKE reports_lab FROM reports_bob; REVOKE reports_max FROM reports_bi;
SELECT is(said('reports_bi', $$ SELECT count(*) FROM (SELECT set_config('role', 'reports_bi', false)) AS s, event_log $$), '0', 'nor whoever sets a role');
-- who is no member any more
\o /dev/null
SET SESSION AUTHORIZATION reports_ana;
SELECT draft_change('Ann leaves'), unassign('ann', 'member', 'party', 'north'), propose_change();
SET SESSION AUTHORIZATION reports_cleo;
SELECT approve(max(change_no)) FROM open_changes;
RESET SESSION AUTHORIZATION;
\o
SELECT bag_eq($$ SELECT * FROM rows_of('reports_max', 'SELECT DISTINCT owner FROM sla_status') $$, $$ VALUES ('(max)'), ('(north)'), ('(bob)') $$, 'who left the team is seen by its manager no more');
SELECT bag_eq($$ SELECT * FROM rows_of('reports_ann', 'SELECT DISTINCT owner FROM sla_status') $$, $$ VALUES ('(ann)'), ('(guild)') $$, 'and sees the team''s no more');

-- loaders: their rejected rows, and nothing else
SELECT is(said('reports_load', 'SELECT count(*) FROM rejected_facts'), said('postgres', 'SELECT count(*) FROM rejected_facts'), 'loaders see what was rejected');
SELECT is(left(said('reports_load', 'SELECT count(*) FROM ' || v), 5), '42501', 'loaders do not read ' || v) FROM unnest('{funnel, stage_velocity, sla_results, sla_status, event_log, exceptions, source_conflicts, metric_catalog, published_figures}'::text[]) AS v;
SELECT is(left(said('reports_nobody', 'SELECT count(*) FROM revacct.' || relname), 5), '42501', 'nobody reads ' || relname) FROM pg_class WHERE relnamespace = 'revacct'::regnamespace AND relkind = 'v' ORDER BY relname;

-- ---- small groups ----------------------------------------------------------------------------------------------------------

-- Each month is a structure of groups of its own: 420 of them, by chance, the same each time.
\o /dev/null
SET SESSION AUTHORIZATION reports_load;
SELECT setseed(0.42);
CREATE TABLE sale AS
WITH month AS MATERIALIZED (
    SELECT m, '1990-01-15'::timestamptz + m * interval '1 month' AS at, 1 + floor(random() ^ 2 * 7)::int AS groups, CASE WHEN random() < 0.2 THEN 5 ELSE 1 END AS least, 3 + random() * 9 AS spread, random() < 0.3 AS money FROM generate_series(1, 420) AS m
), part AS MATERIALIZED (
    SELECT m.*, ('{small, mid, tiny, big}'::text[])[g % 5] AS segment, CASE WHEN g % 2 = 1 THEN 'web' END AS lead_source, ('{ann, eve}'::text[])[g % 3] AS owner, least + floor(random() ^ 2 * spread)::int AS n FROM month AS m, generate_series(1, groups) AS g
)
SELECT m, at, 'O' || m || '-' || row_number() OVER (PARTITION BY m) AS sale, segment, lead_source, owner, CASE WHEN money AND random() < 0.5 THEN (random() * 1000)::numeric(18, 2) END AS amount, random() < 0.5 AS is_paid
FROM part, generate_series(1, n) AS i;
CREATE VIEW sales AS
SELECT 'opportunity'::text AS subject_kind, sale AS subject_key, e.event, at + e.no * interval '1 day' AS occurred_at, sale || '/' || e.key AS source_key, CASE WHEN e.stage IS NOT NULL THEN 'orders' END AS lifecycle, e.stage, e.field, e.code, e.party, e.amount,
       CASE WHEN e.amount IS NOT NULL THEN 'EUR' END AS currency
FROM sale, LATERAL (VALUES (0, '1', 'stage_entered', 'placed', NULL, NULL, NULL, NULL), (2, '2', 'stage_entered', CASE WHEN is_paid THEN 'paid' END, NULL, NULL, NULL, NULL), (0, 's', 'field_set', NULL, 'segment', segment, NULL, NULL),
    (0, 'l', 'field_set', NULL, 'lead_source', lead_source, NULL, NULL), (0, 'o', 'assigned', NULL, NULL, NULL, owner, NULL), (0, 'a', 'field_set', NULL, 'amount', NULL, NULL, amount)) AS e (no, key, event, stage, field, code, party, amount)
WHERE num_nonnulls(e.stage, e.code, e.party, e.amount) > 0;
SELECT map_source('shop', events => 'sales'), load('shop'), refresh(false);
RESET SESSION AUTHORIZATION;
\o
-- The rows of a view, as somebody sees them; is_this: a NULL of its type.
CREATE FUNCTION seen(login text, is_this anyelement) RETURNS SETOF anyelement LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    RETURN QUERY EXECUTE (SELECT format('SELECT * FROM %I.%I', nspname, typname) FROM pg_catalog.pg_type JOIN pg_catalog.pg_namespace AS n ON n.oid = typnamespace WHERE pg_type.oid = pg_typeof(is_this));
    RESET SESSION AUTHORIZATION;
END $$;
CREATE TABLE shown AS SELECT w AS who, f.* FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::funnel) AS f;
CREATE TABLE shown_velocity AS SELECT w AS who, f.* FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::stage_velocity) AS f;
CREATE TABLE shown_sla AS SELECT w AS who, f.* FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::sla_results) AS f;
CREATE TABLE grouping AS SELECT DISTINCT who, lifecycle, period_start, currency, segment, lead_source, owner, subjects FROM shown;
-- months with the size of everything in them, for those who see all
CREATE TABLE month AS SELECT lifecycle, period_start, currency, sum(subjects) AS subjects, min(subjects) AS smallest, count(*) AS groups FROM grouping WHERE who = 'lab' GROUP BY 1, 2, 3;
SELECT is((SELECT sum(subjects) FROM month WHERE lifecycle = 'orders'), (SELECT count(*)::numeric FROM sale), 'who sees all sees every subject');
SELECT ok((SELECT count(*) > 400 AND count(*) FILTER (WHERE subjects < 5) > 30 AND count(*) FILTER (WHERE smallest >= 5 AND groups > 1) > 10 AND count(*) FILTER (WHERE subjects >= 5 AND smallest < 5 AND groups > 3) > 50
                  AND count(*) FILTER (WHERE smallest < 5 AND subjects >= 5 AND groups = 2) > 5 FROM month), 'structures of every sort');
SELECT is_empty($$ SELECT lifecycle, period_start, currency, segment, lead_source, owner, subjects FROM grouping WHERE who = 'bi' AND subjects < 5 $$, 'what readers see is of at least 5 subjects');
SELECT is_empty($$ SELECT lifecycle, period_start, currency FROM grouping WHERE who = 'bi' AND segment = '(small groups)' GROUP BY 1, 2, 3 HAVING count(*) > 1 $$, 'small groups are one row in a month');
SELECT is_empty($$ SELECT * FROM grouping AS r WHERE who = 'bi' AND segment IS DISTINCT FROM '(small groups)'
    AND NOT EXISTS (SELECT FROM grouping AS a WHERE who = 'lab' AND (a.lifecycle, a.period_start, a.currency, a.segment, a.lead_source, a.owner, a.subjects) IS NOT DISTINCT FROM (r.lifecycle, r.period_start, r.currency, r.segment, r.lead_source, r.owner, r.subjects)) $$,
    'other groups are those that analysts see');
-- what is hidden from readers: the groups of analysts that they do not see one by one
CREATE TABLE hidden AS
SELECT a.* FROM grouping AS a WHERE who = 'lab' AND NOT EXISTS (SELECT FROM grouping AS r WHERE r.who = 'bi' AND (a.lifecycle, a.period_start, a.currency, a.segment, a.lead_source, a.owner) IS NOT DISTINCT FROM (r.lifecycle, r.period_start, r.currency, r.segment, r.lead_source, r.owner));
CREATE TABLE hidden_month AS
SELECT m.*, h.n, h.hidden, h.largest, r.subjects AS together
FROM month AS m JOIN LATERAL (SELECT count(*) AS n, sum(subjects) AS hidden, max(subjects) AS largest FROM hidden AS h WHERE (h.lifecycle, h.period_start, h.currency) IS NOT DISTINCT FROM (m.lifecycle, m.period_start, m.currency)) AS h ON n > 0
     LEFT JOIN grouping AS r ON r.who = 'bi' AND r.segment = '(small groups)' AND (r.lifecycle, r.period_start, r.currency) IS NOT DISTINCT FROM (m.lifecycle, m.period_start, m.currency);
SELECT is_empty($$ SELECT * FROM hidden_month WHERE subjects < 5 AND together IS NOT NULL $$, 'a month of fewer than 5 is not shown to readers');
SELECT is_empty($$ SELECT * FROM hidden_month WHERE subjects >= 5 AND together IS DISTINCT FROM hidden $$, 'in any other, small groups are shown together, and nobody is left out');
SELECT is_empty($$ SELECT * FROM hidden_month WHERE subjects >= 5 AND n < 2 $$, 'never one alone, which a total would give away');
SELECT is_empty($$ SELECT * FROM hidden_month WHERE subjects >= 5 AND largest >= 5 AND hidden - largest >= 5 $$, 'and no more are hidden than it takes');
SELECT is_empty($$ SELECT * FROM hidden_month WHERE smallest >= 5 $$, 'where no group is small, none is hidden');
-- sums: every column that may be summed, over what readers see and over the same months as analysts see them
CREATE FUNCTION sums(of_table regclass, of_view text, audience text) RETURNS TABLE (lifecycle text, period_start date, currency text, name text, total numeric) LANGUAGE plpgsql AS $$
BEGIN
    RETURN QUERY EXECUTE format($q$
        SELECT s.lifecycle, s.period_start, s.currency, c.key, sum(c.value::numeric)
        FROM %s AS s, jsonb_each_text(to_jsonb(s)) AS c (key, value)
        WHERE s.who = %L AND EXISTS (SELECT FROM month AS m WHERE m.subjects >= 5 AND (m.lifecycle, m.period_start, m.currency) IS NOT DISTINCT FROM (s.lifecycle, s.period_start, s.currency))
          AND c.key IN (SELECT g.name FROM metric_catalog AS g WHERE g.view_name = %L AND g.additive_count = 1)
        GROUP BY 1, 2, 3, 4 $q$, of_table, audience, of_view);
END $$;
SELECT bag_eq(format('SELECT * FROM sums(%L, %L, ''bi'')', t, v), format('SELECT * FROM sums(%L, %L, ''lab'')', t, v), 'totals of ' || v || ' are the same for readers and analysts, month by month, but for months of fewer than 5') FROM (VALUES ('shown', 'funnel'), ('shown_velocity', 'stage_velocity'), ('shown_sla', 'sla_results')) AS s (t, v);
SELECT is((SELECT array_agg(DISTINCT name) @> '{entered, converted, lost, in_progress, amount_entered, amount_lost}' FROM sums('shown', 'funnel', 'bi')), true, 'of all that can be added up');
SELECT is((SELECT count(DISTINCT (lifecycle, period_start, currency)) FROM shown WHERE who = 'bi'), (SELECT count(*) FROM month WHERE subjects >= 5), 'readers see every month of 5 and more');
SELECT is_empty($$ SELECT who, lifecycle, period_start, currency, segment, lead_source, owner FROM shown_sla EXCEPT SELECT who, lifecycle, period_start, currency, segment, lead_source, owner FROM shown $$, 'sla_results has the groups of funnel');
SELECT set_eq($$ SELECT who, lifecycle, period_start, currency, segment, lead_source, owner, subjects FROM shown_velocity $$, $$ SELECT who, lifecycle, period_start, currency, segment, lead_source, owner, subjects FROM shown $$, 'and so has stage_velocity');
-- medians of small groups together are those of their subjects
SELECT is_empty($$ SELECT who, lifecycle, period_start, currency FROM shown_velocity WHERE segment = '(small groups)' AND visits > 0 AND lifecycle = 'orders' AND stage = 'placed' AND moved_forward + won > visits / 2 AND median_days IS DISTINCT FROM 2.00 $$, 'the median of small groups is computed from all of them');

-- set_minimum_group()
SELECT is(left(said('reports_' || w, 'SELECT set_minimum_group(1)'), 5), '42501', w || ' does not say what is open to everybody') FROM unnest('{bi, ann, lab, ana, load}'::text[]) AS w;
SELECT is(left(said('reports_cleo', format('SELECT set_minimum_group(%s)', n)), 5), '22023', 'a group is not of ' || n) FROM unnest('{0, -1, 1001, NULL::int}'::text[]) AS n;
SELECT is(said('reports_cleo', 'SELECT set_minimum_group(12)::text'), '', 'the council says 12');
SELECT bag_eq($$ SELECT * FROM seen('reports_bi', NULL::funnel) $$, $$ SELECT (f).* FROM (SELECT ROW(lifecycle, period_start, period, segment, lead_source, owner, currency, stage_no, stage, category, entered, observed, imputed, converted, lost, no_decision, recycled, churned, in_progress, expired,
    conversion_rate, rate_low, rate_high, decided_rate, timed_count, mean_days_to_convert, amount_entered, amount_converted, amount_lost, subjects, as_of, definition_fingerprint)::funnel AS f FROM shown WHERE who = 'bi') AS s $$, 'nothing changes before the next refresh');
SELECT ok(said('reports_lab', 'SELECT count(*) FROM refresh(false)') = '3' AND (SELECT min(subjects) >= 12 AND bool_or(subjects = 12) FROM seen('reports_bi', NULL::funnel)), 'then groups are of 12 and more');
SELECT bag_eq($$ SELECT lifecycle, period_start, currency, segment, lead_source, owner, stage, entered, converted FROM seen('reports_lab', NULL::funnel) $$, $$ SELECT lifecycle, period_start, currency, segment, lead_source, owner, stage, entered, converted FROM shown WHERE who = 'lab' $$, 'analysts see what they saw');
SELECT is(said('reports_cleo', 'SELECT set_minimum_group(1)::text'), '', 'the council says 1');
SELECT is(said('reports_ana', 'SELECT count(*) FROM refresh(false)'), '3', 'refreshed');
SELECT bag_eq($$ SELECT * FROM seen('reports_bi', NULL::funnel) $$, $$ SELECT * FROM funnel $$, 'nothing is small');
SELECT is(said('reports_cleo', 'SELECT set_minimum_group(5)::text') || said('reports_ana', 'SELECT count(*) FROM refresh(false)'), '3', 'as it was');
-- as things change: a group that grows is shown, one that shrinks is not
\o /dev/null
SET SESSION AUTHORIZATION reports_load;
SELECT record_event('shop', 'opportunity', 'N' || i, 'stage_entered', '2030-05-05', lifecycle => 'orders', stage => 'placed'), record_event('shop', 'opportunity', 'N' || i, 'field_set', '2030-05-05', field => 'segment', code => CASE WHEN i <= 4 THEN 'mid' ELSE 'big' END) FROM generate_series(1, 12) AS i;
SELECT refresh(false);
RESET SESSION AUTHORIZATION;
\o
SELECT results_eq($$ SELECT segment, subjects FROM seen('reports_bi', NULL::funnel) WHERE period = '2030-05' AND stage_no = 1 $$, $$ VALUES ('(small groups)', 12::bigint) $$, 'four and eight: the eight are hidden with the four');
\o /dev/null
SET SESSION AUTHORIZATION reports_load;
SELECT record_event('shop', 'opportunity', 'N12', 'field_set', '2030-05-06', field => 'segment', code => 'mid'), refresh(false);
RESET SESSION AUTHORIZATION;
\o
SELECT results_eq($$ SELECT segment, subjects FROM seen('reports_bi', NULL::funnel) WHERE period = '2030-05' AND stage_no = 1 ORDER BY 1 $$, $$ VALUES ('big', 7::bigint), ('mid', 5) $$, 'once the four are five, both are shown');
-- What refresh() left alone, and what it made anew, bit by bit, is what there is when all is made anew.
CREATE VIEW whole AS SELECT f.lifecycle, f.period_start, f.segment, f.lead_source, f.owner, f.currency, f.stage, f.subjects, f.entered, f.observed, f.converted, f.lost, f.in_progress, f.expired, f.conversion_rate, f.mean_days_to_convert, f.amount_entered, f.amount_converted, f.definition_fingerprint FROM funnel AS f;
CREATE VIEW whole_sla AS SELECT f.lifecycle, f.period_start, f.segment, f.lead_source, f.owner, f.currency, f.policy, f.policy_no, f.subjects, f.started, f.met, f.breached, f.running, f.paused, f.cancelled FROM sla_results AS f;
GRANT SELECT ON whole, whole_sla TO PUBLIC;
CREATE TABLE bit_by_bit AS SELECT w, 'funnel' AS of, f::text AS r FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::whole) AS f UNION ALL SELECT w, 'sla', f::text FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::whole_sla) AS f;
SELECT ok((SELECT count(DISTINCT as_of) > 1 FROM funnel), 'groups in which nothing happened are as they were');
SELECT is(said('reports_ana', 'SELECT count(*) FROM rebuild_journeys()'), '3', 'all is made anew');
SELECT bag_eq($$ SELECT * FROM bit_by_bit $$, $$ SELECT w, 'funnel', f::text FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::whole) AS f UNION ALL SELECT w, 'sla', f::text FROM unnest('{bi, lab}'::text[]) AS w, seen('reports_' || w, NULL::whole_sla) AS f $$, 'and is the same, for analysts and readers');
SELECT is((SELECT count(DISTINCT as_of) FROM (SELECT as_of FROM funnel UNION SELECT as_of FROM sla_results UNION SELECT as_of FROM sla_status) AS a), 1::bigint, 'as of one instant');
-- A clock comes due, and nothing else happens.
\o /dev/null
SET SESSION AUTHORIZATION reports_load;
SELECT record_event('crm', 'opportunity', 'due', 'stage_entered', clock_timestamp() - interval '2 days' + interval '6 seconds', lifecycle => 'deals', stage => 'lead'), refresh(false);
RESET SESSION AUTHORIZATION;
\o
SELECT results_eq($$ SELECT status, at_risk_count FROM sla_status WHERE subject_key = 'due' AND policy = 'first touch' $$, $$ VALUES ('running', 1) $$, 'a clock is about to come due');
SELECT pg_sleep(greatest(0, extract(epoch FROM max(due_at) - clock_timestamp())) + 0.1) FROM sla_status WHERE subject_key = 'due' AND policy = 'first touch' \gset
SELECT is(said('reports_load', 'SELECT count(*) FROM refresh(false)'), '3', 'it is, and refreshed');
SELECT results_eq($$ SELECT status, breach_count, at_risk_count FROM sla_status WHERE subject_key = 'due' AND policy = 'first touch' $$, $$ VALUES ('breached', 1, 0) $$, 'it is breached');

-- ---- leaks -----------------------------------------------------------------------------------------------------------------

-- Functions that run with their owner's rights. A new one has to be put into one of these, or this fails.
CREATE TABLE way (name text, class text, call text);
INSERT INTO way SELECT unnest('{register_party, draft_change, undraft, _registered, assign, retire, redraft, _required_signoffs, _missing_signoffs, _signs_for, propose_change, withdraw_change, approve, reject, _not_in_force, _business_calendar,
    _lifecycle, _sla, mark, request_override, approve_override, check_move, matching_codes, counted_as, _explain, use_template, _agreed_keys, _draft_of, _is_agreed, _has_access}'::text[]), 'tells of the model only';
INSERT INTO way SELECT unnest('{_viewer_sees_all, _my_party_numbers, _session_sees_all, _open_reading, _close_reading, _source_number}'::text[]), 'tells of oneself, or the names of sources';
INSERT INTO way VALUES ('_flagged_moves', 'filtered', 'SELECT count(*) FROM revacct._flagged_moves(current_user)');
INSERT INTO way SELECT name, 'refused', 'SELECT * FROM revacct.' || call FROM (VALUES
    ('_open_intake', $$_open_intake('event')$$), ('_mapped', $$_mapped('crm')$$), ('_take_in', $$_take_in('crm', 'event', false)$$), ('record_event', $$record_event('crm', 'opportunity', 'D1', 'stage_entered', source_key => 'D1/1')$$),
    ('record_link', $$record_link('crm', 'opportunity', 'D1', 'same_as', 'opportunity', 'D2')$$), ('record_money', $$record_money('crm', 'cost', '2025-01-01', 1, 'EUR')$$), ('record_commitment', $$record_commitment('crm', 'promise', 'x', 'ann')$$),
    ('map_source', $$map_source('crm')$$), ('refresh', 'refresh()'), ('rebuild_journeys', 'rebuild_journeys()'), ('check_journeys', 'check_journeys()'), ('set_minimum_group', 'set_minimum_group(1)'), ('journeys', 'journeys()'),
    ('journeys', $$journeys('infinity')$$), ('funnel_of', $$funnel_of('deals')$$), ('funnel_of', $$funnel_of('deals', period => '[2099-01-01,2099-02-01)', owner => 'ann')$$), ('funnel_of', $$funnel_of('deals', owner => 'nobody is called so')$$), ('metric_value', $$metric_value('share paid', NULL, segment => 'no such')$$), ('breaches_of', $$breaches_of('first touch', lead_source => 'no such')$$), ('funnel_of', $$funnel_of('deals', known_at => now(), model_at => 'at event')$$), ('velocity_of', $$velocity_of('deals')$$),
    ('breaches_of', $$breaches_of('first touch')$$), ('metric_value', $$metric_value('share paid', NULL)$$), ('metric_value', $$metric_value('share paid', '[1990-01-01,1990-01-02)', owner => 'ann')$$), ('restate', $$restate('share paid', NULL, '2024-06-01', '2025-07-01')$$),
    ('publish', $$publish('share paid', NULL)$$), ('verify_published', 'verify_published()')) AS c (name, call);
\o /dev/null
SET SESSION AUTHORIZATION reports_ana;
SELECT draft_change('Metric', effective_at => '2024-01-01', retroactive => true), define_metric('share paid', 'How many pay', basis => 'cohort', lifecycle => 'orders', at_stage => 'placed', to_stage => 'paid'), assign('north', 'accountable', 'metric', 'share paid'), propose_change();
SET SESSION AUTHORIZATION reports_cleo;
SELECT approve(max(change_no)) FROM open_changes;
RESET SESSION AUTHORIZATION;
\o
SELECT set_eq($$ SELECT proname::text FROM pg_proc AS p WHERE pronamespace = 'revacct'::regnamespace AND prosecdef AND has_function_privilege('reports_bi', p.oid, 'EXECUTE') AND proname NOT LIKE 'define\_%' $$, 'SELECT name FROM way', 'what runs with its owner''s rights, and what it tells');
SELECT is_empty($$ SELECT proname FROM pg_proc AS p WHERE pronamespace = 'revacct'::regnamespace AND prosecdef AND proname LIKE 'define\_%' AND prorettype <> 'void'::regtype $$, 'what defines tells nothing');
SELECT is(left(said(w, call), 5), '42501', w || ': ' || call || ' is refused') FROM way, unnest('{reports_bi, reports_ann, reports_max}'::text[]) AS w WHERE class = 'refused' ORDER BY name, call, w;
SELECT isnt(left(said('reports_lab', call), 5), '42501', 'analysts: ' || call) FROM way WHERE class = 'refused' AND name IN ('journeys', 'funnel_of', 'velocity_of', 'breaches_of', 'metric_value', 'restate', 'verify_published', 'check_journeys');
SELECT is(said('reports_bi', call), '0', call || ' is filtered') FROM way WHERE class = 'filtered';
SELECT is(left(said('reports_load', call), 5), '42501', 'loaders: ' || call || ' is refused') FROM way WHERE name IN ('rebuild_journeys', 'check_journeys', 'set_minimum_group', 'journeys', 'funnel_of', 'velocity_of', 'breaches_of', 'metric_value', 'restate', 'publish', 'verify_published');
-- Everything else runs as its caller, who has no right on any table, partitions included.
SELECT is_empty($$ SELECT c.oid::regclass, r.rolname, p FROM pg_class AS c, pg_roles AS r, unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]) AS p
    WHERE c.relnamespace = 'revacct_data'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND r.rolname IN ('reports_bi', 'reports_ann', 'reports_load', 'reports_nobody') AND has_table_privilege(r.oid, c.oid, p) $$, 'readers and loaders have no right on a table');
SELECT is_empty($$ SELECT r.rolname, p FROM pg_roles AS r, unnest('{USAGE, CREATE}'::text[]) AS p WHERE r.rolname IN ('reports_bi', 'reports_ann', 'reports_load', 'reports_nobody') AND has_schema_privilege(r.oid, 'revacct_data', p) $$, 'nor on their schema');
SELECT is_empty($$ SELECT c.oid::regclass, p FROM pg_class AS c, unnest('{SELECT, INSERT, UPDATE, DELETE}'::text[]) AS p WHERE c.relkind IN ('r', 'p') AND c.relname ~ '^event_\d' AND has_table_privilege('public', c.oid, p) $$, 'nor has PUBLIC on a year of the ledger');

-- A function of one's own that tells what passes it, cheaper than any condition of a view.
SET SESSION AUTHORIZATION reports_bi;
CREATE TABLE overheard (view text, value text);
CREATE FUNCTION tell(view text, value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$ BEGIN INSERT INTO overheard VALUES (view, value); RETURN true; END $$;
RESET SESSION AUTHORIZATION;
-- what tells of facts; the rest tells of the model, which readers may know
CREATE TABLE of_facts AS SELECT unnest('{funnel, stage_velocity, sla_results, sla_status, event_log, exceptions, source_conflicts, rejected_facts, published_figures}'::text[]) AS view;
CREATE TABLE text_column AS
SELECT c.relname::text AS view, a.attname::text AS col, format_type(a.atttypid, NULL) AS type
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace = 'revacct'::regnamespace AND c.relkind = 'v' AND a.attnum > 0;
SELECT ok(said('reports_bi', format('SELECT count(*) FROM revacct.%I AS v WHERE %s', view, string_agg(format('public.tell(%L, coalesce(v.%I::text, ''-''))', view || '.' || col, col), ' AND ' ORDER BY col))) ~ '^\d{1,4}$', 'a reader listens at ' || view)
FROM text_column WHERE view IN (SELECT view FROM of_facts) GROUP BY view ORDER BY view;
SELECT is((SELECT array_agg(DISTINCT split_part(view, '.', 1)) FROM overheard) @> '{funnel, sla_results, stage_velocity}', true, 'and hears something');
CREATE FUNCTION sees_value(view text, value text) RETURNS boolean LANGUAGE SQL AS $$
    SELECT said('reports_bi', format('SELECT EXISTS (SELECT FROM revacct.%I AS v WHERE coalesce(v.%I::text, ''-'') = %L)', split_part($1, '.', 1), split_part($1, '.', 2), $2)) = 'true' $$;
SELECT is_empty(format($$ SELECT view, value FROM (SELECT DISTINCT view, value FROM overheard WHERE split_part(view, '.', 1) = %L) AS o WHERE NOT sees_value(view, value) LIMIT 20 $$, view), 'at ' || view || ' it hears nothing that it does not see') FROM of_facts ORDER BY view;
-- and an error that tells
CREATE FUNCTION error_of(login text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    EXECUTE query;
    RESET SESSION AUTHORIZATION;
    RETURN '';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
    RETURN message || ' ' || detail;
END $$;
SELECT is(error_of('reports_bi', 'SELECT count(*) FROM ' || v || ' WHERE subject_key::int > 0'), '', v || ': a cast that fails tells no key') FROM unnest('{event_log, sla_status, exceptions}'::text[]) AS v;
SELECT is(error_of('reports_bi', 'SELECT count(*) FROM ' || v || ' WHERE CASE WHEN subjects < 5 THEN segment::int > 0 ELSE true END'), '', v || ': nor a small group') FROM unnest('{funnel, stage_velocity, sla_results}'::text[]) AS v;
SELECT unalike(error_of('reports_bi', format('SELECT * FROM revacct.funnel_of(%L)', l)), '%D1%', 'errors of functions tell nothing of facts') FROM unnest('{deals, none}'::text[]) AS l;
-- Statistics are those of tables, which readers do not read. PostgreSQL itself tells everybody how many rows a table has (pg_class.reltuples, pg_stat_all_tables), and EXPLAIN ANALYZE how many a filter took away: numbers, no values.
ANALYZE;
SELECT ok((SELECT count(*) > 100 FROM pg_stats WHERE schemaname = 'revacct_data'), 'there are statistics');
SELECT is(said('reports_' || w, $$ SELECT count(*) FROM pg_stats WHERE schemaname LIKE 'revacct%' $$), '0', w || ' sees none of them') FROM unnest('{bi, ann, load, nobody}'::text[]) AS w;
SELECT is(left(said('reports_bi', 'SELECT count(*) FROM pg_statistic'), 5), '42501', 'nor as they are kept');
CREATE FUNCTION plan_of(login text, query text, options text DEFAULT 'ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF') RETURNS SETOF text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    RETURN QUERY EXECUTE format('EXPLAIN (%s) %s', options, query);
    RESET SESSION AUTHORIZATION;
END $$;
SELECT ok((SELECT count(*) > 0 AND NOT bool_or(p ~ 'D\d|O\d+-') FROM plan_of('reports_bi', 'SELECT * FROM ' || v || ' WHERE subject_key <> ''x''') AS p), 'EXPLAIN ANALYZE of ' || v || ' shows no value') FROM unnest('{event_log, sla_status, exceptions}'::text[]) AS v;

-- ---- how tools ask ---------------------------------------------------------------------------------------------------------

SELECT is(said('reports_' || w, format('WITH q AS (SELECT * FROM revacct.%I) SELECT count(*) FROM (SELECT * FROM (SELECT * FROM q) AS "Custom SQL" LIMIT 0) AS x', view)), '0', w || ': LIMIT 0 of ' || view) FROM (SELECT view FROM text_column GROUP BY view) AS v, unnest('{bi, lab}'::text[]) AS w ORDER BY view, w;
SELECT is(said('reports_bi', format('SELECT count(*) FROM (SELECT * FROM revacct.%I WHERE 1 = 0) AS x', view)), '0', 'WHERE 1 = 0 of ' || view) FROM text_column GROUP BY view ORDER BY view;
SELECT ok((SELECT NOT bool_or(p ~ 'Scan.*\(actual') AND bool_or(p ~ 'Scan.*never executed') FROM plan_of('reports_lab', format('SELECT * FROM (SELECT * FROM revacct.%I) AS x LIMIT 0', view)) AS p), 'LIMIT 0 of ' || view || ' reads no table')
FROM text_column WHERE view IN ('funnel', 'stage_velocity', 'sla_results', 'sla_status', 'event_log', 'exceptions', 'source_conflicts', 'rejected_facts', 'published_figures') GROUP BY view ORDER BY view;
-- the same rows whatever the session's settings
SELECT bag_eq(format($$ SELECT md5(string_agg(v::text, ',' ORDER BY v::text)) FROM (SELECT lifecycle, period_start, period, segment, lead_source, owner, currency, subjects FROM funnel) AS v, set_config('timezone', %L, false) $$, zone), $$ SELECT md5(string_agg(v::text, ',' ORDER BY v::text)) FROM (SELECT lifecycle, period_start, period, segment, lead_source, owner, currency, subjects FROM funnel) AS v $$, 'periods in ' || zone)
FROM unnest('{Asia/Kathmandu, America/Los_Angeles, UTC}'::text[]) AS zone;
SET timezone = 'UTC';

-- The rules of spec/bi.md, from the catalog
CREATE VIEW public_column AS
SELECT c.oid, c.relname::text AS view, a.attnum, a.attname::text AS col, a.atttypid::regtype::text AS type, a.atttypmod AS typmod, col_description(c.oid, a.attnum) AS comment
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace = 'revacct'::regnamespace AND c.relkind <> 'c' AND a.attnum > 0;
SELECT is_empty($$ SELECT oid::regclass FROM pg_class WHERE relnamespace = 'revacct'::regnamespace AND relkind NOT IN ('v', 'c') $$, 'what is public is a view');
SELECT ok((SELECT count(DISTINCT view) > 15 FROM public_column), 'there are views');
SELECT is_empty($$ SELECT view, col, type FROM public_column WHERE type <> ALL ('{text, bigint, integer, boolean, numeric, date, timestamp with time zone}') $$, 'columns are of plain types');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE type = 'numeric' AND typmod < 0 $$, 'numbers say how many places they have');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE col ~ '_rate$|^rate_|^share$' AND format_type('numeric'::regtype, typmod) <> 'numeric(9,6)' AND view <> 'ownership' $$, 'rates have six');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE col ~ '_days$|_hours$|_days_to' AND format_type('numeric'::regtype, typmod) <> 'numeric(12,2)' $$, 'days and hours two');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE col ~ '^amount' AND (type <> 'numeric' OR format_type('numeric'::regtype, typmod) <> 'numeric(18,2)') $$, 'amounts two');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE col ~ '_seconds$' AND type <> 'bigint' $$, 'seconds are whole');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE col ~ '_count$' AND type NOT IN ('integer', 'bigint') $$, 'what is counted is whole');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE length(col) > 30 OR col !~ '^[a-z][a-z0-9_]*$' OR col IN (SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')) $$, 'names need no quotes');
SELECT is_empty($$ SELECT DISTINCT view FROM public_column WHERE length(view) > 30 OR view !~ '^[a-z][a-z0-9_]*$' OR view IN (SELECT word FROM pg_get_keywords() WHERE catcode IN ('R', 'T')) $$, 'nor do those of views');
SELECT is_empty($$ SELECT col, array_agg(DISTINCT type || ' ' || typmod) FROM public_column GROUP BY col HAVING count(DISTINCT (type, typmod)) > 1 $$, 'a name is of one type everywhere');
SELECT is_empty($$ SELECT view, col, comment FROM public_column WHERE coalesce(comment, '') !~ '^[A-Z0-9].*[.;:]' $$, 'every column has a comment that begins with a sentence');
SELECT is_empty($$ SELECT DISTINCT view FROM public_column WHERE coalesce(obj_description(oid, 'pg_class'), '') !~ '^[A-Z].*\.' $$, 'and every view');
SELECT is_empty($$ SELECT view, col FROM public_column WHERE (type = 'numeric' AND col ~ '_rate$|^rate_|_days|_hours$|^fraction|^low$|^high$|^value$' AND view NOT IN ('metric_catalog', 'source_conflicts')) AND comment !~* 'not to be summed' $$, 'what must not be summed says so');
SELECT is_empty($$ SELECT view FROM public_column WHERE view IN ('funnel', 'stage_velocity') GROUP BY view HAVING NOT array_agg(col) @> '{stage, stage_no, period, period_start}' $$, 'stages have a number to sort by, and months a date and a label');
SELECT is_empty($$ SELECT view, col FROM public_column AS p WHERE view IN ('funnel', 'stage_velocity', 'sla_results', 'sla_status')
    AND NOT EXISTS (SELECT FROM metric_catalog AS m WHERE m.kind = 'column' AND m.view_name = p.view AND m.name = p.col AND m.definition = p.comment) $$, 'metric_catalog has the definitions as rows');
-- no volatile function, however deep in the views a view reads
SELECT is_empty($$ WITH RECURSIVE reads AS (
        SELECT c.oid AS root, c.oid AS view FROM pg_class AS c WHERE c.relnamespace = 'revacct'::regnamespace AND c.relkind = 'v'
        UNION SELECT r.root, d.refobjid FROM reads AS r JOIN pg_rewrite AS w ON w.ev_class = r.view JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass JOIN pg_class AS c ON c.oid = d.refobjid AND c.relkind = 'v')
    SELECT DISTINCT r.root::regclass, p.oid::regprocedure FROM reads AS r JOIN pg_rewrite AS w ON w.ev_class = r.view JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_proc'::regclass
         JOIN pg_proc AS p ON p.oid = d.refobjid WHERE p.provolatile = 'v' $$, 'no view calls a volatile function');
-- an invoker's function that reads tables fails for who has no right on them: whoever reads every row of every view finds out
SELECT ok(said(w, format('SELECT count(*) FROM revacct.%I', view)) ~ '^\d+$', w || ' reads all of ' || view) FROM (SELECT DISTINCT view FROM public_column) AS v, unnest('{reports_bi, reports_ann, reports_lab, reports_cleo}'::text[]) AS w ORDER BY view, w;

-- ---- materialized views of users --------------------------------------------------------------------------------------------

-- summaries merge that are as of one instant
SELECT is(said('reports_lab', 'SELECT count(*) FROM refresh(false, ''0'')'), '3', 'all is brought up to date');
GRANT SELECT ON dim TO reports_lab;
SET SESSION AUTHORIZATION reports_lab;
CREATE MATERIALIZED VIEW lab_funnel AS SELECT * FROM revacct.funnel;
CREATE UNIQUE INDEX ON lab_funnel (lifecycle, period_start, segment, lead_source, owner, currency, stage_no) NULLS NOT DISTINCT;
CREATE MATERIALIZED VIEW lab_clocks AS SELECT policy, status, count(*) AS clocks FROM revacct.sla_status GROUP BY 1, 2;
CREATE UNIQUE INDEX ON lab_clocks (policy, status);
CREATE MATERIALIZED VIEW lab_quarter AS
SELECT date_trunc('quarter', c.period_start)::date AS quarter, revacct.rollup(f.funnel) AS funnel, revacct.rollup(f.velocity) AS velocity FROM revacct_data.cell_figure AS f JOIN revacct_data.cell AS c USING (cell_id) WHERE c.lifecycle = 'deals' GROUP BY 1;
CREATE UNIQUE INDEX ON lab_quarter (quarter);
CREATE MATERIALIZED VIEW lab_direct AS SELECT 'deals'::text AS lifecycle, revacct.funnel_conversion(j.journey, revacct.lifecycle('deals'), '2025-06-01') AS funnel, revacct.sla_breach(j.journey, revacct.sla('first touch'), '2025-06-01') AS breaches FROM revacct_data.journey AS j JOIN public.dim USING (subject_id);
CREATE UNIQUE INDEX ON lab_direct (lifecycle);
CREATE TABLE lab_asked AS SELECT s.stage, s.entered FROM revacct.funnel_of('deals', as_of => '2025-06-01') AS f, revacct.stages(f.funnel) AS s;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION reports_bi;
CREATE MATERIALIZED VIEW bi_funnel AS SELECT * FROM revacct.funnel;
CREATE UNIQUE INDEX ON bi_funnel (lifecycle, period_start, segment, lead_source, owner, currency, stage_no) NULLS NOT DISTINCT;
CREATE MATERIALIZED VIEW bi_log AS SELECT * FROM revacct.event_log;
CREATE UNIQUE INDEX ON bi_log (source, source_key);
RESET SESSION AUTHORIZATION;
SELECT matches(error_of('reports_lab', $$ CREATE MATERIALIZED VIEW public.lab_inside AS SELECT * FROM revacct.funnel_of('deals') $$), '^nobody may read the ledger in the middle of maintenance', 'what is asked by a function goes into a table: a materialized view may be anybody''s when it is refreshed');
SELECT bag_eq('SELECT * FROM lab_funnel', 'SELECT * FROM funnel', 'an analyst''s copy of funnel has what the analyst sees');
SELECT bag_eq('SELECT * FROM bi_funnel', $$ SELECT * FROM seen('reports_bi', NULL::funnel) $$, 'a reader''s has what the reader sees');
SELECT ok((SELECT bool_or(segment = '(small groups)') FROM bi_funnel) AND (SELECT count(*) > 0 FROM lab_clocks) AND (SELECT sum(entered(funnel, 'lead')) > 50 FROM lab_quarter) AND (SELECT entered(funnel, 'lead') > 50 FROM lab_direct), 'there is something in each');
SELECT results_eq($$ SELECT s.stage, s.entered, s.converted FROM (SELECT rollup(funnel) AS f FROM lab_quarter) AS q, stages(f) AS s ORDER BY stage_no $$, $$ SELECT stage, sum(entered)::bigint, sum(converted)::bigint FROM funnel WHERE lifecycle = 'deals' GROUP BY stage, stage_no ORDER BY stage_no $$, 'summaries merge to the totals of the report');
SELECT results_eq($$ SELECT s.stage, s.entered FROM lab_direct, stages(funnel) AS s ORDER BY stage_no $$, $$ SELECT stage, entered FROM lab_asked JOIN (SELECT DISTINCT stage, stage_no FROM funnel WHERE lifecycle = 'deals') AS n USING (stage) ORDER BY stage_no $$, 'the aggregate and the function say the same');
-- then there is more
\o /dev/null
SET SESSION AUTHORIZATION reports_load;
SELECT record_event('crm', 'opportunity', 'D' || i, 'stage_entered', '2025-01-20', lifecycle => 'deals', stage => 'lead', source_key => 'D' || i || '/1') FROM generate_series(71, 80) AS i;
SELECT refresh(false, '0');
RESET SESSION AUTHORIZATION;
\o
SELECT is(error_of('reports_lab', format('REFRESH MATERIALIZED VIEW %s public.%I', how, v)), '', format('REFRESH %s of %s', how, v)) FROM unnest('{lab_funnel, lab_clocks, lab_quarter, lab_direct}'::text[]) AS v, unnest(ARRAY['', 'CONCURRENTLY']) AS how;
SELECT is(error_of('reports_bi', format('REFRESH MATERIALIZED VIEW %s public.%I', how, v)), '', format('REFRESH %s of %s', how, v)) FROM unnest('{bi_funnel, bi_log}'::text[]) AS v, unnest(ARRAY['', 'CONCURRENTLY']) AS how;
SELECT bag_eq('SELECT * FROM lab_funnel', 'SELECT * FROM funnel', 'refreshed, the analyst''s has what is there now');
SELECT bag_eq('SELECT * FROM bi_funnel', $$ SELECT * FROM seen('reports_bi', NULL::funnel) $$, 'and the reader''s');
SELECT results_eq($$ SELECT s.stage, s.entered FROM (SELECT rollup(funnel) AS f FROM lab_quarter) AS q, stages(f) AS s ORDER BY stage_no $$, $$ SELECT stage, sum(entered)::bigint FROM funnel WHERE lifecycle = 'deals' GROUP BY stage, stage_no ORDER BY stage_no $$, 'and summaries');
SELECT is((SELECT count(*) FROM bi_log), 0::bigint, 'who has no subjects has no events');
-- Who refreshes is not who reads: what an administrator refreshes belongs to its owner, who may see no more than before.
REFRESH MATERIALIZED VIEW bi_funnel;
REFRESH MATERIALIZED VIEW bi_log;
SELECT bag_eq('SELECT * FROM bi_funnel', $$ SELECT * FROM seen('reports_bi', NULL::funnel) $$, 'refreshed by the superuser, a reader''s copy still has what the reader sees');
SELECT is((SELECT count(*) FROM bi_log), 0::bigint, 'and of events none');

-- A clock that was forgotten for years, of a target of an hour: a report has it, and all others are as before.
\o /dev/null
SET SESSION AUTHORIZATION reports_ana;
SELECT draft_change('Within the hour', effective_at => '2024-01-01', retroactive => true), define_sla('within the hour', start => '{placed}', stop => '{paid}', target => '1 hour', lifecycle => 'orders', meaning => 'Soon'), propose_change();
SET SESSION AUTHORIZATION reports_cleo;
SELECT approve(max(change_no)) FROM open_changes;
RESET SESSION AUTHORIZATION;
\o
SELECT is(said('reports_lab', 'SELECT count(*) FROM refresh(false)'), '3', 'a clock that has run for thirty years does not keep anybody from refreshing');
SELECT ok((SELECT max(overdue_seconds) > 30 * 365 * 86400 AND min(fraction_used) >= 1 FROM sla_status WHERE policy = 'within the hour'), 'and is in the report');

SELECT * FROM finish();
