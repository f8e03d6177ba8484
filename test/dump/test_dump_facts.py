#!/usr/bin/env python3
"""A filled ledger, dumped and restored: the same facts to the row; what is derived is made again to the byte; published figures verify;
loading again loads nothing, numbers go on, and guards refuse. What is derived is in no dump."""
import atexit
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8', PGTZ='UTC', PGOPTIONS='-c client_min_messages=warning')
import harness

SOURCE = os.environ['PGDATABASE']
ROLES = {who: 'revacct_facts_%s_%d' % (who, os.getpid()) for who in ('ana', 'cleo', 'lab', 'load', 'ann')}
OWNER = 'revacct_facts_owner_%d' % os.getpid()
ROOT = 'revacct_facts_root_%d' % os.getpid()
tap = harness.Tap()
databases = []


def execute(*command, text=None):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')


def run(*command, text=None):
    """Output of a command; what it says on stderr too when it fails."""
    done = execute(*command, text=text)
    if done.returncode:
        raise RuntimeError('%s: %s' % (' '.join(command), done.stderr.strip()))
    return done.stdout


PSQL = 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d'
PATH = 'SET search_path = public, revacct;\n'


def psql(database, script, user=None):
    return run(*PSQL, database, *(['-U', user] if user else []), text=PATH + script)


def refusal(database, script, user=None):
    """What the server says against it; nothing if it does not mind."""
    done = execute(*PSQL, database, *(['-U', user] if user else []), text=PATH + script)
    return done.stderr if done.returncode else ''


def new_database(suffix, options='TEMPLATE template0'):
    name = '%s_%s' % (SOURCE, suffix)
    databases.append(name)
    psql('postgres', 'CREATE DATABASE %s %s' % (name, options))
    return name


@atexit.register
def clean_up():
    for name in databases:
        psql('postgres', 'DROP DATABASE IF EXISTS %s WITH (FORCE)' % name)
    psql(SOURCE, 'DROP EXTENSION IF EXISTS revacct CASCADE; DROP SCHEMA IF EXISTS revacct CASCADE; DROP OWNED BY %s CASCADE;' % ', '.join(ROLES.values()))
    psql('postgres', ''.join('DROP ROLE IF EXISTS %s;' % role for role in [*ROLES.values(), OWNER, ROOT]))


def plain_dump(database, *options):
    # since the minor releases of August 2025 a dump has a key of its own
    return re.sub(r'^\\(un)?restrict .*\n', '', run('pg_dump', '-d', database, *options), flags=re.M)


