"""A service of short histories whose users all ask to be forgotten, in batches, through HTTP: `lethe bench everybody`.

Most users of an ordinary shop have a handful of events. This benchmark measures outcomes, not time. Each request must
be completed, as `erased` or, if that is true, as `no_data`. Nobody who has asked may get a personalised answer. When
the last user has left, no version may be live and the gateway must still be ready.
"""

from __future__ import annotations

import csv
import random
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from benchmarks.bars import Reached, bars
from benchmarks.service.gateway import set_up
from benchmarks.service.heading import service_environment
from benchmarks.service.installation import Service
from benchmarks.service.request import published_by
from benchmarks.service.watching import watch
from recommender import SyntheticConfig, generate_synthetic

USERS = 1500
# The share of users with fewer than five events, about as in public shop data before the usual 5-core filter.
SHORT_SHARE, SHORT_EVENTS = 0.74, 4
# Batches in the order in which users ask, as shares of all users. One user comes before them, the others after them.
BATCH_SHARES = (0.042, 0.267)
_ANSWER_SECONDS = 60.0
_DONE_SECONDS = 4 * 3600.0
# One check looks at hundreds of requests, which take minutes to complete.
_BETWEEN_LOOKS_SECONDS = 1.0


def run(*, users: int = USERS, seed: int = 0) -> dict[str, Any]:
    """Make the data, fit, and ask to forget everybody; returns JSON values without user ids.

    Args:
        users: how many users the service has; at least 4.
        seed: draws the data and the order in which users ask.

    Raises:
        ServiceUnmeasurable: the service did not start, or a batch was not over within four hours.
    """
    header = service_environment()
    rows: list[dict[str, Any]] = []
    with bars() as bar, tempfile.TemporaryDirectory(prefix="lethe-bench-data-") as folder:
        come_up = bar("installation")
        events = write_short_histories(Path(folder), users, seed)
        with set_up(Path(folder)) as site, site.running("worker") as service, service.client() as client:
            come_up(Reached(1, 1))
            move = bar("batches")
            asked: list[str] = []
            batches = in_batches(sorted(events), seed)
            for number, batch in enumerate(batches, start=1):
                asked += batch
                rows.append({"batch": number, **_forget_together(service, client, batch)})
                rows[-1]["personalised_after"] = _personalised(service, client, asked)
                move(Reached(number, len(batches)))
            end = {"live": _live(service, client), "readyz": client.get("/readyz").status_code}
    return {
        "benchmark": "everybody",
        "environment": header,
        "users": users,
        "fewer_than_five_events": sum(count <= SHORT_EVENTS for count in events.values()),
        "seed": seed,
        "end": {"live": end["live"] is not None, "readyz": end["readyz"]},
        "rows": rows,
    }


def write_short_histories(folder: Path, users: int, seed: int) -> dict[str, int]:
    """Write `interactions.csv` and `items.csv`. User ids look like those of identity providers.

    Returns:
        How many events each user has.
    """
    random_ = random.Random(seed)
    data = generate_synthetic(SyntheticConfig(users=users, seed=seed))
    events = {}
    with (folder / "interactions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["user_id", "item_id", "timestamp"])
        for number, history in enumerate(data.histories.values()):
            user = f"auth0|person {number}+x@example"
            length = random_.randint(1, SHORT_EVENTS) if random_.random() < SHORT_SHARE else len(history)
            events[user] = length
            writer.writerows(
                [user, data.catalogue.item_ids[event.item], event.timestamp] for event in history[:length]
            )
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "title"])
        writer.writerows(zip(data.catalogue.item_ids, data.catalogue.titles, strict=True))
    return events


def in_batches(users: Sequence[str], seed: int) -> list[list[str]]:
    """All users in a random order, split into one user, batches of `BATCH_SHARES`, and the rest."""
    drawn = random.Random(seed).sample(users, len(users))
    ends = [1]
    for share in BATCH_SHARES:
        ends.append(ends[-1] + max(1, round(share * len(users))))
    return [drawn[start:end] for start, end in zip([0, *ends], [*ends, len(users)], strict=True)]


def _forget_together(service: Service, client: httpx.Client, users: Sequence[str]) -> dict[str, Any]:
    """Send a forget request for each user at once, and wait until every request is over."""
    started = time.monotonic()
    accepted, waiting = Counter[str](), []
    for user in users:
        response = client.post("/forget-requests", json={"user_id": user})
        accepted[str(response.status_code)] += 1
        waiting.append(response.headers.get("Location", ""))
    over: list[dict[str, Any]] = []
    while waiting:
        if time.monotonic() - started > _DONE_SECONDS:
            raise service.failure(f"{len(waiting)} of {len(users)} requests were not over")
        time.sleep(_BETWEEN_LOOKS_SECONDS)
        found = {location: _answer(service, client, location) for location in waiting}
        ended = {
            location for location, one in found.items() if one["done"] or one["status"] == "needs_attention"
        }
        over += [found[location] for location in waiting if location in ended]
        waiting = [location for location in waiting if location not in ended]
    seconds = time.monotonic() - started
    runs = sorted({one["run"] for one in over if one["run"] is not None})
    methods = Counter(
        published_by(_answer(service, client, run_)["attempts"]) or "no edit needed" for run_ in runs
    )
    return {
        "requests": len(users),
        "accepted": dict(accepted),
        "outcomes": dict(Counter(one["outcome"] or one["detail_code"] or one["status"] for one in over)),
        "runs": len(runs),
        "published_by": dict(methods.most_common()),
        "seconds": seconds,
    }


def _answer(service: Service, client: httpx.Client, path: str) -> dict[str, Any]:
    return watch(
        service, partial(client.get, path), lambda _: True, seconds=_ANSWER_SECONDS, what=f"GET {path}"
    )


def _personalised(service: Service, client: httpx.Client, users: Sequence[str]) -> int:
    """How many of these users get a personalised answer."""
    answers = (
        watch(
            service,
            partial(client.get, "/recommend", params={"user_id": user}),
            lambda _: True,
            seconds=_ANSWER_SECONDS,
            what="an answer about a user",
        )
        for user in users
    )
    return sum(answer["personalised"] for answer in answers)


def _live(service: Service, client: httpx.Client) -> str | None:
    live: str | None = _answer(service, client, "/adapters")["live"]
    return live
