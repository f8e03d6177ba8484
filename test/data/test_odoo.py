#!/usr/bin/env python3
"""Odoo's CRM tables through map_odoo() and load(): a small set made here, since none is published.

It has what is peculiar to Odoo: leads and opportunities in one table, losses that are no stage, history in messages, names
in several languages, times without a zone, and the columns of both older and newer versions.
"""
import harness
from harness import literal

tap = harness.Tap()
db = harness.Db()
db.run("select grant_access('loader', current_user::regrole);")


def make(schema, newer):
    """The tables, as Odoo 17 has them or as Odoo 15 had them."""
    label = 'jsonb' if newer else 'varchar'
    name = lambda text: "'%s'" % ('{"de_DE": "(%s)", "en_US": "%s"}' % (text, text) if newer else text)
    money = '' if newer else ', old_value_monetary double precision, new_value_monetary double precision'
    db.run("""
        create schema {0};
        create table {0}.res_partner (id int, name varchar, email varchar, is_company boolean, parent_id int, commercial_partner_id int);
        insert into {0}.res_partner values (1, 'Ann', 'ann@acme.test', false, null, 1), (2, 'Bob', null, false, null, 2), (10, 'Big Ltd', null, true, null, 10), (11, 'Zoe', 'zoe@big.test', false, 10, 10),
            (12, 'Yan', null, false, null, 12), (13, 'Portal', null, false, 10, 10);
        create table {0}.res_users (id int, login varchar, partner_id int, share boolean);
        insert into {0}.res_users values (5, 'Ann@Acme.test', 1, false), (6, 'bob', 2, false), (7, 'portal', 13, true);
        create table {0}.res_currency (id int, name varchar); insert into {0}.res_currency values (1, 'EUR');
        create table {0}.res_company (id int, currency_id int); insert into {0}.res_company values (1, 1);
        create table {0}.crm_stage (id int, name {label}, sequence int, is_won boolean);
        insert into {0}.crm_stage values (1, {New}, 1, false), (2, {Qualified}, 2, false), (3, {Proposition}, 3, false), (4, {Won}, 70, true);
        create table {0}.crm_team (id int, name {label}); insert into {0}.crm_team values (1, {Sales}), (2, {Website});
        create table {0}.crm_lost_reason (id int, name {label}); insert into {0}.crm_lost_reason values (1, {Dear});
        create table {0}.utm_source (id int, name varchar); insert into {0}.utm_source values (1, 'Newsletter');
        create table {0}.crm_lead (id int, name varchar, type varchar, stage_id int, user_id int, team_id int, {revenue} numeric, probability double precision, date_open timestamp, date_closed timestamp,
            date_conversion timestamp, date_last_stage_update timestamp, date_deadline date, create_date timestamp, create_uid int, {reason} int, source_id int, active boolean, partner_id int, company_id int);
        insert into {0}.crm_lead values
            -- won, after a change of everything
            (100, 'A', 'opportunity', 4, 6, 2, 300, 100, '2024-01-05 10:00', '2024-02-01 10:00', null, '2024-02-01 10:00', '2024-03-01', '2024-01-01 10:00', 5, null, 1, true, 11, 1),
            -- lost, found again, lost again
            (101, 'B', 'opportunity', 2, 5, 1, 50, 0, '2024-01-01 10:00', '2024-01-20 10:00', null, '2024-01-03 10:00', null, '2024-01-01 10:00', 5, 1, null, false, 10, 1),
            -- lost, without a trace of it
            (102, 'C', 'opportunity', 1, 5, null, null, 0, '2024-01-01 10:00', '2024-01-09 10:00', null, '2024-01-01 10:00', null, '2024-01-01 10:00', 5, 1, null, false, null, null),
            -- put away, not lost
            (103, 'D', 'opportunity', 1, null, null, null, 20, null, null, null, '2024-01-01 10:00', null, '2024-01-01 10:00', 5, null, null, false, null, null),
            -- a lead, and one that was converted
            (104, 'E', 'lead', 1, null, 2, null, 10, null, null, null, '2024-01-01 10:00', null, '2024-01-01 10:00', 5, null, 1, true, null, null),
            (105, 'F', 'opportunity', 2, 6, 2, 70, 30, '2024-01-04 10:00', null, '2024-01-04 10:00', '2024-01-06 10:00', null, '2024-01-01 10:00', 5, null, 1, true, 12, 1);
        create table {0}.ir_model_fields (id int, name varchar, model varchar);
        insert into {0}.ir_model_fields values (1, 'stage_id', 'crm.lead'), (2, 'user_id', 'crm.lead'), (3, '{revenue}', 'crm.lead'), (4, 'active', 'crm.lead'), (5, 'team_id', 'crm.lead'),
            (6, 'date_deadline', 'crm.lead'), (7, '{reason}', 'crm.lead'), (8, 'partner_id', 'crm.lead');
        create table {0}.mail_message (id int, model varchar, res_id int, date timestamp, author_id int, message_type varchar, is_internal boolean);
        create table {0}.mail_tracking_value (id int, {field} int, old_value_integer int, new_value_integer int, old_value_float double precision, new_value_float double precision, old_value_char varchar,
            new_value_char varchar, old_value_datetime timestamp, new_value_datetime timestamp, mail_message_id int{money});
        create table {0}.calendar_event (id int, opportunity_id int, start timestamp, stop timestamp, user_id int, active boolean, create_date timestamp);
        insert into {0}.calendar_event values (1, 100, '2024-01-10 10:00', '2024-01-10 11:00', 5, true, '2024-01-08 10:00'), (2, 100, '2199-01-10 10:00', '2199-01-10 11:00', 5, true, '2024-01-09 10:00'),
            (3, null, '2024-01-10 10:00', '2024-01-10 11:00', 5, true, '2024-01-08 10:00'), (4, 100, '2024-01-10 10:00', '2024-01-10 11:00', 5, false, '2024-01-08 10:00'),
            (5, 105, '2024-01-03 10:00', '2024-01-03 11:00', 5, true, '2024-01-02 10:00');
        """.format(schema, label=label, money=money, field='field_id' if newer else 'field', revenue='expected_revenue' if newer else 'planned_revenue', reason='lost_reason_id' if newer else 'lost_reason',
                   **{n: name(n) for n in ('New', 'Qualified', 'Proposition', 'Won', 'Sales', 'Website', 'Dear')}))


