/*
 * definitions.c
 *	  Definitions out of bytes: a text form is written by the choices of the dice, and read. Some are refused.
 */
#include "fuzz.h"

#define ONE_OF(dice, ...) \
	(((const char *const[]){__VA_ARGS__})[pick(dice, lengthof(((const char *const[]){__VA_ARGS__})))])

static const char *
random_zone(Dice *dice)
{
	return ONE_OF(dice, "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia", "Africa/Casablanca");
}

/* Within some weeks of START, mostly on a round hour; rarely years later, because calendars take long to be laid out. */
TimestampTz
random_instant(Dice *dice)
{
	static const int64 units[] = {USECS_PER_HOUR, USECS_PER_DAY, USECS_PER_HOUR, USECS_PER_MINUTE, USECS_PER_HOUR, USECS_PER_DAY, 1};
	int				   unit = pick(dice, 256);

	if (unit == 255)
		return START + USECS_PER_DAY * 100 * (pick(dice, 32) - 4);
	return START + units[unit % lengthof(units)] * (pick(dice, 256) - 48);
}

/* As definitions write it: within the years of four digits, in UTC */
static void
append_instant(StringInfo out, TimestampTz at)
{
	struct pg_tm tm;
	fsec_t		 fsec;

	if (timestamp2tm(at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "no such instant");
	appendStringInfo(out, "%04d-%02d-%02dT%02d:%02d:%02d", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	if (fsec != 0)
		appendStringInfo(out, ".%06d", (int) fsec);
	appendStringInfoChar(out, 'Z');
}

/* 1 to 3 rows of a day, such as 09:00-12:00 */
static void
append_day_rows(StringInfo out, Dice *dice)
{
	int count = 1 + pick(dice, 3);

	for (int i = 0; i < count; i++)
	{
		int opens = pick(dice, 96);
		int closes = pick(dice, 97);

		appendStringInfo(out, " %02d:%02d-%02d:%02d", opens / 4, opens % 4 * 15, closes / 4, closes % 4 * 15);
		if (pick(dice, 16) == 15)
			appendStringInfo(out, ":00.00000%d", pick(dice, 10));
	}
}

static void
append_date(StringInfo out, Dice *dice)
{
	int day = pick(dice, 96);

	if (day < 64)
		appendStringInfo(out, "2025-%02d-%02d", 1 + day / 28, 1 + day % 28);
	else
		appendStringInfo(out, "%d-%02d-%02d", 2019 + day % 16, 1 + pick(dice, 12), 1 + pick(dice, 31));
}

static void
append_hours_calendar(StringInfo out, Dice *dice, const char *name)
{
	static const char *const days[] = {"mon", "tue", "wed", "thu", "fri", "sat", "sun"};
	/* rarely none: to find out that a calendar never opens takes centuries to be laid out */
	int count = pick(dice, 256) == 77 ? 0 : 1 + pick(dice, 3);

	appendStringInfo(out, "%s: time_zone %s", name, random_zone(dice));
	for (int i = 0; i < count; i++)
	{
		int first = pick(dice, 7);

		appendStringInfo(out, "%s %s-%s", i == 0 ? "; hours" : ",", days[first], days[pick(dice, 7)]);
		append_day_rows(out, dice);
	}
	count = pick(dice, 4);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(out, i == 0 ? "; shifts " : ", ");
		append_date(out, dice);
		append_day_rows(out, dice);
	}
	count = pick(dice, 3);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(out, i == 0 ? "; breaks " : ", ");
		if (pick(dice, 2) == 0)
			appendStringInfoString(out, days[pick(dice, 7)]);
		else
			append_date(out, dice);
		append_day_rows(out, dice);
	}
	count = pick(dice, 4);
	for (int i = 0; i < count; i++)
	{
		appendStringInfoString(out, i == 0 ? "; holidays " : ", ");
		append_date(out, dice);
	}
	if (pick(dice, 3) == 1)
	{
		appendStringInfoString(out, "; known_until ");
		append_date(out, dice);
	}
}

Datum
random_calendar(Dice *dice)
{
	static Function unite = {"revacct.calendar_union(revacct.business_calendar,revacct.business_calendar)"};
	static Function intersect = {"revacct.calendar_intersection(revacct.business_calendar,revacct.business_calendar)"};
	int				parts = pick(dice, 8) < 5 ? 1 : 2;
	Datum			calendar = (Datum) 0;

	for (int i = 0; i < parts; i++)
	{
		StringInfoData text;
		Datum		   part;

		initStringInfo(&text);
		append_hours_calendar(&text, dice, i == 0 ? "c" : "other");
		part = value_of_text("revacct.business_calendar", text.data);
		if (i == 0)
			calendar = part;
		else
			calendar = call(pick(dice, 2) == 0 ? &unite : &intersect, 2, calendar, part);
	}
	return calendar;
}

