// From landed tables to reports: loading a ledger of ten million events, folding it, following it as it grows, reading the reports.
//
// A CRM lands its field history: opportunities over two years, one every 63 seconds, some ten rows each. Everything that is the newest 1 % has yet
// to come: chunks that follow each other in time, with 2 % of late rows for old opportunities. A chunk is landed, loaded, refreshed; so each of the
// rounds is of another chunk, on top of those before it.
import { rmSync } from 'node:fs';
import { all, compare, FILES, least, median, ms, note, number, ROUNDS, SCALE, table, verdict } from './measure.mjs';

const LABEL = '(ledger)';
const SUBJECTS = Math.round(1_000_000 * SCALE); // in two years
const EVENTS = 10 * SUBJECTS;
const CHUNK = Math.round(EVENTS / 100);
const BUILDS = 3; // of what takes long
const STEWARD = 'bench_steward';
const COUNCIL = 'bench_council';
const VIEWS = ['funnel', 'stage_velocity', 'sla_status', 'sla_results', 'glossary', 'metric_catalog'];

// ---- the model --------------------------------------------------------------------------------------------------------

const agree = [
  `CREATE ROLE ${STEWARD}`, `CREATE ROLE ${COUNCIL}`, `SELECT grant_access('steward', '${STEWARD}'), grant_access('council', '${COUNCIL}'), grant_access('steward', 'postgres')`,
  `SET SESSION AUTHORIZATION ${STEWARD}`,
  `SELECT draft_change('How we sell', '2023-12-01', retroactive => true)`,
  `SELECT use_template('b2b_outbound')`,
  `SELECT define_sla('first_touch', '{discovery}', '{touch_out}', target => interval '4 hours', calendar => 'business_hours', lifecycle => 'opportunity')`,
  `SELECT define_code('segment', code) FROM unnest('{small,medium,large}'::text[]) code`,
  `SELECT define_code('lead_source', code) FROM unnest('{web,event,partner,referral,cold}'::text[]) code`,
  `SELECT propose_change()`,
  `SET SESSION AUTHORIZATION ${COUNCIL}`,
  `SELECT approve(1)`,
  'RESET SESSION AUTHORIZATION',
];

// ---- what a connector lands --------------------------------------------------------------------------------------------

const START = `timestamptz '2024-01-01 00:00+00'`;
/** Between 0 and 1, of a number and the what-for. */
const chance = (of, k) => `((hashint8extended(${of}, ${k}) & 1048575) / 1048576.0::float8)`;
/** Whole seconds, about so many days, from a tenth to four times that */
const days = (n, k) => `make_interval(secs => floor(${n * 86400} * exp(3.7 * ${chance('s', k)} - 2.3)))`;
const began = (s) => `${START} + make_interval(secs => floor((${s}) * ${(731 * 86400) / SUBJECTS}::float8))`;
const pick = (list, r) => `('{${list}}'::text[])[1 + floor(${list.split(',').length} * ${r})::int]`;
const amount = (k) => `round((1000 * exp(4 * ${chance('s', k)}))::numeric, 2)`;
const owner = (r) => `'005' || lpad((1 + floor(10 * ${r})::int)::text, 12, '0')`;

