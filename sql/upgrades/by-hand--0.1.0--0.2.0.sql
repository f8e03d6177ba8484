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
