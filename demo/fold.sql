-- Events fold into journeys, one for each lead ...
CREATE TABLE lead AS
SELECT lead_id, segment, amount, journey(mark(inbound, stage), at) AS journey
FROM lead_source
JOIN event USING (lead_id)
CROSS JOIN model
GROUP BY lead_id, segment, amount;

ALTER TABLE lead ADD PRIMARY KEY (lead_id);

-- ... and journeys into summaries that can be kept: a few bytes for each month and segment.
CREATE MATERIALIZED VIEW funnel_by_month AS
SELECT date_trunc('month', first_at(journey), 'UTC')::date AS month,
       segment,
       funnel_conversion(journey, inbound, as_of, amount) AS funnel
FROM lead, model
GROUP BY month, segment;

ANALYZE;
