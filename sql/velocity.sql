--
-- velocity.sql: how long subjects stay in each stage.
--

-- Aggregates

CREATE FUNCTION _velocity_add_journey(velocity_summary, journey, lifecycle, timestamptz)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION _velocity_add_journey(velocity_summary, journey, lifecycle, timestamptz) IS
'Transition function of stage_velocity(journey, lifecycle, as_of).';

CREATE FUNCTION _velocity_add_journey(velocity_summary, journey, lifecycle, timestamptz, timestamptz)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION _velocity_add_journey(velocity_summary, journey, lifecycle, timestamptz, timestamptz) IS
'Transition function of stage_velocity(journey, lifecycle, as_of, since).';

CREATE FUNCTION _velocity_add_pack(velocity_summary, journey_pack, lifecycle, timestamptz)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_add_pack'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION _velocity_add_pack(velocity_summary, journey_pack, lifecycle, timestamptz) IS
'Transition function of stage_velocity(journey_pack, lifecycle, as_of).';

CREATE FUNCTION _velocity_add_pack(velocity_summary, journey_pack, lifecycle, timestamptz, timestamptz)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_add_pack'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION _velocity_add_pack(velocity_summary, journey_pack, lifecycle, timestamptz, timestamptz) IS
'Transition function of stage_velocity(journey_pack, lifecycle, as_of, since).';

CREATE FUNCTION _velocity_add_summary(velocity_summary, velocity_summary)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_add_summary'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION _velocity_add_summary(velocity_summary, velocity_summary) IS
'Transition function of rollup(velocity_summary), and combine function.';

CREATE FUNCTION _velocity_final(velocity_summary)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION _velocity_final(velocity_summary) IS
'Final function of the aggregates that make velocity summaries.';

