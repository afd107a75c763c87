"""The configuration of least change in the output layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.errors import InvalidMethodConfig


@dataclass(frozen=True)
class LeastChangeOutputConfig:
    """How the equations of the edit are solved.

    Attributes:
        rounds: most rounds once every subject is within a stride of its level. Each round computes losses and gradients
            again and solves the equations.
        stride: nats; the largest change of a subject's loss in one round. A longer distance takes additional rounds, at
            most sixteen: the equations hold only near the point where they were set up, and a step far beyond it would
            ruin the model for everybody.
        close_enough: nats; no further round is taken once the root mean square of the subjects' gaps is this small.
        retain_prompts: number of prompts of random retained users on which the cost for retained users is measured.
            More are taken until they hold `retain_positions` positions.
        retain_positions: most positions of these prompts that are used besides each prompt's last, which always is.
        damping: share of the mean item's cost that is added to every row's, so that no row moves without bound.
        ridge: share of their mean that is added to the diagonal of the subjects' equations. It limits the step when two
            subjects' gradients are nearly parallel.
        refinements: most conjugate-gradient iterations that make a round's step cheaper for the retained users; 0 uses
            the closed form alone.
        tolerance: relative residual at which these iterations stop.
        halvings: most halvings of the refinement, if the step does not close half of the gap with it, and then of the
            step itself.
        together: most subjects whose equations are solved at once. Their gradients are held in memory; more subjects
            are processed group by group within each round.
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
