--
-- refresh.sql: from the ledger to journeys, and to packs by the dimensions of the reports.
--
-- All of it is derived, and can be dropped and made again with the same result, to the byte: check_journeys() proves it. What
-- refresh() has to do it knows from pending_load, whose rows commit with the events they speak of; so no event is ever
-- missed, whatever the order in which writers commit, and nothing else is looked at. Taking in an event twice changes
-- nothing, as a journey is a set of marks. A refresh is one transaction: it happens, or it does not.
--
-- JIT is off here, in load(), in check_journeys() and behind exceptions: their statements are wide and many, and compiling them
-- took half of the time of a rebuild of 500,000 events.
--

CREATE TABLE revacct_data.identity (
    subject_id bigint PRIMARY KEY,
    same_as bigint NOT NULL
);
CREATE INDEX ON revacct_data.identity (same_as);
COMMENT ON TABLE revacct_data.identity IS 'Derived: subjects that are linked as same_as, directly or through others, under the lowest of their numbers. Who is alone has no row.';
COMMENT ON COLUMN revacct_data.identity.subject_id IS 'The subject.';
COMMENT ON COLUMN revacct_data.identity.same_as IS 'The one that stands for all of them.';

CREATE TABLE revacct_data.journey (
    subject_id bigint PRIMARY KEY,
    journey journey NOT NULL
) WITH (fillfactor = 80);
COMMENT ON TABLE revacct_data.journey IS 'Derived: each subject''s history, from all systems that know it.';
COMMENT ON COLUMN revacct_data.journey.subject_id IS 'The subject; of those that are the same, the one that stands for them.';
COMMENT ON COLUMN revacct_data.journey.journey IS 'Its history.';

CREATE TABLE revacct_data.cell (
    cell_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    lifecycle text NOT NULL,
    period_start date NOT NULL,
    segment_no bigint,
    lead_source_no bigint,
    owner_no bigint,
    currency text,
    subjects bigint NOT NULL DEFAULT 0,
    UNIQUE NULLS NOT DISTINCT (lifecycle, period_start, segment_no, lead_source_no, owner_no, currency)
);
COMMENT ON TABLE revacct_data.cell IS 'Derived: the finest groups of the reports.';
COMMENT ON SEQUENCE revacct_data.cell_cell_id_seq IS 'Numbers of groups.';
COMMENT ON COLUMN revacct_data.cell.cell_id IS 'Its number.';
COMMENT ON COLUMN revacct_data.cell.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN revacct_data.cell.period_start IS 'The month, in the lifecycle''s time zone, in which its subjects entered the lifecycle.';
COMMENT ON COLUMN revacct_data.cell.segment_no IS 'Their segment: the number of a code, the last that was set.';
COMMENT ON COLUMN revacct_data.cell.lead_source_no IS 'Their lead source: the number of a code, the first that was set.';
COMMENT ON COLUMN revacct_data.cell.owner_no IS 'Their owner: the number of a party, the last that was assigned.';
COMMENT ON COLUMN revacct_data.cell.currency IS 'The currency of their amount.';
COMMENT ON COLUMN revacct_data.cell.subjects IS 'How many subjects were ever put here, by which they are spread over packs.';

CREATE TABLE revacct_data.placement (
    subject_id bigint NOT NULL,
    cell_id bigint NOT NULL,
    bucket int NOT NULL,
    PRIMARY KEY (subject_id, cell_id)
);
COMMENT ON TABLE revacct_data.placement IS 'Derived: in which group each subject is, of every lifecycle it has entered.';
COMMENT ON COLUMN revacct_data.placement.subject_id IS 'The subject.';
COMMENT ON COLUMN revacct_data.placement.cell_id IS 'The group.';
COMMENT ON COLUMN revacct_data.placement.bucket IS 'The pack of the group that holds it.';

CREATE TABLE revacct_data.pack (
    cell_id bigint NOT NULL,
    bucket int NOT NULL,
    pack journey_pack NOT NULL,
    subjects bigint NOT NULL GENERATED ALWAYS AS (revacct.subject_count(pack)) STORED,
    PRIMARY KEY (cell_id, bucket)
);
COMMENT ON TABLE revacct_data.pack IS 'Derived: the journeys of each group, a thousand to a pack.';
COMMENT ON COLUMN revacct_data.pack.cell_id IS 'The group.';
COMMENT ON COLUMN revacct_data.pack.bucket IS 'The number of the pack in its group.';
COMMENT ON COLUMN revacct_data.pack.pack IS 'The journeys, by subject_id.';
COMMENT ON COLUMN revacct_data.pack.subjects IS 'How many they are.';

