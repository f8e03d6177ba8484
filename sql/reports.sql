--
-- reports.sql: what BI tools and people read: plain columns, as docs/facts.md says.
--
-- Nothing is computed here: the kernel's summaries of the packs are merged for each group and read as rows. What a refresh
-- makes anew are the groups in which something happened, those with a clock that has come due, and those that are older than
-- it may be; each tells as of when it is. Groups are the finest ones for those who may see all. For others, groups of too few subjects are shown together,
-- with as many of the next smallest as it takes to hide them; so totals are everybody's, but for months that are
-- smaller altogether, which they do not see.
--

CREATE TABLE revacct_data.report_setting (
    minimum_group int NOT NULL CHECK (minimum_group BETWEEN 1 AND 1000),
    set_by text NOT NULL,
    set_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX ON revacct_data.report_setting ((true));
COMMENT ON TABLE revacct_data.report_setting IS 'One row once somebody has called set_minimum_group().';
COMMENT ON COLUMN revacct_data.report_setting.minimum_group IS 'Of how many subjects a group is at least that is open to everybody.';
COMMENT ON COLUMN revacct_data.report_setting.set_by IS 'The session''s user who set it.';
COMMENT ON COLUMN revacct_data.report_setting.set_at IS 'When.';

CREATE FUNCTION set_minimum_group(subjects int)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on'
AS $$
BEGIN
    PERFORM _demand_access('{council}', 'say what is open to everybody');
    IF subjects IS NULL OR subjects NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'a group is of 1 to 1000 subjects' USING ERRCODE = 'invalid_parameter_value', DETAIL = format('It is %s.', coalesce(subjects::text, 'NULL'));
    END IF;
    INSERT INTO revacct_data.report_setting (minimum_group, set_by, set_at) VALUES (subjects, session_user, clock_timestamp())
    ON CONFLICT ((true)) DO UPDATE SET minimum_group = excluded.minimum_group, set_by = excluded.set_by, set_at = excluded.set_at;
END $$;
COMMENT ON FUNCTION set_minimum_group(int) IS
'Says of how many subjects a group is at least that everybody may see in the reports; smaller ones are shown together from the next refresh on. It is 5 as long as nobody says. For the council.
Errors: invalid_parameter_value (22023), insufficient_privilege (42501).';

-- Who sees what

CREATE FUNCTION _session_sees_all()
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT revacct._has_access('{analyst, steward, council}')
           OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = session_user
                      AND (r.rolsuper OR r.oid = (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database())));
END;
COMMENT ON FUNCTION _session_sees_all() IS 'Does the session''s user see every subject: analysts, stewards, the council, and who administers the database? Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION _sees_all()
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    SELECT NOT revacct._in_maintenance() AND revacct._session_sees_all();
END;
COMMENT ON FUNCTION _sees_all() IS 'The same of a function that is called, as opposed to a view that is read: in the middle of maintenance, it is not the session''s user who calls.';

CREATE FUNCTION _viewer_sees_all(viewer name)
RETURNS boolean
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- Both who is logged in and as whom it reads: a materialized view is refreshed as its owner, by whoever refreshes all.
    WITH RECURSIVE belongs (oid) AS (
        SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = viewer
        UNION
        SELECT m.roleid FROM pg_catalog.pg_auth_members AS m JOIN belongs AS b ON m.member = b.oid
    )
    SELECT revacct._session_sees_all()
           AND (viewer = session_user
                OR EXISTS (SELECT FROM belongs AS b JOIN pg_catalog.pg_roles AS r ON r.oid = b.oid JOIN revacct_data.access AS a ON a.db_role = r.rolname::text WHERE a.level IN ('analyst', 'steward', 'council'))
                OR EXISTS (SELECT FROM pg_catalog.pg_roles AS r WHERE r.rolname = viewer
                           AND (r.rolsuper OR r.oid = (SELECT d.datdba FROM pg_catalog.pg_database AS d WHERE d.datname = pg_catalog.current_database()))));
END;
COMMENT ON FUNCTION _viewer_sees_all(name) IS 'Whether the session''s user sees every subject, and the role does that it reads as. Runs with its owner''s rights: readers have none on the tables.';

CREATE FUNCTION _my_party_numbers(viewer name)
RETURNS bigint[]
LANGUAGE SQL STABLE PARALLEL SAFE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp
BEGIN ATOMIC
    -- oneself; the teams one is in; of those one leads, also who is in them
    WITH RECURSIVE held AS (
        SELECT r.party, r.role, (revacct._key_names(r.object))[1] AS team
        FROM revacct_data.responsibility AS r JOIN revacct_data.validity AS i USING (version_id)
        WHERE r.object_kind = 'party' AND r.role IN ('member', 'manager', 'approver') AND pg_catalog.upper_inf(i.recorded) AND i.valid @> revacct._now()
    ), mine (party, is_self, leads) AS (
        SELECT p.party, true, false FROM revacct_data.party AS p WHERE p.login = session_user
              -- whoever refreshes a materialized view of somebody else's does not put theirs into it
              AND (viewer = session_user OR NOT revacct._in_maintenance())
        UNION
        SELECT n.party, false, n.leads
        FROM mine AS m
             CROSS JOIN LATERAL (
                 -- of who is led, the teams they lead in turn, not those they are merely in
                 SELECT h.team AS party, h.role <> 'member' AS leads FROM held AS h WHERE h.party = m.party AND (m.is_self OR h.role <> 'member')
                 UNION ALL
                 SELECT h.party, false FROM held AS h WHERE h.team = m.party AND m.leads AND h.role = 'member') AS n
    )
    SELECT pg_catalog.array_agg(p.party_no) FROM revacct_data.party AS p WHERE p.party IN (SELECT m.party FROM mine AS m);
END;
COMMENT ON FUNCTION _my_party_numbers(name) IS 'The parties whose subjects the session''s user sees: itself, its teams, and the members of teams it leads. Runs with its owner''s rights: readers have none on the tables.';

-- Figures

CREATE TABLE revacct_data.cell_figure (
    cell_id bigint PRIMARY KEY,
    funnel funnel_summary NOT NULL,
    velocity velocity_summary NOT NULL
);
COMMENT ON TABLE revacct_data.cell_figure IS 'Derived: the summaries of each finest group, as of when its groups were made. Those of one instant merge: after refresh(false, ''0''), rollup(velocity) gives the exact medians of any union of groups.';
COMMENT ON COLUMN revacct_data.cell_figure.cell_id IS 'The group.';
COMMENT ON COLUMN revacct_data.cell_figure.funnel IS 'How far its subjects come.';
COMMENT ON COLUMN revacct_data.cell_figure.velocity IS 'How long they stay.';

CREATE TABLE revacct_data.cell_sla_figure (
    cell_id bigint NOT NULL,
    policy text NOT NULL,
    breaches breach_summary NOT NULL,
    PRIMARY KEY (cell_id, policy)
);
COMMENT ON TABLE revacct_data.cell_sla_figure IS 'Derived: the summaries of each SLA and finest group, as of when its groups were made.';
COMMENT ON COLUMN revacct_data.cell_sla_figure.cell_id IS 'The group.';
COMMENT ON COLUMN revacct_data.cell_sla_figure.policy IS 'The SLA.';
COMMENT ON COLUMN revacct_data.cell_sla_figure.breaches IS 'What became of its clocks.';

CREATE TABLE revacct_data.report_group (
    group_id uuid PRIMARY KEY,
    audience text NOT NULL CHECK (audience IN ('all', 'analyst', 'reader')),
    lifecycle text NOT NULL,
    period_start date NOT NULL,
    period text NOT NULL,
    segment text,
    lead_source text,
    owner text,
    currency text,
    subjects bigint NOT NULL,
    cells bigint[] NOT NULL,
    as_of timestamptz NOT NULL
);
COMMENT ON TABLE revacct_data.report_group IS 'Derived: the groups of the reports.';
COMMENT ON COLUMN revacct_data.report_group.group_id IS 'Its key, made of the names below.';
COMMENT ON COLUMN revacct_data.report_group.audience IS 'Who sees it: all, those who see all (analyst), or those who do not (reader).';
COMMENT ON COLUMN revacct_data.report_group.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN revacct_data.report_group.period_start IS 'The month.';
COMMENT ON COLUMN revacct_data.report_group.period IS 'The month as text.';
COMMENT ON COLUMN revacct_data.report_group.segment IS 'The segment.';
COMMENT ON COLUMN revacct_data.report_group.lead_source IS 'The lead source.';
COMMENT ON COLUMN revacct_data.report_group.owner IS 'The owner.';
COMMENT ON COLUMN revacct_data.report_group.currency IS 'The currency.';
COMMENT ON COLUMN revacct_data.report_group.subjects IS 'How many subjects are in it.';
COMMENT ON COLUMN revacct_data.report_group.cells IS 'The finest groups that it is made of.';
COMMENT ON COLUMN revacct_data.report_group.as_of IS 'The time as of which its figures are.';

