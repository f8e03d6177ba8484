#!/usr/bin/env python3
"""Random SLAs and histories: sla_clocks, sla_phases and escalations row by row, and everything that is read from
sla_breach, against clocks.py and survival.py; what must hold whatever the model says; and the cases worked by hand."""
import random
from collections import Counter, defaultdict
from fractions import Fraction

import common                                              # finds the model, so it comes first
import clocks
import journeys
import survival
from clocks import WALL, Calendar, Escalation, Policy, Sla
from common import DAY, HOUR, Session, close, integer, micros, quote, real, scaled, sql_array, sql_timestamp, whole
from journeys import SECOND, Mark
from lifecycles import Range

rng = random.Random(common.SEED)
tap = common.Tap()
wrong = defaultdict(list)
checked = Counter()
reached = Counter()                                 # branches of the definition that the random cases took
MINUTE = 60 * SECOND
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def chance(p):
    return rng.random() < p


# ---- SQL ----------------------------------------------------------------------------------------------------------

def clock_text(us):
    """Hours and less: H:MM:SS.ffffff."""
    sign, us = "-" if us < 0 else "", abs(us)
    return "%s%d:%02d:%02d.%06d" % (sign, us // HOUR, us // MINUTE % 60, us // SECOND % 60, us % SECOND)


def sql_interval(us, days):
    """With days, which have 24 hours then, or in hours and less."""
    return "interval '%s'" % ("%d days %s" % (us // DAY, clock_text(us % DAY)) if days else clock_text(us))


def sql_date(day):
    return "%04d-%02d-%02d" % journeys.civil_from_days(day)


def sql_calendar(c):
    rows = []
    for weekday in sorted({w for w, _, _ in c.hours}):
        times = ["%s-%s" % tuple("%02d:%02d" % (us // HOUR, us // MINUTE % 60) for us in row[1:])
                 for row in sorted(c.hours) if row[0] == weekday]
        rows.append(DAYS[weekday] + " " + " ".join(times))
    args = "%s, 'UTC', %s" % (quote(c.name), sql_array(rows))
    if c.holidays:
        args += ", holidays => " + sql_array([sql_date(d) for d in c.holidays], "date")
    if c.known_until is not None:
        args += ", known_until => date '%s'" % sql_date(c.known_until)
    return "business_calendar(%s)" % args


def offset_text(us):
    for unit, name in ((HOUR, "hours"), (MINUTE, "minutes"), (SECOND, "seconds"), (1, "microseconds")):
        if us % unit == 0:
            return "%s %d %s" % ("-" if us < 0 else "+", abs(us) // unit, name)


def step_text(e):
    if e.percent is not None:
        return "%d%% to %s" % (e.percent, e.recipient)
    return "breach %sto %s" % (offset_text(e.offset) + " " if e.offset else "", e.recipient)


def policy_args(p):
    """Arguments of sla() that are a policy's, default ones left out."""
    args = []
    if p.target is not None:
        args.append("target => " + sql_interval(p.target, p.calendar is WALL and p.target >= DAY))
    if p.calendar is not WALL:
        args.append("calendar => " + sql_calendar(p.calendar))
    if list(p.warnings) != [Fraction(4, 5)]:
        args.append("warnings => '{%s}'" % ", ".join(str(float(w)) for w in p.warnings))
    if p.escalations:
        args.append("escalations => " + sql_array([step_text(e) for e in p.escalations]))
    if p.version:
        args.append("version => " + quote(p.version))
    if p.valid is not None:
        args.append("valid => " + common.sql_range(Range(p.lower, p.upper, True, False)))
    for key, values in (("segments", p.segments), ("owners", p.owners)):
        if values is not None:
            args.append("%s => ARRAY[%s]::bigint[]" % (key, ", ".join(map(str, values))))
    return args


def sql_sla(sla, policies=None):
    """The call that makes it; an array of one-policy SLAs when there are several."""
    args = [quote(sla.name)]
    for role in clocks.ARGUMENTS:
        if role == "phases":
            if sla.phases:
                args.append("phases => " + sql_array([name + (" until " + u if u else "") for name, u in sla.phases]))
        elif sla.names[role]:
            args.append("%s => %s" % (role, sql_array(sla.names[role])))
    lifecycle = getattr(sla, "lifecycle", None)                # the stages that give the marks
    if lifecycle:
        args.append("lifecycle => lifecycle('stages', stages => %s)" % sql_array(lifecycle))
    elif sla.given_marks:
        args.append("marks => " + sql_array(["%s=%s" % (n, " ".join(map(str, ids)))
                                             for n, ids in sla.given_marks.items()]))
    for key, default in (("reopen", "resume"), ("change", "carry"), ("beyond", "ignore")):
        if getattr(sla, key) != default:
            args.append("%s => %s" % (key, quote(getattr(sla, key))))
    if sla.max_clocks is not None:
        args.append("max_clocks => %d" % sla.max_clocks)
    calls = ["sla(%s)" % ", ".join(args + policy_args(p)) for p in policies or sla.policies]
    return calls[0] if len(calls) == 1 else "sla(ARRAY[%s])" % ", ".join(calls)


# ---- random SLAs and histories ------------------------------------------------------------------------------------

NAMES = ("created", "assigned", "accepted", "replied", "touched", "waiting", "answered", "moved", "handed", "promised",
         "recycled", "spam", "merged", "called", "closed", "again", "hot", "cold")
PHASES = ("routing", "acceptance", "human", "rest")
RECIPIENTS = ("owner", "manager", "director", "coach", "queue")
REFUSED_TOGETHER = ({"pause", "resume"}, {"stop", "reset"}, {"stop", "cancel"}, {"reset", "cancel"},
                    {"start", "cancel"})


def contradictory(roles, reopen):
    roles = set(roles)
    return any(pair <= roles for pair in REFUSED_TOGETHER) or {"start", "stop"} <= roles and reopen != "restart"


def could_meet(a, b):
    """Could two policies of the same shape be in force at once?"""
    if a.shape() != b.shape():
        return False
    starts = [t for t in (a.lower, b.lower) if t is not None]
    ends = [t for t in (a.upper, b.upper) if t is not None]
    in_time = not starts or not ends or max(starts) < min(ends)
    return (in_time and (a.segments is None or bool(set(a.segments) & set(b.segments)))
            and (a.owners is None or bool(set(a.owners) & set(b.owners))))


class World:
    """One random SLA with its as_of, its unit of time, and a way to make histories for it."""

    def __init__(self):
        self.unit = rng.choice((HOUR, HOUR, HOUR, HOUR, HOUR // 2, HOUR // 2, 4 * HOUR, 7 * SECOND, 1))
        self.spread = rng.choice((6, 12, 24, 48))
        # from Friday to Monday, or any day; small units around an opening or closing time
        self.start = journeys.at(2025, 6, rng.choice((6, 6, 7, 8, 9, 10, 11)))
        self.start += HOUR * rng.choice((8, 9, 11, 12, 16, 17, 20))
        if self.unit < MINUTE:
            self.start -= self.unit * rng.randrange(self.spread // 2)
        self.as_of = self.instant(self.spread * rng.choice((2, 3, 4, 8)) // 4)
        self.calendars = [WALL] + [self.random_calendar(i) for i in range(3)]
        self.sla = self.random_sla()
        ids = [i for ids in self.sla.marks.values() for i in ids]
        self.starts = [i for i in ids if "start" in self.sla.roles_of(i)]
        self.outside = [i for i in (0, 7, 500, 32767) if i not in ids]
        promises = [i for i in ids if "promise" in self.sla.roles_of(i)]
        self.ids = ids * 3 + self.starts * rng.choice((1, 3)) + promises * 2 + self.outside[:2]

    def instant(self, k):
        return self.start + self.unit * k + (rng.choice((-1, 1)) if chance(0.05) else 0)

    def random_calendar(self, i):
        hours = []
        if chance(0.93):
            days = [d for d in range(7) if chance(0.8)] or [rng.randrange(7)]
            common_rows = self.random_rows()
            for d in days:
                hours += [(d, *row) for row in (common_rows if chance(0.8) else self.random_rows())]
        first = self.start // DAY
        holidays = rng.sample(range(first - 1, first + 6), rng.choice((1, 2))) if chance(0.4) else []
        known_until = max([first] + holidays) + rng.choice((0, 1, 3, 300)) if chance(0.3) else None
        return Calendar("calendar %d" % i, hours, holidays, known_until)

    def random_rows(self):
        edges = sorted(rng.sample([8, 8.5, 9, 10, 11, 12, 12.5, 13, 15, 16, 17, 18, 20, 22], rng.choice((2, 2, 4, 6))))
        if chance(0.1):
            edges = [0, 24]
        return [(int(a * HOUR), int(b * HOUR)) for a, b in zip(edges[::2], edges[1::2])]

    # -- the definition --

    def random_sla(self):
        options = dict(reopen=rng.choice(("resume", "resume", "restart", "restart", "ignore")),
                       change=rng.choice(("carry", "carry", "restart")))
        roles = self.random_roles(options["reopen"])
        until = roles.pop("phases")
        if until:
            options["phases"] = list(zip(PHASES, until + [None]))
        elif chance(0.1):
            options["phases"] = [("all", None)]
        if chance(0.4):
            options.update(max_clocks=rng.choice((1, 1, 2, 3)), beyond=rng.choice(("ignore", "breach")))
        sla = Sla("world", self.random_policies(roles), **options, **roles)
        names = list(sla.marks)
        if chance(0.4):
            pool = rng.sample([i for i in range(1, 60) if i != 7], 2 * len(names))
            sla.marks = sla.given_marks = {n: sorted(pool.pop() for _ in range(rng.choice((1, 1, 2)))) for n in names}
        elif chance(0.25):
            sla.lifecycle = rng.sample(names + ["other", "another"], len(names) + 2)
            sla.marks = {n: [sla.lifecycle.index(n) + 1] for n in names}
        return sla

    def random_roles(self, reopen):
        """{role: names}; a name may have several roles where that makes sense."""
        pool = rng.sample(NAMES, len(NAMES))
        roles = {role: [] for role in clocks.ARGUMENTS}

        def give(role, p, most=1):
            for _ in range(rng.randint(1, most) if chance(p) else 0):
                used = [n for names in roles.values() for n in names]
                name = rng.choice(used) if used and chance(0.12) else pool.pop()
                has = [r for r in roles if name in roles[r]] + [role]
                if name in roles[role] or contradictory(has, reopen):
                    name = pool.pop()
                roles[role].append(name)

        give("start", 1, 2)
        give("stop", 1, 2)
        give("pause", 0.75)
        give("resume", 0.9 if roles["pause"] else 0)
        give("reset", 0.35)
        give("cancel", 0.4)
        give("segment", 0.5)
        give("owner", 0.5)
        give("promise", 0.4)
        give("phases", 0.5, 3)
        if reopen == "restart" and chance(0.25) and not contradictory(
                [r for r in roles if roles["start"][0] in roles[r]] + ["stop"], reopen):
            if roles["start"][0] not in roles["stop"]:
                roles["stop"].append(roles["start"][0])                    # follow-up
        return roles

    def random_policies(self, roles):
        wanted, found = rng.choice((1, 1, 2, 3, 5, 8)), []
        for n in range(wanted * 4):
            p = self.random_policy(roles, len(found), wanted > 1)
            if not any(could_meet(p, q) for q in found):
                found.append(p)
            if len(found) == wanted:
                break
        return found

    def random_policy(self, roles, n, several):
        target = self.unit * rng.choice((1, 2, 3, 3, 4, 6, 8, 12)) + chance(0.15)
        if roles["promise"] and chance(0.4):
            target = None
        valid = None
        if several and chance(0.45):
            a, b = sorted(rng.sample(range(-2, self.spread + 4), 2))
            valid = rng.choice(((None, self.instant(a)), (self.instant(a), None),
                                (self.instant(a), self.instant(b) + 2)))
        elif not several and chance(0.15):
            valid = rng.choice(((None, self.instant(self.spread // 2)), (self.instant(self.spread // 4), None)))
        warnings = rng.choice((["0.8"], ["0.8"], ["0.5", "0.9"], ["0.75", "0.25"], []))
        return Policy(target, rng.choice(self.calendars), [Fraction(w) for w in warnings], self.random_steps(),
                      "v%d" % n, valid, self.random_values(roles["segment"]), self.random_values(roles["owner"]))

    def random_values(self, names):
        return sorted(rng.sample((1, 2, 3), rng.choice((1, 1, 2)))) if names and chance(0.55) else None

    def random_steps(self):
        steps = []
        for who in rng.sample(RECIPIENTS, rng.choice((0, 0, 2, 3, 4))):
            if chance(0.5):
                steps.append(Escalation(who, percent=rng.choice((25, 50, 80, 100, 150))))
            else:
                steps.append(Escalation(who, offset=self.unit * rng.choice((0, 0, 1, 2, -1, -2))))
        return steps

    # -- histories --

    def random_mark(self, t, mark_id):
        roles = self.sla.roles_of(mark_id)
        if "promise" in roles:
            value = None if chance(0.3) else self.instant(rng.randrange(-2, self.spread + 8))
        elif "segment" in roles or "owner" in roles:
            value = rng.choice((1, 1, 2, 2, 3, 4, None))
        else:
            value = rng.choice((None, None, None, 1))
        return Mark(t, mark_id, value, rng.choice((None, 1, 2, 3)) if self.with_seq else None)

    def history(self):
        """Marks at few instants, so that many are tied; mostly with a start that is early."""
        self.with_seq = chance(0.25)
        spread = rng.choice((2, self.spread // 3 + 1, self.spread))
        some = lambda before, ids: self.random_mark(self.instant(rng.randrange(max(1, before))), rng.choice(ids))
        out = [some(spread, self.ids) for _ in range(rng.randint(0, 12))]
        if chance(0.75):
            out.append(some(spread // 4, self.starts))
        if chance(0.1) and out:
            out.append(rng.choice(out)._replace(mark=rng.choice(self.ids)))
        if not out and chance(0.5):
            out.append(some(1, self.outside))
        rng.shuffle(out)
        return out


# ---- what the random cases took ------------------------------------------------------------------------------------

BRANCHES = (
    "status met", "status breached", "status running", "status paused", "status cancelled", "ended by stop",
    "ended by reset", "ended by cancel", "stopped while paused", "reopened", "reopen: a new clock", "ignored by reopen",
    "ignored by max_clocks", "beyond max_clocks", "a new cycle", "not covered", "covered late", "policy changed, carry",
    "policy changed, restart", "segment or owner changed", "lapsed", "lapsed with its promise", "restarted",
    "policy without target", "promised", "promised too late", "promise taken back", "negative target",
    "breached while it ran", "breached by a change", "breached at its start", "breached, later target not exceeded",
    "overdue and open", "at risk", "due before it went on", "never due", "reached exactly", "beyond horizon",
    "no calendar", "a calendar that is never open", "phase entered and left at once", "phase passed over",
    "three phases", "step due", "step not due", "step without a time", "step of a breached clock", "tied marks", "seq",
    "two marks of a name")


def note_branches(world, history, covered, not_covered, walk):
    sla = world.sla
    own = clocks.read(history, sla, world.as_of)
    reached["tied marks"] += any(journeys.tie_key(a) == journeys.tie_key(b) for a, b in zip(own, own[1:]))
    reached["seq"] += any(m.seq is not None for m in own)
    reached["two marks of a name"] += any(len(ids) > 1 and m.mark == ids[-1] for m in own for ids in sla.marks.values())
    reached["not covered"] += not_covered
    reached["ignored by reopen"] += walk.ignored["reopen"]
    reached["ignored by max_clocks"] += walk.ignored["max_clocks"]
    reached["a new cycle"] += any("cancel" in sla.roles_of(m.mark) for m in own) and len(walk.clocks) > 1
    reached["reopen: a new clock"] += sla.reopen == "restart" and len(walk.clocks) > 1
    for r in covered:
        reached["status " + r.status] += 1
        if r.ended_by:
            reached["ended by " + r.ended_by] += 1
        last, pieces = r.pieces[-1], r.pieces
        reached["stopped while paused"] += r.ended_by == "stop" and not last.runs
        reached["reopened"] += r.clock.reopened
        reached["beyond max_clocks"] += r.clock.beyond
        reached["covered late"] += pieces[0].policy is None
        reached["restarted"] += last.base > 0
        for a, b in zip(pieces, pieces[1:]):
            if a.policy and a.policy is not b.policy:
                reached["policy changed, " + sla.change] += 1
            reached["segment or owner changed"] += bool(a.policy) and (a.segment, a.owner) != (b.segment, b.owner)
            reached["promise taken back"] += bool(a.policy) and a.promise is not None and b.promise is None
        # its policy without a target goes on with the promise that was taken back
        reached["lapsed with its promise"] += any(a.policy and a.policy is b.policy and a.policy.target is None
                                                  and b.withdrawn for a, b in zip(pieces, pieces[1:]))
        reached["lapsed"] += sla.in_force(last.a, last.segment, last.owner, last.promise) is None
        reached["policy without target"] += r.policy.target is None
        reached["promised"] += last.promise is not None
        reached["negative target"] += r.target < 0
        if r.breach:
            i, p = r.breach[0], pieces[r.breach[0]]
            cause = "while it ran"
            if clocks.elapsed_at(pieces, i, p.a) > p.target:
                cause = "by a change" if i else "at its start"
            reached["breached " + cause] += 1
            reached["promised too late"] += cause == "by a change" and p.promise is not None
            reached["breached, later target not exceeded"] += r.overdue is None
        reached["overdue and open"] += r.status == "breached" and r.open
        reached["at risk"] += r.at_risk
        reached["due before it went on"] += r.breach_at is not None and any(
            r.due_at is not None and r.due_at < p.a == r.breach_at for p in pieces if p.begins)
        reached["never due"] += r.status == "running" and r.due_at is None
        reached["reached exactly"] += r.elapsed == r.target > 0
        reached["beyond horizon"] += r.beyond_horizon
        reached["no calendar"] += r.policy.calendar is WALL
        reached["a calendar that is never open"] += r.policy.calendar is not WALL and not r.policy.calendar.hours
        phases = r.phases()
        reached["three phases"] += len(phases) > 2
        reached["phase entered and left at once"] += any(left and not spent for _, _, spent, left in phases)
        reached["phase passed over"] += bool(phases) and len(phases) < phases[-1][0]
        for _, _, t, due in r.escalations():
            reached["step due" if due else "step not due"] += 1
            reached["step without a time"] += t is None
            reached["step of a breached clock"] += r.status == "breached"


# ---- asking -------------------------------------------------------------------------------------------------------

class Question:
    """SQL that reads something, and how to judge the answer."""

    def __init__(self, s, case, title, sql, judge):
        self.case, self.title, self.sql, self.judge = case, title, sql, judge
        self.number = s.query(sql)

    def settle(self, answers):
        checked[self.title] += 1
        want = self.judge(answers[self.number])
        if want is not None:
            wrong[self.title].append("%s\n%s\ngot  %.900r\nwant %.900s" % (
                self.case.describe(), self.sql, answers[self.number], want))


# how a column is read, and how it is compared
equal = lambda g, w: g == w
count = lambda g, w: integer(g) == w
instant = lambda g, w: whole(g) == w
flag = lambda g, w: g == ("t" if w else "f")
number = lambda g, w: close(real(g), w, 1e-9)
six_digits = lambda g, w: close(real(g), w, 1.1e-6)
four_digits = lambda g, w: close(real(g), w, 5.1e-5)
midpoint = lambda g, w: g is None and w is None or g is not None and w is not None and abs(Fraction(g) - w) < 1


def hundredths(g, w):
    """A number with two decimals of hours, of microseconds."""
    return g is None and w is None or g is not None and w is not None and abs(
        Fraction(g) - Fraction(w) / HOUR) <= Fraction(501, 10 ** 5)


def members(g, w):
    """A bigint[] without order."""
    return g is None and w is None or g is not None and w is not None and sorted(
        int(x) for x in g.strip("{}").split(",")) == sorted(w)


def differences(names, tests, got, want):
    return ["%s: %s, not %s" % (n, g, w) for n, test, g, w in zip(names, tests, got, want) if not test(g, w)]


CLOCK = (("status", equal), ("started_at", instant), ("due_at", instant), ("breach_at", instant), ("ended_at", instant),
         ("ended_by", equal), ("elapsed", instant), ("elapsed_wall", instant), ("paused", instant), ("target", instant),
         ("remaining", instant), ("overdue", instant), ("fraction_used", four_digits), ("at_risk", flag),
         ("version", equal), ("segment", count), ("owner", count), ("beyond_horizon", flag))
COLUMNS, TESTS = zip(*CLOCK)
CLOCK_SQL = ", ".join(micros("x." + c) if test is instant else "x." + c for c, test in CLOCK)
# in the order in which sla_clocks has them
ALIAS = ("x(clock_no, status, started_at, due_at, breach_at, ended_at, ended_by, elapsed, elapsed_wall, paused, "
         "target, remaining, overdue, fraction_used, at_risk, policy_no, version, segment, owner, beyond_horizon, n)")
RATES = ("breach_rate", "rate_low", "rate_high", "median_hours", "p90_hours", "last_observed_hours",
         "median_overdue_hours")
COUNTS = ("started", "met", "breached", "running", "paused", "cancelled", "at_risk", "overdue", "beyond_horizon")


def judge_identities(names, got):
    """What holds of a row of sla_clocks, whatever the model says."""
    row = dict(zip(names, got))
    t = {c: whole(row[c]) for c, test in CLOCK if test is instant}
    out = []
    if not 0 <= t["elapsed"] <= t["elapsed_wall"]:
        out.append("elapsed is not between 0 and elapsed_wall")
    if (t["ended_at"] is None) != (row["ended_by"] is None) or (t["remaining"] is None) != (t["ended_at"] is not None):
        out.append("an end without a reason, or something that remains after it")
    if (row["status"] == "breached") < (t["overdue"] is not None):
        out.append("overdue, and not breached")
    if row["status"] == "breached" and t["breach_at"] is None:
        out.append("breached, and never")
    if t["remaining"] is not None and t["remaining"] != t["target"] - t["elapsed"]:
        out.append("remaining is not target less elapsed")
    return out


class Case:
    def __init__(self):
        self.world = World()
        self.sla, self.as_of = self.world.sla, self.world.as_of
        self.sql = sql_sla(self.sla)
        # those without a mark are no journey
        self.histories = {i: h for i, h in enumerate(journeys.journey(self.world.history()) for _ in range(16)) if h}
        self.model = {i: clocks.clocks(h, self.sla, self.as_of) for i, h in self.histories.items()}
        for i, answer in self.model.items():
            note_branches(self.world, self.histories[i], *answer)
        self.readings = [r for covered, _, _ in self.model.values() for r in covered]
        self.policy_no = {}                                     # by version, as policies() numbers them
        self.clock_no = {}                                      # by subject and place, as sla_clocks numbers them

    def describe(self):
        return "%s\nas_of %s\n%s" % (self.sql, journeys.sql_time(self.as_of),
                                     " ".join(journeys.text(h) for h in self.histories.values())[:1500])

    def ask(self, s):
        self.questions = []
        if not self.histories:
            return
        as_of = sql_timestamp(self.as_of)
        s.run("TRUNCATE m, h, cut, more, d, v")
        s.load("m", [(i, m.mark, journeys.sql_time(m.at), m.value, m.seq)
                     for i, h in self.histories.items() for m in h])
        fold = "SELECT id, journey(mark, at, value, seq) FROM %s GROUP BY id"
        s.run("INSERT INTO h " + fold % "m")
        s.run("INSERT INTO cut " + fold % "(SELECT * FROM m WHERE at <= %s) x" % as_of)
        # marks that are not its business, at instants that are
        s.run("INSERT INTO more " + fold % """(
                  TABLE m UNION ALL SELECT id, %d, at, value, seq FROM m
                  UNION ALL SELECT id, %d, at - interval '1 hour', 1, NULL FROM m) x""" % tuple(self.world.outside[:2]))
        s.run("INSERT INTO d SELECT %s" % self.sql)
        s.run("INSERT INTO v SELECT sla_breach(j, s, %s) FROM h, d" % as_of)
        ask = lambda title, sql, judge: self.questions.append(Question(s, self, title, sql, judge))
        self.ask_definition(ask)
        self.ask_summary(ask, as_of)
        self.ask_clocks(ask, as_of)                             # after policies(): that says how they are numbered
        self.ask_later(ask, as_of)

    def ask_definition(self, ask):
        shuffled = rng.sample(self.sla.policies, len(self.sla.policies))
        ask("text of sla", "SELECT s::text::sla = s, (s::text::sla)::text = s::text, "
            "fingerprint(s::text::sla) = fingerprint(s), s = %s, fingerprint(s) = fingerprint(%s) FROM d"
            % (sql_sla(self.sla, shuffled), self.sql), self.all_true)
        names = sorted(self.sla.marks)
        ask("mark", "SELECT %s FROM d" % ", ".join("mark(s, %s)" % quote(n) for n in names),
            self.one_row([(n, count, self.sla.marks[n][0]) for n in names]))

    def ask_clocks(self, ask, as_of):
        call = "(h.j, d.s, %s)" % as_of
        ask("clocks", "SELECT id, x.clock_no, x.policy_no, %s FROM h, d, sla_clocks%s WITH ORDINALITY AS %s "
            "ORDER BY id, n" % (CLOCK_SQL, call, ALIAS), self.judge_clocks)
        ask("sla_phases", "SELECT id, x.clock_no, x.phase_no, x.phase, %s FROM h, d, sla_phases%s AS x "
            "ORDER BY id, clock_no, phase_no" % (micros("x.elapsed"), call), self.judge_clock_phases)
        ask("escalations", "SELECT id, x.clock_no, x.recipient, x.step_no, %s, %s, x.is_due, x.step "
            "FROM h, d, escalations%s AS x ORDER BY id, clock_no, step_no" % (
                micros("x.counting_since"), micros("x.raise_at"), call), self.judge_escalations)

    def ask_summary(self, ask, as_of):
        readings = self.readings
        n = clocks.counts(readings)
        stays, late = clocks.elapsed_stays(readings), clocks.overdue_stays(readings)
        missed = sum(not_covered for _, not_covered, _ in self.model.values())
        columns = [(c, count, n[c]) for c in COUNTS] + [("not_covered", count, missed)]
        columns += [("subjects", count, len(self.histories)), ("as_of", instant, self.as_of)]
        columns += [(c, number, w) for c, w in zip(("rate", "low", "high"), clocks.breach_rate(readings, 0.9))]
        ask("counts", "SELECT %s, not_covered(v), subjects(v), %s, breach_rate(v), breach_rate_low(v, 0.9), "
            "breach_rate_high(v, 0.9) FROM v" % (", ".join("%s(v)" % c for c in COUNTS), micros("as_of(v)")),
            self.one_row(columns))
        ask("its sla", "SELECT sla(v) = s, fingerprint(v) = fingerprint(s) FROM v, d", self.all_true)
        p = rng.choice((0.1, 0.25, 0.5, 0.75, 0.9, 1 / 3))
        ask("quantiles", "SELECT %s FROM v" % ", ".join(micros("%s_quantile(v, %r)" % (which, q))
                                                        for which in ("elapsed", "overdue") for q in (0.5, p)),
            self.one_row([("quantile", midpoint, clocks.quantile(x, q)) for x in (stays, late) for q in (0.5, p)]))
        ask("policies", "SELECT x.policy_no, x.version, %s, %s, x.segments, x.owners, %s, %s FROM v, "
            "policies(v, 0.9) AS x ORDER BY policy_no" % (
                micros("lower(x.valid)"), micros("upper(x.valid)"), micros("x.target"),
                ", ".join("x." + c for c in COUNTS + RATES)), self.judge_policies)
        ask("phases", "SELECT x.phase_no, x.phase, x.stopped, x.sum_seconds, x.mean_hours, x.median_hours, x.p90_hours "
            "FROM v, phases(v) AS x ORDER BY phase_no", self.judge_phases)
        ask("text of a summary", "SELECT (v::text::breach_summary)::text = v::text FROM v", self.all_true)

        same = lambda title, sql: ask(title, "SELECT %s::text = (SELECT v::text FROM v) FROM %s" % sql, self.all_true)
        same("rollup", ("rollup(p)", "(SELECT sla_breach(j, s, %s) AS p FROM h, d GROUP BY %s) x" % (
            as_of, rng.choice(("id % 2", "id % 3", "id", "id / 5")))))
        same("order", ("sla_breach(j, s, %s ORDER BY hashint4(id::int))" % as_of, "h, d"))
        same("packs", ("sla_breach(p, s, %s)" % as_of, "(SELECT journey_pack(id, j) AS p FROM h GROUP BY id %% %d) x, d"
                       % rng.choice((1, 3))))
        same("not its business", ("sla_breach(j, s, %s)" % as_of, "more, d"))
        ask("not its business", "SELECT NOT EXISTS (SELECT id, c FROM h, d, sla_clocks(h.j, s, %s) c "
            "EXCEPT SELECT id, c FROM more, d, sla_clocks(more.j, s, %s) c)" % (as_of, as_of), self.all_true)
        ask("marks to come", "SELECT NOT EXISTS (SELECT id, c FROM h, d, sla_clocks(h.j, s, %s) c "
            "EXCEPT SELECT id, c FROM cut, d, sla_clocks(cut.j, s, %s) c)" % (as_of, as_of), self.all_true)

    def ask_later(self, ask, as_of):
        """How answers of two as_of hang together.  Each question counts the clocks it looked at, and the wrong ones."""
        later = sql_timestamp(self.as_of + self.world.unit * rng.choice((1, 2, 5, 30)))
        ask("a breach is a fact", """
            SELECT count(*), count(*) FILTER (WHERE e.status IS DISTINCT FROM 'breached' OR e.started_at <> c.started_at
                OR e.breach_at IS DISTINCT FROM c.breach_at
                OR c.breach_at > c.started_at AND e.due_at IS DISTINCT FROM c.due_at)
            FROM h, d, sla_clocks(h.j, s, %s) c LEFT JOIN LATERAL sla_clocks(h.j, s, %s) e ON e.clock_no = c.clock_no
            WHERE c.status = 'breached'""" % (as_of, later), self.none_wrong("a breach is a fact"))
        if any(t is not None and t > self.as_of for p in self.sla.policies for t in (p.lower, p.upper)):
            return
        # where nothing happens after as_of: no marks (cut), no other policies
        ask("at due_at", """
            SELECT count(*), count(*) FILTER (WHERE e.elapsed <> c.target OR e.status <> 'running'
                OR e.due_at <> c.due_at)
            FROM cut, d, sla_clocks(cut.j, s, %s) c
            JOIN LATERAL sla_clocks(cut.j, s, c.due_at) e ON e.clock_no = c.clock_no
            WHERE c.status = 'running' AND c.due_at >= %s""" % (as_of, as_of), self.none_wrong("at due_at"))
        ask("at breach_at", """
            SELECT count(*), count(*) FILTER (WHERE e.status <> 'running' OR f.status <> 'breached'
                OR f.breach_at <> c.breach_at)
            FROM cut, d, sla_clocks(cut.j, s, %s) c
            JOIN LATERAL sla_clocks(cut.j, s, c.breach_at) e ON e.clock_no = c.clock_no
            JOIN LATERAL sla_clocks(cut.j, s, c.breach_at + interval '1 microsecond') f ON f.clock_no = c.clock_no
            WHERE c.status = 'running'""" % as_of, self.none_wrong("at breach_at"))

    # -- judges: None, or what was wanted --

    @staticmethod
    def all_true(rows):
        return None if len(rows) == 1 and set(rows[0]) == {"t"} else "all true"

    @staticmethod
    def none_wrong(title):
        def judge(rows):
            checked[title + ": clocks"] += int(rows[0][0])
            return None if rows[0][1] == "0" else "none wrong"
        return judge

    @staticmethod
    def one_row(columns):
        names, tests, want = zip(*columns)
        return lambda rows: "; ".join(differences(names, tests, rows[0], want)) or None

    def judge_clocks(self, rows):
        got = defaultdict(list)
        for r in rows:
            got[int(r[0])].append(r[1:])
        self.clock_no = {i: [int(r[0]) for r in got[i]] for i in self.model}
        for i, (covered, _, _) in self.model.items():
            head = "subject %d %s: " % (i, journeys.text(self.histories[i]))
            if len(got[i]) != len(covered):
                return head + "%d clocks" % len(covered)
            if self.clock_no[i] != list(range(1, len(covered) + 1)):
                return head + "clocks are numbered from 1"
            for r, reading in zip(got[i], covered):
                bad = differences(COLUMNS, TESTS, r[2:], [getattr(reading, c) for c in COLUMNS])
                if int(r[1]) != self.policy_no.get(reading.version):
                    bad.append("policy_no: %s, not %s" % (r[1], self.policy_no.get(reading.version)))
                bad += judge_identities(COLUMNS, r[2:]) or self.judge_wall(r[2:], reading)
                if bad:
                    return head + "clock %s: %s" % (r[0], "; ".join(bad))
            checked["clocks: rows"] += len(covered)
        return None

    def judge_wall(self, got, reading):
        """What ran and what stood still are the whole, but for what lies between a stop and reopening."""
        t = {c: whole(g) for c, g in zip(COLUMNS, got) if c in ("started_at", "ended_at", "elapsed_wall", "paused")}
        whole_time = (self.as_of if t["ended_at"] is None else t["ended_at"]) - t["started_at"]
        parts = t["elapsed_wall"] + t["paused"]
        if parts == whole_time or reading.clock.reopened and parts < whole_time:
            return []
        return ["ran and stood still are not the whole"]

    def judge_clock_phases(self, rows):
        got = defaultdict(list)
        for r in rows:
            got[int(r[0]), int(r[1])].append((int(r[2]), r[3], whole(r[4])))
        want = {(i, n): [p[:3] for p in r.phases()] for i, (covered, _, _) in self.model.items()
                for n, r in zip(self.clock_no[i], covered) if r.phases()}
        for key in sorted(set(got) | set(want)):
            if got.get(key) != want.get(key):
                return "subject %d, clock %d: %r, not %r" % (*key, want.get(key), got.get(key))
        for i, (covered, _, _) in self.model.items():
            for n, r in zip(self.clock_no[i], covered):
                if self.sla.phases and sum(spent for _, _, spent in got[i, n]) != r.elapsed:
                    return "subject %d, clock %d: phases add up to elapsed, %d" % (i, n, r.elapsed)
        return None

    def judge_escalations(self, rows):
        """By recipient, which no two steps of a policy share here."""
        got = {(int(r[0]), int(r[1]), r[2]): (integer(r[3]), whole(r[4]), whole(r[5]), r[6] == "t") for r in rows}
        want = {(i, no, step.recipient): (n, r.counting_since, t, due) for i, (covered, _, _) in self.model.items()
                for no, r in zip(self.clock_no[i], covered) for n, step, t, due in r.escalations()}
        if len(got) != len(rows):
            return "one row for each step"
        for key in sorted(set(got) | set(want)):
            if got.get(key) != want.get(key):
                return "subject %d, clock %d, to %s: (step_no, counting_since, raise_at, is_due) %r, not %r" % (
                    *key, want.get(key), got.get(key))
        return None

    def judge_policies(self, rows):
        by_version = {p.version: p for p in self.sla.policies}
        self.policy_no = {r[1]: int(r[0]) for r in rows}
        if sorted(self.policy_no) != sorted(by_version) or [int(r[0]) for r in rows] != list(range(1, len(rows) + 1)):
            return "policies %r, numbered from 1" % sorted(by_version)
        order = [(p.shape(), p.lower is not None, p.lower or 0) for p in (by_version[r[1]] for r in rows)]
        if order != sorted(order):
            return "ordered by shape and valid"
        names = ("lower", "upper", "segments", "owners", "target") + COUNTS + RATES
        tests = (instant, instant, members, members, instant) + (count,) * len(COUNTS)
        tests += (six_digits,) * 3 + (hundredths,) * 4
        for r in rows:
            p = by_version[r[1]]
            readings = [x for x in self.readings if x.policy is p]
            n, stays = clocks.counts(readings), clocks.elapsed_stays(readings)
            want = [p.lower, p.upper, p.segments, p.owners, p.target] + [n[c] for c in COUNTS] + [
                *clocks.breach_rate(readings, 0.9), clocks.quantile(stays, 0.5), clocks.quantile(stays, 0.9),
                survival.last_observed(stays), clocks.quantile(clocks.overdue_stays(readings), 0.5)]
            bad = differences(names, tests, r[2:], want)
            c = {name: int(x) for name, x in zip(COUNTS, r[7:7 + len(COUNTS)])}
            if c["started"] != c["met"] + c["breached"] + c["running"] + c["paused"] + c["cancelled"]:
                bad.append("the statuses do not add up to started")
            if bad:
                return "policy %s: %s" % (r[1], "; ".join(bad))
        return None

    def judge_phases(self, rows):
        table = clocks.phase_table(self.readings, self.sla)
        if [(int(r[0]), r[1]) for r in rows] != [t[:2] for t in table]:
            return "phases %r" % [t[:2] for t in table]
        for r, (_, name, stopped, spent, stays) in zip(rows, table):
            bad = differences(("stopped", "sum_seconds", "mean_hours", "median_hours", "p90_hours"),
                              (count, lambda g, w: Fraction(g) == w, hundredths, hundredths, hundredths), r[2:],
                              (stopped, Fraction(spent, SECOND), Fraction(spent, stopped) if stopped else None,
                               clocks.quantile(stays, 0.5), clocks.quantile(stays, 0.9)))
            if bad:
                return "phase %s: %s" % (name, "; ".join(bad))
        if len(rows) > 1 and sum(Fraction(r[3]) for r in rows[1:]) != Fraction(rows[0][3]):
            return "phases add up to the total, exactly"
        return None


# ---- random worlds -------------------------------------------------------------------------------------------------
left, batch_size = scaled(600), 40
while left > 0:
    batch = [Case() for _ in range(min(batch_size, left))]
    left -= len(batch)
    s = Session()
    s.run("SET jit = off")                      # nobody has counted the rows of these tables: a plan may look expensive
    s.run("CREATE TEMP TABLE m (id bigint, mark int, at timestamptz, value bigint, seq bigint);"
          "CREATE TEMP TABLE h (id bigint, j journey); CREATE TEMP TABLE cut (id bigint, j journey);"
          "CREATE TEMP TABLE more (id bigint, j journey); CREATE TEMP TABLE d (s sla);"
          "CREATE TEMP TABLE v (v breach_summary)")
    for case in batch:
        case.ask(s)
    answers = s.go()
    for case in batch:
        for q in case.questions:
            q.settle(answers)
TITLES = (
    ("clocks", "sla_clocks = model, every column; elapsed ≤ elapsed_wall; ran and stood still are the whole"),
    ("sla_phases", "sla_phases = model; phases add up to elapsed"),
    ("escalations", "escalations = model"),
    ("counts", "counts and breach rate = model"),
    ("policies", "policies() = model; the statuses of each add up to started"),
    ("phases", "phases() = model; sums add up to the total"),
    ("quantiles", "elapsed_quantile, overdue_quantile = model, to the microsecond"),
    ("mark", "mark(sla, name)"),
    ("text of sla", "the text of an sla can be read back; no order of policies matters"),
    ("text of a summary", "the text of a summary can be read back"),
    ("its sla", "sla(summary), fingerprint(summary)"),
    ("rollup", "rollup of disjoint parts is byte-equal"),
    ("order", "whatever the order, byte-equal"),
    ("packs", "packs give the same, byte-equal"),
    ("not its business", "marks that are not its business change nothing"),
    ("marks to come", "marks after as_of do not exist"),
    ("a breach is a fact", "a later as_of finds the same breaches"),
    ("at due_at", "at due_at, elapsed is the target"),
    ("at breach_at", "at breach_at it is not breached, and a microsecond later it is"))
for key, title in TITLES:
    tap.none(wrong[key], title, checked[key])
for key in ("clocks: rows", "a breach is a fact: clocks", "at due_at: clocks", "at breach_at: clocks"):
    tap.ok(checked[key] > 0, "looked at %d clocks: %s" % (checked[key], key))
tap.note("branches: " + ", ".join("%s %d" % (b, reached[b]) for b in BRANCHES))
unknown = sorted(set(reached) - set(BRANCHES))
missing = [b for b in BRANCHES if reached[b] == 0]
if common.SCALE >= 1:
    tap.ok(not missing and not unknown, "the random cases took every branch of the definition", missing + unknown)
else:
    tap.skip("the random cases took every branch of the definition", "SCALE is below 1")


# ---- cases worked by hand ------------------------------------------------------------------------------------------
class HandCase:
    def __init__(self, s, case):
        self.case, self.sql = case, sql_sla(case.sla)
        call = "(journey '%s', %s, %s)" % (journeys.text(case.history), self.sql, sql_timestamp(case.as_of))
        self.clocks = s.query("SELECT %s FROM sla_clocks%s WITH ORDINALITY AS %s ORDER BY n" % (CLOCK_SQL, call, ALIAS))
        self.phases = s.query("SELECT x.clock_no, x.phase, %s FROM sla_phases%s AS x ORDER BY clock_no, phase_no"
                              % (micros("x.elapsed"), call))
        self.steps = s.query("SELECT x.recipient, %s, x.is_due FROM escalations%s AS x" % (micros("x.raise_at"), call))
        self.missed = s.query("SELECT not_covered(sla_breach%s)" % call)

    def settle(self, answers):
        case, got, bad = self.case, answers[self.clocks], []
        if len(got) != len(case.want):
            bad.append("%d clocks, not %d" % (len(got), len(case.want)))
        for r, want in zip(got, case.want):
            bad += differences(*zip(*[(c, test, g, want[c]) for (c, test), g in zip(CLOCK, r) if c in want]))
        if answers[self.missed] != [[str(case.not_covered)]]:
            bad.append("not covered: %r" % answers[self.missed])
        if case.spent is not None:
            spent = defaultdict(dict)
            for no, phase, elapsed in answers[self.phases]:
                spent[no][phase] = whole(elapsed)
            if list(spent.values()) != case.spent:
                bad.append("phases: %r, not %r" % (dict(spent), case.spent))
        if case.raised is not None:
            steps = {who: (whole(t), due == "t") for who, t, due in answers[self.steps]}
            if steps != case.raised:
                bad.append("steps: %r, not %r" % (steps, case.raised))
        tap.ok(not bad, case.title, [self.sql, journeys.text(case.history)] + bad)


s = Session()
by_hand = [HandCase(s, case) for case in clocks.CASES]
answers = s.go()
for case in by_hand:
    case.settle(answers)


# ---- what is refused -----------------------------------------------------------------------------------------------
def refusals(calls):
    """Complaints: calls must fail with 22023, or not at all."""
    s = Session()
    s.run("CREATE FUNCTION pg_temp.state(statement text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN EXECUTE statement; "
          "RETURN '00000'; EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE; END $$")
    asked = [(call, "22023" if refused else "00000", s.query("SELECT pg_temp.state(%s)" % quote("SELECT " + call)))
             for call, refused in calls]
    answers = s.go()
    return ["%s: %r, not %s" % (call, answers[q], want) for call, want, q in asked if answers[q] != [[want]]]


calls, ways = [], Counter()
while min(ways[True], ways[False]) < scaled(40):
    world = World()
    roles = dict(segment=["segment"], owner=["owner"], promise=["promise"])
    pair = [world.random_policy(roles, n, True) for n in (0, 1)]
    calls.append((sql_sla(Sla("two", pair, start=["start"], stop=["stop"], **roles)), could_meet(*pair)))
    ways[could_meet(*pair)] += 1
tap.none(refusals(calls), "two policies that could be in force at once are refused, others are not", len(calls))

calls = []
EVENTS = ("start", "stop", "pause", "resume", "reset", "cancel")
for k, one in enumerate(EVENTS):
    for two in EVENTS[k + 1:]:
        for reopen in ("resume", "restart"):
            roles = {role: [role + "_mark"] for role in EVENTS}
            for role in (one, two):
                roles[role].append("both")
            calls.append((sql_sla(Sla("roles", [Policy(HOUR)], reopen=reopen, **roles)),
                          contradictory((one, two), reopen)))
tap.none(refusals(calls), "roles that contradict each other in one mark are refused, others are not", len(calls))


# ---- many clocks: untouched ones count; past the cap on distinct durations ------------------------------------------
AS_OF = journeys.at(2030, 1, 1)
MANY = Sla("many", [Policy(DAY)], start=["in"], stop=["out"])
subjects = []                                                        # (from, to or None)
for k in range(scaled(6000)):
    duration = min(int(rng.lognormvariate(25, 1.5)), 900 * DAY)
    subjects.append((AS_OF - duration, None) if k % 4 == 0 else (AS_OF - 1000 * DAY, AS_OF - 1000 * DAY + duration))
s = Session()
s.run("CREATE TEMP TABLE m (id bigint, mark int, at timestamptz); CREATE TEMP TABLE h (id bigint, j journey)")
s.load("m", [(k, mark, journeys.sql_time(t)) for k, ends in enumerate(subjects)
             for mark, t in zip((1, 2), ends) if t is not None])
s.run("INSERT INTO h SELECT id, journey(mark, at) FROM m GROUP BY id")
arguments = "j, %s, %s" % (sql_sla(MANY), sql_timestamp(AS_OF))
s.run("CREATE TEMP TABLE v AS SELECT sla_breach(%s) AS v FROM h" % arguments)
q_counts = s.query("SELECT started(v), met(v), breached(v), running(v), overdue(v) FROM v")
q_parts = s.query("SELECT rollup(p)::text = (SELECT v::text FROM v) FROM (SELECT sla_breach(%s) AS p FROM h "
                  "GROUP BY id %% 7) x" % arguments)
q_backwards = s.query("SELECT sla_breach(%s ORDER BY id DESC)::text = (SELECT v::text FROM v) FROM h" % arguments)
q_quantiles = s.query("SELECT %s FROM v" % ", ".join(micros("elapsed_quantile(v, %r)" % p) for p in (0.25, 0.5, 0.9)))
answers = s.go()
stays = [survival.Stay(0, (end or AS_OF) - start, "stop" if end is not None else None) for start, end in subjects]
ways = Counter((x.duration > DAY, x.kind is not None) for x in stays)      # (breached, stopped)
want = [len(stays), ways[False, True], ways[True, True] + ways[True, False], ways[False, False], ways[True, False]]
tap.ok(answers[q_counts] == [[str(w) for w in want]], "many: counts, the untouched ones too", [answers[q_counts], want])
tap.ok(answers[q_parts] == [["t"]], "many: rollup of parts is byte-equal, past the cap too", answers[q_parts])
tap.ok(answers[q_backwards] == [["t"]], "many: backwards, byte-equal", answers[q_backwards])
curve, bad = survival.Curve(stays), []
for p, g in zip((0.25, 0.5, 0.9), answers[q_quantiles][0]):
    want = curve.quantile(p)
    # A bin is one per cent wide; who ended and who was censored in it is not in order, which shifts the curve by a step, and in
    # its tail, where few are left, a step is some bins wide.
    if (g is None) != (want is None) or g is not None and abs(Fraction(g) - want) > want / 25:
        bad.append("%r: %s, exact %s" % (p, g, want))
tap.none(bad, "many: quantiles are Kaplan-Meier's, the untouched censored, to four per cent")

# ---- promise_value -------------------------------------------------------------------------------------------------
s = Session()
times = [0, 1, -1, AS_OF, journeys.at(1969, 12, 31, 23, 59, 59, 999999), journeys.at(2024, 2, 29, 12)]
queries = [s.query("SELECT promise_value(%s)" % sql_timestamp(t)) for t in times]
answers = s.go()
bad = ["%s: %r" % (journeys.sql_time(t), answers[q]) for t, q in zip(times, queries) if answers[q] != [[str(t)]]]
tap.none(bad, "promise_value: microseconds since 1970", len(times))
tap.done()
