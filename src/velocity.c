/*
 * velocity.c
 *	  stage_velocity: how long subjects stay in each stage, counting those who are still there.
 *
 * Stored form:
 *	version byte
 *	flags						1: since
 *	as_of, since				zigzag varints
 *	lifecycle					varint length and bytes
 *	subjects, unknown marks		varints
 *	for each open or active stage, a block of durations (durations.h)
 *
 * Working state: VelocityState, then a stored form, then entries that are not part of it yet. Once there are enough of
 * them, they are sorted into the stored form in one go, which costs a few nanoseconds each: cheaper than finding a place
 * for each as it comes, and as compact as the stored form itself.
 */
#include "durations.h"
#include "pack.h"
#include "visits.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define TYPE_NAME "velocity_summary"
#define HAS_SINCE 0x01
#define ENTRIES_PER_STAGE 2048 /* at most so many wait, for each stage: 32 kB */
#define MIN_ENTRIES 64

typedef struct VelocityState
{
	int32		vl_len_;	 /* capacity */
	uint8		header;		 /* WORKING_BIT | version */
	uint8		stage_count; /* open and active stages */
	uint16		reserved;
	uint64		fingerprint;
	TimestampTz as_of;
	TimestampTz since;		   /* DT_NOBEGIN if not given */
	uint64		subjects;	   /* of the waiting entries */
	uint64		unknown_marks; /* likewise */
	uint32		stored_length;
	uint32		waiting; /* entries, after the stored form, aligned */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} VelocityState;

StaticAssertDecl(offsetof(VelocityState, header) == VARHDRSZ, "the header byte is the first payload byte");
StaticAssertDecl(offsetof(VelocityState, data) % MAXIMUM_ALIGNOF == 0, "entries are aligned");

/* A stored form, taken apart. */
typedef struct StoredVelocity
{
	Lifecycle	*lifecycle; /* NULL if not asked for */
	uint64		 fingerprint;
	const uint8 *definition;
	Size		 definition_length;
	TimestampTz	 as_of;
	TimestampTz	 since;
	uint64		 subjects;
	uint64		 unknown_marks;
	ByteReader	 blocks;
} StoredVelocity;

typedef struct VelocityRun
{
	VisitRun	   run; /* first, so that the callback finds the rest */
	VelocityState *state;
} VelocityRun;

PG_FUNCTION_INFO_V1(revacct_velocity_add_journey);
PG_FUNCTION_INFO_V1(revacct_velocity_add_pack);
PG_FUNCTION_INFO_V1(revacct_velocity_add_summary);
PG_FUNCTION_INFO_V1(revacct_velocity_final);
PG_FUNCTION_INFO_V1(revacct_velocity_in);
PG_FUNCTION_INFO_V1(revacct_velocity_out);
PG_FUNCTION_INFO_V1(revacct_velocity_recv);
PG_FUNCTION_INFO_V1(revacct_velocity_send);
PG_FUNCTION_INFO_V1(revacct_velocity_lifecycle);
PG_FUNCTION_INFO_V1(revacct_velocity_fingerprint);
PG_FUNCTION_INFO_V1(revacct_velocity_as_of);
PG_FUNCTION_INFO_V1(revacct_velocity_subjects);
PG_FUNCTION_INFO_V1(revacct_velocity_unknown_marks);
PG_FUNCTION_INFO_V1(revacct_velocity_visits);
PG_FUNCTION_INFO_V1(revacct_velocity_pending);
PG_FUNCTION_INFO_V1(revacct_velocity_exits);
PG_FUNCTION_INFO_V1(revacct_velocity_quantile);
PG_FUNCTION_INFO_V1(revacct_velocity_quantile_low);
PG_FUNCTION_INFO_V1(revacct_velocity_quantile_high);
PG_FUNCTION_INFO_V1(revacct_velocity_survival_at);
PG_FUNCTION_INFO_V1(revacct_velocity_survival_curve);
PG_FUNCTION_INFO_V1(revacct_velocity_incidence_at);
PG_FUNCTION_INFO_V1(revacct_velocity_incidence_curve);
PG_FUNCTION_INFO_V1(revacct_velocity_restricted_mean);
PG_FUNCTION_INFO_V1(revacct_velocity_exit_probability);
PG_FUNCTION_INFO_V1(revacct_velocity_log_rank);
PG_FUNCTION_INFO_V1(revacct_velocity_stages);
PG_FUNCTION_INFO_V1(revacct_velocity_stage_spans);

/*
 * The stored form
 */

static void
append_head(StringInfo out, const StoredVelocity *stored)
{
	appendStringInfoChar(out, REVACCT_VERSION_BYTE);
	appendStringInfoChar(out, stored->since != DT_NOBEGIN ? HAS_SINCE : 0);
	append_varint(out, zigzag(stored->as_of));
	if (stored->since != DT_NOBEGIN)
		append_varint(out, zigzag(stored->since));
	append_varint(out, stored->definition_length);
	appendBinaryStringInfo(out, (const char *) stored->definition, stored->definition_length);
	append_varint(out, stored->subjects);
	append_varint(out, stored->unknown_marks);
}

