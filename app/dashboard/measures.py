"""Attempts as pages show them: each measure with its words and its bullet chart, and the search as a curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.attempts.reasons import CHECKS
from app.attempts.schemas import AttemptView, MeasureView, RequestAttemptView, SubjectVerdictView
from app.dashboard.charts import Bullet, Curve, bullet, curve
from app.dashboard.words import short, tail

# More subjects than these are told by their number only.
_SUBJECTS_SHOWN = 12


@dataclass(frozen=True)
class Measured:
    """One measure. ``sign`` is what the eye needs beside the colour: ✓, ✗ or ?."""

    name: str
    about: str
    view: MeasureView
    chart: Bullet
    sign: str
    verdict: str


@dataclass(frozen=True)
class Subject:
    """The verdict on one request of an attempt."""

    request: str | None
    decision: str
    in_batch: bool
    measures: list[Measured]


@dataclass(frozen=True)
class Tried:
    """An attempt with what is drawn of it."""

    view: AttemptView | RequestAttemptView
    run: str
    error: str | None
    measures: list[Measured]
    subjects: list[Subject]
    more_subjects: int
    search: Curve | None


def of_request_attempt(attempt: RequestAttemptView) -> Tried:
    """An attempt as one request may see it."""
    return Tried(
        view=attempt,
        run=short(tail(attempt.run)),
        error=attempt.error,
        measures=_measured(attempt.reasons),
        subjects=[] if attempt.subject is None else [_subject(attempt.subject)],
        more_subjects=0,
        search=searched(attempt.search),
    )


def of_attempt(attempt: AttemptView, run_id: str) -> Tried:
    """An attempt as its run shows it."""
    verdict = attempt.verdict
    return Tried(
        view=attempt,
        run=short(run_id),
        error=verdict.error,
        measures=_measured(verdict.reasons),
        subjects=[_subject(one) for one in verdict.subjects[:_SUBJECTS_SHOWN]],
        more_subjects=max(0, len(verdict.subjects) - _SUBJECTS_SHOWN),
        search=searched(attempt.search),
    )


def searched(search: dict[str, Any] | None) -> Curve | None:
    """The trail of a search: z of the membership test at each strength; the search wants 0."""
    if search is None:
        return None
    return curve([(trial["value"], trial["z"]) for trial in search.get("trail", [])], target=0.0)


def _subject(subject: SubjectVerdictView) -> Subject:
    return Subject(subject.request, subject.decision, subject.in_batch, _measured(subject.reasons))


def _measured(measures: Sequence[MeasureView]) -> list[Measured]:
    signs: dict[bool | None, tuple[str, str]] = {
        True: ("✓", "passed"),
        False: ("✗", "failed"),
        None: ("?", "could not tell"),
    }
    return [
        Measured(
            name=measure.measure,
            about=CHECKS.get(measure.measure, measure.measure.replace("_", " ")),
            view=measure,
            chart=bullet(measure.value, measure.low, measure.high),
            sign=signs[measure.passed][0] if measure.binding else "–",
            verdict=signs[measure.passed][1] if measure.binding else "does not decide",
        )
        for measure in measures
    ]
