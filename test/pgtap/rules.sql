-- Rules: which moves break which of them, what is refused, and the exceptions; conditions against a truth table of their own.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(275);

CREATE ROLE rules_ana;   -- steward: drafts, proposes, approves exceptions
CREATE ROLE rules_cleo;  -- council: signs
CREATE ROLE rules_bea;   -- reader, without any right on tables
SELECT grant_access('steward', 'rules_ana'), grant_access('council', 'rules_cleo'), grant_access('reader', 'rules_bea') \g /dev/null

-- A change that ana drafts and cleo signs.
CREATE FUNCTION agreed(statements text, since timestamptz DEFAULT '2025-01-01', until timestamptz DEFAULT NULL) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
BEGIN
    SET SESSION AUTHORIZATION rules_ana;
    number := draft_change('a test', since, until, retroactive => true);
    EXECUTE statements;
    PERFORM propose_change(number);
    SET SESSION AUTHORIZATION rules_cleo;
    PERFORM approve(number);
    RESET SESSION AUTHORIZATION;
    RETURN number;
END $$;

-- What a query says in a session of somebody's, as text.
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

--
-- Conditions
--

-- What is written down here, not how condition_holds() does it. A field that is null is not there.
CREATE TABLE truth (condition jsonb, fields jsonb, holds boolean);
INSERT INTO truth VALUES
    (NULL, '{}', true), (NULL, NULL, true), ('{}', '{}', true), ('{}', NULL, true), ('{}', '{"a": 1}', true),
    -- a value
    ('{"a": "x"}', '{"a": "x"}', true), ('{"a": "x"}', '{"a": "X"}', false), ('{"a": "x"}', '{"a": "x "}', false), ('{"a": "x"}', '{}', false), ('{"a": "x"}', NULL, false), ('{"a": "x"}', '{"a": null}', false),
    ('{"a": "x"}', '{"b": "x"}', false), ('{"a": "x"}', '{"a": ["x"]}', false), ('{"a": "x"}', '{"a": {"a": "x"}}', false), ('{"a": ""}', '{"a": ""}', true), ('{"a": ""}', '{}', false),
    ('{"a": 1}', '{"a": 1}', true), ('{"a": 1}', '{"a": 1.0}', true), ('{"a": 1}', '{"a": "1"}', false), ('{"a": "1"}', '{"a": 1}', false), ('{"a": 1e2}', '{"a": 100}', true), ('{"a": 0}', '{"a": false}', false), ('{"a": -0}', '{"a": 0}', true),
    ('{"a": true}', '{"a": true}', true), ('{"a": true}', '{"a": false}', false), ('{"a": false}', '{"a": false}', true), ('{"a": false}', '{}', false), ('{"a": true}', '{"a": "true"}', false), ('{"a": true}', '{"a": 1}', false),
    -- one of several
    ('{"a": ["x", "y"]}', '{"a": "x"}', true), ('{"a": ["x", "y"]}', '{"a": "y"}', true), ('{"a": ["x", "y"]}', '{"a": "z"}', false), ('{"a": ["x", "y"]}', '{}', false), ('{"a": ["x", "y"]}', '{"a": null}', false),
    ('{"a": ["x", "y"]}', '{"a": ["x", "y"]}', false), ('{"a": ["x", "y"]}', '{"a": ["x"]}', false), ('{"a": ["x", "y"]}', '{"a": []}', false), ('{"a": [1, "x"]}', '{"a": 1.0}', true), ('{"a": [1, "x"]}', '{"a": "1"}', false),
    ('{"a": []}', '{"a": "x"}', false), ('{"a": []}', '{}', false), ('{"a": [true]}', '{"a": true}', true), ('{"a": [["x", "y"]]}', '{"a": ["x", "y"]}', true), ('{"a": [["x", "y"]]}', '{"a": ["x"]}', false), ('{"a": [{"b": 1, "c": 2}]}', '{"a": {"b": 1}}', false),
    -- given
    ('{"a": {"given": true}}', '{"a": "x"}', true), ('{"a": {"given": true}}', '{"a": ""}', true), ('{"a": {"given": true}}', '{"a": false}', true), ('{"a": {"given": true}}', '{"a": 0}', true), ('{"a": {"given": true}}', '{"a": []}', true),
    ('{"a": {"given": true}}', '{"a": null}', false), ('{"a": {"given": true}}', '{}', false), ('{"a": {"given": true}}', NULL, false), ('{"a": {"given": false}}', '{}', true), ('{"a": {"given": false}}', NULL, true),
    ('{"a": {"given": false}}', '{"a": null}', true), ('{"a": {"given": false}}', '{"a": ""}', false), ('{"a": {"given": false}}', '{"a": 1}', false),
    -- not
    ('{"a": {"not": "x"}}', '{"a": "y"}', true), ('{"a": {"not": "x"}}', '{"a": "x"}', false), ('{"a": {"not": "x"}}', '{}', true), ('{"a": {"not": "x"}}', '{"a": null}', true), ('{"a": {"not": "x"}}', NULL, true), ('{"a": {"not": "x"}}', '{"a": ["x"]}', true),
    ('{"a": {"not": 1}}', '{"a": 1.0}', false), ('{"a": {"not": 1}}', '{"a": "1"}', true), ('{"a": {"not": false}}', '{"a": false}', false), ('{"a": {"not": false}}', '{"a": true}', true),
    ('{"a": {"not": ["x", "y"]}}', '{"a": "y"}', false), ('{"a": {"not": ["x", "y"]}}', '{"a": "z"}', true), ('{"a": {"not": ["x", "y"]}}', '{}', true), ('{"a": {"not": ["x", "y"]}}', '{"a": ["x"]}', true), ('{"a": {"not": []}}', '{"a": "x"}', true),
    ('{"a": {"not": [["x", "y"]]}}', '{"a": ["x"]}', true),
    -- limits
    ('{"a": {"at_least": 50}}', '{"a": 50}', true), ('{"a": {"at_least": 50}}', '{"a": 49.999999}', false), ('{"a": {"at_least": 50}}', '{"a": 51}', true), ('{"a": {"at_least": 50}}', '{"a": "51"}', false), ('{"a": {"at_least": 50}}', '{}', false),
    ('{"a": {"at_least": 50}}', '{"a": null}', false), ('{"a": {"at_least": 50}}', '{"a": true}', false), ('{"a": {"at_least": 50}}', '{"a": [51]}', false), ('{"a": {"at_least": 50}}', '{"a": {"a": 51}}', false), ('{"a": {"at_least": 5}}', '{"a": 10}', true),
    ('{"a": {"at_most": 50}}', '{"a": 50}', true), ('{"a": {"at_most": 50}}', '{"a": 50.000001}', false), ('{"a": {"at_most": 50}}', '{"a": -1e300}', true), ('{"a": {"at_most": 50}}', '{"a": "5"}', false), ('{"a": {"at_most": 50}}', '{}', false),
    ('{"a": {"at_most": 50}}', '{"a": null}', false), ('{"a": {"at_most": 50}}', '{"a": false}', false), ('{"a": {"at_most": 5}}', '{"a": 10}', false), ('{"a": {"at_least": -1}}', '{"a": -2}', false),
    -- several at once, of one field and of several
    ('{"a": {"at_least": 50, "at_most": 500}}', '{"a": 50}', true), ('{"a": {"at_least": 50, "at_most": 500}}', '{"a": 500}', true), ('{"a": {"at_least": 50, "at_most": 500}}', '{"a": 49}', false), ('{"a": {"at_least": 50, "at_most": 500}}', '{"a": 501}', false),
    ('{"a": {"at_least": 50, "not": 60}}', '{"a": 60}', false), ('{"a": {"at_least": 50, "not": 60}}', '{"a": 61}', true), ('{"a": {"given": true, "not": "x"}}', '{}', false), ('{"a": {"given": true, "not": "x"}}', '{"a": "y"}', true), ('{"a": {"given": true, "not": "x"}}', '{"a": "x"}', false),
    ('{"a": {"given": false, "at_least": 1}}', '{}', false), ('{"a": {"given": false, "at_least": 1}}', '{"a": 1}', false),
    ('{"a": "x", "b": 1}', '{"a": "x", "b": 1, "c": 2}', true), ('{"a": "x", "b": 1}', '{"a": "x"}', false), ('{"a": "x", "b": 1}', '{"a": "x", "b": 2}', false), ('{"a": "x", "b": 1}', '{"a": "y", "b": 1}', false), ('{"a b/Ü": "x"}', '{"a b/Ü": "x"}', true), ('{"a": {"given": false}, "b": ["x"]}', '{"b": "x"}', true);
