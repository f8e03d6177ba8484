"""What the fault tests share: the library by which calls fail (faults.c), the statements whose calls are made to fail, and what they run on.

A statement gives one text, and has a number in it, {run}, that is another each time: calendars get it into their names, so that what a backend keeps of
them is empty at first.
"""
import atexit
import os
import random
import shutil
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path += [os.path.join(os.path.dirname(HERE), folder) for folder in ('data', 'crash')]
SEED = int(os.environ.get('SEED') or random.SystemRandom().randrange(1 << 32))
SCALE = float(os.environ.get('SCALE', '1'))


def build_library():
    """faults.c for the server under test; a path that the server's user can read, which goes when we do."""
    folder = tempfile.mkdtemp(prefix='revacct.faults.')
    atexit.register(shutil.rmtree, folder, True)
    os.chmod(folder, 0o755)
    headers = subprocess.run([os.environ.get('PG_CONFIG', 'pg_config'), '--includedir-server'], stdout=subprocess.PIPE, encoding='utf-8', check=True).stdout.strip()
    library = os.path.join(folder, 'faults.so')
    subprocess.run(['gcc', '-shared', '-fPIC', '-O1', '-Wall', '-Werror', '-D_GNU_SOURCE', '-I' + headers, '-o', library, os.path.join(HERE, 'faults.c')], check=True)
    os.chmod(library, 0o755)
    return library


def functions(library):
    """SQL that makes the library's functions, and those that let each call of a statement fail."""
    return """
CREATE SCHEMA faults;
CREATE FUNCTION faults.watch(kind text, seed bigint) RETURNS void LANGUAGE C STRICT AS '%(library)s', 'faults_watch';
CREATE FUNCTION faults.seen(OUT site bigint, OUT calls bigint, OUT first bigint, OUT last bigint, OUT other bigint) RETURNS SETOF record LANGUAGE C STRICT AS '%(library)s', 'faults_seen';
CREATE FUNCTION faults.fail(kind text, n bigint) RETURNS void LANGUAGE C STRICT AS '%(library)s', 'faults_fail';
CREATE FUNCTION faults.fail_in_worker(kind text, n bigint) RETURNS boolean LANGUAGE C STRICT PARALLEL SAFE COST 1000000 AS '%(library)s', 'faults_fail_in_worker';
CREATE FUNCTION faults.off() RETURNS boolean LANGUAGE C STRICT AS '%(library)s', 'faults_off';
CREATE SEQUENCE faults.run CACHE 1000;

-- The answer of a statement, whose effects are undone; with something called before, which may let it fail. Where it goes wrong, the error for an answer.
CREATE FUNCTION faults.answer(statement text, run bigint, before text DEFAULT 'SELECT') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    statement := replace(statement, '{run}', run::text);
    EXECUTE before;
    EXECUTE statement INTO answer;
    PERFORM faults.off();
    RAISE SQLSTATE 'UNDO0';
EXCEPTION
    WHEN SQLSTATE 'UNDO0' THEN RETURN answer;
    WHEN query_canceled OR OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- Failures: in which statement, where (0: by chance), the how manieth call, and what was wrong about what came of it.
CREATE TABLE faults.failure (statement text, place bigint, call bigint, wrong text);

-- Lets calls of a statement fail: of each place that calls the first, the last and one between, and some of all; so many at most. Each time it must end
-- with the error, or with the right answer where the failure can be coped with; and asked again, in the same session, give the right answer.
CREATE PROCEDURE faults.sweep(kind text, name text, statement text, error text, copes boolean, most int, seed bigint) LANGUAGE plpgsql AS $$
DECLARE
    right_answer constant text := faults.answer(statement, 0);
    got text;
    plan jsonb;
    call_no bigint;
    place_no bigint;
    has_failed boolean;
    complaint text;
    run bigint;
BEGIN
    IF coalesce(right_answer, '') = '' OR right_answer ~ '^[0-9A-Z]{5} ' THEN
        RAISE EXCEPTION 'the statement gives no answer: %%', right_answer;
    END IF;
    got := faults.answer(statement, nextval('faults.run'), format('SELECT faults.watch(%%L, %%s)', kind, seed));
    IF got <> right_answer THEN
        RAISE EXCEPTION 'the statement does not repeat itself: %%, then %%', right_answer, got;
    END IF;
    PERFORM setseed((seed %% 1000000) / 1000000.0);
    WITH seen AS MATERIALIZED (SELECT * FROM faults.seen()), wanted AS (
        SELECT site AS place, first AS call, random() AS urgency FROM seen
        UNION ALL SELECT site, n, 1 + random() FROM seen, unnest(ARRAY[last, other]) AS n WHERE n > first
        UNION ALL SELECT 0, 1 + floor(random() * (SELECT sum(calls) FROM seen))::bigint, 2 + random() FROM generate_series(1, greatest(5, most / 10)) WHERE EXISTS (SELECT FROM seen)
        ORDER BY urgency LIMIT most)
    SELECT jsonb_object_agg(w.call, w.place ORDER BY w.place) INTO plan FROM wanted AS w;
    COMMIT;
    FOR call_no, place_no IN SELECT key::bigint, value::bigint FROM jsonb_each_text(plan) ORDER BY 1 LOOP
        run := nextval('faults.run');
        got := faults.answer(statement, run, format('SELECT faults.fail(%%L, %%s)', kind, call_no));
        has_failed := faults.off();
        complaint := CASE WHEN got = right_answer AND (copes OR NOT has_failed) THEN NULL
                          WHEN has_failed AND got ~ error THEN NULL
                          ELSE 'failing at ' || call_no || ': ' || coalesce(got, 'NULL') END;
        got := faults.answer(statement, run);
        IF got IS DISTINCT FROM right_answer THEN
            complaint := concat_ws('; ', complaint, 'after failing at ' || call_no || ': ' || coalesce(got, 'NULL'));
        END IF;
        IF has_failed OR complaint IS NOT NULL THEN
            INSERT INTO faults.failure VALUES (name, place_no, call_no, complaint);
        END IF;
        COMMIT;
    END LOOP;
END $$;
""" % dict(library=library)


