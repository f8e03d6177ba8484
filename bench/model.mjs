// The governed model: what compiling a definition takes once very much was agreed, and a query that names one beside one that holds its value.
import { all, compare, explain, limit, measure, median, ms, note, ROUNDS, SCALE, statement, table, verdict } from './measure.mjs';

const LABEL = '(model)';
const LIFECYCLES = 30;
const STAGES = 10; // each
const CALENDARS = 5;
const VERSIONS = 2000;
const STEWARD = 'bench_steward';
const COUNCIL = 'bench_council';
const SINCE = Date.UTC(2023, 0, 1);

const names = (what, n) => Array.from({ length: n }, (_, i) => `${what} ${i + 1}`);
const calendars = names('office', CALENDARS);
const lifecycles = names('path', LIFECYCLES);
const slas = names('promise', LIFECYCLES);
const stages = names('stage', STAGES);
const calendarOf = (i) => calendars[i % CALENDARS];
const date = (day) => new Date(SINCE + day * 86400e3).toISOString();

// ---- what is agreed ---------------------------------------------------------------------------------------------------

/** Each drafts one version; `edition` makes it another than the one before. */
const calendar = (name, edition) => `SELECT define_calendar('${name}', 'Europe/Berlin', '{mon-fri 09:00-12:30 13:30-18:00}', known_until => '2031-12-31',
    holidays => (SELECT array_agg(make_date(y, m, 1 + (m + ${edition}) % 28)) FROM generate_series(2023, 2030) y, generate_series(1, 12) m))`;
const lifecycle = (i) => `SELECT define_lifecycle('${lifecycles[i]}', 'What is done for a bench', within => '120 days', calendar => ${i % 2 ? `'${calendarOf(i)}'` : 'NULL'})`;
const stage = (i, s, edition) => `SELECT define_stage('${lifecycles[i]}', '${stages[s]}', ${(s + 1) * 10}, '${s === STAGES - 2 ? 'won' : s === STAGES - 1 ? 'lost' : 'open'}', max_age => interval '${edition + 1} days')`;
const promise = (i, edition) => `SELECT define_sla('${slas[i]}', '{${stages[0]}}', '{${stages[3]}, touch_out}', pause => '{${stages[STAGES - 1]}}', resume => '{${stages[1]}}', segment => '{tier_set}', owner => '{assigned}',
    target => interval '${600 - edition} minutes', calendar => '${calendarOf(i)}', lifecycle => '${lifecycles[i]}')`;
const segment = (i, code, edition) => `SELECT define_sla_target('${slas[i]}', interval '${300 - edition} minutes', segment => '${code}')`;
const code = (list, name) => `SELECT define_code('${list}', '${name}')`;
const step = (i, due) => `SELECT define_step('${slas[i]}', '${due}', 'owner')`;

/** All changes in the order of their time, until there are so many versions; day is from when it is in force. */
function* changes() {
  yield { day: 0, of: [...calendars.map((name) => calendar(name, 0)), code('event', 'tier_set'), code('segment', 'large'), code('segment', 'small')] };
  for (let i = 0; i < LIFECYCLES; i++)
    yield { day: 1, of: [lifecycle(i), ...stages.map((_, s) => stage(i, s, 0)), promise(i, 0), segment(i, 'large', 0), segment(i, 'small', 0), step(i, '80%'), step(i, 'breach')] };
  for (let n = 0; ; n++) {
    const edition = 1 + Math.floor(n / LIFECYCLES);
    const i = n % LIFECYCLES;
    const day = 10 + n * 3;
    if (i === 0) yield { day: day - 1, of: [calendar(calendars[edition % CALENDARS], edition)] };
    // three of a lifecycle, one of its SLA
    yield { day, of: [stage(i, edition % 8, edition), stage(i, (edition + 3) % 8, edition), lifecycle(i), edition % 2 ? promise(i, edition) : segment(i, 'large', edition)] };
  }
}

