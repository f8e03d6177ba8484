/*
 * funnel.c
 *	  funnel_conversion: how far subjects come, and what became of those who did not come further.
 *
 * A summary counts attempts by the highest step they reached and by outcome. Everything else is read from that: as the
 * steps below the level were passed (or imputed), a step was entered by all attempts whose level is at or above it. So
 * one attempt costs one increment and a sum for each conversion it timed; what is rare (imputed steps, repeats, ...) is
 * counted on its own.
 *
 * Working state: FunnelState, then the sums of times to convert (8 or 16 bytes a step), the amounts if there are any,
 * the cells (2, 4 or 8 bytes each: wide enough for all marks read so far), and the definition's bytes. Narrow cells keep
 * many small groups in memory.
 *
 * Stored form:
 *	version byte
 *	as_of						zigzag varint
 *	flags						1: amounts
 *	lifecycle					varint length and bytes
 *	subjects, attempts, recycled, unknown marks		varints
 *	for each step				11 varints (StepCell), the sum of times to convert (128-bit varint) and with amounts
 *								the sums of StepAmounts
 */
#include "attempts.h"
#include "pack.h"
#include "shapes.h"
#include "statistics.h"
#include "sums.h"

#include "funcapi.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#define TYPE_NAME "funnel_summary"
#define HAS_AMOUNTS 0x01
#define AMOUNT_SCALE 10000 /* amounts are exact to four decimals */

/* Cells that belong to no step. */
typedef enum SummaryCell
{
	CELL_SUBJECTS, /* journeys read */
	CELL_ATTEMPTS, /* that count or not */
	CELL_RECYCLED, /* of those, how many ended recycled */
	CELL_UNKNOWN_MARKS
} SummaryCell;

#define SUMMARY_CELLS 4

/* Cells of a step, after those of the outcomes of attempts that came no further. */
typedef enum StepCell
{
	CELL_MISSING = OUTCOMES, /* attempts that came further without a mark of this step */
	CELL_REPEATS,
	CELL_REGRESSES,
	CELL_UNTIMED /* attempts that came further, with a mark, but not after it */
} StepCell;

#define STEP_CELLS 11

StaticAssertDecl(CELL_UNTIMED + 1 == STEP_CELLS, "step cells");

typedef struct StepAmounts
{
	Sum128 ended[OUTCOMES]; /* by outcome, like the cells */
	Sum128 missing;
	Sum192 ended_squares;
	Sum192 missing_squares;
} StepAmounts;

typedef struct FunnelState
{
	int32		vl_len_;
	uint8		header; /* WORKING_BIT | version */
	uint8		width;	/* bytes of a cell; of a time sum: 16 if this is 8, else 8 */
	uint8		step_count;
	uint8		has_amounts;
	uint64		fingerprint;
	TimestampTz as_of;
	uint64		cell_bound; /* no cell is larger than this */
	uint64		time_bound; /* no time sum is larger than this, while width < 8 */
	uint32		definition_length;
	uint32		reserved;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} FunnelState;

StaticAssertDecl(offsetof(FunnelState, header) == VARHDRSZ, "the header byte is the first payload byte");
StaticAssertDecl(offsetof(FunnelState, data) == 48, "funnel state layout");

/* What one step says, derived from the cells. */
typedef struct StepFigures
{
	uint64 entered;
	uint64 observed;
	uint64 imputed;
	uint64 converted;
	uint64 lost; /* all exits that are not won */
	uint64 no_decision;
	uint64 recycled;
	uint64 churned;
	uint64 in_progress;
	uint64 expired;
	uint64 repeats;
	uint64 regresses;
	uint64 timed;
	int128 time_to_convert;
	int128 amount_entered;
	int128 amount_converted;
	int128 amount_lost;
	double amount_squares;
} StepFigures;

/* A history being read into a state. */
typedef struct FunnelRun
{
	AttemptRun	   run; /* first, so that the callbacks find the rest */
	FunnelState	  *state;
	int64		   amount;
	bool		   has_amount;
	int			   taken_count;
	const Attempt *taken; /* the last one */
	ShapeTable	  *shapes;
} FunnelRun;

PG_FUNCTION_INFO_V1(revacct_funnel_add_journey);
PG_FUNCTION_INFO_V1(revacct_funnel_add_pack);
PG_FUNCTION_INFO_V1(revacct_funnel_add_summary);
PG_FUNCTION_INFO_V1(revacct_funnel_final);
PG_FUNCTION_INFO_V1(revacct_funnel_in);
PG_FUNCTION_INFO_V1(revacct_funnel_out);
PG_FUNCTION_INFO_V1(revacct_funnel_recv);
PG_FUNCTION_INFO_V1(revacct_funnel_send);
PG_FUNCTION_INFO_V1(revacct_funnel_lifecycle);
PG_FUNCTION_INFO_V1(revacct_funnel_fingerprint);
PG_FUNCTION_INFO_V1(revacct_funnel_as_of);
PG_FUNCTION_INFO_V1(revacct_funnel_subjects);
PG_FUNCTION_INFO_V1(revacct_funnel_attempt_count);
PG_FUNCTION_INFO_V1(revacct_funnel_recycled);
PG_FUNCTION_INFO_V1(revacct_funnel_unknown_marks);
PG_FUNCTION_INFO_V1(revacct_funnel_entered);
PG_FUNCTION_INFO_V1(revacct_funnel_observed);
PG_FUNCTION_INFO_V1(revacct_funnel_imputed);
PG_FUNCTION_INFO_V1(revacct_funnel_converted);
PG_FUNCTION_INFO_V1(revacct_funnel_lost);
PG_FUNCTION_INFO_V1(revacct_funnel_in_progress);
PG_FUNCTION_INFO_V1(revacct_funnel_expired);
PG_FUNCTION_INFO_V1(revacct_funnel_conversion_rate);
PG_FUNCTION_INFO_V1(revacct_funnel_conversion_rate_low);
PG_FUNCTION_INFO_V1(revacct_funnel_conversion_rate_high);
PG_FUNCTION_INFO_V1(revacct_funnel_stages);
PG_FUNCTION_INFO_V1(revacct_funnel_attempts);

/*
 * Layout
 */

static inline int
cell_count(int step_count)
{
	return SUMMARY_CELLS + STEP_CELLS * step_count;
}

