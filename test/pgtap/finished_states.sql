-- A finished value may stand where a state is expected: initial values, direct calls (that states of any form combine: test_states.py).
SET client_min_messages = warning;
BEGIN;
SET search_path = public, revacct;
SET LOCAL timezone = 'UTC';
SELECT plan(13);
\ir shared/states.sql

-- a transition goes on from a finished value
SELECT ok(_journey_final(_journey_add_mark('{1@2025-01-01T00:00:00Z=5}', 2, '2025-01-02')) = '{1@2025-01-01T00:00:00Z=5, 2@2025-01-02T00:00:00Z}', '_journey_add_mark to a finished journey');
-- whose bytes, taken for a state, would name a length of gigabytes
SELECT ok(_journey_final(_journey_add_mark(j, 3, '2025-01-02 00:00+00')) = replace(j::text, '}', ', 3@2025-01-02T00:00:00Z}')::journey, '_journey_add_mark to a longer one')
FROM (SELECT '{1@2004-03-07T02:23:15.333121Z, 1@2004-03-07T02:23:15.333137Z, 2@2004-03-07T02:23:15.333137Z}'::journey AS j) t;
SELECT is(_pack_final(_pack_add_event(p, 7, 2, '2025-01-02'))::text, (SELECT journey_pack(s, m, at)::text FROM (VALUES (7, 1, '2025-01-01'::timestamptz), (7, 2, '2025-01-02')) AS e(s, m, at)), '_pack_add_event to a finished pack')
FROM (SELECT journey_pack(7, 1, '2025-01-01') AS p) t;
SELECT is(_pack_final(_pack_add_journey(p, 8, '{1@2025-01-01T00:00:00Z}'))::text, (SELECT journey_pack(s, m, at)::text FROM (VALUES (7, 1, '2025-01-01'::timestamptz), (8, 1, '2025-01-01')) AS e(s, m, at)), '_pack_add_journey to a finished pack')
FROM (SELECT journey_pack(7, 1, '2025-01-01') AS p) t;
SELECT is(_pack_final(_pack_add_journey(p, 8, '{1@2025-01-01T00:00:00Z}'))::text, (SELECT journey_pack(s, m, at)::text FROM (VALUES (7, 1, '2025-01-01'::timestamptz), (8, 1, '2025-01-01')) AS e(s, m, at)), '_pack_add_journey to a state made of events')
FROM (SELECT _pack_add_event(NULL, 7, 1, '2025-01-01') AS p) t;
SELECT is(_pack_final(_pack_add_event(p, 8, 1, '2025-01-01'))::text, (SELECT journey_pack(s, m, at)::text FROM (VALUES (7, 1, '2025-01-01'::timestamptz), (8, 1, '2025-01-01')) AS e(s, m, at)), '_pack_add_event to a state made of journeys')
FROM (SELECT _pack_add_journey(NULL, 7, '{1@2025-01-01T00:00:00Z}') AS p) t;
SELECT is(entered(_funnel_add_journey(f, '{1@2025-01-01T00:00:00Z}', l, as_of), 'a'), entered(f, 'a') + 1, '_funnel_add_journey to a finished summary') FROM (SELECT f FROM truth WHERE kind = 'plain') t, defined;
SELECT is(visits(_velocity_add_journey(v, '{1@2025-01-01T00:00:00Z}', l, as_of), 'a'), visits(v, 'a') + 1, '_velocity_add_journey to a finished summary') FROM (SELECT v FROM truth WHERE kind = 'visits') t, defined;
SELECT is(ARRAY[subjects(c), started(c), breached(c)], ARRAY[subjects(b) + 1, started(b) + 1, breached(b) + 1], '_breach_add_journey to a finished summary')
FROM (SELECT b, _breach_add_journey(b, '{1@2025-01-01T00:00:00Z}', s, as_of) AS c FROM truth, defined WHERE kind = 'clocks') t;
SELECT is(ARRAY[subjects(c), started(c), breached(c)], ARRAY[subjects(b) + 2, started(b) + 2, breached(b) + 2], '_breach_add_pack to a finished summary')
FROM (SELECT b, _breach_add_pack(b, (SELECT journey_pack(n, 1, '2025-01-01 00:00+00') FROM generate_series(1, 2) n), s, as_of) AS c FROM truth, defined WHERE kind = 'clocks') t;
-- but not under another SLA, or at another time
SELECT throws_ok($$ SELECT _breach_add_journey(b, '{1@2025-01-01T00:00:00Z}', sla('other', start => '{a}', stop => '{b}', target => '1 hour'), as_of) FROM truth, defined WHERE kind = 'clocks' $$, 'RV001', NULL, 'another SLA');
SELECT throws_ok($$ SELECT _breach_add_journey(b, '{1@2025-01-01T00:00:00Z}', s, as_of + interval '1 microsecond') FROM truth, defined WHERE kind = 'clocks' $$, 'RV002', NULL, 'another time');
-- an aggregate of somebody else's, with an initial value, or with another transition
CREATE AGGREGATE pg_temp.since_birth(int, timestamptz) (SFUNC = _journey_add_mark, STYPE = journey, INITCOND = '{9@2000-01-01T00:00:00Z}', FINALFUNC = _journey_final);
SELECT ok((SELECT pg_temp.since_birth(mark, at) FROM events) = (SELECT rollup(j) FROM (SELECT '{9@2000-01-01T00:00:00Z}'::journey AS j UNION ALL SELECT journey(mark, at) FROM events) t), 'an initial value is a state');

SELECT * FROM finish();
ROLLBACK;
