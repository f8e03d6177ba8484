/*
 * open_time.c
 *	  From the rules of a calendar to open intervals in UTC, and the questions that those answer.
 *
 * A time zone is a sequence of pieces of constant offset. In each piece local time runs like UTC, so the open set of a
 * piece is that of the local dates it touches, cut to the piece and shifted by its offset. What a clock change skips lies in
 * no piece and what it repeats lies in two: clock changes need no rule of their own.
 */
#include "open_time.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"

#define DAYS_PER_PERIOD 146097 /* 400 years, whole weeks */
#define PERIOD ((int64) DAYS_PER_PERIOD * USECS_PER_DAY)
#define YEAR ((int64) 366 * USECS_PER_DAY)

/* Instants by which every time zone has its first offset, and from which on it has its last rule. */
#define FIRST_EDGE (INT64CONST(-200) * YEAR) /* about 1800 */
#define LAST_EDGE (INT64CONST(100) * YEAR)	 /* about 2100 */

/* When a backend keeps more than this, it forgets what is laid out, and lays out again what is asked for. */
#define CACHE_BYTES ((Size) 256 * 1024 * 1024)

/* No local clock is off from UTC by so much. */
#define MAX_OFFSET ((int64) 2 * USECS_PER_DAY)

#define MAX_INTERVALS (16 * 1024 * 1024)
#define FIRST_INTERVALS 50000 /* about so many are laid out at first, if less than four years are less */

PG_FUNCTION_INFO_V1(revacct_business_time);
PG_FUNCTION_INFO_V1(revacct_business_add);
PG_FUNCTION_INFO_V1(revacct_next_open);
PG_FUNCTION_INFO_V1(revacct_is_open);
PG_FUNCTION_INFO_V1(revacct_open_intervals);
PG_FUNCTION_INFO_V1(revacct_beyond_horizon);

/*
 * The open set of a local day
 */

/* Rows within one day, from one midnight (0) to the next. */
typedef RowList DayRows;

/* What is known of a calendar while it is laid out. */
typedef struct Layout
{
	const Calendar *calendar;
	DayRows			usual[DAYS_PER_WEEK]; /* of dates with nothing special on them or the day before */
	int				special_count;
	DateADT		   *special; /* all other dates, ascending */

	TimestampTz	  from; /* only what lies in here is wanted */
	TimestampTz	  to;
	int			  count;
	int			  capacity;
	TimestampTz	 *opens;
	TimestampTz	 *closes;
	int64		 *total;	   /* intervals of all layouts that are made together */
	MemoryContext day_context; /* of one special date */
} Layout;

static bool
is_holiday(const Calendar *calendar, DateADT date)
{
	int place = dates_before(calendar->holidays, calendar->holiday_count, date);

	return place < calendar->holiday_count && calendar->holidays[place] == date;
}

/* Add what of the rows, which begin on the day itself (0) or the day before (1), lies within the day. */
static void
add_within_day(DayRows *day, const RowList *rows, int days_before)
{
	for (int i = 0; rows != NULL && i < rows->count; i++)
	{
		int64 opens = Max(rows->rows[i].opens - days_before * USECS_PER_DAY, 0);
		int64 closes = Min(rows->rows[i].closes - days_before * USECS_PER_DAY, USECS_PER_DAY);

		if (opens < closes)
			add_row(day, opens, closes);
	}
}

static DayRows
without(const DayRows *open, const DayRows *breaks)
{
	DayRows result = {0, NULL};

	for (int i = 0, b = 0; i < open->count; i++)
	{
		int64 opens = open->rows[i].opens;

		while (b < breaks->count && breaks->rows[b].closes <= opens)
			b++;
		for (int k = b; k < breaks->count && breaks->rows[k].opens < open->rows[i].closes; k++)
		{
			if (breaks->rows[k].opens > opens)
				add_row(&result, opens, breaks->rows[k].opens);
			opens = Max(opens, breaks->rows[k].closes);
		}
		if (opens < open->rows[i].closes)
			add_row(&result, opens, open->rows[i].closes);
	}
	return result;
}

/* The rows that begin on a date: its shifts, or nothing on a holiday, or those of its weekday. */
static const RowList *
beginning_on(const Calendar *calendar, DateADT date)
{
	const RowList *shifts = rows_of_date(&calendar->shifts, date);

	if (shifts != NULL)
		return shifts;
	return is_holiday(calendar, date) ? NULL : &calendar->hours[weekday_of(date)];
}

