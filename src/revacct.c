/*
 * revacct.c
 *	  The module's entry point and the small helpers that every type uses.
 */
#include "revacct.h"

#include <ctype.h>

#include "datatype/timestamp.h"
#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

PG_MODULE_MAGIC;

/* Refuse bytes that are no value of the type; nothing is read past them. */
void
report_broken_bytes(const char *type_name, ByteSource source)
{
	if (source == BYTES_RECEIVED)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
				 errmsg("invalid binary value for type %s", type_name)));
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("stored value of type %s is broken", type_name),
			 errhint("Rebuild the value from its events.")));
}

/* Refuse a value written by a later release. */
void
report_newer_version(const char *type_name, int version)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("value of type %s has an unknown format", type_name),
			 errdetail("The format version is %d; this release reads version %d.", version, REVACCT_VERSION_BYTE),
			 errhint("Install the release of revacct that wrote the value, or a later one.")));
}

/* Refuse infinite instants, which have no place in a history; what names the argument. */
void
check_finite_instant(TimestampTz at, const char *what)
{
	if (unlikely(TIMESTAMP_NOT_FINITE(at)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("%s must be a finite time", what),
				 errhint("Give a time that is on the calendar.")));
}

/*
 * Append an instant as ISO 8601 in UTC, to the microsecond, with no regard to any setting: 2025-01-31T09:00:00.5Z.
 * Years are astronomical (0 is 1 BC), with at least four digits.
 */
void
append_instant(StringInfo out, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		 fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	appendStringInfo(out,
					 "%s%04d-%02d-%02dT%02d:%02d:%02d",
					 tm.tm_year < 0 ? "-" : "",
					 abs(tm.tm_year),
					 tm.tm_mon,
					 tm.tm_mday,
					 tm.tm_hour,
					 tm.tm_min,
					 tm.tm_sec);
	if (fsec != 0)
	{
		int digits = 6;

		while (fsec % 10 == 0)
		{
			fsec /= 10;
			digits--;
		}
		appendStringInfo(out, ".%0*d", digits, (int) fsec);
	}
	appendStringInfoChar(out, 'Z');
}

/* Exactly count digits as a number, or -1. */
static int
parse_digits(const char **text, int count)
{
	int value = 0;

	for (int i = 0; i < count; i++)
	{
		if (!isdigit((unsigned char) **text))
			return -1;
		value = value * 10 + (*(*text)++ - '0');
	}
	return value;
}

/*
 * Read what append_instant writes. Returns the first character after it, or NULL if the text is no such instant.
 */
const char *
parse_instant(const char *text, TimestampTz *at)
{
	struct pg_tm tm = {0};
	fsec_t		 fsec = 0;
	bool		 negative = (*text == '-');
	int			 digits = 0;

	if (negative)
		text++;
	while (isdigit((unsigned char) text[digits]) && digits < 7)
		digits++;
	if (digits < 4 || digits > 6)
		return NULL;
	tm.tm_year = parse_digits(&text, digits);
	if (negative)
		tm.tm_year = -tm.tm_year;
	if (*text++ != '-' || (tm.tm_mon = parse_digits(&text, 2)) < 1 || tm.tm_mon > MONTHS_PER_YEAR)
		return NULL;
	if (*text++ != '-' || (tm.tm_mday = parse_digits(&text, 2)) < 1 ||
		tm.tm_mday > day_tab[isleap(tm.tm_year)][tm.tm_mon - 1])
		return NULL;
	if (*text++ != 'T' || (tm.tm_hour = parse_digits(&text, 2)) < 0 || tm.tm_hour > 23)
		return NULL;
	if (*text++ != ':' || (tm.tm_min = parse_digits(&text, 2)) < 0 || tm.tm_min > 59)
		return NULL;
	if (*text++ != ':' || (tm.tm_sec = parse_digits(&text, 2)) < 0 || tm.tm_sec > 59)
		return NULL;
	if (*text == '.')
	{
		int scale = USECS_PER_SEC / 10;

		text++;
		if (!isdigit((unsigned char) *text))
			return NULL;
		for (; isdigit((unsigned char) *text); text++, scale /= 10)
		{
			if (scale == 0)
				return NULL;
			fsec += (*text - '0') * scale;
		}
	}
	if (*text++ != 'Z')
		return NULL;
	if (!IS_VALID_JULIAN(tm.tm_year, tm.tm_mon, tm.tm_mday) || tm2timestamp(&tm, fsec, NULL, at) != 0 ||
		!IS_VALID_TIMESTAMP(*at))
		return NULL;
	return text;
}

/* A varlena of exactly these bytes. */
Datum
bytes_as_varlena(const StringInfoData *bytes)
{
	struct varlena *result = palloc(VARHDRSZ + bytes->len);

	SET_VARSIZE(result, VARHDRSZ + bytes->len);
	memcpy(VARDATA(result), bytes->data, bytes->len);
	return PointerGetDatum(result);
}

/*
 * The transition state in argument 0, to be changed in place, if it is one that the calling aggregate made: a plain varlena of
 * ours. Else NULL: what comes with a direct call is somebody's value, and nothing has checked it.
 */
void *
own_state(FunctionCallInfo fcinfo)
{
	struct varlena *state = (struct varlena *) PG_GETARG_POINTER(0);

	if (AggCheckCallContext(fcinfo, NULL) && !VARATT_IS_EXTENDED(state) && VARSIZE(state) > VARHDRSZ &&
		*(const uint8 *) VARDATA(state) == (WORKING_BIT | REVACCT_VERSION_BYTE))
		return state;
	return NULL;
}

