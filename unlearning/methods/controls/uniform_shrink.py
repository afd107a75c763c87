"""A control: multiply the whole adapter by one factor, for everybody alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.adapter_mean import is_proportional
from unlearning.progress import Watched


@dataclass(frozen=True)
class UniformShrinkConfig:
    """`factor` in [0, 1] scales every B and all trained rows; 1 leaves the adapter as it is, 0 leaves the bare base.

    Raises:
        InvalidMethodConfig: a factor outside [0, 1].
    """

    factor: float = 0.5

    def __post_init__(self) -> None:
        if not 0.0 <= self.factor <= 1.0:
            raise InvalidMethodConfig(f"factor must lie in [0, 1], not {self.factor}")


@dataclass(frozen=True)
class UniformShrink:
    """Multiply every B and all trained rows by `factor`.

    It knows nothing of the subjects: a method must forget better than this.
    """

    config: UniformShrinkConfig = field(default_factory=UniformShrinkConfig)
    name: ClassVar[str] = "uniform_shrink"
    card: ClassVar[MethodCard] = MethodCard(
        title="Uniform shrink", paper=None, cost_class="none", control=True
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Shrink `task.adapter`; reads no sequence."""
        watch = Stopwatch()
        tensors = {
            name: tensor * self.config.factor if is_proportional(name) else tensor
            for name, tensor in task.adapter.tensors.items()
        }
        return Candidate(adapter=task.adapter.replace(tensors), cost=Cost(watch.seconds, 0, 0, 0))