static inline Size
times_size(int step_count, int width)
{
	return (width == 8 ? sizeof(Sum128) : sizeof(int64)) * step_count;
}

static inline StepAmounts *
amounts_of(const FunnelState *state)
{
	return (StepAmounts *) (state->data + times_size(state->step_count, state->width));
}

static inline char *
cells_of(const FunnelState *state)
{
	return (char *) amounts_of(state) + (state->has_amounts ? sizeof(StepAmounts) * state->step_count : 0);
}

static inline char *
definition_of(const FunnelState *state)
{
	return cells_of(state) + MAXALIGN(cell_count(state->step_count) * state->width);
}

static FunnelState *
new_state(int step_count, int width, bool has_amounts, uint64 fingerprint, TimestampTz as_of, const void *definition,
		  Size definition_length)
{
	Size size = offsetof(FunnelState, data) + times_size(step_count, width) +
				(has_amounts ? sizeof(StepAmounts) * step_count : 0) + MAXALIGN(cell_count(step_count) * width) +
				definition_length;
	FunnelState *state = palloc0(size);

	SET_VARSIZE(state, size);
	state->header = WORKING_BIT | REVACCT_VERSION_BYTE;
	state->width = width;
	state->step_count = step_count;
	state->has_amounts = has_amounts;
	state->fingerprint = fingerprint;
	state->as_of = as_of;
	state->definition_length = definition_length;
	memcpy(definition_of(state), definition, definition_length);
	return state;
}

static inline int
step_cell(int step, int cell)
{
	return SUMMARY_CELLS + STEP_CELLS * step + cell;
}

static pg_attribute_always_inline void
add_to_cell(char *cells, int width, int index, uint64 by)
{
	if (width == 2)
		((uint16 *) cells)[index] += (uint16) by;
	else if (width == 4)
		((uint32 *) cells)[index] += (uint32) by;
	else
		((uint64 *) cells)[index] += by;
}

static inline uint64
cell_value(const FunnelState *state, int index)
{
	const char *cells = cells_of(state);

	return state->width == 2   ? ((const uint16 *) cells)[index]
		   : state->width == 4 ? ((const uint32 *) cells)[index]
							   : ((const uint64 *) cells)[index];
}

static pg_attribute_always_inline void
add_to_time(char *times, int width, int step, int128 by)
{
	if (width == 8)
		sum_add((Sum128 *) times + step, by);
	else
		((int64 *) times)[step] += (int64) by;
}

static inline int128
time_value(const FunnelState *state, int step)
{
	return state->width == 8 ? sum_value((const Sum128 *) state->data + step) : ((const int64 *) state->data)[step];
}

/* Add the contents of a state to another whose cells and sums are wide enough. */
static void
add_state(FunnelState *to, const FunnelState *from)
{
	char *cells = cells_of(to);

	for (int i = 0; i < cell_count(to->step_count); i++)
		add_to_cell(cells, to->width, i, cell_value(from, i));
	for (int step = 0; step < to->step_count; step++)
		add_to_time(to->data, to->width, step, time_value(from, step));
	for (int step = 0; step < to->step_count && from->has_amounts; step++)
	{
		StepAmounts		  *sums = &amounts_of(to)[step];
		const StepAmounts *more = &amounts_of(from)[step];

		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			sum_add(&sums->ended[outcome], sum_value(&more->ended[outcome]));
		sum_add(&sums->missing, sum_value(&more->missing));
		square_sum_add(&sums->ended_squares, &more->ended_squares);
		square_sum_add(&sums->missing_squares, &more->missing_squares);
	}
}

static inline uint64
width_limit(int width)
{
	return width == 2 ? PG_UINT16_MAX : width == 4 ? PG_UINT32_MAX : PG_UINT64_MAX;
}

static pg_noinline FunnelState *
widened_state(FunnelState *state, uint64 marks, uint64 time, bool has_amounts)
{
	int			 width = state->width;
	FunnelState *wider;

	if (state->time_bound + time > (uint64) PG_INT64_MAX)
		width = 8;
	while (state->cell_bound + marks > width_limit(width) && width < 8)
		width *= 2;
	wider = new_state(state->step_count,
					  width,
					  has_amounts || state->has_amounts,
					  state->fingerprint,
					  state->as_of,
					  definition_of(state),
					  state->definition_length);
	add_state(wider, state);
	wider->cell_bound = state->cell_bound + marks;
	wider->time_bound = width == 8 ? 0 : state->time_bound + time;
	return wider;
}

/* A state with cells for that many more marks, sums for that much more time, and amounts if asked. */
static inline FunnelState *
with_room(FunnelState *state, uint64 marks, uint64 time, bool has_amounts)
{
	if (unlikely(state->cell_bound + marks > width_limit(state->width) || has_amounts > state->has_amounts ||
				 (state->width < 8 && state->time_bound + time > (uint64) PG_INT64_MAX)))
		return widened_state(state, marks, time, has_amounts);
	state->cell_bound += marks;
	state->time_bound += state->width < 8 ? time : 0;
	return state;
}

/*
 * Taking attempts in
 */

static pg_attribute_always_inline void
add_attempt(FunnelState *state, const Attempt *attempt, int width)
{
	char  *cells = cells_of(state);
	uint64 below = steps_below(attempt->level);
	uint64 steps;

	add_to_cell(cells, width, step_cell(attempt->level, attempt->outcome), 1);
	for (steps = attempt->timed; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		add_to_time(state->data, width, step, attempt->converted_at[step] - attempt->first_at[step]);
	}
	for (steps = below & ~attempt->observed; steps != 0; steps &= steps - 1)
		add_to_cell(cells, width, step_cell(pg_rightmost_one_pos64(steps), CELL_MISSING), 1);
	for (steps = below & attempt->observed & ~attempt->timed; steps != 0; steps &= steps - 1)
		add_to_cell(cells, width, step_cell(pg_rightmost_one_pos64(steps), CELL_UNTIMED), 1);
	for (steps = attempt->repeated; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		add_to_cell(cells, width, step_cell(step, CELL_REPEATS), attempt->repeats[step]);
	}
	for (steps = attempt->regressed; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		add_to_cell(cells, width, step_cell(step, CELL_REGRESSES), attempt->regresses[step]);
	}
}

