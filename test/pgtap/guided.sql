-- The guided mapping: what it writes of plain, old, foreign and hostile tables runs as it stands; what it cannot tell it says; the dry run tells each problem.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(56);

CREATE ROLE guided_otto;  -- loader
CREATE ROLE guided_ana;   -- steward
CREATE ROLE guided_cleo;  -- council
CREATE ROLE guided_bea;   -- reader
SELECT grant_access('loader', 'guided_otto'), grant_access('steward', 'guided_ana'), grant_access('council', 'guided_cleo'), grant_access('reader', 'guided_bea') \g /dev/null
CREATE SCHEMA crm AUTHORIZATION guided_otto;

CREATE FUNCTION script(relation regclass, source text DEFAULT NULL, lifecycle text DEFAULT NULL, subject_kind text DEFAULT 'opportunity') RETURNS text LANGUAGE sql AS $$
    SELECT string_agg(line, E'\n' ORDER BY no) FROM suggest_mapping(relation, source, lifecycle, subject_kind) WITH ORDINALITY AS s (line, no)
$$;
-- Runs what it writes, as the loader, and tells what load() says.
CREATE FUNCTION run(relation regclass, source text DEFAULT NULL, lifecycle text DEFAULT NULL, subject_kind text DEFAULT 'opportunity') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    counts text;
BEGIN
    SET SESSION AUTHORIZATION guided_otto;
    EXECUTE regexp_replace(script(relation, source, lifecycle, subject_kind), 'SELECT \* FROM revacct\.load\([^;]*;', '');
    SELECT string_agg(concat_ws(' ', l.fact, l.rows_read, l.loaded, l.known, l.rejected), ', ') INTO counts FROM load(coalesce(source, (SELECT relname FROM pg_class WHERE oid = relation))) AS l;
    RESET SESSION AUTHORIZATION;
    RETURN counts;
END $$;
CREATE FUNCTION ledger(source text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT concat_ws(' ', e.subject_kind, e.subject_key, to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), e.event, e.lifecycle, e.stage, e.code, e.party, e.amount, e.currency)
    FROM event_log AS e WHERE e.source = ledger.source ORDER BY e.source_key COLLATE "C"
$$;

--
-- A plain table
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.deals (id int PRIMARY KEY, created_at timestamptz, owner text, source text, industry text, stage text, closed_at timestamptz, amount numeric, currency text, lost_reason text);
INSERT INTO crm.deals VALUES
    (1, '2025-01-05 10:00+01', 'ann', 'web', 'retail', 'Won', '2025-02-01 12:00+00', 100, 'EUR', NULL), (2, '2025-01-06 10:00+00', 'bob', '', 'retail', 'Lost', '2025-02-02 12:00+00', 50, 'EUR', 'price'),
    (3, '2025-01-07 10:00+00', 'ann', 'unknown', 'steel', 'New', NULL, 70, 'EUR', NULL);
RESET SESSION AUTHORIZATION;
SELECT is(run('crm.deals'), 'event 20 20 0 0', 'a plain table: what is written runs, and nothing is rejected');
SELECT results_eq($$SELECT * FROM ledger('deals')$$, $$VALUES
    ('opportunity 1 2025-02-01 12:00 amount_set 100.00 EUR'), ('opportunity 1 2025-01-05 09:00 created'), ('opportunity 1 2025-01-05 09:00 lead_source_set web'), ('opportunity 1 2025-01-05 09:00 assigned ann'),
    ('opportunity 1 2025-01-05 09:00 segment_set retail'), ('opportunity 1 2025-01-05 09:00 stage_entered opportunity New'), ('opportunity 1 2025-02-01 12:00 stage_entered opportunity Won'),
    ('opportunity 2 2025-02-02 12:00 amount_set 50.00 EUR'), ('opportunity 2 2025-01-06 10:00 created'), ('opportunity 2 2025-01-06 10:00 assigned bob'), ('opportunity 2 2025-02-02 12:00 disposition_set price'),
    ('opportunity 2 2025-01-06 10:00 segment_set retail'), ('opportunity 2 2025-02-02 12:00 stage_entered opportunity Lost'), ('opportunity 2 2025-01-06 10:00 stage_entered opportunity New'),
    ('opportunity 3 2025-01-07 10:00 amount_set 70.00 EUR'), ('opportunity 3 2025-01-07 10:00 created'), ('opportunity 3 2025-01-07 10:00 lead_source_set unknown'), ('opportunity 3 2025-01-07 10:00 assigned ann'),
    ('opportunity 3 2025-01-07 10:00 segment_set steel'), ('opportunity 3 2025-01-07 10:00 stage_entered opportunity New')$$, 'and says what the table says');
