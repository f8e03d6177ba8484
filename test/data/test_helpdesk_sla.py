#!/usr/bin/env python3
"""Help desk of an Italian software company: SLA clocks with pauses and reopening (SHARED/data/helpdesk_it).

'Wait' pauses the clock of a ticket, any other activity resumes it, 'Resolve ticket' stops it, and a later activity
reopens it: the same clock goes on. 'Closed' is not work and does nothing (4,557 tickets end with it, long after they
were resolved). The first activity starts the clock, a 'Wait' too: then it stands still at once.

There is no reference for clocks. Each of the 4,580 is computed a second time here, by cutting the ticket at its events
and adding up the pieces in which it ran; business hours by the list of all the days there are, in local time.

Every event says its severity, so the severity is a segment, and it changes. Targets and calendars go by it. The row
number inside the ticket is the seq, so rows at one instant keep the order of the file; without it tied marks are read
by their roles. Both are checked.
"""
import bisect
import collections
import itertools
import os
import sys
from datetime import date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import harness
from harness import ROOT, array, literal

tap, db, folder = harness.start('data/helpdesk_it')
import refstats

sys.path.insert(0, os.path.join(ROOT, 'test', 'model'))
import survival

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICRO = timedelta(microseconds=1)
HOUR = 3_600_000_000
ROME = ZoneInfo('Europe/Rome')


def us(x):
    """An instant or an interval in SQL, as whole microseconds."""
    return '(extract(epoch from %s) * 1000000)::bigint' % x


def micros(instant):
    return (instant - EPOCH) // MICRO


# -- load --------------------------------------------------------------------------------------------------------------
events = refstats.read(folder + '/events.csv')
activities = sorted({e['activity'] for e in events})
number = {a: i + 1 for i, a in enumerate(activities)}
SEVERITY = 'severity'
number[SEVERITY] = len(activities) + 1
tickets = collections.defaultdict(list)         # ticket -> [(time, seq, mark, value)]: an event's severity, the event
for e in events:
    at, seq = micros(refstats.iso(e['timestamp'])), int(e['event_seq'])
    severity = int(e['seriousness_2'].replace('Value ', ''))
    tickets[e['case_id']] += [(at, seq, SEVERITY, severity), (at, seq, e['activity'], None)]
cases = list(tickets.values())
tap.eq([len(cases), sum(map(len, cases))], [4580, 2 * 21348], 'tickets, and two marks for each event')
last_event = max(m[0] for marks in cases for m in marks)
db.load('mark_row', 'id int, mark int, at timestamptz, value bigint, seq bigint', [
    [i, number[what], (EPOCH + at * MICRO).isoformat(), value, seq]
    for i, marks in enumerate(cases) for at, seq, what, value in marks])
db.run("""
    create temp table ticket as select id, journey(mark, at, value, seq) as j from mark_row group by id;
    create temp table unordered as select id, journey(mark, at, value) as j from mark_row group by id;""")

# -- a calendar --------------------------------------------------------------------------------------------------------
EASTER_MONDAYS = ('2010-04-05', '2011-04-25', '2012-04-09', '2013-04-01')
FIXED = ('01-01', '01-06', '04-25', '05-01', '06-02', '08-15', '11-01', '12-08', '12-25', '12-26')
holidays = sorted({'%d-%s' % (y, d) for y in range(2010, 2014) for d in FIXED} | set(EASTER_MONDAYS))
known_until = date.fromisoformat(holidays[-1])  # the last holiday given
db.run("""
    create temp table cal as
      select business_calendar('support', 'Europe/Rome', '{mon-fri 09:00-18:00}', holidays => %s::date[]) as rome;
    """ % array(holidays))


class Hours:
    """Monday to Friday 9 to 18 in Rome, as the list of its days."""

    def __init__(self):
        off = set(map(date.fromisoformat, holidays))
        local = lambda d, h: micros(datetime.combine(d, time(h), ROME))
        some = (date(2010, 1, 1) + timedelta(days=i) for i in range(6 * 366))
        self.days = [(local(d, 9), local(d, 18)) for d in some if d.weekday() < 5 and d not in off]
        self.opens, self.closes = zip(*self.days)
        self.before = [0] + list(itertools.accumulate(c - o for o, c in self.days))

    def until(self, t):
        """Open time from the first day to t."""
        i = bisect.bisect_right(self.opens, t)
        return self.before[i] - (max(0, self.closes[i - 1] - t) if i else 0)

    def between(self, a, b):
        return self.until(b) - self.until(a)

    def add(self, t, n):
        """The first instant with open time n since t."""
        if n == 0:
            return t
        goal = self.until(t) + n
        i = bisect.bisect_left(self.before, goal) - 1
        return self.opens[i] + goal - self.before[i]

    def next_open(self, t):
        i = bisect.bisect_right(self.closes, t)
        return max(t, self.opens[i])


