/*
 * survival.c
 *	  Kaplan–Meier, Aalen–Johansen and their relatives, over a table of durations.
 *
 * What the numbers mean is in docs/semantics.md, section 6. All functions walk the rows of a table once, in order, with
 * the number at risk in hand; nothing here knows how durations are stored or which of them are binned, save for the
 * bracket of a binned row and for comparing binned tables with exact ones.
 */
#include "survival.h"

#include "datatype/timestamp.h"

#include <math.h>

#include "durations.h"
#include "miscadmin.h"
#include "statistics.h"

/* Two probabilities closer than this are the same: R's survfit has it too, sqrt(DBL_EPSILON). */
#define PROBABILITY_TOLERANCE 1.49e-8

/* A walk over the rows of a table. Start with start_walk; next_row steps. */
typedef struct RiskWalk
{
	const DurationTable *table;
	int					 next;	  /* index of the row to come */
	int64				 before;  /* entered before that row and not yet left */
	const DurationRow	*row;	  /* the current row */
	int64				 entered; /* entered before the current row (after the last: before) and not yet left */
	int64				 n_risk;  /* at risk at the current row: entered, but see next_row */
	int64				 exits;	  /* of all kinds, at the current row */
} RiskWalk;

/* Refuse a share that is none. */
void
check_probability(double p)
{
	if (!(p >= 0 && p <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a quantile is between 0 and 1"),
				 errdetail("It is %g.", p)));
}

/*
 * Walking a table
 */

/* Begin before the first row: at risk is whoever did not come late. */
static void
start_walk(RiskWalk *walk, const DurationTable *table)
{
	walk->table = table;
	walk->next = 0;
	walk->before = 0;
	walk->row = NULL;
	walk->entered = 0;
	walk->n_risk = 0;
	walk->exits = 0;
	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];

		walk->before += duration_row_exits(row, EXIT_ANY) + row->censored - row->late_entries;
	}
}

/*
 * Step to the next row; false after the last.
 *
 * At risk at a row is whoever entered before it and left at it or later; late entries of the row itself come after its
 * exits. In a binned row that order can be impossible (a visit can enter late and leave inside one bin): when more
 * leave at a row than entered before it, its late entries are counted in.
 */
static bool
next_row(RiskWalk *walk)
{
	const DurationRow *row;
	int64			   leaving;

	CHECK_FOR_INTERRUPTS();
	walk->entered = walk->before;
	if (walk->next == walk->table->nrows)
		return false;
	row = walk->row = &walk->table->rows[walk->next++];
	walk->exits = duration_row_exits(row, EXIT_ANY);
	leaving = walk->exits + row->censored;
	walk->n_risk = walk->entered >= leaving ? walk->entered : walk->entered + row->late_entries;
	walk->before += row->late_entries - leaving;
	return true;
}

/* Does the current row end a visit? Rows that only let late ones in are no point of a curve. */
static inline bool
row_is_point(const RiskWalk *walk)
{
	return walk->exits > 0 || walk->row->censored > 0;
}

/* The share of n that does not leave when d of them do; 0 when nobody is left. */
static inline double
staying_share(int64 d, int64 n)
{
	if (d == 0)
		return 1;
	return d >= n ? 0 : (double) (n - d) / (double) n;
}

/*
 * Kaplan–Meier
 */

/*
 * Set the standard error and the confidence limits of a point from its survival and Greenwood sum; z standard errors on
 * the scale asked for. As R's survfit: once survival is 0 nothing is defined; before the first event everything is 1.
 * The log limit is cut at 1, the plain ones at 0 and 1.
 */
