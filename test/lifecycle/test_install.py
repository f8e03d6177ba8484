#!/usr/bin/env python3
"""CREATE EXTENSION, by whom and where: as a superuser, as the owner of a database, as one who may not; beside schemas that are in the way; rolled back; into databases of any encoding, collation and settings, under
default privileges of any sort; in template1; in two databases at once. Either it installs the same objects, and the same life gives the same answers, or it is refused and leaves nothing."""
import re
import subprocess
import sys
import threading

sys.dont_write_bytecode = True
import lived
from lived import Cluster, Session, SqlError, Tap, do, live, refusal, wait_for

tap = Tap()
server = Cluster('autovacuum=off')
lived.make_people(server)
server.run('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE maker LOGIN; CREATE ROLE visitor LOGIN; CREATE ROLE other LOGIN;')
MAJOR = int(server.value('postgres', "SELECT current_setting('server_version_num')::int / 10000;"))


def new_database(name, options='', settings=()):
    server.run('postgres', '\n'.join(['CREATE DATABASE %s %s;' % (name, options)] + ['ALTER DATABASE %s SET %s;' % (name, setting) for setting in settings]))
    return name


# All that the script makes: how it reads, whose it is, who may do what with it, its comment.
OBJECTS = r"""
SET search_path = pg_catalog; SET quote_all_identifiers = off; SET standard_conforming_strings = on; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET TimeZone = 'UTC';
SELECT 'function', p.oid::regprocedure, p.proowner::regrole, ARRAY(SELECT a::text FROM unnest(coalesce(p.proacl, acldefault('f', p.proowner))) AS a ORDER BY a::text COLLATE "C"), p.provolatile, p.proparallel, p.proisstrict, p.prosecdef, replace(p.proconfig::text, '\"', ''), p.prosrc, pg_get_function_sqlbody(p.oid), pg_get_function_arguments(p.oid)
FROM pg_proc AS p WHERE p.pronamespace = 'revacct'::regnamespace ORDER BY p.oid::regprocedure::text COLLATE "C";
SELECT 'relation', c.oid::regclass, c.relkind, c.relowner::regrole, ARRAY(SELECT a::text FROM unnest(coalesce(c.relacl, acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))) AS a ORDER BY a::text COLLATE "C"), c.reloptions, c.relreplident, CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) WHEN c.relkind = 'i' THEN pg_get_indexdef(c.oid) END
FROM pg_class AS c WHERE c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) ORDER BY c.oid::regclass::text COLLATE "C";
SELECT 'column', a.attrelid::regclass, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation, a.attnotnull, a.attidentity, a.attgenerated, a.attacl, pg_get_expr(d.adbin, d.adrelid)
FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND a.attnum > 0 ORDER BY a.attrelid::regclass::text COLLATE "C", a.attnum;
SELECT 'constraint', c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint AS c WHERE c.connamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) ORDER BY c.conrelid::regclass::text COLLATE "C", c.conname COLLATE "C";
SELECT 'type', t.typname, t.typowner::regrole, ARRAY(SELECT a::text FROM unnest(coalesce(t.typacl, acldefault('T', t.typowner))) AS a ORDER BY a::text COLLATE "C") FROM pg_type AS t WHERE t.typnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) ORDER BY t.typname COLLATE "C";
SELECT 'schema', n.nspname, n.nspowner::regrole, ARRAY(SELECT a::text FROM unnest(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a ORDER BY a::text COLLATE "C") FROM pg_namespace AS n WHERE n.nspname LIKE 'revacct%' ORDER BY 1;
SELECT 'member', pg_describe_object(p.classid, p.objid, 0), (SELECT string_agg(d.objsubid || ' ' || d.description, '; ' ORDER BY d.objsubid) FROM pg_description AS d WHERE d.classoid = p.classid AND d.objoid = p.objid)
FROM pg_depend AS p WHERE p.deptype = 'e' AND p.refobjid = (SELECT e.oid FROM pg_extension AS e WHERE e.extname = 'revacct') ORDER BY pg_describe_object(p.classid, p.objid, 0) COLLATE "C";
"""


