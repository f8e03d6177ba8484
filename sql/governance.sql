--
-- governance.sql: who proposes, who agrees, and what is in force when.
--
-- A definition is a row of one of the tables in model.sql, under a version. A version belongs to a change: it is drafted,
-- proposed, signed by the owners of what it touches, and then put in force. What is in force is a matter of two times: from
-- when until when it is valid, and since when that is on record; so a retroactive change does not rewrite what was known.
--
-- Tables are written by the functions here and in model.sql, and by nothing else. Those functions run with their owner's
-- rights because nobody shall have the right to write; each decides by session_user, which SET ROLE does not change.
--

CREATE FUNCTION object_key(VARIADIC names text[])
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_object_key'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION object_key(text[]) IS
E'The key of a definition: its names, joined by slashes; a slash in a name is written \\/. The key of stage mql in lifecycle inbound is inbound/mql.';

CREATE FUNCTION _key_names(key text)
RETURNS text[]
AS 'MODULE_PATHNAME', 'revacct_key_names'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _key_names(text) IS 'The names that object_key() joined.';

CREATE FUNCTION _in_maintenance()
RETURNS boolean
AS 'MODULE_PATHNAME', 'revacct_in_maintenance'
LANGUAGE C STABLE PARALLEL SAFE;
COMMENT ON FUNCTION _in_maintenance() IS
'Whether this runs because somebody maintains a table or view: ANALYZE, REINDEX, REFRESH MATERIALIZED VIEW and the like, and autovacuum. Expressions in it are of the owner''s making, and the session''s user need not know them: what they ask is not that user''s asking.';

-- Who may do what

CREATE TABLE revacct_data.access (
    db_role text NOT NULL,
    level text NOT NULL CHECK (level IN ('reader', 'analyst', 'steward', 'council', 'loader')),
    granted_by text NOT NULL,
    granted_at timestamptz NOT NULL,
    PRIMARY KEY (db_role, level)
);
COMMENT ON TABLE revacct_data.access IS 'The access levels of database roles. Rows come from grant_access().';
COMMENT ON COLUMN revacct_data.access.db_role IS 'A database role; its members have the level too.';
COMMENT ON COLUMN revacct_data.access.level IS 'What it may do: reader, analyst, steward, council or loader.';
COMMENT ON COLUMN revacct_data.access.granted_by IS 'The session''s user who granted it.';
COMMENT ON COLUMN revacct_data.access.granted_at IS 'When it was granted.';

CREATE TABLE revacct_data.party (
    party text PRIMARY KEY CHECK (party <> '' AND party = btrim(party) AND octet_length(party) <= 200),
    party_no bigint NOT NULL UNIQUE,
    kind text NOT NULL CHECK (kind IN ('person', 'team', 'function', 'queue', 'external')),
    label text NOT NULL,
    login text UNIQUE,
    registered_by text NOT NULL,
    registered_at timestamptz NOT NULL,
    linked_by text,
    linked_at timestamptz,
    CONSTRAINT only_people_log_in CHECK (login IS NULL OR kind IN ('person', 'external'))
);
COMMENT ON TABLE revacct_data.party IS 'Who takes part: people, teams, functions, queues and external parties. Rows come from register_party().';
COMMENT ON COLUMN revacct_data.party.party IS 'The key by which everything names the party.';
COMMENT ON COLUMN revacct_data.party.party_no IS 'The value that owner marks in journeys carry.';
COMMENT ON COLUMN revacct_data.party.kind IS 'A person, team, function, queue or external party.';
COMMENT ON COLUMN revacct_data.party.label IS 'The name people read.';
COMMENT ON COLUMN revacct_data.party.login IS 'The database role by which a person logs in, and so signs.';
COMMENT ON COLUMN revacct_data.party.registered_by IS 'The session''s user who registered it.';
COMMENT ON COLUMN revacct_data.party.registered_at IS 'When it was registered.';
COMMENT ON COLUMN revacct_data.party.linked_by IS 'The session''s user who linked the login.';
COMMENT ON COLUMN revacct_data.party.linked_at IS 'When the login was linked.';

-- Changes