static void
add_amount(FunnelState *state, const Attempt *attempt, int64 amount)
{
	StepAmounts *amounts = amounts_of(state);
	Sum192		 square = square_of(amount);

	sum_add(&amounts[attempt->level].ended[attempt->outcome], amount);
	square_sum_add(&amounts[attempt->level].ended_squares, &square);
	for (uint64 steps = steps_below(attempt->level) & ~attempt->observed; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		sum_add(&amounts[step].missing, amount);
		square_sum_add(&amounts[step].missing_squares, &square);
	}
}

static void
take_attempt(AttemptRun *run, const Attempt *attempt)
{
	FunnelRun	*funnel = (FunnelRun *) run;
	FunnelState *state = funnel->state;

	if (likely(state->width == 4))
		add_attempt(state, attempt, 4);
	else if (state->width == 2)
		add_attempt(state, attempt, 2);
	else
		add_attempt(state, attempt, 8);
	if (funnel->has_amount)
		add_amount(state, attempt, funnel->amount);
}

static inline void
count_history(FunnelState *state, const AttemptRun *run)
{
	char *cells = cells_of(state);

	add_to_cell(cells, state->width, CELL_SUBJECTS, 1);
	add_to_cell(cells, state->width, CELL_ATTEMPTS, run->attempts);
	if (unlikely(run->recycled != 0))
		add_to_cell(cells, state->width, CELL_RECYCLED, run->recycled);
	if (unlikely(run->unknown_marks != 0))
		add_to_cell(cells, state->width, CELL_UNKNOWN_MARKS, run->unknown_marks);
}

/* The time sums of one history are at most the time it spans, since its attempts do not overlap. */
static inline uint64
time_spanned(const History *history)
{
	return history->count == 0 ? 0 : (uint64) (history->at[history->count - 1] - history->at[0]);
}

/* Read a history in full. */
static void
read_into(FunnelRun *funnel, History *history, bool has_amounts)
{
	funnel->state = with_room(funnel->state, history->count + 1, time_spanned(history), has_amounts);
	begin_attempt_run(&funnel->run, funnel->run.lifecycle, funnel->run.as_of);
	run_attempts(&funnel->run, history);
	count_history(funnel->state, &funnel->run);
}

/*
 * Shapes
 */

static void
note_taken(AttemptRun *run, const Attempt *attempt)
{
	FunnelRun *funnel = (FunnelRun *) run;

	funnel->taken_count++;
	funnel->taken = attempt;
}

/* Each of the steps raises its cell once, or as often as counts says; more than there is room for is not simple. */
static void
add_shape_cells(Shape *shape, uint64 steps, int cell, const uint32 *counts)
{
	for (; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		for (uint32 i = counts == NULL ? 1 : counts[step]; i > 0; i--)
		{
			if (shape->cell_count == SHAPE_CELLS)
			{
				shape->simple = false;
				return;
			}
			shape->cells[shape->cell_count++] = step_cell(step, cell);
		}
	}
}

static int
mark_at(const History *history, TimestampTz at)
{
	int i = 0;

	while (history->at[i] != at)
		i++;
	return i;
}

/*
 * Work out what histories of this shape do. Whether the window of an open attempt has closed is the one thing left to find
 * out for each.
 */
StaticAssertDecl(OUTCOME_EXPIRED == OUTCOME_IN_PROGRESS + 1,
				 "the cell of the expired follows that of those in progress");


static pg_noinline void
learn_shape(FunnelRun *funnel, const ShapedHistory *shaped, int64 unit_usecs, History *history, Shape *shape)
{
	const Attempt *attempt;
	uint64		   below;

	reserve_history(history, SHAPE_MARKS);
	history->count = shaped->count;
	history->has_seq = false;
	for (int i = 0; i < shaped->count; i++)
	{
		history->at[i] = shaped->first_at + (int64) shaped->offsets[i] * unit_usecs;
		history->mark[i] = shaped->key >> (5 * (shaped->count - 1 - i)) & 0x1F;
	}
	funnel->taken_count = 0;
	funnel->run.take = note_taken;
	begin_attempt_run(&funnel->run, funnel->run.lifecycle, funnel->run.as_of);
	run_attempts(&funnel->run, history);
	funnel->run.take = take_attempt;

	/* which of several attempts counts may depend on their times, which are not part of the shape */
	shape->key = shaped->key;
	shape->simple = funnel->run.attempts <= 1 && funnel->run.unknown_marks == 0;
	shape->cell_count = shape->time_count = 0;
	shape->open_cell = 0;
	shape->attempts = funnel->run.attempts;
	shape->recycled = funnel->run.recycled;
	if (!shape->simple || funnel->taken_count == 0)
		return;
	attempt = funnel->taken;
	below = steps_below(attempt->level);
	if (attempt->outcome <= OUTCOME_EXPIRED)
	{
		shape->open_cell = step_cell(attempt->level, OUTCOME_IN_PROGRESS);
		shape->opened_by = mark_at(history, attempt->opened_at);
	}
	else
		shape->cells[shape->cell_count++] = step_cell(attempt->level, attempt->outcome);
	add_shape_cells(shape, below & ~attempt->observed, CELL_MISSING, NULL);
	add_shape_cells(shape, below & attempt->observed & ~attempt->timed, CELL_UNTIMED, NULL);
	add_shape_cells(shape, attempt->repeated, CELL_REPEATS, attempt->repeats);
	add_shape_cells(shape, attempt->regressed, CELL_REGRESSES, attempt->regresses);
	for (uint64 steps = attempt->timed; steps != 0; steps &= steps - 1)
	{
		int step = pg_rightmost_one_pos64(steps);

		shape->times[shape->time_count++] =
			SHAPE_TIME(step, mark_at(history, attempt->first_at[step]), mark_at(history, attempt->converted_at[step]));
	}
}

