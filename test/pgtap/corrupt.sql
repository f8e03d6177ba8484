-- Broken bytes: refused with an error of their own, or accepted and given back as they are; never a crash.
--
-- Bytes come in as text (packs and summaries), by COPY BINARY (all types), from a file in the server's data directory, and, for the types with which
-- others are nested, as if they had been stored: then nothing has checked them.
-- With -v every=N only about each Nth broken value is tried, for a server that is many times slower.
SET client_min_messages = warning;
\if :{?every} \else \set every 1 \endif
SELECT pg_postmaster_start_time() AS started, pg_backend_pid() AS backend \gset
SET search_path = public, revacct;
SET timezone = 'UTC';
BEGIN;
SELECT plan(127);

CREATE TEMP TABLE samples (type text, n int, bytes bytea);
CREATE TEMP TABLE histories AS
SELECT i AS subject, journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour', nullif(k, 3)::bigint * 100, nullif(k, 2)::bigint) AS full_j,
       journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour') AS j
FROM generate_series(1, 12) i, generate_series(1, 5) k GROUP BY i;
CREATE TEMP TABLE defined AS
SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', no_decision => '{f}', recycled => '{g}', churned => '{h}', attempt => 'all') AS plain,
       lifecycle('Ω', stages => '{a, b}', won => 'ü', lost => '{e}', marks => '{1 300, 2 20000, 3, 4}', skip => 'strict', within => '1 month 00:00:01', step_within => '{NULL, 3 days, NULL}',
                 times => 'increasing', entry_range => '[2025-01-01 00:00+00, 2026-01-01 00:00+00)', visits => 'last', unknown => 'count', time_zone => 'Europe/Berlin') AS full_l,
       lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', calendar => full_c) AS calendar_l, c, full_c, calendar_intersection(calendar_union(c, full_c), business_calendar('other', 'Asia/Kathmandu', '{fri 22:00-06:00}')) AS nested_c,
       sla('s', start => '{a}', stop => '{b}', target => '1 day') AS s,
       sla(ARRAY[sla('Ω', start => '{a, h}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', marks => '{a=1, b=2 300, c=3, d=4, e=5, f=6, g=7, h=8, i=9}',
                     target => '8 hours', calendar => full_c, warnings => '{0.5, 0.8}', escalations => '{80% to ü, breach + 4 hours to x}', version => 'v1', valid => '[2025-01-01 00:00+00, 2026-01-01 00:00+00)', segments => '{100, 200, -5}', owners => '{400, 500}',
                     phases => '{one until c, two until g, three}', max_clocks => 3, beyond => 'breach', reopen => 'restart', change => 'restart'),
                 sla('Ω', start => '{a, h}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', marks => '{a=1, b=2 300, c=3, d=4, e=5, f=6, g=7, h=8, i=9}',
                     target => '36 hours', phases => '{one until c, two until g, three}', max_clocks => 3, beyond => 'breach', reopen => 'restart', change => 'restart')]) AS full_s
FROM (SELECT business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}') AS c,
             business_calendar('Ω', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 22:00:00.000001-06:00}', shifts => '{2025-01-02 09:00-12:00, 2025-01-06..2025-01-07 10:00-14:00}',
                               breaks => '{mon-fri 12:00-13:30, 2025-01-03 14:00-16:00}', holidays => '{2025-01-01, 2025-01-09}', known_until => '2025-12-31') AS full_c) t;
INSERT INTO samples
SELECT 'journey', n, journey_send(j) FROM (VALUES (1, '{1@2025-01-01T00:00:00Z}'::journey), (2, (SELECT j FROM histories WHERE subject = 3)), (3, (SELECT full_j FROM histories WHERE subject = 5)),
    (4, '{31@-4713-11-24T00:00:00Z=-9223372036854775808#9223372036854775807, 32767@294276-12-31T23:59:59.999999Z}')) AS t(n, j)
