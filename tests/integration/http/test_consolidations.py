"""Asking for a consolidation over HTTP, and seeing what made it necessary."""

from __future__ import annotations

from datetime import timedelta

from fastapi.testclient import TestClient

from app.consolidations import service as consolidations
from app.db.base import utc_now
from app.db.models import Version
from app.db.session import Database
from app.versions import queries as version_queries
from tests.integration.tiny_model import install


def attenuate_on_record(database: Database, parent: str) -> None:
    """A version whose bytes nobody needs here: what is shown comes from its row."""
    version = Version(
        digest="a" * 64,
        parent_digest=parent,
        forget_epoch=0,
        method="ucan",
        subjects=3,
        utility_change=-0.05,
        published_at=utc_now(),
    )
    install(database, version, parent=parent)


def budget_of(client: TestClient) -> dict[str, dict[str, float | None]]:
    return {item["name"]: item for item in client.get("/adapters").json()["consolidation"]["items"]}


def test_a_consolidation_is_accepted_once_and_found_as_a_job(client: TestClient) -> None:
    accepted = client.post("/consolidations")
    assert accepted.status_code == 202
    run = accepted.json()
    assert accepted.headers["Location"] == f"/runs/{run['id']}"
    assert (run["kind"], run["reason"], run["status"]) == ("consolidation", "on_demand", "queued")
    again = client.post("/consolidations")
    assert (again.status_code, again.json()["id"]) == (202, run["id"])
    assert again.headers["Consolidation-Existing"] == "true"
    assert "Consolidation-Existing" not in accepted.headers
    detail = client.get(accepted.headers["Location"]).json()
    assert (detail["kind"], detail["requests"]) == ("consolidation", [])
    page = client.get("/dashboard/runs").text
    assert "consolidation (on demand)" in page
    assert run["id"] in page


def test_a_forget_run_waits_beside_it(client: TestClient) -> None:
    client.post("/consolidations")
    client.post("/users/user-1/forget")
    runs = client.get("/runs").json()["runs"]
    assert {(run["kind"], run["reason"]) for run in runs} == {
        ("consolidation", "on_demand"),
        ("forget", None),
    }


def test_without_a_live_version_there_is_a_problem_to_read(client: TestClient, database: Database) -> None:
    with database.unit_of_work() as session:
        version_queries.current(session).digest = None
    response = client.post("/consolidations")
    assert (response.status_code, response.json()["code"]) == (409, "nothing-to-consolidate")
    assert "lethe init" in response.json()["detail"]
    assert client.get("/runs").json() == {"runs": []}


def test_what_is_spent_and_what_is_left(client: TestClient, database: Database, installed: str) -> None:
    fresh = client.get("/adapters").json()
    assert [version["exact"] for version in fresh["versions"]] == [True]
    assert fresh["consolidation"]["last_exact_fit"] == fresh["versions"][0]["published_at"]
    assert {item["spent"] for item in fresh["consolidation"]["items"]} == {0.0}
    assert {item["limit"] for item in fresh["consolidation"]["items"]} == {None}
    attenuate_on_record(database, installed)
    with database.unit_of_work() as session:
        consolidations.announce_budget(
            session,
            {
                "max_attenuated_subjects": 2,
                "max_attenuations": 20,
                "max_age_days": None,
                "max_utility_loss": 0.1,
            },
        )
        version = session.get(Version, installed)
        assert version is not None
        version.published_at -= timedelta(days=2)
    found = budget_of(client)
    assert (found["attenuated_subjects"]["spent"], found["attenuated_subjects"]["left"]) == (3.0, 0.0)
    assert (found["attenuations"]["spent"], found["attenuations"]["left"]) == (1.0, 19.0)
    assert 2.0 <= (found["age_days"]["spent"] or 0) < 2.1
    assert (found["age_days"]["limit"], found["age_days"]["left"]) == (None, None)
    assert round(found["utility_loss"]["spent"] or 0, 6) == 0.05
    newest = client.get("/adapters").json()["versions"][0]
    assert (newest["exact"], newest["subjects"], newest["utility_change"]) == (False, 3, -0.05)
    page = client.get("/dashboard/versions").text
    assert "<dd>3 of 2 <meter" in page
    assert "<dd>2 of any" in page
    text = client.get("/metrics").text
    assert "lethe_attenuated_subjects_since_exact_fit 3.0" in text
    assert "lethe_attenuations_since_exact_fit 1.0" in text