def objects(database, administrator=None):
    """As any database has them: the administrator's own privileges left out, which is what differs when that is no superuser."""
    lines = server.run(database, OBJECTS)
    return [re.sub(r'(?<=\{)%s=[^,}]*,|,%s=[^,}]*|\*(?=[\w*]*/)' % (administrator, administrator), '', line) for line in lines] if administrator else lines


wanted = {}


def same_objects(database, what, administrator=None):
    if administrator not in wanted:
        wanted[administrator] = objects('fresh', administrator)
    got, want = objects(database, administrator), wanted[administrator]
    tap.ok(got == want, '%s: the objects are those of any other database' % what, *['- ' + line[:250] for line in want if line not in got][:6] + ['+ ' + line[:250] for line in got if line not in want][:6])


def lives(database, what, expected, names=lived.WORLDLY, administrator=None):
    try:
        live(server, database, administrator, names)
        server.run('postgres', 'ALTER DATABASE %s RESET ALL;' % database)
        lived.compare(tap, lived.answers(server, database), expected, '%s: the same life gives the same answers' % what)
    except SqlError as failed:
        tap.ok(False, '%s: the same life gives the same answers' % what, failed)


def installs(database, what, expected, names=lived.WORLDLY):
    said = refusal(server, database, None, lived.CREATE)
    if tap.ok(not said, '%s: installed' % what, said):
        same_objects(database, what)
        lives(database, what, expected, names)


def nothing_left(database, what, before):
    after = lived.catalogs(server, database)
    tap.ok(after == before, '%s: nothing is left of it' % what, *['- ' + line[:250] for line in before - after][:5] + ['+ ' + line[:250] for line in after - before][:5])


# ---- as a superuser ------------------------------------------------------------------------------------------------------------------------------------

new_database('usual')
said = refusal(server, 'usual', None, 'CREATE EXTENSION revacct;')
tap.ok(said.startswith('42704: required extension "btree_gist" is not installed HINT: Use CREATE EXTENSION ... CASCADE'), 'without btree_gist it is refused, with a hint', said)
server.run('usual', lived.CREATE)
new_database('fresh')
server.run('fresh', lived.CREATE)
tap.ok(len(objects('fresh')) > 1000, 'with CASCADE a superuser has it')
live(server, 'usual')
expected = lived.answers(server, 'usual')
tap.eq([name for name, answer in expected.items() if not answer.strip() and name != 'checked'], [], 'a life in it gives an answer to every question')
tap.eq((expected['checked'].strip(), expected['verified'].strip()), ('', '(1,1,)'), 'and all is well')
tap.eq(server.value('usual', "SELECT string_agg(DISTINCT rolname, ' ') FROM pg_shdepend AS d JOIN pg_roles AS r ON r.oid = d.refobjid WHERE d.deptype = 'o' AND d.dbid = (SELECT oid FROM pg_database WHERE datname = 'usual');"), 'lou',
       'whoever lived, what was made belongs to the superuser, but for what is their own')
new_database('plain')
server.run('plain', lived.CREATE)
live(server, 'plain', names=lived.PLAIN)
plainly = lived.answers(server, 'plain')

# ---- by others ------------------------------------------------------------------------------------------------------------------------------------------

new_database('owned', 'OWNER owner')
do(server, 'owned', 'owner', lived.CREATE)
tap.eq(server.value('owned', "SELECT extowner::regrole FROM pg_extension WHERE extname = 'revacct';"), 'owner', 'the owner of a database, who is no superuser, installs it and owns it')
tap.eq(server.value('owned', "SELECT count(*) FROM pg_depend AS d JOIN pg_shdepend AS s ON s.classid = d.classid AND s.objid = d.objid AND s.deptype = 'o' AND s.dbid = (SELECT oid FROM pg_database WHERE datname = 'owned') "
                             "WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'revacct');"), '0', 'but nothing in it, which is the superuser\'s')
