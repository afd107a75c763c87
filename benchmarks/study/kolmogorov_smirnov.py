"""The two-sample Kolmogorov-Smirnov test: whether two samples come from the same distribution."""

from __future__ import annotations

import math
from importlib.util import find_spec

from torch import Tensor

NO_SCIPY = "comparing methods needs scipy, which is not installed: pip install 'lethe[bench]'"


def has_scipy() -> bool:
    """Whether SciPy, which the test needs, is installed."""
    return find_spec("scipy") is not None


def kolmogorov_smirnov(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The greatest distance D of the two distribution functions, and its asymptotic two-sided p-value.

    The p-value is Kolmogorov's limit at sqrt(n m / (n + m)) D, an approximation for continuous values. With fewer than
    some tens of values in a sample it errs in either direction, and ties make it too large. The power depends on the
    counts: a few interactions pass any test, many thousands fail for the smallest difference.

    The p-value treats all observations as independent. A user's interactions are not, which makes it too small. Two
    models' readings of the same interactions are not either, which makes it far too large, because a hard item is hard
    in both samples. So a large p-value between a candidate and a re-fit says little; compare it with that of another
    re-fit.
    """
    from scipy.special import kolmogorov
    from scipy.stats import ks_2samp

    statistic = float(ks_2samp(first.double().numpy(), second.double().numpy(), method="asymp").statistic)
    # Not scipy's own p-value, which rounds n m / (n + m).
    effective = len(first) * len(second) / (len(first) + len(second))
    return statistic, float(kolmogorov(math.sqrt(effective) * statistic))