CREATE AGGREGATE stage_velocity(journey journey, lifecycle lifecycle, as_of timestamptz) (
    SFUNC = _velocity_add_journey, STYPE = velocity_summary, SSPACE = 1024,
    FINALFUNC = _velocity_final, COMBINEFUNC = _velocity_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stage_velocity(journey journey, lifecycle lifecycle, as_of timestamptz) IS
'How long subjects stay in each open or active stage, and how their visits end; visits still open at as_of count as censored. A row without journey is ignored; no rows give NULL. lifecycle, as_of and since must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 5 and 6.';

CREATE AGGREGATE stage_velocity(journey journey, lifecycle lifecycle, as_of timestamptz, since timestamptz) (
    SFUNC = _velocity_add_journey, STYPE = velocity_summary, SSPACE = 1024,
    FINALFUNC = _velocity_final, COMBINEFUNC = _velocity_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stage_velocity(journey journey, lifecycle lifecycle, as_of timestamptz, since timestamptz) IS
'How long subjects stay in each open or active stage, and how their visits end; visits still open at as_of count as censored. since: only what happens after it is observed; visits that began before enter late, at the age they had. A row without journey is ignored; no rows give NULL. lifecycle, as_of and since must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 5 and 6.';

CREATE AGGREGATE stage_velocity(pack journey_pack, lifecycle lifecycle, as_of timestamptz) (
    SFUNC = _velocity_add_pack, STYPE = velocity_summary, SSPACE = 1024,
    FINALFUNC = _velocity_final, COMBINEFUNC = _velocity_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stage_velocity(pack journey_pack, lifecycle lifecycle, as_of timestamptz) IS
'How long subjects stay in each open or active stage, and how their visits end; visits still open at as_of count as censored. A row without journey is ignored; no rows give NULL. lifecycle, as_of and since must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 5 and 6.';

CREATE AGGREGATE stage_velocity(pack journey_pack, lifecycle lifecycle, as_of timestamptz, since timestamptz) (
    SFUNC = _velocity_add_pack, STYPE = velocity_summary, SSPACE = 1024,
    FINALFUNC = _velocity_final, COMBINEFUNC = _velocity_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE stage_velocity(pack journey_pack, lifecycle lifecycle, as_of timestamptz, since timestamptz) IS
'How long subjects stay in each open or active stage, and how their visits end; visits still open at as_of count as censored. since: only what happens after it is observed; visits that began before enter late, at the age they had. A row without journey is ignored; no rows give NULL. lifecycle, as_of and since must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 5 and 6.';

CREATE AGGREGATE rollup(velocity_summary) (
    SFUNC = _velocity_add_summary, STYPE = velocity_summary, SSPACE = 4096,
    FINALFUNC = _velocity_final, COMBINEFUNC = _velocity_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(velocity_summary) IS
'Merges summaries of disjoint sets of subjects. Summaries of different definitions (RV001) or times (RV002) are refused.';

-- Rows

CREATE FUNCTION stages(velocity_summary, confidence double precision DEFAULT 0.95)
RETURNS TABLE (
    stage_no int, stage text, category text, visits bigint, pending bigint,
    forward bigint, skip bigint, back bigint, repeat bigint,
    won bigint, lost bigint, no_decision bigint, recycled bigint, churned bigint,
    median_days numeric, median_low_days numeric, median_high_days numeric,
    p25_days numeric, p75_days numeric, p90_days numeric,
    last_observed_days numeric, relative_error numeric)
AS 'MODULE_PATHNAME', 'revacct_velocity_stages'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 8;
COMMENT ON FUNCTION stages(velocity_summary, double precision) IS
'The summary as one row for each open or active stage, in order. visits: all, of which pending are still open; then finished ones by exit: to the next stage, past it, back, again into the same, or out. Quantiles are Kaplan-Meier, in days of 24 hours, with log-log limits; NULL when not reached by last_observed_days. relative_error: 0 while durations are exact, else the most by which one can be off. Quantiles must not be summed or averaged: merge with rollup() and read again.';

-- Counts

CREATE FUNCTION visits(velocity_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_velocity_visits'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION visits(velocity_summary, text) IS
'How many visits a stage had. An unknown stage is an error (22023).';

CREATE FUNCTION pending(velocity_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_velocity_pending'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION pending(velocity_summary, text) IS
'How many visits of a stage are still open.';

CREATE FUNCTION exits(velocity_summary, stage text, exit text DEFAULT NULL)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_velocity_exits'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION exits(velocity_summary, text, text) IS
'How many visits of a stage ended, by one exit (forward, skip, back, repeat, won, lost, no_decision, recycled, churned) or, with NULL, by any.';

CREATE FUNCTION subjects(velocity_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_velocity_subjects'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subjects(velocity_summary) IS
'How many journeys the summary has read.';

CREATE FUNCTION unknown_marks(velocity_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_velocity_unknown_marks'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION unknown_marks(velocity_summary) IS
'How many marks up to as_of were of a stage that the lifecycle did not know (mark 0).';

-- Durations

CREATE FUNCTION quantile(velocity_summary, stage text, p double precision, plateau text DEFAULT 'midpoint')
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_velocity_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantile(velocity_summary, text, double precision, text) IS
'The Kaplan-Meier quantile p of the time in a stage: the first time by which a share p has left. Where the curve is flat at exactly p: the middle of the plateau, or its beginning with plateau => ''min''. NULL when not reached. Days have 24 hours.';

-- Its first parameter has a name: PostgreSQL deparses a body with a nameless one beside named ones into what it cannot read,
-- and pg_upgrade stops there.
CREATE FUNCTION median(summary velocity_summary, stage text)
RETURNS interval
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 100
BEGIN ATOMIC
    SELECT quantile(summary, stage, 0.5);
END;
COMMENT ON FUNCTION median(velocity_summary, text) IS
'The Kaplan-Meier median of the time in a stage; NULL when not reached. The same as quantile(summary, stage, 0.5).';

CREATE FUNCTION quantile_low(velocity_summary, stage text, p double precision, confidence double precision DEFAULT 0.95, limits text DEFAULT 'log-log')
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_velocity_quantile_low'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantile_low(velocity_summary, text, double precision, double precision, text) IS
'The lower confidence limit of quantile(summary, stage, p): where the lower limit of the survival curve falls to 1 - p. limits: log-log, log or plain. NULL when not reached.';

CREATE FUNCTION quantile_high(velocity_summary, stage text, p double precision, confidence double precision DEFAULT 0.95, limits text DEFAULT 'log-log')
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_velocity_quantile_high'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION quantile_high(velocity_summary, text, double precision, double precision, text) IS
'The upper confidence limit of quantile(summary, stage, p): where the upper limit of the survival curve falls to 1 - p. limits: log-log, log or plain. NULL when not reached.';

CREATE FUNCTION survival_at(velocity_summary, stage text, age interval)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_velocity_survival_at'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION survival_at(velocity_summary, text, interval) IS
'The share still in a stage at an age (Kaplan-Meier). NULL past the last observed time unless nobody was left.';

CREATE FUNCTION survival_curve(velocity_summary, stage text, confidence double precision DEFAULT 0.95, limits text DEFAULT 'log-log')
RETURNS TABLE (
    age interval, at_risk bigint, events bigint, censored bigint,
    survival double precision, std_error double precision, low double precision, high double precision,
    bracket_low double precision, bracket_high double precision)
AS 'MODULE_PATHNAME', 'revacct_velocity_survival_curve'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 500;
COMMENT ON FUNCTION survival_curve(velocity_summary, text, double precision, text) IS
'The Kaplan-Meier curve of the time in a stage: one row for each age at which somebody left or observation ended. Greenwood standard error; limits: log-log, log or plain. The bracket surely holds the exact curve when durations are binned, and is survival itself while they are exact.';

CREATE FUNCTION incidence_at(velocity_summary, stage text, exit text, age interval)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_velocity_incidence_at'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION incidence_at(velocity_summary, text, text, interval) IS
'The share that has left a stage by one exit by an age (Aalen-Johansen, all other exits competing). NULL past the last observed time unless nobody was left.';

CREATE FUNCTION incidence_curve(velocity_summary, stage text, exit text)
RETURNS TABLE (
    age interval, at_risk bigint, events bigint, incidence double precision, std_error double precision)
AS 'MODULE_PATHNAME', 'revacct_velocity_incidence_curve'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 500;
COMMENT ON FUNCTION incidence_curve(velocity_summary, text, text) IS
'The cumulative incidence (Aalen-Johansen) of one exit from a stage: one row for each age at which somebody left or observation ended. The incidences of all exits and the survival sum to 1.';

CREATE FUNCTION restricted_mean(velocity_summary, stage text, tau interval DEFAULT NULL, OUT mean interval, OUT std_error interval, OUT tau_used interval)
RETURNS record
AS 'MODULE_PATHNAME', 'revacct_velocity_restricted_mean'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION restricted_mean(velocity_summary, text, interval) IS
'The mean time in a stage up to tau (default: the last observed time). A tau past the last observed time is an error (22023), unless nobody was left then.';

CREATE FUNCTION exit_probability(velocity_summary, stage text, exit text, age interval, horizon interval, OUT probability double precision, OUT at_risk bigint)
RETURNS record
AS 'MODULE_PATHNAME', 'revacct_velocity_exit_probability'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION exit_probability(velocity_summary, text, text, interval, interval) IS
'The probability that somebody who is still in a stage at an age leaves by an exit within the horizon, and how many were at risk at that age. NULL beyond what was observed.';

CREATE FUNCTION log_rank(velocity_summary[], stage text, OUT chi_square double precision, OUT df int, OUT p_value double precision, OUT observed double precision[], OUT expected double precision[])
RETURNS record
AS 'MODULE_PATHNAME', 'revacct_velocity_log_rank'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION log_rank(velocity_summary[], text) IS
'Do groups differ in how long they stay in a stage? The log-rank test between the summaries of an array (array_agg), all of one definition (RV001); observed and expected exits in the order of the groups. NULL when there is nothing to compare.';

CREATE FUNCTION business_clock(velocity_summary)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_business_clock'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION business_clock(velocity_summary) IS
'The summary read by the business clock: every accessor then speaks of business time, in which a day has 24 business hours. An error (22023) if its lifecycle has no calendar.';

CREATE FUNCTION as_of(velocity_summary)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_velocity_as_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION as_of(velocity_summary) IS
'The time as of which the summary was made.';

CREATE FUNCTION lifecycle(velocity_summary)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_velocity_lifecycle'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle(velocity_summary) IS
'The definition under which the summary was made.';

CREATE FUNCTION fingerprint(velocity_summary)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_velocity_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(velocity_summary) IS
'The fingerprint of the definition under which the summary was made.';

-- The rows behind the numbers

CREATE FUNCTION stage_spans(journey, lifecycle lifecycle, as_of timestamptz, since timestamptz DEFAULT NULL)
RETURNS TABLE (
    attempt_no int, visit_no int, stage_no int, stage text,
    entered_at timestamptz, left_at timestamptz, exit text, duration interval, measured boolean, business_duration interval)
AS 'MODULE_PATHNAME', 'revacct_velocity_stage_spans'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50 ROWS 5;
COMMENT ON FUNCTION stage_spans(journey, lifecycle, timestamptz, timestamptz) IS
'One row for each visit in a journey; visits tile each attempt. left_at and exit are NULL while open, and duration then runs to as_of. stage_velocity measures those that are measured: not those left out by the visits option, entry_range or since. business_duration: in hours of the lifecycle''s calendar, if it has one.';
