/*
 * chains.c
 *	  Strict funnels: the longest chain of marks that satisfies the steps in order.
 *
 * The history falls into episodes, each ended by a terminal mark. In an episode we look for the level (the length of the
 * longest chain), and among chains of that level for the earliest completion, then the latest start. As a chain with a
 * later start can do all that one with an earlier start can, it is enough to keep for each step the latest start of a
 * chain that has come so far: its window ends last. Keeping a step's *latest mark* instead is the classic mistake.
 *
 * Three ways, by what the lifecycle asks for:
 *	one mark, one step			one pass; tied marks are read in step order, which is the best order for them
 *	shared marks				tied marks are matched to distinct steps (bipartite, augmenting paths)
 *	step_within					also the time of the mark before matters: a monotone queue for each step
 *
 * Once level, start and completion are known, a second pass from that start picks the earliest mark for each step.
 */
#include "attempts.h"

#include "miscadmin.h"

/* A chain that has come to some step: where it started, and the last instant at which it may go on. */
typedef struct Chain
{
	TimestampTz deadline;
	TimestampTz start;
} Chain;

typedef struct Episode
{
	const Lifecycle *lifecycle;
	const History	*history;
	int				 from; /* marks from .. to - 1 */
	int				 to;

	/* the winner */
	int			level; /* -1: no chain */
	Chain		chain;
	TimestampTz completed_at;
} Episode;

static inline bool
goes_further(const Chain *a, const Chain *b)
{
	return a->deadline != b->deadline ? a->deadline > b->deadline : a->start > b->start;
}

/* A chain has come to step at an instant: is it the winner so far? */
static inline void
consider(Episode *episode, int step, const Chain *chain, TimestampTz at)
{
	if (step > episode->level ||
		(step == episode->level && at == episode->completed_at && goes_further(chain, &episode->chain)))
	{
		episode->level = step;
		episode->chain = *chain;
		episode->completed_at = at;
	}
}

static inline Chain
new_chain(const Lifecycle *lifecycle, TimestampTz at)
{
	Chain chain = {window_end(&lifecycle->within, lifecycle, at), at};

	return chain;
}

static inline int
step_of_mark(const Episode *episode, int i)
{
	int stage = stage_of_mark(episode->lifecycle, episode->history->mark[i]);

	return stage < episode->lifecycle->step_count ? stage : -1;
}

/* The end of the marks from i on that have its instant (or, with ties only, that are tied with it). */
static int
group_end(const Episode *episode, int i, bool ties_only)
{
	const History *history = episode->history;

	for (i++; i < episode->to; i++)
		if (ties_only ? !tied_with_previous(history, i) : history->at[i] != history->at[i - 1])
			break;
	return i;
}

/*
 * One mark, one step
 */

static inline void
extend_chain(Episode *episode, Chain *chains, uint64 *live, int step, TimestampTz at)
{
	Chain chain;

	if (step == 0)
	{
		if (!entry_counts(episode->lifecycle, at))
			return;
		chain = new_chain(episode->lifecycle, at);
	}
	else
	{
		if (!(*live & step_bit(step - 1)) || at > chains[step - 1].deadline)
			return;
		chain = chains[step - 1];
	}
	if (!(*live & step_bit(step)) || goes_further(&chain, &chains[step]))
		chains[step] = chain;
	*live |= step_bit(step);
	consider(episode, step, &chain, at);
}

static void
find_level(Episode *episode)
{
	const History *history = episode->history;
	Chain		   chains[MAX_STEPS];
	uint64		   live = 0;

	if (episode->lifecycle->times == TIMES_NONDECREASING)
	{
		for (int i = episode->from; i < episode->to; i++)
		{
			int step = step_of_mark(episode, i);

			if (step >= 0)
				extend_chain(episode, chains, &live, step, history->at[i]);
		}
		return;
	}

	/* times must increase: from the last step down, so that a chain moves one step an instant */
	for (int i = episode->from, end; i < episode->to; i = end)
	{
		uint64 present = 0;

		end = group_end(episode, i, false);
		for (int j = i; j < end; j++)
			if (step_of_mark(episode, j) >= 0)
				present |= step_bit(step_of_mark(episode, j));
		while (present != 0)
		{
			int step = pg_leftmost_one_pos64(present);

			present &= ~step_bit(step);
			extend_chain(episode, chains, &live, step, history->at[i]);
		}
	}
}

/* The earliest mark for each step of the winner. */
static void
trace_level(const Episode *episode, TimestampTz *first_at)
{
	const History *history = episode->history;
	bool		   increasing = episode->lifecycle->times == TIMES_INCREASING;
	int			   next = 0;

	for (int i = episode->from; i < episode->to && next <= episode->level; i++)
	{
		TimestampTz at = history->at[i];

		if (step_of_mark(episode, i) == next &&
			(next == 0 ? at == episode->chain.start : !increasing || at > first_at[next - 1]))
			first_at[next++] = at;
	}
}

