#!/usr/bin/env python3
"""HubSpot as a connector lands it, through map_hubspot() and load() (SHARED/data/fivetran_seeds/hubspot).

What the views say is computed a second time from the files, row by row. The seeds are hashed extracts and say less than
it seems: no association, stage visit or history meets a deal or contact that is there, and the names of properties are
hashes, so their histories are read as holding nothing. What the seeds lack is in a story of the test's own: two
pipelines, a deal that goes back, a deleted one, engagements, histories with the times HubSpot writes in them.

The same tables come a second time, typed and in camel case.
"""
import collections
import csv
import glob
import os
from datetime import datetime, timedelta, timezone

import harness
from harness import literal

tap, db, folder = harness.start('data/fivetran_seeds')
import refstats

ANA = 'hubspot_ana'
db.run("drop role if exists %s; create role %s; create schema mapped; grant create, usage on schema mapped to %s; grant create on schema public to %s;"
       % (ANA, ANA, ANA, ANA))
db.run("select grant_access('loader', '%s') \\gset" % ANA)


def at(text):
    """A time as the database shows it in UTC, from what the connector writes."""
    day, clock = text.split(' ')
    whole, _, part = clock.partition('.')
    one = datetime.strptime(day + ' ' + whole, '%Y-%m-%d %H:%M:%S').replace(tzinfo=timezone.utc)
    one += timedelta(microseconds=int((part + '000000')[:6]))
    return one.isoformat().replace('.%06d' % one.microsecond, ('.%06d' % one.microsecond).rstrip('0') if one.microsecond else '')


def grant(schema):
    db.run('grant usage on schema %s to %s; grant select on all tables in schema %s to %s;' % (schema, ANA, schema, ANA))


def land(schema, tables):
    """{table: [row, …]} in tables of texts."""
    db.run('create schema %s;' % schema)
    for table, rows in tables.items():
        columns = list(rows[0])
        db.load('%s.%s' % (schema, table), ', '.join('%s text' % c for c in columns), [[r[c] for c in columns] for r in rows], create='create table')
    grant(schema)


# -- land the seeds ----------------------------------------------------------------------------------------------------
files = {os.path.basename(p)[:-len('_data.csv')]: p for p in sorted(glob.glob(os.path.join(folder, 'hubspot', '*_data.csv')))}
db.run('create schema hubspot;')
for table, path in files.items():
    with open(path, newline='', encoding='utf-8-sig') as f:
        columns = next(csv.reader(f))
    db.run('create table hubspot.%s (%s);' % (table, ', '.join('"%s" text' % c for c in columns)))
    db.run('\\copy hubspot.%s from %s with (format csv, header true)' % (table, literal(path)))
grant('hubspot')
read = {t: refstats.read(files[t]) for t in ('deal', 'deal_stage', 'deal_contact', 'deal_company', 'merged_deal', 'contact', 'contact_merge_audit',
                                             'company', 'owner', 'engagement_call', 'engagement_contact')}
tap.eq({t: len(read[t]) for t in ('deal', 'deal_stage', 'contact', 'company', 'owner')},
       {'deal': 44, 'deal_stage': 14, 'contact': 22, 'company': 24, 'owner': 100}, 'the seeds are as expected')

COLUMNS = ('subject_kind', 'subject_key', 'event', 'occurred_at', 'lifecycle', 'stage', 'field', 'code', 'code_list', 'party', 'actor', 'amount', 'currency',
           'details')
Event = collections.namedtuple('Event', COLUMNS, defaults=(None,) * 10)


def mapped(landed, source, **options):
    return db.rows('select * from map_hubspot(%s, %s, %s%s)' % (literal(landed), literal(source), literal('mapped'), ''.join(
        ', %s => %s' % (k, literal(v)) for k, v in options.items())))


def events(source, where='true'):
    """The rows of a view, as a multiset without their keys."""
    rows = db.rows('select * from mapped.%s_events where %s' % (source, where))
    return collections.Counter(Event(**{c: (str(r[c]) if c in ('details', 'amount') and r[c] is not None else r[c]) for c in COLUMNS}) for r in rows)


def links(source):
    return collections.Counter((r['from_kind'], r['from_key'], r['role'], r['to_kind'], r['to_key']) for r in db.rows('select * from mapped.%s_links' % source))


def same(got, want, text):
    tap.ok(got == want and got, text + ' (%d rows)' % sum(want.values()), *['too many %r' % (x,) for x in (got - want)][:6],
           *['missing  %r' % (x,) for x in (want - got)][:6])