/* The open set of a local date. */
static DayRows
day_rows(const Calendar *calendar, DateADT date)
{
	DayRows open = {0, NULL};
	DayRows breaks = {0, NULL};

	if (is_holiday(calendar, date))
		return open;
	add_within_day(&open, beginning_on(calendar, date), 0);
	add_within_day(&open, beginning_on(calendar, date - 1), 1);
	unite_rows(&open);
	add_within_day(&breaks, &calendar->weekly_breaks[weekday_of(date)], 0);
	add_within_day(&breaks, &calendar->weekly_breaks[weekday_of(date - 1)], 1);
	add_within_day(&breaks, rows_of_date(&calendar->breaks, date), 0);
	add_within_day(&breaks, rows_of_date(&calendar->breaks, date - 1), 1);
	if (breaks.count == 0)
		return open;
	unite_rows(&breaks);
	return without(&open, &breaks);
}

/* The open set of a weekday on which nothing is special. */
static DayRows
usual_rows(const Calendar *calendar, int weekday)
{
	Calendar usual = *calendar;
	DateADT	 monday = -5; /* 1999-12-27 */

	usual.shifts.count = usual.breaks.count = usual.holiday_count = 0;
	return day_rows(&usual, monday + weekday);
}

/* Every date that a shift, break or holiday names, and the day after each. */
static void
collect_special(Layout *layout)
{
	const Calendar *calendar = layout->calendar;
	int				named = calendar->shifts.count + calendar->breaks.count + calendar->holiday_count;
	DateADT		   *dates = palloc(sizeof(DateADT) * 2 * Max(named, 1));
	int				count = 0;

	for (int i = 0; i < calendar->shifts.count; i++)
		dates[count++] = calendar->shifts.dates[i].date;
	for (int i = 0; i < calendar->breaks.count; i++)
		dates[count++] = calendar->breaks.dates[i].date;
	for (int i = 0; i < calendar->holiday_count; i++)
		dates[count++] = calendar->holidays[i];
	for (int i = 0; i < named; i++)
		dates[count++] = dates[i] + 1;
	qsort(dates, count, sizeof(DateADT), compare_dates);
	layout->special = dates;
	layout->special_count = count;
}

/*
 * Laying out
 */

/* Add an open interval, which does not begin before the last one does. */
static void
add_interval(Layout *layout, TimestampTz opens, TimestampTz closes)
{
	opens = Max(opens, layout->from);
	closes = Min(closes, layout->to);
	if (opens >= closes)
		return;
	if (layout->count > 0 && opens <= layout->closes[layout->count - 1])
	{
		layout->closes[layout->count - 1] = Max(layout->closes[layout->count - 1], closes);
		return;
	}
	if (++*layout->total > MAX_INTERVALS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a calendar cannot be laid out in more than %d open intervals", MAX_INTERVALS),
				 errhint("Ask for a shorter time, or give the calendar fewer rows a day.")));
	if (layout->count == layout->capacity)
	{
		layout->capacity = Max(256, layout->capacity * 2);
		if (layout->opens == NULL)
		{
			layout->opens = palloc(sizeof(TimestampTz) * layout->capacity);
			layout->closes = palloc(sizeof(TimestampTz) * layout->capacity);
		}
		else
		{
			layout->opens = repalloc_huge(layout->opens, sizeof(TimestampTz) * layout->capacity);
			layout->closes = repalloc_huge(layout->closes, sizeof(TimestampTz) * layout->capacity);
		}
	}
	layout->opens[layout->count] = opens;
	layout->closes[layout->count++] = closes;
}

static inline int64
floor_div(int64 value, int64 by)
{
	return value / by - (value % by < 0);
}

/* The open set of a piece, in local time from local_from to local_to; UTC is offset earlier. */
static void
lay_out_piece(Layout *layout, int64 local_from, int64 local_to, int64 offset)
{
	DateADT date = (DateADT) floor_div(local_from, USECS_PER_DAY);
	DateADT last = (DateADT) floor_div(local_to - 1, USECS_PER_DAY);
	int		special = dates_before(layout->special, layout->special_count, date);


	for (; date <= last; date++)
	{
		int64		   midnight = date * USECS_PER_DAY;
		const DayRows *rows = &layout->usual[weekday_of(date)];
		DayRows		   own;

		CHECK_FOR_INTERRUPTS();
		while (special < layout->special_count && layout->special[special] < date)
			special++;
		if (special < layout->special_count && layout->special[special] == date)
		{
			MemoryContext old_context = MemoryContextSwitchTo(layout->day_context);

			MemoryContextReset(layout->day_context);
			own = day_rows(layout->calendar, date);
			rows = &own;
			MemoryContextSwitchTo(old_context);
		}
		for (int i = 0; i < rows->count; i++)
		{
			int64 opens = Max(midnight + rows->rows[i].opens, local_from);
			int64 closes = Min(midnight + rows->rows[i].closes, local_to);

			add_interval(layout, opens - offset, closes - offset);
		}
	}
}

