"""How fast recommendations are served, beside the raw forward and other servers: `lethe bench serve`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.serve.processes import Cores, gateways, rates, server
from benchmarks.serve.site import SIZES, ServeSite, make_site
from benchmarks.serve.swaps import swaps_under_load
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE, free_port

REPLICAS = 3
# How many items an answer has: many numbers, so that few requests of a run are the same.
_LENGTHS = range(5, 45)
_NEARLY = 0.95
_WINDOWS = ("0.001", "0.005", "0.02")
_TAIL = 2000


def run(
    sizes: Sequence[str],
    *,
    peers_python: Path | None = None,
    seconds: float = 10.0,
    swaps: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure each size; returns JSON values.

    Args:
        sizes: names of `SIZES`.
        peers_python: the interpreter of an environment with LitServe or mosec; None to leave these out.
        seconds: how long each load lasts.
        swaps: how many swaps, an even number.

    Raises:
        ServiceUnmeasurable: a server did not start, or a replica did not follow the pointer.
    """
    cores = Cores.of_this_machine()
    header = environment(("app", "benchmarks", "cli", "recommender"))
    header["threads"] = 1
    rows = []
    with bars() as bar:
        for number, name in enumerate(sizes, start=1):
            move = bar(f"serving {name}")
            with tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder:
                site = make_site(Path(folder), SIZES[name], seed)
                rows.append({"size": name, **_measure(site, cores, peers_python, seconds, swaps)})
            move(Reached(number, len(sizes)))
    return {
        "benchmark": "serve",
        "environment": header,
        "pinned": {"server": cores.server, "client": cores.client},
        "seconds": seconds,
        "sizes": rows,
    }


def _measure(
    site: ServeSite, cores: Cores, peers_python: Path | None, seconds: float, swaps: int
) -> dict[str, Any]:
    raw = _raw(site, cores, seconds / 5)
    rankings = raw.pop("rankings")
    batches = {int(size): taken for size, taken in raw["batches"].items()}
    most = max(size / taken for size, taken in batches.items())
    # Batches of this size for everybody: larger ones add time and hardly any throughput.
    best = min(size for size, taken in batches.items() if size / taken >= _NEARLY * most)
    tokens = {"LETHE_BATCH_TOKENS": str(best * (site.size.events + 1))}
    requests = [request for k in _LENGTHS for request in site.requests(0, k)]
    result: dict[str, Any] = {
        "parameters": raw["parameters"],
        "events": site.size.events,
        "raw": {"batches": batches, "best": best, "per_second": best / batches[best], **_halved(raw)},
    }
    with gateways(site, 1, cores, LETHE_CACHED_ANSWERS="0", **tokens) as (one,):
        result["gateway"] = rates(one, requests, cores, seconds)
        result["swaps"] = swaps_under_load(
            site, [one], rankings, cores, count=swaps, per_second=0.7 * result["gateway"]["per_second"]
        )
    with gateways(site, 1, cores, **tokens) as (one,):
        result["cached"] = rates(one, site.requests(one.port), cores, seconds)
        result["swaps_with_cache"] = swaps_under_load(
            site,
            [one],
            rankings,
            cores,
            count=max(2, swaps // 10 * 2),
            per_second=0.3 * result["gateway"]["per_second"],
        )
    with gateways(site, 2, cores) as both:
        result["two_processes"] = [one.memory() for one in both]
    with gateways(site, REPLICAS, cores, LETHE_CACHED_ANSWERS="0", **tokens) as replicas:
        each = 0.4 * result["gateway"]["per_second"] / REPLICAS
        result["replicas"] = swaps_under_load(site, replicas, rankings, cores, count=10, per_second=each)
    result["peers"] = _peers(site, cores, best, peers_python, seconds)
    return result


def _halved(raw: dict[str, Any]) -> dict[str, Any]:
    halved = raw["bfloat16"]
    batches = {int(size): taken for size, taken in halved["batches"].items()}
    return {"bfloat16": {**halved, "per_second": max(size / taken for size, taken in batches.items())}}


def _raw(site: ServeSite, cores: Cores, seconds: float) -> dict[str, Any]:
    asked = {
        "base_folder": str(site.base),
        "store": site.environment["LETHE_STORE_URL"],
        "versions": list(site.versions),
        "histories": list(site.histories.values()),
        "seconds": seconds,
        "core": cores.server,
    }
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serve.raw_forward"],
        cwd=CODE,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceUnmeasurable("the raw forward failed", done.stderr[-_TAIL:])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _peers(
    site: ServeSite, cores: Cores, batch: int, python: Path | None, seconds: float
) -> list[dict[str, Any]]:
    """Each peer with its best waiting window, or why it was left out."""
    rows = [_peer(site, cores, batch, "fastapi", sys.executable, seconds, None)]
    for name in ("litserve", "mosec"):
        if python is None:
            rows.append({"peer": name, "left_out": "no --peers-python"})
            continue
        has = subprocess.run([python, "-c", f"import {name}"], capture_output=True, check=False)
        if has.returncode:
            rows.append({"peer": name, "left_out": "not installed there"})
            continue
        tried = []
        for window in _WINDOWS:
            try:
                tried.append(_peer(site, cores, batch, name, str(python), seconds, window))
            except ServiceUnmeasurable as problem:
                rows.append({"peer": name, "left_out": f"it did not start: {problem}"})
                break
        else:
            rows.append(max(tried, key=lambda row: row["per_second"]))
    rows.append({"peer": "bentoml", "left_out": "no server of ours for it yet"})
    return rows


def _peer(
    site: ServeSite,
    cores: Cores,
    batch: int,
    name: str,
    python: str,
    seconds: float,
    window: str | None,
) -> dict[str, Any]:
    port = free_port()
    path, ready = ("/inference", "/") if name == "mosec" else ("/predict", "/health")
    own = ["--port", str(port), "--address", "127.0.0.1"] if name == "mosec" else []
    variables = {
        "PEER_PORT": str(port),
        "PEER_BATCH": str(batch),
        "PEER_BASE": str(site.base),
        "PEER_STORE": site.environment["LETHE_STORE_URL"],
        "PEER_VERSION": site.versions[0],
        **({} if window is None else {"PEER_WINDOW": window}),
    }
    command = [python, "-m", f"benchmarks.serve.peers.{name}_server", *own]
    requests = [request for k in _LENGTHS for request in site.bare_requests(path, k)]
    with server(command, port, ready, site.folder / f"{name}.log", cores.server, variables) as one:
        return {"peer": name, "window_seconds": window, **rates(one, requests, cores, seconds)}
