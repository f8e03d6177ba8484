/*
 * statistics.c
 *	  Proportions, their differences and ratios, families of tests, and the distributions behind them.
 *
 * The first parts are pure. The last part is their SQL face: wilson, newcombe, katz, holm.
 */
#include "statistics.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define LOG_SQRT_TWO_PI 0.91893853320467274178

/* Continued fractions and series stop when a term no longer matters, or, as a last resort, here. */
#define MAX_TERMS 1000000

/*
 * Distributions
 */

/*
 * normal_cdf
 *		P(Z <= z) for a standard normal Z. z is in standard deviations; infinities are fine. Accurate to the last digits
 *		in both tails, being erfc and not 1 + erf.
 */
double
normal_cdf(double z)
{
	return 0.5 * erfc(-z / M_SQRT2);
}

/*
 * Acklam's rational approximation of the lower half of the normal quantile (0 < p <= 0.5), relative error 1.15e-9.
 */
static double
rough_normal_quantile(double p)
{
	static const double a[] = {-3.969683028665376e+01,
							   2.209460984245205e+02,
							   -2.759285104469687e+02,
							   1.383577518672690e+02,
							   -3.066479806614716e+01,
							   2.506628277459239e+00};
	static const double b[] = {-5.447609879822406e+01,
							   1.615858368580409e+02,
							   -1.556989798598866e+02,
							   6.680131188771972e+01,
							   -1.328068155288572e+01};
	static const double c[] = {-7.784894002430293e-03,
							   -3.223964580411365e-01,
							   -2.400758277161838e+00,
							   -2.549732539343734e+00,
							   4.374664141464968e+00,
							   2.938163982698783e+00};
	static const double d[] = {7.784695709041462e-03,
							   3.224671290700398e-01,
							   2.445134137142996e+00,
							   3.754408661907416e+00};
	double				q;
	double				r;

	if (p < 0.02425)
	{
		q = sqrt(-2 * log(p));
		return (((((c[0] * q + c[1]) * q + c[2]) * q + c[3]) * q + c[4]) * q + c[5]) /
			   ((((d[0] * q + d[1]) * q + d[2]) * q + d[3]) * q + 1);
	}
	q = p - 0.5;
	r = q * q;
	return (((((a[0] * r + a[1]) * r + a[2]) * r + a[3]) * r + a[4]) * r + a[5]) * q /
		   (((((b[0] * r + b[1]) * r + b[2]) * r + b[3]) * r + b[4]) * r + 1);
}

/*
 * normal_quantile
 *		The z with normal_cdf(z) = p, to full double precision: Acklam's approximation and one Halley step.
 *
 * The upper half is read from the lower one; callers who want a far upper quantile pass the small tail and turn the
 * sign, since 1 - p has lost the digits of the tail. Error: invalid_parameter_value unless 0 < p < 1.
 */
double
normal_quantile(double p)
{
	double tail = p < 0.5 ? p : 1 - p;
	double z;
	double excess; /* normal_cdf(z) - tail; from the middle, where both are near 0.5 */
	double step;

	if (!(p > 0 && p < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("probability out of range"),
				 errdetail("The probability is %g; it must lie between 0 and 1, and be neither.", p)));
	z = rough_normal_quantile(tail);
	excess = tail < 0.25 ? normal_cdf(z) - tail : 0.5 * erf(z / M_SQRT2) - (tail - 0.5);
	step = excess * exp(z * z / 2 + LOG_SQRT_TWO_PI);
	if (isfinite(step))
		z -= step / (1 + z * step / 2);
	return p < 0.5 ? z : -z;
}

/*
 * The lower regularised incomplete gamma function P(a, x) by its power series (DLMF 8.7.1); for 0 < x < a + 1.
 */
static double
lower_gamma_by_series(double a, double x)
{
	double term = 1 / a;
	double sum = term;

	for (int i = 1; i < MAX_TERMS && term > sum * 1e-17; i++)
	{
		term *= x / (a + i);
		sum += term;
	}
	return sum * exp(a * log(x) - x - lgamma(a));
}

/*
 * The upper regularised incomplete gamma function Q(a, x) by its continued fraction (DLMF 8.9.2), evaluated by Lentz's
 * method; for x >= a + 1. No denominator gets near zero there.
 */
