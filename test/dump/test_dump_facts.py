#!/usr/bin/env python3
"""A filled ledger, dumped and restored: the same facts to the row; what is derived is made again to the byte; published figures verify;
loading again loads nothing, numbers go on, and guards refuse. What is derived is in no dump."""
import os
import re
import tempfile

from contents import (LEDGER, PSQL, SOURCE, databases, derived, execute, filling, ledger, new_database, new_roles, plain_dump, psql, refusal, restore,
                      restore_backwards, run, tap)

ROLES = {who: 'revacct_facts_%s_%d' % (who, os.getpid()) for who in ('ana', 'cleo', 'lab', 'load', 'ann')}
OWNER = 'revacct_facts_owner_%d' % os.getpid()
ROOT = 'revacct_facts_root_%d' % os.getpid()

MODEL, RAW, FACTS = filling(ROLES)
DERIVED = psql(SOURCE, "SELECT relname FROM pg_class WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r' AND (obj_description(oid) LIKE 'Derived: %' OR relname LIKE 'pending\\_%') ORDER BY 1;").split()


def partitions(database):
    return psql(database, """
        SELECT c.relname, pg_get_expr(c.relpartbound, c.oid), obj_description(c.oid), c.relowner::regrole, c.relacl, (SELECT string_agg(concat_ws(' ', tgname, tgtype, tgenabled), ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = c.oid),
               (SELECT string_agg(pg_get_indexdef(indexrelid) || ' in ' || (SELECT inhparent::regclass FROM pg_inherits WHERE inhrelid = indexrelid)::text, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = c.oid)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'revacct_data.event'::regclass ORDER BY 1;""")


def copied(dump):
    """Rows of each table of ours in a plain dump."""
    return {table: body.count('\n') for table, body in re.findall(r'^COPY revacct_data\.(\w+) .*? FROM stdin;\n(.*?)\\\.$', dump, flags=re.M | re.S)}


def left_over(database):
    return psql(database, """SELECT 'relation', relname FROM pg_class WHERE relname ~ '^event_[0-9]{4}' UNION ALL SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE pronamespace = to_regnamespace('revacct') ORDER BY 1, 2;""")


new_roles(*ROLES.values(), OWNER)
new_roles(ROOT, options='LOGIN SUPERUSER')

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
