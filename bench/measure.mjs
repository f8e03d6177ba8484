// Measuring in turns, checking that all agree, and the tables that are printed.
import { packs } from './statements.mjs';

export const SCALE = Number(process.env.SCALE || 1);
export const ROUNDS = Math.max(5, Number(process.env.ROUNDS || 5));
export const FILES = process.env.BENCH_FILES;

export const note = (text) => process.stderr.write(`${text}\n`);
export const median = (times) => times.slice().sort((x, y) => x - y)[Math.floor(times.length / 2)];
export const ms = (t) => (t < 10 ? t.toFixed(1) : Math.round(t).toLocaleString('en')) + ' ms';
export const least = (statement) => Math.min(...statement.times);
export const kb = (bytes) => (bytes < 1024 ? `${bytes} B` : `${(bytes / 1024).toFixed(1)} kB`);
export const mb = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
const ratio = (r) => (r < 0.4 ? `1/${(1 / r).toFixed(1)}` : r.toFixed(2));

export const table = []; // rows of the table of ratios
export const remarks = []; // of what folding costs
export const details = []; // of all statements
export const verdict = (value, target) => (value <= target * 1.0005 ? 'yes' : `no: ${(value / target).toFixed(2)} × the target`);

/** Two measured statements: the ratio of their medians, and beside it of their least times, which noise reaches least. */
export function compare(shape, what, ours, other, theirs, target, show = ms) {
  const r = ours.ms / theirs.ms;
  const goal = target === undefined ? ['', ''] : [`≤ ${target < 0.4 ? `1/${+(1 / target).toFixed(1)}` : target}`, verdict(r, target)];
  table.push([shape, what, show(ours.ms), other, show(theirs.ms), ratio(r), ours.times ? ratio(least(ours) / least(theirs)) : '', ...goal]);
}
/** A figure that has a limit by itself, or as a part of another figure. */
export function limit(shape, what, ours, target, show, other = '', theirs = 1) {
  const part = other ? [show(theirs), (ours / theirs).toFixed(3)] : ['', ''];
  table.push([shape, what, show(ours), other, ...part, '', `≤ ${other ? target : show(target)}`, verdict(ours / theirs, target)]);
}
export function print(head, rows) {
  console.log(`\n| ${head.join(' | ')} |\n|${head.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${row.join(' | ')} |`);
}

// ---- measuring -------------------------------------------------------------------------------------------------------

/** Statements that answer one question: { what, engine, sql, settings, variant, agree }. `agree` names those whose answers must be equal. */
export function statement(engine, what, agree, variants) {
  return Object.entries(variants).map(([variant, v]) => ({ engine, what, agree, variant, times: [], ...v }));
}

/** One run of each, whose answers must agree; then rounds in which the engines take turns. Hopeless variants are dropped early. */
export async function measure(statements, rounds = ROUNDS) {
  const answers = {};
  for (const s of statements) {
    const { answer, ms: t } = await s.engine.run(s.sql, s.settings);
    s.first = t;
    if (!s.agree) continue;
    // of velocity the counts: our median knows of open visits, theirs does not; it is checked apart
    const text = s.agree === 'velocity' ? answer.replace(/^(\d+,\d+,\d+).*$/gm, '$1') : answer;
    answers[s.agree] ??= { text, by: s };
    if (text !== answers[s.agree].text)
      throw new Error(`${s.agree}: answers differ\n${answers[s.agree].by.what}, ${answers[s.agree].by.variant}:\n${answers[s.agree].text}\n${s.what}, ${s.variant}:\n${text}`);
  }
  // Of several ways to ask the same, those that are quick or not far from the best so far go on.
  const sofar = (s) => Math.min(s.first, ...s.times);
  const worthwhile = (all, factor) =>
    all.filter((s) => s.keep || sofar(s) < 250 || sofar(s) <= factor * Math.min(...all.filter((o) => o.what === s.what).map(sofar)));
  let running = worthwhile(statements, 3);
  for (let round = 0; round < rounds; round++) {
    const queues = Object.values(groupBy(running));
    for (let i = 0; queues.some((q) => i < q.length); i++)
      for (const queue of queues) if (queue[i]) queue[i].times.push((await queue[i].engine.run(queue[i].sql, queue[i].settings)).ms);
    if (round === 0) running = worthwhile(running, 1.7);
    note(`  round ${round + 1} of ${rounds}`);
  }
  const best = {};
  for (const s of running) {
    s.ms = median(s.times);
    if (!(s.what in best) || s.ms < best[s.what].ms) best[s.what] = s;
  }
  return best;
}
function groupBy(statements) {
  const groups = {};
  for (const s of statements) (groups[s.engine.name] ??= []).push(s);
  return groups;
}

export async function all(engine, statements) {
  let total = 0;
  for (const sql of statements) total += (await engine.run(sql)).ms;
  return total;
}

/** Every statement for the last table; of PostgreSQL's, the plan as a row of nodes. */
export async function explain(label, statements) {
  for (const s of statements) {
    const range = s.ms ? `${ms(least(s))} – ${ms(Math.max(...s.times))}` : 'too slow to go on';
    const row = [label, s.what, s.variant, s.ms ? ms(s.ms) : `(${ms(s.first)})`, range, ''];
    if (s.ms && s.engine.name === 'PostgreSQL') {
      const { answer } = await s.engine.run(`EXPLAIN (${s.ms < 10_000 ? 'ANALYZE, ' : ''}COSTS OFF${s.ms < 10_000 ? ', TIMING OFF, SUMMARY OFF' : ''}) ${s.sql}`, s.settings);
      const nodes = [...answer.matchAll(/(?:^|->  )([A-Z][A-Za-z -]*?)(?: on| using|  ?\(|$)/gm)].map((m) => m[1]);
      row[5] = nodes.filter((node, n) => node !== nodes[n - 1]).join(' ← ');
      for (const [text, pattern] of [['workers', /Workers (?:Launched|Planned): (\d+)/g], ['batches', /Batches: (\d+)/g]]) {
        const found = [...answer.matchAll(pattern)].map((m) => m[1]);
        if (found.length) row[5] += `; ${text} ${found.join(', ')}`;
      }
    }
    details.push(row);
  }
}

export const number = async (engine, sql) => Number((await engine.run(sql)).answer);

/** Tables of packs of several sizes and ways to store them: { their description: { table, took } }. */
export async function packLayouts(pg) {
  await pg.run('CREATE TABLE sample AS SELECT journey_pack(subject, mark, ts) p FROM events WHERE subject <= (SELECT max(subject) / 50 FROM events)');
  const bytes = (await number(pg, 'SELECT pg_column_size(p) FROM sample')) / (await number(pg, 'SELECT subject_count(p) FROM sample'));
  const layouts = {};
  for (const [size, storage] of [[7400, 'inline'], [7400, 'default'], [60_000, 'external'], [500_000, 'external']]) {
    const per = Math.max(1, Math.floor(size / bytes));
    const t = `packs_${Object.keys(layouts).length}`;
    const took = await all(pg, packs(t, per, storage));
    layouts[`${per} subjects a pack, ${storage}`] = { table: t, took };
  }
  return layouts;
}

/** The same statement over each of them. */
export const overPacks = (layouts, make) => Object.fromEntries(Object.entries(layouts).map(([n, l]) => [n, { sql: make('pack', l.table) }]));
