/*
 * faults.c: two faults of the kinds that matter, so that scripts/check-valgrind sees them noticed
 *
 * An alarm that cannot ring looks like peace.
 */
#include "postgres.h"

#include "fmgr.h"

PG_MODULE_MAGIC;

PG_FUNCTION_INFO_V1(past_the_end);
Datum
past_the_end(PG_FUNCTION_ARGS)
{
	char *chunk = palloc(100);

	chunk[100] = 1;
	PG_RETURN_BOOL(true);
}

PG_FUNCTION_INFO_V1(never_set);
Datum
never_set(PG_FUNCTION_ARGS)
{
	int *chunk = palloc(100);

	PG_RETURN_BOOL(*chunk > 0 ? true : false);
}
