--
-- zendesk.sql: Zendesk as connectors land it, read as facts; and its SLA policies as drafts.
--

CREATE FUNCTION map_zendesk(landed text, source text DEFAULT 'zendesk', views text DEFAULT 'public', lifecycle text DEFAULT 'ticket')
RETURNS TABLE (relation text, note text)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    ticket constant regclass := _main_table(landed, 'Zendesk''s tickets', 'ticket', 'tickets');
    history constant regclass := _landed_table(landed, 'ticket_field_history');
    comments constant regclass := _landed_table(landed, 'ticket_comment', 'ticket_comments');
    users constant regclass := _landed_table(landed, 'user', 'users');
    groups constant regclass := _landed_table(landed, 'group', 'groups');
    organization constant regclass := _landed_table(landed, 'organization', 'organizations');
    sla_policy constant regclass := _landed_table(landed, 'ticket_sla_policy', 'ticket_sla_policies');
    unknown_user constant text := quote_literal(source || '/user/');
    -- the place of a status among those of one instant
    place constant text := 'CASE %s WHEN ''new'' THEN 10 WHEN ''open'' THEN 11 WHEN ''pending'' THEN 12 WHEN ''solved'' THEN 14 WHEN ''closed'' THEN 15 ELSE 13 END';
    written_by constant text := 'CASE WHEN c.user_id = k.requester_id THEN ''touch_in'' WHEN u.role IN (''agent'', ''admin'') THEN ''touch_out'' WHEN u.role IS NOT NULL THEN ''touch_in'''
        || CASE WHEN users IS NULL THEN ' WHEN c.user_id IS NOT NULL THEN ''touch_out''' ELSE '' END || ' END';
    tables text[];
    branches text[];
    links text[];
    events_view regclass;
    links_view regclass;