/*
 * Shared marks
 */

/* Tied marks by the steps they satisfy; one mark serves one step. */
typedef struct MarkClass
{
	uint64 steps;
	int	   available;
	uint64 taken_by; /* steps it serves in the matching at hand */
} MarkClass;

typedef struct MarkGroup
{
	int		   class_count;
	MarkClass *classes;
	uint64	   steps; /* that any of them satisfies */
} MarkGroup;

static void
collect_group(const Episode *episode, int from, int to, MarkGroup *group)
{
	const uint64 *steps_of_mark = episode->lifecycle->steps_of_mark;

	group->class_count = 0;
	group->steps = 0;
	for (int i = from; i < to; i++)
	{
		uint64 steps = step_of_mark(episode, i) < 0 ? 0 : steps_of_mark[episode->history->mark[i]];
		int	   c = group->class_count - 1;

		CHECK_FOR_INTERRUPTS();
		if (steps == 0)
			continue;
		group->steps |= steps;
		while (c >= 0 && group->classes[c].steps != steps)
			c--;
		if (c < 0)
		{
			c = group->class_count++;
			group->classes[c].steps = steps;
			group->classes[c].available = 0;
		}
		group->classes[c].available++;
	}
}

/* Give step a mark, moving others to other marks if need be; visited holds the steps already asked to move. */
static bool
match_step(MarkGroup *group, int step, uint64 *visited)
{
	CHECK_FOR_INTERRUPTS();
	*visited |= step_bit(step);
	for (int c = 0; c < group->class_count; c++)
	{
		MarkClass *class = &group->classes[c];

		if (!(class->steps & step_bit(step)))
			continue;
		if (pg_popcount64(class->taken_by) < class->available)
		{
			class->taken_by |= step_bit(step);
			return true;
		}
		for (uint64 others = class->taken_by & ~*visited; others != 0; others = class->taken_by & ~*visited)
		{
			int other = pg_rightmost_one_pos64(others);

			if (match_step(group, other, visited))
			{
				class->taken_by = (class->taken_by & ~step_bit(other)) | step_bit(step);
				return true;
			}
		}
	}
	return false;
}

/* How far a chain that needs step next can go with the group's marks: the first step it does not get. */
static int
group_reach(MarkGroup *group, int next, int step_count)
{
	for (int c = 0; c < group->class_count; c++)
		group->classes[c].taken_by = 0;
	while (next < step_count && (group->steps & step_bit(next)))
	{
		uint64 visited = 0;

		if (!match_step(group, next, &visited))
			break;
		next++;
	}
	return next;
}

/* The same when times must increase: one step an instant. */
static int
group_reach_increasing(const MarkGroup *group, int next, int step_count)
{
	return next < step_count && (group->steps & step_bit(next)) ? next + 1 : next;
}

static int
reach(const Episode *episode, MarkGroup *group, int next)
{
	int step_count = episode->lifecycle->step_count;

	return episode->lifecycle->times == TIMES_INCREASING ? group_reach_increasing(group, next, step_count)
														 : group_reach(group, next, step_count);
}

static MarkGroup
new_group(const Episode *episode)
{
	MarkGroup group = {0};

	group.classes = palloc(sizeof(MarkClass) * episode->lifecycle->lookup_size);
	return group;
}

static void
find_level_shared(Episode *episode)
{
	const Lifecycle *lifecycle = episode->lifecycle;
	bool			 ties_only = lifecycle->times == TIMES_NONDECREASING;
	MarkGroup		 group = new_group(episode);
	Chain			 chains[MAX_STEPS];
	uint64			 live = 0;

	for (int i = episode->from, end; i < episode->to; i = end)
	{
		Chain		before[MAX_STEPS];
		uint64		live_before = live;
		TimestampTz at = episode->history->at[i];

		end = group_end(episode, i, ties_only);
		CHECK_FOR_INTERRUPTS();
		collect_group(episode, i, end, &group);
		memcpy(before, chains, sizeof(Chain) * lifecycle->step_count);

		/* next is the step that a chain which has come to next - 1 needs; it goes on from where it was before */
		for (int next = 0; next < lifecycle->step_count; next++)
		{
			Chain chain;
			int	  end_step;

			if (!(group.steps & step_bit(next)))
				continue;
			if (next == 0)
			{
				if (!entry_counts(lifecycle, at))
					continue;
				chain = new_chain(lifecycle, at);
			}
			else
			{
				if (!(live_before & step_bit(next - 1)) || at > before[next - 1].deadline)
					continue;
				chain = before[next - 1];
			}
			end_step = reach(episode, &group, next);
			for (int step = next; step < end_step; step++)
			{
				if (!(live & step_bit(step)) || goes_further(&chain, &chains[step]))
					chains[step] = chain;
				live |= step_bit(step);
				consider(episode, step, &chain, at);
			}
		}
	}
	pfree(group.classes);
}

