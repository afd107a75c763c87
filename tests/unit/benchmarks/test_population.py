from pathlib import Path

import pytest

from benchmarks.population import Population, load_population, synthetic_population
from recommender import SyntheticConfig


@pytest.fixture(scope="module")
def population(data: Path) -> Population:
    return load_population(data)


def test_the_groups_never_mix(population: Population) -> None:
    development, report = set(population.development_users), set(population.report_users)
    assert not development & report
    assert development | report == set(range(len(population.service)))
    assert len(population.panel) + len(population.service) + len(population.outsiders) == 90
    # A tenth is the panel; a twentieth of the 81 others, rounded, stays outside.
    assert len(population.outsiders) == 4
    assert not set(population.outsiders) & set(population.service)
    assert len(development) == round(0.2 * len(population.service))


def test_only_report_users_are_forgotten(population: Population) -> None:
    for seed in range(20):
        drawn = population.draw(0.05, seed)
        assert len(drawn) == round(0.05 * len(population.service))
        assert set(drawn) <= set(population.report_users)
    assert population.draw(0.05, 1) == population.draw(0.05, 1) != population.draw(0.05, 2)
    with pytest.raises(ValueError, match="lower the share"):
        population.draw(0.9, 0)


def test_development_groups_are_disjoint_development_users(population: Population) -> None:
    groups = population.development_groups(3, 4)
    members = [user for group in groups for user in group]
    assert len(set(members)) == len(members) == 12
    assert set(members) <= set(population.development_users)
    with pytest.raises(ValueError, match="development users"):
        population.development_groups(10, 10)


def test_the_groups_do_not_depend_on_the_session(population: Population, data: Path) -> None:
    assert load_population(data) == population


def test_synthetic_users_need_no_data() -> None:
    population = synthetic_population(SyntheticConfig(users=30, items=60, tastes=6, mean_length=12.0))
    assert (population.source, len(population.service)) == ("synthetic", 26)
