#!/usr/bin/env python3
"""Scale-out with stock PostgreSQL: three instances hold the shards of partitioned tables, the server under test coordinates them over postgres_fdw.

The two-step query of docs/distributed.md, rollup() over GROUP BY shard, must send its aggregates to the shards, so that one row a shard travels, and give what one
node gives, to the byte: for every aggregate, over journeys, packs, summaries and events. Definitions and times travel as text; the instances differ in
every setting that could change how a text is written or read. What is merged against the rules, and what fails on a shard, is an error and never a number.

SEED repeats a run, SCALE multiplies its size.
"""
import json
import os
import random
import re
import sys
import types

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ('crash', 'property'):
    sys.path.insert(0, os.path.join(os.path.dirname(HERE), folder))
import common                                                             # noqa: E402
import journeys                                                           # noqa: E402
from cluster import Cluster, Session, SqlError, once, psql, wait_for      # noqa: E402
from common import quote, scaled, sql_lifecycle, sql_timestamp            # noqa: E402

rng = random.Random(common.SEED)
tap = common.Tap()
DATABASE = os.environ['PGDATABASE']
SUBJECTS = scaled(2400)

# ---- the instances ------------------------------------------------------------------------------------------------------------------------------------

# which shards an instance holds, and how it likes to write
INSTANCES = [
    ((1, 2), ['datestyle=SQL, DMY', 'intervalstyle=sql_standard', 'timezone=Asia/Kathmandu', 'extra_float_digits=-5', 'bytea_output=escape']),
    ((3,), ['datestyle=German', 'intervalstyle=iso_8601', 'timezone=America/St_Johns', 'extra_float_digits=0']),
    ((4,), ['datestyle=Postgres, MDY', 'intervalstyle=postgres_verbose', 'timezone=Australia/Lord_Howe', 'standard_conforming_strings=off', 'backslash_quote=on']),
]
SHARDS = [shard for shards, _ in INSTANCES for shard in shards]
COORDINATOR = ("SET datestyle = 'ISO, DMY'; SET intervalstyle = iso_8601; SET timezone = 'America/New_York'; SET extra_float_digits = -3; SET bytea_output = escape;\n"
               'SET search_path = public, revacct; SET client_min_messages = warning; SET jit = off; SET enable_partitionwise_aggregate = on;\n')
# postgres_fdw prints the constants of a select list in the session's date style, and the instance may read 02/03 otherwise: where the style is not ISO, times go as parameters.
ODD = COORDINATOR + "SET datestyle = 'SQL, DMY'; SET timezone = 'Asia/Kolkata'; SET intervalstyle = sql_standard;\n"
PLAIN = 'SET search_path = public, revacct; SET client_min_messages = warning; SET timezone = UTC; SET jit = off;\n'
here = types.SimpleNamespace(environment=dict(os.environ, PGCLIENTENCODING='UTF8'))
nodes = [Cluster('shared_buffers=32MB', *settings) for _, settings in INSTANCES]


def coordinate(statements):
    """In a session of its own, for what may fail."""
    return psql(here.environment, DATABASE, COORDINATOR + statements)


def refused(query):
    """The SQLSTATE with which a query ends without a row; else what came."""
    done = once(here.environment, DATABASE, COORDINATOR + query)
    found = re.match(r'(?:psql:\S+ )?ERROR:  ([0-9A-Z]{5})', done.stderr)
    return found.group(1) if found and done.returncode and not done.stdout else done.stdout + done.stderr


COLUMNS = {
    'lead': 'shard int, subject bigint, account text, segment text, amount numeric, journey journey',
    'event': 'shard int, subject bigint, account text, mark int, at timestamptz, value bigint, seq bigint',
    'pack': 'shard int, segment text, pack journey_pack',
    'summary': 'shard int, segment text, funnel funnel_summary, velocity velocity_summary, breaches breach_summary',
    'definition': 'shard int, name text, life lifecycle, agreed sla, hours business_calendar',
    # events at random, of one subject here and there
    'scattered': 'shard int, subject bigint, mark int, at timestamptz, value bigint, seq bigint',
}
for node in nodes:
    node.run('postgres', 'CREATE DATABASE sales;')
    node.run('sales', 'SET client_min_messages = warning; CREATE EXTENSION revacct CASCADE; SET search_path = public, revacct;\n'
             + ''.join('CREATE TABLE %s (%s);\n' % table for table in COLUMNS.items()))