SELECT is(run('crm.deals'), 'event 20 0 20 0', 'run again, it takes nothing');
SET SESSION AUTHORIZATION guided_otto;
UPDATE crm.deals SET stage = 'Won', closed_at = '2025-03-01 08:00+00' WHERE id = 3;
SET datestyle = 'German, DMY';
SET timezone = 'Asia/Tokyo';
SELECT is(concat_ws(' ', rows_read, loaded, known, rejected), '21 2 19 0', 'whatever the date style and the zone, keys are the same; a deal that was won since brings its stage and its amount') FROM load('deals');
RESET datestyle;
SET timezone = 'UTC';
UPDATE crm.deals SET owner = 'eve', amount = 80 WHERE id = 3;
SELECT is(concat_ws(' ', rows_read, loaded, known, rejected), '21 0 19 2', 'an owner and an amount that are edited without a date of the edit are told, not taken') FROM load('deals');
RESET SESSION AUTHORIZATION;

-- the draft of the model, its signs of comment taken out, by other people
CREATE FUNCTION draft(relation regclass, source text, lifecycle text DEFAULT NULL, subject_kind text DEFAULT 'opportunity') RETURNS SETOF text LANGUAGE sql AS $$
    SELECT substr(line, 4) FROM suggest_mapping(relation, source, lifecycle, subject_kind) WITH ORDINALITY AS s (line, no) WHERE line LIKE '-- SELECT%' ORDER BY no
$$;
SELECT results_eq($$SELECT * FROM draft('crm.deals', 'deals', 'sales')$$, $$VALUES
    ('SELECT revacct.draft_change(''The sales lifecycle'', effective_at => ''2025-01-05'', retroactive => true);'), ('SELECT revacct.define_lifecycle(''sales'', subject_kind => ''opportunity'', time_zone => ''UTC'');'),
    ('SELECT revacct.define_stage(''sales'', ''Won'', 10, ''won'');  -- 2 rows'), ('SELECT revacct.define_stage(''sales'', ''Lost'', 20, ''lost'');  -- 1 rows'), ('SELECT revacct.propose_change();')$$,
    'the draft names the stages that are found');

--
-- A history with a gap, and rows with a key of their own
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.stage_history (deal_no text, stage text, changed_on timestamptz);
INSERT INTO crm.stage_history VALUES ('D-1', 'New', '2025-01-05 10:00+00'), ('D-1', 'Offer', NULL), ('D-1', 'Won', '2025-02-01 12:00+00'), ('D-2', 'New', '2025-01-06 10:00+00');
CREATE TABLE crm.visits (visit_id int PRIMARY KEY, deal_no text, stage text, visited_on timestamptz);
INSERT INTO crm.visits VALUES (7, 'D-1', 'New', '2025-01-05 10:00+00'), (8, 'D-2', 'Offer', '2025-01-06 10:00+00');
RESET SESSION AUTHORIZATION;
SELECT is(run('crm.stage_history'), 'event 6 5 0 1', 'what happened without a time is not left out: it is set aside');
SELECT is(run('crm.visits'), 'event 4 4 0 0', 'rows with a key of their own, beside that of the subject');
SELECT is(string_agg(DISTINCT subject_key || ' ' || split_part(source_key, '/', 2), ', '), 'D-1 7, D-2 8', 'it is in the key of their events, also while each subject has one row') FROM event_log WHERE source = 'visits';
SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.calls (call_id int PRIMARY KEY, deal text, called_at timestamptz);
RESET SESSION AUTHORIZATION;
SELECT matches(script('crm.calls'), '-- is call_id, the primary key, that of the opportunity, or of something that happened to it[?]', 'a primary key that is not named for the subject is asked about');

