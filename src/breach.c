/*
 * breach.c
 *	  sla_breach: how many clocks are met and breached, how long they run, by policy; and the clocks as rows.
 *
 * A breach summary is a tally (tally.h). Its counters: subjects, clocks not covered; for each policy the counts of
 * PolicyCount; for each phase (or the whole, if there are none) the elapsed time of stopped clocks, as seconds and the
 * microseconds beyond them, summed apart. Its blocks of durations: for each policy elapsed and overdue; for each phase.
 * An exit is a stop (or the end of a phase); everything else is censored.
 */
#include "clocks.h"
#include "statistics.h"
#include "tally.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "pack.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#define TYPE_NAME "breach_summary"

static const TallyType breach_type = {TYPE_NAME, "SLAs", 0, 0};

/* Counts of one policy; the first ones are the statuses. */
typedef enum PolicyCount
{
	COUNT_AT_RISK = CLOCK_STATUSES,
	COUNT_OVERDUE,
	COUNT_BEYOND_HORIZON,
	COUNT_STOPPED,
	POLICY_COUNTS
} PolicyCount;

enum
{
	COUNT_SUBJECTS,
	COUNT_NOT_COVERED,
	FIRST_POLICY_COUNT
};

#define STOPPED SLOT_FORWARD /* how an event is kept in a block */

typedef struct BreachRun
{
	ClockRun run; /* first, so that the callback finds the rest */
	Tally	*tally;
	SlaCall	 call;
	History	 history;
} BreachRun;

PG_FUNCTION_INFO_V1(revacct_breach_add_journey);
PG_FUNCTION_INFO_V1(revacct_breach_add_pack);
PG_FUNCTION_INFO_V1(revacct_breach_add_summary);
PG_FUNCTION_INFO_V1(revacct_breach_final);
PG_FUNCTION_INFO_V1(revacct_breach_in);
PG_FUNCTION_INFO_V1(revacct_breach_out);
PG_FUNCTION_INFO_V1(revacct_breach_recv);
PG_FUNCTION_INFO_V1(revacct_breach_send);
PG_FUNCTION_INFO_V1(revacct_breach_sla);
PG_FUNCTION_INFO_V1(revacct_breach_fingerprint);
PG_FUNCTION_INFO_V1(revacct_breach_as_of);
PG_FUNCTION_INFO_V1(revacct_breach_subjects);
PG_FUNCTION_INFO_V1(revacct_breach_not_covered);
PG_FUNCTION_INFO_V1(revacct_breach_started);
PG_FUNCTION_INFO_V1(revacct_breach_met);
PG_FUNCTION_INFO_V1(revacct_breach_breached);
PG_FUNCTION_INFO_V1(revacct_breach_running);
PG_FUNCTION_INFO_V1(revacct_breach_paused);
PG_FUNCTION_INFO_V1(revacct_breach_cancelled);
PG_FUNCTION_INFO_V1(revacct_breach_at_risk);
PG_FUNCTION_INFO_V1(revacct_breach_overdue);
PG_FUNCTION_INFO_V1(revacct_breach_beyond_horizon);
PG_FUNCTION_INFO_V1(revacct_breach_rate);
PG_FUNCTION_INFO_V1(revacct_breach_rate_low);
PG_FUNCTION_INFO_V1(revacct_breach_rate_high);
PG_FUNCTION_INFO_V1(revacct_breach_elapsed_quantile);
PG_FUNCTION_INFO_V1(revacct_breach_overdue_quantile);
PG_FUNCTION_INFO_V1(revacct_breach_policies);
PG_FUNCTION_INFO_V1(revacct_breach_phases);
PG_FUNCTION_INFO_V1(revacct_sla_clocks);
PG_FUNCTION_INFO_V1(revacct_sla_open_clocks);
PG_FUNCTION_INFO_V1(revacct_sla_phases);
PG_FUNCTION_INFO_V1(revacct_escalations);

/*
 * Where things are in a tally
 */

static inline int
policy_counter(int policy, int count)
{
	return FIRST_POLICY_COUNT + policy * POLICY_COUNTS + count;
}

/* The sum for a phase: seconds, then microseconds. Without phases there is one, for the whole. */
static inline int
phase_counter(const Sla *sla, int phase)
{
	return policy_counter(sla->policy_count, 2 * phase);
}

static inline int
summed_phases(const Sla *sla)
{
	return Max(sla->phase_count, 1);
}

static int
counters_of(const Sla *sla)
{
	return phase_counter(sla, summed_phases(sla));
}

