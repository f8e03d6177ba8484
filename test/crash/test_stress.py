#!/usr/bin/env python3
"""Everything at once, for half a minute: four writers of single facts and of loads whose rows overlap, two that refresh, one that changes the model. No deadlock, no
error but those that are expected, nothing lost, nothing twice, and in the end check_journeys() finds nothing.

Transactions of several facts take them in the order of their keys: those who do not can wait for each other in a circle, as with any rows.
"""
import os
import random
import re
import sys
import threading
import time
import types

sys.dont_write_bytecode = True
from cluster import Session, psql
from harness import Tap

SEED = int(os.environ.get('SEED') or random.SystemRandom().randrange(1 << 32))
SECONDS = int(os.environ.get('SECONDS', 20))
KEYS, LANDED = 1500, 3000
tap = Tap()
tap.say('seed %d' % SEED)
here = types.SimpleNamespace(environment=dict(os.environ, PGOPTIONS='-c client_min_messages=warning -c jit=off -c search_path=revacct,public'))
database = os.environ['PGDATABASE']
ROLES = ['%s_%s' % (database, level) for level in ('loader', 'analyst', 'steward', 'council')]
LOADER, ANALYST, STEWARD, COUNCIL = ROLES


def run(statements):
    return psql(here.environment, database, statements)


run(''.join('CREATE ROLE %s; SELECT revacct.grant_access(%r, %r);' % (role, role.rsplit('_', 1)[1], role) for role in ROLES) + """
SELECT grant_access('steward', current_user::text::regrole);
SET SESSION AUTHORIZATION %s;
SELECT draft_change('Sales'), define_lifecycle('sales'), define_stage('sales', 'open', 10), define_stage('sales', 'won', 30, 'won');
SELECT propose_change();
SET SESSION AUTHORIZATION %s;
SELECT approve(1);
RESET SESSION AUTHORIZATION;
CREATE TABLE landed AS
SELECT s AS source, 'lead' AS subject_kind, 'L' || n / 4 AS subject_key, CASE n %% 4 WHEN 0 THEN 'created' WHEN 1 THEN 'stage_entered' WHEN 2 THEN 'assigned' ELSE 'stage_entered' END AS event,
       timestamptz '2024-01-01' + n * interval '8 hours' AS occurred_at, 'e' || n AS source_key, CASE WHEN n %% 4 IN (1, 3) THEN 'sales' END AS lifecycle,
       CASE n %% 4 WHEN 1 THEN 'open' WHEN 3 THEN CASE WHEN n %% 5 = 0 THEN 'stage ' || n %% 40 ELSE 'won' END END AS stage, CASE WHEN n %% 4 = 2 THEN s || ' party ' || n %% 50 END AS party
FROM unnest('{a,b}'::text[]) AS s, generate_series(1, %d) AS n;
CREATE TABLE landed_links AS
SELECT s AS source, 'a' AS from_source, 'lead' AS from_kind, 'L' || n AS from_key, 'b' AS to_source, 'lead' AS to_kind, 'L' || n AS to_key, 'same_as' AS role FROM unnest('{a,b}'::text[]) AS s, generate_series(1, 200) AS n;
-- each load finds other rows
CREATE VIEW a_events AS SELECT * FROM landed WHERE source = 'a' AND random() < 0.2;
CREATE VIEW b_events AS SELECT * FROM landed WHERE source = 'b' AND random() < 0.2;
CREATE VIEW a_links AS SELECT * FROM landed_links WHERE source = 'a' AND random() < 0.1 ORDER BY random();
CREATE VIEW b_links AS SELECT * FROM landed_links WHERE source = 'b' AND random() < 0.1 ORDER BY random();
GRANT SELECT ON landed, landed_links, a_events, b_events, a_links, b_links TO %s;
SELECT map_source('a', 'a_events', 'a_links'), map_source('b', 'b_events', 'b_links');
SELECT record_event('crm', 'lead', 'C0', 'assigned', '2025-01-01', 'first', party => 'party 0'), record_event('crm', 'lead', 'C0', 'stage_entered', '2025-01-01', 'second', 'sales', 'won');
""" % (STEWARD, COUNCIL, LANDED, LOADER))

