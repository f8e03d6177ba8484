/*
 * computations.c
 *	  Definitions and histories out of bytes, and what must hold of the numbers whatever they are:
 *
 *	  - a pack says the same as its journeys, parts merged in any order the same as the whole, to the byte;
 *	  - the rows behind a summary add up to it;
 *	  - business time adds up, and is at most wall time.
 */
#include "fuzz.h"

#include "utils/numeric.h"

#define JOURNEY "revacct.journey"
#define PACK "revacct.journey_pack"
#define LIFECYCLE "revacct.lifecycle"
#define SLA "revacct.sla"
#define CALENDAR "revacct.business_calendar"
#define FUNNEL "revacct.funnel_summary"
#define VELOCITY "revacct.velocity_summary"
#define BREACH "revacct.breach_summary"
#define INSTANT "timestamptz"

#define MAX_SUBJECTS 6
#define MAX_EVENTS 28

/*
 * Histories
 */

typedef struct Event
{
	int			subject;
	int			mark;
	TimestampTz at;
	bool		has_value;
	int64		value;
	bool		has_seq;
	int64		seq;
} Event;

typedef struct Histories
{
	int	  event_count;
	Event events[MAX_EVENTS];
	int	  subject_count; /* some may have no event, and no journey */
	Datum journeys[MAX_SUBJECTS];
	bool  missing[MAX_SUBJECTS];
} Histories;

static Function journey_add_mark = {"revacct._journey_add_mark(" JOURNEY ",int,timestamptz,bigint,bigint)"};
static Function journey_add_journey = {"revacct._journey_add_journey(" JOURNEY "," JOURNEY ")"};
static Function journey_combine = {"revacct._journey_combine(" JOURNEY "," JOURNEY ")"};
static Function journey_final = {"revacct._journey_final(" JOURNEY ")"};
static Function pack_add_number = {"revacct._pack_add_journey(" PACK ",bigint," JOURNEY ")"};
static Function pack_add_text = {"revacct._pack_add_journey(" PACK ",text," JOURNEY ")"};
static Function pack_add_event = {"revacct._pack_add_event(" PACK ",bigint,int,timestamptz)"};
static Function pack_add_pack = {"revacct._pack_add_pack(" PACK "," PACK ")"};
static Function pack_combine = {"revacct._pack_combine(" PACK "," PACK ")"};
static Function pack_final = {"revacct._pack_final(" PACK ")"};

