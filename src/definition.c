/*
 * definition.c
 *	  What all definitions share; see definition.h.
 */
#include "definition.h"


#include "catalog/pg_type.h"
#include "common/cryptohash.h"
#include "common/hashfn.h"
#include "common/sha2.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(revacct_definition_send);
PG_FUNCTION_INFO_V1(revacct_definition_fingerprint);
PG_FUNCTION_INFO_V1(revacct_definition_name);
PG_FUNCTION_INFO_V1(revacct_definition_eq);
PG_FUNCTION_INFO_V1(revacct_definition_ne);
PG_FUNCTION_INFO_V1(revacct_definition_hash);
PG_FUNCTION_INFO_V1(revacct_definition_hash_extended);

/*
 * Refusals
 */

/* Refuse a definition of some kind; name and hint may be NULL. */
void
reject_definition(const char *kind, const char *name, const char *message, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("%s", message),
			 name ? errdetail("The %s is \"%s\".", kind, name) : 0,
			 hint ? errhint("%s", hint) : 0));
}

/* Refuse to merge summaries of two definitions. */
void
report_definition_mismatch(const char *kinds, uint64 a, uint64 b)
{
	ereport(ERROR,
			(errcode(ERRCODE_DEFINITION_MISMATCH),
			 errmsg("summaries of different definitions cannot be merged"),
			 errdetail("Their %s have the fingerprints %s and %s.", kinds, fingerprint_text(a), fingerprint_text(b)),
			 errhint("Group by fingerprint(summary), or compute all summaries under one definition.")));
}

static const char *
instant_text(TimestampTz at)
{
	StringInfoData text;

	if (TIMESTAMP_NOT_FINITE(at))
		return "no time";
	initStringInfo(&text);
	append_instant(&text, at);
	return text.data;
}

/* Refuse to merge summaries of two times; what names the argument in which they differ. */
void
report_instant_mismatch(const char *what, TimestampTz a, TimestampTz b)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBSERVATION_MISMATCH),
			 errmsg("summaries with different %s cannot be merged", what),
			 errdetail("Their %s is %s and %s.", what, instant_text(a), instant_text(b)),
			 errhint("Group by %s, or compute all summaries with one.", what)));
}

/*
 * Bytes
 */

char *
fingerprint_text(uint64 fingerprint)
{
	return psprintf("%016llx", (unsigned long long) fingerprint);
}

/* The first 8 bytes of the SHA-256 of some bytes. */
static uint64
digest(const char *bytes, Size len)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	uint8			   hash[PG_SHA256_DIGEST_LENGTH];
	uint64			   result;

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (const uint8 *) bytes, len) < 0 ||
		pg_cryptohash_final(context, hash, sizeof(hash)) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	memcpy(&result, hash, sizeof(result));
	return pg_ntoh64(result);
}

/* Append a definition with the head that all have. */
void
append_fingerprinted(StringInfo out, const StringInfoData *definition)
{
	uint64 fingerprint = pg_hton64(digest(definition->data, definition->len));

	appendStringInfoChar(out, REVACCT_VERSION_BYTE);
	appendBinaryStringInfo(out, (char *) &fingerprint, sizeof(fingerprint));
	appendBinaryStringInfo(out, definition->data, definition->len);
}

/* Read that head; the fingerprint is believed, as only check by rebuilding can tell. */
uint64
read_fingerprint(ByteReader *reader)
{
	uint8  version = read_byte(reader);
	uint64 fingerprint;

	if (version != REVACCT_VERSION_BYTE)
		report_newer_version(reader->type_name, version);
	memcpy(&fingerprint, read_bytes(reader, sizeof(fingerprint)), sizeof(fingerprint));
	return pg_ntoh64(fingerprint);
}

void
append_text(StringInfo out, const char *text)
{
	append_varint(out, strlen(text));
	appendStringInfoString(out, text);
}

/* A text of at most MAX_NAME_BYTES, valid in the database's encoding. */
char *
read_text(ByteReader *reader)
{
	Size  len = read_bounded(reader, MAX_NAME_BYTES);
	char *text = pnstrdup((const char *) read_bytes(reader, len), len);

	if (strlen(text) != len || !pg_verifymbstr(text, len, true))
		broken(reader);
	return text;
}

int
read_word(ByteReader *reader, const char *const *words)
{
	uint8 word = read_byte(reader);

	for (int i = 0; i <= word; i++)
		if (words[i] == NULL)
			broken(reader);
	return word;
}

/*
 * Time zones
 */

/* The canonical spelling of a zone, so that one zone has one fingerprint. */
const char *
zone_name(const char *name)
{
	pg_tz *zone = pg_tzset(name);

	return zone != NULL ? pstrdup(pg_get_timezone_name(zone)) : name;
}

/*
 * Is this a name of what differs from machine to machine? localtime and posixrules do, and so does POSIX's form with a summer
 * time but without its rules (FOO5BAR), since posixrules stand in for them. Four names of IANA's have that form.
 */
