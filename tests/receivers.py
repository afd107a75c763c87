"""A receiver of webhooks: an HTTPS server on this machine, whose certificate an authority of the test's has signed."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

HOST = "receiver.example"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Received:
    """One request, with the name that TLS was asked for."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    server_name: str | None


# What to answer: a status, headers and a body.
Answering = Callable[[Received], tuple[int, Mapping[str, str], bytes]]


def accept(_received: Received) -> tuple[int, Mapping[str, str], bytes]:
    return 204, {}, b""


@dataclass
class Receiver:
    """``answering`` may be exchanged at any time; `received` has what has come, in order."""

    port: int
    authority: trustme.CA
    answering: Answering = accept
    received: list[Received] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def trusted(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        return context

    def url(self, path: str = "/in", host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"

    def wait_for(self, condition: Callable[[list[Received]], bool], seconds: float = 30.0) -> list[Received]:
        """What has come, once the condition holds for it."""
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.received), seconds), self.received
            return list(self.received)


@contextmanager
def receiver(authority: trustme.CA | None = None, *, names: tuple[str, ...] = (HOST,)) -> Iterator[Receiver]:
    authority = authority or trustme.CA()
    asked_for: dict[int, str | None] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            seen = Received(self.path, dict(self.headers), body, asked_for.get(self.connection.fileno()))
            status, headers, answer = running.answering(seen)
            with running.changed:
                running.received.append(seen)
                running.changed.notify_all()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            return

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            """Clients that hang up in the middle are part of the tests."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names).configure_cert(context)
    context.sni_callback = lambda connection, name, _context: asked_for.update({connection.fileno(): name})
    server = Server((LOOPBACK, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    running = Receiver(server.server_address[1], authority)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield running
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def to_loopback(_host: str, _port: int) -> list[str]:
    """Looks every name up as this machine."""
    return [LOOPBACK]
