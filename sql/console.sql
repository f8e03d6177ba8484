--
-- console.sql: the model as people read it: what is agreed, by whom, what is open, what changed, who owns what.
--
-- Plain columns, readable without any right on the tables. What is compiled is explained by compiling again and comparing.
--

CREATE FUNCTION _in_words(amount interval)
RETURNS text
LANGUAGE SQL IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    -- not as IntervalStyle says: everybody reads the same
    SELECT nullif(concat_ws(' ',
        CASE WHEN part.n[1] <> 0 THEN part.n[1] || CASE part.n[1] WHEN 1 THEN ' month' ELSE ' months' END END,
        CASE WHEN part.n[2] <> 0 THEN part.n[2] || CASE part.n[2] WHEN 1 THEN ' day' ELSE ' days' END END,
        CASE WHEN part.n[3] <> 0 THEN part.n[3] || CASE part.n[3] WHEN 1 THEN ' hour' ELSE ' hours' END END,
        CASE WHEN part.n[4] <> 0 THEN part.n[4] || CASE part.n[4] WHEN 1 THEN ' minute' ELSE ' minutes' END END,
        CASE WHEN part.s <> 0 THEN trim_scale(part.s) || ' seconds' END), '')
    FROM (SELECT ARRAY[extract(year FROM amount) * 12 + extract(month FROM amount), extract(day FROM amount), extract(hour FROM amount), extract(minute FROM amount)] AS n,
                 extract(second FROM amount) AS s) AS part;
END;
COMMENT ON FUNCTION _in_words(interval) IS 'An amount of time as people say it: 14 days, 4 hours.';

