"""What a worker tried, read back through the API and on the page."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db import runs
from app.db.session import Database
from app.settings import Settings
from worker.execution import execute
from worker.process import open_process

MEASURE = {"measure", "value", "low", "high", "passed", "detail", "binding"}


@pytest.fixture
def forgotten(client: TestClient, settings: Settings, database: Database) -> list[dict[str, Any]]:
    """Two requests, served by a real run under the default policy."""
    locations = [client.post(f"/users/user-{number}/forget").headers["Location"] for number in (1, 2)]
    process = open_process(settings)
    with process.database.read() as session:
        run_id = runs.queued_run(session)
    assert run_id is not None
    execute(process, run_id)
    process.database.dispose()
    return [client.get(location).json() for location in locations]


def test_a_job_shows_every_attempt_with_every_measure_against_its_bounds(
    client: TestClient, forgotten: list[dict[str, Any]]
) -> None:
    assert {request["outcome"] for request in forgotten} == {"erased"}
    job = client.get(forgotten[0]["run"]).json()
    tried = job["attempts"]
    assert [(one["number"], one["step"], one["method"]) for one in tried] == [
        (0, 0, "ucan"),
        (1, 1, "ucan"),
        (2, 2, "least_change"),
        (3, 3, "least_change"),
        (4, 4, "refit"),
    ]
    assert [one["accepted"] for one in tried] == [False, False, False, False, True]
    assert [one["config"] for one in tried[2:4]] == [{}, {"memory_weight": 0.5}]
    own = [f"/forget-requests/{request['id']}" for request in forgotten]
    for one in tried:
        assert one["requests"] == own
        verdict = one["verdict"]
        assert verdict["error"] is None
        assert [reason["measure"] for reason in verdict["reasons"]] == [
            "membership_z",
            "relative_change_of_held_out_ndcg@10",
            "held_out_loss",
            "neighbour_loss",
            "membership_z_after_rounding",
            "relearned",
            "tail_z",
            # Two subjects with hardly any items: nothing is told of either alone.
            "membership_z_of_undecided_subjects",
        ]
        assert [subject["request"] for subject in verdict["subjects"]] == own
        assert all(subject["in_batch"] for subject in verdict["subjects"])
        measures = [
            *verdict["reasons"],
            *(one for subject in verdict["subjects"] for one in subject["reasons"]),
        ]
        assert all(measure.keys() == MEASURE for measure in measures)
        assert one["report"]["schema"] == "lethe.report/2"
    assert tried[0]["search"] is None
    searched = tried[1]["search"]
    assert (searched["field"], searched["low"], searched["high"]) == ("gamma", 0.5, 20.0)
    assert tried[1]["config"]["gamma"] in [trial["value"] for trial in searched["trail"]]
    assert tried[1]["config"]["threshold"] == 0.5


def test_a_request_shows_its_own_verdicts_and_nobody_elses(forgotten: list[dict[str, Any]]) -> None:
    first, second = forgotten
    assert [one["method"] for one in first["attempts"]] == [
        "ucan",
        "ucan",
        "least_change",
        "least_change",
        "refit",
    ]
    assert first["first_step"] == 0
    for request, other in ((first, second), (second, first)):
        for one in request["attempts"]:
            assert one["subject"]["request"] == f"/forget-requests/{request['id']}"
            assert all(reason.keys() == MEASURE for reason in one["subject"]["reasons"])
            assert one["run"] == request["run"]
            assert len(one["reasons"]) == 8
            assert other["id"] not in str(one)
            assert "report" not in one
        assert [one["accepted"] for one in request["attempts"]] == [False, False, False, False, True]


def test_the_page_shows_configurations_searches_and_measures(
    client: TestClient, forgotten: list[dict[str, Any]]
) -> None:
    page = client.get("/").text
    assert "threshold=0.5" in page
    assert "searched gamma" in page
    assert "9 retained users to compare with" in page or "training items; the policy needs" in page
    assert "judged together with others" in page
    for request in forgotten:
        assert request["id"][:15] in page
