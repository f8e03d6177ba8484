#!/usr/bin/env python3
"""Funnel cases transcribed from the tests of ClickHouse, Doris, DuckDB, Pinot, StarRocks and PostHog (SHARED/vectors/funnel).

Asserted: every row marked agrees_exact, and PostHog's ordered funnels without exclusions; whatever the order of the
rows, the plan, and the path that the rows take (journeys, packs, pieces united). What is left out is counted and
printed, with the reason.

How a case becomes a history: each distinct set of steps that a row can satisfy is one mark id; the lifecycle's `marks`
list for each step the ids whose set holds it; a row that satisfies no step gets an id that the lifecycle does not name.
Rows that are the same are distinct events there and one mark here (a history is a set), so each row carries its number
as value. The last step is an open stage, not a won one, since nothing ends an attempt in those systems.
"""
import collections
import glob
import json
import os
import random
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
import harness
from harness import literal

tap, db, folder = harness.start('vectors/funnel')

SECOND, DAY = 10**6, 86400 * 10**6
UNIT = {'us': 1, 'ms': 1000, 's': SECOND, 'day': DAY}
NO_STEP = 30000                 # the mark of a row that satisfies no step
ABSENT = 20000                  # + step: the mark of a step that no row satisfies
LONGEST = 250 * 366 * DAY       # a window beyond what dates can hold is no window
FAR = "timestamptz '2400-01-01'"


def instant(usecs):
    return "timestamptz '1970-01-01' + interval '1 microsecond' * %d" % usecs


class Case:
    """One funnel: a strict lifecycle, a history for each person, and how many persons reach each step (None: not asserted)."""

    def __init__(self, id, nsteps, window, increasing, people, expect, unit=SECOND, entry_range=None, as_of=FAR):
        self.id, self.nsteps, self.expect, self.as_of = id, nsteps, expect, as_of
        self.within = None if window is None or window * unit > LONGEST else window * unit
        self.increasing, self.entry_range = increasing, entry_range
        # Numbers that are no dates (ClickHouse's 64-bit timestamps) are counted from the first: only distances matter.
        first = min(row[0] for rows in people.values() for row in rows)
        self.base = first if first * unit > LONGEST else 0
        self.people = {name: [(round((row[0] - self.base) * unit), tuple(sorted(set(row[1])))) for row in rows]
                       for name, rows in people.items()}
        sets = sorted({steps for rows in self.people.values() for _, steps in rows if steps})
        self.ids = {steps: i + 1 for i, steps in enumerate(sets)}
        self.shares_marks = any(len(steps) > 1 for steps in sets)

    def marks_of(self, step):
        return [i for steps, i in self.ids.items() if step in steps] or [ABSENT + step]

    def lifecycle(self, variant='plain'):
        """As SQL. The variants mean the same and make the kernel take its other ways:
        `shared` adds to the first and the last step a mark that nobody has, `step_within` a step window that never closes."""
        lists = [self.marks_of(step) for step in range(1, self.nsteps + 1)]
        options = []
        if variant == 'shared':
            lists = [ids + [ABSENT] if i in (0, self.nsteps - 1) else ids for i, ids in enumerate(lists)]
        if variant == 'step_within':
            options.append("step_within => array_fill(interval '500 years', array[%d])" % self.nsteps)
        if self.within is not None:
            options.append("within => interval '1 microsecond' * %d" % self.within)
        if self.entry_range is not None:
            options.append('entry_range => tstzrange(%s, %s)' % tuple(instant(x) for x in self.entry_range))
        return "lifecycle(%s)" % ', '.join(
            [literal(self.id), 'stages => ' + harness.array('s%d' % i for i in range(1, self.nsteps + 1)),
             'marks => ' + harness.array(' '.join(map(str, ids)) for ids in lists), "skip => 'strict'",
             "times => '%s'" % ('increasing' if self.increasing else 'nondecreasing')] + options)

    def rows(self):
        """(person, mark, microseconds, row number)"""
        for name, rows in self.people.items():
            for n, (at, steps) in enumerate(rows):
                yield name, self.ids[steps] if steps else NO_STEP, at, n