SERVERS = ''.join("""
CREATE SERVER node_%d FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host '%s', port '%s', dbname 'sales', extensions 'revacct', async_capable 'true', fdw_tuple_cost '100', batch_size '500');
CREATE USER MAPPING FOR CURRENT_USER SERVER node_%d OPTIONS (user 'postgres');""" % (n, node.environment['PGHOST'], node.environment['PGPORT'], n) for n, node in enumerate(nodes))


def foreign(table):
    return ''.join("CREATE FOREIGN TABLE %s_on_%d PARTITION OF %s FOR VALUES IN (%s) SERVER node_%d OPTIONS (table_name '%s');\n" % (table, n, table, ', '.join(map(str, shards)), n, table)
                   for n, (shards, _) in enumerate(INSTANCES))


coordinate('CREATE EXTENSION postgres_fdw;' + SERVERS
           + ''.join('CREATE TABLE one_%s (%s); CREATE TABLE %s (%s) PARTITION BY LIST (shard);\n' % (table, columns, table, columns) for table, columns in COLUMNS.items())
           + ''.join(map(foreign, COLUMNS)))

# ---- definitions and histories ------------------------------------------------------------------------------------------------------------------------

# The random worlds have names with quotes, commas and accents, windows in months, days and microseconds, ranges and time zones.
worlds = []
while len(worlds) < 6:
    world = common.World(rng, 'velocity' if len(worlds) % 2 else 'funnel')
    if world.life.steps >= 3:
        worlds.append(world)
FUNNELS, VELOCITIES = worlds[0::2], worlds[1::2]
HOURS = r"""business_calendar('Büro "Süd" \ Nord', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:30, sat 22:00-02:00}', holidays => '{2024-05-01, 2024-12-25, 2025-01-01}', shifts => '{2024-12-24 09:00-12:00}',
    known_until => '2026-12-31')"""
BUSINESS = "lifecycle('by hours', stages => '{one,two,three}', lost => '{four}', within => '1 mon 3 days 04:05:06.789', time_zone => 'Asia/Kathmandu', entry_range => '[2000-01-01 00:00+02,)', calendar => %s)" % HOURS
POLICY = ("sla('answer \"it\"', start => '{one}', stop => '{three}', pause => '{two}', resume => '{four}', marks => '{one=1, two=2, three=3, four=4}', calendar => %s, warnings => '{0.5, 0.85}', "
          "escalations => '{breach + 90 minutes to team lead}', phases => '{waiting until two, rest}', target => interval '%s', valid => tstzrange(%s, %s), version => '%s')")
SLA = 'sla(ARRAY[%s, %s])' % (POLICY % (HOURS, '5 hours 30 minutes', 'NULL', "'2024-06-30 22:00+00'", 'old'), POLICY % (HOURS, '01:00:00.000001', "'2024-06-30 22:00+00'", 'NULL', 'new'))
AS_OF = "timestamptz '2026-10-25 01:30:00.000001+00'"
DEFINITIONS = ([(world.life.given['name'] + str(n), sql_lifecycle(world.life), 'NULL', 'NULL') for n, world in enumerate(worlds)] + [('business', BUSINESS, SLA, HOURS)])

lead = []
events = []
for subject in range(SUBJECTS):
    account = rng.choice(('Zoë & Söhne %d', "O'Hara %d", 'acme\\%d', '%d')) % subject
    # A hash of the subject would do; one segment is known to one shard alone.
    shard = rng.choice((1, 1, 1, 2, 3, 3, 4))
    segment = 'rare' if shard == 4 and rng.random() < 0.02 else rng.choice(('large', 'medium', 'small'))
    lead.append((shard, subject, account, segment, None if rng.random() < 0.1 else '%.4f' % rng.uniform(0, 10 ** rng.randrange(7))))
    events.extend((shard, subject, account, m.mark, journeys.sql_time(m.at), m.value, m.seq) for m in worlds[subject % len(worlds)].history(10))
session = common.Session()
session.run('CREATE TEMP TABLE new_lead (shard int, subject bigint, account text, segment text, amount numeric)')
session.load('new_lead', lead)
session.load('one_event', events)
session.run('INSERT INTO one_lead SELECT l.shard, l.subject, l.account, l.segment, l.amount, journey(e.mark, e.at, e.value, e.seq) '
            'FROM new_lead AS l LEFT JOIN one_event AS e USING (subject) GROUP BY 1, 2, 3, 4, 5')
