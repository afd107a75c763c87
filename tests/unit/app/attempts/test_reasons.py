"""What the record says of a rung, in a sentence, from rows that no database has seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from app.attempts.reasons import SkipReason, why_judged, why_judged_for, why_skipped
from app.attempts.schemas import SkippedView
from app.db.models import Attempt, SkippedRung
from app.links import Links

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def reason(
    measure: str, passed: bool | None, detail: str = "because", *, binding: bool = True
) -> dict[str, Any]:
    return {"measure": measure, "value": 1.0, "low": None, "high": None, "passed": passed, "detail": detail,
            "binding": binding}  # fmt: skip


def attempt(
    *reasons: dict[str, Any], subjects: tuple[list[dict[str, Any]], ...] = (), **columns: Any
) -> Attempt:
    verdict = {
        "reasons": list(reasons),
        "subjects": [{"decision": "pass", "reasons": own} for own in subjects],
    }
    return Attempt(
        **{
            "run_id": "run_1", "fence": 1, "number": 0, "step": 0, "requests": ["fr_1", "fr_2"], "method": "refit",
            "config": {}, "policy_hash": "0" * 64, "started_at": NOON, "finished_at": NOON, "decision": "fail",
            "accepted": False, "report": {}, "verdict": verdict, **columns,
        }
    )  # fmt: skip


def test_what_failed_is_told_and_not_what_passed_or_does_not_bind() -> None:
    found = attempt(
        reason("membership_z", True),
        reason("held_out_loss", False, "worse than the margin"),
        reason("neighbour_loss", None, "too few", binding=False),
    )
    assert why_judged(found) == (
        "refused: the check of what it does to the likelihoods for the others failed (worse than the margin)"
    )


def test_what_could_not_be_told_is_told_where_nothing_failed() -> None:
    found = attempt(reason("membership_z", None, "5 training items"), decision="inconclusive")
    assert why_judged(found) == (
        "refused: the check of whether the subject can still be told from people the model never saw could not tell "
        "(5 training items)"
    )


def test_a_measure_of_a_later_release_is_called_by_its_name() -> None:
    assert why_judged(attempt(reason("new_measure", False, "odd"))) == (
        "refused: the check of new_measure failed (odd)"
    )


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        ("pass", "chosen: it passed every check of the gate"),
        ("inconclusive", "chosen: nothing that the gate can tell speaks against it"),
        (
            "fail",
            "chosen: the policy lets it through for those of whom nothing that counts speaks against it",
        ),
    ],
)
def test_what_is_published_says_what_speaks_for_it(decision: str, told: str) -> None:
    found = attempt(reason("membership_z", True), accepted=True, decision=decision)
    assert why_judged(found) == told
    assert why_judged_for(found, "fr_1", serves=True) == told


def test_another_draw_says_so() -> None:
    found = attempt(reason("held_out_loss", False), config={"seed_offset": 7})
    assert why_judged(found).startswith("refused (drawn again with another seed): ")


def test_a_method_that_could_not_run_says_why() -> None:
    found = attempt(verdict={"error": "no head"})
    assert why_judged(found) == "refused: it could not be carried out: no head"
    assert why_judged_for(found, "fr_1", serves=False) == why_judged(found)


def test_a_request_reads_of_the_run_and_of_itself_and_of_nobody_else() -> None:
    found = attempt(
        reason("held_out_loss", False, "the run"),
        subjects=([reason("tail_z", False, "the first")], [reason("tail_z", False, "the second")]),
    )
    told = why_judged_for(found, "fr_2", serves=False)
    assert "the run" in told
    assert "the second" in told
    assert "the first" not in told


def test_what_nothing_speaks_against_and_does_not_serve_is_not_called_refused() -> None:
    found = attempt(reason("membership_z", True), subjects=([reason("tail_z", True)],) * 2, accepted=True)
    assert why_judged_for(found, "fr_1", serves=False).startswith("not what serves the request")


def test_company_that_keeps_somebody_from_being_let_through_is_told_to_them_and_to_the_run() -> None:
    """Two pass alone, one fails, and the two lie outside the band together: nobody is let through."""
    together = reason("membership_z_of_those_let_through", False, "2 of 3 subjects", binding=False)
    passing, failing = [reason("membership_z", True)], [reason("membership_z", False, "known")]
    found = attempt(
        reason("membership_z", True), together, subjects=(passing, failing, passing), requests=["a", "b", "c"]
    )
    assert why_judged(found) == (
        "refused: the check of whether those let through can be told together failed (2 of 3 subjects)"
    )
    assert why_judged_for(found, "a", serves=False) == why_judged(found)
    assert "known" in why_judged_for(found, "b", serves=False)
    assert "2 of 3" not in why_judged_for(found, "b", serves=False)
    # An exact method is not asked.
    found.report = {"exact": True}
    assert "2 of 3" not in why_judged_for(found, "a", serves=False)


def test_a_batch_that_failed_is_told_to_those_in_it() -> None:
    batch = reason("membership_z_of_undecided_subjects", False, "2 subjects: still known", binding=False)
    unclear, passing = [reason("membership_z", None, "too little")], [reason("membership_z", True)]
    found = attempt(
        reason("membership_z", True), batch, subjects=(unclear, unclear, passing), requests=["a", "b", "c"]
    )
    found.verdict["batch"] = [0, 1]
    told = why_judged_for(found, "a", serves=False)
    assert "too little" in told
    assert "can be told together failed (2 subjects: still known)" in told
    assert "still known" not in why_judged_for(found, "c", serves=False)


def test_whoever_is_refused_first_says_why_nobody_is_let_through() -> None:
    found = attempt(
        reason("membership_z", True),
        subjects=([reason("membership_z", True)], [reason("tail_z", False, "two items")]),
    )
    assert why_judged(found).endswith("failed (two items)")


def test_an_exact_fit_is_not_said_to_be_refused_for_what_none_is_refused_for() -> None:
    found = attempt(
        reason("neighbour_loss", False, "the neighbours"),
        reason("held_out_loss", False, "worse for the others"),
        report={"exact": True},
    )
    assert "worse for the others" in why_judged(found)
    assert "the neighbours" not in why_judged(found)


def test_what_an_earlier_release_recorded_can_be_read() -> None:
    found = attempt(subjects=([], []))
    found.verdict["subjects"] = [{"decision": "fail", "reason": reason("membership_z", False, "known")}]
    assert "known" in why_judged_for(found, "fr_1", serves=False)


@pytest.mark.parametrize("code", [*SkipReason, "of_a_later_release"])
def test_what_was_skipped_says_why(code: str) -> None:
    row = SkippedRung(
        run_id="run_1", fence=1, step=2, requests=["fr_1"], method="ucan", config={"threshold": 0.5},
        rung_digest="0" * 64, code=code, detail="passed in 0 of 12", skipped_at=NOON,
    )  # fmt: skip
    view = SkippedView.of(row, Links())
    assert (view.step, view.method, view.reason, view.run) == (2, "ucan", code, "/runs/run_1")
    assert view.why == why_skipped(code, "passed in 0 of 12")
    assert view.why.startswith("skipped: ")
    assert view.why.endswith("passed in 0 of 12")