CREATE TABLE revacct_data.funnel_figure (
    group_id uuid NOT NULL,
    stage_no int,
    stage text,
    category text,
    entered bigint,
    observed bigint,
    imputed bigint,
    converted bigint,
    lost bigint,
    no_decision bigint,
    recycled bigint,
    churned bigint,
    in_progress bigint,
    expired bigint,
    conversion_rate numeric(9,6),
    rate_low numeric(9,6),
    rate_high numeric(9,6),
    decided_rate numeric(9,6),
    timed_count bigint,
    mean_days_to_convert numeric(12,2),
    amount_entered numeric(18,2),
    amount_converted numeric(18,2),
    amount_lost numeric(18,2),
    PRIMARY KEY (group_id, stage_no)
);
COMMENT ON TABLE revacct_data.funnel_figure IS 'Derived: the rows of the view funnel.';
COMMENT ON COLUMN revacct_data.funnel_figure.group_id IS 'The group.';
COMMENT ON COLUMN revacct_data.funnel_figure.stage_no IS 'The stage''s place in the order, to sort by.';
COMMENT ON COLUMN revacct_data.funnel_figure.stage IS 'The stage.';
COMMENT ON COLUMN revacct_data.funnel_figure.category IS 'What being there means: open, won or active.';
COMMENT ON COLUMN revacct_data.funnel_figure.entered IS 'How many attempts entered the stage, seen there or passed; the denominator of conversion_rate.';
COMMENT ON COLUMN revacct_data.funnel_figure.observed IS 'How many of them were seen there.';
COMMENT ON COLUMN revacct_data.funnel_figure.imputed IS 'How many passed it unseen.';
COMMENT ON COLUMN revacct_data.funnel_figure.converted IS 'How many of those that entered went on to a later stage; the numerator of conversion_rate.';
COMMENT ON COLUMN revacct_data.funnel_figure.lost IS 'How many ended there by an exit that is not won, whatever it is.';
COMMENT ON COLUMN revacct_data.funnel_figure.no_decision IS 'How many of the lost ended without a decision.';
COMMENT ON COLUMN revacct_data.funnel_figure.recycled IS 'How many of the lost were recycled.';
COMMENT ON COLUMN revacct_data.funnel_figure.churned IS 'How many of the lost churned.';
COMMENT ON COLUMN revacct_data.funnel_figure.in_progress IS 'How many are there and may go on.';
COMMENT ON COLUMN revacct_data.funnel_figure.expired IS 'How many stayed there until their window closed.';
COMMENT ON COLUMN revacct_data.funnel_figure.conversion_rate IS 'The share, 0 to 1, of those that entered that went on: converted / entered; NULL when nobody entered. Not to be summed or averaged.';
COMMENT ON COLUMN revacct_data.funnel_figure.rate_low IS 'The lower limit of conversion_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.funnel_figure.rate_high IS 'The upper limit of conversion_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.funnel_figure.decided_rate IS 'The share, 0 to 1, of the decided that went on: converted / (converted + lost + expired); biased while many are in progress. Not to be summed.';
COMMENT ON COLUMN revacct_data.funnel_figure.timed_count IS 'How many conversions have both times.';
COMMENT ON COLUMN revacct_data.funnel_figure.mean_days_to_convert IS 'The mean days to the next stage, over timed_count conversions. Not to be summed.';
COMMENT ON COLUMN revacct_data.funnel_figure.amount_entered IS 'The amounts of those that entered, in currency; NULL without amounts.';
COMMENT ON COLUMN revacct_data.funnel_figure.amount_converted IS 'The amounts of those that went on.';
COMMENT ON COLUMN revacct_data.funnel_figure.amount_lost IS 'The amounts of those that ended there.';

