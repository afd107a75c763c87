"""What is sent is what may be sent at that moment, whatever had been computed before (invariant I2)."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from typing import Any

from fastapi.testclient import TestClient
from starlette.types import Message

from app.gateway import Gateway
from app.recommendations.endpoints import RecommendationResponse
from tests.integration.tiny_model import subject_of


def sent(response: RecommendationResponse) -> tuple[dict[str, str], dict[str, Any]]:
    messages: list[Message] = []

    async def send(message: Message) -> None:
        messages.append(message)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    asyncio.run(response({"type": "http"}, receive, send))
    start, body = messages
    return {name.decode(): value.decode() for name, value in start["headers"]}, json.loads(body["body"])


def test_whoever_asks_to_be_forgotten_between_computing_and_sending_gets_the_fallback(
    client: TestClient,
) -> None:
    gateway: Gateway = client.app.state.gateway  # type: ignore[attr-defined]
    subject = subject_of("user-1")
    answer = gateway.engine.recommend(subject, [1, 2, 3], 5)
    response = RecommendationResponse(answer, partial(gateway.engine.last_look, subject))
    headers, body = sent(response)
    assert (body["personalised"], headers["lethe-version"]) == (True, body["version"])
    assert int(headers["content-length"]) > 0
    late = RecommendationResponse(answer, partial(gateway.engine.last_look, subject))
    gateway.engine.suppress(1, subject)
    headers, body = sent(late)
    assert (body["personalised"], body["fallback_reason"]) == (False, "suppressed")
    assert headers["lethe-version"] == body["version"]
    assert headers["cache-control"] == "private, no-store"
