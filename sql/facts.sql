--
-- facts.sql: what happened: subjects, how they are linked, the ledger of events, money, commitments.
--
-- Facts are only ever added. Each keeps when it happened and when it was recorded; a correction is a new row that names what
-- it corrects. A fact is known by the key it has in its source, so loading it twice changes nothing. What cannot be taken in
-- is set aside with the reason, in revacct_data.rejected, and nothing is lost.
--
-- Writers put their rows into a temporary table of their session and call _take_in_events() and its like, which check and
-- move them set by set, a single row by the same code as ten million. Rows come with names; the ledger keeps the numbers that
-- journeys hold (revacct_data.numbering), which are the same for ever, whatever is defined and retired.
--

CREATE TABLE revacct_data.source (
    source text PRIMARY KEY CHECK (source <> '' AND source = btrim(source) AND octet_length(source) <= 200),
    source_no smallint NOT NULL UNIQUE,
    priority int NOT NULL,
    events text,
    links text,
    money text,
    commitments text,
    mapped_by text NOT NULL,
    mapped_at timestamptz NOT NULL
);
COMMENT ON TABLE revacct_data.source IS 'Systems that facts come from, and the relations in which load() finds them. Rows come from map_source() and the functions that record.';
COMMENT ON COLUMN revacct_data.source.source IS 'Its name.';
COMMENT ON COLUMN revacct_data.source.source_no IS 'The number by which facts know it.';
COMMENT ON COLUMN revacct_data.source.priority IS 'Whom to believe when sources differ and no rule on the field says: the lowest number.';
COMMENT ON COLUMN revacct_data.source.events IS 'The relation of its events.';
COMMENT ON COLUMN revacct_data.source.links IS 'The relation of its links.';
COMMENT ON COLUMN revacct_data.source.money IS 'The relation of its money.';
COMMENT ON COLUMN revacct_data.source.commitments IS 'The relation of its commitments.';
COMMENT ON COLUMN revacct_data.source.mapped_by IS 'The session''s user who mapped it last.';
COMMENT ON COLUMN revacct_data.source.mapped_at IS 'When.';

