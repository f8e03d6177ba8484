--
-- calendar.sql: when a team is open, and the time that is.
--

CREATE FUNCTION business_calendar(
    name text,
    time_zone text,
    hours text[],
    shifts text[] DEFAULT '{}',
    breaks text[] DEFAULT '{}',
    holidays date[] DEFAULT '{}',
    known_until date DEFAULT NULL)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_calendar'
LANGUAGE C IMMUTABLE PARALLEL SAFE COST 100;
COMMENT ON FUNCTION business_calendar(text, text, text[], text[], text[], date[], date) IS
'A calendar. time_zone: an IANA name. hours: weekly rows, such as {mon-fri 09:00-12:00 13:00-17:00, sat 10:00-14:00}; half-open, overlaps are a union, 24:00 ends a day, and a row whose end is not after its start runs over midnight and belongs to the day it starts on. shifts: rows that replace those of a date or of dates, such as {2025-12-24 09:00-12:00, 2025-12-27..2025-12-31 10:00-14:00}. breaks: rows taken away, by date or weekly. holidays: dates closed all day, unless they have a shift. known_until: the last date whose holidays are known; NULL: the last holiday given (none given: no horizon).
Errors: invalid_parameter_value (22023), naming what cannot be read. Source: docs/semantics.md, 8.';

CREATE FUNCTION calendar_union(business_calendar, business_calendar)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_calendar_union'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION calendar_union(business_calendar, business_calendar) IS
'Open when either is. The order of the two makes no difference.';

CREATE FUNCTION calendar_intersection(business_calendar, business_calendar)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_calendar_intersection'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100;
COMMENT ON FUNCTION calendar_intersection(business_calendar, business_calendar) IS
'Open when both are. The order of the two makes no difference.';

CREATE FUNCTION fingerprint(business_calendar)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_definition_fingerprint'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION fingerprint(business_calendar) IS
'16 hexadecimal digits that are the same for two calendars exactly if they are the same definition.';

-- Questions

CREATE FUNCTION business_time(calendar business_calendar, from_at timestamptz, to_at timestamptz)
RETURNS interval
AS 'MODULE_PATHNAME', 'revacct_business_time'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION business_time(business_calendar, timestamptz, timestamptz) IS
'The open time between two instants, to the microsecond, in hours and less; negative when the second is earlier. Infinite times are an error (22008). Past the horizon as if there were no more holidays: see beyond_horizon. Source: docs/semantics.md, 8.';

CREATE FUNCTION business_add(calendar business_calendar, at timestamptz, amount interval)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_business_add'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION business_add(business_calendar, timestamptz, interval) IS
'The first instant with that much open time since at (a closing time rather than the next opening); with a negative amount the last instant with that much until at. NULL when the calendar never gets there. Days, months and years are refused (22023). Source: docs/semantics.md, 8.';

CREATE FUNCTION next_open(calendar business_calendar, at timestamptz)
RETURNS timestamptz
AS 'MODULE_PATHNAME', 'revacct_next_open'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION next_open(business_calendar, timestamptz) IS
'The instant itself if it is open, else the next opening; NULL if there is none.';

CREATE FUNCTION is_open(calendar business_calendar, at timestamptz)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_is_open'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION is_open(business_calendar, timestamptz) IS
'Is the calendar open at an instant? Openings count, closings do not.';

CREATE FUNCTION open_intervals(calendar business_calendar, from_at timestamptz, to_at timestamptz)
RETURNS TABLE (opens_at timestamptz, closes_at timestamptz)
AS 'MODULE_PATHNAME', 'revacct_open_intervals'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 100 ROWS 100;
COMMENT ON FUNCTION open_intervals(business_calendar, timestamptz, timestamptz) IS
'When the calendar is open between two instants, in order; intervals are cut to the two, and those that touch are one.';

CREATE FUNCTION beyond_horizon(calendar business_calendar, at timestamptz)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_beyond_horizon'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE COST 2;
COMMENT ON FUNCTION beyond_horizon(business_calendar, timestamptz) IS
'Is the local date of an instant later than the last one whose holidays are known (known_until)? Of a union or an intersection: of any of its parts.';

-- Comparison: definitions can be grouped and told apart

CREATE FUNCTION business_calendar_eq(business_calendar, business_calendar)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_eq'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_eq(business_calendar, business_calendar) IS
'Equal: the same definition.';

CREATE FUNCTION business_calendar_ne(business_calendar, business_calendar)
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_definition_ne'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_ne(business_calendar, business_calendar) IS
'Not equal: different definitions.';

CREATE FUNCTION business_calendar_hash(business_calendar)
RETURNS int
AS 'MODULE_PATHNAME', 'revacct_definition_hash'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_hash(business_calendar) IS
'Hash for grouping.';

CREATE FUNCTION definition_hash_extended(business_calendar, bigint)
RETURNS bigint
AS 'MODULE_PATHNAME', 'revacct_definition_hash_extended'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION definition_hash_extended(business_calendar, bigint) IS
'Hash with a seed, for partitioning.';

CREATE OPERATOR = (
    LEFTARG = business_calendar, RIGHTARG = business_calendar, FUNCTION = business_calendar_eq,
    COMMUTATOR = =, NEGATOR = <>, RESTRICT = eqsel, JOIN = eqjoinsel, HASHES
);
COMMENT ON OPERATOR = (business_calendar, business_calendar) IS 'The same definition.';

CREATE OPERATOR <> (
    LEFTARG = business_calendar, RIGHTARG = business_calendar, FUNCTION = business_calendar_ne,
    COMMUTATOR = <>, NEGATOR = =, RESTRICT = neqsel, JOIN = neqjoinsel
);
COMMENT ON OPERATOR <> (business_calendar, business_calendar) IS 'Different definitions.';

CREATE OPERATOR CLASS business_calendar_ops DEFAULT FOR TYPE business_calendar USING hash AS
    OPERATOR 1 =,
    FUNCTION 1 business_calendar_hash(business_calendar);
-- (added to the family, so that an upgrade can do the same)
ALTER OPERATOR FAMILY business_calendar_ops USING hash ADD FUNCTION 2 (business_calendar, business_calendar) definition_hash_extended(business_calendar, bigint);
COMMENT ON OPERATOR CLASS business_calendar_ops USING hash IS 'Hashes calendars by their fingerprints.';
