/*
 * visits.h
 *	  The stays of a subject in its stages.
 */
#ifndef REVACCT_VISITS_H
#define REVACCT_VISITS_H

#include "attempts.h"
#include "survival.h"

#define EXIT_NONE (-1) /* still there at as_of */

extern const char *const exit_names[EXIT_KINDS];

typedef struct Visit
{
	TimestampTz entered_at;
	TimestampTz left_at; /* as_of while open */
	int16		stage;
	int16		exit;	  /* ExitKind or EXIT_NONE */
	bool		measured; /* the options let it count */
} Visit;

/*
 * The visits of one history, attempt by attempt; end_attempt is called with those of each.
 */
typedef struct VisitRun
{
	const Lifecycle *lifecycle;
	TimestampTz		 as_of;
	TimestampTz		 since; /* DT_NOBEGIN: from the beginning */
	void (*end_attempt)(struct VisitRun *run);

	int			  attempts;
	int			  unknown_marks;
	int			  visit_count;
	int			  visit_capacity;
	Visit		 *visits;
	MemoryContext context; /* where the array lives */
} VisitRun;

extern void check_visit_options(const Lifecycle *lifecycle, TimestampTz as_of, TimestampTz since);
extern void run_visits(VisitRun *run, History *history);

#endif /* REVACCT_VISITS_H */
