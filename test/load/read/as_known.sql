-- The ledger as it was known a few seconds ago, folded anew.
SELECT demand(count(*) = 5, 'the funnel as it was known') FROM funnel_of('opportunity', known_at => now() - interval '5 seconds') AS f, stages(f.funnel) AS s;
