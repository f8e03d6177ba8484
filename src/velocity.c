/*
 * velocity.c
 *	  stage_velocity: how long subjects stay in each stage, counting those who are still there.
 *
 * A velocity summary is a tally (tally.h): two counters, subjects and unknown marks, and for each open or active stage a
 * block of durations. If the lifecycle has a calendar, those in wall time are followed by as many in business time; or,
 * in what business_clock() gives, there are only these.
 */
#include "pack.h"
#include "tally.h"
#include "visits.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#define TYPE_NAME "velocity_summary"

enum
{
	COUNT_SUBJECTS,
	COUNT_UNKNOWN_MARKS,
	COUNTERS
};

#define BOTH_CLOCKS 0x02	/* flags of the tally */
#define BUSINESS_CLOCK 0x04 /* business time only */

static const TallyType velocity_type = {TYPE_NAME, "lifecycles", COUNTERS, TALLY_SINCE | BOTH_CLOCKS | BUSINESS_CLOCK};

typedef struct VelocityRun
{
	VisitRun  run; /* first, so that the callback finds the rest */
	Tally	 *tally;
	OpenTime *open;	  /* the lifecycle's calendar, or NULL */
	int		  stages; /* measured: the blocks in business time come after so many */
} VelocityRun;

PG_FUNCTION_INFO_V1(revacct_velocity_add_journey);
PG_FUNCTION_INFO_V1(revacct_velocity_add_pack);
PG_FUNCTION_INFO_V1(revacct_velocity_add_summary);
PG_FUNCTION_INFO_V1(revacct_velocity_final);
PG_FUNCTION_INFO_V1(revacct_velocity_in);
PG_FUNCTION_INFO_V1(revacct_velocity_out);
PG_FUNCTION_INFO_V1(revacct_velocity_recv);
PG_FUNCTION_INFO_V1(revacct_velocity_send);
PG_FUNCTION_INFO_V1(revacct_velocity_business_clock);
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

static int
measured_stages(const Lifecycle *lifecycle)
{
	return lifecycle->step_count - (lifecycle->won_step >= 0);
}

/* How many blocks a summary has, and whether it may have these flags. */
static int
blocks_of(const Lifecycle *lifecycle, int flags)
{
	int clocks = flags & (BOTH_CLOCKS | BUSINESS_CLOCK);

	if (clocks == (BOTH_CLOCKS | BUSINESS_CLOCK) || (clocks != 0) != (lifecycle->calendar != NULL))
		return -1;
	return measured_stages(lifecycle) * (clocks == BOTH_CLOCKS ? 2 : 1);
}

static inline void
add_entry(VelocityRun *run, int64 duration, int stage, int slot)
{
	add_duration(&velocity_type, &run->tally, duration, stage, slot);
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
	int64			business_sums[MAX_STEPS];
	int				exits[MAX_STEPS];
	uint64			stages = 0;

	for (int i = 0; i < run->visit_count; i++)
	{
		const Visit *visit = &run->visits[i];

		if (!visit->measured)
			continue;
		if (!(stages & step_bit(visit->stage)))
			sums[visit->stage] = business_sums[visit->stage] = 0;
		stages |= step_bit(visit->stage);
		sums[visit->stage] += visit->left_at - visit->entered_at;
		if (velocity->open != NULL)
			business_sums[visit->stage] += business_time_between(velocity->open, visit->entered_at, visit->left_at);
		exits[visit->stage] = visit->exit;
	}
	for (; stages != 0; stages &= stages - 1)
	{
		int stage = pg_rightmost_one_pos64(stages);

		add_entry(velocity, sums[stage], stage, slot_of(exits[stage]));
		if (velocity->open != NULL)
			add_entry(velocity, business_sums[stage], velocity->stages + stage, slot_of(exits[stage]));
	}
}

/* A visit by the business clock. One that enters late, and has no business time from then on, is not observed. */
static void
take_business_time(VelocityRun *velocity, const Visit *visit)
{
	int	  block = velocity->stages + visit->stage;
	int64 duration = business_time_between(velocity->open, visit->entered_at, visit->left_at);

	if (visit->entered_at < velocity->run.since)
	{
		int64 age = business_time_between(velocity->open, visit->entered_at, velocity->run.since);

		if (age == duration)
			return;
		/* who has no business time before is there from the start */
		if (age > 0)
			add_entry(velocity, age, block, SLOT_LATE_ENTRY);
	}
	add_entry(velocity, duration, block, slot_of(visit->exit));
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
		if (unlikely(velocity->open != NULL))
			take_business_time(velocity, visit);
	}
}

