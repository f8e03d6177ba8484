// What is loaded and asked, in each engine's own words.
//
// The funnel: how many subjects have a chain of stage 1, 2, … k in this order, all within the window from the first.
// Velocity: per stage, how many visits ended and how many are open, and the median of their durations.
import { SHAPES, START } from './data.mjs';

const upTo = (n, f, from = 1) => Array.from({ length: Math.max(0, n - from + 1) }, (_, i) => f(i + from));
const list = (n, f, from = 1) => upTo(n, f, from).join(', ');
const sqlTime = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 19).replace('T', ' ');

/** Everything about a shape that its statements need. */
export function describe(name) {
  const shape = SHAPES[name];
  const k = shape.stages;
  const end = START + shape.years * 365 * 86400;
  // Winning ends an attempt; only in (a) is it also the last event of a subject, as it must be for windowFunnel to agree.
  const names = upTo(k, (i) => `s${i}`);
  const won = name === 'a' ? names.pop() : null;
  const lifecycle = (options = '') =>
    `lifecycle('bench', stages => '{${names}}'${won ? `, won => '${won}'` : ''}${options})`;
  return {
    ...shape,
    name,
    k,
    visited: names.length, // stages that are visited: the won stage is not
    asOf: `timestamptz '${sqlTime(end)}+00'`,
    end: sqlTime(end),
    strict: lifecycle(`, skip => 'strict', within => '${shape.within} seconds'`),
    impute: lifecycle(),
  };
}

// ---- loading ---------------------------------------------------------------------------------------------------------

export const load = {
  pg: (file) => [
    'CREATE TABLE events (subject bigint, mark int, ts timestamptz)',
    `\\copy events FROM '${file}' CSV`,
    'ALTER TABLE events SET (parallel_workers = 2)',
    'CREATE INDEX events_covering ON events (subject, ts) INCLUDE (mark)',
    'VACUUM (FREEZE, ANALYZE) events',
  ],
  ch: (file) => [
    ...[['ledger', 'ts'], ['sorted', '(subject, ts)']].flatMap(([table, order]) => [
      `CREATE TABLE ${table} (subject UInt64, mark UInt8, ts DateTime('UTC')) ENGINE = MergeTree ORDER BY ${order}`,
      `INSERT INTO ${table} SELECT * FROM file('${file}', 'CSV', 'subject UInt64, mark UInt8, ts DateTime(''UTC'')')`,
      `OPTIMIZE TABLE ${table} FINAL`,
    ]),
  ],
  duck: (file) => [
    `CREATE TABLE events AS SELECT * FROM read_csv('${file}', header = false,
       columns = {subject: 'BIGINT', mark: 'TINYINT', ts: 'TIMESTAMP'})`,
  ],
};

/** Each engine's own form of one row a subject; what it costs is measured. */
export const fold = {
  pg: [
    'CREATE TABLE journeys (subject bigint, journey journey) WITH (parallel_workers = 2)',
    'INSERT INTO journeys SELECT subject, journey(mark, ts) FROM events GROUP BY subject',
    'VACUUM (FREEZE, ANALYZE) journeys',
  ],
  ch: [
    `CREATE TABLE folded (subject UInt64, mark Array(UInt8), ts Array(DateTime('UTC'))) ENGINE = MergeTree ORDER BY subject`,
    `INSERT INTO folded SELECT subject, arrayMap(e -> e.2, a), arrayMap(e -> e.1, a)
       FROM (SELECT subject, arraySort(groupArray((ts, mark))) a FROM ledger GROUP BY subject)`,
    'OPTIMIZE TABLE folded FINAL',
  ],
  duck: ['CREATE TABLE folded AS SELECT subject, list(mark ORDER BY ts) mark, list(ts ORDER BY ts) ts FROM events GROUP BY subject'],
  // one list of times for each stage: what the funnel over lists below likes best
  duckByStage: ({ k }) =>
    `CREATE TABLE folded_by_stage AS SELECT subject, ${list(k, (i) => `list(ts ORDER BY ts) FILTER (mark = ${i}) l${i}`)} FROM events GROUP BY subject`,
};

