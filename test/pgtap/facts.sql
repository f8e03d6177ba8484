-- Facts: every rule of the ledger once, by a plain example; who may do what; what is refused, and in which words.
-- Random ledgers against a model: test/property/test_ledger.py.
SET client_min_messages = warning;
-- What is asked first in a transaction of another kind
BEGIN ISOLATION LEVEL REPEATABLE READ;
SET LOCAL search_path = public, revacct;
SELECT grant_access('loader', current_user::regrole) \g /dev/null
CREATE FUNCTION pg_temp.failure(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT pg_temp.failure('SELECT record_event(''crm'', ''lead'', ''1'', ''created'')') AS recorded, pg_temp.failure('SELECT refresh()') AS refreshed \gset
ROLLBACK;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(363);

CREATE ROLE facts_lou;   -- loader, without any right on tables but his own
CREATE ROLE facts_ana;   -- steward
CREATE ROLE facts_cleo;  -- council
CREATE ROLE facts_ned;   -- analyst
CREATE ROLE facts_bea;   -- reader
CREATE ROLE facts_nobody;
SELECT grant_access('loader', 'facts_lou'), grant_access('steward', 'facts_ana'), grant_access('council', 'facts_cleo'), grant_access('analyst', 'facts_ned'), grant_access('reader', 'facts_bea') \g /dev/null
CREATE SCHEMA landed AUTHORIZATION facts_lou;
GRANT USAGE ON SCHEMA landed TO PUBLIC;
GRANT USAGE ON SCHEMA revacct TO facts_nobody;

-- A change that ana drafts and cleo signs.
CREATE FUNCTION agreed(statements text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    answer text;
BEGIN
    SET SESSION AUTHORIZATION facts_ana;
    number := draft_change('a test');
    EXECUTE statements;
    PERFORM propose_change(number);
    SET SESSION AUTHORIZATION facts_cleo;
    answer := approve(number);
    RESET SESSION AUTHORIZATION;
    RETURN answer;
END $$;

-- What a statement says in a session of somebody's: its first value, or the error: SQLSTATE, message, detail and hint.
CREATE FUNCTION said(login text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
    message text;
    detail text;
    hint text;
BEGIN
    EXECUTE format('SET SESSION AUTHORIZATION %I', login);
    IF statement ~ '^\s*SELECT' THEN EXECUTE statement INTO answer; ELSE EXECUTE statement; END IF;
    RESET SESSION AUTHORIZATION;
    RETURN coalesce(answer, 'done');
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''), nullif(hint, ''));
END $$;
-- lou loads a source: a line for each kind of fact that has rows: read, loaded, known, rejected.
CREATE FUNCTION loaded(source text) RETURNS text LANGUAGE SQL AS $$
    SELECT said('facts_lou', format('SELECT coalesce(string_agg(concat_ws('' '', fact, rows_read, loaded, known, rejected), '', '') FILTER (WHERE rows_read > 0), ''nothing'') FROM load(%L)', source)) $$;
CREATE FUNCTION aside(like_key text) RETURNS text LANGUAGE SQL AS $$
    SELECT string_agg(source_key || ': ' || reason, '; ' ORDER BY source_key, reason) FROM revacct_data.rejected WHERE source_key LIKE like_key $$;
-- The marks of a subject's journey by name: time, mark, value, seq.
CREATE FUNCTION history(key text, source text DEFAULT 'crm', kind text DEFAULT 'opportunity') RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(to_char(m.at, 'MM-DD ') || g.key || coalesce('=' || m.value, '') || coalesce('#' || m.seq, ''), ', ' ORDER BY n), 'none')
    FROM revacct_data.subject AS s JOIN revacct_data.source AS r USING (source_no) LEFT JOIN revacct_data.identity AS i USING (subject_id)
         JOIN revacct_data.journey AS j ON j.subject_id = coalesce(i.same_as, s.subject_id), marks(j.journey) WITH ORDINALITY AS m (at, mark, value, seq, n)
         JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = m.mark
    WHERE s.subject_key = $1 AND r.source = $2 AND s.kind = $3 $$;
