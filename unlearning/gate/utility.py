"""Loss of utility for the retained users, by ranking and by likelihood: the part of the gate that needs no subject."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from unlearning.evaluation.report import HeldOutAuc, Report
from unlearning.evaluation.retained import RetainedReport
from unlearning.gate import checks
from unlearning.gate.verdict import Reason
from unlearning.levels.student_t import quantile
from unlearning.policy.policy import Policy

UTILITY = "relative_change_of_held_out_ndcg@10"
AUC = "relative_change_of_held_out_auc"
UTILITY_MEASURES = (UTILITY, AUC, checks.HELD_OUT)
_CHANCE = 0.5


def utility_reasons(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, Reason]:
    """Two reasons: NDCG@10 or AUC, which the service is for, and the likelihoods behind it.

    One of them is enough to pass, depending on what a service of this size can measure; a clear loss by either fails.
    Where too few users have a hit at 10, the ranking cannot pass. If the likelihoods do, the ranking is kept on record
    and does not bind. It still binds if it fails or if it suggests a loss: such a loss would use up the budget for
    later edits, if not more.
    """
    ranking, speaks_for_a_loss = (
        _ranking_utility(report, policy) if report.auc is None else _label_utility(report.auc, policy)
    )
    likelihood = checks.held_out_loss(report.held_out, policy)
    if ranking.passed is None and likelihood.passed and not speaks_for_a_loss:
        ranking = replace(ranking, binding=False)
    return ranking, likelihood


def _ranking_utility(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, bool]:
    """The reason, and whether it suggests a loss: significant at any size, or observed above the margin."""
    floor = -policy.utility_margin
    if not any(outcome.parent > 0 for outcome in report.utility):
        return Reason(UTILITY, None, floor, None, None, "the parent has no hit at 10 to lose"), False
    low, observed, high = bootstrap_bounds(report, policy)
    bounds = f"{policy.utility_confidence:.0%} one-sided bounds {low:+.3f} and {high:+.3f}"
    passed, detail = _judged(low, high, floor)
    return Reason(
        UTILITY, observed, floor, None, passed, f"{detail}; {bounds}"
    ), high < 0.0 or observed < floor


def _judged(low: float, high: float, floor: float) -> tuple[bool | None, str]:
    if low >= floor:
        return True, "not worse than the margin"
    if high < floor:
        return False, "worse than the margin"
    return None, "too few users to exclude a loss beyond the margin"


def _label_utility(auc: HeldOutAuc, policy: Policy) -> tuple[Reason, bool]:
    """As `_ranking_utility`, for a style whose events have labels: how well held-out ones are told.

    What an area adds to chance is the unit. The standard error is at least that of one event of the rarer label which
    goes from the parent's area to none: without that, a few events that all stayed would exclude any loss.
    """
    floor = -policy.utility_margin
    if auc.parent is None or auc.candidate is None:
        return Reason(AUC, None, floor, None, None, "all held-out events have one label"), False
    unit = auc.parent - _CHANCE
    if unit <= 0:
        return Reason(
            AUC, None, floor, None, None, f"the parent tells no better than chance: {auc.parent:.3f}"
        ), False
    observed = (auc.candidate - auc.parent) / unit
    error = max(auc.standard_error, auc.parent / min(auc.liked, auc.disliked))
    reach = quantile(policy.utility_confidence, max(auc.users - 1, 1)) * error / unit
    low, high = observed - reach, observed + reach
    passed, detail = _judged(low, high, floor)
    bounds = (
        f"{policy.utility_confidence:.0%} one-sided bounds {low:+.3f} and {high:+.3f} from {auc.users} users, area "
        f"{auc.parent:.3f} before"
    )
    return Reason(AUC, observed, floor, None, passed, f"{detail}; {bounds}"), high < 0.0 or observed < floor


def bootstrap_bounds(report: Report | RetainedReport, policy: Policy) -> tuple[float, float, float]:
    """Relative change of mean held-out NDCG@10 against the parent: (lower bound, observed, upper bound).

    Paired bootstrap over retained users (Efron and Tibshirani 1993, ch. 16), one-sided bounds at
    `policy.utility_confidence`. Users with equal outcomes are exchangeable, so their counts are resampled.

    One extra user is added to the resampled population: for the lower bound one who lost a hit of mean size, for the
    upper bound one who won it. Without it, a few hits that all stayed would exclude any loss. With it, n such hits
    exclude only a loss of more than 3 / n (the rule of three). The parent's mean must be above 0.
    """
    counts = np.array([outcome.count for outcome in report.utility])
    before = np.array([outcome.parent for outcome in report.utility])
    change = np.array([outcome.candidate for outcome in report.utility]) - before
    # The parent's mean is the unit of the margin and is not resampled: a resample may hold no hit at all.
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
    """Relative change of mean held-out NDCG@10, or of AUC - 0.5, against the parent; None where nothing was measured.

    If the parent has no hit at 10, or tells labels no better than chance, it is the relative change of the geometric
    mean of the held-out likelihoods, so that many small losses add up in that case too.
    """
    auc = report.auc
    if auc is not None and auc.parent is not None and auc.candidate is not None and auc.parent > _CHANCE:
        return (auc.candidate - auc.parent) / (auc.parent - _CHANCE)
    before = sum(outcome.count * outcome.parent for outcome in report.utility)
    after = sum(outcome.count * outcome.candidate for outcome in report.utility)
    if before > 0:
        return (after - before) / before
    return math.expm1(-report.held_out.mean) if report.held_out is not None else None