/** A table of packs of so many subjects each. Inline: kept whole, uncompressed, in its page. */
export const packs = (table, subjects, storage) => [
  `CREATE TABLE ${table} (part bigint, pack journey_pack) WITH (parallel_workers = 2, toast_tuple_target = ${storage === 'inline' ? 8160 : 2032})`,
  ...(storage === 'default' ? [] : [`ALTER TABLE ${table} ALTER pack SET STORAGE EXTERNAL`]),
  `INSERT INTO ${table} SELECT subject / ${subjects}, journey_pack(subject, mark, ts) FROM events GROUP BY 1 ORDER BY 1`,
  `VACUUM (FREEZE, ANALYZE) ${table}`,
];

// ---- revacct ---------------------------------------------------------------------------------------------------------

const steps = (from) => `SELECT string_agg(s.entered::text, ',' ORDER BY s.stage_no) FROM (${from}) q, stages(q.f) s`;
const visits = (from) =>
  `SELECT s.stage_no, s.visits - s.pending, s.pending, s.median_days FROM (${from}) q, stages(q.f) s ORDER BY 1`;

export const revacct = {
  funnel: (lifecycle, shape, column, from) => steps(`SELECT funnel_conversion(${column}, ${lifecycle}, ${shape.asOf}) AS f FROM ${from}`),
  velocity: (shape, column, from) => visits(`SELECT stage_velocity(${column}, ${shape.impute}, ${shape.asOf}) AS f FROM ${from}`),
  /** Kaplan–Meier medians in seconds, for the check against the same in plain SQL */
  medians: (shape) => `SELECT s.stage_no, round(extract(epoch FROM median(f, s.stage)))
     FROM (SELECT stage_velocity(journey, ${shape.impute}, ${shape.asOf}) AS f FROM journeys) q, stages(f) s ORDER BY 1`,
  /** fold and aggregate in one query */
  raw: (shape) => {
    const over = (column, from) => revacct.funnel(shape.strict, shape, column, from);
    return {
      'one pack': { sql: over('p', '(SELECT journey_pack(subject, mark, ts) p FROM events) e') },
      'one pack, one process': {
        sql: over('p', '(SELECT journey_pack(subject, mark, ts) p FROM events) e'),
        settings: { max_parallel_workers_per_gather: 0 },
      },
      '16 packs': { sql: over('p', '(SELECT journey_pack(subject, mark, ts) p FROM events GROUP BY subject % 16) e') },
      '256 packs': { sql: over('p', '(SELECT journey_pack(subject, mark, ts) p FROM events GROUP BY subject % 256) e') },
      'journeys, hashed': {
        sql: over('j', '(SELECT journey(mark, ts) j FROM events GROUP BY subject) e'),
        settings: { enable_sort: 'off', enable_indexscan: 'off', enable_indexonlyscan: 'off' },
      },
      'journeys, covering index': {
        sql: over('j', '(SELECT journey(mark, ts) j FROM events GROUP BY subject) e'),
        settings: { enable_hashagg: 'off', enable_seqscan: 'off', random_page_cost: 1 },
      },
    };
  },
};

// ---- the same by hand in PostgreSQL ----------------------------------------------------------------------------------

