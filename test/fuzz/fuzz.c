/*
 * fuzz.c
 *	  Running one input or very many, calling functions as the executor does, and memory in which every overrun shows.
 */
#include "fuzz.h"

#include "access/tupdesc.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "executor/tuptable.h"
#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#ifndef LIBFUZZER /* else part of the kernel's own library */
PG_MODULE_MAGIC;
#endif

PG_FUNCTION_INFO_V1(fuzz_replay);
PG_FUNCTION_INFO_V1(fuzz_targets);

/*
 * Memory. Before PostgreSQL 16 a context brings its own methods: here each chunk is a malloc of its own, so that a sanitizer
 * sees where it begins and ends. Later versions have a fixed table of methods, and chunks share blocks.
 */

#if PG_VERSION_NUM < 160000

typedef struct Chunk
{
	struct Chunk *previous;
	struct Chunk *next;
	Size		  size;
	MemoryContext context; /* right before the chunk's bytes: that is where PostgreSQL looks for it */
} Chunk;

typedef struct ChunkContext
{
	MemoryContextData header;
	Chunk			  list; /* of all chunks, in a ring */
} ChunkContext;

StaticAssertDecl(sizeof(Chunk) % MAXIMUM_ALIGNOF == 0, "chunks are aligned");

static Chunk *
chunk_of(void *pointer)
{
	return (Chunk *) pointer - 1;
}

static void *
chunk_alloc(MemoryContext context, Size size)
{
	Chunk *list = &((ChunkContext *) context)->list;
	Chunk *chunk = malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		return NULL;
	chunk->size = size;
	chunk->context = context;
	chunk->previous = list;
	chunk->next = list->next;
	chunk->next->previous = chunk;
	list->next = chunk;
	context->mem_allocated += size;
	return chunk + 1;
}

static void
chunk_free(MemoryContext context, void *pointer)
{
	Chunk *chunk = chunk_of(pointer);

	chunk->previous->next = chunk->next;
	chunk->next->previous = chunk->previous;
	context->mem_allocated -= chunk->size;
	free(chunk);
}

static void *
chunk_realloc(MemoryContext context, void *pointer, Size size)
{
	void *moved = chunk_alloc(context, size);

	if (moved == NULL)
		return NULL;
	memcpy(moved, pointer, Min(size, chunk_of(pointer)->size));
	chunk_free(context, pointer);
	return moved;
}

static void
chunk_reset(MemoryContext context)
{
	Chunk *list = &((ChunkContext *) context)->list;

	while (list->next != list)
		chunk_free(context, list->next + 1);
}

static void
chunk_delete(MemoryContext context)
{
	chunk_reset(context);
	free(context);
}

static Size
chunk_space(MemoryContext context, void *pointer)
{
	return sizeof(Chunk) + chunk_of(pointer)->size;
}

static bool
chunk_is_empty(MemoryContext context)
{
	Chunk *list = &((ChunkContext *) context)->list;

	return list->next == list;
}

static void
chunk_stats(MemoryContext context, MemoryStatsPrintFunc print, void *passthru, MemoryContextCounters *totals,
			bool print_to_stderr)
{
}

static const MemoryContextMethods chunk_methods = {
	.alloc = chunk_alloc,
	.free_p = chunk_free,
	.realloc = chunk_realloc,
	.reset = chunk_reset,
	.delete_context = chunk_delete,
	.get_chunk_space = chunk_space,
	.is_empty = chunk_is_empty,
	.stats = chunk_stats,
};

/* scripts/fuzz builds the kernel so that its own contexts are made here too. */
extern PGDLLEXPORT MemoryContext revacct_fuzz_context(MemoryContext parent, const char *name, Size min_size,
													  Size first_block_size, Size max_block_size);

