// Business time and SLAs beside hand-written SQL: how long a row takes, a pack of tickets, a calendar.
import { rmSync } from 'node:fs';
import { generate, SHAPES, START } from './data.mjs';
import {
  all, compare, explain, FILES, limit, measure, median, ms, note, number, overPacks, packLayouts, ROUNDS, SCALE, statement, table, verdict,
} from './measure.mjs';
import { fold, load } from './statements.mjs';

const LABEL = '(sla)';
const ZONE = 'Europe/Berlin';
const FIRST_YEAR = 2010;
const YEARS = 20;
const SERIAL = { max_parallel_workers_per_gather: 0 };

const ns = (t) => `${(t * 1e6).toFixed(t < 1e-5 ? 1 : 0)} ns`; // of milliseconds
const perRow = (t) => (t < 1e-3 ? ns(t) : t < 1 ? `${(t * 1e3).toFixed(1)} µs` : `${t.toFixed(1)} ms`);

/** A measured statement with times of one row of so many. */
const ofRows = (s, rows) => ({ what: s.what, ms: s.ms / rows, times: s.times.map((t) => t / rows) });

/** What a row of one takes longer than of another: the median of the rounds' differences. */
const difference = (s, base) => ({ ms: median(s.times.map((t, round) => t - base.times[round])) });
function beyond(what, s, base, target) {
  const more = difference(s, base);
  const goal = target === undefined ? ['', ''] : [`≤ ${ns(target)}`, verdict(more.ms, target)];
  table.push([LABEL, `${what}, a row beyond`, ns(more.ms), base.what, ns(base.ms), '', '', ...goal]);
}

// ---- a calendar of 20 years, two rows a day --------------------------------------------------------------------------

/** Easter Sunday, as days since 1970 (Meeus, Jones and Butcher). */
function easter(y) {
  const a = y % 19, b = Math.floor(y / 100), c = y % 100, d = b >> 2, e = b % 4;
  const g = Math.floor((8 * b + 13) / 25), h = (19 * a + b - d - g + 15) % 30;
  const l = (32 + 2 * e + 2 * (c >> 2) - h - (c % 4)) % 7, m = Math.floor((a + 11 * h + 19 * l) / 433);
  const month = Math.floor((h + l - 7 * m + 90) / 25);
  return Date.UTC(y, month - 1, (h + l - 7 * m + 33 * month + 19) % 32) / 86400e3;
}

const holidays = Array.from({ length: YEARS }, (_, i) => FIRST_YEAR + i).flatMap((y) => [
  ...[-2, 1, 39, 50].map((day) => new Date((easter(y) + day) * 86400e3).toISOString().slice(0, 10)),
  ...['01-01', '05-01', '10-03', '12-25', '12-26'].map((day) => `${y}-${day}`),
]);
const calendar = (name = `'desk'`) =>
  `business_calendar(${name}, '${ZONE}', '{mon-fri 09:00-12:30 13:30-18:00}', holidays => '{${holidays}}')`;

/** One that is too large to stay in its row. */
const largeCalendar = `business_calendar('shifts', '${ZONE}', '{mon-fri 09:00-18:00}', shifts => (SELECT array_agg(
  format('%s %s:00-%s:%s', d::date, to_char(6 + abs(hashint8(n)) % 5, 'FM00'), 13 + abs(hashint8(-n)) % 6, 10 + abs(hashint8(n + 10000)) % 40))
  FROM generate_series(timestamp '${FIRST_YEAR}-01-01', '${FIRST_YEAR + YEARS - 1}-12-31', '6 days') WITH ORDINALITY g(d, n)))`;

const instant = (year) => `timestamptz '${year}-01-01 00:00+00'`;
const FROM = instant(FIRST_YEAR);
const TO = instant(FIRST_YEAR + YEARS);

