"""What the tests of dumps and of upgrades share: their tools, and the three things a database can be filled with: values of every type, a governed
model, and a ledger of facts. Each is asked the same questions before and after."""
import atexit
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8', PGTZ='UTC', PGOPTIONS='-c client_min_messages=warning')
import harness                                                            # noqa: E402

tap = harness.Tap()
SOURCE = os.environ['PGDATABASE']
databases = []


def quoted(name):
    return '"%s"' % name.replace('"', '""')


def literal(text):
    return "'%s'" % text.replace("'", "''")


def execute(*command, text=None):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding='utf-8')


def run(*command, text=None):
    """Output of a command; what it says on stderr too when it fails."""
    done = execute(*command, text=text)
    if done.returncode:
        raise RuntimeError('%s: %s' % (' '.join(command), done.stderr.strip()))
    return done.stdout


PSQL = 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d'
PATH = 'SET search_path = public, revacct;\n'


def psql(database, script, user=None):
    return run(*PSQL, database, *(['-U', user] if user else []), text=PATH + script)


def refusal(database, script, user=None):
    """What the server says against it; nothing if it does not mind."""
    done = execute(*PSQL, database, *(['-U', user] if user else []), text=PATH + script)
    return done.stderr if done.returncode else ''


def new_database(suffix, options='TEMPLATE template0'):
    """A database that goes when the test does."""
    name = '%s_%s' % (SOURCE, suffix)
    databases.append(name)
    psql('postgres', 'CREATE DATABASE %s %s' % (name, options))
    return name


def new_roles(*roles, options='LOGIN'):
    """Roles that go when the test does, and with them what they own in the test's database."""
    psql('postgres', ''.join('CREATE ROLE %s %s;' % (quoted(role), options) for role in roles))
    atexit.register(drop_roles, roles)


def drop_roles(roles):
    drop_databases()
    owned = ', '.join(map(quoted, roles))
    psql(SOURCE, 'DROP EXTENSION IF EXISTS revacct CASCADE; DROP SCHEMA IF EXISTS revacct CASCADE; DROP OWNED BY %s CASCADE;' % owned)
    psql('postgres', 'DROP ROLE %s' % owned)


@atexit.register
def drop_databases():
    while databases:
        psql('postgres', 'DROP DATABASE IF EXISTS %s WITH (FORCE)' % databases.pop())


def plain_dump(database, *options):
    # since the minor releases of August 2025 a dump has a key of its own
    return re.sub(r'^\\(un)?restrict .*\n', '', run('pg_dump', '-d', database, *options), flags=re.M)


def restore_backwards(archive, database):
    """The tables' rows in the order opposite to the dump's: pg_restore with several jobs knows no order among an extension's tables."""
    listed = run('pg_restore', '-l', archive).split('\n')
    ours = [line for line in listed if ' TABLE DATA revacct_data ' in line]
    order = iter(reversed(ours))
    with tempfile.NamedTemporaryFile('w', suffix='.list') as listing:
        listing.write('\n'.join(next(order) if line in ours else line for line in listed))
        listing.flush()
        run('pg_restore', '--exit-on-error', '-L', listing.name, '-d', database, archive)


def restore(text, database, user=None):
    run('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', database, *(['-U', user] if user else []), text=text)
    return database


def answers(database, questions):
    """What a database says to each of some questions."""
    said = psql(database, ''.join('%s;\n\\echo -- end --\n' % query for query in questions.values())).split('-- end --\n')
    return dict(zip(questions, said))


# ---- values of every type ---------------------------------------------------------------------------------------------

TYPES = {
    'business_calendar': 'c', 'lifecycle': 'l', 'journey': 'j', 'journey_pack': 'p', 'funnel_summary': 'f', 'velocity_summary': 'v',
    'sla': 's', 'breach_summary': 'b'}
FINGERPRINTED = 'clfvsb'

