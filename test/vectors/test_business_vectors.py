#!/usr/bin/env python3
"""Business time: the published cases of nine other libraries and helpdesks (SHARED/vectors/business_time).

Each row has what the library expects, what our semantics expect ("oracle"), and whether the two agree. Where they do,
we answer the same; where they do not, we must not follow the library: its README tells the deviation. Rows with neither
(agree: null) are of operations on days, which we do not have.
"""
import collections
import datetime
import json
import os
import re
import sys
from decimal import Decimal

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
import harness
from harness import array, literal

# library: rows that agree, rows that do not, rows of operations that we do not have
ROWS = {
    'business_time': (102, 2, 166), 'businesstimedelta': (12, 0, 0), 'dayjs_business_time': (66, 0, 32),
    'frappe_erpnext': (39, 1, 0), 'moment_business_time': (90, 2, 83), 'odoo_resource': (22, 1, 0),
    'working_hours': (141, 6, 40), 'zammad': (7, 0, 0), 'zendesk_biz': (89, 2, 20)}

# A Sunday row 02:30-03:15 on the day on which 02:00 to 03:00 is skipped. biz, and the oracle after it, shift the
# opening to 03:30 and drop the row as empty. We read the clock: it shows 03:00 to 03:15, which lies in the row.
BY_THE_CLOCK = {
    'zendesk_biz-0025': ['2006-04-02T10:00:00.000000Z', '2006-04-02T10:15:00.000000Z']}

MICRO = "interval '1 microsecond'"
tap, db, folder = harness.start('vectors/business_time')


def rows_of(dated):
    """[[opens, closes]] of a date or a weekday: `09:00-12:00 13:00-17:00`."""
    return ' '.join('%s-%s' % tuple(pair) for pair in dated)


def texts(by_date):
    return ['%s %s' % (date, rows_of(rows)) for date, rows in by_date.items()]


def single_texts(by_date):
    """Shifts and breaks: one row each."""
    return ['%s %s' % (date, rows_of([pair])) for date, rows in by_date.items() for pair in rows]


def pause_texts(pauses):
    """Breaks by UTC date, one for each date that an absolute pause touches."""
    out = []
    for start, end in pauses:
        (first, opens), (last, closes) = (re.match(r'(.{10})T([\d:]{8})\.0+Z$', t).groups() for t in (start, end))
        date = datetime.date.fromisoformat(first)
        while date <= datetime.date.fromisoformat(last):
            row = (opens if str(date) == first else '00:00:00', closes if str(date) == last else '24:00')
            if row[0] < row[1]:                     # an empty pause is none
                out.append('%s %s-%s' % (date, *row))
            date += datetime.timedelta(1)
    return out


def calendar(c):
    """SQL for a vector's calendar. Wildcards of holidays are written out already. Pauses are instants, so they are
    breaks of a UTC calendar that is open otherwise, and the two are intersected: exact in any zone."""
    shifts = dict(c.get('shifts', {}))
    if not c.get('shifts_beat_holidays', True):
        shifts = {date: rows for date, rows in shifts.items() if date not in c.get('holidays', [])}
    sql = 'business_calendar(%s, %s, %s, shifts => %s, breaks => %s, holidays => %s::date[])' % (
        literal('vector'), literal(c['time_zone']), array(texts(c['weekly'])), array(single_texts(shifts)),
        array(single_texts(c.get('breaks', {}))), array(c.get('holidays', [])))
    if c.get('pauses'):
        sql = "calendar_intersection(%s, business_calendar('pauses', 'UTC', '{mon-sun 00:00-24:00}', breaks => %s))" % (
            sql, array(pause_texts(c['pauses'])))
    return sql


def micros(seconds):
    """Seconds as whole microseconds: 14759.999999999998 is a library's float for 4.1 hours."""
    return round(Decimal(str(seconds)) * 1000000)


def instant(sql):
    """SQL for an instant as the vectors write it."""
    return """to_char(%s at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')""" % sql


def periods(sql, order, limit):
    return 'select json_agg(json_build_array(%s, %s)) as a from (select * from %s order by opens_at%s limit %d) x' % (
        instant('opens_at'), instant('closes_at'), sql, order, limit)