BEGIN
    PERFORM _demand_column(ticket, 'id', 'ticket_id'), _demand_column(users, 'id'), _demand_column(history, 'ticket_id'), _demand_column(comments, 'id');
    tables := ARRAY[
        _landed_rows('ticket', ticket, 'id key: id, ticket_id', 'deleted boolean: _fivetran_deleted', 'created_at timestamptz: created_at', 'updated_at timestamptz: updated_at',
                     'status text: status', 'priority text: priority', 'channel text: via_channel', 'assignee_id text: assignee_id', 'group_id text: group_id',
                     'requester_id text: requester_id', 'organization_id text: organization_id'),
        _landed_rows('landed_user', users, 'id key: id', 'email text: email', 'role text: role', 'organization_id text: organization_id'),
        _landed_rows('landed_group', groups, 'id key: id', 'name text: name')];
    -- Of what happens at one instant, what is known of a ticket comes first, then its creation, its assignee, its status: a clock that starts then goes by it.
    branches := ARRAY[
        _event_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE', '''case''', 'k.id', '''created''', 'k.created_at', '''ticket/'' || k.id || ''/created''', seq => '1'),
        _event_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE AND k.channel IS NOT NULL', '''case''', 'k.id', '''field_set''', 'k.created_at',
                    '''ticket/'' || k.id || ''/via_channel''', field => '''lead_source''', code => 'k.channel', seq => '0')];

    IF history IS NOT NULL THEN
        tables := tables
            || _landed_rows('landed_history', history, 'ticket_id key: ticket_id', 'field key: field_name, field', 'value text: value', 'at timestamptz: updated, updated_at', 'user_id text: user_id')
            -- Rows of this table come more than once.
            || E'history AS (\n    SELECT h.ticket_id, h.field, h.value, h.at, max(h.user_id) AS user_id FROM landed_history AS h\n'
               '    WHERE h.field IN (''status'', ''priority'', ''assignee_id'', ''group_id'') AND h.value IS NOT NULL\n    GROUP BY h.ticket_id, h.field, h.value, h.at)'::text
            -- Solved, then worked on again. A closed ticket cannot be.
            || format(E'reopening AS (\n    SELECT s.ticket_id, s.at, s.user_id\n'
                      '    FROM (SELECT h.*, lag(h.value) OVER (PARTITION BY h.ticket_id ORDER BY h.at, %s) AS before FROM history AS h WHERE h.field = ''status'') AS s\n'
                      '    WHERE s.before = ''solved'' AND s.value NOT IN (''solved'', ''closed'', ''deleted''))', format(place, 'h.value'));
        branches := branches || ARRAY[
            -- A priority is the ticket's segment as well.
            _event_rows(
                E'FROM history AS h\n     CROSS JOIN LATERAL unnest(CASE h.field WHEN ''priority'' THEN ARRAY[''priority'', ''segment''] ELSE ARRAY[h.field] END) AS f (field)\n'
                '     LEFT JOIN ticket AS k ON k.id = h.ticket_id\n     LEFT JOIN landed_group AS g ON h.field = ''group_id'' AND g.id = h.value\n'
                '     LEFT JOIN landed_user AS u ON h.field = ''assignee_id'' AND u.id = h.value\n     LEFT JOIN landed_user AS a ON a.id = h.user_id AND a.role IN (''agent'', ''admin'')\n'
                'WHERE k.deleted IS NOT TRUE',
                '''case''', 'h.ticket_id', 'CASE h.field WHEN ''status'' THEN ''stage_entered'' WHEN ''assignee_id'' THEN ''assigned'' ELSE ''field_set'' END', 'h.at',
                '''ticket_field_history/'' || h.ticket_id || ''/'' || f.field || ''/'' || _key_time(h.at) || ''/'' || h.value',
                lifecycle => format('CASE WHEN h.field = ''status'' THEN %L END', lifecycle), stage => 'CASE WHEN h.field = ''status'' THEN h.value END',
                field => 'CASE h.field WHEN ''priority'' THEN f.field WHEN ''group_id'' THEN ''group'' END',
                code => 'CASE h.field WHEN ''priority'' THEN h.value WHEN ''group_id'' THEN coalesce(g.name, h.value) END',
                party => format('CASE WHEN h.field = ''assignee_id'' THEN coalesce(u.email, %s || h.value) END', unknown_user), actor => 'a.email',
                seq => format('CASE h.field WHEN ''status'' THEN %s WHEN ''assignee_id'' THEN 2 ELSE 0 END', format(place, 'h.value'))),
            _event_rows(
                E'FROM reopening AS r\n     LEFT JOIN ticket AS k ON k.id = r.ticket_id\n     LEFT JOIN landed_user AS a ON a.id = r.user_id AND a.role IN (''agent'', ''admin'')\n'
                'WHERE k.deleted IS NOT TRUE',
                '''case''', 'r.ticket_id', '''reopened''', 'r.at', '''ticket_field_history/'' || r.ticket_id || ''/reopened/'' || _key_time(r.at)', actor => 'a.email', seq => '9')];
    ELSE
        branches := branches || ARRAY[
            _event_rows(
                E'FROM ticket AS k CROSS JOIN LATERAL (VALUES (''priority''), (''segment'')) AS f (field)\nWHERE k.deleted IS NOT TRUE AND k.priority IS NOT NULL',
                '''case''', 'k.id', '''field_set''', 'k.created_at', '''ticket/'' || k.id || ''/'' || f.field || ''/'' || k.priority', field => 'f.field', code => 'k.priority', seq => '0'),
            _event_rows('FROM ticket AS k LEFT JOIN landed_group AS g ON g.id = k.group_id WHERE k.deleted IS NOT TRUE AND k.group_id IS NOT NULL',
                '''case''', 'k.id', '''field_set''', 'k.created_at', '''ticket/'' || k.id || ''/group/'' || k.group_id', field => '''group''', code => 'coalesce(g.name, k.group_id)', seq => '0'),
            _event_rows('FROM ticket AS k LEFT JOIN landed_user AS u ON u.id = k.assignee_id WHERE k.deleted IS NOT TRUE AND k.assignee_id IS NOT NULL',
                '''case''', 'k.id', '''assigned''', 'k.created_at', '''ticket/'' || k.id || ''/assignee/'' || k.assignee_id',
                party => format('coalesce(u.email, %s || k.assignee_id)', unknown_user), seq => '2'),
            -- A ticket that is at an end is not updated much any more; when another one was last updated says nothing of its status.
            _event_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE AND k.status IS NOT NULL AND k.status <> ''deleted''', '''case''', 'k.id', '''stage_entered''',
                'CASE WHEN k.status IN (''solved'', ''closed'') THEN k.updated_at ELSE k.created_at END', '''ticket/'' || k.id || ''/status/'' || k.status',
                lifecycle => quote_literal(lifecycle), stage => 'k.status', seq => format(place, 'k.status'))];
    END IF;
    -- That a ticket was deleted is told by its row alone.
    branches := branches || _event_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE AND k.status = ''deleted''', '''case''', 'k.id', '''stage_entered''', 'k.updated_at',
        '''ticket/'' || k.id || ''/status/deleted''', lifecycle => quote_literal(lifecycle), stage => '''deleted''', seq => '16');

    IF comments IS NOT NULL THEN
        tables := tables || _landed_rows('comment', comments, 'id key: id', 'ticket_id key: ticket_id', 'at timestamptz: created, created_at', 'is_public boolean: public, is_public',
                                         'user_id text: user_id, author_id');
        branches := branches || _event_rows(
            E'FROM comment AS c\n     LEFT JOIN ticket AS k ON k.id = c.ticket_id\n     LEFT JOIN landed_user AS u ON u.id = c.user_id\n'
            || format(E'WHERE c.is_public AND k.deleted IS NOT TRUE AND %s IS NOT NULL', written_by),
            '''case''', 'c.ticket_id', written_by, 'c.at', '''ticket_comment/'' || c.id', actor => 'CASE WHEN u.role IN (''agent'', ''admin'') THEN u.email END');
    END IF;

    IF sla_policy IS NOT NULL THEN
        tables := tables || _landed_rows('ticket_policy', sla_policy, 'ticket_id key: ticket_id', 'policy_id text: sla_policy_id', 'at timestamptz: policy_applied_at');
        -- What a ticket's targets go by: its policy and its priority, as they were at each change of one of them.
        tables := tables || (E'target AS (\n    SELECT q.ticket_id, q.at, max(q.policy_id) OVER (PARTITION BY q.ticket_id, q.policies) AS policy_id,\n'
               '           max(q.priority) OVER (PARTITION BY q.ticket_id, q.priorities) AS priority,\n'
               '           row_number() OVER (PARTITION BY q.ticket_id, q.at ORDER BY q.policies DESC, q.priorities DESC) AS from_last\n'
               '    FROM (SELECT p.*, count(p.policy_id) OVER since AS policies, count(p.priority) OVER since AS priorities\n'
               '          FROM (SELECT t.ticket_id, t.at, t.policy_id, NULL::text AS priority FROM ticket_policy AS t\n'
            || CASE WHEN history IS NULL THEN '                UNION ALL SELECT k.id, k.created_at, NULL, k.priority FROM ticket AS k WHERE k.priority IS NOT NULL'
                    ELSE '                UNION ALL SELECT h.ticket_id, h.at, NULL, h.value FROM history AS h WHERE h.field = ''priority''' END
            || E') AS p\n          WINDOW since AS (PARTITION BY p.ticket_id ORDER BY p.at, p.policy_id NULLS FIRST, p.priority ROWS UNBOUNDED PRECEDING)) AS q)');
        branches := branches || _event_rows(
            E'FROM target AS g LEFT JOIN ticket AS k ON k.id = g.ticket_id\nWHERE g.policy_id IS NOT NULL AND g.from_last = 1 AND k.deleted IS NOT TRUE',
            '''case''', 'g.ticket_id', '''field_set''', 'g.at',
            '''ticket_sla_policy/'' || g.ticket_id || ''/'' || _key_time(g.at) || ''/'' || g.policy_id || coalesce('' '' || g.priority, '''')',
            field => '''sla_target''', code => 'g.policy_id || coalesce('' '' || g.priority, '''')', code_list => '''segment''', seq => '0');
    END IF;

    IF organization IS NOT NULL THEN
        PERFORM _demand_column(organization, 'id');
        tables := tables || _landed_rows('organization', organization, 'id key: id', 'deleted boolean: _fivetran_deleted', 'created_at timestamptz: created_at');
        branches := branches || _event_rows('FROM organization AS o WHERE o.deleted IS NOT TRUE', '''account''', 'o.id', '''created''', 'o.created_at',
            '''organization/'' || o.id || ''/created''', seq => '1');
    END IF;

    links := ARRAY[
        _link_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE AND k.organization_id IS NOT NULL', '''case''', 'k.id', '''account''', 'k.organization_id', '''account'''),
        _link_rows('FROM ticket AS k WHERE k.deleted IS NOT TRUE AND k.requester_id IS NOT NULL', '''case''', 'k.id', '''person''', 'k.requester_id', '''contact_role'''),
        _link_rows('FROM landed_user AS u WHERE u.organization_id IS NOT NULL AND u.role = ''end-user''', '''person''', 'u.id', '''account''', 'u.organization_id', '''account''')];

    events_view := _make_mapping_view(views, source || '_events', tables, branches, 'UNION ALL',
        'Zendesk''s tables as events, for load(): made by map_zendesk(), which replaces it when it is called again. Alter it as you like.');
    links_view := _make_mapping_view(views, source || '_links', tables, links, 'UNION',
        'Zendesk''s organizations and requesters as links, for load(): made by map_zendesk(), which replaces it when it is called again. Alter it as you like.');
    PERFORM map_source(source, events => events_view, links => links_view);

    RETURN QUERY
    SELECT coalesce(n.found::text, n.name), n.note
    FROM (VALUES
        (1, ticket, 'ticket', format('tickets are cases; lifecycle %s; lead_source: the channel', lifecycle)),
        (2, history, 'ticket_field_history', CASE WHEN history IS NULL
            THEN 'not landed: only the current status is known, entered at the last update if solved or closed, at the creation if not; current assignee, priority and group as of the creation'
            ELSE 'every change of status, priority (which is the segment too), assignee and group; reopened where a solved ticket is worked on again' END),
        (3, comments, 'ticket_comment', CASE WHEN comments IS NULL THEN 'not landed: touches are not known'
            WHEN users IS NULL THEN 'public comments: touch_in by the requester, touch_out by anybody else, since no user is landed'
            ELSE 'public comments: touch_out by agents and admins, touch_in by the requester and other end users; those of an unknown author are not read' END),
        (4, users, 'user', CASE WHEN users IS NULL THEN format('not landed: agents are called %s/user/ and their id', source) ELSE 'agents by e-mail' END),
        (5, groups, 'group', CASE WHEN groups IS NULL THEN 'not landed: groups are called by their id' ELSE 'groups by name' END),
        (6, organization, 'organization', CASE WHEN organization IS NULL THEN 'not landed: accounts are known by their key alone' ELSE 'organizations are accounts' END),
        (7, sla_policy, 'ticket_sla_policy', CASE WHEN sla_policy IS NULL THEN 'not landed: which SLA policy a ticket has is not known'
            ELSE 'sla_target: the SLA policy and the priority of a ticket, as draft_zendesk_slas() reads it' END),
        (8, NULL, 'deleted tickets', 'enter the stage deleted; rows that the connector says are deleted are left out'),
        (9, NULL, 'merged tickets', 'are closed, and each stays a case of its own'),
        (10, events_view, NULL, 'made'), (11, links_view, NULL, 'made')) AS n (no, found, name, note)
    ORDER BY n.no;