async function build(pg) {
  note(`${LABEL} ${VERSIONS} versions are drafted, proposed and approved`);
  await all(pg, [
    `CREATE ROLE ${STEWARD}`, `CREATE ROLE ${COUNCIL}`, `SELECT grant_access('steward', '${STEWARD}'), grant_access('council', '${COUNCIL}')`,
  ]);
  let versions = 0;
  let no = 0;
  const took = [];
  for (const { day, of } of changes()) {
    no++;
    await pg.run(`SET SESSION AUTHORIZATION ${STEWARD};
      SELECT draft_change('Change ${no}', '${date(day)}', retroactive => true);
      ${of.join(';\n')};
      SELECT propose_change();`);
    const { ms: t, answer } = await pg.run(`SET SESSION AUTHORIZATION ${COUNCIL}; SELECT approve(${no})`);
    if (answer !== 'approved') throw new Error(`change ${no} is ${answer}`);
    took.push(t);
    versions += of.length;
    if (versions >= VERSIONS) break;
  }
  await all(pg, ['RESET SESSION AUTHORIZATION', 'VACUUM ANALYZE']);
  const found = (await pg.run(`SELECT (SELECT count(DISTINCT key) FROM revacct_data.version WHERE kind = 'lifecycle'), (SELECT count(DISTINCT key) FROM revacct_data.version WHERE kind = 'stage'),
    (SELECT count(*) FROM revacct_data.version WHERE version_no IS NOT NULL), (SELECT count(*) FROM revacct_data.validity)`)).answer;
  note(`${LABEL} lifecycles, stages, versions, rows of validity: ${found}; changes: ${no}`);
  table.push([LABEL, `approving a change, of ${no}`, ms(median(took)), 'the longest', ms(Math.max(...took)), '', ms(Math.min(...took)), '', '']);
}

// ---- compiling --------------------------------------------------------------------------------------------------------

/** Milliseconds by the server's clock, of one call each; the rounds' median for each name. */
async function compiling(pg, what, call, defined, target) {
  const times = Object.fromEntries(defined.map((name) => [name, []]));
  for (let round = 0; round < Math.max(ROUNDS, 11); round++) {
    const { answer } = await pg.run(`SELECT n, t FROM unnest('{${defined}}'::text[]) n, LATERAL (SELECT timed($$${call}$$, n) t) q`);
    for (const line of answer.split('\n')) {
      const [name, t] = line.split(',');
      if (round > 0) times[name].push(Number(t)); // the first is of a session that is not warm
    }
  }
  const each = defined.map((name) => median(times[name]));
  const row = (text, t, goal) => table.push([LABEL, `${what}, ${text}`, `${t.toFixed(2)} ms`, '', '', '', '', ...(goal ? [`≤ ${ms(goal)}`, verdict(t, goal)] : ['', ''])]);
  row(`the median of ${defined.length}`, median(each), target);
  row(`the slowest of ${defined.length}`, Math.max(...each), target);

  // A statement in a session that has only read a setting: catalogs, library, functions and plans are new to it.
  const first = [];
  for (let i = 0; i < 11; i++) {
    await pg.reconnect();
    await pg.run('SHOW search_path');
    first.push((await pg.run(`SELECT count(fingerprint(${call.replace('$1', `'${defined[i % defined.length]}'`)}))`)).ms);
  }
  row('the first statement of a new session, all in', median(first));
}

// ---- queries that name a definition -------------------------------------------------------------------------------------

const AS_OF = `timestamptz '2026-01-01 00:00+00'`;

