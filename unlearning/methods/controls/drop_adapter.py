"""The third control: drop what the adapter learnt, of everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch

from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.adapter_mean import UP
from unlearning.progress import OnStep, ShouldStop


@dataclass(frozen=True)
class DropAdapterConfig:
    """Nothing to choose."""


@dataclass(frozen=True)
class DropAdapter:
    """Set every B to 0: what is left is the bare base.

    It forgets everything and everybody, which is the price of not being selective. `exact` is false all the same: a
    training without the subjects would have learnt the others.
    """

    config: DropAdapterConfig = field(default_factory=DropAdapterConfig)
    name: ClassVar[str] = "drop_adapter"
    exact: ClassVar[bool] = False
    card: ClassVar[MethodCard] = MethodCard(
        title="Drop the adapter", paper=None, cost_class="none", control=True
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Zero the B of `task.adapter`; reads no sequence."""
        watch = Stopwatch()
        tensors = {
            name: torch.zeros_like(tensor) if UP.search(name) else tensor
            for name, tensor in task.adapter.tensors.items()
        }
        return Candidate(adapter=task.adapter.replace(tensors), cost=Cost(watch.seconds, 0, 0, 0))
