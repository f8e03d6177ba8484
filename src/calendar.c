/*
 * calendar.c
 *	  The business calendar as a value: from arguments, text and bytes. What it means in time: open_time.c.
 */
#include "calendar.h"

#include <ctype.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"

#define TYPE_NAME "business_calendar"
#define KIND "calendar" /* in messages */

#define HAS_HORIZON 0x01

#define MAX_ROWS_PER_LIST 1440
#define MAX_DATES 100000
#define MAX_DATED_ROWS 100000 /* of all dates together */
#define MAX_PARTS 64
#define MAX_DEPTH 4

/* Dates a calendar can name, from year 1 to year 9999: all between the first and the last may have to be laid out. */
#define MIN_DATE (-730119)
#define MAX_DATE 2921939

static const char *const day_names[DAYS_PER_WEEK] = {
	"monday",
	"tuesday",
	"wednesday",
	"thursday",
	"friday",
	"saturday",
	"sunday",
};

PG_FUNCTION_INFO_V1(revacct_calendar_name);
PG_FUNCTION_INFO_V1(revacct_calendar);
PG_FUNCTION_INFO_V1(revacct_calendar_union);
PG_FUNCTION_INFO_V1(revacct_calendar_intersection);
PG_FUNCTION_INFO_V1(revacct_calendar_in);
PG_FUNCTION_INFO_V1(revacct_calendar_out);
PG_FUNCTION_INFO_V1(revacct_calendar_recv);

/*
 * Rows
 */

/* Add a row to a list, which is in no order until unite_rows. */
void
add_row(RowList *list, int64 opens, int64 closes)
{
	if (list->rows == NULL)
		list->rows = palloc(sizeof(OpenRow) * 4);
	else if (list->count >= 4 && (list->count & (list->count - 1)) == 0)
		list->rows = repalloc(list->rows, sizeof(OpenRow) * list->count * 2);
	list->rows[list->count++] = (OpenRow){opens, closes};
}

static int
compare_rows(const void *a, const void *b)
{
	const OpenRow *row_a = a;
	const OpenRow *row_b = b;

	return (row_a->opens > row_b->opens) - (row_a->opens < row_b->opens);
}

/* Put the rows of a list in order, and make one of those that overlap or touch. */
void
unite_rows(RowList *list)
{
	int count = 0;

	if (list->count == 0)
		return;
	qsort(list->rows, list->count, sizeof(OpenRow), compare_rows);
	for (int i = 0; i < list->count; i++)
	{
		if (count > 0 && list->rows[i].opens <= list->rows[count - 1].closes)
			list->rows[count - 1].closes = Max(list->rows[count - 1].closes, list->rows[i].closes);
		else
			list->rows[count++] = list->rows[i];
	}
	list->count = count;
}

static bool
same_rows(const RowList *a, const RowList *b)
{
	return a->count == b->count && (a->count == 0 || memcmp(a->rows, b->rows, sizeof(OpenRow) * a->count) == 0);
}

/* By date, for qsort. */
int
compare_dates(const void *a, const void *b)
{
	DateADT date_a = *(const DateADT *) a;
	DateADT date_b = *(const DateADT *) b;

	return (date_a > date_b) - (date_a < date_b);
}

/* How many of some ascending dates are before a date. */
int
dates_before(const DateADT *dates, int count, DateADT date)
{
	int low = 0;

	while (low < count)
	{
		int middle = (low + count) / 2;

		if (dates[middle] < date)
			low = middle + 1;
		else
			count = middle;
	}
	return low;
}

/* The rows of a date, or NULL. */
const RowList *
rows_of_date(const DatedLists *lists, DateADT date)
{
	DatedRows  key = {date, {0, NULL}};
	DatedRows *found = NULL;

	if (lists->count > 0)
		found = bsearch(&key, lists->dates, lists->count, sizeof(DatedRows), compare_dates);
	return found != NULL ? &found->list : NULL;
}

/* Put dated rows in order, one entry a date. */
static void
unite_dates(DatedLists *lists)
{
	int count = 0;

	if (lists->count == 0)
		return;
	qsort(lists->dates, lists->count, sizeof(DatedRows), compare_dates);
	for (int i = 0; i < lists->count; i++)
	{
		DatedRows *dated = &lists->dates[i];

		if (count > 0 && lists->dates[count - 1].date == dated->date)
			for (int r = 0; r < dated->list.count; r++)
				add_row(&lists->dates[count - 1].list, dated->list.rows[r].opens, dated->list.rows[r].closes);
		else
			lists->dates[count++] = *dated;
	}
	lists->count = count;
	for (int i = 0; i < count; i++)
		unite_rows(&lists->dates[i].list);
}

/* Put holidays in order, once each, without those that a shift beats. */
static void
unite_holidays(Calendar *calendar)
{
	int count = 0;

	if (calendar->holiday_count == 0)
		return;
	qsort(calendar->holidays, calendar->holiday_count, sizeof(DateADT), compare_dates);
	for (int i = 0; i < calendar->holiday_count; i++)
		if ((count == 0 || calendar->holidays[count - 1] != calendar->holidays[i]) &&
			rows_of_date(&calendar->shifts, calendar->holidays[i]) == NULL)
			calendar->holidays[count++] = calendar->holidays[i];
	calendar->holiday_count = count;
}

