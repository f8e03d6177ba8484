-- What tools read: types, scales, no NaN, one row for each step, and rows that agree with the functions.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(40);

-- Columns
SELECT is_empty($$
    SELECT p.oid::regprocedure::text || ': ' || name || ' ' || t::regtype::text
    FROM pg_proc p, unnest(proallargtypes, proargmodes, proargnames) AS c(t, mode, name)
    WHERE pronamespace = 'revacct'::regnamespace AND proname = 'stages' AND mode = 't'
      AND t NOT IN ('text'::regtype, 'bigint'::regtype, 'integer'::regtype, 'numeric'::regtype, 'boolean'::regtype, 'timestamptz'::regtype, 'date'::regtype) $$,
    'stages() has only columns every tool can read');
SELECT is_empty($$
    SELECT name FROM pg_proc p, unnest(proallargtypes, proargmodes, proargnames) AS c(t, mode, name)
    WHERE pronamespace = 'revacct'::regnamespace AND mode = 't' AND (name !~ '^[a-z][a-z0-9_]*$' OR length(name) > 30) $$, 'column names are plain and short');
SELECT is_empty($$
    SELECT name FROM pg_proc p, unnest(proallargtypes, proargmodes, proargnames) AS c(t, mode, name)
    WHERE pronamespace = 'revacct'::regnamespace AND proname = 'stages' AND mode = 't' AND name ~ '(_rate|_low|_high|_days|^amount_)' AND t <> 'numeric'::regtype $$, 'rates, days and amounts are numeric');
SELECT is((SELECT string_agg(name || ' ' || t::regtype, ', ' ORDER BY n) FROM pg_proc p, unnest(proallargtypes, proargmodes, proargnames) WITH ORDINALITY AS c(t, mode, name, n)
           WHERE p.oid = 'stages(funnel_summary, float8)'::regprocedure AND mode = 't'),
    'stage_no integer, stage text, category text, entered bigint, observed bigint, imputed bigint, converted bigint, lost bigint, no_decision bigint, recycled bigint, churned bigint, in_progress bigint, expired bigint, '
    'conversion_rate numeric, rate_low numeric, rate_high numeric, decided_rate numeric, decided_low numeric, decided_high numeric, repeats bigint, regresses bigint, timed_count bigint, mean_days_to_convert numeric, '
    'amount_entered numeric, amount_converted numeric, amount_lost numeric, amount_rate numeric, amount_n_effective numeric', 'columns of a funnel');
SELECT is((SELECT string_agg(name || ' ' || t::regtype, ', ' ORDER BY n) FROM pg_proc p, unnest(proallargtypes, proargmodes, proargnames) WITH ORDINALITY AS c(t, mode, name, n)
           WHERE p.oid = 'stages(velocity_summary, float8)'::regprocedure AND mode = 't'),
    'stage_no integer, stage text, category text, visits bigint, pending bigint, forward bigint, skip bigint, back bigint, repeat bigint, won bigint, lost bigint, no_decision bigint, recycled bigint, churned bigint, '
    'median_days numeric, median_low_days numeric, median_high_days numeric, p25_days numeric, p75_days numeric, p90_days numeric, last_observed_days numeric, relative_error numeric', 'columns of velocity');

-- A full summary, an empty one, and a large one
CREATE TEMP TABLE defined AS
SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', no_decision => '{f}', recycled => '{g}', churned => '{h}', attempt => 'all', within => '90 days') AS l, '2025-06-01'::timestamptz AS as_of;
CREATE TEMP TABLE journeys AS
SELECT i AS subject, (i % 11)::numeric * 1000.1234 - 500 AS amount, journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 4000) * interval '1 hour') AS j
FROM generate_series(1, 300) i, generate_series(1, 7) k GROUP BY i;
CREATE TEMP TABLE funnels (what text, s funnel_summary);
INSERT INTO funnels SELECT 'full', funnel_conversion(j, l, as_of, amount) FROM journeys, defined UNION ALL SELECT 'no amounts', funnel_conversion(j, l, as_of) FROM journeys, defined
    UNION ALL SELECT 'empty', funnel_conversion(j, l, '2020-01-01', amount) FROM journeys, defined
    UNION ALL SELECT 'one', funnel_conversion(j, l, as_of, 0) FROM (SELECT '{1@2025-05-01T00:00:00Z}'::journey AS j) t, defined
    UNION ALL SELECT 'largest amounts', funnel_conversion(j, l, as_of, 922337203685477.5807) FROM journeys, defined
    UNION ALL SELECT 'smallest amounts', funnel_conversion(j, l, as_of, -922337203685477.5808) FROM journeys, defined;
