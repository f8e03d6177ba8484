/*
 * pack.c
 *	  The journey_pack: many journeys in one value, each with its subject.
 *
 * One row a subject costs PostgreSQL more than the work on it; a pack does away with the rows.
 *
 * Stored form, with the header byte and the bodies of journey.h (one unit and one extras flag for all):
 *
 *	header byte
 *	subjects, of them numbers, marks		varints
 *	for each subject, numbers ascending, then other texts ascending by bytes:
 *		key				number: the first as a zigzag varint, then the distance to the one before as a varint
 *						text: varint count of bytes shared with the text before, varint count and bytes of the rest
 *		marks			varint count
 *		body
 *
 * A subject is a text; one that is the plain decimal form of a 64-bit integer is kept as a number.
 *
 * While an aggregate builds a pack, its state is a PackState: segments of records in order of arrival. Inside a segment
 * numbers and times are distances to the record before, so that a combine function can append segments as they are.
 */
#include "pack.h"

#include "funcapi.h"
#include "libpq/pqformat.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#define TYPE_NAME "journey_pack"
#define SIZE_HINT "Make several packs, such as one for each segment and period."
#define MAX_EVENT_BYTES (MAX_VARINT_BYTES + 11)
#define EVENTS_AT_A_TIME 65536 /* without looking for interrupts */

/* What the records of a state are. */
typedef enum PackKind
{
	PACK_OF_EVENTS,	 /* (number, mark, at): a zigzag varint and a mark as in a journey's state */
	PACK_OF_JOURNEYS /* key, varint length, stored journey */
} PackKind;

typedef struct PackState
{
	int32		vl_len_; /* capacity */
	uint8		header;	 /* WORKING_BIT | version */
	uint8		kind;
	uint16		reserved;
	uint32		used;	 /* bytes of data */
	uint32		segment; /* offset of the open segment, if there is one */
	uint64		count;	 /* records in all */
	int64		last_number;
	TimestampTz last_at;
	bool		open;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} PackState;

StaticAssertDecl(offsetof(PackState, header) == VARHDRSZ, "the header byte is the first payload byte");

/* Stands before the records of a segment, unaligned. */
typedef struct SegmentHeader
{
	uint32 bytes;
	uint32 records;
} SegmentHeader;

typedef struct SubjectKey
{
	bool		is_number;
	int64		number;
	const char *text;
	int			length;
} SubjectKey;

typedef struct PackedJourney
{
	SubjectKey	key;
	const char *journey; /* stored form, without length word */
	uint32		length;
} PackedJourney;

typedef struct Event
{
	int64		subject;
	TimestampTz at;
	int32		mark;
} Event;

/* A pack being written. */
typedef struct PackWriter
{
	StringInfoData body;
	uint64		   subjects;
	uint64		   numbers;
	uint64		   marks;
	int			   unit;
	bool		   extras;
	SubjectKey	   last;
} PackWriter;

PG_FUNCTION_INFO_V1(revacct_pack_add_journey_of_number);
PG_FUNCTION_INFO_V1(revacct_pack_add_journey_of_text);
PG_FUNCTION_INFO_V1(revacct_pack_add_event);
PG_FUNCTION_INFO_V1(revacct_pack_add_pack);
PG_FUNCTION_INFO_V1(revacct_pack_combine);
PG_FUNCTION_INFO_V1(revacct_pack_final);
PG_FUNCTION_INFO_V1(revacct_pack_in);
PG_FUNCTION_INFO_V1(revacct_pack_out);
PG_FUNCTION_INFO_V1(revacct_pack_recv);
PG_FUNCTION_INFO_V1(revacct_pack_send);
PG_FUNCTION_INFO_V1(revacct_pack_unpack);
PG_FUNCTION_INFO_V1(revacct_pack_subject_count);
PG_FUNCTION_INFO_V1(revacct_pack_mark_count);

/*
 * Keys
 */

static int
compare_keys(const SubjectKey *a, const SubjectKey *b)
{
	int order;

	if (a->is_number != b->is_number)
		return a->is_number ? -1 : 1;
	if (a->is_number)
		return (a->number > b->number) - (a->number < b->number);
	order = memcmp(a->text, b->text, Min(a->length, b->length));
	return order != 0 ? order : (a->length > b->length) - (a->length < b->length);
}

