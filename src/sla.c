/*
 * sla.c
 *	  The SLA as a value: from arguments, text and bytes. What it does to a journey: clocks.c.
 */
#include "sla.h"

#include <ctype.h>
#include <math.h>

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/numeric.h"
#include "utils/rangetypes.h"
#include "utils/typcache.h"

#define TYPE_NAME "sla"
#define KIND "SLA" /* in messages */

#define MAX_NAMES 1024
#define MAX_POLICIES 1024
#define MAX_VALUES 65536
#define MAX_WARNINGS 16
#define MAX_STEPS_OF_POLICY 32
#define MAX_PERCENT 10000

#define HAS_VALID_FROM 0x01
#define HAS_VALID_TO 0x02
#define HAS_SEGMENTS 0x04
#define HAS_OWNERS 0x08
#define HAS_TARGET 0x10
#define HAS_CALENDAR 0x20

static const char *const reopen_words[] = {"resume", "restart", "ignore", NULL};
static const char *const change_words[] = {"carry", "restart", NULL};
static const char *const beyond_words[] = {"ignore", "breach", NULL};

/* The roles that are options of their own: all but phases, in the order in which arguments name marks. */
typedef struct RoleOption
{
	const char *word;
	Role		role;
} RoleOption;

#define ROLE_OPTIONS 9

static const RoleOption role_options[ROLE_OPTIONS] = {
	{"start", ROLE_START},
	{"stop", ROLE_STOP},
	{"pause", ROLE_PAUSE},
	{"resume", ROLE_RESUME},
	{"reset", ROLE_RESET},
	{"cancel", ROLE_CANCEL},
	{"segment", ROLE_SEGMENT},
	{"owner", ROLE_OWNER},
	{"promise", ROLE_PROMISE},
};

/* Roles of one mark that contradict each other. */
static const struct
{
	int			roles;
	const char *words;
} contradictions[] = {
	{ROLE_PAUSE | ROLE_RESUME, "pause and resume"},
	{ROLE_STOP | ROLE_RESET, "stop and reset"},
	{ROLE_STOP | ROLE_CANCEL, "stop and cancel"},
	{ROLE_RESET | ROLE_CANCEL, "reset and cancel"},
	{ROLE_START | ROLE_CANCEL, "start and cancel"},
};

PG_FUNCTION_INFO_V1(revacct_sla);
PG_FUNCTION_INFO_V1(revacct_sla_of_slas);
PG_FUNCTION_INFO_V1(revacct_sla_in);
PG_FUNCTION_INFO_V1(revacct_sla_out);
PG_FUNCTION_INFO_V1(revacct_sla_recv);
PG_FUNCTION_INFO_V1(revacct_sla_mark);
PG_FUNCTION_INFO_V1(revacct_promise_value);

#define reject_sla(sla, message, hint) reject_definition(KIND, (sla)->name, message, hint)

/*
 * Policies and their order
 */

/* The most specific first: owners and segments, owners, segments, neither. */
static int
shape_of(const Policy *policy)
{
	return (policy->owners.set ? 0 : 2) + (policy->segments.set ? 0 : 1);
}

static int
compare_int64(const void *a, const void *b)
{
	int64 value_a = *(const int64 *) a;
	int64 value_b = *(const int64 *) b;

	return (value_a > value_b) - (value_a < value_b);
}

static int
compare_lists(const ValueList *a, const ValueList *b)
{
	for (int i = 0; i < a->count && i < b->count; i++)
		if (a->values[i] != b->values[i])
			return a->values[i] < b->values[i] ? -1 : 1;
	return (a->count > b->count) - (a->count < b->count);
}

/* By shape, then valid, then values. No two policies of an SLA are equal in these: they would both be in force. */
static int
compare_policies(const void *a, const void *b)
{
	const Policy *policy_a = a;
	const Policy *policy_b = b;
	int			  order = shape_of(policy_a) - shape_of(policy_b);

	if (order == 0)
		order = (policy_a->valid_from > policy_b->valid_from) - (policy_a->valid_from < policy_b->valid_from);
	if (order == 0)
		order = (policy_a->valid_to > policy_b->valid_to) - (policy_a->valid_to < policy_b->valid_to);
	if (order == 0)
		order = compare_lists(&policy_a->segments, &policy_b->segments);
	return order != 0 ? order : compare_lists(&policy_a->owners, &policy_b->owners);
}

static bool
in_list(const ValueList *list, const int64 *value)
{
	return !list->set ||
		   (value != NULL && bsearch(value, list->values, list->count, sizeof(int64), compare_int64) != NULL);
}

/*
 * The policy in force at an instant, for a subject of some segment and owner (NULL: none), with or without a promise;
 * -1 if there is none.
 */
int
policy_in_force(const Sla *sla, TimestampTz at, const int64 *segment, const int64 *owner, bool promised)
{
	for (int i = 0; i < sla->policy_count; i++)
	{
		const Policy *policy = &sla->policies[i];

		if (at >= policy->valid_from && at < policy->valid_to && (promised || policy->has_target) &&
			in_list(&policy->segments, segment) && in_list(&policy->owners, owner))
			return i;
	}
	return -1;
}

static bool
lists_meet(const ValueList *a, const ValueList *b)
{
	if (!a->set)
		return true;
	for (int i = 0, j = 0; i < a->count && j < b->count;)
	{
		if (a->values[i] == b->values[j])
			return true;
		if (a->values[i] < b->values[j])
			i++;
		else
			j++;
	}
	return false;
}

static const char *
validity_text(const Policy *policy)
{
	StringInfoData text;

	initStringInfo(&text);
	if (policy->valid_from == DT_NOBEGIN && policy->valid_to == DT_NOEND)
		return "always";
	if (policy->valid_from != DT_NOBEGIN)
	{
		appendStringInfoString(&text, "from ");
		append_instant(&text, policy->valid_from);
	}
	if (policy->valid_to != DT_NOEND)
	{
		appendStringInfoString(&text, policy->valid_from == DT_NOBEGIN ? "before " : " to ");
		append_instant(&text, policy->valid_to);
	}
	return text.data;
}

/* Refuse policies of which neither could give way to the other. */
static void
check_overlaps(const Sla *sla)
{
	for (int i = 0; i < sla->policy_count; i++)
		for (int j = i + 1; j < sla->policy_count && shape_of(&sla->policies[j]) == shape_of(&sla->policies[i]); j++)
		{
			const Policy *a = &sla->policies[i];
			const Policy *b = &sla->policies[j];

			CHECK_FOR_INTERRUPTS();
			if (a->valid_from < b->valid_to && b->valid_from < a->valid_to && lists_meet(&a->segments, &b->segments) &&
				lists_meet(&a->owners, &b->owners))
				ereport(
					ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("two policies of SLA \"%s\" would be in force at once", sla->name),
					 errdetail("Versions \"%s\" (%s) and \"%s\" (%s) are for the same subjects.",
							   a->version,
							   validity_text(a),
							   b->version,
							   validity_text(b)),
					 errhint(
						 "Let valid of one end where that of the other begins, or give them other segments or owners.")));
		}
}

/*
 * Checks and derived parts: every SLA passes here, whether it comes from arguments, text or bytes
 */

static int
compare_names(const void *a, const void *b)
{
	return ((const SlaName *) a)->marks[0] - ((const SlaName *) b)->marks[0];
}

static void
check_name_roles(const Sla *sla, const SlaName *name)
{
	for (Size i = 0; i < lengthof(contradictions); i++)
		if ((name->roles & contradictions[i].roles) == contradictions[i].roles)
			reject_sla(sla, psprintf("mark \"%s\" cannot both %s a clock", name->name, contradictions[i].words), NULL);
	if ((name->roles & ROLE_START) && (name->roles & ROLE_STOP) && sla->reopen != REOPEN_RESTART)
		reject_sla(sla,
				   psprintf("mark \"%s\" starts and stops clocks", name->name),
				   "Say reopen => 'restart', so that it ends one clock and begins the next.");
}

