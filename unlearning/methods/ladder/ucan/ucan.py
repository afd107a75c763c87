"""U-CAN: utility-aware contrastive attenuation (arXiv 2602.23400), our reconstruction.

The paper's equations are not in what we could read; every free choice is a field of `UcanConfig`. The edit is
mitigation, not erasure: if every factor is above 0, whoever holds the factors can undo it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from recommender import Adapter, Base
from unlearning.activations.collect import adapter_digest, collect_statistics, without_activations
from unlearning.activations.statistics import ActivationStatistics
from unlearning.errors import InvalidTask, StatisticsMismatch
from unlearning.methods.card import MethodCard
from unlearning.methods.ladder.ucan.basis import check_moments_fit, in_basis
from unlearning.methods.ladder.ucan.config import UcanConfig
from unlearning.methods.ladder.ucan.factors import (
    apply_factors,
    apply_in_channels,
    attenuation_factors,
    lora_weights,
)
from unlearning.methods.ladder.ucan.scores import LoraWeights, Scores, risk_scores
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.windows import Windows
from unlearning.progress import OnStep, ShouldStop

# Stored versions name a module's factors `gate.<module path>`.
FACTOR_PREFIX = "gate."


def _not_contrasted(adapter: Adapter) -> str | None:
    missing = without_activations(adapter)
    return None if missing is None else f"it contrasts activations, and {missing}"


@dataclass(frozen=True)
class Ucan:
    """Scale down the units of the adapter that respond to the subjects and matter little to the retained users.

    It takes one forward pass over the subjects' sequences if the task has cached statistics, else one over a sample of
    the retained users' as well, and no backward pass. The artefacts hold one vector of factors per module, named
    `gate.<module path>`. In a basis other than `rank`, the directions that these factors belong to are not kept,
    because they reveal something about the subjects.

    The contrast is weak: activations of users drawn at random carry no membership. Subjects' gaps are as small
    as those of users whom no fit ever saw (`lethe bench basis` prints both). The paper's ablation order does not
    reproduce: there KL is highest with both screens, here with either of them dropped.

    Measured (docs/benchmarks): very slightly nearer to re-fits than a tuned uniform shrink for whole users. It loses to
    that shrink in `interactions-25`, to training on the retained users alone in `users-20`, and to doing nothing after
    ten requests in `sequence`, because the factors of successive requests multiply.
    """

    config: UcanConfig = field(default_factory=UcanConfig)
    name: ClassVar[str] = "ucan"
    card: ClassVar[MethodCard] = MethodCard(
        title="U-CAN",
        paper="arXiv 2602.23400",
        cost_class="forward",
        published_defaults="none that we could read",
        reconstruction="every formula: the paper's equations are not in what we could read; see `UcanConfig`",
    )

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """See `without_activations`: what has none would stay as it is, subjects' items included."""
        return _not_contrasted(adapter)

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Attenuate `task.adapter` once.

        Raises:
            InvalidTask: the adapter holds parts that have no activation.
            StatisticsMismatch: the cached statistics are of another adapter, token scope, or lack a site.
            AdapterMismatch: the adapter does not fit the base.
            Interrupted: `should_stop` answered yes.
        """
        problem = _not_contrasted(task.adapter)
        if problem is not None:
            raise InvalidTask(f"U-CAN cannot work here: {problem}")
        watch = Stopwatch()
        weights = lora_weights(task.adapter)
        check_moments_fit(self.config, weights)
        forget, retain, read_retained = self._statistics(task, on_step, should_stop)
        edited, factors = self._edit(task.adapter, weights, forget, retain)
        seconds, passes = watch.seconds, self._windows(task, read_retained)
        return Candidate(
            adapter=edited,
            artefacts={FACTOR_PREFIX + module: values.float() for module, values in factors.items()},
            cost=Cost(seconds=seconds, forwards=passes, backwards=0, samples=passes),
        )

    def _edit(
        self,
        adapter: Adapter,
        weights: Mapping[str, LoraWeights],
        forget: ActivationStatistics,
        retain: ActivationStatistics,
    ) -> tuple[Adapter, Scores]:
        config = self.config
        if config.basis == "rank":
            factors = attenuation_factors(config, risk_scores(config, weights, forget, retain))
            return apply_factors(adapter, config.unit, factors), factors
        view = in_basis(config, weights, forget, retain)
        factors = attenuation_factors(config, risk_scores(config, view.weights, view.forget, view.retain))
        return apply_in_channels(adapter, config.basis, view.channels, factors), factors

    def _statistics(
        self, task: ForgetTask, on_step: OnStep | None, should_stop: ShouldStop | None
    ) -> tuple[ActivationStatistics, ActivationStatistics, bool]:
        """The subjects' statistics, the retained users', and whether the latter had to be read."""
        cached = task.statistics
        if cached is not None:
            self._check_cache(cached, adapter_digest(task.adapter))
        if task.forget_targets is not None and self.config.token_scope == "last":
            # The cache counted the last item of each window, which need not be the last marked one.
            cached = None
        if cached is not None and not {*self.config.moments} <= {*cached.moments}:
            # The cache lacks second moments: it was made by an earlier release or for another basis.
            cached = None

        def collect(
            sequences: tuple[tuple[int, ...], ...], counted: tuple[tuple[bool, ...], ...] | None = None
        ) -> ActivationStatistics:
            return collect_statistics(
                task.base,
                task.adapter,
                sequences,
                counted=counted,
                sites=self.config.sites,
                moments=self.config.moments,
                token_scope=self.config.token_scope,
                on_step=on_step,
                should_stop=should_stop,
            )

        forget = collect(task.forget, task.forget_targets)
        if cached is not None and task.forget_targets is not None and cached.sequences == forget.sequences:
            # Every user has items to forget, so no retained sequence would be left in the difference.
            cached = None
        if cached is None:
            return forget, collect(self._read_retained(task)), True
        return forget, cached.restricted_to(forget.sites, forget.moments) - forget, False

    def _read_retained(self, task: ForgetTask) -> tuple[tuple[int, ...], ...]:
        most, retain = self.config.retain_sequences, task.retain
        if most is None or len(retain) <= most:
            return retain
        chosen = random.Random(task.seed).sample(range(len(retain)), most)
        return tuple(retain[index] for index in sorted(chosen))

    def _windows(self, task: ForgetTask, read_retained: bool) -> int:
        """Number of windows read, which is what other methods count too; a long history has several windows."""
        read = [Windows(task.base.style, task.forget, task.forget_targets, batch_size=1, seed=0)]
        if read_retained:
            read.append(Windows(task.base.style, self._read_retained(task), batch_size=1, seed=0))
        return sum(map(len, read))

    def _check_cache(self, cached: ActivationStatistics, digest: str) -> None:
        if cached.adapter_digest != digest:
            raise StatisticsMismatch(
                "the cached activation statistics belong to another adapter version; collect them again"
            )
        if cached.token_scope != self.config.token_scope:
            raise StatisticsMismatch(
                f"the cached statistics cover {cached.token_scope} tokens, this configuration needs "
                f"{self.config.token_scope}"
            )
