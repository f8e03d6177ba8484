-- Somebody calls, one call in fifty holds the deal up.
\set n :n + 1
\set deal random(1, 20000)
\set what random(1, 50)
\set minutes 0 - random_exponential(0, 10000, 8)
SELECT record_event('crm', 'opportunity', 'O' || :deal, CASE WHEN :what = 1 THEN 'on_hold' WHEN :what < 20 THEN 'touch_in' ELSE 'touch_out' END, now() + :minutes * interval '1 minute', :client_id || '/' || :n,
                    actor => 'owner ' || 1 + :deal % 12);
