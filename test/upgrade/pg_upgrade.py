#!/usr/bin/env python3
"""Half of a pg_upgrade: `pg_upgrade.py before FILE` fills databases of the old server and keeps in FILE what they say, `pg_upgrade.py after FILE` asks
those of the new one. scripts/check-pg-upgrade runs both, and pg_upgrade in between."""
import atexit
import pickle
import sys

import filled
from contents import drop_databases, drop_roles, psql, tap

when, path = sys.argv[1:]
if when == 'before':
    databases = filled.fill()
    # they are to stay: what the test made goes with the server
    atexit.unregister(drop_databases)
    atexit.unregister(drop_roles)
    said = filled.ask(databases)
    tap.eq([name for name, answer in said.items() if not answer.strip()], [], 'there is something of everything')
    version = psql('postgres', 'SHOW server_version_num;')
    with open(path, 'wb') as file:
        pickle.dump((filled.ROLES, databases, said, int(version) // 10000), file)
else:
    with open(path, 'rb') as file:
        filled.ROLES, databases, said, old = pickle.load(file)
    new = int(psql('postgres', 'SHOW server_version_num;')) // 10000
    what = '%d to %d' % (old, new)
    tap.ok(new > old, what)
    filled.compare(tap, said, filled.ask(databases), what)
    filled.goes_on(tap, databases, what)
    for name, database in databases.items():
        psql(database, 'DROP EXTENSION revacct CASCADE;')
        tap.eq(psql(database, "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('revacct_data');"), '0\n', '%s: dropped from the database of %s' % (what, name))
tap.done()
