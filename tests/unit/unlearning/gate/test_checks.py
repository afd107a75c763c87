"""The gate's checks, on evidence made up by hand."""

from dataclasses import replace

import pytest

from tests.unit.unlearning.examples import POLICY, reason_of, report, subject
from unlearning import Report, decide, publishable
from unlearning.evaluation.report import (
    DurabilityEvidence,
    NeighbourEvidence,
    RelearningEvidence,
    SubjectEvidence,
    TailGain,
)
from unlearning.gate.checks import HELD_OUT, NEIGHBOURS, RELEARNED, ROUNDING, TAIL
from unlearning.gate.verdict import Reason

Figures = tuple[float | None, float | None, float | None, bool | None, bool]


def figures(reason: Reason) -> Figures:
    value = None if reason.value is None else round(reason.value, 9)
    return (value, reason.low, reason.high, reason.passed, reason.binding)


def attacked(*nll: float) -> RelearningEvidence:
    return RelearningEvidence(2, 11, 99, tuple(range(len(nll))), nll)


def durable(z: float = 0.0, relearning: RelearningEvidence | None = None) -> DurabilityEvidence:
    """The band of `subject()` reaches from gain 2.0, its middle, by 0.5 a deviation."""
    return DurabilityEvidence(rounded_gain=2.0 + 0.5 * z, relearning=relearning)


def with_tail(z: float, items: int = 50, *, index: int = 0) -> SubjectEvidence:
    return replace(subject(index=index), tail=TailGain(items, 1.5 + 0.25 * z, 1.5, 0.25))


@pytest.mark.parametrize(
    ("evidence", "expected", "decision", "word"),
    [
        (
            NeighbourEvidence(50, 0.25, 0.1),
            (0.25, None, 0.25, True, True),
            "pass",
            "on held-out items +0.100",
        ),
        (NeighbourEvidence(50, -0.4, 0.0), (-0.4, None, 0.25, True, True), "pass", "kept theirs"),
        (
            NeighbourEvidence(10, 0.26, 0.0),
            (0.26, None, 0.25, False, True),
            "fail",
            "mean over 10 neighbours",
        ),
        # Student's t of three degrees of freedom is 2.353 at 95 %.
        (NeighbourEvidence(4, 0.9, 0.0, 0.38), (0.9, None, 0.25, False, True), "fail", "were harmed"),
        (NeighbourEvidence(4, 0.9, 0.0, 0.39), (0.9, None, 0.25, None, False), "pass", "harm from none"),
        (NeighbourEvidence(1, 0.9, 0.0), (None, None, 0.25, None, False), "pass", "one neighbour"),
        (None, (None, None, 0.25, None, False), "pass", "no neighbours were measured"),
    ],
)
def test_neighbours(evidence: NeighbourEvidence | None, expected: Figures, decision: str, word: str) -> None:
    verdict = decide(report(neighbours=evidence), POLICY)
    reason = reason_of(verdict, NEIGHBOURS)
    assert figures(reason) == expected
    assert word in reason.detail
    assert verdict.decision == verdict.run_decision == decision


@pytest.mark.parametrize(
    ("z", "passed", "word"),
    [(1.9, True, "still inside"), (2.1, False, "leads out"), (-2.1, False, "leads out")],
)
def test_rounding_has_to_stay_in_the_same_band(z: float, passed: bool, word: str) -> None:
    verdict = decide(report(durability=durable(z)), POLICY)
    reason = reason_of(verdict, ROUNDING)
    assert figures(reason) == (z, -2.0, 2.0, passed, True)
    assert word in reason.detail
    assert verdict.decision == ("pass" if passed else "fail")


@pytest.mark.parametrize(
    ("found", "word"),
    [
        (report(subject(member_z=2.4), durability=durable(9.0)), "too little to tell"),
        (report(durability=durable(9.0), reference_users=49), "49 retained users"),
        (report(), "not measured"),
    ],
)
def test_rounding_is_not_judged_where_membership_cannot_be(found: Report, word: str) -> None:
    reason = reason_of(decide(found, POLICY), ROUNDING)
    assert figures(reason) == (None, -2.0, 2.0, None, False)
    assert word in reason.detail


