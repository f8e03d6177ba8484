--
-- funnel.sql: how far subjects come.
--

-- Aggregates

CREATE FUNCTION _funnel_add_journey(funnel_summary, journey, lifecycle, timestamptz)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION _funnel_add_journey(funnel_summary, journey, lifecycle, timestamptz) IS
'Transition function of funnel_conversion(journey, lifecycle, as_of).';

CREATE FUNCTION _funnel_add_journey(funnel_summary, journey, lifecycle, timestamptz, numeric)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 15;
COMMENT ON FUNCTION _funnel_add_journey(funnel_summary, journey, lifecycle, timestamptz, numeric) IS
'Transition function of funnel_conversion(journey, lifecycle, as_of, amount).';

CREATE FUNCTION _funnel_add_pack(funnel_summary, journey_pack, lifecycle, timestamptz)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_add_pack'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION _funnel_add_pack(funnel_summary, journey_pack, lifecycle, timestamptz) IS
'Transition function of funnel_conversion(journey_pack, lifecycle, as_of).';

CREATE FUNCTION _funnel_add_summary(funnel_summary, funnel_summary)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_add_summary'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION _funnel_add_summary(funnel_summary, funnel_summary) IS
'Transition function of rollup(funnel_summary), and combine function.';

CREATE FUNCTION _funnel_final(funnel_summary)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _funnel_final(funnel_summary) IS
'Final function of the aggregates that make funnel summaries.';

