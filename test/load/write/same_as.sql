-- A deal of crm and one of erp turn out to be the same, or not to be.
\set n :n + 1
\set deal random(1, 2000)
\set is_over random(0, 1)
SELECT record_link('crm', 'opportunity', 'O' || :deal, 'same_as', 'opportunity', 'O' || :deal, to_source => 'erp', source_key => 'same/' || :deal,
                   valid_until => CASE WHEN :is_over = 1 THEN now() END);
