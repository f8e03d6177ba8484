#!/usr/bin/env python3
"""Zendesk as a connector lands it, through map_zendesk() and load(), and its SLA policies as an agreed model
(SHARED/data/fivetran_seeds/zendesk).

What the views say is computed a second time from the files, row by row. The seeds say less than it seems: one ticket
(11071) has a history of its own, the other histories are of tickets that are not there, and no author of a comment is
known. Replies, a reopened ticket, rows that come twice and a deleted row are in a story of the test's own.

The SLA policies are drafted as of two times, agreed, and their clocks are those that test_zendesk_sla.py finds with
plain Python and no governed table.
"""
import collections
import csv
import glob
import os
from datetime import datetime, timezone

import harness
from harness import literal

tap, db, folder = harness.start('data/fivetran_seeds')
import refstats

LOGINS = {level: 'zendesk_' + level for level in ('loader', 'steward', 'council')}
for level, login in LOGINS.items():
    db.run("drop role if exists %s; create role %s; select grant_access(%s, '%s') \\gset" % (login, login, literal(level), login))
db.run('create schema mapped; grant create, usage on schema mapped to zendesk_loader;')


def as_(login):
    db.run('reset session authorization; drop function if exists pg_temp.sqlstate_of(text);')     # that of whoever asked before
    if login:
        db.run('set session authorization %s;' % LOGINS[login])


def at(text):
    return datetime.strptime(text, '%Y-%m-%d %H:%M:%S').replace(tzinfo=timezone.utc).isoformat()


def grant(schema):
    db.run('grant usage on schema {0} to zendesk_loader, zendesk_steward; grant select on all tables in schema {0} to zendesk_loader, zendesk_steward;'.format(schema))


def land(schema, tables):
    """{table: [row, …]} in tables of texts."""
    db.run('create schema %s;' % schema)
    for table, rows in tables.items():
        columns = list(rows[0])
        db.load('%s."%s"' % (schema, table), ', '.join('%s text' % c for c in columns), [[r[c] for c in columns] for r in rows], create='create table')
    grant(schema)


COLUMNS = ('subject_kind', 'subject_key', 'event', 'occurred_at', 'lifecycle', 'stage', 'field', 'code', 'code_list', 'party', 'actor')
Event = collections.namedtuple('Event', COLUMNS, defaults=(None,) * 7)


def mapped(landed, source, **options):
    return db.rows('select * from map_zendesk(%s, %s, %s%s)' % (literal(landed), literal(source), literal('mapped'), ''.join(
        ', %s => %s' % (k, literal(v)) for k, v in options.items())))


def events(source, where='true'):
    """The rows of a view, as a multiset without their keys."""
    return collections.Counter(Event(*[r[c] for c in COLUMNS]) for r in db.rows('select * from mapped.%s_events where %s' % (source, where)))


def links(source):
    return collections.Counter((r['from_kind'], r['from_key'], r['role'], r['to_kind'], r['to_key']) for r in db.rows('select * from mapped.%s_links' % source))


def same(got, want, text):
    tap.ok(got == want and got, text + ' (%d rows)' % sum(want.values()), *['too many %r' % (x,) for x in (got - want)][:6],
           *['missing  %r' % (x,) for x in (want - got)][:6])


def loaded(source):
    return {r['fact']: [r['rows_read'], r['loaded'], r['known'], r['rejected']] for r in db.rows('select * from load(%s)' % literal(source))}


# -- the seeds ---------------------------------------------------------------------------------------------------------
files = {os.path.basename(p)[:-len('_data.csv')]: p for p in sorted(glob.glob(os.path.join(folder, 'zendesk', '*_data.csv')))}
db.run('create schema zendesk;')
for table, path in files.items():
    with open(path, newline='', encoding='utf-8-sig') as f:
        columns = next(csv.reader(f))
    db.run('create table zendesk."%s" (%s);' % (table, ', '.join('"%s" text' % c for c in columns)))
    db.run('\\copy zendesk."%s" from %s with (format csv, header true)' % (table, literal(path)))