/*
 * Checks: every calendar of hours passes here, whether it comes from arguments, text or bytes
 */

static void
check_row_counts(const Calendar *calendar, const RowList *list)
{
	if (list->count > MAX_ROWS_PER_LIST)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a calendar has at most %d rows on a day", MAX_ROWS_PER_LIST),
				 errdetail("The calendar is \"%s\".", calendar->name)));
}

static void
check_dated_rows(const Calendar *calendar, const DatedLists *lists)
{
	int rows = 0;

	for (int i = 0; i < lists->count; i++)
	{
		check_row_counts(calendar, &lists->dates[i].list);
		rows += lists->dates[i].list.count;
	}
	if (rows > MAX_DATED_ROWS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a calendar has at most %d rows by date", MAX_DATED_ROWS),
				 errdetail("The calendar is \"%s\".", calendar->name)));
}

static void
finish_calendar(Calendar *calendar)
{
	if (*calendar->name == '\0' || strlen(calendar->name) > MAX_NAME_BYTES)
		reject_definition(KIND,
						  calendar->name,
						  psprintf("the name of a calendar must have 1 to %d bytes", MAX_NAME_BYTES),
						  NULL);
	calendar->zone = checked_zone(KIND, calendar->name, calendar->time_zone);
	for (int day = 0; day < DAYS_PER_WEEK; day++)
	{
		unite_rows(&calendar->hours[day]);
		unite_rows(&calendar->weekly_breaks[day]);
		check_row_counts(calendar, &calendar->hours[day]);
		check_row_counts(calendar, &calendar->weekly_breaks[day]);
	}
	unite_dates(&calendar->shifts);
	unite_dates(&calendar->breaks);
	check_dated_rows(calendar, &calendar->shifts);
	check_dated_rows(calendar, &calendar->breaks);
	unite_holidays(calendar);
}

/*
 * Bytes
 */

static void
append_length(StringInfo out, int64 usecs)
{
	if (usecs % USECS_PER_MINUTE == 0)
		append_varint(out, (uint64) (usecs / USECS_PER_MINUTE) << 1);
	else
		append_varint(out, (uint64) usecs << 1 | 1);
}

static int64
read_length(ByteReader *reader)
{
	uint64 value = read_bounded(reader, 4 * USECS_PER_DAY);
	int64  usecs = value & 1 ? (int64) (value >> 1) : (int64) (value >> 1) * USECS_PER_MINUTE;

	if (usecs > 2 * USECS_PER_DAY)
		broken(reader);
	return usecs;
}

static void
append_rows(StringInfo out, const RowList *list)
{
	append_varint(out, list->count);
	for (int i = 0; i < list->count; i++)
	{
		append_length(out, list->rows[i].opens);
		append_length(out, list->rows[i].closes - list->rows[i].opens);
	}
}

static void
read_rows(ByteReader *reader, RowList *list)
{
	int count = (int) read_bounded(reader, MAX_ROWS_PER_LIST);

	for (int i = 0; i < count; i++)
	{
		int64 opens = read_length(reader);
		int64 length = read_length(reader);

		if (opens >= USECS_PER_DAY || length == 0 || opens + length >= 2 * USECS_PER_DAY)
			broken(reader);
		add_row(list, opens, opens + length);
	}
}

static void
append_date(StringInfo out, DateADT date, DateADT *last, bool first)
{
	append_varint(out, first ? zigzag(date) : (uint64) ((int64) date - *last));
	*last = date;
}

static DateADT
read_date(ByteReader *reader, DateADT last, bool first)
{
	uint64 distance = read_bounded(reader, PG_UINT32_MAX);
	int64  date = first ? unzigzag(distance) : (int64) last + (int64) distance;

	if ((!first && distance == 0) || date < MIN_DATE || date > MAX_DATE)
		broken(reader);
	return (DateADT) date;
}

static void
append_dates(StringInfo out, const DatedLists *lists)
{
	DateADT last = 0;

	append_varint(out, lists->count);
	for (int i = 0; i < lists->count; i++)
	{
		append_date(out, lists->dates[i].date, &last, i == 0);
		append_rows(out, &lists->dates[i].list);
	}
}

static void
read_dates(ByteReader *reader, DatedLists *lists)
{
	int count = (int) read_bounded(reader, Min(MAX_DATES, reader->end - reader->p));

	lists->dates = palloc0(sizeof(DatedRows) * Max(count, 1));
	for (lists->count = 0; lists->count < count; lists->count++)
	{
		DatedRows *dated = &lists->dates[lists->count];

		dated->date = read_date(reader, lists->count > 0 ? dated[-1].date : 0, lists->count == 0);
		read_rows(reader, &dated->list);
	}
}

static void append_calendar(StringInfo out, const Calendar *calendar);

