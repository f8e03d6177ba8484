#!/usr/bin/env python3
"""load() and refresh() are killed, cancelled and starved in the midst of their work. Each happens or does not: done again, the ledger has the source exactly once,
check_journeys() finds nothing, and in the end the journeys are, to the byte, those of a database in which nothing ever went wrong.

SEED repeats the moments, as far as a machine repeats itself; KILLS is how many kills there are.
"""
import os
import random
import sys
import time

sys.dont_write_bytecode = True
import cluster
from cluster import Cluster, Session, SqlError
from harness import Tap

SEED = int(os.environ.get('SEED') or random.SystemRandom().randrange(1 << 32))
KILLS = int(os.environ.get('KILLS', 12))
tap = Tap()
tap.say('seed %d' % SEED)
chance = random.Random(SEED)
server = Cluster()
SUBJECTS = 4000 if server.sanitized else 36000
OTHERS = 4                                      # batches for what is no kill
BATCHES = KILLS + OTHERS

# ---- the source: five or six events of each opportunity over five years, in batches, each with names that are new; corrections and links at last -----------

server.run('postgres', 'CREATE DATABASE base;')
server.run('base', r"""
CREATE EXTENSION revacct CASCADE;
CREATE ROLE steward; CREATE ROLE council;
SELECT revacct.grant_access('steward', 'steward'), revacct.grant_access('council', 'council'), revacct.grant_access('steward', 'postgres');
SET SESSION AUTHORIZATION steward;
SELECT revacct.draft_change('Sales');
SELECT revacct.define_lifecycle('sales'), revacct.define_stage('sales', 'open', 10), revacct.define_stage('sales', 'offer', 20), revacct.define_stage('sales', 'won', 30, 'won'), revacct.define_stage('sales', 'lost', 40, 'lost');
SELECT revacct.propose_change();
SET SESSION AUTHORIZATION council;
SELECT revacct.approve(1);
RESET SESSION AUTHORIZATION;

CREATE TABLE progress (batch int);
INSERT INTO progress VALUES (0);
CREATE TABLE all_events AS
SELECT 'opportunity' AS subject_kind, 'O-' || n AS subject_key, e.event, e.at AS occurred_at, 'opportunity/' || n || '/' || e.no AS source_key, e.lifecycle, e.stage, e.field, e.code, e.party, e.amount, e.currency,
       NULL::text AS corrects, 1 + (n * 7 + e.no * 3) %% %(batches)d AS batch
FROM generate_series(1, %(subjects)d) AS n,
     LATERAL (SELECT timestamptz '2022-01-01' + n * interval '57 minutes' AS t) AS o,
     LATERAL (VALUES (1, 'created', t, NULL, NULL, NULL, NULL, NULL, NULL::numeric, NULL), (2, 'stage_entered', t, 'sales', 'open', NULL, NULL, NULL, NULL, NULL),
                     (3, 'assigned', t + interval '1 hour', NULL, NULL, NULL, NULL, 'rep ' || n %% 40, NULL, NULL),
                     (4, 'field_set', t + interval '2 hours', NULL, NULL, 'lead_source', 'source ' || n %% 9, NULL, NULL, NULL),
                     (5, 'field_set', t + interval '3 hours', NULL, NULL, 'amount', NULL, NULL, 100 + n %% 977, 'EUR'),
                     (6, 'stage_entered', t + n %% 300 * interval '1 day', 'sales', CASE n %% 3 WHEN 0 THEN 'won' WHEN 1 THEN 'lost' ELSE 'offer' END, NULL, NULL, NULL, NULL, NULL))
         AS e (no, event, at, lifecycle, stage, field, code, party, amount, currency)
WHERE e.no < 6 OR n %% 5 > 0;
INSERT INTO all_events
SELECT 'opportunity', subject_key, 'retracted', occurred_at, source_key || '/x', NULL, NULL, NULL, NULL, NULL, NULL, NULL, source_key, least(batch + 2, %(batches)d)
FROM all_events WHERE split_part(source_key, '/', 2)::int %% 97 = 0 AND event = 'assigned';
CREATE TABLE all_links AS
SELECT 'opportunity' AS from_kind, 'O-' || n AS from_key, 'opportunity' AS to_kind, 'O-' || n + 11 AS to_key, 'same_as' AS role, 1 + n %% %(batches)d AS batch
FROM generate_series(1, %(subjects)d - 11, 53) AS n;
CREATE INDEX ON all_events (batch);
ANALYZE;
-- what the connector shows: what it landed last comes again and again
CREATE VIEW events AS SELECT e.* FROM all_events AS e, progress AS p WHERE e.batch <= p.batch AND e.batch > p.batch - 3;
CREATE VIEW links AS SELECT l.* FROM all_links AS l, progress AS p WHERE l.batch <= p.batch;
SELECT revacct.map_source('crm', 'events', 'links');
""" % dict(batches=BATCHES, subjects=SUBJECTS))
server.run('postgres', 'CREATE DATABASE crashed TEMPLATE base;\nCREATE DATABASE calm TEMPLATE base;')

