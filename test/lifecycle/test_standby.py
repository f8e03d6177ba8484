#!/usr/bin/env python3
"""A hot standby: what it reads is, to the byte, what the primary reads, functions that compile the model included, also in a session that saw the model before; what writes is refused, and loses nothing; refresh on
the primary and long readers on the standby do not hurt each other; promoted, it goes on with the same numbers. And a publication of all tables: the publisher goes on, and a subscriber reads the same."""
import re
import sys

sys.dont_write_bytecode = True
import lived
from lived import Cluster, Session, SqlError, Tap, do, live, refusal, wait_for
from standby import Standby

tap = Tap()
primary = Cluster('wal_level=logical', 'autovacuum=off')
lived.make_people(primary)
primary.run('postgres', 'CREATE DATABASE company;')
primary.run('company', lived.CREATE)
standby = Standby(primary, 'hot_standby_feedback=off', 'max_standby_streaming_delay=-1', 'max_standby_archive_delay=-1', 'wal_receiver_status_interval=1')
live(primary, 'company')
expected = lived.answers(primary, 'company')
standby.catch_up(primary)


def everything(server, user=None):
    """Every view and table of ours, by name; what a role may not read is an error, which is an answer too."""
    found = {}
    for name in primary.run('company', "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND c.relkind IN ('r', 'p', 'v') ORDER BY 1;"):
        try:
            found[name] = '\n'.join(do(server, 'company', user, 'SELECT t FROM %s AS t ORDER BY t::text COLLATE "C";' % name))
        except SqlError as refused:
            found[name] = str(refused).split('\n')[0]
    return found


# ---- reading -----------------------------------------------------------------------------------------------------------------------------------------------

tap.eq(standby.value('company', 'SELECT pg_is_in_recovery();'), 't', 'the standby is one')
lived.compare(tap, lived.answers(standby, 'company', 'lab'), expected, 'an analyst gets the same answers on the standby, to the byte')
theirs = everything(primary, 'lab')
tap.ok(len(theirs) > 50 and sum('\n' in rows for rows in theirs.values()) > 25, 'there are views and tables with rows', len(theirs))
lived.compare(tap, everything(standby, 'lab'), theirs, 'she reads every view and table there')
lived.compare(tap, everything(standby, 'bill'), everything(primary, 'bill'), 'a reader reads every view, and may not what he may not')
tap.eq(do(standby, 'company', 'lab', "SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0; SELECT encode(funnel_summary_send(funnel_conversion(j.journey, lifecycle('deals'), '2026-01-01 00:00+00')), 'hex') FROM revacct_data.journey AS j;"),
       do(primary, 'company', 'lab', "SELECT encode(funnel_summary_send(funnel_conversion(j.journey, lifecycle('deals'), '2026-01-01 00:00+00')), 'hex') FROM revacct_data.journey AS j;"), 'in parallel, too')

# ---- not writing --------------------------------------------------------------------------------------------------------------------------------------------

WRITES = {
    'lou': ["SELECT * FROM load('crm');", 'SELECT * FROM refresh(false);', "SELECT record_event('crm', 'lead', 'L', 'created', '2025-01-01', source_key => 'new');", "SELECT record_link('crm', 'lead', 'L', 'account', 'account', 'A');",
            "SELECT record_money('crm', 'cost', '2025-01-01', 1, 'EUR', source_key => 'new');", "SELECT record_commitment('crm', 'promise', 'x', 'a', source_key => 'new');", "SELECT map_source('new', events => 'crm.events');", "SELECT register_party('new', 'person');"],
    'ana': ["SELECT draft_change('new');", 'SELECT * FROM rebuild_journeys(false);', "SELECT publish('win rate', NULL);"],
    'cleo': ['SELECT set_minimum_group(3);'],
    None: ["SELECT grant_access('reader', 'lou');", "SELECT revoke_access('reader', 'bill');", "SELECT link_login('a', 'bill');", 'DROP EXTENSION revacct CASCADE;',
           "SELECT raise_escalations(j.subject_id::text, j.journey, sla('late', start => '{first}', stop => '{never}', target => '1 day', escalations => '{breach to owner}'), '2030-01-01') FROM journeys() AS j;"]}