static void
append_definition(StringInfo out, const Calendar *calendar)
{
	DateADT last = 0;

	appendStringInfoChar(out, calendar->kind);
	if (calendar->kind != CALENDAR_HOURS)
	{
		append_varint(out, calendar->part_count);
		for (int i = 0; i < calendar->part_count; i++)
		{
			StringInfoData part;

			initStringInfo(&part);
			append_calendar(&part, calendar->parts[i]);
			append_varint(out, part.len);
			appendBinaryStringInfo(out, part.data, part.len);
			pfree(part.data);
		}
		return;
	}
	append_text(out, calendar->name);
	append_text(out, calendar->time_zone);
	appendStringInfoChar(out, calendar->known_until != DATEVAL_NOEND ? HAS_HORIZON : 0);
	if (calendar->known_until != DATEVAL_NOEND)
		append_varint(out, zigzag(calendar->known_until));
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		append_rows(out, &calendar->hours[day]);
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		append_rows(out, &calendar->weekly_breaks[day]);
	append_dates(out, &calendar->shifts);
	append_dates(out, &calendar->breaks);
	append_varint(out, calendar->holiday_count);
	for (int i = 0; i < calendar->holiday_count; i++)
		append_date(out, calendar->holidays[i], &last, i == 0);
}

/* Append the stored form. */
static void
append_calendar(StringInfo out, const Calendar *calendar)
{
	StringInfoData definition;

	initStringInfo(&definition);
	append_definition(&definition, calendar);
	append_fingerprinted(out, &definition);
	pfree(definition.data);
}

static Datum
calendar_as_value(const Calendar *calendar)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_calendar(&bytes, calendar);
	check_value_size(bytes.len, TYPE_NAME, "Name fewer dates.");
	return bytes_as_varlena(&bytes);
}

static void
read_hours(ByteReader *reader, Calendar *calendar)
{
	uint8 flags;

	calendar->name = read_text(reader);
	calendar->time_zone = read_text(reader);
	flags = read_byte(reader);
	if ((flags & ~HAS_HORIZON) || strcmp(calendar->time_zone, zone_name(calendar->time_zone)) != 0)
		broken(reader);
	calendar->known_until = flags & HAS_HORIZON ? read_date(reader, 0, true) : DATEVAL_NOEND;
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		read_rows(reader, &calendar->hours[day]);
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		read_rows(reader, &calendar->weekly_breaks[day]);
	read_dates(reader, &calendar->shifts);
	read_dates(reader, &calendar->breaks);
	calendar->holiday_count = (int) read_bounded(reader, Min(MAX_DATES, reader->end - reader->p));
	calendar->holidays = palloc(sizeof(DateADT) * Max(calendar->holiday_count, 1));
	for (int i = 0; i < calendar->holiday_count; i++)
		calendar->holidays[i] = read_date(reader, i > 0 ? calendar->holidays[i - 1] : 0, i == 0);
	finish_calendar(calendar);
}

static Calendar *read_calendar(ByteReader reader, int depth);

static void
read_parts(ByteReader *reader, Calendar *calendar, int depth)
{
	ByteReader part = *reader;

	if (depth >= MAX_DEPTH)
		broken(reader);
	calendar->part_count = (int) read_bounded(reader, MAX_PARTS);
	if (calendar->part_count < 2)
		broken(reader);
	calendar->parts = palloc(sizeof(Calendar *) * calendar->part_count);
	for (int i = 0; i < calendar->part_count; i++)
	{
		Size length = read_bounded(reader, reader->end - reader->p);

		part.p = read_bytes(reader, length);
		part.end = part.p + length;
		calendar->parts[i] = read_calendar(part, depth + 1);
		if (calendar->parts[i]->kind == calendar->kind)
			broken(reader);
	}
}

/* Read and check a calendar, in the current memory context. */
static Calendar *
read_calendar(ByteReader reader, int depth)
{
	Calendar *calendar = palloc0(sizeof(Calendar));
	uint8	  kind;

	calendar->fingerprint = read_fingerprint(&reader);
	kind = read_byte(&reader);
	if (kind > CALENDAR_INTERSECTION)
		broken(&reader);
	calendar->kind = kind;
	if (kind == CALENDAR_HOURS)
		read_hours(&reader, calendar);
	else
		read_parts(&reader, calendar, depth);
	if (reader.p != reader.end)
		broken(&reader);
	return calendar;
}

/* The calendar in some bytes, in the current memory context. */
Calendar *
decode_calendar_bytes(const void *bytes, Size length, ByteSource source)
{
	ByteReader reader = {bytes, (const uint8 *) bytes + length, TYPE_NAME, source};

	return read_calendar(reader, 0);
}

static Calendar *
decode_calendar(Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, TYPE_NAME);
	return read_calendar(reader, 0);
}

static Calendar *combined(CalendarKind kind, Calendar **parts, int count);

/* The one form of a calendar: its parts in order. */
static Calendar *
canonical(Calendar *calendar)
{
	if (calendar->kind == CALENDAR_HOURS)
		return calendar;
	for (int i = 0; i < calendar->part_count; i++)
		calendar->parts[i] = canonical(calendar->parts[i]);
	return combined(calendar->kind, calendar->parts, calendar->part_count);
}

/* Refuse bytes that are not exactly what would be written. */
void
check_calendar_bytes(const char *bytes, Size length, ByteSource source)
{
	ByteReader	   reader = {(const uint8 *) bytes, (const uint8 *) bytes + length, TYPE_NAME, source};
	StringInfoData again;

	initStringInfo(&again);
	append_calendar(&again, canonical(read_calendar(reader, 0)));
	if (again.len != length || memcmp(again.data, bytes, length) != 0)
		broken(&reader);
}

