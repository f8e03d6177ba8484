/*
 * journey.h
 *	  Marks, and the bytes in which journeys and packs keep them.
 *
 * A stored journey is one header byte and a body.
 *
 *	header	bits 0-2 format version, bits 3-5 time unit, bit 6 extras, bit 7 working state
 *	body	for each mark, in the total order (at, seq, mark, value):
 *			lead byte	low 5 bits the mark, or 31: a 2-byte little-endian mark follows
 *						high 3 bits the number of time bytes: 0-6, or 7 for eight
 *			time		little-endian: the distance to the mark before, in units; for the first mark the zigzag
 *						distance to 2000-01-01 UTC
 *			extras		only with the extras bit: a byte (1: value, 2: seq), then each as a zigzag varint
 *
 * Invariants of a stored journey, checked whenever bytes come from outside: at least one mark; strictly ascending in the
 * total order; the coarsest unit that divides all times; extras only if some mark has one; every field in its shortest
 * form. So equal journeys have equal bytes, and comparing bytes compares journeys.
 */
#ifndef REVACCT_JOURNEY_H
#define REVACCT_JOURNEY_H

#include "revacct.h"

typedef struct Mark
{
	TimestampTz at;
	int64		seq;   /* 0 unless has_seq */
	int64		value; /* 0 unless has_value */
	int32		mark;
	bool		has_seq;
	bool		has_value;
} Mark;

/*
 * One subject's history as the kernels read it: parallel arrays in stored order. Reused from subject to subject, so
 * that reading one allocates nothing once the arrays are long enough.
 */
typedef struct History
{
	int			  count;
	int			  capacity;
	TimestampTz	 *at;
	uint16		 *mark;
	bool		 *seq_differs; /* from the mark before */
	bool		  has_seq;	   /* if not, seq_differs is not filled in */
	int64		 *value;
	bool		 *has_value;
	bool		  has_values; /* if not, value and has_value are not filled in */
	MemoryContext context;	  /* where the arrays live */
} History;

/* Are mark i and the mark before it tied: at one instant, with nothing that orders them? */
static inline bool
tied_with_previous(const History *history, int i)
{
	return history->at[i] == history->at[i - 1] && !(history->has_seq && history->seq_differs[i]);
}

#define JOURNEY_VERSION(header) ((header) &0x07)
#define JOURNEY_UNIT(header) (((header) >> 3) & 0x07)
#define JOURNEY_EXTRAS 0x40
#define JOURNEY_HEADER(unit, extras) (REVACCT_VERSION_BYTE | (unit) << 3 | ((extras) ? JOURNEY_EXTRAS : 0))

#define TIME_UNITS 6
extern const int64 time_unit_usecs[TIME_UNITS];

extern int	  compare_marks(const void *a, const void *b);
extern int	  sort_marks(Mark *marks, int count);
extern int	  coarsest_unit(const Mark *marks, int count, int unit);
extern bool	  any_extras(const Mark *marks, int count);
extern int32  checked_mark(int32 mark);
extern int	  put_mark(uint8 *out, const Mark *mark, uint64 distance, bool extras);
extern uint64 read_mark(ByteReader *reader, int32 *mark);
extern void	  append_body(StringInfo out, const Mark *marks, int count, int unit, bool extras);
extern void	  read_body(ByteReader *reader, Mark *marks, int count, int unit, bool extras);
extern int	  count_body(ByteReader reader, bool extras);
extern Datum  revacct_journey_final(PG_FUNCTION_ARGS);
extern Datum  marks_as_journey(const Mark *marks, int count);
extern Mark	 *journey_as_marks(Datum journey, int *count);
extern void	  reserve_history(History *history, int count);
extern void	  check_history_span(const History *history, TimestampTz as_of);
extern void	  read_history(History *history, Datum journey);
extern void	  read_history_body(History *history, ByteReader *reader, int count, int unit, bool extras);

/* Begin to read a stored journey without extras; false if it is something else, and must be read as a history. */
static inline bool
open_journey(ByteReader *reader, Datum journey, int *unit)
{
	uint8 header;

	reader_over_datum(reader, journey, "journey");
	header = read_byte(reader);
	*unit = JOURNEY_UNIT(header);
	return (header & ~(0x07 << 3)) == REVACCT_VERSION_BYTE && *unit < TIME_UNITS;
}

#endif /* REVACCT_JOURNEY_H */
