// Loads, checks that all agree, measures in turns, prints. Started by bench/run, which has made a server ready.
import { rmSync } from 'node:fs';
import { generate } from './data.mjs';
import { open } from './engines.mjs';
import { ledger } from './ledger.mjs';
import {
  all, compare, details, explain, FILES, kb, least, limit, mb, measure, median, ms, note, number, overPacks, packLayouts, print, remarks, ROUNDS, SCALE, statement,
  table,
} from './measure.mjs';
import { model } from './model.mjs';
import { shards } from './shards.mjs';
import { business } from './sla.mjs';
import { clickhouse, describe, duckdb, fold, hand, load, revacct } from './statements.mjs';

// ---- one shape -------------------------------------------------------------------------------------------------------

async function bench(name, { pg, ch, duck }) {
  const shape = describe(name);
  const file = `${FILES}/${name}.csv`;
  note(`(${name}) generating and loading`);
  const events = generate(name, SCALE, file);
  await pg.run(`CREATE SCHEMA ${name}`);
  await pg.run(`ALTER DATABASE postgres SET search_path = ${name}, revacct, public`);
  await pg.reconnect();
  await ch.run(`CREATE DATABASE ${name}`);
  await ch.run(`USE ${name}`);
  await duck.run(`CREATE SCHEMA ${name}`);
  await duck.run(`USE ${name}`);
  await all(pg, load.pg(file));
  await all(ch, load.ch(file));
  await all(duck, load.duck(file));

  note(`(${name}) folding`);
  const foldJourneys = await all(pg, fold.pg);
  const foldCh = await all(ch, fold.ch);
  const foldDuck = await all(duck, fold.duck);
  await all(duck, [fold.duckByStage(shape)]);
  const layouts = await packLayouts(pg);
  rmSync(file);

  const over = (make) => ({ '': { sql: make('journey', 'journeys') } });
  const funnel = (lifecycle) => (column, from) => revacct.funnel(lifecycle, shape, column, from);
  const velocity = (column, from) => revacct.velocity(shape, column, from);
  // Every engine's funnel as one line, ours too.
  const statements = [
    ...statement(pg, 'count(*) of journeys', null, { '': { sql: 'SELECT count(*) FROM journeys' } }),
    ...statement(pg, 'count(journey)', null, { '': { sql: 'SELECT count(journey) FROM journeys' } }),
    ...statement(pg, 'funnel, packs', 'funnel', overPacks(layouts, funnel(shape.strict))),
    ...statement(pg, 'funnel, journeys', 'funnel', over(funnel(shape.strict))),
    ...statement(pg, 'funnel, raw events', 'funnel', revacct.raw(shape)).map((s) => ({ ...s, keep: true })),
    ...statement(pg, 'default funnel, packs', 'default funnel', overPacks(layouts, funnel(shape.impute))),
    ...statement(pg, 'default funnel, journeys', 'default funnel', over(funnel(shape.impute))),
    ...statement(pg, 'velocity, packs', 'velocity', overPacks(layouts, velocity)),
    ...statement(pg, 'velocity, journeys', 'velocity', over(velocity)),
    ...statement(pg, 'funnel, SQL by hand', 'funnel', hand.funnel(shape)),
    ...statement(pg, 'velocity, SQL by hand', 'velocity', hand.velocity(shape)),
    ...statement(ch, 'funnel, ClickHouse, ledger', 'funnel', clickhouse.raw(shape, 'ledger')),
    ...statement(ch, 'funnel, ClickHouse, sorted by subject', 'funnel', clickhouse.raw(shape, 'sorted')),
    ...statement(ch, 'funnel, ClickHouse, arrays', 'funnel', clickhouse.folded(shape)),
    ...statement(ch, 'velocity, ClickHouse', 'velocity', clickhouse.velocity(shape)),
    ...statement(ch, 'velocity, ClickHouse, arrays', 'velocity', clickhouse.velocityFolded(shape)),
    ...statement(duck, 'funnel, DuckDB', 'funnel', duckdb.raw(shape)),
    ...statement(duck, 'funnel, DuckDB, lists', 'funnel', duckdb.folded(shape)),
    ...statement(duck, 'velocity, DuckDB', 'velocity', duckdb.velocity(shape)),
    ...statement(duck, 'velocity, DuckDB, lists', 'velocity', duckdb.velocityFolded(shape)),
  ];
  note(`(${name}) measuring ${statements.length} statements over ${events} events`);
  const best = await measure(statements);
  await checkMedians(shape, pg, duck);

  const t = (what) => best[what];
  const packed = layouts[best['funnel, packs'].variant];
  const label = `(${name})`;
  compare(label, 'funnel over packs', t('funnel, packs'), 'ClickHouse, raw events', t('funnel, ClickHouse, ledger'), 1 / 25);
  compare(label, 'funnel over packs', t('funnel, packs'), 'DuckDB, raw events', t('funnel, DuckDB'), 1 / 15);
  compare(label, 'funnel over packs', t('funnel, packs'), 'count(*) of journeys', t('count(*) of journeys'), 0.5);
  compare(label, 'funnel over journeys', t('funnel, journeys'), 'ClickHouse, raw events', t('funnel, ClickHouse, ledger'), 1 / 8);
  compare(label, 'funnel over journeys', t('funnel, journeys'), 'DuckDB, raw events', t('funnel, DuckDB'), 1 / 5);
  compare(label, 'funnel over journeys', t('funnel, journeys'), 'count(journey)', t('count(journey)'), 1.15);
  compare(label, 'velocity over packs', t('velocity, packs'), 'DuckDB, quantile over lead()', t('velocity, DuckDB'), 1 / 8);
  compare(label, 'velocity over journeys', t('velocity, journeys'), 'DuckDB, quantile over lead()', t('velocity, DuckDB'), 1 / 4);
  compare(label, 'funnel from raw events', t('funnel, raw events'), 'ClickHouse, raw events', t('funnel, ClickHouse, ledger'), 1);

  const size = (tables) => number(pg, `SELECT sum(pg_relation_size(oid) + CASE WHEN reltoastrelid <> 0 THEN pg_relation_size(reltoastrelid) ELSE 0 END)
    FROM pg_class WHERE relnamespace = '${name}'::regnamespace AND relname = '${tables}'`);
  const heap = await number(pg, `SELECT pg_relation_size('${name}.events')`);
  limit(label, 'size of packs', await size(packed.table), 0.12, mb, 'heap of events', heap);
  limit(label, 'size of journeys', await size('journeys'), 0.27, mb, 'heap of events', heap);

  // for fairness
  for (const [what, other] of [
    ['funnel, packs', 'funnel, ClickHouse, sorted by subject'], ['funnel, packs', 'funnel, ClickHouse, arrays'],
    ['funnel, packs', 'funnel, DuckDB, lists'], ['funnel, packs', 'funnel, SQL by hand'],
    ['funnel, raw events', 'funnel, ClickHouse, sorted by subject'], ['funnel, raw events', 'funnel, DuckDB'],
    ['default funnel, packs', 'funnel, ClickHouse, ledger'], ['default funnel, journeys', 'funnel, ClickHouse, ledger'],
    ['velocity, packs', 'velocity, DuckDB, lists'], ['velocity, packs', 'velocity, ClickHouse'],
    ['velocity, packs', 'velocity, ClickHouse, arrays'], ['velocity, packs', 'velocity, SQL by hand'],
  ]) compare(label, what, t(what), other, t(other));

  const pays = (cost, with_, without) => (without > with_ ? Math.ceil(cost / (without - with_)) : 'never');
  for (const [what, cost, query, raw] of [
    ['packs', packed.took, 'funnel, packs', 'funnel, ClickHouse, ledger'],
    ['journeys', foldJourneys, 'funnel, journeys', 'funnel, ClickHouse, ledger'],
    ['ClickHouse, arrays', foldCh, 'funnel, ClickHouse, arrays', 'funnel, ClickHouse, ledger'],
    ['DuckDB, lists', foldDuck, 'funnel, DuckDB, lists', 'funnel, DuckDB'],
  ]) remarks.push([label, what, ms(cost), `${ms(t(query).ms)} instead of ${ms(t(raw).ms)}`, pays(cost, t(query).ms, t(raw).ms)]);

  await explain(label, statements);

  if (name === 'a') await limits(pg, shape);
  if (!process.env.KEEP) await pg.run(`DROP SCHEMA ${name} CASCADE`);
  await ch.run(`DROP DATABASE ${name}`);
  await duck.run('USE main');
  await duck.run(`DROP SCHEMA ${name} CASCADE`);
}