MemoryContext
revacct_fuzz_context(MemoryContext parent, const char *name, Size min_size, Size first_block_size, Size max_block_size)
{
	ChunkContext *context = malloc(sizeof(ChunkContext));

	if (context == NULL)
		elog(ERROR, "out of memory");
	context->list.previous = context->list.next = &context->list;
	MemoryContextCreate((MemoryContext) context, T_AllocSetContext, &chunk_methods, parent, name);
	return (MemoryContext) context;
}

#define new_context(parent, name) revacct_fuzz_context(parent, name, 0, 0, 0)
#else
#define new_context(parent, name) AllocSetContextCreate(parent, name, ALLOCSET_DEFAULT_SIZES)
#endif

/*
 * Calls
 */

static FmgrInfo *
looked_up(Function *function)
{
	if (function->flinfo == NULL)
	{
		Oid oid = DatumGetObjectId(DirectFunctionCall1(regprocedurein, CStringGetDatum(function->signature)));

		function->flinfo = MemoryContextAlloc(TopMemoryContext, sizeof(FmgrInfo));
		fmgr_info_cxt(oid, function->flinfo, TopMemoryContext);
	}
	return function->flinfo;
}

CallSite *
call_site(Function *function)
{
	FmgrInfo *flinfo = looked_up(function);
	CallSite *site = palloc0(sizeof(CallSite));

	site->flinfo = *flinfo;
	site->flinfo.fn_mcxt = CurrentMemoryContext;
	return site;
}

/* The row sets of functions that return them are left in result_info. */
static Datum
call_with(CallSite *site, ReturnSetInfo *result_info, int nargs, const NullableDatum *args, bool *isnull)
{
	LOCAL_FCINFO(fcinfo, FUNC_MAX_ARGS);
	Datum result;

	InitFunctionCallInfoData(*fcinfo, &site->flinfo, nargs, DEFAULT_COLLATION_OID, site->context, (Node *) result_info);
	*isnull = true;
	for (int i = 0; i < nargs; i++)
	{
		fcinfo->args[i] = args[i];
		if (args[i].isnull && site->flinfo.fn_strict)
			return (Datum) 0;
	}
	result = FunctionCallInvoke(fcinfo);
	*isnull = fcinfo->isnull;
	return result;
}

static void
prepare_result_info(ReturnSetInfo *result_info)
{
	ExprContext *context = makeNode(ExprContext);

	context->ecxt_per_query_memory = CurrentMemoryContext;
	context->ecxt_per_tuple_memory = CurrentMemoryContext;
	MemSet(result_info, 0, sizeof(ReturnSetInfo));
	result_info->type = T_ReturnSetInfo;
	result_info->econtext = context;
	result_info->allowedModes = SFRM_Materialize;
}

Datum
call_at(CallSite *site, int nargs, const NullableDatum *args, bool *isnull)
{
	ReturnSetInfo result_info;

	if (!site->flinfo.fn_retset)
		return call_with(site, NULL, nargs, args, isnull);
	prepare_result_info(&result_info);
	return call_with(site, &result_info, nargs, args, isnull);
}

#define FUZZ_MAX_ARGS 8

Datum
call_or_null(Function *function, bool *isnull, int nargs, ...)
{
	NullableDatum args[FUZZ_MAX_ARGS];
	va_list		  list;

	va_start(list, nargs);
	for (int i = 0; i < nargs; i++)
		args[i] = given(va_arg(list, Datum));
	va_end(list);
	return call_at(call_site(function), nargs, args, isnull);
}

Datum
call(Function *function, int nargs, ...)
{
	NullableDatum args[FUZZ_MAX_ARGS];
	va_list		  list;
	bool		  isnull;
	Datum		  result;

	va_start(list, nargs);
	for (int i = 0; i < nargs; i++)
		args[i] = given(va_arg(list, Datum));
	va_end(list);
	result = call_at(call_site(function), nargs, args, &isnull);
	law(!isnull, "%s is NULL", function->signature);
	return result;
}

