/*
 * faults.c: makes calls fail, one at a time
 *
 * A library for tests. It redirects calls in the process that loads it: those of revacct into the server that can run out of memory (memory), where revacct
 * lets a statement be cancelled (interrupt), and those of the server for memory of the operating system (malloc) and for room in data files and temporary
 * ones (disk). The n-th from now on fails; or all are counted, by where they come from, so that a test can let each place fail.
 *
 * A call goes through a slot of the caller's global offset table, and that is what is redirected. (A preloaded library would not do: the server's own
 * functions are found in the server first.)
 */
#include "postgres.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "access/parallel.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_MODULE_MAGIC;

typedef enum Kind
{
	MEMORY,
	INTERRUPT,
	MALLOC,
	DISK,
	KINDS
} Kind;

/* Where calls come from: the return address. */
typedef struct Site
{
	char  *caller;
	uint64 calls;
	uint64 first;
	uint64 last;
	uint64 some; /* one of them, each as likely */
} Site;

#define MAX_SITES 4096

static bool	  watching[KINDS];
static uint64 fails_at[KINDS]; /* 0: none does */
static uint64 reached_calls;
static bool	  failed = false;
static uint64 chance = 1;
static Site	  sites[MAX_SITES];

static void
note_site(char *caller)
{
	uint32 place = (uint32) ((uintptr_t) caller * UINT64CONST(0x9E3779B97F4A7C15) >> 40) % MAX_SITES;
	Site  *site;

	while (sites[place].caller != NULL && sites[place].caller != caller)
		place = (place + 1) % MAX_SITES;
	site = &sites[place];
	if (site->caller == NULL)
	{
		site->caller = caller;
		site->first = reached_calls;
	}
	site->calls++;
	site->last = reached_calls;
	chance = chance * UINT64CONST(6364136223846793005) + UINT64CONST(1442695040888963407);
	if ((chance >> 33) % site->calls == 0)
		site->some = reached_calls;
}

/* Is this the call that fails? */
static bool
its_turn(Kind kind, void *caller)
{
	if (likely(!watching[kind] && fails_at[kind] == 0))
		return false;
	reached_calls++;
	if (watching[kind])
		note_site(caller);
	if (fails_at[kind] != reached_calls)
		return false;
	fails_at[kind] = 0;
	failed = true;
	return true;
}

/*
 * Calls of revacct that can run out of memory
 */

static void
may_fail(void *caller)
{
	if (its_turn(MEMORY, caller))
		ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory"), errdetail("A test wanted it.")));
}

#define WORDS intptr_t a, intptr_t b, intptr_t c, intptr_t d, intptr_t e, intptr_t f, intptr_t g, intptr_t h, intptr_t i
typedef intptr_t (*Real)(WORDS);

/*
 * All of these take words (integers and pointers), nine at most, and return one or nothing. Words that a function does not take do it no harm, on any
 * machine that runs Debian. Names that a version of PostgreSQL does not know are not called there either.
 */
#define FUNCTIONS(each) \
	each(palloc) each(palloc0) each(palloc_extended) each(repalloc) each(repalloc_huge) each(MemoryContextAlloc) each(MemoryContextAllocZero) \
	each(MemoryContextAllocHuge) each(MemoryContextAllocExtended) each(AllocSetContextCreateInternal) each(accumArrayResult) each(appendBinaryStringInfo) \
	each(appendStringInfoChar) each(appendStringInfoString) each(enlargeStringInfo) each(initStringInfo) each(array_create_iterator) each(array_iterate) \
	each(byteaout) each(construct_array) each(construct_empty_array) each(construct_md_array) each(cstring_to_text) each(cstring_to_text_with_len) \
	each(deconstruct_array) each(fmgr_info_cxt) each(get_call_result_type) each(get_namespace_name) each(get_func_name) each(hash_create) each(hash_search) \
	each(heap_form_tuple) each(InitMaterializedSRF) each(int64_to_numeric) each(list_make2_impl) each(lookup_type_cache) each(makeArrayResult) \
	each(makeString) each(pg_cryptohash_create) each(pg_detoast_datum) each(pg_detoast_datum_copy) each(pg_detoast_datum_packed) \
	each(pg_detoast_datum_slice) each(pg_tzset) each(pstrdup) each(pnstrdup) each(range_serialize) each(range_get_typcache) each(text_to_cstring) \
	each(tuplestore_putvalues) each(DirectFunctionCall1Coll) each(DirectFunctionCall2Coll) each(DirectFunctionCall3Coll)

