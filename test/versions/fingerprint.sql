-- What must be the same on every PostgreSQL: bytes, texts and rows, one line a thing: name, rows, digest.
--
-- Whoever compares two outputs compares two versions, so nothing here depends on anything else: the data are integer arithmetic, no instant is
-- later than 2023 (time zones change), nothing is sorted by a collation, nothing is read that a clock decided, and floating-point numbers are
-- shown with twelve digits (the last ones are the C library's).
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';
SET bytea_output = 'hex';
SET extra_float_digits = -3;
SET max_parallel_workers_per_gather = 0;
\o /dev/null
CREATE EXTENSION IF NOT EXISTS revacct CASCADE;
SET search_path = public, revacct;

-- All rows of a query as a name, how many there are, and a digest.
CREATE FUNCTION pg_temp.print(what text, query text, OUT line text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format($q$ SELECT concat_ws('|', %L, count(*), md5(string_agg(q::text, E'\n' ORDER BY q::text COLLATE "C"))) FROM (%s) AS q $q$, what, query) INTO STRICT line;
    IF line ~ '\|0$' THEN
        RAISE EXCEPTION 'nothing to look at: %', what;
    END IF;
END $$;

-- ---- the kernel: definitions ----------------------------------------------------------------------------------------------------
CREATE TABLE calendar (name text, c business_calendar);
INSERT INTO calendar VALUES
    ('office', business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00}', holidays => '{2020-01-01, 2020-12-25, 2021-04-05, 2022-10-03}', known_until => '2023-12-31')),
    ('nights', business_calendar('nights', 'America/New_York', '{mon-sat 22:00-06:00}', breaks => '{2021-03-14 00:00-05:00}')),
    ('half hours', business_calendar('half hours', 'Australia/Lord_Howe', '{mon-sun 01:00-03:00, wed 08:15:30.000001-20:00}', shifts => '{2021-10-03 00:00-04:00}')),
    ('quarters', business_calendar('quarters', 'Asia/Kathmandu', '{sun-fri 10:00-17:00}')),
    ('no summer', business_calendar('no summer', 'America/Sao_Paulo', '{mon-fri 08:00-18:00}')),
    ('utc', business_calendar('utc', 'UTC', '{mon-sun 00:00-24:00}')),
    ('never', business_calendar('never', 'UTC', '{}'));
INSERT INTO calendar SELECT 'union', calendar_union(a.c, b.c) FROM calendar a, calendar b WHERE a.name = 'office' AND b.name = 'nights';
INSERT INTO calendar SELECT 'intersection', calendar_intersection(a.c, b.c) FROM calendar a, calendar b WHERE a.name = 'quarters' AND b.name = 'no summer';
CREATE TABLE instant AS SELECT i, '1999-12-30 21:17:03.000007+00'::timestamptz + (i::bigint * i * 7919 % 8760000) * interval '1 minute' * 86 / 60 AS at FROM generate_series(1, 300) AS i;

CREATE TABLE agreed (name text, l lifecycle);
INSERT INTO agreed VALUES
    ('best', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', no_decision => '{silent}', recycled => '{parked}', attempt => 'best')),
    ('all', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', no_decision => '{silent}', recycled => '{parked}', attempt => 'all', within => '90 days')),
    ('first', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', no_decision => '{silent}', recycled => '{parked}', attempt => 'first', skip => 'any', step_within => '{NULL, 30 days, 1 month, NULL}',
                        time_zone => 'Europe/Berlin')),
    ('last', lifecycle('deals', stages => '{new, met, offered}', active => '{active}', lost => '{lost}', churned => '{gone}', attempt => 'last', visits => 'last', marks => '{1, 2, 3 300, 4, 5, 32767}')),
    ('strict', lifecycle('Ω, strict', stages => '{new, met, offered}', won => 'won', lost => '{lost}', skip => 'strict', times => 'increasing', within => '2 months', time_zone => 'America/New_York',
                         entry_range => '[2019-06-01 00:00+00, 2022-01-01 00:00+00)')),
    ('cumulative', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', visits => 'cumulative', unknown => 'count'));
INSERT INTO agreed SELECT 'business hours', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', calendar => c) FROM calendar WHERE name = 'office';
INSERT INTO agreed SELECT 'business nights', lifecycle('deals', stages => '{new, met, offered}', won => 'won', lost => '{lost}', calendar => c) FROM calendar WHERE name = 'union';

CREATE TABLE promise (name text, s sla);
INSERT INTO promise VALUES ('plain', sla('first touch', start => '{new}', stop => '{met}', marks => '{new=1, met=2}', target => '7 days', escalations => '{80% to owner, breach to lead, breach + 2 days to head}'));
INSERT INTO promise SELECT name, sla(array_agg(sla('care', start => '{new}', stop => '{won, lost}', pause => '{silent}', resume => '{offered}', cancel => '{parked}', segment => '{tier}', owner => '{owner}',
    marks => '{new=1, offered=3, won=4, lost=5, silent=6, parked=7, tier=20, owner=300}', target => target, calendar => calendar, segments => segments, owners => owners, version => version, valid => valid,
    reopen => 'restart', change => change, phases => '{early until offered, late}', warnings => '{0.5, 0.9}') ORDER BY version))
FROM (SELECT c AS office FROM calendar WHERE name = 'office') o, (SELECT c AS nights FROM calendar WHERE name = 'nights') n, unnest('{carry, restart}'::text[]) AS change,
     LATERAL (VALUES ('a', interval '300 hours', office, NULL::bigint[], NULL::bigint[], '[2019-01-01 00:00+00, 2021-07-01 00:00+00)'::tstzrange), ('b', '90 hours', office, NULL, NULL, '[2021-07-01 00:00+00,)'), ('c', '40 days', NULL, '{1, 2}', NULL, NULL),
                     ('d', '100 hours', nights, '{2}', '{7, -3}', NULL)) AS p(version, target, calendar, segments, owners, valid),
     LATERAL (SELECT 'care, ' || change AS name) x
GROUP BY name;

-- ---- the kernel: what happened ----------------------------------------------------------------------------------------------------
-- From 2019 to 2023, in days, seconds and microseconds; with ties, repetitions, values, sequence numbers, numbers of marks of one byte and of three.
CREATE TABLE event AS
SELECT subject, mark, '2019-01-01'::timestamptz + d * interval '1 day' + CASE subject % 3 WHEN 0 THEN interval '0' WHEN 1 THEN d * 7919 % 86400 * interval '1 second' ELSE (d * 104729 + subject) % 1000003 * interval '1 microsecond' END AS at, value, seq
FROM (SELECT subject, n, (subject * 13 + n * n * (3 + subject % 11)) % 1700 AS d, (ARRAY[1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 20, 300, 32767, 1])[1 + (subject * 7 + n * 5 + n * n) % 14] AS mark,
             CASE WHEN (subject + n) % 3 = 0 THEN (subject * n) % 11 - 3 END::bigint AS value, CASE WHEN subject % 5 = 0 THEN n % 4 END::bigint AS seq
      FROM generate_series(1, 400) AS subject, generate_series(1, 14) AS n WHERE n <= 1 + subject * 5 % 14) AS made;
INSERT INTO event SELECT * FROM event WHERE subject % 17 = 0;
-- everybody's way, whatever else happened
INSERT INTO event SELECT subject, stage, '2019-02-01 08:30+00'::timestamptz + (subject * 3) * interval '1 day' + stage * (1 + subject % 29) * interval '11 hours 7 minutes', NULL, NULL
FROM generate_series(1, 400) AS subject, generate_series(1, 5) AS stage WHERE stage <= 1 + subject % 5 AND (subject * stage) % 7 <> 1;
CREATE TABLE journeys AS SELECT subject, journey(mark, at, value, seq) AS j, ((subject * 7919 % 100003) - 500)::numeric / 8 AS amount FROM event GROUP BY subject;
INSERT INTO journeys VALUES (100001, '{31@-4713-11-24T00:00:00Z=-9223372036854775808#9223372036854775807, 1@1969-12-31T23:59:59.999999Z, 2@2000-01-01T00:00:00Z, 32767@2023-12-31T23:59:59.999999Z}', 922337203685477.5807);
-- more lengths than are kept one by one
CREATE TABLE busy AS
SELECT subject, journey(1 + n % 2, '2019-01-01'::timestamptz + n * interval '3 days' + (subject * 1000003 + n * 7919::bigint * subject) % 200000000000 * interval '1 microsecond') AS j
FROM generate_series(1, 130) AS subject, generate_series(1, 120) AS n GROUP BY subject;

CREATE TABLE summary AS
SELECT name AS definition, t.as_of, subject % 4 AS part, count(*) AS n, funnel_conversion(j, l, t.as_of) AS f, funnel_conversion(j, l, t.as_of, amount) AS a
FROM journeys, agreed, (VALUES ('2021-05-05 05:05:05.000005+00'::timestamptz), ('2023-12-31 00:00+00')) AS t(as_of) GROUP BY 1, 2, 3;
CREATE TABLE stay AS
SELECT name AS definition, t.as_of, subject % 4 AS part, stage_velocity(j, l, t.as_of) AS v
FROM journeys, agreed, (VALUES ('2021-05-05 05:05:05.000005+00'::timestamptz), ('2023-12-31 00:00+00')) AS t(as_of) WHERE name <> 'strict' GROUP BY 1, 2, 3;
INSERT INTO stay SELECT name || ' since', '2023-12-31', subject % 4, stage_velocity(j, l, '2023-12-31 00:00+00', '2020-06-01 00:00+00') FROM journeys, agreed WHERE name NOT IN ('strict', 'cumulative') GROUP BY 1, 3;
INSERT INTO stay SELECT 'busy ' || name, '2023-12-31', subject % 4, stage_velocity(j, l, '2023-12-31 00:00+00') FROM busy, agreed WHERE name IN ('all', 'business hours') GROUP BY 1, 3;
CREATE TABLE breach AS
SELECT name AS definition, t.as_of, subject % 4 AS part, sla_breach(j, s, t.as_of) AS b
FROM journeys, promise, (VALUES ('2021-05-05 05:05:05.000005+00'::timestamptz), ('2023-12-31 00:00+00')) AS t(as_of) GROUP BY 1, 2, 3;
INSERT INTO breach SELECT 'busy ' || name, '2023-12-31', subject % 4, sla_breach(j, s, '2023-12-31 00:00+00') FROM busy, promise WHERE name = 'plain' GROUP BY 1, 3;
CREATE TABLE pack AS
SELECT 'numbers' AS kind, subject % 7 AS part, journey_pack(subject, j) AS p FROM journeys GROUP BY 2 UNION ALL
SELECT 'texts', subject % 7, journey_pack(CASE WHEN subject % 4 = 0 THEN subject::text ELSE 'Straße ' || subject END, j) FROM journeys GROUP BY 2 UNION ALL
SELECT 'events', subject % 7, journey_pack(subject, mark, at) FROM event GROUP BY 2;

-- ---- the model and the ledger -----------------------------------------------------------------------------------------------------
CREATE ROLE fingerprint_steward;
CREATE ROLE fingerprint_council;
CREATE ROLE fingerprint_loader;
SELECT grant_access(level, ('fingerprint_' || level)::regrole) FROM unnest('{steward, council, loader}'::text[]) AS level;
CREATE FUNCTION agree(rationale text, what text, at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    draft bigint;
BEGIN
    SET LOCAL SESSION AUTHORIZATION fingerprint_steward;
    draft := draft_change(rationale, effective_at => at, retroactive => true);
    EXECUTE 'SELECT ' || what;
    PERFORM propose_change(draft);
    SET LOCAL SESSION AUTHORIZATION fingerprint_council;
    IF approve(draft) <> 'approved' THEN
        RAISE EXCEPTION 'not agreed: %', rationale;
    END IF;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
END $$;
SET SESSION AUTHORIZATION fingerprint_steward;
SELECT register_party(p, 'team') FROM unnest('{north, south}'::text[]) AS p;
RESET SESSION AUTHORIZATION;
SELECT agree('As begun', $$ define_calendar('hours', 'Europe/Berlin', '{mon-fri 09:00-17:00}', holidays => '{2020-12-25}'), define_lifecycle('sales', 'Sales', calendar => 'hours', time_zone => 'Europe/Berlin'),
    define_stage('sales', 'lead', 10), define_stage('sales', 'qualified', 20), define_stage('sales', 'won', 40, 'won'), define_stage('sales', 'lost', 50, 'lost'), define_stage('sales', 'parked', 60, 'recycled'),
    define_transition('sales', 'lead', 'qualified'), define_code('segment', 'small'), define_code('segment', 'large'), define_code('lead_source', 'web'), define_code('lead_source', 'fair'),
    define_sla('touch', start => '{lead}', stop => '{touch_out}', cancel => '{lost}', target => '10 days', lifecycle => 'sales', meaning => 'Call', segment => '{segment_set}'), define_sla_target('touch', '2 days', segment => 'large') $$, '2019-01-01');
SELECT agree('Proposals, and ninety days', $$ define_stage('sales', 'proposal', 30, is_pipeline => true), define_lifecycle('sales', 'Sales', calendar => 'hours', time_zone => 'Europe/Berlin', within => '90 days') $$, '2021-01-01');
SELECT agree('Metrics', $$ define_metric('lead to won', 'Share of leads that are won', basis => 'cohort', lifecycle => 'sales', at_stage => 'lead', to_stage => 'won'),
    define_metric('win rate', 'Share of what was decided', basis => 'event', lifecycle => 'sales', to_stage => 'won');
    SELECT assign('north', 'accountable', 'metric', m) FROM unnest('{lead to won, win rate}'::text[]) AS m $$, '2019-01-01');
CREATE TABLE fact AS
SELECT i, 'S' || i AS s, '2019-03-01 22:30+00'::timestamptz + i * interval '6 days' AS since FROM generate_series(1, 200) AS i;
CREATE VIEW events AS
SELECT 'lead'::text AS subject_kind, s AS subject_key, 'stage_entered' AS event, since + no * (3 + i % 17) * interval '1 day' AS occurred_at, s || '/' || no AS source_key, 'sales' AS lifecycle, stage, NULL::text AS field, NULL::text AS code, NULL::text AS party,
       NULL::numeric AS amount, NULL::text AS currency, NULL::text AS corrects
FROM fact, unnest(CASE i % 8 WHEN 0 THEN '{lead}' WHEN 1 THEN '{lead, qualified}' WHEN 2 THEN '{lead, qualified, won}' WHEN 3 THEN '{lead, proposal, won}' WHEN 4 THEN '{qualified, lost}' WHEN 5 THEN '{lead, parked, lead, qualified}' WHEN 6 THEN '{lead, won}'
                       ELSE '{qualified, proposal, won}' END::text[]) WITH ORDINALITY AS way (stage, no)
UNION ALL SELECT 'lead', s, 'field_set', since, s || '/segment', NULL, NULL, 'segment', CASE i % 2 WHEN 0 THEN 'small' ELSE 'large' END, NULL, NULL, NULL, NULL FROM fact WHERE i % 5 > 0
UNION ALL SELECT 'lead', s, 'field_set', since, s || '/source', NULL, NULL, 'lead_source', CASE i % 3 WHEN 0 THEN 'web' ELSE 'fair' END, NULL, NULL, NULL, NULL FROM fact WHERE i % 4 > 0
UNION ALL SELECT 'lead', s, 'field_set', since, s || '/amount', NULL, NULL, 'amount', NULL, NULL, i * 100.25, 'EUR', NULL FROM fact WHERE i % 2 = 0
UNION ALL SELECT 'lead', s, 'assigned', since, s || '/owner', NULL, NULL, NULL, NULL, CASE i % 3 WHEN 0 THEN 'north' ELSE 'south' END, NULL, NULL, NULL FROM fact
UNION ALL SELECT 'lead', s, 'touch_out', since + (3 + i % 17 + i % 9) * interval '1 day 3 hours', s || '/touch', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM fact
UNION ALL SELECT 'lead', s, 'retracted', since, s || '/not', NULL, NULL, NULL, NULL, NULL, NULL, NULL, s || '/2' FROM fact WHERE i % 40 = 2;
GRANT SELECT ON events TO fingerprint_loader;
SET SESSION AUTHORIZATION fingerprint_loader;
SELECT map_source('crm', events => 'events'), load('crm'), record_event('erp', 'lead', 'X1', 'stage_entered', '2020-01-20 00:00+00', source_key => 'X1/won', lifecycle => 'sales', stage => 'won'), record_link('erp', 'lead', 'X1', 'same_as', 'lead', 'S1', to_source => 'crm');
SELECT refresh(false);
RESET SESSION AUTHORIZATION;
\o

-- ---- what is compared -----------------------------------------------------------------------------------------------------------
SELECT pg_temp.print(what, query) FROM (VALUES
    (10, 'calendars', 'SELECT name, c, business_calendar_send(c), fingerprint(c) FROM calendar'),
    (11, 'business time', 'SELECT c.name, a.i, business_time(c.c, a.at, b.at) FROM calendar c, instant a JOIN instant b ON b.i = a.i % 300 + 1'),
    (12, 'business time added', $$ SELECT c.name, a.i, business_add(c.c, a.at, (a.i % 400 - 200) * interval '13 minutes') FROM calendar c, instant a WHERE c.name NOT IN ('never', 'intersection') AND at BETWEEN '2001-01-01' AND '2022-01-01' $$),
    (13, 'open hours', $$ SELECT c.name, o.* FROM calendar c, open_intervals(c.c, '2021-03-01 00:00+00', '2021-04-15 00:00+00') o UNION ALL SELECT c.name, o.* FROM calendar c, open_intervals(c.c, '2021-09-20 00:00+00', '2021-11-20 00:00+00') o $$),
    (14, 'open, and when next', $$ SELECT c.name, i, is_open(c.c, at), next_open(c.c, at), beyond_horizon(c.c, at) FROM calendar c, instant WHERE c.name NOT IN ('never', 'intersection') AND at < '2023-01-01' $$),
    (20, 'lifecycles', 'SELECT name, l, lifecycle_send(l), fingerprint(l), lifecycle_hash(l) FROM agreed'),
    (21, 'SLAs', 'SELECT name, s, sla_send(s), fingerprint(s), sla_hash(s), sla_name(s) FROM promise'),
    (30, 'journeys', 'SELECT subject, j, journey_send(j), journey_hash(j), journey_hash_extended(j, 42), mark_count(j), first_at(j), last_at(j) FROM journeys UNION ALL SELECT subject, j, journey_send(j), journey_hash(j), 0, 0, NULL, NULL FROM busy'),
    (31, 'marks', 'SELECT subject, m.* FROM journeys, marks(j) m'),
    (32, 'the order of journeys', 'SELECT subject, row_number() OVER (ORDER BY j, subject) FROM journeys'),
    (33, 'stages of journeys', $$ SELECT subject, name, entered(j, l, 'met'), current_stage(j, l, '2021-05-05 00:00+00') FROM journeys, agreed $$),
    (34, 'merged journeys', 'SELECT a.subject, merge(a.j, b.j), journey_send(merge(a.j, b.j)) FROM journeys a JOIN journeys b ON b.subject = a.subject + 1'),
    (35, 'journeys rolled up', 'SELECT subject % 9, journey_send(rollup(j)) FROM journeys GROUP BY 1'),
    (40, 'packs', 'SELECT kind, part, p, journey_pack_send(p), subject_count(p), mark_count(p) FROM pack'),
    (41, 'packs rolled up', 'SELECT kind, journey_pack_send(rollup(p)) FROM pack GROUP BY kind'),
    (42, 'packs opened', 'SELECT kind, u.* FROM pack, unpack(p) u'),
    (50, 'funnels', 'SELECT definition, as_of, part, n, f, a, funnel_summary_send(f), funnel_summary_send(a), fingerprint(f), lifecycle(f) FROM summary'),
    (51, 'funnels rolled up', 'SELECT definition, as_of, rollup(f), funnel_summary_send(rollup(a)) FROM summary GROUP BY 1, 2'),
    (52, 'funnels of packs', $$ SELECT kind, name, funnel_conversion(p, l, '2023-12-31 00:00+00') FROM pack, agreed GROUP BY 1, 2 $$),
    (53, 'stages of funnels', 'SELECT definition, as_of, s.* FROM (SELECT definition, as_of, rollup(a) AS f FROM summary GROUP BY 1, 2) t, stages(f) s'),
    (54, 'attempts', $$ SELECT subject, name, a.* FROM journeys, agreed, funnel_attempts(j, l, '2023-12-31 00:00+00') a $$),
    (60, 'velocities', 'SELECT definition, as_of, part, v, velocity_summary_send(v), fingerprint(v) FROM stay'),
    (61, 'velocities rolled up', 'SELECT definition, as_of, velocity_summary_send(rollup(v)) FROM stay GROUP BY 1, 2'),
    (62, 'velocities of packs', $$ SELECT kind, name, stage_velocity(p, l, '2023-12-31 00:00+00') FROM pack, agreed WHERE name <> 'strict' GROUP BY 1, 2 $$),
    (63, 'stages of velocities', 'SELECT definition, as_of, s.* FROM (SELECT definition, as_of, rollup(v) AS v FROM stay GROUP BY 1, 2) t, stages(v) s'),
    (64, 'business clocks', $$ SELECT definition, as_of, business_clock(v), s.* FROM (SELECT definition, as_of, rollup(v) AS v FROM stay WHERE definition ~ 'business' GROUP BY 1, 2) t, stages(business_clock(v)) s $$),
    (65, 'survival and incidence', $$ SELECT definition, as_of, 's', s::text FROM (SELECT definition, as_of, rollup(v) AS v FROM stay GROUP BY 1, 2) t, survival_curve(v, 'new') s
                                      UNION ALL SELECT definition, as_of, 'i', s::text FROM (SELECT definition, as_of, rollup(v) AS v FROM stay GROUP BY 1, 2) t, incidence_curve(v, 'new', 'lost') s $$),
    (66, 'spans', $$ SELECT subject, name, a.* FROM journeys, agreed, stage_spans(j, l, '2023-12-31 00:00+00') a WHERE name <> 'strict' $$),
    (67, 'log-rank', $$ SELECT definition, as_of, (log_rank(array_agg(v ORDER BY part), 'new')).* FROM stay WHERE definition !~ 'since' GROUP BY 1, 2 $$),
    (70, 'breaches', 'SELECT definition, as_of, part, b, breach_summary_send(b), fingerprint(b) FROM breach'),
    (71, 'breaches rolled up', 'SELECT definition, as_of, breach_summary_send(rollup(b)) FROM breach GROUP BY 1, 2'),
    (72, 'breaches of packs', $$ SELECT kind, name, sla_breach(p, s, '2023-12-31 00:00+00') FROM pack, promise GROUP BY 1, 2 $$),
    (73, 'policies', 'SELECT definition, as_of, p.* FROM (SELECT definition, as_of, rollup(b) AS b FROM breach GROUP BY 1, 2) t, policies(b) p'),
    (74, 'phases', 'SELECT definition, as_of, p.* FROM (SELECT definition, as_of, rollup(b) AS b FROM breach GROUP BY 1, 2) t, phases(b) p'),
    (75, 'clocks', $$ SELECT subject, name, a.* FROM journeys, promise, sla_clocks(j, s, '2021-05-05 00:00+00') a $$),
    (76, 'phases of clocks', $$ SELECT subject, name, a.* FROM journeys, promise, sla_phases(j, s, '2021-05-05 00:00+00') a $$),
    (77, 'escalations', $$ SELECT subject, name, a.* FROM journeys, promise, escalations(j, s, '2021-05-05 00:00+00') a $$),
    (78, 'open clocks', $$ SELECT kind, name, a.* FROM pack, promise, sla_open_clocks(p, s, '2020-05-05 00:00+00') a $$),
    (80, 'statistics', 'SELECT x, w.*, n.*, k.* FROM generate_series(0, 40) x, wilson(x, 40) w, newcombe(x, 40, 40 - x, 50) n, katz(x + 1, 50, 7, 60) k'),
    (90, 'agreed definitions', $$ SELECT t::text, lifecycle_send(lifecycle('sales', t)), fingerprint(lifecycle('sales', t)), business_calendar_send(business_calendar('hours', t)), sla_send(sla('touch', t)) FROM unnest('{2019-06-01 00:00+00, 2021-06-01 00:00+00}'::timestamptz[]) t $$),
    (91, 'glossary', 'SELECT kind, name, meaning, terms, owners, version_no, valid_from, valid_until, change_no FROM glossary'),
    (92, 'history of the model', 'SELECT change_no, kind, name, action, version_no, terms_before, terms_after, effective_at, effective_until, rationale FROM model_history'),
    (93, 'the ledger', 'SELECT source, subject_kind, subject_key, occurred_at, event, lifecycle, stage, code, party, amount, currency, source_key, corrects, corrected_by FROM event_log'),
    (94, 'journeys of the ledger', 'SELECT journey, journey_send(journey) FROM journeys()'),
    (95, 'figures', $$ SELECT m, q.* FROM unnest('{current, at event, 2020-06-01 00:00+00}'::text[]) m, LATERAL (SELECT 'f', valid_from, definition::text, funnel_summary_send(funnel) FROM funnel_of('sales', '2023-12-31 00:00+00', model_at => m, period => '[2019-01-01, 2023-01-01)')
                       UNION ALL SELECT 'v', valid_from, definition::text, velocity_summary_send(velocity) FROM velocity_of('sales', '2023-12-31 00:00+00', model_at => m, period => '[2019-01-01, 2023-01-01)')
                       UNION ALL SELECT 'b', NULL, definition::text, breach_summary_send(breaches) FROM breaches_of('touch', '2023-12-31 00:00+00', model_at => m, period => '[2019-01-01, 2023-01-01)')) q $$),
    (96, 'metrics', $$ SELECT m, y, v.* FROM unnest('{lead to won, win rate}'::text[]) m, unnest('{2019-01-01, 2020-01-01, 2021-01-01}'::date[]) y, metric_value(m, daterange(y, (y + interval '1 year')::date), as_of => '2023-12-31 00:00+00') v $$),
    (97, 'restated', $$ SELECT step_no, cause, change_no, model_at, value, numerator, denominator, difference FROM restate('lead to won', '[2021-01-01, 2022-01-01)', '2020-06-01 00:00+00', '2021-06-01 00:00+00', as_of => '2023-12-31 00:00+00') $$),
    (98, 'the funnel people read', 'SELECT lifecycle, period_start, period, segment, lead_source, owner, currency, stage_no, stage, category, entered, observed, imputed, converted, lost, recycled, conversion_rate, rate_low, rate_high, mean_days_to_convert, amount_entered, amount_converted, subjects, definition_fingerprint FROM funnel'),
    (99, 'the velocity people read', 'SELECT lifecycle, period_start, period, segment, lead_source, owner, stage_no, stage, visits, moved_forward, skipped, moved_back, won, lost, recycled, subjects, definition_fingerprint FROM stage_velocity'),
    (100, 'the SLAs people read', 'SELECT policy, lifecycle, period_start, period, segment, lead_source, owner, policy_no, target_seconds, started, met, breached, cancelled, breach_rate, rate_low, rate_high, subjects, definition_fingerprint FROM sla_results'),
    (101, 'exceptions', 'SELECT source, subject_key, lifecycle, from_stage, to_stage, occurred_at, source_key, rule_kind, rule_key, message FROM exceptions')
) AS compared (n, what, query) ORDER BY n;

-- Roles are the server's.
\o /dev/null
DROP OWNED BY fingerprint_steward, fingerprint_council, fingerprint_loader;
SELECT revoke_access(level, ('fingerprint_' || level)::regrole) FROM unnest('{steward, council, loader}'::text[]) AS level;
DROP ROLE fingerprint_steward, fingerprint_council, fingerprint_loader;
