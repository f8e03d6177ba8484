#!/usr/bin/env python3
"""Maven CRM: 8,800 opportunities with agents, products, won and lost (SHARED/data/maven_crm).

Only the current stage and two dates are known. An engaged deal is marked `engaging` at its engage date, `won` or `lost` at its
close date; looked at on 2017-12-31. The 500 deals in Prospecting have no date at all: the export shows them there, so they are
marked `prospecting` at as_of, and the other 8,300 have that stage imputed.

Win rate: the reference's is won / (won + lost), ours is the conversion rate of `engaging` among the decided.
Medians: the reference takes percentile_cont over the deals that ended one way; on the same deals the Kaplan–Meier median is the
same number (no censoring), and over all deals, open ones and both exits, it is another; all are asserted.
"""
import collections
import harness
from harness import days
from datetime import datetime

tap, db, folder = harness.start('data/maven_crm')
import refstats
ref = harness.reference(folder)

AS_OF = '2017-12-31'
deals = refstats.read(folder + '/sales_pipeline.csv')
team = {t['sales_agent']: t for t in refstats.read(folder + '/sales_teams.csv')}
sector = {a['account']: a['sector'] for a in refstats.read(folder + '/accounts.csv')}
db.load('deal', 'id text, agent text, manager text, region text, product text, sector text, stage text, engaged timestamptz, closed timestamptz, amount numeric',
        [(p['opportunity_id'], p['sales_agent'], team[p['sales_agent']]['manager'], team[p['sales_agent']]['regional_office'],
          {'GTXPro': 'GTX Pro'}.get(p['product'], p['product']), sector.get(p['account'], '(no account)'), p['deal_stage'],
          p['engage_date'] or None, p['close_date'] or None, p['close_value'] or 0) for p in deals])
db.run("""
create temp table lc as select lifecycle('maven', stages => '{prospecting, engaging}', won => 'won', lost => '{lost}') as lc, timestamptz '%s' as as_of;
create temp table subject as
  select d.*, j.j from deal d join (
    select id, journey(mark, at) as j from deal, lc, lateral (values
      (1, case stage when 'Prospecting' then as_of end), (2, engaged), (3, case stage when 'Won' then closed end), (4, case stage when 'Lost' then closed end)) m(mark, at)
    group by id) j using (id);
create temp table attempt as select s.id, s.agent, s.manager, s.region, s.product, s.sector, a.* from subject s, lc, funnel_attempts(s.j, lc.lc, lc.as_of) a where a.counted;
create temp table span as select s.id, s.agent, s.manager, s.region, s.product, s.sector, v.* from subject s, lc, stage_spans(s.j, lc.lc, lc.as_of) v;
""" % AS_OF)

KEYS = ('n', 'won', 'lost', 'open', 'win_rate_closed', 'won_value', 'avg_won', 'cycle_won_mean', 'cycle_won_median', 'cycle_lost_mean', 'cycle_lost_median')
def summary(column):
    """Every figure of the reference for each value of a column."""
    funnel = {r.pop('k'): r for r in db.rows("""
      select k, entered(s, 'prospecting') as n, converted(s, 'engaging') as won, lost(s, 'engaging') as lost, in_progress(s, 'prospecting') + in_progress(s, 'engaging') as open,
        conversion_rate(s, 'engaging', 'decided') as win_rate_closed, t.amount_converted as won_value, t.amount_converted / nullif(t.converted, 0) as avg_won, t.mean_days_to_convert as mean
      from (select %s as k, funnel_conversion(j, lc, as_of, amount) as s from subject, lc group by 1) f, stages(s) t where t.stage = 'engaging'""" % column)}
    cycle = {(r['k'], r['exit']): r for r in db.rows("""
      select %s as k, exit, avg(%s) as mean, percentile_cont(0.5) within group (order by %s) as median from span where stage = 'engaging' and exit is not null group by 1, 2""" % (column, days('duration'), days('duration')))}
    for k, r in funnel.items():
        for how in ('won', 'lost'):
            c = cycle.get((k, how), {})
            r['cycle_%s_mean' % how], r['cycle_%s_median' % how] = c.get('mean'), c.get('median')
    return funnel

overall = summary("'all'")['all']
tap.table('overall', {k: overall[k] for k in KEYS}, ref['overall'], harness.SIX)
for name, column in (('by_agent', 'agent'), ('by_manager', 'manager'), ('by_region', 'region'), ('by_product', 'product'), ('by_sector', 'sector')):
    got = summary(column)
    tap.table(name, {k: {f: r[f] for f in KEYS} for k, r in got.items()}, ref[name], harness.SIX)
    bad = [(k, r['mean'], r['cycle_won_mean']) for k, r in got.items() if not harness.near(r['mean'], r['cycle_won_mean'], harness.CENT)]
    tap.ok(not bad, name + ': mean_days_to_convert is the mean won cycle', *bad)
    total = {f: sum(r[f] for r in got.values()) for f in ('n', 'won', 'lost', 'open', 'won_value')}
    tap.table(name + ': the groups add up to the whole', total, {f: ref['overall'][f] for f in total})
tap.eq((db.value("select imputed(funnel_conversion(j, lc, as_of), 'prospecting') as x from subject, lc"), 8800 - 500), (8300, 8300), 'prospecting is imputed for the 8,300 that were engaged')

