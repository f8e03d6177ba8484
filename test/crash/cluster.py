"""A cluster of a test's own, to be killed and started again: made by scripts/lib.sh, with the programs and the extension of the server under test.

What is killed here is the postmaster of that cluster and its children, by their process ids, and nobody else. The cluster runs without fsync, as all of
the tests' servers do: a process that dies loses nothing that the operating system has, and the machine is not switched off.
"""
import atexit
import os
import signal
import re
import subprocess
import sys
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8')
from harness import SqlError                                              # noqa: E402

# new_scratch makes the folder, as_server runs in it as the server's user. What the sanitizers need is in the environment of the server under test.
MAKE = r'''
. "$1/scripts/lib.sh"
trap 'remove_scratch "$scratch"' EXIT
new_scratch
bindir=$2 pid=$3
shift 3
ln -s "$bindir/pg_ctl" "$scratch/pg_ctl"
while IFS= read -r line; do
	case $line in LD_PRELOAD=* | ASAN_OPTIONS=* | UBSAN_OPTIONS=*) server_env+=("$line") ;; esac
done < <(as_server cat "/proc/$pid/environ" 2>/dev/null | tr '\0' '\n')
start_server "$@"
printf '%s\n' "$scratch" "$PGHOST" "$PGPORT" "$(declare -p server_env)"
trap - EXIT
'''
WITH_SCRATCH = '. "$1/scripts/lib.sh"; scratch=$2; bindir=$3; shift 3; '


def psql(environment, database, statements):
    for _ in range(300):
        done = once(environment, database, statements)
        # after a kill -9 the server takes a moment to come back
        if not re.search('in recovery mode|is starting up|is not yet accepting', done.stderr):
            break
        time.sleep(0.1)
    if done.returncode:
        raise SqlError(done.stderr.strip())
    return done.stdout.splitlines()


def once(environment, database, statements):
    return subprocess.run(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', database], input=statements, env=environment,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')


class Cluster:
    def __init__(self, *settings):
        program, pid = psql(os.environ, os.environ['PGDATABASE'], "SELECT split_part(pg_read_file('postmaster.opts'), ' ', 1); SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1);")
        self.bindir = os.path.dirname(program)
        made = subprocess.run(['bash', '-c', MAKE, '-', ROOT, self.bindir, pid, *settings], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')
        if made.returncode:
            raise RuntimeError('no cluster: ' + made.stderr)
        self.scratch, host, port, self.server_env = made.stdout.rstrip('\n').split('\n', 3)
        self.sanitized = 'ASAN' in self.server_env
        atexit.register(self.remove)
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith('PG')}
        self.environment.update(PGHOST=host, PGPORT=port, PGUSER='postgres', PGCLIENTENCODING='UTF8', PGTZ='UTC', PGOPTIONS='-c client_min_messages=warning -c jit=off')

    def script(self, commands, *arguments):
        return subprocess.run(['bash', '-c', WITH_SCRATCH + commands, '-', ROOT, self.scratch, self.bindir, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8')

    def remove(self):
        self.script('remove_scratch "$scratch"')

    def log(self):
        with open(os.path.join(self.scratch, 'server.log'), encoding='utf-8', errors='replace') as log:
            return log.read()

    def run(self, database, statements):
        return psql(self.environment, database, statements)

    def value(self, database, query):
        return '\n'.join(self.run(database, query))

    def start(self):
        done = self.script(self.server_env + '; as_server env "${server_env[@]}" "$bindir/pg_ctl" -D "$scratch/data" -l "$scratch/server.log" -s -w start')
        if done.returncode:
            raise RuntimeError('the server does not start again: %s\n%s' % (done.stdout, self.log()[-2000:]))

    def postmaster(self):
        with open(os.path.join(self.scratch, 'data', 'postmaster.pid')) as file:
            return int(file.readline())

    def kill_all(self):
        """SIGKILL to the postmaster and all of its children, as if the machine's memory were gone; and up again."""
        postmaster = self.postmaster()
        family = [postmaster] + children_of(postmaster)
        for pid in family:
            kill(pid)
        wait_for(lambda: not any(alive(pid) for pid in family), 'the killed processes are gone')
        # Where nobody buries orphans (a container without an init), the dead postmaster still has its number, and its lock files would count.
        for path in (os.path.join(self.scratch, 'data', 'postmaster.pid'), os.path.join(self.environment['PGHOST'], '.s.PGSQL.%s.lock' % self.environment['PGPORT'])):
            if os.path.exists(path):
                os.unlink(path)
        self.start()

    def wait_until_up(self, killed):
        """After a backend was killed the postmaster ends all the others, recovers, and accepts connections again. Until it has noticed, it accepts them, too, and
        the one that was killed is still among the sessions."""
        def up():
            try:
                return self.run('postgres', 'SELECT count(*) FROM pg_stat_activity WHERE pid = %d;' % killed) == ['0']
            except SqlError:
                return False
        wait_for(up, 'the server accepts connections')


class Session:
    """One psql, whose statements may be left alone at work."""
    MARK = '--end-of-answer--'

    def __init__(self, cluster, database):
        self.psql = subprocess.Popen(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose', '-d', database], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                     stderr=subprocess.STDOUT, encoding='utf-8', env=cluster.environment)
        self.pid = int(self.run('SELECT pg_backend_pid();')[0])

    def send(self, statements):
        try:
            self.psql.stdin.write(statements.rstrip() + '\n\\echo ' + self.MARK + '\n')
            self.psql.stdin.flush()
        except BrokenPipeError:
            pass

    def answer(self):
        """What came; an SqlError if that was an error, or the connection's end."""
        out = []
        for line in self.psql.stdout:
            line = line.rstrip('\n')
            if line == self.MARK:
                return out
            out.append(line)
        raise SqlError('\n'.join(out) or 'psql ended')

    def run(self, statements):
        self.send(statements)
        return self.answer()

    def close(self):
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait()


def children_of(parent):
    found = []
    for name in os.listdir('/proc'):
        if name.isdigit():
            try:
                with open('/proc/%s/stat' % name) as stat:
                    if int(stat.read().rsplit(')', 1)[1].split()[1]) == parent:
                        found.append(int(name))
            except OSError:
                pass
    return found


def alive(pid):
    try:
        with open('/proc/%d/stat' % pid) as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def wait_for(condition, what, seconds=60):
    """Bounded, and no measure of anything."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError('waited in vain: ' + what)
        time.sleep(0.02)
