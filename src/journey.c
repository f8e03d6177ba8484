/*
 * journey.c
 *	  The journey: what happened to one subject, as one compact value.
 *
 * The bytes are described in journey.h. While an aggregate builds a journey, its state is a JourneyState: the marks in
 * order of arrival, each as it stands in a body, but with the zigzag distance to the mark that arrived before it (so in
 * microseconds, in any order). It is sorted, united and rewritten once, by the final function.
 */
#include "journey.h"

#include <ctype.h>

#include "common/hashfn.h"
#include "funcapi.h"
#include "lib/qunique.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define TYPE_NAME "journey"
#define SUBJECT_HINT "Group the events by the subject whose history they are."
#define MARK_ESCAPE 31
#define EXTRA_VALUE 0x01
#define EXTRA_SEQ 0x02

/* The longest encoding of one mark: lead, escaped mark, 8 time bytes, extras byte, two varints. */
#define MAX_MARK_BYTES (1 + 2 + 8 + 1 + 2 * MAX_VARINT_BYTES)

typedef struct JourneyState
{
	int32		vl_len_; /* capacity */
	uint8		header;	 /* WORKING_BIT | version */
	uint8		extras;
	uint16		reserved;
	uint32		used; /* bytes of body */
	uint32		count;
	TimestampTz last_at; /* of the mark that arrived last */
	uint8		body[FLEXIBLE_ARRAY_MEMBER];
} JourneyState;

StaticAssertDecl(offsetof(JourneyState, header) == VARHDRSZ, "the header byte is the first payload byte");
StaticAssertDecl(offsetof(JourneyState, body) == 24, "journey state layout");

const int64 time_unit_usecs[TIME_UNITS] = {
	1,
	1000,
	USECS_PER_SEC,
	USECS_PER_MINUTE,
	USECS_PER_HOUR,
	USECS_PER_DAY,
};

PG_FUNCTION_INFO_V1(revacct_journey_in);
PG_FUNCTION_INFO_V1(revacct_journey_out);
PG_FUNCTION_INFO_V1(revacct_journey_recv);
PG_FUNCTION_INFO_V1(revacct_journey_send);
PG_FUNCTION_INFO_V1(revacct_journey_add_mark);
PG_FUNCTION_INFO_V1(revacct_journey_add_journey);
PG_FUNCTION_INFO_V1(revacct_journey_combine);
PG_FUNCTION_INFO_V1(revacct_journey_final);
PG_FUNCTION_INFO_V1(revacct_journey_marks);
PG_FUNCTION_INFO_V1(revacct_journey_mark_count);
PG_FUNCTION_INFO_V1(revacct_journey_first_at);
PG_FUNCTION_INFO_V1(revacct_journey_last_at);
PG_FUNCTION_INFO_V1(revacct_journey_merge);
PG_FUNCTION_INFO_V1(revacct_journey_first_marked_at);
PG_FUNCTION_INFO_V1(revacct_journey_first_value);
PG_FUNCTION_INFO_V1(revacct_journey_last_value);
PG_FUNCTION_INFO_V1(revacct_journey_last_mark);
PG_FUNCTION_INFO_V1(revacct_journey_cmp);
PG_FUNCTION_INFO_V1(revacct_journey_eq);
PG_FUNCTION_INFO_V1(revacct_journey_ne);
PG_FUNCTION_INFO_V1(revacct_journey_lt);
PG_FUNCTION_INFO_V1(revacct_journey_le);
PG_FUNCTION_INFO_V1(revacct_journey_gt);
PG_FUNCTION_INFO_V1(revacct_journey_ge);
PG_FUNCTION_INFO_V1(revacct_journey_hash);
PG_FUNCTION_INFO_V1(revacct_journey_hash_extended);

/*
 * Marks and their order
 */

static inline int
compare_optional(bool has_a, int64 a, bool has_b, int64 b)
{
	if (has_a != has_b)
		return has_a ? 1 : -1;
	return (a > b) - (a < b);
}

