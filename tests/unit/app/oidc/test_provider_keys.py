"""The keys of a provider that is asked over HTTP."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from app.oidc.provider_keys import KeysUnavailable, ProviderKeys
from tests.tokens import Issuer


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    published = Issuer(tmp_path).file.read_bytes()

    class Provider(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = {
                "/jwks": (200, published),
                "/moved": (302, b""),
                "/large": (200, b" " * 2_000_000 + published),
                "/html": (200, b"<html>"),
            }.get(self.path, (500, published))
            self.send_response(status)
            self.send_header("Location", "/jwks")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Provider) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_r46_keys_come_from_an_address(url: str) -> None:
    assert ProviderKeys(f"{url}/jwks").find("first") is not None


@pytest.mark.parametrize("path", ["moved", "large", "html", "broken"])
def test_r46_what_is_no_set_of_keys_is_not_used(url: str, path: str) -> None:
    with pytest.raises(KeysUnavailable):
        ProviderKeys(f"{url}/{path}").find("first")