/*
 * Items of text: "mon-fri 09:00-12:00 13:00-17:00", "2025-12-24..2025-12-31 09:00-12:00"
 */

typedef struct ItemReader
{
	const Calendar *calendar;
	const char	   *option;
	const char	   *item;
	const char	   *p;
} ItemReader;

static void
reject_item(const ItemReader *reader)
{
	const char *hint = "Write days and rows, such as mon-fri 09:00-12:00 13:00-17:00.";

	if (strcmp(reader->option, "shifts") == 0)
		hint = "Write a date and rows, such as 2025-12-24 09:00-12:00, or 2025-12-27..2025-12-31 10:00-14:00.";
	else if (strcmp(reader->option, "breaks") == 0)
		hint = "Write a date or days and rows, such as 2025-12-24 12:00-13:00, or mon-fri 12:00-13:00.";
	else if (strcmp(reader->option, "holidays") == 0)
		hint = "Write a date, such as 2025-12-25, or dates, such as 2025-12-25..2025-12-26.";
	else if (strcmp(reader->option, "known_until") == 0)
		hint = "Write a date, such as 2026-12-31, or infinity.";
	reject_definition(KIND,
					  reader->calendar->name,
					  psprintf("%s \"%s\" cannot be read", reader->option, reader->item),
					  hint);
}

/* A number of exactly that many digits. */
static int
item_digits(ItemReader *reader, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++)
	{
		if (!isdigit((unsigned char) *reader->p))
			reject_item(reader);
		value = value * 10 + (*reader->p++ - '0');
	}
	return value;
}

/* HH:MM[:SS[.ffffff]] up to 24:00. */
static int64
item_time(ItemReader *reader)
{
	int	  hour = item_digits(reader, 2);
	int	  minute;
	int	  second = 0;
	int64 fraction = 0;
	int64 time;

	if (*reader->p++ != ':')
		reject_item(reader);
	minute = item_digits(reader, 2);
	if (*reader->p == ':')
	{
		reader->p++;
		second = item_digits(reader, 2);
		if (*reader->p == '.')
		{
			int64 scale = USECS_PER_SEC / 10;

			if (!isdigit((unsigned char) *++reader->p))
				reject_item(reader);
			for (; scale > 0 && isdigit((unsigned char) *reader->p); scale /= 10)
				fraction += (*reader->p++ - '0') * scale;
			if (isdigit((unsigned char) *reader->p))
				reject_item(reader);
		}
	}
	time = hour * USECS_PER_HOUR + minute * USECS_PER_MINUTE + second * USECS_PER_SEC + fraction;
	if (minute > 59 || second > 59 || time > USECS_PER_DAY)
		reject_item(reader);
	return time;
}

/* Rows up to the end of the item; an end at or before its start is on the next day. */
static RowList
item_rows(ItemReader *reader)
{
	RowList list = {0, NULL};

	do
	{
		int64 opens;
		int64 closes;

		reader->p = skip_space(reader->p);
		opens = item_time(reader);
		if (*reader->p++ != '-')
			reject_item(reader);
		closes = item_time(reader);
		if (opens == USECS_PER_DAY || (*reader->p && !is_space(*reader->p)))
			reject_item(reader);
		if (list.count >= MAX_ROWS_PER_LIST)
			reject_item(reader);
		add_row(&list, opens, closes > opens ? closes : closes + USECS_PER_DAY);
		reader->p = skip_space(reader->p);
	} while (*reader->p);
	return list;
}

/* The weekday that a word at the reader names by its first three letters or in full; -1 if it names none. */
static int
item_weekday(ItemReader *reader)
{
	Size len = 0;

	while (isalpha((unsigned char) reader->p[len]))
		len++;
	for (int day = 0; day < DAYS_PER_WEEK && len >= 3; day++)
	{
		if (len <= strlen(day_names[day]) && (len == 3 || len == strlen(day_names[day])) &&
			pg_strncasecmp(reader->p, day_names[day], len) == 0)
		{
			reader->p += len;
			return day;
		}
	}
	return -1;
}

/* Weekdays, such as "mon-wed sat", as a set of bits. */
static int
item_weekdays(ItemReader *reader)
{
	int days = 0;

	for (;;)
	{
		int first = item_weekday(reader);
		int last = first;

		if (first < 0)
			return days;
		if (*reader->p == '-')
		{
			reader->p++;
			last = item_weekday(reader);
			if (last < 0)
				reject_item(reader);
		}
		for (int day = first;; day = (day + 1) % DAYS_PER_WEEK)
		{
			days |= 1 << day;
			if (day == last)
				break;
		}
		if (!is_space(*reader->p))
			reject_item(reader);
		reader->p = skip_space(reader->p);
	}
}