/* A calendar as an item of another definition */
static void
append_calendar_item(StringInfo out, Dice *dice)
{
	StringInfoData text;

	initStringInfo(&text);
	append_hours_calendar(&text, dice, "c");
	appendStringInfo(out, "\"%s\"", text.data);
}

static void
append_window(StringInfo out, Dice *dice)
{
	int count = pick(dice, 64);

	switch (pick(dice, 4))
	{
		case 0:
			appendStringInfo(out, "%d seconds", count * 3600);
			break;
		case 1:
			appendStringInfo(out, "%d days", count);
			break;
		case 2:
			appendStringInfo(out, "%d months", count % 14);
			break;
		default:
			appendStringInfo(out, "%d months %d days %d microseconds", count % 3, count % 5, count);
	}
}

/* Stages a, b, c, …; those that end attempts z, y, x, w, v. */
Datum
random_lifecycle(Dice *dice)
{
	static const char *const ends[] = {"won z", "lost y", "no_decision x", "recycled w", "churned v"};
	StringInfoData text;
	int			   steps = 1 + pick(dice, 5);
	int			   active = pick(dice, 4) == 3 ? 1 : 0;
	int			   end_set = pick(dice, 32);
	int			   stages;
	int			   options;

	if (active)
		end_set &= ~1; /* won and active exclude each other */
	stages = steps + active + pg_popcount32(end_set);
	initStringInfo(&text);
	appendStringInfoString(&text, "l: stages ");
	for (int i = 0; i < steps; i++)
		appendStringInfo(&text, "%s%c", i > 0 ? ", " : "", 'a' + i);
	if (active)
		appendStringInfoString(&text, "; active k");
	for (int i = 0; i < lengthof(ends); i++)
	{
		if (end_set & 1 << i)
			appendStringInfo(&text, "; %s", ends[i]);
	}
	appendStringInfo(&text, "; skip %s", ONE_OF(dice, "impute", "strict", "any"));
	appendStringInfo(&text, "; attempt %s", ONE_OF(dice, "all", "best", "first", "last"));
	appendStringInfo(&text, "; times %s", ONE_OF(dice, "nondecreasing", "increasing"));
	appendStringInfo(&text, "; visits %s", ONE_OF(dice, "all", "first", "last", "cumulative"));
	appendStringInfo(&text, "; unknown %s", ONE_OF(dice, "error", "count"));
	options = pick(dice, 256);
	if (options & 0x01)
	{
		appendStringInfoString(&text, "; within ");
		append_window(&text, dice);
	}
	if (options & 0x02)
	{
		appendStringInfoString(&text, "; step_within -");
		for (int i = 1; i < steps + active + (end_set & 1); i++)
		{
			appendStringInfoString(&text, ", ");
			if (pick(dice, 3) == 0)
				appendStringInfoChar(&text, '-');
			else
				append_window(&text, dice);
		}
	}
	if (options & 0x0C)
	{
		TimestampTz from = random_instant(dice);

		if (options & 0x04)
		{
			appendStringInfoString(&text, "; entry_from \"");
			append_instant(&text, from);
			appendStringInfoChar(&text, '"');
		}
		if (options & 0x08)
		{
			appendStringInfoString(&text, "; entry_before \"");
			append_instant(&text, from + (1 + pick(dice, 64)) * USECS_PER_HOUR * 3);
			appendStringInfoChar(&text, '"');
		}
	}
	if (options & 0x10)
	{
		/* marks of the stages; a second one may be shared with another step */
		appendStringInfoString(&text, "; marks ");
		for (int i = 0; i < stages; i++)
		{
			int more = pick(dice, 64);

			appendStringInfo(&text, "%s%d", i > 0 ? ", " : "", i + 1);
			if (more < 16)
				appendStringInfo(&text, " %d", i + 2 + more);
		}
	}
	if (options & 0x20)
		appendStringInfo(&text, "; time_zone %s", random_zone(dice));
	if ((options & 0xC0) == 0xC0)
	{
		appendStringInfoString(&text, "; calendar ");
		append_calendar_item(&text, dice);
	}
	return value_of_text("revacct.lifecycle", text.data);
}

/* What a mark does to a clock, in the order of the words below */
enum
{
	BEGIN = 1,
	STOP = 2,
	PAUSE = 4,
	RESUME = 8,
	RESET = 16,
	CANCEL = 32,
	SEGMENT = 64,
	OWNER = 128,
	PROMISE = 256
};

static void
append_amount(StringInfo out, Dice *dice)
{
	int count = 1 + pick(dice, 64);

	appendStringInfo(out, "%d %s", count, ONE_OF(dice, "hours", "minutes", "seconds"));
}

