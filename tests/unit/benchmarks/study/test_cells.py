from pathlib import Path

import pytest

from benchmarks.study import cells as cells_module
from benchmarks.study.cells import Cells


def test_a_cell_comes_back_as_it_was_put(tmp_path: Path) -> None:
    cells = Cells(tmp_path / "cells")
    key = Cells.key({"method": "ucan", "config": {"gamma": 3.0}})
    assert cells.get(key) is None
    cells.put(key, {"rows": [{"kl": 0.25}]})
    assert cells.get(key) == {"rows": [{"kl": 0.25}]}
    assert cells.finished(frozenset({key, "absent"})) == 1
    assert [path.name for path in (tmp_path / "cells").iterdir()] == [f"{key}.json"]


def test_what_determines_a_cell_determines_its_key() -> None:
    content = {"method": "ucan", "config": {"gamma": 3.0, "threshold": 0.5}}
    again = {"config": {"threshold": 0.5, "gamma": 3.0}, "method": "ucan"}
    assert Cells.key(content) == Cells.key(again)
    assert Cells.key(content) != Cells.key(content | {"seed": 1})


def test_a_figure_that_is_no_number_leaves_no_cell(tmp_path: Path) -> None:
    cells = Cells(tmp_path)
    with pytest.raises(ValueError, match="JSON compliant"):
        cells.put("key", {"rows": [{"kl": float("nan")}]})
    assert cells.get("key") is None


def test_a_cell_is_only_as_old_as_the_code_that_makes_it() -> None:
    root = Path(cells_module.__file__).parents[2]
    makers = {
        path.relative_to(root).as_posix()
        for path in (root / "benchmarks").rglob("*.py")
        if "cells.put(" in path.read_text()
    }
    outside = {name for name in makers if not name.startswith("benchmarks/study/")}
    assert outside
    assert outside <= set(cells_module._SOURCE_FILES)
