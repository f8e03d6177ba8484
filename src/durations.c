/*
 * durations.c
 *	  Blocks of durations: reading, writing, merging, and the bins.
 */
#include "durations.h"

#include "miscadmin.h"

#define MAX_BINS 2200
#define BINS_PER_OCTAVE_LOOKUP 64

const uint8 slot_of_exit[EXIT_KINDS] = {
	[EXIT_FORWARD] = SLOT_FORWARD,
	[EXIT_SKIP] = SLOT_SKIP,
	[EXIT_BACK] = SLOT_BACK,
	[EXIT_REPEAT] = SLOT_REPEAT,
	[EXIT_WON] = SLOT_WON,
	[EXIT_LOST] = SLOT_LOST,
	[EXIT_NO_DECISION] = SLOT_NO_DECISION,
	[EXIT_RECYCLED] = SLOT_RECYCLED,
	[EXIT_CHURNED] = SLOT_CHURNED,
};

typedef struct DurationCounts
{
	int64  key;
	uint64 slots[DURATION_SLOTS];
} DurationCounts;

/* Rows of a block, one after the other; keys of an exact block as bins if asked. */
typedef struct BlockReader
{
	ByteReader	   reader;
	uint64		   remaining;
	bool		   binned;	/* what the block is */
	bool		   as_bins; /* what its rows are given as */
	bool		   first;
	bool		   valid;
	int64		   key; /* in the block */
	uint64		   slots;
	DurationCounts row;
} BlockReader;

typedef struct BlockWriter
{
	StringInfoData rows;
	uint64		   count;
	int64		   last_key;
	DurationCounts row; /* of which more may come */
	bool		   pending;
} BlockWriter;

/*
 * Bins
 */

static int64  bin_edges[MAX_BINS];
static int	  bin_count = 0;
static uint16 first_bin[64 * BINS_PER_OCTAVE_LOOKUP];

/* The top bits of a duration: its octave, and where in it the duration lies. */
static inline int
lookup_index(int64 duration)
{
	int octave = pg_leftmost_one_pos64(duration);

	return octave * BINS_PER_OCTAVE_LOOKUP +
		   (int) ((octave >= 6 ? duration >> (octave - 6) : duration << (6 - octave)) & (BINS_PER_OCTAVE_LOOKUP - 1));
}

/* Past the last edge stands a sentinel. The edges are constants, worked out once in a backend: nothing they depend on can change. */
static void
make_bins(void)
{
	int	  count = 0;
	int64 edge = 0;

	bin_edges[count++] = 0;
	for (edge = 1; count < MAX_BINS;)
	{
		uint128 next = (uint128) edge * 101 / 99;

		bin_edges[count++] = edge;
		if (next <= (uint128) edge)
			next = (uint128) edge + 1;
		if (next > (uint128) PG_INT64_MAX)
			break;
		edge = (int64) next;
	}
	for (int octave = 0, bin = 0; octave < 63; octave++)
		for (int part = 0; part < BINS_PER_OCTAVE_LOOKUP; part++)
		{
			int64 least =
				(INT64CONST(1) << octave) + (octave >= 6 ? (int64) part << (octave - 6) : (int64) part >> (6 - octave));

			while (bin + 1 < count && bin_edges[bin + 1] <= least)
				bin++;
			first_bin[octave * BINS_PER_OCTAVE_LOOKUP + part] = bin;
		}
	bin_edges[count] = PG_INT64_MAX;
	bin_count = count;
}

/* The bin of a duration that is not negative. */
static inline int
bin_of(int64 duration)
{
	int bin;

	if (unlikely(bin_count == 0))
		make_bins();
	if (duration == 0)
		return 0;
	bin = first_bin[lookup_index(duration)];
	/* a lookup part holds at most one edge past its beginning */
	bin += bin_edges[bin + 1] <= duration;
	return Min(bin, bin_count - 1);
}