static SubjectKey
number_key(int64 number)
{
	SubjectKey key = {true, number, NULL, 0};

	return key;
}

/* A text as a key: a number if it is exactly what that number is written as. */
static SubjectKey
text_key(const char *text, int length)
{
	SubjectKey key = {false, 0, text, length};
	char	   digits[MAXINT8LEN + 1];
	char	   again[MAXINT8LEN + 1];
	char	  *end;

	if (length == 0 || length > MAXINT8LEN || (text[0] != '-' && (text[0] < '0' || text[0] > '9')))
		return key;
	memcpy(digits, text, length);
	digits[length] = '\0';
	errno = 0;
	key.number = strtoi64(digits, &end, 10);
	if (errno == 0 && *end == '\0' && pg_lltoa(key.number, again) == length && memcmp(again, text, length) == 0)
		return number_key(key.number);
	key.number = 0;
	return key;
}

/*
 * Writing
 */

static void
begin_pack(PackWriter *writer, int unit, bool extras)
{
	memset(writer, 0, sizeof(PackWriter));
	initStringInfo(&writer->body);
	writer->unit = unit;
	writer->extras = extras;
}

static void
append_key(PackWriter *writer, const SubjectKey *key)
{
	StringInfo out = &writer->body;

	if (key->is_number)
		append_varint(out,
					  writer->subjects == 0 ? zigzag(key->number)
											: (uint64) key->number - (uint64) writer->last.number);
	else
	{
		int shared = 0;
		int limit = writer->subjects > writer->numbers ? Min(key->length, writer->last.length) : 0;

		while (shared < limit && key->text[shared] == writer->last.text[shared])
			shared++;
		append_varint(out, shared);
		append_varint(out, key->length - shared);
		appendBinaryStringInfo(out, key->text + shared, key->length - shared);
	}
}

static void
check_mark_count(Size count)
{
	if (count > MAX_MARKS_PER_JOURNEY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a journey holds at most %d marks", MAX_MARKS_PER_JOURNEY)));
}

/* Add a subject that comes after all before; its marks are sorted. The key's text must live until the next is added. */
static void
add_subject(PackWriter *writer, const SubjectKey *key, const Mark *marks, int count)
{
	check_mark_count(count);
	check_value_size((Size) writer->body.len + key->length + (Size) count * (writer->extras ? 32 : 11) + 64,
					 TYPE_NAME,
					 SIZE_HINT);
	append_key(writer, key);
	append_varint(&writer->body, count);
	append_body(&writer->body, marks, count, writer->unit, writer->extras);
	writer->subjects++;
	writer->numbers += key->is_number;
	writer->marks += count;
	writer->last = *key;
}

static Datum
end_pack(PackWriter *writer)
{
	StringInfoData	head;
	struct varlena *result;

	initStringInfo(&head);
	appendStringInfoChar(&head, JOURNEY_HEADER(writer->unit, writer->extras));
	append_varint(&head, writer->subjects);
	append_varint(&head, writer->numbers);
	append_varint(&head, writer->marks);
	check_hex_size((Size) head.len + writer->body.len, TYPE_NAME, SIZE_HINT);
	result = palloc(VARHDRSZ + head.len + writer->body.len);
	SET_VARSIZE(result, VARHDRSZ + head.len + writer->body.len);
	memcpy(VARDATA(result), head.data, head.len);
	memcpy(VARDATA(result) + head.len, writer->body.data, writer->body.len);
	return PointerGetDatum(result);
}

/*
 * Reading
 */

static void
open_pack_bytes(PackReader *pack, ByteReader reader)
{
	uint8 header;

	pack->reader = reader;
	header = read_byte(&pack->reader);
	if (JOURNEY_VERSION(header) != REVACCT_VERSION_BYTE)
		report_newer_version(TYPE_NAME, JOURNEY_VERSION(header));
	if ((header & WORKING_BIT) || JOURNEY_UNIT(header) >= TIME_UNITS)
		broken(&pack->reader);
	pack->unit = JOURNEY_UNIT(header);
	pack->extras = (header & JOURNEY_EXTRAS) != 0;
	pack->remaining = read_bounded(&pack->reader, reader.end - reader.p);
	pack->numbers = read_bounded(&pack->reader, pack->remaining);
	pack->mark_count = read_bounded(&pack->reader, reader.end - reader.p);
	pack->first = true;
	pack->number = 0;
	pack->text.data = NULL;
}

/* Begin to read a pack, which may still be a working state. */
void
open_pack(PackReader *pack, Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, TYPE_NAME);
	if (unlikely(is_working(&reader)))
		reader_over_datum(&reader, DirectFunctionCall1(revacct_pack_final, datum), TYPE_NAME);
	open_pack_bytes(pack, reader);
}

