/*
 * clocks.c
 *	  From a history to the clocks of an SLA; what they mean is in docs/semantics.md, section 9.
 *
 * Marks are read in order. A clock's account is brought up to an instant only when something happens to it there: what
 * has elapsed since is added under the policy that was in force, and a breach is noticed. So a clock costs two look-ups
 * in its calendar for each time it runs, and nothing for marks that do not concern it.
 */
#include "clocks.h"

#include "miscadmin.h"

const char *const clock_status_names[CLOCK_STATUSES] = {
	"met",
	"breached",
	"running",
	"paused",
	"cancelled",
};

const char *const clock_end_names[] = {NULL, "stop", "reset", "cancel"};

/*
 * Time as a policy measures it
 */

static inline int64
measure(const Policy *policy, TimestampTz from, TimestampTz to)
{
	return policy->open != NULL ? business_time_between(policy->open, from, to) : to - from;
}

static bool
add_time(const Policy *policy, TimestampTz at, int64 amount, TimestampTz *result)
{
	if (policy->open != NULL)
		return business_time_add(policy->open, at, amount, result);
	return !pg_add_s64_overflow(at, amount, result) && IS_VALID_TIMESTAMP(*result);
}

/*
 * The account of a clock
 */

static void
keep_stretch(ClockRun *run, TimestampTz to)
{
	Clock  *clock = &run->clock;
	Stretch stretch = {clock->since, to, clock->elapsed, clock->phase, clock->policy};

	if (unlikely(clock->stretch_count == run->stretch_capacity))
	{
		int capacity = Max(16, run->stretch_capacity * 2);

		run->stretches = run->stretches == NULL ? MemoryContextAlloc(run->context, sizeof(Stretch) * capacity)
												: repalloc_huge(run->stretches, sizeof(Stretch) * capacity);
		run->stretch_capacity = capacity;
	}
	run->stretches[clock->stretch_count++] = stretch;
}

/* The clock is breached since it counts from zero: the first time, it is breached for good. */
static void
set_breached(Clock *clock, bool known, TimestampTz breach_at, TimestampTz due_at)
{
	clock->count_breached = true;
	clock->has_count_breach_at = known;
	clock->count_breach_at = breach_at;
	if (clock->breached)
		return;
	clock->breached = true;
	clock->has_breach_at = known;
	clock->breach_at = breach_at;
	clock->due_at = due_at;
}

/* A breach in the stretch that was just added to the account. */
static void
note_breach(ClockRun *run)
{
	Clock	   *clock = &run->clock;
	TimestampTz due_at = 0;
	TimestampTz breach_at = 0;
	bool		known = run->details && clock_reaches(run, clock, clock->target, &due_at) &&
				 clock_exceeds(run, clock, clock->target, &breach_at);

	set_breached(clock, known, breach_at, Max(due_at, clock->target_from));
}

/* Bring the account of the open clock up to an instant, before which nothing about it changes. */
static inline void
account(ClockRun *run, TimestampTz at)
{
	Clock *clock = &run->clock;
	int64  elapsed = 0;

	if (clock->paused)
	{
		clock->paused_wall += at - clock->since;
		clock->since = at;
		return;
	}
	if (at == clock->since)
		return;
	if (run->details || clock->policy < 0)
		keep_stretch(run, at);
	if (clock->policy >= 0)
	{
		elapsed = measure(policy_of(run, clock), clock->since, at);
		clock->elapsed += elapsed;
		clock->phase_elapsed[clock->phase] += elapsed;
		if (clock->elapsed > clock->target && !clock->count_breached)
			note_breach(run);
	}
	clock->elapsed_wall += at - clock->since;
	clock->since = at;
}