static pg_time_t
unix_seconds(TimestampTz at)
{
	return (pg_time_t) (floor_div(at, USECS_PER_SEC) + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY);
}

static TimestampTz
instant_of_unix_seconds(pg_time_t seconds)
{
	return (seconds - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY) * USECS_PER_SEC;
}

/* What a zone's clocks are ahead of UTC at an instant, in microseconds. */
static int64
offset_at(const Calendar *calendar, TimestampTz at)
{
	pg_time_t	  seconds = unix_seconds(at);
	struct pg_tm *local = pg_localtime(&seconds, calendar->zone);

	if (local == NULL)
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE), errmsg("timestamp out of range")));
	return local->tm_gmtoff * USECS_PER_SEC;
}

/* The next instant after this one at which a zone's offset may change, or limit. */
static TimestampTz
next_piece(const Calendar *calendar, TimestampTz at, TimestampTz limit)
{
	pg_time_t	seconds = unix_seconds(at);
	pg_time_t	boundary;
	long		offset_before;
	long		offset_after;
	int			dst_before;
	int			dst_after;
	TimestampTz next;

	/* Asked at the very last change that it has, the library knows of none to come; a second later it does. */
	for (int again = 0;; again++, seconds++)
	{
		if (pg_next_dst_boundary(&seconds,
								 &offset_before,
								 &dst_before,
								 &boundary,
								 &offset_after,
								 &dst_after,
								 calendar->zone) == 1)
			break;
		if (again > 0)
			return limit;
	}
	next = instant_of_unix_seconds(boundary);
	return next > at ? Min(next, limit) : limit;
}

static void
lay_out_hours(Layout *layout)
{
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		layout->usual[day] = usual_rows(layout->calendar, day);
	collect_special(layout);
	layout->day_context = AllocSetContextCreate(CurrentMemoryContext, "revacct day", ALLOCSET_SMALL_SIZES);
	for (TimestampTz at = layout->from; at < layout->to;)
	{
		TimestampTz next = next_piece(layout->calendar, at, layout->to);
		int64		offset = offset_at(layout->calendar, at);

		CHECK_FOR_INTERRUPTS();
		lay_out_piece(layout, at + offset, next + offset, offset);
		at = next;
	}
}

static void lay_out(Layout *layout);

/* What any part is open, or all parts are: by counting the parts that are open from edge to edge. */
static void
lay_out_parts(Layout *layout)
{
	const Calendar *whole = layout->calendar;
	int				parts = whole->part_count;
	int				wanted = whole->kind == CALENDAR_UNION ? 1 : parts;
	Layout		   *layouts = palloc0(sizeof(Layout) * parts);
	int			   *next = palloc0(sizeof(int) * parts); /* edge of each part: even ones open, odd ones close */
	int				open = 0;
	TimestampTz		opened = 0;

	for (int i = 0; i < parts; i++)
	{
		layouts[i].calendar = whole->parts[i];
		layouts[i].from = layout->from;
		layouts[i].to = layout->to;
		layouts[i].total = layout->total;
		lay_out(&layouts[i]);
	}
	for (;;)
	{
		int			least = -1;
		TimestampTz least_at = PG_INT64_MAX;

		CHECK_FOR_INTERRUPTS();
		for (int i = 0; i < parts; i++)
		{
			if (next[i] < 2 * layouts[i].count)
			{
				TimestampTz at = next[i] & 1 ? layouts[i].closes[next[i] / 2] : layouts[i].opens[next[i] / 2];

				if (at < least_at)
				{
					least = i;
					least_at = at;
				}
			}
		}
		if (least < 0)
			return;
		if (next[least]++ & 1)
		{
			if (open-- == wanted)
				add_interval(layout, opened, least_at);
		}
		else if (++open == wanted)
			opened = least_at;
	}
}

static void
lay_out(Layout *layout)
{
	if (layout->calendar->kind == CALENDAR_HOURS)
		lay_out_hours(layout);
	else
		lay_out_parts(layout);
}