session.run('INSERT INTO one_pack SELECT shard, segment, journey_pack(account, journey) FROM one_lead GROUP BY 1, 2, subject % 5')
session.run('INSERT INTO one_summary SELECT shard, segment, funnel_conversion(journey, {f}, {as_of}, amount), stage_velocity(journey, {v}, {as_of}), sla_breach(journey, {s}, {as_of}) '
            'FROM one_lead GROUP BY 1, 2, subject % 7'.format(f=sql_lifecycle(FUNNELS[0].life), v=BUSINESS, s=SLA, as_of=AS_OF))
session.run("INSERT INTO one_scattered SELECT (ARRAY[1, 2, 3, 4])[1 + abs(hashtext(at::text || mark)) % 4], subject, mark, at, value, seq FROM one_event")
for shard in SHARDS:
    for name, life, agreed, hours in DEFINITIONS:
        session.run('INSERT INTO one_definition VALUES (%d, %s, %s, %s, %s)' % (shard, quote(name), life, agreed, hours))
session.run(''.join('ANALYZE one_%s;' % table for table in COLUMNS))
session.go()
# Everything goes to the shards through postgres_fdw, as text, from a session that writes texts its own way.
coordinate(''.join('INSERT INTO %s SELECT * FROM one_%s;\n' % (table, table) for table in COLUMNS))
for node in nodes:
    node.run('sales', 'ANALYZE;')
coordinate(''.join('ANALYZE %s_on_%d;' % (table, n) for table in COLUMNS for n in range(len(nodes))))
tap.note('%d subjects, %d events' % (len(lead), len(events)))

far, odd, near = [Session(here, DATABASE) for _ in range(3)]
far.run(COORDINATOR)
odd.run(ODD)
near.run(PLAIN)
counts = ['|'.join(node.run('sales', ''.join('SELECT count(*) FROM %s;' % table for table in COLUMNS))) for node in nodes]
tap.ok(all('|0|' not in '|%s|' % count for count in counts), 'every instance holds a part of every table', counts)
DIFFERENT = 'SELECT count(*) FROM ((SELECT t::text FROM {0} AS t EXCEPT ALL SELECT t::text FROM {1} AS t) UNION ALL (SELECT t::text FROM {1} AS t EXCEPT ALL SELECT t::text FROM {0} AS t)) AS d;'
tap.none([table for table in COLUMNS if far.run(DIFFERENT.format(table, 'one_' + table)) != ['0']],
         'journeys, packs, summaries and definitions come back as they went', len(COLUMNS))

# ---- one query, on one node and on all ----------------------------------------------------------------------------------------------------------------


def scans(query, session=far):
    """Of each foreign scan in the query's plan: what it sends, how many rows came, and whether it works while others do."""
    found = []

    def walk(plan):
        if plan['Node Type'] == 'Foreign Scan':
            found.append((plan['Remote SQL'], round(float(plan['Actual Rows']) * plan['Actual Loops']), plan['Async Capable']))
        for child in plan.get('Plans', ()):
            walk(child)
    walk(json.loads('\n'.join(session.run('EXPLAIN (ANALYZE, VERBOSE, COSTS OFF, TIMING OFF, SUMMARY OFF, FORMAT JSON) %s;' % query)))[0]['Plan'])
    return found


def not_shipped(found, sent, rows):
    """What is wrong: each instance shall get one query, with all of `sent` in it, while the others work on theirs; they answer with so many rows together."""
    wrong = ['%d scans' % len(found)] if len(found) != len(nodes) else []
    for sql, _, concurrent in found:
        wrong += ['%s is not in %s' % (text, sql[:900]) for text in sent if text not in sql] + (['not while others work: ' + sql[:200]] if not concurrent else [])
    travelled = sum(n for _, n, _ in found)
    return wrong + (['%d rows travelled, expected %d' % (travelled, rows)] if travelled != rows else [])


def bytes_of(query, type_='funnel_summary'):
    """Keys, texts and checksums of the bytes of the values v of a query."""
    return 'SELECT k, v::text, md5(%s_send(v)) FROM (%s) AS q ORDER BY k;' % (type_, query)