static double
upper_gamma_by_fraction(double a, double x)
{
	double b = x + 1 - a;
	double c = HUGE_VAL;
	double d = 1 / b;
	double fraction = d;

	for (int i = 1; i < MAX_TERMS; i++)
	{
		double numerator = -i * (i - a);
		double factor;

		b += 2;
		d = 1 / (numerator * d + b);
		c = b + numerator / c;
		factor = c * d;
		fraction *= factor;
		if (fabs(factor - 1) < 1e-16)
			break;
	}
	return fraction * exp(a * log(x) - x - lgamma(a));
}

/*
 * chi_square_survival
 *		P(X >= x) for a chi-square variable with df >= 1 degrees of freedom, Q(df / 2, x / 2); 1 for x <= 0.
 */
double
chi_square_survival(double x, int df)
{
	double a = df / 2.0;

	Assert(df > 0);
	Assert(!isnan(x));
	if (x <= 0)
		return 1;
	if (df == 1)
		return erfc(sqrt(x / 2));
	if (df == 2)
		return exp(-x / 2);
	if (isinf(x))
		return 0;
	if (x / 2 < a + 1)
		return 1 - lower_gamma_by_series(a, x / 2);
	return upper_gamma_by_fraction(a, x / 2);
}

/*
 * confidence_z
 *		How many standard errors a two-sided interval of this confidence reaches: 1.96 for 0.95.
 *
 * Error: invalid_parameter_value unless 0 < confidence < 1 (NaN is refused too).
 */
double
confidence_z(double confidence)
{
	if (!(confidence > 0 && confidence < 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("confidence out of range"),
				 errdetail("The confidence is %g; it must lie between 0 and 1, and be neither.", confidence)));
	return -normal_quantile((1 - confidence) / 2);
}

/*
 * Proportions
 */

static void
check_counts(int64 successes, int64 trials)
{
	if (trials < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of trials must not be negative"),
				 errdetail("There are " INT64_FORMAT " successes in " INT64_FORMAT " trials.", successes, trials)));
	if (successes < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of successes must not be negative"),
				 errdetail("There are " INT64_FORMAT " successes in " INT64_FORMAT " trials.", successes, trials)));
	if (successes > trials)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("number of successes must not exceed the number of trials"),
				 errdetail("There are " INT64_FORMAT " successes in " INT64_FORMAT " trials.", successes, trials)));
}

/*
 * The Wilson limits of x successes in n > 0 trials at z standard errors: the roots p of
 *		(x / n - p)^2 = z^2 p (1 - p) / n.
 * The upper root is a sum of positive terms; the lower one follows from the product of the roots, so that neither loses
 * digits to cancellation, and 0 and 1 come out as such.
 */
static IntervalEstimate
wilson_at_z(double x, double n, double z)
{
	double			 z2 = z * z;
	double			 sum = 2 * x + z2 + z * sqrt(z2 + 4 * x * ((n - x) / n));
	IntervalEstimate result = {.has_value = true, .has_limits = true, .value = x / n};

	result.high = Min(sum / (2 * (n + z2)), 1);
	result.low = x > 0 ? 2 * x * (x / n) / sum : 0;
	result.low = Min(result.low, result.value);
	result.high = Max(result.high, result.value);
	return result;
}

/*
 * wilson_interval
 *		The rate successes / trials with its Wilson score interval, without continuity correction.
 *
 * The confidence is two-sided. Nothing is defined when there was no trial. Errors: invalid_parameter_value for counts
 * that are negative or in the wrong order, and for a confidence outside (0, 1).
 * Source: Wilson 1927; Newcombe 1998, Statistics in Medicine 17:857, method 3.
 */
IntervalEstimate
wilson_interval(int64 successes, int64 trials, double confidence)
{
	double z = confidence_z(confidence);

	check_counts(successes, trials);
	if (trials == 0)
		return (IntervalEstimate){0};
	return wilson_at_z(successes, trials, z);
}

/*
 * newcombe_interval
 *		The difference of two independent rates, first minus second, with Newcombe's hybrid score interval.
 *
 * The distances of the two rates from their Wilson limits are added in quadrature. Nothing is defined when either side
 * has no trial. Errors: as wilson_interval. Source: Newcombe 1998, Statistics in Medicine 17:873, method 10.
 */