/* Read a key that is no number. */
void
read_text_key(PackReader *pack)
{
	uint64 shared;
	uint64 rest;

	if (pack->text.data == NULL)
		initStringInfo(&pack->text);
	shared = read_bounded(&pack->reader, pack->text.len);
	rest = read_bounded(&pack->reader, pack->reader.end - pack->reader.p);
	pack->text.len = (int) shared;
	pack->text.data[shared] = '\0';
	appendBinaryStringInfo(&pack->text, (const char *) read_bytes(&pack->reader, rest), (int) rest);
}

/* Read the next subject's history; false at the end. */
bool
next_history(PackReader *pack, History *history)
{
	int count;

	if (!next_subject(pack, &count))
		return false;
	read_history_body(history, &pack->reader, count, pack->unit, pack->extras);
	return true;
}

/* The next subject's marks, in an array that grows. */
static bool
next_marks(PackReader *pack, Mark **marks, int *capacity, int *count)
{
	if (!next_subject(pack, count))
		return false;
	if (*count > *capacity)
	{
		if ((Size) *count > (Size) (pack->reader.end - pack->reader.p))
			broken(&pack->reader);
		*capacity = Max(*count, *capacity * 2);
		*marks = *marks == NULL ? palloc(sizeof(Mark) * *capacity) : repalloc(*marks, sizeof(Mark) * *capacity);
	}
	read_body(&pack->reader, *marks, *count, pack->unit, pack->extras);
	return true;
}

static SubjectKey
current_key(const PackReader *pack)
{
	SubjectKey key = {false, 0, pack->text.data, pack->text.len};

	return pack->is_number ? number_key(pack->number) : key;
}

/*
 * The state
 */

static PackState *
new_state(PackKind kind)
{
	Size	   capacity = 1024;
	PackState *state = palloc0(capacity);

	SET_VARSIZE(state, capacity);
	state->header = WORKING_BIT | REVACCT_VERSION_BYTE;
	state->kind = kind;
	return state;
}

static PackState *
room_for(PackState *state, Size bytes)
{
	Size needed = offsetof(PackState, data) + state->used + bytes;

	if (unlikely(needed > VARSIZE(state)))
		state = grown_state(state, needed, TYPE_NAME, SIZE_HINT);
	return state;
}

/* A state with an open segment and room for a record of that many bytes. */
static inline PackState *
begin_record(PackState *state, Size bytes)
{
	state = room_for(state, sizeof(SegmentHeader) + bytes);
	if (unlikely(!state->open))
	{
		state->open = true;
		state->segment = state->used;
		memset(state->data + state->used, 0, sizeof(SegmentHeader));
		state->used += sizeof(SegmentHeader);
		state->last_number = 0;
		state->last_at = 0;
	}
	return state;
}

static inline void
end_record(PackState *state, uint32 bytes)
{
	SegmentHeader segment;

	memcpy(&segment, state->data + state->segment, sizeof(segment));
	segment.bytes += bytes;
	segment.records++;
	memcpy(state->data + state->segment, &segment, sizeof(segment));
	state->used += bytes;
	state->count++;
}

static PackState *state_of_pack(Datum pack);

/* A working state behind a datum, which may come from anywhere; its segments are looked at when they are read. */
static PackState *
working_state(Datum datum, const ByteReader *reader)
{
	PackState *state = (PackState *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(state) < offsetof(PackState, data) || state->used > VARSIZE(state) - offsetof(PackState, data) ||
		state->count > state->used || state->count == 0 || state->kind > PACK_OF_JOURNEYS)
		broken(reader);
	return state;
}

