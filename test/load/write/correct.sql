-- The last move that this client recorded was a mistake: it is taken back, or entered otherwise. Without one, another call.
\set n :n + 1
\set how random(1, 2)
\if :last > :corrected
\set corrected :last
\if :how = 1
SELECT record_event('crm', 'opportunity', 'O1', 'retracted', source_key => :client_id || '/' || :n, corrects => :client_id || '/' || :corrected);
\else
SELECT record_event('crm', 'opportunity', 'O' || 1 + :n % 20000, 'stage_entered', now() - interval '1 day', :client_id || '/' || :n, lifecycle => 'opportunity', stage => 'evaluation',
                    corrects => :client_id || '/' || :corrected);
\endif
\else
SELECT record_event('crm', 'opportunity', 'O1', 'touch_out', source_key => :client_id || '/' || :n);
\endif
