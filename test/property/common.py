"""What the property tests share: TAP, a psql session, SQL literals, random definitions and histories.

The extension must be there already; the connection is libpq's environment (PGHOST, PGPORT, PGUSER, PGDATABASE).
SEED repeats a run, SCALE multiplies its size.
"""
import os
import random
import subprocess
import sys
from decimal import Decimal

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "model"))

import journeys                                                       # noqa: E402
from journeys import DAY, SECOND, Mark                                # noqa: E402
from lifecycles import Lifecycle, Range, Span                         # noqa: E402

SCALE = float(os.environ.get("SCALE", "1"))
SEED = int(os.environ.get("SEED") or random.SystemRandom().randrange(1 << 32))
HOUR = 3600 * SECOND
PRELUDE = ("SET search_path = revacct, public;\nSET timezone = 'UTC';\nSET datestyle = 'ISO, YMD';\n"
           "SET intervalstyle = 'postgres';\nSET extra_float_digits = 1;\nSET client_min_messages = warning;\n")


def scaled(n):
    return max(1, int(n * SCALE))


# ---- TAP ----------------------------------------------------------------------------------------------------------

class Tap:
    def __init__(self):
        self.n = self.failed = 0
        print("# seed %d" % SEED, flush=True)

    def ok(self, good, text, notes=()):
        self.n += 1
        self.failed += not good
        print("%s %d - %s" % ("ok" if good else "not ok", self.n, text))
        if not good:
            self.note(*notes)
        sys.stdout.flush()
        return good

    def note(self, *notes):
        for note in notes:
            for line in str(note).split("\n"):
                print("# " + line)

    def none(self, wrong, text, checked=None):
        """A list of complaints must be empty (and, when told how many things were looked at, some must have been)."""
        if checked is not None:
            text = "%s (%d)" % (text, checked)
        if checked == 0 and not wrong and SCALE < 1:
            return self.skip(text, "SCALE is below 1")
        notes = ["%d wrong" % len(wrong)] + wrong[:5] if wrong else ["nothing was checked"]
        return self.ok(not wrong and checked != 0, text, notes)

    def skip(self, text, why):
        self.n += 1
        print("ok %d - %s # SKIP %s" % (self.n, text, why))

    def done(self):
        print("1..%d" % self.n)
        sys.exit(1 if self.failed else 0)


def bail_out(why):
    text = str(why).strip().split("\n")
    print("Bail out! " + text[0])
    for line in text[1:60]:
        print("# " + line)
    sys.exit(1)


# ---- psql ---------------------------------------------------------------------------------------------------------

MARKER = "\x01 answer "
ESCAPES = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def unescape(field):
    """One field of COPY's text format."""
    if field == "\\N":
        return None
    if "\\" not in field:
        return field
    out, i = [], 0
    while i < len(field):
        if field[i] == "\\":
            i += 1
            out.append(ESCAPES.get(field[i], field[i]))
        else:
            out.append(field[i])
        i += 1
    return "".join(out)


def escape(x):
    if x is None:
        return "\\N"
    if isinstance(x, bool):
        return "t" if x else "f"
    return str(x).replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def run_psql(script, *args, raw=False):
    """stdout of psql fed with script (bytes or text); a CalledProcessError when it fails."""
    data = script if isinstance(script, bytes) else script.encode("utf-8")
    env = dict(os.environ, PGCLIENTENCODING="UTF8", PGAPPNAME="revacct property test")
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", *args], input=data, env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError("psql failed: " + done.stderr.decode("utf-8", "replace"))
    return done.stdout if raw else done.stdout.decode("utf-8")


