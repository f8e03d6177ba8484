"""What the tests of this folder share: a cluster of their own, a life that a database of revacct has lived, what is to be read of it afterwards, and what is in the catalogs."""
import os
import re
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'crash'))
import cluster                                                              # noqa: E402
from cluster import Cluster, Session, SqlError, wait_for                    # noqa: E402,F401
from harness import Tap, literal                                            # noqa: E402,F401

PEOPLE = {'ana': 'steward', 'cleo': 'council', 'lou': 'loader', 'lab': 'analyst', 'bill': 'reader'}
CREATE = 'CREATE EXTENSION revacct CASCADE;'

# Names that locales order and change case of in ways of their own.
WORLDLY = dict(stages=['Zürich', 'ilk', 'İlk', 'IŁK'], codes=['_x', 'a b', 'a-b', 'ab', 'Ab', 'äb', 'ßs'], parties=['B', 'a', 'Ä', 'I', 'ı', 'i', 'Å', 'z', 'ö', '-a', 'a b'], letter='Ø')
PLAIN = dict(stages=['Zurich', 'ilk', 'Ilk', 'ILK'], codes=['_x', 'a b', 'a-b', 'ab', 'Ab', 'AB', 'ss'], parties=['B', 'a', 'A', 'I', 'II', 'i', 'aa', 'z', 'o', '-a', 'a b'], letter='O')


def array(names):
    return "'{%s}'::text[]" % ', '.join('"%s"' % name for name in names)


def do(server, database, who, statements):
    """As somebody who logs in; the output's lines. None: whoever the cluster belongs to."""
    environment = dict(server.environment, PGUSER=who) if who else server.environment
    return cluster.psql(environment, database, 'SET search_path = public, revacct;\n' + statements)


def refusal(server, database, who, statements):
    """What the server says against it, on one line and beginning with its code; nothing if it does not mind."""
    try:
        do(server, database, who, statements)
    except SqlError as refused:
        return ' '.join(str(refused).split('ERROR:  ', 1)[-1].split())
    return ''


def make_people(server):
    server.run('postgres', ''.join('CREATE ROLE %s LOGIN;' % who for who in PEOPLE))


