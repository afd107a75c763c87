"""The list of methods: `lethe bench unlearn --list-methods`."""

from __future__ import annotations

from typing import Any

from unlearning import METHODS, build_method
from unlearning.methods.registry import RECOMMENDED
from unlearning.records import to_plain


def listing() -> dict[str, Any]:
    """Every method of the registry as JSON values."""
    return {"benchmark": "list-methods", "methods": [_described(name) for name in METHODS]}


def _described(name: str) -> dict[str, Any]:
    method = build_method(name)
    card = method.card
    return {
        "name": name,
        "title": card.title,
        "paper": card.paper,
        "cost_class": card.cost_class,
        "exact": card.exact,
        "control": card.control,
        "recommended": name == RECOMMENDED,
        "published_defaults": card.published_defaults,
        "reconstruction": card.reconstruction,
        "defaults": to_plain(method.config),
    }
