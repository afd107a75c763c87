"""The gate's verdict on a candidate, with its reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from unlearning.records import canonical_json

Decision = Literal["pass", "fail", "inconclusive"]


@dataclass(frozen=True)
class Reason:
    """One measure against its bounds; `low` or `high` is None where that side is open.

    `passed` is None where the data cannot decide. `value` is None where there is no figure. A reason that is not
    `binding` is only kept on record: a check that could not be made, and that a pass does not need.
    """

    measure: str
    value: float | None
    low: float | None
    high: float | None
    passed: bool | None
    detail: str
    binding: bool = True

    @property
    def decision(self) -> Decision:
        """`passed` in the verdict's words."""
        if self.passed is None:
            return "inconclusive"
        return "pass" if self.passed else "fail"


@dataclass(frozen=True)
class SubjectVerdict:
    """The gate's verdict on one subject, the worst of `reasons`; `index` is the index in the task's `forget`."""

    index: int
    decision: Decision
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Verdict:
    """The gate's verdict on a candidate.

    `decision` is the worst of all decisions, `run_decision` the worst of `reasons` (utility, all subjects together, and
    the effects on others). A run whose `run_decision` is pass may be published for the subjects that pass. `batch`
    holds the indices of the subjects who are inconclusive alone and were judged together; that judgement is among the
    reasons.
    """

    decision: Decision
    run_decision: Decision
    reasons: tuple[Reason, ...]
    subjects: tuple[SubjectVerdict, ...]
    policy_hash: str
    batch: tuple[int, ...] = ()

    def to_json(self) -> str:
        """Canonical JSON, for the record of attempts."""
        return canonical_json(self).decode()


def worst_of(reasons: Sequence[Reason]) -> Decision:
    """The worst of the reasons that bind."""
    return worst([reason.decision for reason in reasons if reason.binding])


def worst(decisions: Sequence[Decision]) -> Decision:
    """Fail if any of them is, else inconclusive if any of them is, else pass; inconclusive if there are none."""
    for decision in ("fail", "inconclusive"):
        if decision in decisions:
            return decision
    return "pass" if decisions else "inconclusive"
