#!/usr/bin/env python3
"""What a server runs out of, and what it does to sessions: address space, disk, locks, connections; locks waited for too long, deadlocks,
transactions left idle; sessions terminated, parallel workers that fail, are terminated or killed. Always an error of the right kind, or the end of that session;
afterwards answers are right and the ledger has what was committed.

A cluster of the test's own: some of this ends every session of a server.
"""
import os
import random
import re
import sys
import time

sys.dont_write_bytecode = True
import faults
import cluster
from cluster import Cluster, Session, SqlError, kill, once
from faults import SCALE, SEED
from harness import Tap

tap = Tap()
tap.say('seed %d' % SEED)
library = faults.build_library()
CONNECTIONS = 12
server = Cluster('max_connections=%d' % CONNECTIONS, 'superuser_reserved_connections=0', 'deadlock_timeout=50ms', 'autovacuum=off', 'max_worker_processes=4')
server.environment['PGOPTIONS'] += ' -c search_path=public,revacct -c max_parallel_workers_per_gather=0'
server.run('postgres', 'CREATE DATABASE limited;')
PARTITIONS = 1500
server.run('limited', 'CREATE EXTENSION revacct CASCADE;\n' + faults.functions(library) + faults.DATA + faults.AGREED % dict(steward='steward', council='council', subjects=60) + r"""
SELECT load('crm'), refresh(false);
CREATE TABLE mark AS SELECT (n * 7919 %% 20011)::bigint AS subject, (1 + n %% 9)::int AS mark, '2024-01-01'::timestamptz + n * interval '1 minute' AS at FROM generate_series(1::bigint, 150000) AS n;
CREATE TABLE divided (LIKE story) PARTITION BY LIST (subject);
SELECT format('CREATE TABLE part_%%s PARTITION OF divided FOR VALUES IN (%%s)', n, n) FROM generate_series(1, %d) AS n \gexec
INSERT INTO divided SELECT 1 + subject %% %d, journey, amount FROM story;
CREATE VIEW wide AS SELECT subject_kind, subject_key, event, occurred_at, 'more ' || source_key AS source_key, lifecycle, stage, field, code, party FROM fact WHERE (SELECT count(*) FROM divided) > 0;
SELECT map_source('wide', 'wide');
ANALYZE;
""" % ((PARTITIONS,) * 2))
# enough for the extension to be made, and no longer
server.run('postgres', 'ALTER SYSTEM SET max_locks_per_transaction = 10;')
server.script('as_server "$bindir/pg_ctl" -D "$scratch/data" -s -m fast -w stop')
server.start()
LEDGER = """
SELECT (SELECT count(*) FROM revacct_data.event), (SELECT count(*) FROM revacct_data.load), (SELECT count(*) FROM revacct_data.pending_load),
       (SELECT md5(string_agg(s.subject_key || j.journey::text, '|' ORDER BY s.subject_key)) FROM revacct_data.journey AS j JOIN revacct_data.subject AS s USING (subject_id)), (SELECT count(*) FROM check_journeys());
"""
ledger = server.run('limited', LEDGER)
AGGREGATES = {
    'journeys': "SELECT md5(string_agg(journey_hash(j)::text, '' ORDER BY subject)) FROM (SELECT subject, journey(mark, at) AS j FROM mark GROUP BY subject) AS t",
    'packs': "SELECT md5(journey_pack_send(journey_pack(subject, mark, at))) FROM mark",
    'funnels': "SELECT md5(string_agg(f::text, '' ORDER BY subject)) FROM (SELECT subject %% 5000 AS subject, funnel_conversion(j, cycle(''), '2025-01-01') AS f FROM (SELECT subject, journey(mark, at) AS j FROM mark GROUP BY subject) AS t GROUP BY 1) AS t".replace('%%', '%'),
    'clocks': "SELECT md5(string_agg(c::text, '')) FROM (SELECT journey(1 + n % 2, timestamptz '2024-01-01' + n * interval '1 minute') AS j FROM generate_series(1, 200000) AS n) AS t, sla_clocks(j, sla('s', start => '{a}', stop => '{b}', target => '1 hour', reopen => 'restart'), '2025-01-01') AS c",
}
answers = {name: server.value('limited', statement + ';') for name, statement in AGGREGATES.items()}


def session_of(database='limited'):
    session = Session(server, database)
    session.run('\\set ON_ERROR_STOP 0')
    return session


def errors(lines):
    return [line.split()[1].rstrip(':') for line in lines if re.match('ERROR: |FATAL: ', line)]


def fails(session, what, statement, *codes):
    """The statement ends by one of these errors."""
    got = session.run(statement)
    return tap.ok(errors(got)[:1] and errors(got)[0] in codes, '%s: an error' % what, *got[:6])