static pg_attribute_always_inline void
apply_shape(FunnelState *state, const Shape *shape, const ShapedHistory *shaped, int64 unit_usecs, int64 within,
			int width)
{
	char *cells = cells_of(state);

	add_to_cell(cells, width, CELL_SUBJECTS, 1);
	add_to_cell(cells, width, CELL_ATTEMPTS, shape->attempts);
	if (unlikely(shape->recycled != 0))
		add_to_cell(cells, width, CELL_RECYCLED, 1);
	for (int i = 0; i < shape->cell_count; i++)
		add_to_cell(cells, width, shape->cells[i], 1);
	if (shape->open_cell != 0)
	{
		TimestampTz opened_at = shaped->first_at + (int64) shaped->offsets[shape->opened_by] * unit_usecs;

		add_to_cell(cells, width, shape->open_cell + (state->as_of - opened_at > within), 1);
	}
	for (int i = 0; i < shape->time_count; i++)
	{
		uint16 time = shape->times[i];
		uint64 units = shaped->offsets[SHAPE_TIME_TO(time)] - shaped->offsets[SHAPE_TIME_FROM(time)];

		add_to_time(state->data, width, SHAPE_TIME_STEP(time), (int64) units * unit_usecs);
	}
}

/*
 * Read the next count marks (if negative: all up to the end) by their shape. False if that cannot be done: then nothing
 * has been read.
 */
static pg_attribute_always_inline bool
read_by_shape(FunnelRun *funnel, ByteReader *reader, int count, int unit, History *history)
{
	ShapedHistory shaped;
	Shape		 *shape;
	int64		  unit_usecs = time_unit_usecs[unit];
	const uint8	 *start = reader->p;

	if (!read_shaped_history(&shaped, reader, count, unit_usecs, funnel->shapes, funnel->run.as_of))
		return false;
	shape = shape_slot(funnel->shapes, shaped.key);
	funnel->shapes->reads++;
	if (unlikely(shape->key != shaped.key))
	{
		note_miss(funnel->shapes);
		learn_shape(funnel, &shaped, unit_usecs, history, shape);
	}
	if (unlikely(!shape->simple))
	{
		reader->p = start;
		return false;
	}
	funnel->state =
		with_room(funnel->state, shaped.count + 1, shaped.offsets[shaped.count - 1] * (uint64) unit_usecs, false);
	if (likely(funnel->state->width == 4))
		apply_shape(funnel->state, shape, &shaped, unit_usecs, funnel->shapes->within, 4);
	else if (funnel->state->width == 2)
		apply_shape(funnel->state, shape, &shaped, unit_usecs, funnel->shapes->within, 2);
	else
		apply_shape(funnel->state, shape, &shaped, unit_usecs, funnel->shapes->within, 8);
	return true;
}

static inline void
check_same(const FunnelState *state, uint64 fingerprint, TimestampTz as_of)
{
	if (unlikely(state->fingerprint != fingerprint))
		report_definition_mismatch("lifecycles", state->fingerprint, fingerprint);
	if (unlikely(state->as_of != as_of))
		report_instant_mismatch("as_of", state->as_of, as_of);
}

static inline FunnelState *state_argument(FunctionCallInfo fcinfo);

static FunnelRun *
new_funnel_run(MemoryContext context)
{
	FunnelRun *funnel = MemoryContextAllocZero(context, sizeof(FunnelRun));

	/* each shape in one cache line */
	funnel->shapes =
		(ShapeTable *) TYPEALIGN(SHAPE_BYTES, MemoryContextAllocZero(context, sizeof(ShapeTable) + SHAPE_BYTES));
	return funnel;
}

/*
 * Set up a transition with a lifecycle in argument 2 and as_of in argument 3: the run and the state, which is made if
 * argument 0 is NULL.
 */
static pg_attribute_always_inline void
begin_transition(FunctionCallInfo fcinfo, FunnelRun **run)
{
	CallCache *cache = call_cache(fcinfo);
	FunnelRun *funnel;
	Lifecycle *lifecycle;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", PG_ARGISNULL(2) ? "the lifecycle" : "as_of")));
	if (unlikely(cache->scratch == NULL))
		cache->scratch = new_funnel_run(fcinfo->flinfo->fn_mcxt);
	funnel = cache->scratch;
	lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(2));
	funnel->run.lifecycle = lifecycle;
	funnel->run.as_of = PG_GETARG_TIMESTAMPTZ(3);
	funnel->run.take = take_attempt;
	funnel->run.see = NULL;
	funnel->has_amount = false;
	prepare_shapes(funnel->shapes, lifecycle);
	if (likely(!PG_ARGISNULL(0)))
	{
		funnel->state = state_argument(fcinfo);
		check_same(funnel->state, lifecycle->fingerprint, funnel->run.as_of);
	}
	else
	{
		ByteReader reader;

		check_finite_instant(funnel->run.as_of, "as_of");
		reader_over_datum(&reader, PG_GETARG_DATUM(2), "lifecycle");
		funnel->state = new_state(lifecycle->step_count,
								  2,
								  false,
								  lifecycle->fingerprint,
								  funnel->run.as_of,
								  reader.p,
								  reader.end - reader.p);
	}
	*run = funnel;
}

/* An amount of money as an exact count of its smallest part. */
static int64
scaled_amount(Numeric amount)
{
	Datum scaled;
	Datum whole;

	if (numeric_is_nan(amount) || numeric_is_inf(amount))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an amount must be a finite number")));
	scaled = DirectFunctionCall2(numeric_mul, NumericGetDatum(amount), NumericGetDatum(int64_to_numeric(AMOUNT_SCALE)));
	whole = DirectFunctionCall2(numeric_trunc, scaled, Int32GetDatum(0));
	if (!DatumGetBool(DirectFunctionCall2(numeric_eq, scaled, whole)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an amount has at most four decimals"),
				 errdetail("The amount is %s.",
						   DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount)))),
				 errhint("Round it to the currency's smallest unit.")));
	if (DatumGetBool(DirectFunctionCall2(numeric_gt, whole, NumericGetDatum(int64_to_numeric(PG_INT64_MAX)))) ||
		DatumGetBool(DirectFunctionCall2(numeric_lt, whole, NumericGetDatum(int64_to_numeric(PG_INT64_MIN)))))
		ereport(ERROR,
				(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
				 errmsg("an amount is out of range"),
				 errdetail("The amount is %s.",
						   DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(amount)))),
				 errhint("Amounts are at most 922,337,203,685,477.5807.")));
	return DatumGetInt64(DirectFunctionCall1(numeric_int8, whole));
}

/*
 * Transition of funnel_conversion(journey, lifecycle, as_of [, amount]). A row without journey is ignored.
 */
