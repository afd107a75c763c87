"""One session: what it makes once, what a later one finds there, and what its result says of itself."""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fits import Regime
from benchmarks.study import orders
from benchmarks.study.cells import Cells
from benchmarks.study.session import Session, session
from benchmarks.study.workshop import Workshop


@dataclass(frozen=True)
class Numbers:
    """Work that makes one cell a number, and says who made it where that is known."""

    numbers: tuple[int, ...]
    made_by: str | None = None

    def keys(self, workshop: Workshop) -> Collection[str]:
        return [f"number-{number}" for number in self.numbers]

    def run(self, workshop: Workshop, cells: Cells) -> None:
        for number in self.numbers:
            commit = {} if self.made_by == "nobody" else {"commit": self.made_by}
            cells.put(f"number-{number}", {**commit, "rows": [{"number": number}]})


def said(study: Session, **found: Any) -> dict[str, Any]:
    return study.result("numbers", {"count": 2}, **found)


def test_cells_are_read_in_the_order_of_the_work(data: Path, regime: Regime, tmp_path: Path) -> None:
    work = [Numbers((3, 1), "one"), Numbers((2,), None)]
    with session(data, folder=tmp_path, processes=1, regime=regime) as study:
        study.work(work, "numbers")
        assert [row["number"] for row in study.rows(*work)] == [3, 1, 2]
        result = said(study, rows=[])
    assert result["commits"] == ["one", "unknown"]
    # A later session takes what lies there, and does not run the work again.
    with session(data, folder=tmp_path, processes=1, regime=regime) as study:
        study.work([Numbers((1,), "another")], "numbers")
        study.rows(Numbers((1,)))
        assert study.commits == {"one"}


def test_every_result_says_where_it_comes_from(data: Path, regime: Regime) -> None:
    with session(data, processes=1, regime=regime) as study:
        kept = study.workshop.folder
        result = said(study, rows=[1], policy={"name": "another"})
        study.work([Numbers((1,), "nobody")], "numbers")
        assert study.cells([Numbers((1,))]) == [{"rows": [{"number": 1}]}]
        assert kept.is_dir()
    assert not kept.exists()
    assert result["benchmark"] == "numbers"
    assert result["data"] == {"source": data.name, "count": 2}
    assert result["training"]["adapter_config"]["r"] == regime.adapter_config.r
    assert (result["policy"], result["rows"]) == ({"name": "another"}, [1])
    assert result["wall_seconds"] >= 0.0
    assert {"commit", "library_versions", "measured_at"} <= result["environment"].keys()
    # No cell that was read says who made it.
    assert "commits" not in result
    json.dumps(result, allow_nan=False)


def test_a_fit_that_is_wanted_twice_is_made_once(data: Path, regime: Regime, tmp_path: Path) -> None:
    with session(data, folder=tmp_path, processes=1, regime=regime) as study:
        parent = orders.parent(study.workshop.population, 0)
        study.fit([parent, parent])
        assert len(list((tmp_path / "fits").iterdir())) == 2
        assert study.workshop.base.digest


def test_a_cell_that_nobody_made_is_an_error(data: Path, regime: Regime, tmp_path: Path) -> None:
    with (
        session(data, folder=tmp_path, processes=1, regime=regime) as study,
        pytest.raises(AssertionError, match="without this cell"),
    ):
        study.rows(Numbers((7,)))