grant('zendesk')
read = {t: refstats.read(files[t]) for t in ('ticket', 'ticket_field_history', 'ticket_comment', 'user', 'organization', 'ticket_sla_policy')}
tap.eq({t: len(r) for t, r in read.items()},
       {'ticket': 10, 'ticket_field_history': 38, 'ticket_comment': 20, 'user': 10, 'organization': 10, 'ticket_sla_policy': 10}, 'the seeds are as expected')
as_('loader')
notes = mapped('zendesk', 'seeds')
email = {r['id']: r['email'] for r in read['user']}
want = collections.Counter()
for r in read['ticket']:
    want[Event('case', r['id'], 'created', at(r['created_at']))] += 1
    want[Event('case', r['id'], 'field_set', at(r['created_at']), field='lead_source', code=r['via_channel'])] += 1
    if r['status'] == 'deleted':
        want[Event('case', r['id'], 'stage_entered', at(r['updated_at']), 'ticket', 'deleted')] += 1
for ticket, field, when, value in {(r['ticket_id'], r['field_name'], at(r['updated']), r['value']) for r in read['ticket_field_history']}:
    if field == 'status':
        want[Event('case', ticket, 'stage_entered', when, 'ticket', value)] += 1
    elif field == 'assignee_id':
        want[Event('case', ticket, 'assigned', when, party=email[value])] += 1
    elif field == 'priority':
        for name in ('priority', 'segment'):
            want[Event('case', ticket, 'field_set', when, field=name, code=value)] += 1
for r in read['organization']:
    want[Event('account', r['id'], 'created', at(r['created_at']))] += 1
for r in read['ticket_sla_policy']:            # the policy with the priority then, and again with each later one
    priorities = sorted((at(h['updated']), h['value']) for h in read['ticket_field_history'] if (h['ticket_id'], h['field_name']) == (r['ticket_id'], 'priority'))
    applied = at(r['policy_applied_at'])
    for when in [applied] + [t for t, _ in priorities if t > applied]:
        now = [p for t, p in priorities if t <= when]
        want[Event('case', r['ticket_id'], 'field_set', when, field='sla_target', code=' '.join([r['sla_policy_id']] + now[-1:]), code_list='segment')] += 1
same(events('seeds'), want, 'every event of the seeds')
tap.eq(collections.Counter(e.event for e in want.elements()), {'created': 20, 'field_set': 10 + 10 + 13, 'assigned': 2, 'stage_entered': 29}, 'so many of each kind')
tap.eq([collections.Counter(e.subject_key for e in events('seeds', "event = 'stage_entered'").elements())[t] for t in ('11071', '102', '1595', '1966')], [13, 1, 1, 0],
       'visits of some tickets: four rows alike are one, a deleted one is deleted, no history is no visit')
same(links('seeds'), collections.Counter(
    {('case', r['id'], 'account', 'account', r['organization_id']) for r in read['ticket'] if r['organization_id']}
    | {('case', r['id'], 'contact_role', 'person', r['requester_id']) for r in read['ticket']}
    | {('person', r['id'], 'account', 'account', r['organization_id']) for r in read['user'] if r['role'] == 'end-user'}), 'every link of the seeds')
tap.eq([r['x'] for r in db.rows("select coalesce(stage, event || coalesce(' ' || field, '')) as x from mapped.seeds_events where subject_key = '11071' and occurred_at = '2020-08-28 11:01:27Z' "
                                "order by seq, field")],
       ['field_set priority', 'field_set segment', 'assigned', 'open'], 'four rows of one instant in a fixed order')
n = sum(want.values())
tap.eq(db.row('select count(*) as n, count(source_key) as keys, count(distinct source_key) as distinct from mapped.seeds_events'), {'n': n, 'keys': n, 'distinct': n},
       'each event has a key of its own')
KEYS = "select md5(string_agg(source_key, ',' order by source_key collate \"C\")) as m from mapped.seeds_events"
keys = db.value(KEYS)
db.run("set time zone 'Asia/Kathmandu'; set datestyle = 'German';")
tap.eq(db.value(KEYS), keys, 'which no setting changes')
tap.eq(db.value("select count(*) as n from mapped.seeds_events where source_key = 'ticket/1966/created' and occurred_at = '2020-02-27 06:05:08+00'"), 1,
       'nor the times: the connector writes UTC')