class Wall:
    between = staticmethod(lambda a, b: b - a)
    add = staticmethod(lambda t, n: t + n)
    next_open = staticmethod(lambda t: t)


rome, wall = Hours(), Wall()
beyond = lambda t: (EPOCH + t * MICRO).astimezone(ROME).date() > known_until

# -- the clock of a ticket, a second time ------------------------------------------------------------------------------
Piece = collections.namedtuple('Piece', 'start end runs severity')


def pieces(marks, as_of, stops):
    """The stretches in which the clock was open and nothing happened, and when it ended (None: it is open)."""
    is_open = runs = ended = severity = None
    out, since = [], None

    def cut(at):
        nonlocal since
        if is_open:
            out.append(Piece(since, at, runs, severity))
        since = at
    for at, _, what, value in marks:
        if at > as_of:
            break
        if what == SEVERITY:
            if value != severity:
                cut(at)
                severity = value
        elif what in stops:
            if is_open:
                cut(at)
                is_open, ended = False, at
        elif what != 'Closed':
            cut(at)
            is_open, runs, ended = True, what != 'Wait', None
    if is_open:
        cut(as_of)
    return out, ended


def clock(marks, policy, as_of, stops=('Resolve ticket',), restart=False):
    """A ticket's clock as a row; None when it never started. policy: severity -> (target, calendar)."""
    cut, ended = pieces(marks, as_of, stops)
    if not cut:
        return None
    elapsed = ran = stood = 0
    breach = due = None                         # when it was breached; due_at is what led to that
    for p in cut:
        target, hours = policy(p.severity)
        if restart and p is not cut[0] and p.severity != severity:
            elapsed = 0                         # a change while it was resolved, too: when it is reopened
        severity, before = p.severity, elapsed
        if breach is None and elapsed > target:
            breach = due = p.start              # a change made the target smaller than what had elapsed
        if not p.runs:
            stood += p.end - p.start
            continue
        elapsed, ran = elapsed + hours.between(p.start, p.end), ran + p.end - p.start
        if breach is None and elapsed > target:
            due = hours.add(p.start, target - before)
            breach = hours.next_open(due)
    open_ = ended is None
    status = 'breached' if breach is not None else 'met' if not open_ else 'running' if p.runs else 'paused'
    if breach is None and p.runs:               # not yet, or never: from where it last began to run
        due = hours.add(p.start, target - before)
        breach = hours.next_open(due) if open_ else None
    end = as_of if open_ else ended
    return dict(status=status, started_at=cut[0].start, ended_at=ended, ended_by=None if open_ else 'stop',
                elapsed=elapsed, elapsed_wall=ran, paused=stood, due_at=due, breach_at=breach, target=target,
                remaining=target - elapsed if open_ else None,
                overdue=elapsed - target if status == 'breached' and elapsed > target else None,
                at_risk=status in ('running', 'paused') and 10 * elapsed >= 8 * target, segment=cut[-1].severity,
                beyond_horizon=hours is not wall and (beyond(end) or status == 'running' and beyond(due)))


def as_set(marks):
    """The marks without seq: identical ones are one, tied ones are read by role (severity, start, stop), then mark."""
    role = lambda what: (what != SEVERITY) + (what in ('Resolve ticket', 'Closed'))
    return sorted({(at, None, what, value) for at, _, what, value in marks},
                  key=lambda m: (m[0], role(m[2]), number[m[2]], m[3] or 0))


# -- ours --------------------------------------------------------------------------------------------------------------
IDLE = ('Resolve ticket', 'Closed')
work = [a for a in activities if a not in IDLE]
named = [a for a in activities if a != 'Closed'] + [SEVERITY]
COUNTS = ('started', 'met', 'breached', 'running', 'paused', 'cancelled', 'at_risk', 'overdue', 'not_covered',
          'beyond_horizon', 'subjects')
