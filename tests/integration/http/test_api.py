from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from app.api_keys.service import Scope
from app.db.session import Database
from tests.integration.http.conftest import issue_key

PROBLEM = "application/problem+json"


def test_a_known_user_gets_unseen_items_and_the_version_that_computed_them(
    client: TestClient, installed: str
) -> None:
    response = client.get("/recommend", params={"user_id": "user-1", "k": 16})
    body = response.json()
    assert response.status_code == 200, body
    assert body["personalised"]
    assert body["version"] == response.headers["Lethe-Version"] == installed
    assert body["generation"] == 1
    assert response.headers["Cache-Control"] == "private, no-store"
    seen = {f"i{(5 + step) % 24}" for step in range(8)}
    assert len(body["items"]) == 16
    assert not seen & {item["item_id"] for item in body["items"]}


def test_an_unknown_user_gets_the_labelled_fallback(client: TestClient) -> None:
    body = client.get("/recommend", params={"user_id": "nobody"}).json()
    assert (body["personalised"], body["fallback_reason"]) == (False, "unknown_user")
    assert body["version"].startswith("fallback:")
    assert len(body["items"]) == 10


def test_forgetting_suppresses_at_once_and_answers_with_the_request(client: TestClient) -> None:
    accepted = client.post("/users/user-1/forget", json={"reason": "objection"})
    assert accepted.status_code == 202
    request = accepted.json()
    assert accepted.headers["Location"] == f"/forget-requests/{request['id']}"
    assert accepted.headers["Retry-After"]
    assert (request["status"], request["done"], request["outcome"]) == ("queued", False, None)
    assert request["waits_for"]
    assert "user-1" not in accepted.text
    body = client.get("/recommend", params={"user_id": "user-1"}).json()
    assert (body["personalised"], body["fallback_reason"]) == (False, "suppressed")
    assert client.get(accepted.headers["Location"]).json()["id"] == request["id"]


def test_a_repeat_answers_with_the_same_request_and_the_same_clock(client: TestClient) -> None:
    first = client.post("/users/user-1/forget")
    second = client.post("/users/user-1/forget")
    assert second.status_code == 202
    assert second.headers["Forget-Request-Existing"] == "true"
    assert {key: first.json()[key] for key in ("id", "due_at")} == {
        key: second.json()[key] for key in ("id", "due_at")
    }


def test_an_unknown_user_is_accepted_like_any_other(client: TestClient) -> None:
    known = client.post("/users/user-1/forget")
    unknown = client.post("/users/somebody-else/forget")
    assert unknown.status_code == known.status_code
    assert unknown.json().keys() == known.json().keys()


def test_ingested_events_count_at_once_and_only_once(client: TestClient) -> None:
    events = [
        {"user_id": "newcomer", "item_id": "i1", "timestamp": 1},
        {"user_id": "newcomer", "item_id": "no such item", "timestamp": 2},
    ]
    first = client.post("/interactions", json={"interactions": events}).json()
    second = client.post("/interactions", json={"interactions": events}).json()
    assert first == {
        "stored": 1,
        "duplicates": 0,
        "dropped_suppressed": 0,
        "dropped_taken_down": 0,
        "dropped_unknown_item": 1,
    }
    assert second["duplicates"] == 1
    body = client.get("/recommend", params={"user_id": "newcomer"}).json()
    assert body["personalised"]
    assert "i1" not in {item["item_id"] for item in body["items"]}


def test_jobs_and_adapters_are_listed(client: TestClient, installed: str) -> None:
    request = client.post("/users/user-1/forget").json()
    runs = client.get("/runs").json()["runs"]
    assert [run["status"] for run in runs] == ["queued"]
    detail = client.get(f"/runs/{runs[0]['id']}").json()
    assert detail["attempts"] == []
    assert request["run"] is None
    adapters = client.get("/adapters").json()
    assert adapters["live"] == installed
    assert [version["live"] for version in adapters["versions"]] == [True]
    assert len(adapters["replicas"]) == 1


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    checks = {"database": True, "database_writes": True, "store": True, "serving": True}
    assert client.get("/readyz").json() == checks
    client.get("/recommend", params={"user_id": "user-1"})
    client.post("/users/user-1/forget")
    text = client.get("/metrics").text
    assert 'lethe_http_requests_total{method="GET",route="/recommend",status="200"} 1.0' in text
    assert 'lethe_http_requests_total{method="POST",route="/users/{user_id}/forget",status="202"} 1.0' in text
    assert 'lethe_forget_requests{status="queued"} 1.0' in text
    assert "user-1" not in text


def test_the_page_needs_a_key_and_shows_the_worklist(client: TestClient) -> None:
    client.post("/users/user-1/forget")
    page = client.get("/")
    assert page.status_code == 200
    assert "A worker to claim the run" in page.text
    assert "user-1" not in page.text
    assert client.get("/static/dashboard.css").status_code == 200


