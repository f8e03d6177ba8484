-- What the extension puts into a database: commented, the kernel pure, what governs pinned and guarded, and all gone when it is dropped.
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SELECT plan(67);

CREATE TEMP VIEW members AS
SELECT d.classid, d.objid, pg_describe_object(d.classid, d.objid, 0) AS name
FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
WHERE e.extname = 'revacct' AND d.deptype = 'e'
  -- from PostgreSQL 17 on, the row type of a table is a member beside its table
  AND NOT (d.classid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t WHERE t.oid = d.objid AND t.typtype = 'c'));
CREATE TEMP VIEW functions AS
SELECT p.*, p.oid::regprocedure::text AS signature
FROM pg_proc p JOIN members m ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid;

SELECT ok((SELECT count(*) FROM functions) > 100, 'there are functions to look at');
SELECT is((SELECT count(*) FROM pg_type t JOIN members m ON m.classid = 'pg_type'::regclass AND m.objid = t.oid WHERE t.typcategory <> 'A'), 8::bigint, 'eight types');

-- Comments. PostgreSQL makes array types and operator families by itself: nobody named them, and they mean nothing of their own.
SELECT is_empty($$
    SELECT name FROM members
    WHERE obj_description(objid, classid::regclass::name) IS NULL
      AND NOT (classid = 'pg_type'::regclass AND objid IN (SELECT typarray FROM pg_type))
      AND classid <> 'pg_opfamily'::regclass
    ORDER BY name $$, 'every object has a comment');