CREATE AGGREGATE funnel_conversion(journey journey, lifecycle lifecycle, as_of timestamptz) (
    SFUNC = _funnel_add_journey, STYPE = funnel_summary, SSPACE = 400,
    FINALFUNC = _funnel_final, COMBINEFUNC = _funnel_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE funnel_conversion(journey journey, lifecycle lifecycle, as_of timestamptz) IS
'How far subjects come by as_of under a lifecycle: for each step how many entered (observed or imputed), converted, were lost, are in progress or expired. A row without journey is ignored; no rows give NULL. lifecycle and as_of must be the same for all rows (RV001, RV002), as_of finite. Source: docs/semantics.md, 3 and 4.';

CREATE AGGREGATE funnel_conversion(journey journey, lifecycle lifecycle, as_of timestamptz, amount numeric) (
    SFUNC = _funnel_add_journey, STYPE = funnel_summary, SSPACE = 2048,
    FINALFUNC = _funnel_final, COMBINEFUNC = _funnel_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE funnel_conversion(journey journey, lifecycle lifecycle, as_of timestamptz, amount numeric) IS
'How far subjects come by as_of under a lifecycle: for each step how many entered (observed or imputed), converted, were lost, are in progress or expired. amount: the subject''s worth, in one currency, with at most four decimals (22023); NULL adds nothing. A row without journey is ignored; no rows give NULL. lifecycle and as_of must be the same for all rows (RV001, RV002), as_of finite. Source: docs/semantics.md, 3 and 4.';

CREATE AGGREGATE funnel_conversion(pack journey_pack, lifecycle lifecycle, as_of timestamptz) (
    SFUNC = _funnel_add_pack, STYPE = funnel_summary, SSPACE = 400,
    FINALFUNC = _funnel_final, COMBINEFUNC = _funnel_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE funnel_conversion(pack journey_pack, lifecycle lifecycle, as_of timestamptz) IS
'How far subjects come by as_of under a lifecycle: for each step how many entered (observed or imputed), converted, were lost, are in progress or expired. Every subject of the pack is read as a journey. A row without journey is ignored; no rows give NULL. lifecycle and as_of must be the same for all rows (RV001, RV002), as_of finite. Source: docs/semantics.md, 3 and 4.';

CREATE AGGREGATE rollup(funnel_summary) (
    SFUNC = _funnel_add_summary, STYPE = funnel_summary, SSPACE = 1024,
    FINALFUNC = _funnel_final, COMBINEFUNC = _funnel_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(funnel_summary) IS
'Merges summaries of disjoint sets of subjects. Summaries of different definitions (RV001) or times (RV002) are refused.';

-- Rows

CREATE FUNCTION stages(funnel_summary, confidence double precision DEFAULT 0.95)
RETURNS TABLE (
    stage_no int, stage text, category text,
    entered bigint, observed bigint, imputed bigint, converted bigint, lost bigint,
    no_decision bigint, recycled bigint, churned bigint, in_progress bigint, expired bigint,
    conversion_rate numeric, rate_low numeric, rate_high numeric,
    decided_rate numeric, decided_low numeric, decided_high numeric,
    repeats bigint, regresses bigint, timed_count bigint, mean_days_to_convert numeric,
    amount_entered numeric, amount_converted numeric, amount_lost numeric,
    amount_rate numeric, amount_n_effective numeric)
AS 'MODULE_PATHNAME', 'revacct_funnel_stages'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 8;
COMMENT ON FUNCTION stages(funnel_summary, double precision) IS
'The summary as one row for each step, in order. converted + lost + in_progress + expired = entered = observed + imputed. lost: all exits that are not won, of which no_decision, recycled and churned are shown too. conversion_rate: converted / entered; decided_rate: converted / (converted + lost + expired), biased while many are in progress (see incidence_at for velocity summaries); each with Wilson limits at the confidence asked for, and NULL when there is nothing to divide by. repeats: further entries into the stage in the same attempt; regresses: those that came back from a later stage. mean_days_to_convert: over the timed_count conversions seen so far, to the next entry of any later stage. Amounts are NULL when none were given. Rates and means must not be summed or averaged: merge with rollup() and read again.';

-- Scalars

CREATE FUNCTION entered(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_entered'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION entered(funnel_summary, text) IS
'How many attempts entered a step, observed or imputed. An unknown step is an error (22023).';

CREATE FUNCTION observed(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_observed'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION observed(funnel_summary, text) IS
'How many attempts entered a step with a mark of it. An unknown step is an error (22023).';

CREATE FUNCTION imputed(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_imputed'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION imputed(funnel_summary, text) IS
'How many attempts passed a step without a mark of it (skip => ''impute''). An unknown step is an error (22023).';

CREATE FUNCTION converted(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_converted'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION converted(funnel_summary, text) IS
'How many attempts that entered a step went on to a later one; of the won step, all. An unknown step is an error (22023).';

CREATE FUNCTION lost(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_lost'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lost(funnel_summary, text) IS
'How many attempts ended in a step by an exit that is not won. An unknown step is an error (22023).';

CREATE FUNCTION in_progress(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_in_progress'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION in_progress(funnel_summary, text) IS
'How many attempts are in a step and may go on. An unknown step is an error (22023).';

CREATE FUNCTION expired(funnel_summary, stage text)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_expired'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION expired(funnel_summary, text) IS
'How many attempts stayed in a step until their window closed. An unknown step is an error (22023).';

CREATE FUNCTION conversion_rate(funnel_summary, stage text, "of" text DEFAULT 'entered')
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_funnel_conversion_rate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION conversion_rate(funnel_summary, text, text) IS
'The share (0 to 1) of attempts in a step that went on to a later one. of => ''entered'' divides by all that entered, ''decided'' by those that converted, were lost or expired. NULL when that is nobody.';

CREATE FUNCTION conversion_rate_low(funnel_summary, stage text, "of" text DEFAULT 'entered', confidence double precision DEFAULT 0.95)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_funnel_conversion_rate_low'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION conversion_rate_low(funnel_summary, text, text, double precision) IS
'The lower Wilson limit of conversion_rate. of => ''entered'' divides by all that entered, ''decided'' by those that converted, were lost or expired. NULL when that is nobody.';

CREATE FUNCTION conversion_rate_high(funnel_summary, stage text, "of" text DEFAULT 'entered', confidence double precision DEFAULT 0.95)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_funnel_conversion_rate_high'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION conversion_rate_high(funnel_summary, text, text, double precision) IS
'The upper Wilson limit of conversion_rate. of => ''entered'' divides by all that entered, ''decided'' by those that converted, were lost or expired. NULL when that is nobody.';

CREATE FUNCTION subjects(funnel_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_subjects'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subjects(funnel_summary) IS
'How many journeys the summary has read, with an entry or without.';

CREATE FUNCTION attempts(funnel_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_attempt_count'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION attempts(funnel_summary) IS
'How many attempts they made, those included that the attempt option or entry_range leaves out.';

CREATE FUNCTION recycled_attempts(funnel_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_recycled'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION recycled_attempts(funnel_summary) IS
'How many of all attempts ended recycled, those included that do not count.';

CREATE FUNCTION unknown_marks(funnel_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_funnel_unknown_marks'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION unknown_marks(funnel_summary) IS
'How many marks up to as_of were of a stage that the lifecycle did not know (mark 0).';

CREATE FUNCTION as_of(funnel_summary)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_funnel_as_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION as_of(funnel_summary) IS
'The time as of which the summary was made.';

CREATE FUNCTION lifecycle(funnel_summary)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_funnel_lifecycle'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle(funnel_summary) IS
'The definition under which the summary was made.';

CREATE FUNCTION fingerprint(funnel_summary)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_funnel_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(funnel_summary) IS
'The fingerprint of the definition under which the summary was made.';

-- The rows behind the numbers

CREATE FUNCTION funnel_attempts(journey, lifecycle lifecycle, as_of timestamptz)
RETURNS TABLE (
    attempt_no int, counted boolean, opened_at timestamptz, ended_at timestamptz, outcome text,
    stage_no int, stage text, imputed boolean, entered_at timestamptz, status text,
    converted_at timestamptz, repeats int, regresses int)
AS 'MODULE_PATHNAME', 'revacct_funnel_attempts'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 50 ROWS 5;
COMMENT ON FUNCTION funnel_attempts(journey, lifecycle, timestamptz) IS
'One row for each attempt in a journey and each step it entered; funnel_conversion counts those that are counted. outcome: won, lost, no_decision, recycled, churned, expired or in_progress; status of the step: converted, lost, in_progress or expired; ended_at is NULL while in progress, and for an expired attempt when its window closed; entered_at is NULL when imputed.';