static void
resolve_names(Sla *sla)
{
	uint16 *name_of_mark; /* from 1 */

	qsort(sla->names, sla->name_count, sizeof(SlaName), compare_names);
	sla->lookup_size = 0;
	sla->used_roles = 0;
	for (int i = 0; i < sla->name_count; i++)
	{
		const SlaName *name = &sla->names[i];

		if (*name->name == '\0' || strlen(name->name) > MAX_NAME_BYTES)
			reject_sla(sla, psprintf("mark name \"%s\" must have 1 to %d bytes", name->name, MAX_NAME_BYTES), NULL);
		if (has_space_around(name->name))
			reject_sla(sla, psprintf("mark name \"%s\" has white space around it", name->name), NULL);
		check_name_roles(sla, name);
		sla->used_roles |= name->roles;
		sla->lookup_size = Max(sla->lookup_size, name->marks[name->mark_count - 1] + 1);
	}
	sla->roles_of_mark = palloc0(sizeof(uint16) * Max(sla->lookup_size, 1));
	sla->phase_of_mark = palloc0(sizeof(uint8) * Max(sla->lookup_size, 1));
	name_of_mark = palloc0(sizeof(uint16) * Max(sla->lookup_size, 1));
	for (int i = 0; i < sla->name_count; i++)
	{
		const SlaName *name = &sla->names[i];

		for (int m = 0; m < name->mark_count; m++)
		{
			if (name_of_mark[name->marks[m]] != 0)
				reject_sla(sla,
						   psprintf("mark %d means both \"%s\" and \"%s\"",
									name->marks[m],
									sla->names[name_of_mark[name->marks[m]] - 1].name,
									name->name),
						   NULL);
			name_of_mark[name->marks[m]] = (uint16) (i + 1);
			sla->roles_of_mark[name->marks[m]] = (uint16) name->roles;
			sla->phase_of_mark[name->marks[m]] = (uint8) name->phase;
		}
	}
	pfree(name_of_mark);
	if (!(sla->used_roles & ROLE_START))
		reject_sla(sla, "an SLA needs a mark that starts its clock", "Name it in start.");
	if (!(sla->used_roles & ROLE_STOP))
		reject_sla(sla, "an SLA needs a mark that stops its clock", "Name it in stop.");
}

/* What is true of every stored SLA, and is looked for only in what comes from outside: it may take long. */
static void
check_distinct_names(const Sla *sla)
{
	for (int i = 0; i < sla->name_count; i++)
		for (int j = 0; j < i; j++)
			if (strcmp(sla->names[i].name, sla->names[j].name) == 0)
				reject_sla(sla, psprintf("mark \"%s\" is named twice", sla->names[i].name), NULL);
}

static void
check_phases(const Sla *sla)
{
	for (int i = 0; i < sla->phase_count; i++)
	{
		/* all but the last are followed by " until " in text, which must not be mistaken for a part of the name */
		const char *text = i < sla->phase_count - 1 ? psprintf("%s ", sla->phases[i]) : sla->phases[i];

		if (*sla->phases[i] == '\0' || strlen(sla->phases[i]) > MAX_NAME_BYTES || strstr(text, " until ") != NULL ||
			strcmp(sla->phases[i], "total") == 0)
			reject_sla(sla, psprintf("a phase cannot be called \"%s\"", sla->phases[i]), NULL);
		for (int j = 0; j < i; j++)
			if (strcmp(sla->phases[i], sla->phases[j]) == 0)
				reject_sla(sla, psprintf("phase \"%s\" is named twice", sla->phases[i]), NULL);
	}
}

static void
check_list(const Sla *sla, const char *option, const char *role, ValueList *list, bool has_marks)
{
	int count = 0;

	if (!list->set)
		return;
	if (list->count == 0)
		reject_sla(sla, psprintf("%s must not be empty", option), "Leave it out for all.");
	if (!has_marks)
		reject_sla(sla, psprintf("no mark tells the %s", role), psprintf("Name it in the option %s.", role));
	qsort(list->values, list->count, sizeof(int64), compare_int64);
	for (int i = 0; i < list->count; i++)
		if (count == 0 || list->values[count - 1] != list->values[i])
			list->values[count++] = list->values[i];
	list->count = count;
}

static int
compare_int(const void *a, const void *b)
{
	return *(const int *) a - *(const int *) b;
}

static void
check_policy(const Sla *sla, Policy *policy)
{
	int count = 0;

	if (strlen(policy->version) > MAX_NAME_BYTES)
		reject_sla(sla, psprintf("a version must have at most %d bytes", MAX_NAME_BYTES), NULL);
	if (policy->valid_from >= policy->valid_to)
		reject_sla(sla, "valid is empty", "The policy would never be in force.");
	check_list(sla, "segments", "segment", &policy->segments, (sla->used_roles & ROLE_SEGMENT) != 0);
	check_list(sla, "owners", "owner", &policy->owners, (sla->used_roles & ROLE_OWNER) != 0);
	if (policy->has_target && policy->target <= 0)
		reject_sla(sla, "target must be longer than nothing", NULL);
	if (!policy->has_target && !(sla->used_roles & ROLE_PROMISE))
		reject_sla(sla, "a policy needs a target", "Give target, or name the marks that carry a promise.");
	qsort(policy->warnings, policy->warning_count, sizeof(int), compare_int);
	for (int i = 0; i < policy->warning_count; i++)
	{
		if (policy->warnings[i] <= 0 || policy->warnings[i] >= MILLION)
			reject_sla(sla, "warnings must be fractions between 0 and 1", "They are parts of the target, such as 0.8.");
		if (count == 0 || policy->warnings[count - 1] != policy->warnings[i])
			policy->warnings[count++] = policy->warnings[i];
	}
	policy->warning_count = count;
	for (int i = 0; i < policy->step_count; i++)
		if (has_space_around(policy->steps[i].recipient))
			reject_sla(sla, psprintf("recipient \"%s\" has white space around it", policy->steps[i].recipient), NULL);
	if (policy->warning_count > MAX_WARNINGS || policy->step_count > MAX_STEPS_OF_POLICY)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a policy has at most %d warnings and %d escalation steps",
						MAX_WARNINGS,
						MAX_STEPS_OF_POLICY)));
}

/* The instants at which which policy is in force may change by itself. */
static void
collect_boundaries(Sla *sla)
{
	int count = 0;

	sla->boundaries = palloc(sizeof(TimestampTz) * 2 * sla->policy_count);
	for (int i = 0; i < sla->policy_count; i++)
	{
		if (sla->policies[i].valid_from != DT_NOBEGIN)
			sla->boundaries[count++] = sla->policies[i].valid_from;
		if (sla->policies[i].valid_to != DT_NOEND)
			sla->boundaries[count++] = sla->policies[i].valid_to;
	}
	qsort(sla->boundaries, count, sizeof(TimestampTz), compare_int64);
	sla->boundary_count = 0;
	for (int i = 0; i < count; i++)
		if (i == 0 || sla->boundaries[i] != sla->boundaries[sla->boundary_count - 1])
			sla->boundaries[sla->boundary_count++] = sla->boundaries[i];
}