/* The clock is covered from here on: what it ran before counts by the policy's calendar. */
static void
cover(ClockRun *run, int policy)
{
	Clock *clock = &run->clock;

	clock->policy = policy;
	for (int i = 0; i < clock->stretch_count; i++)
	{
		Stretch *stretch = &run->stretches[i];
		int64	 elapsed = measure(&run->sla->policies[policy], stretch->from, stretch->to);

		CHECK_FOR_INTERRUPTS();
		stretch->policy = policy;
		stretch->before = clock->elapsed;
		clock->elapsed += elapsed;
		clock->phase_elapsed[stretch->phase] += elapsed;
	}
}

/* Count from zero again. */
static void
restart(ClockRun *run, TimestampTz at)
{
	Clock *clock = &run->clock;

	clock->counts_from = at;
	clock->elapsed = 0;
	clock->phase = 0;
	clock->phases_seen = 1;
	clock->has_target = false;
	clock->count_breached = false;
	memset(clock->phase_elapsed, 0, sizeof(int64) * Max(run->sla->phase_count, 1));
	clock->stretch_count = 0;
}

static void
set_target(ClockRun *run, TimestampTz at)
{
	Clock		 *clock = &run->clock;
	const Policy *policy = policy_of(run, clock);
	int64		  target = clock->target;

	if (run->has_promise)
	{
		if (policy->open == NULL && pg_sub_s64_overflow(run->promise, clock->counts_from, &target))
			ereport(ERROR,
					(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
					 errmsg("the time from the start of a clock to its promise is out of range"),
					 errdetail("It is more than 292,000 years.")));
		target = measure(policy, clock->counts_from, run->promise);
	}
	else if (policy->has_target)
		target = policy->target;
	/* else the promise was taken back and nothing else is in force: what was in force stays */
	if (clock->has_target && clock->target == target)
		return;
	clock->has_target = true;
	clock->target = target;
	clock->target_from = at;
}

static inline bool
same_value(ToldValue a, ToldValue b)
{
	return a.told == b.told && a.value == b.value;
}

static int
policy_now(const ClockRun *run, TimestampTz at)
{
	if (likely(run->sla->one_policy))
		return 0;
	return policy_in_force(run->sla,
						   at,
						   run->segment.told ? &run->segment.value : NULL,
						   run->owner.told ? &run->owner.value : NULL,
						   run->has_promise);
}

/* The policy, segment, owner or promise may have changed; the account is up to date. */
static void
reconsider(ClockRun *run, TimestampTz at)
{
	Clock *clock = &run->clock;
	int	   policy = policy_now(run, at);
	bool   changed = !same_value(clock->segment, run->segment) || !same_value(clock->owner, run->owner);

	clock->segment = run->segment;
	clock->owner = run->owner;
	if (policy < 0 && clock->policy < 0)
		return;
	if (clock->policy < 0)
		cover(run, policy);
	else
	{
		if (policy < 0)
			policy = clock->policy;
		changed |= policy != clock->policy;
		clock->policy = policy;
		if (changed && run->sla->change == CHANGE_RESTART)
			restart(run, at);
	}
	set_target(run, at);
	if (clock->elapsed > clock->target && !clock->count_breached)
		set_breached(clock, true, at, at);
}

/* Bring the open clock up to an instant, with the changes of policy on the way and at it. */
static inline void
advance(ClockRun *run, TimestampTz at)
{
	const Sla  *sla = run->sla;
	TimestampTz from = run->clock.since;
	int			low = 0;
	int			high = sla->boundary_count;

	if (likely(sla->boundary_count == 0))
	{
		account(run, at);
		return;
	}
	/* the first boundary after what is accounted for */
	while (low < high)
	{
		int middle = (low + high) / 2;

		if (sla->boundaries[middle] <= from)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < sla->boundary_count && sla->boundaries[low] <= at; low++)
	{
		account(run, sla->boundaries[low]);
		reconsider(run, sla->boundaries[low]);
	}
	account(run, at);
}

/*
 * Opening and ending
 */

static inline bool
is_open(const ClockRun *run)
{
	return run->has_clock && run->clock.end == END_NONE;
}

