-- A new deal, all that is known of it in one transaction.
\set n :n + 1
\set owner random(1, 12)
\set lead_source random(1, 5)
BEGIN;
SELECT record_event('crm', 'opportunity', 'N' || :client_id || '/' || :n, 'created', source_key => :client_id || '/' || :n || '/1');
SELECT record_event('crm', 'opportunity', 'N' || :client_id || '/' || :n, 'assigned', source_key => :client_id || '/' || :n || '/2', party => 'owner ' || :owner);
SELECT record_event('crm', 'opportunity', 'N' || :client_id || '/' || :n, 'field_set', source_key => :client_id || '/' || :n || '/3', field => 'lead_source',
                    code => ('{web,event,partner,referral,cold}'::text[])[:lead_source]);
SELECT record_event('crm', 'opportunity', 'N' || :client_id || '/' || :n, 'stage_entered', source_key => :client_id || '/' || :n || '/4', lifecycle => 'opportunity', stage => 'discovery');
COMMIT;