same_objects('owned', 'by the owner of a database', 'owner')
REFUSED = ('CREATE FUNCTION revacct.f() RETURNS int LANGUAGE SQL RETURN 1;', "CREATE FUNCTION revacct.lower(text) RETURNS text LANGUAGE SQL RETURN 'x';", 'CREATE TABLE revacct_data.t ();', 'CREATE VIEW revacct.v AS SELECT 1;',
           'CREATE TYPE revacct.t AS (a int);', 'ALTER EXTENSION revacct SET SCHEMA public;', 'ALTER TABLE revacct_data.load OWNER TO owner;', 'ALTER EXTENSION revacct DROP FUNCTION revacct._guard();', 'DROP SCHEMA revacct CASCADE;',
           "CREATE TRIGGER t BEFORE INSERT ON revacct_data.load FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();", 'ALTER TABLE revacct_data.load DISABLE TRIGGER ALL;', 'ALTER SCHEMA revacct RENAME TO x;')
tap.eq([(what, said) for what, said in ((what, refusal(server, 'owned', 'owner', what)) for what in REFUSED) if not said.startswith(('42501', '0A000'))], [], 'the owner can make nothing in its schemas, nor take over what is there')
lives('owned', 'administered by the owner', expected, administrator='owner')
do(server, 'owned', 'owner', "SELECT revoke_access('analyst', 'lab');")
tap.eq([refusal(server, 'owned', 'lab', what)[:5] for what in ('SELECT * FROM revacct.funnel;', 'SELECT * FROM revacct_data.event;', 'SELECT * FROM revacct_data.event_2023;')], ['42501'] * 3, 'who takes access away again')

new_database('for_maker')
server.run('for_maker', 'GRANT CREATE ON DATABASE for_maker TO maker;')
do(server, 'for_maker', 'maker', lived.CREATE + "SELECT grant_access('council', 'maker');")
tap.eq(refusal(server, 'for_maker', 'maker', 'SELECT set_minimum_group(9); SELECT count(*) FROM funnel;'), '', 'who has CREATE on a database installs and administers it')

new_database('not_for_visitor')
server.run('not_for_visitor', 'GRANT CREATE ON SCHEMA public TO visitor; CREATE EXTENSION btree_gist;')
before = lived.catalogs(server, 'not_for_visitor')
said = refusal(server, 'not_for_visitor', 'visitor', 'CREATE EXTENSION revacct;')
tap.ok(said.startswith('42501: permission denied to create extension "revacct" HINT: Must have CREATE privilege on current database'), 'who has CREATE on a schema alone is told what it takes', said)
nothing_left('not_for_visitor', 'not allowed', before)

# ---- what is in the way, and what is taken back ------------------------------------------------------------------------------------------------------------

for schema in ('revacct', 'revacct_data'):
    name = new_database('with_' + schema, 'OWNER owner')
    server.run(name, 'CREATE EXTENSION btree_gist;\nCREATE SCHEMA %s AUTHORIZATION other;\nCREATE TABLE %s.mine AS SELECT 1 AS one;\nALTER TABLE %s.mine OWNER TO other;' % (schema, schema, schema))
    before = lived.catalogs(server, name)
    for who in (None, 'owner'):
        said = refusal(server, name, who, 'CREATE EXTENSION revacct;')
        tap.ok(said.startswith('42P06: schema "%s" already exists' % schema), 'where somebody has a schema %s, %s is refused' % (schema, who or 'a superuser'), said)
        nothing_left(name, 'somebody\'s schema %s' % schema, before)
    tap.eq(server.value(name, 'SELECT one FROM %s.mine;' % schema), '1', 'and the schema is whose it was')

