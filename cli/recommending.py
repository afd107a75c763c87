"""`lethe recommend USER`: prints what the service recommends to this user, and why."""

from __future__ import annotations

from typing import Any

from cli.gateway_client import GatewayClient, checked_user

FALLBACKS = {
    "suppressed": "this user has asked to be forgotten",
    "unknown_user": "nothing is known of this user",
    "no_history": "this user's events could not be read; try again",
    "no_candidates": "nothing was found that the model could rank; try again, or name candidates",
    "stale_feed": "this replica has lost sight of who asks to be forgotten, and takes no chance",
    "no_version": "no version is live; lethe init makes one",
    "below_erasure_floor": "the version that is live may know somebody who was forgotten",
    "draining": "this replica is about to stop",
}


def recommend(gateway: GatewayClient, user_id: str, k: int) -> dict[str, Any]:
    return gateway.get("/recommend", user_id=checked_user(user_id), k=k)


def describe(answer: dict[str, Any]) -> list[str]:
    width = max((len(item["item_id"]) for item in answer["items"]), default=0)
    lines = [
        f"{place:>3}  {item['item_id']:<{width}}  {item['title']}"
        for place, item in enumerate(answer["items"], start=1)
    ]
    if answer["personalised"]:
        return [*lines, f"computed by version {answer['version'][:16]}, generation {answer['generation']}"]
    reason = answer["fallback_reason"]
    return [*lines, f"not personal, what is popular: {FALLBACKS.get(reason, reason)}"]