CREATE TABLE revacct_data.velocity_figure (
    group_id uuid NOT NULL,
    stage_no int,
    stage text,
    category text,
    visits bigint,
    pending bigint,
    moved_forward bigint,
    skipped bigint,
    moved_back bigint,
    repeated bigint,
    won bigint,
    lost bigint,
    no_decision bigint,
    recycled bigint,
    churned bigint,
    median_days numeric(12,2),
    median_low_days numeric(12,2),
    median_high_days numeric(12,2),
    p25_days numeric(12,2),
    p75_days numeric(12,2),
    p90_days numeric(12,2),
    last_observed_days numeric(12,2),
    business_median_days numeric(12,2),
    PRIMARY KEY (group_id, stage_no)
);
COMMENT ON TABLE revacct_data.velocity_figure IS 'Derived: the rows of the view stage_velocity.';
COMMENT ON COLUMN revacct_data.velocity_figure.group_id IS 'The group.';
COMMENT ON COLUMN revacct_data.velocity_figure.stage_no IS 'The stage''s place in the order, to sort by.';
COMMENT ON COLUMN revacct_data.velocity_figure.stage IS 'The stage.';
COMMENT ON COLUMN revacct_data.velocity_figure.category IS 'What being there means: open, won or active.';
COMMENT ON COLUMN revacct_data.velocity_figure.visits IS 'How many visits to the stage are measured.';
COMMENT ON COLUMN revacct_data.velocity_figure.pending IS 'How many of them are not over; they count as long as they have lasted.';
COMMENT ON COLUMN revacct_data.velocity_figure.moved_forward IS 'How many left to the next stage.';
COMMENT ON COLUMN revacct_data.velocity_figure.skipped IS 'How many left to a stage after the next.';
COMMENT ON COLUMN revacct_data.velocity_figure.moved_back IS 'How many left to an earlier stage.';
COMMENT ON COLUMN revacct_data.velocity_figure.repeated IS 'How many ended by entering the same stage again.';
COMMENT ON COLUMN revacct_data.velocity_figure.won IS 'How many ended won.';
COMMENT ON COLUMN revacct_data.velocity_figure.lost IS 'How many ended lost.';
COMMENT ON COLUMN revacct_data.velocity_figure.no_decision IS 'How many ended without a decision.';
COMMENT ON COLUMN revacct_data.velocity_figure.recycled IS 'How many were recycled.';
COMMENT ON COLUMN revacct_data.velocity_figure.churned IS 'How many churned.';
COMMENT ON COLUMN revacct_data.velocity_figure.median_days IS 'The days after which half have left (Kaplan-Meier, those still there included); NULL: not reached yet. Not to be summed or averaged.';
COMMENT ON COLUMN revacct_data.velocity_figure.median_low_days IS 'The lower limit of median_days (95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.median_high_days IS 'The upper limit of median_days (95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.p25_days IS 'The days after which a quarter has left. Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.p75_days IS 'The days after which three quarters have left. Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.p90_days IS 'The days after which nine in ten have left. Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.last_observed_days IS 'The longest time observed. Not to be summed.';
COMMENT ON COLUMN revacct_data.velocity_figure.business_median_days IS 'The median in business time, a day of 24 business hours; NULL when the lifecycle has no calendar. Not to be summed.';

CREATE TABLE revacct_data.sla_figure (
    group_id uuid NOT NULL,
    policy text NOT NULL,
    policy_no int,
    policy_version text,
    target_seconds bigint,
    started bigint,
    met bigint,
    breached bigint,
    running bigint,
    paused bigint,
    cancelled bigint,
    at_risk bigint,
    overdue bigint,
    decided bigint,
    breach_rate numeric(9,6),
    rate_low numeric(9,6),
    rate_high numeric(9,6),
    median_hours numeric(12,2),
    p90_hours numeric(12,2),
    median_overdue_hours numeric(12,2),
    PRIMARY KEY (group_id, policy, policy_no)
);
COMMENT ON TABLE revacct_data.sla_figure IS 'Derived: the rows of the view sla_results.';
COMMENT ON COLUMN revacct_data.sla_figure.group_id IS 'The group.';
COMMENT ON COLUMN revacct_data.sla_figure.policy IS 'The SLA.';
COMMENT ON COLUMN revacct_data.sla_figure.policy_no IS 'The place of the target among those of the SLA, to sort by.';
COMMENT ON COLUMN revacct_data.sla_figure.policy_version IS 'The version of the SLA that judged the clocks.';
COMMENT ON COLUMN revacct_data.sla_figure.target_seconds IS 'The time in which it is to be done, in business seconds if there is a calendar. Not to be summed.';
COMMENT ON COLUMN revacct_data.sla_figure.started IS 'How many clocks started: met + breached + running + paused + cancelled.';
COMMENT ON COLUMN revacct_data.sla_figure.met IS 'How many were in time.';
COMMENT ON COLUMN revacct_data.sla_figure.breached IS 'How many were not, open ones included; the numerator of breach_rate.';
COMMENT ON COLUMN revacct_data.sla_figure.running IS 'How many run and are in time.';
COMMENT ON COLUMN revacct_data.sla_figure.paused IS 'How many are paused and in time.';
COMMENT ON COLUMN revacct_data.sla_figure.cancelled IS 'How many were cancelled.';
COMMENT ON COLUMN revacct_data.sla_figure.at_risk IS 'How many of those that run are past the first warning.';
COMMENT ON COLUMN revacct_data.sla_figure.overdue IS 'How many of the breached are still open.';
COMMENT ON COLUMN revacct_data.sla_figure.decided IS 'How many are decided: met + breached; the denominator of breach_rate.';
COMMENT ON COLUMN revacct_data.sla_figure.breach_rate IS 'The share, 0 to 1, that was not in time: breached / decided; NULL when none is decided. Not to be summed or averaged.';
COMMENT ON COLUMN revacct_data.sla_figure.rate_low IS 'The lower limit of breach_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.sla_figure.rate_high IS 'The upper limit of breach_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN revacct_data.sla_figure.median_hours IS 'The hours after which half are done (Kaplan-Meier, those still open included), in business time if there is a calendar. Not to be summed.';
COMMENT ON COLUMN revacct_data.sla_figure.p90_hours IS 'The hours after which nine in ten are done. Not to be summed.';
COMMENT ON COLUMN revacct_data.sla_figure.median_overdue_hours IS 'The hours by which half of the breached were late. Not to be summed.';

CREATE TABLE revacct_data.open_clock (
    policy text,
    lifecycle text,
    cell_id bigint,
    owner_no bigint,
    source text,
    subject_kind text,
    subject_key text,
    period_start date,
    period text,
    segment text,
    lead_source text,
    owner text,
    clock_no int,
    status text,
    started_at timestamptz,
    due_at timestamptz,
    target_seconds bigint,
    elapsed_seconds bigint,
    remaining_seconds bigint,
    overdue_seconds bigint,
    fraction_used numeric(18,6),
    at_risk_count int,
    breach_count int,
    policy_version text,
    as_of timestamptz
);
COMMENT ON TABLE revacct_data.open_clock IS 'Derived: the clocks that were open when their groups were made.';
COMMENT ON COLUMN revacct_data.open_clock.policy IS 'The SLA.';
COMMENT ON COLUMN revacct_data.open_clock.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN revacct_data.open_clock.cell_id IS 'Its group.';
COMMENT ON COLUMN revacct_data.open_clock.owner_no IS 'The number of its owner.';
COMMENT ON COLUMN revacct_data.open_clock.source IS 'The system that the subject is from.';
COMMENT ON COLUMN revacct_data.open_clock.subject_kind IS 'What the subject is.';
COMMENT ON COLUMN revacct_data.open_clock.subject_key IS 'Its key in that system.';
COMMENT ON COLUMN revacct_data.open_clock.period_start IS 'The first day of the month in which it first entered the lifecycle.';
COMMENT ON COLUMN revacct_data.open_clock.period IS 'That month as text, such as 2025-01.';
COMMENT ON COLUMN revacct_data.open_clock.segment IS 'Its segment; NULL: none.';
COMMENT ON COLUMN revacct_data.open_clock.lead_source IS 'Its lead source; NULL: none.';
COMMENT ON COLUMN revacct_data.open_clock.owner IS 'Its owner; NULL: nobody.';
COMMENT ON COLUMN revacct_data.open_clock.clock_no IS 'The clock''s place among those of the subject.';
COMMENT ON COLUMN revacct_data.open_clock.status IS 'Where it stands: running, paused or breached.';
COMMENT ON COLUMN revacct_data.open_clock.started_at IS 'When it started.';
COMMENT ON COLUMN revacct_data.open_clock.due_at IS 'When it is due; NULL while paused, or without a target.';
COMMENT ON COLUMN revacct_data.open_clock.target_seconds IS 'The time in which it is to be done, in business seconds if there is a calendar.';
COMMENT ON COLUMN revacct_data.open_clock.elapsed_seconds IS 'The time it has run.';
COMMENT ON COLUMN revacct_data.open_clock.remaining_seconds IS 'The time left; NULL once breached.';
COMMENT ON COLUMN revacct_data.open_clock.overdue_seconds IS 'The time since it was due; NULL before.';
COMMENT ON COLUMN revacct_data.open_clock.fraction_used IS 'The share of the time that is used: 1 when it is due. Not to be summed.';
COMMENT ON COLUMN revacct_data.open_clock.at_risk_count IS '1 when it is past its first warning and not breached.';
COMMENT ON COLUMN revacct_data.open_clock.breach_count IS '1 when it is breached.';
COMMENT ON COLUMN revacct_data.open_clock.policy_version IS 'The version of the SLA that judges it.';
COMMENT ON COLUMN revacct_data.open_clock.as_of IS 'The time as of which it stands so.';

CREATE INDEX ON revacct_data.open_clock (cell_id);
CREATE INDEX ON revacct_data.open_clock (due_at) WHERE status = 'running';

CREATE TABLE revacct_data.reported_sla (
    policy text PRIMARY KEY,
    lifecycle text NOT NULL,
    definition sla NOT NULL,
    fingerprint text NOT NULL GENERATED ALWAYS AS (revacct.fingerprint(definition)) STORED
);
COMMENT ON TABLE revacct_data.reported_sla IS 'Derived: the SLAs of the reports, as they were agreed at the last refresh.';
COMMENT ON COLUMN revacct_data.reported_sla.policy IS 'Its name.';
COMMENT ON COLUMN revacct_data.reported_sla.lifecycle IS 'The lifecycle whose subjects it judges.';
COMMENT ON COLUMN revacct_data.reported_sla.definition IS 'Its definition, every version in its own time.';
COMMENT ON COLUMN revacct_data.reported_sla.fingerprint IS 'The fingerprint of that.';

CREATE FUNCTION _group_cells()
RETURNS TABLE (group_id uuid, audience text, lifecycle text, period_start date, segment text, lead_source text, owner text, currency text, subjects bigint, cells bigint[])
LANGUAGE plpgsql STABLE
SET search_path = pg_catalog, revacct, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    least_subjects constant int := coalesce((SELECT s.minimum_group FROM revacct_data.report_setting AS s), 5);
BEGIN
    RETURN QUERY
    WITH code_name AS MATERIALIZED (
        -- a retired code is shown as its successor
        SELECT g.number, (_key_names(coalesce(counted_as('code', g.key), g.key)))[2] AS name
        FROM revacct_data.numbering AS g
        WHERE g.kind = 'code' AND g.number IN (SELECT c.segment_no FROM revacct_data.cell AS c UNION SELECT c.lead_source_no FROM revacct_data.cell AS c)
    ), named AS (
        SELECT c.cell_id, c.lifecycle, c.period_start, c.currency, s.name AS segment, l.name AS lead_source, p.party AS owner, n.subjects
        FROM revacct_data.cell AS c
             JOIN (SELECT p.cell_id, sum(p.subjects)::bigint AS subjects FROM revacct_data.pack AS p GROUP BY p.cell_id) AS n USING (cell_id)
             LEFT JOIN code_name AS s ON s.number = c.segment_no
             LEFT JOIN code_name AS l ON l.number = c.lead_source_no
             LEFT JOIN revacct_data.party AS p ON p.party_no = c.owner_no
    ), sized AS (
        SELECT n.lifecycle, n.period_start, n.currency, n.segment, n.lead_source, n.owner, array_agg(n.cell_id ORDER BY n.cell_id) AS cells, sum(n.subjects)::bigint AS subjects
        FROM named AS n GROUP BY n.lifecycle, n.period_start, n.currency, n.segment, n.lead_source, n.owner
    ), ranked AS (
        SELECT s.*, bool_or(s.subjects < least_subjects) OVER month AS has_small, sum(s.subjects) OVER month AS month_subjects,
               -- the small ones, and then as many of the next as make enough
               s.subjects < least_subjects
               OR coalesce(sum(s.subjects) OVER (month ORDER BY s.subjects, s.segment COLLATE "C", s.lead_source COLLATE "C", s.owner COLLATE "C"
                                                 ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) < least_subjects AS is_hidden
        FROM sized AS s
        WINDOW month AS (PARTITION BY s.lifecycle, s.period_start, s.currency)
    ), shown AS (
        SELECT CASE WHEN r.has_small THEN 'analyst' ELSE 'all' END AS audience, false AS is_combined, r.lifecycle, r.period_start, r.currency, r.segment, r.lead_source, r.owner, r.cells, r.subjects
        FROM ranked AS r
        UNION ALL
        SELECT 'reader', false, r.lifecycle, r.period_start, r.currency, r.segment, r.lead_source, r.owner, r.cells, r.subjects
        FROM ranked AS r WHERE r.has_small AND NOT r.is_hidden
        UNION ALL
        SELECT 'reader', true, r.lifecycle, r.period_start, r.currency, '(small groups)', '(small groups)', '(small groups)', array_agg(c.cell_id ORDER BY c.cell_id),
               -- a group has several cells where codes were merged
               sum(CASE WHEN c.no = 1 THEN r.subjects ELSE 0 END)::bigint
        FROM ranked AS r, unnest(r.cells) WITH ORDINALITY AS c (cell_id, no)
        WHERE r.has_small AND r.is_hidden AND r.month_subjects >= least_subjects
        GROUP BY r.lifecycle, r.period_start, r.currency
    )
    SELECT md5(jsonb_build_array(s.audience, s.is_combined, s.lifecycle, s.period_start, s.segment, s.lead_source, s.owner, s.currency)::text)::uuid,
           s.audience, s.lifecycle, s.period_start, s.segment, s.lead_source, s.owner, s.currency, s.subjects, s.cells
    FROM shown AS s;
END $$;
COMMENT ON FUNCTION _group_cells() IS 'The groups of the reports: the finest ones, and for those who do not see all, the small ones together.';

CREATE FUNCTION _refresh_figures(max_age interval)
RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET revacct.by_change = 'on' SET client_min_messages = 'warning'
AS $$
#variable_conflict use_variable
DECLARE
    moment constant timestamptz := (SELECT r.as_of FROM revacct_data.refreshed AS r);
    amount_marks constant int[] := _field_marks('amount_set');
    with_calendar constant text[] := ARRAY(SELECT l.lifecycle FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id)
                                           WHERE l.calendar IS NOT NULL AND upper_inf(i.recorded) AND i.valid @> _now());
    judged_anew text[];
    written bigint;
BEGIN
    -- SLAs that are agreed otherwise now, or not at all
    WITH agreed AS MATERIALIZED (
        SELECT p.policy, p.lifecycle, _sla(p.policy, NULL, NULL) AS definition
        FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id)
        WHERE p.start IS NOT NULL AND p.lifecycle IS NOT NULL AND upper_inf(i.recorded) AND i.valid @> _now()
    ), gone AS (
        DELETE FROM revacct_data.reported_sla AS r
        WHERE NOT EXISTS (SELECT FROM agreed AS a WHERE a.policy = r.policy AND a.lifecycle = r.lifecycle AND fingerprint(a.definition) = r.fingerprint)
        RETURNING r.policy, r.lifecycle
    ), new AS (
        SELECT a.* FROM agreed AS a
        WHERE NOT EXISTS (SELECT FROM revacct_data.reported_sla AS r WHERE a.policy = r.policy AND a.lifecycle = r.lifecycle AND fingerprint(a.definition) = r.fingerprint)
    )
    SELECT array_agg(DISTINCT n.lifecycle) INTO judged_anew FROM (SELECT g.lifecycle FROM gone AS g UNION ALL SELECT n.lifecycle FROM new AS n) AS n;
    INSERT INTO revacct_data.reported_sla (policy, lifecycle, definition)
    SELECT p.policy, p.lifecycle, _sla(p.policy, NULL, NULL)
    FROM revacct_data.policy AS p JOIN revacct_data.validity AS i USING (version_id)
    WHERE p.start IS NOT NULL AND p.lifecycle IS NOT NULL AND upper_inf(i.recorded) AND i.valid @> _now()
    ON CONFLICT DO NOTHING;

    -- The groups to be made anew, and all that they are made of: summaries merge if they are as of one instant.
    INSERT INTO pg_temp.revacct_dirty_cell (cell_id)
    SELECT k.cell_id FROM revacct_data.open_clock AS k WHERE k.status = 'running' AND k.due_at <= moment;
    DROP TABLE IF EXISTS pg_temp.revacct_group, pg_temp.revacct_member, pg_temp.revacct_cell;
    CREATE TEMPORARY TABLE revacct_group AS
    SELECT n.*, r.group_id IS NULL OR r.cells <> n.cells OR r.subjects <> n.subjects OR r.as_of < moment - coalesce(max_age, '0') OR n.lifecycle = ANY (coalesce(judged_anew, '{}'))
                OR n.cells && ARRAY(SELECT d.cell_id FROM pg_temp.revacct_dirty_cell AS d JOIN revacct_data.cell AS c USING (cell_id) WHERE c.lifecycle = n.lifecycle AND c.period_start = n.period_start) AS is_dirty
    FROM _group_cells() AS n LEFT JOIN revacct_data.report_group AS r USING (group_id);
    ANALYZE pg_temp.revacct_group;
    CREATE TEMPORARY TABLE revacct_member AS
    SELECT g.group_id, g.lifecycle, g.currency, c.cell_id FROM pg_temp.revacct_group AS g, unnest(g.cells) AS c (cell_id) WHERE g.is_dirty;
    ANALYZE pg_temp.revacct_member;
    CREATE TEMPORARY TABLE revacct_cell AS
    SELECT c.cell_id, g.lifecycle, g.period_start, g.segment, g.lead_source, g.owner, g.currency
    FROM pg_temp.revacct_group AS g, unnest(g.cells) AS c (cell_id)
    WHERE g.audience <> 'reader' AND c.cell_id IN (SELECT m.cell_id FROM pg_temp.revacct_member AS m);
    ANALYZE pg_temp.revacct_cell;

    -- Rows are replaced, not truncated: whoever reads meanwhile sees the former ones.
    DELETE FROM revacct_data.funnel_figure AS f WHERE NOT EXISTS (SELECT FROM pg_temp.revacct_group AS g WHERE g.group_id = f.group_id AND NOT g.is_dirty);
    DELETE FROM revacct_data.velocity_figure AS f WHERE NOT EXISTS (SELECT FROM pg_temp.revacct_group AS g WHERE g.group_id = f.group_id AND NOT g.is_dirty);
    DELETE FROM revacct_data.sla_figure AS f WHERE NOT EXISTS (SELECT FROM pg_temp.revacct_group AS g WHERE g.group_id = f.group_id AND NOT g.is_dirty);
    DELETE FROM revacct_data.report_group AS r WHERE NOT EXISTS (SELECT FROM pg_temp.revacct_group AS g WHERE g.group_id = r.group_id AND NOT g.is_dirty);
    DELETE FROM revacct_data.cell_figure AS f
    WHERE f.cell_id IN (SELECT m.cell_id FROM pg_temp.revacct_member AS m) OR NOT EXISTS (SELECT FROM revacct_data.cell AS c WHERE c.cell_id = f.cell_id);
    DELETE FROM revacct_data.cell_sla_figure AS f
    WHERE f.cell_id IN (SELECT m.cell_id FROM pg_temp.revacct_member AS m) OR NOT EXISTS (SELECT FROM revacct_data.cell AS c WHERE c.cell_id = f.cell_id);
    DELETE FROM revacct_data.open_clock AS f
    WHERE f.cell_id IN (SELECT m.cell_id FROM pg_temp.revacct_member AS m) OR NOT EXISTS (SELECT FROM revacct_data.pack AS p WHERE p.cell_id = f.cell_id)
       OR NOT EXISTS (SELECT FROM revacct_data.reported_sla AS s WHERE s.policy = f.policy);

    INSERT INTO revacct_data.report_group (group_id, audience, lifecycle, period_start, period, segment, lead_source, owner, currency, subjects, cells, as_of)
    SELECT g.group_id, g.audience, g.lifecycle, g.period_start, to_char(g.period_start, 'YYYY-MM'), g.segment, g.lead_source, g.owner, g.currency, g.subjects, g.cells, moment
    FROM pg_temp.revacct_group AS g WHERE g.is_dirty;
    INSERT INTO revacct_data.cell_figure (cell_id, funnel, velocity)
    SELECT c.cell_id, coalesce(counted.funnel, weighed.funnel), v.velocity
    FROM pg_temp.revacct_cell AS c
         JOIN (SELECT p.cell_id, stage_velocity(p.pack, l.definition, moment) AS velocity
               FROM pg_temp.revacct_cell AS m JOIN revacct_data.pack AS p USING (cell_id) JOIN revacct_data.placed_lifecycle AS l USING (lifecycle)
               GROUP BY p.cell_id) AS v USING (cell_id)
         LEFT JOIN (SELECT p.cell_id, funnel_conversion(p.pack, l.definition, moment) AS funnel
                    FROM pg_temp.revacct_cell AS m JOIN revacct_data.pack AS p USING (cell_id) JOIN revacct_data.placed_lifecycle AS l USING (lifecycle)
                    WHERE m.currency IS NULL GROUP BY p.cell_id) AS counted USING (cell_id)
         LEFT JOIN (SELECT p.cell_id, funnel_conversion(u.journey, l.definition, moment, _last_value(u.journey, amount_marks) / 10000.0) AS funnel
                    FROM pg_temp.revacct_cell AS m JOIN revacct_data.pack AS p USING (cell_id) JOIN revacct_data.placed_lifecycle AS l USING (lifecycle), unpack(p.pack) AS u
                    WHERE m.currency IS NOT NULL GROUP BY p.cell_id) AS weighed USING (cell_id);
    INSERT INTO revacct_data.cell_sla_figure (cell_id, policy, breaches)
    SELECT f.cell_id, f.policy, f.breaches
    FROM (SELECT p.cell_id, s.policy, sla_breach(p.pack, s.definition, moment) AS breaches
          FROM pg_temp.revacct_cell AS m JOIN revacct_data.pack AS p USING (cell_id) JOIN revacct_data.reported_sla AS s USING (lifecycle)
          GROUP BY p.cell_id, s.policy) AS f
    WHERE f.breaches IS NOT NULL;

    INSERT INTO revacct_data.funnel_figure
        (group_id, stage_no, stage, category, entered, observed, imputed, converted, lost, no_decision, recycled, churned, in_progress, expired, conversion_rate, rate_low, rate_high,
         decided_rate, timed_count, mean_days_to_convert, amount_entered, amount_converted, amount_lost)
    SELECT g.group_id, s.stage_no, s.stage, s.category, s.entered, s.observed, s.imputed, s.converted, s.lost, s.no_decision, s.recycled, s.churned, s.in_progress, s.expired,
           s.conversion_rate, s.rate_low, s.rate_high, s.decided_rate, s.timed_count, s.mean_days_to_convert,
           -- a sum that has no room is unknown, rather than in the way of all others
           CASE WHEN abs(s.amount_entered) < 1e15 THEN s.amount_entered END, CASE WHEN abs(s.amount_converted) < 1e15 THEN s.amount_converted END, CASE WHEN abs(s.amount_lost) < 1e15 THEN s.amount_lost END
    FROM (SELECT m.group_id, rollup(f.funnel) AS funnel FROM pg_temp.revacct_member AS m JOIN revacct_data.cell_figure AS f USING (cell_id) GROUP BY m.group_id) AS g, stages(g.funnel) AS s;
    GET DIAGNOSTICS written = ROW_COUNT;
    INSERT INTO revacct_data.velocity_figure
        (group_id, stage_no, stage, category, visits, pending, moved_forward, skipped, moved_back, repeated, won, lost, no_decision, recycled, churned, median_days, median_low_days,
         median_high_days, p25_days, p75_days, p90_days, last_observed_days, business_median_days)
    SELECT g.group_id, s.stage_no, s.stage, s.category, s.visits, s.pending, s.forward, s.skip, s.back, s.repeat, s.won, s.lost, s.no_decision, s.recycled, s.churned,
           s.median_days, s.median_low_days, s.median_high_days, s.p25_days, s.p75_days, s.p90_days, s.last_observed_days, b.median_days
    FROM (SELECT m.group_id, m.lifecycle, rollup(f.velocity) AS velocity
          FROM pg_temp.revacct_member AS m JOIN revacct_data.cell_figure AS f USING (cell_id) GROUP BY m.group_id, m.lifecycle) AS g
         CROSS JOIN LATERAL stages(g.velocity) AS s
         LEFT JOIN LATERAL stages(CASE WHEN g.lifecycle = ANY (with_calendar) THEN business_clock(g.velocity) END) AS b ON b.stage_no = s.stage_no;
    INSERT INTO revacct_data.sla_figure
        (group_id, policy, policy_no, policy_version, target_seconds, started, met, breached, running, paused, cancelled, at_risk, overdue, decided, breach_rate, rate_low, rate_high,
         median_hours, p90_hours, median_overdue_hours)
    SELECT g.group_id, g.policy, s.policy_no, s.version, extract(epoch FROM s.target)::bigint, s.started, s.met, s.breached, s.running, s.paused, s.cancelled, s.at_risk, s.overdue, s.met + s.breached,
           s.breach_rate, s.rate_low, s.rate_high, s.median_hours, s.p90_hours, s.median_overdue_hours
    FROM (SELECT m.group_id, f.policy, rollup(f.breaches) AS breaches FROM pg_temp.revacct_member AS m JOIN revacct_data.cell_sla_figure AS f USING (cell_id) GROUP BY m.group_id, f.policy) AS g,
         policies(g.breaches) AS s;
    -- with all that the view shows: to look up each subject's key takes longer than to read the clocks
    INSERT INTO revacct_data.open_clock
        (policy, lifecycle, cell_id, owner_no, source, subject_kind, subject_key, period_start, period, segment, lead_source, owner, clock_no, status, started_at, due_at, target_seconds,
         elapsed_seconds, remaining_seconds, overdue_seconds, fraction_used, at_risk_count, breach_count, policy_version, as_of)
    SELECT s.policy, s.lifecycle, m.cell_id, c.owner_no, r.source, u.kind, u.subject_key, m.period_start, to_char(m.period_start, 'YYYY-MM'), m.segment, m.lead_source, m.owner,
           k.clock_no, k.status, k.started_at, k.due_at, extract(epoch FROM k.target)::bigint, extract(epoch FROM k.elapsed)::bigint,
           CASE WHEN k.status <> 'breached' THEN extract(epoch FROM k.remaining)::bigint END, extract(epoch FROM k.overdue)::bigint, k.fraction_used,
           CASE WHEN k.at_risk THEN 1 ELSE 0 END, CASE WHEN k.status = 'breached' THEN 1 ELSE 0 END, k.version, moment
    FROM pg_temp.revacct_cell AS m JOIN revacct_data.cell AS c USING (cell_id) JOIN revacct_data.pack AS p USING (cell_id) JOIN revacct_data.reported_sla AS s ON s.lifecycle = m.lifecycle
         CROSS JOIN LATERAL sla_open_clocks(p.pack, s.definition, moment) AS k
         JOIN revacct_data.subject AS u ON u.subject_id = k.subject::bigint JOIN revacct_data.source AS r ON r.source_no = u.source_no;
    DROP TABLE pg_temp.revacct_group, pg_temp.revacct_member, pg_temp.revacct_cell;
    RETURN written;