static inline int
elapsed_block(int policy)
{
	return 2 * policy;
}

static inline int
overdue_block(int policy)
{
	return 2 * policy + 1;
}

static inline int
phase_block(const Sla *sla, int phase)
{
	return 2 * sla->policy_count + phase;
}

static int
blocks_of(const Sla *sla)
{
	return phase_block(sla, sla->phase_count);
}

/*
 * Taking clocks in
 */

static void
take_phases(BreachRun *breach, const Clock *clock)
{
	const Sla *sla = breach->run.sla;
	bool	   stopped = clock->end == END_STOP;

	for (int phase = 0; phase < sla->phase_count; phase++)
		if (clock->phases_seen & 1 << phase)
			add_duration(&breach_type,
						 &breach->tally,
						 clock->phase_elapsed[phase],
						 phase_block(sla, phase),
						 stopped || phase < clock->phase ? STOPPED : SLOT_CENSORED);
}

static void
take_clock(ClockRun *run, const Clock *clock)
{
	BreachRun  *breach = (BreachRun *) run;
	const Sla  *sla = breach->run.sla;
	ClockStatus status = clock_status(clock);
	bool		stopped = clock->end == END_STOP;
	uint64	   *counters;

	add_duration(&breach_type,
				 &breach->tally,
				 clock->elapsed,
				 elapsed_block(clock->policy),
				 stopped ? STOPPED : SLOT_CENSORED);
	if (clock_is_past_target(clock))
		add_duration(&breach_type,
					 &breach->tally,
					 clock->elapsed - clock->target,
					 overdue_block(clock->policy),
					 stopped ? STOPPED : SLOT_CENSORED);
	take_phases(breach, clock);

	counters = tally_counters(breach->tally) + policy_counter(clock->policy, 0);
	counters[status]++;
	counters[COUNT_AT_RISK] += clock_is_at_risk(run, clock);
	counters[COUNT_OVERDUE] += status == CLOCK_BREACHED && clock->end == END_NONE;
	counters[COUNT_BEYOND_HORIZON] += clock_is_beyond_horizon(run, clock);
	counters[COUNT_STOPPED] += stopped;
	if (!stopped)
		return;
	counters = tally_counters(breach->tally) + phase_counter(sla, 0);
	for (int phase = 0; phase < summed_phases(sla); phase++)
	{
		counters[2 * phase] += clock->phase_elapsed[phase] / USECS_PER_SEC;
		counters[2 * phase + 1] += clock->phase_elapsed[phase] % USECS_PER_SEC;
	}
}

static void
read_into(BreachRun *breach)
{
	run_clocks(&breach->run, &breach->history);
	tally_counters(breach->tally)[COUNT_SUBJECTS]++;
	tally_counters(breach->tally)[COUNT_NOT_COVERED] += breach->run.not_covered;
}

