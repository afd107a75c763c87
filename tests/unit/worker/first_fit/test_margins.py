"""A trial fit can come near in nats, and still cost the others more than the gate lets a re-fit cost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from recommender.likeness import Difference, Figures, Likeness
from unlearning import default_policy
from worker.first_fit.margins import beyond_margins


def likeness(*, ndcg: float | None = None, auc: float | None = None, held_out: float = 0.0) -> Likeness:
    def figures(ranking: float | None, label: float | None) -> Figures:
        return Figures(2.0, 3.0, ranking, ranking, label)

    return Likeness(
        users=50,
        base=figures(None if ndcg is None else 0.1, None if auc is None else 0.5),
        operator=figures(None if ndcg is None else 0.4, None if auc is None else 0.7),
        refit=figures(ndcg, auc),
        training=Difference(0.0, 0.01, 0.1),
        held_out=Difference(held_out, 0.01, 0.5),
    )


@pytest.mark.parametrize(
    "found",
    [
        likeness(ndcg=0.4),
        likeness(ndcg=0.361),
        likeness(ndcg=0.5, held_out=-1.0),
        likeness(auc=0.681),
        likeness(auc=0.7, held_out=0.1),
    ],
)
def test_within_the_margins_nothing_is_said(found: Likeness) -> None:
    assert found.near
    assert beyond_margins(found, default_policy()) is None


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (likeness(ndcg=0.34), "ranks held-out events 15% worse (utility_margin 10%)"),
        (likeness(auc=0.66), "ranks held-out events 20% worse"),
        (likeness(ndcg=0.4, held_out=0.2), "loses 0.20 nats on held-out events (held_out_margin 0.10)"),
    ],
)
def test_a_near_fit_beyond_a_margin_is_told(found: Likeness, words: str) -> None:
    assert found.near
    said = beyond_margins(found, default_policy())
    assert said is not None
    assert words in said
    assert "ladder_exhausted" in said


def test_wider_margins_are_those_that_count() -> None:
    wide = replace(default_policy(), utility_margin=0.5, held_out_margin=0.5, wide_held_out_margin=0.5)
    assert beyond_margins(likeness(ndcg=0.34, held_out=0.2), wide) is None