CREATE FUNCTION refreshed() RETURNS text LANGUAGE SQL AS $$
    SELECT said('facts_lou', 'SELECT string_agg(step, '', '') FROM refresh(false)') || said('facts_ana', 'SELECT coalesce(string_agg('' but '' || c::text, '', ''), '''') FROM check_journeys() AS c') $$;
-- Why the rows of some keys are set aside; a function, so that it sees what was done before it in the same statement.
CREATE FUNCTION reasons(fact text, VARIADIC keys text[]) RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(reason, ', ' ORDER BY reason), 'nothing is set aside') FROM revacct_data.rejected AS r WHERE r.fact = $1 AND coalesce(r.source_key, '') = ANY (keys) $$;
CREATE FUNCTION keyless(fact text) RETURNS text LANGUAGE SQL AS $$ SELECT count(*) || ' without a key' FROM revacct_data.rejected AS r WHERE r.fact = $1 AND coalesce(r.source_key, '') = '' $$;
CREATE FUNCTION records(what text) RETURNS text LANGUAGE SQL AS $$ SELECT said('facts_lou', 'SELECT record_' || $1) $$;

SET SESSION AUTHORIZATION facts_lou;
CREATE TABLE landed.event (
    source_key text, subject_key text DEFAULT 'O-1', event text DEFAULT 'stage_entered', occurred_at timestamptz, stage text, lifecycle text DEFAULT 'deal', subject_kind text DEFAULT 'opportunity', field text, code text,
    code_list text, party text, actor text, amount numeric, currency text, program text, seq bigint, value bigint, corrects text, details jsonb, something_else text);
CREATE TABLE landed.link (
    source_key text, from_kind text DEFAULT 'opportunity', from_key text, role text, to_kind text, to_key text, from_source text, to_source text, valid_from timestamptz, valid_until timestamptz, share numeric);
CREATE TABLE landed.money (
    source_key text, kind text DEFAULT 'one_time', starts_on date DEFAULT '2025-01-01', ends_on date, amount numeric, currency text DEFAULT 'EUR', subject_kind text, subject_key text, program text, party text, corrects text);
CREATE TABLE landed.commitment (
    source_key text, kind text DEFAULT 'promise', subject_kind text, subject_key text, from_party text, to_party text, promised text, amount numeric, due_at timestamptz, delivered_at timestamptz, outcome text,
    verified_by text, metric text, corrects text);
CREATE VIEW landed.minimal AS SELECT occurred_at, event, source_key, subject_key, subject_kind FROM landed.event;
CREATE VIEW landed.no_time AS SELECT event, source_key, subject_key, subject_kind FROM landed.event;
CREATE VIEW landed.without_zone AS SELECT event, source_key, subject_key, subject_kind, occurred_at AT TIME ZONE 'UTC' AS occurred_at FROM landed.event;
CREATE VIEW landed.days AS SELECT event, source_key, subject_key, subject_kind, occurred_at::date AS occurred_at FROM landed.event;
CREATE VIEW landed.words AS SELECT event, source_key, subject_key, subject_kind, occurred_at, amount::text FROM landed.event;
CREATE VIEW landed.not_json AS SELECT event, source_key, subject_key, subject_kind, occurred_at, details::text FROM landed.event;
RESET SESSION AUTHORIZATION;

--
-- Mapping
--

SELECT is(said(login, $$ SELECT map_source('crm', 'landed.event', 'landed.link', 'landed.money', 'landed.commitment') $$), expected, login || ' maps a source: ' || expected)
FROM (VALUES (1, 'facts_nobody', '42501 | role "facts_nobody" may not map sources | It needs the access level loader or steward or council. | The administrator grants it: SELECT grant_access(''loader'', ''facts_nobody'').'),
             (2, 'facts_bea', '42501 | role "facts_bea" may not map sources | It needs the access level loader or steward or council. | The administrator grants it: SELECT grant_access(''loader'', ''facts_bea'').'),
             (3, 'facts_ned', '42501 | role "facts_ned" may not map sources | It needs the access level loader or steward or council. | The administrator grants it: SELECT grant_access(''loader'', ''facts_ned'').')) AS w (n, login, expected) ORDER BY n;
SELECT is(said('facts_lou', $$ SELECT map_source('crm', 'landed.event', 'landed.link', 'landed.money', 'landed.commitment') $$), '', 'a loader maps a source');
SELECT is(said('facts_lou', $$ SELECT map_source('x', 'landed.no_time') $$),
          '42703 | relation "landed.no_time" has no column occurred_at | A relation of event facts has the columns subject_kind, subject_key, event, occurred_at, source_key, lifecycle (optional), stage (optional), '
          'field (optional), code (optional), code_list (optional), party (optional), actor (optional), amount (optional), currency (optional), program (optional), seq (optional), value (optional), corrects (optional), details (optional). | '
          'Make a view that names them so: suggest_mapping() writes a first one.', 'a relation without a column that must be there is refused, and it is said which there are');
SELECT is(said('facts_lou', $$ SELECT map_source('x', 'landed.without_zone') $$),
          '42804 | column occurred_at of relation "landed.without_zone" is of type timestamp without time zone | It is to be timestamp with time zone. | Say in which time zone: (occurred_at::timestamp AT TIME ZONE ''UTC'') AS occurred_at.',
          'a time without a zone is refused, with the way out');
SELECT is(said('facts_lou', $$ SELECT map_source('x', 'landed.days') $$),
          '42804 | column occurred_at of relation "landed.days" is of type date | It is to be timestamp with time zone. | Say in which time zone: (occurred_at::timestamp AT TIME ZONE ''UTC'') AS occurred_at.', 'so is a day for a time');
SELECT is(said('facts_lou', $$ SELECT map_source('x', 'landed.words') $$), '42804 | column amount of relation "landed.words" is of type text | It is to be numeric. | Cast it in a view.', 'so are words for amounts');
SELECT is(said('facts_lou', $$ SELECT map_source('x', 'landed.not_json') $$), '42804 | column details of relation "landed.not_json" is of type text | It is to be jsonb. | Cast it in a view.', 'and words for details');
SELECT is(said('facts_lou', $$ SELECT load('nowhere') $$),
          '42704 | source "nowhere" is not mapped | Mapped are: crm. | Map it: map_salesforce(), map_hubspot(), map_zendesk(), map_odoo(), or map_source() for any other.', 'only what is mapped is loaded');
SELECT is(said('facts_lou', $$ SELECT map_source('minimal', 'landed.minimal') $$), '', 'what is optional may be missing');
SELECT is(said('facts_lou', 'CREATE TEMPORARY TABLE revacct_incoming_event (LIKE landed.event)'), 'done', 'a temporary table of somebody''s own');
SELECT is(loaded('crm'), '42P07 | the temporary table "revacct_incoming_event" is in the way | Drop it: facts come in through a table of that name.', 'is not taken for the way in');
SELECT is(said('facts_lou', 'DROP TABLE pg_temp.revacct_incoming_event'), 'done', 'until it is gone');
SELECT is(loaded('crm'), 'nothing', 'of nothing nothing is loaded');

--
-- Loading events
--

INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('e1', 'new', '2025-01-01'), ('e2', 'won', '2025-02-01');
SELECT is(loaded('crm'), 'event 2 2 0 0', 'rows are loaded');
SELECT is(loaded('crm'), 'event 2 0 2 0', 'and known when they come again');
INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('e3', 'new', '2024-12-01'), ('e3', 'new', '2024-12-01');
SELECT is(loaded('crm'), 'event 4 1 3 0', 'what is new is loaded, once');
SELECT is(refreshed(), 'journeys, packs, figures', 'a refresh takes it up');
SELECT is(history('O-1'), '12-01 deal/new, 01-01 deal/new, 02-01 deal/won', 'a journey is in the order in which it happened, whenever it was recorded');
SELECT is((SELECT string_agg(c.relname, ', ' ORDER BY c.relname) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = 'revacct_data.event'::regclass), 'event_2024, event_2025', 'each year has its partition');
SELECT is((SELECT string_agg(concat_ws(' ', recorded_by, (SELECT count(*) FROM revacct_data.event AS e WHERE e.load_id = l.load_id)), ', ' ORDER BY load_id) FROM revacct_data.load AS l), 'facts_lou 2, facts_lou 1', 'only writes that add something are kept, and who wrote');

-- The same key, something else
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('e1', 'new', '2025-01-02');
SELECT is(loaded('crm'), 'event 1 0 0 1', 'another time under a known key is set aside');
SELECT is(aside('e1'), 'e1: it is on record otherwise: correct it by an event with a key of its own that names this one in corrects', 'with the way out');
INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('e1', 'new', '2025-01-01');
SELECT is(loaded('crm'), 'event 2 0 1 1', 'two rows of one key: the earlier is taken, here known, the other set aside');
SELECT is(aside('e1'), 'e1: another row of this load has the same source_key', 'and what is said of it is said anew');
DELETE FROM landed.event WHERE occurred_at > '2025-01-01';
SELECT is(loaded('crm') || coalesce(aside('e1'), ''), 'event 1 0 1 0', 'what comes as it is on record is set aside no more');
CREATE TABLE change (n int, what text, columns text);
INSERT INTO change VALUES (1, 'subject', 'subject_key = ''O-2'''), (2, 'kind of subject', 'subject_kind = ''lead'''), (3, 'time', 'occurred_at = ''2025-03-02'''), (4, 'field', 'field = ''industry'''), (5, 'code', 'code = ''Phone'''),
    (6, 'list', 'code_list = ''origin'''), (7, 'seq', 'seq = 2'), (8, 'amount', 'amount = 3'), (9, 'currency', 'currency = ''USD'''), (10, 'actor', 'actor = ''zoe'''), (11, 'program', 'program = ''fair'''),
    (12, 'details', 'details = ''{"value": 2}'''), (13, 'corrects', 'corrects = ''e3''');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, field, code, occurred_at, seq, amount, currency, actor, program, details) VALUES ('e4', 'field_set', 'lead_source', 'Web', '2025-03-01', 1, 2, 'EUR', 'ann', 'ads', '{"value": 1}');
SELECT is(loaded('crm'), 'event 1 1 0 0', 'an event with all that it may have');
CREATE FUNCTION changed(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE 'UPDATE landed.event SET ' || columns;
    answer := loaded('crm');
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN answer;
END $$;
SELECT is(changed(columns), 'event 1 0 0 1', 'another ' || what || ' under a known key is set aside') FROM change ORDER BY n;
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, stage, occurred_at, party) VALUES ('e5', 'new', '2025-03-01', 'bob');
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'event 1 1 0 0, event 1 0 1 0', 'a stage may be entered with a party');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, field, amount, currency, occurred_at, party) VALUES ('e6', 'field_set', 'amount', 12.34, 'EUR', '2025-03-02', 'bob'), ('e7', 'field_set', 'amount', 5, 'EUR', '2025-03-03', '');
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'event 2 2 0 0, event 2 0 2 0', 'so may amounts be set');
SELECT is((SELECT string_agg(value::text, ', ' ORDER BY source_key) FROM revacct_data.event WHERE source_key IN ('e6', 'e7')), '123400, 50000', 'and the value of their marks is the amount, in ten-thousandths');

