--
-- journey.sql: one subject's history.
--

-- Aggregates

CREATE FUNCTION _journey_add_mark(journey, int, timestamptz)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_add_mark'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _journey_add_mark(journey, int, timestamptz) IS
'Transition function of journey(mark, at).';

CREATE FUNCTION _journey_add_mark(journey, int, timestamptz, bigint)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_add_mark'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _journey_add_mark(journey, int, timestamptz, bigint) IS
'Transition function of journey(mark, at, value).';

CREATE FUNCTION _journey_add_mark(journey, int, timestamptz, bigint, bigint)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_add_mark'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _journey_add_mark(journey, int, timestamptz, bigint, bigint) IS
'Transition function of journey(mark, at, value, seq).';

CREATE FUNCTION _journey_add_journey(journey, journey)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_add_journey'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _journey_add_journey(journey, journey) IS
'Transition function of rollup(journey).';

CREATE FUNCTION _journey_combine(journey, journey)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_combine'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _journey_combine(journey, journey) IS
'Combine function of the aggregates that make journeys.';

CREATE FUNCTION _journey_final(journey)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _journey_final(journey) IS
'Final function of the aggregates that make journeys.';

CREATE AGGREGATE journey(mark int, at timestamptz) (
    SFUNC = _journey_add_mark, STYPE = journey, SSPACE = 64,
    FINALFUNC = _journey_final, COMBINEFUNC = _journey_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey(mark int, at timestamptz) IS
'Folds marks into a journey. mark: a number from 0 to 32767; at: when. A row whose mark or time is NULL is ignored; an infinite time is an error (22008). Identical marks are one mark. Order of rows does not matter. Source: docs/semantics.md, 1.';

CREATE AGGREGATE journey(mark int, at timestamptz, value bigint) (
    SFUNC = _journey_add_mark, STYPE = journey, SSPACE = 64,
    FINALFUNC = _journey_final, COMBINEFUNC = _journey_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey(mark int, at timestamptz, value bigint) IS
'Folds marks into a journey. mark: a number from 0 to 32767; at: when. value: a number kept with the mark. A row whose mark or time is NULL is ignored; an infinite time is an error (22008). Identical marks are one mark. Order of rows does not matter. Source: docs/semantics.md, 1.';

CREATE AGGREGATE journey(mark int, at timestamptz, value bigint, seq bigint) (
    SFUNC = _journey_add_mark, STYPE = journey, SSPACE = 64,
    FINALFUNC = _journey_final, COMBINEFUNC = _journey_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey(mark int, at timestamptz, value bigint, seq bigint) IS
'Folds marks into a journey. mark: a number from 0 to 32767; at: when. value: a number kept with the mark; seq: decides the order at one instant. A row whose mark or time is NULL is ignored; an infinite time is an error (22008). Identical marks are one mark. Order of rows does not matter. Source: docs/semantics.md, 1.';

CREATE AGGREGATE rollup(journey) (
    SFUNC = _journey_add_journey, STYPE = journey, SSPACE = 64,
    FINALFUNC = _journey_final, COMBINEFUNC = _journey_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(journey) IS
'Unites the histories of one subject: all marks of all journeys, identical ones once.';

-- Accessors

CREATE FUNCTION marks(journey)
RETURNS TABLE (at timestamptz, mark int, value bigint, seq bigint)
AS 'MODULE_PATHNAME', 'revacct_journey_marks'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE ROWS 8;
COMMENT ON FUNCTION marks(journey) IS
'The marks of a journey as rows, in stored order: time, seq, mark, value.';

CREATE FUNCTION mark_count(journey)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_journey_mark_count'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mark_count(journey) IS
'How many marks a journey has.';

CREATE FUNCTION first_at(journey)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_journey_first_at'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION first_at(journey) IS
'The time of a journey''s first mark.';

CREATE FUNCTION last_at(journey)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_journey_last_at'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION last_at(journey) IS
'The time of a journey''s last mark.';

CREATE FUNCTION entered(journey, lifecycle lifecycle, stage text)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_lifecycle_entered'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION entered(journey, lifecycle, text) IS
'When the subject first entered a stage of the lifecycle; NULL if it never did. An unknown stage is an error (22023).';

CREATE FUNCTION entered(journey, lifecycle lifecycle)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_lifecycle_entered_any'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION entered(journey, lifecycle) IS
'When the subject first entered any stage of the lifecycle; NULL if it never did.';

CREATE FUNCTION current_stage(journey, lifecycle lifecycle, at timestamptz)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_lifecycle_current_stage'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 5;
COMMENT ON FUNCTION current_stage(journey, lifecycle, timestamptz) IS
'The stage a subject is in at an instant: that of its last stage mark at or before it, the last in stage order of tied ones; NULL before the first.';

CREATE FUNCTION merge(journey, journey)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_merge'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION merge(journey, journey) IS
'All marks of two journeys of one subject, identical ones once: what rollup() makes of them.';

CREATE FUNCTION _first_at(journey, marks int[])
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_journey_first_marked_at'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _first_at(journey, int[]) IS
'The time of the first mark that is one of these; NULL when there is none.';

CREATE FUNCTION _first_value(journey, marks int[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_journey_first_value'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _first_value(journey, int[]) IS
'The value of the first mark that is one of these; NULL when there is none, or it has no value.';

CREATE FUNCTION _last_value(journey, marks int[])
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_journey_last_value'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _last_value(journey, int[]) IS
'The value of the last mark that is one of these; NULL when there is none, or it has no value.';

CREATE FUNCTION _last_mark(journey, marks int[])
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_journey_last_mark'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _last_mark(journey, int[]) IS
'The last mark that is one of these; NULL when there is none.';

-- Comparison: journeys can be grouped, joined and sorted; the order has no meaning of its own

CREATE FUNCTION journey_eq(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_eq(journey, journey) IS
'Equal: the same marks.';

CREATE FUNCTION journey_ne(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_ne(journey, journey) IS
'Not equal.';

CREATE FUNCTION journey_lt(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_lt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_lt(journey, journey) IS
'Before, in an order without meaning of its own.';

CREATE FUNCTION journey_le(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_le'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_le(journey, journey) IS
'Before or equal.';

CREATE FUNCTION journey_gt(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_gt'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_gt(journey, journey) IS
'After.';

CREATE FUNCTION journey_ge(journey, journey)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_journey_ge'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_ge(journey, journey) IS
'After or equal.';

CREATE FUNCTION journey_cmp(journey, journey)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_journey_cmp'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_cmp(journey, journey) IS
'Comparison for sorting.';

CREATE FUNCTION journey_hash(journey)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_journey_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_hash(journey) IS
'Hash for grouping.';

CREATE FUNCTION journey_hash_extended(journey, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_journey_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_hash_extended(journey, bigint) IS
'Hash with a seed, for partitioning.';

CREATE OPERATOR = (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR = (journey, journey) IS 'Equal: the same marks.';

CREATE OPERATOR <> (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (journey, journey) IS 'Not equal.';

CREATE OPERATOR < (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_lt,
    COMMUTATOR = >, NEGATOR = >=, RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
COMMENT ON OPERATOR < (journey, journey) IS 'Before, in an order without meaning of its own.';

CREATE OPERATOR <= (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_le,
    COMMUTATOR = >=, NEGATOR = >, RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
COMMENT ON OPERATOR <= (journey, journey) IS 'Before or equal.';

CREATE OPERATOR > (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_gt,
    COMMUTATOR = <, NEGATOR = <=, RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
COMMENT ON OPERATOR > (journey, journey) IS 'After.';

CREATE OPERATOR >= (
    LEFTARG = journey, RIGHTARG = journey, FUNCTION = journey_ge,
    COMMUTATOR = <=, NEGATOR = <, RESTRICT = scalargesel, JOIN = scalargejoinsel
);
COMMENT ON OPERATOR >= (journey, journey) IS 'After or equal.';

CREATE OPERATOR CLASS journey_ops DEFAULT FOR TYPE journey USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >,
    FUNCTION 1 journey_cmp(journey, journey);
COMMENT ON OPERATOR CLASS journey_ops USING btree IS 'Sorts journeys by their stored bytes.';

CREATE OPERATOR CLASS journey_ops DEFAULT FOR TYPE journey USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 journey_hash(journey),
    FUNCTION 2 journey_hash_extended(journey, bigint);
COMMENT ON OPERATOR CLASS journey_ops USING hash IS 'Hashes journeys by their stored bytes.';
