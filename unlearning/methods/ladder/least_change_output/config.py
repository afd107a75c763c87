"""The configuration of least change in the output layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.errors import InvalidMethodConfig


@dataclass(frozen=True)
class LeastChangeOutputConfig:
    """How the edit is solved for.

    Attributes:
        rounds: most times that losses and gradients are taken anew and the equations solved again, once every subject
            is within a stride of its level.
        stride: nats; the most that a round asks of a subject. A long way is walked in rounds more, at most sixteen: the
            equations hold near where they were taken, and beyond that a step takes everything from everybody.
        close_enough: nats; root mean square of the subjects' gaps at which no further round is taken.
        retain_prompts: prompts of random retained users that tell what a change costs the others; more where they are
            so short that they hold fewer than `retain_positions` positions.
        retain_positions: most positions of these prompts that are looked at besides the last, which always is.
        damping: share of the mean item's cost that is added to every row's, so that none moves without bound.
        ridge: share of their mean that is added to the diagonal of the subjects' own equations; more of it keeps two
            subjects whose gradients nearly agree from pulling the layer apart.
        refinements: most steps of conjugate gradients by which a round's step is made cheaper for the others. 0
            leaves the closed form alone.
        tolerance: share of its start at which the residual of these steps is small enough.
        halvings: most halvings of what makes a step cheaper, if it does not halve the gap with it, and then of the
            step.
        together: most subjects whose equations are solved at once. Their gradients are held in memory; more subjects
            are taken group by group within each round.
        batch_size: most windows in a batch.

    Raises:
        InvalidMethodConfig: a value out of range.
    """

    rounds: int = 4
    stride: float = 3.0
    close_enough: float = 0.01
    retain_prompts: int = 128
    retain_positions: int = 4096
    damping: float = 0.1
    ridge: float = 1e-3
    refinements: int = 10
    tolerance: float = 0.01
    halvings: int = 4
    together: int = 128
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name in ("rounds", "retain_prompts", "retain_positions", "together", "batch_size"):
            if getattr(self, name) < 1:
                raise InvalidMethodConfig(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("damping", "ridge", "stride"):
            if not 0 < getattr(self, name) < math.inf:
                raise InvalidMethodConfig(f"{name} must be positive, not {getattr(self, name)}")
        for name in ("close_enough", "refinements", "tolerance", "halvings"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InvalidMethodConfig(f"{name} must be finite and at least 0, not {getattr(self, name)}")