@pytest.mark.parametrize("k", ["0", "-1", "101", "25", "many"])
def test_k_out_of_range_is_a_422(client: TestClient, k: str) -> None:
    response = client.get("/recommend", params={"user_id": "user-1", "k": k})
    assert (response.status_code, response.json()["code"]) == (422, "validation-failed")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid-request"),
        (b'{"unexpected": 1}', 422, "validation-failed"),
        (b'{"reason": "because"}', 422, "validation-failed"),
        (b'{"client_reference": "' + b"x" * 5000 + b'"}', 413, "body-too-large"),
    ],
)
def test_a_bad_body_accepts_nothing(client: TestClient, body: bytes, status: int, code: str) -> None:
    response = client.post("/users/user-1/forget", content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert client.get("/runs").json() == {"runs": []}
    assert client.get("/recommend", params={"user_id": "user-1"}).json()["personalised"]


def test_a_body_that_does_not_say_its_length_is_cut_off_all_the_same(client: TestClient) -> None:
    def endless() -> object:
        for _ in range(100):
            yield b" " * 1024

    response = client.post("/interactions", content=endless())  # type: ignore[arg-type]
    assert (response.status_code, response.json()["code"]) == (413, "body-too-large")


def test_a_field_nobody_knows_is_not_repeated(client: TestClient) -> None:
    response = client.post("/users/user-1/forget", json={"alice@example.com": 1})
    assert response.status_code == 422
    assert "alice" not in response.text
    many = client.post("/users/user-1/forget", json={f"x{number}": 1 for number in range(300)})
    assert len(many.json()["errors"]) == 20


def test_a_method_of_the_callers_invention_is_no_metric(client: TestClient) -> None:
    assert client.request("ALICE", "/healthz").status_code == 405
    text = client.get("/metrics").text
    assert "ALICE" not in text
    assert 'method="other"' in text


def test_a_method_that_a_path_does_not_take_gets_all_that_it_takes(client: TestClient) -> None:
    for path, methods in (("/forget-requests", {"GET", "HEAD", "POST"}), ("/healthz", {"GET", "HEAD"})):
        answer = client.delete(path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method-not-allowed")
        assert set(answer.headers["allow"].split(", ")) == methods


def test_a_form_on_another_site_cannot_forget_anybody(client: TestClient) -> None:
    """Browsers send Basic credentials along; they open the page and nothing else."""
    key = client.headers["Authorization"].removeprefix("Bearer ")
    del client.headers["Authorization"]
    assert client.get("/", auth=("anyone", key)).status_code == 200
    assert client.post("/users/user-1/forget", auth=("anyone", key)).status_code == 401


def test_without_a_key_nothing_is_answered(client: TestClient) -> None:
    for authorization in ("", "Bearer wrong", "Basic !!!", "Digest x"):
        response = client.get("/runs", headers={"Authorization": authorization})
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
        assert "Bearer" in response.headers["WWW-Authenticate"]


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("POST", "/users/user-1/forget", Scope.FORGET_CREATE),
        ("POST", "/forget-requests", Scope.FORGET_CREATE),
        ("GET", f"/forget-requests/fr_{'0' * 32}", Scope.FORGET_READ),
        ("POST", f"/forget-requests/fr_{'0' * 32}/retry", Scope.FORGET_RETRY),
        ("POST", "/consolidations", Scope.CONSOLIDATE),
        ("POST", f"/adapters/{'0' * 64}/rollback", Scope.ROLL_BACK),
        ("GET", "/recommend?user_id=user-1", Scope.RECOMMEND),
        ("POST", "/interactions", Scope.INTERACTIONS_WRITE),
        ("GET", "/runs", Scope.RUNS_READ),
        ("GET", f"/runs/ur_{'0' * 32}", Scope.RUNS_READ),
        ("GET", "/adapters", Scope.ADAPTERS_READ),
        ("GET", "/metrics", Scope.METRICS_READ),
        ("GET", "/", Scope.FORGET_READ),
    ],
)
def test_every_other_scope_is_not_enough(
    client: TestClient, database: Database, method: str, path: str, scope: Scope
) -> None:
    key = issue_key(database, "all but one", *(set(Scope) - {scope}))
    response = client.request(
        method,
        path,
        headers={"Authorization": f"Bearer {key}"},
        json={"interactions": [{"user_id": "u", "item_id": "i1", "timestamp": 1}]}
        if method == "POST"
        else None,
    )
    assert (response.status_code, response.json()["code"]) == (403, "missing-scope")
    assert response.json()["scope"] == scope


@pytest.mark.parametrize("path", [f"/forget-requests/fr_{'0' * 32}", f"/runs/ur_{'0' * 32}", "/nothing/here"])
def test_what_does_not_exist_is_a_404_problem(client: TestClient, path: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "not-found")
    assert response.headers["content-type"] == PROBLEM


def test_only_a_request_that_needs_attention_can_be_retried(client: TestClient) -> None:
    location = client.post("/users/user-1/forget").headers["Location"]
    response = client.post(f"{location}/retry")
    assert (response.status_code, response.json()["code"]) == (409, "illegal-transition")


def test_every_answer_carries_a_correlation_id(client: TestClient) -> None:
    assert client.get("/healthz", headers={"X-Request-ID": "ticket-7"}).headers["X-Request-ID"] == "ticket-7"
    made = client.get("/healthz", headers={"X-Request-ID": "not <safe>"}).headers["X-Request-ID"]
    assert re.fullmatch("[0-9a-f]{32}", made)


def test_openapi_describes_the_routes(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert "/users/{user_id}/forget" in paths
