#!/usr/bin/env python3
"""A governed model, dumped and restored: the same rows, the same compiled values, the same rights, and whatever was under way goes on.
The same script on another database gives the same values; their digest is a constant here, so that every server the suite runs on is
compared with every other."""
import atexit
import hashlib
import os
import re
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'data'))
os.environ.update(LC_ALL='C.UTF-8', PGCLIENTENCODING='UTF8', PGTZ='UTC', PGOPTIONS='-c client_min_messages=warning')
import harness

# The fingerprints of all that SCRIPT agrees on, at every sampled time. It changes when the script does, or what compiling gives.
GOLDEN = '535ec07e53693bf44884767a458d6c0850564ff5a665883df1c052fbbfdc9c9a'

SOURCE = os.environ['PGDATABASE']
PEOPLE = 'ana', 'ben', 'cleo', 'dora', 'bi', 'lab', 'load', 'nobody'
# one that has to be quoted, and one that is a prefix of another
ROLES = {who: 'revacct model "%s" %d' % (who, os.getpid()) if who == 'ben' else 'revacct_model_%s_%d' % (who, os.getpid()) for who in PEOPLE}
OTHERS = {who: 'revacct_other_%s_%d' % (who[::-1], os.getpid()) for who in PEOPLE}
OWNER = 'revacct_owner_%d' % os.getpid()
ROOT = 'revacct_root_%d' % os.getpid()
tap = harness.Tap()
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
    name = '%s_%s' % (SOURCE, suffix)
    databases.append(name)
    psql('postgres', 'CREATE DATABASE %s %s' % (name, options))
    return name


@atexit.register
def clean_up():
    for name in databases:
        psql('postgres', 'DROP DATABASE IF EXISTS %s WITH (FORCE)' % name)
    psql(SOURCE, 'DROP EXTENSION IF EXISTS revacct CASCADE; DROP SCHEMA IF EXISTS revacct CASCADE; DROP TABLE IF EXISTS lead CASCADE;')
    psql('postgres', ''.join('DROP ROLE IF EXISTS %s;' % quoted(role) for role in [*ROLES.values(), *OTHERS.values(), OWNER, ROOT]))


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


# ---- what is agreed ---------------------------------------------------------------------------------------------------

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


