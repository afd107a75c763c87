import math
from dataclasses import replace

import pytest
import torch

from unlearning import NeverSeen
from unlearning.errors import InvalidEvaluation
from unlearning.levels.never_seen import CrossReadings, levels

# Few users leave fewer than three degrees of freedom, which count as three: the variance of Student's t is 3 / 1.
WIDEST = math.sqrt(3.0)


def readings(unseen: list[list[float]], held_out: list[float], parent: list[float]) -> CrossReadings:
    """One held-out item per user; all items are equally popular."""
    seen, popularity = [own - 1.0 for own in unseen[0]], [2.0 for _ in held_out]
    return CrossReadings(
        *(torch.tensor(values, dtype=torch.float64) for values in (unseen, seen)),
        *(torch.tensor(values, dtype=torch.float64).unsqueeze(1) for values in (held_out, parent)),
        torch.tensor(popularity, dtype=torch.float64),
        torch.tensor(popularity, dtype=torch.float64).unsqueeze(1),
    )


# Two readings of three users. The parent is 0.3, 0.5 and 0.1 better on held-out items: 0.3 on average.
READINGS = readings([[4.0, 5.0, 6.0], [4.2, 5.2, 6.2]], [5.0, 5.0, 5.0], [4.7, 4.5, 4.9])


def test_the_level_is_the_mean_reading_less_what_fewer_users_cost() -> None:
    found = levels(READINGS, [10, 10, 10])
    assert [level.smoothed_nll for level in found] == pytest.approx([4.1 - 0.3, 5.1 - 0.3, 6.1 - 0.3])
    assert [level.seen_smoothed_nll for level in found] == [3.0, 4.0, 5.0]


def test_more_users_tell_more_about_popular_items() -> None:
    # The parent gains 0.1 x popularity on held-out items, and so it does on every user's own items.
    popularity = torch.tensor([[1.0], [2.0], [6.0]], dtype=torch.float64)
    own = torch.tensor([2.0, 4.0, 5.0], dtype=torch.float64)
    soft = replace(
        READINGS,
        held_out_parent=READINGS.held_out - 0.1 * popularity,
        held_out_popularity=popularity,
        popularity=own,
    )
    found = levels(soft, [10, 10, 10])
    assert [level.smoothed_nll for level in found] == pytest.approx([4.1 - 0.2, 5.1 - 0.4, 6.1 - 0.5])


def test_the_deviation_is_that_of_one_model_around_a_mean_of_two() -> None:
    # Every pair of readings differs by 0.2: variance 0.02 each, and half as much again for the mean of two.
    found = levels(READINGS, [10, 10, 10])
    assert [level.deviation for level in found] == pytest.approx([math.sqrt(0.02 * 1.5) * WIDEST] * 3)


def test_a_variance_that_many_users_tell_needs_no_widening() -> None:
    # 102 differences minus the two fitted numbers leave 100: Student's t has 100 / 98 times the normal's variance.
    many = readings([[5.0] * 102, [5.2] * 102], [4.0] * 102, [4.0] * 102)
    found = levels(many, [10] * 102)
    assert [level.deviation for level in found] == pytest.approx([math.sqrt(0.02 * 1.5 * 100 / 98)] * 102)


def test_the_variance_follows_the_number_of_items() -> None:
    # Readings that differ by sqrt(2 (a + b / n)) have that variance a + b / n: here 0.01 + 1 / n, recovered exactly.
    items = [4, 10, 25, 100]
    gaps = [math.sqrt(2 * (0.01 + 1 / count)) for count in items]
    soft = readings([[5.0] * 4, [5.0 + gap for gap in gaps]], [4.0] * 4, [4.0] * 4)
    found = levels(soft, items)
    expected = [math.sqrt(1.5 * (0.01 + 1 / count)) * WIDEST for count in items]
    assert [level.deviation for level in found] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("variances", "fitted"),
    [
        # More items, more variance: no slope can be below 0, so one variance for all.
        ([0.01, 0.05], [0.03, 0.03]),
        # The line through both is below 0 from n = 30 on: b / n alone then, b the mean of 10 * 0.4 and 20 * 0.1.
        ([0.4, 0.1], [0.3, 0.15]),
    ],
)
def test_neither_part_of_the_variance_is_negative(variances: list[float], fitted: list[float]) -> None:
    gaps = [math.sqrt(2 * variance) for variance in variances]
    soft = readings([[5.0, 5.0], [5.0 + gap for gap in gaps]], [4.0, 4.0], [4.0, 4.0])
    found = levels(soft, [10, 20])
    assert [level.deviation for level in found] == pytest.approx(
        [math.sqrt(1.5 * value) * WIDEST for value in fitted]
    )


def test_a_shift_below_nothing_stops_at_nothing() -> None:
    low = replace(READINGS, held_out=READINGS.held_out_parent + 10.0)
    assert [level.smoothed_nll for level in levels(low, [10, 10, 10])] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize(
    "broken",
    [
        replace(READINGS, unseen=READINGS.unseen[:1]),
        replace(READINGS, unseen=READINGS.unseen[0]),
        replace(READINGS, unseen=READINGS.unseen[:, :2]),
        replace(READINGS, seen=READINGS.seen[:2]),
        replace(READINGS, seen=READINGS.seen * math.inf),
        replace(READINGS, held_out=READINGS.held_out[:2]),
        replace(READINGS, held_out_parent=READINGS.held_out_parent[:1]),
        replace(READINGS, held_out=READINGS.held_out[:, :0]),
        replace(READINGS, held_out=READINGS.held_out[:, 0]),
        replace(READINGS, popularity=READINGS.popularity[:2]),
        replace(READINGS, popularity=READINGS.popularity * math.nan),
        replace(READINGS, held_out_popularity=READINGS.held_out_popularity[:1]),
        replace(READINGS, unseen=READINGS.unseen * math.nan),
        replace(READINGS, held_out=READINGS.held_out * math.inf),
    ],
)
def test_readings_that_do_not_fit_are_refused(broken: CrossReadings) -> None:
    with pytest.raises(InvalidEvaluation, match="readings"):
        levels(broken, [10, 10, 10])


def test_one_user_tells_nothing_about_variation() -> None:
    alone = readings([[1.0], [2.0]], [1.0], [1.0])
    with pytest.raises(InvalidEvaluation, match="at least two users"):
        levels(alone, [10])


def test_copies_of_one_reading_are_noticed() -> None:
    copies = replace(READINGS, unseen=READINGS.unseen[:1].repeat(2, 1))
    with pytest.raises(InvalidEvaluation, match="copies"):
        levels(copies, [10, 10, 10])


@pytest.mark.parametrize(
    "numbers",
    [(-0.1, 1.0, 1.0), (math.nan, 1.0, 1.0), (1.0, 1.0, math.inf), (1.0, 0.0, 1.0), (1.0, 1.0, -0.1)],
)
def test_a_level_that_nobody_can_have_is_refused(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(InvalidEvaluation, match="no user"):
        NeverSeen(*numbers)
