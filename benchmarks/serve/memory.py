"""Whether the memory of gateways stays flat while versions come and go."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from statistics import linear_regression
from typing import Any

import httpx

from benchmarks.serve.processes import Server
from benchmarks.service.errors import ServiceUnmeasurable

# How much more of its memory a gateway may hold after the swaps.
_SHARE = 0.01
# A version's own tensors are held until the last batch that uses them has ended.
_REST_SECONDS = 20.0
_GAUGE = re.compile(r"^lethe_serving_resident_versions (\S+)$", re.MULTILINE)


def versions_in_memory(server: Server, key: str) -> int:
    """The gateway's gauge of versions with tensors in memory.

    Raises:
        ServiceUnmeasurable: it does not answer.
    """
    try:
        answer = httpx.get(
            f"http://127.0.0.1:{server.port}/metrics",
            headers={"Authorization": f"Bearer {key}"},
            timeout=60,
            trust_env=False,
        ).raise_for_status()
    except httpx.HTTPError as problem:
        raise ServiceUnmeasurable("a gateway did not answer with its metrics") from problem
    found = _GAUGE.search(answer.text)
    if found is None:
        raise ServiceUnmeasurable("a gateway's metrics have no gauge of versions in memory")
    return int(float(found[1]))


def versions_at_rest(server: Server, key: str) -> int:
    """The same gauge, once only one version is left, or after some time in which more stayed."""
    deadline = time.monotonic() + _REST_SECONDS
    while (found := versions_in_memory(server, key)) > 1 and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def verdict(
    resident: Sequence[int], most_versions: int, versions_at_rest: int, version_bytes: int
) -> dict[str, Any]:
    """What one gateway held over the swaps.

    Args:
        resident: its resident bytes after each swap.
        most_versions, versions_at_rest: the most that its gauge of versions has shown, and what it showed afterwards.
        version_bytes: the size of a version's own tensors.

    Returns:
        JSON values. ``slope`` is in bytes a swap: a line by least squares through all swaps but the first tenth, in
        which is allocated what is then used again. ``growth`` is that line's rise over these swaps, as a share of the
        first tenth's mean. ``flat`` is whether it is at most 1 % and one version is left; None where a gateway that
        kept every second version would not have grown by that much, so that too few swaps were made to say.
    """
    tenth = max(1, len(resident) // 10)
    first, rest = sum(resident[:tenth]) / tenth, resident[tenth:]
    slope = linear_regression(range(len(rest)), rest).slope if len(rest) > 1 else 0.0
    growth = slope * len(rest) / first
    enough = version_bytes * len(rest) / 2 >= _SHARE * first
    if growth > _SHARE or versions_at_rest > 1:
        flat: bool | None = False
    else:
        flat = True if enough else None
    return {
        "first_tenth": first,
        "last_tenth": sum(resident[-tenth:]) / tenth,
        "slope": slope,
        "growth": growth,
        "versions": {"most": most_versions, "at_rest": versions_at_rest, "bytes": version_bytes},
        "flat": flat,
    }