tap.eq(loaded('seeds'), {'event': [n, n, 0, 0], 'link': [28, 28, 0, 0]}, 'all of it is loaded')
db.settings()
tap.eq(loaded('seeds'), {'event': [n, 0, n, 0], 'link': [28, 0, 28, 0]}, 'and known the next time')
as_(None)
db.run("insert into zendesk.ticket_field_history (field_name, ticket_id, updated, value) values ('status', '16988', '2021-01-14 10:00:00', 'solved'), "
       "('status', '16988', '2021-01-15 10:00:00', 'open'), ('assignee_id', '16988', '2021-01-15 10:00:00', '1111'), ('priority', '16988', '2021-01-15 10:00:00', 'high');")
as_('loader')
tap.eq(loaded('seeds')['event'], [n + 7, 7, n, 0], 'four rows more: two visits, reopened, another assignee, a priority, which is a segment and a target too')
as_(None)
db.run("delete from zendesk.ticket_field_history where ticket_id = '16988';")

# -- the same, typed and in camel case ---------------------------------------------------------------------------------
db.run('create schema "Camel";')
typed = collections.Counter()
for table in files:
    parts = []
    for c in [r['c'] for r in db.rows("select attname as c from pg_attribute where attrelid = 'zendesk.\"%s\"'::regclass and attnum > 0 order by attnum" % table)]:
        kind = next((t for t, pattern in (('bigint', r'^\d{1,18}$'), ('boolean', '^(TRUE|FALSE)$'), ('timestamp', r'^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?$')) if db.value(
            'select coalesce(bool_and("%s" ~ %s), false) as x from zendesk."%s" where "%s" is not null' % (c, literal(pattern), table, c))), 'text')
        kind = 'timestamptz' if kind == 'timestamp' and c != 'updated' else kind          # and one that was landed without a zone
        typed[kind] += 1
        parts.append('("%s"%s)::%s as "%s"' % (c, " || ' UTC'" if kind == 'timestamptz' else '', kind, ''.join(w.capitalize() for w in c.split('_'))))
    db.run('create table "Camel"."%s" as select %s from zendesk."%s";' % (''.join(w.capitalize() for w in table.split('_')), ', '.join(parts), table))
tap.ok(all(typed[t] for t in ('bigint', 'boolean', 'timestamptz', 'timestamp', 'text')), 'columns of five types', typed)
grant('"Camel"')
as_('loader')
mapped('Camel', 'camel')
DIFFER = '(table mapped.seeds_%s except all table mapped.camel_%s) union all (table mapped.camel_%s except all table mapped.seeds_%s)'
tap.eq([db.value('select count(*) as n from (%s) x' % (DIFFER % ((what,) * 4))) for what in ('events', 'links')] + [sum(events('camel').values())], [0, 0, n],
       'the same events and links, keys and all')

# -- a story -----------------------------------------------------------------------------------------------------------
T = '2024-03-04 %s:00'
story = {
    'ticket': [dict(zip(('id', '_fivetran_deleted', 'created_at', 'updated_at', 'status', 'priority', 'via_channel', 'assignee_id', 'group_id', 'requester_id', 'organization_id'), r)) for r in (
        ('1', 'false', T % '09:00', T % '15:00', 'open', 'high', 'web', '7', '70', '5', '50'), ('2', 'true', T % '09:00', T % '09:30', 'open', 'low', 'web', '7', '70', '5', '50'),
        ('3', 'false', T % '10:00', T % '11:00', 'solved', '', 'email', '8', '71', '7', ''))],
    'ticket_field_history': [dict(zip(('ticket_id', 'field_name', 'updated', 'value', 'user_id'), r)) for r in (
        ('1', 'status', T % '09:00', 'new', '5'), ('1', 'group_id', T % '09:00', '70', '5'), ('1', 'priority', T % '09:00', 'normal', '5'), ('1', 'assignee_id', T % '09:10', '7', '7'),
        ('1', 'status', T % '09:10', 'open', '7'), ('1', 'status', T % '09:10', 'open', '7'), ('1', 'status', T % '10:00', 'solved', '7'), ('1', 'status', T % '10:30', 'open', '5'),
        ('1', 'assignee_id', T % '10:40', '', '7'), ('1', 'assignee_id', T % '10:50', '8', '6'), ('1', 'status', T % '11:00', 'solved', '6'), ('1', 'status', T % '12:00', 'closed', ''),
        ('1', 'priority', T % '10:30', 'high', '7'), ('1', 'subject', T % '10:30', 'Help', '7'), ('2', 'status', T % '09:00', 'new', '5'))],
    'ticket_comment': [dict(zip(('id', 'ticket_id', 'created', 'public', 'user_id'), r)) for r in (
        ('c1', '1', T % '09:00', 'true', '5'), ('c2', '1', T % '09:20', 'true', '7'), ('c3', '1', T % '09:30', 'false', '7'), ('c4', '1', T % '09:40', 'true', '9'),
        ('c5', '1', T % '09:50', 'true', '404'), ('c6', '2', T % '09:20', 'true', '7'), ('c7', '3', T % '10:00', 'true', '7'), ('c8', '1', T % '09:55', 'TRUE', '6'))],
    'user': [dict(id=i, email=e, role=r, organization_id=o) for i, e, r, o in (('5', 'eve@y.example', 'end-user', '50'), ('6', 'root@x.example', 'admin', ''), ('7', 'ann@x.example', 'agent', '60'),
                                                                               ('9', 'cc@y.example', 'end-user', ''))],
    'group': [dict(id='70', name='Support')]}