CREATE TABLE revacct_data.placed_lifecycle (
    lifecycle text PRIMARY KEY,
    definition lifecycle NOT NULL,
    fingerprint text NOT NULL GENERATED ALWAYS AS (revacct.fingerprint(definition)) STORED,
    time_zone text NOT NULL
);
COMMENT ON TABLE revacct_data.placed_lifecycle IS 'Derived: the lifecycles whose subjects are in groups, as they were defined then. When one is defined otherwise, its groups are made anew.';
COMMENT ON COLUMN revacct_data.placed_lifecycle.lifecycle IS 'Its name.';
COMMENT ON COLUMN revacct_data.placed_lifecycle.definition IS 'Its definition.';
COMMENT ON COLUMN revacct_data.placed_lifecycle.fingerprint IS 'The fingerprint of that.';
COMMENT ON COLUMN revacct_data.placed_lifecycle.time_zone IS 'The time zone of its months.';

CREATE TABLE revacct_data.refreshed (
    as_of timestamptz NOT NULL,
    known_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX ON revacct_data.refreshed ((true));
COMMENT ON TABLE revacct_data.refreshed IS 'Derived: one row once journeys are there.';
COMMENT ON COLUMN revacct_data.refreshed.as_of IS 'The time as of which the reports are.';
COMMENT ON COLUMN revacct_data.refreshed.known_at IS 'Whatever was recorded before this is in them.';

-- Folding

CREATE FUNCTION _identities(members bigint[], known_at timestamptz)
RETURNS TABLE (subject_id bigint, same_as bigint)
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE edge (a, b) AS (
        SELECT l.from_subject, l.to_subject FROM revacct_data.subject_link AS l WHERE l.role = 'same_as' AND pg_catalog.upper_inf(l.valid) AND l.recorded @> coalesce(known_at, 'infinity')
        UNION ALL
        SELECT l.to_subject, l.from_subject FROM revacct_data.subject_link AS l WHERE l.role = 'same_as' AND pg_catalog.upper_inf(l.valid) AND l.recorded @> coalesce(known_at, 'infinity')
    ), reach (a, b) AS (
        SELECT e.a, e.a FROM edge AS e WHERE members IS NULL OR e.a = ANY (members)
        UNION
        SELECT r.a, e.b FROM reach AS r JOIN edge AS e ON e.a = r.b
    )
    SELECT r.a, pg_catalog.min(r.b) FROM reach AS r GROUP BY r.a;
END;
COMMENT ON FUNCTION _identities(bigint[], timestamptz) IS
'For subjects (NULL: all) that are linked as same_as, directly or through others, the lowest number among them, as on record at known_at (NULL: now).';

CREATE FUNCTION _fold(subjects bigint[], known_at timestamptz)
RETURNS TABLE (subject_id bigint, journey journey)
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    corrected boolean := EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.recorded_at <= coalesce(_fold.known_at, 'infinity'));
    identified boolean := EXISTS (SELECT FROM revacct_data.identity);