def loaded(source):
    return {r['fact']: [r['rows_read'], r['loaded'], r['known'], r['rejected']] for r in db.rows('select * from load(%s)' % literal(source))}


# -- the seeds ---------------------------------------------------------------------------------------------------------
db.run('set session authorization %s;' % ANA)
notes = mapped('hubspot', 'seeds')
email = {r['owner_id']: r['email'] for r in read['owner']}
want = collections.Counter()
for r in read['deal']:
    want[Event('opportunity', r['deal_id'], 'created', at(r['property_createdate']))] += 1
    if r['owner_id']:
        want[Event('opportunity', r['deal_id'], 'assigned', at(r['property_createdate']), party=email[r['owner_id']])] += 1
for r in read['deal_stage']:
    want[Event('opportunity', r['deal_id'], 'stage_entered', at(r['date_entered']), 'opportunity', r['value'])] += 1
for r in read['contact']:
    want[Event('person', r['id'], 'created', at(r['property_createdate']))] += 1
for r in read['contact_merge_audit']:
    want[Event('person', r['vid_to_merge'], 'merged', at(r['timestamp']), details=str({'into': r['canonical_vid']}))] += 1
for r in read['company']:
    want[Event('account', r['id'], 'created', at(r['property_createdate']))] += 1
    want[Event('account', r['id'], 'field_set', at(r['property_createdate']), field='segment', code=r['property_industry'])] += 1
calls = {r['engagement_id']: r for r in read['engagement_call']}
for r in read['engagement_contact']:
    if r['engagement_id'] in calls:
        want[Event('person', r['contact_id'], 'touch_out', at(calls[r['engagement_id']]['property_hs_timestamp']))] += 1
same(events('seeds'), want, 'every event of the seeds')
tap.eq(collections.Counter(e.event for e in want.elements()),
       {'created': 90, 'assigned': 22, 'stage_entered': 14, 'merged': 4, 'field_set': 24, 'touch_out': 1}, 'so many of each kind')
want_links = collections.Counter(
    {('opportunity', r['deal_id'], 'account', 'account', r['company_id']) for r in read['deal_company']}
    | {('opportunity', r['deal_id'], 'contact_role', 'person', r['contact_id']) for r in read['deal_contact']}
    | {('opportunity', r['merged_deal_id'], 'same_as', 'opportunity', r['deal_id']) for r in read['merged_deal']}
    | {('person', r['vid_to_merge'], 'same_as', 'person', r['canonical_vid']) for r in read['contact_merge_audit']}
    | {('person', m, 'same_as', 'person', r['id']) for r in read['contact'] for m in r['property_hs_merged_object_ids'].split(';') if m})
same(links('seeds'), want_links, 'every link of the seeds')
tap.eq(db.row('select count(*) as n, count(source_key) as keys, count(distinct source_key) as distinct from mapped.seeds_events'),
       {'n': 155, 'keys': 155, 'distinct': 155}, 'each event has a key of its own')
KEYS = "select md5(string_agg(source_key, ',' order by source_key collate \"C\")) as m from mapped.seeds_events"
keys = db.value(KEYS)
db.run("set time zone 'Asia/Kathmandu'; set datestyle = 'German'; set intervalstyle = 'sql_standard'; set extra_float_digits = 0;")
tap.eq(db.value(KEYS), keys, 'which no setting changes')
tap.eq(db.value("select count(*) as n from mapped.seeds_events where subject_key = '1244495215' and occurred_at = '2019-12-04 12:48:22+00'"), 1, 'nor the times: the connector writes UTC')
db.settings()
tap.ok(any('has none of the properties' in n['note'] for n in notes if n['relation'].endswith('deal_property_history')), 'that the histories are hashed is said', notes)

tap.eq(loaded('seeds'), {'event': [155, 155, 0, 0], 'link': [34, 34, 0, 0]}, 'all of it is loaded')
tap.eq(loaded('seeds'), {'event': [155, 0, 155, 0], 'link': [34, 0, 34, 0]}, 'and known the next time')
db.run("set time zone 'Asia/Kathmandu'; set datestyle = 'German';")
tap.eq(loaded('seeds'), {'event': [155, 0, 155, 0], 'link': [34, 0, 34, 0]}, 'whatever the settings')
db.settings()
db.run("reset session authorization; update hubspot.deal set owner_id = '42972304' where deal_id = '1438355126';"
       "insert into hubspot.deal_stage (deal_id, value, date_entered) values ('3954699413', 'won', '2021-02-01 10:00:00'); set session authorization %s;" % ANA)
