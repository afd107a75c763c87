"""Whether the gate would let a re-fit through that serves the others as the trial fit does."""

from __future__ import annotations

from recommender.likeness import Figures, Likeness
from unlearning import Policy

_CHANCE = 0.5


def beyond_margins(likeness: Likeness, policy: Policy) -> str | None:
    """What to say of a trial fit that costs held-out users more than the policy's utility margins; None if it does not.

    A fit can come near an adapter in nats and rank worse by more than a run may cost the others. Exact re-fits are
    compared with the version that serves, so the first ones would be refused. What is observed counts here: the gate
    itself also asks how sure it is.
    """
    told = []
    lost = _relative_loss(likeness.operator, likeness.refit)
    if lost is not None and lost > policy.utility_margin:
        told.append(f"ranks held-out events {lost:.0%} worse (utility_margin {policy.utility_margin:.0%})")
    if likeness.held_out.mean > policy.held_out_margin:
        told.append(
            f"loses {likeness.held_out.mean:.2f} nats on held-out events (held_out_margin {policy.held_out_margin:.2f})"
        )
    if not told:
        return None
    return (
        f"note: the re-fit {' and '.join(told)}, and the policy's margins hold for exact re-fits too: the first "
        "requests may end as ladder_exhausted. Pass the recipe of your training with --recipe, start with a version "
        "that Lethe fits (without --adapter), or widen these margins in the policy"
    )


def _relative_loss(operator: Figures, refit: Figures) -> float | None:
    """By which share the ranking falls, as the gate measures it: NDCG@10, or what the AUC adds to chance."""
    if operator.ndcg_at_10 is not None and refit.ndcg_at_10 is not None:
        before, after = operator.ndcg_at_10, refit.ndcg_at_10
    elif operator.auc is not None and refit.auc is not None:
        before, after = operator.auc - _CHANCE, refit.auc - _CHANCE
    else:
        return None
    return 1.0 - after / before if before > 0 else None