/* The state in argument 0, a new one, or one made of a value that comes from elsewhere than this aggregate. */
static PackState *
state_argument(FunctionCallInfo fcinfo, PackKind kind)
{
	PackState *state;

	if (PG_ARGISNULL(0))
		return new_state(kind);
	state = likely(has_state_in_place(fcinfo)) ? (PackState *) PG_GETARG_POINTER(0) : own_state(fcinfo);
	if (unlikely(state == NULL || (state->kind == PACK_OF_EVENTS && kind == PACK_OF_JOURNEYS)))
		return state_of_pack(PG_GETARG_DATUM(0));
	return state;
}

static PackState *add_record(PackState *state, const SubjectKey *key, const char *journey, Size length);

/*
 * Transition of journey_pack(subject, mark, at). A row with a NULL is ignored.
 */
Datum
revacct_pack_add_event(PG_FUNCTION_ARGS)
{
	PackState *state;
	Mark	   mark = {0};
	int64	   subject;
	uint8	  *out;
	int		   len;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2) || PG_ARGISNULL(3))
		return unchanged_state(fcinfo);
	subject = PG_GETARG_INT64(1);
	mark.mark = checked_mark(PG_GETARG_INT32(2));
	mark.at = PG_GETARG_TIMESTAMPTZ(3);
	check_finite_instant(mark.at, "the time of a mark");
	state = state_argument(fcinfo, PACK_OF_EVENTS);
	if (unlikely(state->kind != PACK_OF_EVENTS))
	{
		SubjectKey		key = number_key(subject);
		struct varlena *journey = (struct varlena *) DatumGetPointer(marks_as_journey(&mark, 1));

		PG_RETURN_POINTER(add_record(state, &key, VARDATA(journey), VARSIZE(journey) - VARHDRSZ));
	}
	state = begin_record(state, MAX_EVENT_BYTES);
	out = (uint8 *) state->data + state->used;
	len = put_varint(out, zigzag((int64) ((uint64) subject - (uint64) state->last_number)));
	len += put_mark(out + len, &mark, zigzag((int64) ((uint64) mark.at - (uint64) state->last_at)), false);
	state->last_number = subject;
	state->last_at = mark.at;
	end_record(state, len);
	PG_RETURN_POINTER(state);
}

static PackState *
add_record(PackState *state, const SubjectKey *key, const char *journey, Size length)
{
	uint8 *out;
	int	   len;

	state = begin_record(state, 3 * MAX_VARINT_BYTES + key->length + length);
	out = (uint8 *) state->data + state->used;
	if (key->is_number)
	{
		len = put_varint(out, 0);
		len += put_varint(out + len, zigzag(key->number));
	}
	else
	{
		len = put_varint(out, (uint64) key->length + 1);
		memcpy(out + len, key->text, key->length);
		len += key->length;
	}
	len += put_varint(out + len, length);
	memcpy(out + len, journey, length);
	end_record(state, len + length);
	return state;
}

/* A journey in argument 2 under a key, added to the state in argument 0. */
static Datum
add_journey(FunctionCallInfo fcinfo, SubjectKey key)
{
	PackState *state = state_argument(fcinfo, PACK_OF_JOURNEYS);
	ByteReader reader;

	reader_over_datum(&reader, PG_GETARG_DATUM(2), "journey");
	if (is_working(&reader))
		reader_over_datum(&reader, DirectFunctionCall1(revacct_journey_final, PG_GETARG_DATUM(2)), "journey");
	PG_RETURN_POINTER(add_record(state, &key, (const char *) reader.p, reader.end - reader.p));
}

/* Transition of journey_pack(subject bigint, journey). A row with a NULL is ignored. */
Datum
revacct_pack_add_journey_of_number(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return unchanged_state(fcinfo);
	return add_journey(fcinfo, number_key(PG_GETARG_INT64(1)));
}

/* Transition of journey_pack(subject text, journey). A row with a NULL is ignored. */
Datum
revacct_pack_add_journey_of_text(PG_FUNCTION_ARGS)
{
	text *subject;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return unchanged_state(fcinfo);
	subject = PG_GETARG_TEXT_PP(1);
	return add_journey(fcinfo, text_key(VARDATA_ANY(subject), VARSIZE_ANY_EXHDR(subject)));
}

