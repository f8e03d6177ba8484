--
-- hubspot.sql: HubSpot as connectors land it, read as facts.
--
-- A mapping view has two halves. The first names what was landed: a CTE for each table, with our names and types whatever the connector's. The second is the same
-- everywhere: what of it is which event. Only the first depends on the connector, so only it is made of what is found; people read and alter both.
--

CREATE FUNCTION _history_has(history regclass, property text)
RETURNS boolean
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    found boolean := false;
    named constant text := _landed_column(history, 'name', 'property');
BEGIN
    IF named IS NOT NULL THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM %s AS t WHERE t.%s = $1)', history, named) INTO found USING property;
    END IF;
    RETURN found;
END $$;
COMMENT ON FUNCTION _history_has(regclass, text) IS 'Whether a property history of HubSpot has a property at all.';

CREATE FUNCTION map_hubspot(
    landed text, source text DEFAULT 'hubspot', views text DEFAULT 'public', lifecycle text DEFAULT 'opportunity', currency text DEFAULT NULL,
    contact_lifecycle text DEFAULT 'contact')
RETURNS TABLE (relation text, note text)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    deal constant regclass := _main_table(landed, 'HubSpot''s deals', 'deal', 'deals');
    deal_stage constant regclass := _landed_table(landed, 'deal_stage');
    deal_history constant regclass := _landed_table(landed, 'deal_property_history', 'deals_property_history');
    pipeline constant regclass := _landed_table(landed, 'deal_pipeline', 'deal_pipelines');
    pipeline_stage constant regclass := _landed_table(landed, 'deal_pipeline_stage', 'deal_pipeline_stages');
    deal_company constant regclass := _landed_table(landed, 'deal_company');
    deal_contact constant regclass := _landed_table(landed, 'deal_contact');
    merged_deal constant regclass := _landed_table(landed, 'merged_deal');
    contact constant regclass := _landed_table(landed, 'contact', 'contacts');
    contact_history constant regclass := _landed_table(landed, 'contact_property_history', 'contacts_property_history');
    contact_merge constant regclass := _landed_table(landed, 'contact_merge_audit', 'contacts_merged_audit');
    company constant regclass := _landed_table(landed, 'company', 'companies');
    owner constant regclass := _landed_table(landed, 'owner', 'owners');
    -- of a stage s, deal d and pipeline p, all of which may be unknown
    in_lifecycle constant text := format(
        'coalesce(p.lifecycle, CASE WHEN coalesce(s.pipeline_id, d.pipeline_id, ''default'') = ''default'' THEN %L ELSE %L || coalesce(s.pipeline_id, d.pipeline_id) END)',
        lifecycle, lifecycle || '_');
    unknown_owner constant text := quote_literal(source || '/owner/');
    stage_kept text;         -- where the stages of deals come from: deal_stage, history or current
    kept text[] := '{}';     -- what of a deal or contact its history keeps
    contact_kept text[] := '{}';
    tables text[];
    branches text[] := '{}';
    links text[] := '{}';
    events_view regclass;
    links_view regclass;
    kind text;
    engagement regclass;
    target record;
    dated text;
    property text;