-- Every column of a content shows, but for those that have their default: who signs reads what they sign.
CREATE VIEW revacct_data.wording AS
    SELECT version_id, c.meaning,
           concat_ws('; ', 'open ' || array_to_string(c.hours, ', '), 'in ' || c.time_zone, 'shifts ' || nullif(array_to_string(c.shifts, ', '), ''),
                     'breaks ' || nullif(array_to_string(c.breaks, ', '), ''), 'holidays ' || nullif(array_to_string(ARRAY(SELECT to_char(d.day, 'YYYY-MM-DD') FROM unnest(c.holidays) AS d (day) ORDER BY 1), ', '), ''), 'known until ' || to_char(c.known_until, 'YYYY-MM-DD')) AS terms
    FROM revacct_data.calendar AS c
    UNION ALL
    SELECT version_id, l.meaning,
           concat_ws('; ', 'of a ' || l.subject_kind, 'skipped stages: ' || l.skip, 'attempt: ' || l.attempt, 'within ' || revacct._in_words(l.within),
                     'visits: ' || l.visits, 'times: ' || nullif(l.times, 'nondecreasing'), 'unknown stages: ' || nullif(l.unknown, 'error'), 'months of ' || nullif(l.time_zone, 'UTC'), 'hours of ' || l.calendar, 'other moves: ' || l.enforcement)
    FROM revacct_data.lifecycle AS l
    UNION ALL
    SELECT version_id, s.meaning,
           concat_ws('; ', s.category, CASE WHEN s.is_pipeline THEN 'pipeline' END, 'buyer journey: ' || s.journey_place, 'forecast: ' || s.forecast_category,
                     'wins with ' || trim_scale(s.probability * 100) || ' %', 'stalled after ' || revacct._in_words(s.max_age), 'place ' || s.stage_no)
    FROM revacct_data.stage AS s
    UNION ALL
    SELECT version_id, NULL,
           concat_ws('; ', t.direction || CASE WHEN t.from_stage IS NULL THEN '' ELSE ' from ' || t.from_stage END || ' to ' || t.to_stage, 'on ' || t.trigger_kind,
                     'if ' || t.guard::text, 'with ' || t.min_codes || ' of ' || t.code_list, 'else ' || t.enforcement)
    FROM revacct_data.transition AS t
    UNION ALL
    SELECT version_id, c.meaning,
           concat_ws('; ', c.label, 'place ' || c.code_no, 'part of ' || c.parent, 'explains ' || c.applies_to, 'needs ' || nullif(array_to_string(c.requires, ', '), ''), 'if ' || c.condition::text)
    FROM revacct_data.code AS c
    UNION ALL
    SELECT version_id, r.meaning,
           concat_ws('; ', r.rule, 'from ' || r.source || ' with priority ' || r.priority, 'in ' || r.lifecycle, 'from ' || r.at_stage || ' on', 'one of ' || r.code_list,
                     'such that ' || r.condition::text, 'else ' || r.enforcement)
    FROM revacct_data.field_rule AS r
    UNION ALL
    SELECT version_id, p.meaning,
           concat_ws('; ', p.kind, 'of ' || p.lifecycle, 'from ' || array_to_string(p.start, ', '), 'to ' || nullif(array_to_string(p.stop, ', '), ''),
                     'within ' || revacct._in_words(p.target), 'in the hours of ' || p.calendar, 'paused by ' || nullif(array_to_string(p.pause, ', '), ''),
                     'resumed by ' || nullif(array_to_string(p.resume, ', '), ''), 'reset by ' || nullif(array_to_string(p.reset, ', '), ''),
                     'cancelled by ' || nullif(array_to_string(p.cancel, ', '), ''), 'segment told by ' || nullif(array_to_string(p.segment, ', '), ''),
                     'owner told by ' || nullif(array_to_string(p.owner, ', '), ''), 'promised by ' || nullif(array_to_string(p.promise, ', '), ''),
                     'phases: ' || nullif(array_to_string(p.phases, ', '), ''),
                     CASE WHEN p.warnings <> '{0.8}' THEN 'warnings at ' || array_to_string(ARRAY(SELECT trim_scale(w.part * 100) || ' %' FROM unnest(p.warnings) AS w (part)), ', ') END,
                     'reopening: ' || nullif(p.reopen, 'resume'), 'on change: ' || nullif(p.on_change, 'carry'), 'at most ' || p.max_clocks || ' clocks', 'beyond: ' || nullif(p.beyond, 'ignore'),
                     'priority ' || p.priority, 'if ' || p.applies::text, 'demands ' || p.demands::text, p.method || ' to ' || p.to_party,
                     'to ' || p.to_stage, 'at most ' || p.max_times || ' times', 'else ' || p.enforcement)
    FROM revacct_data.policy AS p
    UNION ALL
    SELECT version_id, NULL, concat_ws('; ', 'within ' || revacct._in_words(t.target), 'for segment ' || t.segment, 'for ' || t.owner, 'in the hours of ' || t.calendar)
    FROM revacct_data.policy_target AS t
    UNION ALL
    SELECT version_id, NULL, s.due || ': ' || s.action || ' ' || s.recipient FROM revacct_data.policy_step AS s
    UNION ALL
    SELECT version_id, m.meaning,
           concat_ws('; ', m.numerator, 'over ' || m.denominator, 'of ' || m.population, 'by ' || m.measure, 'per ' || m.basis, 'in ' || m.lifecycle,
                     'from ' || m.at_stage, 'to ' || m.to_stage, 'within ' || revacct._in_words(m.time_window), 'with ' || m.params::text, 'in ' || m.unit, m.better || ' is better',
                     CASE WHEN m.min_n > 0 THEN 'from ' || m.min_n || ' subjects on' END)
    FROM revacct_data.metric AS m
    UNION ALL
    SELECT version_id, NULL,
           concat_ws('; ', trim_scale(t.value)::text, 'floor ' || trim_scale(t.floor), 'stretch ' || trim_scale(t.stretch), 'for ' || t.scope,
                     'from ' || to_char(t.period_start, 'YYYY-MM-DD') || ' until before ' || to_char(t.period_end, 'YYYY-MM-DD'))
    FROM revacct_data.target AS t
    UNION ALL
    SELECT version_id, p.meaning, concat_ws('; ', p.kind, p.status, 'part of ' || p.parent, 'codes ' || p.codes::text, 'arms ' || nullif(array_to_string(p.arms, ', '), ''))
    FROM revacct_data.program AS p
    UNION ALL
    SELECT version_id, NULL,
           concat_ws('; ', r.party || ' is ' || r.role || ' of ' || r.object_kind || ' ' || r.object, 'share ' || trim_scale(r.share * 100) || ' %', 'weight ' || trim_scale(r.weight),
                     'capacity ' || r.capacity)
    FROM revacct_data.responsibility AS r
    UNION ALL
    SELECT version_id, NULL, 'retired' || coalesce(', counted as ' || v.successor, '') FROM revacct_data.version AS v WHERE v.action = 'retire';
