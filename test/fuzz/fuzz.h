/*
 * fuzz.h
 *	  Feeding bytes to the kernel inside a server, and the laws that must hold whatever the bytes.
 *
 * A target makes something of some bytes: a value in its text, binary or stored form (values.c), or a definition and histories
 * for one of the computations (computations.c). An error is a fine answer if it refuses the input. A finding is any other
 * error, a law that does not hold, memory that grows, and what a sanitizer sees.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include "postgres.h"

#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

typedef struct Target
{
	const char *name;
	void (*prepare)(const struct Target *target); /* once, or NULL */
	void (*run)(const struct Target *target, const uint8 *data, size_t size);
	int form;		  /* of values.c: which of a type's forms */
	const char *type; /* of values.c: the type */
} Target;

extern const Target computation_targets[];
extern Target	   *value_targets(void);

/* What a broken law is reported with. */
#define ERRCODE_BROKEN_LAW MAKE_SQLSTATE('F', 'Z', '0', '0', '1')
#define law(holds, ...) \
	do \
	{ \
		if (!(holds)) \
			ereport(ERROR, (errcode(ERRCODE_BROKEN_LAW), errmsg_internal(__VA_ARGS__))); \
	} while (0)

/* Where bytes come from decides what may be said of them. */
typedef enum Trust
{
	FROM_OUTSIDE, /* or made by the kernel */
	AS_STORED	  /* nothing has checked them */
} Trust;

extern bool is_refusal(int sqlstate, Trust trust);

/* A function of SQL, looked up when it is first called. */
typedef struct Function
{
	const char *signature; /* for regprocedure */
	FmgrInfo   *flinfo;
} Function;

/* A place in a query that calls a function, with what the function keeps there from row to row. */
typedef struct CallSite
{
	FmgrInfo flinfo;
	Node	*context;
} CallSite;

typedef struct Rows
{
	int	   count;
	int	   columns;
	Datum *values;
	bool  *nulls;
} Rows;

typedef struct Aggregate
{
	CallSite	 *site;
	Function	 *final;
	MemoryContext memory;
	MemoryContext row_memory;
	Datum		  state;
	bool		  isnull;
} Aggregate;

extern CallSite	  *call_site(Function *function);
extern Datum	   call_at(CallSite *site, int nargs, const NullableDatum *args, bool *isnull);
extern Datum	   call(Function *function, int nargs, ...);
extern Datum	   call_or_null(Function *function, bool *isnull, int nargs, ...);
extern Rows		  *rows_of(Function *function, int nargs, ...);
extern Aggregate  *new_aggregate(Function *transition, Function *final);
extern void		   aggregate_row(Aggregate *aggregate, int nargs, const NullableDatum *args);
extern Datum	   aggregate_result(Aggregate *aggregate, bool *isnull);
extern bool		   same_bytes(Datum a, Datum b);
extern Datum	   value_of_text(const char *type, const char *text);
extern char		  *text_of_value(const char *type, Datum value);

static inline NullableDatum
given(Datum value)
{
	return (NullableDatum){value, false};
}

/* A cell of some rows that is not NULL; and of a count. */
#define IS_NULL(rows, row, column) ((rows)->nulls[(row) * (rows)->columns + (column)])
#define CELL(rows, row, column) ((rows)->values[(row) * (rows)->columns + (column)])
#define COUNT_CELL(rows, row, column) DatumGetInt64(CELL(rows, row, column))

/* Decisions made by the bytes of an input, one each; when they run out, all are the first choice. */
typedef struct Dice
{
	const uint8 *p;
	const uint8 *end;
} Dice;

static inline int
pick(Dice *dice, int choices)
{
	return dice->p < dice->end ? *dice->p++ % choices : 0;
}

static inline bool
rolled_out(const Dice *dice)
{
	return dice->p >= dice->end;
}

/* The beginning of the time that computations look at: 2025-01-01 */
#define START ((TimestampTz) 9132 * USECS_PER_DAY)

extern Datum	   random_calendar(Dice *dice);
extern Datum	   random_lifecycle(Dice *dice);
extern Datum	   random_sla(Dice *dice);
extern TimestampTz random_instant(Dice *dice);

#endif /* FUZZ_H */