static void
trace_level_shared(const Episode *episode, TimestampTz *first_at)
{
	bool	  ties_only = episode->lifecycle->times == TIMES_NONDECREASING;
	MarkGroup group = new_group(episode);
	int		  next = 0;

	for (int i = episode->from, end; i < episode->to && next <= episode->level; i = end)
	{
		TimestampTz at = episode->history->at[i];
		int			end_step;

		end = group_end(episode, i, ties_only);
		if (next == 0 && at != episode->chain.start)
			continue;
		collect_group(episode, i, end, &group);
		end_step = Min(reach(episode, &group, next), episode->level + 1);
		while (next < end_step)
			first_at[next++] = at;
	}
	pfree(group.classes);
}

/*
 * step_within
 */

/* Marks of one step in time order, whose chains go less and less far. */
typedef struct StepQueue
{
	int	 head;
	int	 tail;
	int *marks;
} StepQueue;

static StepQueue *
new_queues(const Episode *episode)
{
	StepQueue *queues = palloc0(sizeof(StepQueue) * episode->lifecycle->step_count);
	int		   sizes[MAX_STEPS] = {0};

	for (int i = episode->from; i < episode->to; i++)
		if (step_of_mark(episode, i) >= 0)
			sizes[step_of_mark(episode, i)]++;
	for (int step = 0; step < episode->lifecycle->step_count; step++)
		queues[step].marks = palloc(sizeof(int) * Max(sizes[step], 1));
	return queues;
}

static void
queue_mark(StepQueue *queue, const Chain *chains, int i)
{
	while (queue->tail > queue->head && !goes_further(&chains[queue->marks[queue->tail - 1]], &chains[i]))
		queue->tail--;
	queue->marks[queue->tail++] = i;
}

/* The chain that goes furthest among those from which step can be reached at an instant, or NULL. */
static const Chain *
best_before(const Episode *episode, StepQueue *queues, const Chain *chains, int step, TimestampTz at)
{
	const Window *window = &episode->lifecycle->step_within[step];
	StepQueue	 *queue = &queues[step - 1];

	while (queue->head < queue->tail &&
		   at > window_end(window, episode->lifecycle, episode->history->at[queue->marks[queue->head]]))
		queue->head++;
	if (queue->head == queue->tail || at > chains[queue->marks[queue->head]].deadline)
		return NULL;
	return &chains[queue->marks[queue->head]];
}

static void
find_level_step_within(Episode *episode)
{
	const Lifecycle *lifecycle = episode->lifecycle;
	const History	*history = episode->history;
	bool			 increasing = lifecycle->times == TIMES_INCREASING;
	StepQueue		*queues = new_queues(episode);
	Chain			*space = palloc(sizeof(Chain) * Max(episode->to - episode->from, 1));
	bool			*linked = palloc0(Max(episode->to - episode->from, 1));
	Chain			*chains = space - episode->from;

	for (int i = episode->from, end; i < episode->to; i = end)
	{
		end = group_end(episode, i, !increasing);
		CHECK_FOR_INTERRUPTS();
		for (int j = i; j < end; j++)
		{
			int			 step = step_of_mark(episode, j);
			TimestampTz	 at = history->at[j];
			const Chain *before = step > 0 ? best_before(episode, queues, chains, step, at) : NULL;

			if (step < 0 || (step > 0 && before == NULL) || (step == 0 && !entry_counts(lifecycle, at)))
				continue;
			chains[j] = step == 0 ? new_chain(lifecycle, at) : *before;
			linked[j - episode->from] = true;
			consider(episode, step, &chains[j], at);
			if (!increasing)
				queue_mark(&queues[step], chains, j);
		}
		for (int j = i; increasing && j < end; j++)
			if (linked[j - episode->from])
				queue_mark(&queues[step_of_mark(episode, j)], chains, j);
	}
	for (int step = 0; step < lifecycle->step_count; step++)
		pfree(queues[step].marks);
	pfree(queues);
	pfree(space);
	pfree(linked);
}

/*
 * The earliest mark for each step, among those from which the completion can still be reached: found from the end back.
 */
