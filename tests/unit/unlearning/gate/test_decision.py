from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.unlearning.examples import POLICY, UNCHANGED, report, subject
from unlearning import (
    EvaluationConfig,
    Report,
    RetainedReport,
    Verdict,
    decide,
    decide_retained,
    publishable,
    publishable_run,
    publishable_subjects,
    utility_change,
)
from unlearning.errors import InvalidReport
from unlearning.evaluation.report import HeldOutLoss, MeanGain, PairedOutcome, SubjectEvidence
from unlearning.gate.decision import MEMBERSHIP
from unlearning.gate.utility import bootstrap_bounds

LOSS = (PairedOutcome(0.0, 0.0, 300), PairedOutcome(1.0, 0.0, 60), PairedOutcome(1.0, 1.0, 40))
# Ten of a hundred hits lost and five won: -5 %, but the bound reaches beyond -10 %.
UNSURE = (
    PairedOutcome(0.0, 0.0, 295),
    PairedOutcome(0.0, 1.0, 5),
    PairedOutcome(1.0, 0.0, 12),
    PairedOutcome(1.0, 1.0, 88),
)


def test_inside_the_band_and_outside_it_before_is_a_pass() -> None:
    verdict = decide(report(subject(1.9)), POLICY)
    assert (verdict.decision, verdict.run_decision) == ("pass", "pass")
    assert verdict.policy_hash == POLICY.hash
    assert all(reason.passed for reason in verdict.reasons if reason.binding)


@pytest.mark.parametrize(("z", "word"), [(2.1, "still predicted better"), (-2.1, "over-forgotten")])
def test_the_band_has_two_sides(z: float, word: str) -> None:
    verdict = decide(report(subject(z)), POLICY)
    assert verdict.decision == "fail"
    reason = verdict.subjects[0].reasons[0]
    assert word in reason.detail
    assert (reason.value, reason.low, reason.high) == (pytest.approx(z), -2.0, 2.0)


@pytest.mark.parametrize(
    ("evidence", "users", "word"),
    [
        (subject(0.0), 49, "49 retained users"),
        (subject(0.0, member_z=2.4), 400, "too little to tell"),
        (subject(0.0, parent_z=2.0), 400, "nothing measurable to forget"),
    ],
)
def test_too_little_data_is_inconclusive(evidence: object, users: int, word: str) -> None:
    verdict = decide(report(evidence, reference_users=users), POLICY)  # type: ignore[arg-type]
    assert verdict.decision == "inconclusive"
    assert word in verdict.subjects[0].reasons[0].detail


@given(st.floats(-6, 6), st.floats(-6, 6), st.integers(1, 500), st.integers(1, 500))
def test_doing_nothing_never_passes(z: float, member_z: float, items: int, users: int) -> None:
    evidence = subject(parent_z=z, member_z=member_z, items=items)
    unchanged = report(replace(evidence, candidate=evidence.parent), reference_users=users)
    assert decide(unchanged, POLICY).subjects[0].decision != "pass"


@given(st.floats(-6, 6), st.floats(-6, 6), st.floats(-6, 6))
def test_the_verdict_is_a_pure_function(z: float, parent_z: float, member_z: float) -> None:
    found = report(subject(z, parent_z=parent_z, member_z=member_z))
    again = Report.from_json(found.to_json())
    assert decide(found, POLICY) == decide(again, POLICY)


def test_one_failing_subject_leaves_the_run_and_the_others() -> None:
    verdict = decide(report(subject(0.0), subject(3.0, index=1), subject(0.0, index=2, parent_z=2.0)), POLICY)
    assert verdict.run_decision == "pass"
    assert verdict.decision == "fail"
    assert [(one.index, one.decision) for one in verdict.subjects] == [
        (0, "pass"),
        (1, "fail"),
        (2, "inconclusive"),
    ]


def test_the_run_can_fail_where_no_subject_does() -> None:
    verdict = decide(report(subject(1.5), subject(1.5, index=1), run=subject(3.0)), POLICY)
    assert [one.decision for one in verdict.subjects] == ["pass", "pass"]
    assert verdict.run_decision == verdict.decision == "fail"


def certain() -> SubjectEvidence:
    """A subject whose band has no width at all."""
    return replace(subject(member_z=8.0), candidate=MeanGain(2.1, 2.0, 0.0), parent=MeanGain(6.0, 2.0, 0.0))