EXPECTED = {
    'crm': [r'23514: the event cannot be recorded: (it is on record otherwise|what it corrects is corrected already|there is no event of the key it corrects)'],
}
recorded, corrected, unexpected = set(), set(), []
lock = threading.Lock()
end = time.monotonic() + SECONDS


def event(key, other=False, party=None):
    """What is recorded under a key, or something else."""
    return ("record_event('crm', 'lead', 'C%d', 'assigned', timestamptz '2025-01-01' + %d * interval '1 hour', 'k%d', party => '%s')"
            % (key // 5, key + (50000 if other else 0), key, party or 'party 0'))


class Worker(threading.Thread):
    def __init__(self, name, role, step):
        super().__init__()
        self.name, self.step, self.count = name, step, 0
        self.chance = random.Random('%d %s' % (SEED, name))
        self.session = Session(here, database)
        self.session.run('\\set ON_ERROR_STOP 0\nSET SESSION AUTHORIZATION %s;' % role)

    def run(self):
        try:
            while time.monotonic() < end:
                self.step(self)
                self.count += 1
            self.session.close()
        except Exception as problem:
            with lock:
                unexpected.append('%s ended: %r' % (self.name, problem))

    def does(self, statements, expected=()):
        """True when all went well; an error that is not expected is noted."""
        answer = self.session.run(statements)
        errors = [re.sub(r'^ERROR:  ', '', line) for line in answer if line.startswith(('ERROR: ', 'FATAL: '))]
        wrong = [error for error in errors if not any(re.match(pattern, error) for pattern in expected)]
        if wrong:
            with lock:
                unexpected.extend('%s: %s' % (self.name, error) for error in wrong)
        return not errors


def write(me):
    kind = me.chance.choice(['one', 'one', 'one', 'other', 'new party', 'new year', 'correct', 'correct', 'several', 'several', 'back', 'a', 'b', 'link'])
    key = me.chance.randrange(1, KEYS)
    if kind == 'one':
        # what is recorded otherwise by then is refused
        if me.does('SELECT %s;' % event(key), EXPECTED['crm']):
            with lock:
                recorded.add('k%d' % key)
    elif kind == 'other':
        me.does('SELECT %s;' % event(key, other=True), EXPECTED['crm'])
    elif kind == 'new party':
        key = '%s/%d' % (me.name, me.count)
        if me.does("SELECT record_event('crm', 'lead', 'P%s', 'assigned', '2025-06-01', '%s', party => 'new %s');" % (key, key, me.count)):
            recorded.add(key)
    elif kind == 'new year':
        key = '%s/%d' % (me.name, me.count)
        if me.does("SELECT record_event('crm', 'lead', 'Y%s', 'created', '%d-06-01', '%s');" % (key, me.chance.randrange(1950, 2050), key)):
            recorded.add(key)
    elif kind == 'correct':
        with lock:
            of = me.chance.choice(sorted(recorded) or ['none'])
        key = '%s/%d' % (me.name, me.count)
        if me.does("SELECT record_event('crm', 'lead', 'C1', 'retracted', '2025-06-01', '%s', corrects => '%s');" % (key, of), EXPECTED['crm']):
            with lock:
                if of in corrected:
                    unexpected.append('%s was corrected twice' % of)
                corrected.add(of)
                recorded.add(key)
    elif kind in ('several', 'back'):
        keys = sorted(me.chance.sample(range(1, KEYS), 5))
        if me.does('BEGIN;\n' + ''.join('SELECT %s;\n' % event(k) for k in keys) + ('COMMIT;' if kind == 'several' else 'ROLLBACK;'),
                   EXPECTED['crm'] + ['25P02']) and kind == 'several':
            with lock:
                recorded.update('k%d' % k for k in keys)
    elif kind == 'link':
        n = me.chance.randrange(1, 200)
        me.does("SELECT record_link('crm', 'lead', 'C%d', 'same_as', 'lead', 'C%d');" % (n, n + 7))
    else:
        me.does("SELECT * FROM load('%s');" % kind)


def refresh(me):
    me.does('SELECT step FROM refresh(false);')


def govern(me):
    me.does("""SELECT draft_change('Stage %d');\nSELECT define_stage('sales', 'more %d', %d);\nSELECT propose_change() AS no \\gset
RESET SESSION AUTHORIZATION;\nSET SESSION AUTHORIZATION %s;\nSELECT approve(:no);\nRESET SESSION AUTHORIZATION;\nSET SESSION AUTHORIZATION %s;""" % (me.count, me.count % 7, 40 + me.count % 7, COUNCIL, STEWARD))
    time.sleep(0.3)


workers = [Worker('writer%d' % n, LOADER, write) for n in range(4)] + [Worker('refresher%d' % n, ANALYST, refresh) for n in range(2)] + [Worker('steward', STEWARD, govern)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
tap.say(', '.join('%s %d' % (worker.name, worker.count) for worker in workers))
tap.ok(all(worker.count > 1 for worker in workers), 'everybody got on')
tap.ok(not unexpected, 'no deadlock, and no error but the expected', '%d' % len(unexpected), *sorted(unexpected)[:12])

# ---- what is there -----------------------------------------------------------------------------------------------------------------------------------

run("CREATE OR REPLACE VIEW a_events AS SELECT * FROM landed WHERE source = 'a'; CREATE OR REPLACE VIEW b_events AS SELECT * FROM landed WHERE source = 'b';")
for source in 'ab':
    counts = [line.split('|') for line in run("SELECT fact, rows_read, loaded + known, rejected FROM load('%s');" % source)]
    tap.ok(len(counts) == 2 and counts[0][1:] == [str(LANDED), str(LANDED), '0'], 'source %s: all of it is on record' % source, counts)
got = run("SELECT e.source_key FROM revacct_data.event AS e JOIN revacct_data.source AS s USING (source_no) WHERE s.source = 'crm';")
there = set(got)
tap.ok(len(there) == len(got), 'no event is there twice', len(got), len(there))
tap.ok(not recorded - there and len(recorded) > 50, 'no event that was recorded is lost (%d)' % len(recorded), *sorted(recorded - there)[:10])
DIFFERENT = """
SELECT count(*) FROM (
    SELECT l.source, l.source_key, l.subject_key, l.occurred_at FROM landed AS l
    EXCEPT ALL SELECT r.source, e.source_key, s.subject_key, e.occurred_at FROM revacct_data.event AS e JOIN revacct_data.source AS r ON r.source_no = e.source_no JOIN revacct_data.subject AS s USING (subject_id)) AS d;
SELECT count(*) FROM revacct_data.event AS e JOIN revacct_data.source AS r USING (source_no) WHERE r.source IN ('a', 'b');"""
tap.eq(run(DIFFERENT), ['0', str(2 * LANDED)], 'each row that was landed is there once')
tap.eq(run("SELECT count(*) FROM (SELECT party_no FROM revacct_data.party GROUP BY 1 HAVING count(*) > 1) AS p; SELECT max(party_no) - count(*) FROM revacct_data.party;"), ['0', '0'], 'parties are numbered without a gap')
tap.eq(run("SELECT max(number) - count(*) FROM revacct_data.numbering WHERE is_mark; SELECT max(source_no) - count(*) FROM revacct_data.source;"), ['0', '0'], 'so are marks and sources')
run('SELECT * FROM refresh(false);')
tap.eq(run('SELECT * FROM check_journeys() LIMIT 5;'), [], 'check_journeys() finds nothing')
tap.eq(run('SELECT count(*) FROM revacct_data.pending_load; SELECT count(*) FROM revacct_data.pending_subject;'), ['0', '0'], 'nothing is left to do')
run("SET client_min_messages = error; SET session_replication_role = replica; TRUNCATE revacct_data.access; SET session_replication_role = origin;" + ''.join('DROP OWNED BY %s CASCADE; DROP ROLE %s;' % (role, role) for role in ROLES))
tap.done()
