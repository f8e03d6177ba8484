"""docs/semantics.md section 1: marks, their order, union, and the text form.

A time is an integer: microseconds since 1970-01-01 00:00 UTC.  Python's datetime ends at the year 9999 and begins
at 1, PostgreSQL's timestamptz does not, so the calendar here is our own (proleptic Gregorian, astronomical years).
"""
import re
from collections import namedtuple

MAX_MARKS = 1048576
SECOND = 1000000
DAY = 86400 * SECOND

# what timestamptz can hold: 4714-11-24 BC up to, not including, 294277-01-01
MIN_TIME = -210866803200 * SECOND
END_TIME = 9224318016000 * SECOND

Mark = namedtuple("Mark", "at mark value seq")


def mark(at, mark_id, value=None, seq=None):
    return Mark(at, mark_id, value, seq)


def null_first(x):
    return (0, 0) if x is None else (1, x)


def order_key(m):
    """The total order (at, seq, mark, value), NULL before everything."""
    return (m.at, null_first(m.seq), m.mark, null_first(m.value))


def tie_key(m):
    """Tied marks share at and seq; this key orders the groups of tied marks."""
    return (m.at, null_first(m.seq))


def journey(marks):
    """Rows without a mark or a time are ignored; identical marks are one mark."""
    kept = {m for m in marks if m.mark is not None and m.at is not None}
    return sorted(kept, key=order_key)


def union(*journeys):
    return journey([m for j in journeys for m in j])


# ---- the calendar -------------------------------------------------------------------------------------------------

def days_from_civil(y, m, d):
    """Days since 1970-01-01 of a proleptic Gregorian date; year 0 is 1 BC."""
    y -= m <= 2
    era = y // 400
    yoe = y - era * 400
    doy = (153 * (m + (-3 if m > 2 else 9)) + 2) // 5 + d - 1
    doe = yoe * 365 + yoe // 4 - yoe // 100 + doy
    return era * 146097 + doe - 719468


def civil_from_days(z):
    z += 719468
    era = z // 146097
    doe = z - era * 146097
    yoe = (doe - doe // 1460 + doe // 36524 - doe // 146096) // 365
    doy = doe - (365 * yoe + yoe // 4 - yoe // 100)
    mp = (5 * doy + 2) // 153
    d = doy - (153 * mp + 2) // 5 + 1
    m = mp + 3 if mp < 10 else mp - 9
    return yoe + era * 400 + (m <= 2), m, d


def at(y, m, d, hh=0, mm=0, ss=0, us=0):
    return (days_from_civil(y, m, d) * 86400 + hh * 3600 + mm * 60 + ss) * SECOND + us


def fields(t):
    """(year, month, day, 'HH:MM:SS[.ffffff]') of a time, in UTC, trailing zeros of the fraction cut."""
    days, rest = divmod(t, DAY)
    secs, us = divmod(rest, SECOND)
    clock = "%02d:%02d:%02d" % (secs // 3600, secs // 60 % 60, secs % 60)
    if us:
        clock += (".%06d" % us).rstrip("0")
    return civil_from_days(days) + (clock,)


def sql_time(t):
    """A timestamptz literal PostgreSQL reads back to the microsecond."""
    y, m, d, clock = fields(t)
    bc = ""
    if y <= 0:
        y, bc = 1 - y, " BC"
    return "%04d-%02d-%02d %s+00%s" % (y, m, d, clock, bc)


# ---- text form ----------------------------------------------------------------------------------------------------

def text(j):
    out = []
    for m in j:
        y, mo, d, clock = fields(m.at)
        # at least four digits; 1 BC is the year 0000, 2 BC is -0001, as ISO 8601 counts
        s = "%d@%s%04d-%02d-%02dT%sZ" % (m.mark, "-" if y < 0 else "", abs(y), mo, d, clock)
        if m.value is not None:
            s += "=%d" % m.value
        if m.seq is not None:
            s += "#%d" % m.seq
        out.append(s)
    return "{" + ", ".join(out) + "}"


ONE = re.compile(r"(\d+)@(-?\d{4,})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?Z(?:=(-?\d+))?(?:#(-?\d+))?$")


def parse(s):
    s = s.strip()
    if not (s.startswith("{") and s.endswith("}")):
        raise ValueError("not a journey: " + s)
    marks = []
    for part in filter(None, (p.strip() for p in s[1:-1].split(","))):
        g = ONE.match(part)
        if not g:
            raise ValueError("not a mark: " + part)
        y, mo, d, hh, mm, ss = (int(x) for x in g.groups()[1:7])
        t = at(y, mo, d, hh, mm, ss, int((g.group(8) or "0").ljust(6, "0")))
        marks.append(Mark(t, int(g.group(1)), *(None if x is None else int(x) for x in g.groups()[8:10])))
    return journey(marks)