CREATE TABLE revacct_data.load (
    load_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_no smallint NOT NULL,
    recorded_by text NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX ON revacct_data.load (source_no);
COMMENT ON TABLE revacct_data.load IS 'Writes to the ledger: one row for each load and each single write that added something.';
COMMENT ON SEQUENCE revacct_data.load_load_id_seq IS 'Numbers of loads.';
COMMENT ON COLUMN revacct_data.load.load_id IS 'Its number.';
COMMENT ON COLUMN revacct_data.load.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.load.recorded_by IS 'The session''s user who wrote.';
COMMENT ON COLUMN revacct_data.load.recorded_at IS 'When.';

-- A row commits with the events of its load: who sees it sees them. That is all that refresh() needs to miss none.
CREATE TABLE revacct_data.pending_load (
    load_id bigint PRIMARY KEY
);
COMMENT ON TABLE revacct_data.pending_load IS 'Loads that refresh() has not taken into the journeys yet.';
COMMENT ON COLUMN revacct_data.pending_load.load_id IS 'The load.';

CREATE TABLE revacct_data.pending_subject (
    subject_id bigint NOT NULL
);
COMMENT ON TABLE revacct_data.pending_subject IS 'Subjects whose identity changed, which refresh() has not looked at yet.';
COMMENT ON COLUMN revacct_data.pending_subject.subject_id IS 'The subject.';

CREATE TABLE revacct_data.subject (
    subject_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_no smallint NOT NULL,
    kind text NOT NULL CHECK (kind IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case')),
    subject_key text NOT NULL,
    recorded_at timestamptz NOT NULL,
    UNIQUE (subject_key, kind, source_no)
);
COMMENT ON TABLE revacct_data.subject IS 'Whom and what facts are about, by the keys they have in their sources. One that several systems know has a row for each, linked as same_as.';
COMMENT ON SEQUENCE revacct_data.subject_subject_id_seq IS 'Numbers of subjects.';
COMMENT ON COLUMN revacct_data.subject.subject_id IS 'The number by which facts know it.';
COMMENT ON COLUMN revacct_data.subject.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.subject.kind IS 'What it is: account, person, lead, opportunity, contract, project or case.';
COMMENT ON COLUMN revacct_data.subject.subject_key IS 'Its key in the source.';
COMMENT ON COLUMN revacct_data.subject.recorded_at IS 'When it was first heard of.';

CREATE TABLE revacct_data.subject_link (
    from_subject bigint NOT NULL REFERENCES revacct_data.subject,
    to_subject bigint NOT NULL REFERENCES revacct_data.subject,
    role text NOT NULL CHECK (role IN ('account', 'originated', 'contact_role', 'same_as', 'referral', 'delivers')),
    valid tstzrange NOT NULL CHECK (NOT isempty(valid)),
    share numeric(9, 6) CHECK (share > 0 AND share <= 1),
    recorded tstzrange NOT NULL,
    source_no smallint NOT NULL,
    source_key text NOT NULL,
    CONSTRAINT nobody_is_linked_to_themselves CHECK (from_subject <> to_subject),
    CONSTRAINT one_link_at_a_time EXCLUDE USING gist (from_subject WITH =, to_subject WITH =, role WITH =, valid WITH &&, recorded WITH &&)
);
CREATE INDEX ON revacct_data.subject_link (source_no, source_key);
CREATE INDEX ON revacct_data.subject_link (to_subject);
COMMENT ON TABLE revacct_data.subject_link IS 'How subjects hang together. What a source says otherwise later ends the record of what it said before.';
COMMENT ON COLUMN revacct_data.subject_link.from_subject IS 'The lead that originated, the opportunity that has a contact role or an account, the one that is the same, the account that refers, the opportunity that delivers.';
COMMENT ON COLUMN revacct_data.subject_link.to_subject IS 'What it is linked to.';
COMMENT ON COLUMN revacct_data.subject_link.role IS 'How: account, originated, contact_role, same_as, referral or delivers.';
COMMENT ON COLUMN revacct_data.subject_link.valid IS 'From when until when.';
COMMENT ON COLUMN revacct_data.subject_link.share IS 'The share of it, 0 to 1.';
COMMENT ON COLUMN revacct_data.subject_link.recorded IS 'Since when that is on record, and until when it was.';
COMMENT ON COLUMN revacct_data.subject_link.source_no IS 'The source that says so.';
COMMENT ON COLUMN revacct_data.subject_link.source_key IS 'The link''s key in the source.';

-- No foreign keys and no triggers on each row: rows come by the ten million, and only through _take_in_events(). Keys and indexes
-- are made with each year: pg_dump, which takes the years for tables of its own, would make those of the parent twice.
CREATE TABLE revacct_data.event (
    subject_id bigint NOT NULL,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    load_id bigint NOT NULL,
    value bigint,
    seq bigint,
    mark int,
    source_no smallint NOT NULL,
    source_key text NOT NULL,
    code_no int,
    party_no bigint,
    actor_no bigint,
    amount numeric(18, 2),
    currency text,
    program text,
    corrects text,
    details jsonb
) PARTITION BY RANGE (occurred_at);
COMMENT ON TABLE revacct_data.event IS 'The ledger: what happened to whom, when, and when that was recorded. Rows are only ever added. One partition for each year (UTC), made when it is needed.';
COMMENT ON COLUMN revacct_data.event.subject_id IS 'The subject.';
COMMENT ON COLUMN revacct_data.event.occurred_at IS 'When it happened.';
COMMENT ON COLUMN revacct_data.event.recorded_at IS 'When it was recorded.';
COMMENT ON COLUMN revacct_data.event.load_id IS 'The write that brought it.';
COMMENT ON COLUMN revacct_data.event.value IS 'What its mark carries: a code, a party, an amount in ten-thousandths, or nothing.';
COMMENT ON COLUMN revacct_data.event.seq IS 'Its place among events of the subject at one instant.';
COMMENT ON COLUMN revacct_data.event.mark IS 'What happened: the number of a stage or kind of event; NULL: what it corrects is taken back.';
COMMENT ON COLUMN revacct_data.event.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.event.source_key IS 'Its key in the source.';
COMMENT ON COLUMN revacct_data.event.code_no IS 'The code that was set, or the reason: its number.';
COMMENT ON COLUMN revacct_data.event.party_no IS 'To whom: the number of a party.';
COMMENT ON COLUMN revacct_data.event.actor_no IS 'Who did it: the number of a party.';
COMMENT ON COLUMN revacct_data.event.amount IS 'The amount, in its currency.';
COMMENT ON COLUMN revacct_data.event.currency IS 'The currency of the amount.';
COMMENT ON COLUMN revacct_data.event.program IS 'The program it belongs to.';
COMMENT ON COLUMN revacct_data.event.corrects IS 'The key of the event, of the same source, that it corrects.';
COMMENT ON COLUMN revacct_data.event.details IS 'What else the source says of it.';

CREATE TABLE revacct_data.correction (
    source_no smallint NOT NULL,
    source_key text NOT NULL,
    subject_id bigint NOT NULL,
    corrected_by text NOT NULL,
    recorded_at timestamptz NOT NULL,
    load_id bigint NOT NULL,
    PRIMARY KEY (source_no, source_key)
);
COMMENT ON TABLE revacct_data.correction IS 'Which events do not count any more, since another corrects them. An event is corrected once; what corrects it may be corrected in turn.';
COMMENT ON COLUMN revacct_data.correction.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.correction.source_key IS 'The event that does not count.';
COMMENT ON COLUMN revacct_data.correction.subject_id IS 'Its subject.';
COMMENT ON COLUMN revacct_data.correction.corrected_by IS 'The event that says so.';
COMMENT ON COLUMN revacct_data.correction.recorded_at IS 'When that was recorded.';
COMMENT ON COLUMN revacct_data.correction.load_id IS 'The write that brought it.';

CREATE TABLE revacct_data.money (
    source_no smallint NOT NULL,
    source_key text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('recurring', 'one_time', 'cost', 'budget')),
    subject_id bigint,
    program text,
    party text,
    during daterange NOT NULL CHECK (NOT isempty(during) AND NOT lower_inf(during)),
    amount numeric(18, 2) NOT NULL,
    currency text NOT NULL,
    corrects text,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source_no, source_key),
    UNIQUE (source_no, corrects)
);
COMMENT ON TABLE revacct_data.money IS 'Money: recurring and one-time revenue, costs, budgets.';
COMMENT ON COLUMN revacct_data.money.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.money.source_key IS 'Its key in the source.';
COMMENT ON COLUMN revacct_data.money.kind IS 'What it is: recurring, one_time, cost or budget.';
COMMENT ON COLUMN revacct_data.money.subject_id IS 'The account, contract or other subject.';
COMMENT ON COLUMN revacct_data.money.program IS 'The program.';
COMMENT ON COLUMN revacct_data.money.party IS 'The party.';
COMMENT ON COLUMN revacct_data.money.during IS 'The days it is for.';
COMMENT ON COLUMN revacct_data.money.amount IS 'How much, in its currency; of recurring money, for each month.';
COMMENT ON COLUMN revacct_data.money.currency IS 'The currency.';
COMMENT ON COLUMN revacct_data.money.corrects IS 'The key of the row, of the same source, that it corrects.';
COMMENT ON COLUMN revacct_data.money.recorded_at IS 'When it was recorded.';

CREATE TABLE revacct_data.commitment (
    source_no smallint NOT NULL,
    source_key text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('milestone', 'check_in', 'action', 'promise', 'forecast', 'practice')),
    subject_id bigint,
    from_party text,
    to_party text,
    promised text,
    amount numeric(18, 2),
    due_at timestamptz,
    delivered_at timestamptz,
    outcome text,
    verified_by text,
    metric text,
    corrects text,
    recorded_at timestamptz NOT NULL,
    PRIMARY KEY (source_no, source_key),
    UNIQUE (source_no, corrects)
);
COMMENT ON TABLE revacct_data.commitment IS 'Who promised what to whom, by when, and what became of it.';
COMMENT ON COLUMN revacct_data.commitment.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.commitment.source_key IS 'Its key in the source.';
COMMENT ON COLUMN revacct_data.commitment.kind IS 'What it is: milestone, check_in, action, promise, forecast or practice.';
COMMENT ON COLUMN revacct_data.commitment.subject_id IS 'The subject it is about.';
COMMENT ON COLUMN revacct_data.commitment.from_party IS 'Who promised.';
COMMENT ON COLUMN revacct_data.commitment.to_party IS 'To whom.';
COMMENT ON COLUMN revacct_data.commitment.promised IS 'What, in words.';
COMMENT ON COLUMN revacct_data.commitment.amount IS 'How much.';
COMMENT ON COLUMN revacct_data.commitment.due_at IS 'By when.';
COMMENT ON COLUMN revacct_data.commitment.delivered_at IS 'When it was delivered.';
COMMENT ON COLUMN revacct_data.commitment.outcome IS 'What became of it.';
COMMENT ON COLUMN revacct_data.commitment.verified_by IS 'Who verified that.';
COMMENT ON COLUMN revacct_data.commitment.metric IS 'The metric it serves.';
COMMENT ON COLUMN revacct_data.commitment.corrects IS 'The key of the row, of the same source, that it corrects.';
COMMENT ON COLUMN revacct_data.commitment.recorded_at IS 'When it was recorded.';

