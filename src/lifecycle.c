/*
 * lifecycle.c
 *	  The definition of a funnel's stages and options as one immutable value.
 *
 * Stored: version byte, fingerprint (8 bytes, network order), then the definition:
 *
 *	name, time zone				each a varint length and bytes
 *	options						one byte each: skip, attempt, times, visits, unknown
 *	flags						1 within, 2 entry from, 4 entry to, 8 step_within, 16 marks, 32 calendar
 *	within						months, days, microseconds as zigzag varints
 *	entry from, entry to		zigzag varints, from inclusive, to exclusive
 *	stages						varint count, then for each: category byte, name, and with the marks flag a varint
 *								count and that many varints, ascending
 *	step_within					for each step a byte (1: a window follows) and the window
 *	calendar					with the calendar flag: a varint length and a stored calendar
 *
 * The fingerprint is the first 8 bytes of the definition's SHA-256: two definitions are the same if and only if their
 * fingerprints are. There is one form for each definition; whatever comes from outside is rebuilt and compared.
 */
#include "lifecycle.h"


#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#define TYPE_NAME "lifecycle"

#define HAS_WITHIN 0x01
#define HAS_ENTRY_FROM 0x02
#define HAS_ENTRY_TO 0x04
#define HAS_STEP_WITHIN 0x08
#define HAS_MARKS 0x10
#define HAS_CALENDAR 0x20

const char *const category_names[STAGE_CATEGORIES] = {
	"open",
	"active",
	"won",
	"lost",
	"no_decision",
	"recycled",
	"churned",
};

/* The words of each option, in the order of its enum. */
static const char *const skip_words[] = {"impute", "strict", "any", NULL};
static const char *const attempt_words[] = {"first", "last", "best", "all", NULL};
static const char *const times_words[] = {"nondecreasing", "increasing", NULL};
static const char *const visits_words[] = {"all", "first", "last", "cumulative", NULL};
static const char *const unknown_words[] = {"error", "count", NULL};

PG_FUNCTION_INFO_V1(revacct_lifecycle);
PG_FUNCTION_INFO_V1(revacct_lifecycle_in);
PG_FUNCTION_INFO_V1(revacct_lifecycle_out);
PG_FUNCTION_INFO_V1(revacct_lifecycle_recv);
PG_FUNCTION_INFO_V1(revacct_lifecycle_mark);
PG_FUNCTION_INFO_V1(revacct_lifecycle_entered);
PG_FUNCTION_INFO_V1(revacct_lifecycle_entered_any);
PG_FUNCTION_INFO_V1(revacct_lifecycle_current_stage);

/* Refuse a lifecycle; hint may be NULL. */
#define reject_lifecycle(lifecycle, message, hint) reject_definition(TYPE_NAME, (lifecycle)->name, message, hint)

/*
 * Windows
 */

/* Work out whether the window's end depends on the calendar. */
static void
resolve_window(Window *window, bool utc)
{
	window->calendar = window->set && (window->months != 0 || (window->days != 0 && !utc));
	if (pg_mul_s64_overflow(window->days, USECS_PER_DAY, &window->fixed) ||
		pg_add_s64_overflow(window->fixed, window->usecs, &window->fixed))
		window->fixed = PG_INT64_MAX;
}

/*
 * The last instant of the window that starts at start. A month later is the same local day and time in the lifecycle's
 * zone, clipped to the month's end; a day is a local day. Past the end of time it is the end of time.
 */
TimestampTz
window_end(const Window *window, const Lifecycle *lifecycle, TimestampTz start)
{
	TimestampTz	 end;
	struct pg_tm tm;
	fsec_t		 fsec;
	int			 offset;

	if (!window->set)
		return DT_NOEND;
	if (!window->calendar)
		return pg_add_s64_overflow(start, window->fixed, &end) ? DT_NOEND : end;

	if (timestamp2tm(start, &offset, &tm, &fsec, NULL, lifecycle->zone) != 0)
		return DT_NOEND;
	if (window->months != 0)
	{
		int64 month = (int64) tm.tm_year * MONTHS_PER_YEAR + (tm.tm_mon - 1) + window->months;

		if (month / MONTHS_PER_YEAR > JULIAN_MAXYEAR)
			return DT_NOEND;
		tm.tm_year = (int) (month / MONTHS_PER_YEAR) - (month % MONTHS_PER_YEAR < 0);
		tm.tm_mon = (int) (month - (int64) tm.tm_year * MONTHS_PER_YEAR) + 1;
		tm.tm_mday = Min(tm.tm_mday, day_tab[isleap(tm.tm_year)][tm.tm_mon - 1]);
	}
	if (window->days > PG_INT32_MAX / 2)
		return DT_NOEND;
	if (window->days != 0)
		j2date(date2j(tm.tm_year, tm.tm_mon, tm.tm_mday) + window->days, &tm.tm_year, &tm.tm_mon, &tm.tm_mday);
	offset = DetermineTimeZoneOffset(&tm, lifecycle->zone);
	if (tm2timestamp(&tm, fsec, &offset, &end) != 0 || pg_add_s64_overflow(end, window->usecs, &end))
		return DT_NOEND;
	return end;
}

/*
 * Checks and derived parts
 */

static void
check_stage_names(const Lifecycle *lifecycle)
{
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		const char *name = lifecycle->stages[i].name;

		if (*name == '\0' || strlen(name) > MAX_NAME_BYTES)
			reject_lifecycle(lifecycle,
							 psprintf("stage name \"%s\" must have 1 to %d bytes", name, MAX_NAME_BYTES),
							 NULL);
		for (int j = 0; j < i; j++)
			if (strcmp(name, lifecycle->stages[j].name) == 0)
				reject_lifecycle(lifecycle,
								 psprintf("stage \"%s\" is named twice", name),
								 "A stage has one place and one category.");
	}
}

