-- Broken bytes: refused with an error of their own, or accepted and given back as they are; never a crash.
--
-- Bytes come in as text (packs and summaries) and by COPY BINARY (all types), from a file in the server's data directory.
SET client_min_messages = warning;
SELECT pg_postmaster_start_time() AS started, pg_backend_pid() AS backend \gset
SET search_path = public, revacct;
SET timezone = 'UTC';
BEGIN;
SELECT plan(56);

CREATE TEMP TABLE samples (type text, n int, bytes bytea);
CREATE TEMP TABLE histories AS
SELECT i AS subject, journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour', nullif(k, 3)::bigint * 100, nullif(k, 2)::bigint) AS full_j,
       journey(1 + (i * k * 7 + k) % 8, '2025-01-01'::timestamptz + ((i * 37 + k * k * 61) % 400) * interval '1 hour') AS j
FROM generate_series(1, 12) i, generate_series(1, 5) k GROUP BY i;
CREATE TEMP TABLE defined AS
SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', no_decision => '{f}', recycled => '{g}', churned => '{h}', attempt => 'all') AS plain,
       lifecycle('Ω', stages => '{a, b}', won => 'ü', lost => '{e}', marks => '{1 300, 2 20000, 3, 4}', skip => 'strict', within => '1 month 00:00:01', step_within => '{NULL, 3 days, NULL}',
                 times => 'increasing', entry_range => '[2025-01-01 00:00+00, 2026-01-01 00:00+00)', visits => 'last', unknown => 'count', time_zone => 'Europe/Berlin') AS full_l;
INSERT INTO samples
SELECT 'journey', n, journey_send(j) FROM (VALUES (1, '{1@2025-01-01T00:00:00Z}'::journey), (2, (SELECT j FROM histories WHERE subject = 3)), (3, (SELECT full_j FROM histories WHERE subject = 5)),
    (4, '{31@-4713-11-24T00:00:00Z=-9223372036854775808#9223372036854775807, 32767@294276-12-31T23:59:59.999999Z}')) AS t(n, j)
