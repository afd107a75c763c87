import math

import pytest
import torch

from benchmarks.study.kolmogorov_smirnov import kolmogorov_smirnov


def test_two_samples_by_hand() -> None:
    statistic, p_value = kolmogorov_smirnov(torch.tensor([1.0, 2.0, 2.0, 5.0]), torch.tensor([2.0, 3.0, 4.0]))
    # After 2 the shares are 3/4 and 1/3, after 4 3/4 and 1: the gap is 5/12 at its widest.
    assert statistic == pytest.approx(5 / 12)
    # The series by hand at x = sqrt(12 / 7) * 5 / 12 = 0.54554: 2 (e^-0.59524 - e^-2.38095 + e^-5.35714 - e^-9.5238).
    series = [(-1) ** (j - 1) * math.exp(-2 * j * j * 12 / 7 * 25 / 144) for j in range(1, 20)]
    assert p_value == pytest.approx(2 * math.fsum(series))


def test_equal_samples_and_disjoint_ones() -> None:
    sample = torch.arange(50.0)
    assert kolmogorov_smirnov(sample, sample) == (0.0, 1.0)
    statistic, p_value = kolmogorov_smirnov(sample, sample + 100)
    assert statistic == 1.0
    # sqrt(25) = 5: the first term of the series alone, 2 exp(-50).
    assert p_value == pytest.approx(2 * math.exp(-50))


def test_the_p_value_is_uniform_under_equality() -> None:
    generator = torch.Generator().manual_seed(0)
    found = [
        kolmogorov_smirnov(torch.randn(200, generator=generator), torch.randn(300, generator=generator))[1]
        for _ in range(300)
    ]
    assert sum(value < 0.2 for value in found) / 300 == pytest.approx(0.2, abs=0.06)