-- What cannot be read
TRUNCATE landed.event;
CREATE TABLE unreadable (n int, columns text, reason text);
INSERT INTO unreadable VALUES
    (1, 'subject_kind = NULL', 'it has no subject_kind'), (2, 'subject_kind = ''deal''', 'unknown subject_kind'), (3, 'subject_key = NULL', 'it has no subject_key'), (4, 'subject_key = ''''', 'it has no subject_key'),
    (5, 'source_key = NULL', 'it has no source_key'), (6, 'source_key = ''''', 'it has no source_key'), (7, 'source_key = repeat(''x'', 1001)', 'its key is longer than 1000 bytes'), (8, 'subject_key = repeat(''x'', 1001)', 'its key is longer than 1000 bytes'),
    (9, 'occurred_at = NULL', 'it has no occurred_at'), (10, 'occurred_at = ''infinity''', 'its occurred_at is not between 1900 and 2199'), (11, 'occurred_at = ''1899-12-31 23:59:59''', 'its occurred_at is not between 1900 and 2199'),
    (12, 'occurred_at = ''2200-01-01''', 'its occurred_at is not between 1900 and 2199'), (13, 'event = NULL', 'it has no event'), (14, 'event = ''dreamt''', '"dreamt" is no kind of event: it can be defined as a code of the list event'),
    (15, 'stage = NULL', 'stage_entered needs lifecycle and stage'), (16, 'lifecycle = ''''', 'stage_entered needs lifecycle and stage'), (17, 'event = ''field_set''', 'field_set needs field'), (18, 'event = ''retracted''', 'retracted needs corrects'),
    (19, 'corrects = source_key', 'it corrects itself'), (20, 'amount = ''NaN''', 'its amount is no amount'), (21, 'amount = 100000000000000', 'its amount is no amount'), (22, 'amount = ''-Infinity''', 'its amount is no amount'),
    (23, 'corrects = ''nothing''', 'there is no event of the key it corrects'), (24, 'party = repeat(''x'', 201)', NULL), (25, 'code = (SELECT string_agg(md5(g::text), '''') FROM generate_series(1, 300) AS g)', NULL), (26, 'stage = (SELECT string_agg(md5(g::text), '''') FROM generate_series(1, 300) AS g)', NULL);
CREATE FUNCTION unread(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('u', 'new', '2025-01-01'), ('good', 'new', '2025-01-05');
    EXECUTE 'UPDATE landed.event SET ' || columns || ' WHERE source_key = ''u''';
    answer := loaded('crm') || ': ' || reasons('event', 'u', '', repeat('x', 1001));
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN answer;
END $$;
SELECT is(CASE WHEN reason IS NULL THEN left(unread(columns), 13) ELSE unread(columns) END, concat_ws(': ', 'event 2 1 0 1', reason), 'a row of which ' || columns || ' is set aside, and the others are taken') FROM unreadable ORDER BY n;
SELECT is(unread($$ occurred_at = '2199-12-31 23:59:59.999999+00' $$), 'event 2 2 0 0: nothing is set aside', 'the last year is taken to its end');
SELECT is(unread($$ occurred_at = '1900-01-01' $$), 'event 2 2 0 0: nothing is set aside', 'and the first from its beginning');
SELECT is(unread($$ party = ' bob ' $$), 'event 2 2 0 0: nothing is set aside', 'blanks around the name of a party do not stop the load');
INSERT INTO landed.event (source_key, stage, occurred_at) VALUES ('', 'new', '2025-01-01'), (NULL, 'new', '2025-01-01'), ('', 'won', '2025-01-01');
SELECT is(loaded('crm') || ': ' || keyless('event'), 'event 3 0 0 3: 3 without a key', 'rows without a key are all set aside');
SELECT is(loaded('crm') || ': ' || keyless('event'), 'event 3 0 0 3: 3 without a key', 'and once, however often they come');
DELETE FROM landed.event WHERE stage = 'won';
SELECT is(loaded('crm') || ': ' || keyless('event'), 'event 2 0 0 2: 3 without a key', 'and none is forgotten for another');

-- Kinds of events
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, occurred_at) VALUES ('k1', 'demo_given', '2025-01-01');
SELECT is(loaded('crm'), 'event 1 0 0 1', 'an unknown kind of event is set aside');
SELECT is(agreed($$ SELECT define_code('event', 'demo_given') $$), 'approved', 'until it is defined');
SELECT is(loaded('crm') || coalesce(aside('k1'), ''), 'event 1 1 0 0', 'then it is taken, and set aside no more');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, field, code, occurred_at) VALUES ('k2', 'field_set', 'priority', 'high', '2025-01-01');
SELECT is(loaded('crm'), 'event 1 1 0 0', 'any field may be set');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, occurred_at) VALUES ('k3', 'priority_set', '2025-01-01');
SELECT is(loaded('crm'), 'event 1 0 0 1', 'which does not make what that leaves a kind of event');
-- Names
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, event, field, code, occurred_at) SELECT 'n' || g, 'field_set', 'notes', 'note ' || g, '2025-01-01' FROM generate_series(1, 1000) AS g;
SELECT matches(loaded('crm'), '^54000 \| the load brings 1001 new stages, kinds of events and codes \| Among them are .*\. \| More than 1000 at once mean that a column was mapped that holds something else\. Leave the code of free text NULL, and put it into details\.$',
               'more than 1000 new names are refused, with the way out');
SELECT is((SELECT count(*)::int FROM revacct_data.event WHERE source_key LIKE 'n%'), 0, 'and nothing of that load is taken');
DELETE FROM landed.event WHERE source_key = 'n1000';
SELECT is(loaded('crm'), 'event 999 999 0 0', '1000 are not');

-- Corrections
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, corrects) VALUES ('c1', 'O-3', 'new', '2025-01-01', NULL), ('c2', 'O-3', 'won', '2025-01-02', 'c1'), ('c3', 'O-3', 'lost', '2025-01-03', 'c2'), ('c4', 'O-4', 'new', '2025-01-04', 'c3');
SELECT is(loaded('crm'), 'event 4 4 0 0', 'a load may bring corrections, and corrections of these');
SELECT is(loaded('crm'), 'event 4 0 4 0', 'which are known when they come again');
SELECT is(refreshed(), 'journeys, packs, figures', 'after a refresh');
SELECT is(history('O-3') || '; ' || history('O-4'), 'none; 01-04 deal/new', 'what is corrected does not count, and the last correction does, of whomever it speaks');
SELECT is(said('facts_ana', $$ SELECT count(*) FROM revacct_data.event WHERE source_key LIKE 'c_' $$), '4', 'all of it is on record');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, event, occurred_at, corrects) VALUES ('c5', 'O-3', 'retracted', '2025-01-01', 'c1'), ('c7', 'O-4', 'created', '2025-01-01', 'c4'), ('c6', 'O-4', 'retracted', '2025-01-01', 'c4');
SELECT is(loaded('crm') || ': ' || aside('c_'), 'event 3 1 0 2: c5: what it corrects is corrected already: correct the event that did; c7: what it corrects is corrected already: correct the event that did', 'an event is corrected once');
SELECT is(refreshed() || ': ' || history('O-4'), 'journeys, packs, figures: none', 'retracted takes back without replacement');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, event, occurred_at, corrects) VALUES ('c8', 'O-4', 'retracted', '2025-01-01', 'c6');
SELECT is(loaded('crm') || '; ' || refreshed() || ': ' || history('O-4'), 'event 1 1 0 0; journeys, packs, figures: none', 'what is retracted for good does not come back when that is retracted');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, corrects) VALUES ('r1', 'O-5', 'new', '2025-01-01', 'r2'), ('r2', 'O-5', 'won', '2025-01-02', 'r1');
SELECT is(loaded('crm'), 'event 2 0 0 2', 'two that correct each other correct nothing');

TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at) VALUES ('b1', 'O-8', 'new', '2025-01-01');
SELECT is(loaded('crm') || '; ' || refreshed() || ': ' || history('O-8'), 'event 1 1 0 0; journeys, packs, figures: 01-01 deal/new', 'an event, in its journey');
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, corrects) VALUES ('b2', 'O-9', 'new', '2025-01-01', 'b1');
SELECT is(loaded('crm') || '; ' || refreshed() || ': ' || history('O-8') || '; ' || history('O-9'), 'event 2 1 1 0; journeys, packs, figures: none; 01-01 deal/new', 'that was another''s leaves it');