--
-- What has no time of its own, but the row has the time of its last change
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm."Leads" ("Id" text, "CreatedDate" timestamp, "LastModifiedDate" timestamp, "OwnerId" text, "Status" text, "LeadSource" text, "ConvertedDate" date, "AnnualRevenue" numeric);
INSERT INTO crm."Leads" VALUES ('a', '2025-01-01 08:00', '2025-01-03 08:00', 'ann', 'Open', 'Web', NULL, 1e6), ('b', '2025-01-02 08:00', '2025-02-03 08:00', 'ann', 'Converted', 'Fair', '2025-02-03', 2e6);
RESET SESSION AUTHORIZATION;
SELECT is(run('crm."Leads"', 'sfdc', 'lead', 'lead'), 'event 9 9 0 0', 'names in camel case');
SELECT results_eq($$SELECT * FROM ledger('sfdc')$$, $$VALUES
    ('lead a 2025-01-01 08:00 created'), ('lead a 2025-01-01 08:00 lead_source_set Web'), ('lead a 2025-01-03 08:00 assigned ann'), ('lead a 2025-01-01 08:00 stage_entered lead Open'),
    ('lead b 2025-01-02 08:00 created'), ('lead b 2025-01-02 08:00 lead_source_set Fair'), ('lead b 2025-02-03 08:00 assigned ann'), ('lead b 2025-02-03 00:00 stage_entered lead Converted'),
    ('lead b 2025-01-02 08:00 stage_entered lead Open')$$, 'the owner as of the last change; times without a zone in UTC');
SELECT matches(script('crm."Leads"', 'sfdc', 'lead', 'lead'), 'r\."CreatedDate" AT TIME ZONE ''UTC'' AS "CreatedDate",  -- in which time zone\?', 'and the zone is asked for');
SELECT matches(script('crm."Leads"', 'sfdc', 'lead', 'lead'), '-- no column is called amount or deal value: is it one of AnnualRevenue\?', 'revenue is not taken for an amount');
SET SESSION AUTHORIZATION guided_otto;
UPDATE crm."Leads" SET "OwnerId" = 'bob', "LastModifiedDate" = '2025-01-09 09:00' WHERE "Id" = 'a';
SELECT is(concat_ws(' ', rows_read, loaded, known, rejected), '9 1 8 0', 'an owner edited then is taken') FROM load('sfdc');
RESET SESSION AUTHORIZATION;

--
-- A history, and a stage with its time
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.opportunity_history (id text PRIMARY KEY, opportunity_id text, stage_name text, created_date timestamptz, amount numeric);
INSERT INTO crm.opportunity_history VALUES ('h1', 'O1', 'Qualify', '2025-01-01 00:00+00', 5), ('h2', 'O1', 'Propose', '2025-01-02 00:00+00', 6), ('h3', 'O2', 'Qualify', '2025-01-03 00:00+00', NULL),
    ('h4', 'O1', 'Qualify', '2025-01-04 00:00+00', 6);
CREATE TABLE crm.ticket (ticket_id int, status text, status_changed_at timestamptz, opened_at date, assignee text);
INSERT INTO crm.ticket VALUES (7, 'open', '2025-01-02 10:00+00', '2025-01-01', 'ann'), (8, 'solved', '2025-01-05 10:00+00', '2025-01-02', 'bob');
RESET SESSION AUTHORIZATION;
SELECT is(run('crm.opportunity_history', 'history'), 'event 9 9 0 0', 'a history of stages, a row for each');
SELECT results_eq($$SELECT * FROM ledger('history') AS t WHERE t LIKE '%O1%stage%'$$, $$VALUES ('opportunity O1 2025-01-01 00:00 stage_entered opportunity Qualify'),
    ('opportunity O1 2025-01-02 00:00 stage_entered opportunity Propose'), ('opportunity O1 2025-01-04 00:00 stage_entered opportunity Qualify')$$, 'each entry is an event');
