#!/usr/bin/env python3
"""DROP EXTENSION, after a full life: refused while something of somebody else's depends on it, and told what; then nothing is left in any catalog, what people own and roles stay, and it can be created again. Also
roles that go, or hand over what they own; a dump restored where its roles are not; and what a database administrator does to tables: rewriting, clustering, reindexing and moving them, with amcheck finding nothing."""
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
import lived
from lived import Cluster, Session, Tap, do, live, refusal, wait_for

tap = Tap()
server = Cluster('autovacuum=off', 'allow_in_place_tablespaces=on')
lived.make_people(server)
server.run('postgres', 'CREATE ROLE owner LOGIN; CREATE ROLE heir LOGIN;')
server.run('postgres', 'CREATE DATABASE company;')
server.run('company', 'CREATE EXTENSION btree_gist;')
at_first = lived.catalogs(server, 'company')


def nothing_left(what, before, database='company'):
    after = lived.catalogs(server, database)
    tap.ok(after == before, '%s: nothing is left in any catalog (%d rows)' % (what, len(before)), *['- ' + line[:250] for line in before - after][:8] + ['+ ' + line[:250] for line in after - before][:8])


# ---- something depends on it ---------------------------------------------------------------------------------------------------------------------------------

server.run('company', 'CREATE EXTENSION revacct;')
live(server, 'company')
expected = lived.answers(server, 'company')
do(server, 'company', None, """
    CREATE SCHEMA bi;
    CREATE VIEW bi.wins AS SELECT period, sum(converted) AS won FROM funnel GROUP BY period;
    CREATE MATERIALIZED VIEW bi.monthly AS SELECT * FROM bi.wins;
    CREATE TABLE bi.kept AS SELECT j.subject_id, j.journey, lifecycle('deals') AS agreed FROM journeys() AS j;
    CREATE INDEX ON bi.kept USING hash (journey);
    CREATE FUNCTION bi.entered(j journey) RETURNS timestamptz BEGIN ATOMIC SELECT entered(j, lifecycle('deals')); END;
    CREATE TABLE bi.plain AS SELECT * FROM funnel;
    GRANT SELECT ON ALL TABLES IN SCHEMA bi TO bill; GRANT SELECT ON revacct_data.event TO bill; GRANT USAGE ON SCHEMA revacct_data TO bill;""")
before = lived.catalogs(server, 'company')
said = refusal(server, 'company', None, 'DROP EXTENSION revacct;')
tap.ok(said.startswith('2BP01: cannot drop extension revacct because other objects depend on it'), 'not dropped while somebody\'s depend on it', said)
named = sorted(set(re.findall(r'(?:DETAIL: |(?<= ))((?:materialized view|view|column|function|index|table|trigger|constraint|type|default value) [^;]*?) depends on', said)))
tap.ok(named and all('bi.' in what for what in named), 'and nothing but what is theirs is named', *named, said[:600])
tap.eq([what for what in ('view bi.wins', 'materialized view bi.monthly', 'column journey of table bi.kept', 'column agreed of table bi.kept', 'function bi.entered') if what not in said], [], 'all of that is')
tap.ok(lived.catalogs(server, 'company') == before, 'and nothing has changed')
lived.compare(tap, lived.answers(server, 'company'), expected, 'nor what is answered')

# somebody is at work
reader, loader = Session(server, 'company'), Session(server, 'company')
reader.run("SET search_path = revacct, public;\nPREPARE known AS SELECT fingerprint(lifecycle('deals'));\nEXECUTE known;\nBEGIN;\nSELECT count(*) FROM funnel;")
loader.run("SELECT revacct.grant_access('loader', 'postgres');\nSELECT revacct.record_event('crm', 'lead', 'L', 'created', '2025-01-01', source_key => 'l1');\nSELECT count(*) FROM revacct.refresh(false);")
dropper = Session(server, 'company')
dropper.send('DROP EXTENSION revacct CASCADE;')
wait_for(lambda: server.value('company', 'SELECT count(*) FROM pg_locks WHERE NOT granted AND pid = %d;' % dropper.pid) == '1', 'who drops it waits for who reads')
reader.run('COMMIT;')
dropper.answer()
dropper.close()
tap.eq(server.run('company', "SELECT c.oid::regclass FROM pg_class AS c WHERE c.relnamespace IN ('bi'::regnamespace, 'crm'::regnamespace) AND c.relkind IN ('r', 'v', 'm') ORDER BY c.oid::regclass::text;"), ['bi.kept', 'bi.plain', 'crm.events', 'crm.links', 'crm.progress', 'crm.raw'],
       'with CASCADE views of people go, tables stay, as do mappings, which only read what was landed')