static void
read_head(StoredVelocity *stored, ByteReader reader)
{
	uint8 version = read_byte(&reader);
	uint8 flags;

	if (version != REVACCT_VERSION_BYTE)
		report_newer_version(TYPE_NAME, version);
	flags = read_byte(&reader);
	stored->as_of = unzigzag(read_varint(&reader));
	stored->since = flags & HAS_SINCE ? unzigzag(read_varint(&reader)) : DT_NOBEGIN;
	if ((flags & ~HAS_SINCE) || !IS_VALID_TIMESTAMP(stored->as_of) ||
		((flags & HAS_SINCE) && !IS_VALID_TIMESTAMP(stored->since)))
		broken(&reader);
	stored->definition_length = read_bounded(&reader, reader.end - reader.p);
	stored->definition = read_bytes(&reader, stored->definition_length);
	if (stored->definition_length < 9)
		broken(&reader);
	memcpy(&stored->fingerprint, stored->definition + 1, sizeof(stored->fingerprint));
	stored->fingerprint = pg_ntoh64(stored->fingerprint);
	stored->subjects = read_varint(&reader);
	stored->unknown_marks = read_varint(&reader);
	stored->blocks = reader;
	stored->lifecycle = NULL;
}

static Datum
definition_value(const StoredVelocity *stored)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) stored->definition, stored->definition_length);
	return bytes_as_varlena(&bytes);
}

static int
measured_stages(const Lifecycle *lifecycle)
{
	return lifecycle->step_count - (lifecycle->won_step >= 0);
}

static ByteReader
stored_part(const VelocityState *state)
{
	ByteReader reader = {(const uint8 *) state->data,
						 (const uint8 *) state->data + state->stored_length,
						 TYPE_NAME,
						 BYTES_STORED};

	return reader;
}

static inline DurationEntry *
entries_of(const VelocityState *state)
{
	return (DurationEntry *) (state->data + MAXALIGN(state->stored_length));
}

static inline Size
entry_capacity(const VelocityState *state)
{
	return (VARSIZE(state) - ((char *) entries_of(state) - (char *) state)) / sizeof(DurationEntry);
}

/* A state whose stored form is given, with room for that many entries. */
static VelocityState *
new_state(const StringInfoData *stored, int stage_count, uint64 fingerprint, TimestampTz as_of, TimestampTz since,
		  Size entries)
{
	Size		   size = offsetof(VelocityState, data) + MAXALIGN(stored->len) + entries * sizeof(DurationEntry);
	VelocityState *state = palloc0(size);

	SET_VARSIZE(state, size);
	state->header = WORKING_BIT | REVACCT_VERSION_BYTE;
	state->stage_count = stage_count;
	state->fingerprint = fingerprint;
	state->as_of = as_of;
	state->since = since;
	state->stored_length = stored->len;
	memcpy(state->data, stored->data, stored->len);
	return state;
}

/* Put entries in order of stage, others kept as they are; starts gets where each stage begins. */
static DurationEntry *
by_stage(const VelocityState *state, int *starts)
{
	const DurationEntry *entries = entries_of(state);
	DurationEntry		*sorted = palloc(sizeof(DurationEntry) * Max(state->waiting, 1));
	int					 next[MAX_STEPS + 1];

	memset(starts, 0, sizeof(int) * (MAX_STEPS + 1));
	for (uint32 i = 0; i < state->waiting; i++)
		starts[entries[i].stage + 1]++;
	for (int stage = 1; stage <= MAX_STEPS; stage++)
		starts[stage] += starts[stage - 1];
	memcpy(next, starts, sizeof(next));
	for (uint32 i = 0; i < state->waiting; i++)
		sorted[next[entries[i].stage]++] = entries[i];
	return sorted;
}

/* The stored form of a state with everything in it. */
static void
append_all(StringInfo out, const VelocityState *state)
{
	StoredVelocity stored;
	DurationEntry *entries;
	int			   starts[MAX_STEPS + 1];

	read_head(&stored, stored_part(state));
	stored.subjects += state->subjects;
	stored.unknown_marks += state->unknown_marks;
	append_head(out, &stored);
	entries = by_stage(state, starts);
	for (int stage = 0; stage < state->stage_count; stage++)
	{
		int		   count = starts[stage + 1] - starts[stage];
		ByteReader block = read_block(&stored.blocks);

		if (count > 0)
			append_entries(out, block, entries + starts[stage], count);
		else
			appendBinaryStringInfo(out, (const char *) block.p, block.end - block.p);
	}
	pfree(entries);
}

/* The same state with nothing waiting: in its place, if what it has become leaves room for entries. */
static VelocityState *
settled_state(VelocityState *state)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_all(&bytes, state);
	if (offsetof(VelocityState, data) + MAXALIGN(bytes.len) + MIN_ENTRIES * sizeof(DurationEntry) <= VARSIZE(state))
	{
		memcpy(state->data, bytes.data, bytes.len);
		state->stored_length = bytes.len;
		state->subjects = state->unknown_marks = 0;
		state->waiting = 0;
	}
	else
		state = new_state(&bytes,
						  state->stage_count,
						  state->fingerprint,
						  state->as_of,
						  state->since,
						  entry_capacity(state));
	pfree(bytes.data);
	return state;
}

static pg_noinline VelocityState *
room_for_entry(VelocityState *state)
{
	if (state->waiting >= (uint32) ENTRIES_PER_STAGE * state->stage_count)
		return settled_state(state);
	return grown_state(state, (char *) (entries_of(state) + state->waiting + 1) - (char *) state);
}