static void
check_categories(Lifecycle *lifecycle)
{
	int counts[STAGE_CATEGORIES] = {0};

	for (int i = 0; i < lifecycle->stage_count; i++)
		counts[lifecycle->stages[i].category]++;
	lifecycle->won_step = counts[CATEGORY_WON] > 0 ? counts[CATEGORY_OPEN] + counts[CATEGORY_ACTIVE] : -1;
	lifecycle->step_count = counts[CATEGORY_OPEN] + counts[CATEGORY_ACTIVE] + counts[CATEGORY_WON];
	if (counts[CATEGORY_OPEN] + counts[CATEGORY_ACTIVE] == 0)
		reject_lifecycle(lifecycle, "a lifecycle needs at least one open or active stage", "Name them in stages.");
	if (counts[CATEGORY_WON] > 1)
		reject_lifecycle(lifecycle, "a lifecycle has at most one won stage", "Give it several marks instead.");
	if (counts[CATEGORY_WON] > 0 && counts[CATEGORY_ACTIVE] > 0)
		reject_lifecycle(lifecycle,
						 psprintf("won stage \"%s\" and active stages exclude each other",
								  lifecycle->stages[lifecycle->won_step].name),
						 "An attempt ends when it is won: describe life as a customer in a lifecycle of its own.");
	if (lifecycle->step_count > MAX_STEPS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a lifecycle has at most %d steps", MAX_STEPS),
				 errdetail("\"%s\" has %d open, active and won stages.", lifecycle->name, lifecycle->step_count)));
}

static bool
is_terminal(const Stage *stage)
{
	return stage->category >= FIRST_TERMINAL;
}

/* Find out which stage each mark means, and refuse marks that mean too much. */
static void
resolve_marks(Lifecycle *lifecycle)
{
	lifecycle->lookup_size = 0;
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		Stage *stage = &lifecycle->stages[i];

		if (stage->mark_count == 0)
			reject_lifecycle(lifecycle, psprintf("stage \"%s\" has no mark", stage->name), NULL);
		lifecycle->lookup_size = Max(lifecycle->lookup_size, stage->marks[stage->mark_count - 1] + 1);
	}
	lifecycle->stage_of_mark = palloc(sizeof(int16) * lifecycle->lookup_size);
	memset(lifecycle->stage_of_mark, 0xFF, sizeof(int16) * lifecycle->lookup_size);
	lifecycle->shared_marks = false;
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		Stage *stage = &lifecycle->stages[i];

		for (int m = 0; m < stage->mark_count; m++)
		{
			int16 *meaning = &lifecycle->stage_of_mark[stage->marks[m]];

			if (*meaning < 0)
				*meaning = i;
			else if (is_terminal(stage) || is_terminal(&lifecycle->stages[*meaning]) ||
					 lifecycle->skip != SKIP_STRICT || lifecycle->step_within != NULL)
				reject_lifecycle(
					lifecycle,
					psprintf("mark %d means both stage \"%s\" and stage \"%s\"",
							 stage->marks[m],
							 lifecycle->stages[*meaning].name,
							 stage->name),
					"Only open and active stages of a strict funnel without step_within may share a mark.");
			else
				lifecycle->shared_marks = true;
		}
	}
	if (lifecycle->shared_marks)
	{
		lifecycle->steps_of_mark = palloc0(sizeof(uint64) * lifecycle->lookup_size);
		for (int i = 0; i < lifecycle->step_count; i++)
			for (int m = 0; m < lifecycle->stages[i].mark_count; m++)
				lifecycle->steps_of_mark[lifecycle->stages[i].marks[m]] |= UINT64CONST(1) << i;
	}
	lifecycle->marks_in_stage_order = !lifecycle->shared_marks;
	for (int m = 0, last = 0; m < lifecycle->lookup_size; m++)
	{
		if (lifecycle->stage_of_mark[m] < 0)
			continue;
		lifecycle->marks_in_stage_order &= lifecycle->stage_of_mark[m] >= last;
		last = lifecycle->stage_of_mark[m];
	}
}

static void
check_window(const Lifecycle *lifecycle, const Window *window, const char *option)
{
	if (window->set && (window->months < 0 || window->days < 0 || window->usecs < 0))
		reject_lifecycle(lifecycle, psprintf("%s must not be negative", option), NULL);
}

/* What says nothing is left out, so that it makes no other definition: the first step's window, windows none of which is set. */
static void
finish_step_windows(Lifecycle *lifecycle, bool utc)
{
	bool any = false;

	if (lifecycle->step_within == NULL)
		return;
	memset(&lifecycle->step_within[0], 0, sizeof(Window));
	for (int i = 1; i < lifecycle->step_count; i++)
	{
		check_window(lifecycle, &lifecycle->step_within[i], "step_within");
		resolve_window(&lifecycle->step_within[i], utc);
		any |= lifecycle->step_within[i].set;
	}
	if (!any)
		lifecycle->step_within = NULL;
}

/*
 * Check a definition whose stated part is filled in, and derive the rest. Every lifecycle passes here, whether it comes
 * from arguments, text or bytes.
 */