/* Put a layout into the form that look-ups use. */
static void
index_layout(OpenTime *open, const Layout *layout)
{
	MemoryContext arrays =
		AllocSetContextCreate(CurrentMemoryContext, "revacct open intervals", ALLOCSET_START_SMALL_SIZES);
	OpenInterval *intervals;
	uint32		 *bucket;
	uint64		  span = (uint64) (layout->to - layout->from);
	int64		  total = 0;
	int			  shift = 20;
	int			  last = 0;

	while ((span >> shift) > (uint64) Max(layout->count, 64) * 4)
		shift++;
	intervals = MemoryContextAllocHuge(arrays, sizeof(OpenInterval) * ((Size) layout->count + 2));
	intervals[0] = (OpenInterval){layout->from, 0};
	for (int i = 0; i < layout->count; i++)
	{
		intervals[i + 1] = (OpenInterval){layout->opens[i], total};
		total += layout->closes[i] - layout->opens[i];
	}
	intervals[layout->count + 1] = (OpenInterval){PG_INT64_MAX, total};
	bucket = MemoryContextAllocHuge(arrays, sizeof(uint32) * ((span >> shift) + 1));
	for (uint64 b = 0; b <= span >> shift; b++)
	{
		/* the last instant of the bucket, as a distance from the beginning */
		uint64 end = ((b + 1) << shift) - 1;

		CHECK_FOR_INTERRUPTS();
		while (last < layout->count && (uint64) (intervals[last + 1].opens - layout->from) <= end)
			last++;
		bucket[b] = last;
	}
	if (open->array_context != NULL)
		MemoryContextDelete(open->array_context);
	/* only what is whole outlives an error */
	MemoryContextSetParent(arrays, open->context);
	open->array_context = arrays;
	open->intervals = intervals;
	open->bucket = bucket;
	open->shift = shift;
	open->count = layout->count + 1;
	open->from = layout->from;
	open->to = layout->to;
}

/* The first and last instants from which on, and up to which, a calendar repeats. */
static void
widen_edges(const Calendar *calendar, TimestampTz *low, TimestampTz *high)
{
	const DatedLists *lists[] = {&calendar->shifts, &calendar->breaks};

	for (int i = 0; i < calendar->part_count; i++)
		widen_edges(calendar->parts[i], low, high);
	for (int i = 0; i < 2; i++)
	{
		if (lists[i]->count == 0)
			continue;
		*low = Min(*low, (lists[i]->dates[0].date - 2) * USECS_PER_DAY);
		*high = Max(*high, (lists[i]->dates[lists[i]->count - 1].date + 3) * USECS_PER_DAY);
	}
	if (calendar->holiday_count > 0)
	{
		*low = Min(*low, (calendar->holidays[0] - 2) * USECS_PER_DAY);
		*high = Max(*high, (calendar->holidays[calendar->holiday_count - 1] + 3) * USECS_PER_DAY);
	}
}

static void forget_others(OpenTime *open);

/* How many rows a calendar has in a week, at most. */
static int64
rows_in_week(const Calendar *calendar)
{
	int64 rows = 1;

	for (int i = 0; i < calendar->part_count; i++)
		rows += rows_in_week(calendar->parts[i]);
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		rows += calendar->hours[day].count + calendar->weekly_breaks[day].count;
	return rows;
}

/*
 * Lay out at least from one instant to another, both between a period before the lower edge and a period after the upper
 * one, and what was laid out before; with some room, so that growing is rare.
 */
static void
reach(OpenTime *open, TimestampTz from, TimestampTz to)
{
	MemoryContext work;
	MemoryContext old_context;
	Layout		  layout = {0};
	int64		  total = 0;
	int64		  room;

	if (open->intervals != NULL)
	{
		from = Min(from, open->from);
		to = Max(to, open->to);
		room = (open->to - open->from) / 2;
	}
	else
		room = Min(2 * YEAR, (1 + FIRST_INTERVALS / rows_in_week(open->calendar)) * DAYS_PER_WEEK * USECS_PER_DAY / 2);
	if (open->intervals == NULL || from < open->from)
		from = Max(from - room, open->edge_low - PERIOD);
	if (open->intervals == NULL || to > open->to)
		to = Min(to + room, open->edge_high + PERIOD);

	work = AllocSetContextCreate(CurrentMemoryContext, "revacct layout", ALLOCSET_DEFAULT_SIZES);
	old_context = MemoryContextSwitchTo(work);
	layout.calendar = open->calendar;
	layout.from = from;
	layout.to = to;
	layout.total = &total;
	lay_out(&layout);
	index_layout(open, &layout);
	MemoryContextSwitchTo(old_context);
	MemoryContextDelete(work);
	forget_others(open);
}

static inline void
ensure(OpenTime *open, TimestampTz from, TimestampTz to)
{
	if (unlikely(open->intervals == NULL || from < open->from || to > open->to))
		reach(open, from, to);
}