# -- the cases ---------------------------------------------------------------------------------------------------------
cases = []
left_out = collections.Counter()


def read(path):
    with open(path, encoding='utf-8') as f:
        return [json.loads(line) for line in f if line.strip()]


def why_not(c, path):
    """Why a row is not asserted, or None."""
    if c.get('agrees_exact') is True:
        return None
    if 'superseded' in path:
        what = 'a draft that was superseded'
    elif c['modes']:
        what = 'mode ' + ' + '.join(c['modes'])
    elif c['fn'] != 'window_funnel':
        what = c['fn']
    else:
        what = 'one row is used for several steps'
    return '%s (agrees_exact is %s)' % (what, json.dumps(c.get('agrees_exact')))


for system in ('clickhouse', 'doris', 'duckdb_behavioral', 'pinot', 'starrocks'):
    before = len(cases)
    for path in sorted(glob.glob(os.path.join(folder, system, '*.jsonl'))):
        for c in read(path):
            reason = why_not(c, path)
            if reason:
                left_out[(system, reason)] += 1
                continue
            # strict_once: a row serves one step only. That is the definition here, always.
            assert c['fn'] == 'window_funnel' and set(c['modes']) <= {'strict_increase', 'increase',
                                                                      'strict_once'}, c['id']
            cases.append(Case(c['id'], c['nsteps'], c['window'],
                              bool({'strict_increase', 'increase'} & set(c['modes'])),
                              {'u': c['rows']}, [1] * c['expect'] + [0] * (c['nsteps'] - c['expect']), UNIT[c['unit']]))
    tap.ok(len(cases) > before, '%s: %d cases must match' % (system, len(cases) - before))
tap.eq(len(cases), 137, 'rows marked agrees_exact in all')

posthog = []
for c in read(os.path.join(folder, 'posthog', 'cases.jsonl')):
    if c['order'] != 'ordered':
        left_out[('posthog', 'order strict: any other row between steps breaks the chain')] += 1
    elif any(step < 0 for rows in c['people'].values() for row in rows for step in row[1]):
        left_out[('posthog', 'exclusion steps')] += 1
    else:
        posthog.append(c)
        cases.append(Case(c['id'], c['nsteps'], c['window'], False, c['people'], c['expect_counts'],
                          entry_range=(c['entry_from'] * SECOND, c['entry_to'] * SECOND) if 'entry_from' in c else None,
                          as_of=instant(c['as_of'] * SECOND) if 'as_of' in c else FAR))
tap.eq(len(posthog), 27, 'PostHog: ordered funnels without exclusions')

for (system, reason), n in sorted(left_out.items()):
    tap.say('left out: %s, %d rows: %s' % (system, n, reason))
tap.say('no window where the given one is beyond any date: %s' % ', '.join(c.id for c in cases if c.within is None))
tap.say('counted from the first row, being no dates: %s' % ', '.join(c.id for c in cases if c.base))

# -- the tables --------------------------------------------------------------------------------------------------------
# Parallel workers must be able to read them, so they are no temporary ones but in a schema of this run's own. Few rows
# on a page, so that every worker gets some of most histories; n_distinct, so that partial aggregation looks worth its
# while.
schema = 'revacct_vectors_%d' % os.getpid()
db.run('create schema %s;' % schema)
db.run('set search_path = revacct, %s, public;' % schema)
VARIANTS = {'plain': cases, 'shared': [c for c in cases if c.nsteps > 1],
            'step_within': [c for c in cases if not c.shares_marks]}
number = {c.id: n for n, c in enumerate(cases)}
db.run('create table %s.def (variant text, no int, id text, lc lifecycle, as_of timestamptz);' % schema)
db.run('insert into def values\n%s;' % ',\n'.join(
    "('%s', %d, %s, %s, %s)" % (variant, number[c.id], literal(c.id), c.lifecycle(variant), c.as_of)
    for variant, some in VARIANTS.items() for c in some))
persons, rows = [], []
for c in cases:
    subject = {name: len(persons) + i for i, name in enumerate(c.people)}
    persons += [(i, number[c.id], name) for name, i in subject.items()]
    rows += [(subject[name], mark, at, n) for name, mark, at, n in c.rows()]