/* The call site's run, set up for the SLA in argument argno and as_of in the next. */
static BreachRun *
breach_run(FunctionCallInfo fcinfo, int argno)
{
	BreachRun *breach = fcinfo->flinfo->fn_extra;

	if (PG_ARGISNULL(argno) || PG_ARGISNULL(argno + 1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s must not be NULL", PG_ARGISNULL(argno) ? "the SLA" : "as_of")));
	if (unlikely(breach == NULL))
	{
		breach = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(BreachRun));
		breach->history.context = breach->run.context = fcinfo->flinfo->fn_mcxt;
		fcinfo->flinfo->fn_extra = breach;
	}
	breach->run.sla = sla_of_call(&breach->call, PG_GETARG_DATUM(argno), fcinfo->flinfo->fn_mcxt);
	breach->run.as_of = PG_GETARG_TIMESTAMPTZ(argno + 1);
	if (unlikely(TIMESTAMP_NOT_FINITE(breach->run.as_of)))
		check_finite_instant(breach->run.as_of, "as_of");
	return breach;
}

/* Set up a transition with an SLA in argument 2 and as_of in argument 3. */
static BreachRun *
begin_transition(FunctionCallInfo fcinfo)
{
	BreachRun *breach = breach_run(fcinfo, 2);
	TallyForm  form = {0};
	ByteReader reader;

	form.fingerprint = breach->call.fingerprint;
	form.as_of = breach->run.as_of;
	form.since = DT_NOBEGIN;
	breach->run.end_clock = take_clock;
	breach->run.details = false;
	if (likely(!PG_ARGISNULL(0)))
	{
		breach->tally = tally_argument(fcinfo, &breach_type);
		check_same_tally(&breach_type, breach->tally, &form);
		if (unlikely((int) breach->tally->counter_count != counters_of(breach->run.sla) ||
					 (int) breach->tally->block_count != blocks_of(breach->run.sla)))
			report_broken_bytes(TYPE_NAME, BYTES_STORED);
		return breach;
	}
	reader_over_datum(&reader, PG_GETARG_DATUM(2), "sla");
	form.definition = reader.p;
	form.definition_length = reader.end - reader.p;
	form.counter_count = counters_of(breach->run.sla);
	form.counters = palloc0(sizeof(uint64) * form.counter_count);
	breach->tally = new_tally(&breach_type, &form, blocks_of(breach->run.sla));
	return breach;
}

/*
 * Transition of sla_breach(journey, sla, as_of). A row without journey is ignored.
 */
Datum
revacct_breach_add_journey(PG_FUNCTION_ARGS)
{
	BreachRun *breach;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	breach = begin_transition(fcinfo);
	read_history(&breach->history, PG_GETARG_DATUM(1));
	read_into(breach);
	PG_RETURN_POINTER(breach->tally);
}

/* Transition of sla_breach(journey_pack, sla, as_of). */
Datum
revacct_breach_add_pack(PG_FUNCTION_ARGS)
{
	BreachRun *breach;
	PackReader pack;

	if (PG_ARGISNULL(1))
		return unchanged_state(fcinfo);
	breach = begin_transition(fcinfo);
	open_pack(&pack, PG_GETARG_DATUM(1));
	while (next_history(&pack, &breach->history))
	{
		CHECK_FOR_INTERRUPTS();
		read_into(breach);
	}
	PG_RETURN_POINTER(breach->tally);
}

/* Transition of rollup(breach_summary), and combine function of all. */
Datum
revacct_breach_add_summary(PG_FUNCTION_ARGS)
{
	return tally_add_summary(fcinfo, &breach_type);
}

/* Final function: the stored form. Leaves the state as it was. */
Datum
revacct_breach_final(PG_FUNCTION_ARGS)
{
	return tally_final(fcinfo, &breach_type);
}

/*
 * Text and binary form: the stored bytes
 */

/* A summary taken apart, with its SLA; counters and blocks are as many as that has. */
static Sla *
open_summary(TallyForm *form, ByteReader reader)
{
	Sla *sla;

	read_tally(&breach_type, form, reader);
	sla = decode_sla_bytes(form->definition, form->definition_length, reader.source);
	if (form->counter_count != counters_of(sla) || count_blocks(form->blocks) != blocks_of(sla))
		broken(&reader);
	return sla;
}

/* How many durations of a kind a block holds: all of them, or those that are events. */
static int64
count_durations(const DurationTable *table, bool events)
{
	int64 count = 0;

	for (int i = 0; i < table->nrows; i++)
	{
		count += duration_row_exits(&table->rows[i], EXIT_ANY);
		if (!events)
			count += table->rows[i].censored;
	}
	return count;
}

static bool
holds_only_stops(const DurationTable *table)
{
	for (int i = 0; i < table->nrows; i++)
		if (table->rows[i].late_entries != 0 ||
			duration_row_exits(&table->rows[i], EXIT_ANY) != table->rows[i].exits[EXIT_FORWARD])
			return false;
	return true;
}

/* Do the counts and the durations of a policy agree? */
static bool
is_policy_consistent(const TallyForm *form, int policy)
{
	const uint64  *counts = form->counters + policy_counter(policy, 0);
	DurationTable *elapsed = block_as_table(nth_block(form->blocks, elapsed_block(policy)));
	DurationTable *overdue = block_as_table(nth_block(form->blocks, overdue_block(policy)));
	uint64		   started = 0;

	for (int status = 0; status < CLOCK_STATUSES; status++)
		if (pg_add_u64_overflow(started, counts[status], &started))
			return false;
	return holds_only_stops(elapsed) && holds_only_stops(overdue) &&
		   (uint64) count_durations(elapsed, false) == started &&
		   (uint64) count_durations(elapsed, true) == counts[COUNT_STOPPED] &&
		   (uint64) count_durations(overdue, false) <= counts[CLOCK_BREACHED] &&
		   counts[COUNT_OVERDUE] <= counts[CLOCK_BREACHED] &&
		   counts[COUNT_AT_RISK] <= counts[CLOCK_RUNNING] + counts[CLOCK_PAUSED] &&
		   counts[COUNT_BEYOND_HORIZON] <= started && counts[CLOCK_MET] <= counts[COUNT_STOPPED];
}

static Datum
checked_summary(const StringInfoData *bytes)
{
	ByteReader reader = {(uint8 *) bytes->data, (uint8 *) bytes->data + bytes->len, TYPE_NAME, BYTES_RECEIVED};
	TallyForm  form;
	Sla		  *sla = open_summary(&form, reader);

	check_sla_bytes((const char *) form.definition, form.definition_length, BYTES_RECEIVED);
	if (!is_tally_canonical(&breach_type, &form, bytes))
		broken(&reader);
	for (int policy = 0; policy < sla->policy_count; policy++)
		if (!is_policy_consistent(&form, policy))
			broken(&reader);
	for (int phase = 0; phase < sla->phase_count; phase++)
		if (!holds_only_stops(block_as_table(nth_block(form.blocks, phase_block(sla, phase)))))
			broken(&reader);
	return bytes_as_varlena(bytes);
}

Datum
revacct_breach_out(PG_FUNCTION_ARGS)
{
	PG_RETURN_CSTRING(bytes_as_hex(DirectFunctionCall1(revacct_breach_final, PG_GETARG_DATUM(0)), TYPE_NAME));
}

Datum
revacct_breach_in(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = hex_as_bytes(PG_GETARG_CSTRING(0), TYPE_NAME);

	return checked_summary(&bytes);
}

Datum
revacct_breach_send(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall1(revacct_breach_final, PG_GETARG_DATUM(0));
}

Datum
revacct_breach_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	return checked_summary(&bytes);
}