numbers = iter(range(1, 10000))


def tracked(schema, newer, lead, at, author, *changes, model='crm.lead'):
    """A message that a change leaves; changes: (field number, what kind, old, new)."""
    message = next(numbers)
    db.run("insert into %s.mail_message values (%d, %s, %d, '%s', %s, 'notification', false);" % (schema, message, literal(model), lead, at, author))
    keys = []
    for field, kind, old, new in changes:
        keys.append(next(numbers))
        columns = {'integer': 'integer', 'money': 'float' if newer else 'monetary', 'day': 'datetime'}[kind]
        chars = ", '%s', '%s'" % (old and '(old)' or '', new and '(new)' or '') if kind == 'integer' else ", null, null"
        db.run("insert into {0}.mail_tracking_value (id, {1}, mail_message_id, old_value_{2}, new_value_{2}, old_value_char, new_value_char) values ({3}, {4}, {5}, {6}, {7}{8});".format(
            schema, 'field_id' if newer else 'field', columns, keys[-1], field, message, *('null' if v is None else repr(v) for v in (old, new)), chars))
    return keys


def history(schema, newer):
    STAGE, OWNER, REVENUE, ACTIVE, TEAM, DEADLINE, REASON, PARTNER = range(1, 9)
    n = dict(schema=schema, newer=newer)
    t = lambda lead, at, *changes, **more: tracked(schema, newer, lead, at, 1, *changes, **more)
    t(100, '2024-01-02 10:00', (STAGE, 'integer', 1, 2))
    t(100, '2024-01-05 10:00', (OWNER, 'integer', 5, 6), (REVENUE, 'money', 100, 200), (PARTNER, 'integer', 0, 11))
    t(100, '2024-01-06 10:00', (TEAM, 'integer', 1, 2), (DEADLINE, 'day', '2024-02-01 00:00', '2024-03-01 00:00'), (REVENUE, 'money', 200, 300))
    t(100, '2024-01-07 10:00', (STAGE, 'integer', 2, 1), (STAGE, 'integer', 1, 3))
    t(100, '2024-02-01 10:00', (STAGE, 'integer', 3, 4))
    t(100, '2024-02-02 10:00', (STAGE, 'integer', 1, 2), model='project.task')
    t(101, '2024-01-02 10:00', (ACTIVE, 'integer', 1, 0), (REASON, 'integer', 0, 1))
    t(101, '2024-01-03 09:00', (ACTIVE, 'integer', 0, 1), (REASON, 'integer', 1, 0))
    t(101, '2024-01-03 10:00', (STAGE, 'integer', 1, 2))
    t(101, '2024-01-04 10:00', (ACTIVE, 'integer', 1, 0))
    t(101, '2024-01-05 10:00', (ACTIVE, 'integer', 0, 1))
    t(101, '2024-01-20 10:00', (ACTIVE, 'integer', 1, 0), (REASON, 'integer', 0, 1))
    t(105, '2024-01-02 10:00', (OWNER, 'integer', 0, 5))
    t(105, '2024-01-04 10:00', (OWNER, 'integer', 5, 6))
    t(105, '2024-01-06 10:00', (STAGE, 'integer', 1, 2))
    for lead, at, author, kind, internal in ((100, '2024-01-03 10:00', 1, 'comment', 'false'), (100, '2024-01-03 11:00', 11, 'email', 'false'), (100, '2024-01-03 12:00', 1, 'comment', 'true'),
                                             (100, '2024-01-03 13:00', 1, 'auto_comment', 'false'), (104, '2024-01-03 13:00', 'null', 'email', 'false'), (100, '2024-01-03 14:00', 13, 'comment', 'false'),
                                             (105, '2024-01-03 09:00', 1, 'email', 'false'), (105, '2024-01-05 09:00', 1, 'email', 'false')):
        db.run("insert into %s.mail_message values (%d, 'crm.lead', %d, '%s', %s, '%s', %s);" % (schema, next(numbers), lead, at, author, kind, internal))