/* The total order (at, seq, mark, value), what is absent first. */
int
compare_marks(const void *a, const void *b)
{
	const Mark *x = a;
	const Mark *y = b;
	int			order;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if ((order = compare_optional(x->has_seq, x->seq, y->has_seq, y->seq)) != 0)
		return order;
	if (x->mark != y->mark)
		return x->mark < y->mark ? -1 : 1;
	return compare_optional(x->has_value, x->value, y->has_value, y->value);
}

/* Sort marks and drop repetitions; returns how many are left. */
int
sort_marks(Mark *marks, int count)
{
	bool ascending = true;

	for (int i = 1; i < count && ascending; i++)
		ascending = compare_marks(&marks[i - 1], &marks[i]) < 0;
	if (ascending)
		return count;
	qsort(marks, count, sizeof(Mark), compare_marks);
	return (int) qunique(marks, count, sizeof(Mark), compare_marks);
}

/* The coarsest unit, not above the one given, that divides every time. */
int
coarsest_unit(const Mark *marks, int count, int unit)
{
	for (int i = 0; i < count; i++)
		while (marks[i].at % time_unit_usecs[unit] != 0)
			unit--;
	return unit;
}

bool
any_extras(const Mark *marks, int count)
{
	for (int i = 0; i < count; i++)
		if (marks[i].has_value || marks[i].has_seq)
			return true;
	return false;
}

/*
 * Bodies
 */

/*
 * Put a mark at that distance; returns the bytes it took, at most MAX_MARK_BYTES.
 */
int
put_mark(uint8 *out, const Mark *mark, uint64 distance, bool extras)
{
	int time_bytes = distance == 0 ? 0 : (pg_leftmost_one_pos64(distance) >> 3) + 1;
	int len = 1;

	if (time_bytes > 6)
		time_bytes = 8;
	if (mark->mark < MARK_ESCAPE)
		out[0] = (uint8) mark->mark;
	else
	{
		out[0] = MARK_ESCAPE;
		out[len++] = (uint8) mark->mark;
		out[len++] = (uint8) (mark->mark >> 8);
	}
	out[0] |= (time_bytes == 8 ? 7 : time_bytes) << 5;
	for (int i = 0; i < time_bytes; i++)
		out[len++] = (uint8) (distance >> (8 * i));
	if (extras)
	{
		out[len++] = (mark->has_value ? EXTRA_VALUE : 0) | (mark->has_seq ? EXTRA_SEQ : 0);
		if (mark->has_value)
			len += put_varint(out + len, zigzag(mark->value));
		if (mark->has_seq)
			len += put_varint(out + len, zigzag(mark->seq));
	}
	return len;
}

/* Read a mark's lead, id and distance. */
static pg_attribute_always_inline uint64
read_lead(ByteReader *reader, int32 *mark)
{
	uint8  lead = read_byte(reader);
	int	   len = lead >> 5;
	uint64 distance;

	*mark = lead & 0x1F;
	if (unlikely(*mark == MARK_ESCAPE))
	{
		*mark = read_byte(reader);
		*mark |= read_byte(reader) << 8;
		if (*mark > MAX_MARK_ID)
			broken(reader);
	}
	if (len == 7)
		len = 8;
	if (unlikely(len > reader->end - reader->p))
		broken(reader);
	distance = load_little_endian(reader->p, reader->p, reader->end, len);
	reader->p += len;
	return distance;
}

/* The same for other files. */
uint64
read_mark(ByteReader *reader, int32 *mark)
{
	return read_lead(reader, mark);
}

static inline void
read_extras(ByteReader *reader, Mark *mark)
{
	uint8 extra = read_byte(reader);

	if (unlikely(extra & ~(EXTRA_VALUE | EXTRA_SEQ)))
		broken(reader);
	mark->has_value = (extra & EXTRA_VALUE) != 0;
	mark->has_seq = (extra & EXTRA_SEQ) != 0;
	mark->value = mark->has_value ? unzigzag(read_varint(reader)) : 0;
	mark->seq = mark->has_seq ? unzigzag(read_varint(reader)) : 0;
}

/*
 * The instant that lies distance units after the one before (or after 2000-01-01, zigzag, for the first). From one end
 * of time to the other is more than a signed integer holds, so instants are counted from the beginning.
 */
