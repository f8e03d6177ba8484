-- Values of each type to begin with, made by the kernel: a row for each target and input. A definition's fingerprint is left for
-- the harness to fill in (eight bytes of FF, see values.c), so that what the fuzzer changes is not refused for that alone.
SET client_min_messages = warning;
SET search_path = revacct, public;
SET timezone = 'UTC';

CREATE TEMP TABLE histories AS
SELECT i AS subject, journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour', nullif(k, 3)::bigint * 100, nullif(k, 2)::bigint) AS full_j,
       journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour') AS j
FROM generate_series(1, 12) i, generate_series(1, 5) k GROUP BY i;
CREATE TEMP TABLE calendars AS
SELECT c, full_c, calendar_intersection(calendar_union(c, full_c), business_calendar('other', 'Asia/Kathmandu', '{fri 22:00-06:00}')) AS nested_c
FROM (SELECT business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}') AS c,
             business_calendar('Ω', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 22:00:00.000001-06:00}', shifts => '{2025-01-02 09:00-12:00, 2025-01-06..2025-01-07 10:00-14:00}',
                               breaks => '{mon-fri 12:00-13:30, 2025-01-03 14:00-16:00}', holidays => '{2025-01-01, 2025-01-09}', known_until => '2025-12-31') AS full_c) t;
CREATE TEMP TABLE defined AS
SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', no_decision => '{f}', recycled => '{g}', churned => '{h}', attempt => 'all') AS plain,
       lifecycle('Ω', stages => '{a, b}', won => 'ü', lost => '{e}', marks => '{1 300, 2 20000, 3, 4}', skip => 'strict', within => '1 month 00:00:01', step_within => '{NULL, 3 days, NULL}',
                 times => 'increasing', entry_range => '[2025-01-01 00:00+00, 2026-01-01 00:00+00)', visits => 'last', unknown => 'count', time_zone => 'Europe/Berlin') AS full_l,
       lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', calendar => full_c) AS calendar_l,
       sla('s', start => '{a}', stop => '{b}', target => '1 day', marks => '{a=1, b=2}') AS s,
       sla(ARRAY[sla('Ω', start => '{a, h}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', marks => '{a=1, b=2 300, c=3, d=4, e=5, f=6, g=7, h=8, i=9}',
                     target => '8 hours', calendar => full_c, warnings => '{0.5, 0.8}', escalations => '{80% to ü, breach + 4 hours to x}', version => 'v1', valid => '[2025-01-01 00:00+00, 2026-01-01 00:00+00)', segments => '{100, 200, -5}', owners => '{400, 500}',
                     phases => '{one until c, two until g, three}', max_clocks => 3, beyond => 'breach', reopen => 'restart', change => 'restart'),
                 sla('Ω', start => '{a, h}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', marks => '{a=1, b=2 300, c=3, d=4, e=5, f=6, g=7, h=8, i=9}',
                     target => '36 hours', phases => '{one until c, two until g, three}', max_clocks => 3, beyond => 'breach', reopen => 'restart', change => 'restart')]) AS full_s
FROM calendars;

-- durations past what is kept exactly, in few bins
CREATE TEMP TABLE binned AS
SELECT stage_velocity(j, plain, '2025-02-01') AS v
FROM defined, (SELECT journey(m, '2025-01-01'::timestamptz + (m - 1) * i * interval '1 microsecond') AS j FROM generate_series(20000, 24200) i, generate_series(1, 2) m GROUP BY i) t;

CREATE TEMP TABLE samples AS
SELECT 'journey' AS type, journey_send(j) AS bytes, j::text AS written FROM (VALUES ('{1@2025-01-01T00:00:00Z}'::journey), ((SELECT j FROM histories WHERE subject = 3)), ((SELECT full_j FROM histories WHERE subject = 5)),
    ('{31@-4713-11-24T00:00:00Z=-9223372036854775808#9223372036854775807, 32767@294276-12-31T23:59:59.999999Z}')) AS t(j)
UNION ALL SELECT 'journey_pack', journey_pack_send(p), p::text FROM (SELECT journey_pack(subject, j) AS p FROM histories WHERE subject < 4
    UNION ALL SELECT journey_pack(CASE WHEN subject < 3 THEN subject::text ELSE 'Ωx' || subject END, full_j) FROM histories WHERE subject < 6) t
UNION ALL SELECT 'business_calendar', business_calendar_send(c), c::text FROM (SELECT c FROM calendars UNION ALL SELECT full_c FROM calendars UNION ALL SELECT nested_c FROM calendars) t
UNION ALL SELECT 'lifecycle', lifecycle_send(l), l::text FROM (SELECT plain AS l FROM defined UNION ALL SELECT full_l FROM defined UNION ALL SELECT calendar_l FROM defined) t
UNION ALL SELECT 'sla', sla_send(s), s::text FROM (SELECT s FROM defined UNION ALL SELECT full_s FROM defined) t
UNION ALL SELECT 'funnel_summary', funnel_summary_send(f), f::text FROM (SELECT funnel_conversion(j, plain, '2025-02-01') AS f FROM histories, defined WHERE subject < 5
    UNION ALL SELECT funnel_conversion(j, full_l, '2025-02-01', subject * -1000.25) FROM histories, defined) t