LOAD = 'SELECT * FROM revacct.load(\'crm\');'
REFRESH = 'SELECT step, row_count FROM revacct.refresh(false);'
NEXT = 'UPDATE progress SET batch = batch + 1;'
EVENTS = 'SELECT count(*) FROM revacct_data.event;'
# Of the batches so far, with all that an event has, what is in one but not in the other, or not as often.
DIFFERENCE = r"""
WITH source AS MATERIALIZED (
    SELECT e.subject_key, e.event, e.occurred_at, e.source_key, e.lifecycle || '/' || e.stage AS stage, e.code, e.party, e.amount, e.currency, e.corrects FROM all_events AS e, progress AS p WHERE e.batch <= p.batch
), ledger AS MATERIALIZED (
    SELECT s.subject_key, CASE WHEN g.kind = 'stage' THEN 'stage_entered' WHEN g.number IS NULL THEN 'retracted' ELSE regexp_replace(split_part(g.key, '/', 1), '^\w+_set$', 'field_set') END, e.occurred_at, e.source_key,
           CASE WHEN g.kind = 'stage' THEN g.key END, (SELECT split_part(c.key, '/', 2) FROM revacct_data.numbering AS c WHERE c.kind = 'code' AND c.number = e.value AND g.key = 'lead_source_set'),
           (SELECT p.party FROM revacct_data.party AS p WHERE p.party_no = e.value AND g.key = 'assigned'), e.amount, e.currency, e.corrects
    FROM revacct_data.event AS e JOIN revacct_data.subject AS s USING (subject_id) LEFT JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark
)
SELECT (SELECT count(*) FROM (SELECT * FROM source EXCEPT ALL SELECT * FROM ledger) AS d) || ' missing, ' || (SELECT count(*) FROM (SELECT * FROM ledger EXCEPT ALL SELECT * FROM source) AS d) || ' too many, '
    || (SELECT count(*) FROM revacct_data.load WHERE load_id NOT IN (SELECT load_id FROM revacct_data.event)) || ' empty loads, '
    || (SELECT count(*) FROM (SELECT load_id FROM revacct_data.event UNION SELECT load_id FROM revacct_data.pending_load EXCEPT SELECT load_id FROM revacct_data.load) AS l) || ' unknown loads, '
    || (SELECT count(*) FROM revacct_data.correction AS c FULL JOIN (SELECT * FROM revacct_data.event WHERE corrects IS NOT NULL) AS e ON e.source_key = c.corrected_by AND e.corrects = c.source_key
        WHERE c.source_key IS NULL OR e.source_key IS NULL) || ' corrections amiss';
"""
RIGHT = '0 missing, 0 too many, 0 empty loads, 0 unknown loads, 0 corrections amiss'
# Numbers of subjects are not the same everywhere: who is there is told by the least of their keys.
JOURNEYS = r"""
SELECT count(*) || ' ' || md5(string_agg(n.name || ' ' || encode(revacct.journey_send(j.journey), 'hex'), ',' ORDER BY n.name COLLATE "C"))
FROM revacct_data.journey AS j
     JOIN (SELECT coalesce(i.same_as, s.subject_id) AS subject_id, min(s.subject_key) AS name FROM revacct_data.subject AS s LEFT JOIN revacct_data.identity AS i USING (subject_id) GROUP BY 1) AS n USING (subject_id);
"""
PACKED = "SELECT count(*) || ' ' || sum(length(c.lifecycle || c.period_start || coalesce(c.currency, ''))) FROM revacct_data.pack AS p JOIN revacct_data.cell AS c USING (cell_id), LATERAL revacct.unpack(p.pack) AS u;"


