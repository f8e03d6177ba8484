/*
 * calendar.h
 *	  When a team is open: the rules, as one immutable value.
 *
 * Stored, after the head that all definitions have (definition.h):
 *
 *	kind						0 hours, 1 union, 2 intersection
 *	of hours:
 *		name, time zone			each a varint length and bytes
 *		flags					1: a horizon follows, as a zigzag varint of days since 2000-01-01
 *		hours, weekly breaks	for each weekday from Monday a list of rows: varint count, then each row's opening and length
 *		shifts, breaks			varint count, then for each date its distance to the one before (the first: zigzag from
 *								2000-01-01) and a list of rows
 *		holidays				varint count and distances
 *	of unions and intersections:
 *		parts					varint count, then for each a varint length and a stored calendar
 *
 * A time of day or length is a varint: minutes << 1, or if it is not whole minutes microseconds << 1 | 1. Rows of a list
 * ascend and do not touch; dates ascend; no holiday has a shift; no horizon is infinite. Parts ascend by their bytes,
 * differ, are at least two and not of their whole's kind.
 */
#ifndef REVACCT_CALENDAR_H
#define REVACCT_CALENDAR_H

#include "definition.h"

#include "utils/date.h"

#define DAYS_PER_WEEK 7

/* A half-open row, in microseconds from the midnight at which its day begins; it may end on the next day. */
typedef struct OpenRow
{
	int64 opens;
	int64 closes;
} OpenRow;

typedef struct RowList
{
	int		 count;
	OpenRow *rows; /* ascending, apart */
} RowList;

typedef struct DatedRows
{
	DateADT date; /* first, so that dated rows compare like dates */
	RowList list;
} DatedRows;

typedef struct DatedLists
{
	int		   count;
	DatedRows *dates; /* ascending */
} DatedLists;

typedef enum CalendarKind
{
	CALENDAR_HOURS,
	CALENDAR_UNION,
	CALENDAR_INTERSECTION
} CalendarKind;

typedef struct Calendar
{
	CalendarKind kind;
	uint64		 fingerprint;

	/* hours */
	const char *name;
	const char *time_zone;
	pg_tz	   *zone;
	RowList		hours[DAYS_PER_WEEK]; /* from Monday; rows of the day they start on */
	RowList		weekly_breaks[DAYS_PER_WEEK];
	DatedLists	shifts;
	DatedLists	breaks;
	int			holiday_count;
	DateADT	   *holidays;
	DateADT		known_until; /* DATEVAL_NOEND: no horizon */

	/* union, intersection */
	int				  part_count;
	struct Calendar **parts;
} Calendar;

extern Calendar		 *decode_calendar_bytes(const void *bytes, Size length, ByteSource source);
extern void			  check_calendar_bytes(const char *bytes, Size length, ByteSource source);
extern void			  add_row(RowList *list, int64 opens, int64 closes);
extern void			  unite_rows(RowList *list);
extern int			  compare_dates(const void *a, const void *b);
extern int			  dates_before(const DateADT *dates, int count, DateADT date);
extern const RowList *rows_of_date(const DatedLists *lists, DateADT date);
extern char			 *calendar_text(const void *bytes, Size length);
extern void			  append_calendar_of_text(StringInfo out, const char *text);

/* 0 is Monday. */
static inline int
weekday_of(DateADT date)
{
	return (int) ((((int64) date + 5) % DAYS_PER_WEEK + DAYS_PER_WEEK) % DAYS_PER_WEEK);
}

#endif /* REVACCT_CALENDAR_H */