/*
 * Questions
 */

/* The summary in argument 0, taken apart. */
static TallyForm
form_argument(FunctionCallInfo fcinfo)
{
	TallyForm form;

	ByteReader reader = stored_tally(&breach_type, PG_GETARG_DATUM(0));

	read_tally(&breach_type, &form, reader);
	if (form.counter_count <= COUNT_NOT_COVERED)
		broken(&reader);
	return form;
}

Datum
revacct_breach_sla(PG_FUNCTION_ARGS)
{
	TallyForm form = form_argument(fcinfo);

	return definition_of_tally(&form);
}

Datum
revacct_breach_fingerprint(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(fingerprint_text(form_argument(fcinfo).fingerprint)));
}

Datum
revacct_breach_as_of(PG_FUNCTION_ARGS)
{
	PG_RETURN_TIMESTAMPTZ(form_argument(fcinfo).as_of);
}

Datum
revacct_breach_subjects(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(form_argument(fcinfo).counters[COUNT_SUBJECTS]);
}

Datum
revacct_breach_not_covered(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(form_argument(fcinfo).counters[COUNT_NOT_COVERED]);
}

static int64
count_of_all(const Sla *sla, const TallyForm *form, int count)
{
	int64 sum = 0;

	for (int policy = 0; policy < sla->policy_count; policy++)
		sum += form->counters[policy_counter(policy, count)];
	return sum;
}

/* A count over all policies of the summary in argument 0. */
static Datum
count_result(FunctionCallInfo fcinfo, int count)
{
	TallyForm form;
	Sla		 *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));

	PG_RETURN_INT64(count_of_all(sla, &form, count));
}

static int64
started_of(const TallyForm *form, int policy)
{
	int64 started = 0;

	for (int status = 0; status < CLOCK_STATUSES; status++)
		started += form->counters[policy_counter(policy, status)];
	return started;
}

Datum
revacct_breach_started(PG_FUNCTION_ARGS)
{
	TallyForm form;
	Sla		 *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));
	int64	  started = 0;

	for (int policy = 0; policy < sla->policy_count; policy++)
		started += started_of(&form, policy);
	PG_RETURN_INT64(started);
}

Datum
revacct_breach_met(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, CLOCK_MET);
}

Datum
revacct_breach_breached(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, CLOCK_BREACHED);
}

Datum
revacct_breach_running(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, CLOCK_RUNNING);
}

Datum
revacct_breach_paused(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, CLOCK_PAUSED);
}

Datum
revacct_breach_cancelled(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, CLOCK_CANCELLED);
}

Datum
revacct_breach_at_risk(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, COUNT_AT_RISK);
}

Datum
revacct_breach_overdue(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, COUNT_OVERDUE);
}

Datum
revacct_breach_beyond_horizon(PG_FUNCTION_ARGS)
{
	return count_result(fcinfo, COUNT_BEYOND_HORIZON);
}

