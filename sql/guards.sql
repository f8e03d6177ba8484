--
-- guards.sql: what every table of the model gets: a guard, a place in dumps, and what its administrator may do.
--

-- Writes come from the functions that govern them, or are refused: see _guard().
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.access FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.access FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.access FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.access ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.party FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.party FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.party FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.party ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.change FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.change FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.change FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.change ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.version FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.version FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.version FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.version ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.validity FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.validity FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.validity FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.validity ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.signoff FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.signoff FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.signoff FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.signoff ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.numbering FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.numbering FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.numbering FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.numbering ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.calendar FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.calendar FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.calendar FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.calendar ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.lifecycle FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.lifecycle FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.lifecycle FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.lifecycle ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.stage FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.stage FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.stage FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.stage ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.transition FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.transition FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.transition FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.transition ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.code FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.code FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.code FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.code ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.field_rule FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.field_rule FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.field_rule FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.field_rule ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.policy FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.policy FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.policy FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.policy ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.policy_target FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.policy_target FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.policy_target FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.policy_target ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.policy_step FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.policy_step FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.policy_step FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.policy_step ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.metric FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.metric FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.metric FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.metric ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.target FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.target FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.target FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.target ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.program FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.program FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.program FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.program ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.responsibility FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.responsibility FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.responsibility FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.responsibility ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.override FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_rows BEFORE INSERT ON revacct_data.override FOR EACH ROW EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.override FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.override ENABLE ALWAYS TRIGGER guard_end;
-- Facts come by the million: their rows are not looked at one by one. Whoever may copy into a table that is not empty is a superuser.
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.source FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.source FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.source ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.load FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.load FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.load ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.pending_load FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.pending_load FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.pending_load ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.pending_subject FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.pending_subject FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.pending_subject ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.subject FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.subject FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.subject ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.subject_link FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.subject_link FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.subject_link ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.event FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.event FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.event ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.correction FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.correction FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.correction ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.money FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.money FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.money ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.commitment FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.commitment FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.commitment ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.rejected FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.rejected FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.rejected ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.report_setting FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.report_setting FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.report_setting ENABLE ALWAYS TRIGGER guard_end;
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.published FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard_end AFTER INSERT ON revacct_data.published FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
ALTER TABLE revacct_data.published ENABLE ALWAYS TRIGGER guard_end;
-- What is derived is in no dump, and nobody writes it.
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.identity FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.journey FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.cell FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.placement FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.pack FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.placed_lifecycle FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.refreshed FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.cell_figure FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.cell_sla_figure FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.report_group FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.funnel_figure FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.velocity_figure FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.sla_figure FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.open_clock FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();
CREATE TRIGGER guard BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON revacct_data.reported_sla FOR EACH STATEMENT EXECUTE FUNCTION revacct._guard();

-- Tables without a primary key, for a publication of all tables: without an identity no row of them could be changed any more.
ALTER TABLE revacct_data.validity REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.signoff REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.pending_subject REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.subject_link REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.rejected REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.report_setting REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.refreshed REPLICA IDENTITY FULL;
ALTER TABLE revacct_data.open_clock REPLICA IDENTITY FULL;

-- All rows are the user's own: nothing is shipped.
SELECT pg_catalog.pg_extension_config_dump('revacct_data.access', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.party', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.change', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.version', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.validity', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.signoff', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.numbering', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.calendar', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.lifecycle', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.stage', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.transition', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.code', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.field_rule', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.policy', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.policy_target', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.policy_step', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.metric', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.target', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.program', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.responsibility', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.override', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.source', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.load', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.subject', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.subject_link', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.correction', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.money', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.commitment', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.rejected', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.report_setting', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.published', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.published_published_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.load_load_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.subject_subject_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.change_change_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.version_version_id_seq', '');
SELECT pg_catalog.pg_extension_config_dump('revacct_data.override_override_id_seq', '');

-- Default privileges, which give or take what they like, are not meant for these objects: what anybody may do with them is said here.
DO $$
DECLARE
    one record;
BEGIN
    FOR one IN
        SELECT DISTINCT o.sort, o.name, a.grantee
        FROM (SELECT 'SCHEMA' AS sort, quote_ident(n.nspname) AS name, n.nspowner AS owner, n.nspacl AS acl FROM pg_namespace AS n WHERE n.nspname IN ('revacct', 'revacct_data')
              UNION ALL SELECT CASE WHEN c.relkind = 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner, c.relacl FROM pg_class AS c
                        WHERE c.relnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'S')
              UNION ALL SELECT 'ROUTINE', p.oid::regprocedure::text, p.proowner, p.proacl FROM pg_proc AS p WHERE p.pronamespace = 'revacct'::regnamespace
              UNION ALL SELECT 'TYPE', t.oid::regtype::text, t.typowner, t.typacl FROM pg_type AS t WHERE t.typnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND t.typelem = 0) AS o,
             aclexplode(o.acl) AS a
        WHERE a.grantee <> o.owner
    LOOP
        EXECUTE format('REVOKE ALL ON %s %s FROM %s', one.sort, one.name, CASE WHEN one.grantee = 0 THEN 'PUBLIC' ELSE one.grantee::regrole::text END);
    END LOOP;
    -- as it is where nobody altered them
    FOR one IN
        SELECT 'EXECUTE ON ROUTINE ' || p.oid::regprocedure AS what FROM pg_proc AS p WHERE p.pronamespace = 'revacct'::regnamespace AND p.proacl IS NOT NULL
        UNION ALL SELECT 'USAGE ON TYPE ' || t.oid::regtype FROM pg_type AS t
                  WHERE t.typnamespace IN ('revacct'::regnamespace, 'revacct_data'::regnamespace) AND t.typelem = 0 AND t.typacl IS NOT NULL
    LOOP
        EXECUTE format('GRANT %s TO PUBLIC', one.what);
    END LOOP;
