-- Who proposes, who signs, when it is in force; and that nobody comes round that. All in one transaction, which is rolled back.
-- Who may call what at all: access.sql. What is compiled, and several sessions at once, are tested elsewhere.
SET client_min_messages = warning;
SET timezone = 'UTC';
SET search_path = public, revacct;

-- What somebody does, as the session's user, and what comes of it: the first value, 'done', or the SQLSTATE. What a statement hands to these
-- functions it looks up as of its beginning; so what the next step is to look up must be a statement of its own.
CREATE FUNCTION pg_temp.login(who text) RETURNS text LANGUAGE SQL AS $$ SELECT coalesce((SELECT rolname::text FROM pg_catalog.pg_roles WHERE rolname = 'revacct_test_' || $1), $1) $$;
CREATE FUNCTION pg_temp.does(who text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text := '';
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', pg_temp.login(who));
        IF what ~ '^\s*SELECT' AND what !~ ';' THEN EXECUTE what INTO result; ELSE EXECUTE what; END IF;
        SET LOCAL SESSION AUTHORIZATION DEFAULT;
        SET LOCAL search_path = public, revacct;
        RETURN coalesce(nullif(result, ''), 'done');
    EXCEPTION WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END $$;
-- The same, and it never was.
CREATE FUNCTION pg_temp.would(who text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    BEGIN
        result := pg_temp.does(who, what);
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
-- The number of the last change of a rationale, for whoever asks
CREATE FUNCTION pg_temp.no(why text) RETURNS bigint LANGUAGE SQL STABLE SECURITY DEFINER AS $$ SELECT max(change_id) FROM revacct_data.change WHERE rationale = $1 $$;
CREATE FUNCTION pg_temp.status(why text) RETURNS text LANGUAGE SQL STABLE AS $$ SELECT status FROM revacct_data.change WHERE change_id = pg_temp.no($1) $$;
CREATE FUNCTION pg_temp.signs(who text, why text) RETURNS text LANGUAGE SQL AS $$ SELECT pg_temp.does($1, format('SELECT revacct.approve(%s)', pg_temp.no($2))) $$;
CREATE FUNCTION pg_temp.waits_for(why text) RETURNS text LANGUAGE SQL AS $$ SELECT waiting_for FROM revacct.open_changes WHERE change_no = pg_temp.no($1) $$;
-- Drafts and proposes, whole or not at all; contents are calls: define_...(), assign()
CREATE FUNCTION pg_temp.proposes(who text, why text, contents text, times text DEFAULT '') RETURNS text LANGUAGE SQL AS $$
    SELECT pg_temp.does($1, format('SELECT draft_change(%L%s); SELECT %s; SELECT propose_change()', $2, nullif(', ' || $4, ', '), $3)) $$;
-- and has it signed; the statement must not depend on what it agrees to
CREATE FUNCTION pg_temp.agreed(why text, contents text, signatories text[] DEFAULT '{cleo}', times text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text := pg_temp.proposes('mallory', why, contents, times); who text;
BEGIN
    IF result = 'done' THEN FOREACH who IN ARRAY signatories LOOP result := pg_temp.signs(who, why); END LOOP; END IF;
    RETURN result;
END $$;
-- Whose signatures a proposal would need, perhaps after something else was agreed. Mallory owns nothing; whoever else proposes is made a steward for it.
CREATE FUNCTION pg_temp.asks(contents text, drafter text DEFAULT 'mallory', times text DEFAULT '', proposer text DEFAULT 'mallory', setup text DEFAULT NULL, signatories text[] DEFAULT '{cleo}', setup_times text DEFAULT '')
RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
    BEGIN
        IF setup IS NOT NULL THEN result := pg_temp.agreed('needed', setup, signatories, setup_times); END IF;
        IF result <> 'approved' THEN RAISE EXCEPTION 'setup: %', result; END IF;
        IF proposer <> 'mallory' THEN PERFORM pg_temp.does('owner', format('SELECT grant_access(''steward'', %L)', pg_temp.login(proposer))); END IF;
        result := pg_temp.does(drafter, format('SELECT draft_change(''asked''%s); SELECT %s', nullif(', ' || times, ', '), contents));
        IF result = 'done' THEN result := pg_temp.does(proposer, $q$ SELECT propose_change(pg_temp.no('asked')) WHERE true $q$); END IF;
        IF pg_temp.status('asked') = 'proposed' THEN result := pg_temp.waits_for('asked'); END IF;
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
-- All that is in the tables
CREATE FUNCTION pg_temp.state() RETURNS text LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE name regclass; part text; result text := '';
BEGIN
    FOR name IN SELECT oid FROM pg_class WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r' ORDER BY relname LOOP
        EXECUTE format('SELECT md5(coalesce(string_agg(t::text, e''\n'' ORDER BY t::text), '''')) FROM %s AS t', name) INTO part;
        result := result || part;
    END LOOP;
    RETURN md5(result);
END $$;
CREATE FUNCTION pg_temp.verdict(before text) RETURNS text LANGUAGE SQL SET search_path = pg_catalog, pg_temp AS $$ SELECT CASE WHEN pg_temp.state() = $1 THEN 'nothing happened' ELSE 'it worked' END $$;
-- An attempt to go round approval, undone whatever comes of it: the SQLSTATE, and whether the guard says what to do instead; or what it did.
CREATE FUNCTION pg_temp.attempt(who text, what text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE before constant text := pg_temp.state(); result text; hint text;
BEGIN
    BEGIN
        EXECUTE format('SET LOCAL SESSION AUTHORIZATION %I', pg_temp.login(who));
        EXECUTE what;
        SET LOCAL SESSION AUTHORIZATION DEFAULT;
        result := pg_temp.verdict(before);
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
        RETURN SQLSTATE || CASE WHEN hint LIKE 'Draft a change: SELECT draft_change(%' THEN ' and the hint' ELSE '' END;
    END;
END $$;
-- A change that lay about for so long: all its times are earlier. Only a superuser can do that, by switching the guards off.
CREATE FUNCTION pg_temp.lay_about(why text, so_long interval) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    SET LOCAL session_replication_role = replica;
    UPDATE revacct_data.change SET raised_at = raised_at - so_long, proposed_at = proposed_at - so_long, effective_at = effective_at - so_long, effective_until = effective_until - so_long
    WHERE change_id = pg_temp.no(why);
    SET LOCAL session_replication_role = origin;
END $$;
-- What a change says of each definition, all columns of it, but for the numbers of versions
CREATE FUNCTION pg_temp.says(change bigint) RETURNS TABLE (kind text, key text, action text, successor text, content jsonb) LANGUAGE plpgsql AS $$
DECLARE v revacct_data.version;
BEGIN
    FOR v IN SELECT * FROM revacct_data.version WHERE change_id = change LOOP
        EXECUTE format('SELECT to_jsonb(t) - ''version_id'' FROM revacct_data.%I AS t WHERE version_id = $1', v.kind) INTO content USING v.version_id;
        kind := v.kind; key := v.key; action := v.action; successor := v.successor;
        RETURN NEXT;
    END LOOP;
END $$;
-- What the label of a code is when, as on record at an instant: a 2020, b 2021..., each from when on; what is near is 'now'.
CREATE FUNCTION pg_temp.timeline(code text, known timestamptz DEFAULT 'infinity') RETURNS text LANGUAGE SQL AS $$
    SELECT coalesce(string_agg(coalesce(c.label, v.action) || CASE WHEN lower(i.valid) BETWEEN now() - interval '1 hour' AND now() + interval '1 hour' THEN ' now' ELSE to_char(lower(i.valid), ' YYYY') END, ', ' ORDER BY i.valid)
        || CASE WHEN bool_or(upper_inf(i.valid)) THEN '' ELSE to_char(max(upper(i.valid)), '" until "YYYY') END, '')
    FROM revacct_data.validity i JOIN revacct_data.version v USING (version_id) LEFT JOIN revacct_data.code c USING (version_id)
    WHERE i.kind = 'code' AND i.key = 'demo/' || $1 AND i.recorded @> $2 $$;

-- A snapshot from before the others' approvals cannot judge. It takes a transaction of its own to see that.
BEGIN ISOLATION LEVEL REPEATABLE READ;
CREATE ROLE revacct_test_mallory;
SELECT grant_access('steward', 'revacct_test_mallory');
SELECT pg_temp.proposes('mallory', 'x', $$ define_code('a', 'b') $$) AS repeatable_read \gset
ROLLBACK;
BEGIN ISOLATION LEVEL SERIALIZABLE;
CREATE ROLE revacct_test_mallory;
SELECT grant_access('steward', 'revacct_test_mallory');
SELECT pg_temp.proposes('mallory', 'x', $$ define_code('a', 'b') $$) AS serializable \gset
ROLLBACK;

BEGIN;
SELECT plan(789);
SELECT is(:'repeatable_read'::text, '0A000', 'no proposal in a repeatable read transaction');
SELECT is(:'serializable'::text, '0A000', 'nor in a serializable one');

-- The extension belongs to somebody who is no superuser
CREATE ROLE revacct_test_owner; CREATE ROLE revacct_test_root SUPERUSER; CREATE ROLE revacct_test_nobody;
CREATE ROLE revacct_test_mallory; CREATE ROLE revacct_test_ana; CREATE ROLE revacct_test_ben; CREATE ROLE revacct_test_bill; CREATE ROLE revacct_test_carl; CREATE ROLE revacct_test_cleo;
CREATE ROLE revacct_test_dora; CREATE ROLE revacct_test_eve;
DROP EXTENSION revacct;
SELECT format('GRANT CREATE ON DATABASE %I TO revacct_test_owner', current_database()) \gexec
SELECT is(pg_temp.does('owner', 'CREATE EXTENSION revacct'), 'done', 'the extension is installed by somebody who is no superuser');
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('steward', 'revacct_test_mallory'), grant_access('steward', 'revacct_test_ana'), grant_access('reader', 'revacct_test_ben'),
    grant_access('reader', 'revacct_test_bill'), grant_access('reader', 'revacct_test_carl'), grant_access('reader', 'revacct_test_dora'), grant_access('reader', 'revacct_test_eve'),
    grant_access('council', 'revacct_test_cleo') $$), 'done', 'and grants access');
SELECT is(pg_temp.does('ana', $$ SELECT count(register_party(p, CASE WHEN p IN ('marketing', 'sales', 'ops', 'twins', 'double') THEN 'team' ELSE 'person' END))
    FROM unnest('{ana, ben, bill, carl, dora, eve, mallory, cleo, marketing, sales, ops, twins, double}'::text[]) AS p $$), '13', 'a steward registers parties');
SELECT is(pg_temp.does('owner', $$ SELECT count(p) FROM unnest('{ana, ben, bill, carl, dora, eve, mallory, cleo}'::text[]) AS p, LATERAL link_login(p, ('revacct_test_' || p)::regrole) $$), '8', 'the administrator links logins');

-- Nobody has a say yet: ben and bill sign for sales, ana for marketing, nobody for ops; carl is a mere member.
SELECT is(pg_temp.agreed('Who we are', $$ assign('ben', 'approver', 'party', 'sales'), assign('bill', 'approver', 'party', 'sales'), assign('ana', 'approver', 'party', 'marketing'),
    assign('carl', 'member', 'party', 'sales'), assign('carl', 'manager', 'party', 'marketing') $$), 'approved', 'the council signs what nobody owns');
-- Inbound is all owned; of deal, the stages: a by marketing, b by sales, c by dora. Dora is a person and signs for herself.
SELECT is(pg_temp.proposes('mallory', 'Inbound', $$
    define_lifecycle('inbound', 'From arrival on'), define_stage('inbound', 'lead', 10), define_stage('inbound', 'mql', 20), define_stage('inbound', 'won', 30, 'won'),
    define_lifecycle('deal'), define_stage('deal', 'a', 10), define_stage('deal', 'b', 20), define_stage('deal', 'c', 30), define_stage('deal', 'd', 40), define_transition('deal', 'a', 'b'),
    define_calendar('hours', 'UTC', '{mon-fri 09:00-17:00}'), define_code('segment', 'enterprise'), define_code('loss_reason', 'price'), define_field_rule('lead', 'amount', 'immutable'),
    define_sla('speed', start => '{created}', stop => '{touch_out}', target => '4 hours', calendar => 'hours', segment => '{field_set}'), define_step('speed', '80%', 'owner'),
    define_metric('win_rate', 'Of all, how many', lifecycle => 'deal', at_stage => 'a'), define_target('win_rate', '2025-01-01', '2026-01-01', 0.2), define_program('fair'),
    assign('dora', 'accountable', 'lifecycle', 'inbound'), assign('marketing', 'accountable', 'stage', 'inbound/mql', 0.6), assign('sales', 'accountable', 'stage', 'inbound/mql', 0.4),
    assign('marketing', 'accountable', 'stage', 'deal/a'), assign('sales', 'accountable', 'stage', 'deal/b'), assign('dora', 'accountable', 'stage', 'deal/c'),
    assign('ops', 'accountable', 'calendar', 'hours'), assign('marketing', 'accountable', 'code_list', 'loss_reason'), assign('sales', 'accountable', 'field', 'lead/amount'),
    assign('sales', 'accountable', 'policy', 'speed'), assign('dora', 'accountable', 'metric', 'win_rate'), assign('marketing', 'accountable', 'target', 'win_rate//2025-01-01/2026-01-01'),
    assign('carl', 'accountable', 'program', 'fair') $$), 'done', 'a model is proposed');

-- The quorum: everybody, each once
SELECT is(pg_temp.waits_for('Inbound'), 'carl, dora, marketing, ops, sales, council', 'it waits for those who are to be owners, and for the council, as nobody owns any of it yet');
SELECT is((SELECT count(*) FROM revacct_data.validity JOIN revacct_data.version USING (version_id) WHERE change_id = pg_temp.no('Inbound')), 0::bigint, 'a proposal is in force nowhere');
SELECT is((SELECT count(*) FROM revacct_data.numbering), 0::bigint, 'and has no numbers');
SELECT is((SELECT count(*) FROM revacct_data.version WHERE change_id = pg_temp.no('Inbound') AND version_no IS NOT NULL), 0::bigint, 'nor are its versions numbered');
SELECT is((SELECT waiting FROM (SELECT pg_temp.does(who, 'SELECT string_agg(sign_for, '', '' ORDER BY sign_for) FROM awaiting_my_signoff') AS waiting) AS w), expected, who || ' is asked to sign for ' || expected)
FROM (VALUES ('ana', 'marketing'), ('ben', 'sales'), ('bill', 'sales'), ('dora', 'dora'), ('cleo', 'council, ops'), ('carl', 'carl'), ('eve', 'done'), ('mallory', 'done')) AS t (who, expected);
SELECT is(pg_temp.signs('ben', 'Inbound'), 'proposed', 'one signature of six');
SELECT is(pg_temp.signs('ben', 'Inbound'), '42501', 'the same again is no other');
SELECT is(pg_temp.signs('bill', 'Inbound'), '42501', 'nor is that of another approver of the same party');
SELECT is(pg_temp.signs('ana', 'Inbound'), 'proposed', 'two');
SELECT is(pg_temp.signs('dora', 'Inbound'), 'proposed', 'three');
SELECT is(pg_temp.waits_for('Inbound'), 'carl, ops, council', 'it waits for the rest');
SELECT is(pg_temp.signs('eve', 'Inbound'), '42501', 'a party that owns nothing has nothing to sign');
SELECT is(pg_temp.signs('cleo', 'Inbound'), 'proposed', 'the council signs for itself and for a party without an approver');
SELECT is(pg_temp.signs('cleo', 'Inbound'), '42501', 'but not for one who can sign');
SELECT is(pg_temp.status('Inbound'), 'proposed', 'all but one is not all');
SELECT is(pg_temp.signs('carl', 'Inbound'), 'approved', 'all of them');
SELECT is(pg_temp.status('Inbound'), 'approved', 'and so it stands');
SELECT results_eq($$ SELECT party, signed_by, verdict FROM revacct_data.signoff WHERE change_id = pg_temp.no('Inbound') ORDER BY 1 $$,
    $$ VALUES ('carl', 'revacct_test_carl', 'approve'), ('dora', 'revacct_test_dora', 'approve'), ('marketing', 'revacct_test_ana', 'approve'), ('ops', 'revacct_test_cleo', 'approve'), ('sales', 'revacct_test_ben', 'approve'), (NULL, 'revacct_test_cleo', 'approve') $$, 'who signed for whom');
SELECT is((SELECT signed FROM model_history WHERE change_no = pg_temp.no('Inbound') LIMIT 1),
    'carl (revacct_test_carl), dora (revacct_test_dora), marketing (revacct_test_ana), ops (revacct_test_cleo), sales (revacct_test_ben), council (revacct_test_cleo)', 'and people can read it');
SELECT is((SELECT count(*) FROM glossary WHERE change_no = pg_temp.no('Inbound') AND version_no = 1), 19::bigint, 'all of it is in force');
SELECT is(pg_temp.does('eve', $$ SELECT lifecycle('deal') $$) ~ '^deal: stages a, b, c, d', true, 'for everybody');

-- Whose signature is needed, of present owners and of new ones
SELECT is(pg_temp.asks(contents), expected, 'to sign: ' || what || ' by ' || expected)
FROM (VALUES
    (1, 'something new', $$ define_calendar('other', 'UTC', '{mon-fri 09:00-17:00}') $$, 'council'),
    (2, 'a stage, by its owners and those of its lifecycle', $$ define_stage('inbound', 'mql', 20, meaning => 'x') $$, 'dora, marketing, sales'),
    (3, 'a new stage, by the owner of its lifecycle', $$ define_stage('inbound', 'sql', 25) $$, 'dora'),
    (4, 'a stage of a lifecycle without owner', $$ define_stage('deal', 'a', 10, meaning => 'x') $$, 'marketing'),
    (5, 'a stage without owner', $$ define_stage('deal', 'd', 40, meaning => 'x') $$, 'council'),
    (6, 'a lifecycle, by its owner and those of all stages', $$ define_lifecycle('inbound', 'x') $$, 'dora, marketing, sales'),
    (7, 'a lifecycle without owner, by those of all stages', $$ define_lifecycle('deal', 'x') $$, 'dora, marketing, sales'),
    (8, 'a transition, by both sides', $$ define_transition('deal', 'b', 'c') $$, 'dora, sales'),
    (9, 'the way in', $$ define_transition('deal', NULL, 'b', 'enter') $$, 'sales'),
    (10, 'a transition from a stage without owner', $$ define_transition('deal', 'd', 'a', 'back') $$, 'marketing'),
    (11, 'a transition, by the owner of the lifecycle too', $$ define_transition('inbound', 'lead', 'won') $$, 'dora'),
    (12, 'the end of a transition, by both sides', $$ retire('transition', 'deal/a/b') $$, 'marketing, sales'),
    (13, 'a code, by the owner of its list', $$ define_code('loss_reason', 'timing') $$, 'marketing'),
    (14, 'the end of a code', $$ retire('code', 'loss_reason/price') $$, 'marketing'),
    (15, 'a code of a list without owner', $$ define_code('win_reason', 'price') $$, 'council'),
    (16, 'a rule on a field, by the owner of the field', $$ define_field_rule('lead', 'amount', 'required') $$, 'sales'),
    (17, 'a rule on another field', $$ define_field_rule('lead', 'source', 'required') $$, 'council'),
    (18, 'the same field of something else', $$ define_field_rule('account', 'amount', 'required') $$, 'council'),
    (19, 'a policy', $$ define_sla('speed', start => '{created}', stop => '{touch_out}', target => '5 hours', calendar => 'hours', segment => '{field_set}') $$, 'sales'),
    (20, 'a step of a policy', $$ define_step('speed', 'breach', 'manager') $$, 'sales'),
    (21, 'a target of a policy', $$ define_sla_target('speed', '1 hour', segment => 'enterprise') $$, 'sales'),
    (22, 'a metric', $$ define_metric('win_rate', 'x') $$, 'dora'),
    (23, 'a target, by its owner and that of the metric', $$ define_target('win_rate', '2025-01-01', '2026-01-01', 0.3) $$, 'dora, marketing'),
    (24, 'another target', $$ define_target('win_rate', '2026-01-01', '2027-01-01', 0.3) $$, 'dora'),
    (25, 'a calendar', $$ define_calendar('hours', 'UTC', '{mon-fri 09:00-18:00}') $$, 'ops'),
    (26, 'a program', $$ define_program('fair', status => 'ended') $$, 'carl'),
    (27, 'a new owner, by the old ones too', $$ assign('eve', 'accountable', 'stage', 'deal/b') $$, 'eve, sales'),
    (28, 'somebody to be consulted, by the owner', $$ assign('eve', 'consulted', 'stage', 'deal/b') $$, 'sales'),
    (29, 'another share, by all owners', $$ assign('sales', 'accountable', 'stage', 'inbound/mql', 0.1) $$, 'dora, marketing, sales'),
    (30, 'the end of an owner, by that owner', $$ unassign('sales', 'accountable', 'stage', 'deal/b') $$, 'sales'),
    (31, 'another in its place, by both', $$ unassign('sales', 'accountable', 'stage', 'deal/b'), assign('eve', 'accountable', 'stage', 'deal/b') $$, 'eve, sales'),
    (32, 'the end of a stage', $$ retire('stage', 'deal/c') $$, 'dora'),
    (33, 'the end of a policy and its steps', $$ retire('policy', 'speed') $$, 'sales'),
    (34, 'several things, by all their owners', $$ define_code('loss_reason', 'timing'), define_stage('deal', 'c', 31) $$, 'dora, marketing'),
    (35, 'somebody to be consulted by a party, by the party', $$ assign('eve', 'consulted', 'party', 'sales') $$, 'sales'),
    (36, 'the way from a stage into another, by the owners of both and of the lifecycle', $$ define_transition('inbound', 'lead', 'mql') $$, 'dora, marketing, sales'),
    (37, 'the end of a lifecycle, by its owner and those of all stages', $$ retire('lifecycle', 'inbound') $$, 'dora, marketing, sales'),
    (38, 'somebody to be told of a target, by its owner and that of the metric', $$ assign('eve', 'informed', 'target', 'win_rate//2025-01-01/2026-01-01') $$, 'dora, marketing'),
    -- a party agrees itself to who belongs to it, signs for it, works for it or owns it; and to their end; not to whom it reports to
    (41, 'an approver of a party', $$ assign('eve', 'approver', 'party', 'sales') $$, 'sales'),
    (42, 'the end of an approver of a party', $$ unassign('ben', 'approver', 'party', 'sales') $$, 'sales'),
    (43, 'a member of a party', $$ assign('eve', 'member', 'party', 'sales') $$, 'sales'),
    (44, 'the end of a member', $$ unassign('carl', 'member', 'party', 'sales') $$, 'sales'),
    (45, 'a pool', $$ assign('eve', 'pool', 'party', 'sales', weight => 1) $$, 'sales'),
    (46, 'an owner of a party, by both', $$ assign('eve', 'accountable', 'party', 'sales') $$, 'eve, sales'),
    (47, 'an approver of a person', $$ assign('eve', 'approver', 'party', 'dora') $$, 'dora'),
    (48, 'a reporting line', $$ assign('carl', 'manager', 'party', 'sales') $$, 'council'),
    (49, 'the end of a reporting line', $$ unassign('carl', 'manager', 'party', 'marketing') $$, 'council'),
    (50, 'a reporting line of a person', $$ assign('carl', 'manager', 'party', 'dora') $$, 'council'),
    (51, 'two parties, by both', $$ assign('eve', 'member', 'party', 'sales'), assign('eve', 'member', 'party', 'marketing') $$, 'marketing, sales'),
    (52, 'an approver and a reporting line', $$ assign('eve', 'approver', 'party', 'sales'), assign('eve', 'manager', 'party', 'sales') $$, 'sales, council'),
    -- each thing for itself: what somebody agrees to of theirs is no agreement to what is nobody's
    (61, 'a thing with an owner and one without', $$ define_stage('deal', 'c', 31), define_code('win_reason', 'price') $$, 'dora, council'),
    (62, 'two stages of a lifecycle, one without owner', $$ define_stage('deal', 'a', 11), define_stage('deal', 'd', 41) $$, 'marketing, council'),
    (63, 'a code of a list with and one of a list without', $$ define_code('loss_reason', 'x'), define_code('win_reason', 'x') $$, 'marketing, council'),
    (64, 'the end of things, one without owner', $$ retire('stage', 'deal/c'), retire('stage', 'deal/d') $$, 'dora, council'),
    (65, 'a responsibility for a thing with and for one without', $$ assign('eve', 'consulted', 'stage', 'deal/c'), assign('eve', 'consulted', 'stage', 'deal/d') $$, 'dora, council'),
    -- who is to be an owner signs beside those who have a say, not instead of them
    (71, 'an owner of what had none', $$ assign('eve', 'accountable', 'stage', 'deal/d') $$, 'eve, council'),
    (72, 'what had none, and an owner for it', $$ define_stage('deal', 'd', 41), assign('eve', 'accountable', 'stage', 'deal/d') $$, 'eve, council'),
    (73, 'something new, and an owner for it', $$ define_lifecycle('mine'), define_stage('mine', 'a', 1), assign('eve', 'accountable', 'lifecycle', 'mine') $$, 'eve, council'),
    (74, 'something new of what has an owner, and another owner for it', $$ define_stage('inbound', 'sql', 25), assign('eve', 'accountable', 'stage', 'inbound/sql') $$, 'dora, eve'),
    (75, 'an owner of one thing, and another thing', $$ assign('eve', 'accountable', 'stage', 'deal/b'), define_stage('deal', 'd', 41) $$, 'eve, sales, council'),
    (76, 'an approver of one party, and a thing of another', $$ assign('eve', 'approver', 'party', 'sales'), define_code('loss_reason', 'x') $$, 'marketing, sales'),
    (77, 'a proposer who makes herself an owner beside others', $$ assign('mallory', 'accountable', 'stage', 'deal/b') $$, 'sales'),
    (78, 'a proposer who makes herself the owner of what had none', $$ assign('mallory', 'accountable', 'stage', 'deal/d') $$, 'council'),
    (79, 'somebody else to be consulted on what has no owner', $$ assign('eve', 'consulted', 'stage', 'deal/d') $$, 'council')
) AS t (n, what, contents, expected) ORDER BY n;
-- To propose is to agree; to draft is not.
SELECT is(pg_temp.asks(contents, drafter, proposer => proposer), expected, format('drafted by %s, proposed by %s: %s needs %s', drafter, proposer, contents, expected))
FROM (VALUES
    (1, 'dora', 'dora', $$ define_stage('deal', 'c', 31) $$, 'council'),
    (2, 'mallory', 'dora', $$ define_stage('deal', 'c', 31) $$, 'council'),
    (3, 'dora', 'mallory', $$ define_stage('deal', 'c', 31) $$, 'dora'),
    (4, 'dora', 'dora', $$ define_lifecycle('deal', 'x') $$, 'marketing, sales'),
    (5, 'dora', 'mallory', $$ define_lifecycle('deal', 'x') $$, 'dora, marketing, sales'),
    -- each thing for itself: that others sign for one does not make up for the other, of which only she is an owner
    (6, 'dora', 'dora', $$ define_stage('deal', 'c', 31), define_stage('deal', 'b', 21) $$, 'sales, council'),
    (7, 'dora', 'mallory', $$ define_stage('deal', 'c', 31), define_stage('deal', 'b', 21) $$, 'dora, sales'),
    (8, 'dora', 'dora', $$ unassign('dora', 'accountable', 'stage', 'deal/c') $$, 'council'),
    (9, 'dora', 'dora', $$ assign('eve', 'accountable', 'stage', 'deal/c') $$, 'eve, council'),
    (10, 'dora', 'dora', $$ assign('dora', 'accountable', 'stage', 'deal/b') $$, 'sales'),
    (11, 'dora', 'mallory', $$ assign('dora', 'accountable', 'stage', 'deal/b') $$, 'dora, sales'),
    (12, 'dora', 'dora', $$ assign('dora', 'accountable', 'stage', 'deal/d') $$, 'council'),
    (13, 'dora', 'dora', $$ assign('eve', 'approver', 'party', 'dora') $$, 'council'),
    (14, 'dora', 'mallory', $$ assign('eve', 'approver', 'party', 'dora') $$, 'dora'),
    -- a team has not agreed because its approver proposes
    (15, 'ana', 'ana', $$ define_stage('deal', 'a', 11) $$, 'marketing'),
    (16, 'ana', 'mallory', $$ define_stage('deal', 'a', 11) $$, 'marketing'),
    (17, 'ana', 'ana', $$ assign('marketing', 'accountable', 'stage', 'deal/d') $$, 'marketing, council')
) AS t (n, drafter, proposer, contents, expected) ORDER BY n;
-- Who owns a party has a say beside it, and of its reporting lines alone.
SELECT is(pg_temp.asks(contents, setup => $$ assign('dora', 'accountable', 'party', 'sales') $$, signatories => '{dora, ben}'), expected, format('with an owner of the party: %s needs %s', contents, expected))
FROM (VALUES (1, $$ assign('eve', 'approver', 'party', 'sales') $$, 'dora, sales'), (2, $$ unassign('ben', 'approver', 'party', 'sales') $$, 'dora, sales'), (3, $$ assign('carl', 'manager', 'party', 'sales') $$, 'dora'),
             (4, $$ unassign('dora', 'accountable', 'party', 'sales') $$, 'dora, sales')) AS t (n, contents, expected) ORDER BY n;
-- Who is an owner some day is none yet
SELECT is(pg_temp.asks($$ assign('eve', 'accountable', 'stage', 'deal/b') $$, times => $$ '2100-01-01' $$), 'eve, sales', 'who is to be an owner some day agrees to it');
SELECT is(pg_temp.asks($$ define_stage('deal', 'd', 41) $$, setup => $$ assign('eve', 'accountable', 'stage', 'deal/d') $$, signatories => '{cleo, eve}', setup_times => $$ '2100-01-01' $$), 'council', 'and has no say before');
SELECT is(pg_temp.asks($$ define_code('loss_reason', 'price') $$, times => $$ '2001-01-01', 'infinity', retroactive => true $$), 'marketing', 'from before there were owners: by those of now');
SELECT is(pg_temp.asks($$ define_code('loss_reason', 'price') $$, times => $$ '2001-01-01', '2002-01-01', retroactive => true $$), 'marketing', 'until before there were, too');
SELECT is(pg_temp.asks($$ define_stage('deal', 'b', 21) $$, times => $$ '2100-01-01' $$), 'sales', 'and for the future');

-- Signing for others
SELECT is(pg_temp.proposes('ana', 'Price', $$ define_code('loss_reason', 'price', 'Too dear') $$), 'done', 'marketing''s approver proposes');
SELECT is(pg_temp.signs('ana', 'Price'), '42501', 'and cannot sign for it');
SELECT is(pg_temp.signs('carl', 'Price'), '42501', 'nor can who manages it, or is a member of something');
SELECT is(pg_temp.signs('cleo', 'Price'), 'approved', 'so the council does');
SELECT is(pg_temp.proposes('ana', 'B', $$ define_stage('deal', 'b', 22) $$), 'done', 'something of sales is proposed');
SELECT is(pg_temp.signs('carl', 'B'), '42501', 'a mere member does not sign for a team');
SELECT is(pg_temp.signs('cleo', 'B'), '42501', 'nor does the council, where somebody else can');
SELECT is(pg_temp.signs('nobody', 'B'), '42501', 'nor whoever comes along');
SELECT is(pg_temp.signs('bill', 'B'), 'approved', 'any one of its approvers does');
SELECT is(pg_temp.proposes('ana', 'No council', $$ define_calendar('x', 'UTC', '{mon-fri 09:00-17:00}') $$), 'done', 'what nobody owns');
SELECT is(pg_temp.does('cleo', $$ SELECT withdraw_change(pg_temp.no('No council')) $$), '42501', 'is not the council''s to withdraw');
SELECT is(pg_temp.does('ana', $$ SELECT withdraw_change(pg_temp.no('No council')) = pg_temp.no('No council') $$), 'true', 'but who proposed it can');
SELECT is(pg_temp.proposes('cleo', 'By the council', $$ define_code('demo', 'by_council') $$), 'done', 'the council proposes too');
SELECT is(pg_temp.signs('cleo', 'By the council'), '42501', 'and then does not sign');
SELECT is(pg_temp.does('cleo', 'SELECT withdraw_change(pg_temp.no(''By the council''))') ~ '^\d+$', true, 'it can be withdrawn');
-- A drafter is asked where somebody else proposes, and still does not sign
SELECT is(pg_temp.does('dora', $$ SELECT draft_change('Dora drafts'); SELECT define_stage('deal', 'c', 32) $$), 'done', 'dora drafts something of hers');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change(pg_temp.no('Dora drafts')) > 0 $$), 'true', 'mallory proposes it');
SELECT is(pg_temp.waits_for('Dora drafts'), 'dora', 'it waits for dora');
SELECT is(pg_temp.signs('dora', 'Dora drafts') || ' ' || pg_temp.signs('eve', 'Dora drafts') || ' ' || pg_temp.signs('mallory', 'Dora drafts'), '42501 42501 42501', 'who does not sign it, nor does who proposed it');
SELECT is(pg_temp.signs('cleo', 'Dora drafts'), 'approved', 'so the council does');
SELECT is((SELECT string_agg(party || ' ' || signed_by, ', ') FROM revacct_data.signoff WHERE change_id = pg_temp.no('Dora drafts')), 'dora revacct_test_cleo', 'for her');

-- One rejection is enough, and says why
SELECT is(pg_temp.proposes('ana', 'Two owners', $$ define_stage('inbound', 'mql', 20, meaning => 'x') $$), 'done', 'something of two teams and dora');
SELECT is(pg_temp.signs('ben', 'Two owners'), 'proposed', 'one signs');
SELECT is(pg_temp.does(who, format('SELECT reject(pg_temp.no(''Two owners''), %s)', note)), expected, who || ' rejecting with ' || note)
FROM (VALUES (1, 'dora', 'NULL', '22023'), (2, 'dora', $$''$$, '22023'), (3, 'dora', $$'  '$$, '22023'), (4, 'eve', $$'no'$$, '42501'), (5, 'ana', $$'no'$$, '42501'), (6, 'ben', $$'no'$$, '42501'),
             (7, 'dora', $$'not yet'$$, 'rejected')) AS t (n, who, note, expected) ORDER BY n;
SELECT is(pg_temp.signs('cleo', 'Two owners'), '55000', 'then nobody signs any more');
SELECT results_eq($$ SELECT verdict, party, note FROM revacct_data.signoff WHERE change_id = pg_temp.no('Two owners') ORDER BY 1 $$, $$ VALUES ('approve', 'sales', NULL), ('reject', 'dora', 'not yet') $$, 'the reason is kept');
SELECT ok((SELECT decided_at IS NOT NULL FROM revacct_data.change WHERE change_id = pg_temp.no('Two owners')), 'and when');
SELECT is((SELECT meaning FROM glossary WHERE kind = 'stage' AND name = 'inbound/mql'), NULL, 'nothing came of it');

-- What can be done when, by who may
SELECT pg_temp.does('eve', $$ SELECT draft_change('is draft'); SELECT define_code('s', 'draft') $$) AS ignored \gset
SELECT is(pg_temp.status('is draft'), 'draft', 'anyone may draft');
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('is proposed'); SELECT define_code('s', 'proposed'); SELECT propose_change() $$), 'done', 'one that is proposed');
SELECT is(pg_temp.agreed('is approved', $$ define_code('s', 'approved') $$), 'approved', 'one that is approved');
SELECT is(pg_temp.proposes('mallory', 'is rejected', $$ define_code('s', 'rejected') $$), 'done', 'one that will be rejected');
SELECT is(pg_temp.does('cleo', $$ SELECT reject(pg_temp.no('is rejected'), 'no') $$), 'rejected', 'one that is');
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('is withdrawn'); SELECT define_code('s', 'withdrawn'); SELECT withdraw_change() $$), 'done', 'one that is withdrawn, as a draft');
SELECT is(pg_temp.would(CASE WHEN action ~ '^(approve|reject)' THEN 'cleo' WHEN state = 'draft' AND action ~ 'define|assign|retire|withdraw' THEN 'eve' ELSE 'mallory' END, format('SELECT ' || action, pg_temp.no('is ' || state))) ,
    coalesce(expected, pg_temp.no('is ' || state)::text), action || ' when it is ' || state)
FROM unnest('{draft, proposed, approved, rejected, withdrawn}'::text[]) WITH ORDINALITY AS s (state, sn),
     LATERAL (VALUES (1, 'define_code(''s'', ''x'', change => %s)', CASE state WHEN 'draft' THEN 'done' ELSE '55000' END),
                     (2, 'assign(''sales'', ''informed'', ''code_list'', ''s'', change => %s)', CASE state WHEN 'draft' THEN 'done' ELSE '55000' END),
                     (3, 'retire(''code'', ''s/approved'', change => %s)', CASE state WHEN 'draft' THEN 'done' ELSE '55000' END),
                     (4, 'propose_change(%s)', CASE state WHEN 'draft' THEN NULL ELSE '55000' END),
                     (5, 'approve(%s)', CASE state WHEN 'proposed' THEN 'approved' ELSE '55000' END),
                     (6, 'reject(%s, ''why'')', CASE state WHEN 'proposed' THEN 'rejected' ELSE '55000' END),
                     (7, 'withdraw_change(%s)', CASE WHEN state IN ('draft', 'proposed') THEN NULL ELSE '55000' END)) AS a (n, action, expected)
ORDER BY sn, n;
SELECT is(pg_temp.would(who, format('SELECT ' || action, pg_temp.no('is draft'))), expected, who || ': ' || action || ', a draft of eve''s')
FROM (VALUES (1, 'mallory', 'define_code(''s'', ''x'', change => %s)', '42501'), (2, 'cleo', 'retire(''code'', ''s/approved'', change => %s)', '42501'), (3, 'eve', 'propose_change(%s)', '42501'),
             (4, 'mallory', 'withdraw_change(%s)', '42501'), (5, 'postgres', 'define_code(''s'', ''x'', change => %s)', '42501'), (6, 'postgres', 'propose_change(%s)', '42501'), (7, 'owner', 'propose_change(%s)', '42501'),
             (8, 'postgres', 'withdraw_change(%s)', '42501'), (9, 'mallory', 'withdraw_change()', '55000')) AS t (n, who, action, expected) ORDER BY n;
SELECT is(pg_temp.would('mallory', 'SELECT ' || action), expected, action)
FROM (VALUES (1, 'approve(0)', '42704'), (2, 'approve(NULL)', '42704'), (3, 'reject(0, ''x'')', '42704'), (4, 'propose_change(0)', '42704'), (5, 'withdraw_change(0)', '42704'), (6, 'redraft(0)', '42704'), (7, 'redraft(NULL)', '42704'),
             (8, 'define_code(''a'', ''b'', change => 0)', '42704'), (9, 'define_code(''a'', ''b'')', '55000'), (10, 'propose_change()', '55000'), (11, 'withdraw_change()', '55000'), (12, 'draft_change('''')', '23514'),
             (13, 'draft_change(NULL)', '23502'), (14, 'draft_change(''x'', ''2020-01-01'')', '22023'), (15, 'draft_change(''x'', ''infinity'')', '23514'), (16, 'draft_change(''x'', ''2100-01-01'', ''2100-01-01'')', '23514'),
             (17, 'draft_change(''x'', ''2100-01-01'', ''2099-01-01'')', '23514'), (18, 'draft_change(''x'', NULL, ''-infinity'')', '23514'), (19, 'draft_change(''x'', ''-infinity'', NULL, true)', '23514')) AS t (n, action, expected) ORDER BY n;
SELECT is(pg_temp.would('mallory', $$ SELECT draft_change('empty'); SELECT propose_change() $$), '55000', 'a draft that says nothing is not proposed');
SELECT is(pg_temp.status('is draft') || ' ' || pg_temp.status('is proposed'), 'draft proposed', 'all that left them as they were');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change(pg_temp.no('is draft')) = pg_temp.no('is draft') $$), 'true', 'a steward proposes what somebody else drafted');
SELECT is(pg_temp.would('mallory', $$ SELECT withdraw_change(pg_temp.no('is draft')) = pg_temp.no('is draft') $$), 'true', 'then she can withdraw it');
SELECT is(pg_temp.would('eve', $$ SELECT withdraw_change(pg_temp.no('is draft')) = pg_temp.no('is draft') $$), 'true', 'and so can who drafted it');
SELECT is(pg_temp.does('eve', $$ SELECT define_code('s', 'more', change => pg_temp.no('is draft')) $$), '55000', 'who can alter it no more');
SELECT is(pg_temp.signs('cleo', 'is draft'), 'approved', 'and it is approved');

