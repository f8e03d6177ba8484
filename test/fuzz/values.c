/*
 * values.c
 *	  Each type in its three forms: text (in_…), binary (recv_…), and bytes as if they had been stored (stored_…).
 *
 * What comes in is canonical: every form of it reads back to the same bytes. And functions of the kernel that take the type are
 * called with it, some each time; the catalog says which there are, so that none is forgotten.
 *
 * A definition starts with a version byte and a fingerprint, which no fuzzer would guess. Eight bytes of FF in its place, after a
 * version byte, are replaced by the right one; where the definition lies inside another value, its length stands before it.
 */
#include "fuzz.h"

#include "catalog/namespace.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

enum
{
	FORM_IN,
	FORM_RECV,
	FORM_STORED,
	FORMS
};

static const char *const form_names[FORMS] = {"in", "recv", "stored"};

static const char *const types[] = {
	"journey",
	"journey_pack",
	"lifecycle",
	"business_calendar",
	"sla",
	"funnel_summary",
	"velocity_summary",
	"breach_summary",
};

/* What functions get besides the value: by the argument's name, else by its type. */
static const struct
{
	const char *name;
	const char *text;
} argument_texts[] = {
	{"stage", "a"},
	{"exit", "lost"},
	{"plateau", "midpoint"},
	{"limits", "log-log"},
	{"of", "entered"},
	{"horizon", "2 days"},
	{"from_at", "2024-12-20 09:30+00"},
	{"to_at", "2025-02-01 00:00+00"},
	{"since", "2024-12-31 00:00+00"},
	{"stages", "{a, b, c}"},
	{"won", "z"},
	{"start", "{a}"},
	{"skip", "impute"},
	{"attempt", "all"},
	{"times", "nondecreasing"},
	{"visits", "all"},
	{"unknown", "error"},
	{"time_zone", "UTC"},
	{"reopen", "resume"},
	{"change", "carry"},
	{"beyond", "ignore"},
	{"text", "a"},
	{"text[]", "{}"},
	{"numeric[]", "{0.8}"},
	{"bigint[]", "{1, 2}"},
	{"tstzrange", "[2025-01-01 00:00+00, 2026-01-01 00:00+00)"},
	{"integer", "1"},
	{"bigint", "7"},
	{"double precision", "0.5"},
	{"numeric", "12.5"},
	{"timestamp with time zone", "2025-01-10 12:00+00"},
	{"interval", "30:00:00"},
	{"integer[]", "{1,2,300}"},
	{"journey", "{1@2025-01-01T00:00:00Z,2@2025-01-02T00:00:00Z=5,3@2025-01-06T10:00:00Z#1,5@2025-01-09T00:00:00Z,1@2025-01-09T00:00:00.5Z}"},
	/* of one subject, 7 */
	{"journey_pack", "\\x210101030e036140b0062218236a"},
	{"lifecycle", "l: stages a, b, c; won d; lost e; attempt all; visits all; time_zone UTC"},
	{"business_calendar", "c: time_zone Europe/Berlin; hours mon-fri 09:00-17:00; holidays 2025-01-01"},
	{"sla", "s: marks a=1, b=2, c=3; start a; stop b; pause c; policy target 8 hours, step breach to x"},
};

#define MAX_READER_ARGS 32

typedef enum ArgumentKind
{
	ARGUMENT_FIXED,
	ARGUMENT_VALUE,
	ARGUMENT_ARRAY_OF_VALUES
} ArgumentKind;

/* A function that takes the value. */
typedef struct Reader
{
	FmgrInfo	  flinfo;
	int			  nargs;
	NullableDatum args[MAX_READER_ARGS];
	ArgumentKind  kinds[MAX_READER_ARGS];
} Reader;

typedef struct TypeInfo
{
	const char *name;
	Oid			oid;
	FmgrInfo	in;
	FmgrInfo	out;
	FmgrInfo	recv;
	FmgrInfo	send;
	Oid			parameter;
	FmgrInfo   *eq;	  /* these three may be missing */
	FmgrInfo   *hash; /* extended or not */
	FmgrInfo   *cmp;
	int			reader_count;
	Reader	   *readers;
} TypeInfo;

/*
 * Readers from the catalog
 */