-- Ties
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, seq) VALUES ('t3', 'O-6', 'lost', '2025-01-01', 2), ('t2', 'O-6', 'won', '2025-01-01', -1), ('t1', 'O-6', 'new', '2025-01-01', NULL);
SELECT is(loaded('crm') || '; ' || refreshed() || ': ' || history('O-6'), 'event 3 3 0 0; journeys, packs, figures: 01-01 deal/new, 01-01 deal/won#-1, 01-01 deal/lost#2', 'at one instant seq decides, and what has none comes first');

-- Values
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, event, field, code, code_list, party, amount, currency, value, occurred_at) VALUES
    ('v1', 'O-7', 'field_set', 'segment', 'SMB', NULL, NULL, NULL, NULL, NULL, '2025-01-01'), ('v2', 'O-7', 'disposition_set', NULL, 'price', NULL, NULL, NULL, NULL, NULL, '2025-01-02'),
    ('v3', 'O-7', 'disposition_set', NULL, 'price', 'loss_reason', NULL, NULL, NULL, NULL, '2025-01-03'), ('v4', 'O-7', 'assigned', NULL, NULL, NULL, 'ann', NULL, NULL, NULL, '2025-01-04'),
    ('v5', 'O-7', 'field_set', 'amount', NULL, NULL, NULL, 1.23456, 'EUR', NULL, '2025-01-05'), ('v6', 'O-7', 'field_set', 'amount', NULL, NULL, NULL, 7, NULL, NULL, '2025-01-06'), ('v7', 'O-7', 'touch_out', NULL, NULL, NULL, NULL, NULL, NULL, -5, '2025-01-07');
SELECT is(loaded('crm') || '; ' || refreshed(), 'event 7 7 0 0; journeys, packs, figures', 'values');
SELECT is((SELECT string_agg(concat_ws(' ', e.source_key, g.key, c.key, p.party, CASE WHEN c.key IS NULL AND p.party IS NULL THEN e.value END), ', ' ORDER BY e.source_key)
           FROM revacct_data.event AS e JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark LEFT JOIN revacct_data.numbering AS c ON c.kind = 'code' AND c.number = e.value AND e.source_key IN ('v1', 'v2', 'v3')
                LEFT JOIN revacct_data.party AS p ON p.party_no = e.value AND e.source_key = 'v4' WHERE e.source_key LIKE 'v_'),
          'v1 segment_set segment/SMB, v2 disposition_set disposition/price, v3 disposition_set loss_reason/price, v4 assigned ann, v5 amount_set/EUR 12346, v6 amount_set 70000, v7 touch_out -5',
          'marks carry a code, a party, an amount in ten-thousandths, or a number');
SELECT is((SELECT kind FROM revacct_data.party WHERE party = 'ann'), 'person', 'whoever is not known is registered as a person');

--
-- Identity and other links
--

INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key, to_source) VALUES ('l1', 'O-6', 'same_as', 'opportunity', 'D-6', 'desk'), ('l2', 'O-6', 'account', 'account', 'A-1', NULL);
TRUNCATE landed.event;
SELECT is(loaded('crm'), 'link 2 2 0 0', 'links are loaded');
SELECT is(loaded('crm'), 'link 2 0 2 0', 'and known when they come again');
SELECT is(records($$event('desk', 'opportunity', 'D-6', 'created', '2024-12-31', 'd1')$$), 'd1', 'another system knows the same subject');
SELECT is(refreshed(), 'journeys, packs, figures', 'after a refresh');
SELECT is(history('O-6'), '12-31 created, 01-01 deal/new, 01-01 deal/won#-1, 01-01 deal/lost#2', 'they have one journey');
SELECT is(history('D-6', 'desk'), history('O-6'), 'both of them');
SELECT is(records($$link('crm', 'opportunity', 'O-6', 'same_as', 'opportunity', 'E-6', to_source => 'erp', source_key => 'l3')$$), '', 'a third');
SELECT is(records($$event('erp', 'opportunity', 'E-6', 'paused', '2025-01-31', 'p1')$$) || refreshed(), 'p1journeys, packs, figures', 'of a third system');
SELECT is(history('D-6', 'desk'), '12-31 created, 01-01 deal/new, 01-01 deal/won#-1, 01-01 deal/lost#2, 01-31 paused', 'a subject known to three systems has one journey');
UPDATE landed.link SET to_key = 'D-7' WHERE source_key = 'l1';
SELECT is(loaded('crm'), 'link 2 1 1 0', 'what a source says otherwise of a link');
SELECT is(refreshed() || ': ' || history('D-6', 'desk') || '; ' || history('O-6'), 'journeys, packs, figures: 12-31 created; 01-01 deal/new, 01-01 deal/won#-1, 01-01 deal/lost#2, 01-31 paused', 'ends what it said before');
SELECT is((SELECT string_agg(CASE WHEN upper_inf(recorded) THEN 'on record' ELSE 'was' END, ', ' ORDER BY recorded) FROM revacct_data.subject_link WHERE source_key = 'l1'), 'was, on record', 'which stays on record as that');
CREATE TABLE bad_link (n int, columns text, reason text);
INSERT INTO bad_link VALUES
    (1, 'role = ''friend''', 'unknown role'), (2, 'role = NULL', 'unknown role'), (3, 'from_kind = ''deal''', 'unknown from_kind'), (4, 'to_kind = NULL', 'unknown to_kind'), (5, 'from_key = NULL', 'it has no from_key'),
    (6, 'to_key = ''''', 'it has no to_key'), (7, 'to_kind = ''opportunity'', to_key = ''L''', 'it links a subject to itself'), (8, 'valid_from = ''2025-01-01'', valid_until = ''2025-01-01''', 'it ends before it begins'),
    (9, 'role = ''same_as'', to_kind = ''person''', 'subjects of two kinds are not the same'), (10, 'share = 0', 'its share is not between 0 and 1'), (11, 'share = 1.1', 'its share is not between 0 and 1'), (12, 'share = ''NaN''', 'its share is not between 0 and 1'),
    (13, 'from_key = repeat(''x'', 1001)', 'its key is longer than 1000 bytes'), (15, 'role = ''same_as'', to_kind = ''deal''', 'unknown to_kind');
