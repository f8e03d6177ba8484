/*
 * sla.h
 *	  What the marks of a journey do to a clock, and the policies by which clocks are judged: one immutable value.
 *
 * Stored, after the head that all definitions have (definition.h):
 *
 *	name						varint length and bytes
 *	reopen, change, beyond		a byte each
 *	max clocks					varint, 0: no limit
 *	names						varint count, then for each its text, marks (varint count, then ascending varints), roles
 *								(varint, a set of bits) and the phase it leads to (varint, 0: none)
 *	phases						varint count, and texts
 *	calendars					varint count, then for each a varint length and a stored calendar
 *	policies					varint count, then for each:
 *		version					text
 *		flags					1 valid from, 2 valid to, 4 segments, 8 owners, 16 target, 32 calendar
 *		from, to				zigzag varints
 *		segments, owners		varint count, then zigzag varints, ascending
 *		target					varint of microseconds
 *		calendar				varint, its place among the calendars
 *		warnings				varint count, then varints of millionths, ascending
 *		steps					varint count, then for each a byte (0 millionths of the target, 1 microseconds from it), a
 *								zigzag varint, and the recipient's text
 *
 * Names ascend by their first mark; calendars ascend by their bytes and are all used; policies are in the order of
 * compare_policies, which looks at the most specific ones first.
 */
#ifndef REVACCT_SLA_H
#define REVACCT_SLA_H

#include "lifecycle.h"
#include "open_time.h"

#define MAX_PHASES 16

/* What a mark can do, in the order in which tied marks are read; part of the stored format. */
typedef enum Role
{
	ROLE_PROMISE = 0x001,
	ROLE_SEGMENT = 0x002,
	ROLE_OWNER = 0x004,
	ROLE_START = 0x008,
	ROLE_PHASE = 0x010,
	ROLE_PAUSE = 0x020,
	ROLE_RESUME = 0x040,
	ROLE_RESET = 0x080,
	ROLE_STOP = 0x100,
	ROLE_CANCEL = 0x200
} Role;

#define ROLES 10
#define CONTEXT_ROLES (ROLE_PROMISE | ROLE_SEGMENT | ROLE_OWNER)

typedef enum ReopenOption
{
	REOPEN_RESUME,
	REOPEN_RESTART,
	REOPEN_IGNORE
} ReopenOption;

typedef enum ChangeOption
{
	CHANGE_CARRY,
	CHANGE_RESTART
} ChangeOption;

typedef enum BeyondOption
{
	BEYOND_IGNORE,
	BEYOND_BREACH
} BeyondOption;

typedef struct SlaName
{
	const char *name;
	int			mark_count;
	uint16	   *marks; /* ascending */
	int			roles;
	int			phase; /* with ROLE_PHASE: the phase it leads to, from 1 */
} SlaName;

/* A list of segments or owners; all of them if it is not set. */
typedef struct ValueList
{
	bool   set;
	int	   count;
	int64 *values; /* ascending */
} ValueList;

#define MILLION 1000000

/* 2000-01-01 in microseconds since 1970-01-01, which promises count from. */
#define UNIX_EPOCH ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY)

typedef struct EscalationStep
{
	bool		from_target; /* amount is microseconds from the target, else millionths of it */
	int64		amount;
	const char *recipient;
} EscalationStep;

typedef struct Policy
{
	const char	   *version;
	TimestampTz		valid_from; /* DT_NOBEGIN if always */
	TimestampTz		valid_to;	/* DT_NOEND if for ever */
	ValueList		segments;
	ValueList		owners;
	bool			has_target;
	int64			target;
	int				calendar; /* its place among the calendars, or -1 for wall time */
	OpenTime	   *open;	  /* it, when it has been asked for */
	int				warning_count;
	int			   *warnings; /* millionths of the target, ascending */
	int				step_count;
	EscalationStep *steps;
} Policy;

typedef struct StoredCalendar
{
	const void *bytes;
	Size		length;
} StoredCalendar;

typedef struct Sla
{
	const char	   *name;
	ReopenOption	reopen;
	ChangeOption	change;
	BeyondOption	beyond;
	int				max_clocks; /* 0: no limit */
	int				name_count;
	SlaName		   *names; /* ascending by first mark */
	int				phase_count;
	const char	  **phases;
	int				calendar_count;
	StoredCalendar *calendars; /* ascending by bytes */
	int				policy_count;
	Policy		   *policies;

	/* derived */
	uint64		 fingerprint;
	int			 lookup_size;	/* one more than the largest mark */
	uint16		*roles_of_mark; /* a set of bits */
	uint8		*phase_of_mark; /* where there is ROLE_PHASE */
	int			 used_roles;	/* all roles that any mark has */
	bool		 one_policy;	/* which is always in force */
	int			 boundary_count;
	TimestampTz *boundaries; /* instants at which a policy begins or ends to be valid, ascending */
} Sla;

/* What a call site keeps from row to row, for speed alone. */
typedef struct SlaCall
{
	Sla			 *sla; /* its calendars are open */
	uint64		  fingerprint;
	Size		  length;
	MemoryContext context;
} SlaCall;

extern Sla	*sla_of_call(SlaCall *call, Datum datum, MemoryContext parent);
extern Sla	*decode_sla(Datum datum);
extern Sla	*decode_sla_bytes(const void *bytes, Size length, ByteSource source);
extern void	 check_sla_bytes(const char *bytes, Size length, ByteSource source);
extern int	 policy_in_force(const Sla *sla, TimestampTz at, const int64 *segment, const int64 *owner, bool promised);
extern char *step_text(const EscalationStep *step);

#endif /* REVACCT_SLA_H */