def both(name, type_, aggregate, table='lead', where='', by='0', sent=(), rollup=True):
    """The aggregate over a table on all instances, and over the same rows on one."""
    one = 'SELECT %s AS k, %s AS v FROM one_%s AS t %s GROUP BY 1' % (by, aggregate, table, where)
    all_ = 'SELECT shard, %s AS k, %s AS v FROM %s AS t %s GROUP BY shard%s' % (by, aggregate, table, where, '' if by == '0' else ', ' + by)
    all_ = 'SELECT k, rollup(v) AS v FROM (%s) AS s GROUP BY k' % all_ if rollup else 'SELECT k, v FROM (%s) AS s' % all_
    want, rows = near.run(bytes_of(one, type_)), int(near.run('SELECT count(*) FROM (SELECT DISTINCT shard, %s FROM one_%s AS t %s) AS q;' % (by, table, where))[0])
    wrong = not_shipped(scans(all_), ['revacct.%s(' % aggregate.split('(')[0], 'GROUP BY 1', *sent], rows)
    if far.run(bytes_of(all_, type_)) != want:
        wrong.append('another answer')
    as_parameters = re.sub(r"timestamptz '[^']*'", r'(SELECT \g<0>)', all_)
    wrong += not_shipped(scans(as_parameters, odd), [], rows)
    if odd.run(bytes_of(as_parameters, type_)) != want:
        wrong.append('another answer in another date style')
    if not want or any(line.endswith('|') for line in want):
        wrong.append('one node has no answer')
    tap.none(wrong, '%s: computed on the shards, and the same to the byte' % name)
    return all_


LIFE, WHEN = sql_lifecycle(FUNNELS[0].life), sql_timestamp(FUNNELS[0].as_of)
LITERAL, FUNNEL = "::revacct.lifecycle, '", 'funnel_conversion(journey, %s, %s)' % (LIFE, WHEN)
for n, world in enumerate(FUNNELS):
    both('funnel %d' % n, 'funnel_summary', 'funnel_conversion(journey, %s, %s)' % (sql_lifecycle(world.life), sql_timestamp(world.as_of)), sent=[LITERAL])
for n, world in enumerate(VELOCITIES):
    both('velocity %d' % n, 'velocity_summary', 'stage_velocity(journey, %s, %s)' % (sql_lifecycle(world.life), sql_timestamp(world.as_of)), sent=[LITERAL])
both('funnel with amounts', 'funnel_summary', 'funnel_conversion(journey, %s, %s, amount)' % (LIFE, WHEN), sent=[LITERAL, ', amount)'])
both('funnel by segment', 'funnel_summary', FUNNEL, by='segment')
both('funnel of packs', 'funnel_summary', 'funnel_conversion(pack, %s, %s)' % (LIFE, WHEN), 'pack')
both('velocity of packs, since a time', 'velocity_summary', 'stage_velocity(pack, %s, %s, timestamptz \'2023-03-04 05:06:07+00\')' % (BUSINESS, AS_OF), 'pack', by='segment')
both('velocity by business hours', 'velocity_summary', 'stage_velocity(journey, %s, %s)' % (BUSINESS, AS_OF), sent=[LITERAL])
both('SLA', 'breach_summary', 'sla_breach(journey, %s, %s)' % (SLA, AS_OF), sent=["::revacct.sla, '"])
both('SLA of packs, by segment', 'breach_summary', 'sla_breach(pack, %s, %s)' % (SLA, AS_OF), 'pack', by='segment')
for type_, column in ('funnel_summary', 'funnel'), ('velocity_summary', 'velocity'), ('breach_summary', 'breaches'):
    both('rollup of kept summaries: ' + column, type_, 'rollup(%s)' % column, 'summary')
both('journeys of events', 'journey', 'journey(mark, at, value, seq)', 'event', by='subject', rollup=False)
both('rollup of journeys', 'journey', 'rollup(journey)', by='segment')
both('packs of journeys, keys that are texts', 'journey_pack', 'journey_pack(account, journey)')
both('packs of events', 'journey_pack', 'journey_pack(subject, mark, at)', 'event')
both('rollup of packs', 'journey_pack', 'rollup(pack)', 'pack', by='segment')

# What is asked of the rows travels too, if it names no text of its own; an array from a table of the coordinator's goes as a parameter.
coordinate("CREATE TABLE region (segment text, region text); INSERT INTO region VALUES ('large', 'north'), ('rare', 'north'), ('small', 'south');")
both('rows of some segments', 'funnel_summary', FUNNEL,
     where="WHERE segment = ANY (ARRAY(SELECT segment FROM region WHERE region = 'north')) AND amount IS NOT NULL", sent=['segment = ANY ($1::text[])', 'amount IS NOT NULL'])