VALUES = r"""
CREATE FUNCTION office() RETURNS business_calendar LANGUAGE SQL IMMUTABLE AS $$
    SELECT business_calendar('office; "north"', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 22:00-02:00}',
                             shifts => '{2025-12-24 09:00-12:00}', breaks => '{2025-06-02 14:00-16:00}', holidays => '{2025-12-25}') $$;
CREATE FUNCTION support(steps text[], name text DEFAULT 'support') RETURNS sla LANGUAGE SQL IMMUTABLE AS $$
    SELECT sla($2, start => '{created}', stop => '{replied}', pause => '{waiting}', resume => '{answered}', reset => '{reset}', segment => '{tier}',
               owner => '{team}', promise => '{promised}', target => '8 hours', escalations => $1, phases => '{first until waiting, second}') $$;

CREATE TABLE kept (id int PRIMARY KEY, c business_calendar, l lifecycle, j journey, p journey_pack, f funnel_summary, v velocity_summary, s sla, b breach_summary,
                   agreed text GENERATED ALWAYS AS (fingerprint(s)) STORED, UNIQUE (j),
                   CHECK (sla_name(s) <> 'forbidden'));
-- one row with all, built from plain definitions; one with none; one with what is large, old, odd or has many parts
INSERT INTO kept
SELECT 1, office(), l, j, p, f, v, s, b
FROM (SELECT lifecycle('deals', stages => '{lead, "two words"}', won => 'won', lost => '{lost}', within => '30 days', calendar => office()) AS l, support('{50% to owner, "breach + 4 hours to \"x\""}') AS s) d,
     LATERAL (SELECT journey(m, '2025-01-01'::timestamptz + m * interval '5 hours', m - 2, m) AS j FROM generate_series(1, 4) m) j,
     LATERAL (SELECT journey_pack(subject, j) AS p FROM unnest('{7, x, Ünï, "a\\b"}'::text[]) subject) p,
     LATERAL (SELECT funnel_conversion(t.j, t.l, '2025-02-01', 12.34) AS f, stage_velocity(t.j, t.l, '2025-02-01', '2024-12-01') AS v, sla_breach(t.j, t.s, '2025-02-01') AS b FROM (SELECT j, l, s) t) s;
INSERT INTO kept (id) VALUES (2);
INSERT INTO kept
SELECT 3, calendar_union(office(), calendar_intersection(office(), business_calendar('never', 'Asia/Kathmandu', '{}', known_until => 'infinity'))), l, j, p, f, v, s, b
FROM (SELECT lifecycle('many', stages => array_agg('s' || i ORDER BY i), skip => 'strict') AS l FROM generate_series(1, 40) i) l,
     (SELECT sla(array_agg(sla('parts', start => '{a}', stop => '{b}', segment => '{c}', owner => '{d}', reopen => 'restart', target => i * interval '1 hour', version => E'v\t' || i,
                               valid => CASE WHEN i > 1 THEN tstzrange('2025-01-01', NULL) END, segments => CASE WHEN i > 1 THEN ARRAY[i::bigint] END,
                               calendar => CASE WHEN i > 2 THEN office() END))) AS s FROM generate_series(1, 30) i) s,
     (SELECT journey(1 + i % 3, '0044-03-15 12:00:00.000001+00 BC'::timestamptz + i * interval '1 minute') AS j FROM generate_series(1, 30000) i) j,
     LATERAL (SELECT journey_pack(i, 1 + i % 3, '2025-01-01'::timestamptz + ((i * 7919) % 100000) * interval '1 minute') AS p FROM generate_series(1, 2000) i) p,
     LATERAL (SELECT funnel_conversion(t.p, t.l, '2026-01-01') AS f FROM (SELECT p, l) t) f,
     LATERAL (SELECT stage_velocity(j, lifecycle('one', stages => '{a}', won => 'w'), '2200-01-01') AS v
              FROM (SELECT journey(m, '2000-01-01'::timestamptz + CASE WHEN m = 2 THEN i * interval '1 day 00:00:07.123457' ELSE '0' END) AS j FROM generate_series(1, 5000) i, generate_series(1, 2) m GROUP BY i) t) v,
     LATERAL (SELECT sla_breach(journey, s, '2026-01-01') AS b FROM unpack(p)) b;
CREATE INDEX ON kept USING hash (s);
CREATE INDEX ON kept (fingerprint(l));

CREATE TABLE ticket (subject text PRIMARY KEY, team int DEFAULT 1, journey journey NOT NULL DEFAULT '{1@2025-03-03T09:00:00Z}', agreed sla NOT NULL DEFAULT support('{50% to owner, 80% to lead, breach to manager}'));
INSERT INTO ticket (subject) SELECT 'T-' || i FROM generate_series(1, 20) i;
INSERT INTO ticket (subject, team) VALUES (E'tab\tnewline\n\\N', 2), ('', 2), ('Ünï 🙂', 2);
CREATE MATERIALIZED VIEW breaches AS SELECT team, sla_breach(journey, agreed, '2025-03-04 00:00+00') AS breach FROM ticket GROUP BY team;
CREATE MATERIALIZED VIEW company AS SELECT rollup(breach) AS breach, string_agg(p::text, '; ' ORDER BY p) AS policies FROM breaches, policies(breach) p;
CREATE VIEW worklist AS SELECT subject, c.*, e.step, e.raise_at FROM ticket, sla_clocks(journey, agreed, '2025-03-03 15:30+00') c, escalations_due(subject, journey, agreed, '2025-03-03 18:00+00') e;
CREATE FUNCTION raise_all(as_of timestamptz) RETURNS SETOF revacct_data.escalation BEGIN ATOMIC
    SELECT r.* FROM ticket t, revacct.raise_escalations(t.subject, t.journey, t.agreed, as_of) r; END;
"""

# name → query; each must give the same afterwards, and something
VALUE_QUESTIONS = {
    'escalations': 'SELECT e.* FROM revacct_data.escalation e ORDER BY sla, subject, counting_since, step',
    'how many escalations': 'SELECT count(*), count(DISTINCT (sla, subject, counting_since, step)) FROM revacct_data.escalation',
    'what is due': 'SELECT * FROM worklist ORDER BY subject, step',
    'materialized views': 'SELECT team, breach, fingerprint(breach), p.* FROM breaches, policies(breach) p ORDER BY team, p.policy_no',
    'materialized views of materialized views': 'SELECT * FROM company',
    'generated columns': 'SELECT id, agreed FROM kept WHERE agreed = fingerprint(s) ORDER BY id',
    'defaults': "SELECT column_name, column_default FROM information_schema.columns WHERE table_name = 'ticket' AND column_default IS NOT NULL ORDER BY 1",
    'an index of journeys': "SET enable_seqscan = off; SELECT id FROM kept WHERE j = (SELECT j FROM kept WHERE id = 3)",
    'an index of SLAs': "SET enable_seqscan = off; SELECT id FROM kept WHERE s = (SELECT s FROM kept WHERE id = 3)",
    'the extension': """
        SELECT extversion, extnamespace::regnamespace, extconfig::regclass[], extcondition, (SELECT count(*) FROM pg_depend WHERE refobjid = e.oid AND deptype = 'e') FROM pg_extension e WHERE extname = 'revacct'""",
}
for type_, column in TYPES.items():
    VALUE_QUESTIONS[type_ + ': text'] = 'SELECT id, %s FROM kept ORDER BY id' % column
    VALUE_QUESTIONS[type_ + ': bytes'] = 'SELECT id, %s_send(%s) FROM kept ORDER BY id' % (type_, column)
    if column in FINGERPRINTED:
        VALUE_QUESTIONS[type_ + ': fingerprint'] = 'SELECT id, fingerprint(%s) FROM kept ORDER BY id' % column