/*
 * The horizon
 */

/* An instant before which none is beyond the horizon of a calendar. */
static TimestampTz
known_before(const Calendar *calendar)
{
	TimestampTz known = calendar->kind != CALENDAR_HOURS || calendar->known_until == DATEVAL_NOEND
							? DT_NOEND
							: ((int64) calendar->known_until + 1) * USECS_PER_DAY - MAX_OFFSET;

	for (int i = 0; i < calendar->part_count; i++)
		known = Min(known, known_before(calendar->parts[i]));
	return known;
}

/* Is the local date of an instant one whose holidays are not known? */
bool
is_beyond_horizon(const Calendar *calendar, TimestampTz at)
{
	int64 next_day;

	for (int i = 0; i < calendar->part_count; i++)
		if (is_beyond_horizon(calendar->parts[i], at))
			return true;
	if (calendar->kind != CALENDAR_HOURS || calendar->known_until == DATEVAL_NOEND)
		return false;
	next_day = ((int64) calendar->known_until + 1) * USECS_PER_DAY;
	if (at < next_day - MAX_OFFSET || at >= next_day + MAX_OFFSET)
		return at >= next_day;
	return at + offset_at(calendar, at) >= next_day;
}

/*
 * What a backend keeps
 */

typedef struct CacheEntry
{
	uint64	  fingerprint;
	OpenTime *open;
} CacheEntry;

static HTAB			*cache = NULL;
static MemoryContext cache_context = NULL;
static Size			 cached_bytes = 0;		 /* of all that is kept, */
static Size			 cached_definitions = 0; /* and what of it is not laid out */

/* Bring the account of what is kept up to date after one calendar has grown or shrunk. */
static void
account_for(OpenTime *open)
{
	if (!open->kept)
		return;
	cached_bytes -= open->kept_bytes;
	open->kept_bytes = MemoryContextMemAllocated(open->context, true);
	cached_bytes += open->kept_bytes;
}

/* Leave nothing laid out; the next question lays out what it needs. */
static void
forget_layout(OpenTime *open)
{
	if (open->array_context != NULL)
	{
		MemoryContextDelete(open->array_context);
		open->array_context = NULL;
		account_for(open);
	}
	open->intervals = NULL;
	/* no instant lies in the stretch */
	open->from = PG_INT64_MAX;
	open->to = PG_INT64_MIN;
}

/* If too much is kept, forget what is laid out of all calendars but one. Nobody holds on to it between two questions. */
static void
forget_others(OpenTime *open)
{
	HASH_SEQ_STATUS all;
	CacheEntry	   *entry;

	account_for(open);
	if (cached_bytes <= CACHE_BYTES)
		return;
	hash_seq_init(&all, cache);
	while ((entry = hash_seq_search(&all)) != NULL)
		if (entry->open != open)
			forget_layout(entry->open);
}

static OpenTime *
new_open_time(const void *bytes, Size length, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "revacct calendar", ALLOCSET_SMALL_SIZES);
	MemoryContext old_context = MemoryContextSwitchTo(context);
	OpenTime	 *open = palloc0(sizeof(OpenTime));

	open->context = context;
	open->bytes = palloc(length);
	memcpy(open->bytes, bytes, length);
	open->length = length;
	open->calendar = decode_calendar_bytes(open->bytes, length, BYTES_STORED);
	open->edge_low = FIRST_EDGE;
	open->edge_high = LAST_EDGE;
	widen_edges(open->calendar, &open->edge_low, &open->edge_high);
	open->known_to = known_before(open->calendar);
	forget_layout(open);
	MemoryContextSwitchTo(old_context);
	/* only what is whole outlives an error */
	MemoryContextSetParent(context, parent);
	return open;
}

/*
 * The calendar in some bytes, ready for questions. It is kept for good, or if too many are kept already, in the fallback
 * context.
 */
