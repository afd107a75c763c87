"""The gate: a pure function of a report and a policy. Too little forgetting fails, and so does too much.

A subject, and the run's subjects together, are judged by the place z of their gain in the band of users the adapter
never saw (`unlearning.band`):

* above the band: fail, the subject is still known; below it: fail as well, the adapter predicts the subject worse than
  anybody it never saw, which betrays the deletion just as well;
* inside the band: pass, provided that passing means something.

It means nothing, and is `inconclusive`, where there are too few items or reference users, or where this subject already
lay inside the band before the edit (nothing measurable to forget); hence doing nothing never passes. Where the band is
predicted from other users, passing means nothing either where a typical member would lie inside it (power). Subjects
of whom it means nothing alone are judged together once more (`unlearning.batch`): where that says that they were
forgotten, they may go along with those who pass, and stay `inconclusive` on record.

Held-out utility of all retained users has to be shown as well, by NDCG@10 or, where too few users have a hit at 10 to
tell, by likelihood; a clear loss of either fails. Four checks can object (`unlearning.checks`): what the
candidate took from the subjects' neighbours, whether rounding leads out of the band, what a short relearning attack
brings back, and, for each subject and the run, whether a few items are still remembered well behind a mean that is
not. **A check that could not be made does not bind**: it stays among the reasons with `passed` None and `binding`
False, and the verdict is the worst of the reasons that bind. Membership and utility always bind.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from unlearning import checks
from unlearning.band import parent_z_score, z_score
from unlearning.batch import together
from unlearning.errors import InvalidReport
from unlearning.evaluation.report import MembershipEvidence, Report, SubjectEvidence
from unlearning.evaluation.retained import RetainedReport
from unlearning.policy import Policy
from unlearning.verdict import Reason, SubjectVerdict, Verdict, worst, worst_of

BATCH = "membership_z_of_undecided_subjects"
MEMBERSHIP, UTILITY = "membership_z", "relative_change_of_held_out_ndcg@10"
# Places in a never-member's distribution: chance alone puts some far out, and an exact method has only chance.
_BY_CHANCE = (MEMBERSHIP, checks.ROUNDING, checks.TAIL)
# What anybody's leaving costs those who resemble them, and what any model learns from hints.
_NOT_OF_EXACT_METHODS = (checks.NEIGHBOURS, checks.RELEARNED)


def decide(report: Report, policy: Policy) -> Verdict:
    """Judge a report. Pure: the same report and policy give the same verdict, anywhere.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    membership = report.membership
    users = membership.reference_users
    subjects = tuple(_subject_verdict(evidence, users, policy) for evidence in membership.subjects)
    reasons = (
        _membership(membership.run, users, policy),
        *_utility(report, policy),
        checks.neighbour_loss(report.neighbours, policy),
        checks.rounding(membership, report.durability, policy),
        checks.relearned(report.durability, policy),
        checks.tail(membership.run, users, policy),
    )
    run_decision = worst_of(reasons)
    return Verdict(
        decision=worst([run_decision, *(subject.decision for subject in subjects)]),
        run_decision=run_decision,
        reasons=reasons,
        subjects=subjects,
        policy_hash=policy.hash,
        batch=_batch(membership, policy),
    )


