--
-- pack.sql: many journeys in one value.
--

-- Aggregates

CREATE FUNCTION _pack_add_journey(journey_pack, bigint, journey)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_add_journey_of_number'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _pack_add_journey(journey_pack, bigint, journey) IS
'Transition function of journey_pack(bigint, journey).';

CREATE FUNCTION _pack_add_journey(journey_pack, text, journey)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_add_journey_of_text'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _pack_add_journey(journey_pack, text, journey) IS
'Transition function of journey_pack(text, journey).';

CREATE FUNCTION _pack_add_event(journey_pack, bigint, int, timestamptz)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_add_event'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _pack_add_event(journey_pack, bigint, int, timestamptz) IS
'Transition function of journey_pack(subject, mark, at).';

CREATE FUNCTION _pack_add_pack(journey_pack, journey_pack)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_add_pack'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _pack_add_pack(journey_pack, journey_pack) IS
'Transition function of rollup(journey_pack).';

CREATE FUNCTION _pack_combine(journey_pack, journey_pack)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_combine'
LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION _pack_combine(journey_pack, journey_pack) IS
'Combine function of the aggregates that make packs.';

CREATE FUNCTION _pack_final(journey_pack)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_final'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000;
COMMENT ON FUNCTION _pack_final(journey_pack) IS
'Final function of the aggregates that make packs.';

CREATE AGGREGATE journey_pack(subject bigint, journey journey) (
    SFUNC = _pack_add_journey, STYPE = journey_pack, SSPACE = 100000,
    FINALFUNC = _pack_final, COMBINEFUNC = _pack_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey_pack(subject bigint, journey journey) IS
'Packs journeys with their subjects. Several journeys of one subject are united. A row with a NULL is ignored. A pack beyond 1 GB is an error (54000).';

CREATE AGGREGATE journey_pack(subject text, journey journey) (
    SFUNC = _pack_add_journey, STYPE = journey_pack, SSPACE = 100000,
    FINALFUNC = _pack_final, COMBINEFUNC = _pack_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey_pack(subject text, journey journey) IS
'Packs journeys with their subjects. Several journeys of one subject are united. A row with a NULL is ignored. A pack beyond 1 GB is an error (54000).';

CREATE AGGREGATE journey_pack(subject bigint, mark int, at timestamptz) (
    SFUNC = _pack_add_event, STYPE = journey_pack, SSPACE = 1000000,
    FINALFUNC = _pack_final, COMBINEFUNC = _pack_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE journey_pack(subject bigint, mark int, at timestamptz) IS
'Folds and packs events in one pass: the same as packing the journeys of all subjects, and faster. A row with a NULL is ignored; an infinite time is an error (22008).';

CREATE AGGREGATE rollup(journey_pack) (
    SFUNC = _pack_add_pack, STYPE = journey_pack, SSPACE = 100000,
    FINALFUNC = _pack_final, COMBINEFUNC = _pack_combine, PARALLEL = SAFE
);
COMMENT ON AGGREGATE rollup(journey_pack) IS
'Merges packs; journeys of one subject are united.';

-- Accessors

CREATE FUNCTION unpack(journey_pack)
RETURNS TABLE (subject text, journey journey)
AS 'MODULE_PATHNAME', 'revacct_pack_unpack'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 1000 ROWS 1000;
COMMENT ON FUNCTION unpack(journey_pack) IS
'The subjects of a pack and their journeys: whole numbers first, in order, then other texts in byte order.';

CREATE FUNCTION subject_count(journey_pack)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_pack_subject_count'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION subject_count(journey_pack) IS
'How many subjects a pack has.';

CREATE FUNCTION mark_count(journey_pack)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_pack_mark_count'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION mark_count(journey_pack) IS
'How many marks all journeys of a pack have.';