#define DEFINE(name) \
	static Real		real_##name; \
	static intptr_t failing_##name(WORDS) \
	{ \
		may_fail(__builtin_return_address(0)); \
		return real_##name(a, b, c, d, e, f, g, h, i); \
	}
FUNCTIONS(DEFINE)

static void
failing_appendStringInfo(StringInfo out, const char *format, ...)
{
	may_fail(__builtin_return_address(0));
	for (;;)
	{
		va_list arguments;
		int		needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(out, format, arguments);
		va_end(arguments);
		if (needed == 0)
			return;
		enlargeStringInfo(out, needed);
	}
}

static char *
failing_psprintf(const char *format, ...)
{
	StringInfoData out;

	may_fail(__builtin_return_address(0));
	initStringInfo(&out);
	for (;;)
	{
		va_list arguments;
		int		needed;

		va_start(arguments, format);
		needed = appendStringInfoVA(&out, format, arguments);
		va_end(arguments);
		if (needed == 0)
			return out.data;
		enlargeStringInfo(&out, needed);
	}
}

/*
 * Where revacct lets itself be interrupted: it looks at a flag of ours, which is always up
 */

static volatile sig_atomic_t always = true;

static void
interrupts(void)
{
	if (its_turn(INTERRUPT, __builtin_return_address(0)))
		InterruptPending = QueryCancelPending = true;
	CHECK_FOR_INTERRUPTS();
}

/*
 * Calls of the server for memory of the operating system
 */

/* Blocks of memory contexts, that is: smaller ones are settings, and without room for a setting the server ends the session by itself. */
static bool
none_left(size_t size, void *caller)
{
	if (size < 1024 || !its_turn(MALLOC, caller))
		return false;
	errno = ENOMEM;
	return true;
}

static void *
failing_malloc(size_t size)
{
	return none_left(size, __builtin_return_address(0)) ? NULL : malloc(size);
}

static void *
failing_calloc(size_t count, size_t size)
{
	return none_left(count * size, __builtin_return_address(0)) ? NULL : calloc(count, size);
}

static void *
failing_realloc(void *old, size_t size)
{
	return none_left(size, __builtin_return_address(0)) ? NULL : realloc(old, size);
}

/*
 * Calls of the server that write to files
 */

/* Of tables, indexes and temporary files, that is: those of the log have their room before they are needed, and without it the server stops. */
static bool
disk_full(int file, void *caller)
{
	char	link[64];
	char	path[MAXPGPATH];
	ssize_t length;

	if (likely(!watching[DISK] && fails_at[DISK] == 0))
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", file);
	length = readlink(link, path, sizeof(path) - 1);
	if (length < 0)
		return false;
	path[length] = '\0';
	if (strstr(path, "/base/") == NULL || !its_turn(DISK, caller))
		return false;
	errno = ENOSPC;
	return true;
}

static ssize_t
failing_pwrite(int file, const void *bytes, size_t size, off_t at)
{
	return disk_full(file, __builtin_return_address(0)) ? -1 : pwrite(file, bytes, size, at);
}

static ssize_t
failing_pwritev(int file, const struct iovec *parts, int count, off_t at)
{
	return disk_full(file, __builtin_return_address(0)) ? -1 : pwritev(file, parts, count, at);
}