/* What a transition returns for a row that is ignored: the state in argument 0 as it is, or NULL. */
Datum
unchanged_state(FunctionCallInfo fcinfo)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/* Refuse to make a value beyond PostgreSQL's limit, with a way out. */
void
check_value_size(Size bytes, const char *type_name, const char *hint)
{
	if (unlikely(bytes > MaxAllocSize))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of type %s would exceed 1 GB", type_name),
				 errdetail("It would need %zu bytes.", bytes),
				 errhint("%s", hint)));
}

/* Refuse what could not be written as hexadecimal digits, and so not be dumped. */
void
check_hex_size(Size bytes, const char *type_name, const char *hint)
{
	if (unlikely(HEX_BYTES(bytes) > MaxAllocSize))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of type %s would exceed 1 GB as text", type_name),
				 errdetail("It has %zu bytes, each of which is two characters.", bytes),
				 errhint("%s", hint)));
}

/*
 * A state with room for needed bytes in all: the same one if it has it, else a copy of at least twice the size. The
 * length word is the capacity. nodeAgg copies a new state into the aggregate's memory and frees the old one.
 */
void *
grown_state(void *state, Size needed, const char *type_name, const char *hint)
{
	Size  capacity = VARSIZE(state);
	Size  old_capacity = capacity;
	char *grown;

	if (likely(needed <= capacity))
		return state;
	check_value_size(needed, type_name, hint);
	while (capacity < needed)
		capacity = capacity < 64 ? 64 : capacity * 2;
	if (capacity > MaxAllocSize)
		capacity = MaxAllocSize;
	grown = palloc(capacity);
	memcpy(grown, state, old_capacity);
	memset(grown + old_capacity, 0, capacity - old_capacity);
	SET_VARSIZE(grown, capacity);
	return grown;
}

/* Begin the rows of a set-returning function. */
void
begin_rows(FunctionCallInfo fcinfo, RowBuilder *row)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	row->store = rsinfo->setResult;
	row->descriptor = rsinfo->setDesc;
	row->column = 0;
	row->context = AllocSetContextCreate(CurrentMemoryContext, "revacct row", ALLOCSET_SMALL_SIZES);
}

void
add_text(RowBuilder *row, const char *text)
{
	MemoryContext old_context = MemoryContextSwitchTo(row->context);

	add_column(row, CStringGetTextDatum(text), false);
	MemoryContextSwitchTo(old_context);
}

/* Put the row whose columns have all been added, and begin the next. */
void
end_row(RowBuilder *row)
{
	Assert(row->column == row->descriptor->natts);
	tuplestore_putvalues(row->store, row->descriptor, row->values, row->nulls);
	MemoryContextReset(row->context);
	row->column = 0;
}

/* Microseconds as an interval of hours and less, whatever their number: a day of business has no length. */
Datum
hours_datum(int64 usecs)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->time = usecs;
	return IntervalPGetDatum(interval);
}

/* A number as numeric with that many decimals. */
Datum
rounded_numeric(double value, int scale)
{
	return DirectFunctionCall2(numeric_round,
							   DirectFunctionCall1(float8_numeric, Float8GetDatum(value)),
							   Int32GetDatum(scale));
}

static char *
int128_text(int128 value, char *end)
{
	uint128 rest = value < 0 ? -(uint128) value : (uint128) value;

	*end = '\0';
	do
		*--end = '0' + (int) (rest % 10);
	while ((rest /= 10) != 0);
	if (value < 0)
		*--end = '-';
	return end;
}

static Datum
int128_numeric(int128 value)
{
	char digits[48];

	return DirectFunctionCall3(numeric_in,
							   CStringGetDatum(int128_text(value, digits + sizeof(digits) - 1)),
							   ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/* An exact ratio, rounded to numeric with that many decimals. */
Datum
rounded_ratio(int128 numerator, int128 denominator, int scale)
{
	return DirectFunctionCall2(numeric_round,
							   DirectFunctionCall2(numeric_div,
												   DirectFunctionCall2(numeric_round,
																	   int128_numeric(numerator),
																	   Int32GetDatum(scale + 8)),
												   int128_numeric(denominator)),
							   Int32GetDatum(scale));
}

/* All bytes of a message to a recv function. */
StringInfoData
message_bytes(StringInfo message)
{
	int			   len = message->len - message->cursor;
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, pq_getmsgbytes(message, len), len);
	return bytes;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* The bytes that a text such as \x01ff stands for. */
StringInfoData
hex_as_bytes(const char *text, const char *type_name)
{
	StringInfoData bytes;
	const char	  *p = text;

	initStringInfo(&bytes);
	if (*p++ != '\\' || *p++ != 'x')
		p = "?";
	for (; *p != '\0'; p += 2)
	{
		int high = hex_digit(p[0]);
		int low = high < 0 ? -1 : hex_digit(p[1]);

		if (bytes.len % 65536 == 0)
			CHECK_FOR_INTERRUPTS();
		if (low < 0)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
					 errmsg("invalid input syntax for type %s", type_name),
					 errdetail("A value is written as \\x and an even number of hexadecimal digits.")));
		appendStringInfoChar(&bytes, (char) (high << 4 | low));
	}
	return bytes;
}

/* The text that stands for bytes: one for all settings, which bytea's own has not. */
char *
bytes_as_hex(Datum value, const char *type_name)
{
	bytea *bytes = DatumGetByteaPP(value);
	char  *text;

	check_hex_size(VARSIZE_ANY_EXHDR(bytes), type_name, "COPY takes it in binary form.");
	text = palloc(HEX_BYTES(VARSIZE_ANY_EXHDR(bytes)));
	text[0] = '\\';
	text[1] = 'x';
	text[2 + hex_encode(VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), text + 2)] = '\0';
	return text;
}