static inline void
add_entry(VelocityRun *run, int64 duration, int stage, int slot)
{
	VelocityState *state = run->state;
	DurationEntry *entry;

	if (unlikely(state->waiting >= entry_capacity(state)))
		run->state = state = room_for_entry(state);
	entry = &entries_of(state)[state->waiting++];
	entry->duration = duration;
	entry->stage = stage;
	entry->slot = slot;
}

/*
 * Taking visits in
 */

static inline int
slot_of(int exit)
{
	return exit == EXIT_NONE ? SLOT_CENSORED : slot_of_exit[exit];
}

/* One duration for each stage of the attempt: the sum of its visits, and how the last one ended. */
static void
take_cumulative(VelocityRun *velocity)
{
	const VisitRun *run = &velocity->run;
	int64			sums[MAX_STEPS];
	int				exits[MAX_STEPS];
	uint64			stages = 0;

	for (int i = 0; i < run->visit_count; i++)
	{
		const Visit *visit = &run->visits[i];

		if (!visit->measured)
			continue;
		if (!(stages & step_bit(visit->stage)))
			sums[visit->stage] = 0;
		stages |= step_bit(visit->stage);
		sums[visit->stage] += visit->left_at - visit->entered_at;
		exits[visit->stage] = visit->exit;
	}
	for (; stages != 0; stages &= stages - 1)
	{
		int stage = pg_rightmost_one_pos64(stages);

		add_entry(velocity, sums[stage], stage, slot_of(exits[stage]));
	}
}

static void
take_visits(VisitRun *run)
{
	VelocityRun *velocity = (VelocityRun *) run;

	if (run->lifecycle->visits == VISITS_CUMULATIVE)
	{
		take_cumulative(velocity);
		return;
	}
	for (int i = 0; i < run->visit_count; i++)
	{
		const Visit *visit = &run->visits[i];

		if (!visit->measured)
			continue;
		add_entry(velocity, visit->left_at - visit->entered_at, visit->stage, slot_of(visit->exit));
		if (visit->entered_at < run->since)
			add_entry(velocity, run->since - visit->entered_at, visit->stage, SLOT_LATE_ENTRY);
	}
}

static void
read_into(VelocityRun *velocity, History *history)
{
	run_visits(&velocity->run, history);
	velocity->state->subjects++;
	velocity->state->unknown_marks += velocity->run.unknown_marks;
}

static void
reject_merge(const VelocityState *state, uint64 fingerprint, TimestampTz as_of, TimestampTz since)
{
	if (state->fingerprint != fingerprint)
		report_definition_mismatch("lifecycles", state->fingerprint, fingerprint);
	if (state->as_of != as_of)
		report_instant_mismatch("as_of", state->as_of, as_of);
	report_instant_mismatch("since", state->since, since);
}

static inline void
check_same(const VelocityState *state, uint64 fingerprint, TimestampTz as_of, TimestampTz since)
{
	if (unlikely(state->fingerprint != fingerprint || state->as_of != as_of || state->since != since))
		reject_merge(state, fingerprint, as_of, since);
}

/* The state of an aggregate that has read nothing yet. */
static VelocityState *
empty_state(const Lifecycle *lifecycle, Datum definition, TimestampTz as_of, TimestampTz since)
{
	StoredVelocity stored = {0};
	StringInfoData bytes;
	ByteReader	   reader;

	reader_over_datum(&reader, definition, "lifecycle");
	stored.definition = reader.p;
	stored.definition_length = reader.end - reader.p;
	stored.as_of = as_of;
	stored.since = since;
	initStringInfo(&bytes);
	append_head(&bytes, &stored);
	for (int stage = 0; stage < measured_stages(lifecycle); stage++)
		append_empty_block(&bytes);
	return new_state(&bytes, measured_stages(lifecycle), lifecycle->fingerprint, as_of, since, 8);
}

static VelocityState *state_argument(FunctionCallInfo fcinfo);

/*
 * Set up a transition with a lifecycle in argument 2, as_of in argument 3 and perhaps since in argument 4.
 */
static VelocityRun *
begin_transition(FunctionCallInfo fcinfo)
{
	CallCache	*cache = call_cache(fcinfo);
	VelocityRun *velocity;
	Lifecycle	*lifecycle;
	TimestampTz	 as_of;
	TimestampTz	 since;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", PG_ARGISNULL(2) ? "the lifecycle" : "as_of")));
	if (unlikely(cache->scratch == NULL))
	{
		cache->scratch = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(VelocityRun));
		((VelocityRun *) cache->scratch)->run.context = fcinfo->flinfo->fn_mcxt;
	}
	velocity = cache->scratch;
	lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(2));
	as_of = PG_GETARG_TIMESTAMPTZ(3);
	since = PG_NARGS() > 4 && !PG_ARGISNULL(4) ? PG_GETARG_TIMESTAMPTZ(4) : DT_NOBEGIN;
	velocity->run.lifecycle = lifecycle;
	velocity->run.as_of = as_of;
	velocity->run.since = since;
	velocity->run.end_attempt = take_visits;
	if (likely(!PG_ARGISNULL(0)))
	{
		velocity->state = state_argument(fcinfo);
		check_same(velocity->state, lifecycle->fingerprint, as_of, since);
	}
	else
	{
		check_visit_options(lifecycle, as_of, since);
		velocity->state = empty_state(lifecycle, PG_GETARG_DATUM(2), as_of, since);
	}
	return velocity;
}

/*
 * Transition of stage_velocity(journey, lifecycle, as_of [, since]). A row without journey is ignored.
 */