BEGIN
    IF subjects IS NOT NULL THEN
        RETURN QUERY
        SELECT i.same_as, journey(e.mark, e.occurred_at, e.value, e.seq)
        FROM (SELECT s.subject_id, s.subject_id AS same_as FROM unnest(subjects) AS s (subject_id)
              UNION SELECT i.subject_id, i.same_as FROM revacct_data.identity AS i WHERE i.same_as = ANY (subjects)) AS i
             JOIN revacct_data.event AS e ON e.subject_id = i.subject_id
        WHERE NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key)
        GROUP BY 1 HAVING journey(e.mark, e.occurred_at, e.value, e.seq) IS NOT NULL;
    ELSIF known_at IS NOT NULL THEN
        -- who was the same as whom is taken as it was known then, too
        RETURN QUERY
        WITH same AS MATERIALIZED (SELECT i.* FROM _identities(NULL, known_at) AS i)
        SELECT coalesce(i.same_as, e.subject_id), journey(e.mark, e.occurred_at, e.value, e.seq)
        FROM revacct_data.event AS e LEFT JOIN same AS i ON i.subject_id = e.subject_id
        WHERE e.recorded_at <= known_at
          AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key AND c.recorded_at <= known_at)
        GROUP BY 1 HAVING journey(e.mark, e.occurred_at, e.value, e.seq) IS NOT NULL;
    ELSIF corrected OR identified THEN
        RETURN QUERY
        SELECT coalesce(i.same_as, e.subject_id), journey(e.mark, e.occurred_at, e.value, e.seq)
        FROM revacct_data.event AS e LEFT JOIN revacct_data.identity AS i ON i.subject_id = e.subject_id
        WHERE NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key)
        GROUP BY 1 HAVING journey(e.mark, e.occurred_at, e.value, e.seq) IS NOT NULL;
    ELSE
        -- the same without the two joins, which would find nothing in ten million rows
        RETURN QUERY
        SELECT e.subject_id, journey(e.mark, e.occurred_at, e.value, e.seq) FROM revacct_data.event AS e GROUP BY 1 HAVING journey(e.mark, e.occurred_at, e.value, e.seq) IS NOT NULL;
    END IF;
END $$;
COMMENT ON FUNCTION _fold(bigint[], timestamptz) IS
'The journeys of some subjects and those that are the same (NULL: of all), from the ledger. known_at: of all subjects, as it was recorded by then.';

-- Placing

CREATE FUNCTION _field_marks(field text)
RETURNS int[]
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT coalesce(pg_catalog.array_agg(g.number ORDER BY g.number), '{}')
    FROM revacct_data.numbering AS g
    WHERE g.kind = 'event' AND (revacct._key_names(g.key))[1] = field;
END;
COMMENT ON FUNCTION _field_marks(text) IS 'The marks of a kind of event; of amount_set, of all currencies.';

CREATE FUNCTION _currency_of(mark int)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT (revacct._key_names(g.key))[2] FROM revacct_data.numbering AS g WHERE g.is_mark AND g.number = mark;
END;
COMMENT ON FUNCTION _currency_of(int) IS 'The currency of the amounts that a mark tells.';

CREATE FUNCTION _place(lifecycle text, definition lifecycle, time_zone text, everybody boolean)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    segment_marks constant int[] := _field_marks('segment_set');
    source_marks constant int[] := _field_marks('lead_source_set');
    owner_marks constant int[] := _field_marks('assigned');
    amount_marks constant int[] := _field_marks('amount_set');
    written bigint;