int
bin_of_duration(int64 duration)
{
	return bin_of(duration);
}

static void
bin_bounds(int bin, int64 *low, int64 *high)
{
	*low = bin_edges[bin];
	*high = bin + 1 < bin_count ? bin_edges[bin + 1] - 1 : PG_INT64_MAX;
}

/* The shortest and the longest duration in the bin of a duration. */
void
duration_bin(int64 duration, int64 *low, int64 *high)
{
	bin_bounds(bin_of_duration(duration), low, high);
}

/*
 * Reading and writing
 */

/* Take a block out of a longer value. */
ByteReader
read_block(ByteReader *reader)
{
	ByteReader block = *reader;
	uint64	   bytes;

	read_byte(reader);
	read_varint(reader);
	bytes = read_bounded(reader, reader->end - reader->p);
	read_bytes(reader, bytes);
	block.end = reader->p;
	return block;
}

static void
open_block(BlockReader *block, ByteReader bytes, bool as_bins)
{
	uint8 kind;

	memset(block, 0, sizeof(BlockReader));
	block->reader = bytes;
	kind = read_byte(&block->reader);
	if (kind > 1)
		broken(&bytes);
	block->binned = kind == 1;
	block->as_bins = as_bins || block->binned;
	block->remaining = read_bounded(&block->reader, bytes.end - bytes.p);
	if (read_varint(&block->reader) != (uint64) (block->reader.end - block->reader.p) ||
		(!block->binned && block->remaining > EXACT_DURATIONS))
		broken(&bytes);
	block->first = true;
	if (bin_count == 0)
		make_bins();
}

bool
block_is_binned(ByteReader block)
{
	BlockReader reader;

	open_block(&reader, block, false);
	return reader.binned;
}

/* Move on to the next row, if there is one. */
static void
advance_block(BlockReader *block)
{
	uint64 distance;
	uint64 slots;

	block->valid = block->remaining > 0;
	if (!block->valid)
	{
		if (block->reader.p != block->reader.end)
			broken(&block->reader);
		return;
	}
	block->remaining--;
	distance = read_bounded(&block->reader, PG_INT64_MAX);
	if ((distance == 0 && !block->first) || distance > (uint64) (PG_INT64_MAX - block->key))
		broken(&block->reader);
	block->key += (int64) distance;
	if (block->binned && block->key >= bin_count)
		broken(&block->reader);
	block->first = false;
	block->row.key = block->as_bins && !block->binned ? bin_of_duration(block->key) : block->key;
	slots = read_bounded(&block->reader, (1 << DURATION_SLOTS) - 1);
	if (slots == 0)
		broken(&block->reader);
	block->slots = slots;
	memset(block->row.slots, 0, sizeof(block->row.slots));
	for (; slots != 0; slots &= slots - 1)
	{
		uint64 count = read_bounded(&block->reader, PG_INT64_MAX);

		if (count == 0)
			broken(&block->reader);
		block->row.slots[pg_rightmost_one_pos64(slots)] = count;
	}
}

static void
flush_row(BlockWriter *writer)
{
	uint8  bytes[MAX_VARINT_BYTES * (DURATION_SLOTS + 2)];
	int	   len;
	uint64 slots = 0;

	if (!writer->pending)
		return;
	for (int slot = 0; slot < DURATION_SLOTS; slot++)
		slots |= (uint64) (writer->row.slots[slot] != 0) << slot;
	len = put_varint(bytes, (uint64) (writer->row.key - writer->last_key));
	len += put_varint(bytes + len, slots);
	for (; slots != 0; slots &= slots - 1)
		len += put_varint(bytes + len, writer->row.slots[pg_rightmost_one_pos64(slots)]);
	appendBinaryStringInfo(&writer->rows, (char *) bytes, len);
	writer->last_key = writer->row.key;
	writer->count++;
	writer->pending = false;
}