END $$;
COMMENT ON FUNCTION _refresh_figures(interval) IS
'Makes the figures anew of groups in which something happened (the temporary table revacct_dirty_cell tells in which), in which a clock has come due, or which are older than max_age, and returns how many rows of the funnel that are.';

-- The views

CREATE VIEW funnel WITH (security_barrier) AS
    SELECT g.lifecycle, g.period_start, g.period, g.segment, g.lead_source, g.owner, g.currency,
           f.stage_no, f.stage, f.category, f.entered, f.observed, f.imputed, f.converted, f.lost, f.no_decision, f.recycled, f.churned, f.in_progress, f.expired, f.conversion_rate, f.rate_low, f.rate_high, f.decided_rate, f.timed_count, f.mean_days_to_convert, f.amount_entered, f.amount_converted, f.amount_lost,
           g.subjects, g.as_of, l.fingerprint AS definition_fingerprint
    FROM revacct_data.report_group AS g JOIN revacct_data.funnel_figure AS f USING (group_id) JOIN revacct_data.placed_lifecycle AS l USING (lifecycle)
    WHERE g.audience IN ('all', (SELECT CASE WHEN revacct._viewer_sees_all(current_user) THEN 'analyst' ELSE 'reader' END));
COMMENT ON VIEW funnel IS 'How far subjects come: for each lifecycle, month of entry, segment, lead source and owner, one row for each stage, from funnel_conversion(). Each subject counts with its best attempt, or as the lifecycle says. Groups too small to be open to everybody are shown together as (small groups).';
COMMENT ON COLUMN funnel.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN funnel.period_start IS 'The first day of the month, in the lifecycle''s time zone, in which the subjects first entered the lifecycle.';
COMMENT ON COLUMN funnel.period IS 'That month as text, such as 2025-01.';
COMMENT ON COLUMN funnel.segment IS 'The subjects'' segment, the last that was set; NULL: none.';
COMMENT ON COLUMN funnel.lead_source IS 'The subjects'' lead source, the first that was set; NULL: none.';
COMMENT ON COLUMN funnel.owner IS 'The subjects'' owner, the last party assigned; NULL: nobody.';
COMMENT ON COLUMN funnel.currency IS 'The currency of the amounts; NULL: without amounts.';
COMMENT ON COLUMN funnel.stage_no IS 'The stage''s place in the order, to sort by.';
COMMENT ON COLUMN funnel.stage IS 'The stage.';
COMMENT ON COLUMN funnel.category IS 'What being there means: open, won or active.';
COMMENT ON COLUMN funnel.entered IS 'How many attempts entered the stage, seen there or passed; the denominator of conversion_rate.';
COMMENT ON COLUMN funnel.observed IS 'How many of them were seen there.';
COMMENT ON COLUMN funnel.imputed IS 'How many passed it unseen.';
COMMENT ON COLUMN funnel.converted IS 'How many of those that entered went on to a later stage; the numerator of conversion_rate.';
COMMENT ON COLUMN funnel.lost IS 'How many ended there by an exit that is not won, whatever it is.';
COMMENT ON COLUMN funnel.no_decision IS 'How many of the lost ended without a decision.';
COMMENT ON COLUMN funnel.recycled IS 'How many of the lost were recycled.';
COMMENT ON COLUMN funnel.churned IS 'How many of the lost churned.';
COMMENT ON COLUMN funnel.in_progress IS 'How many are there and may go on.';
COMMENT ON COLUMN funnel.expired IS 'How many stayed there until their window closed.';
COMMENT ON COLUMN funnel.conversion_rate IS 'The share, 0 to 1, of those that entered that went on: converted / entered; NULL when nobody entered. Not to be summed or averaged.';
COMMENT ON COLUMN funnel.rate_low IS 'The lower limit of conversion_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN funnel.rate_high IS 'The upper limit of conversion_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN funnel.decided_rate IS 'The share, 0 to 1, of the decided that went on: converted / (converted + lost + expired); biased while many are in progress. Not to be summed.';
COMMENT ON COLUMN funnel.timed_count IS 'How many conversions have both times.';
COMMENT ON COLUMN funnel.mean_days_to_convert IS 'The mean days to the next stage, over timed_count conversions. Not to be summed.';
COMMENT ON COLUMN funnel.amount_entered IS 'The amounts of those that entered, in currency; NULL without amounts.';
COMMENT ON COLUMN funnel.amount_converted IS 'The amounts of those that went on.';
COMMENT ON COLUMN funnel.amount_lost IS 'The amounts of those that ended there.';
COMMENT ON COLUMN funnel.subjects IS 'How many subjects the group has. The same in each of its rows: not to be summed over stages.';
COMMENT ON COLUMN funnel.as_of IS 'The time as of which the row is: that of the last refresh, or of an earlier one if nothing happened in the group since.';
COMMENT ON COLUMN funnel.definition_fingerprint IS 'The fingerprint of the definition that made them.';

