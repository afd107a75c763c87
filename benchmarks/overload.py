"""How a flood by a client without a key affects a gateway's other callers: `lethe bench overload`.

The flood holds half-sent requests open, and opens them again ten seconds after the gateway has closed them. It sends
all bodies at once, each over its own connection. Memory is the largest resident set of the gateway that was seen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.bars import Reached, bars
from benchmarks.service.errors import ServiceUnmeasurable
from benchmarks.service.gateway import set_up
from benchmarks.service.heading import heading
from benchmarks.service.installation import CODE, Service
from benchmarks.service.timed import recommendations
from benchmarks.service.users import events_per_user, first_personalised, in_drawn_order

HALF_OPEN = 2000
BODIES = 500
BODY_BYTES = 16 * 2**20
SECONDS = 60.0
RECOMMENDED_USERS = 8
RECOMMENDATIONS_PER_SECOND = 20.0
_SAMPLE_SECONDS = 0.1


def run(
    *,
    data: Path | None = None,
    home: Path | None = None,
    seed: int = 0,
    half_open: int = HALF_OPEN,
    bodies: int = BODIES,
    seconds: float = SECONDS,
) -> dict[str, Any]:
    """Measure one gateway without and with a flood; returns JSON values without user ids.

    Args:
        data: interactions; None for the demo's generated users.
        home: folder of an installation made from `data`, whose base is used again.
        seed: draws the users who ask for recommendations.
        half_open: number of half-sent requests.
        bodies: number of bodies, each larger than the gateway accepts.
        seconds: length of each of the two measurements.

    Raises:
        ServiceUnmeasurable: the service did not start, or this system does not report a process's memory.
    """
    head = heading("overload", data)
    drawn = in_drawn_order(events_per_user(data), seed)
    with (
        bars() as bar,
        set_up(data, home=home) as site,
        site.running() as service,
        service.client() as client,
    ):
        move = bar("overload")
        users = first_personalised(service, client, drawn, RECOMMENDED_USERS)
        # Warm up: the first answers of a process allocate memory that stays.
        _measure(service, users, min(seconds, 10.0))
        without = _measure(service, users, seconds)
        move(Reached(1, 2))
        with _flood(service, half_open, bodies) as flood:
            beside = _measure(service, users, seconds)
        service.check()
        move(Reached(2, 2))
    return {
        **head,
        "seed": seed,
        "seconds": seconds,
        "flood": {"half_open": half_open, **flood},
        "measured": {"without": without, "with": beside},
    }


def _measure(service: Service, users: Sequence[str], seconds: float) -> dict[str, Any]:
    log_before, largest = service.log_bytes(), 0
    with recommendations(users, RECOMMENDATIONS_PER_SECOND, service) as answers:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            largest = max(largest, _resident_bytes(service.pid))
            time.sleep(_SAMPLE_SECONDS)
    return {
        "resident_bytes": largest,
        "log_bytes": service.log_bytes() - log_before,
        "recommendations": answers.summary(),
    }


def _resident_bytes(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError as error:
        raise ServiceUnmeasurable(
            "this system does not tell how much memory a process has (/proc)"
        ) from error
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) * 1024


@contextmanager
def _flood(service: Service, half_open: int, bodies: int) -> Iterator[dict[str, Any]]:
    """Flood until the block is left. After that, the yielded dictionary holds the flood's own figures."""
    port = urlsplit(service.url).port
    said: dict[str, Any] = {}
    arguments = [str(number) for number in (port, half_open, bodies, BODY_BYTES)]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.service.flood", *arguments],
        cwd=CODE,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield said
            written, _ = process.communicate(timeout=120)
            said.update(json.loads(written))
        finally:
            if process.poll() is None:
                process.kill()
