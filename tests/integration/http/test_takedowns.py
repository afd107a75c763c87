"""Taking an item down over HTTP: from the answer on, nothing that this service says names it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from app.main import create_app
from cli import items as commands
from cli.gateway_client import GatewayClient
from tests.integration.http.conftest import gateway_of, install_on_sqlite
from tests.integration.tiny_model import ITEMS


@pytest.fixture(scope="module")
def client(
    migrated_file: Path, base_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    settings, key = install_on_sqlite(migrated_file, base_folder, tmp_path_factory.mktemp("takedowns"))
    with TestClient(create_app(settings), headers={"Authorization": f"Bearer {key}"}) as opened:
        assert gateway_of(opened).engine.wait_for_version(30)
        yield opened


def recommended(
    client: TestClient, user: str = "user-1", k: int = ITEMS, **parameters: Any
) -> dict[str, Any]:
    body: dict[str, Any] = client.get("/recommend", params={"user_id": user, "k": k, **parameters}).json()
    return body | {"ids": [item["item_id"] for item in body["items"]]}


def test_no_answer_names_it_from_the_202_on(client: TestClient) -> None:
    before, popular = recommended(client)["ids"], recommended(client, "nobody")["ids"]
    taken = before[0]
    answer = client.post(f"/items/{taken}/forget", json={"client_reference": "legal-1"})
    assert answer.status_code == 202
    takedown = answer.json()
    assert (takedown["status"], takedown["in_catalogue"], takedown["client_reference"]) == (
        "hidden",
        True,
        "legal-1",
    )
    assert {part["name"]: part["state"] for part in takedown["parts"]}["adapter"] == "not covered"
    assert recommended(client)["ids"] == before[1:]
    assert recommended(client, k=3)["ids"] == before[1:4]
    assert taken not in recommended(client, "nobody")["ids"]
    assert len(recommended(client, "nobody")["ids"]) == len(popular) - 1
    assert recommended(client, candidate=[taken, before[1]])["ids"] == [before[1]]
    only = recommended(client, candidate=[taken])
    assert (only["fallback_reason"], taken in only["ids"]) == ("no_candidates", False)
    location = answer.headers["location"]
    assert location == f"/items/{taken}/forget"
    assert client.get(location).json() == takedown


def test_a_repeat_is_the_same_takedown_in_any_spelling(client: TestClient) -> None:
    first = client.post("/items/77/forget")
    assert first.json()["in_catalogue"] is False
    again = client.post("/items/%2077.0%20/forget")
    assert (again.status_code, again.json(), again.headers["takedown-existing"]) == (
        202,
        first.json(),
        "true",
    )
    assert "takedown-existing" not in first.headers
    listed = client.get("/takedowns", params={"limit": 1}).json()
    assert [one["item_id"] for one in listed["takedowns"]] == ["77"]
    if listed["next_cursor"] is not None:
        older = client.get("/takedowns", params={"cursor": listed["next_cursor"]}).json()
        assert "77" not in [one["item_id"] for one in older["takedowns"]]


def test_the_same_key_has_one_effect(client: TestClient) -> None:
    headers = {"Idempotency-Key": "once"}
    first = client.post("/items/a%2Fb/forget", headers=headers)
    again = client.post("/items/a%2Fb/forget", headers=headers)
    assert (first.json(), first.headers["location"]) == (again.json(), "/items/a%2Fb/forget")
    assert again.headers["idempotent-replayed"] == "true"
    assert client.post("/items/other/forget", headers=headers).status_code == 422


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("/items/null/forget", None, 422, "invalid_id"),
        ("/items/%20/forget", None, 422, "invalid_id"),
        (f"/items/{'x' * 257}/forget", None, 422, None),
        ("/items/%00/forget", None, 422, None),
        ("/items/i3/forget", {"reason": "no such field"}, 422, "extra_forbidden"),
        ("/items/i3/forget", {"client_reference": "a b"}, 422, None),
        ("/items/i3/forget", [], 422, None),
    ],
)
def test_what_is_malformed_is_refused_and_takes_nothing_down(
    client: TestClient, path: str, body: object, status: int, code: str | None
) -> None:
    answer = client.post(path) if body is None else client.post(path, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    if code is not None:
        assert [error["code"] for error in answer.json()["errors"]] == [code]
    assert client.get("/items/i3/forget").status_code == 404


def test_new_events_are_dropped_and_counted(client: TestClient) -> None:
    client.post("/items/i9/forget")
    events = [
        {"user_id": "newcomer", "item_id": item, "timestamp": 1} for item in ("i9", " i9", "i8", "none here")
    ]
    answer = client.post("/interactions", json={"interactions": events}).json()
    assert (answer["stored"], answer["dropped_taken_down"], answer["dropped_unknown_item"]) == (1, 2, 1)
    assert "i9" not in recommended(client, "newcomer")["ids"]


def test_many_ask_while_one_takes_down(client: TestClient) -> None:
    """Every answer that was asked for after the 202 is without the item; the others may have it."""
    engine = gateway_of(client).engine

    def ask(number: int) -> tuple[bool, list[str]]:
        known = engine.catalogue.index("i11") in engine.taken_down
        return known, recommended(client, f"user-{number % 12}", 8)["ids"]

    with ThreadPoolExecutor(6) as callers:
        answers = [callers.submit(ask, number) for number in range(20)]
        client.post("/items/i11/forget")
        answers += [callers.submit(ask, number) for number in range(20)]
        found = [answer.result(60) for answer in answers]
    assert not any(known and "i11" in ids for known, ids in found)
    assert sum(known for known, _ in found) >= 20


def test_it_goes_into_the_journal(client: TestClient) -> None:
    takedown = client.post("/items/i13/forget").json()
    store = gateway_of(client).store
    while takedown["id"] not in (requests := {entry.request: entry for entry in store.journal()}):
        pass
    assert requests[takedown["id"]].item == "i13"


def test_a_gateway_that_starts_knows_it_before_its_first_answer(client: TestClient) -> None:
    client.post("/items/i14/forget")
    with TestClient(create_app(gateway_of(client).settings)) as other:
        engine = gateway_of(other).engine
        assert "i14" in {engine.catalogue.item_ids[index] for index in engine.taken_down}


def test_the_command_line_asks_first_and_lists(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = GatewayClient("http://testserver", "unused")
    gateway._client = client  # type: ignore[assignment]
    monkeypatch.setattr(GatewayClient, "__exit__", lambda *_: None)
    monkeypatch.setattr(commands, "open_named_gateway", lambda *_: gateway)
    runner = CliRunner()
    refused = runner.invoke(commands.items, ["forget", "i15"], input="n\n")
    assert refused.exit_code == 1
    assert client.get("/items/i15/forget").status_code == 404
    told = runner.invoke(commands.items, ["forget", "i15", "--yes", "--client-reference", "zd-9"])
    assert (told.exit_code, "i15  hidden  td_" in told.output) == (0, True)
    monkeypatch.setattr(commands, "_PAGE", 2)
    listed = runner.invoke(commands.items, ["list"])
    assert "i15  hidden" in listed.output
    assert len(listed.output.splitlines()) == len(client.get("/takedowns").json()["takedowns"])
