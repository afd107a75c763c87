"""Exact re-fit without the subjects: the reference for every other method and the last rung of a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.fitting import fit_anew
from unlearning.methods.method import Candidate, Cost, ForgetTask
from unlearning.progress import OnStep, ShouldStop


@dataclass(frozen=True)
class RefitConfig:
    """`seed_offset` is added to the task's seed: a second rung can draw another initialisation and order.

    Raises:
        InvalidMethodConfig: a negative offset.
    """

    seed_offset: int = 0

    def __post_init__(self) -> None:
        if self.seed_offset < 0:
            raise InvalidMethodConfig(f"seed_offset must be at least 0, not {self.seed_offset}")


@dataclass(frozen=True)
class Refit:
    """Fit a fresh adapter on the retained users alone, the way the parent was fitted.

    The subjects' sequences are never read, so nothing of them can be in the result; the parent adapter is not read
    either.
    """

    config: RefitConfig = field(default_factory=RefitConfig)
    name: ClassVar[str] = "refit"
    exact: ClassVar[bool] = True
    card: ClassVar[MethodCard] = MethodCard(
        title="Exact re-fit", paper=None, cost_class="refit", published_defaults="as the parent was fitted"
    )

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Fit without the subjects.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        fitted = fit_anew(
            task.base,
            task.retain,
            task.adapter_config,
            replace(task.training, seed=task.seed + self.config.seed_offset),
            validation=task.retain_validation,
            on_step=on_step,
            should_stop=should_stop,
        )
        # A batch holds windows; heavy users have several, so this counts windows rather than users.
        passes = fitted.passes
        return Candidate(adapter=fitted.adapter, cost=Cost(fitted.seconds, passes, passes, passes))
