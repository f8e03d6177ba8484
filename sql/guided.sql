--
-- guided.sql: a first mapping for any table, written from its columns and a sample of its rows, and a dry run of a mapping.
--
-- What comes out is SQL to be read, altered and kept. Names and values of the table come into it as quoted identifiers and
-- literals, or in comments of one line. What cannot be told is said in comments.
--

CREATE FUNCTION _one_line(remark text)
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.regexp_replace(remark, E'[\\x01-\\x1f\\x7f]+', ' ', 'g');
COMMENT ON FUNCTION _one_line(text) IS 'A text without line breaks and other control characters: what is behind -- must not go on as SQL.';

CREATE FUNCTION _column_facts(relation regclass)
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
COMMENT ON FUNCTION _column_facts(regclass) IS
'The columns of a relation and what its first 10,000 rows hold in them, read with the rights of the caller. sort: time, number, text or other, also of texts that all look so. middle, first_value: by their text, times in UTC. future: how many are later than now.';

CREATE FUNCTION _columns_named(facts jsonb, sorts text[], VARIADIC patterns text[])
RETURNS text[]
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT coalesce(pg_catalog.array_agg(m.name ORDER BY m.pattern_no, m.column_no), '{}')
    FROM (SELECT f.name, f.column_no, pg_catalog.min(p.no) AS pattern_no
          FROM pg_catalog.jsonb_to_recordset(facts) AS f (column_no int, name text, plain_name text, sort text)
               JOIN pg_catalog.unnest(patterns) WITH ORDINALITY AS p (pattern, no) ON f.plain_name ~ ('^(' || p.pattern || ')$')
          WHERE f.sort = ANY (sorts) GROUP BY f.name, f.column_no) AS m;
END;
COMMENT ON FUNCTION _columns_named(jsonb, text[], text[]) IS 'The columns, of some sorts, whose whole names match one of the patterns, by pattern and place.';

CREATE FUNCTION _names_itself(stage text, column_name text)
RETURNS boolean
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
RETURN pg_catalog.length(stage) >= 3
       AND pg_catalog.strpos(pg_catalog.regexp_replace(pg_catalog.lower(column_name), '[^a-z0-9]', '', 'g'),
                             pg_catalog."left"(pg_catalog.regexp_replace(pg_catalog.lower(stage), '[^a-z0-9]', '', 'g'), 5)) = 1
       AND pg_catalog.regexp_replace(pg_catalog.lower(stage), '[^a-z0-9]', '', 'g') <> '';
COMMENT ON FUNCTION _names_itself(text, text) IS 'Whether the name of a column begins like that of a stage, as engage_date and Engaging.';

CREATE FUNCTION _is_within(inner_relation regclass, outer_relation regclass)
RETURNS boolean
LANGUAGE SQL STABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    WITH RECURSIVE part (relation) AS (
        SELECT outer_relation::oid
        UNION
        SELECT d.refobjid FROM part AS p JOIN pg_catalog.pg_rewrite AS w ON w.ev_class = p.relation
             JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    )
    SELECT EXISTS (SELECT FROM part AS p WHERE p.relation = inner_relation::oid);
END;
COMMENT ON FUNCTION _is_within(regclass, regclass) IS 'Whether one relation is the other, or is read by that view, however far down.';

CREATE FUNCTION _event_select(opens boolean, subject_kind text, parts jsonb)
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    -- the first of a UNION says of what types its columns are
    SELECT pg_catalog.format('SELECT %s FROM landed WHERE %s%s',
               pg_catalog.string_agg(coalesce(CASE c.name WHEN 'subject_kind' THEN pg_catalog.quote_literal(subject_kind) WHEN 'subject_key' THEN 'subject_key' ELSE parts ->> c.name END,
                                              'NULL' || CASE WHEN opens THEN '::' || c.type ELSE '' END), ', ' ORDER BY c.no),
               pg_catalog.concat_ws(' AND ', parts ->> 'where', (parts ->> 'dated') || ' IS NOT NULL'), coalesce(' GROUP BY ' || (parts ->> 'group'), ''))
    FROM (VALUES (1, 'subject_kind', 'text'), (2, 'subject_key', 'text'), (3, 'event', 'text'), (4, 'occurred_at', 'timestamptz'), (5, 'source_key', 'text'), (6, 'lifecycle', 'text'),
                 (7, 'stage', 'text'), (8, 'field', 'text'), (9, 'code', 'text'), (10, 'code_list', 'text'), (11, 'party', 'text'), (12, 'amount', 'numeric'), (13, 'currency', 'text'),
                 (14, 'details', 'jsonb')) AS c (no, name, type);
