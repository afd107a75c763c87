"""A comparison of methods on semantic ids, from toy users and a tiny base of our own."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import unlearn
from benchmarks.styles.regimes import SemanticIdsRegime
from benchmarks.tables import as_json, markdown


@pytest.fixture(scope="module")
def result(
    data: Path, semantic_ids: SemanticIdsRegime, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    found = unlearn.run(
        data,
        methods=("ucan", "refit"),
        seeds=1,
        regime=semantic_ids,
        folder=tmp_path_factory.mktemp("work"),
        processes=1,
    )
    return dict(json.loads(as_json(found)))


def test_rows_do_without_what_an_attacker_would_train(result: dict[str, Any]) -> None:
    rows = {row["method"]: row for row in result["rows"]}
    assert {"ucan", "refit", "do_nothing", "uniform_shrink", "popularity"} <= rows.keys()
    assert "relearning.adapter.gain" not in rows["refit"]
    assert "lira.auc" not in rows["refit"]
    assert "forget_recall@1" not in rows["refit"]
    assert rows["do_nothing"]["kl"] == 0.0
    # Whoever never had a hit has no share of it to lose, and is judged by likelihood.
    assert isinstance(rows["refit"]["held_out_change"], float)


def test_the_result_says_its_style_its_size_and_where_the_ladder_ends(result: dict[str, Any]) -> None:
    assert (result["style"], result["size"]["events_of_a_user"]) == ("semantic_ids", 6)
    (climb,) = result["ladder"]
    assert climb["tried"]
    assert result["regime"]["own_tail"] == "forget_recall@10"
    text = markdown(result)
    assert "Prompt style semantic_ids: the latest 6 training events of each; 60 options an event" in text
    assert "### How many events of a user tell" in text
