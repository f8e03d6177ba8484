/*
 * tally.h
 *	  A summary of counters and durations under one definition: what velocity and breach summaries have in common.
 *
 * Stored form:
 *	version byte
 *	flags						1: since; the others are the summary's own
 *	as_of, since				zigzag varints
 *	definition					varint length and bytes
 *	counters					varints; before them their number, if the type has no fixed number of them
 *	blocks of durations			durations.h
 *
 * Working state: a Tally, then a stored form, then counters and entries that are not part of it yet. Once there are enough
 * entries, they are sorted into the stored form in one go, which costs a few nanoseconds each: cheaper than finding a
 * place for each as it comes, and as compact as the stored form itself.
 */
#ifndef REVACCT_TALLY_H
#define REVACCT_TALLY_H

#include "definition.h"
#include "durations.h"

#define TALLY_SINCE 0x01

/* What makes one type of summary differ from another. */
typedef struct TallyType
{
	const char *type_name;
	const char *definition_kinds; /* "Their ... have the fingerprints" */
	int			fixed_counters;	  /* 0: the number is stored */
	uint8		flags;			  /* those it knows */
} TallyType;

/* A stored form, taken apart. */
typedef struct TallyForm
{
	uint8		 flags;
	TimestampTz	 as_of;
	TimestampTz	 since; /* DT_NOBEGIN if not given */
	uint64		 fingerprint;
	const uint8 *definition;
	Size		 definition_length;
	int			 counter_count;
	uint64		*counters;
	ByteReader	 blocks;
} TallyForm;

typedef struct Tally
{
	int32		vl_len_; /* capacity */
	uint8		header;	 /* WORKING_BIT | version */
	uint8		flags;
	uint16		reserved;
	uint32		counter_count;
	uint32		block_count;
	uint64		fingerprint;
	TimestampTz as_of;
	TimestampTz since;
	uint32		stored_length;
	uint32		waiting; /* entries; after the counters */
	char		data[FLEXIBLE_ARRAY_MEMBER];
} Tally;

StaticAssertDecl(offsetof(Tally, header) == VARHDRSZ, "the header byte is the first payload byte");
StaticAssertDecl(offsetof(Tally, data) % MAXIMUM_ALIGNOF == 0, "counters and entries are aligned");

extern Tally		   *new_tally(const TallyType *type, const TallyForm *form, int block_count);
extern Tally		   *room_for_entry(const TallyType *type, Tally *tally);
extern Tally		   *tally_argument(FunctionCallInfo fcinfo, const TallyType *type);
pg_noreturn extern void reject_tally(const TallyType *type, const Tally *tally, const TallyForm *other);
pg_noreturn extern void report_clock_mismatch(void);
extern Datum			tally_add_summary(FunctionCallInfo fcinfo, const TallyType *type);
extern Datum			tally_final(FunctionCallInfo fcinfo, const TallyType *type);
extern ByteReader		stored_tally(const TallyType *type, Datum datum);
extern void				read_tally(const TallyType *type, TallyForm *form, ByteReader reader);
extern void				append_tally_head(const TallyType *type, StringInfo out, const TallyForm *form);
extern Datum			definition_of_tally(const TallyForm *form);
extern int				count_blocks(ByteReader blocks);
extern ByteReader		nth_block(ByteReader blocks, int n);
extern bool				is_tally_canonical(const TallyType *type, TallyForm *form, const StringInfoData *bytes);

/* The counters of what waits. They move when an entry is added. */
static inline uint64 *
tally_counters(const Tally *tally)
{
	return (uint64 *) (tally->data + MAXALIGN(tally->stored_length));
}

static inline DurationEntry *
tally_entries(const Tally *tally)
{
	return (DurationEntry *) (tally_counters(tally) + tally->counter_count);
}

static inline Size
tally_entry_capacity(const Tally *tally)
{
	return (VARSIZE(tally) - ((char *) tally_entries(tally) - (char *) tally)) / sizeof(DurationEntry);
}

/* Add a duration to a block; the tally may move. */
static inline void
add_duration(const TallyType *type, Tally **tally, int64 duration, int block, int slot)
{
	DurationEntry *entry;

	if (unlikely((*tally)->waiting >= tally_entry_capacity(*tally)))
		*tally = room_for_entry(type, *tally);
	entry = &tally_entries(*tally)[(*tally)->waiting++];
	entry->duration = duration;
	entry->stage = block;
	entry->slot = slot;
}

/* May what is described by form be added to the tally? An error if not. */
static inline void
check_same_tally(const TallyType *type, const Tally *tally, const TallyForm *form)
{
	if (unlikely(tally->fingerprint != form->fingerprint || tally->as_of != form->as_of ||
				 tally->since != form->since || tally->flags != form->flags))
		reject_tally(type, tally, form);
}

#endif /* REVACCT_TALLY_H */
