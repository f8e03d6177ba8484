#!/usr/bin/env python3
"""Building permits of a Dutch municipality: 1,434 cases, each with a stored deadline (SHARED/data/receipt_permits).

A deadline that is kept with a case is a promise: no policy could say it, for most are eight weeks, many are not, and 37
differ from what was planned. Start is startdate, stop is enddate (or the last logged event). Looked at as of the last
event of the log, as the reference does.

The reference subtracts; a clock is read in order. So the answers differ in three places, all asserted:
 - Two cases end 66 minutes BEFORE they start. A stop when no clock is open ends nothing: those two are open, and one of
   them overdue. The reference has both as finished, with slack to spare. With the stop put at the start at the earliest
   (the loader's word that the case was over when it began) they are met after no time at all, and all counts are equal.
 - The reference's breach rate is of the finished cases. A case that is open and past its deadline is breached already,
   whatever it does later: ours counts the 39 overdue ones among those decided.
 - Where a promise is changed, ours keeps what was breached under the earlier one. The reference has no changes.
"""
import collections
import os
import sys
from datetime import datetime, timedelta, timezone

import harness
from harness import CENT, ROOT, SIX, days, dist, literal

tap, db, folder = harness.start('data/receipt_permits')
import refstats

sys.path.insert(0, os.path.join(ROOT, 'test', 'model'))
import survival

ref = harness.reference(folder)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
DAY = 86_400_000_000
AS_OF = ref['as_of_last_event']


def micros(text):
    """Microseconds since 1970; None for a blank."""
    return (refstats.iso(text) - EPOCH) // timedelta(microseconds=1) if text else None


def us(x):
    """An instant or an interval in SQL, as whole microseconds."""
    return '(extract(epoch from %s) * 1000000)::bigint' % x


# -- load --------------------------------------------------------------------------------------------------------------
TIMES = ('started', 'ended', 'deadline', 'planned', 'first_event', 'last_event')
logged = collections.defaultdict(list)
for e in refstats.read(folder + '/events.csv'):
    logged[e['case_id']].append(e['timestamp'])
permits = []                                    # of each case: its times as texts
for c in refstats.read(folder + '/cases.csv'):
    stamps = sorted(logged[c['case_id']], key=refstats.iso)
    permits.append(dict(channel=c['channel'], department=c['department'], group=c['group'] or '(blank)',
                        started=c['startdate'], ended=c['enddate'] or None, deadline=c['deadline'],
                        planned=c['enddate_planned'], first_event=stamps[0], last_event=stamps[-1]))
case = [{k: micros(p[k]) for k in TIMES} for p in permits]
end_of_log = micros(AS_OF)
db.load('permit', 'id int, channel text, department text, team text, ' + ', '.join(t + ' timestamptz' for t in TIMES), [
    [i, p['channel'], p['department'], p['group']] + [p[t] for t in TIMES] for i, p in enumerate(permits)])

ROLES = "start => '{started}', stop => '{ended}', promise => '{promised}'"
db.run("""
    create temp table the as select sla('permit', %s) as promised_only, sla('permit', %s, target => '56 days') as weeks,
      timestamptz %s as as_of;""" % (ROLES, ROLES, literal(AS_OF)))
tap.eq(db.row("select mark(s, 'started') as a, mark(s, 'ended') as b, mark(s, 'promised') as c, %s as d "
              "from (select promised_only as s from the) q" % "promise_value(timestamptz '1970-01-01 00:00:01.5Z')"),
       {'a': 1, 'b': 2, 'c': 3, 'd': 1500000}, 'marks are numbered as the names come; what a promise mark carries')


def journeys(table, *marks):
    """Journeys of all cases: marks are (mark, time, value, seq) in SQL. A NULL time is no mark."""
    values = ', '.join('(%s, %s, %s::bigint, %s::bigint)' % (m + ('null',) * (4 - len(m))) for m in marks)
    db.run("""
        create temp table %s as select permit.*, h.j from permit join (
          select id, journey(mark, at, value, seq) as j from permit, lateral (values %s) m(mark, at, value, seq)
          group by 1) h using (id);""" % (table, values))


