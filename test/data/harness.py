"""What the tests on real data and on other systems' cases share: TAP output, one psql session, the shared folder.

Standard library only. A test file does

    tap, db, shared = harness.start()
    ...
    tap.done()

and ends with exit code 0 when all is well. Connection: PGHOST, PGPORT, PGUSER, PGDATABASE; the extension exists there.
The data lie in the folder named by SHARED (default: `shared` beside the repository root). None of them is copied here.
"""
import atexit
import json
import math
import os
import subprocess
import sys
import time
import traceback

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
        return self.ok(near(got, want, tol, relative), text, 'got      %r' % (got,),
                       'expected %r (tolerance %g)' % (want, tol))

    def table(self, text, got, want, tol=0.0, relative=False):
        """Two dicts (or lists, of figures or of anything nested) must agree, figure by figure."""
        bad = []
        compare(got, want, tol, relative, '', bad)
        n = leaves(want)
        shown = bad if len(bad) <= 12 else bad[:11] + ['… and %d more' % (len(bad) - 11)]
        return self.ok(not bad and n > 0, '%s (%d figures)' % (text, n), *shown)

    def done(self):
        print('1..%d' % self.count, flush=True)
        sys.exit(1 if self.failed or not self.count else 0)


def is_number(x):
    return isinstance(x, (int, float)) and not isinstance(x, bool)


def near(got, want, tol, relative=False):
    """relative: the tolerance is of the figure, once that is above 1."""
    if got is None or want is None:
        return got is want
    if not (is_number(got) and is_number(want)):
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
        self.run("reset all; set search_path = revacct, public; set time zone 'UTC';"
                 "set client_min_messages = warning; set jit = off;")

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
        out = self.run("select coalesce(json_agg(row_to_json(a_row)), '[]') from (\n%s\n) a_row;" % query)
        return json.loads('\n'.join(out))

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
        return '\n'.join(self.run('explain (costs off) %s;' % query))

    def sqlstate(self, statement):
        """The SQLSTATE with which a statement fails, or None."""
        self.run("""
            create or replace function pg_temp.sqlstate_of(statement text) returns text language plpgsql as $f$
            begin
              execute statement;
              return null;
            exception when others then
              return sqlstate;
            end $f$;""")
        return self.value('select pg_temp.sqlstate_of(%s) as s' % literal(statement))


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


def days(interval):
    """An interval in SQL, as days with all their microseconds."""
    return '(extract(epoch from (%s))::float8 / 86400)' % interval


def dist(x):
    """The reference folders' summary of a column x, in SQL."""
    share = lambda name, p: 'percentile_cont(%s) within group (order by %s) as %s' % (p, x, name)
    return ', '.join(['count({0}) as n, min({0}) as min, max({0}) as max, avg({0}) as mean'.format(x),
                      share('p10', 0.1),
                      share('p25', 0.25), share('median', 0.5), share('p75', 0.75), share('p90', 0.9)])


# Independent Kaplan–Meier arithmetic beyond refstats.
Z95 = 1.959963984540054


def kaplan_meier(refstats, times, events, limits):
    """Rows (t, at risk, events, S, standard error, low, high) at event times; where S is 0 the last three are None."""
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
    """First t with F(t) >= p; on a plateau at exactly p the midpoint to the next event, else to the last observed time."""
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
    """The area under the curve to tau, and its standard error: the sum over events of (area after)^2 d / (n (n - d))."""
    rows = [r for r in rows if r[0] <= tau]
    corners = [(0.0, 1.0)] + [(r[0], r[3]) for r in rows] + [(tau, None)]
    areas = [s * (u - t) for (t, s), (u, _) in zip(corners, corners[1:])]
    after = [sum(areas[i + 1:]) for i in range(len(rows))]
    return [sum(areas), math.sqrt(sum(a * a * d / (n * (n - d)) for a, (_, n, d, *_) in zip(after, rows) if n > d))]


def clock():
    return time.monotonic()
