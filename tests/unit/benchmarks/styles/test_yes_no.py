"""Studies on yes and no, from toy users who like what is of their taste, and a tiny base of our own."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import papers
from benchmarks.population import load_population
from benchmarks.study.labels import label_figures
from benchmarks.styles.yes_no import YesNoRegime
from benchmarks.tables import as_json, markdown
from recommender import DataError, SyntheticConfig, generate_synthetic
from tests.unit.benchmarks.styles.conftest import TINY
from unlearning.evaluation.metrics import Measured
from unlearning.evaluation.reading import Divergence, Reading


@pytest.fixture(scope="module")
def regime() -> YesNoRegime:
    return YesNoRegime(users=20, outsiders=3, panel_users=4, events=9, retained=10, **TINY)


@pytest.fixture(scope="module")
def rated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generated = generate_synthetic(
        SyntheticConfig(users=90, items=60, tastes=6, mean_length=14.0, min_length=8, seed=4)
    )
    folder, names = tmp_path_factory.mktemp("rated"), generated.catalogue.item_ids
    # Every tenth user rated only six items, two of which are held out.
    events = [
        f"{user},{names[event.item]},{event.timestamp},"
        + ("" if number % 10 == 0 and place > 5 else "4" if (event.item + number) % 3 else "2")
        for number, (user, history) in enumerate(generated.histories.items())
        for place, event in enumerate(history)
    ]
    (folder / "interactions.csv").write_text("\n".join(["user_id,item_id,timestamp,rating", *events]))
    titles = [f"{name},{title}" for name, title in zip(names, generated.catalogue.titles, strict=True)]
    (folder / "items.csv").write_text("\n".join(["item_id,title", *titles]))
    return folder


@pytest.fixture(scope="module")
def result(rated: Path, regime: YesNoRegime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = papers.run(rated, regime=regime, folder=tmp_path_factory.mktemp("work"), processes=1)
    return dict(json.loads(as_json(found)))


def test_an_event_is_an_item_with_its_label_and_short_histories_are_left_out(
    rated: Path, regime: YesNoRegime
) -> None:
    plain, found = load_population(rated), regime.whole(rated)
    assert 0 < len(plain.service) - len(found.service) < 15
    whole = {split.train for split in plain.service}
    assert all(tuple(event // 3 for event in split.train) in whole for split in found.service)
    assert {event % 3 for split in found.service for event in split.train} == {1, 2}
    assert len(regime.population(rated).service) == 20


def test_data_without_ratings_is_refused(data: Path, regime: YesNoRegime) -> None:
    with pytest.raises(DataError, match="needs ratings"):
        regime.population(data)


def test_the_figures_of_labels_by_hand() -> None:
    # Of the forgotten events, one of two is told; of the held-out ones, both are.
    def reading(chances: list[float], liked: list[bool]) -> Reading:
        return Reading(-torch.tensor(chances).log(), torch.empty(0), torch.tensor(liked))

    measured = Measured(
        (reading([0.8, 0.4], [True, False]),),
        (reading([0.1, 0.9, 0.7], [True, True, False]),),
        (),
        Divergence(0.0, 0.0, 2),
    )
    found = label_figures(measured, [[torch.tensor([0.5, 0.3]).log()], [torch.tensor([0.7, 0.5]).log()]])
    assert found["forget_auc"] == found["held_out_auc"] == 1.0
    assert found["forget_auc_above_chance"] == 0.5
    assert (found["forget_accuracy"], found["held_out_accuracy"]) == (0.5, 1.0)
    assert found["held_out_log_loss"] == pytest.approx(-(math.log(0.9) + math.log(0.7)) / 2)
    # The re-fits' mean is 0.6 and 0.4.
    assert found["l2"] == pytest.approx(math.sqrt(2) * 0.2 / 2, abs=1e-6)
    assert found["symmetric_kl"] == pytest.approx(0.1 * math.log(4 / 1.5) / 2, abs=1e-6)


def test_e2urecs_table_holds_all_baselines_our_rungs_and_the_controls(result: dict[str, Any]) -> None:
    (table,) = result["tables"]
    assert (table["paper"], table["style"]) == ("e2urec", "yes_no")
    assert table["deletions"]["users-20/0"] == {"users": 4, "items": 36}
    rows = {row["method"]: row for row in table["rows"]}
    assert {"e2urec", "gradient_ascent", "random_label", "sharded", "npo", "cure", "ucan", "refit"} <= set(
        rows
    )
    assert {"do_nothing", "uniform_shrink", "drop_adapter", "retain_only", "popularity"} <= set(rows)
    assert rows["do_nothing"]["held_out_change"] == 0.0
    for name in ("forget_auc", "forget_accuracy", "held_out_auc", "held_out_log_loss"):
        assert all(isinstance(rows[method][name], float) for method in ("refit", "e2urec", "popularity"))
    assert 0.0 <= rows["refit"]["l2"] <= math.sqrt(2)
    assert "forget_recall@10" not in rows["refit"]


def test_the_tables_show_the_papers_measures_and_what_reproduces(result: dict[str, Any]) -> None:
    text = markdown(result)
    assert "## E2URec (arXiv 2403.03536) on yes_no" in text
    assert "the latest 9 training events of each; 2 options an event" in text
    assert "eproduce" in text.split("### Directions")[0]
    assert "recommends better than gradient ascent, random labels and shards (held-out AUC)" in text
    assert "| method | forget AUC | forget ACC | forget log-loss |" in text
    assert "Recall" not in text
