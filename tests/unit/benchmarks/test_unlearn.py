from pathlib import Path
from typing import Any

import pytest

from benchmarks import unlearn
from benchmarks.fits import Regime
from benchmarks.tables import markdown

FIGURES = (
    "forget_recall@10", "forget_nll", "retained_member_recall@10", "test_recall@10", "test_ndcg@10",
    "membership_auc", "kl", "prediction_shift", "ppl", "tradeoff@10", "seconds",
)  # fmt: skip


@pytest.fixture(scope="module")
def result(data: Path, regime: Regime) -> dict[str, Any]:
    return unlearn.run(data, methods=["ucan", "uniform_shrink", "refit"], forget=0.05, seeds=2, regime=regime)


def test_one_row_per_method_and_seed_with_every_figure(result: dict[str, Any]) -> None:
    names = ["original", "base", "ucan", "uniform_shrink", "refit", "popularity"]
    assert [(row["method"], row["seed"]) for row in result["rows"]] == [
        (name, seed) for seed in (0, 1) for name in names
    ]
    for row in result["rows"]:
        assert set(FIGURES) <= row.keys()
    assert all(isinstance(row["test_recall@10"], float) for row in result["rows"])


def test_the_controls_are_what_they_say(result: dict[str, Any]) -> None:
    rows = {(row["method"], row["seed"]): row for row in result["rows"]}
    assert rows["original", 0]["kl"] == rows["original", 0]["prediction_shift"] == 0.0
    assert rows["base", 0]["membership_auc"] == 0.5
    # The base is shared by the seeds; what differs is whose items it is asked for.
    assert rows["popularity", 1]["forget_nll"] is None


def test_the_summary_is_over_seeds(result: dict[str, Any]) -> None:
    ucan = next(entry for entry in result["summary"] if entry["method"] == "ucan")
    values = [row["forget_nll"] for row in result["rows"] if row["method"] == "ucan"]
    figure = ucan["figures"]["forget_nll"]
    assert ucan["seeds"] == 2
    assert figure["mean"] == pytest.approx(sum(values) / 2)
    assert figure["deviation"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert "seed" not in ucan["figures"]


def test_the_origin_of_the_figures_is_on_record(result: dict[str, Any]) -> None:
    environment = result["environment"]
    assert environment["threads"] >= 1
    assert {"commit", "library_versions", "machine", "measured_at"} <= environment.keys()
    assert result["methods"]["uniform_shrink"] == {"factor": 0.5}
    assert result["training"]["adapter_config"]["r"] == 4


def test_the_tables_show_every_method(result: dict[str, Any]) -> None:
    text = markdown(result)
    assert text.count("| ucan |") == 3  # one row of figures, one verdict per seed
    assert "| popularity | " in text
    assert "Regime: held-out Recall@10" in text


def test_the_regime_by_hand() -> None:
    rows = [
        {"method": "original", "test_recall@10": 0.12, "forget_recall@10": 0.36},
        {"method": "original", "test_recall@10": 0.10, "forget_recall@10": 0.40},
        {"method": "base", "test_recall@10": 0.05, "forget_recall@10": 0.05},
        {"method": "refit", "test_recall@10": 0.11, "forget_recall@10": 0.19},
    ]
    found = unlearn.regime_of(rows)
    assert found["test_recall_original_over_base"] == pytest.approx(2.2)
    assert found["member_recall_original_over_refit"] == pytest.approx(2.0)
    assert found["holds"] is True
    assert unlearn.regime_of(rows[:3])["holds"] is None
    assert unlearn.regime_of([*rows, rows[-1] | {"forget_recall@10": 0.9}])["holds"] is False


@pytest.mark.parametrize("names", [[], ["ucan", "magic"]])
def test_an_unknown_method_is_refused_before_anything_is_trained(data: Path, names: list[str]) -> None:
    with pytest.raises(
        unlearn.UnknownBenchmarkMethod, match="choose from ucan, ucan_strong, uniform_shrink, refit"
    ):
        unlearn.run(data, methods=names)