def right_after(session, what, names=AGGREGATES):
    wrong = [name for name in names if session.run(AGGREGATES[name] + ';') != [answers[name]]]
    tap.ok(not wrong, '%s: then the answers are right' % what, *wrong)


def ledger_as_it_was(what):
    tap.eq(server.run('limited', LEDGER), ledger, '%s: the ledger is as it was' % what)


def limit(session, resource, size):
    done = server.script('as_server prlimit --pid "$1" "--$2=$3:"', str(session.pid), resource, str(size))
    if done.returncode:
        raise RuntimeError('no limit: ' + done.stdout)


# ---- address space ---------------------------------------------------------------------------------------------------------------------------------------

if server.sanitized:
    tap.say('the sanitizer takes all the address space there is')
else:
    for name, statement in AGGREGATES.items():
        session = session_of()
        session.run("SET work_mem = '1GB'; SELECT count(*) FROM story WHERE journey IS NOT NULL AND cycle('') IS NOT NULL;")   # the library and the time zone are there
        refused = worked = 0
        with open('/proc/%d/statm' % session.pid) as file:
            size = int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE')
        for more in range(12):
            limit(session, 'as', size + (more << 20))
            got = session.run(statement + ';')
            if errors(got) == ['53200']:
                refused += 1
            elif got == [answers[name]]:
                worked += 1
            else:
                tap.ok(False, '%s in %d MB more' % (name, more), *got[:5])
        limit(session, 'as', 'unlimited')
        tap.ok(refused > 0, '%s in too little address space: out of memory or right (%d and %d times)' % (name, refused, worked))
        right_after(session, '%s in too little address space' % name)
        session.close()

    # Each key of such a pack repeats the last one and says one letter more.
    KEYS = 20000
    def varint(n):
        return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + varint(n >> 7)
    pack = b'\x29' + varint(KEYS) + varint(0) + varint(KEYS) + b''.join(varint(n) + b'\x01a\x01\x21\x01' for n in range(KEYS))
    session = session_of()
    session.run("SELECT subject_count('\\x%s'::journey_pack);" % (b'\x29' + varint(1) + varint(0) + varint(1) + b'\x00\x01a\x01\x21\x01').hex())
    with open('/proc/%d/statm' % session.pid) as file:
        limit(session, 'as', int(file.read().split()[0]) * os.sysconf('SC_PAGE_SIZE') + (40 << 20))
    tap.eq(session.run("SELECT subject_count('\\x%s'::journey_pack);" % pack.hex()), [str(KEYS)], 'a pack of some hundred kB is read in 40 MB more, however long its keys are')
    session.close()

# ---- disk ------------------------------------------------------------------------------------------------------------------------------------------------


def full_disk(session, what, statement, after, before=''):
    """A write of the statement's to a file finds the disk full: the first, the last, and some between."""
    def attempt(armed):
        prepared = session.run('BEGIN;' + before)
        session.run(armed)
        return prepared, session.run(statement)
    told = attempt("SELECT faults.watch('disk', 1);")
    writes = int(session.run('SELECT sum(calls) FROM faults.seen();')[0] or 0)
    session.run('ROLLBACK;')
    wrong = ['without a fault: %s' % lines for lines in told if errors(lines)]
    failures, calls = 0, sorted({1, writes, *random.Random(SEED).sample(range(1, writes + 1), min(writes, int(12 * SCALE)))})
    for call in calls:
        prepared, got = attempt("SELECT faults.fail('disk', %d);" % call)
        session.run('ROLLBACK;')
        # On a later try there may be fewer writes: what an aborted statement has extended a file by stays.
        if session.run('SELECT faults.off();') == ['t']:
            failures += 1
            if errors(prepared) or errors(got)[:1] != ['53100'] or not after():
                wrong.append('%d: %s' % (call, got[:4]))
    tap.ok(failures >= len(calls) / 3 and not wrong, '%s on a full disk: an error, and nothing is lost (%d times, of %d writes)' % (what, failures, writes), *wrong[:5])


session = session_of()
for name in ('journeys', 'funnels'):
    fails(session, 'temp_file_limit, %s' % name, "SET work_mem = '64kB'; SET temp_file_limit = '300kB';" + AGGREGATES[name] + ';', '53400')
    session.run('RESET temp_file_limit;')
    right_after(session, 'temp_file_limit, %s' % name, [name])
    full_disk(session, name, AGGREGATES[name] + ';', lambda: session.run(AGGREGATES[name] + ';') == [answers[name]])
