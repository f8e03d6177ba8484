/*
 * tally.c
 *	  Summaries of counters and durations; see tally.h.
 */
#include "tally.h"

#include "miscadmin.h"

#define ENTRIES_PER_BLOCK 2048 /* at most so many wait, for each block: 32 kB; */
#define MAX_WAITING_BLOCKS 64  /* of at most so many blocks */
#define MIN_ENTRIES 64
#define MAX_COUNTERS 65536
#define MAX_BLOCKS 65536

/*
 * The stored form
 */

/* Append everything but the blocks. */
void
append_tally_head(const TallyType *type, StringInfo out, const TallyForm *form)
{
	appendStringInfoChar(out, REVACCT_VERSION_BYTE);
	appendStringInfoChar(out, form->flags);
	append_varint(out, zigzag(form->as_of));
	if (form->flags & TALLY_SINCE)
		append_varint(out, zigzag(form->since));
	append_varint(out, form->definition_length);
	appendBinaryStringInfo(out, (const char *) form->definition, form->definition_length);
	if (type->fixed_counters == 0)
		append_varint(out, form->counter_count);
	for (int i = 0; i < form->counter_count; i++)
		append_varint(out, form->counters[i]);
}

/* Take a stored form apart. */
void
read_tally(const TallyType *type, TallyForm *form, ByteReader reader)
{
	uint8 version = read_byte(&reader);

	if (version != REVACCT_VERSION_BYTE)
		report_newer_version(type->type_name, version);
	form->flags = read_byte(&reader);
	form->as_of = unzigzag(read_varint(&reader));
	form->since = form->flags & TALLY_SINCE ? unzigzag(read_varint(&reader)) : DT_NOBEGIN;
	if ((form->flags & ~type->flags) || !IS_VALID_TIMESTAMP(form->as_of) ||
		((form->flags & TALLY_SINCE) && !IS_VALID_TIMESTAMP(form->since)))
		broken(&reader);
	form->definition_length = read_bounded(&reader, reader.end - reader.p);
	form->definition = read_bytes(&reader, form->definition_length);
	if (form->definition_length < DEFINITION_HEADER_BYTES)
		broken(&reader);
	memcpy(&form->fingerprint, form->definition + 1, sizeof(form->fingerprint));
	form->fingerprint = pg_ntoh64(form->fingerprint);
	form->counter_count = type->fixed_counters != 0 ? type->fixed_counters : (int) read_bounded(&reader, MAX_COUNTERS);
	if (form->counter_count > reader.end - reader.p)
		broken(&reader);
	form->counters = palloc(sizeof(uint64) * Max(form->counter_count, 1));
	for (int i = 0; i < form->counter_count; i++)
		form->counters[i] = read_bounded(&reader, PG_INT64_MAX);
	form->blocks = reader;
}

/* The definition under which a summary was made, as a value of its own. */
Datum
definition_of_tally(const TallyForm *form)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) form->definition, form->definition_length);
	return bytes_as_varlena(&bytes);
}

int
count_blocks(ByteReader blocks)
{
	int count = 0;

	while (blocks.p < blocks.end)
	{
		read_block(&blocks);
		count++;
	}
	return count;
}

ByteReader
nth_block(ByteReader blocks, int n)
{
	ByteReader block = read_block(&blocks);

	while (n-- > 0)
		block = read_block(&blocks);
	return block;
}

static void
add_counter(uint64 *sum, uint64 more)
{
	if (pg_add_u64_overflow(*sum, more, sum) || *sum > PG_INT64_MAX)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("count out of range")));
}

/*
 * The working state
 */

static ByteReader
stored_part(const TallyType *type, const Tally *tally)
{
	ByteReader reader = {(const uint8 *) tally->data,
						 (const uint8 *) tally->data + tally->stored_length,
						 type->type_name,
						 BYTES_STORED};

	return reader;
}

