SELECT policy, period, sum(started), sum(met), sum(breached), sum(running) FROM sla_results GROUP BY policy, period ORDER BY policy, period;
SELECT policy, owner, count(*), sum(breach_count), min(due_at) FROM sla_status GROUP BY policy, owner ORDER BY policy, owner;
SELECT demand(bool_and(started = met + breached + running + paused + cancelled), 'every clock runs, or ended in one way'),
       demand(bool_and(decided = met + breached), 'decided = met + breached')
FROM sla_results;
