--
-- types.sql: the values.
--
-- A definition says what marks mean, a journey says what happened, a summary says what that measures.
-- How each is stored: the comment at the head of its file in src/.
--

CREATE TYPE business_calendar;

CREATE FUNCTION business_calendar_in(cstring)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_calendar_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_in(cstring) IS
'Text input of business_calendar.';

CREATE FUNCTION business_calendar_out(business_calendar)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_calendar_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_out(business_calendar) IS
'Text output of business_calendar.';

CREATE FUNCTION business_calendar_recv(internal)
RETURNS business_calendar
AS 'MODULE_PATHNAME', 'revacct_calendar_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_recv(internal) IS
'Binary input of business_calendar.';

CREATE FUNCTION business_calendar_send(business_calendar)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_definition_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION business_calendar_send(business_calendar) IS
'Binary output of business_calendar.';

CREATE TYPE business_calendar (
    INPUT = business_calendar_in, OUTPUT = business_calendar_out, RECEIVE = business_calendar_recv, SEND = business_calendar_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE business_calendar IS
'A definition: when a team is open, by weekly rows, shifts, breaks and holidays in a time zone, or the union or intersection of such. Made by business_calendar(); immutable; known by its fingerprint. Its text form can be read back.';

CREATE TYPE lifecycle;

CREATE FUNCTION lifecycle_in(cstring)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_lifecycle_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_in(cstring) IS
'Text input of lifecycle.';

CREATE FUNCTION lifecycle_out(lifecycle)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_lifecycle_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_out(lifecycle) IS
'Text output of lifecycle.';

CREATE FUNCTION lifecycle_recv(internal)
RETURNS lifecycle
AS 'MODULE_PATHNAME', 'revacct_lifecycle_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_recv(internal) IS
'Binary input of lifecycle.';

CREATE FUNCTION lifecycle_send(lifecycle)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_definition_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION lifecycle_send(lifecycle) IS
'Binary output of lifecycle.';

CREATE TYPE lifecycle (
    INPUT = lifecycle_in, OUTPUT = lifecycle_out, RECEIVE = lifecycle_recv, SEND = lifecycle_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE lifecycle IS
'A definition: the stages of a funnel in order, what each means, and the rules by which attempts are counted. Made by the function lifecycle(); immutable; known by its fingerprint. Its text form can be read back.';

CREATE TYPE journey;

CREATE FUNCTION journey_in(cstring)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_in(cstring) IS
'Text input of journey.';

CREATE FUNCTION journey_out(journey)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_journey_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_out(journey) IS
'Text output of journey.';

CREATE FUNCTION journey_recv(internal)
RETURNS journey
AS 'MODULE_PATHNAME', 'revacct_journey_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_recv(internal) IS
'Binary input of journey.';

CREATE FUNCTION journey_send(journey)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_journey_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_send(journey) IS
'Binary output of journey.';

CREATE TYPE journey (
    INPUT = journey_in, OUTPUT = journey_out, RECEIVE = journey_recv, SEND = journey_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE journey IS
'What happened to one subject: a set of marks (time, mark, optional value, optional sequence number), in time order. Text form {mark@time[=value][#seq], ...} with times in UTC. At most 1,048,576 marks.';

CREATE TYPE journey_pack;

CREATE FUNCTION journey_pack_in(cstring)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_pack_in(cstring) IS
'Text input of journey_pack.';

CREATE FUNCTION journey_pack_out(journey_pack)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_pack_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_pack_out(journey_pack) IS
'Text output of journey_pack.';

CREATE FUNCTION journey_pack_recv(internal)
RETURNS journey_pack
AS 'MODULE_PATHNAME', 'revacct_pack_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_pack_recv(internal) IS
'Binary input of journey_pack.';

CREATE FUNCTION journey_pack_send(journey_pack)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_pack_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION journey_pack_send(journey_pack) IS
'Binary output of journey_pack.';

CREATE TYPE journey_pack (
    INPUT = journey_pack_in, OUTPUT = journey_pack_out, RECEIVE = journey_pack_recv, SEND = journey_pack_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = main
);
COMMENT ON TYPE journey_pack IS
'The journeys of many subjects in one value, in order of subject. Aggregates take a pack as they take journeys, with the same result, and much faster. At most 1 GB.';

CREATE TYPE funnel_summary;

CREATE FUNCTION funnel_summary_in(cstring)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION funnel_summary_in(cstring) IS
'Text input of funnel_summary.';

CREATE FUNCTION funnel_summary_out(funnel_summary)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_funnel_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION funnel_summary_out(funnel_summary) IS
'Text output of funnel_summary.';

CREATE FUNCTION funnel_summary_recv(internal)
RETURNS funnel_summary
AS 'MODULE_PATHNAME', 'revacct_funnel_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION funnel_summary_recv(internal) IS
'Binary input of funnel_summary.';

CREATE FUNCTION funnel_summary_send(funnel_summary)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_funnel_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION funnel_summary_send(funnel_summary) IS
'Binary output of funnel_summary.';

CREATE TYPE funnel_summary (
    INPUT = funnel_summary_in, OUTPUT = funnel_summary_out, RECEIVE = funnel_summary_recv, SEND = funnel_summary_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE funnel_summary IS
'What funnel_conversion measures: counts, exact sums of times and amounts, and the lifecycle that made it. Merged by rollup(), which refuses summaries of another lifecycle or time.';

CREATE TYPE velocity_summary;

CREATE FUNCTION velocity_summary_in(cstring)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION velocity_summary_in(cstring) IS
'Text input of velocity_summary.';

CREATE FUNCTION velocity_summary_out(velocity_summary)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_velocity_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION velocity_summary_out(velocity_summary) IS
'Text output of velocity_summary.';

CREATE FUNCTION velocity_summary_recv(internal)
RETURNS velocity_summary
AS 'MODULE_PATHNAME', 'revacct_velocity_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION velocity_summary_recv(internal) IS
'Binary input of velocity_summary.';

CREATE FUNCTION velocity_summary_send(velocity_summary)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_velocity_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION velocity_summary_send(velocity_summary) IS
'Binary output of velocity_summary.';

CREATE TYPE velocity_summary (
    INPUT = velocity_summary_in, OUTPUT = velocity_summary_out, RECEIVE = velocity_summary_recv, SEND = velocity_summary_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE velocity_summary IS
'What stage_velocity measures: for each stage how long visits took and how they ended, open ones included. Exact up to 4,096 distinct durations a stage, then in bins that are within 1 %. Merged by rollup(), which refuses summaries of another lifecycle or time.';

CREATE TYPE sla;

CREATE FUNCTION sla_in(cstring)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_sla_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_in(cstring) IS
'Text input of sla.';

CREATE FUNCTION sla_out(sla)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_sla_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_out(sla) IS
'Text output of sla.';

CREATE FUNCTION sla_recv(internal)
RETURNS sla
AS 'MODULE_PATHNAME', 'revacct_sla_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_recv(internal) IS
'Binary input of sla.';

CREATE FUNCTION sla_send(sla)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_definition_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION sla_send(sla) IS
'Binary output of sla.';

CREATE TYPE sla (
    INPUT = sla_in, OUTPUT = sla_out, RECEIVE = sla_recv, SEND = sla_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE sla IS
'A definition: what the marks of a journey do to a clock, and the policies (target, calendar, warnings, escalations) by date, segment and owner. Made by sla(); immutable; known by its fingerprint. Its text form can be read back.';

CREATE TYPE breach_summary;

CREATE FUNCTION breach_summary_in(cstring)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_in'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_summary_in(cstring) IS
'Text input of breach_summary.';

CREATE FUNCTION breach_summary_out(breach_summary)
RETURNS cstring
AS 'MODULE_PATHNAME', 'revacct_breach_out'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_summary_out(breach_summary) IS
'Text output of breach_summary.';

CREATE FUNCTION breach_summary_recv(internal)
RETURNS breach_summary
AS 'MODULE_PATHNAME', 'revacct_breach_recv'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_summary_recv(internal) IS
'Binary input of breach_summary.';

CREATE FUNCTION breach_summary_send(breach_summary)
RETURNS bytea
AS 'MODULE_PATHNAME', 'revacct_breach_send'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION breach_summary_send(breach_summary) IS
'Binary output of breach_summary.';

CREATE TYPE breach_summary (
    INPUT = breach_summary_in, OUTPUT = breach_summary_out, RECEIVE = breach_summary_recv, SEND = breach_summary_send,
    INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended
);
COMMENT ON TYPE breach_summary IS
'What sla_breach measures: for each policy how many clocks were met, breached, are running, paused or cancelled, how long they ran, and the sla that made it. Exact up to 4,096 distinct durations, then in bins that are within 1 %. Merged by rollup(), which refuses summaries of another sla or time.';