def test_a_figure_json_cannot_hold_is_left_out() -> None:
    verdict = decide(report(certain()), POLICY)
    assert verdict.decision == "fail"
    assert verdict.subjects[0].reasons[0].value is None
    assert verdict.to_json()


@pytest.mark.parametrize(
    ("utility", "decision", "word"),
    [
        (UNCHANGED, "pass", "not worse than the margin"),
        (LOSS, "fail", "worse than the margin"),
        (UNSURE, "inconclusive", "too few users to exclude"),
        # None of n hits was lost: a loss of 3 / n is not excluded.
        ((PairedOutcome(1.0, 1.0, 29),), "inconclusive", "too few users to exclude"),
        ((PairedOutcome(1.0, 1.0, 40),), "pass", "not worse than the margin"),
        ((PairedOutcome(0.0, 0.5, 400),), "inconclusive", "no hit at 10"),
    ],
)
def test_utility(utility: tuple[PairedOutcome, ...], decision: str, word: str) -> None:
    verdict = decide(report(subject(), utility=utility), POLICY)
    assert verdict.decision == decision
    assert word in verdict.reasons[1].detail


def test_the_bootstrap_is_the_one_over_users() -> None:
    """Resampling counts gives the bounds that resampling users one by one gives."""
    policy = replace(POLICY, utility_resamples=4000)
    low, observed, high = bootstrap_bounds(report(utility=UNSURE), policy)
    users = [o.candidate - o.parent for o in UNSURE for _ in range(o.count)]
    generator = np.random.default_rng(1)
    bounds = []
    # With one extra user: one who lost a hit for the lower bound, one who won a hit for the upper bound.
    for one_more, share in ((-1.0, 0.05), (1.0, 0.95)):
        changes = np.array([*users, one_more])
        resampled = changes[generator.integers(0, len(changes), size=(4000, len(changes)))]
        bounds.append(float(np.quantile(resampled.sum(1) / 100, share)))
    assert observed == pytest.approx(-0.07)
    assert [low, high] == pytest.approx(bounds, abs=0.01)
    assert bootstrap_bounds(report(utility=UNSURE), policy) == (low, observed, high)


@pytest.mark.parametrize(
    ("utility", "change"),
    [(UNCHANGED, 0.0), (LOSS, -0.6), (UNSURE, -0.07), ((PairedOutcome(0.0, 0.5, 400),), None)],
)
def test_the_change_of_utility_is_relative_to_the_parent(
    utility: tuple[PairedOutcome, ...], change: float | None
) -> None:
    assert utility_change(report(utility=utility)) == (None if change is None else pytest.approx(change))


@pytest.mark.parametrize(("held_out", "change"), [(HeldOutLoss(0.05, 0.02, 400), -0.0488), (None, None)])
def test_where_nobody_has_a_hit_to_lose_the_likelihoods_count(
    held_out: HeldOutLoss | None, change: float | None
) -> None:
    """exp(-0.05) - 1 of the geometric mean: otherwise a series of edits would spend nothing of the budget."""
    without_hits = replace(report(utility=(PairedOutcome(0.0, 0.5, 400),)), held_out=held_out)
    assert utility_change(without_hits) == (None if change is None else pytest.approx(change, abs=1e-4))
    # With a single hit, the change is that of the ranking.
    with_hits = replace(report(utility=LOSS), held_out=held_out)
    assert utility_change(with_hits) == pytest.approx(-0.6)


def retained_report(utility: tuple[PairedOutcome, ...] = UNCHANGED) -> RetainedReport:
    whole = report(utility=utility)
    return RetainedReport(
        method="refit",
        method_config={},
        exact=True,
        seed=0,
        evaluation=whole.evaluation,
        retained=400,
        retained_available=400,
        metrics=(),
        parent_metrics=(),
        utility=utility,
        cost=whole.cost,
        provenance=whole.provenance,
    )


@pytest.mark.parametrize(
    ("utility", "decision", "published"),
    [(UNCHANGED, "pass", True), (UNSURE, "inconclusive", True), (LOSS, "fail", False)],
)
def test_without_subjects_the_same_utility_rule_decides_alone(
    utility: tuple[PairedOutcome, ...], decision: str, published: bool
) -> None:
    verdict = decide_retained(retained_report(utility), POLICY)
    assert verdict.decision == verdict.run_decision == decision
    assert verdict.reasons == decide(report(subject(), utility=utility), POLICY).reasons[1:3]
    assert verdict.subjects == ()
    assert publishable(verdict, method_is_exact=True, policy=POLICY) is published
    strict = replace(POLICY, exact_may_publish_unproven=False)
    only_proven = publishable(
        decide_retained(retained_report(utility), strict), method_is_exact=True, policy=strict
    )
    assert only_proven is (decision == "pass")