/** What the statements by hand need: rows of the week, holidays, open intervals with running totals, days with the same. */
const byHand = [
  'CREATE TABLE hours (dow int, opens time, closes time)',
  `INSERT INTO hours SELECT d, o, c FROM generate_series(1, 5) d, (VALUES (time '09:00', time '12:30'), ('13:30', '18:00')) v(o, c)`,
  'CREATE TABLE holidays (day date PRIMARY KEY)',
  `INSERT INTO holidays SELECT DISTINCT unnest('{${holidays}}'::date[])`,
  // open time up to opens, and the interval; the first one is empty
  'CREATE TABLE totals (opens timestamptz, closes timestamptz, before interval)',
  `INSERT INTO totals SELECT ${FROM} - interval '1 day', ${FROM} - interval '1 day', interval '0'
     UNION ALL SELECT opens, closes, coalesce(sum(closes - opens) OVER (ORDER BY opens ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), '0')
     FROM (SELECT (d + h.opens) AT TIME ZONE '${ZONE}' opens, (d + h.closes) AT TIME ZONE '${ZONE}' closes
       FROM generate_series(timestamp '${FIRST_YEAR}-01-01', '${FIRST_YEAR + YEARS}-01-01', '1 day') d JOIN hours h ON h.dow = extract(isodow FROM d)
       WHERE NOT EXISTS (SELECT FROM holidays WHERE day = d::date)) o`,
  'CREATE UNIQUE INDEX totals_covering ON totals (opens) INCLUDE (closes, before)',
  // one row for each local date
  'CREATE TABLE days (day date PRIMARY KEY, before interval, o1 timestamptz, c1 timestamptz, o2 timestamptz, c2 timestamptz)',
  `INSERT INTO days SELECT d::date, coalesce((SELECT before + (closes - opens) FROM totals WHERE opens < d AT TIME ZONE '${ZONE}' ORDER BY opens DESC LIMIT 1), '0'),
       (array_agg(opens ORDER BY opens))[1], (array_agg(closes ORDER BY opens))[1], (array_agg(opens ORDER BY opens))[2], (array_agg(closes ORDER BY opens))[2]
     FROM generate_series(timestamp '${FIRST_YEAR - 1}-12-31', '${FIRST_YEAR + YEARS}-01-01', '1 day') d
       LEFT JOIN totals t ON t.opens < t.closes AND (t.opens AT TIME ZONE '${ZONE}')::date = d::date GROUP BY d`,
  'VACUUM (FREEZE, ANALYZE) hours, holidays, totals, days',
];

/** Open time since the calendar begins, as an expression: by the table of running totals, or by a joined row of days. */
const looked = (at) => `(SELECT before + (least(${at}, closes) - opens) FROM totals WHERE opens <= ${at} ORDER BY opens DESC LIMIT 1)`;
const ofDay = (day, at) => `${day}.before + greatest(least(${at}, ${day}.c1) - ${day}.o1, '0') + greatest(least(${at}, ${day}.c2) - ${day}.o2, '0')`;
const dateOf = (at) => `(${at} AT TIME ZONE '${ZONE}')::date`;

// ---- business time ---------------------------------------------------------------------------------------------------

const hand = {
  series: (from) => `SELECT a, b, (SELECT coalesce(sum(greatest(least(b, (d + h.closes) AT TIME ZONE '${ZONE}') - greatest(a, (d + h.opens) AT TIME ZONE '${ZONE}'), '0')), '0')
      FROM generate_series(${dateOf('a')}::timestamp, ${dateOf('b')}, '1 day') d JOIN hours h ON h.dow = extract(isodow FROM d)
      WHERE NOT EXISTS (SELECT FROM holidays WHERE day = d::date)) t FROM ${from}`,
  totals: (from) => `SELECT a, b, (q.before + (least(b, q.closes) - q.opens)) - (p.before + (least(a, p.closes) - p.opens)) t FROM ${from},
      LATERAL (SELECT * FROM totals WHERE opens <= a ORDER BY opens DESC LIMIT 1) p,
      LATERAL (SELECT * FROM totals WHERE opens <= b ORDER BY opens DESC LIMIT 1) q`,
  days: (from) => `SELECT a, b, (${ofDay('q', 'b')}) - (${ofDay('p', 'a')}) t
      FROM ${from} JOIN days p ON p.day = ${dateOf('a')} JOIN days q ON q.day = ${dateOf('b')}`,
};

/** Pairs of instants; the calendar is known from before the first to after the last. */
const pairs = (name, rows, days) => [
  `CREATE TABLE ${name} (a timestamptz, b timestamptz)`,
  `INSERT INTO ${name} SELECT a, a + random() * 2 * interval '${days} days' FROM (
     SELECT ${FROM} + random() * interval '${(YEARS - 4) * 365} days' a FROM generate_series(1, ${rows})) q`,
  `VACUUM (FREEZE, ANALYZE) ${name}`,
];

