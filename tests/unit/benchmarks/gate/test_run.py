"""A whole measurement on a toy population."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fits import Regime
from benchmarks.gate import run as gate
from benchmarks.gate.power import COUNTS
from benchmarks.gate.trials import CANDIDATES, LATER, LEVEL, OUTPUT, TRUTH, Plan, worlds_of
from benchmarks.population import TooFewUsers
from benchmarks.study.orders import SHADOWS, shadows
from benchmarks.study.pool import Pool
from benchmarks.study.workshop import Workshop
from benchmarks.tables import as_json, markdown

PLAN = Plan("report", worlds=2, deletions=1)


@pytest.fixture(scope="module")
def result(workshop: Workshop) -> dict[str, Any]:
    return run(workshop)


def run(workshop: Workshop) -> dict[str, Any]:
    return gate.run(workshop.data, plan=PLAN, folder=workshop.folder, processes=1, regime=workshop.regime)


def test_every_candidate_of_every_deletion_has_a_row(result: dict[str, Any]) -> None:
    rows = [(row["world"], row["subject"], row["candidate"]) for row in result["rows"]]
    edits = [row for row in result["rows"] if row["candidate"] in (OUTPUT, LEVEL)]
    refused = [
        world for world in (8, 9) if not any(row["accepted"] for row in edits if row["world"] == world)
    ]
    assert rows == [
        *((world, 0, name) for world in (8, 9) for name in CANDIDATES),
        *((world, 0, LATER) for world in refused),
    ]
    assert refused
    assert result["deletions"] == 2
    assert all(row["decision"] in ("pass", "fail", "inconclusive") for row in result["rows"])


def test_the_candidates_are_what_they_say(result: dict[str, Any]) -> None:
    for world in (8, 9):
        rows = {row["candidate"]: row for row in result["rows"] if row["world"] == world}
        assert not rows["do_nothing"]["accepted"]
        assert rows["do_nothing"]["z"] == pytest.approx(rows["do_nothing"]["parent_z"])
        # The further towards and beyond its level, the less the candidate knows of the subject.
        walked = ("do_nothing", "least_change_half", "least_change", "least_change_double")
        known = [rows[name]["truth_z"] for name in walked]
        assert known == sorted(known)
        assert known[0] < rows[TRUTH]["truth_z"] < known[-1]
        assert known[0] < 0 < known[-1]


def test_the_gate_and_the_truth_differ_by_the_error_of_the_level(result: dict[str, Any]) -> None:
    for world in (8, 9):
        rows = [row for row in result["rows"] if row["world"] == world]
        assert len({row["level_error"] for row in rows}) == 1
        # Both read the same candidate; one measures from its level, the other from what the level estimates.
        (nothing,) = (row for row in rows if row["candidate"] == "do_nothing")
        deviation = (nothing["level_error"] - nothing["truth_gap"]) / nothing["z"]
        assert deviation > 0
        for row in rows:
            below = row["level_error"] - row["truth_gap"]
            assert row["z"] * deviation == pytest.approx(below, abs=1e-4)


def test_more_interactions_are_read_where_a_subject_has_them(result: dict[str, Any]) -> None:
    lengths = [row["items"] for row in result["rows"] if row["candidate"] == TRUTH]
    power = result["power"]
    assert [(row["items"], row["subjects"]) for row in power] == [
        (count, sum(length >= count for length in lengths)) for count in COUNTS if count <= max(lengths)
    ]
    assert all(row["deviation"] > 0 and 0 <= row["told"] <= 1 for row in power)
    # All who are read were fitted on, a little too long: they stand above the adapters that never saw them.
    assert power[-1]["median_z"] > 0


def test_everything_is_fitted_before_the_trials(result: dict[str, Any], workshop: Workshop) -> None:
    # The base, all halves of everybody, of each world two pairs of halves and a re-fit, and where there are batches one
    # more.
    with_batches = len({row["world"] for row in result["batch_rows"]})
    fits = list((workshop.folder / "fits").iterdir())
    assert len(fits) == 1 + SHADOWS + 2 * (4 + 1) + with_batches


def test_the_result_is_json_and_tables(result: dict[str, Any]) -> None:
    stored = json.loads(as_json(result))
    assert stored["benchmark"] == "gate"
    assert stored["data"]["users"] == "report"
    assert len(stored["data"]["users_of_a_world"]) == 2
    assert stored["training"]["adapter_config"]["r"] == 4
    text = markdown(stored)
    assert "| true re-fits inconclusive | " in text
    for name in CANDIDATES:
        assert f"\n| {name} | " in text


def test_every_user_of_every_service_is_read(result: dict[str, Any]) -> None:
    rows, sizes = result["readings"], result["data"]["users_of_a_world"]
    assert sum(row["users"] for row in rows) == sum(sizes)
    # Eight of the sixteen halves never saw a user.
    assert all(row["unseen"] == 8 * row["users"] and 0 <= row["outside"] <= row["unseen"] for row in rows)
    assert len({row["service"] for row in rows}) == 2
    assert sum(entry["told"]["of"] for entry in result["by_length"]) == sum(sizes)
    assert {row["service"] for row in result["rows"]} == {row["service"] for row in rows}


def test_a_refusal_says_why(result: dict[str, Any]) -> None:
    for row in result["rows"]:
        assert bool(row["objections"]) is not row["accepted"]
    (nothing,) = (row for row in result["rows"] if row["candidate"] == "do_nothing" and row["world"] == 8)
    assert any(text.startswith("membership_z") for text in nothing["objections"])


def test_results_on_other_services_are_joined(result: dict[str, Any], tmp_path: Path) -> None:
    renamed = json.loads(
        as_json(result).replace("part 9 of 2", "part 1 of 4").replace("part 10 of 2", "part 2 of 4")
    )
    joined = gate.join([result, renamed])
    assert joined["deletions"] == 4
    assert len(joined["by_world"]) == 4
    assert joined["data"]["worlds"] == 4
    assert "part 1 of 4" in markdown(json.loads(as_json(joined)))
    with pytest.raises(gate.CannotJoin, match="joined already"):
        gate.join([joined])
    for wrong in ([result, result], [result, renamed | {"policy": {"name": "other", "hash": "1"}}]):
        with pytest.raises(gate.CannotJoin):
            gate.join(wrong)


def test_a_service_may_be_any_part_of_the_users(workshop: Workshop) -> None:
    shares = shadows(workshop.population, parts=4)
    users = len(workshop.population.service) + len(workshop.population.outsiders)
    assert len(shares) == SHADOWS
    for group in range(4):
        four = shares[4 * group : 4 * group + 4]
        assert sorted(place for one in four for place in one.members) == list(range(users))
        assert max(len(one.members) for one in four) - min(len(one.members) for one in four) <= 1
    assert shares[0].members != shares[4].members
    (world,) = worlds_of(workshop, Plan("report", worlds=1, deletions=1, parts=4))
    assert frozenset(world.places) == shares[8].members


def test_a_second_run_takes_its_rows_from_the_first(result: dict[str, Any], workshop: Workshop) -> None:
    cells = {path: path.stat().st_mtime_ns for path in (workshop.folder / "cells").iterdir()}
    # One for each deletion, one for each whose edit was refused, and one for the batches of each world.
    assert len(cells) == 2 + 2 + sum(row["candidate"] == LATER for row in result["rows"])
    again = run(workshop)
    assert again["rows"] == result["rows"]
    assert {path: path.stat().st_mtime_ns for path in (workshop.folder / "cells").iterdir()} == cells


def test_a_lost_cell_is_made_again_bit_for_bit_in_another_process(
    result: dict[str, Any], workshop: Workshop
) -> None:
    # What a trial's cell holds depends on the policy.
    judging = gate._EveryStratum(workshop.data, workshop.folder, workshop.regime)
    (key,) = PLAN.trials()[0].keys(judging)
    lost = workshop.folder / "cells" / f"{key}.json"
    lost.unlink()
    told: list[int] = []
    Pool(judging, 2).work(PLAN.trials(), told.append)
    assert told[-1] == 2
    assert lost.is_file()

    def untimed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]

    assert untimed(run(workshop)["rows"]) == untimed(result["rows"])


def test_too_many_deletions_are_refused_before_anything_is_trained(
    data: Path, regime: Regime, tmp_path: Path
) -> None:
    with pytest.raises(TooFewUsers, match="900 are wanted"):
        gate.run(data, plan=Plan("report", 1, 900), folder=tmp_path, processes=1, regime=regime)
    assert not (tmp_path / "fits").exists()


def test_the_packaged_result_is_read_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "COMMITTED", tmp_path / "report.json")
    with pytest.raises(FileNotFoundError):
        gate.committed()
    (tmp_path / "report.json").write_text('{"benchmark": "gate"}')
    assert gate.committed() == {"benchmark": "gate"}
