"""Fitting an adapter inside a method: what it cost, and where a caller may look up what was fitted before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recommender import Adapter, AdapterConfig, Base, StepReport, TrainingConfig, fit_adapter
from unlearning.methods.method import Stopwatch
from unlearning.progress import OnStep, Progress, ShouldStop

Sequences = Sequence[tuple[int, ...]]
HeldOut = Sequence[tuple[tuple[int, ...], int]]


@dataclass(frozen=True)
class Fitted:
    """An adapter, the seconds its fit took and the passes over one window (a forward and a backward each)."""

    adapter: Adapter
    seconds: float
    passes: int


class Fit(Protocol):
    """Fits an adapter, or finds it among those fitted before: equal arguments have to give equal adapters."""

    def __call__(
        self,
        base: Base,
        sequences: Sequences,
        adapter_config: AdapterConfig,
        training: TrainingConfig,
        *,
        validation: HeldOut,
        on_step: OnStep | None,
        should_stop: ShouldStop | None,
    ) -> Fitted:
        """The adapter of these users; `validation` is theirs.

        Raises:
            Interrupted: `should_stop` answered yes.
        """


def fit_anew(
    base: Base,
    sequences: Sequences,
    adapter_config: AdapterConfig,
    training: TrainingConfig,
    *,
    validation: HeldOut,
    on_step: OnStep | None,
    should_stop: ShouldStop | None,
) -> Fitted:
    """Fit anew.

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
        base,
        sequences,
        adapter_config,
        training,
        validation=validation,
        on_step=count,
        should_stop=should_stop,
    )
    return Fitted(adapter, watch.seconds, batches * training.batch_size)
