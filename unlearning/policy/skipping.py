"""When a rung of the ladder is not worth its time any more, by the service's own record. Pure arithmetic.

A rung that is refused in every run costs each of them its time and serves nobody. Whether that is so differs from one
service to the next, so no default ladder can know it: the record of the runs does. Skipping it is never final. It is
tried again as soon as the live version is a fit on newer events, and otherwise now and then; and once it has passed, it
is tried in the next run too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from unlearning.errors import InvalidPolicy

# As many of the latest runs tell about a rung.
MOST_RUNS = 50


@dataclass(frozen=True)
class Skipping:
    """How sure the record must be.

    Attributes:
        min_runs: runs that have tried the rung, below which it is not judged; at most as many as its record holds.
        max_pass_share: a rung is skipped only if it surely passes in less than this share of the runs.
        confidence: of the one-sided bound on that share (Wilson 1927).
        try_again_every: of so many runs that would skip it, one tries it.

    Raises:
        InvalidPolicy: a number out of range.
    """

    min_runs: int = 12
    max_pass_share: float = 0.2
    confidence: float = 0.95
    try_again_every: int = 20

    def __post_init__(self) -> None:
        for name in ("min_runs", "try_again_every"):
            if getattr(self, name) < 1:
                raise InvalidPolicy(f"skipping.{name} must be at least 1, not {getattr(self, name)}")
        if self.min_runs > MOST_RUNS:
            raise InvalidPolicy(
                f"skipping.min_runs must be at most {MOST_RUNS}, as many runs as a record holds, not {self.min_runs}"
            )
        if not 0 < self.max_pass_share <= 1:
            raise InvalidPolicy(
                f"skipping.max_pass_share must be above 0 and at most 1, not {self.max_pass_share}"
            )
        if not 0.5 < self.confidence < 1:
            raise InvalidPolicy(f"skipping.confidence must be between 0.5 and 1, not {self.confidence}")


@dataclass(frozen=True)
class TrackRecord:
    """What became of one rung in the latest runs that tried it, all with the same configuration, base and gate.

    Attributes:
        runs: how many tried it.
        passed: in how many it served somebody.
        passed_last: whether it did in the latest of them.
        seconds: mean time that a run spent on it.
        seconds_after: mean time that the rungs behind it took where it served nobody: what it saves where it passes.
        same_fit: whether the latest of them edited a fit on the same events as the live version is of.
        skipped_since: runs that have skipped it since.
    """

    runs: int
    passed: int
    passed_last: bool
    seconds: float
    seconds_after: float
    same_fit: bool
    skipped_since: int


def wilson(share: float, count: float, z: float) -> tuple[float, float]:
    """Both ends of Wilson's interval for a share of `count` trials, `z` standard deviations wide on either side.

    `count` need not be whole, as libraries ask for: dependent trials count for fewer than there are.
    """
    square = z**2
    middle = (share + square / (2 * count)) / (1 + square / count)
    half = z * math.sqrt(share * (1 - share) / count + square / (4 * count**2)) / (1 + square / count)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def highest_share(passed: int, runs: int, confidence: float) -> float:
    """The upper end of Wilson's one-sided interval for a share of which `passed` of `runs` were seen."""
    return wilson(passed / runs, runs, NormalDist().inv_cdf(confidence))[1]


def why_skip(record: TrackRecord, rules: Skipping) -> str | None:
    """Why the next run should do without the rung, in plain words; None where it should try it.

    It should where it may still pass often enough, where it costs less than it may save (cheap rungs before a dear one
    pay even if they seldom pass), where it passed last time, and where its turn to be tried again has come.
    """
    if record.runs < rules.min_runs or record.passed_last or not record.same_fit:
        return None
    if record.skipped_since + 1 >= rules.try_again_every:
        return None
    share = highest_share(record.passed, record.runs, rules.confidence)
    if share >= rules.max_pass_share or record.seconds <= share * record.seconds_after:
        return None
    return (
        f"passed in {record.passed} of the last {record.runs} runs that tried it; it takes {record.seconds:.1f} s of a "
        f"run, and even if it passed in {share:.0%} of them, the most that this record leaves open, it would save "
        f"{share * record.seconds_after:.1f} s of one in the mean"
    )