static void
finish_sla(Sla *sla, bool stored)
{
	if (*sla->name == '\0' || strlen(sla->name) > MAX_NAME_BYTES)
		reject_definition(KIND, NULL, psprintf("the name of an SLA must have 1 to %d bytes", MAX_NAME_BYTES), NULL);
	resolve_names(sla);
	check_phases(sla);
	if (sla->policy_count > MAX_POLICIES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an SLA has at most %d policies", MAX_POLICIES)));
	for (int i = 0; i < sla->policy_count; i++)
		check_policy(sla, &sla->policies[i]);
	qsort(sla->policies, sla->policy_count, sizeof(Policy), compare_policies);
	if (!stored)
	{
		check_distinct_names(sla);
		check_overlaps(sla);
	}
	collect_boundaries(sla);
	sla->one_policy = sla->policy_count == 1 && sla->boundary_count == 0 && sla->policies[0].has_target &&
					  !(sla->used_roles & CONTEXT_ROLES);
}

/* Get the calendars of all policies ready, in the current memory context or for good. */
static void
open_calendars(Sla *sla)
{
	for (int i = 0; i < sla->policy_count; i++)
		if (sla->policies[i].calendar >= 0)
			sla->policies[i].open = open_time_of(sla->calendars[sla->policies[i].calendar].bytes,
												 sla->calendars[sla->policies[i].calendar].length,
												 CurrentMemoryContext);
}

/*
 * Bytes
 */

/* All but the policies: in this, SLAs that are joined must agree. */
static void
append_common(StringInfo out, const Sla *sla)
{
	append_text(out, sla->name);
	appendStringInfoChar(out, sla->reopen);
	appendStringInfoChar(out, sla->change);
	appendStringInfoChar(out, sla->beyond);
	append_varint(out, sla->max_clocks);
	append_varint(out, sla->name_count);
	for (int i = 0; i < sla->name_count; i++)
	{
		const SlaName *name = &sla->names[i];

		append_text(out, name->name);
		append_varint(out, name->mark_count);
		for (int m = 0; m < name->mark_count; m++)
			append_varint(out, name->marks[m]);
		append_varint(out, name->roles);
		append_varint(out, name->phase);
	}
	append_varint(out, sla->phase_count);
	for (int i = 0; i < sla->phase_count; i++)
		append_text(out, sla->phases[i]);
}

static void
append_values(StringInfo out, const ValueList *list)
{
	if (!list->set)
		return;
	append_varint(out, list->count);
	for (int i = 0; i < list->count; i++)
		append_varint(out, zigzag(list->values[i]));
}

static void
append_policy(StringInfo out, const Policy *policy)
{
	append_text(out, policy->version);
	appendStringInfoChar(out,
						 (policy->valid_from != DT_NOBEGIN ? HAS_VALID_FROM : 0) |
							 (policy->valid_to != DT_NOEND ? HAS_VALID_TO : 0) |
							 (policy->segments.set ? HAS_SEGMENTS : 0) | (policy->owners.set ? HAS_OWNERS : 0) |
							 (policy->has_target ? HAS_TARGET : 0) | (policy->calendar >= 0 ? HAS_CALENDAR : 0));
	if (policy->valid_from != DT_NOBEGIN)
		append_varint(out, zigzag(policy->valid_from));
	if (policy->valid_to != DT_NOEND)
		append_varint(out, zigzag(policy->valid_to));
	append_values(out, &policy->segments);
	append_values(out, &policy->owners);
	if (policy->has_target)
		append_varint(out, policy->target);
	if (policy->calendar >= 0)
		append_varint(out, policy->calendar);
	append_varint(out, policy->warning_count);
	for (int i = 0; i < policy->warning_count; i++)
		append_varint(out, policy->warnings[i]);
	append_varint(out, policy->step_count);
	for (int i = 0; i < policy->step_count; i++)
	{
		appendStringInfoChar(out, policy->steps[i].from_target);
		append_varint(out, zigzag(policy->steps[i].amount));
		append_text(out, policy->steps[i].recipient);
	}
}

/* Append the stored form. */
static void
append_sla(StringInfo out, const Sla *sla)
{
	StringInfoData definition;

	initStringInfo(&definition);
	append_common(&definition, sla);
	append_varint(&definition, sla->calendar_count);
	for (int i = 0; i < sla->calendar_count; i++)
	{
		append_varint(&definition, sla->calendars[i].length);
		appendBinaryStringInfo(&definition, sla->calendars[i].bytes, sla->calendars[i].length);
	}
	append_varint(&definition, sla->policy_count);
	for (int i = 0; i < sla->policy_count; i++)
		append_policy(&definition, &sla->policies[i]);
	append_fingerprinted(out, &definition);
}

static Datum
sla_as_value(const Sla *sla)
{
	StringInfoData bytes;

	initStringInfo(&bytes);
	append_sla(&bytes, sla);
	return bytes_as_varlena(&bytes);
}

static int
read_count(ByteReader *reader, int limit)
{
	return (int) read_bounded(reader, Min(limit, reader->end - reader->p));
}

static void
read_names(ByteReader *reader, Sla *sla)
{
	bool ended[MAX_PHASES] = {false};

	sla->name_count = read_count(reader, MAX_NAMES);
	sla->names = palloc0(sizeof(SlaName) * Max(sla->name_count, 1));
	for (int i = 0; i < sla->name_count; i++)
	{
		SlaName *name = &sla->names[i];

		name->name = read_text(reader);
		name->mark_count = read_count(reader, MAX_MARK_ID);
		if (name->mark_count == 0)
			broken(reader);
		name->marks = palloc(sizeof(uint16) * name->mark_count);
		for (int m = 0; m < name->mark_count; m++)
		{
			name->marks[m] = (uint16) read_bounded(reader, MAX_MARK_ID);
			if (name->marks[m] == UNKNOWN_MARK || (m > 0 && name->marks[m] <= name->marks[m - 1]))
				broken(reader);
		}
		name->roles = (int) read_bounded(reader, (1 << ROLES) - 1);
		name->phase = (int) read_bounded(reader, MAX_PHASES - 1);
		if ((name->phase != 0) != ((name->roles & ROLE_PHASE) != 0))
			broken(reader);
	}
	sla->phase_count = read_count(reader, MAX_PHASES);
	sla->phases = palloc(sizeof(char *) * Max(sla->phase_count, 1));
	for (int i = 0; i < sla->phase_count; i++)
		sla->phases[i] = read_text(reader);
	/* each phase but the last ends by one name */
	for (int i = 0; i < sla->name_count; i++)
		if (sla->names[i].phase != 0)
		{
			if (sla->names[i].phase >= sla->phase_count || ended[sla->names[i].phase])
				broken(reader);
			ended[sla->names[i].phase] = true;
		}
	for (int phase = 1; phase < sla->phase_count; phase++)
		if (!ended[phase])
			broken(reader);
}

static void
read_values(ByteReader *reader, ValueList *list)
{
	list->set = true;
	list->count = read_count(reader, MAX_VALUES);
	list->values = palloc(sizeof(int64) * Max(list->count, 1));
	for (int i = 0; i < list->count; i++)
		list->values[i] = unzigzag(read_varint(reader));
}

static TimestampTz
read_instant(ByteReader *reader)
{
	TimestampTz at = unzigzag(read_varint(reader));

	if (!IS_VALID_TIMESTAMP(at))
		broken(reader);
	return at;
}

static void
read_policy(ByteReader *reader, const Sla *sla, Policy *policy)
{
	uint8 flags;

	policy->version = read_text(reader);
	flags = read_byte(reader);
	if (flags >= HAS_CALENDAR << 1)
		broken(reader);
	policy->valid_from = flags & HAS_VALID_FROM ? read_instant(reader) : DT_NOBEGIN;
	policy->valid_to = flags & HAS_VALID_TO ? read_instant(reader) : DT_NOEND;
	if (flags & HAS_SEGMENTS)
		read_values(reader, &policy->segments);
	if (flags & HAS_OWNERS)
		read_values(reader, &policy->owners);
	policy->has_target = (flags & HAS_TARGET) != 0;
	policy->target = policy->has_target ? (int64) read_bounded(reader, PG_INT64_MAX) : 0;
	policy->calendar = -1;
	if (flags & HAS_CALENDAR)
	{
		policy->calendar = (int) read_bounded(reader, MAX_POLICIES);
		if (policy->calendar >= sla->calendar_count)
			broken(reader);
	}
	policy->warning_count = read_count(reader, MAX_WARNINGS);
	policy->warnings = palloc(sizeof(int) * Max(policy->warning_count, 1));
	for (int i = 0; i < policy->warning_count; i++)
		policy->warnings[i] = (int) read_bounded(reader, MILLION);
	policy->step_count = read_count(reader, MAX_STEPS_OF_POLICY);
	policy->steps = palloc(sizeof(EscalationStep) * Max(policy->step_count, 1));
	for (int i = 0; i < policy->step_count; i++)
	{
		uint8 kind = read_byte(reader);

		policy->steps[i].from_target = kind == 1;
		policy->steps[i].amount = unzigzag(read_varint(reader));
		policy->steps[i].recipient = read_text(reader);
		if (kind > 1 || *policy->steps[i].recipient == '\0' || policy->steps[i].amount == PG_INT64_MIN ||
			(kind == 0 && (policy->steps[i].amount <= 0 || policy->steps[i].amount > MAX_PERCENT * (MILLION / 100))))
			broken(reader);
	}
}

/* Read and check an SLA, in the current memory context. */
static Sla *
read_sla(ByteReader reader)
{
	Sla *sla = palloc0(sizeof(Sla));

	sla->fingerprint = read_fingerprint(&reader);
	sla->name = read_text(&reader);
	sla->reopen = read_word(&reader, reopen_words);
	sla->change = read_word(&reader, change_words);
	sla->beyond = read_word(&reader, beyond_words);
	sla->max_clocks = (int) read_bounded(&reader, PG_INT32_MAX);
	if (sla->beyond != BEYOND_IGNORE && sla->max_clocks == 0)
		broken(&reader);
	read_names(&reader, sla);
	sla->calendar_count = read_count(&reader, MAX_POLICIES);
	sla->calendars = palloc(sizeof(StoredCalendar) * Max(sla->calendar_count, 1));
	for (int i = 0; i < sla->calendar_count; i++)
	{
		sla->calendars[i].length = read_bounded(&reader, reader.end - reader.p);
		sla->calendars[i].bytes = read_bytes(&reader, sla->calendars[i].length);
	}
	sla->policy_count = read_count(&reader, MAX_POLICIES);
	if (sla->policy_count == 0)
		broken(&reader);
	sla->policies = palloc0(sizeof(Policy) * sla->policy_count);
	for (int i = 0; i < sla->policy_count; i++)
		read_policy(&reader, sla, &sla->policies[i]);
	if (reader.p != reader.end)
		broken(&reader);
	finish_sla(sla, reader.source == BYTES_STORED);
	return sla;
}

/* The SLA in some bytes, in the current memory context; it keeps pointing into them. */
Sla *
decode_sla_bytes(const void *bytes, Size length, ByteSource source)
{
	ByteReader reader = {bytes, (const uint8 *) bytes + length, TYPE_NAME, source};

	return read_sla(reader);
}

/* The SLA in a value, in the current memory context; independent of the value. */
Sla *
decode_sla(Datum datum)
{
	ByteReader reader;
	Size	   length;
	void	  *copy;

	reader_over_datum(&reader, datum, TYPE_NAME);
	length = reader.end - reader.p;
	copy = palloc(Max(length, 1));
	memcpy(copy, reader.p, length);
	return decode_sla_bytes(copy, length, BYTES_STORED);
}

/* The SLA in a value, read once for as long as it stays the same. */
Sla *
sla_of_call(SlaCall *call, Datum datum, MemoryContext parent)
{
	Size   length;
	uint64 fingerprint = definition_fingerprint(datum, &length);

	if (unlikely(call->sla == NULL || call->fingerprint != fingerprint || call->length != length))
	{
		MemoryContext old_context;

		call->sla = NULL;
		if (call->context == NULL)
			call->context = AllocSetContextCreate(parent, "revacct sla", ALLOCSET_SMALL_SIZES);
		else
			MemoryContextReset(call->context);
		old_context = MemoryContextSwitchTo(call->context);
		call->sla = decode_sla(datum);
		open_calendars(call->sla);
		MemoryContextSwitchTo(old_context);
		call->fingerprint = fingerprint;
		call->length = length;
	}
	return call->sla;
}

static void unite_calendars(Sla *sla);

/* Refuse bytes that are not exactly what would be written. */
void
check_sla_bytes(const char *bytes, Size length, ByteSource source)
{
	ByteReader	   reader = {(const uint8 *) bytes, (const uint8 *) bytes + length, TYPE_NAME, source};
	Sla			  *sla = read_sla(reader);
	StringInfoData again;

	for (int i = 0; i < sla->calendar_count; i++)
		check_calendar_bytes(sla->calendars[i].bytes, sla->calendars[i].length, source);
	unite_calendars(sla);
	initStringInfo(&again);
	append_sla(&again, sla);
	if (again.len != length || memcmp(again.data, bytes, length) != 0)
		broken(&reader);
}

/*
 * Calendars: each once, in the order of their bytes, and none that no policy uses
 */

static int
compare_calendars(const void *a, const void *b)
{
	const StoredCalendar *calendar_a = a;
	const StoredCalendar *calendar_b = b;
	int order = memcmp(calendar_a->bytes, calendar_b->bytes, Min(calendar_a->length, calendar_b->length));

	return order != 0 ? order : (calendar_a->length > calendar_b->length) - (calendar_a->length < calendar_b->length);
}

static void
unite_calendars(Sla *sla)
{
	StoredCalendar *used = palloc(sizeof(StoredCalendar) * Max(sla->policy_count, 1));
	int				count = 0;
	int				distinct = 0;

	for (int i = 0; i < sla->policy_count; i++)
		if (sla->policies[i].calendar >= 0)
			used[count++] = sla->calendars[sla->policies[i].calendar];
	qsort(used, count, sizeof(StoredCalendar), compare_calendars);
	for (int i = 0; i < count; i++)
		if (distinct == 0 || compare_calendars(&used[i], &used[distinct - 1]) != 0)
			used[distinct++] = used[i];
	for (int i = 0; i < sla->policy_count; i++)
	{
		Policy *policy = &sla->policies[i];

		if (policy->calendar >= 0)
			policy->calendar = (int) ((StoredCalendar *) bsearch(&sla->calendars[policy->calendar],
																 used,
																 distinct,
																 sizeof(StoredCalendar),
																 compare_calendars) -
									  used);
	}
	sla->calendars = used;
	sla->calendar_count = distinct;
}

/*
 * Amounts of time as words: "8 hours 30 minutes"
 */

static const struct
{
	const char *word;
	int64		usecs;
} units[] = {
	{"day", USECS_PER_DAY},
	{"hour", USECS_PER_HOUR},
	{"minute", USECS_PER_MINUTE},
	{"second", USECS_PER_SEC},
	{"microsecond", 1},
};

static void
append_amount(StringInfo out, int64 usecs)
{
	const char *gap = "";

	for (Size i = 1; i < lengthof(units); i++)
	{
		int64 count = usecs / units[i].usecs;

		usecs %= units[i].usecs;
		if (count == 0)
			continue;
		appendStringInfo(out, "%s" INT64_FORMAT " %s%s", gap, count, units[i].word, count == 1 ? "" : "s");
		gap = " ";
	}
	if (*gap == '\0')
		appendStringInfoString(out, "0 hours");
}

/* Read such an amount up to the end; false if it is none. Says whether it has days. */
static bool
parse_amount(const char *text, int64 *usecs, bool *days)
{
	const char *p = skip_space(text);

	*usecs = 0;
	*days = false;
	while (*p)
	{
		char *end;
		int64 count;
		int64 part;
		Size  unit = 0;

		errno = 0;
		count = strtoi64(p, &end, 10);
		if (!isdigit((unsigned char) *p) || errno != 0)
			return false;
		p = skip_space(end);
		while (unit < lengthof(units) && strncmp(p, units[unit].word, strlen(units[unit].word)) != 0)
			unit++;
		if (unit == lengthof(units) || pg_mul_s64_overflow(count, units[unit].usecs, &part) ||
			pg_add_s64_overflow(*usecs, part, usecs))
			return false;
		*days |= unit == 0;
		p += strlen(units[unit].word);
		p += *p == 's';
		if (*p && !is_space(*p))
			return false;
		p = skip_space(p);
	}
	return p != text;
}

/*
 * Escalation steps: "80% to owner", "breach + 4 hours to director"
 */

char *
step_text(const EscalationStep *step)
{
	StringInfoData text;

	initStringInfo(&text);
	if (!step->from_target)
	{
		appendStringInfo(&text, "%d", (int) (step->amount / (MILLION / 100)));
		if (step->amount % (MILLION / 100) != 0)
		{
			appendStringInfo(&text, ".%04d", (int) (step->amount % (MILLION / 100)));
			while (text.data[text.len - 1] == '0')
				text.data[--text.len] = '\0';
		}
		appendStringInfoChar(&text, '%');
	}
	else
	{
		appendStringInfoString(&text, "breach");
		if (step->amount != 0)
		{
			appendStringInfoString(&text, step->amount > 0 ? " + " : " - ");
			append_amount(&text, step->amount > 0 ? step->amount : -step->amount);
		}
	}
	appendStringInfo(&text, " to %s", step->recipient);
	return text.data;
}

static bool
parse_percent(const char *when, int64 *millionths)
{
	const char *p = when;
	int64		scale = MILLION / 100;

	if (!isdigit((unsigned char) *p))
		return false;
	for (*millionths = 0; isdigit((unsigned char) *p); p++)
	{
		*millionths = *millionths * 10 + (*p - '0') * (int64) (MILLION / 100);
		if (*millionths > MAX_PERCENT * (int64) (MILLION / 100))
			return false;
	}
	if (*p == '.')
	{
		if (!isdigit((unsigned char) *++p))
			return false;
		for (; isdigit((unsigned char) *p); p++)
		{
			if ((scale /= 10) == 0)
				return false;
			*millionths += (*p - '0') * scale;
		}
	}
	return *millionths > 0 && *millionths <= MAX_PERCENT * (int64) (MILLION / 100) && p[0] == '%' && p[1] == '\0';
}

static bool
parse_offset(const char *when, int64 *usecs, bool *days)
{
	const char *p = when + strlen("breach");
	char		sign;

	*usecs = 0;
	*days = false;
	if (strncmp(when, "breach", strlen("breach")) != 0)
		return false;
	p = skip_space(p);
	if (*p == '\0')
		return true;
	sign = *p++;
	if ((sign != '+' && sign != '-') || !parse_amount(p, usecs, days))
		return false;
	if (sign == '-')
		*usecs = -*usecs;
	return true;
}

static EscalationStep
parse_step(const Sla *sla, const Policy *policy, const char *text)
{
	EscalationStep step = {0};
	bool		   days;
	const char	  *to = strstr(text, " to ");
	char		  *when;

	if (to != NULL)
	{
		when = pnstrdup(skip_space(text), to - skip_space(text));
		while (*when && is_space(when[strlen(when) - 1]))
			when[strlen(when) - 1] = '\0';
		step.recipient = pstrdup(skip_space(to + strlen(" to ")));
		if (*step.recipient != '\0' && strlen(step.recipient) <= MAX_NAME_BYTES)
		{
			if (parse_percent(when, &step.amount))
				return step;
			step.from_target = true;
			if (parse_offset(when, &step.amount, &days))
			{
				if (days && policy->calendar >= 0)
					reject_sla(sla,
							   psprintf("escalation \"%s\" must not contain days", text),
							   "With a calendar a day has no length: write it in hours.");
				return step;
			}
		}
	}
	reject_sla(sla,
			   psprintf("escalation \"%s\" cannot be read", text),
			   "Write such as 80% to owner, breach to manager, or breach + 4 hours to director.");
}

/*
 * From arguments
 */

static SlaName *
find_name(const Sla *sla, const char *name)
{
	for (int i = 0; i < sla->name_count; i++)
		if (strcmp(sla->names[i].name, name) == 0)
			return &sla->names[i];
	return NULL;
}

static SlaName *
new_name(Sla *sla, const char *text)
{
	SlaName *name;

	if (sla->name_count >= MAX_NAMES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an SLA names at most %d marks", MAX_NAMES)));
	if (sla->names == NULL)
		sla->names = palloc0(sizeof(SlaName) * MAX_NAMES);
	name = &sla->names[sla->name_count++];
	name->name = text;
	return name;
}

/* An item such as "replied=20 21". */
static void
add_named_marks(Sla *sla, const char *item)
{
	const char *equals = strrchr(item, '=');
	const char *p = equals != NULL ? skip_space(equals + 1) : "";
	char	   *text = equals != NULL ? pnstrdup(item, equals - item) : "";
	SlaName	   *name;
	int			repeated;

	while (*text && is_space(text[strlen(text) - 1]))
		text[strlen(text) - 1] = '\0';
	text = pstrdup(skip_space(text));
	if (*text == '\0' || *p == '\0')
		reject_sla(sla,
				   psprintf("marks \"%s\" cannot be read", item),
				   "Write a name and its marks, such as replied=20 21.");
	if (find_name(sla, text) != NULL)
		reject_sla(sla, psprintf("mark \"%s\" is named twice", text), NULL);
	name = new_name(sla, text);
	name->mark_count = parse_mark_ids(p, &name->marks, &repeated);
	if (name->mark_count < 0)
		reject_sla(sla,
				   psprintf("marks of \"%s\" must be numbers from 1 to %d, not \"%s\"", text, MAX_MARK_ID, p),
				   NULL);
	if (repeated != 0)
		reject_sla(sla, psprintf("mark \"%s\" names %d twice", text, repeated), NULL);
}

/* Where an SLA's names get their marks from, while it is made from arguments. */
typedef struct NameSource
{
	bool	   numbered; /* neither marks nor a lifecycle: in order of appearance */
	Lifecycle *lifecycle;
} NameSource;

/* The name in some role, which is its first appearance or not. */
static SlaName *
name_in_role(Sla *sla, const NameSource *source, const char *text)
{
	SlaName *name = find_name(sla, text);

	if (name != NULL)
		return name;
	if (source->lifecycle != NULL)
		for (int i = 0; i < source->lifecycle->stage_count; i++)
			if (strcmp(source->lifecycle->stages[i].name, text) == 0)
			{
				name = new_name(sla, text);
				name->mark_count = source->lifecycle->stages[i].mark_count;
				name->marks = source->lifecycle->stages[i].marks;
				return name;
			}
	if (!source->numbered)
		reject_sla(sla,
				   psprintf("mark \"%s\" has no number", text),
				   source->lifecycle != NULL
					   ? psprintf("List it in marks, or name a stage of lifecycle \"%s\".", source->lifecycle->name)
					   : "List it in marks.");
	name = new_name(sla, text);
	name->mark_count = 1;
	name->marks = palloc(sizeof(uint16));
	name->marks[0] = (uint16) sla->name_count;
	return name;
}

/* Phases such as "routing until assigned"; the last one has no end of its own. */
static void
add_phases(Sla *sla, const NameSource *source, char **items, int count)
{
	if (count > MAX_PHASES)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an SLA has at most %d phases", MAX_PHASES)));
	sla->phase_count = count;
	sla->phases = palloc(sizeof(char *) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		char *until = strstr(items[i], " until ");

		if ((until == NULL) != (i == count - 1))
			reject_sla(
				sla,
				psprintf("phase \"%s\" cannot be read", items[i]),
				"Write each but the last as in: routing until assigned; the last one lasts until the clock stops.");
		if (until != NULL)
		{
			SlaName *name = name_in_role(sla, source, pstrdup(skip_space(until + strlen(" until "))));

			if (name->roles & ROLE_PHASE)
				reject_sla(sla, psprintf("mark \"%s\" ends two phases", name->name), NULL);
			name->roles |= ROLE_PHASE;
			name->phase = i + 1;
			sla->phases[i] = pnstrdup(items[i], until - items[i]);
		}
		else
			sla->phases[i] = items[i];
	}
}

static int
word_argument(const Sla *sla, FunctionCallInfo fcinfo, int argno, const char *option, const char *const *words)
{
	if (PG_ARGISNULL(argno))
		reject_sla(sla, psprintf("option %s must not be NULL", option), "Leave it out for its default.");
	return word_index(KIND, sla->name, option, text_to_cstring(PG_GETARG_TEXT_PP(argno)), words);
}

/* Without a calendar, a day has 24 hours; with one, it has no length. */
static void
set_target(const Sla *sla, Policy *policy, const Interval *interval)
{
	if (interval->month != 0)
		reject_sla(sla,
				   "target must not contain months or years",
				   policy->calendar >= 0 ? "Write it in hours." : "Write it in days of 24 hours.");
	if (interval->day != 0 && policy->calendar >= 0)
		reject_sla(sla, "target must not contain days", "With a calendar a day has no length: write it in hours.");
	policy->has_target = true;
	if (pg_mul_s64_overflow(interval->day, USECS_PER_DAY, &policy->target) ||
		pg_add_s64_overflow(policy->target, interval->time, &policy->target))
		reject_sla(sla, "target is too long", NULL);
}

static void
set_calendar(Sla *sla, Policy *policy, Datum datum)
{
	ByteReader reader;

	reader_over_datum(&reader, datum, "business_calendar");
	sla->calendars = palloc(sizeof(StoredCalendar));
	sla->calendars[0] = (StoredCalendar){reader.p, reader.end - reader.p};
	sla->calendar_count = 1;
	policy->calendar = 0;
}

static void
set_values(FunctionCallInfo fcinfo, int argno, const char *option, ValueList *list)
{
	Datum *elements;
	bool  *nulls;

	if (PG_ARGISNULL(argno))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno),
					  INT8OID,
					  sizeof(int64),
					  FLOAT8PASSBYVAL,
					  TYPALIGN_DOUBLE,
					  &elements,
					  &nulls,
					  &list->count);
	if (list->count > MAX_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a policy has at most %d segments or owners", MAX_VALUES)));
	list->set = true;
	list->values = palloc(sizeof(int64) * Max(list->count, 1));
	for (int i = 0; i < list->count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("option %s must not contain NULL", option)));
		list->values[i] = DatumGetInt64(elements[i]);
	}
}