/* Every journey of a pack, added to a state. */
static PackState *
add_pack(PackState *state, Datum datum)
{
	PackReader pack;
	Mark	  *marks = NULL;
	int		   capacity = 0;
	int		   count;

	open_pack(&pack, datum);
	while (next_marks(&pack, &marks, &capacity, &count))
	{
		SubjectKey		key = current_key(&pack);
		struct varlena *journey = (struct varlena *) DatumGetPointer(marks_as_journey(marks, count));

		CHECK_FOR_INTERRUPTS();
		state = add_record(state, &key, VARDATA(journey), VARSIZE(journey) - VARHDRSZ);
		pfree(journey);
	}
	return state;
}

static PackState *
state_of_pack(Datum pack)
{
	return add_pack(new_state(PACK_OF_JOURNEYS), pack);
}

/* Transition of rollup(journey_pack): union, subject by subject. */
Datum
revacct_pack_add_pack(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	PG_RETURN_POINTER(add_pack(state_argument(fcinfo, PACK_OF_JOURNEYS), PG_GETARG_DATUM(1)));
}

/* Combine function: the segments of one state after those of the other. */
Datum
revacct_pack_combine(PG_FUNCTION_ARGS)
{
	PackState *state;
	PackState *more;
	ByteReader reader;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	reader_over_datum(&reader, PG_GETARG_DATUM(1), TYPE_NAME);
	if (unlikely(!is_working(&reader)))
		PG_RETURN_POINTER(add_pack(state_argument(fcinfo, PACK_OF_JOURNEYS), PG_GETARG_DATUM(1)));
	more = working_state(PG_GETARG_DATUM(1), &reader);
	if (PG_ARGISNULL(0))
	{
		more = (PackState *) PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(1));
		more->open = false;
		PG_RETURN_POINTER(more);
	}
	state = state_argument(fcinfo, more->kind);
	if (unlikely(state->kind != more->kind))
		PG_RETURN_POINTER(
			add_pack(state->kind == PACK_OF_JOURNEYS ? state : state_of_pack(PG_GETARG_DATUM(0)), PG_GETARG_DATUM(1)));
	state = room_for(state, more->used);
	memcpy(state->data + state->used, more->data, more->used);
	state->used += more->used;
	state->count += more->count;
	state->open = false;
	PG_RETURN_POINTER(state);
}

/*
 * From a state to a pack
 */

/* Walk over the segments of a state. */
static bool
next_segment(const PackState *state, uint32 *offset, SegmentHeader *segment, ByteReader *reader)
{
	if (*offset == state->used)
		return false;
	reader->type_name = TYPE_NAME;
	reader->source = BYTES_STORED;
	if (state->used - *offset < sizeof(SegmentHeader))
		broken(reader);
	memcpy(segment, state->data + *offset, sizeof(SegmentHeader));
	*offset += sizeof(SegmentHeader);
	if (segment->bytes > state->used - *offset || segment->records > segment->bytes)
		broken(reader);
	reader->p = (const uint8 *) state->data + *offset;
	reader->end = reader->p + segment->bytes;
	*offset += segment->bytes;
	return true;
}

static void *
big_array(Size elements, Size size)
{
	return palloc_extended(Max(elements, 1) * size, MCXT_ALLOC_HUGE);
}

static Event *
read_events(const PackState *state)
{
	Event		 *events = big_array(state->count, sizeof(Event));
	Event		 *event = events;
	SegmentHeader segment;
	ByteReader	  reader;

	for (uint32 offset = 0; next_segment(state, &offset, &segment, &reader);)
	{
		int64		number = 0;
		TimestampTz at = 0;

		if (segment.records > state->count - (event - events))
			broken(&reader);
		for (uint32 i = 0; i < segment.records; i++, event++)
		{
			if (i % EVENTS_AT_A_TIME == 0)
				CHECK_FOR_INTERRUPTS();
			number = (int64) ((uint64) number + (uint64) unzigzag(read_varint(&reader)));
			at = (int64) ((uint64) at + (uint64) unzigzag(read_mark(&reader, &event->mark)));
			event->subject = number;
			event->at = at;
		}
	}
	if (event - events != state->count)
		broken(&reader);
	return events;
}