new_database('undone')
server.run('undone', 'CREATE EXTENSION btree_gist;')
before = lived.catalogs(server, 'undone')
USED = "CREATE EXTENSION revacct;\nSELECT revacct.grant_access('council', 'cleo'), revacct.grant_access('loader', 'postgres');\nSELECT revacct.record_event('crm', 'lead', 'L', 'created', '2025-01-01', source_key => 'k');\nSELECT count(*) FROM revacct.refresh(false);"
server.run('undone', 'BEGIN;\n%s\nROLLBACK;' % USED)
nothing_left('undone', 'created, used and rolled back', before)
server.run('undone', 'BEGIN;\nSAVEPOINT s;\n%s\nROLLBACK TO s;\n%s\nDROP EXTENSION revacct;\nDROP TABLE pg_temp.revacct_incoming_event, pg_temp.revacct_meaning;\nCOMMIT;' % (USED, USED))
nothing_left('undone', 'rolled back to a savepoint, created, used and dropped', before)
tap.eq(server.run('undone', 'BEGIN;\n%s\nCOMMIT;\nSELECT count(*) FROM revacct.journeys();' % USED)[-1], '1', 'created and used in one transaction')
tap.ok(refusal(server, 'undone', None, 'CREATE EXTENSION revacct;').startswith('42710: extension "revacct" already exists'), 'once is enough')

# ---- where names have another order, case and bytes ---------------------------------------------------------------------------------------------------------

UNICODE = {'libc, C': "LOCALE 'C'", 'libc, C.UTF-8': "LOCALE 'C.UTF-8'"}
for line in subprocess.run(['locale', '-a'], stdout=subprocess.PIPE, encoding='utf-8').stdout.split():
    if re.fullmatch(r'(en_US|de_DE|tr_TR|sv_SE)\.(utf8|UTF-8)', line):
        UNICODE['libc, ' + line] = "LOCALE '%s'" % line
if server.value('postgres', "SELECT count(*) > 0 FROM pg_collation WHERE collprovider = 'i';") == 't':
    UNICODE.update({'ICU, ' + locale: "LOCALE_PROVIDER icu ICU_LOCALE '%s' LOCALE 'C.UTF-8'" % locale for locale in ('tr', 'sv', 'en-u-kn-ka-shifted')})
if MAJOR >= 17:
    UNICODE['builtin, C.UTF-8'] = "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'"
for number, (what, options) in enumerate(UNICODE.items()):
    installs(new_database('locale_%d' % number, "TEMPLATE template0 ENCODING 'UTF8' " + options), what, expected)
tap.say('collations: ' + '; '.join(UNICODE))
# What has other names in it is another definition; in bytes that every encoding has, names are the same.
for encoding in ('SQL_ASCII', 'LATIN1', 'EUC_JP'):
    installs(new_database('in_' + encoding.lower(), "TEMPLATE template0 ENCODING '%s' LOCALE 'C'" % encoding), encoding, plainly, lived.PLAIN)

# ---- settings and privileges that a database has for everything ----------------------------------------------------------------------------------------------

installs(new_database('backslashes', settings=['standard_conforming_strings = off', 'escape_string_warning = off']), 'standard_conforming_strings off', expected)
# What functions themselves say is read by the session that calls them first.
for what in ("suggest_mapping('crm.raw')", "_landed_instant('2025-01-02 03:04:05.678Z')", "_landed_instant('2025-01-02 03:04 +02:00')", "_landed_instant('1/2/2025 3:04 pm')", "_landed_time('1735787045678')", "_landed_number(' -1.5e3 ')",
             "_landed_rows('x', 'crm.raw', 'a key: subject_key', 'b timestamptz: occurred_at')"):
    said = [refusal(server, 'usual', None, 'SET standard_conforming_strings = %s; SELECT %s;' % (how, what)) or do(server, 'usual', None, 'SET escape_string_warning = off; SET standard_conforming_strings = %s; SELECT %s;' % (how, what)) for how in ('on', 'off')]
    tap.ok(said[0] == said[1] and isinstance(said[0], list), '%s says the same with standard_conforming_strings off' % what, *said)
installs(new_database('odd', settings=['transform_null_equals = on', 'array_nulls = off', 'quote_all_identifiers = on', "DateStyle = 'SQL, DMY'", "IntervalStyle = 'sql_standard'", "TimeZone = 'Asia/Kathmandu'", "bytea_output = 'escape'",
                                       'extra_float_digits = 0', 'check_function_bodies = off', 'row_security = off', "plan_cache_mode = 'force_generic_plan'", 'enable_seqscan = off', "xmloption = 'document'",
                                       "client_min_messages = 'error'", "backslash_quote = 'off'"]), 'settings of all sorts', expected)
