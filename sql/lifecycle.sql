--
-- lifecycle.sql: definitions, made from plain arguments.
--

CREATE FUNCTION lifecycle(
    name text,
    stages text[],
    active text[] DEFAULT '{}',
    won text DEFAULT NULL,
    lost text[] DEFAULT '{}',
    no_decision text[] DEFAULT '{}',
    recycled text[] DEFAULT '{}',
    churned text[] DEFAULT '{}',
    marks text[] DEFAULT NULL,
    skip text DEFAULT 'impute',
    attempt text DEFAULT 'best',
    within interval DEFAULT NULL,
    step_within interval[] DEFAULT NULL,
    times text DEFAULT 'nondecreasing',
    entry_range tstzrange DEFAULT NULL,
    visits text DEFAULT 'all',
    unknown text DEFAULT 'error',
    time_zone text DEFAULT 'UTC',
    calendar business_calendar DEFAULT NULL)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_lifecycle'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION lifecycle(text, text[], text[], text, text[], text[], text[], text[], text[], text, text, interval, interval[], text, tstzrange, text, text, text, business_calendar) IS
'A definition. stages: open stages, in order; active: stages of a customer in force; won, lost, no_decision, recycled, churned: stages that end an attempt. Stages are numbered in that order, and stage n is mark n, unless marks gives a list of mark ids for each, such as {1 5, 2, 3}.
skip: impute (a later stage counts as having passed the earlier ones), strict (in order only) or any (each on its own). attempt: first, last, best or all. within: window from the first step; step_within: from the previous step, one a step. times: nondecreasing or increasing. entry_range: which entries count. visits: all, first, last or cumulative, for velocity. unknown: what mark() does with a stage it does not know: error, or count apart as mark 0. time_zone: where calendar months and days of windows are counted. calendar: velocity keeps durations in business time too.
Errors: invalid_parameter_value (22023), naming the stage or option; program_limit_exceeded (54000) beyond 64 steps. Source: docs/semantics.md, 2.';

CREATE FUNCTION mark(lifecycle lifecycle, stage text)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_lifecycle_mark'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION mark(lifecycle, text) IS
'The mark of a stage, to be folded into a journey; NULL for NULL. A stage that the lifecycle does not know is an error (22023), or mark 0 if the lifecycle has unknown => ''count''.';

CREATE FUNCTION fingerprint(lifecycle lifecycle)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_definition_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(lifecycle) IS
'16 hexadecimal digits that are the same for two lifecycles exactly if they are the same definition: the first 8 bytes of the SHA-256 of its stored form.';

-- Comparison: definitions can be grouped and told apart

CREATE FUNCTION lifecycle_eq(lifecycle, lifecycle)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_eq(lifecycle, lifecycle) IS
'Equal: the same definition.';

CREATE FUNCTION lifecycle_ne(lifecycle, lifecycle)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_ne(lifecycle, lifecycle) IS
'Not equal: different definitions.';

CREATE FUNCTION lifecycle_hash(lifecycle)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_definition_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_hash(lifecycle) IS
'Hash for grouping.';

CREATE FUNCTION definition_hash_extended(lifecycle, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_definition_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION definition_hash_extended(lifecycle, bigint) IS
'Hash with a seed, for partitioning.';

CREATE OPERATOR = (
    LEFTARG = lifecycle, RIGHTARG = lifecycle, FUNCTION = lifecycle_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (lifecycle, lifecycle) IS 'The same definition.';

CREATE OPERATOR <> (
    LEFTARG = lifecycle, RIGHTARG = lifecycle, FUNCTION = lifecycle_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (lifecycle, lifecycle) IS 'Different definitions.';

CREATE OPERATOR CLASS lifecycle_ops DEFAULT FOR TYPE lifecycle USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 lifecycle_hash(lifecycle);
-- (added to the family, so that an upgrade can do the same)
ALTER OPERATOR FAMILY lifecycle_ops USING hash ADD FUNCTION 2 (lifecycle, lifecycle) definition_hash_extended(lifecycle, bigint);
COMMENT ON OPERATOR CLASS lifecycle_ops USING hash IS 'Hashes lifecycles by their fingerprints.';