/*
 * Sort events by subject, keeping the order of arrival: a radix sort on the part of the keys that differs. Ledgers
 * arrive in time order, so that what is left to do for each subject is next to nothing, which
 * no comparison sort of all events could make use of.
 */
static Event *
sort_events(Event *events, uint64 count)
{
	enum
	{
		DIGIT_BITS = 11,
		DIGITS = 1 << DIGIT_BITS
	};
	Event  *other = big_array(count, sizeof(Event));
	int64	least = count > 0 ? events[0].subject : 0;
	uint64	range = 0;
	uint32 *starts = palloc(sizeof(uint32) * DIGITS);

	for (uint64 i = 0; i < count; i++)
		least = Min(least, events[i].subject);
	for (uint64 i = 0; i < count; i++)
		range = Max(range, (uint64) events[i].subject - (uint64) least);
	for (int shift = 0; shift < 64 && (range >> shift) != 0; shift += DIGIT_BITS)
	{
		Event *sorted = other;
		uint32 start = 0;

		CHECK_FOR_INTERRUPTS();
		memset(starts, 0, sizeof(uint32) * DIGITS);
		for (uint64 i = 0; i < count; i++)
			starts[(((uint64) events[i].subject - (uint64) least) >> shift) & (DIGITS - 1)]++;
		for (int digit = 0; digit < DIGITS; digit++)
		{
			uint32 size = starts[digit];

			starts[digit] = start;
			start += size;
		}
		for (uint64 i = 0; i < count; i++)
		{
			if (i % EVENTS_AT_A_TIME == 0)
				CHECK_FOR_INTERRUPTS();
			sorted[starts[(((uint64) events[i].subject - (uint64) least) >> shift) & (DIGITS - 1)]++] = events[i];
		}
		other = events;
		events = sorted;
	}
	pfree(other);
	pfree(starts);
	return events;
}

/* The coarsest unit of all times; the divisors are constants here, which makes it several times faster. */
static int
coarsest_unit_of_events(const Event *events, uint64 count)
{
	int unit = TIME_UNITS - 1;

	for (uint64 i = 0; i < count;)
	{
		TimestampTz at = events[i].at;

		if ((unit == 5 && at % USECS_PER_DAY != 0) || (unit == 4 && at % USECS_PER_HOUR != 0) ||
			(unit == 3 && at % USECS_PER_MINUTE != 0) || (unit == 2 && at % USECS_PER_SEC != 0) ||
			(unit == 1 && at % 1000 != 0))
			unit--;
		else
			i++;
	}
	return unit;
}

static Datum
pack_events(const PackState *state)
{
	Event	  *events = sort_events(read_events(state), state->count);
	PackWriter writer;
	Mark	  *marks = NULL;
	uint64	   capacity = 0;

	begin_pack(&writer, coarsest_unit_of_events(events, state->count), false);
	for (uint64 start = 0, end; start < state->count; start = end)
	{
		SubjectKey key = number_key(events[start].subject);

		for (end = start + 1; end < state->count && events[end].subject == events[start].subject; end++)
			;
		CHECK_FOR_INTERRUPTS();
		if (end - start > capacity)
		{
			capacity = Max(64, 2 * (end - start));
			marks = palloc_extended(sizeof(Mark) * capacity, MCXT_ALLOC_HUGE | MCXT_ALLOC_ZERO);
		}
		for (uint64 i = start; i < end; i++)
		{
			marks[i - start].at = events[i].at;
			marks[i - start].mark = events[i].mark;
		}
		add_subject(&writer, &key, marks, sort_marks(marks, end - start));
	}
	pfree(events);
	return end_pack(&writer);
}

