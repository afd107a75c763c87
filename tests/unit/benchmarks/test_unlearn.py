"""A whole study on a toy population."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import unlearn
from benchmarks.fits import Regime
from benchmarks.study.cells import Cells
from benchmarks.study.jobs import Job
from benchmarks.study.scenarios import SCENARIOS, Scenario
from benchmarks.study.variants import UnknownBenchmarkMethod
from tests.unit.benchmarks.conftest import written

FIGURES = (
    "forget_recall@10", "forget_nll", "retained_member_recall@10", "test_recall@10", "test_ndcg@10",
    "membership_auc", "kl", "prediction_shift", "ppl", "tradeoff@10", "seconds", "forget_nll_gap", "jsd", "ks_p",
    "loss.user.auc_two_sided", "min_k.user.tpr_at_1_fpr", "neighbour_test_recall@10", "int8.forget_nll_gap",
    "int4.test_recall@10", "relearning.adapter", "relearning.gates.gain", "forwards", "backwards",
)  # fmt: skip
METHODS = ("ucan", "npo", "refit")
CONTROLS = ("uniform_shrink", "drop_adapter", "do_nothing", "retain_only")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Half as many users as for other studies: here every attack is run on every one."""
    return written(tmp_path_factory.mktemp("data"), users=45)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def result(data: Path, regime: Regime, folder: Path) -> dict[str, Any]:
    return unlearn.run(data, methods=METHODS, seeds=2, regime=regime, folder=folder, processes=1)


def test_one_row_per_method_and_seed_with_every_figure(result: dict[str, Any]) -> None:
    names = ["ucan", "npo", "refit", *CONTROLS, "popularity"]
    assert [(row["method"], row["seed"]) for row in result["rows"]] == [
        (name, seed) for seed in (0, 1) for name in names
    ]
    for row in result["rows"]:
        if row["method"] != "popularity":
            assert set(FIGURES) <= row.keys()
        assert isinstance(row["test_recall@10"], float)


def test_the_controls_are_what_they_say(result: dict[str, Any]) -> None:
    rows = {(row["method"], row["seed"]): row for row in result["rows"]}
    nothing, dropped = rows["do_nothing", 0], rows["drop_adapter", 0]
    assert nothing["kl"] == nothing["prediction_shift"] == nothing["tradeoff@10"] == 0.0
    assert nothing["forwards"] == nothing["backwards"] == dropped["forwards"] == 0
    # Calibrated by the base itself, the base says nothing about anybody.
    assert dropped["base_calibrated.item.auc"] == dropped["membership_auc"] == 0.5
    assert "forget_nll" not in rows["popularity", 1]


def test_one_cell_computed_twice_is_the_same_bit_for_bit(
    result: dict[str, Any], data: Path, regime: Regime, tmp_path: Path
) -> None:
    again = unlearn.run(data, methods=("npo",), seeds=1, regime=regime, folder=tmp_path, processes=1)
    first, second = (
        next(row for row in found["rows"] if row["method"] == "npo" and row["seed"] == 0)
        for found in (result, again)
    )
    timed = {"seconds", "samples_per_second", "peak_bytes"}
    assert {name: first[name] for name in first.keys() - timed} == {
        name: second[name] for name in second.keys() - timed
    }


def test_a_finished_cell_is_not_made_again(
    result: dict[str, Any], data: Path, regime: Regime, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = sorted((folder / "cells").iterdir())
    lost = kept[0]
    lost.unlink()
    made: list[str] = []
    put = Cells.put
    monkeypatch.setattr(Cells, "put", lambda self, key, cell: (made.append(key), put(self, key, cell))[1])
    again = unlearn.run(data, methods=METHODS, seeds=2, regime=regime, folder=folder, processes=1)
    assert made == [lost.stem]
    assert len(again["rows"]) == len(result["rows"])


def test_what_failed_leaves_what_was_finished(
    data: Path, regime: Regime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, done = Job.run, []

    def dies(self: Job, *arguments: Any) -> None:
        if done:
            raise KeyboardInterrupt
        run(self, *arguments)
        done.append(self)

    monkeypatch.setattr(Job, "run", dies)
    with pytest.raises(KeyboardInterrupt):
        unlearn.run(data, methods=("ucan",), seeds=2, regime=regime, folder=tmp_path, processes=1)
    assert len(list((tmp_path / "cells").iterdir())) == len(done[0].variants)


def test_single_requests_and_sequences(data: Path, regime: Regime, folder: Path) -> None:
    scenarios = [
        Scenario("single", "single", "", users=2),
        Scenario("sequence", "sequence", "", users=2),
    ]
    found = unlearn.run(
        data, scenarios=scenarios, methods=("ucan",), seeds=2, regime=regime, folder=folder, processes=1
    )
    rows = {
        scenario: [row for row in found["rows"] if row["scenario"] == scenario]
        for scenario in ("single", "sequence")
    }
    assert len({row["deletion"] for row in rows["single"]}) == 2
    assert {row["seed"] for row in found["rows"]} == {0}
    walked = [row["requests"] for row in rows["sequence"] if row["method"] == "ucan"]
    assert walked == [1, 2]
    seconds = [row["seconds"] for row in rows["sequence"] if row["method"] == "ucan"]
    assert seconds[0] < seconds[1]


def test_interactions_come_with_the_tables_of_the_paper(data: Path, regime: Regime, folder: Path) -> None:
    found = unlearn.run(
        data,
        scenarios=[SCENARIOS["interactions-25"]],
        methods=("ucan",),
        seeds=1,
        regime=regime,
        folder=folder,
        processes=1,
    )
    names = [row["method"] for row in found["rows"]]
    assert {"ucan_without_contrast", "ucan_without_utility", "ucan_without_soft"} <= set(names)
    assert sum(name.startswith("ucan_threshold_") for name in names) == 9
    assert found["regime"]["holds"] is None


def test_the_origin_of_the_figures_is_on_record(result: dict[str, Any]) -> None:
    assert {"commit", "library_versions", "machine", "measured_at"} <= result["environment"].keys()
    assert result["training"]["adapter_config"]["r"] == 4
    assert result["methods"]["batch"]["npo"]["steps"] > 0
    json.dumps(result, allow_nan=False)


@pytest.mark.parametrize("names", [[], ["ucan", "magic"]])
def test_an_unknown_method_is_refused_before_anything_is_trained(data: Path, names: list[str]) -> None:
    with pytest.raises(
        UnknownBenchmarkMethod, match="choose from ucan, least_change_output, least_change, gradient_ascent"
    ):
        unlearn.run(data, methods=names)
