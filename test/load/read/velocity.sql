SELECT period, stage, sum(visits), sum(pending), min(median_days), max(p90_days) FROM stage_velocity GROUP BY period, stage_no, stage ORDER BY period, stage_no;
SELECT demand(bool_and(visits = pending + moved_forward + skipped + moved_back + repeated + won + lost + no_decision + recycled + churned), 'every visit is pending, or ended in one way') FROM stage_velocity;
