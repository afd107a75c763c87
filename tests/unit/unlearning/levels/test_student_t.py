import math

import pytest

from unlearning.levels.student_t import quantile, widening


@pytest.mark.parametrize(
    ("probability", "freedom", "table"),
    [
        # The printed tables of Student's t.
        (0.95, 1, 6.314),
        (0.95, 2, 2.920),
        (0.95, 3, 2.353),
        (0.975, 4, 2.776),
        (0.95, 29, 1.699),
        (0.99, 5, 3.365),
        (0.05, 10, -1.812),
        (0.95, 10**9, 1.645),
    ],
)
def test_quantiles_are_those_of_the_tables(probability: float, freedom: int, table: float) -> None:
    assert quantile(probability, freedom) == pytest.approx(table, abs=2e-3)


def test_without_a_degree_of_freedom_there_is_none() -> None:
    with pytest.raises(ValueError, match="not 0"):
        quantile(0.95, 0)


def test_fewer_observations_widen_more() -> None:
    assert [widening(freedom) for freedom in (-3, 3, 4, 102)] == pytest.approx(
        [math.sqrt(3), math.sqrt(3), math.sqrt(2), math.sqrt(1.02)]
    )