Datum
revacct_velocity_add_journey(PG_FUNCTION_ARGS)
{
	VelocityRun *velocity;
	History		*history;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	velocity = begin_transition(fcinfo);
	history = &call_cache(fcinfo)->history;
	read_history(history, PG_GETARG_DATUM(1));
	read_into(velocity, history);
	PG_RETURN_POINTER(velocity->state);
}

/* Transition of stage_velocity(journey_pack, lifecycle, as_of [, since]). */
Datum
revacct_velocity_add_pack(PG_FUNCTION_ARGS)
{
	VelocityRun *velocity;
	History		*history;
	PackReader	 pack;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	velocity = begin_transition(fcinfo);
	history = &call_cache(fcinfo)->history;
	open_pack(&pack, PG_GETARG_DATUM(1));
	while (next_history(&pack, history))
	{
		CHECK_FOR_INTERRUPTS();
		read_into(velocity, history);
	}
	PG_RETURN_POINTER(velocity->state);
}

/*
 * Merging
 */

static const VelocityState *
working_state(Datum datum, const ByteReader *reader)
{
	const VelocityState *state = (const VelocityState *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(state) < offsetof(VelocityState, data) || state->stage_count > MAX_STEPS ||
		state->stored_length > VARSIZE(state) - offsetof(VelocityState, data) || state->waiting > entry_capacity(state))
		broken(reader);
	for (uint32 i = 0; i < state->waiting; i++)
		if (entries_of(state)[i].stage >= state->stage_count || entries_of(state)[i].slot >= DURATION_SLOTS ||
			entries_of(state)[i].duration < 0)
			broken(reader);
	return state;
}

/* The stored form of any summary. */
static ByteReader
stored_summary(Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, TYPE_NAME);
	if (is_working(&reader))
	{
		StringInfoData bytes;

		initStringInfo(&bytes);
		append_all(&bytes, working_state(datum, &reader));
		reader.p = (const uint8 *) bytes.data;
		reader.end = reader.p + bytes.len;
	}
	return reader;
}

static int
count_blocks(ByteReader blocks)
{
	int count = 0;

	while (blocks.p < blocks.end)
	{
		read_block(&blocks);
		count++;
	}
	return count;
}

/* A state made of stored bytes. */
static VelocityState *
state_of_stored(ByteReader reader)
{
	StoredVelocity stored;
	StringInfoData bytes;
	int			   stages;

	read_head(&stored, reader);
	stages = count_blocks(stored.blocks);
	if (stages > MAX_STEPS)
		broken(&reader);
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) reader.p, reader.end - reader.p);
	return new_state(&bytes, stages, stored.fingerprint, stored.as_of, stored.since, 8);
}

/* The state in argument 0, ready to be changed: made of it if it is a finished value. */
static VelocityState *
state_argument(FunctionCallInfo fcinfo)
{
	ByteReader reader;

	if (likely(has_state_in_place(fcinfo)))
		return (VelocityState *) PG_GETARG_POINTER(0);
	reader_over_datum(&reader, PG_GETARG_DATUM(0), TYPE_NAME);
	return is_working(&reader) ? writable_state(fcinfo, 0) : state_of_stored(reader);
}

/*
 * Transition of rollup(velocity_summary), and combine function of all.
 */
Datum
revacct_velocity_add_summary(PG_FUNCTION_ARGS)
{
	VelocityState *state;
	StoredVelocity more;
	StoredVelocity stored;
	StringInfoData bytes;
	ByteReader	   reader;
	int			   stages;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	reader = stored_summary(PG_GETARG_DATUM(1));
	read_head(&more, reader);
	stages = count_blocks(more.blocks);
	if (stages > MAX_STEPS)
		broken(&reader);
	initStringInfo(&bytes);
	if (PG_ARGISNULL(0))
		PG_RETURN_POINTER(state_of_stored(reader));
	state = state_argument(fcinfo);
	check_same(state, more.fingerprint, more.as_of, more.since);
	if (state->waiting > 0 || state->subjects > 0)
		state = settled_state(state);
	read_head(&stored, stored_part(state));
	stored.subjects += more.subjects;
	stored.unknown_marks += more.unknown_marks;
	append_head(&bytes, &stored);
	for (int stage = 0; stage < stages; stage++)
	{
		ByteReader block = read_block(&stored.blocks);

		CHECK_FOR_INTERRUPTS();
		append_merged(&bytes, block, read_block(&more.blocks));
	}
	PG_RETURN_POINTER(new_state(&bytes, stages, state->fingerprint, state->as_of, state->since, 0));
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
revacct_velocity_final(PG_FUNCTION_ARGS)
{
	ByteReader	   reader = stored_summary(PG_GETARG_DATUM(0));
	StringInfoData bytes;

	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, (const char *) reader.p, reader.end - reader.p);
	return bytes_as_varlena(&bytes);
}

/*
 * Text and binary form: the stored bytes
 */

/* A summary with its lifecycle and one block for each of its stages. */
static void
open_summary(StoredVelocity *stored, ByteReader reader)
{
	read_head(stored, reader);
	stored->lifecycle = decode_lifecycle_bytes(stored->definition, stored->definition_length, reader.source);
	if (count_blocks(stored->blocks) != measured_stages(stored->lifecycle))
		broken(&reader);
}

