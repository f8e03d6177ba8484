// The data sets: one seeded generator per shape. Every engine loads the same CSV file, in order of arrival, like a ledger.
// Times are whole seconds, and no subject has two events in one second: then "longest chain in the window" has one answer everywhere.
import { closeSync, openSync, writeSync } from 'node:fs';

export const START = Date.UTC(2023, 0, 1) / 1000;
const DAY = 86400;

/** mulberry32: small, seeded, the same on every machine */
function random(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** log-normal seconds with that median, never less than one second */
function delay(rnd, median, sigma) {
  const normal = Math.sqrt(-2 * Math.log(1 - rnd())) * Math.cos(2 * Math.PI * rnd());
  return Math.max(1, Math.round(median * Math.exp(sigma * normal)));
}

// (a) A B2B funnel over two years: delays of days to weeks, some skip a stage, repeat one or go back, and winning is the end.
function funnel(rnd, emit, end) {
  const onward = [0.8, 0.79, 0.73, 0.76, 0.78, 0.76, 0.6];
  const days = [3, 5, 8, 12, 14, 15, 10];
  let t = Math.floor(rnd() * end);
  for (let stage = 1; t < end; ) {
    emit(stage, t);
    if (stage === 8) return;
    const dice = rnd();
    if (dice < 0.08) t += delay(rnd, 2 * DAY, 1.2); // the same stage again
    else if (dice < 0.13 && stage > 1) {
      stage -= rnd() < 0.8 ? 1 : Math.ceil(rnd() * (stage - 1));
      t += delay(rnd, 6 * DAY, 1);
    } else {
      if (rnd() >= onward[stage - 1]) return; // goes quiet
      t += delay(rnd, days[stage - 1] * DAY, 0.9);
      stage += stage < 7 && rnd() < 0.05 ? 2 : 1;
    }
  }
}

// (b) A shop: four events a subject within a few days, four stages.
function shop(rnd, emit, end) {
  let t = Math.floor(rnd() * (end - 30 * DAY));
  let stage = 1;
  for (let i = 0; i < 4; i++) {
    emit(stage, t);
    t += Math.min(delay(rnd, 2 * 3600, 1.6), 10 * DAY);
    const dice = rnd();
    stage = dice < 0.62 ? Math.min(4, stage + 1) : dice < 0.8 ? stage : 1 + Math.floor(rnd() * 4);
  }
}

// (c) Heavy users: 400 events each, the early stages far more often than the late ones.
function heavy(rnd, emit) {
  let t = Math.floor(rnd() * 60 * DAY);
  for (let i = 0; i < 400; i++) {
    emit(1 + Math.floor(8 * rnd() ** 1.7), t);
    t += delay(rnd, 0.4 * DAY, 1.3);
  }
}

// (sla) A help desk: created 1, waiting for the customer 2, answered 3, replied 4, reopened 5; some four marks a ticket.
function tickets(rnd, emit, end) {
  let mark = 1;
  for (let t = Math.floor(rnd() * end); t < end; ) {
    emit(mark, t);
    const dice = rnd();
    if (mark === 4) {
      if (dice >= 0.1) return;
      mark = 5;
      t += delay(rnd, 3 * DAY, 1.1);
    } else if (dice < 0.05) return; // nobody replies, or the customer never answers
    else if (mark === 2) {
      mark = 3;
      t += delay(rnd, DAY, 1.3);
    } else {
      mark = dice < 0.52 ? 2 : 4;
      t += delay(rnd, 0.6 * DAY, 1.3);
    }
  }
}

export const SHAPES = {
  a: { subjects: 1_500_000, stages: 8, within: 120 * DAY, seed: 11, years: 2, make: funnel },
  b: { subjects: 1_000_000, stages: 4, within: DAY, seed: 22, years: 2, make: shop },
  c: { subjects: 10_000, stages: 8, within: 10 * DAY, seed: 33, years: 4, make: heavy },
  sla: { subjects: 1_500_000, seed: 44, years: 2, make: tickets },
};

/** Writes `subject,mark,at` in order of time to a file; returns the number of rows. */
export function generate(name, scale, file) {
  const shape = SHAPES[name];
  const subjects = Math.round(shape.subjects * scale);
  const end = shape.years * 365 * DAY;
  const rnd = random(shape.seed);
  let n = 0;
  let room = 1 << 16;
  let subject = new Uint32Array(room);
  let mark = new Uint8Array(room);
  let second = new Uint32Array(room);
  const grow = (a, b) => (b.set(a), b);
  for (let s = 1; s <= subjects; s++) {
    shape.make(rnd, (stage, t) => {
      if (t >= end) throw new Error(`shape ${name}: an event after the end`);
      if (n === room) {
        room *= 2;
        subject = grow(subject, new Uint32Array(room));
        mark = grow(mark, new Uint8Array(room));
        second = grow(second, new Uint32Array(room));
      }
      subject[n] = s;
      mark[n] = stage;
      second[n++] = t;
    }, end);
  }
  const order = new Float64Array(n); // time in the high bits, row in the low: 2^27 seconds × 2^25 rows fit in 53 bits
  for (let i = 0; i < n; i++) order[i] = second[i] * 2 ** 25 + i;
  order.sort();

  const fd = openSync(file, 'w');
  const two = Array.from({ length: 60 }, (_, i) => String(i).padStart(2, '0'));
  let lines = [];
  let day = -1;
  let date = '';
  for (let k = 0; k < n; k++) {
    const i = order[k] % 2 ** 25;
    const t = second[i];
    const d = Math.floor(t / DAY);
    if (d !== day) date = new Date((START + (day = d) * DAY) * 1000).toISOString().slice(0, 10);
    const r = t - d * DAY;
    lines.push(`${subject[i]},${mark[i]},${date} ${two[(r / 3600) | 0]}:${two[((r / 60) | 0) % 60]}:${two[r % 60]}`);
    if (lines.length === 100_000 || k === n - 1) {
      writeSync(fd, lines.join('\n') + '\n');
      lines = [];
    }
  }
  closeSync(fd);
  return n;
}
