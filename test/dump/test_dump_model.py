#!/usr/bin/env python3
"""A governed model, dumped and restored: the same rows, the same compiled values, the same rights, and whatever was under way goes on.
The same script on another database gives the same values; their digest is a constant here, so that every server the suite runs on is
compared with every other."""
import hashlib
import os
import re
import tempfile

from contents import (MODEL_QUESTIONS, PEOPLE, PSQL, SOURCE, USES, agree, databases, execute, literal, model_rows, model_tables, new_database, new_roles,
                      plain_dump, psql, quoted, refusal, restore, restore_backwards, run, sampled, tap)

# The fingerprints of all that SCRIPT agrees on, at every sampled time. It changes when the script does, or what compiling gives.
GOLDEN = '535ec07e53693bf44884767a458d6c0850564ff5a665883df1c052fbbfdc9c9a'

# one that has to be quoted, and one that is a prefix of another
ROLES = {who: 'revacct model "%s" %d' % (who, os.getpid()) if who == 'ben' else 'revacct_model_%s_%d' % (who, os.getpid()) for who in PEOPLE}
OTHERS = {who: 'revacct_other_%s_%d' % (who[::-1], os.getpid()) for who in PEOPLE}
OWNER = 'revacct_owner_%d' % os.getpid()
ROOT = 'revacct_root_%d' % os.getpid()

TABLES = [*model_tables(SOURCE), 'escalation']


def rights(database):
    """What each role may do with each object, by the catalogs."""
    whose = ', '.join(literal(role) for role in ROLES.values())
    return psql(database, """
        SELECT r.rolname, c.oid::regclass, p, has_table_privilege(r.oid, c.oid, p)
        FROM pg_roles r, pg_class c, unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, SELECT WITH GRANT OPTION}'::text[]) p
        WHERE r.rolname IN (%s) AND c.relkind IN ('r', 'v') AND c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) ORDER BY 1, c.oid::regclass::text, 3;
        SELECT r.rolname, n.nspname, has_schema_privilege(r.oid, n.oid, 'USAGE'), has_schema_privilege(r.oid, n.oid, 'CREATE') FROM pg_roles r, pg_namespace n
        WHERE r.rolname IN (%s) AND n.nspname ~ '^revacct' ORDER BY 1, 2;
        SELECT r.rolname, f.oid::regprocedure, has_function_privilege(r.oid, f.oid, 'EXECUTE') FROM pg_roles r, pg_proc f
        WHERE r.rolname IN (%s) AND f.pronamespace = 'revacct'::regnamespace ORDER BY 1, f.oid::regprocedure::text;""" % (whose, whose, whose))


def answers(database):
    return {**{'questions: ' + name: psql(database, query) for name, query in MODEL_QUESTIONS.items()}, **{'rows: ' + name: text for name, text in model_rows(database).items()}, 'rights': rights(database)}


def compare_all(database, what, without=()):
    got = answers(database)
    for name, want in expected.items():
        if name not in without:
            wrong = '' if got[name] == want else next(('%s\n%s' % (g, w) for g, w in zip(got[name].split('\n'), want.split('\n')) if g != w), '')
            tap.ok(got[name] == want, '%s: %s' % (what, name), wrong[:2000])


# ---- what works -------------------------------------------------------------------------------------------------------

GUARDED = 'is not how the model is changed', 'Draft a change', 'restored by a superuser'


def guarded(said):
    return all(part in said for part in GUARDED)


