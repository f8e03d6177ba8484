/*
 * definition.h
 *	  What all definitions (lifecycles, calendars, SLAs) share: their head, words and names, text form, refusals.
 *
 * A stored definition is a version byte, a fingerprint (8 bytes, network order) and the definition. The fingerprint is
 * the first 8 bytes of the SHA-256 of what follows it: two definitions are the same if and only if their fingerprints
 * are. There is one form for each definition; whatever comes from outside is rebuilt and compared.
 *
 * The text form is a name and clauses, each a keyword and items: "name: keyword item, item; keyword item". Names and
 * items that would not be clear stand in double quotes, in which a double quote is written twice.
 */
#ifndef REVACCT_DEFINITION_H
#define REVACCT_DEFINITION_H

#include "revacct.h"

#include "access/detoast.h"
#include "pgtime.h"
#include "utils/rangetypes.h"

#define MAX_NAME_BYTES 255
#define DEFINITION_HEADER_BYTES 9 /* version, fingerprint */

/* A text form being read. */
typedef struct TextReader
{
	const char *text; /* the whole, for the error */
	const char *p;
	const char *type_name;
	const char *hint;
} TextReader;

pg_noreturn extern void reject_definition(const char *kind, const char *name, const char *message, const char *hint);
pg_noreturn extern void report_definition_mismatch(const char *kinds, uint64 a, uint64 b);
pg_noreturn extern void report_instant_mismatch(const char *what, TimestampTz a, TimestampTz b);

extern char		  *fingerprint_text(uint64 fingerprint);
extern void		   append_fingerprinted(StringInfo out, const StringInfoData *definition);
extern uint64	   read_fingerprint(ByteReader *reader);
extern void		   append_text(StringInfo out, const char *text);
extern char		  *read_text(ByteReader *reader);
extern int		   read_word(ByteReader *reader, const char *const *words);
extern const char *zone_name(const char *name);
extern pg_tz	  *checked_zone(const char *kind, const char *name, const char *zone);

extern int		   parse_mark_ids(const char *list, uint16 **marks, int *repeated);
extern TimestampTz range_bound_instant(const RangeBound *bound, bool add_one, TimestampTz unbounded);
extern char		 **text_array(FunctionCallInfo fcinfo, int argno, const char *option, int *count);
extern int		   word_index(const char *kind, const char *name, const char *option, const char *word,
							  const char *const *words);

extern void				append_name(StringInfo out, const char *name);
pg_noreturn extern void reject_text(const TextReader *reader, const char *at);
extern const char	   *skip_space(const char *p);
extern char			   *parse_name(TextReader *reader);
extern char			   *parse_keyword(TextReader *reader, const char **start);
extern char			  **parse_items(TextReader *reader, int *count);

/* White space, whatever the locale. */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Does a text begin or end with white space, which text forms would lose? */
static inline bool
has_space_around(const char *text)
{
	return is_space(text[0]) || (text[0] != '\0' && is_space(text[strlen(text) - 1]));
}

/* The fingerprint of a definition without reading the rest; also its length in bytes. */
static inline uint64
definition_fingerprint(Datum datum, Size *length)
{
	ByteReader		reader;
	uint64			fingerprint;
	struct varlena *value = (struct varlena *) DatumGetPointer(datum);

	if (unlikely(VARATT_IS_COMPRESSED(value) || VARATT_IS_EXTERNAL(value)))
	{
		/* Compressed or out of line: only the head is needed, for each row. */
		*length = toast_raw_datum_size(datum) - VARHDRSZ;
		datum = PointerGetDatum(PG_DETOAST_DATUM_SLICE(datum, 0, DEFINITION_HEADER_BYTES));
		reader_over_datum(&reader, datum, "definition");
	}
	else
	{
		reader_over_datum(&reader, datum, "definition");
		*length = reader.end - reader.p;
	}
	if (unlikely(*length < DEFINITION_HEADER_BYTES))
		broken(&reader);
	memcpy(&fingerprint, reader.p + 1, sizeof(fingerprint));
	return pg_ntoh64(fingerprint);
}

#endif /* REVACCT_DEFINITION_H */