IntervalEstimate
newcombe_interval(int64 successes_1, int64 trials_1, int64 successes_2, int64 trials_2, double confidence)
{
	double			 z = confidence_z(confidence);
	IntervalEstimate result = {.has_value = true, .has_limits = true};
	IntervalEstimate a;
	IntervalEstimate b;

	check_counts(successes_1, trials_1);
	check_counts(successes_2, trials_2);
	if (trials_1 == 0 || trials_2 == 0)
		return (IntervalEstimate){0};
	a = wilson_at_z(successes_1, trials_1, z);
	b = wilson_at_z(successes_2, trials_2, z);
	/* as one fraction, so that small counts lose no digit */
	result.value = ((double) successes_1 * trials_2 - (double) successes_2 * trials_1) / ((double) trials_1 * trials_2);
	result.low = Max(result.value - hypot(a.value - a.low, b.high - b.value), -1);
	result.high = Min(result.value + hypot(a.high - a.value, b.value - b.low), 1);
	return result;
}

/*
 * katz_interval
 *		The ratio of two independent rates, first over second, with Katz's interval on the log scale.
 *
 * log ratio +- z sqrt(1/x1 - 1/n1 + 1/x2 - 1/n2). Nothing is defined when either side has no trial or the second no
 * success; the ratio 0 has no limits. Errors: as wilson_interval. Source: Katz et al. 1978, Biometrics 34:469.
 */
IntervalEstimate
katz_interval(int64 successes_1, int64 trials_1, int64 successes_2, int64 trials_2, double confidence)
{
	double			 z = confidence_z(confidence);
	double			 x1 = successes_1;
	double			 n1 = trials_1;
	double			 x2 = successes_2;
	double			 n2 = trials_2;
	IntervalEstimate result = {0};
	double			 reach;

	check_counts(successes_1, trials_1);
	check_counts(successes_2, trials_2);
	if (trials_1 == 0 || trials_2 == 0 || successes_2 == 0)
		return result;
	result.has_value = true;
	result.value = (x1 * n2) / (n1 * x2);
	if (successes_1 == 0)
		return result;
	/* 1/x - 1/n, without cancellation */
	reach = z * sqrt((n1 - x1) / n1 / x1 + (n2 - x2) / n2 / x2);
	result.has_limits = true;
	result.low = result.value * exp(-reach);
	result.high = result.value * exp(reach);
	return result;
}

/*
 * Families of tests
 */

typedef struct RankedP
{
	double p;
	int	   position;
} RankedP;

static int
compare_ranked_p(const void *a, const void *b)
{
	double pa = ((const RankedP *) a)->p;
	double pb = ((const RankedP *) b)->p;

	/* sorting tens of millions takes a while */
	CHECK_FOR_INTERRUPTS();
	return (pa > pb) - (pa < pb);
}

/*
 * holm_adjust
 *		Holm's step-down adjusted p-values: the i-th smallest of m becomes the largest of (m - j + 1) p(j), j <= i, at
 *		most 1. Rejecting what is at most alpha keeps the chance of any false rejection in the family at alpha.
 *
 * nulls (may be NULL: none is) marks the positions to leave out: they are not tests of the family, and their adjusted
 * value is not set. adjusted may be p_values itself. Error: invalid_parameter_value for a p-value outside [0, 1].
 * Source: Holm 1979, Scandinavian Journal of Statistics 6:65.
 */
void
holm_adjust(const double *p_values, const bool *nulls, int n, double *adjusted)
{
	RankedP *ranked = palloc(Max(n, 1) * sizeof(RankedP));
	int		 m = 0;
	double	 largest = 0;

	for (int i = 0; i < n; i++)
	{
		if (nulls != NULL && nulls[i])
			continue;
		if (!(p_values[i] >= 0 && p_values[i] <= 1))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("p-value out of range"),
					 errdetail("The p-value at position %d is %g; it must lie between 0 and 1.", i + 1, p_values[i])));
		ranked[m++] = (RankedP){.p = p_values[i], .position = i};
	}
	qsort(ranked, m, sizeof(RankedP), compare_ranked_p);
	for (int j = 0; j < m; j++)
	{
		CHECK_FOR_INTERRUPTS();
		largest = Max(largest, (m - j) * ranked[j].p);
		adjusted[ranked[j].position] = Min(largest, 1);
	}
	pfree(ranked);
}

/*
 * The SQL face
 */

