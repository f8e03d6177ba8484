-- A deal pays.
\set n :n + 1
\set deal random(1, 20000)
\set amount random(100, 900000)
SELECT record_money('crm', 'recurring', current_date, :amount / 100.0, 'EUR', subject_kind => 'opportunity', subject_key => 'O' || :deal, source_key => :client_id || '/' || :n);
