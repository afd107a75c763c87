"""A server that accepts connections and never answers, like a broker on a machine that hangs."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class HangingServer:
    """Listens on `port` of this machine and keeps every connection open.

    Args:
        greeting: the beginning of an answer that never ends, sent to every client. Now and then a further byte follows,
            so that the client's timeout never expires. If empty, the server sends nothing.
    """

    def __init__(self, greeting: bytes = b"") -> None:
        self._greeting = greeting
        self._closing = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        if greeting:
            self._threads.append(threading.Thread(target=self._drip, daemon=True))
        for thread in self._threads:
            thread.start()

    @property
    def connections(self) -> int:
        """How many clients have connected so far."""
        with self._changed:
            return len(self._connections)

    def wait_for_connection(self, seconds: float) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._connections), seconds)

    def close(self) -> None:
        self._closing.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._greeting:
                # Wait for the client's first byte: it may still be setting up its socket.
                connection.recv(1)
                connection.sendall(self._greeting)
            with self._changed:
                self._connections.append(connection)
                self._changed.notify_all()

    def _drip(self) -> None:
        while not self._closing.wait(0.05):
            with self._changed:
                for connection in self._connections:
                    with suppress(OSError):
                        connection.sendall(b"x")


@contextmanager
def hanging_server(greeting: bytes = b"") -> Iterator[HangingServer]:
    server = HangingServer(greeting)
    try:
        yield server
    finally:
        server.close()