static DateADT
item_date(ItemReader *reader)
{
	bool negative = *reader->p == '-';
	int	 digits = 0;
	int	 year;
	int	 month;
	int	 day;
	int	 date;

	reader->p += negative;
	while (isdigit((unsigned char) reader->p[digits]) && digits < 7)
		digits++;
	if (digits < 4 || digits > 6)
		reject_item(reader);
	year = item_digits(reader, digits);
	if (negative)
		year = -year;
	if (*reader->p++ != '-')
		reject_item(reader);
	month = item_digits(reader, 2);
	if (*reader->p++ != '-')
		reject_item(reader);
	day = item_digits(reader, 2);
	if (month < 1 || month > MONTHS_PER_YEAR || day < 1 || day > day_tab[isleap(year)][month - 1] ||
		!IS_VALID_JULIAN(year, month, day))
		reject_item(reader);
	date = date2j(year, month, day) - POSTGRES_EPOCH_JDATE;
	if (date < MIN_DATE || date > MAX_DATE)
		reject_item(reader);
	return date;
}

/* A date, or the first and last of several. */
static void
item_dates(ItemReader *reader, DateADT *first, DateADT *last)
{
	*first = *last = item_date(reader);
	if (strncmp(reader->p, "..", 2) == 0)
	{
		reader->p += 2;
		*last = item_date(reader);
		if (*last < *first)
			reject_item(reader);
	}
}

static void
check_date_count(const Calendar *calendar, int64 count)
{
	if (count > MAX_DATES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a calendar names at most %d dates", MAX_DATES),
				 errdetail("The calendar is \"%s\".", calendar->name)));
}

static void
add_weekly(const RowList *list, int days, RowList *week)
{
	for (int day = 0; day < DAYS_PER_WEEK; day++)
		for (int i = 0; i < list->count && days & 1 << day; i++)
			add_row(&week[day], list->rows[i].opens, list->rows[i].closes);
}

static void
add_dated(const Calendar *calendar, const RowList *list, DateADT first, DateADT last, DatedLists *lists)
{
	int64 count = lists->count + ((int64) last - first + 1);

	check_date_count(calendar, count);
	check_date_count(calendar, ((int64) last - first + 1) * list->count);
	lists->dates =
		lists->dates == NULL ? palloc(sizeof(DatedRows) * count) : repalloc(lists->dates, sizeof(DatedRows) * count);
	for (DateADT date = first; date <= last; date++)
	{
		DatedRows *dated = &lists->dates[lists->count++];

		CHECK_FOR_INTERRUPTS();
		dated->date = date;
		dated->list = (RowList){0, NULL};
		for (int i = 0; i < list->count; i++)
			add_row(&dated->list, list->rows[i].opens, list->rows[i].closes);
	}
}

/* An item of an option: weekly rows if week is given, dated rows if lists is. */
static void
add_item(const Calendar *calendar, const char *option, const char *item, RowList *week, DatedLists *lists)
{
	ItemReader reader = {calendar, option, item, skip_space(item)};
	int		   days = week != NULL ? item_weekdays(&reader) : 0;
	DateADT	   first = 0;
	DateADT	   last = 0;
	RowList	   list;

	if (days == 0)
	{
		if (lists == NULL)
			reject_item(&reader);
		item_dates(&reader, &first, &last);
		if (!is_space(*reader.p))
			reject_item(&reader);
	}
	list = item_rows(&reader);
	if (days != 0)
		add_weekly(&list, days, week);
	else
		add_dated(calendar, &list, first, last, lists);
}

static void
add_holidays(Calendar *calendar, DateADT first, DateADT last)
{
	int64 count = calendar->holiday_count + ((int64) last - first + 1);

	check_date_count(calendar, count);
	calendar->holidays = calendar->holidays == NULL ? palloc(sizeof(DateADT) * count)
													: repalloc(calendar->holidays, sizeof(DateADT) * count);
	for (DateADT date = first; date <= last; date++)
		calendar->holidays[calendar->holiday_count++] = date;
}

/* Without a horizon: the last holiday that is named, if any is. */
static void
set_default_horizon(Calendar *calendar)
{
	calendar->known_until = DATEVAL_NOEND;
	for (int i = 0; i < calendar->holiday_count; i++)
		if (i == 0 || calendar->holidays[i] > calendar->known_until)
			calendar->known_until = calendar->holidays[i];
}

/*
 * From arguments
 */

static void
add_items(FunctionCallInfo fcinfo, int argno, const Calendar *calendar, const char *option, RowList *week,
		  DatedLists *lists)
{
	int	   count;
	char **items;

	if (PG_ARGISNULL(argno))
		return;
	items = text_array(fcinfo, argno, option, &count);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		add_item(calendar, option, items[i], week, lists);
	}
}

static void
check_date(const Calendar *calendar, const char *option, DateADT date)
{
	if (date < MIN_DATE || date > MAX_DATE)
		reject_definition(KIND,
						  calendar->name,
						  psprintf("option %s is out of range", option),
						  "Give dates of the years 1 to 9999.");
}

static void
add_holiday_argument(FunctionCallInfo fcinfo, int argno, Calendar *calendar)
{
	Datum *elements;
	bool  *nulls;
	int	   count;

	if (PG_ARGISNULL(argno))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno),
					  DATEOID,
					  sizeof(DateADT),
					  true,
					  TYPALIGN_INT,
					  &elements,
					  &nulls,
					  &count);
	check_date_count(calendar, count);
	for (int i = 0; i < count; i++)
	{
		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("option holidays must not contain NULL")));
		check_date(calendar, "holidays", DatumGetDateADT(elements[i]));
	}
	calendar->holidays = palloc(sizeof(DateADT) * Max(count, 1));
	for (int i = 0; i < count; i++)
		calendar->holidays[i] = DatumGetDateADT(elements[i]);
	calendar->holiday_count = count;
}