/* The largest array that holm takes: its working copy must fit into one allocation. */
#define HOLM_MAX_P_VALUES ((int) (MaxAllocSize / sizeof(RankedP)))

/* (value, low, high) as the row that the calling function returns. */
static Datum
interval_as_row(FunctionCallInfo fcinfo, IntervalEstimate estimate)
{
	TupleDesc row_type;
	Datum	  values[3];
	bool	  nulls[3];

	if (get_call_result_type(fcinfo, NULL, &row_type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	values[0] = Float8GetDatum(estimate.value);
	values[1] = Float8GetDatum(estimate.low);
	values[2] = Float8GetDatum(estimate.high);
	nulls[0] = !estimate.has_value;
	nulls[1] = nulls[2] = !estimate.has_limits;
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row_type), values, nulls));
}

PG_FUNCTION_INFO_V1(revacct_wilson);

/* wilson(successes bigint, trials bigint, confidence float8) -> (rate, low, high) */
Datum
revacct_wilson(PG_FUNCTION_ARGS)
{
	return interval_as_row(fcinfo, wilson_interval(PG_GETARG_INT64(0), PG_GETARG_INT64(1), PG_GETARG_FLOAT8(2)));
}

PG_FUNCTION_INFO_V1(revacct_newcombe);

/* newcombe(successes_1, trials_1, successes_2, trials_2 bigint, confidence float8) -> (difference, low, high) */
Datum
revacct_newcombe(PG_FUNCTION_ARGS)
{
	return interval_as_row(fcinfo,
						   newcombe_interval(PG_GETARG_INT64(0),
											 PG_GETARG_INT64(1),
											 PG_GETARG_INT64(2),
											 PG_GETARG_INT64(3),
											 PG_GETARG_FLOAT8(4)));
}

PG_FUNCTION_INFO_V1(revacct_katz);

/* katz(successes_1, trials_1, successes_2, trials_2 bigint, confidence float8) -> (ratio, low, high) */
Datum
revacct_katz(PG_FUNCTION_ARGS)
{
	return interval_as_row(fcinfo,
						   katz_interval(PG_GETARG_INT64(0),
										 PG_GETARG_INT64(1),
										 PG_GETARG_INT64(2),
										 PG_GETARG_INT64(3),
										 PG_GETARG_FLOAT8(4)));
}

/* The members of a float8 array. */
static double *
array_as_doubles(ArrayType *array, bool **nulls, int *n)
{
	Datum  *members;
	double *result;

	deconstruct_array(array, FLOAT8OID, sizeof(float8), FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &members, nulls, n);
	result = palloc(*n * sizeof(double));
	for (int i = 0; i < *n; i++)
		result[i] = (*nulls)[i] ? 0 : DatumGetFloat8(members[i]);
	pfree(members);
	return result;
}

PG_FUNCTION_INFO_V1(revacct_holm);

/* holm(p_values float8[]) -> float8[], with the bounds of its argument */
Datum
revacct_holm(PG_FUNCTION_ARGS)
{
	ArrayType *array = PG_GETARG_ARRAYTYPE_P(0);
	int		   n = ArrayGetNItems(ARR_NDIM(array), ARR_DIMS(array));
	double	  *p_values;
	Datum	  *members;
	bool	  *nulls;

	if (ARR_NDIM(array) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("p-values must be a one-dimensional array"),
				 errdetail("The array has %d dimensions.", ARR_NDIM(array))));
	if (n > HOLM_MAX_P_VALUES)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many p-values"),
				 errdetail("There are %d; at most %d can be adjusted together.", n, HOLM_MAX_P_VALUES)));
	if (n == 0)
		PG_RETURN_ARRAYTYPE_P(construct_empty_array(FLOAT8OID));
	p_values = array_as_doubles(array, &nulls, &n);
	holm_adjust(p_values, nulls, n, p_values);
	members = palloc(n * sizeof(Datum));
	for (int i = 0; i < n; i++)
		members[i] = Float8GetDatum(p_values[i]);
	PG_RETURN_ARRAYTYPE_P(construct_md_array(members,
											 nulls,
											 1,
											 ARR_DIMS(array),
											 ARR_LBOUND(array),
											 FLOAT8OID,
											 sizeof(float8),
											 FLOAT8PASSBYVAL,
											 TYPALIGN_DOUBLE));
}