def live(server, database, administrator=None, names=WORLDLY):
    """Roles get access; a model is agreed on; facts are mapped, loaded, corrected, and recorded one by one, in several years; journeys and figures are made; figures are published, escalations raised."""
    do(server, database, administrator, ''.join('SELECT grant_access(%s, %s);' % (literal(level), literal(who)) for who, level in PEOPLE.items()))
    do(server, database, 'ana', """
        -- the others are first heard of in facts
        SELECT register_party(p, 'person') FROM unnest((%(parties)s)[1:2]) AS p;
        SELECT draft_change('As it is', '2023-01-01', retroactive => true);
        SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}', known_until => '2100-01-01');
        SELECT define_lifecycle('deals', calendar => 'office'), define_stage('deals', 'won', 90, 'won'), define_stage('deals', 'lost', 91, 'lost');
        SELECT define_stage('deals', s, n::int * 10) FROM unnest(%(stages)s) WITH ORDINALITY AS s (s, n);
        SELECT define_code('segment', c), define_code('lead_source', c) FROM unnest((%(codes)s)[1:2]) AS c;
        SELECT define_sla('speed', ARRAY[(%(stages)s)[1]], '{won}', target => '80 hours', lifecycle => 'deals', calendar => 'office');
        SELECT define_metric('win rate', 'x', basis => 'cohort', lifecycle => 'deals', at_stage => (%(stages)s)[1], to_stage => 'won'), assign((%(parties)s)[1], 'accountable', 'metric', 'win rate');
        SELECT propose_change();""" % dict(parties=array(names['parties']), stages=array(names['stages']), codes=array(names['codes'])))
    do(server, database, 'cleo', "SELECT approve(1), set_minimum_group(2);")
    do(server, database, None, """
        CREATE SCHEMA crm AUTHORIZATION lou;
        CREATE TABLE crm.progress AS SELECT 1 AS batch;
        CREATE TABLE crm.raw AS
        SELECT 'opportunity' AS subject_kind, (%(parties)s)[1 + n %% 11] || ' ' || %(letter)s || n AS subject_key, e.event, timestamptz '2023-01-02 10:00+00' + n * interval '9 days' + e.no * interval '5 days' AS occurred_at, n || '/' || e.no AS source_key,
               CASE WHEN e.stage IS NOT NULL THEN 'deals' END AS lifecycle, e.stage, e.field, e.code, e.party, e.amount, CASE WHEN e.amount IS NOT NULL THEN 'EUR' END AS currency, NULL::text AS corrects, 1 + n %% 3 AS batch
        FROM generate_series(1, 90) AS n, LATERAL (VALUES
            (1, 'stage_entered', (%(stages)s)[1], NULL, NULL, NULL, NULL::numeric), (2, 'stage_entered', (%(stages)s)[2 + n %% 3], NULL, NULL, NULL, NULL), (3, 'stage_entered', CASE n %% 3 WHEN 0 THEN 'won' WHEN 1 THEN 'lost' ELSE (%(stages)s)[4] END, NULL, NULL, NULL, NULL),
            (4, 'field_set', NULL, 'segment', (%(codes)s)[1 + n %% 7], NULL, NULL), (5, 'field_set', NULL, 'lead_source', (%(codes)s)[1 + n / 30], NULL, NULL), (6, 'assigned', NULL, NULL, NULL, (%(parties)s)[1 + n %% 5], NULL), (7, 'field_set', NULL, 'amount', NULL, NULL, n * 10.5)) AS e (no, event, stage, field, code, party, amount);
        INSERT INTO crm.raw SELECT subject_kind, subject_key, 'retracted', occurred_at, source_key || '/x', NULL, NULL, NULL, NULL, NULL, NULL, NULL, source_key, batch FROM crm.raw WHERE source_key LIKE '%%0/2';
        CREATE VIEW crm.events AS SELECT r.* FROM crm.raw AS r, crm.progress AS p WHERE r.batch <= p.batch;
        CREATE VIEW crm.links AS SELECT 'opportunity'::text AS from_kind, a.subject_key AS from_key, 'opportunity'::text AS to_kind, b.subject_key AS to_key, 'same_as'::text AS role
                                 FROM crm.raw AS a, crm.raw AS b WHERE a.source_key = '6/1' AND b.source_key = '66/1';
        ALTER TABLE crm.raw OWNER TO lou; ALTER TABLE crm.progress OWNER TO lou; ALTER VIEW crm.events OWNER TO lou; ALTER VIEW crm.links OWNER TO lou;
        """ % dict(parties=array(names['parties']), stages=array(names['stages']), codes=array(names['codes']), letter=literal(names['letter'])))
    do(server, database, 'lou', """
        SELECT map_source('crm', events => 'crm.events', links => 'crm.links');
        SELECT count(*) FROM load('crm'); SELECT count(*) FROM refresh(false);
        UPDATE crm.progress SET batch = 2;
        SELECT count(*) FROM load('crm');
        SELECT record_event('by hand', 'opportunity', 'X', 'stage_entered', '2022-12-31 23:59:59.999999+00', lifecycle => 'deals', stage => 'won', source_key => 'x');
        SELECT record_money('by hand', 'one_time', '2024-01-01', 5, 'EUR', source_key => 'm'), record_commitment('by hand', 'promise', 'to call', 'a', source_key => 'c');
        SELECT count(*) FROM refresh(false);""")
    do(server, database, 'ana', "SELECT publish('win rate', '[2023-01-01,2024-01-01)');")
    do(server, database, administrator, """
        SELECT count(*) FROM journeys() AS j, raise_escalations(j.subject_id::text, j.journey, sla('hand over', start => '{first}', stop => '{never}', target => '1 day', escalations => '{breach to owner}'), '2030-01-01');""")


