/*
 * attempts.c
 *	  From a history to attempts, for lifecycles that impute skipped steps or take each step on its own.
 *
 * One pass over the marks in reading order. Strict funnels, where an attempt is a chain of marks, are in chains.c.
 */
#include "attempts.h"

#include "miscadmin.h"

const char *const outcome_names[OUTCOMES] = {
	"in_progress",
	"expired",
	"won",
	"lost",
	"no_decision",
	"recycled",
	"churned",
};

void
begin_attempt_run(AttemptRun *run, const Lifecycle *lifecycle, TimestampTz as_of)
{
	run->lifecycle = lifecycle;
	run->as_of = as_of;
	run->attempts = run->recycled = run->unknown_marks = 0;
	run->is_open = run->has_chosen = run->last_was_won = false;
	run->current = &run->space[0];
	run->chosen = &run->space[1];
}

/*
 * Is a the better attempt: a higher level, then reached earlier, then opened later?
 */
static inline bool
is_better(const Attempt *a, const Attempt *b)
{
	if (a->level != b->level)
		return a->level > b->level;
	if (a->level_at != b->level_at)
		return a->level_at < b->level_at;
	return a->opened_at > b->opened_at;
}

/* Count a finished attempt, and keep it if it is the one that counts so far. */
void
end_attempt(AttemptRun *run, Attempt *attempt)
{
	bool keep = false;

	/* Of the marks of a history none takes long by itself, but what needs the rules of a time zone. */
	CHECK_FOR_INTERRUPTS();
	run->is_open = false;
	attempt->number = ++run->attempts;
	run->recycled += attempt->outcome == OUTCOME_RECYCLED;
	if (unlikely(run->see != NULL))
		run->see(run, attempt);
	if (!entry_counts(run->lifecycle, attempt->opened_at))
		return;
	switch (run->lifecycle->attempt)
	{
		case ATTEMPT_ALL:
			run->take(run, attempt);
			return;
		case ATTEMPT_FIRST:
			keep = !run->has_chosen;
			break;
		case ATTEMPT_LAST:
			keep = true;
			break;
		case ATTEMPT_BEST:
			keep = !run->has_chosen || is_better(attempt, run->chosen);
			break;
	}
	if (keep)
	{
		run->has_chosen = true;
		run->current = run->chosen;
		run->chosen = attempt;
	}
}

/* When the windows of all later steps have closed, DT_NOEND if one has none; those windows run from the level. */
static TimestampTz
steps_close_at(const Lifecycle *lifecycle, const Attempt *attempt)
{
	TimestampTz last = DT_NOBEGIN;

	if (lifecycle->step_within == NULL)
		return DT_NOEND;
	for (int step = attempt->level + 1; step < lifecycle->step_count; step++)
		last = Max(last, window_end(&lifecycle->step_within[step], lifecycle, attempt->level_at));
	return last == DT_NOBEGIN ? DT_NOEND : last;
}

static void
expire(AttemptRun *run, Attempt *attempt, TimestampTz seen_at)
{
	attempt->outcome = OUTCOME_EXPIRED;
	attempt->ended_at = Min(seen_at, Min(attempt->deadline, steps_close_at(run->lifecycle, attempt)));
	end_attempt(run, attempt);
}

static inline void
open_attempt(AttemptRun *run, int step, TimestampTz at)
{
	Attempt *attempt = run->current;

	run->is_open = true;
	run->current_step = step;
	attempt->opened_at = attempt->level_at = attempt->first_at[step] = at;
	attempt->ended_at = DT_NOEND;
	attempt->deadline = window_end(&run->lifecycle->within, run->lifecycle, at);
	attempt->entry_step = attempt->level = step;
	attempt->outcome = OUTCOME_IN_PROGRESS;
	attempt->observed = step_bit(step);
	attempt->timed = attempt->repeated = attempt->regressed = 0;
}

/* A step mark counts: every earlier observed step that still waited for a later one has converted. */
static inline void
convert_earlier(Attempt *attempt, int step, TimestampTz at)
{
	uint64 waiting = attempt->observed & ~attempt->timed & steps_below(step);

	attempt->timed |= waiting;
	while (waiting != 0)
	{
		attempt->converted_at[pg_rightmost_one_pos64(waiting)] = at;
		waiting &= waiting - 1;
	}
}

static inline void
count_mark(uint32 *counts, uint64 *mask, int step)
{
	if (*mask & step_bit(step))
		counts[step]++;
	else
		counts[step] = 1;
	*mask |= step_bit(step);
}

/* A mark at or below the level: observed now, or seen again, and perhaps a step back. */
static inline void
revisit(AttemptRun *run, Attempt *attempt, int step, TimestampTz at)
{
	if (step < run->current_step)
		count_mark(attempt->regresses, &attempt->regressed, step);
	convert_earlier(attempt, step, at);
	if (attempt->observed & step_bit(step))
		count_mark(attempt->repeats, &attempt->repeated, step);
	else
	{
		attempt->observed |= step_bit(step);
		attempt->first_at[step] = at;
	}
	run->current_step = step;
}

typedef enum Reach
{
	REACHED,
	REACHED_LATE, /* the step's own window had closed */
	NOT_LATER	  /* times must increase, and this one does not */
} Reach;

