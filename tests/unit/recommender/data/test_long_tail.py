from dataclasses import replace
from typing import Any

import pytest

from recommender import LongTailConfig, generate_long_tail
from recommender.errors import ConfigError

SMALL = LongTailConfig(users=50, items=120, median_length=8.0, length_spread=1.0, tastes=6)


def test_the_same_seed_gives_the_same_users() -> None:
    assert generate_long_tail(SMALL) == generate_long_tail(SMALL)
    assert generate_long_tail(SMALL).histories != generate_long_tail(replace(SMALL, seed=1)).histories


def test_users_keep_to_their_tastes_and_wander_off_now_and_then() -> None:
    def of_the_commonest_taste(wander: float) -> float:
        data = generate_long_tail(replace(SMALL, items=600, focus=50.0, wander=wander))
        shares = []
        for history in data.histories.values():
            tastes = [event.item % SMALL.tastes for event in history]
            shares.append(max(map(tastes.count, tastes)) / len(tastes))
        return sum(shares) / len(shares)

    assert of_the_commonest_taste(0.0) > of_the_commonest_taste(0.5)


def test_nobody_meets_an_item_twice_even_where_a_history_takes_in_everything() -> None:
    data = generate_long_tail(replace(SMALL, items=12, length_spread=3.0))
    lengths = [len(history) for history in data.histories.values()]
    assert max(lengths) == 12
    for history in data.histories.values():
        assert len({event.item for event in history}) == len(history)
        assert [event.timestamp for event in history] == sorted(event.timestamp for event in history)


def test_titles_and_ids_are_distinct() -> None:
    catalogue = generate_long_tail(SMALL).catalogue
    assert len(set(catalogue.item_ids)) == len(set(catalogue.titles)) == 120


@pytest.mark.parametrize(
    "change",
    [
        {"users": 0},
        {"tastes": 0},
        {"tastes": 121},
        {"focus": 0.0},
        {"min_length": 2},
        {"median_length": 3.0},
        {"median_length": 121.0},
        {"length_spread": -1.0},
        {"stay": 1.0},
        {"wander": -0.1},
        {"popularity_exponent": -1.0},
    ],
)
def test_values_out_of_range_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        replace(SMALL, **change)
