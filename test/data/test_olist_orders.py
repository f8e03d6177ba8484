#!/usr/bin/env python3
"""Olist orders: promised against delivered, 8,000 orders, 7,773 delivered (SHARED/data/olist_orders).

The stored promise is a date, the delivery an instant. By the instant (midnight at the start of the promised day) 596
are late, by the date 499: then what is promised is the end of the promised day. A clock starts with the purchase and
stops with the delivery; approval and hand-over to the carrier take it to its next phase.

The stamps have no time zone. The reference takes them as they are (here: as UTC); the orders are Brazilian, where
summer time begins and ends at midnight. Both are asserted: who is late by the date is the same, what elapsed is not.

Where ours differs from the reference, asserted both ways:
 - The reference's late rate is of the delivered orders. An order that has not come by its promised day is breached: as
   of the last purchase 224 more are so. 57 of these were canceled, 47 unavailable. When is not known; marked as
   cancelled at the last stamp they have, all 107 such clocks are cancelled, and none was late by then.
 - The reference's time in stage is a difference of two stamps, negative where they are out of order (111 times handed
   over before the approval). Phases are read in order: they are never negative, and add up to the whole.
"""
import collections
import os
import sys
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import harness
from harness import CENT, ROOT, SIX, days, dist

tap, db, folder = harness.start('data/olist_orders')
import refstats

sys.path.insert(0, os.path.join(ROOT, 'test', 'model'))
import survival

ref = harness.reference(folder)['sample8k']
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
ZONE = ZoneInfo('America/Sao_Paulo')
STAMPS = {'purchased': 'order_purchase_timestamp', 'approved': 'order_approved_at',
          'shipped': 'order_delivered_carrier_date', 'delivered': 'order_delivered_customer_date',
          'promised': 'order_estimated_delivery_date'}


def us(x):
    """An instant or an interval in SQL, as whole microseconds."""
    return '(extract(epoch from %s) * 1000000)::bigint' % x


def micros(instant):
    return (instant - EPOCH) // timedelta(microseconds=1)


def as_utc(stamp):
    return micros(stamp.replace(tzinfo=timezone.utc))


def in_brazil(stamp):
    """As PostgreSQL reads it: what is skipped by the offset before, what comes twice as the second."""
    first, second = (stamp.replace(tzinfo=ZONE, fold=f) for f in (0, 1))
    return micros(second if second.utcoffset() < first.utcoffset() else first)


# -- load --------------------------------------------------------------------------------------------------------------
orders = refstats.read(folder + '/sample8k_orders.csv')
stamps = [{k: datetime.fromisoformat(r[c]) if r[c] else None for k, c in STAMPS.items()} for r in orders]
gone = [r['order_status'] in ('canceled', 'unavailable') for r in orders]
db.load('item', 'id int, order_status text, ' + ', '.join(k + ' timestamp' for k in STAMPS), [
    [i, r['order_status']] + [r[c] or None for c in STAMPS.values()] for i, r in enumerate(orders)])
tap.eq([len(orders), dict(collections.Counter(r['order_status'] for r in orders))], [ref['rows'], ref['status']],
       'orders by status')
tap.eq({c: sum(s[k] is None for s in stamps) for k, c in STAMPS.items()}, ref['missing'], 'stamps that are missing')
last_purchase = max(s['purchased'] for s in stamps)
db.run("""
    create temp table the as select sla('delivery', start => '{purchased}', stop => '{delivered}',
        cancel => '{cancelled}', promise => '{promised}',
        marks => '{purchased=1, approved=2, shipped=3, delivered=4, promised=5, cancelled=6}',
        phases => '{approval until approved, handling until shipped, transport}') as s;""")