BEGIN
    DROP TABLE IF EXISTS pg_temp.revacct_place, pg_temp.revacct_placed, pg_temp.revacct_dirty;
    IF everybody THEN
        DELETE FROM revacct_data.pack AS p USING revacct_data.cell AS c WHERE c.cell_id = p.cell_id AND c.lifecycle = lifecycle;
        DELETE FROM revacct_data.placement AS p USING revacct_data.cell AS c WHERE c.cell_id = p.cell_id AND c.lifecycle = lifecycle;
        DELETE FROM revacct_data.cell AS c WHERE c.lifecycle = lifecycle;
        CREATE TEMPORARY TABLE revacct_place AS
        SELECT p.period_start, p.segment_no, p.lead_source_no, p.owner_no, a.currency, array_agg(p.subject_id) AS members
        FROM (SELECT j.subject_id, date_trunc('month', entered(j.journey, definition) AT TIME ZONE time_zone)::date AS period_start,
                     _last_value(j.journey, segment_marks) AS segment_no, _first_value(j.journey, source_marks) AS lead_source_no,
                     _last_value(j.journey, owner_marks) AS owner_no, _last_mark(j.journey, amount_marks) AS amount_mark
              FROM revacct_data.journey AS j WHERE entered(j.journey, definition) IS NOT NULL) AS p
             LEFT JOIN (SELECT m.mark, _currency_of(m.mark) AS currency FROM unnest(amount_marks) AS m (mark)) AS a ON a.mark = p.amount_mark
        GROUP BY p.period_start, p.segment_no, p.lead_source_no, p.owner_no, a.currency;
    ELSE
        CREATE TEMPORARY TABLE revacct_place AS
        SELECT p.period_start, p.segment_no, p.lead_source_no, p.owner_no, a.currency, array_agg(p.subject_id) AS members
        FROM (SELECT j.subject_id, date_trunc('month', entered(j.journey, definition) AT TIME ZONE time_zone)::date AS period_start,
                     _last_value(j.journey, segment_marks) AS segment_no, _first_value(j.journey, source_marks) AS lead_source_no,
                     _last_value(j.journey, owner_marks) AS owner_no, _last_mark(j.journey, amount_marks) AS amount_mark
              FROM pg_temp.revacct_touched AS t JOIN revacct_data.journey AS j USING (subject_id) WHERE entered(j.journey, definition) IS NOT NULL) AS p
             LEFT JOIN (SELECT m.mark, _currency_of(m.mark) AS currency FROM unnest(amount_marks) AS m (mark)) AS a ON a.mark = p.amount_mark
        GROUP BY p.period_start, p.segment_no, p.lead_source_no, p.owner_no, a.currency;
    END IF;

    INSERT INTO revacct_data.cell (lifecycle, period_start, segment_no, lead_source_no, owner_no, currency)
    SELECT lifecycle, p.period_start, p.segment_no, p.lead_source_no, p.owner_no, p.currency FROM pg_temp.revacct_place AS p
    ON CONFLICT DO NOTHING;
    -- By values that are never NULL, as only those can be hashed; group by group, as they are few; into a table, since nobody could guess how many match on six columns.
    CREATE TEMPORARY TABLE revacct_placed AS
    SELECT unnest(p.members) AS subject_id, c.cell_id, c.subjects
    FROM pg_temp.revacct_place AS p
         JOIN revacct_data.cell AS c
             ON c.lifecycle = lifecycle AND c.period_start = p.period_start AND coalesce(c.segment_no, 0) = coalesce(p.segment_no, 0) AND (c.segment_no IS NULL) = (p.segment_no IS NULL)
                AND coalesce(c.lead_source_no, 0) = coalesce(p.lead_source_no, 0) AND (c.lead_source_no IS NULL) = (p.lead_source_no IS NULL)
                AND coalesce(c.owner_no, 0) = coalesce(p.owner_no, 0) AND (c.owner_no IS NULL) = (p.owner_no IS NULL) AND coalesce(c.currency, '') = coalesce(p.currency, '');
    ANALYZE pg_temp.revacct_placed;
    CREATE TEMPORARY TABLE revacct_dirty (cell_id bigint, bucket int);

    WITH left_behind AS (
        DELETE FROM revacct_data.placement AS o
        USING revacct_data.cell AS c, pg_temp.revacct_touched AS t
        WHERE NOT everybody AND o.subject_id = t.subject_id AND c.cell_id = o.cell_id AND c.lifecycle = lifecycle
          AND NOT EXISTS (SELECT FROM pg_temp.revacct_placed AS p WHERE p.subject_id = o.subject_id AND p.cell_id = o.cell_id)
        RETURNING o.cell_id, o.bucket
    ), added AS (
        INSERT INTO revacct_data.placement (subject_id, cell_id, bucket)
        SELECT p.subject_id, p.cell_id, (p.subjects + row_number() OVER (PARTITION BY p.cell_id ORDER BY p.subject_id) - 1) / 1000
        FROM pg_temp.revacct_placed AS p
        WHERE everybody OR NOT EXISTS (SELECT FROM revacct_data.placement AS o WHERE o.subject_id = p.subject_id AND o.cell_id = p.cell_id)
        RETURNING cell_id, bucket
    ), counted AS (
        UPDATE revacct_data.cell AS c SET subjects = c.subjects + a.n
        FROM (SELECT a.cell_id, count(*) AS n FROM added AS a GROUP BY a.cell_id) AS a WHERE c.cell_id = a.cell_id
    )
    INSERT INTO pg_temp.revacct_dirty (cell_id, bucket)
    SELECT l.cell_id, l.bucket FROM left_behind AS l
    UNION SELECT a.cell_id, a.bucket FROM added AS a
    UNION SELECT o.cell_id, o.bucket FROM pg_temp.revacct_placed AS p JOIN revacct_data.placement AS o USING (subject_id, cell_id) WHERE NOT everybody;
    ANALYZE pg_temp.revacct_dirty;

    IF everybody THEN
        INSERT INTO revacct_data.pack (cell_id, bucket, pack)
        SELECT p.cell_id, p.bucket, journey_pack(j.subject_id, j.journey)
        FROM revacct_data.placement AS p JOIN revacct_data.cell AS c USING (cell_id) JOIN revacct_data.journey AS j USING (subject_id)
        WHERE c.lifecycle = lifecycle
        GROUP BY p.cell_id, p.bucket;
        GET DIAGNOSTICS written = ROW_COUNT;
    ELSE
        -- Who was not touched is taken over from the pack as it was: there is no need to look each of them up.
        WITH gone AS (
            DELETE FROM revacct_data.pack AS p USING pg_temp.revacct_dirty AS d WHERE p.cell_id = d.cell_id AND p.bucket = d.bucket RETURNING p.*
        ), member AS (
            SELECT g.cell_id, g.bucket, u.subject::bigint AS subject_id, u.journey
            FROM gone AS g, unpack(g.pack) AS u
            WHERE NOT EXISTS (SELECT FROM pg_temp.revacct_touched AS t WHERE t.subject_id = u.subject::bigint)
            UNION ALL
            SELECT o.cell_id, o.bucket, j.subject_id, j.journey
            FROM pg_temp.revacct_placed AS p JOIN revacct_data.placement AS o USING (subject_id, cell_id) JOIN revacct_data.journey AS j USING (subject_id)
        )
        INSERT INTO revacct_data.pack (cell_id, bucket, pack)
        SELECT m.cell_id, m.bucket, journey_pack(m.subject_id, m.journey) FROM member AS m GROUP BY m.cell_id, m.bucket;
        GET DIAGNOSTICS written = ROW_COUNT;
    END IF;
    INSERT INTO pg_temp.revacct_dirty_cell (cell_id) SELECT DISTINCT d.cell_id FROM pg_temp.revacct_dirty AS d;
    DROP TABLE pg_temp.revacct_place, pg_temp.revacct_placed, pg_temp.revacct_dirty;
    RETURN written;