def put_right(what, before):
    """All that must hold after whatever went wrong. The ledger has as many events as before, or, when that may have been committed, as many as after."""
    found = int(server.value('crashed', EVENTS))
    counts = [line.split('|') for line in server.run('crashed', LOAD)]
    after = int(server.value('crashed', EVENTS))
    tap.ok(found in before(after), '%s: it happened or it did not' % what, 'found %d of %d' % (found, after))
    tap.ok(len(counts) == 2 and all(int(read) == int(loaded) + int(known) and rejected == '0' for _, read, loaded, known, rejected in counts), '%s: the source loads again' % what, counts)
    server.run('crashed', REFRESH)
    tap.eq(server.run('crashed', 'SELECT * FROM revacct.check_journeys() LIMIT 5;'), [], '%s: check_journeys() finds nothing' % what)
    tap.eq(server.value('crashed', DIFFERENCE), RIGHT, '%s: the ledger has the source exactly once' % what)


typical = {LOAD: 0.6, REFRESH: 0.4}              # how long they take here, to meet them at work; whether they are is not asserted
hit = []


def strike(number):
    """One kill: of a backend or of all, at work or just before its commit or in it."""
    work = (LOAD, REFRESH)[number % 2]
    everything = chance.random() < 0.5
    moment = ('at work', 'at work', 'at work', 'before its commit', 'at its commit')[number // 2 % 5]
    server.run('crashed', NEXT)
    count = int(server.value('crashed', EVENTS))
    if work == REFRESH:
        server.run('crashed', LOAD)
        count = int(server.value('crashed', EVENTS))
    session = Session(server, 'crashed')
    since = time.monotonic()
    if moment == 'at work':
        session.send(work)
        fraction = chance.random()
        time.sleep(fraction * typical[work])
    else:
        session.run('BEGIN;')
        session.run(work)
        if moment == 'at its commit':
            session.send('COMMIT;')
            time.sleep(chance.random() * 0.003)
    if everything:
        server.kill_all()
    else:
        cluster.kill(session.pid)
    try:
        if moment == 'before its commit':
            session.send('SELECT 1;')                 # or psql would not notice
        session.answer()
        done = True
        if moment == 'at work':
            typical[work] = max(0.02, 0.7 * min(typical[work], time.monotonic() - since))
    except SqlError:
        done = False
    session.close()
    hit.append(not done)
    server.wait_until_up(session.pid)
    what = 'kill %d, of %s, %s %s%s' % (number + 1, 'all' if everything else 'the backend', 'load()' if work == LOAD else 'refresh()', moment, ' (it was done)' if done and moment == 'at work' else '')
    if work == REFRESH:
        put_right(what, lambda after: [count])
    elif moment == 'at work' and done:
        put_right(what, lambda after: [after])
    elif moment == 'at its commit':
        put_right(what, lambda after: [count, after])
    else:                                       # the answer may be lost after the commit
        put_right(what, lambda after: [count] if moment == 'before its commit' else [count, after])


for number in range(KILLS):
    strike(number)
# how many depends on the machine; with none, nothing was shown
tap.ok(sum(hit) >= KILLS // 4, 'kills met their aim at work', '%d of %d' % (sum(hit), KILLS))


# ---- cancelled, timed out, out of space: an error, and nothing else ----------------------------------------------------------------------------------

def fails(what, code, work, before='', during=None):
    """The work ends by an error of this code, or by none of these: the session goes on, and is used again."""
    count = int(server.value('crashed', EVENTS))
    session = Session(server, 'crashed')
    got = []
    session.run('\\set ON_ERROR_STOP 0\n' + before)
    for attempt in range(20):
        session.send('BEGIN;\n' + work + '\nROLLBACK;')
        if during:
            during(session, attempt)
        got = [line for line in session.answer() if line.startswith('ERROR: ')]
        if got:
            break
    tap.ok(len(got) == 1 and got[0].split()[1] == code + ':', '%s: an error' % what, *got)
    tap.eq(int(server.value('crashed', EVENTS)), count, '%s: the ledger is as it was' % what)
    session.run('RESET ALL;\nSET client_min_messages = warning;')
    tap.eq(session.run('SELECT 1;'), ['1'], '%s: the session goes on' % what)
    return session


def then_it_works(what, session):
    got = session.run(LOAD) + session.run(REFRESH)
    tap.ok(not any('ERROR' in line for line in got), '%s: the same session does it now' % what, *got)
    session.close()
    put_right(what, lambda after: [after])


def cancel(session, attempt):
    time.sleep(chance.random() * 0.4 / (1 + attempt))
    server.run('postgres', 'SELECT pg_cancel_backend(%d);' % session.pid)


for batch, (how, code, setting, during) in enumerate([('cancelled', '57014', '', cancel), ('timed out', '57014', "SET statement_timeout = '%dms';", None)]):
    server.run('crashed', NEXT)
    session = fails('load() ' + how, code, LOAD, setting and setting % (5 + chance.randrange(60)), during)
    session.run(LOAD)
    session.close()
    session = fails('refresh() ' + how, code, REFRESH, setting and setting % (5 + chance.randrange(20)), during)
    then_it_works('after load() and refresh() were ' + how, session)

# A limit on the size of the backend's files is met as a full disk is, when a file is extended; only the code is another (a full disk has 53100). WAL is written into files of 16 MB, which exist.
server.run('crashed', NEXT)
server.run('crashed', 'CREATE OR REPLACE VIEW events AS SELECT e.* FROM all_events AS e, progress AS p WHERE e.batch <= p.batch;')


def limited(what, code, work, size):
    count = int(server.value('crashed', EVENTS))
    session = Session(server, 'crashed')
    session.run('\\set ON_ERROR_STOP 0')
    done = server.script('as_server prlimit --pid "$1" --fsize="$2:"', str(session.pid), str(size))
    tap.ok(done.returncode == 0, '%s: files of the backend are limited' % what, done.stdout)
    got = [line for line in session.run(work) if line.startswith('ERROR: ')]
    tap.ok(len(got) == 1 and got[0].split()[1] == code + ':', '%s: an error' % what, *got)
    tap.eq(int(server.value('crashed', EVENTS)), count, '%s: the ledger is as it was' % what)
    session.close()
    put_right(what, lambda after: [count])


if not server.sanitized:                        # there it is too little to fill anything
    limited('load() out of disk space', 'XX000', LOAD, 16 << 20)
server.run('crashed', NEXT)
server.run('crashed', LOAD)
session = fails('refresh() out of space for sorts', '53400', "SELECT step FROM revacct.rebuild_journeys();", "SET temp_file_limit = '100kB';\nSET work_mem = '64kB';")
then_it_works('refresh() out of space for sorts', session)

# ---- the same as if nothing had happened ---------------------------------------------------------------------------------------------------------------

for batch in range(BATCHES):
    server.run('calm', NEXT + LOAD + (REFRESH if batch % 4 == 3 else ''))
server.run('calm', REFRESH)
tap.eq(server.value('crashed', 'SELECT batch FROM progress;'), str(BATCHES), 'all batches came')
tap.ok(int(server.value('calm', EVENTS)) >= SUBJECTS * 5, 'of that many events', server.value('calm', EVENTS))
tap.eq(server.value('crashed', DIFFERENCE), RIGHT, 'the ledger has the source exactly once')
tap.eq(server.value('crashed', JOURNEYS), server.value('calm', JOURNEYS), 'the journeys are those of a database that never crashed, to the byte')
tap.eq(server.value('crashed', PACKED), server.value('calm', PACKED), 'and so are the groups they are in')
tap.eq(server.run('crashed', 'SELECT count(*) FROM revacct_data.pending_load;'), ['0'], 'nothing is left to do')
tap.eq(server.run('crashed', 'SELECT * FROM revacct_data.rejected LIMIT 5;'), [], 'nothing was rejected')
tap.ok('PANIC' not in server.log(), 'the server never panicked')
tap.done()
