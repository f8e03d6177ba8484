/*
 * sums.h
 *	  Exact sums: 128-bit signed, and 192-bit unsigned for squares. Structs of 64-bit words, since states are aligned to
 *	  8 bytes only.
 */
#ifndef REVACCT_SUMS_H
#define REVACCT_SUMS_H

#include "revacct.h"

typedef struct Sum128
{
	uint64 low;
	int64  high;
} Sum128;

typedef struct Sum192
{
	uint64 words[3]; /* lowest first */
} Sum192;

static inline int128
sum_value(const Sum128 *sum)
{
	return (int128) (((uint128) (uint64) sum->high << 64) | sum->low);
}

static inline void
sum_add(Sum128 *sum, int128 by)
{
	uint128 total = (uint128) sum_value(sum) + (uint128) by;

	sum->low = (uint64) total;
	sum->high = (int64) (total >> 64);
}

static inline void
square_sum_add(Sum192 *sum, const Sum192 *by)
{
	uint128 carry = 0;

	for (int i = 0; i < 3; i++)
	{
		carry += (uint128) sum->words[i] + by->words[i];
		sum->words[i] = (uint64) carry;
		carry >>= 64;
	}
}

static inline void
square_sum_subtract(Sum192 *sum, const Sum192 *by)
{
	uint64 borrow = 0;

	for (int i = 0; i < 3; i++)
	{
		uint128 take = (uint128) by->words[i] + borrow;

		borrow = take > sum->words[i];
		sum->words[i] -= (uint64) take;
	}
}

static inline Sum192
square_of(int64 value)
{
	uint128 square = (uint128) ((int128) value * value);
	Sum192	result = {{(uint64) square, (uint64) (square >> 64), 0}};

	return result;
}

static inline double
square_sum_as_double(const Sum192 *sum)
{
	return ((double) sum->words[2] * 18446744073709551616.0 + (double) sum->words[1]) * 18446744073709551616.0 +
		   (double) sum->words[0];
}

/* A signed 128-bit integer as a zigzag varint of at most 19 bytes. */
static inline void
append_varint128(StringInfo out, int128 value)
{
	uint128 rest = ((uint128) value << 1) ^ (uint128) (value >> 127);

	for (; rest > PG_UINT64_MAX; rest >>= 7)
		appendStringInfoChar(out, (char) ((uint8) rest | 0x80));
	append_varint(out, (uint64) rest);
}

static inline int128
read_varint128(ByteReader *reader)
{
	uint128 result = 0;

	for (int shift = 0;; shift += 7)
	{
		uint8 byte = read_byte(reader);

		if (shift == 126 && byte > 3)
			broken(reader);
		result |= (uint128) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return (int128) (result >> 1) ^ -(int128) (result & 1);
	}
}

#endif /* REVACCT_SUMS_H */
