"""Recommendations in plain words."""

from __future__ import annotations

from typing import get_args

from app.serving import FallbackReason
from cli import recommending


def test_recommendations_name_what_has_computed_them() -> None:
    items = [
        {"item_id": "i7", "title": "Seven", "score": 1.0},
        {"item_id": "i12", "title": "Twelve", "score": 0.5},
    ]
    answer = {
        "items": items,
        "personalised": True,
        "fallback_reason": None,
        "version": "ab" * 32,
        "generation": 3,
    }
    assert recommending.describe(answer) == [
        "  1  i7   Seven",
        "  2  i12  Twelve",
        "computed by version abababababababab, generation 3",
    ]


def test_every_reason_for_a_fallback_has_words() -> None:
    assert recommending.FALLBACKS.keys() == set(get_args(FallbackReason))
    answer = {"items": [], "personalised": False, "fallback_reason": "suppressed", "version": "fallback:x"}
    assert recommending.describe(answer) == [
        "not personal, what is popular: this user has asked to be forgotten"
    ]