# name → query; each gives the same wherever the same was lived, whatever numbers subjects got and when it was
ANSWERS = {
    'numbers of names': 'SELECT kind, key, number FROM revacct_data.numbering',
    'numbers of parties': 'SELECT party, party_no FROM revacct_data.party',
    'events': "SELECT s.subject_key, e.occurred_at, e.mark, e.value, e.seq, e.source_key, e.code_no, e.party_no, e.amount, e.corrects, e.tableoid::regclass FROM revacct_data.event AS e JOIN revacct_data.subject AS s USING (subject_id)",
    'journeys': "SELECT s.subject_key, encode(journey_send(j.journey), 'hex') FROM journeys() AS j JOIN revacct_data.subject AS s USING (subject_id)",
    'packs': "SELECT c.lifecycle, c.period_start, c.segment_no, c.lead_source_no, c.owner_no, c.currency, s.subject_key, encode(journey_send(u.journey), 'hex') FROM revacct_data.pack AS p JOIN revacct_data.cell AS c USING (cell_id), unpack(p.pack) AS u JOIN revacct_data.subject AS s ON s.subject_id = u.subject::bigint",
    'definitions': "SELECT lifecycle('deals'), encode(lifecycle_send(lifecycle('deals')), 'hex'), fingerprint(sla('speed')), encode(sla_send(sla('speed')), 'hex'), fingerprint(business_calendar('office'))",
    'explanations': "SELECT e.kind, e.name, e.terms, e.version_no, e.rationale FROM explain_definition(lifecycle('deals')) AS e UNION ALL SELECT e.kind, e.name, e.terms, e.version_no, e.rationale FROM explain_definition(sla('speed')) AS e",
    'funnel_of': "SELECT encode(funnel_summary_send(funnel), 'hex') FROM funnel_of('deals', as_of => '2026-01-01 00:00+00')",
    'velocity_of': "SELECT encode(velocity_summary_send(velocity), 'hex') FROM velocity_of('deals', as_of => '2026-01-01 00:00+00')",
    'breaches_of': "SELECT encode(breach_summary_send(breaches), 'hex') FROM breaches_of('speed', as_of => '2026-01-01 00:00+00')",
    'the ledger folded': "SELECT encode(funnel_summary_send(funnel), 'hex') FROM funnel_of('deals', as_of => '2026-01-01 00:00+00', known_at => 'infinity')",
    'funnel': 'SELECT period, segment, lead_source, owner, currency, stage_no, stage, entered, imputed, converted, lost, in_progress, amount_entered, amount_converted, definition_fingerprint FROM funnel',
    'stage_velocity': 'SELECT period, segment, lead_source, owner, currency, stage_no, stage, visits, won, lost, median_days FROM stage_velocity',
    'sla_results': 'SELECT period, segment, lead_source, owner, currency, policy, started, met, breached FROM sla_results',
    'glossary': 'SELECT kind, name, terms FROM glossary',
    'published': 'SELECT metric, value, numerator, denominator, low, high, definition_fingerprint FROM published_figures',
    'verified': 'SELECT published_no, identical_count, problem FROM verify_published()',
    'checked': 'SELECT * FROM check_journeys()',
}


def answers(server, database, user=None):
    said = '\n'.join(do(server, database, user, ''.join('SELECT t FROM (%s) AS t ORDER BY t::text COLLATE "C";\n\\echo -- end --\n' % query for query in ANSWERS.values()))).split('-- end --')
    return dict(zip(ANSWERS, said))


def compare(tap, got, wanted, what):
    """One line of TAP for all of them; diagnostics for those that differ."""
    wrong = []
    for name in wanted:
        if got.get(name) != wanted[name]:
            a, b = got.get(name, '').split('\n'), wanted[name].split('\n')
            wrong.append('%s: %d lines for %d; %r' % (name, len(a), len(b), [line[:200] for line in a if line not in b][:3] + [line[:200] for line in b if line not in a][:3]))
    return tap.ok(not wrong and len(wanted) > 1, '%s (%d questions)' % (what, len(wanted)), *wrong)


# Whatever the catalogs hold: every row of every catalog, shared ones included, but for what the server itself keeps up to date, and the schemas that it makes for temporary tables and keeps.
UNSTEADY = {'pg_class': ['relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'relfrozenxid', 'relminmxid'], 'pg_database': ['datfrozenxid', 'datminmxid']}


def catalogs(server, database):
    # who has just left takes temporary tables along, when it is gone
    wait_for(lambda: server.value(database, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid();") == '0', 'all have left')
    tables = server.run(database, "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind = 'r' AND relname <> 'pg_statistic' ORDER BY relname;")
    found = set()
    for line in server.run(database, ''.join("SELECT %s, to_jsonb(t) %s FROM %s AS t;\n" % (literal(table), ''.join(' - ' + literal(column) for column in UNSTEADY.get(table, [])), table) for table in tables)):
        if not re.match(r'pg_namespace.*"nspname": "pg_(toast_)?temp_', line):
            found.add(line)
    return found
