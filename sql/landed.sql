--
-- landed.sql: tables as connectors land them: found and read whatever their spelling and types.
--
-- What cannot be read becomes NULL, so that a row is set aside rather than a load broken off.
--

CREATE FUNCTION _landed_table(landed text, VARIADIC names text[])
RETURNS regclass
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT c.oid::regclass
    FROM pg_catalog.unnest(names) WITH ORDINALITY AS wanted (name, no)
         JOIN pg_catalog.pg_class AS c ON pg_catalog.replace(pg_catalog.lower(c.relname), '_', '') = pg_catalog.replace(pg_catalog.lower(wanted.name), '_', '')
         JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = landed AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    ORDER BY wanted.no, c.relname COLLATE "C" LIMIT 1;
END;
COMMENT ON FUNCTION _landed_table(text, text[]) IS 'The first relation of a schema that has one of these names, whatever its case and underscores; NULL: none.';

CREATE FUNCTION _landed_column(relation regclass, VARIADIC names text[])
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT pg_catalog.quote_ident(a.attname)
    FROM pg_catalog.unnest(names) WITH ORDINALITY AS wanted (name, no)
         JOIN pg_catalog.pg_attribute AS a
              ON pg_catalog.replace(pg_catalog.regexp_replace(pg_catalog.lower(a.attname), '__c$', ''), '_', '') = pg_catalog.replace(pg_catalog.lower(wanted.name), '_', '')
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY wanted.no, a.attnum LIMIT 1;
END;
COMMENT ON FUNCTION _landed_column(regclass, text[]) IS 'The first column of a relation that has one of these names, whatever its case and underscores and a __c at its end, quoted; NULL: none.';

CREATE FUNCTION _text_as_instant(value text)
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
COMMENT ON FUNCTION _text_as_instant(text) IS
'A landed text as an instant: ISO 8601, or month/day/year with two or four digits of the year and a time of 12 or 24 hours. Without a zone it is UTC, a date is its midnight. NULL if it is neither.';

CREATE FUNCTION _landed_instant(value text)
RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Inlined into the views: what nearly all connectors write is cast at once, the rest is looked at.
    SELECT CASE WHEN value ~ E'^[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])[ T]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?(Z|[+-]0\\d:?00)$' THEN value::timestamptz
                WHEN value ~ E'^[12]\\d{3}-(0[1-9]|1[0-2])-(0[1-9]|1\\d|2[0-8])([ T]([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d+)?)?$' THEN pg_catalog.timezone('UTC', value::timestamp)
                ELSE revacct._text_as_instant(value) END;
END;
COMMENT ON FUNCTION _landed_instant(text) IS 'The same as _text_as_instant(), fast where the text is in ISO form.';

CREATE FUNCTION _landed_time(value text)
RETURNS timestamptz
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    -- Inlined into the views. 12 or 13 digits are milliseconds since 1970.
    SELECT CASE WHEN value ~ E'^\\d{12,13}$' THEN timestamptz '1970-01-01 00:00:00+00' + value::pg_catalog.int8 * interval '1 millisecond' ELSE revacct._landed_instant(value) END;
END;
COMMENT ON FUNCTION _landed_time(text) IS 'A time that was landed as text: as _landed_instant() reads it, or milliseconds since 1970. NULL: it is neither.';

CREATE FUNCTION _landed_number(value text)
RETURNS numeric
LANGUAGE SQL IMMUTABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT CASE WHEN value ~ E'^\\s*[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d{1,3})?\\s*$' THEN value::numeric END;
END;
COMMENT ON FUNCTION _landed_number(text) IS 'A number that was landed as text. NULL: it is none.';

CREATE FUNCTION _key_time(at timestamptz)
RETURNS text
LANGUAGE SQL STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT pg_catalog.to_char(pg_catalog.timezone('UTC', at), 'YYYY-MM-DD HH24:MI:SS.US');
END;
COMMENT ON FUNCTION _key_time(timestamptz) IS 'A time as part of a source key: the same text whatever the settings.';