def keep(name, zone, promise, cancels=False):
    """Journeys and clocks of all orders, as of the last purchase: in <name>, <name>_clock; by month in <name>_b.

    promise: the promised local time, in SQL. cancels: canceled and unavailable orders are so at their last stamp.
    """
    at = lambda stamp: "(%s) at time zone '%s'" % (stamp, zone)
    last = ("case when order_status in ('canceled', 'unavailable') then %s end"
            % at('greatest(purchased, approved, shipped)'))
    db.run("""
        create temp table {name} as
          select item.*, j, {as_of} as as_of from item join (
            select id, journey(mark, at, value) as j
            from item, lateral (values (1, {purchased}, null), (2, {approved}, null), (3, {shipped}, null),
              (4, {delivered}, null), (5, {purchased}, promise_value({promise})), (6, {gone}, null)) m(mark, at, value)
            group by 1) h using (id);
        create temp table {name}_clock as select o.*, c.* from {name} o, the, sla_clocks(j, s, as_of) c;
        create temp table {name}_b as
          select to_char(purchased, 'YYYY-MM') as month, sla_breach(j, s, as_of) as b from {name}, the group by 1;
        """.format(name=name, promise=at(promise), as_of=at("timestamp '%s'" % last_purchase),
                   gone=last if cancels else 'null',
                   **{k: at(k) for k in ('purchased', 'approved', 'shipped', 'delivered')}))


MIDNIGHT, DAY_S_END = 'promised', "promised + interval '1 day'"
keep('by_instant', 'UTC', MIDNIGHT)
keep('by_date', 'UTC', DAY_S_END)
keep('there', 'America/Sao_Paulo', DAY_S_END)
keep('by_instant_there', 'America/Sao_Paulo', MIDNIGHT)
keep('cancelled_too', 'UTC', DAY_S_END, cancels=True)


# -- every clock by plain arithmetic -----------------------------------------------------------------------------------
def truth(stamp, reading, day_s_end, cancels):
    """(status, target, elapsed, overdue) of an order's clock."""
    as_of, start = reading(last_purchase), reading(stamp['purchased'])
    end = reading(stamp['delivered']) if stamp['delivered'] else as_of
    if cancels:
        end = max(reading(stamp[k]) for k in ('purchased', 'approved', 'shipped') if stamp[k])
    target, elapsed = reading(stamp['promised'] + timedelta(days=day_s_end)) - start, end - start
    status = 'breached' if elapsed > target else 'cancelled' if cancels else 'met' if stamp['delivered'] else 'running'
    return [status, target, elapsed, elapsed - target if elapsed > target else None]


expected = {}
for name, reading, day_s_end, cancels in (('by_instant', as_utc, 0, False), ('by_date', as_utc, 1, False),
                                          ('there', in_brazil, 1, False), ('by_instant_there', in_brazil, 0, False),
                                          ('cancelled_too', as_utc, 1, True)):
    expected[name] = [truth(s, reading, day_s_end, cancels and g) for s, g in zip(stamps, gone)]
    got = {r['id']: [r['status'], r['target'], r['elapsed'], r['overdue']] for r in db.rows(
        'select id, status, %s from %s_clock' % (', '.join('%s as %s' % (us(x), x) for x in (
            'target', 'elapsed', 'overdue')), name))}
    tap.table(name + ': every clock', got, dict(enumerate(expected[name])))

# -- late by the instant, late by the date -----------------------------------------------------------------------------
LATE = "status = 'breached' and ended_at is not null"
want = ref['sla']
COUNTS = ('started', 'met', 'breached', 'running', 'paused', 'cancelled', 'overdue', 'not_covered', 'subjects')


def summary(name):
    return db.row('select %s, breach_rate(b) as rate, breach_rate_low(b) as low, breach_rate_high(b) as high '
                  'from (select rollup(b) as b from %s_b) q'
                  % (', '.join('%s(b) as %s' % (c, c) for c in COUNTS), name))


def tally(rows):
    n = collections.Counter(status for status, *_ in rows)
    decided = n['met'] + n['breached']
    late = sum(status == 'breached' and not s['delivered'] for (status, *_), s in zip(rows, stamps))
    return dict(started=len(rows), met=n['met'], breached=n['breached'], running=n['running'], paused=0,
                cancelled=n['cancelled'], overdue=late, not_covered=0, subjects=len(rows), rate=n['breached'] / decided,
                **dict(zip(('low', 'high'), refstats.wilson(n['breached'], decided))))