async function businessTime(pg) {
  const rows = Math.round(1_000_000 * SCALE);
  const spans = { '20 days': 'short_pairs', '2 years': 'long_pairs' };
  const some = { 'generate_series': Math.min(rows, 5_000), 'running totals': Math.min(rows, 50_000), 'table of days': Math.min(rows, 200_000), 'large calendar': Math.min(rows, 20_000) };
  note(`${LABEL} business time: ${rows} pairs of instants`);
  await pg.run('SELECT setseed(0.5)');
  await all(pg, [...pairs('short_pairs', rows, 20), ...pairs('long_pairs', rows, 730)]);
  await all(pg, [
    'CREATE TABLE calendars (id int, c business_calendar)',
    `INSERT INTO calendars SELECT i, ${calendar(`'desk ' || i`)} FROM generate_series(1, 100) i UNION ALL SELECT 0, ${largeCalendar}`,
    'CREATE TABLE team_pairs AS SELECT (row_number() OVER () % 4 + 1)::int team, a, b FROM short_pairs',
    'VACUUM (FREEZE, ANALYZE) calendars, team_pairs',
  ]);
  await all(pg, byHand);

  const from = (what) => `(SELECT * FROM short_pairs LIMIT ${some[what]}) f`;
  const makes = { 'generate_series': hand.series, 'running totals': hand.totals, 'table of days': hand.days };
  for (const [what, make] of Object.entries(makes)) {
    const wrong = await number(pg, `SELECT count(*) FROM (${make(from(what))}) h WHERE t IS DISTINCT FROM business_time(${calendar()}, a, b)`);
    const checked = await number(pg, `SELECT count(*) FROM (${make(from(what))}) h`);
    if (wrong !== 0 || checked !== some[what]) throw new Error(`${what}: ${wrong} of ${checked} answers differ`);
  }

  const serial = (what, sql, variant = '') => statement(pg, what, null, { [variant]: { sql, settings: SERIAL, keep: true } });
  const statements = Object.entries(spans).flatMap(([span, table]) => [
    ...serial(`count(a), count(b); ${span}`, `SELECT count(a), count(b) FROM ${table}`),
    ...serial(`count(b - a); ${span}`, `SELECT count(b - a) FROM ${table}`),
    ...serial(`business_time, ${span}`, `SELECT count(business_time(${calendar()}, a, b)) FROM ${table}`),
  ]);
  statements.push(
    ...serial('is_open', `SELECT count(is_open(${calendar()}, a)) FROM short_pairs`),
    ...serial('count(a)', 'SELECT count(a) FROM short_pairs'),
    ...serial('business_time, calendar from a table', 'SELECT count(business_time((SELECT c FROM calendars WHERE id = 1), a, b)) FROM short_pairs'),
    ...serial('business_time, a calendar of 1,217 shifts from a table', `SELECT count(business_time((SELECT c FROM calendars WHERE id = 0), a, b)) FROM ${from('large calendar')}`),
    ...serial('business_time, four calendars in turn', 'SELECT count(business_time(c, a, b)) FROM team_pairs JOIN calendars c ON c.id = team'),
    ...serial('count(b - a), the same join', 'SELECT count(b - a), count(c) FROM team_pairs JOIN calendars c ON c.id = team'),
    ...Object.entries(makes).flatMap(([what, make]) => serial(what, `SELECT count(t) FROM (${make(from(what))}) h`, `${some[what]} rows`)),
  );
  const best = await measure(statements, Math.max(ROUNDS, 11));
  const row = (what, n = rows) => ofRows(best[what], n);
  for (const span of Object.keys(spans)) {
    beyond(`business_time, ${span}`, row(`business_time, ${span}`), row(`count(b - a); ${span}`), 1e-4);
    beyond(`business_time, ${span}`, row(`business_time, ${span}`), row(`count(a), count(b); ${span}`));
  }
  const ours = row('business_time, 20 days');
  compare(LABEL, 'business_time, 2 years, a row', row('business_time, 2 years'), 'business_time, 20 days', ours, 1.1, perRow);
  const large = 'business_time, a calendar of 1,217 shifts from a table';
  for (const [what, base, n] of [
    ['is_open', 'count(a)'], ['business_time, calendar from a table', 'count(b - a); 20 days'], [large, 'count(b - a); 20 days', some['large calendar']],
    ['business_time, four calendars in turn', 'count(b - a), the same join'],
  ]) beyond(what, row(what, n), row(base));
  const reading = row('count(a), count(b); 20 days');
  for (const [what, target] of [['generate_series', 1 / 500], ['running totals', 1 / 100], ['table of days', undefined]]) {
    const theirs = row(what, some[what]);
    compare(LABEL, 'business_time, 20 days, a row', ours, `SQL by hand, ${what}`, theirs, target, perRow);
    compare(LABEL, '… beyond reading it', difference(ours, reading), `SQL by hand, ${what}`, difference(theirs, reading), target, perRow);
  }
  await explain(LABEL, statements);
}