/* What a function gets for an argument; NULL if nothing is known. */
static NullableDatum
fixed_argument(const char *name, Oid type)
{
	const char *type_name = format_type_be(type);
	Oid			input;
	Oid			parameter;

	/* a type of ours may come with its schema */
	if (strrchr(type_name, '.') != NULL)
		type_name = strrchr(type_name, '.') + 1;
	getTypeInputInfo(type, &input, &parameter);
	for (int pass = 0; pass < 2; pass++)
	{
		for (int i = 0; i < lengthof(argument_texts); i++)
		{
			if (strcmp(argument_texts[i].name, pass == 0 ? name : type_name) == 0)
				return given(OidInputFunctionCall(input, unconstify(char *, argument_texts[i].text), parameter, -1));
		}
	}
	return (NullableDatum){(Datum) 0, true};
}

static void
make_reader(Reader *reader, Oid function, Oid type)
{
	HeapTuple	 tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(tuple);
	bool		 is_helper = NameStr(form->proname)[0] == '_';
	Oid			*types;
	char	   **names = NULL;
	char		*modes;

	get_func_arg_info(tuple, &types, &names, &modes);
	types = form->proargtypes.values;
	reader->nargs = form->pronargs;
	if (reader->nargs > MAX_READER_ARGS)
		elog(ERROR, "%s has too many arguments", format_procedure(function));
	for (int i = 0; i < reader->nargs; i++)
	{
		reader->kinds[i] = ARGUMENT_FIXED;
		if (types[i] == type)
			reader->kinds[i] = ARGUMENT_VALUE;
		else if (get_element_type(types[i]) == type)
			reader->kinds[i] = ARGUMENT_ARRAY_OF_VALUES;
		else if (i == 0 && is_helper && types[0] == form->prorettype)
			reader->args[i].isnull = true; /* a transition function, on its first row */
		else
			reader->args[i] = fixed_argument(names != NULL && names[i] != NULL ? names[i] : "", types[i]);
		if (reader->args[i].isnull && form->proisstrict)
			elog(ERROR, "%s takes a %s, and none is known", format_procedure(function), format_type_be(types[i]));
	}
	ReleaseSysCache(tuple);
	fmgr_info_cxt(function, &reader->flinfo, TopMemoryContext);
}

static void
find_readers(TypeInfo *type)
{
	MemoryContext old_context = CurrentMemoryContext;
	char		 *query = psprintf("SELECT p.oid FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang"
								   " WHERE p.pronamespace = (SELECT typnamespace FROM pg_type WHERE oid = %u)"
								   "   AND p.prokind = 'f' AND p.provolatile = 'i' AND l.lanname = 'c'"
								   "   AND (%u = ANY (p.proargtypes::oid[])"
								   "        OR (SELECT typarray FROM pg_type WHERE oid = %u) = ANY (p.proargtypes::oid[]))"
								   " ORDER BY p.oid",
								   type->oid,
								   type->oid,
								   type->oid);
	Oid			 *functions;
	int			  count;

	SPI_connect();
	if (SPI_execute(query, true, 0) != SPI_OK_SELECT || SPI_processed == 0)
		elog(ERROR, "no function takes %s", type->name);
	count = (int) SPI_processed;
	functions = MemoryContextAlloc(old_context, sizeof(Oid) * count);
	for (int i = 0; i < count; i++)
	{
		bool isnull;

		functions[i] =
			DatumGetObjectId(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull));
	}
	SPI_finish();

	type->readers = palloc0(sizeof(Reader) * count);
	type->reader_count = count;
	for (int i = 0; i < count; i++)
		make_reader(&type->readers[i], functions[i], type->oid);
}

static TypeInfo *
type_info(const char *name)
{
	static TypeInfo *known[lengthof(types)];
	MemoryContext	 old_context;
	TypeInfo		*type;
	TypeCacheEntry	*cache;
	Oid				 function;
	Oid				 parameter;
	bool			 is_varlena;
	int				 which = 0;

	while (strcmp(types[which], name) != 0)
		which++;
	if (known[which] != NULL)
		return known[which];

	old_context = MemoryContextSwitchTo(TopMemoryContext);
	type = palloc0(sizeof(TypeInfo));
	type->name = types[which];
	type->oid = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(psprintf("revacct.%s", name))));
	getTypeInputInfo(type->oid, &function, &type->parameter);
	fmgr_info(function, &type->in);
	getTypeOutputInfo(type->oid, &function, &is_varlena);
	fmgr_info(function, &type->out);
	getTypeBinaryInputInfo(type->oid, &function, &parameter);
	fmgr_info(function, &type->recv);
	getTypeBinaryOutputInfo(type->oid, &function, &is_varlena);
	fmgr_info(function, &type->send);
	cache = lookup_type_cache(type->oid, TYPECACHE_EQ_OPR_FINFO | TYPECACHE_HASH_PROC_FINFO | TYPECACHE_CMP_PROC_FINFO);
	type->eq = OidIsValid(cache->eq_opr_finfo.fn_oid) ? &cache->eq_opr_finfo : NULL;
	type->hash = OidIsValid(cache->hash_proc_finfo.fn_oid) ? &cache->hash_proc_finfo : NULL;
	type->cmp = OidIsValid(cache->cmp_proc_finfo.fn_oid) ? &cache->cmp_proc_finfo : NULL;
	find_readers(type);
	MemoryContextSwitchTo(old_context);
	known[which] = type;
	return type;
}

