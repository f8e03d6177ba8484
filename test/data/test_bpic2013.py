#!/usr/bin/env python3
"""BPI Challenge 2013, closed problems of Volvo IT: 1,487 problems, 6,660 events (SHARED/data/bpic2013_closed_problems).

The seven pairs status|sub-status are open stages; a status lasts until the next event. Problems are long (2,255 days)
and come back: 61 have another status after Completed.
"""
import collections

import harness
from harness import SIX, array, days, dist

tap, db, folder = harness.start('data/bpic2013_closed_problems')
import refstats

ref = harness.reference(folder)
quality = ref['quality']
events = refstats.read(folder + '/events.csv')
open_stages = ['Unmatched|Unmatched', 'Queued|Awaiting Assignment', 'Accepted|Assigned', 'Accepted|In Progress',
               'Accepted|Wait']
completed = ['Completed|Cancelled', 'Completed|Closed']
status = lambda e: e['activity'] + '|' + e['lifecycle']
number = {s: i + 1 for i, s in enumerate(open_stages + completed)}
problems = collections.defaultdict(list)        # problem -> its events, in the order of the file
for e in events:
    problems[e['case_id']].append(e)

case_no = {case: i for i, case in enumerate(problems)}
db.load('event', 'id int, seq bigint, mark int, at timestamptz',
        [(case_no[e['case_id']], e['event_seq'], number[status(e)], e['timestamp']) for e in events])
db.load('problem', 'id int, impact text, organization_involved text',
        [(case_no[case], rows[0]['impact'], rows[0]['organization_involved']) for case, rows in problems.items()])
LIFE = "lifecycle('problem', stages => %s, skip => 'any'%s)"
db.run("""
    create temp table lc as select %s as lc, (select max(at) from event) as as_of;
    create temp table subject as
      select problem.*, j.j
      from problem join (select id, journey(mark, at, null::bigint, seq) as j from event group by id) j using (id);
    create temp table span as select s.id, v.* from subject s, lc, stage_spans(s.j, lc.lc, lc.as_of) v;
    """ % (LIFE % (array(number), '')))


def counts(query):
    """A query (k, n) as a dict."""
    return {r['k']: r['n'] for r in db.rows(query)}


def velocity(lifecycle):
    return {r['stage']: r for r in db.rows("""
        select t.* from (select stage_velocity(j, %s, as_of) as v from subject, lc) q, stages(v) t""" % lifecycle)}


got = db.row('select count(*) as cases, sum(mark_count(j)) as events from subject')
tap.eq(got, {k: quality[k] for k in ('cases', 'events')}, 'problems and events')
tap.eq(db.row("""
    select subject_count(p) as cases, mark_count(p) as events from (select journey_pack(id, mark, at) as p from event) q"""),
       got, 'no two events of a problem at one time: a pack without seq holds them all')
tap.table('events by status', counts('select stage as k, count(*) as n from span group by 1'),
          ref['status_substatus_counts'])

# -- hours in status ---------------------------------------------------------------------------------------------------
want = ref['hours_in_status_total_and_intervals']
got = db.rows("""
    select stage, sum(hours) as total, count(*) as n, avg(hours) as mean
    from (select stage, extract(epoch from duration) / 3600 as hours from span where left_at is not null) q group by 1""")
tap.table('hours in status: total, intervals, mean', {r['stage']: [r['total'], r['n'], r['mean']] for r in got}, want,
          SIX)
stages = velocity('lc')
tap.table('finished visits of the summary', {k: r['visits'] - r['pending'] for k, r in stages.items()},
          {k: w[1] for k, w in want.items()})
tap.table('open at the end of the log', {k: r['pending'] for k, r in stages.items() if r['pending']},
          ref['last_status'])
tap.eq(sum(r['repeat'] for r in stages.values()), quality['immediate_self_repeats'],
       'statuses that follow themselves: exit repeat')
tap.table('cumulative: one duration for each problem and status',
          {k: r['visits'] for k, r in velocity(LIFE % (array(number), ", visits => 'cumulative'")).items()},
          {s: len({e['case_id'] for e in events if status(e) == s}) for s in number})
got = db.row("""
    select %s from (
      select coalesce(sum(%s) filter (where left_at is not null and stage <> 'Accepted|Wait'), 0) as x from span group by id) q
    """ % (dist('x'), days('duration')))
tap.table('days of a problem not spent in Accepted|Wait', got, ref['clock_stopped_while_waiting_days'], SIX)

# -- coming back -------------------------------------------------------------------------------------------------------
want = ref['reopened_cases__event_after_Completed_of_other_status']
tap.eq(db.value("""
    select count(distinct a.id) as n from span a join span b on b.id = a.id and b.visit_no > a.visit_no
    where a.stage like 'Completed|%' and b.stage not like 'Completed|%'"""), want, 'problems with another status after Completed')
story = {case: [e['activity'] == 'Completed' for e in rows] for case, rows in problems.items()}
never_open = sum(all(done) for done in story.values())
spells = sum(before and not now for done in story.values() for before, now in zip([True] + done, done))
for kind in ('lost', 'recycled'):
    lc = LIFE % (array(open_stages), ', %s => %s' % (kind, array(completed)))
    got = db.row("""
        select count(distinct id) as n, count(distinct id) filter (where attempt_no > 1) as reopened
        from subject s, lc, funnel_attempts(s.j, %s, lc.as_of) a""" % lc)
    tap.eq(got, {'n': quality['cases'] - never_open, 'reopened': want},
           'with Completed as %s those have a second attempt' % kind)
    got = db.row("""
        select subjects(f) as n, attempts(f) as attempts, recycled_attempts(f) as recycled
        from (select funnel_conversion(j, %s, as_of) as f from subject, lc) q""" % lc)
    tap.eq(got, {'n': quality['cases'], 'attempts': spells, 'recycled': spells if kind == 'recycled' else 0},
           'with Completed as %s: %d attempts, all ended' % (kind, spells))
tap.say('%d problem has no other status than Completed: no attempt, as nothing was open' % never_open)
tap.table('last status', counts('select current_stage(j, lc, as_of) as k, count(*) as n from subject, lc group by 1'),
          ref['last_status'])

# -- problems ----------------------------------------------------------------------------------------------------------
case_days = days('last_at(j) - first_at(j)')
whole = ref['case_days_first_to_last_event']
tap.table('days from first to last event', db.row('select %s from subject' % dist(case_days)), whole, SIX)
for column in ('impact', 'organization_involved'):
    want = ref['case_days_by_%s_of_first_event_top10' % column]
    got = {r.pop('k'): r for r in db.rows("""
        select {0} as k, count(*) as n, percentile_cont(0.5) within group (order by {1}) as median, avg({1}) as mean
        from subject group by 1""".format(column, case_days))}
    tap.table('by ' + column, {k: got[k] for k in want}, want, SIX)

# From the first event to the last as one stay. All are finished (some at once), so median and mean are the naive ones.
got = db.row("""
    select visits(v, 'open') as n, pending(v, 'open') as pending, {0} as median,
      (select {1} from restricted_mean(v, 'open')) as mean
    from (select stage_velocity(j, lifecycle('whole', stages => '{{open}}', lost => '{{done}}'), as_of) as v
          from lc, (select id, journey(mark, at) as j
                    from (select id, 1 as mark, first_at(j) as at from subject union all select id, 2, last_at(j) from subject) m
                    group by 1) s) q""".format(days("median(v, 'open')"), days('mean')))
tap.table('the whole as one stay', got, {'n': whole['n'], 'pending': 0, 'median': whole['median'],
                                         'mean': whole['mean']}, SIX)
tap.done()