END $$;
COMMENT ON FUNCTION map_zendesk(text, text, text, text) IS
'Maps Zendesk''s tables, as connectors land them, to facts: makes the views <source>_events and <source>_links and calls map_source(). Rows: what was found, and what is missing and what that means.
landed: the schema with the tables, in any spelling. views: the schema of the views; they are replaced. lifecycle: that of the status of tickets.
Errors: undefined_table (42P01) without a table of tickets; undefined_column (42703) where a table lacks its key.';

-- SLA policies

CREATE FUNCTION _zendesk_time_zone(name text)
RETURNS text
LANGUAGE SQL STABLE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- Most names are the city of an IANA name; these are not.
    WITH other (name, zone) AS (VALUES
        ('International Date Line West', 'Etc/GMT+12'), ('Midway Island', 'Pacific/Midway'), ('American Samoa', 'Pacific/Pago_Pago'), ('Hawaii', 'Pacific/Honolulu'),
        ('Alaska', 'America/Juneau'), ('Pacific Time (US & Canada)', 'America/Los_Angeles'), ('Mountain Time (US & Canada)', 'America/Denver'), ('Arizona', 'America/Phoenix'),
        ('Central Time (US & Canada)', 'America/Chicago'), ('Eastern Time (US & Canada)', 'America/New_York'), ('Atlantic Time (Canada)', 'America/Halifax'),
        ('Central America', 'America/Guatemala'), ('Saskatchewan', 'America/Regina'), ('Guadalajara', 'America/Mexico_City'), ('Indiana (East)', 'America/Indiana/Indianapolis'),
        ('Quito', 'America/Lima'), ('Georgetown', 'America/Guyana'), ('Newfoundland', 'America/St_Johns'), ('Brasilia', 'America/Sao_Paulo'), ('Greenland', 'America/Godthab'),
        ('Mid-Atlantic', 'Atlantic/South_Georgia'), ('Cape Verde Is.', 'Atlantic/Cape_Verde'), ('Edinburgh', 'Europe/London'), ('Bern', 'Europe/Zurich'),
        ('West Central Africa', 'Africa/Algiers'), ('Kyiv', 'Europe/Kiev'), ('Pretoria', 'Africa/Johannesburg'), ('St. Petersburg', 'Europe/Moscow'), ('Abu Dhabi', 'Asia/Muscat'),
        ('Ekaterinburg', 'Asia/Yekaterinburg'), ('Islamabad', 'Asia/Karachi'), ('Chennai', 'Asia/Kolkata'), ('Mumbai', 'Asia/Kolkata'), ('New Delhi', 'Asia/Kolkata'),
        ('Sri Jayawardenepura', 'Asia/Colombo'), ('Astana', 'Asia/Dhaka'), ('Hanoi', 'Asia/Bangkok'), ('Beijing', 'Asia/Shanghai'), ('Ulaan Bataar', 'Asia/Ulaanbaatar'),
        ('Osaka', 'Asia/Tokyo'), ('Sapporo', 'Asia/Tokyo'), ('Marshall Is.', 'Pacific/Majuro'), ('Nuku''alofa', 'Pacific/Tongatapu'), ('Solomon Is.', 'Pacific/Guadalcanal'),
        ('New Caledonia', 'Pacific/Noumea'), ('Wellington', 'Pacific/Auckland'), ('Samoa', 'Pacific/Apia'), ('Tokelau Is.', 'Pacific/Fakaofo'), ('Chatham Is.', 'Pacific/Chatham'))
    SELECT coalesce((SELECT o.zone FROM other AS o WHERE o.name = $1),
                    (SELECT z.name FROM pg_timezone_names AS z
                     WHERE (z.name = $1 OR z.name LIKE '%/' || replace(replace($1, ' ', E'\\_'), '%', E'\\%')) AND z.name NOT LIKE 'posix/%' AND z.name NOT LIKE 'right/%'
                     ORDER BY z.name <> $1, length(z.name), z.name COLLATE "C" LIMIT 1));
