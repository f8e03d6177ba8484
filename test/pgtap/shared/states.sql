-- States of every aggregate in progress, made by direct calls of the functions behind them, and what the aggregates say of the same.
CREATE TEMP TABLE defined AS
SELECT lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', attempt => 'all') AS l, '2025-06-01'::timestamptz AS as_of,
       lifecycle('l', stages => '{a, b, c}', won => 'd', lost => '{e}', calendar => office) AS business_l, sla(array_agg(sla('s', start => '{a}', stop => '{d}', pause => '{b}', resume => '{c}', segment => '{e}', cancel => '{f}',
           marks => '{a=1, b=2, c=3, d=4, e=5, f=6}', target => target, calendar => calendar, segments => segments, reopen => 'restart', phases => '{x until b, y}'))) AS s
FROM (SELECT business_calendar('office', 'Europe/Berlin', '{mon-fri 09:00-17:00}') AS office) c, LATERAL (VALUES (interval '2040 hours', NULL, NULL), ('100 hours', office, '{0, 1, 2, 3, 4}'::bigint[])) AS p(target, calendar, segments) GROUP BY office;
CREATE TEMP TABLE events AS
SELECT (i * 7919) % 60 AS subject, 1 + (i * 13 + i / 60) % 6 AS mark, '2025-01-01'::timestamptz + ((i * 37) % 2000) * interval '1 hour' AS at, (i % 9)::bigint AS value, (i % 4)::bigint AS seq
FROM generate_series(1, 600) i;
CREATE TEMP TABLE journeys AS SELECT subject, journey(mark, at) AS j, journey(mark, at, value, seq) AS full_j, sum(value) AS amount FROM events GROUP BY subject;

-- One function for each aggregate, so that all can be looked at in the same way: name, state type, a state made of half of the
-- subjects (0 or 1) by direct calls of the transition function, and what the aggregate says of both halves.
CREATE TEMP TABLE states (kind text, half int, j journey, p journey_pack, f funnel_summary, v velocity_summary, b breach_summary);
DO $$
DECLARE
    r record; d record; h int; i int := 0;
    marks journey[]; rolled journey[]; events journey_pack[]; packed journey_pack[]; texts journey_pack[]; merged journey_pack[];
    plain funnel_summary[]; amounts funnel_summary[]; packs funnel_summary[]; sums funnel_summary[];
    vplain velocity_summary[]; since velocity_summary[]; vpacks velocity_summary[]; vsums velocity_summary[]; vboth velocity_summary[];
    clocks breach_summary[]; bpacks breach_summary[]; bsums breach_summary[];