static PackedJourney *
read_journeys(const PackState *state)
{
	PackedJourney *journeys = big_array(state->count, sizeof(PackedJourney));
	PackedJourney *journey = journeys;
	SegmentHeader  segment;
	ByteReader	   reader;

	for (uint32 offset = 0; next_segment(state, &offset, &segment, &reader);)
	{
		if (segment.records > state->count - (journey - journeys))
			broken(&reader);
		for (uint32 i = 0; i < segment.records; i++, journey++)
		{
			uint64 length = read_bounded(&reader, reader.end - reader.p);

			if (length == 0)
				journey->key = number_key(unzigzag(read_varint(&reader)));
			else
			{
				SubjectKey key = {false, 0, (const char *) read_bytes(&reader, length - 1), length - 1};

				journey->key = key;
			}
			journey->length = read_bounded(&reader, reader.end - reader.p);
			journey->journey = (const char *) read_bytes(&reader, journey->length);
			if (journey->length == 0)
				broken(&reader);
		}
	}
	if (journey - journeys != state->count)
		broken(&reader);
	return journeys;
}

static int
compare_packed(const void *a, const void *b)
{
	/* sorting tens of millions takes a while */
	CHECK_FOR_INTERRUPTS();
	return compare_keys(&((const PackedJourney *) a)->key, &((const PackedJourney *) b)->key);
}

/* The united marks of journeys of one subject, in an array that grows. */
static int
unite(const PackedJourney *journeys, uint64 count, Mark **marks, Size *capacity)
{
	Size total = 0;

	for (uint64 i = 0; i < count; i++)
	{
		ByteReader reader = {(const uint8 *) journeys[i].journey + 1,
							 (const uint8 *) journeys[i].journey + journeys[i].length,
							 "journey",
							 BYTES_STORED};
		uint8	   header = *(const uint8 *) journeys[i].journey;
		bool	   extras = (header & JOURNEY_EXTRAS) != 0;
		int		   more = count_body(reader, extras);

		if (total + more > *capacity)
		{
			*capacity = Max(64, 2 * (total + more));
			*marks = *marks == NULL ? palloc_extended(sizeof(Mark) * *capacity, MCXT_ALLOC_HUGE)
									: repalloc_huge(*marks, sizeof(Mark) * *capacity);
		}
		CHECK_FOR_INTERRUPTS();
		read_body(&reader, *marks + total, more, JOURNEY_UNIT(header), extras);
		total += more;
		/* Twice as many may wait, for they may be repetitions. */
		if (total >= 2 * MAX_MARKS_PER_JOURNEY)
		{
			total = sort_marks(*marks, total);
			check_mark_count(total);
		}
	}
	return count > 1 ? sort_marks(*marks, total) : (int) total;
}

