"""Exact re-fit without the subjects: the reference for every other method and the last rung of a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from recommender import StepReport, fit_adapter
from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.progress import OnStep, Progress, ShouldStop


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
        watch = Stopwatch()
        batches = 0

        def count(report: StepReport) -> None:
            nonlocal batches
            batches += 1
            if on_step is not None:
                on_step(Progress("re-fit", report.step, report.steps, report.loss))

        adapter = fit_adapter(
            task.base,
            task.retain,
            task.adapter_config,
            replace(task.training, seed=task.seed + self.config.seed_offset),
            validation=task.retain_validation,
            on_step=count,
            should_stop=should_stop,
        )
        # A batch holds windows; heavy users have several, so this counts windows rather than users.
        passes = batches * task.training.batch_size
        return Candidate(adapter=adapter, cost=Cost(watch.seconds, passes, passes, passes))
