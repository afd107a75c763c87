"""Student's t, for deviations estimated from few values. The standard library has the normal distribution only."""

from __future__ import annotations

import math
from statistics import NormalDist


def quantile(probability: float, freedom: int) -> float:
    """The quantile of Student's t with `freedom` degrees of freedom, at least one.

    One and two degrees have closed forms. For more, this is the Cornish-Fisher expansion (Abramowitz and Stegun 1964,
    26.7.5), which errs by less than two hundredths between 0.01 and 0.99.
    """
    if freedom < 1:
        raise ValueError(f"Student's t needs a degree of freedom, not {freedom}")
    if freedom == 1:
        return math.tan(math.pi * (probability - 0.5))
    if freedom == 2:
        both = 2.0 * probability - 1.0
        return both * math.sqrt(2.0 / (1.0 - both * both))
    z = NormalDist().inv_cdf(probability)
    terms = (
        (z**3 + z) / 4.0,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96.0,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384.0,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160.0,
    )
    return z + math.fsum(term / math.pow(freedom, power) for power, term in enumerate(terms, start=1))


def widening(freedom: int) -> float:
    """The standard deviation of Student's t: the factor by which an estimated deviation must be widened.

    Student's t has no standard deviation below three degrees of freedom; the value at three is used there.
    """
    known = max(freedom, 3)
    return math.sqrt(known / (known - 2))