do(primary, 'company', 'ana', "SELECT draft_change('To come'); SELECT define_code('segment', 'to come', change => 2); SELECT propose_change(2); SELECT draft_change('A draft');")
standby.catch_up(primary)
WRITES['ana'] += ["SELECT define_code('segment', 'new', change => 3);", 'SELECT propose_change(3);', 'SELECT withdraw_change(3);']
WRITES['cleo'] += ['SELECT approve(2);', "SELECT reject(2, 'no');"]
before = lived.answers(standby, 'company')
said = [(what, refusal(standby, 'company', who, what)) for who, statements in WRITES.items() for what in statements]
tap.eq([(what, text[:120]) for what, text in said if not re.match(r'25006: cannot execute \S.* (in a read-only transaction|during recovery)', text)], [], 'every function that writes is refused on a standby, as read-only (%d)' % len(said))
tap.ok(len(said) > 15, 'there are many')
lived.compare(tap, lived.answers(standby, 'company'), before, 'and nothing came of it')
tap.eq(standby.value('company', "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory';"), '0', 'no lock remains')

# ---- a session that knew the model --------------------------------------------------------------------------------------------------------------------------

FINGERPRINTS = "SELECT fingerprint(lifecycle('deals')), fingerprint(sla('speed')), fingerprint(business_calendar('office'));"
knows, waits = Session(standby, 'company'), Session(standby, 'company')
for session in (knows, waits):
    session.run('SET search_path = revacct, public;\nSET plan_cache_mode = force_generic_plan;\nPREPARE known AS ' + FINGERPRINTS)
old = knows.run('EXECUTE known;')
tap.eq(old, do(primary, 'company', None, FINGERPRINTS), 'a session on the standby compiles what is in force')
# One statement, which names the model again and again: each time with a snapshot of its own. It ends when it sees another one.
waits.send(r"""
DO $$
DECLARE
    first text;
    now_seen text;
BEGIN
    FOR i IN 1 .. 600 LOOP
        now_seen := fingerprint(lifecycle('deals'));
        first := coalesce(first, now_seen);
        EXIT WHEN now_seen <> first;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE WARNING 'from % to %', first, now_seen;
END $$;""")
wait_for(lambda: standby.value('company', "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'PgSleep';" % waits.pid) == '1', 'a statement on the standby looks at the model')
do(primary, 'company', 'ana', "SELECT draft_change('Stricter') AS change \\gset\nSELECT define_lifecycle('deals', within => '200 days', calendar => 'office', change => :change), define_sla('speed', '{Zürich}', '{won}', target => '40 hours', lifecycle => 'deals', calendar => 'office', change => :change), "
   "define_calendar('office', 'Europe/Berlin', '{mon-fri 08:00-16:00}', known_until => '2100-01-01', change => :change);\nSELECT propose_change(:change);")
do(primary, 'company', 'cleo', 'SELECT approve(change_no) FROM awaiting_my_signoff WHERE rationale = \'Stricter\';')
new = do(primary, 'company', None, FINGERPRINTS)
tap.ok(all(a != b for a, b in zip(old[0].split('|'), new[0].split('|'))), 'other definitions are agreed on the primary', old, new)
standby.catch_up(primary)
tap.eq(knows.run('EXECUTE known;'), new, 'the same session on the standby compiles them, once they are replayed')
line = ' '.join(waits.answer())
tap.ok('from %s to %s' % (old[0].split('|')[0], new[0].split('|')[0]) in line, 'and so does a statement that had begun before', line)
waits.close()

# ---- refresh here, long readers there ------------------------------------------------------------------------------------------------------------------------

READ = 'SELECT md5(string_agg(f::text, E\'\\n\' ORDER BY f::text COLLATE "C")), count(*) FROM revacct.funnel AS f; SELECT md5(string_agg(j.journey::text, E\'\\n\' ORDER BY j.journey::text COLLATE "C")), count(*) FROM revacct.journeys() AS j;'


def refresh_and_clean():
    """All rows that a refresh replaces are gone for good then."""
    do(primary, 'company', 'ana', 'SELECT count(*) FROM rebuild_journeys(false);')
    primary.run('company', 'VACUUM;')