UNION ALL SELECT 'lifecycle', 1, lifecycle_send(plain) FROM defined UNION ALL SELECT 'lifecycle', 2, lifecycle_send(full_l) FROM defined
UNION ALL SELECT 'journey_pack', 1, journey_pack_send(journey_pack(subject, j)) FROM histories WHERE subject < 4
UNION ALL SELECT 'journey_pack', 2, journey_pack_send(journey_pack(CASE WHEN subject < 3 THEN subject::text ELSE 'Ωx' || subject END, full_j)) FROM histories WHERE subject < 6
UNION ALL SELECT 'funnel_summary', 1, funnel_summary_send(funnel_conversion(j, plain, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'funnel_summary', 2, funnel_summary_send(funnel_conversion(j, full_l, '2025-02-01', subject * -1000.25)) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 1, velocity_summary_send(stage_velocity(j, plain, '2025-02-01')) FROM histories, defined
UNION ALL SELECT 'velocity_summary', 2, velocity_summary_send(stage_velocity(j, full_l, '2025-02-01', '2025-01-05')) FROM histories, defined;

CREATE TEMP TABLE received_journey (x journey);
CREATE TEMP TABLE received_lifecycle (x lifecycle);
CREATE TEMP TABLE received_journey_pack (x journey_pack);
CREATE TEMP TABLE received_funnel_summary (x funnel_summary);
CREATE TEMP TABLE received_velocity_summary (x velocity_summary);
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
INSERT INTO broken SELECT 'cut', type, n, substr(bytes, 1, l) FROM samples, generate_series(0, length(bytes) - 1) l;
INSERT INTO broken SELECT 'longer', type, n, bytes || b FROM samples, unnest('{"\\x00", "\\x01", "\\xff", "\\x0000000000000000"}'::bytea[]) b;
INSERT INTO broken SELECT 'flipped', type, n, set_byte(bytes, i, get_byte(bytes, i) # mask) FROM samples, generate_series(0, length(bytes) - 1) i, unnest('{1, 128, 255}'::int[]) mask;
INSERT INTO broken SELECT 'mangled', type, n, pg_temp.mangled(bytes, type || n || k) FROM samples, generate_series(1, 250) k;
INSERT INTO broken SELECT 'signed', type, n, pg_temp.signed(bytes) FROM broken WHERE type = 'lifecycle' AND kind IN ('flipped', 'mangled', 'cut') AND length(bytes) > 9;
CREATE TEMP TABLE outcomes AS SELECT *, pg_temp.receive(type, bytes) AS outcome FROM (SELECT DISTINCT * FROM broken) b;
CREATE TEMP TABLE text_outcomes AS SELECT *, pg_temp.read_text(type, bytes) AS outcome FROM (SELECT DISTINCT type, bytes FROM broken WHERE type NOT IN ('journey', 'lifecycle')) b;

SELECT is((SELECT string_agg(DISTINCT pg_temp.receive(type, bytes), ',') FROM samples s WHERE s.type = t), 'accepted', 'whole bytes are accepted, ' || t) FROM (SELECT DISTINCT type AS t FROM samples) x ORDER BY t;
SELECT cmp_ok(count(*), '>', 1000::bigint, type || ': broken values') FROM outcomes GROUP BY type ORDER BY type;
SELECT is_empty(format($$ SELECT outcome, kind, n, bytes FROM outcomes WHERE type = %L AND outcome <> 'accepted' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': received is refused, or given back as it came')
FROM (SELECT DISTINCT type AS t FROM samples) x ORDER BY t;
SELECT is_empty(format($$ SELECT outcome, bytes FROM text_outcomes WHERE type = %L AND outcome <> 'accepted' AND NOT pg_temp.refused(outcome) LIMIT 10 $$, t), t || ': text is refused, or given back as it came')
FROM (SELECT DISTINCT type AS t FROM text_outcomes) x ORDER BY t;
SELECT is_empty(format($$ SELECT * FROM outcomes JOIN text_outcomes USING (type, bytes) WHERE type = %L AND (outcomes.outcome = 'accepted') <> (text_outcomes.outcome = 'accepted') LIMIT 10 $$, t), t || ': text and binary agree')
FROM (SELECT DISTINCT type AS t FROM text_outcomes) x ORDER BY t;
SELECT is_empty(format($$ SELECT outcome, n, bytes FROM outcomes WHERE type = %L AND kind = 'longer' AND NOT pg_temp.refused(outcome) $$, t), t || ': nothing may follow') FROM (SELECT DISTINCT type AS t FROM samples WHERE type <> 'journey') x ORDER BY t;
-- a journey that is cut between marks is a journey, unless the rest could be written shorter
SELECT is_empty(format($$ SELECT outcome, n, bytes FROM outcomes WHERE type = %L AND kind = 'cut' AND NOT pg_temp.refused(outcome) $$, t), t || ': nothing may be missing') FROM (SELECT DISTINCT type AS t FROM samples WHERE type <> 'journey') x ORDER BY t;
SELECT is_empty($$ SELECT outcome, n, bytes FROM outcomes WHERE type = 'lifecycle' AND kind IN ('flipped', 'mangled') AND NOT pg_temp.refused(outcome) AND bytes NOT IN (SELECT bytes FROM samples) $$,
    'lifecycle: its fingerprint shows every change');
SELECT isnt((SELECT count(*) FROM outcomes WHERE type = 'lifecycle' AND kind = 'signed' AND outcome = 'accepted'), 0::bigint, 'lifecycle: some changes with a fitting fingerprint are definitions');
-- a later format
SELECT is(pg_temp.receive(type, set_byte(bytes, 0, get_byte(bytes, 0) # 3)), '0A000', type || ' ' || n || ': of version 2') FROM samples ORDER BY type, n;
SELECT is(pg_temp.read_text(type, set_byte(bytes, 0, get_byte(bytes, 0) # 3)), '0A000', type || ' ' || n || ': of version 2, as text') FROM samples WHERE type IN ('journey_pack', 'funnel_summary', 'velocity_summary') ORDER BY type, n;
-- a working state never comes in
SELECT ok(pg_temp.refused(pg_temp.receive(type, set_byte(bytes, 0, get_byte(bytes, 0) | 128))), type || ': no working state is received') FROM samples WHERE n = 1 ORDER BY type;

SELECT lo_unlink(:large_object) \g /dev/null
SELECT format('COPY (SELECT) TO PROGRAM %L', 'rm -f -- ''' || :'file' || '''') \gexec
SELECT is(pg_backend_pid(), :backend, 'the same session');
SELECT is(pg_postmaster_start_time(), :'started'::timestamptz, 'the same server');
SELECT * FROM finish();
ROLLBACK;
