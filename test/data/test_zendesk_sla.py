#!/usr/bin/env python3
"""Zendesk as a connector lands it: versions of SLA policies, schedules, tickets (SHARED/data/fivetran_seeds/zendesk).

The tables are copied as they are and SQL makes calendars, SLAs and journeys of them, as a user would: a policy a row,
and sla(array_agg(…)) for each metric. The priority is the segment of a ticket, its SLA policy the owner, a version of
that a policy which is valid for some time. Every clock is checked against plain Python that walks from event to event,
with the priority and the version in force at each, and hours taken from a list of all open quarters; some by hand.

The seeds are small and hand-made, and say less than it seems:
 - One ticket (11071) has a history of status and priority. That begins seven hours before the ticket was created; its
   clock starts when it was created. The other nine have no priority: there, a policy of the test's own applies, the
   target for `normal` whatever the priority, which is less specific than one with a priority.
 - Seven of those nine were closed or solved and two deleted at the last update; no reply is on record.
 - No author of a comment is known, so who asks and who answers is not: that clock runs with the two taking turns.
 - Holidays and ticket schedules name schedules that do not exist: 360000 is taken for 360000310393, 3600 for none.
 - No policy has agent_work_time: the clock has the targets of requester_wait_time.
 - No ticket lies near a change of schedule: the test has three of its own.

What dbt_zendesk gets or got wrong with these tables is asserted both ways: targets by the priority a ticket has now,
hours in UTC as of one half of the year, the last of several changes of a day for all of it, equal rows counted again.
"""
import bisect
import collections
import csv
import itertools
import os
import re
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import harness
from harness import literal

tap, db, folder = harness.start('data/fivetran_seeds')
import refstats

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MICRO = timedelta(microseconds=1)
MINUTE, HOUR = 60_000_000, 3_600_000_000


def us(x):
    """An instant or an interval in SQL, as whole microseconds."""
    return '(extract(epoch from %s) * 1000000)::bigint' % x


def micros(text):
    """Microseconds since 1970 of a time without zone: the connector writes UTC."""
    at = datetime.fromisoformat(text.replace('Z', ''))
    return (at.replace(tzinfo=timezone.utc) - EPOCH) // MICRO


def instant(t):
    return 'timestamptz %s' % literal((EPOCH + t * MICRO).isoformat())


# -- land --------------------------------------------------------------------------------------------------------------
def path(table):
    return os.path.join(folder, 'zendesk', table + '_data.csv')


def land(table):
    """A file as it is, in a table of texts; its rows."""
    with open(path(table), newline='', encoding='utf-8-sig') as f:
        columns = next(csv.reader(f))
    db.run('create temp table %s (%s);' % (table, ', '.join('"%s" text' % c for c in columns)))
    db.run('\\copy %s from %s with (format csv, header true)' % (table, literal(path(table))))
    return refstats.read(path(table))


landed = {table: land(table) for table in (
    'schedule', 'schedule_holiday', 'audit_log', 'daylight_time', 'time_zone', 'sla_policy_metric_history',
    'ticket_sla_policy', 'ticket_field_history', 'ticket_comment', 'ticket', 'ticket_schedule')}
db.load('zendesk_user', 'id text, role text, time_zone text', [
    (r['id'], r['role'], r['time_zone']) for r in refstats.read(path('user'))])      # `user` is a word of SQL's
tap.eq({table: db.value('select count(*) as n from ' + table) for table in landed},
       {table: len(rows) for table, rows in landed.items()}, 'every row of every table has landed')
tap.eq([len(landed[t]) for t in ('schedule', 'sla_policy_metric_history', 'ticket', 'ticket_field_history',
                                 'ticket_comment')], [5, 22, 10, 38, 20], 'and they are as expected')

# Zendesk names time zones the Rails way.
db.load('zone', 'rails text, iana text', [
    ('Pacific Time (US & Canada)', 'America/Los_Angeles'), ('Central Time (US & Canada)', 'America/Chicago'),
    ('London', 'Europe/London'), ('Dublin', 'Europe/Dublin'), ('Montevideo', 'America/Montevideo'),
    ('Cairo', 'Africa/Cairo')])
tap.eq(db.rows("""
    select time_zone from (select time_zone from schedule union select time_zone from time_zone
      union select time_zone from daylight_time union select time_zone from zendesk_user) q
    where time_zone not in (select rails from zone)"""), [], 'every time zone that is named anywhere is known')

# -- calendars ---------------------------------------------------------------------------------------------------------
# Minutes of the week in local time, from Sunday. start_time_utc is 7 hours more: right in summer only.
HOURS = """array_agg((array['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'])[{start} / 1440 + 1] || ' '
    || to_char(make_interval(mins => {start} % 1440), 'HH24:MI') || '-'
    || case when {end} % 1440 = 0 then '24:00' else to_char(make_interval(mins => {end} % 1440), 'HH24:MI') end)"""