# ---- a governed model-------------------------------------------------------------------------------------------------

PEOPLE = 'ana', 'ben', 'cleo', 'dora', 'bi', 'lab', 'load', 'nobody'


def change(rationale, what, signers='ben dora cleo', times='', by='ana', agreed=True):
    """Drafted and proposed by one, signed by those of the others who have to, and then agreed."""
    steps = [(by, 'SELECT draft_change(%s%s) AS draft \\gset\n%s\nSELECT propose_change(:draft) AS proposed \\gset' % (literal(rationale), times and ', ' + times, what))]
    for who in signers.split():
        steps.append((who, "SELECT approve(change_no, 'fine') FROM awaiting_my_signoff WHERE change_no = :proposed LIMIT 1;"))
    return steps + [(None, "SELECT 1 / ((status = 'approved') = %s)::int FROM revacct_data.change WHERE change_id = :proposed;" % agreed)]


def since(at, until=None):
    return "%s%s, retroactive => true" % (literal(at), ', effective_until => ' + literal(until) if until else '')


STRANGE = r"""'deals / "north" \ Ünï'"""

SCRIPT = [
    ('ana', """
        SELECT register_party('marketing', 'team'), register_party('sales', 'team'), register_party('finance', 'function'), register_party('ana', 'person', 'Ana Silva'),
               register_party('ben', 'person'), register_party('dora', 'external'), register_party('new leads', 'queue'), register_party('left/right', 'team');"""),
    (None, "SELECT link_login('ana', {ana}), link_login('ben', {ben}), link_login('dora', {dora});"),
    *change('Who we are', """
        SELECT assign('ben', 'approver', 'party', 'sales'), assign('dora', 'approver', 'party', 'marketing'), assign('ana', 'member', 'party', 'marketing'),
               assign('sales', 'member', 'party', object_key('left/right')), assign('ben', 'manager', 'party', 'ana'), assign('ben', 'pool', 'party', 'new leads', weight => 2.5, capacity => 7);""", times=since('2024-01-01 00:00+00')),
    *change('Inbound, as agreed', """
        SELECT define_calendar('office', 'Europe/Berlin', '{{mon-fri 09:00-12:30 13:30-18:00}}', holidays => '{{2024-12-25, 2024-12-26}}', known_until => '2024-12-31', meaning => 'Whoever sits in Berlin'),
               define_calendar('night "shift"', 'America/New_York', '{{sun-thu 22:00-06:00}}', shifts => '{{2024-07-04 22:00-24:00}}', breaks => '{{2024-11-28 22:00-24:00}}');
        SELECT define_lifecycle('inbound', 'From arrival to customer', within => '120 days', calendar => 'office', time_zone => 'Europe/Berlin', enforcement => 'refuse');
        SELECT define_stage('inbound', s.stage, s.no, s.category, journey_place => s.place, is_pipeline => s.stage = 'sql', max_age => s.age, probability => s.p)
        FROM (VALUES (10, 'lead', 'open', 'aware', NULL::interval, NULL), (20, 'mql', 'open', NULL, '7 days', 0.05), (30, 'sal', 'open', NULL, '1 mon 2 days', 0.1), (40, 'sql', 'open', 'decide', NULL, 0.333333),
                     (50, 'won', 'won', NULL, NULL, 1), (70, 'lost', 'lost', NULL, NULL, 0), (80, 'no decision', 'no_decision', NULL, NULL, NULL),
                     (90, 'later', 'recycled', NULL, NULL, NULL)) AS s (no, stage, category, place, age, p);
        SELECT define_lifecycle('customers', subject_kind => 'account', calendar => 'night "shift"'), define_stage('customers', 'new', 1), define_stage('customers', 'live', 2, 'active'), define_stage('customers', 'gone', 3, 'churned');
        SELECT define_code('journey', 'aware', code_no => 1), define_code('journey', 'decide', code_no => 2), define_code('loss_reason', 'price', applies_to => 'lost'),
               define_code('loss_reason', 'too/dear', parent => 'price', requires => '{{competitor}}', meaning => E'tab\\tnewline\\n\\\\N'), define_code('segment', 'enterprise'), define_code('segment', 'small'),
               define_code('event', 'tier_set'), define_code('event', 'call promised'), define_code('channel', 'email', 'E-Mail');
        SELECT define_transition('inbound', NULL, 'lead', 'enter', trigger_kind => 'created'), define_transition('inbound', 'lead', 'mql', guard => '{{"employees": {{"at_least": 10}}, "country": ["DE", "FR"]}}'),
               define_transition('inbound', 'mql', 'lost', 'exit', code_list => 'loss_reason', min_codes => 1, enforcement => 'refuse');
        SELECT define_field_rule('lead', 'email', 'required', lifecycle => 'inbound', at_stage => 'mql', enforcement => 'refuse'), define_field_rule('lead', 'email', 'source', source => 'crm', priority => 1),
               define_field_rule('lead', 'size', 'domain', condition => '{{"size": ["s", "m"]}}'), define_field_rule('lead', 'account', 'association'), define_field_rule('lead', 'born', 'immutable');
        SELECT define_sla('speed to lead', start => '{{lead, reopened}}', stop => '{{touch_out}}', pause => '{{paused}}', resume => '{{mql}}', segment => '{{tier_set}}', owner => '{{assigned}}', promise => '{{call promised}}',
                          target => '4 hours', calendar => 'office', lifecycle => 'inbound', phases => '{{routing until assigned, human}}', warnings => '{{0.5, 0.8}}', reopen => 'restart'),
               define_step('speed to lead', '80%', 'owner'), define_step('speed to lead', 'breach + 4 hours', 'left/right', 'reassign'),
               define_sla_target('speed to lead', '1 hour', segment => 'enterprise'), define_sla_target('speed to lead', '2 hours', segment => 'small', owner => 'ben', calendar => 'night "shift"'),
               define_sla('three calls', '{{mql}}', '{{touch_in}}', target => '3 days', kind => 'follow_up', lifecycle => 'inbound', max_clocks => 3, beyond => 'ignore'),
               define_sla('try again', '{{lost}}', '{{lead}}', target => '90 days', kind => 'recycle', lifecycle => 'inbound', to_stage => 'lead', max_times => 2),
               define_route('north', 'new leads', 1, '{{"country": {{"not": ["US"]}}}}', 'least_loaded'), define_hygiene('has a date', '{{"expected_close": {{"given": true}}}}', lifecycle => 'inbound');
        SELECT define_metric('win rate', 'Won of all that were decided', population => 'opportunities', numerator => 'won', denominator => 'decided', lifecycle => 'inbound', at_stage => 'sql', to_stage => 'won',
                             time_window => '1 year', params => '{{"a": [1, null]}}', min_n => 20),
               define_target('win rate', '2024-01-01', '2025-01-01', 0.25, floor => 0.2, stretch => 0.300), define_target('win rate', '2024-01-01', '2024-04-01', 0.1, scope => 'sales'),
               define_program('spring', meaning => 'Spring campaign', codes => '{{"channel": "email"}}', arms => '{{a, "b c"}}'), define_program('webinar', 'motion', parent => 'spring', status => 'planned');
        SELECT assign('marketing', 'accountable', 'stage', 'inbound/mql', 0.6), assign('sales', 'accountable', 'stage', 'inbound/mql', 0.333333), assign('sales', 'accountable', 'metric', 'win rate'),
               assign('sales', 'accountable', 'policy', 'speed to lead'), assign('finance', 'consulted', 'metric', 'win rate'), assign('dora', 'steward', 'field', 'lead/email');""", times=since('2024-01-01 00:00+00')),
    *change('Names that are hard to say', """
        SELECT define_lifecycle({strange}, skip => 'strict', attempt => 'first', visits => 'last', unknown => 'count', times => 'increasing'),
               define_stage({strange}, 'a/b', 1), define_stage({strange}, 'a\\b', 2), define_stage({strange}, 'two words', 3, 'won');
        SELECT define_sla({strange}, '{{a/b}}', '{{"two words"}}', '90 minutes', lifecycle => {strange});""", times=since('2024-02-29 12:34:56.789012+00')),
    *change('Faster, from summer on', """
        SELECT define_sla('speed to lead', start => '{{lead, reopened}}', stop => '{{touch_out}}', pause => '{{paused}}', resume => '{{mql}}', segment => '{{tier_set}}', owner => '{{assigned}}', promise => '{{call promised}}',
                          target => '3 hours', calendar => 'office', lifecycle => 'inbound', phases => '{{routing until assigned, human}}', reopen => 'restart'), retire('policy_step', 'speed to lead/80%/owner');""", times=since('2024-07-01 00:00+00')),
    *change('Other holidays', """
        SELECT define_calendar('office', 'Europe/Berlin', '{{mon-thu 08:00-17:00, fri 08:00-14:00}}', holidays => '{{2025-12-25, 2025-12-26}}', known_until => '2025-12-31');""", times=since('2025-01-01 00:00+00')),
    *change('No more sal', "SELECT retire('stage', 'inbound/sal', successor => 'inbound/sql');", times=since('2025-03-01 00:00+00')),
    *change('A month of haste', "SELECT define_sla_target('speed to lead', '15 minutes', segment => 'enterprise'), define_step('speed to lead', 'breach', 'manager');", times=since('2025-06-01 00:00+00', '2025-07-01 00:00+00')),
    # what was known of March 2024 is another matter from now on
    *change('As it really was', "SELECT define_sla_target('speed to lead', '45 minutes', segment => 'enterprise');", times=since('2024-03-01 00:00+00', '2024-04-01 00:00+00')),
    *change('A trial', """SELECT define_lifecycle('trial'), define_stage('trial', 'start', 1), define_stage('trial', 'end', 2, 'won');
        SELECT define_sla('trial time', '{{start}}', '{{end}}', '14 days', lifecycle => 'trial');""", times=since('2024-06-01 00:00+00')),
    *change('No more trials', "SELECT retire('lifecycle', 'trial', successor => 'inbound'), retire('policy', 'trial time');", times=since('2025-02-01 00:00+00')),
    *change('And no sql either', """SELECT define_stage('inbound', 'opportunity', 45, is_pipeline => true), retire('stage', 'inbound/sql', successor => 'inbound/opportunity'),
               define_metric('win rate', 'Won of all that were decided', lifecycle => 'inbound', at_stage => 'opportunity', to_stage => 'won'), define_sla('three calls', '{{mql}}', '{{touch_in}}', target => '3 days', kind => 'follow_up', lifecycle => 'inbound', max_clocks => 3);""", times=since('2025-09-01 00:00+00')),
    *change('In the next century', """SELECT define_stage('inbound', 'mql', 25, max_age => '3 days'), define_sla('three calls', '{{mql}}', '{{touch_in}}', target => '1 day', kind => 'follow_up', lifecycle => 'inbound', max_clocks => 3);""", times="'2100-01-01 00:00+00'"),
    *change('For good, whatever was agreed for later', "SELECT define_sla('three calls', '{{mql}}', '{{touch_in}}', target => '2 days', kind => 'follow_up', lifecycle => 'inbound', max_clocks => 3);", times=since('2025-10-01 00:00+00', 'infinity')),
    # without dates, of what is not compiled: what is compiled would know when this ran
    *change('From now on', "SELECT define_program('autumn', 'experiment'), unassign('finance', 'consulted', 'metric', 'win rate'), assign('finance', 'informed', 'metric', 'win rate');"),
    # what is under way: refused, taken back, half signed, and not proposed yet
    *change('Slower', "SELECT define_sla_target('speed to lead', '9 hours', segment => 'small');", '', agreed=False, times=since('2024-05-01 00:00+00')),
    ('ben', "SELECT reject(:proposed, 'no');"),
    *change('Never mind', "SELECT define_code('channel', 'fax');", '', agreed=False),
    ('ana', 'SELECT withdraw_change(:proposed);'),
    *change('Half signed', """SELECT define_stage('inbound', 'mql', 20, max_age => '5 days', meaning => 'Looks good'), define_code('channel', 'phone'), retire('stage', 'inbound/later', successor => 'inbound/no decision'),
               define_sla('speed to lead', start => '{{lead, reopened}}', stop => '{{touch_out}}', pause => '{{paused}}', resume => '{{mql}}', segment => '{{tier_set}}', owner => '{{assigned}}', promise => '{{call promised}}',
                          target => '150 minutes', calendar => 'night "shift"', lifecycle => 'inbound', phases => '{{routing until assigned, human}}', reopen => 'restart');""", 'ben cleo', agreed=False, times=since('2025-11-01 00:00+00', '2100-01-01 00:00+00')),
    ('bi', "SELECT draft_change('An idea'); SELECT define_metric('ideas', 'How many', 'count'), define_code('channel', 'pigeon'), retire('program', 'webinar');"),
    ('bi', "SELECT request_override('field_rule', 'lead/email/required/inbound/mql', 'L-7', 'no mail yet'), request_override('policy', 'has a date', 'L-8', 'nobody knows');"),
    ('ana', 'SELECT approve_override(min(override_id)) FROM revacct_data.override;'),
]

