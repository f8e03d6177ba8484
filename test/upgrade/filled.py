"""Three databases filled with whatever can be in one, users' own objects that depend on it included, and what is asked of them before and after an
upgrade: of the extension, or of the server."""
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'dump'))
from contents import (MODEL_QUESTIONS, PEOPLE, USES, VALUES, VALUE_QUESTIONS, agree, answers, derived, filling, ledger, model_rows, new_database, new_roles, psql,
                      quoted)                                             # noqa: E402

ROLES = {who: 'revacct_upgrade_%s_%d' % (who, os.getpid()) for who in (*PEOPLE, 'ann')}

# What people build on the ledger: kept figures, views over views, functions whose bodies are bound, defaults, rights.
BUILT = """
CREATE MATERIALIZED VIEW board AS SELECT lifecycle, period, stage, sum(entered) AS entered, sum(converted) AS converted, min(definition_fingerprint) AS fingerprint FROM funnel GROUP BY 1, 2, 3;
CREATE MATERIALIZED VIEW deal_funnel AS SELECT subject_id % 3 AS part, funnel_conversion(journey, (SELECT lifecycle('deals')), '2025-06-01') AS funnel FROM revacct_data.journey GROUP BY 1;
CREATE MATERIALIZED VIEW all_deals AS SELECT rollup(funnel) AS funnel FROM deal_funnel;
CREATE VIEW open_deals AS SELECT s.* FROM all_deals, stages(funnel) AS s WHERE s.in_progress > 0;
CREATE VIEW everything_late AS SELECT policy, subject_key, due_at FROM sla_status;
CREATE FUNCTION won() RETURNS bigint BEGIN ATOMIC SELECT sum(converted) FROM revacct.funnel WHERE stage = 'lead'; END;
CREATE TABLE told (at timestamptz DEFAULT '2025-01-01', value jsonb DEFAULT to_jsonb(won()), how lifecycle DEFAULT (lifecycle('deals')));
INSERT INTO told DEFAULT VALUES;
GRANT SELECT ON board TO {ann};
"""

BUILT_QUESTIONS = {
    'kept figures': 'SELECT * FROM board ORDER BY 1, 2, 3',
    'kept summaries': 'SELECT part, funnel FROM deal_funnel ORDER BY part',
    'and their rollup': 'SELECT funnel, fingerprint(funnel), funnel_summary_send(funnel) FROM all_deals',
    'views over them': 'SELECT * FROM open_deals ORDER BY 1',
    'views over views': 'SELECT * FROM everything_late ORDER BY 1, 2, 3',
    'functions and defaults': 'SELECT won(), t.* FROM told AS t',
    'published figures': 'SELECT * FROM verify_published() ORDER BY 1',
    'journeys as known then': "SELECT * FROM journeys(known_at => (SELECT max(recorded_at) FROM revacct_data.event)) AS j ORDER BY j::text",
    'metric values': "SELECT * FROM metric_value('win rate', '[2023-01-01,2025-01-01)', as_of => '2025-06-01')",
}


def fill(create='CREATE EXTENSION revacct CASCADE'):
    """Makes the databases: what is in each → its name."""
    new_roles(*ROLES.values())
    filled = {what: new_database('filled_' + what) for what in ('values', 'model', 'ledger')}
    for database in filled.values():
        psql(database, create + ';')
    psql(filled['values'], VALUES + "SELECT raise_all('2025-03-03 13:00+00') \\g /dev/null")
    agree(filled['model'], ROLES)
    psql(filled['model'], USES)
    psql(filled['ledger'], ''.join(filling(ROLES)) + BUILT.format(**{who: quoted(role) for who, role in ROLES.items()}))
    return filled


def ask(filled):
    """Everything they say: question → answer."""
    said = {}
    for what, questions in (('values', VALUE_QUESTIONS), ('model', MODEL_QUESTIONS), ('ledger', BUILT_QUESTIONS)):
        # the extension's version is what changes
        said.update(('%s: %s' % (what, name), psql(filled[what], query + ';')) for name, query in questions.items() if name != 'the extension')
    said.update(('model: table ' + table, rows) for table, rows in model_rows(filled['model']).items())
    said.update(('ledger: table ' + table, rows) for table, rows in ledger(filled['ledger']).items())
    said['ledger: what is derived'] = derived(filled['ledger'])
    said['ledger: what a reader sees'] = psql(filled['ledger'], 'SELECT * FROM funnel ORDER BY 1, 2, 3, 4, 5, 6, 7; SELECT count(*) FROM event_log; SELECT count(*) FROM board;', ROLES['ann'])
    return said


def compare(tap, before, after, what):
    for name, answer in before.items():
        wrong = next(('%s\n%s' % (b, a) for b, a in zip(answer.split('\n'), after[name].split('\n')) if a != b), '')
        tap.ok(answer.strip() and after[name] == answer, '%s: %s' % (what, name), wrong[:1500])


def goes_on(tap, filled, what):
    """Kept figures can be made again and are the same; facts are recorded, refreshed, published; a change is approved."""
    database = filled['ledger']
    kept = answers(database, BUILT_QUESTIONS)
    psql(database, 'REFRESH MATERIALIZED VIEW board; REFRESH MATERIALIZED VIEW deal_funnel; REFRESH MATERIALIZED VIEW all_deals;')
    tap.eq(answers(database, BUILT_QUESTIONS), kept, '%s: materialized views, made again, are the same' % what)
    psql(filled['values'], 'REFRESH MATERIALIZED VIEW breaches; REFRESH MATERIALIZED VIEW company;')
    tap.eq(psql(database, "SELECT record_event('crm', 'opportunity', 'Upgraded', 'stage_entered', '2031-05-05', lifecycle => 'deals', stage => 'lead', source_key => 'upgraded');"
                          "SELECT sum(loaded) FROM load('crm'); SELECT count(*) FROM refresh(false); ", ROLES['load']), 'upgraded\n0\n3\n', '%s: facts are recorded, loaded and refreshed' % what)
    tap.eq(psql(database, "SELECT count(*) FROM check_journeys(); SELECT count(*) FROM event_log WHERE source_key = 'upgraded';", ROLES['lab']), '0\n1\n', '%s: and journeys are what they should be' % what)
    tap.eq(psql(database, "SELECT publish('win rate', NULL) > 0; SELECT bool_and(identical_count = 1) FROM verify_published();", ROLES['ana']), 't\nt\n', '%s: figures are published and verified' % what)
    change = psql(database, "SELECT draft_change('After the upgrade'); SELECT define_stage('deals', 'proposal', 25, is_pipeline => true, meaning => 'Written'); SELECT propose_change();", ROLES['ana']).split()[-1]
    tap.eq(psql(database, 'SELECT approve(%s);' % change, ROLES['cleo']), 'approved\n', '%s: a change is approved' % what)