INSTANTS = ('started_at', 'ended_at', 'elapsed', 'elapsed_wall', 'paused', 'due_at', 'breach_at', 'target', 'remaining',
            'overdue')
OTHERS = ('status', 'ended_by', 'at_risk', 'segment', 'beyond_horizon')


def an_sla(policy, stops=('Resolve ticket',), marks=None):
    """An SLA in SQL; policy: the rest of its arguments."""
    numbered = array('%s=%d' % (a, number[a]) for a in dict.fromkeys(named + list(stops)))
    return 'sla(%s, start => %s, pause => %s, resume => %s, stop => %s, segment => %s, %s, %s)' % (
        literal('help'), array(work), array(['Wait']), array(a for a in work if a != 'Wait'), array(stops),
        array([SEVERITY]), marks or 'marks => ' + numbered, policy)


def ours(sla, as_of, source='ticket'):
    """({id: clock}, summary) as of a time in microseconds; keeps the summary in the table last_summary."""
    at = 'timestamptz %s' % literal((EPOCH + as_of * MICRO).isoformat())
    db.run("""
        drop table if exists last_sla, last_clock, last_summary;
        create temp table last_sla as select %s as s from cal;
        create temp table last_clock as select id, c.* from %s, last_sla, sla_clocks(j, s, %s) c;
        create temp table last_summary as select sla_breach(j, s, %s) as b from %s, last_sla;"""
           % (sla, source, at, at, source))
    got = db.rows('select id, %s from last_clock' % ', '.join(
        ['%s as %s' % (us(c), c) for c in INSTANTS] + list(OTHERS)))
    by_id = {r.pop('id'): r for r in got}
    assert len(by_id) == len(got)               # reopening never makes a second clock
    return by_id, db.row('select %s, breach_rate(b) as rate from last_summary'
                         % ', '.join('%s(b) as %s' % (c, c) for c in COUNTS))


def tally(clocks):
    """The counts of a summary, from clocks (None: a ticket that has none)."""
    there = [c for c in clocks if c]
    n = collections.Counter(c['status'] for c in there)
    decided = n['met'] + n['breached']
    return dict({s: n[s] for s in ('met', 'breached', 'running', 'paused', 'cancelled')}, started=len(there),
                at_risk=sum(c['at_risk'] for c in there), not_covered=0, subjects=len(clocks),
                overdue=sum(c['status'] == 'breached' and c['ended_at'] is None for c in there),
                beyond_horizon=sum(c['beyond_horizon'] for c in there),
                rate=n['breached'] / decided if decided else None)


OF_ROWS = {'started': 'true', **{s: "status = '%s'" % s for s in ('met', 'breached', 'running', 'paused', 'cancelled')},
           'at_risk': 'at_risk', 'overdue': "status = 'breached' and ended_at is null",
           'beyond_horizon': 'beyond_horizon'}


def check(what, sla, policy, as_of=last_event, source='ticket', **options):
    """Every clock and the summary; the clocks there are."""
    reads = as_set if source == 'unordered' else (lambda marks: marks)
    want = [clock(reads(marks), policy, as_of, **options) for marks in cases]
    rows, summary = ours(sla, as_of, source)
    tap.table(what + ': every clock', rows, {i: c for i, c in enumerate(want) if c})
    tap.table(what + ': the summary counts those', summary, tally(want), 1e-12)
    figures = ', '.join('count(*) filter (where %s) as %s' % (condition, name) for name, condition in OF_ROWS.items())
    tap.eq(db.row('select %s from last_clock' % figures), {k: summary[k] for k in OF_ROWS}, what + ': and our own rows')
    tap.eq(db.rows('select policy_no, %s from last_summary, policies(b) where started > 0 order by 1'
                   % ', '.join(OF_ROWS)),
           db.rows('select policy_no, %s from last_clock group by 1 order by 1' % figures),
           what + ': policy by policy too')
    tap.say('%s: %s' % (what, {k: v for k, v in summary.items() if v}))
    return [c for c in want if c]


SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.99)


def shares(curve):
    return {str(p): None if curve.quantile(p) is None else float(curve.quantile(p)) for p in SHARES}