/* A state with a stored form, nothing waiting, and room for that many entries. */
static Tally *
tally_of_bytes(const StringInfoData *stored, const TallyForm *form, int block_count, Size entries)
{
	Size size = offsetof(Tally, data) + MAXALIGN(stored->len) + form->counter_count * sizeof(uint64) +
				entries * sizeof(DurationEntry);
	Tally *tally = palloc0(size);

	SET_VARSIZE(tally, size);
	tally->header = WORKING_BIT | REVACCT_VERSION_BYTE;
	tally->flags = form->flags;
	tally->counter_count = form->counter_count;
	tally->block_count = block_count;
	tally->fingerprint = form->fingerprint;
	tally->as_of = form->as_of;
	tally->since = form->since;
	tally->stored_length = stored->len;
	memcpy(tally->data, stored->data, stored->len);
	return tally;
}

/* The state of an aggregate that has read nothing yet. */
Tally *
new_tally(const TallyType *type, const TallyForm *form, int block_count)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_tally_head(type, &bytes, form);
	for (int block = 0; block < block_count; block++)
		append_empty_block(&bytes);
	return tally_of_bytes(&bytes, form, block_count, 8);
}

/* The entries in order of block, others kept as they are; starts gets where each block begins. */
static DurationEntry *
by_block(const Tally *tally, int *starts)
{
	const DurationEntry *entries = tally_entries(tally);
	DurationEntry		*sorted = palloc(sizeof(DurationEntry) * Max(tally->waiting, 1));
	int					*next = palloc(sizeof(int) * (tally->block_count + 1));

	memset(starts, 0, sizeof(int) * (tally->block_count + 1));
	for (uint32 i = 0; i < tally->waiting; i++)
		starts[entries[i].stage + 1]++;
	for (uint32 block = 1; block <= tally->block_count; block++)
		starts[block] += starts[block - 1];
	memcpy(next, starts, sizeof(int) * (tally->block_count + 1));
	for (uint32 i = 0; i < tally->waiting; i++)
		sorted[next[entries[i].stage]++] = entries[i];
	pfree(next);
	return sorted;
}

/* The stored form of a state with everything in it. */
static void
append_all(const TallyType *type, StringInfo out, const Tally *tally)
{
	TallyForm	   form;
	DurationEntry *entries;
	int			  *starts = palloc(sizeof(int) * (tally->block_count + 1));

	read_tally(type, &form, stored_part(type, tally));
	for (int i = 0; i < form.counter_count; i++)
		add_counter(&form.counters[i], tally_counters(tally)[i]);
	append_tally_head(type, out, &form);
	entries = by_block(tally, starts);
	for (uint32 block = 0; block < tally->block_count; block++)
	{
		int		   count = starts[block + 1] - starts[block];
		ByteReader bytes = read_block(&form.blocks);

		if (count > 0)
			append_entries(out, bytes, entries + starts[block], count);
		else
			appendBinaryStringInfo(out, (const char *) bytes.p, bytes.end - bytes.p);
	}
	pfree(entries);
	pfree(starts);
	pfree(form.counters);
}

/* The same state with nothing waiting: in its place, if what it has become leaves room for entries. */
static Tally *
settled_tally(const TallyType *type, Tally *tally)
{
	Size		   counters = tally->counter_count * sizeof(uint64);
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_all(type, &bytes, tally);
	if (offsetof(Tally, data) + MAXALIGN(bytes.len) + counters + MIN_ENTRIES * sizeof(DurationEntry) <= VARSIZE(tally))
	{
		memcpy(tally->data, bytes.data, bytes.len);
		tally->stored_length = bytes.len;
		tally->waiting = 0;
		memset(tally_counters(tally), 0, counters);
	}
	else
	{
		TallyForm form;

		form.flags = tally->flags;
		form.counter_count = tally->counter_count;
		form.fingerprint = tally->fingerprint;
		form.as_of = tally->as_of;
		form.since = tally->since;
		tally = tally_of_bytes(&bytes, &form, tally->block_count, tally_entry_capacity(tally));
	}
	pfree(bytes.data);
	return tally;
}