-- In a draft, the later word counts
SELECT is(pg_temp.does('eve', $$ SELECT draft_change('Twice'); SELECT define_code('demo', 'twice', 'first'), define_code('demo', 'once'); SELECT define_code('demo', 'twice', 'second') $$), 'done', 'a draft that says something twice');
SELECT results_eq($$ SELECT key, content ->> 'label' FROM pg_temp.says(pg_temp.no('Twice')) ORDER BY 1 $$, $$ VALUES ('demo/once', 'once'), ('demo/twice', 'second') $$, 'holds what was said last');
SELECT is((SELECT count(*) FROM revacct_data.code WHERE list = 'demo' AND code = 'twice'), 1::bigint, 'and nothing else');
SELECT is(pg_temp.would('eve', $$ SELECT retire('code', 's/approved'); SELECT define_code('s', 'approved', 'again') $$), 'done', 'also when the first was to retire it');
SELECT is(pg_temp.does('eve', $$ SELECT draft_change('Another') $$) ~ '^\d+$', true, 'two drafts at once');
SELECT is(pg_temp.would('eve', $$ SELECT define_code('demo', 'third') $$), '55000', 'then it must be said which is meant');
SELECT is(pg_temp.would('eve', $$ SELECT withdraw_change() $$), '55000', 'in whatever');
SELECT is(pg_temp.does('eve', $$ SELECT define_code('demo', 'third', change => pg_temp.no('Twice')) $$), 'done', 'change => number says it');
SELECT is((SELECT count(*) FROM pg_temp.says(pg_temp.no('Twice'))) || ' ' || (SELECT count(*) FROM pg_temp.says(pg_temp.no('Another'))), '3 0', 'and it is put there');
SELECT is(pg_temp.does('eve', $$ SELECT withdraw_change(pg_temp.no('Another')); SELECT define_code('demo', 'fourth'); SELECT withdraw_change() $$), 'done', 'with one left it needs no number');
SELECT is(pg_temp.would('eve', format('SELECT %s', bad)), '22023', 'no name: ' || bad)
FROM unnest(ARRAY[$$ define_code('', 'x', change => draft_change('bad')) $$, $$ define_code('x', '', change => draft_change('bad')) $$, $$ define_code(' x', 'x', change => draft_change('bad')) $$,
    $$ define_lifecycle(NULL, change => draft_change('bad')) $$, $$ define_stage('x', 'y ', 1, change => draft_change('bad')) $$]) AS b (bad);