# Between any two steps, for another database: nothing of it comes into force, so it makes no difference to what does.
NOISE = ('ben', """SELECT draft_change('noise') AS noise \\gset
    SELECT define_code('segment', 'noise', change => :noise), define_sla('noise', '{{nothing}}', '{{created}}', target => '1 hour', change => :noise), define_lifecycle('noise', change => :noise), define_stage('noise', 'noise', 1, change => :noise);
    DO $$ BEGIN PERFORM propose_change((SELECT max(change_no) FROM open_changes)); RAISE EXCEPTION 'not refused'; EXCEPTION WHEN foreign_key_violation THEN NULL; END $$;
    SELECT define_code('event', 'nothing', change => :noise);
    SELECT propose_change(:noise) AS noise \\gset
    SELECT withdraw_change(:noise) AS noise \\gset
    """)


def agree(database, roles, noise=False):
    names = {who: literal(quoted(role)) for who, role in roles.items()}
    steps = [(None, "SELECT grant_access('steward', {ana}), grant_access('steward', {ben}), grant_access('reader', {dora}), grant_access('council', {cleo}), grant_access('reader', {bi}), grant_access('analyst', {lab}), grant_access('loader', {load});")]
    for step in SCRIPT:
        steps += [step] + [NOISE] * (noise and step is not SCRIPT[0] and step is not SCRIPT[1])
    script = ''
    for who, what in steps:
        text = what.format(strange=STRANGE, **names)
        script += ('SET SESSION AUTHORIZATION %s;\n%s\nRESET SESSION AUTHORIZATION;\n' % (quoted(roles[who]), text)) if who else text + '\n'
    return psql(database, script)