/* business_calendar(name, time_zone, hours, shifts, breaks, holidays, known_until) */
Datum
revacct_calendar(PG_FUNCTION_ARGS)
{
	Calendar *calendar = palloc0(sizeof(Calendar));

	for (int i = 0; i < 3; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("the %s of a calendar must not be NULL",
							i == 0	 ? "name"
							: i == 1 ? "time_zone"
									 : "hours")));
	calendar->name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	calendar->time_zone = zone_name(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	add_items(fcinfo, 2, calendar, "hours", calendar->hours, NULL);
	add_items(fcinfo, 3, calendar, "shifts", NULL, &calendar->shifts);
	add_items(fcinfo, 4, calendar, "breaks", calendar->weekly_breaks, &calendar->breaks);
	add_holiday_argument(fcinfo, 5, calendar);
	if (PG_ARGISNULL(6))
		set_default_horizon(calendar);
	else
	{
		calendar->known_until = PG_GETARG_DATEADT(6);
		if (calendar->known_until != DATEVAL_NOEND)
			check_date(calendar, "known_until", calendar->known_until);
	}
	finish_calendar(calendar);
	return calendar_as_value(calendar);
}

/*
 * Unions and intersections
 */

typedef struct Part
{
	Calendar	  *calendar;
	StringInfoData bytes;
} Part;

static int
compare_parts(const void *a, const void *b)
{
	const StringInfoData *bytes_a = &((const Part *) a)->bytes;
	const StringInfoData *bytes_b = &((const Part *) b)->bytes;
	int					  order = memcmp(bytes_a->data, bytes_b->data, Min(bytes_a->len, bytes_b->len));

	return order != 0 ? order : (bytes_a->len > bytes_b->len) - (bytes_a->len < bytes_b->len);
}

static int
depth_of(const Calendar *calendar)
{
	int depth = 0;

	for (int i = 0; i < calendar->part_count; i++)
		depth = Max(depth, 1 + depth_of(calendar->parts[i]));
	return depth;
}

/* Calendars combined: parts of the same kind count by their own parts, each once, in the order of their bytes. */
static Calendar *
combined(CalendarKind kind, Calendar **calendars, int count)
{
	Calendar *result = palloc0(sizeof(Calendar));
	Part	 *parts;
	int		  total = 0;
	int		  distinct = 0;

	for (int i = 0; i < count; i++)
		total += calendars[i]->kind == kind ? calendars[i]->part_count : 1;
	parts = palloc0(sizeof(Part) * total);
	total = 0;
	for (int i = 0; i < count; i++)
	{
		if (calendars[i]->kind != kind)
			parts[total++].calendar = calendars[i];
		else
			for (int j = 0; j < calendars[i]->part_count; j++)
				parts[total++].calendar = calendars[i]->parts[j];
	}
	for (int i = 0; i < total; i++)
	{
		initStringInfo(&parts[i].bytes);
		append_calendar(&parts[i].bytes, parts[i].calendar);
	}
	qsort(parts, total, sizeof(Part), compare_parts);
	for (int i = 0; i < total; i++)
		if (distinct == 0 || compare_parts(&parts[i], &parts[distinct - 1]) != 0)
			parts[distinct++] = parts[i];
	if (distinct == 1)
		return parts[0].calendar;
	result->kind = kind;
	result->part_count = distinct;
	result->parts = palloc(sizeof(Calendar *) * distinct);
	for (int i = 0; i < distinct; i++)
		result->parts[i] = parts[i].calendar;
	if (distinct > MAX_PARTS || depth_of(result) > MAX_DEPTH)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a union or intersection is of at most %d calendars, nested at most %d deep",
						MAX_PARTS,
						MAX_DEPTH)));
	return result;
}

static Datum
combination_value(FunctionCallInfo fcinfo, CalendarKind kind)
{
	Calendar *parts[2] = {decode_calendar(PG_GETARG_DATUM(0)), decode_calendar(PG_GETARG_DATUM(1))};

	return calendar_as_value(combined(kind, parts, 2));
}

Datum
revacct_calendar_union(PG_FUNCTION_ARGS)
{
	return combination_value(fcinfo, CALENDAR_UNION);
}

Datum
revacct_calendar_intersection(PG_FUNCTION_ARGS)
{
	return combination_value(fcinfo, CALENDAR_INTERSECTION);
}

/*
 * Text form
 *
 *	support: time_zone Europe/Berlin; hours mon-fri 09:00-17:00, sat 10:00-14:00; holidays 2025-12-25..2025-12-26
 *	union of: calendars "support: ...", "sales: ..."
 */

static const char *const union_words[] = {NULL, "union of", "intersection of"};

static void
append_time(StringInfo out, int64 time)
{
	appendStringInfo(out, "%02d:%02d", (int) (time / USECS_PER_HOUR), (int) (time / USECS_PER_MINUTE % MINS_PER_HOUR));
	if (time % USECS_PER_MINUTE != 0)
		appendStringInfo(out, ":%02d", (int) (time / USECS_PER_SEC % SECS_PER_MINUTE));
	if (time % USECS_PER_SEC != 0)
	{
		appendStringInfo(out, ".%06d", (int) (time % USECS_PER_SEC));
		while (out->data[out->len - 1] == '0')
			out->data[--out->len] = '\0';
	}
}

