"""docs/semantics.md section 2: a lifecycle, its stage order, and the arithmetic of its windows."""
import calendar
import datetime
import zoneinfo
from collections import namedtuple

import journeys

Span = namedtuple("Span", "months days micros", defaults=(0, 0, 0))   # an interval

CATEGORIES = ("open", "active", "won", "lost", "no_decision", "recycled", "churned")
EPOCH = datetime.datetime(1970, 1, 1)
UTC = datetime.timezone.utc


class Range(namedtuple("Range", "lower upper lower_inc upper_inc")):
    """A tstzrange; None is unbounded."""

    def holds(self, t):
        if self.lower is not None and (t < self.lower or t == self.lower and not self.lower_inc):
            return False
        if self.upper is not None and (t > self.upper or t == self.upper and not self.upper_inc):
            return False
        return True


class Lifecycle:
    def __init__(self, name="model", stages=(), active=(), won=None, lost=(), no_decision=(), recycled=(), churned=(),
                 marks=None, skip="impute", attempt="best", within=None, step_within=None, times="nondecreasing",
                 entry_range=None, visits="all", unknown="error", time_zone="UTC"):
        groups = (stages, active, [won] if won else [], lost, no_decision, recycled, churned)
        # stage order: numbers count from 1
        self.names = [s for g in groups for s in g]
        self.category = [None] + [c for c, g in zip(CATEGORIES, groups) for _ in g]
        self.count = len(self.names)
        # steps are the open and active stages and the won stage: the first numbers
        self.steps = sum(c in ("open", "active", "won") for c in self.category[1:])
        self.won = self.category.index("won") if won else None
        # without marks, the stage numbered n is mark n
        self.marks = [None] + ([set(ids) for ids in marks] if marks else [{n} for n in range(1, self.count + 1)])
        self.given = dict(name=name, stages=list(stages), active=list(active), won=won, lost=list(lost),
                          no_decision=list(no_decision), recycled=list(recycled), churned=list(churned), marks=marks,
                          skip=skip, attempt=attempt, within=within, step_within=step_within, times=times,
                          entry_range=entry_range, visits=visits, unknown=unknown, time_zone=time_zone)
        self.skip, self.attempt, self.within, self.times = skip, attempt, within, times
        self.step_within = [None] + list(step_within or [None] * self.steps)
        if self.steps:
            self.step_within[1] = None                                     # the first is ignored
        self.entry_range, self.visits, self.time_zone = entry_range, visits, time_zone

    def name_of(self, stage):
        return self.names[stage - 1]

    def stages_of(self, mark_id):
        """The stages a mark id means, in stage order."""
        return [s for s in range(1, self.count + 1) if mark_id in self.marks[s]]

    def is_step(self, stage):
        return stage <= self.steps

    def is_terminal(self, stage):
        return self.category[stage] not in ("open", "active")

    def enters(self, t):
        return self.entry_range is None or self.entry_range.holds(t)

    def add(self, t, span):
        return None if span is None else add(t, span, self.time_zone)

    def window_end(self, opened_at):
        """The last instant of the window that starts at opened_at; None without a window."""
        return self.add(opened_at, self.within)

    def step_end(self, stage, previous_at):
        """The last instant at which stage may follow a step at previous_at; None without a limit."""
        return self.add(previous_at, self.step_within[stage])


def read(journey, life, as_of):
    """The stage marks not later than as_of in read order: (mark, its stages), tied ones in stage order."""
    named = [(m, life.stages_of(m.mark)) for m in journeys.journey(journey) if m.at <= as_of]
    named = [(m, stages) for m, stages in named if stages]
    return sorted(named, key=lambda ms: (journeys.tie_key(ms[0]), ms[1][0]))


# ---- windows ------------------------------------------------------------------------------------------------------

def to_local(t, zone):
    """The local reading (a naive datetime) of an instant."""
    return (EPOCH.replace(tzinfo=UTC) + datetime.timedelta(microseconds=t)).astimezone(zone).replace(tzinfo=None)


def from_local(local, zone):
    """The instant of a local reading, as PostgreSQL takes it: in a gap the offset before it, in an overlap the later one."""
    early, late = (local.replace(tzinfo=zone, fold=f) for f in (0, 1))
    offset_before, offset_after = early.utcoffset(), late.utcoffset()
    in_gap = offset_after > offset_before
    offset = offset_before if in_gap else offset_after
    return (local - offset - EPOCH) // datetime.timedelta(microseconds=1)


def add(t, span, zone_name):
    """Months, clipped to the end of the month, then days, both on the local clock; the rest is exact time."""
    if span.months or span.days:
        zone = zoneinfo.ZoneInfo(zone_name)
        if span.months:
            local = to_local(t, zone)
            y, m = divmod(local.year * 12 + local.month - 1 + span.months, 12)
            last = calendar.monthrange(y, m + 1)[1]
            t = from_local(local.replace(year=y, month=m + 1, day=min(local.day, last)), zone)
        if span.days:
            t = from_local(to_local(t, zone) + datetime.timedelta(days=span.days), zone)
    return t + span.micros