/* A state with room for one more entry. */
pg_noinline Tally *
room_for_entry(const TallyType *type, Tally *tally)
{
	if (tally->waiting >= (uint32) ENTRIES_PER_BLOCK * Min(tally->block_count, MAX_WAITING_BLOCKS))
		return settled_tally(type, tally);
	return grown_state(tally,
					   (char *) (tally_entries(tally) + tally->waiting + 1) - (char *) tally,
					   type->type_name,
					   "Make several summaries, of definitions that say less.");
}

/* Refuse to mix summaries of wall time, business time, or both. */
void
report_clock_mismatch(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBSERVATION_MISMATCH),
			 errmsg("summaries of different clocks cannot be merged"),
			 errhint("Merge first, then take the business clock of the whole; or take it of all.")));
}

/* Refuse to merge; says in what the two differ. */
void
reject_tally(const TallyType *type, const Tally *tally, const TallyForm *other)
{
	if (tally->fingerprint != other->fingerprint)
		report_definition_mismatch(type->definition_kinds, tally->fingerprint, other->fingerprint);
	if (tally->as_of != other->as_of)
		report_instant_mismatch("as_of", tally->as_of, other->as_of);
	if (tally->since != other->since)
		report_instant_mismatch("since", tally->since, other->since);
	report_clock_mismatch();
}

/* A state in a datum, which may come from anywhere. */
static const Tally *
working_tally(const TallyType *type, Datum datum, const ByteReader *reader)
{
	const Tally *tally = (const Tally *) PG_DETOAST_DATUM(datum);
	Size		 rest;

	if (VARSIZE(tally) < offsetof(Tally, data))
		broken(reader);
	rest = VARSIZE(tally) - offsetof(Tally, data);
	if (tally->block_count > MAX_BLOCKS || tally->counter_count > MAX_COUNTERS || tally->stored_length > rest ||
		MAXALIGN((Size) tally->stored_length) + tally->counter_count * sizeof(uint64) > rest ||
		tally->waiting > tally_entry_capacity(tally))
		broken(reader);
	for (uint32 i = 0; i < tally->waiting; i++)
		if (tally_entries(tally)[i].stage >= tally->block_count || tally_entries(tally)[i].slot >= DURATION_SLOTS ||
			tally_entries(tally)[i].duration < 0)
			broken(reader);
	return tally;
}

/* The stored form of any summary. */
ByteReader
stored_tally(const TallyType *type, Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, type->type_name);
	if (is_working(&reader))
	{
		const Tally	  *tally = working_tally(type, datum, &reader);
		TallyForm	   form;
		StringInfoData bytes;

		read_tally(type, &form, stored_part(type, tally));
		if (form.counter_count != (int) tally->counter_count || count_blocks(form.blocks) != (int) tally->block_count)
			broken(&reader);
		initStringInfo(&bytes);
		append_all(type, &bytes, tally);
		reader.p = (const uint8 *) bytes.data;
		reader.end = reader.p + bytes.len;
	}
	return reader;
}

/* A state made of a stored form. */
static Tally *
tally_of_stored(const TallyType *type, ByteReader reader)
{
	TallyForm	   form;
	StringInfoData bytes;
	int			   blocks;

	read_tally(type, &form, reader);
	blocks = count_blocks(form.blocks);
	if (blocks > MAX_BLOCKS)
		broken(&reader);
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) reader.p, reader.end - reader.p);
	return tally_of_bytes(&bytes, &form, blocks, 8);
}

/* The state in argument 0, ready to be changed: made of it if it is a value that comes from elsewhere than this aggregate. */
Tally *
tally_argument(FunctionCallInfo fcinfo, const TallyType *type)
{
	Tally *tally;

	if (likely(has_state_in_place(fcinfo)))
		return (Tally *) PG_GETARG_POINTER(0);
	if ((tally = own_state(fcinfo)) != NULL)
		return tally;
	return tally_of_stored(type, stored_tally(type, PG_GETARG_DATUM(0)));
}

