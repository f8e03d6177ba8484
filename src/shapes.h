/*
 * shapes.h
 *	  Histories with the same marks in the same order go the same way through a funnel.
 *
 * A few dozen shapes make up most of a ledger. Where neither a tie nor a window can make a difference, a funnel keeps
 * what became of the first history of a shape, as the cells to raise and the pairs of marks whose distance is a time to
 * convert, and does the same for the others without working it out again. What it keeps was worked out by attempts.c, so
 * there is one definition of the result.
 */
#ifndef REVACCT_SHAPES_H
#define REVACCT_SHAPES_H

#include "attempts.h"

#define SHAPE_MARKS 12		/* longer histories have no shape: 5 bits each fit 64 */
#define SHAPE_MARK_LIMIT 31 /* marks from here on have none */
#define SHAPE_SLOTS 4096
#define SHAPE_CELLS 12
#define SHAPE_BYTES 64

/* A history as far as its shape matters. */
typedef struct ShapedHistory
{
	uint64		key; /* the marks, 5 bits each, above them a leading 1 */
	int			count;
	TimestampTz first_at;
	uint64		offsets[SHAPE_MARKS]; /* from the first mark, in units */
} ShapedHistory;

/* A time to convert: from one mark to another, for a step. */
#define SHAPE_TIME(step, from, to) ((uint16) ((step) << 8 | (from) << 4 | (to)))
#define SHAPE_TIME_STEP(time) ((time) >> 8)
#define SHAPE_TIME_FROM(time) ((time) >> 4 & 0x0F)
#define SHAPE_TIME_TO(time) ((time) &0x0F)

/* One for each history read: so it fits a cache line. */
typedef struct Shape
{
	uint64 key;		  /* 0: nothing here */
	bool   simple;	  /* if not, histories of this shape must be read in full */
	uint8  attempts;  /* 0 or 1 */
	uint8  recycled;  /* 0 or 1 */
	uint8  opened_by; /* index of the mark that opened the attempt */
	uint16 open_cell; /* of those in progress at the attempt's level, if the attempt is open; else 0 */
	uint8  cell_count;
	uint8  time_count;
	uint16 cells[SHAPE_CELLS]; /* of steps, each to be raised by 1 */
	uint16 times[SHAPE_MARKS]; /* SHAPE_TIME */
} Shape;

StaticAssertDecl(sizeof(Shape) == SHAPE_BYTES, "a shape fills a cache line");

typedef struct ShapeTable
{
	Shape  slots[SHAPE_SLOTS]; /* first, so that they are aligned if the table is */
	uint64 fingerprint;		   /* of the lifecycle they are of */
	bool   usable;			   /* do its histories have shapes? */
	int64  within;			   /* window, PG_INT64_MAX if none */
	uint32 reads;			   /* since the table was made ready, and how many of them */
	uint32 misses;			   /* were of a shape that was not in its slot */
} ShapeTable;

static inline Shape *
shape_slot(ShapeTable *table, uint64 key)
{
	return &table->slots[(key * UINT64CONST(0x9E3779B97F4A7C15)) >> 52];
}

StaticAssertDecl(SHAPE_SLOTS == 1 << (64 - 52), "the hash is as long as the table");

/* Make a table ready for a lifecycle. */
static inline void
prepare_shapes(ShapeTable *table, const Lifecycle *lifecycle)
{
	if (likely(table->fingerprint == lifecycle->fingerprint))
		return;
	memset(table, 0, sizeof(ShapeTable));
	table->fingerprint = lifecycle->fingerprint;
	table->within = lifecycle->within.set ? lifecycle->within.fixed : PG_INT64_MAX;
	table->usable = !lifecycle->within.calendar && lifecycle->step_within == NULL &&
					lifecycle->entry_from == DT_NOBEGIN && lifecycle->entry_to == DT_NOEND &&
					(lifecycle->marks_in_stage_order || lifecycle->shared_marks);
}

/* A shape was not there. Where most are like that, looking for them costs more than it saves. */
static inline void
note_miss(ShapeTable *table)
{
	table->misses++;
	if (table->reads > 16 * SHAPE_SLOTS && table->misses > table->reads / 2)
		table->usable = false;
}

/*
 * Read a body of count marks (if negative: up to the end) as a shaped history. False if it has no shape, or is broken:
 * then the reader is where it was, and the history must be read in full.
 */
static pg_attribute_always_inline bool
read_shaped_history(ShapedHistory *history, ByteReader *reader, int count, int64 unit_usecs, const ShapeTable *table,
					TimestampTz as_of)
{
	const uint8 *p = reader->p;
	const uint8 *end = reader->end;
	uint64		 key = 1;
	uint64		 offset = 0;
	int64		 span;
	bool		 tied = false;
	int			 i;

	if (unlikely(!table->usable || count > SHAPE_MARKS))
		return false;
	for (i = 0; count < 0 ? p < end : i < count; i++)
	{
		uint8  lead;
		int	   len;
		uint64 distance;

		if (unlikely(i == SHAPE_MARKS || p >= end))
			return false;
		lead = *p++;
		len = lead >> 5;
		len += len == 7;
		if (unlikely((lead & 0x1F) == SHAPE_MARK_LIMIT || (len == 8 && i > 0) || len > end - p))
			return false;
		distance = load_little_endian(p, reader->p, end, len);
		p += len;
		key = key << 5 | (lead & 0x1F);
		if (i == 0)
		{
			history->first_at = unzigzag(distance);
			history->offsets[0] = 0;
			continue;
		}
		tied |= distance == 0;
		offset += distance;
		history->offsets[i] = offset;
	}
	if (unlikely(tied || i == 0 || pg_mul_s64_overflow((int64) offset, unit_usecs, &span) ||
				 pg_mul_s64_overflow(history->first_at, unit_usecs, &history->first_at) ||
				 history->first_at < MIN_TIMESTAMP || span > as_of - MIN_TIMESTAMP ||
				 history->first_at > as_of - span || span > table->within))
		return false;
	history->key = key;
	history->count = i;
	reader->p = p;
	return true;
}

#endif /* REVACCT_SHAPES_H */