/* No more may be at risk, or leave, than came. */
static bool
is_consistent(const DurationTable *table)
{
	int64 late = 0;
	int64 others = 0;
	int64 left = 0;
	int64 entered = 0;

	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];

		if (pg_add_s64_overflow(late, row->late_entries, &late) || pg_add_s64_overflow(others, row->censored, &others))
			return false;
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			if (pg_add_s64_overflow(others, row->exits[kind], &others))
				return false;
	}
	if (late > others)
		return false;
	entered = others - late;
	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];

		left += row->censored;
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			left += row->exits[kind];
		/* in a bin, some may come late and leave at once */
		if (left > entered + (row->low < row->high ? row->late_entries : 0))
			return false;
		entered += row->late_entries;
	}
	return true;
}

static Datum
checked_summary(const StringInfoData *bytes)
{
	ByteReader	   reader = {(uint8 *) bytes->data, (uint8 *) bytes->data + bytes->len, TYPE_NAME, BYTES_RECEIVED};
	StoredVelocity stored;
	StringInfoData again;
	StringInfoData empty;

	open_summary(&stored, reader);
	check_lifecycle_bytes((const char *) stored.definition, stored.definition_length, BYTES_RECEIVED);
	if (stored.since != DT_NOBEGIN && stored.since >= stored.as_of)
		broken(&reader);
	initStringInfo(&again);
	initStringInfo(&empty);
	append_empty_block(&empty);
	append_head(&again, &stored);
	while (stored.blocks.p < stored.blocks.end)
	{
		ByteReader block = read_block(&stored.blocks);
		ByteReader nothing = {(uint8 *) empty.data, (uint8 *) empty.data + empty.len, TYPE_NAME, BYTES_RECEIVED};

		if (!is_consistent(block_as_table(block)))
			broken(&reader);
		append_merged(&again, block, nothing);
	}
	if (again.len != bytes->len || memcmp(again.data, bytes->data, again.len) != 0)
		broken(&reader);
	return bytes_as_varlena(bytes);
}

Datum
revacct_velocity_out(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(byteaout, DirectFunctionCall1(revacct_velocity_final, PG_GETARG_DATUM(0)));
}

Datum
revacct_velocity_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = hex_as_bytes(PG_GETARG_CSTRING(0), TYPE_NAME);

	return checked_summary(&bytes);
}

Datum
revacct_velocity_send(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(revacct_velocity_final, PG_GETARG_DATUM(0));
}

Datum
revacct_velocity_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	return checked_summary(&bytes);
}

/*
 * Questions
 */

static ByteReader
nth_block(ByteReader blocks, int n)
{
	ByteReader block = read_block(&blocks);

	while (n-- > 0)
		block = read_block(&blocks);
	return block;
}

/* The index of an open or active stage, by name. */
static int
measured_stage(const Lifecycle *lifecycle, text *argument)
{
	char *name = text_to_cstring(argument);
	int	  stage = step_by_name(lifecycle, name);

	if (stage == lifecycle->won_step)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("nobody stays in stage \"%s\"", name),
				 errdetail("It is the won stage of lifecycle \"%s\", which ends an attempt.", lifecycle->name)));
	return stage;
}

/* The durations of the stage in argument 1 of the summary in argument 0. */
static DurationTable *
table_argument(FunctionCallInfo fcinfo)
{
	StoredVelocity stored;

	open_summary(&stored, stored_summary(PG_GETARG_DATUM(0)));
	return block_as_table(nth_block(stored.blocks, measured_stage(stored.lifecycle, PG_GETARG_TEXT_PP(1))));
}

static int
exit_argument(text *argument)
{
	char *name = text_to_cstring(argument);

	for (int kind = 0; kind < EXIT_KINDS; kind++)
		if (strcmp(name, exit_names[kind]) == 0)
			return kind;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown exit \"%s\"", name),
			 errhint("Choose one of forward, skip, back, repeat, won, lost, no_decision, recycled, churned.")));
}

static SurvivalLimits
limits_argument(text *argument)
{
	char *name = text_to_cstring(argument);

	if (strcmp(name, "log-log") == 0)
		return LIMITS_LOG_LOG;
	if (strcmp(name, "log") == 0)
		return LIMITS_LOG;
	if (strcmp(name, "plain") == 0)
		return LIMITS_PLAIN;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown limits \"%s\"", name),
			 errhint("Choose one of log-log, log, plain.")));
}

/* A length of time as microseconds; a day has 24 hours, months have no length. */
static int64
interval_argument(const Interval *interval, const char *what)
{
	int64 usecs;

	if (interval->month != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not contain months or years", what),
				 errhint("Write it in days.")));
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &usecs) || pg_add_s64_overflow(usecs, interval->time, &usecs))
		usecs = PG_INT64_MAX;
	if (usecs < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s must not be negative", what)));
	return usecs;
}

/* Microseconds as an interval of days of 24 hours. */
static Datum
interval_datum(int64 usecs)
{
	Interval *interval = palloc0(sizeof(Interval));

	interval->day = usecs / USECS_PER_DAY;
	interval->time = usecs % USECS_PER_DAY;
	return IntervalPGetDatum(interval);
}

static int64
count_exits(const DurationTable *table, int kind)
{
	int64 count = 0;

	for (int i = 0; i < table->nrows; i++)
		for (int k = 0; k < EXIT_KINDS; k++)
			if (kind == EXIT_ANY || kind == k)
				count += table->rows[i].exits[k];
	return count;
}

