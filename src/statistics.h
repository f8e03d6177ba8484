/*
 * statistics.h
 *	  Proportions, their differences and ratios, families of tests, and the distributions behind them.
 *
 * Pure functions: no fmgr, no catalog, no settings. (The SQL-callable wrappers are at the end of statistics.c.)
 */
#ifndef REVACCT_STATISTICS_H
#define REVACCT_STATISTICS_H

#include "postgres.h"

/* An estimate and its confidence limits; what is not defined is 0 and must be shown as NULL. */
typedef struct IntervalEstimate
{
	bool   has_value;  /* is value defined? No when there was no trial */
	bool   has_limits; /* are low and high? */
	double value;
	double low;
	double high;
} IntervalEstimate;

extern double normal_cdf(double z);
extern double normal_quantile(double p);
extern double chi_square_survival(double x, int df);
extern double confidence_z(double confidence);

extern IntervalEstimate wilson_interval(int64 successes, int64 trials, double confidence);
extern IntervalEstimate newcombe_interval(int64 successes_1, int64 trials_1, int64 successes_2, int64 trials_2,
										  double confidence);
extern IntervalEstimate katz_interval(int64 successes_1, int64 trials_1, int64 successes_2, int64 trials_2,
									  double confidence);
extern void				holm_adjust(const double *p_values, const bool *nulls, int n, double *adjusted);

#endif /* REVACCT_STATISTICS_H */