def decide_retained(report: RetainedReport, policy: Policy) -> Verdict:
    """Judge a candidate that forgets nobody, by the utility rule alone. Pure.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    reasons = _utility(report, policy)
    decision = worst_of(reasons)
    return Verdict(
        decision=decision,
        run_decision=decision,
        reasons=reasons,
        subjects=(),
        policy_hash=policy.hash,
    )


def publishable(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> bool:
    """Whether a candidate with this verdict may become a version.

    A pass may. Anything else may not, unless the method is exact and `policy.exact_may_publish_unproven` is set: an
    exact re-fit never read the subjects, so its evidence is the list of what it was trained on, and the gate's
    figures are a check of that list. Then

    * `inconclusive` is publishable: too little data to test is no reason to keep a model that did read them;
    * a `fail` of membership, also after rounding, or of the tail is publishable within `policy.exact_alarm_z`: a
      share of people who were never in the data falls outside the band by chance, and refusing would leave them in
      the model they asked to leave;
    * beyond it, it is not: chance does not explain it, but the subject's events still being in the training data
      under another name would;
    * a `fail` of the neighbours or of relearning is publishable: what neighbours lose without the subject's data was
      the subject's, and a model that never held the items cannot hide them;
    * a utility `fail` is not: a re-fit that clearly serves the others worse went wrong.

    The verdict itself keeps saying what was measured. A verdict reached under another policy is not publishable.
    """
    return publishable_run(verdict, method_is_exact=method_is_exact, policy=policy) and len(
        publishable_subjects(verdict, method_is_exact=method_is_exact, policy=policy)
    ) == len(verdict.subjects)


def publishable_run(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> bool:
    """Whether nothing about the run as a whole (utility, membership of all its subjects together) is in the way.

    Then a version may be made for those subjects alone that `publishable_subjects` names.
    """
    return verdict.policy_hash == policy.hash and all(
        _tolerable(reason, method_is_exact, policy) for reason in verdict.reasons
    )


def publishable_subjects(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> tuple[int, ...]:
    """The places in the task's `forget` of the subjects whose own figures are not in the way.

    Membership that cannot be told of a subject alone is not, where the batch of all such subjects passes.
    """
    if verdict.policy_hash != policy.hash:
        return ()
    batch_passes = verdict.batch is not None and verdict.batch.passed is True

    def excused_by_batch(reason: Reason) -> bool:
        return batch_passes and reason.measure == MEMBERSHIP and reason.passed is None

    return tuple(
        subject.index
        for subject in verdict.subjects
        if all(
            excused_by_batch(reason) or _tolerable(reason, method_is_exact, policy)
            for reason in subject.reasons
        )
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


def _require_prescribed(report: Report | RetainedReport, policy: Policy) -> None:
    if report.evaluation != policy.evaluation:
        raise InvalidReport(
            f"the report was measured with {report.evaluation}, the policy prescribes {policy.evaluation}"
        )


def _subject_verdict(evidence: SubjectEvidence, users: int, policy: Policy) -> SubjectVerdict:
    reasons = (_membership(evidence, users, policy), checks.tail(evidence, users, policy))
    return SubjectVerdict(evidence.index, worst_of(reasons), reasons)


def _batch(membership: MembershipEvidence, policy: Policy) -> Reason | None:
    """Membership of all subjects together of whom it cannot be told alone. It binds nobody else."""
    users = membership.reference_users
    undecided = [
        evidence
        for evidence in membership.subjects
        if _membership(evidence, users, policy).decision == "inconclusive"
    ]
    evidence = together(undecided)
    if evidence is None:
        return None
    found = _membership(evidence, users, policy)
    detail = f"{len(undecided)} subjects of whom it cannot be told alone: {found.detail}"
    return replace(found, measure=BATCH, detail=detail, binding=False)


def _membership(evidence: SubjectEvidence, users: int, policy: Policy) -> Reason:
    z = z_score(evidence, policy)
    limit = policy.membership_z
    passed, detail = _judge_membership(evidence, z, users, policy)
    return Reason(MEMBERSHIP, z if math.isfinite(z) else None, -limit, limit, passed, detail)


def _judge_membership(
    evidence: SubjectEvidence, z: float, users: int, policy: Policy
) -> tuple[bool | None, str]:
    missing = checks.too_little(evidence, users, policy)
    if missing is not None:
        return None, missing
    if z > policy.membership_z:
        return False, "still predicted better than a user the adapter never saw"
    if z < -policy.membership_z:
        return False, "predicted worse than a user the adapter never saw: over-forgotten, which shows too"
    if parent_z_score(evidence, policy) <= policy.membership_z:
        return None, "not told from a never-member before the edit: nothing measurable to forget"
    return True, "inside the band of users the adapter never saw, and outside it before the edit"


def _utility(report: Report | RetainedReport, policy: Policy) -> tuple[Reason, Reason]:
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


def _tolerable(reason: Reason, method_is_exact: bool, policy: Policy) -> bool:
    """A pass, or what does not bind; of an exact method, where the policy says so, anything but what none excuses."""
    if reason.passed or not reason.binding:
        return True
    if not (method_is_exact and policy.exact_may_publish_unproven):
        return False
    return reason.passed is None or _excused(reason, policy)


def _excused(reason: Reason, policy: Policy) -> bool:
    """Whether an exact method may fail this."""
    if reason.measure in _NOT_OF_EXACT_METHODS:
        return True
    if reason.measure not in _BY_CHANCE or reason.value is None:
        return False
    return abs(reason.value) <= policy.exact_alarm_z