static void
set_warnings(const Sla *sla, Policy *policy, FunctionCallInfo fcinfo, int argno)
{
	Datum *elements;
	bool  *nulls;
	int	   count;

	if (PG_ARGISNULL(argno))
		return;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argno), NUMERICOID, -1, false, TYPALIGN_INT, &elements, &nulls, &count);
	policy->warnings = palloc(sizeof(int) * Max(count, 1));
	for (int i = 0; i < count; i++)
	{
		double fraction;

		if (nulls[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("option warnings must not contain NULL")));
		fraction = DatumGetFloat8(DirectFunctionCall1(numeric_float8, elements[i]));
		if (!(fraction > 0 && fraction < 1))
			reject_sla(sla, "warnings must be fractions between 0 and 1", "They are parts of the target, such as 0.8.");
		policy->warnings[policy->warning_count++] = (int) rint(fraction * MILLION);
		if (fabs(rint(fraction * MILLION) - fraction * MILLION) > 1e-6)
			reject_sla(sla, "warnings have at most six decimals", NULL);
	}
}

/* A timestamp range as [from, to): instants are whole microseconds. */
static void
set_validity(const Sla *sla, Policy *policy, FunctionCallInfo fcinfo, int argno)
{
	RangeType	   *range = PG_GETARG_RANGE_P(argno);
	TypeCacheEntry *type = range_get_typcache(fcinfo, RangeTypeGetOid(range));
	RangeBound		lower;
	RangeBound		upper;
	bool			empty;

	range_deserialize(type, range, &lower, &upper, &empty);
	if (empty)
		reject_sla(sla, "valid is empty", "The policy would never be in force.");
	policy->valid_from = range_bound_instant(&lower, !lower.inclusive, DT_NOBEGIN);
	policy->valid_to = range_bound_instant(&upper, upper.inclusive, DT_NOEND);
}