BEGIN
    SELECT * INTO d FROM defined;
    FOR r IN SELECT * FROM events ORDER BY at DESC, mark LOOP
        h := r.subject % 2 + 1;
        marks[h] := _journey_add_mark(marks[h], r.mark, r.at, r.value, r.seq);
        events[h] := _pack_add_event(events[h], r.subject, r.mark, r.at);
    END LOOP;
    FOR r IN SELECT * FROM journeys ORDER BY subject DESC LOOP
        h := r.subject % 2 + 1;
        rolled[h] := _journey_add_journey(rolled[h], r.full_j);
        packed[h] := _pack_add_journey(packed[h], r.subject::bigint, r.j);
        texts[h] := _pack_add_journey(texts[h], 'x' || r.subject, r.full_j);
        merged[h] := _pack_add_pack(merged[h], (SELECT journey_pack(r.subject, r.j)));
        plain[h] := _funnel_add_journey(plain[h], r.j, d.l, d.as_of);
        amounts[h] := _funnel_add_journey(amounts[h], r.j, d.l, d.as_of, r.amount);
        packs[h] := _funnel_add_pack(packs[h], (SELECT journey_pack(r.subject, r.j)), d.l, d.as_of);
        sums[h] := _funnel_add_summary(sums[h], (SELECT funnel_conversion(r.j, d.l, d.as_of, r.amount)));
        vplain[h] := _velocity_add_journey(vplain[h], r.j, d.l, d.as_of);
        since[h] := _velocity_add_journey(since[h], r.j, d.l, d.as_of, '2025-02-01');
        vpacks[h] := _velocity_add_pack(vpacks[h], (SELECT journey_pack(r.subject, r.j)), d.l, d.as_of);
        vsums[h] := _velocity_add_summary(vsums[h], (SELECT stage_velocity(r.j, d.l, d.as_of)));
        vboth[h] := _velocity_add_journey(vboth[h], r.j, d.business_l, d.as_of);
        clocks[h] := _breach_add_journey(clocks[h], r.full_j, d.s, d.as_of);
        bpacks[h] := _breach_add_pack(bpacks[h], (SELECT journey_pack(r.subject, r.full_j)), d.s, d.as_of);
        bsums[h] := _breach_add_summary(bsums[h], (SELECT sla_breach(r.full_j, d.s, d.as_of)));
    END LOOP;
    FOR h IN 1 .. 2 LOOP
        INSERT INTO states (kind, half, j) VALUES ('marks', h, marks[h]), ('journeys', h, rolled[h]);
        INSERT INTO states (kind, half, p) VALUES ('events', h, events[h]), ('numbers', h, packed[h]), ('texts', h, texts[h]), ('packs', h, merged[h]);
        INSERT INTO states (kind, half, f) VALUES ('plain', h, plain[h]), ('amounts', h, amounts[h]), ('of packs', h, packs[h]), ('funnels', h, sums[h]);
        INSERT INTO states (kind, half, v) VALUES ('visits', h, vplain[h]), ('since', h, since[h]), ('visits of packs', h, vpacks[h]), ('velocities', h, vsums[h]), ('both clocks', h, vboth[h]);
        INSERT INTO states (kind, half, b) VALUES ('clocks', h, clocks[h]), ('clocks of packs', h, bpacks[h]), ('breaches', h, bsums[h]);
    END LOOP;
END $$;
CREATE TEMP TABLE truth (kind text, j journey, p journey_pack, f funnel_summary, v velocity_summary, b breach_summary);
INSERT INTO truth (kind, j) SELECT 'marks', journey(mark, at, value, seq) FROM events UNION ALL SELECT 'journeys', rollup(full_j) FROM journeys;
INSERT INTO truth (kind, p) SELECT 'events', journey_pack(subject, mark, at) FROM events UNION ALL SELECT 'numbers', journey_pack(subject, j) FROM journeys
    UNION ALL SELECT 'texts', journey_pack('x' || subject, full_j) FROM journeys UNION ALL SELECT 'packs', journey_pack(subject, j) FROM journeys;
INSERT INTO truth (kind, f) SELECT 'plain', funnel_conversion(j, l, as_of) FROM journeys, defined UNION ALL SELECT 'amounts', funnel_conversion(j, l, as_of, amount) FROM journeys, defined
    UNION ALL SELECT 'of packs', funnel_conversion(j, l, as_of) FROM journeys, defined UNION ALL SELECT 'funnels', funnel_conversion(j, l, as_of, amount) FROM journeys, defined;
INSERT INTO truth (kind, v) SELECT 'visits', stage_velocity(j, l, as_of) FROM journeys, defined UNION ALL SELECT 'since', stage_velocity(j, l, as_of, '2025-02-01') FROM journeys, defined
    UNION ALL SELECT 'visits of packs', stage_velocity(j, l, as_of) FROM journeys, defined UNION ALL SELECT 'velocities', stage_velocity(j, l, as_of) FROM journeys, defined
    UNION ALL SELECT 'both clocks', stage_velocity(j, business_l, as_of) FROM journeys, defined;
INSERT INTO truth (kind, b) SELECT kind, sla_breach(full_j, s, as_of) FROM journeys, defined, unnest('{clocks, clocks of packs, breaches}'::text[]) kind GROUP BY kind;