def quantiles(what, clocks, policies=1):
    """elapsed and overdue of the last summary against the model's Kaplan–Meier: stopped is an event, all else censored.
    (A clock that was breached under an earlier target and is within its last one is not overdue.)"""
    for name, some in (('elapsed', clocks), ('overdue', [c for c in clocks if c['status'] == 'breached'])):
        stays = [survival.Stay(0, c[name], c['ended_by']) for c in some if c[name] is not None]
        exact, kept = survival.Curve(stays), survival.Curve(survival.binned(stays))
        got = db.row('select %s from last_summary' % ', '.join(
            '%s as "%s"' % (us('%s_quantile(b, %s)' % (name, p)), p) for p in SHARES))
        text = '%s: Kaplan–Meier quantiles of %s, %d clocks, %d distinct' % (
            what, name, len(stays), survival.distinct(stays))
        if policies == 1:
            tap.table(text, got, shares(kept), 1.0)
        tap.table(text + ', within 1 %', got, shares(exact), 0.0101, relative=True)


# -- one target --------------------------------------------------------------------------------------------------------
BUSINESS = ', calendar => rome'
for name, sql, target, hours in (('3 days, wall', "target => '3 days'", 72 * HOUR, wall),
                                 ('30 days, wall', "target => '30 days'", 720 * HOUR, wall),
                                 ('4 business hours', "target => '4 hours'" + BUSINESS, 4 * HOUR, rome),
                                 ('80 business hours', "target => '80 hours'" + BUSINESS, 80 * HOUR, rome)):
    one = lambda severity: (target, hours)
    clocks = check(name, an_sla(sql), one)
    quantiles(name, clocks)
    total = db.row('select p.* from last_summary, phases(b) p')
    stopped = [c['elapsed'] for c in clocks if c['ended_by']]
    tap.eq([total['phase_no'], total['phase'], total['stopped'], total['sum_seconds']],
           [0, 'total', len(stopped), sum(stopped) / 1e6], name + ': seconds of all stopped clocks, exactly')
    for as_of in ('2010-01-13T08:40:25Z', '2011-10-15T12:00:00Z', '2012-12-24T10:30:00Z'):
        check('%s, as of %s' % (name, as_of[:10]), an_sla(sql), one, micros(refstats.iso(as_of)))
tap.eq([len(clocks), sum(c['ended_at'] is None for c in clocks)], [4579, 14],
       'one ticket was only ever resolved and closed: no clock; 14 are not resolved: censored')
tap.ok(sum(c['paused'] > 0 for c in clocks) > 1000, 'more than a thousand clocks were paused')
untouched = db.row("""
    select count(*) filter (where status = 'paused') as paused, count(*) filter (where due_at is null) as due,
      count(*) filter (where remaining is null) as remaining
    from last_clock where ended_at is null and status <> 'breached'""")
tap.ok(untouched['paused'] == untouched['due'] and untouched['remaining'] == 0, 'no due time while paused', untouched)

# Stopped at Closed as well: who was closed without having been resolved is served then.
check('or closed', an_sla("target => '40 hours'" + BUSINESS, IDLE), lambda severity: (40 * HOUR, rome), stops=IDLE)

# The naive reading: from the first event to the last resolution, pauses and reopening left out of account.
clocks = check('40 hours, wall', an_sla("target => '40 hours'"), lambda severity: (40 * HOUR, wall))
naive = sum(c['ended_at'] - c['started_at'] > 40 * HOUR for c in clocks if c['ended_at'] is not None)
right = sum(c['status'] == 'breached' for c in clocks if c['ended_at'] is not None)
got = db.row("""
    select count(*) filter (where ended_at - started_at > interval '40 hours') as naive,
      count(*) filter (where status = 'breached' and ended_at is not null) as breached,
      count(*) filter (where elapsed_wall + paused > ended_at - started_at) as too_long,
      count(*) filter (where elapsed_wall + paused < ended_at - started_at) as reopened from last_clock""")
tap.eq(got, dict(naive=naive, breached=right, too_long=0, reopened=sum(
    c['elapsed'] + c['paused'] < c['ended_at'] - c['started_at'] for c in clocks if c['ended_at'] is not None)),
       'by subtraction %d tickets would be breached, with pauses %d are' % (naive, right))
