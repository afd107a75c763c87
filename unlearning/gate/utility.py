"""What a candidate took from everybody else, by ranking and by likelihood: the gate's part that needs no subject."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from unlearning.evaluation.report import Report
from unlearning.evaluation.retained import RetainedReport
from unlearning.gate import checks
from unlearning.gate.verdict import Reason
from unlearning.policy.policy import Policy

UTILITY = "relative_change_of_held_out_ndcg@10"
UTILITY_MEASURES = (UTILITY, checks.HELD_OUT)


def utility_reasons(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, Reason]:
    """What the service is for, and the likelihoods behind it.

    Either may show it, whichever tells more at this service's size; a clear loss by either fails. Where too few users
    have a hit at 10 to tell, a candidate whose held-out likelihoods are shown to be as good has shown what it can: then
    the first is on record and does not bind, unless it fails. Likelihoods do not outweigh rankings that speak for a
    loss: it would spend the budget of the edits that follow, if it did no worse.
    """
    ranking, speaks_for_a_loss = _ranking_utility(report, policy)
    likelihood = checks.held_out_loss(report.held_out, policy)
    if ranking.passed is None and likelihood.passed and not speaks_for_a_loss:
        ranking = replace(ranking, binding=False)
    return ranking, likelihood


def _ranking_utility(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, bool]:
    """The reason, and whether it speaks for a loss: one is shown, however small, or observed beyond the margin."""
    floor = -policy.utility_margin
    if not any(outcome.parent > 0 for outcome in report.utility):
        return Reason(UTILITY, None, floor, None, None, "the parent has no hit at 10 to lose"), False
    low, observed, high = bootstrap_bounds(report, policy)
    bounds = f"{policy.utility_confidence:.0%} one-sided bounds {low:+.3f} and {high:+.3f}"
    if low >= floor:
        passed, detail = True, "not worse than the margin"
    elif high < floor:
        passed, detail = False, "worse than the margin"
    else:
        passed, detail = None, "too few users to exclude a loss beyond the margin"
    return Reason(
        UTILITY, observed, floor, None, passed, f"{detail}; {bounds}"
    ), high < 0.0 or observed < floor


def bootstrap_bounds(report: Report | RetainedReport, policy: Policy) -> tuple[float, float, float]:
    """Relative change of mean held-out NDCG@10 against the parent: (lower bound, observed, upper bound).

    Paired bootstrap over retained users (Efron and Tibshirani 1993, ch. 16), one-sided bounds at
    `policy.utility_confidence`. Users with equal outcomes are exchangeable, so resampling their counts is resampling
    users. One user more is resampled from than there are: for the lower bound somebody who lost a hit of mean size, for
    the upper one somebody who won it. A few hits that all stayed would otherwise exclude any loss; so they exclude one
    beyond three in their number, which is what none in so many is worth. The parent's mean must be above 0.
    """
    counts = np.array([outcome.count for outcome in report.utility])
    before = np.array([outcome.parent for outcome in report.utility])
    change = np.array([outcome.candidate for outcome in report.utility]) - before
    # The parent's mean is the unit of the margin and stays fixed: a resample may hold no hit at all.
    unit = float(counts @ before)
    hit = unit / float(counts[before > 0].sum())
    urn = np.append(counts, 1)
    users = int(urn.sum())
    draws = np.random.default_rng(policy.utility_seed).multinomial(
        users, urn / users, size=policy.utility_resamples
    )
    tail = 1.0 - policy.utility_confidence
    low, high = (
        np.quantile(draws @ np.append(change, one_more) / unit, share)
        for one_more, share in ((-hit, tail), (hit, 1.0 - tail))
    )
    return float(low), float(counts @ change / unit), float(high)


def utility_change(report: Report | RetainedReport) -> float | None:
    """Relative change of mean held-out NDCG@10 against the parent; of the held-out likelihoods' geometric mean where
    the parent has no hit at 10, so that many small losses add up there as well. None where neither was measured.
    """
    before = sum(outcome.count * outcome.parent for outcome in report.utility)
    after = sum(outcome.count * outcome.candidate for outcome in report.utility)
    if before > 0:
        return (after - before) / before
    return math.expm1(-report.held_out.mean) if report.held_out is not None else None
