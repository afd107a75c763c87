"""S3 servers for tests: moto's, as a process of its own, and one that is a liar.

moto looks whether an object exists and writes it in two steps, so it answers one request at a time here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "not-a-secret",
    "AWS_REGION": "us-east-1",
}
_SIGNED = (
    "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
)


@dataclass(frozen=True)
class S3Server:
    """A server that listens at ``endpoint``. ``environment`` is what a process needs that uses it."""

    endpoint: str
    process: subprocess.Popen[str]

    @property
    def environment(self) -> dict[str, str]:
        return {**CREDENTIALS, "AWS_ENDPOINT_URL": self.endpoint}

    def make_bucket(self, name: str, *, versioned: bool = False) -> str:
        """Create a bucket and return its name. A versioned one keeps what is deleted."""
        self.ask("PUT", f"/{name}")
        if versioned:
            self.set_versioning(name, "Enabled")
        return name

    def set_versioning(self, bucket: str, status: str) -> None:
        body = f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"
        self.ask("PUT", f"/{bucket}?versioning", body.encode())

    def uploads(self, bucket: str) -> int:
        """How many uploads in parts were begun and neither completed nor aborted."""
        return self.ask("GET", f"/{bucket}?uploads").count(b"<Upload>")

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(
            self.endpoint + path,
            data=body,
            method=method,
            headers={"Authorization": _SIGNED, "Content-Type": "application/xml"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            found: bytes = answer.read()
        return found


@contextmanager
def s3_server(log: str = os.devnull) -> Iterator[S3Server]:
    """moto's server on a free port. ``log`` gets a line for each request."""
    with Path(log).open("a") as lines:
        process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=lines, text=True
        )
    try:
        assert process.stdout is not None
        port = process.stdout.readline().strip()
        yield S3Server(f"http://127.0.0.1:{port}", process)
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


class Liar(BaseHTTPRequestHandler):
    """Answers as S3 does, and ignores ``If-None-Match``, as storage that does not know the header.

    ``refusals`` maps a method to the status and the body of the answer that it gets instead. With ``together``, it
    honours the header but looks first and writes then: whoever comes in between gets in as well.
    """

    held: set[str]
    refusals: dict[str, tuple[int, bytes]]
    together: threading.Barrier | None

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        if self.together is not None and "If-None-Match" in self.headers:
            exists = self.path in self.held
            with suppress(threading.BrokenBarrierError):
                self.together.wait(timeout=5)
            if exists:
                self._answer(412)
                return
        if not self._refused():
            self.held.add(self.path)
            self._answer(200)

    def do_HEAD(self) -> None:
        self._answer(200 if self.path in self.held else 404)

    def do_DELETE(self) -> None:
        self.held.discard(self.path)
        self._answer(204)

    def log_message(self, *_arguments: Any) -> None:
        """Says nothing."""

    def _refused(self) -> bool:
        refusal = self.refusals.get(self.command)
        if refusal is not None:
            self._answer(*refusal)
        return refusal is not None

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("ETag", '"0"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def lying_server(*, together: bool = False, **refusals: tuple[int, bytes]) -> Iterator[str]:
    """The endpoint of a :class:`Liar` in a thread."""
    barrier = threading.Barrier(4) if together else None
    handler = type("OneLiar", (Liar,), {"held": set(), "refusals": refusals, "together": barrier})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def _serve() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    _serve()