END $$;
COMMENT ON FUNCTION _place(text, lifecycle, text, boolean) IS
'Puts subjects into the groups of a lifecycle, those in the temporary table revacct_touched or everybody, and writes the packs that this touches, anew. Returns how many.';

CREATE FUNCTION _say(progress boolean, step text, row_count bigint, seconds numeric)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp SET client_min_messages = 'notice'
AS $$
BEGIN
    IF progress THEN
        RAISE NOTICE '%: % in % s', step, row_count, seconds;
    END IF;
END $$;
COMMENT ON FUNCTION _say(boolean, text, bigint, numeric) IS 'Tells the progress of refresh().';

CREATE FUNCTION refresh(progress boolean DEFAULT true, max_age interval DEFAULT '1 hour')
RETURNS TABLE (step text, row_count bigint, seconds numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET jit = off SET revacct.by_change = 'on' SET timezone = 'UTC'
AS $$
#variable_conflict use_variable
DECLARE
    since timestamptz := clock_timestamp();
    horizon timestamptz;
    loads bigint[];
    moved bigint[];
    refolded bigint[];
    process record;
    at_work text;
BEGIN
    PERFORM _demand_access('{loader, analyst, steward, council}', 'refresh');
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'refresh() runs in read committed transactions'
            USING ERRCODE = 'invalid_transaction_state', DETAIL = format('This one is %s.', current_setting('transaction_isolation')),
                  HINT = 'An older snapshot would not see what another refresh has done.';
    END IF;
    -- one at a time; the second finds what is left to do
    LOCK TABLE revacct_data.refreshed IN EXCLUSIVE MODE;
    PERFORM set_config('client_min_messages', 'warning', true);
    horizon := _horizon();
    DROP TABLE IF EXISTS pg_temp.revacct_touched, pg_temp.revacct_dirty_cell;
    CREATE TEMPORARY TABLE revacct_touched (subject_id bigint PRIMARY KEY);
    CREATE TEMPORARY TABLE revacct_dirty_cell (cell_id bigint NOT NULL);

    -- Rows are taken from here first, and the ledger is read after: whatever they speak of is there.
    WITH done AS (DELETE FROM revacct_data.pending_load AS p RETURNING p.load_id) SELECT array_agg(d.load_id ORDER BY d.load_id) INTO loads FROM done AS d;
    WITH done AS (DELETE FROM revacct_data.pending_subject AS p RETURNING p.subject_id) SELECT array_agg(DISTINCT d.subject_id) INTO moved FROM done AS d;

    IF NOT EXISTS (SELECT FROM revacct_data.refreshed) THEN
        INSERT INTO revacct_data.identity (subject_id, same_as) SELECT i.subject_id, i.same_as FROM _identities(NULL, NULL) AS i;
        INSERT INTO revacct_data.journey (subject_id, journey) SELECT f.subject_id, f.journey FROM _fold(NULL, NULL) AS f;
        GET DIAGNOSTICS row_count = ROW_COUNT;
    ELSE
        -- Who is not who they were, and whose events were corrected: from the beginning.
        IF moved IS NOT NULL THEN
            WITH RECURSIVE kin AS (
                SELECT unnest(moved) AS subject_id
                UNION
                SELECT o.subject_id FROM kin AS k JOIN revacct_data.identity AS i ON i.subject_id = k.subject_id JOIN revacct_data.identity AS o ON o.same_as = i.same_as
            )
            SELECT array_agg(k.subject_id) INTO moved FROM (SELECT k.subject_id FROM kin AS k UNION SELECT i.subject_id FROM _identities(moved, NULL) AS i, LATERAL (SELECT i.subject_id) AS x) AS k;
            DELETE FROM revacct_data.identity AS i WHERE i.subject_id = ANY (moved);
            INSERT INTO revacct_data.identity (subject_id, same_as) SELECT i.subject_id, i.same_as FROM _identities(moved, NULL) AS i
            ON CONFLICT (subject_id) DO UPDATE SET same_as = excluded.same_as;
        END IF;
        SELECT array_agg(DISTINCT coalesce(i.same_as, n.subject_id)) INTO refolded
        FROM (SELECT unnest(moved) AS subject_id UNION SELECT c.subject_id FROM revacct_data.correction AS c WHERE c.load_id >= loads[1] AND c.load_id = ANY (loads)) AS n
             LEFT JOIN revacct_data.identity AS i USING (subject_id);
        INSERT INTO pg_temp.revacct_touched (subject_id) SELECT unnest(moved) ON CONFLICT DO NOTHING;

        IF loads IS NOT NULL THEN
            WITH new AS (
                SELECT coalesce(i.same_as, e.subject_id) AS subject_id, journey(e.mark, e.occurred_at, e.value, e.seq) AS journey
                FROM revacct_data.event AS e LEFT JOIN revacct_data.identity AS i USING (subject_id)
                WHERE e.load_id >= loads[1] AND e.load_id <= loads[cardinality(loads)] AND e.load_id = ANY (loads)
                GROUP BY 1 HAVING journey(e.mark, e.occurred_at, e.value, e.seq) IS NOT NULL
            ), merged AS (
                INSERT INTO revacct_data.journey AS j (subject_id, journey) SELECT n.subject_id, n.journey FROM new AS n
                ON CONFLICT (subject_id) DO UPDATE SET journey = merge(j.journey, excluded.journey)
                RETURNING j.subject_id
            )
            INSERT INTO pg_temp.revacct_touched (subject_id) SELECT m.subject_id FROM merged AS m ON CONFLICT DO NOTHING;
        END IF;
        IF refolded IS NOT NULL THEN
            DELETE FROM revacct_data.journey AS j WHERE j.subject_id = ANY (refolded || moved);
            INSERT INTO revacct_data.journey (subject_id, journey) SELECT f.subject_id, f.journey FROM _fold(refolded, NULL) AS f;
            INSERT INTO pg_temp.revacct_touched (subject_id) SELECT unnest(refolded) ON CONFLICT DO NOTHING;
        END IF;
        SELECT count(*) INTO row_count FROM pg_temp.revacct_touched;
    END IF;
    step := 'journeys';
    seconds := round(extract(epoch FROM clock_timestamp() - since), 3);
    RETURN NEXT;
    PERFORM _say(progress, step, row_count, seconds);
    ANALYZE pg_temp.revacct_touched;

    since := clock_timestamp();
    row_count := 0;
    FOR process IN
        SELECT l.lifecycle AS name, l.time_zone, d.definition, d.definition IS DISTINCT FROM p.definition OR d.time_zone <> p.time_zone AS everybody
        FROM (SELECT l.lifecycle, l.time_zone FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id) WHERE upper_inf(i.recorded) AND i.valid @> _now()) AS l
             CROSS JOIN LATERAL (SELECT _lifecycle(l.lifecycle, NULL, NULL) AS definition, l.time_zone) AS d
             LEFT JOIN revacct_data.placed_lifecycle AS p USING (lifecycle)
        ORDER BY l.lifecycle COLLATE "C"
    LOOP
        row_count := row_count + _place(process.name, process.definition, process.time_zone, process.everybody OR NOT EXISTS (SELECT FROM revacct_data.refreshed));
        INSERT INTO revacct_data.placed_lifecycle (lifecycle, definition, time_zone) VALUES (process.name, process.definition, process.time_zone)
        ON CONFLICT (lifecycle) DO UPDATE SET definition = excluded.definition, time_zone = excluded.time_zone;
    END LOOP;
    -- those that are not in force any more
    FOR at_work IN
        SELECT p.lifecycle FROM revacct_data.placed_lifecycle AS p
        WHERE NOT EXISTS (SELECT FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id) WHERE l.lifecycle = p.lifecycle AND upper_inf(i.recorded) AND i.valid @> _now())
    LOOP
        DELETE FROM revacct_data.pack AS p USING revacct_data.cell AS c WHERE c.cell_id = p.cell_id AND c.lifecycle = at_work;
        DELETE FROM revacct_data.placement AS p USING revacct_data.cell AS c WHERE c.cell_id = p.cell_id AND c.lifecycle = at_work;
        DELETE FROM revacct_data.cell AS c WHERE c.lifecycle = at_work;
        DELETE FROM revacct_data.placed_lifecycle AS p WHERE p.lifecycle = at_work;
    END LOOP;
    step := 'packs';
    seconds := round(extract(epoch FROM clock_timestamp() - since), 3);
    RETURN NEXT;
    PERFORM _say(progress, step, row_count, seconds);

    since := clock_timestamp();
    INSERT INTO revacct_data.refreshed (as_of, known_at) VALUES (clock_timestamp(), horizon) ON CONFLICT ((true)) DO UPDATE SET as_of = excluded.as_of, known_at = excluded.known_at;
    row_count := _refresh_figures(max_age);
    step := 'figures';
    seconds := round(extract(epoch FROM clock_timestamp() - since), 3);
    RETURN NEXT;
    PERFORM _say(progress, step, row_count, seconds);
    DROP TABLE pg_temp.revacct_touched, pg_temp.revacct_dirty_cell;
