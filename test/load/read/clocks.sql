-- For those who see all: as many clocks are open as the reports count, and the funnel counts each journey.
SELECT demand(NOT EXISTS (SELECT policy, sum(running), sum(paused) FROM sla_results GROUP BY policy
                          EXCEPT SELECT policy, count(*) FILTER (WHERE status = 'running'), count(*) FILTER (WHERE status = 'paused') FROM sla_status GROUP BY policy), 'sla_status shows the clocks that sla_results counts'),
       demand((SELECT sum(entered) FROM funnel WHERE stage = 'discovery') = (SELECT count(*) FROM journeys() AS j, (SELECT lifecycle('opportunity') AS opportunity) AS l WHERE entered(j.journey, l.opportunity) IS NOT NULL),
              'every journey is in the funnel once');
