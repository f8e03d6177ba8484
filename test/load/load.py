#!/usr/bin/env python3
"""Everybody at once, for MINUTES (5) minutes: those who record, load, refresh, agree, escalate, publish and read, each by pgbench and at a rate of their own, over a ledger that
begins with some 235,000 events. Run by scripts/check-load on a server of its own: load.py DATABASE LOG, the log being the server's.

What is found while it runs: errors, deadlocks, figures that do not add up within one statement (test/load/read), memory that grows. What is found afterwards: events that a client
was told are recorded and are not there, or are there twice; journeys that are not what the ledger says; figures that another database, in which all that is derived is made
anew, has otherwise; published figures that are others now; tables, catalogs and temporary files that have grown.

test/crash/test_stress.py is the short one of every run of the tests: there writers meet on the same keys, and some are refused. Here the amount counts, and nobody is refused.
"""
import collections
import glob
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import types

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), 'crash')]
from cluster import Session, psql                                          # noqa: E402
from harness import Tap                                                    # noqa: E402

DATABASE, LOG = sys.argv[1:]
SECONDS = round(60 * float(os.environ.get('MINUTES', 5)))
SEED = int(os.environ.get('SEED') or random.SystemRandom().randrange(1 << 31))
SAMPLE_SECONDS = 5

# The bounds. Memory is what a backend has for itself alone.
MEMORY_GROWTH = 16 << 20        # of the least a backend had, in the last of two spans of time
TABLE_RATIO = 10                # derived tables with their indexes, against the same made anew and packed: a dozen refreshes come between two visits of autovacuum, and long readers hold it up
CATALOG_RATIO = 4               # catalogs, against themselves packed
CATALOG_GROWTH = 1.3            # of all of them: the most they had, from the middle third to the last one

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith('PGOPTIONS')}
ENVIRONMENT.update(PGOPTIONS='-c client_min_messages=warning', PGTZ='UTC')
here = types.SimpleNamespace(environment=ENVIRONMENT)
tap = Tap()
scratch = tempfile.TemporaryDirectory(prefix='revacct-load-')
folder = scratch.name


class Load:
    """One pgbench: its clients log in as a role, and run scripts (file -> weight) of a folder, so many a second in all."""

    def __init__(self, name, role, clients, rate, where, scripts, *options):
        self.name, self.clients, self.scripts = name, clients, list(scripts)
        self.log, self.said = os.path.join(folder, name), os.path.join(folder, name + '.said')
        self.pgbench = None
        # -D: counters that scripts of the clients go on with; see test/load/write
        self.command = ['pgbench', '-n', '-U', role, '-c', str(clients), '-j', '1', '-T', str(SECONDS), '-R', str(rate), '--random-seed=%d' % SEED, '-l', '--log-prefix=' + self.log,
                        '-D', 'n=0', '-D', 'last=0', '-D', 'corrected=0', *options]
        for script, weight in scripts.items():
            self.command += ['-f', '%s@%d' % (os.path.join(HERE, where, script + '.sql'), weight)]
        self.command.append(DATABASE)

    def start(self):
        with open(self.said, 'w') as said:
            self.pgbench = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, env=dict(ENVIRONMENT, PGAPPNAME=self.name))

    def warm(self):
        """When each of its clients had run each of its scripts."""
        first = {}
        for client, _, script, _, at in self.done():
            first.setdefault((client, script), at)
        return max(first.values()) if len(first) == self.clients * len(self.scripts) else float('inf')

    def errors(self):
        with open(self.said) as said:
            errors = ['%s: %s' % (self.name, line.rstrip()) for line in said if re.search('error|fatal|abort', line)]
        if self.pgbench.returncode and not errors:
            errors = ['%s: pgbench ended with status %d' % (self.name, self.pgbench.returncode)]
        return errors

    def done(self):
        """Each transaction that a client has seen end well: client, its number among those of the client, script, milliseconds it took once it was its turn, seconds since the epoch."""
        for path in glob.glob(self.log + '.*[0-9]'):
            with open(path) as log:
                for line in log:
                    client, n, took, script, at, _, lag = line.split()[:7]
                    if took.isdigit():
                        yield int(client), int(n), self.scripts[int(script)], (int(took) - int(lag)) / 1000, int(at)


