--
-- odoo.sql: Odoo's CRM tables, as they stand in its database or are landed from it, read as facts.
--
-- Odoo keeps a lead and the opportunity it becomes in one row, and what is lost in the stage where it was lost, put out of sight. Its history
-- is in the messages on the record: one for each change of the fields that are tracked. All its times are UTC without saying so.
--

CREATE FUNCTION map_odoo(
    landed text, source text DEFAULT 'odoo', views text DEFAULT 'public', lifecycle text DEFAULT 'opportunity', currency text DEFAULT NULL)
RETURNS TABLE (relation text, note text)
LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    leads regclass := _landed_table(landed, 'crm_lead');
    stages regclass := _landed_table(landed, 'crm_stage');
    reasons regclass := _landed_table(landed, 'crm_lost_reason');
    origins regclass := _landed_table(landed, 'utm_source');
    teams regclass := _landed_table(landed, 'crm_team');
    users regclass := _landed_table(landed, 'res_users');
    partners regclass := _landed_table(landed, 'res_partner');
    companies regclass := _landed_table(landed, 'res_company');
    currencies regclass := _landed_table(landed, 'res_currency');
    messages regclass := _landed_table(landed, 'mail_message');
    trackings regclass := _landed_table(landed, 'mail_tracking_value');
    model_fields regclass := _landed_table(landed, 'ir_model_fields');
    meetings regclass := _landed_table(landed, 'calendar_event');
    with_messages boolean := num_nulls(_landed_column(messages, 'id'), _landed_column(messages, 'model'), _landed_column(messages, 'res_id'), _landed_column(messages, 'date')) = 0;
    by_name boolean;            -- a tracked field is known by its name, not by a number
    with_tracking boolean;
    with_currency boolean;
    fields text[];
    subject text;
    field text;
    value text;
    since text;
    the_key text;
    ctes text[];
    events text[] := '{}';
    links text[] := '{}';
    said text;
    looked record;
