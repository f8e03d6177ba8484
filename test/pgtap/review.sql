-- What reviews of the ledger found, each by a scenario as small as it gets: whose views are read, zones, links, codes and parties of events, what must not stop a refresh, figures of periods that are over.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
SELECT plan(103);

-- What is recorded when is the point, so nothing here is in one transaction; and roles are the server's.
DROP ROLE IF EXISTS review_ana, review_cleo, review_load, review_mal, review_mate, review_house;
CREATE ROLE review_ana;   -- steward
CREATE ROLE review_cleo;  -- council
CREATE ROLE review_load;  -- loader
CREATE ROLE review_mal;   -- loader, whose views are not for others
CREATE ROLE review_mate;  -- loader, member of mal
CREATE ROLE review_house; -- owner of the database
\o /dev/null
SELECT grant_access(substring(r FROM '^\w+'), ('review_' || substring(r FROM '\w+$'))::regrole) FROM unnest('{steward ana, council cleo, loader load, loader mal, loader mate}'::text[]) AS r;
SELECT grant_access('loader', current_user::regrole);
GRANT review_mal TO review_mate;
SET SESSION AUTHORIZATION review_ana;
SELECT register_party('board', 'team');
RESET SESSION AUTHORIZATION;
CREATE SCHEMA landed;
GRANT ALL ON SCHEMA landed TO PUBLIC;
\o

-- A change that ana drafts and cleo signs; at NULL: from its approval on.
CREATE FUNCTION agree(rationale text, what text, at timestamptz DEFAULT '2024-01-01') RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    draft bigint;
BEGIN
    SET LOCAL SESSION AUTHORIZATION review_ana;
    draft := draft_change(rationale, effective_at => at, retroactive => at IS NOT NULL);
    EXECUTE 'SELECT ' || what;
    PERFORM propose_change(draft);
    SET LOCAL SESSION AUTHORIZATION review_cleo;
    IF approve(draft) <> 'approved' THEN RAISE EXCEPTION 'the council does not suffice'; END IF;
    SET LOCAL SESSION AUTHORIZATION DEFAULT;
