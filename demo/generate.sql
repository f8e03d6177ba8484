-- A made-up year of selling, 2025: the same rows on every machine and every version, for chance is a hash of the lead.
-- It has what real histories have: skipped stages, steps back, leads that come again, losses of every kind, leads that
-- are still open, and stages entered at the same instant.

-- Chance: a number from 0 to 1 that belongs to a lead and a question.
CREATE FUNCTION chance(lead_id bigint, question text) RETURNS float8
    IMMUTABLE PARALLEL SAFE
    RETURN ('x' || left(md5(question || lead_id), 8))::bit(32)::bigint / 4294967296.0::float8;

-- What was agreed: the stages, the hours of the sales team, and how long a marketing-qualified lead may wait for sales.
CREATE TABLE model AS
SELECT inbound, sales_hours,
       sla('follow up', start => '{mql}', stop => '{sql, proposal, customer, disqualified, nurture}', lifecycle => inbound,
           target => '80 hours', calendar => sales_hours,
           escalations => '{80% to owner, breach to team lead, breach + 40 hours to director}') AS follow_up,
       timestamptz '2026-01-01 00:00 UTC' AS as_of
FROM (SELECT lifecycle('inbound',
                       stages      => '{lead, mql, sql, proposal}',
                       won         => 'customer',
                       lost        => '{disqualified, lost}',
                       no_decision => '{no_decision}',
                       recycled    => '{nurture}') AS inbound,
             business_calendar('sales', 'America/New_York', '{mon-fri 09:00-17:00}',
                               holidays => '{2025-01-01, 2025-05-26, 2025-07-04, 2025-09-01, 2025-11-27, 2025-12-25, 2026-01-01}',
                               known_until => '2026-12-31') AS sales_hours) AS definitions;

-- The same stages once more, for the lifecycle that is agreed in the database itself.
CREATE TABLE web_stage (stage, stage_no, category, is_pipeline) AS
VALUES ('lead', 10, 'open', false), ('mql', 20, 'open', false), ('sql', 30, 'open', false), ('proposal', 40, 'open', true), ('customer', 50, 'won', false),
       ('lost', 60, 'lost', false), ('disqualified', 70, 'lost', false), ('no_decision', 80, 'no_decision', false), ('nurture', 90, 'recycled', false);

CREATE TABLE lead_source AS
SELECT lead_id,
       segment,
       pace,
       timestamptz '2025-01-01 00:00 UTC' + interval '1 second' * floor(chance(lead_id, 'created') * 365 * 86400) AS created_at,
       (worth * (50 + floor(100 * chance(lead_id, 'amount'))) / 100)::numeric(12,2) AS amount
FROM generate_series(1, 4000) AS lead_id
CROSS JOIN (VALUES ('enterprise', 0.00, 0.15, 2.0, 90000),
                   ('mid-market', 0.15, 0.50, 1.3, 24000),
                   ('small',      0.50, 1.00, 0.8,  5000)) AS mix (segment, low, high, pace, worth)
WHERE chance(lead_id, 'segment') >= low AND chance(lead_id, 'segment') < high;

-- Where a lead goes from each stage, how often in a hundred, and after how many days, more or less. What is missing to a
-- hundred stays where it is.
CREATE TABLE move AS
SELECT stage, next_stage, days,
       (sum(percent) OVER up_to_here - percent) / 100.0::float8 AS low,
       sum(percent) OVER up_to_here / 100.0::float8 AS high
FROM (VALUES ('lead',     'mql',          45,  4),
             ('lead',     'sql',           6,  3),
             ('lead',     'disqualified', 25,  9),
             ('lead',     'nurture',      12, 30),
             ('mql',      'sql',          52, 10),
             ('mql',      'proposal',      4, 12),
             ('mql',      'disqualified', 18, 14),
             ('mql',      'nurture',      14, 35),
             ('sql',      'proposal',     48, 16),
             ('sql',      'customer',      3, 20),
             ('sql',      'mql',           7, 12),
             ('sql',      'lost',         18, 25),
             ('sql',      'nurture',      12, 45),
             ('proposal', 'customer',     38, 24),
             ('proposal', 'proposal',      8,  9),
             ('proposal', 'sql',           9, 12),
             ('proposal', 'lost',         20, 30),
             ('proposal', 'no_decision',  14, 75),
             ('nurture',  'lead',         20, 60),
             ('nurture',  'mql',          15, 80)) AS moves (stage, next_stage, percent, days)
WINDOW up_to_here AS (PARTITION BY stage ORDER BY next_stage);

CREATE TABLE event AS
WITH RECURSIVE walk AS (
    SELECT lead_id, pace, 1 AS step, 'lead' AS stage, created_at AS at
    FROM lead_source
  UNION ALL
    SELECT lead_id, pace, step + 1, next_stage,
           -- one move in twelve is made at once, by whoever enters the data; one in eight takes four times as long
           at + interval '1 second' * floor(86400 * days * pace
               * (0.2 + 1.6 * chance(lead_id, 'days' || step))
               * CASE WHEN chance(lead_id, 'haste' || step) < 0.083 THEN 0
                      WHEN chance(lead_id, 'haste' || step) > 0.875 THEN 4
                      ELSE 1 END)
    FROM walk
    JOIN move USING (stage)
    JOIN model ON at < as_of
    WHERE chance(lead_id, 'move' || step) >= low AND chance(lead_id, 'move' || step) < high
)
SELECT lead_id, stage, at
FROM walk
JOIN model ON at < as_of;