tap.eq(server.run('company', "SELECT attname FROM pg_attribute WHERE attrelid = 'bi.kept'::regclass AND attnum > 0 AND NOT attisdropped; SELECT count(*) > 10 FROM bi.kept; SELECT count(*) > 100 FROM bi.plain; SELECT count(*) FROM pg_roles WHERE rolname IN ('ana', 'cleo', 'lou', 'lab', 'bill');"),
       ['subject_id', 't', 't', '5'], 'with their rows, without the columns of its types; and roles stay')
reader.run('\\set ON_ERROR_STOP 0')
tap.ok(re.search('ERROR:  (42704|42883|3F000)', ' '.join(reader.run('EXECUTE known;'))), 'a session that had compiled is told that it is gone')

# ---- again ----------------------------------------------------------------------------------------------------------------------------------------------------

server.run('company', 'DROP SCHEMA crm CASCADE; DROP SCHEMA bi CASCADE; CREATE EXTENSION revacct;')
live(server, 'company')
lived.compare(tap, lived.answers(server, 'company'), expected, 'created again, the same life gives the same answers')
tap.eq(reader.run('EXECUTE known;'), server.run('company', "SELECT revacct.fingerprint(revacct.lifecycle('deals'));"), 'and the session that had compiled compiles again')
tap.eq(loader.run("SELECT revacct.grant_access('loader', 'postgres');\nSELECT revacct.record_event('crm', 'lead', 'L', 'created', '2025-01-01', source_key => 'l1');\nSELECT count(*) FROM revacct.refresh(false);")[-1], '3', 'a session that had recorded facts records them, by its temporary tables of before')
reader.close()
loader.close()
server.run('company', 'DROP SCHEMA crm CASCADE; DROP EXTENSION revacct;')
nothing_left('dropped without CASCADE after a life in which nobody made anything of their own', at_first)

# ---- by the owner of a database, who hands it over ----------------------------------------------------------------------------------------------------------------

server.run('postgres', 'CREATE DATABASE owned OWNER owner;')
server.run('owned', 'CREATE EXTENSION btree_gist;')
owned_at_first = lived.catalogs(server, 'owned')
do(server, 'owned', 'owner', 'CREATE EXTENSION revacct;')
live(server, 'owned', 'owner')
do(server, 'owned', 'owner', 'DROP EXTENSION revacct;')
server.run('owned', 'DROP SCHEMA crm CASCADE;')
nothing_left('dropped by the owner of the database', owned_at_first, 'owned')
do(server, 'owned', 'owner', 'CREATE EXTENSION revacct;')
live(server, 'owned', 'owner')
server.run('owned', 'REASSIGN OWNED BY owner TO heir;')
tap.eq(server.value('owned', "SELECT extowner::regrole FROM pg_extension WHERE extname = 'revacct';"), 'heir', 'REASSIGN OWNED hands the extension over')
do(server, 'owned', 'lou', "SELECT record_event('crm', 'lead', 'L', 'created', '2033-01-01', source_key => 'l1'); SELECT count(*) FROM refresh(false);")
tap.eq(server.value('owned', "SELECT has_table_privilege('heir', 'revacct_data.event_2033', 'SELECT'), has_table_privilege('owner', 'revacct_data.event_2033', 'SELECT');"), 't|f', 'facts are recorded as ever, and a new year is read by the heir')
lived.compare(tap, {**lived.answers(server, 'owned', 'lab'), 'numbers of names': expected['numbers of names'], 'events': expected['events'], 'journeys': expected['journeys']}, {**expected}, 'and everybody reads what they read')
server.run('owned', 'DROP OWNED BY owner;')
tap.eq(server.value('owned', "SELECT count(*) FROM pg_extension WHERE extname = 'revacct'; SELECT count(*) FROM pg_shdepend WHERE refobjid = 'owner'::regrole AND dbid = (SELECT oid FROM pg_database WHERE datname = 'owned');"), '1\n0', 'who handed it over has no privileges left, and it stays')
server.run('owned', 'REASSIGN OWNED BY lou TO ana;\nDROP OWNED BY heir CASCADE;\nDROP SCHEMA crm CASCADE;\nALTER DATABASE owned OWNER TO owner;')
nothing_left('DROP OWNED of its owner drops it', owned_at_first, 'owned')