END $$;
-- What a query says in a session of somebody's: its first value, or the error: SQLSTATE and message.
CREATE FUNCTION said(login text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    EXECUTE query INTO answer;
    RESET SESSION AUTHORIZATION;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
CREATE FUNCTION hint(login text, query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    told text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    EXECUTE query;
    RESET SESSION AUTHORIZATION;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS told = PG_EXCEPTION_HINT;
    RETURN SQLSTATE || ' ' || told;
END $$;
-- A load in a session of somebody's: read, loaded, known, rejected of each kind of fact.
CREATE FUNCTION loaded(source text, login text DEFAULT 'review_load') RETURNS text LANGUAGE SQL AS $$
    SELECT said(login, format('SELECT string_agg(concat_ws('' '', fact, rows_read, loaded, known, rejected), '', '') FROM load(%L)', source)) $$;
CREATE FUNCTION refreshed() RETURNS text LANGUAGE SQL AS $$
    SELECT said('review_load', 'SELECT string_agg(step, '', '') FROM refresh(false)') || said('review_ana', 'SELECT coalesce(string_agg('' but '' || c::text, '', ''), '''') FROM check_journeys() AS c') $$;
CREATE FUNCTION recorded(what text) RETURNS text LANGUAGE SQL AS $$ SELECT said('review_load', 'SELECT record_' || $1) $$;
CREATE FUNCTION history(key text, source text DEFAULT 'crm', kind text DEFAULT 'opportunity') RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(to_char(m.at, 'MM-DD ') || g.key || coalesce('=' || m.value, ''), ', ' ORDER BY n), 'none')
    FROM revacct_data.subject AS s JOIN revacct_data.source AS r USING (source_no) LEFT JOIN revacct_data.identity AS i USING (subject_id)
         JOIN revacct_data.journey AS j ON j.subject_id = coalesce(i.same_as, s.subject_id), marks(j.journey) WITH ORDINALITY AS m (at, mark, value, seq, n)
         JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = m.mark
    WHERE s.subject_key = $1 AND r.source = $2 AND s.kind = $3 $$;
CREATE TABLE landed.event (source text, source_key text, subject_key text, event text, occurred_at timestamptz, lifecycle text, stage text, field text, code text, party text, amount numeric, currency text, value bigint, corrects text,
                           subject_kind text DEFAULT 'opportunity');
CREATE VIEW landed.crm AS SELECT * FROM landed.event WHERE source = 'crm';
GRANT SELECT ON landed.event, landed.crm TO review_load;
SELECT is(said('review_load', $$ SELECT map_source('crm', 'landed.crm') $$), '', 'a source');

-- ---- whose views are read ---------------------------------------------------------------------------------------------------------

-- A sequence says whether a view was read: what is drawn from it stays drawn, whatever is rolled back.
CREATE SEQUENCE landed.drawn;
CREATE SEQUENCE landed.looks;
GRANT ALL ON ALL SEQUENCES IN SCHEMA landed TO PUBLIC;
CREATE FUNCTION landed.look(trap text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM nextval('landed.drawn'); RETURN trap; END $$;
CREATE FUNCTION landed.make(name text, owner text, beneath text DEFAULT '(VALUES (1)) AS one') RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE VIEW landed.%1$I AS SELECT ''lead''::text AS subject_kind, landed.look(%1$L) AS subject_key, ''created''::text AS event, timestamptz ''2025-01-01'' AS occurred_at, %1$L::text AS source_key FROM %2$s', name, beneath);
    EXECUTE format('ALTER VIEW landed.%I OWNER TO %I', name, owner);
    EXECUTE format('GRANT SELECT ON landed.%I TO PUBLIC', name);
    PERFORM map_source(name, ('landed.' || name)::regclass);
END $$;
SELECT format('ALTER DATABASE %I OWNER TO review_house', current_database()) \gexec
\o /dev/null
SELECT current_user AS admin \gset
SELECT landed.make('of_mal', 'review_mal'), landed.make('of_admin', current_user), landed.make('of_house', 'review_house'), landed.make('of_load', 'review_load');
SELECT landed.make('admin_over_mal', current_user, 'landed.of_mal'), landed.make('load_over_mal', 'review_load', '(SELECT s.* FROM landed.of_mal AS s WHERE EXISTS (SELECT FROM landed.of_admin)) AS s');
SELECT landed.make('deep', 'review_load', 'landed.load_over_mal');
\o
CREATE TABLE reading (n int, view text, login text, is_read boolean);
INSERT INTO reading VALUES
    (1, 'of_mal', :'admin', false), (2, 'of_mal', 'review_load', false), (3, 'admin_over_mal', :'admin', false), (4, 'load_over_mal', 'review_load', false), (5, 'deep', 'review_load', false), (6, 'admin_over_mal', 'review_load', false),
    (7, 'of_load', :'admin', false),
    (11, 'of_mal', 'review_mal', true), (12, 'of_mal', 'review_mate', true), (13, 'of_load', 'review_load', true), (14, 'of_admin', 'review_load', true), (15, 'of_admin', :'admin', true), (16, 'of_house', 'review_load', true),
    (17, 'of_house', :'admin', true), (18, 'admin_over_mal', 'review_mate', true);
-- the first five characters of what is said, and whether something was executed
CREATE FUNCTION read_by(login text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before bigint := (SELECT last_value FROM landed.drawn);
    told text := said(login, statement);
BEGIN
    RETURN CASE WHEN told ~ '^[0-9A-Z]{5} ' THEN left(told, 5) ELSE 'read' END || CASE WHEN (SELECT last_value FROM landed.drawn) > before THEN ', executed' ELSE '' END;
END $$;
SELECT nextval('landed.drawn') \g /dev/null
SELECT is(read_by(login, format('SELECT count(*) FROM load(%L)', view)), CASE WHEN is_read THEN 'read, executed' ELSE '42501' END, format('load() by %s: %s', login, view)) FROM reading ORDER BY n;
SELECT is(read_by(login, format('SELECT count(*) FROM check_mapping(%L)', view)), CASE WHEN is_read THEN 'read, executed' ELSE '42501' END, format('check_mapping() by %s: %s', login, view)) FROM reading ORDER BY n;
SELECT format('ALTER DATABASE %I OWNER TO %I', current_database(), :'admin') \gexec
-- A table is no view, but what is read of it may be converted by a function of its owner's, or chosen by one.
\o /dev/null
CREATE SCHEMA mine AUTHORIZATION review_mal;
GRANT USAGE ON SCHEMA mine TO PUBLIC;
SET SESSION AUTHORIZATION review_mal;
CREATE TYPE mine.word AS (word text);
CREATE FUNCTION mine.text(mine.word) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN landed.look('cast'); END $$;
CREATE CAST (mine.word AS text) WITH FUNCTION mine.text(mine.word) AS ASSIGNMENT;
CREATE FUNCTION mine.shown() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RETURN landed.look('policy') <> ''; END $$;
CREATE TABLE mine.typed (subject_kind text, subject_key mine.word, event text, occurred_at timestamptz, source_key text);
CREATE TABLE mine.guarded (subject_kind text, subject_key text, event text, occurred_at timestamptz, source_key text);
INSERT INTO mine.typed VALUES ('lead', ROW('a'), 'created', '2025-01-01', 'typed');
INSERT INTO mine.guarded VALUES ('lead', 'a', 'created', '2025-01-01', 'guarded');
ALTER TABLE mine.guarded ENABLE ROW LEVEL SECURITY;
CREATE POLICY shown ON mine.guarded USING (mine.shown());
GRANT SELECT ON mine.typed, mine.guarded TO PUBLIC;
RESET SESSION AUTHORIZATION;
SELECT said('review_mal', format('SELECT map_source(%1$L, %2$L)', n, 'mine.' || n)) FROM unnest('{typed, guarded}'::text[]) AS n;
\o
SELECT unalike(read_by(login, format('SELECT count(*) FROM %s(%L)', f, source)), '%executed%', format('%s() by %s executes nothing of the owner''s: %s', f, login, source))
FROM (VALUES (1, 'load', 'typed', :'admin'), (2, 'check_mapping', 'typed', :'admin'), (3, 'load', 'guarded', 'review_load'), (4, 'check_mapping', 'guarded', 'review_load')) AS t (n, f, source, login) ORDER BY n;

-- ---- time zones -------------------------------------------------------------------------------------------------------------------

SELECT agree('Begun', $$ define_lifecycle('z', subject_kind => 'opportunity', time_zone => 'UTC'), define_stage('z', 'lead', 1), define_stage('z', 'won', 2, 'won'), define_stage('z', 'lost', 3, 'lost'),
    define_metric('zone rate', 'x', basis => 'event', lifecycle => 'z', to_stage => 'won'), define_metric('zone cohort', 'x', basis => 'cohort', lifecycle => 'z', at_stage => 'lead', to_stage => 'won'),
    assign('board', 'accountable', 'metric', 'zone rate'), assign('board', 'accountable', 'metric', 'zone cohort') $$) \g /dev/null
-- three enter and one of them is won when it is the first of April in Auckland, and the last of March in Greenwich
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
SELECT 'crm', concat_ws('/', 'z', i, stage), 'Z' || i, 'stage_entered', at, 'z', stage
FROM (VALUES (1, 'lead', timestamptz '2025-03-31 20:00+00'), (1, 'won', '2025-03-31 21:00+00'), (2, 'lead', '2025-03-10'), (2, 'lost', '2025-03-15'), (3, 'lead', '2025-03-31 20:00+00'), (3, 'lost', '2025-04-10'), (4, 'lead', '2025-03-05')) AS f (i, stage, at);
SELECT loaded('crm'), refreshed() \g /dev/null
CREATE TABLE zone_figure AS SELECT m, v.value, v.numerator, v.denominator FROM unnest('{zone rate, zone cohort}'::text[]) AS m, metric_value(m, '[2025-03-01,2025-04-01)') AS v;
SELECT is((SELECT string_agg(concat_ws(' ', m, numerator, denominator), ', ' ORDER BY m DESC) FROM zone_figure), 'zone rate 1 2, zone cohort 1 4', 'March, as counted in UTC');
SELECT is(said('review_ana', format('SELECT publish(%L, ''[2025-03-01,2025-04-01)'') IS NOT NULL', m)), 'true', 'published: ' || m) FROM unnest('{zone rate, zone cohort}'::text[]) AS m;
SELECT clock_timestamp() AS before_zone \gset
SELECT agree('Moved', $$ define_lifecycle('z', subject_kind => 'opportunity', time_zone => 'Pacific/Auckland') $$, NULL), refreshed() \g /dev/null
SELECT is((SELECT string_agg(concat_ws(' ', m, v.numerator, v.denominator), ', ' ORDER BY m DESC) FROM unnest('{zone rate, zone cohort}'::text[]) AS m, metric_value(m, '[2025-03-01,2025-04-01)') AS v), 'zone rate 0 1, zone cohort 0 2',
    'of another zone, March is another month');
SELECT is((SELECT string_agg(concat_ws(' ', m, v.numerator, v.denominator), ', ' ORDER BY m DESC) FROM unnest('{zone rate, zone cohort}'::text[]) AS m, metric_value(m, '[2025-03-01,2025-04-01)', model_at => :'before_zone') AS v),
    'zone rate 1 2, zone cohort 1 4', 'under the model of before it is what it was');
SELECT is((SELECT f.entered FROM funnel_of('z', period => '[2025-03-01,2025-04-01)', model_at => :'before_zone') AS o, stages(o.funnel) AS f WHERE f.stage = 'lead'), 4::bigint, 'in the funnel, too');
SELECT is((SELECT f.entered FROM funnel_of('z', period => '[2025-03-01,2025-04-01)') AS o, stages(o.funnel) AS f WHERE f.stage = 'lead'), (SELECT sum(entered)::bigint FROM funnel WHERE lifecycle = 'z' AND period_start = '2025-03-01' AND stage = 'lead'),
    'and now the report is of the new zone, as funnel_of() is');
SELECT is(said('review_ana', 'SELECT concat_ws('' '', count(*), sum(identical_count), string_agg(problem, ''; '')) FROM verify_published()'), '2 2', 'what was published before is verified');

-- ---- links --------------------------------------------------------------------------------------------------------------------------

CREATE TABLE landed.link (source text, source_key text, from_key text, to_key text, from_kind text DEFAULT 'opportunity', to_kind text DEFAULT 'contract', role text DEFAULT 'delivers', valid_from timestamptz, share numeric,
                          from_source text DEFAULT 'crm', to_source text DEFAULT 'crm');
CREATE VIEW landed.links_crm AS SELECT * FROM landed.link WHERE source = 'k';
CREATE VIEW landed.links_erp AS SELECT * FROM landed.link WHERE source = 'erp';
GRANT SELECT ON landed.link, landed.links_crm, landed.links_erp TO review_load;
SELECT said('review_load', $$ SELECT map_source('k', links => 'landed.links_crm'), map_source('erp', links => 'landed.links_erp') $$) \g /dev/null
-- the links of a subject that are on record, each with its key; and those that have ended
CREATE FUNCTION on_record(key text) RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(DISTINCT t.subject_key, ' ') FILTER (WHERE upper_inf(l.recorded)), 'none') || coalesce('; ended: ' || string_agg(l.source_key || ' ' || t.subject_key, ', ' ORDER BY l.source_key) FILTER (WHERE NOT upper_inf(l.recorded)), '')
    FROM revacct_data.subject_link AS l JOIN revacct_data.subject AS f ON f.subject_id = l.from_subject JOIN revacct_data.subject AS t ON t.subject_id = l.to_subject WHERE f.subject_key = $1 $$;
INSERT INTO landed.link (source, source_key, from_key, to_key) VALUES ('k', 'k1', 'X', 'Y'), ('k', 'k2', 'X', 'Z');
SELECT is(loaded('k') || ': ' || on_record('X'), 'link 2 2 0 0: Y Z', 'two links');
UPDATE landed.link SET to_key = CASE source_key WHEN 'k1' THEN 'Z' ELSE 'W' END WHERE source = 'k';
SELECT is(loaded('k'), 'link 2 2 0 0', 'both are redirected, one to where the other was');
SELECT is(on_record('X'), 'W Z; ended: k1 Y, k2 Z', 'and that is what is on record');
SELECT is(loaded('k'), 'link 2 0 2 0', 'once more, they are known');
SELECT is(on_record('X'), 'W Z; ended: k1 Y, k2 Z', 'and nothing is changed');
UPDATE landed.link SET to_key = CASE source_key WHEN 'k1' THEN 'W' ELSE 'Z' END WHERE source = 'k';
SELECT is(loaded('k'), 'link 2 2 0 0', 'two that change places');
SELECT is((SELECT string_agg(l.source_key || ' ' || t.subject_key, ', ' ORDER BY l.source_key) FROM revacct_data.subject_link AS l JOIN revacct_data.subject AS t ON t.subject_id = l.to_subject WHERE l.source_key IN ('k1', 'k2') AND upper_inf(l.recorded)),
    'k1 W, k2 Z', 'have changed places');
-- a key redirected to what another source says
INSERT INTO landed.link (source, source_key, from_key, to_key) VALUES ('erp', 'e1', 'V', 'U'), ('k', 'k3', 'V', 'T');
SELECT is(loaded('erp') || ', ' || loaded('k'), 'link 1 1 0 0, link 3 1 2 0', 'two sources, two links');
UPDATE landed.link SET to_key = 'U' WHERE source_key = 'k3';
SELECT is(loaded('k'), 'link 3 0 3 0', 'one is redirected to what the other says: it is known');
SELECT is(on_record('V'), 'U; ended: k3 T', 'and what it said before has ended');
SELECT is(loaded('k') || ': ' || on_record('V'), 'link 3 0 3 0: U; ended: k3 T', 'once more, nothing is changed');
-- the key that a link has by default
CREATE FUNCTION linked(style text, zone text, share numeric) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('datestyle', style, true), set_config('timezone', zone, true);
    RETURN recorded(format('link(''m'', ''opportunity'', ''S'', ''delivers'', ''contract'', ''R'', valid_from => ''2025-03-04T00:00:00Z'', share => %s)', share));
END $$;
SELECT is(linked('ISO, MDY', 'UTC', 0.5) || linked('German', 'Asia/Kolkata', 0.6) || linked('SQL, DMY', 'UTC', 0.7), '', 'a link without a key, from sessions with other date styles');
SELECT is((SELECT string_agg(concat_ws(' ', l.share::float, upper_inf(l.recorded)), ', ' ORDER BY l.share) || ' of ' || count(DISTINCT l.source_key) FROM revacct_data.subject_link AS l JOIN revacct_data.source AS s USING (source_no) WHERE s.source = 'm'),
    '0.5 f, 0.6 f, 0.7 t of 1', 'is one link, said anew each time');
-- who is the same until some time is not the same
SELECT is(recorded($$event('one', 'opportunity', 'Same', 'created', '2025-01-01', 'a') $$) || recorded($$event('two', 'opportunity', 'Same', 'touch_out', '2025-01-02', 'b') $$)
    || recorded($$link('one', 'opportunity', 'Same', 'same_as', 'opportunity', 'Same', to_source => 'two', source_key => 'same') $$), 'ab', 'two who are the same');
SELECT is(refreshed() || ': ' || history('Same', 'one'), 'journeys, packs, figures: 01-01 created, 01-02 touch_out', 'have one journey');
SELECT is(recorded($$link('one', 'opportunity', 'Same', 'same_as', 'opportunity', 'Same', to_source => 'two', source_key => 'same', valid_until => '2025-06-01') $$), '', 'until some time');
SELECT is(refreshed(), 'journeys, packs, figures', 'then the journeys are what the ledger says');
SELECT is(history('Same', 'one') || ' | ' || history('Same', 'two'), '01-01 created | 01-02 touch_out', 'and are two');

-- ---- codes and parties of events ------------------------------------------------------------------------------------------------------

SELECT agree('Codes', $$ define_code('segment', 'code ' || i), define_code('loss_reason', 'reason ' || i) FROM generate_series(1, 40) AS i $$) \g /dev/null
SELECT recorded(format('event(''crm'', ''opportunity'', ''P'', ''touch_out'', ''2025-01-01'', ''touch %1$s'', party => ''person %1$s'')', i)) FROM generate_series(1, 120) AS i \g /dev/null
SELECT cmp_ok((SELECT count(*) FROM revacct_data.party AS p JOIN revacct_data.code_name AS c ON c.code_no = p.party_no), '>', 5::bigint, 'numbers of parties are numbers of codes, too');
SELECT is_empty($$ SELECT source_key, party, code FROM event_log WHERE source_key LIKE 'touch %' AND (party IS DISTINCT FROM replace(source_key, 'touch', 'person') OR code IS NOT NULL) $$, 'a touch has a party and no code');
SELECT recorded(format('event(''crm'', ''opportunity'', ''P'', ''field_set'', ''2025-01-02'', ''csm %1$s'', field => ''csm'', party => ''person %1$s'')', i)) FROM generate_series(1, 120) AS i \g /dev/null
SELECT is((SELECT count(*) || ' of ' || string_agg(DISTINCT event, ', ') FROM event_log WHERE source_key LIKE 'csm %' AND party = replace(source_key, 'csm', 'person') AND code IS NULL), '120 of csm_set', 'so has who takes care');
SELECT recorded($$event('crm', 'opportunity', 'P', 'disposition_set', '2025-01-03', 'both', code => 'reason 3', code_list => 'loss_reason', party => 'person 7') $$) \g /dev/null
SELECT is((SELECT concat_ws(', ', code, party) FROM event_log WHERE source_key = 'both'), 'reason 3, person 7', 'a reason and a party are both shown');
SELECT is(recorded($$event('crm', 'opportunity', 'P', 'disposition_set', '2025-01-03', 'both', code => 'reason 3', code_list => 'loss_reason', party => 'person 7') $$), 'both', 'and known when they come again');
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, field, code, party, value) VALUES ('crm', 'other', 'P', 'field_set', '2025-01-04', 'segment', 'code 1', 'person 1', 5);
SELECT loaded('crm') \g /dev/null
CREATE FUNCTION other(columns text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'UPDATE landed.event SET ' || columns || ' WHERE source_key = ''other''';
    PERFORM loaded('crm');
    RETURN coalesce((SELECT 'set aside: ' || left(reason, 25) FROM revacct_data.rejected WHERE source_key = 'other'), 'known');
END $$;
SELECT is(other(columns), CASE WHEN is_known THEN 'known' ELSE 'set aside: it is on record otherwise' END, 'under a known key: ' || columns)
FROM (VALUES (1, 'party = ''person 2''', false), (2, 'party = NULL', false), (3, 'party = ''person 1''', true), (4, 'code = ''code 2''', false), (5, 'code = ''code 1''', true)) AS c (n, columns, is_known) ORDER BY n;

-- ---- amounts with a code, numbers out of range, groups of a name, stages that nobody agreed on -------------------------------------------

SELECT agree('Deals', $$ define_lifecycle('h', subject_kind => 'opportunity'), define_stage('h', 'lead', 1), define_stage('h', 'won', 2, 'won'),
    define_lifecycle('u', subject_kind => 'opportunity'), define_stage('u', 'lead', 1), define_stage('u', 'won', 2, 'won'),
    define_code('segment', '(small groups)'), define_code('lead_source', '(small groups)'), define_code('segment', 'big') $$) \g /dev/null
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage) SELECT 'crm', 'h/' || k, k, 'stage_entered', '2025-05-01', 'h', 'lead' FROM unnest('{A1, A2}'::text[]) AS k;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, field, amount, currency, code, value)
VALUES ('crm', 'A1/amount', 'A1', 'field_set', '2025-05-02', 'amount', 50.25, 'CHF', 'code 5', NULL), ('crm', 'A2/amount', 'A2', 'field_set', '2025-05-02', 'amount', 100, 'CHF', NULL, 77);
SELECT loaded('crm') \g /dev/null
SELECT is(refreshed(), 'journeys, packs, figures', 'amounts with a code, and with a value');
SELECT is(history('A1') || ' | ' || history('A2'), '05-01 h/lead, 05-02 amount_set/CHF=502500 | 05-01 h/lead, 05-02 amount_set/CHF=1000000', 'are amounts in the journeys');
SELECT is((SELECT sum(amount_entered) FROM funnel WHERE lifecycle = 'h' AND stage = 'lead' AND currency = 'CHF'), 150.25, 'and in the funnel');
-- stages that are not defined are no entry
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
SELECT 'crm', concat_ws('/', 'u', i, stage), 'U' || i, 'stage_entered', at, 'u', stage FROM generate_series(1, 7) AS i, (VALUES ('unheard of', timestamptz '2025-01-20'), ('lead', '2025-02-10'), ('won', '2025-03-10')) AS f (stage, at);
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is((SELECT string_agg(DISTINCT period_start::text, ', ') FROM funnel WHERE lifecycle = 'u'), '2025-02-01', 'a stage that is not defined does not shift the month');
SELECT is((SELECT f.entered FROM funnel_of('u', period => period) AS o, stages(o.funnel) AS f WHERE f.stage = 'lead'), expected, 'nor in funnel_of(): ' || period)
FROM (VALUES (daterange '[2025-01-01,2025-02-01)', NULL::bigint), ('[2025-02-01,2025-03-01)', 7)) AS p (period, expected);
-- a group of the name that the small ones have together
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage) SELECT 'crm', 'g/' || i, 'G' || i, 'stage_entered', '2025-07-01', 'h', 'lead' FROM generate_series(1, 16) AS i;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, field, code) SELECT 'crm', f || '/' || i, 'G' || i, 'field_set', '2025-07-01', f, '(small groups)' FROM generate_series(1, 10) AS i, unnest('{segment, lead_source}'::text[]) AS f;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, party) SELECT 'crm', 'own/' || i, 'G' || i, 'assigned', '2025-07-01', CASE WHEN i <= 10 THEN '(small groups)' ELSE 'person ' || i % 3 END FROM generate_series(1, 16) AS i;
SELECT loaded('crm') \g /dev/null
SELECT is(refreshed(), 'journeys, packs, figures', 'a group that is called (small groups), beside small groups, does not stop a refresh');
SELECT is((SELECT string_agg(concat_ws(' ', audience, segment, subjects), ', ' ORDER BY audience, subjects) FROM revacct_data.report_group WHERE lifecycle = 'h' AND period_start = '2025-07-01' AND segment = '(small groups)'),
    'analyst (small groups) 10, reader (small groups) 6, reader (small groups) 10', 'they are two groups');
