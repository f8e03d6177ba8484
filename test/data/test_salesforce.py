#!/usr/bin/env python3
"""Salesforce's tables, as connectors land them, through map_salesforce() and load().

Two sets of real tables: an export of an org with OpportunityHistory (SHARED/data/salesforce_demo_org, all text, American
dates) and the seeds of a connector with versions of records (SHARED/data/fivetran_seeds/salesforce). What they do not have
(field history, contact roles, activities, a lead that was converted after its status had changed) is made here.

Every answer of the reference that is about events is read from the events, before load() and after it.
"""
import collections
import csv
import re

import harness
from harness import literal

tap, db, folder = harness.start('data/salesforce_demo_org')
import os

ref = harness.reference(folder)
seeds = os.path.join(os.path.dirname(folder), 'fivetran_seeds', 'salesforce')
CURRENCY = 'USD'
db.run("select grant_access('loader', current_user::regrole);")


def rows_of(path):
    with open(path, encoding='utf-8-sig', newline='') as f:
        return list(csv.DictReader(f))


def snake(name):
    """CreatedDate → created_date, as connectors do."""
    return re.sub(r'\W+', '_', re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', name)).lower().replace('__c', '_c')


def land(schema, table, rows, spelling=str, types=lambda column: 'text'):
    columns = list(rows[0])
    quoted = ['"%s"' % spelling(c) for c in columns]
    db.run('create schema if not exists %s; create table %s."%s" (%s);' % (
        schema, schema, table, ', '.join('%s %s' % (q, types(c)) for q, c in zip(quoted, columns))))
    put(schema, table, rows, spelling)


def put(schema, table, rows, spelling=str):
    """Add rows; what is empty is NULL."""
    text = lambda v: '\\N' if v in ('', None) else str(v).replace('\\', '\\\\').replace('\t', '\\t').replace('\n', '\\n')
    db.run('copy %s."%s" (%s) from stdin;\n%s\\.' % (schema, table, ', '.join('"%s"' % spelling(c) for c in rows[0]),
                                                    ''.join('\t'.join(text(v) for v in r.values()) + '\n' for r in rows)))


def notes(schema, source, **more):
    given = ''.join(', %s => %s' % (k, literal(v)) for k, v in more.items())
    return {r['relation']: r['note'] for r in db.rows("select * from map_salesforce(%s, %s%s)" % (literal(schema), literal(source), given))}


def load(source):
    return {r['fact']: r for r in db.rows('select * from load(%s)' % literal(source))}


def counts(query):
    return {r['k']: r['n'] for r in db.rows(query)}


def answers(events):
    """What the reference folder answers, from a relation of events."""
    last = """select distinct on (subject_key) subject_key, stage from %s where event = 'stage_entered' and subject_kind = '%%s'
              order by subject_key, occurred_at desc, seq desc""" % events
    ever_won = """select sum(amount) as n from (select distinct on (subject_key) subject_key, amount from %s where event = 'field_set' and field = 'amount'
                  and subject_kind = 'opportunity' order by subject_key, occurred_at, seq) first_amount
                  where subject_key in (select subject_key from %s where event = 'stage_entered' and stage = 'Closed Won')""" % (events, events)
    now = """select distinct on (subject_key) subject_key, amount from %s where event = 'field_set' and field = 'amount' and subject_kind = 'opportunity'
             order by subject_key, occurred_at desc, seq desc""" % events
    moves = """select subject_key, lag(stage) over w as stage_before, stage from %s where event = 'stage_entered' and subject_kind = 'opportunity'
               window w as (partition by subject_key order by occurred_at, seq)""" % events
    return {
        'opportunities': db.value("select count(*) as n from %s where event = 'created' and subject_kind = 'opportunity'" % events),
        'stage_now': counts("select stage as k, count(*) as n from (%s) q group by 1" % (last % 'opportunity')),
        'transitions': counts("select stage_before || ' > ' || stage as k, count(*) as n from (%s) q where stage_before is not null group by 1" % moves),
        'won_then_lost': [r['k'] for r in db.rows("""select subject_key as k from (%s) q where stage_before = 'Closed Won' and stage = 'Closed Lost'
                                                     order by subject_key collate "C" """ % moves)],
        'amount_by_stage_now': counts("select stage as k, coalesce(sum(amount), 0) as n from (%s) s left join (%s) a using (subject_key) group by 1" % (last % 'opportunity', now)),
        'ever_won': db.value(ever_won),
        'first_and_last': list(db.row("""select to_char(min(occurred_at), 'YYYY-MM-DD HH24:MI:SS') as a, to_char(max(occurred_at), 'YYYY-MM-DD HH24:MI:SS') as b
                                         from %s where event = 'stage_entered' and subject_kind = 'opportunity'""" % events).values()),
        'lead_status': counts("select stage as k, count(*) as n from (%s) q group by 1" % (last % 'lead')),
        'lead_source': counts("select code as k, count(*) as n from %s where event = 'field_set' and field = 'lead_source' and subject_kind = 'lead' group by 1" % events)}


want = {'opportunities': ref['quality']['opportunities'], 'stage_now': ref['stage_now'], 'transitions': ref['transitions'], 'won_then_lost': ref['won_then_lost_reversals'],
        'amount_by_stage_now': ref['amount_by_stage_now'], 'ever_won': ref['amount_ever_won_by_history'],
        'first_and_last': [ref['quality']['first_ts'], ref['quality']['last_ts']], 'lead_status': ref['lead_status'], 'lead_source': ref['lead_source']}
want['stage_now'] = dict(want['stage_now'])

# What is in the ledger, under the names of the contract: corrected events are out.
LEDGER = """
    create or replace view in_ledger as
      select s.kind as subject_kind, s.subject_key, r.source, e.occurred_at, e.source_key, e.seq, e.amount, e.currency,
             case m.kind when 'stage' then 'stage_entered' when 'event' then case when m.key ~ '_set' and m.key not in ('meeting_set', 'disposition_set') then 'field_set' else m.key end end as event,
             case m.kind when 'stage' then (_key_names(m.key))[1] end as lifecycle,
             case m.kind when 'stage' then (_key_names(m.key))[2] end as stage,
             case when m.kind = 'event' and m.key ~ '_set' then regexp_replace(m.key, '_set.*$', '') end as field,
             case when m.key in ('lead_source_set', 'segment_set') then (_key_names(c.key))[2] end as code,
             case when m.key = 'assigned' then p.party end as party
      from revacct_data.event e join revacct_data.subject s using (subject_id) join revacct_data.source r on r.source_no = e.source_no
           left join revacct_data.numbering m on m.number = e.mark and m.kind in ('stage', 'event')
           left join revacct_data.numbering c on c.number = e.value and c.kind = 'code' left join revacct_data.party p on p.party_no = e.value;
    """

# -- an export: everything is text ---------------------------------------------------------------------------------------
files = {name: rows_of('%s/%s.csv' % (folder, name)) for name in ('Account', 'Lead', 'Opportunity', 'OpportunityHistory')}
for name, rows in files.items():
    land('demo', name, rows)
db.run(LEDGER)
said = notes('demo', 'demo', currency=CURRENCY)
tap.table('every answer of the reference, from the view of events', answers('public.demo_events'), want, 0.001)
tap.ok('without created_date' in said['demo."Lead"'] or 'no created_date' in said['demo."Lead"'], 'leads without a creation date: said', said)
tap.ok('month/day/year' in said['demo."Opportunity"'] and 'industry of the account' in said['demo."Opportunity"'], 'how dates are read and what the segment is: said', said)
tap.ok('present value' in said['lead_history'] and 'present value' in said['opportunity_field_history'], 'what has no history: said', said)
tap.eq(db.value("select count(*) as n from (select source_key from demo_events group by 1 having count(*) > 1) q"), 0, 'every event has its own key')
tap.eq(db.value("select count(*) as n from demo_events where occurred_at is null or subject_key is null or source_key is null"), 0, 'and a time and a subject')

accounts = {r['Id']: r for r in files['Account']}
tap.table('an account\'s industry is the segment of its opportunities',
          counts("select code as k, count(*) as n from demo_events where field = 'segment' and subject_kind = 'opportunity' group by 1"),
          dict(collections.Counter(accounts[o['AccountId']]['Industry'] for o in files['Opportunity'] if accounts.get(o['AccountId'], {}).get('Industry'))))
tap.eq(db.rows("select currency, count(*) as n from demo_events where field = 'amount' group by 1"),
       [{'currency': CURRENCY, 'n': db.value("select count(*) as n from demo_events where field = 'amount'")}], 'amounts have the currency given')
by = collections.defaultdict(list)
from datetime import datetime
us = lambda s: datetime.strptime(s, '%m/%d/%y %I:%M %p')
for r in sorted(files['OpportunityHistory'], key=lambda r: us(r['CreatedDate'])):
    by[r['OpportunityId']].append(r)
changed = lambda column: sum(1 for rows in by.values() for before, r in zip([{column: ''}] + rows, rows) if r[column] != before[column])
tap.eq(db.value("select count(*) as n from demo_events where event = 'stage_entered' and subject_kind = 'opportunity'"), changed('StageName'), 'a stage is entered when it differs from the one before')
tap.eq(db.value("select count(*) as n from demo_events where field = 'amount'"), changed('Amount'), 'an amount is set when it differs from the one before')
tap.eq(db.value("select count(*) as n from demo_events where field = 'expected_close'"), changed('CloseDate'), 'so is the expected close')
tap.eq(sorted(r['k'] for r in db.rows("""select subject_key || ' ' || (details ->> 'value') as k from (select distinct on (subject_key) * from demo_events
                                         where field = 'expected_close' order by subject_key, occurred_at desc, seq desc) q""")),
       sorted('%s %s' % (k, datetime.strptime(v[-1]['CloseDate'], '%m/%d/%y').date()) for k, v in by.items()), 'with the date the last row of the history names')
tap.eq(counts("select to_kind as k, count(*) as n from demo_links where from_kind = 'lead' and role = 'originated' group by 1"),
       {'opportunity': sum(bool(r['ConvertedOpportunityId']) for r in files['Lead']), 'account': ref['leads_converted'],
        'person': sum(bool(r['ConvertedContactId']) for r in files['Lead'])}, 'converted leads are linked to what they became')
tap.eq(db.value("select count(*) as n from demo_links where from_kind = 'opportunity' and role = 'account'"), sum(bool(r['AccountId']) for r in files['Opportunity']), 'opportunities to their accounts')

# -- in and again ----------------------------------------------------------------------------------------------------------
n = db.value('select count(*) as n from demo_events')
n_links = db.value('select count(*) as n from demo_links')
got = load('demo')
tap.eq([(f, got[f]['rows_read'], got[f]['loaded'], got[f]['rejected']) for f in ('event', 'link')], [('event', n, n, 0), ('link', n_links, n_links, 0)], 'load() takes every row')
tap.table('every answer again, from the ledger', answers("(select * from in_ledger where source = 'demo') as l"), want, 0.001)
got = load('demo')
tap.eq([(f, got[f]['loaded'], got[f]['known'], got[f]['rejected']) for f in ('event', 'link')], [('event', 0, n, 0), ('link', 0, n_links, 0)], 'a second load() finds all of it known')
notes('demo', 'demo', currency=CURRENCY)
tap.eq([(f, r['loaded'], r['rejected']) for f, r in load('demo').items()], [('event', 0, 0), ('link', 0, 0)], 'and so it is after mapping again')
db.run("set time zone 'Australia/Lord_Howe'; set datestyle = 'SQL, DMY';")
tap.eq([(f, r['loaded'], r['rejected']) for f, r in load('demo').items()], [('event', 0, 0), ('link', 0, 0)], 'whatever the zone and the date style of the session')
db.settings()


def new_keys(source):
    """The events that a load adds."""
    before = {r['k'] for r in db.rows("select source_key as k from in_ledger where source = %s" % literal(source))}
    got = load(source)
    return sorted(r['k'] for r in db.rows("select source_key as k from in_ledger where source = %s" % literal(source)) if r['k'] not in before), got['event']['rejected']


some = 'SomeChange000000AA'
opp = next(k for k, v in by.items() if v[-1]['StageName'] == 'Prospecting')
put('demo', 'OpportunityHistory', [dict(by[opp][-1], Id=some + 'A', CreatedDate='03/08/26 09:00 AM', StageName='Qualification', IsDeleted='FALSE')])
tap.eq(new_keys('demo'), (['opportunity_history/%sA/stage' % some], 0), 'a new row of history with another stage is one new event')
put('demo', 'OpportunityHistory', [dict(by[opp][-1], Id=some + 'B', CreatedDate='03/08/26 09:30 AM', StageName='Qualification', Amount='1', IsDeleted='FALSE')])
tap.eq(new_keys('demo'), (['opportunity_history/%sB/amount' % some], 0), 'with another amount too')
put('demo', 'OpportunityHistory', [dict(by[opp][-1], Id=some + 'C', CreatedDate='03/08/26 10:00 AM', StageName='Closed Won', Amount='1', IsDeleted='TRUE')])
tap.eq(new_keys('demo'), ([], 0), 'a deleted row is none')
put('demo', 'OpportunityHistory', [dict(by[opp][-1], Id=some + 'D', CreatedDate='no date', StageName='Closed Won', Amount='1', IsDeleted='FALSE')])
tap.eq([k for k in new_keys('demo')[0]], [], 'a row whose time cannot be read is not loaded')
tap.eq(db.value("select count(*) as n from revacct_data.rejected where reason = 'it has no occurred_at' and source_key like 'opportunity_history/%sD/%%'" % some) > 0, True, 'and set aside with the reason')
db.run("""delete from demo."OpportunityHistory" where "Id" = '%sD'; update demo."Opportunity" set "AccountId" = 'another' where "Id" = %s;""" % (some, literal(opp)))
load('demo')
tap.eq([r['k'] for r in db.rows("""select t.subject_key as k from revacct_data.subject_link l join revacct_data.subject f on f.subject_id = from_subject join revacct_data.subject t on t.subject_id = to_subject
                                   where l.role = 'account' and f.subject_key = %s and upper_inf(l.recorded)""" % literal(opp))], ['another'], 'another account takes the place of the one before')

# -- another connector's spelling and types -------------------------------------------------------------------------------
SAME = """select count(*) as n from (select {0} from demo_events except all select {0} from {1}_events) q union all
          select count(*) from (select {0} from {1}_events except all select {0} from demo_events) q""".format(
    'subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, party, actor, amount, currency, seq, details::text', '{0}')


def types(column):
    return ('timestamptz' if column in ('CreatedDate', 'LastModifiedDate', 'SystemModstamp') else 'date' if column in ('CloseDate', 'ConvertedDate')
            else 'boolean' if column.startswith('Is') else 'double precision' if column == 'Amount' else 'text')


db.run("set datestyle = 'ISO, MDY';")
for name, rows in files.items():
    table = {'OpportunityHistory': 'opportunity_history'}.get(name, name.lower())
    land('typed', table, [dict(zip(r, r.values())) for r in db.rows('select * from demo."%s"' % name)], snake, types)
notes('typed', 'typed', currency=CURRENCY)
tap.eq([r['n'] for r in db.rows(SAME.format('typed'))], [0, 0], 'snake_case, with types, gives the same events')
tap.eq(db.sqlstate("select * from map_salesforce('nowhere')"), '42P01', 'a schema without opportunities is refused')

# -- versions that a connector keeps --------------------------------------------------------------------------------------
seed_types = lambda c: ('timestamptz' if c in ('_fivetran_start', '_fivetran_end', '_fivetran_synced') else 'timestamp' if re.search('_date(_time)?$|_modstamp$', c)
                        else 'boolean' if re.search('^is_|^_fivetran_(active|deleted)$', c) else 'numeric' if c == 'amount' else 'text')
tables = {re.sub('^sf_|_data$', '', f[:-4]): rows_of('%s/%s' % (seeds, f)) for f in sorted(os.listdir(seeds)) if f.endswith('.csv')}
for name in ('user', 'account', 'account_history', 'contact', 'contact_history', 'lead', 'opportunity', 'opportunity_history', 'task', 'event'):
    land('seeds', name, tables[name], types=seed_types)
said = notes('seeds', 'seeds')
tap.ok('versions' in said.get('seeds.opportunity_history', ''), 'versions of opportunities are found', said)
tap.eq(db.value("select count(*) as n from seeds_events where subject_kind = 'opportunity' and source_key like 'opportunity%'"), 0, 'all opportunities of the seeds are deleted: no event of theirs')
tap.eq(db.rows("select event, stage, source_key, to_char(occurred_at, 'YYYY-MM-DD HH24:MI') as at from seeds_events where subject_kind = 'lead' and event in ('created', 'stage_entered') order by 1"),
       [{'event': 'created', 'stage': None, 'source_key': 'lead/00Q1G00000nDnM5UAK/created', 'at': '2019-11-11 17:23'},
        {'event': 'stage_entered', 'stage': 'Converted', 'source_key': 'lead/00Q1G00000nDnM5UAK/stage/Converted', 'at': '2019-11-11 17:23'}], 'the lead of the seeds')
tap.eq(counts("select role || ' ' || to_kind as k, count(*) as n from seeds_links where from_kind = 'lead' group by 1"), {'originated account': 1, 'originated person': 1}, 'and what it became')
n_events = sum(r['is_deleted'].lower() != 'true' for r in tables['event'])
tap.eq(counts("select event as k, count(*) as n from seeds_events where event like 'meeting%' group by 1"), {'meeting_set': n_events, 'meeting_held': n_events}, 'meetings are set and held')
kinds = {'006': 'opportunity', '00Q': 'lead', '003': 'person', '001': 'account'}
tap.table('of the opportunity, else of the person, else of the account', counts("select subject_kind as k, count(*) as n from seeds_events where event = 'meeting_held' group by 1"),
          dict(collections.Counter('opportunity' if r['what_id'][:3] == '006' else kinds[(r['who_id'] or r['what_id'] or r['account_id'])[:3]] for r in tables['event'])))
tap.eq(db.value("select count(*) as n from seeds_events where event like 'touch%'"),
       sum(bool(re.search('call|mail|meeting', (r['task_subtype'] + ' ' + r['type']).lower())) for r in tables['task']), 'completed to-dos are no touches')
got = load('seeds')
tap.eq(got['event']['loaded'], db.value('select count(*) as n from seeds_events'), 'load() takes all of it')
tap.eq([(f, r['loaded'], r['rejected']) for f, r in load('seeds').items()], [('event', 0, 0), ('link', 0, 0)], 'once')

db.run("update seeds.opportunity set is_deleted = false; update seeds.opportunity set _fivetran_active = true; update seeds.opportunity_history set is_deleted = false;")
versions = tables['opportunity_history']
one = versions[0]
got = load('seeds')
tap.eq(counts("select event || coalesce(' ' || field, '') as k, count(*) as n from in_ledger where source = 'seeds' and subject_kind = 'opportunity' and source_key like 'opportunity%' group by 1"),
       {'created': len(versions), 'stage_entered': len(versions), 'assigned': len(versions), 'field_set amount': sum(bool(r['amount']) for r in versions),
        'field_set expected_close': len(versions), 'field_set lead_source': sum(bool(r['lead_source']) for r in versions), 'field_set segment': sum(bool(r['type']) for r in versions)},
       'not deleted any more: each is created, staged, owned, valued')
tap.eq(db.value("""select count(*) as n from in_ledger s join in_ledger c using (source, subject_kind, subject_key) where source = 'seeds' and subject_kind = 'opportunity'
                   and s.event = 'stage_entered' and c.event = 'created' and s.occurred_at = c.occurred_at"""), len(versions), 'what the first version says holds since the creation')
db.run("""update seeds.opportunity_history set _fivetran_active = false, _fivetran_end = '2020-01-01 10:00:00Z' where id = {0};""".format(literal(one['id'])))
put('seeds', 'opportunity_history', [dict(one, _fivetran_start='2020-01-01 10:00:00Z', is_deleted='false', stage_name='Closed Lost', amount='5', owner_id='0051G00000600MlQAI')])
user = next(r for r in tables['user'] if r['id'] == '0051G00000600MlQAI')
tap.eq(new_keys('seeds'), (['opportunity_history/%s/2020-01-01 10:00:00.000000/%s' % (one['id'], f) for f in ('amount', 'owner', 'stage')], 0), 'a new version is an event for each field that changed')
tap.eq(db.value("select party as k from in_ledger where source_key = 'opportunity_history/%s/2020-01-01 10:00:00.000000/owner'" % one['id']), user['email'].lower(), 'the owner is known by e-mail address')
db.run('alter table seeds.opportunity_history rename to kept_elsewhere; alter table seeds.opportunity rename to not_this; alter table seeds.kept_elsewhere rename to opportunity;')
said = notes('seeds', 'seeds')
tap.ok('versions' in said.get('seeds.opportunity', ''), 'versions in the table itself are found', said)
tap.eq(new_keys('seeds'), ([], 0), 'and are the same events')

# -- field history, contact roles, activities -------------------------------------------------------------------------------
U1, U2, Q = '005000000000001AAA', '005000000000002AAA', '00G000000000003AAA'
O1, O2, O3 = '006000000000001AAA', '006000000000002AAA', '006000000000003AAA'
L1, L2 = '00Q000000000001AAA', '00Q000000000002AAA'
P1, A1 = '003000000000001AAA', '001000000000001AAA'
db.run("""
    create schema made;
    create table made."User" ("Id" text, "Email" text, "Name" text);
    insert into made."User" values ('{U1}', 'Ann@Example.com', 'Ann'), ('{U2}', null, 'Bob');
    create table made."Group" ("Id" text, "Name" text);
    insert into made."Group" values ('{Q}', 'Inbound queue');
    create table made."Opportunity" ("Id" text, "AccountId" text, "StageName" text, "Amount" numeric, "CloseDate" date, "OwnerId" text, "LeadSource" text, "Type" text, "CurrencyIsoCode" text,
        "CreatedDate" timestamptz, "CreatedById" text, "LastStageChangeDate" timestamptz, "IsDeleted" boolean);
    insert into made."Opportunity" values
        ('{O1}', '{A1}', 'Closed Won', 300, '2024-05-01', '{U2}', 'Web', 'New', 'EUR', '2024-01-01 10:00Z', '{U1}', '2024-03-01 10:00Z', false),
        ('{O2}', '{A1}', 'Open', 50, null, '{U1}', null, 'New', null, '2024-02-01 10:00Z', '{U1}', '2024-02-03 10:00Z', false),
        ('{O3}', '{A1}', 'Open', 50, null, '{U1}', null, 'New', 'EUR', '2024-02-01 10:00Z', '{U1}', null, true);
    create table made."OpportunityFieldHistory" ("Id" text, "OpportunityId" text, "Field" text, "OldValue" text, "NewValue" text, "CreatedDate" timestamptz, "CreatedById" text);
    insert into made."OpportunityFieldHistory" values
        ('h1', '{O1}', 'StageName', 'Open', 'Closed Won', '2024-03-01 10:00Z', '{U1}'),
        ('h2', '{O1}', 'Amount', '100.00', '200', '2024-02-01 10:00Z', '{U1}'), ('h3', '{O1}', 'Amount', '200', '300', '2024-02-10 10:00Z', '{U1}'),
        ('h4', '{O1}', 'Owner', 'Ann', 'Bob', '2024-02-20 10:00Z', '{U1}'), ('h5', '{O1}', 'Owner', '{U1}', '{U2}', '2024-02-20 10:00Z', '{U1}'),
        ('h6', '{O1}', 'CloseDate', '2024-04-01', '2024-05-01', '2024-02-21 10:00Z', '{U1}'), ('h7', '{O1}', 'NextStep', 'a', 'b', '2024-02-21 10:00Z', '{U1}'),
        ('h8', '{O3}', 'Amount', '1', '50', '2024-02-21 10:00Z', '{U1}');
    create table made."Lead" ("Id" text, "Status" text, "OwnerId" text, "LeadSource" text, "Industry" text, "CreatedDate" timestamptz, "CreatedById" text, "IsConverted" boolean, "ConvertedDate" date,
        "ConvertedOpportunityId" text, "ConvertedContactId" text, "ConvertedAccountId" text);
    insert into made."Lead" values
        ('{L1}', 'Qualified', '{U1}', 'Web', 'Steel', '2024-01-01 08:00Z', '{U1}', true, '2024-01-01', '{O1}', '{P1}', '{A1}'),
        ('{L2}', 'New', '{Q}', 'Web', null, '2024-01-02 08:00Z', '{U1}', false, null, null, null, null);
    create table made."OpportunityContactRole" ("Id" text, "OpportunityId" text, "ContactId" text, "Role" text, "CreatedDate" timestamptz, "IsDeleted" boolean);
    insert into made."OpportunityContactRole" values ('r1', '{O1}', '{P1}', 'Buyer', '2024-01-05 10:00Z', false), ('r2', '{O1}', '{P1}', 'Other', '2024-01-04 10:00Z', false),
        ('r3', '{O2}', '{P1}', 'Buyer', '2024-01-04 10:00Z', true);
    create table made."Task" ("Id" text, "WhatId" text, "WhoId" text, "AccountId" text, "OwnerId" text, "Status" text, "IsClosed" boolean, "TaskSubtype" text, "Type" text, "CallType" text,
        "ActivityDate" date, "CompletedDateTime" timestamptz, "CreatedDate" timestamptz, "IsDeleted" boolean);
    insert into made."Task" values
        ('t1', '{O1}', '{P1}', '{A1}', '{U1}', 'Completed', true, 'Call', null, 'Outbound', '2024-01-10', '2024-01-10 12:00Z', '2024-01-09 12:00Z', false),
        ('t2', null, '{L2}', null, '{U1}', 'Completed', true, 'Email', null, null, '2024-01-03', null, '2024-01-02 09:00Z', false),
        ('t3', null, '{L2}', null, '{U2}', 'Completed', true, 'Call', null, 'Inbound', '2024-01-02', null, '2024-01-02 10:00Z', false),
        ('t4', null, '{L2}', null, '{U1}', 'Completed', true, 'Task', null, null, '2024-01-02', null, '2024-01-02 10:00Z', false),
        ('t5', null, '{L2}', null, '{U1}', 'Open', false, 'Call', null, null, '2024-01-02', null, '2024-01-02 10:00Z', false),
        ('t6', '{A1}', null, '{A1}', '{U1}', 'Completed', true, 'Task', 'Email', null, null, '2024-01-02 11:00Z', '2024-01-02 10:00Z', false),
        ('t7', null, '{L2}', null, '{U1}', 'Completed', true, 'ListEmail', null, null, null, '2024-01-02 11:00Z', '2024-01-02 10:00Z', false),
        ('t8', null, null, null, '{U1}', 'Completed', true, 'Call', null, null, null, '2024-01-02 11:00Z', '2024-01-02 10:00Z', false);
    create table made."Event" ("Id" text, "WhatId" text, "WhoId" text, "AccountId" text, "OwnerId" text, "StartDateTime" timestamptz, "EndDateTime" timestamptz, "CreatedDate" timestamptz,
        "IsChild" boolean, "IsDeleted" boolean);
    insert into made."Event" values
        ('e1', '{O1}', '{P1}', '{A1}', '{U1}', '2024-01-20 12:00Z', '2024-01-20 13:00Z', '2024-01-10 12:00Z', false, false),
        ('e2', '{O1}', '{P1}', '{A1}', '{U1}', '2024-01-20 12:00Z', '2024-01-20 13:00Z', '2024-01-10 12:00Z', true, false),
        ('e3', '{O1}', '{P1}', '{A1}', '{U1}', now() + interval '1 day', now() + interval '25 hours', '2024-01-11 12:00Z', false, false),
        ('e4', '{O1}', '{P1}', '{A1}', '{U1}', '2024-01-21 12:00Z', '2024-01-21 13:00Z', '2024-01-22 12:00Z', false, false);
    create table made."OpportunityStage" ("MasterLabel" text, "SortOrder" int, "IsClosed" boolean, "IsWon" boolean, "IsActive" boolean);
    insert into made."OpportunityStage" values ('Closed Won', 2, true, true, true), ('Open', 1, false, false, true), ('Closed Lost', 3, true, false, true), ('Old', 4, false, false, false);
    """.format(**globals()))
said = notes('made', 'made', lifecycle='deals', lead_lifecycle='leads', currency='USD')
tap.eq(said['made."OpportunityStage"'], 'stages of a lifecycle to define as deals: Open, Closed Won, Closed Lost; won: Closed Won; lost: Closed Lost', 'the stages, to define the lifecycle by')


def story(subject, source='made'):
    return [' '.join(str(v) for v in r.values() if v is not None) for r in db.rows("""
        select to_char(occurred_at, 'MM-DD HH24:MI') as at, event, field, lifecycle, stage, code, party, trim_scale(amount) as amount, currency, details ->> 'value' as value
        from %s_events where subject_key = %s order by occurred_at, event collate "C", field collate "C", source_key collate "C" """ % (source, literal(subject)))]


tap.eq(story(O1), [
    '01-01 10:00 assigned ann@example.com', '01-01 10:00 created', '01-01 10:00 field_set amount 100 EUR', '01-01 10:00 field_set expected_close 2024-04-01', '01-01 10:00 field_set lead_source Web',
    '01-01 10:00 field_set segment New', '01-01 10:00 stage_entered deals Open', '01-10 12:00 meeting_set', '01-10 12:00 touch_out', '01-11 12:00 meeting_set', '01-20 12:00 meeting_held',
    '01-21 12:00 meeting_held', '02-01 10:00 field_set amount 200 EUR', '02-10 10:00 field_set amount 300 EUR', '02-20 10:00 assigned Bob', '02-21 10:00 field_set expected_close 2024-05-01',
    '03-01 10:00 stage_entered deals Closed Won'], 'an opportunity by its field history: first values are what the first change replaced')
tap.eq(story(O2), ['02-01 10:00 assigned ann@example.com', '02-01 10:00 created', '02-01 10:00 field_set amount 50 USD', '02-01 10:00 field_set segment New', '02-03 10:00 stage_entered deals Open'],
       'one without changes: the stage since its last change, the currency given')
tap.eq(story(O3), [], 'a deleted one: nothing')
tap.eq(story(L1), ['01-01 08:00 assigned ann@example.com', '01-01 08:00 created', '01-01 08:00 field_set lead_source Web', '01-01 08:00 field_set segment Steel', '01-01 08:00 stage_entered leads Qualified'],
       'a lead converted on the day of its creation: not before it')
tap.eq(story(L2), ['01-02 08:00 assigned Inbound queue', '01-02 08:00 created', '01-02 08:00 field_set lead_source Web', '01-02 08:00 stage_entered leads New', '01-02 10:00 touch_in', '01-03 00:00 touch_out'],
       'a lead with a queue; a call in, a mail out, neither to-dos nor mass mails')
tap.eq(story(A1), ['01-02 11:00 touch_out'], 'a mail to an account')
tap.eq(db.rows("select from_key, to_key, to_char(valid_from, 'MM-DD') as since from made_links where role = 'contact_role'"), [{'from_key': O1, 'to_key': P1, 'since': '01-04'}], 'a contact role, from the first time it was given')
load('made')
tap.eq([(f, r['loaded'], r['rejected']) for f, r in load('made').items()], [('event', 0, 0), ('link', 0, 0)], 'loaded once')

# What becomes known later is dated by the change, and what was known stays as it was.
db.run("""
    update made."Opportunity" set "OwnerId" = '{U2}', "Amount" = 60 where "Id" = '{O2}';
    insert into made."OpportunityFieldHistory" values ('k1', '{O2}', 'Owner', '{U1}', '{U2}', '2024-04-01 10:00Z', '{U1}'), ('k2', '{O2}', 'Owner', 'Ann', 'Bob', '2024-04-01 10:00Z', '{U1}'),
        ('k3', '{O2}', 'Amount', '50', '60', '2024-04-01 10:00Z', '{U1}');""".format(**globals()))
tap.eq(new_keys('made'), (['opportunity_field_history/k1/owner', 'opportunity_field_history/k3/amount'], 0), 'a change of owner and one of amount: two events, and none that was known is told otherwise')
db.run("""update made."Task" set "IsClosed" = true, "CompletedDateTime" = '2024-04-02 10:00Z' where "Id" = 't5';""")
tap.eq(new_keys('made'), (['task/t5/%s/2024-04-02 10:00:00.000000' % L2], 0), 'a call that is completed is a touch')
db.run("""create table made."LeadHistory" ("Id" text, "LeadId" text, "Field" text, "OldValue" text, "NewValue" text, "CreatedDate" timestamptz, "CreatedById" text);
    insert into made."LeadHistory" values ('l1', '{L2}', 'Status', 'New', 'Working', '2024-01-02 09:30Z', '{U1}'), ('l2', '{L2}', 'Owner', '{Q}', '{U2}', '2024-01-02 08:10Z', '{U1}'),
        ('l3', '{L2}', 'created', null, null, '2024-01-02 08:00Z', '{U1}');
    update made."Lead" set "Status" = 'Working', "OwnerId" = '{U2}' where "Id" = '{L2}';""".format(**globals()))
notes('made', 'made', lifecycle='deals', lead_lifecycle='leads', currency='USD')
tap.eq(new_keys('made'), (['lead_history/l1/stage', 'lead_history/l2/owner'], 0), 'lead history that is landed later adds the changes; the beginnings are known')
db.run("""create table made."OpportunityHistory" ("Id" text, "OpportunityId" text, "StageName" text, "Amount" numeric, "CloseDate" date, "CreatedDate" timestamptz, "CreatedById" text);
    insert into made."OpportunityHistory" values ('s1', '{O1}', 'Open', 100, '2024-04-01', '2024-01-01 10:00Z', '{U1}'), ('s3', '{O1}', 'Open', 110, '2024-04-01', '2024-01-15 10:00Z', '{U1}'),
        ('s2', '{O1}', 'Late', 110, '2024-04-01', '2024-01-15 10:00Z', '{U1}'), ('s4', '{O1}', 'Open', null, '2024-04-01', '2024-01-16 10:00Z', '{U1}');""".format(**globals()))
notes('made', 'with_history', lifecycle='deals', lead_lifecycle='leads')
tap.eq([e for e in story(O1, 'with_history') if 'stage_entered' in e or 'amount' in e or 'assigned' in e or 'close' in e],
       ['01-01 10:00 assigned ann@example.com', '01-01 10:00 field_set amount 100 EUR', '01-01 10:00 field_set expected_close 2024-04-01', '01-01 10:00 stage_entered deals Open 100 EUR',
        '01-15 10:00 field_set amount 110 EUR', '01-15 10:00 stage_entered deals Late 110 EUR', '01-15 10:00 stage_entered deals Open 110 EUR', '01-16 10:00 field_set amount EUR',
        '02-20 10:00 assigned Bob'], 'where there is OpportunityHistory, stage, amount and close come from it, the owner still from the field history')
tap.eq([r['stage'] for r in db.rows("select stage from with_history_events where event = 'stage_entered' and subject_key = %s order by occurred_at, seq" % literal(O1))],
       ['Open', 'Late', 'Open'], 'rows of one instant in the order of their Ids')
tap.eq([e for e in story(O2, 'with_history') if 'stage_entered' in e or 'amount' in e], ['02-01 10:00 field_set amount 50', '02-03 10:00 stage_entered deals Open', '04-01 10:00 field_set amount 60'],
       'one that has no row there is read as if there were none')

# -- text as an instant ---------------------------------------------------------------------------------------------------
READ = [('2024-02-29', '2024-02-29 00:00:00+00'), ('2023-02-29', None), ('2024-01-02T03:04:05.678Z', '2024-01-02 03:04:05.678+00'), ('2024-01-02T03:04:05.000+0000', '2024-01-02 03:04:05+00'),
        ('2024-01-02 03:04:05', '2024-01-02 03:04:05+00'), ('2024-01-02 03:04:05+05:30', '2024-01-01 21:34:05+00'), ('02/23/26 08:55 PM', '2026-02-23 20:55:00+00'), ('2/3/2026', '2026-02-03 00:00:00+00'),
        ('02/23/26 12:05 AM', '2026-02-23 00:05:00+00'), ('02/23/26 12:05 pm', '2026-02-23 12:05:00+00'), ('02/23/2026 23:59:58', '2026-02-23 23:59:58+00'), ('02/23/26 13:00 PM', None), ('02/23/26 24:00', None),
        ('23/02/26', None), ('02/29/25', None), ('1/1/99', '1999-01-01 00:00:00+00'), ('2024-13-01', None), ('2024-01-02 25:00', None), ('yesterday', None), ('infinity', None), ('', None)]
db.run("set time zone 'America/New_York'; set datestyle = 'ISO, DMY';")
tap.eq([(t, db.value("select to_char(_landed_instant(%s) at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') as t" % literal(t))) for t, _ in READ],
       [(t, None if w is None else (w[:-3] + ('' if '.' in w else '.')).ljust(26, '0')) for t, w in READ], 'text as an instant, in any session')
tap.done()
