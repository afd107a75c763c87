"""What answers say while the serving pointer moves: none may be torn, mislabelled or of a version that is gone."""

from __future__ import annotations

import json
import threading
import time
from bisect import bisect_right
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from app.db.models import Replica
from app.db.session import Database
from benchmarks.serve.memory import verdict, versions_at_rest, versions_in_memory
from benchmarks.serve.open_loop import Outcome, Plan
from benchmarks.serve.processes import Cores, Server, send, spread
from benchmarks.serve.site import ServeSite
from benchmarks.service.errors import ServiceUnmeasurable

_SWAP_SECONDS = 30.0
# An answer is the version's if it has so many of its ten items: rounding may exchange neighbours in another batch.
_ENOUGH = 9
_POLL_SECONDS = 0.005
# How often the gauge of versions is read: each time makes the gateway write all its metrics.
_SCRAPES = 50


@dataclass
class _Swaps:
    """For each swap, when the pointer was moved, when all replicas had reported the new version, and to which.

    ``memory`` has the resident bytes of each server after it, ``versions`` the most that each server's gauge has shown.
    """

    moved: list[float] = field(default_factory=list)
    followed: list[float] = field(default_factory=list)
    digests: list[str] = field(default_factory=list)
    memory: list[list[int]] = field(default_factory=list)
    versions: list[int] = field(default_factory=list)


def swaps_under_load(
    site: ServeSite,
    servers: Sequence[Server],
    rankings: dict[str, list[list[str]]],
    cores: Cores,
    *,
    count: int,
    per_second: float,
    window_seconds: float = 5.0,
) -> dict[str, Any]:
    """Move the pointer to and fro while each server gets this open-loop load, and check every answer.

    Args:
        rankings: what each version ranks for each user.
        count: how many swaps; even, so that the version that was live before is live again.
        per_second: the load of each server.
        window_seconds: a client sends for so long, then a new one does, until the last swap.

    Raises:
        ServiceUnmeasurable: a replica did not follow.
    """
    users = list(site.histories)
    swaps = _Swaps()
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(len(servers)) as pool:
        stop = threading.Event()
        clients = [
            pool.submit(_load, site, one, cores, per_second, window_seconds, stop, outcomes)
            for one in servers
        ]
        try:
            _swap(site, servers, swaps, count)
        finally:
            stop.set()
        for client in clients:
            client.result()
    checked = [_check(outcome, swaps, rankings, len(users)) for outcome in outcomes]
    lags = [lag for one in checked for lag in one.pop("last_old")]
    gateways = [
        verdict(resident, most, versions_at_rest(server, site.key), site.version_bytes)
        for server, resident, most in zip(
            servers, zip(*swaps.memory, strict=True), swaps.versions, strict=True
        )
    ]
    return {
        "swaps": len(swaps.moved),
        **{name: sum(one[name] for one in checked) for name in checked[0] if name != "seconds"},
        "latency": spread([seconds for one in checked for seconds in one["seconds"]]),
        "follow_seconds": spread([after - at for at, after in zip(swaps.moved, swaps.followed, strict=True)]),
        "last_old_seconds": spread(lags or [0.0]),
        "wall_seconds": swaps.followed[-1] - swaps.moved[0],
        "memory": {**gateways[0], "others": gateways[1:]},
    }


def _load(
    site: ServeSite,
    server: Server,
    cores: Cores,
    per_second: float,
    seconds: float,
    stop: threading.Event,
    outcomes: list[Outcome],
) -> None:
    seed = 0
    while not stop.is_set():
        seed += 1
        requests = site.requests(server.port)
        outcomes.append(
            send(
                Plan(
                    "127.0.0.1", server.port, requests, 64, seconds, per_second, seed, cores.client, keep=True
                )
            )
        )


def _swap(site: ServeSite, servers: Sequence[Server], swaps: _Swaps, count: int) -> None:
    database = site.open()
    live, other = site.versions
    swaps.versions = [0] * len(servers)
    # The first second has no swap.
    time.sleep(1.0)
    for number in range(count):
        site.point_at(other, database)
        swaps.moved.append(time.monotonic())
        swaps.digests.append(other)
        _wait(database, other, len(servers))
        swaps.followed.append(time.monotonic())
        if not number % max(1, count // _SCRAPES):
            now = [versions_in_memory(server, site.key) for server in servers]
            swaps.versions = [max(pair) for pair in zip(swaps.versions, now, strict=True)]
        swaps.memory.append([server.resident() for server in servers])
        live, other = other, live
        time.sleep(0.1)
    database.dispose()


def _wait(database: Database, digest: str, replicas: int) -> None:
    deadline = time.monotonic() + _SWAP_SECONDS
    while time.monotonic() < deadline:
        with database.read() as session:
            newest = session.scalars(
                select(Replica.live_digest).order_by(Replica.last_seen_at.desc()).limit(replicas)
            ).all()
        if len(newest) == replicas and set(newest) == {digest}:
            return
        time.sleep(_POLL_SECONDS)
    raise ServiceUnmeasurable("a replica did not follow the pointer")


def _check(
    outcome: Outcome, swaps: _Swaps, rankings: dict[str, list[list[str]]], users: int
) -> dict[str, Any]:
    """Counts of what must not be. ``last_old`` has, for each swap, how long after it an old answer came."""
    failed = torn = mislabelled = old = fallbacks = 0
    last_old: dict[int, float] = {}
    for number, status, body, seconds, ended in zip(
        outcome.sent, outcome.statuses, outcome.bodies, outcome.seconds, outcome.ended, strict=True
    ):
        if status != 200:
            failed += 1
            continue
        answer = json.loads(body)
        if not answer["personalised"]:
            fallbacks += 1
            continue
        version, items = answer["version"], {item["item_id"] for item in answer["items"]}
        fits = {name for name, lists in rankings.items() if _fits(items, lists[number % users])}
        torn += not fits
        mislabelled += bool(fits) and version not in fits
        last = _latest(swaps.moved, ended)
        if last is not None and version != swaps.digests[last]:
            last_old[last] = max(last_old.get(last, 0.0), ended - swaps.moved[last])
        # Sent after all replicas had said that they had followed: only a cache could know the old version.
        known = _latest(swaps.followed, ended - seconds)
        old += known is not None and last == known and version != swaps.digests[known]
    return {
        "answers": len(outcome.statuses),
        "failed": failed,
        "fallbacks": fallbacks,
        "torn": torn,
        "mislabelled": mislabelled,
        "old_from_cache": old,
        "last_old": list(last_old.values()),
        "seconds": outcome.seconds,
    }


def _fits(items: set[str], ranked: Sequence[str]) -> bool:
    return len(items & set(ranked)) >= _ENOUGH


def _latest(times: Sequence[float], moment: float) -> int | None:
    """The index of the last time that is not after the moment."""
    found = bisect_right(times, moment) - 1
    return None if found < 0 else found