# -- won value through the amount argument --------------------------------------------------------------------------
t = db.row("select t.* from (select funnel_conversion(j, lc, as_of, amount) as s from subject, lc) f, stages(s) t where stage = 'engaging'")
tap.eq((t['amount_converted'], t['amount_lost']), (ref['overall']['won_value'], 0), 'amount won and lost (a lost deal has the value 0 here)')
tap.table('stages(): decided rate and its Wilson limits', [t['decided_rate'], t['decided_low'], t['decided_high']],
          [4238 / 6711] + refstats.wilson(4238, 6711), harness.SIX)
v = [float(p['close_value'] or 0) for p in deals if p['engage_date']]
tap.near(t['amount_n_effective'], sum(v) ** 2 / sum(x * x for x in v), 'effective number of deals behind the amount', harness.CENT)
tap.eq((t['amount_entered'], t['amount_rate']), (ref['overall']['won_value'], 1), 'open deals carry no value in this export: the amount rate says nothing here')

# -- when they closed -----------------------------------------------------------------------------------------------
for name, fmt in (('by_close_quarter__won_lost_value', 'YYYY"Q"Q'), ('by_close_month__won_lost_value', 'YYYY-MM')):
    got = {r['k']: [r['won'], r['lost'], r['value']] for r in db.rows("""
      select to_char(a.ended_at, '%s') as k, count(*) filter (where outcome = 'won') as won, count(*) filter (where outcome = 'lost') as lost, coalesce(sum(d.amount) filter (where outcome = 'won'), 0) as value
      from attempt a join deal d using (id) where a.stage = 'engaging' and a.ended_at is not null and outcome in ('won', 'lost') group by 1""" % fmt)}
    tap.table(name, got, ref[name])

# -- won and lost as competing risks --------------------------------------------------------------------------------
DAYS = (7, 14, 30, 60, 90, 120, 138)
got = db.row("select %s from (select stage_velocity(j, lc, as_of) as v from subject, lc) x" % ', '.join(
    "survival_at(v, 'engaging', '{d} days') as s{d}, incidence_at(v, 'engaging', 'won', '{d} days') as w{d}, incidence_at(v, 'engaging', 'lost', '{d} days') as l{d}".format(d=d) for d in DAYS))
want = ref['competing_risks_from_engage_asof_2017-12-31']
tap.table('open, won, lost at 7 … 138 days (Aalen–Johansen)', {str(d): {'open': got['s%d' % d], 'Won': got['w%d' % d], 'Lost': got['l%d' % d]} for d in DAYS}, want, harness.SIX)
date = lambda s: datetime.strptime(s, '%Y-%m-%d')
engaged = [p for p in deals if p['engage_date']]
times = [(date(p['close_date'] or AS_OF) - date(p['engage_date'])).days for p in engaged]
states = [p['deal_stage'] if p['close_date'] else '' for p in engaged]
aj = refstats.aalen_johansen(times, states, ('Won', 'Lost'))
tap.table('the same to 1e-9', {d: [got['s%d' % d], got['w%d' % d], got['l%d' % d]] for d in DAYS},
          {d: [refstats.aj_at(aj, d)[1], refstats.aj_at(aj, d)[2]['Won'], refstats.aj_at(aj, d)[2]['Lost']] for d in DAYS}, 1e-9)
for exit in ('won', 'lost'):
    c = db.rows("select %s as t, events, incidence from (select stage_velocity(j, lc, as_of) as v from subject, lc) x, incidence_curve(v, 'engaging', '%s') order by age" % (days('age'), exit))
    tap.table('the whole curve of %s' % exit, {r['t']: r['incidence'] for r in c if r['events']},
              {float(t): f[exit.title()] for t, s, f in aj if sum(1 for a, b in zip(times, states) if a == t and b == exit.title())}, 1e-9)
tap.ok(max(abs(got['s%d' % d] + got['w%d' % d] + got['l%d' % d] - 1) for d in DAYS) < 1e-12, 'open + won + lost = 1 at each')

# -- medians: naive, and with the open deals ------------------------------------------------------------------------
m = db.row("""select %s as won, %s as lost, %s as everything from
   (select stage_velocity(j, lc, as_of) filter (where stage = 'Won') as w, stage_velocity(j, lc, as_of) filter (where stage = 'Lost') as l, stage_velocity(j, lc, as_of) as v from subject, lc) x"""
   % tuple(days("median(%s, 'engaging')" % c) for c in 'wlv'))
tap.eq((m['won'], m['lost']), (ref['overall']['cycle_won_median'], ref['overall']['cycle_lost_median']), 'the Kaplan–Meier median over won (over lost) deals only is the naive one')
k = refstats.km(times, [bool(s) for s in states])
tap.near(m['everything'], harness.quantile(k, 0.5), 'over all deals, open ones included, the median stay is', 1e-9)
tap.ok(m['lost'] < m['won'] < m['everything'], 'and longer than either: %s days; won only %s, lost only %s' % (m['everything'], m['won'], m['lost']))
open_ = db.row("select pending(v, 'engaging') as n, visits(v, 'engaging') as visits, pending(v, 'prospecting') as p from (select stage_velocity(j, lc, as_of) as v from subject, lc) x")
tap.eq(open_, {'n': ref['open_pipeline_engaging']['n'], 'visits': 8300, 'p': 500}, 'open deals by stage')
age = db.row("select %s from span where stage = 'engaging' and exit is null" % harness.dist(days('duration')))
tap.table('age of the open deals', age, ref['open_pipeline_engaging']['age_days_asof_2017_12_31'], harness.SIX)
tap.done()