new_database('shadowed')
# Whatever is called or compared there raises an error.
server.run('shadowed', r"""
CREATE SCHEMA evil;
CREATE FUNCTION evil.no() RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE EXCEPTION 'evil was here'; END $$;
SELECT format('CREATE FUNCTION evil.%s RETURNS %s LANGUAGE SQL IMMUTABLE AS $f$ SELECT evil.no()::%s $f$', f, r, r)
FROM (VALUES ('lower(text)', 'text'), ('btrim(text)', 'text'), ('octet_length(text)', 'int'), ('coalesce_(text)', 'text'), ('now()', 'timestamptz'), ('clock_timestamp()', 'timestamptz'), ('statement_timestamp()', 'timestamptz'), ('format(text, VARIADIC text[])', 'text'),
             ('current_setting(text, boolean)', 'text'), ('set_config(text, text, boolean)', 'text'), ('pg_get_userbyid(oid)', 'name'), ('to_regclass(text)', 'regclass'), ('isempty(tstzrange)', 'boolean'), ('upper_inf(tstzrange)', 'boolean'), ('array_position(text[], text)', 'int'),
             ('object_key(VARIADIC text[])', 'text'), ('_demand_access(text[], text)', 'void'), ('jsonb_build_array(VARIADIC text[])', 'jsonb'), ('floor(numeric)', 'numeric'), ('quote_ident(text)', 'text'), ('pg_advisory_xact_lock(int, int)', 'void')) AS s (f, r) \gexec
CREATE FUNCTION evil.refuse(text, text) RETURNS boolean LANGUAGE SQL IMMUTABLE AS $$ SELECT evil.no() IS NULL $$;
CREATE OPERATOR evil.= (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.refuse);
CREATE OPERATOR evil.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.refuse);
CREATE OPERATOR evil.~ (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.refuse);
CREATE OPERATOR evil.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = evil.refuse);
CREATE VIEW evil.pg_roles AS SELECT evil.no() AS rolname;
CREATE VIEW evil.pg_class AS SELECT evil.no() AS relname;
CREATE EXTENSION btree_gist SCHEMA public;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
ALTER DATABASE shadowed SET search_path = evil, public, pg_catalog;
""")
installs('shadowed', 'a search_path full of traps', expected)

new_database('watched')
server.run('watched', """
CREATE TABLE ddl (n int GENERATED ALWAYS AS IDENTITY, tag text, what text);
CREATE FUNCTION note() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.ddl (tag, what) SELECT d.command_tag, d.object_identity FROM pg_event_trigger_ddl_commands() AS d; END $$;
CREATE FUNCTION note_end() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN INSERT INTO public.ddl (tag, what) SELECT 'dropped', d.object_identity FROM pg_event_trigger_dropped_objects() AS d; END $$;
CREATE EVENT TRIGGER made ON ddl_command_end EXECUTE FUNCTION note();
CREATE EVENT TRIGGER dropped ON sql_drop EXECUTE FUNCTION note_end();
""")
installs('watched', 'event triggers', expected)
server.run('watched', 'DROP EXTENSION revacct CASCADE;')
tap.eq(server.value('watched', "SELECT bool_or(tag = 'CREATE EXTENSION' AND what = 'revacct'), bool_or(tag = 'CREATE TABLE' AND what = 'revacct_data.event_2024'), bool_or(tag = 'dropped' AND what = 'revacct_data.event_2024') FROM ddl;"),
       't|t|t', 'they see the extension made, years made, and all dropped')