/* The rows that a function returns. */
Rows *
rows_of(Function *function, int nargs, ...)
{
	NullableDatum	args[FUZZ_MAX_ARGS];
	va_list			list;
	bool			isnull;
	ReturnSetInfo	result_info;
	TupleTableSlot *slot;
	Rows		   *rows = palloc0(sizeof(Rows));

	va_start(list, nargs);
	for (int i = 0; i < nargs; i++)
		args[i] = given(va_arg(list, Datum));
	va_end(list);
	prepare_result_info(&result_info);
	call_with(call_site(function), &result_info, nargs, args, &isnull);
	law(result_info.setResult != NULL, "%s returns no rows", function->signature);

	rows->count = (int) tuplestore_tuple_count(result_info.setResult);
	rows->columns = result_info.setDesc->natts;
	rows->values = palloc(sizeof(Datum) * rows->columns * Max(rows->count, 1));
	rows->nulls = palloc(sizeof(bool) * rows->columns * Max(rows->count, 1));
	slot = MakeSingleTupleTableSlot(result_info.setDesc, &TTSOpsMinimalTuple);
	for (int row = 0; tuplestore_gettupleslot(result_info.setResult, true, false, slot); row++)
	{
		slot_getallattrs(slot);
		for (int i = 0; i < rows->columns; i++)
		{
			Form_pg_attribute column = TupleDescAttr(result_info.setDesc, i);

			IS_NULL(rows, row, i) = slot->tts_isnull[i];
			CELL(rows, row, i) = slot->tts_isnull[i]
									 ? (Datum) 0
									 : datumCopy(slot->tts_values[i], column->attbyval, column->attlen);
		}
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(result_info.setResult);
	return rows;
}

/*
 * Aggregates, as nodeAgg runs them: the state is copied into memory that stays, the rest of a row's memory goes.
 */

Aggregate *
new_aggregate(Function *transition, Function *final)
{
	Aggregate	*aggregate = palloc0(sizeof(Aggregate));
	AggState	*node = makeNode(AggState);
	ExprContext *context = makeNode(ExprContext);

	aggregate->site = call_site(transition);
	aggregate->final = final;
	aggregate->memory = CurrentMemoryContext;
	aggregate->row_memory = new_context(CurrentMemoryContext, "fuzz row");
	aggregate->isnull = true;
	context->ecxt_per_tuple_memory = CurrentMemoryContext;
	node->curaggcontext = context;
	aggregate->site->context = (Node *) node;
	return aggregate;
}

void
aggregate_row(Aggregate *aggregate, int nargs, const NullableDatum *args)
{
	NullableDatum all[FUZZ_MAX_ARGS];
	MemoryContext old_context = MemoryContextSwitchTo(aggregate->row_memory);
	Datum		  state;
	bool		  isnull;

	all[0] = (NullableDatum){aggregate->state, aggregate->isnull};
	memcpy(all + 1, args, sizeof(NullableDatum) * nargs);
	state = call_at(aggregate->site, nargs + 1, all, &isnull);
	MemoryContextSwitchTo(aggregate->memory);
	if (isnull || state != aggregate->state)
	{
		if (!isnull)
			state = datumCopy(state, false, -1);
		if (!aggregate->isnull)
			pfree(DatumGetPointer(aggregate->state));
		aggregate->state = state;
		aggregate->isnull = isnull;
	}
	MemoryContextReset(aggregate->row_memory);
	MemoryContextSwitchTo(old_context);
}

Datum
aggregate_result(Aggregate *aggregate, bool *isnull)
{
	CallSite	 *site;
	NullableDatum state = {aggregate->state, aggregate->isnull};

	site = call_site(aggregate->final);
	site->context = aggregate->site->context;
	return call_at(site, 1, &state, isnull);
}

bool
same_bytes(Datum a, Datum b)
{
	struct varlena *x = PG_DETOAST_DATUM_PACKED(a);
	struct varlena *y = PG_DETOAST_DATUM_PACKED(b);

	return VARSIZE_ANY_EXHDR(x) == VARSIZE_ANY_EXHDR(y) &&
		   memcmp(VARDATA_ANY(x), VARDATA_ANY(y), VARSIZE_ANY_EXHDR(x)) == 0;
}

/* What a type's input function makes of a text. */
Datum
value_of_text(const char *type, const char *text)
{
	Oid oid = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(type)));
	Oid input;
	Oid parameter;

	getTypeInputInfo(oid, &input, &parameter);
	return OidInputFunctionCall(input, unconstify(char *, text), parameter, -1);
}

