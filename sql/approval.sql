--
-- approval.sql: from a proposal to what is in force: whose signatures a change needs, who can give them, and what happens then.
--

-- What concerns whom

CREATE FUNCTION _kin(kind text, key text)
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
COMMENT ON FUNCTION _kin(text, text) IS 'A definition and what it is part of: a stage belongs to a lifecycle, a code to a list.';

CREATE FUNCTION _required_signoffs(change_id bigint)
RETURNS TABLE (party text)
LANGUAGE SQL STABLE
SECURITY DEFINER SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    WITH touched AS (
        SELECT v.kind, v.key, v.version_id, v.successor,
               -- what ends has its content in an earlier version; parties, stages and objects are in the key, and the same in all
               (SELECT max(e.version_id) FROM revacct_data.version AS e WHERE e.kind = v.kind AND e.key = v.key AND e.action = 'define' AND e.version_no IS NOT NULL) AS earlier
        FROM revacct_data.version AS v WHERE v.change_id = _required_signoffs.change_id
    ), concerned (thing, kind, key) AS (
        SELECT t.version_id, kin.object_kind, kin.object_key FROM touched AS t, revacct._kin(t.kind, t.key) AS kin WHERE t.kind <> 'responsibility'
        UNION
        -- what a retired one is counted as is a thing of its own
        SELECT -t.version_id, kin.object_kind, kin.object_key FROM touched AS t, revacct._kin(t.kind, t.successor) AS kin WHERE t.successor IS NOT NULL
        UNION
        -- a hand-off is agreed on by both its sides
        SELECT t.version_id, 'stage', revacct.object_key(x.lifecycle, side.stage)
        FROM touched AS t JOIN revacct_data.transition AS x ON x.version_id IN (t.version_id, t.earlier), unnest(ARRAY[x.from_stage, x.to_stage]) AS side (stage)
        UNION
        -- the owners of stages own what is said of all of them
        SELECT t.version_id, 'stage', s.key
        FROM touched AS t JOIN revacct_data.lifecycle AS l ON l.version_id IN (t.version_id, t.earlier)
             JOIN revacct_data.stage AS c ON c.lifecycle = l.lifecycle JOIN revacct_data.version AS s ON s.version_id = c.version_id
        UNION
        -- who owns something has a say in who else does
        SELECT t.version_id, kin.object_kind, kin.object_key
        FROM touched AS t JOIN revacct_data.responsibility AS r ON r.version_id IN (t.version_id, t.earlier), revacct._kin(r.object_kind, r.object) AS kin
    ), owner (thing, party) AS (
        SELECT c.thing, r.party
        FROM concerned AS c JOIN revacct_data.responsibility AS r ON c.kind = r.object_kind AND c.key = r.object JOIN revacct_data.validity AS i ON i.version_id = r.version_id
        -- the clock: a statement that began before somebody lost their say does not give it back
        WHERE r.role = 'accountable' AND i.valid @> clock_timestamp() AND upper_inf(i.recorded)
        UNION
        -- a party agrees to its members, approvers, pools and owners; to a reporting line, who is accountable or the council
        SELECT t.version_id, p.party
        FROM touched AS t JOIN revacct_data.responsibility AS r ON r.version_id IN (t.version_id, t.earlier)
             JOIN revacct_data.party AS p ON r.object_kind = 'party' AND r.object = revacct.object_key(p.party) AND r.role <> 'manager'
    ), other (thing, party) AS (
        -- to propose a change is to agree to it
        SELECT o.thing, o.party
        FROM owner AS o JOIN revacct_data.party AS p USING (party), revacct_data.change AS c
        WHERE c.change_id = _required_signoffs.change_id AND p.login IS DISTINCT FROM c.proposed_by
    )
    SELECT o.party FROM other AS o
    UNION
    -- who is to be an owner agrees to it, beside those who have a say now
    SELECT r.party
    FROM touched AS t JOIN revacct_data.responsibility AS r ON r.version_id = t.version_id JOIN revacct_data.party AS p USING (party), revacct_data.change AS c
    WHERE r.role = 'accountable' AND c.change_id = _required_signoffs.change_id AND p.login IS DISTINCT FROM c.proposed_by
    UNION
    SELECT NULL FROM concerned AS c WHERE NOT EXISTS (SELECT FROM other AS o WHERE o.thing = c.thing);
