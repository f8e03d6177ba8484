--
-- velocity: how long subjects stay.
--
SET search_path = revacct, public;
SET timezone = 'UTC';
SET datestyle = 'ISO, YMD';
SET intervalstyle = 'postgres';

CREATE TEMP TABLE defined AS
SELECT lifecycle('deals', stages => '{new, demo, offer}', won => 'won', lost => '{lost}', no_decision => '{silent}', recycled => '{nurture}', churned => '{gone}') AS l;
CREATE TEMP TABLE histories (n int, j journey);
INSERT INTO histories VALUES
    (1, '{1@2025-01-01T00:00:00Z, 2@2025-01-03T00:00:00Z, 3@2025-01-06T00:00:00Z, 4@2025-01-10T00:00:00Z}'),
    (2, '{1@2025-01-01T00:00:00Z, 3@2025-01-08T12:00:00Z, 1@2025-01-09T00:00:00Z, 1@2025-01-10T00:00:00Z, 5@2025-01-12T00:00:00Z}'),
    (3, '{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z, 6@2025-01-04T00:00:00Z}'),
    (4, '{1@2025-01-02T00:00:00Z, 2@2025-01-04T00:00:00Z}'),
    (5, '{2@2025-01-02T00:00:00Z, 7@2025-01-03T00:00:00Z, 1@2025-01-20T00:00:00Z, 0@2025-01-21T00:00:00Z}'),
    (6, '{1@2025-01-30T00:00:00Z, 2@2025-01-30T00:00:00Z, 3@2025-01-30T00:00:00Z, 8@2025-01-31T00:00:00Z}'),
    (7, '{4@2025-01-05T00:00:00Z}');

-- Nothing
SELECT stage_velocity(j, l, '2025-01-31') IS NULL AS no_rows FROM histories, defined WHERE false;
SELECT stage_velocity(NULL::journey, l, '2025-01-31') IS NULL AS no_journey, stage_velocity(NULL::journey, l, '2025-01-31', '2025-01-01') IS NULL AS since,
       stage_velocity(NULL::journey_pack, l, '2025-01-31') IS NULL AS no_pack, rollup(NULL::velocity_summary) IS NULL AS no_summary FROM defined;
SELECT (SELECT count(*) FROM stages(NULL::velocity_summary)) AS rows, visits(NULL, 'new'), median(NULL, 'new'), (SELECT count(*) FROM survival_curve(NULL, 'new')) AS curve,
       (restricted_mean(NULL, 'new')).mean, exits(NULL, 'new'), (log_rank(NULL, 'new')).p_value;

-- Refused
SELECT stage_velocity(j, NULL, '2025-01-31') FROM histories;
\echo :SQLSTATE
SELECT stage_velocity(j, l, NULL) FROM histories, defined;
SELECT stage_velocity(j, l, 'infinity') FROM histories, defined;
\echo :SQLSTATE
SELECT stage_velocity(j, l, '-infinity') FROM histories, defined;
SELECT stage_velocity(j, l, '2025-01-31', '2025-01-31') FROM histories, defined;
\echo :SQLSTATE
SELECT stage_velocity(j, l, '2025-01-31', '2025-02-01') FROM histories, defined;
SELECT stage_velocity(j, l, '2025-01-31', 'infinity') FROM histories, defined;
SELECT stage_velocity(j, lifecycle('c', stages => '{new, demo}', visits => 'cumulative'), '2025-01-31', '2025-01-01') FROM histories;
\echo :SQLSTATE
SELECT stage_velocity(j, lifecycle('s', stages => '{new, demo}', marks => '{1, 1 2}', skip => 'strict'), '2025-01-31') FROM histories;
\echo :SQLSTATE
SELECT * FROM stage_spans('{1@2025-01-01T00:00:00Z}', lifecycle('s', stages => '{new, demo}', marks => '{1, 1 2}', skip => 'strict'), '2025-01-31');
SELECT s.* FROM defined, stage_spans('{1@2025-01-01T00:00:00Z}', l, '2025-01-31', '2025-01-31') s;
SELECT s.* FROM defined, stage_spans('{1@2025-01-01T00:00:00Z}', l, 'infinity') s;
SELECT count(*) AS no_as_of FROM defined, stage_spans('{1@2025-01-01T00:00:00Z}', l, NULL);
SELECT count(*) AS no_journey FROM defined, stage_spans(NULL, l, '2025-01-31');

