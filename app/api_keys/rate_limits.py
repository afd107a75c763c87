"""How often a caller may ask, and how often an address may fail to log in."""

from __future__ import annotations

import ipaddress
import math
import time

import structlog
from limits import parse, storage, strategies
from limits.aio import storage as async_storage
from limits.aio import strategies as async_strategies
from limits.errors import StorageError
from redis.asyncio import ConnectionPool

from app.line_budget import LineBudget
from app.settings import Settings

log = structlog.get_logger()

_REDIS_SECONDS = 0.25
# After Redis did not answer, it is not asked for this long, so that callers do not wait for it one after the other.
_PAUSE_SECONDS = 5.0
# Whoever has one IPv6 address has as a rule this many.
_IPV6_NETWORK = 64


class CallerLimits:
    """Counts the requests of each caller: in this process, or for all gateways in Redis.

    While Redis does not answer, nobody is limited: a limit protects the service from its callers' mistakes, and is no
    reason to refuse a forget request.

    Args:
        of_callers, of_users: like ``600/minute``, for keys and tokens with a role, and for end users; empty: no limit.
        storage_url: ``memory://``, or ``redis://HOST/NUMBER``.
    """

    def __init__(self, of_callers: str, of_users: str, storage_url: str) -> None:
        self._of_callers = parse(of_callers) if of_callers else None
        self._of_users = parse(of_users) if of_users else None
        self._connections: ConnectionPool | None = None
        counters: async_storage.Storage = async_storage.MemoryStorage()
        if storage_url.startswith("redis"):
            self._connections = ConnectionPool.from_url(
                storage_url, socket_timeout=_REDIS_SECONDS, socket_connect_timeout=_REDIS_SECONDS
            )
            counters = async_storage.RedisStorage(
                storage_url,
                implementation="redispy",
                wrap_exceptions=True,
                connection_pool=self._connections,  # type: ignore[arg-type]  # its options are passed on as they are
            )
        self._strategy = async_strategies.SlidingWindowCounterRateLimiter(counters)
        self._ask_again_at = 0.0
        self._lines = LineBudget()

    @classmethod
    def of(cls, settings: Settings) -> CallerLimits:
        return cls(settings.rate_limit, settings.rate_limit_users, settings.rate_limit_storage)

    async def take(self, name: str, *, end_user: bool) -> int | None:
        """Count one request. Returns after how many seconds to ask again if it is one too many; None if it is not."""
        limit = self._of_users if end_user else self._of_callers
        if limit is None or time.monotonic() < self._ask_again_at:
            return None
        try:
            if await self._strategy.hit(limit, name):
                return None
            window = await self._strategy.get_window_stats(limit, name)
        except StorageError as error:
            self._ask_again_at = time.monotonic() + _PAUSE_SECONDS
            if self._lines.take() is not None:
                log.warning("rate_limits.unavailable", error=type(error.storage_error).__name__)
            return None
        return _seconds_until(window.reset_time)

    async def close(self) -> None:
        if self._connections is not None:
            await self._connections.aclose()


class FailedLogins:
    """Counts keys and tokens that are not valid, by the address that sends them.

    Args:
        limit: like ``30/minute``; empty for no limit.
    """

    def __init__(self, limit: str) -> None:
        self._limit = parse(limit) if limit else None
        self._strategy = strategies.FixedWindowRateLimiter(storage.MemoryStorage())

    def count(self, address: str) -> None:
        if self._limit is not None:
            self._strategy.hit(self._limit, _network(address))

    def exceeded(self, address: str) -> int | None:
        """After how many seconds the address may fail again; None if it has not failed too often."""
        if self._limit is None or self._strategy.test(self._limit, _network(address)):
            return None
        return _seconds_until(self._strategy.get_window_stats(self._limit, _network(address)).reset_time)


def _network(address: str) -> str:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_NETWORK), strict=False))


def _seconds_until(moment: float) -> int:
    return max(1, math.ceil(moment - time.time()))
