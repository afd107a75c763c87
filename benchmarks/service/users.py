"""The users whom a measurement through HTTP may forget."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import httpx

from benchmarks.service.installation import Service
from benchmarks.service.watching import watch
from recommender import SyntheticConfig, generate_synthetic, load_interactions

# A fit reads only users with at least so many events. Others leave nothing to unlearn.
ENOUGH_EVENTS = 3
_ANSWER_SECONDS = 60.0
# All other fallback reasons are temporary: the next answer may be personalised.
_ABOUT_THE_USER = ("suppressed", "unknown_user", "no_history")


def events_per_user(data: Path | None) -> dict[str, int]:
    """How many interactions each user has, in `data` or among the demo's generated users, as `lethe up` reads them."""
    found = generate_synthetic(SyntheticConfig()) if data is None else load_interactions(data)
    return {user: len(history) for user, history in found.histories.items()}


def in_drawn_order(events: Mapping[str, int], seed: int) -> list[str]:
    """Users with at least `ENOUGH_EVENTS` interactions, in an order that depends on the seed alone."""
    enough = sorted(user for user, count in events.items() if count >= ENOUGH_EVENTS)
    return random.Random(seed).sample(enough, len(enough))


def first_personalised(service: Service, client: httpx.Client, users: Sequence[str], count: int) -> list[str]:
    """The first `count` users who get personalised answers, and so have not been forgotten.

    Raises:
        ServiceUnmeasurable: there are fewer such users.
    """
    found: list[str] = []
    for user in users:
        answer = watch(
            service,
            partial(client.get, "/recommend", params={"user_id": user}),
            lambda answer: answer["personalised"] or answer["fallback_reason"] in _ABOUT_THE_USER,
            seconds=_ANSWER_SECONDS,
            what="an answer about a user",
        )
        if answer["personalised"]:
            found.append(user)
        if len(found) == count:
            return found
    raise service.failure(
        f"{count} users with {ENOUGH_EVENTS} interactions are needed and the service knows {len(found)}: ask for "
        "fewer requests, or give the data that the installation was made from"
    )