total = {name: summary(name) for name in expected}
for name, rows in expected.items():
    tap.table(name + ': the summaries of the months, united', total[name], tally(rows), 1e-12)
for name, rule in (('by_instant', 'timestamp'), ('by_date', 'date'), ('there', 'date'),
                   ('by_instant_there', 'timestamp')):
    got = db.row('select count(*) as n, count(*) filter (where %s) as late from %s_clock where ended_at is not null'
                 % (LATE, name))
    tap.eq(got, {'n': want['n'], 'late': want['late_%s_rule' % rule]}, name + ': delivered, and late of these')
    t = total[name]
    tap.eq(t['breached'] - t['overdue'], want['late_%s_rule' % rule], name + ': the same from the summary')
    tap.near((t['breached'] - t['overdue']) / (t['met'] + t['breached'] - t['overdue']), want['late_rate_%s' % rule],
             name + ": the reference's late rate, of the delivered orders", SIX)
tap.eq([[total[n][k] for k in ('breached', 'overdue', 'running')] for n in ('by_instant', 'by_date', 'cancelled_too')],
       [[596 + 224, 224, 3], [499 + 224, 224, 3], [499 + 120, 120, 0]],
       'orders that have not come are overdue: 224, and 120 when those canceled and unavailable are cancelled')
tap.eq(db.rows("""
    select order_status as status, count(*) as n, count(*) filter (where status = 'breached') as breached
    from by_date_clock where ended_at is null group by 1 order by 1"""),
       [dict(status='canceled', n=60, breached=57), dict(status='invoiced', n=25, breached=25),
        dict(status='processing', n=15, breached=15), dict(status='shipped', n=80, breached=80),
        dict(status='unavailable', n=47, breached=47)], 'by what became of them')
tap.eq(total['cancelled_too']['cancelled'], 60 + 47, 'cancelled at the last stamp: none was late by then')
tap.eq(db.value("""
    select count(*) as n from cancelled_too_clock
    where ended_by = 'cancel' and (due_at is null or breach_at is not null or remaining is not null)"""), 0,
       'those were due some day, were never breached, and nothing remains')

# Days late by the date: whole local days, from the clocks of both readings.
for name, zone in (('by_date', 'UTC'), ('there', 'America/Sao_Paulo')):
    got = db.row("""
        select %s from (select (ended_at at time zone '%s')::date - promised::date as d from %s_clock where %s) q
        """ % (dist('d'), zone, name, LATE))
    tap.table(name + ': days late', got, want['days_late_if_late_date_rule'], SIX)
got = db.row('select %s from by_date_clock where %s' % (dist('floor(%s) + 1' % days('overdue')), LATE))
tap.table('by_date: days late from overdue itself, begun days count', got, want['days_late_if_late_date_rule'], SIX)
got = db.row('select %s from by_instant_clock where ended_at is not null' % dist(days('target - elapsed')))
tap.table('by_instant: slack', got, want['slack_days'], SIX)
got = db.row('select %s from by_date_clock where ended_at is not null'
             % dist(days("target - interval '24 hours' - elapsed")))
tap.table('by_date: slack, one day more', got, want['slack_days'], SIX)

got = {r['month']: [r['orders'], r['delivered'], r['late']] for r in db.rows("""
    select month, started(b) as orders, met(b) + breached(b) - overdue(b) as delivered, breached(b) - overdue(b) as late
    from by_date_b""")}
tap.table('by month: orders, delivered, late', got, ref['by_month__orders_delivered_late_date_rule'])
got = {r['month']: r['late'] for r in db.rows('select month, breached(b) - overdue(b) as late from by_instant_b')}
by_month = collections.Counter(s['purchased'].strftime('%Y-%m') for s in stamps
                               if s['delivered'] and s['delivered'] > s['promised'])