static inline TimestampTz
instant_after(ByteReader *reader, bool first, TimestampTz before, uint64 distance, int64 unit_usecs)
{
	uint64 span;
	uint64 since_beginning;
	int64  result;

	if (first)
	{
		if (unlikely(pg_mul_s64_overflow(unzigzag(distance), unit_usecs, &result) || !IS_VALID_TIMESTAMP(result)))
			broken(reader);
		return result;
	}
	if (unlikely(pg_mul_u64_overflow(distance, (uint64) unit_usecs, &span) ||
				 pg_add_u64_overflow((uint64) before - (uint64) MIN_TIMESTAMP, span, &since_beginning) ||
				 since_beginning >= (uint64) END_TIMESTAMP - (uint64) MIN_TIMESTAMP))
		broken(reader);
	return before + (int64) span;
}

/* Append the body of sorted marks. */
void
append_body(StringInfo out, const Mark *marks, int count, int unit, bool extras)
{
	int64 unit_usecs = time_unit_usecs[unit];

	for (int i = 0; i < count; i++)
	{
		uint64 distance = i == 0 ? zigzag(marks[0].at / unit_usecs)
								 : ((uint64) marks[i].at - (uint64) marks[i - 1].at) / (uint64) unit_usecs;

		enlargeStringInfo(out, MAX_MARK_BYTES);
		out->len += put_mark((uint8 *) out->data + out->len, &marks[i], distance, extras);
	}
	out->data[out->len] = '\0';
}

/* Read a body of count marks. */
void
read_body(ByteReader *reader, Mark *marks, int count, int unit, bool extras)
{
	TimestampTz at = 0;

	for (int i = 0; i < count; i++)
	{
		Mark  *mark = &marks[i];
		uint64 distance = read_lead(reader, &mark->mark);

		at = instant_after(reader, i == 0, at, distance, time_unit_usecs[unit]);
		mark->at = at;
		mark->value = mark->seq = 0;
		mark->has_value = mark->has_seq = false;
		if (extras)
			read_extras(reader, mark);
	}
}

/* How many marks a body holds that runs to the end of the bytes. */
int
count_body(ByteReader reader, bool extras)
{
	int	 count = 0;
	Mark mark;

	while (reader.p < reader.end)
	{
		read_lead(&reader, &mark.mark);
		if (extras)
			read_extras(&reader, &mark);
		if (++count > MAX_MARKS_PER_JOURNEY)
			broken(&reader);
	}
	return count;
}

/*
 * Values
 */

/* A stored journey of sorted marks. */
Datum
marks_as_journey(const Mark *marks, int count)
{
	StringInfoData bytes;
	Datum		   result;
	bool		   extras = any_extras(marks, count);
	int			   unit = coarsest_unit(marks, count, TIME_UNITS - 1);

	initStringInfo(&bytes);
	appendStringInfoChar(&bytes, JOURNEY_HEADER(unit, extras));
	append_body(&bytes, marks, count, unit, extras);
	result = bytes_as_varlena(&bytes);
	pfree(bytes.data);
	return result;
}

/* The header byte of a journey that is no working state; refuses other formats. */
static uint8
read_header(ByteReader *reader)
{
	uint8 header = read_byte(reader);

	if (JOURNEY_VERSION(header) != REVACCT_VERSION_BYTE)
		report_newer_version(TYPE_NAME, JOURNEY_VERSION(header));
	if ((header & WORKING_BIT) || JOURNEY_UNIT(header) >= TIME_UNITS || reader->p == reader->end)
		broken(reader);
	return header;
}

/* Refuse what is readable but not exactly what would be written: there is one form for each journey. */
static void
check_canonical(ByteReader reader)
{
	ByteReader		body = reader;
	uint8			header = read_header(&body);
	int				count = count_body(body, (header & JOURNEY_EXTRAS) != 0);
	Mark		   *marks = palloc(sizeof(Mark) * count);
	struct varlena *again;

	read_body(&body, marks, count, JOURNEY_UNIT(header), (header & JOURNEY_EXTRAS) != 0);
	if (sort_marks(marks, count) != count)
		broken(&reader);
	again = (struct varlena *) DatumGetPointer(marks_as_journey(marks, count));
	if (VARSIZE(again) - VARHDRSZ != (Size) (reader.end - reader.p) ||
		memcmp(VARDATA(again), reader.p, reader.end - reader.p) != 0)
		broken(&reader);
}