def notes(schema, source, **more):
    given = ''.join(', %s => %s' % (k, literal(v)) for k, v in more.items())
    return {r['relation']: r['note'] for r in db.rows("select * from map_odoo(%s, %s%s)" % (literal(schema), literal(source), given))}


def story(source, kind, subject):
    return [' '.join(str(v) for v in r.values() if v is not None) for r in db.rows("""
        select to_char(occurred_at, 'MM-DD HH24:MI') as at, event, field, lifecycle, stage, code_list, code, party, trim_scale(amount) as amount, currency, details ->> 'value' as value
        from %s_events where subject_kind = %s and subject_key = '%s' order by occurred_at, seq nulls first, event collate "C", field collate "C", stage collate "C" """ % (source, literal(kind), subject))]


def load(source):
    return [(r['fact'], r['loaded'], r['rejected']) for r in db.rows('select * from load(%s)' % literal(source))]


def new_events(source):
    recorded = "select s.kind || ' ' || s.subject_key || ' ' || m.key as k from revacct_data.event e join revacct_data.subject s using (subject_id) join revacct_data.source r on r.source_no = e.source_no " \
               "join revacct_data.numbering m on m.number = e.mark and m.kind in ('stage', 'event') where r.source = %s and e.load_id > %d"
    before = db.value('select coalesce(max(load_id), 0) as n from revacct_data.load')
    rejected = load(source)[0][2]
    return sorted(r['k'] for r in db.rows(recorded % (literal(source), before))), rejected


STORIES = {
    ('opportunity', 100): [
        '01-01 10:00 created', '01-01 10:00 assigned ann@acme.test', '01-01 10:00 field_set amount 100 EUR', '01-01 10:00 field_set expected_close 2024-02-01', '01-01 10:00 field_set lead_source Newsletter',
        '01-01 10:00 field_set segment Sales', '01-01 10:00 stage_entered deals New', '01-02 10:00 stage_entered deals Qualified', '01-03 10:00 touch_out', '01-03 11:00 touch_in', '01-03 14:00 touch_in',
        '01-05 10:00 assigned bob', '01-05 10:00 field_set amount 200 EUR', '01-06 10:00 field_set segment Website', '01-06 10:00 field_set expected_close 2024-03-01', '01-06 10:00 field_set amount 300 EUR',
        '01-07 10:00 stage_entered deals New', '01-07 10:00 stage_entered deals Proposition', '01-08 10:00 meeting_set', '01-09 10:00 meeting_set', '01-10 10:00 meeting_held', '02-01 10:00 stage_entered deals Won'],
    ('opportunity', 101): [
        '01-01 10:00 created', '01-01 10:00 assigned ann@acme.test', '01-01 10:00 field_set amount 50 EUR', '01-01 10:00 field_set segment Sales', '01-01 10:00 stage_entered deals New',
        '01-02 10:00 stage_entered deals Lost', '01-02 10:00 disposition_set loss_reason Dear', '01-03 09:00 reopened', '01-03 09:00 stage_entered deals New', '01-03 10:00 stage_entered deals Qualified',
        '01-04 10:00 stage_entered deals Lost', '01-05 10:00 reopened', '01-05 10:00 stage_entered deals Qualified', '01-20 10:00 stage_entered deals Lost', '01-20 10:00 disposition_set loss_reason Dear'],
    ('opportunity', 102): ['01-01 10:00 created', '01-01 10:00 assigned ann@acme.test', '01-01 10:00 stage_entered deals New', '01-09 10:00 disposition_set loss_reason Dear', '01-09 10:00 stage_entered deals Lost'],
    ('opportunity', 103): ['01-01 10:00 created', '01-01 10:00 stage_entered deals New'],
    ('lead', 104): ['01-01 10:00 created', '01-01 10:00 field_set lead_source Newsletter', '01-01 10:00 field_set segment Website', '01-03 13:00 touch_in'],
    ('lead', 105): ['01-01 10:00 created', '01-01 10:00 field_set lead_source Newsletter', '01-01 10:00 field_set segment Website', '01-02 10:00 meeting_set', '01-02 10:00 assigned ann@acme.test',
                    '01-03 09:00 touch_out', '01-03 10:00 meeting_held'],
    ('opportunity', 105): ['01-04 10:00 created', '01-04 10:00 assigned ann@acme.test', '01-04 10:00 field_set amount 70 EUR', '01-04 10:00 field_set lead_source Newsletter', '01-04 10:00 field_set segment Website',
                           '01-04 10:00 stage_entered deals New', '01-04 10:00 assigned bob', '01-05 09:00 touch_out', '01-06 10:00 stage_entered deals Qualified'],
    ('opportunity', 104): [], ('lead', 100): []}

