-- The Olist marketing funnel: 8,000 leads of a Brazilian marketplace, of which 842 became sellers. Losses were not written
-- down, so a lead that was not won is still open on the day after the last deal.
CREATE TABLE model AS
SELECT inbound,
       sla('follow up', start => '{mql}', stop => '{seller}', lifecycle => inbound, target => '30 days') AS follow_up,
       timestamptz '2018-11-15 00:00 UTC' AS as_of
FROM (SELECT lifecycle('olist', stages => '{mql}', won => 'seller') AS inbound) AS definitions;

-- The same stages once more, for the lifecycle that is agreed in the database itself.
CREATE TABLE web_stage (stage, stage_no, category, is_pipeline) AS
VALUES ('mql', 10, 'open', false), ('seller', 20, 'won', false);

CREATE TABLE lead_source AS
SELECT row_number() OVER (ORDER BY mql_id) AS lead_id,
       mql_id,
       coalesce(origin, '(none)') AS segment,
       first_contact_date::timestamp AT TIME ZONE 'UTC' AS created_at,
       NULL::numeric(12,2) AS amount
FROM olist_lead;

CREATE TABLE event AS
SELECT lead_id, 'mql' AS stage, created_at AS at
FROM lead_source
UNION ALL
SELECT lead_id, 'seller', won_date AT TIME ZONE 'UTC'
FROM lead_source JOIN olist_deal USING (mql_id);