CREATE VIEW stage_velocity WITH (security_barrier) AS
    SELECT g.lifecycle, g.period_start, g.period, g.segment, g.lead_source, g.owner, g.currency,
           f.stage_no, f.stage, f.category, f.visits, f.pending, f.moved_forward, f.skipped, f.moved_back, f.repeated, f.won, f.lost, f.no_decision, f.recycled, f.churned, f.median_days, f.median_low_days, f.median_high_days, f.p25_days, f.p75_days, f.p90_days, f.last_observed_days, f.business_median_days,
           g.subjects, g.as_of, l.fingerprint AS definition_fingerprint
    FROM revacct_data.report_group AS g JOIN revacct_data.velocity_figure AS f USING (group_id) JOIN revacct_data.placed_lifecycle AS l USING (lifecycle)
    WHERE g.audience IN ('all', (SELECT CASE WHEN revacct._viewer_sees_all(current_user) THEN 'analyst' ELSE 'reader' END));
COMMENT ON VIEW stage_velocity IS 'How long subjects stay in each stage: for each lifecycle, month of entry, segment, lead source and owner, one row for each stage, from stage_velocity(). Visits that are not over count as long as they have lasted. Groups too small to be open to everybody are shown together as (small groups).';
COMMENT ON COLUMN stage_velocity.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN stage_velocity.period_start IS 'The first day of the month, in the lifecycle''s time zone, in which the subjects first entered the lifecycle.';
COMMENT ON COLUMN stage_velocity.period IS 'That month as text, such as 2025-01.';
COMMENT ON COLUMN stage_velocity.segment IS 'The subjects'' segment, the last that was set; NULL: none.';
COMMENT ON COLUMN stage_velocity.lead_source IS 'The subjects'' lead source, the first that was set; NULL: none.';
COMMENT ON COLUMN stage_velocity.owner IS 'The subjects'' owner, the last party assigned; NULL: nobody.';
COMMENT ON COLUMN stage_velocity.currency IS 'The currency of the amounts; NULL: without amounts.';
COMMENT ON COLUMN stage_velocity.stage_no IS 'The stage''s place in the order, to sort by.';
COMMENT ON COLUMN stage_velocity.stage IS 'The stage.';
COMMENT ON COLUMN stage_velocity.category IS 'What being there means: open, won or active.';
COMMENT ON COLUMN stage_velocity.visits IS 'How many visits to the stage are measured.';
COMMENT ON COLUMN stage_velocity.pending IS 'How many of them are not over; they count as long as they have lasted.';
COMMENT ON COLUMN stage_velocity.moved_forward IS 'How many left to the next stage.';
COMMENT ON COLUMN stage_velocity.skipped IS 'How many left to a stage after the next.';
COMMENT ON COLUMN stage_velocity.moved_back IS 'How many left to an earlier stage.';
COMMENT ON COLUMN stage_velocity.repeated IS 'How many ended by entering the same stage again.';
COMMENT ON COLUMN stage_velocity.won IS 'How many ended won.';
COMMENT ON COLUMN stage_velocity.lost IS 'How many ended lost.';
COMMENT ON COLUMN stage_velocity.no_decision IS 'How many ended without a decision.';
COMMENT ON COLUMN stage_velocity.recycled IS 'How many were recycled.';
COMMENT ON COLUMN stage_velocity.churned IS 'How many churned.';
COMMENT ON COLUMN stage_velocity.median_days IS 'The days after which half have left (Kaplan-Meier, those still there included); NULL: not reached yet. Not to be summed or averaged.';
COMMENT ON COLUMN stage_velocity.median_low_days IS 'The lower limit of median_days (95 %). Not to be summed.';
COMMENT ON COLUMN stage_velocity.median_high_days IS 'The upper limit of median_days (95 %). Not to be summed.';
COMMENT ON COLUMN stage_velocity.p25_days IS 'The days after which a quarter has left. Not to be summed.';
COMMENT ON COLUMN stage_velocity.p75_days IS 'The days after which three quarters have left. Not to be summed.';
COMMENT ON COLUMN stage_velocity.p90_days IS 'The days after which nine in ten have left. Not to be summed.';
COMMENT ON COLUMN stage_velocity.last_observed_days IS 'The longest time observed. Not to be summed.';
COMMENT ON COLUMN stage_velocity.business_median_days IS 'The median in business time, a day of 24 business hours; NULL when the lifecycle has no calendar. Not to be summed.';
COMMENT ON COLUMN stage_velocity.subjects IS 'How many subjects the group has. The same in each of its rows: not to be summed over stages.';
COMMENT ON COLUMN stage_velocity.as_of IS 'The time as of which the row is: that of the last refresh, or of an earlier one if nothing happened in the group since.';
COMMENT ON COLUMN stage_velocity.definition_fingerprint IS 'The fingerprint of the definition that made them.';