tap.eq(db.sqlstate("select * from map_odoo('nowhere')"), '42P01', 'a schema without crm_lead is refused')
for schema, newer in (('odoo17', True), ('odoo15', False)):
    make(schema, newer)
    history(schema, newer)
    said = notes(schema, schema, lifecycle='deals')
    tap.eq(said.get(schema + '.crm_stage'), 'stages of a lifecycle to define as deals: New, Qualified, Proposition, Won; won: Won; lost: Lost', schema + ': the stages, to define the lifecycle by')
    for (kind, subject), want in STORIES.items():
        tap.eq(story(schema, kind, subject), want, '%s: the story of %s %d' % (schema, kind, subject))
    tap.eq(db.value("select count(*) as n from (select source_key from %s_events group by 1 having count(*) > 1) q" % schema), 0, schema + ': every event has its own key')
    tap.eq(sorted(' '.join(str(v) for v in r.values()) for r in db.rows('select from_kind, from_key, role, to_kind, to_key from %s_links' % schema)),
           ['lead 105 originated opportunity 105', 'opportunity 100 account account 10', 'opportunity 100 contact_role person 11', 'opportunity 101 account account 10', 'opportunity 105 contact_role person 12',
            'person 11 account account 10'], schema + ': links')
    n = db.value('select count(*) as n from %s_events' % schema)
    tap.eq(load(schema), [('event', n, 0), ('link', 6, 0)], schema + ': load() takes every row')
    db.run("set time zone 'Asia/Kathmandu'; set datestyle = 'German';")
    tap.eq(load(schema), [('event', 0, 0), ('link', 0, 0)], schema + ': once, whatever the session\'s settings')
    db.settings()
tap.eq(db.value("select count(*) as n from (select subject_kind, subject_key, event, occurred_at, stage, field, code, party, actor, amount, currency from odoo17_events except all "
                "select subject_kind, subject_key, event, occurred_at, stage, field, code, party, actor, amount, currency from odoo15_events) q"), 0, 'both versions tell the same')
tap.eq(db.value("select actor as a from odoo17_events where stage = 'Proposition'"), 'ann@acme.test', 'who changed it is a user, though the message is a partner\'s')

# -- what changes later -------------------------------------------------------------------------------------------------------
db.run("update odoo17.crm_lead set stage_id = 3, date_last_stage_update = '2024-03-01 10:00' where id = 105;")
tracked('odoo17', True, 105, '2024-03-01 10:00', 1, (1, 'integer', 2, 3))
tap.eq(new_events('odoo17'), (['opportunity 105 deals/Proposition'], 0), 'a move is one new event')
db.run("update odoo17.crm_lead set user_id = 5, date_open = '2024-03-02 10:00' where id = 103;")
tracked('odoo17', True, 103, '2024-03-02 10:00', 1, (2, 'integer', 0, 5))
tap.eq(new_events('odoo17'), (['opportunity 103 assigned'], 0), 'a first owner is one')
db.run("update odoo17.crm_lead set type = 'opportunity', date_conversion = '2024-03-03 10:00', date_open = '2024-03-03 10:00', user_id = 6, expected_revenue = 10, company_id = 1 where id = 104;")
tracked('odoo17', True, 104, '2024-03-03 10:00', 1, (2, 'integer', 0, 6), (3, 'money', 0, 10))
tap.eq(new_events('odoo17'), (['opportunity 104 ' + k for k in ('amount_set/EUR', 'amount_set/EUR', 'assigned', 'created', 'deals/New', 'lead_source_set', 'segment_set')], 0),
       'a conversion is a new opportunity, and nothing that was told of the lead is told otherwise')
