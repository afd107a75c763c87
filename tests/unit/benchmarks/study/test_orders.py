from collections import Counter
from pathlib import Path

import pytest

from benchmarks.population import Population, load_population
from benchmarks.study import orders
from benchmarks.study.deletions import deletions
from benchmarks.study.scenarios import SCENARIOS
from unlearning.levels.cross_fitting import HALVES


@pytest.fixture(scope="module")
def population(data: Path) -> Population:
    return load_population(data)


def test_references_and_the_re_fit_differ_by_seed_alone(population: Population) -> None:
    (deletion,) = deletions(population, SCENARIOS["users-5"], seed=2)
    fits = [*orders.references(deletion), orders.refit(deletion)]
    assert len({order.seed for order in fits}) == orders.ENSEMBLE + 1
    assert {order.sequences for order in fits} == {deletion.retained_sequences}
    assert orders.parent(population, 2).seed not in {order.seed for order in fits}


def test_every_user_is_in_half_of_the_shadows(population: Population) -> None:
    shadows = orders.shadows(population, 6)
    everybody = range(len(population.service) + len(population.outsiders))
    assert all(sum(place in shadow.members for shadow in shadows) == 3 for place in everybody)
    sizes = {len(shadow.order.sequences) for shadow in shadows}
    assert sizes <= {len(everybody) // 2, len(everybody) - len(everybody) // 2}
    assert len({shadow.order.seed for shadow in shadows}) == 6


def test_the_same_fit_is_wanted_once(population: Population) -> None:
    singles = deletions(population, SCENARIOS["single"], seed=0)
    wanted = [order for deletion in singles for order in orders.references(deletion)]
    assert len(orders.unique(wanted)) == orders.ENSEMBLE


def test_every_user_is_left_out_of_one_half_of_each_pair(population: Population) -> None:
    everybody = Counter(split.train for split in population.service)
    halves = orders.level_fits(population, 3)
    assert len(halves) == HALVES.rounds * HALVES.parts
    for one, other in zip(halves[::2], halves[1::2], strict=True):
        assert Counter(one.sequences) + Counter(other.sequences) == everybody
    assert halves[0].sequences not in (halves[2].sequences, halves[3].sequences)
    seeds = {order.seed for seed in (0, 1, 3) for order in orders.level_fits(population, seed)}
    assert len(seeds) == 3 * HALVES.rounds * HALVES.parts
    assert not seeds & {shadow.order.seed for shadow in orders.shadows(population)}
