#!/usr/bin/env python3
"""BPI Challenge 2013, closed problems of Volvo IT: 1,487 problems, 6,660 events (SHARED/data/bpic2013_closed_problems).

The seven pairs status|sub-status are open stages; a status lasts until the next event. Problems are long (2,255 days) and come
back: 61 have another status after Completed.
"""
import collections
import harness
from harness import days, dist

tap, db, folder = harness.start('data/bpic2013_closed_problems')
import refstats
ref = harness.reference(folder)

events = refstats.read(folder + '/events.csv')
status = lambda e: e['activity'] + '|' + e['lifecycle']
stages = ['Unmatched|Unmatched', 'Queued|Awaiting Assignment', 'Accepted|Assigned', 'Accepted|In Progress', 'Accepted|Wait', 'Completed|Cancelled', 'Completed|Closed']
number = {a: i + 1 for i, a in enumerate(stages)}
case_no, first = {}, {}
for e in events:
    case_no.setdefault(e['case_id'], len(case_no))
    first.setdefault(e['case_id'], e)
db.load('event', 'id int, seq bigint, mark int, at timestamptz', [(case_no[e['case_id']], e['event_seq'], number[status(e)], e['timestamp']) for e in events])
db.load('problem', 'id int, impact text, organization_involved text', [(case_no[c], e['impact'], e['organization_involved']) for c, e in first.items()])
db.run("""
create temp table lc as select lifecycle('problem', stages => %s, skip => 'any') as lc, (select max(at) from event) as as_of;
create temp table subject as select p.*, j.j from problem p join (select id, journey(mark, at, null::bigint, seq) as j from event group by id) j using (id);
create temp table span as select s.id, v.* from subject s, lc, stage_spans(s.j, lc.lc, lc.as_of) v;
""" % harness.array(stages))

q = ref['quality']
got = db.row("select count(*) as cases, sum(mark_count(j)) as events from subject")
tap.eq((got['cases'], got['events']), (q['cases'], q['events']), 'problems and events')
tap.eq(db.row("select subject_count(p) as cases, mark_count(p) as events from (select journey_pack(id, mark, at) as p from event) x"), got, 'no two events of a problem at one time: a pack without seq holds them all')
tap.table('events by status', {r['stage']: r['n'] for r in db.rows("select stage, count(*) as n from span group by 1")}, ref['status_substatus_counts'])

# -- hours in status -------------------------------------------------------------------------------------------------
got = {r['stage']: [r['total'], r['n'], r['mean']] for r in db.rows("select stage, sum(extract(epoch from duration)) / 3600 as total, count(*) as n, avg(extract(epoch from duration)) / 3600 as mean from span where left_at is not null group by 1")}
tap.table('hours in status: total, intervals, mean', got, ref['hours_in_status_total_and_intervals'], harness.SIX)
v = {r['stage']: r for r in db.rows("select t.* from (select stage_velocity(j, lc, as_of) as v from subject, lc) x, stages(v) t")}
tap.table('finished visits of the summary', {k: r['visits'] - r['pending'] for k, r in v.items()}, {k: x[1] for k, x in ref['hours_in_status_total_and_intervals'].items()})
tap.table('open at the end of the log', {k: r['pending'] for k, r in v.items() if r['pending']}, ref['last_status'])
tap.eq(sum(r['repeat'] for r in v.values()), q['immediate_self_repeats'], 'statuses that follow themselves: exit repeat')
tap.eq(db.value("select count(*) as n from span where exit = 'repeat'"), sum(r['repeat'] for r in v.values()), 'exit repeat: both the same')
cumulative = {r['stage']: r['n'] for r in db.rows("select t.stage, t.visits as n from (select stage_velocity(j, lifecycle('problem', stages => %s, visits => 'cumulative'), as_of) as v from subject, lc) x, stages(v) t" % harness.array(stages))}
tap.table('cumulative: one duration for each problem and status', cumulative, {s: len({e['case_id'] for e in events if status(e) == s}) for s in stages})

# -- the hours that were waited --------------------------------------------------------------------------------------
stopped = db.row("select %s from (select id, coalesce(sum(%s) filter (where left_at is not null and stage <> 'Accepted|Wait'), 0) as x from span group by id) t" % (dist('x'), days('duration')))
want = ref['clock_stopped_while_waiting_days']
by = collections.defaultdict(list)
for e in events:
    by[e['case_id']].append((refstats.iso(e['timestamp']), e['activity'], e['lifecycle']))
