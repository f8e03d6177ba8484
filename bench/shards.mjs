// Scale-out over postgres_fdw: the two-step query, whose aggregates the shards compute, beside one that pulls their rows, and beside one node that has all.
//
// The server of the bench is the coordinator, and holds all rows as the one node; the instances that bench/run started besides hold half of them each. postgres_fdw reads
// by a cursor, for which PostgreSQL plans no workers: an instance works on a query alone, so that two of them have what one node has with a worker and its leader.
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { generate } from './data.mjs';
import { all, compare, explain, FILES, measure, note, SCALE, statement } from './measure.mjs';
import { describe, fold, load, packs, revacct } from './statements.mjs';

const LABEL = '(shards)';
const TABLES = { journeys: 'journey journey', packs: 'pack journey_pack' };
const PACK = 300; // subjects: a page

const instances = (process.env.BENCH_INSTANCES || '').trim().split('\n').map((line) => line.split(' '));
const onInstance = ([host, port], sql) => execFileSync('psql', ['-Xq', '-v', 'ON_ERROR_STOP=1', '-h', host, '-p', port, '-d', 'postgres'], { input: sql });

async function distribute(pg) {
  const shape = describe('a');
  const file = `${FILES}/shards.csv`;
  note(`${LABEL} generating, loading, folding`);
  const events = generate('a', SCALE, file);
  await all(pg, [...load.pg(file), ...fold.pg, ...packs('packs', PACK, 'inline')]);
  rmSync(file);
  note(`${LABEL} ${events} events; journeys and packs go to ${instances.length} instances`);
  await pg.run('CREATE EXTENSION postgres_fdw');
  for (const table of Object.keys(TABLES)) await pg.run(`CREATE TABLE all_${table} (shard int, ${TABLES[table]}) PARTITION BY LIST (shard)`);
  for (const [n, [host, port]] of instances.entries()) {
    onInstance(instances[n], `CREATE EXTENSION revacct CASCADE; SET search_path = public, revacct;
      ${Object.entries(TABLES).map(([table, column]) => `CREATE TABLE ${table} (shard int, ${column});`).join('\n')}
      ALTER TABLE packs SET (toast_tuple_target = 8160); ALTER TABLE packs ALTER pack SET STORAGE EXTERNAL;`);
    await all(pg, [
      `CREATE SERVER instance_${n} FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '${host}', port '${port}', dbname 'postgres', extensions 'revacct', async_capable 'true', fdw_tuple_cost '100',
         fetch_size '10000', batch_size '1000')`,
      `CREATE USER MAPPING FOR postgres SERVER instance_${n} OPTIONS (user 'postgres')`,
      ...Object.keys(TABLES).map((table) => `CREATE FOREIGN TABLE ${table}_${n} PARTITION OF all_${table} FOR VALUES IN (${n}) SERVER instance_${n} OPTIONS (schema_name 'public', table_name '${table}')`),
      `INSERT INTO journeys_${n} SELECT ${n}, journey FROM journeys WHERE subject % ${instances.length} = ${n}`,
      `INSERT INTO packs_${n} SELECT ${n}, pack FROM packs WHERE part % ${instances.length} = ${n}`,
    ]);
    onInstance(instances[n], 'VACUUM (FREEZE, ANALYZE) journeys, packs');
    await all(pg, Object.keys(TABLES).map((table) => `ANALYZE ${table}_${n}`));
  }
  return shape;
}

export async function shards(pg) {
  await pg.run('CREATE SCHEMA shards');
  await pg.run('ALTER DATABASE postgres SET search_path = shards, revacct, public');
  await pg.reconnect();
  const shape = await distribute(pg);

  const funnel = (column, from) => revacct.funnel(shape.strict, shape, column, from);
  const velocity = (column, from) => revacct.velocity(shape, column, from);
  const questions = [
    ['funnel over journeys', funnel, 'journey', 'journeys', `funnel_conversion(journey, ${shape.strict}, ${shape.asOf})`],
    ['funnel over packs', funnel, 'pack', 'packs', `funnel_conversion(pack, ${shape.strict}, ${shape.asOf})`],
    ['velocity over packs', velocity, 'pack', 'packs', `stage_velocity(pack, ${shape.impute}, ${shape.asOf})`],
  ];
  const statements = questions.flatMap(([what, make, column, table, aggregate]) => {
    const naive = make(column, `all_${table}`);
    const twoSteps = naive.replace(`SELECT ${aggregate} AS f FROM all_${table}`, `SELECT rollup(f) AS f FROM (SELECT shard, ${aggregate} AS f FROM all_${table} GROUP BY shard) s`);
    if (twoSteps === naive) throw new Error(`no two steps: ${naive}`);
    const settings = { enable_partitionwise_aggregate: 'on' };
    return [
      ...statement(pg, `${what}, one node`, what, { '': { sql: make(column, table), keep: true } }),
      ...statement(pg, `${what}, one node, one process`, what, { '': { sql: make(column, table), settings: { max_parallel_workers_per_gather: 0 }, keep: true } }),
      ...statement(pg, `${what}, two steps`, what, { '': { sql: twoSteps, settings, keep: true } }),
      ...statement(pg, `${what}, pulling rows`, what, { '': { sql: naive, settings, keep: true } }),
    ];
  });
  const best = await measure(statements);
  for (const [what] of questions)
    for (const other of ['pulling rows', 'one node', 'one node, one process']) compare(LABEL, `${what}, two steps`, best[`${what}, two steps`], other, best[`${what}, ${other}`]);
  await explain(LABEL, statements);
  if (!process.env.KEEP) {
    await all(pg, instances.map((_, n) => `DROP SERVER instance_${n} CASCADE`));
    await all(pg, ['DROP EXTENSION postgres_fdw', 'DROP SCHEMA shards CASCADE']);
  }
}
