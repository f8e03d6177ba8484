-- A deal enters a stage: mostly now, one in eight up to a year and a half ago, one in forty up to three days from now.
\set n :n + 1
\set deal random(1, 20000)
\set stage random(1, 7)
\set dice random(1, 40)
\set minutes case when :dice = 1 then random(1, 4320) when :dice <= 6 then 0 - random(1, 780000) else 0 end
\set last :n
SELECT record_event('crm', 'opportunity', 'O' || :deal, 'stage_entered', now() + :minutes * interval '1 minute', :client_id || '/' || :n, lifecycle => 'opportunity',
                    stage => ('{discovery,evaluation,proposal,negotiation,won,lost,no_decision}'::text[])[:stage]);