ours = [sum(refstats.days(t, u) for (t, _, s), (u, _, _) in zip(x, x[1:]) if s != 'Wait') for x in by.values()]
tap.table('days not in Accepted|Wait, as recomputed', stopped, refstats.dist(ours), 1e-6)
tap.table("and as the reference has it (clock stopped while waiting)", stopped, want, harness.SIX)

# -- coming back -----------------------------------------------------------------------------------------------------
want = ref['reopened_cases__event_after_Completed_of_other_status']
tap.eq(db.value("select count(distinct a.id) as n from span a join span b on b.id = a.id and b.visit_no > a.visit_no where a.stage like 'Completed|%' and b.stage not like 'Completed|%'"), want, 'problems with another status after Completed')
born_done = sum(all(a == 'Completed' for _, a, _ in x) for x in by.values())
tap.say('%d problem has no other status than Completed: no attempt, as nothing was open' % born_done)
for kind, option in (('lost', "lost => '{Completed|Cancelled, Completed|Closed}'"), ('recycled', "recycled => '{Completed|Cancelled, Completed|Closed}'")):
    got = db.row("""select count(*) filter (where n > 1) as reopened, count(*) as n from (select s.id, max(a.attempt_no) as n
       from subject s, lc, funnel_attempts(s.j, lifecycle('reopen', stages => %s, %s, skip => 'any'), lc.as_of) a group by 1) x""" % (harness.array(stages[:5]), option))
    tap.eq(got, {'reopened': want, 'n': q['cases'] - born_done}, 'with Completed as %s those have a second attempt' % kind)
got = db.row("select attempts(s) as a, recycled(s) as r, subjects(s) as n from (select funnel_conversion(j, lifecycle('reopen', stages => %s, recycled => '{Completed|Cancelled, Completed|Closed}', skip => 'any'), as_of) as s from subject, lc) f" % harness.array(stages[:5]))
spells = sum(sum(1 for a, b in zip([('', 'Completed', '')] + x, x) if a[1] == 'Completed' and b[1] != 'Completed') for x in by.values())
tap.eq(got, {'a': spells, 'r': spells, 'n': q['cases']}, 'every attempt ends Completed: %d attempts, %d ended so' % (spells, spells))
tap.table('last status', {r['k']: r['n'] for r in db.rows("select current_stage(j, lc, as_of) as k, count(*) as n from subject, lc group by 1")}, ref['last_status'])

# -- problems --------------------------------------------------------------------------------------------------------
case = days("last_at(j) - first_at(j)")
tap.table('days from first to last event', db.row("select %s from subject" % dist(case)), ref['case_days_first_to_last_event'], harness.SIX)
for name, column in (('impact', 'impact'), ('organization_involved', 'organization_involved')):
    want = ref['case_days_by_%s_of_first_event_top10' % name]
    got = {r.pop('k'): r for r in db.rows("select {1} as k, count(*) as n, percentile_cont(0.5) within group (order by {0}) as median, avg({0}) as mean from subject group by 1".format(case, column))}
    tap.table('by %s' % name, {k: got[k] for k in want}, want, harness.SIX)

# The same length as one stay: from the first event to the last Completed, as survival. All are finished, so the median is the naive one.
got = db.row("""select %s as median, visits(v, 'open') as n, pending(v, 'open') as p, (select round((extract(epoch from mean) / 86400)::numeric, 6)::float8 from restricted_mean(v, 'open')) as mean from (
  select stage_velocity(j, lifecycle('whole', stages => '{open}', lost => '{done}', marks => '{1, 2}'), as_of) as v
  from (select id, journey(mark, at) as j from (select id, 1 as mark, first_at(j) as at from subject union all select id, 2, last_at(j) from subject) m group by 1) s, lc) x""" % days("median(v, 'open')"))
w = ref['case_days_first_to_last_event']
tap.table('first to last event as one stay: median and mean, some of zero length', got, {'median': w['median'], 'n': w['n'], 'p': 0, 'mean': w['mean']}, 2e-6)
tap.done()
