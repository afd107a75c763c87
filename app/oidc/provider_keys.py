"""The keys of the identity provider, from a URL or a file, kept for a while."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import structlog

log = structlog.get_logger()

# After this long the keys are read again. Where that fails, they are used for a while longer.
_FRESH_SECONDS = 300.0
_USABLE_SECONDS = 3600.0
# A token with an unknown key has the keys read again, but anybody can send such tokens.
_PAUSE_SECONDS = 10.0
_READ_SECONDS = 3.0
_MOST_BYTES = 1024 * 1024
_MOST_KEYS = 100


class KeysUnavailable(Exception):
    """The provider's keys cannot be read, and those read earlier are too old."""


class ProviderKeys:
    """The keys of a JWK set. Safe for any thread.

    Args:
        location: an https URL (http on this machine), or the path of a file.
        clock: seconds that never go back.
    """

    def __init__(self, location: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._location = location
        self._clock = clock
        self._reading = threading.Lock()
        self._keys: dict[str | None, dict[str, Any]] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None

    def find(self, kid: str | None) -> dict[str, Any] | None:
        """The key of this id; None if there is none. A token may leave the id out where there is one key only.

        Raises:
            KeysUnavailable: there are no keys, or they are too old.
        """
        if kid not in self._keys or self._age(self._read_at) > _FRESH_SECONDS:
            self._read_again()
        if self._age(self._read_at) > _USABLE_SECONDS:
            raise KeysUnavailable
        return self._keys.get(kid)

    def _age(self, moment: float | None) -> float:
        return float("inf") if moment is None else self._clock() - moment

    def _read_again(self) -> None:
        # Only without any keys is it worth waiting for another thread that reads them.
        if not self._reading.acquire(blocking=self._read_at is None):
            return
        try:
            if self._age(self._tried_at) < _PAUSE_SECONDS:
                return
            self._tried_at = self._clock()
            try:
                self._keys = _by_id(self._read())
            except (OSError, httpx.HTTPError, ValueError) as error:
                # Without the message, which can contain the whole URL or a part of the answer.
                log.warning("provider_keys.unavailable", error=type(error).__name__)
                return
            self._read_at = self._clock()
        finally:
            self._reading.release()

    def _read(self) -> bytes:
        if "://" not in self._location:
            return Path(self._location).read_bytes()
        content = bytearray()
        with (
            httpx.Client(timeout=_READ_SECONDS, follow_redirects=False) as client,
            client.stream("GET", self._location, headers={"Accept": "application/json"}) as response,
        ):
            if response.status_code != 200:
                raise ValueError("not 200")
            for part in response.iter_bytes():
                content += part
                if len(content) > _MOST_BYTES:
                    raise ValueError("too large")
        return bytes(content)


def _by_id(content: bytes) -> dict[str | None, dict[str, Any]]:
    """
    Raises:
        ValueError: it is no JWK set, or has no keys to sign with.
    """
    document = json.loads(content)
    listed = document.get("keys") if isinstance(document, dict) else None
    keys = [
        key
        for key in (listed if isinstance(listed, list) else [])[:_MOST_KEYS]
        if isinstance(key, dict) and key.get("use", "sig") == "sig"
    ]
    if not keys:
        raise ValueError("no keys")
    by_id: dict[str | None, dict[str, Any]] = {
        kid: key for key in keys if isinstance(kid := key.get("kid"), str)
    }
    if len(keys) == 1:
        by_id[None] = keys[0]
    return by_id
