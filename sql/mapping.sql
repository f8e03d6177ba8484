--
-- mapping.sql: how tables that were landed from other systems are read as facts.
--

CREATE FUNCTION _fact_columns(fact text)
RETURNS TABLE (name text, type regtype, is_needed boolean)
LANGUAGE SQL IMMUTABLE
BEGIN ATOMIC
    SELECT c.name, c.type::regtype, c.is_needed
    FROM (VALUES
        ('event', 'subject_kind', 'text', true), ('event', 'subject_key', 'text', true), ('event', 'event', 'text', true), ('event', 'occurred_at', 'timestamptz', true),
        ('event', 'source_key', 'text', true), ('event', 'lifecycle', 'text', false), ('event', 'stage', 'text', false), ('event', 'field', 'text', false), ('event', 'code', 'text', false),
        ('event', 'code_list', 'text', false), ('event', 'party', 'text', false), ('event', 'actor', 'text', false), ('event', 'amount', 'numeric', false), ('event', 'currency', 'text', false),
        ('event', 'program', 'text', false), ('event', 'seq', 'bigint', false), ('event', 'value', 'bigint', false), ('event', 'corrects', 'text', false), ('event', 'details', 'jsonb', false),
        ('link', 'from_source', 'text', false), ('link', 'from_kind', 'text', true), ('link', 'from_key', 'text', true), ('link', 'to_source', 'text', false), ('link', 'to_kind', 'text', true),
        ('link', 'to_key', 'text', true), ('link', 'role', 'text', true), ('link', 'valid_from', 'timestamptz', false), ('link', 'valid_until', 'timestamptz', false),
        ('link', 'share', 'numeric', false), ('link', 'source_key', 'text', false),
        ('money', 'source_key', 'text', true), ('money', 'kind', 'text', true), ('money', 'subject_kind', 'text', false), ('money', 'subject_key', 'text', false), ('money', 'program', 'text', false),
        ('money', 'party', 'text', false), ('money', 'starts_on', 'date', true), ('money', 'ends_on', 'date', false), ('money', 'amount', 'numeric', true), ('money', 'currency', 'text', true),
        ('money', 'corrects', 'text', false),
        ('commitment', 'source_key', 'text', true), ('commitment', 'kind', 'text', true), ('commitment', 'subject_kind', 'text', false), ('commitment', 'subject_key', 'text', false),
        ('commitment', 'from_party', 'text', false), ('commitment', 'to_party', 'text', false), ('commitment', 'promised', 'text', false), ('commitment', 'amount', 'numeric', false),
        ('commitment', 'due_at', 'timestamptz', false), ('commitment', 'delivered_at', 'timestamptz', false), ('commitment', 'outcome', 'text', false),
        ('commitment', 'verified_by', 'text', false), ('commitment', 'metric', 'text', false), ('commitment', 'corrects', 'text', false)) AS c (fact, name, type, is_needed)
    WHERE c.fact = _fact_columns.fact;
END;
COMMENT ON FUNCTION _fact_columns(text) IS 'The columns in which a relation tells facts of a kind (event, link, money or commitment), their types, and whether they must be there.';

CREATE FUNCTION _check_mapping(fact text, relation regclass)
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    bad record;
BEGIN
    IF relation IS NULL THEN
        RETURN NULL;
    END IF;
    SELECT c.name INTO bad
    FROM _fact_columns(fact) AS c
    WHERE c.is_needed AND NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'relation "%" has no column %', relation, bad.name
            USING ERRCODE = 'undefined_column',
                  DETAIL = format('A relation of %s facts has the columns %s.', fact, (SELECT string_agg(c.name || CASE WHEN c.is_needed THEN '' ELSE ' (optional)' END, ', ') FROM _fact_columns(fact) AS c)),
                  HINT = 'Make a view that names them so: suggest_mapping() writes a first one.';
    END IF;
    -- A time without a zone would be read in the zone of whoever loads.
    SELECT a.attname, a.atttypid::regtype AS type INTO bad
    FROM _fact_columns(fact) AS c JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.name AND NOT a.attisdropped
    WHERE (c.type = 'timestamptz'::regtype AND a.atttypid <> 'timestamptz'::regtype) OR (c.type IN ('numeric'::regtype, 'bigint'::regtype, 'date'::regtype) AND a.atttypid = 'text'::regtype)
       OR (c.type = 'jsonb'::regtype AND a.atttypid <> 'jsonb'::regtype) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'column % of relation "%" is of type %', bad.attname, relation, bad.type
            USING ERRCODE = 'datatype_mismatch', DETAIL = format('It is to be %s.', (SELECT c.type FROM _fact_columns(fact) AS c WHERE c.name = bad.attname)),
                  HINT = CASE WHEN bad.type IN ('timestamp'::regtype, 'date'::regtype) THEN format('Say in which time zone: (%I::timestamp AT TIME ZONE ''UTC'') AS %I.', bad.attname, bad.attname)
                              ELSE 'Cast it in a view.' END;
    END IF;
    RETURN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation);
