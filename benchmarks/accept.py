"""How long a forget request waits to be accepted, beside other work or trouble: `lethe bench accept`.

Most users who ask to be forgotten are unknown to the service, which treats them like any other user. Seconds count from
the moment at which a request was due to be sent.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.accept_on_replicas import accept_on_replicas
from benchmarks.bars import Reached, bars
from benchmarks.service.gateway import Site, set_up
from benchmarks.service.hanging_server import hanging_server
from benchmarks.service.heading import heading
from benchmarks.service.installation import Service
from benchmarks.service.own_database import chosen_database, kind_of
from benchmarks.service.timed import (
    ALONE_SECONDS,
    RECOMMENDATIONS_PER_SECOND,
    RECOMMENDED_USERS,
    Answers,
    recommendations,
)
from benchmarks.service.users import events_per_user, first_personalised, in_drawn_order

BESIDE = ("import", "hanging-broker", "recommendations")
IMPORTERS = 8
EVENTS = 10_000
_USERS_PER_IMPORT = 100
FORGETS = 200
FORGETS_PER_SECOND = 20.0
BURSTS, BURST = 5, 60
# Longer than the service's timeout for its broker.
BETWEEN_BURSTS_SECONDS = 5.0
REPLICAS = 3
REPLICAS_FORGETS_PER_SECOND = 50.0


def run(
    beside: Sequence[str],
    databases: Sequence[str] = ("sqlite",),
    *,
    data: Path | None = None,
    home: Path | None = None,
    seed: int = 0,
    forgets: int = FORGETS,
    replicas: int = REPLICAS,
    per_second: Sequence[float] = (REPLICAS_FORGETS_PER_SECOND,),
) -> dict[str, Any]:
    """Measure each of `beside` on each database; returns JSON values without user ids.

    Args:
        beside: keys of `BESIDE`.
        databases: ``sqlite``, ``postgresql`` (the server on this machine), or the URL of a PostgreSQL server.
        data: interactions; None for the demo's generated users.
        home: folder of an installation made from `data`, whose base is used again.
        seed: draws the users who ask for recommendations.
        forgets: number of forget requests during imports, and on average beside recommendations.
        replicas: number of gateways beside recommendations.
        per_second: forget requests a second beside recommendations; each rate is a run.

    Raises:
        ServiceUnmeasurable: a service did not start, or knows too few users.
    """
    head = heading("accept", data)
    drawn = in_drawn_order(events_per_user(data), seed)
    runs: list[dict[str, Any]] = []
    with bars() as bar:
        for database in databases:
            move = bar(f"accepting on {kind_of(database)}")
            with chosen_database(database) as url, set_up(data, home=home, database_url=url) as site:
                for number, name in enumerate(beside, start=1):
                    if name == "import":
                        measured = [_beside_imports(site, drawn, forgets)]
                    elif name == "hanging-broker":
                        measured = [_beside_a_hanging_broker(site, drawn)]
                    else:
                        measured = [
                            accept_on_replicas(site, drawn, forgets, replicas, rate, seed)
                            for rate in per_second
                        ]
                    runs += [{"beside": name, "database": kind_of(database), **one} for one in measured]
                    move(Reached(number, len(beside)))
    return {
        **head,
        "seed": seed,
        "runs": runs,
    }


def _beside_imports(site: Site, drawn: Sequence[str], forgets: int) -> dict[str, Any]:
    """Send forget requests at a steady rate while every importer sends one full batch after the other."""
    with site.running("worker") as service, service.client() as client:
        users = first_personalised(service, client, drawn, RECOMMENDED_USERS)
        items = [
            item["item_id"] for item in client.get("/recommend", params={"user_id": users[0]}).json()["items"]
        ]
        with recommendations(users, RECOMMENDATIONS_PER_SECOND, service) as alone:
            time.sleep(ALONE_SECONDS)
        with (
            recommendations(users, RECOMMENDATIONS_PER_SECOND, service) as meanwhile,
            _imports(service, items) as imports,
        ):
            accepted = _forget(service, [number / FORGETS_PER_SECOND for number in range(forgets)])
    return {
        "forgets": accepted.summary(),
        "recommendations": {"without": alone.summary(), "with": meanwhile.summary()},
        "imports": {"clients": IMPORTERS, "events": EVENTS, **imports.summary()},
    }


def _beside_a_hanging_broker(site: Site, drawn: Sequence[str]) -> dict[str, Any]:
    """Send bursts of forget requests during a steady load, with the usual broker and with one that hangs."""
    measured = {}
    with hanging_server() as broker:
        for name, settings in (
            ("without", {}),
            ("with", {"LETHE_BROKER_URL": f"redis://127.0.0.1:{broker.port}/0"}),
        ):
            with site.running(**settings) as service, service.client() as client:
                users = first_personalised(service, client, drawn, RECOMMENDED_USERS)
                with recommendations(users, RECOMMENDATIONS_PER_SECOND, service) as meanwhile:
                    dues = [burst * BETWEEN_BURSTS_SECONDS for burst in range(BURSTS) for _ in range(BURST)]
                    measured[name] = (_forget(service, dues), meanwhile)
                    time.sleep(BETWEEN_BURSTS_SECONDS)
    return {
        "forgets": measured["with"][0].summary(),
        "forgets_without": measured["without"][0].summary(),
        "recommendations": {name: meanwhile.summary() for name, (_, meanwhile) in measured.items()},
    }


def _forget(service: Service, dues: Sequence[float]) -> Answers:
    """Send one request at each of these seconds from now, without waiting for the answers to earlier ones."""
    answers, started, sent = Answers(), time.monotonic(), []
    with service.client() as client, ThreadPoolExecutor(BURST) as pool:
        for number, due in enumerate(dues):
            time.sleep(max(0.0, started + due - time.monotonic()))
            # The ids differ between processes and runs.
            nobody = f"nobody:{started}:{number}"
            body = {"user_id": nobody}
            sent.append(
                pool.submit(answers.send, client, "POST", "/forget-requests", started + due, json=body)
            )
    for one in sent:
        one.result()
    return answers


@contextmanager
def _imports(service: Service, items: Sequence[str]) -> Iterator[Answers]:
    """Import until the block is left. Every importer sends at least one batch and finishes the one it has begun."""
    answers, stop = Answers(), threading.Event()
    # Build the batch before measuring, because this takes processor time. The user ids are filled in later.
    batch = _batch(items)

    def import_(importer: int) -> None:
        with service.client(timeout=120) as client:
            sent = 0
            while sent == 0 or not stop.is_set():
                body = batch.replace(_WHO, f"importer-{importer}-{sent}")
                answers.send(client, "POST", "/interactions", time.monotonic(), content=body, headers=_JSON)
                sent += 1

    with ThreadPoolExecutor(IMPORTERS) as pool:
        importing = [pool.submit(import_, importer) for importer in range(IMPORTERS)]
        try:
            yield answers
        finally:
            stop.set()
        for one in importing:
            one.result()


_JSON = {"Content-Type": "application/json"}
_WHO = "@importer@"


def _batch(items: Sequence[str]) -> str:
    events = [
        {
            "user_id": f"{_WHO}-{number % _USERS_PER_IMPORT}",
            "item_id": items[number % len(items)],
            "timestamp": 1_700_000_000 + number,
        }
        for number in range(EVENTS)
    ]
    return json.dumps({"interactions": events})