/*
 * Bytes
 */

#define FINGERPRINT_BYTES 8
#define READERS_AT_A_TIME 3

/* The varint that ends right before p, if it says how long the rest to at most end is; else 0. */
static size_t
length_before(const uint8 *begin, const uint8 *p, const uint8 *end)
{
	size_t length = 0;
	const uint8 *first = p - 1;

	if (p == begin || p[-1] >= 0x80)
		return 0;
	while (first > begin && first[-1] >= 0x80 && p - first < 4)
		first--;
	for (; first < p; first++)
	{
		length = 0;
		for (const uint8 *digit = p - 1; digit >= first; digit--)
			length = length << 7 | (*digit & 0x7F);
		if (length <= (size_t) (end - p) && length > FINGERPRINT_BYTES)
			return length;
	}
	return 0;
}

/* Fill in the fingerprints that are asked for, those inside others first. */
static void
fill_in_fingerprints(uint8 *begin, size_t size)
{
	static const uint8 placeholder[FINGERPRINT_BYTES] = {0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF};
	uint8			  *end = begin + size;

	if (size <= FINGERPRINT_BYTES)
		return;
	for (uint8 *p = end - FINGERPRINT_BYTES - 1; p >= begin; p--)
	{
		size_t length;
		bytea *definition;
		bytea *hash;

		if (*p != 1 || memcmp(p + 1, placeholder, FINGERPRINT_BYTES) != 0)
			continue;
		length = p == begin ? size : length_before(begin, p, end);
		if (length == 0)
			continue;
		length -= 1 + FINGERPRINT_BYTES;
		definition = palloc(VARHDRSZ + length);
		SET_VARSIZE(definition, VARHDRSZ + length);
		memcpy(VARDATA(definition), p + 1 + FINGERPRINT_BYTES, length);
		hash = DatumGetByteaPP(DirectFunctionCall1(sha256_bytea, PointerGetDatum(definition)));
		memcpy(p + 1, VARDATA_ANY(hash), FINGERPRINT_BYTES);
	}
}

/*
 * Laws of values
 */

static FmgrInfo *
fresh(const FmgrInfo *flinfo)
{
	FmgrInfo *copy = palloc(sizeof(FmgrInfo));

	*copy = *flinfo;
	copy->fn_extra = NULL;
	copy->fn_mcxt = CurrentMemoryContext;
	return copy;
}

static Datum
received(const TypeInfo *type, const uint8 *bytes, size_t size)
{
	StringInfoData message;

	/* exactly as many bytes as there are: nothing may be read past them */
	message.data = palloc(Max(size, 1));
	memcpy(message.data, bytes, size);
	message.len = message.maxlen = (int) size;
	message.cursor = 0;
	return ReceiveFunctionCall(fresh(&type->recv), &message, type->parameter, -1);
}

/* The value as it lies in a table, if it is short: with a header of one byte, at no aligned address. (Of an odd length only, to have both.) */
static Datum
as_in_a_table(Datum value)
{
	struct varlena *plain = (struct varlena *) DatumGetPointer(value);
	struct varlena *packed;

	if (!VARATT_CAN_MAKE_SHORT(plain) || VARSIZE(plain) % 2 == 0)
		return value;
	packed = palloc(VARATT_CONVERTED_SHORT_SIZE(plain));
	SET_VARSIZE_SHORT(packed, VARATT_CONVERTED_SHORT_SIZE(plain));
	memcpy(VARDATA_SHORT(packed), VARDATA(plain), VARSIZE(plain) - VARHDRSZ);
	return PointerGetDatum(packed);
}