/* The marks of a working state, sorted and united, as a palloc'd array. */
static Mark *
state_marks(const JourneyState *state, int *count)
{
	Mark	   *marks;
	ByteReader	reader = {state->body, state->body + state->used, TYPE_NAME, BYTES_STORED};
	TimestampTz at = 0;

	if (state->used > VARSIZE(state) - offsetof(JourneyState, body) || state->count > state->used)
		broken(&reader);
	marks = palloc(sizeof(Mark) * Max(state->count, 1));
	for (uint32 i = 0; i < state->count; i++)
	{
		uint64 distance = read_lead(&reader, &marks[i].mark);

		at = (int64) ((uint64) at + (uint64) unzigzag(distance));
		if (!IS_VALID_TIMESTAMP(at))
			broken(&reader);
		marks[i].at = at;
		marks[i].value = marks[i].seq = 0;
		marks[i].has_value = marks[i].has_seq = false;
		if (state->extras)
			read_extras(&reader, &marks[i]);
	}
	*count = sort_marks(marks, state->count);
	if (unlikely(*count > MAX_MARKS_PER_JOURNEY))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a journey holds at most %d marks", MAX_MARKS_PER_JOURNEY),
				 errhint(SUBJECT_HINT)));
	return marks;
}

/* The working state behind a datum, aligned and complete, or an error. */
static const JourneyState *
working_state(Datum datum, ByteReader *reader)
{
	const JourneyState *state = (const JourneyState *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(state) < offsetof(JourneyState, body) || state->count == 0)
		broken(reader);
	return state;
}

/* The marks of any journey, sorted, as a palloc'd array. */
Mark *
journey_as_marks(Datum journey, int *count)
{
	ByteReader reader;
	uint8	   header;
	bool	   extras;
	Mark	  *marks;

	reader_over_datum(&reader, journey, TYPE_NAME);
	if (is_working(&reader))
		return state_marks(working_state(journey, &reader), count);
	header = read_header(&reader);
	extras = (header & JOURNEY_EXTRAS) != 0;
	*count = count_body(reader, extras);
	marks = palloc(sizeof(Mark) * Max(*count, 1));
	read_body(&reader, marks, *count, JOURNEY_UNIT(header), extras);
	return marks;
}

static void
grow_history(History *history, int needed)
{
	int capacity = Max(64, history->capacity);

	while (capacity < needed)
		capacity *= 2;
	if (history->capacity > 0)
	{
		history->at = repalloc(history->at, sizeof(TimestampTz) * capacity);
		history->mark = repalloc(history->mark, sizeof(uint16) * capacity);
		history->seq_differs = repalloc(history->seq_differs, sizeof(bool) * capacity);
		history->value = repalloc(history->value, sizeof(int64) * capacity);
		history->has_value = repalloc(history->has_value, sizeof(bool) * capacity);
	}
	else
	{
		history->at = MemoryContextAlloc(history->context, sizeof(TimestampTz) * capacity);
		history->mark = MemoryContextAlloc(history->context, sizeof(uint16) * capacity);
		history->seq_differs = MemoryContextAlloc(history->context, sizeof(bool) * capacity);
		history->value = MemoryContextAlloc(history->context, sizeof(int64) * capacity);
		history->has_value = MemoryContextAlloc(history->context, sizeof(bool) * capacity);
	}
	history->capacity = capacity;
}

/* Make room for that many marks. */
void
reserve_history(History *history, int count)
{
	if (count > history->capacity)
		grow_history(history, count);
}

/* The extras of one mark of a history; its seq is compared with the one before. */
static inline void
read_history_extras(History *history, ByteReader *reader, int i, Mark *before)
{
	Mark mark;

	read_extras(reader, &mark);
	history->seq_differs[i] = i > 0 && (mark.has_seq != before->has_seq || mark.seq != before->seq);
	history->has_seq |= mark.has_seq;
	history->value[i] = mark.value;
	history->has_value[i] = mark.has_value;
	*before = mark;
}

