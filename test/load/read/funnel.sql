-- A dashboard; and that its figures add up, in one statement.
SELECT period, stage, sum(entered), sum(converted), sum(lost), sum(in_progress), sum(amount_entered) FROM funnel WHERE lifecycle = 'opportunity' GROUP BY period, stage_no, stage ORDER BY period, stage_no;
SELECT demand(bool_and(entered = converted + lost + in_progress + expired), 'entered = converted + lost + in_progress + expired'),
       demand(bool_and(entered = observed + imputed), 'entered = observed + imputed'),
       demand(bool_and(entered = coalesce(converted_before, subjects)), 'who converts enters the next stage'),
       demand(sum(entered) FILTER (WHERE stage = 'won') = sum(converted) FILTER (WHERE stage = 'negotiation'), 'who converts at last has won'),
       demand(count(DISTINCT definition_fingerprint) = 1, 'one definition')
FROM (SELECT *, lag(converted) OVER (PARTITION BY period, segment, lead_source, owner, currency ORDER BY stage_no) AS converted_before FROM funnel) AS f;
