-- A deal is worth something else.
\set n :n + 1
\set deal random(1, 20000)
\set amount random(100, 9000000)
SELECT record_event('crm', 'opportunity', 'O' || :deal, 'field_set', now(), :client_id || '/' || :n, field => 'amount', amount => :amount / 100.0, currency => 'EUR');
