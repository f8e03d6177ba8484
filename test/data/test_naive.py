#!/usr/bin/env python3
"""The naive answers are wrong where the specification says so; ours are not.

Synthetic and deterministic: what each subject will do is known in full, so the truth is known too. Looked at early, as any
company looks at its pipeline. Needs nothing from the shared folder but its helpers for the independent recomputation.
"""
import bisect, math
import harness
from harness import days

tap, db, folder = harness.start('data')
import refstats

MEDIAN = 27.0
GOLDEN = 0.6180339887498949


def low_discrepancy(n, start=0.5):
    """n numbers spread evenly over (0, 1), in an order that has nothing to do with their size."""
    return [(start + i * GOLDEN) % 1.0 for i in range(n)]


HOUR, SECOND = 3600, 1
def whole(day, grain):
    """Seconds of a time in days, in whole grains."""
    return round(day * 86400 / grain) * grain


def summaries(table, marks, lifecycle, as_of, extra='', grain=HOUR):
    """Load (id, mark, day) rows counted from 2020-01-01 and keep one row: funnel f and velocity v at as_of (a day).

    In whole hours a stage has at most 4,096 distinct durations here, so the summary is exact; in seconds it has more, and is binned."""
    db.load(table + '_m', 'id int, mark int, secs int', [(i, m, whole(d, grain)) for i, m, d in marks])
    db.run("""create temp table {t}_j as select id, journey(mark, timestamptz '2020-01-01' + make_interval(secs => secs)) as j from {t}_m group by 1;
              create temp table {t} as select funnel_conversion(j, lc, as_of) as f, stage_velocity(j, lc, as_of {extra}) as v from {t}_j, (select {lc} as lc, timestamptz '2020-01-01' + interval '24 hours' * {as_of} as as_of) p;
           """.format(t=table, lc=lifecycle, as_of=as_of, extra=extra))


# ---------------------------------------------------------------------------------------------------------------------
# 1. A young, growing pipeline. Deals arrive faster every week from day 0; half of all leave the stage within 27 days, and every
#    one does in the end. On day 60 most of those that finished are the fast ones.
arrivals = []
for day in range(60):
    arrivals += [day + i / float(20 + 4 * day) for i in range(20 + 4 * day)]
stay = [-math.log(1 - u) * MEDIAN / math.log(2) for u in low_discrepancy(len(arrivals))]
tap.near(refstats.pct(stay, 0.5), MEDIAN, 'young pipeline: in truth half of the %d deals leave within 27 days' % len(stay), 0.05)
DAY60 = 60
marks = [(i, 1, a) for i, a in enumerate(arrivals)] + [(i, 2, a + s) for i, (a, s) in enumerate(zip(arrivals, stay)) if a + s <= DAY60]
LIFE = "lifecycle('young', stages => '{open}', won => 'won')"
summaries('young', marks, LIFE, DAY60)
naive = db.row("""select count(*) as n, avg(d) as mean, percentile_cont(0.5) within group (order by d) as median from (
  select %s as d from young_j, stage_spans(j, %s, timestamptz '2020-03-01') s where s.left_at is not null) x""" % (days('duration'), LIFE))
ours = db.row("select visits(v, 'open') as n, pending(v, 'open') as pending, %s as median, %s as low, %s as high, %s as p25 from young" % tuple(
    days(x) for x in ("median(v, 'open')", "quantile_low(v, 'open', 0.5)", "quantile_high(v, 'open', 0.5)", "quantile(v, 'open', 0.25)")))
tap.say('finished visits only: median %.1f, mean %.1f days (%d of %d visits); Kaplan–Meier: median %.1f (%.1f to %.1f); truth 27'
        % (naive['median'], naive['mean'], naive['n'], ours['n'], ours['median'], ours['low'], ours['high']))
