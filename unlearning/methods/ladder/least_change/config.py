"""The configuration of least change."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.errors import InvalidMethodConfig


@dataclass(frozen=True)
class LeastChangeConfig:
    """How the equations of the edit are solved, and how its side effects are repaired.

    Attributes:
        rounds: most rounds, before the repair and again after it, once every subject is within a stride of its level.
            Each round computes losses and gradients again and solves the equations.
        stride: nats; the largest change of a subject's loss in one round. A short history of rare items can be several
            nats from its level, and losses are far from linear over such a distance: one step that solves the equations
            would ruin the model for everybody else. A longer distance takes additional rounds, at most sixteen.
        close_enough: nats; no further round is taken once the root mean square of the subjects' gaps is this small.
        retain_windows: number of random windows of retained users. The curvature is estimated on them, and they show
            whether the edit harmed them. More are taken until they hold `retain_items` items.
        retain_items: see `retain_windows`. The cost of a change for retained users is measured on their items. A few
            hundred out of thousands are too few: steps that harm everybody would look cheap.
        memory_weight: how strongly the first round prefers the items that are remembered best. An item's weight is its
            memory (its gain over the base in nats) to this power. 0 moves the items that move most easily, which costs
            retained users least and may leave the best-remembered items as they are.
        damping: share of the mean curvature that is added to each parameter's, so that no parameter moves without
            bound.
        ridge: share of their mean that is added to the diagonal of the subjects' equations. It limits the step when two
            subjects' gradients are nearly parallel.
        halvings: most halvings of a step that does not bring the subjects nearer to their levels.
        together: most subjects whose equations are solved at once. Their gradients are held in memory; more subjects
            are processed group by group within each round.
        batch_size: most windows in a batch.
        repair_steps: most optimiser steps that undo the harm to retained users; 0 for no repair.
        repair_steps_each: most such steps per subject. A small edit does little harm. Needless steps would overfit the
            adapter to the sample, and would restore, through what all users share, subjects who were forgotten before.
        repair_length: root mean square of Adam's first repair step, as a share of the edit's. It is multiplied by the
            number of strides of the edit, each of which did harm of its own; the number of steps is divided by the
            square root of that number.
        repair_every: steps between two checks whether the retained users' loss is back at its value before the edit.

    Raises:
        InvalidMethodConfig: a value out of range.
    """

    rounds: int = 2
    stride: float = 3.0
    close_enough: float = 0.01
    retain_windows: int = 64
    retain_items: int = 1500
    memory_weight: float = 0.0
    damping: float = 0.1
    ridge: float = 1e-3
    halvings: int = 4
    together: int = 64
    batch_size: int = 16
    repair_steps: int = 40
    repair_steps_each: int = 10
    repair_length: float = 0.05
    repair_every: int = 10

    def __post_init__(self) -> None:
        for name in (
            "rounds",
            "retain_windows",
            "retain_items",
            "together",
            "batch_size",
            "repair_steps_each",
            "repair_every",
        ):
            if getattr(self, name) < 1:
                raise InvalidMethodConfig(f"{name} must be at least 1, not {getattr(self, name)}")
        if not min(self.damping, self.ridge, self.repair_length, self.stride) > 0:
            raise InvalidMethodConfig(f"damping, ridge, repair_length and stride must be positive: {self}")
        for name in ("halvings", "repair_steps", "memory_weight", "close_enough"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InvalidMethodConfig(f"{name} must be finite and at least 0, not {getattr(self, name)}")
