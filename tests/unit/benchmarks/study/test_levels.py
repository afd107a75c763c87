"""The levels that subjects have to reach, on a toy population."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fits import Regime
from benchmarks.study import orders
from benchmarks.study.deletions import Deletion, deletions, whole_users
from benchmarks.study.levels import levels, subject_levels
from benchmarks.study.scenarios import SCENARIOS
from benchmarks.study.workshop import Workshop
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed

SEED = 1


@pytest.fixture(scope="module")
def workshop(data: Path, regime: Regime, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(data, tmp_path_factory.mktemp("levels"), regime)


@pytest.fixture(scope="module")
def users(workshop: Workshop) -> Deletion:
    return whole_users(workshop.population, "three", SEED, (2, 30, 50))


def test_the_levels_come_from_the_fits_that_a_study_orders(workshop: Workshop) -> None:
    population = workshop.population
    for order in (orders.parent(population, SEED), *orders.level_fits(population, SEED)):
        workshop.fit(order)
    ordered = set((workshop.folder / "fits").iterdir())
    found = levels(workshop, SEED)
    assert set((workshop.folder / "fits").iterdir()) == ordered
    assert len(found) == len(population.service)


def test_whole_users_have_to_reach_their_level(workshop: Workshop, users: Deletion) -> None:
    found = levels(workshop, SEED)
    assert subject_levels(workshop, SEED, users) == tuple(found[place].smoothed_nll for place in (2, 30, 50))


def test_all_items_of_a_user_are_the_whole_user(workshop: Workshop, users: Deletion) -> None:
    marked = replace(users, counted=tuple((True,) * len(own) for own in users.subjects))
    assert subject_levels(workshop, SEED, marked) == pytest.approx(subject_levels(workshop, SEED, users))


def test_some_items_are_asked_to_rise_by_what_the_whole_user_would(workshop: Workshop) -> None:
    (deletion,) = deletions(workshop.population, SCENARIOS["interactions-25"], SEED)
    assert deletion.counted is not None
    parent = workshop.fit(orders.parent(workshop.population, SEED)).adapter
    found = subject_levels(workshop, SEED, deletion)
    assert len(found) == len(deletion.subjects)
    whole = item_log_likelihoods(workshop.base, parent, deletion.subjects)
    shifted = 0
    for place, own, marks, level in zip(deletion.places, whole, deletion.counted, found, strict=True):
        nll = smoothed(-own, 0.2, len(workshop.population.catalogue)).tolist()
        of_marked = [value for value, mark in zip(nll, marks, strict=True) if mark]
        rise = levels(workshop, SEED)[place].smoothed_nll - sum(nll) / len(nll)
        assert level == pytest.approx(max(sum(of_marked) / len(of_marked) + rise, 0.0), abs=1e-5)
        shifted += level != pytest.approx(levels(workshop, SEED)[place].smoothed_nll)
    assert shifted
