--
-- salesforce.sql: Salesforce's tables, as connectors land them, read as facts.
--

CREATE FUNCTION map_salesforce(
    landed text, source text DEFAULT 'salesforce', views text DEFAULT 'public', lifecycle text DEFAULT 'opportunity',
    lead_lifecycle text DEFAULT 'lead', currency text DEFAULT NULL)
RETURNS TABLE (relation text, note text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    opportunities regclass := _landed_table(landed, 'opportunity');
    accounts regclass := _landed_table(landed, 'account');
    leads regclass := _landed_table(landed, 'lead');
    contacts regclass := _landed_table(landed, 'contact');
    users regclass := _landed_table(landed, 'user');
    queues regclass := _landed_table(landed, 'group');
    roles regclass := _landed_table(landed, 'opportunity_contact_role');
    stages regclass := _landed_table(landed, 'opportunity_stage');
    tasks regclass := _landed_table(landed, 'task');
    meetings regclass := _landed_table(landed, 'event');
    object record;              -- one of Salesforce's objects
    main regclass;              -- its table
    history regclass;           -- snapshots of it: OpportunityHistory, or the versions a connector keeps
    changes regclass;           -- its field history
    versions boolean;           -- history is what the connector kept
    fields text[];              -- what is read of the object
    kept text[];                -- which of these its history has
    tracked text[];             -- which of these its field history can have
    field text;
    moving boolean;             -- the only time of a row is one that edits move
    timed boolean;              -- rows have a time
    dated boolean;              -- the table says since when its stage holds
    by_industry boolean := _landed_column(opportunities, 'type') IS NULL AND _landed_column(opportunities, 'account_id') IS NOT NULL
                           AND _landed_column(accounts, 'industry') IS NOT NULL;
    stamp text := 'revacct._key_time(%s)';
    suffix text;
    value text;
    old_value text;
    place text;
    ctes text[];
    events text[] := '{}';
    links text[] := '{}';
    completed text;
    touching text;
    said text;
BEGIN
    IF opportunities IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_table',
            MESSAGE = format('schema "%s" has no table of opportunities', landed),
            DETAIL = 'Looked for "opportunity", in any spelling.',
            HINT = 'Name the schema in which the connector lands Salesforce''s objects.';
    END IF;

    -- Who: people by their e-mail address, which other systems know too; queues by their name.
    ctes := ARRAY[format('party AS (SELECT NULL::text AS id, NULL::text AS party WHERE false%s%s)',
        CASE WHEN users IS NOT NULL THEN format(' UNION ALL SELECT u.id, coalesce(lower(u.email), u.name) FROM (SELECT DISTINCT ON (1) %s FROM %s AS u ORDER BY 1, 4 DESC NULLS LAST, 2, 3) AS u',
            _landed_list(users, 'u', 'id key id', 'email text email', 'name text name', 'since instant _fivetran_start'), users) END,
        CASE WHEN queues IS NOT NULL THEN format(' UNION ALL SELECT g.id, g.name FROM (SELECT DISTINCT ON (1) %s FROM %s AS g ORDER BY 1, 3 DESC NULLS LAST, 2) AS g',
            _landed_list(queues, 'g', 'id key id', 'name text name developer_name', 'since instant _fivetran_start'), queues) END)];
    RETURN QUERY SELECT coalesce(users::text, 'user'), CASE WHEN users IS NULL THEN 'not found: owners and authors are named by their Ids'
        ELSE 'owners and authors are named by e-mail address in lower case, else by name, else by Id' END;

    FOR object IN
        SELECT *
        FROM (VALUES
            (1, 'opportunity', 'opportunity', opportunities, '{stage,amount,expected_close,owner,lead_source,segment}'::text[], 'stage_name', 'type', 'opportunity_field_history', lifecycle),
            (2, 'lead', 'lead', leads, '{stage,owner,lead_source,segment}', 'status', 'industry', 'lead_history', lead_lifecycle),
            (3, 'account', 'account', accounts, '{owner,segment}', NULL, 'industry', 'account_history', NULL),
            (4, 'person', 'contact', contacts, '{owner,lead_source}', NULL, NULL, 'contact_history', NULL))
            AS o (no, kind, name, main, fields, stage_column, segment_column, changes, lifecycle)
        ORDER BY o.no
    LOOP
        main := object.main;
        IF main IS NULL THEN
            relation := object.name;
            note := 'not found: known only by what links to it';
            RETURN NEXT;
            CONTINUE;
        END IF;
        moving := _landed_column(main, 'created_date') IS NULL;
        timed := _landed_column(main, 'created_date', 'last_modified_date', 'system_modstamp') IS NOT NULL;
        dated := CASE object.kind WHEN 'opportunity' THEN _landed_column(main, 'last_stage_change_date') IS NOT NULL
                                  WHEN 'lead' THEN _landed_column(main, 'converted_date') IS NOT NULL ELSE false END;
        SELECT coalesce(array_agg(f.name ORDER BY f.no), '{}') INTO fields
        FROM unnest(object.fields) WITH ORDINALITY AS f (name, no)
        WHERE (f.name = 'segment' AND object.kind = 'opportunity' AND by_industry)
           OR _landed_column(main, CASE f.name WHEN 'stage' THEN object.stage_column WHEN 'segment' THEN object.segment_column WHEN 'owner' THEN 'owner_id'
                                               WHEN 'expected_close' THEN 'close_date' ELSE f.name END) IS NOT NULL;

        -- Which history there is: Salesforce's own, or versions of the record, which a connector keeps in the table itself or beside it.
        history := _landed_table(landed, object.name || '_history');
        versions := _landed_column(history, '_fivetran_start') IS NOT NULL AND _landed_column(history, 'id') IS NOT NULL AND _landed_column(history, object.name || '_id', 'field') IS NULL;
        IF NOT versions AND (object.kind <> 'opportunity' OR _landed_column(history, 'opportunity_id') IS NULL OR _landed_column(history, 'created_date') IS NULL) THEN
            history := NULL;
        END IF;
        IF history IS NULL AND _landed_column(main, '_fivetran_start') IS NOT NULL THEN
            history := main;
            versions := true;
        END IF;
        SELECT coalesce(array_agg(f.name ORDER BY f.no), '{}') INTO kept
        FROM unnest(fields) WITH ORDINALITY AS f (name, no)
        WHERE (versions OR f.name IN ('stage', 'amount', 'expected_close')) AND NOT (f.name = 'segment' AND object.kind = 'opportunity' AND by_industry)
          AND _landed_column(history, CASE f.name WHEN 'stage' THEN object.stage_column WHEN 'segment' THEN object.segment_column WHEN 'owner' THEN 'owner_id'
                                                  WHEN 'expected_close' THEN 'close_date' ELSE f.name END) IS NOT NULL;
        changes := _landed_table(landed, object.changes);
        IF num_nulls(_landed_column(changes, object.name || '_id'), _landed_column(changes, 'field'), _landed_column(changes, 'old_value'), _landed_column(changes, 'new_value'),
                     _landed_column(changes, 'created_date')) > 0 THEN
            changes := NULL;
        END IF;
        tracked := CASE WHEN changes IS NULL THEN '{}' WHEN object.kind = 'opportunity' AND by_industry THEN array_remove(fields, 'segment') ELSE fields END;

        -- The object under names of ours.
        ctes := ctes || format('%I AS (SELECT r.id, r.created_at, coalesce(author.party, r.created_by_id) AS created_by, r.stage, %s AS stage_since, r.amount, %s AS currency, '
            'r.expected_close, coalesce(owner.party, r.owner_id) AS owner, r.lead_source, %s AS segment, %s AS has_history '
            'FROM (SELECT %s FROM %s AS r WHERE %s) AS r LEFT JOIN party AS owner ON owner.id = r.owner_id LEFT JOIN party AS author ON author.id = r.created_by_id%s%s)',
            object.kind,
            -- a conversion has a date only
            CASE WHEN dated AND object.kind = 'lead' THEN format('CASE WHEN %s THEN greatest(r.stage_since, r.created_at) END',
                CASE WHEN _landed_column(main, 'is_converted') IS NULL THEN 'r.stage_since IS NOT NULL' ELSE 'r.is_converted AND r.stage_since IS NOT NULL' END) ELSE 'r.stage_since' END,
            CASE WHEN object.kind = 'opportunity' AND currency IS NOT NULL THEN format('coalesce(r.currency, %L)', currency) ELSE 'r.currency' END,
            CASE WHEN object.kind = 'opportunity' AND by_industry THEN 'account_of.industry' ELSE 'r.segment' END,
            CASE WHEN kept <> '{}' THEN 'old.id IS NOT NULL' ELSE 'false' END,
            _landed_list(main, 'r', 'id key id', CASE WHEN moving THEN 'created_at instant last_modified_date system_modstamp' ELSE 'created_at instant created_date' END,
                'created_by_id text created_by_id', concat_ws(' ', 'stage text', object.stage_column), 'is_converted flag is_converted',
                CASE object.kind WHEN 'lead' THEN 'stage_since instant converted_date' ELSE 'stage_since instant last_stage_change_date' END, 'amount number amount',
                'currency text currency_iso_code', 'expected_close date close_date', 'owner_id text owner_id', 'lead_source text lead_source', concat_ws(' ', 'segment text', object.segment_column),
                'account_id text account_id'),
            main, _landed_live(main, 'r'),
            CASE WHEN object.kind = 'opportunity' AND by_industry THEN format(' LEFT JOIN (SELECT DISTINCT ON (1) %s FROM %s AS a WHERE %s ORDER BY 1, 2) AS account_of ON account_of.id = r.account_id',
                _landed_list(accounts, 'a', 'id key id', 'industry text industry'), accounts, _landed_live(accounts, 'a')) END,
            CASE WHEN kept <> '{}' THEN format(' LEFT JOIN (SELECT DISTINCT %s FROM %s AS h WHERE %s) AS old ON old.id = r.id',
                _landed_list(history, 'h', CASE WHEN versions THEN 'id key id' ELSE 'id key opportunity_id' END), history, _landed_live(history, 'h', versions)) END);
        -- What is dated by a time that moves is another event once it has moved.
        suffix := CASE WHEN moving THEN ' || ''/'' || ' || format(stamp, 'r.created_at') ELSE '' END;

        -- Each snapshot, with what the one before it said. Before a connector's first version nothing is known: what that says holds since the creation.
        IF kept <> '{}' THEN
            ctes := ctes || format('%I AS (SELECT s.*, row_number() OVER (PARTITION BY s.id, s.at ORDER BY s.key COLLATE "C") AS seq, %s AS said_at, %s FROM ('
                'SELECT r.id, r.created_at, h.at, %s AS key, coalesce(author.party, h.author_id) AS actor, h.stage, h.stage_since, h.amount, coalesce(h.currency, r.currency) AS currency, '
                'h.expected_close, coalesce(owner.party, h.owner_id) AS owner, h.lead_source, h.segment '
                'FROM (SELECT %s FROM %s AS h WHERE %s) AS h JOIN %I AS r ON r.id = h.id LEFT JOIN party AS owner ON owner.id = h.owner_id LEFT JOIN party AS author ON author.id = h.author_id'
                ') AS s WINDOW w AS (PARTITION BY s.id ORDER BY s.at, s.key COLLATE "C"))',
                object.kind || '_history',
                CASE WHEN versions THEN 'CASE WHEN row_number() OVER w = 1 THEN coalesce(s.created_at, s.at) ELSE s.at END' ELSE 's.at' END,
                (SELECT string_agg(format('lag(s.%1$I) OVER w AS %2$I', k, k || '_before'), ', ') FROM unnest(kept) AS k),
                CASE WHEN versions THEN 'h.id || ''/'' || ' || format(stamp, 'h.at') WHEN _landed_column(history, 'id') IS NOT NULL THEN 'h.history_id'
                     ELSE 'concat_ws(''/'', h.id, ' || format(stamp, 'h.at') || ', h.stage, trim_scale(h.amount), h.expected_close)' END,
                _landed_list(history, 'h', CASE WHEN versions THEN 'id key id' ELSE 'id key opportunity_id' END, 'history_id key id',
                    CASE WHEN versions THEN 'at instant _fivetran_start' ELSE 'at instant created_date' END,
                    -- the author of a version is who changed the record last
                    CASE WHEN versions THEN 'author_id text last_modified_by_id' ELSE 'author_id text created_by_id' END,
                    concat_ws(' ', 'stage text', object.stage_column), CASE WHEN versions THEN 'stage_since instant last_stage_change_date' ELSE 'stage_since instant' END,
                    'amount number amount', 'currency text currency_iso_code', 'expected_close date close_date', 'owner_id text owner_id', 'lead_source text lead_source',
                    concat_ws(' ', 'segment text', object.segment_column)),
                history, _landed_live(history, 'h', versions), object.kind);
        END IF;

        -- Each change. A change of owner is two rows, one with names and one with Ids: the one with Ids is read.
        IF tracked <> '{}' THEN
            ctes := ctes || format('%I AS (SELECT c.id, c.field, c.at, c.key, coalesce(author.party, c.author_id) AS actor, coalesce(before.party, c.old_value) AS old_value, '
                'coalesce(after.party, c.new_value) AS new_value, row_number() OVER (PARTITION BY c.id, c.field, c.at ORDER BY c.key COLLATE "C") AS seq '
                'FROM (SELECT t.*, bool_or(t.by_id) OVER (PARTITION BY t.id, t.field, t.at) AS has_id '
                'FROM (SELECT f.id, f.at, %s AS key, f.author_id, f.old_value, f.new_value, coalesce(f.new_value ~ ''^00[5G][0-9A-Za-z]{12}'', false) AS by_id, '
                'CASE lower(replace(f.field, ''_'', '''')) WHEN ''stagename'' THEN ''stage'' WHEN ''status'' THEN ''stage'' WHEN ''amount'' THEN ''amount'' WHEN ''closedate'' THEN ''expected_close'' '
                'WHEN ''owner'' THEN ''owner'' WHEN ''ownerid'' THEN ''owner'' WHEN ''leadsource'' THEN ''lead_source'' WHEN %L THEN ''segment'' END AS field '
                'FROM (SELECT %s FROM %s AS f WHERE %s) AS f JOIN %I AS r ON r.id = f.id) AS t WHERE t.field = ANY (%L::text[])) AS c '
                'LEFT JOIN party AS before ON before.id = c.old_value AND c.field = ''owner'' LEFT JOIN party AS after ON after.id = c.new_value AND c.field = ''owner'' '
                'LEFT JOIN party AS author ON author.id = c.author_id WHERE c.field <> ''owner'' OR c.by_id OR NOT c.has_id)',
                object.kind || '_change',
                CASE WHEN _landed_column(changes, 'id') IS NOT NULL THEN 'f.change_id' ELSE 'concat_ws(''/'', f.id, f.field, ' || format(stamp, 'f.at') || ', f.new_value)' END,
                object.segment_column,
                _landed_list(changes, 'f', format('id key %s_id', object.name), 'change_id key id', 'field text field', 'at instant created_date', 'author_id text created_by_id',
                    'old_value text old_value', 'new_value text new_value'),
                changes, _landed_live(changes, 'f'), object.kind, tracked);
            ctes := ctes || format('%I AS (SELECT DISTINCT ON (c.id, c.field) c.id, c.field, c.old_value FROM %I AS c ORDER BY c.id, c.field, c.at, c.seq)',
                object.kind || '_first', object.kind || '_change');
        END IF;

        IF timed THEN
            events := events || _event_rows(format('FROM %I AS r', object.kind), quote_literal(object.kind), 'r.id', quote_literal('created'), 'r.created_at',
                format('%L || r.id || ''/created''%s', object.name || '/', suffix), actor => 'r.created_by');
        END IF;
        FOREACH field IN ARRAY fields LOOP
            IF field = ANY (kept) THEN
                events := events || _value_rows(
                    format('FROM %I AS h WHERE h.%I IS DISTINCT FROM h.%I%s', object.kind || '_history', field, field || '_before',
                        CASE WHEN field IN ('amount', 'expected_close') THEN '' ELSE format(' AND h.%I IS NOT NULL', field) END),
                    object.kind, 'h.id', CASE WHEN versions AND field = 'stage' THEN 'coalesce(h.stage_since, h.said_at)' ELSE 'h.said_at' END,
                    format('%L || h.key || %L', object.name || '_history/', '/' || field), field, 'h.' || field, object.lifecycle, 'h.amount',
                    CASE field WHEN 'amount' THEN 'h.currency' ELSE 'CASE WHEN h.amount IS NOT NULL THEN h.currency END' END, 'h.actor', 'h.seq');
            END IF;
            value := CASE field WHEN 'amount' THEN 'revacct._landed_number(%s)' WHEN 'expected_close' THEN '(revacct._landed_instant(%s) AT TIME ZONE ''UTC'')::date' ELSE '%s' END;
            old_value := format(value, 'first.old_value');
            value := format(value, 'c.new_value');
            IF field = ANY (tracked) THEN
                events := events || _value_rows(
                    format('FROM %I AS c JOIN %I AS r ON r.id = c.id WHERE c.field = %L%s%s', object.kind || '_change', object.kind, field,
                        CASE WHEN field IN ('amount', 'expected_close') THEN '' ELSE ' AND c.new_value IS NOT NULL' END, CASE WHEN field = ANY (kept) THEN ' AND NOT r.has_history' END),
                    object.kind, 'c.id', 'c.at', format('%L || c.key || %L', object.changes || '/', '/' || field), field, value, object.lifecycle, 'NULL',
                    CASE field WHEN 'amount' THEN 'r.currency' ELSE 'NULL' END, 'c.actor', 'c.seq');
                value := format('CASE WHEN first.id IS NULL THEN r.%I ELSE %s END', field, old_value);
                place := 'CASE WHEN first.id IS NULL THEN r.stage_since END';
            ELSE
                value := format('r.%I', field);
                place := 'r.stage_since';
            END IF;
            -- What no history has: what the table says now holds since the creation, or what was there before the first change does.
            IF timed THEN
                events := events || _value_rows(
                    format('FROM %I AS r%s WHERE %s IS NOT NULL%s', object.kind,
                        CASE WHEN field = ANY (tracked) THEN format(' LEFT JOIN %I AS first ON first.id = r.id AND first.field = %L', object.kind || '_first', field) END, value,
                        CASE WHEN field = ANY (kept) THEN ' AND NOT r.has_history' END),
                    object.kind, 'r.id', CASE WHEN field = 'stage' AND dated THEN format('coalesce(%s, r.created_at)', place) ELSE 'r.created_at' END,
                    format('%L || r.id || %L || %s', object.name || '/', '/' || field || '/',
                        CASE field WHEN 'amount' THEN format('trim_scale(%s)::text', value) WHEN 'expected_close' THEN format('to_char(%s, ''YYYY-MM-DD'')', value) ELSE value END)
                        || CASE WHEN field = 'stage' AND dated THEN format(' || coalesce(''/'' || %s, '''')', format(stamp, format('nullif(%s, r.created_at)', place))) ELSE '' END || suffix,
                    field, value, object.lifecycle, 'NULL', CASE field WHEN 'amount' THEN 'r.currency' ELSE 'NULL' END, seq => '1');
            END IF;
        END LOOP;

        -- What was found, and what is not known.
        RETURN QUERY SELECT main::text, concat_ws('; ', format('read: created, %s', array_to_string(fields, ', ')),
            CASE WHEN _landed_live(main, 'r') <> 'true' THEN 'deleted rows are left out; what was loaded before they were deleted stays in the ledger until it is retracted' END,
            CASE WHEN NOT timed THEN 'it has no time: known only by history and links'
                 WHEN moving THEN 'it has no created_date: a row counts as created when it was last changed, and again once it is edited' END,
            CASE WHEN object.kind = 'opportunity' AND by_industry THEN 'the segment is the industry of the account, as there is no type' WHEN NOT 'segment' = ANY (fields) THEN NULL
                 WHEN object.kind = 'opportunity' THEN 'the segment is the type' ELSE 'the segment is the industry' END,
            CASE WHEN object.kind = 'opportunity' AND _landed_column(main, 'currency_iso_code') IS NULL
                 THEN coalesce('amounts are in ' || currency, 'no currency_iso_code: name the currency of amounts as currency') END,
            (SELECT format('text in %s is read as ISO 8601 or month/day/year, in UTC if it names no zone', string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum))
             FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
             WHERE a.attrelid = main AND a.attnum > 0 AND NOT a.attisdropped AND t.typcategory = 'S'
               AND quote_ident(a.attname) IN (_landed_column(main, 'created_date'), CASE WHEN moving THEN _landed_column(main, 'last_modified_date', 'system_modstamp') END,
                   _landed_column(main, 'close_date'), _landed_column(main, 'converted_date'), _landed_column(main, 'last_stage_change_date')) HAVING count(*) > 0));
        IF kept <> '{}' THEN
            RETURN QUERY SELECT history::text, CASE WHEN versions
                THEN format('read: %s, as they change between the versions of a record that the connector keeps; what the first version says holds since the creation%s', array_to_string(kept, ', '),
                    CASE WHEN 'stage' = ANY (kept) AND _landed_column(history, 'last_stage_change_date') IS NOT NULL THEN '; the stage is dated by last_stage_change_date' ELSE '' END)
                ELSE format('read: %s, as they change from row to row; an opportunity without rows is read from its table, rows without an opportunity are left out', array_to_string(kept, ', ')) END;
        END IF;
        IF tracked <> '{}' THEN
            RETURN QUERY SELECT changes::text, format('read: changes of %s, as far as Salesforce was told to track them', array_to_string(ARRAY(SELECT f FROM unnest(tracked) AS f WHERE NOT f = ANY (kept)), ', '));
        END IF;
        IF object.kind IN ('opportunity', 'lead') AND NOT fields <@ (kept || tracked) THEN
            relation := CASE WHEN object.kind = 'opportunity' AND NOT 'stage' = ANY (kept || tracked) THEN 'opportunity_history' ELSE object.changes END;
            note := format('not found: of %s only the present value is known; it counts from the creation%s, and a later change as one more value from then: land it to know when',
                array_to_string(ARRAY(SELECT f FROM unnest(fields) AS f WHERE NOT f = ANY (kept || tracked)), ', '),
                CASE WHEN 'stage' = ANY (kept || tracked) OR NOT dated THEN '' WHEN object.kind = 'lead' THEN ' (the status of a converted lead: from the day of converted_date)'
                     ELSE ' (the stage: from last_stage_change_date)' END);
            RETURN NEXT;
        END IF;
    END LOOP;

    -- An activity belongs to one subject: the opportunity, else the lead or contact, else the case or account. Ids tell what they are of by how they begin.
    place := 'CASE WHEN a.what_id LIKE ''006%%'' THEN ''opportunity'' WHEN a.who_id LIKE ''00Q%%'' THEN ''lead'' WHEN a.who_id LIKE ''003%%'' THEN ''person'' '
        'WHEN a.what_id LIKE ''500%%'' THEN ''case'' WHEN coalesce(a.what_id, a.account_id) LIKE ''001%%'' THEN ''account'' END AS kind, '
        'CASE WHEN a.what_id LIKE ''006%%'' THEN a.what_id WHEN a.who_id LIKE ''00Q%%'' OR a.who_id LIKE ''003%%'' THEN a.who_id ELSE coalesce(a.what_id, a.account_id) END AS subject, '
        'coalesce(actor.party, a.owner_id) AS actor FROM (SELECT %s FROM %s AS t WHERE %s) AS a LEFT JOIN party AS actor ON actor.id = a.owner_id';
    IF tasks IS NOT NULL THEN
        completed := CASE WHEN _landed_column(tasks, 'is_closed') IS NOT NULL THEN _landed_value(tasks, 't', 'flag', 'is_closed')
                          ELSE format('lower(%s) = ''completed''', _landed_value(tasks, 't', 'text', 'status')) END;
        -- A completed to-do is no touch: the task must say that it was a call, a mail or the like.
        touching := CASE WHEN _landed_column(tasks, 'task_subtype', 'type') IS NOT NULL THEN format(' AND lower(concat_ws('' '', %s, %s)) ~ ''(^| )(call|e-?mail|meeting|demo|linkedin|sms|text|chat|letter)''',
            _landed_value(tasks, 't', 'text', 'task_subtype'), _landed_value(tasks, 't', 'text', 'type')) ELSE '' END;
        ctes := ctes || format('task AS (SELECT a.id, coalesce(a.completed_at, greatest(a.created_at, a.due_at)) AS at, CASE lower(a.call_type) WHEN ''inbound'' THEN ''touch_in'' ELSE ''touch_out'' END AS event, %s)',
            format(place, _landed_list(tasks, 't', 'id key id', 'what_id text what_id', 'who_id text who_id', 'account_id text account_id', 'owner_id text owner_id', 'call_type text call_type',
                'completed_at instant completed_date_time', 'created_at instant created_date', 'due_at instant activity_date'), tasks,
                format('%s AND %s%s AND %s IS NOT TRUE', _landed_live(tasks, 't'), completed, touching, _landed_value(tasks, 't', 'flag', 'is_recurrence'))));
        events := events || _event_rows('FROM task AS a WHERE a.kind IS NOT NULL', 'a.kind', 'a.subject', 'a.event', 'a.at',
            format('''task/'' || a.id || ''/'' || a.subject || coalesce(''/'' || %s, '''')', format(stamp, 'a.at')), actor => 'a.actor');
        RETURN QUERY SELECT tasks::text, concat_ws('; ', CASE WHEN touching = '' THEN 'every completed task is a touch, as neither task_subtype nor type is there'
            ELSE 'completed calls, mails, meetings and messages (by task_subtype and type) are touches, other tasks are not' END,
            'inbound if call_type says so, else outbound', CASE WHEN _landed_column(tasks, 'completed_date_time') IS NULL THEN 'dated by the later of creation and due date, as there is no completed_date_time' END,
            'of the opportunity, else the lead or contact, else the case or account');
    END IF;
    IF meetings IS NOT NULL THEN
        ctes := ctes || format('meeting AS (SELECT a.id, a.created_at, coalesce(a.starts_at, a.on_day) AS starts_at, coalesce(a.ends_at, a.starts_at, a.on_day) AS ends_at, %s)',
            format(place, _landed_list(meetings, 't', 'id key id', 'what_id text what_id', 'who_id text who_id', 'account_id text account_id', 'owner_id text owner_id', 'created_at instant created_date',
                'starts_at instant start_date_time activity_date_time', 'ends_at instant end_date_time', 'on_day instant activity_date'), meetings,
                format('%s AND %s IS NOT TRUE AND %s IS NOT TRUE', _landed_live(meetings, 't'), _landed_value(meetings, 't', 'flag', 'is_child'), _landed_value(meetings, 't', 'flag', 'is_recurrence'))));
        events := events || _event_rows('FROM meeting AS a WHERE a.kind IS NOT NULL AND a.created_at <= a.starts_at', 'a.kind', 'a.subject', quote_literal('meeting_set'), 'a.created_at',
            '''event/'' || a.id || ''/'' || a.subject || ''/meeting_set''', actor => 'a.actor');
        events := events || _event_rows('FROM meeting AS a WHERE a.kind IS NOT NULL AND a.ends_at <= now()', 'a.kind', 'a.subject', quote_literal('meeting_held'), 'a.starts_at',
            format('''event/'' || a.id || ''/'' || a.subject || ''/meeting_held/'' || %s', format(stamp, 'a.starts_at')), actor => 'a.actor');
        RETURN QUERY SELECT meetings::text, 'meetings: set when the row was created, unless that was after they began; held when they began, once they are over, as Salesforce does not say who stayed away; subjects as of tasks'::text;
    END IF;

    -- What belongs to what. A key of its own for what may be changed: what was said before ends.
    links := ARRAY[format('SELECT ''opportunity''::text AS from_kind, r.id AS from_key, ''account''::text AS to_kind, r.account_id AS to_key, ''account''::text AS role, NULL::timestamptz AS valid_from, '
        '''opportunity/'' || r.id || ''/account'' AS source_key FROM (SELECT %s FROM %s AS r WHERE %s) AS r WHERE r.account_id IS NOT NULL',
        _landed_list(opportunities, 'r', 'id key id', 'account_id text account_id'), opportunities, _landed_live(opportunities, 'r'))];
    IF contacts IS NOT NULL THEN
        links := links || format('SELECT ''person'', r.id, ''account'', r.account_id, ''account'', NULL, ''contact/'' || r.id || ''/account'' FROM (SELECT %s FROM %s AS r WHERE %s) AS r WHERE r.account_id IS NOT NULL',
            _landed_list(contacts, 'r', 'id key id', 'account_id text account_id'), contacts, _landed_live(contacts, 'r'));
    END IF;
    IF leads IS NOT NULL THEN
        links := links || format('SELECT ''lead'', r.id, became.kind, became.id, ''originated'', NULL, ''lead/'' || r.id || ''/'' || became.kind FROM (SELECT %s FROM %s AS r WHERE %s) AS r '
            'CROSS JOIN LATERAL (VALUES (''opportunity'', r.opportunity_id), (''account'', r.account_id), (''person'', r.contact_id)) AS became (kind, id) WHERE became.id IS NOT NULL',
            _landed_list(leads, 'r', 'id key id', 'opportunity_id text converted_opportunity_id', 'account_id text converted_account_id', 'contact_id text converted_contact_id'), leads, _landed_live(leads, 'r'));
    END IF;
    IF num_nulls(_landed_column(roles, 'opportunity_id'), _landed_column(roles, 'contact_id')) = 0 THEN
        links := links || format('SELECT DISTINCT ON (r.opportunity_id, r.contact_id) ''opportunity'', r.opportunity_id, ''person'', r.contact_id, ''contact_role'', r.created_at, '
            '''opportunity_contact_role/'' || r.opportunity_id || ''/'' || r.contact_id FROM (SELECT %s FROM %s AS r WHERE %s) AS r WHERE r.opportunity_id IS NOT NULL AND r.contact_id IS NOT NULL '
            'ORDER BY r.opportunity_id, r.contact_id, r.created_at', _landed_list(roles, 'r', 'opportunity_id text opportunity_id', 'contact_id text contact_id', 'created_at instant created_date'),
            roles, _landed_live(roles, 'r'));
        RETURN QUERY SELECT roles::text, 'links an opportunity to its people, from when the role was given'::text;
    ELSE
        RETURN QUERY SELECT 'opportunity_contact_role'::text, 'not found: no opportunity is linked to its people'::text;
    END IF;

    EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS WITH %s %s', views, source || '_events', array_to_string(ctes, ', '), array_to_string(events, ' UNION ALL '));
    EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS (%s)', views, source || '_links', array_to_string(links, ') UNION ALL ('));
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, source || '_events',
        format('What happened, by Salesforce''s tables in schema %I, one row an event, for load(). Made by map_salesforce(): alter it and keep it; another call replaces it.', landed));
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, source || '_links',
        format('What belongs to what, by Salesforce''s tables in schema %I, one row a link, for load(). Made by map_salesforce(): alter it and keep it; another call replaces it.', landed));
    PERFORM map_source(source, events => format('%I.%I', views, source || '_events')::regclass, links => format('%I.%I', views, source || '_links')::regclass);
    RETURN QUERY SELECT format('%I.%I', views, source || v.name), 'the mapping, to be looked at and altered'::text FROM unnest('{_events,_links}'::text[]) AS v (name);

    -- What the lifecycle of opportunities is made of.
    IF _landed_column(stages, 'master_label', 'api_name') IS NOT NULL THEN
        EXECUTE format('SELECT concat_ws(''; '', string_agg(s.name, '', '' ORDER BY s.place, s.name), ''won: '' || string_agg(s.name, '', '' ORDER BY s.place, s.name) FILTER (WHERE s.won), '
            '''lost: '' || string_agg(s.name, '', '' ORDER BY s.place, s.name) FILTER (WHERE s.closed AND s.won IS NOT TRUE)) FROM (SELECT %s FROM %s AS s WHERE %s) AS s WHERE s.active IS NOT FALSE',
            _landed_list(stages, 's', 'name text master_label api_name', 'place number sort_order', 'won flag is_won', 'closed flag is_closed', 'active flag is_active'), stages, _landed_live(stages, 's')) INTO said;
        RETURN QUERY SELECT stages::text, format('stages of a lifecycle to define as %I: %s', lifecycle, said);
    END IF;
END;
$$;
COMMENT ON FUNCTION map_salesforce(text, text, text, text, text, text) IS
'Maps Salesforce''s objects, as a connector landed them in schema landed, to the facts of a source: makes the views <source>_events and <source>_links in schema views, gives them to map_source(), and says what was found, what was not, and what that means. lifecycle, lead_lifecycle: what the stages of opportunities and the statuses of leads are stages of. currency: the ISO code of amounts that name none.
Errors: undefined_table (42P01), insufficient_privilege (42501).';
