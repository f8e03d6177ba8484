#!/usr/bin/env python3
"""Cancelled in the middle. One call that would take minutes ends within seconds when its time is up or somebody cancels it; what works on the ledger is stopped at
random moments, and does all of its work or nothing. The session goes on and gives right answers.

How much later than asked depends on the machine: the bound is generous, and the calls take many times as long. SEED repeats the moments, SCALE multiplies them.
"""
import os
import random
import sys
import time
import types

sys.dont_write_bytecode = True
import faults
from cluster import Session, psql
from faults import SCALE, SEED
from harness import Tap

BOUND = 10                                      # seconds after it was cancelled
tap = Tap()
tap.say('seed %d' % SEED)
chance = random.Random(SEED)
database = os.environ['PGDATABASE']
here = types.SimpleNamespace(environment=dict(os.environ, PGOPTIONS='-c client_min_messages=warning -c jit=off -c search_path=public,revacct -c timezone=UTC -c max_parallel_workers_per_gather=0 -c work_mem=1GB'))


def run(statements):
    return psql(here.environment, database, statements)


run(faults.DATA + faults.AGREED % dict(steward=database + '_steward', council=database + '_council', subjects=1500) + r"""
CREATE TABLE long AS SELECT journey(1 + i % 9, '2025-01-01'::timestamptz + i * interval '1 second', i % 5) AS journey FROM generate_series(1, 1000000) AS i;
CREATE TABLE hourly AS SELECT journey(1 + i % 2, '1900-01-01'::timestamptz + i * interval '1 hour') AS journey FROM generate_series(1, 1000000) AS i;
CREATE TABLE monthly AS SELECT lifecycle('monthly', stages => ARRAY(SELECT 'stage ' || i FROM generate_series(1, 64) AS i), within => '30 minutes', step_within => ARRAY(SELECT interval '1 month' FROM generate_series(1, 64)), time_zone => 'Europe/Berlin') AS lifecycle;
CREATE TABLE wanted AS SELECT array_agg(100000 + i) AS marks FROM generate_series(1, 300000) AS i;
CREATE TABLE curve AS SELECT stage_velocity(journey, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01') AS summary FROM (SELECT journey FROM timed LIMIT 4000) AS t;
CREATE TABLE curves AS SELECT array_agg(summary) AS summaries FROM curve, generate_series(1, 1000);
""")

LONG_CALLS = {
    'the first of many marks': "SELECT _first_at(journey, marks) FROM long, wanted",
    'the last of many marks': "SELECT _last_value(journey, marks) FROM long, wanted",
    'a window for each of many steps, by the rules of a time zone': "SELECT funnel_conversion(journey, lifecycle, '2100-01-01') FROM hourly, monthly",
    'a thousand curves compared': "SELECT log_rank(summaries, 'a') FROM curves",
    'all the years of a calendar': "SELECT count(*) FROM open_intervals(business_calendar('o', 'Europe/Berlin', '{mon-sun 00:00-00:01 00:02-00:03 00:04-00:05 00:06-00:07 00:08-00:09 00:10-00:11 00:12-00:13 00:14-00:15 00:16-00:17}'), '0001-01-01', '290000-01-01')",
}
CONTROL = "SELECT md5(string_agg(f.summary::text || v.summary::text || b.summary::text, '' ORDER BY part)) FROM funnel AS f JOIN velocity AS v USING (part) JOIN breach AS b USING (part);"
right_answer = run(CONTROL)


def cancel(session, after):
    time.sleep(after)
    run('SELECT pg_cancel_backend(%d);' % session.pid)


for name, statement in LONG_CALLS.items():
    for how, setting in (('timed out', "SET statement_timeout = '400ms';"), ('cancelled', '')):
        session = Session(here, database)
        session.run('\\set ON_ERROR_STOP 0')
        since = time.monotonic()
        session.send(setting + statement + ';')
        if not setting:
            cancel(session, chance.uniform(0.2, 1))
        answer = session.answer()
        took = time.monotonic() - since
        tap.ok(answer and answer[0].startswith('ERROR:  57014: ') and took < BOUND, '%s, %s' % (name, how), 'after %.1f s' % took, *answer[:3])
        tap.eq(session.run('RESET statement_timeout;' + CONTROL), right_answer, '%s, %s: the session gives right answers' % (name, how))
        session.close()

# ---- work on the ledger, stopped at random moments: what there is afterwards is what was there, or all that should be -----------------------------------------

STATE = """
SELECT (SELECT count(*) FROM revacct_data.event), (SELECT count(*) FROM revacct_data.load), (SELECT count(*) FROM revacct_data.pending_load),
       (SELECT md5(string_agg(s.subject_key || j.journey::text, '|' ORDER BY s.subject_key)) FROM revacct_data.journey AS j JOIN revacct_data.subject AS s USING (subject_id)),
       (SELECT md5(string_agg(f::text, '|' ORDER BY f::text)) FROM (SELECT lifecycle, period, stage, owner, lead_source, entered, converted, lost FROM revacct.funnel) AS f),
       (SELECT count(*) FROM revacct_data.published), (SELECT count(*) FROM open_changes), (SELECT count(*) FROM check_journeys()), (SELECT count(*) FROM verify_published() AS v WHERE v.problem IS NOT NULL);
"""
# what can be done but once is rolled back
WORK = {
    'rebuild_journeys()': 'SELECT rebuild_journeys(false); COMMIT;',
    'refresh()': 'SELECT refresh(false); COMMIT;',
    'check_journeys()': 'SELECT count(*) FROM check_journeys(); COMMIT;',
    'restate()': "SELECT restate('win rate', NULL, '2024-03-01', '2024-07-01'); COMMIT;",
    'publish()': "SELECT publish('win rate', NULL); ROLLBACK;",
    'load() and refresh()': 'UPDATE batch SET batch = 2; SELECT load(\'crm\'), refresh(false); ROLLBACK;',
    'a change agreed': faults.AGREED_STATEMENTS['a change agreed'] + '; ROLLBACK;',
}
met = []
for name, statement in WORK.items():
    statement = 'BEGIN; ' + statement
    right_state = run(STATE)
    session = Session(here, database)
    session.run('\\set ON_ERROR_STOP 0')
    session.run(statement)
    since = time.monotonic()
    session.run(statement)
    typical = time.monotonic() - since
    wrong, stopped = [], 0
    for number in range(max(4, int(8 * SCALE))):
        session.run("SET statement_timeout = '%dms';" % max(1, chance.random() * typical * 900))
        answer = [line for line in session.run(statement) if 'ERROR: ' in line]
        session.run('ROLLBACK; RESET statement_timeout;')
        stopped += bool(answer)
        state = run(STATE)
        if answer and '57014' not in answer[0] or state != right_state:
            wrong += answer + state
    tap.ok(not wrong, '%s stopped, %d times of %d: all is as it was' % (name, stopped, number + 1), *right_state, *wrong[:6])
    met.append(stopped)
    answer = session.run(statement)
    tap.ok(not [line for line in answer if 'ERROR' in line] and run(STATE) == right_state, '%s: the same session does it now' % name, *answer[:3])
    session.close()
tap.ok(sum(met) > number, 'work was stopped at all', met)
tap.done()