SELECT results_eq($$SELECT * FROM ledger('history') AS t WHERE t LIKE '%created'$$, $$VALUES ('opportunity O1 2025-01-01 00:00 created'), ('opportunity O2 2025-01-03 00:00 created')$$, 'created once, when first heard of');
SELECT is(run('crm.ticket', 'desk', 'ticket', 'case'), 'event 6 6 0 0', 'a stage and the time since when');
SELECT results_eq($$SELECT * FROM ledger('desk') AS t WHERE t LIKE '%stage%'$$, $$VALUES ('case 7 2025-01-02 10:00 stage_entered ticket open'), ('case 8 2025-01-05 10:00 stage_entered ticket solved')$$, 'entered then');
SET SESSION AUTHORIZATION guided_otto;
UPDATE crm.ticket SET status = 'solved', status_changed_at = '2025-01-07 10:00+00' WHERE ticket_id = 7;
SELECT is(concat_ws(' ', rows_read, loaded, known, rejected), '6 1 5 0', 'the next stage is one more event') FROM load('desk');
RESET SESSION AUTHORIZATION;

--
-- All in texts, as CSV files are landed
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.csv (deal_id text, engage_date text, won_at text, deal_value text, sales_rep text);
INSERT INTO crm.csv VALUES ('x', '2025-01-01', '2025-01-05T10:00:00Z', '12.50', 'ann'), ('y', '2025-01-02', '', '', '');
RESET SESSION AUTHORIZATION;
SELECT is(run('crm.csv'), 'event 7 7 0 0', 'dates, times and numbers in texts, empty ones too');
SELECT results_eq($$SELECT * FROM ledger('csv') AS t WHERE t LIKE '% x %'$$, $$VALUES ('opportunity x 2025-01-05 10:00 amount_set 12.50'), ('opportunity x 2025-01-01 00:00 created'), ('opportunity x 2025-01-01 00:00 assigned ann'),
    ('opportunity x 2025-01-01 00:00 stage_entered opportunity engage'), ('opportunity x 2025-01-05 10:00 stage_entered opportunity won')$$, 'without a column of stages, each date is one');
SELECT results_eq($$SELECT t FROM draft('crm.csv', 'csv') AS t WHERE t LIKE '%stage%'$$, $$VALUES ('SELECT revacct.define_stage(''opportunity'', ''engage'', 10);  -- 2 rows'),
    ('SELECT revacct.define_stage(''opportunity'', ''won'', 20, ''won'');  -- 1 rows')$$, 'in order of their dates');