tap.table('by month, by the instant', got, {m: by_month[m] for m in got})

# -- the time zone -----------------------------------------------------------------------------------------------------
# Summer time: what elapsed differs by an hour where one of its ends lies between, and nobody is late for that.
shift = collections.Counter((t[2] - u[2]) // 3_600_000_000 for t, u, s in zip(
    expected['there'], expected['by_date'], stamps) if s['delivered'])
got = {r['k']: r['n'] for r in db.rows("""
    select (extract(epoch from t.elapsed - u.elapsed) / 3600)::int as k, count(*) as n
    from there_clock t join by_date_clock u using (id) where u.ended_at is not null group by 1""")}
tap.eq({int(k): n for k, n in got.items()}, dict(shift), 'hours by which what elapsed differs in Brazil')
tap.ok(set(shift) == {-1, 0, 1} and shift[0] > 6000, 'they do differ: %s' % dict(shift))
tap.eq([i for i, (t, u) in enumerate(zip(expected['there'], expected['by_date'])) if t[0] != u[0]], [],
       'whose clocks are breached by the date is the same')

# -- quantiles: above 4,096 distinct durations in bins of 2 % ----------------------------------------------------------
SHARES = (0.05, 0.25, 0.5, 0.75, 0.9, 0.97)


def figures(curve):
    return {str(p): None if curve.quantile(p) is None else float(curve.quantile(p)) for p in SHARES}


for name in ('by_date', 'cancelled_too'):
    done = [bool(s['delivered']) for s in stamps]
    stays = [survival.Stay(0, r[2], 'stop' if d else None) for r, d in zip(expected[name], done)]
    late = [survival.Stay(0, r[3], 'stop' if d else None) for r, d in zip(expected[name], done) if r[0] == 'breached']
    for what, some in (('elapsed', stays), ('overdue', late)):
        exact, kept = survival.Curve(some), survival.Curve(survival.binned(some))
        got = db.row('select %s from (select rollup(b) as b from %s_b) q' % (', '.join(
            '%s as "%s"' % (us('%s_quantile(b, %s)' % (what, p)), p) for p in SHARES), name))
        tap.table('%s: Kaplan–Meier quantiles of %s' % (name, what), got, figures(kept), 1.0)
        tap.table('and within 1 %% of the exact ones (%d distinct durations)' % survival.distinct(some), got,
                  figures(exact), 0.0101, relative=True)

# -- time in stage: phases ---------------------------------------------------------------------------------------------
PHASES = ('approval', 'handling', 'transport')
db.run("""
    create temp table phase as
      select id, p.*, delivered is not null as stopped from by_date, the, sla_phases(j, s, as_of) p;""")


def phases(stamp):
    """{phase: microseconds} of the phases an order has been in. One ends with its stamp, or that of a later one."""
    end = stamp['delivered'] or last_purchase
    marks = sorted((stamp[k], n, k) for n, k in ((1, 'approved'), (2, 'shipped')) if stamp[k]
                   and stamp['purchased'] <= stamp[k] <= end)
    out, now, since = {}, 0, stamp['purchased']
    for at, after, _ in marks:
        if after > now:
            out[PHASES[now]], now, since = (at - since) // timedelta(microseconds=1), after, at
    out[PHASES[now]] = (end - since) // timedelta(microseconds=1)
    return out


split = [phases(s) for s in stamps]
got = collections.defaultdict(dict)
for r in db.rows('select id, phase, %s as d from phase' % us('elapsed')):
    got[r['id']][r['phase']] = r['d']
tap.table('every phase of every order', dict(got), dict(enumerate(split)))
tap.eq(db.row("""
    select count(*) as n, count(*) filter (where total <> elapsed) as bad, min(least) < interval '0' as negative
    from by_date_clock join (select id, sum(elapsed) as total, min(elapsed) as least from phase group by 1) p using (id)
    """), dict(n=8000, bad=0, negative=False), 'the phases add up to what elapsed, and none is negative')