tap.eq(loaded('seeds')['event'], [156, 2, 154, 0], 'another owner and another visit are two new events')
db.run("reset session authorization; update hubspot.deal set owner_id = '40706000' where deal_id = '1438355126';"
       "delete from hubspot.deal_stage where value = 'won'; set session authorization %s;" % ANA)

# -- the same, typed and in camel case ---------------------------------------------------------------------------------
db.run('reset session authorization; create schema "Camel";')
TYPES = {'bigint': r'^\d{1,18}$', 'boolean': '^([Tt][Rr][Uu][Ee]|[Ff][Aa][Ll][Ss][Ee])$', 'timestamptz': r'^\d{4}-\d\d-\d\d \d\d?:\d\d:\d\d(\.\d+)?$'}
typed = collections.Counter()
for table in files:
    columns = [r['c'] for r in db.rows("select attname as c from pg_attribute where attrelid = 'hubspot.%s'::regclass and attnum > 0 order by attnum" % table)]
    parts = []
    for c in columns:
        kind = next((t for t, pattern in TYPES.items() if db.value(
            'select coalesce(bool_and("%s" ~ %s), false) as x from hubspot.%s where "%s" is not null' % (c, literal(pattern), table, c))), 'text')
        if kind == 'timestamptz' and c == 'date_entered':
            kind = 'timestamp'              # a connector that lands no zone
        typed[kind] += 1
        parts.append('("%s"%s)::%s as "%s"' % (c, " || ' UTC'" if kind == 'timestamptz' else '', kind, ''.join(w.capitalize() for w in c.split('_'))))
    db.run('create table "Camel"."%s" as select %s from hubspot.%s;' % (''.join(w.capitalize() for w in table.split('_')), ', '.join(parts), table))
tap.ok(all(typed[t] for t in ('bigint', 'boolean', 'timestamptz', 'timestamp', 'text')), 'columns of five types', typed)
grant('"Camel"')
db.run('set session authorization %s;' % ANA)
mapped('Camel', 'camel')
DIFFER = '(table mapped.seeds_%s except all table mapped.camel_%s) union all (table mapped.camel_%s except all table mapped.seeds_%s)'
tap.eq([db.value('select count(*) as n from (%s) x' % (DIFFER % ((what,) * 4))) for what in ('events', 'links')] + [sum(events('camel').values())], [0, 0, 155],
       'the same events and links, keys and all')