CREATE FUNCTION unlinked(columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    DELETE FROM landed.link;
    INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key) VALUES ('u', 'L', 'account', 'account', 'A'), ('good', 'M', 'account', 'account', 'A');
    EXECUTE 'UPDATE landed.link SET ' || columns || ' WHERE source_key = ''u''';
    answer := loaded('crm') || ': ' || reasons('link', 'u');
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN answer;
END $$;
SELECT is(CASE WHEN reason IS NULL THEN left(unlinked(columns), 12) ELSE unlinked(columns) END, concat_ws(': ', 'link 2 1 0 1', reason), 'a link of which ' || columns || ' is set aside, and the others are taken') FROM bad_link ORDER BY n;
TRUNCATE landed.link;
INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key, valid_from, valid_until) VALUES ('o1', 'L', 'account', 'account', 'A', '2025-01-01', '2025-02-01'), ('o2', 'L', 'account', 'account', 'A', '2025-02-01', NULL);
SELECT is(loaded('crm'), 'link 2 2 0 0', 'two links of the same may follow each other');
INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key, valid_from, valid_until) VALUES ('o3', 'L', 'account', 'account', 'A', '2025-01-15', '2025-01-20');
SELECT is(loaded('crm') || ': ' || aside('o_'), 'link 3 0 2 1: o3: another link between the two is on record for a part of its time', 'but not overlap');
TRUNCATE landed.link;
INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key) VALUES ('o6', 'L', 'account', 'account', 'B');
SELECT is(loaded('crm'), 'link 1 1 0 0', 'a link');
UPDATE landed.link SET to_key = 'A', valid_from = '2025-01-15';
SELECT is(loaded('crm'), 'link 1 0 0 1', 'that is said otherwise, and cannot be taken so');
SELECT is((SELECT count(*)::int FROM revacct_data.subject_link WHERE source_key = 'o6' AND upper_inf(recorded)), 1, 'is on record as it was: what is set aside changes nothing');
TRUNCATE landed.link;
INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key) VALUES ('o7', 'N', 'referral', 'account', 'A'), ('o8', 'N', 'referral', 'account', 'A');
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'link 2 1 1 0, link 2 0 2 0', 'what two links of a load say alike is known the second time, as it is in the next load');
TRUNCATE landed.link;
INSERT INTO landed.link (source_key, from_key, role, to_kind, to_key) VALUES ('o4', 'L', 'referral', 'account', 'A'), ('o4', 'L', 'referral', 'account', 'A');
SELECT is(loaded('crm'), 'link 2 1 1 0', 'the same link twice in a load is known the second time');
TRUNCATE landed.link;
INSERT INTO landed.link (from_key, role, to_kind, to_key) VALUES ('L', 'delivers', 'project', 'P');
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'link 1 1 0 0, link 1 0 1 0', 'a link without a key is known by what it links');

--
-- Money and commitments
--

TRUNCATE landed.link;
INSERT INTO landed.money (source_key, amount, subject_kind, subject_key) VALUES ('m1', 100, 'account', 'A-1'), ('m2', 10.005, NULL, NULL);
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'money 2 2 0 0, money 2 0 2 0', 'money is loaded once');
TRUNCATE change;
INSERT INTO change VALUES (1, 'kind', 'kind = ''cost'''), (2, 'amount', 'amount = 99'), (3, 'currency', 'currency = ''USD'''), (4, 'beginning', 'starts_on = ''2024-12-01'''), (5, 'end', 'ends_on = ''2025-02-01'''), (6, 'subject', 'subject_key = ''A-2'''),
    (7, 'program', 'program = ''fair'''), (8, 'party', 'party = ''ann''');