SELECT is_empty($$
    SELECT name FROM members WHERE obj_description(objid, classid::regclass::name) !~ '^[A-Z0-9].*\.\s*$'
      AND classid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_class'::regclass, 'pg_namespace'::regclass) ORDER BY name $$, 'comments are sentences');
SELECT is_empty($$
    SELECT attrelid::regclass || '.' || attname FROM pg_attribute JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = attrelid
    JOIN pg_class c ON c.oid = attrelid AND relkind <> 'S'
    WHERE attnum > 0 AND NOT attisdropped AND coalesce(col_description(attrelid, attnum), '') !~ '^[A-Z0-9].*\.\s*$' $$, 'so does every column have one');

-- The kernel: what is written in C, but for the three names of agreed definitions, which depend on tables, and the one that tells who is at work. Pure, and without privileges of its own
CREATE TEMP VIEW kernel AS
SELECT f.* FROM functions f JOIN pg_language l ON l.oid = f.prolang WHERE l.lanname IN ('c', 'internal') AND coalesce(f.prosrc, '') !~ '^revacct_(compiled|in_maintenance)';
SELECT is_empty($$ SELECT signature FROM kernel WHERE provolatile <> 'i' OR proparallel <> 's' OR proconfig IS NOT NULL OR prosecdef $$,
    'every function and aggregate of the kernel is IMMUTABLE and PARALLEL SAFE, changes no settings and runs as its caller');
SELECT is_empty($$ SELECT signature FROM functions WHERE prosrc ~ '^revacct_compiled' AND (provolatile <> 's' OR proparallel <> 's' OR prosecdef) $$, 'agreed definitions are STABLE and PARALLEL SAFE');
-- What reads or writes tables
SELECT is_empty($$ SELECT signature FROM functions WHERE prosecdef AND NOT coalesce('search_path=pg_catalog, revacct, pg_temp' = ANY (proconfig), false) $$, 'every SECURITY DEFINER pins its search_path');
SELECT is_empty($$ SELECT signature FROM functions WHERE prosecdef AND proowner <> (SELECT oid FROM pg_roles WHERE rolname = 'postgres') $$, 'and belongs to the superuser');
SELECT is_empty($$ SELECT nspname FROM pg_namespace WHERE nspname IN ('revacct', 'revacct_data') AND nspowner <> (SELECT oid FROM pg_roles WHERE rolname = 'postgres') $$, 'as do the schemas: nobody else can put a function where these look');
SELECT is_empty($$ SELECT signature FROM functions WHERE coalesce(array_to_string(proconfig, ';'), '') ~ 'by_change' AND (NOT prosecdef OR provolatile <> 'v') $$, 'what writes to the model is VOLATILE SECURITY DEFINER');
SELECT bag_eq($$ SELECT DISTINCT proname::text FROM functions p WHERE coalesce(array_to_string(proconfig, ';'), '') ~ 'by_change' AND has_function_privilege('public', p.oid, 'EXECUTE') $$,
    ARRAY['map_source', 'refresh', 'rebuild_journeys', 'set_minimum_group', 'publish', '_source_number', '_take_in',
          'approve', 'approve_override', 'assign', 'define_calendar', 'define_code', 'define_field_rule', 'define_hygiene', 'define_lifecycle', 'define_metric', 'define_program',
          'define_route', 'define_sla', 'define_sla_target', 'define_stage', 'define_step', 'define_target', 'define_transition', 'draft_change', 'propose_change', 'redraft',
          'register_party', 'reject', 'request_override', 'retire', 'undraft', 'withdraw_change'], 'of what writes, PUBLIC executes these, each of which asks who is calling');
SELECT bag_eq($$ SELECT proname::text FROM functions p WHERE NOT has_function_privilege('public', p.oid, 'EXECUTE') $$,
    ARRAY['grant_access', 'revoke_access', 'link_login', '_put_in_force', '_give_numbers', '_check_change', '_sign', '_lock_model', '_my_draft', '_draft_version', '_retire',
          '_hold_horizon', '_lock_registrations', '_keep_to_owner', '_begin_write', '_register_parties', '_number_names', '_make_partition', '_take_in_events', '_take_in_links', '_take_in_money', '_take_in_commitments', '_refuse_moves', '_moves', '_breaches', '_demand_taken',
          '_identities', '_fold', '_place', '_refresh_figures', '_group_cells', '_judged', '_metric_value'], 'and not these');
SELECT is_empty($$ SELECT signature FROM functions WHERE prosqlbody IS NOT NULL AND proargnames IS NOT NULL AND '' = ANY (proargnames[1:pronargs]) $$,
    'bodies in SQL''s own form have all their parameters named, or none: PostgreSQL writes others down in a way it cannot read, which stops pg_upgrade');
SELECT is_empty($$ SELECT signature FROM functions WHERE prokind <> 'a' AND prolang <> (SELECT oid FROM pg_language WHERE lanname = 'c') AND prosqlbody IS NULL
                   AND NOT coalesce(proconfig && '{"search_path=pg_catalog, revacct, pg_temp", "search_path=pg_catalog, pg_temp"}', false) $$,
    'what is not C has a body that was parsed when it was made, or a pinned path');
SELECT is_empty($$ SELECT signature FROM functions WHERE pronamespace <> 'revacct'::regnamespace $$, 'every function is in schema revacct');
-- Tables
CREATE TEMP VIEW tables AS SELECT c.* FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE c.relkind = 'r';
-- what refresh() makes anew, and what it knows from: in no dump, written by nobody else; and facts, whose rows are too many to be looked at one by one
CREATE TEMP VIEW derived AS SELECT oid, relname FROM tables WHERE obj_description(oid) LIKE 'Derived: %';
CREATE TEMP VIEW fact AS SELECT oid, relname FROM tables
WHERE relname IN ('source', 'load', 'pending_load', 'pending_subject', 'subject', 'subject_link', 'correction', 'money', 'commitment', 'rejected', 'report_setting', 'published');
SELECT is_empty($$ SELECT oid::regclass FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid
                   WHERE relnamespace <> CASE relkind WHEN 'v' THEN relnamespace ELSE 'revacct_data'::regnamespace END $$, 'tables and their sequences are in revacct_data');
SELECT bag_eq($$ SELECT relname::text FROM derived $$, ARRAY['identity', 'journey', 'cell', 'placement', 'pack', 'placed_lifecycle', 'refreshed', 'cell_figure', 'cell_sla_figure', 'report_group', 'funnel_figure',
    'velocity_figure', 'sla_figure', 'open_clock', 'reported_sla'], 'these are derived');
SELECT bag_eq($$ SELECT t.oid::regclass FROM tables t WHERE oid NOT IN (SELECT oid FROM derived) AND relname NOT LIKE 'pending\_%'
                 UNION ALL SELECT c.oid::regclass FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE relkind = 'S' AND relname <> 'cell_cell_id_seq' $$,
    $$ SELECT unnest(extconfig)::regclass FROM pg_extension WHERE extname = 'revacct' $$, 'all others are dumped, but for what refresh() has to do: it begins anew');
SELECT is_empty($$ SELECT c.oid::regclass FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid WHERE relkind = 'p' AND relname <> 'event' $$, 'the ledger is partitioned: its years are no members, and dumped as tables');
SELECT is((SELECT array_agg(DISTINCT c) FROM pg_extension, unnest(extcondition) AS c WHERE extname = 'revacct'), ARRAY[''], 'with all their rows');
SELECT bag_eq($$ SELECT t.oid::regclass::text || ' ' || tgname || ' ' || tgtype FROM tables t JOIN pg_trigger g ON g.tgrelid = t.oid WHERE g.tgfoid = 'revacct._guard'::regproc AND g.tgenabled = CASE tgname WHEN 'guard_end' THEN 'A' ELSE 'O' END $$,
    $$ SELECT oid::regclass::text || g FROM tables, unnest(ARRAY[' guard 62', ' guard_rows 7', ' guard_end 4']) g WHERE relname <> 'escalation'
         AND (g = ' guard 62' OR oid NOT IN (SELECT oid FROM derived)) AND (g <> ' guard_rows 7' OR oid NOT IN (SELECT oid FROM fact)) $$, 'all tables of the model are guarded');
SELECT is((SELECT string_agg(tgname || ' ' || tgtype || ' ' || tgenabled::text, ', ' ORDER BY tgname) FROM pg_trigger WHERE tgrelid = 'revacct_data.event'::regclass AND NOT tgisinternal), 'guard 62 O, guard_end 4 A', 'and the ledger');
SELECT is_empty($$ SELECT oid::regclass, p.privilege FROM tables, unnest('{SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER}'::text[]) AS p (privilege)
                   WHERE has_table_privilege('public', oid, p.privilege) $$, 'PUBLIC has nothing to do with them');
SELECT ok(NOT has_schema_privilege('public', 'revacct_data', 'USAGE, CREATE'), 'nor with their schema');
SELECT col_is_pk('revacct_data', 'escalation', ARRAY['sla', 'subject', 'counting_since', 'step'], 'an escalation is recorded once');
-- Views, by the rules for what tools read
CREATE TEMP VIEW columns AS
SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type FROM pg_class c JOIN members m ON m.classid = 'pg_class'::regclass AND m.objid = c.oid JOIN pg_attribute a ON a.attrelid = c.oid
WHERE c.relkind = 'v' AND c.relnamespace = 'revacct'::regnamespace AND a.attnum > 0;
SELECT ok((SELECT count(DISTINCT relname) FROM columns) >= 6, 'there are views');
SELECT is_empty($$ SELECT * FROM columns WHERE type !~ '^(text|bigint|integer|boolean|date|timestamp with time zone|numeric\(.*)$' $$, 'their columns are of types that every tool reads');
SELECT is_empty($$ SELECT * FROM columns WHERE length(attname) > 30 OR attname !~ '^[a-z_0-9]+$' OR attname IN (SELECT word FROM pg_get_keywords() WHERE catcode = 'R') $$, 'and named so that none has to be quoted');

-- Types: plain ones
SELECT is_empty($$
    SELECT signature FROM functions p
    WHERE proname !~ '_recv$' AND ('internal'::regtype = ANY (proargtypes) OR prorettype = 'internal'::regtype) $$, 'no internal outside of recv');
SELECT is_empty($$
    SELECT signature FROM functions p, unnest(proargtypes || prorettype) t
    WHERE t::regtype::text ~ '^any' OR t = 'record'::regtype AND proargmodes IS NULL $$, 'no polymorphic types, no anonymous records');

-- Aggregates
SELECT is((SELECT count(*) FROM functions WHERE prokind = 'a'), 20::bigint, 'the aggregates');
SELECT is_empty($$ SELECT p.signature FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE a.aggcombinefn = 0 $$, 'every aggregate has a combine function');
SELECT is_empty($$
    SELECT p.signature FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid JOIN pg_type t ON t.oid = a.aggtranstype
    WHERE t.typtype = 'p' OR a.aggtranstype NOT IN (SELECT objid FROM members WHERE classid = 'pg_type'::regclass) $$, 'every state is of a type of ours');
SELECT is_empty($$
    SELECT p.signature FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid
    WHERE a.aggfinalextra OR a.aggmfinalextra OR a.aggserialfn <> 0 OR a.aggdeserialfn <> 0 OR a.aggmtransfn <> 0 OR a.agginitval IS NOT NULL $$,
    'no FINALFUNC_EXTRA, serialization, moving state or initial value');
SELECT is_empty($$ SELECT p.signature FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE a.aggfinalmodify <> 'r' OR a.aggkind <> 'n' $$,
    'final functions leave the state as it is, so aggregates can be windows');
SELECT is_empty($$ SELECT p.signature FROM functions p JOIN pg_aggregate a ON a.aggfnoid = p.oid WHERE a.aggtransspace = 0 $$, 'every aggregate says how large its state is');

-- Helpers
SELECT is_empty($$
    SELECT DISTINCT f.signature FROM functions f, pg_aggregate a
    WHERE f.oid IN (a.aggtransfn, a.aggcombinefn, a.aggfinalfn) AND f.proname !~ '^_' $$, 'functions behind aggregates begin with an underscore');
SELECT is_empty($$
    SELECT signature FROM kernel f
    WHERE proname ~ '^_' AND proname NOT IN ('_lifecycle_name', '_calendar_name', '_key_names', '_first_at', '_first_value', '_last_value', '_last_mark') AND NOT EXISTS (SELECT FROM pg_aggregate a WHERE f.oid IN (a.aggtransfn, a.aggcombinefn, a.aggfinalfn)) $$,
    'every function of the kernel with an underscore stands behind an aggregate, but for those that views and functions ask');
SELECT is_empty($$
    SELECT signature FROM functions f
    WHERE prokind = 'f' AND proname ~ '^(business_calendar|lifecycle|journey|journey_pack|funnel_summary|velocity_summary|breach_summary)_|^sla_(in|out|recv|send|eq|ne|lt|le|gt|ge|cmp|hash|hash_extended)$'
      AND NOT EXISTS (SELECT FROM pg_type t WHERE f.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend))
      AND NOT EXISTS (SELECT FROM pg_operator o WHERE o.oprcode = f.oid)
      AND NOT EXISTS (SELECT FROM pg_amproc a WHERE a.amproc = f.oid) $$, 'functions named after a type read, write or compare it');