-- When it is in force: from its approval, later, for a while, before what is agreed, from before; and what was on record stays on record.
CREATE TEMP TABLE noted (name text, at timestamptz);
CREATE FUNCTION pg_temp.remember(why text) RETURNS void LANGUAGE SQL AS $$ INSERT INTO noted SELECT rationale, decided_at FROM revacct_data.change WHERE change_id = pg_temp.no($1) $$;
SELECT is(pg_temp.agreed('T1', $$ define_code('demo', 'c', 'one') $$), 'approved', 'from now on');
SELECT pg_temp.remember('T1') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'one now', 'is in force from its approval on');
SELECT ok((SELECT effective_at = decided_at AND NOT retroactive FROM revacct_data.change WHERE change_id = pg_temp.no('T1')), 'which is when it is effective');
SELECT is(pg_temp.agreed('T2', $$ define_code('demo', 'c', 'two') $$, times => $$ '2100-01-01' $$), 'approved', 'scheduled');
SELECT pg_temp.remember('T2') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'one now, two 2100', 'comes later');
SELECT is((SELECT terms FROM glossary WHERE name = 'demo/c'), 'one', 'now the other is in force');
SELECT is((SELECT to_char(valid_until, 'YYYY') FROM glossary WHERE name = 'demo/c'), '2100', 'as long as it is');
SELECT is(pg_temp.proposes('mallory', 'T3', $$ define_code('demo', 'c', 'three') $$), '55000', 'for good goes not before what is agreed later');
SELECT is(pg_temp.agreed('T3', $$ define_code('demo', 'c', 'three') $$, times => $$ '2050-01-01', '2060-01-01' $$), 'approved', 'for a while');
SELECT pg_temp.remember('T3') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'one now, three 2050, one 2060, two 2100', 'what was in force around goes on');
SELECT is(pg_temp.agreed('T4', $$ define_code('demo', 'c', 'four') $$, times => $$ '2070-01-01', 'infinity' $$), 'approved', 'for good, whatever is agreed');
SELECT pg_temp.remember('T4') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'one now, three 2050, one 2060, four 2070', 'goes before it');
SELECT is((SELECT effective_until FROM model_history WHERE change_no = pg_temp.no('T4')), NULL, 'and reads as for good');
SELECT is(pg_temp.agreed('T5', $$ define_code('demo', 'c', 'five') $$, times => $$ effective_until => '2055-01-01' $$), 'approved', 'from now for a while');
SELECT pg_temp.remember('T5') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'one now, five now, three 2055, one 2060, four 2070', 'begins with its approval and ends there');
SELECT is(pg_temp.proposes('mallory', 'T6', $$ define_code('demo', 'c', 'six') $$, $$ '2020-01-01' $$), '22023', 'from before, it must be marked');
SELECT is(pg_temp.proposes('mallory', 'T6', $$ define_code('demo', 'c', 'six') $$, $$ '2020-01-01', '2022-01-01', retroactive => true $$), 'done', 'as retroactive');
SELECT is((SELECT retroactive_count FROM open_changes WHERE change_no = pg_temp.no('T6')), 1, 'people are told before');
SELECT is(pg_temp.does('cleo', $$ SELECT retroactive_count FROM awaiting_my_signoff WHERE change_no = pg_temp.no('T6') $$), '1', 'who sign');
SELECT is(pg_temp.signs('cleo', 'T6'), 'approved', 'it is agreed');
SELECT pg_temp.remember('T6') AS ignored \gset
SELECT is(pg_temp.timeline('c'), 'six 2020, one now, five now, three 2055, one 2060, four 2070', 'and what was then becomes another');
SELECT is((SELECT retroactive_count FROM model_history WHERE change_no = pg_temp.no('T6')), 1, 'and so it stays marked');
SELECT is(pg_temp.agreed('T7', $$ define_code('demo', 'r', 'seven') $$, times => $$ '2020-01-01', retroactive => true $$), 'approved', 'from before, for good');
SELECT is((SELECT retroactive_count FROM glossary WHERE name = 'demo/r'), 1, 'the glossary marks it');
SELECT is(pg_temp.agreed('T8', $$ define_code('demo', 's') $$, times => $$ '2100-01-01', retroactive => true $$) || pg_temp.agreed('T9', $$ define_code('demo', 't') $$, times => $$ retroactive => true $$), 'approvedapproved', 'what may be retroactive, and is not');
SELECT is((SELECT sum(retroactive_count) FROM model_history WHERE change_no IN (pg_temp.no('T8'), pg_temp.no('T9'), pg_temp.no('T1'))), 0::bigint, 'is not marked');
SELECT is(pg_temp.agreed('T10', $$ define_code('demo', 'bounded') $$, times => $$ effective_until => '2050-01-01' $$), 'approved', 'something new for a while');
SELECT is(pg_temp.timeline('bounded'), 'bounded now until 2050', 'ends by itself');
SELECT is(pg_temp.agreed('T11', $$ retire('code', 'demo/c') $$, times => $$ '2080-01-01', '2090-01-01' $$), 'approved', 'out of force for a while');
SELECT is(pg_temp.timeline('c'), 'six 2020, one now, five now, three 2055, one 2060, four 2070, retire 2080, four 2090', 'and in again');
-- as it was known when
SELECT is(pg_temp.timeline('c', at), expected, 'on record after ' || name || ', and for ever')
FROM noted JOIN (VALUES ('T1', 'one now'), ('T2', 'one now, two 2100'), ('T3', 'one now, three 2050, one 2060, two 2100'), ('T4', 'one now, three 2050, one 2060, four 2070'),
                         ('T5', 'one now, five now, three 2055, one 2060, four 2070'), ('T6', 'six 2020, one now, five now, three 2055, one 2060, four 2070')) AS t (name, expected) USING (name) ORDER BY at;
SELECT is(pg_temp.timeline('c', (SELECT min(at) - interval '1 microsecond' FROM noted)), '', 'and nothing before');
SELECT is((SELECT count(*) FROM (SELECT decided_at > lag(decided_at) OVER (ORDER BY change_id) AS rises FROM revacct_data.change WHERE rationale ~ '^T\d+$' AND status = 'approved') r WHERE rises IS FALSE), 0::bigint, 'decisions are one after the other');
SELECT results_eq($$ SELECT version_no FROM revacct_data.version WHERE kind = 'code' AND key = 'demo/c' AND version_no IS NOT NULL ORDER BY version_id $$, 'SELECT generate_series(1, 7)', 'versions are counted as they are approved');

