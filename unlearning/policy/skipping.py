"""When a run skips a rung, by the service's own track record. Pure arithmetic.

A rung that is refused in every run costs time and serves nobody. Which rungs those are differs between services, so a
default ladder cannot know them; the record of earlier runs does. Skipping is never final. The rung is tried again as
soon as the live version is a fit on newer events, and otherwise from time to time. Once it has passed, the next run
tries it too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from unlearning.errors import InvalidPolicy

# The track record of a rung covers at most this many of the latest runs.
MOST_RUNS = 50


@dataclass(frozen=True)
class Skipping:
    """How certain the record must be before a rung is skipped.

    Attributes:
        min_runs: fewest runs that must have tried the rung; at most as many as its record holds.
        max_pass_share: a rung is skipped only if the bound on its share of passes lies below this.
        confidence: confidence of the one-sided bound on that share (Wilson 1927).
        try_again_every: one in this many runs that would skip the rung tries it.

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
    """The results of one rung in the latest runs that tried it, all with the same configuration, base and gate.

    Attributes:
        runs: how many runs tried it.
        passed: in how many of them it served at least one subject.
        passed_last: whether that was so in the latest of them.
        seconds: mean time that a run spent on it.
        seconds_after: mean time of the later rungs in runs where it served nobody: the time that it saves when it
            passes.
        same_fit: whether the latest of these runs edited a fit on the same events as the live version's.
        skipped_since: number of runs that have skipped it since.
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
    """Wilson's one-sided upper bound on the share of passes, after `passed` passes in `runs` runs."""
    return wilson(passed / runs, runs, NormalDist().inv_cdf(confidence))[1]


def why_skip(record: TrackRecord, rules: Skipping) -> str | None:
    """Why the next run should skip the rung, in plain words; None if the run should try it.

    A run tries the rung if it may still pass often enough, if it costs less than it may save (a cheap rung before an
    expensive one pays even if it seldom passes), if it passed last time, or if it is due to be tried again.
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
