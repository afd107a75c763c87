"""The gate: a pure function of a report and a policy. Too little forgetting fails, and so does too much.

A subject, and the run's subjects together, are judged by the place z of their gain in the band of users the adapter
never saw (`unlearning.gate.band`):

* above the band: fail, the subject is still known; below it: fail as well, the adapter predicts the subject worse than
  anybody it never saw, which betrays the deletion just as well;
* inside the band: pass, provided that passing means something.

How many items or users there are decides nothing by itself: what they tell is in the width of the band. A pass means
nothing, and is `inconclusive`, where this subject already lay inside the band under the model that read them (nothing
measurable to forget); hence doing nothing never passes on that model. Once edits for others have carried a subject into
the band it may: what is asked is whether the subject can be told, not who saw to it that they cannot. Where no level is
known, the parent stands for that model; and where the band is predicted from other users, passing means nothing either
where a typical member would lie inside it (power), or where there are too few others to predict it from. Nothing is
decided about lengths of history that the policy leaves out (`unlearning.policy.strata`), unless somebody is still known
beyond the alarm of an exact method: that holds for a history of any length.
Subjects of whom it means nothing alone, though none of them lies outside its band, are judged together once more
(`unlearning.gate.batch`): where that says that they were forgotten, they may go along with those who pass, and stay
`inconclusive` on record. Whoever goes along must also lie inside the band together: a mean over the whole run can be
right because those who are refused balance those who are not.

Held-out utility of all retained users has to be shown as well, by NDCG@10 or, where too few users have a hit at 10 to
tell, by likelihood; a clear loss of either fails, and a change that cannot be told from none is no loss
(`unlearning.gate.utility`, `checks.held_out_loss`). Four checks can object (`unlearning.gate.checks`): what the
candidate took from the subjects' neighbours, whether rounding leads out of the band, what a short relearning attack
brings back, and, for each subject and the run, whether a few items are still remembered well behind a mean that is
not. **A check that could not be made does not bind**: it stays among the reasons with `passed` None and `binding`
False, and the verdict is the worst of the reasons that bind. Membership always binds, and of the two measures of
utility at least one.
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

BATCH, COMPANY = "membership_z_of_undecided_subjects", "membership_z_of_those_let_through"
MEMBERSHIP = "membership_z"
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
            for reason in (batch_reason, _company(membership, let_through, policy))
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

    A pass may, and so may subjects of whom nothing is told alone where the batch of them passes and so does all the
    rest. Anything else may not, unless the method is exact and `policy.exact_may_publish_unproven` is set: an exact
    re-fit never read the subjects, so its evidence is the list of what it was trained on, and the gate's figures are a
    check of that list. Then

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


def refused_by_draw(verdict: Verdict, policy: Policy) -> bool:
    """Whether an exact candidate may not become a version for nothing but what it does for the others.

    That is a matter of its draw: another seed gives another fit of the same users. Anything else that is in the way of
    the run (subjects far outside the band) is none of chance's.
    """
    if verdict.policy_hash != policy.hash:
        return False
    against = [reason for reason in verdict.reasons if not _tolerable(reason, True, policy)]
    return bool(against) and all(
        reason.measure in UTILITY_MEASURES and reason.passed is False for reason in against
    )


def publishable_subjects(verdict: Verdict, *, method_is_exact: bool, policy: Policy) -> tuple[int, ...]:
    """The places in the task's `forget` of the subjects whose own figures are not in the way.

    Membership that cannot be told of a subject alone is not, where the batch of all such subjects passes. Nobody is
    named where all who would be lie outside the band together.
    """
    if verdict.policy_hash != policy.hash:
        return ()
    if method_is_exact and policy.exact_may_publish_unproven:
        return tuple(
            subject.index
            for subject in verdict.subjects
            if all(_tolerable(reason, method_is_exact, policy) for reason in subject.reasons)
        )
    if _word_on(COMPANY, verdict) is False:
        return ()
    return _let_through(verdict.subjects, verdict.batch if _word_on(BATCH, verdict) else ())


def _let_through(subjects: Sequence[SubjectVerdict], batch: Collection[int]) -> tuple[int, ...]:
    """Who passes alone, and who does but for what the batch answers."""

    def answered(subject: SubjectVerdict, reason: Reason) -> bool:
        by_batch = reason.measure == MEMBERSHIP and reason.passed is None and subject.index in batch
        return reason.decision == "pass" or not reason.binding or by_batch

    return tuple(
        subject.index for subject in subjects if all(answered(subject, reason) for reason in subject.reasons)
    )


def _word_on(measure: str, verdict: Verdict) -> bool | None:
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
    """The places of those of whom membership cannot be told alone. Whoever lies outside the band is not among them:
    a mean with others would hide it. Nor is whoever has a history of a length that the gate is not to decide about:
    many of them are no more than one.
    """
    return tuple(
        evidence.index
        for evidence in subjects
        if stratum_of(evidence.items, policy.strata).decides
        and _membership(evidence, users, policy).passed is None
        and abs(z_score(evidence, policy)) <= policy.membership_z
    )


def _batch(membership: MembershipEvidence, members: tuple[int, ...], policy: Policy) -> Reason | None:
    """Membership of these subjects together; it decides about them and binds nobody else."""
    evidence = together([membership.subjects[place] for place in members])
    if evidence is None:
        return None
    found = _membership(evidence, membership.reference_users, policy)
    detail = f"{len(members)} subjects of whom it cannot be told alone: {found.detail}"
    return replace(found, measure=BATCH, detail=detail, binding=False)


def _company(membership: MembershipEvidence, places: tuple[int, ...], policy: Policy) -> Reason | None:
    """Whether those who are let through lie inside the band together, where they are not the whole run."""
    if len(places) == len(membership.subjects):
        return None
    evidence = together([membership.subjects[place] for place in places])
    if evidence is None:
        return None
    z, limit = z_score(evidence, policy), policy.membership_z
    inside = abs(z) <= limit
    detail = f"{len(places)} of {len(membership.subjects)} subjects, " + (
        "inside the band together"
        if inside
        else "outside the band together: those who are refused balanced them"
    )
    return Reason(COMPANY, z if math.isfinite(z) else None, -limit, limit, inside, detail, binding=False)


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
            # No word on who passes, but this is beyond what chance makes of a history of any length.
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