END;
COMMENT ON FUNCTION _required_signoffs(bigint) IS
'The parties without whose signature a change is not approved: for each thing it touches those accountable for it now, but for who proposes it, and where that leaves nobody the council (NULL); and those it makes accountable. Runs with its owner''s rights: views for readers ask it.';

CREATE FUNCTION _signatories(party text)
RETURNS TABLE (login text)
LANGUAGE SQL STABLE
BEGIN ATOMIC
    SELECT p.login FROM revacct_data.party AS p JOIN pg_roles AS role ON role.rolname = p.login WHERE p.party = _signatories.party
    UNION
    SELECT p.login
    FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.party AS p ON p.party = r.party
         JOIN pg_roles AS role ON role.rolname = p.login
    WHERE r.role = 'approver' AND r.object_kind = 'party' AND r.object = revacct.object_key(_signatories.party)
      AND i.valid @> clock_timestamp() AND upper_inf(i.recorded);
END;
COMMENT ON FUNCTION _signatories(text) IS 'The logins that sign for a party: a person''s own, and those of its approvers.';

CREATE FUNCTION _missing_signoffs(change_id bigint)
RETURNS TABLE (party text)
LANGUAGE SQL STABLE
SECURITY DEFINER SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT r.party FROM revacct._required_signoffs(change_id) AS r
    WHERE NOT EXISTS (SELECT FROM revacct_data.signoff AS s WHERE s.change_id = _missing_signoffs.change_id AND s.party IS NOT DISTINCT FROM r.party);
END;
COMMENT ON FUNCTION _missing_signoffs(bigint) IS 'The parties, NULL for the council, whose signature a proposed change still needs. Runs with its owner''s rights: views for readers ask it.';

CREATE FUNCTION _signs_for(change_id bigint)
RETURNS TABLE (party text)
LANGUAGE SQL STABLE
SECURITY DEFINER SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT missing.party
    FROM revacct._missing_signoffs(change_id) AS missing, revacct_data.change AS c
    WHERE c.change_id = _signs_for.change_id AND session_user NOT IN (c.raised_by, c.proposed_by)
      AND (EXISTS (SELECT FROM revacct._signatories(missing.party) AS s WHERE s.login = session_user)
           -- the council signs where nobody else can
           OR (revacct._has_access('{council}')
               AND NOT EXISTS (SELECT FROM revacct._signatories(missing.party) AS s WHERE s.login NOT IN (c.raised_by, c.proposed_by))));
END;
COMMENT ON FUNCTION _signs_for(bigint) IS 'The parties, NULL for the council, whose signature a proposed change still needs and the session''s user can give. Runs with its owner''s rights: views for readers ask it.';

-- From proposal to decision

CREATE FUNCTION _too_late(change bigint)
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'the time from which change % was to be in force has passed', change
        USING ERRCODE = 'object_not_in_prerequisite_state',
              DETAIL = (SELECT format('It was %s', c.effective_at) || coalesce(format(' until %s.', c.effective_until), '.') FROM revacct_data.change AS c WHERE c.change_id = change),
              HINT = format('Draft it again with another time, or marked as retroactive: SELECT redraft(%s, retroactive => true).', change);
END $$;
COMMENT ON FUNCTION _too_late(bigint) IS 'Refuses a change that waited too long.';