CREATE TEMP TABLE velocities (what text, s velocity_summary);
INSERT INTO velocities SELECT 'full', stage_velocity(j, l, as_of) FROM journeys, defined UNION ALL SELECT 'empty', stage_velocity(j, l, '2020-01-01') FROM journeys, defined
    UNION ALL SELECT 'one', stage_velocity('{1@2025-05-01T00:00:00Z}'::journey, l, as_of) FROM defined
    UNION ALL SELECT 'long', stage_velocity('{1@-4713-11-24T00:00:00Z, 2@-0001-01-01T00:00:00Z}'::journey, l, as_of) FROM defined;
CREATE TEMP VIEW f AS SELECT what, s.* FROM funnels, stages(funnels.s) s;
CREATE TEMP VIEW v AS SELECT what, s.* FROM velocities, stages(velocities.s) s;

SELECT results_eq('SELECT what, count(*) FROM f GROUP BY what ORDER BY what', $$ SELECT what, 4::bigint FROM funnels ORDER BY what $$, 'a funnel has a row for each step, whatever happened');
SELECT results_eq('SELECT what, count(*) FROM v GROUP BY what ORDER BY what', $$ SELECT what, 3::bigint FROM velocities ORDER BY what $$, 'velocity has one for each open or active stage');
SELECT results_eq('SELECT what, array_agg(stage_no) FROM f GROUP BY what ORDER BY what', $$ SELECT what, '{1,2,3,4}'::int[] FROM funnels ORDER BY what $$, 'in order');
SELECT results_eq($$ SELECT stage, category FROM f WHERE what = 'empty' $$, $$ VALUES ('a', 'open'), ('b', 'open'), ('c', 'open'), ('d', 'won') $$, 'with names and categories');
SELECT is((SELECT sum(entered + observed + imputed + converted + lost + no_decision + recycled + churned + in_progress + expired + repeats + regresses + timed_count) FROM f WHERE what = 'empty'), 0::numeric, 'zeros in an empty funnel');
SELECT is((SELECT count(*) FROM f WHERE what = 'empty' AND coalesce(conversion_rate, rate_low, rate_high, decided_rate, decided_low, decided_high, mean_days_to_convert, amount_rate, amount_n_effective) IS NULL), 4::bigint, 'no rate out of nothing');
SELECT is((SELECT sum(visits + pending + forward + skip + back + repeat + won + lost + no_decision + recycled + churned) FROM v WHERE what = 'empty'), 0::numeric, 'zeros in empty velocity');
SELECT is((SELECT count(*) FROM v WHERE what = 'empty' AND coalesce(median_days, median_low_days, median_high_days, p25_days, p75_days, p90_days) IS NULL), 3::bigint, 'no quantile of nothing');
SELECT is((SELECT count(*) FROM f WHERE what = 'no amounts' AND coalesce(amount_entered, amount_converted, amount_lost, amount_rate, amount_n_effective) IS NULL), 4::bigint, 'no amounts without amounts');

