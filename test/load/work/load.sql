-- Another 200 rows are landed, one of them without a time; then all that was ever landed is loaded.
\set n :n + 1
INSERT INTO landed
SELECT 'erp', CASE WHEN i % 10 = 0 THEN 'E' || :n || '/' || i ELSE 'O' || 1 + (37 * :n + i) % 2000 END, CASE i % 3 WHEN 0 THEN 'field_set' WHEN 1 THEN 'touch_in' ELSE 'stage_entered' END,
       CASE WHEN i > 1 THEN now() - chance(200 * :n + i, 15) * chance(200 * :n + i, 17) * interval '90 days' END, 'e' || :n || '/' || i, CASE i % 3 WHEN 2 THEN 'evaluation' END,
       CASE i % 3 WHEN 0 THEN 'amount' END, NULL, NULL, CASE i % 3 WHEN 0 THEN round((50000 * chance(200 * :n + i, 16))::numeric, 2) END
FROM generate_series(1, 200) AS i;
SELECT demand(l.rows_read = l.loaded + l.known + l.rejected AND l.loaded >= 0 AND l.known >= 0, 'load() ' || to_json(l)) FROM load('erp') AS l;
