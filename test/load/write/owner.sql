-- A deal changes hands, and with that its group in the reports.
\set n :n + 1
\set deal random(1, 20000)
\set owner random(1, 12)
SELECT record_event('crm', 'opportunity', 'O' || :deal, 'assigned', now(), :client_id || '/' || :n, party => 'owner ' || :owner);