const history = [
  'CREATE SCHEMA crm',
  `CREATE TABLE crm.history (id text, opportunity_id text, field text, new_value text, amount numeric, created_by_id text, created_date timestamptz)`,
  `CREATE TABLE crm.future (chunk int, LIKE crm.history)`,
  `CREATE TABLE crm.everything AS
    WITH opportunity AS MATERIALIZED (
      SELECT s, ${began('s')} AS t0, ${began('s')} + ${days(6, 1)} AS t1, ${began('s')} + ${days(6, 1)} + ${days(9, 2)} AS t2,
             ${began('s')} + ${days(6, 1)} + ${days(9, 2)} + ${days(12, 3)} AS t3, ${chance('s', 4)} AS far, ${chance('s', 5)} AS how, ${chance('s', 6)} AS much, ${chance('s', 7)} AS many
      FROM generate_series(1, ${Math.ceil(SUBJECTS * 1.12)}) s)
    SELECT row_number() OVER (ORDER BY v.at, s, v.k) AS n, s, v.field, v.value, v.amount, ${owner(chance('s', 8))} AS owner, v.at
    FROM opportunity, LATERAL (VALUES
      (1, t0, 'created', NULL, NULL),
      (2, t0, 'Owner', ${owner(chance('s', 8))}, NULL),
      (3, t0, 'LeadSource', ${pick('web,event,partner,referral,cold', chance('s', 9))}, NULL),
      (4, t0, 'StageName', 'discovery', NULL),
      (5, CASE WHEN many < 0.8 THEN t0 + ${days(0.1, 10)} END, 'Type', ${pick('small,medium,large', chance('s', 11))}, NULL),
      (6, CASE WHEN many > 0.1 THEN t0 + ${days(0.3, 12)} END, 'Task', 'touch_out', NULL),
      (7, CASE WHEN how < 0.6 THEN t0 + ${days(1.5, 13)} END, 'Task', 'touch_in', NULL),
      (8, CASE WHEN far > 0.25 THEN t1 END, 'StageName', 'evaluation', NULL),
      (9, CASE WHEN far > 0.25 AND much < 0.8 THEN t1 END, 'Amount', NULL, ${amount(14)}),
      (10, CASE WHEN far > 0.25 AND how < 0.7 THEN t1 + ${days(2, 15)} END, 'Task', 'touch_out', NULL),
      (11, CASE WHEN far > 0.45 THEN t2 END, 'StageName', 'proposal', NULL),
      (12, CASE WHEN far > 0.45 AND much < 0.4 THEN t2 END, 'Amount', NULL, ${amount(16)}),
      (13, CASE WHEN far > 0.45 AND many < 0.2 THEN t2 + ${days(3, 17)} END, 'Owner', ${owner(chance('s', 18))}, NULL),
      (14, CASE WHEN far > 0.6 THEN t3 END, 'StageName', 'negotiation', NULL),
      (15, CASE WHEN far > 0.6 THEN t3 + ${days(1, 19)} END, 'Task', 'touch_in', NULL),
      (16, CASE WHEN how < 0.85 THEN CASE WHEN far > 0.6 THEN t3 WHEN far > 0.45 THEN t2 WHEN far > 0.25 THEN t1 ELSE t0 END + ${days(9, 20)} END,
           'StageName', CASE WHEN far > 0.7 THEN 'won' WHEN how < 0.5 THEN 'lost' ELSE 'no_decision' END, NULL)
    ) AS v (k, at, field, value, amount)
    WHERE v.at IS NOT NULL
    ORDER BY 1`,
  // of what is yet to come, one in fifty is a call with an old opportunity that somebody enters late
  `INSERT INTO crm.future
    SELECT (n - ${EVENTS} + ${CHUNK} - 1) / ${CHUNK}, '017' || lpad(to_hex(n), 12, '0'), '006' || lpad(to_hex(CASE WHEN late THEN old ELSE s END), 12, '0'),
           CASE WHEN late THEN 'Task' ELSE field END, CASE WHEN late THEN 'touch_in' ELSE value END, CASE WHEN NOT late THEN amount END, owner,
           CASE WHEN late THEN ${began('old')} + ${days(30, 21)} ELSE at END
    FROM (SELECT *, ${chance('n', 22)} < 0.02 AS late, 1 + floor(${chance('n', 23)} * ${Math.round(SUBJECTS * 0.9)})::bigint AS old FROM crm.everything
          WHERE n > ${EVENTS} AND n <= ${EVENTS + ROUNDS * CHUNK} ORDER BY n) e`,
  `INSERT INTO crm.history
    SELECT '017' || lpad(to_hex(n), 12, '0'), '006' || lpad(to_hex(s), 12, '0'), field, value, amount, owner, at FROM crm.everything WHERE n <= ${EVENTS} ORDER BY n`,
  'DROP TABLE crm.everything',
  'VACUUM (FREEZE, ANALYZE) crm.history, crm.future',
  `CREATE VIEW crm.crm_events AS
    SELECT 'opportunity' AS subject_kind, h.opportunity_id AS subject_key,
           CASE h.field WHEN 'created' THEN 'created' WHEN 'StageName' THEN 'stage_entered' WHEN 'Owner' THEN 'assigned' WHEN 'Task' THEN h.new_value ELSE 'field_set' END AS event,
           h.created_date AS occurred_at, 'opportunity_history/' || h.id AS source_key,
           CASE h.field WHEN 'StageName' THEN 'opportunity' END AS lifecycle, CASE h.field WHEN 'StageName' THEN h.new_value END AS stage,
           CASE h.field WHEN 'LeadSource' THEN 'lead_source' WHEN 'Type' THEN 'segment' WHEN 'Amount' THEN 'amount' END AS field,
           CASE WHEN h.field IN ('LeadSource', 'Type') THEN h.new_value END AS code, CASE h.field WHEN 'Owner' THEN h.new_value END AS party,
           h.created_by_id AS actor, h.amount, CASE h.field WHEN 'Amount' THEN 'USD' END AS currency
    FROM crm.history AS h`,
  `SELECT map_source('crm', events => 'crm.crm_events')`,
];

