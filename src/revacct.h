/*
 * revacct.h
 *	  What every file of the kernel shares: limits, error codes, byte-level reading and writing.
 *
 * The kernel is pure: it reads no table, no setting and no clock. All stored values are sequences of bytes with one
 * meaning on every machine, so that a value's binary form is what is stored, sent and hashed.
 */
#ifndef REVACCT_H
#define REVACCT_H

#include "postgres.h"

#include "common/int.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "nodes/nodes.h"
#include "port/pg_bitutils.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

/* What is called otherwise in some of the versions we build for. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#define RANGE_SERIALIZE(type, lower, upper, empty) range_serialize(type, lower, upper, empty, NULL)
#else
#define RANGE_SERIALIZE(type, lower, upper, empty) range_serialize(type, lower, upper, empty)
#endif
#if PG_VERSION_NUM >= 170000
#define local_transaction_of(process) ((process)->vxid.lxid)
#else
#define local_transaction_of(process) ((process)->lxid)
#endif
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

#define REVACCT_VERSION_BYTE 1

/* Set in the first payload byte of a state that is still being built inside an aggregate (native layout, with slack). */
#define WORKING_BIT 0x80

#define MAX_MARKS_PER_JOURNEY (1 << 20)
#define HEX_BYTES(bytes) (2 * (Size) (bytes) + 3) /* \x, the digits and a 0 */
#define MAX_MARK_ID 32767
#define UNKNOWN_MARK 0

/* Our own refusals; class RV. */
#define ERRCODE_DEFINITION_MISMATCH MAKE_SQLSTATE('R', 'V', '0', '0', '1')
#define ERRCODE_OBSERVATION_MISMATCH MAKE_SQLSTATE('R', 'V', '0', '0', '2')

/* Where broken bytes come from decides their SQLSTATE. */
typedef enum ByteSource
{
	BYTES_STORED,  /* data_corrupted */
	BYTES_RECEIVED /* invalid_binary_representation */
} ByteSource;

typedef struct ByteReader
{
	const uint8 *p;
	const uint8 *end;
	const char	*type_name; /* for the error text */
	ByteSource	 source;
} ByteReader;

/* Rows of a set-returning function, filled column by column. */
#define MAX_COLUMNS 32

typedef struct RowBuilder
{
	struct Tuplestorestate *store;
	struct TupleDescData   *descriptor;
	MemoryContext			context; /* of what lives until the row has been put */
	int						column;
	Datum					values[MAX_COLUMNS];
	bool					nulls[MAX_COLUMNS];
} RowBuilder;

/* A text that lives until the row has been put. */
extern void add_text(RowBuilder *row, const char *text);
extern void begin_rows(FunctionCallInfo fcinfo, RowBuilder *row);
extern void end_row(RowBuilder *row);

static inline void
add_column(RowBuilder *row, Datum value, bool isnull)
{
	row->values[row->column] = value;
	row->nulls[row->column++] = isnull;
}

extern Datum			hours_datum(int64 usecs);
extern Datum			rounded_numeric(double value, int scale);
extern Datum			rounded_ratio(int128 numerator, int128 denominator, int scale);
extern StringInfoData	message_bytes(StringInfo message);
extern StringInfoData	hex_as_bytes(const char *text, const char *type_name);
extern char			   *bytes_as_hex(Datum value, const char *type_name);
pg_noreturn extern void report_broken_bytes(const char *type_name, ByteSource source);
pg_noreturn extern void report_newer_version(const char *type_name, int version);
extern void				check_finite_instant(TimestampTz at, const char *what);
extern void				append_instant(StringInfo out, TimestampTz at);
extern const char	   *parse_instant(const char *text, TimestampTz *at);
extern Datum			bytes_as_varlena(const StringInfoData *bytes);
extern void			   *own_state(FunctionCallInfo fcinfo);
extern Datum			unchanged_state(FunctionCallInfo fcinfo);
extern void			   *grown_state(void *state, Size needed, const char *type_name, const char *hint);
extern void				check_value_size(Size bytes, const char *type_name, const char *hint);
extern void				check_hex_size(Size bytes, const char *type_name, const char *hint);

/*
 * A varlena argument's payload, detoasted only if it must be (short headers stay).
 */
