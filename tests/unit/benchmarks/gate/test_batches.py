"""Batches of users of whom nothing is told alone."""

from dataclasses import replace
from typing import Any

import pytest

from benchmarks.gate import batches
from benchmarks.gate.batches import Batches, batch_rates
from benchmarks.gate.trials import TRUTH, Plan
from benchmarks.study.cells import Cells
from benchmarks.study.workshop import Workshop

PLAN = Plan("report", worlds=1, deletions=1)


@pytest.fixture(scope="module")
def rows(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    # On the toy population nearly everybody is told: a wide band leaves enough who are not.
    folder = tmp_path_factory.mktemp("batches")
    wide = Workshop(workshop.data, folder, workshop.regime)
    wide.__dict__["policy"] = replace(workshop.policy, membership_z=8.0, min_power=8.0, exact_alarm_z=8.0)
    cells, work = Cells(folder / "cells"), Batches(PLAN, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches, "SIZE", 3)
        work.run(wide, cells)
        (key,) = work.keys(wide)
    found = cells.get(key)
    assert found is not None
    return list(found["rows"])


def test_every_candidate_of_every_batch_has_a_row(rows: list[dict[str, Any]], workshop: Workshop) -> None:
    drawn = sorted({row["batch"] for row in rows})
    assert drawn == list(range(len(drawn)))
    assert 1 <= len(drawn) <= batches.MOST
    names = [row["candidate"] for row in rows if row["batch"] == 0]
    assert names == [TRUTH, "least_change", "least_change_half", "least_change_double", "do_nothing"]
    assert {row["subjects"] for row in rows} == {3}


def test_who_knows_the_batch_stands_below_who_never_saw_it(rows: list[dict[str, Any]]) -> None:
    for batch in {row["batch"] for row in rows}:
        found = {row["candidate"]: row["truth_z"] for row in rows if row["batch"] == batch}
        # A gap that is hardly there is left alone.
        assert found["do_nothing"] <= found["least_change_half"] <= found["least_change_double"]
        assert found["do_nothing"] < found["least_change_double"]


def test_rates_count_wrong_candidates_and_true_re_fits() -> None:
    def row(candidate: str, truth_z: float, passed: bool | None) -> dict[str, Any]:
        return {"world": 1, "candidate": candidate, "truth_z": truth_z, "passed": passed}

    found = batch_rates(
        [
            row(TRUTH, 0.0, True),
            row(TRUTH, 5.0, False),
            row("do_nothing", -9.0, False),
            row("do_nothing", -2.0, None),
            row("least_change", 0.5, True),
            row("least_change_half", -4.0, True),
        ]
    )
    counted = {name: (found[name]["count"], found[name]["of"]) for name in found if name != "batches"}
    assert found["batches"] == 2
    assert counted == {
        "told": (1, 2),
        "false_accept": (1, 2),
        "false_reject": (1, 2),
        "forgotten": (1, 1),
    }
