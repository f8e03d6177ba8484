-- Somebody promises something.
\set n :n + 1
\set deal random(1, 20000)
SELECT record_commitment('crm', 'promise', 'An answer', from_party => 'owner ' || 1 + :deal % 12, due_at => now() + interval '1 day', subject_kind => 'opportunity', subject_key => 'O' || :deal,
                         source_key => :client_id || '/' || :n);
