"""The gate: a pure function of a report and a policy. Too little forgetting fails, and so does too much.

**Membership.** Each subject, and all of the run's subjects together, are judged by the z of their gain in the band of
users the adapter never saw (`unlearning.gate.band`):

* Above the band: fail. The adapter still knows the subject.
* Below the band: fail. The adapter predicts the subject worse than anybody it never saw, which reveals the deletion.
* Inside the band: pass, if the evidence is conclusive.

The numbers of items and users do not decide by themselves; they determine the width of the band. A result inside the
band is `inconclusive` in these cases:

* The subject already lay inside the band under the model that read them: there is nothing measurable to forget. So
  doing nothing never passes on that model. A subject whom edits for others have moved into the band may pass: the
  question is whether the subject can be recognised, not which edit prevents it. Without a level, the parent stands for
  that model.
* The band is predicted from other users, and a typical member would lie inside it (power), or there are too few other
  users for a prediction.
* The policy does not decide about histories of this length (`unlearning.policy.strata`). A z above the alarm of an
  exact method still fails, at any length.

Subjects who are inconclusive alone, and not outside their band, are judged together once more
(`unlearning.gate.batch`). If that passes, a version may be made for them and for those who pass; they stay
`inconclusive` on record. All subjects of that version must also lie inside the band together: the mean over the whole
run could be right only because refused subjects balance the others.

**Utility.** The candidate must keep the retained users' held-out utility, by NDCG@10 (by AUC where events have labels)
or, where too few users have a hit at 10, by likelihood. A clear loss by either fails; a change that cannot be
distinguished from none does not (`unlearning.gate.utility`, `checks.held_out_loss`).

**Checks.** Four checks can reject a candidate (`unlearning.gate.checks`): the loss of the subjects' neighbours, leaving
the band by rounding, a gain by a short relearning attack, and, for each subject and for the run, a few items that are
still remembered although the mean is not.

**A check that could not be made does not bind**: it stays among the reasons with `passed` None and `binding` False. The
verdict is the worst of the reasons that bind. Membership always binds, and so does at least one measure of utility.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

from unlearning.errors import InvalidReport
from unlearning.evaluation.report import MembershipEvidence, Report, SubjectEvidence
from unlearning.evaluation.retained import RetainedReport
from unlearning.gate import checks
from unlearning.gate.band import member_z_score, z_score
from unlearning.gate.batch import together
from unlearning.gate.utility import UTILITY_MEASURES, utility_reasons
from unlearning.gate.verdict import Reason, SubjectVerdict, Verdict, worst, worst_of
from unlearning.policy.policy import Policy
from unlearning.policy.strata import stratum_of

BATCH, LET_THROUGH = "membership_z_of_undecided_subjects", "membership_z_of_those_let_through"
MEMBERSHIP = "membership_z"
# A z in a never-member's distribution: some are large by chance, and with an exact method chance is the only cause.
_BY_CHANCE = (MEMBERSHIP, checks.ROUNDING, checks.TAIL)
# Similar users lose something when anybody leaves, and any model learns from hints: no fault of an exact method.
_NOT_OF_EXACT_METHODS = (checks.NEIGHBOURS, checks.RELEARNED)


def decide(report: Report, policy: Policy) -> Verdict:
    """Judge a report. Pure: the same report and policy always give the same verdict.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    membership = report.membership
    users = membership.reference_users
    subjects = tuple(_subject_verdict(evidence, users, policy) for evidence in membership.subjects)
    batch = _undecided(membership.subjects, users, policy)
    batch_reason = _batch(membership, batch, policy)
    let_through = _let_through(subjects, batch if batch_reason is not None and batch_reason.passed else ())
    reasons = (
        _membership(membership.run, users, policy),
        *utility_reasons(report, policy),
        checks.neighbour_loss(report.neighbours, policy),
        checks.rounding(membership, report.durability, policy),
        checks.relearned(report.durability, policy),
        checks.tail(membership.run, users, policy),
        *(
            reason
            for reason in (batch_reason, _let_through_together(membership, let_through, policy))
            if reason is not None
        ),
    )
    run_decision = worst_of(reasons)
    return Verdict(
        decision=worst([run_decision, *(subject.decision for subject in subjects)]),
        run_decision=run_decision,
        reasons=reasons,
        subjects=subjects,
        policy_hash=policy.hash,
        batch=() if batch_reason is None else batch,
    )