CREATE TABLE revacct_data.change (
    change_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    rationale text NOT NULL CHECK (btrim(rationale) <> ''),
    status text NOT NULL DEFAULT 'draft' CHECK (status IN ('draft', 'proposed', 'approved', 'rejected', 'withdrawn')),
    raised_by text NOT NULL,
    raised_at timestamptz NOT NULL,
    proposed_by text,
    proposed_at timestamptz,
    decided_at timestamptz,
    effective_at timestamptz CHECK (isfinite(effective_at)),
    effective_until timestamptz CHECK (effective_until > '-infinity'),
    retroactive boolean NOT NULL DEFAULT false,
    UNIQUE (change_id, raised_by, proposed_by),
    CONSTRAINT effective_period CHECK (effective_until > effective_at),
    CONSTRAINT proposed_once_it_is_no_draft CHECK (status IN ('draft', 'withdrawn') OR (proposed_by IS NOT NULL AND proposed_at IS NOT NULL)),
    CONSTRAINT decided_at_the_end CHECK ((decided_at IS NOT NULL) = (status IN ('approved', 'rejected', 'withdrawn'))),
    CONSTRAINT effective_once_approved CHECK (status <> 'approved' OR effective_at IS NOT NULL),
    CONSTRAINT not_backwards_unless_marked CHECK (retroactive OR effective_at >= coalesce(CASE WHEN status = 'approved' THEN decided_at END, proposed_at, raised_at))
);
COMMENT ON TABLE revacct_data.change IS 'What was or is to be agreed: a set of versions that come into force together, or not at all.';
COMMENT ON SEQUENCE revacct_data.change_change_id_seq IS 'Numbers of changes.';
COMMENT ON COLUMN revacct_data.change.change_id IS 'The number of the change.';
COMMENT ON COLUMN revacct_data.change.rationale IS 'Why.';
COMMENT ON COLUMN revacct_data.change.status IS 'Where it stands: draft, proposed, approved, rejected or withdrawn.';
COMMENT ON COLUMN revacct_data.change.raised_by IS 'The session''s user who drafted it.';
COMMENT ON COLUMN revacct_data.change.raised_at IS 'When it was drafted.';
COMMENT ON COLUMN revacct_data.change.proposed_by IS 'The session''s user who proposed it.';
COMMENT ON COLUMN revacct_data.change.proposed_at IS 'When it was proposed.';
COMMENT ON COLUMN revacct_data.change.decided_at IS 'When it was approved, rejected or withdrawn.';
COMMENT ON COLUMN revacct_data.change.effective_at IS 'From when its versions are valid; NULL until it is approved: from then on.';
COMMENT ON COLUMN revacct_data.change.effective_until IS 'Until when they are valid; NULL: for good, as long as nothing later was agreed already; infinity: for good, whatever was.';
COMMENT ON COLUMN revacct_data.change.retroactive IS 'Whether it may be, and once it is approved whether it is, effective from before it was approved.';
CREATE INDEX ON revacct_data.change (raised_by) WHERE status = 'draft';
CREATE INDEX ON revacct_data.change (decided_at) WHERE status = 'approved';

CREATE TABLE revacct_data.version (
    version_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    change_id bigint NOT NULL REFERENCES revacct_data.change,
    kind text NOT NULL CHECK (kind IN ('lifecycle', 'stage', 'transition', 'code', 'field_rule', 'calendar', 'policy', 'policy_target',
                                       'policy_step', 'metric', 'target', 'program', 'responsibility')),
    key text NOT NULL CHECK (octet_length(key) <= 1000),
    action text NOT NULL CHECK (action IN ('define', 'retire')),
    successor text CONSTRAINT only_the_retired_have_successors CHECK (successor IS NULL OR action = 'retire'),
    replaces bigint,  -- no foreign key: pg_dump warns of tables that refer to themselves
    version_no int,
    drafted_as_of timestamptz NOT NULL,
    UNIQUE (change_id, kind, key),
    UNIQUE (version_id, kind, key),
    UNIQUE (kind, key, version_no)
);
COMMENT ON TABLE revacct_data.version IS 'What a change says of one definition: a new content, which is in the table of its kind, or that it is retired.';
COMMENT ON SEQUENCE revacct_data.version_version_id_seq IS 'Numbers of versions.';
COMMENT ON COLUMN revacct_data.version.version_id IS 'The number of the version, under which its content is kept.';
COMMENT ON COLUMN revacct_data.version.change_id IS 'The change it belongs to.';
COMMENT ON COLUMN revacct_data.version.kind IS 'The kind of definition, which is the name of a table.';
COMMENT ON COLUMN revacct_data.version.key IS 'The definition: its names, as object_key() joins them.';
COMMENT ON COLUMN revacct_data.version.action IS 'What it says: define or retire.';
COMMENT ON COLUMN revacct_data.version.successor IS 'The key of the definition that a retired one is counted as.';
COMMENT ON COLUMN revacct_data.version.replaces IS 'The version that was in force when this one was drafted; if that is not so any more, it cannot be approved.';
COMMENT ON COLUMN revacct_data.version.version_no IS 'The first, second, third... approved version of its definition; NULL unless approved.';
COMMENT ON COLUMN revacct_data.version.drafted_as_of IS 'The last decision that was on record when it was drafted: what was decided since for its period keeps it from being approved.';
CREATE INDEX ON revacct_data.version (kind, successor) WHERE successor IS NOT NULL;
CREATE INDEX ON revacct_data.version (kind, key);

