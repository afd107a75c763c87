"""How long forget requests wait to be accepted, and personalised answers go on, where several gateways serve.

No worker runs: requests are accepted and users suppressed without one.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from benchmarks.serve.open_loop import BROKEN, Outcome, Plan
from benchmarks.serve.processes import send
from benchmarks.service.gateway import Site
from benchmarks.service.installation import Service
from benchmarks.service.suppression import ASK_SECONDS, follow, summary
from benchmarks.service.timed import (
    ALONE_SECONDS,
    NO_ANSWER,
    RECOMMENDATIONS_PER_SECOND,
    RECOMMENDED_USERS,
    Answers,
    recommendations,
)
from benchmarks.service.users import first_personalised

# One of so many requests is of a user whom the service knows, and who is followed at every replica.
ONE_FOLLOWED_OF = 20
ACCEPTED = 202
_CONNECTIONS = 32
# Until the processes that send have started.
_START_SECONDS = 5.0


def accept_on_replicas(
    site: Site, drawn: Sequence[str], forgets: int, replicas: int, per_second: float, seed: int
) -> dict[str, Any]:
    """Send forget requests of different users to all replicas, in an open loop, beside recommendations.

    Args:
        site: an installation.
        drawn: users, of whom the first that get personalised answers are used.
        forgets: number of requests, on average: arrivals are a Poisson process.
        replicas: number of gateways.
        per_second: rate of the requests, over all gateways.
        seed: draws the arrivals.

    Raises:
        ServiceUnmeasurable: a gateway or a client failed, or there are too few users.
    """
    with site.replicas(replicas) as gateways, gateways[0].client() as client:
        plans = [
            _plan(gateway, forgets / per_second, per_second / replicas, seed * replicas + number)
            for number, gateway in enumerate(gateways)
        ]
        places = followed_places([sum(1 for _ in plan.due()) for plan in plans])
        users = first_personalised(gateways[0], client, drawn, RECOMMENDED_USERS + len(places))
        followed = dict(zip(places, users[RECOMMENDED_USERS:], strict=True))
        users = users[:RECOMMENDED_USERS]
        with recommendations(users, RECOMMENDATIONS_PER_SECOND, *gateways) as alone:
            time.sleep(ALONE_SECONDS)
        start, load = time.monotonic() + _START_SECONDS, os.getloadavg()[0]
        plans = [
            _with_requests(plan, number, gateways[number], followed, start)
            for number, plan in enumerate(plans)
        ]
        due = {
            followed[number, place]: start + after
            for number, plan in enumerate(plans)
            for place, after in enumerate(plan.due())
            if (number, place) in followed
        }
        with (
            recommendations(users, RECOMMENDATIONS_PER_SECOND, *gateways) as meanwhile,
            ThreadPoolExecutor(replicas) as pool,
        ):
            sent = [pool.submit(send, plan) for plan in plans]
            seen, asked = follow(gateways, due)
            asking = time.monotonic() - start
            outcomes = [one.result() for one in sent]
        loads = [load, os.getloadavg()[0]]
    forgot = answered(outcomes)
    return {
        "replicas": replicas,
        "forgets_per_second": {
            "wanted": per_second,
            "reached": len(forgot.seconds) / max(outcome.lasted for outcome in outcomes),
        },
        "forgets": forgot.summary(),
        "recommendations": {"without": alone.summary(), "with": meanwhile.summary()},
        "asked": {"every_seconds": ASK_SECONDS, "per_second": len(asked.seconds) / asking, **asked.summary()},
        "suppression": summary(accepted_at(outcomes, followed), seen, replicas),
        "load": loads,
    }


def followed_places(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Which requests are of users who are followed: (plan, place in it), from the number of requests of each plan."""
    return [
        (number, place) for number, count in enumerate(counts) for place in range(0, count, ONE_FOLLOWED_OF)
    ]


def accepted_at(outcomes: Sequence[Outcome], followed: Mapping[tuple[int, int], str]) -> dict[str, float]:
    """When the 202 of each followed user arrived; users who got none are left out."""
    return {
        followed[number, place]: ended
        for number, outcome in enumerate(outcomes)
        for place, status, ended in zip(outcome.sent, outcome.statuses, outcome.ended, strict=True)
        if status == ACCEPTED and (number, place) in followed
    }


def answered(outcomes: Sequence[Outcome]) -> Answers:
    """All answers, whichever gateway gave them."""
    statuses = (status for outcome in outcomes for status in outcome.statuses)
    return Answers(
        Counter(NO_ANSWER if status == BROKEN else str(status) for status in statuses),
        [seconds for outcome in outcomes for seconds in outcome.seconds],
    )


def _plan(gateway: Service, seconds: float, per_second: float, seed: int) -> Plan:
    address = urlsplit(gateway.url)
    assert address.hostname is not None
    assert address.port is not None
    return Plan(address.hostname, address.port, (), _CONNECTIONS, seconds, per_second, seed)


def _with_requests(
    plan: Plan, number: int, gateway: Service, followed: Mapping[tuple[int, int], str], start: float
) -> Plan:
    """The plan with one request for each of its arrivals: no user asks twice."""
    # The ids of unknown users differ between processes and runs.
    users = [
        followed.get((number, place), f"nobody:{start}:{number}:{place}")
        for place, _ in enumerate(plan.due())
    ]
    return replace(plan, requests=[_request(gateway, user) for user in users], start=start)


def _request(gateway: Service, user: str) -> str:
    body = json.dumps({"user_id": user})
    head = {
        "Host": urlsplit(gateway.url).netloc,
        **gateway.headers,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return f"POST /forget-requests HTTP/1.1\r\n{lines}\r\n{body}"