-- values that have no room
SELECT is(left(recorded(format('event(''crm'', ''opportunity'', ''N'', ''touch_out'', ''2025-01-01'', ''least'', value => %s)', n)), 5), expected, 'a value of ' || n)
FROM (VALUES ('''-9223372036854775808''', '23514'), ('9223372036854775807', '23514'), ('-5', 'least')) AS v (n, expected);
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage) SELECT 'crm', 'm/' || i, 'M' || i, 'stage_entered', '2025-09-01', 'h', 'lead' FROM generate_series(1, 120) AS i;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, field, amount, currency) SELECT 'crm', 'a/' || i, 'M' || i, 'field_set', '2025-09-02', 'amount', 99999999999999, 'EUR' FROM generate_series(1, 120) AS i;
SELECT loaded('crm') \g /dev/null
SELECT is(refreshed(), 'journeys, packs, figures', 'a sum that has no room does not stop a refresh');
SELECT ok(count(*) = 1 AND bool_and(entered = 120 AND coalesce(amount_entered, 120 * 99999999999999) = 120 * 99999999999999), 'it is unknown, or right')
FROM funnel WHERE lifecycle = 'h' AND period_start = '2025-09-01' AND stage = 'lead';

-- ---- figures ----------------------------------------------------------------------------------------------------------------------------

