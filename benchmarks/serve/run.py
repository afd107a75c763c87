"""How fast recommendations are served, beside the raw forward and other servers: `lethe bench serve`."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.environment import environment
from benchmarks.serve.beside import LENGTHS, peers
from benchmarks.serve.loops import loops
from benchmarks.serve.processes import Cores, gateways, rates
from benchmarks.serve.site import SIZES, ServeSite, Size, make_site
from benchmarks.serve.swaps import swaps_under_load
from benchmarks.service import own_database, own_store
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import CODE

REPLICAS = 3
_NEARLY = 0.95
_TAIL = 2000


@dataclass(frozen=True)
class Wanted:
    """What to measure of each size.

    Args:
        seconds: how long each load lasts.
        swaps: how many swaps, an even number.
        swap_load: the share of the gateway's throughput that is sent while versions are swapped.
        only_swaps: leave out what is neither the gateway's own rates nor swaps.
        peers_pythons: interpreters of environments with other servers; a peer runs in the first that has it.
        uvloop: a folder that holds uvloop, as ``pip install --target`` makes it; None to leave that comparison out.
        database: ``sqlite``, ``postgresql`` (the server on this machine), or the URL of a PostgreSQL server.
        store: ``local``, ``moto`` (a server of moto's, started here), or ``s3://BUCKET/PREFIX``.
    """

    seconds: float = 10.0
    swaps: int = 200
    swap_load: float = 0.7
    only_swaps: bool = False
    peers_pythons: Sequence[Path] = ()
    uvloop: Path | None = None
    database: str = "sqlite"
    store: str = own_store.LOCAL


def run(sizes: Sequence[str], wanted: Wanted, *, seed: int = 0) -> dict[str, Any]:
    """Measure each size of `SIZES`; returns JSON values.

    Raises:
        ServiceUnmeasurable: a server did not start, or a replica did not follow the pointer.
    """
    cores = Cores.of_this_machine()
    header = environment(("app", "benchmarks", "cli", "model_store", "recommender"))
    header["threads"] = 1
    rows = []
    with bars() as bar:
        for number, name in enumerate(sizes, start=1):
            move = bar(f"serving {name}")
            rows.append({"size": name, **measure(SIZES[name], cores, wanted, seed)})
            move(Reached(number, len(sizes)))
    return {
        "benchmark": "serve",
        "environment": header,
        "pinned": {"server": cores.server, "client": cores.client},
        "seconds": wanted.seconds,
        "swap_load": wanted.swap_load,
        "database": own_database.kind_of(wanted.database),
        "store": own_store.kind_of(wanted.store),
        "sizes": rows,
    }


def measure(size: Size, cores: Cores, wanted: Wanted, seed: int) -> dict[str, Any]:
    """Measure one size, in a folder, a database and a store of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="lethe-bench-") as folder,
        own_database.chosen_database(wanted.database) as database_url,
        own_store.own_store(wanted.store, Path(folder)) as store_url,
    ):
        site = make_site(Path(folder), size, seed, database_url=database_url, store_url=store_url)
        return _measure(site, cores, wanted)


def _measure(site: ServeSite, cores: Cores, wanted: Wanted) -> dict[str, Any]:
    seconds, swaps = wanted.seconds, wanted.swaps
    raw = _raw(site, cores, seconds / 5)
    rankings = raw.pop("rankings")
    batches = {int(size): taken for size, taken in raw["batches"].items()}
    most = max(size / taken for size, taken in batches.items())
    # Batches of this size for everybody: larger ones add time and hardly any throughput.
    best = min(size for size, taken in batches.items() if size / taken >= _NEARLY * most)
    tokens = {"LETHE_BATCH_TOKENS": str(best * (site.size.events + 1))}
    nothing_kept = {"LETHE_CACHED_ANSWERS": "0", **tokens}
    requests = [request for k in LENGTHS for request in site.requests(0, k)]
    result: dict[str, Any] = {
        "parameters": raw["parameters"],
        "events": site.size.events,
        "raw": {"batches": batches, "best": best, "per_second": best / batches[best], **_halved(raw)},
    }
    with gateways(site, 1, cores, **nothing_kept) as (one,):
        result["gateway"] = rates(one, requests, cores, seconds)
        full = result["gateway"]["per_second"]
        result["swaps"] = swaps_under_load(
            site, [one], rankings, cores, count=swaps, per_second=wanted.swap_load * full
        )
    with gateways(site, 1, cores, **tokens) as (one,):
        if not wanted.only_swaps:
            result["cached"] = rates(one, site.requests(one.port), cores, seconds)
        # Fewer: what is kept is thrown away at each swap, and most answers are computed.
        few, load = max(2, swaps // 10 * 2), 3 / 7 * wanted.swap_load * full
        result["swaps_with_cache"] = swaps_under_load(
            site, [one], rankings, cores, count=few, per_second=load
        )
    with gateways(site, REPLICAS, cores, **nothing_kept) as replicas:
        each = 4 / 7 * wanted.swap_load * full / REPLICAS
        result["replicas"] = swaps_under_load(
            site, replicas, rankings, cores, count=min(10, swaps), per_second=each
        )
    if wanted.only_swaps:
        return result
    with gateways(site, 2, cores) as both:
        result["two_processes"] = [one.memory() for one in both]
    if wanted.uvloop is not None:
        result["loops"] = {
            "nothing_kept": loops(site, cores, wanted.uvloop, requests, seconds, **nothing_kept),
            "kept": loops(site, cores, wanted.uvloop, site.requests(0), seconds, **tokens),
        }
    result["peers"] = peers(site, cores, best, wanted.peers_pythons, seconds)
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
