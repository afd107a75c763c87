"""What is measured and how; part of the policy, so that a report cannot be measured one way and judged another."""

from __future__ import annotations

from dataclasses import dataclass

from unlearning.errors import InvalidEvaluation


@dataclass(frozen=True)
class EvaluationConfig:
    """How a candidate is measured.

    Attributes:
        smoothing: share epsilon of the uniform distribution mixed into both models before a gain is taken:
            -ln((1 - epsilon) p + epsilon / items). A base fitted to a small panel is wildly sure of itself where it
            has seen nothing; without a bound on that, a gain is mostly the base's noise.
        bins: most groups of position, and of popularity, that the membership reference is matched in.
        tail_items: last training items per user that the own-tail ranking metrics ask for.
        max_retained: most retained users to measure; None for all. A larger population is sampled with the seed.
        neighbours: how many retained users nearest to each subject are looked at for damage; 0 for none.
        relearning_steps: how long an attacker trains on a few of the subjects' items; 0 for no attack.

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