static void
finish_lifecycle(Lifecycle *lifecycle)
{
	bool utc;

	if (*lifecycle->name == '\0' || strlen(lifecycle->name) > MAX_NAME_BYTES)
		reject_lifecycle(lifecycle, psprintf("the name of a lifecycle must have 1 to %d bytes", MAX_NAME_BYTES), NULL);
	lifecycle->zone = checked_zone(TYPE_NAME, lifecycle->name, lifecycle->time_zone);
	utc = strcmp(lifecycle->time_zone, "UTC") == 0;

	check_stage_names(lifecycle);
	check_categories(lifecycle);
	check_window(lifecycle, &lifecycle->within, "within");
	resolve_window(&lifecycle->within, utc);
	finish_step_windows(lifecycle, utc);
	if (lifecycle->entry_from >= lifecycle->entry_to)
		reject_lifecycle(lifecycle, "entry_range is empty", "No entry would count.");
	resolve_marks(lifecycle);
}

/*
 * Bytes
 */

static void
append_window(StringInfo out, const Window *window)
{
	append_varint(out, zigzag(window->months));
	append_varint(out, zigzag(window->days));
	append_varint(out, zigzag(window->usecs));
}

static void
append_definition(StringInfo out, const Lifecycle *lifecycle)
{
	append_text(out, lifecycle->name);
	append_text(out, lifecycle->time_zone);
	appendStringInfoChar(out, lifecycle->skip);
	appendStringInfoChar(out, lifecycle->attempt);
	appendStringInfoChar(out, lifecycle->times);
	appendStringInfoChar(out, lifecycle->visits);
	appendStringInfoChar(out, lifecycle->unknown);
	appendStringInfoChar(out,
						 (lifecycle->within.set ? HAS_WITHIN : 0) |
							 (lifecycle->entry_from != DT_NOBEGIN ? HAS_ENTRY_FROM : 0) |
							 (lifecycle->entry_to != DT_NOEND ? HAS_ENTRY_TO : 0) |
							 (lifecycle->step_within ? HAS_STEP_WITHIN : 0) |
							 (lifecycle->explicit_marks ? HAS_MARKS : 0) | (lifecycle->calendar ? HAS_CALENDAR : 0));
	if (lifecycle->within.set)
		append_window(out, &lifecycle->within);
	if (lifecycle->entry_from != DT_NOBEGIN)
		append_varint(out, zigzag(lifecycle->entry_from));
	if (lifecycle->entry_to != DT_NOEND)
		append_varint(out, zigzag(lifecycle->entry_to));
	append_varint(out, lifecycle->stage_count);
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		const Stage *stage = &lifecycle->stages[i];

		appendStringInfoChar(out, stage->category);
		append_text(out, stage->name);
		if (!lifecycle->explicit_marks)
			continue;
		append_varint(out, stage->mark_count);
		for (int m = 0; m < stage->mark_count; m++)
			append_varint(out, stage->marks[m]);
	}
	for (int i = 0; lifecycle->step_within != NULL && i < lifecycle->step_count; i++)
	{
		appendStringInfoChar(out, lifecycle->step_within[i].set);
		if (lifecycle->step_within[i].set)
			append_window(out, &lifecycle->step_within[i]);
	}
	if (lifecycle->calendar != NULL)
	{
		append_varint(out, lifecycle->calendar_length);
		appendBinaryStringInfo(out, lifecycle->calendar, lifecycle->calendar_length);
	}
}

static void
append_lifecycle(StringInfo out, const Lifecycle *lifecycle)
{
	StringInfoData definition;

	initStringInfo(&definition);
	append_definition(&definition, lifecycle);
	append_fingerprinted(out, &definition);
}

static Datum
lifecycle_as_value(const Lifecycle *lifecycle)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_lifecycle(&bytes, lifecycle);
	return bytes_as_varlena(&bytes);
}

static void
read_window(ByteReader *reader, Window *window)
{
	window->set = true;
	window->months = (int32) unzigzag(read_bounded(reader, PG_UINT32_MAX));
	window->days = (int32) unzigzag(read_bounded(reader, PG_UINT32_MAX));
	window->usecs = unzigzag(read_varint(reader));
}

static void
read_stage(ByteReader *reader, Lifecycle *lifecycle, int i)
{
	Stage *stage = &lifecycle->stages[i];

	stage->category = read_byte(reader);
	if (stage->category >= STAGE_CATEGORIES || (i > 0 && stage->category < stage[-1].category))
		broken(reader);
	stage->name = read_text(reader);
	stage->mark_count = lifecycle->explicit_marks ? (int) read_bounded(reader, MAX_MARK_ID) : 1;
	stage->marks = palloc(sizeof(uint16) * Max(stage->mark_count, 1));
	stage->marks[0] = i + 1;
	for (int m = 0; lifecycle->explicit_marks && m < stage->mark_count; m++)
	{
		stage->marks[m] = read_bounded(reader, MAX_MARK_ID);
		if (stage->marks[m] == UNKNOWN_MARK || (m > 0 && stage->marks[m] <= stage->marks[m - 1]))
			broken(reader);
	}
}

/* Keep a stored calendar. */
static void
set_calendar(Lifecycle *lifecycle, const void *bytes, Size length)
{
	void *copy = palloc(Max(length, 1));

	memcpy(copy, bytes, length);
	lifecycle->calendar = copy;
	lifecycle->calendar_length = length;
}

/* A lifecycle's calendar, ready for questions; NULL if it has none. */
OpenTime *
lifecycle_open_time(Lifecycle *lifecycle)
{
	if (lifecycle->open == NULL && lifecycle->calendar != NULL)
		lifecycle->open =
			open_time_of(lifecycle->calendar, lifecycle->calendar_length, GetMemoryChunkContext(lifecycle));
	return lifecycle->open;
}