# Against the reference. Where the stamps are in order a phase is the difference of its two stamps.
early = [s['approved'] is not None and s['shipped'] is not None and s['shipped'] < s['approved'] for s in stamps]
before_purchase = sum(s['shipped'] is not None and s['shipped'] < s['purchased'] for s in stamps)
negative = ref['stage_days']['order_approved_at > order_delivered_carrier_date']['negative']
tap.eq([sum(early), before_purchase], [negative, 19],
       'handed over before the approval, 19 of these before the purchase')
for pair, phase in ((('purchased', 'approved'), 'approval'), (('approved', 'shipped'), 'handling'),
                    (('shipped', 'delivered'), 'transport')):
    a, b = pair
    ordered = [i for i, s in enumerate(stamps) if s[a] and s[b] and not early[i]]
    others = [i for i, s in enumerate(stamps) if s[a] and s[b] and early[i]]
    db.load('usual_%s' % phase, 'id int', [[i] for i in ordered])
    db.load('extra_%s' % phase, 'd float8', [[(stamps[i][b] - stamps[i][a]) / timedelta(days=1)] for i in others])
    got = db.row("""
        select %s from (select %s as d from phase join usual_%s using (id) where phase = '%s'
                        union all select d from extra_%s) q""" % (dist('d'), days('elapsed'), phase, phase, phase))
    figures = {k: v for k, v in ref['stage_days'][' > '.join(STAMPS[k] for k in pair)].items() if k != 'negative'}
    tap.table('%s: %d phases, and the %d differences that are out of order' % (phase, len(ordered), len(others)), got,
              figures, SIX)
short = sum(early[i] and 'handling' not in p for i, p in enumerate(split))
tap.eq(short, 111 - before_purchase, 'handed over before the approval: the phase of handling is passed over')
tap.eq(db.row("select count(*) filter (where phase = 'handling') as n, count(*) as total from phase"),
       dict(n=sum('handling' in p for p in split), total=sum(map(len, split))), 'and has no row')
got = db.row('select %s from by_date_clock where ended_at is not null' % dist(days('elapsed')))
tap.table('purchase to delivery', got, {
    k: v for k, v in ref['stage_days']['order_purchase_timestamp > order_delivered_customer_date'].items()
    if k != 'negative'}, SIX)

# The summary: seconds of the stopped clocks add up exactly, medians are Kaplan–Meier and in bins.
got = db.rows('select p.* from (select rollup(b) as b from by_date_b) q, phases(b) p order by phase_no')
tap.eq([[r['phase_no'], r['phase']] for r in got], [[0, 'total']] + [[i + 1, p] for i, p in enumerate(PHASES)],
       'phases(): the total, then each')
seconds = lambda name: sum(p.get(name, 0) for p, s in zip(split, stamps) if s['delivered']) / 1e6
done = [p for p, s in zip(split, stamps) if s['delivered']]
tap.table('phases(): seconds', [r['sum_seconds'] for r in got], [sum(map(seconds, PHASES)), *map(seconds, PHASES)])
tap.eq(got[0]['sum_seconds'], sum(r['sum_seconds'] for r in got[1:]),
       'phases(): the parts add up to the total, exactly')
tap.eq([r['stopped'] for r in got], [len(done)] * 4, 'phases(): all stopped clocks, in it or not')
tap.table('phases(): mean hours of these, so that they add up', [r['mean_hours'] for r in got[1:]],
          [seconds(name) / 3600 / len(done) for name in PHASES], CENT)
for r in got[1:]:
    stays = []
    for p, s in zip(split, stamps):
        if r['phase'] in p:
            left = bool(s['delivered']) or r['phase'] != list(p)[-1]
            stays.append(survival.Stay(0, p[r['phase']], 'left' if left else None))
    curve = survival.Curve(survival.binned(stays))
    tap.table('phases(): hours in %s, %d stays' % (r['phase'], len(stays)), [r['median_hours'], r['p90_hours']],
              [float(curve.quantile(p)) / 3.6e9 for p in (0.5, 0.9)], CENT)
tap.done()
