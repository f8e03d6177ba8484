\set deal random(1, 20000)
SELECT event, stage, occurred_at, actor, amount FROM event_log WHERE subject_key = 'O' || :deal ORDER BY occurred_at, source_key;
SELECT event, count(*), sum(counted_count) FROM event_log WHERE occurred_at > now() - interval '7 days' GROUP BY event;