/* Read and check a definition, in the current memory context. */
static Lifecycle *
read_lifecycle(ByteReader reader)
{
	Lifecycle *lifecycle = palloc0(sizeof(Lifecycle));
	uint8	   flags;
	int		   steps = 0;

	lifecycle->fingerprint = read_fingerprint(&reader);
	lifecycle->name = read_text(&reader);
	lifecycle->time_zone = read_text(&reader);
	if (strcmp(lifecycle->time_zone, zone_name(lifecycle->time_zone)) != 0)
		broken(&reader);
	lifecycle->skip = read_word(&reader, skip_words);
	lifecycle->attempt = read_word(&reader, attempt_words);
	lifecycle->times = read_word(&reader, times_words);
	lifecycle->visits = read_word(&reader, visits_words);
	lifecycle->unknown = read_word(&reader, unknown_words);
	flags = read_byte(&reader);
	if (flags >= HAS_CALENDAR << 1)
		broken(&reader);
	lifecycle->explicit_marks = (flags & HAS_MARKS) != 0;
	if (flags & HAS_WITHIN)
		read_window(&reader, &lifecycle->within);
	lifecycle->entry_from = flags & HAS_ENTRY_FROM ? unzigzag(read_varint(&reader)) : DT_NOBEGIN;
	lifecycle->entry_to = flags & HAS_ENTRY_TO ? unzigzag(read_varint(&reader)) : DT_NOEND;
	lifecycle->stage_count = (int) read_bounded(&reader, MAX_STAGES);
	lifecycle->stages = palloc0(sizeof(Stage) * Max(lifecycle->stage_count, 1));
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		read_stage(&reader, lifecycle, i);
		steps += lifecycle->stages[i].category <= CATEGORY_WON;
	}
	if (flags & HAS_STEP_WITHIN)
	{
		lifecycle->step_within = palloc0(sizeof(Window) * Max(steps, 1));
		for (int i = 0; i < steps; i++)
			if (read_byte(&reader))
				read_window(&reader, &lifecycle->step_within[i]);
	}
	if (flags & HAS_CALENDAR)
	{
		Size length = read_bounded(&reader, reader.end - reader.p);

		set_calendar(lifecycle, read_bytes(&reader, length), length);
	}
	if (reader.p != reader.end)
		broken(&reader);
	finish_lifecycle(lifecycle);
	return lifecycle;
}

/* Refuse bytes that are not exactly what would be written. */
static void
check_canonical(ByteReader reader)
{
	Lifecycle	  *lifecycle = read_lifecycle(reader);
	StringInfoData again;

	if (lifecycle->calendar != NULL)
		check_calendar_bytes(lifecycle->calendar, lifecycle->calendar_length, reader.source);
	initStringInfo(&again);
	append_lifecycle(&again, lifecycle);
	if (again.len != reader.end - reader.p || memcmp(again.data, reader.p, again.len) != 0)
		broken(&reader);
}

/* Refuse bytes of a lifecycle inside some other value that came from outside. */
void
check_lifecycle_bytes(const char *bytes, Size length, ByteSource source)
{
	ByteReader reader = {(const uint8 *) bytes, (const uint8 *) bytes + length, TYPE_NAME, source};

	check_canonical(reader);
}

/* The lifecycle in some bytes, in the current memory context. */
Lifecycle *
decode_lifecycle_bytes(const void *bytes, Size length, ByteSource source)
{
	ByteReader reader = {bytes, (const uint8 *) bytes + length, TYPE_NAME, source};

	return read_lifecycle(reader);
}

/* The lifecycle in a value, in the current memory context. */
Lifecycle *
decode_lifecycle(Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, TYPE_NAME);
	return read_lifecycle(reader);
}

/*
 * What a call site keeps
 */

CallCache *
new_call_cache(FunctionCallInfo fcinfo)
{
	CallCache *cache = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(CallCache));

	cache->history.context = fcinfo->flinfo->fn_mcxt;
	fcinfo->flinfo->fn_extra = cache;
	return cache;
}

/* Read a lifecycle for the rows to come. */
void
cache_lifecycle(CallCache *cache, FunctionCallInfo fcinfo, Datum datum)
{
	MemoryContext old_context;

	cache->lifecycle = NULL;
	if (cache->lifecycle_context == NULL)
		cache->lifecycle_context =
			AllocSetContextCreate(fcinfo->flinfo->fn_mcxt, "revacct lifecycle", ALLOCSET_SMALL_SIZES);
	else
		MemoryContextReset(cache->lifecycle_context);
	cache->fingerprint = definition_fingerprint(datum, &cache->length);
	old_context = MemoryContextSwitchTo(cache->lifecycle_context);
	cache->lifecycle = decode_lifecycle(datum);
	MemoryContextSwitchTo(old_context);
}

/* The index of the stage of that name, or -1. */
static int
find_stage(const Lifecycle *lifecycle, const char *name)
{
	for (int i = 0; i < lifecycle->stage_count; i++)
		if (strcmp(lifecycle->stages[i].name, name) == 0)
			return i;
	return -1;
}

static void
reject_stage(const Lifecycle *lifecycle, const char *name, const char *what, const char *hint)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < lifecycle->stage_count; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", lifecycle->stages[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("stage \"%s\" is not %s of lifecycle \"%s\"", name, what, lifecycle->name),
			 errdetail("Its stages are %s.", names.data),
			 hint ? errhint("%s", hint) : 0));
}

/* The index of the stage of that name; it is an error if there is none. */
int
stage_by_name(const Lifecycle *lifecycle, const char *name)
{
	int stage = find_stage(lifecycle, name);

	if (stage < 0)
		reject_stage(lifecycle, name, "a stage", NULL);
	return stage;
}