--
-- Hostile names and values
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm."it's; ""odd"" --" ("deal ""id" text, stage text, "created at; DROP" timestamptz, created_at timestamptz, "owner" text, "sub
_segment" text, closed_at timestamptz);
INSERT INTO crm."it's; ""odd"" --" VALUES
    ('1', E'x\nDROP TABLE crm.deals; --', NULL, '2025-01-01 00:00+00', E'o''neill', E'a\\b', NULL), ('2', E'x''); DELETE FROM crm.deals; --', NULL, '2025-01-02 00:00+00', 'p', 'c', NULL), ('3', E'Won\r\nSELECT 1/0;', NULL, '2025-01-02 00:00+00', 'p', 'c', '2025-01-03 00:00+00');
RESET SESSION AUTHORIZATION;
SELECT is(run('crm."it''s; ""odd"" --"', 'so''urce; --', 'li''fe'), 'event 12 12 0 0', 'what they hold is quoted');
SELECT results_eq($$SELECT stage FROM event_log WHERE source = 'so''urce; --' AND stage IS NOT NULL ORDER BY subject_key$$, $$VALUES (E'x\nDROP TABLE crm.deals; --'), (E'x''); DELETE FROM crm.deals; --'), (E'Won\r\nSELECT 1/0;')$$,
    'and comes into the ledger as it is');
SELECT is((SELECT count(*) FROM crm.deals), 3::bigint, 'nothing else happened');
SELECT is(count(*), 0::bigint, 'no comment goes on in a second line') FROM suggest_mapping('crm."it''s; ""odd"" --"', 'so''urce; --', E'two\nlines') AS line WHERE line ~ '^--' AND line ~ '[\r\n]';
SELECT is(string_agg(line, '|'), NULL, 'each line is a comment, or of the script') FROM suggest_mapping('crm."it''s; ""odd"" --"', E'two\n-- DROP', E'li\nfe') AS line WHERE line ~ '^\s*(DROP|DELETE)';

--
-- What it cannot tell
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.no_key (name text, stage text, created_at date);
INSERT INTO crm.no_key VALUES ('a', 'New', '2025-01-01'), ('a', 'New', '2025-01-01');
CREATE TABLE crm.no_time (id int PRIMARY KEY, stage text, owner text);
CREATE TABLE crm.us_dates (id int PRIMARY KEY, close_date text);
INSERT INTO crm.us_dates VALUES (1, '02/03/24');
CREATE TABLE crm.nothing ();
CREATE TABLE crm.empty (id int PRIMARY KEY, stage text, created_at timestamptz, owner text, weird json, at point);
CREATE VIEW crm.a_view AS SELECT id AS deal_key, created_at, 'x'::text AS fixed FROM crm.deals;
CREATE TABLE crm.forecast (id int PRIMARY KEY, stage text, created_at timestamptz, close_date date, account_id int, type text, region text);
INSERT INTO crm.forecast SELECT i, CASE WHEN i % 2 = 0 THEN 'New' ELSE 'Won' END, '2025-01-01 00:00+00', current_date + i, i % 3, 't' || i % 2, 'r' FROM generate_series(1, 10) AS i;
RESET SESSION AUTHORIZATION;
SELECT matches(script('crm.no_key'), '-- Which column is the key of the opportunity\? .* Columns: name, stage, created_at\.', 'no key: it asks');
SELECT doesnt_match(script('crm.no_key'), 'CREATE', 'and writes no view');
SELECT matches(script('crm.no_time'), '-- When did it happen\?', 'no time: it asks');
SELECT matches(script('crm.us_dates'), '-- close_date is no time as it stands: it holds texts such as ''02/03/24''\.', 'texts that are no dates: it says so');
SELECT matches(script('crm.nothing'), 'Columns: none\.', 'no columns at all');
SELECT is(run('crm.empty'), 'event 0 0 0 0', 'an empty table');
SELECT is(run('crm.a_view'), 'event 6 6 0 0', 'a view');
SELECT matches(script('crm.a_view'), '-- which column says who owns it\? candidates: fixed|none', 'no owner: it asks');
SELECT is(run('crm.forecast'), 'event 40 40 0 0, link 10 10 0 0', 'a date of closing in the future is what is expected, and an account is linked');
SELECT matches(script('crm.forecast'), '-- stage ''Won'' \(5 rows\): no column tells when it was entered\.', 'nobody knows when they were won: it says so');
SELECT is(count(*), 10::bigint, 'no stage is entered then') FROM event_log WHERE source = 'forecast' AND stage IS NOT NULL ;
SELECT matches(script('crm.forecast'), '-- the segment may also be: region', 'other candidates are named');

--
-- Further tables of a source
--

SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.deal_owner (deal_id int, assigned_at timestamptz, owner text);
INSERT INTO crm.deal_owner VALUES (1, '2025-01-20 00:00+00', 'zoe');
CREATE TABLE crm.third (deal_id int, touched_at timestamptz);
INSERT INTO crm.third VALUES (1, '2025-01-21 00:00+00');
RESET SESSION AUTHORIZATION;
SELECT matches(script('crm.deal_owner', 'deals'), 'CREATE OR REPLACE VIEW crm\.deals_with_deal_owner_events AS', 'a second table is added to the first');
SELECT is(run('crm.deal_owner', 'deals'), 'event 24 3 19 2', 'and both are read');
SELECT is(run('crm.third', 'deals'), 'event 26 2 22 2', 'and a third');
UPDATE crm.deals SET stage = 'New', closed_at = NULL WHERE id = 3;
SELECT is(run('crm.deals', 'deals'), 'event 25 0 23 2', 'asking again for the first leaves all three');

--
-- Who may
--

SET SESSION AUTHORIZATION guided_bea;
SELECT throws_ok($$SELECT suggest_mapping('crm.deals')$$, '42501', NULL, 'a table is read with the rights of the caller');
SELECT throws_ok($$SELECT check_mapping('deals')$$, '42501', NULL, 'so is a mapping');
RESET SESSION AUTHORIZATION;
SELECT throws_ok($$SELECT suggest_mapping(NULL)$$, '22004', NULL, 'of nothing');
SELECT throws_ok($$SELECT suggest_mapping('crm.deals', subject_kind => 'deal')$$, '22023', 'unknown subject_kind: deal', 'subjects are of known kinds');
SELECT throws_ok($$SELECT check_mapping('nobody')$$, '42704', NULL, 'a source that is not mapped');

--
-- The dry run
--

SET SESSION AUTHORIZATION guided_ana;
SELECT draft_change('stages', effective_at => '2025-01-01', retroactive => true), define_lifecycle('sales', subject_kind => 'opportunity'), define_stage('sales', 'New', 10), define_stage('sales', 'Won', 20, 'won'),
       define_code('lead_source', 'web'), define_code('event', 'called'), register_party('ann', 'person') \g /dev/null
SELECT propose_change() AS change \gset
SET SESSION AUTHORIZATION guided_cleo;
SELECT approve(:change) \g /dev/null
SET SESSION AUTHORIZATION guided_otto;
CREATE TABLE crm.raw (subject_kind text, subject_key text, event text, occurred_at timestamptz, source_key text, lifecycle text, stage text, field text, code text, party text, amount numeric, currency text);
SELECT map_source('raw', events => 'crm.raw') \g /dev/null
SELECT is_empty($$SELECT * FROM check_mapping('raw')$$, 'nothing to say of nothing');
INSERT INTO crm.raw (subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, party, amount, currency) VALUES
    ('opportunity', 'a', 'stage_entered', '2025-01-01', 'ok1', 'sales', 'New', NULL, NULL, NULL, NULL, NULL), ('opportunity', 'a', 'field_set', '2025-01-01', 'ok2', NULL, NULL, 'lead_source', 'web', NULL, NULL, NULL),
    ('opportunity', 'a', 'called', '2025-01-01', 'ok3', NULL, NULL, NULL, NULL, 'ann', NULL, NULL), ('opportunity', 'a', 'field_set', '2025-01-01', 'ok4', NULL, NULL, 'amount', NULL, NULL, 5, 'EUR');
SELECT is_empty($$SELECT * FROM check_mapping('raw')$$, 'nor of what is well: a stage, a code, a kind of event and a party that are known');
INSERT INTO crm.raw (subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, party, amount, currency) VALUES
    (NULL, 'b', 'created', '2025-01-01', 'b1', NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('opportunity', '', 'created', '2025-01-01', 'b2', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', NULL, '2025-01-01', 'b3', NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('opportunity', 'b', 'created', NULL, 'b4', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'created', '2025-01-01', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('deal', 'b', 'created', '2025-01-01', 'b6', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'danced', '2025-01-01', 'b7', NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('opportunity', 'b', 'stage_entered', '2025-01-01', 'b8', 'sales', NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'field_set', '2025-01-01', 'b9', NULL, NULL, NULL, 'x', NULL, NULL, NULL), ('opportunity', 'b', 'created', 'infinity', 'b10', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'created', '2199-01-01', 'b11', NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('opportunity', 'b', 'field_set', '2025-01-01', 'b12', NULL, NULL, 'amount', NULL, NULL, 'NaN', 'EUR'),
    ('opportunity', 'b', 'field_set', '2025-01-01', 'b13', NULL, NULL, 'amount', NULL, NULL, 5, NULL), ('opportunity', 'b', 'assigned', '2025-01-01', 'b14', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'stage_entered', '2025-01-01', 'b15', 'sales', 'Newish', NULL, NULL, NULL, NULL, NULL), ('opportunity', 'c', 'stage_entered', '2025-01-01', 'b16', 'sales', 'Newish', NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'b', 'field_set', '2025-01-01', 'b17', NULL, NULL, 'lead_source', 'Web', NULL, NULL, NULL), ('opportunity', 'c', 'field_set', '2025-01-01', 'b18', NULL, NULL, 'lead_source', 'fair', NULL, NULL, NULL),
    ('opportunity', 'b', 'called', '2025-01-01', 'b19', NULL, NULL, NULL, NULL, 'Ann', NULL, NULL), ('opportunity', 'b', 'created', '2025-01-01', 'b20', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    ('opportunity', 'c', 'created', '2025-01-01', 'b20', NULL, NULL, NULL, NULL, NULL, NULL, NULL), ('opportunity', 'a', 'stage_entered', '2025-01-01', 'ok1', 'sales', 'New', NULL, NULL, NULL, NULL, NULL);
SELECT results_eq($$SELECT problem, row_count, example FROM check_mapping('raw')$$, $$VALUES
    ('events without subject_kind', 1::bigint, 'b1'), ('events without subject_key', 1, 'b2'), ('events without event', 1, 'b3'), ('events without occurred_at', 1, 'b4'),
    ('events without source_key', 1, (SELECT to_jsonb(r)::text FROM (SELECT c.* FROM crm.raw AS o, LATERAL (SELECT o.subject_kind, o.subject_key, o.event, o.occurred_at, o.source_key, o.lifecycle, o.stage, o.field, o.code, NULL::text AS code_list, o.party, NULL::text AS actor, o.amount,
        o.currency, NULL::text AS program, NULL::bigint AS seq, NULL::bigint AS value, NULL::text AS corrects, NULL::jsonb AS details) AS c WHERE o.source_key IS NULL) AS r)),
    ('events of one source_key that are not the same: one is taken', 2, 'b20'), ('unknown subject_kind', 1, 'deal'), ('unknown event: it can be defined as a code of the list event', 1, 'danced'),
    ('stage_entered without lifecycle or stage', 1, 'b8'), ('field_set without field', 1, 'b9'), ('assigned without party', 1, 'b14'), ('occurred_at is not between 1900 and 2199', 1, 'b10'),
    ('occurred_at is in the future: it counts from then on', 1, 'b11'), ('the amount is no amount', 1, 'b12'), ('an amount without currency: it is not added up', 1, 'b13'),
    ('stage "Newish" of lifecycle "sales" is not defined: it is recorded, and counts in no report', 2, 'b15'), ('codes of list field_set that are not defined (1 different ones)', 1, 'x'),
    ('codes of list lead_source that are not defined (2 different ones)', 2, 'Web, fair'), ('parties that are not registered, and will be, as persons (1 different ones)', 1, 'Ann')$$, 'each problem, how often and where');
SELECT is(concat_ws(' ', l.rows_read, l.rejected), (SELECT count(*) || ' ' || 12 FROM crm.raw), 'load() rejects as many as it says') FROM load('raw') AS l;

-- other facts
CREATE TABLE crm.money (source_key text, kind text, starts_on date, amount numeric, currency text);
INSERT INTO crm.money VALUES ('m1', 'cost', NULL, 5, 'EUR'), ('m2', 'cost', '2025-01-01', 5, 'EUR'), ('m2', 'cost', '2025-01-01', 6, 'EUR');
SELECT map_source('ledger', money => 'crm.money') \g /dev/null
SELECT results_eq($$SELECT problem, row_count, example FROM check_mapping('ledger')$$, $$VALUES ('money without starts_on', 1::bigint, 'm1'), ('money of one source_key that are not the same: one is taken', 2, 'm2')$$, 'money');
DROP TABLE crm.money;
SELECT throws_ok($$SELECT check_mapping('ledger')$$, '42P01', NULL, 'a relation that is gone');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
ROLLBACK;