static bool
differs_by_machine(const char *zone)
{
	static const char *const machine[] = {"localtime", "posixrules", NULL};
	static const char *const iana[] = {"EST5EDT", "CST6CDT", "MST7MDT", "PST8PDT", NULL};
	bool					 digit = false;

	for (int i = 0; machine[i] != NULL; i++)
		if (pg_strcasecmp(zone, machine[i]) == 0)
			return true;
	for (int i = 0; iana[i] != NULL; i++)
		if (pg_strcasecmp(zone, iana[i]) == 0)
			return false;
	if (strchr(zone, ',') != NULL)
		return false;
	for (; *zone != '\0'; zone++)
	{
		/* in any encoding and locale: whatever follows the offset and is no part of it is another name */
		if (digit && strchr("0123456789:+-", *zone) == NULL)
			return true;
		digit = digit || (*zone >= '0' && *zone <= '9');
	}
	return false;
}

/* The zone of a definition, or an error. */
pg_tz *
checked_zone(const char *kind, const char *name, const char *zone)
{
	pg_tz *result = pg_tzset(zone);

	if (result == NULL || !pg_tz_acceptable(result) || differs_by_machine(zone))
		reject_definition(kind,
						  name,
						  psprintf("unknown time_zone \"%s\"", zone),
						  "Use an IANA name, such as Europe/Berlin.");
	return result;
}

/*
 * Arguments
 */

/* The texts in an array argument, none of which may be NULL. */
char **
text_array(FunctionCallInfo fcinfo, int argno, const char *option, int *count)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(argno);
	Datum	  *elements;
	bool	  *nulls;
	char	 **result;

	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, count);
	result = palloc(sizeof(char *) * Max(*count, 1));
	for (int i = 0; i < *count; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("option %s must not contain NULL", option)));
		result[i] = TextDatumGetCString(elements[i]);
	}
	return result;
}

static int
compare_mark_ids(const void *a, const void *b)
{
	return (int) *(const uint16 *) a - (int) *(const uint16 *) b;
}

/* The mark ids in a list such as "1 5", ascending; -1 if it is none. repeated is one that is named twice, or 0. */
int
parse_mark_ids(const char *list, uint16 **marks, int *repeated)
{
	int count = 0;

	*marks = palloc(sizeof(uint16) * (strlen(list) / 2 + 1));
	for (const char *p = skip_space(list); *p; p = skip_space(p))
	{
		char *end;
		long  mark;

		errno = 0;
		mark = strtol(p, &end, 10);
		if (end == p || errno != 0 || mark < 1 || mark > MAX_MARK_ID || (*end && !is_space(*end)))
			return -1;
		(*marks)[count++] = (uint16) mark;
		p = end;
	}
	qsort(*marks, count, sizeof(uint16), compare_mark_ids);
	*repeated = 0;
	for (int m = 1; m < count; m++)
		if ((*marks)[m] == (*marks)[m - 1])
			*repeated = (*marks)[m];
	return count;
}

/* A bound of a timestamp range as an instant; one microsecond later if asked, and unbounded if there is none. */
TimestampTz
range_bound_instant(const RangeBound *bound, bool add_one, TimestampTz unbounded)
{
	TimestampTz at;

	if (bound->infinite)
		return unbounded;
	if (TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(bound->val)))
		return DatumGetTimestampTz(bound->val);
	at = DatumGetTimestampTz(bound->val) + (add_one ? 1 : 0);
	/* After the last instant nothing counts, and up to it everything does. */
	return IS_VALID_TIMESTAMP(at) ? at : DT_NOEND;
}

/* The place of a word among the words of an option, or an error. */
int
word_index(const char *kind, const char *name, const char *option, const char *word, const char *const *words)
{
	StringInfoData choices;

	for (int i = 0; words[i] != NULL; i++)
		if (strcmp(words[i], word) == 0)
			return i;
	initStringInfo(&choices);
	for (int i = 0; words[i] != NULL; i++)
		appendStringInfo(&choices, "%s%s", i > 0 ? ", " : "", words[i]);
	reject_definition(kind,
					  name,
					  psprintf("option %s cannot be \"%s\"", option, word),
					  psprintf("Choose one of %s.", choices.data));
}

/*
 * Text form
 */

/* A name as it is if that is clear, else in double quotes. */
void
append_name(StringInfo out, const char *name)
{
	Size len = strlen(name);
	bool plain = len > 0 && !is_space(name[0]) && !is_space(name[len - 1]);

	for (const char *p = name; *p && plain; p++)
		plain = strchr(",;:\"", *p) == NULL && (unsigned char) *p >= ' ' && *p != 0x7F;
	if (plain)
	{
		appendStringInfoString(out, name);
		return;
	}
	appendStringInfoChar(out, '"');
	for (const char *p = name; *p; p++)
	{
		if (*p == '"')
			appendStringInfoChar(out, '"');
		appendStringInfoChar(out, *p);
	}
	appendStringInfoChar(out, '"');
}