/* Give the clock away; the next mark finds none. */
static void
finish_clock(ClockRun *run)
{
	if (!run->has_clock)
		return;
	run->has_clock = false;
	if (run->clock.policy < 0)
	{
		run->not_covered++;
		return;
	}
	run->clocks++;
	run->end_clock(run, &run->clock);
}

static void
open_clock(ClockRun *run, TimestampTz at)
{
	const Sla *sla = run->sla;
	Clock	  *clock = &run->clock;
	bool	   beyond = sla->max_clocks > 0 && run->cycle_clocks >= sla->max_clocks;

	if (beyond && sla->beyond == BEYOND_IGNORE)
		return;
	run->cycle_clocks++;
	run->has_clock = true;
	clock->started_at = clock->counts_from = clock->since = at;
	clock->end = END_NONE;
	clock->paused = false;
	clock->segment = run->segment;
	clock->owner = run->owner;
	clock->elapsed = clock->elapsed_wall = clock->paused_wall = 0;
	/* one clock too many is breached at once, and due as any other */
	clock->breached = clock->count_breached = clock->has_count_breach_at = beyond;
	clock->count_breach_at = at;
	clock->has_breach_at = false;
	clock->has_target = false;
	clock->phase = 0;
	clock->phases_seen = 1;
	memset(clock->phase_elapsed, 0, sizeof(int64) * Max(sla->phase_count, 1));
	clock->stretch_count = 0;
	clock->policy = policy_now(run, at);
	if (clock->policy < 0)
		return;
	set_target(run, at);
	if (clock->target < 0 && !clock->count_breached)
		set_breached(clock, true, at, at);
}

static void
start(ClockRun *run, TimestampTz at)
{
	Clock *clock = &run->clock;

	if (!run->has_clock)
		open_clock(run, at);
	else if (run->sla->reopen == REOPEN_RESUME)
	{
		clock->end = END_NONE;
		clock->paused = false;
		clock->since = at;
		reconsider(run, at);
	}
	else if (run->sla->reopen == REOPEN_RESTART)
	{
		finish_clock(run);
		open_clock(run, at);
	}
}

static inline void
end_clock(ClockRun *run, TimestampTz at, ClockEnd end)
{
	run->clock.end = end;
	run->clock.ended_at = at;
}

static inline void
enter_phase(ClockRun *run, int phase)
{
	if (run->clock.phase >= phase)
		return;
	run->clock.phase = phase;
	run->clock.phases_seen |= 1 << phase;
}

static inline void
set_paused(ClockRun *run, int roles)
{
	if (roles & ROLE_PAUSE)
		run->clock.paused = true;
	else if (roles & ROLE_RESUME)
		run->clock.paused = false;
}

/*
 * Marks
 */

static TimestampTz
promised_instant(int64 value)
{
	TimestampTz at;

	if (pg_sub_s64_overflow(value, UNIX_EPOCH, &at) || !IS_VALID_TIMESTAMP(at))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("the value of a promise mark is out of range"),
				 errdetail("It is " INT64_FORMAT ", and counts microseconds since 1970-01-01 UTC.", value),
				 errhint("Make it with promise_value(deadline).")));
	return at;
}

/* A mark that tells a promise, a segment or an owner. */
static void
read_context(ClockRun *run, int roles, TimestampTz at, ToldValue told)
{
	if (is_open(run))
		advance(run, at);
	if (roles & ROLE_PROMISE)
	{
		run->has_promise = told.told;
		if (told.told)
			run->promise = promised_instant(told.value);
	}
	if (roles & ROLE_SEGMENT)
		run->segment = told;
	if (roles & ROLE_OWNER)
		run->owner = told;
	if (is_open(run))
		reconsider(run, at);
}

