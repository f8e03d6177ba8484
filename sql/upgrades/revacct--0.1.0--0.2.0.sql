-- From revacct 0.1.0 to 0.2.0. Written by scripts/draft-upgrade.

-- complain if script is sourced in psql, rather than via ALTER EXTENSION
\echo Use "ALTER EXTENSION revacct UPDATE TO '0.2.0'" to load this file. \quit

SET LOCAL search_path = revacct, pg_temp;

DO $$
DECLARE
    stale record;
BEGIN
    FOR stale IN
        WITH RECURSIVE uses (classid, objid) AS (
            SELECT 'pg_proc'::pg_catalog.regclass::pg_catalog.oid, p.oid FROM pg_catalog.pg_proc AS p
            WHERE p.pronamespace = 'revacct'::pg_catalog.regnamespace AND p.proname IN ('journeys', 'funnel_of', 'velocity_of', 'breaches_of', 'metric_value', 'restate', 'verify_published', 'check_journeys')
            UNION ALL SELECT 'pg_class'::pg_catalog.regclass, 'revacct.exceptions'::pg_catalog.regclass
            UNION SELECT 'pg_class'::pg_catalog.regclass, r.ev_class
            FROM uses AS u JOIN pg_catalog.pg_depend AS d ON d.refclassid = u.classid AND d.refobjid = u.objid AND d.classid = 'pg_rewrite'::pg_catalog.regclass
                 JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
        )
        SELECT DISTINCT c.oid::pg_catalog.regclass AS name FROM uses AS u JOIN pg_catalog.pg_class AS c ON u.classid = 'pg_class'::pg_catalog.regclass AND c.oid = u.objid WHERE c.relkind = 'm'
    LOOP
        RAISE WARNING 'materialized view % can no longer be refreshed', stale.name
            USING DETAIL = 'It asks what only those may ask who have the level for it, and would ask for whoever refreshes it.', HINT = 'Make a table of it.';
    END LOOP;
END $$;

SET LOCAL default_tablespace = '';

CREATE OR REPLACE FUNCTION median(summary velocity_summary, stage text)
RETURNS interval
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE COST 100
BEGIN ATOMIC
    SELECT quantile(summary, stage, 0.5);
END;

COMMENT ON FUNCTION object_key(text[]) IS
E'The key of a definition: its names, joined by slashes; a slash in a name is written \\/. The key of stage mql in lifecycle inbound is inbound/mql.';

CREATE OR REPLACE FUNCTION _in_maintenance()
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_in_maintenance'
LANGUAGE C STABLE PARALLEL SAFE;

COMMENT ON FUNCTION _in_maintenance() IS
'Whether this runs because somebody maintains a table or view: ANALYZE, REINDEX, REFRESH MATERIALIZED VIEW and the like, and autovacuum. Expressions in it are of the owner''s making, and the session''s user need not know them: what they ask is not that user''s asking.';

COMMENT ON COLUMN revacct_data.version.version_no IS 'The first, second, third... approved version of its definition; NULL unless approved.';

CREATE OR REPLACE FUNCTION _guard()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp SET standard_conforming_strings = 'on'
AS $$
DECLARE
    is_copy constant boolean := TG_OP = 'INSERT' AND current_query() ~* E'^\\s*COPY\\s';
    is_empty boolean;
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        IF current_setting('revacct.restoring', true) = 'on' THEN
            PERFORM set_config('session_replication_role', 'origin', true), set_config('revacct.restoring', 'off', true);
        ELSIF is_copy AND NOT (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
            -- where rows have no guard of their own
            EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', TG_RELID::regclass) INTO is_empty;
            IF NOT is_empty THEN
                RAISE EXCEPTION 'COPY into table "%" is not how facts are recorded', TG_TABLE_NAME
                    USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Use load() and the functions record_...';
            END IF;
        END IF;
        RETURN NULL;
    END IF;
    -- The first condition can be forged, the second cannot: only functions of the table's owner run as its owner. Those decide by the session's user, who
    -- did not ask for anything where an index or a materialized view of somebody's calls them.
    IF NOT _in_maintenance() AND current_setting('revacct.by_change', true) = 'on'
       AND current_user = (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = TG_RELID) THEN
        RETURN NEW;
    ELSIF is_copy AND (SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user) THEN
        IF TG_LEVEL = 'ROW' THEN
            RETURN NEW;
        END IF;
        -- not its size: a restore that broke off leaves dead rows
        EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s)', TG_RELID::regclass) INTO is_empty;
        IF is_empty THEN
            -- pg_restore with several jobs knows no order among the tables of an extension: their foreign keys sleep until the end of this COPY
            PERFORM set_config('session_replication_role', 'replica', true), set_config('revacct.restoring', 'on', true);
            RETURN NEW;
        END IF;
    ELSIF is_copy AND TG_LEVEL = 'STATEMENT' THEN
        RETURN NEW;  -- the dump of an empty table has no rows, and whoever restores it does no harm
    END IF;
    RAISE EXCEPTION '% on table "%" is not how the model is changed', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = 'What is defined comes into force, and ends, only through a change that its owners approved.',
              HINT = 'Draft a change: SELECT draft_change(''why''), then define_...(), assign() or retire(), then propose_change(). '
                     'A dump is restored by a superuser, into empty tables.';
END $$;

CREATE OR REPLACE FUNCTION _has_access(levels text[])
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- By membership alone: a superuser is a member of everything only in the eyes of pg_has_role().
    WITH RECURSIVE belongs (oid) AS (
        SELECT oid FROM pg_roles WHERE rolname = session_user
        UNION
        -- from PostgreSQL 16 on, who merely administers a role neither inherits from it nor becomes it
        SELECT m.roleid FROM pg_auth_members AS m JOIN belongs AS b ON m.member = b.oid, LATERAL (SELECT to_jsonb(m) AS option) AS o
        WHERE coalesce((o.option ->> 'inherit_option')::boolean, true) OR coalesce((o.option ->> 'set_option')::boolean, true)
    )
    SELECT EXISTS (
        SELECT FROM belongs AS b JOIN pg_roles AS r ON r.oid = b.oid JOIN revacct_data.access AS a ON a.db_role = r.rolname::text
        WHERE a.level = ANY (levels)
              -- what grant_access() granted goes with a role; the name may be another's since
              AND EXISTS (SELECT FROM pg_class AS c, aclexplode(c.relacl) AS p WHERE p.grantee = b.oid AND p.privilege_type = 'SELECT'
                          AND c.oid = CASE WHEN a.level IN ('analyst', 'steward', 'council') THEN 'revacct_data.access'::regclass ELSE to_regclass('revacct.rejected_facts') END));
END;

CREATE OR REPLACE FUNCTION _demand_access(levels text[], what text)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF _in_maintenance() THEN
        RAISE EXCEPTION 'nobody may % in the middle of maintenance', what
            USING ERRCODE = 'insufficient_privilege', DETAIL = 'What maintains a table or materialized view runs what its owner wrote, whoever maintains it.',
                  HINT = 'Materialized views can be of the views of revacct, and of its aggregates over tables.';
    ELSIF NOT _has_access(levels) THEN
        RAISE EXCEPTION 'role "%" may not %', session_user, what
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It needs the access level %s.', array_to_string(levels, ' or ')),
                  HINT = format('The administrator grants it: SELECT grant_access(%L, %L).', levels[1], session_user);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION grant_access(level text, db_role regrole)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    -- as GRANT wants it, whatever is in the caller's path
    grantee constant text := quote_ident((SELECT rolname FROM pg_roles WHERE oid = db_role));
BEGIN
    IF level IS NULL OR level NOT IN ('reader', 'analyst', 'steward', 'council', 'loader') THEN
        RAISE EXCEPTION 'unknown access level: %', coalesce(level, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'The levels are reader, analyst, steward, council and loader.';
    END IF;
    IF grantee IS NULL THEN
        RAISE EXCEPTION 'role % does not exist', coalesce(db_role::text, 'NULL') USING ERRCODE = 'undefined_object';
    END IF;

    -- Levels of a role that is gone, whose name this one has: what was granted went with it, as _has_access() knows.
    DELETE FROM revacct_data.access AS a
    WHERE a.db_role = (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = grant_access.db_role)
      AND NOT EXISTS (SELECT FROM pg_class AS c, aclexplode(c.relacl) AS p WHERE p.grantee = grant_access.db_role AND p.privilege_type = 'SELECT'
                      AND c.oid = CASE WHEN a.level IN ('analyst', 'steward', 'council') THEN 'revacct_data.access'::regclass ELSE 'revacct.rejected_facts'::regclass END);

    -- The name of a role is all that is put into these statements, and quoted.
    EXECUTE format('GRANT USAGE ON SCHEMA revacct TO %s', grantee);
    IF level <> 'loader' THEN
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA revacct TO %s', grantee);
    ELSE
        EXECUTE format('GRANT SELECT ON revacct.rejected_facts TO %s', grantee);
    END IF;
    IF level IN ('analyst', 'steward', 'council') THEN
        EXECUTE format('GRANT USAGE ON SCHEMA revacct_data TO %s', grantee);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA revacct_data TO %s', grantee);
    END IF;

    INSERT INTO revacct_data.access VALUES ((SELECT rolname FROM pg_roles WHERE oid = db_role), level, session_user, clock_timestamp())
    ON CONFLICT DO NOTHING;
END $$;

COMMENT ON FUNCTION draft_change(text, timestamptz, timestamptz, boolean) IS
'Begins a change, says why, and returns its number; define_...(), assign() and retire() then fill it, and propose_change() puts it before the owners. Anyone may draft. effective_at: from when it is valid (NULL: from its approval). effective_until: until when; NULL: for good, and refused if something later is agreed already; infinity: for good, whatever is. retroactive: it is effective from before its approval.
Errors: invalid_parameter_value (22023), check_violation (23514).';

CREATE OR REPLACE FUNCTION _draft_version(change_id bigint, kind text, key text, action text DEFAULT 'define', successor text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET standard_conforming_strings = 'on'
AS $$
DECLARE
    draft constant bigint := _my_draft(change_id);
    number bigint;
BEGIN
    -- No name has spaces around it, and none is empty but where a key has a place for what may be missing.
    IF key ~ E'^/|^$|^\\s|\\s$|[^\\\\]/\\s|\\s/'
       OR (kind <> 'policy_target' AND key ~ E'[^\\\\]/$')
       OR (kind NOT IN ('transition', 'policy_target', 'target', 'responsibility') AND key ~ E'[^\\\\]//') THEN
        RAISE EXCEPTION 'the names in the key of a % must be given, without spaces around them', kind
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('The key would be "%s".', key);
    END IF;
    -- the later word in a draft is the one that counts
    DELETE FROM revacct_data.version AS v WHERE v.change_id = draft AND v.kind = _draft_version.kind AND v.key = _draft_version.key;
    INSERT INTO revacct_data.version (change_id, kind, key, action, successor, replaces, drafted_as_of)
    VALUES (draft, kind, key, action, successor,
            _in_force(kind, key, coalesce((SELECT c.effective_at FROM revacct_data.change AS c WHERE c.change_id = draft), clock_timestamp())),
            -- not the clock: an approval that is under way was decided before now, and cannot be seen yet
            (SELECT coalesce(max(c.decided_at), '-infinity') FROM revacct_data.change AS c WHERE c.status = 'approved'))
    RETURNING version_id INTO number;
    RETURN number;
END $$;

COMMENT ON COLUMN revacct_data.lifecycle.subject_kind IS 'What goes through it: lead, opportunity, account...';

COMMENT ON TABLE revacct_data.code IS 'A code: a disposition, a loss or win reason, a lead source, a channel, a segment, a place on the buyer journey, a kind of event...';

COMMENT ON COLUMN revacct_data.field_rule.subject_kind IS 'What has the field: lead, opportunity, account...';

COMMENT ON COLUMN revacct_data.metric.unit IS 'Its unit: rate, days, EUR...';

CREATE OR REPLACE FUNCTION _kin(kind text, key text)
RETURNS TABLE (object_kind text, object_key text)
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    -- The first name of a key, of a rule on a field the first two; names may hold escaped slashes.
    SELECT $1, $2
    UNION ALL
    SELECT parent.kind, substring($2 FROM CASE parent.kind WHEN 'field' THEN E'^(?:[^/\\\\]|\\\\.)*/(?:[^/\\\\]|\\\\.)*' ELSE E'^(?:[^/\\\\]|\\\\.)*' END)
    FROM (VALUES ('stage', 'lifecycle'), ('transition', 'lifecycle'), ('policy_target', 'policy'), ('policy_step', 'policy'),
                 ('target', 'metric'), ('code', 'code_list'), ('field_rule', 'field')) AS parent (child, kind)
    WHERE parent.child = $1;
END;

CREATE OR REPLACE FUNCTION _check_change(change bigint)
RETURNS void
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    wrong record;
    since constant timestamptz := (SELECT c.effective_at FROM revacct_data.change AS c WHERE c.change_id = change);
    compiled record;
    reason text;
    details text;
    hint text;
    state text;
BEGIN
    -- What is referred to is in force as long as what refers to it; a retired one's successor, when it was named.
    SELECT i.kind, i.key, r.kind AS of_kind, r.key AS of_key INTO wrong
    FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) JOIN revacct_data.reference AS r USING (version_id)
         JOIN revacct_data.change AS c USING (change_id)
    WHERE upper_inf(i.recorded) AND (v.action = 'define' OR lower(i.valid) = c.effective_at)
      AND (v.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = r.kind AND t.key = r.key))
      AND NOT coalesce((
            SELECT CASE WHEN v.action = 'retire' THEN range_agg(o.valid) @> lower(i.valid) ELSE range_agg(o.valid) @> i.valid END
            FROM revacct_data.validity AS o JOIN revacct_data.version AS ov USING (version_id)
            WHERE o.kind = r.kind AND o.key = r.key AND upper_inf(o.recorded)
              AND (ov.action = 'define' OR (v.action = 'retire' AND ov.successor IS NOT NULL))), false)
    ORDER BY 1, 2, 3, 4 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" refers to % "%", which is not in force all the while', wrong.kind, wrong.key, wrong.of_kind, wrong.of_key
            USING ERRCODE = 'foreign_key_violation',
                  HINT = 'Define what is missing in the same change, for the same time; or retire what refers to it.';
    END IF;

    SELECT v.kind, v.key, v.successor INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.change AS c USING (change_id)
    WHERE v.successor IS NOT NULL AND upper_inf(i.recorded) AND lower(i.valid) = c.effective_at
      -- by however many steps
      AND EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = v.kind)
      AND counted_as(v.kind, v.key, lower(i.valid)) IS NULL
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" would be counted as nothing', wrong.kind, wrong.key
            USING ERRCODE = 'check_violation', DETAIL = format('Its successor, "%s", is not in force, and is not counted as anything that is.', wrong.successor);
    END IF;

    SELECT l.kind, l.key, l.code_list INTO wrong
    FROM (SELECT v.change_id, v.kind, v.key, i.valid, coalesce(t.code_list, f.code_list) AS code_list
          FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id)
               LEFT JOIN revacct_data.transition AS t USING (version_id) LEFT JOIN revacct_data.field_rule AS f USING (version_id)
          WHERE upper_inf(i.recorded) AND v.kind IN ('transition', 'field_rule') AND v.action = 'define') AS l
    WHERE l.code_list IS NOT NULL
      AND (l.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS t WHERE t.change_id = change AND t.kind = 'code' AND starts_with(t.key, object_key(l.code_list) || '/')))
      AND NOT coalesce((SELECT range_agg(i.valid) @> l.valid
                        FROM revacct_data.code AS c JOIN revacct_data.validity AS i USING (version_id)
                        WHERE c.list = l.code_list AND upper_inf(i.recorded)), false)
    ORDER BY 1, 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" refers to the list "%", which has not codes all the while', wrong.kind, wrong.key, wrong.code_list
            USING ERRCODE = 'foreign_key_violation', HINT = format('Define them in the same change: SELECT define_code(%L, ...).', wrong.code_list);
    END IF;

    SELECT v.key, r.object INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.responsibility AS r USING (version_id)
    WHERE v.change_id = change AND r.object_kind = 'party' AND NOT EXISTS (SELECT FROM revacct_data.party AS p WHERE object_key(p.party) = r.object)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'responsibility "%" is for a party that is not registered', wrong.key
            USING ERRCODE = 'foreign_key_violation', HINT = format('Register it: SELECT register_party(%L, ''team'').', wrong.object);
    END IF;

    SELECT i.key, o.key AS other, s.stage_no INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.stage AS s USING (version_id)
         JOIN revacct_data.stage AS os ON os.lifecycle = s.lifecycle AND os.stage_no = s.stage_no AND os.stage <> s.stage
         JOIN revacct_data.validity AS o ON o.version_id = os.version_id
    WHERE v.change_id = change AND upper_inf(i.recorded) AND upper_inf(o.recorded) AND i.valid && o.valid
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'stages "%" and "%" have the same place', wrong.key, wrong.other
            USING ERRCODE = 'unique_violation', DETAIL = format('stage_no is %s for both.', wrong.stage_no);
    END IF;

    SELECT i.key INTO wrong
    FROM revacct_data.validity AS i JOIN revacct_data.metric AS m USING (version_id)
    WHERE upper_inf(i.recorded)
      AND NOT coalesce((
            SELECT range_agg(o.valid) @> i.valid
            FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS o USING (version_id)
            WHERE r.role = 'accountable' AND r.object_kind = 'metric' AND r.object = i.key AND upper_inf(o.recorded)), false)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'metric "%" has no accountable party', wrong.key
            USING ERRCODE = 'check_violation',
                  HINT = format('Assign one in the same change: SELECT assign(''party'', ''accountable'', ''metric'', %L).', wrong.key);
    END IF;

    SELECT r.object_kind, r.object, sum(r.share) AS share INTO wrong
    FROM (SELECT DISTINCT t.object_kind, t.object, lower(ti.valid) AS at
          FROM revacct_data.version AS tv JOIN revacct_data.responsibility AS o USING (version_id)
               JOIN revacct_data.responsibility AS t ON t.object_kind = o.object_kind AND t.object = o.object
               JOIN revacct_data.validity AS ti ON ti.version_id = t.version_id AND upper_inf(ti.recorded)
          WHERE tv.change_id = change) AS moment
         JOIN revacct_data.responsibility AS r USING (object_kind, object)
         JOIN revacct_data.validity AS i ON i.version_id = r.version_id AND upper_inf(i.recorded) AND i.valid @> moment.at
    GROUP BY r.object_kind, r.object, moment.at HAVING sum(r.share) > 1
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the shares of % "%" are more than the whole', wrong.object_kind, wrong.object
            USING ERRCODE = 'check_violation', DETAIL = format('They add up to %s.', wrong.share);
    END IF;

    -- Nothing is a part of itself, by however many steps: teams, reporting lines, codes, programs.
    WITH RECURSIVE part (kind, child, parent, valid) AS (
        SELECT 'party ' || r.role, object_key(r.party), r.object, i.valid
        FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id)
        WHERE r.role IN ('member', 'manager') AND upper_inf(i.recorded)
        UNION ALL
        SELECT 'code', i.key, object_key(c.list, c.parent), i.valid
        FROM revacct_data.code AS c JOIN revacct_data.validity AS i USING (version_id) WHERE c.parent IS NOT NULL AND upper_inf(i.recorded)
        UNION ALL
        SELECT 'program', i.key, object_key(p.parent), i.valid
        FROM revacct_data.program AS p JOIN revacct_data.validity AS i USING (version_id) WHERE p.parent IS NOT NULL AND upper_inf(i.recorded)
    ), above (kind, child, ancestor, valid) AS (
        SELECT p.kind, p.child, p.parent, p.valid FROM part AS p
        UNION
        SELECT a.kind, a.child, p.parent, a.valid * p.valid
        FROM above AS a JOIN part AS p ON p.kind = a.kind AND p.child = a.ancestor AND p.valid && a.valid
        WHERE a.child <> a.ancestor
    )
    SELECT a.kind, a.child INTO wrong FROM above AS a WHERE a.child = a.ancestor ORDER BY 1, 2 LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" would be above itself', split_part(wrong.kind, ' ', 1), wrong.child USING ERRCODE = 'check_violation';
    END IF;

    SELECT v.kind, v.key INTO wrong
    FROM revacct_data.version AS v JOIN revacct_data.validity AS i USING (version_id)
         LEFT JOIN revacct_data.policy_target AS t USING (version_id) LEFT JOIN revacct_data.policy_step AS s USING (version_id)
         JOIN revacct_data.policy AS p ON p.policy = coalesce(t.policy, s.policy) AND p.start IS NULL
         JOIN revacct_data.validity AS pi ON pi.version_id = p.version_id AND upper_inf(pi.recorded) AND pi.valid && i.valid
    WHERE v.kind IN ('policy_target', 'policy_step') AND upper_inf(i.recorded)
      AND (v.change_id = change OR EXISTS (SELECT FROM revacct_data.version AS c WHERE c.change_id = change AND c.version_id = p.version_id))
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% "%" is of a policy that has no clock', wrong.kind, wrong.key
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Targets and steps are of what define_sla() defines.';
    END IF;

    -- The kernel judges definitions: all that the change touches must compile, from the start of its period on whenever something of it changes.
    FOR compiled IN
        WITH changed AS (
            -- every version of what it defines or retires: a retirement over what begins later replaces nothing that is in force when it begins
            SELECT w.version_id FROM revacct_data.version AS v JOIN revacct_data.version AS w USING (kind, key) WHERE v.change_id = change
        ), touched (kind, name) AS (
            SELECT 'lifecycle', l.lifecycle FROM changed AS v JOIN revacct_data.lifecycle AS l USING (version_id)
            UNION
            SELECT 'lifecycle', s.lifecycle FROM changed AS v JOIN revacct_data.stage AS s USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy AS p USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy_target AS p USING (version_id)
            UNION
            SELECT 'policy', p.policy FROM changed AS v JOIN revacct_data.policy_step AS p USING (version_id)
            UNION
            SELECT 'calendar', c.calendar FROM changed AS v JOIN revacct_data.calendar AS c USING (version_id)
        ), affected (kind, name) AS (
            SELECT t.kind, t.name FROM touched AS t
            UNION
            SELECT 'lifecycle', l.lifecycle FROM touched AS t JOIN revacct_data.lifecycle AS l ON t.kind = 'calendar' AND l.calendar = t.name
            UNION
            SELECT 'policy', p.policy FROM touched AS t JOIN revacct_data.policy AS p ON (t.kind = 'calendar' AND p.calendar = t.name) OR (t.kind = 'lifecycle' AND p.lifecycle = t.name)
            UNION
            SELECT 'policy', p.policy FROM touched AS t JOIN revacct_data.policy_target AS p ON t.kind = 'calendar' AND p.calendar = t.name
        ), moment (kind, name, at) AS (
            SELECT a.kind, a.name, since FROM affected AS a
            UNION
            SELECT a.kind, a.name, edge.at
            FROM affected AS a
                 -- what it is compiled of begins or ends
                 CROSS JOIN LATERAL (
                     SELECT i.valid FROM revacct_data.validity AS i WHERE i.kind = a.kind AND i.key = object_key(a.name) AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.stage AS s JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'lifecycle' AND s.lifecycle = a.name AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.policy_target AS t JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'policy' AND t.policy = a.name AND upper_inf(i.recorded)
                     UNION ALL
                     SELECT i.valid FROM revacct_data.policy_step AS t JOIN revacct_data.validity AS i USING (version_id)
                     WHERE a.kind = 'policy' AND t.policy = a.name AND upper_inf(i.recorded)) AS part
                 CROSS JOIN LATERAL (VALUES (lower(part.valid)), (upper(part.valid))) AS edge (at)
            WHERE edge.at > since
        )
        -- an SLA as a whole, too, be it in force or not any more
        SELECT a.kind, a.name, NULL::timestamptz AS at FROM affected AS a
        WHERE a.kind = 'policy' AND EXISTS (SELECT FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id)
                                            WHERE p.policy = a.name AND p.start IS NOT NULL AND upper_inf(i.recorded))
        UNION ALL
        SELECT m.kind, m.name, m.at
        FROM moment AS m
        WHERE EXISTS (SELECT FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) LEFT JOIN revacct_data.policy AS p USING (version_id)
                      WHERE i.kind = m.kind AND i.key = object_key(m.name) AND i.valid @> m.at AND upper_inf(i.recorded) AND v.action = 'define'
                        AND (m.kind <> 'policy' OR p.start IS NOT NULL))
        ORDER BY 1, 2, 3
    LOOP
        BEGIN
            CASE compiled.kind
                WHEN 'lifecycle' THEN PERFORM _lifecycle(compiled.name, compiled.at, NULL);
                WHEN 'calendar' THEN PERFORM _business_calendar(compiled.name, compiled.at, NULL);
                WHEN 'policy' THEN PERFORM _sla(compiled.name, compiled.at, NULL);
            END CASE;
        EXCEPTION WHEN invalid_parameter_value OR null_value_not_allowed OR program_limit_exceeded OR undefined_object THEN
            GET STACKED DIAGNOSTICS reason = MESSAGE_TEXT, details = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
            RAISE EXCEPTION '%', reason
                USING ERRCODE = state,
                      DETAIL = concat_ws(' ', nullif(details, ''), format('So %s "%s" would not compile %s.', compiled.kind, compiled.name, coalesce('at ' || compiled.at, 'with its versions taken together'))),
                      HINT = coalesce(nullif(hint, ''), 'Define what does not go together in the same change.');
        END;
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION _keep_to_owner(relation regclass)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    grantee text;
BEGIN
    FOR grantee IN
        SELECT DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END
        FROM pg_class AS c, aclexplode(c.relacl) AS a WHERE c.oid = relation AND a.grantee <> c.relowner
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %s', relation, grantee);
    END LOOP;
