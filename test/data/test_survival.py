#!/usr/bin/env python3
"""lung, ovarian, aml: published survival analyses (SHARED/data/survival; the figures of R's survival package).

A subject with time t enters `alive` at as_of - t days; a death is a `dead` mark at as_of; a censored one is still there. So one
as_of serves all, and the extension's own pipeline (journey, lifecycle, stage_velocity) makes the survival table. R's default limits
are on the log scale (`limits => 'log'`); ours default to log-log. All three scales are recomputed here to 1e-9.
"""
import math
import harness
from harness import days

tap, db, folder = harness.start('data/survival')
import refstats
ref = harness.reference(folder)

AS_OF = '2020-01-01'
db.run("create temp table lc as select lifecycle('survival', stages => '{alive}', lost => '{dead}') as lc, timestamptz '%s' as as_of;" % AS_OF)


def load(table, subjects):
    """subjects: (time, died, group). Makes <table> (g, v): a summary for each group, and one for all with g = '*'."""
    db.load(table + '_s', 'id int, t float8, died bool, g text', [(i, t, died, g) for i, (t, died, g) in enumerate(subjects)])
    db.run("""create temp table {0} as select g, stage_velocity(j, lc, as_of) as v from (
        select id, s.g, journey(mark, at) as j from (select id, case when k = 2 then g else '*' end as g, t, died from {0}_s, generate_series(1, 2) k) s, lc,
          lateral (values (1, as_of - t * interval '24 hours'), (2, case when died then as_of end)) m(mark, at) group by 1, 2) x, lc group by g;""".format(table))


def median(table, group, limits='log', p=0.5):
    r = db.row("select visits(v, 'alive') as n, exits(v, 'alive') as events, %s as median, %s as lcl95, %s as ucl95 from %s where g = %s" % (
        days("quantile(v, 'alive', %s)" % p), days("quantile_low(v, 'alive', %s, 0.95, '%s')" % (p, limits)), days("quantile_high(v, 'alive', %s, 0.95, '%s')" % (p, limits)), table, harness.literal(group)))
    if p == 0.5:
        same = db.value("select median(v, 'alive') is not distinct from quantile(v, 'alive', 0.5) as same from %s where g = %s" % (table, harness.literal(group)))
        if not same:
            tap.ok(False, 'median() is the 0.5 quantile of %s %s' % (table, group))
    return r


def curve(table, group, limits='log'):
    return db.rows("select %s as t, at_risk, events, censored, survival, std_error, low, high, bracket_low, bracket_high from %s, survival_curve(v, 'alive', 0.95, '%s') where g = %s order by age"
                   % (days('age'), table, limits, harness.literal(group)))


def check(table, name, group, subjects):
    """Everything about one group, recomputed to 1e-9."""
    t, e = [s[0] for s in subjects], [s[1] for s in subjects]
    for limits in ('log', 'log-log', 'plain'):
        want = harness.kaplan_meier(refstats, t, e, limits)
        got = curve(table, group, limits)
        tap.table('%s: curve, %s limits, to 1e-9' % (name, limits), [[r['t'], r['at_risk'], r['events'], r['survival'], r['std_error'], r['low'], r['high']] for r in got if r['events']],
                  [list(r) for r in want], 1e-9)
        if limits == 'log':
            tap.table('%s: a row for each age with an event or a censoring' % name, {r['t']: [r['events'], r['censored']] for r in got},
                      {x: [sum(1 for a, b in zip(t, e) if a == x and b), sum(1 for a, b in zip(t, e) if a == x and not b)] for x in set(t)})
            tap.ok(all(r['bracket_low'] == r['survival'] == r['bracket_high'] for r in got), '%s: exact, so no bracket' % name)
        for p in (0.25, 0.5, 0.75):
            m = median(table, group, limits, p)
            # The limits of a quantile: the same rule on the curve of the limit.
            tap.table('%s: quantile %s and its %s limits' % (name, p, limits), [m['median'], m['lcl95'], m['ucl95']],
                      [harness.quantile(want, p, 3, max(t)), harness.quantile(want, p, 5, max(t)), harness.quantile(want, p, 6, max(t))], 1e-9)


def log_rank(table, groups):
    r = db.row("select (l).* from (select log_rank(array_agg(v order by g), 'alive') as l from %s where g = any(%s)) x" % (table, harness.array(groups)))
    return [r['chi_square'], r['df'], r['p_value'], r['observed'], r['expected']]


def check_log_rank(table, name, subjects, want6):
    groups = sorted({s[2] for s in subjects})
    got = log_rank(table, groups)
    w = refstats.logrank(*zip(*subjects))
    tap.table(name + ': log-rank to 1e-9', got, [w['chisq'], w['df'], w['p'], w['observed'], w['expected']], 1e-9)
    tap.table(name + ': log-rank as published', got, [want6['chisq'], want6['df'], want6['p'], want6['observed'], want6['expected']], harness.SIX)


# -- lung: 228 patients ----------------------------------------------------------------------------------------------
rows = refstats.read(folder + '/lung.csv')
sex = [(float(r['time']), r['status'] == '2', r['sex']) for r in rows]
ecog = [(float(r['time']), r['status'] == '2', r['ph.ecog']) for r in rows if r['ph.ecog'] in ('0', '1', '2', '3')]
load('lung_sex', sex)
load('lung_ecog', ecog)
want = ref['lung']
tap.table('lung: median and log limits', median('lung_sex', '*'), want['overall'])
got = db.row("select %s from lung_sex where g = '*'" % ', '.join("survival_at(v, 'alive', interval '24 hours' * %s) as \"%s\"" % (d, d) for d in want['S']))
tap.table('lung: S at 90 … 1000 days', got, want['S'], harness.SIX)
k = refstats.km([s[0] for s in sex], [s[1] for s in sex])
tap.table('lung: S to 1e-9', got, {d: refstats.km_at(k, float(d)) for d in want['S']}, 1e-9)
for table, name, key, data in (('lung_sex', 'lung by sex', 'by_sex', sex), ('lung_ecog', 'lung by ph.ecog', 'by_ph_ecog', ecog)):
    for g in sorted({s[2] for s in data}):
        tap.table('%s %s: median and log limits' % (name, g), median(table, g), want[key][g])