CREATE FUNCTION otherwise(relation regclass, key text, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE format('DELETE FROM %s WHERE source_key <> %L; UPDATE %s SET %s', relation, key, relation, columns);
    answer := loaded('crm') || ': ' || reasons(CASE WHEN relation = 'landed.money'::regclass THEN 'money' ELSE 'commitment' END, key);
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN answer;
END $$;
SELECT is(otherwise('landed.money', 'm1', columns), 'money 1 0 0 1: it is on record otherwise: correct it by a row with a key of its own that names this one in corrects', 'money: another ' || what || ' under a known key is set aside') FROM change ORDER BY n;
TRUNCATE landed.money;
INSERT INTO landed.money (source_key, amount, corrects) VALUES ('m3', 101, 'm1'), ('m4', 102, 'm3');
SELECT is(loaded('crm'), 'money 2 2 0 0', 'corrections of money, and of these, in one load');
SELECT is(loaded('crm'), 'money 2 0 2 0', 'which are known when they come again');
TRUNCATE landed.money;
INSERT INTO landed.money (source_key, amount, corrects) VALUES ('m5', 1, 'm1'), ('m6', 1, 'm4'), ('m7', 2, 'm4'), ('m8', 1, 'nothing');
SELECT is(loaded('crm') || ': ' || aside('m_'), 'money 4 1 0 3: m5: what it corrects is corrected already: correct the one that did; m7: what it corrects is corrected already: correct the one that did; m8: there is no money of the key it corrects', 'money is corrected once');
TRUNCATE landed.money;
INSERT INTO landed.money (source_key, amount) VALUES ('m9', 1), ('m9', 1), ('mA', 1), ('mA', 2);
SELECT is(loaded('crm'), 'money 4 2 1 1', 'the same row twice is known the second time, another is set aside');
TRUNCATE landed.money;
INSERT INTO landed.money (source_key, kind, amount) VALUES ('mB', 'rent', 1), ('mB', 'cost', 1);
SELECT is(loaded('crm'), 'money 2 1 0 1', 'what cannot be read takes no key from what can');
TRUNCATE landed.money;
TRUNCATE unreadable;
INSERT INTO unreadable VALUES
    (1, 'source_key = NULL', 'it has no source_key'), (2, 'kind = ''rent''', 'unknown kind of money'), (3, 'starts_on = NULL', 'it has no starts_on'), (4, 'starts_on = ''-infinity''', 'it has no starts_on'), (5, 'ends_on = starts_on', 'it ends before it begins'),
    (6, 'amount = NULL', 'its amount is no amount'), (7, 'amount = ''NaN''', 'its amount is no amount'), (8, 'amount = 1e14', 'its amount is no amount'), (9, 'currency = NULL', 'it has no currency'), (10, 'subject_kind = ''deal'', subject_key = ''D''', 'unknown subject_kind'),
    (11, 'subject_kind = ''account'', subject_key = ''''', 'it has no subject_key'), (12, 'subject_kind = ''deal'', subject_key = ''D'', corrects = ''m2''', 'unknown subject_kind');
CREATE FUNCTION unread_other(relation regclass, columns text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    EXECUTE format('INSERT INTO %s (source_key, amount) VALUES (''u'', 1), (''good'', 2); UPDATE %s SET %s WHERE source_key = ''u''', relation, relation, columns);
    answer := loaded('crm') || ': ' || reasons(CASE WHEN relation = 'landed.money'::regclass THEN 'money' ELSE 'commitment' END, 'u', '');
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN answer;
END $$;
SELECT is(unread_other('landed.money', columns), 'money 2 1 0 1: ' || reason, 'money of which ' || columns || ' is set aside, and the others are taken') FROM unreadable ORDER BY n;
INSERT INTO landed.money (source_key, amount) VALUES (NULL, 1);
SELECT is(loaded('crm') || ', ' || loaded('crm') || ': ' || keyless('money'), 'money 1 0 0 1, money 1 0 0 1: 1 without a key', 'what has no key is set aside once, however often it comes');
TRUNCATE landed.money;

INSERT INTO landed.commitment (source_key, promised, from_party, to_party, due_at, delivered_at, subject_kind, subject_key, verified_by, metric, amount, outcome) VALUES ('p1', 'a demo', 'ann', 'bob', '2025-01-31', NULL, 'opportunity', 'O-1', 'zoe', 'win_rate', 1, NULL);
SELECT is(loaded('crm') || ', ' || loaded('crm'), 'commitment 1 1 0 0, commitment 1 0 1 0', 'commitments are loaded once');
TRUNCATE change;
INSERT INTO change VALUES (1, 'kind', 'kind = ''action'''), (2, 'promise', 'promised = ''x'''), (3, 'from', 'from_party = ''x'''), (4, 'to', 'to_party = ''x'''), (5, 'due', 'due_at = ''2025-02-01'''), (6, 'delivery', 'delivered_at = ''2025-02-01'''),
    (7, 'subject', 'subject_key = ''x'''), (8, 'verification', 'verified_by = ''x'''), (9, 'metric', 'metric = ''x'''), (10, 'amount', 'amount = 2'), (11, 'outcome', 'outcome = ''x''');
SELECT is(otherwise('landed.commitment', 'p1', columns), 'commitment 1 0 0 1: it is on record otherwise: correct it by a row with a key of its own that names this one in corrects', 'commitments: another ' || what || ' under a known key is set aside')
FROM change ORDER BY n;
TRUNCATE landed.commitment;
INSERT INTO landed.commitment (source_key, promised, corrects) VALUES ('p2', 'a demo', 'p1'), ('p3', 'two demos', 'p2'), ('p4', 'x', 'p2');
SELECT is(loaded('crm') || ': ' || aside('p_'), 'commitment 3 2 0 1: p4: what it corrects is corrected already: correct the one that did', 'corrections of commitments, once, in one load');
TRUNCATE landed.commitment;
TRUNCATE unreadable;
INSERT INTO unreadable VALUES (1, 'source_key = ''''', 'it has no source_key'), (2, 'kind = NULL', 'unknown kind of commitment'), (3, 'amount = ''NaN''', 'its amount is no amount'), (4, 'due_at = ''infinity''', 'its times are not finite'),
    (5, 'delivered_at = ''-infinity''', 'its times are not finite'), (6, 'subject_key = ''D''', 'unknown subject_kind');
SELECT is(unread_other('landed.commitment', columns), 'commitment 2 1 0 1: ' || reason, 'a commitment of which ' || columns || ' is set aside, and the others are taken') FROM unreadable ORDER BY n;

--
-- Single facts
--

SELECT matches(records($$event('crm', 'opportunity', 'S-1', 'created')$$), '^[0-9a-f]{8}-[0-9a-f-]{27}$', 'who gives no key is told a new one');
SELECT is(records($$event('crm', 'opportunity', 'S-1', 'created', '2025-01-01', 's1')$$), 's1', 'who gives one, that');
SELECT is(records($$event('crm', 'opportunity', 'S-1', 'created', '2025-01-01', 's1')$$), 's1', 'twice changes nothing');
SELECT is(records($$event('crm', 'opportunity', 'S-1', 'created', '2025-01-02', 's1')$$), '23514 | the event cannot be recorded: it is on record otherwise: correct it by an event with a key of its own that names this one in corrects | '
    'It is {"event": "created", "source_key": "s1", "occurred_at": "2025-01-02T00:00:00+00:00", "subject_key": "S-1", "subject_kind": "opportunity"}.', 'and otherwise is refused');
SELECT is(records($$event('crm', 'opportunity', 'S-1', 'dreamt', '2025-01-02', 's2')$$), '23514 | the event cannot be recorded: "dreamt" is no kind of event: it can be defined as a code of the list event | '
    'It is {"event": "dreamt", "source_key": "s2", "occurred_at": "2025-01-02T00:00:00+00:00", "subject_key": "S-1", "subject_kind": "opportunity"}.', 'what cannot be read is refused, and shown');
SELECT is(records($$link('crm', 'opportunity', 'S-1', 'friend', 'opportunity', 'S-2', source_key => 's3')$$), '23514 | the link cannot be recorded: unknown role | '
    'It is {"role": "friend", "to_key": "S-2", "to_kind": "opportunity", "from_key": "S-1", "from_kind": "opportunity", "to_source": "crm", "source_key": "s3", "valid_from": "-infinity", "from_source": "crm", "valid_until": "infinity"}.', 'so are links');
SELECT is(records($$money('crm', 'rent', '2025-01-01', 5, 'EUR', source_key => 's4')$$), '23514 | the money cannot be recorded: unknown kind of money | '
    'It is {"kind": "rent", "amount": 5, "currency": "EUR", "starts_on": "2025-01-01", "source_key": "s4"}.', 'money');
SELECT is(records($$commitment('crm', 'dream', 'much', 'ann', source_key => 's5')$$), '23514 | the commitment cannot be recorded: unknown kind of commitment | '
    'It is {"kind": "dream", "promised": "much", "from_party": "ann", "source_key": "s5"}.', 'and commitments');
SELECT is((SELECT count(*)::int FROM revacct_data.rejected WHERE source_key IN ('s1', 's2', 's3', 's4', 's5')), 0, 'what is refused is not set aside as well');
SELECT is(records($$money('crm', 'cost', '2025-01-01', 5, 'EUR', source_key => 's6')$$) || records($$money('crm', 'cost', '2025-01-01', 5, 'EUR', source_key => 's6')$$), 's6s6', 'money is recorded');
SELECT is(records($$commitment('crm', 'promise', 'a demo', 'ann', source_key => 's7')$$) || records($$commitment('crm', 'promise', 'another', 'ann', source_key => 's8', corrects => 's7')$$), 's7s8', 'so are commitments, and what became of them');

SELECT is(:'recorded'::text, '25000 facts are recorded in read committed transactions', 'an older snapshot would not see what is on record already');
SELECT is(:'refreshed'::text, '25000 refresh() runs in read committed transactions', 'nor what another refresh has done');

--
-- Enforcement
--

SELECT is(agreed($$ SELECT define_lifecycle('strict', subject_kind => 'opportunity', enforcement => 'refuse'), define_stage('strict', 'a', 1), define_stage('strict', 'b', 2), define_stage('strict', 'c', 3), define_stage('strict', 'lost', 9, 'lost'),
    define_transition('strict', NULL, 'a', 'enter'), define_transition('strict', 'a', 'b'), define_transition('strict', 'b', 'c'), define_code('loss_reason', 'price'),
    define_transition('strict', 'a', 'lost', 'exit', code_list => 'loss_reason', min_codes => 1, enforcement => 'refuse'), define_field_rule('opportunity', 'amount', 'required', lifecycle => 'strict', at_stage => 'c', enforcement => 'refuse'),
    define_lifecycle('lenient', subject_kind => 'opportunity', enforcement => 'flag'), define_stage('lenient', 'a', 1), define_stage('lenient', 'b', 2), define_transition('lenient', NULL, 'a', 'enter') $$), 'approved', 'rules are agreed');
TRUNCATE landed.event;
ALTER TABLE landed.event ALTER lifecycle SET DEFAULT 'strict';
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, amount) VALUES ('x1', 'X', 'a', '2025-01-01', NULL), ('x2', 'X', 'c', '2025-01-02', 5), ('x3', 'X', 'b', '2025-01-03', NULL), ('x4', 'X', 'nowhere', '2025-01-04', NULL);
SELECT is(loaded('crm') || ': ' || aside('x_'), 'event 4 2 0 2: x2: a move from "a" to "c" is not agreed; x4: "nowhere" is no stage of "strict"', 'moves that are not agreed are set aside, and the move after one is judged from where the subject is');
SELECT is((SELECT string_agg(DISTINCT concat_ws(' ', rule_kind, rule_key), ', ') FROM revacct_data.rejected WHERE source_key IN ('x2', 'x4')), 'lifecycle strict', 'with the rule');
SELECT is(loaded('crm') || refreshed(), 'event 4 0 2 2journeys, packs, figures', 'as often as they come');
SELECT is(history('X'), '01-01 strict/a, 01-03 strict/b', 'and are in no journey');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, seq, amount) VALUES ('y1', 'Y', 'a', '2025-01-01', NULL, NULL), ('yz', 'Y', 'c', '2025-01-02', 1, 5), ('ya', 'Y', 'b', '2025-01-02', 2, NULL);
SELECT is(loaded('crm') || ': ' || aside('y_'), 'event 3 2 0 1: yz: a move from "a" to "c" is not agreed', 'at one instant too, in the order of seq');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, seq, amount) VALUES ('z1', 'Z', 'a', '2025-01-01', NULL, NULL), ('z2', 'Z', 'b', '2025-01-02', NULL, NULL), ('z3', 'Z', 'c', '2025-01-02', 1, 5);
SELECT is(loaded('crm'), 'event 3 3 0 0', 'what has no seq comes first');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, lifecycle, stage, occurred_at) VALUES ('w1', 'V', 'late', 'second', '2025-01-01');
SELECT is(loaded('crm'), 'event 1 1 0 0', 'a stage is heard of');
TRUNCATE landed.event;
SELECT is(agreed($$ SELECT define_lifecycle('late', subject_kind => 'opportunity', enforcement => 'refuse'), define_stage('late', 'zeroth', 1), define_stage('late', 'second', 2), define_transition('late', NULL, 'zeroth', 'enter'), define_transition('late', 'zeroth', 'second') $$),
          'approved', 'before the stage before it is defined');