CREATE VIEW sla_results WITH (security_barrier) AS
    SELECT f.policy, g.lifecycle, g.period_start, g.period, g.segment, g.lead_source, g.owner, g.currency,
           f.policy_no, f.policy_version, f.target_seconds, f.started, f.met, f.breached, f.running, f.paused, f.cancelled, f.at_risk, f.overdue, f.decided, f.breach_rate, f.rate_low, f.rate_high, f.median_hours, f.p90_hours, f.median_overdue_hours,
           g.subjects, g.as_of, s.fingerprint AS definition_fingerprint
    FROM revacct_data.report_group AS g JOIN revacct_data.sla_figure AS f USING (group_id) JOIN revacct_data.reported_sla AS s USING (policy)
    WHERE g.audience IN ('all', (SELECT CASE WHEN revacct._viewer_sees_all(current_user) THEN 'analyst' ELSE 'reader' END));
COMMENT ON VIEW sla_results IS 'Whether agreed times were kept: for each SLA, lifecycle, month of entry, segment, lead source and owner, one row for each target, from sla_breach(). Every clock is judged by the version in force when it mattered. Groups too small to be open to everybody are shown together as (small groups).';
COMMENT ON COLUMN sla_results.policy IS 'The SLA.';
COMMENT ON COLUMN sla_results.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN sla_results.period_start IS 'The first day of the month, in the lifecycle''s time zone, in which the subjects first entered the lifecycle.';
COMMENT ON COLUMN sla_results.period IS 'That month as text, such as 2025-01.';
COMMENT ON COLUMN sla_results.segment IS 'The subjects'' segment, the last that was set; NULL: none.';
COMMENT ON COLUMN sla_results.lead_source IS 'The subjects'' lead source, the first that was set; NULL: none.';
COMMENT ON COLUMN sla_results.owner IS 'The subjects'' owner, the last party assigned; NULL: nobody.';
COMMENT ON COLUMN sla_results.currency IS 'The currency of the amounts; NULL: without amounts.';
COMMENT ON COLUMN sla_results.policy_no IS 'The place of the target among those of the SLA, to sort by.';
COMMENT ON COLUMN sla_results.policy_version IS 'The version of the SLA that judged the clocks.';
COMMENT ON COLUMN sla_results.target_seconds IS 'The time in which it is to be done, in business seconds if there is a calendar. Not to be summed.';
COMMENT ON COLUMN sla_results.started IS 'How many clocks started: met + breached + running + paused + cancelled.';
COMMENT ON COLUMN sla_results.met IS 'How many were in time.';
COMMENT ON COLUMN sla_results.breached IS 'How many were not, open ones included; the numerator of breach_rate.';
COMMENT ON COLUMN sla_results.running IS 'How many run and are in time.';
COMMENT ON COLUMN sla_results.paused IS 'How many are paused and in time.';
COMMENT ON COLUMN sla_results.cancelled IS 'How many were cancelled.';
COMMENT ON COLUMN sla_results.at_risk IS 'How many of those that run are past the first warning.';
COMMENT ON COLUMN sla_results.overdue IS 'How many of the breached are still open.';
COMMENT ON COLUMN sla_results.decided IS 'How many are decided: met + breached; the denominator of breach_rate.';
COMMENT ON COLUMN sla_results.breach_rate IS 'The share, 0 to 1, that was not in time: breached / decided; NULL when none is decided. Not to be summed or averaged.';
COMMENT ON COLUMN sla_results.rate_low IS 'The lower limit of breach_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN sla_results.rate_high IS 'The upper limit of breach_rate (Wilson, 95 %). Not to be summed.';
COMMENT ON COLUMN sla_results.median_hours IS 'The hours after which half are done (Kaplan-Meier, those still open included), in business time if there is a calendar. Not to be summed.';
COMMENT ON COLUMN sla_results.p90_hours IS 'The hours after which nine in ten are done. Not to be summed.';
COMMENT ON COLUMN sla_results.median_overdue_hours IS 'The hours by which half of the breached were late. Not to be summed.';
COMMENT ON COLUMN sla_results.subjects IS 'How many subjects the group has. The same in each of its rows: not to be summed over stages.';
COMMENT ON COLUMN sla_results.as_of IS 'The time as of which the row is: that of the last refresh, or of an earlier one if nothing happened in the group since.';
COMMENT ON COLUMN sla_results.definition_fingerprint IS 'The fingerprint of the definition that made them.';

CREATE VIEW revacct_data.code_name AS
    SELECT g.number AS code_no, (revacct._key_names(g.key))[1] AS code_list, (revacct._key_names(g.key))[2] AS code FROM revacct_data.numbering AS g WHERE g.kind = 'code';
COMMENT ON VIEW revacct_data.code_name IS 'What the numbers of codes mean.';
COMMENT ON COLUMN revacct_data.code_name.code_no IS 'The number.';
COMMENT ON COLUMN revacct_data.code_name.code_list IS 'The list.';
COMMENT ON COLUMN revacct_data.code_name.code IS 'The code.';

CREATE VIEW sla_status WITH (security_barrier) AS
    SELECT k.policy, k.lifecycle, k.source, k.subject_kind, k.subject_key, k.period_start, k.period, k.segment, k.lead_source, k.owner, k.clock_no, k.status, k.started_at, k.due_at, k.target_seconds, k.elapsed_seconds, k.remaining_seconds, k.overdue_seconds, k.fraction_used, k.at_risk_count, k.breach_count, k.policy_version, k.as_of, d.fingerprint AS definition_fingerprint
    FROM revacct_data.open_clock AS k JOIN revacct_data.reported_sla AS d USING (policy)
    WHERE (SELECT revacct._viewer_sees_all(current_user)) OR k.owner_no = ANY ((SELECT revacct._my_party_numbers(current_user))::bigint[]);
