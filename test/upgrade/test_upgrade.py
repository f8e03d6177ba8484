#!/usr/bin/env python3
"""From each released version to this one, with data, and with users' views, functions and materialized views on it: before the update the new library
serves the old SQL, after it everything says what it said, goes on, and the catalogs are those of a new installation. By a superuser, and by a database's
owner. Released scripts are what they were."""
import glob
import hashlib
import lzma
import os
import re

from filled import ROLES, ask, compare, fill, goes_on
from contents import PSQL, SOURCE, execute, new_database, new_roles, psql, refusal, tap

HERE = os.path.dirname(os.path.abspath(__file__))
RELEASED = os.path.join(HERE, '../../sql/released')
OWNER = 'revacct_upgrade_owner_%d' % os.getpid()

# Everything an extension can be made of, in words that do not depend on numbers: objects, what they are, who may do what, and what is said of them.
# (pg_attver is a counter that PostgreSQL keeps in attoptions since some minor releases of 2026.)
MEMBERS = r"""
SET search_path = pg_catalog;
-- in a fixed order, and without the people of the test
CREATE FUNCTION pg_temp.acl(aclitem[]) RETURNS text LANGUAGE SQL AS $$ SELECT string_agg(a::text, ' ' ORDER BY a::text) FROM unnest($1) AS a WHERE a::text !~ '^revacct_upgrade_(?!owner)' $$;
CREATE TEMP TABLE member AS
SELECT d.classid, d.objid, i.type, i.identity FROM pg_depend AS d, pg_identify_object(d.classid, d.objid, 0) AS i, pg_extension AS e
WHERE e.extname = 'revacct' AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e';
SELECT replace(x::text, E'\n', ' ') FROM (
SELECT type, identity, 'owner', CASE WHEN type = 'schema' THEN (SELECT nspowner FROM pg_namespace WHERE oid = objid) WHEN classid = 'pg_class'::regclass THEN (SELECT relowner FROM pg_class WHERE oid = objid)
       WHEN classid = 'pg_proc'::regclass THEN (SELECT proowner FROM pg_proc WHERE oid = objid) WHEN classid = 'pg_type'::regclass THEN (SELECT typowner FROM pg_type WHERE oid = objid) END::regrole::text, NULL FROM member
UNION ALL SELECT m.type, identity, 'definition', CASE WHEN prokind IN ('f', 'p') THEN pg_get_functiondef(objid) ELSE (SELECT concat_ws(' ', aggkind, aggnumdirectargs, aggtransfn, aggfinalfn, aggcombinefn, aggserialfn, aggdeserialfn, aggmtransfn, aggfinalextra, aggfinalmodify, aggsortop, aggtranstype::regtype, aggtransspace, agginitval, proparallel, provolatile) FROM pg_aggregate WHERE aggfnoid = objid) END, pg_temp.acl(coalesce(proacl, acldefault('f', proowner))) FROM member AS m JOIN pg_proc ON classid = 'pg_proc'::regclass AND oid = objid
UNION ALL SELECT type, identity, 'view', pg_get_viewdef(objid), concat(pg_temp.acl(relacl), reloptions) FROM member JOIN pg_class ON classid = 'pg_class'::regclass AND oid = objid AND relkind = 'v'
UNION ALL SELECT type, identity, 'relation', concat_ws(' ', relkind, relpersistence, relrowsecurity, relforcerowsecurity, relreplident, reloptions, pg_get_partkeydef(objid)), pg_temp.acl(relacl) FROM member JOIN pg_class ON classid = 'pg_class'::regclass AND oid = objid
UNION ALL SELECT type, identity, 'column ' || attnum, concat_ws(' ', attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attgenerated, attcollation::regcollation, attstorage, attcompression, attstattarget, (SELECT string_agg(o, ' ') FROM unnest(attoptions) AS o WHERE o !~ '^pg_attver='), pg_get_expr(adbin, adrelid)), concat(pg_temp.acl(attacl), col_description(objid, attnum))
    FROM member JOIN pg_attribute ON classid = 'pg_class'::regclass AND attrelid = objid AND attnum > 0 AND NOT attisdropped LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
UNION ALL SELECT type, identity, 'constraint', concat_ws(' ', conname, pg_get_constraintdef(c.oid)), NULL FROM member JOIN pg_constraint AS c ON classid = 'pg_class'::regclass AND conrelid = objid
UNION ALL SELECT type, identity, 'index', pg_get_indexdef(indexrelid), NULL FROM member JOIN pg_index ON classid = 'pg_class'::regclass AND indrelid = objid
UNION ALL SELECT type, identity, 'trigger', concat_ws(' ', pg_get_triggerdef(t.oid), tgenabled), NULL FROM member JOIN pg_trigger AS t ON classid = 'pg_class'::regclass AND tgrelid = objid AND NOT tgisinternal
UNION ALL SELECT type, identity, 'statistics', pg_get_statisticsobjdef(s.oid), NULL FROM member JOIN pg_statistic_ext AS s ON classid = 'pg_class'::regclass AND stxrelid = objid
UNION ALL SELECT m.type, identity, 'type', concat_ws(' ', typlen, typbyval, typtype, typcategory, typdelim, typinput, typoutput, typreceive, typsend, typalign, typstorage, typcollation::regcollation, typsubscript), pg_temp.acl(typacl) FROM member AS m JOIN pg_type ON classid = 'pg_type'::regclass AND oid = objid
UNION ALL SELECT type, identity, 'operator', concat_ws(' ', oprcode, oprrest, oprjoin, oprcom::regoperator, oprnegate::regoperator, oprcanhash, oprcanmerge), NULL FROM member JOIN pg_operator ON classid = 'pg_operator'::regclass AND oid = objid
UNION ALL SELECT type, identity, 'class', concat_ws(' ', opcintype::regtype, opcdefault), NULL FROM member JOIN pg_opclass ON classid = 'pg_opclass'::regclass AND oid = objid
UNION ALL SELECT type, identity, 'family', concat_ws(' ', (SELECT string_agg(concat_ws(' ', amopstrategy, amopopr::regoperator), ', ' ORDER BY amopstrategy) FROM pg_amop WHERE amopfamily = objid), (SELECT string_agg(concat_ws(' ', amprocnum, amproc), ', ' ORDER BY amprocnum) FROM pg_amproc WHERE amprocfamily = objid)), NULL
    FROM member WHERE classid = 'pg_opfamily'::regclass
UNION ALL SELECT type, identity, 'cast', concat_ws(' ', castfunc::regprocedure, castcontext, castmethod), NULL FROM member JOIN pg_cast AS c ON classid = 'pg_cast'::regclass AND c.oid = objid
UNION ALL SELECT type, identity, 'comment', obj_description(objid, classid::regclass::text), NULL FROM member
UNION ALL SELECT type, identity, 'initial privileges', pg_temp.acl(initprivs), NULL FROM member JOIN pg_init_privs AS p ON p.classoid = classid AND p.objoid = member.objid AND objsubid = 0
    WHERE NOT EXISTS (SELECT FROM pg_proc AS f WHERE classid = 'pg_proc'::regclass AND f.oid = member.objid AND pg_temp.acl(initprivs) = pg_temp.acl(acldefault('f', proowner)))
UNION ALL SELECT 'dumped', t.c::regclass::text, t.w, NULL, NULL FROM pg_extension, unnest(extconfig, extcondition) AS t (c, w) WHERE extname = 'revacct') AS x;
"""