static int
failing_posix_fallocate(int file, off_t at, off_t size)
{
	return disk_full(file, __builtin_return_address(0)) ? ENOSPC : posix_fallocate(file, at, size);
}

/*
 * Redirecting
 */

typedef struct Redirection
{
	const char *caller; /* how the path of the library ends; empty: the program */
	const char *name;
	void	   *target;
	int			slots;
} Redirection;

static void
redirect_in(Redirection *wanted, ElfW(Addr) base, const ElfW(Rela) *relocations, Size count, const ElfW(Sym) *symbols, const char *names)
{
	uintptr_t page_size = sysconf(_SC_PAGESIZE);

	for (Size i = 0; i < count; i++)
	{
		const char *name = names + symbols[ELF64_R_SYM(relocations[i].r_info)].st_name;
		void	  **slot = (void **) (base + relocations[i].r_offset);
		void	   *page = (void *) ((uintptr_t) slot & ~(page_size - 1));

		if (strcmp(name, wanted->name) != 0)
			continue;
		/* the table is read-only once the loader is done */
		if (mprotect(page, page_size, PROT_READ | PROT_WRITE) != 0)
			elog(ERROR, "could not write to the global offset table: %m");
		*slot = wanted->target;
		wanted->slots++;
	}
}

static int
visit_object(struct dl_phdr_info *object, size_t size, void *argument)
{
	Redirection		*wanted = argument;
	Size			 length = strlen(object->dlpi_name);
	Size			 end = strlen(wanted->caller);
	const ElfW(Dyn)	*dynamic = NULL;
	const ElfW(Sym)	*symbols = NULL;
	const char		*names = NULL;
	const ElfW(Rela) *relocations[2] = {NULL, NULL};
	Size			 bytes[2] = {0, 0};

	if (end == 0 ? length != 0 : length < end || strcmp(object->dlpi_name + length - end, wanted->caller) != 0)
		return 0;
	for (int i = 0; i < object->dlpi_phnum; i++)
		if (object->dlpi_phdr[i].p_type == PT_DYNAMIC)
			dynamic = (const ElfW(Dyn) *) (object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
	for (; dynamic != NULL && dynamic->d_tag != DT_NULL; dynamic++)
		switch (dynamic->d_tag)
		{
			case DT_SYMTAB:
				symbols = (const ElfW(Sym) *) dynamic->d_un.d_ptr;
				break;
			case DT_STRTAB:
				names = (const char *) dynamic->d_un.d_ptr;
				break;
			case DT_RELA:
				relocations[0] = (const ElfW(Rela) *) dynamic->d_un.d_ptr;
				break;
			case DT_RELASZ:
				bytes[0] = dynamic->d_un.d_val;
				break;
			case DT_JMPREL:
				relocations[1] = (const ElfW(Rela) *) dynamic->d_un.d_ptr;
				break;
			case DT_PLTRELSZ:
				bytes[1] = dynamic->d_un.d_val;
				break;
		}
	for (int i = 0; i < 2; i++)
		if (relocations[i] != NULL)
			redirect_in(wanted, object->dlpi_addr, relocations[i], bytes[i] / sizeof(ElfW(Rela)), symbols, names);
	return 0;
}

/* How many slots there were. */
static int
redirect(const char *caller, const char *name, void *target)
{
	Redirection wanted = {caller, name, target, 0};

	dl_iterate_phdr(visit_object, &wanted);
	return wanted.slots;
}

#define REDIRECT(name) \
	real_##name = (Real) dlsym(RTLD_DEFAULT, #name); \
	if (real_##name != NULL) \
		redirected += redirect("/revacct.so", #name, (void *) failing_##name);

extern void _PG_init(void);
void
_PG_init(void)
{
	int redirected = 0;

	load_file("$libdir/revacct", false);
	FUNCTIONS(REDIRECT)
	redirected += redirect("/revacct.so", "appendStringInfo", (void *) failing_appendStringInfo);
	redirected += redirect("/revacct.so", "psprintf", (void *) failing_psprintf);
	if (redirected == 0 || redirect("/revacct.so", "InterruptPending", (void *) &always) == 0 ||
		redirect("/revacct.so", "ProcessInterrupts", (void *) interrupts) == 0 || redirect("", "malloc", (void *) failing_malloc) == 0 ||
		redirect("", "pwrite", (void *) failing_pwrite) == 0 || redirect("", "pwritev", (void *) failing_pwritev) == 0 ||
		redirect("", "posix_fallocate", (void *) failing_posix_fallocate) == 0)
		elog(ERROR, "the calls could not be redirected");
	redirect("", "calloc", (void *) failing_calloc);
	redirect("", "realloc", (void *) failing_realloc);
}

/*
 * What tests call
 */

static Kind
kind_named(text *name)
{
	char *kind = text_to_cstring(name);

	return strcmp(kind, "memory") == 0 ? MEMORY : strcmp(kind, "interrupt") == 0 ? INTERRUPT : strcmp(kind, "disk") == 0 ? DISK : MALLOC;
}

static void
all_off(void)
{
	memset(watching, 0, sizeof(watching));
	memset(fails_at, 0, sizeof(fails_at));
	reached_calls = 0;
}

/* faults_watch(kind text, seed bigint): count calls from now on, and where they come from. */
PG_FUNCTION_INFO_V1(faults_watch);
Datum
faults_watch(PG_FUNCTION_ARGS)
{
	Kind kind = kind_named(PG_GETARG_TEXT_PP(0));

	all_off();
	memset(sites, 0, sizeof(sites));
	chance = PG_GETARG_INT64(1);
	watching[kind] = true;
	PG_RETURN_VOID();
}

/* faults_fail(kind text, n bigint): the n-th call from now on fails. */
PG_FUNCTION_INFO_V1(faults_fail);
Datum
faults_fail(PG_FUNCTION_ARGS)
{
	Kind kind = kind_named(PG_GETARG_TEXT_PP(0));

	all_off();
	failed = false;
	fails_at[kind] = PG_GETARG_INT64(1);
	PG_RETURN_VOID();
}

/* faults_fail_in_worker(kind text, n bigint): the same in a parallel worker, once, when a row of its is asked; true. */
PG_FUNCTION_INFO_V1(faults_fail_in_worker);
Datum
faults_fail_in_worker(PG_FUNCTION_ARGS)
{
	static bool is_set = false;

	if (IsParallelWorker() && !is_set)
	{
		is_set = true;
		faults_fail(fcinfo);
	}
	PG_RETURN_BOOL(true);
}

/* faults_off(): no call fails or is counted any more. Did one fail? */
PG_FUNCTION_INFO_V1(faults_off);
Datum
faults_off(PG_FUNCTION_ARGS)
{
	all_off();
	PG_RETURN_BOOL(failed);
}

/* faults_seen(): the calls counted, where they come from as places in the file of revacct or of the server. */
PG_FUNCTION_INFO_V1(faults_seen);
Datum
faults_seen(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rows = (ReturnSetInfo *) fcinfo->resultinfo;

	all_off();
	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < MAX_SITES; i++)
	{
		Dl_info object;
		Datum	values[5];
		bool	nulls[5] = {false};

		if (sites[i].caller == NULL || dladdr(sites[i].caller, &object) == 0)
			continue;
		values[0] = Int64GetDatum(sites[i].caller - (char *) object.dli_fbase);
		values[1] = Int64GetDatum(sites[i].calls);
		values[2] = Int64GetDatum(sites[i].first);
		values[3] = Int64GetDatum(sites[i].last);
		values[4] = Int64GetDatum(sites[i].some);
		tuplestore_putvalues(rows->setResult, rows->setDesc, values, nulls);
	}
	return (Datum) 0;
}