/** Our medians against Kaplan–Meier in DuckDB's SQL: within the 1 % of the bins. */
async function checkMedians(shape, pg, duck) {
  const parse = (answer) => answer.split('\n').map((line) => line.split(',')[1]);
  const ours = parse((await pg.run(revacct.medians(shape))).answer);
  const theirs = parse((await duck.run(duckdb.medians(shape))).answer);
  const equal = ours.length === theirs.length && ours.every((o, i) => (o === '' || theirs[i] === '' ? o === theirs[i] : Math.abs(o - theirs[i]) <= 0.0101 * theirs[i] + 1));
  if (!equal) throw new Error(`medians differ\nours:   ${ours}\ntheirs: ${theirs}`);
}

// ---- limits that need no other engine --------------------------------------------------------------------------------

async function limits(pg, shape) {
  note('limits');
  // Stage b, left in every way there is after random times; what is left for goes on for a second: only b is large.
  const ways = `lifecycle('ways', stages => '{a,b,c,d}', won => 'w', lost => '{l}', no_decision => '{n}', recycled => '{r}', churned => '{x}')`;
  const summary = (durations, duration, marks, copies) => `SELECT pg_column_size(stage_velocity(j, ${ways}, '2400-01-01')) FROM generate_series(1, ${copies}), (
      SELECT journey(m, '2000-01-01'::timestamptz + us * interval '1 microsecond') j
      FROM generate_series(1, ${durations}) g, unnest('{${marks}}'::int[]) k, LATERAL (SELECT (${duration})::bigint d) x,
        LATERAL (VALUES (2, 0), (k, d), (6, d + 1000000)) v(m, us) GROUP BY g, k) q`;
  const random = `(hashint8(g)::bigint + 2147483648) * 8000`;
  const wide = `exp(g / 20000.0 * ln(3.15e14))`;
  const exits = '1,3,4,5,6,7,8,9';
  for (const [what, target, ...data] of [
    ['one stage while exact: 4,096 random durations, one exit', 64, 4096, random, '3', 1],
    ['one stage while exact, the worst: 4,096 random durations, 200 times each exit', 64, 4096, random, exits, 200],
    ['one stage once binned: 20,000 durations from 1 µs to 10 years, one exit', 16, 20000, wide, '3', 1],
    ['one stage once binned, the worst: the same, 20 times each exit', 16, 20000, wide, exits, 20],
  ]) limit('', what, await number(pg, summary(...data)), target * 1024, kb);
  limit('(a)', 'one stage of the velocity summary above', await number(pg, `SELECT pg_column_size(stage_velocity(journey, ${shape.impute}, ${shape.asOf})) / ${shape.visited} FROM journeys`), 16 * 1024, kb);
  limit('(a)', 'one stage of the funnel summary above', await number(pg, `SELECT pg_column_size(funnel_conversion(journey, ${shape.strict}, ${shape.asOf})) / ${shape.k} FROM journeys`), 16 * 1024, kb);

  // 100,000 marks at one instant, 64 steps: each mark of one step, or every mark of every step.
  await pg.run(`CREATE TABLE instant AS SELECT journey(1 + g % 64, '2024-01-01', g) j FROM generate_series(1, 100000) g`);
  const names = Array.from({ length: 64 }, (_, i) => `s${i}`);
  const ids = Array.from({ length: 64 }, (_, i) => i + 1);
  for (const [what, options] of [
    ['strict', `skip => 'strict'`],
    ['strict, window and step windows', `skip => 'strict', within => '1 day', step_within => array_fill(interval '1 hour', '{64}')`],
    ['strict, every mark of every step', `skip => 'strict', within => '1 day', marks => array_fill('${ids.join(' ')}'::text, '{64}')`],
    ['default', `within => '1 day'`],
  ]) {
    const sql = `SELECT entered(funnel_conversion(j, lifecycle('wide', stages => '{${names}}', ${options}), '2025-01-01'), 's63') FROM instant`;
    const times = [];
    let answer;
    for (let i = 0; i < 5; i++) {
      const run = await pg.run(sql);
      times.push(run.ms);
      answer = run.answer;
    }
    if (answer !== '1') throw new Error(`64 steps, ${what}: ${answer}`);
    limit('', `64 steps × 100,000 marks at one instant, ${what}`, median(times), 1000, ms);
  }

  // Many groups: the plan is the planner's.
  const groups = Math.round(200_000 * SCALE);
  await all(pg, [
    `CREATE TABLE grouped (grp int, journey journey) WITH (parallel_workers = 2)`,
    `INSERT INTO grouped SELECT subject % ${groups}, journey FROM journeys`,
    'VACUUM (FREEZE, ANALYZE) grouped',
  ]);
  const settings = { work_mem: "'64MB'" };
  const ours = `SELECT count(*), count(f) FROM (SELECT grp, funnel_conversion(journey, ${shape.strict}, ${shape.asOf}) f FROM grouped GROUP BY grp) q`;
  const count = 'SELECT count(*), count(f) FROM (SELECT grp, count(*) f FROM grouped GROUP BY grp) q';
  const what = [`funnel of ${groups.toLocaleString('en')} groups, work_mem 64 MB`, 'count(*), same GROUP BY'];
  const best = await measure([
    ...statement(pg, what[0], null, { '': { sql: ours, settings } }),
    ...statement(pg, what[1], null, { '': { sql: count, settings } }),
  ]);
  compare('(a)', what[0], best[what[0]], what[1], best[what[1]], 2);
  await explain('(a)', Object.values(best));
}