SELECT agree('Rates', $$ define_lifecycle('q', subject_kind => 'opportunity', time_zone => 'UTC'), define_stage('q', 'lead', 1), define_stage('q', 'won', 2, 'won'), define_stage('q', 'lost', 3, 'lost'),
    define_metric('win rate', 'x', basis => 'event', lifecycle => 'q', to_stage => 'won'), assign('board', 'accountable', 'metric', 'win rate') $$) \g /dev/null
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
VALUES ('crm', 'q1', 'Q', 'stage_entered', '2025-01-10', 'q', 'lead'), ('crm', 'q2', 'Q', 'stage_entered', '2025-02-10', 'q', 'lost');
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is((SELECT concat_ws('/', numerator, denominator) FROM metric_value('win rate', '[2025-01-01,2025-04-01)')), '0/1', 'a deal is lost in the first quarter');
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
VALUES ('crm', 'q3', 'Q', 'reopened', '2025-04-10', NULL, NULL), ('crm', 'q4', 'Q', 'stage_entered', '2025-04-10 01:00', 'q', 'lead'), ('crm', 'q5', 'Q', 'stage_entered', '2025-05-10', 'q', 'won');
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is((SELECT string_agg(concat_ws('/', v.numerator, v.denominator), ', ' ORDER BY p) FROM unnest('{"[2025-01-01,2025-04-01)", "[2025-04-01,2025-07-01)"}'::daterange[]) AS p, metric_value('win rate', p) AS v), '0/1, 1/1',
    'won in the second, it stays a loss of the first');
