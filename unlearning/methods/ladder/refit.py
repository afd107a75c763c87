"""Exact re-fit without the subjects: the reference for every other method, and the last rung of a ladder."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar, Unpack

from recommender import AdapterConfig, Base, TrainingConfig
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask
from unlearning.methods.shared.fitting import HeldOut, Sequences, fit_anew
from unlearning.progress import Watched


@dataclass(frozen=True)
class RefitConfig:
    """`seed_offset` is added to the task's seed, so that a second rung can use other initial weights and another order.

    Raises:
        InvalidMethodConfig: a negative offset.
    """

    seed_offset: int = 0

    def __post_init__(self) -> None:
        if self.seed_offset < 0:
            raise InvalidMethodConfig(f"seed_offset must be at least 0, not {self.seed_offset}")


@dataclass(frozen=True)
class Refit:
    """Fit a new adapter on the retained users alone, with the parent's configuration.

    It reads neither the subjects' sequences nor the parent adapter, so nothing of the subjects can be in the result.
    """

    config: RefitConfig = field(default_factory=RefitConfig)
    name: ClassVar[str] = "refit"
    card: ClassVar[MethodCard] = MethodCard(
        title="Exact re-fit",
        paper=None,
        cost_class="refit",
        exact=True,
        published_defaults="as the parent was fitted",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
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
            **watched,
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
        **watched: Unpack[Watched],
    ) -> Candidate:
        """Fit on these users. A consolidation calls this directly, because it has no subjects.

        Args:
            seed: seed of the fit, in place of the one in `training`.

        Raises:
            InvalidTask: there is no user to fit on.
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
            **watched,
        )
        # Counted in windows, not users: a long history has several windows.
        passes = fitted.passes
        return Candidate(adapter=fitted.adapter, cost=Cost(fitted.seconds, passes, passes, passes))
