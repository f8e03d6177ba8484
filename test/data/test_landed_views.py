#!/usr/bin/env python3
"""From landed tables to the BI views: Salesforce (an export, and a connector's seeds), HubSpot and Zendesk.

What the adapters read is tested event by event elsewhere. Here everything goes the whole way: landed, mapped, loaded, agreed,
refreshed, and read from funnel, stage_velocity, sla_results and event_log by an analyst. What is expected comes from the reference folder, or is
counted from the raw files here.
"""
import collections
import glob
import os

import harness
import ledger
from harness import literal

tap, db, folder = harness.start('data/fivetran_seeds')
import refstats

demo = os.path.join(os.path.dirname(folder), 'salesforce_demo_org')
ref = harness.reference(demo)
people = ledger.People(db, 'landed')
db.run('create schema mapped authorization %s; grant usage on schema mapped to public;' % people.names['loader'])


def land(schema, files):
    """CSV files into tables of texts, named as they are."""
    people.become(None)
    db.run('create schema %s;' % schema)
    for name, path in files.items():
        columns = list(refstats.read(path)[0]) if refstats.read(path) else []
        if columns:
            db.run('create table %s."%s" (%s);' % (schema, name, ', '.join('"%s" text' % c for c in columns)))
            db.run('\\copy %s."%s" from %s with (format csv, header true)' % (schema, name, literal(path)))
    db.run('grant usage on schema %s to public; grant select, update on all tables in schema %s to public;' % (schema, schema))


def seeds(system, prefix=''):
    return {os.path.basename(p)[len(prefix):-len('_data.csv')]: p for p in sorted(glob.glob('%s/%s/%s*_data.csv' % (folder, system, prefix)))}


def loaded(system, schema, source):
    """Map and load as the loader; the numbers of events read, loaded, and taken again."""
    people.become('loader')
    db.run("select count(*) from map_%s(%s, %s, 'mapped'%s) \\gset" % (system, literal(schema), literal(source), ", currency => 'USD'" if system in ('salesforce', 'hubspot') else ''))
    first = db.row("select rows_read, loaded, rejected from load(%s) where fact = 'event'" % literal(source))
    again = db.row("select loaded, rejected from load(%s) where fact = 'event'" % literal(source))
    tap.eq([first['loaded'], again], [first['rows_read'] - first['rejected'], {'loaded': 0, 'rejected': first['rejected']}], '%s: all that can be read is loaded, and only once' % source)
    return first


def stages_of(source, kind):
    return [r['stage'] for r in db.rows("""select stage, min(occurred_at) as at from mapped.%s_events where event = 'stage_entered' and subject_kind = '%s' group by 1
                                           order by 2, 1""" % (source, kind))]


def agree(lifecycle, kind, stages, **more):
    """stages: (name, category) in their order."""
    draft = ["SELECT revacct.draft_change(%s, effective_at => '2000-01-01', retroactive => true);" % literal('The lifecycle ' + lifecycle),
             "SELECT revacct.define_lifecycle(%s, subject_kind => %s);" % (literal(lifecycle), literal(kind))]
    draft += ["SELECT revacct.define_stage(%s, %s, %d, %s);" % (literal(lifecycle), literal(name), 10 * n, literal(category)) for n, (name, category) in enumerate(stages, 1)]
    return ledger.agree(db, people, '\n'.join(draft) + '\nSELECT revacct.propose_change();')


def refresh():
    people.become('loader')
    db.run('select count(*) from refresh(false) \\gset')
    people.become('analyst')
    tap.eq(db.value('select count(*) as n from check_journeys()'), 0, 'journeys and packs are what the ledger says')


def entered(lifecycle, column='observed'):
    return {r['stage']: r['n'] for r in db.rows("select stage, sum(%s) as n from funnel where lifecycle = %s group by 1" % (column, literal(lifecycle)))}


# -- Salesforce, an export: 36 opportunities, seven of them won and then lost -------------------------------------------
land('demo', {name: '%s/%s.csv' % (demo, name) for name in ('Account', 'Lead', 'Opportunity', 'OpportunityHistory')})
loaded('salesforce', 'demo', 'demo')
people.become('loader')
named = stages_of('demo', 'opportunity')
order = ['Prospecting', 'Qualification', 'Needs Analysis', 'Value Proposition', 'Id. Decision Makers', 'Perception Analysis', 'Proposal/Price Quote', 'Negotiation/Review']
tap.eq(sorted(named), sorted(order + ['Closed Won', 'Closed Lost']), 'the stages are those of the reference')
agree('opportunity', 'opportunity', [(s, 'open') for s in order] + [('Closed Won', 'won'), ('Closed Lost', 'lost')])
refresh()
history = collections.defaultdict(set)
for r in refstats.read(demo + '/OpportunityHistory.csv'):
    history[r['OpportunityId']].add(r['StageName'])
won = sum('Closed Won' in stages for stages in history.values())
tap.eq(won, ref['stage_now']['Closed Won'] + len(ref['won_then_lost_reversals']), 'who was ever won: those won now, and the seven')
tap.eq(entered('opportunity')['Closed Won'], won, 'funnel: they have entered Closed Won')
tap.near(float(entered('opportunity', 'amount_entered')['Closed Won']), ref['amount_ever_won_by_history'], 'with the amount that the reference has for all that was ever won', 0.001)
tap.eq({s: entered('opportunity')[s] for s in order if s in ref['stage_now']}, {s: sum(s in stages for stages in history.values()) for s in order}, 'each open stage is seen as often as in the history')
now = db.rows("""select stage, count(*) as n from (select distinct on (subject_key) subject_key, stage from event_log where source = 'demo' and lifecycle = 'opportunity'
                 order by subject_key, occurred_at desc) q group by 1""")