END;
COMMENT ON FUNCTION _event_select(boolean, text, jsonb) IS 'A SELECT of one kind of events from landed, with the expressions of parts, and NULL for the others.';

CREATE FUNCTION _first_of(names text[])
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
    SELECT CASE WHEN pg_catalog.count(*) > 1 THEN pg_catalog.format('coalesce(%s)', pg_catalog.string_agg(pg_catalog.quote_ident(n.name), ', ' ORDER BY n.no)) ELSE pg_catalog.min(pg_catalog.quote_ident(n.name)) END
    FROM pg_catalog.unnest(names) WITH ORDINALITY AS n (name, no);
END;
COMMENT ON FUNCTION _first_of(text[]) IS 'The first of some columns that is filled, as SQL.';

CREATE FUNCTION suggest_mapping(relation regclass, source text DEFAULT NULL, lifecycle text DEFAULT NULL, subject_kind text DEFAULT 'opportunity')
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
    ELSIF lower(key_column) NOT IN ('id', 'key', 'uuid', 'guid', 'external_id', 'record_id', 'number', 'no', 'code') THEN
        remarks := remarks || format('is %s, the primary key, that of the %s, or of something that happened to it? Then another column says to which.', key_column, subject_kind);
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
        events := events || jsonb_build_object('remark', 'the stages it went through; a row without time is set aside and told', 'event', '''stage_entered''', 'occurred_at', since, 'source_key', 'row_key || ''/stage''',
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
COMMENT ON FUNCTION suggest_mapping(regclass, text, text, text) IS
'Writes a first mapping of a table or view as SQL, a row for each line, from the names and types of its columns and its first 10,000 rows: a view of its events, the calls of map_source(), load() and refresh(), and, in comments, a draft of the lifecycle with the stages found. What it cannot tell is said in comments. Nothing is done: read it, alter it, run it, as in psql -XAtc "SELECT revacct.suggest_mapping(''crm.deals'')" > deals.sql. source: the name of the system; NULL: that of the table; further tables of one source are added to it. lifecycle: NULL: named like subject_kind. subject_kind: account, person, lead, opportunity, contract, project or case. Dates and times without a zone are taken as UTC, to be altered. Runs with the rights of the caller.
Errors: null_value_not_allowed (22004), invalid_parameter_value (22023), insufficient_privilege (42501).';

-- A dry run

CREATE FUNCTION _agreed_keys(kind text)
RETURNS text[]
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM _demand_access('{loader, analyst, steward, council}', 'check mappings');
    RETURN CASE kind
        WHEN 'event' THEN ARRAY(SELECT object_key(e) FROM unnest(_known_events() || '{retracted}') AS e UNION SELECT g.key FROM revacct_data.numbering AS g WHERE g.kind = 'event')
        WHEN 'party' THEN ARRAY(SELECT p.party FROM revacct_data.party AS p)
        -- retired ones are counted as their successors
        ELSE ARRAY(SELECT DISTINCT i.key FROM revacct_data.validity AS i JOIN revacct_data.version AS v USING (version_id)
                   WHERE i.kind = kind AND v.action = 'define' AND upper_inf(i.recorded)) END;
END $$;
COMMENT ON FUNCTION _agreed_keys(text) IS 'The keys of all stages or codes that are, were or will be in force, of all events that can be recorded, or of all parties. Runs with its owner''s rights: loaders have none on the tables.';

CREATE FUNCTION check_mapping(source text)
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
COMMENT ON FUNCTION check_mapping(text) IS
'Reads the mapped relations of a source, as load() would, records nothing, and tells what would be set aside or not be counted, a row for each problem: facts without what they need, one source_key for several, unknown kinds, times in the future, stages and codes that nobody has defined, parties that are not registered. row_count: how many rows; example: a source_key, or the commonest values. No row: nothing to say. Runs with the rights of the caller. For loaders, analysts, stewards and the council.
Errors: undefined_object (42704), undefined_table (42P01), undefined_column (42703), insufficient_privilege (42501).';
