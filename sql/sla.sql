--
-- sla.sql: clocks that marks start and stop, and the policies by which they are judged.
--

CREATE FUNCTION sla(
    name text,
    start text[],
    stop text[] DEFAULT '{}',
    pause text[] DEFAULT '{}',
    resume text[] DEFAULT '{}',
    reset text[] DEFAULT '{}',
    cancel text[] DEFAULT '{}',
    segment text[] DEFAULT '{}',
    owner text[] DEFAULT '{}',
    promise text[] DEFAULT '{}',
    marks text[] DEFAULT NULL,
    lifecycle lifecycle DEFAULT NULL,
    target interval DEFAULT NULL,
    calendar business_calendar DEFAULT NULL,
    warnings numeric[] DEFAULT '{0.8}',
    escalations text[] DEFAULT '{}',
    version text DEFAULT '',
    valid tstzrange DEFAULT NULL,
    segments bigint[] DEFAULT NULL,
    owners bigint[] DEFAULT NULL,
    reopen text DEFAULT 'resume',
    change text DEFAULT 'carry',
    phases text[] DEFAULT '{}',
    max_clocks int DEFAULT NULL,
    beyond text DEFAULT 'ignore')
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_sla'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION sla(text, text[], text[], text[], text[], text[], text[], text[], text[], text[], text[], lifecycle, interval, business_calendar, numeric[], text[], text, tstzrange, bigint[], bigint[], text, text, text[], int, text) IS
'An SLA of one policy. start, stop, pause, resume, reset, cancel: names of marks that do so to a clock; segment, owner: marks whose value tells the subject''s; promise: marks whose value is the promised instant (promise_value). marks: the mark ids of each name, such as {created=1, replied=20 21}; lifecycle: its stages are names too; with neither, names are numbered in order of appearance.
The policy: target (longer than nothing; in hours and less when there is a calendar), calendar (none: wall time), warnings (parts of the target), escalations (such as 80% to owner, breach + 4 hours to director), version, valid, segments and owners it is for (NULL: all).
reopen: what a start after a stop does: resume, restart or ignore. change: what a change of policy, segment or owner does to an open clock: carry or restart. phases: such as {routing until assigned, human}. max_clocks: how many clocks a cycle may have; beyond: what further starts do: ignore or breach.
Errors: invalid_parameter_value (22023), naming the option. Source: docs/semantics.md, 9.';

CREATE FUNCTION sla(sla[])
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_sla_of_slas'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION sla(sla[]) IS
'One SLA with the policies of several, which agree in all else; usually of array_agg(sla(...)). The most specific policy is in force: one for owners before one for segments before one for all. Two that would be in force at once are refused (22023). NULL for an empty array.';

CREATE FUNCTION mark(sla sla, name text)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_sla_mark'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION mark(sla, text) IS
'The mark of a name, to be folded into a journey; NULL for NULL. A name that the SLA does not know is an error (22023).';

CREATE FUNCTION sla_name(sla sla)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_definition_name'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_name(sla) IS
'The name of an SLA, which its versions share.';

CREATE FUNCTION promise_value(deadline timestamptz)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_promise_value'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION promise_value(timestamptz) IS
'A deadline as the value of a promise mark: microseconds since 1970-01-01 UTC.';

CREATE FUNCTION fingerprint(sla)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_definition_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(sla) IS
'16 hexadecimal digits that are the same for two SLAs exactly if they are the same definition.';

-- Comparison: definitions can be grouped and told apart

CREATE FUNCTION sla_eq(sla, sla)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_eq(sla, sla) IS
'Equal: the same definition.';

CREATE FUNCTION sla_ne(sla, sla)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_ne(sla, sla) IS
'Not equal: different definitions.';

CREATE FUNCTION sla_hash(sla)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_definition_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_hash(sla) IS
'Hash for grouping.';

