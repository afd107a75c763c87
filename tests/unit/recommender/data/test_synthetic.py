from dataclasses import replace

import pytest

from recommender import ConfigError, SyntheticConfig, generate_synthetic
from recommender.data.titles import title

SMALL = SyntheticConfig(users=40, items=90, tastes=9, tastes_per_user=3, mean_length=12, personal=2, seed=5)


def test_the_same_seed_gives_the_same_data():
    assert generate_synthetic(SMALL) == generate_synthetic(SMALL)
    assert generate_synthetic(replace(SMALL, seed=6)) != generate_synthetic(SMALL)


def test_sizes_are_those_asked_for():
    data = generate_synthetic(SMALL)
    assert (len(data.histories), len(data.catalogue)) == (40, 90)
    for history in data.histories.values():
        assert SMALL.min_length + 2 + SMALL.personal <= len(history) <= SMALL.longest + SMALL.personal
        assert len({event.item for event in history}) == len(history)
        times = [event.timestamp for event in history]
        assert times == sorted(set(times))


def test_tastes_explain_all_but_the_personal_items():
    data = generate_synthetic(SMALL)
    for user in data.histories:
        tastes = [item % SMALL.tastes for item in data.items(user)]
        personal = slice(-2 - SMALL.personal, -2)
        shared = set(tastes) - set(tastes[personal]) | set(tastes[: personal.start]) | set(tastes[-2:])
        assert len(shared) <= SMALL.tastes_per_user
        assert not shared & set(tastes[personal])


def test_titles_are_distinct():
    assert len({title(taste, rank) for taste in range(45) for rank in range(230)}) == 45 * 230
    assert title(0, 0) == "Amber Harbour"


@pytest.mark.parametrize(
    "fields",
    [
        {"users": 0},
        {"personal": -1},
        {"tastes_per_user": 10},
        {"tastes": 91},
        {"mean_length": 3},
        {"popularity_exponent": -1},
        {"personal": 70},
        {"min_length": 29, "mean_length": 40},
    ],
)
def test_impossible_data_are_refused(fields: dict[str, float]):
    with pytest.raises(ConfigError):
        replace(SMALL, **fields)  # type: ignore[arg-type]