# -- a story -----------------------------------------------------------------------------------------------------------
MS = {'2024-03-31': '1711843200000', '2024-04-30': '1714435200000'}
story = {
    'deal': [
        dict(deal_id='1', is_deleted='false', deal_pipeline_id='default', deal_pipeline_stage_id='s3', owner_id='10', property_amount='900.50', property_createdate='2024-01-01 09:00:00',
             property_closedate='2024-04-30T00:00:00Z', property_dealtype='newbusiness', property_deal_currency_code='EUR', property_hs_analytics_source='PAID_SEARCH'),
        dict(deal_id='2', is_deleted='', deal_pipeline_id='77', deal_pipeline_stage_id='r1', owner_id='99', property_amount='', property_createdate='2024-01-02 09:00:00',
             property_closedate='', property_dealtype='', property_deal_currency_code='', property_hs_analytics_source=''),
        dict(deal_id='3', is_deleted='TRUE', deal_pipeline_id='default', deal_pipeline_stage_id='s1', owner_id='10', property_amount='1', property_createdate='2024-01-03 09:00:00',
             property_closedate='', property_dealtype='newbusiness', property_deal_currency_code='', property_hs_analytics_source='')],
    'deal_pipeline': [dict(pipeline_id='77', label='Renewals', created_at='2020-01-01 00:00:00'), dict(pipeline_id='default', label='Sales', created_at='2021-01-01 00:00:00')],
    'deal_pipeline_stage': [dict(stage_id='s1', label='Qualified', pipeline_id='default'), dict(stage_id='s2', label='Offer', pipeline_id='default'),
                            dict(stage_id='s3', label='Closed won', pipeline_id='default'), dict(stage_id='r1', label='Due', pipeline_id='77')],
    'deal_property_history': [dict(zip(('deal_id', 'name', 'timestamp', 'value'), r)) for r in (
        ('1', 'dealstage', '2024-01-01 09:00:00', 's1'), ('1', 'dealstage', '2024-01-05 09:00:00.125', 's2'), ('1', 'dealstage', '2024-01-06 09:00:00', 's1'),
        ('1', 'dealstage', '2024-01-09 09:00:00', 's2'), ('1', 'dealstage', '2024-02-01 09:00:00', 's3'), ('2', 'dealstage', '2024-01-02 09:00:00', 'r1'),
        ('3', 'dealstage', '2024-01-03 09:00:00', 's1'), ('2', 'dealstage', '2024-01-04 09:00:00', 'gone'),
        ('1', 'amount', '2024-01-01 09:00:00', '1000'), ('1', 'amount', '2024-01-20 09:00:00', '900.50'), ('1', 'amount', '2024-01-21 09:00:00', ''), ('2', 'amount', '2024-01-21 09:00:00', '1e3'),
        ('2', 'amount', '2024-01-22 09:00:00', 'a lot'), ('3', 'amount', '2024-01-21 09:00:00', '5'),
        ('1', 'closedate', '2024-01-01 09:00:00', MS['2024-03-31']), ('1', 'closedate', '2024-01-20 09:00:00', '2024-04-30T23:59:59.999Z'),
        ('1', 'hubspot_owner_id', '2024-01-01 09:00:00', '99'), ('1', 'hubspot_owner_id', '2024-01-08 09:00:00', '10'), ('1', 'hubspot_owner_id', '2024-01-09 09:00:00', ''),
        ('1', 'dealname', '2024-01-08 09:00:00', 'Big one'))],
    'owner': [dict(owner_id='10', email='ann@x.example'), dict(owner_id='11', email='')],
    'deal_company': [dict(deal_id=d, company_id=c, type_id=t) for d, c, t in (('1', 'c1', '341'), ('1', 'c2', '341'), ('1', 'c2', '5'), ('2', 'c1', '341'), ('3', 'c1', '5'))],
    'contact': [
        dict(id='p1', _fivetran_deleted='false', property_createdate='2023-12-01 08:00:00', property_associatedcompanyid='c2', property_hs_analytics_source='EMAIL_MARKETING',
             property_hubspot_owner_id='10', property_lifecyclestage='customer', property_hs_lead_status='OPEN_DEAL'),
        dict(id='p2', _fivetran_deleted='true', property_createdate='2023-12-02 08:00:00', property_associatedcompanyid='c1', property_hs_analytics_source='',
             property_hubspot_owner_id='', property_lifecyclestage='lead', property_hs_lead_status='')],
    'contact_property_history': [dict(zip(('contact_id', 'name', 'timestamp', 'value'), r)) for r in (
        ('p1', 'lifecyclestage', '2023-12-01 08:00:00', 'lead'), ('p1', 'lifecyclestage', '2023-12-05 08:00:00', 'customer'), ('p1', 'lifecyclestage', '2023-12-06 08:00:00', 'lead'),
        ('p2', 'lifecyclestage', '2023-12-02 08:00:00', 'lead'), ('p1', 'hs_lead_status', '2023-12-03 08:00:00', 'NEW'), ('p1', 'hs_lead_status', '2023-12-04 08:00:00', 'OPEN_DEAL'))],
    'engagement_email': [dict(zip(('engagement_id', '_fivetran_deleted', 'property_hs_timestamp', 'property_hs_email_direction', 'property_hubspot_owner_id'), r)) for r in (
        ('e1', 'false', '2024-01-03 10:00:00', 'EMAIL', '10'), ('e2', 'false', '2024-01-03 11:00:00', 'INCOMING_EMAIL', '10'), ('e3', 'true', '2024-01-03 12:00:00', 'EMAIL', '10'))],
    'engagement_meeting': [dict(zip(('engagement_id', 'property_hs_createdate', 'property_hs_meeting_start_time', 'property_hs_meeting_outcome'), r)) for r in (
        ('m1', '2024-01-03 10:00:00', '2024-01-10 10:00:00', 'COMPLETED'), ('m2', '2024-01-04 10:00:00', '2024-01-11 10:00:00', 'NO_SHOW'), ('m3', '2024-01-05 10:00:00', '2024-01-12 10:00:00', ''),
        ('m4', '2024-01-05 10:00:00', '2024-01-12 10:00:00', 'CANCELED'))],
    'engagement_deal': [dict(deal_id='1', engagement_id=e, type_id=t) for e, t in (('e1', '1'), ('e1', '2'), ('e2', '1'), ('e3', '1'), ('m1', '1'), ('m2', '1'), ('m3', '1'), ('m4', '1'))],
    'engagement_contact': [dict(contact_id='p1', engagement_id='e1')]}