WRITERS = Load('writers', 'load_writer', 4, 50, 'write', dict(new_opportunity=3, move=8, touch=10, owner=3, amount=3, correct=3, first_of_all=1, same_as=2, money=2, promise=1))
LOADER = Load('loader', 'load_writer', 1, 0.25, 'work', dict(load=1))
LOADS = [
    WRITERS, LOADER,
    Load('refreshers', 'load_analyst', 2, 0.2, 'work', dict(refresh=6, refresh_all=1)),
    Load('governors', os.environ['PGUSER'], 1, 0.05, 'work', dict(agree=1)),
    Load('escalator', 'load_analyst', 1, 0.1, 'work', dict(escalate=1)),
    Load('publisher', 'load_council', 1, 0.05, 'work', dict(publish=1, verify=1)),
    # BI tools prepare their statements, and keep their connections
    Load('analysts', 'load_analyst', 2, 1.5, 'read', dict(funnel=10, velocity=10, sla=10, together=5, clocks=5, log=5, model=2, exceptions=2, as_known=2), '-M', 'prepared'),
    Load('readers', 'load_reader', 2, 1.5, 'read', dict(funnel=10, velocity=10, sla=10, together=5, log=5, model=2, exceptions=2), '-M', 'prepared'),
]
# What a script of the writers records: in which table, under which keys after the client's and the transaction's number.
RECORDED = dict(new_opportunity=('event', ['/1', '/2', '/3', '/4']), money=('money', ['']), promise=('commitment', ['']), same_as=('subject_link', []))
CATALOGS = ['pg_class', 'pg_attribute', 'pg_type', 'pg_depend', 'pg_index', 'pg_statistic', 'pg_shdepend']
DERIVED = ['revacct_data.' + name for name in ('identity', 'journey', 'cell', 'placement', 'pack', 'placed_lifecycle', 'refreshed', 'cell_figure', 'cell_sla_figure', 'report_group', 'funnel_figure', 'velocity_figure', 'sla_figure',
           'open_clock', 'reported_sla', 'pending_load', 'pending_subject', 'rejected')]


def run(statements, database=DATABASE):
    return psql(ENVIRONMENT, database, statements)


def rows(statements, database=DATABASE):
    return [line.split('|') for line in run(statements, database)]


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def private_memory(pid):
    """The bytes that a process has for itself alone; None when it is gone."""
    try:
        with open('/proc/%s/status' % pid) as status:
            return next((int(line.split()[1]) << 10 for line in status if line.startswith('RssAnon:')), None)
    except OSError:
        return None


def sizes(names, database=DATABASE):
    found = rows("SELECT c.relname, pg_total_relation_size(c.oid) FROM pg_class AS c WHERE c.oid = ANY ('{%s}'::regclass[]);" % ','.join(names), database)
    return {name: int(size) for name, size in found}


def mebibytes(size):
    return '%.1f MB' % (size / (1 << 20))


# ---- the load ----------------------------------------------------------------------------------------------------------------------------------------

def stop(*_):
    sys.exit('stopped')


def carry_on():
    """Starts everybody and waits for all to end; when, and the samples that were taken meanwhile: after so many seconds, pid -> (who, its memory), the size of the catalogs."""
    samples, is_told, began = [], False, time.time()
    watcher = Session(here, DATABASE)
    try:
        for load in LOADS:
            load.start()
        while any(load.pgbench.poll() is None for load in LOADS):
            time.sleep(SAMPLE_SECONDS)
            at = time.time() - began
            if at > SECONDS + 600:
                raise RuntimeError('they do not end')
            backends = [line.split('|') for line in watcher.run("SELECT pid, application_name FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid();")]
            memory = {pid: (who, size) for pid, who, size in ((pid, who, private_memory(pid)) for pid, who in backends) if size is not None}
            catalogs, = watcher.run("SELECT sum(pg_total_relation_size(c)) FROM unnest('{%s}'::regclass[]) AS c;" % ','.join(CATALOGS))
            samples.append((at, memory, int(catalogs)))
            if not is_told and at > SECONDS * 0.95:
                # what they have it for, in the log of the server, in case it is too much
                watcher.run('SELECT pg_log_backend_memory_contexts(pid) FROM unnest(ARRAY[%s]::int[]) AS pid;' % ','.join(memory))
                is_told = True
        return began, samples
    finally:
        for load in LOADS:
            if load.pgbench and load.pgbench.poll() is None:
                load.pgbench.terminate()
                load.pgbench.wait()
        watcher.close()