CREATE TABLE revacct_data.validity (
    version_id bigint NOT NULL,
    kind text NOT NULL,
    key text NOT NULL,
    valid tstzrange NOT NULL CHECK (NOT isempty(valid) AND lower_inc(valid) AND NOT upper_inc(valid)),
    recorded tstzrange NOT NULL CHECK (NOT isempty(recorded) AND lower_inc(recorded) AND NOT upper_inc(recorded)),
    FOREIGN KEY (version_id, kind, key) REFERENCES revacct_data.version (version_id, kind, key),
    CONSTRAINT one_version_in_force EXCLUDE USING gist (kind WITH =, key WITH =, valid WITH &&, recorded WITH &&)
);
COMMENT ON TABLE revacct_data.validity IS 'Which version of a definition is in force when, and since when that is on record. Rows are made when a change is approved; all that ever happens to them is that the record ends.';
COMMENT ON COLUMN revacct_data.validity.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.validity.kind IS 'The kind of its definition.';
COMMENT ON COLUMN revacct_data.validity.key IS 'The key of its definition.';
COMMENT ON COLUMN revacct_data.validity.valid IS 'From when until when it is in force.';
COMMENT ON COLUMN revacct_data.validity.recorded IS 'Since when that is on record, and until when it was.';
CREATE INDEX ON revacct_data.validity (version_id);

CREATE TABLE revacct_data.signoff (
    change_id bigint NOT NULL,
    party text REFERENCES revacct_data.party,
    verdict text NOT NULL CHECK (verdict IN ('approve', 'reject')),
    note text,
    signed_by text NOT NULL,
    signed_at timestamptz NOT NULL,
    raised_by text NOT NULL,
    proposed_by text NOT NULL,
    UNIQUE NULLS NOT DISTINCT (change_id, party),
    FOREIGN KEY (change_id, raised_by, proposed_by) REFERENCES revacct_data.change (change_id, raised_by, proposed_by),
    CONSTRAINT nobody_signs_their_own_change CHECK (signed_by <> raised_by AND signed_by <> proposed_by)
);
COMMENT ON TABLE revacct_data.signoff IS 'Who signed which change, for whom. Rows come from approve() and reject().';
COMMENT ON COLUMN revacct_data.signoff.change_id IS 'The change.';
COMMENT ON COLUMN revacct_data.signoff.party IS 'The party whose signature it is; NULL: the council''s.';
COMMENT ON COLUMN revacct_data.signoff.verdict IS 'What they say: approve or reject.';
COMMENT ON COLUMN revacct_data.signoff.note IS 'What they wrote beside it.';
COMMENT ON COLUMN revacct_data.signoff.signed_by IS 'The session''s user who signed.';
COMMENT ON COLUMN revacct_data.signoff.signed_at IS 'When.';
COMMENT ON COLUMN revacct_data.signoff.raised_by IS 'Who drafted the change, who is somebody else.';
COMMENT ON COLUMN revacct_data.signoff.proposed_by IS 'Who proposed the change, who is somebody else.';

-- Marks and codes have numbers for ever, whatever becomes of their definitions: journeys hold them.
CREATE TABLE revacct_data.numbering (
    kind text NOT NULL CHECK (kind IN ('stage', 'event', 'code')),
    key text NOT NULL,
    is_mark boolean NOT NULL GENERATED ALWAYS AS (kind <> 'code') STORED,
    number int NOT NULL CHECK (number > 0),
    PRIMARY KEY (kind, key),
    UNIQUE (is_mark, number)
);
COMMENT ON TABLE revacct_data.numbering IS 'The numbers by which journeys know stages, kinds of events and codes. They are given when a change is approved, in order, and never again to anything else.';
COMMENT ON COLUMN revacct_data.numbering.kind IS 'What is numbered: a stage, a kind of event or a code.';
COMMENT ON COLUMN revacct_data.numbering.key IS 'Its key.';
COMMENT ON COLUMN revacct_data.numbering.is_mark IS 'Stages and kinds of events are marks, and share their numbers.';
COMMENT ON COLUMN revacct_data.numbering.number IS 'The mark''s number, or the value of marks that tell a code.';