db.run('reset session authorization;')
land('story', story)
db.run('set session authorization %s;' % ANA)
notes = mapped('story', 'story', currency='USD', contact_lifecycle='contacts')


def of_deal(d, event, when, *values, **named):
    return Event('opportunity', d, event, when + '+00:00', *values, **named)


J = '2024-01-%02dT09:00:00'
want = collections.Counter([
    of_deal('1', 'created', J % 1), of_deal('2', 'created', J % 2),
    of_deal('1', 'stage_entered', J % 1, 'opportunity', 'Qualified'), of_deal('1', 'stage_entered', '2024-01-05T09:00:00.125', 'opportunity', 'Offer'),
    of_deal('1', 'stage_entered', J % 6, 'opportunity', 'Qualified'), of_deal('1', 'stage_entered', J % 9, 'opportunity', 'Offer'),
    of_deal('1', 'stage_entered', '2024-02-01T09:00:00', 'opportunity', 'Closed won'), of_deal('2', 'stage_entered', J % 2, 'opportunity_Renewals', 'Due'),
    of_deal('2', 'stage_entered', J % 4, 'opportunity_Renewals', 'gone'),
    of_deal('1', 'field_set', J % 1, field='lead_source', code='PAID_SEARCH'), of_deal('1', 'field_set', J % 1, field='segment', code='newbusiness'),
    of_deal('1', 'field_set', J % 1, field='amount', amount='1000', currency='EUR'), of_deal('1', 'field_set', J % 20, field='amount', amount='900.5', currency='EUR'),
    of_deal('2', 'field_set', J % 21, field='amount', amount='1000', currency='USD'), of_deal('2', 'field_set', J % 22, field='amount', currency='USD'),
    of_deal('1', 'field_set', J % 1, field='expected_close', details=str({'value': '2024-03-31'})), of_deal('1', 'field_set', J % 20, field='expected_close', details=str({'value': '2024-04-30'})),
    of_deal('1', 'assigned', J % 1, party='story/owner/99'), of_deal('1', 'assigned', J % 8, party='ann@x.example'),
    of_deal('1', 'touch_out', '2024-01-03T10:00:00', actor='ann@x.example'), of_deal('1', 'touch_in', '2024-01-03T11:00:00'),
    of_deal('1', 'meeting_set', '2024-01-03T10:00:00'), of_deal('1', 'meeting_set', '2024-01-04T10:00:00'), of_deal('1', 'meeting_set', '2024-01-05T10:00:00'),
    of_deal('1', 'meeting_set', '2024-01-05T10:00:00'), of_deal('1', 'meeting_held', '2024-01-10T10:00:00'), of_deal('1', 'meeting_no_show', '2024-01-11T10:00:00')] + [
    Event('person', 'p1', event, '%s+00:00' % when, **named) for event, when, named in (
        ('created', '2023-12-01T08:00:00', {}), ('field_set', '2023-12-01T08:00:00', dict(field='lead_source', code='EMAIL_MARKETING')),
        ('assigned', '2023-12-01T08:00:00', dict(party='ann@x.example')),
        ('stage_entered', '2023-12-01T08:00:00', dict(lifecycle='contacts', stage='lead')), ('stage_entered', '2023-12-05T08:00:00', dict(lifecycle='contacts', stage='customer')),
        ('stage_entered', '2023-12-06T08:00:00', dict(lifecycle='contacts', stage='lead')),
        ('disposition_set', '2023-12-03T08:00:00', dict(code='NEW', code_list='disposition')), ('disposition_set', '2023-12-04T08:00:00', dict(code='OPEN_DEAL', code_list='disposition')),
        ('touch_out', '2024-01-03T10:00:00', dict(actor='ann@x.example')))])
same(events('story'), want, 'every event of the story')
same(links('story'), collections.Counter([('opportunity', '1', 'account', 'account', 'c2'), ('opportunity', '2', 'account', 'account', 'c1'), ('person', 'p1', 'account', 'account', 'c2')]),
     'the primary company where one is named; none of deleted deals and contacts')
first = db.row('select count(*) as n from mapped.story_events')['n']
tap.eq(loaded('story')['event'], [first, first, 0, 0], 'the story is loaded')
tap.eq(loaded('story')['event'], [first, 0, first, 0], 'once')
tap.eq([r['x'] for r in db.rows("select event || coalesce(' ' || field, '') as x from mapped.story_events where subject_key = '1' and occurred_at = '2024-01-01 09:00Z' "
                                "order by seq, field")],
       ['field_set amount', 'field_set expected_close', 'field_set lead_source', 'field_set segment', 'created', 'assigned', 'stage_entered'],
       'at one instant: what is known of it, its creation, its owner, its stage')

