from pathlib import Path

import pytest

from benchmarks import basis
from benchmarks.fits import Regime
from benchmarks.tables import markdown

ROWS = [*basis.BASES, "uniform_shrink"]


def test_every_row_has_the_same_budget() -> None:
    assert {row: len(basis.grid(row)) for row in ROWS} == dict.fromkeys(ROWS, 14)


def test_the_choice_is_made_on_development_users(
    data: Path, regime: Regime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = basis.grid
    # The mildest, one between and the strongest of each row's fourteen.
    monkeypatch.setattr(basis, "grid", lambda row: [whole(row)[place] for place in (0, 8, 13)])
    result = basis.run(data, seeds=1, folder=tmp_path, processes=1, regime=regime)
    assert [trial["row"] for trial in result["trials"]] == [row for row in ROWS for _ in range(3)]
    assert {trial["deletion"] for trial in result["trials"]} == {"development-users-5"}
    best = {row: min(trial["distance"] for trial in result["trials"] if trial["row"] == row) for row in ROWS}
    for row, config in result["chosen"].items():
        (chosen,) = [trial for trial in result["trials"] if (trial["row"], trial["config"]) == (row, config)]
        assert chosen["distance"] == best[row]
    assert [row["row"] for row in result["rows"]] == [*ROWS, "ucan_default", "do_nothing", "refit"]
    assert {row["deletion"] for row in result["rows"]} == {"users-5/0"}
    groups = ("subjects", "other members", "outsiders")
    assert [(gap["group"], gap["basis"]) for gap in result["gaps"]] == [
        (group, name) for group in groups for name in basis.BASES
    ]
    assert all(0.0 <= gap["gap"] < 1.0 for gap in result["gaps"])
    # A second run finds everything where the first left it.
    assert basis.run(data, seeds=1, folder=tmp_path, processes=1, regime=regime)["rows"] == result["rows"]
    assert "| contrast_z |" in markdown(result)


def test_without_data_users_are_generated() -> None:
    population = basis._GeneratedWorkshop(Path("generated"), Path("nowhere"), Regime()).population
    assert population.source == "synthetic"
    assert len(population.service) > 300