# ---- roles that go ---------------------------------------------------------------------------------------------------------------------------------------------

server.run('company', 'CREATE EXTENSION revacct;')
live(server, 'company')
server.run('company', 'DROP OWNED BY lab;\nDROP ROLE lab;')
lived.compare(tap, lived.answers(server, 'company', 'ana'), expected, 'an analyst is gone: nothing else is')
server.run('company', 'CREATE ROLE lab LOGIN;\nGRANT USAGE ON SCHEMA revacct TO PUBLIC;')
tap.eq([refusal(server, 'company', 'lab', what)[:5] for what in ("SELECT lifecycle('deals');", 'SELECT * FROM funnel;', 'SELECT * FROM journeys();', "SELECT * FROM refresh();", 'SELECT * FROM revacct_data.event;')], ['', '42501', '42501', '42501', '42501'],
       'another of her name has what everybody has, also where everybody may look into the schema')
server.run('company', 'REVOKE USAGE ON SCHEMA revacct FROM PUBLIC;')
tap.eq([refusal(server, 'company', 'lab', what)[:5] for what in ('SELECT * FROM revacct.funnel;', 'SELECT * FROM revacct.journeys();', 'SELECT * FROM revacct_data.event;')], ['42501'] * 3, 'another of her name reads nothing')
do(server, 'company', None, "SELECT grant_access('analyst', 'lab');")
lived.compare(tap, lived.answers(server, 'company', 'lab'), expected, 'before access is granted to her')
server.run('company', 'REASSIGN OWNED BY lou TO ana;')
tap.eq([line.split('|')[0::2] for line in do(server, 'company', 'ana', "SELECT fact, rows_read, loaded FROM load('crm');")], [['event', '0'], ['link', '0']], 'mappings that were handed over are loaded by their new owner')

# ---- a dump where its roles are not -------------------------------------------------------------------------------------------------------------------------------