END $$;
GRANT USAGE ON SCHEMA revacct, revacct_data TO @extowner@ WITH GRANT OPTION;
GRANT SELECT, INSERT, UPDATE, DELETE ON revacct_data.escalation TO @extowner@ WITH GRANT OPTION;

-- A trusted extension's objects belong to the superuser; who installs it reads, says who may do what,
-- and is told by the guard, not by a missing privilege, how the model is changed.
GRANT SELECT ON ALL TABLES IN SCHEMA revacct TO @extowner@ WITH GRANT OPTION;
GRANT SELECT ON ALL TABLES IN SCHEMA revacct_data TO @extowner@ WITH GRANT OPTION;
GRANT INSERT, UPDATE, DELETE ON
    revacct_data.access, revacct_data.party, revacct_data.change, revacct_data.version, revacct_data.validity, revacct_data.signoff, revacct_data.numbering,
    revacct_data.calendar, revacct_data.lifecycle, revacct_data.stage, revacct_data.transition, revacct_data.code, revacct_data.field_rule, revacct_data.policy,
    revacct_data.policy_target, revacct_data.policy_step, revacct_data.metric, revacct_data.target, revacct_data.program, revacct_data.responsibility, revacct_data.override,
    revacct_data.source, revacct_data.load, revacct_data.pending_load, revacct_data.pending_subject, revacct_data.subject, revacct_data.subject_link, revacct_data.correction, revacct_data.money, revacct_data.commitment, revacct_data.rejected, revacct_data.report_setting, revacct_data.published
TO @extowner@;
GRANT SELECT, UPDATE ON SEQUENCE revacct_data.change_change_id_seq, revacct_data.version_version_id_seq, revacct_data.override_override_id_seq, revacct_data.load_load_id_seq,
    revacct_data.subject_subject_id_seq, revacct_data.published_published_id_seq TO @extowner@;

REVOKE EXECUTE ON FUNCTION grant_access(text, regrole), revoke_access(text, regrole), link_login(text, regrole) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION grant_access(text, regrole), revoke_access(text, regrole), link_login(text, regrole) TO @extowner@;

-- What only the functions that govern call. They run as their owner.
REVOKE EXECUTE ON FUNCTION _put_in_force(bigint), _give_numbers(bigint), _check_change(bigint), _sign(bigint, text, text), _lock_model(),
    _my_draft(bigint), _draft_version(bigint, text, text, text, text),
    _retire(bigint, text, text, text, timestamptz, boolean), _hold_horizon(), _lock_registrations(), _keep_to_owner(regclass), _begin_write(smallint, boolean), _register_parties(text[]), _number_names(text[], text[]), _make_partition(int),
    _take_in_events(smallint, timestamptz, bigint), _take_in_links(smallint, timestamptz, bigint), _take_in_money(smallint, timestamptz, bigint),
    _take_in_commitments(smallint, timestamptz, bigint), _refuse_moves(smallint, bigint, timestamptz), _moves(bigint, text[]), _breaches(bigint, text[]),
    _demand_taken(text, text), _identities(bigint[], timestamptz), _fold(bigint[], timestamptz), _place(text, lifecycle, text, boolean),
    _refresh_figures(interval), _group_cells(), _judged(text, timestamptz, boolean, timestamptz, timestamptz, text, text, text),
    _metric_value(text, daterange, text, text, text, timestamptz, timestamptz, timestamptz, boolean, timestamptz) FROM PUBLIC;