-- Too late
CREATE FUNCTION pg_temp.late(contents text, times text, so_long interval, who text DEFAULT 'cleo') RETURNS text LANGUAGE plpgsql AS $$
DECLARE before text; result text;
BEGIN
    result := pg_temp.proposes('mallory', 'Late', contents, times);
    IF result <> 'done' THEN RETURN result; END IF;
    PERFORM pg_temp.lay_about('Late', so_long);
    before := pg_temp.state();
    result := pg_temp.signs(who, 'Late');
    RETURN result || ', ' || pg_temp.status('Late') || ', ' || pg_temp.verdict(before);
END $$;
SELECT is(pg_temp.late($$ define_code('demo', 'late') $$, $$ clock_timestamp() + interval '1 hour' $$, '2 hours'), '55000, proposed, nothing happened', 'what should have been in force by now is refused, and nothing stays of the signature');
SELECT is(pg_temp.late($$ define_code('demo', 'late') $$, $$ clock_timestamp() + interval '1 hour', clock_timestamp() + interval '1 day' $$, '2 days'), '55000, proposed, nothing happened', 'what should have been over by now too');
SELECT is(pg_temp.late($$ define_code('demo', 'late') $$, $$ effective_until => clock_timestamp() + interval '1 hour' $$, '2 hours'), '55000, proposed, nothing happened', 'also when it was to begin with its approval');
SELECT is(pg_temp.late($$ define_stage('deal', 'a', 11), define_stage('deal', 'b', 22) $$, $$ clock_timestamp() + interval '1 hour' $$, '2 hours', 'ben'), 'proposed, proposed, it worked', 'as long as others have to sign, that goes on');
SELECT is(pg_temp.signs('ana', 'Late'), '55000', 'but not when the last does');
SELECT is((SELECT count(*) FROM revacct_data.signoff WHERE change_id = pg_temp.no('Late')), 1::bigint, 'and only the first signature stays');
SELECT is(pg_temp.late($$ define_code('demo', 'late') $$, $$ clock_timestamp() + interval '1 hour', retroactive => true $$, '2 hours'), 'approved, approved, it worked', 'one that may be retroactive is not late');
SELECT is((SELECT retroactive_count FROM model_history WHERE change_no = pg_temp.no('Late')), 1, 'but marked');
SELECT is(pg_temp.would('eve', $$ SELECT draft_change('Late draft', clock_timestamp() + interval '1 hour'); SELECT define_code('demo', 'late2') $$), 'done', 'a draft lies about');
SELECT pg_temp.does('mallory', $$ SELECT draft_change('Late draft', clock_timestamp() + interval '1 hour'); SELECT define_code('demo', 'late2') $$), pg_temp.lay_about('Late draft', '2 hours') AS ignored \gset
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() $$), '55000', 'it is too late to propose it');
SELECT is(pg_temp.status('Late draft'), 'draft', 'and it stays a draft');
SELECT pg_temp.does('mallory', $$ SELECT withdraw_change() $$) AS ignored \gset

-- Overtaken
SELECT is(pg_temp.proposes('mallory', 'Slow', $$ define_code('demo', 'r', 'slow'), define_code('demo', 'bystander') $$) || pg_temp.proposes('ana', 'Fast', $$ define_code('demo', 'r', 'fast') $$), 'donedone', 'two of the same');
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('Slower'); SELECT define_code('demo', 'r', 'slower') $$), 'done', 'and a third');
SELECT is(pg_temp.signs('cleo', 'Fast'), 'approved', 'one is approved');
SELECT pg_temp.state() AS before \gset
SELECT is(pg_temp.signs('cleo', 'Slow'), '55000', 'the other was made from what is not in force any more');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() $$), '55000', 'and so was the draft');
SELECT is(pg_temp.state(), :'before'::text, 'nothing stays of it');
SELECT is(pg_temp.does('mallory', $$ SELECT define_code('demo', 'r', 'slower') $$), 'done', 'said again, it is made from what is in force now');
SELECT is(pg_temp.would('mallory', $$ SELECT propose_change() = pg_temp.no('Slower') $$), 'true', 'and can be proposed');
SELECT pg_temp.does('mallory', $$ SELECT withdraw_change() $$) AS ignored \gset

-- Overtaken by what is agreed for a later time, if it is for that time too
SELECT is(pg_temp.proposes('mallory', 'Wide', $$ define_code('demo', 'w', 'wide') $$, $$ '2050-01-01', 'infinity' $$) || pg_temp.proposes('mallory', 'Narrow', $$ define_code('demo', 'w', 'narrow') $$, $$ '2050-01-01', '2055-01-01' $$)
    || pg_temp.proposes('mallory', 'After', $$ define_code('demo', 'w', 'after') $$, $$ '2065-01-01', 'infinity' $$), 'donedonedone', 'three changes for a later time');
SELECT is(pg_temp.does('ana', $$ SELECT draft_change('Draft', '2050-01-01', 'infinity'); SELECT define_code('demo', 'w', 'draft'), define_code('demo', 'w2') $$), 'done', 'and a draft');
SELECT is(pg_temp.agreed('Inside', $$ define_code('demo', 'w', 'inside') $$, times => $$ '2060-01-01', '2062-01-01' $$), 'approved', 'another is agreed for some of it');
SELECT pg_temp.state() AS before \gset
SELECT is(pg_temp.signs('cleo', 'Wide'), '55000', 'the one that goes over it is stale');
SELECT is(pg_temp.does('ana', $$ SELECT propose_change(pg_temp.no('Draft')) $$), '55000', 'and so is the draft');
SELECT is(pg_temp.state(), :'before'::text, 'nothing stays of it');
SELECT is(pg_temp.would('ana', $$ SELECT undraft('code', 'demo/w', pg_temp.no('Draft')); SELECT propose_change() $$), 'done', 'what it says of other things is not stale');
SELECT is(pg_temp.would('ana', $$ SELECT define_code('demo', 'w', 'again'); SELECT propose_change() $$), 'done', 'nor what is said again');
SELECT is(pg_temp.signs('cleo', 'Narrow') || ' ' || pg_temp.signs('cleo', 'After'), 'approved approved', 'those before and after it are not');
SELECT is(pg_temp.timeline('w'), 'narrow 2050, inside 2060, after 2065', 'they are in force');
SELECT is(pg_temp.does('ana', $$ SELECT withdraw_change() $$) ~ '^\d+$', true, 'the draft is withdrawn');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Wide'), '2050-01-01', 'infinity'); SELECT propose_change() $$), 'done', 'the stale one is drafted again');
SELECT is((SELECT replaced_later FROM change_contents WHERE change_no = pg_temp.no('Wide')), 'version 1 from 2060-01-01 00:00, version 3 from 2065-01-01 00:00', 'who signs is told what it ends');
SELECT is(pg_temp.signs('cleo', 'Wide'), 'approved', 'and agreed');
SELECT is(pg_temp.timeline('w'), 'wide 2050', 'it goes over all');
-- what was not there, and what ends
SELECT is(pg_temp.proposes('mallory', 'First', $$ define_code('demo', 'x1', 'first') $$, $$ '2050-01-01', 'infinity' $$), 'done', 'proposed: something new, of which something later is agreed since');
SELECT is(pg_temp.agreed('Second', $$ define_code('demo', 'x1', 'second') $$, times => $$ '2060-01-01', 'infinity' $$), 'approved', 'and the other is agreed');
SELECT is(pg_temp.signs('cleo', 'First'), '55000', 'stale: something new, of which something later is agreed since');
SELECT is(pg_temp.proposes('mallory', 'Third', $$ define_code('demo', 'x1', 'third') $$, $$ '2050-01-01', 'infinity' $$), 'done', 'proposed: something that ends later, since');
SELECT is(pg_temp.agreed('Its end', $$ retire('code', 'demo/x1') $$, times => $$ '2070-01-01', 'infinity' $$), 'approved', 'and the other is agreed');
SELECT is(pg_temp.signs('cleo', 'Third'), '55000', 'stale: something that ends later, since');
SELECT is(pg_temp.proposes('mallory', 'The end of it', $$ retire('code', 'demo/x1') $$, $$ '2055-01-01', 'infinity' $$), 'done', 'proposed: the end of what begins sooner, since');
SELECT is(pg_temp.agreed('Sooner', $$ define_code('demo', 'x1', 'sooner') $$, times => $$ '2058-01-01', 'infinity' $$), 'approved', 'and the other is agreed');
SELECT is(pg_temp.signs('cleo', 'The end of it'), '55000', 'stale: the end of what begins sooner, since');
SELECT is(pg_temp.proposes('mallory', 'Former', $$ define_code('demo', 'x1', 'former') $$, $$ '2080-01-01', 'infinity' $$), 'done', 'proposed: but not by what is agreed for a time before it');
SELECT is(pg_temp.agreed('Earlier', $$ define_code('demo', 'x1', 'earlier') $$, times => $$ '2058-01-01', '2060-01-01' $$), 'approved', 'and the other is agreed');
SELECT is(pg_temp.signs('cleo', 'Former'), 'approved', 'but not by what is agreed for a time before it');

-- A draft is made thinner
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('Thin', '2050-01-01'); SELECT define_code('thin', 'a'), define_code('thin', 'b'), define_lifecycle('thin'), define_stage('thin', 's', 1), retire('code', 'demo/r') $$), 'done', 'a draft of much');
SELECT is(pg_temp.would(who, what), expected, 'undraft, ' || who || ': ' || what) FROM (VALUES (1, 'eve', $$ SELECT undraft('code', 'thin/a', pg_temp.no('Thin')) $$, '42501'), (2, 'cleo', $$ SELECT undraft('code', 'thin/a', pg_temp.no('Thin')) $$, '42501'),
    (3, 'eve', $$ SELECT undraft('code', 'thin/a') $$, '55000'), (4, 'mallory', $$ SELECT undraft('code', 'thin/c') $$, '42704'), (5, 'mallory', $$ SELECT undraft('stage', 'thin/a') $$, '42704'), (6, 'mallory', $$ SELECT undraft('code', NULL) $$, '42704'),
    (7, 'mallory', $$ SELECT undraft('code', 'thin/a', 0) $$, '42704'), (8, 'mallory', $$ SELECT undraft('code', 'thin/a'), undraft('code', 'thin/a') $$, '42704')) AS t (n, who, what, expected) ORDER BY n;
SELECT is(pg_temp.does('mallory', $$ SELECT undraft('code', 'thin/a'), undraft('lifecycle', 'thin'), undraft('code', 'demo/r', pg_temp.no('Thin')) $$), 'done', 'some of it is taken out');
SELECT results_eq($$ SELECT kind, key, action FROM pg_temp.says(pg_temp.no('Thin')) ORDER BY kind COLLATE "C" $$, $$ VALUES ('code', 'thin/b', 'define'), ('stage', 'thin/s', 'define') $$, 'the rest is there still');
SELECT is((SELECT count(*) FROM revacct_data.code WHERE list = 'thin') + (SELECT count(*) FROM revacct_data.lifecycle WHERE lifecycle = 'thin'), 1::bigint, 'and no content of what is not');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() $$), '23503', 'what is left must go together');
SELECT is(pg_temp.does('mallory', $$ SELECT undraft('stage', 'thin/s'), undraft('code', 'thin/b') $$), 'done', 'all of it is taken out');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() $$), '55000', 'then it says nothing');
SELECT is(pg_temp.does('mallory', $$ SELECT define_code('thin', 'b'); SELECT propose_change() $$), 'done', 'until it does');
SELECT is(pg_temp.would('mallory', $$ SELECT undraft('code', 'thin/b', pg_temp.no('Thin')) $$), '55000', 'what is proposed stays as it is');
SELECT is(pg_temp.signs('cleo', 'Thin') || pg_temp.would('mallory', $$ SELECT undraft('code', 'thin/b', pg_temp.no('Thin')) $$), 'approved55000', 'and what is approved');
SELECT is(pg_temp.agreed('Thin no more', $$ retire('code', 'thin/b') $$, times => $$ '2055-01-01' $$), 'approved', 'it ends');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Thin no more'), '2060-01-01') > 0 $$) || ' ' || (SELECT count(*) FROM pg_temp.says(pg_temp.no('Thin no more'))), 'true 1', 'and is to end again, said the statement before it');
SELECT is((SELECT count(*) FROM pg_temp.says(pg_temp.no('Thin no more'))), 0::bigint, 'but what has ended is not in the draft');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() $$), '55000', 'which says nothing');
SELECT is(pg_temp.does('mallory', $$ SELECT withdraw_change() > 0 $$), 'true', 'and is withdrawn');

-- What is yet to begin ends before, if the change says that it goes over what is agreed
SELECT is(pg_temp.agreed('To begin', $$ define_lifecycle('begins'), define_stage('begins', 'a', 1), define_calendar('begins', 'UTC', '{mon 09:00-10:00}'), assign('dora', 'accountable', 'calendar', 'begins') $$, '{cleo, dora}', $$ '2040-01-01' $$), 'approved', 'something begins in 2040');
SELECT is(pg_temp.agreed('To begin more', $$ define_stage('begins', 'b', 2), define_transition('begins', 'a', 'b'), assign('eve', 'consulted', 'stage', 'begins/b') $$, times => $$ '2045-01-01' $$), 'approved', 'and more of it in 2045');
SELECT is(pg_temp.would('mallory', 'SELECT draft_change(''x'', ' || times || '); SELECT retire(''lifecycle'', ''begins'')'), expected, 'its end, in a change from ' || times) FROM (VALUES
    (1, $$ '2030-01-01' $$, '42704'), (2, $$ '2030-01-01', '2050-01-01' $$, '42704'), (3, $$ '2030-01-01', 'infinity' $$, 'done'), (4, $$ '2040-01-01' $$, 'done'), (5, $$ '2050-01-01', 'infinity' $$, 'done')) AS t (n, times, expected) ORDER BY n;
SELECT is(pg_temp.would('mallory', $$ SELECT draft_change('x', '2030-01-01', 'infinity'); SELECT retire('transition', 'begins/a/b'), retire('stage', 'begins/a'), retire('stage', 'begins/b'); SELECT propose_change() $$),
    '22023', 'not the end of all its stages: it would begin without');
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('Before it begins', '2030-01-01', 'infinity'); SELECT retire('lifecycle', 'begins') $$), 'done', 'its end is drafted');
SELECT results_eq($$ SELECT kind, key FROM pg_temp.says(pg_temp.no('Before it begins')) WHERE action = 'retire' ORDER BY kind COLLATE "C", key COLLATE "C" $$,
    $$ VALUES ('lifecycle', 'begins'), ('responsibility', 'eve/consulted/stage/begins/b'), ('stage', 'begins/a'), ('stage', 'begins/b'), ('transition', 'begins/a/b') $$, 'with its parts, which begin later still');
SELECT is((SELECT string_agg(name || ': ' || replaced_later, ', ' ORDER BY name) FROM change_contents WHERE change_no = pg_temp.no('Before it begins') AND kind IN ('lifecycle', 'transition')),
    'begins: version 1 from 2040-01-01 00:00, begins/a/b: version 1 from 2045-01-01 00:00', 'and who signs is told');
SELECT is(pg_temp.does('mallory', 'SELECT propose_change() > 0') || ' ' || pg_temp.signs('cleo', 'Before it begins'), 'true approved', 'it is agreed');
SELECT is((SELECT count(*) FROM revacct_data.validity i JOIN revacct_data.version v USING (version_id) WHERE upper_inf(recorded) AND i.key ~ 'begins' AND i.kind <> 'calendar' AND i.key !~ '^dora' AND action = 'define'), 0::bigint, 'and nothing of it ever begins');
-- Whoever owns something agrees to that as to any other end.
SELECT is(pg_temp.agreed('Owned', $$ define_calendar('owned', 'UTC', '{mon 09:00-10:00}'), assign('dora', 'accountable', 'calendar', 'owned') $$, '{cleo, dora}'), 'approved', 'a calendar of dora''s');
SELECT is(pg_temp.agreed('Owned too', $$ assign('eve', 'accountable', 'calendar', 'owned') $$, '{dora, eve}', $$ '2050-01-01' $$), 'approved', 'some day also of eve''s');
SELECT is(pg_temp.asks($$ unassign('eve', 'accountable', 'calendar', 'owned') $$, times => $$ '2060-01-01', 'infinity' $$), 'dora', 'that eve does not own it any more, dora agrees to');
SELECT is(pg_temp.asks($$ unassign('eve', 'accountable', 'calendar', 'owned') $$, times => $$ '2040-01-01', 'infinity' $$), 'dora', 'or that she never will');
SELECT is(pg_temp.asks($$ unassign('eve', 'accountable', 'calendar', 'owned'), define_stage('deal', 'b', 24) $$, times => $$ '2040-01-01', 'infinity' $$), 'dora, sales', 'also beside something that others own');
SELECT is(pg_temp.agreed('Between', $$ define_transition('deal', 'b', 'c', 'forward') $$, '{ben, cleo, dora, eve}', $$ '2050-01-01' $$) IN ('approved', '55000'), true, 'a hand-off, some day');
SELECT is(pg_temp.status('Between'), 'approved', 'is agreed');
SELECT is(pg_temp.asks($$ retire('transition', 'deal/b/c') $$, times => $$ '2040-01-01', 'infinity' $$), pg_temp.asks($$ retire('transition', 'deal/b/c') $$, times => $$ '2060-01-01', 'infinity' $$), 'that a hand-off never begins, its sides agree to, as to its end');