elsewhere = Cluster('autovacuum=off')
elsewhere.run('postgres', 'CREATE DATABASE company;')
with tempfile.TemporaryDirectory() as folder:
    archive = os.path.join(folder, 'company.dump')
    steps = [(server, ['pg_dump', '-Fd', '-j', '2', '--no-owner', '--no-privileges', '-f', archive, '-d', 'company'])]
    steps += [(elsewhere, ['pg_restore', '--exit-on-error', '--no-owner', '--no-privileges', '--section=' + section, '-j', '2', '-d', 'company', archive]) for section in ('pre-data', 'data', 'post-data')]
    failed = [done.stderr for done in (subprocess.run(command, env=where.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8') for where, command in steps) if done.returncode]
tap.eq(failed, [], 'dumped without owners and privileges, and restored section by section by two jobs where none of the roles is')
elsewhere.run('company', "SELECT revacct.grant_access('steward', 'postgres');\nSELECT count(*) FROM revacct.refresh(false);")
lived.compare(tap, lived.answers(elsewhere, 'company'), expected, 'there it is refreshed, and gives the same answers')
lived.make_people(elsewhere)
tap.eq(refusal(elsewhere, 'company', 'cleo', 'SELECT revacct.set_minimum_group(3);')[:5], '42501', 'who has a name that had access has no privilege')
elsewhere.run('company', ''.join("SELECT revacct.grant_access('%s', '%s');" % (level, who) for who, level in lived.PEOPLE.items()))
lived.compare(tap, lived.answers(elsewhere, 'company', 'lab'), expected, 'until access is granted')

# ---- rewritten, clustered, reindexed, moved ----------------------------------------------------------------------------------------------------------------------------

server.run('company', 'CREATE EXTENSION amcheck;')
OURS = "FROM pg_class AS c WHERE c.relnamespace = 'revacct_data'::regnamespace"


def sound(what):
    """amcheck reads every row of every table, and looks up every row in every B-tree."""
    found = server.run('company', """
        SELECT 'corrupt: ' || c.oid::regclass || ' ' || v.msg FROM pg_class AS c, LATERAL verify_heapam(c.oid) AS v WHERE c.relnamespace = 'revacct_data'::regnamespace AND c.relkind = 'r';
        SELECT bt_index_parent_check(c.oid, true, true) %(ours)s AND c.relkind = 'i' AND c.relam = (SELECT oid FROM pg_am WHERE amname = 'btree');
        SELECT count(*) %(ours)s AND c.relkind = 'r' AND pg_relation_size(c.oid) > 0; SELECT count(*) %(ours)s AND c.relkind = 'i';""" % dict(ours=OURS))
    counts = [int(line) for line in found if line.isdigit()]
    tap.ok(not any('corrupt' in line for line in found) and len(counts) == 2 and counts[0] > 25 and counts[1] > 40, '%s: amcheck finds nothing in %s tables and their indexes (%s)' % (what, *counts[:2]), *found[:5])


sound('loaded and refreshed')
clustered = server.run('company', "SELECT format('CLUSTER %s USING %I;', i.indrelid::regclass, c.relname) FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid WHERE c.relnamespace = 'revacct_data'::regnamespace AND i.indisprimary AND t.relkind = 'r';")
moved = server.run('company', "SELECT format('ALTER %s %s SET TABLESPACE side;', CASE c.relkind WHEN 'i' THEN 'INDEX' ELSE 'TABLE' END, c.oid::regclass) " + OURS + " AND c.relkind IN ('r', 'i');")
for what, statements in (
        ('VACUUM FULL', ['VACUUM (FULL, ANALYZE);']), ('CLUSTER', clustered), ('REINDEX', ['REINDEX SCHEMA revacct_data;', 'REINDEX SCHEMA CONCURRENTLY revacct_data;']),
        ('SET TABLESPACE', ["SET allow_in_place_tablespaces = on;", "CREATE TABLESPACE side LOCATION '';", *moved])):
    server.run('company', '\n'.join(statements))
    sound(what)
    lived.compare(tap, lived.answers(server, 'company'), expected, '%s: the same answers' % what)
tap.eq(server.value('company', "SELECT count(*) > 30 %s AND c.relkind = 'r' AND c.reltablespace = (SELECT oid FROM pg_tablespace WHERE spcname = 'side');" % OURS), 't', 'the tables are elsewhere')
do(server, 'company', 'ana', "UPDATE crm.progress SET batch = 3; SELECT count(*) FROM load('crm'); SELECT count(*) FROM refresh(false); SELECT record_event('crm', 'lead', 'L', 'created', '2034-01-01', source_key => 'l1'); SELECT count(*) FROM refresh(false, '0');")
tap.eq(do(server, 'company', None, 'SELECT count(*) FROM check_journeys(); SELECT count(*) > 100 FROM journeys();'), ['0', 'f'], 'and they go on')
sound('after that')
do(server, 'company', None, 'DROP EXTENSION revacct; DROP EXTENSION amcheck; DROP SCHEMA crm CASCADE;')
tap.eq(refusal(server, 'company', None, 'DROP TABLESPACE side;'), '', 'dropped, nothing is left there either')
tap.ok(not any(word in where.log() for where in (server, elsewhere) for word in ('PANIC', 'terminated by signal')), 'the servers never crashed')
tap.done()