static void
read_into(VelocityRun *velocity, History *history)
{
	run_visits(&velocity->run, history);
	tally_counters(velocity->tally)[COUNT_SUBJECTS]++;
	tally_counters(velocity->tally)[COUNT_UNKNOWN_MARKS] += velocity->run.unknown_marks;
}

/* What a summary of these is made under. */
static TallyForm
form_of(const Lifecycle *lifecycle, Datum definition, TimestampTz as_of, TimestampTz since)
{
	static uint64 nothing[COUNTERS] = {0};
	TallyForm	  form = {0};
	ByteReader	  reader;

	reader_over_datum(&reader, definition, "lifecycle");
	form.definition = reader.p;
	form.definition_length = reader.end - reader.p;
	form.fingerprint = lifecycle->fingerprint;
	form.flags = (since != DT_NOBEGIN ? TALLY_SINCE : 0) | (lifecycle->calendar != NULL ? BOTH_CLOCKS : 0);
	form.as_of = as_of;
	form.since = since;
	form.counter_count = COUNTERS;
	form.counters = nothing;
	return form;
}

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
	TallyForm	 form;

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
	velocity->open = lifecycle_open_time(lifecycle);
	velocity->stages = measured_stages(lifecycle);
	form = form_of(lifecycle, PG_GETARG_DATUM(2), as_of, since);
	if (likely(!PG_ARGISNULL(0)))
	{
		velocity->tally = tally_argument(fcinfo, &velocity_type);
		check_same_tally(&velocity_type, velocity->tally, &form);
	}
	else
	{
		check_visit_options(lifecycle, as_of, since);
		velocity->tally = new_tally(&velocity_type, &form, blocks_of(lifecycle, form.flags));
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
	PG_RETURN_POINTER(velocity->tally);
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
	PG_RETURN_POINTER(velocity->tally);
}

/*
 * Transition of rollup(velocity_summary), and combine function of all.
 */
Datum
revacct_velocity_add_summary(PG_FUNCTION_ARGS)
{
	return tally_add_summary(fcinfo, &velocity_type);
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
revacct_velocity_final(PG_FUNCTION_ARGS)
{
	return tally_final(fcinfo, &velocity_type);
}

/*
 * Text and binary form: the stored bytes
 */

/* A summary taken apart, with its lifecycle and one block for each of its stages. */
static Lifecycle *
open_summary(TallyForm *form, ByteReader reader)
{
	Lifecycle *lifecycle;

	read_tally(&velocity_type, form, reader);
	lifecycle = decode_lifecycle_bytes(form->definition, form->definition_length, reader.source);
	if (count_blocks(form->blocks) != blocks_of(lifecycle, form->flags))
		broken(&reader);
	return lifecycle;
}

static Datum
checked_summary(const StringInfoData *bytes)
{
	ByteReader reader = {(uint8 *) bytes->data, (uint8 *) bytes->data + bytes->len, TYPE_NAME, BYTES_RECEIVED};
	TallyForm  form;

	open_summary(&form, reader);
	check_lifecycle_bytes((const char *) form.definition, form.definition_length, BYTES_RECEIVED);
	if ((form.since != DT_NOBEGIN && form.since >= form.as_of) || !is_tally_canonical(&velocity_type, &form, bytes))
		broken(&reader);
	return bytes_as_varlena(bytes);
}

Datum
revacct_velocity_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(bytes_as_hex(DirectFunctionCall1(revacct_velocity_final, PG_GETARG_DATUM(0)), TYPE_NAME));
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
	TallyForm  form;
	Lifecycle *lifecycle = open_summary(&form, stored_tally(&velocity_type, PG_GETARG_DATUM(0)));

	return block_as_table(nth_block(form.blocks, measured_stage(lifecycle, PG_GETARG_TEXT_PP(1))));
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

/* The summary in argument 0, taken apart. */
static TallyForm
form_argument(FunctionCallInfo fcinfo)
{
	TallyForm form;

	read_tally(&velocity_type, &form, stored_tally(&velocity_type, PG_GETARG_DATUM(0)));
	return form;
}

/* business_clock(velocity_summary): the durations in business time only */
Datum
revacct_velocity_business_clock(PG_FUNCTION_ARGS)
{
	TallyForm	   form;
	Lifecycle	  *lifecycle = open_summary(&form, stored_tally(&velocity_type, PG_GETARG_DATUM(0)));
	StringInfoData bytes;

	if (lifecycle->calendar == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the summary has no business time"),
				 errdetail("Its lifecycle \"%s\" has no calendar.", lifecycle->name),
				 errhint("Make the lifecycle with calendar => a business_calendar.")));
	if (form.flags & BOTH_CLOCKS)
		for (int stage = 0; stage < measured_stages(lifecycle); stage++)
			read_block(&form.blocks);
	form.flags = (form.flags & ~BOTH_CLOCKS) | BUSINESS_CLOCK;
	initStringInfo(&bytes);
	append_tally_head(&velocity_type, &bytes, &form);
	appendBinaryStringInfo(&bytes, (const char *) form.blocks.p, form.blocks.end - form.blocks.p);
	return bytes_as_varlena(&bytes);
}