static void
set_limits(SurvivalPoint *point, double z, SurvivalLimits limits)
{
	double s = point->survival;
	double reach = z * sqrt(point->greenwood_sum);

	point->has_limits = s > 0;
	if (!point->has_limits)
	{
		point->std_error = point->low = point->high = 0;
		return;
	}
	point->std_error = s * sqrt(point->greenwood_sum);
	if (s >= 1 || reach == 0)
	{
		point->low = point->high = s;
		return;
	}
	switch (limits)
	{
		case LIMITS_LOG_LOG:
			/* S to the power exp(+-reach / log S) */
			point->low = exp(log(s) * exp(-reach / log(s)));
			point->high = exp(log(s) * exp(reach / log(s)));
			break;
		case LIMITS_LOG:
			point->low = s * exp(-reach);
			point->high = Min(s * exp(reach), 1);
			break;
		case LIMITS_PLAIN:
			point->low = Max(s - s * reach, 0);
			point->high = Min(s + s * reach, 1);
			break;
	}
}

/*
 * Carry a curve over the current row: all of point is set but its limits. previous is the point before it.
 *
 * The bracket multiplies, for each binned row that n entered before, with d events, c censorings and l late entries,
 * the extreme factors that the unknown order inside the bin allows: 1 - d / (n - c) and 1 - d / (n + l).
 */
static void
step_survival(const RiskWalk *walk, int kind, const SurvivalPoint *previous, SurvivalPoint *point)
{
	const DurationRow *row = walk->row;
	int64			   n = walk->n_risk;
	int64			   d = duration_row_exits(row, kind);
	bool			   binned = row->low < row->high;

	*point = *previous;
	point->time = row->at;
	point->n_risk = n;
	point->events = d;
	point->censored = row->censored + walk->exits - d;
	if (d == 0)
		return;
	point->survival *= staying_share(d, n);
	point->greenwood_sum += d < n ? (double) d / ((double) n * (double) (n - d)) : HUGE_VAL;
	point->bracket_low *= staying_share(d, binned ? walk->entered - point->censored : n);
	point->bracket_high *= staying_share(d, binned ? walk->entered + row->late_entries : n);
}

/*
 * survival_curve
 *		The Kaplan–Meier curve of a table: one point for each age with an exit or a censoring.
 *
 * kind is the exit that counts as the event; the others then censor, after the events at their age. EXIT_ANY counts
 * every exit. The confidence is two-sided. A table without visits gives a curve without points, which is a valid
 * argument of the functions below. Error: invalid_parameter_value for a confidence outside (0, 1).
 * Source: Kaplan and Meier 1958; Greenwood 1926; limits as R's survival::survfit.
 */
SurvivalCurve *
survival_curve(const DurationTable *table, int kind, double confidence, SurvivalLimits limits)
{
	double				 z = confidence_z(confidence);
	SurvivalCurve		*curve = palloc0(sizeof(SurvivalCurve));
	SurvivalPoint		 start = {.survival = 1, .bracket_low = 1, .bracket_high = 1};
	const SurvivalPoint *previous = &start;
	RiskWalk			 walk;

	curve->points = palloc(Max(table->nrows, 1) * sizeof(SurvivalPoint));
	curve->last_time = curve->last_high = -1;
	start_walk(&walk, table);
	while (next_row(&walk))
	{
		SurvivalPoint *point = &curve->points[curve->npoints];

		if (!row_is_point(&walk))
			continue;
		step_survival(&walk, kind, previous, point);
		set_limits(point, z, limits);
		previous = point;
		curve->npoints++;
		curve->last_time = walk.row->at;
		curve->last_high = walk.row->high;
	}
	return curve;
}

/* Refuse a negative age or span of time, microseconds; what names it. */
static void
check_not_negative(int64 duration, const char *what)
{
	if (duration < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", what),
				 errdetail("The %s is " INT64_FORMAT " microseconds.", what, duration)));
}

/*
 * 1 minus the curve that a quantile is read from, at one point; -1 where that curve is not defined.
 */
static double
distribution_at(const SurvivalPoint *point, QuantileOf of)
{
	if (of == QUANTILE_ESTIMATE)
		return 1 - point->survival;
	if (!point->has_limits)
		return -1;
	return 1 - (of == QUANTILE_LOW ? point->low : point->high);
}

/*
 * The first point from index on at which the distribution is at least level; npoints if there is none.
 */
