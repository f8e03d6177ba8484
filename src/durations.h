/*
 * durations.h
 *	  How long things took, as an exact multiset while small and as logarithmic bins beyond: integers throughout.
 *
 * The stored form of one stage's durations, a block:
 *
 *	kind byte			0 exact, 1 binned
 *	rows, bytes			varints
 *	for each row		varint distance of the key to the one before (the first: the key itself); the key is the duration
 *						in microseconds or the number of the bin
 *						varint set of slots that are not zero, then a varint for each, lowest slot first
 *
 * A block is exact exactly if it has at most EXACT_DURATIONS distinct durations, so the form depends on the contents
 * alone, and merging in any order gives the same bytes.
 */
#ifndef REVACCT_DURATIONS_H
#define REVACCT_DURATIONS_H

#include "revacct.h"
#include "survival.h"

#define EXACT_DURATIONS 4096

/* What can happen at a duration; frequent ones first, so that the set of slots takes one byte. */
typedef enum DurationSlot
{
	SLOT_CENSORED,
	SLOT_FORWARD,
	SLOT_LOST,
	SLOT_WON,
	SLOT_SKIP,
	SLOT_BACK,
	SLOT_RECYCLED,
	SLOT_REPEAT,
	SLOT_NO_DECISION,
	SLOT_CHURNED,
	SLOT_LATE_ENTRY
} DurationSlot;

#define DURATION_SLOTS 11

extern const uint8 slot_of_exit[EXIT_KINDS];

/* One thing that happened, not yet part of a block. */
typedef struct DurationEntry
{
	int64  duration; /* microseconds, not negative */
	uint32 stage;
	uint32 slot;
} DurationEntry;

extern int			  bin_of_duration(int64 duration);
extern void			  duration_bin(int64 duration, int64 *low, int64 *high);
extern void			  append_empty_block(StringInfo out);
extern void			  append_entries(StringInfo out, ByteReader block, DurationEntry *entries, int count);
extern void			  append_merged(StringInfo out, ByteReader a, ByteReader b);
extern ByteReader	  read_block(ByteReader *reader);
extern DurationTable *block_as_table(ByteReader block);
extern bool			  block_is_binned(ByteReader block);

#endif /* REVACCT_DURATIONS_H */