END $$;
COMMENT ON FUNCTION refresh(boolean, interval) IS
'Brings journeys, packs and figures up to date with the ledger and the model, and tells what it did, a row a step. progress: as notices too, as it goes. max_age: figures of groups in which nothing happened, which time alone changes, may be that old; 0 makes all of them as of now. A clock that has come due is breached at once. It takes up what was recorded since, late and corrected events included; a second one at the same time waits, and finds what is left. A job for pg_cron: SELECT revacct.refresh(). For loaders, analysts, stewards and the council.
Errors: insufficient_privilege (42501), invalid_transaction_state (25000).';

CREATE FUNCTION rebuild_journeys(progress boolean DEFAULT true)
RETURNS TABLE (step text, row_count bigint, seconds numeric)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _demand_access('{steward, council}', 'rebuild journeys');
    LOCK TABLE revacct_data.refreshed IN EXCLUSIVE MODE;
    -- Not by TRUNCATE: whoever reads with an older snapshot would find nothing.
    DELETE FROM revacct_data.identity;
    DELETE FROM revacct_data.journey;
    DELETE FROM revacct_data.cell;
    DELETE FROM revacct_data.placement;
    DELETE FROM revacct_data.pack;
    DELETE FROM revacct_data.placed_lifecycle;
    DELETE FROM revacct_data.refreshed;
    DELETE FROM revacct_data.cell_figure;
    DELETE FROM revacct_data.cell_sla_figure;
    DELETE FROM revacct_data.report_group;
    DELETE FROM revacct_data.funnel_figure;
    DELETE FROM revacct_data.velocity_figure;
    DELETE FROM revacct_data.sla_figure;
    DELETE FROM revacct_data.open_clock;
    DELETE FROM revacct_data.reported_sla;
    RETURN QUERY SELECT r.step, r.row_count, r.seconds FROM refresh(progress) AS r;
