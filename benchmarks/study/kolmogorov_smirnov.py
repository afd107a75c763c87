"""Whether two samples come from the same distribution: the two-sample test of Kolmogorov and Smirnov."""

from __future__ import annotations

import math
from importlib.util import find_spec

from torch import Tensor

NO_SCIPY = "comparing methods needs scipy, which is not installed: pip install 'lethe[bench]'"


def has_scipy() -> bool:
    """Whether the test can be made here."""
    return find_spec("scipy") is not None


def kolmogorov_smirnov(first: Tensor, second: Tensor) -> tuple[float, float]:
    """The greatest distance of the two distribution functions, and its asymptotic two-sided p-value.

    The p-value is Kolmogorov's limit at sqrt(n m / (n + m)) D, an approximation for continuous values: with fewer than
    some tens of them on a side it errs in either direction, and ties make it too large. The power depends on the
    counts: a few interactions pass anything, many thousands fail the smallest difference. The p-value takes all
    observations for independent. A user's interactions are not, which makes it too small; two models' readings of the
    same interactions are not either, which makes it too large, and by far: what makes an item hard is in both samples.
    Between a candidate and a re-fit a large one says little; read it beside another re-fit's.
    """
    from scipy.special import kolmogorov
    from scipy.stats import ks_2samp

    statistic = float(ks_2samp(first.double().numpy(), second.double().numpy(), method="asymp").statistic)
    # Not scipy's own p-value, which rounds n m / (n + m).
    effective = len(first) * len(second) / (len(first) + len(second))
    return statistic, float(kolmogorov(math.sqrt(effective) * statistic))
