"""A control: keep the adapter as it is. Its figures are those of "not forgotten"."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Unpack

from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.progress import Watched


@dataclass(frozen=True)
class DoNothingConfig:
    """There is nothing to configure."""


@dataclass(frozen=True)
class DoNothing:
    """Return the parent adapter."""

    config: DoNothingConfig = field(default_factory=DoNothingConfig)
    name: ClassVar[str] = "do_nothing"
    card: ClassVar[MethodCard] = MethodCard(title="Do nothing", paper=None, cost_class="none", control=True)

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """The parent, unchanged."""
        watch = Stopwatch()
        return Candidate(adapter=task.adapter, cost=Cost(watch.seconds, 0, 0, 0))