def promise(column):
    return 'promise_value(%s)' % column


# -- what ours says, and the same by plain arithmetic ------------------------------------------------------------------
COUNTS = ('started', 'met', 'breached', 'running', 'paused', 'cancelled', 'at_risk', 'overdue', 'not_covered',
          'beyond_horizon', 'subjects')
ROW = {'clock_no': 'clock_no', 'status': 'status', 'ended_by': 'ended_by', 'at_risk': 'at_risk',
       'beyond_horizon': 'beyond_horizon', **{k: us(k) for k in (
           'started_at', 'due_at', 'breach_at', 'ended_at', 'elapsed', 'elapsed_wall', 'paused', 'target', 'remaining',
           'overdue')}}


def summary(source, sla='promised_only', as_of='as_of'):
    """Figures of the summary b of all the journeys of a source."""
    return db.row('select %s, breach_rate(b) as rate from (select sla_breach(j, %s, %s) as b from %s, the) q'
                  % (', '.join('%s(b) as %s' % (c, c) for c in COUNTS), sla, as_of, source))


def rows(source, sla='promised_only', as_of='as_of'):
    """The clocks of each case: {id: row}. There is never more than one."""
    got = db.rows('select id, %s from %s, the, sla_clocks(j, %s, %s) c'
                  % (', '.join('%s as %s' % (sql, k) for k, sql in ROW.items()), source, sla, as_of))
    by_id = {r.pop('id'): r for r in got}
    assert len(by_id) == len(got)
    return by_id


def clock(start, stop, promises, as_of, weeks=None):
    """The clock of a case as a row, False when there is none, None when it was never covered.

    promises: (made at, deadline); no deadline takes the promise back. weeks: a target that holds without a promise.
    """
    if start > as_of:
        return False
    ended = stop is not None and start <= stop <= as_of
    end = stop if ended else as_of
    deadline = start + weeks if weeks else None
    for made, promised in promises:
        if made <= start:
            deadline = promised if promised is not None else start + weeks
    since, breach, spans = start, None, []
    for made, promised in [(m, p) for m, p in promises if start < m <= end]:
        spans.append((since, made, deadline))
        since, deadline = made, promised if promised is not None else start + weeks
    for a, b, limit in spans + [(since, end, deadline)]:
        if limit is not None and b > limit and breach is None:
            breach = max(a, limit)              # a promise that is past when it is made is breached there and then
    if deadline is None:
        return None
    elapsed, target = end - start, deadline - start
    due = breach if breach is not None else max(deadline, since)
    status = 'breached' if breach is not None else 'met' if ended else 'running'
    return dict(clock_no=1, status=status, ended_by='stop' if ended else None, beyond_horizon=False, started_at=start,
                at_risk=status == 'running' and 10 * elapsed >= 8 * target, due_at=due,
                breach_at=breach if breach is not None else None if ended else due,
                ended_at=end if ended else None, elapsed=elapsed, elapsed_wall=elapsed, paused=0, target=target,
                remaining=None if ended else target - elapsed,
                overdue=elapsed - target if status == 'breached' and elapsed > target else None)


def tally(clocks):
    """The counts of a summary, from the clocks of all cases (None: not covered, False: none)."""
    there = [c for c in clocks if c]
    n = collections.Counter(c['status'] for c in there)
    decided = n['met'] + n['breached']
    return dict({s: n[s] for s in ('met', 'breached', 'running', 'paused', 'cancelled')}, started=len(there),
                at_risk=sum(c['at_risk'] for c in there), beyond_horizon=0, subjects=len(clocks),
                overdue=sum(c['status'] == 'breached' and c['ended_at'] is None for c in there),
                not_covered=sum(c is None for c in clocks), rate=n['breached'] / decided if decided else None)