knows.run('BEGIN ISOLATION LEVEL REPEATABLE READ;')
seen = knows.run(READ)
refresh_and_clean()
written = primary.value('postgres', 'SELECT pg_current_wal_flush_lsn();')
tap.eq(knows.run(READ), seen, 'while the primary refreshes, a long reader on a standby that waits for it reads what it read')
knows.run('COMMIT;')
standby.catch_up(primary)
tap.eq(standby.run('company', READ), primary.run('company', READ), 'when it has ended, the standby catches up')
standby.set(max_standby_streaming_delay='0')
wait_for(lambda: standby.value('postgres', 'SHOW max_standby_streaming_delay;') == '0', 'the standby waits for nobody')
knows.run('BEGIN ISOLATION LEVEL REPEATABLE READ;')
seen = knows.run(READ)
refresh_and_clean()
standby.catch_up(primary)
try:
    said = knows.run(READ)
    tap.eq(said, seen, 'on a standby that does not wait, it reads on, or is told that it cannot')
except SqlError as conflict:
    tap.ok(re.search('(ERROR|FATAL):  40001: .*due to conflict with recovery', str(conflict)), 'on a standby that does not wait, it reads on, or is told that it cannot', conflict)
knows.close()
tap.eq(standby.run('company', READ), primary.run('company', READ), 'and whoever comes next reads what the primary reads')

# ---- a publication of all tables ------------------------------------------------------------------------------------------------------------------------------

primary.run('company', 'CREATE PUBLICATION everything FOR ALL TABLES;')
GO_ON = [('lou', "SELECT fact, loaded FROM load('crm');"), ('lou', "SELECT record_event('crm', 'opportunity', 'X', 'retracted', '2025-01-01', source_key => 'taken back', corrects => '1/1');"),
         ('lou', "SELECT record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', 'Y', source_key => 'l'), record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', 'Z', source_key => 'l');"),
         ('lou', 'SELECT count(*) FROM refresh(false, \'0\');'), ('ana', "SELECT withdraw_change(3);"), ('cleo', 'SELECT approve(2);'), ('cleo', 'SELECT set_minimum_group(3); SELECT set_minimum_group(2);'), ('ana', 'SELECT count(*) FROM rebuild_journeys(false);'),
         ('ana', "SELECT publish('win rate', NULL);"), ('ana', "SELECT draft_change('Longer') AS change \\gset\nSELECT define_sla('speed', '{Zürich}', '{won}', target => '50 hours', lifecycle => 'deals', calendar => 'office', change => :change);\nSELECT propose_change(:change);"),
         ('cleo', "SELECT approve(change_no) FROM awaiting_my_signoff WHERE rationale = 'Longer';"), ('lou', 'SELECT count(*) FROM refresh(false, \'0\');')]
said = [(what, refusal(primary, 'company', who, what)) for who, what in GO_ON]
tap.eq([(what, text[:200]) for what, text in said if text], [], 'with a publication of all tables, facts are recorded, changes approved and journeys refreshed as ever')
primary.run('postgres', 'CREATE DATABASE subscriber;')
primary.run('subscriber', lived.CREATE)
for year in primary.run('company', "SELECT substring(inhrelid::regclass::text FROM '\\d+$') FROM pg_inherits WHERE inhparent = 'revacct_data.event'::regclass ORDER BY 1;"):
    primary.run('subscriber', 'SELECT revacct._make_partition(%s);' % year)
primary.run('company', 'DROP PUBLICATION everything;\nCREATE PUBLICATION ours FOR TABLES IN SCHEMA revacct_data;')
# within one cluster CREATE SUBSCRIPTION would wait for itself
primary.run('company', "SELECT pg_create_logical_replication_slot('subscriber', 'pgoutput');")
primary.run('subscriber', "CREATE SUBSCRIPTION ours CONNECTION 'host=%s port=%s user=postgres dbname=company' PUBLICATION ours WITH (slot_name = 'subscriber', create_slot = false, binary = true);" % (primary.environment['PGHOST'], primary.environment['PGPORT']))