/* The breach rate of the summary in argument 0, over all policies. */
static IntervalEstimate
rate_of_all(FunctionCallInfo fcinfo, double confidence)
{
	TallyForm form;
	Sla		 *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));
	int64	  breached = count_of_all(sla, &form, CLOCK_BREACHED);

	return wilson_interval(breached, breached + count_of_all(sla, &form, CLOCK_MET), confidence);
}

Datum
revacct_breach_rate(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_of_all(fcinfo, 0.95);

	if (!rate.has_value)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.value);
}

Datum
revacct_breach_rate_low(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_of_all(fcinfo, PG_GETARG_FLOAT8(1));

	if (!rate.has_limits)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.low);
}

Datum
revacct_breach_rate_high(PG_FUNCTION_ARGS)
{
	IntervalEstimate rate = rate_of_all(fcinfo, PG_GETARG_FLOAT8(1));

	if (!rate.has_limits)
		PG_RETURN_NULL();
	PG_RETURN_FLOAT8(rate.high);
}

/* The blocks of all policies as one: elapsed, or overdue. */
static DurationTable *
united_table(const Sla *sla, const TallyForm *form, bool overdue)
{
	ByteReader whole = nth_block(form->blocks, overdue ? overdue_block(0) : elapsed_block(0));

	for (int policy = 1; policy < sla->policy_count; policy++)
	{
		StringInfoData merged;

		CHECK_FOR_INTERRUPTS();
		initStringInfo(&merged);
		append_merged(&merged, whole, nth_block(form->blocks, overdue ? overdue_block(policy) : elapsed_block(policy)));
		whole.p = (uint8 *) merged.data;
		whole.end = whole.p + merged.len;
	}
	return block_as_table(whole);
}

static bool
quantile_of(const DurationTable *table, double p, int64 *quantile)
{
	return survival_quantile(survival_curve(table, EXIT_ANY, 0.95, LIMITS_LOG_LOG),
							 p,
							 true,
							 QUANTILE_ESTIMATE,
							 quantile);
}

/* A quantile of the summary in argument 0, for the share in argument 1. */
static Datum
quantile_result(FunctionCallInfo fcinfo, bool overdue)
{
	TallyForm form;
	Sla		 *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));
	double	  p = PG_GETARG_FLOAT8(1);
	int64	  quantile;

	check_probability(p);
	if (!quantile_of(united_table(sla, &form, overdue), p, &quantile))
		PG_RETURN_NULL();
	return hours_datum(quantile);
}

Datum
revacct_breach_elapsed_quantile(PG_FUNCTION_ARGS)
{
	return quantile_result(fcinfo, false);
}

Datum
revacct_breach_overdue_quantile(PG_FUNCTION_ARGS)
{
	return quantile_result(fcinfo, true);
}

/*
 * Summaries as rows
 */

static void
add_hours(RowBuilder *row, const DurationTable *table, double p)
{
	int64 usecs = 0;
	bool  reached = quantile_of(table, p, &usecs);

	add_column(row, reached ? rounded_ratio(usecs, USECS_PER_HOUR, 2) : (Datum) 0, !reached);
}

static void
add_values(RowBuilder *row, const ValueList *list)
{
	Datum		 *elements;
	MemoryContext old_context;

	if (!list->set)
	{
		add_column(row, (Datum) 0, true);
		return;
	}
	old_context = MemoryContextSwitchTo(row->context);
	elements = palloc(sizeof(Datum) * list->count);
	for (int i = 0; i < list->count; i++)
		elements[i] = Int64GetDatum(list->values[i]);
	add_column(row,
			   PointerGetDatum(
				   construct_array(elements, list->count, INT8OID, sizeof(int64), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE)),
			   false);
	MemoryContextSwitchTo(old_context);
}

/* A timestamp range. */
static Datum
instant_range(RangeBound *lower, RangeBound *upper)
{
	TypeCacheEntry *type = lookup_type_cache(TSTZRANGEOID, TYPECACHE_RANGE_INFO);

	return RangeTypePGetDatum(RANGE_SERIALIZE(type, lower, upper, false));
}

