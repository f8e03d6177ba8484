/*
 * survival.h
 *	  Kaplan–Meier, Aalen–Johansen and their relatives, over a table of durations.
 *
 * Pure functions: no fmgr, no catalog, no settings. Memory comes from palloc.
 */
#ifndef REVACCT_SURVIVAL_H
#define REVACCT_SURVIVAL_H

#include "postgres.h"

/* How a visit ended; the order is part of the stored format. */
typedef enum ExitKind
{
	EXIT_FORWARD,
	EXIT_SKIP,
	EXIT_BACK,
	EXIT_REPEAT,
	EXIT_WON,
	EXIT_LOST,
	EXIT_NO_DECISION,
	EXIT_RECYCLED,
	EXIT_CHURNED
} ExitKind;

#define EXIT_KINDS 9
#define EXIT_ANY (-1) /* "left by whatever exit" where a kind is asked for */

/* Everything that happened at one duration; rows of a table ascend by low. */
typedef struct DurationRow
{
	int64 low;			/* microseconds; a binned row spans low..high inclusive */
	int64 high;			/* equal to low while exact */
	int64 at;			/* the duration the row stands for, low <= at <= high */
	int64 late_entries; /* came under observation at this age */
	int64 censored;		/* still there when observation ended */
	int64 exits[EXIT_KINDS];
} DurationRow;

typedef struct DurationTable
{
	int			 nrows;
	DurationRow *rows;
} DurationTable;

/*
 * How many of a row left by kind; EXIT_ANY counts every exit.
 */
static inline int64
duration_row_exits(const DurationRow *row, int kind)
{
	int64 exits = 0;

	if (kind != EXIT_ANY)
		return row->exits[kind];
	for (int k = 0; k < EXIT_KINDS; k++)
		exits += row->exits[k];
	return exits;
}

/* On which scale the confidence limits of a survival curve are symmetric. */
typedef enum SurvivalLimits
{
	LIMITS_LOG_LOG, /* log(-log S), the default */
	LIMITS_LOG,
	LIMITS_PLAIN
} SurvivalLimits;

/* One age with an event or a censoring; the curve keeps its values until the next point. */
typedef struct SurvivalPoint
{
	int64  time;		  /* microseconds; DurationRow.at */
	int64  n_risk;		  /* at risk just before time */
	int64  events;		  /* exits of the curve's kind */
	int64  censored;	  /* open visits, and exits of other kinds than the curve's */
	double survival;	  /* S(time): still there after the events at time */
	double greenwood_sum; /* sum of d / (n (n - d)); infinite once survival is 0 */
	bool   has_limits;	  /* are the next three defined? No once survival is 0 */
	double std_error;	  /* of survival */
	double low;
	double high;
	double bracket_low;	 /* where the exact product lies in spite of the bins; */
	double bracket_high; /* both are survival while the table is exact */
} SurvivalPoint;

typedef struct SurvivalCurve
{
	int			   npoints;	  /* 0 when the table holds no visit */
	SurvivalPoint *points;	  /* ascending by time */
	int64		   last_time; /* last observed time; -1 when there is none */
	int64		   last_high; /* the longest duration that the last row can hold */
} SurvivalCurve;

/* Which curve a quantile is read from. */
typedef enum QuantileOf
{
	QUANTILE_ESTIMATE,
	QUANTILE_LOW, /* lower limit of the quantile: from the lower limit of S */
	QUANTILE_HIGH /* upper limit of the quantile: from the upper limit of S */
} QuantileOf;

typedef struct RestrictedMean
{
	bool   defined;	  /* false when the table holds no visit */
	double mean;	  /* microseconds */
	double std_error; /* microseconds */
	int64  tau;		  /* the horizon used, microseconds */
} RestrictedMean;

/* One age with an exit of any kind or a censoring. */
typedef struct IncidencePoint
{
	int64  time;	  /* microseconds; DurationRow.at */
	int64  n_risk;	  /* at risk just before time */
	int64  events;	  /* exits of the asked kind */
	double incidence; /* F(time): left by the asked kind at or before time */
	double std_error; /* of incidence; always defined */
	double survival;  /* S(time), all exits counted: the F of all kinds and S sum to 1 */
} IncidencePoint;

typedef struct IncidenceCurve
{
	int				npoints;
	IncidencePoint *points;	   /* ascending by time */
	int64			last_time; /* as in SurvivalCurve */
	int64			last_high;
} IncidenceCurve;

typedef struct LogRank
{
	bool	defined; /* false when df is 0: then there is no chi_square and no p_value */
	double	chi_square;
	int		df;
	double	p_value;
	int		ngroups;
	double *observed; /* [ngroups], always set */
	double *expected; /* [ngroups], always set */
} LogRank;

#define LOG_RANK_GROUPS_MAX 1024

extern void			  check_probability(double p);
extern SurvivalCurve *survival_curve(const DurationTable *table, int kind, double confidence, SurvivalLimits limits);
extern bool survival_quantile(const SurvivalCurve *curve, double p, bool midpoint, QuantileOf of, int64 *quantile);
extern bool survival_at(const SurvivalCurve *curve, int64 age, double *survival);
extern RestrictedMean restricted_mean(const SurvivalCurve *curve, const int64 *tau);

extern IncidenceCurve *incidence_curve(const DurationTable *table, int kind);
extern bool			   incidence_at(const IncidenceCurve *curve, int64 age, double *incidence);
extern bool exit_probability(const DurationTable *table, int kind, int64 age, int64 horizon, double *probability,
							 int64 *at_risk);

extern LogRank *log_rank(const DurationTable *tables, int ngroups, int kind);

#endif /* REVACCT_SURVIVAL_H */