CREATE FUNCTION _landed_expression(relation regclass, as_type text, VARIADIC names text[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    found constant text := _landed_column(relation, VARIADIC names);
    landed constant text := (SELECT a.atttypid::regtype::text FROM pg_attribute AS a WHERE a.attrelid = relation AND quote_ident(a.attname) = found AND NOT a.attisdropped);
BEGIN
    IF found IS NULL THEN
        RETURN format('NULL::%s', CASE as_type WHEN 'key' THEN 'text' ELSE as_type END);
    END IF;
    RETURN CASE
        -- as it is: so the planner knows how often each comes
        WHEN as_type = 'key' THEN format('t.%s::text', found)
        -- An empty text is what a connector makes of nothing.
        WHEN as_type = 'text' AND landed NOT IN ('text', 'character varying', 'character') THEN format('t.%s::text', found)
        WHEN as_type = 'text' THEN format('nullif(t.%s::text, '''')', found)
        WHEN as_type = landed THEN format('t.%s', found)
        WHEN as_type = 'timestamptz' AND landed = 'timestamp with time zone' THEN format('t.%s', found)
        WHEN as_type = 'timestamptz' AND landed IN ('timestamp without time zone', 'date') THEN format('timezone(''UTC'', t.%s::timestamp)', found)
        WHEN as_type = 'timestamptz' THEN format('_landed_time(t.%s::text)', found)
        WHEN as_type = 'numeric' AND landed IN ('bigint', 'integer', 'smallint', 'double precision', 'real') THEN format('t.%s::numeric', found)
        WHEN as_type = 'numeric' THEN format('_landed_number(t.%s::text)', found)
        WHEN as_type = 'boolean' THEN format('lower(t.%s::text) IN (''true'', ''t'', ''1'', ''yes'')', found) END;
END $$;
COMMENT ON FUNCTION _landed_expression(regclass, text, text[]) IS
'The expression, of a row t of a landed relation, for its first column with one of these names, as key (text, never empty), text (NULL where it is empty), numeric, boolean or timestamptz (UTC where the column has no zone). NULL of that type where there is no such column.';

CREATE FUNCTION _landed_rows(name text, relation regclass, VARIADIC columns text[])
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
COMMENT ON FUNCTION _landed_rows(text, regclass, text[]) IS
'The CTE that reads a landed relation under our names. columns: each ''our_name type: names, it, may, have'', as _landed_expression() reads it. relation NULL: a CTE without rows.';

CREATE FUNCTION _event_rows(
    rows text, subject_kind text, subject_key text, event text, occurred_at text, source_key text, lifecycle text DEFAULT 'NULL', stage text DEFAULT 'NULL',
    field text DEFAULT 'NULL', code text DEFAULT 'NULL', code_list text DEFAULT 'NULL', party text DEFAULT 'NULL', actor text DEFAULT 'NULL', amount text DEFAULT 'NULL',
    currency text DEFAULT 'NULL', seq text DEFAULT 'NULL', details text DEFAULT 'NULL')
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT format(E'SELECT CAST(%s AS text) AS subject_kind, CAST(%s AS text) AS subject_key, CAST(%s AS text) AS event, CAST(%s AS timestamptz) AS occurred_at,\n'
                  '       CAST(%s AS text) AS source_key, CAST(%s AS text) AS lifecycle, CAST(%s AS text) AS stage, CAST(%s AS text) AS field, CAST(%s AS text) AS code,\n'
                  '       CAST(%s AS text) AS code_list, CAST(%s AS text) AS party, CAST(%s AS text) AS actor, CAST(%s AS numeric) AS amount, CAST(%s AS text) AS currency,\n'
                  '       CAST(%s AS bigint) AS seq, CAST(%s AS jsonb) AS details\n%s',
                  subject_kind, subject_key, event, occurred_at, source_key, lifecycle, stage, field, code, code_list, party, actor, amount, currency, seq, details, rows);
END;
COMMENT ON FUNCTION _event_rows(text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text, text) IS
'One branch of an events view: the columns as expressions of rows, which is all from FROM on.';

CREATE FUNCTION _link_rows(rows text, from_kind text, from_key text, to_kind text, to_key text, role text)
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT format(E'SELECT CAST(%s AS text) AS from_kind, CAST(%s AS text) AS from_key, CAST(%s AS text) AS to_kind, CAST(%s AS text) AS to_key, CAST(%s AS text) AS role\n%s',
                  from_kind, from_key, to_kind, to_key, role, rows);
END;
COMMENT ON FUNCTION _link_rows(text, text, text, text, text, text) IS 'One branch of a links view: the columns as expressions of rows, which is all from FROM on.';

CREATE FUNCTION _make_mapping_view(views text, name text, tables text[], branches text[], combine text, meaning text)
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
COMMENT ON FUNCTION _make_mapping_view(text, text, text[], text[], text, text) IS 'Makes or replaces a mapping view of its CTEs and branches. combine: UNION ALL, or UNION.';

CREATE FUNCTION _main_table(landed text, what text, VARIADIC names text[])
RETURNS regclass
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    found constant regclass := _landed_table(landed, VARIADIC names);
BEGIN
    IF found IS NULL THEN
        RAISE EXCEPTION 'schema "%" has no table of %', landed, what
            USING ERRCODE = 'undefined_table', DETAIL = format('A table or view named %s was looked for, in any spelling.', array_to_string(names, ' or ')),
                  HINT = 'Name the schema into which the connector writes.';
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION _main_table(text, text, text[]) IS 'The landed table without which there is nothing to read. Errors: undefined_table (42P01).';

CREATE FUNCTION _demand_column(relation regclass, VARIADIC names text[])
RETURNS void
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    IF relation IS NOT NULL AND _landed_column(relation, VARIADIC names) IS NULL THEN
        RAISE EXCEPTION 'table % has no column %', relation, array_to_string(names, ' or ')
            USING ERRCODE = 'undefined_column', DETAIL = 'The column was looked for in any spelling.', HINT = 'Put a view with that column in its place, under the same name.';
    END IF;
END $$;
COMMENT ON FUNCTION _demand_column(regclass, text[]) IS 'Refuses a landed table without a column that is its key. Errors: undefined_column (42703).';

CREATE FUNCTION _landed_value(relation regclass, alias text, kind text, VARIADIC names text[])
RETURNS text
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    the_column text := _landed_column(relation, VARIADIC names);
    full_name text;
    landed_as regtype;
    sort "char";
    result regtype := CASE kind WHEN 'instant' THEN 'timestamptz' WHEN 'date' THEN 'date' WHEN 'number' THEN 'numeric' WHEN 'flag' THEN 'boolean' ELSE 'text' END;
BEGIN
    IF the_column IS NULL THEN
        RETURN format('NULL::%s', result);
    END IF;
    SELECT t.oid, t.typcategory INTO landed_as, sort
    FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
    WHERE a.attrelid = relation AND quote_ident(a.attname) = the_column AND a.attnum > 0;
    full_name := format('%I.%s', alias, the_column);
    IF landed_as IN ('json', 'jsonb') THEN
        -- Names that are translated: the language they were written in.
        IF kind = 'label' THEN
            RETURN format('coalesce(%1$s::jsonb ->> ''en_US'', (SELECT a_name.value FROM jsonb_each_text(%1$s::jsonb) AS a_name ORDER BY a_name.key LIMIT 1))', full_name);
        END IF;
        full_name := format('(%s #>> ''{}'')', full_name);
        sort := 'S';
    END IF;
    RETURN CASE
        -- as it is, so that the planner knows how often each comes
        WHEN kind = 'key' THEN format('%s::text', full_name)
        WHEN kind = 'instant' AND landed_as = 'timestamptz'::regtype THEN full_name
        WHEN kind = 'instant' AND sort = 'D' THEN format('(%s::timestamp AT TIME ZONE ''UTC'')', full_name)
        WHEN kind = 'instant' THEN format('revacct._landed_instant(%s::text)', full_name)
        WHEN kind = 'date' AND landed_as = 'date'::regtype THEN full_name
        WHEN kind = 'date' AND landed_as = 'timestamptz'::regtype THEN format('(%s AT TIME ZONE ''UTC'')::date', full_name)
        WHEN kind = 'date' AND sort = 'D' THEN format('%s::date', full_name)
        WHEN kind = 'date' THEN format('(revacct._landed_instant(%s::text) AT TIME ZONE ''UTC'')::date', full_name)
        WHEN kind = 'number' AND landed_as = 'numeric'::regtype THEN full_name
        WHEN kind = 'number' AND sort = 'N' THEN format('%s::numeric', full_name)
        WHEN kind = 'number' THEN format('revacct._landed_number(%s::text)', full_name)
        WHEN kind = 'flag' AND sort = 'B' THEN full_name
        WHEN kind = 'flag' THEN format('(lower(%s::text) IN (''true'', ''t'', ''1'', ''yes'', ''y''))', full_name)
        WHEN kind = 'label' AND sort = 'S'
            THEN format('CASE WHEN %1$s LIKE ''{"%%'' THEN %1$s::jsonb ->> ''en_US'' ELSE nullif(%1$s::text, '''') END', full_name)
        WHEN sort = 'S' THEN format('nullif(%s::text, '''')', full_name)
        ELSE format('%s::text', full_name) END;
END;
$$;
COMMENT ON FUNCTION _landed_value(regclass, text, text, text[]) IS
'SQL that reads the first column of a relation that has one of these names, as key (text that is never empty), text, label (a name that may be translated), instant, date, number or flag, whatever type it was landed with; NULL of that type if there is none.';

CREATE FUNCTION _landed_list(relation regclass, alias text, VARIADIC specs text[])
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT string_agg(format('%s AS %I', _landed_value(relation, alias, split_part(spec, ' ', 2), VARIADIC (string_to_array(spec, ' '))[3:]), split_part(spec, ' ', 1)), ', ' ORDER BY no)
    FROM unnest(specs) WITH ORDINALITY AS s (spec, no);
END;
COMMENT ON FUNCTION _landed_list(regclass, text, text[]) IS
'A list for SELECT that reads a landed relation under names of ours. A spec is our name, a kind of _landed_value(), and the names the column may have, as in: expected_close date close_date.';

CREATE FUNCTION _landed_live(relation regclass, alias text, versions boolean DEFAULT false)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT coalesce(string_agg(
        CASE mark.kind WHEN 'instant' THEN format('%I.%s IS NULL', alias, _landed_column(relation, mark.name))
             WHEN 'active' THEN format('%s IS NOT FALSE', _landed_value(relation, alias, 'flag', mark.name))
             ELSE format('%s IS NOT TRUE', _landed_value(relation, alias, 'flag', mark.name)) END, ' AND ' ORDER BY mark.name), 'true')
    FROM (VALUES ('is_deleted', 'flag'), ('_fivetran_deleted', 'flag'), ('_fivetran_active', 'active'), ('_ab_cdc_deleted_at', 'instant'), ('_sdc_deleted_at', 'instant')) AS mark (name, kind)
    WHERE _landed_column(relation, mark.name) IS NOT NULL AND NOT (versions AND mark.kind = 'active');
END;
COMMENT ON FUNCTION _landed_live(regclass, text, boolean) IS
'SQL that is true of the rows of a landed relation that are not deleted, by the marks of the system and of the connector. versions: past versions of a row count too.';

CREATE FUNCTION _value_rows(
    rows text, subject_kind text, subject_key text, occurred_at text, source_key text, field text, value text, lifecycle text DEFAULT NULL, amount text DEFAULT 'NULL',
    currency text DEFAULT 'NULL', actor text DEFAULT 'NULL', seq text DEFAULT 'NULL')
RETURNS text
LANGUAGE SQL IMMUTABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT _event_rows(rows, quote_literal(subject_kind), subject_key,
        quote_literal(CASE field WHEN 'stage' THEN 'stage_entered' WHEN 'owner' THEN 'assigned' ELSE 'field_set' END), occurred_at, source_key,
        lifecycle => CASE field WHEN 'stage' THEN quote_literal(lifecycle) ELSE 'NULL' END,
        stage => CASE field WHEN 'stage' THEN value ELSE 'NULL' END,
        field => CASE WHEN field IN ('stage', 'owner') THEN 'NULL' ELSE quote_literal(field) END,
        code => CASE WHEN field IN ('stage', 'owner', 'amount', 'expected_close') THEN 'NULL' ELSE value END,
        party => CASE field WHEN 'owner' THEN value ELSE 'NULL' END,
        actor => actor,
        amount => CASE field WHEN 'amount' THEN value WHEN 'stage' THEN amount ELSE 'NULL' END,
        currency => CASE WHEN field IN ('amount', 'stage') THEN currency ELSE 'NULL' END,
        seq => seq,
        details => CASE field WHEN 'expected_close' THEN format('jsonb_build_object(''value'', %s)', value) ELSE 'NULL' END);
END;
COMMENT ON FUNCTION _value_rows(text, text, text, text, text, text, text, text, text, text, text, text) IS
'One branch of an events view, which says that a field (stage, owner, amount, expected_close, or a coded one) has a value. subject_kind, field and lifecycle are names, the rest is SQL.';