const landed = (chunk) => [
  'TRUNCATE crm.history',
  `INSERT INTO crm.history SELECT id, opportunity_id, field, new_value, amount, created_by_id, created_date FROM crm.future WHERE chunk = ${chunk}`,
  'ANALYZE crm.history',
];

// ---- measuring ---------------------------------------------------------------------------------------------------------

/** load(), which must take in all of it, or know all of it. */
async function load(pg, { loaded = 0, known = 0 }) {
  const { answer, ms: t } = await pg.run(`SELECT loaded, known, rejected FROM load('crm')`);
  if (answer !== `${loaded},${known},0`) throw new Error(`load: ${answer}, not ${loaded},${known},0`);
  return t;
}

/** The steps that refresh() or rebuild_journeys() tells, in milliseconds, and all in all. */
async function steps(pg, call) {
  const { answer, ms: t } = await pg.run(`SELECT step, row_count, seconds FROM ${call}`);
  const told = Object.fromEntries(answer.split('\n').map((line) => line.split(',')).map(([step, , seconds]) => [step, seconds * 1000]));
  return { ...told, all: t };
}

const measured = (times) => ({ ms: median(times), times });
const each = (runs, step) => measured(runs.map((run) => run[step]));
const STEPS = ['journeys', 'packs', 'figures', 'all'];

async function check(pg) {
  const wrong = await number(pg, 'SELECT count(*) FROM check_journeys()');
  if (wrong) throw new Error(`check_journeys(): ${wrong} differences`);
}

/** The same rows, into a plain table with the same columns and keys. */
async function copying(pg, file) {
  await all(pg, [
    'DROP TABLE IF EXISTS crm.plain',
    'CREATE TABLE crm.plain (LIKE revacct_data.event, PRIMARY KEY (source_key, source_no, occurred_at))',
    'CREATE INDEX ON crm.plain (subject_id)', 'CREATE INDEX ON crm.plain USING brin (load_id) WITH (pages_per_range = 32)',
  ]);
  return (await pg.run(`COPY crm.plain FROM '${file}'`)).ms;
}
const written = (rows, file) => `\\copy (SELECT e.* FROM revacct_data.event AS e ${rows}) TO '${file}'`;

async function reading(pg) {
  const found = (await pg.run(`SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'revacct'::regnamespace AND c.relkind IN ('v', 'm')
    AND c.relname = ANY ('{${VIEWS}}') ORDER BY array_position('{${VIEWS}}', c.relname::text)`)).answer.split('\n').filter(Boolean);
  for (const view of VIEWS) {
    if (!found.includes(view)) { note(`${LABEL} there is no view ${view}`); continue; }
    // by what a dashboard asks for: the lifecycle, the month, one more; and all that can be added
    const columns = async (types, among) => (await pg.run(`SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'revacct.${view}'::regclass AND attnum > 0
      AND atttypid = ANY ('{${types}}'::regtype[]) ${among ? `AND attname = ANY ('{${among}}')` : ''} ORDER BY attnum`)).answer.split('\n').filter(Boolean);
    const by = await columns('text,date', 'lifecycle,sla,policy,stage,period_start,segment');
    const sums = (await columns('bigint', '')).map((column) => `sum(${column})`);
    const statements = { 'SELECT *': `SELECT * FROM revacct.${view}` };
    if (by.length) statements[`GROUP BY ${by.join(', ')}`] = `SELECT ${[...by, 'count(*)', ...sums].join(', ')} FROM revacct.${view} GROUP BY ${by.join(', ')}`;
    for (const [what, sql] of Object.entries(statements)) {
      const times = [];
      for (let i = 0; i < ROUNDS + 1; i++) times.push((await pg.run(sql)).ms);
      const warm = measured(times.slice(1));
      const rows = await number(pg, `SELECT count(*) FROM (${sql}) q`);
      table.push([LABEL, `${view}, ${what}`, ms(warm.ms), `${rows.toLocaleString('en')} rows; the first time`, ms(times[0]), '', ms(least(warm)), `≤ ${ms(100)}`, verdict(warm.ms, 100)]);
    }
  }
}