static int
first_point_at_level(const SurvivalCurve *curve, int index, QuantileOf of, double level)
{
	while (index < curve->npoints && distribution_at(&curve->points[index], of) < level)
		index++;
	return index;
}

/*
 * survival_quantile
 *		Set *quantile (microseconds) to the first time at which the share that has left is at least p; false when the
 *		curve does not get there.
 *
 * Equality is judged with a tolerance of 1.49e-8. When the curve sits at exactly p, midpoint asks for the middle
 * between that time and the next time at which the curve is past p, or, when it never is, the last observed time; it is
 * cut to the microsecond. Without midpoint it is the first time itself. p = 0 is age 0. of chooses the estimate or one
 * of its confidence limits: the same rule, read from the limits of the curve. A plateau of a limit that is not defined
 * at the curve's end does not count as reached, as in R.
 * Error: invalid_parameter_value unless 0 <= p <= 1. Source: R's survival:::quantile.survfit.
 */
bool
survival_quantile(const SurvivalCurve *curve, double p, bool midpoint, QuantileOf of, int64 *quantile)
{
	int	  first;
	int	  next;
	int64 until;

	if (!(p >= 0 && p <= 1))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("quantile out of range"),
				 errdetail("The quantile is %g; it must lie between 0 and 1.", p)));
	if (curve->npoints == 0)
		return false;
	*quantile = 0;
	if (p <= PROBABILITY_TOLERANCE)
		return true;
	first = first_point_at_level(curve, 0, of, p - PROBABILITY_TOLERANCE);
	if (first == curve->npoints)
		return false;
	*quantile = curve->points[first].time;
	if (!midpoint)
		return true;
	next = first_point_at_level(curve, first, of, p + PROBABILITY_TOLERANCE);
	if (next == curve->npoints && distribution_at(&curve->points[next - 1], of) < 0)
		return false;
	until = next == curve->npoints ? curve->last_time : curve->points[next].time;
	*quantile += (until - *quantile) / 2;
	return true;
}

/*
 * survival_at
 *		Set *survival to the share still there just after age (microseconds); false past the last observed time unless
 *		everybody has left by then, and for a curve without points.
 *
 * Error: invalid_parameter_value for a negative age.
 */
bool
survival_at(const SurvivalCurve *curve, int64 age, double *survival)
{
	*survival = 1;
	check_not_negative(age, "age");
	for (int i = 0; i < curve->npoints && curve->points[i].time <= age; i++)
		*survival = curve->points[i].survival;
	return age <= curve->last_high || (curve->npoints > 0 && *survival <= 0);
}

/*
 * Where restricted_mean stops: tau as it was asked for, which must be supported, or the last observed time.
 */
static int64
restricted_mean_horizon(const SurvivalCurve *curve, const int64 *tau)
{
	if (tau == NULL)
		return curve->last_time;
	check_not_negative(*tau, "restricted mean's horizon");
	if (*tau > curve->last_high && curve->points[curve->npoints - 1].survival > 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("restricted mean's horizon is past the last observed time"),
				 errdetail("The horizon is %.6g days, the last observed time %.6g days.",
						   (double) *tau / (double) USECS_PER_DAY,
						   (double) curve->last_time / (double) USECS_PER_DAY)));
	return *tau;
}

/*
 * restricted_mean
 *		The mean time spent until age tau, the area under the curve from 0 to tau, and its standard error.
 *
 * tau is in microseconds; NULL means the last observed time. The variance is the sum over event times up to tau of
 * (area from there to tau)^2 d / (n (n - d)); when all at risk leave there is no area left and the term is 0.
 * Nothing is defined for a curve without points. Errors: invalid_parameter_value for a negative tau, and for one past
 * the last observed time while somebody is still there. Source: R's survival:::survmean (Klein and Moeschberger 4.5).
 */