tap.eq(ours['pending'] + naive['n'], len(arrivals), 'young pipeline: the rest is open, not forgotten')
tap.ok(naive['median'] < 0.55 * MEDIAN, 'the median of finished visits is below 55 % of the truth', naive)
true_mean = MEDIAN / math.log(2)
tap.ok(naive['mean'] < 0.45 * true_mean, 'their mean is below 45 % of the true mean', naive)
tap.near(ours['median'], MEDIAN, 'the Kaplan–Meier median is within a tenth of the truth', 0.1 * MEDIAN)
tap.ok(ours['low'] <= MEDIAN <= ours['high'], 'and its confidence limits hold the truth', ours)
tap.near(ours['p25'], MEDIAN * math.log(4 / 3.0) / math.log(2), 'so is the quartile', 0.05 * MEDIAN)
t = [whole(min(a + s, DAY60), HOUR) - whole(a, HOUR) for a, s in zip(arrivals, stay)]
k = refstats.km(t, [a + s <= DAY60 for a, s in zip(arrivals, stay)])
tap.near(ours['median'] * 86400, harness.quantile(k, 0.5), 'as recomputed independently, to the second', 1e-6)
# To the second there are more distinct durations than a summary keeps apart: it is binned, and says by how much it may err.
summaries('fine', marks, LIFE, DAY60, grain=SECOND)
t = [whole(min(a + s, DAY60), SECOND) - whole(a, SECOND) for a, s in zip(arrivals, stay)]
k = refstats.km(t, [a + s <= DAY60 for a, s in zip(arrivals, stay)])
r = db.row("select (s).relative_error as e, %s as m, %s as p25, visits(v, 'open') as n, pending(v, 'open') as p from (select v, stages(v) as s from fine) x" % (days("median(v, 'open')"), days("quantile(v, 'open', 0.25)")))
tap.ok(0 < r['e'] <= 0.01 and len(set(t)) > 4096, 'to the second: %d distinct durations, binned, relative error %.4f' % (len(set(t)), r['e']), r)
tap.eq((r['n'], r['p']), (ours['n'], ours['pending']), 'binned: counts are exact')
for what, p in (('m', 0.5), ('p25', 0.25)):
    true = harness.quantile(k, p) / 86400
    tap.near(r[what] / true, 1.0, 'binned: the quantile %s is within 1 %% of the unbinned one' % p, 0.01)