Datum
revacct_funnel_add_journey(PG_FUNCTION_ARGS)
{
	FunnelRun *funnel;
	History	  *history;
	ByteReader reader;
	int		   unit;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	begin_transition(fcinfo, &funnel);
	history = &call_cache(fcinfo)->history;
	if (likely(PG_NARGS() == 4) && likely(open_journey(&reader, PG_GETARG_DATUM(1), &unit)) &&
		read_by_shape(funnel, &reader, -1, unit, history))
		PG_RETURN_POINTER(funnel->state);

	read_history(history, PG_GETARG_DATUM(1));
	if (PG_NARGS() > 4)
	{
		funnel->has_amount = !PG_ARGISNULL(4);
		if (funnel->has_amount)
			funnel->amount = scaled_amount(PG_GETARG_NUMERIC(4));
	}
	read_into(funnel, history, PG_NARGS() > 4);
	PG_RETURN_POINTER(funnel->state);
}

/* Transition of funnel_conversion(journey_pack, lifecycle, as_of). */
Datum
revacct_funnel_add_pack(PG_FUNCTION_ARGS)
{
	FunnelRun *funnel;
	History	  *history;
	PackReader pack;
	int		   count;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	begin_transition(fcinfo, &funnel);
	history = &call_cache(fcinfo)->history;
	open_pack(&pack, PG_GETARG_DATUM(1));
	while (next_subject(&pack, &count))
	{
		CHECK_FOR_INTERRUPTS();
		if (likely(!pack.extras) && likely(read_by_shape(funnel, &pack.reader, count, pack.unit, history)))
			continue;
		read_history_body(history, &pack.reader, count, pack.unit, pack.extras);
		read_into(funnel, history, false);
	}
	PG_RETURN_POINTER(funnel->state);
}

/*
 * Stored form
 */

static void
append_square_sum(StringInfo out, const Sum192 *sum)
{
	for (int i = 0; i < 3; i++)
		append_varint(out, sum->words[i]);
}

static void
append_state(StringInfo out, const FunnelState *state)
{
	appendStringInfoChar(out, REVACCT_VERSION_BYTE);
	append_varint(out, zigzag(state->as_of));
	appendStringInfoChar(out, state->has_amounts ? HAS_AMOUNTS : 0);
	append_varint(out, state->definition_length);
	appendBinaryStringInfo(out, definition_of(state), state->definition_length);
	for (int i = 0; i < SUMMARY_CELLS; i++)
		append_varint(out, cell_value(state, i));
	for (int step = 0; step < state->step_count; step++)
	{
		for (int cell = 0; cell < STEP_CELLS; cell++)
			append_varint(out, cell_value(state, step_cell(step, cell)));
		append_varint128(out, time_value(state, step));
		if (!state->has_amounts)
			continue;
		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			append_varint128(out, sum_value(&amounts_of(state)[step].ended[outcome]));
		append_varint128(out, sum_value(&amounts_of(state)[step].missing));
		append_square_sum(out, &amounts_of(state)[step].ended_squares);
		append_square_sum(out, &amounts_of(state)[step].missing_squares);
	}
}

static void
read_sum(ByteReader *reader, Sum128 *sum)
{
	sum_add(sum, read_varint128(reader));
}

static void
read_square_sum(ByteReader *reader, Sum192 *sum)
{
	for (int i = 0; i < 3; i++)
		sum->words[i] = read_varint(reader);
}

/* Read a stored summary into a state with wide cells; lifecycle is set to its definition. */
static FunnelState *
read_state(ByteReader reader, Lifecycle **lifecycle)
{
	uint8		 version = read_byte(&reader);
	TimestampTz	 as_of;
	uint8		 flags;
	const uint8 *definition;
	FunnelState *state;
	char		*cells;
	Size		 length;

	if (version != REVACCT_VERSION_BYTE)
		report_newer_version(TYPE_NAME, version);
	as_of = unzigzag(read_varint(&reader));
	flags = read_byte(&reader);
	if (!IS_VALID_TIMESTAMP(as_of) || (flags & ~HAS_AMOUNTS))
		broken(&reader);
	length = read_bounded(&reader, reader.end - reader.p);
	definition = read_bytes(&reader, length);
	*lifecycle = decode_lifecycle_bytes(definition, length, reader.source);
	state = new_state((*lifecycle)->step_count,
					  8,
					  (flags & HAS_AMOUNTS) != 0,
					  (*lifecycle)->fingerprint,
					  as_of,
					  definition,
					  length);
	cells = cells_of(state);
	for (int i = 0; i < SUMMARY_CELLS; i++)
		add_to_cell(cells, 8, i, read_varint(&reader));
	for (int step = 0; step < state->step_count; step++)
	{
		StepAmounts *amounts = &amounts_of(state)[step];

		for (int cell = 0; cell < STEP_CELLS; cell++)
			add_to_cell(cells, 8, step_cell(step, cell), read_varint(&reader));
		read_sum(&reader, (Sum128 *) state->data + step);
		if (!state->has_amounts)
			continue;
		for (int outcome = 0; outcome < OUTCOMES; outcome++)
			read_sum(&reader, &amounts->ended[outcome]);
		read_sum(&reader, &amounts->missing);
		read_square_sum(&reader, &amounts->ended_squares);
		read_square_sum(&reader, &amounts->missing_squares);
	}
	if (reader.p != reader.end)
		broken(&reader);
	state->cell_bound = PG_UINT64_MAX / 2;
	return state;
}

/* A working state behind a datum, complete, or an error. */
static FunnelState *
working_state(Datum datum, const ByteReader *reader)
{
	FunnelState *state = (FunnelState *) PG_DETOAST_DATUM(datum);

	if (VARSIZE(state) < offsetof(FunnelState, data) || state->step_count > MAX_STEPS ||
		(state->width != 2 && state->width != 4 && state->width != 8) || state->has_amounts > 1 ||
		definition_of(state) + state->definition_length != (char *) state + VARSIZE(state))
		broken(reader);
	return state;
}

static FunnelState *
any_state(Datum datum, Lifecycle **lifecycle)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, TYPE_NAME);
	if (!is_working(&reader))
		return read_state(reader, lifecycle);
	*lifecycle = NULL;
	return working_state(datum, &reader);
}