db.run("""
    create temp table off as
      select s.id, array_agg(d::date) as days
      from (select distinct id from schedule) s join schedule_holiday h on s.id like h.schedule_id || '%%',
        generate_series(start_date::timestamp, end_date::timestamp, interval '1 day') d
      where not h._fivetran_deleted::boolean group by 1;
    create temp table calendar as
      select s.id, business_calendar(s.name, z.iana, %s, holidays => o.days) as hours,
        business_calendar(s.name || ' lost DST', 'UTC', %s, holidays => o.days) as lost
      from (select id, name, time_zone, start_time::int as a, end_time::int as b, start_time_utc::int as u,
              end_time_utc::int as v from schedule where not _fivetran_deleted::boolean) s
        join zone z on z.rails = s.time_zone join off o using (id)
      group by s.id, s.name, z.iana, o.days;
    """ % (HOURS.format(start='s.a', end='s.b'), HOURS.format(start='s.u', end='s.v')))
tap.eq(db.value('select count(*) as n from calendar'), 1, 'one schedule of five days')
tap.eq(db.value('select count(*) as n from schedule where start_time_utc::int - start_time::int = 420'), 5,
       'its hours in UTC are those of summer')
tap.eq(db.value("select count(*) as n from ticket_schedule where schedule_id in (select id from schedule)"), 0,
       'no ticket has this schedule')


class Hours:
    """A schedule as the list of its open quarters of an hour, between two times."""

    def __init__(self, zone, weekly, holidays=(), start='2019-12-01', end='2023-03-01'):
        """weekly: {day, from 0 for Sunday: [(minute, minute), …]}."""
        quarter, zone = 15 * MINUTE, ZoneInfo(zone)
        self.zone, self.holidays, self.opens, self.closes = zone, set(holidays), [], []
        for t in range(micros(start), micros(end), quarter):
            local = (EPOCH + t * MICRO).astimezone(zone)
            now = local.hour * 60 + local.minute
            if (any(a <= now < b for a, b in weekly.get(local.isoweekday() % 7, ()))
                    and local.date().isoformat() not in self.holidays):
                if self.closes and self.closes[-1] == t:
                    self.closes[-1] = t + quarter
                else:
                    self.opens.append(t)
                    self.closes.append(t + quarter)
        self.before = [0] + list(itertools.accumulate(c - o for o, c in zip(self.opens, self.closes)))

    def until(self, t):
        i = bisect.bisect_right(self.opens, t)
        return self.before[i] - (max(0, self.closes[i - 1] - t) if i else 0)

    def between(self, a, b):
        return self.until(b) - self.until(a)

    def add(self, t, n):
        goal = self.until(t) + n
        i = bisect.bisect_left(self.before, goal) - 1
        return self.opens[i] + goal - self.before[i] if n else t

    def next_open(self, t):
        return max(t, self.opens[bisect.bisect_right(self.closes, t)])

    def beyond(self, t):
        return (EPOCH + t * MICRO).astimezone(self.zone).date().isoformat() > max(self.holidays)


class Wall:
    between = staticmethod(lambda a, b: b - a)
    add = staticmethod(lambda t, n: t + n)
    next_open = staticmethod(lambda t: t)
    beyond = staticmethod(lambda t: False)


