"""What a candidate took from everybody else, by ranking and by likelihood: the gate's part that needs no subject."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from unlearning import checks
from unlearning.evaluation.report import Report
from unlearning.evaluation.retained import RetainedReport
from unlearning.policy import Policy
from unlearning.verdict import Reason

UTILITY = "relative_change_of_held_out_ndcg@10"


def utility_reasons(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, Reason]:
    """What the service is for, and the likelihoods behind it.

    Where too few users have a hit at 10 to tell, a candidate whose held-out likelihoods are shown to be as good has
    shown what it can: then the first is on record and does not bind, unless it fails.
    """
    ranking, likelihood = _ranking_utility(report, policy), checks.held_out_loss(report.held_out, policy)
    if ranking.passed is None and likelihood.passed:
        ranking = replace(ranking, binding=False)
    return ranking, likelihood


def _ranking_utility(report: Report | RetainedReport, policy: Policy) -> Reason:
    users = sum(outcome.count for outcome in report.utility)
    floor = -policy.utility_margin
    if users < policy.min_utility_users:
        return Reason(
            UTILITY,
            None,
            floor,
            None,
            None,
            f"{users} retained users; the policy needs {policy.min_utility_users}",
        )
    if not any(outcome.parent > 0 for outcome in report.utility):
        return Reason(UTILITY, None, floor, None, None, "the parent has no hit at 10 to lose")
    low, observed, high = bootstrap_bounds(report, policy)
    bounds = f"{policy.utility_confidence:.0%} one-sided bounds {low:+.3f} and {high:+.3f}"
    if low >= floor:
        return Reason(UTILITY, observed, floor, None, True, f"not worse than the margin; {bounds}")
    if high < floor:
        return Reason(UTILITY, observed, floor, None, False, f"worse than the margin; {bounds}")
    return Reason(
        UTILITY, observed, floor, None, None, f"too few users to exclude a loss beyond the margin; {bounds}"
    )


def bootstrap_bounds(report: Report | RetainedReport, policy: Policy) -> tuple[float, float, float]:
    """Relative change of mean held-out NDCG@10 against the parent: (lower bound, observed, upper bound).

    Paired bootstrap over retained users (Efron and Tibshirani 1993, ch. 16), one-sided bounds at
    `policy.utility_confidence`. Users with equal outcomes are exchangeable, so resampling their counts is resampling
    users. The parent's mean must be above 0.
    """
    counts = np.array([outcome.count for outcome in report.utility])
    before = np.array([outcome.parent for outcome in report.utility])
    change = np.array([outcome.candidate for outcome in report.utility]) - before
    users = int(counts.sum())
    draws = np.random.default_rng(policy.utility_seed).multinomial(
        users, counts / users, size=policy.utility_resamples
    )
    # The parent's mean is the unit of the margin and stays fixed: a resample may hold no hit at all.
    unit = float(counts @ before)
    differences = draws @ change / unit
    tail = 1.0 - policy.utility_confidence
    low, high = np.quantile(differences, [tail, 1.0 - tail])
    return float(low), float(counts @ change / unit), float(high)


def utility_change(report: Report | RetainedReport) -> float | None:
    """Relative change of mean held-out NDCG@10 against the parent; None where the parent has no hit at 10."""
    before = sum(outcome.count * outcome.parent for outcome in report.utility)
    after = sum(outcome.count * outcome.candidate for outcome in report.utility)
    return (after - before) / before if before > 0 else None
