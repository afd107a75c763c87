"""The papers' tables on letters, from toy users and a language model drawn at random."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import papers
from benchmarks.styles.regimes import LettersRegime
from benchmarks.tables import as_json, markdown


@pytest.fixture(scope="module")
def result(data: Path, letters: LettersRegime, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    found = papers.run(data, regime=letters, folder=tmp_path_factory.mktemp("work"), processes=1)
    return dict(json.loads(as_json(found)))


def test_u_cans_table_holds_its_baselines_our_rungs_and_the_controls(result: dict[str, Any]) -> None:
    (table,) = result["tables"]
    assert (table["paper"], table["style"]) == ("ucan", "letters")
    assert set(table["deletions"]) == {"interactions-25/0"}
    methods = [row["method"] for row in table["rows"]]
    assert len(set(methods)) == len(methods)
    assert {"gradient_ascent", "npo", "llm_eraser", "ucan", "least_change", "refit"} <= set(methods)
    assert {"ucan_without_contrast", "ucan_without_utility", "ucan_without_soft"} <= set(methods)
    assert {"do_nothing", "uniform_shrink", "drop_adapter", "retain_only", "popularity"} <= set(methods)


def test_a_rung_that_needs_item_tokens_is_skipped_and_the_ladder_ends_somewhere(
    result: dict[str, Any],
) -> None:
    (climb,) = result["tables"][0]["ladder"]
    said = {step["rung"]: step["said"] for step in climb["tried"]}
    if "rung_2_least_change_output" in said:
        assert said["rung_2_least_change_output"] == "skipped"
    assert climb["ends_at"] in {*said, "refit"}


def test_doing_nothing_trades_nothing_off_and_ten_of_ten_are_always_found(result: dict[str, Any]) -> None:
    rows = {row["method"]: row for row in result["tables"][0]["rows"]}
    assert rows["do_nothing"]["tradeoff@5"] == 0.0
    assert {row["test_recall@10"] for name, row in rows.items() if "test_recall@10" in row} == {1.0}
    for name in ("do_nothing", "refit", "popularity"):
        assert 0.0 <= rows[name]["held_out_recall@1"] <= 1.0


def test_power_is_told_from_the_fits_of_the_levels(result: dict[str, Any]) -> None:
    power = result["tables"][0]["power"]
    # Six training events, of which letters never predict the first.
    assert [entry["items"] for entry in power] == [1, 2, 3, 5]
    assert all(entry["subjects"] == 14 for entry in power)


def test_the_tables_say_what_reproduces_and_how_small_it_is(result: dict[str, Any]) -> None:
    text = markdown(result)
    assert "## U-CAN (arXiv 2602.23400) on letters" in text
    assert "14 users, 3 outsiders; the latest 6 training events of each; 10 options an event" in text
    assert "eproduce" in text.split("### Directions")[0]
    assert "Ours are at 5" in text
    assert "### The default ladder" in text
    assert "### How many events of a user tell" in text