SELECT is_empty($$ SELECT signature FROM functions WHERE length(proname) > 30 $$, 'names of at most 30 characters');
SELECT is_empty($$ SELECT name FROM members m JOIN pg_type t ON t.oid = m.objid AND m.classid = 'pg_type'::regclass
                   WHERE typcategory <> 'A' AND (typreceive = 0 OR typsend = 0 OR typalign <> 'd' OR typlen <> -1) $$, 'every type has a binary form');
-- the operators
SELECT is_empty($$
    SELECT name FROM members m JOIN pg_operator o ON o.oid = m.objid AND m.classid = 'pg_operator'::regclass
    WHERE oprcom = 0 OR oprnegate = 0 OR oprrest = 0 OR oprjoin = 0 $$, 'every operator has commutator, negator and estimators');
SELECT bag_eq($$ SELECT o.opcname::text, a.amname::text FROM members m JOIN pg_opclass o ON o.oid = m.objid AND m.classid = 'pg_opclass'::regclass JOIN pg_am a ON a.oid = o.opcmethod $$,
    $$ VALUES ('journey_ops', 'btree'), ('journey_ops', 'hash'), ('business_calendar_ops', 'hash'), ('lifecycle_ops', 'hash'), ('sla_ops', 'hash') $$, 'journeys can be sorted and hashed, definitions hashed');