# ---- what is asked ----------------------------------------------------------------------------------------------------

# Every value at every time: what is known after each approval is asked for by its place in their order, as times are not the same again.
SAMPLED = """
CREATE FUNCTION pg_temp.sampled() RETURNS TABLE (kind text, name text, model_at timestamptz, known int, fingerprint text) LANGUAGE plpgsql AS $$
DECLARE known_at timestamptz;
BEGIN
    FOR kind, name, model_at, known, known_at IN
        SELECT d.*, m.*, k.*
        FROM (SELECT 'lifecycle', l.lifecycle FROM revacct_data.lifecycle AS l WHERE l.lifecycle <> 'noise' UNION SELECT 'calendar', c.calendar FROM revacct_data.calendar AS c
              UNION SELECT 'policy', p.policy FROM revacct_data.policy AS p WHERE p.start IS NOT NULL AND p.policy <> 'noise') AS d (kind, name),
             (SELECT t FROM unnest('{2023-12-31, 2024-01-01, 2024-02-28, 2024-03-31 23:59:59.999999, 2024-04-01, 2024-06-15, 2024-12-31, 2025-01-01, 2025-02-28, 2025-03-01, 2025-06-30, 2025-08-01, 2025-11-02,
                                    2099-12-31, 2100-01-01, 2200-01-01}'::timestamptz[]) AS t UNION ALL SELECT NULL) AS m (at),
             (SELECT row_number() OVER (ORDER BY decided_at), decided_at FROM revacct_data.change WHERE status = 'approved'
              UNION ALL SELECT 0, min(decided_at) - interval '1 microsecond' FROM revacct_data.change WHERE status = 'approved' UNION ALL SELECT NULL, NULL) AS k (no, at)
        WHERE m.at IS NOT NULL OR d.kind = 'policy'
        ORDER BY d.kind, d.name COLLATE "C", m.at, k.no
    LOOP
        BEGIN
            fingerprint := CASE kind WHEN 'lifecycle' THEN fingerprint(lifecycle(name, model_at, known_at)) WHEN 'policy' THEN fingerprint(sla(name, model_at, known_at))
                                     ELSE fingerprint(_business_calendar(name, model_at, known_at)) END;
        EXCEPTION WHEN undefined_object THEN fingerprint := NULL;
        END;
        RETURN NEXT;
    END LOOP;
END $$;
SET TimeZone = 'UTC'; SET DateStyle = 'ISO';
"""


