from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.fits import Fits, Regime
from benchmarks.population import Population, load_population
from benchmarks.study.deletions import whole_users
from recommender import Adapter, Base
from tests.unit.unlearning.worlds import same
from unlearning import ForgetTask, build_method


@pytest.fixture(scope="module")
def population(data: Path) -> Population:
    return load_population(data)


def task_of(population: Population, regime: Regime, base: Base, parent: Adapter) -> ForgetTask:
    deletion = whole_users(population, "some", 7, population.draw(0.05, 0))
    return regime.task(base, parent, deletion.subjects, deletion.task_sequences, seed=7)


def test_a_fit_is_made_once(population: Population, regime: Regime) -> None:
    fits = Fits(regime=regime)
    base = fits.base(population)
    sequences = tuple(split.train for split in population.service)
    steps: list[object] = []
    first = fits.adapter(base, sequences, 0, steps.append)
    count = len(steps)
    assert count > 0
    assert fits.adapter(base, sequences, 0, steps.append) is first
    assert len(steps) == count
    assert not same(fits.adapter(base, sequences, 1).adapter, first.adapter)
    assert not same(fits.adapter(base, sequences[1:], 0).adapter, first.adapter)


def test_a_folder_keeps_fits_for_the_next_session(
    population: Population, regime: Regime, tmp_path: Path
) -> None:
    sequences = tuple(split.train for split in population.service)
    earlier = Fits(tmp_path, regime)
    base = earlier.base(population)
    made = earlier.adapter(base, sequences, 0)
    later = Fits(tmp_path, regime)
    steps: list[object] = []
    again = later.base(population, steps.append)
    found = later.adapter(again, sequences, 0, steps.append)
    assert not steps
    assert again.digest == base.digest
    assert same(found.adapter, made.adapter)
    assert found.cost == made.cost


def test_fits_of_different_regimes_never_mix(population: Population, regime: Regime, tmp_path: Path) -> None:
    sequences = tuple(split.train for split in population.service)
    found = []
    for dropout in (0.1, 0.5):
        fits = Fits(tmp_path, replace(regime, adapter_config=replace(regime.adapter_config, dropout=dropout)))
        base = fits.base(population)
        parent = fits.adapter(base, sequences, 0).adapter
        task = task_of(population, fits.regime, base, parent)
        found.append((parent, fits.candidate(build_method("refit"), task).adapter))
    (parent, refit), (other_parent, other_refit) = found
    assert not same(parent, other_parent)
    assert not same(refit, other_refit)


def test_only_exact_methods_are_kept(population: Population, regime: Regime) -> None:
    fits = Fits(regime=regime)
    base = fits.base(population)
    sequences = tuple(split.train for split in population.service)
    parent = fits.adapter(base, sequences, 0).adapter
    task = task_of(population, regime, base, parent)
    assert len(task.forget) + len(task.retain) == len(population.service)
    refit, ucan = build_method("refit"), build_method("ucan")
    assert fits.candidate(refit, task).adapter is fits.candidate(refit, task).adapter
    assert fits.candidate(ucan, task).adapter is not fits.candidate(ucan, task).adapter


def test_a_fit_is_there_whole_or_not_at_all(
    population: Population, regime: Regime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sequences = tuple(split.train for split in population.service)
    fits = Fits(tmp_path, regime)
    base = fits.base(population)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Adapter, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            fits.adapter(base, sequences, 0)
    assert [path.name for path in tmp_path.iterdir() if not path.name.startswith("base-")] == []
    made = fits.adapter(base, sequences, 0)
    assert same(Fits(tmp_path, regime).adapter(base, sequences, 0).adapter, made.adapter)


def test_a_task_says_how_its_parent_was_fitted(population: Population, regime: Regime) -> None:
    fits = Fits(regime=regime)
    base = fits.base(population)
    parent = fits.adapter(base, tuple(split.train for split in population.service), 3).adapter
    one, *others = (split.train for split in population.service)
    task = regime.task(base, parent, [one], others, seed=1003, training_seed=3)
    assert (task.seed, task.training, task.adapter_config) == (
        1003,
        regime.training(3),
        regime.adapter_config,
    )
    assert (task.forget, task.retain) == ((one,), tuple(others))
    assert regime.task(base, parent, [one], others, seed=3).training == regime.training(3)
