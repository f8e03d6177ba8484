"""docs/semantics.md section 9: SLA clocks, straight from the definitions.

    Walk        reads the marks in order and writes down a step whenever anything changes: which clock is open, whether
                it runs, the segment, the owner, the promise.  It knows no times and no targets.
    pieces_of   between two neighbouring steps of a clock nothing changes: one policy, one phase, one target.
    the rest    measures the open time of pieces, and looks for instants in them.

Nothing is carried along: every number is measured again from the pieces.  Calendars are of the simplest kind, weekly
hours in UTC and closed dates; how calendars of every kind are measured is section 8's business.
"""
import math
from collections import Counter, namedtuple
from fractions import Fraction

import journeys
from journeys import DAY
from proportions import wilson
from survival import Curve, Stay

HOUR = 3600 * journeys.SECOND

# in the order in which tied marks are read, and in which the roles of one mark act
ROLES = ("promise", "segment", "owner", "start", "phases", "pause", "resume", "reset", "stop", "cancel")
# in the order in which names are numbered
ARGUMENTS = ("start", "stop", "pause", "resume", "reset", "cancel", "segment", "owner", "promise", "phases")


# ---- calendars ----------------------------------------------------------------------------------------------------

class Calendar:
    """Rows of a week in UTC, (weekday, from, to) with Monday 0 and microseconds of the day, none overlapping another;
    closed dates and the last known date as days since 1970-01-01."""

    def __init__(self, name, hours=(), holidays=(), known_until=None):
        self.name, self.hours, self.holidays = name, list(hours), sorted(holidays)
        self.known_until = known_until

    def open_on(self, day):
        weekday = (day + 3) % 7                                            # 1970-01-01 was a Thursday
        if day in self.holidays:
            return []
        return sorted((day * DAY + opens, day * DAY + closes) for w, opens, closes in self.hours if w == weekday)

    def measure(self, a, b):
        """Business time from a to b, negative backwards."""
        if b < a:
            return -self.measure(b, a)
        return sum(max(0, min(b, closes) - max(a, opens))
                   for day in range(a // DAY, b // DAY + 1) for opens, closes in self.open_on(day))

    def open_from(self, t):
        """The open intervals after t, for ever."""
        day = t // DAY
        while self.hours:
            for opens, closes in self.open_on(day):
                if closes > t:
                    yield max(t, opens), closes
            day += 1

    def add(self, t, n):
        """The first instant at or after t with business time n since; None if there is none."""
        if n <= 0:
            return t
        for opens, closes in self.open_from(t):
            if closes - opens >= n:
                return opens + n
            n -= closes - opens
        return None

    def next_open(self, t):
        for opens, _ in self.open_from(t):
            return opens
        return None

    def beyond_horizon(self, t):
        known = self.known_until
        if known is None and self.holidays:
            known = self.holidays[-1]
        return known is not None and t // DAY > known


class WallTime:
    """No calendar: 24 hours a day."""
    name = None

    def measure(self, a, b):
        return b - a

    def add(self, t, n):
        return t + max(0, n)

    def next_open(self, t):
        return t

    def beyond_horizon(self, t):
        return False


WALL = WallTime()


# ---- definitions --------------------------------------------------------------------------------------------------

class Escalation:
    """`percent`% of the target, or the target and `offset` (negative: before it)."""

    def __init__(self, recipient, percent=None, offset=0):
        self.recipient, self.percent, self.offset = recipient, percent, offset

    def threshold(self, target):
        """In whole microseconds: elapsed is whole, so it reaches a fraction when it reaches the next whole number."""
        return math.ceil(Fraction(target * self.percent, 100)) if self.percent is not None else target + self.offset


class Policy:
    def __init__(self, target=None, calendar=WALL, warnings=(Fraction(4, 5),), escalations=(), version="", valid=None,
                 segments=None, owners=None):
        self.target, self.calendar, self.warnings, self.escalations = target, calendar, warnings, list(escalations)
        self.version, self.valid, self.segments, self.owners = version, valid, segments, owners
        self.lower, self.upper = valid or (None, None)

    def shape(self):
        """How specific: 0 for owners and segments, 1 for owners, 2 for segments, 3 for neither."""
        return (self.owners is None) * 2 + (self.segments is None)

    def applies(self, t, segment, owner, promise):
        return ((self.lower is None or self.lower <= t) and (self.upper is None or t < self.upper)
                and (self.segments is None or segment in self.segments)
                and (self.owners is None or owner in self.owners)
                and (self.target is not None or promise is not None))


class Sla:
    def __init__(self, name, policies, marks=None, reopen="resume", change="carry", phases=(), max_clocks=None,
                 beyond="ignore", **roles):
        """roles: names by argument, such as start=["created"]; phases: [(phase, the name after `until` or None)];
        marks: {name: ids}."""
        self.name, self.policies, self.given_marks = name, list(policies), marks
        self.reopen, self.change, self.max_clocks, self.beyond = reopen, change, max_clocks, beyond
        self.phases = list(phases)
        self.names = {role: list(roles.get(role, ())) for role in ARGUMENTS}
        self.names["phases"] = [until for _, until in self.phases if until is not None]
        appearance = list(dict.fromkeys(n for role in ARGUMENTS for n in self.names[role]))
        self.marks = marks or {n: [i] for i, n in enumerate(appearance, 1)}

    def names_of(self, mark_id):
        return [n for n, ids in self.marks.items() if mark_id in ids]

    def roles_of(self, mark_id):
        """In the order in which they act."""
        return [role for role in ROLES if any(n in self.names[role] for n in self.names_of(mark_id))]

    def phase_after(self, mark_id):
        """The number of the phase this mark takes a clock to."""
        return max(i + 1 for i, (_, until) in enumerate(self.phases, 1) if until in self.names_of(mark_id))

    def in_force(self, t, segment, owner, promise):
        """The most specific policy that applies, or None."""
        found = sorted((p for p in self.policies if p.applies(t, segment, owner, promise)), key=Policy.shape)
        if len(found) > 1 and found[0].shape() == found[1].shape():
            raise ValueError("two policies of one shape in force at once")
        return found[0] if found else None


# ---- reading the marks --------------------------------------------------------------------------------------------

def read(history, sla, as_of):
    """The marks that are this SLA's business, not later than as_of, in the order in which they are read."""
    own = [m for m in journeys.journey(history) if m.at <= as_of and sla.roles_of(m.mark)]
    return sorted(own, key=lambda m: (journeys.tie_key(m), ROLES.index(sla.roles_of(m.mark)[0])))


class Clock:
    def __init__(self, started_at, beyond):
        self.started_at, self.beyond = started_at, beyond      # beyond: more than max_clocks
        self.ended_at = self.ended_by = None
        self.reopened = 0


# from `at` on: the open clock (None: no clock), whether it runs, whether it begins to run here, the phase a mark takes
# it to
Step = namedtuple("Step", "at clock runs begins to_phase segment owner promise")


class Walk:
    """All clocks of one history, covered or not, and its steps."""

    def __init__(self, history, sla, as_of):
        self.sla, self.clocks, self.steps, self.ignored = sla, [], [], Counter()
        self.cycle = []                                         # the clocks of this cycle
        self.clock, self.runs = None, False
        self.segment = self.owner = self.promise = None
        # a policy begins and ends before the marks of that instant are read
        bounds = {t for p in sla.policies for t in (p.lower, p.upper) if t is not None and t <= as_of}
        events = [(t, 0, None) for t in bounds] + [(m.at, 1, m) for m in read(history, sla, as_of)]
        for self.at, _, m in sorted(events, key=lambda e: e[:2]):
            if m is None:
                self.step()
            else:
                self.read_mark(m, sla.roles_of(m.mark))

    def step(self, begins=False, to_phase=1):
        self.steps.append(Step(self.at, self.clock, self.runs, begins, to_phase,
                               self.segment, self.owner, self.promise))

    def read_mark(self, m, roles):
        told = [role for role in ("promise", "segment", "owner") if role in roles]
        for role in told:
            setattr(self, role, m.value)
        if told:
            self.step()                                         # what one mark tells holds at once
        was_open = self.clock is not None
        if not was_open and "start" in roles:
            self.start()
        if self.clock is None:
            if "cancel" in roles:
                self.cycle = []
            return
        if "phases" in roles:
            self.step(to_phase=self.sla.phase_after(m.mark))
        if "pause" in roles and self.runs:
            self.runs = False
            self.step()
        if not was_open:
            return
        if "resume" in roles and not self.runs:
            self.runs = True
            self.step(begins=True)
        if "reset" in roles:
            self.end("reset")
            self.open_new()
        if "stop" in roles:
            self.end("stop")
            if "start" in roles:
                self.start()
        if "cancel" in roles:
            self.end("cancel")
            self.cycle = []

    def start(self):
        last = self.cycle[-1] if self.cycle else None
        if last is None or last.ended_by != "stop" or self.sla.reopen == "restart":
            self.open_new()
        elif self.sla.reopen == "resume":
            last.ended_at = last.ended_by = None
            last.reopened += 1
            self.run(last)
        else:
            self.ignored["reopen"] += 1

    def open_new(self):
        beyond = self.sla.max_clocks is not None and len(self.cycle) >= self.sla.max_clocks
        if beyond and self.sla.beyond == "ignore":
            self.ignored["max_clocks"] += 1
            return
        clock = Clock(self.at, beyond)
        self.clocks.append(clock)
        self.cycle.append(clock)
        self.run(clock)

    def run(self, clock):
        self.clock, self.runs = clock, True
        self.step(begins=True)

    def end(self, how):
        self.clock.ended_at, self.clock.ended_by = self.at, how
        self.clock, self.runs = None, False
        self.step()


# ---- pieces -------------------------------------------------------------------------------------------------------

class Piece:
    """From a to b (perhaps the same instant) nothing about an open clock changes."""

    def __init__(self, step, b):
        self.a, self.b = step.at, b
        self.runs, self.begins, self.to_phase = step.runs, step.begins, step.to_phase
        self.segment, self.owner, self.promise = step.segment, step.owner, step.promise
        self.policy = self.calendar = self.target = None
        self.phase = 1
        self.withdrawn = False      # a policy without target whose promise was taken back: its target stays
        self.base = 0               # number of the piece at whose beginning the clock counts from zero
        self.target_since = 0       # number of the piece since which the clock has had this target


def pieces_of(clock, walk, as_of):
    """The pieces of a clock: those of its steps.  Their policy is None as long as it is not covered."""
    ends = [s.at for s in walk.steps[1:]] + [as_of]
    pieces = [Piece(s, b) for s, b in zip(walk.steps, ends) if s.clock is clock]
    for i, p in enumerate(pieces):
        settle(walk.sla, p, pieces[i - 1] if i else None, i)
    covering = [p.policy.calendar for p in pieces if p.policy]
    for i, p in enumerate(pieces):
        if covering:
            p.calendar = p.policy.calendar if p.policy else covering[0]
        if p.withdrawn:
            p.target = pieces[i - 1].target
        elif p.policy:
            p.target = p.policy.target if p.promise is None else p.calendar.measure(pieces[p.base].a, p.promise)
        # the same amount, since the last restart, is the same target
        kept = i > 0 and p.base != i and p.target == pieces[i - 1].target
        p.target_since = pieces[i - 1].target_since if kept else i
    return pieces


def settle(sla, p, before, i):
    """What a piece has from its step and from the piece before it: policy, phase, where counting began."""
    p.policy = sla.in_force(p.a, p.segment, p.owner, p.promise)
    covered = before is not None and before.policy is not None
    if p.policy is None and covered:
        # lapsed: the last one stays, and one without target keeps what it had by a promise
        p.policy = before.policy
        if p.policy.target is None and p.promise is None:
            p.promise, p.withdrawn = before.promise, True
    if before is not None:
        p.base, p.phase = before.base, before.phase
    if covered and sla.change == "restart":
        # the promise is not among them: a changed promise does not restart
        if (p.policy, p.segment, p.owner) != (before.policy, before.segment, before.owner):
            p.base, p.phase = i, 1
    p.phase = max(p.phase, p.to_phase)


def elapsed_at(pieces, i, t, phase=None):
    """Elapsed at the instant t of piece i: the open time of what ran since the clock counts (in one phase only)."""
    return sum(p.calendar.measure(p.a, min(p.b, t)) for p in pieces[pieces[i].base:i + 1]
               if p.runs and phase in (None, p.phase))


def breach_of(pieces, first=0):
    """(number of the piece, first instant at which elapsed exceeds the target in force), or None; from a piece on."""
    for i, p in enumerate(pieces):
        if p.policy is None or i < first:
            continue
        remaining = p.target - elapsed_at(pieces, i, p.a)
        if remaining < 0:
            return i, p.a
        if elapsed_at(pieces, i, p.b) > p.target:
            return i, p.calendar.next_open(p.calendar.add(p.a, remaining))
    return None


def reached_at(pieces, i, amount):
    """The first instant, since the clock has had the target of piece i, at which elapsed has reached the amount, or
    will have if the clock goes on as in that piece; None if it stands still before."""
    first = pieces[i].target_since
    if elapsed_at(pieces, first, pieces[first].a) >= amount:
        return pieces[first].a
    for k in range(first, i + 1):
        p = pieces[k]
        if p.runs:
            t = p.calendar.add(p.a, amount - elapsed_at(pieces, k, p.a))
            if t is not None and (t <= p.b or k == i):
                return t
    return None


# ---- what is read from a clock ------------------------------------------------------------------------------------

class Reading:
    """One covered clock: its row of sla_clocks, its phases, its escalations."""

    def __init__(self, clock, pieces, sla, as_of):
        self.clock, self.pieces, self.sla = clock, pieces, sla
        last, p = len(pieces) - 1, pieces[-1]
        self.policy, self.version, self.target = p.policy, p.policy.version, p.target
        self.segment, self.owner = p.segment, p.owner
        self.started_at, self.ended_at, self.ended_by = clock.started_at, clock.ended_at, clock.ended_by
        self.open = clock.ended_at is None
        self.counting_since = pieces[p.base].a
        self.elapsed = elapsed_at(pieces, last, p.b)
        self.elapsed_wall = sum(q.b - q.a for q in pieces if q.runs)
        self.paused = sum(q.b - q.a for q in pieces if not q.runs)
        self.breach = breach_of(pieces)
        self.status = self.find_status(p.runs)
        # as it stood when it was breached; one clock too many has been breached for another reason
        i = self.breach[0] if self.breach and not clock.beyond else last
        self.due_at = reached_at(pieces, i, pieces[i].target)
        self.breach_at = self.find_breach_at()
        self.remaining = p.target - self.elapsed if self.open else None
        late = self.elapsed - p.target
        self.overdue = late if self.status == "breached" and late > 0 else None
        self.fraction_used = Fraction(self.elapsed, p.target) if p.target > 0 else None
        self.at_risk = (self.status in ("running", "paused") and len(self.policy.warnings) > 0
                        and self.elapsed >= min(self.policy.warnings) * p.target)
        seen = [as_of if self.open else self.ended_at] + [self.due_at] * (self.status == "running")
        self.beyond_horizon = any(self.policy.calendar.beyond_horizon(t) for t in seen if t is not None)

    def find_status(self, runs):
        if self.breach or self.clock.beyond:
            return "breached"
        if self.ended_by:
            return "met" if self.ended_by == "stop" else "cancelled"
        return "running" if runs else "paused"

    def find_breach_at(self):
        if self.clock.beyond:
            return self.started_at
        if self.breach:
            return self.breach[1]
        if self.status != "running":
            return None                     # a clock that stands still will not be breached if nothing happens
        last, p = len(self.pieces) - 1, self.pieces[-1]
        full = p.calendar.add(p.a, p.target - elapsed_at(self.pieces, last, p.a))
        return None if full is None else p.calendar.next_open(full)

    def phases(self):
        """[(number, name, elapsed, was it left)] of the phases the clock has been in."""
        last = len(self.pieces) - 1
        p = self.pieces[last]
        numbers = sorted({q.phase for q in self.pieces[p.base:]}) if self.sla.phases else []
        return [(n, self.sla.phases[n - 1][0], elapsed_at(self.pieces, last, p.b, n), n < p.phase) for n in numbers]

    def escalations(self):
        """[(step number, step, raise_at, is_due)]: steps of open clocks."""
        last, out = len(self.pieces) - 1, []
        for n, step in enumerate(self.policy.escalations if self.open else (), 1):
            threshold = step.threshold(self.target)
            if threshold == self.target:
                out.append((n, step, *self.breach_step()))
                continue
            due = self.elapsed >= threshold
            t = reached_at(self.pieces, last, threshold) if due or self.pieces[last].runs else None
            out.append((n, step, t, due))
        return out

    def breach_step(self):
        """(raise_at, is_due) of a step at the target: what was breached before a restart was told in its own count."""
        last, p = len(self.pieces) - 1, self.pieces[-1]
        if self.clock.beyond and p.base == 0:
            return self.started_at, True
        breach = breach_of(self.pieces, p.base)
        if breach:
            return breach[1], True
        if not p.runs:
            return None, False
        full = p.calendar.add(p.b, self.target - self.elapsed)
        return None if full is None else p.calendar.next_open(full), False


def clocks(history, sla, as_of):
    """(readings of the covered clocks in order, how many are not covered, the walk)."""
    walk = Walk(history, sla, as_of)
    found = [(c, pieces_of(c, walk, as_of)) for c in walk.clocks]
    covered = [Reading(c, pieces, sla, as_of) for c, pieces in found if pieces[-1].policy is not None]
    return covered, len(found) - len(covered), walk


# ---- summary ------------------------------------------------------------------------------------------------------

STATUSES = ("met", "breached", "running", "paused", "cancelled")


def counts(readings):
    n = {s: sum(r.status == s for r in readings) for s in STATUSES}
    return dict(n, started=len(readings), at_risk=sum(r.at_risk for r in readings),
                overdue=sum(r.status == "breached" and r.open for r in readings),
                beyond_horizon=sum(r.beyond_horizon for r in readings))


def breach_rate(readings, confidence=0.95):
    """(rate, low, high)."""
    n = counts(readings)
    return wilson(n["breached"], n["met"] + n["breached"], confidence)


def elapsed_stays(readings):
    return [Stay(0, r.elapsed, "stop" if r.ended_by == "stop" else None) for r in readings]


def overdue_stays(readings):
    return [Stay(0, r.overdue, "stop" if r.ended_by == "stop" else None) for r in readings if r.overdue is not None]


def quantile(stays, p):
    return Curve(stays).quantile(p) if stays else None


def phase_table(readings, sla):
    """[(number, name, stopped clocks, the sum of their times in it, stays of all that were in it)], row 0 the total."""
    stopped = [r for r in readings if r.ended_by == "stop"]
    table = [(0, "total", len(stopped), sum(r.elapsed for r in stopped), elapsed_stays(readings))]
    for n, (name, _) in enumerate(sla.phases, 1):
        been = [(r, spent, left) for r in readings for k, _, spent, left in r.phases() if k == n]
        stays = [Stay(0, spent, "left" if left or r.ended_by == "stop" else None) for r, spent, left in been]
        # a stopped clock that passed the phase over spent nothing in it
        table.append((n, name, len(stopped), sum(spent for r, spent, _ in been if r.ended_by == "stop"), stays))
    return table


# ---- cases worked by hand -----------------------------------------------------------------------------------------
# Answers for this model (test_model.py) and for the extension (test_sla.py) alike.

def when(text):
    """`tue 14:30`: in the week from Monday 2025-06-02; `tue2`: a week later."""
    day, clock = text.split()
    hh, mm, *ss = clock.split(":")
    seconds, _, micros = (ss[0] if ss else "0").partition(".")
    date = 2 + 7 * (int(day[3:] or 1) - 1) + ("mon", "tue", "wed", "thu", "fri", "sat", "sun").index(day[:3])
    return journeys.at(2025, 6, date, int(hh), int(mm), int(seconds), int(micros or 0))


def week(name, *rows, known_until=None):
    """A calendar of the same rows (from and to, hours of the day) from Monday to Friday."""
    return Calendar(name, [(day, a * HOUR, b * HOUR) for day in range(5) for a, b in rows], (), known_until)


OFFICE = week("office", (9, 17))
BASIC = dict(start=["new"], stop=["done"], pause=["hold"], resume=["go"], reset=["again"], cancel=["spam"],
             segment=["segment"], owner=["owner"], promise=["promise"])


def policy(hours, calendar=OFFICE, version="", **more):
    return Policy(None if hours is None else hours * HOUR, calendar, version=version, **more)


class Case:
    """Marks are written `mon 09:00 new`, with a value `mon 09:00 segment 2`, a deadline `mon 09:00 promise tue 12:00`,
    a sequence number `mon 09:00 hold #2`.  want: of each clock some columns of sla_clocks, times as above, intervals in
    hours.  spent: of each clock the hours by phase.  raised: of the last clock, recipient: (raise_at, is_due)."""
    TIMES = ("started_at", "due_at", "breach_at", "ended_at")
    INTERVALS = ("elapsed", "elapsed_wall", "paused", "target", "remaining", "overdue")

    def __init__(self, title, policies, marks, as_of, want, not_covered=0, spent=None, raised=None, **options):
        self.title, self.not_covered, self.spent, self.raised = title, not_covered, spent, raised
        self.sla = Sla("case", policies, **dict(BASIC, **options))
        self.history = journeys.journey([self.mark(*m.split()) for m in marks])
        self.as_of = when(as_of)
        self.want = [{column: self.value(column, x) for column, x in row.items()} for row in want]
        if raised is not None:
            self.raised = {who: (t and when(t), due) for who, (t, due) in raised.items()}
        if spent is not None:
            self.spent = [{phase: hours * HOUR for phase, hours in clock.items()} for clock in spent]

    def mark(self, day, clock, name, *rest):
        seq = int(rest[-1][1:]) if rest and rest[-1].startswith("#") else None
        rest = rest[:-1] if seq is not None else rest
        value = when(" ".join(rest)) if len(rest) == 2 else int(rest[0]) if rest else None
        return journeys.mark(when(day + " " + clock), self.sla.marks[name][0], value, seq)

    def value(self, column, x):
        if x is None:
            return None
        return when(x) if column in self.TIMES else Fraction(x) * HOUR if column in self.INTERVALS else x


def by_segment(first, second):
    return [policy(first, version="one", segments=[1]), policy(second, version="two", segments=[2])]


RANKS = [policy(2, version="a"), policy(4, version="b", segments=[1]), policy(6, version="c", owners=[7]),
         policy(8, version="d", segments=[1], owners=[7])]
VERSIONS = [policy(8, OFFICE, "morning", valid=(None, when("mon 11:00"))),
            policy(8, week("noon", (12, 13)), "noon", valid=(when("mon 11:00"), when("mon 14:00"))),
            policy(8, WALL, "afternoon", valid=(when("mon 14:00"), None))]
PHASES = [("routing", "assigned"), ("acceptance", "accepted"), ("human", None)]
STEPS = [Escalation("owner", percent=50), Escalation("coach", offset=-HOUR // 2), Escalation("manager"),
         Escalation("director", offset=HOUR)]
TOUCHES = dict(start=["accepted", "touched"], stop=["touched"], reopen="restart")

CASES = [
    # what other systems get wrong
    Case("frappe/crm: a lead on Saturday afternoon, one hour: Monday 10:00", [policy(1)], ["sat 15:00 new"],
         "sat 16:00", [dict(status="running", elapsed=0, elapsed_wall=1, due_at="mon2 10:00", breach_at="mon2 10:00")]),
    Case("frappe/crm: a lead on Saturday night, the same", [policy(1)], ["sat 20:00 new"], "sun 12:00",
         [dict(status="running", elapsed=0, due_at="mon2 10:00")]),
    Case("GLPI: opened after closing time", [policy(1)], ["mon 18:00 new", "tue 09:30 done"], "wed 09:00",
         [dict(status="met", elapsed="1/2", due_at="tue 10:00", breach_at=None, ended_by="stop")]),
    Case("Dynamics: pause inside and resume outside hours", [policy(8)],
         ["mon 09:00 new", "mon 16:00 hold", "mon 20:00 go"], "tue 09:30",
         [dict(status="running", elapsed="15/2", paused=4, elapsed_wall="41/2", due_at="tue 10:00")]),
    Case("Dynamics: pause outside and resume inside hours", [policy(10)],
         ["mon 09:00 new", "mon 20:00 hold", "tue 10:00 go"], "tue 11:00",
         [dict(status="running", elapsed=9, paused=14, due_at="tue 12:00")]),
    Case("frappe/helpdesk: a hold outside hours moves no deadline", [policy(4)],
         ["fri 15:00 new", "fri 18:00 hold", "sun 12:00 go"], "sun 13:00",
         [dict(status="running", elapsed=2, paused=42, due_at="mon2 11:00")]),
    Case("GLPI, ServiceNow: a new policy keeps the pause that was", by_segment(4, 8),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 10:00 hold", "mon 12:00 go", "mon 12:30 segment 2"], "mon 14:00",
         [dict(status="running", version="two", target=8, elapsed=3, paused=2, due_at="tue 11:00")]),
    Case("GLPI, ServiceNow: a new policy while it stands still", by_segment(4, 8),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 10:00 hold", "mon 11:00 segment 2", "mon 12:00 go"], "mon 13:00",
         [dict(status="running", version="two", target=8, elapsed=2, paused=2, due_at="tue 11:00")]),
    Case("dbt_zendesk: the priority when it was served, not today's", by_segment(4, 1),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 12:00 done", "mon 13:00 segment 2"], "tue 09:00",
         [dict(status="met", version="one", target=4, elapsed=3, segment=1, breach_at=None)]),
    Case("dbt_zendesk: three schedules in one day", VERSIONS, ["mon 09:00 new"], "mon 15:00",
         [dict(status="running", version="afternoon", elapsed=4, due_at="mon 19:00")]),
    Case("untouched leads are not dropped", [policy(1)], ["mon 09:00 new"], "tue 10:00",
         [dict(status="breached", elapsed=9, overdue=8, remaining=-8, due_at="mon 10:00", breach_at="mon 10:00",
               ended_at=None)]),
] + [
    Case("Zendesk, Zammad: the most specific policy, not the first or by name: %s, %s" % (version, place), list(order),
         marks + ["mon 09:00 new"], "mon 10:00", [dict(version=version, target=hours)])
    for place, order in (("in order", RANKS), ("backwards", RANKS[::-1]))
    for version, hours, marks in (("a", 2, []), ("b", 4, ["mon 09:00 segment 1", "mon 09:00 owner 6"]),
                                  ("c", 6, ["mon 09:00 segment 2", "mon 09:00 owner 7"]),
                                  ("d", 8, ["mon 09:00 segment 1", "mon 09:00 owner 7"]))
] + [
    # breaches
    Case("finished after closing time on the due day: in time", [policy(8)], ["mon 09:00 new", "mon 19:00 done"],
         "wed 09:00", [dict(status="met", elapsed=8, elapsed_wall=10, due_at="mon 17:00", breach_at=None,
                            fraction_used=1)]),
    Case("open after closing time on the due day: breached when it opens", [policy(8)], ["mon 09:00 new"], "tue 09:00",
         [dict(status="running", elapsed=8, remaining=0, due_at="mon 17:00", breach_at="tue 09:00", at_risk=True)]),
    Case("and a microsecond later it is", [policy(8)], ["mon 09:00 new"], "tue 09:00:00.000001",
         [dict(status="breached", due_at="mon 17:00", breach_at="tue 09:00", at_risk=False)]),
    Case("a change makes the target smaller than what has elapsed", by_segment(8, 1),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 18:00 segment 2"], "mon 19:00",
         [dict(status="breached", version="two", elapsed=8, overdue=7, due_at="mon 18:00", breach_at="mon 18:00")]),
    Case("no later target undoes a breach", by_segment(1, 8),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 11:00 segment 2", "mon 12:00 done"], "tue 09:00",
         [dict(status="breached", version="two", elapsed=3, target=8, overdue=None, breach_at="mon 10:00",
               ended_by="stop")]),
    Case("nor a cancellation", [policy(1)], ["mon 09:00 new", "mon 11:00 spam"], "tue 09:00",
         [dict(status="breached", elapsed=2, overdue=1, ended_by="cancel")]),
    # changes
    Case("restart: from zero with the new segment", by_segment(4, 4),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 12:00 segment 2"], "mon 14:00",
         [dict(status="running", elapsed=2, elapsed_wall=5, due_at="mon 16:00")], change="restart"),
    Case("restart: a breach stays", by_segment(2, 4),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 12:00 segment 2"], "mon 14:00",
         [dict(status="breached", elapsed=2, target=4, overdue=None, due_at="mon 11:00")], change="restart"),
    Case("a lapsed policy stays with its clock", [policy(4, valid=(None, when("mon 11:00")))], ["mon 09:00 new"],
         "mon 12:00", [dict(status="running", elapsed=3, target=4, due_at="mon 13:00")]),
    Case("covered late, counted from the start", [policy(1, valid=(when("mon 11:00"), None))], ["mon 09:00 new"],
         "mon 12:00", [dict(status="breached", elapsed=3, due_at="mon 11:00", breach_at="mon 11:00")]),
    Case("ended before any policy was there", [policy(1, valid=(when("mon 11:00"), None))],
         ["mon 09:00 new", "mon 10:00 done"], "mon 12:00", [], not_covered=1),
    # pauses and ties
    Case("standing still, nothing is due", [policy(4)], ["mon 09:00 new", "mon 11:00 hold"], "tue 09:00",
         [dict(status="paused", elapsed=2, paused=22, due_at=None, breach_at=None, remaining=2)]),
    Case("reached to the instant when it was paused", [policy(2)], ["mon 09:00 new", "mon 11:00 hold"], "tue 09:00",
         [dict(status="paused", elapsed=2, due_at="mon 11:00", breach_at=None)]),
    Case("and resumed", [policy(2)], ["mon 09:00 new", "mon 11:00 hold", "mon 15:00 go"], "mon 15:00",
         [dict(status="running", elapsed=2, due_at="mon 11:00", breach_at="mon 15:00")]),
    Case("and breached", [policy(2)], ["mon 09:00 new", "mon 11:00 hold", "mon 15:00 go"], "mon 16:00",
         [dict(status="breached", elapsed=3, due_at="mon 11:00", breach_at="mon 15:00")]),
    Case("in time to the instant, and late after reopening", [policy(2)],
         ["mon 09:00 new", "mon 11:00 done", "tue 09:00 new"], "tue 10:00",
         [dict(status="breached", elapsed=3, due_at="mon 11:00", breach_at="tue 09:00")]),
    Case("a segment told again changes nothing", by_segment(8, 4),
         ["mon 09:00 segment 1", "mon 09:00 new", "mon 18:00 segment 1"], "mon 19:00",
         [dict(status="running", elapsed=8, due_at="mon 17:00", breach_at="tue 09:00")], change="restart"),
    Case("stopped while paused", [policy(4)], ["mon 09:00 new", "mon 10:00 hold", "mon 11:00 hold", "mon 12:00 done"],
         "tue 09:00", [dict(status="met", elapsed=1, paused=2, due_at=None)]),
    Case("a start and a stop at one instant", [policy(4)], ["mon 09:00 done", "mon 09:00 new"], "tue 09:00",
         [dict(status="met", elapsed=0, elapsed_wall=0, due_at="mon 13:00")]),
    Case("a pause and a resume at one instant leave it running", [policy(4)],
         ["mon 09:00 new", "mon 10:00 go", "mon 10:00 hold"], "mon 11:00",
         [dict(status="running", elapsed=2, paused=0)]),
    Case("unless a sequence says otherwise", [policy(4)],
         ["mon 09:00 new", "mon 10:00 go #1", "mon 10:00 hold #2"], "mon 11:00",
         [dict(status="paused", elapsed=1, paused=1)]),
    # reopening, reset, cancel, limits
    Case("reopen: the same clock goes on", [policy(4)], ["mon 09:00 new", "mon 11:00 done", "mon 13:00 new"],
         "mon 14:00", [dict(status="running", elapsed=3, elapsed_wall=3, paused=0, due_at="mon 15:00")]),
    Case("reopen: a new clock", [policy(4)], ["mon 09:00 new", "mon 11:00 done", "mon 13:00 new"], "mon 14:00",
         [dict(status="met", elapsed=2), dict(status="running", started_at="mon 13:00", elapsed=1)], reopen="restart"),
    Case("reopen: nothing", [policy(4)], ["mon 09:00 new", "mon 11:00 done", "mon 13:00 new"], "mon 14:00",
         [dict(status="met", elapsed=2)], reopen="ignore"),
    Case("reset", [policy(4)], ["mon 09:00 new", "mon 11:00 again"], "mon 12:00",
         [dict(status="cancelled", ended_by="reset", ended_at="mon 11:00", elapsed=2, due_at="mon 13:00"),
          dict(status="running", started_at="mon 11:00", elapsed=1, due_at="mon 15:00")]),
    Case("a new cycle after a cancellation", [policy(4)],
         ["mon 09:00 new", "mon 10:00 done", "mon 11:00 spam", "mon 12:00 new"], "mon 13:00",
         [dict(status="met", elapsed=1), dict(status="running", started_at="mon 12:00")], max_clocks=1),
    Case("follow-up, twice at most", [policy(4)],
         ["mon 09:00 accepted", "mon 10:00 touched", "mon 12:00 touched", "mon 13:00 touched"], "mon 14:00",
         [dict(status="met", started_at="mon 09:00", elapsed=1), dict(status="met", started_at="mon 10:00", elapsed=2)],
         max_clocks=2, **TOUCHES),
    Case("recycled once too often", [policy(4)], ["mon 09:00 new", "mon 10:00 done", "mon 11:00 new"], "mon 12:00",
         [dict(status="met"), dict(status="breached", elapsed=1, breach_at="mon 11:00", due_at="mon 15:00",
                                      overdue=None)],
         max_clocks=1, beyond="breach", reopen="restart"),
    # promises
    Case("a promise instead of the target", [policy(8)], ["mon 09:00 new", "mon 10:00 promise mon 12:00"], "mon 11:00",
         [dict(status="running", target=3, elapsed=2, due_at="mon 12:00", breach_at="mon 12:00")]),
    Case("a promise taken back", [policy(8)],
         ["mon 09:00 new", "mon 10:00 promise mon 12:00", "mon 10:30 promise"], "mon 11:00",
         [dict(status="running", target=8, elapsed=2, due_at="mon 17:00")]),
    Case("promised too late", [policy(8)], ["mon 09:00 new", "mon 11:00 promise mon 10:00"], "mon 12:00",
         [dict(status="breached", target=1, elapsed=3, due_at="mon 11:00", breach_at="mon 11:00")]),
    Case("a policy without a target waits for a promise", [policy(None)], ["mon 09:00 new"], "mon 12:00", [],
         not_covered=1),
    Case("and has one then, counted from the start", [policy(None)], ["mon 09:00 new", "mon 11:00 promise mon 13:00"],
         "mon 12:00", [dict(status="running", target=4, elapsed=3, due_at="mon 13:00")]),
    # phases, escalations, horizon
    Case("phases add up", [policy(8)], ["mon 09:00 new", "mon 10:00 assigned", "mon 12:00 accepted", "mon 13:00 done"],
         "tue 09:00", [dict(elapsed=4)], phases=PHASES, spent=[dict(routing=1, acceptance=2, human=1)]),
    Case("a phase passed over has none", [policy(8)],
         ["mon 09:00 new", "mon 11:00 accepted", "mon 12:00 assigned", "mon 13:00 done"],
         "tue 09:00", [dict(elapsed=4)], phases=PHASES, spent=[dict(routing=2, human=2)]),
    Case("steps of a running clock", [policy(8, escalations=STEPS)], ["mon 09:00 new"], "mon 14:00",
         [dict(status="running", elapsed=5)], raised=dict(owner=("mon 13:00", True), coach=("mon 16:30", False),
                                                          manager=("tue 09:00", False), director=("tue 10:00", False))),
    Case("steps of a clock that stands still", [policy(8, escalations=STEPS)], ["mon 09:00 new", "mon 14:00 hold"],
         "mon 15:00", [dict(status="paused", elapsed=5)], raised=dict(owner=("mon 13:00", True), coach=(None, False),
                                                         manager=(None, False), director=(None, False))),
    Case("due beyond the horizon", [policy(2, week("office", (9, 17), known_until=when("wed 00:00") // DAY))],
         ["wed 16:00 new"], "wed 16:30", [dict(status="running", due_at="thu 10:00", beyond_horizon=True)]),
    Case("due within it", [policy(1, week("office", (9, 17), known_until=when("wed 00:00") // DAY))],
         ["wed 16:00 new"], "wed 16:30", [dict(status="running", due_at="wed 17:00", beyond_horizon=False)]),
]