static void
append_row_text(StringInfo out, int64 opens, int64 closes)
{
	appendStringInfoChar(out, ' ');
	append_time(out, opens);
	appendStringInfoChar(out, '-');
	append_time(out, closes > USECS_PER_DAY ? closes - USECS_PER_DAY : closes);
}

/* A row longer than a day is written as two that overlap. */
static void
append_rows_text(StringInfo out, const RowList *list)
{
	for (int i = 0; i < list->count; i++)
	{
		OpenRow row = list->rows[i];

		if (row.closes - row.opens > USECS_PER_DAY)
		{
			append_row_text(out, row.opens, row.opens + USECS_PER_DAY);
			row.opens = row.closes - USECS_PER_DAY;
		}
		append_row_text(out, row.opens, row.closes);
	}
}

static void
append_weekdays(StringInfo out, int days)
{
	const char *gap = "";

	for (int day = 0; day < DAYS_PER_WEEK; day++)
	{
		int last = day;

		if (!(days & 1 << day))
			continue;
		while (last + 1 < DAYS_PER_WEEK && days & 1 << (last + 1))
			last++;
		appendStringInfo(out, "%s%.3s", gap, day_names[day]);
		gap = " ";
		if (last - day < 2)
			continue;
		appendStringInfo(out, "-%.3s", day_names[last]);
		day = last;
	}
}

/* Days with the same rows are one item. */
static void
append_week_text(StringInfo out, const RowList *week, const char **gap)
{
	int done = 0;

	for (int day = 0; day < DAYS_PER_WEEK; day++)
	{
		int days = 0;

		if (week[day].count == 0 || done & 1 << day)
			continue;
		for (int other = day; other < DAYS_PER_WEEK; other++)
			if (same_rows(&week[day], &week[other]))
				days |= 1 << other;
		done |= days;
		appendStringInfoString(out, *gap);
		append_weekdays(out, days);
		append_rows_text(out, &week[day]);
		*gap = ", ";
	}
}

static void
append_date_text(StringInfo out, DateADT date)
{
	int year;
	int month;
	int day;

	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	appendStringInfo(out, "%s%04d-%02d-%02d", year < 0 ? "-" : "", abs(year), month, day);
}

static void
append_date_range(StringInfo out, DateADT first, DateADT last, const char **gap)
{
	appendStringInfoString(out, *gap);
	append_date_text(out, first);
	if (last != first)
	{
		appendStringInfoString(out, "..");
		append_date_text(out, last);
	}
	*gap = ", ";
}

/* Dates one after the other with the same rows are one item. */
static void
append_dates_text(StringInfo out, const DatedLists *lists, const char **gap)
{
	for (int i = 0, last; i < lists->count; i = last + 1)
	{
		for (last = i; last + 1 < lists->count && lists->dates[last + 1].date == lists->dates[last].date + 1 &&
					   same_rows(&lists->dates[i].list, &lists->dates[last + 1].list);
			 last++)
			;
		append_date_range(out, lists->dates[i].date, lists->dates[last].date, gap);
		append_rows_text(out, &lists->dates[i].list);
	}
}

static void
append_holidays_text(StringInfo out, const Calendar *calendar)
{
	const char *gap = "; holidays ";

	for (int i = 0, last; i < calendar->holiday_count; i = last + 1)
	{
		for (last = i;
			 last + 1 < calendar->holiday_count && calendar->holidays[last + 1] == calendar->holidays[last] + 1;
			 last++)
			;
		append_date_range(out, calendar->holidays[i], calendar->holidays[last], &gap);
	}
}

static void
append_calendar_text(StringInfo out, const Calendar *calendar)
{
	const char *gap = "; hours ";

	if (calendar->kind != CALENDAR_HOURS)
	{
		appendStringInfo(out, "%s: calendars ", union_words[calendar->kind]);
		for (int i = 0; i < calendar->part_count; i++)
		{
			StringInfoData part;

			initStringInfo(&part);
			append_calendar_text(&part, calendar->parts[i]);
			appendStringInfoString(out, i > 0 ? ", " : "");
			append_name(out, part.data);
		}
		return;
	}
	append_name(out, calendar->name);
	appendStringInfoString(out, ": time_zone ");
	append_name(out, calendar->time_zone);
	append_week_text(out, calendar->hours, &gap);
	gap = "; shifts ";
	append_dates_text(out, &calendar->shifts, &gap);
	gap = "; breaks ";
	append_week_text(out, calendar->weekly_breaks, &gap);
	append_dates_text(out, &calendar->breaks, &gap);
	append_holidays_text(out, calendar);
	if (calendar->known_until != DATEVAL_NOEND)
	{
		appendStringInfoString(out, "; known_until ");
		append_date_text(out, calendar->known_until);
	}
	else if (calendar->holiday_count > 0)
		appendStringInfoString(out, "; known_until infinity");
}