-- What could not come into force is refused when it is proposed, and the draft is a draft still
CREATE FUNCTION pg_temp.refused(setup text, contents text, times text DEFAULT '') RETURNS text LANGUAGE plpgsql AS $$
DECLARE before text; result text;
BEGIN
    BEGIN
        IF setup IS NOT NULL THEN result := pg_temp.agreed('needed', setup); END IF;
        IF result <> 'approved' THEN RAISE EXCEPTION 'setup: %', result; END IF;
        result := pg_temp.does('mallory', format('SELECT draft_change(''refused''%s); SELECT %s', nullif(', ' || times, ', '), contents));
        IF result = 'done' THEN
            before := pg_temp.state();
            result := pg_temp.does('mallory', 'SELECT propose_change()');
            result := result || ' ' || pg_temp.status('refused') || ', ' || pg_temp.verdict(before);
        END IF;
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
SELECT is(pg_temp.refused(setup, contents, times), state || ' draft, nothing happened', 'refused with the draft still a draft: ' || what)
FROM (VALUES
    (1, '23503', 'a stage of no lifecycle', NULL, $$ define_stage('nowhere', 'x', 1) $$, ''),
    (2, '23503', 'a transition to no stage', NULL, $$ define_transition('deal', 'a', 'x') $$, ''),
    (3, '23503', 'a transition from no stage', NULL, $$ define_transition('deal', 'x', 'a') $$, ''),
    (4, '23503', 'the hours of no calendar', NULL, $$ define_lifecycle('x', calendar => 'nowhere'), define_stage('x', 'a', 1) $$, ''),
    (5, '23503', 'an SLA in no calendar', NULL, $$ define_sla('x', start => '{created}', target => '1 hour', calendar => 'nowhere') $$, ''),
    (6, '23503', 'an SLA of no lifecycle', NULL, $$ define_sla('x', start => '{created}', target => '1 hour', lifecycle => 'nowhere') $$, ''),
    (7, '23503', 'an SLA that starts with nothing', NULL, $$ define_sla('x', start => '{nothing}', target => '1 hour') $$, ''),
    (8, '23503', 'recycling to no stage', NULL, $$ define_sla('x', start => '{created}', target => '1 hour', kind => 'recycle', lifecycle => 'deal', to_stage => 'x') $$, ''),
    (9, '23503', 'a target of no policy', NULL, $$ define_sla_target('x', '1 hour', segment => 'enterprise') $$, ''),
    (10, '23503', 'a target for no segment', NULL, $$ define_sla_target('speed', '1 hour', segment => 'x') $$, ''),
    (11, '23503', 'a target in no calendar', NULL, $$ define_sla_target('speed', '1 hour', segment => 'enterprise', calendar => 'x') $$, ''),
    (12, '23503', 'a step of no policy', NULL, $$ define_step('x', '80%', 'owner') $$, ''),
    (13, '23503', 'a code below no code', NULL, $$ define_code('demo', 'x', parent => 'none') $$, ''),
    (14, '23503', 'a rule in no lifecycle', NULL, $$ define_field_rule('lead', 'x', 'required', lifecycle => 'nowhere') $$, ''),
    (15, '23503', 'a rule from no stage on', NULL, $$ define_field_rule('lead', 'x', 'required', lifecycle => 'deal', at_stage => 'x') $$, ''),
    (16, '23503', 'a metric of no stage', NULL, $$ define_metric('x', 'x', lifecycle => 'deal', to_stage => 'x'), assign('dora', 'accountable', 'metric', 'x') $$, ''),
    (17, '23503', 'a target of no metric', NULL, $$ define_target('x', '2025-01-01', '2026-01-01', 1) $$, ''),
    (18, '23503', 'a program below no program', NULL, $$ define_program('x', parent => 'none') $$, ''),
    (19, '23503', 'a program with no code', NULL, $$ define_program('x', codes => '{"channel": "x"}') $$, ''),
    (20, '23503', 'a stage at no place of the journey', NULL, $$ define_stage('deal', 'e', 50, journey_place => 'x') $$, ''),
    (21, '23503', 'an owner of nothing', NULL, $$ assign('dora', 'accountable', 'stage', 'deal/x') $$, ''),
    (22, '23503', 'no successor', NULL, $$ retire('code', 'loss_reason/price', successor => 'loss_reason/none') $$, ''),
    (23, '23503', 'the end of what something refers to', NULL, $$ retire('calendar', 'hours') $$, ''),
    (24, '23503', 'the end of a stage with a way to it', NULL, $$ retire('stage', 'deal/a') $$, ''),
    (25, '23503', 'longer than what it refers to', NULL, $$ define_code('demo', 'x', parent => 'bounded') $$, ''),
    (26, '23503', 'before what it refers to', NULL, $$ define_stage('deal', 'e', 50) $$, $$ '2001-01-01', retroactive => true $$),
    (27, '23503', 'a break in what something refers to', NULL, $$ retire('code', 'demo/up') $$, $$ '2040-01-01', '2041-01-01' $$),
    (28, '23505', 'two stages at one place', NULL, $$ define_stage('deal', 'e', 10) $$, ''),
    (29, '23505', 'two stages at one place for a while, some day', NULL, $$ define_stage('deal', 'e', 10) $$, $$ '2040-01-01', '2041-01-01' $$),
    (30, '23514', 'shares of more than the whole', NULL, $$ assign('eve', 'accountable', 'stage', 'inbound/mql', 0.01) $$, ''),
    (31, '23514', 'shares of more than the whole, some day', NULL, $$ assign('marketing', 'accountable', 'stage', 'inbound/mql', 0.61) $$, $$ '2040-01-01', '2041-01-01' $$),
    (32, '23514', 'a metric that nobody owns', NULL, $$ define_metric('x', 'x') $$, ''),
    (33, '23514', 'a metric that somebody is consulted on', NULL, $$ define_metric('x', 'x'), assign('dora', 'consulted', 'metric', 'x') $$, ''),
    (34, '23514', 'a metric whose owner goes', NULL, $$ unassign('dora', 'accountable', 'metric', 'win_rate') $$, ''),
    (35, '23514', 'a metric whose owner goes for a while', NULL, $$ unassign('dora', 'accountable', 'metric', 'win_rate') $$, $$ '2040-01-01', '2041-01-01' $$),
    (36, '23514', 'a metric from before its owner', NULL, $$ define_metric('win_rate', 'x') $$, $$ '2001-01-01', '2002-01-01', true $$),
    (37, '23514', 'members of each other', NULL, $$ assign('sales', 'member', 'party', 'ops'), assign('ops', 'member', 'party', 'sales') $$, ''),
    (38, '23514', 'members in a circle, with what is agreed', $$ assign('ops', 'member', 'party', 'twins'), assign('twins', 'member', 'party', 'double') $$, $$ assign('double', 'member', 'party', 'ops') $$, ''),
    (39, '23514', 'managers in a circle', NULL, $$ assign('ben', 'manager', 'party', 'eve'), assign('eve', 'manager', 'party', 'dora'), assign('dora', 'manager', 'party', 'ben') $$, ''),
    (40, '23514', 'a code that is its own part', NULL, $$ define_code('demo', 'x', parent => 'x') $$, ''),
    (41, '23514', 'codes in a circle', NULL, $$ define_code('demo', 'x', parent => 'y'), define_code('demo', 'y', parent => 'x') $$, ''),
    (42, '23514', 'programs in a circle', NULL, $$ define_program('x', parent => 'y'), define_program('y', parent => 'z'), define_program('z', parent => 'x') $$, ''),
    (43, '22023', 'two stages that are won', NULL, $$ define_stage('inbound', 'won2', 40, 'won') $$, ''),
    (44, '22023', 'a step that the kernel does not read', NULL, $$ define_step('speed', 'soon', 'owner') $$, ''),
    (45, '22023', 'a time zone that is none', NULL, $$ define_calendar('x', 'Mars', '{mon-fri 09:00-17:00}') $$, ''),
    (46, '55000', 'something later is agreed', NULL, $$ define_code('demo', 'c', 'x') $$, ''),
    (47, '55000', 'another change of one definition in two', NULL, $$ define_code('demo', 'new'), define_code('demo', 'c', 'x') $$, ''),
    (50, '23503', 'an approver of no party', NULL, $$ assign('ben', 'approver', 'party', 'slaes') $$, ''),
    (48, '23503', 'to pass the last of a chain', $$ define_code('demo', 'a'), define_code('demo', 'b', parent => 'a') $$, $$ retire('code', 'demo/a') $$, ''),
    (49, '23514', 'a circle through three, one of them agreed', $$ define_code('demo', 'a'), define_code('demo', 'b', parent => 'a') $$, $$ define_code('demo', 'a', parent => 'b') $$, '')
) AS t (n, state, what, setup, contents, times) WHERE n <> 27 ORDER BY n;
SELECT is(pg_temp.agreed('Up', $$ define_code('demo', 'up'), define_code('demo', 'down', parent => 'up') $$), 'approved', 'a code and one below it');
SELECT is(pg_temp.refused(NULL, $$ retire('code', 'demo/up') $$, $$ '2040-01-01', '2041-01-01' $$), '23503 draft, nothing happened', 'refused with the draft still a draft: a break in what something refers to');
SELECT is(pg_temp.would('mallory', 'SELECT ' || contents), state, 'refused when it is drafted: ' || what)
FROM (VALUES (1, '23503', 'an unknown party', $$ assign('ghost', 'accountable', 'stage', 'deal/a', change => draft_change('x')) $$), (2, '23503', 'a route to an unknown party', $$ define_route('x', 'ghost', 1, change => draft_change('x')) $$),
             (3, '42704', 'the end of what is not in force', $$ retire('stage', 'deal/x', change => draft_change('x')) $$), (4, '42704', 'the end of what will not be in force then', $$ retire('code', 'demo/bounded', change => draft_change('x', '2060-01-01')) $$),
             (5, '42704', 'the end of nobody''s responsibility', $$ unassign('eve', 'member', 'party', 'ops', change => draft_change('x')) $$), (6, '23514', 'a member of a stage', $$ assign('eve', 'member', 'stage', 'deal/a', change => draft_change('x')) $$),
             (7, '23514', 'a member of itself', $$ assign('ops', 'member', 'party', 'ops', change => draft_change('x')) $$), (8, '23514', 'a share of nothing', $$ assign('ops', 'accountable', 'stage', 'deal/a', 0, change => draft_change('x')) $$),
             (9, '23514', 'a share of more than all', $$ assign('ops', 'accountable', 'stage', 'deal/a', 1.1, change => draft_change('x')) $$), (10, '23514', 'an unknown role', $$ assign('ops', 'boss', 'stage', 'deal/a', change => draft_change('x')) $$)) AS t (n, state, what, contents) ORDER BY n;

-- The end of things
SELECT is(pg_temp.agreed('To end', $$ define_lifecycle('old'), define_stage('old', 'x', 1), define_stage('old', 'y', 2), define_transition('old', NULL, 'x', 'enter'), define_transition('old', 'x', 'y'),
    define_sla('old_sla', start => '{created}', stop => '{touch_out}', target => '1 hour', segment => '{field_set}'), define_step('old_sla', '80%', 'owner'), define_sla_target('old_sla', '2 hours', segment => 'enterprise'),
    define_metric('old_metric', 'x'), define_target('old_metric', '2025-01-01', '2026-01-01', 1), define_code('old', 'x'),
    assign('dora', 'accountable', 'lifecycle', 'old'), assign('dora', 'accountable', 'stage', 'old/x'), assign('eve', 'consulted', 'stage', 'old/y'), assign('dora', 'accountable', 'policy', 'old_sla'),
    assign('dora', 'accountable', 'metric', 'old_metric'), assign('eve', 'informed', 'target', 'old_metric//2025-01-01/2026-01-01'), assign('dora', 'accountable', 'code_list', 'old') $$, '{cleo, dora}'), 'approved', 'things that will end');
SELECT is(pg_temp.does('mallory', $$ SELECT draft_change('The end'); SELECT retire('lifecycle', 'old'), retire('policy', 'old_sla'), retire('metric', 'old_metric'), retire('code', 'old/x') $$), 'done', 'their end is drafted');
SELECT results_eq($$ SELECT kind, key FROM pg_temp.says(pg_temp.no('The end')) WHERE action = 'retire' AND content IS NULL ORDER BY kind COLLATE "C", key COLLATE "C" $$,
    $$ VALUES ('code', 'old/x'), ('lifecycle', 'old'), ('metric', 'old_metric'), ('policy', 'old_sla'), ('policy_step', 'old_sla/80%/owner'), ('policy_target', 'old_sla/enterprise/'),
              ('responsibility', 'dora/accountable/lifecycle/old'), ('responsibility', 'dora/accountable/metric/old_metric'), ('responsibility', 'dora/accountable/policy/old_sla'), ('responsibility', 'dora/accountable/stage/old/x'),
              ('responsibility', 'eve/consulted/stage/old/y'), ('responsibility', 'eve/informed/target/old_metric//2025-01-01/2026-01-01'), ('stage', 'old/x'), ('stage', 'old/y'),
              ('target', 'old_metric//2025-01-01/2026-01-01'), ('transition', 'old//x'), ('transition', 'old/x/y') $$, 'with all their parts and the responsibilities for them, and nothing else');
SELECT is(pg_temp.does('mallory', 'SELECT propose_change() = pg_temp.no(''The end'')'), 'true', 'and proposed');
SELECT is(pg_temp.signs('dora', 'The end'), 'approved', 'and agreed by who owned them');
SELECT is((SELECT count(*) FROM glossary WHERE name ~ '^old' AND name <> 'old/x') + (SELECT count(*) FROM glossary WHERE kind = 'code' AND name = 'old/x'), 0::bigint, 'then they are not in force');
SELECT is((SELECT count(*) FROM ownership WHERE object_name ~ '^old' AND object_kind <> 'code_list'), 0::bigint, 'nobody is responsible for them');
SELECT is((SELECT string_agg(party, ', ') FROM ownership WHERE object_name = 'old'), 'dora', 'but for the list, which did not end');
SELECT is(pg_temp.would('eve', $$ SELECT lifecycle('old') $$) || pg_temp.would('eve', $$ SELECT sla('old_sla', model_at => now() + interval '1 day') $$), '4270442704', 'nor are they compiled');
SELECT is(pg_temp.would('eve', format($$ SELECT lifecycle('old', model_at => %L) $$, (SELECT decided_at FROM revacct_data.change WHERE change_id = pg_temp.no('To end')))) ~ '^old: stages x, y', true, 'but as of when they were');
SELECT is(pg_temp.would('mallory', $$ SELECT retire('lifecycle', 'old', change => draft_change('x')) $$), '42704', 'what has ended does not end again');
SELECT is(pg_temp.would('mallory', $$ SELECT draft_change('x'); SELECT retire('lifecycle', 'inbound'); SELECT define_lifecycle('inbound') $$), 'done', 'an end can be taken back in the draft');
SELECT is(pg_temp.agreed('Again', $$ define_code('old', 'x', 'back') $$, '{dora}'), 'approved', 'and it can begin again');
SELECT is((SELECT version_no || ' ' || terms FROM glossary WHERE name = 'old/x'), '3 back', 'as a version more');
SELECT is(pg_temp.agreed('More', $$ define_stage('deal', 'e', 50), define_stage('deal', 'f', 60) $$), 'approved', 'two more stages');
SELECT is(pg_temp.agreed('Merge', $$ retire('stage', 'deal/e', successor => 'deal/f') $$), 'approved', 'one ends in the other');
SELECT is(pg_temp.agreed('Merge more', $$ retire('stage', 'deal/f', successor => 'deal/d') $$), 'approved', 'and that in a third');
SELECT is(counted_as('stage', 'deal/e') || ' ' || counted_as('stage', 'deal/f') || ' ' || counted_as('stage', 'deal/d'), 'deal/d deal/d deal/d', 'all are counted as the last');
SELECT is(counted_as('stage', 'deal/e', (SELECT decided_at FROM revacct_data.change WHERE change_id = pg_temp.no('Merge'))), 'deal/f', 'as of the first merger, as the second');
SELECT is(counted_as('stage', 'deal/e', (SELECT decided_at FROM revacct_data.change WHERE change_id = pg_temp.no('More'))), 'deal/e', 'and before that as itself');
SELECT is(counted_as('stage', 'old/x'), NULL, 'what ended without a successor is counted as nothing');
SELECT results_eq($$ SELECT action, terms_after FROM change_contents WHERE change_no = pg_temp.no('Merge') $$, $$ VALUES ('retire', 'retired, counted as deal/f') $$, 'and people can read it');