RestrictedMean
restricted_mean(const SurvivalCurve *curve, const int64 *tau)
{
	RestrictedMean result = {0};
	double		   variance = 0;
	int64		   right;

	if (curve->npoints == 0)
	{
		if (tau != NULL)
			check_not_negative(*tau, "restricted mean's horizon");
		return result;
	}
	result.defined = true;
	right = result.tau = restricted_mean_horizon(curve, tau);
	/* from the right, so that the area right of each point is a sum of its pieces */
	for (int i = curve->npoints - 1; i >= 0; i--)
	{
		const SurvivalPoint *point = &curve->points[i];
		double				 n = point->n_risk;
		double				 d = point->events;
		double				 left = point->n_risk - point->events; /* n - d as doubles would lose it in large counts */

		if (point->time > right)
			continue;
		result.mean += (double) (right - point->time) * point->survival;
		if (point->survival > 0 && d > 0)
			variance += result.mean * result.mean * d / (n * left);
		right = point->time;
	}
	result.mean += right;
	result.std_error = sqrt(variance);
	return result;
}

/*
 * Aalen–Johansen
 */

/* Incidence F and survival S so far, and the covariance of their estimates. */
typedef struct IncidenceState
{
	double incidence;
	double survival;
	double var_f;
	double var_s;
	double cov_sf;
	bool   only_kind; /* no exit of another kind so far: F = 1 - S */
} IncidenceState;

/*
 * Carry incidence and its variance over one age with n at risk, d of which leave, d_k by the kind.
 *
 * With a = d / n and a_k = d_k / n the estimates step as F += S a_k, S *= 1 - a. To first order their errors step as
 *		dF += a_k dS + S da_k,		dS = (1 - a) dS - S da
 * where (da_k, da) is multinomial: var da = a (1 - a) / n, var da_k = a_k (1 - a_k) / n, cov = a_k (1 - a) / n.
 * Squaring gives three running sums in place of the double sum over all pairs of ages, as in R's etm. While only one
 * kind has been seen, var F is var S: stated apart, so that it is Greenwood's to the last digit.
 */
static void
step_incidence(IncidenceState *state, int64 n_risk, int64 exits, int64 exits_of_kind)
{
	double n = n_risk;
	double a = n_risk > 0 ? Min(exits / n, 1) : 1;
	double a_k = a * exits_of_kind / exits;
	double stay = staying_share(exits, n_risk);
	double s2 = n_risk > 0 ? state->survival * state->survival / n : 0;

	state->only_kind = state->only_kind && exits == exits_of_kind;
	state->var_f += a_k * (2 * state->cov_sf + a_k * state->var_s) + s2 * a_k * (1 - a_k);
	state->cov_sf = stay * (state->cov_sf + a_k * state->var_s) - s2 * a_k * stay;
	state->var_s = stay * stay * state->var_s + s2 * a * stay;
	if (state->only_kind)
	{
		state->var_f = state->var_s;
		state->cov_sf = -state->var_s;
	}
	state->var_f = Max(state->var_f, 0);
	state->incidence += state->survival * a_k;
	state->survival *= stay;
}

/*
 * incidence_curve
 *		The Aalen–Johansen cumulative incidence of exits of one kind: the share that has left by that kind, when leaving
 *		by another makes that impossible. One point for each age with an exit of any kind or a censoring.
 *
 * EXIT_ANY gives 1 - S. Source: Aalen and Johansen 1978; variance of Greenwood type, as R's etm::etm.
 */
IncidenceCurve *
incidence_curve(const DurationTable *table, int kind)
{
	IncidenceCurve *curve = palloc0(sizeof(IncidenceCurve));
	IncidenceState	state = {.survival = 1, .only_kind = true};
	RiskWalk		walk;

	curve->points = palloc(Max(table->nrows, 1) * sizeof(IncidencePoint));
	curve->last_time = curve->last_high = -1;
	start_walk(&walk, table);
	while (next_row(&walk))
	{
		IncidencePoint *point = &curve->points[curve->npoints];

		if (!row_is_point(&walk))
			continue;
		point->time = walk.row->at;
		point->n_risk = walk.n_risk;
		point->events = duration_row_exits(walk.row, kind);
		if (walk.exits > 0)
			step_incidence(&state, walk.n_risk, walk.exits, point->events);
		point->incidence = Min(state.incidence, 1);
		point->std_error = point->incidence > 0 ? sqrt(state.var_f) : 0;
		point->survival = state.survival;
		curve->npoints++;
		curve->last_time = walk.row->at;
		curve->last_high = walk.row->high;
	}
	return curve;
}