DATA = r"""
CREATE TABLE event AS
SELECT s AS subject, 1 + (s * 7 + n * n * 3 + n) % 9 AS mark, timestamptz '2024-01-03 08:00' + (s * 37 % 200) * interval '1 day' + (n * (s % 11 + 1) * 5 + s % 4) * interval '7 hours' + (s % 3) * interval '123456 microseconds' AS at,
       CASE WHEN (s + n) % 3 = 0 THEN (s * n) % 5 END::bigint AS value, CASE WHEN s % 5 = 0 THEN n END::bigint AS seq
FROM generate_series(1, 50) AS s, generate_series(0, 9) AS n WHERE n <= s % 10 + 1;
CREATE TABLE story AS SELECT subject, journey(mark, at, value, seq) AS journey, (subject % 7 * 100.5)::numeric AS amount FROM event GROUP BY subject;
INSERT INTO story SELECT 1000, journey(1 + n % 9, timestamptz '2024-01-01' + n * interval '11 minutes', n % 4), 1 FROM generate_series(1, 1200) AS n;
INSERT INTO story SELECT 2000 + n, journey(1, timestamptz '2024-05-30' + n * interval '10 hours'), 1 FROM generate_series(1, 4) AS n GROUP BY n;
CREATE TABLE tied AS SELECT n AS subject, ('{4@2024-02-01T00:00:00Z=1, 3@2024-02-01T00:00:00Z, 2@2024-02-01T00:00:00Z, 1@2024-02-01T00:00:00Z, 5@2024-02-01T00:00:00Z, 1@2024-02-0' || n || 'T00:00:00Z=2}')::journey AS journey FROM generate_series(1, 3) AS n;
CREATE TABLE pauses AS SELECT journey(CASE WHEN n = 0 THEN 1 WHEN n = 100 THEN 4 ELSE 2 + n % 2 END, timestamptz '2024-02-01' + n * interval '3 hours', CASE WHEN n = 100 THEN 1 END) AS journey FROM generate_series(0, 100) AS n;
CREATE TABLE pack AS SELECT subject % 4 AS part, journey_pack(subject, journey) AS pack FROM story GROUP BY subject % 4;
CREATE TABLE text_pack AS SELECT journey_pack('S' || subject, journey) AS pack FROM story;
CREATE FUNCTION calendar(run text) RETURNS business_calendar LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
    SELECT calendar_union(business_calendar('office' || run, 'Europe/Berlin', '{mon-fri 08:00-12:00 13:00-17:00, sat 22:00-02:00}', shifts => '{2024-05-04 10:00-11:00, 2024-05-05 10:00-11:00 12:00-13:00}', breaks => '{fri 15:00-15:20, 2024-03-06 09:00-10:00}',
                                            holidays => '{2024-01-01, 2024-05-01, 2024-12-25}', known_until => '2027-12-31'),
                          calendar_intersection(business_calendar('night' || run, 'America/New_York', '{mon-sun 20:00-04:00}'), business_calendar('odd' || run, 'UTC', '{wed 00:00-24:00}')))
$$;
CREATE FUNCTION cycle(run text, skip text DEFAULT 'impute', attempt text DEFAULT 'best', visits text DEFAULT 'all', with_calendar boolean DEFAULT false) RETURNS lifecycle LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
    SELECT lifecycle('deals', stages => '{lead, mql, sql, offer}', won => 'won', lost => '{lost}', no_decision => '{none}', recycled => '{later}', churned => '{gone}',
                     marks => CASE WHEN skip = 'strict' THEN '{"1 2", "2 3", "3 4", "4 1", 5, 6, 7, 8, 9}' ELSE '{1, 2, 3, 4, 5, 6, 7, 8, "9 10"}' END::text[], skip => skip, attempt => attempt, visits => visits,
                     within => '90 days', step_within => CASE WHEN skip = 'any' THEN '{20 days, NULL, 10 days, 1 mon, NULL}'::interval[] END, time_zone => 'Europe/Berlin', unknown => 'count',
                     calendar => CASE WHEN with_calendar THEN calendar(run) END)
$$;
CREATE FUNCTION promise(run text) RETURNS sla LANGUAGE SQL IMMUTABLE PARALLEL SAFE AS $$
    SELECT sla(ARRAY[
        sla('touch', start => '{a}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', phases => '{early until c, late until e, last}',
            marks => '{a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9}', target => '30 hours', calendar => calendar(run), warnings => '{0.5, 0.9}', escalations => '{50% to owner, breach to manager, breach + 2 hours to board by mail}',
            segments => '{1, 2}', reopen => 'restart'),
        sla('touch', start => '{a}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', phases => '{early until c, late until e, last}',
            marks => '{a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9}', target => '20 days', warnings => '{0.75}', escalations => '{75% to owner}', owners => '{3, 4}', reopen => 'restart',
            valid => '[2024-02-01, 2025-01-01)'),
        sla('touch', start => '{a}', stop => '{b}', pause => '{c}', resume => '{d}', reset => '{e}', cancel => '{f}', segment => '{g}', owner => '{h}', promise => '{i}', phases => '{early until c, late until e, last}',
            marks => '{a=1, b=2, c=3, d=4, e=5, f=6, g=7, h=8, i=9}', target => '16 hours', calendar => business_calendar('all' || run, 'UTC', '{mon-sun 06:00-18:00}'), escalations => '{50% to owner, breach to manager}', reopen => 'restart')])
$$;
CREATE TABLE funnel AS SELECT subject % 3 AS part, funnel_conversion(journey, cycle(''), '2025-01-01', amount) AS summary FROM story GROUP BY 1;
CREATE TABLE velocity AS SELECT subject % 3 AS part, stage_velocity(journey, cycle('', with_calendar => true), '2025-01-01') AS summary FROM story GROUP BY 1;
CREATE TABLE timed AS SELECT journey(mark, CASE mark WHEN 1 THEN timestamptz '2000-01-01' ELSE '2000-01-01'::timestamptz + n * interval '11 minutes 7.123457 seconds' END) AS journey FROM generate_series(1, 8300) AS n, generate_series(1, 2) AS mark GROUP BY n;
CREATE TABLE many AS
SELECT few, stage_velocity(journey, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01') AS summary FROM unnest('{30, 8300}'::int[]) AS few, LATERAL (SELECT journey FROM timed LIMIT few) AS t GROUP BY few;
CREATE TABLE breach AS SELECT subject % 3 AS part, sla_breach(journey, promise(''), '2025-01-01') AS summary FROM story GROUP BY 1;
ANALYZE;
"""


