#!/usr/bin/env python3
"""IBM telco customers: tenure in whole months and churn (SHARED/data/telco_churn).

A customer enters at as_of minus the tenure (a month is taken as 24 hours: the unit does not matter) and leaves at as_of if churned.
7,043 customers share 73 durations; eleven have tenure 0 and count as visits at t = 0.
"""
import harness
from harness import days

tap, db, folder = harness.start('data/telco_churn')
import refstats
ref = harness.reference(folder)

rows = refstats.read(folder + '/Telco-Customer-Churn.csv')
tenure = [int(r['tenure']) for r in rows]
churned = [r['Churn'] == 'Yes' for r in rows]
GROUPS = ('Contract', 'PaymentMethod', 'InternetService', 'gender', 'SeniorCitizen')
db.load('customer', 'id int, t int, churned bool, %s' % ', '.join('"%s" text' % g for g in GROUPS),
        [(i, t, e) + tuple(r[g] for g in GROUPS) for i, (t, e, r) in enumerate(zip(tenure, churned, rows))])
db.run("""
create temp table lc as select lifecycle('subscription', stages => '{customer}', churned => '{churned}') as lc, timestamptz '2020-01-01' as as_of;
create temp table subject as select c.*, j.j from customer c join (
  select id, journey(mark, at) as j from customer, lc, lateral (values (1, as_of - t * interval '24 hours'), (2, case when churned then as_of end)) m(mark, at) group by id) j using (id);
""")
MONTH = "interval '24 hours' * %d"

q = ref['quality']
r = db.row("select visits(v, 'customer') as n, exits(v, 'customer', 'churned') as yes, pending(v, 'customer') as open from (select stage_velocity(j, lc, as_of) as v from subject, lc) x")
tap.eq(r, {'n': q['rows'], 'yes': ref['churn']['yes'], 'open': q['rows'] - ref['churn']['yes']}, 'customers and churned, tenure 0 included')
got = db.row("select %s from (select stage_velocity(j, lc, as_of) as v from subject, lc) x" % ', '.join("survival_at(v, 'customer', %s) as \"%s\"" % (MONTH % int(m), m) for m in ref['km']))
tap.table('S at 1 … 72 months', got, ref['km'], harness.SIX)
tap.eq(db.value("select median(v, 'customer') as m from (select stage_velocity(j, lc, as_of) as v from subject, lc) x"), ref['km_median'], 'the median is not reached')
curve = db.rows("select %s as t, at_risk, events, censored, survival, std_error, low, high from (select stage_velocity(j, lc, as_of) as v from subject, lc) x, survival_curve(v, 'customer', 0.95, 'log') order by age" % days('age'))
row = lambda r: [r['t'], r['at_risk'], r['events'], r['survival'], r['std_error'], r['low'], r['high']]
tap.table('the first three events', [row(r) for r in curve if r['events']][:3], ref['at_risk_and_events_first3'], harness.SIX)
tap.table('the whole curve to 1e-9', [row(r) for r in curve if r['events']], [list(r) for r in refstats.km(tenure, churned)], 1e-9)
tap.eq([curve[0][k] for k in ('t', 'at_risk', 'events', 'censored', 'survival')], [0, q['rows'], 0, q['tenure_zero'], 1], 'tenure 0: eleven censored at t = 0, after which they are not at risk')
tap.eq(len(curve), len(set(tenure)), 'a row for each duration')
r = db.row("select (t).visits as n, (t).pending as p, (t).churned as c, (t).relative_error as e from (select stages(v) as t from (select stage_velocity(j, lc, as_of) as v from subject, lc) x) y")
tap.eq(r, {'n': q['rows'], 'p': q['rows'] - ref['churn']['yes'], 'c': ref['churn']['yes'], 'e': 0}, 'stages(): exact')

for g in GROUPS:
    want = ref['by_' + g]
    got = {r.pop('k'): r for r in db.rows("""select k, visits(v, 'customer') as n, exits(v, 'customer', 'churned') as churn, %s as median, json_build_object(%s) as "S"
      from (select "%s" as k, stage_velocity(j, lc, as_of) as v from subject, lc group by 1) x""" % (days("median(v, 'customer')"), ', '.join("'%d', survival_at(v, 'customer', %s)" % (m, MONTH % m) for m in (12, 24, 48, 72)), g))}
    tap.table('by %s: counts, S, medians' % g, got, {k: v for k, v in want.items() if k != 'logrank'}, harness.SIX)
    l = db.row("select (l).* from (select log_rank(array_agg(v order by k collate \"C\"), 'customer') as l from (select \"%s\" as k, stage_velocity(j, lc, as_of) as v from subject, lc group by 1) x) y" % g)
    got = [l['chi_square'], l['df'], l['observed'], l['expected'], l['p_value']]
    w = want['logrank']
    tap.table('by %s: log-rank' % g, got, [w['chisq'], w['df'], w['observed'], w['expected'], w['p']], harness.SIX)
    w = refstats.logrank(tenure, churned, [r[g] for r in rows])
    tap.table('by %s: log-rank to 1e-9 of each figure' % g, got, [w['chisq'], w['df'], w['observed'], w['expected'], w['p']], 1e-9, relative=True)
    # A p value may be tiny: it must be right in its first digits, too, not only near 0.
    tap.ok(abs(l['p_value'] - w['p']) <= 1e-6 * max(w['p'], l['p_value']), 'by %s: p = %.6g' % (g, w['p']), 'got %r' % l['p_value'])

# -- t = 0, with events ----------------------------------------------------------------------------------------------
# Two of five leave at once, one is censored at once: S(0) = 3/5, and the censored one counts as at risk at 0.
z = db.rows("""select %s as t, at_risk, events, censored, survival from (
    select stage_velocity(j, lc, as_of) as v from (
      select id, journey(mark, at) as j from (values (1, 0, true), (2, 0, true), (3, 0, false), (4, 5, true), (5, 9, false)) s(id, t, gone), lc,
        lateral (values (1, as_of - t * interval '24 hours'), (2, case when gone then as_of end)) m(mark, at) group by 1) x, lc) y, survival_curve(v, 'customer') order by 1""" % days('age'))
tap.table('zero durations count at t = 0', [[r['t'], r['at_risk'], r['events'], r['censored'], r['survival']] for r in z], [[0, 5, 2, 1, 0.6], [5, 2, 1, 0, 0.3], [9, 1, 0, 1, 0.3]], 1e-12)
tap.done()
