"""The gate: a pure function of a report and a policy. Too little forgetting fails, and so does too much.

A subject, and the run's subjects together, are judged by the place z of their gain in the band of users the adapter
never saw (`unlearning.band`):

* above the band: fail, the subject is still known; below it: fail as well, the adapter predicts the subject worse than
  anybody it never saw, which betrays the deletion just as well;
* inside the band: pass, provided that passing means something.

It means nothing, and is `inconclusive`, where there are too few items or reference users, where a typical member would
lie inside the band too (power), or where this subject already did before the edit (nothing measurable to forget). Hence
doing nothing never passes.
"""

from __future__ import annotations

import math

import numpy as np

from unlearning.band import parent_z_score, power, z_score
from unlearning.errors import InvalidReport
from unlearning.evaluation.report import Report, SubjectEvidence
from unlearning.evaluation.retained import RetainedReport
from unlearning.policy import Policy
from unlearning.verdict import Reason, SubjectVerdict, Verdict, worst

MEMBERSHIP, UTILITY = "membership_z", "relative_change_of_held_out_ndcg@10"


def decide(report: Report, policy: Policy) -> Verdict:
    """Judge a report. Pure: the same report and policy give the same verdict, anywhere.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    users = report.membership.reference_users
    subjects = tuple(_subject_verdict(evidence, users, policy) for evidence in report.membership.subjects)
    reasons = (_membership(report.membership.run, users, policy), _utility(report, policy))
    run_decision = worst([reason.decision for reason in reasons])
    return Verdict(
        decision=worst([run_decision, *(subject.decision for subject in subjects)]),
        run_decision=run_decision,
        reasons=reasons,
        subjects=subjects,
        policy_hash=policy.hash,
    )


def decide_retained(report: RetainedReport, policy: Policy) -> Verdict:
    """Judge a candidate that forgets nobody, by the utility rule alone. Pure.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    reason = _utility(report, policy)
    return Verdict(
        decision=reason.decision,
        run_decision=reason.decision,
        reasons=(reason,),
        subjects=(),
        policy_hash=policy.hash,
    )


def publishable(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> bool:
    """Whether a candidate with this verdict may become a version.

    A pass may. Anything else may not, unless the method is exact and `policy.exact_may_publish_unproven` is set: an
    exact re-fit never read the subjects, so its evidence is the list of what it was trained on, and the gate's
    figures are a check of that list. Then

    * `inconclusive` is publishable: too little data to test is no reason to keep a model that did read them;
    * a membership `fail` within `policy.exact_alarm_z` is publishable: a share of people who were never in the data
      falls outside the band by chance, and refusing would leave them in the model they asked to leave;
    * a membership `fail` beyond it is not: chance does not explain it, but the subject's events still being in the
      training data under another name would;
    * a utility `fail` is not: a re-fit that clearly serves the others worse went wrong.

    The verdict itself keeps saying what was measured. A verdict reached under another policy is not publishable.
    """
    if verdict.policy_hash != policy.hash:
        return False
    if verdict.decision == "pass":
        return True
    if not (method_is_exact and policy.exact_may_publish_unproven):
        return False
    reasons = [*verdict.reasons, *(subject.reason for subject in verdict.subjects)]
    return all(reason.passed is not False or _within_alarm(reason, policy) for reason in reasons)


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


def _require_prescribed(report: Report | RetainedReport, policy: Policy) -> None:
    if report.evaluation != policy.evaluation:
        raise InvalidReport(
            f"the report was measured with {report.evaluation}, the policy prescribes {policy.evaluation}"
        )


def _subject_verdict(evidence: SubjectEvidence, users: int, policy: Policy) -> SubjectVerdict:
    reason = _membership(evidence, users, policy)
    return SubjectVerdict(evidence.index, reason.decision, reason)


def _membership(evidence: SubjectEvidence, users: int, policy: Policy) -> Reason:
    z = z_score(evidence, policy)
    limit = policy.membership_z
    passed, detail = _judge_membership(evidence, z, users, policy)
    return Reason(MEMBERSHIP, z if math.isfinite(z) else None, -limit, limit, passed, detail)


def _judge_membership(
    evidence: SubjectEvidence, z: float, users: int, policy: Policy
) -> tuple[bool | None, str]:
    if evidence.items < policy.min_items:
        return None, f"{evidence.items} training items; the policy needs {policy.min_items}"
    if users < policy.min_reference_users:
        return None, f"{users} retained users to compare with; the policy needs {policy.min_reference_users}"
    reach = power(evidence, policy)
    if reach < policy.min_power:
        return None, f"with {evidence.items} items a member would show z {reach:.2f}, too little to tell"
    if z > policy.membership_z:
        return False, "still predicted better than a user the adapter never saw"
    if z < -policy.membership_z:
        return False, "predicted worse than a user the adapter never saw: over-forgotten, which shows too"
    if parent_z_score(evidence, policy) <= policy.membership_z:
        return None, "not told from a never-member before the edit: nothing measurable to forget"
    return True, "inside the band of users the adapter never saw, and outside it before the edit"


def _utility(report: Report | RetainedReport, policy: Policy) -> Reason:
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


def _within_alarm(reason: Reason, policy: Policy) -> bool:
    if reason.measure != MEMBERSHIP or reason.value is None:
        return False
    return abs(reason.value) <= policy.exact_alarm_z
