"""A hot standby of a Cluster: taken from it by pg_basebackup, in a folder of its own, following it over its socket."""
import atexit
import subprocess

import cluster
from cluster import Cluster, wait_for

MAKE = r'''
. "$1/scripts/lib.sh"
trap 'remove_scratch "$scratch"' EXIT
new_scratch
bindir=$2 primary=$3 port=$4
shift 4
ln -s "$bindir/pg_ctl" "$scratch/pg_ctl"
export PGHOST=$scratch/socket PGPORT=$((49152 + RANDOM % 16384))
install -d -m 700 -o "$(server_user)" "$PGHOST"
as_server "$(pg --bindir)/pg_basebackup" -d "host=$primary port=$port user=postgres" -D "$scratch/data" -R -X stream -c fast --no-sync >&2
for setting in "unix_socket_directories=$PGHOST" "port=$PGPORT" "$@"; do
	printf "%s = '%s'\n" "${setting%%=*}" "${setting#*=}"
done >>"$scratch/data/postgresql.conf"
trap - EXIT
printf '%s\n' "$scratch" "$PGHOST" "$PGPORT"
'''


class Standby(Cluster):
    def __init__(self, primary, *settings):
        self.bindir, self.server_env, self.sanitized = primary.bindir, primary.server_env, primary.sanitized
        made = subprocess.run(['bash', '-c', MAKE, '-', cluster.ROOT, self.bindir, primary.environment['PGHOST'], primary.environment['PGPORT'], *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
        if made.returncode:
            raise RuntimeError('no standby: ' + made.stderr)
        self.scratch, host, port = made.stdout.split()
        atexit.register(self.remove)
        self.environment = dict(primary.environment, PGHOST=host, PGPORT=port)
        self.start()

    def catch_up(self, primary):
        """Until everything is replayed that the primary has written so far."""
        written = primary.value('postgres', 'SELECT pg_current_wal_flush_lsn();')
        wait_for(lambda: self.value('postgres', "SELECT pg_last_wal_replay_lsn() >= '%s';" % written) == 't', 'the standby has replayed what the primary wrote')

    def set(self, **settings):
        self.run('postgres', ''.join("ALTER SYSTEM SET %s = '%s';\n" % setting for setting in settings.items()) + 'SELECT pg_reload_conf();')

    def promote(self):
        self.run('postgres', 'SELECT pg_promote(true, 60);')