band = db.rows("select extract(epoch from age)::float8 as t, at_risk as n, events, censored, bracket_low as low, bracket_high as high, survival as s from fine, survival_curve(v, 'open')")
edges = [0, 1]
while edges[-1] < DAY60 * 86400 * 10**6:
    edges.append(max(edges[-1] + 1, edges[-1] * 101 // 99))
out = []
for r in band:
    end = edges[bisect.bisect_right(edges, round(r['t'] * 10**6))]
    exact = refstats.km_at(k, (end - 1) / 1e6)
    if not (r['low'] - 1e-12 <= exact <= r['high'] + 1e-12 and r['low'] - 1e-12 <= r['s'] <= r['high'] + 1e-12):
        out.append((r, exact))
tap.ok(not out and len(band) > 200, 'binned: at the end of each of the %d bins the unbinned curve lies in the bracket' % len(band), *out[:5])
low = high = 1.0
out = []
for r in band:
    low *= 1 - r['events'] / (r['n'] - r['censored']) if r['events'] else 1
    high *= 1 - r['events'] / r['n'] if r['events'] else 1
    if not (harness.near(r['low'], low, 1e-9) and harness.near(r['high'], high, 1e-9) and harness.near(r['s'], high, 1e-9)):
        out.append((r, low, high))
tap.ok(not out, 'binned: each bin with N at risk, D events, C censored puts the factor between 1 - D/(N - C) and 1 - D/N; the estimate is the latter', *out[:5])
# The pipeline matures: on day 800 the naive figure has caught up, and ours has not moved. A figure that drifts with the calendar is no figure.
marks = [(i, 1, a) for i, a in enumerate(arrivals)] + [(i, 2, a + s) for i, (a, s) in enumerate(zip(arrivals, stay))]
summaries('grown', marks, LIFE, 800)
grown = db.row("select %s as median, pending(v, 'open') as pending from grown" % days("median(v, 'open')"))
tap.eq(grown['pending'], 0, 'on day 800 none is open')
tap.near(grown['median'], MEDIAN, 'and the median is 27 days whichever way it is taken', 0.27)

# ---------------------------------------------------------------------------------------------------------------------
# 2. Visits known only from some day on (left truncation). Records start on day 100: a deal that left before is not in the data.
#    The naive age distribution of what is there is biased to the long ones; with `since` each deal counts from the age it had then.
old = [d + i / 30.0 for d in range(160) for i in range(30)]
length = [-math.log(1 - u) * MEDIAN / math.log(2) for u in low_discrepancy(len(old), 0.25)]
SINCE, END = 100, 160
seen = [(i, a, s) for i, (a, s) in enumerate(zip(old, length)) if a + s > SINCE]
marks = [(i, 1, a) for i, a, s in seen] + [(i, 2, a + s) for i, a, s in seen if a + s <= END]
summaries('cut', marks, LIFE, END)
summaries('late', marks, LIFE, END, ", timestamptz '2020-01-01' + interval '24 hours' * %d" % SINCE)
r = db.row("select %s as naive, %s as late, %s as low, %s as high from cut, late" % tuple(days(x) for x in ("median(cut.v, 'open')", "median(late.v, 'open')", "quantile_low(late.v, 'open', 0.5)", "quantile_high(late.v, 'open', 0.5)")))
tap.say('records from day 100 on: median %.1f as if nothing were missing, %.1f with since (%.1f to %.1f); truth 27' % (r['naive'], r['late'], r['low'], r['high']))
tap.ok(r['naive'] > 1.25 * MEDIAN, 'records cut on the left: without since the median is a quarter too long', r)
tap.near(r['late'], MEDIAN, 'with since it is within a tenth of the truth', 0.1 * MEDIAN)
tap.ok(r['low'] <= MEDIAN <= r['high'], 'and its limits hold the truth', r)

# ---------------------------------------------------------------------------------------------------------------------
# 3. Won slowly, lost fast: half of all deals are won (after 60 days in the middle), half lost (after 10). On day 60 of a young
#    cohort won/(won + lost) says that few are won; 1 - Kaplan–Meier with the other exit censored says that too many are.
n = 6000
start = [60.0 * i / n for i in range(n)]
which = low_discrepancy(n)
when = low_discrepancy(n, 0.125)
fate = []
for u, w in zip(which, [(0.3 + i * math.sqrt(2)) % 1.0 for i in range(n)]):
    is_won = u < 0.5
    fate.append((is_won, 40 + 40 * w if is_won else 2 + 16 * w))
AS_OF = 60
marks = [(i, 1, a) for i, a in enumerate(start)] + [(i, 2 if w else 3, a + d) for i, (a, (w, d)) in enumerate(zip(start, fate)) if a + d <= AS_OF]
LOSE = "lifecycle('fate', stages => '{open}', won => 'won', lost => '{lost}')"
summaries('fate', marks, LOSE, AS_OF)
HORIZON = 55
truth = sum(1 for w, d in fate if w and d <= HORIZON) / float(n)
r = db.row("""select converted(f, 'open') as won, lost(f, 'open') as lost, in_progress(f, 'open') as open, conversion_rate(f, 'open', 'decided') as decided, conversion_rate(f, 'open') as entered,
  incidence_at(v, 'open', 'won', '{0} days') as won_by, incidence_at(v, 'open', 'lost', '{0} days') as lost_by, survival_at(v, 'open', '{0} days') as still from fate""".format(HORIZON))
t = [whole(min(a + d, AS_OF), HOUR) - whole(a, HOUR) for a, (w, d) in zip(start, fate)]
e = ['' if a + d > AS_OF else 'won' if w else 'lost' for a, (w, d) in zip(start, fate)]
ones = 1 - refstats.km_at(refstats.km(t, [x == 'won' for x in e]), HORIZON * 86400)
tap.say('won within %d days: won/(won+lost) %.3f, won/entered %.3f, 1 - KM %.3f, cumulative incidence %.3f; truth %.3f' % (HORIZON, r['decided'], r['entered'], ones, r['won_by'], truth))
tap.eq(r['won'] + r['lost'] + r['open'], n, 'open cohort: every deal is won, lost or open')
tap.ok(r['decided'] < 0.55 * truth, 'won / (won + lost) is hardly half of what will be won within %d days' % HORIZON, r)
tap.ok(r['entered'] < r['decided'] < truth, 'won / entered is lower still', r)
tap.ok(ones > 1.5 * truth, '1 - Kaplan–Meier, the lost ones censored, is half as much again too high', ones)
tap.near(r['won_by'], truth, 'the cumulative incidence is within two hundredths of the truth', 0.02)
aj = refstats.aj_at(refstats.aalen_johansen(t, e, ('won', 'lost')), HORIZON * 86400)
tap.table('as recomputed independently', [r['won_by'], r['lost_by'], r['still']], [aj[2]['won'], aj[2]['lost'], aj[1]], 1e-9)
tap.near(r['won_by'] + r['lost_by'] + r['still'], 1.0, 'won + lost + open = 1', 1e-12)

# ---------------------------------------------------------------------------------------------------------------------
# 4. A truncated funnel. In truth 40 % of leads become customers, 10 to 50 days later; a report for February that keeps only
#    February's events misses the conversions of March, and takes January's conversions for entries.
n = 4000
start = [90.0 * i / n for i in range(n)]
u = low_discrepancy(n)
lag = [10 + 40 * x for x in low_discrepancy(n, 0.375)]
becomes = [(0.7 + i * math.sqrt(3)) % 1.0 < 0.4 for i in range(n)]
marks = [(i, 1, a) for i, a in enumerate(start)] + [(i, 2, a + d) for i, (a, d, b) in enumerate(zip(start, lag, becomes)) if b]
db.load('flow', 'id int, mark int, day float8', marks)
cohort = [i for i, a in enumerate(start) if 31 <= a < 60]
truth = sum(becomes[i] for i in cohort) / float(len(cohort))
r = {x['how']: x for x in db.rows("""
  with e as (select id, mark, timestamptz '2020-01-01' + make_interval(secs => round(day * 86400)) as at from flow),
  whole as (select id, journey(mark, at) as j from e group by 1),
  february as (select id, journey(mark, at) as j from e where at >= '2020-02-01' and at < '2020-03-01' group by 1),
  p as (select timestamptz '2020-06-01' as as_of, lifecycle('flow', stages => '{lead}', won => 'customer') as plain,
               lifecycle('flow', stages => '{lead}', won => 'customer', entry_range => '[2020-02-01, 2020-03-01)') as ranged)
  select 'naive' as how, entered(s, 'lead') as n, observed(s, 'lead') as leads, imputed(s, 'lead') as imputed, converted(s, 'lead') as won, conversion_rate(s, 'lead') as rate from (select funnel_conversion(j, plain, as_of) as s from february, p) f
  union all
  select 'naive, strict', entered(s, 'lead'), observed(s, 'lead'), imputed(s, 'lead'), converted(s, 'lead'), conversion_rate(s, 'lead') from (select funnel_conversion(j, lifecycle('flow', stages => '{lead}', won => 'customer', skip => 'strict'), as_of) as s from february, p) f
  union all
  select 'ours', entered(s, 'lead'), observed(s, 'lead'), imputed(s, 'lead'), converted(s, 'lead'), conversion_rate(s, 'lead') from (select funnel_conversion(j, ranged, as_of) as s from whole, p) f""")}
tap.say('leads of February: ours %.3f of %d, truth %.3f; February\'s events only: %.3f read strictly, %.3f with %d customers out of nowhere' % (
    r['ours']['rate'], r['ours']['n'], truth, r['naive, strict']['rate'], r['naive']['rate'], r['naive']['imputed']))
tap.eq((r['ours']['n'], r['ours']['won'], r['ours']['imputed']), (len(cohort), sum(becomes[i] for i in cohort), 0), 'entry_range: the leads of February, and all that became of them')
tap.near(r['ours']['rate'], truth, 'their rate is the truth', 1e-12)
tap.eq(r['naive, strict']['n'], len(cohort), 'the same leads from February\'s events alone')
tap.ok(r['naive, strict']['rate'] < 0.4 * truth, 'but less than 40 % of the true rate: the customers of March are missing', r)
tap.ok(r['naive']['imputed'] > 0.2 * len(cohort), 'and January\'s leads come in as customers that nobody saw enter', r)

# The cohort that is still young: what the window has not closed on is in progress, not lost.
y = db.row("""select entered(s, 'lead') as n, converted(s, 'lead') as won, expired(s, 'lead') as expired, in_progress(s, 'lead') as open, conversion_rate(s, 'lead') as rate, conversion_rate(s, 'lead', 'decided') as decided from (
  select funnel_conversion(j, lifecycle('flow', stages => '{lead}', won => 'customer', within => '50 days', entry_range => '[2020-02-01, 2020-03-01)'), '2020-03-31') as s
  from (select id, journey(mark, timestamptz '2020-01-01' + make_interval(secs => round(day * 86400))) as j from flow group by 1) j) f""")
AS = 90
done = [i for i in cohort if becomes[i] and round((start[i] + lag[i]) * 86400) <= AS * 86400]
expired = [i for i in cohort if i not in set(done) and round(start[i] * 86400) + 50 * 86400 < AS * 86400]
tap.eq(y['n'] - y['won'] - y['expired'], y['open'], 'looked at on 31 March: converted + expired + in progress = entered')
tap.eq((y['n'], y['won'], y['expired']), (len(cohort), len(done), len(expired)), 'as recounted')
tap.ok(y['rate'] < truth and y['open'] > 0, 'the rate so far is too low, and %d of %d are in progress: it says so' % (y['open'], y['n']))
tap.done()
