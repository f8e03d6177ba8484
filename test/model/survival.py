"""docs/semantics.md section 6, from a plain list of stays.

Survival and incidence are exact fractions (floats when there are very many distinct times: see EXACT_TIMES).
"""
import bisect
import math
from collections import Counter, namedtuple
from fractions import Fraction
from statistics import NormalDist

TOLERANCE = 1.49e-8
DISTINCT_CAP = 4096
EXACT_TIMES = 400

# a duration, seen from the age `entry` (0: from the start); kind is how it ended, None when it was censored
Stay = namedtuple("Stay", "entry duration kind")


# ---- bins ---------------------------------------------------------------------------------------------------------

def bin_edges(up_to):
    """edge(0) = 0, edge(1) = 1, edge(i+1) = max(edge(i)+1, floor(edge(i)*101/99)), past up_to."""
    edges = [0, 1]
    while edges[-1] <= up_to:
        edges.append(max(edges[-1] + 1, edges[-1] * 101 // 99))
    return edges


def bin_of(d, edges):
    """The bin with edge(i) <= d < edge(i+1)."""
    return bisect.bisect_right(edges, d) - 1


def bin_value(i, edges):
    return edges[i] + (edges[i + 1] - 1 - edges[i]) // 2


def distinct(stays):
    return len({s.duration for s in stays} | {s.entry for s in stays if s.entry > 0})


def binned(stays):
    """The stays as the summary keeps them: as they are up to the cap, each time rounded to its bin past it."""
    if distinct(stays) <= DISTINCT_CAP:
        return stays
    edges = bin_edges(max(s.duration for s in stays))
    rounded = lambda d: bin_value(bin_of(d, edges), edges)
    return [s._replace(entry=rounded(s.entry) if s.entry > 0 else 0, duration=rounded(s.duration)) for s in stays]


# ---- the table ----------------------------------------------------------------------------------------------------

class Row:
    """One distinct time: at risk just before it, events by kind, censored."""

    def __init__(self, t, n, exits, censored):
        self.t, self.n, self.exits, self.censored = t, n, exits, censored
        self.d = sum(exits.values())


def at_risk(stays, t):
    """Everything with duration >= t that entered before t; what did not enter late is there from the start."""
    return sum(s.duration >= t and (s.entry == 0 or s.entry < t) for s in stays)


def table(stays):
    """Rows in time order.  Counted straight from the definition when small, by bisection when there are many stays."""
    exits, censored = {}, Counter()
    for s in stays:
        if s.kind is None:
            censored[s.duration] += 1
        else:
            exits.setdefault(s.duration, Counter())[s.kind] += 1
    times = sorted({s.duration for s in stays})
    if len(stays) <= 300:
        risk = lambda t: at_risk(stays, t)
    else:
        durations = sorted(s.duration for s in stays)
        entries = sorted(s.entry for s in stays if s.entry > 0)
        # not yet left, less those not yet entered (they have not left either, and enter at or after t)
        risk = lambda t: (len(durations) - bisect.bisect_left(durations, t)
                          - (len(entries) - bisect.bisect_left(entries, t)))
    return [Row(t, risk(t), exits.get(t, Counter()), censored[t]) for t in times]


def last_observed(stays):
    return max((s.duration for s in stays), default=None)


def number(rows):
    return Fraction if len(rows) <= EXACT_TIMES else float


# ---- Kaplan-Meier -------------------------------------------------------------------------------------------------

class Curve:
    """Kaplan-Meier with Greenwood's variance, one point for each distinct time."""

    def __init__(self, stays):
        self.rows = table(stays)
        self.last = last_observed(stays)
        self.S, self.greenwood = [], []
        s, terms = number(self.rows)(1), []
        for r in self.rows:
            if r.d:
                s = s * (r.n - r.d) / r.n
                terms.append(math.inf if r.n == r.d else r.d / (r.n * (r.n - r.d)))
            self.S.append(s)
            self.greenwood.append(math.fsum(terms) if math.inf not in terms else math.inf)

    def index(self, t):
        """The last point at or before t, -1 if none."""
        return bisect.bisect_right([r.t for r in self.rows], t) - 1

    def at(self, t):
        i = self.index(t)
        return self.S[i] if i >= 0 else 1

    def std_error(self, i):
        """Of S itself; None where S is 0 (0 times infinity)."""
        return float(self.S[i]) * math.sqrt(self.greenwood[i]) if self.S[i] > 0 else None

    def limits(self, i, confidence=0.95, kind="log-log"):
        """(low, high) of S, None where they do not exist: S = 0, and for log-log S = 1 too."""
        s = float(self.S[i])
        if s == 0:
            return None, None
        z = NormalDist().inv_cdf(0.5 + confidence / 2)
        width = z * math.sqrt(self.greenwood[i])               # of log S
        if kind == "plain":
            return max(0.0, s - s * width), min(1.0, s + s * width)
        if kind == "log":
            return s * math.exp(-width), min(1.0, s * math.exp(width))
        if s == 1:
            return None, None
        width /= abs(math.log(s))                              # of log(-log S)
        return s ** math.exp(width), s ** math.exp(-width)

    def crossing(self, values, p, plateau="midpoint"):
        """The first t where a curve of survival values is <= 1-p; a plateau at exactly 1-p gives the midpoint to the
        next event time, or to the last observed time."""
        for i, v in enumerate(values):
            if v is None or v - (1 - p) > TOLERANCE:
                continue
            if abs(v - (1 - p)) <= TOLERANCE and plateau == "midpoint":
                following = [r.t for r in self.rows[i + 1:] if r.d]
                return Fraction(self.rows[i].t + (following[0] if following else self.last), 2)
            return Fraction(self.rows[i].t)
        return None

    def quantile(self, p, plateau="midpoint"):
        return self.crossing(self.S, p, plateau)

    def quantile_limits(self, p, confidence=0.95, kind="log-log"):
        limits = [self.limits(i, confidence, kind) for i in range(len(self.rows))]
        return tuple(self.crossing([l[side] for l in limits], p) for side in (0, 1))

    def area(self, start, end):
        """The integral of S from start to end."""
        total, t, s = 0, start, self.at(start)
        for i, r in enumerate(self.rows):
            if start < r.t < end:
                total, t, s = total + s * (r.t - t), r.t, self.S[i]
        return total + s * (end - t) if end > start else total

    def restricted_mean(self, tau=None):
        """(mean, standard error, tau); None when refused."""
        if not self.rows:
            return None
        tau = self.last if tau is None else tau
        if tau > self.last and self.S[-1] > 0:
            return None
        variance = math.fsum(float(self.area(r.t, tau)) ** 2 * r.d / (r.n * (r.n - r.d))
                             for r in self.rows if r.d and r.n > r.d and r.t < tau)
        return self.area(0, tau), math.sqrt(variance), tau

    def bracket(self):
        """[(low, high)] by point: the true factor of a bin lies in [1 - D/(N-C), 1 - D/N]."""
        out, low, high = [], 1.0, 1.0
        for r in self.rows:
            if r.d:
                low *= 1 - r.d / (r.n - r.censored)
                high *= 1 - r.d / r.n
            out.append((low, high))
        return out


# ---- Aalen-Johansen -----------------------------------------------------------------------------------------------

class Incidence:
    """F_k(t) = sum of S(t-) d_k / n, and its Greenwood-type variance by a direct double sum."""

    def __init__(self, stays, kind):
        self.curve, self.kind = Curve(stays), kind
        self.rows = self.curve.rows
        self.F = []
        f, before = number(self.rows)(0), number(self.rows)(1)
        for r, s in zip(self.rows, self.curve.S):
            if r.n:
                f = f + before * r.exits[kind] / r.n
            before = s
            self.F.append(f)

    def at(self, t):
        i = self.curve.index(t)
        return self.F[i] if i >= 0 else 0

    def variance(self, i):
        """The delta method: F_k(t_i) as a function of each hazard a_j(s) = d_j/n, whose covariance at one time is
        multinomial, (n d_j [j=l] - d_j d_l) / n^3, and nothing between times."""
        total = []
        before = 1.0
        for u in range(i + 1):
            r = self.rows[u]
            if r.d:
                stay = 1 - r.d / r.n
                later = float(self.F[i] - self.F[u]) / stay if r.d < r.n else 0.0   # P(u, t) times S(u-)
                kinds = [k for k in r.exits if r.exits[k]]
                slope = {k: (before if k == self.kind else 0.0) - later for k in kinds}
                for j in kinds:
                    for l in kinds:
                        cov = ((r.n * r.exits[j] if j == l else 0) - r.exits[j] * r.exits[l]) / r.n ** 3
                        total.append(slope[j] * slope[l] * cov)
            before = float(self.curve.S[u])
        return max(0.0, math.fsum(total))


def exit_probability(stays, kind, age, horizon):
    """(P(exit by kind within horizon | still there at age) or None, the number it speaks of).

    S(age) is the share that has not left at age or before; so those at risk are the ones still there just after age,
    who have entered by then.
    """
    f = Incidence(stays, kind)
    c, n = f.curve, sum(s.duration > age and s.entry <= age for s in stays)
    if not f.rows or c.at(age) == 0 or age + horizon > c.last and c.S[-1] > 0:
        return None, n
    return (f.at(age + horizon) - f.at(age)) / c.at(age), n


# ---- log-rank -----------------------------------------------------------------------------------------------------

def chi_square_sf(x, df):
    """P(chi square with df degrees of freedom > x)."""
    if df <= 0:
        return None
    if x <= 0:
        return 1.0
    h = x / 2
    if df % 2:
        total, term, k = math.erfc(math.sqrt(h)), math.sqrt(h) * math.exp(-h) / math.gamma(1.5), 1.5
    else:
        total, term, k = 0.0, math.exp(-h), 1.0
    while k <= df / 2 + 1e-9:
        total += term
        term *= h / k
        k += 1
    return total


def solve(a, b):
    """x of a x = b by elimination; all rational."""
    n = len(b)
    m = [row[:] + [y] for row, y in zip(a, b)]
    for c in range(n):
        p = next((r for r in range(c, n) if m[r][c] != 0), None)
        if p is None:
            raise ZeroDivisionError
        m[c], m[p] = m[p], m[c]
        for r in range(n):
            if r != c and m[r][c] != 0:
                f = m[r][c] / m[c][c]
                m[r] = [x - f * y for x, y in zip(m[r], m[c])]
    return [m[r][n] / m[r][r] for r in range(n)]


def log_rank(groups):
    """(chi square, df, p, observed, expected) between lists of stays; hypergeometric variance at ties."""
    k = len(groups)
    times = sorted({s.duration for g in groups for s in g if s.kind is not None})
    observed, expected = [0] * k, [Fraction(0)] * k
    v = [[Fraction(0)] * k for _ in range(k)]
    for t in times:
        n = [at_risk(g, t) for g in groups]
        d = [sum(s.kind is not None and s.duration == t for s in g) for g in groups]
        big_n, big_d = sum(n), sum(d)
        for i in range(k):
            observed[i] += d[i]
            expected[i] += Fraction(n[i] * big_d, big_n)
            if big_n > 1:
                c = Fraction(big_d * (big_n - big_d), big_n - 1)
                for j in range(k):
                    v[i][j] += c * (Fraction(n[i], big_n) * (i == j) - Fraction(n[i] * n[j], big_n ** 2))
    used = [i for i in range(k) if expected[i] > 0]
    df = len(used) - 1
    if df < 1:
        return None, df, None, observed, expected
    used = used[1:]
    u = [observed[i] - expected[i] for i in used]
    try:
        chi = sum(x * y for x, y in zip(u, solve([[v[i][j] for j in used] for i in used], u)))
    except ZeroDivisionError:
        return None, df, None, observed, expected
    return float(chi), df, chi_square_sf(float(chi), df), observed, expected