def test_a_report_measured_otherwise_is_refused() -> None:
    with pytest.raises(InvalidReport, match="the policy prescribes"):
        decide_retained(replace(retained_report(), evaluation=EvaluationConfig(smoothing=0.0)), POLICY)
    with pytest.raises(InvalidReport, match="the policy prescribes"):
        decide(report(evaluation=EvaluationConfig(smoothing=0.0)), POLICY)


def verdict_of(found: Report) -> Verdict:
    return decide(found, POLICY)


@pytest.mark.parametrize(
    ("found", "approximate", "exact"),
    [
        (report(subject(0.0)), True, True),
        (report(subject(0.0, parent_z=2.0)), False, True),
        (report(subject(0.0), utility=UNSURE), False, True),
        (report(subject(3.9)), False, True),
        (report(subject(-3.9)), False, True),
        (report(subject(4.1)), False, False),
        (report(subject(0.0), subject(-4.1, index=1)), False, False),
        (report(subject(0.0), utility=LOSS), False, False),
    ],
)
def test_what_may_be_published(found: Report, approximate: bool, exact: bool) -> None:
    verdict = verdict_of(found)
    assert publishable(verdict, method_is_exact=False, policy=POLICY) is approximate
    assert publishable(verdict, method_is_exact=True, policy=POLICY) is exact
    strict = replace(POLICY, exact_may_publish_unproven=False)
    assert publishable(decide(found, strict), method_is_exact=True, policy=strict) is approximate


@pytest.mark.parametrize(
    ("found", "exact", "run", "subjects"),
    [
        (report(subject(0.0), subject(3.0, index=1), subject(0.0, index=2, parent_z=2.0)), False, True, (0,)),
        (
            report(subject(0.0), subject(3.0, index=1), subject(0.0, index=2, parent_z=2.0)),
            True,
            True,
            (0, 1, 2),
        ),
        (report(subject(0.0), subject(4.1, index=1)), True, True, (0,)),
        (report(subject(1.5), subject(1.5, index=1), run=subject(3.0)), False, False, (0, 1)),
        (report(subject(0.0), utility=LOSS), True, False, (0,)),
        (report(subject(0.0), utility=UNSURE), False, False, (0,)),
        (report(subject(0.0), utility=UNSURE), True, True, (0,)),
    ],
)
def test_the_run_and_each_subject_are_let_through_by_themselves(
    found: Report, exact: bool, run: bool, subjects: tuple[int, ...]
) -> None:
    verdict = verdict_of(found)
    assert publishable_run(verdict, method_is_exact=exact, policy=POLICY) is run
    assert publishable_subjects(verdict, method_is_exact=exact, policy=POLICY) == subjects
    everything = run and len(subjects) == len(verdict.subjects)
    assert publishable(verdict, method_is_exact=exact, policy=POLICY) is everything


def test_a_verdict_under_another_policy_publishes_nothing() -> None:
    verdict = verdict_of(report(subject(0.0)))
    other = replace(POLICY, membership_z=1.0)
    assert publishable(verdict, method_is_exact=True, policy=POLICY)
    assert not publishable(verdict, method_is_exact=True, policy=other)
    assert not publishable_run(verdict, method_is_exact=True, policy=other)
    assert publishable_subjects(verdict, method_is_exact=True, policy=other) == ()


def test_a_failure_without_a_figure_is_never_within_the_alarm() -> None:
    verdict = verdict_of(report(certain()))
    assert verdict.reasons[0].measure == MEMBERSHIP
    assert not publishable(verdict, method_is_exact=True, policy=POLICY)