-- The same once more, of every kind, with everything that can be said
SELECT is(pg_temp.agreed('To retire', $$ define_code('demo', 'former'), define_code('demo', 'latter') $$), 'approved', 'something to retire');
SELECT is(pg_temp.proposes('mallory', 'Everything', $$
    define_calendar('all', 'Europe/Berlin', '{mon-fri 09:00-17:00}', '{2026-01-05 10:00-12:00}', '{mon 12:00-13:00}', '{2026-12-25, 2026-12-26}', '2026-12-31', 'Ours'),
    define_lifecycle('all', 'All of it', 'opportunity', 'strict', 'first', '90 days 01:02:03.000004', 'increasing', 'cumulative', 'count', 'Europe/Berlin', 'all', 'refuse'),
    define_stage('all', 'a/b', 10, 'open', 'First', 'all', true, 'commit', 0.123456, '14 days 00:00:00.000001'), define_stage('all', 'z', 20, 'won'),
    define_transition('all', 'a/b', 'z', 'forward', 'meeting_held', '{"country": ["DE", "AT"], "size": {"at_least": 1.50}}', 'all', 2, 'refuse'), define_transition('all', NULL, 'a/b', 'enter'),
    define_code('journey', 'all', 'All', code_no => 7, applies_to => 'lost', requires => '{competitor, "a b"}', condition => '{"size": {"at_least": 1.50}}', meaning => 'In words'), define_code('all', 'parent'), define_code('all', 'child', parent => 'parent'), define_code('segment', 'all'),
    define_field_rule('lead', 'a/b', 'source', 'crm', 3, meaning => 'Why'), define_field_rule('lead', 'b', 'domain', lifecycle => 'all', at_stage => 'z', code_list => 'all', condition => '{"b": {"given": true}}', enforcement => 'refuse'),
    define_sla('all', '{a/b}', '{z}', '4:00:01', 'all', 'Quick', 'recycle', 'all', '{paused}', '{resumed}', '{reopened}', '{merged}', '{field_set}', '{assigned}', '{expired}', '{0.5, 0.9}', 'restart', 'restart',
               '{first until touch_out, second}', 3, 'breach', 'z', 5, 'refuse'),
    define_route('all_route', 'sales', 4, '{"country": "DE"}', 'weighted', 'To sales', 'refuse'), define_hygiene('all_hygiene', '{"amount": {"given": true}}', '{"x": 1}', 'all', 'Clean', 'refuse'),
    define_sla_target('all', '1 hour', 'all', 'sales', 'all'), define_step('all', '80%', 'owner', 'reassign'),
    define_metric('all', 'A metric', 'EUR', 'lower', 'all of them', 'some', 'all', 'amount', 'cohort', 'all', 'a/b', 'z', '30 days', '{"a": [1, 2.50]}', 30),
    define_target('all', '2026-01-01', '2026-04-01', 12.340, 'sales', 10.5, 15), define_program('all_parent'), define_program('all', 'experiment', 'A test', 'all_parent', '{"all": "parent"}', '{a, b}', 'paused'),
    assign('sales', 'accountable', 'metric', 'all', 0.25), assign('ben', 'pool', 'party', 'ops', weight => 1.50, capacity => 7), retire('code', 'demo/former', 'demo/latter') $$), 'done', 'everything that can be said');
SELECT is((SELECT count(DISTINCT kind) FROM pg_temp.says(pg_temp.no('Everything'))), 13::bigint, 'of every kind');
SELECT is_empty($$ SELECT a.attrelid::regclass || '.' || a.attname FROM pg_attribute a
    WHERE a.attrelid IN (SELECT ('revacct_data.' || kind)::regclass FROM pg_temp.says(pg_temp.no('Everything'))) AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> 'version_id'
      AND NOT EXISTS (SELECT FROM pg_temp.says(pg_temp.no('Everything')) AS s WHERE ('revacct_data.' || s.kind)::regclass = a.attrelid AND coalesce(s.content -> a.attname, 'null') <> 'null') $$, 'in every column');
CREATE TEMP TABLE said AS SELECT * FROM pg_temp.says(pg_temp.no('Everything'));
CREATE FUNCTION pg_temp.same_again(what text) RETURNS text LANGUAGE SQL AS $$
    SELECT set_eq('SELECT kind, key, action, successor, content::text FROM pg_temp.says(pg_temp.no(''Everything''))', 'SELECT kind, key, action, successor, content::text FROM said', what) $$;
-- but for what has ended meanwhile: that cannot be ended again
CREATE FUNCTION pg_temp.same_but_for_the_end(what text) RETURNS text LANGUAGE SQL AS $$
    SELECT set_eq('SELECT kind, key, action, successor, content::text FROM pg_temp.says(pg_temp.no(''Everything''))', 'SELECT kind, key, action, successor, content::text FROM said WHERE action <> ''retire''', what) $$;
SELECT is(pg_temp.does('cleo', $$ SELECT withdraw_change(pg_temp.no('Everything')) $$), '42501', 'somebody else cannot withdraw it');
SELECT is(pg_temp.does('ben', $$ SELECT reject(pg_temp.no('Everything'), 'Too much') $$), 'rejected', 'it is rejected');
SELECT is(pg_temp.does('eve', $$ SELECT redraft(pg_temp.no('Everything')) > pg_temp.no('Everything') $$), 'true', 'anyone may draft it again');
SELECT is((SELECT status || ' ' || raised_by FROM revacct_data.change WHERE change_id = pg_temp.no('Everything')), 'draft revacct_test_eve', 'as a draft of her own');
SELECT pg_temp.same_again('redraft of a rejected change says the same');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change(pg_temp.no('Everything')); SELECT withdraw_change(pg_temp.no('Everything')) $$), 'done', 'that is proposed and withdrawn');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Everything'), effective_at => clock_timestamp() + interval '1 day', effective_until => '2100-01-01') > 0 $$), 'true', 'and drafted again, scheduled');
SELECT pg_temp.same_again('redraft of a withdrawn change says the same');
SELECT is((SELECT to_char(effective_until, 'YYYY') || retroactive FROM revacct_data.change WHERE change_id = pg_temp.no('Everything')), '2100false', 'with the times that were given');
SELECT is(pg_temp.does('mallory', $$ SELECT propose_change() > 0 $$), 'true', 'that is proposed');
SELECT pg_temp.lay_about('Everything', '2 days') AS ignored \gset
SELECT is(pg_temp.signs('cleo', 'Everything') || ' ' || pg_temp.signs('ben', 'Everything'), 'proposed 55000', 'and signed too late');
SELECT is(pg_temp.would('mallory', $$ SELECT redraft(pg_temp.no('Everything'), effective_at => '2020-01-01') $$), '22023', 'redrafts are as drafts: not from before');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Everything')); SELECT propose_change() $$), 'done', 'so it is drafted again');
SELECT pg_temp.same_again('redraft of a late change says the same');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Everything')); SELECT propose_change() $$), 'done', 'and once more');
SELECT pg_temp.same_again('redraft of a proposed change says the same');
SELECT is(pg_temp.does('cleo', what) || ' ' || pg_temp.does('ben', what), 'proposed approved', 'one is approved')
FROM (VALUES ($$ SELECT approve(max(change_no)) FROM open_changes WHERE rationale = 'Everything' AND change_no < pg_temp.no('Everything') $$)) AS t (what);
SELECT is(pg_temp.signs('cleo', 'Everything') || ' ' || pg_temp.signs('ben', 'Everything'), 'proposed 55000', 'so the other is overtaken');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Everything')) > 0 $$), 'true', 'and drafted again');
SELECT pg_temp.same_but_for_the_end('redraft of an overtaken change says the same, but for what has ended');
SELECT is((SELECT count(*) FROM revacct_data.version v LEFT JOIN revacct_data.version o ON o.version_id = v.replaces AND (o.kind, o.key) = (v.kind, v.key)
           WHERE v.change_id = pg_temp.no('Everything') AND o.version_no IS DISTINCT FROM 1), 0::bigint, 'made from what is in force now');
SELECT is(pg_temp.does('mallory', 'SELECT propose_change() > 0'), 'true', 'proposed');
SELECT is(pg_temp.signs('cleo', 'Everything') || ' ' || pg_temp.signs('ben', 'Everything'), 'proposed approved', 'and approved');
SELECT is(pg_temp.does('mallory', $$ SELECT redraft(pg_temp.no('Everything')) > 0 $$), 'true', 'an approved change too is drafted again');
SELECT pg_temp.same_but_for_the_end('redraft of an approved change says the same, but for what has ended');
SELECT is((SELECT count(*) FROM change_contents WHERE change_no = pg_temp.no('Everything') AND action = 'amend' AND terms_before = terms_after), 23::bigint, 'beside what is in force, for whoever compares');
SELECT pg_temp.does('mallory', 'SELECT withdraw_change()') AS ignored \gset

-- Owners of what has slashes in its name
SELECT is(pg_temp.does('mallory', $$ SELECT register_party('north/south', 'team') > 0 $$), 'true', 'a team with a slash in its name');
SELECT is(pg_temp.asks(contents, setup => setup, signatories => '{cleo, dora}'), expected, format('with slashes: %s needs %s', contents, expected))
FROM (VALUES
    (1, $$ assign('dora', 'accountable', 'stage', 'all/a\/b') $$, $$ define_transition('all', 'a/b', 'z', 'back') $$, 'dora'),
    (2, $$ assign('dora', 'accountable', 'stage', 'all/a\/b') $$, $$ define_transition('all', NULL, 'z', 'enter') $$, 'council'),
    (3, $$ define_field_rule('lead', 'a', 'required'), assign('dora', 'accountable', 'field', 'lead/a\/b') $$, $$ define_field_rule('lead', 'a/b', 'required') $$, 'dora'),
    (4, $$ define_field_rule('lead', 'a', 'required'), assign('dora', 'accountable', 'field', 'lead/a\/b') $$, $$ define_field_rule('lead', 'a', 'immutable') $$, 'council'),
    (5, $$ define_lifecycle('x/y'), define_stage('x/y', 's', 1), assign('dora', 'accountable', 'lifecycle', 'x\/y') $$, $$ define_stage('x/y', 't', 2) $$, 'dora'),
    (6, $$ define_code('x', 'y'), assign('dora', 'accountable', 'code_list', 'x') $$, $$ define_code('x/y', 'z') $$, 'council'),
    (7, NULL, $$ assign('eve', 'approver', 'party', 'north\/south') $$, 'north/south')
) AS t (n, setup, contents, expected) ORDER BY n;

-- Attempts to go round it. First: to write the tables. An exception is there too, so that no table is empty.
SELECT is(pg_temp.does('eve', $$ SELECT request_override('transition', 'all/a\/b/z', 'lead 1', 'why') > 0 $$), 'true', 'an exception is asked for');
CREATE TEMP TABLE guarded AS SELECT c.oid::regclass AS name, (SELECT quote_ident(attname) FROM pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND attidentity = '' AND attgenerated = '' AND atttypid = 'text'::regtype ORDER BY attnum LIMIT 1) AS col
FROM pg_class c WHERE relnamespace = 'revacct_data'::regnamespace AND relkind = 'r' AND relname <> 'escalation'
  -- facts and what is derived from them: see test/dump/test_dump_facts.py
  AND EXISTS (SELECT FROM pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = 'guard_rows');
CREATE TEMP TABLE writing (n int, what text, needs text);
INSERT INTO writing VALUES (1, 'INSERT INTO %1$s DEFAULT VALUES', 'INSERT'), (2, 'INSERT INTO %1$s (%2$s) SELECT %2$s FROM %1$s', 'INSERT'), (3, 'UPDATE %1$s SET %2$s = %2$s', 'UPDATE'), (4, 'UPDATE %1$s SET %2$s = ''x'' WHERE false', 'UPDATE'),
    (5, 'DELETE FROM %1$s', 'DELETE'), (6, 'TRUNCATE %1$s CASCADE', 'TRUNCATE'), (7, 'MERGE INTO %1$s AS t USING (SELECT) AS s ON true WHEN MATCHED THEN DELETE', 'DELETE'),
    (8, 'MERGE INTO %1$s AS t USING (SELECT) AS s ON false WHEN NOT MATCHED THEN INSERT (%2$s) VALUES (''x'')', 'INSERT'), (9, 'WITH gone AS (DELETE FROM %1$s RETURNING 1) SELECT count(*) FROM gone', 'DELETE'),
    (10, 'SET LOCAL revacct.by_change = ''on''; DELETE FROM %1$s', 'DELETE'), (11, 'SET LOCAL revacct.by_change = ''on''; UPDATE %1$s SET %2$s = %2$s', 'UPDATE'), (12, 'SET LOCAL revacct.by_change = ''on''; INSERT INTO %1$s (%2$s) VALUES (''x'')', 'INSERT');
SELECT is((SELECT count(*) FROM guarded WHERE col IS NOT NULL), 21::bigint, 'twenty-one tables');
SELECT is((SELECT count(*) FROM guarded WHERE pg_relation_size(name) = 0), 0::bigint, 'none is empty');
-- The superuser who owns the tables could as well switch the triggers off: what he does with the setting of the functions that govern is his affair. No other's.
SELECT is_empty(format($q$ SELECT name, result FROM (SELECT name, pg_temp.attempt(%L, format(%L, name, col)) AS result FROM guarded) AS a WHERE result IS DISTINCT FROM %L $q$, who, what, expected),
    who || ': ' || what || ' is refused on every table, with ' || expected)
FROM writing, LATERAL (VALUES (1, 'postgres', '55000 and the hint'), (2, 'root', '55000 and the hint'), (3, 'owner', CASE needs WHEN 'TRUNCATE' THEN '42501' ELSE '55000 and the hint' END),
                              (4, 'mallory', '42501'), (5, 'cleo', '42501')) AS w (m, who, expected)
WHERE who <> 'postgres' OR what !~ 'revacct.by_change' ORDER BY m, n;
SELECT is_empty($$ SELECT name FROM guarded WHERE (SELECT relowner FROM pg_class WHERE oid = name) <> 'postgres'::regrole $$, 'it is postgres who owns the tables');
SELECT is(pg_temp.attempt(who, what), expected, who || ': ' || what)
FROM (VALUES (1, $$ UPDATE revacct_data.validity SET recorded = '[2001-01-01,)' $$), (2, $$ UPDATE revacct_data.change SET status = 'approved', decided_at = now() WHERE status = 'proposed' $$),
             (3, $$ UPDATE revacct_data.party SET login = 'revacct_test_mallory' WHERE party = 'sales' $$), (4, $$ INSERT INTO revacct_data.access VALUES ('revacct_test_mallory', 'council', 'x', now()) $$),
             (5, $$ INSERT INTO revacct_data.signoff SELECT change_id, 'sales', 'approve', '', 'x', now(), raised_by, proposed_by FROM revacct_data.change WHERE status = 'proposed' $$)) AS a (n, what),
     LATERAL (VALUES (1, 'postgres', '55000 and the hint'), (2, 'owner', '55000 and the hint'), (3, 'mallory', '42501'), (4, 'eve', '42501')) AS w (m, who, expected) ORDER BY n, m;