def synchronized():
    if primary.value('subscriber', "SELECT count(*) FILTER (WHERE srsubstate <> 'r') || ' ' || (count(*) > 40) FROM pg_subscription_rel;") != '0 true':
        return False
    return primary.value('company', "SELECT bool_and(confirmed_flush_lsn >= '%s') FROM pg_replication_slots WHERE slot_name = 'subscriber';" % written) == 't'


written = primary.value('postgres', 'SELECT pg_current_wal_flush_lsn();')
try:
    wait_for(synchronized, 'the subscriber has everything', 90)
    do(primary, 'company', 'lou', "UPDATE crm.progress SET batch = 3; SELECT count(*) FROM load('crm'); SELECT count(*) FROM refresh(false, '0');")
    do(primary, 'company', 'ana', "SELECT draft_change('Shorter') AS change \\gset\nSELECT define_sla('speed', '{Zürich}', '{won}', target => '30 hours', lifecycle => 'deals', calendar => 'office', change => :change);\nSELECT propose_change(:change);")
    do(primary, 'company', 'cleo', "SELECT approve(change_no) FROM awaiting_my_signoff WHERE rationale = 'Shorter';")
    written = primary.value('postgres', 'SELECT pg_current_wal_flush_lsn();')
    wait_for(synchronized, 'the subscriber follows', 60)
    lived.compare(tap, lived.answers(primary, 'subscriber'), lived.answers(primary, 'company'), 'a subscriber that has the extension and the years reads the same')
except (RuntimeError, SqlError) as failed:
    tap.ok(False, 'a subscriber that has the extension and the years reads the same', failed, *[line for line in primary.log().split('\n') if 'ERROR' in line][-5:])
primary.run('subscriber', 'ALTER SUBSCRIPTION ours DISABLE;\nALTER SUBSCRIPTION ours SET (slot_name = NONE);\nDROP SUBSCRIPTION ours;')
wait_for(lambda: primary.value('postgres', "SELECT count(*) FROM pg_replication_slots WHERE active AND slot_name = 'subscriber';") == '0', 'nobody reads the slot')
primary.run('company', "SELECT pg_drop_replication_slot('subscriber');\nDROP PUBLICATION ours;")

# ---- promoted ----------------------------------------------------------------------------------------------------------------------------------------------------

standby.catch_up(primary)
expected = lived.answers(primary, 'company')
standby.promote()
tap.eq(standby.value('company', 'SELECT pg_is_in_recovery();'), 'f', 'promoted')
lived.compare(tap, lived.answers(standby, 'company'), expected, 'it has all that the primary had')
both = []
for server in (primary, standby):
    did = do(server, 'company', 'lou', "INSERT INTO crm.raw SELECT subject_kind, subject_key || '!', event, occurred_at + interval '3 years', source_key || '!', lifecycle, stage, field, code, party, amount, currency, NULL, 3 FROM crm.raw WHERE corrects IS NULL AND source_key LIKE '%1/%';"
                                       "SELECT fact, loaded > 0, rejected FROM load('crm'); SELECT step FROM refresh(false, '0');")
    do(server, 'company', 'ana', "SELECT draft_change('After') AS change \\gset\nSELECT define_lifecycle('deals', within => '300 days', calendar => 'office', change => :change);\nSELECT propose_change(:change);")
    do(server, 'company', 'cleo', "SELECT approve(change_no) FROM awaiting_my_signoff WHERE rationale = 'After';")
    do(server, 'company', 'lou', "SELECT count(*) FROM refresh(false, '0');")
    both.append((did, lived.answers(server, 'company')))
tap.eq(both[1][0], both[0][0], 'it loads and refreshes as the primary would')
lived.compare(tap, both[1][1], both[0][1], 'with the same numbers')
tap.ok(both[0][1]['journeys'] != expected['journeys'] and both[0][1]['definitions'] != expected['definitions'], 'which are new ones')
tap.eq(both[1][1]['checked'].strip(), '', 'and check_journeys() finds nothing')
tap.ok(not any(word in server.log() for server in (primary, standby) for word in ('PANIC', 'terminated by signal')), 'neither server crashed')
tap.done()