ALL = 'TABLES', 'FUNCTIONS', 'TYPES', 'SEQUENCES', 'SCHEMAS'
for what, grants in (('default privileges that take', ['REVOKE ALL ON FUNCTIONS FROM PUBLIC', 'REVOKE ALL ON TYPES FROM PUBLIC']), ('default privileges that give', ['GRANT ALL ON %s TO %s' % (sort, whom) for sort in ALL for whom in ('visitor', 'PUBLIC')])):
    name = new_database('default_%d' % len(grants))
    server.run(name, 'CREATE EXTENSION btree_gist;\n' + '\n'.join('ALTER DEFAULT PRIVILEGES %s;' % grant for grant in grants))
    installs(name, what, expected)
    # also of what is made later: the years of the ledger, and the temporary tables through which facts come in
    later = [line for line in do(server, name, None, """
        SELECT grant_access('loader', 'postgres');
        SELECT record_event('crm', 'lead', 'L', 'created', '2031-01-01', source_key => 'k'), record_link('crm', 'lead', 'L', 'account', 'account', 'A'), record_money('crm', 'cost', '2025-01-01', 1, 'EUR', source_key => 'k'), record_commitment('crm', 'promise', 'x', 'dora', source_key => 'k');
        SELECT 'may: ' || c.oid::regclass || ' ' || p FROM pg_class AS c, unnest('{SELECT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]) AS p
        WHERE (c.relnamespace IN ('revacct_data'::regnamespace, pg_my_temp_schema()) OR c.relnamespace = 'revacct'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND has_table_privilege('visitor', c.oid, p) ORDER BY 1;
        SELECT 'tables: ' || count(*) FROM pg_class AS c WHERE c.relname ~ '^(event_20|revacct_(incoming|meaning))' AND c.relkind = 'r';""") if line.startswith(('may: ', 'tables: '))]
    tap.ok(len(later) == 1 and int(later[0].split()[1]) >= 8, '%s: nor is anything of what is made later somebody else\'s' % what, *later[:8])
    tap.eq([refusal(server, name, 'visitor', statement)[:5] for statement in ("SELECT revacct.grant_access('council', 'visitor');", 'SELECT revacct._put_in_force(1);', 'CREATE FUNCTION revacct.f() RETURNS int LANGUAGE SQL RETURN 1;', 'TRUNCATE revacct_data.rejected;')],
           ['42501'] * 4, '%s: and a visitor remains one' % what)

# ---- at once, and in template1 -------------------------------------------------------------------------------------------------------------------------------

pair = [new_database('one'), new_database('another')]
failed = []


def in_its_own(database):
    try:
        server.run(database, lived.CREATE)
        live(server, database)
    except SqlError as error:
        failed.append(str(error))


threads = [threading.Thread(target=in_its_own, args=(database,)) for database in pair]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
tap.eq(failed, [], 'installed in two databases at once, which live at once')
for database in pair:
    lived.compare(tap, lived.answers(server, database), expected, 'database %s: the same answers' % database)

new_database('contested')
server.run('contested', 'CREATE EXTENSION btree_gist;')
first, second = Session(server, 'contested'), Session(server, 'contested')
first.run('BEGIN;\nCREATE EXTENSION revacct;')
second.send('CREATE EXTENSION revacct;')
wait_for(lambda: server.value('contested', "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %d;" % second.pid) == '1', 'the second waits for the first')
first.run('COMMIT;')
try:
    second.answer()
    said = ''
except SqlError as refused:
    said = str(refused)
tap.ok(re.search('ERROR:  (42710|23505|42P06)', said), 'of two who install in one database, the second is refused', said)
same_objects('contested', 'and the first has it')
first.close()
second.close()

server.run('template1', lived.CREATE)
new_database('from_template', 'TEMPLATE template1 OWNER owner')
same_objects('from_template', 'in a database made from a template1 that has it')
lives('from_template', 'from template1', expected)
tap.ok(refusal(server, 'from_template', 'owner', "SELECT revacct.grant_access('reader', 'owner');").startswith('42501'), 'who administers it is who installed it, not who owns the copy')
server.run('template1', 'DROP EXTENSION revacct;')
tap.ok('PANIC' not in server.log() and 'terminated by signal' not in server.log(), 'the server never crashed')
tap.done()