/* The text form of a stored calendar. */
char *
calendar_text(const void *bytes, Size length)
{
	StringInfoData out;

	initStringInfo(&out);
	append_calendar_text(&out, decode_calendar_bytes(bytes, length, BYTES_STORED));
	return out.data;
}

Datum
revacct_calendar_out(PG_FUNCTION_ARGS)
{
	StringInfoData out;

	initStringInfo(&out);
	append_calendar_text(&out, decode_calendar(PG_GETARG_DATUM(0)));
	PG_RETURN_CSTRING(out.data);
}

static void
add_holiday_item(Calendar *calendar, const char *item)
{
	ItemReader reader = {calendar, "holidays", item, item};
	DateADT	   first;
	DateADT	   last;

	item_dates(&reader, &first, &last);
	if (*reader.p)
		reject_item(&reader);
	add_holidays(calendar, first, last);
}

static DateADT
horizon_item(const Calendar *calendar, const char *item)
{
	ItemReader reader = {calendar, "known_until", item, item};
	DateADT	   date;

	if (strcmp(item, "infinity") == 0)
		return DATEVAL_NOEND;
	date = item_date(&reader);
	if (*reader.p)
		reject_item(&reader);
	return date;
}

/* The clauses of a calendar of hours, each at most once. */
static void
parse_hours(TextReader *reader, Calendar *calendar)
{
	static const char *const keywords[] = {"time_zone", "hours", "shifts", "breaks", "holidays", "known_until", NULL};
	int						 seen = 0;
	bool					 horizon = false;

	do
	{
		const char *start;
		char	   *keyword;
		char	  **items;
		int			count;
		int			which = 0;

		reader->p++;
		keyword = parse_keyword(reader, &start);
		while (keywords[which] != NULL && strcmp(keyword, keywords[which]) != 0)
			which++;
		if (keywords[which] == NULL || seen & 1 << which)
			reject_text(reader, start);
		seen |= 1 << which;
		items = parse_items(reader, &count);
		if ((which == 0 || which == 5) && count != 1)
			reject_text(reader, start);
		for (int i = 0; i < count; i++)
		{
			if (which == 0)
				calendar->time_zone = zone_name(items[i]);
			else if (which == 1)
				add_item(calendar, keyword, items[i], calendar->hours, NULL);
			else if (which == 2)
				add_item(calendar, keyword, items[i], NULL, &calendar->shifts);
			else if (which == 3)
				add_item(calendar, keyword, items[i], calendar->weekly_breaks, &calendar->breaks);
			else if (which == 4)
				add_holiday_item(calendar, items[i]);
			else
			{
				calendar->known_until = horizon_item(calendar, items[i]);
				horizon = true;
			}
		}
	} while (*reader->p == ';');
	if (*reader->p != '\0' || !(seen & 1))
		reject_text(reader, reader->p);
	if (!horizon)
		set_default_horizon(calendar);
	finish_calendar(calendar);
}

static Calendar *parse_calendar(const char *text, int depth);

static Calendar *
parse_parts(TextReader *reader, CalendarKind kind, int depth)
{
	const char *start;
	char	  **items;
	int			count;
	Calendar  **parts;

	reader->p++;
	if (strcmp(parse_keyword(reader, &start), "calendars") != 0 || depth >= MAX_DEPTH)
		reject_text(reader, start);
	items = parse_items(reader, &count);
	if (*reader->p != '\0' || count > MAX_PARTS)
		reject_text(reader, reader->p);
	parts = palloc(sizeof(Calendar *) * count);
	for (int i = 0; i < count; i++)
		parts[i] = parse_calendar(items[i], depth + 1);
	return combined(kind, parts, count);
}

static Calendar *
parse_calendar(const char *text, int depth)
{
	TextReader reader = {text, text, TYPE_NAME, "Make a calendar with business_calendar(name, time_zone, hours, ...)."};
	Calendar  *calendar = palloc0(sizeof(Calendar));

	calendar->name = parse_name(&reader);
	if (*reader.p != ':')
		reject_text(&reader, reader.p);
	for (int kind = CALENDAR_UNION; kind <= CALENDAR_INTERSECTION; kind++)
		if (strcmp(calendar->name, union_words[kind]) == 0 && strncmp(skip_space(reader.p + 1), "calendars", 9) == 0)
			return parse_parts(&reader, kind, depth);
	parse_hours(&reader, calendar);
	return calendar;
}

/* Append the stored form of a calendar in text form, which may come from inside another text. */
void
append_calendar_of_text(StringInfo out, const char *text)
{
	append_calendar(out, parse_calendar(text, 0));
}

/* _calendar_name(calendar): NULL for a union or an intersection, which has none. */
Datum
revacct_calendar_name(PG_FUNCTION_ARGS)
{
	Calendar *calendar = decode_calendar(PG_GETARG_DATUM(0));

	if (calendar->kind != CALENDAR_HOURS)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(calendar->name));
}

Datum
revacct_calendar_in(PG_FUNCTION_ARGS)
{
	return calendar_as_value(parse_calendar(PG_GETARG_CSTRING(0), 0));
}

Datum
revacct_calendar_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	check_calendar_bytes(bytes.data, bytes.len, BYTES_RECEIVED);
	return bytes_as_varlena(&bytes);
}