/* When a policy is valid, as a range; NULL if always. */
static void
add_validity(RowBuilder *row, const Policy *policy)
{
	RangeBound	  lower = {TimestampTzGetDatum(policy->valid_from), policy->valid_from == DT_NOBEGIN, true, true};
	RangeBound	  upper = {TimestampTzGetDatum(policy->valid_to), policy->valid_to == DT_NOEND, false, false};
	MemoryContext old_context;

	if (lower.infinite && upper.infinite)
	{
		add_column(row, (Datum) 0, true);
		return;
	}
	old_context = MemoryContextSwitchTo(row->context);
	add_column(row, instant_range(&lower, &upper), false);
	MemoryContextSwitchTo(old_context);
}

static void
add_rate(RowBuilder *row, const TallyForm *form, int policy, double confidence)
{
	int64			 breached = form->counters[policy_counter(policy, CLOCK_BREACHED)];
	int64			 met = form->counters[policy_counter(policy, CLOCK_MET)];
	IntervalEstimate rate = wilson_interval(breached, breached + met, confidence);

	add_column(row, rate.has_value ? rounded_numeric(rate.value, 6) : (Datum) 0, !rate.has_value);
	add_column(row, rate.has_limits ? rounded_numeric(rate.low, 6) : (Datum) 0, !rate.has_limits);
	add_column(row, rate.has_limits ? rounded_numeric(rate.high, 6) : (Datum) 0, !rate.has_limits);
}

/* policies(breach_summary, confidence): one row for each policy */
Datum
revacct_breach_policies(PG_FUNCTION_ARGS)
{
	TallyForm  form;
	Sla		  *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));
	RowBuilder row;

	begin_rows(fcinfo, &row);
	for (int i = 0; i < sla->policy_count; i++)
	{
		const Policy  *policy = &sla->policies[i];
		const uint64  *counts = form.counters + policy_counter(i, 0);
		DurationTable *elapsed = block_as_table(nth_block(form.blocks, elapsed_block(i)));
		DurationTable *overdue = block_as_table(nth_block(form.blocks, overdue_block(i)));

		CHECK_FOR_INTERRUPTS();
		add_column(&row, Int32GetDatum(i + 1), false);
		add_text(&row, policy->version);
		add_validity(&row, policy);
		add_values(&row, &policy->segments);
		add_values(&row, &policy->owners);
		add_column(&row, policy->has_target ? hours_datum(policy->target) : (Datum) 0, !policy->has_target);
		add_column(&row, Int64GetDatum(started_of(&form, i)), false);
		for (int status = 0; status < CLOCK_STATUSES; status++)
			add_column(&row, Int64GetDatum(counts[status]), false);
		add_column(&row, Int64GetDatum(counts[COUNT_AT_RISK]), false);
		add_column(&row, Int64GetDatum(counts[COUNT_OVERDUE]), false);
		add_column(&row, Int64GetDatum(counts[COUNT_BEYOND_HORIZON]), false);
		add_rate(&row, &form, i, PG_GETARG_FLOAT8(1));
		add_hours(&row, elapsed, 0.5);
		add_hours(&row, elapsed, 0.9);
		add_column(&row,
				   elapsed->nrows > 0 ? rounded_ratio(elapsed->rows[elapsed->nrows - 1].at, USECS_PER_HOUR, 2)
									  : (Datum) 0,
				   elapsed->nrows == 0);
		add_hours(&row, overdue, 0.5);
		end_row(&row);
	}
	return (Datum) 0;
}

static int128
phase_sum(const Sla *sla, const TallyForm *form, int phase)
{
	const uint64 *sum = form->counters + phase_counter(sla, phase);

	return (int128) sum[0] * USECS_PER_SEC + sum[1];
}

static void
put_phase(RowBuilder *row, int number, const char *name, int64 stopped, int128 sum, const DurationTable *table)
{
	add_column(row, Int32GetDatum(number), false);
	add_text(row, name);
	add_column(row, Int64GetDatum(stopped), false);
	add_column(row, rounded_ratio(sum, USECS_PER_SEC, 6), false);
	add_column(row, stopped > 0 ? rounded_ratio(sum, (int128) stopped * USECS_PER_HOUR, 4) : (Datum) 0, stopped == 0);
	add_hours(row, table, 0.5);
	add_hours(row, table, 0.9);
	end_row(row);
}