db.load(schema + '.person', 'subject int, no int, name text', persons, 'create unlogged table')

SPREAD = 'with (fillfactor = 10, parallel_workers = 4)'
ORDERS = ('file order', 'shuffled', 'shuffled again')
shuffler = random.Random(20250131)
for k, order in enumerate(ORDERS):
    if k:
        shuffler.shuffle(rows)
    db.load('%s.raw%d' % (schema, k), 'subject int, mark int, us bigint, value bigint', rows, 'create unlogged table')
    db.run("""
        create unlogged table {s}.event{k} (subject int, mark int, at timestamptz, value bigint) {spread};
        insert into event{k} select subject, mark, timestamptz '1970-01-01' + interval '1 microsecond' * us, value from raw{k};
        alter table event{k} alter column subject set (n_distinct = 20);
        analyze event{k};""".format(s=schema, k=k, spread=SPREAD))


def histories(table, fold):
    """A table of the journeys that a query (subject, j) makes, with what each is to be read by."""
    db.run("""
        drop table if exists {s}.{t};
        create unlogged table {s}.{t} {spread} as
          select d.no, f.subject, p.name, f.j, d.lc, d.as_of from ({fold}) f join person p using (subject)
            join def d on d.no = p.no and d.variant = 'plain';
        alter table {t} alter column no set (n_distinct = 5);
        analyze {t};""".format(s=schema, t=table, spread=SPREAD, fold=fold))


def counts(query):
    """How many reach each step, by case, from a query (no, f)."""
    return {r['id']: r['counts'] for r in db.rows("""
        select d.id, (select array_agg(t.entered order by t.stage_no) from stages(q.f) t) as counts
        from (%s) q join def d on d.no = q.no and d.variant = 'plain'""" % query)}


def wrong(got, some=cases):
    """What is not as expected."""
    return ['%s: got %s, expected %s' % (c.id, got.get(c.id), c.expect)
            for c in some if not matches(got.get(c.id), c.expect)]


def matches(got, expect):
    return got is not None and len(got) == len(expect) and all(w is None or g == w for g, w in zip(got, expect))


def verdict(text, got, some=cases):
    bad = wrong(got, some)
    return tap.ok(not bad and len(got) == len(some), '%s (%d cases)' % (text, len(some)), *bad[:20])


# -- one by one --------------------------------------------------------------------------------------------------------
histories('j', 'select subject, journey(mark, at, value) as j from event0 group by 1')
plain = counts('select no, funnel_conversion(j, lc, as_of) as f from j group by 1')
for c in cases:
    tap.ok(matches(plain.get(c.id), c.expect), '%s: %s' % (c.id, c.expect), 'got %s' % plain.get(c.id),
           'rows %s' % c.people,
           'within %s, %s' % (c.within, 'increasing' if c.increasing else 'nondecreasing'))

# The kernel has three ways to find a chain: for marks of one step each, for shared marks, and for step windows.
for variant in ('shared', 'step_within'):
    verdict("the kernel's way for %s" % variant.replace('_', ' '), counts("""
        select no, funnel_conversion(j.j, d.lc, j.as_of) as f from j join def d using (no)
        where d.variant = '%s' group by no""" % variant),
        VARIANTS[variant])

attempts = db.rows("""
    select j.no, j.name, a.attempt_no, a.stage_no, a.imputed, a.status, extract(epoch from a.entered_at) * 1000000 as at
    from j, funnel_attempts(j.j, j.lc, j.as_of) a where a.counted order by j.no, j.name, a.stage_no""")
chains = collections.defaultdict(list)
for r in attempts:
    chains[(r['no'], r['name'])].append(r)
level = {c.id: {name: len(chains[(number[c.id], name)]) for name in c.people} for c in cases}
bad = wrong({id: [sum(l >= step for l in who.values()) for step in range(1, cases[number[id]].nsteps + 1)] for id,
             who in level.items()})
tap.ok(not bad, 'funnel_attempts() finds the same levels', *bad)


