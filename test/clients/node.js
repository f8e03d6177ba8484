// Reads the queries of test_clients.py with node's pg: node node.js FILE.  What goes in and comes out is told there.
'use strict';

const fs = require('fs');
// Installed elsewhere: NODE_PATH says where.
const pg = require('pg');
const Cursor = require('pg-cursor');

const NAMES = { 16: 'bool', 20: 'int8', 23: 'int4', 25: 'text', 1082: 'date', 1184: 'timestamptz', 1700: 'numeric' };
// Values come as the server's text; what pg makes of them is asked beside it.
const RAW = { getTypeParser: () => (value) => value };

const scale = (field) => (field.dataTypeModifier < 4 ? undefined : (field.dataTypeModifier - 4) & 0xffff);

function type(field) {
	const name = NAMES[field.dataTypeID] || 'type ' + field.dataTypeID;
	if (name !== 'numeric' || field.dataTypeModifier < 4)
		return name;
	return `numeric(${(field.dataTypeModifier - 4) >> 16},${scale(field)})`;
}

const two = (n) => String(n).padStart(2, '0');

function value(raw, field) {
	if (raw === null)
		return null;
	const parsed = pg.types.getTypeParser(field.dataTypeID, 'text')(raw);
	// Some versions leave a date as it is, and infinity is a number.
	const isDate = parsed instanceof Date;
	switch (NAMES[field.dataTypeID]) {
	case 'bool':
		return parsed ? 't' : 'f';
	case 'int4':
	case 'int8':
		return String(Number(parsed));
	case 'numeric':
		return Number(parsed).toFixed(scale(field));
	case 'date':                       // midnight of that day, where we are
		return !isDate ? String(parsed) : `${parsed.getFullYear()}-${two(parsed.getMonth() + 1)}-${two(parsed.getDate())}`;
	case 'timestamptz':                // JavaScript knows milliseconds
		return !isDate ? String(parsed) : parsed.toISOString().replace('Z', '000Z');
	default:
		return String(parsed);
	}
}

function line(name, kind, values) {
	const escaped = values.map((v) => (v === null ? '\\N' :
		v.replace(/\\/g, '\\\\').replace(/\t/g, '\\t').replace(/\n/g, '\\n').replace(/\r/g, '\\r')));
	process.stdout.write([name, kind, ...escaped].join('\t') + '\n');
}

function show(name, fields, rows, head = true) {
	if (head)
		line(name, 'types', fields.map(type));
	for (const row of rows) {
		line(name, 'text', row);
		line(name, 'native', row.map((raw, i) => value(raw, fields[i])));
	}
}

async function step(db, name, mode, sql, no) {
	const query = (text, more) => db.query({ text, rowMode: 'array', types: RAW, ...more });
	let result;
	switch (mode) {
	case 'run':
		await db.query(sql);
		break;
	case 'plain':
		result = await query(sql);
		show(name, result.fields, result.rows);
		break;
	case 'fetch': {                    // pg's own cursor
		const cursor = db.query(new Cursor(sql, [], { rowMode: 'array', types: RAW }));
		for (let head = true, rows; head || rows.length > 0; head = false) {
			rows = await cursor.read(2);
			show(name, cursor._result.fields, rows, head);
		}
		await cursor.close();
		break;
	}
	case 'cursor':
	case 'hold':
		if (mode === 'cursor')
			await db.query('BEGIN');
		await db.query(`DECLARE c CURSOR ${mode === 'hold' ? 'WITH HOLD ' : ''}FOR ${sql}`);
		for (const count of ['2', 'ALL']) {
			result = await query(`FETCH ${count} FROM c`);
			show(name, result.fields, result.rows, count === '2');
		}
		await db.query(mode === 'cursor' ? 'COMMIT' : 'CLOSE c');
		break;
	case 'prepared':
		for (let time = 0; time < 2; time++) {
			result = await query(sql, { name: `s${no}` });
			show(name, result.fields, result.rows);
		}
		break;
	default:
		throw new Error(`unknown mode ${mode}`);
	}
}

async function main() {
	const db = new pg.Client();
	await db.connect();
	const lines = fs.readFileSync(process.argv[2], 'utf8').split('\n').slice(0, -1);
	for (const [no, text] of lines.entries()) {
		const [name, mode, sql] = text.split('\t');
		await step(db, name, mode, sql, no);
	}
	await db.end();
}

main().catch((error) => {
	console.error(error);
	process.exit(1);           // the connection is still open
});