def sampled(database):
    return psql(database, SAMPLED + 'SELECT * FROM pg_temp.sampled();')


# Whoever uses the model keeps what it gives, and names it in objects of their own; a trigger asks it.
USES = """
CREATE TABLE lead (id int PRIMARY KEY, stage text, fields jsonb, held lifecycle DEFAULT lifecycle('inbound'), agreed sla DEFAULT (sla('speed to lead')));
CREATE FUNCTION lead_moves() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    PERFORM revacct.enforce_move('inbound', OLD.stage, NEW.stage, NEW.fields); RETURN NEW; END $$;
CREATE TRIGGER moves BEFORE UPDATE ON lead FOR EACH ROW EXECUTE FUNCTION lead_moves();
INSERT INTO lead VALUES (1, 'lead', '{"email": "a@b", "expected_close": 1, "employees": 11, "country": "DE", "size": "s"}');
CREATE MATERIALIZED VIEW agreed AS SELECT id, fingerprint(held) AS held, fingerprint((SELECT lifecycle('inbound'))) AS now, fingerprint((SELECT sla('speed to lead', model_at => '2025-04-01'))) AS then FROM lead;
CREATE MATERIALIZED VIEW told AS SELECT kind, name, terms FROM glossary;
CREATE VIEW named AS SELECT fingerprint(lifecycle('inbound')) AS l, fingerprint(sla('speed to lead'::text)) AS s, fingerprint(business_calendar('office')) AS c, (SELECT count(*) FROM model_history) AS n;
CREATE FUNCTION said() RETURNS text BEGIN ATOMIC SELECT revacct.fingerprint(revacct.lifecycle('inbound')) || count(*) FROM revacct.open_changes; END;
"""

MODEL_QUESTIONS = {
    'times compiled': SAMPLED + 'SELECT * FROM pg_temp.sampled();',
    'compiled as text': "SELECT lifecycle('inbound', model_at => '2025-04-01'), sla('speed to lead'), business_calendar('office', '2025-04-01'), lifecycle('inbound'), sla('three calls'), business_calendar('office');",
    'explanations': SAMPLED + """
        SELECT s.kind, s.name, s.fingerprint, e.*
        FROM (SELECT DISTINCT ON (kind, name, fingerprint) * FROM pg_temp.sampled() WHERE fingerprint IS NOT NULL ORDER BY kind, name, fingerprint, model_at, known) AS s
             LEFT JOIN LATERAL (SELECT row_number() OVER (ORDER BY decided_at) AS no, decided_at FROM revacct_data.change WHERE status = 'approved') AS k ON k.no = s.known,
             LATERAL (SELECT x.* FROM explain_definition(lifecycle(s.name, s.model_at, k.decided_at)) AS x WHERE s.kind = 'lifecycle'
                      UNION ALL SELECT x.* FROM explain_definition(sla(s.name, s.model_at, k.decided_at)) AS x WHERE s.kind = 'policy'
                      UNION ALL SELECT x.* FROM explain_definition(_business_calendar(s.name, s.model_at, k.decided_at)) AS x WHERE s.kind = 'calendar') AS e
        ORDER BY s.kind, s.name COLLATE "C", s.fingerprint, e.*;""",
    'glossary': 'SELECT * FROM glossary ORDER BY 1, 2;',
    'open changes': 'SELECT * FROM open_changes ORDER BY 1;',
    'contents of changes': 'SELECT * FROM change_contents ORDER BY 1, 2, 3;',
    'history': 'SELECT * FROM model_history ORDER BY 1, 2, 3, 4;',
    'ownership': 'SELECT * FROM ownership ORDER BY 1, 2, 3, 4;',
    'what breaks rules': """SELECT * FROM check_move('inbound', 'mql', 'lost', '{"size": "x"}'), check_move('inbound', 'mql', 'opportunity', '{}', subject => 'L-7') AS again;""",
    'what is counted as what': "SELECT k, counted_as('stage', k), counted_as('stage', k, '2024-01-01') FROM unnest('{inbound/sal, inbound/sql, inbound/mql, nothing}'::text[]) AS k;",
    'materialized views': 'SELECT * FROM agreed; SELECT * FROM told ORDER BY 1, 2;',
    'views': 'SELECT * FROM named; SELECT said();',
    'sequences': "SELECT sequencename, last_value FROM pg_sequences WHERE schemaname = 'revacct_data' ORDER BY 1;",
    'the extension': """SELECT extversion, extnamespace::regnamespace, extconfig::regclass[], extcondition, (SELECT count(*) FROM pg_depend WHERE refobjid = e.oid AND deptype = 'e') FROM pg_extension e WHERE extname = 'revacct';""",
}