UNION ALL SELECT 'velocity_summary', velocity_summary_send(v), v::text FROM (SELECT stage_velocity(j, plain, '2025-02-01') AS v FROM histories, defined UNION ALL SELECT stage_velocity(j, full_l, '2025-02-01', '2025-01-05') FROM histories, defined
    UNION ALL SELECT stage_velocity(j, calendar_l, '2025-02-01') FROM histories, defined UNION ALL SELECT business_clock(stage_velocity(j, calendar_l, '2025-02-01')) FROM histories, defined WHERE subject < 4 UNION ALL SELECT v FROM binned) t
UNION ALL SELECT 'breach_summary', breach_summary_send(b), b::text FROM (SELECT sla_breach(j, s, '2025-02-01') AS b FROM histories, defined UNION ALL SELECT sla_breach(full_j, full_s, '2025-02-01') FROM histories, defined) t;

-- states in progress, as they would lie in a table after a direct call of a transition function
CREATE TYPE stored_bytes;
CREATE FUNCTION stored_bytes_in(cstring) RETURNS stored_bytes LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION stored_bytes_out(stored_bytes) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE stored_bytes (INPUT = stored_bytes_in, OUTPUT = stored_bytes_out, INTERNALLENGTH = variable, ALIGNMENT = double);
CREATE CAST (journey AS stored_bytes) WITHOUT FUNCTION;
CREATE CAST (journey_pack AS stored_bytes) WITHOUT FUNCTION;
CREATE CAST (funnel_summary AS stored_bytes) WITHOUT FUNCTION;
CREATE CAST (velocity_summary AS stored_bytes) WITHOUT FUNCTION;
CREATE CAST (breach_summary AS stored_bytes) WITHOUT FUNCTION;
CREATE TEMP TABLE states AS
SELECT 'journey' AS type, _journey_add_mark(_journey_add_mark(NULL, 5, '2025-01-02', 7, 1), 3, '2025-01-01', NULL, NULL)::stored_bytes::text::bytea AS bytes
UNION ALL SELECT 'journey', _journey_add_mark(_journey_add_mark(NULL, 5, '2025-01-02'), 3, '2025-01-01')::stored_bytes::text::bytea
UNION ALL SELECT 'journey_pack', substr(_pack_add_event(_pack_add_event(NULL, 5, 1, '2025-01-02'), 3, 2, '2025-01-01')::stored_bytes::text::bytea, 1, 100)
UNION ALL SELECT 'journey_pack', substr(_pack_add_journey(_pack_add_journey(NULL, 5, j), 'x', full_j)::stored_bytes::text::bytea, 1, 200) FROM histories WHERE subject = 3
UNION ALL SELECT 'funnel_summary', _funnel_add_journey(NULL, j, plain, '2025-02-01')::stored_bytes::text::bytea FROM histories, defined WHERE subject = 3
UNION ALL SELECT 'funnel_summary', _funnel_add_journey(NULL, full_j, full_l, '2025-02-01', 12.5)::stored_bytes::text::bytea FROM histories, defined WHERE subject = 3
UNION ALL SELECT 'velocity_summary', _velocity_add_journey(NULL, j, plain, '2025-02-01')::stored_bytes::text::bytea FROM histories, defined WHERE subject = 3
UNION ALL SELECT 'breach_summary', _breach_add_journey(NULL, j, s, '2025-02-01')::stored_bytes::text::bytea FROM histories, defined WHERE subject = 3;

CREATE FUNCTION pg_temp.unsigned(bytes bytea) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    prints text[] := (SELECT array_agg(fingerprint(l)) FROM (SELECT plain AS l FROM defined UNION ALL SELECT full_l FROM defined UNION ALL SELECT calendar_l FROM defined) t)
        || (SELECT array_agg(fingerprint(s)) FROM (SELECT s FROM defined UNION ALL SELECT full_s FROM defined) t)
        || (SELECT array_agg(fingerprint(c)) FROM (SELECT c FROM calendars UNION ALL SELECT full_c FROM calendars UNION ALL SELECT nested_c FROM calendars) t);
    print text;
BEGIN
    -- an inner fingerprint changes the outer one: both are among these
    FOREACH print IN ARRAY prints LOOP
        bytes := decode(replace(encode(bytes, 'hex'), print, 'ffffffffffffffff'), 'hex');
    END LOOP;
    RETURN bytes;
END $$;

SELECT target, encode(input, 'hex') FROM (
    SELECT 'in_' || type AS target, convert_to(written, 'UTF8') AS input FROM samples
    UNION ALL SELECT 'recv_' || type, pg_temp.unsigned(bytes) FROM samples
    -- the first byte says which function reads it
    UNION ALL SELECT 'stored_' || type, set_byte('\x00', 0, reader) || pg_temp.unsigned(bytes) FROM (SELECT type, bytes FROM samples UNION ALL SELECT type, bytes FROM states) t, generate_series(0, 40) reader
) t;