/*
 * Read a body of count marks (or, if count is negative, all up to the end) into the history.
 */
void
read_history_body(History *history, ByteReader *reader, int count, int unit, bool extras)
{
	int64		unit_usecs = time_unit_usecs[unit];
	TimestampTz at = 0;
	Mark		before = {0};
	int			i = 0;

	history->has_seq = false;
	history->has_values = extras;
	for (; count < 0 ? reader->p < reader->end : i < count; i++)
	{
		int32  mark;
		uint64 distance = read_lead(reader, &mark);

		if (unlikely(i >= history->capacity))
		{
			if (i >= MAX_MARKS_PER_JOURNEY)
				broken(reader);
			grow_history(history, i + 1);
		}
		at = instant_after(reader, i == 0, at, distance, unit_usecs);
		history->at[i] = at;
		history->mark[i] = (uint16) mark;
		if (extras)
			read_history_extras(history, reader, i, &before);
	}
	history->count = i;
}

/* Refuse a history too long for its durations: marks up to as_of reach back more than 292,000 years. */
void
check_history_span(const History *history, TimestampTz as_of)
{
	int64 span;

	if (unlikely(history->count > 0 && as_of > history->at[0] && pg_sub_s64_overflow(as_of, history->at[0], &span)))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the time from the first mark to as_of is out of range")));
}

/* Read any journey into the history. */
void
read_history(History *history, Datum journey)
{
	ByteReader reader;
	uint8	   header;

	reader_over_datum(&reader, journey, TYPE_NAME);
	if (unlikely(is_working(&reader)))
	{
		int	  count;
		Mark *marks = state_marks(working_state(journey, &reader), &count);

		grow_history(history, Max(count, 1));
		history->count = count;
		history->has_seq = false;
		history->has_values = true;
		for (int i = 0; i < count; i++)
		{
			history->at[i] = marks[i].at;
			history->mark[i] = (uint16) marks[i].mark;
			history->seq_differs[i] =
				i > 0 && (marks[i].has_seq != marks[i - 1].has_seq || marks[i].seq != marks[i - 1].seq);
			history->has_seq |= marks[i].has_seq;
			history->value[i] = marks[i].value;
			history->has_value[i] = marks[i].has_value;
		}
		return;
	}
	header = read_header(&reader);
	read_history_body(history, &reader, -1, JOURNEY_UNIT(header), (header & JOURNEY_EXTRAS) != 0);
}

/*
 * The aggregate
 */

static JourneyState *
new_state(void)
{
	Size		  capacity = 64;
	JourneyState *state = palloc0(capacity);

	SET_VARSIZE(state, capacity);
	state->header = WORKING_BIT | REVACCT_VERSION_BYTE;
	return state;
}

static JourneyState *add_marks(JourneyState *state, const Mark *marks, int count);

/* Rewrite a state with its repetitions gone and, if asked, room for extras. */
static JourneyState *
rewritten_state(const JourneyState *state, bool extras)
{
	int			  count;
	Mark		 *marks = state_marks(state, &count);
	JourneyState *result = new_state();

	result->extras = extras;
	result = add_marks(result, marks, count);
	pfree(marks);
	return result;
}

static JourneyState *
add_mark(JourneyState *state, const Mark *mark)
{
	if (unlikely((mark->has_value || mark->has_seq) && !state->extras))
		state = rewritten_state(state, true);
	/* Twice as many may wait, for they may be repetitions. */
	if (unlikely(state->count >= 2 * MAX_MARKS_PER_JOURNEY))
		state = rewritten_state(state, state->extras != 0);
	state = grown_state(state, offsetof(JourneyState, body) + state->used + MAX_MARK_BYTES, TYPE_NAME, SUBJECT_HINT);
	state->used += put_mark(state->body + state->used,
							mark,
							zigzag((int64) ((uint64) mark->at - (uint64) state->last_at)),
							state->extras != 0);
	state->last_at = mark->at;
	state->count++;
	return state;
}

static JourneyState *
add_marks(JourneyState *state, const Mark *marks, int count)
{
	for (int i = 0; i < count; i++)
		state = add_mark(state, &marks[i]);
	return state;
}