enum
{
	ARG_NAME,
	ARG_START, /* and the other roles */
	ARG_MARKS = ARG_START + ROLE_OPTIONS,
	ARG_LIFECYCLE,
	ARG_TARGET,
	ARG_CALENDAR,
	ARG_WARNINGS,
	ARG_ESCALATIONS,
	ARG_VERSION,
	ARG_VALID,
	ARG_SEGMENTS,
	ARG_OWNERS,
	ARG_REOPEN,
	ARG_CHANGE,
	ARG_PHASES,
	ARG_MAX_CLOCKS,
	ARG_BEYOND
};

static void
add_roles(FunctionCallInfo fcinfo, Sla *sla)
{
	NameSource source = {PG_ARGISNULL(ARG_MARKS) && PG_ARGISNULL(ARG_LIFECYCLE), NULL};
	char	 **items;
	int		   count;

	if (!PG_ARGISNULL(ARG_LIFECYCLE))
		source.lifecycle = decode_lifecycle(PG_GETARG_DATUM(ARG_LIFECYCLE));
	if (!PG_ARGISNULL(ARG_MARKS))
	{
		items = text_array(fcinfo, ARG_MARKS, "marks", &count);
		for (int i = 0; i < count; i++)
			add_named_marks(sla, items[i]);
	}
	for (int option = 0; option < ROLE_OPTIONS; option++)
	{
		if (PG_ARGISNULL(ARG_START + option))
			continue;
		items = text_array(fcinfo, ARG_START + option, role_options[option].word, &count);
		for (int i = 0; i < count; i++)
			name_in_role(sla, &source, items[i])->roles |= role_options[option].role;
	}
	if (!PG_ARGISNULL(ARG_PHASES))
	{
		items = text_array(fcinfo, ARG_PHASES, "phases", &count);
		add_phases(sla, &source, items, count);
	}
}