char *
text_of_value(const char *type, Datum value)
{
	Oid	 oid = DatumGetObjectId(DirectFunctionCall1(regtypein, CStringGetDatum(type)));
	Oid	 output;
	bool is_varlena;

	getTypeOutputInfo(oid, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

/*
 * One input
 */

/* Does an error say no more than that its input is none? Internal errors, and running out of something, are findings. */
bool
is_refusal(int sqlstate, Trust trust)
{
	if (sqlstate == ERRCODE_DATA_CORRUPTED)
		return trust == AS_STORED;
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case MAKE_SQLSTATE('2', '2', '0', '0', '0'):
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
		case MAKE_SQLSTATE('R', 'V', '0', '0', '0'):
			return true;
		default:
			return false;
	}
}

static MemoryContext execution = NULL; /* memory of one execution */

/* Returns NULL if the input was accepted, else the error. */
static ErrorData *
execute(const Target *target, const uint8 *data, size_t size)
{
	MemoryContext		old_context;
	ErrorData *volatile error = NULL;

	if (execution == NULL)
		execution = new_context(TopMemoryContext, "fuzz execution");
	MemoryContextReset(execution);
	old_context = MemoryContextSwitchTo(execution);
	PG_TRY();
	{
		target->run(target, data, size);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(execution);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(old_context);
	return error;
}

static Trust
trust_of(const Target *target)
{
	return strncmp(target->name, "stored_", 7) == 0 ? AS_STORED : FROM_OUTSIDE;
}

static const Target *
target_by_name(const char *name)
{
	const Target *lists[] = {value_targets(), computation_targets};

	for (int i = 0; i < lengthof(lists); i++)
	{
		for (const Target *target = lists[i]; target->name != NULL; target++)
		{
			if (strcmp(target->name, name) != 0)
				continue;
			if (target->prepare != NULL)
				target->prepare(target);
			return target;
		}
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("no such target: %s", name)));
}

/* fuzz_targets() returns setof text: all there are. */
Datum
fuzz_targets(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result_info = (ReturnSetInfo *) fcinfo->resultinfo;
	TupleDesc	   descriptor;
	MemoryContext  old_context = MemoryContextSwitchTo(result_info->econtext->ecxt_per_query_memory);
	const Target  *lists[] = {value_targets(), computation_targets};

	descriptor = CreateTemplateTupleDesc(1);
	TupleDescInitEntry(descriptor, 1, "target", TEXTOID, -1, 0);
	result_info->setResult = tuplestore_begin_heap(true, false, work_mem);
	result_info->setDesc = descriptor;
	result_info->returnMode = SFRM_Materialize;
	for (int i = 0; i < lengthof(lists); i++)
	{
		for (const Target *target = lists[i]; target->name != NULL; target++)
		{
			Datum name = CStringGetTextDatum(target->name);
			bool  isnull = false;

			tuplestore_putvalues(result_info->setResult, descriptor, &name, &isnull);
		}
	}
	MemoryContextSwitchTo(old_context);
	return (Datum) 0;
}

/* fuzz_replay(target text, input bytea) returns text: accepted, or the SQLSTATE and message of a refusal. A finding is an error. */
Datum
fuzz_replay(PG_FUNCTION_ARGS)
{
	const Target *target = target_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	bytea		 *input = PG_GETARG_BYTEA_PP(1);
	ErrorData	 *error = execute(target, (const uint8 *) VARDATA_ANY(input), VARSIZE_ANY_EXHDR(input));

	if (error == NULL)
		PG_RETURN_TEXT_P(cstring_to_text("accepted"));
	if (!is_refusal(error->sqlerrcode, trust_of(target)))
		ReThrowError(error);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf("%s %s", unpack_sql_state(error->sqlerrcode), error->message)));
}

