-- The model: what each kind of definition takes and refuses, what may refer to what and for how long, and the values it compiles into.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(557);

CREATE ROLE model_ana;   -- drafts and proposes
CREATE ROLE model_cleo;  -- signs, as the council
SELECT grant_access('steward', 'model_ana'), grant_access('council', 'model_cleo') \g /dev/null

-- A change that ana drafts and cleo signs. Errors come from wherever they come from.
CREATE FUNCTION agreed(statements text, since timestamptz DEFAULT '2025-01-01', until timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    SET SESSION AUTHORIZATION model_ana;
    number := draft_change('a test', since, until, retroactive => true);
    EXECUTE statements;
    PERFORM propose_change(number);
    SET SESSION AUTHORIZATION model_cleo;
    PERFORM approve(number);
    RESET SESSION AUTHORIZATION;
    RETURN number;
END $$;

-- What comes of it, after other changes, as text: nothing stays.
CREATE FUNCTION outcome(statements text, since timestamptz DEFAULT '2025-01-01', until timestamptz DEFAULT NULL, VARIADIC agreed_before text[] DEFAULT '{}') RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    former text;
BEGIN
    FOREACH former IN ARRAY agreed_before LOOP
        EXECUTE former;
    END LOOP;
    PERFORM agreed(statements, since, until);
    RAISE EXCEPTION USING ERRCODE = 'UNDO1';
EXCEPTION WHEN SQLSTATE 'UNDO1' THEN
    RETURN 'accepted';
WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- What a query says, as text.
CREATE FUNCTION said(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    EXECUTE query INTO answer;
    RETURN answer;
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END $$;

-- The number that marks or codes carry.
CREATE FUNCTION number_of(kind text, VARIADIC names text[]) RETURNS text LANGUAGE sql AS $$
    SELECT n.number::text FROM revacct_data.numbering AS n WHERE n.kind = $1 AND n.key = object_key(VARIADIC $2)
$$;

SET SESSION AUTHORIZATION model_ana;
SELECT register_party('marketing', 'team') + register_party('sales', 'team') + register_party('desk', 'queue') + register_party('ann', 'person') \g /dev/null
RESET SESSION AUTHORIZATION;

--
-- Keys
--

SELECT is(object_key(VARIADIC names), key, 'key of ' || names::text) FROM (VALUES
    ('{inbound}'::text[], 'inbound'),
    ('{inbound,mql}', 'inbound/mql'),
    ('{inbound,Closed/Won}', 'inbound/Closed\/Won'),
    ('{"a\\b",c}', 'a\\b/c'),
    ('{a,"b\\",c}', 'a/b\\/c'),
    ('{a,"/"}', 'a/\/'),
    ('{"two words",Übergabe,日本}', 'two words/Übergabe/日本'),
    ('{x,"",y}', 'x//y'),
    ('{x,NULL,y}', 'x//y')) AS t (names, key);
SELECT is(object_key(VARIADIC NULL), NULL, 'no names, no key');
WITH name (name) AS (VALUES ('a'), ('b'), ('/'), ('\'), ('a/b'), ('a\'), ('\/'), ('/b'), ('\\'), ('b/'), ('Ü'), ('a b'), ('')),
     named AS (SELECT object_key(x.name, y.name) AS key FROM name AS x, name AS y UNION ALL SELECT object_key(x.name) FROM name AS x WHERE x.name <> ''
               UNION ALL SELECT object_key(x.name, y.name, z.name) FROM name AS x, name AS y, name AS z)
SELECT is(count(DISTINCT key), count(*), 'different names, different keys: ' || count(*)) FROM named;

-- Names that are hard to write go through every kind of definition.
SELECT lives_ok($$SELECT agreed($statements$
    SELECT define_calendar('Büro/Nord', 'Europe/Berlin', '{mon-fri 09:00-17:00}');
    SELECT define_lifecycle('Vertrieb\EMEA', calendar => 'Büro/Nord', subject_kind => 'lead/person');
    SELECT define_code('journey', 'on the way/early'), define_code('segment', 'k/m u'), define_code('loss_reason', 'zu teuer/zu spät', parent => NULL);
    SELECT define_code('loss_reason', 'zu\teuer', parent => 'zu teuer/zu spät');
    SELECT define_stage('Vertrieb\EMEA', 'Übergabe', 10, journey_place => 'on the way/early'), define_stage('Vertrieb\EMEA', 'in Arbeit', 20),
           define_stage('Vertrieb\EMEA', 'back\slash\', 25), define_stage('Vertrieb\EMEA', 'Closed/Won', 30, 'won'), define_stage('Vertrieb\EMEA', '日本', 40, 'lost');
    SELECT define_transition('Vertrieb\EMEA', NULL, 'Übergabe', 'enter'), define_transition('Vertrieb\EMEA', 'Übergabe', 'back\slash\'),
           define_transition('Vertrieb\EMEA', 'back\slash\', 'Closed/Won'),
           define_transition('Vertrieb\EMEA', 'Übergabe', '日本', 'exit', code_list => 'loss_reason', enforcement => 'refuse');
    SELECT define_field_rule('lead/person', 'e-mail/1', 'required', lifecycle => 'Vertrieb\EMEA', at_stage => 'Closed/Won');
    SELECT define_sla('erste Antwort/24h', start => '{Übergabe}', stop => '{Closed/Won, touch_out}', target => '4 hours', calendar => 'Büro/Nord', lifecycle => 'Vertrieb\EMEA', segment => '{field_set}');
    SELECT define_sla_target('erste Antwort/24h', '1 hour', segment => 'k/m u'), define_step('erste Antwort/24h', '80%', 'the manager');
    SELECT define_metric('Quote/Übergabe', 'how many', lifecycle => 'Vertrieb\EMEA', at_stage => 'Übergabe', to_stage => 'Closed/Won'),
           assign('sales', 'accountable', 'metric', object_key('Quote/Übergabe')), define_target('Quote/Übergabe', '2025-01-01', '2025-04-01', 0.5, scope => 'sales');
    SELECT define_program('Messe/2025'), define_program('Messe\2025', parent => 'Messe/2025', codes => '{"segment": "k/m u"}');
    SELECT assign('sales', 'accountable', 'stage', object_key('Vertrieb\EMEA', 'Closed/Won')), assign('marketing', 'accountable', 'lifecycle', object_key('Vertrieb\EMEA'))
$statements$)$$, 'names with slashes, backslashes, spaces and letters of all sorts');
SELECT is(lifecycle('Vertrieb\EMEA'), lifecycle('Vertrieb\EMEA', stages => ARRAY['Übergabe', 'in Arbeit', 'back\slash\'], won => 'Closed/Won', lost => '{日本}',
    marks => ARRAY[number_of('stage', 'Vertrieb\EMEA', 'Übergabe'), number_of('stage', 'Vertrieb\EMEA', 'in Arbeit'), number_of('stage', 'Vertrieb\EMEA', 'back\slash\'),
                   number_of('stage', 'Vertrieb\EMEA', 'Closed/Won'), number_of('stage', 'Vertrieb\EMEA', '日本')],
    calendar => business_calendar('Büro/Nord', 'Europe/Berlin', '{mon-fri 09:00-17:00}')), 'such a lifecycle compiles into what it says');
SELECT is(mark(sla('erste Antwort/24h'), 'Closed/Won'), mark(lifecycle('Vertrieb\EMEA'), 'Closed/Won'), 'and an SLA knows its stages');
SELECT bag_eq($$SELECT kind || ' ' || key FROM revacct_data.validity WHERE upper_inf(recorded)$$, $$VALUES
    ('calendar Büro\/Nord'), ('lifecycle Vertrieb\\EMEA'), ('code journey/on the way\/early'), ('code segment/k\/m u'), ('code loss_reason/zu teuer\/zu spät'), ('code loss_reason/zu\\teuer'),
    ('stage Vertrieb\\EMEA/Übergabe'), ('stage Vertrieb\\EMEA/in Arbeit'), ('stage Vertrieb\\EMEA/back\\slash\\'), ('stage Vertrieb\\EMEA/Closed\/Won'), ('stage Vertrieb\\EMEA/日本'),
    ('transition Vertrieb\\EMEA//Übergabe'), ('transition Vertrieb\\EMEA/Übergabe/back\\slash\\'), ('transition Vertrieb\\EMEA/back\\slash\\/Closed\/Won'), ('transition Vertrieb\\EMEA/Übergabe/日本'),
    ('field_rule lead\/person/e-mail\/1/required/Vertrieb\\EMEA/Closed\/Won'), ('policy erste Antwort\/24h'), ('policy_target erste Antwort\/24h/k\/m u/'), ('policy_step erste Antwort\/24h/80%/the manager'),
    ('metric Quote\/Übergabe'), ('target Quote\/Übergabe/sales/2025-01-01/2025-04-01'), ('program Messe\/2025'), ('program Messe\\2025'),
    ('responsibility sales/accountable/metric/Quote\/Übergabe'), ('responsibility sales/accountable/stage/Vertrieb\\EMEA/Closed\/Won'),
    ('responsibility marketing/accountable/lifecycle/Vertrieb\\EMEA')$$, 'the keys of them all');
SELECT is(outcome($$SELECT retire('lifecycle', 'Vertrieb\\EMEA'), retire('policy', 'erste Antwort\/24h'), retire('metric', 'Quote\/Übergabe'),
    retire('field_rule', 'lead\/person/e-mail\/1/required/Vertrieb\\EMEA/Closed\/Won')$$), 'accepted', 'all that is part of it is retired with it');
SELECT is(outcome($$SELECT retire('lifecycle', 'Vertrieb\\EMEA'), retire('policy', 'erste Antwort\/24h'), retire('metric', 'Quote\/Übergabe')$$),
    '23503 field_rule "lead\/person/e-mail\/1/required/Vertrieb\\EMEA/Closed\/Won" refers to lifecycle "Vertrieb\\EMEA", which is not in force all the while', 'what only refers to it is not');
SELECT is(outcome($$SELECT retire('code', 'loss_reason/zu teuer\/zu spät')$$),
    '23503 code "loss_reason/zu\\teuer" refers to code "loss_reason/zu teuer\/zu spät", which is not in force all the while', 'a code under others stays');

-- Names are given, and without spaces around.
WITH bad (name, word) AS (VALUES (NULL, 'NULL'), ('', 'nothing'), ('  ', 'spaces'), (' x', 'a space before'), ('x ', 'a space behind'), (E'x\n', 'a line feed behind')),
     kind (kind, statement) AS (VALUES
        ('calendar', 'SELECT define_calendar(%s, ''UTC'', ''{mon 09:00-17:00}'')'),
        ('lifecycle', 'SELECT define_lifecycle(%1$s), define_stage(%1$s, ''a'', 1)'),
        ('stage', 'SELECT define_lifecycle(''l''), define_stage(''l'', %s, 1)'),
        ('transition', 'SELECT define_lifecycle(''l''), define_stage(''l'', ''a'', 1), define_transition(''l'', ''a'', %s)'),
        ('code list', 'SELECT define_code(%s, ''a'')'),
        ('code', 'SELECT define_code(''list'', %s)'),
        ('field_rule', 'SELECT define_field_rule(''lead'', %s, ''immutable'')'),
        ('field_rule''s subject', 'SELECT define_field_rule(%s, ''email'', ''immutable'')'),
        ('SLA', 'SELECT define_sla(%s, ''{created}'', ''{touch_out}'', ''1 hour'')'),
        ('route', 'SELECT define_route(%s, ''sales'', 1)'),
        ('hygiene', 'SELECT define_hygiene(%s, ''{"a": 1}'')'),
        ('step''s recipient', 'SELECT define_sla(''s'', ''{created}'', ''{touch_out}'', ''1 hour''), define_step(''s'', ''80%%'', %s)'),
        ('metric', 'SELECT define_metric(%1$s, ''m''), assign(''sales'', ''accountable'', ''metric'', %1$s)'),
        ('program', 'SELECT define_program(%s)'),
        ('field of a responsibility', 'SELECT assign(''sales'', ''steward'', ''field'', %s)'))
SELECT matches(outcome(format(statement, coalesce(quote_literal(name), 'NULL'))), CASE WHEN name IS NULL THEN '^(22023|23502) ' WHEN kind = 'transition' THEN '^(22023|23503) ' ELSE '^22023 ' END,
    format('the name of a %s cannot be %s', kind, word)) FROM kind, bad ORDER BY kind, word;
SELECT alike(outcome($$SELECT define_lifecycle('a\'), define_stage('a\', '', 1), define_stage('a\', 'b', 2)$$), '22023 %', 'a stage without a name, of a lifecycle that ends in a backslash');
SELECT alike(outcome(format('SELECT define_program(%L)', repeat('x', 1001))), '23514 %version_key_check%', 'a name has an end');
SELECT is(outcome(format('SELECT define_program(%L)', repeat('x', 1000))), 'accepted', 'which is far away');

--
-- Each column's values
--

-- What the statements below need to be about. Each has one thing wrong.
SELECT agreed($$
    SELECT define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}');
    SELECT define_lifecycle('inbound'), define_stage('inbound', 'lead', 10), define_stage('inbound', 'sql', 20), define_stage('inbound', 'won', 30, 'won'), define_stage('inbound', 'lost', 40, 'lost');
    SELECT define_sla('answer', '{lead}', '{touch_out}', '4 hours', segment => '{field_set}', owner => '{assigned}', lifecycle => 'inbound'), define_route('desk first', 'desk', 1);
    SELECT define_code('segment', 'enterprise'), define_code('loss_reason', 'price', applies_to => 'lost');
    SELECT define_metric('win rate', 'won over all'), assign('sales', 'accountable', 'metric', 'win rate'), define_program('fair')$$) \g /dev/null

CREATE TEMP TABLE bad (kind text, problem text, statement text, code text, said text);
INSERT INTO bad VALUES
    ('calendar', 'no time zone', $$SELECT define_calendar('c', NULL, '{mon 09:00-17:00}')$$, '23502', '%"time_zone"%'),
    ('calendar', 'a time zone that is none', $$SELECT define_calendar('c', 'Mars/Olympus', '{mon 09:00-17:00}')$$, '22023', '%Mars/Olympus%'),
    ('calendar', 'no hours', $$SELECT define_calendar('c', 'UTC', NULL)$$, '23502', '%"hours"%'),
    ('calendar', 'hours of no day', $$SELECT define_calendar('c', 'UTC', '{someday 09:00-17:00}')$$, '22023', '%someday%'),
    ('calendar', 'a shift on no date', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', shifts => '{2025-13-01 09:00-10:00}')$$, '22023', '%2025-13-01%'),
    ('calendar', 'a break of no time', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', breaks => '{2025-01-02 lunch}')$$, '22023', '%lunch%'),
    ('calendar', 'NULL for shifts', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', shifts => NULL)$$, '23502', '%"shifts"%'),
    ('calendar', 'NULL for breaks', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', breaks => NULL)$$, '23502', '%"breaks"%'),
    ('calendar', 'NULL for holidays', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', holidays => NULL)$$, '23502', '%"holidays"%'),
    ('calendar', 'a holiday at no time', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', holidays => '{infinity}')$$, '22%', '%holiday%'),
    ('lifecycle', 'no subject', $$SELECT define_lifecycle('l', subject_kind => NULL), define_stage('l', 'a', 1)$$, '23502', '%"subject_kind"%'),
    ('lifecycle', 'skip', $$SELECT define_lifecycle('l', skip => 'hop'), define_stage('l', 'a', 1)$$, '22023', '%skip%'),
    ('lifecycle', 'attempt', $$SELECT define_lifecycle('l', attempt => 'second'), define_stage('l', 'a', 1)$$, '22023', '%attempt%'),
    ('lifecycle', 'within', $$SELECT define_lifecycle('l', within => '-1 day'), define_stage('l', 'a', 1)$$, '22023', '%within%'),
    ('lifecycle', 'times', $$SELECT define_lifecycle('l', times => 'falling'), define_stage('l', 'a', 1)$$, '22023', '%times%'),
    ('lifecycle', 'visits', $$SELECT define_lifecycle('l', visits => 'some'), define_stage('l', 'a', 1)$$, '22023', '%visits%'),
    ('lifecycle', 'unknown', $$SELECT define_lifecycle('l', unknown => 'guess'), define_stage('l', 'a', 1)$$, '22023', '%unknown%'),
    ('lifecycle', 'time zone', $$SELECT define_lifecycle('l', time_zone => 'Mars/Olympus'), define_stage('l', 'a', 1)$$, '22023', '%Mars/Olympus%'),
    ('lifecycle', 'enforcement', $$SELECT define_lifecycle('l', enforcement => 'maybe'), define_stage('l', 'a', 1)$$, '23514', 'unknown enforcement: maybe'),
    ('lifecycle', 'no such calendar', $$SELECT define_lifecycle('l', calendar => 'none'), define_stage('l', 'a', 1)$$, '23503', '%refers to calendar "none"%'),
    ('lifecycle', 'no stages', $$SELECT define_lifecycle('l')$$, '22023', '%stage%'),
    ('lifecycle', 'more steps than the kernel counts', $$SELECT define_lifecycle('l'); SELECT define_stage('l', 's' || i, i) FROM generate_series(1, 65) AS i$$, '54000', '%64%'),
    ('stage', 'category', $$SELECT define_stage('inbound', 's', 99, 'closed')$$, '23514', 'unknown category: closed'),
    ('stage', 'no place', $$SELECT define_stage('inbound', 's', NULL)$$, '23502', '%"stage_no"%'),
    ('stage', 'the place of another', $$SELECT define_stage('inbound', 's', 20)$$, '23505', 'stages "inbound/s" and "inbound/sql" have the same place'),
    ('stage', 'pipeline that is won', $$SELECT define_stage('inbound', 's', 99, 'lost', is_pipeline => true)$$, '23514', '%pipeline_is_open%'),
    ('stage', 'probability above one', $$SELECT define_stage('inbound', 's', 99, probability => 1.01)$$, '23514', '%stage_probability_check%'),
    ('stage', 'probability below nothing', $$SELECT define_stage('inbound', 's', 99, probability => -0.01)$$, '23514', '%stage_probability_check%'),
    ('stage', 'probability that is no number', $$SELECT define_stage('inbound', 's', 99, probability => 'NaN')$$, '23514', '%stage_probability_check%'),
    ('stage', 'maximum age', $$SELECT define_stage('inbound', 's', 99, max_age => '0')$$, '23514', '%stage_max_age_check%'),
    ('stage', 'buyer journey', $$SELECT define_stage('inbound', 's', 99, journey_place => 'nowhere')$$, '23503', '%refers to code "journey/nowhere"%'),
    ('stage', 'of no lifecycle', $$SELECT define_stage('outbound', 's', 99)$$, '23503', '%refers to lifecycle "outbound"%'),
    ('stage', 'active beside won', $$SELECT define_stage('inbound', 's', 99, 'active')$$, '22023', 'won stage "won" and active stages exclude each other'),
    ('stage', 'a second that is won', $$SELECT define_stage('inbound', 's', 99, 'won')$$, '22023', 'lifecycle "inbound" has more than one stage of category won'),
    ('transition', 'direction', $$SELECT define_transition('inbound', 'lead', 'sql', 'sideways')$$, '23514', 'unknown direction: sideways'),
    ('transition', 'an entry from somewhere', $$SELECT define_transition('inbound', 'lead', 'sql', 'enter')$$, '23514', '%enter_comes_from_nowhere%'),
    ('transition', 'a move from nowhere', $$SELECT define_transition('inbound', NULL, 'sql', 'forward')$$, '23514', '%enter_comes_from_nowhere%'),
    ('transition', 'a guard that is a list', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '[]')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard that is a word', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '"budget"')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard that asks for null', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": null}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard that asks for nothing', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with an unknown word', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"more_than": 1}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with one known and one unknown word', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"at_least": 1, "about": 2}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with a limit that is a string', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"at_least": "1"}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with an upper limit that is null', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"at_most": null}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with given: 1', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"given": 1}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with not: null', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"budget": {"not": null}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'a guard with one good and one bad field', $$SELECT define_transition('inbound', 'lead', 'sql', guard => '{"country": "DE", "budget": {}}')$$, '23514', '%guard_is_a_condition%'),
    ('transition', 'fewer codes than none', $$SELECT define_transition('inbound', 'lead', 'lost', 'exit', code_list => 'loss_reason', min_codes => -1)$$, '23514', '%transition_min_codes_check%'),
    ('transition', 'codes of no list', $$SELECT define_transition('inbound', 'lead', 'lost', 'exit', min_codes => 1)$$, '23514', '%codes_are_of_a_list%'),
    ('transition', 'enforcement', $$SELECT define_transition('inbound', 'lead', 'sql', enforcement => 'maybe')$$, '23514', 'unknown enforcement: maybe'),
    ('transition', 'from no stage', $$SELECT define_transition('inbound', 'sal', 'sql')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('transition', 'to no stage', $$SELECT define_transition('inbound', 'lead', 'sal')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('code', 'no parent', $$SELECT define_code('loss_reason', 'c', parent => 'money')$$, '23503', '%refers to code "loss_reason/money"%'),
    ('code', 'its own parent', $$SELECT define_code('loss_reason', 'c', parent => 'c')$$, '23514', 'code "loss_reason/c" would be above itself'),
    ('code', 'the parent of its parent', $$SELECT define_code('loss_reason', 'c', parent => 'd'), define_code('loss_reason', 'd', parent => 'c')$$, '23514', 'code "loss_reason/c" would be above itself'),
    ('code', 'NULL for requires', $$SELECT define_code('loss_reason', 'c', requires => NULL)$$, '23502', '%"requires"%'),
    ('code', 'a condition that is none', $$SELECT define_code('segment', 'c', condition => '{"size": {}}')$$, '23514', '%code_condition_check%'),
    ('code', 'for a category that is none', $$SELECT define_code('loss_reason', 'c', applies_to => 'lostt')$$, '23514', 'unknown category of stages: lostt'),
    ('field_rule', 'rule', $$SELECT define_field_rule('lead', 'f', 'sometimes')$$, '23514', 'unknown rule: sometimes'),
    ('field_rule', 'a source without a priority', $$SELECT define_field_rule('lead', 'f', 'source', source => 'crm')$$, '23514', '%sources_have_a_priority%'),
    ('field_rule', 'a priority of no source', $$SELECT define_field_rule('lead', 'f', 'source', priority => 1)$$, '23514', '%sources_have_a_priority%'),
    ('field_rule', 'a source of another rule', $$SELECT define_field_rule('lead', 'f', 'required', source => 'crm', priority => 1)$$, '23514', '%sources_have_a_priority%'),
    ('field_rule', 'a stage of no lifecycle', $$SELECT define_field_rule('lead', 'f', 'required', at_stage => 'sql')$$, '23514', '%a_stage_is_of_a_lifecycle%'),
    ('field_rule', 'a domain of nothing', $$SELECT define_field_rule('lead', 'f', 'domain')$$, '23514', '%a_domain_is_a_list_or_a_condition%'),
    ('field_rule', 'a list of another rule', $$SELECT define_field_rule('lead', 'f', 'required', code_list => 'segment')$$, '23514', '%a_domain_is_a_list_or_a_condition%'),
    ('field_rule', 'condition', $$SELECT define_field_rule('lead', 'f', 'domain', condition => '{"f": null}')$$, '23514', '%field_rule_condition_check%'),
    ('field_rule', 'enforcement', $$SELECT define_field_rule('lead', 'f', 'required', enforcement => 'maybe')$$, '23514', 'unknown enforcement: maybe'),
    ('field_rule', 'of no lifecycle', $$SELECT define_field_rule('lead', 'f', 'required', lifecycle => 'outbound')$$, '23503', '%refers to lifecycle "outbound"%'),
    ('field_rule', 'at no stage', $$SELECT define_field_rule('lead', 'f', 'required', lifecycle => 'inbound', at_stage => 'sal')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('sla', 'kind', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'slaa')$$, '23514', 'unknown kind of SLA: slaa'),
    ('sla', 'kind of a route', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'route')$$, '23514', 'unknown kind of SLA: route'),
    ('sla', 'no start', $$SELECT define_sla('s', NULL, '{touch_out}', '1 hour')$$, '23514', '%clocks_have_a_start%'),
    ('sla', 'an empty start', $$SELECT define_sla('s', '{}', '{touch_out}', '1 hour')$$, '22023', '%start%'),
    ('sla', 'a target of no time', $$SELECT define_sla('s', '{created}', '{touch_out}', '0')$$, '23514', '%policy_target_check%'),
    ('sla', 'no target at all', $$SELECT define_sla('s', '{created}', '{touch_out}')$$, '22023', '%target%'),
    ('sla', 'days of a calendar', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 day', calendar => 'office')$$, '22023', '%target%'),
    ('sla', 'no such calendar', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', calendar => 'none')$$, '23503', '%refers to calendar "none"%'),
    ('sla', 'no such lifecycle', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', lifecycle => 'outbound')$$, '23503', '%refers to lifecycle "outbound"%'),
    ('sla', 'a stage to which only recycling leads', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', lifecycle => 'inbound', to_stage => 'lead')$$, '23514', '%recycling_goes_to_a_stage%'),
    ('sla', 'recycling to nowhere', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'recycle', lifecycle => 'inbound')$$, '23514', '%recycling_goes_to_a_stage%'),
    ('sla', 'recycling to a stage of no lifecycle', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'recycle', to_stage => 'lead')$$, '23514', '%recycling_goes_to_a_stage%'),
    ('sla', 'recycling to no stage', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'recycle', lifecycle => 'inbound', to_stage => 'sal')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('sla', 'at most no times', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'recycle', lifecycle => 'inbound', to_stage => 'lead', max_times => 0)$$, '23514', '%policy_max_times_check%'),
    ('sla', 'warnings', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', warnings => '{-0.5}')$$, '22023', '%warning%'),
    ('sla', 'reopen', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', reopen => 'shrug')$$, '22023', '%reopen%'),
    ('sla', 'on_change', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', on_change => 'shrug')$$, '22023', '%change%'),
    ('sla', 'phases', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', phases => '{routing, human}')$$, '22023', '%routing%'),
    ('sla', 'max_clocks', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', max_clocks => 0)$$, '22023', '%max_clocks%'),
    ('sla', 'beyond', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', max_clocks => 1, beyond => 'shrug')$$, '22023', '%beyond%'),
    ('sla', 'enforcement', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', enforcement => 'maybe')$$, '23514', 'unknown enforcement: maybe'),
    ('sla', 'a start that also stops', $$SELECT define_sla('s', '{created}', '{created}', '1 hour')$$, '22023', '%created%'),
    ('route', 'method', $$SELECT define_route('r', 'desk', 1, method => 'lottery')$$, '23514', 'unknown method: lottery'),
    ('route', 'no method', $$SELECT define_route('r', 'desk', 1, method => NULL)$$, '23514', '%routes_go_somewhere%'),
    ('route', 'to nobody', $$SELECT define_route('r', NULL, 1)$$, '23514', '%routes_go_somewhere%'),
    ('route', 'to a party that is not registered', $$SELECT define_route('r', 'nobody', 1)$$, '23503', 'party "nobody" is not registered'),
    ('route', 'no priority', $$SELECT define_route('r', 'desk', NULL)$$, '23514', '%routes_go_somewhere%'),
    ('route', 'a condition that is none', $$SELECT define_route('r', 'desk', 1, applies => '[1]')$$, '23514', '%applies_is_a_condition%'),
    ('route', 'enforcement', $$SELECT define_route('r', 'desk', 1, enforcement => 'maybe')$$, '23514', 'unknown enforcement: maybe'),
    ('hygiene', 'no demands', $$SELECT define_hygiene('h', NULL)$$, '23514', '%hygiene_demands_something%'),
    ('hygiene', 'demands that are no condition', $$SELECT define_hygiene('h', '{"a": {"is": 1}}')$$, '23514', '%demands_is_a_condition%'),
    ('hygiene', 'applies that is no condition', $$SELECT define_hygiene('h', '{"a": 1}', applies => '"a"')$$, '23514', '%applies_is_a_condition%'),
    ('hygiene', 'of no lifecycle', $$SELECT define_hygiene('h', '{"a": 1}', lifecycle => 'outbound')$$, '23503', '%refers to lifecycle "outbound"%'),
    ('sla_target', 'for nobody', $$SELECT define_sla_target('answer', '1 hour')$$, '23514', '%targets_are_for_somebody%'),
    ('sla_target', 'of no time', $$SELECT define_sla_target('answer', '-1 hour', segment => 'enterprise')$$, '23514', '%policy_target_target_check%'),
    ('sla_target', 'no target', $$SELECT define_sla_target('answer', NULL, segment => 'enterprise')$$, '23502', '%"target"%'),
    ('sla_target', 'of a policy that is none', $$SELECT define_sla_target('question', '1 hour', segment => 'enterprise')$$, '23503', '%refers to policy "question"%'),
    ('sla_target', 'for a segment that is none', $$SELECT define_sla_target('answer', '1 hour', segment => 'enterprize')$$, '23503', '%refers to code "segment/enterprize"%'),
    ('sla_target', 'for a party that is not registered', $$SELECT define_sla_target('answer', '1 hour', owner => 'nobody')$$, '23503', 'party "nobody" is not registered'),
    ('sla_target', 'in the hours of no calendar', $$SELECT define_sla_target('answer', '1 hour', segment => 'enterprise', calendar => 'none')$$, '23503', '%refers to calendar "none"%'),
    ('sla_target', 'of a route', $$SELECT define_sla_target('desk first', '1 hour', segment => 'enterprise')$$, '%', '%desk first%'),
    ('step', 'due at no time', $$SELECT define_step('answer', 'whenever', 'owner')$$, '22023', '%whenever%'),
    ('step', 'action', $$SELECT define_step('answer', '80%', 'owner', 'explode')$$, '23514', 'unknown action: explode'),
    ('step', 'of a policy that is none', $$SELECT define_step('question', '80%', 'owner')$$, '23503', '%refers to policy "question"%'),
    ('step', 'of a route', $$SELECT define_step('desk first', '80%', 'owner')$$, '%', '%desk first%'),
    ('metric', 'no meaning', $$SELECT define_metric('m', NULL), assign('sales', 'accountable', 'metric', 'm')$$, '23502', '%"meaning"%'),
    ('metric', 'measure', $$SELECT define_metric('m', 'm', measure => 'feeling'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', 'unknown measure: feeling'),
    ('metric', 'basis', $$SELECT define_metric('m', 'm', basis => 'feeling'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', 'unknown basis: feeling'),
    ('metric', 'better', $$SELECT define_metric('m', 'm', better => 'up'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', 'unknown direction that is better: up'),
    ('metric', 'fewest subjects', $$SELECT define_metric('m', 'm', min_n => -1), assign('sales', 'accountable', 'metric', 'm')$$, '23514', '%metric_min_n_check%'),
    ('metric', 'window', $$SELECT define_metric('m', 'm', time_window => '0'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', '%metric_time_window_check%'),
    ('metric', 'parameters', $$SELECT define_metric('m', 'm', params => '[]'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', '%metric_params_check%'),
    ('metric', 'a stage of no lifecycle', $$SELECT define_metric('m', 'm', at_stage => 'sql'), assign('sales', 'accountable', 'metric', 'm')$$, '23514', '%stages_are_of_a_lifecycle%'),
    ('metric', 'from no stage', $$SELECT define_metric('m', 'm', lifecycle => 'inbound', at_stage => 'sal'), assign('sales', 'accountable', 'metric', 'm')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('metric', 'to no stage', $$SELECT define_metric('m', 'm', lifecycle => 'inbound', to_stage => 'sal'), assign('sales', 'accountable', 'metric', 'm')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('metric', 'of no lifecycle', $$SELECT define_metric('m', 'm', lifecycle => 'outbound'), assign('sales', 'accountable', 'metric', 'm')$$, '23503', '%refers to lifecycle "outbound"%'),
    ('metric', 'nobody accountable', $$SELECT define_metric('m', 'm'), assign('sales', 'informed', 'metric', 'm')$$, '23514', 'metric "m" has no accountable party'),
    ('metric', 'nobody accountable any more', $$SELECT unassign('sales', 'accountable', 'metric', 'win rate')$$, '23514', 'metric "win rate" has no accountable party'),
    ('target', 'no day', $$SELECT define_target('win rate', '2025-02-01', '2025-02-01', 1)$$, '23514', '%period_has_days%'),
    ('target', 'no value', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', NULL)$$, '23502', '%"value"%'),
    ('target', 'a value that is no number', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', 'NaN')$$, '23514', '%target_value_check%'),
    ('target', 'a value without end', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', 'Infinity')$$, '23514', '%target_value_check%'),
    ('target', 'floor', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', 1, floor => '-Infinity')$$, '23514', '%target_floor_check%'),
    ('target', 'stretch', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', 1, stretch => 'NaN')$$, '23514', '%target_stretch_check%'),
    ('target', 'of a party that is not registered', $$SELECT define_target('win rate', '2025-02-01', '2025-03-01', 1, scope => 'nobody')$$, '23503', 'party "nobody" is not registered'),
    ('target', 'of a metric that is none', $$SELECT define_target('loss rate', '2025-02-01', '2025-03-01', 1)$$, '23503', '%refers to metric "loss rate"%'),
    ('program', 'kind', $$SELECT define_program('p', 'party')$$, '23514', 'unknown kind of program: party'),
    ('program', 'status', $$SELECT define_program('p', status => 'dead')$$, '23514', 'unknown status: dead'),
    ('program', 'codes that are a list', $$SELECT define_program('p', codes => '["email"]')$$, '23514', '%program_codes_check%'),
    ('program', 'a code that is none', $$SELECT define_program('p', codes => '{"channel": "email"}')$$, '23503', '%refers to code "channel/email"%'),
    ('program', 'NULL for arms', $$SELECT define_program('p', arms => NULL)$$, '23502', '%"arms"%'),
    ('program', 'part of none', $$SELECT define_program('p', parent => 'q')$$, '23503', '%refers to program "q"%'),
    ('program', 'part of itself', $$SELECT define_program('p', parent => 'p')$$, '23514', 'program "p" would be above itself'),
    ('responsibility', 'role', $$SELECT assign('sales', 'boss', 'stage', 'inbound/sql')$$, '23514', 'unknown role: boss'),
    ('responsibility', 'kind of object', $$SELECT assign('sales', 'accountable', 'weather', 'rain')$$, '23514', 'unknown kind of object: weather'),
    ('responsibility', 'of a party that is not registered', $$SELECT assign('nobody', 'accountable', 'stage', 'inbound/sql')$$, '23503', 'party "nobody" is not registered'),
    ('responsibility', 'for a stage that is none', $$SELECT assign('sales', 'accountable', 'stage', 'inbound/sal')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('responsibility', 'for a metric that is none', $$SELECT assign('sales', 'accountable', 'metric', 'loss rate')$$, '23503', '%refers to metric "loss rate"%'),
    ('responsibility', 'in a party that is not registered', $$SELECT assign('ann', 'member', 'party', 'nobody')$$, '23503', '%nobody%'),
    ('responsibility', 'no share', $$SELECT assign('sales', 'accountable', 'stage', 'inbound/sql', share => 0)$$, '23514', '%responsibility_share_check%'),
    ('responsibility', 'more than the whole share', $$SELECT assign('sales', 'accountable', 'stage', 'inbound/sql', share => 1.000001)$$, '23514', 'a share is between 0 and 1'),
    ('responsibility', 'shares that are more than the whole', $$SELECT assign('sales', 'accountable', 'stage', 'inbound/sql', share => 0.6), assign('marketing', 'accountable', 'stage', 'inbound/sql', share => 0.5)$$,
     '23514', 'the shares of stage "inbound/sql" are more than the whole'),
    ('responsibility', 'a share of somebody informed', $$SELECT assign('sales', 'informed', 'stage', 'inbound/sql', share => 0.5)$$, '23514', '%shares_are_of_owners%'),
    ('responsibility', 'weight', $$SELECT assign('ann', 'pool', 'party', 'desk', weight => 0)$$, '23514', '%responsibility_weight_check%'),
    ('responsibility', 'a weight without end', $$SELECT assign('ann', 'pool', 'party', 'desk', weight => 'Infinity')$$, '23514', '%responsibility_weight_check%'),
    ('responsibility', 'a weight that is no number', $$SELECT assign('ann', 'pool', 'party', 'desk', weight => 'NaN')$$, '23514', '%responsibility_weight_check%'),
    ('responsibility', 'capacity', $$SELECT assign('ann', 'pool', 'party', 'desk', capacity => 0)$$, '23514', '%responsibility_capacity_check%'),
    ('responsibility', 'a weight of a member', $$SELECT assign('ann', 'member', 'party', 'desk', weight => 1)$$, '23514', '%loads_are_of_pools%'),
    ('responsibility', 'a capacity of a member', $$SELECT assign('ann', 'member', 'party', 'desk', capacity => 1)$$, '23514', '%loads_are_of_pools%'),
    ('responsibility', 'a member of a stage', $$SELECT assign('ann', 'member', 'stage', 'inbound/sql')$$, '23514', '%teams_have_members%'),
    ('responsibility', 'an approver of a stage', $$SELECT assign('ann', 'approver', 'stage', 'inbound/sql')$$, '23514', '%teams_have_members%'),
    ('responsibility', 'in itself', $$SELECT assign('ann', 'member', 'party', 'ann')$$, '23514', '%nobody_is_in_themselves%'),
    ('responsibility', 'in a circle', $$SELECT assign('sales', 'member', 'party', 'marketing'), assign('desk', 'member', 'party', 'sales'), assign('marketing', 'member', 'party', 'desk')$$, '23514', 'party "desk" would be above itself'),
    ('retire', 'what is not there', $$SELECT retire('stage', 'inbound/sal')$$, '42704', 'stage "inbound/sal" is not in force'),
    ('retire', 'a kind that is none', $$SELECT retire('stag', 'inbound/sql')$$, '23514', 'unknown kind of definition: stag'),
    ('retire', 'in favour of none', $$SELECT retire('stage', 'inbound/sql', successor => 'inbound/sal')$$, '23503', '%refers to stage "inbound/sal"%'),
    ('retire', 'in favour of itself', $$SELECT retire('stage', 'inbound/sql', successor => 'inbound/sql')$$, '2%', '%inbound/sql%');
SELECT alike(outcome(statement), code || ' ' || said, kind || ': ' || problem) FROM bad ORDER BY kind, problem;
-- That it is this one thing that is wrong is seen where it is not.
SELECT is(outcome(statement), 'accepted', kind || ': ' || problem) FROM (VALUES
    ('calendar', 'all it takes', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25}', '2025-12-31', 'hours')$$),
    ('stage', 'all it takes', $$SELECT define_code('journey', 'early'), define_stage('inbound', 's', 99, 'open', 'm', 'early', true, 'commit', 1, '1 second')$$),
    ('stage', 'probability 0', $$SELECT define_stage('inbound', 's', -1, probability => 0)$$),
    ('transition', 'all it takes', $$SELECT define_transition('inbound', 'lead', 'lost', 'exit', 'disposition_set',
        '{"a": "x", "b": 1, "c": true, "d": ["x", 1], "e": {"given": false}, "f": {"not": "x"}, "g": {"not": ["x"]}, "h": {"at_least": 1, "at_most": 2.5}}', 'loss_reason', 2, 'refuse')$$),
    ('transition', 'a list of which none need be given', $$SELECT define_transition('inbound', 'lead', 'lost', 'exit', code_list => 'loss_reason', min_codes => 0)$$),
    ('transition', 'a guard that is empty', $$SELECT define_transition('inbound', NULL, 'lead', 'enter', guard => '{}')$$),
    ('code', 'all it takes', $$SELECT define_code('loss_reason', 'c', 'C', 'price', 1, 'lost', '{competitor}', '{"size": ["m", "l"]}', 'm')$$),
    ('field_rule', 'each rule', $$SELECT define_field_rule('lead', 'f', 'source', source => 'crm', priority => 1), define_field_rule('lead', 'f', 'required', lifecycle => 'inbound', at_stage => 'sql'),
        define_field_rule('lead', 'f', 'domain', code_list => 'segment', condition => '{"f": {"given": true}}'), define_field_rule('lead', 'account', 'association'), define_field_rule('lead', 'f', 'immutable', enforcement => 'refuse')$$),
    ('sla', 'a recycling', $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', kind => 'recycle', lifecycle => 'inbound', to_stage => 'lead', max_times => 1)$$),
    ('sla', 'targets of segments only', $$SELECT define_sla('s', '{created}', '{touch_out}', segment => '{field_set}', owner => '{assigned}'), define_sla_target('s', '1 hour', 'enterprise', 'ann', 'office')$$),
    ('route', 'all it takes', $$SELECT define_route('r', 'desk', -1, '{"country": ["DE", "AT"]}', 'least_loaded', 'm', 'refuse')$$),
    ('hygiene', 'all it takes', $$SELECT define_hygiene('h', '{"a": {"given": true}}', '{"b": 1}', 'inbound', 'm', 'refuse')$$),
    ('metric', 'all it takes', $$SELECT define_metric('m', 'm', 'EUR', 'lower', 'p', 'n', 'd', 'amount', 'cohort', 'inbound', 'lead', 'sql', '30 days', '{"p": 1}', 0), assign('sales', 'accountable', 'metric', 'm', share => 1)$$),
    ('target', 'all it takes', $$SELECT define_target('win rate', '2025-02-01', '2025-02-02', 0, 'sales', -1, 1)$$),
    ('program', 'all it takes', $$SELECT define_program('p', 'experiment', 'm', 'fair', '{"segment": "enterprise"}', '{a, b}', 'planned')$$),
    ('responsibility', 'every role', $$SELECT assign('sales', role, 'stage', 'inbound/sql') FROM unnest('{accountable, responsible, consulted, informed, steward}'::text[]) AS role;
        SELECT assign('ann', role, 'party', 'sales') FROM unnest('{member, manager, approver, pool}'::text[]) AS role; SELECT assign('ann', 'pool', 'party', 'desk', weight => 0.5, capacity => 1)$$),
    ('responsibility', 'shares that are the whole', $$SELECT assign('sales', 'accountable', 'stage', 'inbound/sql', share => 0.4), assign('marketing', 'accountable', 'stage', 'inbound/sql', share => 0.6)$$),
    ('draft', 'the later word counts', $$SELECT define_program('p', 'party') WHERE false; SELECT define_program('p', 'tool'), define_program('p', 'asset'), retire('program', 'fair'), define_program('fair', 'motion')$$)) AS t (kind, problem, statement);

--
-- References, over time
--

SELECT is(outcome(statement, since, until, former), expected, title) FROM (VALUES
    ('a calendar for the same time', 'SELECT', $$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}'), define_lifecycle('l', calendar => 'c'), define_stage('l', 'a', 1)$$, '2025-03-01'::timestamptz, '2025-06-01'::timestamptz, 'accepted'),
    ('a stage after its lifecycle', $$SELECT agreed($i$SELECT define_lifecycle('l'), define_stage('l', 'a', 1)$i$, '2025-03-01', '2025-06-01')$$, $$SELECT define_stage('l', 'b', 2)$$, '2025-03-01', NULL,
        '23503 stage "l/b" refers to lifecycle "l", which is not in force all the while'),
    ('a stage before its lifecycle', $$SELECT agreed($i$SELECT define_lifecycle('l'), define_stage('l', 'a', 1)$i$, '2025-03-01', '2025-06-01')$$, $$SELECT define_stage('l', 'b', 2)$$, '2025-02-28', '2025-06-01',
        '23503 stage "l/b" refers to lifecycle "l", which is not in force all the while'),
    ('a stage within the time of its lifecycle', $$SELECT agreed($i$SELECT define_lifecycle('l'), define_stage('l', 'a', 1)$i$, '2025-03-01', '2025-06-01')$$, $$SELECT define_stage('l', 'b', 2)$$, '2025-03-01', '2025-06-01', 'accepted'),
    ('a calendar that ends before what refers to it', $$SELECT agreed($i$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}')$i$, '2025-01-01', '2025-06-01')$$, $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', calendar => 'c')$$,
        '2025-03-01', NULL, '23503 policy "s" refers to calendar "c", which is not in force all the while'),
    ('a calendar of two versions, one after the other', $$SELECT agreed($i$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}')$i$, '2025-01-01', '2025-06-01'), agreed($i$SELECT define_calendar('c', 'UTC', '{tue 09:00-17:00}')$i$, '2025-06-01')$$, $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', calendar => 'c')$$, '2025-03-01', NULL, 'accepted'),
    ('a calendar of two versions with a gap', $$SELECT agreed($i$SELECT define_calendar('c', 'UTC', '{mon 09:00-17:00}')$i$, '2025-01-01', '2025-06-01'), agreed($i$SELECT define_calendar('c', 'UTC', '{tue 09:00-17:00}')$i$, '2025-06-02')$$, $$SELECT define_sla('s', '{created}', '{touch_out}', '1 hour', calendar => 'c')$$, '2025-03-01', NULL, '23503 policy "s" refers to calendar "c", which is not in force all the while'),
    ('a segment retired under a target', $$SELECT agreed($i$SELECT define_sla_target('answer', '1 hour', segment => 'enterprise')$i$)$$, $$SELECT retire('code', 'segment/enterprise')$$, '2025-06-01', NULL,
        '23503 policy_target "answer/enterprise/" refers to code "segment/enterprise", which is not in force all the while'),
    ('a segment retired for a while only', $$SELECT agreed($i$SELECT define_sla_target('answer', '1 hour', segment => 'enterprise')$i$)$$, $$SELECT retire('code', 'segment/enterprise')$$, '2025-06-01', '2025-06-02',
        '23503 policy_target "answer/enterprise/" refers to code "segment/enterprise", which is not in force all the while'),
    ('a segment retired with its target', $$SELECT agreed($i$SELECT define_sla_target('answer', '1 hour', segment => 'enterprise')$i$)$$, $$SELECT retire('code', 'segment/enterprise'), retire('policy_target', 'answer/enterprise/')$$,
        '2025-06-01', NULL, 'accepted'),
    ('a calendar retired under a lifecycle', $$SELECT agreed($i$SELECT define_lifecycle('inbound', calendar => 'office')$i$)$$, $$SELECT retire('calendar', 'office')$$, '2025-06-01', NULL,
        '23503 lifecycle "inbound" refers to calendar "office", which is not in force all the while'),
    ('a calendar that the lifecycle leaves at the same time', $$SELECT agreed($i$SELECT define_lifecycle('inbound', calendar => 'office')$i$)$$, $$SELECT retire('calendar', 'office'), define_lifecycle('inbound')$$,
        '2025-06-01', NULL, 'accepted'),
    ('a stage retired under a transition', $$SELECT agreed($i$SELECT define_transition('inbound', 'lead', 'sql')$i$)$$, $$SELECT retire('stage', 'inbound/sql')$$, '2025-06-01', NULL,
        '23503 transition "inbound/lead/sql" refers to stage "inbound/sql", which is not in force all the while'),
    ('a stage retired with its transition', $$SELECT agreed($i$SELECT define_transition('inbound', 'lead', 'sql')$i$)$$, $$SELECT retire('stage', 'inbound/sql'), retire('transition', 'inbound/lead/sql')$$, '2025-06-01', NULL, 'accepted'),
    ('a lifecycle retired under an SLA', 'SELECT', $$SELECT retire('lifecycle', 'inbound')$$, '2025-06-01', NULL, '23503 policy "answer" refers to lifecycle "inbound", which is not in force all the while'),
    ('a program retired under its part', $$SELECT agreed($i$SELECT define_program('booth', parent => 'fair')$i$)$$, $$SELECT retire('program', 'fair')$$, '2025-06-01', NULL,
        '23503 program "booth" refers to program "fair", which is not in force all the while'),
    ('an owner who leaves the metric', 'SELECT', $$SELECT unassign('sales', 'accountable', 'metric', 'win rate'), assign('ann', 'accountable', 'metric', 'win rate')$$, '2025-06-01', NULL, 'accepted'),
    ('an owner who comes a day after the other has left', $$SELECT agreed($i$SELECT assign('ann', 'accountable', 'metric', 'win rate')$i$, '2025-06-02')$$, $$SELECT unassign('sales', 'accountable', 'metric', 'win rate')$$,
        '2025-06-01', NULL, '23514 metric "win rate" has no accountable party'),
    ('a place left by one stage and taken by the next', 'SELECT', $$SELECT define_stage('inbound', 'sql', 25), define_stage('inbound', 'sal', 20)$$, '2025-06-01', NULL, 'accepted'),
    ('a place taken while the other is still there', $$SELECT agreed($i$SELECT define_stage('inbound', 'sql', 25)$i$, '2025-06-02')$$, $$SELECT define_stage('inbound', 'sal', 20)$$, '2025-06-01', NULL,
        '23505 stages "inbound/sal" and "inbound/sql" have the same place')) AS t (title, former, statement, since, until, expected);

-- What ends with a lifecycle
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('brief'), define_stage('brief', 'a', 1), define_stage('brief', 'b', 2), define_transition('brief', 'a', 'b'),
    assign('sales', 'accountable', 'lifecycle', 'brief'), assign('sales', 'accountable', 'stage', 'brief/a')$i$), agreed($i$SELECT retire('lifecycle', 'brief')$i$, '2025-06-01')$$, 'a lifecycle comes and goes');
SELECT bag_eq($$SELECT v.action, v.kind, v.key, i.valid FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) WHERE v.key ~ 'brief' AND upper_inf(i.recorded)$$,
    $$SELECT action, kind, key, CASE action WHEN 'define' THEN tstzrange('2025-01-01', '2025-06-01') ELSE tstzrange('2025-06-01', NULL) END
      FROM (VALUES ('lifecycle', 'brief'), ('stage', 'brief/a'), ('stage', 'brief/b'), ('transition', 'brief/a/b'), ('responsibility', 'sales/accountable/lifecycle/brief'),
                   ('responsibility', 'sales/accountable/stage/brief/a')) AS k (kind, key), unnest('{define, retire}'::text[]) AS action$$, 'with its stages, transitions and owners');

--
-- Lifecycles as compiled
--

SELECT lives_ok($$SELECT agreed($i$
    SELECT define_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31', 'everybody''s');
    SELECT define_lifecycle('full', 'all there is', 'opportunity', 'strict', 'all', '90 days', 'increasing', 'cumulative', 'count', 'Europe/Berlin', 'berlin', 'refuse');
    SELECT define_stage('full', 'offer', 30), define_stage('full', 'meet', 10, is_pipeline => true), define_stage('full', 'trial', 20),
           define_stage('full', 'signed', 60, 'won'), define_stage('full', 'lost: price', 81, 'lost'), define_stage('full', 'lost: other', 82, 'lost'),
           define_stage('full', 'no answer', 5, 'no_decision'), define_stage('full', 'later', 6, 'recycled');
    SELECT define_lifecycle('life', subject_kind => 'account', skip => 'any', attempt => 'last', within => '1 month', visits => 'last'),
           define_stage('life', 'renewed', 30, 'active'), define_stage('life', 'gone', 1, 'churned'), define_stage('life', 'begin', 90), define_stage('life', 'at work', 20, 'active')$i$)$$, 'lifecycles with every category and every option');
SELECT is(lifecycle('full'), lifecycle('full', stages => '{meet, trial, offer}', won => 'signed', lost => '{lost: price, lost: other}', no_decision => '{no answer}',
    recycled => '{later}',
    marks => ARRAY(SELECT number_of('stage', 'full', s) FROM unnest('{meet, trial, offer, signed, lost: price, lost: other, no answer, later}'::text[]) WITH ORDINALITY AS t (s, no) ORDER BY no),
    skip => 'strict', attempt => 'all', within => '90 days', times => 'increasing', visits => 'cumulative', unknown => 'count', time_zone => 'Europe/Berlin',
    calendar => business_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31')),
    'it is compiled into the same as by hand: stages in the order of their places, within their category');
SELECT is(lifecycle('life'), lifecycle('life', stages => '{begin}', active => '{at work, renewed}', churned => '{gone}', skip => 'any', attempt => 'last', within => '1 month', visits => 'last',
    marks => ARRAY(SELECT number_of('stage', 'life', s) FROM unnest('{begin, at work, renewed, gone}'::text[]) WITH ORDINALITY AS t (s, no) ORDER BY no)), 'one of customers too');
SELECT is(lifecycle('inbound'), lifecycle('inbound', stages => '{lead, sql}', won => 'won', lost => '{lost}',
    marks => ARRAY[number_of('stage', 'inbound', 'lead'), number_of('stage', 'inbound', 'sql'), number_of('stage', 'inbound', 'won'), number_of('stage', 'inbound', 'lost')]), 'defaults are those of lifecycle()');
SELECT is(business_calendar('berlin'), business_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31'),
    'a calendar is compiled into the same as by hand');
SELECT is(said($$SELECT lifecycle('full'::text)$$), lifecycle('full')::text, 'named by a text or by a literal');
SELECT is(said($$SELECT business_calendar('berlin'::text)$$), business_calendar('berlin')::text, 'a calendar too');
SELECT is(lifecycle('full', model_at => now()), lifecycle('full'), 'as of now');
SELECT ok(count(*) = count(DISTINCT number) FILTER (WHERE is_mark) + count(DISTINCT number) FILTER (WHERE NOT is_mark) AND count(*) > 20, 'no two marks, no two codes have one number') FROM revacct_data.numbering;
SELECT throws_ok($$SELECT lifecycle('full', model_at => '2024-12-31')$$, '42704', 'lifecycle "full" is not in force', 'not before it was agreed');
SELECT throws_ok($$SELECT lifecycle('fool')$$, '42704', 'lifecycle "fool" is not in force', 'not what was never agreed');
SELECT throws_ok($$SELECT lifecycle('brief')$$, '42704', 'lifecycle "brief" is not in force', 'not what is retired');
SELECT is(lifecycle('brief', model_at => '2025-05-31')::text, 'brief: ' || substr(lifecycle('x', stages => '{a, b}', marks => ARRAY[number_of('stage', 'brief', 'a'), number_of('stage', 'brief', 'b')])::text, 4), 'but as of when it was');

-- Retired stages: a chain (mal, then sal, then opp), and two into one (mal and mql into sal).
CREATE TEMP TABLE moment (name text, known timestamptz);
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('path'), define_stage('path', 'lead', 1), define_stage('path', 'mal', 2), define_stage('path', 'mql', 3), define_stage('path', 'sal', 4), define_stage('path', 'opp', 5), define_stage('path', 'won', 9, 'won')$i$)$$);
INSERT INTO moment SELECT 'before', clock_timestamp();
SELECT lives_ok($$SELECT agreed($i$SELECT retire('stage', 'path/mal', 'path/sal'), retire('stage', 'path/mql', 'path/sal')$i$, '2025-03-01')$$);
SELECT lives_ok($$SELECT agreed($i$SELECT retire('stage', 'path/sal', 'path/opp')$i$, '2025-06-01')$$);
SELECT lives_ok($$SELECT agreed($i$SELECT retire('stage', 'path/lead')$i$, '2025-09-01')$$);
CREATE TEMP VIEW n AS SELECT number_of('stage', 'path', 'lead') AS lead, number_of('stage', 'path', 'mal') AS mal, number_of('stage', 'path', 'mql') AS mql, number_of('stage', 'path', 'sal') AS sal,
    number_of('stage', 'path', 'opp') AS opp, number_of('stage', 'path', 'won') AS won;
SELECT is(lifecycle('path', model_at => '2025-02-28 23:59:59.999999'), lifecycle('path', stages => '{lead, mal, mql, sal, opp}', won => 'won', marks => ARRAY[lead, mal, mql, sal, opp, won]), 'before anything is retired') FROM n;
SELECT is(lifecycle('path', model_at => '2025-03-01'), lifecycle('path', stages => '{lead, sal, opp}', won => 'won', marks => ARRAY[lead, sal || ' ' || mal || ' ' || mql, opp, won]), 'two that are counted as one') FROM n;
SELECT is(lifecycle('path', model_at => '2025-06-01'), lifecycle('path', stages => '{lead, opp}', won => 'won', marks => ARRAY[lead, opp || ' ' || mal || ' ' || mql || ' ' || sal, won]), 'and then as another') FROM n;
SELECT is(lifecycle('path'), lifecycle('path', stages => '{opp}', won => 'won', marks => ARRAY[opp || ' ' || mal || ' ' || mql || ' ' || sal, won]), 'one that is counted as none') FROM n;
SELECT is(lifecycle('path', model_at => '2025-06-01', known_at => known), lifecycle('path', stages => '{lead, mal, mql, sal, opp}', won => 'won', marks => ARRAY[lead, mal, mql, sal, opp, won]), 'as it was known before') FROM n, moment WHERE name = 'before';
SELECT is(ARRAY(SELECT coalesce(counted_as('stage', 'path/' || s, model_at => at), '-') FROM unnest('{lead, mal, mql, sal, opp, none}'::text[]) WITH ORDINALITY AS t (s, no) ORDER BY no), expected, 'counted as, at ' || at) FROM (VALUES
    ('2024-12-31'::timestamptz, '{-,-,-,-,-,-}'::text[]), ('2025-01-01', '{path/lead,path/mal,path/mql,path/sal,path/opp,-}'), ('2025-03-01', '{path/lead,path/sal,path/sal,path/sal,path/opp,-}'),
    ('2025-06-01', '{path/lead,path/opp,path/opp,path/opp,path/opp,-}'), ('2025-09-01', '{-,path/opp,path/opp,path/opp,path/opp,-}')) AS t (at, expected);
SELECT is(counted_as('stage', 'path/mal', known_at => known), 'path/mal', 'counted as, as it was known before') FROM moment WHERE name = 'before';
SELECT is(ARRAY(SELECT mark('path', s)::text FROM unnest('{lead, mal, mql, sal, opp, won}'::text[]) WITH ORDINALITY AS t (s, no) ORDER BY no), ARRAY[lead, mal, mql, sal, opp, won], 'the mark of a stage by its name, retired or not') FROM n;
SELECT is(mark('path', 'touch_out')::text || mark(NULL, 'touch_out') || coalesce(mark('path', NULL), 0), number_of('event', 'touch_out') || number_of('event', 'touch_out') || 0, 'the mark of a kind of event');
SELECT throws_ok($$SELECT mark('path', 'none')$$, '22023', 'there is no stage "none" of lifecycle "path", and no such kind of event', 'the mark of nothing');
SELECT throws_ok($$SELECT mark('inbound', 'mal')$$, '22023', 'there is no stage "mal" of lifecycle "inbound", and no such kind of event', 'the mark of another lifecycle''s stage');
-- Back again: its marks are its own.
SELECT lives_ok($$SELECT agreed($i$SELECT define_stage('path', 'mql', 3)$i$, '2025-10-01')$$);
SELECT is(lifecycle('path'), lifecycle('path', stages => '{mql, opp}', won => 'won', marks => ARRAY[mql, opp || ' ' || mal || ' ' || sal, won]), 'one that comes back') FROM n;

-- Places in the order are not marks.
SELECT lives_ok($$SELECT agreed($i$SELECT define_stage('inbound', 'sql', 5), define_stage('inbound', 'new', 20)$i$, '2025-06-01')$$);
SELECT is(lifecycle('inbound'), lifecycle('inbound', stages => '{sql, lead, new}', won => 'won', lost => '{lost}', marks => ARRAY(SELECT number_of('stage', 'inbound', s) FROM unnest('{sql, lead, new, won, lost}'::text[]) WITH ORDINALITY AS t (s, no) ORDER BY no)),
    'stages that change places keep their marks');
SELECT is(mark(lifecycle('inbound'), 'sql'), mark(lifecycle('inbound', model_at => '2025-05-31'), 'sql'), 'so what was folded by them stays right');
SELECT is(entered(j, lifecycle('inbound'), 'sql'), '2025-05-01', 'a journey of before is read by what holds now') FROM (SELECT journey(mark(lifecycle('inbound', model_at => '2025-05-01'), 'sql'), '2025-05-01') AS j) AS t;

--
-- SLAs as compiled
--

SELECT lives_ok($$SELECT agreed($i$
    SELECT define_code('event', 'waits for us'), define_code('event', 'waits for them'), define_code('segment', 'small'), define_code('segment', 'big');
    SELECT define_sla('whole', '{lead, created}', '{won, touch_out}', '8 hours', 'berlin', 'all there is', lifecycle => 'inbound', pause => '{waits for them}', resume => '{waits for us}', reset => '{reopened}', cancel => '{lost}',
        segment => '{field_set}', owner => '{assigned}', promise => '{meeting_set}', warnings => '{0.5, 0.9}', reopen => 'restart', on_change => 'restart', phases => '{routing until assigned, human}', max_clocks => 3, beyond => 'breach', enforcement => 'refuse');
    SELECT define_sla_target('whole', '1 hour', segment => 'big'), define_sla_target('whole', '2 days', owner => 'desk', calendar => NULL) WHERE false;
    SELECT define_sla_target('whole', '1 hour', segment => 'big'), define_sla_target('whole', '3 hours', owner => 'desk', calendar => 'office'), define_sla_target('whole', '30 minutes', segment => 'big', owner => 'ann');
    SELECT define_step('whole', 'breach', 'sales'), define_step('whole', '80%', 'owner'), define_step('whole', 'breach + 4 hours', 'ann', 'reassign')$i$)$$, 'an SLA with every option');
CREATE FUNCTION berlin() RETURNS business_calendar LANGUAGE sql AS $$
    SELECT business_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31')
$$;
CREATE FUNCTION the_whole(version text DEFAULT '1', valid tstzrange DEFAULT NULL, target interval DEFAULT '8 hours', berlin business_calendar DEFAULT berlin(), big text DEFAULT '1', big_target interval DEFAULT '1 hour') RETURNS sla[] LANGUAGE sql AS $$
    SELECT array_agg(sla('whole', start => '{lead, created}', stop => '{won, touch_out}', pause => '{waits for them}', resume => '{waits for us}', reset => '{reopened}', cancel => '{lost}', segment => '{field_set}', owner => '{assigned}',
        promise => '{meeting_set}', warnings => '{0.5, 0.9}', reopen => 'restart', change => 'restart', phases => '{routing until assigned, human}', max_clocks => 3, beyond => 'breach', escalations => '{80% to owner, breach + 4 hours to ann, breach to sales}',
        marks => ARRAY(SELECT name || '=' || coalesce(number_of('stage', 'inbound', name), number_of('event', name))
                       FROM unnest('{lead, created, won, touch_out, waits for them, waits for us, reopened, lost, field_set, assigned, meeting_set}'::text[]) WITH ORDINALITY AS m (name, no) ORDER BY no),
        target => p.target, calendar => p.calendar, version => p.version, valid => the_whole.valid, segments => p.segments, owners => p.owners) ORDER BY p.no)
    FROM (VALUES (1, the_whole.target, berlin, the_whole.version, NULL::bigint[], NULL::bigint[]),
                 (2, big_target, berlin, big, ARRAY[number_of('code', 'segment', 'big')::bigint], NULL),
                 (3, '3 hours', business_calendar('office'), '1', NULL, ARRAY[(SELECT party_no FROM revacct_data.party WHERE party = 'desk')]),
                 (4, '30 minutes', berlin, '1', ARRAY[number_of('code', 'segment', 'big')::bigint], ARRAY[(SELECT party_no FROM revacct_data.party WHERE party = 'ann')])) AS p (no, target, calendar, version, segments, owners)
$$;
SELECT is(sla('whole', model_at => now())::text, sla(the_whole())::text, 'is compiled into the same as by hand, when its terms are taken for all times');
SELECT is(said('SELECT sla(''whole'')'), sla(the_whole(valid => '[2025-01-01,)'))::text, 'and into the same in its own time');
SELECT is(said('SELECT sla(''whole''::text)'), sla('whole')::text, 'named by a text or by a literal');
SELECT is(sla('whole', model_at => NULL), sla('whole'), 'model_at NULL: every version in its own time');
SELECT throws_ok($$SELECT sla('whole', model_at => '2024-12-31')$$, '42704', 'policy "whole" is not in force', 'not before it was agreed');

-- Versions, each in its own time
INSERT INTO moment SELECT 'first', clock_timestamp();
SELECT lives_ok($$SELECT agreed($i$
    SELECT define_sla('whole', '{lead, created}', '{won, touch_out}', '6 hours', 'berlin', 'all there is', lifecycle => 'inbound', pause => '{waits for them}', resume => '{waits for us}', reset => '{reopened}', cancel => '{lost}',
        segment => '{field_set}', owner => '{assigned}', promise => '{meeting_set}', warnings => '{0.5, 0.9}', reopen => 'restart', on_change => 'restart', phases => '{routing until assigned, human}', max_clocks => 3, beyond => 'breach')$i$, '2025-06-01')$$, 'a second version');
INSERT INTO moment SELECT 'second', clock_timestamp();
SELECT is(said('SELECT sla(''whole'')'), sla(the_whole(valid => '[2025-01-01,2025-06-01)') || the_whole('2', '[2025-06-01,)', '6 hours'))::text, 'two versions, each in its own time');
SELECT is(sla('whole', model_at => '2025-05-31')::text, sla(the_whole())::text, 'the first for all times');
SELECT is(sla('whole', model_at => '2025-06-01')::text, sla(the_whole('2', target => '6 hours'))::text, 'the second for all times');
SELECT is(sla('whole', model_at => NULL, known_at => known)::text, sla(the_whole(valid => '[2025-01-01,)'))::text, 'as it was known before') FROM moment WHERE name = 'first';
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla_target('whole', '2 hours', segment => 'big')$i$, '2025-03-01', '2025-04-01')$$, 'a target of a month');
SELECT is(said('SELECT sla(''whole'')'), sla(the_whole(valid => '[2025-01-01,2025-03-01)') || the_whole(valid => '[2025-03-01,2025-04-01)', big => '2', big_target => '2 hours') || the_whole(valid => '[2025-04-01,2025-06-01)') || the_whole('2', '[2025-06-01,)', '6 hours'))::text,
    'another target for a month, then the former again');
SELECT lives_ok($$SELECT agreed($i$SELECT define_calendar('berlin', 'Europe/Berlin', '{mon-fri 09:00-12:00 13:00-17:00, sat 10:00-12:00}', '{2025-12-24 09:00-12:00}', '{2025-01-06 12:00-13:00}', '{2025-12-25, 2025-12-26}', '2025-12-31', 'others''')$i$, '2025-08-01')$$);
SELECT is(said('SELECT sla(''whole'')'), sla(the_whole(valid => '[2025-01-01,2025-03-01)') || the_whole(valid => '[2025-03-01,2025-04-01)', big => '2', big_target => '2 hours') || the_whole(valid => '[2025-04-01,2025-06-01)') || the_whole('2', '[2025-06-01,)', '6 hours'))::text,
    'a calendar that says the same makes no difference');
SELECT lives_ok($$SELECT agreed($i$SELECT define_calendar('berlin', 'Europe/Berlin', '{mon-fri 08:00-12:00}')$i$, '2025-09-01')$$);
SELECT is(said('SELECT sla(''whole'')'), sla(the_whole(valid => '[2025-01-01,2025-03-01)') || the_whole(valid => '[2025-03-01,2025-04-01)', big => '2', big_target => '2 hours') || the_whole(valid => '[2025-04-01,2025-06-01)')
    || the_whole('2', '[2025-06-01,2025-09-01)', '6 hours') || the_whole('2', '[2025-09-01,)', '6 hours', business_calendar('berlin', 'Europe/Berlin', '{mon-fri 08:00-12:00}')))::text, 'one that says something else does');
SELECT is(sla('whole', model_at => NULL, known_at => known)::text, sla(the_whole(valid => '[2025-01-01,2025-06-01)') || the_whole('2', '[2025-06-01,)', '6 hours'))::text,
    'and all this is not known as of before') FROM moment WHERE name = 'second';
SELECT throws_ok($$SELECT agreed($i$SELECT retire('policy', 'whole')$i$, '2025-10-01'); SELECT sla('whole', model_at => '2025-10-01')$$, '42704', 'policy "whole" is not in force', 'retired, it is not in force');
SELECT lives_ok($$SELECT agreed($i$SELECT retire('policy', 'whole')$i$, '2025-10-01')$$);
SELECT alike(sla('whole')::text, '%2025-10-01%', 'but its versions still are, each in its own time');
SELECT unalike(sla('whole')::text, '%2025-10-01%infinity%', 'until then');

-- A gap between two versions is no version.
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('gap', '{created}', '{touch_out}', '1 hour')$i$, '2025-01-01', '2025-02-01'), agreed($i$SELECT define_sla('gap', '{created}', '{touch_out}', '2 hours')$i$, '2025-03-01')$$);
SELECT is(said('SELECT sla(''gap'')'), (SELECT sla(ARRAY[sla('gap', start => '{created}', stop => '{touch_out}', marks => m, target => '1 hour', version => '1', valid => '[2025-01-01,2025-02-01)'),
    sla('gap', start => '{created}', stop => '{touch_out}', marks => m, target => '2 hours', version => '2', valid => '[2025-03-01,)')]) FROM (SELECT ARRAY['created=' || number_of('event', 'created'), 'touch_out=' || number_of('event', 'touch_out')] AS m) AS t)::text, 'a gap between versions');
SELECT throws_ok($$SELECT sla('gap', model_at => '2025-02-15')$$, '42704', 'policy "gap" is not in force', 'is a time of no SLA');

-- A clock goes by a stage's own mark: what comes to be counted as that stage neither starts nor stops it.
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('short'), define_stage('short', 'in', 1), define_stage('short', 'sal', 2), define_stage('short', 'sql', 3), define_stage('short', 'out', 4)$i$)$$);
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('handover', '{sql}', '{out}', '1 hour', lifecycle => 'short')$i$, '2025-01-01')$$);
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('handover', '{sql}', '{out}', '2 hours', lifecycle => 'short')$i$, '2025-03-01')$$);
INSERT INTO moment SELECT 'no stage retired', clock_timestamp();
SELECT lives_ok($$SELECT agreed($i$SELECT retire('stage', 'short/sal', 'short/sql')$i$, '2025-06-01')$$, 'a stage is retired under an SLA of two versions');
CREATE FUNCTION the_handover(sql text) RETURNS sla LANGUAGE sql AS $$
    SELECT sla(ARRAY[sla('handover', start => '{sql}', stop => '{out}', marks => m, target => '1 hour', version => '1', valid => '[2025-01-01,2025-03-01)'),
                     sla('handover', start => '{sql}', stop => '{out}', marks => m, target => '2 hours', version => '2', valid => '[2025-03-01,)')])
    FROM (SELECT ARRAY['sql=' || $1, 'out=' || number_of('stage', 'short', 'out')] AS m) AS t
$$;
SELECT is(said('SELECT sla(''handover'')'), the_handover(number_of('stage', 'short', 'sql'))::text, 'which starts no clock of its successor''s');
SELECT is(sla('handover', model_at => NULL, known_at => known)::text, the_handover(number_of('stage', 'short', 'sql'))::text, 'nor as it was known before') FROM moment WHERE name = 'no stage retired';

-- follow_up, recycle and promises are SLAs; routes and hygiene are not.
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('call back', '{disposition_set}', '{touch_out}', '3 days', kind => 'follow_up'), define_sla('again', '{lost}', '{reopened}', '30 days', kind => 'recycle', lifecycle => 'inbound', to_stage => 'lead', max_times => 2),
    define_sla('as promised', '{created}', '{touch_out}', promise => '{meeting_set}'), define_hygiene('tidy', '{"email": {"given": true}}')$i$)$$);
SELECT is(sla('call back', model_at => now())::text, sla('call back', start => '{disposition_set}', stop => '{touch_out}', target => '3 days', version => '1', marks => ARRAY['disposition_set=' || number_of('event', 'disposition_set'), 'touch_out=' || number_of('event', 'touch_out')])::text, 'a follow-up');
SELECT is(sla('again', model_at => now())::text, sla('again', start => '{lost}', stop => '{reopened}', target => '30 days', version => '1', marks => ARRAY['lost=' || number_of('stage', 'inbound', 'lost'), 'reopened=' || number_of('event', 'reopened')])::text, 'a recycling');
SELECT is(sla('as promised', model_at => now())::text, sla('as promised', start => '{created}', stop => '{touch_out}', promise => '{meeting_set}', version => '1',
    marks => ARRAY['created=' || number_of('event', 'created'), 'touch_out=' || number_of('event', 'touch_out'), 'meeting_set=' || number_of('event', 'meeting_set')])::text, 'a promise, without a target');
SELECT throws_ok($$SELECT sla('desk first')$$, '42704', 'policy "desk first" is not in force', 'a route is no SLA');
SELECT throws_ok($$SELECT sla('tidy')$$, '42704', 'policy "tidy" is not in force', 'hygiene is no SLA');
SELECT throws_ok($$SELECT sla('none')$$, '42704', 'policy "none" is not in force', 'what was never agreed is no SLA');


-- Events
SELECT is(outcome(format('SELECT define_sla(''s'', ARRAY[%L], ''{custom}'', ''1 hour''), define_code(''event'', ''custom'')', e)), 'accepted', 'everybody knows the event ' || e)
FROM unnest('{created, stage_entered, field_set, assigned, offered, accepted, rejected, expired, touch_out, touch_in, auto_reply, meeting_set, meeting_held, meeting_no_show, disposition_set, recycled, reopened, merged, paused, resumed, escalated, feedback,
    asset_used, asset_shared, training_done, coached, tool_used, service_opened, service_closed, survey, referral, exposed, override}'::text[]) AS e;
SELECT is(outcome(replace($$SELECT define_sla('s', start => '{created}', stop => '{touch_out}', pause => '{paused}', resume => '{resumed}', reset => '{reopened}', cancel => '{merged}', segment => '{field_set}', owner => '{assigned}', promise => '{meeting_set}',
    phases => '{routing until offered, human}', target => '1 hour')$$, event, event || 'x')), format('23503 policy "s" refers to code "event/%sx", which is not in force all the while', event), 'misspelt: ' || event)
FROM unnest('{created, touch_out, paused, resumed, reopened, merged, field_set, assigned, meeting_set, offered}'::text[]) AS event;
SELECT is(outcome($$SELECT define_sla('s', '{lead}', '{touch_out}', '1 hour')$$), '23503 policy "s" refers to code "event/lead", which is not in force all the while', 'a stage without its lifecycle');
SELECT is(outcome($$SELECT define_sla('s', '{mql}', '{touch_out}', '1 hour', lifecycle => 'inbound')$$), '23503 policy "s" refers to code "event/mql", which is not in force all the while', 'a stage of another lifecycle');
SELECT is(outcome($$SELECT retire('code', 'event/rings')$$, '2025-06-01', NULL, $$SELECT agreed($i$SELECT define_code('event', 'rings'), define_sla('s', '{rings}', '{touch_out}', '1 hour')$i$)$$),
    '23503 policy "s" refers to code "event/rings", which is not in force all the while', 'an event that is retired under an SLA');
-- What is only drafted is no stage, whoever drafted it.
SELECT is(outcome($$SELECT define_sla('s', '{lead}', '{drafted}', '1 hour', lifecycle => 'inbound')$$), '23503 policy "s" refers to code "event/drafted", which is not in force all the while', 'a stage that nobody has drafted');
SET SESSION AUTHORIZATION model_cleo;
SELECT draft_change('an idea'), define_stage('inbound', 'drafted', 98), define_stage('inbound', 'touch_in', 99) \g /dev/null
RESET SESSION AUTHORIZATION;
SELECT is(outcome($$SELECT define_sla('s', '{lead}', '{drafted}', '1 hour', lifecycle => 'inbound')$$), '23503 policy "s" refers to code "event/drafted", which is not in force all the while', 'a stage that is only drafted');
SELECT is(outcome($$SELECT define_sla('s', '{lead}', '{touch_in}', '1 hour', lifecycle => 'inbound')$$), 'accepted', 'an event whose name somebody would give to a stage');
-- A stage that comes later takes no event's place in what was agreed, and known, before.
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('reply', '{lead}', '{feedback}', '1 hour', lifecycle => 'inbound')$i$)$$);
CREATE TEMP TABLE reply AS SELECT clock_timestamp() AS known, sla('reply') AS s;
SELECT lives_ok($$SELECT agreed($i$SELECT define_stage('inbound', 'feedback', 97)$i$, '2025-11-01')$$);
SELECT is(sla('reply', model_at => NULL, known_at => known)::text, s::text, 'an SLA as known at a time is what it was then') FROM reply;

--
-- The numbers: the same as under values made by hand
--

CREATE TEMP TABLE events (subject int, stage text, at timestamptz);
INSERT INTO events VALUES
    (1, 'lead', '2025-02-03 09:00'), (1, 'mal', '2025-02-04 10:00'), (1, 'sal', '2025-02-10 12:00'), (1, 'opp', '2025-02-20 12:00'), (1, 'won', '2025-03-01 08:00'),
    (2, 'lead', '2025-02-03 09:30'), (2, 'mql', '2025-02-05 10:00'), (2, 'mal', '2025-02-06 10:00'), (2, 'lead', '2025-02-07 10:00'), (2, 'opp', '2025-04-01 08:00'),
    (3, 'lead', '2025-02-04 09:00'), (4, 'mql', '2025-02-05 11:00'), (4, 'sal', '2025-02-05 11:00'), (4, 'won', '2025-05-01 00:00'), (5, 'opp', '2025-02-06 00:00'), (5, 'mal', '2025-02-07 00:00');
CREATE TEMP TABLE journeys AS SELECT subject, journey(mark(lifecycle('path', model_at => '2025-01-01'), stage), at) AS j FROM events GROUP BY subject;
CREATE TEMP TABLE values_ (title text, governed lifecycle, own lifecycle);
INSERT INTO values_
    SELECT 'before', lifecycle('path', model_at => '2025-01-01'), lifecycle('path', stages => '{lead, mal, mql, sal, opp}', won => 'won', marks => ARRAY[lead, mal, mql, sal, opp, won]) FROM n
    UNION ALL SELECT 'two into one', lifecycle('path', model_at => '2025-03-01'), lifecycle('path', stages => '{lead, sal, opp}', won => 'won', marks => ARRAY[lead, sal || ' ' || mal || ' ' || mql, opp, won]) FROM n
    UNION ALL SELECT 'a chain', lifecycle('path', model_at => '2025-06-01'), lifecycle('path', stages => '{lead, opp}', won => 'won', marks => ARRAY[lead, opp || ' ' || mal || ' ' || mql || ' ' || sal, won]) FROM n;
SELECT is(funnel_conversion(j, governed, '2025-06-01')::text, funnel_conversion(j, own, '2025-06-01')::text, 'funnel, ' || title) FROM journeys, values_ GROUP BY title ORDER BY title;
SELECT is(stage_velocity(j, governed, '2025-06-01')::text, stage_velocity(j, own, '2025-06-01')::text, 'velocity, ' || title) FROM journeys, values_ GROUP BY title ORDER BY title;
-- What was done by the retired stages is counted as done by their successors, so counted by hand here.
SELECT is(entered(f, 'sal') || ' ' || observed(f, 'sal') || ' ' || converted(f, 'lead'), expected, 'entered and observed in sal, converted from lead: ' || title)
FROM (SELECT title, funnel_conversion(j, governed, '2025-06-01') AS f FROM journeys, values_ WHERE title <> 'a chain' GROUP BY title) AS t JOIN (VALUES ('before', '4 2 4'), ('two into one', '4 4 4')) AS e (title, expected) USING (title) ORDER BY title;
-- Clocks, with pauses, segments and owners
CREATE TEMP TABLE clock_events (subject int, name text, at timestamptz, value bigint);
INSERT INTO clock_events VALUES
    (1, 'lead', '2025-02-03 09:00', NULL), (1, 'field_set', '2025-02-03 09:00', number_of('code', 'segment', 'big')::bigint), (1, 'assigned', '2025-02-03 09:10', (SELECT party_no FROM revacct_data.party WHERE party = 'ann')), (1, 'touch_out', '2025-02-03 09:50', NULL),
    (2, 'created', '2025-02-03 09:00', NULL), (2, 'waits for them', '2025-02-03 12:30', NULL), (2, 'waits for us', '2025-02-05 12:30', NULL), (2, 'touch_out', '2025-02-06 09:30', NULL),
    (3, 'lead', '2025-07-07 09:00', NULL), (3, 'assigned', '2025-07-07 10:00', (SELECT party_no FROM revacct_data.party WHERE party = 'desk')), (3, 'won', '2025-07-08 16:00', NULL),
    (4, 'lead', '2025-03-03 09:00', NULL), (4, 'field_set', '2025-03-03 09:30', number_of('code', 'segment', 'big')::bigint), (4, 'touch_out', '2025-03-03 10:20', NULL),
    (5, 'lead', '2025-07-07 09:00', NULL), (5, 'lost', '2025-07-07 10:00', NULL), (6, 'lead', '2025-07-07 09:00', NULL);
CREATE TEMP TABLE clocked AS SELECT subject, journey(mark(sla('whole'), name), at, value) AS j FROM clock_events GROUP BY subject;
CREATE TEMP TABLE whole AS SELECT sla(the_whole(valid => '[2025-01-01,2025-03-01)') || the_whole(valid => '[2025-03-01,2025-04-01)', big => '2', big_target => '2 hours')
    || the_whole(valid => '[2025-04-01,2025-06-01)') || the_whole('2', '[2025-06-01,2025-09-01)', '6 hours')
    || the_whole('2', '[2025-09-01,2025-10-01)', '6 hours', business_calendar('berlin', 'Europe/Berlin', '{mon-fri 08:00-12:00}'))) AS own;
SELECT is(said('SELECT sla(''whole'')'), own::text, 'the SLA by hand') FROM whole;
SELECT is(sla_breach(j, (SELECT sla('whole')), '2025-07-10')::text, sla_breach(j, own, '2025-07-10')::text, 'clocks, by what was agreed at their time') FROM clocked, whole GROUP BY own::text;
SELECT is(sla_breach(j, (SELECT sla('whole', model_at => '2025-01-01')), '2025-07-10')::text, sla_breach(j, (SELECT sla(the_whole())), '2025-07-10')::text, 'clocks, by the first terms') FROM clocked;
-- Counted by hand, in Berlin, where a change of owner or segment begins it anew: 1 has 30 minutes and takes 40, from 10:10 on; 2 works from 10:00 to 12:00 and 13:00 to 13:30, waits two days, then 13:30 to 17:00
-- and 09:00 to 10:30; 3 is the desk's from 12:00 on, whose office has no break, and waits for the next day's end; 4 has 2 hours that month, from 10:30 to 11:20; 5 is cancelled after an hour; 6 waits from 11:00 for two days.
SELECT results_eq($$SELECT subject, c.status, c.version, c.target, c.elapsed FROM clocked, sla_clocks(j, (SELECT sla('whole')), '2025-07-09 09:00') AS c ORDER BY subject$$,
    $$VALUES (1, 'breached', '1', interval '30 minutes', interval '40 minutes'), (2, 'met', '1', '8 hours', '7.5 hours'), (3, 'breached', '1', '3 hours', '13 hours'), (4, 'met', '2', '2 hours', '50 minutes'),
             (5, 'cancelled', '2', '6 hours', '1 hour'), (6, 'breached', '2', '6 hours', '14 hours')$$, 'each clock by its own target');
SELECT is(sla_breach(j, (SELECT sla('whole', model_at => '2025-07-01')), '2025-07-10')::text = sla_breach(j, (SELECT sla('whole')), '2025-07-10')::text, false, 'what holds now is not what held then') FROM clocked;

--
-- Names as varchar, and settings of the session
--

CREATE TEMP TABLE named (lifecycle varchar, sla varchar(20), calendar varchar);
INSERT INTO named VALUES ('inbound', 'handover', 'office');
SELECT is(lifecycle(n.lifecycle)::text, lifecycle('inbound')::text, 'a lifecycle by a varchar') FROM named AS n;
SELECT is(sla(n.sla)::text, sla('handover')::text, 'an SLA by a varchar') FROM named AS n;
SELECT is(business_calendar(n.calendar)::text, business_calendar('office')::text, 'a calendar by a varchar') FROM named AS n;
SELECT is(lifecycle(n.lifecycle, model_at => now())::text || sla(n.sla, model_at => now()) || business_calendar(n.calendar, now()), lifecycle('inbound', model_at => now())::text || sla('handover', model_at => now()) || business_calendar('office', now()),
    'as of a time, too') FROM named AS n;
SELECT throws_ok($$SELECT lifecycle('none'::varchar)$$, '42704', 'lifecycle "none" is not in force', 'a varchar that names nothing');

CREATE TABLE odd (setting text, value text);
INSERT INTO odd VALUES ('standard_conforming_strings', 'off'), ('plpgsql.extra_errors', 'all'), ('datestyle', 'SQL, DMY'), ('intervalstyle', 'sql_standard'), ('timezone', 'Pacific/Kiritimati'), ('escape_string_warning', 'off');
CREATE FUNCTION oddly(statements text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    former constant jsonb := (SELECT jsonb_object_agg(setting, current_setting(setting)) FROM odd);
    answer text;
BEGIN
    PERFORM set_config(setting, value, true) FROM odd;
    BEGIN
        EXECUTE statements INTO answer;
    EXCEPTION WHEN OTHERS THEN
        answer := SQLSTATE || ' ' || SQLERRM;
    END;
    PERFORM set_config(key, value, true) FROM jsonb_each_text(former);
    RETURN answer;
END $$;
-- One of each kind, whole and with nothing but its names, drafted, proposed, signed and asked for.
SELECT matches(oddly(format('SELECT agreed(%L)', replace(s, 'A/B', replace(n, '''', '''''')))), '^\d+$', 'agreed in an odd session: ' || n) FROM (VALUES ($i$
    SELECT define_calendar('odd A/B', 'Europe/Berlin', '{mon-fri 09:00-17:00}', '{2025-12-24 09:00-12:00}', '{mon 12:00-13:00}', '{2025-12-25}', '2025-12-31'), define_lifecycle('odd A/B', within => '1 mon 14 days 02:00', calendar => 'odd A/B'),
           define_code('event', 'odd A/B'), define_code('segment', 'odd A/B', condition => '{"size": {"at_least": 1.5}}'), define_code('journey', 'odd A/B'), define_code('odd', 'top A/B'), define_code('odd', 'A/B', parent => 'top A/B');
    SELECT define_stage('odd A/B', 'A/B', 1, journey_place => 'odd A/B', max_age => '14 days 00:30'), define_stage('odd A/B', 'won', 2, 'won'), define_stage('odd A/B', 'gone', 3), define_transition('odd A/B', 'A/B', 'won', guard => '{"a": 1}', code_list => 'odd', min_codes => 1),
           define_transition('odd A/B', NULL, 'A/B', 'enter'), define_field_rule('odd', 'A/B', 'source', 'crm', 1), define_field_rule('odd', 'A/B', 'domain', code_list => 'odd');
    SELECT define_sla('odd A/B', ARRAY['A/B'], ARRAY['won', 'odd A/B'], '90 minutes', 'odd A/B', lifecycle => 'odd A/B', segment => '{field_set}', owner => '{assigned}', phases => '{first until touch_out, last}'), define_sla_target('odd A/B', '45 minutes', segment => 'odd A/B'),
           define_sla_target('odd A/B', '26:00', owner => 'desk'), define_step('odd A/B', '80%', 'owner'), define_step('odd A/B', 'breach', 'sales'), define_route('odd route A/B', 'sales', 1), define_hygiene('odd hygiene A/B', '{"a": 1}');
    SELECT define_metric('odd A/B', 'm', lifecycle => 'odd A/B', at_stage => 'A/B', time_window => '30 days'), define_target('odd A/B', '2025-02-01', '2025-03-04', 0.5), define_program('odd A/B', codes => jsonb_build_object('segment', 'odd A/B')),
           assign('sales', 'accountable', 'metric', object_key('odd A/B'), 0.5), assign('marketing', 'accountable', 'metric', object_key('odd A/B'), 0.25)$i$)) AS t (s), unnest('{odd, "o/d\"d", odd''s}'::text[]) AS n;
SELECT is((SELECT (d.period_start, d.period_end, extract(epoch FROM m.time_window), extract(epoch FROM l.within))::text FROM revacct_data.target AS d JOIN revacct_data.metric AS m USING (metric) JOIN revacct_data.lifecycle AS l USING (lifecycle) WHERE metric = 'odd odd'),
    '(2025-02-01,2025-03-04,2592000.000000,3808800.000000)', 'what is drafted there says what was said');
SELECT is(oddly(q), said(q), 'compiled in an odd session: ' || q) FROM unnest(ARRAY['SELECT fingerprint(lifecycle(''odd odd''))', 'SELECT fingerprint(sla(''odd odd''))', 'SELECT fingerprint(sla(''odd odd'', model_at => now()))', 'SELECT fingerprint(business_calendar(''odd odd''))',
    'SELECT count(*) FROM explain_definition(sla(''odd odd''))', 'SELECT count(*) FROM check_move(''odd odd'', ''odd'', ''won'')', 'SELECT string_agg(c, '','') FROM matching_codes(''segment'', ''{"size": 2}'') AS c']) AS q;
SELECT matches(oddly($$SELECT agreed($i$SELECT retire('stage', 'odd odd/gone', 'odd odd/odd'), retire('policy', 'odd odd')$i$, '2025-06-01')$$), '^\d+$', 'retired in an odd session');
SELECT oddly($$SELECT redraft((SELECT max(change_id) FROM revacct_data.change WHERE status = 'approved'), '2025-05-01', 'infinity', true)$$) AS again \gset
SELECT matches(:'again'::text, '^\d+$', 'drafted again there');
SELECT matches(oddly(format('SELECT withdraw_change(%s)', :'again')), '^\d+$', 'withdrawn there');

-- What is agreed in a statement is there in it, too.
DO $do$
DECLARE
    number bigint;
BEGIN
    SET SESSION AUTHORIZATION model_ana;
    number := draft_change('at once');
    PERFORM define_lifecycle('at once'), define_stage('at once', 'a', 1), define_stage('at once', 'b', 2), define_calendar('at once', 'UTC', '{mon 09:00-10:00}'), define_sla('at once', '{a}', '{b}', '1 hour', lifecycle => 'at once'), define_code('at once', 'c', condition => '{}'),
        define_field_rule('lead', 'at once', 'required', lifecycle => 'at once');
    PERFORM propose_change(number);
    SET SESSION AUTHORIZATION model_cleo;
    PERFORM approve(number);
    RESET SESSION AUTHORIZATION;
    CREATE TEMP TABLE at_once AS SELECT said('SELECT lifecycle(''at once'')') AS l, said('SELECT business_calendar(''at once'')') AS c, said('SELECT sla(''at once'')') AS s, said('SELECT sla(''at once'', model_at => NULL, known_at => NULL)') AS s2,
        said('SELECT counted_as(''stage'', ''at once/a'')') AS counted, said('SELECT matching_codes(''at once'', ''{}'')') AS codes, said('SELECT string_agg(rule_key, '','') FROM check_move(''at once'', NULL, ''a'')') AS broken,
        said('SELECT mark(lifecycle(''at once''), ''b'')') AS mark;
END $do$;
SELECT is(l, lifecycle('at once')::text, 'approved and compiled in one statement: a lifecycle') FROM at_once;
SELECT is(c, business_calendar('at once')::text, 'a calendar') FROM at_once;
SELECT is(s || s2, sla('at once')::text || sla('at once'), 'an SLA') FROM at_once;
SELECT matches(broken, '^lead/at once/required/at once(,|$)', 'its rules') FROM at_once;
SELECT is(mark, number_of('stage', 'at once', 'b'), 'its marks') FROM at_once;
SELECT is(counted || ' ' || codes, 'at once/a c', 'as what a stage is counted, and which codes match') FROM at_once;

--
-- What ends, and what is agreed for later
--

-- At every end
SELECT is(outcome($$SELECT define_sla('s', '{created}', '{touch_out}', segment => '{field_set}')$$, '2025-02-01', NULL, $$SELECT agreed($i$SELECT define_code('segment', 's'), define_sla('s', '{created}', '{touch_out}', '1 hour', segment => '{field_set}')$i$)$$,
    $$SELECT agreed($i$SELECT define_sla_target('s', '1 hour', segment => 's')$i$, '2025-02-01', '2025-03-01')$$), '22023 SLA "s" has no target', 'an SLA whose only target ends before it');
SELECT is(outcome($$SELECT define_sla_target('s', '1 hour', segment => 's')$$, '2025-02-01', '2025-03-01', $$SELECT agreed($i$SELECT define_code('segment', 's'), define_sla('s', '{created}', '{touch_out}', '1 hour', segment => '{field_set}')$i$)$$), 'accepted', 'one that has another then');
SELECT is(outcome($$SELECT define_stage('s', 'a', 1)$$, '2025-02-01', '2025-03-01', $$SELECT agreed($i$SELECT define_lifecycle('s'), define_stage('s', 'z', 9)$i$)$$), 'accepted', 'a lifecycle of which one stage ends');
SELECT matches(outcome($$SELECT define_lifecycle('s'), retire('stage', 's/z')$$, '2025-02-01', 'infinity', $$SELECT agreed($i$SELECT define_lifecycle('s'), define_stage('s', 'z', 9)$i$)$$, $$SELECT agreed($i$SELECT define_stage('s', 'a', 1)$i$, '2025-02-01', '2025-03-01')$$),
    '^22023 .*stage', 'a lifecycle whose last stage ends before it');
SELECT matches(outcome($$SELECT define_lifecycle('s')$$, '2025-01-01', NULL, $$SELECT agreed($i$SELECT define_lifecycle('s'), define_stage('s', 'z', 9)$i$, '2025-01-01', '2025-03-01')$$), '^22023 ', 'a lifecycle that goes on beyond its stages');
SELECT is(outcome($$SELECT retire('code', 'why/a'), retire('code', 'why/b')$$, '2025-03-01', NULL, $$SELECT agreed($i$SELECT define_code('why', 'a'), define_code('why', 'b'), define_transition('inbound', 'lead', 'lost', code_list => 'why')$i$)$$),
    '23503 transition "inbound/lead/lost" refers to the list "why", which has not codes all the while', 'a list that is demanded, and all its codes');
SELECT is(outcome($$SELECT retire('code', 'why/a')$$, '2025-03-01', NULL, $$SELECT agreed($i$SELECT define_code('why', 'a'), define_code('why', 'b'), define_field_rule('lead', 'w', 'domain', code_list => 'why')$i$)$$), 'accepted', 'and all but one');
SELECT is(outcome($$SELECT retire('code', 'why/a')$$, '2025-03-01', '2025-04-01', $$SELECT agreed($i$SELECT define_code('why', 'a'), define_field_rule('lead', 'w', 'domain', code_list => 'why')$i$)$$),
    '23503 field_rule "lead/w/domain" refers to the list "why", which has not codes all the while', 'and all, for a month');
SELECT is(outcome($$SELECT define_transition('inbound', 'lead', 'lost', code_list => 'why')$$, '2025-01-01', NULL, $$SELECT agreed($i$SELECT define_code('why', 'a')$i$, '2025-02-01')$$),
    '23503 transition "inbound/lead/lost" refers to the list "why", which has not codes all the while', 'a list whose codes begin later');

-- Stages that an SLA goes by are there.
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('go'), define_stage('go', 'a', 1), define_stage('go', 'b', 2), define_stage('go', 'c', 3), define_stage('go', 'd', 4), define_sla('go', '{a}', '{b}', '1 hour', lifecycle => 'go')$i$)$$);
SELECT is(outcome(format('SELECT retire(''stage'', %L, %L)', stage, successor), since, until), '23503 policy "go" refers to stage "' || stage || '", which is not in force all the while', format('a stage that an SLA goes by ends: %s in %s, %s', stage, successor, since))
FROM (VALUES ('go/a', NULL, '2025-06-01'::timestamptz, NULL::timestamptz), ('go/a', NULL, '2025-06-01', '2025-07-01'), ('go/a', 'go/c', '2025-06-01', NULL), ('go/a', 'go/b', '2025-06-01', NULL), ('go/b', 'go/c', '2099-01-01', NULL)) AS t (stage, successor, since, until);
SELECT is(outcome($$SELECT retire('stage', 'go/a', 'go/c'), define_sla('go', '{c}', '{b}', '1 hour', lifecycle => 'go')$$), 'accepted', 'from the beginning, with the SLA');
SELECT is(outcome($$SELECT define_sla('go too', '{a}', '{b}', '1 hour', lifecycle => 'go')$$, '2025-01-01', NULL, $$SELECT agreed($i$SELECT retire('policy', 'go'), retire('stage', 'go/a', 'go/b')$i$, '2030-01-01')$$),
    '23503 policy "go too" refers to stage "go/a", which is not in force all the while', 'an SLA by a stage whose end is agreed');
SELECT is(outcome($$SELECT define_sla('go too', '{a}', '{b}', '1 hour', lifecycle => 'go')$$, '2025-01-01', '2030-01-01', $$SELECT agreed($i$SELECT retire('policy', 'go'), retire('stage', 'go/a', 'go/b')$i$, '2030-01-01')$$), 'accepted', 'but until then');
SELECT is(outcome($$SELECT retire('stage', 'go/d')$$, '2025-07-01', NULL, $$SELECT agreed($i$SELECT retire('stage', 'go/c', 'go/d')$i$, '2025-06-01')$$), 'accepted', 'what another is counted as may end after it');
SELECT is(outcome($$SELECT retire('stage', 'go/d')$$, '2025-06-01', 'infinity', $$SELECT agreed($i$SELECT retire('stage', 'go/c', 'go/d')$i$, '2025-03-01')$$,
    $$SELECT agreed($i$SELECT define_stage('go', 'e', 5)$i$)$$, $$SELECT agreed($i$SELECT retire('stage', 'go/e', 'go/c')$i$, '2025-09-01')$$), '23514 stage "go/e" would be counted as nothing', 'but not before it, nor by two steps');

-- What is agreed for later is for later.
INSERT INTO moment SELECT 'before later', clock_timestamp();
CREATE TEMP TABLE today AS SELECT sla('go')::text AS go, sla('reply')::text AS reply, lifecycle('go')::text AS l;
SELECT lives_ok($$SELECT agreed($i$SELECT retire('stage', 'go/c', 'go/a')$i$, '2099-01-01')$$, 'a retirement for 2099');
SELECT is(sla('go')::text, go, 'leaves the SLA of today alone') FROM today;
SELECT is(sla('go', model_at => '2098-12-31')::text || lifecycle('go', model_at => '2098-12-31'), sla('go', model_at => now())::text || l, 'and that of 2098') FROM today;
SELECT is(sla('go', model_at => '2099-01-01')::text, sla('go', model_at => now())::text, 'and that of 2099, which goes by the stage''s own mark');
SELECT ok(strpos(lifecycle('go', model_at => '2099-01-01')::text, number_of('stage', 'go', 'a') || ' ' || number_of('stage', 'go', 'c')) > 0, 'but not the lifecycle of 2099');
SELECT is(outcome($$SELECT define_sla('later', '{go}', '{touch_in}', '1 hour', lifecycle => 'go'), define_code('event', 'go')$$), 'accepted', 'an SLA of events');
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('events', '{a}', '{touch_in}', '1 hour', lifecycle => 'go'), define_sla('events too', '{a}', '{feedback}', '1 hour', lifecycle => 'go')$i$)$$);
CREATE TEMP TABLE of_events AS SELECT sla('events')::text AS s, sla('events', model_at => '2100-01-01')::text AS of_2100;
SELECT lives_ok($$SELECT agreed($i$SELECT define_stage('go', 'touch_in', 9)$i$, '2099-01-01')$$, 'a stage with the name of an event, for 2099');
SELECT is(sla('events')::text || sla('events', model_at => '2100-01-01'), s || of_2100, 'leaves an SLA alone that goes by the event') FROM of_events;
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('events', '{a}', '{touch_in}', '2 hours', lifecycle => 'go')$i$, '2025-09-01')$$, 'and another version');
SELECT ok(strpos(sla('events', model_at => now())::text, number_of('event', 'touch_in')) > 0 AND strpos(sla('events', model_at => now())::text, '=' || number_of('stage', 'go', 'touch_in')) = 0, 'means the event still');
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('events three', '{a}', '{touch_in}', '2 hours', lifecycle => 'go')$i$, '2099-01-01')$$, 'one that comes after the stage');
SELECT ok(strpos(sla('events three')::text, number_of('stage', 'go', 'touch_in')) > 0, 'means the stage');

-- Both end, one after the other or together.
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('fin'), define_stage('fin', 'a', 1), define_stage('fin', 'b', 2), define_sla('fin', '{a}', '{touch_out}', '1 hour', lifecycle => 'fin')$i$)$$);
CREATE TEMP TABLE fin AS SELECT sla('fin') AS s;
SELECT is(outcome($$SELECT retire('policy', 'fin'), retire('stage', 'fin/a')$$, '2025-06-01'), 'accepted', 'an SLA and its stage end together');
SELECT lives_ok($$SELECT agreed($i$SELECT retire('policy', 'fin')$i$, '2025-06-01'), agreed($i$SELECT retire('stage', 'fin/a')$i$, '2025-06-01')$$, 'or one and then the other');
SELECT is(sla('fin')::text, sla('fin', start => '{a}', stop => '{touch_out}', target => '1 hour', version => '1', valid => '[2025-01-01,2025-06-01)', marks => ARRAY['a=' || number_of('stage', 'fin', 'a'), 'touch_out=' || number_of('event', 'touch_out')])::text,
    'it is compiled as it was, until then');
SELECT is((SELECT string_agg(kind || ' ' || name || ' v' || version_no, ', ' ORDER BY kind, name) FROM explain_definition(sla('fin'))), 'policy fin v1, policy fin v2', 'and explained, with its end');
SELECT is((SELECT string_agg(kind || ' ' || name || ' v' || version_no, ', ' ORDER BY kind, name) FROM explain_definition(s)), 'policy fin v1', 'as what it was before') FROM fin;

-- What begins where something else ends
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('end'), define_stage('end', 'a', 1)$i$), agreed($i$SELECT define_stage('end', 'b', 2)$i$, '2025-02-01', '2025-03-01')$$);
SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('end', skip => 'strict')$i$, '2025-02-15')$$);
SELECT is((SELECT string_agg(kind || ' ' || name || ' v' || version_no, ', ' ORDER BY kind, name) FROM explain_definition(lifecycle('end', model_at => at))), expected, 'explained at ' || at) FROM (VALUES
    ('2025-01-15'::timestamptz, 'lifecycle end v1, stage end/a v1'), ('2025-02-14', 'lifecycle end v1, stage end/a v1, stage end/b v1'), ('2025-02-15', 'lifecycle end v2, stage end/a v1, stage end/b v1'), ('2025-03-01', 'lifecycle end v2, stage end/a v1')) AS t (at, expected);

--
-- Segments that are counted as others
--

SELECT lives_ok($$SELECT agreed($i$SELECT define_code('segment', 'smb'), define_code('segment', 'mid'), define_code('segment', 'top'), define_sla('seg', '{created}', '{touch_out}', '8 hours', segment => '{field_set}'), define_sla_target('seg', '1 hour', segment => 'top')$i$)$$);
CREATE FUNCTION the_seg(VARIADIC segments text[]) RETURNS sla LANGUAGE sql AS $$
    SELECT sla(ARRAY[sla('seg', start => '{created}', stop => '{touch_out}', segment => '{field_set}', marks => m, target => '8 hours', version => '1'),
                     sla('seg', start => '{created}', stop => '{touch_out}', segment => '{field_set}', marks => m, target => '1 hour', version => '1', segments => ARRAY(SELECT number_of('code', 'segment', s)::bigint FROM unnest(segments) AS s))])
    FROM (SELECT ARRAY(SELECT e || '=' || number_of('event', e) FROM unnest('{created, touch_out, field_set}'::text[]) AS e)) AS t (m)
$$;
SELECT lives_ok($$SELECT agreed($i$SELECT retire('code', 'segment/mid', 'segment/top')$i$, '2025-03-01'), agreed($i$SELECT retire('code', 'segment/smb', 'segment/mid')$i$, '2025-02-01')$$, 'a segment that is counted as another, by two steps');
SELECT is(sla('seg', model_at => at)::text, the_seg(VARIADIC segments)::text, 'whose target is for both, at ' || at) FROM (VALUES
    ('2025-01-31'::timestamptz, '{top}'::text[]), ('2025-02-28', '{top}'), ('2025-03-01', '{smb, mid, top}')) AS t (at, segments);
SELECT ok(strpos(sla('seg')::text, (SELECT string_agg(n, ', ') FROM unnest(ARRAY[number_of('code', 'segment', 'smb'), number_of('code', 'segment', 'mid'), number_of('code', 'segment', 'top')]) AS n)) > 0
    OR strpos(sla('seg')::text, (SELECT string_agg(n, ' ') FROM unnest(ARRAY[number_of('code', 'segment', 'smb'), number_of('code', 'segment', 'mid'), number_of('code', 'segment', 'top')]) AS n)) > 0, 'and so it is in its own time');
-- Each of both had a target until then: what was, was.
SELECT is(outcome($$SELECT retire('code', 'segment/left', 'segment/right'), retire('policy_target', 'both/left/')$$, at, NULL, $$SELECT agreed($i$SELECT define_code('segment', 'left'), define_code('segment', 'right'),
    define_sla('both', '{created}', '{touch_out}', '8 hours', segment => '{field_set}'), define_sla_target('both', '1 hour', segment => 'left'), define_sla_target('both', '2 hours', segment => 'right')$i$)$$), 'accepted', 'a segment with a target of its own ends in another: ' || at)
FROM unnest('{2025-01-01, 2025-06-01, 2099-01-01}'::timestamptz[]) AS at;
SELECT is(outcome($$SELECT retire('code', 'segment/middle', 'segment/right'), retire('policy_target', 'both/middle/')$$, at, NULL, $$SELECT agreed($i$SELECT define_code('segment', 'left'), define_code('segment', 'middle'), define_code('segment', 'right'),
    define_sla('both', '{created}', '{touch_out}', '8 hours', segment => '{field_set}'), define_sla_target('both', '1 hour', segment => 'middle'), define_sla_target('both', '2 hours', segment => 'right')$i$)$$,
    $$SELECT agreed($i$SELECT retire('code', 'segment/left', 'segment/middle')$i$, '2025-03-01')$$), 'accepted', 'one that another is counted as: ' || at)
FROM unnest('{2025-01-01, 2025-06-01, 2099-01-01}'::timestamptz[]) AS at;
SELECT lives_ok($$SELECT agreed($i$SELECT define_code('segment', 'left'), define_code('segment', 'right'), define_sla('both', '{created}', '{touch_out}', '8 hours', segment => '{field_set}'), define_sla_target('both', '1 hour', segment => 'left'),
    define_sla_target('both', '2 hours', segment => 'right')$i$)$$);
SELECT lives_ok($$SELECT agreed($i$SELECT retire('code', 'segment/left', 'segment/right'), retire('policy_target', 'both/left/')$i$, clock_timestamp() + interval '0.2 seconds')$$, 'one that ends soon');
SELECT pg_sleep(0.3) \g /dev/null
SELECT lives_ok($$SELECT sla('both')$$, 'and when it has ended, its SLA is compiled still');

--
-- Policies that become others
--

SELECT matches(outcome(s, '2025-01-01', NULL, $$SELECT agreed('SELECT define_route(''no clock'', ''sales'', 1)')$$), '^22023 policy_.* is of a policy that has no clock', s)
FROM unnest(ARRAY[$$SELECT define_step('no clock', '80%', 'owner')$$, $$SELECT define_sla_target('no clock', '1 hour', owner => 'desk')$$]) AS s;
SELECT is(outcome($$SELECT define_hygiene('p', '{"a": 1}')$$, '2025-02-01', NULL, $$SELECT agreed($i$SELECT define_sla('p', '{created}', '{touch_out}', '1 hour')$i$)$$), 'accepted', 'hygiene after an SLA of the same name');
SELECT matches(outcome($$SELECT define_hygiene('p', '{"a": 1}')$$, '2025-02-01', NULL, $$SELECT agreed($i$SELECT define_sla('p', '{created}', '{touch_out}', '1 hour'), define_step('p', '80%', 'owner')$i$)$$), '^22023 policy_step', 'not while it has steps');
SELECT is(outcome($$SELECT define_hygiene('p', '{"a": 1}'), retire('policy_step', 'p/80%/owner')$$, '2025-02-01', NULL, $$SELECT agreed($i$SELECT define_sla('p', '{created}', '{touch_out}', '1 hour'), define_step('p', '80%', 'owner')$i$)$$), 'accepted', 'but when they end');
SELECT is(outcome($$SELECT define_sla('p', '{created}', '{touch_out}', '1 hour'), define_hygiene('p', '{"a": 1}')$$), 'accepted', 'the later word in a draft');
SELECT is(outcome($$SELECT define_sla('p', '{created}', '{touch_out}', '1 hour')$$, '2025-02-01', NULL, $$SELECT agreed($i$SELECT define_hygiene('p', '{"a": 1}')$i$)$$), 'accepted', 'an SLA after hygiene');
SELECT lives_ok($$SELECT agreed($i$SELECT define_sla('turned', '{created}', '{touch_out}', '1 hour')$i$), agreed($i$SELECT define_hygiene('turned', '{"a": 1}')$i$, '2025-02-01')$$);
SELECT throws_ok($$SELECT sla('turned', model_at => now())$$, '42704', 'policy "turned" is not in force', 'what has become another is no SLA now');
SELECT ok(sla('turned')::text LIKE '%2025-02-01%', 'but was one in its own time');

--
-- Templates
--

-- What both need, calendar and places of the journey, is not said again where it is agreed, but where it is not.
SELECT is(outcome($$SELECT use_template('customer_life')$$, '2025-03-01', NULL, $$SELECT agreed($i$SELECT use_template('b2b_outbound')$i$, '2025-02-01')$$), 'accepted', 'a template after another');
SELECT is(outcome($$SELECT use_template('customer_life')$$, '2025-02-01', 'infinity', $$SELECT agreed($i$SELECT use_template('b2b_outbound')$i$, '2025-03-01')$$), 'accepted', 'from before another');
SELECT is(outcome($$SELECT use_template('customer_life'), use_template('b2b_outbound')$$, '2025-02-01'), 'accepted', 'two in one draft');

SELECT * FROM finish();
ROLLBACK;