db.run("""update odoo17.crm_lead set active = true, lost_reason_id = null, date_closed = null, probability = 10 where id = 102; update odoo17.crm_lead set partner_id = 12 where id = 101;""")
tracked('odoo17', True, 102, '2024-03-04 10:00', 1, (4, 'integer', 0, 1), (7, 'integer', 1, 0))
tap.eq(new_events('odoo17'), (['opportunity 102 deals/New', 'opportunity 102 reopened'], 0), 'what was lost and is found again stands where it was')
tap.eq([r['k'] for r in db.rows("select t.kind || ' ' || t.subject_key as k from revacct_data.subject_link l join revacct_data.subject f on f.subject_id = from_subject join revacct_data.subject t on t.subject_id = to_subject "
                                "join revacct_data.source r on r.source_no = l.source_no where r.source = 'odoo17' and f.subject_key = '101' and upper_inf(l.recorded) order by 1")], ['account 10', 'person 12'],
       'another partner: a person beside the account that was')

# -- less was landed ------------------------------------------------------------------------------------------------------------
db.run("drop table odoo15.ir_model_fields cascade;")
said = notes('odoo15', 'numbers', currency='CHF')
tap.ok('without ir_model_fields' in said['odoo15.mail_tracking_value'], 'history that cannot be read: said', said)
db.run("alter table odoo15.mail_tracking_value rename column field to no; alter table odoo15.mail_tracking_value add field varchar; update odoo15.mail_tracking_value set field = "
       "(array['stage_id', 'user_id', 'planned_revenue', 'active', 'team_id', 'date_deadline', 'lost_reason', 'partner_id'])[no];")
notes('odoo15', 'odoo15', lifecycle='deals')
tap.eq(load('odoo15'), [('event', 0, 0), ('link', 0, 0)], 'fields known by name, as before Odoo 13, are the same events')
db.run("drop table odoo15.mail_tracking_value, odoo15.mail_message, odoo15.res_company, odoo15.crm_team, odoo15.utm_source, odoo15.res_users, odoo15.res_partner cascade;")
said = notes('odoo15', 'bare', lifecycle='deals', currency='CHF')
tap.ok('only present values' in said['mail_tracking_value'] and 'CHF' in said['odoo15.crm_lead'], 'what is not known without history: said', said)
tap.eq(story('bare', 'opportunity', 100), ['01-01 10:00 created', '01-01 10:00 field_set amount 300 CHF', '01-01 10:00 field_set expected_close 2024-03-01', '01-05 10:00 assigned 6', '01-08 10:00 meeting_set',
                                           '01-09 10:00 meeting_set', '01-10 10:00 meeting_held', '02-01 10:00 stage_entered deals Won'], 'without history: the stage since its last change, the owner since the assignment')
tap.eq([e for e in story('bare', 'opportunity', 101) if 'stage' in e or 'disp' in e], ['01-03 10:00 stage_entered deals Qualified', '01-20 10:00 disposition_set loss_reason Dear', '01-20 10:00 stage_entered deals Lost'],
       'and a loss when it was closed')
n = db.value('select count(*) as n from bare_events')
tap.eq([load('bare')[0], load('bare')[0]], [('event', n, 0), ('event', 0, 0)], 'loaded once')
db.run("update odoo15.crm_lead set user_id = 5, date_open = '2024-04-01 10:00', stage_id = 1, date_last_stage_update = '2024-04-02 10:00' where id = 100;")
tap.eq(new_events('bare'), (['opportunity 100 assigned', 'opportunity 100 deals/New'], 0), 'later changes are dated and new')
db.run("drop table odoo15.crm_stage, odoo15.crm_lost_reason cascade;")
said = notes('odoo15', 'barer', lifecycle='deals')
tap.ok('numbers' in said['crm_stage'], 'without the stages: said', said)
tap.eq([e for e in story('barer', 'opportunity', 101) if 'stage' in e], ['01-03 10:00 stage_entered deals 2', '01-20 10:00 stage_entered deals Lost'], 'stages are known by number')
tap.done()