COMMENT ON VIEW revacct_data.wording IS 'What each version says, in words.';
COMMENT ON COLUMN revacct_data.wording.version_id IS 'The version.';
COMMENT ON COLUMN revacct_data.wording.meaning IS 'What its authors wrote.';
COMMENT ON COLUMN revacct_data.wording.terms IS 'Its terms.';

CREATE VIEW glossary AS
    SELECT i.kind, i.key AS name, w.meaning, w.terms,
           (SELECT string_agg(r.party || coalesce(' (' || trim_scale(r.share * 100) || ' %)', ''), ', ' ORDER BY r.party)
            FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS ri USING (version_id)
            WHERE r.role = 'accountable' AND r.object_kind = i.kind AND r.object = i.key AND upper_inf(ri.recorded) AND ri.valid @> statement_timestamp()) AS owners,
           v.version_no, lower(i.valid) AS valid_from, upper(i.valid) AS valid_until, c.change_id AS change_no, c.decided_at AS agreed_at,
           CASE WHEN c.retroactive THEN 1 ELSE 0 END AS retroactive_count
    FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id) JOIN revacct_data.change AS c USING (change_id)
         JOIN revacct_data.wording AS w USING (version_id)
    WHERE upper_inf(i.recorded) AND i.valid @> statement_timestamp() AND v.action = 'define' AND v.kind <> 'responsibility';
COMMENT ON VIEW glossary IS 'What is agreed now, in words: one row for each definition in force.';
COMMENT ON COLUMN glossary.kind IS 'What is defined: lifecycle, stage, transition, code, field_rule, calendar, policy, policy_target, policy_step, metric, target or program.';
COMMENT ON COLUMN glossary.name IS 'Its key, such as inbound/mql.';
COMMENT ON COLUMN glossary.meaning IS 'What it means, as its authors wrote it.';
COMMENT ON COLUMN glossary.terms IS 'Its terms.';
COMMENT ON COLUMN glossary.owners IS 'The parties accountable for it, with their shares.';
COMMENT ON COLUMN glossary.version_no IS 'Which version it is.';
COMMENT ON COLUMN glossary.valid_from IS 'Since when it is in force.';
COMMENT ON COLUMN glossary.valid_until IS 'Until when it is, as far as it is known; NULL: for good.';
COMMENT ON COLUMN glossary.change_no IS 'The change by which it was agreed.';
COMMENT ON COLUMN glossary.agreed_at IS 'When it was agreed.';
COMMENT ON COLUMN glossary.retroactive_count IS '1 if it is in force from before it was agreed, else 0.';

CREATE VIEW open_changes AS
    SELECT c.change_id AS change_no, c.status, c.rationale, c.raised_by, c.proposed_by, c.proposed_at, c.effective_at,
           CASE WHEN c.retroactive THEN 1 ELSE 0 END AS retroactive_count,
           (SELECT count(*) FROM revacct_data.version AS v WHERE v.change_id = c.change_id) AS definition_count,
           (SELECT string_agg(coalesce(s.party, 'council') || ' (' || s.signed_by || ')', ', ' ORDER BY s.party) FROM revacct_data.signoff AS s WHERE s.change_id = c.change_id) AS signed,
           CASE c.status WHEN 'proposed' THEN
               coalesce((SELECT string_agg(coalesce(m.party, 'council'), ', ' ORDER BY m.party) FROM revacct._missing_signoffs(c.change_id) AS m), 'one who signed, once more') END AS waiting_for
    FROM revacct_data.change AS c
    WHERE c.status IN ('draft', 'proposed');