async function naming(pg) {
  const rows = Math.round(1_000_000 * SCALE);
  note(`${LABEL} ${rows} journeys`);
  await all(pg, [
    'CREATE TABLE journeys (subject int, journey journey) WITH (parallel_workers = 2)',
    // marks of the first lifecycle, in order with gaps; assigned and touch_out are among the marks that come after the stages
    `INSERT INTO journeys SELECT s, journey(m, timestamptz '2024-01-01 00:00+00' + abs(hashint8(s)) % 500 * interval '1 day' + m * interval '7 hours')
       FROM generate_series(1, ${rows}) s, generate_series(1, 4) k, LATERAL (SELECT k + (abs(hashint8(s + k)) % 3) m) q GROUP BY s`,
    `CREATE TABLE stored AS SELECT lifecycle('${lifecycles[0]}') l, sla('${slas[0]}') s`,
    'VACUUM (FREEZE, ANALYZE) journeys, stored',
  ]);
  const funnel = (l) => ({ sql: `SELECT entered(f, '${stages[0]}'), entered(f, '${stages[3]}'), converted(f, '${stages[0]}') FROM (SELECT funnel_conversion(journey, ${l}, ${AS_OF}) f FROM journeys) q`, keep: true });
  const velocity = (l) => ({ sql: `SELECT sum(s.visits), sum(s.pending) FROM (SELECT stage_velocity(journey, ${l}, ${AS_OF}) v FROM journeys) q, stages(v) s`, keep: true });
  const breach = (s) => ({ sql: `SELECT started(b), met(b), breached(b), running(b), overdue(b) FROM (SELECT sla_breach(journey, ${s}, ${AS_OF}) b FROM journeys) q`, keep: true });
  const clocks = (s) => ({ sql: `SELECT count(*), count(c.due_at) FROM journeys, sla_clocks(journey, ${s}, ${AS_OF}) c`, keep: true });
  const statements = [];
  const pairs = [];
  for (const [what, make, value, call] of [
    ['funnel', funnel, 'l', `lifecycle('${lifecycles[0]}')`], ['velocity', velocity, 'l', `lifecycle('${lifecycles[0]}')`], ['sla_breach', breach, 's', `sla('${slas[0]}')`], ['sla_clocks', clocks, 's', `sla('${slas[0]}')`],
  ]) {
    const base = `${what}, a stored value`;
    statements.push(
      ...statement(pg, base, what, { '': make(`(SELECT ${value} FROM stored)`) }),
      ...statement(pg, `${what}, named in a sub-select`, what, { '': make(`(SELECT ${call})`) }),
      ...statement(pg, `${what}, named in each row`, what, { '': make(call) }),
    );
    pairs.push([`${what}, named in a sub-select`, base, 1.05], [`${what}, named in each row`, base, undefined]);
  }
  const best = await measure(statements, Math.max(ROUNDS, 7));
  for (const [what, base, target] of pairs) compare(LABEL, what, best[what], base, best[base], target);
  await explain(LABEL, statements);
}

export async function model(pg) {
  await pg.run('CREATE SCHEMA model');
  await pg.run('ALTER DATABASE postgres SET search_path = model, revacct, public');
  await pg.reconnect();
  await build(pg);
  // as a statement does it, which finds the function and calls it once
  await pg.run(`CREATE FUNCTION timed(call text, name text) RETURNS float8 LANGUAGE plpgsql VOLATILE AS $$
    DECLARE since constant timestamptz := clock_timestamp(); BEGIN
      EXECUTE 'SELECT ' || replace(call, '$1', quote_literal(name));
      RETURN extract(epoch FROM clock_timestamp() - since) * 1000;
    END $$`);
  await compiling(pg, 'a lifecycle, as now', 'lifecycle($1)', lifecycles, 2);
  await compiling(pg, 'a lifecycle, as of a year', `lifecycle($1, model_at => '2024-01-15')`, lifecycles, 2);
  await compiling(pg, 'a SLA, as now', 'sla($1, model_at => now())', slas, 2);
  await compiling(pg, 'a SLA, every version in its own time', 'sla($1)', slas, 2);
  await compiling(pg, 'a calendar', 'business_calendar($1)', calendars, 2);
  await naming(pg);
  if (!process.env.KEEP) await pg.run('DROP SCHEMA model CASCADE');
}
