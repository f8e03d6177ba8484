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

-- afterwards
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
          AND p.proname IN ('_in_maintenance', '_keep_to_owner', '_open_reading', '_close_reading', '_session_sees_all', '_is_still_granted', '_my_party_numbers',
                            'definition_hash_extended')
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