INSERT INTO landed.event (source_key, subject_key, lifecycle, stage, occurred_at) VALUES ('w2', 'W', 'late', 'second', '2025-01-01'), ('w3', 'W', 'late', 'zeroth', '2025-01-01');
SELECT is(loaded('crm') || coalesce(': ' || aside('w_'), ''), 'event 2 2 0 0', 'at one instant without seq, moves are in the order of stages, as journeys are read');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at) VALUES ('f1', 'F', 'a', '2025-01-01'), ('f2', 'F', 'b', '2025-01-02'), ('f3', 'F', 'c', '2025-01-03');
SELECT matches(loaded('crm') || ': ' || aside('f_'), '^event 3 2 0 1: f3: .*amount', 'a field that is required is asked for');
INSERT INTO landed.event (source_key, subject_key, event, field, amount, currency, occurred_at) VALUES ('f4', 'F', 'field_set', 'amount', 5, 'EUR', '2025-01-02');
SELECT is(loaded('crm') || coalesce(aside('f_'), ''), 'event 4 2 2 0', 'and found where it was set before');
SELECT is(agreed($$ SELECT define_lifecycle('checked', subject_kind => 'opportunity', enforcement => 'refuse'), define_stage('checked', 'a', 1), define_stage('checked', 'b', 2), define_transition('checked', NULL, 'a', 'enter'), define_transition('checked', 'a', 'b'),
    define_field_rule('opportunity', 'note', 'required', lifecycle => 'checked', enforcement => 'refuse'), define_field_rule('opportunity', 'tier', 'domain', lifecycle => 'checked', condition => '{"tier": ["gold", "tin"]}', enforcement => 'refuse'),
    define_field_rule('opportunity', 'region', 'immutable', lifecycle => 'checked', enforcement => 'refuse') $$), 'approved', 'a field that has to be there, one whose value counts, one that stays');
TRUNCATE landed.event;
ALTER TABLE landed.event ALTER lifecycle SET DEFAULT 'checked';
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, details) VALUES
    ('chk1', 'P', 'a', '2025-01-01', '{"note": "why", "tier": "gold", "other": 1}'), ('chk2', 'Q', 'a', '2025-01-01', '{"note": 0, "tier": "tin"}'), ('chk3', 'R', 'a', '2025-01-01', '{"note": "", "tier": "gold"}'),
    ('chk4', 'S', 'a', '2025-01-01', '{"note": null, "tier": "gold"}'), ('chk5', 'T', 'a', '2025-01-01', '{"note": false, "tier": "brass"}'), ('chk6', 'U', 'a', '2025-01-01', '{"note": "well", "region": "north"}');
SELECT is(loaded('crm') || ': ' || aside('chk_'), 'event 6 3 0 3: chk3: the field note must be given; chk4: the field note must be given; chk5: "brass" cannot be the value of the field tier',
          'whatever it says, it is there; and what a value is, is asked where it counts');
TRUNCATE landed.event;
INSERT INTO landed.event (source_key, subject_key, event, field, occurred_at, details) VALUES ('chk7', 'P', 'field_set', 'region', '2025-01-02', '{"value": "north"}'), ('chk8', 'Q', 'field_set', 'region', '2025-01-02', '{"value": "north"}');
INSERT INTO landed.event (source_key, subject_key, stage, occurred_at, details) VALUES ('chk9', 'P', 'b', '2025-01-03', '{"note": "y", "region": "south"}'), ('chk0', 'Q', 'b', '2025-01-03', '{"note": "y", "region": "north"}');
SELECT is(loaded('crm') || ': ' || aside('chk_'), 'event 4 3 0 1: chk3: the field note must be given; chk4: the field note must be given; chk5: "brass" cannot be the value of the field tier; chk9: the field region cannot change',
          'what stays is compared with what it was');
SELECT matches(records($$event('crm', 'opportunity', 'G', 'stage_entered', '2025-01-01', 'g1', 'strict', 'b')$$),
    '^23514 \| entering at "b" is not agreed \| The rule is lifecycle "strict"\. \| Mend it, or ask for an exception: SELECT request_override\(''lifecycle'', ''strict'', ''crm/opportunity/G'', ''why''\)\.$', 'a single record is refused, with the rule and the way out');
SELECT is((SELECT count(*)::int FROM revacct_data.event WHERE source_key = 'g1'), 0, 'and nothing of it is kept');
SELECT is(said('facts_lou', $$ SELECT request_override('lifecycle', 'strict', 'crm/opportunity/G', 'agreed by phone') IS NOT NULL $$), 'true', 'an exception is asked for');
SELECT matches(records($$event('crm', 'opportunity', 'G', 'stage_entered', '2025-01-01', 'g1', 'strict', 'b')$$), '^23514', 'which is not enough');
SELECT is(said('facts_ana', $$ SELECT approve_override(max(override_id)) FROM revacct_data.override $$), '', 'and approved');
SELECT is(records($$event('crm', 'opportunity', 'G', 'stage_entered', '2025-01-01', 'g1', 'strict', 'b')$$), 'g1', 'then it is recorded');
SELECT matches(records($$event('crm', 'opportunity', 'H', 'stage_entered', '2025-01-01', 'h1', 'strict', 'b')$$), '^23514', 'of that subject only');
SELECT is(records($$event('crm', 'opportunity', 'H', 'stage_entered', '2025-01-01', 'h1', 'lenient', 'b')$$), 'h1', 'where rules only flag, it is recorded as well');
SELECT is(records($$event('crm', 'opportunity', 'I', 'stage_entered', '2025-01-01', 'i1', 'strict', 'a')$$), 'i1', 'a subject');
SELECT matches(records($$event('crm', 'opportunity', 'I', 'stage_entered', '2025-01-03', 'i2', 'strict', 'lost')$$), '^23514 \| the move needs 1 of the list loss_reason \| The rule is transition "strict/a/lost"\.', 'is lost for a reason');
SELECT is(records($$event('crm', 'opportunity', 'I', 'disposition_set', '2025-01-02', 'i3', code => 'price', code_list => 'loss_reason')$$), 'i3', 'which is told');
SELECT is(records($$event('crm', 'opportunity', 'I', 'retracted', '2025-01-02', 'i4', corrects => 'i3')$$), 'i4', 'and taken back');
SELECT matches(records($$event('crm', 'opportunity', 'I', 'stage_entered', '2025-01-03', 'i2', 'strict', 'lost')$$), '^23514 \| the move needs 1 of the list loss_reason', 'what is taken back is no reason');
SELECT is(records($$event('crm', 'opportunity', 'I', 'disposition_set', '2025-01-02', 'i5', code => 'price', code_list => 'loss_reason')$$) ||
          records($$event('crm', 'opportunity', 'I', 'stage_entered', '2025-01-03', 'i2', 'strict', 'lost')$$), 'i5i2', 'what is not, is one');