def decide_retained(report: RetainedReport, policy: Policy) -> Verdict:
    """Judge a candidate that forgets nobody, by the utility rule alone. Pure.

    Raises:
        InvalidReport: the report was measured otherwise than the policy prescribes.
    """
    _require_prescribed(report, policy)
    reasons = utility_reasons(report, policy)
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

    A pass is publishable. So is a verdict in which some subjects are inconclusive alone, if their batch passes and
    everything else does too. Anything else is not, unless the method is exact and `policy.exact_may_publish_unproven`
    is set. An exact re-fit never read the subjects: its evidence is the list of what it was trained on, and the gate's
    figures check that list. For an exact method

    * `inconclusive` is publishable: too little data to test is no reason to keep a model that did read the subjects;
    * a `fail` of membership, before or after rounding, or of the tail is publishable up to `policy.exact_alarm_z`: some
      users who were never in the data fall outside the band by chance, and a refusal would keep them in the model they
      asked to leave;
    * beyond that z it is not publishable: chance does not explain it, but the subject's events may still be in the
      training data under another name;
    * a `fail` of the neighbours or of relearning is publishable: what neighbours lose without the subject's data was
      the subject's, and a model that never held the items cannot hide them;
    * a utility `fail` is not publishable: a re-fit that clearly serves the others worse went wrong.

    The verdict itself always states what was measured. A verdict under another policy is not publishable.
    """
    return publishable_run(verdict, method_is_exact=method_is_exact, policy=policy) and len(
        publishable_subjects(verdict, method_is_exact=method_is_exact, policy=policy)
    ) == len(verdict.subjects)


def publishable_run(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> bool:
    """Whether the run as a whole (utility, membership of all its subjects together) may be published.

    If so, a version may be made for the subjects that `publishable_subjects` names.
    """
    return verdict.policy_hash == policy.hash and all(
        _tolerable(reason, method_is_exact, policy) for reason in verdict.reasons
    )


def refused_by_draw(verdict: Verdict, policy: Policy) -> bool:
    """Whether an exact candidate is refused for its utility alone.

    Then another draw may help: another seed gives another fit of the same users. Other reasons to refuse the run, such
    as subjects far outside the band, do not depend on the draw.
    """
    if verdict.policy_hash != policy.hash:
        return False
    against = [reason for reason in verdict.reasons if not _tolerable(reason, True, policy)]
    return bool(against) and all(
        reason.measure in UTILITY_MEASURES and reason.passed is False for reason in against
    )


def publishable_subjects(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> tuple[int, ...]:
    """The indices in the task's `forget` of the subjects whose own figures allow a version.

    A subject whose membership is inconclusive alone is among them if the batch of all such subjects passes. The result
    is empty if all who would be named lie outside the band together.
    """
    if verdict.policy_hash != policy.hash:
        return ()
    if method_is_exact and policy.exact_may_publish_unproven:
        return tuple(
            subject.index
            for subject in verdict.subjects
            if all(_tolerable(reason, method_is_exact, policy) for reason in subject.reasons)
        )
    if _passed(LET_THROUGH, verdict) is False:
        return ()
    return _let_through(verdict.subjects, verdict.batch if _passed(BATCH, verdict) else ())


def _let_through(subjects: Sequence[SubjectVerdict], batch: Collection[int]) -> tuple[int, ...]:
    """The subjects who pass alone, and those who pass once the batch has decided their membership."""

    def answered(subject: SubjectVerdict, reason: Reason) -> bool:
        by_batch = reason.measure == MEMBERSHIP and reason.passed is None and subject.index in batch
        return reason.decision == "pass" or not reason.binding or by_batch

    return tuple(
        subject.index for subject in subjects if all(answered(subject, reason) for reason in subject.reasons)
    )


def _passed(measure: str, verdict: Verdict) -> bool | None:
    return next((reason.passed for reason in verdict.reasons if reason.measure == measure), None)


def _require_prescribed(report: Report | RetainedReport, policy: Policy) -> None:
    if report.evaluation != policy.evaluation:
        raise InvalidReport(
            f"the report was measured with {report.evaluation}, the policy prescribes {policy.evaluation}"
        )


def _subject_verdict(evidence: SubjectEvidence, users: int, policy: Policy) -> SubjectVerdict:
    reasons = (_membership(evidence, users, policy), checks.tail(evidence, users, policy))
    return SubjectVerdict(evidence.index, worst_of(reasons), reasons)


def _undecided(subjects: Sequence[SubjectEvidence], users: int, policy: Policy) -> tuple[int, ...]:
    """The indices of the subjects whose membership is inconclusive alone, for a judgement together.

    Subjects outside the band are left out, because a mean with others would hide them. So are subjects whose length of
    history the policy does not decide about: many such histories tell no more than one.
    """
    return tuple(
        evidence.index
        for evidence in subjects
        if stratum_of(evidence.items, policy.strata).decides
        and _membership(evidence, users, policy).passed is None
        and abs(z_score(evidence, policy)) <= policy.membership_z
    )


def _batch(membership: MembershipEvidence, members: tuple[int, ...], policy: Policy) -> Reason | None:
    """Membership of these subjects together. It decides about them alone, so it does not bind for the run."""
    evidence = together([membership.subjects[index] for index in members])
    if evidence is None:
        return None
    found = _membership(evidence, membership.reference_users, policy)
    detail = f"{len(members)} subjects of whom it cannot be told alone: {found.detail}"
    return replace(found, measure=BATCH, detail=detail, binding=False)


def _let_through_together(
    membership: MembershipEvidence, indices: tuple[int, ...], policy: Policy
) -> Reason | None:
    """Whether the subjects who are let through lie inside the band together; None if they are the whole run."""
    if len(indices) == len(membership.subjects):
        return None
    evidence = together([membership.subjects[index] for index in indices])
    if evidence is None:
        return None
    z, limit = z_score(evidence, policy), policy.membership_z
    inside = abs(z) <= limit
    detail = f"{len(indices)} of {len(membership.subjects)} subjects, " + (
        "inside the band together"
        if inside
        else "outside the band together: those who are refused balanced them"
    )
    return Reason(LET_THROUGH, z if math.isfinite(z) else None, -limit, limit, inside, detail, binding=False)


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
        if evidence.never_seen is not None and z > policy.exact_alarm_z:
            # The policy does not decide about this length, but chance explains no z above the alarm, at any length.
            return False, "predicted far better than a user the adapter never saw, beyond the alarm"
        return None, missing
    if z > policy.membership_z:
        return False, "still predicted better than a user the adapter never saw"
    if z < -policy.membership_z:
        return False, "predicted worse than a user the adapter never saw: over-forgotten, which shows too"
    if member_z_score(evidence, policy) <= policy.membership_z:
        return None, "not told from a never-member while a member: nothing measurable to forget"
    return True, "inside the band of users the adapter never saw, and outside it while a member"


def _tolerable(reason: Reason, method_is_exact: bool, policy: Policy) -> bool:
    """Whether a reason allows a version: it passes or does not bind, or it is excused because the method is exact."""
    if reason.passed or not reason.binding:
        return True
    if not (method_is_exact and policy.exact_may_publish_unproven):
        return False
    return reason.passed is None or _excused(reason, policy)


def _excused(reason: Reason, policy: Policy) -> bool:
    """Whether an exact method may fail this measure and still be published."""
    if reason.measure in _NOT_OF_EXACT_METHODS:
        return True
    if reason.measure not in _BY_CHANCE or reason.value is None:
        return False
    return abs(reason.value) <= policy.exact_alarm_z