CREATE FUNCTION propose_change(change bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    draft revacct_data.change;
BEGIN
    PERFORM _demand_access('{steward, council}', 'propose changes');
    PERFORM _lock_model();
    IF change IS NULL THEN
        change := _my_draft(NULL);
    END IF;
    SELECT * INTO draft FROM revacct_data.change AS c WHERE c.change_id = change FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no change %', change USING ERRCODE = 'undefined_object';
    ELSIF draft.status <> 'draft' THEN
        RAISE EXCEPTION 'change % is no draft any more', change
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', draft.status);
    ELSIF NOT EXISTS (SELECT FROM revacct_data.version AS v WHERE v.change_id = change) THEN
        RAISE EXCEPTION 'change % says nothing', change
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Fill it: define_...(), assign() or retire().';
    END IF;

    IF draft.effective_at < clock_timestamp() AND NOT draft.retroactive THEN
        PERFORM _too_late(change);
    END IF;
    UPDATE revacct_data.change SET status = 'proposed', proposed_by = session_user, proposed_at = clock_timestamp() WHERE change_id = change;

    -- What could not come into force is refused now, not when the last has signed: it is tried, and taken back.
    BEGIN
        PERFORM _put_in_force(change);
        RAISE EXCEPTION USING ERRCODE = 'RVTRY';
    EXCEPTION WHEN SQLSTATE 'RVTRY' THEN
        NULL;
    END;
    RETURN change;
END $$;
COMMENT ON FUNCTION propose_change(bigint) IS
'Puts a draft (NULL: the only one of yours) before those who have to sign it, and returns its number. It cannot be altered any more. All that would keep it from coming into force is refused now. For stewards and the council, who may propose what anybody drafted.
Errors: insufficient_privilege (42501), object_not_in_prerequisite_state (55000), and whatever is wrong with its definitions.';

CREATE FUNCTION withdraw_change(change bigint DEFAULT NULL)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    found_change revacct_data.change;
BEGIN
    IF change IS NULL THEN
        change := _my_draft(NULL);
    END IF;
    SELECT * INTO found_change FROM revacct_data.change AS c WHERE c.change_id = change FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no change %', change USING ERRCODE = 'undefined_object';
    ELSIF session_user NOT IN (found_change.raised_by, coalesce(found_change.proposed_by, found_change.raised_by)) THEN
        RAISE EXCEPTION 'change % is not yours to withdraw', change
            USING ERRCODE = 'insufficient_privilege', HINT = 'Who has to sign it can reject() it.';
    ELSIF found_change.status NOT IN ('draft', 'proposed') THEN
        RAISE EXCEPTION 'change % is decided', change
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', found_change.status),
                  HINT = 'What is in force is changed by another change; redraft() begins one from this.';
    END IF;
    UPDATE revacct_data.change SET status = 'withdrawn', decided_at = clock_timestamp() WHERE change_id = change;
    RETURN change;
END $$;
COMMENT ON FUNCTION withdraw_change(bigint) IS
'Withdraws a draft (NULL: the only one of yours) or a proposal that you drafted or proposed, and returns its number.
Errors: insufficient_privilege (42501), object_not_in_prerequisite_state (55000).';

CREATE FUNCTION _once_more(change bigint)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- with the times it was given: without them, it would be in force from its approval on
    SELECT c.change_id || CASE WHEN c.retroactive OR c.effective_at > pg_catalog.clock_timestamp() THEN pg_catalog.format(', %L', c.effective_at) ELSE '' END
           || CASE WHEN c.effective_until IS NOT NULL THEN pg_catalog.format(', effective_until => %L', c.effective_until) ELSE '' END
           || CASE WHEN c.retroactive THEN ', retroactive => true' ELSE '' END
    FROM revacct_data.change AS c WHERE c.change_id = _once_more.change;
END;
COMMENT ON FUNCTION _once_more(bigint) IS 'The arguments of redraft() that draft a change again as it is.';

CREATE FUNCTION _lock_model()
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    -- A snapshot from before the lock would not see what was approved meanwhile, and serializable transactions are safe only among themselves.
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
        RAISE EXCEPTION 'changes are proposed and signed in read committed transactions'
            USING ERRCODE = 'feature_not_supported', DETAIL = format('This one is %s.', current_setting('transaction_isolation')),
                  HINT = 'BEGIN ISOLATION LEVEL READ COMMITTED.';
    END IF;
    PERFORM _hold_horizon();
    LOCK TABLE revacct_data.validity IN SHARE ROW EXCLUSIVE MODE;
END $$;
COMMENT ON FUNCTION _lock_model() IS 'Lets one transaction at a time sign changes and put them in force, from here to its end; readers are not held up.';

CREATE FUNCTION _sign(change bigint, verdict text, note text)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    proposal revacct_data.change;
BEGIN
    -- First, so that everybody locks in the same order. Who has a say, and has signed, cannot change from here to the end of the transaction.
    PERFORM _lock_model();
    SELECT * INTO proposal FROM revacct_data.change AS c WHERE c.change_id = change FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no change %', coalesce(change::text, 'NULL') USING ERRCODE = 'undefined_object';
    ELSIF proposal.status <> 'proposed' THEN
        RAISE EXCEPTION 'change % is not open for signature', change
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', proposal.status),
                  HINT = CASE proposal.status WHEN 'draft' THEN format('A steward proposes it first: SELECT propose_change(%s).', change) ELSE 'What became of it: SELECT * FROM decided_changes.' END;
    ELSIF session_user IN (proposal.raised_by, proposal.proposed_by) THEN
        RAISE EXCEPTION 'who drafted or proposed a change cannot sign it'
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('Change %s was drafted by %s and proposed by %s.', change, proposal.raised_by, proposal.proposed_by),
                  HINT = 'Somebody else has to sign; withdraw_change() takes it back.';
    END IF;

    INSERT INTO revacct_data.signoff (change_id, party, verdict, note, signed_by, signed_at, raised_by, proposed_by)
    SELECT change, s.party, verdict, note, session_user, clock_timestamp(), proposal.raised_by, proposal.proposed_by
    FROM _signs_for(change) AS s;
    -- Whose signature was missing may have lost their say since. Then one who signed before signs once more, and it is complete.
    IF NOT FOUND AND (EXISTS (SELECT FROM _missing_signoffs(change))
                      OR NOT EXISTS (SELECT FROM revacct_data.signoff AS s WHERE s.change_id = change AND s.signed_by = session_user)) THEN
        RAISE EXCEPTION 'role "%" has nothing to sign in change %', session_user, change
            USING ERRCODE = 'insufficient_privilege',
                  DETAIL = format('It waits for %s.', coalesce((SELECT string_agg(coalesce(m.party, 'the council'), ', ' ORDER BY m.party) FROM _missing_signoffs(change) AS m),
                                                               'one who signed it, to sign once more')),
                  HINT = 'People sign for themselves, and for the parties they are approvers of; the council signs where there is nobody else.';
    END IF;
END $$;
COMMENT ON FUNCTION _sign(bigint, text, text) IS 'Signs a proposed change, locked, for all parties the session''s user can sign for.';

CREATE FUNCTION approve(change bigint, note text DEFAULT NULL)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM _sign(change, 'approve', note);
    IF EXISTS (SELECT FROM _missing_signoffs(change)) THEN
        RETURN 'proposed';
    END IF;
    PERFORM _put_in_force(change);
    RETURN 'approved';
END $$;
COMMENT ON FUNCTION approve(bigint, text) IS
'Signs a change for all the parties you can sign for, and returns where it stands: proposed while others have to sign, approved once all have; then it is in force. Neither who drafted nor who proposed it can sign.
Errors: insufficient_privilege (42501), object_not_in_prerequisite_state (55000) when it is not open, when its time has passed, or when what it was drafted against is not in force any more.';

CREATE FUNCTION reject(change bigint, note text)
RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
BEGIN
    IF coalesce(btrim(note), '') = '' THEN
        RAISE EXCEPTION 'a rejection needs a reason' USING ERRCODE = 'invalid_parameter_value', HINT = 'Pass note => ''why''.';
    END IF;
    PERFORM _sign(change, 'reject', note);
    UPDATE revacct_data.change SET status = 'rejected', decided_at = clock_timestamp() WHERE change_id = change;
    RETURN 'rejected';
END $$;
COMMENT ON FUNCTION reject(bigint, text) IS
'Rejects a proposed change that you could sign, with a reason. One rejection is enough.
Errors: as approve().';

CREATE FUNCTION _put_in_force(change bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
#variable_conflict use_variable
DECLARE
    proposal revacct_data.change;
    item revacct_data.version;
    held revacct_data.validity;
    period tstzrange;
    later text;
BEGIN
    -- One at a time: what is checked below stays true until this is committed.
    PERFORM _lock_model();

    UPDATE revacct_data.change AS c
    SET status = 'approved', decided_at = now.t, effective_at = coalesce(c.effective_at, now.t),
        retroactive = c.retroactive AND coalesce(c.effective_at < now.t, false)
    FROM (SELECT greatest(clock_timestamp(), max(lower(recorded)) + interval '1 microsecond') AS t FROM revacct_data.validity) AS now
    WHERE c.change_id = change AND (c.retroactive OR c.effective_at IS NULL OR c.effective_at >= now.t)
      AND coalesce(coalesce(c.effective_at, now.t) < c.effective_until, true)
    RETURNING c.* INTO proposal;
    IF NOT FOUND THEN
        PERFORM _too_late(change);
    END IF;
    period := tstzrange(proposal.effective_at, nullif(proposal.effective_until, 'infinity'));

    FOR item IN SELECT * FROM revacct_data.version AS v WHERE v.change_id = change ORDER BY v.version_id LOOP
        IF _in_force(item.kind, item.key, proposal.effective_at) IS DISTINCT FROM item.replaces THEN
            RAISE EXCEPTION '% "%" is not what it was when change % was drafted', item.kind, item.key, change
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('In force is the version of change %s; the draft was made from that of %s.',
                          coalesce((SELECT v.change_id::text FROM revacct_data.version AS v WHERE v.version_id = _in_force(item.kind, item.key, proposal.effective_at)), 'no change'),
                          coalesce((SELECT v.change_id::text FROM revacct_data.version AS v WHERE v.version_id = item.replaces), 'no change')),
                      HINT = format('Draft it again, from what is in force now: SELECT redraft(%s).', _once_more(change));
        END IF;
        IF EXISTS (
            -- what the record said of the period when this was drafted, against what it says now
            SELECT FROM (SELECT i.version_id, range_agg(i.valid * period) FILTER (WHERE i.recorded @> item.drafted_as_of) AS was,
                                range_agg(i.valid * period) FILTER (WHERE upper_inf(i.recorded)) AS is
                         FROM revacct_data.validity AS i WHERE i.kind = item.kind AND i.key = item.key AND i.valid && period GROUP BY i.version_id) AS agreed
            WHERE agreed.was IS DISTINCT FROM agreed.is) THEN
            RAISE EXCEPTION 'something else was agreed for % "%" since change % was drafted', item.kind, item.key, change
                USING ERRCODE = 'object_not_in_prerequisite_state',
                      DETAIL = format('It is in the period from %s on, which this change is for.', proposal.effective_at),
                      HINT = format('Draft it again, from what is in force now: SELECT redraft(%s).', _once_more(change));
        END IF;
        IF proposal.effective_until IS NULL THEN
            SELECT format('change %s from %s', v.change_id, lower(i.valid)) INTO later
            FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
            WHERE i.kind = item.kind AND i.key = item.key AND upper_inf(i.recorded) AND lower(i.valid) > proposal.effective_at
            ORDER BY lower(i.valid) LIMIT 1;
            IF FOUND THEN
                RAISE EXCEPTION 'something later is agreed already for % "%"', item.kind, item.key
                    USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = format('It is %s.', later),
                          HINT = 'Say until when this change is valid: effective_until => that time, or infinity to go before what is agreed.';
            END IF;
        END IF;

        -- What the record said of this time, it says no more; what it said of the time around, it goes on saying.
        FOR held IN
            UPDATE revacct_data.validity AS i SET recorded = tstzrange(lower(i.recorded), proposal.decided_at)
            WHERE i.kind = item.kind AND i.key = item.key AND i.valid && period AND upper_inf(i.recorded)
            RETURNING *
        LOOP
            INSERT INTO revacct_data.validity
            SELECT held.version_id, held.kind, held.key, rest.valid, tstzrange(proposal.decided_at, NULL)
            FROM unnest(tstzmultirange(held.valid) - tstzmultirange(period)) AS rest (valid);
        END LOOP;
        INSERT INTO revacct_data.validity VALUES (item.version_id, item.kind, item.key, period, tstzrange(proposal.decided_at, NULL));

        UPDATE revacct_data.version AS v
        SET version_no = (SELECT coalesce(max(o.version_no), 0) + 1 FROM revacct_data.version AS o WHERE o.kind = item.kind AND o.key = item.key)
        WHERE v.version_id = item.version_id;
    END LOOP;

    PERFORM _give_numbers(change);
    PERFORM _check_change(change);
END $$;
COMMENT ON FUNCTION _put_in_force(bigint) IS
'Makes a change approved: its versions are valid in its period and on record from now on, and everything that must hold in the model is checked.';
