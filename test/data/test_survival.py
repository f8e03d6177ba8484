#!/usr/bin/env python3
"""lung, ovarian, aml: published survival analyses (SHARED/data/survival; the figures of R's survival package).

A subject with time t enters `alive` at as_of - t days; a death is a `dead` mark at as_of; a censored one is still
there. So one as_of serves all, and the whole pipeline (journey, lifecycle, stage_velocity) makes the survival table.
R's default limits are on the log scale (`limits => 'log'`), ours are log-log; all three scales are recomputed here to
1e-9.
"""
import harness
from harness import SIX, array, days, literal

tap, db, folder = harness.start('data/survival')
import refstats

ref = harness.reference(folder)
db.run("""
    create temp table lc as
      select lifecycle('survival', stages => '{alive}', lost => '{dead}') as lc, timestamptz '2020-01-01' as as_of;""")
EVERYONE = '*'
LIMITS = ('log', 'log-log', 'plain')


def load(table, subjects):
    """subjects: (days, died, group). Makes <table>: the summary v of each group g, and of everyone."""
    db.load(table + '_s', 'id int, t float8, died bool, g text', [(i,) + s for i, s in enumerate(subjects)])
    db.run("""
        create temp table {0} as
          with subject as (
            select id, g, journey(mark, at) as j
            from {0}_s, lc, lateral (values (1, as_of - t * interval '24 hours'), (2, case when died then as_of end)) m(mark, at)
            group by 1, 2)
          select g, stage_velocity(j, lc, as_of) as v from subject, lc group by g
          union all select '{1}', stage_velocity(j, lc, as_of) from subject, lc;""".format(table, EVERYONE))


def of(table, group, query):
    """Rows of a query upon the summary v of a group."""
    return db.rows('with summary as materialized (select v from %s where g = %s) %s' % (table, literal(group), query))


def quantile(table, group, p=0.5, limits='log'):
    figures = (days("quantile(v, 'alive', %s)" % p), days("quantile_low(v, 'alive', %s, 0.95, '%s')" % (p, limits)),
               days("quantile_high(v, 'alive', %s, 0.95, '%s')" % (p, limits)))
    return list(of(table, group, 'select %s as median, %s as lcl95, %s as ucl95 from summary' % figures)[0].values())


def median(table, group):
    """As in reference.json."""
    got, = of(table, group,
              "select visits(v, 'alive') as n, exits(v, 'alive', 'lost') as events, %s as median from summary"
              % days("median(v, 'alive')"))
    got['lcl95'], got['ucl95'] = quantile(table, group)[1:]
    return got


def curve(table, group, limits='log'):
    return of(table, group,
              "select %s as t, at_risk, events, censored, survival, std_error, low, high, bracket_low, bracket_high "
              "from summary, survival_curve(v, 'alive', 0.95, '%s') order by age" % (days('age'), limits))


def figures(curve):
    """As in reference.json: only where there are events."""
    return [[r[k] for k in ('t', 'at_risk', 'events', 'survival', 'std_error', 'low',
                            'high')] for r in curve if r['events']]


def log_rank(table, groups):
    got = db.row("select l.* from (select array_agg(v order by g) as vs from %s where g = any(%s)) q, log_rank(vs, 'alive') l"
                 % (table, array(groups)))
    return [got[k] for k in ('chi_square', 'df', 'p_value', 'observed', 'expected')]


def check(table, name, group, subjects):
    """Everything about a group, recomputed to 1e-9. Where S is 0, nothing else is defined."""
    times, died = [s[0] for s in subjects], [s[1] for s in subjects]
    for limits in LIMITS:
        want = harness.kaplan_meier(refstats, times, died, limits)
        tap.table('%s: curve with %s limits, to 1e-9' % (name, limits), figures(curve(table, group, limits)),
                  [list(r) for r in want], 1e-9)
        for p in (0.25, 0.5, 0.75):
            # The limits of a quantile: the same rule on the curve of the limit.
            tap.table('%s: quantile %s with %s limits' % (name, p, limits), quantile(table, group, p, limits),
                      [harness.quantile(want, p, column, max(times)) for column in (3, 5, 6)], 1e-9)
    got = curve(table, group)
    tap.table('%s: a row for each age with an event or a censoring' % name,
              {r['t']: [r['events'], r['censored']] for r in got},
              {t: [sum(u == t and d for u, d in zip(times, died)),
                   sum(u == t and not d for u, d in zip(times, died))] for t in times})
    tap.ok(all(r['bracket_low'] == r['survival'] == r['bracket_high'] for r in got), '%s: exact, so no bracket' % name)


def check_log_rank(table, name, subjects, published=None):
    got = log_rank(table, sorted({s[2] for s in subjects}))
    as_list = lambda w: [w[k] for k in ('chisq', 'df', 'p', 'observed', 'expected')]
    tap.table(name + ': log-rank to 1e-9', got, as_list(refstats.logrank(*zip(*subjects))), 1e-9)
    if published:
        tap.table(name + ': log-rank as published', got, as_list(published), SIX)


# -- lung: 228 patients ------------------------------------------------------------------------------------------------
want = ref['lung']
rows = refstats.read(folder + '/lung.csv')
by_sex = [(float(r['time']), r['status'] == '2', r['sex']) for r in rows]
by_ecog = [(float(r['time']), r['status'] == '2', r['ph.ecog']) for r in rows if r['ph.ecog'] in ('0', '1', '2', '3')]
load('lung_sex', by_sex)
load('lung_ecog', by_ecog)
tap.table('lung: median and log limits', median('lung_sex', EVERYONE), want['overall'])
got, = of('lung_sex', EVERYONE, 'select %s from summary' % ', '.join(
    "survival_at(v, 'alive', interval '24 hours' * %s) as \"%s\"" % (day, day) for day in want['S']))