OpenTime *
open_time_of(const void *bytes, Size length, MemoryContext fallback)
{
	uint64		fingerprint;
	CacheEntry *entry;
	OpenTime   *open;
	bool		found;

	if (length < DEFINITION_HEADER_BYTES)
		report_broken_bytes("business_calendar", BYTES_STORED);
	memcpy(&fingerprint, (const char *) bytes + 1, sizeof(fingerprint));
	if (cache == NULL)
	{
		HASHCTL control = {0};

		if (cache_context == NULL)
			cache_context = AllocSetContextCreate(TopMemoryContext, "revacct calendars", ALLOCSET_SMALL_SIZES);
		control.keysize = sizeof(uint64);
		control.entrysize = sizeof(CacheEntry);
		control.hcxt = cache_context;
		cache = hash_create("revacct calendars", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	entry = hash_search(cache, &fingerprint, HASH_FIND, NULL);
	if (entry != NULL && entry->open->length == length && memcmp(entry->open->bytes, bytes, length) == 0)
		return entry->open;
	/* half is for what is laid out */
	if (entry != NULL || cached_definitions > CACHE_BYTES / 2)
		return new_open_time(bytes, length, fallback);
	open = new_open_time(bytes, length, CurrentMemoryContext);
	entry = hash_search(cache, &fingerprint, HASH_ENTER, &found);
	entry->open = open;
	/* only what can be found again is kept */
	MemoryContextSetParent(open->context, cache_context);
	open->kept = true;
	account_for(open);
	cached_definitions += open->kept_bytes;
	return open;
}

/* The same for a call site, which asks for the same calendar again and again. */
OpenTime *
open_time_of_call(OpenTimeCall *call, Datum calendar, MemoryContext context)
{
	Size   length;
	uint64 fingerprint = definition_fingerprint(calendar, &length);

	if (unlikely(call->open == NULL || call->fingerprint != fingerprint || call->length != length))
	{
		ByteReader reader;

		OpenTime *before = call->open;

		call->open = NULL;
		if (before != NULL && !before->kept)
			MemoryContextDelete(before->context);
		reader_over_datum(&reader, calendar, "business_calendar");
		call->open = open_time_of(reader.p, reader.end - reader.p, context);
		call->fingerprint = fingerprint;
		call->length = length;
	}
	return call->open;
}

/*
 * Far away instants
 */

/* How many periods to go towards the edges so that an instant is at most one period beyond them; moves it there. */
static int64
periods_from_edges(const OpenTime *open, TimestampTz *at)
{
	int64 periods = 0;

	if (*at > open->edge_high + PERIOD)
		periods = (*at - open->edge_high - 1) / PERIOD;
	else if (*at < open->edge_low - PERIOD)
		periods = -((open->edge_low - *at - 1) / PERIOD);
	*at -= periods * PERIOD;
	return periods;
}

/* The open time in each period after the upper edge, or before the lower one. */
static int64
open_in_period(OpenTime *open, bool after)
{
	if (after)
	{
		ensure(open, open->edge_high, open->edge_high + PERIOD);
		return open_before(open, open->edge_high + PERIOD) - open_before(open, open->edge_high);
	}
	ensure(open, open->edge_low - PERIOD, open->edge_low);
	return open_before(open, open->edge_low) - open_before(open, open->edge_low - PERIOD);
}

/* The last interval of a bucket that opens at or before an instant in it, by halving. */
const OpenInterval *
interval_in_bucket(const OpenTime *open, uint64 bucket, TimestampTz at)
{
	uint32 low = bucket > 0 ? open->bucket[bucket - 1] : 0;
	uint32 high = open->bucket[bucket];

	while (high - low > 1)
	{
		uint32 middle = low + (high - low) / 2;

		if (open->intervals[middle].opens <= at)
			low = middle;
		else
			high = middle;
	}
	return &open->intervals[low];
}

/* business_time_between for instants that may not be laid out yet. */
int64
business_time_far(OpenTime *open, TimestampTz from, TimestampTz to)
{
	int64  periods_from = periods_from_edges(open, &from);
	int64  periods_to = periods_from_edges(open, &to);
	int128 measure = 0;

	ensure(open, Min(from, to), Max(from, to));
	if (periods_to != 0)
		measure += (int128) periods_to * open_in_period(open, periods_to > 0);
	if (periods_from != 0)
		measure -= (int128) periods_from * open_in_period(open, periods_from > 0);
	measure += open_before(open, to) - open_before(open, from);
	if (measure > PG_INT64_MAX || measure < -PG_INT64_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INTERVAL_FIELD_OVERFLOW),
				 errmsg("the business time between two instants is out of range"),
				 errdetail("It is more than 292,000 years.")));
	return (int64) measure;
}

/* The first instant with that much open time since the beginning of the stretch, of which it is not more. */
static TimestampTz
first_with(const OpenTime *open, int64 measure)
{
	int low = 0;
	int high = open->count;

	/* the last interval before which less has been open */
	while (high - low > 1)
	{
		int middle = (low + high) / 2;

		if (open->intervals[middle].before < measure)
			low = middle;
		else
			high = middle;
	}
	return open->intervals[low].opens + (measure - open->intervals[low].before);
}

