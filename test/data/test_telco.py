#!/usr/bin/env python3
"""IBM telco customers: tenure in whole months and churn (SHARED/data/telco_churn).

A customer enters at as_of minus the tenure (a month is taken as 24 hours: the unit does not matter) and leaves at as_of
if churned. 7,043 customers share 73 durations; eleven have tenure 0 and count as visits at t = 0.
"""
import harness
from harness import SIX, days

tap, db, folder = harness.start('data/telco_churn')
import refstats

ref = harness.reference(folder)
rows = refstats.read(folder + '/Telco-Customer-Churn.csv')
tenure = [int(r['tenure']) for r in rows]
churned = [r['Churn'] == 'Yes' for r in rows]
GROUPS = ('Contract', 'PaymentMethod', 'InternetService', 'gender', 'SeniorCitizen')

db.load('customer', 'id int, t int, churned bool, ' + ', '.join('"%s" text' % g for g in GROUPS),
        [(i, t, e) + tuple(r[g] for g in GROUPS) for i, (t, e, r) in enumerate(zip(tenure, churned, rows))])
JOURNEYS = """
    select id, journey(mark, at) as j
    from %s, lc, lateral (values (1, as_of - t * interval '24 hours'), (2, case when churned then as_of end)) m(mark, at)
    group by id"""
db.run("""
    create temp table lc as
      select lifecycle('subscription', stages => '{customer}', churned => '{churned}') as lc, timestamptz '2020-01-01' as as_of;
    create temp table subject as select customer.*, s.j from customer join (%s) s using (id);
    create temp table everyone as select stage_velocity(j, lc, as_of) as v from subject, lc;
    """ % JOURNEYS % 'customer')


def survival(months):
    """S at some months, as a JSON object."""
    return 'json_build_object(%s)' % ', '.join(
        "'%s', survival_at(v, 'customer', interval '24 hours' * %s)" % (m, m) for m in months)


# -- everyone ----------------------------------------------------------------------------------------------------------
n, left = ref['quality']['rows'], ref['churn']['yes']
got = db.row("""
    select visits(v, 'customer') as n, exits(v, 'customer', 'churned') as churned, pending(v, 'customer') as open
    from everyone""")
tap.eq(got, {'n': n, 'churned': left, 'open': n - left}, 'customers and churned, tenure 0 included')
got = db.row('select t.* from everyone, stages(v) t')
tap.eq([got[k] for k in ('visits', 'churned', 'pending', 'relative_error')], [n, left, n - left, 0],
       'stages(): the same, and exact')
tap.table('S at 1 … 72 months', db.value('select %s as s from everyone' % survival(ref['km'])), ref['km'], SIX)
tap.eq(db.value("select median(v, 'customer') as m from everyone"), ref['km_median'], 'the median is not reached')
curve = db.rows("select %s as t, at_risk, events, censored, survival, std_error, low, high "
                "from everyone, survival_curve(v, 'customer', 0.95, 'log') order by age" % days('age'))
events = [[r[k] for k in ('t', 'at_risk', 'events', 'survival', 'std_error', 'low',
                          'high')] for r in curve if r['events']]
tap.table('the first three events', events[:3], ref['at_risk_and_events_first3'], SIX)
tap.table('the whole curve to 1e-9', events, [list(r) for r in refstats.km(tenure, churned)], 1e-9)
tap.eq([curve[0][k] for k in ('t', 'at_risk', 'events', 'censored', 'survival')],
       [0, n, 0, ref['quality']['tenure_zero'], 1],
       'tenure 0: eleven censored at t = 0, after which they are not at risk')
tap.eq(len(curve), len(set(tenure)), 'a row for each duration')

# -- groups ------------------------------------------------------------------------------------------------------------
for g in GROUPS:
    want = dict(ref['by_' + g])
    published = want.pop('logrank')
    by_group = 'select "%s" as k, stage_velocity(j, lc, as_of) as v from subject, lc group by 1' % g
    got = {r.pop('k'): r for r in db.rows("""
        select k, visits(v, 'customer') as n, exits(v, 'customer', 'churned') as churn, %s as median, %s as "S" from (%s) q
        """ % (days("median(v, 'customer')"), survival((12, 24, 48, 72)), by_group))}
    tap.table('by %s: counts, S, medians' % g, got, want, SIX)

    got = db.row("""
        select l.* from (select array_agg(v order by k collate "C") as vs from (%s) q) r, log_rank(vs, 'customer') l
        """ % by_group)
    got = {'chisq': got['chi_square'], 'df': got['df'], 'p': got['p_value'], 'observed': got['observed'],
           'expected': got['expected']}
    recomputed = refstats.logrank(tenure, churned, [r[g] for r in rows])
    for w in (published, recomputed):
        del w['groups']
    tap.table('by %s: log-rank' % g, got, published, SIX)
    tap.table('by %s: log-rank to 1e-9 of each figure' % g, got, recomputed, 1e-9, relative=True)
    # A p value may be tiny: its first digits must be right, too.
    tap.ok(abs(got['p'] - recomputed['p']) <= 1e-6 * recomputed['p'], 'by %s: p = %.6g' % (g, recomputed['p']), got)

# -- t = 0, with events ------------------------------------------------------------------------------------------------
db.load('at_once', 'id int, t int, churned bool', [(1, 0, True), (2, 0, True), (3, 0, False), (4, 5, True),
                                                   (5, 9, False)])
got = db.rows("""
    select %s as t, at_risk, events, censored, survival
    from (select stage_velocity(j, lc, as_of) as v from (%s) s, lc) q, survival_curve(v, 'customer') order by 1
    """ % (days('age'), JOURNEYS % 'at_once'))
tap.table('of five, two leave at once and one is censored at once: all five are at risk at t = 0',
          [list(r.values()) for r in got],
          [[0, 5, 2, 1, 0.6], [5, 2, 1, 0, 0.3], [9, 1, 0, 1, 0.3]], 1e-12)
tap.done()