# All types as binary files, to be received again.
RECEIVED = r"""
CREATE TABLE definition AS SELECT cycle('', s, with_calendar => true) AS lifecycle, promise(s) AS sla, calendar(s) AS calendar FROM unnest('{impute, any, strict}'::text[]) AS s;
CREATE FUNCTION received(relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    CREATE TEMP TABLE received ON COMMIT DROP AS SELECT FROM pg_class LIMIT 0;
    DROP TABLE received;
    EXECUTE format('CREATE TEMP TABLE received ON COMMIT DROP AS TABLE %I WITH NO DATA', relation);
    EXECUTE format('COPY received FROM %L (FORMAT binary)', current_setting('data_directory') || '/' || current_database() || '.' || relation);
    SELECT md5(string_agg(r::text, '|')) INTO answer FROM received AS r;
    RETURN answer;
END $$;
DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY '{story, pack, text_pack, definition, funnel, velocity, breach}'::text[] LOOP
        EXECUTE format('COPY %I TO %L (FORMAT binary)', relation, current_setting('data_directory') || '/' || current_database() || '.' || relation);
    END LOOP;
END $$;
"""

# An agreed model, and a ledger with a source of which half is loaded.
AGREED = r"""
CREATE ROLE %(steward)s; CREATE ROLE %(council)s;
SELECT grant_access('steward', '%(steward)s'), grant_access('council', '%(council)s'), grant_access('steward', current_user::text::regrole);
SET SESSION AUTHORIZATION %(steward)s;
SELECT register_party('board', 'team');
SELECT draft_change('Sales', effective_at => '2024-01-01', retroactive => true);
SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}', holidays => '{2024-05-01}'), define_lifecycle('sales', calendar => 'office', time_zone => 'Europe/Berlin'), define_stage('sales', 'lead', 10), define_stage('sales', 'offer', 20),
       define_stage('sales', 'won', 30, 'won'), define_stage('sales', 'lost', 40, 'lost'), define_sla('touch', start => '{lead}', stop => '{touch_out}', target => '30 hours', calendar => 'office', lifecycle => 'sales', meaning => 'x'),
       define_code('lead_source', 'web'), define_metric('win rate', 'x', basis => 'cohort', lifecycle => 'sales', at_stage => 'lead', to_stage => 'won'), assign('board', 'accountable', 'metric', 'win rate');
SELECT propose_change();
SET SESSION AUTHORIZATION %(council)s;
SELECT approve(max(change_no)) FROM open_changes;
SET SESSION AUTHORIZATION %(steward)s;
SELECT draft_change('Faster', effective_at => '2024-06-01', retroactive => true), define_sla('touch', start => '{lead}', stop => '{touch_out}', target => '20 hours', calendar => 'office', lifecycle => 'sales', meaning => 'x'),
       define_lifecycle('sales', time_zone => 'Europe/Berlin', within => '60 days');
SELECT propose_change();
SET SESSION AUTHORIZATION %(council)s;
SELECT approve(max(change_no)) FROM open_changes;
RESET SESSION AUTHORIZATION;
CREATE TABLE fact AS
SELECT 'opportunity' AS subject_kind, 'O-' || n AS subject_key, e.event, e.at AS occurred_at, n || '/' || e.no AS source_key, e.lifecycle, e.stage, e.field, e.code, e.party, 1 + n %% 2 AS batch
FROM generate_series(1, %(subjects)d) AS n, LATERAL (SELECT timestamptz '2024-02-01' + n %% 60 * interval '57 hours' AS t) AS o,
     LATERAL (VALUES (1, 'stage_entered', t, 'sales', 'lead', NULL, NULL, NULL), (2, 'assigned', t, NULL, NULL, NULL, NULL, 'rep ' || n %% 5), (3, 'field_set', t, NULL, NULL, 'lead_source', 'web', NULL),
                     (4, 'touch_out', t + n * interval '3 hours', NULL, NULL, NULL, NULL, NULL),
                     (5, 'stage_entered', t + n %% 30 * interval '2 days', 'sales', CASE n %% 3 WHEN 0 THEN 'won' WHEN 1 THEN 'lost' ELSE 'offer' END, NULL, NULL, NULL)) AS e (no, event, at, lifecycle, stage, field, code, party);
CREATE TABLE batch AS SELECT 1 AS batch;
CREATE VIEW landed AS SELECT f.* FROM fact AS f, batch AS b WHERE f.batch <= b.batch;
CREATE VIEW landed_links AS SELECT 'opportunity' AS from_kind, 'O-3' AS from_key, 'opportunity' AS to_kind, 'O-14' AS to_key, 'same_as' AS role;
SELECT map_source('crm', 'landed', 'landed_links');
SELECT load('crm');
SELECT refresh(false);
UPDATE batch SET batch = 2;
SELECT publish('win rate', NULL);
ANALYZE;
-- One proposes and another approves, in one statement.
CREATE FUNCTION agree(said text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    outcome text;
BEGIN
    SET LOCAL SESSION AUTHORIZATION %(steward)s;
    number := draft_change('Again', effective_at => '2024-07-01', retroactive => true);
    EXECUTE 'SELECT ' || said;
    PERFORM propose_change(number);
    SET LOCAL SESSION AUTHORIZATION %(council)s;
    outcome := approve(number);
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
    RETURN outcome;
END $$;
CREATE FUNCTION taken_up() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM load('crm'), refresh(false);
    RETURN (SELECT md5(string_agg(s.subject_key || j.journey::text, '|' ORDER BY s.subject_key)) FROM revacct_data.journey AS j JOIN revacct_data.subject AS s USING (subject_id))
        || (SELECT md5(string_agg(f::text, '|' ORDER BY f::text)) FROM (SELECT lifecycle, period, stage, owner, lead_source, entered, converted, lost FROM revacct.funnel) AS f) || (SELECT count(*) FROM check_journeys());
END $$;
CREATE FUNCTION built_again() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM rebuild_journeys(false);
    RETURN (SELECT md5(string_agg(j.subject_id || j.journey::text, '|' ORDER BY j.subject_id)) FROM revacct_data.journey AS j) || (SELECT count(*) FROM check_journeys());
END $$;
"""


