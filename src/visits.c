/*
 * visits.c
 *	  From a history to visits. Visits tile each attempt: one ends where the next begins.
 */
#include "visits.h"

const char *const exit_names[EXIT_KINDS] = {
	"forward",
	"skip",
	"back",
	"repeat",
	"won",
	"lost",
	"no_decision",
	"recycled",
	"churned",
};

/* Refuse options that make no sense together. */
void
check_visit_options(const Lifecycle *lifecycle, TimestampTz as_of, TimestampTz since)
{
	check_finite_instant(as_of, "as_of");
	if (lifecycle->shared_marks)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("velocity needs one stage for each mark"),
				 errdetail("Stages of lifecycle \"%s\" share marks.", lifecycle->name),
				 errhint("Measure velocity with a lifecycle in which each mark means one stage.")));
	if (since == DT_NOBEGIN)
		return;
	check_finite_instant(since, "since");
	if (since >= as_of)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("since must be before as_of")));
	if (lifecycle->visits == VISITS_CUMULATIVE)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("cumulative visits cannot be observed since some time"),
				 errhint("Leave out since, or choose visits => 'all'.")));
}

static void
add_visit(VisitRun *run, int stage, TimestampTz at)
{
	Visit *visit;

	if (unlikely(run->visit_count == run->visit_capacity))
	{
		int capacity = Max(32, run->visit_capacity * 2);

		run->visits = run->visits == NULL ? MemoryContextAlloc(run->context, sizeof(Visit) * capacity)
										  : repalloc_huge(run->visits, sizeof(Visit) * capacity);
		run->visit_capacity = capacity;
	}
	visit = &run->visits[run->visit_count++];
	visit->entered_at = at;
	visit->stage = stage;
	visit->measured = true;
}

static inline void
leave(VisitRun *run, int exit, TimestampTz at)
{
	Visit *visit = &run->visits[run->visit_count - 1];

	visit->exit = exit;
	visit->left_at = at;
}

/* Of several visits of a stage in the attempt, leave only the first or the last one measured. */
static void
measure_one_each(VisitRun *run, bool first)
{
	uint64 seen = 0;

	for (int i = 0; i < run->visit_count; i++)
	{
		Visit *visit = &run->visits[first ? i : run->visit_count - 1 - i];

		visit->measured = !(seen & step_bit(visit->stage));
		seen |= step_bit(visit->stage);
	}
}

static void
end_attempt_of_visits(VisitRun *run)
{
	const Lifecycle *lifecycle = run->lifecycle;
	bool			 entry = entry_counts(lifecycle, run->visits[0].entered_at);

	run->attempts++;
	if (unlikely(lifecycle->visits == VISITS_FIRST || lifecycle->visits == VISITS_LAST))
		measure_one_each(run, lifecycle->visits == VISITS_FIRST);
	if (unlikely(run->since != DT_NOBEGIN || !entry))
		for (int i = 0; i < run->visit_count; i++)
			run->visits[i].measured &= entry && run->visits[i].left_at > run->since;
	run->end_attempt(run);
	run->visit_count = 0;
}

static inline ExitKind
exit_between(int from, int to)
{
	return to == from + 1 ? EXIT_FORWARD : to > from ? EXIT_SKIP : to == from ? EXIT_REPEAT : EXIT_BACK;
}

/*
 * Read one history. Its tied marks may be put in reading order on the way.
 */
void
run_visits(VisitRun *run, History *history)
{
	const Lifecycle *lifecycle = run->lifecycle;
	int				 stages = lifecycle->step_count - (lifecycle->won_step >= 0);

	check_history_span(history, run->as_of);
	put_in_reading_order(lifecycle, history);
	run->attempts = run->unknown_marks = run->visit_count = 0;
	for (int i = 0; i < history->count && history->at[i] <= run->as_of; i++)
	{
		int			stage = stage_of_mark(lifecycle, history->mark[i]);
		TimestampTz at = history->at[i];

		if (unlikely(stage < 0))
			run->unknown_marks += history->mark[i] == UNKNOWN_MARK;
		else if (stage < stages)
		{
			if (run->visit_count > 0)
				leave(run, exit_between(run->visits[run->visit_count - 1].stage, stage), at);
			add_visit(run, stage, at);
		}
		else if (run->visit_count > 0)
		{
			leave(run, EXIT_WON + (lifecycle->stages[stage].category - CATEGORY_WON), at);
			end_attempt_of_visits(run);
		}
	}
	if (run->visit_count > 0)
	{
		leave(run, EXIT_NONE, run->as_of);
		end_attempt_of_visits(run);
	}
}