tap.ok(naive > right and got['reopened'] > 100, 'those differ', got)

# Names and ids from a lifecycle instead of marks: the same clocks. (Without severity, which is no stage.)
lifecycle = 'lifecycle => lifecycle(%s, stages => %s)' % (literal('help'), array(activities))
of_lifecycle = an_sla("target => '40 hours'", marks=lifecycle).replace('segment => %s, ' % array([SEVERITY]), '')
got = {i: {k: v for k, v in c.items() if k != 'segment'} for i, c in ours(of_lifecycle, last_event)[0].items()}
want = [clock(marks, lambda severity: (40 * HOUR, wall), last_event) for marks in cases]
tap.table('ids from a lifecycle: every clock', got, {i: {k: v for k, v in c.items() if k != 'segment'}
                                                     for i, c in enumerate(want) if c})

# -- without seq -------------------------------------------------------------------------------------------------------
check('without seq, 3 days', an_sla("target => '3 days'"), lambda severity: (72 * HOUR, wall), source='unordered')
check('without seq, 8 business hours', an_sla("target => '8 hours'" + BUSINESS), lambda severity: (8 * HOUR, rome),
      source='unordered')

# -- a target and a calendar for each severity -------------------------------------------------------------------------
POLICIES = {1: (16 * HOUR, rome), 2: (72 * HOUR, wall), 3: (4 * HOUR, wall)}       # and for all others:
OTHER = (24 * HOUR, rome)
by_severity = lambda severity: POLICIES.get(severity, OTHER)


def severities(change):
    """One policy a severity and one for the rest, in an order that does not matter."""
    policy = lambda target, hours, more: "target => '%d hours'%s, change => %s, %s" % (
        target // HOUR, BUSINESS if hours is rome else '', literal(change), more)
    some = [an_sla(policy(*OTHER, "version => 'others'"))] + [
        an_sla(policy(*POLICIES[s], "version => 'severity %d', segments => '{%d}'" % (s, s))) for s in (3, 1, 2)]
    return 'sla(array[%s])' % ', '.join(some)


runs_of = [pieces(marks, last_event, IDLE[:1])[0] for marks in cases]
changes = [(p, q) for some in runs_of for p, q in zip(some, some[1:]) if p.severity != q.severity]
tap.eq([sum(p.end == q.start for p, q in changes), sum(p.end < q.start for p, q in changes)], [79, 5],
       'changes of severity of an open clock, and of a resolved ticket that is reopened')
tap.eq(sum(p.end < q.start and not p.runs for some in runs_of for p, q in zip(some, some[1:])), 13,
       'clocks that were paused when they were stopped run when they are reopened')
clocks = check('by severity, carried over', severities('carry'), by_severity)
quantiles('by severity', clocks, policies=4)
got = {r['version']: [r['target'], r['started']] for r in db.rows(
    'select version, %s as target, started from last_summary, policies(b)' % us('target'))}
at_end = collections.Counter(c['segment'] if c['segment'] in POLICIES else 'others' for c in clocks)
tap.eq(got, {'others': [OTHER[0], at_end['others']], **{
    'severity %d' % s: [target, at_end[s]] for s, (target, _) in POLICIES.items()}},
       'a clock counts for the policy in force at its end')
elsewhere = lambda marks: {m[3] for m in marks if m[2] == SEVERITY}
now = [clock([m for m in marks if m[2] != SEVERITY], lambda _: by_severity(marks[-2][3]), last_event)
       for marks in cases]
then = [clock(marks, by_severity, last_event) for marks in cases]
differ = [i for i, (a, b) in enumerate(zip(now, then)) if a and a['status'] != b['status']]
tap.ok(differ and all(len(elsewhere(cases[i])) > 1 for i in differ),
       'by the severity a ticket has now, %d clocks would have another status' % len(differ))
tap.table('and have the right one', {i: db.value('select status from last_clock where id = %d' % i) for i in differ},
          {i: then[i]['status'] for i in differ})
check('by severity, as of 2012', severities('carry'), by_severity, micros(refstats.iso('2012-04-01T00:00:00Z')))

# Counted from zero at each change; of a resolved ticket, when it is reopened. The wall time in which it ran or stood
# still goes on.
check('by severity, restarted', severities('restart'), by_severity, restart=True)
tap.done()