-- Every value: NULL, or a finite number of the scale it should have
CREATE TEMP VIEW cells AS
SELECT 'funnel ' || what AS what, stage_no, k, value FROM f, jsonb_each_text(to_jsonb(f)) AS c(k, value) WHERE k NOT IN ('what', 'stage', 'category', 'stage_no')
UNION ALL SELECT 'velocity ' || what, stage_no, k, value FROM v, jsonb_each_text(to_jsonb(v)) AS c(k, value) WHERE k NOT IN ('what', 'stage', 'category', 'stage_no');
SELECT cmp_ok((SELECT count(value) FROM cells), '>', 400::bigint, 'there is something to look at');
SELECT is_empty($$ SELECT * FROM cells WHERE value !~ '^-?[0-9]+(\.[0-9]+)?$' $$, 'no NaN, no infinity');
SELECT is_empty($$ SELECT * FROM cells WHERE k ~ '(rate|_low|_high|relative_error)' AND k !~ '_days$' AND value !~ '\.[0-9]{6}$' $$, 'rates have six decimals');
SELECT is_empty($$ SELECT * FROM cells WHERE (k ~ '_days' OR k ~ '^amount_(entered|converted|lost|n_effective)$') AND value !~ '\.[0-9]{2}$' $$, 'days and amounts have two');
SELECT is_empty($$ SELECT * FROM cells WHERE k !~ '(rate|_low|_high|_days|relative_error|^amount_)' AND value !~ '^[0-9]+$' $$, 'everything else is a count');
SELECT is_empty($$ SELECT * FROM cells WHERE k ~ '^(conversion_rate|rate_low|rate_high|decided_rate|decided_low|decided_high)$' AND value::numeric NOT BETWEEN 0 AND 1 $$, 'rates lie between 0 and 1');
SELECT is_empty($$ SELECT * FROM f WHERE rate_low > conversion_rate OR rate_high < conversion_rate OR decided_low > decided_rate OR decided_high < decided_rate $$, 'limits hold their rate');
SELECT is_empty($$ SELECT * FROM v WHERE p25_days > median_days OR median_days > p75_days OR p75_days > p90_days OR median_low_days > median_days OR median_high_days < median_days $$, 'quantiles ascend');

-- What adds up
SELECT is_empty($$ SELECT * FROM f WHERE converted + lost + in_progress + expired <> entered OR observed + imputed <> entered OR no_decision + recycled + churned > lost OR timed_count > converted $$, 'statuses add up to entered');
SELECT is_empty($$ SELECT * FROM v WHERE visits <> pending + forward + skip + back + repeat + won + lost + no_decision + recycled + churned $$, 'exits and pending add up to visits');
SELECT is_empty($$ SELECT * FROM f WHERE conversion_rate IS DISTINCT FROM round(converted::numeric / nullif(entered, 0), 6) OR decided_rate IS DISTINCT FROM round(converted::numeric / nullif(converted + lost + expired, 0), 6) $$, 'rates are numerator by denominator');
SELECT ok((SELECT bool_and(n > 0) FROM (SELECT unnest(ARRAY[sum(imputed), sum(lost), sum(no_decision), sum(recycled), sum(churned), sum(in_progress), sum(expired), sum(repeats), sum(regresses), sum(timed_count)]) AS n FROM f WHERE what = 'full') t),
    'every column of a funnel has been seen');
SELECT ok((SELECT bool_and(n > 0) FROM (SELECT unnest(ARRAY[sum(pending), sum(forward), sum(skip), sum(back), sum(repeat), sum(won), sum(lost), sum(no_decision), sum(recycled), sum(churned)]) AS n FROM v WHERE what = 'full') t),
    'every column of velocity has been seen');

-- The functions say what the rows say
SELECT is_empty($$
    SELECT what, stage FROM f JOIN funnels USING (what)
    WHERE ARRAY[f.entered, f.observed, f.imputed, f.converted, f.lost, f.in_progress, f.expired] <>
          ARRAY[entered(s, stage), observed(s, stage), imputed(s, stage), converted(s, stage), lost(s, stage), in_progress(s, stage), expired(s, stage)] $$, 'counts');
SELECT is_empty($$
    SELECT what, stage FROM f JOIN funnels USING (what)
    WHERE (f.conversion_rate, f.rate_low, f.rate_high, f.decided_rate, f.decided_low, f.decided_high) IS DISTINCT FROM
          (round(conversion_rate(s, stage)::numeric, 6), round(conversion_rate_low(s, stage)::numeric, 6), round(conversion_rate_high(s, stage)::numeric, 6),
           round(conversion_rate(s, stage, of => 'decided')::numeric, 6), round(conversion_rate_low(s, stage, of => 'decided')::numeric, 6), round(conversion_rate_high(s, stage, of => 'decided')::numeric, 6)) $$, 'rates');
SELECT is_empty($$
    SELECT what, r.stage FROM funnels, stages(s, 0.8) r, wilson(r.converted, r.entered, 0.8) w
    WHERE (r.rate_low, r.rate_high) IS DISTINCT FROM (round(w.low::numeric, 6), round(w.high::numeric, 6)) $$, 'limits are those of wilson()');