static void
append_policy(StringInfo out, Dice *dice, int number, int calendars, int roles)
{
	int options = pick(dice, 256);
	int steps;

	appendStringInfo(out, "; policy version v%d", number);
	/* one after the other, with and without gaps and ends */
	if (number > 0 || (options & 0x01))
	{
		appendStringInfoString(out, ", \"from ");
		append_instant(out, START + number * 10 * USECS_PER_DAY + pick(dice, 64) * USECS_PER_HOUR);
		appendStringInfoChar(out, '"');
	}
	if (!(options & 0x02))
	{
		appendStringInfoString(out, ", \"before ");
		append_instant(out, START + (number + 1) * 10 * USECS_PER_DAY);
		appendStringInfoChar(out, '"');
	}
	if ((options & 0x04) && (roles & SEGMENT))
		appendStringInfo(out, ", segments %d", pick(dice, 4) - 1);
	if ((options & 0x08) && (roles & OWNER))
		appendStringInfo(out, ", owners %d", pick(dice, 4) - 1);
	if ((options & 0x10) && (roles & PROMISE))
		appendStringInfoString(out, ", target none");
	else
	{
		appendStringInfoString(out, ", target ");
		append_amount(out, dice);
	}
	if (calendars > 0 && !(options & 0x20))
		appendStringInfo(out, ", calendar %d", 1 + pick(dice, calendars));
	if (options & 0x40)
		appendStringInfo(out, ", warnings 0.%d", 1 + pick(dice, 9));
	steps = pick(dice, 4);
	for (int i = 0; i < steps; i++)
	{
		if (pick(dice, 3) == 0)
			appendStringInfo(out, ", step %d%% to x", 5 * (1 + pick(dice, 40)));
		else if (pick(dice, 3) == 0)
			appendStringInfoString(out, ", step breach to y");
		else
		{
			appendStringInfo(out, ", step breach %s ", ONE_OF(dice, "+", "-"));
			append_amount(out, dice);
			appendStringInfoString(out, " to z");
		}
	}
}

/* Marks a = 1, b = 2, …, h = 8; what each does is chosen by role. */
Datum
random_sla(Dice *dice)
{
	static const char *const roles[] = {"start", "stop", "pause", "resume", "reset", "cancel", "segment", "owner", "promise"};
	/* the first mark starts clocks, the second stops them */
	static const int combinations[] = {BEGIN, BEGIN | SEGMENT, BEGIN | OWNER | PROMISE, STOP, STOP, PAUSE, RESUME, RESET, CANCEL, SEGMENT, OWNER, PROMISE,
									   0, STOP | PAUSE, RESUME | SEGMENT, BEGIN | RESUME, PAUSE | OWNER};
	StringInfoData text;
	int			   roles_of_mark[8];
	int			   used = 0;
	int			   phases = pick(dice, 4);
	int			   calendars;
	int			   policies;

	initStringInfo(&text);
	appendStringInfoString(&text, "s: marks a=1, b=2 12, c=3, d=4, e=5, f=6, g=7, h=8");
	for (int i = 0; i < 8; i++)
	{
		roles_of_mark[i] = i == 1 ? STOP : combinations[i == 0 ? pick(dice, 3) : pick(dice, lengthof(combinations))];
		used |= roles_of_mark[i];
	}
	for (int role = 0; role < lengthof(roles); role++)
	{
		const char *gap = psprintf("; %s ", roles[role]);

		for (int i = 0; i < 8; i++)
		{
			if (roles_of_mark[i] & 1 << role)
			{
				appendStringInfo(&text, "%s%c", gap, 'a' + i);
				gap = ", ";
			}
		}
	}
	if (phases > 1)
	{
		appendStringInfoString(&text, "; phases ");
		for (int i = 1; i < phases; i++)
			appendStringInfo(&text, "p%d until %c, ", i, 'a' + pick(dice, 8));
		appendStringInfoString(&text, "last");
	}
	appendStringInfo(&text, "; reopen %s", ONE_OF(dice, "resume", "restart", "ignore"));
	appendStringInfo(&text, "; change %s", ONE_OF(dice, "carry", "restart"));
	if (pick(dice, 3) == 1)
		appendStringInfo(&text, "; max_clocks %d", 1 + pick(dice, 3));
	appendStringInfo(&text, "; beyond %s", ONE_OF(dice, "ignore", "breach"));
	calendars = pick(dice, 3);
	for (int i = 0; i < calendars; i++)
	{
		appendStringInfoString(&text, i == 0 ? "; calendars " : ", ");
		append_calendar_item(&text, dice);
	}
	policies = 1 + pick(dice, 3);
	for (int i = 0; i < policies; i++)
		append_policy(&text, dice, i, calendars, used);
	return value_of_text("revacct.sla", text.data);
}