static inline void
apply_mark(ClockRun *run, int roles, int phase, TimestampTz at)
{
	if (!is_open(run))
	{
		if (roles & ROLE_START)
		{
			start(run, at);
			if (is_open(run))
			{
				if (roles & ROLE_PHASE)
					enter_phase(run, phase);
				set_paused(run, roles & ROLE_PAUSE);
			}
		}
		else if (roles & ROLE_CANCEL)
		{
			finish_clock(run);
			run->cycle_clocks = 0;
		}
		return;
	}
	if (!(roles & ~ROLE_START))
		return;
	advance(run, at);
	if (roles & ROLE_PHASE)
		enter_phase(run, phase);
	set_paused(run, roles);
	if (roles & (ROLE_RESET | ROLE_STOP | ROLE_CANCEL))
	{
		end_clock(run, at, roles & ROLE_RESET ? END_RESET : roles & ROLE_STOP ? END_STOP : END_CANCEL);
		if (roles & ROLE_STOP)
		{
			if (roles & ROLE_START)
				start(run, at);
			return;
		}
		finish_clock(run);
		if (roles & ROLE_RESET)
			open_clock(run, at);
		else
			run->cycle_clocks = 0;
	}
}

/* Tied marks, while they are put in reading order. */
typedef struct TiedMark
{
	int	   rank; /* of the first role */
	int	   place;
	uint16 mark;
	bool   has_value;
	int64  value;
} TiedMark;

static int
compare_tied(const void *a, const void *b)
{
	const TiedMark *mark_a = a;
	const TiedMark *mark_b = b;

	return mark_a->rank != mark_b->rank ? mark_a->rank - mark_b->rank : mark_a->place - mark_b->place;
}

static inline int
roles_of_mark(const Sla *sla, int mark)
{
	return mark < sla->lookup_size ? sla->roles_of_mark[mark] : 0;
}

static inline int
rank_of(const Sla *sla, int mark)
{
	int roles = roles_of_mark(sla, mark);

	return roles == 0 ? ROLES : pg_rightmost_one_pos32(roles);
}

static void
sort_tied(const Sla *sla, History *history, int first, int end)
{
	TiedMark *tied = palloc(sizeof(TiedMark) * (end - first));

	for (int i = first; i < end; i++)
		tied[i - first] = (TiedMark){
			rank_of(sla, history->mark[i]),
			i,
			history->mark[i],
			history->has_values && history->has_value[i],
			history->has_values ? history->value[i] : 0,
		};
	qsort(tied, end - first, sizeof(TiedMark), compare_tied);
	for (int i = first; i < end; i++)
	{
		history->mark[i] = tied[i - first].mark;
		if (history->has_values)
		{
			history->has_value[i] = tied[i - first].has_value;
			history->value[i] = tied[i - first].value;
		}
	}
	pfree(tied);
}

/* Put the tied marks that begin at an index in reading order; returns the index after them. */
static int
order_tied(const Sla *sla, History *history, int first)
{
	int	 end = first + 1;
	int	 rank = rank_of(sla, history->mark[first]);
	bool sorted = true;

	for (; end < history->count && tied_with_previous(history, end); end++)
	{
		int next = rank_of(sla, history->mark[end]);

		sorted &= rank <= next;
		rank = next;
	}
	if (!sorted)
		sort_tied(sla, history, first, end);
	return end;
}

/*
 * Read one history up to as_of; end_clock is called with each clock that is covered, in order. Tied marks may be put in
 * reading order on the way.
 */
void
run_clocks(ClockRun *run, History *history)
{
	const Sla *sla = run->sla;
	int		   tied_end = 0;

	check_history_span(history, run->as_of);
	run->segment = run->owner = (ToldValue){false, 0};
	run->has_promise = false;
	run->clocks = run->not_covered = run->cycle_clocks = 0;
	run->has_clock = false;
	for (int i = 0; i < history->count && history->at[i] <= run->as_of; i++)
	{
		int			roles;
		int			mark;
		TimestampTz at = history->at[i];

		if ((i & 0xFFF) == 0)
			CHECK_FOR_INTERRUPTS();
		if (i >= tied_end)
			tied_end = i + 1 < history->count && history->at[i + 1] == at ? order_tied(sla, history, i) : i + 1;
		mark = history->mark[i];
		roles = roles_of_mark(sla, mark);
		if (roles == 0)
			continue;
		if (unlikely(roles & CONTEXT_ROLES))
		{
			ToldValue told = {false, 0};

			if (history->has_values && history->has_value[i])
				told = (ToldValue){true, history->value[i]};
			read_context(run, roles, at, told);
		}
		if (roles & ~CONTEXT_ROLES)
			apply_mark(run, roles & ~CONTEXT_ROLES, sla->phase_of_mark[mark], at);
	}
	if (is_open(run))
	{
		advance(run, run->as_of);
		run->clock.ended_at = run->as_of;
	}
	finish_clock(run);
}