// ---- SLAs ------------------------------------------------------------------------------------------------------------

const AS_OF = `timestamptz '${new Date((START + SHAPES.sla.years * 365 * 86400) * 1000).toISOString()}'`;
const TARGET = '16 hours';
const marks = '{created=1, waiting=2, answered=3, replied=4, reopened=5}';
const sla = (options) => `sla('reply', start => '{created, reopened}', pause => '{waiting}', resume => '{answered}', stop => '{replied}',
  marks => '${marks}', target => '${TARGET}'${options})`;
const business24 = sla(`, calendar => ${calendar()}`);

const breach = (definition) => (column, from) => `SELECT started(s), met(s), breached(s), running(s), paused(s), at_risk(s), overdue(s), p.sum_seconds::bigint
  FROM (SELECT sla_breach(${column}, ${definition}, ${AS_OF}) s FROM ${from}) q, phases(s) p WHERE phase_no = 0`;

/** The same: what each run of the clock took, summed by ticket; the last mark tells how it stands. */
function breachByHand(runs) {
  return `SELECT count(*), count(*) FILTER (WHERE last = 4 AND NOT late), count(*) FILTER (WHERE late), count(*) FILTER (WHERE last NOT IN (2, 4) AND NOT late),
      count(*) FILTER (WHERE last = 2 AND NOT late), count(*) FILTER (WHERE last <> 4 AND NOT late AND elapsed >= 0.8 * interval '${TARGET}'),
      count(*) FILTER (WHERE last <> 4 AND late), extract(epoch FROM sum(elapsed) FILTER (WHERE last = 4))::bigint
    FROM (SELECT last, elapsed, elapsed > interval '${TARGET}' late FROM (
      SELECT max(mark) FILTER (WHERE is_last) last, coalesce(sum(t), '0') elapsed FROM (${runs}) r GROUP BY subject) c) c`;
}
const runs = (subjects) => `SELECT subject, mark, ts a, lead(ts, 1, ${AS_OF}) OVER w b, lead(ts) OVER w IS NULL is_last FROM events WHERE subject <= ${subjects}
  WINDOW w AS (PARTITION BY subject ORDER BY ts)`;