def is_chain(c, name, chain):
    """Does it follow the definition: distinct rows of that person, one for each step, in order, within the window?"""
    at = [round(r['at']) for r in chain]
    rows = c.people[name]
    taken = {}                                  # row number -> step

    def assign(step, tried):
        """Find a row for a step, moving other steps' rows if that helps."""
        for n, (t, steps) in enumerate(rows):
            if t == at[step - 1] and step in steps and n not in tried:
                tried.add(n)
                if n not in taken or assign(taken[n], tried):
                    taken[n] = step
                    return True
        return False

    return (all(assign(step, set()) for step in range(1, len(chain) + 1))
            and all(a < b if c.increasing else a <= b for a, b in zip(at, at[1:]))
            and (c.within is None or at[-1] - at[0] <= c.within)
            and [r['stage_no'] for r in chain] == list(range(1, len(chain) + 1))
            and len({r['attempt_no'] for r in chain}) == 1
            and not any(r['imputed'] for r in chain)
            and [r['status'] == 'converted' for r in chain] == [True] * (len(chain) - 1) + [False])


bad = ['%s %s: %s' % (cases[no].id, name, chain) for (no, name), chain in chains.items()
       if chain and not is_chain(cases[no], name, chain)]
tap.ok(not bad,
       'each of the %d chains is one: steps in order, at times of rows that satisfy them, within the window' % len(chains), *bad[:10])

# -- whatever the order of the rows and the plan -----------------------------------------------------------------------
SETTINGS = """
set parallel_setup_cost = 0; set parallel_tuple_cost = 0; set min_parallel_table_scan_size = 0;
set parallel_leader_participation = %s; set max_parallel_workers_per_gather = %d; set enable_hashagg = %s; set enable_sort = %s;"""
NODE = {'hash': 'HashAggregate', 'sorted': 'GroupAggregate'}


def planned(text, query, workers, kind):
    """Is the plan the one that is to be tried?"""
    plan = db.plan(query)
    other = NODE['sorted' if kind == 'hash' else 'hash']
    if workers:
        good = all(s in plan for s in ('Workers Planned: %d' % workers, 'Partial ' + NODE[kind],
                                       'Finalize ' + NODE[kind]))
    else:
        good = NODE[kind] in plan and 'Gather' not in plan
    tap.ok(good and other not in plan, '%s: planned so' % text, plan)


def image(type_name, expression):
    """A value's bytes, as its type sends them."""
    return '%s(%s)' % (db.value("select typsend::text as f from pg_type where oid = 'revacct.%s'::regtype" % type_name),
                       expression)


FUNNEL = 'select no, funnel_conversion(j, lc, as_of) as f from x group by no'
PACK = 'select no, journey_pack(subject::bigint, j) as p from x group by no'
images = {'journeys': "select string_agg(md5(%s), '' order by subject) as v from x" % image('journey', 'j'),
          'packs': "select string_agg(md5(%s), '' order by no) as v from (%s) q" % (image('journey_pack', 'p'), PACK),
          'summaries': "select string_agg(md5(%s), '' order by no) as v from (%s) q"
                       % (image('funnel_summary', 'f'), FUNNEL)}
seen = {what: {} for what in images}
for k, order in enumerate(ORDERS):
    for workers in (0, 2, 4):
        for kind in ('hash', 'sorted'):
            name = '%s, %d workers, %s' % (order, workers, kind)
            db.run(SETTINGS % ('off' if workers else 'on', workers, 'on' if kind == 'hash' else 'off',
                               'off' if kind == 'hash' else 'on'))
            fold = 'select subject, journey(mark, at, value) as j from event%d group by subject' % k
            planned(name + ', journeys', fold, workers, kind)
            histories('x', fold)
            planned(name + ', funnels', FUNNEL, workers, kind)
            verdict(name + ': funnels of journeys', counts(FUNNEL))
            planned(name + ', packs', PACK, workers, kind)
            verdict(name + ': funnels of packs', counts("""
                select no, funnel_conversion(q.p, d.lc, d.as_of) as f from (%s) q join def d using (no)
                where d.variant = 'plain' group by no""" % PACK))
            for what, query in images.items():
                seen[what][name] = db.value(query)