/*
 * The state in argument 0, ready to be changed: a new one if there is none, a rewritten one if it is a value, finished or not,
 * that comes from elsewhere than this aggregate.
 */
static JourneyState *
state_argument(FunctionCallInfo fcinfo)
{
	JourneyState *state;
	Mark		 *marks;
	int			  count;

	if (PG_ARGISNULL(0))
		return new_state();
	if (likely(has_state_in_place(fcinfo)))
		return (JourneyState *) PG_GETARG_POINTER(0);
	if ((state = own_state(fcinfo)) != NULL)
		return state;
	marks = journey_as_marks(PG_GETARG_DATUM(0), &count);
	return add_marks(new_state(), marks, count);
}

/* A mark id from a user, or an error. */
int32
checked_mark(int32 mark)
{
	if (unlikely(mark < 0 || mark > MAX_MARK_ID))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mark %d is out of range", mark),
				 errdetail("Marks are whole numbers from 0 to %d.", MAX_MARK_ID)));
	return mark;
}

/*
 * Transition of journey(mark, at [, value [, seq]]). A row without mark or time is ignored.
 */
Datum
revacct_journey_add_mark(PG_FUNCTION_ARGS)
{
	JourneyState *state;
	Mark		  mark = {0};

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return unchanged_state(fcinfo);
	mark.mark = checked_mark(PG_GETARG_INT32(1));
	mark.at = PG_GETARG_TIMESTAMPTZ(2);
	check_finite_instant(mark.at, "the time of a mark");
	if (PG_NARGS() > 3 && !PG_ARGISNULL(3))
	{
		mark.has_value = true;
		mark.value = PG_GETARG_INT64(3);
	}
	if (PG_NARGS() > 4 && !PG_ARGISNULL(4))
	{
		mark.has_seq = true;
		mark.seq = PG_GETARG_INT64(4);
	}
	state = state_argument(fcinfo);
	PG_RETURN_POINTER(add_mark(state, &mark));
}

/* A journey in argument 1, added to the state in argument 0; either may be NULL. */
static Datum
add_journey(FunctionCallInfo fcinfo)
{
	JourneyState *state;
	Mark		 *marks;
	int			  count;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	state = state_argument(fcinfo);
	marks = journey_as_marks(PG_GETARG_DATUM(1), &count);
	state = add_marks(state, marks, count);
	pfree(marks);
	PG_RETURN_POINTER(state);
}

/* Transition of rollup(journey): set union. */
Datum
revacct_journey_add_journey(PG_FUNCTION_ARGS)
{
	return add_journey(fcinfo);
}

/* Combine function of both aggregates. */
Datum
revacct_journey_combine(PG_FUNCTION_ARGS)
{
	return add_journey(fcinfo);
}

/* Final function of both aggregates: the stored form. Leaves the state as it was. */
Datum
revacct_journey_final(PG_FUNCTION_ARGS)
{
	int	  count;
	Mark *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	if (count == 0)
		PG_RETURN_NULL();
	return marks_as_journey(marks, count);
}

/*
 * Text and binary form
 */

static void
append_mark(StringInfo out, const Mark *mark)
{
	appendStringInfo(out, "%d@", mark->mark);
	append_instant(out, mark->at);
	if (mark->has_value)
		appendStringInfo(out, "=" INT64_FORMAT, mark->value);
	if (mark->has_seq)
		appendStringInfo(out, "#" INT64_FORMAT, mark->seq);
}

/* {mark@time[=value][#seq], ...}, in UTC. */
Datum
revacct_journey_out(PG_FUNCTION_ARGS)
{
	int			   count;
	Mark		  *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoString(&out, ", ");
		append_mark(&out, &marks[i]);
	}
	appendStringInfoChar(&out, '}');
	PG_RETURN_CSTRING(out.data);
}

static const char *
skip_space(const char *text)
{
	while (isspace((unsigned char) *text))
		text++;
	return text;
}

/* A whole number; NULL if there is none, or it does not fit. */
static const char *
parse_integer(const char *text, int64 *value)
{
	char *end;

	if (!isdigit((unsigned char) *text) && !(*text == '-' && isdigit((unsigned char) text[1])))
		return NULL;
	errno = 0;
	*value = strtoi64(text, &end, 10);
	return errno == 0 ? end : NULL;
}

