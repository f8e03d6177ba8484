#!/usr/bin/env python3
"""pg_cron calls refresh(), as the documentation says: on a cluster of its own, by a role that is an analyst and nothing else, until a run has succeeded and the journeys are there."""
import os
import sys

sys.dont_write_bytecode = True
from cluster import Cluster, SqlError, psql, wait_for
from harness import Tap

if psql(os.environ, os.environ['PGDATABASE'], "SELECT count(*) FROM pg_available_extensions WHERE name = 'pg_cron';") != ['1']:
    if os.environ.get('CI') == 'true':
        print('not ok 1 - pg_cron is there\n# In CI the package postgresql-15-cron must be installed\n1..1')
        sys.exit(1)
    print('1..0 # SKIP pg_cron is not installed')
    sys.exit(0)

tap = Tap()
# It connects as any client does; the cluster listens on its socket only.
server = Cluster('shared_preload_libraries=pg_cron', 'cron.database_name=nightly', 'cron.timezone=UTC')
server.run('postgres', "CREATE DATABASE nightly; ALTER SYSTEM SET cron.host = '%s';" % server.environment['PGHOST'])
server.script('as_server "$scratch/pg_ctl" -D "$scratch/data" -m fast -s -w stop')
server.start()
server.run('nightly', """
CREATE EXTENSION revacct CASCADE;
CREATE EXTENSION pg_cron;
CREATE ROLE nightly LOGIN;
GRANT USAGE ON SCHEMA cron TO nightly;
SELECT revacct.grant_access('analyst', 'nightly'), revacct.grant_access('steward', 'postgres');
SELECT revacct.record_event('crm', 'lead', 'L' || n, 'created', '2026-01-01', 'k' || n) FROM generate_series(1, 100) AS n;
""")
STATE = "SELECT (SELECT count(*) FROM revacct_data.journey) || ' journeys, ' || (SELECT count(*) FROM revacct_data.pending_load) || ' loads to come';"
RUNS = "SELECT status || coalesce(': ' || return_message, '') FROM cron.job_run_details ORDER BY runid;"
tap.eq(server.value('nightly', STATE), '0 journeys, 100 loads to come', 'what was recorded waits')


def schedule(often):
    return server.run('nightly', "SET SESSION AUTHORIZATION nightly; SELECT cron.schedule('%s', 'SELECT revacct.refresh()');" % often)


try:
    often = '10 seconds'                        # since pg_cron 1.5
    job = schedule(often)
except SqlError:
    often = '* * * * *'
    job = schedule(often)
tap.ok(len(job) == 1 and job[0].isdigit(), 'an analyst schedules SELECT revacct.refresh(): %s' % often, *job)


def finished():
    return any(not line.startswith(('starting', 'connecting', 'sending', 'running')) for line in server.run('nightly', RUNS))


try:
    wait_for(finished, 'a run of the job', 90)
except RuntimeError:
    pass                                        # what there is, is told below
runs = server.run('nightly', RUNS)
tap.ok(bool(runs) and all(line.startswith('succeeded') for line in runs), 'it ran, and succeeded', *(runs or server.log()[-2000:].split('\n')))
tap.eq(server.value('nightly', STATE), '100 journeys, 0 loads to come', 'the journeys are there')
tap.eq(server.run('nightly', 'SELECT * FROM revacct.check_journeys() LIMIT 5;'), [], 'check_journeys() finds nothing')
tap.eq(server.run('nightly', "SELECT DISTINCT username || ' in ' || database FROM cron.job_run_details;"), ['nightly in nightly'], 'it ran as who scheduled it')
tap.ok(server.run('nightly', 'SET SESSION AUTHORIZATION nightly; SELECT cron.unschedule(%s);' % ''.join(job)) == ['t'], 'and it can be taken off')
tap.done()
