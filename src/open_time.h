/*
 * open_time.h
 *	  A calendar laid out in time: its open intervals in UTC with a running total, so that the business time between two
 *	  instants is two look-ups, whatever lies between them.
 *
 * Each backend keeps what it has laid out, by fingerprint; a value never changes, so nothing is ever invalidated. The
 * stretch that is laid out grows with the instants asked for. Outside some centuries around today it need not: weekly rows,
 * the Gregorian calendar and the last rule of a time zone all repeat every 400 years.
 */
#ifndef REVACCT_OPEN_TIME_H
#define REVACCT_OPEN_TIME_H

#include "calendar.h"

typedef struct OpenInterval
{
	TimestampTz opens;
	int64		before; /* open time from the beginning of the stretch to opens */
} OpenInterval;

typedef struct OpenTime
{
	const Calendar *calendar;
	TimestampTz		from; /* the stretch that is laid out, both ends included */
	TimestampTz		to;
	int				count;
	OpenInterval   *intervals; /* [count + 1]; the first is empty and opens at from, the last never opens */
	uint32 *bucket; /* for each 2^shift microseconds of the stretch the last interval that opens before it ends */
	int		shift;

	/* What repeats: one period after edge_high is like the next, one before edge_low like the one before. */
	TimestampTz	  edge_low;
	TimestampTz	  edge_high;
	TimestampTz	  known_to;		 /* before this no instant is beyond the horizon */
	bool		  kept;			 /* for good, by the backend */
	Size		  kept_bytes;	 /* then: what it takes */
	MemoryContext context;		 /* of everything; */
	MemoryContext array_context; /* of intervals and bucket */

	/* the cached value, to tell calendars apart that share a fingerprint */
	Size  length;
	char *bytes;
} OpenTime;

/* What a call site keeps. */
typedef struct OpenTimeCall
{
	OpenTime *open;
	uint64	  fingerprint;
	Size	  length;
} OpenTimeCall;

extern OpenTime			  *open_time_of(const void *bytes, Size length, MemoryContext fallback);
extern OpenTime			  *open_time_of_call(OpenTimeCall *call, Datum calendar, MemoryContext context);
extern const OpenInterval *interval_in_bucket(const OpenTime *open, uint64 bucket, TimestampTz at);
extern int64			   business_time_far(OpenTime *open, TimestampTz from, TimestampTz to);
extern bool				   business_time_add(OpenTime *open, TimestampTz at, int64 amount, TimestampTz *result);
extern bool				   next_opening(OpenTime *open, TimestampTz at, TimestampTz *result);
extern bool				   is_beyond_horizon(const Calendar *calendar, TimestampTz at);
extern bool next_interval(OpenTime *open, TimestampTz at, TimestampTz until, TimestampTz *opens, TimestampTz *closes);

/* The open time from the beginning of the stretch to an instant in it. */
static inline int64
open_before(const OpenTime *open, TimestampTz at)
{
	uint64				bucket = (uint64) (at - open->from) >> open->shift;
	const OpenInterval *interval = &open->intervals[open->bucket[bucket]];

	/* the bucket's last interval, or the one before it; rarely one before that */
	interval -= interval->opens > at;
	if (unlikely(interval->opens > at))
		interval = interval_in_bucket(open, bucket, at);
	return interval->before + Min(at - interval->opens, interval[1].before - interval->before);
}

/* The business time between two instants, negative if the second is earlier. */
static inline int64
business_time_between(OpenTime *open, TimestampTz from, TimestampTz to)
{
	if (likely(from >= open->from && from <= open->to && to >= open->from && to <= open->to))
		return open_before(open, to) - open_before(open, from);
	return business_time_far(open, from, to);
}

#endif /* REVACCT_OPEN_TIME_H */