static const char *
parse_mark(const char *text, Mark *mark)
{
	int64 id;

	memset(mark, 0, sizeof(Mark));
	if ((text = parse_integer(text, &id)) == NULL || id < 0 || id > MAX_MARK_ID || *text++ != '@' ||
		(text = parse_instant(text, &mark->at)) == NULL)
		return NULL;
	mark->mark = (int32) id;
	if (*text == '=')
	{
		mark->has_value = true;
		text = parse_integer(text + 1, &mark->value);
	}
	if (text != NULL && *text == '#')
	{
		mark->has_seq = true;
		text = parse_integer(text + 1, &mark->seq);
	}
	return text;
}

static void
reject_text(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type journey: \"%s\"", text),
			 errhint("Write {mark@time[=value][#seq], ...} with times in UTC, such as {1@2025-01-31T09:00:00Z}.")));
}

/* Marks may come in any order and more than once; there must be one. */
Datum
revacct_journey_in(PG_FUNCTION_ARGS)
{
	const char *text = PG_GETARG_CSTRING(0);
	const char *p = skip_space(text);
	int			capacity = 16;
	int			count = 0;
	Mark	   *marks = palloc(sizeof(Mark) * capacity);

	if (*p++ != '{')
		reject_text(text);
	do
	{
		CHECK_FOR_INTERRUPTS();
		if (count >= MAX_MARKS_PER_JOURNEY)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a journey holds at most %d marks", MAX_MARKS_PER_JOURNEY)));
		if (count == capacity)
			marks = repalloc(marks, sizeof(Mark) * (capacity *= 2));
		p = parse_mark(skip_space(p), &marks[count++]);
		if (p == NULL)
			reject_text(text);
		p = skip_space(p);
	} while (*p++ == ',');
	if (p[-1] != '}' || *skip_space(p) != '\0')
		reject_text(text);
	return marks_as_journey(marks, sort_marks(marks, count));
}

/* The stored bytes. */
Datum
revacct_journey_send(PG_FUNCTION_ARGS)
{
	int	  count;
	Mark *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	return marks_as_journey(marks, count);
}

Datum
revacct_journey_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));
	ByteReader	   reader = {(uint8 *) bytes.data, (uint8 *) bytes.data + bytes.len, TYPE_NAME, BYTES_RECEIVED};

	check_canonical(reader);
	return bytes_as_varlena(&bytes);
}

/*
 * Accessors
 */

