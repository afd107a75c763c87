"""How a candidate is measured. Part of the policy, so that a report is measured as the policy that judges it says."""

from __future__ import annotations

from dataclasses import dataclass

from unlearning.errors import InvalidEvaluation


@dataclass(frozen=True)
class EvaluationConfig:
    """How a candidate is measured.

    Attributes:
        smoothing: share epsilon of the uniform distribution that is mixed into both models before a gain is computed:
            -ln((1 - epsilon) p + epsilon / items). A base fitted to a small panel is far too certain about items it has
            not seen; without this bound, a gain would be mostly the base's noise.
        bins: most bins of position, and of popularity, in which the membership reference is matched.
        tail_items: number of each user's last training items that the own-tail ranking metrics rank.
        max_retained: most retained users to measure; None for all. A larger population is sampled with the seed.
        neighbours: number of retained users nearest to each subject that are checked for damage; 0 for none.
        relearning_steps: number of steps that the relearning attack trains on a few of the subjects' items; 0 for no
            attack.

    Raises:
        InvalidEvaluation: a value out of range.
    """

    smoothing: float = 0.2
    bins: int = 5
    tail_items: int = 5
    max_retained: int | None = 2000
    neighbours: int = 50
    relearning_steps: int = 8

    def __post_init__(self) -> None:
        if not 0.0 <= self.smoothing < 1.0:
            raise InvalidEvaluation(f"smoothing must lie in [0, 1), not {self.smoothing}")
        for name in ("bins", "tail_items", "max_retained"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidEvaluation(f"{name} must be at least 1, not {value}")
        for name in ("neighbours", "relearning_steps"):
            if getattr(self, name) < 0:
                raise InvalidEvaluation(f"{name} must be at least 0, not {getattr(self, name)}")