/* The same among the steps: open, active and won stages. */
int
step_by_name(const Lifecycle *lifecycle, const char *name)
{
	int stage = find_stage(lifecycle, name);

	if (stage < 0 || stage >= lifecycle->step_count)
		reject_stage(lifecycle, name, "a step", "Steps are the open, active and won stages.");
	return stage;
}

/*
 * Making one from arguments
 */

static void
add_stage(Lifecycle *lifecycle, const char *name, StageCategory category)
{
	if (lifecycle->stage_count >= MAX_STAGES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("a lifecycle has at most %d stages", MAX_STAGES)));
	if (lifecycle->stages == NULL)
		lifecycle->stages = palloc0(sizeof(Stage) * MAX_STAGES);
	lifecycle->stages[lifecycle->stage_count].name = name;
	lifecycle->stages[lifecycle->stage_count++].category = category;
}

static void
add_stages(Lifecycle *lifecycle, FunctionCallInfo fcinfo, int argno, StageCategory category, const char *option)
{
	int	   count;
	char **names;

	if (PG_ARGISNULL(argno))
		return;
	names = text_array(fcinfo, argno, option, &count);
	for (int i = 0; i < count; i++)
		add_stage(lifecycle, names[i], category);
}

static int
word_argument(const Lifecycle *lifecycle, FunctionCallInfo fcinfo, int argno, const char *option,
			  const char *const *words)
{
	if (PG_ARGISNULL(argno))
		reject_lifecycle(lifecycle, psprintf("option %s must not be NULL", option), "Leave it out for its default.");
	return word_index(TYPE_NAME, lifecycle->name, option, text_to_cstring(PG_GETARG_TEXT_PP(argno)), words);
}

/* The mark ids in a list such as "1 5". */
static void
parse_mark_list(const Lifecycle *lifecycle, Stage *stage, const char *list)
{
	int repeated;

	stage->mark_count = parse_mark_ids(list, &stage->marks, &repeated);
	if (stage->mark_count < 0)
		reject_lifecycle(lifecycle,
						 psprintf("marks of stage \"%s\" must be numbers from 1 to %d, not \"%s\"",
								  stage->name,
								  MAX_MARK_ID,
								  list),
						 "Separate several marks of one stage by spaces.");
	if (repeated != 0)
		reject_lifecycle(lifecycle, psprintf("stage \"%s\" names mark %d twice", stage->name, repeated), NULL);
}

/* One list for each stage; without lists, the stage numbered n is mark n. */
static void
set_marks(Lifecycle *lifecycle, char **lists, int count)
{
	bool numbered = true;

	if (lists != NULL && count != lifecycle->stage_count)
		reject_lifecycle(lifecycle,
						 psprintf("marks has %d lists for %d stages", count, lifecycle->stage_count),
						 "Give one list for each stage, in stage order.");
	for (int i = 0; i < lifecycle->stage_count; i++)
	{
		Stage *stage = &lifecycle->stages[i];

		parse_mark_list(lifecycle, stage, lists != NULL ? lists[i] : psprintf("%d", i + 1));
		numbered &= stage->mark_count == 1 && stage->marks[0] == i + 1;
	}
	lifecycle->explicit_marks = !numbered;
}

static void
set_window(Window *window, const Interval *interval)
{
	window->set = true;
	window->months = interval->month;
	window->days = interval->day;
	window->usecs = interval->time;
}

static void
set_step_within(Lifecycle *lifecycle, FunctionCallInfo fcinfo, int argno)
{
	Datum *elements;
	bool  *nulls;
	int	   count;
	int	   steps = 0;

	for (int i = 0; i < lifecycle->stage_count; i++)
		steps += lifecycle->stages[i].category <= CATEGORY_WON;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno),
					  INTERVALOID,
					  sizeof(Interval),
					  false,
					  TYPALIGN_DOUBLE,
					  &elements,
					  &nulls,
					  &count);
	if (count != steps)
		reject_lifecycle(lifecycle,
						 psprintf("step_within has %d intervals for %d steps", count, steps),
						 "Give one for each open, active and won stage; the first is ignored, NULL is no limit.");
	lifecycle->step_within = palloc0(sizeof(Window) * Max(steps, 1));
	for (int i = 1; i < count; i++)
		if (!nulls[i])
			set_window(&lifecycle->step_within[i], DatumGetIntervalP(elements[i]));
}

/* A timestamp range as [from, to): instants are whole microseconds. */
static void
set_entry_range(Lifecycle *lifecycle, FunctionCallInfo fcinfo, int argno)
{
	RangeType	   *range = PG_GETARG_RANGE_P(argno);
	TypeCacheEntry *type = range_get_typcache(fcinfo, RangeTypeGetOid(range));
	RangeBound		lower;
	RangeBound		upper;
	bool			empty;

	range_deserialize(type, range, &lower, &upper, &empty);
	if (empty)
		reject_lifecycle(lifecycle, "entry_range is empty", "No entry would count.");
	lifecycle->entry_from = range_bound_instant(&lower, !lower.inclusive, DT_NOBEGIN);
	lifecycle->entry_to = range_bound_instant(&upper, upper.inclusive, DT_NOEND);
}

static Lifecycle *
empty_lifecycle(const char *name)
{
	Lifecycle *lifecycle = palloc0(sizeof(Lifecycle));

	lifecycle->name = name;
	lifecycle->time_zone = "UTC";
	lifecycle->attempt = ATTEMPT_BEST;
	lifecycle->entry_from = DT_NOBEGIN;
	lifecycle->entry_to = DT_NOEND;
	return lifecycle;
}