/* The state in argument 0, ready to be changed: made of it if it is a value that comes from elsewhere than this aggregate. */
static inline FunnelState *
state_argument(FunctionCallInfo fcinfo)
{
	FunnelState *state;
	ByteReader	 reader;
	Lifecycle	*lifecycle;

	if (likely(has_state_in_place(fcinfo)))
		return (FunnelState *) PG_GETARG_POINTER(0);
	if ((state = own_state(fcinfo)) != NULL)
		return state;
	reader_over_datum(&reader, PG_GETARG_DATUM(0), TYPE_NAME);
	if (!is_working(&reader))
		return read_state(reader, &lifecycle);
	return working_state(PointerGetDatum(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0))), &reader);
}

/* Is every count at most one that it is a part of? A sum of so many attempts cannot be believed otherwise. */
static bool
is_consistent(const FunnelState *state, const Lifecycle *lifecycle)
{
	uint64 higher = 0;

	for (int i = 0; i < cell_count(state->step_count); i++)
		if (cell_value(state, i) > PG_INT64_MAX / 2)
			return false;
	for (int step = state->step_count - 1; step >= 0; step--)
	{
		uint64 missing = cell_value(state, step_cell(step, CELL_MISSING));
		uint64 untimed = cell_value(state, step_cell(step, CELL_UNTIMED));

		if (missing > higher || untimed > higher - missing || (missing > 0 && lifecycle->skip == SKIP_STRICT) ||
			time_value(state, step) < 0 || (time_value(state, step) > 0 && higher == missing + untimed))
			return false;
		for (int outcome = 0; outcome < OUTCOMES; outcome++)
		{
			uint64 ended = cell_value(state, step_cell(step, outcome));

			if ((ended > 0 && (outcome == OUTCOME_WON) != (step == lifecycle->won_step)) ||
				pg_add_u64_overflow(higher, ended, &higher))
				return false;
		}
	}
	return higher <= cell_value(state, CELL_ATTEMPTS) &&
		   cell_value(state, CELL_RECYCLED) <= cell_value(state, CELL_ATTEMPTS);
}

/* A stored summary, checked as something from outside. */
static Datum
checked_summary(const StringInfoData *bytes)
{
	ByteReader	   reader = {(uint8 *) bytes->data, (uint8 *) bytes->data + bytes->len, TYPE_NAME, BYTES_RECEIVED};
	Lifecycle	  *lifecycle;
	FunnelState	  *state = read_state(reader, &lifecycle);
	StringInfoData again;

	initStringInfo(&again);
	append_state(&again, state);
	check_lifecycle_bytes(definition_of(state), state->definition_length, BYTES_RECEIVED);
	if (again.len != bytes->len || memcmp(again.data, bytes->data, again.len) != 0 || !is_consistent(state, lifecycle))
		broken(&reader);
	return bytes_as_varlena(bytes);
}

/*
 * Transition of rollup(funnel_summary), and combine function of all.
 */
Datum
revacct_funnel_add_summary(PG_FUNCTION_ARGS)
{
	Lifecycle	*lifecycle;
	FunnelState *state;
	FunnelState *more;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	more = any_state(PG_GETARG_DATUM(1), &lifecycle);
	if (PG_ARGISNULL(0))
	{
		state = palloc(VARSIZE(more));
		memcpy(state, more, VARSIZE(more));
		PG_RETURN_POINTER(state);
	}
	state = state_argument(fcinfo);
	check_same(state, more->fingerprint, more->as_of);
	if (more->width == 8 && state->width < 8)
		state = with_room(state, PG_UINT32_MAX, 0, more->has_amounts);
	else
		state = with_room(state, more->width == 8 ? 0 : more->cell_bound, more->time_bound, more->has_amounts);
	add_state(state, more);
	PG_RETURN_POINTER(state);
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
revacct_funnel_final(PG_FUNCTION_ARGS)
{
	Lifecycle	  *lifecycle;
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_state(&bytes, any_state(PG_GETARG_DATUM(0), &lifecycle));
	return bytes_as_varlena(&bytes);
}

/* Text: the stored bytes in hexadecimal, as bytea has them. */
Datum
revacct_funnel_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(bytes_as_hex(DirectFunctionCall1(revacct_funnel_final, PG_GETARG_DATUM(0)), TYPE_NAME));
}

Datum
revacct_funnel_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = hex_as_bytes(PG_GETARG_CSTRING(0), TYPE_NAME);

	return checked_summary(&bytes);
}

Datum
revacct_funnel_send(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(revacct_funnel_final, PG_GETARG_DATUM(0));
}

Datum
revacct_funnel_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	return checked_summary(&bytes);
}

/*
 * Figures
 */

static uint64
ended_at(const FunnelState *state, int step)
{
	uint64 sum = 0;

	for (int outcome = 0; outcome < OUTCOMES; outcome++)
		sum += cell_value(state, step_cell(step, outcome));
	return sum;
}

static int128
amount_ended_at(const StepAmounts *amounts)
{
	int128 sum = 0;

	for (int outcome = 0; outcome < OUTCOMES; outcome++)
		sum += sum_value(&amounts->ended[outcome]);
	return sum;
}

static void
read_amounts(const FunnelState *state, const Lifecycle *lifecycle, int step, StepFigures *figures)
{
	const StepAmounts *amounts = amounts_of(state);
	bool			   any = lifecycle->skip == SKIP_ANY;
	int128			   further = 0;
	Sum192			   squares = amounts[step].ended_squares;

	for (int higher = step + 1; higher < state->step_count; higher++)
	{
		further += amount_ended_at(&amounts[higher]);
		square_sum_add(&squares, &amounts[higher].ended_squares);
	}
	if (any)
	{
		further -= sum_value(&amounts[step].missing);
		square_sum_subtract(&squares, &amounts[step].missing_squares);
	}
	figures->amount_entered = further + amount_ended_at(&amounts[step]);
	figures->amount_converted = further + (step == lifecycle->won_step ? amount_ended_at(&amounts[step]) : 0);
	for (int outcome = FIRST_LOST_OUTCOME; outcome < OUTCOMES; outcome++)
		figures->amount_lost += sum_value(&amounts[step].ended[outcome]);
	figures->amount_squares = square_sum_as_double(&squares);
}