END $$;

COMMENT ON FUNCTION _keep_to_owner(regclass) IS 'Takes from a table that was just made what default privileges gave others: whoever has the privilege TRIGGER on a table has those of its writers.';

CREATE OR REPLACE FUNCTION _open_intake(fact text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET client_min_messages = 'warning'
AS $$
DECLARE
    intake constant text := 'pg_temp.revacct_incoming_' || fact;
    owner_name constant name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = to_regclass(intake));
BEGIN
    PERFORM _demand_access('{loader, steward, council}', 'record facts');
    IF owner_name IS NULL THEN
        CASE fact
        WHEN 'event' THEN
            CREATE TEMPORARY TABLE revacct_incoming_event (
                subject_kind text, subject_key text, event text, occurred_at timestamptz, source_key text, lifecycle text, stage text, field text, code text,
                code_list text, party text, actor text, amount numeric, currency text, program text, seq bigint, value bigint, corrects text, details jsonb);
            PERFORM _keep_to_owner('pg_temp.revacct_incoming_event');
            GRANT INSERT ON pg_temp.revacct_incoming_event TO PUBLIC;
            DROP TABLE IF EXISTS pg_temp.revacct_meaning;
            CREATE TEMPORARY TABLE revacct_meaning (
                event text, lifecycle text, stage text, field text, code_list text, code text, currency text, years int[], mark_kind text, mark_key text, code_key text,
                mark int, code_no bigint);
            PERFORM _keep_to_owner('pg_temp.revacct_meaning');
        WHEN 'link' THEN
            CREATE TEMPORARY TABLE revacct_incoming_link (
                from_source text, from_kind text, from_key text, to_source text, to_kind text, to_key text, role text, valid_from timestamptz,
                valid_until timestamptz, share numeric, source_key text);
            PERFORM _keep_to_owner('pg_temp.revacct_incoming_link');
            GRANT INSERT ON pg_temp.revacct_incoming_link TO PUBLIC;
        WHEN 'money' THEN
            CREATE TEMPORARY TABLE revacct_incoming_money (
                source_key text, kind text, subject_kind text, subject_key text, program text, party text, starts_on date, ends_on date, amount numeric,
                currency text, corrects text);
            PERFORM _keep_to_owner('pg_temp.revacct_incoming_money');
            GRANT INSERT ON pg_temp.revacct_incoming_money TO PUBLIC;
        WHEN 'commitment' THEN
            CREATE TEMPORARY TABLE revacct_incoming_commitment (
                source_key text, kind text, subject_kind text, subject_key text, from_party text, to_party text, promised text, amount numeric, due_at timestamptz,
                delivered_at timestamptz, outcome text, verified_by text, metric text, corrects text);
            PERFORM _keep_to_owner('pg_temp.revacct_incoming_commitment');
            GRANT INSERT ON pg_temp.revacct_incoming_commitment TO PUBLIC;
        END CASE;
    ELSIF owner_name <> current_user THEN
        RAISE EXCEPTION 'the temporary table "revacct_incoming_%" is in the way', fact
            USING ERRCODE = 'duplicate_table', HINT = 'Drop it: facts come in through a table of that name.';
    END IF;
END $$;

CREATE OR REPLACE FUNCTION _make_partition(year int)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
-- where the ledger lies is not for whoever records its first event of a year to say
SET search_path = pg_catalog, revacct, pg_temp SET default_tablespace = '' SET default_table_access_method = 'heap'
AS $$
DECLARE
    partition constant text := 'event_' || year;
BEGIN
    IF to_regclass('revacct_data.' || partition) IS NULL THEN
        PERFORM _lock_registrations();
        IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.relname = partition AND c.relnamespace = 'revacct_data'::regnamespace) THEN
            -- Attached, not made as a partition: that would wait for all who read or write the ledger.
            EXECUTE format('CREATE TABLE revacct_data.%I (LIKE revacct_data.event INCLUDING DEFAULTS INCLUDING CONSTRAINTS)', partition);
            PERFORM _keep_to_owner(format('revacct_data.%I', partition)::regclass);
            EXECUTE format('ALTER TABLE revacct_data.%I ADD PRIMARY KEY (source_key, source_no, occurred_at)', partition);
            EXECUTE format('CREATE INDEX ON revacct_data.%I (subject_id)', partition);
            EXECUTE format('CREATE INDEX ON revacct_data.%I USING brin (load_id) WITH (pages_per_range = 32)', partition);
            -- so that the owner of a database can dump it
            EXECUTE format('GRANT SELECT ON revacct_data.%I TO %I WITH GRANT OPTION', partition, (SELECT pg_get_userbyid(e.extowner) FROM pg_extension AS e WHERE e.extname = 'revacct'));
            EXECUTE format('ALTER TABLE revacct_data.event ATTACH PARTITION revacct_data.%I FOR VALUES FROM (%L) TO (%L)', partition,
                           year || '-01-01 00:00:00+00', (year + 1) || '-01-01 00:00:00+00');
            EXECUTE format('CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.%I FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard()', partition);
            EXECUTE format('CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.%I FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard()', partition);
            EXECUTE format('COMMENT ON TABLE revacct_data.%I IS %L', partition, format('The events of %s.', year));
        END IF;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION _take_in_events(source_no smallint, recorded_at timestamptz, load_id bigint)