CREATE FUNCTION definition_hash_extended(sla, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_definition_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION definition_hash_extended(sla, bigint) IS
'Hash with a seed, for partitioning.';

CREATE OPERATOR = (
    LEFTARG = sla, RIGHTARG = sla, FUNCTION = sla_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (sla, sla) IS 'The same definition.';

CREATE OPERATOR <> (
    LEFTARG = sla, RIGHTARG = sla, FUNCTION = sla_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (sla, sla) IS 'Different definitions.';

CREATE OPERATOR CLASS sla_ops DEFAULT FOR TYPE sla USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 sla_hash(sla);
-- (added to the family, so that an upgrade can do the same)
ALTER OPERATOR FAMILY sla_ops USING hash ADD FUNCTION 2 (sla, sla) definition_hash_extended(sla, bigint);
COMMENT ON OPERATOR CLASS sla_ops USING hash IS 'Hashes SLAs by their fingerprints.';

-- Aggregates

CREATE FUNCTION _breach_add_journey(breach_summary, journey, sla, timestamptz)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 10;
COMMENT ON FUNCTION _breach_add_journey(breach_summary, journey, sla, timestamptz) IS
'Transition function of sla_breach(journey, sla, as_of).';

CREATE FUNCTION _breach_add_pack(breach_summary, journey_pack, sla, timestamptz)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_add_pack'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 5000;
COMMENT ON FUNCTION _breach_add_pack(breach_summary, journey_pack, sla, timestamptz) IS
'Transition function of sla_breach(journey_pack, sla, as_of).';

CREATE FUNCTION _breach_add_summary(breach_summary, breach_summary)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_add_summary'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION _breach_add_summary(breach_summary, breach_summary) IS
'Transition function of rollup(breach_summary), and combine function.';

CREATE FUNCTION _breach_final(breach_summary)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION _breach_final(breach_summary) IS
'Final function of the aggregates that make breach summaries.';

CREATE AGGREGATE sla_breach(journey journey, sla sla, as_of timestamptz) (
    SFUNC = _breach_add_journey, STYPE = breach_summary, SSPACE = 1024,
    FINALFUNC = _breach_final, COMBINEFUNC = _breach_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sla_breach(journey journey, sla sla, as_of timestamptz) IS
'Clocks of an SLA as of an instant: met, breached, running, paused, cancelled, by policy, and how long they ran. A row without journey is ignored; no rows give NULL. sla and as_of must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 9.';

CREATE AGGREGATE sla_breach(pack journey_pack, sla sla, as_of timestamptz) (
    SFUNC = _breach_add_pack, STYPE = breach_summary, SSPACE = 1024,
    FINALFUNC = _breach_final, COMBINEFUNC = _breach_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE sla_breach(pack journey_pack, sla sla, as_of timestamptz) IS
'Clocks of an SLA as of an instant: met, breached, running, paused, cancelled, by policy, and how long they ran. A row without journey is ignored; no rows give NULL. sla and as_of must be the same for all rows (RV001, RV002). Source: docs/semantics.md, 9.';

CREATE AGGREGATE rollup(breach_summary) (
    SFUNC = _breach_add_summary, STYPE = breach_summary, SSPACE = 4096,
    FINALFUNC = _breach_final, COMBINEFUNC = _breach_add_summary, PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(breach_summary) IS
'Merges summaries of disjoint sets of subjects. Summaries of different SLAs (RV001) or times (RV002) are refused.';

-- Counts

CREATE FUNCTION subjects(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_subjects'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subjects(breach_summary) IS
'How many journeys the summary has read.';

CREATE FUNCTION started(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_started'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION started(breach_summary) IS
'How many clocks were opened and covered by a policy: met + breached + running + paused + cancelled.';

CREATE FUNCTION met(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_met'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION met(breach_summary) IS
'How many clocks were stopped in time.';

CREATE FUNCTION breached(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_breached'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breached(breach_summary) IS
'How many clocks ran longer than their target, whether stopped, cancelled or still open.';

CREATE FUNCTION running(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_running'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION running(breach_summary) IS
'How many clocks run and are not breached.';

CREATE FUNCTION paused(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_paused'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION paused(breach_summary) IS
'How many clocks stand still and are not breached.';

CREATE FUNCTION cancelled(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_cancelled'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION cancelled(breach_summary) IS
'How many clocks were cancelled or reset before they were breached.';

CREATE FUNCTION at_risk(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_at_risk'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION at_risk(breach_summary) IS
'How many clocks run or stand still, are not breached, and have used the part of their target that the first warning names.';

CREATE FUNCTION overdue(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_overdue'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION overdue(breach_summary) IS
'How many breached clocks are still open.';

CREATE FUNCTION not_covered(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_not_covered'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION not_covered(breach_summary) IS
'How many clocks no policy with a target ever covered. They are not among those started.';

CREATE FUNCTION beyond_horizon(breach_summary)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_breach_beyond_horizon'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION beyond_horizon(breach_summary) IS
'How many clocks depend on dates whose holidays are not known.';

-- Rates and times

CREATE FUNCTION breach_rate(breach_summary)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_breach_rate'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_rate(breach_summary) IS
'Breached / (met + breached): the share among clocks that are decided. NULL when none is. On a young cohort quick successes are decided before breaches are: see elapsed_quantile.';

CREATE FUNCTION breach_rate_low(breach_summary, confidence double precision DEFAULT 0.95)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_breach_rate_low'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_rate_low(breach_summary, double precision) IS
'The lower Wilson limit of breach_rate. NULL when no clock is decided.';

CREATE FUNCTION breach_rate_high(breach_summary, confidence double precision DEFAULT 0.95)
RETURNS double precision
AS 'MODULE_PATHNAME', 'revacct_breach_rate_high'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_rate_high(breach_summary, double precision) IS
'The upper Wilson limit of breach_rate. NULL when no clock is decided.';

CREATE FUNCTION elapsed_quantile(breach_summary, p double precision)
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_breach_elapsed_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION elapsed_quantile(breach_summary, double precision) IS
'The Kaplan-Meier quantile p of the time until a clock stops, in hours of the clock: all that are not stopped count as censored. NULL when not reached. A share outside 0 to 1 is an error (22023).';

CREATE FUNCTION overdue_quantile(breach_summary, p double precision)
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_breach_overdue_quantile'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION overdue_quantile(breach_summary, double precision) IS
'The Kaplan-Meier quantile p of the time by which breached clocks pass their target until they stop, in hours of the clock. NULL when not reached. A share outside 0 to 1 is an error (22023).';

-- Rows

CREATE FUNCTION policies(breach_summary, confidence double precision DEFAULT 0.95)
RETURNS TABLE (
    policy_no int, version text, valid tstzrange, segments bigint[], owners bigint[], target interval,
    started bigint, met bigint, breached bigint, running bigint, paused bigint, cancelled bigint,
    at_risk bigint, overdue bigint, beyond_horizon bigint,
    breach_rate numeric, rate_low numeric, rate_high numeric,
    median_hours numeric, p90_hours numeric, last_observed_hours numeric, median_overdue_hours numeric)
AS 'MODULE_PATHNAME', 'revacct_breach_policies'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 4;
COMMENT ON FUNCTION policies(breach_summary, double precision) IS
'The summary as one row for each policy of its SLA; a clock counts for the policy in force at its end. valid, segments, owners: NULL for all. started = met + breached + running + paused + cancelled. breach_rate: breached / (met + breached), with Wilson limits. Quantiles are Kaplan-Meier, in hours of the clock; NULL when not reached by last_observed_hours. Rates and quantiles must not be summed or averaged: merge with rollup() and read again.';

CREATE FUNCTION phases(breach_summary)
RETURNS TABLE (
    phase_no int, phase text, stopped bigint, sum_seconds numeric, mean_hours numeric,
    median_hours numeric, p90_hours numeric)
AS 'MODULE_PATHNAME', 'revacct_breach_phases'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 4;
COMMENT ON FUNCTION phases(breach_summary) IS
'How long clocks were in each phase: row 0 is the whole, then each phase in order. sum_seconds and mean_hours are of the stopped clocks, and those of the phases add up to the whole. Quantiles are Kaplan-Meier over all clocks that were in the phase, and do not add up.';

CREATE FUNCTION sla(breach_summary)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_breach_sla'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla(breach_summary) IS
'The definition under which the summary was made.';

CREATE FUNCTION fingerprint(breach_summary)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_breach_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(breach_summary) IS
'The fingerprint of the definition under which the summary was made.';

CREATE FUNCTION as_of(breach_summary)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_breach_as_of'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION as_of(breach_summary) IS
'The time as of which the summary was made.';

-- The rows behind the numbers

CREATE FUNCTION sla_clocks(journey, sla sla, as_of timestamptz)
RETURNS TABLE (
    clock_no int, status text, started_at timestamptz, due_at timestamptz, breach_at timestamptz,
    ended_at timestamptz, ended_by text, elapsed interval, elapsed_wall interval, paused interval,
    target interval, remaining interval, overdue interval, fraction_used numeric, at_risk boolean,
    policy_no int, version text, segment bigint, owner bigint, beyond_horizon boolean)
AS 'MODULE_PATHNAME', 'revacct_sla_clocks'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50 ROWS 2;
COMMENT ON FUNCTION sla_clocks(journey, sla, timestamptz) IS
'One row for each clock that a policy covers: the worklist behind sla_breach, from the same code. status: met, breached, running, paused or cancelled. due_at: when elapsed reaches or reached the target; breach_at: the first open instant after that, or when it was breached; both NULL while nothing can be said. elapsed, target, remaining, overdue: time of the clock, in hours and less; elapsed_wall, paused: wall time. ended_at, ended_by: NULL while open.';

CREATE FUNCTION sla_open_clocks(journey_pack, sla sla, as_of timestamptz)
RETURNS TABLE (
    subject text, clock_no int, status text, started_at timestamptz, due_at timestamptz, breach_at timestamptz,
    ended_at timestamptz, ended_by text, elapsed interval, elapsed_wall interval, paused interval,
    target interval, remaining interval, overdue interval, fraction_used numeric, at_risk boolean,
    policy_no int, version text, segment bigint, owner bigint, beyond_horizon boolean)
AS 'MODULE_PATHNAME', 'revacct_sla_open_clocks'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5000 ROWS 100;
COMMENT ON FUNCTION sla_open_clocks(journey_pack, sla, timestamptz) IS
'Of each subject of a pack, what sla_clocks() tells of its clocks that have not ended.';

CREATE FUNCTION sla_phases(journey, sla sla, as_of timestamptz)
RETURNS TABLE (clock_no int, phase_no int, phase text, elapsed interval)
AS 'MODULE_PATHNAME', 'revacct_sla_phases'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50 ROWS 4;
COMMENT ON FUNCTION sla_phases(journey, sla, timestamptz) IS
'One row for each phase that a clock has been in; they add up to its elapsed.';

CREATE FUNCTION escalations(journey, sla sla, as_of timestamptz)
RETURNS TABLE (
    clock_no int, counting_since timestamptz, step_no int, step text, recipient text,
    raise_at timestamptz, is_due boolean)
AS 'MODULE_PATHNAME', 'revacct_escalations'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 50 ROWS 4;
COMMENT ON FUNCTION escalations(journey, sla, timestamptz) IS
'The escalation steps of the clocks that are open, by the policy in force: when each is to be raised, and whether that is due. raise_at is NULL while that cannot be said. What was raised already: escalations_due, raise_escalations.';