as_(None)
land('story', story)
as_('loader')
mapped('story', 'story', lifecycle='status')
D = '2024-03-04T%s:00+00:00'


def of(ticket, event, when, *values, **named):
    return Event('case', ticket, event, D % when, *values, **named)


want = collections.Counter([
    of('1', 'created', '09:00'), of('3', 'created', '10:00'), of('1', 'field_set', '09:00', field='lead_source', code='web'), of('3', 'field_set', '10:00', field='lead_source', code='email'),
    of('1', 'stage_entered', '09:00', 'status', 'new'), of('1', 'stage_entered', '09:10', 'status', 'open', actor='ann@x.example'),
    of('1', 'stage_entered', '10:00', 'status', 'solved', actor='ann@x.example'),
    of('1', 'stage_entered', '10:30', 'status', 'open'), of('1', 'reopened', '10:30'), of('1', 'stage_entered', '11:00', 'status', 'solved', actor='root@x.example'),
    of('1', 'stage_entered', '12:00', 'status', 'closed'),
    of('1', 'field_set', '09:00', field='group', code='Support'), of('1', 'assigned', '09:10', party='ann@x.example', actor='ann@x.example'),
    of('1', 'assigned', '10:50', party='story/user/8', actor='root@x.example'),
    of('1', 'touch_in', '09:00'), of('1', 'touch_out', '09:20', actor='ann@x.example'), of('1', 'touch_in', '09:40'), of('1', 'touch_out', '09:55', actor='root@x.example'),
    of('3', 'touch_in', '10:00', actor='ann@x.example')]
    + [of('1', 'field_set', when, field=f, code=c, actor=a) for when, c, a in (('09:00', 'normal', None), ('10:30', 'high', 'ann@x.example')) for f in ('priority', 'segment')])
same(events('story'), want, 'every event of the story')
same(links('story'), collections.Counter([('case', '1', 'account', 'account', '50'), ('case', '1', 'contact_role', 'person', '5'), ('case', '3', 'contact_role', 'person', '7'),
                                          ('person', '5', 'account', 'account', '50')]), 'links of the story')
m = sum(want.values())
tap.eq([loaded('story')['event'], loaded('story')['event']], [[m, m, 0, 0], [m, 0, m, 0]], 'loaded once, known twice')
as_(None)
db.run("""create schema bare; create table bare."Tickets" as select * from story.ticket; create table bare.ticket_comments as select * from story.ticket_comment;
    create table bare.ticket_sla_policy as select '1' as ticket_id, 'gold' as sla_policy_id, '2024-03-04 09:00:00'::timestamp as policy_applied_at; create schema none; create schema keyless;
    create table keyless.ticket (name text);""")
for schema in ('bare', 'none', 'keyless'):
    grant(schema)