CREATE TEMP TABLE summary AS SELECT stage_velocity(j, l, '2025-01-31') AS s FROM histories, defined;
SELECT visits(s, 'nonsense') FROM summary;
\echo :SQLSTATE
SELECT pending(s, 'won') FROM summary;
\echo :SQLSTATE
SELECT median(s, 'lost') FROM summary;
SELECT exits(s, 'new', 'nonsense') FROM summary;
\echo :SQLSTATE
SELECT incidence_at(s, 'new', 'Won', '1 day') FROM summary;
SELECT quantile(s, 'new', -0.1) FROM summary;
\echo :SQLSTATE
SELECT quantile(s, 'new', 1.1) FROM summary;
SELECT quantile(s, 'new', 'NaN') FROM summary;
SELECT quantile(s, 'new', 0.5, plateau => 'max') FROM summary;
SELECT quantile_low(s, 'new', 0.5, confidence => 0) FROM summary;
\echo :SQLSTATE
SELECT quantile_high(s, 'new', 0.5, confidence => 1) FROM summary;
SELECT quantile_low(s, 'new', 0.5, limits => 'wald') FROM summary;
SELECT stage FROM summary, stages(s, 0);
SELECT stage FROM summary, stages(s, 1);
SELECT count(*) FROM summary, survival_curve(s, 'new', 1);
SELECT survival_at(s, 'new', '1 month') FROM summary;
\echo :SQLSTATE
SELECT survival_at(s, 'new', '-1 day') FROM summary;
SELECT incidence_at(s, 'new', 'won', '1 year') FROM summary;
SELECT restricted_mean(s, 'new', '-1 day') FROM summary;
SELECT restricted_mean(s, 'new', '1000 days') FROM summary;
\echo :SQLSTATE
SELECT exit_probability(s, 'new', 'won', '-1 day', '1 day') FROM summary;
SELECT exit_probability(s, 'new', 'won', '1 day', '-1 day') FROM summary;
SELECT exit_probability(s, 'new', 'nonsense', '1 day', '1 day') FROM summary;
SELECT log_rank(ARRAY[s], 'new') FROM summary;
\echo :SQLSTATE
SELECT log_rank('{}', 'new');
SELECT log_rank(ARRAY[s, NULL], 'new') FROM summary;
\echo :SQLSTATE

-- Spans, and what is measured of them
SELECT n, s.* FROM histories, defined, stage_spans(j, l, '2025-01-31') s ORDER BY n, attempt_no, visit_no;
SELECT n, attempt_no, visit_no, stage, left_at, duration, measured FROM histories, defined, stage_spans(j, l, '2025-01-05', '2025-01-02') s ORDER BY n, attempt_no, visit_no;
SELECT v, stage, s.visits, pending, forward, skip, back, repeat, lost, last_observed_days
FROM unnest('{all, first, last, cumulative}'::text[]) v,
     LATERAL (SELECT stage_velocity(j, lifecycle('deals', stages => '{new, demo, offer}', won => 'won', lost => '{lost, silent, nurture, gone}', visits => v), '2025-01-31') AS y FROM histories) t,
     stages(y) s ORDER BY v, stage_no;

-- Rows and numbers
\x on
SELECT t.* FROM summary, stages(s) t ORDER BY stage_no;
\x off
SELECT subjects(s), unknown_marks(s), as_of(s), fingerprint(s), lifecycle(s) FROM summary;
SELECT stage, visits(s, stage), pending(s, stage), exits(s, stage), exits(s, stage, 'forward') AS forward, exits(s, stage, 'skip') AS skip, exits(s, stage, NULL) AS any_exit,
       median(s, stage), quantile(s, stage, 0.25) AS p25, quantile(s, stage, 0.25, plateau => 'min') AS p25_min, quantile_low(s, stage, 0.5, 0.9, 'plain') AS low
FROM summary, unnest('{new, demo, offer}'::text[]) WITH ORDINALITY AS t(stage, n) ORDER BY n;
SELECT quantile(s, 'new', 0) AS p0, quantile(s, 'new', 1) AS p100, quantile(s, 'new', NULL) AS pnull, survival_at(s, 'new', '0') AS at_0, survival_at(s, 'new', '1000 days') AS past_the_end FROM summary;
SELECT age, at_risk, events, censored, round(survival::numeric, 10) AS survival, round(std_error::numeric, 10) AS std_error, round(low::numeric, 10) AS low, round(high::numeric, 10) AS high,
       bracket_low = survival AND bracket_high = survival AS exact
