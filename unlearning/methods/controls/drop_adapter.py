"""A control: drop everything the adapter learnt, of everybody."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

import torch

from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.adapter_mean import is_proportional
from unlearning.progress import Watched


@dataclass(frozen=True)
class DropAdapterConfig:
    """There is nothing to configure."""


@dataclass(frozen=True)
class DropAdapter:
    """Set every B and all trained rows to 0, which leaves the bare base.

    It forgets the subjects completely, and everybody else too. `exact` is False, because training without the subjects
    would have learnt the other users.
    """

    config: DropAdapterConfig = field(default_factory=DropAdapterConfig)
    name: ClassVar[str] = "drop_adapter"
    card: ClassVar[MethodCard] = MethodCard(
        title="Drop the adapter", paper=None, cost_class="none", control=True
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Zero the B and the trained rows of `task.adapter`; reads no sequence."""
        watch = Stopwatch()
        tensors = {
            name: torch.zeros_like(tensor) if is_proportional(name) else tensor
            for name, tensor in task.adapter.tensors.items()
        }
        return Candidate(adapter=task.adapter.replace(tensors), cost=Cost(watch.seconds, 0, 0, 0))