as_('loader')
notes = mapped('bare', 'bare')
same(events('bare', "subject_key = '1'"), collections.Counter([
    of('1', 'created', '09:00'), of('1', 'field_set', '09:00', field='lead_source', code='web'), of('1', 'field_set', '09:00', field='priority', code='high'),
    of('1', 'field_set', '09:00', field='segment', code='high'), of('1', 'field_set', '09:00', field='group', code='70'), of('1', 'assigned', '09:00', party='bare/user/7'),
    of('1', 'field_set', '09:00', field='sla_target', code='gold high', code_list='segment'),
    of('1', 'stage_entered', '09:00', 'ticket', 'open'), of('1', 'touch_in', '09:00')] + [of('1', 'touch_out', t) for t in ('09:20', '09:40', '09:50', '09:55')]),
    'without history, users and groups: what is known now')
tap.eq(events('bare', "stage = 'solved'"), {of('3', 'stage_entered', '11:00', 'ticket', 'solved'): 1}, 'solved when it was last updated')
missing = {r['relation'] for r in notes if r['note'].startswith('not landed')}
tap.eq(missing, {'ticket_field_history', 'user', 'group', 'organization'}, 'and what is missing is said')
tap.eq([db.sqlstate("select * from map_zendesk('none')"), db.sqlstate("select * from map_zendesk('keyless')")], ['42P01', '42703'], 'without tickets, or keys of them, it is an error')

# -- SLA policies ------------------------------------------------------------------------------------------------------
def agreed(since, until=None):
    """Draft the policies as of a time, and agree to them; what was drafted."""
    as_('steward')
    number = db.value("select draft_change('SLAs of Zendesk', %s, %s, true) as n" % (literal(since), literal(until)))
    out = db.rows("select * from draft_zendesk_slas('zendesk', change => %d)" % number)
    db.value('select propose_change(%d) as n' % number)
    as_('council')
    tap.eq(db.value('select approve(%d) as n' % number), 'approved', 'what was drafted as of %s is agreed' % since)
    as_(None)
    return [r['drafted'] for r in out]


as_('steward')
tap.eq(db.sqlstate("select * from draft_zendesk_slas('zendesk')"), '55000', 'without a draft there is nothing to put them into')
ALL = ['calendar Zendesk SupportCA', 'SLA first_reply_time', 'SLA next_reply_time', 'SLA requester_wait_time']
tap.eq(agreed('2020-01-01 00:00Z', '2020-06-01 00:00Z'), ['lifecycle ticket'] + ALL, 'of early 2020: a lifecycle, a calendar, three SLAs')
tap.eq(agreed('2020-06-01 00:00Z'), ['lifecycle ticket'] + ALL, 'of June')
targets = {(r['key'], r['since']): r['target'] for r in db.rows("""
    select t.policy || ' ' || t.segment as key, lower(v.valid)::date as since, extract(epoch from t.target) / 60 as target
    from revacct_data.policy_target t join revacct_data.validity v using (version_id)""")}
landed = collections.defaultdict(list)
for r in refstats.read(files['sla_policy_metric_history']):
    landed['%s %s %s' % (r['metric'], r['sla_policy_id'], r['priority'])].append((r['sla_policy_updated_at'][:10], int(r['target'])))
tap.eq(targets, {(k, since): [t for s, t in sorted(rows) if s <= since][-1] for k, rows in landed.items() for since in ('2020-01-01', '2020-06-01')},
       'the targets in force at each time')
tap.eq(db.value("select business_time(business_calendar('Zendesk SupportCA'), '2020-03-01 08:00Z', '2020-03-08 08:00Z') as x"), '60:00:00', 'sixty hours a week')
tap.eq(db.value("select business_time(business_calendar('Zendesk SupportCA'), '2020-02-03 15:00Z', '2020-02-03 17:00Z') as x"), '01:00:00', 'from 16:00 UTC on in winter')
as_('loader')
tap.eq(loaded('seeds')['event'][1:], [0, n, 0], 'nothing of the tickets is told otherwise by now')
db.run('select count(*) from refresh() \\gset')
as_(None)
CLOCKS = """
    select s.subject_key as ticket, c.status, c.ended_by, c.due_at, c.breach_at
    from revacct_data.journey j join revacct_data.subject s using (subject_id) join revacct_data.source o using (source_no), sla_clocks(j.journey, (select sla('%s')), '2021-01-13 20:09:16Z') c
    where o.source = 'seeds' and s.kind = 'case' and s.subject_key = '11071'"""