def check(source, what, truth, sla='promised_only', as_of=AS_OF):
    """Every clock of a source, and its summary, against the arithmetic: truth(case) is the row that should be there."""
    want = [truth(c) for c in case]
    at = 'timestamptz %s' % literal(as_of)
    tap.table('%s: every clock by plain arithmetic' % what, rows(source, sla, at),
              {i: w for i, w in enumerate(want) if w})
    tap.table('%s: the summary counts those' % what, summary(source, sla, at), tally(want), 1e-12)
    return want


# -- against the reference: three readings -----------------------------------------------------------------------------
READINGS = (('sla_enddate_vs_deadline', 'ended', 'deadline'), ('sla_enddate_vs_enddate_planned', 'ended', 'planned'),
            ('sla_last_event_vs_deadline', 'last_event', 'deadline'))


def keep_clocks(name, stop, limit):
    """The journeys and clocks of a reading: in <name>, <name>_clock."""
    journeys(name, ('1', 'started'), ('2', stop), ('3', 'started', promise(limit)))
    db.run('create temp table {0}_clock as select s.*, c.* from {0} s, the, sla_clocks(j, promised_only, as_of) c;'
           .format(name))


def finished(clocks):
    """The reference's counts and days late: a finished case is one whose clock was stopped."""
    got = db.row("""
        select count(*) as with_target, count(ended_at) as finished, count(*) filter (where status = 'met') as met,
          count(*) filter (where status = 'breached' and ended_at is not null) as breached,
          count(*) filter (where ended_at is null) as open,
          count(*) filter (where status = 'breached' and ended_at is null) as open_overdue_as_of,
          count(*) filter (where status = 'breached' and ended_at is not null)::float8 / count(ended_at)
            as breach_rate_finished
        from %s""" % clocks)
    got['days_late'] = db.row("select %s from %s where status = 'breached' and ended_at is not null"
                              % (dist(days('overdue')), clocks))
    return got


for name, stop, limit in READINGS:
    want = {k: v for k, v in ref[name].items() if k != 'slack_days'}
    backwards = [c for c in case if c[stop] is not None and c[stop] < c['started']]
    overdue = sum(c[limit] < end_of_log for c in backwards)
    tap.eq([len(backwards), overdue], [2, 2 if stop == 'last_event' else 1],
           name + ': two stops lie before the start, and how many of these are past their deadline')

    # As the stamps are: those two are open. With their negative times the slack is the reference's.
    keep_clocks(name, stop, limit)
    check(name, name, lambda c: clock(c['started'], c[stop], [(c['started'], c[limit])], end_of_log))
    n = want['finished'] - 2
    tap.table(name + ': as it stands, two finished fewer, two open more', finished(name + '_clock'), dict(
        want, finished=n, met=want['met'] - 2, open=want['open'] + 2,
        open_overdue_as_of=want['open_overdue_as_of'] + overdue, breach_rate_finished=want['breached'] / n), SIX)
    tap.table(name + ': slack, the two that end before they start added', db.row("""
        select %s from (select target - elapsed as d from %s_clock where ended_at is not null
                        union all select %s - %s from permit where %s < started) q
        """ % (dist(days('d')), name, limit, stop, stop)), ref[name]['slack_days'], SIX)

    # With the stop at the start at the earliest. (An open case stays open: greatest() would overlook its NULL.)
    clamped = name + '_clamped'
    keep_clocks(clamped, 'case when %s is not null then greatest(%s, started) end' % (stop, stop), limit)
    tap.table(name + ': the stop not before the start, all as in the reference', finished(clamped + '_clock'), want,
              SIX)
    got = summary(clamped)
    tap.eq([got[k] for k in ('started', 'met', 'breached', 'running', 'overdue')],
           [want['with_target'], want['met'], want['breached'] + want['open_overdue_as_of'],
            want['open'] - want['open_overdue_as_of'], want['open_overdue_as_of']],
           name + ': the summary; who is open and overdue is breached')
    decided = want['finished'] + want['open_overdue_as_of']
    breached = want['breached'] + want['open_overdue_as_of']
    limits = db.row('select breach_rate(b) as rate, breach_rate_low(b) as low, breach_rate_high(b) as high from ('
                    'select sla_breach(j, promised_only, as_of) as b from %s, the) q' % clamped)
    tap.table(name + ': the breach rate is of those decided, with Wilson limits', list(limits.values()),
              [breached / decided] + refstats.wilson(breached, decided), 1e-12)