-- of so few
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage) SELECT 'crm', 'f/' || i, 'F' || i, 'stage_entered', '2025-08-01', 'q', 'won' FROM generate_series(1, 9) AS i;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, party) SELECT 'crm', 'fo/' || i, 'F' || i, 'assigned', '2025-08-01', CASE WHEN i <= 4 THEN 'few' ELSE 'enough' END FROM generate_series(1, 9) AS i;
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is(left(said('review_ana', format('SELECT publish(''win rate'', ''[2025-08-01,2025-09-01)'', owner => %L) > 0', o)), 5), e, 'published of the owner: ' || o) FROM (VALUES (1, 'few', '23514'), (2, 'enough', 'true')) AS t (n, o, e) ORDER BY n;
-- one deal that is lost six times is one deal
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
SELECT 'crm', concat_ws('/', 'again', i, stage), 'Again', 'stage_entered', timestamptz '2025-10-01' + i * interval '2 days' + CASE stage WHEN 'lost' THEN interval '1 day' ELSE '0' END, 'q', stage FROM generate_series(1, 6) AS i, unnest('{lead, lost}'::text[]) AS stage;
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, party) VALUES ('crm', 'again/own', 'Again', 'assigned', '2025-10-01', 'lonely');
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is(left(said('review_ana', 'SELECT publish(''win rate'', ''[2025-10-01,2025-11-01)'', owner => ''lonely'') > 0'), 5), '23514', 'of one deal that was decided six times nothing is published');
SELECT is(said('review_ana', 'SELECT publish(''win rate'', ''[2025-01-01,2025-04-01)'') > 0'), 'true', 'of all, it is the metric that says how many it takes');
-- a metric that moves from one lifecycle to another
SELECT agree('Two processes', $$ define_lifecycle(l, subject_kind => 'opportunity', time_zone => 'UTC'), define_stage(l, 'lead', 10), define_stage(l, 'won', 20, 'won'), define_stage(l, 'lost', 30, 'lost') FROM unnest('{r1, r2}'::text[]) AS l;
    SELECT define_metric('moved', 'x', basis => 'cohort', lifecycle => 'r1', at_stage => 'lead', to_stage => 'won'), assign('board', 'accountable', 'metric', 'moved') $$) \g /dev/null
