from pathlib import Path

import pytest

from benchmarks.fits import Regime
from benchmarks.sequence.measures import order, refit_without
from benchmarks.sequence.walk import Walk
from benchmarks.study import orders
from benchmarks.study.variants import Tuned
from benchmarks.study.workshop import Workshop


@pytest.fixture(scope="module")
def workshop(data: Path, regime: Regime, tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(data, tmp_path_factory.mktemp("walk"), regime)


def test_only_report_users_ask_and_each_once(workshop: Workshop) -> None:
    places = order(workshop, 20, 0)
    assert len(set(places)) == 20
    assert set(places) <= set(workshop.population.report_users)
    assert order(workshop, 20, 0) == places != order(workshop, 20, 1)


def test_a_re_fit_leaves_out_who_asked_and_nobody_else(workshop: Workshop) -> None:
    service = workshop.population.service
    found = refit_without(workshop, frozenset({0, 5}), 1)
    assert found.sequences == tuple(split.train for place, split in enumerate(service) if place not in (0, 5))
    assert found.seed != refit_without(workshop, frozenset({0, 5}), 2).seed
    assert found.seed != orders.parent(workshop.population, 1).seed


def test_how_a_walk_lives_determines_its_cell(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    walks = [
        Walk("uniform_shrink", 3, 0, False),
        Walk("uniform_shrink", 3, 0, True),
        Walk("uniform_shrink", 3, 1, False),
        Walk("uniform_shrink", 4, 0, False),
        Walk("do_nothing", 3, 0, False),
    ]
    keys = {key for walk in walks for key in walk.keys(workshop)}
    assert len(keys) == len(walks)
    monkeypatch.setattr(Tuned, "load", lambda: Tuned({"single": {"uniform_shrink": {"factor": 0.123}}}))
    assert not keys & set(walks[0].keys(workshop))