/* Add counts at a key that is not below the last one. */
static inline void
write_row(BlockWriter *writer, const DurationCounts *row)
{
	if (writer->pending && writer->row.key == row->key)
	{
		for (int slot = 0; slot < DURATION_SLOTS; slot++)
			if (pg_add_u64_overflow(writer->row.slots[slot], row->slots[slot], &writer->row.slots[slot]) ||
				writer->row.slots[slot] > PG_INT64_MAX)
				ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("count out of range")));
		return;
	}
	flush_row(writer);
	writer->row = *row;
	writer->pending = true;
}

static void
begin_block(BlockWriter *writer)
{
	memset(writer, 0, sizeof(BlockWriter));
	initStringInfo(&writer->rows);
}

static void
end_block(BlockWriter *writer, StringInfo out, bool binned)
{
	flush_row(writer);
	appendStringInfoChar(out, binned);
	append_varint(out, writer->count);
	append_varint(out, writer->rows.len);
	appendBinaryStringInfo(out, writer->rows.data, writer->rows.len);
	pfree(writer->rows.data);
}

void
append_empty_block(StringInfo out)
{
	BlockWriter writer;

	begin_block(&writer);
	end_block(&writer, out, false);
}

/*
 * Merging
 */

static void
write_merged(BlockWriter *writer, BlockReader *a, BlockReader *b)
{
	advance_block(a);
	advance_block(b);
	while (a->valid || b->valid)
	{
		BlockReader *next = !b->valid || (a->valid && a->row.key <= b->row.key) ? a : b;

		write_row(writer, &next->row);
		advance_block(next);
	}
	flush_row(writer);
}

/* Append the union of two blocks. */
void
append_merged(StringInfo out, ByteReader a, ByteReader b)
{
	bool		binned = block_is_binned(a) || block_is_binned(b);
	BlockReader rows_a;
	BlockReader rows_b;
	BlockWriter writer;

	for (;;)
	{
		open_block(&rows_a, a, binned);
		open_block(&rows_b, b, binned);
		begin_block(&writer);
		write_merged(&writer, &rows_a, &rows_b);
		if (binned || writer.count <= EXACT_DURATIONS)
			break;
		pfree(writer.rows.data);
		binned = true;
	}
	end_block(&writer, out, binned);
}

#define ST_SORT sort_entries
#define ST_ELEMENT_TYPE DurationEntry
#define ST_COMPARE(a, b) ((a)->duration < (b)->duration ? -1 : (a)->duration > (b)->duration)
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

/* Entries as a block of exact rows (perhaps more than a stored block may have). */
static void
write_exact(BlockWriter *writer, DurationEntry *entries, int count)
{
	sort_entries(entries, count);
	for (int i = 0; i < count; i++)
	{
		if (!writer->pending || writer->row.key != entries[i].duration)
		{
			flush_row(writer);
			memset(&writer->row, 0, sizeof(DurationCounts));
			writer->row.key = entries[i].duration;
			writer->pending = true;
		}
		writer->row.slots[entries[i].slot]++;
	}
	flush_row(writer);
}

