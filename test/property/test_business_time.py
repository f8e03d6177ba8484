#!/usr/bin/env python3
"""Random calendars where clocks do odd things, against business_time.py; then the laws of business time on larger
random input, near and far, judged by SQL alone; other words for the same calendar; every time zone; centuries."""
import random
import zoneinfo
from collections import Counter, defaultdict

import common                   # first: it says where the model lies
import business_time
import journeys
from business_time import HOUR, MINUTE, OUTSIDE, Calendar, Dated, Intersection, Timeline, Union, Weekly, local_date, row
from common import DAY, SECOND, Session, micros, quote, scaled, sql_array, sql_timestamp, whole

rng = random.Random(common.SEED)
tap = common.Tap()
wrong = defaultdict(list)
checked = Counter()
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))

# Where a clock does something odd, and the UTC date of it or the date before.
ODD = (
    ("UTC", (2024, 2, 28), (1999, 12, 31), (-3000, 6, 1)),
    ("Europe/Berlin", (2024, 3, 30), (2024, 10, 26), (1945, 5, 23), (1893, 3, 31), (1, 1, 1), (1850, 5, 5),
     (2100, 3, 27), (2900, 7, 3), (9999, 12, 31), (250000, 10, 28)),
    ("America/New_York", (2024, 3, 9), (2024, 11, 2), (1883, 11, 18), (2100, 11, 6), (2839, 7, 1), (9999, 3, 13)),
    ("Australia/Lord_Howe", (2024, 4, 6), (2024, 10, 5), (2500, 4, 3)),         # half an hour
    ("Pacific/Apia", (2011, 12, 29), (1892, 7, 4), (2010, 9, 25)),              # a day skipped, a day repeated
    ("Pacific/Kwajalein", (1993, 8, 20)),                                       # a day skipped
    ("Asia/Manila", (1844, 12, 30)),
    ("America/Juneau", (1867, 10, 18)),                                         # repeated from 15:33:32 to 15:33:31
    ("America/Sao_Paulo", (2018, 11, 3), (2018, 2, 17)),                        # at midnight
    ("Asia/Beirut", (2024, 3, 30), (2024, 10, 26)),
    ("Africa/Cairo", (2024, 4, 25), (2024, 10, 31)),
    ("Asia/Kathmandu", (1985, 12, 31)),                                         # a quarter of an hour
    ("America/St_Johns", (2010, 3, 13), (2010, 11, 6), (1988, 4, 2)),           # at 00:01, back into the day before
    ("Africa/Casablanca", (2024, 3, 9), (2024, 4, 13), (2087, 5, 10)),
    ("Antarctica/Troll", (2024, 3, 30), (2024, 10, 26)),                        # two hours
    ("Africa/Monrovia", (1972, 1, 6)))                                          # 44 minutes and 30 seconds
ZONES = tuple(o[0] for o in ODD)

# (opens, closes) in minutes; an end at or before its start runs over midnight
COMMON_ROWS = (
    (540, 1020), (540, 720), (780, 1020), (600, 840), (480, 1200), (0, 1440), (0, 0), (540, 540), (1080, 1440),
    (1320, 360), (1380, 60), (1410, 30), (0, 180), (90, 150), (120, 180), (60, 120), (150, 240), (0, 1), (1439, 1440))


# ---- a calendar in words ------------------------------------------------------------------------------------------