async function slas(pg) {
  const shape = SHAPES.sla;
  const subjects = Math.round(shape.subjects * SCALE);
  const part = Math.round(subjects / 15);
  const file = `${FILES}/sla.csv`;
  note(`${LABEL} SLAs: generating, loading, folding`);
  const events = generate('sla', SCALE, file);
  await all(pg, [...load.pg(file), ...fold.pg]);
  rmSync(file);
  const layouts = await packLayouts(pg);

  const only = (make) => ({ '': { sql: make('journey', 'journeys') } });
  const velocity = (options) => (column, from) => `SELECT sum(s.visits), sum(s.pending) FROM (SELECT stage_velocity(${column},
    lifecycle('desk', stages => '{created, waiting, answered, replied, reopened}'${options}), ${AS_OF}) v FROM ${from}) q, stages(v) s`;
  const both = `, calendar => ${calendar()}`;
  const statements = [
    ...statement(pg, 'count(*) of journeys', null, { '': { sql: 'SELECT count(*) FROM journeys' } }),
    ...statement(pg, 'count(journey)', null, { '': { sql: 'SELECT count(journey) FROM journeys' } }),
    ...statement(pg, 'sla_breach, packs', 'breach', overPacks(layouts, breach(business24))),
    ...statement(pg, 'sla_breach, journeys', 'breach', only(breach(business24))),
    ...statement(pg, 'sla_breach without calendar, packs', null, overPacks(layouts, breach(sla('')))),
    ...statement(pg, 'velocity by both clocks, packs', 'velocity', overPacks(layouts, velocity(both))),
    ...statement(pg, 'velocity by one clock, packs', 'velocity', overPacks(layouts, velocity(''))),
    ...statement(pg, 'sla_breach, a fifteenth of the journeys', 'part', { '': { sql: breach(business24)('journey', `journeys WHERE subject <= ${part}`) } }),
    ...statement(pg, 'SLA by hand, running totals', 'part', {
      'lead(), two look-ups a run': { sql: breachByHand(`SELECT subject, mark, is_last, CASE WHEN mark IN (1, 3, 5) THEN ${looked('b')} - ${looked('a')} END t FROM (${runs(part)}) r`) },
    }),
    ...statement(pg, 'SLA by hand, table of days', 'part', {
      'lead(), two joins': {
        sql: breachByHand(`SELECT subject, mark, is_last, CASE WHEN mark IN (1, 3, 5) THEN (${ofDay('q', 'b')}) - (${ofDay('p', 'a')}) END t FROM (${runs(part)}) r
          JOIN days p ON p.day = ${dateOf('a')} JOIN days q ON q.day = ${dateOf('b')}`),
      },
    }),
  ];
  note(`${LABEL} measuring ${statements.length} statements over ${events} events`);
  const best = await measure(statements);
  const t = (what) => best[what];
  compare(LABEL, 'sla_breach over packs', t('sla_breach, packs'), 'count(*) of journeys', t('count(*) of journeys'), 2);
  compare(LABEL, 'sla_breach over packs', t('sla_breach, packs'), 'the same without calendar', t('sla_breach without calendar, packs'));
  compare(LABEL, 'sla_breach over journeys', t('sla_breach, journeys'), 'count(journey)', t('count(journey)'));
  const ours = ofRows(t('sla_breach, packs'), subjects);
  for (const other of ['running totals', 'table of days'])
    compare(LABEL, 'sla_breach over packs, a ticket', ours, `SQL by hand, ${other}`, ofRows(t(`SLA by hand, ${other}`), part), undefined, perRow);
  compare(LABEL, 'velocity by both clocks over packs', t('velocity by both clocks, packs'), 'by wall time alone', t('velocity by one clock, packs'));
  await explain(LABEL, statements);
}

// ---- calendars -------------------------------------------------------------------------------------------------------

/** Laying out 20 years: what the first question takes longer than the second. */
async function layingOut(pg) {
  note(`${LABEL} laying out calendars`);
  const over = (which) => `SELECT count(business_time(c, ${FROM}, ${TO})) FROM calendars WHERE ${which}`;
  const twice = async (sql) => (await pg.run(sql)).ms - (await pg.run(sql)).ms;
  const cold = [];
  const one = [];
  const many = [];
  for (let i = 0; i < 21; i++) {
    await pg.reconnect();
    await pg.run('SELECT count(fingerprint(c)) FROM calendars WHERE id = 1'); // loads the library
    cold.push(await twice(over('id = 1'))); // the catalog's rows of business_time, the time zone's file, and the calendar
    one.push(await twice(over('id = 2')));
  }
  for (let i = 0; i < 5; i++) {
    await pg.reconnect();
    await pg.run(over('id = 1'));
    many.push((await twice(over('id > 1'))) / 99);
  }
  limit(LABEL, 'laying out 20 years, the first question in a new backend', median(cold), 5, ms);
  limit(LABEL, 'laying out 20 years, the next calendar', median(one), 5, ms);
  limit(LABEL, 'laying out 20 years, each of 99 calendars', median(many), 5, ms);
  const made = [];
  for (let i = 0; i < 5; i++) made.push((await pg.run(`SELECT count(${calendar(`'desk ' || i`)}) FROM generate_series(1, 200) i`)).ms / 200);
  table.push([LABEL, `making a calendar with ${holidays.length} holidays`, perRow(median(made)), '', '', '', perRow(Math.min(...made)), '', '']);
}

export async function business(pg) {
  await pg.run('CREATE SCHEMA sla');
  await pg.run('ALTER DATABASE postgres SET search_path = sla, revacct, public');
  await pg.reconnect();
  await businessTime(pg);
  await slas(pg);
  await layingOut(pg);
  if (!process.env.KEEP) await pg.run('DROP SCHEMA sla CASCADE');
}