SELECT agree('First in thirty days', $$ define_lifecycle('r1', subject_kind => 'opportunity', time_zone => 'UTC', within => '30 days') $$, '2024-03-01') \g /dev/null
SELECT agree('It moves', $$ define_metric('moved', 'x', basis => 'cohort', lifecycle => 'r2', at_stage => 'lead', to_stage => 'won') $$, '2024-06-01') \g /dev/null
SELECT agree('Second in ten days', $$ define_lifecycle('r2', subject_kind => 'opportunity', time_zone => 'UTC', within => '10 days') $$, '2024-09-01') \g /dev/null
INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage)
SELECT 'crm', concat_ws('/', l, i, stage), l || i, 'stage_entered', timestamptz '2025-01-01' + CASE WHEN stage = 'won' THEN i * interval '5 days' ELSE '0' END, l, stage
FROM (VALUES ('r1', 10), ('r2', 7)) AS r (l, n), generate_series(1, n) AS i, unnest('{lead, won}'::text[]) AS stage;
SELECT loaded('crm'), refreshed() \g /dev/null
SELECT is((SELECT string_agg(cause || coalesce(' ' || sign(difference), ''), ', ' ORDER BY step_no) FROM restate('moved', NULL, a, b, '2026-01-01')), expected, format('restated from %s to %s: every difference has a cause', a::date, b::date))
FROM (VALUES (1, timestamptz '2024-02-01', timestamptz '2025-01-01', 'as stated under the model of model_a, First in thirty days -1, It moves 1, Second in ten days -1, as restated under the model of model_b 0'),
             (2, '2025-01-01', '2024-02-01', 'as stated under the model of model_a, without: Second in ten days 1, without: It moves -1, without: First in thirty days 1, as restated under the model of model_b 0')) AS t (n, a, b, expected) ORDER BY n;
