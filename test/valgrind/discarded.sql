-- What is asked of an agreed model, while PostgreSQL throws away all it keeps of the catalogs whenever another session could have changed them: the same
-- answers as else. Only a server with assertions can do that; and it is slow, so the model is made before.
SET client_min_messages = warning;
SET search_path = public, revacct;
SET timezone = 'UTC';
BEGIN;
CREATE ROLE discarded_ana;
CREATE ROLE discarded_cleo;
SELECT grant_access('steward', 'discarded_ana'), grant_access('council', 'discarded_cleo') \gset

SELECT plan(12);

SET LOCAL SESSION AUTHORIZATION discarded_ana;
SELECT draft_change('Agreed', '2025-01-01', retroactive => true) AS change \gset
SELECT define_lifecycle('inbound'), define_stage('inbound', 'lead', 10), define_stage('inbound', 'mql', 20), define_stage('inbound', 'won', 90, 'won'), define_stage('inbound', 'lost', 91, 'lost'),
    define_lifecycle('outbound'), define_stage('outbound', 'target', 10), define_stage('outbound', 'won', 90, 'won'),
    define_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}'),
    define_sla('reply', start => '{lead}', stop => '{touch_out}', target => '4 hours', calendar => 'office', lifecycle => 'inbound') \gset
SELECT propose_change() \gset
SET LOCAL SESSION AUTHORIZATION discarded_cleo;
SELECT approve(:change) \gset
SET LOCAL SESSION AUTHORIZATION DEFAULT;

CREATE TEMP TABLE history AS
SELECT subject, journey(mark(lifecycle('inbound'), ('{lead, mql, won, lost}'::text[])[1 + (subject * step * 5 + step) % 4]), '2025-02-03 09:00+00'::timestamptz + (subject * 7 + step * step * 11) * interval '1 hour') AS j,
       journey_pack(subject, mark(lifecycle('inbound'), ('{lead, mql, won, lost}'::text[])[1 + (subject * step * 5 + step) % 4]), '2025-02-03 09:00+00'::timestamptz + (subject * 7 + step * step * 11) * interval '1 hour') AS p
FROM generate_series(1, 12) AS subject, generate_series(1, 4) AS step GROUP BY subject;
CREATE FUNCTION pg_temp.site(name text) RETURNS lifecycle LANGUAGE plpgsql AS $$ BEGIN RETURN lifecycle(name); END $$;

-- What a query gives, as text: first with what is kept, then without, then again with it.
CREATE FUNCTION pg_temp.answers(query text) RETURNS text[] LANGUAGE plpgsql AS $$
DECLARE
    answers text[] := '{}';
    answer text;
BEGIN
    FOR discard IN 0 .. 2 LOOP
        PERFORM set_config('debug_discard_caches', (discard % 2)::text, true);
        EXECUTE query INTO answer;
        PERFORM set_config('debug_discard_caches', '0', true);
        answers := answers || coalesce(answer, 'nothing ' || discard);
    END LOOP;
    RETURN answers;
END $$;

CREATE TEMP TABLE question (n int GENERATED ALWAYS AS IDENTITY, what text, query text);
INSERT INTO question (what, query) VALUES
    ('a lifecycle by a literal', $$ SELECT lifecycle('inbound') $$),
    ('by a name of each row', $$ SELECT string_agg(fingerprint(lifecycle(name)), ' ' ORDER BY i) FROM unnest('{inbound, outbound, outbound, inbound}'::text[]) WITH ORDINALITY AS n (name, i) $$),
    ('as of then', $$ SELECT lifecycle('outbound', model_at => '2025-06-01') $$),
    ('in PL/pgSQL', $$ SELECT string_agg(fingerprint(pg_temp.site(name)), ' ' ORDER BY i) FROM unnest('{inbound, outbound, inbound}'::text[]) WITH ORDINALITY AS n (name, i) $$),
    ('an SLA and a calendar', $$ SELECT sla('reply')::text || business_calendar('office')::text $$),
    ('text in and out', $$ SELECT string_agg((j::text)::journey::text || (p::text)::journey_pack::text, ' ' ORDER BY subject) FROM history $$),
    ('a funnel of journeys', $$ SELECT funnel_conversion(j, lifecycle('inbound'), '2025-06-01') FROM history $$),
    ('velocity of packs', $$ SELECT stage_velocity(p, lifecycle('inbound'), '2025-06-01') FROM history $$),
    ('breaches', $$ SELECT sla_breach(j, sla('reply'), '2025-06-01') FROM history $$),
    ('rows of clocks', $$ SELECT string_agg(c::text, ' ' ORDER BY subject, c::text) FROM history, sla_clocks(j, sla('reply'), '2025-06-01') AS c $$),
    ('rows of stages', $$ SELECT string_agg(s::text, ' ' ORDER BY stage_no) FROM (SELECT funnel_conversion(j, lifecycle('inbound'), '2025-06-01') AS f FROM history) AS t, stages(f) AS s $$),
    ('the model as people read it', $$ SELECT string_agg(g::text, ' ' ORDER BY g::text) FROM glossary AS g $$);
SELECT is(a[2:], ARRAY[a[1], a[1]], what) FROM (SELECT n, what, pg_temp.answers(query) AS a FROM question) AS t ORDER BY n;

SELECT * FROM finish();
ROLLBACK;