// ---- all -------------------------------------------------------------------------------------------------------------

const shapes = (process.env.SHAPES || 'a,b,c,sla,model,ledger,shards').split(',');
const alone = { sla: business, model, ledger, shards }; // what needs no other engine
const engines = await open(FILES, shapes.some((name) => !(name in alone)));
await engines.pg.run('CREATE EXTENSION revacct CASCADE');
const versions = [];
for (const engine of Object.values(engines)) versions.push(await engine.version());
for (const name of shapes) await (name in alone ? alone[name](engines.pg) : bench(name, engines));
for (const engine of Object.values(engines)) await engine.close();

console.log(`revacct beside ${versions.join(', ')}; scale ${SCALE}, median of ${ROUNDS} rounds in which the engines took turns, warm, two processors each.
(a) 1.5 M subjects, 6.2 M events, 8 stages; (b) 1 M subjects × 4 events, 24 h; (c) 10,000 subjects × 400 events; (sla) 1.5 M tickets, 5.8 M events,
and business time between 1 M pairs of instants; (model) 30 lifecycles, 300 stages, 2,000 versions, 1 M journeys;
(ledger) 10 M events of 1 M opportunities over two years; (shards) the events of (a) on two instances. All answers were equal.`);
print(['shape', 'what', 'time or size', 'compared with', 'its', 'ratio', 'of the least times', 'target', 'reached'], table);
if (remarks.length) console.log('\nFolding, and after how many queries it pays:');
if (remarks.length) print(['shape', 'into', 'once', 'a query then', 'pays after'], remarks);
console.log('\nEvery statement, as many ways as were tried:');
print(['shape', 'what', 'how', 'median', 'least – most', 'plan'], details);