/*
 * incidence_at
 *		Set *incidence to the share that has left by the curve's kind at or before age (microseconds); false past the
 *		last observed time unless everybody has left by then, and for a curve without points.
 *
 * Error: invalid_parameter_value for a negative age.
 */
bool
incidence_at(const IncidenceCurve *curve, int64 age, double *incidence)
{
	double survival = 1;

	*incidence = 0;
	check_not_negative(age, "age");
	for (int i = 0; i < curve->npoints && curve->points[i].time <= age; i++)
	{
		*incidence = curve->points[i].incidence;
		survival = curve->points[i].survival;
	}
	return age <= curve->last_high || (curve->npoints > 0 && survival <= 0);
}

/*
 * exit_probability
 *		Set *probability to P(left by this kind by age + horizon | still there just after age), which is
 *		(F(age + horizon) - F(age)) / S(age), and *at_risk to how many are under observation just after age.
 *
 * Times are in microseconds. It is computed as the incidence of those that are there, starting afresh at age, so that a
 * small S(age) costs no digits. Under observation just after age is who entered at that age or before and stays longer.
 * Returns false, the probability not defined, when nobody stays past age, and when age + horizon is past the last
 * observed time while somebody is still there; *at_risk is always set. EXIT_ANY is allowed.
 * Error: invalid_parameter_value for a negative age or horizon.
 */
bool
exit_probability(const DurationTable *table, int kind, int64 age, int64 horizon, double *probability, int64 *at_risk)
{
	IncidenceState state = {.survival = 1, .only_kind = true};
	int64		   last_high = -1;
	bool		   all_left = false;
	int64		   until;
	RiskWalk	   walk;

	check_not_negative(age, "age");
	check_not_negative(horizon, "horizon");
	until = horizon > PG_INT64_MAX - age ? PG_INT64_MAX : age + horizon;
	start_walk(&walk, table);
	*at_risk = walk.before;
	while (next_row(&walk))
	{
		if (row_is_point(&walk))
			last_high = walk.row->high;
		if (walk.row->at <= age)
		{
			*at_risk = walk.before;
			all_left = all_left || (walk.exits > 0 && walk.exits >= walk.n_risk);
		}
		else if (walk.row->at <= until && walk.exits > 0)
			step_incidence(&state, walk.n_risk, walk.exits, duration_row_exits(walk.row, kind));
	}
	*probability = Min(state.incidence, 1);
	return last_high >= 0 && !all_left && (until <= last_high || state.survival <= 0);
}

/*
 * Log-rank
 */

/* The groups at one pooled time, and the sums over those times. */
typedef struct LogRankWork
{
	int		  ngroups;
	RiskWalk *walks;   /* [ngroups], each at the first row not yet counted */
	bool	 *pending; /* [ngroups] is there such a row? */
	int64	 *n_risk;  /* [ngroups] at the time in hand */
	int		 *present; /* groups with somebody at risk at that time */
	int		  npresent;
	double	 *variance; /* [ngroups][ngroups], lower triangle */
	int		 *parent;	/* [ngroups] forest of groups that were compared with each other */
} LogRankWork;

/*
 * A copy of a table whose rows are bins, in which rows that fall into one bin are added up.
 */
