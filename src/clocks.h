/*
 * clocks.h
 *	  From a history to the clocks of an SLA. The same code serves the summary and the rows.
 */
#ifndef REVACCT_CLOCKS_H
#define REVACCT_CLOCKS_H

#include "sla.h"

typedef enum ClockEnd
{
	END_NONE, /* open at as_of */
	END_STOP,
	END_RESET,
	END_CANCEL
} ClockEnd;

typedef enum ClockStatus
{
	CLOCK_MET,
	CLOCK_BREACHED,
	CLOCK_RUNNING,
	CLOCK_PAUSED,
	CLOCK_CANCELLED
} ClockStatus;

#define CLOCK_STATUSES 5

extern const char *const clock_status_names[CLOCK_STATUSES];
extern const char *const clock_end_names[];

/* A value that a mark told, or none. */
typedef struct ToldValue
{
	bool  told;
	int64 value;
} ToldValue;

/* A stretch of time in which a clock ran, in one phase and under one policy. */
typedef struct Stretch
{
	TimestampTz from;
	TimestampTz to;
	int64		before; /* what had elapsed when it began */
	int			phase;
	int			policy;
} Stretch;

typedef struct Clock
{
	TimestampTz started_at;
	TimestampTz counts_from; /* started_at, or the last restart */
	TimestampTz ended_at;	 /* as_of while open */
	ClockEnd	end;
	bool		paused;		 /* now, or when it ended */
	TimestampTz since;		 /* since when it has run or been paused, as far as accounted for */
	int			policy;		 /* in force, or -1 while the clock is not covered */
	bool		has_target;	 /* is target set? Always once the clock is covered */
	int64		target;		 /* in force */
	TimestampTz target_from; /* since when */
	ToldValue	segment;
	ToldValue	owner;
	int64		elapsed;
	int64		elapsed_wall;
	int64		paused_wall;
	bool		breached;
	bool		has_breach_at; /* breach_at and due_at of the breach are known */
	TimestampTz breach_at;
	TimestampTz due_at;
	bool		count_breached; /* since it counts from zero */
	bool		has_count_breach_at;
	TimestampTz count_breach_at;
	int			phase;		 /* from 0 */
	uint32		phases_seen; /* a set of bits */
	int64		phase_elapsed[MAX_PHASES];
	int			stretch_count; /* kept for rows, and while a clock is not covered */
} Clock;

typedef struct ClockRun
{
	const Sla  *sla;
	TimestampTz as_of;
	bool		details; /* instants are wanted, not only amounts */
	void (*end_clock)(struct ClockRun *run, const Clock *clock);

	/* of the subject being read */
	ToldValue	segment;
	ToldValue	owner;
	bool		has_promise;
	TimestampTz promise;
	int			clocks;		  /* that were covered and have been given to end_clock */
	int			not_covered;  /* that were not */
	int			cycle_clocks; /* opened in this cycle */
	bool		has_clock;	  /* one is open, or stopped and may be reopened */
	Clock		clock;

	int			  stretch_capacity;
	Stretch		 *stretches;
	MemoryContext context; /* where they live */
} ClockRun;

extern void run_clocks(ClockRun *run, History *history);
extern bool clock_reaches(const ClockRun *run, const Clock *clock, int64 amount, TimestampTz *at);
extern bool clock_exceeds(const ClockRun *run, const Clock *clock, int64 amount, TimestampTz *at);
extern bool clock_due_at(const ClockRun *run, const Clock *clock, TimestampTz *at);
extern bool clock_breach_at(const ClockRun *run, const Clock *clock, TimestampTz *at);
extern bool clock_depends_on_unknown(const ClockRun *run, const Clock *clock);

static inline const Policy *
policy_of(const ClockRun *run, const Clock *clock)
{
	return &run->sla->policies[clock->policy];
}

static inline ClockStatus
clock_status(const Clock *clock)
{
	if (clock->breached)
		return CLOCK_BREACHED;
	if (clock->end == END_STOP)
		return CLOCK_MET;
	if (clock->end != END_NONE)
		return CLOCK_CANCELLED;
	return clock->paused ? CLOCK_PAUSED : CLOCK_RUNNING;
}

static inline bool
clock_is_at_risk(const ClockRun *run, const Clock *clock)
{
	const Policy *policy = policy_of(run, clock);

	return clock->end == END_NONE && !clock->breached && policy->warning_count > 0 &&
		   (int128) clock->elapsed * MILLION >= (int128) clock->target * policy->warnings[0];
}

/* Does the clock, or when it will be due, depend on holidays that are not known? */
static inline bool
clock_is_beyond_horizon(const ClockRun *run, const Clock *clock)
{
	const OpenTime *open = policy_of(run, clock)->open;

	return open != NULL && open->known_to != DT_NOEND &&
		   (clock->ended_at >= open->known_to || clock_status(clock) == CLOCK_RUNNING) &&
		   clock_depends_on_unknown(run, clock);
}

/* Is a breached clock past its target? Not if the target was smaller when it was breached. */
static inline bool
clock_is_past_target(const Clock *clock)
{
	return clock->breached && clock->elapsed > clock->target;
}

#endif /* REVACCT_CLOCKS_H */