/* Does anything wait to become part of the stored form? */
static bool
anything_waits(const Tally *tally)
{
	for (uint32 i = 0; i < tally->counter_count; i++)
		if (tally_counters(tally)[i] != 0)
			return true;
	return tally->waiting > 0;
}

/* Transition of rollup(summary), and combine function of all. */
Datum
tally_add_summary(FunctionCallInfo fcinfo, const TallyType *type)
{
	Tally		  *tally;
	TallyForm	   more;
	TallyForm	   form;
	StringInfoData bytes;
	ByteReader	   reader;
	int			   blocks;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	reader = stored_tally(type, PG_GETARG_DATUM(1));
	if (PG_ARGISNULL(0))
		PG_RETURN_POINTER(tally_of_stored(type, reader));
	read_tally(type, &more, reader);
	blocks = count_blocks(more.blocks);
	tally = tally_argument(fcinfo, type);
	check_same_tally(type, tally, &more);
	if (anything_waits(tally))
		tally = settled_tally(type, tally);
	read_tally(type, &form, stored_part(type, tally));
	if (form.counter_count != more.counter_count || count_blocks(form.blocks) != blocks)
		broken(&reader);
	for (int i = 0; i < form.counter_count; i++)
		add_counter(&form.counters[i], more.counters[i]);
	initStringInfo(&bytes);
	append_tally_head(type, &bytes, &form);
	for (int block = 0; block < blocks; block++)
	{
		ByteReader own = read_block(&form.blocks);

		CHECK_FOR_INTERRUPTS();
		append_merged(&bytes, own, read_block(&more.blocks));
	}
	PG_RETURN_POINTER(tally_of_bytes(&bytes, &form, blocks, 0));
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
tally_final(FunctionCallInfo fcinfo, const TallyType *type)
{
	ByteReader	   reader = stored_tally(type, PG_GETARG_DATUM(0));
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) reader.p, reader.end - reader.p);
	return bytes_as_varlena(&bytes);
}

/*
 * Checking what comes from outside
 */

/* No more may be at risk, or leave, than came. */
static bool
is_consistent(const DurationTable *table)
{
	int64 late = 0;
	int64 others = 0;
	int64 left = 0;
	int64 entered = 0;

	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];

		if (pg_add_s64_overflow(late, row->late_entries, &late) || pg_add_s64_overflow(others, row->censored, &others))
			return false;
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			if (pg_add_s64_overflow(others, row->exits[kind], &others))
				return false;
	}
	if (late > others)
		return false;
	entered = others - late;
	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];

		left += row->censored;
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			left += row->exits[kind];
		/* in a bin, some may come late and leave at once */
		if (left > entered + (row->low < row->high ? row->late_entries : 0))
			return false;
		entered += row->late_entries;
	}
	return true;
}

/* Are these bytes, taken apart in form, exactly what would be written, with blocks that can be? */
bool
is_tally_canonical(const TallyType *type, TallyForm *form, const StringInfoData *bytes)
{
	StringInfoData again;
	StringInfoData empty;
	ByteReader	   blocks = form->blocks;

	initStringInfo(&again);
	initStringInfo(&empty);
	append_empty_block(&empty);
	append_tally_head(type, &again, form);
	while (blocks.p < blocks.end)
	{
		ByteReader block = read_block(&blocks);
		ByteReader nothing = {(uint8 *) empty.data, (uint8 *) empty.data + empty.len, type->type_name, BYTES_RECEIVED};

		if (!is_consistent(block_as_table(block)))
			return false;
		append_merged(&again, block, nothing);
	}
	return again.len == bytes->len && memcmp(again.data, bytes->data, again.len) == 0;
}