-- COPY. What current_query() says is that of the whole statement: so these are COPY of which INSERT is a part, and COPY proper.
CREATE TEMP TABLE copied (who text, name regclass, kind text, result text);
GRANT pg_execute_server_program TO revacct_test_owner;
\o /dev/null
COPY (INSERT INTO copied SELECT who, name, kind, pg_temp.attempt(who, format(what, name, col)) FROM guarded, unnest('{postgres, root, owner}'::text[]) AS w (who),
      (VALUES ('copy', 'COPY %1$s (%2$s) FROM PROGRAM ''echo x'''), ('insert', 'INSERT INTO %1$s (%2$s) VALUES (''x'')'), ('update', 'UPDATE %1$s SET %2$s = %2$s'), ('delete', 'DELETE FROM %1$s')) AS v (kind, what) RETURNING 1) TO STDOUT;
\o
SELECT is((SELECT count(*) FROM copied), 21::bigint * 3 * 4, 'COPY was tried');
SELECT is_empty(format('SELECT * FROM copied WHERE kind = %L AND result <> ''55000 and the hint''', kind), kind || ' below COPY is refused') FROM unnest('{copy, insert, update, delete}'::text[]) AS k (kind);
-- From the client, psql does not tell the SQLSTATE: but the transaction has failed.
\set ON_ERROR_STOP off
\set VERBOSITY sqlstate
\o /dev/null
SAVEPOINT copying;
COPY revacct_data.party (party, party_no, kind, label, registered_by, registered_at) FROM STDIN;
intruder	99	person	Intruder	x	2025-01-01
\.
SELECT 1;
\set superusers_copy :SQLSTATE
ROLLBACK TO copying;
SET SESSION AUTHORIZATION revacct_test_owner;
COPY revacct_data.party (party, party_no, kind, label, registered_by, registered_at) FROM STDIN;
intruder	99	person	Intruder	x	2025-01-01
\.
SELECT 1;
\set owners_copy :SQLSTATE
ROLLBACK TO copying;
\o
\set ON_ERROR_STOP on
\set VERBOSITY default
SELECT is(:'superusers_copy'::text, '25P02', 'a superuser''s COPY from the client into a table with rows is refused');
SELECT is(:'owners_copy'::text, '25P02', 'and the extension owner''s');
SELECT is((SELECT count(*) FROM revacct_data.party WHERE party = 'intruder'), 0::bigint, 'and nothing came in');

-- The extension's owner has no way to the guards
SELECT is(pg_temp.attempt('owner', what), '42501', 'the extension''s owner may not: ' || what)
FROM unnest(ARRAY[$$ SET session_replication_role = replica $$, $$ SET LOCAL session_replication_role = 'local' $$, $$ ALTER TABLE revacct_data.validity DISABLE TRIGGER ALL $$, $$ ALTER TABLE revacct_data.validity DISABLE TRIGGER guard $$,
    $$ DROP TRIGGER guard ON revacct_data.change $$, $$ CREATE TABLE public.child () INHERITS (revacct_data.validity) $$, $$ CREATE RULE r AS ON UPDATE TO revacct_data.change DO INSTEAD NOTHING $$,
    $$ CREATE TRIGGER t BEFORE INSERT ON revacct_data.change FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger() $$, $$ CREATE FUNCTION revacct._has_access(text[]) RETURNS boolean LANGUAGE SQL AS 'SELECT true' $$,
    $$ CREATE OR REPLACE FUNCTION revacct._guard() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END' $$, $$ ALTER FUNCTION revacct._guard() RENAME TO g $$, $$ ALTER FUNCTION revacct.approve(bigint, text) SECURITY INVOKER $$,
    $$ CREATE TABLE revacct_data.t () $$, $$ DROP TABLE revacct_data.signoff $$, $$ ALTER EXTENSION revacct DROP FUNCTION revacct._guard() $$, $$ ALTER TABLE revacct_data.signoff DROP CONSTRAINT nobody_signs_their_own_change $$,
    $$ GRANT EXECUTE ON FUNCTION revacct._put_in_force(bigint) TO revacct_test_owner $$, $$ SET ROLE postgres $$,
    $$ CREATE VIEW revacct.v AS SELECT 1 $$, $$ ALTER SCHEMA revacct OWNER TO revacct_test_owner $$, $$ ALTER VIEW revacct.glossary RENAME TO g $$, $$ TRUNCATE revacct_data.change CASCADE $$]) AS a (what);
SELECT is(pg_temp.attempt('owner', $$ CREATE FUNCTION pg_temp.by_change() RETURNS void LANGUAGE plpgsql SET revacct.by_change = 'on' AS $f$ BEGIN DELETE FROM revacct_data.validity; END $f$; SELECT pg_temp.by_change() $$),
    '42501', 'nor write a function like those that govern');
SELECT is(pg_temp.attempt('owner', $$ CREATE FUNCTION pg_temp.by_change() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS $f$ BEGIN PERFORM set_config('revacct.by_change', 'on', true); DELETE FROM revacct_data.validity; END $f$;
    SELECT pg_temp.by_change() $$), '55000 and the hint', 'and one that is almost like them is refused');
SELECT is(pg_temp.attempt('owner', $$ GRANT UPDATE ON revacct_data.change TO revacct_test_eve; SELECT 1 / has_table_privilege('revacct_test_eve', 'revacct_data.change', 'UPDATE')::int $$), '22012', 'nor does he give to others what he may');
SELECT is(pg_temp.attempt('mallory', $$ SET LOCAL session_replication_role = replica $$), '42501', 'nor may anybody else switch triggers off');

-- What is underneath is not to be called
SELECT is(pg_temp.proposes('mallory', 'Target', $$ define_stage('deal', 'b', 23) $$), 'done', 'something of sales is proposed');
SELECT is(pg_temp.proposes('mallory', 'Council only', $$ define_code('demo', 'council') $$), 'done', 'and something of nobody''s');
SELECT is(pg_temp.attempt(who, format('SELECT revacct.' || what, pg_temp.no('Target'))), '42501', who || ': ' || what)
FROM unnest('{owner, mallory, cleo, eve, ben, nobody}'::text[]) WITH ORDINALITY AS w (who, m),
     unnest(ARRAY['_put_in_force(%s)', '_sign(%s, ''approve'', NULL)', '_give_numbers(%s)', '_check_change(%s)', '_my_draft(%s)', '_draft_version(%s, ''stage'', ''deal/b'')', '_retire(%s, ''stage'', ''deal/b'', NULL, now(), false)']) WITH ORDINALITY AS a (what, n) ORDER BY m, n;
SELECT is(pg_temp.attempt(who, format('SELECT revacct._sign(%s, ''approve'', NULL)', pg_temp.no('Target'))), '42501', 'who can call it, a superuser, is no signatory: ' || who) FROM unnest('{postgres, root}'::text[]) AS w (who);

-- To be somebody else
GRANT revacct_test_ben TO revacct_test_owner;
GRANT revacct_test_ben TO revacct_test_eve;
SELECT is(pg_temp.attempt(who, format('SET LOCAL ROLE revacct_test_ben; SELECT revacct.approve(%s)', pg_temp.no('Target'))), '42501', who || ' as ben by SET ROLE') FROM unnest('{eve, owner, postgres, root}'::text[]) AS w (who);
SELECT is(pg_temp.attempt('mallory', format('SET ROLE revacct_test_ben; SELECT revacct.approve(%s)', pg_temp.no('Target'))), '42501', 'mallory may not even SET ROLE');
SELECT is(pg_temp.attempt('postgres', format('SET LOCAL ROLE revacct_test_cleo; SELECT revacct.approve(%s)', pg_temp.no('Council only'))), '42501', 'a superuser as cleo by SET ROLE');
GRANT CREATE ON SCHEMA public TO revacct_test_ben, revacct_test_mallory;
SELECT is(pg_temp.does('ben', $$ CREATE FUNCTION public.sign_it(bigint) RETURNS text LANGUAGE SQL SECURITY DEFINER AS 'SELECT revacct.approve($1)' $$), 'done', 'ben has a function that signs');
SELECT is(pg_temp.attempt(who, format('SELECT public.sign_it(%s)', pg_temp.no('Target'))), '42501', who || ' through ben''s SECURITY DEFINER function') FROM unnest('{mallory, eve, owner, postgres}'::text[]) AS w (who);
SELECT is(pg_temp.would('ben', format('SELECT public.sign_it(%s)', pg_temp.no('Target'))), 'approved', 'ben himself can use it');
SELECT is(pg_temp.signs(who, 'Council only'), '42501', 'a superuser who is not named to the council does not sign as one: ' || who) FROM unnest('{postgres, root}'::text[]) AS w (who);
SELECT is(pg_temp.signs('owner', 'Target'), '42501', 'nor does the extension''s owner sign for a member role of his');
SELECT is(pg_temp.does('owner', $$ SELECT grant_access('council', 'revacct_test_root') $$), 'done', 'once he is named');
SELECT is(pg_temp.would('root', format('SELECT approve(%s)', pg_temp.no('Council only'))), 'approved', 'he does');
SELECT is(pg_temp.does('owner', $$ SELECT revoke_access('council', 'revacct_test_root') $$), 'done', 'and once he is not any more');
SELECT is(pg_temp.would('root', format('SELECT approve(%s)', pg_temp.no('Council only'))), '42501', 'he does not');

-- A proposer with several hats
SELECT is(pg_temp.does('owner', $$ SELECT link_login('eve', 'revacct_test_mallory') $$), '23505', 'one login, one person');
SELECT is(pg_temp.does('owner', $$ SELECT link_login('sales', 'revacct_test_owner') $$), '23514', 'teams do not log in');
SELECT is(pg_temp.attempt('mallory', $$ SELECT revacct.register_party('boss', 'person'); SELECT revacct.link_login('boss', 'revacct_test_mallory') $$), '42501', 'who registers a party has not its login');
SELECT is(pg_temp.attempt(who, $$ SELECT revacct.link_login('dora', 'revacct_test_mallory') $$), '42501', who || ' takes no login from anybody') FROM unnest('{mallory, cleo, eve, dora}'::text[]) AS w (who);
SELECT is(pg_temp.attempt('mallory', $$ SELECT revacct.register_party('sales', 'person') $$), '22023', 'nor makes a person of a team');
SELECT is(pg_temp.attempt('mallory', $$ SELECT revacct.register_party('dora', 'person') $$), 'nothing happened', 'nor anything by registering somebody again');
SELECT is(pg_temp.agreed('Hats', $$ assign('mallory', 'approver', 'party', 'twins'), assign('mallory', 'approver', 'party', 'double'), assign('eve', 'member', 'party', 'twins') $$), 'approved', 'mallory signs for two teams');
SELECT is(pg_temp.proposes('ana', 'Hatted', $$ define_stage('deal', 'h', 70), assign('twins', 'accountable', 'stage', 'deal/h', 0.5), assign('double', 'accountable', 'stage', 'deal/h', 0.5) $$), 'done', 'which are to own a stage');
SELECT is(pg_temp.waits_for('Hatted'), 'double, twins, council', 'which is new, so the council is asked too');
SELECT is(pg_temp.signs('mallory', 'Hatted'), 'proposed', 'where she did not propose it, she signs for both');
SELECT is(pg_temp.waits_for('Hatted'), 'council', 'but not for the council');
SELECT is(pg_temp.signs('cleo', 'Hatted'), 'approved', 'which does');
SELECT is(pg_temp.proposes('mallory', 'Hats on', $$ define_stage('deal', 'h', 71) $$), 'done', 'now she proposes');
SELECT is(pg_temp.waits_for('Hats on'), 'double, twins', 'it waits for both');
SELECT is(pg_temp.signs(who, 'Hats on'), '42501', who || ' does not sign') FROM unnest('{mallory, eve, ana, owner}'::text[]) AS w (who);
SELECT is(pg_temp.signs('cleo', 'Hats on'), 'approved', 'the council does, for both');
SELECT is((SELECT count(*) FROM revacct_data.signoff WHERE change_id = pg_temp.no('Hats on')), 2::bigint, 'which is seen');
-- who drafts and who proposes are two, and neither signs
SELECT is(pg_temp.does('ben', $$ SELECT draft_change('Ben''s'); SELECT define_stage('deal', 'b', 24) $$), 'done', 'ben, who signs for sales, drafts');
SELECT is(pg_temp.does('ana', $$ SELECT propose_change(pg_temp.no('Ben''s')) > 0 $$), 'true', 'and has it proposed by ana');
SELECT is(pg_temp.signs('ben', 'Ben''s') || pg_temp.signs('ana', 'Ben''s') || pg_temp.signs('cleo', 'Ben''s'), '425014250142501', 'then neither of them signs, nor the council, for there is bill');
SELECT is(pg_temp.does('bill', $$ SELECT sign_for FROM awaiting_my_signoff WHERE change_no = pg_temp.no('Ben''s') $$), 'sales', 'who is asked');
SELECT is(pg_temp.does('ben', $$ SELECT count(*) FROM awaiting_my_signoff WHERE change_no = pg_temp.no('Ben''s') $$), '0', 'and ben is not');
SELECT is(pg_temp.signs('bill', 'Ben''s'), 'approved', 'and signs');

SELECT is(pg_temp.proposes('mallory', 'Target again', $$ define_stage('deal', 'b', 26) $$), 'done', 'something of sales, once more');

