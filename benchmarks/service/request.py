"""One forget request, watched through HTTP from its 202 to its end."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import quote

import httpx

from benchmarks.service.installation import Service
from benchmarks.service.watching import watch

_SUPPRESSION_SECONDS = 60.0
_ANSWER_SECONDS = 60.0
# The longest time that a run may take.
_DONE_SECONDS = 3600.0


def forget(service: Service, client: httpx.Client, user: str) -> dict[str, Any]:
    """Forget a user; how long it took and what was tried. The result does not name the user.

    Seconds count from the arrival of the 202. ``suppressed_seconds`` ends with the first answer of ``/recommend`` that
    is labelled as the fallback of a suppressed user. ``completed_seconds`` ends with the first check that finds the
    request completed; checks are `POLL_SECONDS` apart. The seconds of attempts are the service's own figures.

    Raises:
        ServiceUnmeasurable: the request was not accepted, or was not done within an hour.
    """
    try:
        response = client.post(f"/users/{quote(user, safe='')}/forget")
    except httpx.TransportError as error:
        raise service.failure("a forget request was not answered") from error
    accepted = time.perf_counter()
    if response.status_code != 202:
        raise service.failure(f"a forget request was answered with {response.status_code}, not 202")
    watch(
        service,
        lambda: client.get("/recommend", params={"user_id": user}),
        lambda answer: answer["fallback_reason"] == "suppressed" and not answer["personalised"],
        seconds=_SUPPRESSION_SECONDS,
        what="suppression",
    )
    suppressed = time.perf_counter()
    location = response.headers["Location"]
    request = watch(service, lambda: client.get(location), _is_over, seconds=_DONE_SECONDS, what="completion")
    over = time.perf_counter()
    attempts = _attempts(service, client, request["run"])
    return {
        "status": request["status"],
        "outcome": request["outcome"],
        "suppressed_seconds": suppressed - accepted,
        "completed_seconds": over - accepted if request["done"] else None,
        "published_by": published_by(attempts) if request["done"] else None,
        "attempts": attempts,
    }


def published_by(attempts: list[dict[str, Any]]) -> str | None:
    """The method whose candidate went live: the last accepted one, because a run that started over may have several."""
    return next((attempt["method"] for attempt in reversed(attempts) if attempt["accepted"]), None)


def _is_over(request: dict[str, Any]) -> bool:
    # A request that needs a person will not go on: no person is there.
    return request["done"] or request["status"] == "needs_attention"


def _attempts(service: Service, client: httpx.Client, run: str | None) -> list[dict[str, Any]]:
    if run is None:
        return []
    found = watch(service, lambda: client.get(run), lambda _: True, seconds=_ANSWER_SECONDS, what="GET /runs")
    return [
        {"method": attempt["method"], "seconds": attempt["seconds"], "accepted": attempt["accepted"]}
        for attempt in found["attempts"]
    ]
