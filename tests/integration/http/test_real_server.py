"""What arrives of a target through a real server, and what of it is written down."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from sqlalchemy import select

from app.api_keys.service import Scope
from app.db.models import ForgetRequest
from app.db.session import Database
from app.settings import Settings
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process
from tests.integration.tiny_model import subject_of

# A word that nothing contains by chance.
WORD = "quetzal"
IDS = [
    f"auth0|{WORD}",
    f"{WORD}+tag@example.org",
    f"CN={WORD} Lovelace/OU=people",
    f"{WORD}/forget",
    f"../{WORD}/..",
    f"/{WORD}/",
    f"%2F{WORD}",
    f"%252F{WORD}",
    f"{WORD} Zoë 李雷",
]


def test_targets_arrive_as_they_were_sent_and_no_id_is_written_down(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> None:
    key = issue_key(database, "everything", *Scope)
    written = tmp_path / "process"
    written.mkdir()
    with gateway_process(settings, key, written) as gateway:
        _forget_by_path(gateway)
        with database.read() as session:
            subjects = session.scalars(select(ForgetRequest.subject_hmac).order_by(ForgetRequest.epoch)).all()
        assert list(subjects) == [subject_of(user_id) for user_id in IDS]
        _ask_with_ids_everywhere(gateway)
        _ask_for_dots(gateway)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert b'"route": "/users/{user_id}/forget"' in gateway.log.read_bytes()
    assert [path for path in files if WORD.encode() in path.read_bytes()] == []
    assert "Traceback" not in gateway.log.read_text()


def _forget_by_path(gateway: GatewayProcess) -> None:
    for user_id in IDS:
        status, body = gateway.ask("POST", f"/users/{quote(user_id, safe='')}/forget")
        assert status == 202, user_id
        assert WORD.encode() not in body
    # A slash that was not encoded is one of the id: no other reading would be a user's.
    assert gateway.ask("POST", f"/users/{WORD}/forget/forget")[0] == 202


def _ask_with_ids_everywhere(gateway: GatewayProcess) -> None:
    with gateway.client() as client:
        for user_id in [*IDS, f"{WORD}\x00", f"{WORD}\n", WORD + "x" * 256]:
            event = {"user_id": user_id, "item_id": user_id, "timestamp": 1}
            for response in (
                client.post("/forget-requests", json={"user_id": user_id}),
                client.get("/recommend", params={"user_id": user_id}),
                client.post("/interactions", json={"interactions": [event]}),
                client.get(f"/runs/{quote(user_id, safe='')}"),
                client.get(f"/forget-requests/{quote(user_id, safe='')}"),
                client.post(f"/users/{quote(user_id, safe='')}/forgotten"),
            ):
                assert response.status_code in (200, 202, 404, 405, 422), response.status_code
                assert WORD not in response.text
                assert WORD not in str(response.headers)


def _ask_for_dots(gateway: GatewayProcess) -> None:
    for dots in ("%2E", "%2e%2E", ".", "..", "%20..%20"):
        status, body = gateway.ask("POST", f"/users/{dots}/forget")
        assert status == 422, dots
        assert b"/forget-requests" in body
    for target in (
        "/users/%FF/forget",
        "/users/%0A/forget",
        "/runs/%FF",
        "/runs/%0A",
        "/recommend?user_id=%FF",
    ):
        assert gateway.ask("POST" if "forget" in target else "GET", target)[0] == 422, target