# as test_zendesk_sla.py finds them by hand
tap.eq(db.rows(CLOCKS % 'first_reply_time'), [dict(ticket='11071', status='breached', ended_by='cancel', due_at='2020-08-29T10:06:36+00:00', breach_at='2020-08-29T10:06:36+00:00')],
       'the first reply is late by the priority of that time')
tap.eq(db.rows(CLOCKS % 'requester_wait_time'), [dict(ticket='11071', status='breached', ended_by='stop', due_at='2020-09-03T02:06:36+00:00', breach_at='2020-09-03T02:06:36+00:00')],
       'and so is the answer')
# Schedules that go over midnight, round the clock, on a holiday; metrics that are no clock, or have no hours.
land('hours', {
    'schedule': [dict(id=i, name=n, time_zone='London', start_time=a, end_time=b, created_at=c, _fivetran_deleted=d) for i, n, a, b, c, d in (
        ('1', 'Night', 1440 + 1320, 2880 + 360, '2024-01-02', 'false'), ('1', 'Night', 2880 + 1320, 4320, '2024-01-02', 'false'), ('2', 'Always', 0, 10080, '2024-01-01', 'false'),
        ('3', 'Gone', 0, 60, '2024-01-03', 'true'))],
    'schedule_holiday': [dict(schedule_id='1', start_date=a, end_date=b, _fivetran_deleted=d) for a, b, d in (
        ('2024-12-25', '2024-12-26', 'false'), ('2025-01-01', '2025-01-01', 'false'), ('2025-01-02', '2025-01-02', 'true'))],
    'sla_policy_metric_history': [dict(sla_policy_id='9', metric=m, priority='low', target='90', business_hours=b, sla_policy_updated_at=t) for m, b, t in (
        ('agent_work_time', 'true', '2024-01-01 00:00:00'), ('periodic_update_time', 'false', '2024-01-01 00:00:00'), ('total_resolution_time', 'false', '2099-01-01 00:00:00'))]})
as_('steward')
number = db.value("select draft_change('Hours') as n")
tap.eq([(r['drafted'], r['note'].split(':')[0].split(';')[0]) for r in db.rows("select * from draft_zendesk_slas('hours', 'status')")],
       [('lifecycle status', 'its stages are the statuses of tickets'), ('calendar Zendesk Always', 'business hours of the SLAs'),
        ('calendar Zendesk Night', 'not used'), ('SLA agent_work_time', '1 targets, as of %s' % db.value("select (now() at time zone 'UTC')::date as d")), ('SLA periodic_update_time', 'left out')],
       'what was drafted and what was not; what is of the future is not there yet')
as_(None)
tap.eq({r['calendar']: [r['hours'], r['holidays']] for r in db.rows("select calendar, hours, holidays from revacct_data.calendar where calendar ~ 'Night|Always'")}, {
    'Zendesk Night': [['mon 22:00-24:00', 'tue 00:00-06:00', 'tue 22:00-24:00'], ['2024-12-25', '2024-12-26', '2025-01-01']],
    'Zendesk Always': [['%s 00:00-24:00' % d for d in ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')], []]}, 'hours by day, and holidays')
db.run('drop table hours.schedule, hours.schedule_holiday;')
as_('steward')
db.run('select withdraw_change(%d) \\gset' % number)
db.run("select draft_change('No hours') \\gset")
tap.eq([r['note'] for r in db.rows("select * from draft_zendesk_slas('hours', 'status')") if r['drafted'] == 'SLA agent_work_time'],
       ['left out: it is in business hours, and no schedule is landed'], 'no schedule, no business hours')
db.run('select withdraw_change() \\gset')
tap.eq(db.sqlstate("select draft_change('x'); select * from draft_zendesk_slas('none')"), '42P01', 'without SLA policies it is an error')
tap.eq([db.value('select _zendesk_time_zone(%s) as z' % literal(z)) for z in ('Pacific Time (US & Canada)', 'London', 'Europe/Rome', 'UTC', 'Mars', 'Osaka', '%')],
       ['America/Los_Angeles', 'Europe/London', 'Europe/Rome', 'UTC', None, 'Asia/Tokyo', None], 'time zones as Zendesk calls them')
tap.done()