COMMENT ON VIEW open_changes IS 'The changes that are drafted or proposed, and whose signatures they wait for.';
COMMENT ON COLUMN open_changes.change_no IS 'The number of the change.';
COMMENT ON COLUMN open_changes.status IS 'Where it stands: draft or proposed.';
COMMENT ON COLUMN open_changes.rationale IS 'Why.';
COMMENT ON COLUMN open_changes.raised_by IS 'Who drafted it.';
COMMENT ON COLUMN open_changes.proposed_by IS 'Who proposed it.';
COMMENT ON COLUMN open_changes.proposed_at IS 'When it was proposed.';
COMMENT ON COLUMN open_changes.effective_at IS 'From when it is to be in force; NULL: from its approval on.';
COMMENT ON COLUMN open_changes.retroactive_count IS '1 if it may be in force from before its approval, else 0.';
COMMENT ON COLUMN open_changes.definition_count IS 'How many definitions it touches.';
COMMENT ON COLUMN open_changes.signed IS 'For whom it is signed, and by whom.';
COMMENT ON COLUMN open_changes.waiting_for IS 'Whose signatures are missing.';

CREATE VIEW decided_changes AS
    SELECT c.change_id AS change_no, c.status, c.rationale, c.raised_by, c.proposed_by, c.proposed_at, c.decided_at, c.effective_at,
           nullif(c.effective_until, 'infinity') AS effective_until, CASE WHEN c.retroactive THEN 1 ELSE 0 END AS retroactive_count,
           (SELECT string_agg(concat(CASE s.verdict WHEN 'reject' THEN 'rejected: ' END, coalesce(s.party, 'council'), ' (', s.signed_by, ')', ': ' || nullif(s.note, '')), ', ' ORDER BY s.party)
            FROM revacct_data.signoff AS s WHERE s.change_id = c.change_id) AS signed
    FROM revacct_data.change AS c
    WHERE c.status NOT IN ('draft', 'proposed');
COMMENT ON VIEW decided_changes IS 'The changes that were approved, rejected or withdrawn, and what those who signed wrote beside.';
COMMENT ON COLUMN decided_changes.change_no IS 'The number of the change.';
COMMENT ON COLUMN decided_changes.status IS 'What became of it: approved, rejected or withdrawn.';
COMMENT ON COLUMN decided_changes.rationale IS 'Why it was drafted.';
COMMENT ON COLUMN decided_changes.raised_by IS 'Who drafted it.';
COMMENT ON COLUMN decided_changes.proposed_by IS 'Who proposed it; NULL: nobody did.';
COMMENT ON COLUMN decided_changes.proposed_at IS 'When it was proposed.';
COMMENT ON COLUMN decided_changes.decided_at IS 'When it was approved, rejected or withdrawn.';
COMMENT ON COLUMN decided_changes.effective_at IS 'From when it is in force, or was to be.';
COMMENT ON COLUMN decided_changes.effective_until IS 'Until when; NULL: for good.';
COMMENT ON COLUMN decided_changes.retroactive_count IS '1 if it is in force from before it was approved, else 0.';
COMMENT ON COLUMN decided_changes.signed IS 'For whom it was signed, by whom, and their notes.';

CREATE VIEW awaiting_my_signoff AS
    SELECT c.change_id AS change_no, coalesce(s.party, 'council') AS sign_for, c.rationale, c.proposed_by, c.proposed_at, c.effective_at,
           CASE WHEN c.retroactive THEN 1 ELSE 0 END AS retroactive_count
    FROM revacct_data.change AS c, revacct._signs_for(c.change_id) AS s
    WHERE c.status = 'proposed';