def members(database):
    return psql(database, MEMBERS).splitlines()


def difference(database, fresh):
    got, want = set(members(database)), set(members(fresh))
    return ['too much: ' + line[:600] for line in sorted(got - want)[:10]] + ['missing: ' + line[:600] for line in sorted(want - got)[:10]]


# ---- what was released --------------------------------------------------------------------------------------------------

with open(os.path.join(RELEASED, 'SHA256SUMS'), encoding='utf-8') as sums:
    wanted = {name: digest for digest, name in (line.split() for line in sums)}
files = {os.path.basename(path): path for path in glob.glob(os.path.join(RELEASED, 'revacct--*'))}
tap.eq(sorted(files), sorted(wanted), 'every released script has its checksum')
for name, path in files.items():
    with open(path, 'rb') as script:
        tap.eq(hashlib.sha256(script.read()).hexdigest(), wanted.get(name), 'released: %s is what it was' % name)

VERSIONS = sorted(re.fullmatch(r'revacct--([\d.]+)\.sql\.xz', name)[1] for name in files if name.count('--') == 1)
CURRENT = psql(SOURCE, "SELECT extversion FROM pg_extension WHERE extname = 'revacct';").strip()
FOLDER = psql(SOURCE, "SELECT setting || '/extension' FROM pg_config WHERE name = 'SHAREDIR';").strip()
tap.ok(VERSIONS and CURRENT not in VERSIONS, 'there are released versions, and this is none of them: %s, %s' % (', '.join(VERSIONS), CURRENT))
new_roles(OWNER)