def memory_growth(load, began, samples):
    """Of the backend of a load that grew most: by how much the least memory it had grew from one span of time to the next, and its pid; None when there is too little to see that by.
    The second half of the time is halved; but not before every backend has run everything once, since the first time has its price: some 20 MB for compiling with LLVM."""
    since = max(SECONDS / 2, load.warm() - began)
    if SECONDS - since < 12 * SAMPLE_SECONDS:
        return None
    least = [{}, {}]
    for at, memory, _ in samples:
        if since <= at < SECONDS:
            span = least[int(2 * (at - since) / (SECONDS - since))]
            span.update((pid, min(size, span.get(pid, size))) for pid, (who, size) in memory.items() if who == load.name)
    return max(((least[1][pid] - size, pid) for pid, size in least[0].items() if pid in least[1]), default=None)


def memory_contexts(pid, since):
    """What the memory contexts of a backend hold, and the largest of them, as it told them when it was asked."""
    with open(LOG, encoding='utf-8', errors='replace') as log:
        log.seek(since)
        told = re.findall(r'\[%s\] LOG:  (level: \d+; .*?: (\d+) total in .*)' % pid, log.read())
    return sum(int(size) for _, size in told), [line for line, size in sorted(told, key=lambda context: -int(context[1]))[:8]]


def catalog_growth(samples):
    """The most in the last third against the most in the middle one."""
    middle, last = (max(size for at, _, size in samples if SECONDS * part / 3 <= at < SECONDS * (part + 1) / 3) for part in (1, 2))
    return last / middle


def unexpected_log(since):
    """What the server's log says of errors, but for autovacuum, which gives way to who locks a table."""
    with open(LOG, encoding='utf-8', errors='replace') as log:
        log.seek(since)
        lines = [line.rstrip() for line in log]
    return ([line for line in lines if re.search(r'\b(ERROR|FATAL|PANIC|WARNING): ', line) and 'canceling autovacuum task' not in line],
            collections.Counter(found.group(1) for found in (re.search('still waiting for (\\w+ on [a-z ]+)', line) for line in lines) if found),
            sum('canceling autovacuum task' in line for line in lines))