for what, values in seen.items():
    tap.ok(len(set(values.values())) == 1 and None not in values.values(),
           'the same %s, bit for bit, in all %d' % (what, len(values)), values)
launched = [line.strip() for line in db.run('explain (analyze, costs off, timing off) %s;' % FUNNEL) if 'Workers' in line]
tap.say('at the last of them: ' + ', '.join(launched))
db.settings()
db.run('set search_path = revacct, %s, public;' % schema)

# -- pieces united -----------------------------------------------------------------------------------------------------
verdict('rollup of journeys in three pieces', counts("""
    select d.no, funnel_conversion(r.j, d.lc, d.as_of) as f
    from (select subject, rollup(j) as j
          from (select subject, value % 3, journey(mark, at, value) as j from event1 group by 1, 2) piece group by 1) r
      join person using (subject) join def d on d.no = person.no and d.variant = 'plain' group by 1"""))
verdict('rollup of funnel summaries of two halves of the people', counts("""
    select no, rollup(f) as f
    from (select no, subject % 2, funnel_conversion(j, lc, as_of) as f from j group by 1, 2) half group by 1"""))
verdict('rollup of packs of two halves of the people', counts("""
    select d.no, funnel_conversion(r.p, d.lc, d.as_of) as f
    from (select no, rollup(p) as p from (select no, subject % 2, journey_pack(subject::bigint, j) as p from j group by 1, 2) half
          group by 1) r
      join def d on d.no = r.no and d.variant = 'plain' group by 1"""))

# Straight from events a pack takes no values, so rows that are the same are one mark: then a level may fall, never
# rise.
got = counts("""
    select d.no, funnel_conversion(r.p, d.lc, d.as_of) as f
    from (select no, journey_pack(subject::bigint, mark, at) as p from event2 join person using (subject) group by 1) r
      join def d on d.no = r.no and d.variant = 'plain' group by 1""")
distinct = [c for c in cases if all(len(set(rows)) == len(rows) for rows in c.people.values())]
bad = wrong(got, distinct)
tap.ok(not bad, 'packs straight from events (%d cases without identical rows)' % len(distinct), *bad)
others = [c for c in cases if c not in distinct]
fewer = [c for c in others if not matches(got[c.id], c.expect)]
tap.ok(all(g <= w for c in fewer for g, w in zip(got[c.id], c.expect)),
       'identical rows without a value are one mark: %d of %d such cases get a lower level' % (len(fewer), len(others)))
tap.say(*['%s: level %d, with values %d' % (c.id, sum(got[c.id]), sum(c.expect)) for c in fewer])

# -- PostHog: who, and how long ----------------------------------------------------------------------------------------
for c in posthog:
    for step, who in c['expect_at_step'].items():
        tap.eq(sorted(name for name, l in level[c['id']].items() if l >= int(step)), sorted(who),
               '%s: who reached step %s' % (c['id'], step))