def guards_refuse(database, what):
    """Every way to write into every table: by a superuser, who is not the tables' owner, and by a role that reads them."""
    columns = {'access': 'db_role', 'party': 'label', 'change': 'rationale', 'signoff': 'note', 'numbering': 'key', 'override': 'reason', 'version': 'key', 'validity': 'key'}
    passed = []
    for table in model_tables(database):
        for how in ('INSERT INTO revacct_data.{0} ({1}) SELECT {1} FROM revacct_data.{0} LIMIT 1;', 'UPDATE revacct_data.{0} SET {1} = {1};', 'DELETE FROM revacct_data.{0};', 'TRUNCATE revacct_data.{0} CASCADE;',
                    'COPY revacct_data.{0} ({1}) FROM stdin;\n1\n\\.\n', "SET revacct.by_change = 'on'; DELETE FROM revacct_data.{0};", '/* */ COPY revacct_data.{0} ({1}) FROM stdin;\n1\n\\.\n',
                    'WITH x AS (DELETE FROM revacct_data.{0} RETURNING *) SELECT FROM x;'):
            script = how.format(table, columns.get(table, 'version_id'))
            said = refusal(database, script, ROOT)
            if not guarded(said):
                passed.append((script, said[:200]))
            if 'permission denied' not in refusal(database, script, ROLES['lab']):
                passed.append((ROLES['lab'], script))
    tap.eq(passed, [], '%s: guards refuse every way to write' % what)


def access_works(database, what):
    """Each level does what it is for, and no more."""
    may = [
        ('bi', "SELECT count(*) > 20 FROM glossary;", 't\n'), ('bi', "SELECT fingerprint(lifecycle('inbound')) = fingerprint(lifecycle('inbound', model_at => now()));", 't\n'),
        ('lab', 'SELECT count(*) > 20 FROM revacct_data.version;', 't\n'), ('cleo', 'SELECT count(*) > 0 FROM revacct_data.signoff;', 't\n'),
        ('load', "SELECT register_party('loaded', 'person') > 0;", 't\n'), ('dora', 'SELECT sign_for FROM awaiting_my_signoff;', 'marketing\n'), ('ben', 'SELECT sign_for FROM awaiting_my_signoff;', '')]
    may_not = [
        ('bi', 'SELECT * FROM revacct_data.stage;'), ('bi', 'SELECT propose_change();'), ('load', 'SELECT * FROM glossary;'), ('nobody', 'SELECT * FROM revacct.glossary;'), ('lab', "SELECT register_party('x', 'team');"),
        ('ana', "SELECT grant_access('council', %s);" % literal(quoted(ROLES['ana']))), ('ana', 'SELECT approve((SELECT max(change_no) FROM open_changes WHERE status = \'proposed\'));')]
    for who, query, want in may:
        tap.eq(psql(database, query, ROLES[who]), want, '%s: %s may: %s' % (what, who, query))
    for who, query in may_not:
        said = refusal(database, query, ROLES[who])
        tap.ok(re.search('permission denied|may not|cannot sign', said), '%s: %s may not: %s' % (what, who, query), said)


def goes_on(database, what):
    """What was half signed is approved by the other owner; numbers go on; what was drafted is proposed."""
    half = psql(database, "SELECT change_no, signed, waiting_for FROM open_changes WHERE status = 'proposed';")
    tap.eq(half, '%s|sales (%s), council (%s)|marketing\n' % (half.split('|')[0], ROLES['ben'], ROLES['cleo']), '%s: what was half signed waits for the other half' % what)
    number = half.split('|')[0]
    said = refusal(database, 'SELECT approve(%s);' % number, ROLES['ben'])
    tap.ok('nothing to sign' in said and 'It waits for marketing' in said, '%s: nobody signs twice' % what, said)
    tap.eq(psql(database, 'SELECT approve(%s);' % number, ROLES['dora']), 'approved\n', '%s: it is approved' % what)
    values = sampled(database)
    last = psql(database, "SELECT last_value FROM revacct_data.change_change_id_seq; SELECT last_value FROM revacct_data.version_version_id_seq; SELECT last_value FROM revacct_data.override_override_id_seq;").split()
    new = psql(database, """SELECT draft_change('Once more', '2026-01-01 00:00+00', retroactive => true);
        SELECT define_code('channel', 'telex'); SELECT max(version_id) FROM revacct_data.version;
        SELECT request_override('policy', 'has a date', 'L-9', 'why not'); SELECT propose_change();""", ROLES['ana']).split()
    tap.eq(new, [str(int(n) + 1) for n in last] + [str(int(last[0]) + 1)], '%s: numbers of changes, versions and overrides go on' % what)
    tap.eq(psql(database, 'SELECT approve(%s);' % new[0], ROLES['cleo']), 'approved\n', '%s: and what has them is approved' % what)
    tap.eq(psql(database, "SELECT count(*), count(DISTINCT (is_mark, number)), max(number) FILTER (WHERE NOT is_mark) = count(*) FILTER (WHERE NOT is_mark), max(number) FILTER (WHERE is_mark) = count(*) FILTER (WHERE is_mark) FROM revacct_data.numbering;").split('|')[2:], ['t', 't\n'],
           '%s: marks and codes are numbered without gaps' % what)
    idea = psql(database, "SELECT change_no FROM open_changes WHERE rationale = 'An idea';").strip()
    said = refusal(database, 'SELECT propose_change(%s);' % idea, ROLES['ana'])
    tap.ok('has no accountable party' in said, '%s: a draft is checked when it is proposed' % what, said)
    psql(database, "SELECT assign('finance', 'accountable', 'metric', 'ideas', change => %s);" % idea, ROLES['bi'])
    tap.eq(psql(database, 'SELECT propose_change(%s);' % idea, ROLES['ana']), idea + '\n', '%s: and goes on being filled' % what)
    tap.eq(psql(database, 'SELECT approve(%s);' % idea, ROLES['cleo']), 'approved\n', '%s: until it is approved' % what)
    tap.eq(psql(database, "UPDATE lead SET stage = 'mql'; SELECT stage FROM lead;"), 'mql\n', '%s: triggers let pass what keeps the rules' % what)
    said = refusal(database, "UPDATE lead SET stage = 'lost';")
    tap.ok('The rule is' in said, '%s: and nothing else' % what, said)
    return values