COMMENT ON VIEW awaiting_my_signoff IS 'The proposed changes that wait for the signature of who is logged in: approve(change_no) or reject(change_no, why). What they say: change_contents.';
COMMENT ON COLUMN awaiting_my_signoff.change_no IS 'The number of the change.';
COMMENT ON COLUMN awaiting_my_signoff.sign_for IS 'For which party you sign.';
COMMENT ON COLUMN awaiting_my_signoff.rationale IS 'Why.';
COMMENT ON COLUMN awaiting_my_signoff.proposed_by IS 'Who proposed it.';
COMMENT ON COLUMN awaiting_my_signoff.proposed_at IS 'When.';
COMMENT ON COLUMN awaiting_my_signoff.effective_at IS 'From when it is to be in force; NULL: from its approval on.';
COMMENT ON COLUMN awaiting_my_signoff.retroactive_count IS '1 if it may be in force from before its approval, else 0.';

CREATE VIEW change_contents AS
    SELECT v.change_id AS change_no, v.kind, v.key AS name,
           CASE WHEN v.action = 'retire' THEN 'retire' WHEN coalesce(former.action, 'retire') = 'retire' THEN 'define' ELSE 'amend' END AS action,
           was.meaning AS meaning_before, becomes.meaning AS meaning_after, was.terms AS terms_before, becomes.terms AS terms_after,
           CASE WHEN c.status IN ('draft', 'proposed') THEN
               (SELECT string_agg(format('version %s from %s', lv.version_no, to_char(lower(i.valid) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')), ', ' ORDER BY lower(i.valid))
                FROM revacct_data.validity AS i JOIN revacct_data.version AS lv USING (version_id)
                WHERE i.kind = v.kind AND i.key = v.key AND upper_inf(i.recorded) AND lower(i.valid) > coalesce(c.effective_at, statement_timestamp())
                  AND lower(i.valid) < coalesce(c.effective_until, 'infinity')) END AS replaced_later,
           c.status
    FROM revacct_data.version AS v JOIN revacct_data.change AS c USING (change_id)
         LEFT JOIN revacct_data.wording AS becomes USING (version_id)
         LEFT JOIN revacct_data.version AS former ON former.version_id = v.replaces
         LEFT JOIN revacct_data.wording AS was ON was.version_id = v.replaces;
COMMENT ON VIEW change_contents IS 'What each change says, definition by definition, beside what was in force when it was drafted.';
COMMENT ON COLUMN change_contents.change_no IS 'The number of the change.';
COMMENT ON COLUMN change_contents.kind IS 'What is defined.';
COMMENT ON COLUMN change_contents.name IS 'Its key.';
COMMENT ON COLUMN change_contents.action IS 'What happens to it: define, amend or retire.';
COMMENT ON COLUMN change_contents.meaning_before IS 'What it meant, as its authors wrote it.';
COMMENT ON COLUMN change_contents.meaning_after IS 'What it is to mean.';
COMMENT ON COLUMN change_contents.terms_before IS 'Its terms so far.';
COMMENT ON COLUMN change_contents.terms_after IS 'Its terms from then on.';
COMMENT ON COLUMN change_contents.status IS 'Where the change stands: draft, proposed, approved, rejected or withdrawn.';
COMMENT ON COLUMN change_contents.replaced_later IS 'Of an open change: the versions agreed already that begin later in its period, and would end, with their beginnings in UTC.';

CREATE VIEW model_history AS
    SELECT c.decided_at AS agreed_at, c.change_id AS change_no, k.kind, k.name, k.action, v.version_no, k.terms_before, k.terms_after, c.effective_at,
           nullif(c.effective_until, 'infinity') AS effective_until, CASE WHEN c.retroactive THEN 1 ELSE 0 END AS retroactive_count, c.rationale, c.raised_by, c.proposed_by,
           (SELECT string_agg(coalesce(s.party, 'council') || ' (' || s.signed_by || ')', ', ' ORDER BY s.party) FROM revacct_data.signoff AS s WHERE s.change_id = c.change_id) AS signed
    FROM revacct_data.change AS c JOIN revacct_data.version AS v USING (change_id) JOIN change_contents AS k ON k.change_no = v.change_id AND k.kind = v.kind AND k.name = v.key
    WHERE c.status = 'approved';
COMMENT ON VIEW model_history IS 'What changed in the model, and by whose agreement: one row for each definition that an approved change touched. What changed since a date: WHERE agreed_at >= it.';
COMMENT ON COLUMN model_history.agreed_at IS 'When the change was approved.';
COMMENT ON COLUMN model_history.change_no IS 'Its number.';
COMMENT ON COLUMN model_history.kind IS 'What was defined.';
COMMENT ON COLUMN model_history.name IS 'Its key.';
COMMENT ON COLUMN model_history.action IS 'What happened to it: define, amend or retire.';
COMMENT ON COLUMN model_history.version_no IS 'Which version it was from then on.';
COMMENT ON COLUMN model_history.terms_before IS 'Its terms before.';
COMMENT ON COLUMN model_history.terms_after IS 'Its terms after.';
COMMENT ON COLUMN model_history.effective_at IS 'From when it is in force.';
COMMENT ON COLUMN model_history.effective_until IS 'Until when; NULL: for good.';
COMMENT ON COLUMN model_history.retroactive_count IS '1 if that was before it was approved, else 0.';
COMMENT ON COLUMN model_history.rationale IS 'Why.';
COMMENT ON COLUMN model_history.raised_by IS 'Who drafted it.';
COMMENT ON COLUMN model_history.proposed_by IS 'Who proposed it.';
COMMENT ON COLUMN model_history.signed IS 'For whom it was signed, and by whom.';

CREATE VIEW ownership AS
    SELECT r.object_kind, r.object AS object_name, r.role, r.party, p.label AS party_label, p.kind AS party_kind, (r.share * 100)::numeric(9, 6) AS share_pct,
           r.weight::numeric(18, 6) AS weight, r.capacity, lower(i.valid) AS valid_from, upper(i.valid) AS valid_until, v.change_id AS change_no
    FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id) JOIN revacct_data.version AS v USING (version_id)
         JOIN revacct_data.party AS p USING (party)
    WHERE upper_inf(i.recorded) AND i.valid @> statement_timestamp();
COMMENT ON VIEW ownership IS 'Who is responsible for what now: owners, members, managers, approvers, pools, stewards.';
COMMENT ON COLUMN ownership.object_kind IS 'The kind of what it is for.';
COMMENT ON COLUMN ownership.object_name IS 'Its key.';
COMMENT ON COLUMN ownership.role IS 'As what: accountable, responsible, consulted, informed, steward, member, manager, approver or pool.';
COMMENT ON COLUMN ownership.party IS 'Who.';
COMMENT ON COLUMN ownership.party_label IS 'Its name.';
COMMENT ON COLUMN ownership.party_kind IS 'What it is: person, team, function, queue or external.';
COMMENT ON COLUMN ownership.share_pct IS 'The owner''s share, 0 to 100. Joint owners answer for the whole each: not to be summed over objects.';
COMMENT ON COLUMN ownership.weight IS 'The weight in a routing pool.';
COMMENT ON COLUMN ownership.capacity IS 'How much a member of a routing pool can have at a time.';
COMMENT ON COLUMN ownership.valid_from IS 'Since when.';
COMMENT ON COLUMN ownership.valid_until IS 'Until when, as far as it is known.';
COMMENT ON COLUMN ownership.change_no IS 'The change by which it was agreed.';

-- Which rows made a value

CREATE FUNCTION _lifecycle_name(lifecycle)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_definition_name'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _lifecycle_name(lifecycle) IS 'The name of a lifecycle.';

CREATE FUNCTION _calendar_name(business_calendar)
RETURNS text
AS 'MODULE_PATHNAME', 'revacct_calendar_name'
LANGUAGE C IMMUTABLE STRICT PARALLEL SAFE;
COMMENT ON FUNCTION _calendar_name(business_calendar) IS 'The name of a calendar; NULL for a union or an intersection, which has none.';

CREATE FUNCTION _sources(kind text, name text, model_at timestamptz, known_at timestamptz)
RETURNS TABLE (version_id bigint)
LANGUAGE SQL STABLE
BEGIN ATOMIC
    -- model_at NULL: at any time
    WITH RECURSIVE held AS (
        SELECT i.version_id, i.kind, i.key, v.successor
        FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
        WHERE (i.valid @> model_at OR model_at IS NULL) AND i.recorded @> coalesce(known_at, 'infinity')
    ), part (version_id, kind, key) AS (
        SELECT h.version_id, h.kind, h.key FROM held AS h, revacct._kin(h.kind, h.key) AS kin
        WHERE kin.object_kind = _sources.kind AND kin.object_key = revacct.object_key(_sources.name) AND h.kind <> 'transition' AND h.successor IS NULL
        UNION
        SELECT h.version_id, h.kind, h.key
        FROM part AS p
             LEFT JOIN revacct_data.reference AS r ON r.version_id = p.version_id AND r.kind = 'calendar'
             JOIN held AS h ON (h.kind = 'calendar' AND h.key = r.key) OR (p.kind = 'stage' AND h.kind = 'stage' AND h.successor = p.key)
    )
    SELECT DISTINCT p.version_id FROM part AS p;
END;
COMMENT ON FUNCTION _sources(text, text, timestamptz, timestamptz) IS 'The versions of which a definition is compiled.';

CREATE FUNCTION _explain(kind text, name text, fingerprint text)
RETURNS TABLE (kind_of_part text, part text, terms text, version_no int, change_no bigint, rationale text, valid_from timestamptz, valid_until timestamptz,
               agreed_at timestamptz, proposed_by text, signed text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    found_model timestamptz;
    found_known timestamptz;
    candidate record;
    is_it boolean := false;
BEGIN
    -- The times at which what it is compiled of begins to be in force, or on record: what is known now and came last first.
    FOR candidate IN
        WITH own AS (
            SELECT i.version_id, i.valid, i.recorded FROM revacct_data.validity AS i
            WHERE EXISTS (SELECT FROM _kin(i.kind, i.key) AS kin WHERE kin.object_kind = _explain.kind AND kin.object_key = object_key(name))
        ), part AS (
            SELECT o.valid, o.recorded FROM own AS o
            UNION ALL
            -- what it refers to, and the stages of a lifecycle whose marks it goes by
            SELECT i.valid, i.recorded
            FROM (SELECT DISTINCT r.kind, r.key FROM own AS o JOIN revacct_data.reference AS r USING (version_id) WHERE r.kind IN ('calendar', 'lifecycle')) AS r
                 JOIN revacct_data.validity AS i ON (i.kind = r.kind AND i.key = r.key) OR (i.kind = 'stage' AND r.kind = 'lifecycle' AND starts_with(i.key, r.key || '/'))
        )
        SELECT m.at AS model_at, k.at AS known_at
        FROM (SELECT NULL::timestamptz UNION SELECT lower(p.recorded) FROM part AS p) AS k (at)
             -- at the edges of what was on record then
             CROSS JOIN LATERAL (
                 SELECT NULL::timestamptz WHERE _explain.kind = 'policy'
                 UNION
                 SELECT edge.at FROM part AS p CROSS JOIN LATERAL (VALUES (lower(p.valid)), (upper(p.valid))) AS edge (at)
                 WHERE p.recorded @> coalesce(k.at, 'infinity') AND edge.at IS NOT NULL) AS m (at)
        ORDER BY k.at DESC NULLS FIRST, m.at DESC NULLS FIRST
    LOOP
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
            WHERE i.kind = _explain.kind AND i.key = object_key(name) AND v.action = 'define' AND i.recorded @> coalesce(candidate.known_at, 'infinity')
              AND (i.valid @> candidate.model_at OR candidate.model_at IS NULL));
        BEGIN
            is_it := fingerprint = CASE _explain.kind
                WHEN 'lifecycle' THEN fingerprint(_lifecycle(name, candidate.model_at, candidate.known_at))
                WHEN 'policy' THEN fingerprint(_sla(name, candidate.model_at, candidate.known_at))
                WHEN 'calendar' THEN fingerprint(_business_calendar(name, candidate.model_at, candidate.known_at)) END;
        EXCEPTION WHEN undefined_object OR invalid_parameter_value THEN
            is_it := false;  -- there was no such thing then
        END;
        IF is_it THEN
            found_model := candidate.model_at;
            found_known := candidate.known_at;
            EXIT;
        END IF;
    END LOOP;

    RETURN QUERY
        SELECT v.kind, v.key, w.terms, v.version_no, v.change_id, c.rationale, lower(i.valid), upper(i.valid), c.decided_at, c.proposed_by,
               (SELECT string_agg(coalesce(s.party, 'council') || ' (' || s.signed_by || ')', ', ' ORDER BY s.party) FROM revacct_data.signoff AS s WHERE s.change_id = c.change_id)
        FROM _sources(_explain.kind, name, found_model, found_known) AS o JOIN revacct_data.version AS v USING (version_id) JOIN revacct_data.change AS c USING (change_id)
             JOIN revacct_data.wording AS w USING (version_id)
             JOIN revacct_data.validity AS i ON i.version_id = v.version_id AND i.recorded @> coalesce(found_known, 'infinity') AND (i.valid @> found_model OR found_model IS NULL)
        WHERE is_it
        ORDER BY v.version_id, lower(i.valid);
END $$;
COMMENT ON FUNCTION _explain(text, text, text) IS 'What explain_definition() says. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION explain_definition(definition lifecycle)
RETURNS TABLE (kind text, name text, terms text, version_no int, change_no bigint, rationale text, valid_from timestamptz, valid_until timestamptz,
               agreed_at timestamptz, proposed_by text, signed text)
LANGUAGE SQL STABLE STRICT
BEGIN ATOMIC
    SELECT * FROM revacct._explain('lifecycle', revacct._lifecycle_name(definition), revacct.fingerprint(definition));
END;
COMMENT ON FUNCTION explain_definition(lifecycle) IS
'Which rows of the model a lifecycle was compiled of, and by which changes they were agreed; no rows if the model never gave it.';

CREATE FUNCTION explain_definition(definition sla)
RETURNS TABLE (kind text, name text, terms text, version_no int, change_no bigint, rationale text, valid_from timestamptz, valid_until timestamptz,
               agreed_at timestamptz, proposed_by text, signed text)
LANGUAGE SQL STABLE STRICT
BEGIN ATOMIC
    SELECT * FROM revacct._explain('policy', revacct.sla_name(definition), revacct.fingerprint(definition));
END;
COMMENT ON FUNCTION explain_definition(sla) IS
'Which rows of the model a SLA was compiled of, and by which changes they were agreed; no rows if the model never gave it.';

CREATE FUNCTION explain_definition(definition business_calendar)
RETURNS TABLE (kind text, name text, terms text, version_no int, change_no bigint, rationale text, valid_from timestamptz, valid_until timestamptz,
               agreed_at timestamptz, proposed_by text, signed text)
LANGUAGE SQL STABLE STRICT
BEGIN ATOMIC
    SELECT * FROM revacct._explain('calendar', revacct._calendar_name(definition), revacct.fingerprint(definition));
END;
COMMENT ON FUNCTION explain_definition(business_calendar) IS
'Which rows of the model a calendar was compiled of, and by which changes they were agreed; no rows if the model never gave it.';
