"""How long a forget request takes through HTTP, on the embedded default: `lethe bench forget`.

A fresh installation is started as `lethe up` starts it: gateway and worker as processes, SQLite, and a broker without a
server. Users ask to be forgotten one after the other, while other users ask for recommendations at a steady rate. The
first request is for an unknown user and is not measured: when it is done, the levels are made and the worker has
started.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.bars import Reached, bars
from benchmarks.service.heading import heading
from benchmarks.service.installation import temporary_installation
from benchmarks.service.load import steady_load
from benchmarks.service.request import forget
from benchmarks.service.users import events_per_user, first_personalised, in_drawn_order
from benchmarks.service.watching import POLL_SECONDS

LOAD_PER_SECOND = 5.0
LOAD_USERS = 8
# An id that no user has.
_NOBODY = "nobody@lethe:bench~forget"


def run(
    data: Path | None = None, *, requests: int = 20, seed: int = 0, home: Path | None = None
) -> dict[str, Any]:
    """Measure `requests` requests, one user each; returns JSON values without user ids.

    Args:
        data: interactions; None for the demo's generated users.
        requests: number of forget requests, sent one after the other.
        seed: draws the users who are forgotten and those who ask for recommendations meanwhile.
        home: folder of an installation made from `data`; a copy of it is measured. None for a fresh one.

    Raises:
        ServiceUnmeasurable: the installation did not start or has too few users, or a request got stuck.
    """
    head = heading("forget", data)
    users = in_drawn_order(events_per_user(data), seed)
    with bars() as bar:
        come_up = bar("installation")
        with temporary_installation(data=data, home=home) as service, service.client() as client:
            chosen = first_personalised(service, client, users, requests + LOAD_USERS)
            forget(service, client, _NOBODY)
            come_up(Reached(1, 1))
            move = bar("forget requests")
            rows: list[dict[str, Any]] = []
            with steady_load(service, chosen[requests:], LOAD_PER_SECOND) as tally:
                for number, user in enumerate(chosen[:requests], start=1):
                    rows.append({"number": number, **forget(service, client, user)})
                    move(Reached(number, requests))
    return {
        **head,
        "requests": requests,
        "seed": seed,
        "poll_seconds": POLL_SECONDS,
        **summary(rows),
        "load": {"per_second": LOAD_PER_SECOND, **vars(tally)},
        "rows": rows,
    }


def summary(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Figures over all requests. Requests that were not completed are left out of the figures of completion."""
    return {
        **{name: spread([row[name] for row in rows]) for name in ("suppressed_seconds", "completed_seconds")},
        "completed": sum(row["completed_seconds"] is not None for row in rows),
        "published_by": dict(
            Counter(row["published_by"] for row in rows if row["published_by"]).most_common()
        ),
    }


def spread(seconds: Sequence[float | None]) -> dict[str, float | None]:
    """Median, 95th percentile and maximum. Each is one of the measured values (nearest rank)."""
    ordered = sorted(value for value in seconds if value is not None)
    if not ordered:
        return {"p50": None, "p95": None, "max": None}
    return {
        "p50": ordered[math.ceil(0.5 * len(ordered)) - 1],
        "p95": ordered[math.ceil(0.95 * len(ordered)) - 1],
        "max": ordered[-1],
    }