def model_tables(database):
    """The tables of the model: their rows have a guard each."""
    return psql(database, "SELECT tgrelid::regclass FROM pg_trigger WHERE tgname = 'guard_rows' ORDER BY 1::text;").replace('revacct_data.', '').split()


def model_rows(database):
    """Everything in every table of the model, as text that no setting alters."""
    tables = model_tables(database)
    said = psql(database, "SET TimeZone = 'UTC';" + ''.join('SELECT t FROM revacct_data.%s AS t ORDER BY t::text COLLATE "C";\n\\echo -- end --\n' % table for table in tables)).split('-- end --\n')
    return dict(zip(tables, said))


# ---- a ledger ----------------------------------------------------------------------------------------------------------

DEALS = """
SELECT grant_access('steward', '{ana}'), grant_access('council', '{cleo}'), grant_access('analyst', '{lab}'), grant_access('loader', '{load}'), grant_access('reader', '{ann}');
SET SESSION AUTHORIZATION {ana};
SELECT register_party('ann', 'person'), register_party('board', 'team');
SELECT draft_change('Deals', '2024-01-01', retroactive => true);
SELECT define_lifecycle('deals', 'Deals', time_zone => 'Europe/Berlin'), define_stage('deals', 'lead', 10), define_stage('deals', 'proposal', 20, is_pipeline => true), define_stage('deals', 'won', 30, 'won'), define_stage('deals', 'lost', 40, 'lost');
SELECT define_sla('touch', start => '{{lead}}', stop => '{{touch_out}}', target => '90 days', lifecycle => 'deals', meaning => 'x'), define_code('segment', 'small');
SELECT define_metric('win rate', 'x', basis => 'event', lifecycle => 'deals', to_stage => 'won'), define_metric('lead to won', 'x', basis => 'cohort', lifecycle => 'deals', at_stage => 'lead', to_stage => 'won');
SELECT assign('board', 'accountable', 'metric', 'win rate'), assign('board', 'accountable', 'metric', 'lead to won');
SELECT propose_change();
SET SESSION AUTHORIZATION {cleo};
SELECT approve(1), set_minimum_group(3);
RESET SESSION AUTHORIZATION;
SELECT link_login('ann', '{ann}');
"""

# Thirty deals over the years, some of a strange name, whatever a row may hold; and rows that cannot be taken in.
RAW = r"""
CREATE TABLE raw AS
SELECT k || '/' || i AS k, 'Deal "' || i || E'" \\N\tÜ' AS deal, ev, at + i * interval '40 days' + no * interval '9 days' AS at, stage, field, code, party, amount, currency, seq, details
FROM generate_series(1, 30) AS i, LATERAL (VALUES
    ('a', 1, 'stage_entered', 'lead', NULL, NULL, NULL, NULL::numeric, NULL, 1::bigint, NULL::jsonb), ('b', 2, 'stage_entered', CASE WHEN i % 2 = 0 THEN 'proposal' ELSE 'lost' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('c', 3, 'stage_entered', CASE WHEN i % 3 = 0 THEN 'won' ELSE 'proposal' END, NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('d', 1, 'field_set', NULL, 'segment', CASE WHEN i % 2 = 0 THEN 'small' ELSE 'never defined' END, NULL, NULL, NULL, 2, NULL),
    ('e', 1, 'assigned', NULL, NULL, NULL, CASE WHEN i % 3 = 0 THEN 'ann' ELSE 'Bob / "B"' END, NULL, NULL, NULL, NULL), ('f', 1, 'field_set', NULL, 'amount', NULL, NULL, i * 1000.55, CASE WHEN i % 2 = 0 THEN 'EUR' END, NULL, NULL),
    ('g', 2, 'field_set', NULL, 'expected_close', NULL, NULL, NULL, NULL, NULL, '{"value": "2026-01-31", "x": [null, "\u00fc\t"]}'), ('h', 4, 'touch_out', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)) AS e (k, no, ev, stage, field, code, party, amount, currency, seq, details),
    (VALUES ('2022-12-20 23:30+00'::timestamptz)) AS t (at);
INSERT INTO raw (k, deal, ev, at, stage) VALUES ('old', 'Ancient', 'stage_entered', '1999-12-31 23:59:59.999999+00', 'lead'), ('new', 'Ancient', 'stage_entered', '2000-01-01 00:00+00', 'won'), ('far', 'To come', 'stage_entered', '2199-12-30', 'lead'),
    ('bad1', 'No time', 'stage_entered', NULL, 'lead'), ('bad2', 'No stage', 'stage_entered', '2024-01-01', NULL), (NULL, 'No key', 'stage_entered', '2024-01-01', 'lead'), ('bad3', 'No such event', 'danced', '2024-01-01', NULL);
CREATE VIEW ev AS SELECT 'opportunity'::text AS subject_kind, deal AS subject_key, ev AS event, at AS occurred_at, k AS source_key, CASE WHEN stage IS NOT NULL THEN 'deals' END AS lifecycle, stage, field, code, party, amount, currency, seq, details FROM raw;
CREATE TABLE pay AS SELECT 'p' || i AS source_key, 'recurring' AS kind, 'account' AS subject_kind, 'ACME' AS subject_key, '2024-01-01'::date + i AS starts_on, CASE WHEN i > 1 THEN '2025-01-01'::date END AS ends_on, i * 10.5 AS amount, 'EUR' AS currency, CASE WHEN i = 3 THEN 'p2' END AS corrects FROM generate_series(1, 4) AS i;
INSERT INTO pay VALUES ('p9', 'gift', NULL, NULL, '2024-01-01', NULL, 1, 'EUR', NULL);
CREATE TABLE said AS SELECT 'c' || i AS source_key, 'promise' AS kind, 'opportunity' AS subject_kind, 'Deal x' AS subject_key, 'ann' AS from_party, 'board' AS to_party, E'call\nback \\.' AS promised, '2025-01-01'::timestamptz + i * interval '1 day' AS due_at, CASE WHEN i = 2 THEN 'c1' END AS corrects FROM generate_series(1, 2) AS i;
CREATE TABLE link AS SELECT 'opportunity' AS from_kind, 'Ancient' AS from_key, 'opportunity' AS to_kind, 'To come' AS to_key, 'same_as' AS role, NULL::timestamptz AS valid_from, NULL::numeric AS share, 's1' AS source_key
    UNION ALL SELECT 'opportunity', 'Ancient', 'account', 'ACME', 'account', '2000-01-01', 0.25, 's2' UNION ALL SELECT 'opportunity', 'Ancient', 'account', 'ACME', 'nonsense', NULL, NULL, 's3';
GRANT SELECT ON ev, pay, said, link TO {load};
"""

