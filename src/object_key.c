/*
 * object_key.c: the names of a definition as one text
 *
 * Names are joined by slashes; a slash or a backslash in a name has a backslash before it, so that no two lists of names have the
 * same key. A NULL among them counts as an empty name: keys have their parts in fixed places.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "revacct.h"

/* object_key(VARIADIC names text[]) */
PG_FUNCTION_INFO_V1(revacct_object_key);
Datum
revacct_object_key(PG_FUNCTION_ARGS)
{
	StringInfoData key;
	Datum		  *names;
	bool		  *nulls;
	int			   count;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(0), TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &count);
	initStringInfo(&key);
	for (int i = 0; i < count; i++)
	{
		CHECK_FOR_INTERRUPTS();
		if (i > 0)
			appendStringInfoChar(&key, '/');
		if (!nulls[i])
		{
			text	   *name = DatumGetTextPP(names[i]);
			const char *c = VARDATA_ANY(name);

			/* No byte of a character of several bytes is a slash or a backslash in a server encoding. */
			for (const char *end = c + VARSIZE_ANY_EXHDR(name); c < end; c++)
			{
				if (*c == '/' || *c == '\\')
					appendStringInfoChar(&key, '\\');
				appendStringInfoChar(&key, *c);
			}
		}
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(key.data, key.len));
}

/* _key_names(key text): the names that object_key() joined. */
PG_FUNCTION_INFO_V1(revacct_key_names);
Datum
revacct_key_names(PG_FUNCTION_ARGS)
{
	text			*key = PG_GETARG_TEXT_PP(0);
	const char		*c = VARDATA_ANY(key);
	const char		*end = c + VARSIZE_ANY_EXHDR(key);
	ArrayBuildState *names = NULL;
	StringInfoData	 name;

	initStringInfo(&name);
	for (;; c++)
	{
		CHECK_FOR_INTERRUPTS();
		if (c == end || *c == '/')
		{
			names = accumArrayResult(names,
									 PointerGetDatum(cstring_to_text_with_len(name.data, name.len)),
									 false,
									 TEXTOID,
									 CurrentMemoryContext);
			resetStringInfo(&name);
			if (c == end)
				break;
		}
		else
		{
			if (*c == '\\' && c + 1 < end)
				c++;
			appendStringInfoChar(&name, *c);
		}
	}
	PG_RETURN_DATUM(makeArrayResult(names, CurrentMemoryContext));
}