Datum
revacct_velocity_lifecycle(PG_FUNCTION_ARGS)
{
	TallyForm form = form_argument(fcinfo);

	return definition_of_tally(&form);
}

Datum
revacct_velocity_fingerprint(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(fingerprint_text(form_argument(fcinfo).fingerprint)));
}

Datum
revacct_velocity_as_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(form_argument(fcinfo).as_of);
}

Datum
revacct_velocity_subjects(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(form_argument(fcinfo).counters[COUNT_SUBJECTS]);
}

Datum
revacct_velocity_unknown_marks(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(form_argument(fcinfo).counters[COUNT_UNKNOWN_MARKS]);
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

/* An estimate in microseconds, to the next whole one. */
static Datum
estimate_datum(double usecs)
{
	usecs = rint(usecs);
	if (unlikely(!FLOAT8_FITS_IN_INT64(usecs)))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("interval out of range")));
	return interval_datum((int64) usecs);
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
	add_column(&row, estimate_datum(mean.mean), false);
	add_column(&row, estimate_datum(mean.std_error), false);
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
	int			   clock = 0;
	int			   count = 0;
	Datum		   element;
	bool		   isnull;
	LogRank		  *result;
	RowBuilder	   row = {0};

	while (array_iterate(iterator, &element, &isnull))
	{
		TallyForm  form;
		Lifecycle *lifecycle;

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		lifecycle = open_summary(&form, stored_tally(&velocity_type, element));
		if (count > 0 && form.fingerprint != fingerprint)
			report_definition_mismatch("lifecycles", fingerprint, form.fingerprint);
		if (count > 0 && (form.flags & BUSINESS_CLOCK) != clock)
			report_clock_mismatch();
		fingerprint = form.fingerprint;
		clock = form.flags & BUSINESS_CLOCK;
		tables[count++] = *block_as_table(nth_block(form.blocks, measured_stage(lifecycle, PG_GETARG_TEXT_PP(1))));
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
	double	   confidence = PG_GETARG_FLOAT8(1);
	TallyForm  form;
	Lifecycle *lifecycle = open_summary(&form, stored_tally(&velocity_type, PG_GETARG_DATUM(0)));
	RowBuilder row;

	begin_rows(fcinfo, &row);
	for (int stage = 0; stage < measured_stages(lifecycle); stage++)
	{
		DurationTable *table = block_as_table(read_block(&form.blocks));
		SurvivalCurve *curve = survival_curve(table, EXIT_ANY, confidence, LIMITS_LOG_LOG);
		int64		   last = table->nrows > 0 ? table->rows[table->nrows - 1].at : 0;

		add_column(&row, Int32GetDatum(stage + 1), false);
		add_text(&row, lifecycle->stages[stage].name);
		add_text(&row, category_names[lifecycle->stages[stage].category]);
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
	OpenTime   *open_time = run->lifecycle->open;

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
		if (open_time == NULL)
			add_column(row, (Datum) 0, true);
		else
			add_column(row, hours_datum(business_time_between(open_time, visit->entered_at, visit->left_at)), false);
		end_row(row);
	}
}

/* stage_spans(journey, lifecycle, as_of, since): one row for each visit. */
Datum
revacct_velocity_stage_spans(PG_FUNCTION_ARGS)
{
	SpanRows  *rows;
	Lifecycle *lifecycle;
	History	   history = {0};

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
	{
		RowBuilder nothing;

		begin_rows(fcinfo, &nothing);
		return (Datum) 0;
	}
	rows = palloc0(sizeof(SpanRows));
	history.context = rows->run.context = CurrentMemoryContext;
	lifecycle = decode_lifecycle(PG_GETARG_DATUM(1));
	lifecycle_open_time(lifecycle);
	rows->run.lifecycle = lifecycle;
	rows->run.as_of = PG_GETARG_TIMESTAMPTZ(2);
	rows->run.since = PG_ARGISNULL(3) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(3);
	rows->run.end_attempt = put_spans;
	check_visit_options(rows->run.lifecycle, rows->run.as_of, rows->run.since);
	begin_rows(fcinfo, &rows->row);
	read_history(&history, PG_GETARG_DATUM(0));
	run_visits(&rows->run, &history);
	return (Datum) 0;
}