def rows(query):
    """A statement for all that a query gives."""
    return "SELECT md5(string_agg(t::text, '|')) FROM (%s) AS t" % query


# What each statement asks, and the statement.
STATEMENTS = {
    # what happened
    'journeys of marks': rows("SELECT journey(mark, at) FROM event GROUP BY subject UNION ALL SELECT journey(mark, at, value) FROM event UNION ALL SELECT journey(mark, at, value, seq) FROM event GROUP BY subject % 3"),
    'a long journey of marks in disorder': "SELECT journey_hash(journey(1 + n % 9, timestamptz '2024-01-01' + (n * 7919 % 4001) * interval '1 minute', n, n % 3))::text FROM generate_series(1, 4000) AS n",
    'journeys as text and bytes, and back': rows("SELECT journey::text::journey, journey_send(journey), mark_count(journey), first_at(journey), last_at(journey), journey_hash(journey), journey_hash_extended(journey, {run} * 0) FROM story"),
    'journeys merged': rows("SELECT rollup(journey) FROM story GROUP BY subject % 5 UNION ALL SELECT merge(a.journey, b.journey) FROM story AS a, story AS b WHERE a.subject + 1 = b.subject"),
    'journeys in order': rows("SELECT DISTINCT journey FROM (SELECT journey FROM story UNION ALL SELECT journey FROM story) AS s WHERE mark_count(journey) < 100"),
    'marks of journeys': rows("SELECT subject, m.* FROM story, marks(journey) AS m WHERE subject % 10 = 0"),
    'what a journey began and ended with': rows("SELECT _first_at(journey, '{2, 3}'), _first_value(journey, '{2, 3, 4}'), _last_mark(journey, '{2, 3}'), _last_value(journey, '{1, 3}') FROM story"),
    'packs of journeys': rows("SELECT journey_pack(subject, journey), journey_pack('S' || subject, journey) FROM story GROUP BY subject % 3"),
    'packs of events': rows("SELECT journey_pack(subject::bigint, mark, at) FROM event GROUP BY subject % 3"),
    'packs of many events': "SELECT md5(journey_pack_send(journey_pack(n * 7919 % 5003, (1 + n % 9)::int, timestamptz '2024-01-01' + n * interval '1 minute'))) FROM generate_series(1::bigint, 12000) AS n",
    'packs as text and bytes, and back': rows("SELECT pack::text::journey_pack, journey_pack_send(pack), subject_count(pack), mark_count(pack) FROM (SELECT pack FROM pack UNION ALL SELECT pack FROM text_pack) AS p"),
    'packs merged': rows("SELECT rollup(pack) FROM (SELECT pack FROM pack UNION ALL SELECT pack FROM pack) AS p"),
    'packs opened': rows("SELECT subject, journey FROM (SELECT pack FROM pack UNION ALL SELECT pack FROM text_pack) AS p, unpack(pack)"),
    # what was agreed
    'a lifecycle, as text and bytes, and back': rows("SELECT c::text::lifecycle, lifecycle_send(c), fingerprint(c), _lifecycle_name(c), lifecycle_hash(c), mark(c, 'offer') FROM (SELECT cycle('', s, a, v) AS c FROM unnest('{impute, any, strict}'::text[]) AS s, unnest('{best, all}'::text[]) AS a, unnest('{all, cumulative}'::text[]) AS v) AS l"),
    'a lifecycle with a calendar': rows("SELECT cycle('', with_calendar => true)::text::lifecycle, lifecycle_send(cycle('', with_calendar => true))"),
    'a lifecycle of active stages': rows("SELECT lifecycle('a', stages => '{x, y}', active => '{on, ON}', entry_range => '[2024-01-01, 2025-01-01)', lost => '{l}')"),
    'calendars, as text and bytes, and back': rows("SELECT c::text::business_calendar, business_calendar_send(c), fingerprint(c), _calendar_name(c), business_calendar_hash(c) FROM (SELECT calendar('') AS c) AS d"),
    'questions to a calendar': rows("SELECT business_time(c, at, at + n * interval '50 hours'), business_add(c, at, n * interval '20 hours'), next_open(c, at), is_open(c, at), beyond_horizon(c, at) FROM (SELECT calendar('{run}') AS c) AS d, (SELECT at, n FROM event, generate_series(-1, 1) AS n WHERE subject % 9 = 0) AS e"),
    'when a calendar is open': rows("SELECT o.* FROM open_intervals(calendar('{run}'), '2023-12-20', '2024-07-01') AS o"),
    'a calendar far away': rows("SELECT business_time(c, '2024-01-01', '2900-01-01'), business_add(c, '0100-01-01', '9999 hours'), o.* FROM (SELECT business_calendar('far{run}', 'Europe/Berlin', '{mon 09:00-17:00}') AS c) AS d, open_intervals(c, '5024-01-01', '5024-03-01') AS o"),
    'an SLA, as text and bytes, and back': rows("SELECT s::text::sla, sla_send(s), fingerprint(s), sla_name(s), sla_hash(s), mark(s, 'b') FROM (SELECT promise('') AS s) AS t"),
    'definitions as text': rows("SELECT d::text::sla FROM (SELECT sla('s', start => '{a}', stop => '{b}', segment => '{c}', owner => '{d}', warnings => '{0.5, 0.9}', segments => '{1, 2}', owners => '{7}', escalations => '{50% to owner, breach to manager}', target => '1 hour', calendar => business_calendar('c', 'UTC', '{mon-sat 01:00-02:00 03:00-04:00 05:00-06:00 07:00-08:00 09:00-10:00 11:00-12:00}')) AS d) AS t"),
    'an SLA on a lifecycle': rows("SELECT sla('s', start => '{lead}', stop => '{won, called}', marks => '{called=100}', target => '1 hour', lifecycle => cycle(''))"),
    'an SLA of many policies': "SELECT md5(sla_send(sla(array_agg(sla('s', start => '{a}', stop => '{b}', segment => '{c}', target => i * interval '1 hour', segments => ARRAY[i], calendar => CASE WHEN i % 2 = 0 THEN calendar('') END))))) FROM generate_series(1::bigint, 12) AS i",
    'keys of definitions': rows("SELECT _key_names(object_key('a', 'b/' || n, 'c')) FROM generate_series(1, 3) AS n"),
    # what it measures
    'a funnel': rows("SELECT funnel_conversion(journey, cycle('', s, a), '2025-01-01') FROM story, unnest('{impute, any, strict}'::text[]) AS s, unnest('{best, all}'::text[]) AS a WHERE subject % 9 < 2 GROUP BY s, a ORDER BY s, a"),
    'a funnel of chains in time': rows("SELECT funnel_conversion(journey, lifecycle('chains', stages => '{a, b, c}', won => 'w', lost => '{l}', marks => '{5, 3, 1, 2, 4}', skip => 'strict', attempt => 'all', times => t, step_within => '{NULL, 20 days, 10 days, NULL}', unknown => 'count'), '2025-01-01') FROM story, unnest('{nondecreasing, increasing}'::text[]) AS t GROUP BY t ORDER BY t"),
    'a funnel of tied marks': rows("SELECT funnel_conversion(journey, lifecycle('tied', stages => '{a, b, c}', won => 'w', lost => '{l}', marks => '{5, 3, 1, 2, 4}', skip => s, unknown => 'count'), '2025-01-01') FROM tied, unnest('{impute, any, strict}'::text[]) AS s GROUP BY s ORDER BY s"),
    'clocks of tied marks and many stretches': rows("SELECT c.* FROM (SELECT journey FROM tied UNION ALL SELECT journey FROM pauses) AS j, sla_clocks(journey, sla('t', start => '{a}', stop => '{b}', pause => '{c}', resume => '{d}', segment => '{e}', marks => '{a=1, b=9, c=2, d=3, e=4}', target => '90 hours', segments => '{1}'), '2025-01-01') AS c"),
    'spans of many visits': rows("SELECT s.* FROM pauses, stage_spans(journey, lifecycle('v', stages => '{a, b, c}', unknown => 'count'), '2025-01-01') AS s"),
    'a funnel with amounts': rows("SELECT subject % 3, funnel_conversion(journey, cycle(''), '2025-01-01', amount) FROM story GROUP BY 1 ORDER BY 1"),
    'a funnel of packs': rows("SELECT funnel_conversion(pack, cycle('', s), '2025-01-01') FROM pack, unnest('{impute, any, strict}'::text[]) AS s GROUP BY s ORDER BY s"),
    'funnels merged': rows("SELECT rollup(summary) FROM funnel"),
    'funnels as text and bytes, and back': rows("SELECT summary::text::funnel_summary, funnel_summary_send(summary), lifecycle(summary), fingerprint(summary), as_of(summary) FROM funnel"),
    'figures of a funnel': rows("SELECT s.*, conversion_rate(summary, 'lead', 'decided'), conversion_rate_low(summary, 'lead', 'entered', 0.9), conversion_rate_high(summary, 'lead', 'decided', 0.9), converted(summary, 'mql'), entered(summary, 'mql'), observed(summary, 'mql'), imputed(summary, 'mql'), "
                                "in_progress(summary, 'mql'), lost(summary, 'mql'), expired(summary, 'mql'), attempts(summary), recycled_attempts(summary), unknown_marks(summary), subjects(summary) FROM funnel, stages(summary, 0.9) AS s"),
    'attempts': rows("SELECT subject, f.* FROM story, unnest('{impute, any, strict}'::text[]) AS s, funnel_attempts(journey, cycle('', s), '2025-01-01') AS f WHERE subject < 20"),
    'stages of the hour': rows("SELECT current_stage(journey, cycle(''), '2024-07-01'), entered(journey, cycle('')), entered(journey, cycle(''), 'sql') FROM story"),
    'velocity': rows("SELECT s.* FROM (SELECT stage_velocity(journey, cycle('{run}', visits => v, with_calendar => w), '2025-01-01', CASE v WHEN 'all' THEN timestamptz '2024-02-01' END) AS y FROM story, unnest('{all, cumulative, first, last}'::text[]) AS v, unnest('{t, f}'::bool[]) AS w WHERE subject % 9 < 2 AND (w OR v <> 'all') GROUP BY v, w ORDER BY v, w) AS t, stages(y) AS s"),
    'velocity of packs': rows("SELECT stage_velocity(pack, cycle('', visits => v), '2025-01-01'), stage_velocity(pack, cycle('', visits => v), '2025-01-01', CASE v WHEN 'all' THEN timestamptz '2024-02-01' END) FROM pack, unnest('{all, cumulative}'::text[]) AS v GROUP BY v ORDER BY v"),
    'velocity of many durations': rows("SELECT s.* FROM (SELECT stage_velocity(journey, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01') AS y FROM timed) AS t, stages(y) AS s"),
    'velocities merged': rows("SELECT rollup(summary) FROM velocity"),
    'velocities as text and bytes, and back': rows("SELECT summary::text::velocity_summary, velocity_summary_send(summary), lifecycle(summary), business_clock(summary), fingerprint(summary), as_of(summary) FROM velocity"),
    'figures of velocity': rows("SELECT s.*, quantile(summary, 'lead', 0.5), quantile(summary, 'lead', 0.5, 'min'), quantile_low(summary, 'lead', 0.5, 0.9, 'plain'), quantile_high(summary, 'mql', 0.5, 0.9), survival_at(summary, 'lead', '10 days'), incidence_at(summary, 'lead', 'lost', '10 days'), exits(summary, 'lead', 'won'), "
                                "visits(summary, 'lead'), pending(summary, 'lead'), subjects(summary), unknown_marks(summary), restricted_mean(summary, 'lead', '30 days'), exit_probability(summary, 'lead', 'lost', '2 days', '30 days') FROM velocity, stages(summary, 0.9) AS s"),
    'curves': rows("SELECT c.*, i.* FROM velocity, survival_curve(summary, 'lead') AS c, incidence_curve(summary, 'mql', 'lost') AS i WHERE part = 0"),
    'curves compared': rows("SELECT log_rank(array_agg(summary), 'lead') FROM velocity"),
    'curves of many durations': rows("SELECT few, c.* FROM many, survival_curve(summary, 'a') AS c UNION ALL SELECT 0, c.* FROM (SELECT rollup(summary) AS y FROM many) AS s, survival_curve(y, 'a') AS c"),
    'curves compared, of many durations and few': rows("SELECT log_rank(array_agg(summary), 'a') FROM many"),
    'spans': rows("SELECT subject, s.* FROM story, stage_spans(journey, cycle('{run}', with_calendar => true), '2025-01-01', '2024-02-01') AS s WHERE subject < 30"),
    'breaches': rows("SELECT subject % 2, policies(b), phases(b) FROM (SELECT subject % 2 AS subject, sla_breach(journey, promise('{run}'), '2025-01-01') AS b FROM story GROUP BY 1) AS s ORDER BY 1"),
    'breaches of packs': rows("SELECT policies(b), phases(b) FROM (SELECT sla_breach(pack, promise('{run}'), '2025-01-01') AS b FROM pack) AS s"),
    'breaches merged': rows("SELECT rollup(summary) FROM breach"),
    'breaches as text and bytes, and back': rows("SELECT summary::text::breach_summary, breach_summary_send(summary), sla(summary), fingerprint(summary), as_of(summary) FROM breach"),
    'figures of breaches': rows("SELECT p.*, at_risk(summary), beyond_horizon(summary), breach_rate(summary), breach_rate_low(summary, 0.9), breach_rate_high(summary, 0.9), breached(summary), met(summary), cancelled(summary), running(summary), paused(summary), started(summary), overdue(summary), not_covered(summary), subjects(summary), "
                                "elapsed_quantile(summary, 0.5), overdue_quantile(summary, 0.5) FROM breach, policies(summary, 0.9) AS p"),
    'clocks': rows("SELECT subject, c.* FROM story, sla_clocks(journey, promise('{run}'), '2025-01-01') AS c WHERE subject < 40"),
    'phases of clocks': rows("SELECT subject, p.* FROM story, sla_phases(journey, promise('{run}'), '2025-01-01') AS p WHERE subject < 40"),
    'open clocks': rows("SELECT o.* FROM (SELECT pack FROM pack UNION ALL SELECT pack FROM text_pack) AS p, sla_open_clocks(pack, promise('{run}'), '2024-06-01') AS o"),
    'escalations': rows("SELECT subject, e.* FROM story, escalations(journey, promise('{run}'), '2024-06-01') AS e"),
    'statistics': rows("SELECT wilson(n, 40, 0.9), newcombe(n, 40, 7, 30, 0.9), katz(n, 40, 7, 30, 0.9), holm('{}'), holm(ARRAY[0.01, 0.04, n / 40.0, NULL]) FROM generate_series(1::bigint, 3) AS n"),
}
RECEIVED_STATEMENTS = {'%s, received' % relation: "SELECT received('%s')" % relation for relation in ('story', 'pack', 'text_pack', 'definition', 'funnel', 'velocity', 'breach')}
AGREED_STATEMENTS = {
    'an agreed lifecycle': rows("SELECT lifecycle('sales'), lifecycle(n), lifecycle('sales'::text, '2024-03-01'::timestamptz), mark('sales', 'offer') FROM unnest('{sales, sales}'::text[]) AS n"),
    'an agreed SLA': rows("SELECT sla('touch'), sla(n), sla('touch'::text, '2024-03-01'::timestamptz) FROM unnest('{touch, touch}'::text[]) AS n"),
    'an agreed calendar': rows("SELECT business_calendar('office'), business_calendar(n), business_calendar('office', '2024-03-01') FROM unnest('{office, office}'::text[]) AS n"),
    'a funnel of an agreed lifecycle': rows("SELECT funnel_conversion(journey, lifecycle('sales'), '2025-01-01') FROM revacct_data.journey"),
    'a change agreed': "SELECT agree('define_stage(''sales'', ''demo'', 15), define_sla(''touch'', start => ''{lead}'', stop => ''{touch_out}'', target => ''10 hours'', calendar => ''office'', lifecycle => ''sales'', meaning => ''x'')') || lifecycle('sales')::text",
    'load() and refresh()': "SELECT taken_up()",
    'rebuild_journeys()': "SELECT built_again()",
    'check_journeys()': "SELECT count(*)::text FROM check_journeys()",
    'a funnel as known then': rows("SELECT f.valid_from, f.definition, g.* FROM funnel_of('sales', as_of => '2024-12-01') AS f, stages(f.funnel) AS g"),
    'metric_value()': "SELECT metric_value('win rate', '[2024-02-01, 2024-06-01)', as_of => '2024-12-01')::text",
    'restate()': rows("SELECT r.* FROM restate('win rate', NULL, '2024-03-01', '2024-07-01', as_of => '2024-12-01') AS r"),
    'publish()': "SELECT (publish('win rate', NULL, as_of => '2024-12-01') > 0)::text || count(*) FROM verify_published() AS v WHERE v.problem IS NULL",
    'record_event()': "SELECT (SELECT record_event('crm', 'opportunity', 'O-1', 'stage_entered', '2024-12-01', 'more {run}', 'sales', 'won')::text IS NULL)::text || count(*) FROM revacct_data.event",
    'raise_escalations()': rows("SELECT s.subject, e.step FROM story AS s, raise_escalations(s.subject::text, journey, promise('{run}'), '2024-06-01') AS e ORDER BY 1, 2"),
}
LONG = ('a change agreed', 'load() and refresh()', 'rebuild_journeys()', 'check_journeys()', 'publish()', 'restate()', 'metric_value()', 'record_event()', 'a funnel as known then')