export const hand = {
  funnel: ({ k, within }) => {
    const w = `interval '${within} seconds'`;
    // One pass for the earliest entry of each stage, and a look into the index only where that came too early.
    let look = `SELECT subject, e1, e1 + ${w} z, ${list(k, (i) => `t${i}`, 2)} FROM (
      SELECT subject, unnest(a1) e1, ${list(k, (i) => `t${i}`, 2)} FROM (
        SELECT subject, array_agg(ts) FILTER (WHERE mark = 1) a1, ${list(k, (i) => `min(ts) FILTER (WHERE mark = ${i}) t${i}`, 2)}
        FROM events GROUP BY subject) g) u OFFSET 0`;
    // The latest start of a chain of length i that has got so far, carried by one window function after the other.
    let win = `SELECT subject, ts, mark, max(ts) FILTER (WHERE mark = 1) OVER w t1 FROM events
      WINDOW w AS (PARTITION BY subject ORDER BY ts ROWS UNBOUNDED PRECEDING)`;
    for (let i = 2; i <= k; i++) {
      look = `SELECT *, CASE WHEN e${i - 1} IS NULL OR t${i} IS NULL THEN NULL
          WHEN t${i} > e${i - 1} THEN CASE WHEN t${i} <= z THEN t${i} END
          ELSE (SELECT min(ts) FROM events e WHERE e.subject = q${i}.subject AND mark = ${i} AND ts > e${i - 1} AND ts <= z) END e${i}
        FROM (${look}) q${i} OFFSET 0`;
      win = `SELECT subject, ts, mark, ${list(i - 1, (j) => `t${j}`)},
          max(t${i - 1}) FILTER (WHERE mark = ${i} AND ts <= t${i - 1} + ${w}) OVER w t${i}
        FROM (${win}) q${i} WINDOW w AS (PARTITION BY subject ORDER BY ts ROWS UNBOUNDED PRECEDING)`;
    }
    const settings = { enable_hashagg: 'off', enable_seqscan: 'off', random_page_cost: 1 };
    const counts = list(k, (i) => `count(*) FILTER (WHERE l >= ${i})`);
    return {
      'minimums, index look-ups': {
        sql: `SELECT ${counts} FROM (SELECT subject, max(num_nonnulls(${list(k, (i) => `e${i}`)})) l FROM (${look}) q GROUP BY subject) q`,
        settings,
      },
      'chained windows': {
        sql: `SELECT ${counts} FROM (SELECT num_nonnulls(${list(k, (i) => `max(t${i})`)}) l FROM (${win}) q GROUP BY subject) q`,
        settings,
      },
    };
  },
  velocity: ({ visited }) => ({
    'lead()': {
      sql: `SELECT mark, count(d), count(*) - count(d), percentile_disc(0.5) WITHIN GROUP (ORDER BY d)
        FROM (SELECT mark, extract(epoch FROM lead(ts) OVER (PARTITION BY subject ORDER BY ts) - ts)::bigint d FROM events) q
        WHERE mark <= ${visited} GROUP BY mark ORDER BY mark`,
      settings: { enable_seqscan: 'off', random_page_cost: 1 },
    },
  }),
};

// ---- ClickHouse ------------------------------------------------------------------------------------------------------

const levels = (k, from) => `SELECT ${list(k, (i) => `countIf(l >= ${i})`)} FROM (${from})`;

