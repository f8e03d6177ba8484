-- All reports are of one refresh: read in one statement they are of the same groups, as of the same time.
SELECT demand(NOT EXISTS (SELECT DISTINCT lifecycle, period, segment, lead_source, owner, currency, subjects, as_of FROM funnel
                          EXCEPT SELECT lifecycle, period, segment, lead_source, owner, currency, subjects, as_of FROM stage_velocity), 'funnel and stage_velocity have the same groups'),
       demand(NOT EXISTS (SELECT lifecycle, period, segment, lead_source, owner, currency, subjects, as_of FROM sla_results
                          EXCEPT SELECT lifecycle, period, segment, lead_source, owner, currency, subjects, as_of FROM funnel), 'sla_results has no others'),
       demand((SELECT count(*) FROM (SELECT DISTINCT policy, definition_fingerprint FROM sla_results) AS p) = 2, 'one definition of each SLA');