session.close()
session = session_of()
MORE = "UPDATE batch SET batch = 3; INSERT INTO fact SELECT subject_kind, subject_key, event, occurred_at, 'new ' || source_key, lifecycle, stage, field, code, party, 3 FROM fact;"
tap.eq(session.run('BEGIN;' + MORE + "SELECT loaded > 0 FROM load('crm') WHERE fact = 'event'; ROLLBACK;"), ['t'], 'there is more to load')
as_it_was = lambda: server.run('limited', LEDGER) == ledger
full_disk(session, 'load()', "SELECT load('crm');", as_it_was, before=MORE)
full_disk(session, 'refresh()', 'SELECT refresh(false);', as_it_was, before=MORE + "SELECT load('crm');")
full_disk(session, 'rebuild_journeys()', 'SELECT rebuild_journeys(false);', as_it_was)
tap.eq(errors(session.run('SELECT taken_up();')), [], 'after all of it: then it works')
session.close()

# ---- locks -----------------------------------------------------------------------------------------------------------------------------------------------

session = session_of()
fails(session, 'an aggregate over too many partitions', "SELECT funnel_conversion(journey, cycle(''), '2025-01-01') FROM divided;", '53200')
right_after(session, 'an aggregate over too many partitions', ['funnels'])
fails(session, 'load() from too many partitions', "SELECT load('wide');", '53200')
ledger_as_it_was('load() from too many partitions')
tap.eq(errors(session.run('SELECT taken_up();')), [], 'load() from too many partitions: the session loads from elsewhere')
ledger_as_it_was('load() from elsewhere')
session.close()

holder, waiter = session_of(), session_of()
holder.run("BEGIN; SELECT load('crm'); SELECT record_event('crm', 'opportunity', 'O-1', 'stage_entered', '2024-02-01', 'held', 'sales', 'won');")
fails(waiter, 'lock_timeout, record_event()', "SET lock_timeout = '100ms'; SELECT record_event('crm', 'opportunity', 'O-1', 'stage_entered', '2024-02-01', 'held', 'sales', 'won');", '55P03')
holder.run('ROLLBACK;')
holder.run('BEGIN; SELECT refresh(false);')
fails(waiter, 'lock_timeout, refresh()', 'SELECT refresh(false);', '55P03')
fails(waiter, 'lock_timeout, rebuild_journeys()', 'SELECT rebuild_journeys(false);', '55P03')
holder.run('ROLLBACK;')
tap.eq(errors(waiter.run('SELECT refresh(false); SELECT rebuild_journeys(false);')), [], 'lock_timeout: then it works')
ledger_as_it_was('lock_timeout')

# two who take the same in different orders: one is chosen, the other goes on
waiter.run('RESET lock_timeout;')
event = "SELECT record_event('crm', 'opportunity', 'O-%d', 'stage_entered', '2024-02-01', 'crossed %d', 'sales', 'won');"
holder.run('BEGIN;' + event % (1, 1))
waiter.run('BEGIN;' + event % (2, 2))
holder.send(event % (2, 2) + 'ROLLBACK;')
waiter.send(event % (1, 1) + 'ROLLBACK;')
codes = errors(holder.answer() + waiter.answer())
tap.eq(codes, ['40P01'], 'a deadlock: one of two is chosen')
ledger_as_it_was('a deadlock')
holder.close()
waiter.close()

# ---- sessions --------------------------------------------------------------------------------------------------------------------------------------------

session = session_of()
session.run("SET idle_in_transaction_session_timeout = '100ms'; BEGIN; SELECT record_event('crm', 'opportunity', 'O-1', 'stage_entered', '2024-02-01', 'idle', 'sales', 'won'), refresh(false);")
cluster.wait_for(lambda: server.value('limited', 'SELECT count(*) FROM pg_stat_activity WHERE pid = %d;' % session.pid) == '0', 'the idle session is ended')
session.close()
ledger_as_it_was('a transaction left idle after refresh()')

others = []
while True:
    try:
        others.append(Session(server, 'limited'))
    except (SqlError, IndexError, ValueError):
        break
tap.eq(len(others), CONNECTIONS, 'no connection is left')
tap.eq(others[0].run("SELECT count(*) FROM refresh(false);") + others[1].run('SELECT count(*) FROM check_journeys();'), ['3', '0'], 'those that are there go on: nothing needs another one')
for other in others:
    other.close()
cluster.wait_for(lambda: once(server.environment, 'limited', 'SELECT 1;').returncode == 0 and server.value('limited', "SELECT count(*) < 3 FROM pg_stat_activity WHERE backend_type = 'client backend';") == 't', 'the connections are gone')

