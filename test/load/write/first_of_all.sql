-- What nobody has heard of, by several clients at the same time: a subject that is new each second, with a party that is new, or in a year without a partition.
\set n :n + 1
\set what random(1, 2)
\set year random(1985, 2014)
\if :what = 1
SELECT record_event('crm', 'opportunity', 'T' || floor(extract(epoch FROM now())), 'assigned', now(), :client_id || '/' || :n, party => 'new ' || floor(extract(epoch FROM now()) / 3));
\else
SELECT record_event('crm', 'opportunity', 'T' || floor(extract(epoch FROM now())), 'touch_in', make_timestamptz(:year, 3, 1, 12, 0, 0, 'UTC'), :client_id || '/' || :n);
\endif