ENDED, CLAMPED = READINGS[0][0], READINGS[0][0] + '_clamped'
tap.eq([summary(ENDED)[k] for k in ('started', 'met', 'breached', 'running', 'overdue')], [1434, 950, 417, 67, 40],
       'enddate against deadline, in figures: as it stands')
tap.eq([summary(CLAMPED)[k] for k in ('started', 'met', 'breached', 'running', 'overdue')], [1434, 952, 416, 66, 39],
       'and with the stop not before the start')
tap.eq(db.row("""
    select count(*) as n, max(%s) as most from %s_clock where status = 'breached' and overdue < '1 second'
    """ % (us('overdue'), ENDED)), {'n': 2, 'most': 20000}, 'two cases are late by 20 milliseconds, and breached')
tap.table('the share of the promised time that is used', {r['id']: r['x'] for r in db.rows(
    'select id, fraction_used::float8 as x from %s_clock' % ENDED)}, {
        i: r['elapsed'] / r['target'] for i, r in rows(ENDED).items()}, 5.0001e-5)      # four decimals are shown

# -- groups ------------------------------------------------------------------------------------------------------------
for name, column in (('by_channel', 'channel'), ('by_department', 'department'), ('by_group', 'team')):
    got = {r.pop('k'): r for r in db.rows("""
        select k, started(b) as n, met(b) + breached(b) - overdue(b) as finished, breached(b) - overdue(b) as late
        from (select %s as k, sla_breach(j, promised_only, as_of) as b from %s, the group by 1) q
        """ % (column, CLAMPED))}
    tap.table(name + ': cases, finished, late', got, {
        k: dict(n=r['n'], finished=r['finished'], late=r['late_vs_deadline']) for k, r in ref[name].items()})
    got = {r['k']: r['median'] for r in db.rows("""
        select %s as k, percentile_cont(0.5) within group (order by %s) filter (where ended_at is not null) as median
        from %s_clock group by 1""" % (column, days('elapsed'), CLAMPED))}
    tap.table(name + ': median days from start to end', got,
              {k: r['median_days_start_to_enddate'] for k, r in ref[name].items()}, SIX)
whole = summary(CLAMPED)
united = db.row("""
    select %s, breach_rate(b) as rate from (select rollup(part) as b from (
      select sla_breach(j, promised_only, as_of) as part from %s, the group by channel, team) p) q
    """ % (', '.join('%s(b) as %s' % (c, c) for c in COUNTS), CLAMPED))
tap.eq(united, whole, 'the summaries of all groups united are the whole')
packed = db.row('select %s, breach_rate(b) as rate from (select sla_breach(p, promised_only, as_of) as b from the, '
                '(select journey_pack(id, j) as p from %s) x) q'
                % (', '.join('%s(b) as %s' % (c, c) for c in COUNTS), CLAMPED))
tap.eq(packed, whole, 'and so is that of the pack')