/*
 * Very many inputs: libFuzzer, in this very process
 */

#ifdef LIBFUZZER

extern int LLVMFuzzerRunDriver(int *argc, char ***argv, int (*execute_one)(const uint8 *data, size_t size));

PG_FUNCTION_INFO_V1(fuzz_run);

#define MAX_KINDS_OF_FINDINGS 64
#define MEMORY_CHECK_EVERY 8192
#define MEMORY_SLACK ((Size) 320 * 1024 * 1024) /* the kernel keeps 256 MB of calendars */

static const Target *run_target;
static const char	*findings_folder;

/* A finding of another kind than those before is written down; fuzzing goes on. */
static void
report_finding(const char *kind, const char *message, const uint8 *data, size_t size)
{
	static char *kinds[MAX_KINDS_OF_FINDINGS];
	static int	 count = 0;
	char		*path;
	FILE		*file;

	for (int i = 0; i < count; i++)
	{
		if (strcmp(kinds[i], kind) == 0)
			return;
	}
	if (count == MAX_KINDS_OF_FINDINGS)
		return;
	kinds[count++] = MemoryContextStrdup(TopMemoryContext, kind);
	path = psprintf("%s/%s.%d.%d", findings_folder, run_target->name, (int) MyProcPid, count);
	fprintf(stderr, "FINDING %s: %s (%s) %s\n", run_target->name, message, kind, path);
	if ((file = fopen(path, "wb")) != NULL)
	{
		fwrite(data, 1, size, file);
		fclose(file);
	}
}

static int
execute_one(const uint8 *data, size_t size)
{
	static uint64 executions = 0;
	static Size	  first_memory;
	ErrorData	 *error = execute(run_target, data, size);

	if (error != NULL && !is_refusal(error->sqlerrcode, trust_of(run_target)))
		report_finding(psprintf("%s:%d %s", error->filename, error->lineno, unpack_sql_state(error->sqlerrcode)),
					   error->message, data, size);
	if (++executions % MEMORY_CHECK_EVERY == 0)
	{
		Size memory;

		MemoryContextReset(execution);
		memory = MemoryContextMemAllocated(TopMemoryContext, true);
		/* the server keeps every time zone that it was ever asked for, POSIX's UTC+3:07 and all */
		for (MemoryContext child = TopMemoryContext->firstchild; child != NULL; child = child->nextchild)
			if (strcmp(child->name, "Timezones") == 0)
				memory -= MemoryContextMemAllocated(child, true);
		if (executions == MEMORY_CHECK_EVERY)
			first_memory = memory;
		else if (memory > first_memory + MEMORY_SLACK)
			report_finding("memory", psprintf("memory grows: from %zu to %zu bytes", first_memory, memory), data, size);
	}
	return 0;
}

/* fuzz_run(target text, findings_folder text, arguments text[]): runs libFuzzer with those arguments, which ends the process. */
Datum
fuzz_run(PG_FUNCTION_ARGS)
{
	Datum *arguments;
	int	   count;
	char **argv;

	run_target = target_by_name(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	findings_folder = text_to_cstring(PG_GETARG_TEXT_PP(1));
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &arguments, NULL, &count);
	argv = palloc0(sizeof(char *) * (count + 2));
	argv[0] = pstrdup("fuzz");
	for (int i = 0; i < count; i++)
		argv[i + 1] = TextDatumGetCString(arguments[i]);
	count++;
	/* libFuzzer takes the signals for which nobody has a handler */
	pqsignal(SIGINT, SIG_DFL);
	pqsignal(SIGTERM, SIG_DFL);
	pqsignal(SIGALRM, SIG_DFL);
	pqsignal(SIGFPE, SIG_DFL);
	PG_RETURN_INT32(LLVMFuzzerRunDriver(&count, &argv, execute_one));
}

#endif