def answer(v):
    """What we say to a row: microseconds, a truth value, an instant or a list of periods."""
    op, c = v['op'], calendar(v['calendar'])
    at = 'timestamptz ' + literal(v['start'] if 'start' in v else v['at'])
    if op == 'diff':
        span = 'business_time(%s, %s, %s)' % (c, at, literal(v['end']))
        return int(db.value('select extract(epoch from %s) * 1000000 as a' % span))
    if op == 'is_open':
        return db.value('select is_open(%s, %s) as a' % (c, at))
    if op == 'add':
        return db.value('select %s as a' % instant("business_add(%s, %s, interval '%d microseconds')" % (
            c, at, micros(v['seconds']))))
    if op == 'next_open':
        return db.value('select %s as a' % instant('next_open(%s, %s)' % (c, at)))
    if op == 'prev_close':
        back = 'business_add(%s, %s, -%s)' % (c, at, MICRO)
        return db.value('select %s as a' % instant('business_add(%s, %s, %s)' % (c, back, MICRO)))
    if op == 'close_after':
        return db.value('select %s as a' % instant(
            "(select min(closes_at) from open_intervals(%s, %s, %s + interval '60 days'))" % (c, at, at)))
    if op == 'periods_after':
        sql = "open_intervals(%s, %s, %s + interval '200 days')" % (c, at, at)
        return db.value(periods(sql, '', len(v['expected'])))
    if op == 'periods_before':
        sql = "open_intervals(%s, %s - interval '200 days', %s)" % (c, at, at)
        return db.value(periods(sql, ' desc', len(v['expected'])))
    raise ValueError('operation ' + op)


def matches(v, got, key, tolerance):
    if v['op'] == 'diff':
        return abs(got - micros(v[key])) <= micros(tolerance)
    return got == v[key]


def judge(v):
    """None when our answer is as it must be."""
    got = answer(v)
    if v['id'] in BY_THE_CLOCK:
        v = dict(v, oracle=([BY_THE_CLOCK[v['id']]] + v['oracle'])[:len(v['oracle'])], agree=False)
    if matches(v, got, 'expected', v.get('tolerance', 0)) == v['agree'] and matches(v, got, 'oracle', 0):
        return None
    return '%s: %s\n%s\ngot      %r\nexpected %r, agree %s\noracle   %r' % (
        v['id'], v['example'], calendar(v['calendar']), got, v['expected'], v['agree'], v['oracle'])


tap.eq(sorted(os.listdir(folder)), sorted(ROWS), 'nine libraries')
ops = collections.Counter()
clock_rows = 0
for library, counts in ROWS.items():
    with open(os.path.join(folder, library, 'vectors.json'), encoding='utf-8') as f:
        vectors = json.load(f)
    by_agree = {agree: [v for v in vectors if v['agree'] is agree] for agree in (True, False, None)}
    tap.eq(tuple(len(by_agree[agree]) for agree in (True, False, None)), counts,
           '%s: rows that agree with our semantics, that do not, of other operations' % library)
    for agree, text in ((True, 'we answer as the library does'), (False, 'we do not follow its deviations')):
        some = by_agree[agree]
        wrong = [complaint for complaint in map(judge, some) if complaint]
        ops.update(v['op'] for v in some)
        clock_rows += sum(v['id'] in BY_THE_CLOCK for v in some)
        if some:
            tap.ok(not wrong, '%s: %s (%d)' % (library, text, len(some)), '%d wrong' % len(wrong), *wrong[:6])
    left_out = sorted({v['op'] for v in by_agree[None]})
    if left_out:
        tap.say('left out: %s: %s' % (library, ', '.join(left_out)))

tap.eq([sum(c[i] for c in ROWS.values()) for i in (0, 1)], [568, 14], 'all rows that agree, and that do not')
tap.eq(clock_rows, len(BY_THE_CLOCK), 'of those that agree, one where we read the clock')
tap.eq(dict(ops), {'add': 222, 'diff': 162, 'is_open': 54, 'next_open': 46, 'prev_close': 40, 'close_after': 24,
                   'periods_after': 18, 'periods_before': 16}, 'each was asked, by operation')
tap.done()