# -- quantiles: who is not finished is censored ------------------------------------------------------------------------
clocks = [clock(c['started'], c['ended'], [(c['started'], c['deadline'])], end_of_log) for c in case]
stay = lambda d, c: survival.Stay(0, d, c['ended_by'])
elapsed = survival.Curve([stay(c['elapsed'], c) for c in clocks])
overdue = survival.Curve([stay(c['overdue'], c) for c in clocks if c['status'] == 'breached'])
SHARES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
SUMMARY = 'select sla_breach(j, promised_only, as_of) as b from %s, the' % ENDED
for what, curve in (('elapsed', elapsed), ('overdue', overdue)):
    got = db.row('select %s from (%s) q' % (', '.join(
        '%s as "%s"' % (us('%s_quantile(b, %s)' % (what, p)), p) for p in SHARES), SUMMARY))
    want = {str(p): None if curve.quantile(p) is None else float(curve.quantile(p)) for p in SHARES}
    tap.table('%s: Kaplan–Meier quantiles' % what, got, want, 1.0)
    tap.say('%s in days: %s' % (what, {p: d and round(d / DAY, 2) for p, d in want.items()}))
shorter = db.value("""
    select percentile_cont(0.5) within group (order by %s) as x from %s_clock where ended_at is not null
    """ % (days('elapsed'), ENDED))
tap.ok(shorter < float(elapsed.quantile(0.5)) / DAY, 'the median of the finished cases alone is shorter: %.2f days'
       % shorter)
got = db.row('select p.* from (%s) q, policies(b) p' % SUMMARY)
tap.eq([got[k] for k in ('policy_no', 'started', 'met', 'breached', 'running', 'overdue', 'target')],
       [1, 1434, 950, 417, 67, 40, None], 'policies(): one, whose target is what was promised')
tap.near(got['breach_rate'], 417 / 1367, 'policies(): breach rate', SIX)
tap.table('policies(): hours', {k: v for k, v in got.items() if k.endswith('_hours')}, {
    k: float(v) * 24 / DAY for k, v in dict(
        median_hours=elapsed.quantile(0.5), p90_hours=elapsed.quantile(0.9), last_observed_hours=elapsed.last,
        median_overdue_hours=overdue.quantile(0.5)).items()}, CENT)

# -- at other times ----------------------------------------------------------------------------------------------------
for as_of in ('2010-10-02T00:00:00Z', '2011-01-01T00:00:00Z', '2011-07-01T00:00:00Z', '2013-01-01T00:00:00Z'):
    want = check(ENDED, 'as of ' + as_of[:10],
                 lambda c: clock(c['started'], c['ended'], [(c['started'], c['deadline'])], micros(as_of)), as_of=as_of)
tap.eq(collections.Counter(w['status'] for w in want), {'met': 950, 'breached': 377 + 105, 'running': 2},
       'a year later all that is open is breached, but two cases with a deadline in 2013')

# -- eight weeks for all, a promise for some ---------------------------------------------------------------------------
journeys('no_promise', ('1', 'started'), ('2', 'ended'))
tap.eq([rows('no_promise'), {k: n for k, n in summary('no_promise').items() if n}],
       [{}, {'not_covered': 1434, 'subjects': 1434}], 'nothing promised and no target: no clock is covered')
WEEKS = 56 * DAY
check('no_promise', '56 days for all', lambda c: clock(c['started'], c['ended'], [], end_of_log, WEEKS), 'weeks')
EXTENDED = 'abs(extract(epoch from deadline - planned)) >= 1'
extended = lambda c: abs(c['deadline'] - c['planned']) >= 1_000_000
tap.eq(sum(not extended(c) for c in case), ref['deadline_equals_planned'], 'deadlines that are as planned')
journeys('mixed', ('1', 'started'), ('2', 'ended'),
         ('3', 'case when %s then started end' % EXTENDED, promise('deadline')))
check('mixed', '56 days, and a promise where the deadline is not as planned', lambda c: clock(
    c['started'], c['ended'], [(c['started'], c['deadline'])] * extended(c), end_of_log, WEEKS), 'weeks')