END $$;
COMMENT ON FUNCTION rebuild_journeys(boolean) IS
'Drops all that is derived from the ledger and makes it again. Returns, and with progress tells, what refresh() does. For stewards and the council.
Errors: insufficient_privilege (42501).';

CREATE FUNCTION check_journeys()
RETURNS TABLE (source text, subject_kind text, subject_key text, problem text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET jit = off
AS $$
#variable_conflict use_column
BEGIN
    IF NOT _sees_all() THEN
        PERFORM _demand_access('{analyst, steward, council}', 'check journeys');
    END IF;
    RETURN QUERY
    WITH kept AS (
        SELECT j.subject_id, j.journey FROM revacct_data.journey AS j
    ), problem (subject_id, problem) AS (
        SELECT coalesce(k.subject_id, f.subject_id),
               CASE WHEN f.subject_id IS NULL THEN 'the journey has no events' WHEN k.subject_id IS NULL THEN 'the journey is missing' ELSE 'the journey is another one' END
        FROM kept AS k FULL JOIN _fold(NULL, NULL) AS f ON f.subject_id = k.subject_id
        WHERE k.journey IS DISTINCT FROM f.journey
        UNION ALL
        SELECT coalesce(i.subject_id, n.subject_id), 'it is the same as another one'
        FROM revacct_data.identity AS i FULL JOIN _identities(NULL, NULL) AS n ON n.subject_id = i.subject_id WHERE i.same_as IS DISTINCT FROM n.same_as
        UNION ALL
        SELECT coalesce(p.subject_id, u.subject_id),
               format(CASE WHEN p.journey IS DISTINCT FROM u.journey THEN 'in the packs of %s it is another one' ELSE 'of %s it is in another group' END, coalesce(p.lifecycle, u.lifecycle))
        FROM (SELECT c.lifecycle, k.subject_id, k.journey, date_trunc('month', entered(k.journey, c.definition) AT TIME ZONE c.time_zone)::date AS period_start,
                     _last_value(k.journey, m.segment) AS segment_no, _first_value(k.journey, m.lead_source) AS lead_source_no, _last_value(k.journey, m.owner) AS owner_no,
                     _currency_of(_last_mark(k.journey, m.amount)) AS currency
              FROM revacct_data.placed_lifecycle AS c, kept AS k,
                   (SELECT _field_marks('segment_set') AS segment, _field_marks('lead_source_set') AS lead_source, _field_marks('assigned') AS owner, _field_marks('amount_set') AS amount) AS m
              WHERE entered(k.journey, c.definition) IS NOT NULL) AS p
             FULL JOIN (SELECT c.*, s.subject::bigint AS subject_id, s.journey FROM revacct_data.pack AS p JOIN revacct_data.cell AS c USING (cell_id), unpack(p.pack) AS s) AS u
                 ON u.lifecycle = p.lifecycle AND u.subject_id = p.subject_id
        WHERE (p.journey, p.period_start, p.segment_no, p.lead_source_no, p.owner_no, p.currency) IS DISTINCT FROM (u.journey, u.period_start, u.segment_no, u.lead_source_no, u.owner_no, u.currency)
    )
    SELECT r.source, s.kind, s.subject_key, p.problem
    FROM problem AS p LEFT JOIN revacct_data.subject AS s USING (subject_id) LEFT JOIN revacct_data.source AS r USING (source_no);
END $$;
COMMENT ON FUNCTION check_journeys() IS
'Folds the whole ledger again, compares every journey and pack with it, to the byte, and tells the differences, a row each; none: all is well. What was recorded since the last refresh is a difference. For analysts, stewards and the council.
Errors: insufficient_privilege (42501).';