signal.signal(signal.SIGTERM, stop)
try:
    tap.say('seed %d, %d s' % (SEED, SECONDS))
    begun = time.monotonic()
    with open(os.path.join(HERE, 'setup.sql')) as setup:
        run('CREATE DATABASE %s;\nALTER DATABASE %s SET search_path = public, revacct;' % (DATABASE, DATABASE), 'postgres')
        run(setup.read())
    events_before = int(run('SELECT count(*) FROM revacct_data.event;')[0])
    tap.say('%d events of %s subjects in %.0f s' % (events_before, run('SELECT count(*) FROM revacct_data.subject;')[0], time.monotonic() - begun))
    run('SELECT pg_stat_reset();')
    log_began = os.path.getsize(LOG)
    wal_before = run('SELECT pg_current_wal_lsn();')[0]
    began, samples = carry_on()

    # ---- how it went ---------------------------------------------------------------------------------------------------------------------------------
    after, derived_after = sizes(CATALOGS), sizes(DERIVED)
    wal, = run("SELECT pg_size_pretty(pg_current_wal_lsn() - '%s'::pg_lsn);" % wal_before)
    deadlocks, temp_files, temp_bytes = rows('SELECT deadlocks, temp_files, pg_size_pretty(temp_bytes) FROM pg_stat_database WHERE datname = current_database();')[0]
    dead = rows("SELECT relname, n_live_tup, n_dead_tup, autovacuum_count FROM pg_stat_user_tables WHERE schemaname = 'revacct_data' AND n_dead_tup > n_live_tup AND n_dead_tup > 1000 ORDER BY 1;")
    took, count = {}, 0
    for load in LOADS:
        for _, _, script, ms, _ in load.done():
            took.setdefault((load.name, script), []).append(ms)
            count += 1
    tap.say('%-28s %7s %8s %8s %8s %8s %8s' % ('', 'runs', 'a second', 'mean ms', 'p95', 'p99', 'most'))
    for (who, script), ms in took.items():
        tap.say('%-28s %7d %8.2f %8.1f %8.1f %8.1f %8.1f' % (who + ' ' + script, len(ms), len(ms) / SECONDS, sum(ms) / len(ms), quantile(ms, 0.95), quantile(ms, 0.99), max(ms)))
    for step, times, most_rows, mean, most_seconds in rows("SELECT step, count(*), max(row_count), round(avg(seconds), 2), round(max(seconds), 2) FROM refreshes GROUP BY step ORDER BY min(at), step;"):
        tap.say('refresh(), %-12s %4s times, %6s rows at most, %6s s in the mean, %6s at most' % (step, times, most_rows, mean, most_seconds))
    tap.say('%d transactions, WAL %s, temporary files %s (%s)' % (count, wal, temp_files, temp_bytes))
    tap.ok(all((load.name, script) in took for load in LOADS for script in load.scripts), 'everybody got on (%d scripts)' % len(took),
           *('%s %s' % (load.name, script) for load in LOADS for script in load.scripts if (load.name, script) not in took))
    errors = [error for load in LOADS for error in load.errors()]
    tap.ok(not errors, 'no error in any client, and every figure read adds up', *errors[:20])
    logged, waits, cancelled = unexpected_log(log_began)
    tap.say('waits of more than a second: %s; autovacuum gave way %d times' % (', '.join('%d for %s' % (times, lock.strip()) for lock, times in waits.most_common()) or 'none', cancelled))
    tap.ok(not logged, 'no error in the log of the server', *logged[:20])
    tap.eq(deadlocks, '0', 'no deadlock')

    # ---- nothing lost --------------------------------------------------------------------------------------------------------------------------------
    told = {'event': [], 'money': [], 'commitment': []}
    for client, n, script, _, _ in WRITERS.done():
        table, suffixes = RECORDED.get(script, ('event', ['']))
        told.setdefault(table, []).extend('%d/%d%s' % (client, n, suffix) for suffix in suffixes)
    for table in ('event', 'money', 'commitment'):
        there = run("SELECT f.source_key FROM revacct_data.%s AS f JOIN revacct_data.source AS s USING (source_no) WHERE s.source = 'crm' AND f.source_key !~ '^s';" % table)
        lost, more = set(told[table]) - set(there), set(there) - set(told[table])
        tap.ok(told[table] and not lost, '%s: what a client was told is on record is on record (%d)' % (table, len(told[table])), *sorted(lost)[:10])
        tap.ok(len(there) == len(set(there)) and not more, '%s: once, and nothing else is' % table, '%d rows, %d keys' % (len(there), len(set(there))), *sorted(more)[:10])
    last = rows("SET SESSION AUTHORIZATION load_writer; SELECT source, loaded, rejected FROM unnest('{crm,erp}'::text[]) AS source, load(source);")
    tap.eq(last[0], ['crm', '0', '0'], 'what was landed before is known')
    tap.eq(run("""
        SELECT count(*) FROM (SELECT source, source_key, subject_key, occurred_at FROM landed WHERE occurred_at IS NOT NULL
                              EXCEPT ALL SELECT r.source, e.source_key, s.subject_key, e.occurred_at
                                         FROM revacct_data.event AS e JOIN revacct_data.source AS r ON r.source_no = e.source_no JOIN revacct_data.subject AS s USING (subject_id)) AS lost;
        SELECT (SELECT count(*) FROM landed WHERE source = 'erp' AND occurred_at IS NOT NULL) - count(*) FROM revacct_data.event AS e JOIN revacct_data.source AS r USING (source_no) WHERE r.source = 'erp';
        SELECT (SELECT count(*) FROM landed WHERE occurred_at IS NULL) - count(*) FROM revacct_data.rejected;"""), ['0', '0', '0'], 'every row that was landed is in the ledger once, or was set aside')

    # ---- nothing else than the ledger says -----------------------------------------------------------------------------------------------------------
    run('SET SESSION AUTHORIZATION load_analyst; SELECT count(*) FROM refresh(false);')
    tap.eq(run('SELECT * FROM check_journeys() LIMIT 10;'), [], 'check_journeys() finds nothing')
    tap.eq(run('SELECT (SELECT count(*) FROM revacct_data.pending_load), (SELECT count(*) FROM revacct_data.pending_subject);'), ['0|0'], 'nothing is left to do')
    verified = rows('SET SESSION AUTHORIZATION load_analyst; SELECT count(*), sum(identical_count), max(problem) FROM verify_published();')[0]
    tap.ok(int(verified[0]) > 0 and verified[0] == verified[1], '%s figures were published, and every one is what it was' % verified[0], verified)
    as_of, = run('SELECT now();')
    with open(os.path.join(HERE, 'work', 'escalate.sql')) as job:
        run('SET SESSION AUTHORIZATION load_analyst;\n' + job.read())
    raised, early, due = rows("""SET SESSION AUTHORIZATION load_analyst;
        SELECT count(*), count(*) FILTER (WHERE raise_at > raised_at),
               (SELECT count(*) FROM (SELECT j.*, sla('first_touch') AS first_touch FROM journeys() AS j) AS j, escalations_due('opportunity ' || j.subject_id, j.journey, j.first_touch, '%s'))
        FROM revacct_data.escalation;""" % as_of)[0]
    tap.ok(int(raised) > 0 and (early, due) == ('0', '0'), '%s escalations were raised, none before its time, and none is due that was not' % raised, early, due)

    run('CREATE DATABASE anew TEMPLATE %s;\nALTER DATABASE anew SET search_path = public, revacct;' % DATABASE, 'postgres')
    run('SET SESSION AUTHORIZATION load_steward; SELECT count(*) FROM rebuild_journeys(false);', 'anew')
    # The figures of both, of all groups, as of one instant. It is a second from now on, so that no group is of that time already.
    as_of, = run("SELECT clock_timestamp() + interval '1 second';")
    for database in (DATABASE, 'anew'):
        run("""SET session_replication_role = replica;
            BEGIN;
            UPDATE revacct_data.refreshed SET as_of = '%s';
            CREATE TEMPORARY TABLE revacct_dirty_cell (cell_id bigint NOT NULL);
            SELECT revacct._refresh_figures('0');
            COMMIT;""" % as_of, database)
    for role in ('load_analyst', 'load_reader'):
        for view in ('funnel', 'stage_velocity', 'sla_results', 'sla_status'):
            shown = [run('SET SESSION AUTHORIZATION %s; SELECT v::text FROM %s AS v ORDER BY v::text COLLATE "C";' % (role, view), database) for database in (DATABASE, 'anew')]
            tap.ok(shown[0] and shown[0] == shown[1], '%s, as %s sees it, is what it is in a database made anew (%d rows)' % (view, role, len(shown[0])),
                   *sorted(set(shown[0]) ^ set(shown[1]))[:4])

    # ---- nothing grown -------------------------------------------------------------------------------------------------------------------------------
    too_much, seen = [], 0
    for load in LOADS:
        grown = memory_growth(load, began, samples)
        seen += grown is not None
        tap.say('memory of %-11s at most %9s, %s' % (load.name, mebibytes(max(size for _, memory, _ in samples for who, size in memory.values() if who == load.name)),
                                                     'grew by %s' % mebibytes(grown[0]) if grown else 'too short to see whether it grows'))
        if grown and grown[0] >= MEMORY_GROWTH:
            # What contexts do not hold was freed, and malloc keeps it for the next query; a load of a few large ones has it now and then.
            held, largest = memory_contexts(grown[1], log_began)
            tap.say('    of which contexts hold %s' % mebibytes(held))
            if held >= MEMORY_GROWTH or not largest:
                too_much += ['%s: %s' % (load.name, mebibytes(grown[0]))] + largest
    tap.ok(not too_much, 'no backend grows (%d of %d loads seen)' % (seen, len(LOADS)), *too_much)
    run(''.join('VACUUM FULL %s; ' % name for name in DERIVED + CATALOGS), 'anew')
    for title, grown, least, most_times in (('derived tables', derived_after, sizes(DERIVED, 'anew'), TABLE_RATIO), ('catalogs', after, sizes(CATALOGS, 'anew'), CATALOG_RATIO)):
        for name in sorted(grown, key=lambda name: -grown[name])[:12]:
            tap.say('%-16s %9s after the load, %9s packed: %.1f' % (name, mebibytes(grown[name]), mebibytes(least[name]), grown[name] / least[name]))
        ratio = sum(grown.values()) / sum(least.values())
        tap.ok(ratio < most_times, '%s are %.1f times as large as they need be, in all' % (title, ratio))
    if SECONDS >= 240:
        more = catalog_growth(samples)
        tap.ok(more < CATALOG_GROWTH, 'catalogs do not go on growing: %.2f' % more, *('%3d s %s' % (at, mebibytes(size)) for at, _, size in samples[::4]))
    else:
        tap.say('autovacuum comes each minute: it takes four to see whether catalogs go on growing')
    reused = []
    for _ in range(4):
        run("SET SESSION AUTHORIZATION load_analyst; SELECT count(*) FROM refresh(false, '0');")
        run(''.join('VACUUM %s; ' % name for name in DERIVED))
        reused.append(sum(sizes(DERIVED).values()))
    tap.ok(reused[-1] <= 1.1 * reused[0], 'what is replaced makes room for what comes after it', *map(mebibytes, reused))
    for name, live, not_live, vacuums in dead:
        tap.say('%s: %s rows, %s dead, autovacuum came %s times' % (name, live, not_live, vacuums))
    tap.eq(run("SELECT count(*) FROM pg_class WHERE relpersistence = 't'; SELECT count(*) FROM pg_ls_tmpdir();"), ['0', '0'], 'no temporary table and no temporary file is left')
finally:
    scratch.cleanup()
tap.done()