# -- promises that change ----------------------------------------------------------------------------------------------
# At one instant the later one by seq counts.
journeys('twice', ('1', 'started'), ('2', 'ended'), ('3', 'started', promise('planned'), '1'),
         ('3', 'started', promise('deadline'), '2'))
tap.eq(rows('twice'), rows(ENDED), 'planned and deadline promised at one instant: the later by seq counts')

# Promised as planned, and replaced by the deadline a day after the planned one: a case that was late by then was
# breached, whatever was promised later.
journeys('extended', ('1', 'started'), ('2', 'ended'), ('3', 'started', promise('planned')),
         ('3', "planned + interval '24 hours'", promise('deadline')))
want = check('extended', 'planned, and a day after that the deadline', lambda c: clock(
    c['started'], c['ended'], [(c['started'], c['planned']), (c['planned'] + DAY, c['deadline'])], end_of_log))
forgiven = sum(w['status'] == 'breached' and w['elapsed'] <= w['target'] for w in want)
tap.ok(forgiven > 0, '%d breached under the earlier promise, in time by the later' % forgiven)

# Promised only at the first event: the clock counts from its start all the same. Cases that ended before are not
# covered.
journeys('told_late', ('1', 'started'), ('2', 'ended'), ('3', 'first_event', promise('deadline')))
want = check('told_late', 'the deadline told at the first event', lambda c: clock(
    c['started'], c['ended'], [(c['first_event'], c['deadline'])], end_of_log))
untold = sum(c['ended'] is not None and c['started'] <= c['ended'] < c['first_event'] for c in case)
tap.eq([sum(w is None for w in want), untold], [untold, 115], 'cases that ended before the first event: not covered')
tap.ok(sum(bool(w) and w['breach_at'] == c['first_event'] > c['deadline'] for w, c in zip(want, case)) > 0,
       'cases told a deadline that was past: breached at that instant')

# Eight weeks for all; a promise at the start, taken back at the first event.
told = lambda c: max(c['first_event'], c['started'])
journeys('taken_back', ('1', 'started'), ('2', 'ended'), ('3', 'started', promise('deadline'), '1'),
         ('3', 'greatest(first_event, started)', 'null', '2'))
check('taken_back', '56 days, a promise taken back at the first event', lambda c: clock(
    c['started'], c['ended'], [(c['started'], c['deadline']), (told(c), None)], end_of_log, WEEKS), 'weeks')
tap.eq(rows('taken_back'), rows(ENDED), 'with no target to fall back to, what was promised last stays')

# -- escalations -------------------------------------------------------------------------------------------------------
# 80 % of the promised time, the deadline, two weeks later: for the 107 cases that are open.
STEPS = '{80% to handler, breach to manager, breach + 336 hours to council}'
got = db.rows("""
    select id, recipient, is_due, %s as raise_at, %s as since from %s, the,
      escalations(j, sla('permit', %s, escalations => '%s'), as_of)
    """ % (us('raise_at'), us('counting_since'), ENDED, ROLES, STEPS))
want = {}
for i, (c, w) in enumerate(zip(case, clocks)):
    if w['ended_at'] is None:
        for to, threshold in (('handler', w['target'] * 0.8), ('manager', w['target']),
                              ('council', w['target'] + 14 * DAY)):
            due = w['elapsed'] > threshold if to == 'manager' else w['elapsed'] >= threshold
            want['%d %s' % (i, to)] = [due, c['started'] + threshold, c['started']]
tap.eq(len(want), 3 * 107, 'three steps of each open case')
tap.table('escalations: due or not, when, since when', {
    '%d %s' % (r['id'], r['recipient']): [r['is_due'], r['raise_at'], r['since']] for r in got}, want, 1.0)
due = collections.Counter(key.split()[1] for key, (is_due, *_) in want.items() if is_due)
tap.eq(due['manager'], 40, 'the manager hears of 40; due in all: %s' % dict(due))
tap.done()