RETURNS TABLE (read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET client_min_messages = 'warning' SET join_collapse_limit = 1
AS $$
#variable_conflict use_variable
DECLARE
    others boolean := EXISTS (SELECT FROM revacct_data.load AS l WHERE l.source_no = source_no);
    dropped bigint;
    year int;
    untidy boolean;
    unreadable boolean;
    repeated boolean;
    corrections boolean;
    few boolean;
BEGIN
    rejected := 0;
    known := 0;
    -- What is there, in one look: a load may be large, and is read from disk. Keys are told apart by their hashes, which are small.
    SELECT count(*), coalesce(bool_or(i.party <> btrim(i.party) OR i.actor <> btrim(i.actor) OR i.party = '' OR i.actor = '' OR i.currency = '' OR i.corrects = ''), false),
           coalesce(bool_or(_unreadable_event(i.subject_kind, i.subject_key, i.source_key, i.occurred_at, i.event, i.lifecycle, i.stage, i.field, i.code, i.code_list, i.party, i.actor, i.amount,
                                              i.currency, i.corrects, i.value) IS NOT NULL), false),
           count(i.source_key) > count(DISTINCT hashtextextended(i.source_key, 0)), coalesce(bool_or(i.corrects IS NOT NULL), false)
    INTO read, untidy, unreadable, repeated, corrections
    FROM pg_temp.revacct_incoming_event AS i;
    IF untidy THEN
        UPDATE pg_temp.revacct_incoming_event AS i
        SET party = nullif(btrim(i.party), ''), actor = nullif(btrim(i.actor), ''), currency = nullif(i.currency, ''), corrects = nullif(i.corrects, '')
        WHERE i.party <> btrim(i.party) OR i.actor <> btrim(i.actor) OR i.party = '' OR i.actor = '' OR i.currency = '' OR i.corrects = '';
    END IF;

    -- what comes again is judged again
    DELETE FROM revacct_data.rejected AS r
    USING pg_temp.revacct_incoming_event AS i
    WHERE r.source_no = source_no AND r.fact = 'event' AND r.source_key = i.source_key AND i.source_key <> '';
    DELETE FROM revacct_data.rejected AS r
    WHERE r.source_no = source_no AND r.fact = 'event' AND coalesce(r.source_key, '') = ''
      AND r.content IN (SELECT to_jsonb(i) FROM pg_temp.revacct_incoming_event AS i WHERE coalesce(i.source_key, '') = '');

    -- What cannot be read. A row without a key cannot be told from itself, so it is not taken either.
    IF unreadable THEN
        WITH bad AS (
            DELETE FROM pg_temp.revacct_incoming_event AS i
            WHERE _unreadable_event(i.subject_kind, i.subject_key, i.source_key, i.occurred_at, i.event, i.lifecycle, i.stage, i.field, i.code, i.code_list, i.party, i.actor, i.amount,
                                    i.currency, i.corrects, i.value) IS NOT NULL
            RETURNING i.*
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'event', u.source_key,
               _unreadable_event(u.subject_kind, u.subject_key, u.source_key, u.occurred_at, u.event, u.lifecycle, u.stage, u.field, u.code, u.code_list, u.party, u.actor, u.amount,
                                 u.currency, u.corrects, u.value),
               to_jsonb(u), recorded_at
        FROM bad AS u;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
    END IF;

    -- What the names mean: they are few.
    DELETE FROM pg_temp.revacct_meaning;
    INSERT INTO pg_temp.revacct_meaning (event, lifecycle, stage, field, code_list, code, currency, years, mark_kind, mark_key, code_key)
    SELECT n.event, n.lifecycle, n.stage, n.field, n.code_list, n.code, n.currency, n.years,
           CASE WHEN n.event = 'stage_entered' THEN 'stage' WHEN n.event <> 'retracted' THEN 'event' END AS mark_kind,
           CASE WHEN n.event = 'stage_entered' THEN revacct.object_key(n.lifecycle, n.stage)
                WHEN n.event = 'field_set' AND n.field = 'amount' THEN revacct.object_key(VARIADIC array_remove(ARRAY['amount_set', nullif(n.currency, '')], NULL))
                WHEN n.event = 'field_set' THEN revacct.object_key(n.field || '_set')
                WHEN n.event <> 'retracted' THEN revacct.object_key(n.event) END AS mark_key,
           CASE WHEN n.code <> '' THEN revacct.object_key(coalesce(nullif(n.code_list, ''), nullif(n.field, ''), CASE WHEN n.event = 'disposition_set' THEN 'disposition' ELSE n.event END), n.code) END AS code_key
    FROM (SELECT y.event, y.lifecycle, y.stage, y.field, y.code_list, y.code, y.currency, array_agg(y.year) AS years
          FROM (SELECT DISTINCT i.event, CASE WHEN i.event = 'stage_entered' THEN i.lifecycle ELSE '' END AS lifecycle, CASE WHEN i.event = 'stage_entered' THEN i.stage ELSE '' END AS stage,
                       coalesce(i.field, '') AS field, coalesce(i.code_list, '') AS code_list, coalesce(i.code, '') AS code, coalesce(i.currency, '') AS currency,
                       date_part('year', i.occurred_at)::int AS year
                FROM pg_temp.revacct_incoming_event AS i) AS y
          GROUP BY y.event, y.lifecycle, y.stage, y.field, y.code_list, y.code, y.currency) AS n;

    IF EXISTS (SELECT FROM pg_temp.revacct_meaning AS m WHERE NOT _is_event_kind(m.event)) THEN
        WITH unknown AS (
            DELETE FROM pg_temp.revacct_incoming_event AS i
            WHERE i.event IN (SELECT m.event FROM pg_temp.revacct_meaning AS m WHERE NOT _is_event_kind(m.event))
            RETURNING i.*
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'event', u.source_key, format('"%s" is no kind of event: it can be defined as a code of the list event', u.event), to_jsonb(u), recorded_at FROM unknown AS u;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
        DELETE FROM pg_temp.revacct_meaning AS m WHERE NOT _is_event_kind(m.event);
    END IF;
    PERFORM _number_names(array_agg(n.kind), array_agg(n.key))
    FROM (SELECT m.mark_kind, m.mark_key FROM pg_temp.revacct_meaning AS m UNION SELECT 'code', m.code_key FROM pg_temp.revacct_meaning AS m) AS n (kind, key);
    UPDATE pg_temp.revacct_meaning AS m
    SET mark = (SELECT g.number FROM revacct_data.numbering AS g WHERE g.kind = m.mark_kind AND g.key = m.mark_key),
        code_no = (SELECT g.number FROM revacct_data.numbering AS g WHERE g.kind = 'code' AND g.key = m.code_key);
    IF read > 1000 THEN
        ANALYZE pg_temp.revacct_meaning;
    END IF;

    -- One key, several rows: the same is known, another is not believed.
    IF repeated THEN
        WITH again AS MATERIALIZED (
            SELECT i.source_key FROM pg_temp.revacct_incoming_event AS i GROUP BY i.source_key HAVING count(*) > 1
        ), copy AS (
            SELECT i.ctid AS row_id, row_number() OVER same AS no, to_jsonb(i) = first_value(to_jsonb(i)) OVER same AS is_same
            FROM pg_temp.revacct_incoming_event AS i JOIN again USING (source_key)
            WINDOW same AS (PARTITION BY i.source_key ORDER BY i.occurred_at, i.seq, to_jsonb(i)::text COLLATE "C")
        ), gone AS (
            DELETE FROM pg_temp.revacct_incoming_event AS i USING copy WHERE i.ctid = copy.row_id AND copy.no > 1 RETURNING i.*, copy.is_same
        ), other AS (
            INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
            SELECT source_no, 'event', g.source_key, 'another row of this load has the same source_key', to_jsonb(g) - 'is_same', recorded_at FROM gone AS g WHERE NOT g.is_same RETURNING 1
        )
        SELECT rejected + (SELECT count(*) FROM other), known + (SELECT count(*) FROM gone AS g WHERE g.is_same) INTO rejected, known;
    END IF;

    PERFORM _register_parties(array_agg(DISTINCT n.party))
    FROM (SELECT DISTINCT i.party, i.actor FROM pg_temp.revacct_incoming_event AS i) AS w, LATERAL (VALUES (w.party), (w.actor)) AS n (party);
    FOR year IN SELECT DISTINCT unnest(m.years) FROM pg_temp.revacct_meaning AS m LOOP
        PERFORM _make_partition(year);
    END LOOP;
    -- Nothing is registered any more. Subjects come last, and in this order everywhere: who registers may make them too, and one that somebody else is making has to be waited for.
    INSERT INTO revacct_data.subject (source_no, kind, subject_key, recorded_at)
    SELECT source_no, n.subject_kind, n.subject_key, recorded_at
    FROM (SELECT DISTINCT i.subject_kind, i.subject_key FROM pg_temp.revacct_incoming_event AS i) AS n
    WHERE NOT EXISTS (SELECT FROM revacct_data.subject AS s WHERE s.subject_key = n.subject_key AND s.kind = n.subject_kind AND s.source_no = source_no OFFSET 0)
    ORDER BY n.subject_kind, n.subject_key COLLATE "C"
    ON CONFLICT DO NOTHING;

    -- What is on record already, the same or otherwise. A known event that is otherwise now is to be corrected, not forgotten.
    IF others THEN
        -- Each is looked up, unless that takes longer than reading the ledger through.
        few := read < (SELECT sum(pg_relation_size(h.inhrelid)) FROM pg_inherits AS h WHERE h.inhparent = 'revacct_data.event'::regclass) / 2000;
        WITH recorded AS MATERIALIZED (
            SELECT i.ctid AS row_id, e.*
            FROM pg_temp.revacct_incoming_event AS i
                 CROSS JOIN LATERAL (SELECT e.subject_id, e.mark, e.value, e.occurred_at, e.seq, e.amount, e.currency, e.code_no, e.party_no, e.actor_no, e.program, e.corrects, e.details
                                     FROM revacct_data.event AS e WHERE e.source_no = source_no AND e.source_key = i.source_key OFFSET 0) AS e
            WHERE few
            UNION ALL
            SELECT i.ctid, e.subject_id, e.mark, e.value, e.occurred_at, e.seq, e.amount, e.currency, e.code_no, e.party_no, e.actor_no, e.program, e.corrects, e.details
            FROM pg_temp.revacct_incoming_event AS i JOIN revacct_data.event AS e ON e.source_no = source_no AND e.source_key = i.source_key
            WHERE NOT few
        ), gone AS (
            DELETE FROM pg_temp.revacct_incoming_event AS i
            USING recorded AS e
            WHERE i.ctid = e.row_id
            RETURNING i AS row, e.subject_id, e.mark, e.value, e.occurred_at, e.seq, e.amount, e.currency, e.code_no, e.party_no, e.actor_no, e.program, e.corrects, e.details
        ), other AS (
            INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
            SELECT source_no, 'event', (g.row).source_key, 'it is on record otherwise: correct it by an event with a key of its own that names this one in corrects', to_jsonb(g.row), recorded_at
            FROM gone AS g
                 LEFT JOIN revacct_data.party AS p ON p.party = (g.row).party
                 LEFT JOIN revacct_data.party AS a ON a.party = (g.row).actor
                 LEFT JOIN pg_temp.revacct_meaning AS m
                     ON m.event = (g.row).event AND m.lifecycle = CASE WHEN (g.row).event = 'stage_entered' THEN (g.row).lifecycle ELSE '' END
                        AND m.stage = CASE WHEN (g.row).event = 'stage_entered' THEN (g.row).stage ELSE '' END AND m.field = coalesce((g.row).field, '')
                        AND m.code_list = coalesce((g.row).code_list, '') AND m.code = coalesce((g.row).code, '') AND m.currency = coalesce((g.row).currency, '')
                 LEFT JOIN revacct_data.subject AS s ON s.subject_key = (g.row).subject_key AND s.kind = (g.row).subject_kind AND s.source_no = source_no
            WHERE (s.subject_id, m.mark, (g.row).occurred_at, (g.row).seq, (g.row).amount::numeric(18, 2), (g.row).currency, m.code_no, p.party_no, a.party_no, (g.row).program, (g.row).corrects, (g.row).details,
                   _event_value((g.row).event, (g.row).field, (g.row).value, m.code_no, p.party_no, (g.row).amount))
                  IS DISTINCT FROM (g.subject_id, g.mark, g.occurred_at, g.seq, g.amount, g.currency, g.code_no, g.party_no, g.actor_no, g.program, g.corrects, g.details, g.value)
              -- what its correction says is known, too: the source has been mended as well
              AND NOT EXISTS (SELECT
                              FROM revacct_data.correction AS c JOIN revacct_data.event AS e ON e.source_no = c.source_no AND e.source_key = c.corrected_by
                              WHERE c.source_no = source_no AND c.source_key = (g.row).source_key
                                AND (s.subject_id, m.mark, (g.row).occurred_at, (g.row).seq, (g.row).amount::numeric(18, 2), (g.row).currency,
                                     _event_value((g.row).event, (g.row).field, (g.row).value, m.code_no, p.party_no, (g.row).amount))
                                    IS NOT DISTINCT FROM (e.subject_id, e.mark, e.occurred_at, e.seq, e.amount, e.currency, e.value))
            RETURNING 1
        )
        SELECT rejected + (SELECT count(*) FROM other), known + (SELECT count(*) FROM gone) - (SELECT count(*) FROM other) INTO rejected, known;
    END IF;

    -- Corrections are of something that is there, and counts: first those go that are not, then all but the first of those that correct the same.
    WHILE corrections LOOP
        WITH RECURSIVE correction AS MATERIALIZED (
            SELECT i.source_key, i.corrects, row_number() OVER (PARTITION BY i.corrects ORDER BY i.source_key COLLATE "C") AS no FROM pg_temp.revacct_incoming_event AS i WHERE i.corrects IS NOT NULL
        ), grounded AS (
            SELECT c.source_key FROM correction AS c
            WHERE EXISTS (SELECT FROM revacct_data.event AS e WHERE e.source_no = source_no AND e.source_key = c.corrects)
               OR c.corrects IN (SELECT o.source_key FROM pg_temp.revacct_incoming_event AS o WHERE o.corrects IS NULL)
            UNION
            SELECT c.source_key FROM grounded AS g JOIN correction AS c ON c.corrects = g.source_key
        ), groundless AS MATERIALIZED (
            SELECT c.source_key, c.source_key NOT IN (SELECT g.source_key FROM grounded AS g) AS is_of_nothing
            FROM correction AS c
            WHERE c.source_key NOT IN (SELECT g.source_key FROM grounded AS g)
               OR EXISTS (SELECT FROM revacct_data.correction AS d WHERE d.source_no = source_no AND d.source_key = c.corrects)
        ), bad AS (
            SELECT g.source_key, g.is_of_nothing FROM groundless AS g
            UNION ALL
            SELECT c.source_key, false FROM correction AS c WHERE c.no > 1 AND NOT EXISTS (SELECT FROM groundless)
        ), gone AS (
            DELETE FROM pg_temp.revacct_incoming_event AS i USING bad WHERE i.source_key = bad.source_key RETURNING i AS row, bad.is_of_nothing
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'event', (g.row).source_key,
               CASE WHEN g.is_of_nothing THEN 'there is no event of the key it corrects' ELSE 'what it corrects is corrected already: correct the event that did' END, to_jsonb(g.row), recorded_at
        FROM gone AS g;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
        EXIT WHEN dropped = 0;
    END LOOP;

    INSERT INTO revacct_data.event (subject_id, occurred_at, recorded_at, load_id, value, seq, mark, source_no, source_key, code_no, party_no, actor_no, amount, currency, program, corrects, details)
    SELECT s.subject_id, i.occurred_at, recorded_at, load_id, _event_value(i.event, i.field, i.value, m.code_no, p.party_no, i.amount),
           i.seq, m.mark, source_no, i.source_key, m.code_no, p.party_no, a.party_no, i.amount, i.currency, i.program, i.corrects, i.details
    FROM pg_temp.revacct_incoming_event AS i
         LEFT JOIN revacct_data.party AS p ON p.party = i.party
         LEFT JOIN revacct_data.party AS a ON a.party = i.actor
         JOIN revacct_data.subject AS s ON s.subject_key = i.subject_key AND s.kind = i.subject_kind AND s.source_no = source_no
         JOIN pg_temp.revacct_meaning AS m
             ON m.event = i.event AND m.lifecycle = CASE WHEN i.event = 'stage_entered' THEN i.lifecycle ELSE '' END AND m.stage = CASE WHEN i.event = 'stage_entered' THEN i.stage ELSE '' END
                AND m.field = coalesce(i.field, '') AND m.code_list = coalesce(i.code_list, '') AND m.code = coalesce(i.code, '') AND m.currency = coalesce(i.currency, '');
    GET DIAGNOSTICS loaded = ROW_COUNT;
    known := read - loaded - rejected;
    IF corrections THEN
        INSERT INTO revacct_data.correction (source_no, source_key, subject_id, corrected_by, recorded_at, load_id)
        SELECT source_no, i.corrects, e.subject_id, i.source_key, recorded_at, load_id
        FROM pg_temp.revacct_incoming_event AS i JOIN revacct_data.event AS e ON e.source_no = source_no AND e.source_key = i.corrects
        WHERE i.corrects IS NOT NULL;
    END IF;

    dropped := _refuse_moves(source_no, load_id, recorded_at);
    rejected := rejected + dropped;
    loaded := loaded - dropped;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION _take_in_links(source_no smallint, recorded_at timestamptz, load_id bigint)
RETURNS TABLE (read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    own constant text := (SELECT s.source FROM revacct_data.source AS s WHERE s.source_no = source_no);
    dropped bigint;
BEGIN
    SELECT count(*) INTO read FROM pg_temp.revacct_incoming_link;
    UPDATE pg_temp.revacct_incoming_link AS i
    SET from_source = coalesce(nullif(btrim(i.from_source), ''), own), to_source = coalesce(nullif(btrim(i.to_source), ''), own), valid_from = coalesce(i.valid_from, '-infinity'),
        valid_until = coalesce(i.valid_until, 'infinity'),
        source_key = coalesce(nullif(i.source_key, ''),
                              object_key(VARIADIC array_remove(ARRAY[i.role, coalesce(nullif(btrim(i.from_source), ''), own), i.from_kind, i.from_key, coalesce(nullif(btrim(i.to_source), ''), own),
                                                                     i.to_kind, i.to_key, CASE WHEN isfinite(i.valid_from) THEN i.valid_from::text END], NULL)));
    DELETE FROM revacct_data.rejected AS r USING pg_temp.revacct_incoming_link AS i WHERE r.source_no = source_no AND r.fact = 'link' AND r.source_key = i.source_key;

    WITH bad AS (
        DELETE FROM pg_temp.revacct_incoming_link AS i
        WHERE _unreadable_link(i.from_source, i.from_kind, i.from_key, i.to_source, i.to_kind, i.to_key, i.role, i.valid_from, i.valid_until, i.share, i.source_key) IS NOT NULL
        RETURNING i.*
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'link', b.source_key, _unreadable_link(b.from_source, b.from_kind, b.from_key, b.to_source, b.to_kind, b.to_key, b.role, b.valid_from, b.valid_until, b.share, b.source_key),
           to_jsonb(b), recorded_at
    FROM bad AS b;
    GET DIAGNOSTICS rejected = ROW_COUNT;

    -- One key, several rows: the same is known, another is not believed.
    WITH copy AS (
        SELECT i.ctid AS row_id, row_number() OVER same AS no, to_jsonb(i) = first_value(to_jsonb(i)) OVER same AS is_same
        FROM pg_temp.revacct_incoming_link AS i
        WINDOW same AS (PARTITION BY i.source_key ORDER BY to_jsonb(i)::text COLLATE "C")
    ), gone AS (
        DELETE FROM pg_temp.revacct_incoming_link AS i USING copy WHERE i.ctid = copy.row_id AND copy.no > 1 RETURNING i AS row, copy.is_same
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'link', (g.row).source_key, 'another row of this load has the same source_key', to_jsonb(g.row), recorded_at FROM gone AS g WHERE NOT g.is_same;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    rejected := rejected + dropped;

    PERFORM _source_number(n.source)
    FROM (SELECT i.from_source FROM pg_temp.revacct_incoming_link AS i UNION SELECT i.to_source FROM pg_temp.revacct_incoming_link AS i) AS n (source);
    INSERT INTO revacct_data.subject (source_no, kind, subject_key, recorded_at)
    SELECT r.source_no, n.kind, n.key, recorded_at
    FROM (SELECT i.from_source, i.from_kind, i.from_key FROM pg_temp.revacct_incoming_link AS i
          UNION SELECT i.to_source, i.to_kind, i.to_key FROM pg_temp.revacct_incoming_link AS i) AS n (source, kind, key)
         JOIN revacct_data.source AS r USING (source)
    ORDER BY r.source_no, n.kind, n.key COLLATE "C"
    ON CONFLICT DO NOTHING;

    DROP TABLE IF EXISTS pg_temp.revacct_link;
    CREATE TEMPORARY TABLE revacct_link AS
    SELECT f.subject_id AS from_subject, t.subject_id AS to_subject, i.role, tstzrange(nullif(i.valid_from, '-infinity'), nullif(i.valid_until, 'infinity')) AS valid, i.share::numeric(9, 6) AS share,
           i.source_key, to_jsonb(i) AS content, false AS is_said
    FROM pg_temp.revacct_incoming_link AS i
         JOIN revacct_data.source AS fs ON fs.source = i.from_source JOIN revacct_data.subject AS f ON f.subject_key = i.from_key AND f.kind = i.from_kind AND f.source_no = fs.source_no
         JOIN revacct_data.source AS ts ON ts.source = i.to_source JOIN revacct_data.subject AS t ON t.subject_key = i.to_key AND t.kind = i.to_kind AND t.source_no = ts.source_no;
    IF read > 100 THEN
        -- each is compared with the others between the same two
        CREATE INDEX ON pg_temp.revacct_link (from_subject, to_subject);
        ANALYZE pg_temp.revacct_link;
    END IF;
    -- the same as it is on record
    DELETE FROM pg_temp.revacct_link AS i
    USING revacct_data.subject_link AS l
    WHERE l.source_no = source_no AND l.source_key = i.source_key AND upper_inf(l.recorded)
      AND (l.from_subject, l.to_subject, l.role, l.valid) = (i.from_subject, i.to_subject, i.role, i.valid) AND l.share IS NOT DISTINCT FROM i.share;
    -- What the rows that are left said before ends with this load, and is in nobody's way. A row that another one speaks for already, of this load or on record, adds nothing, but ends
    -- what it said. One that clashes with what stays on record, or with another row, changes nothing: so what it said before stays, and may clash with others in turn.
    LOOP
        UPDATE pg_temp.revacct_link AS i
        SET is_said = EXISTS (SELECT FROM revacct_data.subject_link AS l
                              WHERE l.from_subject = i.from_subject AND l.to_subject = i.to_subject AND l.role = i.role AND l.valid = i.valid AND upper_inf(l.recorded)
                                AND (l.share IS NOT DISTINCT FROM i.share OR l.source_no <> source_no)
                                AND NOT (l.source_no = source_no AND l.source_key IN (SELECT o.source_key FROM pg_temp.revacct_link AS o)))
                   OR n.no > 1
        FROM (SELECT o.ctid AS row_id, row_number() OVER (PARTITION BY o.from_subject, o.to_subject, o.role, o.valid, o.share ORDER BY o.source_key COLLATE "C") AS no FROM pg_temp.revacct_link AS o) AS n
        WHERE n.row_id = i.ctid;
        WITH gone AS (
            DELETE FROM pg_temp.revacct_link AS i
            WHERE NOT i.is_said
              AND (EXISTS (SELECT FROM revacct_data.subject_link AS l
                           WHERE l.from_subject = i.from_subject AND l.to_subject = i.to_subject AND l.role = i.role AND l.valid && i.valid AND upper_inf(l.recorded)
                             AND NOT (l.source_no = source_no AND l.source_key IN (SELECT o.source_key FROM pg_temp.revacct_link AS o)))
                   OR EXISTS (SELECT FROM pg_temp.revacct_link AS o
                              WHERE NOT o.is_said AND o.from_subject = i.from_subject AND o.to_subject = i.to_subject AND o.role = i.role AND o.valid && i.valid
                                AND o.source_key COLLATE "C" < i.source_key))
            RETURNING i.*
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'link', g.source_key, 'another link between the two is on record for a part of its time', g.content, recorded_at FROM gone AS g;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
        EXIT WHEN dropped = 0;
    END LOOP;

    -- said otherwise: the record of what was said before ends
    WITH ended AS (
        UPDATE revacct_data.subject_link AS l SET recorded = tstzrange(lower(l.recorded), recorded_at)
        FROM pg_temp.revacct_link AS i WHERE l.source_no = source_no AND l.source_key = i.source_key AND upper_inf(l.recorded)
        RETURNING l.*
    )
    INSERT INTO revacct_data.pending_subject (subject_id)
    SELECT both_ends.subject_id FROM ended AS e, LATERAL (VALUES (e.from_subject), (e.to_subject)) AS both_ends (subject_id) WHERE e.role = 'same_as';
    WITH added AS (
        INSERT INTO revacct_data.subject_link (from_subject, to_subject, role, valid, share, recorded, source_no, source_key)
        SELECT i.from_subject, i.to_subject, i.role, i.valid, i.share, tstzrange(recorded_at, NULL), source_no, i.source_key FROM pg_temp.revacct_link AS i WHERE NOT i.is_said
        RETURNING *
    ), to_refold AS (
        INSERT INTO revacct_data.pending_subject (subject_id)
        SELECT both_ends.subject_id FROM added AS a, LATERAL (VALUES (a.from_subject), (a.to_subject)) AS both_ends (subject_id) WHERE a.role = 'same_as'
    )
    SELECT count(*) INTO loaded FROM added;
    known := read - loaded - rejected;
    DROP TABLE pg_temp.revacct_link;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION _take_in_money(source_no smallint, recorded_at timestamptz, load_id bigint)
RETURNS TABLE (read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    dropped bigint;
BEGIN
    SELECT count(*) INTO read FROM pg_temp.revacct_incoming_money;
    UPDATE pg_temp.revacct_incoming_money AS i SET source_key = nullif(i.source_key, ''), subject_key = nullif(i.subject_key, ''), party = nullif(btrim(i.party), ''), currency = nullif(i.currency, ''), corrects = nullif(i.corrects, '');
    DELETE FROM revacct_data.rejected AS r USING pg_temp.revacct_incoming_money AS i WHERE r.source_no = source_no AND r.fact = 'money' AND r.source_key = i.source_key;
    DELETE FROM revacct_data.rejected AS r
    WHERE r.source_no = source_no AND r.fact = 'money' AND r.source_key IS NULL AND r.content IN (SELECT to_jsonb(i) FROM pg_temp.revacct_incoming_money AS i WHERE i.source_key IS NULL);

    WITH bad AS (
        DELETE FROM pg_temp.revacct_incoming_money AS i WHERE _unreadable_money(i.source_key, i.kind, i.subject_kind, i.subject_key, i.party, i.starts_on, i.ends_on, i.amount, i.currency, i.corrects) IS NOT NULL RETURNING i.*
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'money', b.source_key, _unreadable_money(b.source_key, b.kind, b.subject_kind, b.subject_key, b.party, b.starts_on, b.ends_on, b.amount, b.currency, b.corrects), to_jsonb(b), recorded_at FROM bad AS b;
    GET DIAGNOSTICS rejected = ROW_COUNT;

    -- One key, several rows: the same is known, another is not believed.
    WITH copy AS (
        SELECT i.ctid AS row_id, row_number() OVER same AS no, to_jsonb(i) = first_value(to_jsonb(i)) OVER same AS is_same
        FROM pg_temp.revacct_incoming_money AS i WINDOW same AS (PARTITION BY i.source_key ORDER BY to_jsonb(i)::text COLLATE "C")
    ), gone AS (
        DELETE FROM pg_temp.revacct_incoming_money AS i USING copy WHERE i.ctid = copy.row_id AND copy.no > 1 RETURNING i AS row, copy.is_same
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'money', (g.row).source_key, 'another row of this load has the same source_key', to_jsonb(g.row), recorded_at FROM gone AS g WHERE NOT g.is_same;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    rejected := rejected + dropped;

    -- What is on record already, the same or otherwise.
    WITH gone AS (
        DELETE FROM pg_temp.revacct_incoming_money AS i
        USING revacct_data.money AS m LEFT JOIN revacct_data.subject AS s ON s.subject_id = m.subject_id
        WHERE m.source_no = source_no AND m.source_key = i.source_key
        RETURNING i AS row, (i.kind, CASE WHEN i.subject_key IS NOT NULL THEN i.subject_kind END, i.subject_key, i.program, i.party, daterange(i.starts_on, nullif(i.ends_on, 'infinity')), i.amount::numeric(18, 2), i.currency, i.corrects) IS DISTINCT FROM (m.kind, s.kind, s.subject_key, m.program, m.party, m.during, m.amount, m.currency, m.corrects) AS is_other
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'money', (g.row).source_key, 'it is on record otherwise: correct it by a row with a key of its own that names this one in corrects', to_jsonb(g.row), recorded_at
    FROM gone AS g WHERE g.is_other;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    rejected := rejected + dropped;

    -- Corrections, as those of events
    WHILE EXISTS (SELECT FROM pg_temp.revacct_incoming_money AS i WHERE i.corrects IS NOT NULL) LOOP
        WITH RECURSIVE correction AS MATERIALIZED (
            SELECT i.source_key, i.corrects, row_number() OVER (PARTITION BY i.corrects ORDER BY i.source_key COLLATE "C") AS no FROM pg_temp.revacct_incoming_money AS i WHERE i.corrects IS NOT NULL
        ), grounded AS (
            SELECT c.source_key FROM correction AS c
            WHERE EXISTS (SELECT FROM revacct_data.money AS m WHERE m.source_no = source_no AND m.source_key = c.corrects)
               OR c.corrects IN (SELECT o.source_key FROM pg_temp.revacct_incoming_money AS o WHERE o.corrects IS NULL)
            UNION
            SELECT c.source_key FROM grounded AS g JOIN correction AS c ON c.corrects = g.source_key
        ), groundless AS MATERIALIZED (
            SELECT c.source_key, c.source_key NOT IN (SELECT g.source_key FROM grounded AS g) AS is_of_nothing
            FROM correction AS c
            WHERE c.source_key NOT IN (SELECT g.source_key FROM grounded AS g) OR EXISTS (SELECT FROM revacct_data.money AS m WHERE m.source_no = source_no AND m.corrects = c.corrects)
        ), bad AS (
            SELECT g.source_key, g.is_of_nothing FROM groundless AS g
            UNION ALL
            SELECT c.source_key, false FROM correction AS c WHERE c.no > 1 AND NOT EXISTS (SELECT FROM groundless)
        ), gone AS (
            DELETE FROM pg_temp.revacct_incoming_money AS i USING bad WHERE i.source_key = bad.source_key RETURNING i AS row, bad.is_of_nothing
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'money', (g.row).source_key,
               CASE WHEN g.is_of_nothing THEN 'there is no money of the key it corrects' ELSE 'what it corrects is corrected already: correct the one that did' END, to_jsonb(g.row), recorded_at
        FROM gone AS g;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
        EXIT WHEN dropped = 0;
    END LOOP;

    PERFORM _register_parties(array_agg(n.party)) FROM (SELECT DISTINCT i.party FROM pg_temp.revacct_incoming_money AS i WHERE i.party IS NOT NULL) AS n (party);
    INSERT INTO revacct_data.subject (source_no, kind, subject_key, recorded_at)
    SELECT source_no, n.subject_kind, n.subject_key, recorded_at
    FROM (SELECT DISTINCT i.subject_kind, i.subject_key FROM pg_temp.revacct_incoming_money AS i WHERE i.subject_key IS NOT NULL) AS n
    ORDER BY n.subject_kind, n.subject_key COLLATE "C"
    ON CONFLICT DO NOTHING;
    INSERT INTO revacct_data.money (source_no, source_key, kind, subject_id, program, party, during, amount, currency, corrects, recorded_at)
    SELECT source_no, i.source_key, i.kind, s.subject_id, i.program, i.party, daterange(i.starts_on, nullif(i.ends_on, 'infinity')), i.amount, i.currency, i.corrects, recorded_at
    FROM pg_temp.revacct_incoming_money AS i
         LEFT JOIN revacct_data.subject AS s ON s.subject_key = i.subject_key AND s.kind = i.subject_kind AND s.source_no = source_no;
    GET DIAGNOSTICS loaded = ROW_COUNT;
    known := read - loaded - rejected;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION _take_in_commitments(source_no smallint, recorded_at timestamptz, load_id bigint)
RETURNS TABLE (read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET timezone = 'UTC' SET datestyle = 'ISO, YMD' SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    dropped bigint;
BEGIN
    SELECT count(*) INTO read FROM pg_temp.revacct_incoming_commitment;
    UPDATE pg_temp.revacct_incoming_commitment AS i SET source_key = nullif(i.source_key, ''), subject_key = nullif(i.subject_key, ''), from_party = nullif(btrim(i.from_party), ''), to_party = nullif(btrim(i.to_party), ''), corrects = nullif(i.corrects, '');
    DELETE FROM revacct_data.rejected AS r USING pg_temp.revacct_incoming_commitment AS i WHERE r.source_no = source_no AND r.fact = 'commitment' AND r.source_key = i.source_key;
    DELETE FROM revacct_data.rejected AS r
    WHERE r.source_no = source_no AND r.fact = 'commitment' AND r.source_key IS NULL AND r.content IN (SELECT to_jsonb(i) FROM pg_temp.revacct_incoming_commitment AS i WHERE i.source_key IS NULL);

    WITH bad AS (
        DELETE FROM pg_temp.revacct_incoming_commitment AS i WHERE _unreadable_commitment(i.source_key, i.kind, i.subject_kind, i.subject_key, i.from_party, i.to_party, i.amount, i.due_at, i.delivered_at, i.corrects) IS NOT NULL RETURNING i.*
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'commitment', b.source_key, _unreadable_commitment(b.source_key, b.kind, b.subject_kind, b.subject_key, b.from_party, b.to_party, b.amount, b.due_at, b.delivered_at, b.corrects), to_jsonb(b), recorded_at FROM bad AS b;
    GET DIAGNOSTICS rejected = ROW_COUNT;

    -- One key, several rows: the same is known, another is not believed.
    WITH copy AS (
        SELECT i.ctid AS row_id, row_number() OVER same AS no, to_jsonb(i) = first_value(to_jsonb(i)) OVER same AS is_same
        FROM pg_temp.revacct_incoming_commitment AS i WINDOW same AS (PARTITION BY i.source_key ORDER BY to_jsonb(i)::text COLLATE "C")
    ), gone AS (
        DELETE FROM pg_temp.revacct_incoming_commitment AS i USING copy WHERE i.ctid = copy.row_id AND copy.no > 1 RETURNING i AS row, copy.is_same
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'commitment', (g.row).source_key, 'another row of this load has the same source_key', to_jsonb(g.row), recorded_at FROM gone AS g WHERE NOT g.is_same;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    rejected := rejected + dropped;

    -- What is on record already, the same or otherwise.
    WITH gone AS (
        DELETE FROM pg_temp.revacct_incoming_commitment AS i
        USING revacct_data.commitment AS m LEFT JOIN revacct_data.subject AS s ON s.subject_id = m.subject_id
        WHERE m.source_no = source_no AND m.source_key = i.source_key
        RETURNING i AS row, (i.kind, CASE WHEN i.subject_key IS NOT NULL THEN i.subject_kind END, i.subject_key, i.from_party, i.to_party, i.promised, i.amount::numeric(18, 2), i.due_at, i.delivered_at, i.outcome, i.verified_by, i.metric, i.corrects) IS DISTINCT FROM (m.kind, s.kind, s.subject_key, m.from_party, m.to_party, m.promised, m.amount, m.due_at, m.delivered_at, m.outcome, m.verified_by, m.metric, m.corrects) AS is_other
    )
    INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
    SELECT source_no, 'commitment', (g.row).source_key, 'it is on record otherwise: correct it by a row with a key of its own that names this one in corrects', to_jsonb(g.row), recorded_at
    FROM gone AS g WHERE g.is_other;
    GET DIAGNOSTICS dropped = ROW_COUNT;
    rejected := rejected + dropped;

    -- Corrections, as those of events
    WHILE EXISTS (SELECT FROM pg_temp.revacct_incoming_commitment AS i WHERE i.corrects IS NOT NULL) LOOP
        WITH RECURSIVE correction AS MATERIALIZED (
            SELECT i.source_key, i.corrects, row_number() OVER (PARTITION BY i.corrects ORDER BY i.source_key COLLATE "C") AS no FROM pg_temp.revacct_incoming_commitment AS i WHERE i.corrects IS NOT NULL
        ), grounded AS (
            SELECT c.source_key FROM correction AS c
            WHERE EXISTS (SELECT FROM revacct_data.commitment AS m WHERE m.source_no = source_no AND m.source_key = c.corrects)
               OR c.corrects IN (SELECT o.source_key FROM pg_temp.revacct_incoming_commitment AS o WHERE o.corrects IS NULL)
            UNION
            SELECT c.source_key FROM grounded AS g JOIN correction AS c ON c.corrects = g.source_key
        ), groundless AS MATERIALIZED (
            SELECT c.source_key, c.source_key NOT IN (SELECT g.source_key FROM grounded AS g) AS is_of_nothing
            FROM correction AS c
            WHERE c.source_key NOT IN (SELECT g.source_key FROM grounded AS g) OR EXISTS (SELECT FROM revacct_data.commitment AS m WHERE m.source_no = source_no AND m.corrects = c.corrects)
        ), bad AS (
            SELECT g.source_key, g.is_of_nothing FROM groundless AS g
            UNION ALL
            SELECT c.source_key, false FROM correction AS c WHERE c.no > 1 AND NOT EXISTS (SELECT FROM groundless)
        ), gone AS (
            DELETE FROM pg_temp.revacct_incoming_commitment AS i USING bad WHERE i.source_key = bad.source_key RETURNING i AS row, bad.is_of_nothing
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, content, rejected_at)
        SELECT source_no, 'commitment', (g.row).source_key,
               CASE WHEN g.is_of_nothing THEN 'there is no commitment of the key it corrects' ELSE 'what it corrects is corrected already: correct the one that did' END, to_jsonb(g.row), recorded_at
        FROM gone AS g;
        GET DIAGNOSTICS dropped = ROW_COUNT;
        rejected := rejected + dropped;
        EXIT WHEN dropped = 0;
    END LOOP;

    PERFORM _register_parties(array_agg(n.party)) FROM (SELECT i.from_party FROM pg_temp.revacct_incoming_commitment AS i WHERE i.from_party IS NOT NULL UNION SELECT i.to_party FROM pg_temp.revacct_incoming_commitment AS i WHERE i.to_party IS NOT NULL) AS n (party);
    INSERT INTO revacct_data.subject (source_no, kind, subject_key, recorded_at)
    SELECT source_no, n.subject_kind, n.subject_key, recorded_at
    FROM (SELECT DISTINCT i.subject_kind, i.subject_key FROM pg_temp.revacct_incoming_commitment AS i WHERE i.subject_key IS NOT NULL) AS n
    ORDER BY n.subject_kind, n.subject_key COLLATE "C"
    ON CONFLICT DO NOTHING;
    INSERT INTO revacct_data.commitment (source_no, source_key, kind, subject_id, from_party, to_party, promised, amount, due_at, delivered_at, outcome, verified_by, metric, corrects, recorded_at)
    SELECT source_no, i.source_key, i.kind, s.subject_id, i.from_party, i.to_party, i.promised, i.amount, i.due_at, i.delivered_at, i.outcome, i.verified_by, i.metric, i.corrects, recorded_at
    FROM pg_temp.revacct_incoming_commitment AS i
         LEFT JOIN revacct_data.subject AS s ON s.subject_key = i.subject_key AND s.kind = i.subject_kind AND s.source_no = source_no;
    GET DIAGNOSTICS loaded = ROW_COUNT;
    known := read - loaded - rejected;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION _take_in(source text, fact text, alone boolean)
RETURNS TABLE (read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    number constant smallint := _source_number(source);
    moment timestamptz;
    write bigint;
BEGIN
    PERFORM _demand_access('{loader, steward, council}', 'record facts'), _open_intake(fact);
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'facts are recorded in read committed transactions'
            USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This one is %s.', current_setting('transaction_isolation')),
                  HINT = 'An older snapshot would not see what is on record already.';
    END IF;
    moment := _begin_write(number, alone);
    -- A load of several kinds of facts makes subjects before it is done with registering.
    IF fact = 'link' OR (alone AND EXISTS (SELECT FROM revacct_data.source AS s WHERE s.source_no = number AND num_nonnulls(s.links, s.money, s.commitments) > 0)) THEN
        PERFORM _lock_registrations();
    END IF;
    IF NOT alone AND fact IN ('money', 'commitment') THEN
        PERFORM pg_advisory_xact_lock(727304, hashtext(fact || number));
    END IF;
    write := nextval('revacct_data.load_load_id_seq');
    CASE fact
    WHEN 'event' THEN
        IF alone THEN
            ANALYZE pg_temp.revacct_incoming_event;
        ELSE
            PERFORM pg_advisory_xact_lock(727304, k.key)
            FROM (SELECT DISTINCT hashtext(number || u.key) AS key FROM pg_temp.revacct_incoming_event AS i, unnest(ARRAY[i.source_key, i.corrects]) AS u (key) WHERE u.key IS NOT NULL ORDER BY 1) AS k;
        END IF;
        SELECT * INTO read, loaded, known, rejected FROM _take_in_events(number, moment, write);
        IF loaded > 0 THEN
            INSERT INTO revacct_data.load (load_id, source_no, recorded_by, recorded_at) OVERRIDING SYSTEM VALUE VALUES (write, number, session_user, moment);
            INSERT INTO revacct_data.pending_load (load_id) VALUES (write);
        END IF;
        IF alone THEN
            TRUNCATE pg_temp.revacct_incoming_event;
        ELSE
            DELETE FROM pg_temp.revacct_incoming_event;
        END IF;
    WHEN 'link' THEN
        SELECT * INTO read, loaded, known, rejected FROM _take_in_links(number, moment, write);
        DELETE FROM pg_temp.revacct_incoming_link;
    WHEN 'money' THEN
        SELECT * INTO read, loaded, known, rejected FROM _take_in_money(number, moment, write);
        DELETE FROM pg_temp.revacct_incoming_money;
    WHEN 'commitment' THEN
        SELECT * INTO read, loaded, known, rejected FROM _take_in_commitments(number, moment, write);
        DELETE FROM pg_temp.revacct_incoming_commitment;
    END CASE;
    RETURN NEXT;
END $$;

CREATE OR REPLACE FUNCTION _open_reading(source text, fact text)
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

CREATE OR REPLACE FUNCTION _close_reading()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET client_min_messages = 'warning'
AS $$
BEGIN
    -- or nobody could drop what it reads while this session lasts
    DROP VIEW IF EXISTS pg_temp.revacct_reading;
END $$;

COMMENT ON FUNCTION _close_reading() IS 'Drops the temporary view revacct_reading. Runs with its owner''s rights: the view is its owner''s.';

CREATE OR REPLACE FUNCTION _demand_own(relation regclass)
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

CREATE OR REPLACE FUNCTION load(source text)
RETURNS TABLE (fact text, rows_read bigint, loaded bigint, known bigint, rejected bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
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

CREATE OR REPLACE FUNCTION _session_sees_all()
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT revacct._has_access('{analyst, steward, council}')
           OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user
                      AND (r.rolsuper OR r.oid = (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())));
END;

COMMENT ON FUNCTION _session_sees_all() IS 'Does the session''s user see every subject: analysts, stewards, the council, and who administers the database? Runs with its owner''s rights: readers have none on the tables.';

CREATE OR REPLACE FUNCTION _sees_all()
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT NOT revacct._in_maintenance() AND revacct._session_sees_all();
END;

COMMENT ON FUNCTION _sees_all() IS 'The same of a function that is called, as opposed to a view that is read: in the middle of maintenance, it is not the session''s user who calls.';

CREATE OR REPLACE FUNCTION _viewer_sees_all(viewer name)
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- Both who is logged in and as whom it reads: a materialized view is refreshed as its owner, by whoever refreshes all.
    WITH RECURSIVE belongs (oid) AS (
        SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = viewer
        UNION
        SELECT m.roleid FROM pg_catalog.pg_auth_members AS m JOIN belongs AS b ON m.member = b.oid
    )
    SELECT revacct._session_sees_all()
           AND (viewer = session_user
                OR EXISTS (SELECT FROM belongs AS b JOIN pg_catalog.pg_roles AS r ON r.oid = b.oid JOIN revacct_data.access AS a ON a.db_role = r.rolname::text WHERE a.level IN ('analyst', 'steward', 'council'))
                OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = viewer
                           AND (r.rolsuper OR r.oid = (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))));
END;

CREATE OR REPLACE FUNCTION _my_party_numbers(viewer name)
RETURNS bigint[]
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- oneself; the teams one is in; of those one leads, also who is in them
    WITH RECURSIVE held AS (
        SELECT r.party, r.role, (revacct._key_names(r.object))[1] AS team
        FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id)
        WHERE r.object_kind = 'party' AND r.role IN ('member', 'manager', 'approver') AND pg_catalog.upper_inf(i.recorded) AND i.valid @> revacct._now()
    ), mine (party, is_self, leads) AS (
        SELECT p.party, true, false FROM revacct_data.party AS p WHERE p.login = session_user
              -- whoever refreshes a materialized view of somebody else's does not put theirs into it
              AND (viewer = session_user OR NOT revacct._in_maintenance())
        UNION
        SELECT n.party, false, n.leads
        FROM mine AS m
             CROSS JOIN LATERAL (
                 -- of who is led, the teams they lead in turn, not those they are merely in
                 SELECT h.team AS party, h.role <> 'member' AS leads FROM held AS h WHERE h.party = m.party AND (m.is_self OR h.role <> 'member')
                 UNION ALL
                 SELECT h.party, false FROM held AS h WHERE h.team = m.party AND m.leads AND h.role = 'member') AS n
    )
    SELECT pg_catalog.array_agg(p.party_no) FROM revacct_data.party AS p WHERE p.party IN (SELECT m.party FROM mine AS m);
END;

COMMENT ON FUNCTION _my_party_numbers(name) IS 'The parties whose subjects the session''s user sees: itself, its teams, and the members of teams it leads. Runs with its owner''s rights: readers have none on the tables.';

CREATE OR REPLACE VIEW sla_status WITH (security_barrier) AS
    SELECT k.policy, k.lifecycle, k.source, k.subject_kind, k.subject_key, k.period_start, k.period, k.segment, k.lead_source, k.owner, k.clock_no, k.status, k.started_at, k.due_at, k.target_seconds, k.elapsed_seconds, k.remaining_seconds, k.overdue_seconds, k.fraction_used, k.at_risk_count, k.breach_count, k.policy_version, k.as_of, d.fingerprint AS definition_fingerprint
    FROM revacct_data.open_clock AS k JOIN revacct_data.reported_sla AS d USING (policy)
    WHERE (SELECT revacct._viewer_sees_all(current_user)) OR k.owner_no = ANY ((SELECT revacct._my_party_numbers(current_user))::bigint[]);

CREATE OR REPLACE VIEW event_log WITH (security_barrier) AS
    SELECT s.source, u.kind AS subject_kind, u.subject_key, e.occurred_at, e.recorded_at,
           CASE g.kind WHEN 'stage' THEN 'stage_entered' WHEN 'event' THEN (revacct._key_names(g.key))[1] ELSE 'retracted' END AS event,
           CASE WHEN g.kind = 'stage' THEN (revacct._key_names(g.key))[1] END AS lifecycle, CASE WHEN g.kind = 'stage' THEN (revacct._key_names(g.key))[2] END AS stage,
           code.code, party.party, actor.party AS actor,
           e.amount, e.currency, e.program, e.source_key, e.corrects, c.corrected_by, CASE WHEN c.corrected_by IS NULL THEN 1 ELSE 0 END AS counted_count
    FROM revacct_data.event AS e JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = e.source_no
         LEFT JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark
         LEFT JOIN revacct_data.code_name AS code ON code.code_no = e.code_no
         LEFT JOIN revacct_data.party AS party ON party.party_no = e.party_no
         LEFT JOIN revacct_data.party AS actor ON actor.party_no = e.actor_no
         LEFT JOIN revacct_data.correction AS c ON c.source_no = e.source_no AND c.source_key = e.source_key
         LEFT JOIN revacct_data.identity AS i ON i.subject_id = e.subject_id
    WHERE ((SELECT revacct._viewer_sees_all(current_user)) OR coalesce(i.same_as, e.subject_id) IN (SELECT p.subject_id FROM revacct_data.placement AS p JOIN revacct_data.cell AS v USING (cell_id)
                                                   WHERE v.owner_no = ANY ((SELECT revacct._my_party_numbers(current_user))::bigint[])));

COMMENT ON COLUMN event_log.event IS 'What happened: stage_entered, a kind of event, a field that was set (amount_set...), or retracted.';

CREATE OR REPLACE FUNCTION _flagged_moves(viewer name)
RETURNS TABLE (source text, subject_kind text, subject_key text, lifecycle text, from_stage text, to_stage text, occurred_at timestamptz, source_key text, rule_kind text, rule_key text,
               enforcement text, overridden boolean, message text, subject_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sees_all constant boolean := _viewer_sees_all(viewer);
    mine constant bigint[] := _my_party_numbers(viewer);
BEGIN
    -- who reads is told by the view, but anybody can call this
    IF _in_maintenance() THEN
        RAISE EXCEPTION 'exceptions are not read in the middle of maintenance'
            USING ERRCODE = 'feature_not_supported', HINT = 'Keep them in a table rather than in a materialized view.';
    END IF;
    RETURN QUERY
    SELECT s.source, b.subject_kind, u.subject_key, b.lifecycle, b.from_stage, b.to_stage, b.occurred_at, b.source_key, b.rule_kind, b.rule_key, b.enforcement, b.overridden, b.message, b.subject_id
    FROM _breaches(NULL, ARRAY(SELECT l.lifecycle FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id) WHERE upper_inf(i.recorded) AND i.valid @> _now())) AS b
         JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = b.source_no
         LEFT JOIN revacct_data.identity AS i ON i.subject_id = b.subject_id
    WHERE sees_all OR coalesce(i.same_as, b.subject_id) IN (SELECT p.subject_id FROM revacct_data.placement AS p JOIN revacct_data.cell AS v USING (cell_id) WHERE v.owner_no = ANY (mine));
END $$;

CREATE OR REPLACE VIEW rejected_facts WITH (security_barrier) AS
    SELECT s.source, r.fact, r.source_key, r.reason, r.rule_kind, r.rule_key, r.content::text AS content, r.rejected_at
    FROM revacct_data.rejected AS r JOIN revacct_data.source AS s USING (source_no)
    WHERE (SELECT revacct._viewer_sees_all(current_user) OR ((current_user = session_user OR NOT revacct._in_maintenance()) AND revacct._has_access('{loader}')));

CREATE OR REPLACE VIEW source_conflicts WITH (security_barrier) AS
    WITH told AS (
        SELECT i.same_as AS subject_id, CASE g.kind WHEN 'stage' THEN 'stage of ' || (revacct._key_names(g.key))[1] ELSE regexp_replace(replace((revacct._key_names(g.key))[1], 'assigned', 'owner'), '_set$', '') END AS field,
               e.source_no, e.occurred_at, e.seq, e.source_key,
               CASE g.kind WHEN 'stage' THEN (revacct._key_names(g.key))[2]
                    ELSE CASE WHEN g.key = 'assigned' THEN party.party WHEN (revacct._key_names(g.key))[1] = 'amount_set' THEN e.amount || coalesce(' ' || e.currency, '')
                              ELSE coalesce(code.code, e.details ->> 'value') END END AS value
        FROM revacct_data.identity AS i JOIN revacct_data.event AS e USING (subject_id) JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark
             LEFT JOIN revacct_data.code_name AS code ON code.code_no = e.code_no LEFT JOIN revacct_data.party AS party ON party.party_no = e.party_no
        WHERE (g.kind = 'stage' OR g.key = 'assigned' OR (revacct._key_names(g.key))[1] LIKE E'%\\_set')
          AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key)
    ), latest AS (
        SELECT DISTINCT ON (t.subject_id, t.field, t.source_no) t.*, u.kind
        FROM told AS t JOIN revacct_data.subject AS u USING (subject_id) WHERE t.value IS NOT NULL
        ORDER BY t.subject_id, t.field, t.source_no, t.occurred_at DESC, t.seq DESC NULLS LAST, t.source_key COLLATE "C" DESC
    ), ranked AS (
        SELECT l.*, s.source,
               first_value(l.value) OVER best AS chosen_value, first_value(s.source) OVER best AS chosen_source
        FROM latest AS l JOIN revacct_data.source AS s USING (source_no)
             LEFT JOIN LATERAL (SELECT min(f.priority) AS priority FROM revacct_data.field_rule AS f JOIN revacct_data.validity AS v USING (version_id)
                                WHERE f.rule = 'source' AND f.subject_kind = l.kind AND f.field = l.field AND f.source = s.source AND upper_inf(v.recorded) AND v.valid @> statement_timestamp()) AS agreed ON true
        WINDOW best AS (PARTITION BY l.subject_id, l.field ORDER BY agreed.priority NULLS LAST, s.priority, l.occurred_at DESC, s.source COLLATE "C")
    )
    SELECT s.source AS subject_source, r.kind AS subject_kind, u.subject_key, r.field, r.source, r.value AS told_value, r.occurred_at, r.chosen_source, r.chosen_value
    FROM ranked AS r JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = u.source_no
    WHERE r.value IS DISTINCT FROM r.chosen_value AND (SELECT revacct._viewer_sees_all(current_user));

COMMENT ON COLUMN source_conflicts.field IS 'The field: owner, amount, lead_source, stage of a lifecycle...';

CREATE OR REPLACE FUNCTION _text_as_instant(value text)
RETURNS timestamptz
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    part text[] := regexp_match(value, E'^\\s*([12]\\d{3})-(0[1-9]|1[0-2])-(0[1-9]|[12]\\d|3[01])(?:[ T]((?:[01]?\\d|2[0-3]):[0-5]\\d(?::[0-5]\\d(?:\\.\\d+)?)?)\\s*(Z|UTC|[+-](?:0\\d|1[0-5])(?::?[0-5]\\d)?)?)?\\s*$');
    year int;
    hour int;
BEGIN
    IF part IS NULL THEN
        -- month first, as Salesforce writes it at home, and spreadsheets after it
        part := regexp_match(value, E'^\\s*(0?[1-9]|1[0-2])/(0?[1-9]|[12]\\d|3[01])/([12]\\d{3}|\\d\\d)(?:,? +(\\d\\d?):([0-5]\\d)(:[0-5]\\d)?(?: ?([AaPp])[Mm])?)?\\s*$');
        year := part[3];
        hour := coalesce(part[4], '0');
        IF part[7] IS NOT NULL THEN
            hour := CASE WHEN hour BETWEEN 1 AND 12 THEN hour % 12 + CASE WHEN part[7] IN ('P', 'p') THEN 12 ELSE 0 END END;
        END IF;
        IF part IS NULL OR hour IS NULL OR hour > 23 THEN
            RETURN NULL;
        END IF;
        part := ARRAY[(CASE WHEN year < 70 THEN 2000 WHEN year < 100 THEN 1900 ELSE 0 END + year)::text, lpad(part[1], 2, '0'), lpad(part[2], 2, '0'),
                      format('%s:%s%s', lpad(hour::text, 2, '0'), coalesce(part[5], '00'), part[6]), NULL];
    END IF;
    IF part[3] > '28' AND part[3]::int > extract(day FROM make_date(part[1]::int, part[2]::int, 1) + interval '1 month -1 day') THEN
        RETURN NULL;
    END IF;
    -- The year first, and a zone: read alike in every session.
    RETURN format('%s-%s-%s %s%s', part[1], part[2], part[3], coalesce(part[4], '00:00'), coalesce(part[5], 'Z'))::timestamptz;
END;
$$;

CREATE OR REPLACE FUNCTION _landed_instant(value text)
RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Inlined into the views: what nearly all connectors write is cast at once, the rest is looked at.
    SELECT CASE WHEN value ~ E'^[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])[ T]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?(Z|[+-]0\\d:?00)$' THEN value::timestamptz
                WHEN value ~ E'^[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])([ T]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?)?$' THEN pg_catalog.timezone('UTC', value::timestamp)
                ELSE revacct._text_as_instant(value) END;
END;

CREATE OR REPLACE FUNCTION _landed_time(value text)
RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Inlined into the views. 12 or 13 digits are milliseconds since 1970.
    SELECT CASE WHEN value ~ E'^\\d{12,13}$' THEN timestamptz '1970-01-01 00:00:00+00' + value::pg_catalog.int8 * interval '1 millisecond' ELSE revacct._landed_instant(value) END;
END;

CREATE OR REPLACE FUNCTION _landed_number(value text)
RETURNS numeric
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN value ~ E'^\\s*[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,3})?\\s*$' THEN value::numeric END;
END;

CREATE OR REPLACE FUNCTION _landed_rows(name text, relation regclass, VARIADIC columns text[])
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- NOT MATERIALIZED: several branches of the view read it, each with conditions of its own
    SELECT format(E'%I AS NOT MATERIALIZED (\n    SELECT %s%s)', name,
               string_agg(format('%s AS %I', _landed_expression(relation, word.words[2], VARIADIC word.words[3:]), word.words[1]), ', '
                          ORDER BY c.no),
               CASE WHEN relation IS NULL THEN ' WHERE false' ELSE format(E'\n    FROM %s AS t', relation) END)
    FROM unnest(columns) WITH ORDINALITY AS c (text, no), LATERAL (SELECT regexp_split_to_array(btrim(c.text), E'[\\s,:]+') AS words) AS word;
END;

CREATE OR REPLACE FUNCTION _make_mapping_view(views text, name text, tables text[], branches text[], combine text, meaning text)
RETURNS regclass
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    body text := array_to_string(branches, format(E'\n%s\n', combine));
    ctes text := '';
    cte text;
BEGIN
    -- Only the CTEs that something reads, from the last on: one reads those before it.
    FOR i IN REVERSE cardinality(tables) .. 1 LOOP
        cte := tables[i];
        IF body ~ format(E'\\m%s\\M', split_part(cte, ' ', 1)) OR ctes ~ format(E'\\m%s\\M', split_part(cte, ' ', 1)) THEN
            ctes := cte || CASE WHEN ctes = '' THEN '' ELSE E',\n' END || ctes;
        END IF;
    END LOOP;
    EXECUTE format(E'CREATE OR REPLACE VIEW %I.%I AS\n%s%s', views, name, CASE WHEN ctes = '' THEN '' ELSE 'WITH ' || ctes || E'\n' END, body);
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, name, meaning);
    RETURN format('%I.%I', views, name)::regclass;
END $$;

CREATE OR REPLACE FUNCTION _one_line(remark text)
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.regexp_replace(remark, E'[\\x01-\\x1f\\x7f]+', ' ', 'g');

CREATE OR REPLACE FUNCTION _column_facts(relation regclass)
RETURNS TABLE (column_no int, name text, plain_name text, type text, sort text, has_zone boolean, sampled bigint, filled bigint, different bigint, middle text, first_value text, future bigint)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC' SET client_min_messages = 'error'
AS $$
#variable_conflict use_column
DECLARE
    moment constant text := E'^\\d{4}-\\d\\d-\\d\\d([ T]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?( ?(Z|[+-]\\d\\d(:?\\d\\d)?))?)?$';
    zoned constant text := E'^\\d{4}-\\d\\d-\\d\\d[ T]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)? ?(Z|[+-]\\d\\d(:?\\d\\d)?)$';
    told text;
BEGIN
    SELECT string_agg(format('(%s, nullif(left(r.%I::text, 1000), ''''))', a.attnum, a.attname), ', ' ORDER BY a.attnum) INTO told
    FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped;
    IF told IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($query$
        WITH sample AS MATERIALIZED (SELECT * FROM %1$s LIMIT 10000)
        SELECT a.attnum::int, a.attname::text, lower(regexp_replace(regexp_replace(a.attname, '__c$', ''), '([a-z0-9])([A-Z])', E'\\1_\\2', 'g')), format_type(a.atttypid, NULL),
               CASE WHEN a.atttypid = ANY ('{date, timestamp, timestamptz}'::regtype[]) THEN 'time'
                    WHEN coalesce(s.filled, 0) > 0 AND s.moments = s.filled AND t.typcategory = 'S' THEN 'time'
                    WHEN t.typcategory = 'N' OR a.atttypid = 'money'::regtype THEN 'number'
                    WHEN t.typcategory = 'S' AND coalesce(s.filled, 0) > 0 AND s.numbers = s.filled THEN 'number'
                    WHEN t.typcategory IN ('S', 'E') OR a.atttypid = 'uuid'::regtype THEN 'text' ELSE 'other' END,
               a.atttypid = 'timestamptz'::regtype OR (t.typcategory = 'S' AND coalesce(s.filled, 0) > 0 AND s.zoned = s.filled),
               coalesce(s.sampled, 0), coalesce(s.filled, 0), coalesce(s.different, 0), s.middle, s.first_value, coalesce(s.future, 0)
        FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
             LEFT JOIN (
                 SELECT u.no, count(*) AS sampled, count(u.v) AS filled, count(DISTINCT u.v) AS different, count(*) FILTER (WHERE u.v ~ %3$L) AS moments, count(*) FILTER (WHERE u.v ~ %4$L) AS zoned,
                        count(*) FILTER (WHERE u.v ~ E'^\\s*-?\\d+(\\.\\d+)?\\s*$') AS numbers, percentile_disc(0.5) WITHIN GROUP (ORDER BY u.v COLLATE "C") AS middle,
                        min(u.v COLLATE "C") AS first_value, count(*) FILTER (WHERE u.v ~ %3$L AND u.v COLLATE "C" > %5$L) AS future
                 FROM sample AS r, LATERAL (VALUES %2$s) AS u (no, v) GROUP BY u.no) AS s ON s.no = a.attnum
        WHERE a.attrelid = %6$s AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum$query$, relation, told, moment, zoned, to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS'), relation::oid);
END $$;

CREATE OR REPLACE FUNCTION suggest_mapping(relation regclass, source text DEFAULT NULL, lifecycle text DEFAULT NULL, subject_kind text DEFAULT 'opportunity')
RETURNS SETOF text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp SET datestyle = 'ISO, YMD' SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    most_values constant int := 200;
    ending constant text := E'^(closed[ _-]?)?(won|lost|win|loss|closed?|customer|converted|signed|paid|disqualified|unqualified|rejected|cancell?ed|abandoned|churned|expired|solved|resolved|done|completed?|dead|junk)\\y|\\y(won|lost)$';
    schema_name text;
    table_name text;
    own_events text;
    own_links text;
    facts jsonb;
    f record;
    times text[];          -- columns that tell when something happened
    ends text[];           -- of them, those that tell when it was over
    starts text[];         -- and the others, the earliest first
    kind_words text;
    key_column text;
    row_column text;
    stage_column text;
    pair_column text;
    created_column text;
    updated_column text;
    expected_column text;
    owner_column text;
    source_column text;
    segment_column text;
    amount_column text;
    currency_column text;
    account_column text;
    reason_column text;
    found text[];
    is_history boolean := false;
    is_unique boolean;
    changed text;          -- when what has no time of its own was so
    since text;            -- the first of its times
    until text;            -- the last of them
    suffix text;           -- what its key ends in
    stages jsonb := '[]';  -- stage, at (its column), n, is_end
    at_column record;
    arm text;
    remarks text[] := '{}';
    columns text[] := '{}';
    events jsonb[] := '{}';
    mapped record;
    known_events text;
    known_links text;
    use_events text;
    use_links text;
    use_money text;
    use_commitments text;
    joined text;
    undated text[] := '{}';
    i int;
BEGIN
    IF relation IS NULL THEN
        RAISE EXCEPTION 'a mapping is of a table or view' USING ERRCODE = 'null_value_not_allowed', HINT = 'SELECT suggest_mapping(''crm.deals'').';
    ELSIF subject_kind IS NULL OR subject_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case') THEN
        RAISE EXCEPTION 'unknown subject_kind: %', coalesce(subject_kind, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is account, person, lead, opportunity, contract, project or case.';
    END IF;
    SELECT n.nspname, c.relname INTO schema_name, table_name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = relation;
    source := coalesce(source, table_name);
    lifecycle := coalesce(lifecycle, subject_kind);
    own_events := format('%I.%I', schema_name, left(table_name, 50) || '_events');
    own_links := format('%I.%I', schema_name, left(table_name, 50) || '_links');
    SELECT jsonb_agg(to_jsonb(c)) INTO facts FROM _column_facts(relation) AS c;
    facts := coalesce(facts, '[]');

    -- Which column is what

    updated_column := (_columns_named(facts, '{time}', 'updated(_?(at|on|date))?|(last_?)?modified(_?(at|on|date|time))?|last_?updated(_?(at|on))?|update_?date|date_?(modified|updated)|write_date|system_?modstamp|hs_lastmodifieddate'))[1];
    created_column := (_columns_named(facts, '{time}', 'created?(_?(at|on|date|time|timestamp))?|date_?created|creation_?(date|time)|inserted_at',
        '(first_contact|opened|open|registered|registration|received|submitted|entered|added|inquiry|enquiry|sign_?up|start|started)(_?(at|on|date|time|timestamp))?|date_(opened|entered|added|received)'))[1];
    expected_column := (_columns_named(facts, '{time}', '(expected|estimated|forecast|target|planned)_?clos(e|ing|ure)?_?(date|at|on)?|date_deadline'))[1];
    -- a date of closing that lies in the future is what people expect
    found := ARRAY(SELECT c.name FROM jsonb_to_recordset(facts) AS c (name text, plain_name text, sort text, filled bigint, future bigint)
                   WHERE c.sort = 'time' AND c.future > 0.02 * c.filled AND c.plain_name ~ 'clos');
    IF expected_column IS NULL THEN
        expected_column := found[1];
    END IF;
    SELECT coalesce(array_agg(c.name ORDER BY c.middle COLLATE "C", c.column_no), '{}'), coalesce(array_agg(c.name ORDER BY c.middle COLLATE "C", c.column_no) FILTER (WHERE c.plain_name ~ '(clos|^won|_won|lost|^end|_end|finish|resolved|solved|complet|convert|cancel|churn)'), '{}')
    INTO times, ends
    FROM jsonb_to_recordset(facts) AS c (column_no int, name text, plain_name text, sort text, middle text)
    WHERE c.sort = 'time' AND c.name IS DISTINCT FROM updated_column AND c.name IS DISTINCT FROM expected_column AND c.name <> ALL (found)
      AND c.plain_name !~ '^_|synced|loaded|extracted|ingested|^last_?|_last_|next_|due|deadline|expected|estimated|forecast|target|planned|birth|valid_(from|to|until)|remind|renew|expir';
    starts := ARRAY(SELECT t.name FROM unnest(times) WITH ORDINALITY AS t (name, no) WHERE t.name <> ALL (ends) ORDER BY t.name IS DISTINCT FROM created_column, t.no);

    remarks := remarks || ARRAY(SELECT format('%s is no time as it stands: it holds texts such as %L. Make a view that casts it.', c.name, c.first_value)
                                FROM jsonb_to_recordset(facts) AS c (column_no int, name text, plain_name text, sort text, filled bigint, first_value text)
                                WHERE c.sort = 'text' AND c.filled > 0 AND c.plain_name ~ '(^|_)(date|time|timestamp|at|on)$|date$' ORDER BY c.column_no);

    found := _columns_named(facts, '{text}', '(deal|opportunity|pipeline|sales|lifecycle)?_?stage(_?name)?', 'status(_?name)?|(lead|deal|hs_lead|ticket)_?status|phase|state', '.*_(stage|status|phase)');
    SELECT t.name INTO stage_column
    FROM unnest(found) WITH ORDINALITY AS t (name, no) JOIN jsonb_to_recordset(facts) AS c (name text, different bigint) USING (name)
    WHERE c.different BETWEEN 1 AND 50 ORDER BY t.no LIMIT 1;
    IF stage_column IS NULL AND found <> '{}' THEN
        remarks := remarks || format('is %s the stage? It holds no value, or more than 50 different ones.', found[1]);
    END IF;

    kind_words := CASE subject_kind WHEN 'opportunity' THEN 'opportunity|opp|deal|ticket' WHEN 'lead' THEN 'lead|mql|sql|inquiry|enquiry|prospect' WHEN 'account' THEN 'account|company|customer|organi[sz]ation|client'
                                    WHEN 'person' THEN 'person|contact|user' WHEN 'contract' THEN 'contract|subscription' WHEN 'project' THEN 'project|job|engagement' ELSE 'case|ticket|incident|issue|request' END;
    found := _columns_named(facts, '{text, number}', '(' || kind_words || ')_?(id|key|no|number|uuid|ref)', 'id|key|uuid|guid|external_id|record_id', kind_words || '|number|no|code', '.*_(id|key|uuid|number|no)')
             || ARRAY(SELECT c.name FROM jsonb_to_recordset(facts) AS c (name text, sort text, sampled bigint, filled bigint, different bigint, column_no int)
                      WHERE c.sort IN ('text', 'number') AND c.sampled > 0 AND c.different = c.sampled ORDER BY c.column_no);
    -- the primary key is it, unless a column is named for the subject
    SELECT a.attname INTO key_column
    FROM pg_index AS x JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[0] WHERE x.indrelid = relation AND x.indisprimary AND x.indnkeyatts = 1;
    IF key_column IS NULL OR _columns_named(facts, '{text, number}', '(' || kind_words || ')_?(id|key|no|number|uuid|ref)') <> '{}' THEN
        row_column := key_column;
        key_column := found[1];
    END IF;
    SELECT c.sampled = c.different INTO is_unique FROM jsonb_to_recordset(facts) AS c (name text, sampled bigint, different bigint) WHERE c.name = key_column;
    pair_column := (_columns_named(facts, '{time}', '(stage|status)_?(changed?|entered|entry|updated|modified|start)?_?(at|on|date|time|timestamp)|(date|time)_?entered_?(stage|status)|last_?(stage|status)_?changed?(_?(at|on|date))?|entered_stage(_at)?',
                    'changed?(_?(at|on|date|time))?|entered_?(at|on)|occurred_?(at|on)'))[1];
    IF NOT is_unique AND stage_column IS NOT NULL AND coalesce(pair_column, created_column, times[1]) IS NOT NULL THEN
        is_history := true;
        pair_column := coalesce(pair_column, created_column, times[1]);
        row_column := coalesce(row_column, (SELECT c.name FROM jsonb_to_recordset(facts) AS c (name text, sort text, sampled bigint, different bigint, column_no int)
                                            WHERE c.sort IN ('text', 'number') AND c.different = c.sampled AND c.name <> key_column ORDER BY c.name ~* 'id$' DESC, c.column_no LIMIT 1));
        times := ARRAY[pair_column];
        starts := times;
        ends := '{}';
        updated_column := NULL;
    ELSE
        row_column := NULL;
        IF pair_column IS NOT NULL THEN
            times := array_remove(times, pair_column);
            starts := array_remove(starts, pair_column);
            ends := array_remove(ends, pair_column);
        END IF;
    END IF;

    found := _columns_named(facts, '{text, number}', '(deal|lead|opportunity|account|hubspot|record)?_?owner(_?(id|name|key))?', '(sales_?)?(agent|rep|person)(_?(id|name))?|salesperson(_?(id|name))?|sales_?representative',
        'assign(ed_?to|ee|ed_user)(_?(id|name))?|account_?(executive|manager)(_?(id|name))?|responsible(_?(id|name))?|ae|closer|sr(_id)?', 'user_?id|(sdr|bdr)(_?id)?|created_?by(_?id)?');
    owner_column := found[1];
    remarks := remarks || CASE WHEN owner_column IS NULL THEN ARRAY[format('which column says who owns it? candidates: %s.', coalesce(
                                   (SELECT string_agg(c.name, ', ' ORDER BY c.column_no) FROM jsonb_to_recordset(facts) AS c (name text, sort text, sampled bigint, different bigint, column_no int)
                                    WHERE c.sort = 'text' AND c.different BETWEEN 2 AND c.sampled / 3 AND c.name IS DISTINCT FROM stage_column), 'none'))]
                               WHEN cardinality(found) > 1 THEN ARRAY[format('the owner may also be in: %s.', array_to_string(found[2:], ', '))] ELSE '{}' END;

    found := _columns_named(facts, '{text}', 'lead_?source(_?name)?|original_source', '(lead_)?(source|origin)(_?name)?|hs_analytics_source|utm_source', '(marketing_|acquisition_)?channel|medium|utm_medium');
    SELECT t.name INTO source_column FROM unnest(found) WITH ORDINALITY AS t (name, no) JOIN jsonb_to_recordset(facts) AS c (name text, different bigint) USING (name)
    WHERE c.different <= most_values ORDER BY t.no LIMIT 1;
    IF source_column IS NULL THEN
        remarks := remarks || coalesce('is the lead source in ' || found[1] || format('? It has more than %s different values.', most_values), 'no column says where it came from (lead_source).');
    END IF;

    found := _columns_named(facts, '{text}', '(.*_)?segment', 'sector|industry|vertical|market', '((lead|deal|opportunity|account|customer|business)_)?type|tier|size(_band)?', 'product(_?(line|family|name))?|region|territory|country|pipeline');
    found := ARRAY(SELECT t.name FROM unnest(found) WITH ORDINALITY AS t (name, no) JOIN jsonb_to_recordset(facts) AS c (name text, different bigint) USING (name)
                   WHERE c.different BETWEEN 1 AND most_values AND t.name IS DISTINCT FROM stage_column ORDER BY t.no);
    segment_column := found[1];
    IF segment_column IS NULL THEN
        remarks := remarks || 'no column looks like a segment (segment, industry, type...).'::text;
    ELSIF cardinality(found) > 1 THEN
        remarks := remarks || format('the segment may also be: %s.', array_to_string(found[2:], ', '));
    END IF;

    amount_column := (_columns_named(facts, '{number}', 'amount|(deal|opportunity|total|contract|net|converted)_?amount', '(deal|close|closed|won|contract|opportunity)_?value|value', '.*_amount|expected_?revenue|acv|tcv|arr|mrr'))[1];
    IF amount_column IS NULL THEN
        found := _columns_named(facts, '{number}', '.*(revenue|price|value|total|cost|budget)');
        remarks := remarks || ('no column is called amount or deal value' || CASE WHEN found <> '{}' THEN ': is it one of ' || array_to_string(found, ', ') || '?' ELSE '.' END);
    END IF;
    currency_column := (_columns_named(facts, '{text}', '(deal_?)?currency(_?(iso)?_?(code|name))?'))[1];
    reason_column := (_columns_named(facts, '{text}', '(loss|lost|win|won|close|closed)_?reason(_?name)?|disposition|reason'))[1];
    IF reason_column IS NOT NULL AND (SELECT c.different FROM jsonb_to_recordset(facts) AS c (name text, different bigint) WHERE c.name = reason_column) > most_values THEN
        remarks := remarks || format('%s has more than %s different values: it looks like free text, and is left out.', reason_column, most_values);
        reason_column := NULL;
    END IF;
    account_column := CASE WHEN subject_kind <> 'account' THEN
        (_columns_named(facts, '{text, number}', '(account|company|customer|client|organi[sz]ation|partner)_?(id|key)', '(account|company|customer|client|organi[sz]ation)(_?name)?'))[1] END;
    IF account_column = key_column THEN
        account_column := NULL;
    END IF;

    -- Head

    RETURN NEXT _one_line(format('-- A first mapping of %s as facts of source %L, written by suggest_mapping() from the first %s rows.', relation, source,
                                 coalesce((facts -> 0 ->> 'sampled'), '0')));
    RETURN NEXT '-- Read it, alter it, run it: running it again replaces the view, and load() takes only what is new.';
    IF key_column IS NULL OR (times = '{}' AND pair_column IS NULL) THEN
        IF key_column IS NULL THEN
            RETURN NEXT _one_line(format('-- Which column is the key of the %s? None is named so, and none has a value of its own in each row. Columns: %s.', subject_kind,
                                                                       coalesce((SELECT string_agg(c.name, ', ' ORDER BY c.column_no) FROM jsonb_to_recordset(facts) AS c (name text, column_no int)), 'none')));
        END IF;
        IF times = '{}' AND pair_column IS NULL THEN
            RETURN NEXT '-- When did it happen? No column holds dates or times of what happened. Without them there are no events.';
        END IF;
        FOREACH arm IN ARRAY remarks LOOP
            RETURN NEXT _one_line('-- ' || arm);
        END LOOP;
        RETURN NEXT '-- Make a view that has both, and ask again for that.';
        RETURN;
    END IF;
    IF NOT coalesce(is_unique, true) AND NOT is_history THEN
        remarks := remarks || format('%s is not different in each row: rows of one key meet, and the same event told otherwise is set aside.', key_column);
    END IF;
    RETURN NEXT format('-- source_key: an event keeps its key for ever. Where a value or date is part of it, an edited one is a new event; where not, the edited row is set aside and told (rejected_facts).');
    FOREACH arm IN ARRAY remarks LOOP
        RETURN NEXT _one_line('-- ' || arm);
    END LOOP;

    -- The table, read once, in our terms

    columns := ARRAY[format('r.%I%s AS subject_key', key_column, CASE WHEN (SELECT c.type FROM jsonb_to_recordset(facts) AS c (name text, type text) WHERE c.name = key_column) <> 'text' THEN '::text' ELSE '' END),
                     format('%L || r.%I::text', table_name || '/', coalesce(row_column, key_column))];
    FOR f IN
        SELECT t.role, c.name, c.type, c.sort, c.has_zone
        FROM (VALUES (1, 'stage', stage_column), (2, 'owner', owner_column), (3, 'lead_source', source_column), (4, 'segment', segment_column), (5, 'amount', amount_column),
                     (6, 'currency', currency_column), (7, 'reason', reason_column)) AS t (no, role, name)
             JOIN jsonb_to_recordset(facts) AS c (name text, type text, sort text, has_zone boolean) USING (name)
        ORDER BY t.no
    LOOP
        columns := columns || format(CASE WHEN f.role = 'amount' AND f.type ~ '^(text|character)' THEN 'nullif(btrim(r.%I), '''')::numeric AS %s' WHEN f.role = 'amount' THEN 'r.%I::numeric AS %s'
                                          WHEN f.type IN ('text', 'character varying') THEN 'nullif(r.%I::text, '''') AS %s' ELSE 'r.%I::text AS %s' END, f.name, f.role);
    END LOOP;
    FOR f IN
        SELECT c.name, c.type, c.has_zone
        FROM jsonb_to_recordset(facts) AS c (column_no int, name text, type text, has_zone boolean)
        WHERE c.name = ANY (times || ARRAY[pair_column, updated_column, expected_column]) ORDER BY c.column_no
    LOOP
        arm := CASE WHEN f.type ~ '^(text|character)' AND f.has_zone THEN format('nullif(r.%I, '''')::timestamptz', f.name)
                    WHEN f.type ~ '^(text|character)' THEN format('nullif(r.%I, '''')::timestamp AT TIME ZONE ''UTC''', f.name)
                    WHEN f.has_zone THEN format('r.%I', f.name)
                    WHEN f.type = 'date' THEN format('r.%I::timestamp AT TIME ZONE ''UTC''', f.name)
                    ELSE format('r.%I AT TIME ZONE ''UTC''', f.name) END;
        IF is_history AND row_column IS NULL AND f.name = pair_column THEN
            columns[2] := columns[2] || format(' || ''/'' || extract(epoch FROM %s)', arm);
        END IF;
        columns := columns || (arm || format(' AS %I', f.name) || CASE WHEN NOT f.has_zone THEN ' -- in which time zone?' ELSE '' END);
    END LOOP;
    columns[2] := columns[2] || ' AS row_key';
    RETURN NEXT format('CREATE OR REPLACE VIEW %s', own_events);
    RETURN NEXT '    (subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, code_list, party, amount, currency, details) AS';
    RETURN NEXT 'WITH landed AS NOT MATERIALIZED (';
    FOR i IN 1 .. cardinality(columns) LOOP
        arm := regexp_replace(columns[i], ' -- in which time zone[?]$', CASE WHEN i < cardinality(columns) THEN ',' ELSE '' END || '  -- in which time zone?');
        RETURN NEXT CASE i WHEN 1 THEN '    SELECT ' ELSE '           ' END || arm || CASE WHEN i < cardinality(columns) AND arm = columns[i] THEN ',' ELSE '' END;
    END LOOP;
    RETURN NEXT format('    FROM %I.%I AS r', schema_name, table_name);
    RETURN NEXT ')';

    -- Which stage was entered when

    IF stage_column IS NOT NULL THEN
        EXECUTE format($query$
            WITH sample AS MATERIALIZED (SELECT * FROM %1$s LIMIT 10000)
            SELECT coalesce(jsonb_agg(to_jsonb(v)), '[]')
            FROM (SELECT s.stage, count(*) AS n, s.stage ~* %4$L AS is_end,
                         (SELECT jsonb_object_agg(a.name, a.filled) FROM (SELECT u.name, count(u.v) AS filled FROM sample AS o, LATERAL (VALUES %3$s) AS u (name, v) WHERE o.%2$I::text = s.stage GROUP BY u.name) AS a) AS filled
                  FROM (SELECT r.%2$I::text AS stage FROM sample AS r WHERE r.%2$I::text <> '') AS s GROUP BY s.stage) AS v$query$,
            relation, stage_column, coalesce((SELECT string_agg(format('(%L, nullif(o.%I::text, ''''))', t.name, t.name), ', ') FROM unnest(times) AS t (name)), '(NULL, NULL)'), ending)
        INTO stages;
        SELECT jsonb_agg(v.stage_fact || jsonb_build_object('at', CASE WHEN pair_column IS NOT NULL THEN pair_column ELSE (
                   SELECT t.name
                   FROM unnest(CASE WHEN NOT (v.stage_fact ->> 'is_end')::boolean THEN starts WHEN ends <> '{}' THEN ends ELSE array_remove(starts, created_column) END) AS t (name)
                        JOIN jsonb_to_recordset(facts) AS c (name text, filled bigint, middle text, column_no int) USING (name)
                   WHERE coalesce((v.stage_fact -> 'filled' ->> t.name)::bigint, 0) >= 0.9 * (v.stage_fact ->> 'n')::bigint
                   ORDER BY _names_itself(v.stage_fact ->> 'stage', t.name) DESC, c.filled, c.middle COLLATE "C" DESC, c.column_no LIMIT 1) END))
        INTO stages FROM jsonb_array_elements(stages) AS v (stage_fact);
    ELSE
        -- each time is a stage
        SELECT coalesce(jsonb_agg(jsonb_build_object('stage', coalesce(nullif(regexp_replace(c.plain_name, '_?(at|on|date|time|timestamp|datetime)$|^date_', ''), ''), c.plain_name),
                                                     'n', c.filled, 'is_end', t.name = ANY (ends), 'at', t.name)), '[]') INTO stages
        FROM unnest(times) AS t (name) JOIN jsonb_to_recordset(facts) AS c (name text, plain_name text, filled bigint) USING (name);
    END IF;
    stages := coalesce(stages, '[]');

    -- The events. What has no time of its own was so when the row was changed last, or else from the first of its times on.

    found := starts || ends;
    IF found = '{}' THEN
        found := ARRAY[pair_column];
    END IF;
    since := CASE WHEN is_history THEN quote_ident(pair_column) ELSE _first_of(found) END;
    until := CASE WHEN is_history THEN quote_ident(pair_column)
                  ELSE _first_of(ARRAY(SELECT t.name FROM unnest(found) WITH ORDINALITY AS t (name, no) ORDER BY t.no DESC)) END;
    changed := coalesce(quote_ident(updated_column), since);
    suffix := CASE WHEN updated_column IS NOT NULL THEN format(' || ''/'' || extract(epoch FROM %s)', changed) ELSE '' END;

    IF is_history THEN
        events := events || jsonb_build_object('remark', 'created: when it is first heard of', 'event', '''created''', 'occurred_at', format('min(%s)', since), 'dated', since, 'group', 'subject_key',
                                               'source_key', format('%L || subject_key || ''/created''', table_name || '/'));
        events := events || jsonb_build_object('remark', 'the stages it went through', 'event', '''stage_entered''', 'occurred_at', since, 'dated', since, 'source_key', 'row_key || ''/stage''',
                                               'lifecycle', quote_literal(lifecycle), 'stage', 'stage', 'where', 'stage IS NOT NULL');
    ELSE
        IF starts <> '{}' THEN
            events := events || jsonb_build_object('remark', CASE WHEN starts[1] = created_column THEN 'created' ELSE 'created: the first date that is known' END, 'event', '''created''',
                                                   'occurred_at', quote_ident(starts[1]), 'dated', quote_ident(starts[1]), 'source_key', 'row_key || ''/created''');
        END IF;
        IF stage_column IS NOT NULL AND pair_column IS NOT NULL THEN
            events := events || jsonb_build_object(
                'remark', format('the stage it is in, since %s%s', pair_column, CASE WHEN starts || ends <> '{}' THEN format('; do %s tell of stages before it?', array_to_string(starts || ends, ', ')) ELSE '' END),
                'event', '''stage_entered''', 'occurred_at', quote_ident(pair_column), 'dated', quote_ident(pair_column),
                'source_key', format('row_key || ''/stage/'' || stage || ''/'' || extract(epoch FROM %I)', pair_column), 'lifecycle', quote_literal(lifecycle), 'stage', 'stage', 'where', 'stage IS NOT NULL');
        ELSE
            FOR at_column IN
                SELECT s.at AS name, array_agg(s.stage ORDER BY s.n DESC, s.stage COLLATE "C") AS names, s.is_end
                FROM jsonb_to_recordset(stages) AS s (stage text, n bigint, is_end boolean, at text) WHERE s.at IS NOT NULL
                GROUP BY s.at, s.is_end ORDER BY array_position(starts || ends, s.at), s.is_end
            LOOP
                IF stage_column IS NULL OR (cardinality(at_column.names) = 1 AND NOT at_column.is_end) THEN
                    events := events || jsonb_build_object(
                        'remark', format('%s: whoever has %s entered it then', at_column.names[1], at_column.name), 'event', '''stage_entered''', 'occurred_at', quote_ident(at_column.name),
                        'dated', quote_ident(at_column.name), 'source_key', format('row_key || %L || extract(epoch FROM %I)', '/stage/' || at_column.names[1] || '/', at_column.name),
                        'lifecycle', quote_literal(lifecycle), 'stage', quote_literal(at_column.names[1]));
                ELSE
                    events := events || jsonb_build_object(
                        'remark', format('the stage it is in, since %s', at_column.name), 'event', '''stage_entered''', 'occurred_at', quote_ident(at_column.name), 'dated', quote_ident(at_column.name),
                        'source_key', format('row_key || ''/stage/'' || stage || ''/'' || extract(epoch FROM %I)', at_column.name), 'lifecycle', quote_literal(lifecycle), 'stage', 'stage',
                        'where', format('stage IN (%s)', (SELECT string_agg(quote_literal(n.name), ', ' ORDER BY n.no) FROM unnest(at_column.names) WITH ORDINALITY AS n (name, no))));
                END IF;
            END LOOP;
            FOR at_column IN
                SELECT s.stage AS name, s.n FROM jsonb_to_recordset(stages) AS s (stage text, n bigint, at text) WHERE s.at IS NULL ORDER BY s.n DESC, s.stage COLLATE "C"
            LOOP
                undated := undated || format('stage %L (%s rows): no column tells when it was entered.', at_column.name, at_column.n);
            END LOOP;
        END IF;
    END IF;
    IF owner_column IS NOT NULL THEN
        events := events || jsonb_build_object(
            'remark', 'who owns it' || CASE WHEN updated_column IS NOT NULL THEN ', as of its last change' WHEN is_history THEN '' ELSE '; who owns it later is set aside and told: is there a history of owners?' END,
            'event', '''assigned''', 'occurred_at', changed, 'dated', changed, 'source_key', 'row_key || ''/owner''' || suffix, 'party', 'owner', 'where', 'owner IS NOT NULL');
    END IF;
    IF source_column IS NOT NULL THEN
        events := events || jsonb_build_object(
            'remark', 'where it came from: the first that is told counts; an empty one is none, "unknown" is one', 'event', '''field_set''', 'occurred_at', since, 'dated', since,
            'source_key', 'row_key || ''/lead_source''', 'field', '''lead_source''', 'code', 'lead_source', 'where', 'lead_source IS NOT NULL');
    END IF;
    IF segment_column IS NOT NULL THEN
        events := events || jsonb_build_object(
            'remark', 'its segment: the last that is told counts', 'event', '''field_set''', 'occurred_at', changed, 'dated', changed,
            'source_key', 'row_key || ''/segment''' || suffix, 'field', '''segment''', 'code', 'segment', 'where', 'segment IS NOT NULL');
    END IF;
    IF amount_column IS NOT NULL THEN
        events := events || jsonb_build_object(
            'remark', 'its amount: the last that is told counts' || CASE WHEN currency_column IS NULL THEN '; in which currency? Without one, amounts are not added up' ELSE '' END, 'event', '''field_set''',
            'occurred_at', coalesce(quote_ident(updated_column), until), 'dated', coalesce(quote_ident(updated_column), until),
            'source_key', CASE WHEN is_history THEN 'row_key || ''/amount''' ELSE format('row_key || ''/amount/'' || extract(epoch FROM %s)', coalesce(quote_ident(updated_column), until)) END,
            'field', '''amount''', 'amount', 'amount', 'currency', CASE WHEN currency_column IS NOT NULL THEN 'currency' END, 'where', 'amount IS NOT NULL');
    END IF;
    IF expected_column IS NOT NULL THEN
        events := events || jsonb_build_object(
            'remark', format('when it is expected to close; each date once: %s', expected_column), 'event', '''field_set''', 'occurred_at', changed, 'dated', changed,
            'source_key', format('row_key || ''/expected_close/'' || extract(epoch FROM %I)', expected_column) || suffix, 'field', '''expected_close''',
            'details', format('jsonb_build_object(''value'', to_char(%I AT TIME ZONE ''UTC'', ''YYYY-MM-DD''))', expected_column), 'where', format('%I IS NOT NULL', expected_column));
    END IF;
    IF reason_column IS NOT NULL THEN
        arm := coalesce(_first_of(NULLIF(ends, '{}')), changed);
        events := events || jsonb_build_object(
            'remark', 'why it ended', 'event', '''disposition_set''', 'occurred_at', arm, 'dated', arm, 'source_key', format('row_key || ''/reason/'' || extract(epoch FROM %s)', arm), 'code', 'reason',
            'code_list', quote_literal(CASE WHEN reason_column ~* 'los' THEN 'loss_reason' WHEN reason_column ~* 'w[io]n' THEN 'win_reason' ELSE 'disposition' END), 'where', 'reason IS NOT NULL');
    END IF;
    FOR i IN 1 .. cardinality(events) LOOP
        RETURN NEXT _one_line('-- ' || (events[i] ->> 'remark'));
        RETURN NEXT _event_select(i = 1, subject_kind, events[i]) || CASE WHEN i = cardinality(events) THEN ';' ELSE '' END;
        IF i < cardinality(events) THEN
            RETURN NEXT 'UNION ALL';
        END IF;
    END LOOP;
    FOREACH arm IN ARRAY undated LOOP
        RETURN NEXT _one_line('-- ' || arm);
    END LOOP;
    IF account_column IS NOT NULL THEN
        RETURN NEXT '';
        RETURN NEXT '-- whose it is';
        RETURN NEXT format('CREATE OR REPLACE VIEW %s (from_kind, from_key, to_kind, to_key, role) AS', own_links);
        RETURN NEXT format('SELECT DISTINCT %L, r.%I::text, ''account'', r.%I::text, ''account'' FROM %I.%I AS r WHERE r.%I::text <> '''' AND r.%I::text <> '''';', subject_kind, key_column, account_column,
                           schema_name, table_name, key_column, account_column);
    END IF;

    -- The source: what is mapped already stays

    BEGIN
        FOR mapped IN SELECT m.fact, m.relation FROM _mapped(source) AS m LOOP
            CASE mapped.fact WHEN 'event' THEN known_events := mapped.relation; WHEN 'link' THEN known_links := mapped.relation;
                             WHEN 'money' THEN use_money := mapped.relation; ELSE use_commitments := mapped.relation; END CASE;
        END LOOP;
    EXCEPTION WHEN undefined_object THEN
        NULL;
    END;
    FOR mapped IN
        SELECT v.fact, v.own, v.known, v.joined
        FROM (VALUES ('event', own_events, known_events, format('%I.%I', schema_name, left(source, 25) || '_with_' || left(table_name, 25) || '_events')),
                     ('link', CASE WHEN account_column IS NOT NULL THEN own_links END, known_links, format('%I.%I', schema_name, left(source, 25) || '_with_' || left(table_name, 25) || '_links'))) AS v (fact, own, known, joined)
    LOOP
        joined := coalesce(mapped.known, mapped.own);
        IF mapped.own IS NOT NULL AND mapped.known IS NOT NULL AND to_regclass(mapped.known) IS NOT NULL
           AND NOT coalesce(_is_within(to_regclass(mapped.own), to_regclass(mapped.known)), false) THEN
            joined := mapped.joined;
            RETURN NEXT '';
            RETURN NEXT _one_line(format('-- Source %L is mapped to %s already: both together. Is the key of a subject the same in both?', source, mapped.known));
            RETURN NEXT format('CREATE OR REPLACE VIEW %s AS', joined);
            RETURN NEXT (SELECT 'SELECT ' || string_agg(CASE WHEN a.attname IS NULL THEN format('NULL::%s AS %I', c.type, c.name) ELSE quote_ident(c.name) END, ', ') || ' FROM ' || mapped.known
                         FROM _fact_columns(mapped.fact) WITH ORDINALITY AS c (name, type, is_needed, no)
                              LEFT JOIN pg_attribute AS a ON a.attrelid = to_regclass(mapped.known) AND a.attname = c.name AND NOT a.attisdropped);
            RETURN NEXT 'UNION ALL';
            RETURN NEXT (SELECT 'SELECT ' || string_agg(CASE WHEN c.name = ANY (CASE mapped.fact WHEN 'event' THEN '{subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, code_list, party, amount, currency, details}'
                                                                                 ELSE '{from_kind, from_key, to_kind, to_key, role}'::text[] END) THEN quote_ident(c.name) ELSE 'NULL' END, ', ') || ' FROM ' || mapped.own || ';'
                         FROM _fact_columns(mapped.fact) AS c);
        END IF;
        IF mapped.fact = 'event' THEN
            use_events := joined;
        ELSE
            use_links := joined;
        END IF;
    END LOOP;
    RETURN NEXT '';
    RETURN NEXT format('SELECT revacct.map_source(%L, %s);', source, concat_ws(', ', 'events => ' || quote_literal(use_events), 'links => ' || quote_literal(use_links),
                                                                               'money => ' || quote_literal(use_money), 'commitments => ' || quote_literal(use_commitments)));
    RETURN NEXT format('SELECT * FROM revacct.check_mapping(%L);', source);
    RETURN NEXT format('SELECT * FROM revacct.load(%L);', source);
    RETURN NEXT 'SELECT * FROM revacct.refresh(false);';

    -- The model, to be completed

    RETURN NEXT '';
    RETURN NEXT '-- What the stages mean is to be agreed: complete this, take out the comment signs, and let somebody else approve it. Are they in order? category is open, won, lost, no_decision,';
    RETURN NEXT '-- recycled, active or churned; effective_at is the first date in the sample.';
    RETURN NEXT _one_line(format('-- SELECT revacct.draft_change(%L, effective_at => %L, retroactive => true);', 'The ' || lifecycle || ' lifecycle',
                                 (SELECT left(min(c.first_value COLLATE "C"), 10) FROM jsonb_to_recordset(facts) AS c (name text, first_value text) WHERE c.name = ANY (times || pair_column))));
    RETURN NEXT _one_line(format('-- SELECT revacct.define_lifecycle(%L, subject_kind => %L, time_zone => ''UTC'');', lifecycle, subject_kind));
    i := 0;
    FOR f IN
        SELECT v.*
        FROM (SELECT s.stage, s.n, s.at, CASE WHEN s.stage ~* E'\\y(won|win|customer|converted|signed|paid|solved|resolved|done|completed?)\\y' THEN 'won'
                                              WHEN s.stage ~* E'\\y(no[ _-]?decision|abandoned|expired)\\y' THEN 'no_decision' WHEN s.stage ~* 'recycl|nurtur' THEN 'recycled'
                                              WHEN s.stage ~* 'churn' THEN 'churned' WHEN s.is_end THEN 'lost' ELSE 'open' END AS category
              FROM jsonb_to_recordset(stages) AS s (stage text, n bigint, at text, is_end boolean)) AS v
        ORDER BY array_position('{open, won}', v.category) NULLS LAST, array_position(starts || ends, v.at) NULLS FIRST, v.n DESC, v.stage COLLATE "C"
    LOOP
        i := i + 10;
        RETURN NEXT _one_line(format('-- SELECT revacct.define_stage(%L, %L, %s%s);  -- %s rows', lifecycle, f.stage, i, CASE WHEN f.category <> 'open' THEN format(', %L', f.category) ELSE '' END, f.n));
    END LOOP;
    RETURN NEXT '-- SELECT revacct.propose_change();';
END $$;

CREATE OR REPLACE FUNCTION check_mapping(source text)
RETURNS TABLE (problem text, row_count bigint, example text)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp SET timezone = 'UTC'
AS $$
#variable_conflict use_column
DECLARE
    kinds constant text := '''{account, person, lead, opportunity, contract, project, case}''';
    mapped record;
    has text[];
    told text;
BEGIN
    FOR mapped IN SELECT m.fact, m.relation FROM _mapped(check_mapping.source) AS m LOOP
        IF to_regclass(mapped.relation) IS NULL THEN
            RAISE EXCEPTION 'relation % does not exist', mapped.relation
                USING ERRCODE = 'undefined_table', DETAIL = format('Source "%s" is mapped to it.', check_mapping.source), HINT = 'Make it again, or map the source anew.';
        END IF;
        PERFORM _check_mapping(mapped.fact, mapped.relation::regclass), _open_reading(check_mapping.source, mapped.fact);
        PERFORM _demand_own('pg_temp.revacct_reading'::regclass), _check_mapping(mapped.fact, 'pg_temp.revacct_reading'::regclass);
        has := ARRAY(SELECT a.attname::text FROM pg_attribute AS a WHERE a.attrelid = 'pg_temp.revacct_reading'::regclass AND a.attnum > 0 ORDER BY a.attnum);
        -- all columns, those that are not there as NULL
        SELECT format('(SELECT %s FROM pg_temp.revacct_reading) AS r', string_agg(CASE WHEN c.name = ANY (has) THEN format('%I::%s', c.name, c.type) ELSE 'NULL::' || c.type END || ' AS ' || quote_ident(c.name), ', '))
        INTO told FROM _fact_columns(mapped.fact) AS c;

        RETURN QUERY EXECUTE format(
            'SELECT format(''%%s without %%s'', %L, c.name), count(*), min(coalesce(r.source_key, to_jsonb(r)::text) COLLATE "C") FROM %s, LATERAL (VALUES %s) AS c (no, name, is_missing) WHERE c.is_missing GROUP BY c.no, c.name ORDER BY c.no',
            CASE mapped.fact WHEN 'money' THEN 'money' ELSE mapped.fact || 's' END, told,
            (SELECT string_agg(format('(%s, %L, coalesce(r.%I::text, '''') = '''')', c.no, c.name, c.name), ', ') FROM _fact_columns(mapped.fact) WITH ORDINALITY AS c (name, type, is_needed, no) WHERE c.is_needed));
        IF 'source_key' = ANY (has) THEN
            RETURN QUERY EXECUTE format(
                'SELECT %L, sum(d.n)::bigint, min(d.source_key COLLATE "C") FROM (SELECT r.source_key, count(*) AS n FROM %s WHERE r.source_key <> '''' GROUP BY r.source_key HAVING count(DISTINCT to_jsonb(r)) > 1) AS d HAVING count(*) > 0',
                CASE mapped.fact WHEN 'money' THEN 'money' ELSE mapped.fact || 's' END || ' of one source_key that are not the same: one is taken', told);
        END IF;
        IF mapped.fact <> 'event' THEN
            PERFORM _close_reading();
            CONTINUE;
        END IF;

        RETURN QUERY EXECUTE format($query$
            SELECT c.problem, count(*), min(c.example COLLATE "C")
            FROM %1$s, LATERAL (VALUES
                (1, 'unknown subject_kind', r.subject_kind <> ALL (%2$s), r.subject_kind),
                (2, 'unknown event: it can be defined as a code of the list event', r.event <> '' AND revacct.object_key(r.event) <> ALL ($1), r.event),
                (3, 'stage_entered without lifecycle or stage', r.event = 'stage_entered' AND (coalesce(r.lifecycle, '') = '' OR coalesce(r.stage, '') = ''), r.source_key),
                (4, 'field_set without field', r.event = 'field_set' AND coalesce(r.field, '') = '', r.source_key),
                (5, 'assigned without party', r.event = 'assigned' AND coalesce(r.party, '') = '', r.source_key),
                (6, 'occurred_at is not between 1900 and 2199', r.occurred_at NOT BETWEEN '1900-01-01' AND '2199-12-31', r.source_key),
                (7, 'occurred_at is in the future: it counts from then on', r.occurred_at > statement_timestamp() AND r.occurred_at <= '2199-12-31', r.source_key),
                (8, 'the amount is no amount', r.amount = 'NaN' OR abs(r.amount) >= 1e14, r.source_key),
                (9, 'an amount without currency: it is not added up', r.event = 'field_set' AND r.field = 'amount' AND r.amount IS NOT NULL AND coalesce(r.currency, '') = '', r.source_key),
                (10, 'it corrects itself', r.corrects = r.source_key, r.source_key)) AS c (no, problem, holds, example)
            WHERE c.holds GROUP BY c.no, c.problem ORDER BY c.no$query$, told, kinds) USING _agreed_keys('event');
        RETURN QUERY EXECUTE format($query$
            SELECT format('stage "%%s" of lifecycle "%%s" is not defined: it is recorded, and counts in no report', r.stage, r.lifecycle), count(*), min(r.source_key COLLATE "C")
            FROM %s WHERE r.event = 'stage_entered' AND r.lifecycle <> '' AND r.stage <> '' AND revacct.object_key(r.lifecycle, r.stage) <> ALL ($1)
            GROUP BY r.lifecycle, r.stage ORDER BY count(*) DESC, r.lifecycle COLLATE "C", r.stage COLLATE "C" LIMIT 100$query$, told) USING _agreed_keys('stage');
        RETURN QUERY EXECUTE format($query$
            SELECT format('codes of list %%s that are not defined (%%s different ones)', u.list, count(*)), sum(u.n)::bigint, string_agg(u.code, ', ' ORDER BY u.n DESC, u.code COLLATE "C") FILTER (WHERE u.no <= 3)
            FROM (SELECT c.list, c.code, count(*) AS n, row_number() OVER (PARTITION BY c.list ORDER BY count(*) DESC, c.code COLLATE "C") AS no
                  FROM (SELECT coalesce(nullif(r.code_list, ''), nullif(r.field, ''), CASE WHEN r.event = 'disposition_set' THEN 'disposition' ELSE r.event END) AS list, r.code FROM %s WHERE r.code <> '') AS c
                  WHERE revacct.object_key(c.list, c.code) <> ALL ($1) GROUP BY c.list, c.code) AS u
            GROUP BY u.list ORDER BY u.list COLLATE "C"$query$, told) USING _agreed_keys('code');
        RETURN QUERY EXECUTE format($query$
            SELECT format('parties that are not registered, and will be, as persons (%%s different ones)', count(*)), sum(u.n)::bigint, string_agg(u.party, ', ' ORDER BY u.n DESC, u.party COLLATE "C") FILTER (WHERE u.no <= 3)
            FROM (SELECT p.party, count(*) AS n, row_number() OVER (ORDER BY count(*) DESC, p.party COLLATE "C") AS no
                  FROM %s, LATERAL (VALUES (r.party), (r.actor)) AS p (party) WHERE p.party <> '' AND p.party <> ALL ($1) GROUP BY p.party) AS u
            HAVING count(*) > 0$query$, told) USING _agreed_keys('party');
        PERFORM _close_reading();
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION map_hubspot(
    landed text, source text DEFAULT 'hubspot', views text DEFAULT 'public', lifecycle text DEFAULT 'opportunity', currency text DEFAULT NULL,
    contact_lifecycle text DEFAULT 'contact')
RETURNS TABLE (relation text, note text)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    deal constant regclass := _main_table(landed, 'HubSpot''s deals', 'deal', 'deals');
    deal_stage constant regclass := _landed_table(landed, 'deal_stage');
    deal_history constant regclass := _landed_table(landed, 'deal_property_history', 'deals_property_history');
    pipeline constant regclass := _landed_table(landed, 'deal_pipeline', 'deal_pipelines');
    pipeline_stage constant regclass := _landed_table(landed, 'deal_pipeline_stage', 'deal_pipeline_stages');
    deal_company constant regclass := _landed_table(landed, 'deal_company');
    deal_contact constant regclass := _landed_table(landed, 'deal_contact');
    merged_deal constant regclass := _landed_table(landed, 'merged_deal');
    contact constant regclass := _landed_table(landed, 'contact', 'contacts');
    contact_history constant regclass := _landed_table(landed, 'contact_property_history', 'contacts_property_history');
    contact_merge constant regclass := _landed_table(landed, 'contact_merge_audit', 'contacts_merged_audit');
    company constant regclass := _landed_table(landed, 'company', 'companies');
    owner constant regclass := _landed_table(landed, 'owner', 'owners');
    -- of a stage s, deal d and pipeline p, all of which may be unknown
    in_lifecycle constant text := format(
        'coalesce(p.lifecycle, CASE WHEN coalesce(s.pipeline_id, d.pipeline_id, ''default'') = ''default'' THEN %L ELSE %L || coalesce(s.pipeline_id, d.pipeline_id) END)',
        lifecycle, lifecycle || '_');
    unknown_owner constant text := quote_literal(source || '/owner/');
    stage_kept text;         -- where the stages of deals come from: deal_stage, history or current
    kept text[] := '{}';     -- what of a deal or contact its history keeps
    contact_kept text[] := '{}';
    tables text[];
    branches text[] := '{}';
    links text[] := '{}';
    events_view regclass;
    links_view regclass;
    kind text;
    engagement regclass;
    target record;
    dated text;
    property text;
BEGIN
    PERFORM _demand_column(deal, 'deal_id', 'id', 'hs_object_id');
    PERFORM _demand_column(contact, 'id', 'vid', 'contact_id');
    PERFORM _demand_column(company, 'id', 'company_id');
    -- What the history of a property is complete in is read there, for all deals: a deal that is landed before its history must not be read in two ways.
    kept := ARRAY(SELECT p.name FROM unnest('{dealstage, amount, closedate, hubspot_owner_id, dealtype, hs_analytics_source}'::text[]) AS p (name)
                  WHERE _history_has(deal_history, p.name));
    contact_kept := ARRAY(SELECT p.name FROM unnest('{lifecyclestage, hs_lead_status, hubspot_owner_id, hs_analytics_source, hs_persona}'::text[]) AS p (name)
                          WHERE _history_has(contact_history, p.name));
    stage_kept := CASE WHEN deal_stage IS NOT NULL THEN 'deal_stage' WHEN 'dealstage' = ANY (kept) THEN 'history' ELSE 'current' END;

    -- What was landed, under our names
    tables := ARRAY[
        _landed_rows('deal', deal, 'id key: deal_id, id, hs_object_id', 'deleted boolean: is_deleted, _fivetran_deleted, archived',
                     'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
                     'pipeline_id text: deal_pipeline_id, property_pipeline, properties_pipeline, pipeline',
                     'stage_id text: deal_pipeline_stage_id, property_dealstage, properties_dealstage, dealstage',
                     'stage_at timestamptz: property_hs_v2_date_entered_current_stage, properties_hs_v2_date_entered_current_stage',
                     'owner_id text: owner_id, property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id',
                     'amount numeric: property_amount, properties_amount, amount',
                     'currency text: property_deal_currency_code, properties_deal_currency_code, deal_currency_code',
                     'closes_at timestamptz: property_closedate, properties_closedate, closedate',
                     'type text: property_dealtype, properties_dealtype, dealtype',
                     'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source'),
        _landed_rows('owner', owner, 'id key: owner_id, id', 'email text: email'),
        _landed_rows('landed_pipeline', pipeline, 'id key: pipeline_id, id', 'label text: label', 'created_at timestamptz: created_at'),
        -- The first pipeline has the lifecycle's plain name. It is the first for ever: the one HubSpot begins with, or the oldest.
        format(E'pipeline AS (\n    SELECT p.id, coalesce(p.label, p.id) AS label,\n'
               '           CASE WHEN row_number() OVER (ORDER BY p.id <> ''default'', p.created_at, p.id) = 1 THEN %L\n'
               '                ELSE %L || coalesce(p.label, p.id) END AS lifecycle\n    FROM landed_pipeline AS p)', lifecycle, lifecycle || '_'),
        _landed_rows('landed_stage', pipeline_stage, 'id key: stage_id, id', 'label text: label', 'pipeline_id text: pipeline_id'),
        E'stage AS (\n    SELECT DISTINCT ON (s.id) s.id, coalesce(s.label, s.id) AS label, s.pipeline_id FROM landed_stage AS s ORDER BY s.id, s.pipeline_id)'];

    -- Deals. Of what happens at one instant, what is known of a subject comes first, then its creation, its owner, its stage: a clock that starts then goes by it.
    branches := ARRAY[
        _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE', '''opportunity''', 'd.id', '''created''', 'd.created_at', '''deal/'' || d.id || ''/created''', seq => '1')];
    -- Each value that has no history: the one there is now, at the creation
    IF 'hs_analytics_source' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.lead_source IS NOT NULL', '''opportunity''', 'd.id', '''field_set''',
            'd.created_at', '''deal/'' || d.id || ''/hs_analytics_source/'' || d.lead_source', field => '''lead_source''', code => 'd.lead_source', seq => '0');
    END IF;
    IF _landed_column(deal, 'property_dealtype', 'properties_dealtype', 'dealtype') IS NULL AND 'dealtype' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d LEFT JOIN pipeline AS p ON p.id = d.pipeline_id WHERE d.deleted IS NOT TRUE AND d.pipeline_id IS NOT NULL',
            '''opportunity''', 'd.id', '''field_set''', 'd.created_at', '''deal/'' || d.id || ''/pipeline/'' || d.pipeline_id', field => '''segment''',
            code => 'coalesce(p.label, d.pipeline_id)', seq => '0');
    ELSIF 'dealtype' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.type IS NOT NULL', '''opportunity''', 'd.id', '''field_set''', 'd.created_at',
            '''deal/'' || d.id || ''/dealtype/'' || d.type', field => '''segment''', code => 'd.type', seq => '0');
    END IF;
    IF 'amount' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.amount IS NOT NULL', '''opportunity''', 'd.id', '''field_set''', 'd.created_at',
            '''deal/'' || d.id || ''/amount/'' || d.amount', field => '''amount''', amount => 'd.amount', currency => format('coalesce(d.currency, %L)', currency), seq => '0');
    END IF;
    IF 'closedate' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.closes_at IS NOT NULL', '''opportunity''', 'd.id', '''field_set''',
            'd.created_at', '''deal/'' || d.id || ''/closedate/'' || _key_time(d.closes_at)', field => '''expected_close''',
            details => 'jsonb_build_object(''value'', timezone(''UTC'', d.closes_at)::date)', seq => '0');
    END IF;
    IF 'hubspot_owner_id' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d LEFT JOIN owner AS o ON o.id = d.owner_id WHERE d.deleted IS NOT TRUE AND d.owner_id IS NOT NULL',
            '''opportunity''', 'd.id', '''assigned''', 'd.created_at', '''deal/'' || d.id || ''/owner/'' || d.owner_id',
            party => format('coalesce(o.email, %s || d.owner_id)', unknown_owner), seq => '2');
    END IF;
    -- Stages: a visit's lifecycle is that of the stage's own pipeline, since deals move between pipelines.
    IF stage_kept = 'deal_stage' THEN
        tables := tables || _landed_rows('visit', deal_stage, 'deal_id key: deal_id', 'stage_id text: value, stage_id',
                                         'at timestamptz: date_entered, _fivetran_start', 'since timestamptz: _fivetran_start');
        branches := branches || _event_rows(
            E'FROM visit AS v\n     LEFT JOIN deal AS d ON d.id = v.deal_id\n     LEFT JOIN stage AS s ON s.id = v.stage_id\n'
            '     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\nWHERE d.deleted IS NOT TRUE',
            '''opportunity''', 'v.deal_id', '''stage_entered''', 'coalesce(v.at, v.since)',
            '''deal_stage/'' || v.deal_id || ''/'' || v.stage_id || ''/'' || _key_time(coalesce(v.at, v.since))',
            lifecycle => in_lifecycle,
            stage => 'coalesce(s.label, v.stage_id)', seq => '3');
    ELSIF stage_kept = 'current' THEN
        branches := branches || _event_rows(
            E'FROM deal AS d\n     LEFT JOIN stage AS s ON s.id = d.stage_id\n     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\n'
            'WHERE d.deleted IS NOT TRUE AND d.stage_id IS NOT NULL',
            '''opportunity''', 'd.id', '''stage_entered''', 'coalesce(d.stage_at, d.created_at)',
            '''deal/'' || d.id || ''/dealstage/'' || d.stage_id || coalesce(''/'' || _key_time(d.stage_at), '''')',
            lifecycle => in_lifecycle,
            stage => 'coalesce(s.label, d.stage_id)', seq => '3');
    END IF;
    -- The history holds every property, and is the largest table: it is read once.
    IF stage_kept = 'deal_stage' THEN
        kept := array_remove(kept, 'dealstage');
    END IF;
    IF kept <> '{}' THEN
        tables := tables || _landed_rows('deal_history', deal_history, 'deal_id key: deal_id', 'property key: name, property', 'value text: value',
                                         'at timestamptz: timestamp, timestamp_instant, _fivetran_start');
        branches := branches || _event_rows(
            E'FROM deal_history AS h\n     LEFT JOIN deal AS d ON d.id = h.deal_id\n     LEFT JOIN owner AS o ON h.property = ''hubspot_owner_id'' AND o.id = h.value\n'
            '     LEFT JOIN stage AS s ON h.property = ''dealstage'' AND s.id = h.value\n     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\n'
            || format('WHERE h.property = ANY (%L::text[]) AND h.value IS NOT NULL AND d.deleted IS NOT TRUE', kept),
            '''opportunity''', 'h.deal_id', 'CASE h.property WHEN ''dealstage'' THEN ''stage_entered'' WHEN ''hubspot_owner_id'' THEN ''assigned'' ELSE ''field_set'' END', 'h.at',
            '''deal_property_history/'' || h.deal_id || ''/'' || h.property || ''/'' || _key_time(h.at)',
            lifecycle => 'CASE WHEN h.property = ''dealstage'' THEN ' || in_lifecycle || ' END',
            stage => 'CASE WHEN h.property = ''dealstage'' THEN coalesce(s.label, h.value) END',
            field => 'CASE h.property WHEN ''amount'' THEN ''amount'' WHEN ''closedate'' THEN ''expected_close'' WHEN ''dealtype'' THEN ''segment'' WHEN ''hs_analytics_source'' THEN ''lead_source'' END',
            code => 'CASE WHEN h.property IN (''dealtype'', ''hs_analytics_source'') THEN h.value END',
            party => format('CASE WHEN h.property = ''hubspot_owner_id'' THEN coalesce(o.email, %s || h.value) END', unknown_owner),
            amount => 'CASE WHEN h.property = ''amount'' THEN _landed_number(h.value) END',
            currency => format('CASE WHEN h.property = ''amount'' THEN coalesce(d.currency, %L) END', currency),
            seq => 'CASE h.property WHEN ''dealstage'' THEN 3 WHEN ''hubspot_owner_id'' THEN 2 ELSE 0 END',
            details => 'CASE WHEN h.property = ''closedate'' THEN jsonb_build_object(''value'', timezone(''UTC'', _landed_time(h.value))::date) END');
    END IF;

    -- Contacts
    IF contact IS NOT NULL THEN
        tables := tables || _landed_rows('contact', contact, 'id key: id, vid, contact_id', 'deleted boolean: _fivetran_deleted, is_deleted, archived',
            'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
            'company_id text: property_associatedcompanyid, properties_associatedcompanyid, associatedcompanyid',
            'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source',
            'owner_id text: property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id',
            'persona text: property_hs_persona, properties_hs_persona, hs_persona',
            'lead_status text: property_hs_lead_status, properties_hs_lead_status, hs_lead_status',
            'lifecycle_stage text: property_lifecyclestage, properties_lifecyclestage, lifecyclestage',
            'merged_ids text: property_hs_merged_object_ids, properties_hs_merged_object_ids, hs_merged_object_ids');
        branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE', '''person''', 'c.id', '''created''', 'c.created_at',
            '''contact/'' || c.id || ''/created''', seq => '1');
        IF 'hs_analytics_source' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lead_source IS NOT NULL', '''person''', 'c.id', '''field_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_analytics_source/'' || c.lead_source', field => '''lead_source''', code => 'c.lead_source', seq => '0');
        END IF;
        IF 'hs_persona' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.persona IS NOT NULL', '''person''', 'c.id', '''field_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_persona/'' || c.persona', field => '''segment''', code => 'c.persona', seq => '0');
        END IF;
        IF 'hubspot_owner_id' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c LEFT JOIN owner AS o ON o.id = c.owner_id WHERE c.deleted IS NOT TRUE AND c.owner_id IS NOT NULL',
                '''person''', 'c.id', '''assigned''', 'c.created_at', '''contact/'' || c.id || ''/owner/'' || c.owner_id',
                party => format('coalesce(o.email, %s || c.owner_id)', unknown_owner), seq => '2');
        END IF;
        IF 'hs_lead_status' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lead_status IS NOT NULL', '''person''', 'c.id', '''disposition_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_lead_status/'' || c.lead_status', code => 'c.lead_status', code_list => '''disposition''', seq => '0');
        END IF;
        IF 'lifecyclestage' <> ALL (contact_kept) THEN
            -- HubSpot keeps a date for each stage, hs_lifecyclestage_lead_date; without them the stage of now is all there is.
            SELECT string_agg(format('(%L, %s)', s.name, _landed_expression(contact, 'timestamptz', VARIADIC s.names)), ', ' ORDER BY s.no)
            INTO dated
            FROM (SELECT p.name, p.no, ARRAY['property_hs_lifecyclestage_' || p.name || '_date', 'properties_hs_lifecyclestage_' || p.name || '_date'] AS names
                  FROM unnest('{subscriber, lead, marketingqualifiedlead, salesqualifiedlead, opportunity, customer, evangelist, other}'::text[]) WITH ORDINALITY AS p (name, no)) AS s
            WHERE _landed_column(contact, VARIADIC s.names) IS NOT NULL;
            IF dated IS NOT NULL THEN
                tables := tables || format(E'contact_stage AS NOT MATERIALIZED (\n    SELECT %s AS contact_id, %s IS TRUE AS deleted, v.stage, v.at\n'
                                           '    FROM %s AS t, LATERAL (VALUES %s) AS v (stage, at) WHERE v.at IS NOT NULL)',
                    _landed_expression(contact, 'key', 'id', 'vid', 'contact_id'), _landed_expression(contact, 'boolean', '_fivetran_deleted', 'is_deleted', 'archived'), contact, dated);
                branches := branches || _event_rows('FROM contact_stage AS v WHERE NOT v.deleted', '''person''', 'v.contact_id', '''stage_entered''', 'v.at',
                    '''contact/'' || v.contact_id || ''/lifecyclestage/'' || v.stage || ''/'' || _key_time(v.at)', lifecycle => quote_literal(contact_lifecycle),
                    stage => 'v.stage', seq => '3');
            ELSE
                branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lifecycle_stage IS NOT NULL', '''person''', 'c.id', '''stage_entered''',
                    'c.created_at', '''contact/'' || c.id || ''/lifecyclestage/'' || c.lifecycle_stage', lifecycle => quote_literal(contact_lifecycle), stage => 'c.lifecycle_stage',
                    seq => '3');
            END IF;
        END IF;
    END IF;
    IF contact_kept <> '{}' THEN
        tables := tables || _landed_rows('contact_history', contact_history, 'contact_id key: contact_id, vid', 'property key: name, property', 'value text: value',
                                         'at timestamptz: timestamp, timestamp_instant, _fivetran_start');
        IF contact IS NULL THEN
            tables := tables || _landed_rows('contact', NULL, 'id key:', 'deleted boolean:');
        END IF;
        branches := branches || _event_rows(
            E'FROM contact_history AS h\n     LEFT JOIN contact AS c ON c.id = h.contact_id\n     LEFT JOIN owner AS o ON h.property = ''hubspot_owner_id'' AND o.id = h.value\n'
            || format('WHERE h.property = ANY (%L::text[]) AND h.value IS NOT NULL AND c.deleted IS NOT TRUE', contact_kept),
            '''person''', 'h.contact_id',
            'CASE h.property WHEN ''lifecyclestage'' THEN ''stage_entered'' WHEN ''hubspot_owner_id'' THEN ''assigned'' WHEN ''hs_lead_status'' THEN ''disposition_set'' ELSE ''field_set'' END',
            'h.at', '''contact_property_history/'' || h.contact_id || ''/'' || h.property || ''/'' || _key_time(h.at)',
            lifecycle => format('CASE WHEN h.property = ''lifecyclestage'' THEN %L END', contact_lifecycle), stage => 'CASE WHEN h.property = ''lifecyclestage'' THEN h.value END',
            field => 'CASE h.property WHEN ''hs_analytics_source'' THEN ''lead_source'' WHEN ''hs_persona'' THEN ''segment'' END',
            code => 'CASE WHEN h.property IN (''hs_analytics_source'', ''hs_persona'', ''hs_lead_status'') THEN h.value END',
            code_list => 'CASE WHEN h.property = ''hs_lead_status'' THEN ''disposition'' END',
            party => format('CASE WHEN h.property = ''hubspot_owner_id'' THEN coalesce(o.email, %s || h.value) END', unknown_owner),
            seq => 'CASE h.property WHEN ''lifecyclestage'' THEN 3 WHEN ''hubspot_owner_id'' THEN 2 ELSE 0 END');
    END IF;
    IF contact_merge IS NOT NULL THEN
        tables := tables || _landed_rows('contact_merge', contact_merge, 'merged_id key: vid_to_merge', 'into_id key: canonical_vid, contact_id', 'at timestamptz: timestamp');
        branches := branches || _event_rows('FROM contact_merge AS m WHERE m.merged_id IS NOT NULL', '''person''', 'm.merged_id', '''merged''', 'm.at',
            '''contact_merge_audit/'' || m.merged_id || ''/'' || m.into_id', details => 'jsonb_build_object(''into'', m.into_id)');
        links := links || _link_rows('FROM contact_merge AS m WHERE m.merged_id IS NOT NULL', '''person''', 'm.merged_id', '''person''', 'm.into_id', '''same_as''');
    END IF;

    -- Companies
    IF company IS NOT NULL THEN
        tables := tables || _landed_rows('company', company, 'id key: id, company_id', 'deleted boolean: is_deleted, _fivetran_deleted, archived',
            'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
            'industry text: property_industry, properties_industry, industry',
            'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source',
            'owner_id text: property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id');
        branches := branches || ARRAY[
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE', '''account''', 'a.id', '''created''', 'a.created_at', '''company/'' || a.id || ''/created''', seq => '1'),
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE AND a.industry IS NOT NULL', '''account''', 'a.id', '''field_set''', 'a.created_at',
                        '''company/'' || a.id || ''/industry/'' || a.industry', field => '''segment''', code => 'a.industry', seq => '0'),
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE AND a.lead_source IS NOT NULL', '''account''', 'a.id', '''field_set''', 'a.created_at',
                        '''company/'' || a.id || ''/hs_analytics_source/'' || a.lead_source', field => '''lead_source''', code => 'a.lead_source', seq => '0'),
            _event_rows('FROM company AS a LEFT JOIN owner AS o ON o.id = a.owner_id WHERE a.deleted IS NOT TRUE AND a.owner_id IS NOT NULL', '''account''', 'a.id',
                        '''assigned''', 'a.created_at', '''company/'' || a.id || ''/owner/'' || a.owner_id',
                        party => format('coalesce(o.email, %s || a.owner_id)', unknown_owner), seq => '2')];
    END IF;

    -- Engagements: once for each deal, contact and company they belong to
    FOREACH kind IN ARRAY '{call, email, communication, meeting}'::text[] LOOP
        engagement := _landed_table(landed, 'engagement_' || kind);
        CONTINUE WHEN engagement IS NULL;
        tables := tables || _landed_rows('engagement_' || kind, engagement, 'id key: engagement_id, id', 'deleted boolean: _fivetran_deleted, is_deleted',
            'created_at timestamptz: property_hs_createdate, created_at',
            'at timestamptz: property_hs_timestamp, timestamp' || CASE WHEN kind = 'meeting' THEN ', start_time' ELSE '' END,
            'starts_at timestamptz: start_time, property_hs_meeting_start_time, property_hs_timestamp',
            'direction text: property_hs_call_direction, property_hs_email_direction, call_direction, email_direction',
            'outcome text: property_hs_meeting_outcome, meeting_outcome', 'owner_id text: property_hubspot_owner_id, owner_id');
        IF kind <> 'meeting' AND _landed_column(engagement, 'property_hs_timestamp', 'timestamp') IS NULL THEN
            RETURN QUERY SELECT engagement::text, 'has no property_hs_timestamp: when it was is not known, so nothing of it is read'::text;
            CONTINUE;
        END IF;
        FOR target IN
            SELECT t.name, t.kind, _landed_table(landed, 'engagement_' || t.name) AS relation
            FROM (VALUES ('deal', 'opportunity'), ('contact', 'person'), ('company', 'account')) AS t (name, kind)
        LOOP
            IF target.relation IS NULL THEN
                CONTINUE;
            END IF;
            IF NOT EXISTS (SELECT FROM unnest(tables) AS t (text) WHERE starts_with(t.text, 'engagement_' || target.name || ' ')) THEN
                -- the same pair may be there with several labels
                tables := tables || _landed_rows('engagement_' || target.name || '_label', target.relation, 'engagement_id key: engagement_id', format('subject_id key: %s_id', target.name))
                    || format(E'engagement_%1$s AS (\n    SELECT DISTINCT l.engagement_id, l.subject_id FROM engagement_%1$s_label AS l)', target.name);
            END IF;
            IF kind = 'meeting' THEN
                branches := branches
                    || _event_rows(format(E'FROM engagement_meeting AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\n'
                                          'WHERE e.deleted IS NOT TRUE AND e.created_at IS NOT NULL', target.name),
                        quote_literal(target.kind), 'l.subject_id', '''meeting_set''', 'e.created_at',
                        format('''engagement_meeting/'' || e.id || ''/%s/'' || l.subject_id || ''/set''', target.name), actor => 'o.email')
                    || _event_rows(format(E'FROM engagement_meeting AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\n'
                                          'WHERE e.deleted IS NOT TRUE AND upper(e.outcome) IN (''COMPLETED'', ''NO_SHOW'')', target.name),
                        quote_literal(target.kind), 'l.subject_id', 'CASE upper(e.outcome) WHEN ''COMPLETED'' THEN ''meeting_held'' ELSE ''meeting_no_show'' END', 'e.starts_at',
                        format('''engagement_meeting/'' || e.id || ''/%s/'' || l.subject_id || ''/'' || upper(e.outcome) || ''/'' || _key_time(e.starts_at)', target.name),
                        actor => 'o.email');
            ELSE
                branches := branches || _event_rows(
                    format(E'FROM engagement_%s AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\nWHERE e.deleted IS NOT TRUE',
                           kind, target.name),
                    quote_literal(target.kind), 'l.subject_id', 'CASE WHEN upper(e.direction) LIKE ''IN%'' THEN ''touch_in'' ELSE ''touch_out'' END', 'e.at',
                    format('''engagement_%s/'' || e.id || ''/%s/'' || l.subject_id || CASE WHEN upper(e.direction) LIKE ''IN%%'' THEN ''/in/'' ELSE ''/out/'' END || _key_time(e.at)',
                           kind, target.name),
                    actor => 'CASE WHEN upper(e.direction) LIKE ''IN%'' THEN NULL ELSE o.email END');
            END IF;
        END LOOP;
    END LOOP;

    -- Links
    IF deal_company IS NOT NULL THEN
        tables := tables || _landed_rows('deal_company', deal_company, 'deal_id key: deal_id', 'company_id key: company_id', 'type_id text: type_id');
        -- 5 is HubSpot's label for the primary company of a deal.
        links := links || _link_rows(
            E'FROM deal_company AS l LEFT JOIN deal AS d ON d.id = l.deal_id\nWHERE d.deleted IS NOT TRUE AND (l.type_id = ''5'' OR NOT EXISTS (\n'
            '    SELECT FROM deal_company AS first WHERE first.deal_id = l.deal_id AND first.type_id = ''5''))',
            '''opportunity''', 'l.deal_id', '''account''', 'l.company_id', '''account''');
    END IF;
    IF deal_contact IS NOT NULL THEN
        tables := tables || _landed_rows('deal_contact', deal_contact, 'deal_id key: deal_id', 'contact_id key: contact_id');
        links := links || _link_rows('FROM deal_contact AS l LEFT JOIN deal AS d ON d.id = l.deal_id WHERE d.deleted IS NOT TRUE', '''opportunity''', 'l.deal_id', '''person''',
                                     'l.contact_id', '''contact_role''');
    END IF;
    IF merged_deal IS NOT NULL THEN
        tables := tables || _landed_rows('merged_deal', merged_deal, 'merged_id key: merged_deal_id', 'into_id key: deal_id');
        links := links || _link_rows('FROM merged_deal AS m', '''opportunity''', 'm.merged_id', '''opportunity''', 'm.into_id', '''same_as''');
    END IF;
    IF contact IS NOT NULL THEN
        links := links
            || _link_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.company_id IS NOT NULL', '''person''', 'c.id', '''account''', 'c.company_id', '''account''')
            || _link_rows('FROM contact AS c, regexp_split_to_table(c.merged_ids, ''[[:space:]]*;[[:space:]]*'') AS m (merged_id) WHERE c.deleted IS NOT TRUE AND m.merged_id <> ''''',
                          '''person''', 'm.merged_id', '''person''', 'c.id', '''same_as''');
    END IF;
    IF links = '{}' THEN
        links := ARRAY[_link_rows('WHERE false', 'NULL', 'NULL', 'NULL', 'NULL', 'NULL')];
    END IF;

    events_view := _make_mapping_view(views, source || '_events', tables, branches, 'UNION ALL',
        'HubSpot''s tables as events, for load(): made by map_hubspot(), which replaces it when it is called again. Alter it as you like.');
    links_view := _make_mapping_view(views, source || '_links', tables, links, 'UNION',
        'HubSpot''s associations and merged records as links, for load(): made by map_hubspot(), which replaces it when it is called again. Alter it as you like.');
    PERFORM map_source(source, events => events_view, links => links_view);

    -- What was found, and what is missing
    RETURN QUERY
    SELECT coalesce(n.found::text, n.name), n.note
    FROM (VALUES
        (1, deal, 'deal', 'deals are opportunities; their owner is known by e-mail where the owner table is landed'),
        (2, deal_stage, 'deal_stage', CASE stage_kept WHEN 'deal_stage' THEN 'every visit to a stage'
            WHEN 'history' THEN 'not landed: visits to stages are the changes of dealstage in ' || deal_history
            ELSE 'not landed, nor is a history of dealstage: only the current stage is known, entered '
                 || CASE WHEN _landed_column(deal, 'property_hs_v2_date_entered_current_stage', 'properties_hs_v2_date_entered_current_stage') IS NULL
                         THEN 'when the deal was created' ELSE 'when property_hs_v2_date_entered_current_stage says' END END),
        (3, deal_history, 'deal_property_history', CASE WHEN deal_history IS NULL THEN 'not landed: '
                 WHEN kept = '{}' THEN 'has none of the properties that are read: ' ELSE format('every change of %s; ', array_to_string(kept, ', ')) END
            || coalesce('the current ' || (SELECT string_agg(p.name, ', ' ORDER BY p.no)
                                           FROM unnest('{amount, closedate, hubspot_owner_id, dealtype, hs_analytics_source}'::text[]) WITH ORDINALITY AS p (name, no)
                                           WHERE p.name <> ALL (kept)) || ' is taken as set at the creation', 'nothing is missing')),
        (4, pipeline, 'deal_pipeline', CASE WHEN pipeline IS NULL THEN format('not landed: the pipeline "default" is lifecycle %s, any other %s_ and its id', lifecycle, lifecycle)
            ELSE format('the first pipeline, or the one HubSpot calls default, is lifecycle %s; any other %s_ and its label', lifecycle, lifecycle) END),
        (5, pipeline_stage, 'deal_pipeline_stage', CASE WHEN pipeline_stage IS NULL THEN 'not landed: stages are called by their id' ELSE 'the labels of stages; without one, its id' END),
        (6, deal, 'deal', 'segment: ' || CASE WHEN 'dealtype' = ANY (kept) OR _landed_column(deal, 'property_dealtype', 'properties_dealtype', 'dealtype') IS NOT NULL THEN 'the deal type'
            ELSE 'the pipeline, since no dealtype is landed' END),
        (7, owner, 'owner', CASE WHEN owner IS NULL THEN format('not landed: owners are called %s/owner/ and their id', source) ELSE 'owners by e-mail' END),
        (8, deal_company, 'deal_company', CASE WHEN deal_company IS NULL THEN 'not landed: the accounts of deals are not known' ELSE 'the account of a deal, the primary one if it says' END),
        (9, deal_contact, 'deal_contact', CASE WHEN deal_contact IS NULL THEN 'not landed: the people of deals are not known' ELSE 'the people of a deal' END),
        (10, merged_deal, 'merged_deal', CASE WHEN merged_deal IS NULL THEN 'not landed: merged deals are not known' ELSE 'a merged deal is the same as the one it went into' END),
        (11, contact, 'contact', CASE WHEN contact IS NULL THEN 'not landed: no contacts are read' ELSE format('contacts are persons; lifecycle %s', contact_lifecycle) END),
        (12, contact_history, 'contact_property_history', CASE
            WHEN contact_kept = '{}' AND contact IS NULL THEN 'nothing of contacts is read'
            WHEN 'lifecyclestage' = ANY (contact_kept) THEN format('every change of %s', array_to_string(contact_kept, ', '))
            WHEN dated IS NOT NULL THEN 'no history of lifecyclestage: the last entry into each stage is known by its date'
            WHEN _landed_column(contact, 'property_lifecyclestage', 'properties_lifecyclestage', 'lifecyclestage') IS NULL
                 THEN 'neither lifecyclestage nor a history of it is landed: no stages of contacts are known'
            ELSE 'no history of lifecyclestage: only the current stage is known, entered when the contact was created' END),
        (13, contact_merge, 'contact_merge_audit', CASE WHEN contact_merge IS NULL
            THEN 'not landed: merged contacts are known by hs_merged_object_ids alone, without a time' ELSE 'merged contacts' END),
        (14, company, 'company', CASE WHEN company IS NULL THEN 'not landed: accounts are known by their key alone' ELSE 'companies are accounts; segment: the industry' END),
        (15, NULL, 'engagement', CASE WHEN _landed_table(landed, 'engagement_deal') IS NULL AND _landed_table(landed, 'engagement_contact') IS NULL AND _landed_table(landed, 'engagement_company') IS NULL
            THEN 'no engagement_deal, engagement_contact or engagement_company: touches and meetings are not known'
            ELSE 'calls, e-mails and communications are touches; a meeting is held, or missed, if its outcome says so' END),
        (16, NULL, 'deleted rows', 'are left out, with all of their history; what was loaded before stays in the ledger'),
        (17, NULL, 'ticket', 'tickets of HubSpot are not read'),
        (18, events_view, NULL, 'made'), (19, links_view, NULL, 'made')) AS n (no, found, name, note)
    ORDER BY n.no;
END $$;

CREATE OR REPLACE FUNCTION _zendesk_time_zone(name text)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- Most names are the city of an IANA name; these are not.
    WITH other (name, zone) AS (VALUES
        ('International Date Line West', 'Etc/GMT+12'), ('Midway Island', 'Pacific/Midway'), ('American Samoa', 'Pacific/Pago_Pago'), ('Hawaii', 'Pacific/Honolulu'),
        ('Alaska', 'America/Juneau'), ('Pacific Time (US & Canada)', 'America/Los_Angeles'), ('Mountain Time (US & Canada)', 'America/Denver'), ('Arizona', 'America/Phoenix'),
        ('Central Time (US & Canada)', 'America/Chicago'), ('Eastern Time (US & Canada)', 'America/New_York'), ('Atlantic Time (Canada)', 'America/Halifax'),
        ('Central America', 'America/Guatemala'), ('Saskatchewan', 'America/Regina'), ('Guadalajara', 'America/Mexico_City'), ('Indiana (East)', 'America/Indiana/Indianapolis'),
        ('Quito', 'America/Lima'), ('Georgetown', 'America/Guyana'), ('Newfoundland', 'America/St_Johns'), ('Brasilia', 'America/Sao_Paulo'), ('Greenland', 'America/Godthab'),
        ('Mid-Atlantic', 'Atlantic/South_Georgia'), ('Cape Verde Is.', 'Atlantic/Cape_Verde'), ('Edinburgh', 'Europe/London'), ('Bern', 'Europe/Zurich'),
        ('West Central Africa', 'Africa/Algiers'), ('Kyiv', 'Europe/Kiev'), ('Pretoria', 'Africa/Johannesburg'), ('St. Petersburg', 'Europe/Moscow'), ('Abu Dhabi', 'Asia/Muscat'),
        ('Ekaterinburg', 'Asia/Yekaterinburg'), ('Islamabad', 'Asia/Karachi'), ('Chennai', 'Asia/Kolkata'), ('Mumbai', 'Asia/Kolkata'), ('New Delhi', 'Asia/Kolkata'),
        ('Sri Jayawardenepura', 'Asia/Colombo'), ('Astana', 'Asia/Dhaka'), ('Hanoi', 'Asia/Bangkok'), ('Beijing', 'Asia/Shanghai'), ('Ulaan Bataar', 'Asia/Ulaanbaatar'),
        ('Osaka', 'Asia/Tokyo'), ('Sapporo', 'Asia/Tokyo'), ('Marshall Is.', 'Pacific/Majuro'), ('Nuku''alofa', 'Pacific/Tongatapu'), ('Solomon Is.', 'Pacific/Guadalcanal'),
        ('New Caledonia', 'Pacific/Noumea'), ('Wellington', 'Pacific/Auckland'), ('Samoa', 'Pacific/Apia'), ('Tokelau Is.', 'Pacific/Fakaofo'), ('Chatham Is.', 'Pacific/Chatham'))
    SELECT coalesce((SELECT o.zone FROM other AS o WHERE o.name = $1),
                    (SELECT z.name FROM pg_timezone_names AS z
                     WHERE (z.name = $1 OR z.name LIKE '%/' || replace(replace($1, ' ', E'\\_'), '%', E'\\%')) AND z.name NOT LIKE 'posix/%' AND z.name NOT LIKE 'right/%'
                     ORDER BY z.name <> $1, length(z.name), z.name COLLATE "C" LIMIT 1));
END;

ALTER TABLE revacct_data.validity REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.signoff REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.pending_subject REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.subject_link REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.rejected REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.report_setting REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.refreshed REPLICA IDENTITY FULL;

ALTER TABLE revacct_data.open_clock REPLICA IDENTITY FULL;

REVOKE EXECUTE ON FUNCTION _put_in_force(bigint), _give_numbers(bigint), _check_change(bigint), _sign(bigint, text, text), _lock_model(),
    _my_draft(bigint), _draft_version(bigint, text, text, text, text),
    _retire(bigint, text, text, text, timestamptz, boolean), _hold_horizon(), _lock_registrations(), _keep_to_owner(regclass), _begin_write(smallint, boolean), _register_parties(text[]), _number_names(text[], text[]), _make_partition(int),
    _take_in_events(smallint, timestamptz, bigint), _take_in_links(smallint, timestamptz, bigint), _take_in_money(smallint, timestamptz, bigint),
    _take_in_commitments(smallint, timestamptz, bigint), _refuse_moves(smallint, bigint, timestamptz), _moves(bigint, text[]), _breaches(bigint, text[]),
    _demand_taken(text, text), _identities(bigint[], timestamptz), _fold(bigint[], timestamptz), _place(text, lifecycle, text, boolean),
    _refresh_figures(interval), _group_cells(), _judged(text, timestamptz, boolean, timestamptz, timestamptz, text, text, text),
    _metric_value(text, daterange, text, text, text, timestamptz, timestamptz, timestamptz, boolean, timestamptz) FROM PUBLIC;

DROP FUNCTION _my_party_numbers();

-- What default privileges did to the new functions, and the tables they gave away: whoever has TRIGGER on one has the rights of its writers.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT p.oid::pg_catalog.regprocedure AS routine, p.proname <> '_keep_to_owner' AS is_public,
               (SELECT pg_catalog.string_agg(DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END, ', ') FROM pg_catalog.aclexplode(p.proacl) AS a WHERE a.grantee <> p.proowner) AS others
        FROM pg_catalog.pg_proc AS p
        WHERE p.proacl IS NOT NULL AND p.pronamespace = 'revacct'::pg_catalog.regnamespace
          AND p.proname IN ('_in_maintenance', '_keep_to_owner', '_open_reading', '_close_reading', '_session_sees_all', '_my_party_numbers')
    LOOP
        IF one.others IS NOT NULL THEN
            EXECUTE pg_catalog.format('REVOKE ALL ON FUNCTION %s FROM %s', one.routine, one.others);
        END IF;
        IF one.is_public THEN
            EXECUTE pg_catalog.format('GRANT EXECUTE ON FUNCTION %s TO PUBLIC', one.routine);
        END IF;
    END LOOP;
    FOR one IN
        SELECT DISTINCT c.oid::pg_catalog.regclass AS relation, CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE a.grantee::pg_catalog.regrole::text END AS grantee
        FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS a
        WHERE c.relnamespace = 'revacct_data'::pg_catalog.regnamespace AND c.relkind IN ('r', 'p') AND a.privilege_type = 'TRIGGER' AND a.grantee <> c.relowner
    LOOP
        EXECUTE pg_catalog.format('REVOKE TRIGGER ON %s FROM %s', one.relation, one.grantee);
    END LOOP;
END $$;