static void
set_policy(FunctionCallInfo fcinfo, Sla *sla)
{
	Policy *policy = palloc0(sizeof(Policy));

	sla->policies = policy;
	sla->policy_count = 1;
	policy->valid_from = DT_NOBEGIN;
	policy->valid_to = DT_NOEND;
	policy->calendar = -1;
	policy->version = PG_ARGISNULL(ARG_VERSION) ? "" : text_to_cstring(PG_GETARG_TEXT_PP(ARG_VERSION));
	if (!PG_ARGISNULL(ARG_CALENDAR))
		set_calendar(sla, policy, PG_GETARG_DATUM(ARG_CALENDAR));
	if (!PG_ARGISNULL(ARG_TARGET))
		set_target(sla, policy, PG_GETARG_INTERVAL_P(ARG_TARGET));
	set_warnings(sla, policy, fcinfo, ARG_WARNINGS);
	if (!PG_ARGISNULL(ARG_ESCALATIONS))
	{
		char **items = text_array(fcinfo, ARG_ESCALATIONS, "escalations", &policy->step_count);

		policy->steps = palloc(sizeof(EscalationStep) * Max(policy->step_count, 1));
		for (int i = 0; i < policy->step_count; i++)
			policy->steps[i] = parse_step(sla, policy, items[i]);
	}
	if (!PG_ARGISNULL(ARG_VALID))
		set_validity(sla, policy, fcinfo, ARG_VALID);
	set_values(fcinfo, ARG_SEGMENTS, "segments", &policy->segments);
	set_values(fcinfo, ARG_OWNERS, "owners", &policy->owners);
}

/* sla(name, start, stop, ...): one policy */
Datum
revacct_sla(PG_FUNCTION_ARGS)
{
	Sla *sla = palloc0(sizeof(Sla));

	if (PG_ARGISNULL(ARG_NAME))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the name of an SLA must not be NULL")));
	sla->name = text_to_cstring(PG_GETARG_TEXT_PP(ARG_NAME));
	sla->reopen = word_argument(sla, fcinfo, ARG_REOPEN, "reopen", reopen_words);
	sla->change = word_argument(sla, fcinfo, ARG_CHANGE, "change", change_words);
	sla->beyond = word_argument(sla, fcinfo, ARG_BEYOND, "beyond", beyond_words);
	if (!PG_ARGISNULL(ARG_MAX_CLOCKS))
	{
		sla->max_clocks = PG_GETARG_INT32(ARG_MAX_CLOCKS);
		if (sla->max_clocks < 1)
			reject_sla(sla, "max_clocks must be at least 1", "Leave it out for no limit.");
	}
	else if (sla->beyond != BEYOND_IGNORE)
		reject_sla(sla, "beyond needs max_clocks", NULL);
	add_roles(fcinfo, sla);
	set_policy(fcinfo, sla);
	unite_calendars(sla);
	finish_sla(sla, false);
	return sla_as_value(sla);
}

