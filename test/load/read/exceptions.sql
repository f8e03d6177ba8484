SELECT rule_key, enforcement, count(*), sum(overridden_count) FROM exceptions GROUP BY rule_key, enforcement ORDER BY rule_key;
SELECT reason, count(*) FROM rejected_facts GROUP BY reason;