COMMENT ON VIEW sla_status IS 'What is waiting: the open clocks of each SLA, a row each, as of a refresh (as_of); those that came due are breached as of the last. Readers see those of their own subjects, of their teams'', and of the members of teams they lead.';
COMMENT ON COLUMN sla_status.policy IS 'The SLA.';
COMMENT ON COLUMN sla_status.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN sla_status.source IS 'The system that the subject is from.';
COMMENT ON COLUMN sla_status.subject_kind IS 'What the subject is.';
COMMENT ON COLUMN sla_status.subject_key IS 'Its key in that system.';
COMMENT ON COLUMN sla_status.period_start IS 'The first day of the month in which it first entered the lifecycle.';
COMMENT ON COLUMN sla_status.period IS 'That month as text, such as 2025-01.';
COMMENT ON COLUMN sla_status.segment IS 'Its segment; NULL: none.';
COMMENT ON COLUMN sla_status.lead_source IS 'Its lead source; NULL: none.';
COMMENT ON COLUMN sla_status.owner IS 'Its owner; NULL: nobody.';
COMMENT ON COLUMN sla_status.clock_no IS 'The clock''s place among those of the subject.';
COMMENT ON COLUMN sla_status.status IS 'Where it stands: running, paused or breached.';
COMMENT ON COLUMN sla_status.started_at IS 'When it started.';
COMMENT ON COLUMN sla_status.due_at IS 'When it is due; NULL while paused, or without a target.';
COMMENT ON COLUMN sla_status.target_seconds IS 'The time in which it is to be done, in business seconds if there is a calendar.';
COMMENT ON COLUMN sla_status.elapsed_seconds IS 'The time it has run.';
COMMENT ON COLUMN sla_status.remaining_seconds IS 'The time left; NULL once breached.';
COMMENT ON COLUMN sla_status.overdue_seconds IS 'The time since it was due; NULL before.';
COMMENT ON COLUMN sla_status.fraction_used IS 'The share of the time that is used: 1 when it is due. Not to be summed.';
COMMENT ON COLUMN sla_status.at_risk_count IS '1 when it is past its first warning and not breached.';
COMMENT ON COLUMN sla_status.breach_count IS '1 when it is breached.';
COMMENT ON COLUMN sla_status.policy_version IS 'The version of the SLA that judges it.';
COMMENT ON COLUMN sla_status.as_of IS 'The time as of which it stands so.';
COMMENT ON COLUMN sla_status.definition_fingerprint IS 'The fingerprint of the definition that made them.';

CREATE VIEW event_log WITH (security_barrier) AS
    SELECT s.source, u.kind AS subject_kind, u.subject_key, e.occurred_at, e.recorded_at,
           CASE g.kind WHEN 'stage' THEN 'stage_entered' WHEN 'event' THEN (revacct._key_names(g.key))[1] ELSE 'retracted' END AS event,
           CASE WHEN g.kind = 'stage' THEN (revacct._key_names(g.key))[1] END AS lifecycle, CASE WHEN g.kind = 'stage' THEN (revacct._key_names(g.key))[2] END AS stage,
           code.code, party.party, actor.party AS actor,
           e.amount, e.currency, e.program, e.source_key, e.corrects, c.corrected_by, CASE WHEN c.corrected_by IS NULL THEN 1 ELSE 0 END AS counted_count
    FROM revacct_data.event AS e JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = e.source_no
         LEFT JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark
         LEFT JOIN revacct_data.code_name AS code ON code.code_no = e.code_no
         LEFT JOIN revacct_data.party AS party ON party.party_no = e.party_no
         LEFT JOIN revacct_data.party AS actor ON actor.party_no = e.actor_no
         LEFT JOIN revacct_data.correction AS c ON c.source_no = e.source_no AND c.source_key = e.source_key
         LEFT JOIN revacct_data.identity AS i ON i.subject_id = e.subject_id
    WHERE ((SELECT revacct._viewer_sees_all(current_user)) OR coalesce(i.same_as, e.subject_id) IN (SELECT p.subject_id FROM revacct_data.placement AS p JOIN revacct_data.cell AS v USING (cell_id)
                                                   WHERE v.owner_no = ANY ((SELECT revacct._my_party_numbers(current_user))::bigint[])));
COMMENT ON VIEW event_log IS 'The ledger: what happened to each subject, a row for each event, corrected ones included. Readers see the events of their own subjects, of their teams'', and of the members of teams they lead, as owned at the last refresh.';
COMMENT ON COLUMN event_log.source IS 'The system that says so.';
COMMENT ON COLUMN event_log.subject_kind IS 'What the subject is.';
COMMENT ON COLUMN event_log.subject_key IS 'Its key in its system.';
COMMENT ON COLUMN event_log.occurred_at IS 'When it happened.';
COMMENT ON COLUMN event_log.recorded_at IS 'When it was recorded.';
COMMENT ON COLUMN event_log.event IS 'What happened: stage_entered, a kind of event, a field that was set (amount_set...), or retracted.';
COMMENT ON COLUMN event_log.lifecycle IS 'The lifecycle of the stage that was entered.';
COMMENT ON COLUMN event_log.stage IS 'The stage that was entered.';
COMMENT ON COLUMN event_log.code IS 'The code that was set, or the reason given.';
COMMENT ON COLUMN event_log.party IS 'To whom it was assigned or offered.';
COMMENT ON COLUMN event_log.actor IS 'Who did it.';
COMMENT ON COLUMN event_log.amount IS 'The amount, in currency.';
COMMENT ON COLUMN event_log.currency IS 'The currency of the amount.';
COMMENT ON COLUMN event_log.program IS 'The program it belongs to.';
COMMENT ON COLUMN event_log.source_key IS 'The event''s key in its system.';
COMMENT ON COLUMN event_log.corrects IS 'The key of the event that it corrects.';
COMMENT ON COLUMN event_log.corrected_by IS 'The key of the event that corrects it; NULL: none.';
COMMENT ON COLUMN event_log.counted_count IS '1 when it counts, 0 when it was corrected.';