/* Some of the functions are called with the value: count of them, beginning with one, which the input has chosen. */
static void
read_value(const TypeInfo *type, Datum plain_value, Trust trust, uint32 first, int count)
{
	const Datum value = as_in_a_table(plain_value);

	for (int i = 0; i < count; i++)
	{
		Reader *reader = &type->readers[(first + i) % type->reader_count];

		PG_TRY();
		{
			NullableDatum args[MAX_READER_ARGS];
			CallSite	  site = {*fresh(&reader->flinfo), NULL};
			bool		  isnull;

			for (int k = 0; k < reader->nargs; k++)
			{
				Datum several[] = {value, value};

				if (reader->kinds[k] == ARGUMENT_VALUE)
					args[k] = given(value);
				else if (reader->kinds[k] == ARGUMENT_ARRAY_OF_VALUES)
					args[k] = given(PointerGetDatum(
						construct_array(several, lengthof(several), type->oid, -1, false, TYPALIGN_DOUBLE)));
				else
					args[k] = reader->args[k];
			}
			call_at(&site, reader->nargs, args, &isnull);
		}
		PG_CATCH();
		{
			if (!is_refusal(geterrcode(), trust))
				PG_RE_THROW();
			FlushErrorState();
		}
		PG_END_TRY();
	}
}

static void
check_value(const TypeInfo *type, Datum value)
{
	char  *text = OutputFunctionCall(fresh(&type->out), value);
	Datum  from_text = InputFunctionCall(fresh(&type->in), text, type->parameter, -1);
	bytea *sent = SendFunctionCall(fresh(&type->send), value);
	Datum  from_sent = received(type, (uint8 *) VARDATA(sent), VARSIZE(sent) - VARHDRSZ);

	/* callers free what they are sent */
	law((void *) sent != DatumGetPointer(value), "%s: what is sent is the value itself", type->name);
	law(same_bytes(value, from_text), "%s: text reads back to other bytes: %s", type->name, text);
	law(same_bytes(value, from_sent), "%s: what is sent is received as other bytes", type->name);
	law(strcmp(text, OutputFunctionCall(fresh(&type->out), from_text)) == 0, "%s: another text", type->name);
	if (type->eq != NULL)
		law(DatumGetBool(FunctionCall2(type->eq, value, from_text)), "%s: not equal to itself", type->name);
	if (type->cmp != NULL)
		law(DatumGetInt32(FunctionCall2(type->cmp, value, from_text)) == 0, "%s: not as great as itself", type->name);
	if (type->hash != NULL)
		law(FunctionCall1(type->hash, value) == FunctionCall1(type->hash, from_sent), "%s: two hashes", type->name);
	read_value(type, value, FROM_OUTSIDE, DatumGetUInt32(hash_any((uint8 *) VARDATA(sent), VARSIZE(sent) - VARHDRSZ)), READERS_AT_A_TIME);
}

static void
prepare_value(const Target *target)
{
	type_info(target->type);
}

static void
run_value(const Target *target, const uint8 *data, size_t size)
{
	const TypeInfo *type = type_info(target->type);

	if (target->form == FORM_IN)
	{
		char *text = palloc(size + 1);

		memcpy(text, data, size);
		text[size] = '\0';
		/* what clients send has been checked */
		pg_verifymbstr(text, (int) strlen(text), false);
		check_value(type, InputFunctionCall(fresh(&type->in), text, type->parameter, -1));
	}
	else if (target->form == FORM_RECV)
	{
		uint8 *bytes = palloc(Max(size, 1));
		Datum  value;
		bytea *sent;

		memcpy(bytes, data, size);
		fill_in_fingerprints(bytes, size);
		value = received(type, bytes, size);
		sent = SendFunctionCall(fresh(&type->send), value);
		law(VARSIZE(sent) - VARHDRSZ == size && memcmp(VARDATA(sent), bytes, size) == 0,
			"%s: what is received is sent as other bytes",
			type->name);
		check_value(type, value);
	}
	else if (size > 0)
	{
		struct varlena *value = palloc(VARHDRSZ + size - 1);

		/* the first byte says which function reads the others */
		SET_VARSIZE(value, VARHDRSZ + size - 1);
		memcpy(VARDATA(value), data + 1, size - 1);
		fill_in_fingerprints((uint8 *) VARDATA(value), size - 1);
		read_value(type, PointerGetDatum(value), AS_STORED, data[0], 1);
	}
}

/* All targets of this file, for good. */
Target *
value_targets(void)
{
	static Target *targets = NULL;
	MemoryContext  old_context;

	if (targets != NULL)
		return targets;
	old_context = MemoryContextSwitchTo(TopMemoryContext);
	targets = palloc0(sizeof(Target) * (lengthof(types) * FORMS + 1));
	for (int i = 0; i < lengthof(types) * FORMS; i++)
	{
		const char *type = types[i / FORMS];

		targets[i] = (Target){psprintf("%s_%s", form_names[i % FORMS], type), prepare_value, run_value, i % FORMS, type};
	}
	MemoryContextSwitchTo(old_context);
	return targets;
}