BEGIN
    IF leads IS NULL THEN
        RAISE EXCEPTION USING
            ERRCODE = 'undefined_table',
            MESSAGE = format('schema "%s" has no table of leads and opportunities', landed),
            DETAIL = 'Looked for "crm_lead", in any spelling.',
            HINT = 'Name the schema in which Odoo''s tables stand.';
    END IF;
    SELECT a.atttypid IN ('text'::regtype, 'varchar'::regtype) INTO by_name
    FROM pg_attribute AS a WHERE a.attrelid = trackings AND quote_ident(a.attname) = _landed_column(trackings, 'field_id', 'field') AND a.attnum > 0;
    with_tracking := with_messages AND _landed_column(trackings, 'mail_message_id') IS NOT NULL AND by_name IS NOT NULL
                     AND (by_name OR num_nulls(_landed_column(model_fields, 'id'), _landed_column(model_fields, 'name')) = 0);
    with_currency := num_nulls(_landed_column(leads, 'company_id'), _landed_column(companies, 'currency_id'), _landed_column(currencies, 'name')) = 0;
    SELECT array_agg(f.name ORDER BY f.no) INTO fields
    FROM (VALUES (1, 'stage', 'stage_id', true), (2, 'amount', 'expected_revenue planned_revenue', true), (3, 'expected_close', 'date_deadline', true), (4, 'owner', 'user_id', true),
                 (5, 'lead_source', 'source_id', origins IS NOT NULL), (6, 'segment', 'team_id', teams IS NOT NULL)) AS f (no, name, columns, is_readable)
    WHERE f.is_readable AND _landed_column(leads, VARIADIC string_to_array(f.columns, ' ')) IS NOT NULL;

    ctes := ARRAY[
        -- Who: users by their login. A message is by a partner, who may be a user's.
        format('party AS (SELECT u.id, u.partner_id, u.is_outsider, coalesce(lower(u.login), lower(p.email), p.name) AS party FROM (SELECT %s%s) AS u LEFT JOIN (SELECT %s%s) AS p ON p.id = u.partner_id)',
            _landed_list(users, 'u', 'id key id', 'partner_id text partner_id', 'login text login', 'is_outsider flag share'), CASE WHEN users IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS u', users) END,
            _landed_list(partners, 'p', 'id key id', 'email text email', 'name text name'), CASE WHEN partners IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS p', partners) END),
        'author AS (SELECT DISTINCT ON (p.partner_id) p.partner_id, p.party, p.is_outsider FROM party AS p WHERE p.partner_id IS NOT NULL ORDER BY p.partner_id, p.is_outsider NULLS FIRST, p.id)',
        -- What the numbers in other tables mean, by their names.
        format('name AS (SELECT ''stage'' AS field, s.id, s.name FROM (SELECT %s%s) AS s UNION ALL SELECT ''loss'', l.id, l.name FROM (SELECT %s%s) AS l '
               'UNION ALL SELECT ''lead_source'', o.id, o.name FROM (SELECT %s%s) AS o UNION ALL SELECT ''segment'', t.id, t.name FROM (SELECT %s%s) AS t UNION ALL SELECT ''owner'', p.id, p.party FROM party AS p)',
            _landed_list(stages, 's', 'id key id', 'name label name'), CASE WHEN stages IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS s', stages) END,
            _landed_list(reasons, 'l', 'id key id', 'name label name'), CASE WHEN reasons IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS l', reasons) END,
            _landed_list(origins, 'o', 'id key id', 'name label name'), CASE WHEN origins IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS o', origins) END,
            _landed_list(teams, 't', 'id key id', 'name label name'), CASE WHEN teams IS NULL THEN ' WHERE false' ELSE format(' FROM %s AS t', teams) END),
        format('record AS (SELECT r.id, coalesce(r.type, ''opportunity'') AS type, r.created_at, r.converted_at, coalesce(creator.party, r.creator_id) AS created_by, '
               'coalesce(stage.name, r.stage_id) AS stage, r.stage_since, r.amount, %s AS currency, r.expected_close, coalesce(owner.party, r.owner_id) AS owner, r.owner_since, '
               'origin.name AS lead_source, team.name AS segment, loss.name AS loss, coalesce(r.closed_at, r.stage_since, r.converted_at, r.created_at) AS lost_at, '
               'r.active IS FALSE AND (coalesce(r.probability, 0) = 0 OR r.loss_id IS NOT NULL) AS is_lost '
               'FROM (SELECT %s FROM %s AS r WHERE %s) AS r LEFT JOIN party AS creator ON creator.id = r.creator_id LEFT JOIN party AS owner ON owner.id = r.owner_id '
               'LEFT JOIN name AS stage ON stage.field = ''stage'' AND stage.id = r.stage_id LEFT JOIN name AS origin ON origin.field = ''lead_source'' AND origin.id = r.source_id '
               'LEFT JOIN name AS team ON team.field = ''segment'' AND team.id = r.team_id LEFT JOIN name AS loss ON loss.field = ''loss'' AND loss.id = r.loss_id%s)',
            CASE WHEN with_currency THEN format('coalesce(money.currency, %L)', currency) ELSE coalesce(quote_literal(currency), 'NULL::text') END,
            _landed_list(leads, 'r', 'id key id', 'type text type', 'created_at instant create_date', 'converted_at instant date_conversion', 'creator_id text create_uid', 'stage_id text stage_id',
                'stage_since instant date_last_stage_update', 'amount number expected_revenue planned_revenue', 'expected_close date date_deadline', 'owner_id text user_id', 'owner_since instant date_open',
                'source_id text source_id', 'team_id text team_id', 'loss_id text lost_reason_id lost_reason', 'closed_at instant date_closed', 'active flag active', 'probability number probability',
                'company_id text company_id'),
            leads, _landed_live(leads, 'r'),
            CASE WHEN with_currency THEN format(' LEFT JOIN (SELECT c.id, m.name AS currency FROM (SELECT %s FROM %s AS c) AS c JOIN (SELECT %s FROM %s AS m) AS m ON m.id = c.currency_id) AS money ON money.id = r.company_id',
                _landed_list(companies, 'c', 'id key id', 'currency_id text currency_id'), companies, _landed_list(currencies, 'm', 'id key id', 'name text name'), currencies) END),
        -- A row that was converted was a lead until then, and is an opportunity since.
        'subject AS (SELECT ''opportunity'' AS kind, r.*, coalesce(r.converted_at, r.created_at) AS born_at, NULL::timestamptz AS until FROM record AS r WHERE r.type <> ''lead'' UNION ALL '
        'SELECT ''lead'' AS kind, r.*, r.created_at AS born_at, CASE WHEN r.type <> ''lead'' THEN r.converted_at END AS until FROM record AS r WHERE r.type = ''lead'' OR r.converted_at IS NOT NULL)'];
    IF with_tracking THEN
        ctes := ctes || ARRAY[
            -- All changes since the subject is, those of the opportunity a lead became too: the first tells what was before.
            format('change AS (SELECT s.kind, t.id, t.field, t.at, t.key, coalesce(author.party, t.author_id) AS actor, s.until IS NULL OR t.at < s.until AS is_within, '
                'row_number() OVER (PARTITION BY s.kind, t.id, t.at ORDER BY t.no) AS seq, coalesce(old.name, t.old_value) AS old_value, coalesce(new.name, t.new_value) AS new_value, t.old_amount, t.new_amount '
                'FROM (SELECT m.res_id AS id, m.at, c.key, c.no, m.author_id, c.field, nullif(c.old_id, ''0'') AS old_id, nullif(c.new_id, ''0'') AS new_id, '
                'CASE c.field WHEN ''active'' THEN c.old_id WHEN ''expected_close'' THEN to_char(c.old_day, ''YYYY-MM-DD'') ELSE c.old_char END AS old_value, '
                'CASE c.field WHEN ''active'' THEN c.new_id WHEN ''expected_close'' THEN to_char(c.new_day, ''YYYY-MM-DD'') ELSE c.new_char END AS new_value, c.old_amount, c.new_amount '
                'FROM (SELECT %s FROM %s AS m WHERE %s) AS m JOIN (SELECT t.*, CASE t.name WHEN ''stage_id'' THEN ''stage'' WHEN ''expected_revenue'' THEN ''amount'' WHEN ''planned_revenue'' THEN ''amount'' '
                'WHEN ''date_deadline'' THEN ''expected_close'' WHEN ''user_id'' THEN ''owner'' WHEN ''source_id'' THEN ''lead_source'' WHEN ''team_id'' THEN ''segment'' WHEN ''active'' THEN ''active'' '
                'WHEN ''lost_reason_id'' THEN ''loss'' WHEN ''lost_reason'' THEN ''loss'' END AS field FROM (%s) AS t) AS c ON c.message_id = m.id WHERE m.model = ''crm.lead'' AND c.field IS NOT NULL) AS t '
                'JOIN subject AS s ON s.id = t.id AND (s.kind = ''lead'' OR s.converted_at IS NULL OR t.at >= s.converted_at) LEFT JOIN author ON author.partner_id = t.author_id '
                'LEFT JOIN name AS old ON old.field = t.field AND old.id = t.old_id LEFT JOIN name AS new ON new.field = t.field AND new.id = t.new_id)',
                _landed_list(messages, 'm', 'id key id', 'model text model', 'res_id key res_id', 'at instant date', 'author_id text author_id'), messages, _landed_live(messages, 'm'),
                format(CASE WHEN by_name THEN 'SELECT t.field_key AS name, t.* FROM (SELECT %s FROM %s AS t WHERE %s) AS t'
                            ELSE 'SELECT f.name, t.* FROM (SELECT %s FROM %s AS t WHERE %s) AS t JOIN (SELECT %s FROM %s AS f) AS f ON f.id = t.field_key' END,
                    _landed_list(trackings, 't', 'key key id', 'no number id', 'message_id key mail_message_id', 'field_key text field_id field', 'old_id text old_value_integer', 'new_id text new_value_integer',
                        'old_char text old_value_char', 'new_char text new_value_char', 'old_day date old_value_datetime', 'new_day date new_value_datetime',
                        CASE WHEN _landed_column(trackings, 'new_value_monetary') IS NULL THEN 'old_amount number old_value_float' ELSE 'old_amount number old_value_monetary' END,
                        CASE WHEN _landed_column(trackings, 'new_value_monetary') IS NULL THEN 'new_amount number new_value_float' ELSE 'new_amount number new_value_monetary' END),
                    trackings, _landed_live(trackings, 't'), _landed_list(model_fields, 'f', 'id key id', 'name text name'), model_fields)),
            'first AS (SELECT DISTINCT ON (c.kind, c.id, c.field) c.kind, c.id, c.field, c.old_value, c.old_amount FROM change AS c ORDER BY c.kind, c.id, c.field, c.at, c.seq)'];
    END IF;

    FOREACH subject IN ARRAY '{opportunity,lead}'::text[] LOOP
        events := events || _event_rows(format('FROM subject AS r WHERE r.kind = %L', subject), quote_literal(subject), 'r.id', quote_literal('created'), 'r.born_at',
            format('%L || r.id || ''/created''', subject || '/'), actor => 'r.created_by');
        FOREACH field IN ARRAY fields LOOP
            CONTINUE WHEN subject = 'lead' AND field NOT IN ('owner', 'lead_source', 'segment');
            -- the row says since when it has its stage and its owner
            since := CASE WHEN field = 'stage' AND _landed_column(leads, 'date_last_stage_update') IS NOT NULL THEN 'greatest(r.stage_since, r.born_at)'
                          WHEN field = 'owner' AND _landed_column(leads, 'date_open') IS NOT NULL THEN 'greatest(r.owner_since, r.born_at)' END;
            value := format('r.%I', field);
            IF with_tracking THEN
                events := events || _value_rows(
                    format('FROM change AS c JOIN record AS r ON r.id = c.id WHERE c.kind = %L AND c.field = %L AND c.is_within%s', subject, field,
                        CASE WHEN field IN ('amount', 'expected_close') THEN '' ELSE ' AND c.new_value IS NOT NULL' END),
                    subject, 'c.id', 'c.at', format('%L || c.key || %L', 'mail_tracking_value/', '/' || field), field,
                    CASE field WHEN 'amount' THEN 'c.new_amount' WHEN 'expected_close' THEN 'c.new_value::date' ELSE 'c.new_value' END, lifecycle, 'NULL',
                    CASE field WHEN 'amount' THEN 'r.currency' ELSE 'NULL' END, 'c.actor', 'c.seq');
                value := format('CASE WHEN first.id IS NULL THEN r.%I ELSE %s END', field,
                    CASE field WHEN 'amount' THEN 'first.old_amount' WHEN 'expected_close' THEN 'first.old_value::date' ELSE 'first.old_value' END);
                since := 'CASE WHEN first.id IS NULL THEN ' || since || ' END';
            END IF;
            the_key := CASE field WHEN 'amount' THEN format('trim_scale(%s)::text', value) WHEN 'expected_close' THEN format('to_char(%s, ''YYYY-MM-DD'')', value) ELSE value END;
            events := events || _value_rows(
                format('FROM subject AS r%s WHERE r.kind = %L AND %s IS NOT NULL', CASE WHEN with_tracking THEN format(' LEFT JOIN first ON first.kind = r.kind AND first.id = r.id AND first.field = %L', field) END,
                    subject, value),
                subject, 'r.id', CASE WHEN since IS NULL THEN 'r.born_at' ELSE format('coalesce(%s, r.born_at)', since) END,
                format('%L || r.id || %L || %s', subject || '/', '/' || field || '/', the_key) || CASE WHEN since IS NULL THEN '' ELSE format(' || coalesce(''/'' || revacct._key_time(nullif(%s, r.born_at)), '''')', since) END,
                field, value, lifecycle, 'NULL', CASE field WHEN 'amount' THEN 'r.currency' ELSE 'NULL' END, seq => '0');
        END LOOP;

        -- Lost: the row is put out of sight, its stage stays. Found again: it is where it was.
        IF with_tracking THEN
            IF subject = 'opportunity' THEN
                ctes := ctes || ARRAY[
                    'step AS (SELECT c.*, count(*) FILTER (WHERE c.field = ''stage'') OVER (PARTITION BY c.id ORDER BY c.at, c.seq) AS stage_no FROM change AS c WHERE c.kind = ''opportunity'' AND c.field IN (''stage'', ''active''))',
                    'sight AS (SELECT s.id, s.field, s.at, s.key, s.actor, s.seq, s.new_value, coalesce(max(s.new_value) FILTER (WHERE s.field = ''stage'') OVER (PARTITION BY s.id, s.stage_no), '
                    'CASE WHEN s.stage_no = 0 THEN CASE WHEN first.id IS NULL THEN r.stage ELSE first.old_value END END) AS stage '
                    'FROM step AS s JOIN record AS r ON r.id = s.id LEFT JOIN first ON first.kind = ''opportunity'' AND first.id = s.id AND first.field = ''stage'')'];
                events := events || _value_rows('FROM sight AS s WHERE s.field = ''active'' AND (s.new_value = ''0'' OR s.stage IS NOT NULL)', 'opportunity', 's.id', 's.at',
                    '''mail_tracking_value/'' || s.key || ''/stage''', 'stage', 'CASE s.new_value WHEN ''0'' THEN ''Lost'' ELSE s.stage END', lifecycle, actor => 's.actor', seq => 's.seq');
            END IF;
            events := events || _event_rows(format('FROM change AS c WHERE c.kind = %L AND c.field = ''active'' AND c.is_within AND c.new_value = ''1''', subject), quote_literal(subject), 'c.id',
                quote_literal('reopened'), 'c.at', '''mail_tracking_value/'' || c.key || ''/reopened''', actor => 'c.actor', seq => 'c.seq');
            events := events || _event_rows(format('FROM change AS c WHERE c.kind = %L AND c.field = ''loss'' AND c.is_within AND c.new_value IS NOT NULL', subject), quote_literal(subject), 'c.id',
                quote_literal('disposition_set'), 'c.at', '''mail_tracking_value/'' || c.key || ''/loss_reason''', code => 'c.new_value', code_list => quote_literal('loss_reason'), actor => 'c.actor', seq => 'c.seq');
        END IF;
        said := format('FROM subject AS r WHERE r.kind = %L AND r.is_lost AND r.until IS NULL', subject);
        IF subject = 'opportunity' THEN
            events := events || _value_rows(said || CASE WHEN with_tracking THEN ' AND NOT EXISTS (SELECT FROM first WHERE first.kind = r.kind AND first.id = r.id AND first.field = ''active'')' ELSE '' END,
                'opportunity', 'r.id', 'r.lost_at', '''opportunity/'' || r.id || ''/lost/'' || revacct._key_time(r.lost_at)', 'stage', quote_literal('Lost'), lifecycle, seq => '1');
        END IF;
        events := events || _event_rows(said || ' AND r.loss IS NOT NULL' || CASE WHEN with_tracking THEN ' AND NOT EXISTS (SELECT FROM first WHERE first.kind = r.kind AND first.id = r.id AND first.field = ''loss'')' ELSE '' END,
            quote_literal(subject), 'r.id', quote_literal('disposition_set'), 'r.lost_at', format('%L || r.id || ''/loss_reason/'' || r.loss || ''/'' || revacct._key_time(r.lost_at)', subject || '/'),
            code => 'r.loss', code_list => quote_literal('loss_reason'), seq => '1');
    END LOOP;

    -- What was written to and fro. Notes among colleagues are no touches.
    IF with_messages AND _landed_column(messages, 'message_type') IS NOT NULL THEN
        events := events || _event_rows(
            format('FROM (SELECT %s FROM %s AS m WHERE %s) AS m JOIN subject AS s ON s.id = m.res_id AND (s.until IS NULL OR m.at < s.until) AND (s.kind = ''lead'' OR s.converted_at IS NULL OR m.at >= s.converted_at) '
                'LEFT JOIN author ON author.partner_id = m.author_id AND author.is_outsider IS NOT TRUE '
                'WHERE m.model = ''crm.lead'' AND m.type IN (%s) AND m.is_internal IS NOT TRUE',
                _landed_list(messages, 'm', 'id key id', 'model text model', 'res_id key res_id', 'at instant date', 'author_id text author_id', 'type text message_type', 'is_internal flag is_internal'),
                messages, _landed_live(messages, 'm'),
                CASE WHEN _landed_column(messages, 'is_internal') IS NULL THEN '''email'', ''email_outgoing'', ''sms'', ''whatsapp_message''' ELSE '''comment'', ''email'', ''email_outgoing'', ''sms'', ''whatsapp_message''' END),
            's.kind', 's.id', 'CASE WHEN author.partner_id IS NULL THEN ''touch_in'' ELSE ''touch_out'' END', 'm.at', '''mail_message/'' || m.id', actor => 'author.party');
    END IF;
    IF num_nulls(_landed_column(meetings, 'opportunity_id'), _landed_column(meetings, 'start', 'start_datetime')) = 0 THEN
        ctes := ctes || format('meeting AS (SELECT m.*, coalesce(host.party, m.user_id) AS host, s.kind FROM (SELECT %s FROM %s AS m WHERE %s) AS m '
            'JOIN subject AS s ON s.id = m.lead_id AND (s.until IS NULL OR m.created_at < s.until) AND (s.kind = ''lead'' OR s.converted_at IS NULL OR m.created_at >= s.converted_at) '
            'LEFT JOIN party AS host ON host.id = m.user_id WHERE m.active IS NOT FALSE)',
            _landed_list(meetings, 'm', 'id key id', 'lead_id text opportunity_id', 'created_at instant create_date', 'starts_at instant start start_datetime', 'ends_at instant stop stop_datetime',
                'user_id text user_id', 'active flag active'), meetings, _landed_live(meetings, 'm'));
        events := events || _event_rows('FROM meeting AS m WHERE m.created_at <= m.starts_at', 'm.kind', 'm.lead_id', quote_literal('meeting_set'), 'm.created_at',
            '''calendar_event/'' || m.id || ''/meeting_set''', actor => 'm.host');
        -- a moved meeting is another event
        events := events || _event_rows('FROM meeting AS m WHERE coalesce(m.ends_at, m.starts_at) <= now()', 'm.kind', 'm.lead_id', quote_literal('meeting_held'), 'm.starts_at',
            '''calendar_event/'' || m.id || ''/meeting_held/'' || revacct._key_time(m.starts_at)', actor => 'm.host');
    END IF;

    -- What belongs to what: a partner that is a company is an account, any other a person.
    links := ARRAY[format('SELECT ''lead''::text AS from_kind, r.id AS from_key, ''opportunity''::text AS to_kind, r.id AS to_key, ''originated''::text AS role, r.converted_at AS valid_from, ''lead/'' || r.id || ''/opportunity'' AS source_key '
        'FROM (SELECT %s FROM %s AS r WHERE %s) AS r WHERE r.converted_at IS NOT NULL AND r.type IS DISTINCT FROM ''lead''',
        _landed_list(leads, 'r', 'id key id', 'type text type', 'converted_at instant date_conversion'), leads, _landed_live(leads, 'r'))];
    IF partners IS NOT NULL AND _landed_column(leads, 'partner_id') IS NOT NULL THEN
        said := format('(SELECT p.id, p.is_company, coalesce(c.id, CASE WHEN p.is_company THEN p.id END) AS company_id FROM (SELECT %1$s FROM %2$s AS p) AS p LEFT JOIN (SELECT %1$s FROM %2$s AS p) AS c ON c.id = p.company_id AND c.is_company)',
            _landed_list(partners, 'p', 'id key id', 'is_company flag is_company', 'company_id text commercial_partner_id parent_id'), partners);
        value := format('(SELECT %s FROM %s AS r WHERE %s)', _landed_list(leads, 'r', 'id key id', 'type text type', 'partner_id text partner_id'), leads, _landed_live(leads, 'r'));
        links := links || ARRAY[
            format('SELECT ''opportunity'', r.id, ''account'', p.company_id, ''account'', NULL, ''opportunity/'' || r.id || ''/account'' FROM %s AS r JOIN %s AS p ON p.id = r.partner_id WHERE r.type IS DISTINCT FROM ''lead'' AND p.company_id IS NOT NULL',
                value, said),
            format('SELECT ''opportunity'', r.id, ''person'', p.id, ''contact_role'', NULL, ''opportunity/'' || r.id || ''/person'' FROM %s AS r JOIN %s AS p ON p.id = r.partner_id WHERE r.type IS DISTINCT FROM ''lead'' AND p.is_company IS NOT TRUE',
                value, said),
            format('SELECT DISTINCT ''person'', p.id, ''account'', p.company_id, ''account'', NULL::timestamptz, ''person/'' || p.id || ''/account'' FROM %s AS r JOIN %s AS p ON p.id = r.partner_id WHERE p.is_company IS NOT TRUE AND p.company_id IS NOT NULL',
                value, said)];
    END IF;

    EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS WITH %s %s', views, source || '_events', array_to_string(ctes, ', '), array_to_string(events, ' UNION ALL '));
    EXECUTE format('CREATE OR REPLACE VIEW %I.%I AS (%s)', views, source || '_links', array_to_string(links, ') UNION ALL ('));
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, source || '_events',
        format('What happened, by Odoo''s tables in schema %I, one row an event, for load(). Made by map_odoo(): alter it and keep it; another call replaces it.', landed));
    EXECUTE format('COMMENT ON VIEW %I.%I IS %L', views, source || '_links',
        format('What belongs to what, by Odoo''s tables in schema %I, one row a link, for load(). Made by map_odoo(): alter it and keep it; another call replaces it.', landed));
    PERFORM map_source(source, events => format('%I.%I', views, source || '_events')::regclass, links => format('%I.%I', views, source || '_links')::regclass);

    -- What was found, and what is not known.
    RETURN QUERY SELECT leads::text, concat_ws('; ', format('read: leads and opportunities: created, %s; an opportunity that was a lead is both, and created when it was converted', array_to_string(fields, ', ')),
        'an archived one with probability 0 or a reason is lost: it enters the stage Lost', 'deleted rows are gone: what was loaded of them stays in the ledger until it is retracted',
        CASE WHEN with_currency THEN 'amounts are in the currency of the company' ELSE coalesce('amounts are in ' || currency, 'no currency of the company: name the currency of amounts as currency') END);
    FOR looked IN
        SELECT *
        FROM (VALUES (1, 'crm_stage', stages, 'stages are known by their names of today, in English where they are translated', 'stages are known by their numbers'),
                     (2, 'res_users', users, 'owners and authors are named by login in lower case', 'owners and authors are named by their numbers'),
                     (3, 'utm_source', origins, 'the lead source', 'no lead source is known'),
                     (4, 'crm_team', teams, 'the segment is the sales team', 'no segment is known'),
                     (5, 'crm_lost_reason', reasons, 'reasons of a loss, as dispositions of the list loss_reason', 'no reason of a loss is known'),
                     (6, 'res_partner', partners, 'a company is an account, another partner a person: known by links', 'no account and no person is known')) AS l (no, name, found, meaning, missing)
        ORDER BY l.no
    LOOP
        relation := coalesce(looked.found::text, looked.name);
        note := CASE WHEN looked.found IS NULL THEN 'not found: ' || looked.missing ELSE looked.meaning END;
        RETURN NEXT;
    END LOOP;
    relation := coalesce(trackings::text, 'mail_tracking_value');
    note := CASE WHEN with_tracking THEN 'changes of stage, owner, revenue, team, deadline, reason and being active, as far as Odoo tracks the field'
                 WHEN trackings IS NOT NULL AND with_messages THEN 'not readable without ir_model_fields, which names the fields'
                 ELSE format('not found%s', CASE WHEN with_messages THEN '' ELSE ', nor mail_message' END) END
        || CASE WHEN with_tracking THEN ''
                ELSE ': only present values are known; the stage counts from date_last_stage_update, the owner from date_open, others from the creation, and a later change as one more value from then' END;
    RETURN NEXT;
    IF with_messages THEN
        RETURN QUERY SELECT messages::text, CASE WHEN _landed_column(messages, 'message_type') IS NULL THEN 'no message_type: no touch is known'
            ELSE concat_ws('; ', 'mails and messages: out if a user wrote them, else in', CASE WHEN _landed_column(messages, 'is_internal') IS NULL THEN 'comments are left out, as without is_internal they may be notes' END) END;
    END IF;
    IF meetings IS NOT NULL THEN
        RETURN QUERY SELECT meetings::text, 'meetings with an opportunity_id: set when the row was created, unless that was after they began; held when they began, once they are over'::text;
    END IF;
    RETURN QUERY SELECT format('%I.%I', views, source || v.name), 'the mapping, to be looked at and altered'::text FROM unnest('{_events,_links}'::text[]) AS v (name);
    IF stages IS NOT NULL THEN
        EXECUTE format('SELECT concat_ws(''; '', string_agg(s.name, '', '' ORDER BY s.place, s.name), ''won: '' || string_agg(s.name, '', '' ORDER BY s.place, s.name) FILTER (WHERE s.won)) FROM (SELECT %s FROM %s AS s WHERE %s) AS s',
            _landed_list(stages, 's', 'name label name', 'place number sequence', 'won flag is_won'), stages, _landed_live(stages, 's')) INTO said;
        RETURN QUERY SELECT stages::text, format('stages of a lifecycle to define as %I: %s; lost: Lost', lifecycle, said);
    END IF;
END;
$$;
COMMENT ON FUNCTION map_odoo(text, text, text, text, text) IS
'Maps Odoo''s CRM tables in schema landed to the facts of a source: makes the views <source>_events and <source>_links in schema views, gives them to map_source(), and says what was found, what was not, and what that means. lifecycle: what the stages of opportunities are stages of; Lost is one of them. currency: the ISO code of amounts where the company''s currency is not known.
Errors: undefined_table (42P01), insufficient_privilege (42501).';