static DurationTable
binned_table(const DurationTable *table)
{
	DurationTable result = {.nrows = 0, .rows = palloc(Max(table->nrows, 1) * sizeof(DurationRow))};

	for (int i = 0; i < table->nrows; i++)
	{
		const DurationRow *row = &table->rows[i];
		DurationRow		  *bin = NULL;
		int64			   low;
		int64			   high;

		duration_bin(row->at, &low, &high);
		if (result.nrows > 0)
			bin = &result.rows[result.nrows - 1];
		if (bin == NULL || bin->low != low)
		{
			bin = &result.rows[result.nrows++];
			*bin = (DurationRow){.low = low, .high = high, .at = low + (high - low) / 2};
		}
		bin->late_entries += row->late_entries;
		bin->censored += row->censored;
		for (int k = 0; k < EXIT_KINDS; k++)
			bin->exits[k] += row->exits[k];
	}
	return result;
}

/* Is any row of any table a bin of more than one duration? */
static bool
any_binned(const DurationTable *tables, int ngroups)
{
	for (int g = 0; g < ngroups; g++)
		for (int i = 0; i < tables[g].nrows; i++)
			if (tables[g].rows[i].low < tables[g].rows[i].high)
				return true;
	return false;
}

/*
 * Put every walk at its first row. When one table is binned all of them are, so that equal times stay equal.
 */
static void
start_log_rank(LogRankWork *work, const DurationTable *tables, int ngroups)
{
	bool		   binned = any_binned(tables, ngroups);
	DurationTable *aligned = palloc(ngroups * sizeof(DurationTable));

	work->ngroups = ngroups;
	work->walks = palloc(ngroups * sizeof(RiskWalk));
	work->pending = palloc(ngroups * sizeof(bool));
	work->n_risk = palloc(ngroups * sizeof(int64));
	work->present = palloc(ngroups * sizeof(int));
	work->npresent = 0;
	work->variance = palloc0((Size) ngroups * ngroups * sizeof(double));
	work->parent = palloc(ngroups * sizeof(int));
	for (int g = 0; g < ngroups; g++)
	{
		aligned[g] = binned ? binned_table(&tables[g]) : tables[g];
		start_walk(&work->walks[g], &aligned[g]);
		work->pending[g] = next_row(&work->walks[g]);
		work->parent[g] = g;
	}
}

/*
 * Set *time to the earliest time not yet counted, over all groups; false when there is none.
 */
static bool
next_pooled_time(const LogRankWork *work, int64 *time)
{
	bool found = false;

	for (int g = 0; g < work->ngroups; g++)
	{
		if (!work->pending[g] || (found && work->walks[g].row->at >= *time))
			continue;
		*time = work->walks[g].row->at;
		found = true;
	}
	return found;
}

/* The tree of the forest that a group stands in, by its root. */
static int
root_of(int *parent, int g)
{
	while (parent[g] != g)
		g = parent[g] = parent[parent[g]];
	return g;
}

/*
 * Add one time's hypergeometric covariance, d (n - d) / (n - 1) p_i ([i = j] - p_j) with p the groups' shares of the n
 * at risk, and note that the groups present have been compared.
 */
static void
add_variance(LogRankWork *work, double n, double d)
{
	double scale = d * (n - d) / (n - 1);

	for (int a = 0; a < work->npresent; a++)
	{
		int		i = work->present[a];
		double	share = work->n_risk[i] / n;
		double *line = &work->variance[(Size) i * work->ngroups];

		for (int b = 0; b < a; b++)
			line[work->present[b]] -= scale * share * (work->n_risk[work->present[b]] / n);
		line[i] += scale * share * ((n - work->n_risk[i]) / n);
		work->parent[root_of(work->parent, i)] = root_of(work->parent, work->present[0]);
	}
}

/*
 * Count one pooled time into observed, expected and the variance, and step the groups that have a row there.
 */
static void
count_pooled_time(LogRankWork *work, int64 time, int kind, LogRank *result)
{
	int64 n = 0;
	int64 d = 0;

	work->npresent = 0;
	for (int g = 0; g < work->ngroups; g++)
	{
		RiskWalk *walk = &work->walks[g];
		bool	  here = work->pending[g] && walk->row->at == time;

		work->n_risk[g] = Max(here ? walk->n_risk : walk->entered, 0);
		if (work->n_risk[g] > 0)
			work->present[work->npresent++] = g;
		n += work->n_risk[g];
		if (here)
		{
			int64 events = duration_row_exits(walk->row, kind);

			result->observed[g] += events;
			d += events;
			work->pending[g] = next_row(walk);
		}
	}
	if (d == 0)
		return;
	for (int a = 0; a < work->npresent; a++)
		result->expected[work->present[a]] += (double) d * ((double) work->n_risk[work->present[a]] / (double) n);
	if (d < n && work->npresent > 1)
		add_variance(work, n, d);
}

