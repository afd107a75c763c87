"""Several subjects together: those who are inconclusive alone, and those who are let through."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.unit.unlearning.examples import POLICY, reason_of, report, subject
from unlearning import Verdict, decide, publishable, publishable_run, publishable_subjects
from unlearning.evaluation.report import MeanGain, NeverSeenGain, Report, SubjectEvidence, TailGain
from unlearning.gate.decision import BATCH, LET_THROUGH
from unlearning.policy.strata import Stratum

BALANCED = subject(0.0)  # the run's evidence, in tests where it does not matter


def placed(z: float, index: int, *, member_z: float = 1.5, items: int = 50) -> SubjectEvidence:
    """A subject at `z` in the band of a known level; with a z of 1.5 as a member there was nothing to forget."""
    known = NeverSeenGain(expected=1.0, deviation=0.4, seen=1.0 + 0.4 * member_z)
    return replace(
        subject(0.0, index=index, items=items),
        never_seen=known,
        memory=1.5 * known.deviation,
        candidate=MeanGain(known.expected + z * known.deviation, 0.0, 1.0),
        parent=MeanGain(known.expected + 0.1, 0.0, 1.0),
    )


def batch_of(*places: float, member_z: float = 1.5, items: int = 50) -> tuple[SubjectEvidence, ...]:
    return tuple(placed(z, index, member_z=member_z, items=items) for index, z in enumerate(places))


def judged(*subjects: SubjectEvidence, run: SubjectEvidence = BALANCED) -> Verdict:
    return decide(report(*subjects, run=run), POLICY)


def test_what_edits_for_others_took_from_a_member_is_no_lack_of_evidence() -> None:
    # The parent, edited for others, shows nothing of the subject any more. The fit that read the subject did.
    assert judged(placed(0.1, 0, member_z=2.5)).subjects[0].decision == "pass"
    assert judged(placed(0.1, 0, member_z=1.9)).subjects[0].decision == "inconclusive"


def let_through(verdict: Verdict) -> tuple[int, ...]:
    return publishable_subjects(verdict, method_is_exact=False, policy=POLICY)


@pytest.mark.parametrize(
    ("subjects", "passed", "word"),
    [
        (batch_of(0.3, 0.3, 0.3, 0.3), True, "inside the band"),
        (batch_of(0.9, -1.2, 0.4, 0.0), True, "inside the band"),
        (batch_of(1.4, 1.4, 1.4, 1.4), False, "still predicted better"),
        (batch_of(-1.4, -1.4, -1.4, -1.4), False, "over-forgotten"),
        # Two subjects at 1.3 deviations are at 1.8 together; nine subjects at 0.1 are at 0.3.
        (batch_of(0.3, 0.3, member_z=1.3), None, "nothing measurable to forget"),
        (batch_of(*[0.0] * 9, member_z=0.1), None, "nothing measurable to forget"),
    ],
)
def test_what_nobody_tells_alone_the_batch_may(
    subjects: tuple[SubjectEvidence, ...], passed: bool | None, word: str
) -> None:
    verdict = judged(*subjects)
    everybody = tuple(range(len(subjects)))
    assert {one.decision for one in verdict.subjects} == {"inconclusive"}
    assert verdict.batch == everybody
    reason = reason_of(verdict, BATCH)
    assert (reason.passed, reason.binding) == (passed, False)
    assert word in reason.detail
    assert let_through(verdict) == (everybody if passed else ())
    assert publishable_run(verdict, method_is_exact=False, policy=POLICY)
    assert publishable(verdict, method_is_exact=False, policy=POLICY) is (passed is True)


@pytest.mark.parametrize("items", [1, 2, 9])
def test_how_much_a_member_shows_decides_and_not_how_many_items(items: int) -> None:
    verdict = judged(
        *batch_of(0.2, -0.1, items=items, member_z=2.1), placed(0.0, 2, items=items, member_z=1.9)
    )
    assert [one.decision for one in verdict.subjects] == ["pass", "pass", "inconclusive"]
    assert let_through(verdict) == (0, 1)


def test_nothing_is_decided_about_histories_that_nobody_measured() -> None:
    policy = replace(POLICY, strata=(Stratum(1, False), Stratum(3, True), Stratum(10, False)))
    subjects = [
        placed(0.1, index, items=items, member_z=5.0) for index, items in enumerate((2, 3, 9, 10, 400))
    ]
    verdict = decide(report(*subjects, run=BALANCED), policy)
    words = [one.decision for one in verdict.subjects]
    assert words == ["inconclusive", "pass", "pass", "inconclusive", "inconclusive"]
    assert "2 training items: about histories of 1 and more" in verdict.subjects[0].reasons[0].detail
    # Not a fail either: true re-fits may fail there as well, except beyond the alarm (see below).
    known = placed(3.9, 0, items=2, member_z=9.0)
    assert decide(report(known, run=known), policy).decision == "inconclusive"


def test_a_known_level_needs_no_others_to_compare_with() -> None:
    known = placed(0.1, 0, member_z=3.0)
    assert decide(report(known, run=known, reference_users=2), POLICY).decision == "pass"
    guessed = subject(0.1)
    assert decide(report(guessed, run=guessed, reference_users=2), POLICY).decision == "inconclusive"


@pytest.mark.parametrize("places", [(6.0, -6.0), (3.0, -3.0, 3.0, -3.0), (2.1, -0.7, -0.7, -0.7)])
def test_who_lies_outside_the_band_is_not_hidden_by_the_others(places: tuple[float, ...]) -> None:
    verdict = judged(*batch_of(*places, member_z=1.5))
    inside = tuple(index for index, z in enumerate(places) if abs(z) <= POLICY.membership_z)
    assert set(let_through(verdict)) <= set(inside)
    assert set(verdict.batch) <= set(inside)


def test_the_batch_holds_only_those_of_whom_nothing_is_told_alone() -> None:
    verdict = judged(*batch_of(0.3, 0.3, 0.3, 0.3), subject(0.0, index=4), subject(3.0, index=5))
    assert verdict.batch == (0, 1, 2, 3)
    assert reason_of(verdict, BATCH).detail.startswith("4 subjects")
    assert let_through(verdict) == (0, 1, 2, 3, 4)


def test_predicted_levels_make_no_batch() -> None:
    guessed = replace(placed(0.3, 3), never_seen=None, memory=0.1)
    for verdict in (judged(*batch_of(0.3, 0.3, 0.3), guessed), judged(placed(0.3, 0))):
        assert BATCH not in [reason.measure for reason in verdict.reasons]
        assert verdict.batch == ()
        assert let_through(verdict) == ()


def test_what_objects_to_a_subject_the_batch_does_not_excuse() -> None:
    members = list(batch_of(0.3, 0.3, 0.3, 0.3))
    members[2] = replace(members[2], tail=TailGain(items=40, gain=5.0, expected=0.0, deviation=0.5))
    verdict = judged(*members)
    assert reason_of(verdict, BATCH).passed
    assert let_through(verdict) == (0, 1, 3)


def test_a_known_level_needs_no_typical_member() -> None:
    """A result together says nothing about a subject who fails alone."""
    weak = replace(placed(0.0, 0, member_z=4.0), memory=0.01)
    assert judged(weak, run=weak).decision == "pass"
    predicted = replace(subject(0.0), memory=0.01)
    assert judged(predicted, run=predicted).decision == "inconclusive"


def unbalanced() -> Report:
    """Five subjects are a little too well known and two are over-forgotten: the mean is right."""
    known = [placed(1.5, index, member_z=5.0) for index in range(5)]
    return report(*known, *(placed(-3.75, index, member_z=5.0) for index in (5, 6)), run=BALANCED)


def test_those_who_are_refused_do_not_answer_for_those_who_are_not() -> None:
    verdict = decide(unbalanced(), POLICY)
    assert [one.decision for one in verdict.subjects] == ["pass"] * 5 + ["fail"] * 2
    assert publishable_run(verdict, method_is_exact=False, policy=POLICY)
    reason = reason_of(verdict, LET_THROUGH)
    assert (reason.passed, reason.value) == (False, pytest.approx(1.5 * 5**0.5))
    assert "balanced" in reason.detail
    assert let_through(verdict) == ()


def test_an_exact_method_never_read_any_of_them() -> None:
    verdict = decide(unbalanced(), POLICY)
    everybody = tuple(range(7))
    assert publishable_subjects(verdict, method_is_exact=True, policy=POLICY) == everybody
    strict = replace(POLICY, exact_may_publish_unproven=False)
    verdict = decide(unbalanced(), strict)
    assert publishable_subjects(verdict, method_is_exact=True, policy=strict) == ()


def test_company_that_lies_inside_the_band_is_let_through() -> None:
    verdict = judged(*(placed(0.5, index, member_z=5.0) for index in range(5)), placed(3.0, 5, member_z=5.0))
    assert reason_of(verdict, LET_THROUGH).passed
    assert let_through(verdict) == (0, 1, 2, 3, 4)


def test_who_must_not_be_decided_about_alone_is_not_decided_about_in_a_batch() -> None:
    """Four histories of three events do not count as one of twelve."""
    closed = replace(POLICY, strata=(Stratum(1, False), Stratum(6, True)))
    verdict = decide(report(*batch_of(0.3, 0.3, 0.3, 0.3, items=3), run=BALANCED), closed)
    assert verdict.batch == ()
    assert publishable_subjects(verdict, method_is_exact=False, policy=closed) == ()


@pytest.mark.parametrize(("z", "publishable_all_the_same"), [(3.9, True), (-30.0, True), (4.1, False)])
def test_whoever_is_known_beyond_the_alarm_is_not_published_however_short_the_history(
    z: float, publishable_all_the_same: bool
) -> None:
    """A fit that read the subject under another name would show this z, at a length that the policy leaves out."""
    closed = replace(POLICY, strata=(Stratum(1, False), Stratum(6, True)), exact_alarm_z=4.0)
    verdict = decide(report(placed(z, 0, items=3, member_z=40.0), run=placed(z, -1, items=3)), closed)
    assert publishable(verdict, method_is_exact=True, policy=closed) is publishable_all_the_same
    assert not publishable(verdict, method_is_exact=False, policy=closed)
    # A band predicted from other users is no evidence of that.
    guessed = replace(subject(9.0, items=3), never_seen=None)
    verdict = decide(report(guessed), closed)
    assert publishable(verdict, method_is_exact=True, policy=closed)