UNION ALL SELECT 'lifecycle', 1, lifecycle_send(plain) FROM defined UNION ALL SELECT 'lifecycle', 2, lifecycle_send(full_l) FROM defined
UNION ALL SELECT 'journey_pack', 1, journey_pack_send(journey_pack(subject, j)) FROM histories WHERE subject < 4
UNION ALL SELECT 'journey_pack', 2, journey_pack_send(journey_pack(CASE WHEN subject < 3 THEN subject::text ELSE 'Ωx' || subject END, full_j)) FROM histories WHERE subject < 6
UNION ALL SELECT 'funnel_summary', 1, funnel_summary_send(funnel_conversion(j, plain, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'funnel_summary', 2, funnel_summary_send(funnel_conversion(j, full_l, '2025-02-01', subject * -1000.25)) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 1, velocity_summary_send(stage_velocity(j, plain, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 2, velocity_summary_send(stage_velocity(j, full_l, '2025-02-01', '2025-01-05')) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 3, velocity_summary_send(stage_velocity(j, calendar_l, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 4, velocity_summary_send(business_clock(stage_velocity(j, calendar_l, '2025-02-01'))) FROM histories, defined WHERE subject < 4
UNION ALL SELECT 'lifecycle', 3, lifecycle_send(calendar_l) FROM defined
UNION ALL SELECT 'business_calendar', 1, business_calendar_send(c) FROM defined UNION ALL SELECT 'business_calendar', 2, business_calendar_send(full_c) FROM defined UNION ALL SELECT 'business_calendar', 3, business_calendar_send(nested_c) FROM defined
UNION ALL SELECT 'sla', 1, sla_send(s) FROM defined UNION ALL SELECT 'sla', 2, sla_send(full_s) FROM defined
UNION ALL SELECT 'breach_summary', 1, breach_summary_send(sla_breach(j, s, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'breach_summary', 2, breach_summary_send(sla_breach(full_j, full_s, '2025-02-01')) FROM histories, defined;

CREATE TEMP TABLE received_journey (x journey);
CREATE TEMP TABLE received_lifecycle (x lifecycle);
CREATE TEMP TABLE received_journey_pack (x journey_pack);
CREATE TEMP TABLE received_funnel_summary (x funnel_summary);
CREATE TEMP TABLE received_velocity_summary (x velocity_summary);
CREATE TEMP TABLE received_business_calendar (x business_calendar);
CREATE TEMP TABLE received_sla (x sla);
CREATE TEMP TABLE received_breach_summary (x breach_summary);
SELECT lo_create(0) AS large_object, current_setting('data_directory') || '/revacct_corrupt.' || pg_backend_pid() AS file \gset
SELECT set_config('corrupt.object', :'large_object', false), set_config('corrupt.file', :'file', false) \g /dev/null

-- What COPY BINARY makes of some bytes: accepted, changed, or an SQLSTATE.
CREATE FUNCTION pg_temp.receive(type text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    file text := current_setting('corrupt.file');
    object oid := current_setting('corrupt.object')::oid;
    fd int := lo_open(object, 393216);
    again bytea;
BEGIN
    PERFORM lo_truncate(fd, 0);
    PERFORM lowrite(fd, '\x5047434f50590aff0d0a000000000000000000'::bytea || int2send(1::int2) || int4send(length(bytes)) || bytes || '\xffff');
    PERFORM lo_close(fd);
    PERFORM lo_export(object, file);
    BEGIN
        EXECUTE format('COPY received_%s FROM %L (FORMAT binary)', type, file);
    EXCEPTION WHEN OTHERS THEN
        RETURN SQLSTATE;
    END;
    EXECUTE format('SELECT %s_send(x) FROM received_%1$s', type) INTO again;
    EXECUTE format('SELECT * FROM pg_temp.read_%s((SELECT x FROM received_%1$s))', type);
    EXECUTE format('DELETE FROM received_%s', type);
    RETURN CASE WHEN again = bytes THEN 'accepted' ELSE 'changed' END;
END $$;
-- The same for text
CREATE FUNCTION pg_temp.read_text(type text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    again text;
BEGIN
    EXECUTE format('SELECT %L::%s::text', bytes::text, type) INTO again;
    RETURN CASE WHEN again = bytes::text THEN 'accepted' ELSE 'changed' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
-- The same for bytes that are taken for a stored value: what was read of them, or an SQLSTATE
CREATE TYPE stored_bytes;
CREATE FUNCTION stored_bytes_in(cstring) RETURNS stored_bytes LANGUAGE internal IMMUTABLE STRICT AS 'byteain';
CREATE FUNCTION stored_bytes_out(stored_bytes) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'byteaout';
CREATE TYPE stored_bytes (INPUT = stored_bytes_in, OUTPUT = stored_bytes_out, INTERNALLENGTH = variable, ALIGNMENT = double, STORAGE = extended);
CREATE CAST (stored_bytes AS business_calendar) WITHOUT FUNCTION;
CREATE CAST (stored_bytes AS lifecycle) WITHOUT FUNCTION;
CREATE CAST (stored_bytes AS sla) WITHOUT FUNCTION;
CREATE CAST (stored_bytes AS velocity_summary) WITHOUT FUNCTION;
CREATE CAST (stored_bytes AS breach_summary) WITHOUT FUNCTION;
CREATE FUNCTION pg_temp.read_stored(type text, bytes bytea) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    read bigint;
BEGIN
    EXECUTE format('SELECT pg_temp.read_%s(%L::stored_bytes::%1$s)', type, bytes::text) INTO read;
    RETURN 'read';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
-- Whatever was accepted is asked everything
CREATE FUNCTION pg_temp.read_journey(j journey) RETURNS bigint LANGUAGE SQL AS $$
    SELECT count(*) + mark_count(j) + length(j::text) + length(journey_pack(1, j)::text) + length(rollup(j)::text) + length(funnel_conversion(j, plain, '2025-02-01')::text) + length(stage_velocity(j, full_l, '2025-02-01')::text)
    FROM defined, marks(j) $$;
CREATE FUNCTION pg_temp.read_lifecycle(l lifecycle) RETURNS bigint LANGUAGE SQL AS $$
    SELECT length(l::text::lifecycle::text) + length(fingerprint(l)) + length(funnel_conversion(j, l, '2025-02-01')::text) FROM histories $$;
CREATE FUNCTION pg_temp.read_journey_pack(p journey_pack) RETURNS bigint LANGUAGE SQL AS $$
    SELECT subject_count(p) + mark_count(p) + (SELECT sum(length(journey::text)) FROM unpack(p)) + length(funnel_conversion(p, plain, '2025-02-01')::text) + length(rollup(p)::text) FROM defined $$;
CREATE FUNCTION pg_temp.read_funnel_summary(f funnel_summary) RETURNS bigint LANGUAGE SQL AS $$
    SELECT subjects(f) + length(rollup(f)::text) + length(lifecycle(f)::text) + (SELECT sum(length(s::text)) FROM stages(f) s) $$;
CREATE FUNCTION pg_temp.read_velocity_summary(v velocity_summary) RETURNS bigint LANGUAGE SQL AS $$
    SELECT length(rollup(v)::text) + length(lifecycle(v)::text) + (SELECT sum(length(s::text)) FROM stages(v) s) + (SELECT count(*) FROM survival_curve(v, 'a')) + (SELECT count(*) FROM incidence_curve(v, 'a', 'lost')) $$;
CREATE FUNCTION pg_temp.read_business_calendar(c business_calendar) RETURNS bigint LANGUAGE SQL AS $$
    SELECT length(c::text::business_calendar::text) + length(fingerprint(c)) + extract(epoch FROM business_time(c, '2024-12-01', '2025-03-01'))::bigint + coalesce(extract(epoch FROM business_add(c, '2025-01-01', '100 hours'))::bigint, 0)
           + coalesce(extract(epoch FROM business_add(c, '2025-01-01', '-1 hour'))::bigint, 0) + is_open(c, '2025-01-06 09:30+00')::int + beyond_horizon(c, '2025-01-06')::int + (SELECT count(*) FROM open_intervals(c, '2025-01-01', '2025-01-15'))
           + length(calendar_union(c, 'x: time_zone UTC')::text) $$;
CREATE FUNCTION pg_temp.read_sla(s sla) RETURNS bigint LANGUAGE SQL AS $$
    SELECT length(s::text::sla::text) + length(sla_name(s)) + length(fingerprint(s)) + length((SELECT sla_breach(full_j, s, '2025-02-01') FROM histories)::text) + (SELECT count(*) FROM histories, sla_clocks(full_j, s, '2025-01-10'))
           + (SELECT count(*) FROM histories, sla_phases(full_j, s, '2025-01-10')) + (SELECT count(*) FROM histories, escalations(full_j, s, '2025-01-10')) $$;
CREATE FUNCTION pg_temp.read_breach_summary(b breach_summary) RETURNS bigint LANGUAGE SQL AS $$
    SELECT started(b) + met(b) + not_covered(b) + length(rollup(b)::text) + length(sla(b)::text) + (SELECT sum(length(p::text)) FROM policies(b) p) + (SELECT sum(length(p::text)) FROM phases(b) p)
           + coalesce(extract(epoch FROM elapsed_quantile(b, 0.5))::bigint, 0) + coalesce(extract(epoch FROM overdue_quantile(b, 0.5))::bigint, 0) $$;

CREATE FUNCTION pg_temp.refused(outcome text) RETURNS boolean LANGUAGE SQL AS $$ SELECT outcome IN ('22P03', '22P02', 'XX001', '0A000', '22023', '54000', '22021') $$;
-- Bytes from md5: the same in every run
CREATE FUNCTION pg_temp.dice(seed text) RETURNS bigint LANGUAGE SQL AS $$ SELECT ('x' || substr(md5(seed), 1, 15))::bit(60)::bigint $$;
-- A few bytes changed, inserted or cut out
CREATE FUNCTION pg_temp.mangled(bytes bytea, seed text) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    at int;
BEGIN
    FOR i IN 0 .. pg_temp.dice(seed || 'times') % 4 LOOP
        at := 1 + pg_temp.dice(seed || 'at' || i) % length(bytes);
        CASE pg_temp.dice(seed || 'what' || i) % 4
            WHEN 0 THEN bytes := overlay(bytes PLACING substr(decode(md5(seed || i), 'hex'), 1, 1) FROM at FOR 1);
            WHEN 1 THEN bytes := overlay(bytes PLACING substr(decode(md5(seed || i), 'hex'), 1, 2) FROM at FOR 0);
            WHEN 2 THEN bytes := overlay(bytes PLACING '\xff'::bytea FROM at FOR 1);
            ELSE bytes := CASE WHEN length(bytes) > 3 THEN overlay(bytes PLACING ''::bytea FROM at FOR 2) ELSE bytes END;
        END CASE;
    END LOOP;
    RETURN bytes;
END $$;
-- A changed definition with a fingerprint that fits it, so that what is behind the fingerprint is looked at
CREATE FUNCTION pg_temp.signed(bytes bytea) RETURNS bytea LANGUAGE SQL AS $$ SELECT substr(bytes, 1, 1) || substr(sha256(substr(bytes, 10)), 1, 8) || substr(bytes, 10) WHERE length(bytes) > 9 $$;

CREATE TEMP TABLE broken (kind text, type text, n int, bytes bytea);
-- (of the long ones every byte is changed once, and every third cut tried)
INSERT INTO broken SELECT 'cut', type, n, substr(bytes, 1, l) FROM samples, generate_series(0, length(bytes) - 1, CASE WHEN length(bytes) <= 200 THEN 1 ELSE 3 END) l;
INSERT INTO broken SELECT 'longer', type, n, bytes || b FROM samples, unnest('{"\\x00", "\\x01", "\\xff", "\\x0000000000000000"}'::bytea[]) b;
INSERT INTO broken SELECT 'flipped', type, n, set_byte(bytes, i, get_byte(bytes, i) # mask) FROM samples, generate_series(0, length(bytes) - 1) i, unnest(CASE WHEN length(bytes) <= 200 THEN '{1, 128, 255}'::int[] ELSE ARRAY[('{1, 128, 255}'::int[])[1 + i % 3]] END) mask;
INSERT INTO broken SELECT 'mangled', type, n, pg_temp.mangled(bytes, type || n || k) FROM samples, generate_series(1, CASE WHEN length(bytes) <= 200 THEN 250 ELSE 100 END) k;
INSERT INTO broken SELECT 'signed', type, n, pg_temp.signed(bytes) FROM broken WHERE type IN ('business_calendar', 'lifecycle', 'sla') AND kind IN ('flipped', 'mangled', 'cut') AND length(bytes) > 9;
-- A definition inside another value, changed and signed there too: a calendar in a lifecycle or an SLA, an SLA in a summary
CREATE FUNCTION pg_temp.with_inside(bytes bytea, inner_bytes bytea, changed bytea) RETURNS bytea LANGUAGE SQL AS $$ SELECT overlay(bytes PLACING changed FROM position(inner_bytes IN bytes) FOR length(inner_bytes)) $$;
INSERT INTO broken
SELECT 'inside', outside.type, outside.n, CASE outside.type WHEN 'breach_summary' THEN pg_temp.with_inside(outside.bytes, inside.bytes, changed) ELSE pg_temp.signed(pg_temp.with_inside(outside.bytes, inside.bytes, changed)) END
FROM (VALUES ('lifecycle', 3, 'business_calendar', 2), ('sla', 2, 'business_calendar', 2), ('breach_summary', 1, 'sla', 1)) AS nested(outer_type, outer_n, inner_type, inner_n)
JOIN samples outside ON outside.type = outer_type AND outside.n = outer_n JOIN samples inside ON inside.type = inner_type AND inside.n = inner_n,
LATERAL (SELECT pg_temp.signed(set_byte(inside.bytes, i, get_byte(inside.bytes, i) # ('{1, 128, 255}'::int[])[1 + i % 3])) AS changed FROM generate_series(9, length(inside.bytes) - 1) i) c;
DELETE FROM broken WHERE kind NOT IN ('inside', 'longer') AND pg_temp.dice(kind || type || n || bytes) % :every <> 0;
CREATE TEMP TABLE outcomes AS SELECT *, pg_temp.receive(type, bytes) AS outcome FROM (SELECT DISTINCT * FROM broken) b;
CREATE TEMP TABLE text_outcomes AS SELECT *, pg_temp.read_text(type, bytes) AS outcome FROM (SELECT DISTINCT type, bytes FROM broken WHERE type NOT IN ('journey', 'business_calendar', 'lifecycle', 'sla')) b;
CREATE TEMP TABLE stored_outcomes AS SELECT *, pg_temp.read_stored(type, bytes) AS outcome FROM (SELECT DISTINCT type, bytes FROM broken WHERE type IN ('business_calendar', 'lifecycle', 'sla', 'velocity_summary', 'breach_summary')) b;

SELECT is((SELECT string_agg(DISTINCT pg_temp.receive(type, bytes), ',') FROM samples s WHERE s.type = t), 'accepted', 'whole bytes are accepted, ' || t) FROM (SELECT DISTINCT type AS t FROM samples) x ORDER BY t;
SELECT cmp_ok(count(*), '>', 1000::bigint / :every, type || ': broken values') FROM outcomes GROUP BY type ORDER BY type;
SELECT is_empty(format($$ SELECT outcome, kind, n, bytes FROM outcomes WHERE type = %L AND outcome <> 'accepted' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': received is refused, or given back as it came')
FROM (SELECT DISTINCT type AS t FROM samples) x ORDER BY t;
SELECT is_empty(format($$ SELECT outcome, bytes FROM text_outcomes WHERE type = %L AND outcome <> 'accepted' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': text is refused, or given back as it came')
FROM (SELECT DISTINCT type AS t FROM text_outcomes) x ORDER BY t;
SELECT is_empty(format($$ SELECT * FROM outcomes JOIN text_outcomes USING (type, bytes) WHERE type = %L AND (outcomes.outcome = 'accepted') <> (text_outcomes.outcome = 'accepted') LIMIT 10 $$, t), t || ': text and binary agree')
FROM (SELECT DISTINCT type AS t FROM text_outcomes) x ORDER BY t;
SELECT is_empty(format($$ SELECT outcome, n, bytes FROM outcomes WHERE type = %L AND kind = 'longer' AND NOT pg_temp.refused(outcome) $$, t), t || ': nothing may follow') FROM (SELECT DISTINCT type AS t FROM samples WHERE type <> 'journey') x ORDER BY t;
-- a journey that is cut between marks is a journey, unless the rest could be written shorter
SELECT is_empty(format($$ SELECT outcome, n, bytes FROM outcomes WHERE type = %L AND kind = 'cut' AND NOT pg_temp.refused(outcome) $$, t), t || ': nothing may be missing') FROM (SELECT DISTINCT type AS t FROM samples WHERE type <> 'journey') x ORDER BY t;
SELECT is_empty(format($$ SELECT outcome, n, bytes FROM outcomes WHERE type = %L AND kind IN ('flipped', 'mangled') AND NOT pg_temp.refused(outcome) AND bytes NOT IN (SELECT bytes FROM samples) $$, t),
    t || ': its fingerprint shows every change') FROM unnest('{business_calendar, lifecycle, sla}'::text[]) t;
SELECT isnt((SELECT count(*) FROM outcomes WHERE type = t AND kind = 'signed' AND outcome = 'accepted'), 0::bigint, t || ': some changes with a fitting fingerprint are definitions') FROM unnest('{business_calendar, lifecycle, sla}'::text[]) t;
SELECT ok(count(*) FILTER (WHERE outcome = 'accepted') > 0 AND count(*) FILTER (WHERE outcome = '22P03') > 0, type || ': a broken definition inside is refused, another one accepted')
FROM outcomes WHERE kind = 'inside' AND type IN ('lifecycle', 'sla') GROUP BY type ORDER BY type;
SELECT is(pg_temp.receive('lifecycle', pg_temp.signed(pg_temp.with_inside(l.bytes, c.bytes, set_byte(c.bytes, 0, 2)))), '0A000', 'lifecycle: its calendar is of version 2') FROM samples l, samples c WHERE l.type = 'lifecycle' AND l.n = 3 AND c.type = 'business_calendar' AND c.n = 2;
SELECT is_empty(format($$ SELECT outcome, bytes FROM stored_outcomes WHERE type = %L AND outcome <> 'read' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': stored bytes are read, or refused') FROM (SELECT DISTINCT type AS t FROM stored_outcomes) x ORDER BY t;
SELECT ok(count(*) FILTER (WHERE outcome = 'XX001') > 100 / :every AND count(*) FILTER (WHERE outcome = '22P03') = 0, type || ': broken stored bytes are corrupt data') FROM stored_outcomes GROUP BY type ORDER BY type;
SELECT is(pg_temp.read_stored(type, bytes), 'read', type || ' ' || n || ': whole stored bytes are read') FROM samples WHERE type IN (SELECT type FROM stored_outcomes) ORDER BY type, n;
-- a later format
SELECT is(pg_temp.receive(type, set_byte(bytes, 0, get_byte(bytes, 0) # 3)), '0A000', type || ' ' || n || ': of version 2') FROM samples ORDER BY type, n;
SELECT is(pg_temp.read_text(type, set_byte(bytes, 0, get_byte(bytes, 0) # 3)), '0A000', type || ' ' || n || ': of version 2, as text') FROM samples WHERE type IN ('journey_pack', 'funnel_summary', 'velocity_summary', 'breach_summary') ORDER BY type, n;
-- a working state never comes in
SELECT ok(pg_temp.refused(pg_temp.receive(type, set_byte(bytes, 0, get_byte(bytes, 0) | 128))), type || ': no working state is received') FROM samples WHERE n = 1 ORDER BY type;

-- The text form of definitions: some characters changed, put in or left out, words and clauses repeated
CREATE FUNCTION pg_temp.garbled(written text, seed text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    signs text := ' ,;:"=.-%01289aZü' || chr(9);
    at int; part text;
BEGIN
    FOR i IN 0 .. pg_temp.dice(seed || 'times') % 3 LOOP
        at := 1 + pg_temp.dice(seed || 'at' || i) % length(written);
        CASE pg_temp.dice(seed || 'what' || i) % 4
            WHEN 0 THEN written := overlay(written PLACING substr(signs, 1 + (pg_temp.dice(seed || i) % length(signs))::int, 1) FROM at FOR 1);
            WHEN 1 THEN written := overlay(written PLACING substr(signs, 1 + (pg_temp.dice(seed || i) % length(signs))::int, 1) FROM at FOR 0);
            WHEN 2 THEN written := overlay(written PLACING '' FROM at FOR 1 + (pg_temp.dice(seed || i) % 9)::int);
            ELSE
                part := substring(substr(written, at) FROM '[,;][^,;]*');
                IF part IS NOT NULL THEN
                    written := overlay(written PLACING part FROM at - 1 + position(part IN substr(written, at)) FOR 0);
                END IF;
        END CASE;
    END LOOP;
    RETURN written;
END $$;
CREATE FUNCTION pg_temp.read_definition(type text, written text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    same boolean;
BEGIN
    EXECUTE format('SELECT d::text::%1$s = d AND d::text::%1$s::text = d::text FROM (SELECT %2$L::%1$s AS d) t', type, written) INTO same;
    RETURN CASE WHEN same THEN 'accepted' ELSE 'changed' END;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE;
END $$;
CREATE TEMP TABLE written AS
SELECT 'business_calendar' AS type, full_c::text AS written FROM defined UNION ALL SELECT 'business_calendar', nested_c::text FROM defined UNION ALL SELECT 'lifecycle', full_l::text FROM defined UNION ALL SELECT 'lifecycle', calendar_l::text FROM defined
UNION ALL SELECT 'sla', s::text FROM defined UNION ALL SELECT 'sla', full_s::text FROM defined;
CREATE TEMP TABLE garbled AS SELECT type, garbled, pg_temp.read_definition(type, garbled) AS outcome FROM (SELECT DISTINCT type, pg_temp.garbled(written, written || k) AS garbled FROM written, generate_series(1, 1000 / :every) k) g;
SELECT ok(count(*) FILTER (WHERE outcome = 'accepted') > 20 / :every AND count(*) FILTER (WHERE outcome = '22P02') > 100 / :every, type || ': garbled texts, some of which can be read') FROM garbled GROUP BY type ORDER BY type;
SELECT is_empty(format($$ SELECT outcome, garbled FROM garbled WHERE type = %L AND outcome <> 'accepted' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': garbled text is refused, or says what it is when read back') FROM (SELECT DISTINCT type AS t FROM garbled) x ORDER BY t;

SELECT lo_unlink(:large_object) \g /dev/null
SELECT format('COPY (SELECT) TO PROGRAM %L', 'rm -f -- ''' || :'file' || '''') \gexec
SELECT is(pg_backend_pid(), :backend, 'the same session');
SELECT is(pg_postmaster_start_time(), :'started'::timestamptz, 'the same server');
SELECT * FROM finish();
ROLLBACK;