both('rows by what their journeys say', 'funnel_summary', FUNNEL, where="WHERE mark_count(journey) > 2 AND first_at(journey) >= '1999-12-31 12:00+05:45' AND entered(journey, %s) < %s" % (LIFE, WHEN),
     sent=['revacct.mark_count(journey) > 2', 'revacct.first_at(journey) >= ', 'revacct.entered(journey, '])
both('rows that a part of the shards has', 'funnel_summary', FUNNEL, where="WHERE segment = 'rare' OR shard = 2")

# ---- other ways to say it -----------------------------------------------------------------------------------------------------------------------------

def judge(name, query, want, sent, rows):
    tap.none(not_shipped(scans(query), ['revacct.funnel_conversion(', *sent], rows) + ([] if want and far.run(bytes_of(query)) == want else ['another answer']), name)


two_step = 'SELECT 0 AS k, rollup(v) AS v FROM (SELECT shard, %s AS v FROM lead GROUP BY shard) AS s'
want = near.run(bytes_of('SELECT 0 AS k, %s AS v FROM one_lead' % FUNNEL))
naive = 'SELECT 0 AS k, %s AS v FROM lead' % FUNNEL
pulled = scans(naive)
tap.ok(far.run(bytes_of(naive)) == want and sum(rows for _, rows, _ in pulled) == len(lead) and not any('funnel_conversion' in sql for sql, _, _ in pulled),
       'the aggregate alone pulls every row, and has the same answer', pulled)
judge('UNION ALL of the foreign tables is computed on the shards too',
      'SELECT 0 AS k, rollup(v) AS v FROM (%s) AS s' % ' UNION ALL '.join('SELECT %s AS v FROM lead_on_%d' % (FUNNEL, n) for n in range(len(nodes))),
      want, [], len(nodes))
coordinate('CREATE TABLE known AS SELECT %s AS life, %s AS until;' % (LIFE, WHEN))
judge('a definition from a table of the coordinator, in a sub-select, travels as a parameter', two_step % 'funnel_conversion(journey, (SELECT life FROM known), (SELECT until FROM known))',
      want, ['funnel_conversion(journey, $1::revacct.lifecycle, $2::timestamp with time zone)'], len(SHARDS))

far.run('PREPARE two_step (lifecycle, timestamptz) AS %s' % bytes_of(two_step % 'funnel_conversion(journey, $1, $2)'))
for mode, sent in ('force_generic_plan', '$1::revacct.lifecycle, $2::timestamp with time zone'), ('force_custom_plan', LITERAL):
    far.run('SET plan_cache_mode = %s;' % mode)
    call = 'EXECUTE two_step (%s, %s)' % (LIFE, WHEN)
    tap.none(not_shipped(scans(call), ['revacct.funnel_conversion(', sent], len(SHARDS)) + ([] if far.run(call + ';') == want else ['another answer']), 'a prepared statement, ' + mode)

by_segment = '(SELECT shard, segment, %s AS v FROM lead GROUP BY shard, segment) AS s' % FUNNEL
groups = int(near.run('SELECT count(*) FROM (SELECT DISTINCT shard, segment FROM one_lead) AS q;')[0])
judge('joined to a table of the coordinator after the shards have counted', 'SELECT r.region AS k, rollup(v) AS v FROM %s JOIN region AS r USING (segment) GROUP BY r.region' % by_segment,
      near.run(bytes_of('SELECT r.region AS k, %s AS v FROM one_lead JOIN region AS r USING (segment) GROUP BY r.region' % FUNNEL)), ['GROUP BY 1, 2'], groups)
judge('grouping sets over what the shards have counted', "SELECT coalesce(segment, 'all') AS k, rollup(v) AS v FROM %s GROUP BY GROUPING SETS ((segment), ())" % by_segment,
      near.run(bytes_of("SELECT coalesce(segment, 'all') AS k, %s AS v FROM one_lead GROUP BY GROUPING SETS ((segment), ())" % FUNNEL)), ['GROUP BY 1, 2'], groups)