static Datum
pack_journeys(const PackState *state)
{
	PackedJourney *journeys = read_journeys(state);
	PackWriter	   writer;
	Mark		  *marks = NULL;
	Size		   capacity = 0;
	int			   unit = TIME_UNITS - 1;
	bool		   extras = false;

	qsort(journeys, state->count, sizeof(PackedJourney), compare_packed);
	for (uint64 i = 0; i < state->count; i++)
	{
		uint8 header = *(const uint8 *) journeys[i].journey;

		if (JOURNEY_VERSION(header) != REVACCT_VERSION_BYTE || (header & WORKING_BIT) ||
			JOURNEY_UNIT(header) >= TIME_UNITS)
			report_broken_bytes("journey", BYTES_STORED);
		unit = Min(unit, JOURNEY_UNIT(header));
		extras |= (header & JOURNEY_EXTRAS) != 0;
	}
	begin_pack(&writer, unit, extras);
	for (uint64 start = 0, end; start < state->count; start = end)
	{
		int count;

		for (end = start + 1; end < state->count && compare_packed(&journeys[start], &journeys[end]) == 0; end++)
			;
		CHECK_FOR_INTERRUPTS();
		count = unite(journeys + start, end - start, &marks, &capacity);
		add_subject(&writer, &journeys[start].key, marks, count);
	}
	pfree(journeys);
	return end_pack(&writer);
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
revacct_pack_final(PG_FUNCTION_ARGS)
{
	ByteReader reader;
	PackState *state;

	reader_over_datum(&reader, PG_GETARG_DATUM(0), TYPE_NAME);
	if (!is_working(&reader))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	state = working_state(PG_GETARG_DATUM(0), &reader);
	return state->kind == PACK_OF_EVENTS ? pack_events(state) : pack_journeys(state);
}

/*
 * Text and binary form: the stored bytes
 */

/* Refuse bytes that are not exactly what would be written. */
static Datum
checked_pack(const StringInfoData *bytes)
{
	ByteReader		reader = {(uint8 *) bytes->data, (uint8 *) bytes->data + bytes->len, TYPE_NAME, BYTES_RECEIVED};
	PackReader		pack;
	PackWriter		writer;
	Mark		   *marks = NULL;
	int				capacity = 0;
	int				count;
	int				unit = TIME_UNITS - 1;
	bool			extras = false;
	char		   *text;
	char		   *last_text = NULL;
	struct varlena *again;

	open_pack_bytes(&pack, reader);
	begin_pack(&writer, pack.unit, pack.extras);
	while (next_marks(&pack, &marks, &capacity, &count))
	{
		SubjectKey key = current_key(&pack);
		SubjectKey plain = key.is_number ? key : text_key(key.text, key.length);

		CHECK_FOR_INTERRUPTS();
		if (plain.is_number != key.is_number || (writer.subjects > 0 && compare_keys(&writer.last, &key) >= 0) ||
			!pg_verifymbstr(key.text, key.length, true) || sort_marks(marks, count) != count)
			broken(&reader);
		unit = coarsest_unit(marks, count, unit);
		extras |= any_extras(marks, count);
		/* the text of the last key must live, but no longer: keys may say little that the last did not, and be many */
		text = key.is_number ? NULL : pnstrdup(key.text, key.length);
		key.text = text;
		add_subject(&writer, &key, marks, count);
		if (last_text != NULL)
			pfree(last_text);
		last_text = text;
	}
	again = (struct varlena *) DatumGetPointer(end_pack(&writer));
	if (unit != pack.unit || extras != pack.extras || writer.subjects == 0 ||
		VARSIZE(again) - VARHDRSZ != (Size) bytes->len || memcmp(VARDATA(again), bytes->data, bytes->len) != 0)
		broken(&reader);
	return PointerGetDatum(again);
}

Datum
revacct_pack_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = hex_as_bytes(PG_GETARG_CSTRING(0), TYPE_NAME);

	return checked_pack(&bytes);
}

Datum
revacct_pack_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(bytes_as_hex(DirectFunctionCall1(revacct_pack_final, PG_GETARG_DATUM(0)), TYPE_NAME));
}

Datum
revacct_pack_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	return checked_pack(&bytes);
}

Datum
revacct_pack_send(PG_FUNCTION_ARGS)
{
	Datum pack = DirectFunctionCall1(revacct_pack_final, PG_GETARG_DATUM(0));

	/* a copy, for callers free what they are sent */
	PG_RETURN_POINTER(PG_DETOAST_DATUM_COPY(pack));
}

/*
 * Accessors
 */

/* unpack(journey_pack): the subjects and their journeys, in stored order. */
Datum
revacct_pack_unpack(PG_FUNCTION_ARGS)
{
	PackReader pack;
	RowBuilder row;
	Mark	  *marks = NULL;
	int		   capacity = 0;
	int		   count;

	begin_rows(fcinfo, &row);
	open_pack(&pack, PG_GETARG_DATUM(0));
	while (next_marks(&pack, &marks, &capacity, &count))
	{
		char  digits[MAXINT8LEN + 1];
		text *subject;
		Datum journey = marks_as_journey(marks, count);

		CHECK_FOR_INTERRUPTS();
		if (pack.is_number)
			subject = cstring_to_text_with_len(digits, pg_lltoa(pack.number, digits));
		else
			subject = cstring_to_text_with_len(pack.text.data, pack.text.len);
		add_column(&row, PointerGetDatum(subject), false);
		add_column(&row, journey, false);
		end_row(&row);
		pfree(subject);
		pfree(DatumGetPointer(journey));
	}
	return (Datum) 0;
}

Datum
revacct_pack_subject_count(PG_FUNCTION_ARGS)
{
	PackReader pack;

	open_pack(&pack, PG_GETARG_DATUM(0));
	PG_RETURN_INT64(pack.remaining);
}

Datum
revacct_pack_mark_count(PG_FUNCTION_ARGS)
{
	PackReader pack;

	open_pack(&pack, PG_GETARG_DATUM(0));
	PG_RETURN_INT64(pack.mark_count);
}