/*
 * lifecycle(name, stages, active, won, lost, no_decision, recycled, churned, marks, skip, attempt, within, step_within,
 * times, entry_range, visits, unknown, time_zone, calendar)
 */
Datum
revacct_lifecycle(PG_FUNCTION_ARGS)
{
	Lifecycle *lifecycle;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the name of a lifecycle must not be NULL")));
	lifecycle = empty_lifecycle(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	add_stages(lifecycle, fcinfo, 1, CATEGORY_OPEN, "stages");
	add_stages(lifecycle, fcinfo, 2, CATEGORY_ACTIVE, "active");
	if (!PG_ARGISNULL(3))
	{
		char *won = text_to_cstring(PG_GETARG_TEXT_PP(3));

		if (won[0] == '{' && won[strlen(won) - 1] == '}')
			reject_lifecycle(lifecycle,
							 psprintf("won is one stage, not the array \"%s\"", won),
							 "Write the name of the stage without braces; several marks can mean it, by marks.");
		add_stage(lifecycle, won, CATEGORY_WON);
	}
	add_stages(lifecycle, fcinfo, 4, CATEGORY_LOST, "lost");
	add_stages(lifecycle, fcinfo, 5, CATEGORY_NO_DECISION, "no_decision");
	add_stages(lifecycle, fcinfo, 6, CATEGORY_RECYCLED, "recycled");
	add_stages(lifecycle, fcinfo, 7, CATEGORY_CHURNED, "churned");
	if (PG_ARGISNULL(8))
		set_marks(lifecycle, NULL, 0);
	else
	{
		int	   count;
		char **lists = text_array(fcinfo, 8, "marks", &count);

		set_marks(lifecycle, lists, count);
	}
	lifecycle->skip = word_argument(lifecycle, fcinfo, 9, "skip", skip_words);
	lifecycle->attempt = word_argument(lifecycle, fcinfo, 10, "attempt", attempt_words);
	if (!PG_ARGISNULL(11))
		set_window(&lifecycle->within, PG_GETARG_INTERVAL_P(11));
	if (!PG_ARGISNULL(12))
		set_step_within(lifecycle, fcinfo, 12);
	lifecycle->times = word_argument(lifecycle, fcinfo, 13, "times", times_words);
	if (!PG_ARGISNULL(14))
		set_entry_range(lifecycle, fcinfo, 14);
	lifecycle->visits = word_argument(lifecycle, fcinfo, 15, "visits", visits_words);
	lifecycle->unknown = word_argument(lifecycle, fcinfo, 16, "unknown", unknown_words);
	if (!PG_ARGISNULL(17))
		lifecycle->time_zone = zone_name(text_to_cstring(PG_GETARG_TEXT_PP(17)));
	if (!PG_ARGISNULL(18))
	{
		ByteReader reader;

		reader_over_datum(&reader, PG_GETARG_DATUM(18), "business_calendar");
		set_calendar(lifecycle, reader.p, reader.end - reader.p);
	}
	finish_lifecycle(lifecycle);
	return lifecycle_as_value(lifecycle);
}

/*
 * Text form
 *
 *	inbound: stages lead, mql; won customer; lost disqualified; skip impute; attempt best; ...
 */

static const char *const clause_of_category[STAGE_CATEGORIES] = {
	"stages",
	"active",
	"won",
	"lost",
	"no_decision",
	"recycled",
	"churned",
};

static void
append_window_text(StringInfo out, const Window *window)
{
	const char *gap = "";

	if (!window->set)
	{
		appendStringInfoChar(out, '-');
		return;
	}
	if (window->months != 0)
	{
		appendStringInfo(out, "%d months", window->months);
		gap = " ";
	}
	if (window->days != 0)
	{
		appendStringInfo(out, "%s%d days", gap, window->days);
		gap = " ";
	}
	if (window->usecs % USECS_PER_SEC != 0)
		appendStringInfo(out, "%s" INT64_FORMAT " microseconds", gap, window->usecs);
	else if (window->usecs != 0 || *gap == '\0')
		appendStringInfo(out, "%s" INT64_FORMAT " seconds", gap, window->usecs / USECS_PER_SEC);
}

static void
append_stages_text(StringInfo out, const Lifecycle *lifecycle)
{
	for (int category = 0; category < STAGE_CATEGORIES; category++)
	{
		const char *gap = NULL;

		for (int i = 0; i < lifecycle->stage_count; i++)
		{
			if ((int) lifecycle->stages[i].category != category)
				continue;
			if (gap == NULL)
				appendStringInfo(out, "%s %s ", category == 0 || i == 0 ? "" : ";", clause_of_category[category]);
			else
				appendStringInfoString(out, gap);
			append_name(out, lifecycle->stages[i].name);
			gap = ", ";
		}
	}
}

Datum
revacct_lifecycle_out(PG_FUNCTION_ARGS)
{
	Lifecycle	  *lifecycle = decode_lifecycle(PG_GETARG_DATUM(0));
	StringInfoData out;

	initStringInfo(&out);
	append_name(&out, lifecycle->name);
	appendStringInfoChar(&out, ':');
	append_stages_text(&out, lifecycle);
	appendStringInfo(&out,
					 "; skip %s; attempt %s; times %s; visits %s; unknown %s",
					 skip_words[lifecycle->skip],
					 attempt_words[lifecycle->attempt],
					 times_words[lifecycle->times],
					 visits_words[lifecycle->visits],
					 unknown_words[lifecycle->unknown]);
	if (lifecycle->within.set)
	{
		appendStringInfoString(&out, "; within ");
		append_window_text(&out, &lifecycle->within);
	}
	for (int i = 0; lifecycle->step_within != NULL && i < lifecycle->step_count; i++)
	{
		appendStringInfoString(&out, i == 0 ? "; step_within " : ", ");
		append_window_text(&out, &lifecycle->step_within[i]);
	}
	if (lifecycle->entry_from != DT_NOBEGIN)
	{
		appendStringInfoString(&out, "; entry_from \"");
		append_instant(&out, lifecycle->entry_from);
		appendStringInfoChar(&out, '"');
	}
	if (lifecycle->entry_to != DT_NOEND)
	{
		appendStringInfoString(&out, "; entry_before \"");
		append_instant(&out, lifecycle->entry_to);
		appendStringInfoChar(&out, '"');
	}
	for (int i = 0; lifecycle->explicit_marks && i < lifecycle->stage_count; i++)
	{
		appendStringInfoString(&out, i == 0 ? "; marks" : ",");
		for (int m = 0; m < lifecycle->stages[i].mark_count; m++)
			appendStringInfo(&out, " %d", lifecycle->stages[i].marks[m]);
	}
	if (strcmp(lifecycle->time_zone, "UTC") != 0)
	{
		appendStringInfoString(&out, "; time_zone ");
		append_name(&out, lifecycle->time_zone);
	}
	if (lifecycle->calendar != NULL)
	{
		appendStringInfoString(&out, "; calendar ");
		append_name(&out, calendar_text(lifecycle->calendar, lifecycle->calendar_length));
	}
	PG_RETURN_CSTRING(out.data);
}

static void
parse_window(const TextReader *reader, const char *item, Window *window)
{
	const char *p = item;
	int			field = 0; /* the last one read: months, days, then one of the others */

	if (strcmp(item, "-") == 0)
		return;
	window->set = true;
	while (*(p = skip_space(p)))
	{
		char *end;
		int64 amount;

		errno = 0;
		amount = strtoi64(p, &end, 10);
		if (end == p || errno != 0)
			reject_text(reader, item);
		p = skip_space(end);
		if (strncmp(p, "months", 6) == 0 && field < 1 && amount == (int32) amount)
			window->months = (int32) amount, p += 6, field = 1;
		else if (strncmp(p, "days", 4) == 0 && field < 2 && amount == (int32) amount)
			window->days = (int32) amount, p += 4, field = 2;
		else if (strncmp(p, "seconds", 7) == 0 && field < 3 &&
				 !pg_mul_s64_overflow(amount, USECS_PER_SEC, &window->usecs))
			p += 7, field = 3;
		else if (strncmp(p, "microseconds", 12) == 0 && field < 3)
			window->usecs = amount, p += 12, field = 3;
		else
			reject_text(reader, item);
	}
}

static TimestampTz
parse_entry(const TextReader *reader, const char *item)
{
	TimestampTz at;
	const char *end = parse_instant(item, &at);

	if (end == NULL || *end != '\0')
		reject_text(reader, item);
	return at;
}

typedef struct Clauses
{
	char		 **marks;
	int			   mark_lists;
	char		 **step_within;
	int			   step_windows;
	StringInfoData seen; /* keywords, each between spaces */
} Clauses;

/* One clause: its keyword, a space, its items. */
static void
parse_clause(TextReader *reader, Lifecycle *lifecycle, Clauses *later)
{
	const char *start;
	char	   *keyword = parse_keyword(reader, &start);
	char	  **items;
	int			count;

	if (strstr(later->seen.data, psprintf(" %s ", keyword)) != NULL)
		reject_text(reader, start);
	appendStringInfo(&later->seen, " %s ", keyword);
	items = parse_items(reader, &count);
	for (int category = 0; category < STAGE_CATEGORIES; category++)
	{
		if (strcmp(keyword, clause_of_category[category]) != 0)
			continue;
		if (lifecycle->stage_count > 0 && (int) lifecycle->stages[lifecycle->stage_count - 1].category >= category)
			reject_text(reader, start);
		for (int i = 0; i < count; i++)
			add_stage(lifecycle, items[i], category);
		return;
	}
	if (strcmp(keyword, "marks") == 0)
	{
		later->marks = items;
		later->mark_lists = count;
	}
	else if (strcmp(keyword, "step_within") == 0)
	{
		later->step_within = items;
		later->step_windows = count;
	}
	else if (count != 1)
		reject_text(reader, start);
	else if (strcmp(keyword, "skip") == 0)
		lifecycle->skip = word_index(TYPE_NAME, lifecycle->name, keyword, items[0], skip_words);
	else if (strcmp(keyword, "attempt") == 0)
		lifecycle->attempt = word_index(TYPE_NAME, lifecycle->name, keyword, items[0], attempt_words);
	else if (strcmp(keyword, "times") == 0)
		lifecycle->times = word_index(TYPE_NAME, lifecycle->name, keyword, items[0], times_words);
	else if (strcmp(keyword, "visits") == 0)
		lifecycle->visits = word_index(TYPE_NAME, lifecycle->name, keyword, items[0], visits_words);
	else if (strcmp(keyword, "unknown") == 0)
		lifecycle->unknown = word_index(TYPE_NAME, lifecycle->name, keyword, items[0], unknown_words);
	else if (strcmp(keyword, "within") == 0)
		parse_window(reader, items[0], &lifecycle->within);
	else if (strcmp(keyword, "entry_from") == 0)
		lifecycle->entry_from = parse_entry(reader, items[0]);
	else if (strcmp(keyword, "entry_before") == 0)
		lifecycle->entry_to = parse_entry(reader, items[0]);
	else if (strcmp(keyword, "time_zone") == 0)
		lifecycle->time_zone = zone_name(items[0]);
	else if (strcmp(keyword, "calendar") == 0)
	{
		StringInfoData bytes;

		initStringInfo(&bytes);
		append_calendar_of_text(&bytes, items[0]);
		set_calendar(lifecycle, bytes.data, bytes.len);
	}
	else
		reject_text(reader, start);
}

Datum
revacct_lifecycle_in(PG_FUNCTION_ARGS)
{
	TextReader reader = {
		PG_GETARG_CSTRING(0),
		PG_GETARG_CSTRING(0),
		TYPE_NAME,
		"Make a lifecycle with the function lifecycle(name, stages => ..., won => ..., ...).",
	};
	Lifecycle *lifecycle = empty_lifecycle(parse_name(&reader));
	Clauses	   later = {0};
	int		   steps = 0;

	initStringInfo(&later.seen);
	if (*reader.p != ':')
		reject_text(&reader, reader.p);
	do
	{
		reader.p++;
		parse_clause(&reader, lifecycle, &later);
	} while (*reader.p == ';');
	if (*reader.p != '\0')
		reject_text(&reader, reader.p);
	set_marks(lifecycle, later.marks, later.mark_lists);
	for (int i = 0; i < lifecycle->stage_count; i++)
		steps += lifecycle->stages[i].category <= CATEGORY_WON;
	if (later.step_within != NULL)
	{
		if (later.step_windows != steps)
			reject_text(&reader, later.step_within[0]);
		lifecycle->step_within = palloc0(sizeof(Window) * steps);
		for (int i = 0; i < steps; i++)
			parse_window(&reader, later.step_within[i], &lifecycle->step_within[i]);
	}
	finish_lifecycle(lifecycle);
	return lifecycle_as_value(lifecycle);
}

Datum
revacct_lifecycle_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	check_lifecycle_bytes(bytes.data, bytes.len, BYTES_RECEIVED);
	return bytes_as_varlena(&bytes);
}