SELECT ok(amvalidate(o.oid), 'operator class ' || o.opcname || ' for ' || a.amname || ' is valid')
FROM pg_opclass o JOIN members m ON o.oid = m.objid AND m.classid = 'pg_opclass'::regclass JOIN pg_am a ON a.oid = o.opcmethod ORDER BY a.amname, o.opcname;
SELECT is((SELECT count(*) FROM pg_description WHERE description LIKE '%' || chr(9) || '%' AND objoid IN (SELECT objid FROM members)), 0::bigint, 'no tabs in comments');

-- An ordinary role
CREATE ROLE revacct_test_reader;
GRANT USAGE ON SCHEMA revacct TO revacct_test_reader;
SET LOCAL ROLE revacct_test_reader;
SET LOCAL search_path = public;
SELECT lives_ok($$ SELECT revacct.stages(revacct.funnel_conversion(j, l, '2025-02-01')), revacct.stages(revacct.stage_velocity(j, l, '2025-02-01'))
                   FROM (SELECT revacct.journey(m, '2025-01-01'::timestamptz + m * interval '1 day') AS j FROM generate_series(1, 2) m) t,
                        (SELECT revacct.lifecycle('a', stages => '{x, y}') AS l) d $$, 'a role with USAGE on the schema can do everything, without the schema in its path');
SELECT is((SELECT revacct.median(revacct.stage_velocity('{1@2025-01-01T00:00:00Z, 2@2025-01-02T00:00:00Z}'::revacct.journey, revacct.lifecycle('a', stages => '{x, y}'), '2025-02-01'), 'x')),
    interval '1 day', 'a function written in SQL finds its parts too');