# Events of a subject on several shards: journeys must be united first, packs do that.
of_pack = 'SELECT 0 AS k, funnel_conversion(p, ' + LIFE + ', ' + WHEN + ') AS v FROM (%s) AS q'
scattered = of_pack % 'SELECT rollup(p) AS p FROM (SELECT shard, journey_pack(subject, mark, at) AS p FROM scattered GROUP BY shard) AS s'
one = near.run(bytes_of(of_pack % 'SELECT journey_pack(subject, mark, at) AS p FROM one_event'))
tap.none(not_shipped(scans(scattered), ['revacct.journey_pack('], len(SHARDS)) + ([] if far.run(bytes_of(scattered)) == one else ['another answer']),
         'subjects on several shards: their packs are united before they are counted')

# ---- a definition that was agreed, named on the coordinator alone ----------------------------------------------------------------------------------------

STEWARD, COUNCIL = '%s_steward' % DATABASE, '%s_council' % DATABASE
near.run("""
CREATE ROLE {steward}; CREATE ROLE {council};
SELECT grant_access('steward', '{steward}'), grant_access('council', '{council}');
SET SESSION AUTHORIZATION {steward};
SELECT draft_change('Deals', effective_at => '2000-01-01', retroactive => true), define_lifecycle('deal', within => '40 days'),
       define_stage('deal', 'open', 10), define_stage('deal', 'offer', 20), define_stage('deal', 'won', 30, 'won');
SELECT propose_change();
SET SESSION AUTHORIZATION {council};
SELECT approve(1);
RESET SESSION AUTHORIZATION;
UPDATE one_event SET mark = mark('deal', (ARRAY['open', 'offer', 'won'])[1 + mark % 3]);""".format(steward=STEWARD, council=COUNCIL))
coordinate("""
TRUNCATE one_lead; INSERT INTO one_lead SELECT shard, subject, account, 'any', 1, journey(mark, at) FROM one_event GROUP BY 1, 2, 3;
DELETE FROM lead; INSERT INTO lead SELECT * FROM one_lead;""")
agreed = both('an agreed definition, named in a sub-select', 'funnel_summary',
              "funnel_conversion(journey, (SELECT lifecycle('deal')), %s)" % AS_OF, sent=['revacct.funnel_conversion(journey, $1::revacct.lifecycle, '])
tap.ok(int(far.run("SELECT converted(v, 'offer') FROM (%s) AS q;" % agreed)[0]) > 0, 'somebody has won under it')
near.run('DROP OWNED BY {0}, {1} CASCADE; DROP ROLE {0}, {1};'.format(STEWARD, COUNCIL))

# ---- what must not be merged ----------------------------------------------------------------------------------------------------------------------------

# Each instance counts by itself, under what it takes for the definition.
KEPT = """CREATE OR REPLACE VIEW kept AS
SELECT shard, revacct.funnel_conversion(journey, revacct.lifecycle('deals', stages => '{one, two}'%s), timestamptz '%s') AS v FROM lead GROUP BY shard;"""
AGREED, OLDER = ('', '2026-01-01 00:00+00'), (", within => '30 days'", '2026-01-01 00:00+00')
merged = 'SELECT 0 AS k, rollup(v) AS v FROM kept'
for node in nodes:
    node.run('sales', KEPT % AGREED)
coordinate('CREATE TABLE kept (shard int, v funnel_summary) PARTITION BY LIST (shard);' + foreign('kept'))
same = near.run(bytes_of("SELECT 0 AS k, funnel_conversion(journey, lifecycle('deals', stages => '{one, two}'), '2026-01-01 00:00+00') AS v FROM one_lead"))
tap.ok(coordinate(bytes_of(merged)) == same, 'what the instances counted by themselves merges, if they agree')
nodes[1].run('sales', KEPT % OLDER)
tap.ok(refused(bytes_of(merged)) == 'RV001', 'not with an instance whose definition is an older one', [refused(bytes_of(merged))])
tap.ok(coordinate('SELECT count(*), sum(subjects(v)) FROM (SELECT rollup(v) AS v FROM kept GROUP BY fingerprint(v)) AS q;') == ['2|' + near.run('SELECT count(*) FROM one_lead;')[0]], 'they may be told apart by fingerprint')
nodes[1].run('sales', KEPT % ('', '2026-01-01 00:00:00.000001+00'))
tap.ok(refused(bytes_of(merged)) == 'RV002', 'nor with one that counts as of another time')

