/*
 * lifecycle.h
 *	  The definition that tells what the marks of a journey mean.
 */
#ifndef REVACCT_LIFECYCLE_H
#define REVACCT_LIFECYCLE_H

#include "definition.h"
#include "journey.h"
#include "open_time.h"

#include "pgtime.h"

#define MAX_STEPS 64
#define MAX_STAGES 256

/* What a stage means for the subject that enters it; the order is stage order and part of the stored format. */
typedef enum StageCategory
{
	CATEGORY_OPEN,
	CATEGORY_ACTIVE,
	CATEGORY_WON,
	CATEGORY_LOST,
	CATEGORY_NO_DECISION,
	CATEGORY_RECYCLED,
	CATEGORY_CHURNED
} StageCategory;

#define STAGE_CATEGORIES 7
#define FIRST_TERMINAL CATEGORY_WON

typedef enum SkipOption
{
	SKIP_IMPUTE,
	SKIP_STRICT,
	SKIP_ANY
} SkipOption;

typedef enum AttemptOption
{
	ATTEMPT_FIRST,
	ATTEMPT_LAST,
	ATTEMPT_BEST,
	ATTEMPT_ALL
} AttemptOption;

typedef enum TimesOption
{
	TIMES_NONDECREASING,
	TIMES_INCREASING
} TimesOption;

typedef enum VisitsOption
{
	VISITS_ALL,
	VISITS_FIRST,
	VISITS_LAST,
	VISITS_CUMULATIVE
} VisitsOption;

typedef enum UnknownOption
{
	UNKNOWN_ERROR,
	UNKNOWN_COUNT
} UnknownOption;

extern const char *const category_names[STAGE_CATEGORIES];

/* How long after an instant something still counts. */
typedef struct Window
{
	bool  set;
	int32 months;
	int32 days;
	int64 usecs;
	bool  calendar; /* months, or days of a zone other than UTC: the end depends on the start's date */
	int64 fixed;	/* the length when it does not */
} Window;

typedef struct Stage
{
	const char	 *name;
	StageCategory category;
	int			  mark_count;
	uint16		 *marks; /* ascending */
} Stage;

typedef struct Lifecycle
{
	const char	 *name;
	const char	 *time_zone;
	SkipOption	  skip;
	AttemptOption attempt;
	TimesOption	  times;
	VisitsOption  visits;
	UnknownOption unknown;
	Window		  within;
	Window		 *step_within; /* one a step, or NULL */
	TimestampTz	  entry_from;  /* first instant that counts; DT_NOBEGIN if all do */
	TimestampTz	  entry_to;	   /* first instant that no longer counts; DT_NOEND if all do */
	const void	 *calendar;	   /* a stored calendar, or NULL */
	Size		  calendar_length;
	bool		  explicit_marks;
	int			  stage_count;
	Stage		 *stages; /* in stage order: the steps come first */

	/* derived */
	uint64	  fingerprint;
	int		  step_count;
	int		  won_step;				/* index of the won stage, or -1 */
	bool	  shared_marks;			/* a mark belongs to several steps */
	bool	  marks_in_stage_order; /* a larger mark never means an earlier stage */
	pg_tz	 *zone;
	OpenTime *open;			 /* the calendar, when it has been asked for */
	int		  lookup_size;	 /* one more than the largest mark */
	int16	 *stage_of_mark; /* the (first) stage of each mark, or -1 */
	uint64	 *steps_of_mark; /* with shared marks: all its steps, as a bit mask; else NULL */
} Lifecycle;

/* What a call site keeps from row to row, for speed alone. */
typedef struct CallCache
{
	Lifecycle	 *lifecycle;
	uint64		  fingerprint;
	Size		  length;
	MemoryContext lifecycle_context;
	History		  history;
	void		 *scratch;
} CallCache;

extern CallCache  *new_call_cache(FunctionCallInfo fcinfo);
extern void		   cache_lifecycle(CallCache *cache, FunctionCallInfo fcinfo, Datum datum);
extern Lifecycle  *decode_lifecycle(Datum datum);
extern Lifecycle  *decode_lifecycle_bytes(const void *bytes, Size length, ByteSource source);
extern void		   check_lifecycle_bytes(const char *bytes, Size length, ByteSource source);
extern OpenTime	  *lifecycle_open_time(Lifecycle *lifecycle);
extern TimestampTz window_end(const Window *window, const Lifecycle *lifecycle, TimestampTz start);
extern int		   stage_by_name(const Lifecycle *lifecycle, const char *name);
extern int		   step_by_name(const Lifecycle *lifecycle, const char *name);

static inline CallCache *
call_cache(FunctionCallInfo fcinfo)
{
	CallCache *cache = fcinfo->flinfo->fn_extra;

	return likely(cache != NULL) ? cache : new_call_cache(fcinfo);
}

/* The lifecycle in a datum, read once for as long as it stays the same. */
static inline Lifecycle *
lifecycle_for_call(FunctionCallInfo fcinfo, Datum datum)
{
	CallCache *cache = call_cache(fcinfo);
	Size	   length;
	uint64	   fingerprint = definition_fingerprint(datum, &length);

	if (unlikely(cache->lifecycle == NULL || cache->fingerprint != fingerprint || cache->length != length))
		cache_lifecycle(cache, fcinfo, datum);
	return cache->lifecycle;
}

/* The stage a mark means, or -1. */
static inline int
stage_of_mark(const Lifecycle *lifecycle, int mark)
{
	return mark < lifecycle->lookup_size ? lifecycle->stage_of_mark[mark] : -1;
}

static inline bool
entry_counts(const Lifecycle *lifecycle, TimestampTz opened_at)
{
	return opened_at >= lifecycle->entry_from && opened_at < lifecycle->entry_to;
}

#endif /* REVACCT_LIFECYCLE_H */