tap.table('lung: S at 90 … 1000 days', got, want['S'], SIX)
km = lambda subjects: refstats.km([s[0] for s in subjects], [s[1] for s in subjects])
tap.table('lung: S to 1e-9', got, {day: refstats.km_at(km(by_sex), float(day)) for day in want['S']}, 1e-9)
for table, key in (('lung_sex', 'by_sex'), ('lung_ecog', 'by_ph_ecog')):
    for group, w in want[key].items():
        tap.table('lung %s, %s: median and log limits' % (key, group), median(table, group), w)
check('lung_sex', 'lung', EVERYONE, by_sex)
check('lung_sex', 'lung, men', '1', [s for s in by_sex if s[2] == '1'])
check('lung_ecog', 'lung, ph.ecog 2', '2', [s for s in by_ecog if s[2] == '2'])
check('lung_ecog', 'lung, ph.ecog 3 (one patient)', '3', [s for s in by_ecog if s[2] == '3'])
check_log_rank('lung_sex', 'lung by sex', by_sex, want['logrank_sex'])
check_log_rank('lung_ecog', 'lung by ph.ecog, four groups', by_ecog)


def restricted(table, group, tau=None):
    got, = of(table, group,
              "select %s as mean, %s as std_error, %s as tau from summary, restricted_mean(v, 'alive'%s) m"
              % (days('m.mean'), days('m.std_error'), days('m.tau_used'),
                 '' if tau is None else ", interval '24 hours' * %d" % tau))
    return got


for group, mean in want['rmean730_by_ph_ecog'].items():
    name = 'lung, ph.ecog %s: restricted mean to 730 days' % group
    got = restricted('lung_ecog', group, 730)
    tap.near(got['mean'], mean, name)
    tap.eq([round(got['mean']), got['tau']], [want['published']['rmean730'][group], 730], name + ', as published')
    recomputed = harness.restricted_mean(km([s for s in by_ecog if s[2] == group]), 730.0)
    # An interval has microseconds, 1.2e-11 days.
    tap.table(name + ' and its standard error, to 1e-9', [got['mean'], got['std_error']], recomputed, 1e-9)
tap.table('lung: restricted mean by default to the last observed time', restricted('lung_sex', EVERYONE),
          dict(zip(('mean', 'std_error'), harness.restricted_mean(km(by_sex), 1022.0)), tau=1022), 1e-9)
too_far = "select restricted_mean(v, 'alive', interval '24 hours' * 1500) from lung_sex where g = '%s'" % EVERYONE
tap.eq(db.sqlstate(too_far), '22023',
       'lung: no restricted mean past the last observed time')

# -- ovarian: 26 patients ----------------------------------------------------------------------------------------------
want = ref['ovarian']
by_rx = [(float(r['futime']), r['fustat'] == '1', r['rx']) for r in refstats.read(folder + '/ovarian.csv')]
load('ovarian', by_rx)
tap.table('ovarian: median and log limits', median('ovarian', EVERYONE), want['overall'])
tap.table('ovarian: the published curve', figures(curve('ovarian', EVERYONE)), want['curve'], SIX)
check('ovarian', 'ovarian', EVERYONE, by_rx)
for group, w in want['by_rx'].items():
    tap.table('ovarian, rx %s: median and log limits' % group, median('ovarian', group), w)
    check('ovarian', 'ovarian, rx ' + group, group, [s for s in by_rx if s[2] == group])
check_log_rank('ovarian', 'ovarian by rx', by_rx, want['logrank_rx'])

# -- aml: 23 patients --------------------------------------------------------------------------------------------------
want = ref['aml']
by_x = [(float(r['time']), r['cens'] == '1', {'1': 'Maintained', '2': 'Nonmaintained'}[r['group']])
        for r in refstats.read(folder + '/aml.csv')]
load('aml', by_x)
for group, w in want['by_x'].items():
    tap.table('aml, %s: median and log limits' % group, median('aml', group), w)
    tap.table('aml, %s: the published curve' % group, figures(curve('aml', group)), want['curves'][group], SIX)
    check('aml', 'aml, ' + group, group, [s for s in by_x if s[2] == group])
check_log_rank('aml', 'aml', by_x, want['logrank_x'])

# -- plateaus and ties -------------------------------------------------------------------------------------------------
load('plateau', [(1.0, True, 'next'), (3.0, True, 'next'), (6.0, True, 'next'), (8.0, True, 'next'),
                 (2.0, True, 'last'), (5.0, False, 'last'),
                 (1.0, True, 'tie'), (1.0, False, 'tie'), (1.0, False, 'tie'), (4.0, True, 'tie')])
got = {r['g']: [r['midpoint'], r['min']] for r in db.rows("select g, %s as midpoint, %s as min from plateau" % (
    days("median(v, 'alive')"), days("quantile(v, 'alive', 0.5, 'min')")))}
tap.eq(got['next'], [4.5, 3.0], 'S is exactly 0.5 from 3 to the next event at 6: the midpoint, or 3 by min')
tap.eq(got['last'], [3.5, 2.0], 'S is exactly 0.5 from 2 to the last observed time, 5: the midpoint, or 2 by min')
tap.eq(got['tie'], [4.0, 4.0], 'events before censorings at one time: 1 of 4 leaves at 1, so the median is 4')
tap.done()