# The mean is given in days to two decimals, so a second there is a day here.
for c in posthog:
    means = {i: v for i, v in enumerate(c['expect_avg_conversion'] or []) if v is not None}
    if 'expect_avg_time_0_1' in c:
        means[1] = c['expect_avg_time_0_1']
    medians = {i: v for i, v in enumerate(c['expect_median_conversion'] or []) if v is not None}
    if not means and not medians:
        continue
    slow = Case(c['id'], c['nsteps'], None, False, c['people'], None, DAY)
    lc = slow.lifecycle()[:-1] + ", within => interval '24 hours' * %d)" % c['window']
    db.run('drop table if exists slow_event, slow;')
    names = list(slow.people)
    db.load('slow_event', 's int, mark int, day bigint, value bigint',
            [(names.index(p), m, at // DAY, n) for p, m, at, n in slow.rows()])
    db.run("""create temp table slow as
        select s, journey(mark, timestamptz '1970-01-01' + interval '24 hours' * day, value) as j from slow_event group by s;""")
    mean = {r['stage_no']: r['mean'] for r in db.rows("""
        select t.stage_no, t.mean_days_to_convert as mean
        from (select funnel_conversion(j, %s, '9000-01-01') as f from slow) q, stages(f) t""" % lc)}
    median = {r['stage_no']: r['median'] for r in db.rows("""
        select stage_no, percentile_cont(0.5) within group (order by %s) as median
        from slow, funnel_attempts(j, %s, '9000-01-01') where counted and status = 'converted' group by 1
        """ % (harness.days('converted_at - entered_at'), lc))}
    if means:
        tap.table('%s: mean time from a step to the next' % c['id'], {i: mean[i] for i in means}, means, harness.CENT)
    if medians:
        tap.table('%s: median time' % c['id'], {i: median[i] for i in medians}, medians, 1e-6)

want = {k: v for c in posthog for k, v in c.items() if k in ('expect_in_progress', 'expect_dropped')}
tap.eq(db.row("""
    select in_progress(f, 's1') as expect_in_progress, lost(f, 's1') + expired(f, 's1') as expect_dropped
    from (select funnel_conversion(j, lc, as_of) as f from j where no = %d) q""" % number['ph-33605-expects']), want,
    'ph-33605-expects: the window is still open, so in progress and not dropped')
tap.say('PostHog: bins of conversion times and breakdowns by an event property are reports upon funnel_attempts(): not asserted')

# -- 64 steps, 100,000 marks, one instant ------------------------------------------------------------------------------
STEPS, MARKS = 64, 100000


def at_one_instant(text, mark, marks, level, times='nondecreasing'):
    """mark: the mark of the g-th event, in SQL; marks: the lifecycle's lists."""
    db.run("""
        drop table if exists one;
        create temp table one as
          select journey(%s, timestamptz '2024-02-29 12:00:00+00', g) as j from generate_series(1, %d) g;""" % (mark, MARKS))
    lc = "lifecycle('one', stages => %s, marks => %s, skip => 'strict', within => '0', times => '%s')" % (
        harness.array('s%d' % i for i in range(1, STEPS + 1)), harness.array(marks), times)
    began = harness.clock()
    entered = db.value("""
        select (select array_agg(entered order by stage_no) from stages(f)) as e
        from (select funnel_conversion(j, %s, '2025-01-01') as f from one) q""" % lc)
    took = harness.clock() - began
    n = db.value('select mark_count(j) as n from one')
    tap.ok(n == MARKS and entered == [1] * level + [0] * (STEPS - level),
           '64 steps, 100,000 marks at one instant, %s: level %d' % (text, level), n, entered)
    tap.say('%.3f s' % took)


own = [str(i) for i in range(1, STEPS + 1)]
two = ['%d %d' % (i, i + 1) for i in range(1, STEPS)] + [str(STEPS)]
at_one_instant('a mark for each step', '(1 + g %% %d)::int' % STEPS, own, 64)
at_one_instant('the same in reverse', '(%d - g %% %d)::int' % (STEPS, STEPS), own, 64)
at_one_instant('every mark for every step', '1', ['1'] * STEPS, 64)
at_one_instant('that with increasing times', '1', ['1'] * STEPS, 1, times='increasing')
at_one_instant('no mark for the last step', '1', ['1'] * (STEPS - 1) + ['2'], 63)
at_one_instant('30 marks for every step and the others for the first', 'case when g <= 30 then 2 else 1 end',
               ['1 2'] + ['2'] * (STEPS - 1), 31)
# Distinct marks must be found for the steps, not taken greedily: each mark serves two steps, and there is one of each
# but of the first.
at_one_instant('each mark for two steps', 'case when g < %d then g + 1 else 1 end' % STEPS, two, 64)
at_one_instant('each mark for two steps, two of them missing',
               'case when g < %d and g + 1 not in (30, 31) then g + 1 else 1 end' % STEPS, two, 29)
# A hundred thousand marks in all, 64 kinds of them, each kind for half of the steps: the odd ones for odd steps.
halves = [' '.join(str(i) for i in range(1, STEPS + 1) if i % 2 == step % 2) for step in range(1, STEPS + 1)]
at_one_instant('each mark for half of the steps', '(1 + g %% %d)::int' % STEPS, halves, 64)

db.run('drop schema %s cascade;' % schema)
tap.done()