tap.eq({r['stage']: r['n'] for r in now}, ref['stage_now'], 'event_log: the stage each is in now')
tap.eq({r['stage']: r['n'] for r in db.rows("""select current_stage(journey, lifecycle('opportunity'), now()) as stage, count(*) as n from journeys() where current_stage(journey, lifecycle('opportunity'), now()) is not null
                                               group by 1""")}, ref['stage_now'], 'and so say the journeys')

# -- Salesforce, the seeds of a connector: all their opportunities are deleted; here they are not ----------------------------
land('sf', seeds('salesforce', 'sf_'))
people.become(None)
db.run("update sf.opportunity set is_deleted = 'false'; update sf.opportunity_history set is_deleted = 'false';")
loaded('salesforce', 'sf', 'sf')
people.become('loader')
of_seeds = stages_of('sf', 'opportunity')
agree('opportunity', 'opportunity', [(s, 'open') for s in order + of_seeds] + [('Closed Won', 'won'), ('Closed Lost', 'lost')])
refresh()
tap.eq(sum(entered('opportunity')[s] for s in of_seeds), db.value("select count(distinct (subject_key, stage)) as n from event_log where source = 'sf' and lifecycle = 'opportunity'"),
       'each visit of an opportunity of the seeds is in the funnel')
tap.eq(db.value("select count(distinct subject_key) as n from event_log where source = 'sf' and lifecycle = 'opportunity'"), sum(r['_fivetran_active'] == 'true' for r in refstats.read(seeds('salesforce', 'sf_')['opportunity'])),
       'and none is missing but those of which no version is active')

# -- HubSpot: visits of deals --------------------------------------------------------------------------------------------
land('hubspot', seeds('hubspot'))
loaded('hubspot', 'hubspot', 'hubspot')
people.become('loader')
deals = db.value("select min(lifecycle) as l from mapped.hubspot_events where event = 'stage_entered' and subject_kind = 'opportunity'")
visits = collections.defaultdict(set)
for r in db.rows("select subject_key, lifecycle, stage from mapped.hubspot_events where event = 'stage_entered' and subject_kind = 'opportunity'"):
    visits[r['lifecycle'], r['stage']].add(r['subject_key'])
raw = collections.defaultdict(set)
for r in refstats.read(seeds('hubspot')['deal_stage']):
    raw[r['value']].add(r['deal_id'])
tap.eq(sorted(len(v) for v in visits.values()), sorted(len(v) for v in raw.values()), 'the stages of the visits are those of deal_stage')
for name in sorted({lifecycle for lifecycle, _ in visits}):
    if name == 'opportunity':
        agree(name, 'opportunity', [(s, 'open') for s in order + of_seeds + sorted(s for l, s in visits if l == name)] + [('Closed Won', 'won'), ('Closed Lost', 'lost')])
    else:
        agree(name, 'opportunity', [(s, 'open') for s in sorted(s for l, s in visits if l == name)])
refresh()
tap.eq({k: entered(k[0])[k[1]] for k in visits}, {k: len(v) for k, v in visits.items()}, 'funnel: as many deals in each stage as visited it')
tap.eq({k: db.value("select sum(visits) as n from stage_velocity where lifecycle = %s and stage = %s" % (literal(k[0]), literal(k[1]))) for k in visits},
       {k: len(v) for k, v in visits.items()}, 'stage_velocity: and a visit for each')

# -- Zendesk: tickets, and the SLAs that were landed with them -----------------------------------------------------------
land('zendesk', seeds('zendesk'))
loaded('zendesk', 'zendesk', 'zendesk')
people.become('steward')
number = db.value("select draft_change('SLAs of Zendesk', '2020-06-01 00:00Z', NULL, true) as n")
db.run("select count(*) from draft_zendesk_slas('zendesk', change => %d) \\gset" % number)
db.value('select propose_change(%d) as n' % number)
people.become('council')
tap.eq(db.value('select approve(%d) as n' % number), 'approved', 'the SLAs and the lifecycle of tickets are agreed')
refresh()
status = collections.defaultdict(set)
for r in refstats.read(seeds('zendesk')['ticket_field_history']):
    if r['field_name'] == 'status' and r['value']:
        status[r['value']].add(r['ticket_id'])
seen = entered('ticket')
tap.eq({s: seen[s] for s in seen if s in status}, {s: len(status[s]) for s in seen if s in status}, 'funnel: tickets in each status, as the field history says')
policies = [r['policy'] for r in db.rows('select distinct policy from sla_results order by 1')]
tap.ok(len(policies) >= 2, 'sla_results has the policies', *policies)
for policy in policies:
    of = 'select sum(started) as started, sum(met) as met, sum(breached) as breached, sum(running) as running from '
    tap.eq(db.row(of + 'sla_results where policy = %s' % literal(policy)),
           db.row(of + "(select b.breaches from breaches_of(%s, as_of => (select max(as_of) from sla_results)) as b) as b, policies(b.breaches)" % literal(policy)),
           'sla_results: %s, as the kernel says of all journeys' % policy)
tap.done()