SELECT is(condition_holds(condition, fields), holds, format('%s of %s', coalesce(condition::text, 'no condition'), coalesce(fields::text, 'no fields'))) FROM truth ORDER BY condition, fields;
SELECT is(string_agg(condition::text, ' '), NULL, 'they are conditions') FROM truth WHERE NOT _is_condition(condition);

--
-- A model with every kind of rule. Where nothing else is said they flag.
--

SELECT lives_ok($$SELECT agreed($i$
    SELECT define_lifecycle('deal', subject_kind => 'deal'), define_lifecycle('strict', subject_kind => 'thing', enforcement => 'refuse'), define_lifecycle('free', subject_kind => 'idea');
    SELECT define_stage('deal', 'new', 10), define_stage('deal', 'meet', 20), define_stage('deal', 'offer', 30), define_stage('deal', 'won', 40, 'won'), define_stage('deal', 'lost', 50, 'lost'), define_stage('deal', 'quiet', 60, 'no_decision'),
           define_stage('deal', 'later', 5, 'recycled');
    SELECT define_stage('strict', 'a', 1), define_stage('strict', 'b', 2), define_transition('strict', NULL, 'a', 'enter'), define_stage('free', 'x', 1), define_stage('free', 'y', 2);
    SELECT define_transition('deal', NULL, 'new', 'enter'), define_transition('deal', 'new', 'meet'), define_transition('deal', 'new', 'offer', 'skip', guard => '{"budget": {"at_least": 1000}, "country": ["DE", "AT"]}', enforcement => 'refuse'),
           define_transition('deal', 'meet', 'offer'), define_transition('deal', 'offer', 'won'), define_transition('deal', 'offer', 'lost', 'exit', code_list => 'reason', enforcement => 'refuse'),
           define_transition('deal', 'meet', 'lost', 'exit', code_list => 'reason', min_codes => 2), define_transition('deal', 'offer', 'quiet', 'exit', code_list => 'reason'), define_transition('deal', 'offer', 'later', 'recycle'),
           define_transition('deal', 'later', 'new', 'reopen', code_list => 'reason', min_codes => 0);
    SELECT define_code('reason', 'price'), define_code('reason', 'rival', applies_to => 'lost', requires => '{competitor, quote}'), define_code('reason', 'fit', applies_to => 'lost'), define_code('reason', 'silence', applies_to => 'no_decision'),
           define_code('country', 'DE'), define_code('country', 'AT'), define_code('other', 'weather');
    SELECT define_field_rule('deal', 'amount', 'required', lifecycle => 'deal', at_stage => 'offer'), define_field_rule('deal', 'name', 'required', enforcement => 'refuse'), define_field_rule('deal', 'source', 'required', lifecycle => 'deal'),
           define_field_rule('deal', 'country', 'domain', code_list => 'country'), define_field_rule('deal', 'size', 'domain', condition => '{"size": {"at_least": 1}}', enforcement => 'refuse'),
           define_field_rule('deal', 'source', 'immutable', enforcement => 'refuse'), define_field_rule('deal', 'account', 'association', lifecycle => 'deal', at_stage => 'meet'), define_field_rule('deal', 'contact', 'association'),
           define_field_rule('thing', 'colour', 'required');
    SELECT define_hygiene('close date', '{"close": {"given": true}}', applies => '{"amount": {"given": true}}', lifecycle => 'deal'), define_hygiene('no test data', '{"test": {"not": true}}', enforcement => 'refuse')$i$)$$, 'a model of rules');