static int64
count_censored(const DurationTable *table)
{
	int64 count = 0;

	for (int i = 0; i < table->nrows; i++)
		count += table->rows[i].censored;
	return count;
}

Datum
revacct_velocity_visits(PG_FUNCTION_ARGS)
{
	DurationTable *table = table_argument(fcinfo);

	PG_RETURN_INT64(count_exits(table, EXIT_ANY) + count_censored(table));
}

Datum
revacct_velocity_pending(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(count_censored(table_argument(fcinfo)));
}

/* exits(velocity_summary, stage, exit): all exits if exit is NULL. */
Datum
revacct_velocity_exits(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	PG_RETURN_INT64(
		count_exits(table_argument(fcinfo), PG_ARGISNULL(2) ? EXIT_ANY : exit_argument(PG_GETARG_TEXT_PP(2))));
}

Datum
revacct_velocity_lifecycle(PG_FUNCTION_ARGS)
{
	StoredVelocity stored;

	read_head(&stored, stored_summary(PG_GETARG_DATUM(0)));
	return definition_value(&stored);
}

Datum
revacct_velocity_fingerprint(PG_FUNCTION_ARGS)
{
	StoredVelocity stored;

	read_head(&stored, stored_summary(PG_GETARG_DATUM(0)));
	PG_RETURN_TEXT_P(cstring_to_text(fingerprint_text(stored.fingerprint)));
}

Datum
revacct_velocity_as_of(PG_FUNCTION_ARGS)
{
	StoredVelocity stored;

	read_head(&stored, stored_summary(PG_GETARG_DATUM(0)));
	PG_RETURN_TIMESTAMPTZ(stored.as_of);
}

Datum
revacct_velocity_subjects(PG_FUNCTION_ARGS)
{
	StoredVelocity stored;

	read_head(&stored, stored_summary(PG_GETARG_DATUM(0)));
	PG_RETURN_INT64(stored.subjects);
}

Datum
revacct_velocity_unknown_marks(PG_FUNCTION_ARGS)
{
	StoredVelocity stored;

	read_head(&stored, stored_summary(PG_GETARG_DATUM(0)));
	PG_RETURN_INT64(stored.unknown_marks);
}

static void
check_probability(double p)
{
	if (!(p >= 0 && p <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a quantile is between 0 and 1"),
				 errdetail("It is %g.", p)));
}

/* quantile(velocity_summary, stage, p, plateau) */
Datum
revacct_velocity_quantile(PG_FUNCTION_ARGS)
{
	DurationTable *table = table_argument(fcinfo);
	double		   p = PG_GETARG_FLOAT8(2);
	char		  *plateau = text_to_cstring(PG_GETARG_TEXT_PP(3));
	int64		   quantile;

	check_probability(p);
	if (strcmp(plateau, "midpoint") != 0 && strcmp(plateau, "min") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown plateau \"%s\"", plateau),
				 errhint("Choose one of midpoint, min.")));
	if (!survival_quantile(survival_curve(table, EXIT_ANY, 0.95, LIMITS_LOG_LOG),
						   p,
						   strcmp(plateau, "midpoint") == 0,
						   QUANTILE_ESTIMATE,
						   &quantile))
		PG_RETURN_NULL();
	return interval_datum(quantile);
}

/* quantile_low and quantile_high(velocity_summary, stage, p, confidence, limits) */
static Datum
quantile_limit(FunctionCallInfo fcinfo, QuantileOf of)
{
	DurationTable *table = table_argument(fcinfo);
	double		   p = PG_GETARG_FLOAT8(2);
	int64		   quantile;

	check_probability(p);
	if (!survival_quantile(survival_curve(table, EXIT_ANY, PG_GETARG_FLOAT8(3), limits_argument(PG_GETARG_TEXT_PP(4))),
						   p,
						   true,
						   of,
						   &quantile))
		PG_RETURN_NULL();
	return interval_datum(quantile);
}

Datum
revacct_velocity_quantile_low(PG_FUNCTION_ARGS)
{
	return quantile_limit(fcinfo, QUANTILE_LOW);
}

Datum
revacct_velocity_quantile_high(PG_FUNCTION_ARGS)
{
	return quantile_limit(fcinfo, QUANTILE_HIGH);
}

/* survival_at(velocity_summary, stage, age) */
Datum
revacct_velocity_survival_at(PG_FUNCTION_ARGS)
{
	double survival;

	if (!survival_at(survival_curve(table_argument(fcinfo), EXIT_ANY, 0.95, LIMITS_LOG_LOG),
					 interval_argument(PG_GETARG_INTERVAL_P(2), "age"),
					 &survival))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(survival);
}

static void
add_float(RowBuilder *row, double value)
{
	bool none = isnan(value) || isinf(value);

	add_column(row, none ? (Datum) 0 : Float8GetDatum(value), none);
}