class Session:
    """A script in the making: run(), load() and query() add to it, go() runs it in one psql and gives the answers."""

    def __init__(self):
        self.parts, self.queries = [PRELUDE], 0

    def run(self, sql):
        self.parts.append(sql.rstrip().rstrip(";") + ";\n")

    def load(self, table, rows):
        self.parts.append("COPY %s FROM STDIN;\n" % table)
        self.parts.extend("\t".join(map(escape, row)) + "\n" for row in rows)
        self.parts.append("\\.\n")

    def query(self, sql):
        """The number of the answer in what go() returns."""
        return self.show("COPY (%s) TO STDOUT" % sql)

    def show(self, sql):
        """The same for a statement that is no query (EXPLAIN): its lines, each a row of one field."""
        self.parts.append("\\echo '%s%d'\n%s;\n" % (MARKER, self.queries, sql))
        self.queries += 1
        return self.queries - 1

    def go(self):
        try:
            out = run_psql("".join(self.parts))
        except RuntimeError as e:
            bail_out(e)
        answers = [[] for _ in range(self.queries)]
        current = None
        for line in out.split("\n")[:-1]:
            if line.startswith(MARKER):
                current = answers[int(line[len(MARKER):])]
            elif current is not None:
                current.append([unescape(f) for f in line.split("\t")])
        self.parts, self.queries = [PRELUDE], 0
        return answers


def sqlstate(statement):
    """The SQLSTATE a statement fails with, or '00000'."""
    script = PRELUDE + "\\set VERBOSITY sqlstate\n" + statement + ";\n"
    env = dict(os.environ, PGCLIENTENCODING="UTF8")
    done = subprocess.run(["psql", "-XAtq", "-v", "ON_ERROR_STOP=1"], input=script.encode(), env=env,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode == 0:
        return "00000"
    words = [w for line in done.stderr.decode().split("\n") if "ERROR:" in line for w in line.split()]
    return words[-1] if words else "?"


# ---- SQL literals and readers -------------------------------------------------------------------------------------

def quote(s):
    return "NULL" if s is None else "'" + s.replace("'", "''") + "'"


def sql_span(span):
    return None if span is None else "%d mons %d days %d microseconds" % span


def sql_timestamp(t):
    return "NULL::timestamptz" if t is None else "timestamptz '%s'" % journeys.sql_time(t)


def sql_array(items, type_="text"):
    return "ARRAY[%s]::%s[]" % (", ".join(quote(x) for x in items), type_)


def sql_range(r):
    ends = [quote(None if t is None else journeys.sql_time(t)) + "::timestamptz" for t in (r.lower, r.upper)]
    return "tstzrange(%s, %s, '%s%s')" % (*ends, "[" if r.lower_inc else "(", "]" if r.upper_inc else ")")


def sql_lifecycle(life):
    """The call that makes the lifecycle, default options left out."""
    g, args = life.given, []
    args.append(quote(g["name"]))
    for key in ("stages", "active", "lost", "no_decision", "recycled", "churned"):
        if g[key]:
            args.append("%s => %s" % (key, sql_array(g[key])))
    if g["won"]:
        args.append("won => " + quote(g["won"]))
    if g["marks"]:
        args.append("marks => " + sql_array([" ".join(str(i) for i in ids) for ids in g["marks"]]))
    for key, default in (("skip", "impute"), ("attempt", "best"), ("times", "nondecreasing"), ("visits", "all"),
                         ("unknown", "error"), ("time_zone", "UTC")):
        if g[key] != default:
            args.append("%s => %s" % (key, quote(g[key])))
    if g["within"] is not None:
        args.append("within => %s::interval" % quote(sql_span(g["within"])))
    if g["step_within"]:
        args.append("step_within => " + sql_array([sql_span(s) for s in g["step_within"]], "interval"))
    if g["entry_range"] is not None:
        args.append("entry_range => " + sql_range(g["entry_range"]))
    return "revacct.lifecycle(%s)" % ", ".join(args)


def time_of(x):
    """What PostgreSQL printed for a timestamptz in UTC, as microseconds."""
    if x is None:
        return None
    date, clock, *bc = x.replace("+00", "").split(" ")
    y, m, d = (int(n) for n in date.split("-"))
    hh, mm, ss = clock.split(":")
    seconds, _, fraction = ss.partition(".")
    return journeys.at(1 - y if bc else y, m, d, int(hh), int(mm), int(seconds), int(fraction.ljust(6, "0")))


def micros(expression):
    """SQL for a timestamptz or an interval without months as microseconds.  Exact, but for times within thirty years of
    the last timestamptz, whose epoch PostgreSQL rounds."""
    return "(extract(epoch FROM %s) * 1000000)" % expression


def whole(x):
    """What micros() printed, as an integer."""
    if x is None:
        return None
    d = Decimal(x)
    assert d == int(d), x
    return int(d)


def integer(x):
    return None if x is None else int(x)


def real(x):
    return None if x is None else float(x)


def close(a, b, tolerance=1e-9):
    """Equal to within tolerance, absolute or relative; None equals None only."""
    if a is None or b is None:
        return a is None and b is None
    a, b = float(a), float(b)
    return abs(a - b) <= tolerance * max(1.0, abs(a), abs(b))


# ---- random definitions and histories -----------------------------------------------------------------------------

ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/Sao_Paulo",
         "Africa/Casablanca")
