"""Three requests in a row on a toy population."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fits import Regime
from benchmarks.population import TooFewUsers
from benchmarks.sequence import run as sequence
from benchmarks.sequence.walk import Walk
from benchmarks.study.cells import Cells
from benchmarks.study.pool import Pool
from benchmarks.study.workshop import Workshop
from benchmarks.tables import as_json, markdown

WALKS = list(sequence.WALKS)
CONSOLIDATED = [walk for walk in WALKS if walk.endswith("consolidated")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def result(data: Path, regime: Regime, folder: Path) -> dict[str, Any]:
    return sequence.run(data, requests=3, folder=folder, processes=1, regime=regime)


def test_every_walk_has_a_row_at_its_end(result: dict[str, Any]) -> None:
    assert [(row["walk"], row["requests"]) for row in result["rows"]] == [(name, 3) for name in WALKS]
    for row in result["rows"]:
        asked = 3 if row["walk"] in CONSOLIDATED else 0
        assert row["passed"] + row["failed"] + row["inconclusive"] == asked
        assert row["inside_band"] + row["still_known"] + row["over_forgotten"] == 3
        assert 0 < row["held_out_ndcg@10"] < 1


def test_a_candidate_that_is_not_let_through_is_answered_by_a_re_fit(
    result: dict[str, Any], folder: Path
) -> None:
    consolidated = [row for row in result["rows"] if row["walk"] in CONSOLIDATED]
    others = [row for row in result["rows"] if row["walk"] not in CONSOLIDATED]
    # Three requests spend no budget, so only the gate asks for re-fits.
    refits = [row["refits"] for row in consolidated]
    assert refits == [row["failed"] + row["inconclusive"] for row in consolidated]
    assert min(refits) > 0
    assert {(row["refits"], row["later_rungs"]) for row in others} == {(0, 0)}
    # The base, the parent, two pairs of halves, the re-fit beside the walks, and those of the walks, which share what
    # they make without the same people.
    made = len(list((folder / "fits").iterdir())) - (1 + 1 + 4 + 1)
    assert max(refits) <= made <= sum(refits)


def test_some_of_the_walks_can_be_asked_for(data: Path, regime: Regime, folder: Path) -> None:
    result = sequence.run(data, walks=["do_nothing"], requests=3, folder=folder, processes=1, regime=regime)
    assert [row["walk"] for row in result["rows"]] == ["do_nothing"]


def test_the_seconds_are_those_of_edits_and_re_fits(result: dict[str, Any]) -> None:
    seconds = {row["walk"]: row["seconds"] for row in result["rows"]}
    assert seconds["least_change, consolidated"] > seconds["do_nothing"]
    assert seconds["least_change"] > seconds["do_nothing"] >= 0
    assert result["refit"]["seconds"] > 0


def test_who_asked_is_looked_for_in_a_re_fit_as_well(result: dict[str, Any]) -> None:
    refit = result["refit"]
    assert refit["inside_band"] + refit["still_known"] + refit["over_forgotten"] == 3


def test_who_asks_is_not_asked_for_utility(result: dict[str, Any]) -> None:
    assert result["data"]["kept"] == result["data"]["service_users"] - 3


def test_the_result_is_json_and_tables(result: dict[str, Any]) -> None:
    stored = json.loads(as_json(result))
    assert stored["benchmark"] == "sequence"
    assert stored["requests"] == 3
    text = markdown(stored)
    assert "3 users of 77 ask one after the other; utility is that of the 74 who never ask" in text
    for name in WALKS:
        assert f"| 3 | {name} | " in text


def test_a_second_run_takes_its_rows_from_the_first(
    result: dict[str, Any], data: Path, regime: Regime, folder: Path
) -> None:
    cells = {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()}
    # One for each walk and one for each of its stages, which end with a re-fit or with the walk.
    stages = [
        json.loads(path.read_text())["state"] for path in cells if "state" in json.loads(path.read_text())
    ]
    assert len(cells) == len(WALKS) + len(stages)
    ended = [state for state in stages if state["number"] == 3]
    assert len(ended) == len(WALKS)
    again = sequence.run(data, requests=3, folder=folder, processes=1, regime=regime)
    assert again["rows"] == result["rows"]
    assert {path: path.stat().st_mtime_ns for path in (folder / "cells").iterdir()} == cells


def test_a_lost_walk_is_made_again_bit_for_bit_in_another_process(
    result: dict[str, Any], data: Path, regime: Regime, folder: Path, tmp_path: Path
) -> None:
    workshop, walk = Workshop(data, folder, regime), Walk("ucan", 3, 0, consolidates=False)
    # None of its stages is there either: the folder has fits only.
    shutil.copytree(folder / "fits", tmp_path / "fits")
    alone = Workshop(data, tmp_path, regime)
    Pool(alone, 2).work([walk], lambda _: None)
    again = Cells(tmp_path / "cells").get(walk.keys(workshop)[0])
    assert again is not None
    (first,) = (row for row in result["rows"] if row["walk"] == "ucan")
    (second,) = again["rows"]
    assert {**first, "seconds": 0.0} == {**second, "seconds": 0.0}


@pytest.mark.usefixtures("result")
def test_a_walk_that_was_killed_goes_on_from_its_last_re_fit(
    data: Path, regime: Regime, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "work")
    folder = tmp_path / "work"
    workshop, walk = Workshop(data, folder, regime), Walk("least_change", 3, 0, consolidates=True)
    cells, (key,) = Cells(folder / "cells"), walk.keys(workshop)
    whole = cells.get(key)
    assert whole is not None
    stages = {}
    for path in (folder / "cells").iterdir():
        state = json.loads(path.read_text()).get("state")
        if state is not None and state["refits"]:
            stages[state["number"]] = path
    # Killed in its last stage: that one and the walk itself are not there. Those before it are read, not walked.
    last = stages.pop(3)
    kept = {path: path.stat().st_mtime_ns for path in stages.values()}
    last.unlink()
    (folder / "cells" / f"{key}.json").unlink()
    walk.run(workshop, cells)
    again = cells.get(key)
    assert again is not None
    (first,), (second,) = whole["rows"], again["rows"]
    assert {**first, "seconds": 0.0} == {**second, "seconds": 0.0}
    assert kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_re_fits_say_why(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        if row["walk"] in CONSOLIDATED:
            assert sum(row["refits_because"].values()) >= row["refits"]
        else:
            assert row["refits_because"] == {}


def test_more_requests_than_report_users_are_refused_before_anything_is_trained(
    data: Path, regime: Regime, tmp_path: Path
) -> None:
    with pytest.raises(TooFewUsers, match="900 requests are wanted"):
        sequence.run(data, requests=900, folder=tmp_path, processes=1, regime=regime)
    assert not (tmp_path / "fits").exists()