static void
random_events(Dice *dice, Histories *histories)
{
	static const int64 units[] = {USECS_PER_HOUR, USECS_PER_MINUTE * 15, USECS_PER_DAY, 1};
	static const int64 values[] = {0, 1, 2, -1, PG_INT64_MAX, PG_INT64_MIN};
	TimestampTz		   at = START;
	int				   subject = 0;

	while (!rolled_out(dice) && histories->event_count < MAX_EVENTS)
	{
		int	   what = pick(dice, 256);
		Event *event = &histories->events[histories->event_count];

		if ((what & 0x10) && subject < MAX_SUBJECTS - 1)
		{
			subject++;
			at = START;
		}
		if (!(what & 0x80))
		{
			int step = pick(dice, 256);

			at += units[step & 3] * ((step >> 2) - 8);
		}
		event->subject = subject;
		event->mark = what & 0x0F;
		event->at = at;
		if ((event->has_value = what & 0x20))
		{
			int which = pick(dice, 256);

			/* a small number, or an instant that was promised */
			event->value = which < 128 ? values[which % lengthof(values)]
									   : at + (int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY +
											 (which - 160) * USECS_PER_HOUR;
		}
		if ((event->has_seq = what & 0x40))
			event->seq = pick(dice, 4) - 1;
		histories->event_count++;
	}
	histories->subject_count = subject + 1;
}

static void
add_mark(Aggregate *aggregate, const Event *event)
{
	NullableDatum args[] = {given(Int32GetDatum(event->mark)),
							given(TimestampTzGetDatum(event->at)),
							{Int64GetDatum(event->value), !event->has_value},
							{Int64GetDatum(event->seq), !event->has_seq}};

	aggregate_row(aggregate, lengthof(args), args);
}

static void
fold_journeys(Histories *histories)
{
	Aggregate *aggregates[MAX_SUBJECTS];

	for (int i = 0; i < histories->subject_count; i++)
		aggregates[i] = new_aggregate(&journey_add_mark, &journey_final);
	for (int i = 0; i < histories->event_count; i++)
		add_mark(aggregates[histories->events[i].subject], &histories->events[i]);
	for (int i = 0; i < histories->subject_count; i++)
		histories->journeys[i] = aggregate_result(aggregates[i], &histories->missing[i]);
}

static Histories *
random_histories(Dice *dice)
{
	Histories *histories = palloc0(sizeof(Histories));

	random_events(dice, histories);
	fold_journeys(histories);
	return histories;
}

/* The pack of some of the subjects. */
static Datum
pack_of(const Histories *histories, int from, int to, bool *isnull)
{
	Aggregate *aggregate = new_aggregate(&pack_add_number, &pack_final);

	for (int i = from; i < to; i++)
	{
		NullableDatum args[] = {given(Int64GetDatum(i)), {histories->journeys[i], histories->missing[i]}};

		aggregate_row(aggregate, lengthof(args), args);
	}
	return aggregate_result(aggregate, isnull);
}

/*
 * What holds of every summary
 */

typedef struct Summary
{
	const char *name;
	Function   *add_journey;
	Function   *add_pack;
	Function   *add_summary;
	Function   *final;
	int			argument_count; /* what follows the journey: definition, as_of, … */
	Datum		arguments[3];
} Summary;

static Aggregate *
summarized(const Summary *summary, const Histories *histories, int from, int to)
{
	Aggregate *aggregate = new_aggregate(summary->add_journey, summary->final);

	for (int i = from; i < to; i++)
	{
		NullableDatum args[4] = {{histories->journeys[i], histories->missing[i]}};

		for (int k = 0; k < summary->argument_count; k++)
			args[k + 1] = given(summary->arguments[k]);
		aggregate_row(aggregate, summary->argument_count + 1, args);
	}
	return aggregate;
}

static void
check_merged(const Summary *summary, Datum whole, bool missing, NullableDatum a, NullableDatum b, const char *what)
{
	Aggregate *aggregate = new_aggregate(summary->add_summary, summary->final);
	Datum	   merged;
	bool	   isnull;

	aggregate_row(aggregate, 1, &a);
	aggregate_row(aggregate, 1, &b);
	merged = aggregate_result(aggregate, &isnull);
	law(isnull == missing && (isnull || same_bytes(merged, whole)), "%s: %s differ from the whole", summary->name, what);
}

/* The summary of all histories; NULL (false) when there is no journey. */
static bool
check_summary(const Summary *summary, const Histories *histories, Datum *whole)
{
	bool		  missing;
	bool		  isnull;
	Datum		  pack;
	int			  middle = histories->subject_count / 2;
	Aggregate	 *first;
	Aggregate	 *second;
	NullableDatum a;
	NullableDatum b;

	*whole = aggregate_result(summarized(summary, histories, 0, histories->subject_count), &missing);

	pack = pack_of(histories, 0, histories->subject_count, &isnull);
	law(isnull == missing, "%s: a pack, or none", summary->name);
	if (!isnull)
	{
		Aggregate	 *aggregate = new_aggregate(summary->add_pack, summary->final);
		NullableDatum args[4] = {given(pack)};

		for (int k = 0; k < summary->argument_count; k++)
			args[k + 1] = given(summary->arguments[k]);
		aggregate_row(aggregate, summary->argument_count + 1, args);
		law(same_bytes(aggregate_result(aggregate, &isnull), *whole), "%s: pack and journeys differ", summary->name);
	}

	first = summarized(summary, histories, 0, middle);
	second = summarized(summary, histories, middle, histories->subject_count);
	a = (NullableDatum){first->state, first->isnull};
	b = (NullableDatum){second->state, second->isnull};
	check_merged(summary, *whole, missing, a, b, "two states");
	check_merged(summary, *whole, missing, b, a, "two states, the other way round,");
	a.value = aggregate_result(first, &a.isnull);
	b.value = aggregate_result(second, &b.isnull);
	check_merged(summary, *whole, missing, a, b, "two summaries");
	check_merged(summary, *whole, missing, b, a, "two summaries, the other way round,");
	return !missing;
}

static bool
is_word(Datum datum, const char *word)
{
	return strcmp(TextDatumGetCString(datum), word) == 0;
}

static int64
interval_usecs(Datum datum)
{
	Interval *interval = DatumGetIntervalP(datum);

	law(interval->month == 0, "an interval with months");
	return interval->day * USECS_PER_DAY + interval->time;
}

/*
 * Journeys and packs
 */

static void
run_journeys(const Target *target, const uint8 *data, size_t size)
{
	static Function marks = {"revacct.marks(" JOURNEY ")"};
	static Function merge = {"revacct.merge(" JOURNEY "," JOURNEY ")"};
	static Function unpack = {"revacct.unpack(" PACK ")"};
	static Function mark_count = {"revacct.mark_count(" PACK ")"};
	Dice			dice = {data, data + size};
	Histories	   *histories = random_histories(&dice);
	Aggregate	   *backwards = new_aggregate(&journey_add_mark, &journey_final);
	Aggregate	   *united = new_aggregate(&journey_add_journey, &journey_final);
	Aggregate	   *combined = new_aggregate(&journey_combine, &journey_final);
	Aggregate	   *events = new_aggregate(&pack_add_event, &pack_final);
	Aggregate	   *texts = new_aggregate(&pack_add_text, &pack_final);
	Summary			packing = {"pack", &pack_add_number, NULL, &pack_add_pack, &pack_final, 0, {0}};
	bool			plain = true; /* no mark has more than its time */
	bool			isnull;
	bool			missing;
	Datum			pack;
	Datum			whole;
	Rows		   *rows;
	int64			total = 0;

	/* one journey of all marks: in any order, and in parts */
	for (int i = histories->event_count - 1; i >= 0; i--)
	{
		add_mark(backwards, &histories->events[i]);
		plain = plain && !histories->events[i].has_value && !histories->events[i].has_seq;
	}
	whole = aggregate_result(backwards, &missing);
	for (int i = 0; i < histories->subject_count; i++)
	{
		NullableDatum journey = {histories->journeys[i], histories->missing[i]};

		aggregate_row(united, 1, &journey);
		aggregate_row(united, 1, &journey);
		aggregate_row(combined, 1, &journey);
	}
	law(missing == (histories->event_count == 0), "marks, and no journey");
	if (missing)
		return;
	law(same_bytes(aggregate_result(united, &isnull), whole), "journeys united differ from one of all marks");
	law(same_bytes(aggregate_result(combined, &isnull), whole), "journeys combined differ from one of all marks");
	law(same_bytes(call(&merge, 2, whole, whole), whole), "a journey merged with itself differs");
	rows = rows_of(&marks, 1, whole);
	for (int i = 1; i < rows->count; i++)
		law(DatumGetTimestampTz(CELL(rows, i - 1, 0)) <= DatumGetTimestampTz(CELL(rows, i, 0)), "marks out of order");

	/* packs: from events, from texts, merged */
	pack = pack_of(histories, 0, histories->subject_count, &isnull);
	for (int i = 0; plain && i < histories->event_count; i++)
	{
		const Event	 *event = &histories->events[i];
		NullableDatum args[] = {given(Int64GetDatum(event->subject)),
								given(Int32GetDatum(event->mark)),
								given(TimestampTzGetDatum(event->at))};

		aggregate_row(events, lengthof(args), args);
	}
	if (plain)
		law(same_bytes(aggregate_result(events, &isnull), pack), "packs of events and of journeys differ");
	for (int i = histories->subject_count - 1; i >= 0; i--)
	{
		NullableDatum args[] = {given(CStringGetTextDatum(psprintf("%d", i))),
								{histories->journeys[i], histories->missing[i]}};

		aggregate_row(texts, lengthof(args), args);
	}
	law(same_bytes(aggregate_result(texts, &isnull), pack), "packs by text and by number differ");
	for (int way = 0; way < 2; way++)
	{
		int	 middle = histories->subject_count / 2;
		bool a_missing;
		bool b_missing;
		NullableDatum a = given(pack_of(histories, 0, middle, &a_missing));
		NullableDatum b = given(pack_of(histories, middle, histories->subject_count, &b_missing));

		a.isnull = a_missing;
		b.isnull = b_missing;
		packing.add_summary = way == 0 ? &pack_add_pack : &pack_combine;
		check_merged(&packing, pack, false, b, a, "two packs");
		check_merged(&packing, pack, false, given(pack), given(pack), "a pack twice");
	}
	rows = rows_of(&unpack, 1, pack);
	for (int i = 0, subject = 0; i < rows->count; i++, subject++)
	{
		while (histories->missing[subject])
			subject++;
		law(is_word(CELL(rows, i, 0), psprintf("%d", subject)), "another subject in the pack");
		law(same_bytes(CELL(rows, i, 1), histories->journeys[subject]), "another journey in the pack");
		total += rows_of(&marks, 1, CELL(rows, i, 1))->count;
	}
	law(DatumGetInt64(call(&mark_count, 1, pack)) == total, "marks of a pack");
}

/*
 * Funnel
 */

static void
run_funnel(const Target *target, const uint8 *data, size_t size)
{
	static Function add_journey = {"revacct._funnel_add_journey(" FUNNEL "," JOURNEY "," LIFECYCLE "," INSTANT ")"};
	static Function add_pack = {"revacct._funnel_add_pack(" FUNNEL "," PACK "," LIFECYCLE "," INSTANT ")"};
	static Function add_summary = {"revacct._funnel_add_summary(" FUNNEL "," FUNNEL ")"};
	static Function final = {"revacct._funnel_final(" FUNNEL ")"};
	static Function stages = {"revacct.stages(" FUNNEL ",float8)"};
	static Function attempts = {"revacct.attempts(" FUNNEL ")"};
	static Function funnel_attempts = {"revacct.funnel_attempts(" JOURNEY "," LIFECYCLE "," INSTANT ")"};
	/* columns of both */
	enum {ENTERED = 3, OBSERVED, IMPUTED, CONVERTED, LOST, IN_PROGRESS = 11, EXPIRED, REPEATS = 19, REGRESSES};
	enum {ATTEMPT_NO, COUNTED, OPENED_AT, ENDED_AT, STAGE_NO = 5, IS_IMPUTED = 7, ENTERED_AT, STATUS, CONVERTED_AT, ROW_REPEATS, ROW_REGRESSES};
	Dice		dice = {data, data + size};
	Datum		lifecycle = random_lifecycle(&dice);
	TimestampTz as_of = random_instant(&dice);
	Histories  *histories = random_histories(&dice);
	Summary		summary = {"funnel", &add_journey, &add_pack, &add_summary, &final, 2, {lifecycle, TimestampTzGetDatum(as_of)}};
	Datum		whole;
	Rows	   *of_summary;
	int64	  (*sums)[EXPIRED + REGRESSES];
	int64		attempt_count = 0;

	if (!check_summary(&summary, histories, &whole))
		return;
	of_summary = rows_of(&stages, 2, whole, Float8GetDatum(0.95));
	sums = palloc0(sizeof(*sums) * (of_summary->count + 1));
	for (int subject = 0; subject < histories->subject_count; subject++)
	{
		Rows *rows;
		int	  last_attempt = 0;

		if (histories->missing[subject])
			continue;
		rows = rows_of(&funnel_attempts, 3, histories->journeys[subject], lifecycle, TimestampTzGetDatum(as_of));
		for (int i = 0; i < rows->count; i++)
		{
			int	   stage = DatumGetInt32(CELL(rows, i, STAGE_NO));
			int	   attempt = DatumGetInt32(CELL(rows, i, ATTEMPT_NO));
			int64 *sum;

			law(attempt == last_attempt || attempt == last_attempt + 1, "attempts are not numbered in order");
			last_attempt = attempt;
			law(stage >= 1 && stage <= of_summary->count, "an attempt in stage %d of %d", stage, of_summary->count);
			law(DatumGetTimestampTz(CELL(rows, i, OPENED_AT)) <= as_of, "an attempt opened after as_of");
			law(IS_NULL(rows, i, ENTERED_AT) == DatumGetBool(CELL(rows, i, IS_IMPUTED)), "imputed, with a time");
			law(IS_NULL(rows, i, CONVERTED_AT) || DatumGetTimestampTz(CELL(rows, i, CONVERTED_AT)) <= as_of, "converted after as_of");
			if (!DatumGetBool(CELL(rows, i, COUNTED)))
				continue;
			sum = sums[stage];
			sum[ENTERED]++;
			sum[DatumGetBool(CELL(rows, i, IS_IMPUTED)) ? IMPUTED : OBSERVED]++;
			if (is_word(CELL(rows, i, STATUS), "converted"))
				sum[CONVERTED]++;
			else if (is_word(CELL(rows, i, STATUS), "lost"))
				sum[LOST]++;
			else if (is_word(CELL(rows, i, STATUS), "in_progress"))
				sum[IN_PROGRESS]++;
			else
				sum[EXPIRED]++;
			sum[REPEATS] += DatumGetInt32(CELL(rows, i, ROW_REPEATS));
			sum[REGRESSES] += DatumGetInt32(CELL(rows, i, ROW_REGRESSES));
		}
		attempt_count += last_attempt;
	}
	law(DatumGetInt64(call(&attempts, 1, whole)) == attempt_count, "attempts of the summary and rows");
	for (int i = 0; i < of_summary->count; i++)
	{
		static const int columns[] = {ENTERED, OBSERVED, IMPUTED, CONVERTED, LOST, IN_PROGRESS, EXPIRED, REPEATS, REGRESSES};

		for (int k = 0; k < lengthof(columns); k++)
			law(COUNT_CELL(of_summary, i, columns[k]) == sums[i + 1][columns[k]],
				"stage %d, column %d: " INT64_FORMAT " in the summary, " INT64_FORMAT " in rows",
				i + 1,
				columns[k],
				COUNT_CELL(of_summary, i, columns[k]),
				sums[i + 1][columns[k]]);
		law(COUNT_CELL(of_summary, i, CONVERTED) + COUNT_CELL(of_summary, i, LOST) + COUNT_CELL(of_summary, i, IN_PROGRESS) +
					COUNT_CELL(of_summary, i, EXPIRED) ==
				COUNT_CELL(of_summary, i, ENTERED),
			"what entered stage %d is not what became of it",
			i + 1);
	}
}

/*
 * Velocity
 */

static void
run_velocity(const Target *target, const uint8 *data, size_t size)
{
	static Function add_journey = {"revacct._velocity_add_journey(" VELOCITY "," JOURNEY "," LIFECYCLE "," INSTANT ")"};
	static Function add_pack = {"revacct._velocity_add_pack(" VELOCITY "," PACK "," LIFECYCLE "," INSTANT ")"};
	static Function add_journey_since = {"revacct._velocity_add_journey(" VELOCITY "," JOURNEY "," LIFECYCLE "," INSTANT "," INSTANT ")"};
	static Function add_pack_since = {"revacct._velocity_add_pack(" VELOCITY "," PACK "," LIFECYCLE "," INSTANT "," INSTANT ")"};
	static Function add_summary = {"revacct._velocity_add_summary(" VELOCITY "," VELOCITY ")"};
	static Function final = {"revacct._velocity_final(" VELOCITY ")"};
	static Function stages = {"revacct.stages(" VELOCITY ",float8)"};
	static Function business_clock = {"revacct.business_clock(" VELOCITY ")"};
	static Function stage_spans = {"revacct.stage_spans(" JOURNEY "," LIFECYCLE "," INSTANT "," INSTANT ")"};
	static const char *const exits[] = {"forward", "skip", "back", "repeat", "won", "lost", "no_decision", "recycled", "churned"};
	enum {VISITS = 3, PENDING, FIRST_EXIT, COLUMNS = FIRST_EXIT + lengthof(exits)};
	enum {ATTEMPT_NO, VISIT_NO, STAGE_NO, ENTERED_AT = 4, LEFT_AT, EXIT, DURATION, MEASURED, BUSINESS};
	Dice		dice = {data, data + size};
	Datum		lifecycle = random_lifecycle(&dice);
	TimestampTz as_of = random_instant(&dice);
	bool		since_given = pick(&dice, 3) == 2;
	TimestampTz since = since_given ? as_of - USECS_PER_HOUR * (1 + pick(&dice, 256)) : DT_NOBEGIN;
	Histories  *histories = random_histories(&dice);
	Summary		summary = {"velocity", &add_journey, &add_pack, &add_summary, &final, 2, {lifecycle, TimestampTzGetDatum(as_of)}};
	Datum		whole;
	Rows	   *of_summary;
	char	   *text = text_of_value(LIFECYCLE, lifecycle);
	/* durations of a stage are summed up, and its visits are not counted one by one */
	bool		cumulative = strstr(text, "visits cumulative") != NULL;
	int64	  (*sums)[COLUMNS];

	if (since_given)
	{
		summary.add_journey = &add_journey_since;
		summary.add_pack = &add_pack_since;
		summary.arguments[summary.argument_count++] = TimestampTzGetDatum(since);
	}
	if (!check_summary(&summary, histories, &whole))
		return;
	of_summary = rows_of(&stages, 2, whole, Float8GetDatum(0.95));
	sums = palloc0(sizeof(*sums) * (of_summary->count + 1));
	for (int subject = 0; subject < histories->subject_count; subject++)
	{
		NullableDatum args[4] = {{histories->journeys[subject], histories->missing[subject]}};
		Rows		 *rows;

		if (args[0].isnull)
			continue;
		rows = rows_of(&stage_spans, 4, histories->journeys[subject], lifecycle, TimestampTzGetDatum(as_of), TimestampTzGetDatum(since));
		for (int i = 0; i < rows->count; i++)
		{
			int			stage = DatumGetInt32(CELL(rows, i, STAGE_NO));
			TimestampTz entered = DatumGetTimestampTz(CELL(rows, i, ENTERED_AT));
			bool		open = IS_NULL(rows, i, LEFT_AT);
			TimestampTz left = open ? as_of : DatumGetTimestampTz(CELL(rows, i, LEFT_AT));
			int64		wall = interval_usecs(CELL(rows, i, DURATION));

			law(open == IS_NULL(rows, i, EXIT), "a visit left without an exit");
			law(wall == left - entered && wall >= 0, "a visit of another length");
			law(IS_NULL(rows, i, BUSINESS) || (interval_usecs(CELL(rows, i, BUSINESS)) >= 0 && interval_usecs(CELL(rows, i, BUSINESS)) <= wall),
				"more business time than time");
			if (i > 0 && DatumGetInt32(CELL(rows, i, VISIT_NO)) > 1)
				law(DatumGetTimestampTz(CELL(rows, i - 1, LEFT_AT)) == entered, "visits do not tile");
			if (!DatumGetBool(CELL(rows, i, MEASURED)))
				continue;
			sums[stage][VISITS]++;
			if (open)
				sums[stage][PENDING]++;
			for (int k = 0; !open && k < lengthof(exits); k++)
				sums[stage][FIRST_EXIT + k] += is_word(CELL(rows, i, EXIT), exits[k]);
		}
	}
	for (int i = 0; i < of_summary->count; i++)
	{
		int64 all = 0;

		for (int k = VISITS; k < COLUMNS; k++)
		{
			if (!cumulative)
				law(COUNT_CELL(of_summary, i, k) == sums[i + 1][k],
					"stage %d, column %d: " INT64_FORMAT " in the summary, " INT64_FORMAT " in rows",
					i + 1,
					k,
					COUNT_CELL(of_summary, i, k),
					sums[i + 1][k]);
			if (k > VISITS)
				all += COUNT_CELL(of_summary, i, k);
		}
		law(all == COUNT_CELL(of_summary, i, VISITS), "visits of stage %d are not what became of them", i + 1);
	}
	if (strstr(text, "; calendar ") == NULL)
		return;
	whole = call(&business_clock, 1, whole);
	law(rows_of(&stages, 2, whole, Float8GetDatum(0.95))->count == of_summary->count, "other stages by the business clock");
}

/*
 * SLA
 */

static void
run_sla(const Target *target, const uint8 *data, size_t size)
{
	static Function add_journey = {"revacct._breach_add_journey(" BREACH "," JOURNEY "," SLA "," INSTANT ")"};
	static Function add_pack = {"revacct._breach_add_pack(" BREACH "," PACK "," SLA "," INSTANT ")"};
	static Function add_summary = {"revacct._breach_add_summary(" BREACH "," BREACH ")"};
	static Function final = {"revacct._breach_final(" BREACH ")"};
	static Function policies = {"revacct.policies(" BREACH ",float8)"};
	static Function phases = {"revacct.phases(" BREACH ")"};
	static Function sla_clocks = {"revacct.sla_clocks(" JOURNEY "," SLA "," INSTANT ")"};
	static Function sla_phases = {"revacct.sla_phases(" JOURNEY "," SLA "," INSTANT ")"};
	static Function escalations = {"revacct.escalations(" JOURNEY "," SLA "," INSTANT ")"};
	static Function open_clocks = {"revacct.sla_open_clocks(" PACK "," SLA "," INSTANT ")"};
	static Function elapsed_quantile = {"revacct.elapsed_quantile(" BREACH ",float8)"};
	static const char *const statuses[] = {"met", "breached", "running", "paused", "cancelled"};
	enum {STARTED = 6, FIRST_STATUS, AT_RISK = FIRST_STATUS + lengthof(statuses), OVERDUE, COLUMNS};
	enum {CLOCK_NO, STATUS, STARTED_AT, DUE_AT, BREACH_AT, ENDED_AT, ENDED_BY, ELAPSED, ELAPSED_WALL, PAUSED, TARGET, REMAINING, OVERDUE_BY,
		  FRACTION, IS_AT_RISK, POLICY_NO};
	Dice		dice = {data, data + size};
	Datum		sla = random_sla(&dice);
	TimestampTz as_of = random_instant(&dice);
	Histories  *histories = random_histories(&dice);
	Summary		summary = {"sla", &add_journey, &add_pack, &add_summary, &final, 2, {sla, TimestampTzGetDatum(as_of)}};
	Datum		whole;
	Rows	   *of_summary;
	Rows	   *phase_sums;
	int64	  (*sums)[COLUMNS];
	int			open_count = 0;
	int64		stopped_count = 0;
	int64		stopped_usecs = 0;
	int64		soonest = PG_INT64_MAX;
	Datum		quantile;
	bool		isnull;

	if (!check_summary(&summary, histories, &whole))
		return;
	of_summary = rows_of(&policies, 2, whole, Float8GetDatum(0.95));
	sums = palloc0(sizeof(*sums) * (of_summary->count + 1));
	for (int subject = 0; subject < histories->subject_count; subject++)
	{
		Datum journey = histories->journeys[subject];
		Rows *clocks;
		Rows *parts;
		int	  part = 0;

		if (histories->missing[subject])
			continue;
		clocks = rows_of(&sla_clocks, 3, journey, sla, TimestampTzGetDatum(as_of));
		parts = rows_of(&sla_phases, 3, journey, sla, TimestampTzGetDatum(as_of));
		rows_of(&escalations, 3, journey, sla, TimestampTzGetDatum(as_of));
		for (int i = 0; i < clocks->count; i++)
		{
			int			policy = DatumGetInt32(CELL(clocks, i, POLICY_NO));
			int64		elapsed = interval_usecs(CELL(clocks, i, ELAPSED));
			int64		in_phases = 0;
			bool		open = IS_NULL(clocks, i, ENDED_AT);
			bool		breached = is_word(CELL(clocks, i, STATUS), "breached");
			TimestampTz started = DatumGetTimestampTz(CELL(clocks, i, STARTED_AT));
			int			had_phases = 0;

			law(DatumGetInt32(CELL(clocks, i, CLOCK_NO)) == i + 1, "clocks are not numbered in order");
			law(policy >= 1 && policy <= of_summary->count, "policy %d of %d", policy, of_summary->count);
			law(started <= as_of && (open || (DatumGetTimestampTz(CELL(clocks, i, ENDED_AT)) >= started &&
											  DatumGetTimestampTz(CELL(clocks, i, ENDED_AT)) <= as_of)),
				"a clock out of its time");
			law(elapsed >= 0 && elapsed <= interval_usecs(CELL(clocks, i, ELAPSED_WALL)), "more time of the clock than time");
			law(interval_usecs(CELL(clocks, i, ELAPSED_WALL)) + interval_usecs(CELL(clocks, i, PAUSED)) <=
					(open ? as_of : DatumGetTimestampTz(CELL(clocks, i, ENDED_AT))) - started,
				"ran and paused longer than it was open");
			law(open == !IS_NULL(clocks, i, REMAINING), "time that remains");
			if (open)
				law(interval_usecs(CELL(clocks, i, REMAINING)) == interval_usecs(CELL(clocks, i, TARGET)) - elapsed, "other time remains");
			if (breached)
				law(!IS_NULL(clocks, i, BREACH_AT) && DatumGetTimestampTz(CELL(clocks, i, BREACH_AT)) <= as_of, "breached, not yet");
			sums[policy][STARTED]++;
			for (int k = 0; k < lengthof(statuses); k++)
				sums[policy][FIRST_STATUS + k] += is_word(CELL(clocks, i, STATUS), statuses[k]);
			sums[policy][AT_RISK] += DatumGetBool(CELL(clocks, i, IS_AT_RISK));
			sums[policy][OVERDUE] += breached && open;
			open_count += open;
			if (!open && is_word(CELL(clocks, i, ENDED_BY), "stop"))
			{
				stopped_count++;
				stopped_usecs += elapsed;
				soonest = Min(soonest, elapsed);
			}

			for (; part < parts->count && DatumGetInt32(CELL(parts, part, 0)) == i + 1; part++, had_phases++)
				in_phases += interval_usecs(CELL(parts, part, 3));
			law(had_phases == 0 || in_phases == elapsed, "phases do not add up to what has elapsed");
		}
		law(part == parts->count, "phases of no clock");
	}
	for (int i = 0; i < of_summary->count; i++)
	{
		for (int k = STARTED; k < COLUMNS; k++)
			law(COUNT_CELL(of_summary, i, k) == sums[i + 1][k],
				"policy %d, column %d: " INT64_FORMAT " in the summary, " INT64_FORMAT " in rows",
				i + 1,
				k,
				COUNT_CELL(of_summary, i, k),
				sums[i + 1][k]);
	}
	law(rows_of(&open_clocks, 3, pack_of(histories, 0, histories->subject_count, &isnull), sla, TimestampTzGetDatum(as_of))->count ==
			open_count,
		"other clocks are open in a pack");

	phase_sums = rows_of(&phases, 1, whole);
	law(COUNT_CELL(phase_sums, 0, 2) == stopped_count, "other clocks were stopped");
	law(DatumGetBool(DirectFunctionCall2(numeric_eq,
										 DirectFunctionCall2(numeric_mul, CELL(phase_sums, 0, 3), DirectFunctionCall1(int8_numeric, Int64GetDatum(USECS_PER_SEC))),
										 DirectFunctionCall1(int8_numeric, Int64GetDatum(stopped_usecs)))),
		"stopped clocks ran for another time");
	quantile = call_or_null(&elapsed_quantile, &isnull, 2, whole, Float8GetDatum(0.001));
	law(isnull == (stopped_count == 0) && (isnull || interval_usecs(quantile) == soonest), "the first stop is another one: " INT64_FORMAT ", not " INT64_FORMAT, isnull ? -1 : interval_usecs(quantile), soonest);
	if (phase_sums->count > 1)
	{
		Datum sum = DirectFunctionCall1(int8_numeric, Int64GetDatum(0));

		for (int i = 1; i < phase_sums->count; i++)
			sum = DirectFunctionCall2(numeric_add, sum, CELL(phase_sums, i, 3));
		law(DatumGetBool(DirectFunctionCall2(numeric_eq, sum, CELL(phase_sums, 0, 3))), "sums of phases do not add up");
	}
}

/*
 * Business time
 */

static int64
business_between(Datum calendar, TimestampTz from, TimestampTz to)
{
	static Function business_time = {"revacct.business_time(" CALENDAR "," INSTANT "," INSTANT ")"};

	return interval_usecs(call(&business_time, 3, calendar, TimestampTzGetDatum(from), TimestampTzGetDatum(to)));
}

static void
run_calendar(const Target *target, const uint8 *data, size_t size)
{
	static Function business_add = {"revacct.business_add(" CALENDAR "," INSTANT ",interval)"};
	static Function next_open = {"revacct.next_open(" CALENDAR "," INSTANT ")"};
	static Function is_open = {"revacct.is_open(" CALENDAR "," INSTANT ")"};
	static Function open_intervals = {"revacct.open_intervals(" CALENDAR "," INSTANT "," INSTANT ")"};
	static Function unite = {"revacct.calendar_union(" CALENDAR "," CALENDAR ")"};
	static Function intersect = {"revacct.calendar_intersection(" CALENDAR "," CALENDAR ")"};
	Dice		dice = {data, data + size};
	Datum		calendar = random_calendar(&dice);
	TimestampTz a = random_instant(&dice);
	TimestampTz b = random_instant(&dice);
	TimestampTz c = random_instant(&dice);
	Interval	amount = {0};
	int64		soon = 60 * USECS_PER_DAY;
	bool		search;
	int64		open_time = business_between(calendar, a, b);
	Datum		other;
	Datum		result;
	Rows	   *rows;
	int64		sum = 0;
	bool		isnull;

	law(open_time == -business_between(calendar, b, a), "there is not back");
	law(open_time + business_between(calendar, b, c) == business_between(calendar, a, c), "business time does not add up");
	law(a > b ? open_time <= 0 && open_time >= b - a : open_time >= 0 && open_time <= b - a, "more business time than time");

	amount.time = (pick(&dice, 256) - 128) * USECS_PER_HOUR / 4;
	/* to find out that a calendar never opens takes centuries to be laid out: not often */
	search = pick(&dice, 64) == 63 || (business_between(calendar, a - soon, a) > llabs(amount.time) &&
									   business_between(calendar, a, a + soon) > llabs(amount.time));
	isnull = true;
	if (search)
		result = call_or_null(&business_add, &isnull, 3, calendar, TimestampTzGetDatum(a), IntervalPGetDatum(&amount));
	if (!isnull)
		law(business_between(calendar, a, DatumGetTimestampTz(result)) == amount.time, "added other business time");

	isnull = true;
	if (search)
		result = call_or_null(&next_open, &isnull, 2, calendar, TimestampTzGetDatum(a));
	if (!isnull)
	{
		law(DatumGetTimestampTz(result) >= a && business_between(calendar, a, DatumGetTimestampTz(result)) == 0, "open before it opens");
		law(DatumGetBool(call(&is_open, 2, calendar, result)), "closed when it opens");
		law(DatumGetBool(call(&is_open, 2, calendar, TimestampTzGetDatum(a))) == (DatumGetTimestampTz(result) == a), "open, or opens later");
	}

	rows = rows_of(&open_intervals, 3, calendar, TimestampTzGetDatum(Min(a, b)), TimestampTzGetDatum(Max(a, b)));
	for (int i = 0; i < rows->count; i++)
	{
		TimestampTz opens = DatumGetTimestampTz(CELL(rows, i, 0));
		TimestampTz closes = DatumGetTimestampTz(CELL(rows, i, 1));

		law(opens < closes && (i == 0 || DatumGetTimestampTz(CELL(rows, i - 1, 1)) < opens), "open intervals out of order");
		sum += closes - opens;
	}
	law(sum == (a > b ? -open_time : open_time), "open intervals do not add up to business time");

	if (pick(&dice, 4) != 1)
		return;
	other = random_calendar(&dice);
	law(business_between(call(&unite, 2, calendar, other), a, b) + business_between(call(&intersect, 2, calendar, other), a, b) ==
			open_time + business_between(other, a, b),
		"union and intersection do not add up");
}

const Target computation_targets[] = {
	{"journeys", NULL, run_journeys, 0, NULL},
	{"funnel", NULL, run_funnel, 0, NULL},
	{"velocity", NULL, run_velocity, 0, NULL},
	{"sla", NULL, run_sla, 0, NULL},
	{"calendar", NULL, run_calendar, 0, NULL},
	{NULL, NULL, NULL, 0, NULL},
};
