"""What a worker tried, read back through the API and on the page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from fastapi.testclient import TestClient

from app.db.session import Database
from app.settings import Settings
from tests.integration.worker.observing import execute_waiting
from tests.integration.worker.split_world import do_without_levels
from unlearning import Rung, default_policy
from unlearning.policy.policy import Search
from worker.process import WorkerProcess, open_process

MEASURE = {"measure", "value", "low", "high", "passed", "detail", "binding"}


@pytest.fixture
def forgotten(client: TestClient, settings: Settings, database: Database) -> list[dict[str, Any]]:
    """Two requests, served by a real run under the default policy."""
    locations = [client.post(f"/users/user-{number}/forget").headers["Location"] for number in (1, 2)]
    serve(settings)
    return [client.get(location).json() for location in locations]


def opened(settings: Settings, **policy: Any) -> WorkerProcess:
    """A worker with the whole default ladder, and these fields of the policy changed."""
    process = open_process(settings)
    fields = {"ladder": default_policy().ladder, **policy}
    return replace(process, policy=replace(process.policy, **fields))


def page_of(client: TestClient, link: str) -> str:
    """The dashboard's page of what this link of the API names."""
    return client.get("/dashboard" + link.replace("/forget-requests/", "/requests/")).text


def serve(settings: Settings, **policy: Any) -> None:
    """Execute the run that waits, under the default policy but for these fields."""
    execute_waiting(opened(settings, **policy))


def test_a_job_shows_every_attempt_with_every_measure_against_its_bounds(
    client: TestClient, forgotten: list[dict[str, Any]]
) -> None:
    assert {request["outcome"] for request in forgotten} == {"erased"}
    run = client.get(forgotten[0]["run"]).json()
    tried = run["attempts"]
    assert [(one["number"], one["step"], one["method"]) for one in tried] == [
        (0, 0, "ucan"),
        (1, 1, "least_change_output"),
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
        assert one["why"].startswith("chosen: " if one["accepted"] else "refused: the check of ")
    assert run["skipped"] == []
    assert all(one["search"] is None for one in tried)


def test_a_search_is_shown_with_its_trail(client: TestClient, settings: Settings, database: Database) -> None:
    location = client.post("/users/user-1/forget").headers["Location"]
    serve(settings, ladder=(Rung("ucan", {"threshold": 0.5}, Search("gamma", 0.5, 20.0)), Rung("refit")))
    tried = client.get(client.get(location).json()["run"]).json()["attempts"]
    searched = tried[0]["search"]
    assert (searched["field"], searched["low"], searched["high"]) == ("gamma", 0.5, 20.0)
    assert tried[0]["config"]["gamma"] in [trial["value"] for trial in searched["trail"]]
    assert tried[0]["config"]["threshold"] == 0.5
    page = page_of(client, client.get(location).json()["run"])
    assert "threshold=0.5" in page
    assert "Searched gamma from 0.5 to 20" in page


def test_a_request_shows_its_own_verdicts_and_nobody_elses(forgotten: list[dict[str, Any]]) -> None:
    first, second = forgotten
    assert [one["method"] for one in first["attempts"]] == [
        "ucan",
        "least_change_output",
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
        assert request["attempts"][-1]["why"].startswith("chosen: ")
        assert all(one["why"].startswith("refused: ") for one in request["attempts"][:-1])


def test_what_a_run_did_without_is_shown_with_the_reason(
    client: TestClient, settings: Settings, database: Database
) -> None:
    """Of one subject there is no level, so the run does without: three rungs of the default ladder need them."""
    location = client.post("/users/user-1/forget").headers["Location"]
    process = opened(settings)
    do_without_levels(process)
    execute_waiting(process)
    request = client.get(location).json()
    run = client.get(request["run"]).json()
    assert request["skipped"] == run["skipped"]
    skipped = request["skipped"]
    assert [(one["step"], one["method"], one["reason"]) for one in skipped] == [
        (1, "least_change_output", "no_levels"),
        (2, "least_change", "no_levels"),
        (3, "least_change", "no_levels"),
    ]
    assert all(one["why"].startswith("skipped: it cannot be judged here: it needs") for one in skipped)
    for shown in (location, request["run"]):
        page = page_of(client, shown)
        assert "<strong>Rung 2, least change</strong> was skipped: it cannot be judged here" in page
        assert "Chosen: nothing that the gate can tell speaks against it" in page


def test_the_page_shows_configurations_and_measures(
    client: TestClient, forgotten: list[dict[str, Any]]
) -> None:
    page = page_of(client, forgotten[0]["run"])
    assert "memory_weight=0.5" in page
    assert "judged together with others" in page
    for request in forgotten:
        assert request["id"][:15] in page