endless = {'an aggregate': "SELECT count(journey_hash(j)) FROM (SELECT subject, journey(mark, at) AS j FROM mark, generate_series(1, 1000) GROUP BY subject) AS t;",
           'load() and refresh()': "DO $$ BEGIN LOOP PERFORM load('crm'), refresh(false), rebuild_journeys(false); COMMIT; END LOOP; END $$;"}  # (one transaction's locks would end first)
for name, statement in endless.items():
    session = session_of()
    session.send(statement)
    time.sleep(0.5)
    server.run('limited', 'SELECT pg_terminate_backend(%d);' % session.pid)
    try:
        got = session.answer()
    except SqlError as error:
        got = str(error).splitlines()
    tap.eq(errors(got), ['57P01'], '%s, terminated: the session ends' % name)
    session.close()
    ledger_as_it_was('%s, terminated' % name)

# ---- parallel workers ------------------------------------------------------------------------------------------------------------------------------------

PARALLEL = "SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SET max_parallel_workers_per_gather = 2; SET parallel_leader_participation = off;"
server.run('limited', '''CREATE TABLE much AS SELECT s.* FROM story AS s, generate_series(1, 20); ALTER TABLE much SET (parallel_workers = 2); ANALYZE much;
CREATE TABLE many_packs AS SELECT p.* FROM pack AS p, generate_series(1, 20); ALTER TABLE many_packs SET (parallel_workers = 2); ANALYZE many_packs;''')
SHARED = {
    'a funnel': "SELECT funnel_conversion(journey, cycle(''), '2025-01-01', amount)::text FROM much WHERE %s",
    'velocity': "SELECT stage_velocity(pack, cycle('', with_calendar => true), '2025-01-01')::text FROM many_packs WHERE %s",
    'a breach': "SELECT sla_breach(pack, promise(''), '2025-01-01')::text FROM many_packs WHERE %s",
    'a pack': "SELECT journey_pack(subject::bigint, journey)::text FROM much WHERE %s",
    'journeys': "SELECT rollup(journey)::text FROM much WHERE %s",
}
session = session_of()
session.run(PARALLEL)
workers = session.run('EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) ' + SHARED['a funnel'] % 'true' + ';')
tap.ok(any('Workers Launched: 2' in line for line in workers), 'workers do the work', *workers)
interrupted = 0
for name, statement in SHARED.items():
    expected = session.run(statement % 'true' + ';')
    counts, wrong = {}, []
    for kind, code in (('memory', '53200'), ('interrupt', '57014')):
        for call in range(1, max(2, int((14 if kind == 'memory' else 4) * SCALE))):
            got = session.run(statement % "faults.fail_in_worker('%s', %d)" % (kind, call * call) + ';')
            counts[kind] = counts.get(kind, 0) + (errors(got) == [code])
            if errors(got) != [code] and got != expected or session.run(statement % 'true' + ';') != expected:
                wrong += ['%s %d' % (kind, call)] + got[:4]
    interrupted += counts['interrupt']
    tap.ok(not wrong and counts['memory'] > 0, '%s in workers that fail: an error, and then the right answer (%s)' % (name, counts), *wrong[:10])
tap.ok(interrupted > 0, 'workers were interrupted')


def one_worker(session):
    found = []

    def there():
        found[:] = server.run('limited', "SELECT pid FROM pg_stat_activity WHERE leader_pid = %d AND backend_type = 'parallel worker';" % session.pid)
        return found
    cluster.wait_for(there, 'a worker is at work')
    return int(found[0])


expected = session.run(SHARED['a funnel'] % 'true' + ';')
ENDLESS = 'SELECT funnel_conversion(journey, cycle(\'\'), \'2025-01-01\') FROM (SELECT m.journey FROM much AS m, generate_series(1, 100000)) AS t;'
session.send(ENDLESS)
server.run('limited', 'SELECT pg_terminate_backend(%d);' % one_worker(session))
tap.eq(errors(session.answer()), ['57P01'], 'a worker, terminated: an error')
tap.eq(session.run(SHARED['a funnel'] % 'true' + ';'), expected, 'a worker, terminated: then the right answer')
session.send(ENDLESS)
killed = one_worker(session)
kill(killed)
try:
    got = session.answer()
except SqlError as error:
    got = str(error).splitlines()
tap.ok(any('57P02' in line for line in got), 'a worker, killed: the server ends its sessions', *got)
session.close()
server.wait_until_up(killed)
session = session_of()
session.run(PARALLEL)
tap.eq(session.run(SHARED['a funnel'] % 'true' + ';'), expected, 'a worker, killed: then the right answer')
ledger_as_it_was('a worker, killed')
session.close()
tap.ok('PANIC' not in server.log() and 'TRAP' not in server.log(), 'the server never panicked')
tap.done()