CREATE TABLE revacct_data.rejected (
    source_no smallint NOT NULL,
    fact text NOT NULL CHECK (fact IN ('event', 'link', 'money', 'commitment')),
    source_key text,
    reason text NOT NULL,
    rule_kind text,
    rule_key text,
    content jsonb NOT NULL,
    rejected_at timestamptz NOT NULL
);
CREATE INDEX ON revacct_data.rejected (source_no, source_key);
COMMENT ON TABLE revacct_data.rejected IS 'Rows that could not be taken in, and why. What is taken in later goes from here.';
COMMENT ON COLUMN revacct_data.rejected.source_no IS 'The source.';
COMMENT ON COLUMN revacct_data.rejected.fact IS 'What it would have been: event, link, money or commitment.';
COMMENT ON COLUMN revacct_data.rejected.source_key IS 'Its key in the source.';
COMMENT ON COLUMN revacct_data.rejected.reason IS 'Why.';
COMMENT ON COLUMN revacct_data.rejected.rule_kind IS 'The kind of the rule that refuses it, as check_move() tells; NULL: it could not be read.';
COMMENT ON COLUMN revacct_data.rejected.rule_key IS 'The key of that rule.';
COMMENT ON COLUMN revacct_data.rejected.content IS 'The row.';
COMMENT ON COLUMN revacct_data.rejected.rejected_at IS 'When.';

-- Sources

CREATE FUNCTION _lock_registrations()
RETURNS void
LANGUAGE SQL
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT pg_advisory_xact_lock(727306, 0);
END;
COMMENT ON FUNCTION _lock_registrations() IS 'Lets one transaction at a time register sources, parties, names, years and the subjects of links: each before anything new is numbered, so that no two wait for each other.';

CREATE FUNCTION _source_number(source text)
RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    number smallint := (SELECT s.source_no FROM revacct_data.source AS s WHERE s.source = source);
BEGIN
    IF number IS NULL THEN
        PERFORM _demand_access('{loader, steward, council}', 'map sources');
        IF coalesce(btrim(source), '') = '' OR source <> btrim(source) OR octet_length(source) > 200 THEN
            RAISE EXCEPTION 'a source has a name of 1 to 200 bytes, without blanks around it' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(quote_literal(source), 'NULL'));
        END IF;
        PERFORM _lock_registrations();
        LOCK TABLE revacct_data.source IN SHARE ROW EXCLUSIVE MODE;  -- numbers follow each other
        INSERT INTO revacct_data.source (source, source_no, priority, mapped_by, mapped_at)
        SELECT source, coalesce(max(s.source_no), 0) + 1, 100, session_user, clock_timestamp() FROM revacct_data.source AS s
        ON CONFLICT DO NOTHING;
        SELECT s.source_no INTO number FROM revacct_data.source AS s WHERE s.source = source;
    END IF;
    RETURN number;
END $$;
COMMENT ON FUNCTION _source_number(text) IS 'The number of a source, a new one if there is none.';

CREATE FUNCTION _begin_write(source_no smallint, alone boolean)
RETURNS timestamptz
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    PERFORM _hold_horizon();
    -- A load is alone with its source; single writes meet on their keys only.
    IF alone THEN
        PERFORM pg_advisory_xact_lock(727302, source_no);
    ELSE
        PERFORM pg_advisory_xact_lock_shared(727302, source_no);
    END IF;
    RETURN clock_timestamp();
END $$;
COMMENT ON FUNCTION _begin_write(smallint, boolean) IS 'Takes the locks of a writer, and returns the time at which what it writes is recorded.';

CREATE FUNCTION _keep_to_owner(relation regclass)
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

-- The way in. The temporary tables belong to the owner of the functions, so that nobody can put something else in their place.

CREATE FUNCTION _open_intake(fact text)
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
COMMENT ON FUNCTION _open_intake(text) IS 'Makes the temporary table of this session through which a kind of fact comes in. Runs with its owner''s rights, who owns that table.';

