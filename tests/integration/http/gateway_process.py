"""A gateway as a process of its own behind a real server, for what an ASGI client does not show."""

from __future__ import annotations

import http.client
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.settings import Settings
from tests.commands import Command, start, without_settings
from tests.ports import free_port

_READY_SECONDS = 90.0


@dataclass(frozen=True)
class GatewayProcess:
    port: int
    key: str
    log: Path
    popen: Command

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options: object) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.key}"},
            timeout=60,
            **options,  # type: ignore[arg-type]
        )

    def ask(self, method: str, target: str) -> tuple[int, bytes]:
        """Send a target as it is: no client tidies it up. Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, target, headers={"Authorization": f"Bearer {self.key}"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()


@contextmanager
def gateway_process(
    settings: Settings, key: str, folder: Path, **environment: str
) -> Iterator[GatewayProcess]:
    """Start `lethe gateway` with these settings, wait until it is ready, and end it."""
    port, log = free_port(), folder / "gateway.log"
    variables = {
        "LETHE_DATABASE_URL": settings.database_url,
        "LETHE_BROKER_URL": settings.broker_url,
        "LETHE_STORE_URL": settings.store_url,
        "LETHE_BASE": settings.base,
        "LETHE_SUBJECT_KEY": settings.subject_key.get_secret_value(),
        "LETHE_AUDIT_KEY": settings.audit_key.get_secret_value(),
        "LETHE_SIGNING_KEY": settings.signing_key.get_secret_value(),
        "LETHE_PORT": str(port),
        "LETHE_FEED_LEASE_SECONDS": str(settings.feed_lease_seconds),
        **environment,
    }
    popen = start(["gateway"], without_settings() | variables, log)
    process = GatewayProcess(port, key, log, popen)
    try:
        _wait_until_ready(process, environment.get("LETHE_ROOT_PATH", ""))
        yield process
    finally:
        if popen.poll() is None:
            popen.send_signal(signal.SIGTERM)
            try:
                popen.wait(60)
            except subprocess.TimeoutExpired:
                popen.kill()
                popen.wait()


def _wait_until_ready(process: GatewayProcess, prefix: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while time.monotonic() < deadline:
        assert process.popen.poll() is None, process.log.read_text()[-3000:]
        try:
            if httpx.get(f"{process.url}{prefix}/readyz", timeout=10).status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise AssertionError(process.log.read_text()[-3000:])
