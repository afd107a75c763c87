"""How long a user's personalised answers go on after the 202, seen through every replica."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.service.installation import Service
from benchmarks.service.timed import NO_ANSWER, Answers, percentiles

# Each replica is asked so often about a user, from so long before the forget request is due: rarely enough that the
# questions take little of the machine.
ASK_SECONDS = 0.1
_LEAD_SECONDS = 0.25
_SUPPRESSED_SECONDS = 60.0


@dataclass
class Seen:
    """What the replicas said about one user.

    ``personalised`` is when the last personalised answer arrived (`time.monotonic`), None if there was none.
    ``suppressed`` are the replicas whose last answer was the fallback of a suppressed user.
    """

    personalised: float | None = None
    suppressed: set[int] = field(default_factory=set)

    def note(self, replica: int, answer: Mapping[str, Any], now: float) -> None:
        if answer["personalised"]:
            self.personalised = now
            self.suppressed.discard(replica)
        elif answer["fallback_reason"] == "suppressed":
            self.suppressed.add(replica)


def summary(accepted: Mapping[str, float], seen: Mapping[str, Seen], replicas: int) -> dict[str, Any]:
    """Percentiles of the seconds from a user's 202 to the last personalised answer from any replica.

    An answer that arrived before the 202 counts as 0 seconds. The seconds are of users whose request was accepted, who
    were seen personalised, and whom all replicas then treated as suppressed; the others are counted.

    Args:
        accepted: when each user's 202 arrived; users without one are not in it.
        seen: what was answered about each user.
        replicas: how many were asked.
    """
    followed = {user: seen[user] for user in seen if user in accepted}
    suppressed = {user: one for user, one in followed.items() if len(one.suppressed) == replicas}
    seconds = [
        max(0.0, one.personalised - accepted[user])
        for user, one in suppressed.items()
        if one.personalised is not None
    ]
    return {
        "users": len(seen),
        "not_accepted": len(seen) - len(followed),
        "not_suppressed": len(followed) - len(suppressed),
        "never_personalised": len(suppressed) - len(seconds),
        "count": len(seconds),
        **percentiles(seconds),
    }


def follow(replicas: Sequence[Service], due: Mapping[str, float]) -> tuple[dict[str, Seen], Answers]:
    """Ask every replica about each user until all of them say that the user is suppressed, or a minute is over.

    Args:
        replicas: gateways on one database.
        due: when each user's forget request is due (`time.monotonic`).

    Returns:
        What was seen of each user, and the answers, whose seconds count from when each was asked.
    """
    seen, answers = {user: Seen() for user in due}, Answers()

    async def run() -> None:
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(replica.async_client()) for replica in replicas]
            await asyncio.gather(
                *(
                    _ask(client, number, user, due[user], seen[user], len(replicas), answers)
                    for user in due
                    for number, client in enumerate(clients)
                )
            )

    asyncio.run(run())
    return seen, answers


async def _ask(
    client: httpx.AsyncClient,
    replica: int,
    user: str,
    due: float,
    seen: Seen,
    replicas: int,
    answers: Answers,
) -> None:
    asked = due - _LEAD_SECONDS
    while len(seen.suppressed) < replicas and asked < due + _SUPPRESSED_SECONDS:
        await asyncio.sleep(max(0.0, asked - time.monotonic()))
        asked = time.monotonic()
        status = NO_ANSWER
        try:
            response = await client.get("/recommend", params={"user_id": user})
            status = str(response.status_code)
            if response.status_code == 200:
                seen.note(replica, response.json(), time.monotonic())
        except httpx.TransportError:
            pass
        answers.note(status, time.monotonic() - asked)
        asked += ASK_SECONDS