/* phases(breach_summary): the total, then each phase */
Datum
revacct_breach_phases(PG_FUNCTION_ARGS)
{
	TallyForm  form;
	Sla		  *sla = open_summary(&form, stored_tally(&breach_type, PG_GETARG_DATUM(0)));
	int64	   stopped = count_of_all(sla, &form, COUNT_STOPPED);
	int128	   total = 0;
	RowBuilder row;

	for (int phase = 0; phase < summed_phases(sla); phase++)
		total += phase_sum(sla, &form, phase);
	begin_rows(fcinfo, &row);
	put_phase(&row, 0, "total", stopped, total, united_table(sla, &form, false));
	for (int phase = 0; phase < sla->phase_count; phase++)
		put_phase(&row,
				  phase + 1,
				  sla->phases[phase],
				  stopped,
				  phase_sum(sla, &form, phase),
				  block_as_table(nth_block(form.blocks, phase_block(sla, phase))));
	return (Datum) 0;
}

/*
 * The clocks as rows
 */

/* What end_clock puts rows into while the clocks of one journey are shown. */
typedef struct ClockRows
{
	ClockRun	run; /* first, so that the callback finds the rest */
	RowBuilder	row;
	PackReader *pack; /* where the journey is from; NULL: from itself */
} ClockRows;

/* Rows of the clocks of the journey in argument 0 under the SLA in argument 1 at the instant in argument 2. */
static Datum
clock_rows(FunctionCallInfo fcinfo, void (*end_clock)(ClockRun *run, const Clock *clock))
{
	ClockRows  rows = {0};
	BreachRun *breach;

	begin_rows(fcinfo, &rows.row);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(2))
		return (Datum) 0;
	breach = breach_run(fcinfo, 1);
	rows.run = breach->run;
	rows.run.context = CurrentMemoryContext;
	rows.run.details = true;
	rows.run.end_clock = end_clock;
	read_history(&breach->history, PG_GETARG_DATUM(0));
	run_clocks(&rows.run, &breach->history);
	return (Datum) 0;
}

static void
add_instant(RowBuilder *row, bool known, TimestampTz at)
{
	add_column(row, known ? TimestampTzGetDatum(at) : (Datum) 0, !known);
}

static void
add_amount(RowBuilder *row, bool known, int64 usecs)
{
	MemoryContext old_context = MemoryContextSwitchTo(row->context);

	add_column(row, known ? hours_datum(usecs) : (Datum) 0, !known);
	MemoryContextSwitchTo(old_context);
}

static void
add_told(RowBuilder *row, ToldValue told)
{
	add_column(row, Int64GetDatum(told.value), !told.told);
}

static void
put_clock(ClockRun *run, const Clock *clock)
{
	RowBuilder *row = &((ClockRows *) run)->row;
	bool		open = clock->end == END_NONE;
	TimestampTz at = 0;
	bool		known;

	CHECK_FOR_INTERRUPTS();
	add_column(row, Int32GetDatum(run->clocks), false);
	add_text(row, clock_status_names[clock_status(clock)]);
	add_instant(row, true, clock->started_at);
	known = clock_due_at(run, clock, &at);
	add_instant(row, known, at);
	known = clock_breach_at(run, clock, &at);
	add_instant(row, known, at);
	add_instant(row, !open, clock->ended_at);
	if (open)
		add_column(row, (Datum) 0, true);
	else
		add_text(row, clock_end_names[clock->end]);
	add_amount(row, true, clock->elapsed);
	add_amount(row, true, clock->elapsed_wall);
	add_amount(row, true, clock->paused_wall);
	add_amount(row, true, clock->target);
	add_amount(row, open, clock->target - clock->elapsed);
	add_amount(row, clock_is_past_target(clock), clock->elapsed - clock->target);
	add_column(row,
			   clock->target > 0 ? rounded_ratio(clock->elapsed, clock->target, 4) : (Datum) 0,
			   clock->target <= 0);
	add_column(row, BoolGetDatum(clock_is_at_risk(run, clock)), false);
	add_column(row, Int32GetDatum(clock->policy + 1), false);
	add_text(row, run->sla->policies[clock->policy].version);
	add_told(row, clock->segment);
	add_told(row, clock->owner);
	add_column(row, BoolGetDatum(clock_is_beyond_horizon(run, clock)), false);
	end_row(row);
}

/* sla_clocks(journey, sla, as_of): one row for each clock that is covered */
Datum
revacct_sla_clocks(PG_FUNCTION_ARGS)
{
	return clock_rows(fcinfo, put_clock);
}

/* A clock that has not ended, with its subject before it. */
static void
put_open_clock(ClockRun *run, const Clock *clock)
{
	ClockRows		 *rows = (ClockRows *) run;
	const PackReader *pack = rows->pack;
	char			  digits[MAXINT8LEN + 1];

	if (clock->end != END_NONE)
		return;
	add_column(&rows->row,
			   PointerGetDatum(pack->is_number ? cstring_to_text_with_len(digits, pg_lltoa(pack->number, digits))
											   : cstring_to_text_with_len(pack->text.data, pack->text.len)),
			   false);
	put_clock(run, clock);
}