def weekly(start, end):
    out = collections.defaultdict(list)
    for r in landed['schedule']:
        a, b = int(r[start]), int(r[end])
        out[a // 1440].append((a % 1440, b - a // 1440 * 1440))
    return out


HOLIDAYS = ('2022-12-26', '2022-12-27', '2022-12-29')
pacific = Hours('America/Los_Angeles', weekly('start_time', 'end_time'), HOLIDAYS)
summer_only = Hours('UTC', {d: [(a, min(b, 1440)) for a, b in rows] + [(0, b - 1440) for a, b in w.get((d - 1) % 7, ())]
                            for w in [weekly('start_time_utc', 'end_time_utc')] for d in range(7)
                            for rows in [w.get(d, ())]}, HOLIDAYS)

# Every fifth day for three years, at odd times; both calendars against the quarters.
spans = [(micros('2020-01-01') + i * (5 * 24 * HOUR + 1234567891), (i % 60) * 11 * HOUR + 7654321) for i in range(210)]
db.load('span', 'i int, a timestamptz, b timestamptz', [
    (i, (EPOCH + a * MICRO).isoformat(), (EPOCH + (a + n) * MICRO).isoformat()) for i, (a, n) in enumerate(spans)])
got = {r['i']: [r['x'], r['y']] for r in db.rows(
    'select i, %s as x, %s as y from span, calendar' % tuple(
        us('business_time(%s, a, b)' % c) for c in ('hours', 'lost')))}
for k, (name, hours) in enumerate((('the schedule', pacific), ('its hours in UTC', summer_only))):
    # A holiday is a local date, so those in UTC have other holidays; tell the two apart before there were any.
    some = {i: (a, a + n) for i, (a, n) in enumerate(spans) if hours is pacific or a + n < micros('2022-12-24')}
    tap.table(name + ' against a list of quarters', {i: got[i][k] for i in some},
              {i: hours.between(*ab) for i, ab in some.items()})


def hours_between(calendar, a, b):
    return db.value("select %s as x from calendar" % us("business_time(%s, %s, %s)" % (
        calendar, instant(micros(a)), instant(micros(b))))) / HOUR


tap.eq([hours_between(c, '2020-01-06T15:00', '2020-01-06T16:00') for c in ('hours', 'lost')], [0, 1],
       'in winter it opens at 16:00 UTC, not at 15:00')
tap.eq([hours_between(c, '2020-07-06T15:00', '2020-07-06T16:00') for c in ('hours', 'lost')], [1, 1],
       'in summer at 15:00')
tap.eq([hours_between('hours', *week) for week in (
    ('2022-12-19T08:00', '2022-12-26T08:00'), ('2022-12-26T08:00', '2023-01-02T08:00'))], [60, 24],
       'a week of 60 hours, and one with three holidays')
tap.eq(db.rows("select beyond_horizon(hours, t) as x from calendar, "
               "unnest('{2022-12-30 07:59Z, 2022-12-30 08:00Z}'::timestamptz[]) t order by t"),
       [{'x': False}, {'x': True}], 'after its last holiday, in local time, it is not known')

# -- SLAs --------------------------------------------------------------------------------------------------------------
NAMES = ('created', 'asked', 'replied', 'new', 'open', 'pending', 'on-hold', 'solved', 'closed', 'deleted', 'priority',
         'policy')
PRIORITIES = {'low': 1, 'normal': 2, 'medium': 3, 'high': 4, 'urgent': 5}
GONE = ['solved', 'closed', 'deleted']
ROLES = {'first_reply_time': dict(start=['created'], stop=['replied'], cancel=GONE),
         'next_reply_time': dict(start=['asked'], stop=['replied'], cancel=GONE, reopen='restart'),
         'requester_wait_time': dict(start=['created'], stop=['solved', 'closed'], cancel=['deleted'],
                                     pause=['pending'], resume=['new', 'open', 'on-hold']),
         'agent_work_time': dict(start=['created'], stop=['solved', 'closed'], cancel=['deleted'],
                                 pause=['pending', 'on-hold'], resume=['new', 'open'])}
db.load('name', 'name text, no int', [(n, i + 1) for i, n in enumerate(NAMES)])
db.load('priority', 'name text, no int', PRIORITIES.items())
KINDS = ('start', 'stop', 'pause', 'resume', 'cancel')
db.load('role', 'metric text, reopen text, ' + ', '.join('%s_marks text[]' % k for k in KINDS), [
    [m, r.get('reopen', 'resume')] + ['{%s}' % ','.join(r.get(k, ())) for k in KINDS] for m, r in ROLES.items()])
db.run("""
    create temp table target as                   -- a version holds until the next of the same target
      select m.metric, h.sla_policy_id::bigint as policy, p.no as priority, h.business_hours::boolean as business,
        make_interval(mins => h.target::int) as target, h.sla_policy_updated_at::timestamptz as since,
        tstzrange(h.sla_policy_updated_at::timestamptz, lead(h.sla_policy_updated_at::timestamptz) over (
          partition by m.metric, h.sla_policy_id, h.priority order by h.sla_policy_updated_at::timestamptz)) as valid
      from sla_policy_metric_history h join priority p on p.name = h.priority
        join (select metric, metric as targets_of from role where metric <> 'agent_work_time'
              union all select 'agent_work_time', 'requester_wait_time') m on m.targets_of = h.metric;
    insert into target                            -- the test's own: a ticket without a priority
      select metric, policy, null, business, target, since, valid from target where priority = 2;""")
ONE = """sla(t.metric, start => start_marks, stop => stop_marks, pause => pause_marks, resume => resume_marks,
    cancel => cancel_marks, reopen => reopen, segment => '{priority}', owner => '{policy}',
    marks => (select array_agg(name || '=' || no) from name), target => t.target,
    calendar => case when t.business then c.hours end, valid => %s, owners => array[t.policy],
    segments => case when t.priority is not null then array[t.priority]::bigint[] end, change => '%s',
    version => t.policy || ' of ' || t.since::date || case when t.priority is null then ', any priority' else '' end)"""


def slas(table, change='carry', valid='t.valid', order='random()'):
    """An SLA for each metric, of one policy a row."""
    return ('create temp table %s as select t.metric, sla(array_agg(%s order by %s)) as s '
            'from target t join role using (metric), calendar c group by 1' % (table, ONE % (valid, change), order))


db.run(slas('zendesk') + ';' + slas('restarting', 'restart') + ';' + slas('backwards', order='t.target desc') + ';')
tap.eq(db.value('select count(*) as n from target'), 22 + 5 + 6,
       'targets: 22, those of agent_work_time, those without a priority')
tap.eq({r['metric']: r['n'] for r in db.rows("""
    select metric, (select count(*) from policies(b)) as n from (
      select metric, sla_breach(journey '{1@2020-01-01T00:00:00Z}', s, '2020-01-02Z') as b
      from zendesk group by metric, s) q""")},
       {'first_reply_time': 16, 'next_reply_time': 5, 'requester_wait_time': 6, 'agent_work_time': 6},
       'policies of each metric, none lost, none twice')
tap.eq(db.value('select count(*) as n from zendesk a join backwards b using (metric) where a.s = b.s'), 4,
       'the order of the rows makes no difference')
tap.eq(db.sqlstate(slas('no_end', valid='tstzrange(t.since, null)')), '22023',
       'versions that never end would be in force together: refused')

# -- journeys ----------------------------------------------------------------------------------------------------------
db.run("""
    create temp table mark_row as
      select id::bigint as ticket, 'created' as name, created_at::timestamptz as at, null::bigint as value from ticket
      union all select ticket_id::bigint, 'policy', policy_applied_at::timestamptz, sla_policy_id::bigint
        from ticket_sla_policy
      union all select h.ticket_id::bigint, 'priority', h.updated::timestamptz, p.no
        from ticket_field_history h left join priority p on p.name = h.value where field_name = 'priority'
      union all select ticket_id::bigint, value, updated::timestamptz, null from ticket_field_history
        where field_name = 'status'
      union all select id::bigint, status, updated_at::timestamptz, null from ticket    -- no history: its last status
        where id not in (select ticket_id from ticket_field_history where field_name = 'status')
      union all select c.ticket_id::bigint, case u.role when 'agent' then 'replied' when 'end-user' then 'asked' end,
          c.created::timestamptz, null
        from ticket_comment c left join zendesk_user u on u.id = c.user_id where c.public::boolean;
    create temp table story as
      select ticket, journey(n.no, at, value) as j from mark_row left join name n using (name) group by 1;
    create temp table with_policy as select story.* from story join ticket on ticket.id::bigint = story.ticket;""")
tap.eq(db.value("select count(*) as n from mark_row where name is not null and name not in (select name from name)"), 0,
       'every status has a mark')
tap.eq(db.row("select count(*) as n, count(distinct ticket) as tickets from mark_row where name is null"),
       {'n': 20, 'tickets': 7}, 'no author of a comment is known: nobody is said to have asked or replied')
tap.eq(db.row("select count(*) as n, count(j) as j, sum(mark_count(j)) as marks from story"),
       {'n': 32, 'j': 25, 'marks': 84 - 20 - 3},
       'tickets, those with marks, marks: without the comments, and one of four rows alike')

# -- the clocks of a ticket, a second time -----------------------------------------------------------------------------
Rule = collections.namedtuple('Rule', 'policy priority target hours since until version')
pacific_or_wall = {'TRUE': pacific, 'FALSE': Wall()}


def rules_of(metric):
    """The targets of a metric, each version until the next one of the same policy and priority."""
    rows = [r for r in landed['sla_policy_metric_history']
            if r['metric'] == {'agent_work_time': 'requester_wait_time'}.get(metric, metric)]
    out = []
    for r in rows:
        since = micros(r['sla_policy_updated_at'])
        later = [micros(x['sla_policy_updated_at']) for x in rows
                 if (x['sla_policy_id'], x['priority']) == (r['sla_policy_id'], r['priority'])]
        one = Rule(int(r['sla_policy_id']), PRIORITIES[r['priority']], int(r['target']) * MINUTE,
                   pacific_or_wall[r['business_hours']], since, min((t for t in later if t > since), default=None),
                   '%s of %s' % (r['sla_policy_id'], r['sla_policy_updated_at'][:10]))
        out.append(one)
        if r['priority'] == 'normal':
            out.append(one._replace(priority=None, version=one.version + ', any priority'))
    return out


class Walk:
    """A ticket from event to event. Between two of them nothing changes: not the rule, not whether the clock runs."""

    def __init__(self, metric, marks, as_of, restart=False):
        self.roles, self.rules, self.restart = ROLES[metric], rules_of(metric), restart
        self.priority = self.policy = self.rule = self.clock = None
        self.runs, self.clocks, self.not_covered = False, [], 0
        marks = sorted({m for m in marks if m[0] <= as_of}, key=lambda m: (m[0], self.rank(m[1])))
        bounds = {t for r in self.rules for t in (r.since, r.until) if t is not None and t <= as_of}
        self.now = None
        for at in sorted(bounds | {m[0] for m in marks} | {as_of}):
            self.run_until(at)
            self.change(at)
            for _, name, value in [m for m in marks if m[0] == at]:
                self.read(at, name, value)
        self.rows = [self.row(c, as_of) for c in self.clocks]

    def rank(self, name):
        """The order in which marks of one instant are read."""
        order = ['start', 'pause', 'resume', 'stop', 'cancel']
        return next((1 + i for i, role in enumerate(order) if name in self.roles.get(role, ())), 0)

    def in_force(self, at):
        some = [r for r in self.rules if r.policy == self.policy and r.priority in (None, self.priority)
                and r.since <= at and (r.until is None or at < r.until)]
        return max(some, key=lambda r: r.priority is not None, default=None)

    def run_until(self, at):
        c, since = self.clock, self.now
        self.now = at
        if c is None:
            return
        if not self.runs:
            c['paused'] += at - since
            return
        left, hours = self.rule.target - c['elapsed'], self.rule.hours
        c.update(elapsed=c['elapsed'] + hours.between(since, at), elapsed_wall=c['elapsed_wall'] + at - since)
        if c['elapsed'] > self.rule.target and c['breach_at'] is None:
            c['due_at'] = hours.add(since, left)
            c['breach_at'] = hours.next_open(c['due_at'])

    def change(self, at):
        """Whatever is in force now, for the open clock."""
        c, now = self.clock, (self.in_force(at), self.priority, self.policy)
        if c is None:
            return
        if now[0] is None:
            assert self.rule is not None, 'a clock that is not covered from its start'
        if self.restart and now != self.counted_for:
            c['elapsed'] = 0
        self.counted_for, self.rule = now, now[0] or self.rule
        if c['elapsed'] > self.rule.target and c['breach_at'] is None:
            c['due_at'] = c['breach_at'] = at

    def read(self, at, name, value):
        is_in = lambda role: name in self.roles.get(role, ())
        if name in ('priority', 'policy'):
            setattr(self, name, value)
            self.change(at)
        elif self.clock is None and is_in('start'):
            self.counted_for = (self.in_force(at), self.priority, self.policy)
            if self.counted_for[0] is None:
                self.not_covered += 1           # it might be covered later; no ticket here is
                return
            self.rule, self.runs = self.counted_for[0], True
            self.clock = dict(started_at=at, ended_at=None, ended_by=None, elapsed=0, elapsed_wall=0, paused=0,
                              due_at=None, breach_at=None)
            self.clocks.append(self.clock)
        elif self.clock is not None:
            self.runs = (self.runs or is_in('resume')) and not is_in('pause')
            if is_in('stop') or is_in('cancel'):
                self.clock.update(ended_at=at, ended_by='stop' if is_in('stop') else 'cancel')
                self.end(self.clock)
                self.clock = None

    def end(self, c):
        c.update(rule=self.rule, ran=self.runs, priority=self.priority, policy=self.policy)

    def row(self, c, as_of):
        open_ = c['ended_at'] is None
        if open_:
            self.end(c)
        r, late = c['rule'], c['breach_at'] is not None
        status = 'breached' if late else {'stop': 'met', 'cancel': 'cancelled'}[c['ended_by']] if not open_ else (
            'running' if c['ran'] else 'paused')
        end = as_of if open_ else c['ended_at']
        due, breach = c['due_at'], c['breach_at']
        if not late and c['ran']:               # what is left, from the end on: the same instant as from earlier
            due = r.hours.add(end, r.target - c['elapsed'])
            breach = r.hours.next_open(due) if open_ else None
        return dict({k: c[k] for k in ('started_at', 'ended_at', 'ended_by', 'elapsed', 'elapsed_wall', 'paused')},
                    status=status, due_at=due, breach_at=breach, target=r.target, version=r.version,
                    segment=c['priority'], owner=c['policy'], remaining=r.target - c['elapsed'] if open_ else None,
                    overdue=c['elapsed'] - r.target if late and c['elapsed'] > r.target else None,
                    beyond_horizon=r.hours.beyond(end) or status == 'running' and r.hours.beyond(due))


def marks_of_tickets():
    """{ticket: [(time, name, value)]} from the files, in plain Python."""
    out = collections.defaultdict(list)
    for r in landed['ticket']:
        out[r['id']].append((micros(r['created_at']), 'created', None))
    for r in landed['ticket_sla_policy']:
        out[r['ticket_id']].append((micros(r['policy_applied_at']), 'policy', int(r['sla_policy_id'])))
    for r in landed['ticket_field_history']:
        if r['field_name'] == 'status':
            out[r['ticket_id']].append((micros(r['updated']), r['value'], None))
        elif r['field_name'] == 'priority':
            out[r['ticket_id']].append((micros(r['updated']), 'priority', PRIORITIES.get(r['value'])))
    told = {r['ticket_id'] for r in landed['ticket_field_history'] if r['field_name'] == 'status'}
    for r in landed['ticket']:
        if r['id'] not in told:
            out[r['id']].append((micros(r['updated_at']), r['status'], None))
    return dict(out)


# -- every clock -------------------------------------------------------------------------------------------------------
TIMES = ('started_at', 'ended_at', 'elapsed', 'elapsed_wall', 'paused', 'due_at', 'breach_at', 'target', 'remaining',
         'overdue')
TEXTS = ('status', 'ended_by', 'version', 'segment', 'owner', 'beyond_horizon')
COLUMNS = ', '.join(['%s as %s' % (us(c), c) for c in TIMES] + list(TEXTS))


def clocks(metric, as_of, source='story', sla='zendesk'):
    """{ticket and clock number: row}."""
    return {'%(ticket)s %(clock_no)s' % r: {k: r[k] for k in TIMES + TEXTS} for r in db.rows(
        "select ticket, clock_no, %s from %s, %s x, sla_clocks(j, x.s, %s) where metric = '%s'"
        % (COLUMNS, source, sla, instant(as_of), metric))}


def counts(metric, as_of, source='story', sla='zendesk'):
    some = ('started', 'met', 'breached', 'running', 'paused', 'cancelled', 'overdue', 'not_covered', 'beyond_horizon')
    return db.row("select %s from (select sla_breach(j, x.s, %s) as b from %s, %s x where metric = '%s') q" % (
        ', '.join('%s(b) as %s' % (c, c) for c in some), instant(as_of), source, sla, metric))


def tally(rows, not_covered):
    n = collections.Counter(r['status'] for r in rows)
    return dict({s: n[s] for s in ('met', 'breached', 'running', 'paused', 'cancelled')}, started=len(rows),
                not_covered=not_covered, overdue=sum(r['status'] == 'breached' and r['ended_at'] is None for r in rows),
                beyond_horizon=sum(r['beyond_horizon'] for r in rows))


def truth(metric, as_of, stories, restart=False):
    return {'%s %d' % (ticket, i): row for ticket, marks in stories.items()
            for i, row in enumerate(Walk(metric, marks, as_of, restart).rows, 1)}


def check(what, metric, as_of, stories, source='story', restart=False):
    sla = 'restarting' if restart else 'zendesk'
    want = truth(metric, as_of, stories, restart)
    tap.table('%s %s: every clock' % (metric, what), clocks(metric, as_of, source, sla), want)
    not_covered = sum(Walk(metric, marks, as_of).not_covered for marks in stories.values())
    tap.eq(counts(metric, as_of, source, sla), tally(list(want.values()), not_covered),
           '%s %s: the summary' % (metric, what))
    return want


tickets = marks_of_tickets()
TIMES_TO_LOOK = ('2020-02-28T12:00', '2020-05-20T00:00', '2020-06-15T08:30', '2020-08-29T09:00', '2020-09-02T12:00',
                 '2020-10-16T00:00', '2020-11-10T17:00', '2021-01-13T20:09:16', '2023-01-05T00:00')
for metric in ('first_reply_time', 'requester_wait_time', 'agent_work_time'):
    for restart in (False, True):
        for at in TIMES_TO_LOOK:
            want = truth(metric, micros(at), tickets, restart)
            if want:
                check('as of %s%s' % (at, ', restarted' * restart), metric, micros(at), tickets, restart=restart)
            else:                               # only first_reply_time has a ticket of policy 1001 by then
                tap.eq(clocks(metric, micros(at)), {}, '%s as of %s: no clock yet' % (metric, at))
NOW = micros('2021-01-13T20:09:16')
tap.eq({m: counts(m, NOW)['started'] for m in ROLES},
       {'first_reply_time': 10, 'next_reply_time': 0, 'requester_wait_time': 3, 'agent_work_time': 3},
       'ten tickets were created, three of them under a policy with waiting times')
tap.eq({m: counts(m, NOW)['not_covered'] for m in ROLES},
       {'first_reply_time': 0, 'next_reply_time': 0, 'requester_wait_time': 7, 'agent_work_time': 7},
       'the other seven are not covered there')

# -- by hand -----------------------------------------------------------------------------------------------------------
first = clocks('first_reply_time', NOW)
at = lambda text: micros(text)
tap.eq({t: [first[t + ' 1'][k] for k in ('status', 'ended_by', 'version', 'due_at')] for t in (
    '1595', '1966', '6171', '16988', '11071', '4721')}, {
    # deleted after 19 seconds, on a Tuesday at 17:54:52: 5:54:52 hours would have been left for Wednesday
    '1595': ['cancelled', 'cancel', '1001 of 2020-01-01, any priority', at('2020-02-19T21:54:52')],
    # Wednesday 22:05 in California: 8 hours from Thursday 8:00
    '1966': ['breached', 'cancel', '1001 of 2020-01-01, any priority', at('2020-02-28T00:00:00')],
    # a Sunday in summer time: 8 hours from Monday 8:00; still version 1, closed an hour before version 2
    '6171': ['breached', 'cancel', '1001 of 2020-01-01, any priority', at('2020-05-18T23:00:00')],
    # Monday 16:19:23, version 2: 6 hours, 3:40:37 of them on that day; solved three weeks later
    '16988': ['breached', 'cancel', '1001 of 2020-06-01, any priority', at('2020-12-22T18:19:23')],
    # 16 hours of wall time with the priority it had: normal; at the end it is urgent
    '11071': ['breached', 'cancel', '1002 of 2020-01-01', at('2020-08-29T10:06:36')],
    '4721': ['breached', 'cancel', '1002 of 2020-01-01, any priority', at('2020-04-21T06:31:46')]},
       'first replies, by hand')
wait = clocks('requester_wait_time', NOW)['11071 1']
# Open for 16:54:51, then pending; on hold from 2020-09-02 11:01:27: 32 hours are over 15:05:09 later.
tap.eq([wait[k] for k in ('status', 'due_at', 'breach_at', 'segment', 'target', 'ended_by')],
       ['breached', at('2020-09-03T02:06:36'), at('2020-09-03T02:06:36'), 5, 240 * MINUTE, 'stop'],
       'ticket 11071 waited too long while its priority was normal')
# 16:54:51 open, 72 h on hold, 15 days open, 14 days on hold, 2 open, 3 on hold, 12 open; the rest pending.
tap.eq([wait['elapsed'], wait['paused']], [at('1970-01-01T16:54:51') + (3 + 15 + 14 + 2 + 3 + 12) * 24 * HOUR,
                                          (4 + 10 + 1 + 13) * 24 * HOUR], 'and waited that long in all')
worked = clocks('agent_work_time', NOW)['11071 1']
tap.eq([worked['elapsed'], worked['due_at']],
       [at('1970-01-01T16:54:51') + (15 + 2 + 12) * 24 * HOUR, at('2020-09-16T02:06:36')],
       'an agent does not work while it is on hold')
again = clocks('requester_wait_time', NOW, sla='restarting')['11071 1']
tap.eq([again['elapsed'], again['breach_at']], [12 * 24 * HOUR, at('2020-09-03T02:06:36')],
       'counted anew with each priority: 12 days of urgent, breached all the same')
tap.eq(min(m[0] for m in tickets['11071']) - at('2020-08-28T18:06:36'), -(7 * HOUR + 5 * MINUTE + 9 * 1000 * 1000),
       'its history begins 7:05:09 before it was created')

# -- what is easily got wrong ------------------------------------------------------------------------------------------
# Targets by the priority a ticket has now.
db.run("""
    create temp table by_current as
      select ticket, journey(no, at, coalesce(value, current)) as j from (
        select m.ticket, n.no, case when m.name = 'priority' then p.no end as current,
          case when m.name = 'priority' then null else m.value end as value, m.at
        from mark_row m join name n using (name) join ticket t on t.id::bigint = m.ticket
          left join priority p on p.name = t.priority
      ) q group by 1;""")
now = {m: clocks(m, NOW, 'by_current')['11071 1'] for m in ('first_reply_time', 'requester_wait_time')}
tap.eq([now['first_reply_time']['due_at'], now['requester_wait_time']['due_at']],
       [at('2020-08-28T20:06:36'), at('2020-08-28T22:06:36')],
       'as if urgent from the start: breached hours or days earlier')
early = at('2020-08-29T09:00')
tap.eq([clocks('first_reply_time', early, source)['11071 1']['status'] for source in ('story', 'by_current')],
       ['running', 'breached'], 'next morning it is in time by its priority then, late by that of November')

# Hours in UTC that are right in summer.
db.run(slas('lost_dst').replace('c.hours', 'c.lost') + ';')
lost = clocks('first_reply_time', NOW, sla='lost_dst')
differ = {k for k, r in first.items() if r['due_at'] != lost[k]['due_at']}
tap.eq(differ, {'1966 1'}, 'a lost hour moves what was created while it was closed in winter')
tap.eq(lost['1966 1']['due_at'], at('2020-02-27T23:00:00'), 'by an hour')

# The version then, not the latest.
db.run(slas('latest').replace('from target t', """from (
    select distinct on (metric, policy, priority) metric, policy, priority, business, target, since,
      tstzrange(null, null) as valid
    from target order by metric, policy, priority, since desc) t""") + ';')
latest = clocks('first_reply_time', NOW, sla='latest')
differ = {k: [first[k]['due_at'], latest[k]['due_at']] for k in first if first[k]['due_at'] != latest[k]['due_at']}
tap.eq(sorted(differ), ['1404 1', '1595 1', '1966 1', '6171 1'],
       'with the latest version: those of policy 1001 before June differ')
tap.eq(differ['1966 1'], [at('2020-02-28T00:00:00'), at('2020-02-27T22:00:00')], 'due after 6 hours instead of 8')

# Rows that came twice. Of one ticket four are alike; land everything a second time.
db.run("""
    create temp table twice as select ticket, journey(n.no, at, value) as j
      from (select * from mark_row union all select * from mark_row) m left join name n using (name) group by 1;
    create temp table numbered as select ticket, journey(n.no, at, value, seq) as j
      from (select *, row_number() over () as seq from mark_row) m join name n using (name) group by 1;""")
tap.eq(db.value('select count(*) as n from story a join twice b using (ticket) where a.j is not distinct from b.j'), 32,
       'landed twice: the same journeys')
SOLVED = ("sla('solved', start => '{solved}', stop => '{solved}', reopen => 'restart', marks => '{solved=8}', "
          "target => '1 hour')")
tap.eq([db.value("select count(*) as n from %s, sla_clocks(j, %s, '2020-03-01Z') where ticket = 102" % (t, SOLVED))
        for t in ('story', 'twice', 'numbered')], [1, 1, 4],
       'four rows alike are one mark; with a number each they are four')

# -- comments, taking turns --------------------------------------------------------------------------------------------
# Who asks and who answers is not known: say that the first asks and then they take turns, under policy 1001, normal.
comments = collections.defaultdict(list)
for r in sorted(landed['ticket_comment'], key=lambda r: (r['created'], int(r['id']))):
    comments[r['ticket_id']].append(micros(r['created']))
talks = {t: [(some[0], 'policy', 1001), (some[0], 'priority', 2)] + [
    (at, ('asked', 'replied')[i % 2], None) for i, at in enumerate(some)] for t, some in comments.items()}
db.run("""
    create temp table talk as
      select ticket, journey(no, at, value) as j from (
        select ticket_id::bigint as ticket, name, created::timestamptz as at, v.value from (
            select *, row_number() over (partition by ticket_id order by created::timestamptz, id::bigint) as i
            from ticket_comment where public::boolean) c,
          lateral (values (case when i % 2 = 1 then 'asked' else 'replied' end, null),
            (case when i = 1 then 'policy' end, 1001), (case when i = 1 then 'priority' end, 2)) v(name, value)
      ) q join name using (name) group by 1;""")
for when in ('2020-07-21T18:00', '2020-10-11T08:04', '2020-10-12T15:30', '2021-01-13T00:00'):
    want = check('in turns, as of %s' % when, 'next_reply_time', micros(when), talks, 'talk')
tap.eq([len(want), sum(len(c) for c in comments.values())], [11, 20], 'twenty comments, eleven questions')
tap.eq(collections.Counter(r['status'] for r in want.values()), {'met': 5, 'breached': 6},
       'of these six are answered late or not')
# A Saturday morning, answered on Saturday: no business hour in between.
tap.eq([want['13057 1'][k] for k in ('started_at', 'elapsed', 'status')], [at('2020-10-10T14:39:46'), 0, 'met'],
       'asked and answered on a Saturday')

# -- schedules that change ---------------------------------------------------------------------------------------------
# The audit log tells a workweek before and after, as escaped Ruby or JSON. Each change is a version from its instant
# on; of several at one instant the last by id. Before the first is what that one says it was.
db.run(r"""
    create temp table change as
      select id::bigint, source_label as label, created_at::timestamptz as at,
        replace(replace(change_description, '&amp;gt;', '>'), '&quot;', '"') as text
      from audit_log where source_label like 'Workweek: %';
    create temp table workweek as
      select label, version, valid, hours, business_calendar(label, 'America/Chicago', hours) as c
      from (
        select label, version, valid,
          coalesce((
            select array_agg(d[1] || ' ' || regexp_replace(d[2], '"(\d\d:\d\d)"(=>|:)"(\d\d:\d\d)"(, |,|$)',
              '\1-\3 ', 'g'))
            from regexp_matches(week, '(sun|mon|tue|wed|thu|fri|sat)"?(?:=>|:)\{([^}]+)\}', 'g') d), '{}') as hours
        from (
          select label, 'since ' || id as version, regexp_replace(text, '^.*\} to ', '') as week,
            tstzrange(at, lead(at) over (partition by label order by at, id)) as valid from change
          union all
          select distinct on (label) label, 'before', regexp_replace(text, '\} to .*$', '}'), tstzrange(null, at)
          from (select * from change order by label, at, id) q
        ) w
      ) h where not isempty(valid);""")
tap.eq({r['label']: r['n'] for r in db.rows('select label, count(*) as n from change group by 1')},
       {'Workweek: Central US Schedule': 1, 'Workweek: New schedule here': 2, 'Workweek: New schedule 2': 4},
       'changes in the log')
tap.eq({r['label']: r['n'] for r in db.rows('select label, count(*) as n from workweek group by 1')},
       {'Workweek: Central US Schedule': 2, 'Workweek: New schedule here': 3, 'Workweek: New schedule 2': 3},
       'versions: three changes of one came at one instant, of these the last counts')


def hours_in_text(text):
    """Minutes a week, by looking for pairs of times."""
    pairs = re.findall(r'"(\d\d):(\d\d)"\D+"(\d\d):(\d\d)"', text)
    return sum(int(c) * 60 + int(d) - int(a) * 60 - int(b) for a, b, c, d in pairs)


after = {'since ' + r['id']: hours_in_text(r['change_description'].replace('&quot;', '"').split(' to {')[1])
         for r in landed['audit_log'] if r['source_label'].startswith('Workweek')}
got = {r['version']: r['x'] / 60 for r in db.rows("""
    select version, extract(epoch from business_time(c, '2024-06-02 05:00Z', '2024-06-09 05:00Z'))::int as x
    from workweek where version <> 'before'""")}
tap.table('minutes a week of each', got, {v: after[v] for v in got})
tap.eq(sorted(set(after) - set(got)), ['since 70900', 'since 70901'], 'those that held for no time have no version')
db.run("""
    create temp table central as
      select label as metric, sla(array_agg(sla('work', start => '{created}', stop => '{solved}', target => '8 hours',
        calendar => c, version => version, valid => valid))) as s from workweek group by 1;""")
for what, label, created, solved, elapsed, version in (
        # Tuesday 14:00 in Chicago, 6 hours to 20:00; on Wednesday it opens at 7:15 now: 2 hours to 9:15
        ('across a change', 'Central US Schedule', '2024-05-28T19:00', '2024-05-29T14:15', 8 * HOUR, 'since 579796'),
        # 1 second of a schedule that was open at 6:20, then 1:30 hours from 9:00
        ('across three in one day', 'New schedule 2', '2024-05-21T11:00', '2024-05-21T15:30', 90 * MINUTE + 1_000_000,
         'since 4441364'),
        ('before there was any', 'New schedule 2', '2024-05-20T15:00', '2024-05-21T11:00', 0, 'before')):
    source = "(select 1 as ticket, journey(m, a) as j from (values (1, %s), (2, %s)) v(m, a)) one" % (
        instant(micros(created)), instant(micros(solved)))
    got = clocks('Workweek: ' + label, micros('2024-06-01'), source, 'central')['1 1']
    tap.eq([got[k] for k in ('elapsed', 'status', 'version')], [elapsed, 'met', version],
           'a schedule that changes: ' + what)
old = db.value("select %s as x from workweek where label like '%%Central%%' and version = 'before'"
               % us("business_time(c, '2024-05-28 19:00Z', '2024-05-29 14:15Z')"))
tap.eq(old, 6 * HOUR + 75 * MINUTE, 'by the old one alone it would be 7:15 hours')
last_wins = db.value("select %s as x from workweek where version = 'since 4441364'"
                     % us("business_time(c, '2024-05-21 11:00Z', '2024-05-21 15:30Z')"))
tap.eq(last_wins, 90 * MINUTE, 'were the last change of the day that of the whole day, a second would be lost')
# Its old Sunday, 1:45 to 2:45, meets the changes of the clock: 15 minutes in March, 75 in November.
sundays = {r['day']: r['x'] / MINUTE for r in db.rows("""
    select day, %s as x from workweek, unnest('{2024-03-10, 2024-03-17, 2024-11-03}'::date[]) day
    where label like '%%Central%%' and version = 'before'
    """ % us("business_time(c, day + time '05:00', day + time '12:00')"))}
tap.eq(sundays, {'2024-03-10': 15, '2024-03-17': 60, '2024-11-03': 75}, 'minutes of an hour of Sunday night')
tap.done()