SELECT is(records($$event('crm', 'opportunity', 'J', 'stage_entered', '2025-01-03', 'j2', 'strict', 'a')$$), 'j2', 'a subject');
SELECT matches(records($$event('crm', 'opportunity', 'J', 'stage_entered', '2025-01-03', 'j3', 'strict', 'b', corrects => 'j2')$$), '^23514 \| entering at "b"', 'a correction is judged without what it corrects');
SELECT is((SELECT count(*)::int FROM revacct_data.correction WHERE source_key = 'j2'), 0, 'and when it is refused, corrects nothing');
SELECT is(refreshed(), 'journeys, packs, figures', 'all that is in the journeys');
SELECT is(records($$event('crm', 'opportunity', 'K' || n, 'stage_entered', '2025-11-01', 'k' || n || 'a', 'lenient', 'a') FROM generate_series(1, 2) AS n$$), 'k1a', 'two subjects enter in a month') WHERE records($$event('crm', 'opportunity', 'K2', 'stage_entered', '2025-11-01', 'k2a', 'lenient', 'a')$$) = 'k2a';
SELECT is(records($$event('crm', 'opportunity', 'K1', 'field_set', '2025-11-02', 'k1b', field => 'segment', value => -1)$$) || refreshed(), 'k1bjourneys, packs, figures', 'one of a segment, the number of which is any');
SELECT is((SELECT string_agg(concat_ws(' ', s.subject_key, c.segment_no), ', ' ORDER BY s.subject_key, c.segment_no) FROM revacct_data.placement AS p JOIN revacct_data.subject AS s USING (subject_id) JOIN revacct_data.cell AS c USING (cell_id)
           WHERE c.period_start = '2025-11-01'), 'K1 -1, K2', 'each is in one group, its own');

--
-- Who may do what
--

CREATE TABLE may (n int, what text, nobody text, reader text, analyst text, loader text, steward text, council text);
INSERT INTO may VALUES
    (1, $$ SELECT record_event('crm', 'lead', '1', 'created') $$,                                                                  '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (2, $$ SELECT record_link('crm', 'lead', '1', 'originated', 'opportunity', '1') $$,                                          '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (3, $$ SELECT record_money('crm', 'cost', '2025-01-01', 5, 'EUR') $$,                                                          '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (4, $$ SELECT record_commitment('crm', 'promise', 'x', 'ann') $$,                                                              '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (5, $$ SELECT map_source('new') $$,                                                                                            '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (6, $$ SELECT count(*) FROM load('public') $$,                                                                                 '42501', '42501', '42501', 'ok', 'ok', 'ok'),
    (7, $$ SELECT count(*) FROM refresh(false) $$,                                                                                 '42501', '42501', 'ok',    'ok', 'ok', 'ok'),
    (8, $$ SELECT count(*) FROM rebuild_journeys() $$,                                                                             '42501', '42501', '42501', '42501', 'ok', 'ok'),
    (9, $$ SELECT count(*) FROM check_journeys() $$,                                                                               '42501', '42501', 'ok',    '42501', 'ok', 'ok');
CREATE VIEW for_all AS SELECT 'lead' AS subject_kind, '1' AS subject_key, 'created' AS event, timestamptz '2025-01-01' AS occurred_at, 'all' AS source_key;
GRANT SELECT ON for_all TO PUBLIC;
SELECT is(said('facts_ana', $$ SELECT map_source('public', 'for_all') $$), '', 'a steward maps a source');
CREATE FUNCTION would(login text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE answer text;
BEGIN
    answer := said(login, statement);
    RAISE EXCEPTION SQLSTATE 'RVUND';
EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN CASE WHEN answer ~ '^[0-9A-Z]{5} \|' THEN left(answer, 5) ELSE 'ok' END;
END $$;
SELECT is(would(w.login, m.what), w.expected, w.login || ':' || m.what)
FROM may AS m, LATERAL (VALUES (1, 'facts_nobody', nobody), (2, 'facts_bea', reader), (3, 'facts_ned', analyst), (4, 'facts_lou', loader), (5, 'facts_ana', steward), (6, 'facts_cleo', council)) AS w (k, login, expected) ORDER BY m.n, w.k;
-- Views are read with the rights of whoever loads
CREATE TABLE secret (subject_kind text, subject_key text, event text, occurred_at timestamptz, source_key text);
SELECT is(said('facts_lou', $$ SELECT map_source('secret', 'secret') $$), '', 'to map a relation takes no right on it');
SELECT is(loaded('secret'), '42501 | permission denied for table secret', 'to load it does');

-- Nobody writes the tables but the functions
CREATE TABLE written (n int, statement text);
INSERT INTO written VALUES
    (1, 'INSERT INTO %s DEFAULT VALUES'), (2, 'DELETE FROM %s'), (3, 'TRUNCATE %s CASCADE'), (4, 'UPDATE %s SET source_no = 1');
SELECT is(would(w.login, format(v.statement, t.name)), CASE WHEN w.login = 'postgres' THEN '55000' ELSE '42501' END, w.login || ': ' || format(v.statement, t.name))
FROM written AS v, (VALUES ('revacct_data.event'), ('revacct_data.event_2025'), ('revacct_data.correction'), ('revacct_data.money'), ('revacct_data.subject'), ('revacct_data.rejected')) AS t (name),
     (VALUES ('facts_lou'), ('facts_ana'), (current_user::text)) AS w (login) ORDER BY t.name, v.n, w.login;
SELECT is(would(current_user, 'UPDATE revacct_data.subject_link SET share = 1'), '55000', 'not even a superuser');
-- COPY is a statement of its own: the guards know it by that
\set ON_ERROR_STOP 0
SAVEPOINT before_copy;
COPY revacct_data.event (subject_id, occurred_at, recorded_at, load_id, mark, source_no, source_key) FROM PROGRAM 'printf "1\\t2025-06-01\\t2025-06-01\\t1\\t1\\t1\\tcopied\\n"';
\set state :SQLSTATE
ROLLBACK TO before_copy;
SELECT is(:'state'::text, '55000', 'COPY into the ledger is refused, once there is something in it');
SAVEPOINT before_copy;
COPY revacct_data.event_2025 (subject_id, occurred_at, recorded_at, load_id, mark, source_no, source_key) FROM PROGRAM 'printf "1\\t2025-06-01\\t2025-06-01\\t1\\t1\\t1\\tcopied\\n"';
\set state :SQLSTATE
ROLLBACK TO before_copy;
SELECT is(:'state'::text, '55000', 'and into its partitions');
-- Who installs the extension need not be a superuser, and owns the tables
CREATE ROLE facts_owner;
GRANT pg_execute_server_program TO facts_owner;
ALTER TABLE revacct_data.event OWNER TO facts_owner;
ALTER TABLE revacct_data.event_2025 OWNER TO facts_owner;
ALTER TABLE revacct_data.money OWNER TO facts_owner;
GRANT USAGE ON SCHEMA revacct_data, revacct TO facts_owner;
SAVEPOINT before_copy;
SET LOCAL SESSION AUTHORIZATION facts_owner;
COPY revacct_data.event (subject_id, occurred_at, recorded_at, load_id, mark, source_no, source_key) FROM PROGRAM 'printf "1\\t2025-06-01\\t2025-06-01\\t1\\t1\\t1\\tcopied\\n"';
\set state :SQLSTATE
ROLLBACK TO before_copy;
RESET SESSION AUTHORIZATION;
SELECT is(:'state'::text, '55000', 'an owner who is no superuser does not copy into the ledger');
SAVEPOINT before_copy;
SET LOCAL SESSION AUTHORIZATION facts_owner;
COPY revacct_data.event_2025 (subject_id, occurred_at, recorded_at, load_id, mark, source_no, source_key) FROM PROGRAM 'printf "1\\t2025-06-01\\t2025-06-01\\t1\\t1\\t1\\tcopied\\n"';
\set state :SQLSTATE
ROLLBACK TO before_copy;
RESET SESSION AUTHORIZATION;
SELECT is(:'state'::text, '55000', 'nor into its partitions');
SAVEPOINT before_copy;
SET LOCAL SESSION AUTHORIZATION facts_owner;
COPY revacct_data.money (source_no, source_key, kind, during, amount, currency, recorded_at) FROM PROGRAM 'printf "1\\tcopied\\tcost\\t[2025-01-01,)\\t1\\tEUR\\t2025-01-01\\n"';
\set state :SQLSTATE
ROLLBACK TO before_copy;
RESET SESSION AUTHORIZATION;
SELECT is(:'state'::text, '55000', 'nor into other facts');
\set ON_ERROR_STOP 1

SELECT * FROM finish();
ROLLBACK;
