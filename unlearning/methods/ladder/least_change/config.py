"""The configuration of least change."""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.errors import InvalidMethodConfig


@dataclass(frozen=True)
class LeastChangeConfig:
    """How the edit is solved for, and how what it broke is repaired.

    Attributes:
        rounds: most times that losses and gradients are taken anew and the equations solved again, before the repair
            and after it, once every subject is within a stride of its level.
        stride: nats; the most that a round asks of a subject. Losses are far from linear over the several nats that a
            short history of rare items is remembered by, and a step that is right by the equations breaks everybody
            else; so a long way is walked in rounds more, at most sixteen.
        close_enough: nats; root mean square of the subjects' gaps at which no further round is taken.
        retain_windows: random windows of retained users that the curvature is estimated on, and that tell whether the
            edit harmed them; more where they are so short that they ask for fewer than `retain_items` items.
        retain_items: see there. What a change costs the others is told by their items: from a few hundred of thousands
            a step looks cheap that takes from everybody.
        memory_weight: how much more the first round moves what is remembered better: an item's weight is its memory,
            its gain over the base in nats, to this power. 0 moves what moves most easily, which costs the others least
            and may leave the best-remembered items behind.
        damping: share of the mean curvature that is added to each parameter's, so that none moves without bound.
        ridge: share of their mean that is added to the diagonal of the subjects' own equations; more of it keeps two
            subjects whose gradients nearly agree from pulling the adapter apart.
        halvings: most halvings of a step that does not bring the subjects nearer to their levels.
        together: most subjects whose equations are solved at once. Their gradients are held in memory; more subjects
            are taken group by group within each round.
        batch_size: most windows in a batch.
        repair_steps: most steps that may be taken to undo what the edit did to retained users; 0 for none.
        repair_steps_each: most such steps per subject. A small edit harms little, and steps beyond what it needs teach
            the adapter its sample and bring back, with what everybody shares, those who were forgotten before.
        repair_length: root mean square of a repair step (of Adam's first one), as a share of the edit's; times as many
            as the strides that the edit was walked in, each of which left its own to repair. By the root of that number
            the steps are fewer.
        repair_every: steps between two looks at whether the retained users have back what they lost.

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