static StepFigures
read_figures(const FunnelState *state, const Lifecycle *lifecycle, int step)
{
	StepFigures figures = {0};
	uint64		further = 0;
	uint64		here = ended_at(state, step);
	uint64		missing = cell_value(state, step_cell(step, CELL_MISSING));

	for (int higher = step + 1; higher < state->step_count; higher++)
		further += ended_at(state, higher);
	figures.observed = further - missing + here;
	figures.imputed = lifecycle->skip == SKIP_IMPUTE ? missing : 0;
	figures.entered = figures.observed + figures.imputed;
	figures.converted = figures.entered - (step == lifecycle->won_step ? 0 : here);
	figures.in_progress = cell_value(state, step_cell(step, OUTCOME_IN_PROGRESS));
	figures.expired = cell_value(state, step_cell(step, OUTCOME_EXPIRED));
	figures.no_decision = cell_value(state, step_cell(step, OUTCOME_NO_DECISION));
	figures.recycled = cell_value(state, step_cell(step, OUTCOME_RECYCLED));
	figures.churned = cell_value(state, step_cell(step, OUTCOME_CHURNED));
	figures.lost =
		cell_value(state, step_cell(step, OUTCOME_LOST)) + figures.no_decision + figures.recycled + figures.churned;
	figures.repeats = cell_value(state, step_cell(step, CELL_REPEATS));
	figures.regresses = cell_value(state, step_cell(step, CELL_REGRESSES));
	figures.timed = further - missing - cell_value(state, step_cell(step, CELL_UNTIMED));
	figures.time_to_convert = time_value(state, step);
	if (state->has_amounts)
		read_amounts(state, lifecycle, step, &figures);
	return figures;
}

/* A summary value for reading: final values come with their lifecycle, a working state's is read from it. */
static FunnelState *
summary_argument(FunctionCallInfo fcinfo, Lifecycle **lifecycle)
{
	FunnelState *state = any_state(PG_GETARG_DATUM(0), lifecycle);

	if (*lifecycle == NULL)
		*lifecycle = decode_lifecycle_bytes(definition_of(state), state->definition_length, BYTES_STORED);
	return state;
}

/* The figures of the step named in argument 1. */
static StepFigures
figures_argument(FunctionCallInfo fcinfo)
{
	Lifecycle	*lifecycle;
	FunnelState *state = summary_argument(fcinfo, &lifecycle);

	return read_figures(state, lifecycle, step_by_name(lifecycle, text_to_cstring(PG_GETARG_TEXT_PP(1))));
}

Datum
revacct_funnel_entered(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).entered);
}

Datum
revacct_funnel_observed(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).observed);
}

Datum
revacct_funnel_imputed(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).imputed);
}

Datum
revacct_funnel_converted(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).converted);
}

Datum
revacct_funnel_lost(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).lost);
}

Datum
revacct_funnel_in_progress(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).in_progress);
}

Datum
revacct_funnel_expired(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(figures_argument(fcinfo).expired);
}

static Datum
summary_cell(FunctionCallInfo fcinfo, SummaryCell cell)
{
	Lifecycle *lifecycle;

	PG_RETURN_INT64(cell_value(any_state(PG_GETARG_DATUM(0), &lifecycle), cell));
}

Datum
revacct_funnel_subjects(PG_FUNCTION_ARGS)
{
	return summary_cell(fcinfo, CELL_SUBJECTS);
}

Datum
revacct_funnel_attempt_count(PG_FUNCTION_ARGS)
{
	return summary_cell(fcinfo, CELL_ATTEMPTS);
}

Datum
revacct_funnel_recycled(PG_FUNCTION_ARGS)
{
	return summary_cell(fcinfo, CELL_RECYCLED);
}

Datum
revacct_funnel_unknown_marks(PG_FUNCTION_ARGS)
{
	return summary_cell(fcinfo, CELL_UNKNOWN_MARKS);
}

Datum
revacct_funnel_lifecycle(PG_FUNCTION_ARGS)
{
	Lifecycle	  *lifecycle;
	FunnelState	  *state = any_state(PG_GETARG_DATUM(0), &lifecycle);
	StringInfoData definition;

	initStringInfo(&definition);
	appendBinaryStringInfo(&definition, definition_of(state), state->definition_length);
	return bytes_as_varlena(&definition);
}

Datum
revacct_funnel_fingerprint(PG_FUNCTION_ARGS)
{
	Lifecycle *lifecycle;

	PG_RETURN_TEXT_P(cstring_to_text(fingerprint_text(any_state(PG_GETARG_DATUM(0), &lifecycle)->fingerprint)));
}

Datum
revacct_funnel_as_of(PG_FUNCTION_ARGS)
{
	Lifecycle *lifecycle;

	PG_RETURN_TIMESTAMPTZ(any_state(PG_GETARG_DATUM(0), &lifecycle)->as_of);
}

static IntervalEstimate
conversion_rate(const StepFigures *figures, bool decided, double confidence)
{
	return wilson_interval(figures->converted,
						   decided ? figures->entered - figures->in_progress : figures->entered,
						   confidence);
}

/* The rate of the step in argument 1, of what argument 2 says. */
static IntervalEstimate
rate_argument(FunctionCallInfo fcinfo, double confidence)
{
	StepFigures figures = figures_argument(fcinfo);
	char	   *of = text_to_cstring(PG_GETARG_TEXT_PP(2));

	if (strcmp(of, "entered") != 0 && strcmp(of, "decided") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a conversion rate is not of \"%s\"", of),
				 errhint("Choose one of entered, decided.")));
	return conversion_rate(&figures, strcmp(of, "decided") == 0, confidence);
}

Datum
revacct_funnel_conversion_rate(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_argument(fcinfo, 0.95);

	if (!rate.has_value)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.value);
}

Datum
revacct_funnel_conversion_rate_low(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_argument(fcinfo, PG_GETARG_FLOAT8(3));

	if (!rate.has_limits)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.low);
}

Datum
revacct_funnel_conversion_rate_high(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_argument(fcinfo, PG_GETARG_FLOAT8(3));

	if (!rate.has_limits)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.high);
}

static Datum
amount_datum(int128 amount)
{
	return rounded_ratio(amount, AMOUNT_SCALE, 2);
}

/* The columns of a rate: itself, low, high. */
static void
put_rate(RowBuilder *row, IntervalEstimate rate)
{
	add_column(row, rounded_numeric(rate.value, 6), !rate.has_value);
	add_column(row, rounded_numeric(rate.low, 6), !rate.has_limits);
	add_column(row, rounded_numeric(rate.high, 6), !rate.has_limits);
}