-- The fields of a deal that breaks none.
CREATE FUNCTION good(other jsonb DEFAULT '{}') RETURNS jsonb LANGUAGE sql AS $$SELECT jsonb_strip_nulls('{"name": "Acme", "source": "fair", "amount": 5, "close": "2025-06-30", "country": "DE", "size": 1, "budget": 1000}' || other)$$;
CREATE FUNCTION broken(lifecycle text, from_stage text, to_stage text, fields jsonb DEFAULT good(), codes text[] DEFAULT '{}', before jsonb DEFAULT '{}', links text[] DEFAULT '{account, contact}', subject text DEFAULT NULL, at timestamptz DEFAULT NULL)
RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(string_agg(format('%s %s (%s%s): %s', m.rule_kind, m.rule_key, m.enforcement, CASE WHEN m.overridden THEN ', overridden' END, m.message), E'\n'), '')
    FROM check_move(lifecycle, from_stage, to_stage, fields, codes, before, links, subject, at) AS m
$$;

SELECT is(got, expected, title) FROM (VALUES
    -- moves
    ('an agreed move', broken('deal', 'new', 'meet'), ''),
    ('the way in', broken('deal', NULL, 'new'), ''),
    ('a move that nobody agreed', broken('deal', 'new', 'won'), 'lifecycle deal (flag): a move from "new" to "won" is not agreed'),
    ('a move back that nobody agreed', broken('deal', 'offer', 'meet'), 'lifecycle deal (flag): a move from "offer" to "meet" is not agreed'),
    ('another way in', broken('deal', NULL, 'offer'), 'lifecycle deal (flag): entering at "offer" is not agreed'),
    ('no move at all', broken('deal', 'meet', 'meet'), ''),
    ('no move at all, from where', broken('deal', 'meet', 'meet', links => '{}'), concat_ws(E'\n', 'field_rule deal/account/association/deal/meet (flag): a link to account must be there', 'field_rule deal/contact/association (flag): a link to contact must be there')),
    ('a stage that is none', broken('deal', 'new', 'meeet'), 'lifecycle deal (flag): "meeet" is no stage of "deal"'),
    ('a move where moves are refused', broken('strict', 'a', 'b', '{"colour": "red"}'), 'lifecycle strict (refuse): a move from "a" to "b" is not agreed'),
    ('a stage that is none where moves are refused', broken('strict', 'a', 'c', '{"colour": "red"}'), 'lifecycle strict (refuse): "c" is no stage of "strict"'),
    ('any move, where none is declared', broken('free', 'y', 'x') || broken('free', NULL, 'y') || broken('free', 'x', 'x'), ''),
    ('a lifecycle that is none', broken('dael', 'new', 'meet'), 'lifecycle dael (refuse): lifecycle "dael" is not in force'),
    -- guards
    ('a guard that holds', broken('deal', 'new', 'offer', good('{"country": "AT"}')), ''),
    ('a guard of which one part does not hold', broken('deal', 'new', 'offer', good('{"budget": 999}')), 'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}'),
    ('a guard of which one field is missing', broken('deal', 'new', 'offer', good('{"budget": null}')), 'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}'),
    ('a guard of another move', broken('deal', 'meet', 'offer', good('{"budget": null}')), ''),
    -- codes
    ('no code', broken('deal', 'offer', 'lost'), 'transition deal/offer/lost (refuse): the move needs 1 of the list reason'),
    ('NULL codes are none', broken('deal', 'offer', 'lost', codes => NULL), 'transition deal/offer/lost (refuse): the move needs 1 of the list reason'),
    ('a code', broken('deal', 'offer', 'lost', codes => '{price}'), ''),
    ('an unknown code', broken('deal', 'offer', 'lost', codes => '{prize}'), concat_ws(E'\n', 'transition deal/offer/lost (refuse): "prize" is no code of the list reason', 'transition deal/offer/lost (refuse): the move needs 1 of the list reason')),
    ('an unknown code beside a known one', broken('deal', 'offer', 'lost', codes => '{price,prize}'), 'transition deal/offer/lost (refuse): "prize" is no code of the list reason'),
    ('a code of another list', broken('deal', 'offer', 'lost', codes => '{price,weather}'), 'transition deal/offer/lost (refuse): "weather" is no code of the list reason'),
    ('a code for another category', broken('deal', 'offer', 'lost', codes => '{silence}'), 'transition deal/offer/lost (refuse): the move needs 1 of the list reason'),
    ('the same code where it belongs', broken('deal', 'offer', 'quiet', codes => '{silence}'), ''),
    ('one code of two', broken('deal', 'meet', 'lost', codes => '{price}'), 'transition deal/meet/lost (flag): the move needs 2 of the list reason'),
    ('one code twice', broken('deal', 'meet', 'lost', codes => '{price,price}'), 'transition deal/meet/lost (flag): the move needs 2 of the list reason'),
    ('two codes', broken('deal', 'meet', 'lost', codes => '{price,fit}'), ''),
    ('a code that needs fields', broken('deal', 'offer', 'lost', good('{"competitor": ""}'), codes => '{rival}'), concat_ws(E'\n', 'code reason/rival (refuse): the code "rival" needs the field competitor', 'code reason/rival (refuse): the code "rival" needs the field quote')),
    ('with one of them', broken('deal', 'offer', 'lost', good('{"competitor": "X"}'), codes => '{rival}'), 'code reason/rival (refuse): the code "rival" needs the field quote'),
    ('with both of them', broken('deal', 'offer', 'lost', good('{"competitor": "X", "quote": 0}'), codes => '{rival}'), ''),
    ('with null for one', broken('deal', 'offer', 'lost', good() || '{"competitor": "X", "quote": null}', codes => '{rival}'), 'code reason/rival (refuse): the code "rival" needs the field quote'),
    ('codes where none need be given', broken('deal', 'later', 'new'), ''),
    ('an unknown code where none need be given', broken('deal', 'later', 'new', codes => '{prize}'), 'transition deal/later/new (flag): "prize" is no code of the list reason'),
    ('codes where no list is', broken('deal', 'new', 'meet', codes => '{prize}'), ''),
    -- required fields
    ('required: before its stage', broken('deal', 'new', 'meet', good('{"amount": null}')), ''),
    ('required: at its stage', broken('deal', 'meet', 'offer', good('{"amount": null}')), 'field_rule deal/amount/required/deal/offer (flag): the field amount must be given'),
    ('required: after its stage', broken('deal', 'offer', 'won', good('{"amount": null}')), 'field_rule deal/amount/required/deal/offer (flag): the field amount must be given'),
    ('required: not to lose', broken('deal', 'offer', 'lost', good('{"amount": null}'), codes => '{price}'), ''),
    ('required: not to end undecided', broken('deal', 'offer', 'quiet', good('{"amount": null}'), codes => '{price}'), ''),
    ('required: not to recycle', broken('deal', 'offer', 'later', good('{"amount": null}')), ''),
    ('required: an empty string is nothing', broken('deal', 'meet', 'offer', good('{"amount": "", "close": null}')), concat_ws(E'\n', 'field_rule deal/amount/required/deal/offer (flag): the field amount must be given', 'policy close date (flag): "close date" demands {"close": {"given": true}}')),
    ('required: null is nothing', broken('deal', NULL, 'new', good() || '{"name": null}'), 'field_rule deal/name/required (refuse): the field name must be given'),
    ('required: zero and false are something', broken('deal', 'meet', 'offer', good('{"amount": 0, "name": false}')), ''),
    ('required: always', broken('deal', NULL, 'new', good('{"name": null, "source": null}')), concat_ws(E'\n', 'field_rule deal/name/required (refuse): the field name must be given', 'field_rule deal/source/required/deal (flag): the field source must be given')),
    ('required: no fields at all', broken('deal', NULL, 'new', NULL), concat_ws(E'\n', 'field_rule deal/name/required (refuse): the field name must be given', 'field_rule deal/source/required/deal (flag): the field source must be given')),
    ('required: of another kind of subject', broken('free', 'x', 'y', '{}'), ''),
    ('required: of its own', broken('strict', NULL, 'a', '{}'), 'field_rule thing/colour/required (flag): the field colour must be given'),
    -- domains
    ('a value of the list', broken('deal', 'new', 'meet', good('{"country": "AT"}')), ''),
    ('a value of no list', broken('deal', 'new', 'meet', good('{"country": "CH"}')), 'field_rule deal/country/domain (flag): "CH" cannot be the value of the field country'),
    ('a value that is a list', broken('deal', 'new', 'meet', good('{"country": ["DE"]}')), 'field_rule deal/country/domain (flag): ["DE"] cannot be the value of the field country'),
    ('no value', broken('deal', 'new', 'meet', good('{"country": null}')) || broken('deal', 'new', 'meet', good() || '{"country": null}'), ''),
    ('a value against the condition', broken('deal', 'new', 'meet', good('{"size": 0}')), 'field_rule deal/size/domain (refuse): 0 cannot be the value of the field size'),
    ('a number as a string', broken('deal', 'new', 'meet', good('{"size": "7"}')), 'field_rule deal/size/domain (refuse): "7" cannot be the value of the field size'),
    ('no value under a condition', broken('deal', 'new', 'meet', good('{"size": null}')), ''),
    -- what may not change
    ('unchanged', broken('deal', 'new', 'meet', before => '{"source": "fair"}'), ''),
    ('changed', broken('deal', 'new', 'meet', before => '{"source": "web"}'), 'field_rule deal/source/immutable (refuse): the field source cannot change'),
    ('taken away', broken('deal', 'new', 'meet', good() || '{"source": null}', before => '{"source": "web"}'), concat_ws(E'\n', 'field_rule deal/source/immutable (refuse): the field source cannot change', 'field_rule deal/source/required/deal (flag): the field source must be given')),
    ('given for the first time', broken('deal', 'new', 'meet', before => '{"source": null}') || broken('deal', 'new', 'meet', before => NULL), ''),
    ('another field changed', broken('deal', 'new', 'meet', before => '{"name": "Acne", "source": "fair"}'), ''),
    ('another type of the same value', broken('deal', 'new', 'meet', good('{"source": "1"}'), before => '{"source": 1}'), 'field_rule deal/source/immutable (refuse): the field source cannot change'),
    -- links
    ('linked', broken('deal', 'new', 'meet', links => '{contact,account,partner}'), ''),
    ('not linked before the stage', broken('deal', NULL, 'new', links => '{contact}'), ''),
    ('not linked at the stage', broken('deal', 'new', 'meet', links => '{contact}'), 'field_rule deal/account/association/deal/meet (flag): a link to account must be there'),
    ('not linked after the stage', broken('deal', 'offer', 'won', links => '{contact}'), 'field_rule deal/account/association/deal/meet (flag): a link to account must be there'),
    ('not linked at all', broken('deal', NULL, 'new', links => '{}'), 'field_rule deal/contact/association (flag): a link to contact must be there'),
    ('NULL links are none', broken('deal', NULL, 'new', links => NULL), 'field_rule deal/contact/association (flag): a link to contact must be there'),
    -- hygiene
    ('as demanded', broken('deal', 'new', 'meet', good('{"test": false}')), ''),
    ('not as demanded', broken('deal', 'new', 'meet', good('{"close": null}')), 'policy close date (flag): "close date" demands {"close": {"given": true}}'),
    ('where it does not apply', broken('deal', 'new', 'meet', good('{"close": null, "amount": null}')), ''),
    ('in another lifecycle', broken('free', 'x', 'y', '{"amount": 1}'), ''),
    ('in every lifecycle', broken('free', 'x', 'y', '{"test": true}'), 'policy no test data (refuse): "no test data" demands {"test": {"not": true}}'),
    ('not of what is over', broken('deal', 'offer', 'won', good('{"close": null, "test": true}')) || broken('deal', 'offer', 'lost', good('{"close": null, "test": true}'), codes => '{price}'), ''),
    -- all at once, in their order
    ('many', broken('deal', 'new', 'offer', '{"amount": 1, "size": 0, "source": "web", "country": "CH"}', before => '{"source": "fair"}', links => '{}'),
        concat_ws(E'\n', 'field_rule deal/account/association/deal/meet (flag): a link to account must be there', 'field_rule deal/contact/association (flag): a link to contact must be there',
              'field_rule deal/country/domain (flag): "CH" cannot be the value of the field country', 'field_rule deal/name/required (refuse): the field name must be given',
              'field_rule deal/size/domain (refuse): 0 cannot be the value of the field size', 'field_rule deal/source/immutable (refuse): the field source cannot change',
              'policy close date (flag): "close date" demands {"close": {"given": true}}', 'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}'))) AS t (title, got, expected);

