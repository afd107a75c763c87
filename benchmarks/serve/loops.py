"""The gateway on asyncio's event loop and on uvloop: two gateways of one site, asked in turns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.serve.open_loop import Plan
from benchmarks.serve.processes import Cores, Server, gateways, send, spread
from benchmarks.serve.site import ServeSite
from benchmarks.service.errors import ServiceUnmeasurable

LOOPS = ("asyncio", "uvloop")
PAIRS = 5
_SHARE = 0.7


def loops(
    site: ServeSite, cores: Cores, folder: Path, requests: Sequence[str], seconds: float, **settings: str
) -> dict[str, Any]:
    """Throughput of both with 32 connections, and the latency of both at one rate, 70 % of the slower one's throughput.

    Both run all the time, on the same processor; which one is asked first alternates. So other work on the machine
    meets both alike, and what counts is the ratio within each pair.

    Args:
        folder: holds uvloop, as ``pip install --target`` makes it.
        settings: of both gateways.

    Raises:
        ServiceUnmeasurable: a gateway did not start, or does not run on the loop that it was told.
    """
    with ExitStack() as stack:
        servers: dict[str, Server] = {}
        for name in LOOPS:
            own = {"LETHE_EVENT_LOOP": name, "PYTHONPATH": str(folder)}
            (one,) = stack.enter_context(gateways(site, 1, cores, **settings, **own))
            # Only whoever has imported it has its library in memory.
            if one.has_mapped("uvloop") is not (name == "uvloop"):
                raise ServiceUnmeasurable(f"a gateway does not run on {name}")
            servers[name] = one

        def plan(name: str, connections: int, per_second: float | None = None) -> Plan:
            port = servers[name].port
            return Plan("127.0.0.1", port, requests, connections, seconds, per_second, core=cores.client)

        # What happens once is not measured. The rate is one for all pairs.
        warm = [send(plan(name, 32)) for name in LOOPS]
        per_second = _SHARE * min(len(one.seconds) / one.lasted for one in warm)
        pairs = []
        for number in range(PAIRS):
            pair = {}
            for name in LOOPS if number % 2 else reversed(LOOPS):
                before = servers[name].processor_seconds()
                full = send(plan(name, 32))
                taken = servers[name].processor_seconds() - before
                loaded = send(plan(name, 64, per_second))
                pair[name] = {
                    "per_second": len(full.seconds) / full.lasted,
                    "processor_ms": 1e3 * taken / len(full.seconds),
                    "loaded": spread(loaded.seconds),
                    "not_200": sum(status != 200 for one in (full, loaded) for status in one.statuses),
                }
            pairs.append(pair)
    return {"loaded_per_second": per_second, "pairs": pairs, "ratios": ratios(pairs)}


def ratios(pairs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """The ratio of uvloop's figure to asyncio's, pair by pair: the median, the least and the largest."""

    def spread_of(values: Sequence[float]) -> dict[str, float]:
        return {"median": median(values), "least": min(values), "most": max(values)}

    return {
        **{
            name: spread_of([pair["uvloop"][name] / pair["asyncio"][name] for pair in pairs])
            for name in ("per_second", "processor_ms")
        },
        **{
            name: spread_of(
                [pair["uvloop"]["loaded"][name] / pair["asyncio"]["loaded"][name] for pair in pairs]
            )
            for name in ("p50", "p99")
        },
    }
