"""How a long computation reports its progress, and how its caller stops it.

What the caller does with the progress (draw a bar, renew a lease) is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypedDict

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


class Watched(TypedDict, total=False):
    """The arguments by which a long computation is watched, for those that hand them on."""

    on_step: OnStep | None
    should_stop: ShouldStop | None


def check_stop(should_stop: ShouldStop | None) -> None:
    """Raise Interrupted if the caller wants the work to end."""
    if should_stop is not None and should_stop():
        raise Interrupted("the computation was asked to stop")
