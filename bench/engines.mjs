// Three engines with one face: run(sql) → { answer: text, ms }. Times are taken where a client would take them.
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.BENCH_MODULES}/`);

/** A psql that stays open; it takes the times itself. */
class PostgreSQL {
  name = 'PostgreSQL';
  #waiting = null;
  #lines = [];
  #errors = '';

  constructor() {
    this.#connect();
  }

  #connect() {
    this.psql = spawn('psql', ['-XAtq', '-F', ',', '-v', 'ON_ERROR_STOP=1'], { stdio: 'pipe' });
    this.psql.stderr.on('data', (text) => (this.#errors += text));
    this.psql.on('close', () => this.#waiting?.reject(new Error(this.#errors)));
    createInterface(this.psql.stdout).on('line', (line) => {
      if (line !== '<done>') this.#lines.push(line);
      else this.#waiting.resolve(this.#lines.splice(0));
    });
  }

  /** settings hold for this statement only */
  async run(sql, settings = {}) {
    const set = Object.entries(settings).map(([name, value]) => `SET ${name} = ${value};\n`);
    const done = new Promise((resolve, reject) => (this.#waiting = { resolve, reject }));
    this.psql.stdin.write(`${set.join('')}\\timing on\n${sql}\n;\n\\timing off\nRESET ALL;\n\\echo <done>\n`);
    const lines = await done;
    this.#waiting = null;
    const times = lines.filter((line) => line.startsWith('Time: ')).map((line) => parseFloat(line.slice(6)));
    const answer = lines.filter((line) => !line.startsWith('Time: ')).join('\n');
    return { answer, ms: times.reduce((sum, ms) => sum + ms, 0) };
  }

  /** so that settings of the database hold */
  async reconnect() {
    await this.close();
    this.#connect();
  }

  version = async () => `PostgreSQL ${(await this.run('SHOW server_version')).answer}`;

  async close() {
    const closed = new Promise((resolve) => this.psql.on('close', resolve));
    this.psql.stdin.end();
    await closed;
  }
}

class ClickHouse {
  name = 'ClickHouse';

  constructor(folder) {
    const { Session } = require('chdb');
    this.session = new Session(folder);
    this.session.query('SET max_threads = 2');
  }

  async run(sql) {
    const start = performance.now();
    const text = this.session.query(sql, 'TSV');
    return { ms: performance.now() - start, answer: text.trim().replaceAll('\t', ',') };
  }

  version = async () => `ClickHouse ${(await this.run('SELECT version()')).answer}`;
  close = async () => this.session.close();
}

class DuckDB {
  name = 'DuckDB';

  static async open() {
    const { DuckDBInstance } = require('@duckdb/node-api');
    const engine = new DuckDB();
    engine.connection = await (await DuckDBInstance.create(':memory:', { threads: '2' })).connect();
    return engine;
  }

  async run(sql) {
    const start = performance.now();
    const rows = (await this.connection.runAndReadAll(sql)).getRowsJson();
    return { ms: performance.now() - start, answer: rows.map((row) => row.join(',')).join('\n') };
  }

  version = async () => `DuckDB ${(await this.run('SELECT version()')).answer}`;
  close = async () => this.connection.closeSync();
}

/** PostgreSQL alone, or with the others, which must be installed. */
export async function open(files, others) {
  return { pg: new PostgreSQL(), ...(others && { ch: new ClickHouse(`${files}/clickhouse`), duck: await DuckDB.open() }) };
}