/* sla(sla[]): one SLA with the policies of all */
Datum
revacct_sla_of_slas(PG_FUNCTION_ARGS)
{
	ArrayType	  *array = PG_GETARG_ARRAYTYPE_P(0);
	ArrayIterator  iterator = array_create_iterator(array, 0, NULL);
	int			   limit = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	Sla			  *whole = NULL;
	StringInfoData common;
	Datum		   element;
	bool		   isnull;

	initStringInfo(&common);
	while (array_iterate(iterator, &element, &isnull))
	{
		Sla			  *part;
		StringInfoData own;

		CHECK_FOR_INTERRUPTS();
		if (isnull)
			continue;
		part = decode_sla(element);
		initStringInfo(&own);
		append_common(&own, part);
		if (whole == NULL)
		{
			whole = palloc(sizeof(Sla));
			*whole = *part;
			append_common(&common, part);
			whole->policy_count = whole->calendar_count = 0;
			whole->policies = palloc(sizeof(Policy) * MAX_POLICIES);
			whole->calendars = palloc(sizeof(StoredCalendar) * MAX_POLICIES * Min(limit, MAX_POLICIES));
		}
		else if (own.len != common.len || memcmp(own.data, common.data, own.len) != 0)
			reject_sla(whole,
					   psprintf("SLA \"%s\" differs from SLA \"%s\" in more than its policy", part->name, whole->name),
					   "Parts of one SLA agree in name, marks, phases, reopen, change, max_clocks and beyond.");
		if (whole->policy_count + part->policy_count > MAX_POLICIES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("an SLA has at most %d policies", MAX_POLICIES)));
		for (int i = 0; i < part->policy_count; i++)
		{
			Policy *policy = &whole->policies[whole->policy_count++];

			*policy = part->policies[i];
			if (policy->calendar >= 0)
			{
				whole->calendars[whole->calendar_count] = part->calendars[policy->calendar];
				policy->calendar = whole->calendar_count++;
			}
		}
	}
	if (whole == NULL)
		PG_RETURN_NULL();
	unite_calendars(whole);
	finish_sla(whole, false);
	return sla_as_value(whole);
}

/*
 * Text form
 *
 *	first reply: marks created=1, replied=2; start created; stop replied; reopen resume; change carry;
 *	calendars "support: ..."; policy version v1, target 8 hours, calendar 1, warnings 0.8, step 80% to owner
 */

static void
append_item(StringInfo out, const char **gap, const char *item)
{
	appendStringInfoString(out, *gap);
	append_name(out, item);
	*gap = ", ";
}

static void
append_names_text(StringInfo out, const Sla *sla)
{
	const char *gap = ": marks ";

	for (int i = 0; i < sla->name_count; i++)
	{
		StringInfoData item;

		initStringInfo(&item);
		appendStringInfo(&item, "%s=", sla->names[i].name);
		for (int m = 0; m < sla->names[i].mark_count; m++)
			appendStringInfo(&item, "%s%d", m > 0 ? " " : "", sla->names[i].marks[m]);
		append_item(out, &gap, item.data);
	}
	for (int option = 0; option < ROLE_OPTIONS; option++)
	{
		char *first = psprintf("; %s ", role_options[option].word);

		gap = first;
		for (int i = 0; i < sla->name_count; i++)
			if (sla->names[i].roles & role_options[option].role)
				append_item(out, &gap, sla->names[i].name);
	}
	gap = "; phases ";
	for (int phase = 0; phase < sla->phase_count; phase++)
	{
		const char *item = sla->phases[phase];

		for (int i = 0; i < sla->name_count; i++)
			if (sla->names[i].phase == phase + 1)
				item = psprintf("%s until %s", sla->phases[phase], sla->names[i].name);
		append_item(out, &gap, item);
	}
}

static void
append_values_text(StringInfo out, const char **gap, const char *word, const ValueList *list)
{
	StringInfoData item;

	if (!list->set)
		return;
	initStringInfo(&item);
	appendStringInfoString(&item, word);
	for (int i = 0; i < list->count; i++)
		appendStringInfo(&item, " " INT64_FORMAT, list->values[i]);
	append_item(out, gap, item.data);
}

static void
append_instant_text(StringInfo out, const char **gap, const char *word, TimestampTz at)
{
	StringInfoData item;

	initStringInfo(&item);
	appendStringInfo(&item, "%s ", word);
	append_instant(&item, at);
	append_item(out, gap, item.data);
}

static void
append_policy_text(StringInfo out, const Policy *policy)
{
	const char	  *gap = "; policy ";
	StringInfoData item;

	if (*policy->version != '\0')
		append_item(out, &gap, psprintf("version %s", policy->version));
	if (policy->valid_from != DT_NOBEGIN)
		append_instant_text(out, &gap, "from", policy->valid_from);
	if (policy->valid_to != DT_NOEND)
		append_instant_text(out, &gap, "before", policy->valid_to);
	append_values_text(out, &gap, "segments", &policy->segments);
	append_values_text(out, &gap, "owners", &policy->owners);
	initStringInfo(&item);
	if (policy->has_target)
		append_amount(&item, policy->target);
	append_item(out, &gap, policy->has_target ? psprintf("target %s", item.data) : "target none");
	if (policy->calendar >= 0)
		append_item(out, &gap, psprintf("calendar %d", policy->calendar + 1));
	if (policy->warning_count > 0)
	{
		resetStringInfo(&item);
		appendStringInfoString(&item, "warnings");
		for (int i = 0; i < policy->warning_count; i++)
		{
			appendStringInfo(&item, " 0.%06d", policy->warnings[i]);
			while (item.data[item.len - 1] == '0')
				item.data[--item.len] = '\0';
		}
		append_item(out, &gap, item.data);
	}
	for (int i = 0; i < policy->step_count; i++)
		append_item(out, &gap, psprintf("step %s", step_text(&policy->steps[i])));
}

Datum
revacct_sla_out(PG_FUNCTION_ARGS)
{
	Sla			  *sla = decode_sla(PG_GETARG_DATUM(0));
	StringInfoData out;
	const char	  *gap = "; calendars ";

	initStringInfo(&out);
	append_name(&out, sla->name);
	append_names_text(&out, sla);
	appendStringInfo(&out, "; reopen %s; change %s", reopen_words[sla->reopen], change_words[sla->change]);
	if (sla->max_clocks > 0)
		appendStringInfo(&out, "; max_clocks %d; beyond %s", sla->max_clocks, beyond_words[sla->beyond]);
	for (int i = 0; i < sla->calendar_count; i++)
		append_item(&out, &gap, calendar_text(sla->calendars[i].bytes, sla->calendars[i].length));
	for (int i = 0; i < sla->policy_count; i++)
		append_policy_text(&out, &sla->policies[i]);
	PG_RETURN_CSTRING(out.data);
}

static void
parse_values(const TextReader *reader, const char *item, ValueList *list)
{
	const char *p = skip_space(item);

	list->set = true;
	list->values = palloc(sizeof(int64) * (strlen(item) / 2 + 1));
	while (*p)
	{
		char *end;

		if (list->count >= MAX_VALUES)
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("a policy has at most %d segments or owners", MAX_VALUES)));
		errno = 0;
		list->values[list->count++] = strtoi64(p, &end, 10);
		if (end == p || errno != 0 || (*end && !is_space(*end)))
			reject_text(reader, item);
		p = skip_space(end);
	}
}

static void
parse_warnings(const TextReader *reader, const char *item, Policy *policy)
{
	const char *p = skip_space(item);

	policy->warnings = palloc(sizeof(int) * (strlen(item) + 1));
	while (*p)
	{
		int scale = MILLION;
		int value = 0;

		if (strncmp(p, "0.", 2) != 0)
			reject_text(reader, item);
		for (p += 2; isdigit((unsigned char) *p); p++)
		{
			if ((scale /= 10) == 0)
				reject_text(reader, item);
			value += (*p - '0') * scale;
		}
		if (*p && !is_space(*p))
			reject_text(reader, item);
		policy->warnings[policy->warning_count++] = value;
		p = skip_space(p);
	}
}

static TimestampTz
parse_instant_item(const TextReader *reader, const char *item)
{
	TimestampTz at;
	const char *end = parse_instant(item, &at);

	if (end == NULL || *end != '\0')
		reject_text(reader, item);
	return at;
}