for version in VERSIONS:
    script = os.path.join(FOLDER, 'revacct--%s.sql' % version)
    assert not os.path.exists(script), script
    with lzma.open(files['revacct--%s.sql.xz' % version]) as packed, open(script, 'wb') as unpacked:
        unpacked.write(packed.read())
    try:
        create = "CREATE EXTENSION revacct VERSION '%s' CASCADE" % version
        filled = fill(create)
        tap.eq(psql(filled['ledger'], "SELECT extversion FROM pg_extension WHERE extname = 'revacct';").strip(), version, '%s: installed' % version)
        tap.ok(difference(filled['model'], SOURCE), '%s: and another than this' % version)
        owned = new_database('owned', 'TEMPLATE template0 OWNER ' + OWNER)
        psql(owned, create + ';', OWNER)
        before = ask(filled)
        tap.eq([name for name, answer in before.items() if not answer.strip()], [], '%s: there is something of everything' % version)
        # an update that breaks off leaves the old version whole
        said = refusal(filled['ledger'], 'BEGIN; ALTER EXTENSION revacct UPDATE; SELECT 1 / 0;')
        tap.ok('division by zero' in said, '%s: an update that was rolled back' % version, said)
        compare(tap, before, ask(filled), '%s, update rolled back' % version)
        # what a careful, or a careless, administrator says of all that is to be made is not meant for the extension's objects
        psql(filled['values'], 'ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO %s; GRANT TRIGGER ON revacct_data.event TO %s;' % (OWNER, OWNER))
        psql(filled['ledger'], 'CREATE VIEW asked AS SELECT count(*) FROM journeys(); CREATE MATERIALIZED VIEW kept_answer AS SELECT * FROM asked;')
        for database in (*filled.values(), owned):
            done = execute(*PSQL, database, *(['-U', OWNER] if database == owned else []), text='ALTER EXTENSION revacct UPDATE;')
            tap.eq((done.returncode, re.findall('WARNING:.*', done.stderr)), (0, ['WARNING:  materialized view public.kept_answer can no longer be refreshed'] if database == filled['ledger'] else []), '%s to %s: updated, and told what it does to users\' own' % (version, CURRENT))
    finally:
        os.remove(script)
    compare(tap, before, ask(filled), '%s to %s' % (version, CURRENT))
    for what, database in filled.items():
        tap.eq(difference(database, SOURCE), [], '%s to %s: the database of %s has the catalogs of a new one' % (version, CURRENT, what))
    fresh = new_database('fresh', 'TEMPLATE template0 OWNER ' + OWNER)
    psql(fresh, 'CREATE EXTENSION revacct CASCADE;', OWNER)
    tap.eq(difference(owned, fresh), [], '%s to %s: updated by an owner who is no superuser it is what he would install' % (version, CURRENT))
    goes_on(tap, filled, '%s to %s' % (version, CURRENT))
tap.done()