static void
trace_level_step_within(const Episode *episode, TimestampTz *first_at)
{
	const Lifecycle *lifecycle = episode->lifecycle;
	const History	*history = episode->history;
	bool			 increasing = lifecycle->times == TIMES_INCREASING;
	bool			*leads_on = palloc0(Max(episode->to - episode->from, 1));
	TimestampTz		 next_at[MAX_STEPS + 1]; /* earliest mark so far, from the end, of that step which leads on */
	int				 next = 0;

	for (int step = 0; step <= MAX_STEPS; step++)
		next_at[step] = DT_NOEND;
	for (int end = episode->to, start; end > episode->from; end = start)
	{
		TimestampTz at = history->at[end - 1];

		for (start = end - 1; start > episode->from && increasing && history->at[start - 1] == at; start--)
			;
		for (int i = end - 1; i >= start; i--)
		{
			int step = step_of_mark(episode, i);

			if (step < 0 || step > episode->level)
				continue;
			leads_on[i - episode->from] =
				step == episode->level
					? at == episode->completed_at
					: next_at[step + 1] != DT_NOEND &&
						  next_at[step + 1] <= window_end(&lifecycle->step_within[step + 1], lifecycle, at);
		}
		for (int i = start; i < end; i++)
			if (leads_on[i - episode->from])
				next_at[step_of_mark(episode, i)] = at;
	}
	for (int i = episode->from; i < episode->to && next <= episode->level; i++)
	{
		TimestampTz at = history->at[i];

		if (leads_on[i - episode->from] && step_of_mark(episode, i) == next &&
			(next == 0 ? at == episode->chain.start : !increasing || at > first_at[next - 1]))
			first_at[next++] = at;
	}
	pfree(leads_on);
}

/*
 * Episodes
 */

/* What an episode that was left by some exit (or is open: in progress) means for its chain. */
static void
judge(AttemptRun *run, Attempt *attempt, Outcome exit, TimestampTz exit_at)
{
	const Lifecycle *lifecycle = run->lifecycle;
	TimestampTz		 closes_at = attempt->deadline;
	TimestampTz		 seen_at = exit == OUTCOME_IN_PROGRESS ? run->as_of : exit_at;

	if (attempt->level == lifecycle->won_step)
	{
		attempt->outcome = OUTCOME_WON;
		attempt->ended_at = attempt->level_at;
		return;
	}
	if (lifecycle->step_within != NULL && attempt->level + 1 < lifecycle->step_count)
		closes_at =
			Min(closes_at, window_end(&lifecycle->step_within[attempt->level + 1], lifecycle, attempt->level_at));
	if (seen_at > closes_at)
	{
		attempt->outcome = OUTCOME_EXPIRED;
		attempt->ended_at = closes_at;
	}
	else
	{
		attempt->outcome = exit == OUTCOME_WON ? OUTCOME_LOST : exit;
		attempt->ended_at = exit == OUTCOME_IN_PROGRESS ? DT_NOEND : exit_at;
	}
}

static void
read_episode(AttemptRun *run, const History *history, int from, int to, Outcome exit, TimestampTz exit_at)
{
	const Lifecycle *lifecycle = run->lifecycle;
	Episode			 episode = {lifecycle, history, from, to, -1, {0}, 0};
	Attempt			*attempt = run->current;

	if (lifecycle->shared_marks)
		find_level_shared(&episode);
	else if (lifecycle->step_within != NULL)
		find_level_step_within(&episode);
	else
		find_level(&episode);
	if (episode.level < 0)
		return;

	if (lifecycle->shared_marks)
		trace_level_shared(&episode, attempt->first_at);
	else if (lifecycle->step_within != NULL)
		trace_level_step_within(&episode, attempt->first_at);
	else
		trace_level(&episode, attempt->first_at);
	attempt->opened_at = episode.chain.start;
	attempt->deadline = episode.chain.deadline;
	attempt->level_at = episode.completed_at;
	attempt->entry_step = 0;
	attempt->level = episode.level;
	attempt->timed = steps_below(episode.level);
	attempt->observed = attempt->timed | step_bit(episode.level);
	attempt->repeated = attempt->regressed = 0;
	for (int step = 0; step < episode.level; step++)
		attempt->converted_at[step] = attempt->first_at[step + 1];
	judge(run, attempt, exit, exit_at);
	end_attempt(run, attempt);
}

/* Read a history, its tied marks in stage order, as the episodes of a strict funnel. */
void
run_chains(AttemptRun *run, const History *history)
{
	const Lifecycle *lifecycle = run->lifecycle;
	int				 from = 0;
	int				 i;

	for (i = 0; i < history->count && history->at[i] <= run->as_of; i++)
	{
		int stage = stage_of_mark(lifecycle, history->mark[i]);

		if (stage < 0)
			run->unknown_marks += history->mark[i] == UNKNOWN_MARK;
		else if (lifecycle->stages[stage].category >= FIRST_TERMINAL)
		{
			bool won = stage == lifecycle->won_step;

			read_episode(run,
						 history,
						 from,
						 won ? i + 1 : i,
						 OUTCOME_WON + (lifecycle->stages[stage].category - CATEGORY_WON),
						 history->at[i]);
			from = i + 1;
		}
	}
	read_episode(run, history, from, i, OUTCOME_IN_PROGRESS, 0);
}