-- Guards. Ordinary roles lack the privilege to write; the guard is for those who have it, and says what to do instead. It
-- lets the functions of the model pass, and a superuser who restores into empty tables.

CREATE FUNCTION _guard()
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
COMMENT ON FUNCTION _guard() IS 'Trigger function of every table of the model: refuses writes from outside of the functions that govern it.';

-- Who is asking

CREATE FUNCTION _is_still_granted(level text, db_role oid)
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- by what each level may read (rejected_facts is made later than this function)
    SELECT EXISTS (SELECT FROM pg_class AS c, aclexplode(c.relacl) AS p WHERE p.grantee = db_role AND p.privilege_type = 'SELECT'
                   AND c.oid = CASE WHEN level IN ('analyst', 'steward', 'council') THEN 'revacct_data.access'::regclass ELSE to_regclass('revacct.rejected_facts') END);
END;
COMMENT ON FUNCTION _is_still_granted(text, oid) IS 'Whether what grant_access() granted a role for an access level is there: it goes with the role, and its name may be another''s since.';

CREATE FUNCTION _has_access(levels text[])
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
        WHERE a.level = ANY (levels) AND _is_still_granted(a.level, b.oid));
END;
COMMENT ON FUNCTION _has_access(text[]) IS 'Whether the session''s user has one of these access levels, itself or by membership. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION _demand_access(levels text[], what text)
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
COMMENT ON FUNCTION _demand_access(text[], text) IS 'Refuses what the session''s user has not the access level for.';

CREATE FUNCTION grant_access(level text, db_role regrole)
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
    WHERE a.db_role = (SELECT r.rolname FROM pg_roles AS r WHERE r.oid = grant_access.db_role) AND NOT _is_still_granted(a.level, grant_access.db_role);

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
COMMENT ON FUNCTION grant_access(text, regrole) IS
'Gives a database role, and so its members, an access level. reader: reads the views, compiles definitions, drafts changes. analyst: reads the tables too. steward: registers parties, proposes changes. council: the same, and signs what has no other owner. loader: registers parties. For the administrator, who owns the extension.
Errors: invalid_parameter_value (22023), undefined_object (42704).';

CREATE FUNCTION revoke_access(level text, db_role regrole)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    gone constant text := (SELECT rolname FROM pg_roles WHERE oid = db_role);
    rest text[];
BEGIN
    DELETE FROM revacct_data.access AS a WHERE a.db_role = gone AND a.level = revoke_access.level;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'role "%" has not the access level %', coalesce(gone, db_role::text), coalesce(level, 'NULL')
            USING ERRCODE = 'undefined_object';
    END IF;
    -- What the administrator has he has without a level.
    IF db_role = (SELECT e.extowner FROM pg_extension AS e WHERE e.extname = 'revacct') THEN
        RETURN;
    END IF;
    rest := ARRAY(SELECT a.level FROM revacct_data.access AS a WHERE a.db_role = gone);
    IF NOT rest && '{analyst, steward, council}' THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA revacct_data FROM %I', gone);
        EXECUTE format('REVOKE ALL ON SCHEMA revacct_data FROM %I', gone);
    END IF;
    IF NOT rest && '{reader, analyst, steward, council}' THEN
        EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA revacct FROM %I', gone);
        IF 'loader' = ANY (rest) THEN
            EXECUTE format('GRANT SELECT ON revacct.rejected_facts TO %I', gone);
        END IF;
    END IF;
    IF rest = '{}' THEN
        EXECUTE format('REVOKE ALL ON SCHEMA revacct FROM %I', gone);
    END IF;
END $$;
COMMENT ON FUNCTION revoke_access(text, regrole) IS
'Takes an access level from a database role, and the privileges that no level it keeps gives it. For the administrator.
Errors: undefined_object (42704).';

-- Parties