/* survival_curve(velocity_summary, stage, confidence, limits) */
Datum
revacct_velocity_survival_curve(PG_FUNCTION_ARGS)
{
	SurvivalCurve *curve =
		survival_curve(table_argument(fcinfo), EXIT_ANY, PG_GETARG_FLOAT8(2), limits_argument(PG_GETARG_TEXT_PP(3)));
	RowBuilder row;

	begin_rows(fcinfo, &row);
	for (int i = 0; i < curve->npoints; i++)
	{
		const SurvivalPoint *point = &curve->points[i];

		CHECK_FOR_INTERRUPTS();
		add_column(&row, interval_datum(point->time), false);
		add_column(&row, Int64GetDatum(point->n_risk), false);
		add_column(&row, Int64GetDatum(point->events), false);
		add_column(&row, Int64GetDatum(point->censored), false);
		add_float(&row, point->survival);
		add_column(&row, Float8GetDatum(point->std_error), !point->has_limits);
		add_column(&row, Float8GetDatum(point->low), !point->has_limits);
		add_column(&row, Float8GetDatum(point->high), !point->has_limits);
		add_float(&row, point->bracket_low);
		add_float(&row, point->bracket_high);
		end_row(&row);
	}
	return (Datum) 0;
}

/* incidence_at(velocity_summary, stage, exit, age) */
Datum
revacct_velocity_incidence_at(PG_FUNCTION_ARGS)
{
	double incidence;

	if (!incidence_at(incidence_curve(table_argument(fcinfo), exit_argument(PG_GETARG_TEXT_PP(2))),
					  interval_argument(PG_GETARG_INTERVAL_P(3), "age"),
					  &incidence))
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(incidence);
}

/* incidence_curve(velocity_summary, stage, exit) */
Datum
revacct_velocity_incidence_curve(PG_FUNCTION_ARGS)
{
	IncidenceCurve *curve = incidence_curve(table_argument(fcinfo), exit_argument(PG_GETARG_TEXT_PP(2)));
	RowBuilder		row;

	begin_rows(fcinfo, &row);
	for (int i = 0; i < curve->npoints; i++)
	{
		const IncidencePoint *point = &curve->points[i];

		CHECK_FOR_INTERRUPTS();
		add_column(&row, interval_datum(point->time), false);
		add_column(&row, Int64GetDatum(point->n_risk), false);
		add_column(&row, Int64GetDatum(point->events), false);
		add_float(&row, point->incidence);
		add_float(&row, point->std_error);
		end_row(&row);
	}
	return (Datum) 0;
}

/* A row as the result of a function with OUT parameters. */
static Datum
record_datum(FunctionCallInfo fcinfo, RowBuilder *row)
{
	TupleDesc descriptor;

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "the result must be a row");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), row->values, row->nulls));
}

/* restricted_mean(velocity_summary, stage, tau) */
Datum
revacct_velocity_restricted_mean(PG_FUNCTION_ARGS)
{
	RowBuilder	   row = {0};
	RestrictedMean mean;
	int64		   tau = 0;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		PG_RETURN_NULL();
	if (!PG_ARGISNULL(2))
		tau = interval_argument(PG_GETARG_INTERVAL_P(2), "tau");
	mean = restricted_mean(survival_curve(table_argument(fcinfo), EXIT_ANY, 0.95, LIMITS_LOG_LOG),
						   PG_ARGISNULL(2) ? NULL : &tau);
	if (!mean.defined)
		PG_RETURN_NULL();
	add_column(&row, interval_datum((int64) rint(mean.mean)), false);
	add_column(&row, interval_datum((int64) rint(mean.std_error)), false);
	add_column(&row, interval_datum(mean.tau), false);
	return record_datum(fcinfo, &row);
}

/* exit_probability(velocity_summary, stage, exit, age, horizon) */
Datum
revacct_velocity_exit_probability(PG_FUNCTION_ARGS)
{
	RowBuilder row = {0};
	double	   probability = 0;
	int64	   at_risk;
	bool	   defined = exit_probability(table_argument(fcinfo),
									  exit_argument(PG_GETARG_TEXT_PP(2)),
									  interval_argument(PG_GETARG_INTERVAL_P(3), "age"),
									  interval_argument(PG_GETARG_INTERVAL_P(4), "horizon"),
									  &probability,
									  &at_risk);

	add_column(&row, Float8GetDatum(probability), !defined);
	add_column(&row, Int64GetDatum(at_risk), false);
	return record_datum(fcinfo, &row);
}

static Datum
float_array(const double *values, int count)
{
	Datum *elements = palloc(sizeof(Datum) * Max(count, 1));

	for (int i = 0; i < count; i++)
		elements[i] = Float8GetDatum(values[i]);
	return PointerGetDatum(
		construct_array(elements, count, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE));
}

/* log_rank(velocity_summary[], stage): between groups; summaries that are NULL are left out. */
Datum
revacct_velocity_log_rank(PG_FUNCTION_ARGS)
{
	ArrayType	  *array = PG_GETARG_ARRAYTYPE_P(0);
	ArrayIterator  iterator = array_create_iterator(array, 0, NULL);
	int			   limit = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	DurationTable *tables = palloc(sizeof(DurationTable) * Max(limit, 1));
	uint64		   fingerprint = 0;
	int			   count = 0;
	Datum		   element;
	bool		   isnull;
	LogRank		  *result;
	RowBuilder	   row = {0};

	while (array_iterate(iterator, &element, &isnull))
	{
		StoredVelocity stored;

		if (isnull)
			continue;
		open_summary(&stored, stored_summary(element));
		if (count > 0 && stored.fingerprint != fingerprint)
			report_definition_mismatch("lifecycles", fingerprint, stored.fingerprint);
		fingerprint = stored.fingerprint;
		tables[count++] =
			*block_as_table(nth_block(stored.blocks, measured_stage(stored.lifecycle, PG_GETARG_TEXT_PP(1))));
	}
	result = log_rank(tables, count, EXIT_ANY);
	add_column(&row, Float8GetDatum(result->chi_square), !result->defined);
	add_column(&row, Int32GetDatum(result->df), false);
	add_column(&row, Float8GetDatum(result->p_value), !result->defined);
	add_column(&row, float_array(result->observed, result->ngroups), false);
	add_column(&row, float_array(result->expected, result->ngroups), false);
	return record_datum(fcinfo, &row);
}

