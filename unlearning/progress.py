"""How a long computation tells its caller where it stands, and how the caller stops it.

The caller may draw a progress bar or renew a lease; nothing here knows which.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from recommender import Interrupted

Stage = Literal[
    "activations",
    "descent",
    "importance",
    "hessian",
    "re-fit",
    "cross-fit",
    "cross-fit elsewhere",
    "evaluation",
    "repair",
]


@dataclass(frozen=True)
class Progress:
    """`step` of `steps` (from 1) within a stage; `loss` is the training loss where the stage trains."""

    stage: Stage
    step: int
    steps: int
    loss: float | None = None


OnStep = Callable[[Progress], None]
ShouldStop = Callable[[], bool]


def check_stop(should_stop: ShouldStop | None) -> None:
    """Raise Interrupted if the caller wants the work to end; nothing was produced then."""
    if should_stop is not None and should_stop():
        raise Interrupted("the computation was asked to stop")