/* The last instant with that much open time since the beginning, of which it is less than all. */
static TimestampTz
last_with(const OpenTime *open, int64 measure)
{
	int low = 0;
	int high = open->count;

	/* the last interval before which no more has been open */
	while (high - low > 1)
	{
		int middle = (low + high) / 2;

		if (open->intervals[middle].before <= measure)
			low = middle;
		else
			high = middle;
	}
	return open->intervals[low].opens + (measure - open->intervals[low].before);
}

static bool
shift_result(TimestampTz at, int64 periods, TimestampTz *result)
{
	int64 distance;

	return !pg_mul_s64_overflow(periods, PERIOD, &distance) && !pg_add_s64_overflow(at, distance, result) &&
		   IS_VALID_TIMESTAMP(*result);
}

/*
 * Forward by a positive amount. In each turn, either what lies between at and the end of what can be laid out in one
 * piece is enough; or it is used up, and with it as many periods as there are on that side and the amount allows.
 */
static bool
add_forward(OpenTime *open, TimestampTz at, int64 amount, TimestampTz *result)
{
	for (;;)
	{
		TimestampTz near = at;
		int64		periods = periods_from_edges(open, &near);
		TimestampTz limit = periods < 0 ? open->edge_low : open->edge_high + PERIOD;
		int64		available;
		int64		per_period;
		int64		skipped;

		ensure(open, near, near);
		while (open->to < limit && open_before(open, open->to) - open_before(open, near) < amount)
			reach(open, open->from, open->to + 1);
		available = open_before(open, Min(limit, open->to)) - open_before(open, near);
		if (available >= amount)
			return shift_result(first_with(open, open_before(open, near) + amount), periods, result);

		amount -= available;
		per_period = open_in_period(open, periods >= 0);
		if (periods < 0)
		{
			skipped = per_period > 0 ? Min(-periods, (amount - 1) / per_period) : -periods;
			amount -= skipped * per_period;
			at = limit + (periods + skipped) * PERIOD;
			continue;
		}
		if (per_period == 0)
			return false;
		skipped = (amount - 1) / per_period;
		amount -= skipped * per_period;
		return shift_result(first_with(open, open_before(open, open->edge_high) + amount),
							periods + skipped + 1,
							result);
	}
}

/* Backward by a positive amount: the same the other way round. */
static bool
add_backward(OpenTime *open, TimestampTz at, int64 amount, TimestampTz *result)
{
	for (;;)
	{
		TimestampTz near = at;
		int64		periods = periods_from_edges(open, &near);
		TimestampTz limit = periods > 0 ? open->edge_high : open->edge_low - PERIOD;
		int64		available;
		int64		per_period;
		int64		skipped;

		ensure(open, near, near);
		while (open->from > limit && open_before(open, near) < amount)
			reach(open, open->from - 1, open->to);
		available = open_before(open, near) - open_before(open, Max(limit, open->from));
		if (available >= amount)
			return shift_result(last_with(open, open_before(open, near) - amount), periods, result);

		amount -= available;
		per_period = open_in_period(open, periods > 0);
		if (periods > 0)
		{
			skipped = per_period > 0 ? Min(periods, (amount - 1) / per_period) : periods;
			amount -= skipped * per_period;
			at = limit + (periods - skipped) * PERIOD;
			continue;
		}
		if (per_period == 0)
			return false;
		skipped = (amount - 1) / per_period;
		amount -= skipped * per_period;
		return shift_result(last_with(open, open_before(open, open->edge_low) - amount), periods - skipped - 1, result);
	}
}

/*
 * The first instant (or with a negative amount, the last) with that much business time since (until) another; false if
 * there is none, or none within the calendar.
 */
bool
business_time_add(OpenTime *open, TimestampTz at, int64 amount, TimestampTz *result)
{
	*result = at;
	if (amount == 0)
		return true;
	if (amount == PG_INT64_MIN)
		return false;
	return amount > 0 ? add_forward(open, at, amount, result) : add_backward(open, at, -amount, result);
}

/* The instant itself if it is open, else the next that is; false if there is none. */
bool
next_opening(OpenTime *open, TimestampTz at, TimestampTz *result)
{
	/* The first open microsecond is the one that ends when one has been open. */
	if (!business_time_add(open, at, 1, result))
		return false;
	(*result)--;
	return true;
}

/*
 * The next open interval after an instant, cut to end at until; false if there is none before that.
 */