END $$;
COMMENT ON FUNCTION _check_mapping(text, regclass) IS
'Can a relation be read as facts of a kind? Returns its full name.
Errors: undefined_column (42703), datatype_mismatch (42804).';

CREATE FUNCTION map_source(
    source text, events regclass DEFAULT NULL, links regclass DEFAULT NULL, money regclass DEFAULT NULL, commitments regclass DEFAULT NULL, priority int DEFAULT 100)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _demand_access('{loader, steward, council}', 'map sources'), _source_number(source);
    UPDATE revacct_data.source AS s
    SET events = _check_mapping('event', map_source.events), links = _check_mapping('link', map_source.links), money = _check_mapping('money', map_source.money),
        commitments = _check_mapping('commitment', map_source.commitments), priority = map_source.priority, mapped_by = session_user, mapped_at = clock_timestamp()
    WHERE s.source = map_source.source;
END $$;
COMMENT ON FUNCTION map_source(text, regclass, regclass, regclass, regclass, int) IS
'Says in which relations (tables, views) load() finds the facts of a source, as in map_source(''crm'', events => ''crm.events''). Which columns they must have, an error tells, and docs/facts.md. priority: whom to believe when sources differ and no rule on the field says; the lowest number. Mapping again replaces it. For loaders, stewards and the council.
Errors: undefined_column (42703), datatype_mismatch (42804), insufficient_privilege (42501).';

CREATE FUNCTION _mapped(source text)
RETURNS TABLE (fact text, relation text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF NOT _sees_all() THEN
        PERFORM _demand_access('{loader, steward, council}', 'record facts');
    END IF;
    IF NOT EXISTS (SELECT FROM revacct_data.source AS s WHERE s.source = _mapped.source AND num_nonnulls(s.events, s.links, s.money, s.commitments) > 0) THEN
        RAISE EXCEPTION 'source "%" is not mapped', _mapped.source
            USING ERRCODE = 'undefined_object',
                  DETAIL = format('Mapped are: %s.', coalesce((SELECT string_agg(s.source, ', ' ORDER BY s.source) FROM revacct_data.source AS s WHERE num_nonnulls(s.events, s.links, s.money, s.commitments) > 0), 'none')),
                  HINT = 'Map it: map_salesforce(), map_hubspot(), map_zendesk(), map_odoo(), or map_source() for any other.';
    END IF;
    RETURN QUERY
    SELECT f.fact, f.relation
    FROM revacct_data.source AS s, LATERAL (VALUES (1, 'event', s.events), (2, 'link', s.links), (3, 'money', s.money), (4, 'commitment', s.commitments)) AS f (no, fact, relation)
    WHERE s.source = _mapped.source AND f.relation IS NOT NULL ORDER BY f.no;
END $$;
COMMENT ON FUNCTION _mapped(text) IS 'The relations of a source. Runs with its owner''s rights: loaders have none on the tables.';

CREATE FUNCTION _open_reading(source text, fact text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    beneath regclass;
    relation constant regclass := (SELECT m.relation FROM _mapped(source) AS m WHERE m.fact = fact);
BEGIN
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'mapped relations are read in read committed transactions'
            USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This one is %s.', current_setting('transaction_isolation')),
                  HINT = 'An older snapshot would not see what the planner sees: indexes, partitions and statistics made since.';
    ELSIF current_setting('transaction_read_only')::boolean THEN
        RAISE EXCEPTION 'mapped relations are not read in read-only transactions'
            USING ERRCODE = 'read_only_sql_transaction', HINT = 'They are read through a temporary view.';
    END IF;
    IF relation IS NULL THEN
        RAISE EXCEPTION 'source "%" is mapped to no relation of such facts', source USING ERRCODE = 'undefined_table', DETAIL = format('Asked was for: %s.', fact);
    END IF;
    DROP VIEW IF EXISTS pg_temp.revacct_reading;
    -- Made with the owner's rights, and of a name that we know to be one; read with the caller's. What the name means is settled here:
    -- it may mean something else as soon as somebody renames a schema, which no lock prevents.
    EXECUTE format('CREATE TEMPORARY VIEW revacct_reading WITH (security_invoker) AS SELECT %s FROM %s',
                   (SELECT string_agg(quote_ident(c.name), ', ') FROM _fact_columns(fact) AS c
                    WHERE EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = c.name AND a.attnum > 0 AND NOT a.attisdropped)), relation);
    -- Neither index, statistics nor partition comes to a table between the look at it and the reading. In one order: loads do not deadlock.
    FOR beneath IN
        WITH RECURSIVE r (oid) AS (
            SELECT 'pg_temp.revacct_reading'::regclass::oid
            UNION
            SELECT n.oid
            FROM r CROSS JOIN LATERAL (
                SELECT d.refobjid FROM pg_rewrite AS w JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass WHERE w.ev_class = r.oid
                UNION ALL
                SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = r.oid) AS n (oid)
        )
        SELECT c.oid FROM r JOIN pg_class AS c USING (oid) WHERE c.relkind IN ('r', 'p') AND c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'revacct_data'::regnamespace) ORDER BY c.oid
    LOOP
        EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE', beneath);
    END LOOP;
    GRANT SELECT ON pg_temp.revacct_reading TO PUBLIC;
