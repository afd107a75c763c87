"""Examples of bodies and answers, by the operation's name. The OpenAPI document shows them."""

from __future__ import annotations

from typing import Any

from app.api_examples import batches, evidence, forget_requests, items, opendsr, service, telling

BODIES: dict[str, Any] = (
    forget_requests.BODIES | batches.BODIES | service.BODIES | telling.BODIES | opendsr.BODIES | items.BODIES
)
ANSWERS: dict[str, Any] = {
    **forget_requests.ANSWERS,
    **batches.ANSWERS,
    **evidence.ANSWERS,
    **service.ANSWERS,
    **telling.ANSWERS,
    **opendsr.ANSWERS,
    **items.ANSWERS,
}