@pytest.mark.parametrize(
    ("relearning", "expected", "decision", "word"),
    [
        (attacked(3.0, 2.5, 2.75), (0.5, None, 0.5, True, True), "pass", "2 steps on 11 items of 2 subjects"),
        (attacked(3.0, 2.375, 2.5), (0.625, None, 0.5, False, True), "fail", "hidden, not forgotten"),
        (attacked(3.0, 3.5), (0.0, None, 0.5, True, True), "pass", "measured on 99 others"),
        (None, (None, None, 0.5, None, False), "pass", "no attack"),
    ],
)
def test_relearning(
    relearning: RelearningEvidence | None, expected: Figures, decision: str, word: str
) -> None:
    verdict = decide(report(durability=durable(relearning=relearning)), POLICY)
    reason = reason_of(verdict, RELEARNED)
    assert figures(reason) == expected
    assert word in reason.detail
    assert verdict.decision == decision


@pytest.mark.parametrize(
    ("evidence", "users", "expected", "decision"),
    [
        (with_tail(3.0), 400, (3.0, None, 3.0, True, True), "pass"),
        (with_tail(-9.0), 400, (-9.0, None, 3.0, True, True), "pass"),
        (with_tail(3.1), 400, (3.1, None, 3.0, False, True), "fail"),
        (with_tail(3.1, items=5), 400, (3.1, None, 3.0, False, True), "fail"),
        (with_tail(3.1), 49, (None, None, 3.0, None, False), "inconclusive"),
        (subject(), 400, (None, None, 3.0, None, False), "pass"),
    ],
)
def test_tail(evidence: SubjectEvidence, users: int, expected: Figures, decision: str) -> None:
    verdict = decide(report(evidence, reference_users=users), POLICY)
    assert figures(reason_of(verdict, TAIL)) == expected
    assert figures(verdict.subjects[0].reasons[1]) == expected
    assert verdict.subjects[0].decision == verdict.decision == decision


def test_a_subject_whose_tail_stands_out_fails_alone() -> None:
    verdict = decide(report(with_tail(0.0), with_tail(4.0, index=1)), POLICY)
    assert [one.decision for one in verdict.subjects] == ["pass", "fail"]
    assert (verdict.run_decision, verdict.decision) == ("pass", "fail")


def test_a_tail_of_no_width_is_no_figure() -> None:
    sure = replace(subject(), tail=TailGain(50, 2.0, 1.5, 0.0))
    verdict = decide(report(sure), POLICY)
    assert figures(reason_of(verdict, TAIL)) == (None, None, 3.0, False, True)
    assert verdict.to_json()
    same = replace(subject(), tail=TailGain(50, 0.0, 0.0, 0.0))
    assert decide(report(same), POLICY).decision == "pass"


@pytest.mark.parametrize(
    ("found", "exact"),
    [
        # Neighbours lose when anybody leaves, and any model learns from a hint.
        (report(neighbours=NeighbourEvidence(50, 2.0, 0.5)), True),
        (report(durability=durable(relearning=attacked(4.0, 1.0))), True),
        # Up to exact_alarm_z = 4 this may be chance; beyond it, it is not.
        (report(durability=durable(3.9)), True),
        (report(durability=durable(4.1)), False),
        (report(with_tail(3.9)), True),
        (report(with_tail(4.1)), False),
    ],
)
def test_what_an_exact_method_may_fail(found: Report, exact: bool) -> None:
    verdict = decide(found, POLICY)
    assert verdict.decision == "fail"
    assert not publishable(verdict, method_is_exact=False, policy=POLICY)
    assert publishable(verdict, method_is_exact=True, policy=POLICY) is exact


def test_a_small_installation_publishes_exact_methods_as_before() -> None:
    small = report(
        subject(items=4), neighbours=NeighbourEvidence(1, 1.0, 1.0), durability=durable(), reference_users=4
    )
    verdict = decide(small, POLICY)
    assert verdict.decision == "inconclusive"
    assert [reason.measure for reason in verdict.reasons if not reason.binding] == [
        HELD_OUT,
        NEIGHBOURS,
        ROUNDING,
        RELEARNED,
        TAIL,
    ]
    assert publishable(verdict, method_is_exact=True, policy=POLICY)


def test_the_evidence_of_all_checks_survives_the_round_trip() -> None:
    found = report(
        with_tail(1.0),
        neighbours=NeighbourEvidence(50, 0.1, -0.2),
        durability=durable(1.0, attacked(3.0, 2.5)),
    )
    again = Report.from_json(found.to_json())
    assert again == found
    assert decide(again, POLICY) == decide(found, POLICY)
    assert Report.from_json(report().to_json()) == report()