FROM summary, survival_curve(s, 'new') ORDER BY age;
SELECT age, at_risk, events, round(incidence::numeric, 10) AS incidence, round(std_error::numeric, 10) AS std_error FROM summary, incidence_curve(s, 'new', 'forward') ORDER BY age;
SELECT round((SELECT sum(incidence_at(s, 'new', exit, '5 days')) FROM unnest('{forward, skip, back, repeat, won, lost, no_decision, recycled, churned}'::text[]) exit)::numeric + survival_at(s, 'new', '5 days')::numeric, 10) AS all_there_is
FROM summary;
SELECT mean, std_error, tau_used FROM summary, restricted_mean(s, 'new', '5 days');
SELECT round(probability::numeric, 10) AS probability, at_risk FROM summary, exit_probability(s, 'new', 'forward', '1 day', '3 days');
SELECT round(probability::numeric, 10) AS probability, at_risk FROM summary, exit_probability(s, 'new', 'forward', '1 day', '1000 days');

-- A young pipeline: of 40 deals that take 5, 15, 25 and 35 days, those that came last are still open. The mean of the closed
-- ones says how long fast deals take; Kaplan and Meier count the others as long as they are known.
CREATE TEMP TABLE pipeline AS
SELECT i, '2025-01-01'::timestamptz + i * interval '1 day' AS entered_at, interval '5 days' + (i % 4) * interval '10 days' AS takes FROM generate_series(0, 39) i;
CREATE TEMP TABLE young AS
SELECT i, journey(m, at) AS j FROM pipeline, LATERAL (VALUES (1, entered_at), (2, entered_at + takes)) AS v(m, at) GROUP BY i;
SELECT as_of::date, visits(v, 'open') AS deals, pending(v, 'open') AS still_open, round(extract(epoch FROM naive) / 86400, 2) AS mean_of_closed,
       median(v, 'open') AS km_median, quantile_low(v, 'open', 0.5) AS low, quantile_high(v, 'open', 0.5) AS high, quantile(v, 'open', 0.9) AS p90
FROM unnest('{2025-01-20, 2025-02-09, 2025-04-01}'::timestamptz[]) AS as_of,
     LATERAL (SELECT stage_velocity(j, lifecycle('young', stages => '{open}', won => 'won'), as_of) AS v FROM young) s,
     LATERAL (SELECT avg(takes) AS naive FROM pipeline WHERE entered_at + takes <= as_of) n ORDER BY as_of;
SELECT round(extract(epoch FROM avg(takes)) / 86400, 2) AS true_mean, percentile_disc(0.5) WITHIN GROUP (ORDER BY takes) AS true_median FROM pipeline;
-- do the first half and the second differ?
SELECT round(chi_square::numeric, 8) AS chi_square, df, round(p_value::numeric, 8) AS p_value, observed, (SELECT array_agg(round(e::numeric, 8)) FROM unnest(expected) e) AS expected
FROM (SELECT array_agg(v ORDER BY half) AS groups FROM (SELECT i / 20 AS half, stage_velocity(j, lifecycle('young', stages => '{open}', won => 'won'), '2025-02-09') AS v FROM young GROUP BY 1) t) g,
     log_rank(groups, 'open');

-- Text form
SET timezone = 'Asia/Kathmandu';
SET datestyle = 'German';
SET intervalstyle = 'sql_standard';
SET extra_float_digits = -10;
SELECT md5(s::text) FROM summary;
SELECT s::text::velocity_summary::text = s::text AS round_trip, (SELECT rollup(s) FROM summary)::text = s::text AS rolled_up FROM summary;
SELECT stage_velocity('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'::journey, lifecycle('ab', stages => '{a, b}'), '2025-01-31 00:00+00');
SELECT ''::velocity_summary;
\echo :SQLSTATE
SELECT '\x'::velocity_summary;
\echo :SQLSTATE
SELECT '\x02'::velocity_summary;
\echo :SQLSTATE
SELECT '\x81'::velocity_summary;