@pytest.mark.parametrize(
    ("held_out", "passed", "binding"),
    [
        (HeldOutLoss(0.05, 0.02, 400), True, True),
        (HeldOutLoss(0.2, 0.02, 400), False, True),
        (HeldOutLoss(0.09, 0.02, 400), None, False),
        # Student's t of 29 degrees of freedom is 1.699 there, of 3 2.353.
        (HeldOutLoss(0.06, 0.0235, 30), True, True),
        (HeldOutLoss(0.06, 0.0236, 30), None, False),
        (HeldOutLoss(0.06, 0.0169, 4), True, True),
        (HeldOutLoss(0.06, 0.0171, 4), None, False),
        (None, None, False),
    ],
)
def test_held_out_likelihood_is_judged_by_its_bounds(
    held_out: HeldOutLoss | None, passed: bool | None, binding: bool
) -> None:
    # 0.1 is the margin; 95 % one-sided bounds lie 1.645 standard errors off.
    reason = decide(replace(report(subject()), held_out=held_out), POLICY).reasons[2]
    assert (reason.measure, reason.high, reason.passed, reason.binding) == (
        "held_out_loss",
        0.1,
        passed,
        binding,
    )


@pytest.mark.parametrize(
    ("held_out", "passed", "limit"),
    [
        # Bounds from -0.12 to 0.22 and to 0.29: no evidence of a loss, and a loss beyond 0.3 is excluded.
        (HeldOutLoss(0.05, 0.1, 30), True, 0.3),
        (HeldOutLoss(0.05, 0.14, 30), True, 0.3),
        (HeldOutLoss(0.05, 0.15, 30), None, 0.1),
        # There is evidence of some loss, of unknown size.
        (HeldOutLoss(0.11, 0.06, 30), None, 0.1),
        (HeldOutLoss(0.3, 0.1, 30), False, 0.1),
    ],
)
def test_few_users_are_held_against_a_wider_margin_where_nothing_speaks_for_a_loss(
    held_out: HeldOutLoss, passed: bool | None, limit: float
) -> None:
    few = report(subject(), utility=(PairedOutcome(1.0, 1.0, 5), PairedOutcome(0.0, 0.0, 25)))
    verdict = decide(replace(few, held_out=held_out), POLICY)
    assert (verdict.reasons[2].passed, verdict.reasons[2].high) == (passed, limit)
    assert ("wide margin" in verdict.reasons[2].detail) is (limit == 0.3)
    assert verdict.run_decision == {True: "pass", None: "inconclusive", False: "fail"}[passed]
    # None of the five hits was lost, but five are too few to decide.
    assert verdict.reasons[1].passed is None


def test_likelihoods_show_what_too_few_hits_cannot() -> None:
    hits = (
        PairedOutcome(1.0, 1.0, 5),
        PairedOutcome(1.0, 0.0, 5),
        PairedOutcome(0.0, 1.0, 5),
        PairedOutcome(0.0, 0.0, 400),
    )
    unclear = replace(report(subject(), utility=hits), held_out=None)
    assert decide(unclear, POLICY).reasons[1].passed is None
    assert decide(unclear, POLICY).run_decision == "inconclusive"
    shown = replace(unclear, held_out=HeldOutLoss(0.0, 0.01, 415))
    ranking = decide(shown, POLICY).reasons[1]
    assert (ranking.passed, ranking.binding) == (None, False)
    assert decide(shown, POLICY).run_decision == "pass"
    worse = replace(shown, utility=(PairedOutcome(1.0, 0.0, 100), PairedOutcome(1.0, 1.0, 315)))
    assert decide(worse, POLICY).run_decision == "fail"


@pytest.mark.parametrize(
    "hits",
    [
        # Six of eight lost and none won: there is evidence of a loss, beyond or within the margin.
        (PairedOutcome(1.0, 0.0, 6), PairedOutcome(1.0, 1.0, 60), PairedOutcome(0.0, 0.0, 349)),
        # Twelve lost and eight won of forty: no evidence of a loss, but -10 % is observed.
        (
            PairedOutcome(1.0, 0.0, 13),
            PairedOutcome(1.0, 1.0, 27),
            PairedOutcome(0.0, 1.0, 8),
            PairedOutcome(0.0, 0.0, 367),
        ),
    ],
    ids=["a small loss is shown", "a large one is observed"],
)
def test_likelihoods_do_not_outweigh_rankings_that_speak_for_a_loss(hits: tuple[PairedOutcome, ...]) -> None:
    found = replace(report(subject(), utility=hits), held_out=HeldOutLoss(0.0, 0.01, 415))
    ranking, likelihood = decide(found, POLICY).reasons[1:3]
    assert (ranking.passed, ranking.binding, likelihood.passed) == (None, True, True)
    assert decide(found, POLICY).run_decision == "inconclusive"