SELECT is((SELECT revacct.breached(revacct.sla_breach(j, s, '2025-03-04')) FROM (SELECT revacct.journey(1, '2025-03-03') AS j) t, (SELECT revacct.sla('s', start => '{a}', stop => '{b}', target => '1 hour') AS s) d), 1::bigint, 'SLAs too');
SELECT throws_ok($$ SELECT revacct.raise_escalations('one', '{1@2025-03-03T00:00:00Z}', revacct.sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{breach to x}'), '2025-03-04') $$, '42501', NULL, 'all but recording');
RESET ROLE;
SET LOCAL search_path = public, revacct;
REVOKE USAGE ON SCHEMA revacct FROM revacct_test_reader;
SET LOCAL ROLE revacct_test_reader;
SELECT throws_ok($$ SELECT revacct.lifecycle('a', stages => '{x, y}') $$, '42501', NULL, 'without USAGE it cannot');
RESET ROLE;

-- The owner of a database, who is no superuser, installs it: the control file says trusted
SELECT is((SELECT trusted FROM pg_available_extension_versions WHERE name = 'revacct' AND version = (SELECT default_version FROM pg_available_extensions WHERE name = 'revacct')),
    true, 'the extension is trusted');
SELECT is((SELECT superuser AND NOT relocatable AND schema = 'pg_catalog' FROM pg_available_extension_versions WHERE name = 'revacct' AND installed), true, 'whose schemas are its own, made by its script');

DROP VIEW columns;
DROP VIEW fact;
DROP VIEW derived;
DROP VIEW tables;
DROP VIEW kernel;
DROP VIEW functions;
DROP VIEW members;
DROP EXTENSION revacct;
SELECT hasnt_extension('revacct', 'dropped');
SELECT is_empty($$ SELECT 'type ' || typname FROM pg_type WHERE typname ~ '(business_calendar|lifecycle|journey|_summary|^_?sla$|escalation)' AND typname !~ '^pg_' UNION ALL
                   SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname IN ('revacct', 'revacct_data') UNION ALL SELECT 'relation ' || relname FROM pg_class WHERE relname ~ '^escalation' UNION ALL
                   SELECT 'function ' || proname FROM pg_proc WHERE probin ~ 'revacct' UNION ALL SELECT 'function ' || proname FROM pg_proc WHERE pronamespace = to_regnamespace('revacct') UNION ALL
                   SELECT 'operator class ' || opcname FROM pg_opclass WHERE opcname ~ '(calendar|lifecycle|journey|sla)_ops' UNION ALL
                   SELECT 'family ' || opfname FROM pg_opfamily WHERE opfname ~ '(calendar|lifecycle|journey|sla)_ops' UNION ALL
                   SELECT 'description ' || objoid FROM pg_description WHERE description ~ '(journey|[Bb]usiness calendar|SLA|[Ee]scalation)' $$, 'nothing of it is left');
SELECT lives_ok('CREATE EXTENSION revacct CASCADE', 'and it can be made again');
SELECT is((SELECT count(*) FROM pg_proc WHERE pronamespace = 'revacct'::regnamespace), (SELECT count(*) FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid WHERE extname = 'revacct' AND classid = 'pg_proc'::regclass AND d.deptype = 'e'),
    'with all its functions');
DROP EXTENSION revacct;
DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO revacct_test_reader', current_database()); END $$;
SET LOCAL ROLE revacct_test_reader;
SELECT lives_ok('CREATE EXTENSION revacct CASCADE', 'a role that may create in the database, but is no superuser, creates it');
SELECT is((SELECT extowner::regrole::text FROM pg_extension WHERE extname = 'revacct'), 'revacct_test_reader', 'and owns it');
SELECT is(revacct.mark(revacct.lifecycle('a', stages => '{x, y}'), 'y'), 2, 'and uses it');
SELECT results_eq($$ SELECT step FROM revacct.raise_escalations('one', '{1@2025-03-03T00:00:00Z}', revacct.sla('s', start => '{a}', stop => '{b}', target => '1 hour', escalations => '{breach to x}'), '2025-03-04') $$, $$ VALUES ('breach to x') $$, 'and raises escalations');
SELECT results_eq('SELECT subject, raised_by FROM revacct_data.escalation', $$ SELECT 'one'::text, session_user::text COLLATE "default" $$, 'and reads which were');
SELECT lives_ok('DROP EXTENSION revacct', 'and drops it');
RESET ROLE;

SELECT * FROM finish();
ROLLBACK;
