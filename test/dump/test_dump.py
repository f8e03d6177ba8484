#!/usr/bin/env python3
"""A database with values of every type and raised escalations, dumped and restored: everything is there, once, to the byte, and DROP
EXTENSION leaves nothing. As a superuser, plain and custom, as the owner of a database who is none, and from one to the other."""
import atexit
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8', PGTZ='UTC', PGOPTIONS='-c client_min_messages=warning')
import harness

SOURCE = os.environ['PGDATABASE']
OWNER, READER = ('revacct_dump_%s_%d' % (role, os.getpid()) for role in ('owner', 'reader'))
tap = harness.Tap()
databases = []


def run(*command, text=None):
    """Output of a command; what it says on stderr too when it fails."""
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
    if done.returncode:
        raise RuntimeError('%s: %s' % (' '.join(command), done.stderr.strip()))
    return done.stdout


def psql(database, script, user=None):
    return run('psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', database, *(['-U', user] if user else []),
               text='SET search_path = public, revacct;\n' + script)


def new_database(suffix, owner=None, template='template0'):
    name = '%s_%s' % (SOURCE, suffix)
    databases.append(name)
    psql('postgres', 'CREATE DATABASE %s TEMPLATE %s %s' % (name, template, 'OWNER ' + owner if owner else ''))
    return name


@atexit.register
def clean_up():
    for name in databases:
        psql('postgres', 'DROP DATABASE IF EXISTS %s WITH (FORCE)' % name)
    psql('postgres', 'DROP ROLE IF EXISTS %s; DROP ROLE IF EXISTS %s' % (READER, OWNER))


def plain_dump(database, *options):
    text = run('pg_dump', '-d', database, *options)
    # since the minor releases of August 2025 a dump has a key of its own
    return re.sub(r'^\\(un)?restrict .*\n', '', text, flags=re.M)


