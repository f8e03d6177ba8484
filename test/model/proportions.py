"""docs/semantics.md section 7, as far as the funnel needs it: Wilson's score interval."""
import math
from statistics import NormalDist


def wilson(x, n, confidence=0.95):
    """(rate, low, high), None out of nothing."""
    if n == 0:
        return None, None, None
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    p = x / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return p, max(0.0, middle - half), min(1.0, middle + half)
