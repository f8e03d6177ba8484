/*
 * pack.h
 *	  Reading a journey_pack, one subject's history after the other.
 */
#ifndef REVACCT_PACK_H
#define REVACCT_PACK_H

#include "journey.h"

typedef struct PackReader
{
	ByteReader	reader;
	int			unit;
	bool		extras;
	uint64		remaining;		/* subjects not read yet */
	uint64		numbers;		/* of them, subjects whose key is a number */
	uint64		mark_count;		/* in the whole pack */
	bool		first;
	int64		number;			/* the key just read, if it is a number */
	StringInfoData text;		/* else the key; data is NULL until one is read */
	bool		is_number;
} PackReader;

extern void open_pack(PackReader *pack, Datum datum);
extern bool next_history(PackReader *pack, History *history);

#endif							/* REVACCT_PACK_H */
