-- What a call site keeps of an agreed definition (src/compiled.c): whatever the query, it gives what compiling at that point would give, and a query over many
-- rows compiles a few times. The measure of both is _lifecycle() and its like, which keep nothing, and how often they are called.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
SET track_functions = 'all';
DROP ROLE IF EXISTS compiled_ana;
DROP ROLE IF EXISTS compiled_cleo;
DROP ROLE IF EXISTS compiled_bi;
CREATE ROLE compiled_ana;
CREATE ROLE compiled_cleo;
CREATE ROLE compiled_bi;
SELECT grant_access('steward', 'compiled_ana'), grant_access('council', 'compiled_cleo'), grant_access('reader', 'compiled_bi') \gset

SELECT plan(130);

-- One proposes and another approves: all in one statement, so that a function can do it too.
CREATE FUNCTION agree(said text, at timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    before constant text := session_user;
    number bigint;
BEGIN
    PERFORM set_config('session_authorization', 'compiled_ana', true);
    number := draft_change('Agreed', at, until, retroactive => coalesce(at < clock_timestamp(), false));
    EXECUTE 'SELECT ' || said;
    PERFORM propose_change(number);
    PERFORM set_config('session_authorization', 'compiled_cleo', true);
    IF approve(number) <> 'approved' THEN
        RAISE EXCEPTION 'not approved';
    END IF;
    PERFORM set_config('session_authorization', before, true);
END $$;

-- How often this transaction compiled. Work of parallel workers is not in it.
CREATE FUNCTION compilations() RETURNS bigint LANGUAGE SQL VOLATILE AS $$
    SELECT coalesce(sum(pg_stat_get_xact_function_calls(p.oid)), 0)::bigint FROM pg_proc AS p
    WHERE p.pronamespace = 'revacct'::regnamespace AND p.proname IN ('_lifecycle', '_sla', '_business_calendar') $$;

-- The rows a query gives, and how often it compiled.
CREATE FUNCTION costs(query text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    before bigint;
BEGIN
    before := compilations();
    EXECUTE query;
    RETURN compilations() - before;
END $$;

CREATE FUNCTION plan_of(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    plan text := '';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (VERBOSE, COSTS OFF) ' || query LOOP
        plan := plan || line || E'\n';
    END LOOP;
    RETURN plan;
END $$;

-- Call sites that live as long as the transaction: PL/pgSQL keeps the state of an expression.
CREATE FUNCTION site(name text) RETURNS lifecycle LANGUAGE plpgsql AS $$ BEGIN RETURN lifecycle(name); END $$;
CREATE FUNCTION sla_site(name text) RETURNS sla LANGUAGE plpgsql AS $$ BEGIN RETURN sla(name); END $$;
CREATE FUNCTION stable_site(name text) RETURNS lifecycle LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN lifecycle(name); END $$;
CREATE FUNCTION literal_site() RETURNS lifecycle LANGUAGE plpgsql AS $$ BEGIN RETURN lifecycle('inbound'); END $$;
-- The stages of a lifecycle, to be read in what a test says
CREATE FUNCTION stages_of(l lifecycle) RETURNS text LANGUAGE SQL IMMUTABLE AS $$ SELECT substring(l::text FROM 'stages ([^;]*)') $$;

SELECT agree($$ define_lifecycle('inbound'), define_stage('inbound', 'lead', 10), define_stage('inbound', 'mql', 20), define_stage('inbound', 'won', 90, 'won'),
    define_lifecycle('outbound'), define_stage('outbound', 'target', 10), define_stage('outbound', 'won', 90, 'won'),
    define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}'), define_calendar('late', 'Europe/Berlin', '{mon-fri 12:00-20:00}'),
    define_sla('reply', start => '{lead}', stop => '{touch_out}', target => '4 hours', calendar => 'office', lifecycle => 'inbound'),
    define_sla('call', start => '{created}', stop => '{touch_out}', target => '2 hours') $$, '2025-01-01') \gset
SELECT agree($$ define_stage('inbound', 'sal', 30), define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-18:00}') $$, '2025-03-01') \gset
SELECT now() AS between \gset
SELECT agree($$ define_stage('outbound', 'met', 20) $$, '2025-03-01') \gset

CREATE TABLE call (call text, oracle text);
INSERT INTO call VALUES
    ($$ lifecycle('inbound') $$, $$ _lifecycle('inbound', NULL, NULL) $$),
    ($$ lifecycle('inbound'::text) $$, $$ _lifecycle('inbound', NULL, NULL) $$),
    ($$ lifecycle('inbound', model_at => NULL) $$, $$ _lifecycle('inbound', NULL, NULL) $$),
    ($$ lifecycle('inbound', model_at => '2025-02-01') $$, $$ _lifecycle('inbound', '2025-02-01', NULL) $$),
    ($$ lifecycle('outbound', model_at => '2025-04-01', known_at => $$ || quote_literal(:'between') || $$) $$, $$ _lifecycle('outbound', '2025-04-01', $$ || quote_literal(:'between') || $$) $$),
    ($$ lifecycle('outbound', model_at => NULL, known_at => NULL) $$, $$ _lifecycle('outbound', NULL, NULL) $$),
    ($$ sla('reply') $$, $$ _sla('reply', NULL, NULL) $$),
    ($$ sla('reply'::text) $$, $$ _sla('reply', NULL, NULL) $$),
    ($$ sla('reply', model_at => '2025-02-01') $$, $$ _sla('reply', '2025-02-01', NULL) $$),
    ($$ sla('reply', model_at => NULL, known_at => $$ || quote_literal(:'between') || $$) $$, $$ _sla('reply', NULL, $$ || quote_literal(:'between') || $$) $$),
    ($$ business_calendar('office') $$, $$ _business_calendar('office', NULL, NULL) $$),
    ($$ business_calendar('office'::text) $$, $$ _business_calendar('office', NULL, NULL) $$),
    ($$ business_calendar('office', model_at => '2025-02-01') $$, $$ _business_calendar('office', '2025-02-01', NULL) $$);
CREATE FUNCTION answer(query text) RETURNS text LANGUAGE plpgsql AS $$ DECLARE a text; BEGIN EXECUTE query INTO a; RETURN a; END $$;

-- Every row of a query: the same as (SELECT ...), and compiled a few times
SELECT is(answer(format('SELECT (%s)::text', call)), answer(format('SELECT (%s)::text', oracle)), 'as compiled:' || call) FROM call;
SELECT is(answer(format('SELECT count(*) FROM generate_series(1, 10000) AS i WHERE %s = (SELECT %s)', call, call)), '10000', 'in each row as in a subquery:' || call) FROM call;
SELECT cmp_ok(costs(format('SELECT count((%s)::text) FROM generate_series(1, 10000) AS i', call)), '<=', 3::bigint, 'compiled once or so for 10,000 rows:' || call) FROM call;
SELECT cmp_ok(costs($$ SELECT count(_lifecycle('inbound', NULL, NULL)::text) FROM generate_series(1, 100) AS i $$), '>=', 100::bigint, 'what keeps nothing compiles for each row, and that is counted');
SELECT cmp_ok(costs($$ SELECT count(lifecycle('inbound')::text || sla('reply')::text || lifecycle('outbound')::text) FROM generate_series(1, 10000) AS i $$), '<=', 6::bigint, 'three call sites: each its own');
SELECT is(plan_of($$ SELECT lifecycle('inbound') FROM generate_series(1, 2) $$) ~ 'Output: lifecycle\(''inbound''', true, 'it is called when the query runs, and not before');
SELECT is((SELECT provolatile FROM pg_proc WHERE oid = 'lifecycle(unknown)'::regprocedure), 's'::"char", 'and is stable');

-- Arguments that differ from row to row
CREATE TABLE named (no int, name text, at timestamptz);
INSERT INTO named SELECT i, (ARRAY['inbound', 'outbound', NULL, 'inbound', 'inbound'])[1 + i % 5], (ARRAY['2025-02-01', '2025-04-01', NULL]::timestamptz[])[1 + i / 5 % 3] FROM generate_series(1, 1000) AS i;
SELECT is_empty($$ SELECT no FROM named WHERE lifecycle(name)::text IS DISTINCT FROM (CASE WHEN name IS NOT NULL THEN _lifecycle(name, NULL, NULL) END)::text $$, 'names from a column, NULL among them');
SELECT is_empty($$ SELECT no FROM named WHERE lifecycle(name, at)::text IS DISTINCT FROM (CASE WHEN name IS NOT NULL THEN _lifecycle(name, at, NULL) END)::text $$, 'model_at from a column too');
SELECT is_empty($$ SELECT no FROM named WHERE lifecycle('outbound', '2025-04-01', at)::text IS DISTINCT FROM _lifecycle('outbound', '2025-04-01', at)::text AND at IS NULL $$, 'known_at from a column');
SELECT is((SELECT array_agg(DISTINCT stages_of(lifecycle('outbound', '2025-04-01', CASE WHEN no % 2 = 0 THEN :'between'::timestamptz END))) FROM named), '{target,"target, met"}', 'known_at makes a difference');
SELECT is((SELECT string_agg(DISTINCT no % 5 || ' ' || coalesce(stages_of(lifecycle(name)), 'none'), '; ') FROM named), '0 lead, mql, sal; 1 target, met; 2 none; 3 lead, mql, sal; 4 lead, mql, sal', 'each row has its own');
SELECT cmp_ok(costs($$ SELECT count(lifecycle(name)::text) FROM (SELECT * FROM named ORDER BY name OFFSET 0) AS s $$), '<=', 3::bigint, 'sorted by name, each is compiled once');
SELECT is(costs($$ SELECT count(lifecycle(NULL::text)::text || sla(NULL::text)::text) FROM generate_series(1, 100) $$), 0::bigint, 'NULL compiles nothing');
SELECT is(lifecycle(NULL)::text || sla(NULL)::text || business_calendar(NULL::text)::text || lifecycle(NULL::text, now())::text, NULL, 'NULL is NULL');

-- Results that are kept while the next ones are made
SELECT is((SELECT array_agg(stages_of(l) ORDER BY o) FROM unnest((SELECT array_agg(lifecycle(name) ORDER BY no) FROM named WHERE no <= 5)) WITH ORDINALITY AS u (l, o)),
    '{"target, met",NULL,"lead, mql, sal","lead, mql, sal","lead, mql, sal"}', 'in an array');
SELECT results_eq($$ SELECT DISTINCT stages_of(lag(l) OVER (ORDER BY no)), stages_of(l) FROM (SELECT no, lifecycle(name) AS l FROM named WHERE name IS NOT NULL) AS s ORDER BY 1, 2 $$,
    $$ VALUES ('lead, mql, sal', 'lead, mql, sal'), ('lead, mql, sal', 'target, met'), ('target, met', 'lead, mql, sal'), (NULL, 'target, met') $$, 'in a window');
SELECT results_eq($$ SELECT stages_of(lifecycle(name)), count(*) FROM named GROUP BY lifecycle(name) ORDER BY 1 $$, $$ VALUES ('lead, mql, sal', 600::bigint), ('target, met', 200), (NULL, 200) $$, 'in groups');
SELECT is((SELECT count(*) FROM (SELECT lifecycle(name) AS l FROM named WHERE no <= 10) AS a JOIN (SELECT lifecycle(name) AS l FROM named WHERE no <= 10) AS b ON a.l::text = b.l::text), 40::bigint, 'in a join');
SELECT is((SELECT string_agg(DISTINCT stages_of(l), '; ') FROM (SELECT lifecycle(name) AS l, generate_series(1, 3) FROM named WHERE no <= 5) AS s), 'lead, mql, sal; target, met', 'beside a function of several rows');
SELECT is((SELECT count(*) FROM (SELECT name, explain_definition(lifecycle(name)) AS e FROM named WHERE no IN (1, 3)) AS s WHERE (e).name ~ name), 9::bigint, 'as its argument, in the list of results');
SELECT is((SELECT count(*) FROM named, explain_definition(lifecycle(named.name)) AS e WHERE no IN (1, 3) AND e.name ~ named.name), 9::bigint, 'as its argument, in FROM');
DO $$
DECLARE
    a lifecycle := site('inbound');
    b lifecycle := site('outbound');
    c lifecycle := site('inbound');
BEGIN
    IF stages_of(a) <> 'lead, mql, sal' OR stages_of(b) <> 'target, met' OR a <> c THEN
        RAISE EXCEPTION 'a variable changed';
    END IF;
END $$;
SELECT pass('in variables');
-- An array that is converted calls one call site for each of its elements.
CREATE CAST (text AS lifecycle) WITH FUNCTION lifecycle(text);
SELECT is((SELECT array_agg(stages_of(l)) FROM unnest((SELECT array_agg(name ORDER BY no) FROM named WHERE no IN (1, 3, 6))::lifecycle[]) AS l), '{"target, met","lead, mql, sal","target, met"}', 'in an array that is converted');
DROP CAST (text AS lifecycle);

-- Names: stored or not, short or long, alike but for an end
SELECT agree(format('define_lifecycle(%1$L), define_stage(%1$L, %2$L, 10), define_lifecycle(%3$L), define_stage(%3$L, %4$L, 10)', repeat('x', 254) || 'y', 'first', repeat('x', 254) || 'z', 'second')) \gset
CREATE TABLE long_name (no int, name text);
INSERT INTO long_name SELECT i, repeat('x', 254) || (ARRAY['y', 'z'])[1 + i % 2] FROM generate_series(1, 10) AS i;
SELECT results_eq('SELECT DISTINCT no % 2, stages_of(lifecycle(name)) FROM long_name ORDER BY 1', $$ VALUES (0, 'first'), (1, 'second') $$, 'long names that differ in the last letter');
SELECT is((SELECT count(*) FROM named WHERE name IS NOT NULL AND lifecycle(name) = lifecycle(name || '') AND lifecycle(name) = CASE name WHEN 'inbound' THEN lifecycle('inbound') ELSE lifecycle('outbound') END), 800::bigint, 'a stored name, a made one and a literal are one');
SELECT throws_ok(format($$ SELECT lifecycle(%L) $$, 'inbound' || repeat(' ', n)), '42704', NULL, format('spaces after a name are part of it (%s)', n)) FROM (VALUES (1), (100)) AS t (n);
SELECT throws_ok($$ SELECT lifecycle('inboun') FROM generate_series(1, 2) $$, '42704', 'lifecycle "inboun" is not in force', 'the beginning of a name is no name');
SELECT throws_ok($$ SELECT lifecycle(name) FROM unnest('{inbound, inbound2}'::text[]) AS name $$, '42704', 'lifecycle "inbound2" is not in force', 'nor is a name and something, after the name');
SELECT throws_ok($$ SELECT lifecycle(name) FROM unnest('{inbound, inboun}'::text[]) AS name $$, '42704', 'lifecycle "inboun" is not in force', 'nor its beginning');
SELECT throws_ok($$ SELECT lifecycle('') $$, '42704', NULL, 'nor is nothing');
CREATE TABLE huge_name AS SELECT string_agg(md5(i::text), '') AS name FROM generate_series(1, 40000) AS i;
SELECT throws_ok($$ SELECT sla(name) FROM huge_name $$, '42704', NULL, 'a name of 1.28 MB, stored out of line, is not in force');

-- What is not in force, and what a call site gives after an error
SELECT throws_ok($$ SELECT lifecycle('nothing') $$, '42704', 'lifecycle "nothing" is not in force', 'no such lifecycle, as a literal');
SELECT throws_ok($$ SELECT lifecycle('nothing'::text) $$, '42704', 'lifecycle "nothing" is not in force', 'as text');
SELECT throws_ok($$ SELECT sla('nothing') $$, '42704', 'policy "nothing" is not in force', 'no such SLA');
SELECT throws_ok($$ SELECT business_calendar('nothing', now()) $$, '42704', 'calendar "nothing" is not in force', 'no such calendar');
SELECT throws_ok($$ SELECT lifecycle('inbound', model_at => '2024-01-01') $$, '42704', 'lifecycle "inbound" is not in force', 'not at that time');
SELECT throws_ok($$ SELECT lifecycle('inbound', now(), '2024-01-01') $$, '42704', NULL, 'not on record at that time');
SELECT throws_ok($$ SELECT lifecycle(CASE WHEN i = 5000 THEN 'nothing' ELSE 'inbound' END) FROM generate_series(1, 10000) AS i $$, '42704', 'lifecycle "nothing" is not in force', 'one of many rows');
CREATE FUNCTION all_of(names text[]) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    name text;
    answers text[] := '{}';
BEGIN
    FOREACH name IN ARRAY names LOOP
        BEGIN
            answers := answers || (name || '=' || stages_of(lifecycle(name)));
        EXCEPTION WHEN undefined_object THEN
            answers := answers || (name || ' is not');
        END;
    END LOOP;
    RETURN array_to_string(answers, '; ');
END $$;
SELECT is(all_of('{inbound, nothing, inbound, nothing, nothing, outbound, inbound}'),
    'inbound=lead, mql, sal; nothing is not; inbound=lead, mql, sal; nothing is not; nothing is not; outbound=target, met; inbound=lead, mql, sal', 'a call site goes on after errors');

-- A change in the same transaction
BEGIN;
SELECT is(ARRAY[stages_of(site('inbound')), stages_of(literal_site()), stages_of(stable_site('inbound'))], array_fill('lead, mql, sal'::text, ARRAY[3]), 'before a change');
SELECT agree($$ define_stage('inbound', 'sql', 40) $$) \gset
SELECT is(ARRAY[stages_of(site('inbound')), stages_of(literal_site()), stages_of(stable_site('inbound'))], array_fill('lead, mql, sal, sql'::text, ARRAY[3]), 'after it');
SAVEPOINT here;
SELECT agree($$ define_stage('inbound', 'demo', 50) $$) \gset
SELECT is(stages_of(site('inbound')), 'lead, mql, sal, sql, demo', 'in a savepoint');
ROLLBACK TO here;
SELECT is(stages_of(site('inbound')), 'lead, mql, sal, sql', 'and without it');
SELECT is(stages_of(lifecycle('inbound')), stages_of(_lifecycle('inbound', NULL, NULL)), 'as compiled');
ROLLBACK;
SELECT is(stages_of(site('inbound')), 'lead, mql, sal', 'and when all is rolled back');

-- A change in the same statement. What came into force in it is not in force at its time, unless it is retroactive; but an SLA says what holds in all times.
CREATE FUNCTION in_one_statement(at timestamptz, roll_back boolean) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    read text[] := '{}';
    fresh text[] := '{}';
BEGIN
    FOR i IN 1 .. 3 LOOP
        read := read || (stages_of(site('inbound')) || ' ' || md5(sla_site('reply')::text) || stages_of(literal_site()));
        fresh := fresh || (stages_of(_lifecycle('inbound', NULL, NULL)) || ' ' || md5(_sla('reply', NULL, NULL)::text) || stages_of(_lifecycle('inbound', NULL, NULL)));
        BEGIN
            PERFORM agree(format('define_stage(''inbound'', ''s%1$s'', 5%1$s), define_sla(''reply'', start => ''{lead}'', stop => ''{touch_out}'', target => ''%1$s days'', lifecycle => ''inbound'')', i), at + i * interval '1 s');
            read := read || (stages_of(site('inbound')) || ' ' || md5(sla_site('reply')::text) || stages_of(literal_site()));
            fresh := fresh || (stages_of(_lifecycle('inbound', NULL, NULL)) || ' ' || md5(_sla('reply', NULL, NULL)::text) || stages_of(_lifecycle('inbound', NULL, NULL)));
            IF roll_back THEN
                RAISE EXCEPTION USING ERRCODE = 'RVTRY';
            END IF;
        EXCEPTION WHEN SQLSTATE 'RVTRY' THEN
            NULL;
        END;
    END LOOP;
    read := read || (stages_of(site('inbound')) || ' ' || md5(sla_site('reply')::text) || stages_of(literal_site()));
    fresh := fresh || (stages_of(_lifecycle('inbound', NULL, NULL)) || ' ' || md5(_sla('reply', NULL, NULL)::text) || stages_of(_lifecycle('inbound', NULL, NULL)));
    RETURN CASE WHEN read = fresh THEN 'right' ELSE 'read: ' || array_to_string(read, E'\n') || E'\nright: ' || array_to_string(fresh, E'\n') END
           || ', ' || (SELECT count(DISTINCT r) FROM unnest(read) AS r) || ' values';
END $$;
BEGIN;
SELECT is(in_one_statement('2025-05-01', false), 'right, 4 values', 'retroactive changes in one statement');
ROLLBACK;
BEGIN;
SELECT is(in_one_statement(NULL, false), 'right, 4 values', 'changes from now on in one statement');
ROLLBACK;
BEGIN;
SELECT is(in_one_statement('2025-05-01', true), 'right, 4 values', 'changes that are taken back in one statement');
ROLLBACK;
-- The same, shortest: nothing else is done between taking back and reading.
CREATE FUNCTION taken_back() RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    during text;
    after text;
BEGIN
    BEGIN
        PERFORM agree('define_stage(''inbound'', ''gone'', 50)', '2025-05-01');
        during := stages_of(site('inbound'));
        RAISE EXCEPTION USING ERRCODE = 'RVTRY';
    EXCEPTION WHEN SQLSTATE 'RVTRY' THEN
        NULL;
    END;
    after := stages_of(site('inbound'));
    RETURN coalesce(during, 'NULL') || ' / ' || after;
END $$;
BEGIN ISOLATION LEVEL READ COMMITTED;
SELECT alike(taken_back(), '% / lead, mql, sal', 'what is taken back is gone at once, read committed');
ROLLBACK;

-- A loop that compiles in each turn, and one that commits in each
DO $$
DECLARE
    before bigint;
    l lifecycle;
    s sla;
BEGIN
    before := compilations();
    FOR i IN 1 .. 1000 LOOP
        l := lifecycle('inbound');
        s := sla('reply');
    END LOOP;
    -- what others commit meanwhile makes it compile again
    IF compilations() - before > 200 THEN
        RAISE EXCEPTION 'compiled % times', compilations() - before;
    END IF;
END $$;
SELECT pass('a loop of 1,000 turns does not compile 2,000 times');
CREATE TABLE turn (no int, was text, is_now text, fresh text);
CREATE PROCEDURE turns() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3 LOOP
        INSERT INTO turn VALUES (i, stages_of(site('outbound')));
        PERFORM agree(format('define_stage(''outbound'', ''t%1$s'', 3%1$s)', i), '2025-06-01'::timestamptz + i * interval '1 day');
        IF i = 2 THEN
            ROLLBACK;
            INSERT INTO turn VALUES (i);
        ELSE
            COMMIT;
        END IF;
        UPDATE turn SET is_now = stages_of(site('outbound')), fresh = stages_of(_lifecycle('outbound', NULL, NULL)) WHERE no = i;
        COMMIT;
    END LOOP;
END $$;
CALL turns();
SELECT results_eq('SELECT no, is_now, is_now = fresh FROM turn ORDER BY no', $$ VALUES (1, 'target, met, t1', true), (2, 'target, met, t1', true), (3, 'target, met, t1, t3', true) $$, 'a procedure that commits and rolls back in a loop');

-- Prepared statements, across changes
SET plan_cache_mode = force_generic_plan;
PREPARE generic (text) AS SELECT stages_of(lifecycle($1)) AS read, stages_of(_lifecycle($1, NULL, NULL)) AS fresh;
PREPARE literal AS SELECT stages_of(lifecycle('inbound')) AS read, stages_of(_lifecycle('inbound', NULL, NULL)) AS fresh;
PREPARE at (timestamptz) AS SELECT stages_of(lifecycle('inbound', $1)) AS read, stages_of(_lifecycle('inbound', $1, NULL)) AS fresh;
SELECT results_eq($$ EXECUTE generic('inbound') $$, $$ VALUES ('lead, mql, sal', 'lead, mql, sal') $$, 'a generic plan');
SELECT results_eq($$ EXECUTE generic('outbound') $$, $$ VALUES ('target, met, t1, t3', 'target, met, t1, t3') $$, 'with another name');
SELECT results_eq('EXECUTE literal', $$ VALUES ('lead, mql, sal', 'lead, mql, sal') $$, 'with a literal');
SELECT results_eq($$ EXECUTE at('2025-02-01') $$, $$ VALUES ('lead, mql', 'lead, mql') $$, 'with a time');
SELECT agree($$ define_stage('inbound', 'sql', 40) $$, '2025-07-01') \gset
SELECT results_eq($$ EXECUTE generic('inbound') $$, $$ VALUES ('lead, mql, sal, sql', 'lead, mql, sal, sql') $$, 'a generic plan, after a change');
SELECT results_eq('EXECUTE literal', $$ VALUES ('lead, mql, sal, sql', 'lead, mql, sal, sql') $$, 'with a literal, after a change');
SELECT results_eq($$ EXECUTE at('2025-02-01') $$, $$ VALUES ('lead, mql', 'lead, mql') $$, 'with a time, after a change');
SELECT results_eq($$ EXECUTE at('2025-07-02') $$, $$ VALUES ('lead, mql, sal, sql', 'lead, mql, sal, sql') $$, 'with another time');
RESET plan_cache_mode;
SELECT results_eq('EXECUTE literal', $$ VALUES ('lead, mql, sal, sql', 'lead, mql, sal, sql') $$, 'with a plan of its own');

-- Parallel workers
CREATE TABLE many AS SELECT i, (ARRAY['inbound', 'outbound'])[1 + i % 2] AS name FROM generate_series(1, 20000) AS i;
ALTER TABLE many SET (parallel_workers = 2);
ANALYZE many;
SET parallel_setup_cost = 0;
SET parallel_tuple_cost = 0;
SET min_parallel_table_scan_size = 0;
SET max_parallel_workers_per_gather = 2;
SELECT alike(plan_of($$ SELECT count(*) FROM many WHERE lifecycle('inbound')::text <> '' $$), '%Workers Planned%', 'a parallel plan') AS parallel;
SELECT is((SELECT count(*) FROM many WHERE lifecycle('inbound') = (SELECT lifecycle('inbound'))), 20000::bigint, 'parallel workers agree with their leader');
SELECT is((SELECT count(*) FROM many WHERE i % 2 = 0 AND lifecycle('inbound')::text || sla('reply')::text || business_calendar('office')::text = (SELECT lifecycle('inbound')::text || sla('reply')::text || business_calendar('office')::text)), 10000::bigint, 'on all kinds');
SELECT cmp_ok(costs($$ SELECT count(*) FROM many WHERE lifecycle('inbound')::text <> '' $$), '<=', 3::bigint, 'the leader compiles once or so');
BEGIN;
SELECT agree($$ define_stage('inbound', 'demo', 50) $$) \gset
SET LOCAL parallel_leader_participation = off;
SELECT is((SELECT min(stages_of(lifecycle(name))) || ' / ' || max(stages_of(lifecycle(name))) FROM many WHERE i < 1000), 'lead, mql, sal, sql, demo / target, met, t1, t3', 'workers see what their transaction changed');
SAVEPOINT here;
SELECT agree($$ define_stage('inbound', 'trial', 60) $$) \gset
SELECT is((SELECT min(stages_of(lifecycle('inbound'))) || ' / ' || max(stages_of(lifecycle('inbound'))) FROM many), 'lead, mql, sal, sql, demo, trial / lead, mql, sal, sql, demo, trial', 'and in a savepoint');
ROLLBACK TO here;
SELECT is((SELECT min(stages_of(lifecycle('inbound'))) || ' / ' || max(stages_of(lifecycle('inbound'))) FROM many), 'lead, mql, sal, sql, demo / lead, mql, sal, sql, demo', 'and without it');
ROLLBACK;
RESET parallel_setup_cost;
RESET parallel_tuple_cost;
RESET min_parallel_table_scan_size;
RESET max_parallel_workers_per_gather;

-- Views, and other places where an expression is stored: it is stored as a call, not as a value
CREATE VIEW as_literal AS SELECT lifecycle('inbound') AS l, sla('reply') AS s, business_calendar('office') AS c, lifecycle('inbound', model_at => '2025-02-01') AS former;
CREATE VIEW as_text AS SELECT lifecycle('inbound'::text) AS l, sla('reply'::text) AS s, business_calendar('office'::text) AS c, lifecycle('inbound'::text, '2025-02-01'::timestamptz, NULL) AS former;
DO $$
BEGIN
    EXECUTE 'CREATE VIEW as_literal_again AS ' || pg_get_viewdef('as_literal');
    EXECUTE 'CREATE VIEW as_text_again AS ' || pg_get_viewdef('as_text');
    PERFORM set_config('search_path', '', true);
    EXECUTE 'CREATE VIEW public.as_literal_anywhere AS ' || pg_get_viewdef('public.as_literal');
END $$;
SELECT is(pg_get_viewdef('as_literal_again'), pg_get_viewdef('as_literal'), 'the text of a view makes the same view, with literals');
SELECT is(pg_get_viewdef('as_text_again'), pg_get_viewdef('as_text'), 'with text');
SELECT is(pg_get_viewdef('as_literal_anywhere'), pg_get_viewdef('as_literal'), 'with an empty search_path');
CREATE MATERIALIZED VIEW as_it_was AS SELECT * FROM as_literal;
CREATE TABLE defaulted (i int, l lifecycle DEFAULT lifecycle('inbound'));
INSERT INTO defaulted SELECT i FROM generate_series(1, 3) AS i;
SELECT agree($$ define_stage('inbound', 'demo', 50), define_calendar('office', 'Europe/Berlin', '{mon-fri 08:00-18:00}') $$, '2025-08-01') \gset
INSERT INTO defaulted SELECT i FROM generate_series(4, 6) AS i;
COPY defaulted (i) FROM stdin;
7
8
\.
SELECT is((SELECT count(DISTINCT (l::text, s::text, c::text, former::text)) FROM (TABLE as_literal UNION ALL TABLE as_text UNION ALL TABLE as_literal_again UNION ALL TABLE as_text_again UNION ALL TABLE as_literal_anywhere) AS v), 1::bigint, 'all views say the same');
SELECT is((SELECT ARRAY[stages_of(l), stages_of(former)] FROM as_literal), '{"lead, mql, sal, sql, demo","lead, mql"}', 'views say what is in force');
SELECT is((SELECT ARRAY[stages_of(l), stages_of(former)] FROM as_it_was), '{"lead, mql, sal, sql","lead, mql"}', 'a materialized view what was');
REFRESH MATERIALIZED VIEW as_it_was;
SELECT is((SELECT ARRAY[stages_of(l), c::text] FROM as_it_was), (SELECT ARRAY[stages_of(l), c::text] FROM as_literal), 'until it is refreshed');
SELECT results_eq('SELECT i <= 3, stages_of(l), count(*) FROM defaulted GROUP BY 1, 2 ORDER BY 1', $$ VALUES (false, 'lead, mql, sal, sql, demo', 5::bigint), (true, 'lead, mql, sal, sql', 3) $$, 'a default is compiled when it is used');
SELECT throws_ok($$ CREATE INDEX ON many (fingerprint(lifecycle(name))) $$, '42P17', NULL, 'no index is made of what can change');
SELECT throws_ok($$ ALTER TABLE many ADD l lifecycle GENERATED ALWAYS AS (lifecycle('inbound')) STORED $$, '42P17', NULL, 'nor a generated column');

-- Cursors see one time, whatever happens between what they give
BEGIN;
DECLARE held CURSOR WITH HOLD FOR SELECT i, stages_of(lifecycle('inbound')) FROM generate_series(1, 4) AS i;
DECLARE plain SCROLL CURSOR FOR SELECT i, stages_of(lifecycle(CASE WHEN i = 3 THEN 'outbound' ELSE 'inbound' END)) FROM generate_series(1, 4) AS i;
SELECT results_eq('FETCH 1 FROM held', $$ VALUES (1, 'lead, mql, sal, sql, demo') $$, 'a cursor');
SELECT results_eq('FETCH 1 FROM plain', $$ VALUES (1, 'lead, mql, sal, sql, demo') $$, 'and another');
SELECT agree($$ define_stage('inbound', 'trial', 60) $$, '2025-09-01') \gset
SELECT results_eq('FETCH 1 FROM held', $$ VALUES (2, 'lead, mql, sal, sql, demo') $$, 'goes on as it began, after a change');
SELECT results_eq('FETCH 3 FROM plain', $$ VALUES (2, 'lead, mql, sal, sql, demo'), (3, 'target, met, t1, t3'), (4, 'lead, mql, sal, sql, demo') $$, 'and the other');
SELECT results_eq('FETCH BACKWARD 1 FROM plain', $$ VALUES (3, 'target, met, t1, t3') $$, 'backwards');
SELECT is(stages_of(lifecycle('inbound')), 'lead, mql, sal, sql, demo, trial', 'while others see the change');
COMMIT;
SELECT results_eq('FETCH 2 FROM held', $$ VALUES (3, 'lead, mql, sal, sql, demo'), (4, 'lead, mql, sal, sql, demo') $$, 'what is held at the commit is as it began');
CLOSE held;

-- For each row of what is written
CREATE TABLE written (name text, l lifecycle, was lifecycle);
CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.l := lifecycle(NEW.name); RETURN NEW; END $$;
CREATE TRIGGER fill BEFORE INSERT ON written FOR EACH ROW EXECUTE FUNCTION fill();
INSERT INTO written SELECT name FROM named;
SELECT results_eq('SELECT name, stages_of(l), count(*) FROM written GROUP BY 1, 2 ORDER BY 1', $$ VALUES ('inbound', 'lead, mql, sal, sql, demo, trial', 600::bigint), ('outbound', 'target, met, t1, t3', 200), (NULL, NULL, 200) $$, 'in a trigger');
UPDATE written SET was = lifecycle(name, model_at => '2025-02-01');
SELECT results_eq('SELECT name, stages_of(was), count(*) FROM written GROUP BY 1, 2 ORDER BY 1', $$ VALUES ('inbound', 'lead, mql', 600::bigint), ('outbound', 'target', 200), (NULL, NULL, 200) $$, 'in an UPDATE');
-- A large value
SELECT agree('define_lifecycle(''large''), ' || string_agg(format('define_stage(''large'', %L, %s)', repeat('s', 200) || i, i), ', ')) FROM generate_series(1, 50) AS i \gset
CREATE TABLE large AS SELECT i, lifecycle('large') AS l FROM generate_series(1, 100) AS i;
SELECT is((SELECT count(*) FROM large WHERE l = lifecycle('large') AND l = _lifecycle('large', NULL, NULL)), 100::bigint, 'a value of 10 kB');

-- Time that passes is a change too, in one transaction and with one snapshot: what is in force from the next moment on. (pgTAP writes; so it is asked later.)
SELECT agree($$ define_stage('outbound', 'soon', 80) $$, clock_timestamp() + interval '0.3 s') \gset
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT stages_of(site('outbound')) AS before, stages_of(_lifecycle('outbound', NULL, NULL)) AS fresh_before \gset
SELECT pg_sleep(0.4) \gset
SELECT stages_of(site('outbound')) AS after, stages_of(literal_site()) AS other \gset
SELECT is(:'before'::text, :'fresh_before', 'before a change is effective, or just after');
SELECT is(:'after'::text, 'target, met, t1, t3, soon', 'once it is effective');
SELECT is(:'other'::text, 'lead, mql, sal, sql, demo, trial', 'and nothing else changed');
COMMIT;

-- Who reads has no right on the tables.
SET SESSION AUTHORIZATION compiled_bi;
SELECT is(revacct._lifecycle_name(lifecycle('inbound')), 'inbound', 'for a reader');
SELECT throws_ok('SELECT count(*) FROM revacct_data.stage', '42501', NULL, 'who reads no table');
RESET SESSION AUTHORIZATION;

SELECT * FROM finish();
DROP OWNED BY compiled_ana, compiled_cleo, compiled_bi;
DROP ROLE compiled_ana, compiled_cleo, compiled_bi;