static void
put_amounts(RowBuilder *row, const FunnelState *state, const StepFigures *figures)
{
	double entered = (double) figures->amount_entered;
	bool   none = !state->has_amounts;

	add_column(row, none ? (Datum) 0 : amount_datum(figures->amount_entered), none);
	add_column(row, none ? (Datum) 0 : amount_datum(figures->amount_converted), none);
	add_column(row, none ? (Datum) 0 : amount_datum(figures->amount_lost), none);
	none |= figures->amount_entered == 0;
	add_column(row, none ? (Datum) 0 : rounded_numeric((double) figures->amount_converted / entered, 6), none);
	none |= figures->amount_squares <= 0;
	add_column(row, none ? (Datum) 0 : rounded_numeric(entered * entered / figures->amount_squares, 2), none);
}

/* stages(funnel_summary, confidence): one row for each step. */
Datum
revacct_funnel_stages(PG_FUNCTION_ARGS)
{
	Lifecycle	*lifecycle;
	FunnelState *state = summary_argument(fcinfo, &lifecycle);
	double		 confidence = PG_GETARG_FLOAT8(1);
	RowBuilder	 row;

	begin_rows(fcinfo, &row);
	for (int step = 0; step < state->step_count; step++)
	{
		StepFigures figures = read_figures(state, lifecycle, step);
		uint64		counts[] = {figures.entered,
								figures.observed,
								figures.imputed,
								figures.converted,
								figures.lost,
								figures.no_decision,
								figures.recycled,
								figures.churned,
								figures.in_progress,
								figures.expired};

		add_column(&row, Int32GetDatum(step + 1), false);
		add_text(&row, lifecycle->stages[step].name);
		add_text(&row, category_names[lifecycle->stages[step].category]);
		for (Size i = 0; i < lengthof(counts); i++)
			add_column(&row, Int64GetDatum(counts[i]), false);
		put_rate(&row, conversion_rate(&figures, false, confidence));
		put_rate(&row, conversion_rate(&figures, true, confidence));
		add_column(&row, Int64GetDatum(figures.repeats), false);
		add_column(&row, Int64GetDatum(figures.regresses), false);
		add_column(&row, Int64GetDatum(figures.timed), false);
		add_column(&row,
				   figures.timed == 0
					   ? (Datum) 0
					   : rounded_ratio(figures.time_to_convert, (int128) figures.timed * USECS_PER_DAY, 2),
				   figures.timed == 0);
		put_amounts(&row, state, &figures);
		end_row(&row);
	}
	return (Datum) 0;
}

/*
 * The rows behind the numbers
 */

typedef struct AttemptRows
{
	AttemptRun run; /* first, so that the callbacks find the rest */
	RowBuilder row;
	int		   chosen; /* number of the one attempt that counts, if not all do */
} AttemptRows;

static void
note_chosen(AttemptRun *run, const Attempt *attempt)
{
	((AttemptRows *) run)->chosen = attempt->number;
}

static bool
counts(const AttemptRows *rows, const Attempt *attempt)
{
	if (rows->run.lifecycle->attempt == ATTEMPT_ALL)
		return entry_counts(rows->run.lifecycle, attempt->opened_at);
	return attempt->number == rows->chosen;
}

static const char *
status_name(const Lifecycle *lifecycle, const Attempt *attempt, int step)
{
	if (step < attempt->level || step == lifecycle->won_step)
		return "converted";
	return attempt->outcome >= FIRST_LOST_OUTCOME ? outcome_names[OUTCOME_LOST] : outcome_names[attempt->outcome];
}

static uint32
count_of(const uint32 *counts, uint64 mask, int step)
{
	return mask & step_bit(step) ? counts[step] : 0;
}

static void
put_attempt(AttemptRun *run, const Attempt *attempt)
{
	AttemptRows		*rows = (AttemptRows *) run;
	const Lifecycle *lifecycle = run->lifecycle;
	RowBuilder		*row = &rows->row;

	CHECK_FOR_INTERRUPTS();
	for (int step = 0; step <= attempt->level; step++)
	{
		bool observed = (attempt->observed & step_bit(step)) != 0;
		bool timed = (attempt->timed & step_bit(step)) != 0;

		if (!observed && lifecycle->skip == SKIP_ANY)
			continue;
		add_column(row, Int32GetDatum(attempt->number), false);
		add_column(row, BoolGetDatum(counts(rows, attempt)), false);
		add_column(row, TimestampTzGetDatum(attempt->opened_at), false);
		add_column(row, TimestampTzGetDatum(attempt->ended_at), attempt->ended_at == DT_NOEND);
		add_text(row, outcome_names[attempt->outcome]);
		add_column(row, Int32GetDatum(step + 1), false);
		add_text(row, lifecycle->stages[step].name);
		add_column(row, BoolGetDatum(!observed), false);
		add_column(row, TimestampTzGetDatum(observed ? attempt->first_at[step] : 0), !observed);
		add_text(row, status_name(lifecycle, attempt, step));
		add_column(row, TimestampTzGetDatum(timed ? attempt->converted_at[step] : 0), !timed);
		add_column(row, Int32GetDatum(count_of(attempt->repeats, attempt->repeated, step)), false);
		add_column(row, Int32GetDatum(count_of(attempt->regresses, attempt->regressed, step)), false);
		end_row(row);
	}
}

/*
 * funnel_attempts(journey, lifecycle, as_of): one row for each attempt and step it entered. The history is read twice,
 * as which attempt counts is known only at its end.
 */
Datum
revacct_funnel_attempts(PG_FUNCTION_ARGS)
{
	AttemptRows *rows = palloc0(sizeof(AttemptRows));
	Lifecycle	*lifecycle = decode_lifecycle(PG_GETARG_DATUM(1));
	TimestampTz	 as_of = PG_GETARG_TIMESTAMPTZ(2);
	History		 history = {0};

	check_finite_instant(as_of, "as_of");
	history.context = CurrentMemoryContext;
	read_history(&history, PG_GETARG_DATUM(0));
	begin_rows(fcinfo, &rows->row);
	rows->run.take = note_chosen;
	begin_attempt_run(&rows->run, lifecycle, as_of);
	run_attempts(&rows->run, &history);
	rows->run.see = put_attempt;
	begin_attempt_run(&rows->run, lifecycle, as_of);
	run_attempts(&rows->run, &history);
	return (Datum) 0;
}