def clock_text(us):
    """A time of day, as short as it can be, or not."""
    minutes, rest = divmod(us, MINUTE)
    text = "%02d:%02d" % divmod(minutes, 60)
    if rest or rng.random() < 0.1:
        text += ":%02d" % (rest // SECOND)
        if rest % SECOND:
            text += (".%06d" % (rest % SECOND)).rstrip("0")
    return text


def row_text(r):
    midnight = r.closes == DAY and rng.random() < 0.3                      # 00:00 for 24:00
    return clock_text(r.opens) + "-" + clock_text(r.closes - DAY if r.closes > DAY or midnight else r.closes)


def days_text(days):
    """`mon wed fri-sun`: in ranges, which may run over the end of the week, or one by one."""
    if rng.random() < 0.2:
        return " ".join(DAYS[d] for d in sorted(days))
    if len(days) == 7:
        first = rng.choice((0, 0, 0, 3))
        return "%s-%s" % (DAYS[first], DAYS[(first + 6) % 7])
    words = []
    for first in sorted(d for d in days if (d - 1) % 7 not in days):
        length = 1
        while (first + length) % 7 in days:
            length += 1
        words.append(DAYS[first] + ("-" + DAYS[(first + length - 1) % 7] if length > 1 else ""))
    return " ".join(words)


def date_text(day):
    return "%04d-%02d-%02d" % journeys.civil_from_days(day)


def dated_text(d):
    return date_text(d.first) + (".." + date_text(d.last) if d.last > d.first else "") + " " + row_text(d.row)


def weekly_texts(some):
    """One text for each; those of the same days may share one."""
    by_days = defaultdict(list)
    for w in some:
        by_days[w.days].append(w.row)
    texts = []
    for days, rows in by_days.items():
        together = rng.random() < 0.5
        for group in [rows] if together else [[r] for r in rows]:
            texts.append(" ".join([days_text(days)] + [row_text(r) for r in group]))
    return texts


def sql_leaf(c):
    args = [quote(c.name), quote(c.time_zone), sql_array(weekly_texts(c.weekly))]
    breaks = weekly_texts(c.weekly_breaks) + [dated_text(d) for d in c.dated_breaks]
    for option, texts, type_ in (("shifts", [dated_text(d) for d in c.shifts], "text"), ("breaks", breaks, "text"),
                                 ("holidays", [date_text(d) for d in c.holidays], "date")):
        if texts:
            rng.shuffle(texts)
            args.append("%s => %s" % (option, sql_array(texts, type_)))
    if c.known_until is not None:
        known = c.known_until if c.known_until == "infinity" else date_text(c.known_until)
        args.append("known_until => date " + quote(known))
    return "business_calendar(%s)" % ", ".join(args)


def sql_calendar(c):
    if isinstance(c, Calendar):
        return sql_leaf(c)
    function = "calendar_intersection" if isinstance(c, Intersection) else "calendar_union"
    text = sql_calendar(c.parts[0])
    for part in c.parts[1:]:
        text = "%s(%s, %s)" % (function, text, sql_calendar(part))
    return text


# ---- the same calendar in other words -----------------------------------------------------------------------------

def pieces(r):
    """Rows that start on the same date and together are the row: they touch, or overlap."""
    cuts = (r.opens + 1, r.opens + MINUTE, (r.opens + r.closes) // 2, r.closes - 1)
    cuts = [t for t in cuts if r.opens < t < min(r.closes, DAY)]
    if not cuts:
        return [r]
    a, b = sorted((rng.choice(cuts), rng.choice(cuts)))
    return [row(r.opens, b), row(a, r.closes - DAY if r.closes > DAY else r.closes)]


def pieces_of_days(days):
    some = set(rng.sample(sorted(days), rng.randint(1, len(days))))
    return [frozenset(d) for d in (some, days - some) if d]


def pieces_of_dates(first, last):
    middle = rng.randint(first, last)
    return [(first, middle)] + ([(middle + 1, last)] if middle < last else [])


def permuted(c):
    """In another order, one of each twice."""
    again = lambda some: some + ([rng.choice(some)] if some else [])
    lists = [again(some) for some in (c.weekly, c.shifts, c.weekly_breaks, c.dated_breaks)]
    return Calendar(c.time_zone, *(rng.sample(some, len(some)) for some in lists), c.holidays, c.known_until, c.name)


def split(c):
    weekly = lambda some: [Weekly(days, r) for w in some for days in pieces_of_days(w.days) for r in pieces(w.row)]
    dated = lambda some: [Dated(first, last, r) for d in some for first, last in pieces_of_dates(d.first, d.last)
                          for r in pieces(d.row)]
    return permuted(Calendar(c.time_zone, weekly(c.weekly), dated(c.shifts), weekly(c.weekly_breaks),
                             dated(c.dated_breaks), c.holidays, c.known_until, c.name))


# ---- random calendars ---------------------------------------------------------------------------------------------

class Window:
    """Some days around something odd."""

    def __init__(self):
        self.zone, *dates = rng.choice(ODD)
        self.year, *_ = date = rng.choice(dates)
        self.odd = local_date(*date)
        self.fine = rng.random() < 0.15             # rows to the second and to the microsecond: of fewer days
        before, after = (2, 3) if self.fine else (rng.randint(2, 4), rng.randint(4, 6))
        self.start, self.end = (self.odd - before) * DAY, (self.odd + after) * DAY

    def random_row(self):
        if self.fine and rng.random() < 0.5:
            edge = rng.choice((9 * HOUR, 2 * HOUR, rng.randrange(DAY // SECOND) * SECOND))
            return row(*rng.choice(((edge, edge + 1), ((edge - 1) % DAY, edge + 1), (edge, edge + 90 * SECOND),
                                    (edge + 1, (edge + 8 * HOUR) % DAY), (edge, (edge + 14 * HOUR) % DAY))))
        if rng.random() < 0.75:
            return row(*(m * MINUTE for m in rng.choice(COMMON_ROWS)))
        return row(*(rng.randrange(1440) * MINUTE for _ in range(2)))

    def random_weekly(self):
        days = rng.choice((range(5), range(5), range(7), (5, 6), (5, 6, 0), rng.sample(range(7), rng.randint(1, 4))))
        return Weekly(frozenset(days), self.random_row())

    def random_date(self):
        """Mostly the odd date and its neighbours, but never outside the window."""
        return self.odd + rng.choice((0, 0, 0, 1, 1, -1, 2))

    def random_dated(self):
        first = self.random_date()
        return Dated(first, min(first + rng.choice((0, 0, 0, 1, 2)), self.odd + 2), self.random_row())

    def random_calendar(self, zone):
        some = lambda chance, most, make: [make() for _ in range(rng.randint(1, most))] if rng.random() < chance else []
        weekly = some(0.9, 3, self.random_weekly)
        dated = 1 if 1 < self.year < 9999 else 0
        holidays = some(0.5 * dated, 3, self.random_date)
        shifts = some(0.45 * dated, 3, self.random_dated)
        if holidays and shifts and rng.random() < 0.5:                      # a shift on a holiday
            shifts[0] = Dated(holidays[0], holidays[0], shifts[0].row)
        known = rng.choice((None, None, "infinity", max(holidays, default=self.odd) + rng.randint(0, 2)))
        return Calendar(zone, weekly, shifts, some(0.3, 2, self.random_weekly), some(0.3 * dated, 2, self.random_dated),
                        holidays, known if dated else None, rng.choice(("model", "support", "Büro's, \"late\"")))


class Case:
    def __init__(self):
        w = self.window = Window()
        parts = [w.random_calendar(w.zone)]
        while len(parts) < 3 and rng.random() < 0.3:
            parts.append(w.random_calendar(rng.choice((w.zone, rng.choice(ZONES), "UTC"))))
        self.leaf = parts[0]
        self.calendar = parts[0]
        for part in parts[1:]:
            self.calendar = rng.choice((Union, Union, Intersection))(*rng.sample((self.calendar, part), 2))
        self.sql = sql_calendar(self.calendar)
        # a little wider than the questions, so that what is only in shifts is there as a whole
        self.line = Timeline(self.calendar, w.start - 2 * DAY * (not w.fine), w.end + 2 * DAY * (not w.fine))
        edges = [t for pair in self.line.intervals for t in pair]
        midnights = [d * DAY - business_time.offset(w.zone, d * DAY) for d in range(w.start // DAY, w.end // DAY)]
        self.near = [t for t in edges + midnights if w.start < t < w.end]

    def random_time(self):
        w = self.window
        kind = rng.random()
        if kind < 0.5 and self.near:
            return rng.choice(self.near) + rng.choice((0, 0, 1, -1))
        step = rng.choice((1, SECOND, 15 * MINUTE))
        return w.start + rng.randrange((w.end - w.start) // step) * step

    def random_amount(self, t):
        """Mostly one that ends within the timeline; often where something closes, or a microsecond beside it."""
        u = self.random_time()
        n = self.line.business_time(t, u) + rng.choice((0, 0, 1, -1))
        sign = rng.choice((1, -1))
        return rng.choice((n, n, n, n // 2, 0, sign * HOUR, sign * rng.randrange(40 * HOUR)))

    def questions(self):
        """(kind, a, b, amount, what the model says)"""
        line, calendar, out = self.line, self.calendar, []
        times = lambda n: [self.random_time() for _ in range(n)]
        for t in times(24):
            out.append(("is_open", t, None, None, calendar.is_open(t)))
        for t, u in zip(times(20), times(20)):
            out.append(("business_time", t, u, None, line.business_time(t, u)))
        for t in times(24):
            n = self.random_amount(t)
            out.append(("business_add", t, None, n, line.business_add(t, n)))
        for t in times(12):
            out.append(("next_open", t, None, None, line.next_open(t)))
        for t, u in zip(times(4), times(4)):
            out.append(("open_intervals", t, u, None, line.open_intervals(t, u) if t < u else []))
        ends = []                                       # the midnights after which holidays are unknown, about
        for c in calendar.leaves():
            last = c.known_until if isinstance(c.known_until, int) else max(c.holidays, default=0)
            ends.append((last + 1) * DAY - business_time.offset(c.time_zone, (last + 1) * DAY) + rng.choice((0, -1)))
        for t in times(2) + ends:
            out.append(("beyond_horizon", t, None, None, calendar.beyond_horizon(t)))
        return out


def read_intervals(text):
    """What string_agg made of open_intervals."""
    return [tuple(map(whole, pair.split("/"))) for pair in (text or "").split()]


READ = {
    "is_open": ("is_open(c, a)", lambda x: x == "t"),
    "business_time": (micros("business_time(c, a, b)"), whole),
    "business_add": (micros("business_add(c, a, amount)"), whole),
    "next_open": (micros("next_open(c, a)"), whole),
    "open_intervals": ("(SELECT string_agg(%s || '/' || %s, ' ' ORDER BY n) FROM open_intervals(c, a, b)"
                       " WITH ORDINALITY AS x(opens_at, closes_at, n))" % (micros("opens_at"), micros("closes_at")),
                       read_intervals),
    "beyond_horizon": ("beyond_horizon(c, a)", lambda x: x == "t")}


def interval(us):
    return None if us is None else "%d microseconds" % us


def store(s, table, calendars):
    """A table of calendars, numbered, in SQL."""
    s.run("CREATE TEMP TABLE %s (id int PRIMARY KEY, c business_calendar)" % table)
    for i, sql in enumerate(calendars):
        s.run("INSERT INTO %s VALUES (%d, %s)" % (table, i, sql))


cases = [Case() for _ in range(scaled(240))]
s = Session()
store(s, "cals", [c.sql for c in cases])
s.run("CREATE TEMP TABLE q (n int, id int, kind text, a timestamptz, b timestamptz, amount interval)")
asked, rows = [], []
for i, case in enumerate(cases):
    for kind, a, b, amount, want in case.questions():
        if want == OUTSIDE:
            checked[OUTSIDE] += 1
            continue
        rows.append((len(asked), i, kind, journeys.sql_time(a), b and journeys.sql_time(b), interval(amount)))
        asked.append((case, kind, a, b, amount, want))
s.load("q", rows)
numbers = [s.query("SELECT n, %s FROM q JOIN cals USING (id) WHERE kind = '%s'" % (sql, kind))
           for kind, (sql, _) in READ.items()]
answers = s.go()
got = {int(n): answer for number in numbers for n, answer in answers[number]}
for n, (case, kind, a, b, amount, want) in enumerate(asked):
    answer = READ[kind][1](got[n])
    checked[kind] += 1
    checked["never"] += kind == "business_add" and want is None
    if answer != want:
        wrong[kind].append("%s\nfrom %s to %s, amount %s\ngot  %.600r\nwant %.600r" % (
            case.sql, journeys.sql_time(a), b and journeys.sql_time(b), amount, answer, want))
for kind in READ:
    tap.none(wrong[kind], "%s = model" % kind, checked[kind])
tap.ok(checked["never"] or common.SCALE < 1, "some amounts are never reached: NULL (%d)" % checked["never"])
shares = Counter("union, intersection" if not isinstance(c.calendar, Calendar) else "one" for c in cases)
tap.note("calendars: %s; questions the timelines were too short for: %d" % (dict(shares), checked[OUTSIDE]))


# ---- laws, near and far -------------------------------------------------------------------------------------------

FAR = [journeys.at(*date) for date in (
    (-3000, 1, 1), (1, 1, 1), (1, 12, 31, 23, 59, 59, 999999), (1850, 6, 1), (1900, 1, 1), (1969, 12, 31, 23),
    (2038, 1, 19, 3, 14, 8), (2100, 2, 28), (2437, 10, 25), (9999, 12, 31, 23, 59, 59, 999999), (10000, 1, 1),
    (99999, 7, 1), (250000, 4, 1))]


def far_time():
    if rng.random() < 0.2:
        return rng.randrange(FAR[0], FAR[-1])
    return rng.choice(FAR) + rng.choice((0, 0, 1, -1, rng.randrange(400 * DAY)))


def modern_time():
    return rng.randrange(journeys.at(1850, 1, 1), journeys.at(2100, 1, 1))


def time_near(t, years=2):
    return t + rng.randrange(-years * 366 * DAY, years * 366 * DAY)


class Laws:
    """Conditions that must hold for every row of a source, each checked by one query."""

    def __init__(self, session):
        self.session, self.asked = session, []

    def law(self, title, condition, source, show):
        number = self.session.query("""
            SELECT count(*), count(*) FILTER (WHERE ok IS NOT TRUE),
              array_to_string((array_agg(what) FILTER (WHERE ok IS NOT TRUE))[1:3], E'\\n')
            FROM (SELECT (%s) AS ok, (SELECT concat_ws(' | ', %s)) AS what FROM %s) y""" % (condition, show, source))
        self.asked.append((title, number))

    def settle(self):
        answers = self.session.go()
        for title, number in self.asked:
            count, failed, shown = answers[number][0]
            tap.ok(failed == "0" and int(count) > 0, "%s (%s)" % (title, count), ["%s wrong" % failed, shown])


def wall(a, b):
    return "(%s - %s)" % (micros(b), micros(a))


def amount(expression):
    """SQL for an interval of whole microseconds."""
    return "(trunc(%s)::text || ' microseconds')::interval" % expression


MICRO, NONE = "interval '1 microsecond'", "interval '0'"


def random_rows():
    """Each calendar is asked about the years around its window; a few, since that takes the server longer, about all
    times."""
    rows = []
    far_cases = set(rng.sample(range(len(cases)), min(len(cases), scaled(5))))
    for i, case in enumerate(cases):
        near = lambda: time_near(case.window.start)
        picks = [rng.choice((case.random_time, near)) for _ in range(24)]
        if i in far_cases:
            picks += [rng.choice((case.random_time, modern_time, far_time, far_time)) for _ in range(100)]
        for pick in picks:
            other = rng.choice((far_time, pick, pick)) if i in far_cases else pick
            t, x, u = (journeys.sql_time(f()) for f in (pick, pick, other))
            rows.append((i, t, x, u, "%.4f" % rng.random()))
    return rows


def load_rows(s, rows):
    s.run("CREATE TEMP TABLE r (id int, t timestamptz, x timestamptz, u timestamptz, p numeric)")
    s.load("r", rows)


def laws_of_time(laws):
    s, law = laws.session, laws.law
    s.run("""CREATE TEMP TABLE w AS SELECT r.*, c, business_time(c, t, x) AS n FROM r JOIN cals USING (id)""")
    law("business_time: additivity", "n + business_time(c, x, u) = business_time(c, t, u)", "w", "c, t, x, u")
    law("business_time: antisymmetry", "n = -business_time(c, x, t) AND business_time(c, t, t) = " + NONE,
        "w", "c, t, x")
    law("business_time: between 0 and wall time", """
        CASE WHEN t <= x THEN {n} BETWEEN 0 AND {wall} ELSE {n} BETWEEN {wall} AND 0 END
        """.format(n=micros("n"), wall=wall("t", "x")), "w", "c, t, x, n")
    law("business_time: hours and less",
        "extract(day FROM n) = 0 AND extract(month FROM n) = 0 AND extract(year FROM n) = 0", "w", "c, t, x, n")
    law("business_time: monotone in its end", "business_time(c, t, least(x, u)) <= business_time(c, t, greatest(x, u))",
        "w", "c, t, x, u")
    law("is_open says what business_time says of the next microsecond",
        "business_time(c, t, t + {0}) = CASE WHEN is_open(c, t) THEN {0} ELSE {1} END".format(MICRO, NONE), "w", "c, t")


def laws_of_add(laws):
    """n is reached at x or before, m somewhere on the way to u, h on the way to y: so none of them is out of range."""
    s, law = laws.session, laws.law
    s.run("""
        CREATE TEMP TABLE a AS
        SELECT *, business_add(c, t, n) AS y, business_add(c, t, m) AS z, %s AS h
        FROM (SELECT *, %s AS m FROM w) k
        """ % (amount(micros("n") + " * p"), amount(micros("business_time(c, t, u)") + " * p")))
    law("business_time(t, business_add(t, n)) = n", "business_time(c, t, y) = n AND business_time(c, t, z) = m",
        "a", "c, t, n, y, m, z")
    for n, u in (("n", "y"), ("m", "z")):
        law("business_add: the first such instant; backwards the last; 0 is t (%s)" % n, """
            CASE WHEN {n} > {none}
                 THEN {u} > t AND business_time(c, t, {u} - {micro}) < {n} AND is_open(c, {u} - {micro})
                 WHEN {n} < {none} THEN {u} < t AND business_time(c, t, {u} + {micro}) > {n} AND is_open(c, {u})
                 ELSE {u} = t END""".format(n=n, u=u, none=NONE, micro=MICRO), "a", "c, t, %s, %s" % (n, u))
    law("business_add: not past the instant up to which it was measured; nothing is open between", """
        business_time(c, y, x) = {0}
        AND CASE WHEN n = {0} THEN y = t WHEN t <= x THEN y <= x ELSE y >= x END""".format(NONE), "a", "c, t, x, n, y")
    law("business_add: monotone in n", "CASE WHEN n < m THEN y <= z WHEN n > m THEN y >= z ELSE y = z END",
        "a", "c, t, n, y, m, z")
    law("business_add: monotone in t", """
        CASE WHEN t <= b THEN business_add(c, t, k) <= business_add(c, b, k)
             ELSE business_add(c, t, k) >= business_add(c, b, k) END""",
        "(SELECT *, %s AS k FROM (SELECT *, t + (x - t) * (p::float8 / 2) AS b FROM w) b) k"
        % amount(micros("business_time(c, b, x)") + " * p"), "c, t, b, k")
    law("business_add: in two steps as in one", "business_add(c, business_add(c, t, h), n - h) = y",
        "a", "c, t, n, h, y")


def laws_of_next_open(laws):
    laws.law("next_open: open, and nothing before it; itself when open; NULL when never", """
        CASE WHEN is_open(c, t) THEN o = t
             WHEN o IS NULL THEN business_time(c, t, '280000-01-01') = {0}
             ELSE o > t AND is_open(c, o) AND business_time(c, t, o) = {0} END""".format(NONE),
             "(SELECT *, next_open(c, t) AS o FROM w) k", "c, t, o")
    laws.law("business_add of a microsecond: one after the next opening, NULL when there is none",
             "business_add(c, t, {0}) IS NOT DISTINCT FROM next_open(c, t) + {0}".format(MICRO), "w", "c, t")


def laws_of_intervals(laws):
    s, law = laws.session, laws.law
    s.run("""
        CREATE TEMP TABLE span AS
        SELECT row_number() OVER () AS no, c, t,
          t + least(greatest(x - t, interval '1 hour'), interval '40 days') AS x
        FROM w""")
    s.run("""
        CREATE TEMP TABLE v AS
        SELECT c, t, x, opens_at, closes_at, lag(closes_at) OVER (PARTITION BY no ORDER BY n) AS closed_at
        FROM span, LATERAL (SELECT * FROM open_intervals(c, t, x) WITH ORDINALITY AS i(opens_at, closes_at, n)) i""")
    law("open_intervals: their sum is business_time", "total = " + micros("business_time(c, t, x)"), """
        (SELECT *, (SELECT coalesce(sum(%s), 0) FROM open_intervals(c, t, x)) AS total FROM span) k
        """ % wall("opens_at", "closes_at"), "c, t, x, total")
    law("open_intervals: open throughout, from an opening to a closing or clipped, in order, apart", """
        opens_at < closes_at AND (opens_at > closed_at OR closed_at IS NULL) AND %s = %s
        AND CASE WHEN opens_at = t THEN is_open(c, t) ELSE opens_at > t AND NOT is_open(c, opens_at - %s) END
        AND (closes_at = x OR closes_at < x AND NOT is_open(c, closes_at))
        """ % (micros("business_time(c, opens_at, closes_at)"), wall("opens_at", "closes_at"), MICRO),
        "v", "c, t, x, closed_at, opens_at, closes_at")
    law("open_intervals: none when the end is not after the start",
        "NOT EXISTS (SELECT FROM open_intervals(c, greatest(t, u), least(t, u)))", "w", "c, t, u")


def laws_of_sets(laws):
    s, law = laws.session, laws.law
    s.run("""
        CREATE TEMP TABLE sets AS
        SELECT a.id, a.c AS a, b.c AS b, d.c AS d,
          calendar_union(a.c, b.c) AS a_or_b, calendar_intersection(a.c, b.c) AS a_and_b,
          calendar_intersection(a.c, calendar_union(b.c, d.c)) AS left_side,
          calendar_union(calendar_intersection(a.c, b.c), calendar_intersection(a.c, d.c)) AS right_side
        FROM cals a, cals b, cals d
        WHERE b.id = (a.id + 7) %% %d AND d.id = (a.id + 13) %% %d""" % (len(cases), len(cases)))
    source, show = "r JOIN sets USING (id)", "a, b, d, t, x"
    law("|A or B| = |A| + |B| - |A and B|", "%s + %s = %s + %s" % tuple(
        micros("business_time(%s, t, x)" % k) for k in ("a_or_b", "a_and_b", "a", "b")), source, show)
    law("a union is open when either is, an intersection when both are", """
        is_open(a_or_b, t) = (is_open(a, t) OR is_open(b, t))
        AND is_open(a_and_b, t) = (is_open(a, t) AND is_open(b, t))""", source, show)
    law("|A and (B or D)| = |(A and B) or (A and D)|",
        "business_time(left_side, t, x) = business_time(right_side, t, x)", source, show)
    law("beyond the horizon of any part", "beyond_horizon(a_or_b, t) = (beyond_horizon(a, t) OR beyond_horizon(b, t)) "
        "AND beyond_horizon(a_and_b, t) = (beyond_horizon(a, t) OR beyond_horizon(b, t))", source, show)
    for f in ("calendar_union", "calendar_intersection"):
        law(f + ": order, repetition and nesting give the same value", """
            {0}(a, b) = {0}(b, a) AND {0}(a, a) = a AND {0}(a, {0}(a, b)) = {0}(a, b)
            AND {0}({0}(a, b), d) = {0}(d, {0}(b, a))
            AND fingerprint({0}(a, {0}(b, d))) = fingerprint({0}({0}(b, a), {0}(d, a)))""".format(f), "sets", "a, b, d")


def laws_of_text(laws):
    law = laws.law
    law("text there and back: the same value, fingerprint and text",
        "k = c AND fingerprint(k) = fingerprint(c) AND k::text = c::text", """
        (SELECT c, c::text::business_calendar AS k
         FROM (SELECT c FROM cals UNION ALL SELECT right_side FROM sets UNION ALL SELECT a_or_b FROM sets) x) y""", "c")
    law("text there and back: the same answers",
        "business_time(k, t, x) = n AND beyond_horizon(k, u) = beyond_horizon(c, u)",
        "w JOIN (SELECT id, c::text::business_calendar AS k FROM cals) y USING (id)", "c, t, x, u")
    law("calendars are equal when their fingerprints are",
        "(a.c = b.c) = (fingerprint(a.c) = fingerprint(b.c)) AND (a.c <> b.c) = (NOT a.c = b.c)",
        "cals a, cals b WHERE a.id % 4 = b.id % 4", "a.c, b.c")


s = Session()
store(s, "cals", [c.sql for c in cases])
rows = random_rows()
load_rows(s, rows)
laws = Laws(s)
for some_laws in (laws_of_time, laws_of_add, laws_of_next_open, laws_of_intervals, laws_of_sets, laws_of_text):
    some_laws(laws)
laws.settle()

# ---- other words for the same -------------------------------------------------------------------------------------

s = Session()
laws = Laws(s)
leaves = [c.leaf for c in cases]
store(s, "one", [sql_leaf(c) for c in leaves])
store(s, "other", [sql_leaf(permuted(c)) for c in leaves])
store(s, "parted", [sql_leaf(split(c)) for c in leaves])
load_rows(s, rows)
for table, text in (("other", "rows in another order, some twice"), ("parted", "rows, days and dates split")):
    laws.law(text + ": the same answers", """
        business_time(a.c, t, x) = business_time(b.c, t, x) AND is_open(a.c, t) = is_open(b.c, t)
        AND next_open(a.c, u) IS NOT DISTINCT FROM next_open(b.c, u)
        AND beyond_horizon(a.c, t) = beyond_horizon(b.c, t)""",
             "r JOIN one a USING (id) JOIN %s b USING (id)" % table, "a.c, b.c, t, x, u")
    laws.law(text + ": the same value", "a.c = b.c AND fingerprint(a.c) = fingerprint(b.c)",
             "one a JOIN %s b USING (id)" % table, "a.c, b.c")
laws.settle()

# ---- every zone, by the local time that PostgreSQL itself shows ---------------------------------------------------

zones = sorted(zoneinfo.available_timezones() - {"localtime", "Factory", "posixrules"})
if common.SCALE < 1:
    zones = rng.sample(zones, scaled(len(zones)))
far_zones = set(rng.sample(zones, min(len(zones), scaled(6))))
rows = []
for zone in zones:
    base = modern_time()
    for pick in [lambda: time_near(base)] * 10 + [far_time, modern_time] * (8 * (zone in far_zones)):
        rows.append((zone, journeys.sql_time(pick()), journeys.sql_time(pick()), zone in far_zones))
s = Session()
laws = Laws(s)
s.run("CREATE TEMP TABLE z (zone text, t timestamptz, x timestamptz, far boolean)")
s.load("z", rows)
s.run("""
    CREATE TEMP TABLE zc AS
    SELECT *, t AT TIME ZONE zone AS here
    FROM z JOIN (
      SELECT zone, business_calendar('always', zone, '{mon-sun 00:00-24:00}') AS always,
        business_calendar('c', zone, '{mon-fri 08:30-12:00 13:00-17:00, sun 01:30-02:30, sat 22:00-24:00}') AS c,
        business_calendar('dated', zone, '{mon-fri 08:30-12:00 13:00-17:00, sun 01:30-02:30, sat 22:00-24:00}',
          shifts => '{3001-01-01 09:00-10:00}') AS dated,
        business_calendar('rest', zone, '{mon-sun 00:00-24:00}',
          breaks => '{mon-fri 13:00-17:00 08:30-12:00, sat 22:00-00:00, sun 01:30-02:30}') AS rest
      FROM (SELECT DISTINCT zone FROM z) k) y USING (zone)
    ORDER BY zone""")
show = "zone, t, x"
measure = lambda c: micros("business_time(%s, t, x)" % c)
laws.law("open round the clock is wall time, in every zone",
         "%s = %s AND is_open(always, t) AND next_open(always, t) = t"
         % (measure("always"), wall("t", "x")), "zc", show)
laws.law("round the clock, business_add is addition", "business_add(always, t, %s) = x" % amount(wall("t", "x")),
         "zc", show)
laws.law("hours and the rest of the week add up to wall time, in every zone",
         "%s + %s = %s" % (measure("c"), measure("rest"), wall("t", "x")), "zc", show)
# (to AT TIME ZONE, some zones are abbreviations: MET is always an hour ahead)
BY_LOCAL_TIME = """
    CASE extract(isodow FROM here)
      WHEN 6 THEN here::time >= '22:00'
      WHEN 7 THEN here::time >= '01:30' AND here::time < '02:30'
      ELSE here::time >= '08:30' AND here::time < '12:00' OR here::time >= '13:00' AND here::time < '17:00' END"""
A_ZONE = "zone NOT IN (SELECT abbrev FROM pg_timezone_abbrevs)"
laws.law("open by the local time that PostgreSQL shows, in every zone", "is_open(c, t) = " + BY_LOCAL_TIME,
         "zc WHERE " + A_ZONE, "zone, t, here")
s.run("CREATE TEMP TABLE k (zone text, t timestamptz)")
s.load("k", [(zone, journeys.sql_time(rng.randrange(journeys.at(2400, 1, 1), journeys.at(3600, 1, 1))))
             for zone in sorted(far_zones) for _ in range(500)])
laws.law("so too with a date of its own a thousand years ahead",
         "here::date = '3001-01-01' OR is_open(dated, t) = " + BY_LOCAL_TIME, """
         (SELECT zone, dated, k.t, k.t AT TIME ZONE zone AS here
          FROM k JOIN (SELECT DISTINCT ON (zone) zone, dated FROM zc ORDER BY zone) f USING (zone)
          WHERE %s) y""" % A_ZONE, "zone, t, here")
s.run("""
    CREATE TEMP TABLE both_of AS
    SELECT zone, calendar_union(c, rest) AS either, calendar_intersection(c, rest) AS neither
    FROM (SELECT DISTINCT ON (zone) * FROM zc WHERE far ORDER BY zone) k""")
laws.law("together they are never closed; they share nothing", """
    is_open(either, t) AND %s = %s AND business_time(neither, t, x) = %s AND business_add(neither, t, %s) IS NULL
    AND next_open(neither, t) IS NULL""" % (measure("either"), wall("t", "x"), NONE, MICRO),
         "zc JOIN both_of USING (zone)", show)

# ---- centuries ----------------------------------------------------------------------------------------------------
# 400 years are 20,871 weeks, and from 2100 on every zone follows its last rule.

s.run("""
    CREATE TEMP TABLE century AS
    SELECT *, t + cycle AS later_t, x + cycle AS later_x
    FROM (SELECT zone, c, greatest(t, timestamptz '2100-01-01') AS t, greatest(x, timestamptz '2100-01-01') AS x,
            interval '146097 days' AS cycle FROM zc WHERE far) k
    WHERE greatest(t, x) < '260000-01-01'""")
laws.law("400 years later, the same", "business_time(c, later_t, later_x) = business_time(c, t, x) "
         "AND is_open(c, later_t) = is_open(c, t)", "century", show)
laws.law("400 years, wherever they begin, are as long", "business_time(c, t, later_t) = business_time(c, x, later_x)",
         "century", show)
laws.law("400 years of 40 hours a week",
         "business_time(c, t, x) = interval '834840 hours' AND business_time(c, x, t) = interval '-834840 hours'", """
         (SELECT business_calendar('c', 'UTC', '{mon-fri 09:00-17:00}') AS c, t, t + interval '146097 days' AS x
          FROM z) k""", "t, x")
laws.settle()
tap.done()