export async function ledger(pg) {
  await pg.run('ALTER DATABASE postgres SET search_path = public, revacct');
  await pg.reconnect();
  note(`${LABEL} agreeing on a model`);
  await all(pg, agree);
  note(`${LABEL} landing ${EVENTS.toLocaleString('en')} events of some ${SUBJECTS.toLocaleString('en')} subjects, and ${ROUNDS} chunks that follow`);
  await all(pg, history);

  note(`${LABEL} loading`);
  const loaded = await load(pg, { loaded: EVENTS });
  const file = `${FILES}/ledger.txt`;
  await all(pg, ['VACUUM (FREEZE, ANALYZE) revacct_data.event, revacct_data.subject', written('', file)]);
  note(`${LABEL} copying`);
  const copied = await copying(pg, file);
  rmSync(file);
  compare(LABEL, `load('crm'), ${EVENTS.toLocaleString('en')} events`, { ms: loaded }, 'COPY into a plain table with the same keys', { ms: copied }, 2);

  note(`${LABEL} the first refresh`);
  const first = await steps(pg, 'refresh(false)');
  await pg.run('VACUUM (ANALYZE)'); // as autovacuum would, which is off
  await check(pg);

  // a chunk after the other: landed, loaded, copied, refreshed
  const loads = [], copies = [], refreshes = [];
  for (let chunk = 1; chunk <= ROUNDS; chunk++) {
    await all(pg, landed(chunk));
    loads.push(await load(pg, { loaded: CHUNK }));
    await all(pg, [written('WHERE e.load_id = (SELECT max(load_id) FROM revacct_data.load)', file), 'SELECT count(*) FROM crm.plain']);
    copies.push((await pg.run(`COPY crm.plain FROM '${file}'`)).ms);
    refreshes.push(await steps(pg, 'refresh(false)'));
    note(`${LABEL} chunk ${chunk} of ${ROUNDS}`);
  }
  rmSync(file);
  await pg.run('VACUUM (ANALYZE)');
  await check(pg);
  compare(LABEL, `load('crm'), ${CHUNK.toLocaleString('en')} events more`, measured(loads), 'COPY into that table', measured(copies), 2);
  const again = await load(pg, { known: CHUNK });
  table.push([LABEL, 'load() of the same again, all known', ms(again), '', '', '', '', '', '']);

  const least_and_most = [], builds = [];
  for (let i = 0; i < BUILDS; i++) {
    await pg.run('DROP TABLE IF EXISTS crm.ends');
    least_and_most.push((await pg.run('CREATE TABLE crm.ends AS SELECT subject_id, min(occurred_at), max(occurred_at) FROM revacct_data.event GROUP BY subject_id')).ms);
    builds.push(await steps(pg, 'rebuild_journeys()'));
    await pg.run('VACUUM (ANALYZE)');
    note(`${LABEL} full build ${i + 1} of ${BUILDS}`);
  }
  await check(pg);
  const ends = 'CREATE TABLE AS SELECT subject_id, min, max … GROUP BY';
  compare(LABEL, 'the first refresh(), journeys', { ms: first.journeys }, ends, measured(least_and_most), 2);
  compare(LABEL, 'full build, journeys', each(builds, 'journeys'), ends, measured(least_and_most), 2);
  for (const step of STEPS)
    compare(LABEL, `refresh of 1 %, ${step}`, each(refreshes, step), `full build, ${step}`, each(builds, step), step === 'all' ? 0.03 : undefined);

  note(`${LABEL} reading the reports`);
  await reading(pg);
  if (!process.env.KEEP) await pg.run('DROP SCHEMA crm CASCADE');
}