/* Append a block of bins with entries added to it: counted in a table, as a bin is a small number. */
static void
append_binned(StringInfo out, ByteReader bytes, const DurationEntry *entries, int count)
{
	uint64		  *table = palloc(sizeof(uint64) * MAX_BINS * DURATION_SLOTS); /* slot by slot, as few are used */
	uint64		   used = 0;
	int			   least = MAX_BINS;
	int			   most = -1;
	int64		   last_key = 0;
	uint64		   rows = 0;
	BlockReader	   block;
	StringInfoData text;
	uint8		  *p;

	for (int i = 0; i < count; i++)
		used |= 1 << entries[i].slot;
	for (int slot = 0; slot < DURATION_SLOTS; slot++)
		if (used >> slot & 1)
			memset(table + slot * MAX_BINS, 0, sizeof(uint64) * MAX_BINS);
	for (int i = 0; i < count; i++)
	{
		int bin = bin_of(entries[i].duration);

		table[entries[i].slot * MAX_BINS + bin]++;
		least = Min(least, bin);
		most = Max(most, bin);
	}
	open_block(&block, bytes, true);
	for (advance_block(&block); block.valid; advance_block(&block))
	{
		int bin = (int) block.row.key;

		for (uint64 slots = block.slots; slots != 0; slots &= slots - 1)
		{
			int		slot = pg_rightmost_one_pos64(slots);
			uint64 *sum = &table[slot * MAX_BINS + bin];

			if (!(used >> slot & 1))
			{
				memset(table + slot * MAX_BINS, 0, sizeof(uint64) * MAX_BINS);
				used |= 1 << slot;
			}
			if (pg_add_u64_overflow(*sum, block.row.slots[slot], sum) || *sum > PG_INT64_MAX)
				ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("count out of range")));
		}
		least = Min(least, bin);
		most = Max(most, bin);
	}
	initStringInfo(&text);
	enlargeStringInfo(&text, Max(most - least + 1, 0) * MAX_VARINT_BYTES * (2 + pg_popcount64(used)));
	p = (uint8 *) text.data;
	for (int bin = least; bin <= most; bin++)
	{
		uint64 set = 0;

		for (uint64 slots = used; slots != 0; slots &= slots - 1)
		{
			int slot = pg_rightmost_one_pos64(slots);

			set |= (uint64) (table[slot * MAX_BINS + bin] != 0) << slot;
		}
		if (set == 0)
			continue;
		p += put_varint(p, bin - last_key);
		p += put_varint(p, set);
		for (uint64 slots = set; slots != 0; slots &= slots - 1)
			p += put_varint(p, table[pg_rightmost_one_pos64(slots) * MAX_BINS + bin]);
		last_key = bin;
		rows++;
	}
	text.len = (char *) p - text.data;
	appendStringInfoChar(out, true);
	append_varint(out, rows);
	append_varint(out, text.len);
	appendBinaryStringInfo(out, text.data, text.len);
	pfree(text.data);
	pfree(table);
}

/* Append a block with entries added to it; they are of one stage, and may be put in another order. */
void
append_entries(StringInfo out, ByteReader block, DurationEntry *entries, int count)
{
	BlockWriter	   writer;
	StringInfoData more;

	if (block_is_binned(block))
	{
		append_binned(out, block, entries, count);
		return;
	}
	begin_block(&writer);
	write_exact(&writer, entries, count);
	if (writer.count > EXACT_DURATIONS)
	{
		pfree(writer.rows.data);
		append_binned(out, block, entries, count);
		return;
	}
	initStringInfo(&more);
	end_block(&writer, &more, false);
	append_merged(out,
				  block,
				  (ByteReader){(uint8 *) more.data, (uint8 *) more.data + more.len, block.type_name, block.source});
	pfree(more.data);
}

/* The rows of a block, for the statistics. */
DurationTable *
block_as_table(ByteReader bytes)
{
	DurationTable *table = palloc(sizeof(DurationTable));
	BlockReader	   block;

	open_block(&block, bytes, false);
	table->nrows = 0;
	table->rows = palloc0(sizeof(DurationRow) * Max(block.remaining, 1));
	for (advance_block(&block); block.valid; advance_block(&block))
	{
		DurationRow *row = &table->rows[table->nrows++];

		if (block.binned)
			bin_bounds((int) block.row.key, &row->low, &row->high);
		else
			row->low = row->high = block.row.key;
		row->at = row->low + (row->high - row->low) / 2;
		row->late_entries = block.row.slots[SLOT_LATE_ENTRY];
		row->censored = block.row.slots[SLOT_CENSORED];
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			row->exits[kind] = block.row.slots[slot_of_exit[kind]];
	}
	return table;
}