check('lung_sex', 'lung', '*', sex)
check('lung_sex', 'lung, men', '1', [s for s in sex if s[2] == '1'])
check('lung_ecog', 'lung, ph.ecog 2', '2', [s for s in ecog if s[2] == '2'])
check('lung_ecog', 'lung, ph.ecog 3 (one patient)', '3', [s for s in ecog if s[2] == '3'])
check_log_rank('lung_sex', 'lung by sex', sex, want['logrank_sex'])
w = refstats.logrank(*zip(*ecog))
tap.table('lung by ph.ecog, four groups: log-rank to 1e-9', log_rank('lung_ecog', ['0', '1', '2', '3']), [w['chisq'], w['df'], w['p'], w['observed'], w['expected']], 1e-9)
published = want['published']
for g in ('0', '1', '2', '3'):
    data = [s for s in ecog if s[2] == g]
    k = refstats.km([s[0] for s in data], [s[1] for s in data])
    r = db.row("select %s as mean, %s as tau, %s as se from lung_ecog, restricted_mean(v, 'alive', interval '24 hours' * 730) m where g = '%s'" % (days('m.mean'), days('m.tau_used'), days('m.std_error'), g))
    tap.near(r['mean'], want['rmean730_by_ph_ecog'][g], 'lung, ph.ecog %s: restricted mean to 730 days' % g)
    tap.near(r['mean'], harness.restricted_mean(k, 730.0), 'lung, ph.ecog %s: to 1e-9' % g, 1e-9)
    tap.eq((round(r['mean']), r['tau']), (published['rmean730'][g], 730), 'lung, ph.ecog %s: as published' % g)
tap.eq(db.sqlstate("select restricted_mean(v, 'alive', interval '24 hours' * 1500) from lung_sex where g = '*'") is not None, True, 'lung: no restricted mean past the last observed time')
r = db.row("select %s as mean, %s as tau from lung_sex, restricted_mean(v, 'alive') m where g = '*'" % (days('m.mean'), days('m.tau_used')))
k = refstats.km([s[0] for s in sex], [s[1] for s in sex])
tap.table('lung: by default to the last observed time', r, {'mean': harness.restricted_mean(k, 1022.0), 'tau': 1022}, 1e-9)

# -- ovarian: 26 patients --------------------------------------------------------------------------------------------
rows = refstats.read(folder + '/ovarian.csv')
data = [(float(r['futime']), r['fustat'] == '1', r['rx']) for r in rows]
load('ovarian', data)
want = ref['ovarian']
tap.table('ovarian: median and log limits', median('ovarian', '*'), want['overall'])
tap.table('ovarian: the published curve', [[r['t'], r['at_risk'], r['events'], r['survival'], r['std_error'], r['low'], r['high']] for r in curve('ovarian', '*') if r['events']], want['curve'], harness.SIX)
for g in ('1', '2'):
    tap.table('ovarian, rx %s: median and log limits' % g, median('ovarian', g), want['by_rx'][g])
    check('ovarian', 'ovarian, rx ' + g, g, [s for s in data if s[2] == g])
check('ovarian', 'ovarian', '*', data)
check_log_rank('ovarian', 'ovarian by rx', data, want['logrank_rx'])

# -- aml: 23 patients ------------------------------------------------------------------------------------------------
rows = refstats.read(folder + '/aml.csv')
data = [(float(r['time']), r['cens'] == '1', {'1': 'Maintained', '2': 'Nonmaintained'}.get(r['group'], r['group'])) for r in rows]
load('aml', data)
want = ref['aml']
for g in ('Maintained', 'Nonmaintained'):
    tap.table('aml, %s: median and log limits' % g, median('aml', g), want['by_x'][g])
    got = [[r['t'], r['at_risk'], r['events'], r['survival'], r['std_error'], r['low'], r['high']] for r in curve('aml', g) if r['events']]
    tap.table('aml, %s: the published curve (nothing but S = 0 is defined where S is 0)' % g, got, want['curves'][g], harness.SIX)
    check('aml', 'aml, ' + g, g, [s for s in data if s[2] == g])
check_log_rank('aml', 'aml', data, want['logrank_x'])

# -- a plateau at exactly one half -----------------------------------------------------------------------------------
load('plateau', [(1.0, True, 'a'), (3.0, True, 'a'), (6.0, True, 'a'), (8.0, True, 'a'), (2.0, True, 'b'), (5.0, False, 'b'), (1.0, True, 'c'), (1.0, False, 'c'), (1.0, False, 'c'), (4.0, True, 'c')])
r = {x['g']: [x['m'], x['f']] for x in db.rows("select g, %s as m, %s as f from plateau where g <> '*'" % (days("median(v, 'alive')"), days("quantile(v, 'alive', 0.5, 'min')")))}
tap.eq(r['a'], [4.5, 3.0], 'S = 0.5 from 3 to 6: the midpoint; min: 3')
tap.eq(r['b'], [3.5, 2.0], 'S = 0.5 from 2 to the last observed time, 5: the midpoint')
tap.eq(r['c'], [4.0, 4.0], 'events before censorings at one time: 3 of 3 at risk at 1, so the median is 4')
tap.done()