/* A mark above the level. */
static inline Reach
advance(AttemptRun *run, Attempt *attempt, int step, TimestampTz at)
{
	const Lifecycle *lifecycle = run->lifecycle;

	if (unlikely(lifecycle->step_within != NULL))
	{
		CHECK_FOR_INTERRUPTS();
		if (at > window_end(&lifecycle->step_within[step], lifecycle, attempt->level_at))
			return REACHED_LATE;
	}
	if (lifecycle->times == TIMES_INCREASING && at <= attempt->level_at)
		return NOT_LATER;
	convert_earlier(attempt, step, at);
	attempt->observed |= step_bit(step);
	attempt->first_at[step] = at;
	attempt->level = step;
	attempt->level_at = at;
	run->current_step = step;
	return REACHED;
}

static inline void
read_step(AttemptRun *run, int step, TimestampTz at)
{
	run->last_was_won = false;
	if (!run->is_open)
		open_attempt(run, step, at);
	else if (unlikely(at > run->current->deadline))
	{
		if (step > run->current->entry_step)
			return;
		expire(run, run->current, DT_NOEND);
		open_attempt(run, step, at);
	}
	else if (step > run->current->level)
		advance(run, run->current, step, at);
	else
		revisit(run, run->current, step, at);
}

static inline void
finish(AttemptRun *run, Outcome outcome, TimestampTz at)
{
	run->current->outcome = outcome;
	run->current->ended_at = at;
	end_attempt(run, run->current);
}

static void
read_won(AttemptRun *run, int step, TimestampTz at)
{
	Reach reach = REACHED;

	/* won again: a row saved twice, no other deal */
	if (run->last_was_won)
		return;
	run->last_was_won = true;
	if (!run->is_open)
		open_attempt(run, step, at);
	else if (at > run->current->deadline)
		reach = REACHED_LATE;
	else
		reach = advance(run, run->current, step, at);

	if (reach == REACHED_LATE)
		expire(run, run->current, at);
	else
		finish(run, reach == REACHED ? OUTCOME_WON : OUTCOME_LOST, at);
}

static void
read_exit(AttemptRun *run, StageCategory category, TimestampTz at)
{
	run->last_was_won = false;
	if (!run->is_open)
		return;
	if (at > run->current->deadline)
		expire(run, run->current, at);
	else
		finish(run, FIRST_LOST_OUTCOME + (category - CATEGORY_LOST), at);
}

/* Close what is still open at as_of, and hand over the attempt that counts. */
static inline void
finish_run(AttemptRun *run)
{
	if (run->is_open)
	{
		Attempt *attempt = run->current;

		if (unlikely(run->as_of > attempt->deadline || run->as_of > steps_close_at(run->lifecycle, attempt)))
			expire(run, attempt, DT_NOEND);
		else
			end_attempt(run, attempt);
	}
	if (run->has_chosen)
		run->take(run, run->chosen);
}

/* Put tied marks into stage order, equal ones in the order they have; those of no stage first. */
static void
sort_by_stage(const Lifecycle *lifecycle, uint16 *marks, int count)
{
	int		starts[MAX_STAGES + 2] = {0};
	uint16 *sorted = palloc(sizeof(uint16) * count);

	for (int i = 0; i < count; i++)
		starts[stage_of_mark(lifecycle, marks[i]) + 2]++;
	for (int stage = 1; stage < MAX_STAGES + 2; stage++)
		starts[stage] += starts[stage - 1];
	for (int i = 0; i < count; i++)
		sorted[starts[stage_of_mark(lifecycle, marks[i]) + 1]++] = marks[i];
	memcpy(marks, sorted, sizeof(uint16) * count);
	pfree(sorted);
}

/* Put a history into reading order: its tied marks in stage order, whatever their ids. */
void
put_in_reading_order(const Lifecycle *lifecycle, History *history)
{
	if (likely(lifecycle->marks_in_stage_order))
		return;
	for (int start = 0, end; start < history->count; start = end)
	{
		for (end = start + 1; end < history->count && tied_with_previous(history, end); end++)
			;
		CHECK_FOR_INTERRUPTS();
		if (end > start + 1)
			sort_by_stage(lifecycle, history->mark + start, end - start);
	}
}

/*
 * Read one history. Its tied marks may be put in reading order on the way.
 */
void
run_attempts(AttemptRun *run, History *history)
{
	const Lifecycle *lifecycle = run->lifecycle;
	int				 count = history->count;
	int				 won_step = lifecycle->won_step;
	int				 step_count = lifecycle->step_count;

	check_history_span(history, run->as_of);
	put_in_reading_order(lifecycle, history);
	if (lifecycle->skip == SKIP_STRICT)
		run_chains(run, history);
	else
	{
		for (int i = 0; i < count && history->at[i] <= run->as_of; i++)
		{
			int			stage = stage_of_mark(lifecycle, history->mark[i]);
			TimestampTz at = history->at[i];

			if (unlikely(stage < 0))
				run->unknown_marks += history->mark[i] == UNKNOWN_MARK;
			else if (stage == won_step)
				read_won(run, stage, at);
			else if (stage < step_count)
				read_step(run, stage, at);
			else
				read_exit(run, lifecycle->stages[stage].category, at);
		}
	}
	finish_run(run);
}