FACTS = """
SET SESSION AUTHORIZATION {load};
SELECT map_source('crm', events => 'ev', links => 'link', money => 'pay', commitments => 'said', priority => 7);
SELECT fact, loaded, rejected FROM load('crm');
SELECT count(*) FROM load('crm');
SELECT record_event('other "one"', 'opportunity', 'X', 'stage_entered', '2025-03-01', lifecycle => 'deals', stage => 'lead', source_key => 'x1', actor => 'ann', program => 'spring'),
       record_event('crm', 'opportunity', 'Ancient', 'stage_entered', '2000-01-02', lifecycle => 'deals', stage => 'lost', source_key => 'fix', corrects => 'new'),
       record_event('crm', 'opportunity', 'Ancient', 'retracted', '2000-01-02', source_key => 'back', corrects => 'far'),
       record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', 'To come', from_source => 'other "one"', source_key => 'two');
SELECT * FROM refresh(false);
SET SESSION AUTHORIZATION {ana};
SELECT publish('win rate', NULL, note => E'a\\tb'), publish('lead to won', '[2023-01-01,2025-01-01)', segment => 'small', as_of => '2025-06-01');
SET SESSION AUTHORIZATION {load};
-- said otherwise, recorded, and not refreshed yet
SELECT record_link('crm', 'opportunity', 'X', 'same_as', 'opportunity', E'Deal "1" \\\\N\\tÜ', from_source => 'other "one"', source_key => 'two'), record_event('crm', 'opportunity', 'Late', 'stage_entered', '2025-05-05', lifecycle => 'deals', stage => 'won', source_key => 'late'),
       record_event('crm', 'opportunity', 'Late', 'retracted', '2025-05-05', source_key => 'never', corrects => 'late'), record_event('crm', 'opportunity', 'Later', 'stage_entered', '2025-05-05', lifecycle => 'deals', stage => 'lead', source_key => 'later');
RESET SESSION AUTHORIZATION;
"""


def filling(roles):
    """The scripts, one after the other: what is agreed, what landed, and what is loaded, recorded, refreshed and published."""
    return DEALS.format(**roles), RAW.replace('{load}', roles['load']), FACTS.format(**roles)


LEDGER = 'source load subject subject_link event correction money commitment rejected report_setting published party numbering'.split()


def ledger(database):
    """Every fact, as text that no setting alters, and in which partition it is."""
    said = psql(database, "SET TimeZone = 'UTC'; SET DateStyle = 'ISO';" + ''.join('SELECT %s, t FROM revacct_data.%s AS t ORDER BY t::text COLLATE "C";\n\\echo -- end --\n' % ('tableoid::regclass', table) for table in LEDGER)).split('-- end --\n')
    return dict(zip(LEDGER, said))


def derived(database):
    """What refresh() makes, without the times at which it did and the numbers that it gave."""
    return psql(database, r"""SET TimeZone = 'UTC';
        SELECT subject_id, journey_send(journey) FROM revacct_data.journey ORDER BY 1;
        SELECT * FROM revacct_data.identity ORDER BY 1;
        SELECT c.lifecycle, c.period_start, c.segment_no, c.lead_source_no, c.owner_no, c.currency, p.bucket, journey_pack_send(p.pack) FROM revacct_data.pack AS p JOIN revacct_data.cell AS c USING (cell_id) ORDER BY 1, 2, 3, 4, 5, 6, 7;
        SELECT lifecycle, period, segment, lead_source, owner, currency, stage_no, entered, converted, lost, amount_entered, amount_converted, definition_fingerprint FROM funnel ORDER BY 1, 2, 3, 4, 5, 6, 7;
        SELECT policy, subject_key, clock_no, started_at, due_at FROM sla_status ORDER BY 1, 2, 3;
        SELECT source, subject_key, occurred_at, recorded_at, event, stage, code, party, actor, amount, currency, source_key, corrected_by FROM event_log ORDER BY source, source_key;
        SELECT * FROM rejected_facts ORDER BY 1, 2, 3, 4; SELECT * FROM source_conflicts ORDER BY 1, 2, 3, 4, 5, 6; SELECT * FROM exceptions ORDER BY 1, 2, 3, 4, 5, 6, 7, 8;""")
