#!/usr/bin/env python3
"""Maven CRM: 8,800 opportunities with agents, products, won and lost (SHARED/data/maven_crm).

Only the current stage and two dates are known. An engaged deal is marked `engaging` at its engage date, `won` or `lost`
at its close date; looked at on 2017-12-31. The 500 deals in Prospecting have no date at all: the export shows them
there, so they are marked `prospecting` at as_of, and the other 8,300 have that stage imputed.

Win rate: the reference's is won / (won + lost), ours is the conversion rate of `engaging` among the decided. Medians:
the reference takes percentile_cont over the deals that ended one way; on the same deals the Kaplan–Meier median is the
same number (nothing is censored), and over all deals, open ones and both exits, it is another; all are asserted.
"""
from datetime import datetime

import harness
from harness import SIX, days

tap, db, folder = harness.start('data/maven_crm')
import refstats

ref = harness.reference(folder)
AS_OF = '2017-12-31'
deals = refstats.read(folder + '/sales_pipeline.csv')
team = {t['sales_agent']: t for t in refstats.read(folder + '/sales_teams.csv')}
sector = {a['account']: a['sector'] for a in refstats.read(folder + '/accounts.csv')}
product = lambda p: {'GTXPro': 'GTX Pro'}.get(p, p)

db.load('deal', 'id text, agent text, manager text, region text, product text, sector text, now_in text, '
        'engaged timestamptz, closed timestamptz, amount numeric', [
            (d['opportunity_id'], d['sales_agent'], team[d['sales_agent']]['manager'],
             team[d['sales_agent']]['regional_office'],
             product(d['product']), sector.get(d['account'], '(no account)'), d['deal_stage'], d['engage_date'] or None,
             d['close_date'] or None, d['close_value'] or 0) for d in deals])
db.run("""
    create temp table lc as select timestamptz '%s' as as_of,
      lifecycle('maven', stages => '{prospecting, engaging}', won => 'won', lost => '{lost}') as lc;
    create temp table subject as
      select deal.*, j.j from deal join (
        select id, journey(mark, at) as j
        from deal, lc, lateral (values (1, case now_in when 'Prospecting' then as_of end), (2, engaged),
          (3, case now_in when 'Won' then closed end), (4, case now_in when 'Lost' then closed end)) m(mark, at)
        group by id) j using (id);
    create temp table span as select s.*, v.* from subject s, lc, stage_spans(s.j, lc.lc, lc.as_of) v where v.stage = 'engaging';
    create temp table attempt as
      select s.*, a.* from subject s, lc, funnel_attempts(s.j, lc.lc, lc.as_of) a where a.counted and a.stage = 'engaging';
    """ % AS_OF)

# -- the reference's eleven figures, by anything -----------------------------------------------------------------------
KEYS = ('n', 'won', 'lost', 'open', 'win_rate_closed', 'won_value', 'avg_won',
        'cycle_won_mean', 'cycle_won_median', 'cycle_lost_mean', 'cycle_lost_median')


def summary(column):
    funnels = db.rows("""
        select k, entered(f, 'prospecting') as n, t.converted as won, t.lost,
          in_progress(f, 'prospecting') + in_progress(f, 'engaging') as open,
          conversion_rate(f, 'engaging', 'decided') as win_rate_closed, t.amount_converted as won_value,
          t.amount_converted / nullif(t.converted, 0) as avg_won, t.mean_days_to_convert
        from (select %s as k, funnel_conversion(j, lc, as_of, amount) as f from subject, lc group by 1) q, stages(f) t
        where t.stage = 'engaging'""" % column)
    cycles = {(r['k'], r['exit']): r for r in db.rows("""
        select %s as k, exit, avg({0}) as mean, percentile_cont(0.5) within group (order by {0}) as median
        from span where exit is not null group by 1, 2""".format(days('duration')) % column)}
    for r in funnels:
        for how in ('won', 'lost'):
            for figure in ('mean', 'median'):
                r['cycle_%s_%s' % (how, figure)] = cycles.get((r['k'], how), {}).get(figure)
    return {r.pop('k'): r for r in funnels}


overall = summary("'all'")['all']
tap.table('overall', {k: overall[k] for k in KEYS}, ref['overall'], SIX)
for column in ('agent', 'manager', 'region', 'product', 'sector'):
    got = summary(column)
    tap.table('by ' + column, {k: {f: r[f] for f in KEYS} for k, r in got.items()}, ref['by_' + column], SIX)
    tap.table('by %s: mean_days_to_convert is the mean won cycle' % column,
              {k: r['mean_days_to_convert'] for k, r in got.items()},
              {k: r['cycle_won_mean'] for k, r in ref['by_' + column].items()}, harness.CENT)
    total = {f: sum(r[f] for r in got.values()) for f in ('n', 'won', 'lost', 'open', 'won_value')}
    tap.table('by %s: the groups add up to the whole' % column, total, {f: ref['overall'][f] for f in total})
tap.eq(db.value("select imputed(funnel_conversion(j, lc, as_of), 'prospecting') as n from subject, lc"), 8800 - 500,
       'prospecting is imputed for the 8,300 that were engaged')

# -- amounts -----------------------------------------------------------------------------------------------------------
t = db.row("""
    select t.* from (select funnel_conversion(j, lc, as_of, amount) as f from subject, lc) q, stages(f) t where stage = 'engaging'""")
