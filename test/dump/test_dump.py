#!/usr/bin/env python3
"""A database with values of every type and raised escalations, dumped and restored: everything is there, once, to the byte, and DROP
EXTENSION leaves nothing. As a superuser, plain and custom, as the owner of a database who is none, and from one to the other."""
import os
import re
import subprocess

from contents import SOURCE, VALUES, VALUE_QUESTIONS, answers, new_database, new_roles, plain_dump, psql, restore, tap

OWNER, READER = ('revacct_dump_%s_%d' % (role, os.getpid()) for role in ('owner', 'reader'))


def restore_custom(source, suffix):
    database = new_database(suffix)
    archive = subprocess.run(['pg_dump', '-Fc', '-d', source], stdout=subprocess.PIPE, check=True).stdout
    done = subprocess.run(['pg_restore', '--exit-on-error', '-d', database], input=archive, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError('pg_restore: ' + done.stderr.decode())
    return database


def compare(database, what):
    got = answers(database, QUESTIONS)
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


new_roles(OWNER, READER)

QUESTIONS = {**VALUE_QUESTIONS,
    'the privileges of a reader': """
        SELECT has_table_privilege('%s', 'revacct_data.escalation', p), has_schema_privilege('%s', 'revacct_data', 'USAGE') FROM unnest('{SELECT, INSERT, DELETE}'::text[]) p""" % (READER, READER)}

# ---- as a superuser ---------------------------------------------------------------------------------------------------

psql(SOURCE, VALUES)
empty = restore(plain_dump(SOURCE), new_database('empty'))
tap.eq(psql(empty, 'SELECT count(*) FROM revacct_data.escalation; SELECT count(*) FROM worklist;'), '0\n69\n', 'without escalations: none restored, all to be raised')

psql(SOURCE, """
    GRANT USAGE ON SCHEMA revacct_data TO %s;
    GRANT SELECT, INSERT ON revacct_data.escalation TO %s;
    SELECT raise_all('2025-03-03 13:00+00') \\g /dev/null
    SELECT count(*) FROM ticket t, raise_escalations(subject, journey, agreed, '2025-03-03 16:00+00') WHERE t.team = 2 \\g /dev/null
    UPDATE revacct_data.escalation SET raise_at = NULL WHERE subject LIKE 'tab%%';
    """ % (READER, READER))
expected = answers(SOURCE, QUESTIONS)
tap.eq([name for name, answer in expected.items() if not answer.strip()], [], 'every question has an answer')
tap.eq(expected['how many escalations'], '26|26\n', 'there are escalations to dump')
dump = plain_dump(SOURCE)
tap.eq(len(re.findall(r'^COPY revacct_data\.escalation ', dump, flags=re.M)), 1, 'the dump has the table once')
tap.eq(re.findall(r'^(?:CREATE|ALTER|COMMENT ON) (?:TABLE|SCHEMA|TYPE) .*revacct_data.*', dump, flags=re.M), [], 'and only its rows: the extension makes the rest')
tap.ok('COPY revacct_data' not in plain_dump(SOURCE, '--schema-only'), 'a dump of the schema has no rows of it')

for how, database in (('plain', restore(dump, new_database('plain'))), ('custom', restore_custom(SOURCE, 'custom'))):
    compare(database, how)
    again = plain_dump(database)
    tap.ok(again == dump, '%s: dumped again it is the same' % how, len(again), len(dump))
    tap.eq(psql(database, "SELECT count(*) FROM raise_all('2025-03-03 13:00+00');"), '0\n', '%s: what was raised is not raised again' % how)
    tap.eq(psql(database, "SELECT count(*), count(DISTINCT subject) FROM raise_all('2025-03-03 16:00+00'); SELECT count(*) FROM revacct_data.escalation;"), '20|20\n46\n',
           '%s: what is due now is' % how)
    psql(database, 'REFRESH MATERIALIZED VIEW breaches; REFRESH MATERIALIZED VIEW company;')
    tap.eq(psql(database, QUESTIONS['materialized views of materialized views']), expected['materialized views of materialized views'], '%s: refreshed' % how)
    drop_leaves_nothing(database, how)

tap.eq(answers(SOURCE, QUESTIONS), expected, 'the source is as it was')
drop_leaves_nothing(SOURCE, 'the source')

# ---- as the owner of a database -----------------------------------------------------------------------------------------

own = new_database('own', 'TEMPLATE template0 OWNER ' + OWNER)
psql(own, 'CREATE EXTENSION revacct CASCADE;', OWNER)
psql(own, VALUES + "SELECT raise_all('2025-03-03 13:00+00') \\g /dev/null", OWNER)
QUESTIONS = {name: query for name, query in QUESTIONS.items() if 'privileges' not in name}
expected = answers(own, QUESTIONS)
tap.eq(expected['how many escalations'], '23|23\n', 'an owner who is no superuser has escalations')
dump = plain_dump(own, '-U', OWNER)
restored = restore(dump, new_database('owned', 'TEMPLATE template0 OWNER ' + OWNER), OWNER)
compare(restored, 'as the owner')
tap.ok(plain_dump(restored, '-U', OWNER) == dump, 'as the owner: dumped again it is the same')
tap.eq(psql(restored, "SELECT count(*) FROM raise_all('2025-03-03 13:00+00'); SELECT count(*) FROM raise_all('2025-03-03 16:00+00');", OWNER), '0\n23\n', 'as the owner: only what is new is raised')
drop_leaves_nothing(restored, 'as the owner', OWNER)

moved = restore(plain_dump(own), new_database('moved'))
compare(moved, 'by a superuser, from the owner')
tap.done()