CREATE FUNCTION _register_parties(names text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    IF EXISTS (SELECT FROM unnest(names) AS new (party) WHERE new.party <> '' AND NOT EXISTS (SELECT FROM revacct_data.party AS p WHERE p.party = new.party)) THEN
        PERFORM _lock_registrations();
        LOCK TABLE revacct_data.party IN SHARE ROW EXCLUSIVE MODE;  -- numbers follow each other
        INSERT INTO revacct_data.party (party, party_no, kind, label, registered_by, registered_at)
        SELECT new.party, (SELECT coalesce(max(p.party_no), 0) FROM revacct_data.party AS p) + row_number() OVER (ORDER BY new.party COLLATE "C"),
               'person', new.party, session_user, clock_timestamp()
        FROM (SELECT DISTINCT n.party FROM unnest(names) AS n (party)
              WHERE n.party <> '' AND NOT EXISTS (SELECT FROM revacct_data.party AS p WHERE p.party = n.party)) AS new;
    END IF;
END $$;
COMMENT ON FUNCTION _register_parties(text[]) IS 'Registers, as persons, the parties that are not yet.';

CREATE FUNCTION _is_event_kind(event text)
RETURNS boolean
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- be it in force or retired; not what is only numbered: whether a row is taken must not depend on what was loaded before
    SELECT event = ANY (revacct._known_events()) OR event = 'retracted'
           OR EXISTS (SELECT FROM revacct_data.validity AS i WHERE i.kind = 'code' AND i.key = revacct.object_key('event', event));
END;
COMMENT ON FUNCTION _is_event_kind(text) IS 'Whether this is a kind of event, one that everybody knows or a code of the list event.';

CREATE FUNCTION _number_names(kinds text[], keys text[])
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
DECLARE
    new_kinds text[];
    new_keys text[];
    most constant int := 1000;
BEGIN
    SELECT array_agg(n.kind), array_agg(n.key) INTO new_kinds, new_keys
    FROM (SELECT DISTINCT u.kind, u.key FROM unnest(kinds, keys) AS u (kind, key)
          WHERE u.key IS NOT NULL AND NOT EXISTS (SELECT FROM revacct_data.numbering AS g WHERE g.kind = u.kind AND g.key = u.key)) AS n;
    IF cardinality(new_keys) > most THEN
        RAISE EXCEPTION 'the load brings % new stages, kinds of events and codes', cardinality(new_keys)
            USING ERRCODE = 'program_limit_exceeded', DETAIL = format('Among them are %s.', array_to_string(new_keys[1:5], ', ')),
                  HINT = format('More than %s at once mean that a column was mapped that holds something else. Leave the code of free text NULL, and put it into details.', most);
    ELSIF new_keys IS NOT NULL THEN
        PERFORM _lock_registrations();
        PERFORM _lock_model();  -- numbers follow each other
        INSERT INTO revacct_data.numbering (kind, key, number)
        SELECT n.kind, n.key, (SELECT coalesce(max(g.number), 0) FROM revacct_data.numbering AS g WHERE g.is_mark = (n.kind <> 'code'))
                              + row_number() OVER (PARTITION BY n.kind <> 'code' ORDER BY n.kind, n.key COLLATE "C")
        FROM unnest(new_kinds, new_keys) AS n (kind, key)
        WHERE NOT EXISTS (SELECT FROM revacct_data.numbering AS g WHERE g.kind = n.kind AND g.key = n.key);
    END IF;
END $$;
COMMENT ON FUNCTION _number_names(text[], text[]) IS
'Numbers stages, kinds of events and codes that facts name, be they defined or not: when they are defined, that is their number.
Errors: program_limit_exceeded (54000) when that many new ones can only be a mistake.';

CREATE FUNCTION _make_partition(year int)
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
COMMENT ON FUNCTION _make_partition(int) IS 'Makes the partition of the ledger for a year, if there is none. Runs with its owner''s rights.';

-- Moves between stages, as the ledger tells them, and the rules they break

CREATE FUNCTION _moves(of_load bigint, lifecycles text[])
RETURNS TABLE (subject_id bigint, subject_kind text, lifecycle text, move_no bigint, from_stage text, to_stage text, occurred_at timestamptz, recorded_at timestamptz, source_no smallint,
               source_key text, fields jsonb, before jsonb, codes text[], links text[])
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    -- The fields that some rule speaks of: no other is looked at, so that like moves are alike. Those that only have to be there are looked at for no more than that.
    fixed constant text[] := ARRAY(SELECT DISTINCT r.field FROM revacct_data.field_rule AS r WHERE r.rule = 'immutable');
    compared constant text[] := fixed || ARRAY(
        SELECT r.field FROM revacct_data.field_rule AS r WHERE r.rule = 'domain'
        UNION SELECT k.name FROM revacct_data.field_rule AS r, jsonb_object_keys(r.condition) AS k (name)
        UNION SELECT k.name FROM revacct_data.transition AS t, jsonb_object_keys(t.guard) AS k (name)
        UNION SELECT k.name FROM revacct_data.policy AS p, jsonb_object_keys(coalesce(p.applies, '{}') || coalesce(p.demands, '{}')) AS k (name) WHERE p.kind = 'hygiene');
    asked constant text[] := compared || ARRAY(
        SELECT r.field FROM revacct_data.field_rule AS r WHERE r.rule = 'required'
        UNION SELECT unnest(c.requires) FROM revacct_data.code AS c);
    asked_lists constant text[] := ARRAY(SELECT t.code_list FROM revacct_data.transition AS t WHERE t.lifecycle = ANY (_moves.lifecycles) AND t.code_list IS NOT NULL);
    asked_roles constant text[] := ARRAY(SELECT r.field FROM revacct_data.field_rule AS r WHERE r.rule = 'association');
    -- the subjects of the load, and those that are the same; NULL: all
    concerned bigint[];
BEGIN
    IF of_load IS NOT NULL THEN
        SELECT array_agg(DISTINCT n.subject_id) INTO concerned
        FROM (SELECT DISTINCT coalesce(i.same_as, e.subject_id) AS same_as
              FROM revacct_data.event AS e LEFT JOIN revacct_data.identity AS i USING (subject_id) WHERE e.load_id = of_load) AS c
             CROSS JOIN LATERAL (SELECT c.same_as UNION ALL SELECT i.subject_id FROM revacct_data.identity AS i WHERE i.same_as = c.same_as) AS n (subject_id);
    END IF;
    RETURN QUERY
    WITH stage AS MATERIALIZED (
        -- with its place in the order, by which journeys are read where nothing else orders two entries
        SELECT g.number AS mark, n.names[1] AS lifecycle, n.names[2] AS stage, place.category_no, place.stage_no
        FROM revacct_data.numbering AS g CROSS JOIN LATERAL (SELECT _key_names(g.key) AS names) AS n
             LEFT JOIN LATERAL (SELECT array_position('{open, active, won, lost, no_decision, recycled, churned}', s.category) AS category_no, s.stage_no
                                FROM revacct_data.stage AS s JOIN revacct_data.validity AS i USING (version_id)
                                WHERE s.lifecycle = n.names[1] AND s.stage = n.names[2] AND i.valid @> _now() AND upper_inf(i.recorded)) AS place ON true
        WHERE g.kind = 'stage' AND n.names[1] = ANY (_moves.lifecycles)
    ), field AS MATERIALIZED (
        SELECT g.number AS mark, regexp_replace((_key_names(g.key))[1], '_set$', '') AS field
        FROM revacct_data.numbering AS g WHERE g.kind = 'event' AND regexp_replace((_key_names(g.key))[1], '_set$', '') = ANY (asked)
    ), told AS MATERIALIZED (
        -- the events by which codes are given
        SELECT g.number AS mark FROM revacct_data.numbering AS g WHERE g.kind = 'event' AND g.key = 'disposition_set'
    ), entry AS (
        -- whom several systems know goes through the lifecycle once
        SELECT e.*, coalesce(m.same_as, e.subject_id) AS same_as, s.lifecycle, s.stage,
               lag(s.stage) OVER course AS from_stage, lag(e.occurred_at) OVER course AS from_at, row_number() OVER course AS move_no
        FROM revacct_data.event AS e JOIN stage AS s USING (mark) LEFT JOIN revacct_data.identity AS m ON m.subject_id = e.subject_id
        WHERE (concerned IS NULL OR e.subject_id = ANY (concerned))
          AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key)
        WINDOW course AS (PARTITION BY coalesce(m.same_as, e.subject_id), s.lifecycle
                          ORDER BY e.occurred_at, e.seq NULLS FIRST, s.category_no, s.stage_no, e.mark, e.source_no, e.source_key COLLATE "C")
    ), move AS (
        SELECT e.*, array_prepend(e.same_as, ARRAY(SELECT i.subject_id FROM revacct_data.identity AS i WHERE i.same_as = e.same_as)) AS members
        FROM entry AS e WHERE _moves.of_load IS NULL OR e.load_id = _moves.of_load
    )
    SELECT e.subject_id, s.kind, e.lifecycle, e.move_no, e.from_stage, e.stage, e.occurred_at, e.recorded_at, e.source_no, e.source_key,
           coalesce((SELECT jsonb_object_agg(f.key, CASE WHEN f.key = ANY (compared) OR coalesce(f.value #>> '{}', '') = '' THEN f.value ELSE 'true' END)
                     FROM jsonb_each(coalesce(known.after, '{}') || CASE jsonb_typeof(e.details) WHEN 'object' THEN e.details ELSE '{}' END || CASE WHEN e.amount IS NOT NULL THEN jsonb_build_object('amount', e.amount) ELSE '{}' END) AS f (key, value)
                     WHERE f.key = ANY (asked)), '{}'),
           coalesce(known.before, '{}'),
           CASE WHEN asked_lists = '{}' THEN '{}' ELSE
           coalesce((SELECT array_agg(DISTINCT (_key_names(g.key))[2])
                     FROM revacct_data.event AS d JOIN told USING (mark) JOIN revacct_data.numbering AS g ON g.kind = 'code' AND g.number = d.code_no
                     WHERE d.subject_id = ANY (e.members) AND d.occurred_at <= e.occurred_at AND d.occurred_at >= coalesce(e.from_at, '-infinity')
                       AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = d.source_no AND c.source_key = d.source_key)), '{}')
               || CASE WHEN e.code_no IS NOT NULL THEN ARRAY(SELECT (_key_names(g.key))[2] FROM revacct_data.numbering AS g WHERE g.kind = 'code' AND g.number = e.code_no) ELSE '{}' END END,
           CASE WHEN asked_roles = '{}' THEN '{}' ELSE
           coalesce((SELECT array_agg(DISTINCT l.role) FROM revacct_data.subject_link AS l WHERE l.from_subject = ANY (e.members) AND upper_inf(l.recorded) AND l.valid @> e.occurred_at), '{}')
               || coalesce((SELECT array_agg(DISTINCT l.role) FROM revacct_data.subject_link AS l WHERE l.to_subject = ANY (e.members) AND l.role = 'originated' AND upper_inf(l.recorded) AND l.valid @> e.occurred_at), '{}') END
    FROM move AS e JOIN revacct_data.subject AS s USING (subject_id)
         LEFT JOIN LATERAL (
             SELECT jsonb_object_agg(l.field, l.value) AS after, jsonb_object_agg(l.field, l.value) FILTER (WHERE l.occurred_at < e.occurred_at AND l.field = ANY (fixed)) AS before
             FROM (SELECT DISTINCT ON (f.field) f.field, v.occurred_at,
                          coalesce(to_jsonb((SELECT (_key_names(g.key))[2] FROM revacct_data.numbering AS g WHERE g.kind = 'code' AND g.number = v.code_no)),
                                   to_jsonb(v.amount), v.details -> 'value') AS value
                   FROM field AS f JOIN revacct_data.event AS v USING (mark)
                   WHERE v.subject_id = ANY (e.members) AND v.occurred_at <= e.occurred_at
                     AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = v.source_no AND c.source_key = v.source_key)
                   ORDER BY f.field, v.occurred_at DESC, v.seq DESC NULLS LAST, v.source_no, v.source_key COLLATE "C") AS l
         ) AS known ON asked <> '{}';
