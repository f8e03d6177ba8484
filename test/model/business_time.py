"""docs/semantics.md section 8: business time, by asking at every step of a timeline whether the calendar is open.

Times are those of journeys.py: microseconds since 1970-01-01 00:00 UTC.  A local date is a number of days since
1970-01-01, a time of day a number of microseconds since midnight on the local clock.
"""
import datetime
import zoneinfo
from collections import namedtuple
from functools import cache

from journeys import DAY, SECOND, at

MINUTE, QUARTER, HOUR = 60 * SECOND, 900 * SECOND, 3600 * SECOND
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
CYCLE = 146097 * DAY                # 400 years of the Gregorian calendar, which are whole weeks
FIRST, LAST = at(1700, 1, 1), at(9000, 1, 1)
OUTSIDE = "outside the timeline"    # the answer lies beyond what a timeline covers

Row = namedtuple("Row", "opens closes")             # times of day; the end lies beyond DAY if it runs over midnight
Weekly = namedtuple("Weekly", "days row")           # days: 0 is Monday
Dated = namedtuple("Dated", "first last row")       # local dates, both included


def row(opens, closes):
    return Row(opens, closes if closes > opens else closes + DAY)


def weekday(day):
    return (day + 3) % 7                            # 1970-01-01 was a Thursday


def local_date(y, m, d):
    return at(y, m, d) // DAY


zone_of = cache(zoneinfo.ZoneInfo)


def offset(time_zone, t):
    """What a zone's clock shows, less what UTC's shows.  datetime knows the years 1 to 9999 only: no zone changed
    before 1700, and the last rule goes on for ever, so it says the same 400 years earlier."""
    if t >= LAST:
        t -= ((t - LAST) // CYCLE + 1) * CYCLE
    utc = EPOCH + datetime.timedelta(seconds=max(t, FIRST) // SECOND)
    shift = utc.astimezone(zone_of(time_zone)).utcoffset()
    return (shift.days * 86400 + shift.seconds) * SECOND


class Calendar:
    def __init__(self, time_zone="UTC", weekly=(), shifts=(), weekly_breaks=(), dated_breaks=(), holidays=(),
                 known_until=None, name="model"):
        """known_until: a local date, or "infinity", or None."""
        self.name, self.time_zone, self.known_until = name, time_zone, known_until
        self.weekly, self.shifts, self.holidays = list(weekly), list(shifts), set(holidays)
        self.weekly_breaks, self.dated_breaks = list(weekly_breaks), list(dated_breaks)
        # asked for every step of a day
        self.is_holiday, self.starting = cache(self.is_holiday), cache(self.starting)
        self.breaking = cache(self.breaking)

    def reading(self, t):
        """What the clock on the wall shows: the local date and the time of day."""
        return divmod(t + offset(self.time_zone, t), DAY)

    def shifts_of(self, day):
        return [s.row for s in self.shifts if s.first <= day <= s.last]

    def is_holiday(self, day):
        return day in self.holidays and not self.shifts_of(day)

    def starting(self, day):
        """The rows that start on a date."""
        if self.is_holiday(day):
            return []
        return self.shifts_of(day) or [w.row for w in self.weekly if weekday(day) in w.days]

    def breaking(self, day):
        """The breaks that start on a date."""
        return ([w.row for w in self.weekly_breaks if weekday(day) in w.days]
                + [d.row for d in self.dated_breaks if d.first <= day <= d.last])

    def is_open(self, t):
        day, now = self.reading(t)
        return not self.is_holiday(day) and held(self.starting, day, now) and not held(self.breaking, day, now)

    def beyond_horizon(self, t):
        last = max(self.holidays, default=None) if self.known_until is None else self.known_until
        return last is not None and last != "infinity" and self.reading(t)[0] > last

    def leaves(self):
        return [self]

    def shift_days(self):
        """The only dates on which a row can start; None if it is every week."""
        return None if self.weekly else {d for s in self.shifts for d in range(s.first, s.last + 1)}


def held(rows_of, day, now):
    """Is the reading in a row of this date, or of the date before, run over midnight?"""
    return any(r.opens <= now < r.closes for r in rows_of(day)) or any(now + DAY < r.closes for r in rows_of(day - 1))


class Union:
    def __init__(self, *parts):
        self.parts = parts

    def is_open(self, t):
        return any(p.is_open(t) for p in self.parts)

    def beyond_horizon(self, t):
        return any(p.beyond_horizon(t) for p in self.parts)

    def leaves(self):
        return [leaf for p in self.parts for leaf in p.leaves()]

    def shift_days(self):
        days = [p.shift_days() for p in self.parts]
        return None if None in days else set().union(*days)


class Intersection(Union):
    def is_open(self, t):
        return all(p.is_open(t) for p in self.parts)

    def shift_days(self):
        """Those of one part are enough: outside them it is closed."""
        return next((d for d in (p.shift_days() for p in self.parts) if d is not None), None)


class Timeline:
    """A calendar from start to end, as the list of its open intervals.  It answers questions within these two."""

    def __init__(self, calendar, start, end, step=QUARTER):
        self.calendar, self.start, self.end, self.intervals = calendar, start, end, []
        cuts = steps(calendar, start, end, step)
        for t, u in zip(cuts, cuts[1:]):
            is_open = calendar.is_open(t)
            assert calendar.is_open(u - 1) == is_open, "the steps are too long"
            if is_open and self.intervals and self.intervals[-1][1] == t:
                self.intervals[-1] = (self.intervals[-1][0], u)
            elif is_open:
                self.intervals.append((t, u))
        days = calendar.shift_days()
        # is all of what is ever open in the timeline?  A row ends within two days, a clock differs by less than two.
        self.complete = days is not None and all(start <= (d - 2) * DAY and (d + 4) * DAY <= end for d in days)

    def open_intervals(self, a, b):
        assert a >= self.start and b <= self.end
        clipped = [(max(a, opens), min(b, closes)) for opens, closes in self.intervals]
        return [(opens, closes) for opens, closes in clipped if opens < closes]

    def business_time(self, a, b):
        if b < a:
            return -self.business_time(b, a)
        return sum(closes - opens for opens, closes in self.open_intervals(a, b))

    def business_add(self, t, n):
        left = abs(n)
        ahead = self.open_intervals(t, self.end) if n > 0 else self.open_intervals(self.start, t)[::-1]
        for opens, closes in ahead if n else []:
            if closes - opens >= left:
                return opens + left if n > 0 else closes - left
            left -= closes - opens
        if n == 0:
            return t
        return None if self.complete else OUTSIDE

    def next_open(self, t):
        for opens, _ in self.open_intervals(t, self.end):
            return opens
        return None if self.complete else OUTSIDE


def steps(calendar, start, end, step):
    """Instants from start to end between which nothing can open or close: every full step, in each step where a local
    clock may show the edge of a row, and every second of a step in which a clock is changed."""
    bases = range(start - start % step, end + step, step)
    inner, remainders = set(bases), set()
    for c in calendar.leaves():
        offsets = [offset(c.time_zone, t) for t in bases]
        edges = [0] + [e for some in (c.weekly, c.shifts, c.weekly_breaks, c.dated_breaks) for x in some for e in x.row]
        remainders |= {(edge - o) % step for o in set(offsets) for edge in edges}
        for base, before, after in zip(bases, offsets, offsets[1:]):
            if before != after:
                inner |= set(range(base, base + step, SECOND))
    inner |= {base + r for base in bases for r in remainders}
    return sorted({t for t in inner if start < t < end} | {start, end})
