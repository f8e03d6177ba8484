/*
 * attempts.h
 *	  What a lifecycle makes of one history: attempts, with the level each reached and what became of it.
 */
#ifndef REVACCT_ATTEMPTS_H
#define REVACCT_ATTEMPTS_H

#include "lifecycle.h"

/* What became of an attempt by as_of; the order is part of the stored format of funnel_summary. */
typedef enum Outcome
{
	OUTCOME_IN_PROGRESS,
	OUTCOME_EXPIRED,
	OUTCOME_WON,
	OUTCOME_LOST,
	OUTCOME_NO_DECISION,
	OUTCOME_RECYCLED,
	OUTCOME_CHURNED
} Outcome;

#define OUTCOMES 7
#define FIRST_LOST_OUTCOME OUTCOME_LOST

extern const char *const outcome_names[OUTCOMES];

/* Steps are numbered from 0; sets of steps are bit masks. Entries of the arrays are valid where their mask says so. */
typedef struct Attempt
{
	int			number; /* from 1, in the order in which they end */
	TimestampTz opened_at;
	TimestampTz ended_at; /* DT_NOEND while in progress */
	TimestampTz deadline; /* end of the window within; DT_NOEND if none */
	TimestampTz level_at; /* when the level was reached */
	int			entry_step;
	int			level; /* the highest step reached */
	Outcome		outcome;
	uint64		observed; /* steps with a mark */
	uint64		timed;	  /* observed steps with a later step after them */
	uint64		repeated;
	uint64		regressed;
	TimestampTz first_at[MAX_STEPS];
	TimestampTz converted_at[MAX_STEPS];
	uint32		repeats[MAX_STEPS];
	uint32		regresses[MAX_STEPS];
} Attempt;

/*
 * The attempts of one history, one after the other. take gets those that count by the lifecycle's attempt option and
 * entry range (first, last and best are known only at the end); see, if set, gets all of them.
 */
typedef struct AttemptRun
{
	const Lifecycle *lifecycle;
	TimestampTz		 as_of;
	void (*take)(struct AttemptRun *run, const Attempt *attempt);
	void (*see)(struct AttemptRun *run, const Attempt *attempt);

	/* results */
	int attempts;
	int recycled;
	int unknown_marks;

	/* working space */
	int		 current_step; /* of the last counted mark of the open attempt */
	bool	 is_open;
	bool	 last_was_won; /* the last stage mark */
	bool	 has_chosen;
	Attempt *current;
	Attempt *chosen;
	Attempt	 space[2];
} AttemptRun;

extern void begin_attempt_run(AttemptRun *run, const Lifecycle *lifecycle, TimestampTz as_of);
extern void run_attempts(AttemptRun *run, History *history);
extern void put_in_reading_order(const Lifecycle *lifecycle, History *history);
extern void run_chains(AttemptRun *run, const History *history);
extern void end_attempt(AttemptRun *run, Attempt *attempt);

static inline uint64
steps_below(int step)
{
	return (UINT64CONST(1) << step) - 1;
}

static inline uint64
step_bit(int step)
{
	return UINT64CONST(1) << step;
}

#endif /* REVACCT_ATTEMPTS_H */