SELECT is_empty($$
    SELECT what, stage FROM v JOIN velocities USING (what)
    WHERE (v.visits, v.pending, v.forward, v.skip, v.back, v.repeat, v.won, v.lost, v.no_decision, v.recycled, v.churned, v.visits - v.pending) IS DISTINCT FROM
          (visits(s, stage), pending(s, stage), exits(s, stage, 'forward'), exits(s, stage, 'skip'), exits(s, stage, 'back'), exits(s, stage, 'repeat'), exits(s, stage, 'won'), exits(s, stage, 'lost'),
           exits(s, stage, 'no_decision'), exits(s, stage, 'recycled'), exits(s, stage, 'churned'), exits(s, stage)) $$, 'visits');
SELECT is_empty($$
    SELECT what, stage FROM v JOIN velocities USING (what)
    WHERE (median_days, p25_days, p75_days, p90_days, median_low_days, median_high_days) IS DISTINCT FROM
          (round(extract(epoch FROM median(s, stage)) / 86400, 2), round(extract(epoch FROM quantile(s, stage, 0.25)) / 86400, 2), round(extract(epoch FROM quantile(s, stage, 0.75)) / 86400, 2),
           round(extract(epoch FROM quantile(s, stage, 0.9)) / 86400, 2), round(extract(epoch FROM quantile_low(s, stage, 0.5)) / 86400, 2), round(extract(epoch FROM quantile_high(s, stage, 0.5)) / 86400, 2)) $$, 'quantiles');
SELECT is_empty($$
    SELECT stage FROM f JOIN (SELECT stage, count(*) AS entered, count(*) FILTER (WHERE imputed) AS imputed, count(*) FILTER (WHERE status = 'converted') AS converted, sum(repeats) AS repeats, sum(regresses) AS regresses,
                                     sum(amount) AS amount FROM journeys, defined, funnel_attempts(j, l, as_of) WHERE counted GROUP BY stage) a USING (stage)
    WHERE what = 'full' AND (f.entered, f.imputed, f.converted, f.repeats, f.regresses, f.amount_entered) IS DISTINCT FROM (a.entered, a.imputed, a.converted, a.repeats, a.regresses, round(a.amount, 2)) $$, 'attempts add up to the funnel');
SELECT is_empty($$
    SELECT stage FROM v JOIN (SELECT stage, count(*) AS visits, count(*) FILTER (WHERE exit IS NULL) AS pending, count(*) FILTER (WHERE exit = 'forward') AS forward, max(extract(epoch FROM duration)) AS longest
                              FROM journeys, defined, stage_spans(j, l, as_of) WHERE measured GROUP BY stage) a USING (stage)
    WHERE what = 'full' AND (v.visits, v.pending, v.forward, v.last_observed_days) IS DISTINCT FROM (a.visits, a.pending, a.forward, round(a.longest / 86400, 2)) $$, 'spans add up to velocity');
SELECT is((SELECT array_agg(subjects(s) ORDER BY what) FROM funnels), ARRAY[300, 300, 300, 300, 1, 300]::bigint[], 'subjects');
SELECT is((SELECT amount_entered FROM f WHERE what = 'largest amounts' AND stage_no = 1), (SELECT round(entered * 922337203685477.5807, 2) FROM f WHERE what = 'largest amounts' AND stage_no = 1), 'sums of the largest amounts');
SELECT is((SELECT amount_entered FROM f WHERE what = 'smallest amounts' AND stage_no = 1), (SELECT round(entered * -922337203685477.5808, 2) FROM f WHERE what = 'smallest amounts' AND stage_no = 1), 'sums of the smallest amounts');

-- The way tools ask
SELECT lives_ok($$ SELECT * FROM (SELECT s.* FROM funnels, stages(s) s) "q" LIMIT 0 $$, 'LIMIT 0');
-- (one statement at a time: PostgreSQL's own assertions do not take a cursor declared and read in one string)
DECLARE tool CURSOR FOR SELECT s.* FROM funnels, stages(s) s;
SELECT lives_ok('FETCH 3 FROM tool', 'a cursor');
CLOSE tool;
CREATE VIEW as_a_view AS SELECT s.stage_no, s.conversion_rate::numeric(9,6), s.mean_days_to_convert::numeric(12,2), s.amount_entered::numeric(18,2) FROM (SELECT funnel_conversion(j, l, as_of, amount) AS f FROM journeys, defined) t, stages(f) s;
SELECT is((SELECT count(*) FROM as_a_view WHERE amount_entered IS NOT NULL), 4::bigint, 'a view with type modifiers');

SELECT * FROM finish();
ROLLBACK;