END $$;
COMMENT ON FUNCTION _open_reading(text, text) IS 'Makes the temporary view revacct_reading, of the relation that a source is mapped to: what is checked is then what is read. Runs with its owner''s rights: the caller may not be one who can make temporary relations.';

CREATE FUNCTION _close_reading()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET client_min_messages = 'warning'
AS $$
BEGIN
    -- or nobody could drop what it reads while this session lasts
    DROP VIEW IF EXISTS pg_temp.revacct_reading;
END $$;
COMMENT ON FUNCTION _close_reading() IS 'Drops the temporary view revacct_reading. Runs with its owner''s rights: the view is its owner''s.';

CREATE FUNCTION _demand_own(relation regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    foreign_code record;
BEGIN
    -- as it is now, and all beneath, until the end of the transaction
    EXECUTE format('LOCK TABLE %s IN ACCESS SHARE MODE', relation);
    -- Whoever reads a view runs its functions, and those that indexes, constraints, statistics and partitions of a table call: the planner looks at them.
    -- Those of somebody else's would do as they like with the reader's rights.
    WITH RECURSIVE beneath (oid) AS (
        SELECT relation::oid
        UNION
        SELECT n.oid
        FROM beneath AS b CROSS JOIN LATERAL (
            SELECT d.refobjid FROM pg_rewrite AS r JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass WHERE r.ev_class = b.oid
            UNION ALL
            SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = b.oid) AS n (oid)
    ), expression (classid, objid) AS (
        SELECT 'pg_class'::regclass, b.oid FROM beneath AS b
        UNION ALL SELECT 'pg_class'::regclass, a.relid FROM beneath AS b, pg_partition_ancestors(b.oid) AS a
        UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM beneath AS b JOIN pg_rewrite AS r ON r.ev_class = b.oid
        UNION ALL SELECT 'pg_class'::regclass, x.indexrelid FROM beneath AS b JOIN pg_index AS x ON x.indrelid = b.oid
        UNION ALL SELECT 'pg_constraint'::regclass, k.oid FROM beneath AS b JOIN pg_constraint AS k ON k.conrelid = b.oid
        UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid FROM beneath AS b JOIN pg_statistic_ext AS s ON s.stxrelid = b.oid
        UNION ALL SELECT 'pg_policy'::regclass, p.oid FROM beneath AS b JOIN pg_policy AS p ON p.polrelid = b.oid
    ), code (name, owner) AS (
        -- policies of a table are read with it, whatever they call
        SELECT format('relation %s', c.oid::regclass), c.relowner FROM beneath AS b JOIN pg_class AS c ON c.oid = b.oid WHERE c.relkind = 'v' OR c.relrowsecurity
        UNION ALL
        SELECT format('function %s', p.oid::regprocedure), p.proowner
        FROM expression AS e JOIN pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid AND d.refclassid = 'pg_proc'::regclass JOIN pg_proc AS p ON p.oid = d.refobjid
        UNION ALL
        SELECT format('operator %s', o.oid::regoperator), o.oprowner
        FROM expression AS e JOIN pg_depend AS d ON d.classid = e.classid AND d.objid = e.objid AND d.refclassid = 'pg_operator'::regclass JOIN pg_operator AS o ON o.oid = d.refobjid
        UNION ALL
        -- types of somebody's own are cast on the way in
        SELECT format('type %s', t.oid::regtype), t.typowner FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    )
    SELECT c.name, o.rolname AS owner INTO foreign_code
    FROM code AS c JOIN pg_roles AS o ON o.oid = c.owner
    WHERE o.rolname <> current_user AND NOT o.rolsuper AND o.oid <> (SELECT d.datdba FROM pg_database AS d WHERE d.datname = current_database())
      AND ((SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) OR NOT pg_has_role(current_user, o.oid, 'MEMBER'))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% belongs to role "%"', foreign_code.name, foreign_code.owner
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('Whatever it calls would run with the rights of "%s".', current_user),
                  HINT = format('Load as "%s", as a member of it that is no superuser, or map a table of your own that holds a copy.', foreign_code.owner);
    END IF;
END $$;
COMMENT ON FUNCTION _demand_own(regclass) IS 'Refuses to read with the rights of the current role what runs code of somebody else''s: views, policies, functions and operators in views, indexes, constraints, statistics and partition keys, types. They may belong to this role, to one that this role is a member of, to the owner of the database, or to a superuser.';

CREATE FUNCTION load(source text)
RETURNS TABLE (fact text, rows_read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp SET jit = off
AS $$
#variable_conflict use_variable
DECLARE
    mapped record;
    columns text;
BEGIN
    PERFORM _demand_access('{loader, steward, council}', 'record facts');
    FOR mapped IN SELECT m.fact, m.relation FROM _mapped(source) AS m LOOP
        IF to_regclass(mapped.relation) IS NULL THEN
            RAISE EXCEPTION 'relation % does not exist', mapped.relation
                USING ERRCODE = 'undefined_table', DETAIL = format('Source "%s" is mapped to it.', source), HINT = 'Make it again, or map the source anew.';
        END IF;
        PERFORM _check_mapping(mapped.fact, mapped.relation::regclass), _open_intake(mapped.fact), _open_reading(source, mapped.fact);
        PERFORM _demand_own('pg_temp.revacct_reading'::regclass), _check_mapping(mapped.fact, 'pg_temp.revacct_reading'::regclass);
        SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns FROM pg_attribute AS a WHERE a.attrelid = 'pg_temp.revacct_reading'::regclass AND a.attnum > 0;
        -- with the rights of whoever loads: the owner's are not for views of others
        EXECUTE format('INSERT INTO pg_temp.revacct_incoming_%s (%s) SELECT %s FROM pg_temp.revacct_reading', mapped.fact, columns, columns);
        PERFORM _close_reading();
        fact := mapped.fact;
        SELECT t.read, t.loaded, t.known, t.rejected INTO rows_read, loaded, known, rejected FROM _take_in(source, mapped.fact, true) AS t;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION load(text) IS
'Reads the mapped relations of a source, with the rights of the caller, and records what is new, a row for each kind of fact: rows_read; loaded; known, which were on record already and change nothing; rejected, which are set aside with the reason in the view rejected_facts. Nothing is loaded twice. For loaders, stewards and the council.
Errors: undefined_object (42704), undefined_table (42P01), undefined_column (42703), insufficient_privilege (42501), invalid_transaction_state (25000).';