/*
 * Questions
 */

/* The mark of a stage, by name; an unknown stage is an error, or UNKNOWN_MARK if the lifecycle counts those. */
Datum
revacct_lifecycle_mark(PG_FUNCTION_ARGS)
{
	Lifecycle  *lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(0));
	text	   *argument = PG_GETARG_TEXT_PP(1);
	const char *name = VARDATA_ANY(argument);
	Size		len = VARSIZE_ANY_EXHDR(argument);

	for (int i = 0; i < lifecycle->stage_count; i++)
		if (strncmp(lifecycle->stages[i].name, name, len) == 0 && lifecycle->stages[i].name[len] == '\0')
			PG_RETURN_INT32(lifecycle->stages[i].marks[0]);
	if (lifecycle->unknown == UNKNOWN_ERROR)
		reject_stage(lifecycle,
					 text_to_cstring(argument),
					 "a stage",
					 "Add the stage, or make the lifecycle with unknown => 'count' to count such marks apart.");
	PG_RETURN_INT32(UNKNOWN_MARK);
}

/* Is this one of the marks of a stage? Several stages may share it. */
static inline bool
means_stage(const Lifecycle *lifecycle, int mark, int stage)
{
	if (stage_of_mark(lifecycle, mark) == stage)
		return true;
	return lifecycle->shared_marks && stage < lifecycle->step_count && mark < lifecycle->lookup_size &&
		   (lifecycle->steps_of_mark[mark] & (UINT64CONST(1) << stage)) != 0;
}