def left_over(database):
    """What speaks of revacct in the catalogs, but the schema it was put in, which belongs to whoever made it."""
    return psql(database, r"""
        SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL
        SELECT 'relation', relname FROM pg_class WHERE relnamespace = to_regnamespace('revacct') OR relname = ANY ('{%s}') OR relname ~ 'revacct|_id_seq$' UNION ALL
        SELECT 'type', typname FROM pg_type WHERE typnamespace = to_regnamespace('revacct') OR typname = ANY ('{%s}') UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE pronamespace = to_regnamespace('revacct') OR probin ~ 'revacct' OR prosrc ~ 'revacct_data' OR proname = '_guard' UNION ALL
        SELECT 'trigger', tgname FROM pg_trigger WHERE tgname ~ '^guard' UNION ALL
        SELECT 'in schema', classid::regclass::text FROM pg_depend WHERE refobjid = to_regnamespace('revacct') UNION ALL
        SELECT 'initial privileges', classoid::regclass::text FROM pg_init_privs WHERE (classoid = 'pg_class'::regclass AND objoid NOT IN (SELECT oid FROM pg_class))
            OR (classoid = 'pg_proc'::regclass AND objoid NOT IN (SELECT oid FROM pg_proc)) UNION ALL
        SELECT 'privileges', rolname || ' ' || classid::regclass FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND rolname ~ '^revacct' AND NOT (classid = 'pg_namespace'::regclass AND objid = to_regnamespace('revacct')) UNION ALL
        SELECT 'comment', description FROM pg_description d WHERE classoid = 'pg_class'::regclass AND objoid NOT IN (SELECT oid FROM pg_class) UNION ALL
        SELECT 'extension', extname FROM pg_extension WHERE extname = 'revacct' ORDER BY 1, 2;""" % (','.join(TABLES), ','.join(TABLES)))


def drop_leaves_nothing(database, what, user=None):
    tap.ok(left_over(database), '%s: there is something to drop' % what)
    psql(database, 'DROP EXTENSION revacct CASCADE;', user)
    tap.eq(left_over(database), '', '%s: dropped, nothing is left' % what)


# ---- nothing agreed yet: nothing shipped --------------------------------------------------------------------------------

def copied(dump):
    """Rows of each table of ours in a plain dump."""
    return {table: body.count('\n') for table, body in re.findall(r'^COPY revacct_data\.(\w+) .*? FROM stdin;\n(.*?)\\\.$', dump, flags=re.M | re.S) if table in TABLES}


