/*
 * compiled.c: what a call site compiled from the governed model
 *
 * lifecycle('inbound') and its like are compiled from tables by the SQL functions _lifecycle, _sla and _business_calendar. A call
 * site that names a definition for each row of a query would compile it for each. So it keeps the last value, and gives it again
 * as long as nothing can have changed: the arguments are the same, and so are the snapshot by which tables are read and the
 * statement, whose time is the default of model_at.
 *
 * Nothing here reads a table; and without fn_extra it would be slower and just as right.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"

#include "revacct.h"

/* What a compiled value depends on, beside the arguments. */
typedef struct Circumstances
{
	LocalTransactionId transaction;
	TimestampTz		   statement_at;
	TransactionId	   xmin;
	TransactionId	   xmax;
	SubTransactionId   subtransaction; /* rolling one back undoes what it saw, and changes nothing else here */
	CommandId		   command;
	uint64			   commits;
} Circumstances;

typedef struct Compiled
{
	FmgrInfo		compile;
	bool			is_kept;
	Circumstances	circumstances;
	text		   *name;
	NullableDatum	model_at;
	NullableDatum	known_at;
	struct varlena *value;
} Compiled;

static Circumstances
current_circumstances(void)
{
	Snapshot	  snapshot = GetActiveSnapshot();
	Circumstances now;

	memset(&now, 0, sizeof(now));
	now.transaction = local_transaction_of(MyProc);
	now.statement_at = GetCurrentStatementStartTimestamp();
	now.xmin = snapshot->xmin;
	now.xmax = snapshot->xmax;
	now.subtransaction = GetCurrentSubTransactionId();
	now.command = snapshot->curcid;
	now.commits = snapshot->snapXactCompletionCount;
	return now;
}

/* The call site's place, with the function that compiles what the called one returns: _lifecycle for lifecycle. */
static Compiled *
call_site(FmgrInfo *flinfo)
{
	Compiled *site = flinfo->fn_extra;
	Oid		  arguments[] = {TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID};

	if (site == NULL)
	{
		char *schema = get_namespace_name(get_func_namespace(flinfo->fn_oid));
		char *function = psprintf("_%s", get_func_name(flinfo->fn_oid));
		Oid	  compile = LookupFuncName(list_make2(makeString(schema), makeString(function)), 3, arguments, false);

		site = MemoryContextAllocZero(flinfo->fn_mcxt, sizeof(Compiled));
		fmgr_info_cxt(compile, &site->compile, flinfo->fn_mcxt);
		flinfo->fn_extra = site;
	}
	return site;
}

static bool
same(NullableDatum a, NullableDatum b)
{
	return a.isnull == b.isnull && (a.isnull || DatumGetTimestampTz(a.value) == DatumGetTimestampTz(b.value));
}

static bool
same_text(const text *a, const text *b)
{
	return VARSIZE_ANY_EXHDR(a) == VARSIZE_ANY_EXHDR(b) &&
		   memcmp(VARDATA_ANY(a), VARDATA_ANY(b), VARSIZE_ANY_EXHDR(a)) == 0;
}

/* The caller's own: the kept one goes when another takes its place, which one evaluation may do several times. */
static Datum
copy_of(const struct varlena *value)
{
	struct varlena *copy = palloc(VARSIZE(value));

	memcpy(copy, value, VARSIZE(value));
	return PointerGetDatum(copy);
}

static Datum
compiled(FunctionCallInfo fcinfo, text *name, NullableDatum model_at, NullableDatum known_at)
{
	LOCAL_FCINFO(call, 3);
	Compiled	   *site = call_site(fcinfo->flinfo);
	Circumstances	now = current_circumstances();
	MemoryContext	caller;
	struct varlena *value;

	if (site->is_kept && memcmp(&site->circumstances, &now, sizeof(now)) == 0 && same(site->model_at, model_at) &&
		same(site->known_at, known_at) && same_text(site->name, name))
		return copy_of(site->value);

	InitFunctionCallInfoData(*call, &site->compile, 3, InvalidOid, NULL, NULL);
	call->args[0].value = PointerGetDatum(name);
	call->args[0].isnull = false;
	call->args[1] = model_at;
	call->args[2] = known_at;
	value = (struct varlena *) DatumGetPointer(FunctionCallInvoke(call));
	if (call->isnull)
		elog(ERROR, "function %u returned NULL", site->compile.fn_oid);

	if (site->is_kept)
	{
		site->is_kept = false;
		pfree(site->name);
		pfree(site->value);
	}
	caller = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	site->value = PG_DETOAST_DATUM_COPY(PointerGetDatum(value));
	site->name = (text *) PG_DETOAST_DATUM_COPY(PointerGetDatum(name));
	MemoryContextSwitchTo(caller);
	site->circumstances = now;
	site->model_at = model_at;
	site->known_at = known_at;
	site->is_kept = true;
	return PointerGetDatum(value);
}

/* revacct_in_maintenance(): whether some owner's expressions are being run for a session of perhaps somebody else. */
PG_FUNCTION_INFO_V1(revacct_in_maintenance);
Datum
revacct_in_maintenance(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(InSecurityRestrictedOperation());
}

/*
 * revacct_compiled(name text [, model_at timestamptz [, known_at timestamptz]]): the agreed definition of a name, of the type
 * the SQL function returns; NULL for NULL. Errors are those of the function that compiles.
 */
PG_FUNCTION_INFO_V1(revacct_compiled);
Datum
revacct_compiled(PG_FUNCTION_ARGS)
{
	NullableDatum none = {0, true};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return compiled(fcinfo,
					PG_GETARG_TEXT_PP(0),
					PG_NARGS() > 1 ? fcinfo->args[1] : none,
					PG_NARGS() > 2 ? fcinfo->args[2] : none);
}

/* revacct_compiled_literal(name unknown): the same for a literal without a type, which is a C string. */
PG_FUNCTION_INFO_V1(revacct_compiled_literal);
Datum
revacct_compiled_literal(PG_FUNCTION_ARGS)
{
	NullableDatum none = {0, true};

	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	return compiled(fcinfo, cstring_to_text(PG_GETARG_CSTRING(0)), none, none);
}
