"""What the tests on real data and on other systems' cases share: TAP output, one psql session, the shared folder.

Standard library only. A test file does

    tap, db, shared = harness.start()
    ...
    tap.done()

and ends with exit code 0 when all is well. Connection: PGHOST, PGPORT, PGUSER, PGDATABASE; the extension exists there.
The data lie in the folder named by SHARED (default: `shared` beside the repository root). None of them is copied here.
"""
import atexit, json, math, os, subprocess, sys, time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SIX = 5.0000001e-7          # a figure given to 6 decimals
CENT = 0.0050000001         # a figure given to 2 decimals


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def say(self, *lines):
        for line in lines:
            for part in str(line).split('\n'):
                print('# ' + part, flush=True)

    def ok(self, good, text, *diagnostics):
        self.count += 1
        self.failed += not good
        print('%sok %d - %s' % ('' if good else 'not ', self.count, text.replace('#', 'no. ')), flush=True)
        if not good:
            self.say(*diagnostics)
        return good

    def eq(self, got, want, text):
        return self.ok(got == want, text, 'got      %r' % (got,), 'expected %r' % (want,))

    def near(self, got, want, text, tol=SIX, relative=False):
        return self.ok(near(got, want, tol, relative), text, 'got      %r' % (got,), 'expected %r (tolerance %g)' % (want, tol))

    def table(self, text, got, want, tol=0.0, relative=False):
        """Two dicts (or lists, of figures or of anything nested) must agree, figure by figure."""
        bad = []
        compare(got, want, tol, relative, '', bad)
        n = leaves(want)
        return self.ok(not bad and n > 0, '%s (%d figures)' % (text, n), *(bad[:12] + (['… and %d more' % (len(bad) - 12)] if len(bad) > 12 else [])))

    def done(self):
        print('1..%d' % self.count, flush=True)
        sys.exit(1 if self.failed or not self.count else 0)


def near(got, want, tol, relative=False):
    if got is None or want is None:
        return got is want
    if isinstance(want, bool) or isinstance(got, bool) or not isinstance(want, (int, float)) or not isinstance(got, (int, float)):
        return got == want
    if math.isnan(got) or math.isnan(want):
        return False
    return abs(got - want) <= tol * (max(1.0, abs(want)) if relative else 1.0)


def compare(got, want, tol, relative, path, bad):
    if isinstance(want, dict) and isinstance(got, dict):
        for key in list(want) + [k for k in got if k not in want]:
            if key not in got or key not in want:
                bad.append('%s/%s: only in %s' % (path, key, 'what we got' if key in got else 'what is expected'))
            else:
                compare(got[key], want[key], tol, relative, '%s/%s' % (path, key), bad)
    elif isinstance(want, (list, tuple)) and isinstance(got, (list, tuple)):
        if len(got) != len(want):
            bad.append('%s: %d elements, expected %d' % (path, len(got), len(want)))
        for i, (g, w) in enumerate(zip(got, want)):
            compare(g, w, tol, relative, '%s/%d' % (path, i), bad)
    elif not near(got, want, tol, relative):
        bad.append('%s: got %r, expected %r' % (path, got, want))


def leaves(x):
    if isinstance(x, dict):
        return sum(leaves(v) for v in x.values())
    if isinstance(x, (list, tuple)):
        return sum(leaves(v) for v in x)
    return 1


class SqlError(Exception):
    pass


class Db:
    """One psql session; statements go in, tuples-only lines come out. Ends at the first error."""
    MARK = '--end-of-answer--'

    def __init__(self):
        self.psql = subprocess.Popen(['psql', '-XAtq', '-v', 'ON_ERROR_STOP=1'], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding='utf-8')
        atexit.register(self.close)
        self.settings()

    def settings(self):
        """The settings of a new session."""
        self.run("reset all; set search_path = revacct, public; set time zone 'UTC'; set client_min_messages = warning; set jit = off;")

    def close(self):
        if self.psql.poll() is None:
            try:
                self.psql.stdin.close()
                self.psql.wait(30)
            except Exception:
                self.psql.kill()

    def run(self, statements):
        """Run statements; return their output lines."""
        out = []
        try:
            self.psql.stdin.write(statements.rstrip() + '\n\\echo ' + self.MARK + '\n')
            self.psql.stdin.flush()
        except BrokenPipeError:
            pass
        for line in self.psql.stdout:
            line = line.rstrip('\n')
            if line == self.MARK:
                return out
            out.append(line)
        raise SqlError('\n'.join(out) or 'psql ended')

    def rows(self, query):
        """The rows of a query, each a dict (numbers as Python numbers)."""
        got = '\n'.join(self.run("select coalesce(json_agg(row_to_json(a_row)), '[]') from (\n%s\n) a_row;" % query.rstrip().rstrip(';')))
        return json.loads(got)

    def row(self, query):
        got = self.rows(query)
        if len(got) != 1:
            raise SqlError('one row expected, %d came:\n%s' % (len(got), query))
        return got[0]

    def value(self, query):
        return list(self.row(query).values())[0]

    def load(self, table, columns, rows, create='create temp table'):
        """Make a table (columns: 'a int, b text') and fill it, in the order of rows."""
        def text(v):
            if v is None:
                return '\\N'
            return str(v).replace('\\', '\\\\').replace('\t', '\\t').replace('\n', '\\n').replace('\r', '\\r')
        self.run('%s %s (%s);' % (create, table, columns))
        names = [c.split()[0] for c in columns.split(',')]
        self.run('copy %s (%s) from stdin;\n%s\\.' % (table, ', '.join(names),
                 ''.join('\t'.join(text(v) for v in r) + '\n' for r in rows)))
        if create == 'create temp table':
            self.run('analyze %s;' % table)

    def plan(self, query):
        return '\n'.join(self.run('explain (costs off) ' + query.rstrip().rstrip(';') + ';'))

    def sqlstate(self, statement):
        """The SQLSTATE with which a statement fails, or None."""
        quoted = "'" + statement.replace("'", "''") + "'"
        self.run("create or replace function pg_temp.sqlstate_of(s text) returns text language plpgsql as $f$ declare st text; begin execute s; return null; "
                 "exception when others then get stacked diagnostics st = returned_sqlstate; return st; end $f$;")
        return self.value('select pg_temp.sqlstate_of(%s) as s' % quoted)