def restore(text, database, user=None):
    run('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, *(['-U', user] if user else []), text=text)
    return database


def restore_backwards(archive, database):
    """The tables' rows in the order opposite to the dump's: pg_restore with several jobs knows no order among an extension's tables."""
    listed = run('pg_restore', '-l', archive).split('\n')
    ours = [line for line in listed if ' TABLE DATA revacct_data ' in line]
    order = iter(reversed(ours))
    with tempfile.NamedTemporaryFile('w', suffix='.list') as listing:
        listing.write('\n'.join(next(order) if line in ours else line for line in listed))
        listing.flush()
        run('pg_restore', '--exit-on-error', '-L', listing.name, '-d', database, archive)


# ---- what happened ------------------------------------------------------------------------------------------------------

MODEL = """
SELECT grant_access('steward', '{ana}'), grant_access('council', '{cleo}'), grant_access('analyst', '{lab}'), grant_access('loader', '{load}'), grant_access('reader', '{ann}');
SET SESSION AUTHORIZATION {ana};
SELECT register_party('ann', 'person'), register_party('board', 'team');
SELECT draft_change('Deals', '2024-01-01', retroactive => true);
SELECT define_lifecycle('deals', 'Deals', time_zone => 'Europe/Berlin'), define_stage('deals', 'lead', 10), define_stage('deals', 'proposal', 20, is_pipeline => true), define_stage('deals', 'won', 30, 'won'), define_stage('deals', 'lost', 40, 'lost');
SELECT define_sla('touch', start => '{{lead}}', stop => '{{touch_out}}', target => '90 days', lifecycle => 'deals', meaning => 'x'), define_code('segment', 'small');
SELECT define_metric('win rate', 'x', basis => 'event', lifecycle => 'deals', to_stage => 'won'), define_metric('lead to won', 'x', basis => 'cohort', lifecycle => 'deals', at_stage => 'lead', to_stage => 'won');
SELECT assign('board', 'accountable', 'metric', 'win rate'), assign('board', 'accountable', 'metric', 'lead to won');
SELECT propose_change();
SET SESSION AUTHORIZATION {cleo};
SELECT approve(1), set_minimum_group(3);
RESET SESSION AUTHORIZATION;
SELECT link_login('ann', '{ann}');
""".format(**ROLES)

# Thirty deals over the years, some of a strange name, whatever a row may hold; and rows that cannot be taken in.
RAW = r"""
CREATE TABLE raw AS
SELECT k || '/' || i AS k, 'Deal "' || i || E'" \\N\tÜ' AS deal, ev, at + i * interval '40 days' + no * interval '9 days' AS at, stage, field, code, party, amount, currency, seq, details
FROM generate_series(1, 30) AS i, LATERAL (VALUES
    ('a', 1, 'stage_entered', 'lead', NULL, NULL, NULL, NULL::numeric, NULL, 1::bigint, NULL::jsonb), ('b', 2, 'stage_entered', CASE WHEN i % 2 = 0 THEN 'proposal' ELSE 'lost' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('c', 3, 'stage_entered', CASE WHEN i % 3 = 0 THEN 'won' ELSE 'proposal' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('d', 1, 'field_set', NULL, 'segment', CASE WHEN i % 2 = 0 THEN 'small' ELSE 'never defined' END, NULL, NULL, NULL, 2, NULL),
    ('e', 1, 'assigned', NULL, NULL, NULL, CASE WHEN i % 3 = 0 THEN 'ann' ELSE 'Bob / "B"' END, NULL, NULL, NULL, NULL), ('f', 1, 'field_set', NULL, 'amount', NULL, NULL, i * 1000.55, CASE WHEN i % 2 = 0 THEN 'EUR' END, NULL, NULL),
    ('g', 2, 'field_set', NULL, 'expected_close', NULL, NULL, NULL, NULL, NULL, '{"value": "2026-01-31", "x": [null, "\u00fc\t"]}'), ('h', 4, 'touch_out', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS e (k, no, ev, stage, field, code, party, amount, currency, seq, details),
    (VALUES ('2022-12-20 23:30+00'::timestamptz)) AS t (at);
INSERT INTO raw (k, deal, ev, at, stage) VALUES ('old', 'Ancient', 'stage_entered', '1999-12-31 23:59:59.999999+00', 'lead'), ('new', 'Ancient', 'stage_entered', '2000-01-01 00:00+00', 'won'), ('far', 'To come', 'stage_entered', '2199-12-30', 'lead'),
    ('bad1', 'No time', 'stage_entered', NULL, 'lead'), ('bad2', 'No stage', 'stage_entered', '2024-01-01', NULL), (NULL, 'No key', 'stage_entered', '2024-01-01', 'lead'), ('bad3', 'No such event', 'danced', '2024-01-01', NULL);
CREATE VIEW ev AS SELECT 'opportunity'::text AS subject_kind, deal AS subject_key, ev AS event, at AS occurred_at, k AS source_key, CASE WHEN stage IS NOT NULL THEN 'deals' END AS lifecycle, stage, field, code, party, amount, currency, seq, details FROM raw;
CREATE TABLE pay AS SELECT 'p' || i AS source_key, 'recurring' AS kind, 'account' AS subject_kind, 'ACME' AS subject_key, '2024-01-01'::date + i AS starts_on, CASE WHEN i > 1 THEN '2025-01-01'::date END AS ends_on, i * 10.5 AS amount, 'EUR' AS currency, CASE WHEN i = 3 THEN 'p2' END AS corrects FROM generate_series(1, 4) AS i;
INSERT INTO pay VALUES ('p9', 'gift', NULL, NULL, '2024-01-01', NULL, 1, 'EUR', NULL);
CREATE TABLE said AS SELECT 'c' || i AS source_key, 'promise' AS kind, 'opportunity' AS subject_kind, 'Deal x' AS subject_key, 'ann' AS from_party, 'board' AS to_party, E'call\nback \\.' AS promised, '2025-01-01'::timestamptz + i * interval '1 day' AS due_at, CASE WHEN i = 2 THEN 'c1' END AS corrects FROM generate_series(1, 2) AS i;
CREATE TABLE link AS SELECT 'opportunity' AS from_kind, 'Ancient' AS from_key, 'opportunity' AS to_kind, 'To come' AS to_key, 'same_as' AS role, NULL::timestamptz AS valid_from, NULL::numeric AS share, 's1' AS source_key
    UNION ALL SELECT 'opportunity', 'Ancient', 'account', 'ACME', 'account', '2000-01-01', 0.25, 's2' UNION ALL SELECT 'opportunity', 'Ancient', 'account', 'ACME', 'nonsense', NULL, NULL, 's3';
GRANT SELECT ON ev, pay, said, link TO {load};
""".replace('{load}', ROLES['load'])

FACTS = """
SET SESSION AUTHORIZATION {load};
SELECT map_source('crm', events => 'ev', links => 'link', money => 'pay', commitments => 'said', priority => 7);
SELECT fact, loaded, rejected FROM load('crm');
SELECT count(*) FROM load('crm');
SELECT record_event('other "one"', 'opportunity', 'X', 'stage_entered', '2025-03-01', lifecycle => 'deals', stage => 'lead', source_key => 'x1', actor => 'ann', program => 'spring'),
       record_event('crm', 'opportunity', 'Ancient', 'stage_entered', '2000-01-02', lifecycle => 'deals', stage => 'lost', source_key => 'fix', corrects => 'new'),
       record_event('crm', 'opportunity', 'Ancient', 'retracted', '2000-01-02', source_key => 'back', corrects => 'far'),
       record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', 'To come', from_source => 'other "one"', source_key => 'two');
SELECT * FROM refresh(false);
SET SESSION AUTHORIZATION {ana};
SELECT publish('win rate', NULL, note => E'a\\tb'), publish('lead to won', '[2023-01-01,2025-01-01)', segment => 'small', as_of => '2025-06-01');
SET SESSION AUTHORIZATION {load};
-- said otherwise, recorded, and not refreshed yet
SELECT record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', E'Deal "1" \\\\N\\tÜ', from_source => 'other "one"', source_key => 'two'), record_event('crm', 'opportunity', 'Late', 'stage_entered', '2025-05-05', lifecycle => 'deals', stage => 'won', source_key => 'late'),
       record_event('crm', 'opportunity', 'Late', 'retracted', '2025-05-05', source_key => 'never', corrects => 'late'), record_event('crm', 'opportunity', 'Later', 'stage_entered', '2025-05-05', lifecycle => 'deals', stage => 'lead', source_key => 'later');
RESET SESSION AUTHORIZATION;
""".format(**ROLES)

LEDGER = 'source load subject subject_link event correction money commitment rejected report_setting published party numbering'.split()
DERIVED = psql(SOURCE, "SELECT relname FROM pg_class WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r' AND (obj_description(oid) LIKE 'Derived: %' OR relname LIKE 'pending\\_%') ORDER BY 1;").split()


def ledger(database):
    """Every fact, as text that no setting alters, and in which partition it is."""
    said = psql(database, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO';" + ''.join('SELECT %s, t FROM revacct_data.%s AS t ORDER BY t::text COLLATE "C";\n\\echo -- end --\n' % ('tableoid::regclass', table) for table in LEDGER)).split('-- end --\n')
    return dict(zip(LEDGER, said))


def partitions(database):
    return psql(database, """
        SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid), c.relowner::regrole, c.relacl, (SELECT string_agg(concat_ws(' ', tgname, tgtype, tgenabled), ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid),
               (SELECT string_agg(pg_get_indexdef(indexrelid) || ' in ' || (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = indexrelid)::text, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'revacct_data.event'::regclass ORDER BY 1;""")


def derived(database):
    """What refresh() makes, without the times at which it did and the numbers that it gave."""
    return psql(database, r"""SET TimeZone = 'UTC';
        SELECT subject_id, journey_send(journey) FROM revacct_data.journey ORDER BY 1;
        SELECT * FROM revacct_data.identity ORDER BY 1;
        SELECT c.lifecycle, c.period_start, c.segment_no, c.lead_source_no, c.owner_no, c.currency, p.bucket, journey_pack_send(p.pack) FROM revacct_data.pack AS p JOIN revacct_data.cell AS c USING (cell_id) ORDER BY 1, 2, 3, 4, 5, 6, 7;
        SELECT lifecycle, period, segment, lead_source, owner, currency, stage_no, entered, converted, lost, amount_entered, amount_converted, definition_fingerprint FROM funnel ORDER BY 1, 2, 3, 4, 5, 6, 7;
        SELECT policy, subject_key, clock_no, started_at, due_at FROM sla_status ORDER BY 1, 2, 3;
        SELECT source, subject_key, occurred_at, recorded_at, event, stage, code, party, actor, amount, currency, source_key, corrected_by FROM event_log ORDER BY source, source_key;
        SELECT * FROM rejected_facts ORDER BY 1, 2, 3, 4; SELECT * FROM source_conflicts ORDER BY 1, 2, 3, 4, 5, 6; SELECT * FROM exceptions ORDER BY 1, 2, 3, 4, 5, 6, 7, 8;""")


def copied(dump):
    """Rows of each table of ours in a plain dump."""
    return {table: body.count('\n') for table, body in re.findall(r'^COPY revacct_data\.(\w+) .*? FROM stdin;\n(.*?)\\\.$', dump, flags=re.M | re.S)}


def left_over(database):
    return psql(database, """SELECT 'relation', relname FROM pg_class WHERE relname ~ '^event_[0-9]{4}' UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE pronamespace = to_regnamespace('revacct') ORDER BY 1, 2;""")


psql('postgres', ''.join('CREATE ROLE %s LOGIN;' % role for role in [*ROLES.values(), OWNER, ROOT]) + 'ALTER ROLE %s SUPERUSER;' % ROOT)

# ---- nothing has happened -----------------------------------------------------------------------------------------------

own = new_database('own', 'TEMPLATE template0 OWNER ' + OWNER)
psql(own, 'CREATE EXTENSION revacct CASCADE;', OWNER)
for how, text in (('by its owner', plain_dump(own, '-U', OWNER)), ('by a superuser', plain_dump(own))):
    tap.eq((sum(copied(text).values()), len(DERIVED) > 10), (0, True), 'an empty ledger, dumped %s, has no rows' % how)
    tap.eq(sorted(set(copied(text)) & set(DERIVED)), [], 'and what is derived is not in it')
    again = restore(text, new_database('again_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + OWNER), OWNER)
    tap.eq(psql(again, MODEL[MODEL.index('SELECT grant_access'):MODEL.index('SET SESSION')] + 'SELECT count(*) FROM revacct_data.event;', OWNER).split()[-1], '0', 'restored by the owner of a database, who is no superuser, and administered')
    tap.eq(psql(again, "SELECT record_event('crm', 'lead', 'L', 'created', '2025-01-01', source_key => 'k1');", ROLES['load']), 'k1\n', 'and facts are recorded in it')
    done = execute('pg_dump', '-d', again, '-U', OWNER)
    tap.ok(not done.returncode, 'then dumped by its owner, who may read all of it', done.stderr.strip()[:300])
    filled = restore(plain_dump(again), new_database('filled_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + OWNER))
    tap.eq(ledger(filled), ledger(again), 'and restored by a superuser')

# ---- a full ledger ------------------------------------------------------------------------------------------------------

psql(SOURCE, MODEL + RAW)
said = psql(SOURCE, FACTS).split('\n')
tap.eq([line for line in said if re.match('event|link|money|commitment', line)], ['event|243|4', 'link|2|1', 'money|4|1', 'commitment|2|0'], 'loaded, what corrects a row of the same load included; the rest is set aside')
facts = ledger(SOURCE)
tap.eq([table for table in LEDGER if facts[table].count('\n') < 1], [], 'there is something of every sort')
tap.eq(psql(SOURCE, "SELECT count(*) >= 7 FROM pg_inherits WHERE inhparent = 'revacct_data.event'::regclass; SELECT count(*) > 0, bool_or(NOT upper_inf(recorded)) FROM revacct_data.subject_link; SELECT count(*) >= 3 FROM revacct_data.correction;"
            "SELECT count(DISTINCT fact) >= 3 FROM revacct_data.rejected; SELECT count(*) > 0 FROM revacct_data.pending_load; SELECT count(*) > 0 FROM revacct_data.pending_subject; SELECT count(*) > 0 FROM revacct_data.refreshed;"),
       't\nt|t\nt\nt\nt\nt\nt\n', 'years, links said otherwise, corrections, rejected rows, loads that are not refreshed yet, and journeys')
dump = plain_dump(SOURCE)
rows = copied(dump)
counts = {table: int(psql(SOURCE, 'SELECT count(*) FROM revacct_data.%s;' % table)) for table in LEDGER if table != 'event'}
tap.eq({table: rows.get(table) for table in counts}, counts, 'the dump has every row once')
tap.eq(sum(n for table, n in rows.items() if re.match(r'event_\d', table)), int(psql(SOURCE, 'SELECT count(*) FROM revacct_data.event;')), 'and every event in its year')
tap.eq(sorted(set(rows) & set(DERIVED)), [], 'and nothing that is derived')

folder = tempfile.TemporaryDirectory()
archive = os.path.join(folder.name, 'facts.dump')
run('pg_dump', '-Fc', '-f', archive, '-d', SOURCE)
run('pg_dump', '-Fd', '-j', '2', '-f', archive + '.d', '-d', SOURCE)
restored = {}
for how, make in (('plain', lambda db: restore(dump, db)), ('custom, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive)), ('custom, any order', lambda db: restore_backwards(archive, db)),
                  ('directory, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive + '.d')),
                  ('data after the schema', lambda db: (restore(plain_dump(SOURCE, '--section=pre-data'), db), restore(plain_dump(SOURCE, '--section=data', '--section=post-data'), db)))):
    database = restored[how] = new_database('as_%d' % len(databases))
    try:
        make(database)
        tap.ok(True, '%s: restored' % how)
    except RuntimeError as failed:
        tap.ok(False, '%s: restored' % how, failed)
        del restored[how]

# The same goes on in the source, so that each copy can be compared with it.
psql(SOURCE, 'SELECT refresh(false);', ROLES['load'])
made = derived(SOURCE)
verified = psql(SOURCE, 'SELECT * FROM verify_published() ORDER BY 1;')
tap.eq((made.count('\n') > 300, [line.split('|')[6] for line in verified.split('\n')[:-1]], psql(SOURCE, 'SELECT count(*) FROM check_journeys();')), (True, ['1', '1'], '0\n'), 'the source: all is well')
sums = psql(SOURCE, "SELECT fact, rows_read, loaded, known, rejected FROM load('crm');", ROLES['load'])
tap.eq([line.split('|')[2] for line in sums.split('\n')[:-1]], ['0'] * 4, 'the source: loading again loads nothing')
reader = psql(SOURCE, 'SELECT count(*) FROM event_log; SELECT sum(entered) FROM funnel;', ROLES['ann'])

GUARDED = 'is not how', 'HINT'
for how, database in restored.items():
    got = ledger(database)
    for table in LEDGER:
        tap.ok(got[table] == facts[table], '%s: %s' % (how, table), *[line for line in got[table].split('\n') if line not in facts[table]][:5])
    tap.eq(partitions(database), partitions(SOURCE), '%s: years' % how)
    tap.ok(plain_dump(database) == dump, '%s: dumped again it is the same' % how)
    tap.eq(psql(database, ''.join('SELECT count(*) FROM revacct_data.%s;' % table for table in DERIVED)), '0\n' * len(DERIVED), '%s: nothing that is derived' % how)
    tap.ok(int(psql(database, 'SELECT count(*) FROM check_journeys();')) > 20, '%s: check_journeys() says that journeys are missing' % how)
    tap.eq(psql(database, 'SELECT * FROM verify_published() ORDER BY 1;'), verified, '%s: published figures verify, before any refresh' % how)
    tap.eq(psql(database, 'SELECT step FROM refresh(false);', ROLES['load']), 'journeys\npacks\nfigures\n', '%s: refreshed' % how)
    tap.ok(derived(database) == made, '%s: journeys, packs and reports are the same, to the byte' % how, *[line for line in derived(database).split('\n') if line not in made][:5])
    tap.eq(psql(database, 'SELECT count(*) FROM check_journeys();', ROLES['lab']), '0\n', '%s: check_journeys() finds nothing' % how)
    tap.eq(psql(database, 'SELECT * FROM verify_published() ORDER BY 1;', ROLES['lab']), verified, '%s: published figures verify' % how)
    tap.eq(psql(database, 'SELECT count(*) FROM event_log; SELECT sum(entered) FROM funnel;', ROLES['ann']), reader, '%s: a reader sees what she saw' % how)
    tap.eq(psql(database, "SELECT fact, rows_read, loaded, known, rejected FROM load('crm');", ROLES['load']), sums, '%s: loading again loads nothing' % how)
    before = ledger(database)
    passed = []
    for table in [*LEDGER, 'event_2024', 'event_1999', *DERIVED] if how == 'plain' else ['event', 'event_2024', 'published', 'pack']:
        column = psql(database, "SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'revacct_data.%s'::regclass AND attnum > 0 AND attidentity = '' ORDER BY attnum LIMIT 1;" % table).strip()
        for what in ('INSERT INTO revacct_data.{0} ({1}) SELECT NULL;', 'UPDATE revacct_data.{0} SET {1} = NULL;', 'DELETE FROM revacct_data.{0};', 'TRUNCATE revacct_data.{0} CASCADE;', "SET revacct.by_change = 'on'; DELETE FROM revacct_data.{0};"):
            if not all(part in refusal(database, what.format(table, column), ROOT) for part in GUARDED):
                passed.append(what.format(table, column))
            if 'permission denied' not in refusal(database, what.format(table, column), ROLES['lab']):
                passed.append('lab: ' + what.format(table, column))
    tap.eq(passed, [], '%s: guards refuse every way to write' % how)
    said = execute(*PSQL, database, '-U', ROOT, text=plain_dump(SOURCE, '--data-only', '--schema=revacct_data', '--extension=revacct'))
    tap.ok(said.returncode and 'is not how' in said.stderr, '%s: restored over what is there: refused' % how, said.stderr[:300])
    tap.ok(ledger(database) == before, '%s: and nothing was written' % how)
    last = psql(database, 'SELECT max(subject_id) FROM revacct_data.subject; SELECT max(load_id) FROM revacct_data.load; SELECT max(published_id) FROM revacct_data.published; SELECT max(source_no) FROM revacct_data.source; SELECT max(party_no) FROM revacct_data.party;').split()
    used = psql(database, "SELECT last_value FROM revacct_data.subject_subject_id_seq; SELECT last_value FROM revacct_data.load_load_id_seq;").split()
    tap.ok(int(used[0]) >= int(last[0]) and int(used[1]) >= int(last[1]), '%s: sequences are where they were' % how, last, used)
    psql(database, "SELECT record_event('third', 'lead', 'New', 'assigned', '2031-01-01', party => 'somebody new', source_key => 'n1'), record_event('crm', 'opportunity', 'Later', 'stage_entered', '2024-06-06', lifecycle => 'deals', stage => 'won', source_key => 'n2'),"
                   "record_event('crm', 'opportunity', 'Later', 'retracted', '2024-06-06', source_key => 'n3', corrects => 'a/3');", ROLES['load'])
    psql(database, 'SELECT refresh(false);', ROLES['load'])
    now = psql(database, "SELECT subject_id FROM revacct_data.subject WHERE subject_key = 'New'; SELECT min(load_id) FROM revacct_data.event WHERE source_key ~ '^n.$'; SELECT source_no FROM revacct_data.source WHERE source = 'third'; SELECT party_no FROM revacct_data.party WHERE party = 'somebody new';"
                         "SELECT string_agg(DISTINCT tableoid::regclass::text, ' ') FROM revacct_data.event WHERE source_key ~ '^n.$';").split()
    tap.ok(int(now[0]) > int(last[0]) and int(now[1]) > int(last[1]) and now[2:] == [str(int(last[3]) + 1), str(int(last[4]) + 1), 'revacct_data.event_2024', 'revacct_data.event_2031'], '%s: numbers and years go on' % how, last, now)
    tap.eq(psql(database, "SELECT publish('win rate', NULL);", ROLES['ana']), '%d\n' % (int(last[2]) + 1), '%s: so do published figures' % how)
    tap.eq(psql(database, 'SELECT count(*) FROM check_journeys(); SELECT count(*), sum(identical_count) FROM verify_published();'), '0\n3|3\n', '%s: and all is well' % how)
    psql(database, 'DROP EXTENSION revacct CASCADE;')
    tap.eq(left_over(database), '', '%s: dropped, nothing is left' % how)
tap.done()