def restore(text, suffix, owner=None):
    database = new_database(suffix, owner)
    run('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, *(['-U', owner] if owner else []), text=text)
    return database


def restore_custom(source, suffix):
    database = new_database(suffix)
    archive = subprocess.run(['pg_dump', '-Fc', '-d', source], stdout=subprocess.PIPE, check=True).stdout
    done = subprocess.run(['pg_restore', '--exit-on-error', '-d', database], input=archive, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError('pg_restore: ' + done.stderr.decode())
    return database


# ---- what is dumped ---------------------------------------------------------------------------------------------------

TYPES = {
    'business_calendar': 'c', 'lifecycle': 'l', 'journey': 'j', 'journey_pack': 'p', 'funnel_summary': 'f', 'velocity_summary': 'v',
    'sla': 's', 'breach_summary': 'b'}
FINGERPRINTED = 'clfvsb'

VALUES = r"""
CREATE FUNCTION office() RETURNS business_calendar LANGUAGE SQL IMMUTABLE AS $$
    SELECT business_calendar('office; "north"', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 22:00-02:00}',
                             shifts => '{2025-12-24 09:00-12:00}', breaks => '{2025-06-02 14:00-16:00}', holidays => '{2025-12-25}') $$;
CREATE FUNCTION support(steps text[], name text DEFAULT 'support') RETURNS sla LANGUAGE SQL IMMUTABLE AS $$
    SELECT sla($2, start => '{created}', stop => '{replied}', pause => '{waiting}', resume => '{answered}', reset => '{reset}', segment => '{tier}',
               owner => '{team}', promise => '{promised}', target => '8 hours', escalations => $1, phases => '{first until waiting, second}') $$;

CREATE TABLE kept (id int PRIMARY KEY, c business_calendar, l lifecycle, j journey, p journey_pack, f funnel_summary, v velocity_summary, s sla, b breach_summary,
                   agreed text GENERATED ALWAYS AS (fingerprint(s)) STORED, UNIQUE (j),
                   CHECK (sla_name(s) <> 'forbidden'));
-- one row with all, built from plain definitions; one with none; one with what is large, old, odd or has many parts
INSERT INTO kept
SELECT 1, office(), l, j, p, f, v, s, b
FROM (SELECT lifecycle('deals', stages => '{lead, "two words"}', won => 'won', lost => '{lost}', within => '30 days', calendar => office()) AS l, support('{50% to owner, "breach + 4 hours to \"x\""}') AS s) d,
     LATERAL (SELECT journey(m, '2025-01-01'::timestamptz + m * interval '5 hours', m - 2, m) AS j FROM generate_series(1, 4) m) j,
     LATERAL (SELECT journey_pack(subject, j) AS p FROM unnest('{7, x, Ünï, "a\\b"}'::text[]) subject) p,
     LATERAL (SELECT funnel_conversion(t.j, t.l, '2025-02-01', 12.34) AS f, stage_velocity(t.j, t.l, '2025-02-01', '2024-12-01') AS v, sla_breach(t.j, t.s, '2025-02-01') AS b FROM (SELECT j, l, s) t) s;
INSERT INTO kept (id) VALUES (2);
INSERT INTO kept
SELECT 3, calendar_union(office(), calendar_intersection(office(), business_calendar('never', 'Asia/Kathmandu', '{}', known_until => 'infinity'))), l, j, p, f, v, s, b
FROM (SELECT lifecycle('many', stages => array_agg('s' || i ORDER BY i), skip => 'strict') AS l FROM generate_series(1, 40) i) l,
     (SELECT sla(array_agg(sla('parts', start => '{a}', stop => '{b}', segment => '{c}', owner => '{d}', reopen => 'restart', target => i * interval '1 hour', version => E'v\t' || i,
                               valid => CASE WHEN i > 1 THEN tstzrange('2025-01-01', NULL) END, segments => CASE WHEN i > 1 THEN ARRAY[i::bigint] END,
                               calendar => CASE WHEN i > 2 THEN office() END))) AS s FROM generate_series(1, 30) i) s,
     (SELECT journey(1 + i % 3, '0044-03-15 12:00:00.000001+00 BC'::timestamptz + i * interval '1 minute') AS j FROM generate_series(1, 30000) i) j,
     LATERAL (SELECT journey_pack(i, 1 + i % 3, '2025-01-01'::timestamptz + ((i * 7919) % 100000) * interval '1 minute') AS p FROM generate_series(1, 2000) i) p,
     LATERAL (SELECT funnel_conversion(t.p, t.l, '2026-01-01') AS f FROM (SELECT p, l) t) f,
     LATERAL (SELECT stage_velocity(j, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01') AS v
              FROM (SELECT journey(m, '2000-01-01'::timestamptz + CASE WHEN m = 2 THEN i * interval '1 day 00:00:07.123457' ELSE '0' END) AS j FROM generate_series(1, 5000) i, generate_series(1, 2) m GROUP BY i) t) v,
     LATERAL (SELECT sla_breach(journey, s, '2026-01-01') AS b FROM unpack(p)) b;
CREATE INDEX ON kept USING hash (s);
CREATE INDEX ON kept (fingerprint(l));

CREATE TABLE ticket (subject text PRIMARY KEY, team int DEFAULT 1, journey journey NOT NULL DEFAULT '{1@2025-03-03T09:00:00Z}', agreed sla NOT NULL DEFAULT support('{50% to owner, 80% to lead, breach to manager}'));
INSERT INTO ticket (subject) SELECT 'T-' || i FROM generate_series(1, 20) i;
INSERT INTO ticket (subject, team) VALUES (E'tab\tnewline\n\\N', 2), ('', 2), ('Ünï 🙂', 2);
CREATE MATERIALIZED VIEW breaches AS SELECT team, sla_breach(journey, agreed, '2025-03-04 00:00+00') AS breach FROM ticket GROUP BY team;
CREATE MATERIALIZED VIEW company AS SELECT rollup(breach) AS breach, string_agg(p::text, '; ' ORDER BY p) AS policies FROM breaches, policies(breach) p;
CREATE VIEW worklist AS SELECT subject, c.*, e.step, e.raise_at FROM ticket, sla_clocks(journey, agreed, '2025-03-03 15:30+00') c, escalations_due(subject, journey, agreed, '2025-03-03 18:00+00') e;
CREATE FUNCTION raise_all(as_of timestamptz) RETURNS SETOF revacct_data.escalation BEGIN ATOMIC
    SELECT r.* FROM ticket t, revacct.raise_escalations(t.subject, t.journey, t.agreed, as_of) r; END;
"""

# name → query; each must give the same after the restore, and something
QUESTIONS = {
    'escalations': 'SELECT e.* FROM revacct_data.escalation e ORDER BY sla, subject, counting_since, step',
    'how many escalations': 'SELECT count(*), count(DISTINCT (sla, subject, counting_since, step)) FROM revacct_data.escalation',
    'what is due': 'SELECT * FROM worklist ORDER BY subject, step',
    'materialized views': 'SELECT team, breach, fingerprint(breach), p.* FROM breaches, policies(breach) p ORDER BY team, p.policy_no',
    'materialized views of materialized views': 'SELECT * FROM company',
    'generated columns': 'SELECT id, agreed FROM kept WHERE agreed = fingerprint(s) ORDER BY id',
    'defaults': "SELECT column_name, column_default FROM information_schema.columns WHERE table_name = 'ticket' AND column_default IS NOT NULL ORDER BY 1",
    'an index of journeys': "SET enable_seqscan = off; SELECT id FROM kept WHERE j = (SELECT j FROM kept WHERE id = 3)",
    'an index of SLAs': "SET enable_seqscan = off; SELECT id FROM kept WHERE s = (SELECT s FROM kept WHERE id = 3)",
    'the privileges of a reader': """
        SELECT has_table_privilege('%s', 'revacct_data.escalation', p), has_schema_privilege('%s', 'revacct_data', 'USAGE') FROM unnest('{SELECT, INSERT, DELETE}'::text[]) p""" % (READER, READER),
    'the extension': """
        SELECT extversion, extnamespace::regnamespace, extconfig::regclass[], extcondition, (SELECT count(*) FROM pg_depend WHERE refobjid = e.oid AND deptype = 'e') FROM pg_extension e WHERE extname = 'revacct'""",
}
for type_, column in TYPES.items():
    QUESTIONS[type_ + ': text'] = 'SELECT id, %s FROM kept ORDER BY id' % column
    QUESTIONS[type_ + ': bytes'] = 'SELECT id, %s_send(%s) FROM kept ORDER BY id' % (type_, column)
    if column in FINGERPRINTED:
        QUESTIONS[type_ + ': fingerprint'] = 'SELECT id, fingerprint(%s) FROM kept ORDER BY id' % column


def answers(database):
    said = psql(database, ''.join('%s;\n\\echo -- end --\n' % query for query in QUESTIONS.values())).split('-- end --\n')
    return dict(zip(QUESTIONS, said))


def compare(database, what):
    got = answers(database)
    for name in QUESTIONS:
        tap.ok(got[name] == expected[name], '%s: %s' % (what, name), 'got      ' + got[name][:2000], 'expected ' + expected[name][:2000])


def left_over(database):
    """What speaks of revacct in the catalogs, but the schema it was put in, which belongs to whoever made it."""
    return psql(database, r"""
        SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL
        SELECT 'relation', relname FROM pg_class WHERE relname ~ '^escalation|revacct' UNION ALL
        SELECT 'type', typname FROM pg_type WHERE typname ~ '^_?(business_calendar|lifecycle|journey|journey_pack|sla|escalation)$|(funnel|velocity|breach)_summary$' UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE probin ~ 'revacct' OR prosrc ~ 'revacct' OR proname ~ 'escalation' UNION ALL
        SELECT 'operator', oprname FROM pg_operator WHERE oprnamespace = to_regnamespace('revacct') UNION ALL
        SELECT 'operator class', opcname FROM pg_opclass WHERE opcname ~ 'journey|lifecycle|sla|calendar' UNION ALL
        SELECT 'family', opfname FROM pg_opfamily WHERE opfname ~ 'journey|lifecycle|sla|calendar' UNION ALL
        SELECT 'in schema', classid::regclass::text FROM pg_depend WHERE refobjid = to_regnamespace('revacct') UNION ALL
        SELECT 'privileges', classoid::regclass::text FROM pg_init_privs WHERE classoid = 'pg_class'::regclass AND objoid NOT IN (SELECT oid FROM pg_class) UNION ALL
        SELECT 'extension', extname FROM pg_extension WHERE extname = 'revacct';""")


def drop_leaves_nothing(database, what, user=None):
    tap.ok(left_over(database), '%s: there is something to drop' % what)
    try:
        psql(database, 'DROP EXTENSION revacct;', user)
        tap.ok(False, '%s: not dropped while tables hold its values' % what)
    except RuntimeError as refused:
        tap.ok('depend on it' in str(refused), '%s: not dropped while tables hold its values' % what, refused)
    psql(database, 'DROP EXTENSION revacct CASCADE;', user)
    tap.eq(left_over(database), '', '%s: dropped, nothing is left' % what)
    tap.eq(psql(database, 'SELECT count(*), count(subject) FROM ticket;'), '23|23\n', '%s: but what was never its own' % what)


psql('postgres', 'CREATE ROLE %s LOGIN; CREATE ROLE %s;' % (OWNER, READER))

# ---- as a superuser ---------------------------------------------------------------------------------------------------

psql(SOURCE, VALUES)
empty = restore(plain_dump(SOURCE), 'empty')
tap.eq(psql(empty, 'SELECT count(*) FROM revacct_data.escalation; SELECT count(*) FROM worklist;'), '0\n69\n', 'without escalations: none restored, all to be raised')

psql(SOURCE, """
    GRANT USAGE ON SCHEMA revacct_data TO %s;
    GRANT SELECT, INSERT ON revacct_data.escalation TO %s;
    SELECT raise_all('2025-03-03 13:00+00') \\g /dev/null
    SELECT count(*) FROM ticket t, raise_escalations(subject, journey, agreed, '2025-03-03 16:00+00') WHERE t.team = 2 \\g /dev/null
    UPDATE revacct_data.escalation SET raise_at = NULL WHERE subject LIKE 'tab%%';
    """ % (READER, READER))
expected = answers(SOURCE)
tap.eq([name for name, answer in expected.items() if not answer.strip()], [], 'every question has an answer')
tap.eq(expected['how many escalations'], '26|26\n', 'there are escalations to dump')
dump = plain_dump(SOURCE)
tap.eq(len(re.findall(r'^COPY revacct_data\.escalation ', dump, flags=re.M)), 1, 'the dump has the table once')
tap.eq(re.findall(r'^(?:CREATE|ALTER|COMMENT ON) (?:TABLE|SCHEMA|TYPE) .*revacct_data.*', dump, flags=re.M), [], 'and only its rows: the extension makes the rest')
tap.ok('COPY revacct_data' not in plain_dump(SOURCE, '--schema-only'), 'a dump of the schema has no rows of it')

for how, database in (('plain', restore(dump, 'plain')), ('custom', restore_custom(SOURCE, 'custom'))):
    compare(database, how)
    again = plain_dump(database)
    tap.ok(again == dump, '%s: dumped again it is the same' % how, len(again), len(dump))
    tap.eq(psql(database, "SELECT count(*) FROM raise_all('2025-03-03 13:00+00');"), '0\n', '%s: what was raised is not raised again' % how)
    tap.eq(psql(database, "SELECT count(*), count(DISTINCT subject) FROM raise_all('2025-03-03 16:00+00'); SELECT count(*) FROM revacct_data.escalation;"), '20|20\n46\n',
           '%s: what is due now is' % how)
    psql(database, 'REFRESH MATERIALIZED VIEW breaches; REFRESH MATERIALIZED VIEW company;')
    tap.eq(psql(database, QUESTIONS['materialized views of materialized views']), expected['materialized views of materialized views'], '%s: refreshed' % how)
    drop_leaves_nothing(database, how)

tap.eq(answers(SOURCE), expected, 'the source is as it was')
drop_leaves_nothing(SOURCE, 'the source')

# ---- as the owner of a database -----------------------------------------------------------------------------------------

own = new_database('own', OWNER)
psql(own, 'CREATE EXTENSION revacct CASCADE;', OWNER)
psql(own, VALUES + "SELECT raise_all('2025-03-03 13:00+00') \\g /dev/null", OWNER)
QUESTIONS = {name: query for name, query in QUESTIONS.items() if 'privileges' not in name}
expected = answers(own)
tap.eq(expected['how many escalations'], '23|23\n', 'an owner who is no superuser has escalations')
dump = plain_dump(own, '-U', OWNER)
restored = restore(dump, 'owned', OWNER)
compare(restored, 'as the owner')
tap.ok(plain_dump(restored, '-U', OWNER) == dump, 'as the owner: dumped again it is the same')
tap.eq(psql(restored, "SELECT count(*) FROM raise_all('2025-03-03 13:00+00'); SELECT count(*) FROM raise_all('2025-03-03 16:00+00');", OWNER), '0\n23\n', 'as the owner: only what is new is raised')
drop_leaves_nothing(restored, 'as the owner', OWNER)

moved = restore(plain_dump(own), 'moved')
compare(moved, 'by a superuser, from the owner')
tap.done()