def start(folder):
    """Tap, Db and the path of a folder in SHARED. Without SHARED: a failure in CI, a skip elsewhere."""
    shared = os.path.abspath(os.environ.get('SHARED') or os.path.join(os.path.dirname(ROOT), 'shared'))
    if not os.path.isdir(os.path.join(shared, folder)):
        if os.environ.get('CI') == 'true':
            print('not ok 1 - the folder %s of SHARED is there\n# SHARED must be set in CI\n1..1' % folder)
            sys.exit(1)
        print('1..0 # SKIP no folder %s in SHARED' % folder)
        sys.exit(0)
    sys.path.insert(0, os.path.join(shared, 'data'))
    tap = Tap()

    def crash(kind, value, trace):
        if kind is SystemExit:
            return
        import traceback
        tap.ok(False, 'the test ran to its end', ''.join(traceback.format_exception(kind, value, trace)))
        print('1..%d' % tap.count, flush=True)
        os._exit(1)
    sys.excepthook = crash
    return tap, Db(), os.path.join(shared, folder)


def reference(folder):
    with open(os.path.join(folder, 'reference.json'), encoding='utf-8') as f:
        return json.load(f)


def literal(text):
    return 'NULL' if text is None else "'" + str(text).replace("'", "''") + "'"


def array(items):
    """A text[] value."""
    return 'array[%s]::text[]' % ', '.join(literal(i) for i in items)


# Days with all their microseconds, and the seven-number summary of the reference folders, in SQL.
DAYS = "(extract(epoch from (%s))::float8 / 86400)"
DIST = ("count({x}) as n, min({x}) as min, percentile_cont(0.1) within group (order by {x}) as p10, percentile_cont(0.25) within group (order by {x}) as p25, "
        "percentile_cont(0.5) within group (order by {x}) as median, avg({x}) as mean, percentile_cont(0.75) within group (order by {x}) as p75, "
        "percentile_cont(0.9) within group (order by {x}) as p90, max({x}) as max")


def days(sql):
    return DAYS % sql


def dist(sql):
    return DIST.format(x=sql)


# Independent Kaplan–Meier arithmetic beyond refstats: limits on three scales, quantiles on any curve, restricted mean.
Z95 = 1.959963984540054


def kaplan_meier(refstats, times, events, limits):
    """Rows (t, at risk, events, S, standard error, low, high) at event times; the limits recomputed for log-log and plain."""
    out = []
    for t, n, d, s, se, low, high in refstats.km(times, events):
        if limits == 'log-log' and s > 0:
            if s < 1:
                w = Z95 * se / (s * math.log(s))
                low, high = sorted((s ** math.exp(w), s ** math.exp(-w)))
            else:
                low = high = 1.0
        elif limits == 'plain' and s > 0:
            low, high = max(0.0, s - Z95 * se), min(1.0, s + Z95 * se)
        out.append((t, n, d, s, se, low, high) if s > 0 else (t, n, d, 0.0, None, None, None))
    return out


def quantile(rows, p, column=3, last=None):
    """First t with F(t) >= p; on a plateau at exactly p the midpoint to the next event (or to the last observed time)."""
    target = 1 - p
    for i, r in enumerate(rows):
        v = r[column]
        if v is not None and v <= target + 1.49e-8:
            if abs(v - target) <= 1.49e-8:
                later = [x[0] for x in rows[i + 1:] if x[column] is None or x[column] < target - 1.49e-8]
                end = later[0] if later else last
                return (r[0] + end) / 2 if end is not None else r[0]
            return r[0]
    return None


def restricted_mean(rows, tau):
    area, at, s = 0.0, 0.0, 1.0
    for r in rows:
        if r[0] > tau:
            break
        area += s * (r[0] - at)
        at, s = r[0], r[3]
    return area + s * (tau - at)


def clock():
    return time.monotonic()