# when clocks go forward, and back (UTC)
CHANGES = (("America/New_York", ((2024, 3, 10, 7), (2024, 11, 3, 6))), ("Europe/Berlin", ((2024, 3, 31, 1), (2024, 10, 27, 1))),
           ("Australia/Lord_Howe", ((2024, 10, 5, 15, 30), (2024, 4, 6, 15))))
NAMES = ("lead", "mql", "sql", "Proposal sent", "négociation", "legal's", "verbal, ok", "commit", "won", "lost", "dead",
         'no "decision"', "nurture", "later", "gone", "churn", "s17", "s18", "s19", "s20")


class World:
    """One random definition with its as_of, its unit of time, and a way to make histories for it."""

    def __init__(self, rng, purpose, clock_change=False):
        self.rng = rng
        names = list(NAMES)
        rng.shuffle(names)
        take = lambda low, high: [names.pop() for _ in range(rng.randint(low, high))]
        g = dict(name="world")
        if rng.random() < 0.7:
            g["stages"], g["won"] = take(1, 5), names.pop()
        elif rng.random() < 0.5:
            g["stages"], g["active"] = take(1, 3), take(1, 3)
        else:
            g["stages"] = take(2, 5)
        for key in ("lost", "no_decision", "recycled", "churned"):
            if rng.random() < (0.6 if key == "lost" else 0.35):
                g[key] = take(1, 2)
        plain = Lifecycle(**g)

        self.calendar = clock_change or rng.random() < 0.2
        self.unit = DAY if self.calendar else rng.choice((1, SECOND, SECOND * 7, HOUR, DAY))
        # the starts of daylight saving time and its ends, the ends of months, a leap day, any time
        start = rng.choice(((2024, 3, 8), (2024, 3, 28), (2024, 10, 25), (2024, 11, 1), (2024, 1, 29), (2023, 12, 30),
                            (2024, 2, 27), (2021, 4, 2), (1999, 12, 31), (2026, 10, 1)))
        self.start = journeys.at(*start)
        if rng.random() < 0.8:
            self.start += rng.randrange(DAY // (30 * 60 * SECOND)) * 30 * 60 * SECOND
        if rng.random() < 0.3:
            self.start += rng.randrange(SECOND)
        self.spread = rng.choice((3, 8, 20, 60)) if not self.calendar else rng.choice((20, 60, 120))
        self.as_of = self.start + self.unit * rng.choice((self.spread // 2, self.spread, self.spread * 3 // 4,
                                                          self.spread * 2))

        # the day before the clock changes: a window of a local day ends in the hour that is missing, or is there twice
        self.zone = None
        if clock_change or self.calendar and rng.random() < 0.3:
            self.zone, changes = rng.choice(CHANGES)
            self.unit, self.spread = 30 * 60 * SECOND, 56
            self.start = journeys.at(*rng.choice(changes)) - DAY - 2 * HOUR
            self.as_of = self.start + self.unit * rng.choice((50, 56, 70))

        g["visits"] = rng.choice(("all", "all", "first", "last", "cumulative")) if purpose == "velocity" else "all"
        if rng.random() < 0.3:
            g["entry_range"] = self.random_range()
        if rng.random() < 0.3:
            g["unknown"] = "count"
        if self.zone or rng.random() < 0.5:
            g["time_zone"] = self.zone or rng.choice(ZONES)
        if purpose == "funnel":
            g["skip"] = rng.choice(("impute", "impute", "strict", "strict", "any"))
            g["attempt"] = rng.choice(("first", "last", "best", "all"))
            g["times"] = rng.choice(("nondecreasing", "increasing"))
            if clock_change:
                g["skip"] = "strict"
            if clock_change or rng.random() < 0.5:
                g["within"] = self.random_span()
            if rng.random() < 0.4:
                g["step_within"] = [self.random_span() if rng.random() < 0.7 else None for _ in range(plain.steps)]
        if rng.random() < 0.4:
            g["marks"] = self.random_marks(plain, shared=g.get("skip") == "strict" and not g.get("step_within"))
        self.life = Lifecycle(**g)
        # ids this lifecycle names, some more often, and ids that are not its business
        ids = [i for s in self.life.marks[1:] for i in s]
        steps = [i for s in self.life.marks[1:self.life.steps + 1] for i in s]
        self.ids = ids + steps * rng.choice((1, 2, 4)) + [0, 32767, 500]

    def random_span(self):
        rng = self.rng
        if self.zone:
            return Span(0, 1, rng.choice((0, 0, 0, 30 * 60 * SECOND)))
        if self.calendar:
            return Span(rng.choice((0, 1, 1, 2)), rng.choice((0, 0, 1, 3)), rng.choice((0, 0, HOUR, 30 * 60 * SECOND)))
        return Span(0, 0, self.unit * rng.choice((0, 1, 2, 3, 5, 10)) + rng.choice((0, 0, 0, 1)))

    def random_range(self):
        rng = self.rng
        ends = sorted(rng.sample(range(0, self.spread + 3), 2))
        lower, upper = (self.start + self.unit * e for e in ends)
        return Range(None if rng.random() < 0.2 else lower, None if rng.random() < 0.2 else upper,
                     rng.random() < 0.7 or self.unit == 1, rng.random() < 0.4)     # never without an instant in it

    def random_marks(self, plain, shared):
        rng = self.rng
        pool = rng.sample(range(1, 41), plain.count * 2)
        marks = [[pool.pop() for _ in range(rng.choice((1, 1, 2)))] for _ in range(plain.count)]
        steps = plain.steps - (plain.won is not None)
        if shared and steps > 1:
            for _ in range(rng.randint(0, 3)):
                a, b = rng.sample(range(steps), 2)
                moved = rng.choice(marks[a])
                if moved not in marks[b]:
                    marks[b].append(moved)
        return marks

    def history(self, longest=14):
        """Marks from a small range of times: many ties, some values, some sequence numbers."""
        rng = self.rng
        out = []
        spread = rng.choice((1, self.spread // 2 + 1, self.spread + 1))
        with_seq = rng.random() < 0.3
        for _ in range(rng.randint(0, longest)):
            # where the clock changes, marks of its two days only: some six hours of each
            k = rng.randrange(spread) if self.zone is None else rng.choice((rng.randrange(12), 44 + rng.randrange(12)))
            t = self.start + self.unit * k
            if rng.random() < 0.05:
                t += rng.choice((-1, 1))
            out.append(Mark(t, rng.choice(self.ids), rng.choice((None, None, None, 1, 2)),
                            rng.choice((None, 1, 2, 3)) if with_seq else None))
        if rng.random() < 0.5:                  # half of the subjects mean to advance
            t = self.start + self.unit * rng.randrange(max(1, spread // 2))
            for stage in range(1, self.life.steps + 1):
                if rng.random() < 0.75:
                    out.append(Mark(t, rng.choice(sorted(self.life.marks[stage])), None, None))
                t += self.unit * rng.choice((0, 0, 1, 1, 2))
            out = rng.sample(out, min(len(out), longest))
        rng.shuffle(out)
        return out