END;
COMMENT ON FUNCTION _zendesk_time_zone(text) IS 'The IANA name of a time zone as Zendesk calls it: Pacific Time (US & Canada), London. NULL: there is none.';

CREATE FUNCTION _is_agreed(kind text, key text, at timestamptz)
RETURNS boolean
LANGUAGE SQL STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT _in_force(kind, key, at) IS NOT NULL;
END;
COMMENT ON FUNCTION _is_agreed(text, text, timestamptz) IS 'Whether a definition is in force at an instant. Runs with its owner''s rights: drafters have none on the tables.';

CREATE FUNCTION _draft_of(change bigint, OUT number bigint, OUT begins_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
AS $$
BEGIN
    number := _my_draft(change);
    begins_at := (SELECT coalesce(c.effective_at, clock_timestamp()) FROM revacct_data.change AS c WHERE c.change_id = number);
END $$;
COMMENT ON FUNCTION _draft_of(bigint) IS 'The draft that is meant, and when it would be in force. Runs with its owner''s rights: for what reads tables with the rights of whoever drafts.';

CREATE FUNCTION draft_zendesk_slas(landed text, lifecycle text DEFAULT 'ticket', change bigint DEFAULT NULL)
RETURNS TABLE (drafted text, note text)
LANGUAGE plpgsql
SET search_path = pg_catalog, revacct, pg_temp
AS $$
DECLARE
    policies constant regclass := _main_table(landed, 'Zendesk''s SLA policies', 'sla_policy_metric_history');
    schedules constant regclass := _landed_table(landed, 'schedule', 'schedules');
    holidays constant regclass := _landed_table(landed, 'schedule_holiday', 'schedule_holidays');
    history constant regclass := _landed_table(landed, 'ticket_field_history');
    draft bigint;
    at timestamptz;
    statuses text[] := '{new, open, pending, hold, solved, closed, deleted}';
    others text[];
    codes text[] := '{}';
    hold text[];
    business text;
    found record;
BEGIN
    SELECT d.number, d.begins_at INTO draft, at FROM _draft_of(change) AS d;
    -- The status of tickets is a lifecycle, drafted where it is not agreed already. Of the statuses that are named so in the history, hold may be on-hold.
    IF history IS NOT NULL THEN
        EXECUTE 'WITH ' || _landed_rows('history', history, 'field key: field_name, field', 'value text: value')
            || ' SELECT array_agg(h.value ORDER BY h.value COLLATE "C") FROM (SELECT DISTINCT h.value FROM history AS h WHERE h.field = ''status'' AND h.value <> ALL ($1)) AS h'
        INTO others USING statuses;
        statuses := statuses[:4] || others || statuses[5:];
    END IF;
    IF NOT _is_agreed('lifecycle', object_key(lifecycle), at) THEN
        PERFORM define_lifecycle(lifecycle, 'The status of a ticket', subject_kind => 'case', change => draft);
        PERFORM define_stage(lifecycle, s.status, s.no::int * 10, CASE s.status WHEN 'closed' THEN 'won' WHEN 'deleted' THEN 'lost' ELSE 'open' END,
                             'Zendesk calls the ticket ' || s.status, change => draft)
        FROM unnest(statuses) WITH ORDINALITY AS s (status, no);
        drafted := 'lifecycle ' || lifecycle;
        note := 'its stages are the statuses of tickets; a solved one may be reopened, so only closed is an end';
        RETURN NEXT;
    END IF;
    hold := ARRAY(SELECT s.status FROM unnest(statuses) AS s (status) WHERE s.status <> ALL ('{new, open, pending, solved, closed, deleted}'));

    -- Schedules: minutes of the week in local time, from Sunday on. What Zendesk says of UTC is right in half of the year.
    IF schedules IS NOT NULL THEN
        FOR found IN EXECUTE 'WITH '
            || _landed_rows('schedule', schedules, 'id key: id', 'name text: name', 'time_zone text: time_zone', 'opens numeric: start_time', 'closes numeric: end_time',
                            'created_at timestamptz: created_at', 'deleted boolean: _fivetran_deleted') || ', '
            || _landed_rows('holiday', holidays, 'schedule_id text: schedule_id', 'starts_at timestamptz: start_date', 'ends_at timestamptz: end_date', 'deleted boolean: _fivetran_deleted')
            || $query$
            SELECT s.id, min(s.name) AS name, min(s.time_zone) AS time_zone,
                   array_agg((ARRAY['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'])[d.day % 7 + 1] || ' ' || to_char(make_interval(mins => greatest(s.opens::int - d.day * 1440, 0)), 'HH24:MI')
                             || '-' || to_char(make_interval(mins => least(s.closes::int - d.day * 1440, 1440)), 'HH24:MI') ORDER BY s.opens, d.day) AS hours,
                   ARRAY(SELECT DISTINCT day.at::date FROM holiday AS h, generate_series(timezone('UTC', h.starts_at), timezone('UTC', h.ends_at), interval '1 day') AS day (at)
                         WHERE h.schedule_id = s.id AND h.deleted IS NOT TRUE ORDER BY 1) AS holidays
            FROM schedule AS s, generate_series(s.opens::int / 1440, (s.closes::int - 1) / 1440) AS d (day)
            WHERE s.deleted IS NOT TRUE AND s.closes > s.opens
            GROUP BY s.id ORDER BY min(s.created_at), s.id
            $query$
        LOOP
            IF _zendesk_time_zone(found.time_zone) IS NULL THEN
                RAISE EXCEPTION 'time zone "%" of schedule "%" is not known', found.time_zone, found.name
                    USING ERRCODE = 'invalid_parameter_value', HINT = 'Put a view in place of the table that says an IANA name.';
            END IF;
            drafted := format('Zendesk %s', coalesce(found.name, found.id));
            IF drafted = business THEN
                drafted := format('%s (%s)', drafted, found.id);
            END IF;
            PERFORM define_calendar(drafted, _zendesk_time_zone(found.time_zone), found.hours, holidays => found.holidays, meaning => 'A schedule of Zendesk', change => draft);
            note := CASE WHEN business IS NULL THEN 'business hours of the SLAs: ' ELSE 'not used: which ticket has which schedule is not a matter of a policy; ' END
                || CASE WHEN found.holidays = '{}' THEN 'no holidays are landed' ELSE format('%s holidays, until %s', cardinality(found.holidays), found.holidays[cardinality(found.holidays)]) END;
            business := coalesce(business, drafted);
            drafted := 'calendar ' || drafted;
            RETURN NEXT;
        END LOOP;
    END IF;

    PERFORM define_code('event', 'sla_target_set', meaning => 'The SLA policy and the priority of a ticket are set', change => draft)
    WHERE NOT _is_agreed('code', object_key('event', 'sla_target_set'), at);
    -- The targets in force then: of each policy and priority the last that was set before.
    FOR found IN EXECUTE 'WITH '
        || _landed_rows('version', policies, 'policy key: sla_policy_id', 'metric text: metric', 'priority text: priority', 'target numeric: target', 'business boolean: business_hours',
                        'since timestamptz: sla_policy_updated_at')
        || $query$
        , latest AS (
            -- What a policy said last is all it says: a metric it no longer names has no target any more.
            SELECT v.*, max(v.since) OVER (PARTITION BY v.policy, v.metric) AS last FROM version AS v WHERE v.since <= $1)
        SELECT l.metric, array_agg(l.policy || ' ' || l.priority ORDER BY l.policy, l.priority) AS codes, array_agg(l.target ORDER BY l.policy, l.priority) AS targets,
               array_agg(l.business IS TRUE ORDER BY l.policy, l.priority) AS business
        FROM latest AS l WHERE l.since = l.last AND l.target > 0 AND l.priority IS NOT NULL GROUP BY l.metric ORDER BY l.metric COLLATE "C"
        $query$ USING at
    LOOP
        drafted := 'SLA ' || found.metric;
        IF found.metric NOT IN ('first_reply_time', 'next_reply_time', 'requester_wait_time', 'agent_work_time', 'total_resolution_time') THEN
            note := 'left out: it is no clock of one start and one end';
            RETURN NEXT;
            CONTINUE;
        ELSIF business IS NULL AND true = ANY (found.business) THEN
            note := 'left out: it is in business hours, and no schedule is landed';
            RETURN NEXT;
            CONTINUE;
        END IF;
        PERFORM define_sla(found.metric, lifecycle => lifecycle, segment => '{sla_target_set}', change => draft,
            start => CASE found.metric WHEN 'next_reply_time' THEN '{touch_in}' ELSE '{created}' END::text[],
            stop => CASE WHEN found.metric IN ('first_reply_time', 'next_reply_time') THEN '{touch_out}' ELSE '{solved, closed}' END::text[],
            cancel => CASE WHEN found.metric IN ('first_reply_time', 'next_reply_time') THEN '{solved, closed, deleted}' ELSE '{deleted}' END::text[],
            pause => CASE found.metric WHEN 'requester_wait_time' THEN '{pending}' WHEN 'agent_work_time' THEN '{pending}' || hold ELSE '{}' END::text[],
            resume => CASE found.metric WHEN 'requester_wait_time' THEN '{new, open}' || hold WHEN 'agent_work_time' THEN '{new, open}' ELSE '{}' END::text[],
            reopen => CASE found.metric WHEN 'next_reply_time' THEN 'restart' ELSE 'resume' END,
            meaning => CASE found.metric WHEN 'first_reply_time' THEN 'From the creation to the first public reply of an agent'
                WHEN 'next_reply_time' THEN 'From a public comment of the requester that is not answered yet to the next public reply of an agent'
                WHEN 'requester_wait_time' THEN 'From the creation until it is solved, but for the time in which the requester is asked'
                WHEN 'agent_work_time' THEN 'From the creation until it is solved, but for the time in which others are asked'
                ELSE 'From the creation until it is solved' END);
        PERFORM define_code('segment', t.code, meaning => 'An SLA policy of Zendesk, and a priority', change => draft)
        FROM unnest(found.codes) AS t (code)
        WHERE t.code <> ALL (codes) AND NOT _is_agreed('code', object_key('segment', t.code), at);
        codes := codes || found.codes;
        PERFORM define_sla_target(found.metric, make_interval(mins => t.target::int), segment => t.code, calendar => CASE WHEN t.is_business THEN business END, change => draft)
        FROM unnest(found.codes, found.targets, found.business) AS t (code, target, is_business);
        note := format('%s targets, as of %s', cardinality(found.codes), timezone('UTC', at)::date);
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION draft_zendesk_slas(text, text, bigint) IS
'Drafts Zendesk''s SLA policies: a calendar for each schedule, an SLA for each metric with a target for each policy and priority (a segment such as 1001 urgent: what map_zendesk() makes sla_target of), as they were when the change takes effect; and the lifecycle of the status of tickets, where it is not agreed already. Rows: what was drafted, and what was left out. Business hours are those of the oldest schedule.
landed: the schema with the tables, in any spelling. lifecycle: as map_zendesk(). change: the draft it belongs to; NULL: the only one of yours.
Errors: undefined_table (42P01) without sla_policy_metric_history; invalid_parameter_value (22023) for a time zone that is not known; those of define_sla().';