/* One item of a policy: a word, a space, what it is about. */
static void
parse_policy_item(const TextReader *reader, const Sla *sla, Policy *policy, const char *item)
{
	const char *space = strchr(item, ' ');
	const char *rest = space != NULL ? space + 1 : "";
	char	   *word = space != NULL ? pnstrdup(item, space - item) : pstrdup(item);

	if (strcmp(word, "version") == 0)
		policy->version = rest;
	else if (strcmp(word, "from") == 0)
		policy->valid_from = parse_instant_item(reader, rest);
	else if (strcmp(word, "before") == 0)
		policy->valid_to = parse_instant_item(reader, rest);
	else if (strcmp(word, "segments") == 0)
		parse_values(reader, rest, &policy->segments);
	else if (strcmp(word, "owners") == 0)
		parse_values(reader, rest, &policy->owners);
	else if (strcmp(item, "target none") == 0)
		policy->has_target = false;
	else if (strcmp(word, "target") == 0)
	{
		bool days;

		policy->has_target = true;
		if (!parse_amount(rest, &policy->target, &days) || (days && policy->calendar >= 0))
			reject_text(reader, item);
	}
	else if (strcmp(word, "calendar") == 0)
	{
		char *end;
		long  place = strtol(rest, &end, 10);

		if (end == rest || *end != '\0' || place < 1 || place > MAX_POLICIES)
			reject_text(reader, item);
		policy->calendar = (int) place - 1;
	}
	else if (strcmp(word, "warnings") == 0)
		parse_warnings(reader, rest, policy);
	else if (strcmp(word, "step") == 0)
	{
		if (policy->step_count >= MAX_STEPS_OF_POLICY)
			reject_text(reader, item);
		if (policy->steps == NULL)
			policy->steps = palloc(sizeof(EscalationStep) * MAX_STEPS_OF_POLICY);
		policy->steps[policy->step_count++] = parse_step(sla, policy, rest);
	}
	else
		reject_text(reader, item);
}

static void
parse_policy(const TextReader *reader, Sla *sla, char **items, int count)
{
	Policy *policy;

	if (sla->policies == NULL)
		sla->policies = palloc(sizeof(Policy) * MAX_POLICIES);
	if (sla->policy_count >= MAX_POLICIES)
		reject_text(reader, items[0]);
	policy = &sla->policies[sla->policy_count++];
	memset(policy, 0, sizeof(Policy));
	policy->version = "";
	policy->valid_from = DT_NOBEGIN;
	policy->valid_to = DT_NOEND;
	policy->calendar = -1;
	for (int i = 0; i < count; i++)
	{
		Size word = strcspn(items[i], " ");

		for (int j = 0; j < i; j++)
			if (strcspn(items[j], " ") == word && strncmp(items[i], items[j], word) == 0 &&
				strncmp(items[i], "step ", 5) != 0)
				reject_text(reader, items[i]);
		/* the calendar comes before what it decides about */
		if (strncmp(items[i], "calendar ", 9) == 0)
			parse_policy_item(reader, sla, policy, items[i]);
	}
	for (int i = 0; i < count; i++)
		if (strncmp(items[i], "calendar ", 9) != 0)
			parse_policy_item(reader, sla, policy, items[i]);
}

static void
parse_calendars(Sla *sla, char **items, int count)
{
	sla->calendar_count = count;
	sla->calendars = palloc(sizeof(StoredCalendar) * count);
	for (int i = 0; i < count; i++)
	{
		StringInfoData bytes;

		initStringInfo(&bytes);
		append_calendar_of_text(&bytes, items[i]);
		sla->calendars[i] = (StoredCalendar){bytes.data, bytes.len};
	}
}

/* One clause: its keyword, a space, its items. */
static void
parse_clause(TextReader *reader, Sla *sla, StringInfo seen)
{
	NameSource	listed = {false, NULL};
	const char *start;
	char	   *keyword = parse_keyword(reader, &start);
	char	  **items;
	int			count;

	if (strcmp(keyword, "policy") != 0 && strstr(seen->data, psprintf(" %s ", keyword)) != NULL)
		reject_text(reader, start);
	appendStringInfo(seen, " %s ", keyword);
	items = parse_items(reader, &count);
	for (int option = 0; option < ROLE_OPTIONS; option++)
	{
		if (strcmp(keyword, role_options[option].word) != 0)
			continue;
		for (int i = 0; i < count; i++)
			name_in_role(sla, &listed, items[i])->roles |= role_options[option].role;
		return;
	}
	if (strcmp(keyword, "marks") == 0)
	{
		for (int i = 0; i < count; i++)
			add_named_marks(sla, items[i]);
	}
	else if (strcmp(keyword, "phases") == 0)
		add_phases(sla, &listed, items, count);
	else if (strcmp(keyword, "calendars") == 0)
		parse_calendars(sla, items, count);
	else if (strcmp(keyword, "policy") == 0)
		parse_policy(reader, sla, items, count);
	else if (count != 1)
		reject_text(reader, start);
	else if (strcmp(keyword, "reopen") == 0)
		sla->reopen = word_index(KIND, sla->name, keyword, items[0], reopen_words);
	else if (strcmp(keyword, "change") == 0)
		sla->change = word_index(KIND, sla->name, keyword, items[0], change_words);
	else if (strcmp(keyword, "beyond") == 0)
		sla->beyond = word_index(KIND, sla->name, keyword, items[0], beyond_words);
	else if (strcmp(keyword, "max_clocks") == 0)
	{
		char *end;
		long  count = strtol(items[0], &end, 10);

		if (end == items[0] || *end != '\0' || count < 1 || count > PG_INT32_MAX)
			reject_text(reader, start);
		sla->max_clocks = (int) count;
	}
	else
		reject_text(reader, start);
}

Datum
revacct_sla_in(PG_FUNCTION_ARGS)
{
	TextReader	   reader = {PG_GETARG_CSTRING(0),
							 PG_GETARG_CSTRING(0),
							 TYPE_NAME,
							 "Make an SLA with the function sla(name, start => ..., stop => ..., target => ..., ...)."};
	Sla			  *sla = palloc0(sizeof(Sla));
	StringInfoData seen;

	initStringInfo(&seen);
	sla->name = parse_name(&reader);
	if (*reader.p != ':')
		reject_text(&reader, reader.p);
	do
	{
		reader.p++;
		parse_clause(&reader, sla, &seen);
	} while (*reader.p == ';');
	if (*reader.p != '\0' || sla->policy_count == 0 || (sla->beyond != BEYOND_IGNORE && sla->max_clocks == 0))
		reject_text(&reader, reader.p);
	for (int i = 0; i < sla->policy_count; i++)
		if (sla->policies[i].calendar >= sla->calendar_count)
			reject_text(&reader, reader.p);
	unite_calendars(sla);
	finish_sla(sla, false);
	return sla_as_value(sla);
}

Datum
revacct_sla_recv(PG_FUNCTION_ARGS)
{
	StringInfoData bytes = message_bytes((StringInfo) PG_GETARG_POINTER(0));

	check_sla_bytes(bytes.data, bytes.len, BYTES_RECEIVED);
	return bytes_as_varlena(&bytes);
}

/*
 * Questions
 */

/* mark(sla, name): the first mark of a name */
Datum
revacct_sla_mark(PG_FUNCTION_ARGS)
{
	text		  *argument = PG_GETARG_TEXT_PP(1);
	Size		   name_length = VARSIZE_ANY_EXHDR(argument);
	StringInfoData names;
	Sla			  *sla;

	if (fcinfo->flinfo->fn_extra == NULL)
		fcinfo->flinfo->fn_extra = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SlaCall));
	sla = sla_of_call(fcinfo->flinfo->fn_extra, PG_GETARG_DATUM(0), fcinfo->flinfo->fn_mcxt);
	for (int i = 0; i < sla->name_count; i++)
		if (strncmp(sla->names[i].name, VARDATA_ANY(argument), name_length) == 0 &&
			sla->names[i].name[name_length] == '\0')
			PG_RETURN_INT32(sla->names[i].marks[0]);
	initStringInfo(&names);
	for (int i = 0; i < sla->name_count; i++)
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", sla->names[i].name);
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("\"%s\" is not a mark of SLA \"%s\"", text_to_cstring(argument), sla->name),
			 errdetail("Its marks are %s.", names.data),
			 errhint("Leave out events that are not its business, or list them in marks.")));
}

/* promise_value(deadline): microseconds since 1970-01-01 UTC */
Datum
revacct_promise_value(PG_FUNCTION_ARGS)
{
	int64 value;

	check_finite_instant(PG_GETARG_TIMESTAMPTZ(0), "a deadline");
	if (pg_add_s64_overflow(PG_GETARG_TIMESTAMPTZ(0), UNIX_EPOCH, &value))
		ereport(ERROR,
				(errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
				 errmsg("a deadline must be before the year 294247"),
				 errdetail("A promise counts microseconds since 1970-01-01 UTC.")));
	PG_RETURN_INT64(value);
}