/*
 * The quadratic form of observed - expected in the inverse of its covariance, and its rank, into chi_square and df.
 *
 * The covariance is the Laplacian of a graph whose edges are the pairs of groups that were at risk together at an
 * informative time: its rank is the number of groups less the number of connected components, and leaving one group out
 * of each component (the root; a group that was never compared is its own root) makes it regular. Cholesky's factor is
 * written over the triangle; the form is the squared length of the forward substitution.
 */
static void
solve_log_rank(LogRankWork *work, LogRank *result)
{
	int		size = work->ngroups;
	int	   *kept = palloc(size * sizeof(int));
	double *solution = palloc(size * sizeof(double));
	int		m = 0;

	for (int i = 0; i < size; i++)
	{
		double *line = &work->variance[(Size) i * size];
		double	rest = result->observed[i] - result->expected[i];
		double	pivot = line[i];

		CHECK_FOR_INTERRUPTS();
		if (work->parent[i] == i)
			continue;
		for (int a = 0; a < m; a++)
		{
			const double *above = &work->variance[(Size) kept[a] * size];
			double		  entry = line[kept[a]];

			for (int b = 0; b < a; b++)
				entry -= line[kept[b]] * above[kept[b]];
			line[kept[a]] = entry /= above[kept[a]];
			rest -= entry * solution[a];
			pivot -= entry * entry;
		}
		/* no information beyond rounding: treated as a group that was never compared */
		if (!(pivot > line[i] * 1e-14))
			continue;
		line[i] = sqrt(pivot);
		solution[m] = rest / line[i];
		result->chi_square += solution[m] * solution[m];
		kept[m++] = i;
	}
	result->df = m;
}

/*
 * log_rank
 *		The log-rank test that ngroups tables have one survival curve: chi-square, degrees of freedom, p-value, and each
 *		group's observed and expected number of events.
 *
 * kind as in survival_curve. The pooled distinct times of all groups count, with the hypergeometric variance. The
 * degrees of freedom are one less than the number of groups that were at risk together with another at a time when
 * some, but not all, had the event (one less for each set of groups that were compared only among themselves). With
 * none the test is not defined; observed and expected are. When a table is binned, all are compared by bins.
 * Errors: invalid_parameter_value for fewer than two groups, program_limit_exceeded for more than LOG_RANK_GROUPS_MAX.
 * Source: Mantel 1966; Peto and Peto 1972; as R's survival::survdiff with rho = 0.
 */
LogRank *
log_rank(const DurationTable *tables, int ngroups, int kind)
{
	LogRank	   *result = palloc0(sizeof(LogRank));
	LogRankWork work;
	int64		time = 0;

	if (ngroups < 2)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("log-rank test needs at least two groups"),
				 errdetail("The number of groups is %d.", ngroups)));
	if (ngroups > LOG_RANK_GROUPS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("too many groups for a log-rank test"),
				 errdetail("There are %d; the limit is %d.", ngroups, LOG_RANK_GROUPS_MAX)));
	result->ngroups = ngroups;
	result->observed = palloc0(ngroups * sizeof(double));
	result->expected = palloc0(ngroups * sizeof(double));
	start_log_rank(&work, tables, ngroups);
	while (next_pooled_time(&work, &time))
	{
		CHECK_FOR_INTERRUPTS();
		count_pooled_time(&work, time, kind, result);
	}
	solve_log_rank(&work, result);
	result->defined = result->df > 0;
	if (result->defined)
		result->p_value = chi_square_survival(result->chi_square, result->df);
	return result;
}
