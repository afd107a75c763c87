"""Asking a gateway: which one, with which key, and what its refusals say."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cli.failures import CommandError
from cli.gateway_client import GatewayAway, GatewayClient, open_gateway
from cli.state_folder import keep_address, keep_key
from tests.ports import free_port

PROBLEM = {
    "title": "Validation failed",
    "detail": "A value is missing or not allowed; see errors.",
    "status": 422,
    "errors": [{"pointer": "/body/user_id", "code": "too_long", "message": "is too long"}],
}


class Answers(BaseHTTPRequestHandler):
    """A server that is none of Lethe's, so that every kind of answer can be had."""

    def do_GET(self) -> None:
        status, body = {
            "/fine": (200, {"key": self.headers["Authorization"]}),
            "/refused": (422, PROBLEM),
            "/away": (503, {"title": "Database unavailable", "detail": "Send it again."}),
        }.get(self.path, (404, "not JSON"))
        self.send_response(status)
        self.end_headers()
        self.wfile.write((body if isinstance(body, str) else json.dumps(body)).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_refusal_is_told_in_its_own_words(url: str) -> None:
    with GatewayClient(url, "k") as gateway:
        assert gateway.get("/fine") == {"key": "Bearer k"}
        with pytest.raises(CommandError) as refused:
            gateway.get("/refused")
        assert str(refused.value) == (
            "Validation failed: A value is missing or not allowed; see errors. user_id: is too long"
        )
        with pytest.raises(GatewayAway, match="Database unavailable: Send it again"):
            gateway.get("/away")
        with pytest.raises(CommandError, match="404 and not as Lethe does"):
            gateway.get("/nothing")


def test_where_nobody_answers_the_question_is_not_repeated() -> None:
    url = f"http://127.0.0.1:{free_port()}"
    with GatewayClient(url, "k") as gateway, pytest.raises(GatewayAway, match="does not answer") as away:
        gateway.get("/recommend", user_id="quetzal")
    assert "quetzal" not in str(away.value)


def test_the_key_of_a_folder_goes_to_the_address_of_that_folder_only(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="set LETHE_URL and LETHE_API_KEY"):
        open_gateway(None, None, None, tmp_path)
    keep_address(tmp_path, "http://127.0.0.1:8123")
    keep_key(tmp_path, "lethe_of_the_folder")
    with open_gateway(None, None, None, tmp_path) as gateway:
        assert gateway.url == "http://127.0.0.1:8123"
    with pytest.raises(CommandError, match="no key"):
        open_gateway("https://elsewhere.example", None, None, tmp_path)


def test_a_key_is_read_from_a_file(url: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("lethe_k\n")
    with open_gateway(url, tmp_path / "key", "another", tmp_path) as gateway:
        assert gateway.get("/fine") == {"key": "Bearer lethe_k"}
    with pytest.raises(CommandError, match="cannot read the key"):
        open_gateway(url, tmp_path / "none", None, tmp_path)
    with pytest.raises(CommandError, match="none of Lethe's"):
        open_gateway(url, None, "two\nlines", tmp_path)


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8000",
        "ftp://host",
        "http://",
        "http://u:p@host",
        "http://host/?q",
        "http://host:x",
        "http://127.0.0.1:1\n",
        "http://127.0.0.1/\x07",
        "https://\udcff.example",
        "https://xn--\u00df.example",
    ],
)
def test_what_is_no_address_is_said_to_be_none(url: str, tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="LETHE_URL is not the address of a gateway"):
        open_gateway(url, None, "k", tmp_path)


def test_a_key_of_the_environment_never_goes_to_an_address_of_a_folder(url: str, tmp_path: Path) -> None:
    keep_address(tmp_path, url)
    with pytest.raises(CommandError, match="no key"):
        open_gateway(None, None, "of_the_environment", tmp_path)
    keep_key(tmp_path, "of_the_folder")
    with open_gateway(None, None, "of_the_environment", tmp_path) as gateway:
        assert gateway.get("/fine") == {"key": "Bearer of_the_folder"}


def test_a_folder_that_was_named_wins_over_the_environment(url: str, tmp_path: Path) -> None:
    keep_address(tmp_path, url)
    keep_key(tmp_path, "of_the_folder")
    elsewhere = "https://elsewhere.example"
    with open_gateway(elsewhere, None, "of_the_environment", tmp_path, explicit=True) as gateway:
        assert gateway.url == url
        assert gateway.get("/fine") == {"key": "Bearer of_the_folder"}
    with pytest.raises(CommandError, match="lethe up runs none"):
        open_gateway(elsewhere, None, "of_the_environment", tmp_path / "none", explicit=True)


def test_an_address_of_a_folder_is_of_this_machine(tmp_path: Path) -> None:
    keep_address(tmp_path, "https://elsewhere.example")
    keep_key(tmp_path, "of_the_folder")
    with pytest.raises(CommandError, match="not on this machine"):
        open_gateway(None, None, None, tmp_path)


def test_another_machine_is_asked_by_https_only(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="use https"):
        open_gateway("http://elsewhere.example", None, "k", tmp_path)
    with open_gateway("https://elsewhere.example", None, "k", tmp_path) as gateway:
        assert gateway.url == "https://elsewhere.example"


def test_what_makes_no_address_is_one_line(url: str) -> None:
    with GatewayClient(url, "k") as gateway, pytest.raises(CommandError, match="makes no address"):
        gateway.get("/recommend", user_id="\udcff")