export const clickhouse = {
  raw: ({ k, within }, table) => ({
    windowFunnel: {
      sql: levels(k, `SELECT windowFunnel(${within})(ts, ${list(k, (i) => `mark = ${i}`)}) l FROM ${table} GROUP BY subject`),
    },
    ...(table === 'sorted' && {
      'windowFunnel in order': {
        sql: `${levels(k, `SELECT windowFunnel(${within})(ts, ${list(k, (i) => `mark = ${i}`)}) l FROM sorted GROUP BY subject`)}
          SETTINGS optimize_aggregation_in_order = 1`,
      },
    }),
  }),
  folded: ({ k, within }) => ({
    arrayReduce: {
      sql: levels(k, `SELECT arrayReduce('windowFunnel(${within})', ts, ${list(k, (i) => `arrayMap(m -> m = ${i}, mark)`)}) l FROM folded`),
    },
    'ARRAY JOIN': {
      sql: levels(k, `SELECT windowFunnel(${within})(t, ${list(k, (i) => `m = ${i}`)}) l
        FROM (SELECT subject, m, t FROM folded ARRAY JOIN mark AS m, ts AS t) GROUP BY subject`),
    },
    arrayFold: {
      // the latest start of a chain of each length, event by event
      sql: levels(k, `SELECT countEqual(arrayMap(s -> s > 0, arrayFold((a, m, t) ->
          arrayMap((s, i) -> if(i = m, if(m = 1, t, if(t <= a[m - 1] + ${within}, a[m - 1], s)), s), a, range(1, ${k + 1})),
          mark, arrayMap(t -> toUnixTimestamp(t), ts), arrayMap(i -> toUInt32(0), range(${k})))), 1) l FROM folded`),
    },
  }),
  velocity: ({ visited }) => ({
    ...Object.fromEntries(['ledger', 'sorted'].map((table) => [`leadInFrame, ${table}`, {
      sql: `SELECT mark, countIf(d > 0), countIf(d = 0), quantileExactLowIf(0.5)(d, d > 0) FROM (
          SELECT mark, dateDiff('second', ts, leadInFrame(ts, 1, ts) OVER
            (PARTITION BY subject ORDER BY ts ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)) d FROM ${table})
        WHERE mark <= ${visited} GROUP BY mark ORDER BY mark`,
    }])),
  }),
  velocityFolded: ({ visited }) => ({
    arrayDifference: {
      sql: `SELECT m, countIf(d > 0), countIf(d = 0), quantileExactLowIf(0.5)(d, d > 0) FROM (SELECT m, d FROM folded
          ARRAY JOIN mark AS m, arrayPushBack(arrayPopFront(arrayDifference(arrayMap(t -> toUnixTimestamp(t), ts))), 0) AS d)
        WHERE m <= ${visited} GROUP BY m ORDER BY m`,
    },
  }),
};

// ---- DuckDB ----------------------------------------------------------------------------------------------------------