END $$;
COMMENT ON FUNCTION _moves(bigint, text[]) IS
'The moves between stages of some lifecycles that the events of one load make (NULL: all), with what check_move() asks of them: the fields that rules speak of, after and before (true: it is there, and nobody asks for more), the codes given since the move before, the roles linked by. move_no: its place among the subject''s.';

CREATE FUNCTION _breaches(of_load bigint, lifecycles text[])
RETURNS TABLE (subject_id bigint, subject_kind text, lifecycle text, move_no bigint, from_stage text, to_stage text, occurred_at timestamptz, recorded_at timestamptz, source_no smallint,
               source_key text, rule_kind text, rule_key text, enforcement text, overridden boolean, message text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH move AS MATERIALIZED (
        SELECT m.* FROM _moves(_breaches.of_load, _breaches.lifecycles) AS m
    ), alike AS MATERIALIZED (
        -- asked once for all that are alike
        SELECT d.*, b.*
        FROM (SELECT DISTINCT m.lifecycle, m.from_stage, m.to_stage, m.fields, m.before, m.codes, m.links FROM move AS m) AS d,
             LATERAL check_move(d.lifecycle, d.from_stage, d.to_stage, d.fields, d.codes, d.before, d.links) AS b
    )
    SELECT m.subject_id, m.subject_kind, m.lifecycle, m.move_no, m.from_stage, m.to_stage, m.occurred_at, m.recorded_at, m.source_no, m.source_key, a.rule_kind, a.rule_key, a.enforcement,
           EXISTS (SELECT FROM revacct_data.override AS o, revacct_data.subject AS s, revacct_data.source AS r
                   WHERE s.subject_id = m.subject_id AND r.source_no = s.source_no AND o.kind = a.rule_kind AND o.key = a.rule_key
                     AND o.subject = object_key(r.source, s.kind, s.subject_key) AND o.approved_by IS NOT NULL),
           a.message
    FROM move AS m JOIN alike AS a
         ON a.lifecycle = m.lifecycle AND a.from_stage IS NOT DISTINCT FROM m.from_stage AND a.to_stage = m.to_stage AND a.fields = m.fields AND a.before = m.before
            AND a.codes = m.codes AND a.links = m.links;
END $$;
COMMENT ON FUNCTION _breaches(bigint, text[]) IS 'The rules, of those in force now, that the moves of one load break (NULL: of all loads), a row each.';

CREATE FUNCTION _refuse_moves(source_no smallint, load_id bigint, recorded_at timestamptz)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    refusing text[];
    dropped bigint;
    total bigint := 0;
BEGIN
    -- the lifecycles of this load in which anything is refused at all
    SELECT array_agg(DISTINCT m.lifecycle) INTO refusing
    FROM pg_temp.revacct_meaning AS m
    WHERE m.mark_kind = 'stage'
      AND EXISTS (
          SELECT
          FROM revacct_data.validity AS i
               LEFT JOIN revacct_data.lifecycle AS l USING (version_id) LEFT JOIN revacct_data.transition AS t USING (version_id)
               LEFT JOIN revacct_data.field_rule AS f USING (version_id) LEFT JOIN revacct_data.policy AS p USING (version_id)
          WHERE i.kind IN ('lifecycle', 'transition', 'field_rule', 'policy') AND i.valid @> _now() AND upper_inf(i.recorded)
            AND ((l.enforcement = 'refuse' AND l.lifecycle = m.lifecycle) OR (t.enforcement = 'refuse' AND t.lifecycle = m.lifecycle)
                 OR (f.enforcement = 'refuse' AND coalesce(f.lifecycle, m.lifecycle) = m.lifecycle)
                 OR (p.kind = 'hygiene' AND p.enforcement = 'refuse' AND coalesce(p.lifecycle, m.lifecycle) = m.lifecycle)));
    IF refusing IS NULL THEN
        RETURN 0;
    END IF;
    -- The first of a subject's moves goes, and what comes after it is asked again, since it comes from elsewhere then.
    LOOP
        WITH refused AS MATERIALIZED (
            SELECT DISTINCT ON (b.subject_id, b.lifecycle) b.*
            FROM _breaches(load_id, refusing) AS b
            WHERE b.enforcement = 'refuse' AND NOT b.overridden
            ORDER BY b.subject_id, b.lifecycle, b.move_no, b.rule_kind, b.rule_key
        ), gone AS (
            DELETE FROM revacct_data.event AS e USING refused AS r
            WHERE e.source_key = r.source_key AND e.source_no = r.source_no AND e.occurred_at = r.occurred_at
        ), uncorrected AS (
            DELETE FROM revacct_data.correction AS c USING refused AS r WHERE c.source_no = r.source_no AND c.corrected_by = r.source_key
        )
        INSERT INTO revacct_data.rejected (source_no, fact, source_key, reason, rule_kind, rule_key, content, rejected_at)
        SELECT source_no, 'event', r.source_key, r.message, r.rule_kind, r.rule_key, to_jsonb(i), recorded_at
        FROM refused AS r JOIN pg_temp.revacct_incoming_event AS i USING (source_key);
        GET DIAGNOSTICS dropped = ROW_COUNT;
        total := total + dropped;
        EXIT WHEN dropped = 0;
    END LOOP;
    RETURN total;
END $$;
COMMENT ON FUNCTION _refuse_moves(smallint, bigint, timestamptz) IS 'Sets aside the moves of a load that rules refuse, and returns how many.';

-- Taking in. The functions that say why a row cannot be read are to be inlined.

CREATE FUNCTION _unreadable_event(
    subject_kind text, subject_key text, source_key text, occurred_at timestamptz, event text, lifecycle text, stage text, field text, code text, code_list text, party text, actor text,
    amount numeric, currency text, corrects text, value bigint)
RETURNS text
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN subject_kind IS NULL THEN 'it has no subject_kind'
                WHEN subject_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case') THEN 'unknown subject_kind'
                WHEN coalesce(subject_key, '') = '' THEN 'it has no subject_key'
                WHEN coalesce(source_key, '') = '' THEN 'it has no source_key'
                WHEN octet_length(source_key) > 1000 OR octet_length(subject_key) > 1000 THEN 'its key is longer than 1000 bytes'
                WHEN octet_length(event) > 200 OR octet_length(lifecycle) > 200 OR octet_length(stage) > 200 OR octet_length(field) > 200 OR octet_length(code) > 200 OR octet_length(code_list) > 200
                     OR octet_length(party) > 200 OR octet_length(actor) > 200 OR octet_length(currency) > 200 THEN 'a name in it is longer than 200 bytes'
                WHEN occurred_at IS NULL THEN 'it has no occurred_at'
                WHEN occurred_at < '1900-01-01 00:00:00+00' OR occurred_at >= '2200-01-01 00:00:00+00' THEN 'its occurred_at is not between 1900 and 2199'
                WHEN coalesce(event, '') = '' THEN 'it has no event'
                WHEN event = 'stage_entered' AND (coalesce(lifecycle, '') = '' OR coalesce(stage, '') = '') THEN 'stage_entered needs lifecycle and stage'
                WHEN event = 'field_set' AND coalesce(field, '') = '' THEN 'field_set needs field'
                WHEN event = 'retracted' AND corrects IS NULL THEN 'retracted needs corrects'
                WHEN corrects = source_key THEN 'it corrects itself'
                -- as instants, from 4713 BC on: what a promise may be
                WHEN value < -200000000000000000 OR value > 9000000000000000000 THEN 'its value is out of range'
                WHEN amount = 'NaN' OR abs(amount) >= 1e14 THEN 'its amount is no amount' END;
END;
COMMENT ON FUNCTION _unreadable_event(text, text, text, timestamptz, text, text, text, text, text, text, text, text, numeric, text, text, bigint) IS 'Why a row cannot be read as an event; NULL: it can.';

CREATE FUNCTION _event_value(event text, field text, value bigint, code_no bigint, party_no bigint, amount numeric)
RETURNS bigint
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN event = 'field_set' AND field = 'amount' THEN round(amount * 10000)::bigint
                ELSE coalesce(value, code_no, CASE WHEN event <> 'stage_entered' THEN party_no END) END;
END;
COMMENT ON FUNCTION _event_value(text, text, bigint, bigint, bigint, numeric) IS 'The value of an event''s mark: of an amount that is set, the amount in ten-thousandths; else what it says itself, its code, its party.';

CREATE FUNCTION _take_in_events(source_no smallint, recorded_at timestamptz, load_id bigint)
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
COMMENT ON FUNCTION _take_in_events(smallint, timestamptz, bigint) IS
'Moves the rows of the temporary table revacct_incoming_event into the ledger, and sets aside what it cannot. Runs with its owner''s rights: nobody may write the ledger.';

CREATE FUNCTION _unreadable_link(from_source text, from_kind text, from_key text, to_source text, to_kind text, to_key text, role text, valid_from timestamptz, valid_until timestamptz, share numeric,
                                 source_key text)
RETURNS text
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN role IS NULL OR role NOT IN ('account', 'originated', 'contact_role', 'same_as', 'referral', 'delivers') THEN 'unknown role'
                WHEN from_kind IS NULL OR from_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case') THEN 'unknown from_kind'
                WHEN to_kind IS NULL OR to_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case') THEN 'unknown to_kind'
                WHEN coalesce(from_key, '') = '' THEN 'it has no from_key'
                WHEN coalesce(to_key, '') = '' THEN 'it has no to_key'
                WHEN octet_length(from_key) > 1000 OR octet_length(to_key) > 1000 OR octet_length(source_key) > 4000 THEN 'its key is longer than 1000 bytes'
                WHEN octet_length(from_source) > 200 OR octet_length(to_source) > 200 THEN 'a name in it is longer than 200 bytes'
                WHEN (from_source, from_kind, from_key) = (to_source, to_kind, to_key) THEN 'it links a subject to itself'
                WHEN valid_from >= valid_until THEN 'it ends before it begins'
                WHEN role = 'same_as' AND from_kind <> to_kind THEN 'subjects of two kinds are not the same'
                WHEN share <= 0 OR share > 1 OR share = 'NaN' OR share::numeric(9, 6) = 0 THEN 'its share is not between 0 and 1' END;
END;
COMMENT ON FUNCTION _unreadable_link(text, text, text, text, text, text, text, timestamptz, timestamptz, numeric, text) IS 'Why a row cannot be read as a link; NULL: it can.';

CREATE FUNCTION _take_in_links(source_no smallint, recorded_at timestamptz, load_id bigint)
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
COMMENT ON FUNCTION _take_in_links(smallint, timestamptz, bigint) IS
'Moves the rows of the temporary table revacct_incoming_link into the links, and sets aside what it cannot. Runs with its owner''s rights: nobody may write the links.';

CREATE FUNCTION _unreadable_money(source_key text, kind text, subject_kind text, subject_key text, party text, starts_on date, ends_on date, amount numeric, currency text, corrects text)
RETURNS text
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN source_key IS NULL THEN 'it has no source_key'
                WHEN octet_length(source_key) > 1000 OR octet_length(subject_key) > 1000 THEN 'its key is longer than 1000 bytes'
                WHEN kind IS NULL OR kind NOT IN ('recurring', 'one_time', 'cost', 'budget') THEN 'unknown kind of money'
                WHEN subject_key IS NOT NULL AND (subject_kind IS NULL OR subject_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case')) THEN 'unknown subject_kind'
                WHEN subject_kind IS NOT NULL AND subject_key IS NULL THEN 'it has no subject_key'
                WHEN octet_length(party) > 200 OR octet_length(currency) > 200 THEN 'a name in it is longer than 200 bytes'
                WHEN starts_on IS NULL OR NOT isfinite(starts_on) THEN 'it has no starts_on'
                WHEN ends_on <= starts_on THEN 'it ends before it begins'
                WHEN amount IS NULL OR amount = 'NaN' OR abs(amount) >= 1e14 THEN 'its amount is no amount'
                WHEN currency IS NULL THEN 'it has no currency'
                WHEN corrects = source_key THEN 'it corrects itself' END;
END;
COMMENT ON FUNCTION _unreadable_money(text, text, text, text, text, date, date, numeric, text, text) IS 'Why a row cannot be read as money; NULL: it can.';

CREATE FUNCTION _take_in_money(source_no smallint, recorded_at timestamptz, load_id bigint)
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
COMMENT ON FUNCTION _take_in_money(smallint, timestamptz, bigint) IS
'Moves the rows of the temporary table revacct_incoming_money into revacct_data.money, and sets aside what it cannot. Runs with its owner''s rights: nobody may write it.';

CREATE FUNCTION _unreadable_commitment(source_key text, kind text, subject_kind text, subject_key text, from_party text, to_party text, amount numeric, due_at timestamptz, delivered_at timestamptz, corrects text)
RETURNS text
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN source_key IS NULL THEN 'it has no source_key'
                WHEN octet_length(source_key) > 1000 OR octet_length(subject_key) > 1000 THEN 'its key is longer than 1000 bytes'
                WHEN kind IS NULL OR kind NOT IN ('milestone', 'check_in', 'action', 'promise', 'forecast', 'practice') THEN 'unknown kind of commitment'
                WHEN subject_key IS NOT NULL AND (subject_kind IS NULL OR subject_kind NOT IN ('account', 'person', 'lead', 'opportunity', 'contract', 'project', 'case')) THEN 'unknown subject_kind'
                WHEN subject_kind IS NOT NULL AND subject_key IS NULL THEN 'it has no subject_key'
                WHEN octet_length(from_party) > 200 OR octet_length(to_party) > 200 THEN 'a name in it is longer than 200 bytes'
                WHEN amount = 'NaN' OR abs(amount) >= 1e14 THEN 'its amount is no amount'
                WHEN NOT isfinite(due_at) OR NOT isfinite(delivered_at) THEN 'its times are not finite'
                WHEN corrects = source_key THEN 'it corrects itself' END;
END;
COMMENT ON FUNCTION _unreadable_commitment(text, text, text, text, text, text, numeric, timestamptz, timestamptz, text) IS 'Why a row cannot be read as a commitment; NULL: it can.';

CREATE FUNCTION _take_in_commitments(source_no smallint, recorded_at timestamptz, load_id bigint)
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
COMMENT ON FUNCTION _take_in_commitments(smallint, timestamptz, bigint) IS
'Moves the rows of the temporary table revacct_incoming_commitment into revacct_data.commitment, and sets aside what it cannot. Runs with its owner''s rights: nobody may write it.';

CREATE FUNCTION _take_in(source text, fact text, alone boolean)
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
COMMENT ON FUNCTION _take_in(text, text, boolean) IS
'Takes in what is in the temporary table of a kind of fact, and empties it. alone: a load, which no other write to the source meets. Runs with its owner''s rights: nobody may write facts.';

-- Single facts

CREATE FUNCTION _demand_taken(source text, fact text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    counts record;
    refused revacct_data.rejected;
BEGIN
    SELECT * INTO counts FROM _take_in(source, fact, false);
    IF counts.rejected > 0 THEN
        SELECT r.* INTO refused FROM revacct_data.rejected AS r WHERE r.fact = _demand_taken.fact AND r.source_no = _source_number(source) ORDER BY r.rejected_at DESC LIMIT 1;
        IF refused.rule_kind IS NULL THEN
            RAISE EXCEPTION 'the % cannot be recorded: %', fact, refused.reason
                USING ERRCODE = 'check_violation', DETAIL = format('It is %s.', jsonb_strip_nulls(refused.content));
        ELSE
            RAISE EXCEPTION '%', refused.reason
                USING ERRCODE = 'check_violation', DETAIL = format('The rule is %s "%s".', refused.rule_kind, refused.rule_key),
                      HINT = format('Mend it, or ask for an exception: SELECT request_override(%L, %L, %L, ''why'').', refused.rule_kind, refused.rule_key,
                                    object_key(source, refused.content ->> 'subject_kind', refused.content ->> 'subject_key'));
        END IF;
    END IF;
END $$;
COMMENT ON FUNCTION _demand_taken(text, text) IS 'Takes in a single fact, or refuses it with the reason.';

CREATE FUNCTION record_event(
    source text, subject_kind text, subject_key text, event text, occurred_at timestamptz DEFAULT now(), source_key text DEFAULT NULL,
    lifecycle text DEFAULT NULL, stage text DEFAULT NULL, field text DEFAULT NULL, code text DEFAULT NULL, code_list text DEFAULT NULL,
    party text DEFAULT NULL, actor text DEFAULT NULL, amount numeric DEFAULT NULL, currency text DEFAULT NULL, program text DEFAULT NULL,
    seq bigint DEFAULT NULL, value bigint DEFAULT NULL, corrects text DEFAULT NULL, details jsonb DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key constant text := coalesce(source_key, gen_random_uuid()::text);
BEGIN
    PERFORM _open_intake('event');
    DELETE FROM pg_temp.revacct_incoming_event;
    INSERT INTO pg_temp.revacct_incoming_event (subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, code_list, party, actor, amount,
                                                currency, program, seq, value, corrects, details)
    VALUES (subject_kind, subject_key, event, occurred_at, key, lifecycle, stage, field, code, code_list, party, actor, amount, currency, program, seq, value, corrects, details);
    PERFORM _demand_taken(source, 'event');
    RETURN key;
END $$;
COMMENT ON FUNCTION record_event(text, text, text, text, timestamptz, text, text, text, text, text, text, text, text, numeric, text, text, bigint, bigint, text, jsonb) IS
'Records that something happened, and returns its key; what was recorded under that key before is not recorded again. source: the system that says so. subject_kind: account, person, lead, opportunity, contract, project or case. event: a known kind, or a code of the list event. source_key: its key in the source; NULL: a new one. lifecycle, stage: of stage_entered. field: of field_set. code, code_list: what was set, or the reason. party: to whom, such as the owner assigned. value: a number for its mark, if none of these is. corrects: the key of the event that it corrects; retracted takes that back. details: what else is to be kept. For loaders, stewards and the council.
Errors: check_violation (23514) when it cannot be read, or a rule refuses it; insufficient_privilege (42501); invalid_transaction_state (25000).';

CREATE FUNCTION record_link(
    source text, from_kind text, from_key text, role text, to_kind text, to_key text, from_source text DEFAULT NULL, to_source text DEFAULT NULL,
    valid_from timestamptz DEFAULT NULL, valid_until timestamptz DEFAULT NULL, share numeric DEFAULT NULL, source_key text DEFAULT NULL)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM _open_intake('link');
    DELETE FROM pg_temp.revacct_incoming_link;
    INSERT INTO pg_temp.revacct_incoming_link (from_source, from_kind, from_key, to_source, to_kind, to_key, role, valid_from, valid_until, share, source_key)
    VALUES (from_source, from_kind, from_key, to_source, to_kind, to_key, role, valid_from, valid_until, share, source_key);
    PERFORM _demand_taken(source, 'link');
END $$;
COMMENT ON FUNCTION record_link(text, text, text, text, text, text, text, text, timestamptz, timestamptz, numeric, text) IS
'Records how two subjects hang together, as in record_link(''crm'', ''opportunity'', ''O-1'', ''account'', ''account'', ''A-1''). role: account, originated, contact_role, same_as, referral or delivers. from_source, to_source: the systems whose keys these are; NULL: source. A link with a source_key on record ends the record of what was said before. For loaders, stewards and the council.
Errors: check_violation (23514), insufficient_privilege (42501), invalid_transaction_state (25000).';

CREATE FUNCTION record_money(
    source text, kind text, starts_on date, amount numeric, currency text, ends_on date DEFAULT NULL, subject_kind text DEFAULT NULL, subject_key text DEFAULT NULL,
    program text DEFAULT NULL, party text DEFAULT NULL, source_key text DEFAULT NULL, corrects text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key constant text := coalesce(source_key, gen_random_uuid()::text);
BEGIN
    PERFORM _open_intake('money');
    DELETE FROM pg_temp.revacct_incoming_money;
    INSERT INTO pg_temp.revacct_incoming_money (source_key, kind, subject_kind, subject_key, program, party, starts_on, ends_on, amount, currency, corrects)
    VALUES (key, kind, subject_kind, subject_key, program, party, starts_on, ends_on, amount, currency, corrects);
    PERFORM _demand_taken(source, 'money');
    RETURN key;
END $$;
COMMENT ON FUNCTION record_money(text, text, date, numeric, text, date, text, text, text, text, text, text) IS
'Records money, and returns its key. kind: recurring (amount a month), one_time, cost or budget. starts_on, ends_on: the days it is for, without the last; ends_on NULL: open. corrects: the key of what it corrects. For loaders, stewards and the council.
Errors: check_violation (23514), insufficient_privilege (42501), invalid_transaction_state (25000).';

CREATE FUNCTION record_commitment(
    source text, kind text, promised text, from_party text, to_party text DEFAULT NULL, due_at timestamptz DEFAULT NULL, delivered_at timestamptz DEFAULT NULL,
    outcome text DEFAULT NULL, amount numeric DEFAULT NULL, subject_kind text DEFAULT NULL, subject_key text DEFAULT NULL, verified_by text DEFAULT NULL,
    metric text DEFAULT NULL, source_key text DEFAULT NULL, corrects text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key constant text := coalesce(source_key, gen_random_uuid()::text);
BEGIN
    PERFORM _open_intake('commitment');
    DELETE FROM pg_temp.revacct_incoming_commitment;
    INSERT INTO pg_temp.revacct_incoming_commitment (source_key, kind, subject_kind, subject_key, from_party, to_party, promised, amount, due_at, delivered_at, outcome,
                                                     verified_by, metric, corrects)
    VALUES (key, kind, subject_kind, subject_key, from_party, to_party, promised, amount, due_at, delivered_at, outcome, verified_by, metric, corrects);
    PERFORM _demand_taken(source, 'commitment');
    RETURN key;
END $$;
COMMENT ON FUNCTION record_commitment(text, text, text, text, text, timestamptz, timestamptz, text, numeric, text, text, text, text, text, text) IS
'Records what somebody promised, and returns its key; what became of it is recorded by a correction. kind: milestone, check_in, action, promise, forecast or practice. metric: the metric it serves. corrects: the key of what it corrects. For loaders, stewards and the council.
Errors: check_violation (23514), insufficient_privilege (42501), invalid_transaction_state (25000).';
