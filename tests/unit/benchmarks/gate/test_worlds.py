from collections import Counter

import pytest

from benchmarks.gate.worlds import Users, worlds
from benchmarks.population import Population, TooFewUsers

KINDS: tuple[Users, ...] = ("development", "report")


@pytest.mark.parametrize("kind", KINDS)
def test_subjects_are_members_of_the_asked_kind(population: Population, kind: Users) -> None:
    wanted = population.development_users if kind == "development" else population.report_users
    for world in worlds(population, kind, 8, 2):
        assert len(set(world.subjects)) == 2
        assert set(world.subjects) <= set(world.places)
        assert set(world.subjects) <= set(wanted)
        # Places beyond the service's users are outsiders': they are members, and never forgotten.
        assert max(world.subjects) < len(population.service)


def test_development_and_report_users_never_mix(population: Population) -> None:
    forgotten = {
        kind: {place for world in worlds(population, kind, 8, 3) for place in world.subjects}
        for kind in KINDS
    }
    assert forgotten["development"]
    assert forgotten["report"]
    assert not forgotten["development"] & forgotten["report"]


def test_no_adapter_serves_both_development_and_report(population: Population) -> None:
    numbers = {kind: [world.number for world in worlds(population, kind, 8, 1)] for kind in KINDS}
    assert numbers == {"development": list(range(8)), "report": list(range(8, 16))}


def test_a_world_is_the_half_its_adapter_was_fitted_on(population: Population) -> None:
    for world in worlds(population, "report", 4, 1):
        assert tuple(split.train for split in world.users) == world.shadow.order.sequences
        assert len(world.places) == len(world.shadow.members)


def test_the_re_fit_leaves_out_all_subjects_and_nobody_else(population: Population) -> None:
    first, second = worlds(population, "report", 2, 4)
    kept = [first.everybody[place].train for place in first.places if place not in first.subjects]
    assert list(first.refit.sequences) == kept
    assert len(kept) == len(first.places) - 4
    assert first.refit.seed != second.refit.seed
    assert first.refit.seed != first.shadow.order.seed


def test_its_halves_are_complementary_pairs(population: Population) -> None:
    (world,) = worlds(population, "report", 1, 1)
    everybody = Counter(split.train for split in world.users)
    orders = world.level_fits
    assert len(orders) == 4
    for one, other in (orders[:2], orders[2:]):
        assert Counter(one.sequences) + Counter(other.sequences) == everybody
        assert abs(len(one.sequences) - len(other.sequences)) <= 1
    assert len({order.seed for order in orders}) == 4
    assert orders[0].sequences not in (orders[2].sequences, orders[3].sequences)


def test_the_same_users_are_drawn_each_time(population: Population) -> None:
    drawn = [world.subjects for world in worlds(population, "report", 4, 3)]
    assert [world.subjects for world in worlds(population, "report", 2, 3)] == drawn[:2]
    assert len(set(drawn)) > 1


def test_more_deletions_than_users_are_refused(population: Population) -> None:
    with pytest.raises(TooFewUsers, match=r"world 0 has \d+ development users, 60 are wanted"):
        worlds(population, "development", 1, 60)


@pytest.mark.parametrize("kind", KINDS)
def test_more_worlds_than_halves_are_refused(population: Population, kind: Users) -> None:
    with pytest.raises(ValueError, match=f"8 parts for {kind} users, 9 are wanted"):
        worlds(population, kind, 9, 1)