# An instance of a later release, or a broken one: the foreign table takes any text for a summary.
for text, sqlstate, what in (r'\x7f0080', '0A000', 'of a later format'), (r'\x01', '22P03', 'cut off'), ('many', '22P02', 'that is none'):
    nodes[1].run('sales', "DROP VIEW kept; CREATE VIEW kept AS SELECT 3 AS shard, '%s'::text AS v;" % text)
    tap.ok(refused(bytes_of(merged)) == sqlstate, 'a summary %s is refused' % what, [refused(bytes_of(merged))])

# A database in another encoding: the names' bytes would differ.
nodes[0].run('postgres', "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0;")
nodes[0].run('latin', "SET client_min_messages = warning; CREATE EXTENSION revacct CASCADE; CREATE TABLE lead AS SELECT revacct.journey(1, timestamptz '2025-01-01') AS journey FROM generate_series(1, 9) AS n GROUP BY n;")
coordinate("""
CREATE SERVER latin FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '%s', port '%s', dbname 'latin', extensions 'revacct');
CREATE USER MAPPING FOR CURRENT_USER SERVER latin OPTIONS (user 'postgres');
CREATE FOREIGN TABLE latin_lead (journey journey) SERVER latin OPTIONS (table_name 'lead');
CREATE TABLE one_latin_lead AS SELECT journey FROM latin_lead;""" % (nodes[0].environment['PGHOST'], nodes[0].environment['PGPORT']))
latin = "SELECT 0 AS k, funnel_conversion(journey, lifecycle('deals', stages => '{%s, two}'), '2026-01-01 00:00+00') AS v FROM %s"
tap.ok(coordinate(bytes_of(latin % ('one', 'latin_lead'))) == near.run(bytes_of(latin % ('one', 'one_latin_lead'))), 'an instance in LATIN1: the same, while names are ASCII')
tap.ok(refused(bytes_of(latin % ('négociation', 'latin_lead'))) == '22P03', 'and refused when they are not', [refused(bytes_of(latin % ('négociation', 'latin_lead')))])

nodes[1].run('sales', 'DROP VIEW kept;' + KEPT % AGREED)

# ---- what fails -------------------------------------------------------------------------------------------------------------------------------------------

two_step = "SELECT 0 AS k, rollup(v) AS v FROM (SELECT shard, funnel_conversion(journey, lifecycle('deals', stages => '{one, two}'), '2026-01-01 00:00+00'%s) AS v FROM lead GROUP BY shard) AS s"
naive = "SELECT 0 AS k, funnel_conversion(journey, lifecycle('deals', stages => '{one, two}'), '2026-01-01 00:00+00') AS v FROM lead"
tap.ok(coordinate(bytes_of(two_step % '')) == same == coordinate(bytes_of(naive)), 'all is well')
nodes[2].run('sales', 'UPDATE lead SET amount = 0.00001 WHERE subject = (SELECT min(subject) FROM lead);')
tap.ok(refused(bytes_of(two_step % ', amount')) == '22023', 'what one row of one shard is refused for, the coordinator is told')

# ... and when an instance goes in the midst of a query
nodes[2].run('sales', 'ALTER TABLE lead RENAME TO all_leads; CREATE VIEW lead AS SELECT l.* FROM all_leads AS l, pg_sleep(600);')
victim = Session(here, DATABASE)
victim.run(COORDINATOR)
victim.send(bytes_of(two_step % ''))
BUSY = "SELECT pid FROM pg_stat_activity WHERE application_name = 'postgres_fdw' AND wait_event = 'PgSleep';"
wait_for(lambda: nodes[2].run('postgres', BUSY), 'the instance works on its part')
nodes[2].script('as_server "$scratch/pg_ctl" -D "$scratch/data" -m immediate -s stop')
try:
    tap.ok(False, 'an instance that goes away in the midst ends the query, without a number', victim.answer())
except SqlError as error:
    tap.ok('ERROR:  ' in str(error) and not re.search(r'^0\|', str(error), re.M), 'an instance that goes away in the midst ends the query, without a number', [error])
victim.close()
for name, query in ('two-step query', two_step % ''), ('aggregate alone', naive), ('kept summaries', merged):
    tap.ok(refused(bytes_of(query)) == '08001', 'while it is down there is no number: ' + name, [refused(bytes_of(query))])
nodes[2].start()
nodes[2].run('sales', 'DROP VIEW lead; ALTER TABLE all_leads RENAME TO lead;')
tap.ok(coordinate(bytes_of(two_step % '')) == same, 'and when it is back, the same as before')
for session in far, odd, near:
    session.close()
tap.done()