/*
 * Questions about a clock, for end_clock
 */

/*
 * When an amount has elapsed, or will have if nothing happens; false if that is not to be known. Needs details.
 */
bool
clock_reaches(const ClockRun *run, const Clock *clock, int64 amount, TimestampTz *at)
{
	if (amount <= 0)
	{
		*at = clock->counts_from;
		return true;
	}
	for (int i = 0; i < clock->stretch_count; i++)
	{
		const Stretch *stretch = &run->stretches[i];
		const Policy  *policy = &run->sla->policies[stretch->policy];

		CHECK_FOR_INTERRUPTS();
		if (stretch->before + measure(policy, stretch->from, stretch->to) >= amount)
			return add_time(policy, stretch->from, amount - stretch->before, at);
	}
	return !clock->paused && add_time(policy_of(run, clock), clock->ended_at, amount - clock->elapsed, at);
}

/* When the target is or was reached. Needs details. */
bool
clock_due_at(const ClockRun *run, const Clock *clock, TimestampTz *at)
{
	if (clock->has_breach_at)
	{
		*at = clock->due_at;
		return true;
	}
	if (!clock_reaches(run, clock, clock->target, at))
		return false;
	*at = Max(*at, clock->target_from);
	return true;
}

static bool
add_and_open(const Policy *policy, TimestampTz from, int64 amount, TimestampTz *at)
{
	return add_time(policy, from, Max(amount, 0), at) && (policy->open == NULL || next_opening(policy->open, *at, at));
}

/*
 * The instant from which on more than an amount has elapsed, or will have if nothing happens; false if that is not to be
 * known. Needs details.
 */
bool
clock_exceeds(const ClockRun *run, const Clock *clock, int64 amount, TimestampTz *at)
{
	if (amount < 0)
	{
		*at = clock->counts_from;
		return true;
	}
	for (int i = 0; i < clock->stretch_count; i++)
	{
		const Stretch *stretch = &run->stretches[i];
		const Policy  *policy = &run->sla->policies[stretch->policy];

		CHECK_FOR_INTERRUPTS();
		if (stretch->before + measure(policy, stretch->from, stretch->to) > amount)
			return add_and_open(policy, stretch->from, amount - stretch->before, at);
	}
	return !clock->paused && add_and_open(policy_of(run, clock), clock->ended_at, amount - clock->elapsed, at);
}

/* When it was breached, or will be. Needs details. */
bool
clock_breach_at(const ClockRun *run, const Clock *clock, TimestampTz *at)
{
	if (clock->has_breach_at)
	{
		*at = clock->breach_at;
		return true;
	}
	if (clock->breached)
	{
		/* one clock too many */
		*at = clock->started_at;
		return true;
	}
	return clock->end == END_NONE && clock_exceeds(run, clock, clock->target, at);
}

/* Does a clock, or when it will be due, depend on holidays that are not known? For those that may. */
bool
clock_depends_on_unknown(const ClockRun *run, const Clock *clock)
{
	const Policy *policy = policy_of(run, clock);
	TimestampTz	  due_at;

	if (clock->ended_at >= policy->open->known_to && is_beyond_horizon(policy->open->calendar, clock->ended_at))
		return true;
	return clock_status(clock) == CLOCK_RUNNING &&
		   add_time(policy, clock->ended_at, Max(clock->target - clock->elapsed, 0), &due_at) &&
		   is_beyond_horizon(policy->open->calendar, due_at);
}
