"""Somebody without a key who keeps the gateway busy: others are answered as before, and the log stays small."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from app.api_keys.service import PREFIX, Scope
from app.db.session import Database
from app.settings import Settings
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process

# Neither database knows of any of this.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

HALF_OPEN = 400
HEAD = b"GET /recommend HTTP/1.1\r\nHost: here\r\n"
LARGE = b"x" * 8 * 2**20


def test_nobody_without_a_key_can_stop_it(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> None:
    key = issue_key(database, "everything", *Scope)
    with gateway_process(settings, key, tmp_path, LETHE_MAX_CONNECTIONS="60") as gateway:
        half_open = [_begin(gateway, HEAD) for _ in range(HALF_OPEN)]
        fresh = httpx.Limits(max_keepalive_connections=0)
        with gateway.client() as client, httpx.Client(base_url=gateway.url, limits=fresh) as stranger:
            for _ in range(20):
                assert client.get("/recommend", params={"user_id": "user-1"}).status_code == 200
                assert stranger.get("/healthz").status_code == 200
            assert 'connections_closed_total{reason="room"}' in client.get("/metrics").text
            for _ in range(300):
                _begin(gateway, b"no request\r\n\r\n").close()
                assert stranger.get("/runs").status_code == 401
            _refuses_bodies(gateway)
            assert client.get("/recommend", params={"user_id": "user-1"}).status_code == 200
        for connection in half_open:
            connection.close()
        log = gateway.log.read_text()
    assert "Traceback" not in log
    assert len(log) < 100_000
    assert log.count('"status": 401') < 101


def _begin(gateway: GatewayProcess, data: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", gateway.port), timeout=20)
    connection.sendall(data)
    return connection


def _refuses_bodies(gateway: GatewayProcess) -> None:
    """By who sends it before by its size, and both before the body is there."""
    for authorization, status in (
        ("", 401),
        (f"Bearer {PREFIX}{'0' * 64}", 401),
        (f"Bearer {gateway.key}", 413),
    ):
        for announced in ("Content-Length: 1000000000", "Transfer-Encoding: chunked"):
            begun = f"POST /interactions HTTP/1.1\r\nHost: here\r\nAuthorization: {authorization}\r\n{announced}\r\n"
            with closing(_begin(gateway, begun.encode() + b"\r\n")) as connection:
                if status == 413 and "chunked" in announced:
                    connection.sendall(f"{len(LARGE):x}\r\n".encode() + LARGE)
                assert f" {status} ".encode() in connection.recv(20)
    for body in (LARGE, _pieces()):
        with closing(http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)) as client:
            headers = {"Authorization": f"Bearer {gateway.key}"}
            client.request("POST", "/interactions", body, headers, encode_chunked=not isinstance(body, bytes))
            assert client.getresponse().status == 413


def _pieces() -> Iterator[bytes]:
    for start in range(0, len(LARGE), 65536):
        yield LARGE[start : start + 65536]
