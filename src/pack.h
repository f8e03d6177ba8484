/*
 * pack.h
 *	  Reading a journey_pack, one subject's history after the other.
 */
#ifndef REVACCT_PACK_H
#define REVACCT_PACK_H

#include "journey.h"

typedef struct PackReader
{
	ByteReader	   reader;
	int			   unit;
	bool		   extras;
	uint64		   remaining;  /* subjects not read yet */
	uint64		   numbers;	   /* of them, subjects whose key is a number */
	uint64		   mark_count; /* in the whole pack */
	bool		   first;
	int64		   number; /* the key just read, if it is a number */
	StringInfoData text;   /* else the key; data is NULL until one is read */
	bool		   is_number;
} PackReader;

extern void open_pack(PackReader *pack, Datum datum);
extern void read_text_key(PackReader *pack);
extern bool next_history(PackReader *pack, History *history);

/* Read the next subject's key and number of marks; false at the end. */
static inline bool
next_subject(PackReader *pack, int *count)
{
	if (pack->remaining == 0)
	{
		if (pack->reader.p != pack->reader.end)
			broken(&pack->reader);
		return false;
	}
	pack->remaining--;
	pack->is_number = pack->numbers > 0;
	if (likely(pack->is_number))
	{
		uint64 distance = read_varint(&pack->reader);

		pack->numbers--;
		pack->number = pack->first ? unzigzag(distance) : (int64) ((uint64) pack->number + distance);
	}
	else
		read_text_key(pack);
	pack->first = false;
	*count = (int) read_bounded(&pack->reader, MAX_MARKS_PER_JOURNEY);
	if (unlikely(*count == 0))
		broken(&pack->reader);
	return true;
}

#endif /* REVACCT_PACK_H */