/*
 * sla_open_clocks(journey_pack, sla, as_of): the subject and the clock, of each that has not ended. One call for a pack, as a
 * call for each journey costs ten times what its clocks do.
 */
Datum
revacct_sla_open_clocks(PG_FUNCTION_ARGS)
{
	ClockRows  rows = {0};
	BreachRun *breach;
	PackReader pack;

	begin_rows(fcinfo, &rows.row);
	breach = breach_run(fcinfo, 1);
	rows.run = breach->run;
	rows.run.context = CurrentMemoryContext;
	rows.run.details = true;
	rows.run.end_clock = put_open_clock;
	rows.pack = &pack;
	open_pack(&pack, PG_GETARG_DATUM(0));
	while (next_history(&pack, &breach->history))
	{
		CHECK_FOR_INTERRUPTS();
		run_clocks(&rows.run, &breach->history);
	}
	return (Datum) 0;
}

static void
put_phases(ClockRun *run, const Clock *clock)
{
	RowBuilder *row = &((ClockRows *) run)->row;

	for (int phase = 0; phase < run->sla->phase_count; phase++)
	{
		if (!(clock->phases_seen & 1 << phase))
			continue;
		add_column(row, Int32GetDatum(run->clocks), false);
		add_column(row, Int32GetDatum(phase + 1), false);
		add_text(row, run->sla->phases[phase]);
		add_amount(row, true, clock->phase_elapsed[phase]);
		end_row(row);
	}
}

/* sla_phases(journey, sla, as_of): one row for each phase that a clock has been in */
Datum
revacct_sla_phases(PG_FUNCTION_ARGS)
{
	return clock_rows(fcinfo, put_phases);
}

/* What must have elapsed for a step; the longest time there is, if it is more than that. */
static int64
step_threshold(const EscalationStep *step, int64 target)
{
	int128 threshold = (int128) target + step->amount;

	if (!step->from_target)
		/* rounded up, so that not less than the part has elapsed */
		threshold = ((int128) target * step->amount + (target > 0 ? MILLION - 1 : 0)) / MILLION;
	return threshold > PG_INT64_MAX ? PG_INT64_MAX : threshold < PG_INT64_MIN ? PG_INT64_MIN : (int64) threshold;
}

/* Is a step due, and when is or was it to be raised? known is false if that cannot be said. */
static bool
step_is_due(const ClockRun *run, const Clock *clock, int64 threshold, TimestampTz *at, bool *known)
{
	bool at_target = threshold == clock->target;
	bool due;

	/* what was breached before a restart was told in its own count */
	if (at_target && clock->count_breached)
	{
		*known = clock->has_count_breach_at;
		*at = clock->count_breach_at;
		return true;
	}
	due = at_target ? clock->elapsed > threshold : clock->elapsed >= threshold;
	*known = (due || !clock->paused) &&
			 (at_target ? clock_exceeds(run, clock, threshold, at) : clock_reaches(run, clock, threshold, at));
	if (*known)
		*at = Max(*at, clock->target_from);
	return due;
}

static void
put_steps(ClockRun *run, const Clock *clock)
{
	RowBuilder	 *row = &((ClockRows *) run)->row;
	const Policy *policy = &run->sla->policies[clock->policy];

	if (clock->end != END_NONE)
		return;
	for (int i = 0; i < policy->step_count; i++)
	{
		const EscalationStep *step = &policy->steps[i];
		int64				  threshold = step_threshold(step, clock->target);
		TimestampTz			  at = 0;
		bool				  known;
		bool				  due = step_is_due(run, clock, threshold, &at, &known);

		CHECK_FOR_INTERRUPTS();
		add_column(row, Int32GetDatum(run->clocks), false);
		add_instant(row, true, clock->counts_from);
		add_column(row, Int32GetDatum(i + 1), false);
		add_text(row, step_text(step));
		add_text(row, step->recipient);
		add_instant(row, known, at);
		add_column(row, BoolGetDatum(due), false);
		end_row(row);
	}
}

/* escalations(journey, sla, as_of): the steps of open clocks */
Datum
revacct_escalations(PG_FUNCTION_ARGS)
{
	return clock_rows(fcinfo, put_steps);
}