BEGIN
    PERFORM _demand_column(deal, 'deal_id', 'id', 'hs_object_id');
    PERFORM _demand_column(contact, 'id', 'vid', 'contact_id');
    PERFORM _demand_column(company, 'id', 'company_id');
    -- What the history of a property is complete in is read there, for all deals: a deal that is landed before its history must not be read in two ways.
    kept := ARRAY(SELECT p.name FROM unnest('{dealstage, amount, closedate, hubspot_owner_id, dealtype, hs_analytics_source}'::text[]) AS p (name)
                  WHERE _history_has(deal_history, p.name));
    contact_kept := ARRAY(SELECT p.name FROM unnest('{lifecyclestage, hs_lead_status, hubspot_owner_id, hs_analytics_source, hs_persona}'::text[]) AS p (name)
                          WHERE _history_has(contact_history, p.name));
    stage_kept := CASE WHEN deal_stage IS NOT NULL THEN 'deal_stage' WHEN 'dealstage' = ANY (kept) THEN 'history' ELSE 'current' END;

    -- What was landed, under our names
    tables := ARRAY[
        _landed_rows('deal', deal, 'id key: deal_id, id, hs_object_id', 'deleted boolean: is_deleted, _fivetran_deleted, archived',
                     'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
                     'pipeline_id text: deal_pipeline_id, property_pipeline, properties_pipeline, pipeline',
                     'stage_id text: deal_pipeline_stage_id, property_dealstage, properties_dealstage, dealstage',
                     'stage_at timestamptz: property_hs_v2_date_entered_current_stage, properties_hs_v2_date_entered_current_stage',
                     'owner_id text: owner_id, property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id',
                     'amount numeric: property_amount, properties_amount, amount',
                     'currency text: property_deal_currency_code, properties_deal_currency_code, deal_currency_code',
                     'closes_at timestamptz: property_closedate, properties_closedate, closedate',
                     'type text: property_dealtype, properties_dealtype, dealtype',
                     'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source'),
        _landed_rows('owner', owner, 'id key: owner_id, id', 'email text: email'),
        _landed_rows('landed_pipeline', pipeline, 'id key: pipeline_id, id', 'label text: label', 'created_at timestamptz: created_at'),
        -- The first pipeline has the lifecycle's plain name. It is the first for ever: the one HubSpot begins with, or the oldest.
        format(E'pipeline AS (\n    SELECT p.id, coalesce(p.label, p.id) AS label,\n'
               '           CASE WHEN row_number() OVER (ORDER BY p.id <> ''default'', p.created_at, p.id) = 1 THEN %L\n'
               '                ELSE %L || coalesce(p.label, p.id) END AS lifecycle\n    FROM landed_pipeline AS p)', lifecycle, lifecycle || '_'),
        _landed_rows('landed_stage', pipeline_stage, 'id key: stage_id, id', 'label text: label', 'pipeline_id text: pipeline_id'),
        E'stage AS (\n    SELECT DISTINCT ON (s.id) s.id, coalesce(s.label, s.id) AS label, s.pipeline_id FROM landed_stage AS s ORDER BY s.id, s.pipeline_id)'];

    -- Deals. Of what happens at one instant, what is known of a subject comes first, then its creation, its owner, its stage: a clock that starts then goes by it.
    branches := ARRAY[
        _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE', '''opportunity''', 'd.id', '''created''', 'd.created_at', '''deal/'' || d.id || ''/created''', seq => '1')];
    -- Each value that has no history: the one there is now, at the creation
    IF 'hs_analytics_source' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.lead_source IS NOT NULL', '''opportunity''', 'd.id', '''field_set''',
            'd.created_at', '''deal/'' || d.id || ''/hs_analytics_source/'' || d.lead_source', field => '''lead_source''', code => 'd.lead_source', seq => '0');
    END IF;
    IF _landed_column(deal, 'property_dealtype', 'properties_dealtype', 'dealtype') IS NULL AND 'dealtype' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d LEFT JOIN pipeline AS p ON p.id = d.pipeline_id WHERE d.deleted IS NOT TRUE AND d.pipeline_id IS NOT NULL',
            '''opportunity''', 'd.id', '''field_set''', 'd.created_at', '''deal/'' || d.id || ''/pipeline/'' || d.pipeline_id', field => '''segment''',
            code => 'coalesce(p.label, d.pipeline_id)', seq => '0');
    ELSIF 'dealtype' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.type IS NOT NULL', '''opportunity''', 'd.id', '''field_set''', 'd.created_at',
            '''deal/'' || d.id || ''/dealtype/'' || d.type', field => '''segment''', code => 'd.type', seq => '0');
    END IF;
    IF 'amount' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.amount IS NOT NULL', '''opportunity''', 'd.id', '''field_set''', 'd.created_at',
            '''deal/'' || d.id || ''/amount/'' || d.amount', field => '''amount''', amount => 'd.amount', currency => format('coalesce(d.currency, %L)', currency), seq => '0');
    END IF;
    IF 'closedate' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d WHERE d.deleted IS NOT TRUE AND d.closes_at IS NOT NULL', '''opportunity''', 'd.id', '''field_set''',
            'd.created_at', '''deal/'' || d.id || ''/closedate/'' || _key_time(d.closes_at)', field => '''expected_close''',
            details => 'jsonb_build_object(''value'', timezone(''UTC'', d.closes_at)::date)', seq => '0');
    END IF;
    IF 'hubspot_owner_id' <> ALL (kept) THEN
        branches := branches || _event_rows('FROM deal AS d LEFT JOIN owner AS o ON o.id = d.owner_id WHERE d.deleted IS NOT TRUE AND d.owner_id IS NOT NULL',
            '''opportunity''', 'd.id', '''assigned''', 'd.created_at', '''deal/'' || d.id || ''/owner/'' || d.owner_id',
            party => format('coalesce(o.email, %s || d.owner_id)', unknown_owner), seq => '2');
    END IF;
    -- Stages: a visit's lifecycle is that of the stage's own pipeline, since deals move between pipelines.
    IF stage_kept = 'deal_stage' THEN
        tables := tables || _landed_rows('visit', deal_stage, 'deal_id key: deal_id', 'stage_id text: value, stage_id',
                                         'at timestamptz: date_entered, _fivetran_start', 'since timestamptz: _fivetran_start');
        branches := branches || _event_rows(
            E'FROM visit AS v\n     LEFT JOIN deal AS d ON d.id = v.deal_id\n     LEFT JOIN stage AS s ON s.id = v.stage_id\n'
            '     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\nWHERE d.deleted IS NOT TRUE',
            '''opportunity''', 'v.deal_id', '''stage_entered''', 'coalesce(v.at, v.since)',
            '''deal_stage/'' || v.deal_id || ''/'' || v.stage_id || ''/'' || _key_time(coalesce(v.at, v.since))',
            lifecycle => in_lifecycle,
            stage => 'coalesce(s.label, v.stage_id)', seq => '3');
    ELSIF stage_kept = 'current' THEN
        branches := branches || _event_rows(
            E'FROM deal AS d\n     LEFT JOIN stage AS s ON s.id = d.stage_id\n     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\n'
            'WHERE d.deleted IS NOT TRUE AND d.stage_id IS NOT NULL',
            '''opportunity''', 'd.id', '''stage_entered''', 'coalesce(d.stage_at, d.created_at)',
            '''deal/'' || d.id || ''/dealstage/'' || d.stage_id || coalesce(''/'' || _key_time(d.stage_at), '''')',
            lifecycle => in_lifecycle,
            stage => 'coalesce(s.label, d.stage_id)', seq => '3');
    END IF;
    -- The history holds every property, and is the largest table: it is read once.
    IF stage_kept = 'deal_stage' THEN
        kept := array_remove(kept, 'dealstage');
    END IF;
    IF kept <> '{}' THEN
        tables := tables || _landed_rows('deal_history', deal_history, 'deal_id key: deal_id', 'property key: name, property', 'value text: value',
                                         'at timestamptz: timestamp, timestamp_instant, _fivetran_start');
        branches := branches || _event_rows(
            E'FROM deal_history AS h\n     LEFT JOIN deal AS d ON d.id = h.deal_id\n     LEFT JOIN owner AS o ON h.property = ''hubspot_owner_id'' AND o.id = h.value\n'
            '     LEFT JOIN stage AS s ON h.property = ''dealstage'' AND s.id = h.value\n     LEFT JOIN pipeline AS p ON p.id = coalesce(s.pipeline_id, d.pipeline_id)\n'
            || format('WHERE h.property = ANY (%L::text[]) AND h.value IS NOT NULL AND d.deleted IS NOT TRUE', kept),
            '''opportunity''', 'h.deal_id', 'CASE h.property WHEN ''dealstage'' THEN ''stage_entered'' WHEN ''hubspot_owner_id'' THEN ''assigned'' ELSE ''field_set'' END', 'h.at',
            '''deal_property_history/'' || h.deal_id || ''/'' || h.property || ''/'' || _key_time(h.at)',
            lifecycle => 'CASE WHEN h.property = ''dealstage'' THEN ' || in_lifecycle || ' END',
            stage => 'CASE WHEN h.property = ''dealstage'' THEN coalesce(s.label, h.value) END',
            field => 'CASE h.property WHEN ''amount'' THEN ''amount'' WHEN ''closedate'' THEN ''expected_close'' WHEN ''dealtype'' THEN ''segment'' WHEN ''hs_analytics_source'' THEN ''lead_source'' END',
            code => 'CASE WHEN h.property IN (''dealtype'', ''hs_analytics_source'') THEN h.value END',
            party => format('CASE WHEN h.property = ''hubspot_owner_id'' THEN coalesce(o.email, %s || h.value) END', unknown_owner),
            amount => 'CASE WHEN h.property = ''amount'' THEN _landed_number(h.value) END',
            currency => format('CASE WHEN h.property = ''amount'' THEN coalesce(d.currency, %L) END', currency),
            seq => 'CASE h.property WHEN ''dealstage'' THEN 3 WHEN ''hubspot_owner_id'' THEN 2 ELSE 0 END',
            details => 'CASE WHEN h.property = ''closedate'' THEN jsonb_build_object(''value'', timezone(''UTC'', _landed_time(h.value))::date) END');
    END IF;

    -- Contacts
    IF contact IS NOT NULL THEN
        tables := tables || _landed_rows('contact', contact, 'id key: id, vid, contact_id', 'deleted boolean: _fivetran_deleted, is_deleted, archived',
            'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
            'company_id text: property_associatedcompanyid, properties_associatedcompanyid, associatedcompanyid',
            'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source',
            'owner_id text: property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id',
            'persona text: property_hs_persona, properties_hs_persona, hs_persona',
            'lead_status text: property_hs_lead_status, properties_hs_lead_status, hs_lead_status',
            'lifecycle_stage text: property_lifecyclestage, properties_lifecyclestage, lifecyclestage',
            'merged_ids text: property_hs_merged_object_ids, properties_hs_merged_object_ids, hs_merged_object_ids');
        branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE', '''person''', 'c.id', '''created''', 'c.created_at',
            '''contact/'' || c.id || ''/created''', seq => '1');
        IF 'hs_analytics_source' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lead_source IS NOT NULL', '''person''', 'c.id', '''field_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_analytics_source/'' || c.lead_source', field => '''lead_source''', code => 'c.lead_source', seq => '0');
        END IF;
        IF 'hs_persona' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.persona IS NOT NULL', '''person''', 'c.id', '''field_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_persona/'' || c.persona', field => '''segment''', code => 'c.persona', seq => '0');
        END IF;
        IF 'hubspot_owner_id' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c LEFT JOIN owner AS o ON o.id = c.owner_id WHERE c.deleted IS NOT TRUE AND c.owner_id IS NOT NULL',
                '''person''', 'c.id', '''assigned''', 'c.created_at', '''contact/'' || c.id || ''/owner/'' || c.owner_id',
                party => format('coalesce(o.email, %s || c.owner_id)', unknown_owner), seq => '2');
        END IF;
        IF 'hs_lead_status' <> ALL (contact_kept) THEN
            branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lead_status IS NOT NULL', '''person''', 'c.id', '''disposition_set''',
                'c.created_at', '''contact/'' || c.id || ''/hs_lead_status/'' || c.lead_status', code => 'c.lead_status', code_list => '''disposition''', seq => '0');
        END IF;
        IF 'lifecyclestage' <> ALL (contact_kept) THEN
            -- HubSpot keeps a date for each stage, hs_lifecyclestage_lead_date; without them the stage of now is all there is.
            SELECT string_agg(format('(%L, %s)', s.name, _landed_expression(contact, 'timestamptz', VARIADIC s.names)), ', ' ORDER BY s.no)
            INTO dated
            FROM (SELECT p.name, p.no, ARRAY['property_hs_lifecyclestage_' || p.name || '_date', 'properties_hs_lifecyclestage_' || p.name || '_date'] AS names
                  FROM unnest('{subscriber, lead, marketingqualifiedlead, salesqualifiedlead, opportunity, customer, evangelist, other}'::text[]) WITH ORDINALITY AS p (name, no)) AS s
            WHERE _landed_column(contact, VARIADIC s.names) IS NOT NULL;
            IF dated IS NOT NULL THEN
                tables := tables || format(E'contact_stage AS NOT MATERIALIZED (\n    SELECT %s AS contact_id, %s IS TRUE AS deleted, v.stage, v.at\n'
                                           '    FROM %s AS t, LATERAL (VALUES %s) AS v (stage, at) WHERE v.at IS NOT NULL)',
                    _landed_expression(contact, 'key', 'id', 'vid', 'contact_id'), _landed_expression(contact, 'boolean', '_fivetran_deleted', 'is_deleted', 'archived'), contact, dated);
                branches := branches || _event_rows('FROM contact_stage AS v WHERE NOT v.deleted', '''person''', 'v.contact_id', '''stage_entered''', 'v.at',
                    '''contact/'' || v.contact_id || ''/lifecyclestage/'' || v.stage || ''/'' || _key_time(v.at)', lifecycle => quote_literal(contact_lifecycle),
                    stage => 'v.stage', seq => '3');
            ELSE
                branches := branches || _event_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.lifecycle_stage IS NOT NULL', '''person''', 'c.id', '''stage_entered''',
                    'c.created_at', '''contact/'' || c.id || ''/lifecyclestage/'' || c.lifecycle_stage', lifecycle => quote_literal(contact_lifecycle), stage => 'c.lifecycle_stage',
                    seq => '3');
            END IF;
        END IF;
    END IF;
    IF contact_kept <> '{}' THEN
        tables := tables || _landed_rows('contact_history', contact_history, 'contact_id key: contact_id, vid', 'property key: name, property', 'value text: value',
                                         'at timestamptz: timestamp, timestamp_instant, _fivetran_start');
        IF contact IS NULL THEN
            tables := tables || _landed_rows('contact', NULL, 'id key:', 'deleted boolean:');
        END IF;
        branches := branches || _event_rows(
            E'FROM contact_history AS h\n     LEFT JOIN contact AS c ON c.id = h.contact_id\n     LEFT JOIN owner AS o ON h.property = ''hubspot_owner_id'' AND o.id = h.value\n'
            || format('WHERE h.property = ANY (%L::text[]) AND h.value IS NOT NULL AND c.deleted IS NOT TRUE', contact_kept),
            '''person''', 'h.contact_id',
            'CASE h.property WHEN ''lifecyclestage'' THEN ''stage_entered'' WHEN ''hubspot_owner_id'' THEN ''assigned'' WHEN ''hs_lead_status'' THEN ''disposition_set'' ELSE ''field_set'' END',
            'h.at', '''contact_property_history/'' || h.contact_id || ''/'' || h.property || ''/'' || _key_time(h.at)',
            lifecycle => format('CASE WHEN h.property = ''lifecyclestage'' THEN %L END', contact_lifecycle), stage => 'CASE WHEN h.property = ''lifecyclestage'' THEN h.value END',
            field => 'CASE h.property WHEN ''hs_analytics_source'' THEN ''lead_source'' WHEN ''hs_persona'' THEN ''segment'' END',
            code => 'CASE WHEN h.property IN (''hs_analytics_source'', ''hs_persona'', ''hs_lead_status'') THEN h.value END',
            code_list => 'CASE WHEN h.property = ''hs_lead_status'' THEN ''disposition'' END',
            party => format('CASE WHEN h.property = ''hubspot_owner_id'' THEN coalesce(o.email, %s || h.value) END', unknown_owner),
            seq => 'CASE h.property WHEN ''lifecyclestage'' THEN 3 WHEN ''hubspot_owner_id'' THEN 2 ELSE 0 END');
    END IF;
    IF contact_merge IS NOT NULL THEN
        tables := tables || _landed_rows('contact_merge', contact_merge, 'merged_id key: vid_to_merge', 'into_id key: canonical_vid, contact_id', 'at timestamptz: timestamp');
        branches := branches || _event_rows('FROM contact_merge AS m WHERE m.merged_id IS NOT NULL', '''person''', 'm.merged_id', '''merged''', 'm.at',
            '''contact_merge_audit/'' || m.merged_id || ''/'' || m.into_id', details => 'jsonb_build_object(''into'', m.into_id)');
        links := links || _link_rows('FROM contact_merge AS m WHERE m.merged_id IS NOT NULL', '''person''', 'm.merged_id', '''person''', 'm.into_id', '''same_as''');
    END IF;

    -- Companies
    IF company IS NOT NULL THEN
        tables := tables || _landed_rows('company', company, 'id key: id, company_id', 'deleted boolean: is_deleted, _fivetran_deleted, archived',
            'created_at timestamptz: property_createdate, properties_createdate, createdate, created_at',
            'industry text: property_industry, properties_industry, industry',
            'lead_source text: property_hs_analytics_source, properties_hs_analytics_source, hs_analytics_source',
            'owner_id text: property_hubspot_owner_id, properties_hubspot_owner_id, hubspot_owner_id');
        branches := branches || ARRAY[
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE', '''account''', 'a.id', '''created''', 'a.created_at', '''company/'' || a.id || ''/created''', seq => '1'),
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE AND a.industry IS NOT NULL', '''account''', 'a.id', '''field_set''', 'a.created_at',
                        '''company/'' || a.id || ''/industry/'' || a.industry', field => '''segment''', code => 'a.industry', seq => '0'),
            _event_rows('FROM company AS a WHERE a.deleted IS NOT TRUE AND a.lead_source IS NOT NULL', '''account''', 'a.id', '''field_set''', 'a.created_at',
                        '''company/'' || a.id || ''/hs_analytics_source/'' || a.lead_source', field => '''lead_source''', code => 'a.lead_source', seq => '0'),
            _event_rows('FROM company AS a LEFT JOIN owner AS o ON o.id = a.owner_id WHERE a.deleted IS NOT TRUE AND a.owner_id IS NOT NULL', '''account''', 'a.id',
                        '''assigned''', 'a.created_at', '''company/'' || a.id || ''/owner/'' || a.owner_id',
                        party => format('coalesce(o.email, %s || a.owner_id)', unknown_owner), seq => '2')];
    END IF;

    -- Engagements: once for each deal, contact and company they belong to
    FOREACH kind IN ARRAY '{call, email, communication, meeting}'::text[] LOOP
        engagement := _landed_table(landed, 'engagement_' || kind);
        CONTINUE WHEN engagement IS NULL;
        tables := tables || _landed_rows('engagement_' || kind, engagement, 'id key: engagement_id, id', 'deleted boolean: _fivetran_deleted, is_deleted',
            'created_at timestamptz: property_hs_createdate, created_at',
            'at timestamptz: property_hs_timestamp, timestamp' || CASE WHEN kind = 'meeting' THEN ', start_time' ELSE '' END,
            'starts_at timestamptz: start_time, property_hs_meeting_start_time, property_hs_timestamp',
            'direction text: property_hs_call_direction, property_hs_email_direction, call_direction, email_direction',
            'outcome text: property_hs_meeting_outcome, meeting_outcome', 'owner_id text: property_hubspot_owner_id, owner_id');
        IF kind <> 'meeting' AND _landed_column(engagement, 'property_hs_timestamp', 'timestamp') IS NULL THEN
            RETURN QUERY SELECT engagement::text, 'has no property_hs_timestamp: when it was is not known, so nothing of it is read'::text;
            CONTINUE;
        END IF;
        FOR target IN
            SELECT t.name, t.kind, _landed_table(landed, 'engagement_' || t.name) AS relation
            FROM (VALUES ('deal', 'opportunity'), ('contact', 'person'), ('company', 'account')) AS t (name, kind)
        LOOP
            IF target.relation IS NULL THEN
                CONTINUE;
            END IF;
            IF NOT EXISTS (SELECT FROM unnest(tables) AS t (text) WHERE starts_with(t.text, 'engagement_' || target.name || ' ')) THEN
                -- the same pair may be there with several labels
                tables := tables || _landed_rows('engagement_' || target.name || '_label', target.relation, 'engagement_id key: engagement_id', format('subject_id key: %s_id', target.name))
                    || format(E'engagement_%1$s AS (\n    SELECT DISTINCT l.engagement_id, l.subject_id FROM engagement_%1$s_label AS l)', target.name);
            END IF;
            IF kind = 'meeting' THEN
                branches := branches
                    || _event_rows(format(E'FROM engagement_meeting AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\n'
                                          'WHERE e.deleted IS NOT TRUE AND e.created_at IS NOT NULL', target.name),
                        quote_literal(target.kind), 'l.subject_id', '''meeting_set''', 'e.created_at',
                        format('''engagement_meeting/'' || e.id || ''/%s/'' || l.subject_id || ''/set''', target.name), actor => 'o.email')
                    || _event_rows(format(E'FROM engagement_meeting AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\n'
                                          'WHERE e.deleted IS NOT TRUE AND upper(e.outcome) IN (''COMPLETED'', ''NO_SHOW'')', target.name),
                        quote_literal(target.kind), 'l.subject_id', 'CASE upper(e.outcome) WHEN ''COMPLETED'' THEN ''meeting_held'' ELSE ''meeting_no_show'' END', 'e.starts_at',
                        format('''engagement_meeting/'' || e.id || ''/%s/'' || l.subject_id || ''/'' || upper(e.outcome) || ''/'' || _key_time(e.starts_at)', target.name),
                        actor => 'o.email');
            ELSE
                branches := branches || _event_rows(
                    format(E'FROM engagement_%s AS e JOIN engagement_%s AS l ON l.engagement_id = e.id LEFT JOIN owner AS o ON o.id = e.owner_id\nWHERE e.deleted IS NOT TRUE',
                           kind, target.name),
                    quote_literal(target.kind), 'l.subject_id', 'CASE WHEN upper(e.direction) LIKE ''IN%'' THEN ''touch_in'' ELSE ''touch_out'' END', 'e.at',
                    format('''engagement_%s/'' || e.id || ''/%s/'' || l.subject_id || CASE WHEN upper(e.direction) LIKE ''IN%%'' THEN ''/in/'' ELSE ''/out/'' END || _key_time(e.at)',
                           kind, target.name),
                    actor => 'CASE WHEN upper(e.direction) LIKE ''IN%'' THEN NULL ELSE o.email END');
            END IF;
        END LOOP;
    END LOOP;

    -- Links
    IF deal_company IS NOT NULL THEN
        tables := tables || _landed_rows('deal_company', deal_company, 'deal_id key: deal_id', 'company_id key: company_id', 'type_id text: type_id');
        -- 5 is HubSpot's label for the primary company of a deal.
        links := links || _link_rows(
            E'FROM deal_company AS l LEFT JOIN deal AS d ON d.id = l.deal_id\nWHERE d.deleted IS NOT TRUE AND (l.type_id = ''5'' OR NOT EXISTS (\n'
            '    SELECT FROM deal_company AS first WHERE first.deal_id = l.deal_id AND first.type_id = ''5''))',
            '''opportunity''', 'l.deal_id', '''account''', 'l.company_id', '''account''');
    END IF;
    IF deal_contact IS NOT NULL THEN
        tables := tables || _landed_rows('deal_contact', deal_contact, 'deal_id key: deal_id', 'contact_id key: contact_id');
        links := links || _link_rows('FROM deal_contact AS l LEFT JOIN deal AS d ON d.id = l.deal_id WHERE d.deleted IS NOT TRUE', '''opportunity''', 'l.deal_id', '''person''',
                                     'l.contact_id', '''contact_role''');
    END IF;
    IF merged_deal IS NOT NULL THEN
        tables := tables || _landed_rows('merged_deal', merged_deal, 'merged_id key: merged_deal_id', 'into_id key: deal_id');
        links := links || _link_rows('FROM merged_deal AS m', '''opportunity''', 'm.merged_id', '''opportunity''', 'm.into_id', '''same_as''');
    END IF;
    IF contact IS NOT NULL THEN
        links := links
            || _link_rows('FROM contact AS c WHERE c.deleted IS NOT TRUE AND c.company_id IS NOT NULL', '''person''', 'c.id', '''account''', 'c.company_id', '''account''')
            || _link_rows('FROM contact AS c, regexp_split_to_table(c.merged_ids, ''[[:space:]]*;[[:space:]]*'') AS m (merged_id) WHERE c.deleted IS NOT TRUE AND m.merged_id <> ''''',
                          '''person''', 'm.merged_id', '''person''', 'c.id', '''same_as''');
    END IF;
    IF links = '{}' THEN
        links := ARRAY[_link_rows('WHERE false', 'NULL', 'NULL', 'NULL', 'NULL', 'NULL')];
    END IF;

    events_view := _make_mapping_view(views, source || '_events', tables, branches, 'UNION ALL',
        'HubSpot''s tables as events, for load(): made by map_hubspot(), which replaces it when it is called again. Alter it as you like.');
    links_view := _make_mapping_view(views, source || '_links', tables, links, 'UNION',
        'HubSpot''s associations and merged records as links, for load(): made by map_hubspot(), which replaces it when it is called again. Alter it as you like.');
    PERFORM map_source(source, events => events_view, links => links_view);

    -- What was found, and what is missing
    RETURN QUERY
    SELECT coalesce(n.found::text, n.name), n.note
    FROM (VALUES
        (1, deal, 'deal', 'deals are opportunities; their owner is known by e-mail where the owner table is landed'),
        (2, deal_stage, 'deal_stage', CASE stage_kept WHEN 'deal_stage' THEN 'every visit to a stage'
            WHEN 'history' THEN 'not landed: visits to stages are the changes of dealstage in ' || deal_history
            ELSE 'not landed, nor is a history of dealstage: only the current stage is known, entered '
                 || CASE WHEN _landed_column(deal, 'property_hs_v2_date_entered_current_stage', 'properties_hs_v2_date_entered_current_stage') IS NULL
                         THEN 'when the deal was created' ELSE 'when property_hs_v2_date_entered_current_stage says' END END),
        (3, deal_history, 'deal_property_history', CASE WHEN deal_history IS NULL THEN 'not landed: '
                 WHEN kept = '{}' THEN 'has none of the properties that are read: ' ELSE format('every change of %s; ', array_to_string(kept, ', ')) END
            || coalesce('the current ' || (SELECT string_agg(p.name, ', ' ORDER BY p.no)
                                           FROM unnest('{amount, closedate, hubspot_owner_id, dealtype, hs_analytics_source}'::text[]) WITH ORDINALITY AS p (name, no)
                                           WHERE p.name <> ALL (kept)) || ' is taken as set at the creation', 'nothing is missing')),
        (4, pipeline, 'deal_pipeline', CASE WHEN pipeline IS NULL THEN format('not landed: the pipeline "default" is lifecycle %s, any other %s_ and its id', lifecycle, lifecycle)
            ELSE format('the first pipeline, or the one HubSpot calls default, is lifecycle %s; any other %s_ and its label', lifecycle, lifecycle) END),
        (5, pipeline_stage, 'deal_pipeline_stage', CASE WHEN pipeline_stage IS NULL THEN 'not landed: stages are called by their id' ELSE 'the labels of stages; without one, its id' END),
        (6, deal, 'deal', 'segment: ' || CASE WHEN 'dealtype' = ANY (kept) OR _landed_column(deal, 'property_dealtype', 'properties_dealtype', 'dealtype') IS NOT NULL THEN 'the deal type'
            ELSE 'the pipeline, since no dealtype is landed' END),
        (7, owner, 'owner', CASE WHEN owner IS NULL THEN format('not landed: owners are called %s/owner/ and their id', source) ELSE 'owners by e-mail' END),
        (8, deal_company, 'deal_company', CASE WHEN deal_company IS NULL THEN 'not landed: the accounts of deals are not known' ELSE 'the account of a deal, the primary one if it says' END),
        (9, deal_contact, 'deal_contact', CASE WHEN deal_contact IS NULL THEN 'not landed: the people of deals are not known' ELSE 'the people of a deal' END),
        (10, merged_deal, 'merged_deal', CASE WHEN merged_deal IS NULL THEN 'not landed: merged deals are not known' ELSE 'a merged deal is the same as the one it went into' END),
        (11, contact, 'contact', CASE WHEN contact IS NULL THEN 'not landed: no contacts are read' ELSE format('contacts are persons; lifecycle %s', contact_lifecycle) END),
        (12, contact_history, 'contact_property_history', CASE
            WHEN contact_kept = '{}' AND contact IS NULL THEN 'nothing of contacts is read'
            WHEN 'lifecyclestage' = ANY (contact_kept) THEN format('every change of %s', array_to_string(contact_kept, ', '))
            WHEN dated IS NOT NULL THEN 'no history of lifecyclestage: the last entry into each stage is known by its date'
            WHEN _landed_column(contact, 'property_lifecyclestage', 'properties_lifecyclestage', 'lifecyclestage') IS NULL
                 THEN 'neither lifecyclestage nor a history of it is landed: no stages of contacts are known'
            ELSE 'no history of lifecyclestage: only the current stage is known, entered when the contact was created' END),
        (13, contact_merge, 'contact_merge_audit', CASE WHEN contact_merge IS NULL
            THEN 'not landed: merged contacts are known by hs_merged_object_ids alone, without a time' ELSE 'merged contacts' END),
        (14, company, 'company', CASE WHEN company IS NULL THEN 'not landed: accounts are known by their key alone' ELSE 'companies are accounts; segment: the industry' END),
        (15, NULL, 'engagement', CASE WHEN _landed_table(landed, 'engagement_deal') IS NULL AND _landed_table(landed, 'engagement_contact') IS NULL AND _landed_table(landed, 'engagement_company') IS NULL
            THEN 'no engagement_deal, engagement_contact or engagement_company: touches and meetings are not known'
            ELSE 'calls, e-mails and communications are touches; a meeting is held, or missed, if its outcome says so' END),
        (16, NULL, 'deleted rows', 'are left out, with all of their history; what was loaded before stays in the ledger'),
        (17, NULL, 'ticket', 'tickets of HubSpot are not read'),
        (18, events_view, NULL, 'made'), (19, links_view, NULL, 'made')) AS n (no, found, name, note)
    ORDER BY n.no;
END $$;
COMMENT ON FUNCTION map_hubspot(text, text, text, text, text, text) IS
'Maps HubSpot''s tables, as connectors land them, to facts: makes the views <source>_events and <source>_links and calls map_source(). Rows: what was found, and what is missing and what that means.
landed: the schema with the tables, in any spelling. views: the schema of the views; they are replaced. lifecycle: that of deals in the first pipeline; that of another is <lifecycle>_<its label>. currency: the ISO code of amounts whose deal has none. contact_lifecycle: that of the lifecycle stages of contacts.
Errors: undefined_table (42P01) without a table of deals; undefined_column (42703) where a table lacks its key.';