static inline void
reader_over_datum(ByteReader *reader, Datum datum, const char *type_name)
{
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	if (unlikely(VARATT_IS_COMPRESSED(value) || VARATT_IS_EXTERNAL(value)))
		value = pg_detoast_datum(value);
	reader->p = (const uint8 *) VARDATA_ANY(value);
	reader->end = reader->p + VARSIZE_ANY_EXHDR(value);
	reader->type_name = type_name;
	reader->source = BYTES_STORED;
}

/* Is this a state that is still being built? */
static inline bool
is_working(const ByteReader *reader)
{
	return reader->p < reader->end && *reader->p == (WORKING_BIT | REVACCT_VERSION_BYTE);
}

/*
 * Is argument 0 a state of ours inside an aggregate, to be changed where it is? The usual case, without the calls that
 * finding out in general takes.
 */
static inline bool
has_state_in_place(FunctionCallInfo fcinfo)
{
	struct varlena *state = (struct varlena *) PG_GETARG_POINTER(0);

	return fcinfo->context != NULL && IsA(fcinfo->context, AggState) && !VARATT_IS_EXTENDED(state) &&
		   *(const uint8 *) VARDATA(state) == (WORKING_BIT | REVACCT_VERSION_BYTE);
}

static inline void
broken(const ByteReader *reader)
{
	report_broken_bytes(reader->type_name, reader->source);
}

static inline uint8
read_byte(ByteReader *reader)
{
	if (unlikely(reader->p >= reader->end))
		broken(reader);
	return *reader->p++;
}

/* An unsigned LEB128 integer of at most 64 bits. */
static inline uint64
read_varint(ByteReader *reader)
{
	uint64 result = 0;
	int	   shift = 0;

	for (;;)
	{
		uint8 byte = read_byte(reader);

		if (unlikely(shift == 63 && byte > 1))
			broken(reader);
		result |= (uint64) (byte & 0x7F) << shift;
		if (byte < 0x80)
			return result;
		shift += 7;
	}
}

/* A varint that must not exceed limit: a count or a length, bounded before anything is sized by it. */
static inline uint64
read_bounded(ByteReader *reader, uint64 limit)
{
	uint64 result = read_varint(reader);

	if (unlikely(result > limit))
		broken(reader);
	return result;
}

static inline const uint8 *
read_bytes(ByteReader *reader, Size len)
{
	const uint8 *result = reader->p;

	if (unlikely(len > (Size) (reader->end - reader->p)))
		broken(reader);
	reader->p += len;
	return result;
}

static inline uint64
zigzag(int64 value)
{
	return ((uint64) value << 1) ^ (uint64) (value >> 63);
}

static inline int64
unzigzag(uint64 value)
{
	return (int64) (value >> 1) ^ -(int64) (value & 1);
}

static inline int
put_varint(uint8 *out, uint64 value)
{
	int len = 0;

	while (value >= 0x80)
	{
		out[len++] = (uint8) value | 0x80;
		value >>= 7;
	}
	out[len++] = (uint8) value;
	return len;
}

#define MAX_VARINT_BYTES 10

/* Most numbers are small, and most of the cost of appending one is making sure that there is room. */
static inline void
append_varint(StringInfo out, uint64 value)
{
	if (unlikely(out->maxlen - out->len <= MAX_VARINT_BYTES))
		enlargeStringInfo(out, MAX_VARINT_BYTES);
	out->len += put_varint((uint8 *) out->data + out->len, value);
}

/*
 * The len bytes at p as a little-endian number, on every machine. The caller has checked that they are there; whatever
 * lies between begin and end may be read to get them, which saves a loop.
 */
static inline uint64
load_little_endian(const uint8 *p, const uint8 *begin, const uint8 *end, int len)
{
	uint64 word = 0;
	int	   excess = 0;

	if (unlikely(end - p < 8))
	{
		if (unlikely(end - begin < 8))
		{
			for (int i = 0; i < len; i++)
				word |= (uint64) p[i] << (8 * i);
			return word;
		}
		excess = 8 - (int) (end - p);
		p -= excess;
	}
	memcpy(&word, p, 8);
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	if (len == 0)
		return 0;
	return word >> (8 * excess) & (~UINT64CONST(0) >> (64 - 8 * len));
}

#endif /* REVACCT_H */
