"""`lethe bench regime`, on toy users."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import regime
from benchmarks.fits import Fits
from benchmarks.styles.bound_letters import BoundLettersRegime
from benchmarks.styles.regimes import SemanticIdsRegime
from benchmarks.tables import as_json, markdown
from recommender.styles.letters import LettersStyle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def result(data: Path, bound_letters: BoundLettersRegime, folder: Path) -> dict[str, Any]:
    return dict(json.loads(as_json(regime.run(data, regime=bound_letters, folder=folder))))


def test_base_adapter_and_re_fit_are_compared(result: dict[str, Any]) -> None:
    assert [row["model"] for row in result["rows"]] == ["base", "adapter", "re-fit without them"]
    for row in result["rows"]:
        # The last two events of each of eleven report users; five of the six of one, who is a twentieth of fourteen.
        assert (row["held_out_events"], row["own_tail_events"]) == (22, 5)
        assert row["held_out@10"] == row["own_tail@10"] == 1.0
    bare, original, refit = result["rows"]
    assert result["held_out_over_base"] == pytest.approx(
        original["held_out@1"] / bare["held_out@1"], rel=1e-4
    )
    assert result["own_tail_over_refit"] is None or refit["own_tail@1"] > 0
    assert original["own_tail_nll"] != refit["own_tail_nll"] != bare["own_tail_nll"]


def test_its_fits_are_those_of_a_study(
    data: Path, bound_letters: BoundLettersRegime, folder: Path, result: dict[str, Any]
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    again = regime.run(data, regime=bound_letters, folder=folder)
    assert sorted(path.name for path in folder.iterdir()) == before
    assert json.loads(as_json(again))["rows"] == result["rows"]
    fits = Fits(folder, bound_letters)
    style = fits.base(bound_letters.population(data)).style
    assert isinstance(style, LettersStyle)
    assert (style.candidates, style.draws) == (10, 2)


def test_development_and_report_users_never_mix(data: Path, semantic_ids: SemanticIdsRegime) -> None:
    small = replace(semantic_ids, users=8, adapter_training=replace(semantic_ids.adapter_training, epochs=1))
    found = regime.run(data, regime=small, users="development")
    assert (found["data"]["asked_users"], found["data"]["forgotten_users"]) == (2, 1)


def test_the_table_says_whether_it_holds(result: dict[str, Any]) -> None:
    good = {**result, "held_out_over_base": 1.2, "own_tail_over_refit": 1.5}
    assert "It holds." in markdown(good)
    for poor in ({"held_out_over_base": 0.9}, {"own_tail_over_refit": 1.4}, {"own_tail_over_refit": None}):
        assert "It does NOT hold." in markdown({**good, **poor})
    assert "Prompt style letters. Data: " in markdown(result)
    assert "told by chance has 2.30, and is right in 0.100" in markdown(result)