void
reject_text(const TextReader *reader, const char *at)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"", reader->type_name, reader->text),
			 errdetail("Not understood from \"%s\" on.", at),
			 errhint("%s", reader->hint)));
}

const char *
skip_space(const char *p)
{
	while (is_space(*p))
		p++;
	return p;
}

/* What is in double quotes at the reader; the text started at start. */
static void
parse_quoted(TextReader *reader, const char *start, StringInfo name)
{
	for (reader->p++; *reader->p != '"' || reader->p[1] == '"'; reader->p++)
	{
		if (*reader->p == '\0')
			reject_text(reader, start);
		appendStringInfoChar(name, *reader->p);
		if (*reader->p == '"')
			reader->p++;
	}
	reader->p = skip_space(reader->p + 1);
}

/* A name up to the next of the separators, plain or in double quotes. */
static char *
parse_up_to(TextReader *reader, const char *separators)
{
	const char	  *start = reader->p = skip_space(reader->p);
	StringInfoData name;
	char		  *result;

	initStringInfo(&name);
	if (*reader->p == '"')
		parse_quoted(reader, start, &name);
	else
	{
		while (*reader->p && *reader->p != '"' && strchr(separators, *reader->p) == NULL)
			appendStringInfoChar(&name, *reader->p++);
		while (name.len > 0 && is_space(name.data[name.len - 1]))
			name.data[--name.len] = '\0';
	}
	if (*reader->p && strchr(separators, *reader->p) == NULL)
		reject_text(reader, reader->p);
	/* there may be many of them */
	result = pnstrdup(name.data, name.len);
	pfree(name.data);
	return result;
}

/* The name before the first clause. */
char *
parse_name(TextReader *reader)
{
	return parse_up_to(reader, ",;:");
}

/* The keyword that begins a clause. */
char *
parse_keyword(TextReader *reader, const char **start)
{
	Size len;

	*start = reader->p = skip_space(reader->p);
	len = strcspn(reader->p, " ,;:\"");
	reader->p += len;
	return pnstrdup(*start, len);
}

/* The items of a clause, separated by commas. */
char **
parse_items(TextReader *reader, int *count)
{
	int	   capacity = 8;
	char **items = palloc(sizeof(char *) * capacity);

	*count = 0;
	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (*count == capacity)
			items = repalloc(items, sizeof(char *) * (capacity *= 2));
		items[(*count)++] = parse_up_to(reader, ",;");
		if (*reader->p != ',')
			return items;
		reader->p++;
	}
}

/*
 * SQL functions of every type of definition
 */

/* The stored bytes: a copy, for callers free what they are sent. */
Datum
revacct_definition_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_POINTER(PG_DETOAST_DATUM_COPY(PG_GETARG_DATUM(0)));
}

Datum
revacct_definition_fingerprint(PG_FUNCTION_ARGS)
{
	Size length;

	PG_RETURN_TEXT_P(cstring_to_text(fingerprint_text(definition_fingerprint(PG_GETARG_DATUM(0), &length))));
}

/* Lifecycles and SLAs begin with their fingerprint and their name. */
Datum
revacct_definition_name(PG_FUNCTION_ARGS)
{
	ByteReader reader;

	reader_over_datum(&reader, PG_GETARG_DATUM(0), "definition");
	read_fingerprint(&reader);
	PG_RETURN_TEXT_P(cstring_to_text(read_text(&reader)));
}

/* Two definitions are the same if their fingerprints are. */
static bool
are_equal(FunctionCallInfo fcinfo)
{
	Size length;

	return definition_fingerprint(PG_GETARG_DATUM(0), &length) == definition_fingerprint(PG_GETARG_DATUM(1), &length);
}

Datum
revacct_definition_eq(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(are_equal(fcinfo));
}

Datum
revacct_definition_ne(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(!are_equal(fcinfo));
}

Datum
revacct_definition_hash(PG_FUNCTION_ARGS)
{
	Size length;

	PG_RETURN_INT32((int32) (definition_fingerprint(PG_GETARG_DATUM(0), &length) >> 32));
}

Datum
revacct_definition_hash_extended(PG_FUNCTION_ARGS)
{
	Size   length;
	uint64 fingerprint = definition_fingerprint(PG_GETARG_DATUM(0), &length);
	int64  seed = PG_GETARG_INT64(1);

	/* without a seed the lower half is the hash, as PostgreSQL wants it */
	if (seed == 0)
		PG_RETURN_INT64((int64) (fingerprint << 32 | fingerprint >> 32));
	PG_RETURN_INT64(
		(int64) hash_bytes_extended((const unsigned char *) &fingerprint, sizeof(fingerprint), (uint64) seed));
}
