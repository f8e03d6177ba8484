#!/usr/bin/env python3
"""States and their durations: TimescaleDB Toolkit's documentation and open issues (SHARED/vectors/funnel/timescaledb_toolkit).

Each state is an open stage and each row a mark. A timeline is stage_spans(): the toolkit joins neighbouring periods of
one state, which are two visits here (exit `repeat`); state_at is current_stage(). The state that holds at the end
accrues to as_of.
"""
import collections
import json
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
import harness
from harness import array, literal

tap, db, folder = harness.start('vectors/funnel')
with open(os.path.join(folder, 'timescaledb_toolkit', 'cases.json'), encoding='utf-8') as f:
    cases = json.load(f)


def epoch(text):
    return db.value('select extract(epoch from timestamptz %s)::float8 as t' % literal(text))


def end_of(c):
    """The end of the case's range."""
    return db.value('select extract(epoch from timestamptz %s + interval %s)::float8 as t'
                    % (literal(c['start']), literal(c['interval'])))


def lifecycle(states, options=''):
    return "lifecycle('states', stages => %s%s)" % (array(states), options)


def journey(rows, states):
    return '(select journey(mark, at) from (values %s) e(mark, at))' % ', '.join(
        '(%d, timestamptz %s)' % (states.index(state) + 1, literal(at)) for at, state in rows)


def united(pieces, states):
    return '(select rollup(j) from (values %s) piece(j))' % ', '.join('(%s)' % journey(rows, states) for rows in pieces)


def visits(history, states, as_of):
    """[state, from, to, exit], times in seconds since 1970."""
    return [list(r.values()) for r in db.rows("""
        select stage, extract(epoch from entered_at)::float8 as entered_at,
          extract(epoch from coalesce(left_at, entered_at + duration))::float8 as left_at, exit
        from stage_spans(%s, %s, to_timestamp(%r)) order by visit_no""" % (history, lifecycle(states), as_of))]


def periods(history, states, as_of, start=float('-inf'), end=float('inf')):
    """[state, from, to]: neighbouring visits of one state joined, clipped to a range."""
    out = []
    for state, a, b, _ in visits(history, states, as_of):
        if out and out[-1][0] == state and out[-1][2] == a:
            out[-1][2] = b
        else:
            out.append([state, a, b])
    return clip(out, start, end)


def clip(some, start, end):
    return [[state, max(a, start), min(b, end)] for state, a, b in some if (b > start and a < end) or a == b == end]


def expected(some):
    return [p[:-2] + [epoch(p[-2]), epoch(p[-1])] for p in some]


def tiles(some):
    return all(x[2] == y[1] for x, y in zip(some, some[1:]))


for c in cases:
    id, fn, rows = c['id'], c['fn'], c['rows']
    if fn == 'heartbeat_uptime':
        tap.say('left out: %s: uptime between heartbeats is no history of stages' % id)
        continue
    states = sorted({state for _, state in rows + c.get('prev', [])})
    history = journey(rows, states)
    last = epoch(max(at for at, _ in rows))

    if fn == 'timeline':
        tap.eq(periods(history, states, last), expected(c['expect']), id + ': the timeline, as of its last mark')
        if 'dup' in id:
            tap.eq([v[3] for v in visits(history, states, last)], ['back', 'repeat', 'skip', None],
                   id + ': the repeated OK is a visit of its own here, the first one left by repeat')

    elif fn == 'durations':
        total = collections.Counter()
        for state, a, b in periods(history, states, last):
            total[state] += b - a
        tap.eq(dict(total), c['expect'], id + ': time in each state')
        got = db.rows("""
            select t.stage, extract(epoch from (select max(age) from survival_curve(v, t.stage)))::float8 as t
            from (select stage_velocity(%s, %s, to_timestamp(%r)) as v) q, stages(v) t
            """ % (history, lifecycle(states, ", visits => 'cumulative'"), last))
        tap.eq({r['stage']: r['t'] for r in got}, c['expect'], id + ": the same by visits => 'cumulative'")

    elif fn == 'duration_in_range':
        start, end = epoch(c['start']), end_of(c)
        got = sum(b - a for state, a, b in periods(history, states, end, start, end) if state == c['state'])
        tap.eq(got, c['expect'], id + ': visits clipped to the range')

    elif fn == 'duration_total':
        as_of = epoch(c['as_of']) if 'as_of' in c else last
        got = sum(b - a for state, a, b in periods(history, states, as_of) if state == c['state'])
        tap.eq(got, c.get('expect_with_as_of', c['expect']),
               id + (': the open state accrues to as_of, as the issue asks' if 'as_of' in c else ': time in ' + c['state']))

    elif fn == 'state_at':
        tap.eq(db.value('select current_stage(%s, %s, %s) as s' % (history, lifecycle(states), literal(c['at']))),
               c['expect'],
               '%s: the state at %s' % (id, c['at']))

    elif fn == 'periods':
        got = [[a, b] for state, a, b in periods(history, states, last) if state == c['state']]
        tap.eq(got, expected(c['expect']), '%s: periods of %s' % (id, c['state']))
        if not c['expect']:
            ask = 'select visits(stage_velocity(%s, %s, to_timestamp(%r)), %s)' % (
                history, lifecycle(states), last, literal(c['state']))
            tap.eq(db.sqlstate(ask), '22023', id + ': to ask a summary for a stage that it does not know is an error')

    elif fn == 'interpolated_timeline' and 'prev' in c:
        # The toolkit lets the last state of the bucket before hold from the start of the range, whenever it began.
        # United, the two histories tell each period at its own time; given the carried-in state as a mark at the start,
        # they tell what the toolkit tells.
        start, end = epoch(c['start']), max(last, end_of(c))
        carried = [c['start'] + ' 00:00:00+00', max(c['prev'])[1]]
        got = periods(journey(rows + [carried], states), states, end, start, end)
        tap.eq(got, expected(c['expect']), id + ': with the state carried in')
        whole = periods(united([rows, c['prev']], states), states, end, start, end)
        since = epoch(max(c['prev'])[0])
        tap.eq(clip(whole, since, end), clip(expected(c['expect']), since, end),
               id + ': united with the history before, the same from its last mark on')
        tap.ok(whole != got and tiles(whole), id + ': and before that what was so in truth, without a gap', whole)

    elif fn == 'rollup_timeline':
        minutes = collections.defaultdict(list)
        for at, state in rows:
            if at[:16] != c.get('drop_bucket', '')[:16]:
                minutes[at[:16]].append([at, state])
        tap.eq(periods(united(minutes.values(), states), states, last), expected(c['expect']), id + ': minutes united')

    elif id == 'ts-793-expects':
        whole = periods(history, states, epoch('2020-01-01 03:00:00+00'))
        for hour in (1, 2):
            part = clip(whole, *(epoch('2020-01-01 0%d:00:00+00' % h) for h in (hour, hour + 1)))
            tap.ok(sum(b - a for _, a, b in part) == 3600 and tiles(part),
                   '%s: periods tile hour %d, without overlap' % (id, hour), part)

    else:
        tap.ok(False, id + ': not handled')
tap.done()