/* entered(journey, lifecycle, stage): the first time a mark of the stage was set. */
Datum
revacct_lifecycle_entered(PG_FUNCTION_ARGS)
{
	Lifecycle *lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(1));
	int		   stage = stage_by_name(lifecycle, text_to_cstring(PG_GETARG_TEXT_PP(2)));
	History	  *history = &call_cache(fcinfo)->history;

	read_history(history, PG_GETARG_DATUM(0));
	for (int i = 0; i < history->count; i++)
		if (means_stage(lifecycle, history->mark[i], stage))
			PG_RETURN_TIMESTAMPTZ(history->at[i]);
	PG_RETURN_NULL();
}

/* entered(journey, lifecycle): the first mark of any stage of the lifecycle. */
Datum
revacct_lifecycle_entered_any(PG_FUNCTION_ARGS)
{
	Lifecycle *lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(1));
	History	  *history = &call_cache(fcinfo)->history;

	read_history(history, PG_GETARG_DATUM(0));
	for (int i = 0; i < history->count; i++)
		if (stage_of_mark(lifecycle, history->mark[i]) >= 0)
			PG_RETURN_TIMESTAMPTZ(history->at[i]);
	PG_RETURN_NULL();
}

/* current_stage(journey, lifecycle, at): the stage of the last stage mark at or before an instant. */
Datum
revacct_lifecycle_current_stage(PG_FUNCTION_ARGS)
{
	Lifecycle  *lifecycle = lifecycle_for_call(fcinfo, PG_GETARG_DATUM(1));
	History	   *history = &call_cache(fcinfo)->history;
	TimestampTz at = PG_GETARG_TIMESTAMPTZ(2);
	int			current = -1;
	int			tied = -1;

	read_history(history, PG_GETARG_DATUM(0));
	for (int i = 0; i < history->count && history->at[i] <= at; i++)
	{
		/* of tied marks, the last in stage order */
		if (i == 0 || !tied_with_previous(history, i))
			tied = -1;
		tied = Max(tied, stage_of_mark(lifecycle, history->mark[i]));
		if (tied >= 0)
			current = tied;
	}
	if (current < 0)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(lifecycle->stages[current].name));
}
