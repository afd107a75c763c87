"""Other servers around the same model: each with its best waiting window, or why it was left out."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.serve.processes import Cores, rates, server
from benchmarks.serve.site import ServeSite
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.installation import free_port

# How many items an answer has: many numbers, so that few requests of a run are the same.
LENGTHS = range(5, 45)


@dataclass(frozen=True)
class Peer:
    """How a server is started and asked.

    Args:
        name: of its Python package, and of our module in `benchmarks.serve.peers`.
        windows: the settings that are tried, in seconds: how long a batch waits for more requests. For BentoML, which
            learns that by itself, the longest latency, beyond which it refuses.
        path, ready: where it ranks, and where it says that it is ready.
        parameter: the field of the body that holds a batch, where it wants one.
    """

    name: str
    windows: tuple[str, ...]
    path: str = "/predict"
    ready: str = "/health"
    parameter: str | None = None

    def command(self, python: str, port: int) -> list[str]:
        module = f"benchmarks.serve.peers.{self.name}_server"
        if self.name == "bentoml":
            address = ["--host", "127.0.0.1", "--port", str(port)]
            return [python, "-m", "bentoml", "serve", f"{module}:Ranking", *address]
        address = ["--port", str(port), "--address", "127.0.0.1"] if self.name == "mosec" else []
        return [python, "-m", module, *address]


_WINDOWS = ("0.001", "0.005", "0.02")
FASTAPI = Peer("fastapi", ())
OTHERS = (
    Peer("litserve", _WINDOWS),
    Peer("mosec", _WINDOWS, path="/inference", ready="/"),
    Peer("bentoml", ("0.5", "2", "10"), ready="/readyz", parameter="bodies"),
)


def peers(
    site: ServeSite, cores: Cores, batch: int, pythons: Sequence[Path], seconds: float
) -> list[dict[str, Any]]:
    """Each peer with its best window, or why it was left out.

    Args:
        batch: the largest batch.
        pythons: interpreters; a peer runs in the first that has it.
    """
    rows = [_measured(FASTAPI, site, cores, batch, sys.executable, seconds, None)]
    for peer in OTHERS:
        if not pythons:
            rows.append({"peer": peer.name, "left_out": "no --peers-python"})
            continue
        python = next((str(one) for one in pythons if _has(one, peer.name)), None)
        if python is None:
            rows.append({"peer": peer.name, "left_out": "not installed there"})
            continue
        try:
            tried = [_measured(peer, site, cores, batch, python, seconds, window) for window in peer.windows]
        except ServiceUnmeasurable as problem:
            rows.append({"peer": peer.name, "left_out": f"it did not start: {problem}"})
        else:
            rows.append(best(tried))
    return rows


def best(tried: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The settings with the most answers. One that refuses requests is taken only if all do: refusals are quick."""
    return max(tried, key=lambda row: (not row["not_200"], row["per_second"]))


def _has(python: Path, package: str) -> bool:
    found = subprocess.run([python, "-c", f"import {package}"], capture_output=True, check=False)
    return not found.returncode


def _measured(
    peer: Peer,
    site: ServeSite,
    cores: Cores,
    batch: int,
    python: str,
    seconds: float,
    window: str | None,
) -> dict[str, Any]:
    port = free_port()
    variables = {
        "PEER_PORT": str(port),
        "PEER_BATCH": str(batch),
        "PEER_BASE": str(site.base),
        "PEER_STORE": site.environment["LETHE_STORE_URL"],
        "PEER_VERSION": site.versions[0],
        **({} if window is None else {"PEER_WINDOW": window}),
        "BENTOML_HOME": str(site.folder / "bentoml"),
        "BENTOML_DO_NOT_TRACK": "True",
    }
    requests = [
        request for k in LENGTHS for request in site.bare_requests(peer.path, k, parameter=peer.parameter)
    ]
    log = site.folder / f"{peer.name}.log"
    with server(peer.command(python, port), port, peer.ready, log, cores.server, variables) as one:
        return {"peer": peer.name, "window_seconds": window, **rates(one, requests, cores, seconds)}