/* The marks as rows, in stored order. */
Datum
revacct_journey_marks(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int			   count;
	Mark		  *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < count; i++)
	{
		Datum values[4] = {TimestampTzGetDatum(marks[i].at),
						   Int32GetDatum(marks[i].mark),
						   Int64GetDatum(marks[i].value),
						   Int64GetDatum(marks[i].seq)};
		bool  nulls[4] = {false, false, !marks[i].has_value, !marks[i].has_seq};

		CHECK_FOR_INTERRUPTS();
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

Datum
revacct_journey_mark_count(PG_FUNCTION_ARGS)
{
	int count;

	journey_as_marks(PG_GETARG_DATUM(0), &count);
	PG_RETURN_INT32(count);
}

Datum
revacct_journey_first_at(PG_FUNCTION_ARGS)
{
	int	  count;
	Mark *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	PG_RETURN_TIMESTAMPTZ(marks[0].at);
}

Datum
revacct_journey_last_at(PG_FUNCTION_ARGS)
{
	int	  count;
	Mark *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	PG_RETURN_TIMESTAMPTZ(marks[count - 1].at);
}

/* merge(journey, journey): all marks of both, identical ones once. */
Datum
revacct_journey_merge(PG_FUNCTION_ARGS)
{
	int	  count;
	int	  added;
	Mark *marks = journey_as_marks(PG_GETARG_DATUM(0), &count);
	Mark *more = journey_as_marks(PG_GETARG_DATUM(1), &added);

	marks = repalloc_huge(marks, (Size) (count + added) * sizeof(Mark));
	memcpy(marks + count, more, added * sizeof(Mark));
	return marks_as_journey(marks, sort_marks(marks, count + added));
}

/*
 * The first or the last mark of a journey that is one of an array; NULL if there is none. What is first and last is
 * decided by the total order, tied marks and all, so that it is the same everywhere.
 */
static const Mark *
find_mark(FunctionCallInfo fcinfo, bool last)
{
	ArrayType	*array = PG_GETARG_ARRAYTYPE_P(1);
	int			 wanted_count = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	const int32 *wanted = (const int32 *) ARR_DATA_PTR(array);
	int			 count;
	const Mark	*marks = journey_as_marks(PG_GETARG_DATUM(0), &count);

	if (array_contains_nulls(array))
		ereport(ERROR, errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("marks must not be null"));
	for (int i = 0; i < count; i++)
	{
		const Mark *mark = &marks[last ? count - 1 - i : i];

		CHECK_FOR_INTERRUPTS();
		for (int m = 0; m < wanted_count; m++)
			if (mark->mark == wanted[m])
				return mark;
	}
	return NULL;
}

/* The time of the first mark that is one of an array. */
Datum
revacct_journey_first_marked_at(PG_FUNCTION_ARGS)
{
	const Mark *mark = find_mark(fcinfo, false);

	if (mark == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(mark->at);
}

/* The value of the first mark that is one of an array. */
Datum
revacct_journey_first_value(PG_FUNCTION_ARGS)
{
	const Mark *mark = find_mark(fcinfo, false);

	if (mark == NULL || !mark->has_value)
		PG_RETURN_NULL();
	PG_RETURN_INT64(mark->value);
}

/* The value of the last mark that is one of an array. */
Datum
revacct_journey_last_value(PG_FUNCTION_ARGS)
{
	const Mark *mark = find_mark(fcinfo, true);

	if (mark == NULL || !mark->has_value)
		PG_RETURN_NULL();
	PG_RETURN_INT64(mark->value);
}

/* The last mark that is one of an array. */
Datum
revacct_journey_last_mark(PG_FUNCTION_ARGS)
{
	const Mark *mark = find_mark(fcinfo, true);

	if (mark == NULL)
		PG_RETURN_NULL();
	PG_RETURN_INT32(mark->mark);
}

/*
 * Comparison: one form for each journey, so bytes decide. The order is total, and means nothing more.
 */

/* The stored bytes of any journey. */
static void
stored_journey(ByteReader *reader, Datum journey)
{
	reader_over_datum(reader, journey, TYPE_NAME);
	if (unlikely(is_working(reader)))
		reader_over_datum(reader, DirectFunctionCall1(revacct_journey_final, journey), TYPE_NAME);
}

static int
compare_journeys(FunctionCallInfo fcinfo)
{
	ByteReader a;
	ByteReader b;
	Size	   len_a;
	Size	   len_b;
	int		   order;

	stored_journey(&a, PG_GETARG_DATUM(0));
	stored_journey(&b, PG_GETARG_DATUM(1));
	len_a = a.end - a.p;
	len_b = b.end - b.p;
	order = memcmp(a.p, b.p, Min(len_a, len_b));
	order = order != 0 ? order : (len_a > len_b) - (len_a < len_b);
	return order;
}

Datum
revacct_journey_cmp(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT32(compare_journeys(fcinfo));
}

Datum
revacct_journey_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) == 0);
}

Datum
revacct_journey_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) != 0);
}

Datum
revacct_journey_lt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) < 0);
}

Datum
revacct_journey_le(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) <= 0);
}

Datum
revacct_journey_gt(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) > 0);
}

Datum
revacct_journey_ge(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(compare_journeys(fcinfo) >= 0);
}

Datum
revacct_journey_hash(PG_FUNCTION_ARGS)
{
	ByteReader reader;

	stored_journey(&reader, PG_GETARG_DATUM(0));
	return hash_any(reader.p, reader.end - reader.p);
}

Datum
revacct_journey_hash_extended(PG_FUNCTION_ARGS)
{
	ByteReader reader;

	stored_journey(&reader, PG_GETARG_DATUM(0));
	return hash_any_extended(reader.p, reader.end - reader.p, PG_GETARG_INT64(1));
}