-- Appointments. A change cannot appoint its own approvers
SELECT is(pg_temp.proposes('mallory', 'Accomplice', $$ assign('eve', 'approver', 'party', 'sales'), define_stage('deal', 'b', 25) $$), 'done', 'an accomplice is to sign for sales');
SELECT is(pg_temp.signs('eve', 'Accomplice'), '42501', 'but does not sign the change that says so');
SELECT is(pg_temp.proposes('mallory', 'Accomplice since', $$ assign('eve', 'approver', 'party', 'sales'), assign('eve', 'consulted', 'code_list', 'loss_reason') $$, $$ '2001-01-01', retroactive => true $$), 'done', 'a retroactive appointment is proposed');
SELECT is(pg_temp.signs('eve', 'Accomplice since') || pg_temp.would('eve', format('SELECT approve(%s)', pg_temp.no('Target again'))), '4250142501', 'and appoints nobody, then or now, before it is approved');
SELECT is(pg_temp.signs('cleo', 'Target again'), '42501', 'to be proposed for something changes nothing');
SELECT is(pg_temp.would('mallory', format($$ SELECT assign('eve', 'approver', 'party', 'sales', change => %s) $$, pg_temp.no('Target again'))), '55000', 'nor is it put into a change that is proposed');
-- nor take over what is somebody else's on the signature of a third: what the signatures do, one after the other, and for whom it still waits
CREATE FUNCTION pg_temp.taken_over(contents text, signatories text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text; who text;
BEGIN
    BEGIN
        result := pg_temp.proposes('mallory', 'Take over', contents);
        IF result = 'done' THEN
            FOREACH who IN ARRAY signatories LOOP result := result || ' ' || pg_temp.signs(who, 'Take over'); END LOOP;
            result := result || coalesce('; ' || pg_temp.waits_for('Take over'), '');
        END IF;
        RAISE EXCEPTION SQLSTATE 'RVUND';
    EXCEPTION WHEN SQLSTATE 'RVUND' THEN RETURN result;
    END;
END $$;
SELECT is(pg_temp.taken_over(contents, signatories), expected, 'signed by ' || signatories::text || ': ' || what)
FROM (VALUES
    (1, 'marketing''s signature appoints nobody to sign for sales', $$ assign('eve', 'approver', 'party', 'sales'), define_code('loss_reason', 'taken') $$, '{ana, eve, cleo}'::text[], 'done proposed 42501 42501; sales'),
    (2, 'only sales does', $$ assign('eve', 'approver', 'party', 'sales'), define_code('loss_reason', 'taken') $$, '{ana, ben}', 'done proposed approved'),
    (3, 'nor does it take an approver from sales', $$ unassign('ben', 'approver', 'party', 'sales'), define_code('loss_reason', 'taken') $$, '{ana, cleo}', 'done proposed 42501; sales'),
    (4, 'who is to end does not keep sales from agreeing', $$ unassign('ben', 'approver', 'party', 'sales') $$, '{bill}', 'done approved'),
    (5, 'nor does the council appoint who signs for sales', $$ assign('eve', 'approver', 'party', 'sales') $$, '{cleo, eve}', 'done 42501 42501; sales'),
    (6, 'nor a member', $$ assign('eve', 'member', 'party', 'sales') $$, '{cleo, eve, carl}', 'done 42501 42501 42501; sales'),
    (7, 'an accomplice does not make herself the owner of a team', $$ assign('eve', 'accountable', 'party', 'sales') $$, '{eve, cleo}', 'done proposed 42501; sales'),
    (8, 'and so an approver', $$ assign('eve', 'accountable', 'party', 'sales'), assign('eve', 'approver', 'party', 'sales') $$, '{eve, cleo}', 'done proposed 42501; sales'),
    (9, 'to sign for who is appointed too does not help', $$ assign('eve', 'approver', 'party', 'ops'), assign('ops', 'accountable', 'stage', 'deal/d') $$, '{eve}', 'done 42501; ops, council'),
    (10, 'what nobody owns is for the council to give, not for who is given it', $$ define_stage('deal', 'd', 41), assign('eve', 'accountable', 'stage', 'deal/d') $$, '{eve}', 'done proposed; council'),
    (11, 'who is given it agrees, too', $$ define_stage('deal', 'd', 41), assign('eve', 'accountable', 'stage', 'deal/d') $$, '{cleo}', 'done proposed; eve'),
    (12, 'both together do', $$ define_stage('deal', 'd', 41), assign('eve', 'accountable', 'stage', 'deal/d') $$, '{eve, cleo}', 'done proposed approved'),
    (13, 'something new of hers gives her nothing else', $$ define_lifecycle('mine'), define_stage('mine', 'a', 1), assign('eve', 'accountable', 'lifecycle', 'mine'), assign('eve', 'approver', 'party', 'ops') $$, '{eve}', 'done proposed; ops, council'),
    (14, 'she does not get what is somebody''s beside it, either', $$ define_stage('deal', 'b', 27), assign('eve', 'accountable', 'stage', 'deal/b') $$, '{eve, cleo}', 'done proposed 42501; sales'),
    (15, 'nor in place of them', $$ unassign('sales', 'accountable', 'stage', 'deal/b'), assign('eve', 'accountable', 'stage', 'deal/b') $$, '{eve, cleo}', 'done proposed 42501; sales'),
    (16, 'an owner of one thing does not carry what nobody owns', $$ define_stage('deal', 'c', 33), define_code('win_reason', 'taken') $$, '{dora}', 'done proposed; council'),
    (17, 'nor does the council what somebody does', $$ define_stage('deal', 'c', 33), define_code('win_reason', 'taken') $$, '{cleo}', 'done proposed; dora'),
    (18, 'nor an owner what somebody else owns', $$ define_stage('deal', 'c', 33), define_stage('deal', 'b', 27) $$, '{dora, cleo}', 'done proposed 42501; sales'),
    (19, 'nor of one stage a calendar', $$ define_stage('deal', 'c', 33), define_calendar('mine', 'UTC', '{mon-fri 09:00-17:00}'), assign('dora', 'accountable', 'calendar', 'mine') $$, '{dora}', 'done proposed; council'),
    (20, 'a reporting line is for the council', $$ assign('eve', 'manager', 'party', 'sales') $$, '{ben, eve, cleo}', 'done 42501 42501 approved'),
    (21, 'also its end', $$ unassign('carl', 'manager', 'party', 'marketing') $$, '{ana, carl, cleo}', 'done 42501 42501 approved')
) AS t (n, what, contents, signatories, expected) ORDER BY n;
-- Who becomes an owner before the last signature is given, is asked too
SELECT is(pg_temp.proposes('mallory', 'Waiting', $$ define_stage('inbound', 'mql', 21) $$), 'done', 'a change of three owners');
SELECT is(pg_temp.signs('dora', 'Waiting') || ' ' || pg_temp.signs('ana', 'Waiting'), 'proposed proposed', 'waits for one signature');
SELECT is(pg_temp.agreed('New owner', $$ assign('bill', 'accountable', 'stage', 'inbound/mql') $$, '{dora, ana, ben, bill}'), 'approved', 'meanwhile what it touches gets another owner');
SELECT is(pg_temp.waits_for('Waiting'), 'bill, sales', 'then it waits for two');
SELECT is(pg_temp.signs('ben', 'Waiting') || ' ' || pg_temp.signs('bill', 'Waiting'), 'proposed approved', 'and is approved by both');
-- An approver who is none any more, in a statement that began when he was
SELECT is(pg_temp.agreed('Carl too', $$ assign('carl', 'approver', 'party', 'twins'), assign('bill', 'approver', 'party', 'twins') $$), 'approved', 'carl and bill sign for the twins');
SELECT is(pg_temp.proposes('mallory', 'For the twins', $$ define_stage('deal', 'h', 72) $$) || pg_temp.proposes('mallory', 'Not carl', $$ unassign('carl', 'approver', 'party', 'twins') $$), 'donedone', 'something waits for them, and so does carl''s end');
SELECT is(pg_temp.would('carl', format('SELECT approve(%s)', pg_temp.no('For the twins'))), 'proposed', 'which he could sign now');
SELECT is(pg_temp.signs('cleo', 'Not carl'), '42501', 'his end is not for the council, as the twins have others');
SELECT is(pg_temp.signs('bill', 'Not carl') || ' ' || pg_temp.signs('carl', 'For the twins'), 'approved 42501', 'once his end is approved he signs no more, however long ago his statement began');
SELECT is(pg_temp.signs('carl', 'For the twins'), '42501', 'nor in the next one');
SELECT is(pg_temp.signs('bill', 'For the twins'), 'proposed', 'bill does');
SELECT is(pg_temp.proposes('mallory', 'Not bill', $$ unassign('bill', 'approver', 'party', 'twins') $$), 'done', 'and then he is to end');
SELECT is(pg_temp.signs('bill', 'Not bill'), 'approved', 'to which he agrees himself');
SELECT is(pg_temp.waits_for('For the twins'), 'double', 'what he signed stays signed');
SELECT is(pg_temp.signs('cleo', 'For the twins'), 'approved', 'and is approved');
-- The same of an owner
SELECT is(pg_temp.agreed('Let', $$ define_stage('deal', 'i', 80), assign('sales', 'accountable', 'stage', 'deal/i') $$, '{cleo, ben}'), 'approved', 'sales owns a stage');
SELECT is(pg_temp.proposes('mallory', 'Of i', $$ define_stage('deal', 'i', 81) $$) || pg_temp.proposes('mallory', 'I is free', $$ unassign('sales', 'accountable', 'stage', 'deal/i') $$), 'donedone', 'something waits for sales, and so does the end of that');
SELECT is(pg_temp.waits_for('Of i') || ' ' || pg_temp.waits_for('I is free'), 'sales sales', 'as it is told');
SELECT is(pg_temp.signs('ben', 'I is free') || ' ' || pg_temp.signs('ben', 'Of i') || ' ' || pg_temp.signs('cleo', 'Of i'), 'approved 42501 approved', 'once sales owns it no more, its word is not asked, but the council''s');
-- and one who signed before he lost his say: somebody has to who has it
SELECT is(pg_temp.agreed('Let again', $$ assign('sales', 'accountable', 'stage', 'deal/i', 0.5), assign('dora', 'accountable', 'stage', 'deal/i', 0.5) $$, '{cleo, ben, dora}'), 'approved', 'two own it');
SELECT is(pg_temp.proposes('mallory', 'I once more', $$ define_stage('deal', 'i', 82) $$), 'done', 'something waits for both');
SELECT is(pg_temp.signs('ben', 'I once more'), 'proposed', 'one of them signs');
SELECT is(pg_temp.agreed('Free again', $$ unassign('sales', 'accountable', 'stage', 'deal/i'), unassign('dora', 'accountable', 'stage', 'deal/i') $$, '{ben, dora}'), 'approved', 'and then nobody owns it');
SELECT is(pg_temp.waits_for('I once more'), 'council', 'it waits for the council');
SELECT is(pg_temp.signs('dora', 'I once more') || ' ' || pg_temp.signs('cleo', 'I once more'), '42501 approved', 'who is none any more does not sign');

-- Things of the same names in the caller's path
SELECT is(pg_temp.does('mallory', $q$
    CREATE FUNCTION public.object_key(VARIADIC text[]) RETURNS text LANGUAGE SQL IMMUTABLE AS 'SELECT ''trap''';
    CREATE FUNCTION public.clock_timestamp() RETURNS timestamptz LANGUAGE SQL AS 'SELECT ''2001-01-01''::timestamptz';
    CREATE FUNCTION public.statement_timestamp() RETURNS timestamptz LANGUAGE SQL AS 'SELECT ''2001-01-01''::timestamptz';
    CREATE FUNCTION pg_temp.clock_timestamp() RETURNS timestamptz LANGUAGE SQL AS 'SELECT ''2001-01-01''::timestamptz';
    CREATE FUNCTION pg_temp.current_setting(text, boolean) RETURNS text LANGUAGE SQL AS 'SELECT ''on''';
    CREATE FUNCTION public.current_setting(text, boolean) RETURNS text LANGUAGE SQL AS 'SELECT ''on''';
    CREATE FUNCTION public.pg_get_userbyid(oid) RETURNS name LANGUAGE SQL AS 'SELECT current_user';
    CREATE FUNCTION public.current_query() RETURNS text LANGUAGE SQL AS 'SELECT ''COPY ''';
    CREATE FUNCTION public.upper_inf(tstzrange) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT false';
    CREATE FUNCTION public.lower(tstzrange) RETURNS timestamptz LANGUAGE SQL IMMUTABLE AS 'SELECT NULL::timestamptz';
    CREATE FUNCTION public.btrim(text) RETURNS text LANGUAGE SQL IMMUTABLE AS 'SELECT ''trap''';
    CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE SQL IMMUTABLE AS 'SELECT ''revacct_test_mallory''';
    CREATE FUNCTION public._has_access(text[]) RETURNS boolean LANGUAGE SQL AS 'SELECT true';
    CREATE FUNCTION public._demand_access(text[], text) RETURNS void LANGUAGE SQL AS 'SELECT';
    CREATE FUNCTION public._signs_for(bigint) RETURNS TABLE (party text) LANGUAGE SQL AS 'SELECT ''sales''';
    CREATE FUNCTION public._required_signoffs(bigint) RETURNS TABLE (party text) LANGUAGE SQL AS 'SELECT ''twins'' WHERE false';
    CREATE FUNCTION public._signatories(text) RETURNS TABLE (login text) LANGUAGE SQL AS 'SELECT session_user::text';
    CREATE FUNCTION public._in_force(text, text, timestamptz) RETURNS bigint LANGUAGE SQL AS 'SELECT 1::bigint';
    CREATE FUNCTION public._put_in_force(bigint) RETURNS void LANGUAGE SQL AS 'SELECT';
    CREATE FUNCTION public._check_change(bigint) RETURNS void LANGUAGE SQL AS 'SELECT';
    CREATE FUNCTION public.always(text, text) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION public.always(name, text) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION public.always(name, name) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION public.always(text, text[]) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT true';
    CREATE FUNCTION public.never(text, text) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT false';
    CREATE FUNCTION public.never(timestamptz, timestamptz) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT false';
    CREATE FUNCTION public.never(tstzrange, timestamptz) RETURNS boolean LANGUAGE SQL IMMUTABLE AS 'SELECT false';
    CREATE OPERATOR public.= (FUNCTION = public.always, LEFTARG = text, RIGHTARG = text); CREATE OPERATOR public.= (FUNCTION = public.always, LEFTARG = name, RIGHTARG = text);
    CREATE OPERATOR public.= (FUNCTION = public.always, LEFTARG = name, RIGHTARG = name); CREATE OPERATOR public.<> (FUNCTION = public.never, LEFTARG = text, RIGHTARG = text);
    CREATE OPERATOR public.< (FUNCTION = public.never, LEFTARG = timestamptz, RIGHTARG = timestamptz); CREATE OPERATOR public.@> (FUNCTION = public.never, LEFTARG = tstzrange, RIGHTARG = timestamptz);
    CREATE TEMP TABLE pg_roles (oid oid, rolname name, rolsuper boolean); INSERT INTO pg_temp.pg_roles VALUES (1, 'revacct_test_mallory', true); CREATE TEMP TABLE pg_auth_members (member oid, roleid oid);
    CREATE TEMP TABLE access (db_role text, level text); INSERT INTO pg_temp.access VALUES ('revacct_test_mallory', 'council'); CREATE TEMP TABLE pg_class (oid oid, relowner oid) $q$), 'done', 'mallory puts traps into public and pg_temp');
-- all of which come first now
SELECT 'CREATE DOMAIN pg_temp.text AS pg_catalog.int4; CREATE DOMAIN pg_temp.timestamptz AS pg_catalog.int4; SET LOCAL search_path = pg_temp, public, pg_catalog, revacct; ' AS trapped \gset
SELECT is(pg_temp.attempt('mallory', 'SET LOCAL search_path = pg_temp, public, pg_catalog, revacct; ' || $$ SELECT 1 / (CASE WHEN object_key('a') OPERATOR(pg_catalog.=) 'trap' AND clock_timestamp() OPERATOR(pg_catalog.=) '2001-01-01'::pg_catalog.timestamptz AND 'a'::pg_catalog.text = 'b'::pg_catalog.text THEN 0 ELSE 1 END) $$), '22012', 'the traps are in the way of whoever calls');
SELECT is(pg_temp.attempt(who, :'trapped'::text || format(what, pg_temp.no('Target again'))), expected, 'traps or not: ' || who || ': ' || what)
FROM (VALUES (1, 'mallory', 'SELECT revacct.approve(%s::pg_catalog.int8)', '42501'), (2, 'eve', 'SELECT revacct.approve(%s::pg_catalog.int8)', '42501'), (3, 'eve', 'SELECT revacct.draft_change(''x'')', 'it worked'),
             (4, 'eve', 'SELECT revacct.draft_change(''x''); SELECT revacct.define_code(''a'', ''b''); SELECT revacct.propose_change()', '42501'), (5, 'eve', 'SELECT revacct.register_party(''x'', ''person'')', '42501'),
             (6, 'mallory', 'SELECT revacct.grant_access(''council'', ''revacct_test_mallory'')', '42501'), (7, 'eve', 'SELECT revacct.approve_override(1)', '42501'), (8, 'ben', 'SELECT revacct.approve(%s::pg_catalog.int8)', 'it worked'),
             (9, 'mallory', 'SELECT revacct.draft_change(''x'', ''2020-01-01'')', '22023'), (10, 'mallory', 'SELECT revacct.draft_change(''x''); SELECT revacct.define_stage(''nowhere'', ''x'', 1); SELECT revacct.propose_change()', '23503'),
             (11, 'owner', 'DELETE FROM revacct_data.validity', '55000 and the hint'), (12, 'owner', 'SET LOCAL revacct.by_change = ''on''; DELETE FROM revacct_data.validity', '55000 and the hint'), (13, 'root', 'DELETE FROM revacct_data.validity', '55000 and the hint'),
             (14, 'mallory', 'SELECT revacct.withdraw_change(' || pg_temp.no('Everything') || '::pg_catalog.int8)', '55000')) AS t (n, who, what, expected) ORDER BY n;
SELECT is(pg_temp.does('mallory', 'SET LOCAL search_path = pg_temp, public, pg_catalog, revacct; ' || $$ SELECT revacct.draft_change('Trapped'); SELECT revacct.define_stage('deal', 'trapped', 90); SELECT revacct.propose_change() $$), 'done', 'a change is drafted among traps');
SELECT is((SELECT string_agg(key, ' ') FROM revacct_data.version WHERE change_id = pg_temp.no('Trapped')), 'deal/trapped', 'its key is right');
SELECT ok((SELECT raised_at > now() AND proposed_at > raised_at FROM revacct_data.change WHERE change_id = pg_temp.no('Trapped')), 'and so are its times');
SELECT is(pg_temp.does('cleo', 'SET LOCAL search_path = pg_temp, public, pg_catalog, revacct; ' || format('SELECT revacct.approve(%s::pg_catalog.int8)', pg_temp.no('Trapped'))), 'done', 'it is approved among them');
SELECT is((SELECT version_no FROM glossary WHERE name = 'deal/trapped'), 1, 'and in force');
SELECT is(pg_temp.does('ben', 'SET LOCAL search_path = pg_temp, public, pg_catalog, revacct; ' || $$ SELECT 1 FROM pg_temp.no('x') $$), 'done', 'views are read among them');
SELECT is(pg_temp.attempt('ben', :'trapped'::text || $$ SELECT 1 / pg_catalog.count(*) FROM revacct.awaiting_my_signoff $$), 'nothing happened', 'and show what they show: ben is asked');
SELECT is(pg_temp.attempt('eve', :'trapped'::text || $$ SELECT 1 / pg_catalog.count(*) FROM revacct.awaiting_my_signoff $$), '22012', 'and eve is not');
SELECT is(pg_temp.attempt('eve', :'trapped'::text || $$ SELECT 1 / (CASE WHEN revacct.lifecycle('deal')::pg_catalog.text ~ 'trapped' THEN 0 ELSE 1 END) $$), '22012', 'what is compiled is what is agreed');

SELECT * FROM finish();
ROLLBACK;