static void
add_days(RowBuilder *row, const SurvivalCurve *curve, double p, QuantileOf of)
{
	int64 usecs = 0;
	bool  reached = survival_quantile(curve, p, true, of, &usecs);

	add_column(row, reached ? rounded_ratio(usecs, USECS_PER_DAY, 2) : (Datum) 0, !reached);
}

/* The largest relative error of a duration that the table gives. */
static double
relative_error(const DurationTable *table)
{
	double error = 0;

	for (int i = 0; i < table->nrows; i++)
		if (table->rows[i].low < table->rows[i].high)
			error = Max(error, (double) (table->rows[i].high - table->rows[i].at) / (double) Max(table->rows[i].at, 1));
	return error;
}

/* stages(velocity_summary, confidence): one row for each open or active stage. */
Datum
revacct_velocity_stages(PG_FUNCTION_ARGS)
{
	double		   confidence = PG_GETARG_FLOAT8(1);
	StoredVelocity stored;
	RowBuilder	   row;

	open_summary(&stored, stored_summary(PG_GETARG_DATUM(0)));
	begin_rows(fcinfo, &row);
	for (int stage = 0; stage < measured_stages(stored.lifecycle); stage++)
	{
		DurationTable *table = block_as_table(read_block(&stored.blocks));
		SurvivalCurve *curve = survival_curve(table, EXIT_ANY, confidence, LIMITS_LOG_LOG);
		int64		   last = table->nrows > 0 ? table->rows[table->nrows - 1].at : 0;

		add_column(&row, Int32GetDatum(stage + 1), false);
		add_text(&row, stored.lifecycle->stages[stage].name);
		add_text(&row, category_names[stored.lifecycle->stages[stage].category]);
		add_column(&row, Int64GetDatum(count_exits(table, EXIT_ANY) + count_censored(table)), false);
		add_column(&row, Int64GetDatum(count_censored(table)), false);
		for (int kind = 0; kind < EXIT_KINDS; kind++)
			add_column(&row, Int64GetDatum(count_exits(table, kind)), false);
		add_days(&row, curve, 0.5, QUANTILE_ESTIMATE);
		add_days(&row, curve, 0.5, QUANTILE_LOW);
		add_days(&row, curve, 0.5, QUANTILE_HIGH);
		add_days(&row, curve, 0.25, QUANTILE_ESTIMATE);
		add_days(&row, curve, 0.75, QUANTILE_ESTIMATE);
		add_days(&row, curve, 0.9, QUANTILE_ESTIMATE);
		add_column(&row, rounded_ratio(last, USECS_PER_DAY, 2), table->nrows == 0);
		add_column(&row, rounded_numeric(relative_error(table), 6), false);
		end_row(&row);
	}
	return (Datum) 0;
}

/*
 * The rows behind the numbers
 */

typedef struct SpanRows
{
	VisitRun   run; /* first, so that the callback finds the rest */
	RowBuilder row;
} SpanRows;

static void
put_spans(VisitRun *run)
{
	RowBuilder *row = &((SpanRows *) run)->row;

	for (int i = 0; i < run->visit_count; i++)
	{
		const Visit *visit = &run->visits[i];
		bool		 open = visit->exit == EXIT_NONE;

		CHECK_FOR_INTERRUPTS();
		add_column(row, Int32GetDatum(run->attempts), false);
		add_column(row, Int32GetDatum(i + 1), false);
		add_column(row, Int32GetDatum(visit->stage + 1), false);
		add_text(row, run->lifecycle->stages[visit->stage].name);
		add_column(row, TimestampTzGetDatum(visit->entered_at), false);
		add_column(row, TimestampTzGetDatum(visit->left_at), open);
		if (open)
			add_column(row, (Datum) 0, true);
		else
			add_text(row, exit_names[visit->exit]);
		add_column(row, interval_datum(visit->left_at - visit->entered_at), false);
		add_column(row, BoolGetDatum(visit->measured), false);
		end_row(row);
	}
}

/* stage_spans(journey, lifecycle, as_of, since): one row for each visit. */
Datum
revacct_velocity_stage_spans(PG_FUNCTION_ARGS)
{
	SpanRows *rows;
	History	  history = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		RowBuilder nothing;

		begin_rows(fcinfo, &nothing);
		return (Datum) 0;
	}
	rows = palloc0(sizeof(SpanRows));
	history.context = rows->run.context = CurrentMemoryContext;
	rows->run.lifecycle = decode_lifecycle(PG_GETARG_DATUM(1));
	rows->run.as_of = PG_GETARG_TIMESTAMPTZ(2);
	rows->run.since = PG_ARGISNULL(3) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(3);
	rows->run.end_attempt = put_spans;
	check_visit_options(rows->run.lifecycle, rows->run.as_of, rows->run.since);
	begin_rows(fcinfo, &rows->row);
	read_history(&history, PG_GETARG_DATUM(0));
	run_visits(&rows->run, &history);
	return (Datum) 0;
}