CREATE FUNCTION register_party(party text, kind text, label text DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    former revacct_data.party;
    number bigint;
BEGIN
    PERFORM _demand_access('{steward, council, loader}', 'register parties');
    LOCK TABLE revacct_data.party IN SHARE ROW EXCLUSIVE MODE;  -- numbers follow each other
    SELECT * INTO former FROM revacct_data.party AS p WHERE p.party = register_party.party;
    IF FOUND THEN
        IF former.kind IS DISTINCT FROM kind THEN
            RAISE EXCEPTION 'party "%" is a %', party, former.kind
                USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It cannot become a %s.', coalesce(kind, 'NULL')),
                      HINT = 'Register another party; what was agreed with this one stays with it.';
        END IF;
        UPDATE revacct_data.party AS p
        SET label = coalesce(register_party.label, p.label)
        WHERE p.party = register_party.party;
        RETURN former.party_no;
    END IF;
    SELECT coalesce(max(party_no), 0) + 1 INTO number FROM revacct_data.party;
    INSERT INTO revacct_data.party (party, party_no, kind, label, registered_by, registered_at)
    VALUES (party, number, kind, coalesce(label, party), session_user, clock_timestamp());
    RETURN number;
END $$;
COMMENT ON FUNCTION register_party(text, text, text) IS
'Registers a person, team, function, queue or external party, or gives a registered one another label, and returns its number, which owner marks carry. It has no say in anything until a change assigns it a responsibility. For stewards, the council and loaders.
Errors: insufficient_privilege (42501), check_violation (23514), invalid_parameter_value (22023).';

CREATE FUNCTION link_login(party text, db_role regrole)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    named constant text := (SELECT rolname FROM pg_roles WHERE oid = db_role);
BEGIN
    IF db_role IS NOT NULL AND named IS NULL THEN
        RAISE EXCEPTION 'role % does not exist', db_role USING ERRCODE = 'undefined_object';
    END IF;
    UPDATE revacct_data.party AS p
    SET login = named, linked_by = session_user, linked_at = clock_timestamp()
    WHERE p.party = link_login.party;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'party "%" is not registered', coalesce(party, 'NULL')
            USING ERRCODE = 'undefined_object', HINT = 'Register it: SELECT register_party(''name'', ''person'').';
    END IF;
END $$;
COMMENT ON FUNCTION link_login(text, regrole) IS
'Says which database role a person logs in by: what is signed in its sessions is signed by that person. NULL takes it away. For the administrator.
Errors: undefined_object (42704), unique_violation (23505) when it is somebody else''s, check_violation (23514) when the party is no person.';

-- Drafts

CREATE FUNCTION draft_change(
    rationale text, effective_at timestamptz DEFAULT NULL, effective_until timestamptz DEFAULT NULL, retroactive boolean DEFAULT false)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    number bigint;
BEGIN
    IF effective_at < clock_timestamp() AND NOT coalesce(retroactive, false) THEN
        RAISE EXCEPTION 'a change cannot be effective from before it is agreed, unless it is marked as retroactive'
            USING ERRCODE = 'invalid_parameter_value', DETAIL = format('effective_at is %s.', effective_at),
                  HINT = 'Leave effective_at out (from the approval on), give a later one, or pass retroactive => true.';
    END IF;
    INSERT INTO revacct_data.change (rationale, raised_by, raised_at, effective_at, effective_until, retroactive)
    VALUES (rationale, session_user, clock_timestamp(), effective_at, effective_until, coalesce(retroactive, false))
    RETURNING change_id INTO number;
    RETURN number;
END $$;
COMMENT ON FUNCTION draft_change(text, timestamptz, timestamptz, boolean) IS
'Begins a change, says why, and returns its number; define_...(), assign() and retire() then fill it, and propose_change() puts it before the owners. Anyone may draft. effective_at: from when it is valid (NULL: from its approval). effective_until: until when; NULL: for good, and refused if something later is agreed already; infinity: for good, whatever is. retroactive: it is effective from before its approval.
Errors: invalid_parameter_value (22023), check_violation (23514).';

CREATE FUNCTION _my_draft(change_id bigint)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    draft revacct_data.change;
    drafts bigint[];
BEGIN
    IF change_id IS NULL THEN
        drafts := ARRAY(SELECT c.change_id FROM revacct_data.change AS c WHERE c.raised_by = session_user AND c.status = 'draft' ORDER BY 1);
        IF drafts = '{}' THEN
            RAISE EXCEPTION 'there is no draft of yours'
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Begin one: SELECT draft_change(''why'').';
        ELSIF cardinality(drafts) > 1 THEN
            RAISE EXCEPTION 'there are several drafts of yours'
                USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('They are the changes %s.', array_to_string(drafts, ', ')),
                      HINT = 'Say which: change => number; or withdraw_change() the others.';
        END IF;
        change_id := drafts[1];
    END IF;
    SELECT * INTO draft FROM revacct_data.change AS c WHERE c.change_id = _my_draft.change_id FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no change %', change_id USING ERRCODE = 'undefined_object';
    ELSIF draft.status <> 'draft' THEN
        RAISE EXCEPTION 'change % is no draft any more', change_id
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', draft.status),
                  HINT = 'What was proposed stays as it was read by those who sign. Draft another change.';
    ELSIF draft.raised_by <> session_user THEN
        RAISE EXCEPTION 'change % is a draft of somebody else', change_id
            USING ERRCODE = 'insufficient_privilege', DETAIL = format('It is %s''s.', draft.raised_by), HINT = 'Draft one of your own.';
    END IF;
    RETURN change_id;
END $$;
COMMENT ON FUNCTION _my_draft(bigint) IS 'The draft that is meant, locked: the one named, or the only one of the session''s user.';

CREATE FUNCTION _in_force(kind text, key text, at timestamptz)
RETURNS bigint
LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT i.version_id FROM revacct_data.validity AS i
    WHERE i.kind = $1 AND i.key = $2 AND i.valid @> $3 AND upper_inf(i.recorded);
END;
COMMENT ON FUNCTION _in_force(text, text, timestamptz) IS 'The version of a definition that is in force at an instant, as the record is now.';

CREATE FUNCTION _draft_version(change_id bigint, kind text, key text, action text DEFAULT 'define', successor text DEFAULT NULL)
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
COMMENT ON FUNCTION _draft_version(bigint, text, text, text, text) IS 'A version in a draft of the session''s user, in place of what the draft said of the same definition before.';

CREATE FUNCTION undraft(kind text, key text, change bigint DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    draft constant bigint := _my_draft(change);
BEGIN
    DELETE FROM revacct_data.version AS v WHERE v.change_id = draft AND v.kind = undraft.kind AND v.key = undraft.key;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'change % says nothing of % "%"', draft, kind, key
            USING ERRCODE = 'undefined_object', HINT = 'change_contents shows what it says.';
    END IF;
END $$;
COMMENT ON FUNCTION undraft(text, text, bigint) IS
'Takes out of a draft what it says of one definition, be it a content or an end. kind, key: as change_contents shows them. change: the draft; NULL: the only one of yours.
Errors: undefined_object (42704).';

CREATE FUNCTION _now()
RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- What was approved in this very statement is in force too.
    SELECT greatest(statement_timestamp(), (SELECT max(c.decided_at) FROM revacct_data.change AS c WHERE c.status = 'approved'));
END;
COMMENT ON FUNCTION _now() IS 'The time as of which the model is asked if nobody says another.';

-- The horizon: up to it, facts and definitions are all on record, and nothing can be recorded any more

CREATE FUNCTION _hold_horizon()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    -- The second lock says since when this transaction writes: its number is in seconds since 2020, rounded down. The first tells
    -- it from one that anybody may take.
    LOCK TABLE revacct_data.pending_load IN ROW EXCLUSIVE MODE;
    PERFORM pg_advisory_xact_lock_shared(727301, (floor(extract(epoch FROM clock_timestamp())) - 1577836800)::int4);
END $$;
COMMENT ON FUNCTION _hold_horizon() IS 'Keeps _horizon() from passing this instant until the transaction ends. To be called before the time is taken at which something is recorded.';

CREATE FUNCTION _horizon()
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    -- before the locks are read: a writer whose lock is not seen records later than this
    horizon timestamptz := clock_timestamp();
BEGIN
    RETURN least(horizon, (
        SELECT to_timestamp(min(l.objid::int8) + 1577836800)
        FROM pg_locks AS l
        WHERE l.locktype = 'advisory' AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AND l.classid = 727301 AND l.objsubid = 2
          AND EXISTS (SELECT FROM pg_locks AS w WHERE w.pid IS NOT DISTINCT FROM l.pid AND w.virtualtransaction = l.virtualtransaction AND w.locktype = 'relation' AND w.database = l.database
                        AND w.relation = 'revacct_data.pending_load'::regclass AND w.mode = 'RowExclusiveLock')));
END $$;
COMMENT ON FUNCTION _horizon() IS 'The time up to which the record is complete: whoever still writes records later than that.';