tap.eq([t['amount_converted'], t['amount_lost']], [ref['overall']['won_value'], 0],
       'amounts won and lost (a lost deal has the value 0 here)')
tap.eq([t['amount_entered'], t['amount_rate']], [ref['overall']['won_value'], 1],
       'open deals have no value in this export: the amount rate says nothing here')
values = [float(d['close_value'] or 0) for d in deals if d['engage_date']]
tap.near(t['amount_n_effective'], sum(values) ** 2 / sum(x * x for x in values),
         'effective number of deals behind the amount', harness.CENT)
tap.table('decided rate and its Wilson limits', [t['decided_rate'], t['decided_low'], t['decided_high']],
          [4238 / 6711] + refstats.wilson(4238, 6711), SIX)
for name, by in (('by_close_quarter__won_lost_value', 'YYYY"Q"Q'), ('by_close_month__won_lost_value', 'YYYY-MM')):
    got = db.rows("""
        select to_char(ended_at, '%s') as k, count(*) filter (where outcome = 'won') as won,
          count(*) filter (where outcome = 'lost') as lost, coalesce(sum(amount) filter (where outcome = 'won'), 0) as value
        from attempt where outcome in ('won', 'lost') group by 1""" % by)
    tap.table(name, {r['k']: [r['won'], r['lost'], r['value']] for r in got}, ref[name])

# -- won and lost as competing risks -----------------------------------------------------------------------------------
date = lambda s: datetime.strptime(s, '%Y-%m-%d')
engaged = [d for d in deals if d['engage_date']]
times = [(date(d['close_date'] or AS_OF) - date(d['engage_date'])).days for d in engaged]
exits = [d['deal_stage'] if d['close_date'] else '' for d in engaged]
aj = refstats.aalen_johansen(times, exits, ('Won', 'Lost'))
VELOCITY = 'select stage_velocity(j, lc, as_of) as v from subject, lc'

DAYS = ('7', '14', '30', '60', '90', '120', '138')
got = {d: db.row("""
    select survival_at(v, 'engaging', a) as open, incidence_at(v, 'engaging', 'won', a) as "Won",
      incidence_at(v, 'engaging', 'lost', a) as "Lost"
    from (%s) q, (select interval '%s days') x(a)""" % (VELOCITY, d)) for d in DAYS}
tap.table('open, won, lost at 7 … 138 days (Aalen–Johansen)', got, ref['competing_risks_from_engage_asof_2017-12-31'],
          SIX)
at = lambda day: refstats.aj_at(aj, day)
tap.table('the same to 1e-9', got, {d: dict(at(int(d))[2], open=at(int(d))[1]) for d in DAYS}, 1e-9)
tap.ok(all(abs(sum(r.values()) - 1) < 1e-12 for r in got.values()), 'open + won + lost = 1 at each')
for exit in ('Won', 'Lost'):
    curve = db.rows("select %s as t, events, incidence from (%s) q, incidence_curve(v, 'engaging', '%s') order by age"
                    % (days('age'), VELOCITY, exit.lower()))
    left_at = {t for t, how in zip(times, exits) if how == exit}
    tap.table('the whole curve of ' + exit, {r['t']: r['incidence'] for r in curve if r['events']},
              {t: f[exit] for t, _, f in aj if t in left_at}, 1e-9)
for age, horizon in ((0, 30), (30, 30), (60, 60), (90, 30)):
    r = db.row("select p.* from (%s) q, exit_probability(v, 'engaging', 'won', '%d days', '%d days') p"
               % (VELOCITY, age, horizon))
    before, after = (at(age) or (0, 1, {'Won': 0})), at(age + horizon)
    tap.near(r['probability'], (after[2]['Won'] - before[2]['Won']) / before[1],
             'won within %d days, being open at %d' % (horizon, age), 1e-9)

# -- medians: naive, and with the open deals ---------------------------------------------------------------------------
median = lambda which: db.value("select %s as m from (select stage_velocity(j, lc, as_of) as v from subject, lc where %s) q"
                                % (days("median(v, 'engaging')"), which))
won, lost, everything = median("now_in = 'Won'"), median("now_in = 'Lost'"), median('true')
tap.eq([won, lost], [ref['overall']['cycle_won_median'], ref['overall']['cycle_lost_median']],
       'the Kaplan–Meier median of won (of lost) deals alone is the naive one')
tap.near(everything, harness.quantile(refstats.km(times, [bool(how) for how in exits]), 0.5),
         'the median stay of all deals, open ones included', 1e-9)
tap.ok(lost < won < everything,
       'which is longer than either: %s days; won only %s, lost only %s' % (everything, won, lost))
got = db.row("""
    select pending(v, 'engaging') as e, visits(v, 'engaging') as n, pending(v, 'prospecting') as p from (%s) q""" % VELOCITY)
tap.eq(got, {'e': ref['open_pipeline_engaging']['n'], 'n': 8300, 'p': 500}, 'open deals by stage')
got = db.row('select %s from span where exit is null' % harness.dist(days('duration')))
tap.table('age of the open deals', got, ref['open_pipeline_engaging']['age_days_asof_2017_12_31'], SIX)
tap.done()
