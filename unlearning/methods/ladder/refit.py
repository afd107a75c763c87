"""Exact re-fit without the subjects: the reference for every other method and the last rung of a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

from recommender import AdapterConfig, Base, TrainingConfig
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask
from unlearning.methods.shared.fitting import HeldOut, Sequences, fit_anew
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
        return self.fit(
            task.base,
            task.retain,
            task.adapter_config,
            task.training,
            seed=task.seed,
            validation=task.retain_validation,
            on_step=on_step,
            should_stop=should_stop,
        )

    def fit(
        self,
        base: Base,
        retain: Sequences,
        adapter_config: AdapterConfig,
        training: TrainingConfig,
        *,
        seed: int,
        validation: HeldOut,
        on_step: OnStep | None = None,
        should_stop: ShouldStop | None = None,
    ) -> Candidate:
        """Fit on these users; what a consolidation does too, which has no subject to name.

        Args:
            seed: of the fit, instead of the one in `training`.

        Raises:
            InvalidTask: nobody is left to fit on.
            Interrupted: `should_stop` answered yes.
        """
        if not retain:
            raise InvalidTask("retain is empty: a re-fit needs at least one retained user")
        fitted = fit_anew(
            base,
            retain,
            adapter_config,
            replace(training, seed=seed + self.config.seed_offset),
            validation=validation,
            on_step=on_step,
            should_stop=should_stop,
        )
        # A batch holds windows; heavy users have several, so this counts windows rather than users.
        passes = fitted.passes
        return Candidate(adapter=fitted.adapter, cost=Cost(fitted.seconds, passes, passes, passes))