bool
next_interval(OpenTime *open, TimestampTz at, TimestampTz until, TimestampTz *opens, TimestampTz *closes)
{
	/* To find out that a calendar never opens again takes centuries to be laid out; that it does not in time, only the time. */
	if (at >= until || (at > until - PERIOD && business_time_between(open, at, until) == 0))
		return false;
	if (!next_opening(open, at, opens) || *opens >= until)
		return false;
	*closes = *opens;
	/* What is laid out may end within the interval, so it may take several steps to its end. */
	while (*closes < until)
	{
		TimestampTz reduced = *closes;
		int64		periods = periods_from_edges(open, &reduced);
		TimestampTz limit = periods < 0 ? open->edge_low : open->edge_high + PERIOD;
		TimestampTz stretch;
		int			low = 0;
		int			high = open->count;

		CHECK_FOR_INTERRUPTS();
		if (reduced == limit)
		{
			/* the end of what may be laid out: go on one period earlier */
			reduced -= PERIOD;
			periods++;
		}
		ensure(open, reduced, Min(reduced + YEAR, limit));
		high = open->count;
		while (high - low > 1)
		{
			int middle = (low + high) / 2;

			if (open->intervals[middle].opens <= reduced)
				low = middle;
			else
				high = middle;
		}
		stretch = open->intervals[low].opens + (open->intervals[low + 1].before - open->intervals[low].before);
		if (stretch <= reduced)
			break;
		if (!shift_result(Min(stretch, limit), periods, closes))
			*closes = until;
		if (stretch < Min(open->to, limit))
			break;
	}
	*closes = Min(*closes, until);
	return true;
}

/*
 * SQL functions
 */

static inline OpenTime *
calendar_argument(FunctionCallInfo fcinfo)
{
	if (unlikely(fcinfo->flinfo->fn_extra == NULL))
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(OpenTimeCall));
	return open_time_of_call(fcinfo->flinfo->fn_extra, PG_GETARG_DATUM(0), fcinfo->flinfo->fn_mcxt);
}

static inline TimestampTz
instant_argument(FunctionCallInfo fcinfo, int argno, const char *what)
{
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(argno);

	check_finite_instant(at, what);
	return at;
}

/* business_time(calendar, from_at, to_at) */
Datum
revacct_business_time(PG_FUNCTION_ARGS)
{
	OpenTime *open = calendar_argument(fcinfo);

	return hours_datum(
		business_time_between(open, instant_argument(fcinfo, 1, "from_at"), instant_argument(fcinfo, 2, "to_at")));
}

/* business_add(calendar, at, amount) */
Datum
revacct_business_add(PG_FUNCTION_ARGS)
{
	OpenTime	   *open = calendar_argument(fcinfo);
	const Interval *amount = PG_GETARG_INTERVAL_P(2);
	TimestampTz		result;

	if (amount->month != 0 || amount->day != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an amount of business time must not contain days, months or years"),
				 errdetail("A day of business has no length."),
				 errhint("Write it in hours.")));
	if (!business_time_add(open, instant_argument(fcinfo, 1, "at"), amount->time, &result))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(result);
}

/* next_open(calendar, at) */
Datum
revacct_next_open(PG_FUNCTION_ARGS)
{
	OpenTime   *open = calendar_argument(fcinfo);
	TimestampTz result;

	if (!next_opening(open, instant_argument(fcinfo, 1, "at"), &result))
		PG_RETURN_NULL();
	PG_RETURN_TIMESTAMPTZ(result);
}

/* is_open(calendar, at) */
Datum
revacct_is_open(PG_FUNCTION_ARGS)
{
	OpenTime   *open = calendar_argument(fcinfo);
	TimestampTz at = instant_argument(fcinfo, 1, "at");

	PG_RETURN_BOOL(business_time_between(open, at, at + 1) == 1);
}

/* beyond_horizon(calendar, at) */
Datum
revacct_beyond_horizon(PG_FUNCTION_ARGS)
{
	OpenTime *open = calendar_argument(fcinfo);

	PG_RETURN_BOOL(is_beyond_horizon(open->calendar, instant_argument(fcinfo, 1, "at")));
}

/* open_intervals(calendar, from_at, to_at) */
Datum
revacct_open_intervals(PG_FUNCTION_ARGS)
{
	OpenTime   *open = calendar_argument(fcinfo);
	TimestampTz at = instant_argument(fcinfo, 1, "from_at");
	TimestampTz until = instant_argument(fcinfo, 2, "to_at");
	TimestampTz opens;
	TimestampTz closes;
	RowBuilder	row;

	begin_rows(fcinfo, &row);
	for (; next_interval(open, at, until, &opens, &closes); at = closes)
	{
		CHECK_FOR_INTERRUPTS();
		add_column(&row, TimestampTzGetDatum(opens), false);
		add_column(&row, TimestampTzGetDatum(closes), false);
		end_row(&row);
	}
	return (Datum) 0;
}
