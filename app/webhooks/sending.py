"""One attempt to deliver a message: one connection, to an address that was checked, within limits of time and size."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpcore

from app.webhooks.addresses import (
    AddressRefused,
    Resolve,
    Target,
    UrlRefused,
    allowed_addresses,
    parse_target,
    system_resolve,
)

_CONNECT_SECONDS = 3.0
_TOTAL_SECONDS = 15.0
_MOST_BYTES = 4096


class Code(StrEnum):
    """How an attempt ended: ``last_code`` of a delivery."""

    DELIVERED = "delivered"  # the endpoint answered 2xx
    URL_REFUSED = "url_refused"  # the rules for URLs have changed since it was registered
    ADDRESS_REFUSED = "address_refused"  # the name leads to an address that webhooks may not go to
    NAME_UNKNOWN = "name_unknown"  # the name has no address
    NOT_CONNECTED = "not_connected"
    TLS_FAILED = "tls_failed"  # no TLS, or a certificate that is not trusted or not of this name
    TIMED_OUT = "timed_out"
    BROKEN_ANSWER = "broken_answer"  # the answer is not HTTP, or the connection was cut
    REDIRECTED = "redirected"  # webhooks follow no redirect
    GONE = "gone"  # 410: the endpoint wants no more
    STATUS_REFUSED = "status_refused"  # any other status
    CHALLENGE_FAILED = "challenge_failed"  # 2xx, but the challenge was not in the answer
    EVENT_DROPPED = "event_dropped"  # the event is no longer kept
    UNSIGNED = "unsigned"  # OpenDSR is off at the gateway that tried


@dataclass(frozen=True)
class Answer:
    """How an attempt ended. ``body`` is the beginning of the answer: to be compared, never to be shown or stored."""

    code: Code
    status: int | None = None
    body: bytes = b""


class Sender:
    """Sends messages. Safe for several threads.

    Args:
        private: whether hosts of the own network are allowed.
        trusted: the certificates to trust; those of the system by default (`SSL_CERT_FILE` names others).
        resolve: looks names up.
        total_seconds: the time for everything after the name was looked up.
    """

    def __init__(
        self,
        *,
        private: bool = False,
        trusted: ssl.SSLContext | None = None,
        resolve: Resolve = system_resolve,
        total_seconds: float = _TOTAL_SECONDS,
    ) -> None:
        self._private = private
        self._trusted = trusted or ssl.create_default_context()
        self._resolve = resolve
        self._total_seconds = total_seconds

    def send(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """POST the body. Blocks the calling thread. Does not raise."""
        try:
            target = parse_target(url, private=self._private)
        except UrlRefused:
            return Answer(Code.URL_REFUSED)
        network = _GuardedNetwork(self._resolve, self._private, self._total_seconds)
        # A pool of its own, so that no connection outlives the check of its address.
        with httpcore.ConnectionPool(ssl_context=self._trusted, network_backend=network) as pool:
            try:
                return _exchange(pool, target, headers, body)
            except AddressRefused:
                return Answer(Code.ADDRESS_REFUSED)
            except OSError:
                return Answer(Code.NAME_UNKNOWN)
            except httpcore.TimeoutException:
                return Answer(Code.TIMED_OUT)
            except _NoHandshake:
                return Answer(Code.TLS_FAILED)
            except httpcore.ConnectError:
                return Answer(Code.NOT_CONNECTED)
            except (httpcore.NetworkError, httpcore.ProtocolError):
                return Answer(Code.BROKEN_ANSWER)


def _exchange(
    pool: httpcore.ConnectionPool, target: Target, headers: Mapping[str, str], body: bytes
) -> Answer:
    # The port is part of the header `Host` only where it is not the usual one; httpcore writes it from the URL.
    sent = [("Content-Type", "application/json"), ("User-Agent", "Lethe"), *headers.items()]
    seconds = {"connect": _CONNECT_SECONDS, "read": _TOTAL_SECONDS, "write": _TOTAL_SECONDS}
    with pool.stream(
        "POST", target.url, headers=sent, content=body, extensions={"timeout": seconds}
    ) as response:
        begun = bytearray()
        # Whoever answers with more, or ever so slowly, has answered all the same.
        with suppress(httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError):
            for part in response.iter_stream():
                begun += part
                if len(begun) >= _MOST_BYTES:
                    break
        return Answer(_code_of(response.status), response.status, bytes(begun[:_MOST_BYTES]))


def _code_of(status: int) -> Code:
    if 200 <= status < 300:
        return Code.DELIVERED
    if 300 <= status < 400:
        return Code.REDIRECTED
    return Code.GONE if status == 410 else Code.STATUS_REFUSED


class _NoHandshake(Exception):
    """TLS was not agreed on, or the certificate was refused."""


class _GuardedNetwork(httpcore.NetworkBackend):
    """Looks the name up, checks all its addresses and connects to one of them.

    The name stays the connection's name for everything above: the header `Host`, the server name of TLS and the check
    of the certificate.
    """

    def __init__(self, resolve: Resolve, private: bool, seconds: float) -> None:
        self._resolve = resolve
        self._private = private
        self._seconds = seconds
        self._tcp = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = allowed_addresses(host, port, self._resolve, private=self._private)
        ends_at = time.monotonic() + self._seconds
        connect_until = min(ends_at, time.monotonic() + _CONNECT_SECONDS)
        failed: Exception = httpcore.ConnectTimeout()
        for address in addresses:
            left = connect_until - time.monotonic()
            if left <= 0:
                break
            try:
                stream = self._tcp.connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _BoundedStream(stream, ends_at)
        raise failed


class _BoundedStream(httpcore.NetworkStream):
    """A connection that is good until a moment, however much each step of it takes."""

    def __init__(self, stream: httpcore.NetworkStream, ends_at: float) -> None:
        self._stream = stream
        self._ends_at = ends_at

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(httpcore.ConnectTimeout)
        try:
            encrypted = self._stream.start_tls(ssl_context, server_hostname, left)
        except httpcore.ConnectError as error:
            raise _NoHandshake from error
        return _BoundedStream(encrypted, self._ends_at)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _left(self, late: type[Exception]) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise late
        return left