QUESTIONS = {
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

# The tables of the model, whose rows have a guard each, and escalations. Facts: test_dump_facts.py.
TABLES = psql(SOURCE, """SELECT relname FROM pg_class AS c WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r'
    AND (relname = 'escalation' OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = c.oid AND tgname = 'guard_rows')) ORDER BY 1;""").split()
MODEL = [table for table in TABLES if table != 'escalation']


def rows(database):
    """Everything in every table of the model, as text that no setting alters."""
    said = psql(database, "SET TimeZone = 'UTC';" + ''.join('SELECT t FROM revacct_data.%s AS t ORDER BY t::text COLLATE "C";\n\\echo -- end --\n' % table for table in MODEL)).split('-- end --\n')
    return dict(zip(MODEL, said))


def rights(database):
    """What each role may do with each object, by the catalogs."""
    whose = ', '.join(literal(role) for role in ROLES.values())
    return psql(database, """
        SELECT r.rolname, c.oid::regclass, p, has_table_privilege(r.oid, c.oid, p)
        FROM pg_roles r, pg_class c, unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, SELECT WITH GRANT OPTION}'::text[]) p
        WHERE r.rolname IN (%s) AND c.relkind IN ('r', 'v') AND c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) ORDER BY 1, c.oid::regclass::text, 3;
        SELECT r.rolname, n.nspname, has_schema_privilege(r.oid, n.oid, 'USAGE'), has_schema_privilege(r.oid, n.oid, 'CREATE') FROM pg_roles r, pg_namespace n
        WHERE r.rolname IN (%s) AND n.nspname ~ '^revacct' ORDER BY 1, 2;
        SELECT r.rolname, f.oid::regprocedure, has_function_privilege(r.oid, f.oid, 'EXECUTE') FROM pg_roles r, pg_proc f
        WHERE r.rolname IN (%s) AND f.pronamespace = 'revacct'::regnamespace ORDER BY 1, f.oid::regprocedure::text;""" % (whose, whose, whose))


def answers(database):
    return {**{'questions: ' + name: psql(database, query) for name, query in QUESTIONS.items()}, **{'rows: ' + name: text for name, text in rows(database).items()}, 'rights': rights(database)}


def compare_all(database, what, without=()):
    got = answers(database)
    for name, want in expected.items():
        if name not in without:
            wrong = '' if got[name] == want else next(('%s\n%s' % (g, w) for g, w in zip(got[name].split('\n'), want.split('\n')) if g != w), '')
            tap.ok(got[name] == want, '%s: %s' % (what, name), wrong[:2000])


# ---- what works -------------------------------------------------------------------------------------------------------

GUARDED = 'is not how the model is changed', 'Draft a change', 'restored by a superuser'


def guarded(said):
    return all(part in said for part in GUARDED)


def guards_refuse(database, what):
    """Every way to write into every table: by a superuser, who is not the tables' owner, and by a role that reads them."""
    columns = {'access': 'db_role', 'party': 'label', 'change': 'rationale', 'signoff': 'note', 'numbering': 'key', 'override': 'reason', 'version': 'key', 'validity': 'key'}
    passed = []
    for table in MODEL:
        for how in ('INSERT INTO revacct_data.{0} ({1}) SELECT {1} FROM revacct_data.{0} LIMIT 1;', 'UPDATE revacct_data.{0} SET {1} = {1};', 'DELETE FROM revacct_data.{0};', 'TRUNCATE revacct_data.{0} CASCADE;',
                    'COPY revacct_data.{0} ({1}) FROM stdin;\n1\n\\.\n', "SET revacct.by_change = 'on'; DELETE FROM revacct_data.{0};", '/* */ COPY revacct_data.{0} ({1}) FROM stdin;\n1\n\\.\n',
                    'WITH x AS (DELETE FROM revacct_data.{0} RETURNING *) SELECT FROM x;'):
            script = how.format(table, columns.get(table, 'version_id'))
            said = refusal(database, script, ROOT)
            if not guarded(said):
                passed.append((script, said[:200]))
            if 'permission denied' not in refusal(database, script, ROLES['lab']):
                passed.append((ROLES['lab'], script))
    tap.eq(passed, [], '%s: guards refuse every way to write' % what)


def access_works(database, what):
    """Each level does what it is for, and no more."""
    may = [
        ('bi', "SELECT count(*) > 20 FROM glossary;", 't\n'), ('bi', "SELECT fingerprint(lifecycle('inbound')) = fingerprint(lifecycle('inbound', model_at => now()));", 't\n'),
        ('lab', 'SELECT count(*) > 20 FROM revacct_data.version;', 't\n'), ('cleo', 'SELECT count(*) > 0 FROM revacct_data.signoff;', 't\n'),
        ('load', "SELECT register_party('loaded', 'person') > 0;", 't\n'), ('dora', 'SELECT sign_for FROM awaiting_my_signoff;', 'marketing\n'), ('ben', 'SELECT sign_for FROM awaiting_my_signoff;', '')]
    may_not = [
        ('bi', 'SELECT * FROM revacct_data.stage;'), ('bi', 'SELECT propose_change();'), ('load', 'SELECT * FROM glossary;'), ('nobody', 'SELECT * FROM revacct.glossary;'), ('lab', "SELECT register_party('x', 'team');"),
        ('ana', "SELECT grant_access('council', %s);" % literal(quoted(ROLES['ana']))), ('ana', 'SELECT approve((SELECT max(change_no) FROM open_changes WHERE status = \'proposed\'));')]
    for who, query, want in may:
        tap.eq(psql(database, query, ROLES[who]), want, '%s: %s may: %s' % (what, who, query))
    for who, query in may_not:
        said = refusal(database, query, ROLES[who])
        tap.ok(re.search('permission denied|may not|cannot sign', said), '%s: %s may not: %s' % (what, who, query), said)


def goes_on(database, what):
    """What was half signed is approved by the other owner; numbers go on; what was drafted is proposed."""
    half = psql(database, "SELECT change_no, signed, waiting_for FROM open_changes WHERE status = 'proposed';")
    tap.eq(half, '%s|sales (%s), council (%s)|marketing\n' % (half.split('|')[0], ROLES['ben'], ROLES['cleo']), '%s: what was half signed waits for the other half' % what)
    number = half.split('|')[0]
    said = refusal(database, 'SELECT approve(%s);' % number, ROLES['ben'])
    tap.ok('nothing to sign' in said and 'It waits for marketing' in said, '%s: nobody signs twice' % what, said)
    tap.eq(psql(database, 'SELECT approve(%s);' % number, ROLES['dora']), 'approved\n', '%s: it is approved' % what)
    values = sampled(database)
    last = psql(database, "SELECT last_value FROM revacct_data.change_change_id_seq; SELECT last_value FROM revacct_data.version_version_id_seq; SELECT last_value FROM revacct_data.override_override_id_seq;").split()
    new = psql(database, """SELECT draft_change('Once more', '2026-01-01 00:00+00', retroactive => true);
        SELECT define_code('channel', 'telex'); SELECT max(version_id) FROM revacct_data.version;
        SELECT request_override('policy', 'has a date', 'L-9', 'why not'); SELECT propose_change();""", ROLES['ana']).split()
    tap.eq(new, [str(int(n) + 1) for n in last] + [str(int(last[0]) + 1)], '%s: numbers of changes, versions and overrides go on' % what)
    tap.eq(psql(database, 'SELECT approve(%s);' % new[0], ROLES['cleo']), 'approved\n', '%s: and what has them is approved' % what)
    tap.eq(psql(database, "SELECT count(*), count(DISTINCT (is_mark, number)), max(number) FILTER (WHERE NOT is_mark) = count(*) FILTER (WHERE NOT is_mark), max(number) FILTER (WHERE is_mark) = count(*) FILTER (WHERE is_mark) FROM revacct_data.numbering;").split('|')[2:], ['t', 't\n'],
           '%s: marks and codes are numbered without gaps' % what)
    idea = psql(database, "SELECT change_no FROM open_changes WHERE rationale = 'An idea';").strip()
    said = refusal(database, 'SELECT propose_change(%s);' % idea, ROLES['ana'])
    tap.ok('has no accountable party' in said, '%s: a draft is checked when it is proposed' % what, said)
    psql(database, "SELECT assign('finance', 'accountable', 'metric', 'ideas', change => %s);" % idea, ROLES['bi'])
    tap.eq(psql(database, 'SELECT propose_change(%s);' % idea, ROLES['ana']), idea + '\n', '%s: and goes on being filled' % what)
    tap.eq(psql(database, 'SELECT approve(%s);' % idea, ROLES['cleo']), 'approved\n', '%s: until it is approved' % what)
    tap.eq(psql(database, "UPDATE lead SET stage = 'mql'; SELECT stage FROM lead;"), 'mql\n', '%s: triggers let pass what keeps the rules' % what)
    said = refusal(database, "UPDATE lead SET stage = 'lost';")
    tap.ok('The rule is' in said, '%s: and nothing else' % what, said)
    return values


def left_over(database):
    """What speaks of revacct in the catalogs, but the schema it was put in, which belongs to whoever made it."""
    return psql(database, r"""
        SELECT 'schema', nspname FROM pg_namespace WHERE nspname = 'revacct_data' UNION ALL
        SELECT 'relation', relname FROM pg_class WHERE relnamespace = to_regnamespace('revacct') OR relname = ANY ('{%s}') OR relname ~ 'revacct|_id_seq$' UNION ALL
        SELECT 'type', typname FROM pg_type WHERE typnamespace = to_regnamespace('revacct') OR typname = ANY ('{%s}') UNION ALL
        SELECT 'function', proname FROM pg_proc WHERE pronamespace = to_regnamespace('revacct') OR probin ~ 'revacct' OR prosrc ~ 'revacct_data' OR proname = '_guard' UNION ALL
        SELECT 'trigger', tgname FROM pg_trigger WHERE tgname ~ '^guard' UNION ALL
        SELECT 'in schema', classid::regclass::text FROM pg_depend WHERE refobjid = to_regnamespace('revacct') UNION ALL
        SELECT 'initial privileges', classoid::regclass::text FROM pg_init_privs WHERE (classoid = 'pg_class'::regclass AND objoid NOT IN (SELECT oid FROM pg_class))
            OR (classoid = 'pg_proc'::regclass AND objoid NOT IN (SELECT oid FROM pg_proc)) UNION ALL
        SELECT 'privileges', rolname || ' ' || classid::regclass FROM pg_shdepend JOIN pg_roles r ON r.oid = refobjid
            WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND rolname ~ '^revacct' AND NOT (classid = 'pg_namespace'::regclass AND objid = to_regnamespace('revacct')) UNION ALL
        SELECT 'comment', description FROM pg_description d WHERE classoid = 'pg_class'::regclass AND objoid NOT IN (SELECT oid FROM pg_class) UNION ALL
        SELECT 'extension', extname FROM pg_extension WHERE extname = 'revacct' ORDER BY 1, 2;""" % (','.join(TABLES), ','.join(TABLES)))


def drop_leaves_nothing(database, what, user=None):
    tap.ok(left_over(database), '%s: there is something to drop' % what)
    psql(database, 'DROP EXTENSION revacct CASCADE;', user)
    tap.eq(left_over(database), '', '%s: dropped, nothing is left' % what)


# ---- nothing agreed yet: nothing shipped --------------------------------------------------------------------------------

def copied(dump):
    """Rows of each table of ours in a plain dump."""
    return {table: body.count('\n') for table, body in re.findall(r'^COPY revacct_data\.(\w+) .*? FROM stdin;\n(.*?)\\\.$', dump, flags=re.M | re.S) if table in TABLES}


psql('postgres', ''.join('CREATE ROLE %s LOGIN;' % quoted(role) for role in [*ROLES.values(), *OTHERS.values(), OWNER, ROOT]) + 'ALTER ROLE %s SUPERUSER;' % ROOT)
nothing = plain_dump(SOURCE)
tap.eq(copied(nothing), {table: 0 for table in TABLES}, 'an empty model: every table is in the dump, no row is')
tap.eq(re.findall(r"setval\('revacct_data\.((?:change|version|override)_\w+)', 1, false\)", nothing).__len__(), 3, 'and sequences that have not begun')
own = new_database('own', 'TEMPLATE template0 OWNER ' + quoted(OWNER))
psql(own, 'CREATE EXTENSION revacct CASCADE;', OWNER)
for how, text in (('by its owner', plain_dump(own, '-U', OWNER)), ('by a superuser', plain_dump(own))):
    again = restore(text, new_database('owned_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER)), OWNER)
    tap.eq((left_over(again) == left_over(own), copied(plain_dump(again, '-U', OWNER))), (True, copied(nothing)), 'an empty model dumped %s is restored by the owner of a database, who is no superuser' % how)
    psql(again, ''.join("SELECT grant_access('steward', %s);" % literal(quoted(ROLES[who])) for who in ('ana', 'ben')) + "SELECT grant_access('council', %s);" % literal(quoted(ROLES['cleo'])), OWNER)
    psql(again, "SELECT draft_change('First'); SELECT define_calendar('c', 'UTC', '{mon 09:00-10:00}'); SELECT propose_change();", ROLES['ana'])
    tap.eq(psql(again, 'SELECT approve(1);', ROLES['cleo']), 'approved\n', 'and the owner administers it')
    full = plain_dump(again, '-U', OWNER)
    fresh = new_database('not_owned_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER))
    done = execute(*PSQL, fresh, '-U', OWNER, text=full)
    tap.ok(done.returncode and guarded(done.stderr), 'one that has rows is restored by superusers alone, as the hint says', done.stderr)
    fresh = restore(full, new_database('by_super_' + how[-5:].strip(), 'TEMPLATE template0 OWNER ' + quoted(OWNER)))
    tap.eq(psql(fresh, "SELECT name FROM revacct.glossary;", ROLES['ana']), 'c\n', 'and then its people read it')

# ---- a full model -----------------------------------------------------------------------------------------------------

agree(SOURCE, ROLES); 
psql(SOURCE, USES)
values = sampled(SOURCE)
digest = hashlib.sha256(values.encode()).hexdigest()
tap.say('digest of %d fingerprints, %d of them distinct: %s' % (values.count('\n'), len(set(line.split('|')[-1] for line in values.split('\n'))), digest))
tap.eq(digest, GOLDEN, 'the script gives on this server what it gives on every other')

expected = answers(SOURCE)
tap.eq([name for name, answer in expected.items() if not answer.strip()], [], 'every kind of definition and every question has rows')
tap.eq(psql(SOURCE, "SELECT string_agg(DISTINCT status, ' ' ORDER BY status) FROM revacct_data.change; SELECT count(*) FILTER (WHERE successor IS NOT NULL) > 2, count(DISTINCT kind) FROM revacct_data.version;"),
       'approved draft proposed rejected withdrawn\nt|13\n', 'changes of every status, versions of every kind, retired ones with successors')
tap.eq(psql(SOURCE, "SELECT bool_or(retroactive), bool_or(effective_at > now()), bool_or(effective_until = 'infinity'), bool_or(isfinite(effective_until)) FROM revacct_data.change WHERE status = 'approved';"), 't|t|t|t\n',
       'retroactive, scheduled and limited ones')
dump = plain_dump(SOURCE)
counts = {table: int(psql(SOURCE, 'SELECT count(*) FROM revacct_data.%s;' % table)) for table in TABLES}
text_rows = copied(dump)
tap.eq(text_rows, counts, 'the dump has every row once')
tap.eq(re.findall(r'^(?:CREATE|ALTER|COMMENT ON) (?:TABLE|SCHEMA|TYPE|VIEW|FUNCTION|TRIGGER|SEQUENCE) (?:\w+ ON )?revacct(?:_data)?\..*', dump, flags=re.M), [], 'and only rows: the extension makes the rest')
tap.ok('COPY revacct_data' not in plain_dump(SOURCE, '--schema-only'), 'a dump of the schema has no rows of it')

folder = tempfile.TemporaryDirectory()
archive = os.path.join(folder.name, 'model.dump')
run('pg_dump', '-Fc', '-f', archive, '-d', SOURCE)
run('pg_dump', '-Fd', '-j', '2', '-f', archive + '.d', '-d', SOURCE)
restored = {}
for how, make in (('plain', lambda db: restore(dump, db)), ('custom', lambda db: run('pg_restore', '--exit-on-error', '-d', db, archive)),
                  ('custom, any order', lambda db: restore_backwards(archive, db)), ('custom, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive)),
                  ('directory, two jobs', lambda db: run('pg_restore', '--exit-on-error', '-j', '2', '-d', db, archive + '.d')),
                  ('data after the schema', lambda db: (restore(plain_dump(SOURCE, '--section=pre-data'), db), restore(plain_dump(SOURCE, '--section=data', '--section=post-data'), db)))):
    database = restored[how] = new_database('as_%d' % len(databases))
    try:
        make(database)
        tap.ok(True, '%s: restored' % how)
    except RuntimeError as failed:
        tap.ok(False, '%s: restored' % how, failed)
        del restored[how]
        continue
    compare_all(database, how)
    tap.ok(plain_dump(database) == dump, '%s: dumped again it is the same' % how)

plain = restored['plain']
before = rows(plain)
guards_refuse(plain, 'plain')
tap.ok(rows(plain) == before, 'plain: and nothing was written')
for how, over in (('plain', lambda: execute('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', plain, text=plain_dump(SOURCE, '--data-only', '--schema=revacct_data', '--extension=revacct'))),
                  ('custom', lambda: execute('pg_restore', '--exit-on-error', '--data-only', '--schema=revacct_data', '-d', plain, archive)),
                  ('as inserts', lambda: execute('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', plain, text=plain_dump(SOURCE, '--data-only', '--column-inserts', '--schema=revacct_data', '--extension=revacct')))):
    done = over()
    tap.ok(done.returncode and guarded(done.stderr), 'restored over what is there, %s: refused, with the hint' % how, done.stderr[:500])
    tap.ok(rows(plain) == before, 'restored over what is there, %s: nothing of it was written' % how)

# A restore that broke off leaves empty tables, and can be begun again.
broken = new_database('broken')
restore(plain_dump(SOURCE, '--section=pre-data'), broken)
data = plain_dump(SOURCE, '--section=data')
execute(*PSQL, broken, '--single-transaction', text=data + 'SELECT 1 / 0;')
tap.eq(int(psql(broken, 'SELECT count(*) FROM revacct_data.change;')), 0, 'a restore that broke off in its transaction leaves nothing')
done = execute(*PSQL, broken, '--single-transaction', text=data)
tap.ok(not done.returncode, 'and can be begun again', done.stderr[:500])

wanted = None
for what, database in {'the source': SOURCE, **restored}.items():
    access_works(database, what)
    got = goes_on(database, what)
    wanted = wanted or got
    tap.ok(got == wanted and got != values, '%s: and what is compiled then is the same as in the source' % what)
    drop_leaves_nothing(database, what)

# ---- another database, another setting, other people, and much ado in between ---------------------------------------------

another = new_database('another', "TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'")
psql(another, "ALTER DATABASE %s SET TimeZone = 'Asia/Kathmandu'; ALTER DATABASE %s SET DateStyle = 'SQL, DMY'; ALTER DATABASE %s SET IntervalStyle = 'sql_standard'; ALTER DATABASE %s SET extra_float_digits = 0;" % ((another,) * 4))
os.environ.pop('PGTZ')
psql(another, 'CREATE EXTENSION revacct CASCADE;')
agree(another, OTHERS, noise=True)
tap.ok(sampled(another) == values, 'the same script on another database, with other people, settings and numbers of changes, gives the same fingerprints')
tap.ok(psql(another, 'SELECT max(change_id) FROM revacct_data.change;') != psql(another, "SELECT count(*) FROM revacct_data.change WHERE status = 'approved';"), 'though much happened in between')
tap.done()