new_roles(*ROLES.values(), *OTHERS.values(), OWNER)
new_roles(ROOT, options='LOGIN SUPERUSER')
nothing = plain_dump(SOURCE)
tap.eq(copied(nothing), {table: 0 for table in TABLES}, 'an empty model: every table is in the dump, no row is')
tap.eq(re.findall(r"setval\('revacct_data\.((?:change|version|override)_\w+)', 1, false\)", nothing).__len__(), 3, 'and sequences that have not begun')
own = new_database('own', 'TEMPLATE template0 OWNER ' + quoted(OWNER))
psql(own, 'CREATE EXTENSION revacct CASCADE;', OWNER)
for how, text in (('by its owner', plain_dump(own, '-U', OWNER)), ('by a superuser', plain_dump(own))):
    again = restore(text, new_database('owned_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER)), OWNER)
    tap.eq((left_over(again) == left_over(own), copied(plain_dump(again, '-U', OWNER))), (True, copied(nothing)), 'an empty model dumped %s is restored by the owner of a database, who is no superuser' % how)
    psql(again, ''.join("SELECT grant_access('steward', %s);" % literal(quoted(ROLES[who])) for who in ('ana', 'ben')) + "SELECT grant_access('council', %s);" % literal(quoted(ROLES['cleo'])), OWNER)
    psql(again, "SELECT draft_change('First'); SELECT define_calendar('c', 'UTC', '{mon 09:00-10:00}'); SELECT propose_change();", ROLES['ana'])
    tap.eq(psql(again, 'SELECT approve(1);', ROLES['cleo']), 'approved\n', 'and the owner administers it')
    full = plain_dump(again, '-U', OWNER)
    fresh = new_database('not_owned_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER))
    done = execute(*PSQL, fresh, '-U', OWNER, text=full)
    tap.ok(done.returncode and guarded(done.stderr), 'one that has rows is restored by superusers alone, as the hint says', done.stderr)
    fresh = restore(full, new_database('by_super_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER)))
    tap.eq(psql(fresh, "SELECT name FROM revacct.glossary;", ROLES['ana']), 'c\n', 'and then its people read it')

# ---- a full model -----------------------------------------------------------------------------------------------------

agree(SOURCE, ROLES)
psql(SOURCE, USES)
values = sampled(SOURCE)
digest = hashlib.sha256(values.encode()).hexdigest()
tap.say('digest of %d fingerprints, %d of them distinct: %s' % (values.count('\n'), len(set(line.split('|')[-1] for line in values.split('\n'))), digest))
tap.eq(digest, GOLDEN, 'the script gives on this server what it gives on every other')

expected = answers(SOURCE)
tap.eq([name for name, answer in expected.items() if not answer.strip()], [], 'every kind of definition and every question has rows')
tap.eq(psql(SOURCE, "SELECT string_agg(DISTINCT status, ' ' ORDER BY status) FROM revacct_data.change; SELECT count(*) FILTER (WHERE successor IS NOT NULL) > 2, count(DISTINCT kind) FROM revacct_data.version;"),
       'approved draft proposed rejected withdrawn\nt|13\n', 'changes of every status, versions of every kind, retired ones with successors')
tap.eq(psql(SOURCE, "SELECT bool_or(retroactive), bool_or(effective_at > now()), bool_or(effective_until = 'infinity'), bool_or(isfinite(effective_until)) FROM revacct_data.change WHERE status = 'approved';"), 't|t|t|t\n',
       'retroactive, scheduled and limited ones')
dump = plain_dump(SOURCE)
counts = {table: int(psql(SOURCE, 'SELECT count(*) FROM revacct_data.%s;' % table)) for table in TABLES}
text_rows = copied(dump)
tap.eq(text_rows, counts, 'the dump has every row once')
tap.eq(re.findall(r'^(?:CREATE|ALTER|COMMENT ON) (?:TABLE|SCHEMA|TYPE|VIEW|FUNCTION|TRIGGER|SEQUENCE) (?:\w+ ON )?revacct(?:_data)?\..*', dump, flags=re.M), [], 'and only rows: the extension makes the rest')
tap.ok('COPY revacct_data' not in plain_dump(SOURCE, '--schema-only'), 'a dump of the schema has no rows of it')

folder = tempfile.TemporaryDirectory()
archive = os.path.join(folder.name, 'model.dump')
run('pg_dump', '-Fc', '-f', archive, '-d', SOURCE)
run('pg_dump', '-Fd', '-j', '2', '-f', archive + '.d', '-d', SOURCE)
restored = {}
for how, make in (('plain', lambda db: restore(dump, db)), ('custom', lambda db: run('pg_restore', '--exit-on-error', '-d', db, archive)),
                  ('custom, any order', lambda db: restore_backwards(archive, db)), ('custom, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive)),
                  ('directory, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive + '.d')),
                  ('data after the schema', lambda db: (restore(plain_dump(SOURCE, '--section=pre-data'), db), restore(plain_dump(SOURCE, '--section=data', '--section=post-data'), db)))):
    database = restored[how] = new_database('as_%d' % len(databases))
    try:
        make(database)
        tap.ok(True, '%s: restored' % how)
    except RuntimeError as failed:
        tap.ok(False, '%s: restored' % how, failed)
        del restored[how]
        continue
    compare_all(database, how)
    tap.ok(plain_dump(database) == dump, '%s: dumped again it is the same' % how)

plain = restored['plain']
before = model_rows(plain)
guards_refuse(plain, 'plain')
tap.ok(model_rows(plain) == before, 'plain: and nothing was written')
for how, over in (('plain', lambda: execute('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', plain, text=plain_dump(SOURCE, '--data-only', '--schema=revacct_data', '--extension=revacct'))),
                  ('custom', lambda: execute('pg_restore', '--exit-on-error', '--data-only', '--schema=revacct_data', '-d', plain, archive)),
                  ('as inserts', lambda: execute('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', plain, text=plain_dump(SOURCE, '--data-only', '--column-inserts', '--schema=revacct_data', '--extension=revacct')))):
    done = over()
    tap.ok(done.returncode and guarded(done.stderr), 'restored over what is there, %s: refused, with the hint' % how, done.stderr[:500])
    tap.ok(model_rows(plain) == before, 'restored over what is there, %s: nothing of it was written' % how)

# A restore that broke off leaves empty tables, and can be begun again.
broken = new_database('broken')
restore(plain_dump(SOURCE, '--section=pre-data'), broken)
data = plain_dump(SOURCE, '--section=data')
execute(*PSQL, broken, '--single-transaction', text=data + 'SELECT 1 / 0;')
tap.eq(int(psql(broken, 'SELECT count(*) FROM revacct_data.change;')), 0, 'a restore that broke off in its transaction leaves nothing')
done = execute(*PSQL, broken, '--single-transaction', text=data)
tap.ok(not done.returncode, 'and can be begun again', done.stderr[:500])

wanted = None
for what, database in {'the source': SOURCE, **restored}.items():
    access_works(database, what)
    got = goes_on(database, what)
    wanted = wanted or got
    tap.ok(got == wanted and got != values, '%s: and what is compiled then is the same as in the source' % what)
    drop_leaves_nothing(database, what)

# ---- another database, another setting, other people, and much ado in between ---------------------------------------------

another = new_database('another', "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")
psql(another, "ALTER DATABASE %s SET TimeZone = 'Asia/Kathmandu'; ALTER DATABASE %s SET DateStyle = 'SQL, DMY'; ALTER DATABASE %s SET IntervalStyle = 'sql_standard'; ALTER DATABASE %s SET extra_float_digits = 0;" % ((another,) * 4))
os.environ.pop('PGTZ')
psql(another, 'CREATE EXTENSION revacct CASCADE;')
agree(another, OTHERS, noise=True)
tap.ok(sampled(another) == values, 'the same script on another database, with other people, settings and numbers of changes, gives the same fingerprints')
tap.ok(psql(another, 'SELECT max(change_id) FROM revacct_data.change;') != psql(another, "SELECT count(*) FROM revacct_data.change WHERE status = 'approved';"), 'though much happened in between')
tap.done()