--
-- Refusing
--

CREATE FUNCTION refusal(call text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    message text; detail text; hint text; state text;
BEGIN
    EXECUTE call;
    RETURN 'done';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RETURN concat_ws(' | ', state, message, nullif(detail, ''), nullif(hint, ''));
END $$;
SELECT is(refusal($$SELECT enforce_move('deal', 'new', 'meet', good(), links => '{account, contact}')$$), 'done', 'what breaks no rule is done');
SELECT is(refusal($$SELECT enforce_move('deal', 'new', 'won', good(), links => '{}')$$), 'done', 'what breaks rules that flag is done');
SELECT is(refusal($$SELECT enforce_move('deal', 'new', 'meet', good('{"size": 0, "country": "CH"}'), before => '{"source": "web"}', subject => 'Acme''s / 1')$$),
    '23514 | 0 cannot be the value of the field size | The rule is field_rule "deal/size/domain"; rules broken: 2. | Mend it, or ask for an exception: SELECT request_override(''field_rule'', ''deal/size/domain'', ''Acme''''s / 1'', ''why'').',
    'what breaks rules that refuse is refused, naming the first, how many, and what to do');
SELECT is(refusal($$SELECT enforce_move('strict', 'a', 'b', '{"colour": "red"}')$$),
    '23514 | a move from "a" to "b" is not agreed | The rule is lifecycle "strict"; rules broken: 1. | Mend it, or ask for an exception: SELECT request_override(''lifecycle'', ''strict'', ''subject'', ''why'').', 'a move nobody agreed is refused where that is agreed');
SELECT alike(refusal($$SELECT enforce_move('dael', 'new', 'meet')$$), '23514 | lifecycle "dael" is not in force | %', 'a lifecycle that is none is refused');
SELECT is(said('rules_bea', $$SELECT enforce_move('strict', 'a', 'b', '{"colour": "red"}')$$), '23514 a move from "a" to "b" is not agreed', 'by whomever it is asked');
SELECT is(said('rules_bea', $$SELECT count(*) FROM check_move('deal', 'new', 'won', '{}')$$), '6', 'a reader is told which rules are broken');
SELECT alike(said('rules_bea', $$SELECT count(*) FROM revacct_data.field_rule$$), '42501 permission denied%', 'and reads no table');

-- By a trigger, whatever writes
CREATE TABLE deal (id int PRIMARY KEY, stage text NOT NULL, reason text[], name text, source text, size int);
CREATE FUNCTION deal_keeps_the_rules() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM enforce_move('deal', CASE TG_OP WHEN 'UPDATE' THEN old.stage END, new.stage, fields => to_jsonb(new), codes => new.reason, before => CASE TG_OP WHEN 'UPDATE' THEN to_jsonb(old) END, subject => new.id::text);
    RETURN new;
END $$;
CREATE TRIGGER rules BEFORE INSERT OR UPDATE ON deal FOR EACH ROW EXECUTE FUNCTION deal_keeps_the_rules();
GRANT ALL ON deal TO rules_bea;
SELECT is(refusal($$INSERT INTO deal VALUES (1, 'new', NULL, 'Acme', 'web', 1)$$), 'done', 'INSERT');
SELECT alike(refusal($$INSERT INTO deal VALUES (2, 'new', NULL, NULL, 'web', 1)$$), '23514 | the field name must be given | %', 'INSERT that breaks a rule');
SELECT alike(refusal($$INSERT INTO deal VALUES (2, 'new', NULL, 'Beta', 'web', 1), (3, 'new', NULL, 'Gamma', 'web', 0)$$), '23514 | 0 cannot be the value of the field size | %', 'INSERT of several rows of which one does');
SELECT alike(refusal($$UPDATE deal SET source = 'fair' WHERE id = 1$$), '23514 | the field source cannot change | %', 'UPDATE that breaks a rule');
SELECT is(refusal($$UPDATE deal SET stage = 'offer', size = 2 WHERE id = 1$$), '23514 | the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]} | The rule is transition "deal/new/offer"; rules broken: 1.'
    || ' | Mend it, or ask for an exception: SELECT request_override(''transition'', ''deal/new/offer'', ''1'', ''why'').', 'UPDATE that moves it against a guard');
SELECT is(refusal($$UPDATE deal SET stage = 'meet' WHERE id = 1$$) || refusal($$UPDATE deal SET stage = 'offer' WHERE id = 1$$), 'donedone', 'UPDATE that moves it as agreed');
SELECT alike(refusal($$UPDATE deal SET stage = 'lost' WHERE id = 1$$), '23514 | the move needs 1 of the list reason | %', 'UPDATE that loses it without a reason');
SELECT alike(refusal($$INSERT INTO deal VALUES (1, 'offer', NULL, 'Acme', 'web', 1) ON CONFLICT (id) DO UPDATE SET stage = 'lost'$$), '23514 | the move needs 1 of the list reason | %', 'INSERT ON CONFLICT that does');
SELECT alike(refusal($$MERGE INTO deal USING (VALUES (1)) AS n (id) ON deal.id = n.id WHEN MATCHED THEN UPDATE SET stage = 'lost', reason = '{prize}'$$), '23514 | "prize" is no code of the list reason | %', 'MERGE that does, with a reason that is none');
SELECT is(said('rules_bea', $$UPDATE deal SET name = NULL WHERE id = 1 RETURNING 'done'$$), '23514 the field name must be given', 'UPDATE by a reader of the model');
SELECT is(refusal($$UPDATE deal SET stage = 'lost', reason = '{price}' WHERE id = 1$$), 'done', 'UPDATE with a reason');
SELECT alike(refusal($$COPY deal (id, stage, name, source, size) FROM PROGRAM 'printf "5\tnew\tFive\tweb\t1\n6\tnew\t\\N\tweb\t1\n"'$$), '23514 | the field name must be given | %', 'COPY of rows of which one breaks a rule');
SELECT is(refusal($$COPY deal (id, stage, name, source, size) FROM PROGRAM 'printf "7\tnew\tSeven\tweb\t1\n8\tnew\tEight\tweb\t2\n"'$$), 'done', 'COPY');
SELECT results_eq('SELECT id, stage FROM deal ORDER BY id', $$VALUES (1, 'lost'), (7, 'new'), (8, 'new')$$, 'what was refused is not there, what was not is');

--
-- Exceptions
--

SELECT is(said('rules_bea', $$SELECT request_override('transition', 'deal/new/offer', '7', 'They are in a hurry')$$), (SELECT (coalesce(max(override_id), 0) + 1)::text FROM revacct_data.override), 'a reader asks for an exception');
SELECT max(override_id) AS asked FROM revacct_data.override \gset
SELECT alike(refusal($$UPDATE deal SET stage = 'offer' WHERE id = 7$$), '23514 | the move needs %', 'which is none until somebody agrees');
SELECT is(said('rules_bea', format('SELECT approve_override(%s)', :asked)), '42501 role "rules_bea" may not approve overrides', 'a reader does not agree to it');
SELECT is(said('rules_ana', format('SELECT approve_override(%s)', :asked)), '', 'a steward does');
SELECT is(said('rules_ana', format('SELECT approve_override(%s)', :asked)), format('55000 override %s is approved already', :asked), 'once');
SELECT is(broken('deal', 'new', 'offer', good('{"budget": null}'), subject => '7'), 'transition deal/new/offer (refuse, overridden): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}', 'the rule is broken, and excused');
SELECT is(broken('deal', 'new', 'offer', good('{"budget": null}'), subject => '8'), 'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}', 'for nobody else');
SELECT is(broken('deal', 'new', 'offer', good('{"budget": null}')), 'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}', 'nor for nobody');
SELECT alike(refusal($$UPDATE deal SET stage = 'offer', size = 0 WHERE id = 7$$), '23514 | 0 cannot be the value of the field size | %; rules broken: 1. | %', 'not from another rule');
SELECT alike(refusal($$UPDATE deal SET stage = 'offer' WHERE id = 8$$), '23514 | the move needs %', 'not another subject');
SELECT is(refusal($$UPDATE deal SET stage = 'offer' WHERE id = 7$$), 'done', 'but this subject from this rule');
SELECT is(said('rules_ana', $$SELECT request_override('field_rule', 'deal/size/domain', '8', 'why not')$$) ~ '^\d+$', true, 'a steward asks for an exception');
SELECT max(override_id) AS asked FROM revacct_data.override \gset
SELECT is(said('rules_ana', format('SELECT approve_override(%s)', :asked)), '42501 who asked for an override cannot approve it', 'and does not agree to it');
SELECT is(said('rules_cleo', format('SELECT approve_override(%s)', :asked)), '', 'but somebody of the council does');
SELECT is(refusal($$UPDATE deal SET size = 0, stage = 'meet' WHERE id = 8$$), 'done', 'then it counts');
SELECT is(refusal(format('UPDATE revacct_data.override SET approved_by = requested_by')) ~ '^(55000|23514) ', true, 'no other way leads there');
SELECT is(said('rules_bea', $$SELECT request_override('lifecycle', 'strict', 'thing 1', 'a bet')$$) ~ '^\d+$' AND said('rules_bea', $$SELECT request_override('code', 'reason/rival', 'x', 'a bet')$$) ~ '^\d+$'
    AND said('rules_bea', $$SELECT request_override('policy', 'close date', 'x', 'a bet')$$) ~ '^\d+$', true, 'exceptions from lifecycles, codes and policies');
SELECT is(said('rules_bea', call), expected, title) FROM (VALUES
    ('from no rule', $$SELECT request_override('transition', 'deal/won/new', '7', 'why')$$, '42704 transition "deal/won/new" is not in force'),
    ('from no kind of rule', $$SELECT request_override('feeling', 'deal/new/offer', '7', 'why')$$, '42704 feeling "deal/new/offer" is not in force'),
    ('for nobody', $$SELECT request_override('transition', 'deal/new/offer', '', 'why')$$, '23514 new row for relation "override" violates check constraint "override_subject_check"'),
    ('for NULL', $$SELECT request_override('transition', 'deal/new/offer', NULL, 'why')$$, '23502 null value in column "subject" of relation "override" violates not-null constraint'),
    ('without a reason', $$SELECT request_override('transition', 'deal/new/offer', '7', '  ')$$, '23514 new row for relation "override" violates check constraint "override_reason_check"')) AS t (title, call, expected);
SELECT is(said('rules_ana', 'SELECT approve_override(-1)'), '42704 there is no override -1', 'an exception that nobody asked for');

--
-- Rules as of an instant
--

SELECT lives_ok($$SELECT agreed($i$SELECT retire('field_rule', 'deal/size/domain'), retire('transition', 'deal/new/offer'), define_field_rule('deal', 'country', 'domain', code_list => 'country', enforcement => 'refuse'),
    define_code('country', 'CH'), define_lifecycle('deal', subject_kind => 'deal', enforcement => 'refuse'), retire('policy', 'close date'), define_stage('deal', 'old', 90)$i$, '2025-07-01')$$, 'other rules from July on');
SELECT is(broken('deal', 'new', 'offer', good('{"size": 0, "budget": null, "close": null, "country": "CH"}'), at => '2025-06-30 23:59:59.999999'),
    concat_ws(E'\n', 'field_rule deal/country/domain (flag): "CH" cannot be the value of the field country', 'field_rule deal/size/domain (refuse): 0 cannot be the value of the field size', 'policy close date (flag): "close date" demands {"close": {"given": true}}',
          'transition deal/new/offer (refuse): the move needs {"budget": {"at_least": 1000}, "country": ["DE", "AT"]}'), 'by the rules of June');
SELECT is(broken('deal', 'new', 'offer', good('{"size": 0, "budget": null, "close": null, "country": "CH"}'), at => '2025-07-01'), 'lifecycle deal (refuse): a move from "new" to "offer" is not agreed', 'by those of July');
SELECT is(broken('deal', 'new', 'offer', good('{"size": 0, "budget": null, "close": null, "country": "CH"}')), 'lifecycle deal (refuse): a move from "new" to "offer" is not agreed', 'which are those of now');
SELECT is(broken('deal', 'new', 'meet', good('{"country": "FR"}')), 'field_rule deal/country/domain (refuse): "FR" cannot be the value of the field country', 'what flagged refuses');
SELECT is(broken('deal', 'new', 'old', at => '2025-06-01'), 'lifecycle deal (flag): "old" is no stage of "deal"', 'a stage that comes later is none before');
SELECT is(broken('deal', 'new', 'meet', at => '2024-12-31'), 'lifecycle deal (refuse): lifecycle "deal" is not in force', 'before there were rules');
SELECT alike(refusal($$SELECT enforce_move('deal', 'new', 'meet', good('{"size": 0}'), at => '2025-06-01')$$), '23514 | 0 cannot be the value of the field size | %', 'refused by the rules of an instant');
SELECT is(refusal($$SELECT enforce_move('deal', 'new', 'meet', good('{"size": 0}'), at => '2025-07-01')$$), 'done', 'not by those of another');
SELECT is(said('rules_bea', $$SELECT request_override('field_rule', 'deal/size/domain', '9', 'why')$$), '42704 field_rule "deal/size/domain" is not in force', 'no exception from a rule that is over');

--
-- What something is counted as
--

SELECT lives_ok($$SELECT agreed($i$SELECT retire('code', 'reason/price', 'reason/fit')$i$, '2025-03-01'), agreed($i$SELECT retire('code', 'reason/fit', 'reason/rival')$i$, '2025-06-01')$$, 'codes retired, one after the other');
CREATE TEMP TABLE known AS SELECT clock_timestamp() AS at;
SELECT lives_ok($$SELECT agreed($i$SELECT retire('code', 'reason/rival')$i$, '2025-09-01')$$, 'the last without a successor');
SELECT is(ARRAY(SELECT coalesce(counted_as('code', 'reason/' || c, model_at => at), '-') FROM unnest('{price, fit, rival, silence, none}'::text[]) WITH ORDINALITY AS t (c, no) ORDER BY no), expected, 'counted as, at ' || at) FROM (VALUES
    ('2024-12-31'::timestamptz, '{-,-,-,-,-}'::text[]), ('2025-01-01', '{reason/price,reason/fit,reason/rival,reason/silence,-}'), ('2025-03-01', '{reason/fit,reason/fit,reason/rival,reason/silence,-}'),
    ('2025-06-01', '{reason/rival,reason/rival,reason/rival,reason/silence,-}'), ('2025-09-01', '{-,-,-,reason/silence,-}')) AS t (at, expected);
SELECT is(counted_as('code', 'reason/price'), NULL, 'counted as, now');
SELECT is(counted_as('code', 'reason/price', known_at => at), 'reason/rival', 'counted as, as was known before the last was retired') FROM known;
SELECT is(counted_as('stage', 'reason/price') IS NULL AND counted_as(NULL, NULL) IS NULL AND counted_as('code', NULL) IS NULL, true, 'what is not there is counted as nothing');
SELECT is(said('rules_bea', $$SELECT counted_as('code', 'reason/price', model_at => '2025-06-01')$$), 'reason/rival', 'a reader may ask');
-- Two that follow each other in a circle are counted as nothing, and the question ends.
SELECT lives_ok($$SELECT agreed($i$SELECT define_code('ring', 'a'), define_code('ring', 'b')$i$), agreed($i$SELECT retire('code', 'ring/a', 'ring/b')$i$, '2025-06-01')$$, 'a code that follows another');
SELECT said(current_user, $$SELECT agreed($i$SELECT retire('code', 'ring/b', 'ring/a')$i$, '2025-07-01')$$) AS answer \gset
SELECT matches(coalesce(counted_as('code', 'ring/a', model_at => '2025-07-01'), 'nothing'), CASE WHEN :'answer' ~ '^\d{5} ' THEN '^ring/b$' ELSE '^nothing$' END, 'a circle is refused, or nothing');

--
-- Segments
--

SELECT lives_ok($$SELECT agreed($i$SELECT define_code('size', 'small', code_no => 2, condition => '{"employees": {"at_most": 50}}'), define_code('size', 'public', code_no => 3, condition => '{"sector": ["state", "city"]}'),
    define_code('size', 'large', code_no => 1, condition => '{"employees": {"at_least": 50}}'), define_code('size', 'other'), define_code('size', 'any', condition => '{}'), define_code('region', 'south', condition => '{"employees": {"at_least": 1}}')$i$),
    agreed($i$SELECT define_code('size', 'small', code_no => 2, condition => '{"employees": {"at_most": 99}}')$i$, '2025-06-01')$$, 'segments by conditions');
SELECT is(ARRAY(SELECT * FROM matching_codes('size', fields, at)), expected::text[], format('segments of %s at %s', coalesce(fields::text, 'nothing'), coalesce(at::text, 'now'))) FROM (VALUES
    ('{"employees": 49}'::jsonb, NULL::timestamptz, '{small,any}'), ('{"employees": 50, "sector": "city"}', '2025-01-01', '{large,small,public,any}'), ('{"employees": 99}', '2025-05-31', '{large,any}'), ('{"employees": 99}', '2025-06-01', '{large,small,any}'),
    ('{}', NULL, '{any}'), (NULL, NULL, '{any}'), ('{"employees": "49"}', NULL, '{any}'), ('{"employees": 49}', '2024-12-31', '{}')) AS t (fields, at, expected);
SELECT is(said('rules_bea', $$SELECT string_agg(c, ' ') FROM matching_codes('size', '{"employees": 7}') AS c$$), 'small any', 'a reader may ask');

--
-- Rules at exits
--

SELECT lives_ok($$SELECT agreed($i$SELECT define_lifecycle('exits', subject_kind => 'exit'), define_stage('exits', 'a', 10), define_stage('exits', 'b', 20), define_stage('exits', 'sold', 30, 'won'), define_stage('exits', 'lost', 5, 'lost'), define_stage('exits', 'dead', 50, 'lost'),
           define_stage('exits', 'dropped', 60, 'no_decision'), define_stage('exits', 'later', 70, 'recycled'), define_stage('exits', 'gone', 80, 'churned');
    SELECT define_field_rule('exit', 'at ' || s, 'required', lifecycle => 'exits', at_stage => s), define_field_rule('exit', 'link ' || s, 'association', lifecycle => 'exits', at_stage => s)
    FROM unnest('{a,b,sold,lost,dead,dropped,later,gone}'::text[]) AS s;
    SELECT define_field_rule('exit', 'always', 'required'), define_field_rule('exit', 'in it', 'required', lifecycle => 'exits'), define_field_rule('exit', 'link always', 'association')$i$)$$, 'rules at every stage');
-- Which of them each stage asks for: the open ones on the way to it and its own; an exit only its own.
SELECT is((SELECT string_agg(split_part(m.rule_key, '/', 2), ', ' ORDER BY m.rule_key COLLATE "C") FROM check_move('exits', from_stage, to_stage) AS m WHERE m.rule_kind = 'field_rule'), expected, format('rules from %s to %s', coalesce(from_stage, 'nowhere'), to_stage))
FROM (VALUES (NULL, 'a', 'always, at a, in it, link a, link always'), ('a', 'b', 'always, at a, at b, in it, link a, link always, link b'), ('b', 'a', 'always, at a, in it, link a, link always'),
    ('b', 'sold', 'always, at a, at b, at sold, in it, link a, link always, link b, link sold'), ('b', 'lost', 'at lost, link lost'), ('a', 'lost', 'at lost, link lost'), ('b', 'dead', 'at dead, link dead'), ('b', 'dropped', 'at dropped, link dropped'),
    ('b', 'later', 'at later, link later'), ('b', 'gone', 'at gone, link gone')) AS t (from_stage, to_stage, expected);
SELECT is((SELECT string_agg(split_part(m.rule_key, '/', 2), ', ') FROM check_move('exits', 'b', 'lost', '{"at lost": "price"}', links => '{link lost}') AS m), NULL, 'given and linked, an exit is open');

SELECT * FROM finish();
ROLLBACK;