SELECT is((SELECT sum(difference) FROM restate('moved', NULL, a, b, '2026-01-01')), (metric_value('moved', NULL, as_of => '2026-01-01', model_at => b::text)).value - (metric_value('moved', NULL, as_of => '2026-01-01', model_at => a::text)).value,
    format('and they add up: from %s to %s', a::date, b::date))
FROM (VALUES (1, timestamptz '2024-02-01', timestamptz '2025-01-01'), (2, '2025-01-01', '2024-02-01'), (3, '2024-04-01', '2024-10-01'), (4, '2024-07-01', '2024-02-01')) AS t (n, a, b) ORDER BY n;
-- what may be summed
SELECT is((SELECT string_agg(concat_ws(' ', name, unit, additive_count), ', ' ORDER BY name) FROM metric_catalog WHERE view_name = 'sla_status' AND name IN ('at_risk_count', 'breach_count', 'clock_no', 'fraction_used')),
    'at_risk_count count 1, breach_count count 1, clock_no count 0, fraction_used share 0', 'what may be summed of running clocks');

-- ---- what a newcomer met ------------------------------------------------------------------------------------------------------------------

INSERT INTO landed.event (source, source_key, subject_key, event, occurred_at, lifecycle, stage, corrects)
VALUES ('crm', 'c1', 'C', 'stage_entered', '2025-01-10', 'q', 'won', NULL), ('crm', 'c2', 'C', 'stage_entered', '2025-01-11', 'q', 'lost', 'c1');
SELECT loaded('crm') \g /dev/null
UPDATE landed.event SET stage = 'lost', occurred_at = '2025-01-11' WHERE source_key = 'c1';
SELECT is(split_part(loaded('crm'), ' ', 5) || coalesce((SELECT string_agg(reason, ', ') FROM revacct_data.rejected WHERE source_key = 'c1'), ''), '0', 'a row that is mended to what its correction says is known');
SELECT is(refreshed() || ': ' || history('C'), 'journeys, packs, figures: 01-11 q/lost', 'and nothing is changed by it');
UPDATE landed.event SET stage = 'lead' WHERE source_key = 'c1';
SELECT is(split_part(loaded('crm'), ' ', 5), '1', 'one that says a third thing is set aside');
-- a change that came too late
SELECT said('review_ana', $$ SELECT draft_change('Slow', '2024-05-01 00:00+00', '2024-08-01 00:00+00', retroactive => true) $$) AS slow \gset
SELECT said('review_ana', format($$ SELECT define_stage('q', 'lead', 1, meaning => 'Slow', change => %s), propose_change(%s) $$, :'slow', :'slow')) \g /dev/null
SELECT agree('Quick', $$ define_stage('q', 'lead', 1, meaning => 'Quick') $$, '2024-02-01') \g /dev/null
SELECT is(hint('review_cleo', format('SELECT approve(%s)', :'slow')), format('55000 Draft it again, from what is in force now: SELECT redraft(%s, ''2024-05-01 00:00:00+00'', effective_until => ''2024-08-01 00:00:00+00'', retroactive => true).', :'slow'),
    'to draft a change again takes its times');
SELECT is(left(recorded($$event(NULL, 'lead', '1', 'created') $$), 5), '22023', 'no source, no event');
SELECT is(left(said('review_load', $$ SELECT map_source('') $$), 5), '22023', 'a source has a name');

SELECT * FROM finish();
\o /dev/null
DROP SCHEMA landed, mine CASCADE;
DROP OWNED BY review_ana, review_cleo, review_load, review_mal, review_mate, review_house;
DROP ROLE review_ana, review_cleo, review_load, review_mal, review_mate, review_house;