# Its stage visits in a table of their own: the same, and the history is not read for them as well.
db.run("""reset session authorization;
    create table story.deal_stage as select deal_id, value, "timestamp" as date_entered from story.deal_property_history where name = 'dealstage';
    grant select on story.deal_stage to %s; set session authorization %s;""" % (ANA, ANA))
mapped('story', 'visits', currency='USD', contact_lifecycle='contacts')
same(events('visits', "event = 'stage_entered'"), events('story', "event = 'stage_entered'"), 'visits from deal_stage')
tap.eq(sum(events('visits').values()), first, 'and nothing is told twice')
db.run('reset session authorization; drop view mapped.visits_events, mapped.visits_links; drop table story.deal_stage; set session authorization %s;' % ANA)

# What people rename, and what they delete.
db.run("reset session authorization; update story.deal_pipeline_stage set label = 'Proposal' where stage_id = 's2'; set session authorization %s;" % ANA)
tap.eq(loaded('story')['event'], [first, 0, first - 2, 2], 'a renamed stage does not rename what is on record: two visits are told otherwise')
db.run("reset session authorization; update story.deal_pipeline_stage set label = 'Offer' where stage_id = 's2'; update story.deal set is_deleted = 'true' where deal_id = '2';"
       "set session authorization %s;" % ANA)
tap.eq(loaded('story')['event'], [first - 5, 0, first - 5, 0], 'a deal that is deleted later is not told any more')

# -- what is missing ---------------------------------------------------------------------------------------------------
db.run("""reset session authorization; create schema bare; create schema none; create schema keyless; create schema current;
    update story.deal set is_deleted = 'false' where deal_id = '2';
    create table bare.deal as select deal_id, property_createdate from hubspot.deal; create table keyless.deals (name text);
    create table current.deals as select * from story.deal; create table current.contacts as select *, '2023-12-04 00:00:00'::timestamp as property_hs_lifecyclestage_lead_date,
      case id when 'p1' then '2023-12-05 00:00:00' end as property_hs_lifecyclestage_customer_date from story.contact;""")
for schema in ('bare', 'none', 'keyless', 'current'):
    grant(schema)
db.run('set session authorization %s;' % ANA)
notes = mapped('bare', 'bare')
tap.eq([collections.Counter(e.event for e in events('bare')), sum(links('bare').values())], [{'created': 44}, 0], 'deals alone')
missing = {n['relation'] for n in notes if n['note'].startswith('not landed') or n['note'].startswith('no ')}
tap.ok(missing >= {'deal_stage', 'deal_property_history', 'deal_pipeline', 'deal_pipeline_stage', 'owner', 'deal_company', 'deal_contact', 'merged_deal', 'contact', 'company', 'engagement'},
       'and what is missing is said', sorted(missing))
tap.eq(db.sqlstate("select * from map_hubspot('none')"), '42P01', 'without deals it is an error')
tap.eq(db.sqlstate("select * from map_hubspot('keyless')"), '42703', 'and where they have no key')
notes = mapped('current', 'current', lifecycle='deal')
of_1 = {e for e in events('current') if e.subject_key == '1' and e.subject_kind == 'opportunity'}
tap.eq(of_1, {of_deal('1', 'created', J % 1), of_deal('1', 'stage_entered', J % 1, 'deal', 's3'), of_deal('1', 'assigned', J % 1, party='current/owner/10'),
              of_deal('1', 'field_set', J % 1, field='amount', amount='900.5', currency='EUR'), of_deal('1', 'field_set', J % 1, field='lead_source', code='PAID_SEARCH'),
              of_deal('1', 'field_set', J % 1, field='segment', code='newbusiness'),
              of_deal('1', 'field_set', J % 1, field='expected_close', details=str({'value': '2024-04-30'}))}, 'without histories: what is known now, at the creation')
tap.eq({(e.subject_key, e.lifecycle, e.stage) for e in events('current', "event = 'stage_entered'")},
       {('1', 'deal', 's3'), ('2', 'deal_77', 'r1'), ('p1', 'contact', 'lead'), ('p1', 'contact', 'customer')}, 'stages of contacts by their dates; a pipeline by its id')
tap.ok(any('only the current stage is known' in n['note'] for n in notes), 'and that is said')
tap.done()