export const duckdb = {
  raw: ({ k, within }) => {
    const w = `INTERVAL ${within} SECOND`;
    const counts = list(k, (i) => `(SELECT count(DISTINCT subject) FROM c${i})`);
    const first = 'WITH c1 AS (SELECT subject, ts t0, ts FROM events WHERE mark = 1)';
    return {
      'chained joins': {
        // from each start the earliest next step
        sql: `${first}${upTo(k, (i) => `, c${i} AS (SELECT p.subject, p.t0, min(e.ts) ts FROM c${i - 1} p JOIN events e
            ON e.subject = p.subject AND e.mark = ${i} AND e.ts > p.ts AND e.ts <= p.t0 + ${w} GROUP BY ALL)`, 2).join('')}
          SELECT ${counts}`,
      },
      'ASOF joins': {
        // to each step the latest chain before it, which also started latest
        sql: `${first}${upTo(k, (i) => `, c${i} AS (SELECT e.subject, p.t0, e.ts FROM (SELECT subject, ts FROM events WHERE mark = ${i}) e
            ASOF JOIN c${i - 1} p ON e.subject = p.subject AND e.ts > p.ts WHERE e.ts <= p.t0 + ${w})`, 2).join('')}
          SELECT ${counts}`,
      },
    };
  },
  folded: ({ k, within }) => {
    const rest = list(k, (i) => `l${i}`, 2);
    let chain = `SELECT subject, e1, e1 + INTERVAL ${within} SECOND z, ${rest} FROM (SELECT subject, unnest(l1) e1, ${rest} FROM folded_by_stage)`;
    for (let i = 2; i <= k; i++)
      chain = `SELECT *, CASE WHEN e${i - 1} IS NULL OR l${i} IS NULL THEN NULL
          WHEN l${i}[1] > e${i - 1} THEN CASE WHEN l${i}[1] <= z THEN l${i}[1] END
          ELSE list_min(list_filter(l${i}, e -> e > e${i - 1} AND e <= z)) END e${i} FROM (${chain})`;
    const f = upTo(k, (i) => `s${i}`);
    return {
      'lists by stage': {
        sql: `SELECT ${list(k, (i) => `count(*) FILTER (l >= ${i})`)} FROM (
          SELECT max(${upTo(k, (i) => `(e${i} IS NOT NULL)::INT`).join(' + ')}) l FROM (${chain}) GROUP BY subject)`,
      },
      list_reduce: {
        // an event travels in the fields of the state: its time in s1, its stage in s2
        sql: `SELECT ${f.map((s) => `count(*) FILTER (a.${s} > 0)`)} FROM (SELECT list_reduce(
            list_transform(list_zip(mark, ts), x -> {s1: epoch(x[2])::BIGINT, s2: x[1]::BIGINT${f.slice(2).map((s) => `, ${s}: 0::BIGINT`).join('')}}),
            (a, x) -> {s1: CASE WHEN x.s2 = 1 THEN x.s1 ELSE a.s1 END${upTo(k, (i) => `, s${i}: CASE WHEN x.s2 = ${i}
              AND x.s1 <= a.s${i - 1} + ${within} THEN a.s${i - 1} ELSE a.s${i} END`, 2).join('')}},
            {${f.map((s) => `${s}: 0::BIGINT`)}}) a FROM folded)`,
      },
    };
  },
  velocity: ({ visited }) => ({
    'quantile over lead()': {
      sql: `SELECT mark, count(d), count(*) - count(d), quantile_disc(d, 0.5) FROM (
          SELECT mark, date_diff('second', ts, lead(ts) OVER (PARTITION BY subject ORDER BY ts)) d FROM events)
        WHERE mark <= ${visited} GROUP BY mark ORDER BY mark`,
    },
    'the same in µs': {
      sql: `SELECT mark, count(d), count(*) - count(d), quantile_disc(d, 0.5) // 1000000 FROM (
          SELECT mark, epoch_us(lead(ts) OVER (PARTITION BY subject ORDER BY ts)) - epoch_us(ts) d FROM events)
        WHERE mark <= ${visited} GROUP BY mark ORDER BY mark`,
    },
  }),
  velocityFolded: ({ visited }) => ({
    unnest: {
      sql: `SELECT m, count(d), count(*) - count(d), quantile_disc(d, 0.5) FROM (SELECT m, date_diff('second', t, u) d
          FROM (SELECT unnest(mark) m, unnest(ts) t, unnest(ts[2:]) u FROM folded))
        WHERE m <= ${visited} GROUP BY m ORDER BY m`,
    },
  }),
  /** The median that does not forget open visits: Kaplan–Meier in plain SQL, to check ours; on a plateau the midpoint. */
  medians: ({ visited, end }) => `WITH v AS (SELECT mark, lead(ts) OVER w IS NOT NULL ended,
        date_diff('second', ts, coalesce(lead(ts) OVER w, TIMESTAMP '${end}')) d FROM events WINDOW w AS (PARTITION BY subject ORDER BY ts)),
      n AS (SELECT mark, d, count(*) FILTER (ended) e, sum(count(*)) OVER (PARTITION BY mark ORDER BY d DESC) n
        FROM v WHERE mark <= ${visited} GROUP BY mark, d),
      s AS (SELECT mark, d, exp(sum(CASE WHEN e = n THEN -1e300 ELSE ln(1 - e / n) END) OVER (PARTITION BY mark ORDER BY d)) s,
        lead(d) OVER (PARTITION BY mark ORDER BY d) later FROM n WHERE e > 0)
    SELECT i, min(CASE WHEN s > 0.5 - 1e-9 THEN (d + later) / 2 ELSE d END) FILTER (s < 0.5 + 1e-9)
    FROM range(1, ${visited + 1}) r(i) LEFT JOIN s ON mark = i GROUP BY i ORDER BY i`,
};