CREATE FUNCTION _flagged_moves(viewer name)
RETURNS TABLE (source text, subject_kind text, subject_key text, lifecycle text, from_stage text, to_stage text, occurred_at timestamptz, source_key text, rule_kind text, rule_key text,
               enforcement text, overridden boolean, message text, subject_id bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, revacct, pg_temp SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    sees_all constant boolean := _viewer_sees_all(viewer);
    mine constant bigint[] := _my_party_numbers(viewer);
BEGIN
    -- who reads is told by the view, but anybody can call this
    IF _in_maintenance() THEN
        RAISE EXCEPTION 'exceptions are not read in the middle of maintenance'
            USING ERRCODE = 'feature_not_supported', HINT = 'Keep them in a table rather than in a materialized view.';
    END IF;
    RETURN QUERY
    SELECT s.source, b.subject_kind, u.subject_key, b.lifecycle, b.from_stage, b.to_stage, b.occurred_at, b.source_key, b.rule_kind, b.rule_key, b.enforcement, b.overridden, b.message, b.subject_id
    FROM _breaches(NULL, ARRAY(SELECT l.lifecycle FROM revacct_data.lifecycle AS l JOIN revacct_data.validity AS i USING (version_id) WHERE upper_inf(i.recorded) AND i.valid @> _now())) AS b
         JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = b.source_no
         LEFT JOIN revacct_data.identity AS i ON i.subject_id = b.subject_id
    WHERE sees_all OR coalesce(i.same_as, b.subject_id) IN (SELECT p.subject_id FROM revacct_data.placement AS p JOIN revacct_data.cell AS v USING (cell_id) WHERE v.owner_no = ANY (mine));
END $$;
COMMENT ON FUNCTION _flagged_moves(name) IS 'What the view exceptions shows: the moves of the ledger that break a rule, of the subjects that the session''s user sees. Runs with its owner''s rights: readers have none on the tables.';

CREATE VIEW exceptions AS
    SELECT f.source, f.subject_kind, f.subject_key, f.lifecycle, f.from_stage, f.to_stage, f.occurred_at, f.source_key, f.rule_kind, f.rule_key, f.enforcement,
           CASE WHEN f.overridden THEN 1 ELSE 0 END AS overridden_count, f.message
    FROM revacct._flagged_moves(current_user) AS f;
COMMENT ON VIEW exceptions IS 'Moves between stages that break a rule now in force, a row for each rule broken: what was flagged, and what was there before the rule. Computed from the whole ledger when it is read. Readers see their own subjects, as in event_log.';
COMMENT ON COLUMN exceptions.source IS 'The system that says so.';
COMMENT ON COLUMN exceptions.subject_kind IS 'What the subject is.';
COMMENT ON COLUMN exceptions.subject_key IS 'Its key in its system.';
COMMENT ON COLUMN exceptions.lifecycle IS 'The lifecycle.';
COMMENT ON COLUMN exceptions.from_stage IS 'From where; NULL: the way in.';
COMMENT ON COLUMN exceptions.to_stage IS 'To where.';
COMMENT ON COLUMN exceptions.occurred_at IS 'When.';
COMMENT ON COLUMN exceptions.source_key IS 'The event''s key in its system.';
COMMENT ON COLUMN exceptions.rule_kind IS 'The kind of the rule.';
COMMENT ON COLUMN exceptions.rule_key IS 'The key of the rule.';
COMMENT ON COLUMN exceptions.enforcement IS 'What becomes of a breach now: flag or refuse.';
COMMENT ON COLUMN exceptions.overridden_count IS '1 when an exception was approved.';
COMMENT ON COLUMN exceptions.message IS 'What is wrong.';

CREATE VIEW rejected_facts WITH (security_barrier) AS
    SELECT s.source, r.fact, r.source_key, r.reason, r.rule_kind, r.rule_key, r.content::text AS content, r.rejected_at
    FROM revacct_data.rejected AS r JOIN revacct_data.source AS s USING (source_no)
    WHERE (SELECT revacct._viewer_sees_all(current_user) OR ((current_user = session_user OR NOT revacct._in_maintenance()) AND revacct._has_access('{loader}')));
COMMENT ON VIEW rejected_facts IS 'Rows that a load could not take in, and why. A row goes from here when it is loaded. For those who see all, and for loaders.';
COMMENT ON COLUMN rejected_facts.source IS 'The source.';
COMMENT ON COLUMN rejected_facts.fact IS 'What it would have been: event, link, money or commitment.';
COMMENT ON COLUMN rejected_facts.source_key IS 'Its key in the source.';
COMMENT ON COLUMN rejected_facts.reason IS 'Why.';
COMMENT ON COLUMN rejected_facts.rule_kind IS 'The kind of the rule that refuses it; NULL: it could not be read.';
COMMENT ON COLUMN rejected_facts.rule_key IS 'The key of that rule.';
COMMENT ON COLUMN rejected_facts.content IS 'The row, as JSON.';
COMMENT ON COLUMN rejected_facts.rejected_at IS 'When.';

CREATE VIEW source_conflicts WITH (security_barrier) AS
    WITH told AS (
        SELECT i.same_as AS subject_id, CASE g.kind WHEN 'stage' THEN 'stage of ' || (revacct._key_names(g.key))[1] ELSE regexp_replace(replace((revacct._key_names(g.key))[1], 'assigned', 'owner'), '_set$', '') END AS field,
               e.source_no, e.occurred_at, e.seq, e.source_key,
               CASE g.kind WHEN 'stage' THEN (revacct._key_names(g.key))[2]
                    ELSE CASE WHEN g.key = 'assigned' THEN party.party WHEN (revacct._key_names(g.key))[1] = 'amount_set' THEN e.amount || coalesce(' ' || e.currency, '')
                              ELSE coalesce(code.code, e.details ->> 'value') END END AS value
        FROM revacct_data.identity AS i JOIN revacct_data.event AS e USING (subject_id) JOIN revacct_data.numbering AS g ON g.is_mark AND g.number = e.mark
             LEFT JOIN revacct_data.code_name AS code ON code.code_no = e.code_no LEFT JOIN revacct_data.party AS party ON party.party_no = e.party_no
        WHERE (g.kind = 'stage' OR g.key = 'assigned' OR (revacct._key_names(g.key))[1] LIKE E'%\\_set')
          AND NOT EXISTS (SELECT FROM revacct_data.correction AS c WHERE c.source_no = e.source_no AND c.source_key = e.source_key)
    ), latest AS (
        SELECT DISTINCT ON (t.subject_id, t.field, t.source_no) t.*, u.kind
        FROM told AS t JOIN revacct_data.subject AS u USING (subject_id) WHERE t.value IS NOT NULL
        ORDER BY t.subject_id, t.field, t.source_no, t.occurred_at DESC, t.seq DESC NULLS LAST, t.source_key COLLATE "C" DESC
    ), ranked AS (
        SELECT l.*, s.source,
               first_value(l.value) OVER best AS chosen_value, first_value(s.source) OVER best AS chosen_source
        FROM latest AS l JOIN revacct_data.source AS s USING (source_no)
             LEFT JOIN LATERAL (SELECT min(f.priority) AS priority FROM revacct_data.field_rule AS f JOIN revacct_data.validity AS v USING (version_id)
                                WHERE f.rule = 'source' AND f.subject_kind = l.kind AND f.field = l.field AND f.source = s.source AND upper_inf(v.recorded) AND v.valid @> statement_timestamp()) AS agreed ON true
        WINDOW best AS (PARTITION BY l.subject_id, l.field ORDER BY agreed.priority NULLS LAST, s.priority, l.occurred_at DESC, s.source COLLATE "C")
    )
    SELECT s.source AS subject_source, r.kind AS subject_kind, u.subject_key, r.field, r.source, r.value AS told_value, r.occurred_at, r.chosen_source, r.chosen_value
    FROM ranked AS r JOIN revacct_data.subject AS u USING (subject_id) JOIN revacct_data.source AS s ON s.source_no = u.source_no
    WHERE r.value IS DISTINCT FROM r.chosen_value AND (SELECT revacct._viewer_sees_all(current_user));
COMMENT ON VIEW source_conflicts IS 'Where systems that know the same subject differ: the last that each says of a field, a row for each that says otherwise than the one believed. Believed is whom a rule on the field puts first, else the source of the lowest priority number, else who spoke last. For those who see all.';
COMMENT ON COLUMN source_conflicts.subject_source IS 'The system of the subject that stands for all of them.';
COMMENT ON COLUMN source_conflicts.subject_kind IS 'What the subject is.';
COMMENT ON COLUMN source_conflicts.subject_key IS 'Its key there.';
COMMENT ON COLUMN source_conflicts.field IS 'The field: owner, amount, lead_source, stage of a lifecycle...';
COMMENT ON COLUMN source_conflicts.source IS 'The system that says otherwise.';
COMMENT ON COLUMN source_conflicts.told_value IS 'What it says.';
COMMENT ON COLUMN source_conflicts.occurred_at IS 'When it said so.';
COMMENT ON COLUMN source_conflicts.chosen_source IS 'The system that is believed.';
COMMENT ON COLUMN source_conflicts.chosen_value IS 'What that says.';

CREATE VIEW metric_catalog AS
    SELECT 'metric' AS kind, m.metric AS name, NULL::text AS view_name, m.meaning AS definition, m.unit, m.numerator AS numerator_definition, m.denominator AS denominator_definition, m.basis, m.lifecycle, m.at_stage, m.to_stage, m.better,
           m.min_n::bigint AS minimum_count, 0 AS additive_count, g.owners, g.version_no, g.valid_from
    FROM revacct.glossary AS g JOIN revacct_data.validity AS i ON i.kind = 'metric' AND i.key = g.name AND upper_inf(i.recorded) AND i.valid @> statement_timestamp()
         JOIN revacct_data.metric AS m USING (version_id)
    WHERE g.kind = 'metric'
    UNION ALL
    SELECT 'column', a.attname::text, c.relname::text, d.description,
           CASE WHEN a.attname ~ '_rate$|^rate_|^fraction' THEN 'share' WHEN a.attname ~ '_days' THEN 'days' WHEN a.attname ~ '_hours$' THEN 'hours' WHEN a.attname ~ '_seconds$' THEN 'seconds'
                WHEN a.attname ~ '^amount' THEN 'currency' WHEN t.typname IN ('int8', 'int4') THEN 'count' END,
           CASE a.attname WHEN 'conversion_rate' THEN 'converted' WHEN 'breach_rate' THEN 'breached' WHEN 'decided_rate' THEN 'converted' END,
           CASE a.attname WHEN 'conversion_rate' THEN 'entered' WHEN 'breach_rate' THEN 'decided' WHEN 'decided_rate' THEN 'converted + lost + expired' END,
           NULL, NULL, NULL, NULL, NULL, NULL,
           CASE WHEN t.typname IN ('int8', 'int4', 'numeric') AND a.attname !~ '_no$' AND d.description !~* 'not to be summed' THEN 1 ELSE 0 END, NULL, NULL, NULL
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
         JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass AND d.objsubid = a.attnum
    WHERE n.nspname = 'revacct' AND c.relkind = 'v' AND a.attnum > 0 AND c.relname IN ('funnel', 'stage_velocity', 'sla_results', 'sla_status');
COMMENT ON VIEW metric_catalog IS 'What is measured: the metrics agreed, and the columns of the reports, a row each, with their definitions; for tools that do not see comments.';
COMMENT ON COLUMN metric_catalog.kind IS 'What the row is about: a metric that was agreed, or a column of a report.';
COMMENT ON COLUMN metric_catalog.name IS 'The metric, or the column.';
COMMENT ON COLUMN metric_catalog.view_name IS 'The report of the column.';
COMMENT ON COLUMN metric_catalog.definition IS 'What it says.';
COMMENT ON COLUMN metric_catalog.unit IS 'Its unit.';
COMMENT ON COLUMN metric_catalog.numerator_definition IS 'What is counted, or its column.';
COMMENT ON COLUMN metric_catalog.denominator_definition IS 'Over what, or its column.';
COMMENT ON COLUMN metric_catalog.basis IS 'By what a subject belongs to a period: event, cohort or snapshot.';
COMMENT ON COLUMN metric_catalog.lifecycle IS 'The lifecycle it is about.';
COMMENT ON COLUMN metric_catalog.at_stage IS 'The stage it starts from.';
COMMENT ON COLUMN metric_catalog.to_stage IS 'The stage it goes to.';
COMMENT ON COLUMN metric_catalog.better IS 'Which direction is good.';
COMMENT ON COLUMN metric_catalog.minimum_count IS 'Below how many subjects it is not published.';
COMMENT ON COLUMN metric_catalog.additive_count IS '1 when the column may be summed over groups.';
COMMENT ON COLUMN metric_catalog.owners IS 'Who owns it.';
COMMENT ON COLUMN metric_catalog.version_no IS 'Its version.';
COMMENT ON COLUMN metric_catalog.valid_from IS 'Since when it is so.';
